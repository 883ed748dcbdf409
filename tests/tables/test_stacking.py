"""Tables put one under another keep what each says of itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from tests.support.small_surveys import small_survey

SURVEYED = ss.response_distributions(small_survey(), by=["age"])
SIMULATED = ss.simulate(small_survey(), ["age"], method="shrunken")


def test_rows_and_facts_of_both_are_kept() -> None:
    both = ss.stack([SURVEYED, SIMULATED])
    assert both.attrs["parts"] == [SURVEYED.attrs, SIMULATED.attrs]
    assert "simulated" not in both.attrs  # only one of them is
    assert both.attrs["survey"] == "small"  # both are of one survey
    pd.testing.assert_frame_equal(both.iloc[: len(SURVEYED)], SURVEYED, check_dtype=False)
    assert both.index.tolist() == list(range(len(SURVEYED) + len(SIMULATED)))


def test_a_stack_on_a_stack_lists_all_parts_in_order() -> None:
    again = ss.stack([ss.stack([SURVEYED, SIMULATED]), SURVEYED])
    assert [part.get("simulated", False) for part in again.attrs["parts"]] == [False, True, False]
    alike = ss.stack({"one": SIMULATED, "two": SIMULATED})
    assert alike.attrs["simulated"] is True
    assert ss.show(alike).heading.startswith("SIMULATED")


def test_what_a_table_says_of_itself_alone_becomes_a_column() -> None:
    before = SIMULATED.drop(columns="simulated")  # as tables of the first release
    both = ss.stack([before, SURVEYED])
    assert both.groupby("source")["simulated"].unique().map(list).to_dict() == {"shrunken": [True], "survey": [False]}


def test_a_stack_of_surveyed_and_simulated_tables_says_so() -> None:
    heading = ss.show(ss.stack([SURVEYED, SIMULATED])).heading
    assert heading.startswith("1 of 2 tables SIMULATED (shrunken); sources: survey, shrunken")
    surveyed = ss.show(ss.stack([SURVEYED, SURVEYED.assign(background_id="all")])).heading
    assert surveyed.startswith("Survey estimates")


def test_facts_that_hold_arrays_are_kept_with_their_part() -> None:
    first, second = SURVEYED.copy(), SURVEYED.copy()
    first.attrs = {"array": np.arange(2)}
    second.attrs = {"array": np.arange(2)}
    stacked = ss.stack([first, second])
    assert list(stacked.attrs) == ["parts"]
    assert [len(part["array"]) for part in stacked.attrs["parts"]] == [2, 2]


def test_what_is_no_list_of_tables_is_refused() -> None:
    with pytest.raises(TableError, match=r"tables must be a list of tables; got DataFrame; write stack\(\[first, second\]\)"):
        ss.stack(SURVEYED)
    with pytest.raises(TableError, match="at least one; got none"):
        ss.stack([])
    with pytest.raises(TableError, match="number 1 is str 'mrp'"):
        ss.stack([SURVEYED, "mrp"])  # type: ignore[list-item]
