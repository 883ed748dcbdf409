"""Errors by refitting: they are the replicates' own for a plain estimator, and add up over cells and seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.baselines.fitting import warn_of_ignored_prior, warning_once_of_a_prior
from surveysim.errors import EstimationError, SurveySimError, TableError
from surveysim.tables.draws import draw_columns
from tests.support.opinion_survey import TRAITS, opinion_survey
from tests.support.small_surveys import small_survey

BY = ["age", "gender"]
SURVEY = small_survey(n=120)
PEOPLE = ss.observed_backgrounds(SURVEY, by=BY)[[*BY, "population_share"]]


def direct(part: ss.Survey) -> pd.DataFrame:
    return ss.response_distributions(part, by=BY, questions=["q1", "q2"])


def ridge(part: ss.Survey) -> pd.DataFrame:
    return ss.simulate(part, BY, questions=["q1", "q2"], method="ridge")


@pytest.mark.parametrize(("method", "design"), [("JK1", False), ("JKn", True), ("bootstrap", True)])
def test_for_the_direct_estimate_they_are_those_of_replicate_weights(method: str, design: bool) -> None:
    survey = small_survey(n=400, design=design) if design else SURVEY
    found = ss.resampled_errors(survey, direct, method=method, n_replicates=40, progress=False)
    same = ss.as_replicates(survey, method=method, n_replicates=40)
    expected = direct(same)
    np.testing.assert_allclose(found["share"], expected["share"], rtol=1e-12)
    np.testing.assert_allclose(found["std_error"], expected["std_error"], rtol=1e-9)
    own = ss.resampled_errors(same, direct, progress=False)
    np.testing.assert_allclose(own["std_error"], expected["std_error"], rtol=1e-9)
    assert own.attrs["resampling"] == found.attrs["resampling"]


def test_the_replicates_add_up_over_cells_as_the_whole_pipeline_does() -> None:
    cells = ss.resampled_errors(SURVEY, ridge, n_replicates=25, progress=False)
    totals = ss.poststratify(cells, PEOPLE)
    pipeline = ss.resampled_errors(SURVEY, lambda part: ss.poststratify(ridge(part), PEOPLE), n_replicates=25, progress=False)
    np.testing.assert_allclose(totals["share"], pipeline["share"], rtol=1e-9)
    np.testing.assert_allclose(totals["std_error"], pipeline["std_error"], rtol=1e-9)
    np.testing.assert_allclose(cells[draw_columns(cells)].std(axis=1, ddof=1), cells["std_error"], rtol=1e-9)


def test_they_are_near_the_design_s_own_for_totals() -> None:
    survey = small_survey(n=400)
    found = ss.resampled_errors(survey, lambda part: ss.poststratify(ridge(part), PEOPLE), n_replicates=100, progress=False)
    expected = ss.response_distributions(survey, questions=["q1", "q2"])["std_error"].to_numpy()
    ratio = found["std_error"].to_numpy() / expected
    assert (np.abs(ratio - 1) < 4 / np.sqrt(2 * 100)).all(), "four standard errors of a standard error of 100 replicates"


def test_seeds_are_averaged_and_their_spread_is_added() -> None:
    def noisy(part: ss.Survey, seed: int) -> pd.DataFrame:
        table = direct(part)
        return table.assign(share=table["share"] + np.random.default_rng(seed).normal(0, 0.01) * sign)

    sign = direct(SURVEY)["option_order"].map({0: 1.0, 1: -1.0}).fillna(0.0)
    one, several = (ss.resampled_errors(SURVEY, noisy, seeds=seeds, n_replicates=30, progress=False) for seeds in ([3], [3, 4, 5]))
    shifts = np.array([np.random.default_rng(seed).normal(0, 0.01) for seed in (3, 4, 5)])
    np.testing.assert_allclose(several["std_error_seed"], sign.abs() * shifts.std(ddof=1) / np.sqrt(3), atol=1e-12)
    np.testing.assert_allclose(several["std_error"] ** 2, one["std_error"] ** 2 + several["std_error_seed"] ** 2, rtol=1e-9)
    np.testing.assert_allclose(several["share"] - direct(SURVEY)["share"], sign * shifts.mean(), atol=1e-12)
    assert one["std_error_seed"].isna().all()


def fewer(part: ss.Survey) -> pd.DataFrame:
    table = direct(part)
    return table if len(part) == len(SURVEY) else table[table["question_id"] == "q1"]


BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.resampled_errors(SURVEY, direct, n_replicates=5, progress=False), EstimationError, "at least 20 replicates; there are 5"),
    (lambda: ss.resampled_errors(SURVEY, fewer, progress=False), EstimationError, "replicate 0: the estimator gives other cells.*q2 /"),
    (lambda: ss.resampled_errors(SURVEY, lambda part: part.data, progress=False), TableError, "the estimator's table lacks column"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_what_cannot_be_refitted_says_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


def test_a_prior_table_is_fixed_and_a_prior_survey_is_resampled_too() -> None:
    """With hardly any sample the errors are the prior's own: none of a table, those of its respondents of a survey."""
    earlier, few = small_survey(n=600, seed=5), small_survey(n=40, seed=6)

    def moved(part: ss.Survey, prior: object) -> pd.DataFrame:
        return ss.simulate(part, ["gender"], questions=["q1"], method="mrp", prior=prior)

    table = ss.response_distributions(earlier, by=["gender"], questions=["q1"])
    fixed, resampled, several = (
        ss.resampled_errors(few, moved, prior=prior, n_replicates=25, progress=False)["std_error"].mean()
        for prior in (table, earlier, {"one": earlier, "other": table})
    )
    assert resampled > 1.05 * fixed
    assert several > 0


def test_a_prior_that_misleads_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not in every replicate; a second prior has a warning of its own, and afterwards all is as before."""
    survey, earlier = opinion_survey(400, 1), ss.response_distributions(opinion_survey(2000, 9), by=TRAITS, questions=["trust", "taxes"])
    names = sorted(earlier["background_id"].unique())
    other = dict(zip(names, np.random.default_rng(4).permutation(names), strict=True))
    dealt = earlier.assign(background_id=earlier["background_id"].map(other))

    def moved(part: ss.Survey, prior: pd.DataFrame) -> pd.DataFrame:
        return ss.simulate(part, TRAITS, questions=["trust", "taxes"], method="mrp", prior=prior)

    moved(survey, dealt)
    expected = [record.msg for record in caplog.records]
    assert any("misleads" in said for said in expected)
    caplog.clear()
    ss.resampled_errors(survey, moved, prior=dealt, n_replicates=20, progress=False)
    said = [record.msg for record in caplog.records]
    assert set(expected) <= set(said)
    assert len(said) == len(set(said))
    caplog.clear()
    with warning_once_of_a_prior():
        for name in ("one", "one", "other"):
            warn_of_ignored_prior(name, [0.9])
    assert [record.args[0] for record in caplog.records] == ["one", "other"]
    warn_of_ignored_prior("one", [0.9])
    assert len(caplog.records) == 3
