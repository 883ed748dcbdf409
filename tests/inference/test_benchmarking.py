"""Benchmarked cells add up, and stray from the truth as far as their standard errors say: known totals, and totals of the same sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError, SurveySimError, TableError
from tests.support.small_surveys import small_survey

CELLS = [f"area={letter}|sex={sex}" for letter in "abcd" for sex in ("f", "m")]
SIZES = np.array([0.05, 0.1, 0.2, 0.15, 0.1, 0.1, 0.2, 0.1])
POPULATION = dict(zip(CELLS, SIZES, strict=True))
OPTIONS = [1, 2, 3]


def _table(shares: np.ndarray, errors: np.ndarray, ids: list[str] = CELLS, source: str = "composite") -> pd.DataFrame:
    count = shares.shape[1]
    rows = {
        "question_id": "q",
        "background_id": np.repeat(ids, count),
        "option_code": OPTIONS[:count] * len(ids),
        "option_order": list(range(count)) * len(ids),
        "share": shares.ravel(),
        "std_error": np.broadcast_to(errors, shares.shape).ravel(),
        "n": 10,
        "n_eff": 10.0,
        "source": source,
    }
    return pd.DataFrame(rows)


def _estimates(values: np.ndarray, errors: np.ndarray, ids: list[str] = CELLS) -> pd.DataFrame:
    return pd.DataFrame({"question_id": "q", "background_id": ids, "estimate": values, "std_error": errors})


def _mean(table: pd.DataFrame, cells: list[str] = CELLS) -> np.ndarray:
    value = "share" if "share" in table else "estimate"
    wide = table[table["background_id"].isin(cells)][value].to_numpy().reshape(len(cells), -1)
    weights = np.array([POPULATION[cell] for cell in cells])
    return weights @ wide / weights.sum()


SHARES = np.random.default_rng(200).dirichlet([4, 3, 2], 8)
TABLE = _table(SHARES, np.full((8, 3), 0.03))
OFFICIAL = _table(np.array([[0.5, 0.3, 0.2]]), np.full((1, 3), np.nan), ["all"], "official")


@pytest.mark.parametrize("method", ["raking", "difference"])
def test_cells_add_up_to_the_total_and_stay_distributions(method: str) -> None:
    found = ss.benchmark_to(TABLE, OFFICIAL, population=POPULATION, method=method)
    np.testing.assert_allclose(_mean(found), [0.5, 0.3, 0.2], atol=1e-11)
    np.testing.assert_allclose(found.groupby("background_id")["share"].sum(), 1, atol=1e-12)
    assert found.attrs["benchmarked"] == f"{method} to official"
    if method == "difference":
        variance = 0.03**2 * (1 - 2 * SIZES + SIZES @ SIZES)
        np.testing.assert_allclose(np.square(found["std_error"]), np.repeat(variance, 3))


def test_each_group_adds_up_to_its_own_total() -> None:
    goals = _table(np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]]), np.full((2, 3), np.nan), ["sex=f", "sex=m"], "official")
    found = ss.benchmark_to(TABLE.sample(frac=1, random_state=0), goals, population=POPULATION).sort_index()
    np.testing.assert_allclose(_mean(found, CELLS[::2]), [0.5, 0.3, 0.2], atol=1e-11)
    np.testing.assert_allclose(_mean(found, CELLS[1::2]), [0.4, 0.3, 0.3], atol=1e-11)


def test_raking_moves_every_log_odds_of_an_option_alike() -> None:
    found = ss.benchmark_to(TABLE, OFFICIAL, population=POPULATION)["share"].to_numpy().reshape(8, 3)
    moved = np.log(found[:, 0] / found[:, 2]) - np.log(SHARES[:, 0] / SHARES[:, 2])
    np.testing.assert_allclose(moved, moved[0])


def test_a_table_that_adds_up_already_is_left_as_it_is() -> None:
    goals = _table(_mean(TABLE)[None], np.full((1, 3), np.nan), ["all"], "official")
    found = ss.benchmark_to(TABLE, goals, population=POPULATION)
    np.testing.assert_allclose(found["share"], TABLE["share"], atol=1e-11)


R = json.loads((Path(__file__).parent.parent / "r" / "r_benchmarking.json").read_text())
CROSSING = ["area=a", "area=b", "area=c", "area=d", "sex=f", "sex=m"]
IN_R = {"raking": "share", "difference": "share", "ratio": "mean", "mean_difference": "mean"}


def _of_r(job: str, known: bool, ids: list[str] = CROSSING) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells and the totals of R's script."""
    kind, chosen = IN_R[job], [CROSSING.index(name) for name in ids]
    cells, errors = np.array(R[f"{kind}s"]), np.array(R[f"{kind}_errors"])
    totals, spread = np.array(R[f"{kind}_totals"])[chosen], np.array(R[f"{kind}_total_errors"])[chosen]
    if kind == "share":
        return _table(cells, errors), _table(totals, spread, ids, "official" if known else "survey")
    made = _estimates(totals, spread, ids)
    return _estimates(cells, errors), made.drop(columns="std_error") if known else made


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("job", IN_R)
def test_crossing_totals_are_met_as_in_r_with_its_errors(job: str, known: bool) -> None:
    cells, totals = _of_r(job, known)
    found = ss.benchmark_to(cells, totals, population=POPULATION, method=job.removeprefix("mean_"), independent=True)
    value = IN_R[job].replace("mean", "estimate")
    np.testing.assert_allclose(found[value], R[job]["values"], rtol=1e-6)
    np.testing.assert_allclose(found["std_error"], R[job]["known" if known else "independent"], rtol=1e-6)
    for name in CROSSING:
        letter = name.split("=")[1]
        inside = [cell for cell in CELLS if f"={letter}" in cell]
        np.testing.assert_allclose(_mean(found, inside), totals.loc[totals["background_id"] == name, value], atol=1e-9)


@pytest.mark.parametrize("job", IN_R)
def test_a_total_that_follows_from_the_others_changes_nothing(job: str) -> None:
    method = job.removeprefix("mean_")
    cells, totals = _of_r(job, known=True)
    value = IN_R[job].replace("mean", "estimate")
    whole = totals.iloc[: 3 if value == "share" else 1].assign(background_id="all")
    women = totals[totals["background_id"].isin(["sex=f", "sex=m"])][value].to_numpy().reshape(2, -1)
    share = np.array([0.55, 0.45])
    whole = whole.assign(**{value: share @ women})
    plain = ss.benchmark_to(cells, totals, population=POPULATION, method=method)
    also = ss.benchmark_to(cells, ss.stack([totals, whole]), population=POPULATION, method=method)
    np.testing.assert_allclose(also[value], plain[value], atol=1e-9)
    np.testing.assert_allclose(also["std_error"], plain["std_error"], rtol=1e-6)


def test_some_totals_of_a_margin_are_enough() -> None:
    ids = [*CROSSING[:4], "sex=f"]
    cells, totals = _of_r("raking", True, ids)
    found = ss.benchmark_to(cells, totals, population=POPULATION)
    np.testing.assert_allclose(found["share"], R["raking"]["values"], rtol=1e-6)  # the other sex is what is left of the areas
    np.testing.assert_allclose(found["std_error"], R["raking"]["known"], rtol=1e-6)


def test_totals_that_contradict_each_other_by_rounding_are_met_nearly_and_it_is_said() -> None:
    cells, totals = _of_r("raking", known=True)
    rounded = totals.assign(share=totals["share"].round(3))
    found = ss.benchmark_to(cells, rounded, population=POPULATION)
    np.testing.assert_allclose(found["share"], R["raking"]["values"], atol=1e-3)
    assert "they contradict each other by up to 7.5e-05, and" in found.attrs["benchmarked"]


def test_totals_that_contradict_each_other_are_refused_by_name() -> None:
    cells, totals = _of_r("raking", known=True)
    wrong = totals.copy()
    wrong.loc[wrong["background_id"] == "sex=f", "share"] += [0.1, -0.1, 0.0]
    with pytest.raises(TableError) as caught:
        ss.benchmark_to(cells, wrong, population=POPULATION)
    said = str(caught.value)
    assert "q / area=a, area=b, area=c, area=d, sex=f (and 1 more; 6 in all): they contradict each other over `population`: area=a" in said
    assert "option 1 is 0.4367, and the nearest that agrees with the others 0.4642" in said, "all are as far off, so the first is named"


def test_totals_that_no_cells_can_meet_are_refused() -> None:
    cells, totals = _of_r("raking", known=True)
    corner = _table(np.array([[1.0, 0.0, 0.0]]), np.full((1, 3), np.nan), ["area=a"], "official")
    asked = ss.stack([corner, totals[totals["background_id"] != "area=a"]])
    with pytest.raises(TableError, match="contradict each other"):
        ss.benchmark_to(cells, asked, population=POPULATION)


@pytest.mark.parametrize("method", ["ratio", "difference"])
def test_errors_of_composites_and_crossing_totals_of_the_same_sample_are_as_stated(method: str) -> None:
    generator, squared, stated = np.random.default_rng(205), [], []
    sampling, model = 0.1 / np.sqrt(SIZES), 0.3  # a simple random sample: a total's variance is as the size of its group
    shrink = model**2 / (model**2 + sampling**2)
    member = np.array([[f"={name.split('=')[1]}" in cell for cell in CELLS] for name in CROSSING])
    part = member * SIZES / (member @ SIZES)[:, None]
    for _ in range(400):
        truth = 5 + generator.normal(0, model, 8)
        direct = truth + generator.normal(0, sampling)
        cells = _estimates(shrink * direct + (1 - shrink) * 5, np.sqrt(shrink) * sampling)
        totals = _estimates(part @ direct, np.sqrt(part**2 @ sampling**2), CROSSING)
        found = ss.benchmark_to(cells, totals, population=POPULATION, method=method)
        squared.append(np.square(found["estimate"] - truth))
        stated.append(np.square(found["std_error"]))
    ratio = np.mean(squared, axis=0) / np.mean(stated, axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.25)
    assert np.mean(ratio) == pytest.approx(1, abs=0.1)


def _normal_errors(generator: np.random.Generator, shares: np.ndarray, size: float) -> np.ndarray:
    """Errors with covariance ``size^2 (diag(p) - pp')``: those of a simple random sample."""
    raw = generator.normal(0, 1, shares.shape) * np.sqrt(shares)
    return size * (raw - shares * raw.sum(-1, keepdims=True))


def _stated(shares: np.ndarray, size: float) -> np.ndarray:
    return size * np.sqrt(shares * (1 - shares))


@pytest.mark.parametrize("method", ["raking", "difference"])
@pytest.mark.parametrize("known", [True, False])
def test_errors_of_independent_totals_are_as_stated(method: str, known: bool) -> None:
    generator, squared, stated = np.random.default_rng(201), [], []
    truth = np.random.default_rng(202).dirichlet([8, 8, 8], 8)
    whole = (SIZES @ truth)[None]
    for _ in range(150):
        cells = _table(truth + _normal_errors(generator, truth, 0.04), _stated(truth, 0.04))
        off = 0.0 if known else _normal_errors(generator, whole, 0.03)
        goals = _table(whole + off, np.full((1, 3), np.nan) if known else _stated(whole, 0.03), ["all"], "official" if known else "survey")
        found = ss.benchmark_to(cells, goals, population=POPULATION, method=method, independent=True)
        squared.append(np.square(found["share"].to_numpy() - truth.ravel()))
        stated.append(np.square(found["std_error"].to_numpy()))
    ratio = np.mean(squared, axis=0).reshape(8, 3).sum(1) / np.mean(stated, axis=0).reshape(8, 3).sum(1)
    np.testing.assert_allclose(ratio, 1, atol=0.3)
    assert np.mean(ratio) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("method", ["ratio", "difference"])
def test_errors_of_composites_and_the_direct_total_of_the_same_sample_are_as_stated(method: str) -> None:
    generator, squared, stated = np.random.default_rng(203), [], []
    sampling, model = np.linspace(0.2, 0.6, 8), 0.3
    shrink = model**2 / (model**2 + sampling**2)
    for _ in range(600):
        truth = 5 + generator.normal(0, model, 8)
        direct = truth + generator.normal(0, sampling)
        cells = _estimates(shrink * direct + (1 - shrink) * 5, np.sqrt(shrink) * sampling)
        total = _estimates(np.array([SIZES @ direct]), np.array([np.sqrt(SIZES**2 @ sampling**2)]), ["all"])
        found = ss.benchmark_to(cells, total, population=POPULATION, method=method)
        squared.append(np.square(found["estimate"] - truth))
        stated.append(np.square(found["std_error"]))
    ratio = np.mean(squared, axis=0) / np.mean(stated, axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.2)
    assert np.mean(ratio) == pytest.approx(1, abs=0.1)
    apart = np.square(total["std_error"][0]) - SIZES**2 @ (shrink * sampling**2)
    if method == "difference":
        np.testing.assert_allclose(np.square(found["std_error"]), shrink * sampling**2 + apart)


def test_draws_say_how_cells_go_together() -> None:
    generator = np.random.default_rng(204)
    common, own = generator.normal(0, 0.03, 400), generator.normal(0, 0.01, (8, 400))
    first = SHARES[:, :1] * 0 + 0.5 + common + own
    drawn = np.stack([first, 1 - first], axis=1)
    table = _table(drawn.mean(-1), drawn.std(-1, ddof=1))
    with_draws = pd.concat([table, pd.DataFrame(drawn.reshape(16, 400), columns=[f"draw_{n}" for n in range(1, 401)])], axis=1)
    known = _table(np.array([[0.5, 0.5]]), np.full((1, 2), np.nan), ["all"], "official")
    together, apart = (ss.benchmark_to(one, known, population=POPULATION, method="difference") for one in (with_draws, table))
    moved = drawn[:, 0] - SIZES @ drawn[:, 0]
    np.testing.assert_allclose(together["std_error"][::2], moved.std(-1, ddof=1), rtol=1e-9)
    assert (together["std_error"] < 0.5 * apart["std_error"]).all()  # what the cells have in common is what the total tells
    assert not [name for name in together if name.startswith("draw_")]


def test_a_composite_adds_up_to_the_survey() -> None:
    survey = small_survey(201, 600)
    people = ss.observed_backgrounds(survey, by=["age", "gender"])
    halves = ss.cross_fit(
        survey,
        lambda part: ss.simulate(part, ["age", "gender"], questions="q1", method="mrp"),
        by=["age", "gender"],
        questions="q1",
        progress=False,
    )
    cells = ss.composite(halves.direct, halves.simulated)
    total = ss.response_distributions(survey, questions="q1")
    found = ss.benchmark_to(cells, total, population=people)
    np.testing.assert_allclose(ss.poststratify(found, people)["share"], total["share"], atol=1e-9)
    assert (found["std_error"] >= cells["std_error"] - 1e-12).all()


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"method": "rake"}, EstimationError, "method must be one of raking, difference, ratio; got 'rake'"),
        ({"method": "ratio"}, EstimationError, "method='ratio' does not suit a table of shares; use 'raking' or 'difference'"),
        ({"totals": OFFICIAL.assign(background_id="sex=f")}, TableError, "cell 'area=a|sex=m' belongs to none of sex=f"),
        ({"totals": OFFICIAL.assign(question_id="r")}, TableError, "totals lacks question q"),
        ({"totals": OFFICIAL.replace({"option_code": {3: 4}})}, TableError, "table has options 1, 2, 3, totals 1, 2, 4"),
        ({"population": dict(list(POPULATION.items())[1:])}, SurveySimError, "no population_share of background area=a|sex=f"),
        ({"table": TABLE.assign(source=["a", "b"] * 12)}, TableError, "table holds sources a, b"),
        ({"totals": OFFICIAL.assign(share=[0.98, 0.02, 0.0]), "method": "difference"}, EstimationError, "takes shares out of 0-1"),
        ({"table": _table(np.tile([0.5, 0.5, 0.0], (8, 1)), np.full((8, 3), 0.1))}, EstimationError, "raking stays 0.2 from the total"),
    ],
)
def test_tables_that_cannot_be_benchmarked_say_so(changed: dict[str, Any], error: type[SurveySimError], said: str) -> None:
    given: dict[str, Any] = {"table": TABLE, "totals": OFFICIAL, "population": POPULATION, **changed}
    with pytest.raises(error) as caught:
        ss.benchmark_to(given.pop("table"), given.pop("totals"), **given)
    assert said in str(caught.value)
