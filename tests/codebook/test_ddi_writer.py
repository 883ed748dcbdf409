"""`write_ddi`: what is written keeps the schema's rules and is read back equal; other programs find the standard elements."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import surveysim as ss
from surveysim.errors import ReadError
from tests.support.ddi_layouts import LAYOUTS, study_file
from tests.support.ddi_schema import DDI, breaches


def small_book() -> ss.Codebook:
    options = (ss.Option(1, "Yes"), ss.Option(2, "No"), ss.Option(3, "It  depends\n(say on what)"))
    asked = ss.Question("q", "Would you?\x0b Really?", options, "nominal", {-1: "other", ".a": "refused"}, universe="Adults", merged={4: 1})
    letters = ss.Question("county", "Where?", (ss.Option("01", "North"), ss.Option("A", "South")), "nominal", battery="places")
    return ss.Codebook("small", 'A <small> "survey" & more', {}, {"q": asked, "county": letters}, language="zh-Hant", files=("a.sav",))


@pytest.mark.parametrize("name", ss.list_codebooks())
def test_every_codebook_that_ships_is_read_back_equal_and_keeps_the_schemas_rules(name: str, tmp_path: Path) -> None:
    book = ss.load_codebook(name)
    path = ss.write_ddi(book, tmp_path / "study.xml")
    again = ss.load_codebook(path)
    assert again == book
    assert (list(again.questions), list(again.traits)) == (list(book.questions), list(book.traits)), "in the same order"
    assert breaches(path) == []


def test_the_published_schema_takes_every_codebook_that_ships(shared_data: Path, tmp_path: Path) -> None:
    """The schema is the DDI Alliance's, under the LGPL, and lies beside the project: codebook.xsd and what it imports."""
    schema = shared_data / "ddi_codebook_2.5" / "codebook.xsd"
    if not schema.is_file():
        pytest.skip("the schema is not here: ../shared/data/ddi_codebook_2.5/codebook.xsd; the rules above are checked without it")
    xmlschema = pytest.importorskip("xmlschema", reason="xmlschema validates XML by a schema, and is not installed")
    rules = xmlschema.XMLSchema(str(schema), allow="local")
    for name in ss.list_codebooks():
        path = ss.write_ddi(name, tmp_path / f"{name}.xml")
        assert [str(error.reason) for error in rules.iter_errors(str(path))] == [], name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_study_of_another_archive_is_written_again(layout: str, tmp_path: Path) -> None:
    book = ss.load_codebook(study_file(tmp_path, layout))
    path = ss.write_ddi(book, tmp_path / "again.xml")
    assert breaches(path) == []
    assert ss.load_codebook(path) == book


def test_other_programs_find_wording_codes_missing_markers_and_weights_in_the_standard_elements(tmp_path: Path) -> None:
    path = ss.write_ddi("ess9", tmp_path / "ess9.xml")
    root = ElementTree.parse(path).getroot()
    book = ss.load_codebook("ess9")
    trust = root.find(f".//{DDI}var[@name='trstprl']")
    assert trust is not None
    assert trust.findtext(f"{DDI}qstn/{DDI}qstnLit") == book.question("trstprl").text
    codes = {category.findtext(f"{DDI}catValu"): category.get("missing") for category in trust.findall(f"{DDI}catgry")}
    assert [code for code, missing in codes.items() if missing is None] == [str(code) for code in range(11)]
    assert codes["77"] == codes["88"] == "Y"
    weights = [variable.get("name") for variable in root.findall(f".//{DDI}var[@wgt='wgt']")]
    assert weights == [weight.variable for weight in book.weights]
    assert root.findtext(f"{DDI}stdyDscr/{DDI}citation/{DDI}titlStmt/{DDI}titl") == book.title


def test_signs_spaces_and_control_characters_come_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = small_book()
    with caplog.at_level(logging.WARNING):
        path = ss.write_ddi(book, tmp_path / "small.xml")
    assert ss.load_codebook(path) == book
    assert breaches(path) == []
    assert "XML holds no control characters: \ufffd stands for them in q, and" in caplog.text


def test_a_question_that_is_a_weight_too_stays_both(tmp_path: Path) -> None:
    from surveysim.codebook.codebook import Weight

    book = replace(small_book(), weights=(Weight("q", "never", "A weight"), Weight("w")))
    assert ss.load_codebook(ss.write_ddi(book, tmp_path / "both.xml")) == book


def test_edited_wording_wins_over_what_was_noted(tmp_path: Path) -> None:
    path = ss.write_ddi("nonvoters2020", tmp_path / "study.xml")
    text = ss.load_codebook("nonvoters2020").question("Q8_8").text
    path.write_text(path.read_text(encoding="utf-8").replace(text, "Put in another way?"), encoding="utf-8")
    assert ss.load_codebook(path).question("Q8_8").text == "Put in another way?"


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"extension '\.ddi' cannot be written; use \.xml"):
        ss.write_ddi("ess9", tmp_path / "ess9.ddi")
