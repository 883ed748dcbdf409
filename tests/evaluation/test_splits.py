"""Splits: nobody and nothing stands on both sides, sizes are as asked, and typos get the nearest name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import BackgroundError, CodebookError, SplitError, TableError


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return ss.load_example("nonvoters2020")


@pytest.fixture(scope="module")
def grid(survey: ss.Survey) -> pd.DataFrame:
    return ss.background_grid(survey.codebook, by=["gender", "age6", "education"])


def test_respondents_are_divided_without_overlap_or_loss(survey: ss.Survey) -> None:
    train, truth = ss.hold_out_respondents(survey, n_train=400, seed=3)
    drawn, left = set(train.data.respondent_id), set(truth.data.respondent_id)
    assert len(train) == len(drawn) == 400
    assert not drawn & left
    assert drawn | left == set(survey.data.respondent_id)
    assert train.data.columns.equals(survey.data.columns)


def test_the_seed_decides_and_sizes_are_nested(survey: ss.Survey) -> None:
    first, again = (ss.hold_out_respondents(survey, n_train=200, seed=1)[0] for _ in range(2))
    larger = ss.hold_out_respondents(survey, n_train=800, seed=1)[0]
    other = ss.hold_out_respondents(survey, n_train=200, seed=2)[0]
    assert first.data.equals(again.data)
    assert set(first.data.respondent_id) < set(larger.data.respondent_id)
    assert set(first.data.respondent_id) != set(other.data.respondent_id)


def test_the_waves_of_a_person_stay_together(survey: ss.Survey) -> None:
    rows = survey.take(np.repeat(np.arange(50), 3))
    panel = replace(rows, data=rows.data.assign(respondent_id=np.repeat(np.arange(50), 3)))
    train, truth = ss.hold_out_respondents(panel, n_train=20, seed=0)
    assert (len(train), len(truth)) == (60, 90)
    assert not set(train.data.respondent_id) & set(truth.data.respondent_id)


@pytest.mark.parametrize("n_train", [0, -1, 5836, 10_000])
def test_a_size_out_of_range_is_refused(survey: ss.Survey, n_train: int) -> None:
    with pytest.raises(SplitError, match=rf"n_train must be 1 to 5,835.*got {n_train}"):
        ss.hold_out_respondents(survey, n_train=n_train, seed=0)


def test_backgrounds_are_held_out_whole(grid: pd.DataFrame) -> None:
    table = grid.loc[grid.index.repeat(3)]
    kept, held = ss.hold_out_backgrounds(table, fraction=0.2, seed=0)
    assert held.background_id.nunique() == round(0.2 * len(grid))
    assert not set(kept.background_id) & set(held.background_id)
    assert len(kept) + len(held) == len(table)
    assert (held.background_id.value_counts() == 3).all()


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_a_fraction_out_of_range_is_refused(grid: pd.DataFrame, fraction: float) -> None:
    with pytest.raises(SplitError, match="fraction must be above 0 and below 1"):
        ss.hold_out_backgrounds(grid, fraction=fraction, seed=0)


def test_a_single_background_cannot_be_split(grid: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="at least two"):
        ss.hold_out_backgrounds(grid.iloc[:1], fraction=0.5, seed=0)
    with pytest.raises(TableError, match="lacks column background_id"):
        ss.hold_out_backgrounds(grid.drop(columns="background_id"), fraction=0.5, seed=0)


def test_a_level_is_held_out_in_every_combination(survey: ss.Survey, grid: pd.DataFrame) -> None:
    level = survey.codebook.trait("education").level_names[0]
    kept, held = ss.hold_out_levels(grid, trait="education", levels=[level])
    assert set(held.education) == {level}
    assert level not in set(kept.education)
    assert len(held) == 12
    by_name = ss.hold_out_levels(grid, trait="education", levels=level)[1]
    pd.testing.assert_frame_equal(by_name, held)


def test_a_level_or_a_background_can_be_held_out_of_a_survey(survey: ss.Survey, grid: pd.DataFrame) -> None:
    kept, held = ss.hold_out_levels(survey, trait="age6", levels=["65+", "18-24"])
    assert set(held.data.age6.astype(str)) == {"65+", "18-24"}
    assert not set(kept.data.age6.astype(str)) & {"65+", "18-24"}
    assert len(kept) + len(held) == len(survey)
    by = ["gender", "education"]
    cells = ss.observed_backgrounds(survey, by=by)
    out = set(ss.hold_out_backgrounds(cells, fraction=0.4, seed=3)[1].background_id)
    kept, held = ss.hold_out_backgrounds(survey, by=by, fraction=0.4, seed=3)
    assert set(ss.observed_backgrounds(held, by=by).background_id) == out
    assert set(ss.observed_backgrounds(kept, by=by).background_id) == set(cells.background_id) - out
    with pytest.raises(BackgroundError, match="by is empty; give by= one name or several of gender, age3"):
        ss.hold_out_backgrounds(survey, fraction=0.4, seed=3)
    with pytest.raises(CodebookError, match="age7"):
        ss.hold_out_levels(survey, trait="age7", levels="65+")


def test_respondents_without_the_trait_are_kept(survey: ss.Survey) -> None:
    ages = survey.data.age3.astype(object).where(np.arange(len(survey)) >= 100)
    partly = replace(survey, data=survey.data.assign(age3=ages))
    kept, held = ss.hold_out_levels(partly, trait="age3", levels="55+")
    assert kept.data.age3.isna().sum() == 100
    assert held.data.age3.eq("55+").all()


def test_unknown_traits_and_levels_get_the_nearest_name(survey: ss.Survey, grid: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="no trait 'educaton'; did you mean 'education'"):
        ss.hold_out_levels(grid, trait="educaton", levels=["x"])
    with pytest.raises(SplitError, match="levels: trait 'gender' of the backgrounds has no level 'femal'; did you mean 'female'"):
        ss.hold_out_levels(grid, trait="gender", levels=["femal"])
    with pytest.raises(SplitError, match="some, not all"):
        ss.hold_out_levels(grid, trait="gender", levels=survey.codebook.trait("gender").level_names)


def test_questions_are_held_out_by_whole_topics(survey: ss.Survey) -> None:
    kept, held = ss.hold_out_questions(survey.codebook, fraction=0.25, seed=0)
    assert sorted([*kept, *held]) == sorted(survey.codebook.questions)
    topics = [{survey.codebook.question(name).topic for name in side} - {""} for side in (kept, held)]
    assert not topics[0] & topics[1]
    assert held
    largest = max(pd.Series([question.topic for question in survey.codebook.questions.values()]).value_counts())
    assert abs(len(held) - 0.25 * len(survey.codebook.questions)) <= largest


def test_a_survey_is_divided_by_its_codebook_and_the_questions_that_it_holds(survey: ss.Survey) -> None:
    assert ss.hold_out_questions(survey, fraction=0.25, seed=0) == ss.hold_out_questions(survey.codebook, fraction=0.25, seed=0)
    some = survey.select(survey.questions[:3])
    kept, held = ss.hold_out_questions(some, fraction=0.4, seed=0, by_topic=False)
    assert sorted([*kept, *held]) == sorted(some.questions)


def test_single_questions_are_drawn_from_a_list() -> None:
    kept, held = ss.hold_out_questions(list("abcdefghij"), fraction=0.3, seed=0, by_topic=False)
    assert (len(kept), len(held)) == (7, 3)
    assert kept == sorted(kept)
    with pytest.raises(SplitError, match="carries no topics"):
        ss.hold_out_questions(["a", "b"], fraction=0.5, seed=0)


def test_something_is_always_kept_and_held_out(survey: ss.Survey) -> None:
    for fraction in (0.001, 0.999):
        kept, held = ss.hold_out_questions(survey.codebook, fraction=fraction, seed=0)
        assert kept
        assert held


def test_rows_of_a_resample_fall_on_one_side_together() -> None:
    survey = ss.load_example("nonvoters2020")
    drawn = np.random.default_rng(0).integers(0, 600, 600)
    resample = survey.take(drawn)
    resample.data["respondent_id"] = np.arange(600)
    train, truth = ss.hold_out_respondents(resample, n_train=200, seed=0)
    sides = [set(drawn[part.data["respondent_id"].to_numpy()].tolist()) for part in (train, truth)]
    assert len(sides[0]) == 200
    assert not sides[0] & sides[1]
    assert len(train) + len(truth) == 600
