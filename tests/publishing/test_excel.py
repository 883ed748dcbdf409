"""Excel workbooks, read back by openpyxl: numbers stay numbers, marks are marks, and no text is a formula."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import DesignError, ReadError, TableError
from surveysim.publishing import excel
from surveysim.publishing.excel import without_formula
from tests.support.small_surveys import small_survey

SURVEY = ss.load_example("nonvoters2020")
SMALL, _ = ss.hold_out_respondents(SURVEY, n_train=200, seed=0)
CELLS = ss.response_distributions(SMALL, by=["race", "education"], questions=["Q8_8"])


def _sheet(path: Path, name: str) -> list[list[object]]:
    return [list(row) for row in openpyxl.load_workbook(path)[name].iter_rows(values_only=True)]


def test_a_workbook_has_a_banner_and_the_rows_behind_it(tmp_path: Path) -> None:
    path = ss.export_table(CELLS, tmp_path / "shares.xlsx", codebook=SURVEY.codebook)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["survey", "rows"]
    text = _sheet(path, "survey")
    assert text[0][0] == "Survey estimates"
    assert text[3][:2] == ["education", "high school or less"]
    assert text[5][1::2][:3] == ["(A)", "(B)", "(C)"]
    assert text[6][0] == "Q8_8: How much would you say you trust each of the following? The police"
    shown = ss.protect(CELLS)
    first = shown[shown["option_code"] == 1]
    numbers = [share if pd.notna(share) else "[c]" for share in first["share"]]
    assert text[7][0] == "A lot"
    assert text[7][1::2] == [pytest.approx(share, rel=1e-14) if share != "[c]" else share for share in numbers]
    assert text[11][0] == "n"
    assert text[11][1::2] == [n if pd.notna(n) else "[c]" for n in first["n"]]
    assert book["survey"].cell(8, 2).number_format == "0.0%"
    assert any(str(row[0]).startswith("weight: weight") for row in text)
    rows = pd.read_excel(path, sheet_name="rows")
    pd.testing.assert_series_equal(rows["share"], shown["share"], check_names=False)
    assert {"std_error", "conf_low", "conf_high", "n_eff", "suppressed", "race", "education", "option_label"} <= set(rows)
    assert json.loads((tmp_path / "shares.xlsx.json").read_text(encoding="utf-8"))["weight"] == "weight"


def test_no_number_of_a_withheld_cell_is_in_the_file(tmp_path: Path) -> None:
    path = ss.export_table(CELLS, tmp_path / "shares.xlsx", codebook=SURVEY.codebook)
    hidden = ss.protect(CELLS)["suppressed"].to_numpy() != ""
    secret = {round(float(value), 9) for name in ("share", "std_error", "n_eff") for value in CELLS.loc[hidden, name] if 0 < value != 1}
    secret -= {round(float(value), 9) for name in ("share", "std_error", "n_eff") for value in CELLS.loc[~hidden, name]}
    written = {
        round(float(cell), 9) for name in ("survey", "rows") for row in _sheet(path, name) for cell in row if isinstance(cell, float)
    }
    assert len(secret) > 10
    assert not secret & written


def test_letters_can_be_left_out_or_corrected_otherwise(tmp_path: Path) -> None:
    table = ss.response_distributions(SURVEY, by="age3", questions="Q8_8", covariance=True)
    made = {}
    for name, options in {"holm": {}, "none": {"adjust": "none"}, "without": {"letters": 0}}.items():
        text = _sheet(ss.export_table(table, tmp_path / f"{name}.xlsx", codebook=SURVEY.codebook, **options), "survey")
        made[name] = (text[6][2::2], "\n".join(str(row[0]) for row in text))
    assert made["holm"][0] == [None, "A", "A, B"]
    assert "within a row: Holm" in made["holm"][1]
    assert "within a row: not adjusted" in made["none"][1]
    assert made["without"][0] == [None, None, None]
    assert "letters" not in made["without"][1]


def test_sources_have_sheets_whose_names_excel_takes(tmp_path: Path) -> None:
    shares = ss.response_distributions(small_survey(), by="gender", questions="q1")
    names = ["rows", "a/b:c*?", "a b c", "'" + "x" * 40, "x" * 41]
    both = pd.concat([shares.assign(source=name) for name in names], ignore_index=True)
    book = openpyxl.load_workbook(ss.export_table(both, tmp_path / "x.xlsx", min_n=0))
    assert len(book.sheetnames) == len(set(map(str.casefold, book.sheetnames))) == 6
    assert all(len(name) <= 31 for name in book.sheetnames)


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t"])
def test_no_text_of_a_file_becomes_a_formula(begin: str, tmp_path: Path) -> None:
    evil = f"{begin}HYPERLINK(1)"
    table = ss.response_distributions(small_survey(), by="gender", questions="q1").assign(option_label=evil)
    table.attrs |= {"weight": evil, "survey": evil}
    book = openpyxl.load_workbook(ss.export_table(table, tmp_path / "x.xlsx"))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    labels = [cell.value for cell in cells if "HYPERLINK" in str(cell.value) and cell.coordinate.startswith("B")]
    assert labels
    assert set(labels) == {f"'{evil}"}
    facts = json.loads((tmp_path / "x.xlsx.json").read_text(encoding="utf-8"))
    assert facts["formula_prefix"]["'"]["option_label"] == [evil]
    assert without_formula("a\x00b") == "ab"


def test_what_cannot_be_written_is_refused_before_a_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.xlsx"
    with pytest.raises(DesignError, match="adjust must be one of none, holm"):
        ss.export_table(CELLS, path, adjust="homl")
    with pytest.raises(TableError, match="a banner needs a table of shares or estimates"):
        ss.export_table(ss.background_shifts(CELLS), path, min_n=0)
    monkeypatch.setattr(excel, "MOST_ROWS", 10)
    with pytest.raises(ReadError, match=r"x.xlsx: 48 rows and 26 columns are more than an Excel sheet holds"):
        ss.export_table(CELLS, path)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ReadError, match=r'openpyxl, which is not installed: python -m pip install "surveysim-dsa\[excel\]"'):
        ss.export_table(CELLS, path)
    assert not list(tmp_path.iterdir())
