"""Predictors of groups: standardised once a level, of use for levels never sampled, and refused with a reason."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.baselines.predictors import PREDICTORLESS, standardise_predictors
from surveysim.baselines.regressions import softmax
from surveysim.codebook.backgrounds import background_id
from surveysim.errors import EstimationError, EvaluationError, ModelError, SurveySimError
from surveysim.lm.recipe import check_recipe
from surveysim.tables.schema import check_distributions
from tests.support.opinion_survey import TRAITS, opinion_survey

REGIONS = [f"r{number:02}" for number in range(16)]
LEVELS = {"gender": ["f", "m"], "region": REGIONS}
WEALTH = pd.DataFrame({"region": REGIONS, "wealth": np.random.default_rng(3).normal(40, 10, 16)})
NEW = tuple(WEALTH.sort_values("wealth").region.iloc[[1, 3, 12, 14]])  # never sampled
LEFT = next(region for region in REGIONS if region not in NEW)  # sampled, and without a predictor
AGES = pd.DataFrame({"age": ["young", "middle", "old"], "internet": [98.0, 90.0, 60.0]})


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    rows = [dict(zip(LEVELS, levels, strict=True)) for levels in product(*LEVELS.values())]
    return pd.DataFrame(rows).assign(background_id=[background_id(row) for row in rows])


def truth(grid: pd.DataFrame) -> np.ndarray:
    """Shares of scales that rise or fall with a region's wealth, shape (questions, backgrounds, options)."""
    wealth = (grid.region.map(WEALTH.set_index("region").wealth).to_numpy() - 40) / 10
    slopes = np.array([-0.5, -0.3, 0.3, 0.5])[:, None, None]
    return np.asarray(softmax(slopes * wealth[:, None] * (np.arange(5) - 2), np.ones(5, bool)))


def draw(grid: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (f"q{number}", identifier, option + 1, option, count / size, size, float(size), "survey")
        for number, shares in enumerate(truth(grid))
        for identifier, region, cell in zip(grid.background_id, grid.region, shares, strict=True)
        if region not in NEW
        for option, count in enumerate(rng.multinomial(size, cell))
    ]
    columns = ["question_id", "background_id", "option_code", "option_order", "share", "n", "n_eff", "source"]
    return check_distributions(pd.DataFrame(rows, columns=columns))


def estimate(sample: pd.DataFrame, asked: pd.DataFrame, method: str, frame: pd.DataFrame | None) -> pd.DataFrame:
    return ss.estimate_baseline(sample, asked, method=method, ordinal=["q0", "q1", "q2", "q3"], group_predictors=frame)


def error(table: pd.DataFrame, asked: pd.DataFrame) -> float:
    wide = table.pivot_table("share", ["question_id", "background_id"], "option_order")
    parts = [wide.loc[f"q{number}"].loc[list(asked.background_id)] - shares for number, shares in enumerate(truth(asked))]
    return float(np.abs(parts).mean())


@pytest.mark.parametrize("method", ["ridge", "cumulative", "mrp", "mean_tilt", "low_rank"])
def test_levels_never_sampled_are_told_apart_by_their_predictors(method: str, grid: pd.DataFrame) -> None:
    sample, asked = draw(grid, 20, 0), grid[grid.region.isin(NEW)]
    without, told = (error(estimate(sample, asked, method, frame), asked) for frame in (None, WEALTH))
    assert told < 0.6 * without


def test_predictors_that_say_nothing_cost_little(grid: pd.DataFrame) -> None:
    sampled = grid[~grid.region.isin(NEW)]
    errors = []
    for seed in range(3):
        noise = WEALTH.assign(wealth=np.random.default_rng(seed + 50).normal(size=16))
        sample = draw(grid, 20, seed)
        errors.append([error(estimate(sample, sampled, "mrp", frame), sampled) for frame in (None, noise)])
    without, misled = np.mean(errors, axis=0)
    assert misled < 1.02 * without


def test_a_level_without_a_row_is_named_and_keeps_its_own_effect(grid: pd.DataFrame) -> None:
    sample = draw(grid, 400, 0)
    lacking = WEALTH[WEALTH.region != LEFT]
    table = estimate(sample, grid, "mrp", lacking)
    assert table.attrs["group_predictors"] == {"columns": ["wealth"], "traits": ["region"], "missing": [f"region={LEFT}"]}
    own = grid[grid.region == LEFT]
    assert error(table[table.background_id.isin(own.background_id)], own) < 0.02
    known = standardise_predictors(lacking, LEVELS)
    for kernel in known.kernels(list(grid.background_id)):
        assert (kernel[grid.region == LEFT] == 0).all()
        assert np.linalg.eigvalsh(kernel).min() > -1e-9


def test_predictors_are_standardised_with_each_level_once(grid: pd.DataFrame) -> None:
    frame = WEALTH.assign(coast=np.arange(16) % 3 == 0)
    known = standardise_predictors(frame, LEVELS)
    np.testing.assert_allclose(known.values.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(known.values.std(0), 1)
    one_each = grid[grid.gender == "f"].background_id.tolist()
    linear, smooth = known.kernels(one_each)
    assert np.trace(linear) == pytest.approx(16)
    assert np.trace(smooth) == pytest.approx(16)
    other = standardise_predictors(frame.assign(wealth=3 * frame.wealth - 7).iloc[::-1], LEVELS)
    for kernel, same in zip(known.kernels(one_each), other.kernels(one_each), strict=True):
        np.testing.assert_allclose(same, kernel, atol=1e-9)


def test_predictors_of_combinations_of_levels(grid: pd.DataFrame) -> None:
    pairs = grid[["gender", "region"]].assign(turnout=np.arange(len(grid)))
    known = standardise_predictors(pairs, LEVELS)
    assert known.traits == ("gender", "region")
    np.testing.assert_allclose(known.columns(list(grid.background_id))[:, 0], (np.arange(32) - 15.5) / np.arange(32).std())


BAD = {
    "frame": ([1, 2], "must be a pandas DataFrame; got list: make one with pandas.DataFrame"),
    "no trait": (WEALTH.rename(columns={"region": "country"}), "a column named as a trait of the backgrounds \\(gender, region\\)"),
    "no rows": (WEALTH.iloc[:0], "it has 0 rows"),
    "no number": (WEALTH[["region"]], "only columns of traits \\(region\\); add a numeric column"),
    "not numeric": (WEALTH.assign(wealth="rich"), "column 'wealth' is .*, neither a trait of the backgrounds nor numeric"),
    "missing": (WEALTH.assign(wealth=[np.nan, *range(15)]), "column 'wealth' is missing or infinite for region=r00"),
    "infinite": (WEALTH.assign(wealth=[*range(15), np.inf]), "column 'wealth' is missing or infinite for region=r15"),
    "constant": (WEALTH.assign(wealth=4.0), "column 'wealth' is 4 in all 16 rows"),
    "unknown": (WEALTH.assign(region=WEALTH.region.str.upper()), "trait 'region' has no level 'R00'"),
    "repeated": (pd.concat([WEALTH, WEALTH.iloc[:1]]), "has region=r00 more than once; keep one row each"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_predictors_are_refused(case: str, grid: pd.DataFrame) -> None:
    frame, message = BAD[case]
    with pytest.raises(EstimationError, match=message):
        estimate(draw(grid, 20, 0), grid, "mrp", frame)


@pytest.mark.parametrize("method", PREDICTORLESS)
def test_methods_that_use_no_predictors_say_so(method: str) -> None:
    with pytest.raises(EstimationError, match=f"group_predictors: method '{method}' uses none"):
        ss.simulate(opinion_survey(), TRAITS, method=method, group_predictors=AGES, progress=False)


@pytest.mark.usefixtures("module_cache")
def test_every_simulation_takes_predictors(base: ss.OptionModel, tmp_path: Path) -> None:
    survey, chosen = opinion_survey(), {"questions": ["taxes", "news"], "progress": False}
    for method in ("ridge", "mrp", "low_rank", "dsa-kernel", "dsa"):
        options = {**chosen, "method": method, "model": base if method.startswith("dsa") else None}
        plain, told = (ss.simulate(survey, TRAITS, group_predictors=frame, **options) for frame in (None, AGES))
        assert (plain.share - told.share).abs().max() > 1e-5, method
        assert told.attrs["group_predictors"] == {"columns": ["internet"], "traits": ["age"], "missing": []}
        assert "group_predictors" not in plain.attrs
    kernel = {**chosen, "method": "dsa-kernel", "model": base, "group_predictors": AGES}
    written = ss.read_table(ss.simulate_to_parquet(survey, TRAITS, tmp_path / "cells.parquet", **kernel))
    told = ss.simulate(survey, TRAITS, **kernel)
    np.testing.assert_allclose(written.share, told.share, atol=1e-6)
    assert written.attrs["group_predictors"] == told.attrs["group_predictors"]


@pytest.mark.usefixtures("module_cache")
def test_an_alignment_of_stage_1_takes_no_predictors(base: ss.OptionModel) -> None:
    survey = opinion_survey()
    sample = ss.response_distributions(survey, by=TRAITS, questions=["news"])
    aligned = ss.align(base, sample, survey.codebook, stages=ss.DSA[:1], progress=False)
    with pytest.raises(SurveySimError, match="method 'stage1' uses none"):
        ss.simulate(survey, TRAITS, model=aligned, questions=["news"], group_predictors=AGES, progress=False)


@pytest.mark.usefixtures("module_cache")
def test_align_leans_its_shifts_on_predictors(base: ss.OptionModel, tmp_path: Path) -> None:
    survey = opinion_survey()
    sample = ss.response_distributions(survey, by=TRAITS, questions=["news", "taxes"])
    plain, told = (ss.align(base, sample, survey.codebook, group_predictors=frame, progress=False) for frame in (None, AGES))
    assert plain.recipe["stages"][0] == told.recipe["stages"][0]
    assert plain.recipe["stages"][1]["losses"] != told.recipe["stages"][1]["losses"]
    with pytest.raises(EstimationError, match="trait 'age' has no level 'aged'"):
        ss.align(base, sample, survey.codebook, group_predictors=AGES.replace("old", "aged"), progress=False)
    assert plain.recipe["group_predictors"] is None
    assert {name: told.recipe["group_predictors"][name] for name in ("columns", "traits")} == {"columns": ["internet"], "traits": ["age"]}
    asked = {"questions": ["news"], "progress": False}
    other = AGES.assign(internet=[0.1, 0.5, 0.2])
    for model, frame, said in (
        (plain, AGES, "was aligned with none, simulate was given internet of age; give the same frame"),
        (told, None, "was aligned with internet of age, simulate was given none"),
        (told, other, "was aligned with internet of age, simulate was given internet of age, with other numbers"),
    ):
        with pytest.raises(SurveySimError, match=f"group_predictors: the model {said}"):
            ss.simulate(survey, TRAITS, model=model, group_predictors=frame, **asked)
        with pytest.raises(SurveySimError, match=f"group_predictors: the model {said}"):
            ss.simulate_to_parquet(survey, TRAITS, tmp_path / "cells.parquet", model=model, group_predictors=frame, **asked)
    assert ss.simulate(survey, TRAITS, model=told, group_predictors=AGES, **asked).attrs["group_predictors"]["columns"] == ["internet"]
    told.recipe["group_predictors"] = {"columns": "internet"}
    with pytest.raises(ModelError, match="group_predictors must be columns, traits and a SHA-256"):
        check_recipe(told.recipe, "here")


def test_a_comparison_gives_predictors_to_the_methods_that_use_them(tmp_path: Path) -> None:
    survey = opinion_survey(600)
    plan = {"by": TRAITS, "train_n": 80, "seeds": 1, "methods": ["raw", "mrp"], "questions": ["news", "taxes"], "progress": False}
    plain = ss.compare_methods(survey, **plan)
    told = ss.compare_methods(survey, group_predictors=AGES, results=tmp_path / "kept", **plan)
    change = (plain.set_index("method").estimate - told.set_index("method").estimate).abs().groupby(level=0).max()
    assert change["raw"] == 0
    assert change["mrp"] > 0
    with pytest.raises(EvaluationError, match="holds another comparison \\(group_predictors"):
        ss.compare_methods(survey, results=tmp_path / "kept", **plan)
