"""Backgrounds: ids, grids, minimum cells, and their words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.backgrounds import (
    background_id,
    one_trait_pairs,
    parse_background_id,
    same_traits,
    traits_apart,
    traits_from_nearest,
    traits_in,
    with_background_id,
)
from surveysim.codebook.codebook import Level, Option, Question, Trait
from surveysim.errors import BackgroundError, CodebookError, EstimationError, TableError
from surveysim.tables.schema import DISTRIBUTION_COLUMNS, check_backgrounds
from tests.support.small_surveys import LEVELS, small_codebook, small_frame, small_survey

NAMES = st.text(st.characters(exclude_characters="|=", exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(st.dictionaries(NAMES, NAMES, max_size=5))
def test_an_id_reads_back_and_does_not_depend_on_order(levels: dict[str, str]) -> None:
    assert parse_background_id(background_id(levels)) == levels
    assert background_id(dict(reversed(levels.items()))) == background_id(levels)


def test_the_grid_holds_every_combination_once() -> None:
    grid = ss.background_grid(small_codebook(), by=["region", "age"])
    assert list(grid.columns) == ["background_id", "region", "age"]
    assert set(grid.background_id) == {f"age={age}|region={region}" for age in LEVELS["age"] for region in LEVELS["region"]}
    with pytest.raises(CodebookError, match="has no trait 'agee'; did you mean 'age'"):
        ss.background_grid(small_codebook(), by=["agee"])


def test_observed_backgrounds_are_counted_with_their_weights() -> None:
    survey = small_survey()
    table = ss.observed_backgrounds(survey, by=["age", "gender"])
    check_backgrounds(table, ["age", "gender"])
    for row in table.itertuples():
        weights = survey.data.weight[(survey.data.age == row.age) & (survey.data.gender == row.gender)]
        assert row.n == len(weights)
        assert row.n_eff == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
        assert row.population_share == pytest.approx(weights.sum() / survey.data.weight.sum())


@pytest.mark.parametrize(("min_n", "min_n_eff"), [(0, 0), (60, 0), (0, 60.5), (75, 60.5), (10**6, 0)])
def test_small_backgrounds_are_flagged_and_stay(min_n: int, min_n_eff: float) -> None:
    table = ss.observed_backgrounds(small_survey(), by=["age", "region"], min_n=min_n, min_n_eff=min_n_eff)
    assert len(table) == 6
    assert (table.enough == ((table.n >= min_n) & (table.n_eff >= min_n_eff))).all()
    assert table.population_share.sum() == pytest.approx(1)


def test_observed_backgrounds_are_backgrounds_to_simulate() -> None:
    survey = small_survey()
    observed = ss.observed_backgrounds(survey, by=["gender"], min_n=2)
    again = with_background_id(observed, survey.codebook)
    pd.testing.assert_frame_equal(again, observed)
    shares = ss.simulate(survey, observed, method="pooled")
    assert set(shares.background_id) == set(observed.background_id)


def test_a_background_of_zero_weights_has_no_effective_respondents() -> None:
    frame = small_frame()
    frame.loc[frame.age == 0, "w"] = 0.0
    table = ss.observed_backgrounds(ss.as_survey(frame, small_codebook()), by=["age"], min_n_eff=1).set_index("age")
    assert table.loc["young", ["n_eff", "population_share"]].tolist() == [0, 0]
    assert table.enough.to_dict() == {"young": False, "old": True}


def test_respondents_without_a_level_count_in_none() -> None:
    survey = ss.as_survey(small_frame().assign(age=[0, np.nan] * 200), small_codebook())
    assert ss.observed_backgrounds(survey, by=["age", "gender"]).n.sum() == 200
    nobody = ss.as_survey(small_frame().assign(age=np.nan), small_codebook())
    with pytest.raises(BackgroundError, match=r"no respondent has a level of every one of age; na_table\(survey, of='traits'\) says why"):
        ss.observed_backgrounds(nobody, by=["age"])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"by": 3}, r"by must be a name or a list of names; got int 3; give by= one name or several of age, gender"),
    ({"by": []}, r"by is empty; give by= one name or several of age, gender"),
    ({"by": ["region"]}, r"by: the survey was read without trait 'region'; known: age, gender"),
    ({"by": ["age"], "min_n": -1}, r"min_n=-1 and min_n_eff=0.0: a minimum is at least 0"),
])  # fmt: skip
def test_arguments_are_checked(arguments: dict[str, object], message: str) -> None:
    survey = ss.as_survey(small_frame(), small_codebook(), traits=["age", "gender"])
    with pytest.raises(BackgroundError, match=message):
        ss.observed_backgrounds(survey, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("frame", "message"), [
    (pd.DataFrame({"agee": ["young"]}), r"backgrounds: column 'agee' is no trait of codebook 'small'; did you mean 'age'"),
    (pd.DataFrame({"age": ["middle"]}), r"backgrounds: trait 'age' has no level 'middle'; its levels are young, old"),
    (pd.DataFrame({"age": ["old", "old"]}), r"backgrounds repeats age=old; keep one row each"),
    (pd.DataFrame({"age": []}), r"backgrounds needs a row per background and a column per trait"),
    (pd.DataFrame({"n": [3]}), r"backgrounds needs a row per background and a column per trait"),
])  # fmt: skip
def test_frames_of_backgrounds_are_checked(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(BackgroundError, match=message):
        with_background_id(frame, small_codebook())


# --- words -----------------------------------------------------------------------------------------------------------------


def worded(**texts: tuple[str, str]) -> ss.Codebook:
    traits = {name: Trait(name, name, (Level("1", one, (1,)), Level("2", two, (2,)))) for name, (one, two) in texts.items()}
    return ss.Codebook("b", "B", traits, {"q": Question("q", "Q?", (Option(1, "a"), Option(2, "b")))})


BOOK = worded(
    gender=("a woman", "an unusual man"),
    age=("aged 35 to 54", "aged 55 or over"),
    country=("in Norway", "in the Netherlands"),
    education=("with upper secondary education", "with a degree"),
    income=("with a low income", "with a high income"),
    party=("a Democrat", "an Independent"),
    race=("who is White", "who is Black"),
    vote=("who votes", "who never votes"),
)


@pytest.mark.parametrize(("levels", "words"), [
    ({}, "a person"),
    ({"age": "1"}, "a person aged 35 to 54"),
    ({"education": "1", "gender": "1", "country": "1", "age": "1"}, "a woman aged 35 to 54 in Norway with upper secondary education"),
    ({"education": "2", "income": "2"}, "a person with a degree and with a high income"),
    ({"race": "1", "vote": "2"}, "a person who is White and who never votes"),
    ({"gender": "2", "party": "2", "vote": "1"}, "an unusual man who is an Independent and who votes"),
    ({"country": "2", "party": "1"}, "a Democrat in the Netherlands"),
])  # fmt: skip
def test_a_background_is_a_sentence(levels: dict[str, str], words: str) -> None:
    assert ss.describe_background(levels, BOOK) == words


def test_traits_may_come_first() -> None:
    levels = {"gender": "1", "age": "1", "country": "1"}
    assert ss.describe_background(levels, BOOK, order=["country"]) == "a woman in Norway aged 35 to 54"


def test_words_for_what_is_unknown_are_refused() -> None:
    with pytest.raises(BackgroundError, match="background: 'agee' is no trait of codebook 'b'; did you mean 'age'"):
        ss.describe_background({"agee": "1"}, BOOK)
    with pytest.raises(BackgroundError, match="background: 'sex' is no trait"):
        ss.describe_background({"age": "1"}, BOOK, order=["sex"])
    with pytest.raises(CodebookError, match="trait 'age' has no level '3'"):
        ss.describe_background({"age": "3"}, BOOK)


IDS = st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"), max_size=3).map(background_id), max_size=6)


@given(IDS, IDS)
def test_the_distance_is_the_number_of_traits_that_differ(ids: list[str], others: list[str]) -> None:
    apart = traits_apart(ids, others)
    assert apart.shape == (len(ids), len(others))
    for row, one in enumerate(map(parse_background_id, ids)):
        for column, other in enumerate(map(parse_background_id, others)):
            assert apart[row, column] == sum(one.get(trait) != other.get(trait) for trait in "abc")
    np.testing.assert_array_equal(apart, traits_apart(others, ids).T)
    nearest = apart.min(1) if others else [len(parse_background_id(identifier)) for identifier in ids]
    assert traits_from_nearest(ids, others).tolist() == list(nearest)
    pairs = one_trait_pairs(ids)
    assert pairs.tolist() == [[i, j] for i in range(len(ids)) for j in range(i + 1, len(ids)) if traits_apart(ids, ids)[i, j] == 1]


def test_traits_of_cells_and_margins() -> None:
    cells = ["age=old|gender=female", "age=old|gender=male"]
    assert traits_in([*cells, "all"]) == same_traits(cells, "cells", "join them") == ["age", "gender"]
    assert traits_in(["all"]) == same_traits(["all", "all"], "cells", "join them") == []
    with pytest.raises(TableError, match=r"cells: backgrounds age=old, all have other traits than 'age=old\|gender=female'; join them"):
        same_traits([*cells, "age=old", "all"], "cells", "join them")
    with pytest.raises(EstimationError, match="cells: backgrounds age=old"):
        same_traits(["all", "age=old"], "cells", "join them", error=EstimationError)


def test_traits_become_columns_beside_the_id() -> None:
    table = ss.response_distributions(small_survey(), by=["gender", "age"], questions="q1")[DISTRIBUTION_COLUMNS]
    split = ss.split_background(table)
    assert split.columns[:5].tolist() == ["question_id", "background_id", "age", "gender", "option_code"]
    assert [background_id({"age": age, "gender": gender}) for age, gender in zip(split.age, split.gender, strict=True)] == list(
        split.background_id
    )
    assert split.attrs == table.attrs
    pd.testing.assert_frame_equal(split[table.columns], table)
    pd.testing.assert_frame_equal(ss.split_background(split), split)


def test_a_table_that_has_its_traits_is_left_as_it_is() -> None:
    parts = [ss.response_distributions(small_survey(), by=by, questions="q1") for by in (["age", "gender"], [])]
    both = pd.concat(parts)
    pd.testing.assert_frame_equal(ss.split_background(both), both)


def test_a_margin_has_missing_levels() -> None:
    parts = [ss.response_distributions(small_survey(), by=by, questions="q1") for by in (["age", "gender"], ["gender"], [])]
    split = ss.split_background(pd.concat(parts)[DISTRIBUTION_COLUMNS])
    margin = split[split.background_id == "gender=male"]
    assert margin.age.isna().all()
    assert (margin.gender == "male").all()
    assert split[split.background_id == "all"][["age", "gender"]].isna().all(axis=None)


def test_a_table_that_cannot_be_split_says_why() -> None:
    table = ss.response_distributions(small_survey(), by=["age"], questions="q1")
    with pytest.raises(TableError, match="table lacks column background_id"):
        ss.split_background(table.drop(columns="background_id"))
    with pytest.raises(TableError, match=r"background_id 'young' is none; it is written trait=level"):
        ss.split_background(table.assign(background_id="young"))
    with pytest.raises(TableError, match="table has a column age that is no such trait"):
        ss.split_background(table.assign(age=3))
