"""Abstention: what nobody was asked about is flagged, what the sample carries is not, and flagged cells err more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError, SurveySimError, TableError
from tests.support.small_surveys import small_survey

BY = ["age", "gender", "region"]
SURVEY = small_survey(n=500)
GRID = ss.background_grid(SURVEY.codebook, by=BY)


def simulated(survey: ss.Survey, method: str = "mrp") -> pd.DataFrame:
    return ss.simulate(survey, GRID, questions=["q1", "q2"], method=method, progress=False)


def without(**levels: str) -> ss.Survey:
    """Return the survey without the respondents who have all these levels."""
    there = np.logical_and.reduce([SURVEY.data[trait] == level for trait, level in levels.items()])
    return SURVEY.take(~there)


def test_a_well_sampled_table_is_used_whole() -> None:
    table = simulated(SURVEY)
    judged = ss.abstain(table, SURVEY)
    assert not judged["abstain"].any()
    assert (judged["abstain_reason"] == "").all()
    assert (judged["distance"] == 0).all()
    pd.testing.assert_frame_equal(judged[table.columns], table)


def test_a_level_that_was_never_sampled_is_flagged_and_no_other() -> None:
    survey = without(region="west")
    judged = ss.abstain(simulated(survey), survey)
    west = judged["background_id"].str.contains("region=west")
    assert (judged["abstain"] == west).all()
    assert set(judged.loc[west, "abstain_reason"]) == {"too few of a level"}
    assert (judged.loc[west, "level_n"] == 0).all()
    assert (judged.loc[west, "distance"] == 1).all()


def test_a_background_of_known_levels_is_as_far_as_the_traits_that_lead_to_it() -> None:
    survey = without(region="west", age="old")
    table = simulated(survey)
    judged = ss.abstain(table, survey, tolerable=1)
    assert not judged["abstain"].any(), "its levels were sampled, and a neighbour of each background"
    away = judged["background_id"].str.contains("age=old") & judged["background_id"].str.contains("region=west")
    assert (judged["distance"] == away.astype(int)).all()
    strict = ss.abstain(table, survey, max_distance=0, tolerable=1)
    assert (strict["abstain"] == away).all()
    assert set(strict.loc[away, "abstain_reason"]) == {"far from every sampled background"}


def test_respondents_of_the_question_count() -> None:
    """The rarest level of a background is counted among those who answered this very question."""
    judged = ss.abstain(simulated(SURVEY), SURVEY)
    answered = SURVEY.reasons["q2"].isna()
    counts = [SURVEY.data.loc[answered, trait].value_counts() for trait in BY]
    levels = {"age": "old", "gender": "male", "region": "north"}
    expected = min(count[levels[trait]] for trait, count in zip(BY, counts, strict=True))
    cell = judged[(judged["question_id"] == "q2") & (judged["background_id"] == "age=old|gender=male|region=north")]
    assert (cell["level_n"] == expected).all()


def test_variance_that_the_sample_left_is_told_from_variance_that_it_took() -> None:
    """By hand: shares spread with variance 0.01; errors .02, .02, .3 leave a mean of .0303, so .0403 was there before."""
    table = pd.DataFrame(
        {
            "question_id": "q",
            "background_id": np.repeat(["a=1", "a=2", "a=3"], 2),
            "option_code": [0, 1] * 3,
            "option_order": [0, 1] * 3,
            "share": [0.5 - 0.15**0.5 / 10**0.5, 0.5 + 0.15**0.5 / 10**0.5, 0.5, 0.5, 0.5 + 0.15**0.5 / 10**0.5, 0.5 - 0.15**0.5 / 10**0.5],
            "std_error": np.repeat([0.02, 0.02, 0.3], 2),
            "n": 30,
            "source": "model",
        }
    )
    judged = ss.abstain(table, table)
    left = np.array([0.0004, 0.0004, 0.09])
    np.testing.assert_allclose(judged["variance_left"].to_numpy()[::2], left / (0.01 + left.mean()))
    assert judged["abstain"].tolist() == [False] * 4 + [True] * 2
    assert judged["abstain_reason"].iloc[-1] == "nothing learnt"
    assert not ss.abstain(table, table, tolerable=0.3)["abstain"].any()
    assert ss.abstain(table.assign(std_error=np.nan), table)["variance_left"].isna().all()


def test_flagged_cells_err_more() -> None:
    survey = ss.load_example("nonvoters2020")
    by, asked = ["gender", "age3", "education"], ["Q8_8", "Q20", "Q21"]
    older = survey.take((survey.data["age3"] != "18-34").to_numpy())
    judged = ss.abstain(ss.simulate(older, by, questions=asked, method="mrp"), older)
    truth = ss.response_distributions(survey, by=by, questions=asked)
    both = judged.merge(truth, on=["question_id", "background_id", "option_code"], suffixes=("", "_true"))
    error = np.square(both["share"] - both["share_true"])
    assert error[both["abstain"]].mean() > 2 * error[~both["abstain"]].mean()


def test_a_table_of_respondents_serves_as_well_and_twice_is_once() -> None:
    survey = without(region="west")
    table, sample = simulated(survey, "ridge"), ss.response_distributions(survey, by=BY, questions=["q1", "q2"])
    judged = ss.abstain(table, sample)
    pd.testing.assert_frame_equal(judged, ss.abstain(table, survey))
    pd.testing.assert_frame_equal(judged, ss.abstain(judged, survey))


TABLE = simulated(SURVEY, "ridge")
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.abstain(TABLE, SURVEY, max_variance_left=0), EstimationError, "max_variance_left above 0 and at most 1"),
    (lambda: ss.abstain(TABLE, SURVEY, min_n=-1), EstimationError, "min_n and max_distance must be at least 0"),
    (
        lambda: ss.abstain(TABLE, ss.response_distributions(SURVEY, by=["age"])),
        EstimationError,
        "sample: backgrounds age=young, age=old have other traits than 'age=young|gender=female|region=north'; give the survey",
    ),
    (lambda: ss.abstain(TABLE, ss.response_distributions(SURVEY, by=BY, questions=["q1"])), EstimationError, "sample lacks questions q2"),
    (lambda: ss.abstain(TABLE, TABLE.drop(columns="n")), TableError, "sample lacks column n"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_what_cannot_be_judged_says_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()
