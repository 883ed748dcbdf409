"""Pairs of respondents with the same answers to most questions are listed, at a cost that grows with the respondents."""

from __future__ import annotations

import numpy as np
import pytest

import surveysim as ss
from surveysim.errors import SurveySimError


def test_copies_are_listed_with_what_they_share() -> None:
    survey = ss.load_example("nonvoters2020").take(np.arange(400))
    copied = survey.take(np.append(np.arange(400), [7, 9]))
    copied.data["respondent_id"] = np.arange(402)
    pairs = ss.check_duplicates(copied)
    assert pairs[["respondent_1", "respondent_2"]].values.tolist()[:2] in ([[7, 400], [9, 401]], [[9, 401], [7, 400]])
    assert (pairs.share[:2] == 1).all()
    assert (pairs.matching == pairs.questions)[:2].all()
    assert pairs.attrs["respondents"] == 402


def test_a_copy_with_some_answers_changed_is_found_and_its_share_told() -> None:
    survey = ss.load_example("nonvoters2020")
    made = survey.take(np.append(np.arange(300), 5))
    made.data["respondent_id"] = np.arange(301)
    valid = [name for name in made.questions if made.reasons[name].isna().iloc[300]]
    for name in valid[:4]:
        other = [code for code in survey.codebook.question(name).codes if code != made.data[name].iloc[300]]
        made.data.loc[300, name] = other[0]
    pairs = ss.check_duplicates(made)
    found = pairs[(pairs.respondent_1 == 5) & (pairs.respondent_2 == 300)].iloc[0]
    assert (found.questions, found.matching) == (len(valid), len(valid) - 4)
    assert found.share == pytest.approx(1 - 4 / len(valid))
    assert ss.check_duplicates(made, share=0.99).query("respondent_2 == 300").empty


def test_the_cost_is_bounded() -> None:
    survey = ss.load_example("nonvoters2020")
    table = ss.check_duplicates(survey)
    assert table.attrs["pairs_compared"] < 20 * len(survey)
    assert table.attrs["recurring"] <= 2 * len(table)
    assert (table.share >= 0.85).all()
    assert table.share.is_monotonic_decreasing


def test_a_survey_without_alike_respondents_gives_an_empty_table() -> None:
    table = ss.check_duplicates(ss.load_example("nonvoters2020").take(np.arange(30)), share=1)
    assert table.empty
    assert list(table.columns) == ["respondent_1", "respondent_2", "questions", "matching", "share"]


@pytest.mark.parametrize("share", [0, 1.2, -1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(SurveySimError, match=r"share must be above 0 and at most 1, a share of matching answers; got"):
        ss.check_duplicates(ss.load_example("nonvoters2020"), share=share)
    with pytest.raises(SurveySimError, match="survey must be a Survey"):
        ss.check_duplicates([1])  # type: ignore[arg-type]
