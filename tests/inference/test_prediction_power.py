"""Prediction-powered estimates: ppi-python in the unweighted case, the regression estimator, coverage, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight
from surveysim.errors import EstimationError, SurveySimError, TableError
from surveysim.tables.schema import DISTRIBUTION_COLUMNS, check_distributions
from tests.support.small_surveys import small_codebook, small_frame, small_survey

REFERENCE = json.loads((Path(__file__).parents[1] / "ppi" / "reference.json").read_text())
BY = ["age", "gender", "region"]


def cell_survey(cell: np.ndarray, answer: np.ndarray, weight: np.ndarray | None = None) -> ss.Survey:
    """Return respondents of one trait `cell` and a question `y` with codes 0 and 1."""
    levels = tuple(Level(str(number), str(number), (number,)) for number in range(int(cell.max()) + 1))
    book = ss.Codebook(
        "cells",
        "Cells",
        {"cell": Trait("cell", "cell", levels)},
        {"y": Question("y", "?", (Option(0, "no"), Option(1, "yes")))},
        weights=(Weight("w"),),
    )
    frame = pd.DataFrame({"cell": cell, "y": answer, "w": np.ones(len(cell)) if weight is None else weight})
    return ss.as_survey(frame, book)


def simulated(values: np.ndarray) -> pd.DataFrame:
    rows = []
    for number, value in enumerate(values):
        rows += [
            ("y", f"cell={number}", code, code, share, np.nan, np.nan, np.nan, 0, 0.0, "model")
            for code, share in ((0, 1 - value), (1, value))
        ]
    return pd.DataFrame(rows, columns=DISTRIBUTION_COLUMNS)


def people(counts: list[int] | np.ndarray, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"cell": [str(number) for number in range(len(counts))], "count": counts}).assign(**columns)


CELL, ANSWER = np.array(REFERENCE["cell"]), np.array(REFERENCE["answer"])
VALUES, PEOPLE = np.array(REFERENCE["values"]), np.array(REFERENCE["people"])
SURVEY, MODEL = cell_survey(CELL, ANSWER), simulated(VALUES)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_ppi_python_at_a_given_power(power: float) -> None:
    """The people are as many unlabelled cases (``n``); the variances differ by n / (n - 1), of the sample and of the people."""
    theirs = REFERENCE["results"][str(power)]
    ours = ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE, n=PEOPLE), power=power).iloc[1]
    np.testing.assert_allclose(ours["share"], theirs["estimate"], rtol=1e-10)
    imputed = power**2 * np.average((VALUES - np.average(VALUES, weights=PEOPLE)) ** 2, weights=PEOPLE) / PEOPLE.sum()
    their_variance = ((theirs["conf_high"] - theirs["conf_low"]) / 2 / 1.959963984540054) ** 2
    own = imputed * PEOPLE.sum() / (PEOPLE.sum() - 1)
    np.testing.assert_allclose(ours["std_error"] ** 2, (their_variance - imputed) * 240 / 239 + own, rtol=1e-10)


def test_ppi_python_with_tuned_power() -> None:
    """Their power divides a 1/n covariance by a variance pooled over labelled and unlabelled, ours is the design's: equal to O(1/n)."""
    theirs = REFERENCE["results"]["None"]
    ours = ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE, n=PEOPLE)).iloc[1]
    half = (theirs["conf_high"] - theirs["conf_low"]) / 2
    assert abs(ours["share"] - theirs["estimate"]) < 0.05 * half
    np.testing.assert_allclose(1.959963984540054 * ours["std_error"], half, rtol=0.01)
    assert 0 < ours["power"] < 1


def test_power_0_is_the_survey_alone() -> None:
    survey = small_survey(design=True)
    model = ss.simulate(small_survey(seed=1), ss.background_grid(survey.codebook, by=BY), questions=["q1", "q2"], method="mrp")
    for by in ((), ("gender",)):
        ours = ss.prediction_powered(survey, model, population=survey, by=by, power=0.0, independent=True)
        direct = ss.response_distributions(survey, by=by, questions=["q1", "q2"])
        pd.testing.assert_frame_equal(
            ours[DISTRIBUTION_COLUMNS].drop(columns="source"), direct[DISTRIBUTION_COLUMNS].drop(columns="source"), rtol=1e-9
        )


def test_unweighted_it_is_the_regression_estimator() -> None:
    """GREG: linear calibration of the weights to the population mean of the simulated value; estimate and standard error."""
    target = float(np.average(VALUES, weights=PEOPLE))
    ours = ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), statistic="mean").iloc[0]
    with_value = replace(SURVEY, data=SURVEY.data.assign(f=VALUES[CELL]))
    at_target, at_sample = (
        ss.survey_mean(ss.calibrate(with_value, means={"f": mean}), questions=["y"]).iloc[0] for mean in (target, VALUES[CELL].mean())
    )
    np.testing.assert_allclose(ours["estimate"], at_target["estimate"], rtol=1e-9)
    np.testing.assert_allclose(ours["std_error"], at_sample["std_error"], rtol=1e-9)  # there all calibrated weights are the sample's


def test_the_estimate_by_hand_with_weights() -> None:
    """The weighted mean plus power times the weighted gap of predictions; the variance is that of the weighted residuals."""
    weight = np.random.default_rng(0).gamma(2, 1, 240) + 0.1
    survey = cell_survey(CELL, ANSWER, weight)
    ours = ss.prediction_powered(survey, MODEL, population=people(PEOPLE), power=0.7).iloc[1]
    f, w = VALUES[CELL], weight / weight.sum()
    np.testing.assert_allclose(ours["share"], w @ ANSWER + 0.7 * (np.average(VALUES, weights=PEOPLE) - w @ f))
    residual = ANSWER - 0.7 * f
    np.testing.assert_allclose(ours["std_error"], np.sqrt(240 / 239 * np.square(w * (residual - w @ residual)).sum()))


def test_mean_and_total_agree_with_shares() -> None:
    mean, total, share = (
        ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), statistic=name).iloc[-1] for name in ("mean", "total", "share")
    )
    np.testing.assert_allclose([mean["estimate"], total["estimate"]], [share["share"], share["share"] * PEOPLE.sum()])
    np.testing.assert_allclose([mean["std_error"], total["std_error"]], [share["std_error"], share["std_error"] * PEOPLE.sum()])
    unsure = ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE, std_error=10.0), statistic="total").iloc[0]
    assert unsure["std_error"] > total["std_error"], "so does not knowing how many people there are"


def test_replicate_weights_give_the_variance_where_there_are_any() -> None:
    replicated = ss.as_replicates(SURVEY, method="JK1")
    ours, linear = (ss.prediction_powered(survey, MODEL, population=people(PEOPLE), power=1.0).iloc[1] for survey in (replicated, SURVEY))
    np.testing.assert_allclose(ours["std_error"], linear["std_error"], rtol=1e-6)


def test_noise_in_place_of_a_model_costs_nothing() -> None:
    noise = simulated(np.random.default_rng(1).permutation([0.05, 0.95] * 3))
    ours = ss.prediction_powered(SURVEY, noise, population=people(PEOPLE))
    assert (ours["std_error"] <= ours["std_error_direct"] * (1 + 1e-9)).all()
    flat = ss.prediction_powered(SURVEY, simulated(np.full(6, 0.5)), population=people(PEOPLE))
    assert (flat["power"] == 0).all(), "predictions that are all alike explain nothing"
    np.testing.assert_allclose(flat["n_eff_gained"], 0, atol=1e-9)


@pytest.mark.parametrize("quality", ["right", "biased", "noise"])
def test_intervals_cover_whatever_the_simulation(quality: str) -> None:
    """400 weighted samples from 20,000 people: 95% intervals cover 93-97%, whether the model is right, biased or noise."""
    generator = np.random.default_rng(8)
    values = np.linspace(0.1, 0.9, 6)
    cell = generator.choice(6, size=20_000, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.2])
    answer = (generator.random(20_000) < values[cell]).astype(int)
    chance = (1 + cell) / (1 + cell).mean() * 300 / 20_000
    model = simulated({"right": values, "biased": np.clip(values / 2 + 0.4, 0, 1), "noise": values[[3, 0, 5, 1, 4, 2]]}[quality])
    counts = np.bincount(cell)
    covered, gained = [], []
    for _ in range(400):
        drawn = generator.random(20_000) < chance
        survey = cell_survey(cell[drawn], answer[drawn], 1 / chance[drawn])
        ours = ss.prediction_powered(survey, model, population=people(counts)).iloc[1]
        covered.append(ours["conf_low"] <= answer.mean() <= ours["conf_high"])
        gained.append(ours["n_eff_gained"])
    assert 0.93 <= np.mean(covered) <= 0.97
    assert (np.mean(gained) > 20) == (quality != "noise")


def test_a_cross_fit_lets_the_survey_teach_the_model() -> None:
    grid = ss.background_grid(SURVEY.codebook, by=["cell"])
    halves = ss.cross_fit(SURVEY, lambda part: ss.simulate(part, grid, method="shrunken"), by=["cell"], folds=5)
    ours = check_distributions(ss.prediction_powered(SURVEY, halves, population=people(PEOPLE)))
    assert ours["n_eff_gained"].gt(20).all(), "answers differ between cells, and the cells' population is known"
    assert ours.attrs["population"] == "population table"
    own = ss.prediction_powered(SURVEY, halves, population=SURVEY)
    assert own.attrs["population"] == "self-post-stratified: w"


def test_backgrounds_are_made_of_cells() -> None:
    survey = small_survey(n=600)
    grid = ss.background_grid(survey.codebook, by=BY)
    halves = ss.cross_fit(survey, lambda part: ss.simulate(part, grid, questions=["q1"], method="mrp"), by=BY, questions=["q1"], folds=5)
    ours = check_distributions(ss.prediction_powered(survey, halves, population=grid.assign(count=1), by=["age"]))
    assert ours["background_id"].unique().tolist() == ["age=young", "age=old"]
    assert ours["n_eff_gained"].ge(-1e-9).all(), "the tuned power costs nothing"


def test_a_fold_is_predicted_from_its_own_table() -> None:
    """With one fold predicting 0 and the other 1, each respondent gets the table that left them out."""
    fold = np.arange(240) % 2
    tables = pd.concat([simulated(np.full(6, 0.2)).assign(fold=0), simulated(VALUES).assign(fold=1)])
    crossed = ss.CrossFit(tables, tables, fold)
    ours = ss.prediction_powered(SURVEY, crossed, population=people(PEOPLE), power=1.0).iloc[1]
    f = np.where(fold == 0, 0.2, VALUES[CELL])
    wanted = 0.5 * 0.2 + 0.5 * np.average(VALUES, weights=PEOPLE)
    np.testing.assert_allclose(ours["share"], ANSWER.mean() + wanted - f.mean())


@given(st.integers(0, 300), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_shares_sum_to_one(seed: int, power: float) -> None:
    survey = small_survey(seed, n=300)
    model = ss.simulate(small_survey(seed + 1), ss.background_grid(survey.codebook, by=BY), questions=["q1"], method="shrunken")
    ours = check_distributions(ss.prediction_powered(survey, model, population=survey, by=["region"], power=power, independent=True))
    np.testing.assert_allclose(ours.groupby("background_id")["share"].sum(), 1)


def test_respondents_without_a_trait_are_counted() -> None:
    frame = small_frame()
    frame.loc[frame.index < 7, "age"] = np.nan
    survey = ss.as_survey(frame, small_codebook())
    model = ss.simulate(small_survey(1), ss.background_grid(survey.codebook, by=BY), questions=["q1"], method="ridge")
    ours = ss.prediction_powered(survey, model, population=survey, independent=True)
    assert ours.attrs["without_cell"] == 7
    assert ours["n"].iloc[0] == survey.reasons["q1"].isna().to_numpy()[7:].sum()


BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), statistic="median"), EstimationError, "statistic must be"),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), power=2.0),
        EstimationError,
        "power must be 'tuned' or a number",
    ),
    (lambda: ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), power="best"), EstimationError, "power must be 'tuned'"),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL.assign(n=9), population=people(PEOPLE)),
        EstimationError,
        "learnt from respondents in y / cell=0.*use cross_fit",
    ),
    (lambda: ss.prediction_powered(SURVEY, MODEL.assign(fold=0), population=people(PEOPLE)), EstimationError, "has a column 'fold'"),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL.iloc[2:], population=people(PEOPLE)),
        EstimationError,
        "respondents are in cell=0, which simulated lacks",
    ),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL, population=people([1] * 7)),
        EstimationError,
        "population has people in cell=6, which simulated lacks",
    ),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL, population=people([0, 1, 1, 1, 1, 1]), by=["cell"]),
        EstimationError,
        "population has nobody in cell=0, where respondents are",
    ),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), by=["age"]),
        EstimationError,
        "by: the simulated cells have no trait 'age'",
    ),
    (lambda: ss.prediction_powered(SURVEY, MODEL.assign(question_id="z"), population=people(PEOPLE)), SurveySimError, "'z'"),
    (lambda: ss.prediction_powered(SURVEY, MODEL, population=people(PEOPLE), questions=["x"]), SurveySimError, "'x'"),
    (
        lambda: ss.prediction_powered(SURVEY, MODEL.assign(option_code=MODEL["option_code"] + 1), population=people(PEOPLE)),
        EstimationError,
        r"simulated options \[1, 2\] are not the survey's \[0, 1\]",
    ),
    (lambda: ss.prediction_powered(SURVEY, MODEL, population=SURVEY, statistic="total"), EstimationError, "a total needs people"),
    (
        lambda: ss.prediction_powered(
            SURVEY, MODEL.assign(share=MODEL["share"].where(MODEL["background_id"] != "cell=3")), population=SURVEY
        ),
        EstimationError,
        "simulated has cells without shares in question y",
    ),
    (lambda: ss.prediction_powered(SURVEY, MODEL.assign(share=0.7), population=SURVEY), TableError, "must sum to 1"),
    (lambda: ss.prediction_powered(SURVEY, MODEL, population={"cell": {"0": 1.0}}), TableError, "give structure="),
    (
        lambda: ss.prediction_powered(SURVEY, ss.CrossFit(MODEL, MODEL.assign(fold=0), np.zeros(3)), population=SURVEY),
        EstimationError,
        "cross-fitted on 3 respondents, the survey has 240",
    ),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_misuse_says_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()
