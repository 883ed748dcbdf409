"""Names that SPSS and Stata take stay; others are changed, each to one of its own that is taken."""

from __future__ import annotations

import pandas as pd
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surveysim.files.variable_names import written_names

ANY, TRICKY = st.text(min_size=1, max_size=80), st.text("aAbB._@1 ", min_size=1, max_size=40)
NAMES = st.lists(st.one_of(ANY, TRICKY), min_size=1, max_size=6, unique=True)


def test_a_name_that_is_taken_already_is_left_to_its_owner() -> None:
    assert written_names(["two words", "two_words", "V4", "@x"], ".sav") == {
        "two words": "two_words_2", "two_words": "two_words", "V4": "V4", "@x": "V4_2",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [".sav", ".dta"])
def test_a_sign_that_is_no_letter_begins_no_name(kind: str) -> None:
    assert written_names(["¼", "²a"], kind) == {"¼": "V1", "²a": "V2"}


def test_stata_tells_names_by_case_and_spss_does_not() -> None:
    assert written_names(["a1", "A1"], ".dta") == {"a1": "a1", "A1": "A1"}
    assert written_names(["a1", "A1"], ".sav") == {"a1": "a1", "A1": "A1_2"}


@pytest.mark.parametrize("kind", [".sav", ".dta"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(names=NAMES)
def test_every_name_that_is_written_can_be_written(kind: str, names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    written = written_names(names, kind)
    assert list(written) == names
    plain = [name.lower() if kind == ".sav" else name for name in written.values()]
    assert len(set(plain)) == len(names)
    path = tmp_path_factory.mktemp("names") / f"x{kind}"
    getattr(pyreadstat, f"write_{kind[1:]}")(pd.DataFrame({name: [1.0] for name in written.values()}), str(path))
    assert getattr(pyreadstat, f"read_{kind[1:]}")(str(path))[1].column_names == list(written.values())
