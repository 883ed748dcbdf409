"""Frames of pandas, polars and pyarrow as columns: only those wanted, with the labels that `attrs` hold, which are never copied."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Option
from surveysim.errors import CodebookError, ReadError
from surveysim.files.frames import frame_columns, is_frame, pandas_frame
from surveysim.files.rawfile import Wanted
from tests.support.opinion_survey import opinion_codebook, opinion_frame
from tests.support.synthetic import REASONS, trust_codebook, trust_frame

KINDS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "polars, lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "narwhals": nw.from_native,
}
BOOK = trust_codebook(missing={7: "refused", 8: "dont_know"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_survey_is_the_same_of_every_kind_of_frame(kind: str) -> None:
    frame = trust_frame()
    survey, expected = ss.as_survey(KINDS[kind](frame), BOOK), ss.as_survey(frame, BOOK)
    pd.testing.assert_frame_equal(survey.data, expected.data)
    assert [None if pd.isna(reason) else reason for reason in survey.reasons.trust] == REASONS


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_understood_in_every_kind_of_frame(kind: str) -> None:
    words = ["No trust at all", "Some trust", "Complete trust", "Refused", "Don't know", "Some trust"]
    frame = trust_frame().assign(trust=pd.Categorical(words), gndr=["male", "female"] * 3)
    survey = ss.as_survey(KINDS[kind](frame), BOOK)
    assert survey.data.trust.tolist() == [0, 1, 2, 7, 8, 1]
    assert survey.data.sex.tolist() == ["male", "female"] * 3


def test_only_the_columns_that_are_used_are_converted() -> None:
    frame = pl.from_pandas(trust_frame()).with_columns(nested=pl.lit([1, 2]), when=pl.datetime(2024, 1, 1))
    raw = frame_columns(frame, Wanted(("TRUST", "w")))
    assert list(raw.columns) == ["trust", "w"]
    assert raw.known == ("id", "trust", "gndr", "w", "nested", "when")


def test_empty_cells_and_decimals_of_other_libraries() -> None:
    frame = pl.DataFrame({"id": [1, 2, 3], "trust": [0, None, 2], "gndr": ["male", None, "female"], "w": [1, 2, 3]})
    survey = ss.as_survey(frame.with_columns(pl.col("w").cast(pl.Decimal(10, 2))), BOOK)
    assert survey.data.weight.tolist() == [1, 2, 3]
    assert survey.reasons.trust.isna().tolist() == [True, False, True]
    assert survey.data.sex.isna().tolist() == [False, True, False]


class _Heavy(dict):  # type: ignore[type-arg]
    """Labels that notice when they are copied."""

    def __deepcopy__(self, memo: object) -> _Heavy:
        raise AssertionError("attrs was copied")


def test_attrs_are_read_and_never_copied() -> None:
    frame = trust_frame()
    frame.attrs["variable_value_labels"] = _Heavy(trust={7.0: "Refusal", 8.0: "Don't know"})
    survey = ss.as_survey(frame, trust_codebook())
    assert [None if pd.isna(reason) else reason for reason in survey.reasons.trust] == REASONS
    with pytest.raises(AssertionError, match="attrs was copied"):
        deepcopy(frame.attrs)
    assert pandas_frame(frame).attrs == {}


def test_what_attrs_say_of_missing_codes_counts() -> None:
    frame = trust_frame()
    frame.attrs.update(
        variable_value_labels={"trust": {"a": "Refusal", 8.0: "Don't know"}, "gndr": None},
        missing_ranges={"trust": [{"lo": 7.0, "hi": 8.0}]},
        missing_user_values={"trust": ["a"]},
        column_names_to_labels={"trust": "Trust", "id": None},
    )
    variable = frame_columns(frame).variables["trust"]
    assert variable.value_labels == {".a": "Refusal", 8.0: "Don't know"}
    assert variable.missing == ((7.0, 8.0), (".a", ".a"))
    assert variable.label == "Trust"


def test_a_scale_that_attrs_label_the_other_way_round_is_refused() -> None:
    frame = trust_frame()
    frame.attrs["variable_value_labels"] = {"trust": {0: "Complete trust", 1: "Some trust", 2: "No trust at all", 7: "Refusal", 8: "DK"}}
    with pytest.raises(CodebookError, match=r"the scale is inverted.*empty frame\.attrs if the frame was recoded"):
        ss.as_survey(frame, trust_codebook())


@pytest.mark.parametrize(("given", "message"), [
    ([1, 2], "frame must be a frame with a row per respondent .pandas, polars, pyarrow, DuckDB .*; got list"),
    (pl.DataFrame({"trust": []}), "frame holds no respondents"),
    (pd.DataFrame(index=[1, 2]), "frame holds no respondents"),
])  # fmt: skip
def test_what_is_no_frame_is_refused(given: object, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        frame_columns(given)


def test_frames_are_told_from_other_things() -> None:
    assert [is_frame(item) for item in (pd.DataFrame(), pl.DataFrame(), pl.LazyFrame(), "trust", ["sex"], 3)] == [True] * 3 + [False] * 3


def test_yes_and_no_may_be_true_and_false() -> None:
    book = opinion_codebook()
    vote = replace(book.question("vote"), options=(Option(1, "Yes"), Option(0, "No")))
    yes_no = replace(book, questions={"vote": vote})
    frame = opinion_frame(40).assign(vote=lambda table: table["vote"] % 2)
    shares = [
        ss.response_distributions(ss.as_survey(frame.assign(vote=kind), yes_no))
        for kind in (frame["vote"], frame["vote"].astype(bool), frame["vote"].astype("boolean"))
    ]
    pd.testing.assert_frame_equal(shares[0], shares[1])
    pd.testing.assert_frame_equal(shares[0], shares[2])


def test_a_list_in_a_column_that_is_not_asked_for_does_not_matter() -> None:
    frame = opinion_frame(40).assign(several=[[1, 2]] * 40)
    assert len(ss.as_survey(frame, opinion_codebook())) == 40
