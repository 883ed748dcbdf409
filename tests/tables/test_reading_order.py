"""The order of a table's columns: what pandas prints of it says what, of whom, and how much."""

from __future__ import annotations

import pandas as pd
import pytest

import surveysim as ss
from surveysim.tables.reading_order import in_reading_order
from tests.support.small_surveys import small_survey


@pytest.mark.parametrize("by", [[], ["gender"], ["gender", "age"], ["gender", "age", "region"]])
def test_a_narrow_print_shows_share_error_and_n(by: list[str]) -> None:
    table = ss.response_distributions(small_survey(), by=by, questions=["q1"])
    with pd.option_context("display.max_columns", 0, "display.width", 80):
        head = repr(table).splitlines()[0].split()
    assert head[:2] == ["question_id", "option_label"]
    assert head[-3:] == ["share", "std_error", "n"]


def test_a_narrow_print_shows_means_with_error_and_n() -> None:
    table = ss.survey_mean(small_survey(), questions=["q1"], by=["gender", "age"])
    with pd.option_context("display.max_columns", 0, "display.width", 80):
        head = repr(table).splitlines()[0].split()
    assert head[:2] + head[-3:] == ["question_id", "age", "estimate", "std_error", "n"]


def test_nothing_is_lost_and_what_leads_keeps_the_lead() -> None:
    names = ["method", "seed", "question_id", "background_id", "metric", "estimate", "std_error", "weight", "other"]
    table = pd.DataFrame([range(len(names))], columns=names)
    table.attrs["weight"] = "w"
    ordered = in_reading_order(table)
    assert list(ordered) == ["method", "seed", "question_id", "metric", "background_id", "weight", "other", "estimate", "std_error"]
    pd.testing.assert_frame_equal(ordered[names], table)
    assert ordered.attrs == {"weight": "w"}
