"""Draws: what cells leave open together is added up together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError, SurveySimError
from surveysim.tables.draws import draw_columns, draw_names, normal_draws, with_draws
from tests.support.small_surveys import small_survey

BY = ["age", "gender", "region"]
SURVEY = small_survey(n=500)
GRID = ss.background_grid(SURVEY.codebook, by=BY)
PEOPLE = ss.observed_backgrounds(SURVEY, by=BY)


def simulated(draws: int = 400, method: str = "mrp") -> pd.DataFrame:
    return ss.simulate(SURVEY, GRID, questions=["q1", "q2"], method=method, draws=draws)


def test_draws_are_shares_that_spread_as_the_posterior() -> None:
    table = simulated()
    drawn = table[draw_columns(table)]
    assert drawn.shape == (len(table), 400)
    sums = drawn.groupby([table["question_id"], table["background_id"]]).sum()
    np.testing.assert_allclose(sums, 1.0, rtol=1e-9)
    assert (drawn >= 0).all(axis=None)
    ratio = drawn.std(axis=1, ddof=1) / table["std_error"]
    assert 0.9 < ratio.median() < 1.1


def test_rare_options_are_drawn_around_their_shares() -> None:
    """Ten respondents in each of 28 places, eleven options of which two are rare: draws keep to shares and standard errors."""
    generator, shares = np.random.default_rng(0), np.array([0.1, 0.05, 0.09, 0.12, 0.1, 0.18, 0.12, 0.12, 0.08, 0.03, 0.01])
    places = [f"place={place:02d}" for place in range(28)]
    answers = generator.multinomial(10, shares, size=len(places)) / 10
    names = {"background_id": np.repeat(places, 11), "option_code": np.tile(np.arange(11), len(places))}
    sample = pd.DataFrame({"question_id": "q", **names, "share": answers.ravel(), "n": 10, "n_eff": 10.0, "source": "made"})
    sample["option_order"] = sample["option_code"]
    grid = pd.DataFrame({"background_id": places, "place": [name[-2:] for name in places]})
    table = ss.estimate_baseline(sample, grid, method="mrp", ordinal=["q"], draws=400)
    drawn, rare = table[draw_columns(table)], table["option_code"] >= 9
    for part in (rare, ~rare):
        ratio = (drawn[part].var(axis=1, ddof=1)).sum() / (table[part]["std_error"] ** 2).sum()
        assert 0.75 < ratio < 1.1, ratio
        assert (drawn[part].mean(axis=1) - table[part]["share"]).abs().mean() < 0.2 * table[part]["std_error"].mean()


def test_draws_leave_the_shares_as_they_are() -> None:
    plain, table = ss.simulate(SURVEY, GRID, questions=["q1", "q2"], method="mrp"), simulated(20)
    pd.testing.assert_frame_equal(plain, table[plain.columns])


def by_question_and_option(values: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    return pd.Series(values).groupby([table["question_id"], table["option_order"]]).sum().to_numpy()


def test_sums_over_cells_carry_what_the_cells_share() -> None:
    """The error of a sum lies between that of independent cells and that of cells that err as one (Cauchy-Schwarz)."""
    census = PEOPLE[[*BY, "population_share"]]
    table = simulated()
    totals, alone = ss.poststratify(table, census), ss.poststratify(table.drop(columns=draw_names(400)), census)
    np.testing.assert_allclose(totals["share"], alone["share"], rtol=1e-12)
    part = table["background_id"].map(PEOPLE.set_index("background_id")["population_share"]).to_numpy()
    spread = table[draw_names(400)].to_numpy().std(1, ddof=1)
    independent, as_one = np.sqrt(by_question_and_option((part * spread) ** 2, table)), by_question_and_option(part * spread, table)
    together = totals["std_error"].to_numpy()
    assert ((independent < together) & (together <= as_one)).all()
    np.testing.assert_allclose(alone["std_error"], np.sqrt(by_question_and_option((part * table["std_error"]) ** 2, table)), rtol=1e-12)
    assert draw_columns(totals) == draw_names(400)
    np.testing.assert_allclose(totals[draw_columns(totals)].to_numpy().std(1, ddof=1), together, rtol=1e-9)


def test_the_sampling_error_of_the_population_adds_to_that_of_the_draws() -> None:
    table = simulated()
    census, sampled = (ss.poststratify(table, people) for people in (PEOPLE[[*BY, "population_share"]], PEOPLE))
    apart = ss.poststratify(table.drop(columns=draw_names(400)).assign(std_error=0.0), PEOPLE)
    np.testing.assert_allclose(sampled["std_error"] ** 2, census["std_error"] ** 2 + apart["std_error"] ** 2, rtol=1e-9)


def test_the_standard_error_of_a_total_is_near_the_survey_s_own() -> None:
    """Where cells differ little, the sample's whole information on a share is that of its respondents, whoever adds it up."""
    totals = ss.poststratify(simulated(), PEOPLE[[*BY, "population_share"]])
    direct = ss.response_distributions(SURVEY, questions=["q1", "q2"])
    ratio = totals["std_error"].to_numpy() / direct["std_error"].to_numpy()
    assert (np.abs(ratio - 1) < 0.35).all(), ratio


def test_a_composite_hands_the_draws_on() -> None:
    halves = ss.cross_fit(SURVEY, lambda part: ss.simulate(part, GRID, questions=["q1"], method="mrp", draws=200), by=BY, questions=["q1"])
    table = ss.composite(halves.direct, halves.simulated)
    drawn = table[draw_columns(table)].to_numpy()
    cell = table.groupby("background_id", sort=False).ngroup().to_numpy()
    np.testing.assert_allclose(np.bincount(cell, drawn.var(1, ddof=1)), np.bincount(cell, table["mse"]), rtol=1e-6)
    direct = ss.response_distributions(SURVEY, questions=["q1"])
    ratio = ss.poststratify(table, PEOPLE)["std_error"].to_numpy() / direct["std_error"].to_numpy()
    assert ((ratio > 0.8) & (ratio < 2)).all(), ratio
    again, other = (ss.composite(halves.direct, halves.simulated, seed=seed) for seed in (0, 1))
    pd.testing.assert_frame_equal(again, table)
    names = draw_columns(other)
    pd.testing.assert_frame_equal(other.drop(columns=names), table.drop(columns=names))
    assert not np.allclose(other[names], table[names])


def test_normal_draws_have_the_covariance() -> None:
    covariance = np.array([[2.0, 0.9], [0.9, 1.0]])
    drawn = normal_draws(covariance, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.06)


def test_draws_are_replaced_not_doubled() -> None:
    table = pd.DataFrame({"share": [0.4, 0.6], "draw_1": [0.0, 1.0], "draw_2": [1.0, 0.0]})
    assert draw_columns(with_draws(table, np.array([[0.5], [0.5]]))) == ["draw_1"]


@pytest.mark.parametrize(
    ("draws", "method", "error", "says"),
    [
        (5, "mrp", EstimationError, "draws must be 0 .none. or at least 20.*got 5"),
        (100, "ridge", EstimationError, "'ridge' has no posterior to draw from; use one of mrp"),
        (100, "mrb", SurveySimError, "method 'mrb' is unknown"),
    ],
)
def test_draws_that_cannot_be_made_say_so(draws: int, method: str, error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        simulated(draws, method)
