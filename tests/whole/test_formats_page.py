"""What docs/formats.md says of the tools that surveysim needs: a row whose tool has changed fails here."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.files.readers import read_columns
from tests.support.pages import PROJECT

PAGE = (PROJECT / "docs" / "formats.md").read_text(encoding="utf-8")


def test_every_row_says_how_it_was_seen() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    assert all(len(row) == 4 for row in rows)
    assert {row[3] for row in rows} == {"test", "run by hand", "reported, not run here"}


@pytest.mark.parametrize("code", [1.0, "t"])
def test_value_labels_are_cut_at_120_bytes(code: object, tmp_path: Path) -> None:
    pyreadstat.write_sav(pd.DataFrame({"a": [code]}), str(tmp_path / "x.sav"), variable_value_labels={"a": {code: "x" * 200}})
    assert pyreadstat.read_sav(str(tmp_path / "x.sav"))[1].variable_value_labels["a"][code] == "x" * 120


def test_a_refused_write_empties_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(pd.DataFrame({"a": [1.0]}), str(path))
    with pytest.raises(pyreadstat.PyreadstatError, match="max 3 discrete"):
        pyreadstat.write_sav(pd.DataFrame({"a": [1.0]}), str(path), missing_ranges={"a": [1, 2, 3, 4]})
    assert path.stat().st_size == 0


def test_both_kinds_of_missing_are_null_in_polars(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sav")
    pyreadstat.write_sav(pd.DataFrame({"a": [1.0, 9, np.nan]}), path, missing_ranges={"a": [9]})
    assert pyreadstat.read_sav(path, output_format="polars")[0]["a"].to_list() == [1.0, None, None]
    assert pyreadstat.read_sav(path, output_format="polars", user_missing=True)[0]["a"].to_list() == [1.0, 9.0, None]


def test_durations_of_more_than_a_day_wrap(tmp_path: Path) -> None:
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(pd.DataFrame({"t": [93_600.0]}), str(path), variable_format={"t": "TIME8"})
    assert str(pyreadstat.read_sav(str(path))[0].t[0]) == "02:00:00"
    assert read_columns(path).frame.t[0] == 93_600


def test_no_reader_shows_the_weight_of_the_file(tmp_path: Path) -> None:
    pyreadstat.write_sav(pd.DataFrame({"a": [1.0]}), str(tmp_path / "x.sav"))
    assert [name for name in dir(pyreadstat.read_sav(str(tmp_path / "x.sav"))[1]) if "weight" in name.lower()] == []


@pytest.mark.parametrize("name", ["@a", "$a", "#a", "two words"])
def test_names_of_spss_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(pyreadstat.PyreadstatError, match="variable name"):
        pyreadstat.write_sav(pd.DataFrame({name: [1.0]}), str(tmp_path / "x.sav"))


def test_a_hundred_tagged_missing_values_first_are_taken_for_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"q": pd.Series(["a"] * 101 + [1.0], dtype=object)})
    with pytest.raises(AttributeError, match="encode"):
        pyreadstat.write_dta(frame, str(tmp_path / "x.dta"), missing_user_values={"q": ["a"]})


def test_transport_files_lose_last_respondents(tmp_path: Path) -> None:
    path = str(tmp_path / "x.xpt")
    pyreadstat.write_xport(pd.DataFrame({"a": np.arange(9.0), "b": [""] * 9}), path, table_name="T", file_format_version=5)
    assert len(pd.read_sas(path, encoding=None)) == 8
    assert read_columns(path).n_rows == 9
    pyreadstat.write_xport(pd.DataFrame({"b": ["x", "y", "", "", ""]}), path, table_name="T", file_format_version=5)
    assert len(pyreadstat.read_xport(path)[0]) == 2


def test_attrs_are_copied_with_every_column_of_pandas() -> None:
    frame = pd.DataFrame({"Q8_8": [1, 2], "weight": 1.0})
    copies = []

    class Counted(dict):  # type: ignore[type-arg]
        def __deepcopy__(self, memo: object) -> Counted:
            copies.append(1)
            return self

    frame.attrs["variable_value_labels"] = Counted()
    copy.deepcopy(frame.attrs)
    assert len(copies) == 1
    frame["Q8_8"]
    assert len(copies) == 2
    ss.as_survey(frame, "nonvoters2020", questions="Q8_8", traits=[])
    assert len(copies) == 2
