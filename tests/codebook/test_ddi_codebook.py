"""DDI-Codebook files in the layout of five archives' exports become codebooks; what is hostile or of another kind is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import surveysim as ss
from surveysim.codebook import ddi_xml
from surveysim.codebook.ddi_study import read_ddi
from surveysim.errors import CodebookError
from tests.support.ddi_layouts import LAYOUTS, OPTIONS, WORDING, study_file


def book_of(text: str, folder: Path) -> ss.Codebook:
    path = folder / "study.xml"
    path.write_text(text, encoding="utf-8")
    return ss.load_codebook(path)


def one_variable(inside: str, attributes: str = "", before: str = "") -> str:
    return (
        f'{before}<codeBook xmlns="ddi:codebook:2_5"><stdyDscr/><dataDscr>'
        f'<var name="q" {attributes}><labl>Q</labl>{inside}</var></dataDscr></codeBook>'
    )


YES_NO = "<catgry><catValu>1</catValu><labl>Yes</labl></catgry><catgry><catValu>2</catValu><labl>No</labl></catgry>"


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "NADA"])
def test_each_archives_layout_gives_wording_options_missing_codes_and_universe(layout: str, tmp_path: Path) -> None:
    book = ss.load_codebook(study_file(tmp_path, layout))
    found = {name.lower(): question for name, question in book.questions.items()}
    assert {name: found[name].text for name in WORDING} == WORDING
    assert dict(zip(found["vote"].codes, found["vote"].labels, strict=True)) == OPTIONS
    assert found["vote"].type == "nominal"
    assert found["vote"].missing == {66: "not_applicable"}
    assert found["vote"].universe == "Those who voted"
    assert found["trust"].codes == (0, 10)
    assert found["trust"].missing == {77: "refused", 88: "dont_know"}
    assert [weight.variable.lower() for weight in book.weights] == ["pspwght"]
    assert (book.title, book.year, book.country) == ("Made-up Social Survey, round 1", "2023", "Norway")
    assert book.producer == "Made-up Archive"
    assert not book.verified
    assert not any(question.verified for question in book.questions.values())


def test_of_several_data_files_the_first_variable_of_a_name_is_taken_and_the_note_says_so(tmp_path: Path) -> None:
    book = ss.load_codebook(study_file(tmp_path, "NADA"))
    assert book.question("vote").label == "Household has a vote box"
    assert book.question("trust").text == WORDING["trust"], "line ends and spaces of the export are gone"
    assert "2 data files are described" in book.note
    assert "universe: All residents aged 15 or older" in book.note


def test_further_languages_are_translations(tmp_path: Path) -> None:
    book = ss.load_codebook(study_file(tmp_path, "GESIS"))
    german = book.question("trust").in_language("de")
    assert german.text == "Auf einer Skala von 0 bis 10: Wie sehr vertrauen Sie dem Parlament?"
    assert german.labels == ("Überhaupt kein Vertrauen", "Volles Vertrauen")
    assert book.question("trust").topic == "Politics"
    with pytest.raises(CodebookError, match="no wording in 'de'"):
        ss.load_codebook(tmp_path / "gesis.xml", language="de")


def test_the_items_of_a_grid_are_told_apart_by_their_labels(tmp_path: Path) -> None:
    item = '<var name="{0}"><labl>{1}</labl><qstn><qstnLit>How much do you trust each?</qstnLit></qstn>' + YES_NO + "</var>"
    text = "<codeBook><dataDscr>" + item.format("a", "The police") + item.format("b", "The courts") + "</dataDscr></codeBook>"
    book = book_of(text, tmp_path)
    assert [book.question(name).text for name in "ab"] == [
        "How much do you trust each? The police",
        "How much do you trust each? The courts",
    ]


def test_text_codes_stay_text_and_numbers_lose_their_zeros(tmp_path: Path) -> None:
    padded = YES_NO.replace(">1<", ">01<").replace(">2<", ">02<")
    assert book_of(one_variable(padded + '<varFormat type="character"/>'), tmp_path).question("q").codes == ("01", "02")
    (tmp_path / "study.xml").unlink()
    assert book_of(one_variable(padded), tmp_path).question("q").codes == (1, 2)


def test_codes_of_one_label_count_as_one_option(tmp_path: Path) -> None:
    again = "<catgry><catValu>3</catValu><labl>Yes</labl></catgry>"
    question = book_of(one_variable(YES_NO + again), tmp_path).question("q")
    assert (question.codes, question.merged) == ((1, 2), {3: 1})


BOMB = '<!DOCTYPE codeBook [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE codeBook [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
PARAMETER = '<!DOCTYPE codeBook [<!ENTITY % a SYSTEM "http://localhost:1/x.dtd"> %a;]>'


@pytest.mark.parametrize("doctype", [BOMB, FILE, PARAMETER], ids=["expansion", "external", "parameter"])
def test_entities_are_refused(doctype: str, tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"study\.xml declares or needs the entity 'a', and none is expanded.*take out its DOCTYPE"):
        book_of(one_variable("<txt>&a;</txt>" + YES_NO, before=doctype), tmp_path)


def test_an_entity_of_a_dtd_that_is_not_fetched_is_refused_unless_html_knows_it(tmp_path: Path) -> None:
    doctype = '<!DOCTYPE codeBook SYSTEM "http://localhost:1/made-up.dtd">'
    with pytest.raises(CodebookError, match="needs the entity 'boiler'"):
        book_of(one_variable("<txt>&boiler;</txt>" + YES_NO, before=doctype), tmp_path)
    (tmp_path / "study.xml").unlink()
    assert book_of(one_variable(YES_NO.replace("Yes", "S&iacute;"), before=doctype), tmp_path).question("q").labels == ("Sí", "No")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<codeBook><dataDscr>", r"study\.xml is no XML that can be read .*cut short or damaged"),
        ("no XML at all", "is no XML that can be read"),
        ("<DDIInstance><var name='q'/></DDIInstance>", "is DDI-Lifecycle, no DDI-Codebook file; export the study as DDI-Codebook 2.5"),
        ("<html><p>Not found</p></html>", "is other XML, no DDI-Codebook file"),
        ("<codeBook><stdyDscr/></codeBook>", "describes no variables: it holds the study alone"),
        (one_variable(""), r"none of its 1 variables has 2 to 12 labelled answers"),
        ("<codeBook>" + "<a>" * 200, "more than 100 elements one within another"),
        (one_variable(YES_NO + '<notes type="surveysim">{</notes>'), "note of type 'surveysim' is no JSON"),
        (one_variable(YES_NO + '<notes type="surveysim">{"question": []}</notes>'), "holds no table where one belongs"),
    ],
)  # fmt: skip
def test_what_is_no_ddi_codebook_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=said):
        book_of(text, tmp_path)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddi_xml, "LONGEST_TEXT", 1000)
    with pytest.raises(CodebookError, match="a text of more than 1,000 characters"):
        book_of(one_variable("<txt>" + "a" * 2000 + "</txt>" + YES_NO), tmp_path)
    monkeypatch.setattr(ddi_xml, "LARGEST_FILE", 1000)
    with pytest.raises(CodebookError, match=r"study\.xml has 2,\d+ bytes, more than any codebook \(1,000\)"):
        ss.load_codebook(tmp_path / "study.xml")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CodebookError, match=r"'nowhere\.xml' does not exist"):
        ss.load_codebook("nowhere.xml")
    with pytest.raises(CodebookError, match=r"DDI file 'nowhere\.xml' does not exist"):
        read_ddi("nowhere.xml")
