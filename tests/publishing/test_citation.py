"""What is cited: BibTeX that parses, agrees with CITATION.cff and the README, and names what a result was made of."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml

import surveysim as ss
from surveysim.errors import SurveySimError
from tests.support.pages import PROJECT, blocks
from tests.support.small_surveys import small_codebook, small_survey


def parse_bibtex(text: str) -> dict[str, dict[str, str]]:
    """Parse entries strictly: a brace opened is closed, a field is a name and a braced value, a key stands once."""
    entries: dict[str, dict[str, str]] = {}
    place = 0
    while (start := text.find("@", place)) >= 0:
        between = text[place:start]
        assert all(not line.strip() or line.startswith("%") for line in between.splitlines()), between
        head = re.match(r"@(?P<kind>\w+)\{(?P<key>[A-Za-z0-9:_-]+),\s*", text[start:])
        assert head, text[start : start + 60]
        body, place = _braced(text, start + text[start:].index("{"))
        assert head["key"] not in entries, head["key"]
        entries[head["key"]] = {"kind": head["kind"], **_fields(body.split(",", 1)[1])}
    return entries


def _braced(text: str, start: int) -> tuple[str, int]:
    """Return what stands between the brace at `start` and its partner, and the place after it."""
    depth = 0
    for place in range(start, len(text)):
        escaped = text[place - 1] == "\\"
        depth += (text[place] == "{" and not escaped) - (text[place] == "}" and not escaped)
        if depth == 0:
            return text[start + 1 : place], place + 1
    raise AssertionError(f"brace not closed: {text[start : start + 60]}")


def _fields(body: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    rest = body.strip()
    while rest:
        named = re.match(r"(\w+)\s*=\s*\{", rest)
        assert named, rest[:60]
        value, place = _braced(rest, named.end() - 1)
        assert named[1] not in fields
        fields[named[1]] = value
        rest = rest[place:].strip().removeprefix(",").strip()
    return fields


def _words(text: str) -> str:
    return " ".join(text.replace("{", "").replace("}", "").split())


@pytest.fixture(scope="module")
def cited() -> dict:
    return yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_package_agrees_with_the_citation_file(cited: dict) -> None:
    entry = parse_bibtex(ss.cite())["surveysim"]
    assert entry["title"] == cited["title"]
    assert entry["version"] == str(cited["version"]) == ss.__version__
    assert _words(entry["author"]) == cited["authors"][0]["name"]
    assert ss.__version__ in entry["note"]


def test_method_model_and_survey_agree_with_the_citation_file(cited: dict) -> None:
    references = {reference["title"]: reference for reference in cited["references"]}
    table = ss.response_distributions(ss.load_example(), questions=["Q8_8"])
    table.attrs |= {"model": "smollm2-135m", "method": "dsa"}
    entries = parse_bibtex(ss.cite(table))
    assert set(entries) == {"surveysim", "huang2026distribution", "nonvoters2020", "smollm2-135m"}
    method = entries["huang2026distribution"]
    reference = references[_words(method["title"])]
    assert method["author"] == " and ".join(f"{one['family-names']}, {one['given-names']}" for one in reference["authors"])
    assert method["pages"] == f"{reference['start']}--{reference['end']}"
    assert method["booktitle"] == reference["collection-title"]
    assert method["eprint"] in reference["url"]
    survey, model = entries["nonvoters2020"], entries["smollm2-135m"]
    for entry, title in ((survey, "Why Many Americans Don't Vote"), (model, "SmolLM2-135M-Instruct")):
        reference = references[title]
        assert title in entry["title"]
        assert entry["howpublished"] == f"\\url{{{reference['url']}}}"
        assert all(author["name"] in entry["author"] for author in reference["authors"])
    assert {survey["year"], method["year"], model["year"]} == {"2020", "2026", "2024"}
    assert [str(references[_words(method["title"])]["year"]), str(references["SmolLM2-135M-Instruct"]["year"])] == ["2026", "2024"]


def test_the_readme_cites_the_method_alike() -> None:
    (block,) = [block for block in blocks(PROJECT / "README.md") if block.language == "bibtex"]
    assert parse_bibtex(block.text)["huang2026distribution"] == parse_bibtex(ss.cite())["huang2026distribution"]


@pytest.mark.parametrize("name", ss.list_codebooks())
def test_every_survey_that_ships_can_be_cited(name: str) -> None:
    book = ss.load_codebook(name)
    text = ss.cite(book)
    entry = parse_bibtex(text)[name]
    assert entry["year"] == book.year
    assert entry["author"].startswith("{")
    assert ("states no" in text) == (not book.doi or not book.producer)
    if book.doi:
        assert entry["doi"] in book.doi


def test_classical_results_do_not_cite_the_language_model_s_method() -> None:
    survey = ss.load_example()
    table = ss.simulate(survey, ["gender"], questions=["Q8_8"], method="ridge")
    assert set(parse_bibtex(ss.cite(table))) == {"surveysim", "nonvoters2020"}
    assert set(parse_bibtex(ss.cite(survey, table))) == {"surveysim", "nonvoters2020"}
    assert set(parse_bibtex(ss.cite())) == {"surveysim", "huang2026distribution"}


def test_what_tex_would_read_otherwise_is_escaped() -> None:
    book = ss.Codebook("a_b c", "50% & {more} #1 @x", {}, small_codebook().questions, producer="A & B")
    entry = parse_bibtex(ss.cite(book))["a-b-c"]
    assert entry["title"] == r"50\% \& \{more\} \#1 {\char64}x"
    assert entry["author"] == r"{A \& B}"
    assert "states no year, no DOI" in ss.cite(book)


def test_an_unknown_model_is_named_in_a_comment() -> None:
    table = ss.response_distributions(ss.load_example(), questions=["Q8_8"])
    table.attrs |= {"model": "Qwen/Qwen3-4B"}
    assert "% model Qwen/Qwen3-4B: cite it as its authors ask" in ss.cite(table)
    parse_bibtex(ss.cite(table))


def test_it_shows_as_it_is_written() -> None:
    assert repr(ss.cite()) == str(ss.cite())


def test_errors_say_what_to_give() -> None:
    table = ss.response_distributions(small_survey(), questions=["q1"])
    with pytest.raises(SurveySimError, match=r"names survey 'small', whose codebook does not ship; give it too: cite\(result, survey\)"):
        ss.cite(table)
    assert "small" in parse_bibtex(ss.cite(table, small_survey()))
    with pytest.raises(SurveySimError, match="cite takes surveys, codebooks and tables of results; got int"):
        ss.cite(3)  # type: ignore[arg-type]


def test_no_fact_of_a_codebook_ends_its_entry() -> None:
    hostile = "x}, note = {y}\n}\n@misc{other,\n title = {z"
    book = replace(
        small_codebook(), title=hostile, producer=hostile, year=hostile, doi=f"10.1/{hostile}", citation=hostile, licence=hostile
    )
    entry = str(ss.cite(book)).split("\n\n")[-1]
    assert [line for line in entry.splitlines() if line.startswith("@")] == ["@misc{small,"]
    depth = 0
    for place, letter in enumerate(entry):
        escaped = place > 0 and entry[place - 1] == "\\"
        depth += 0 if escaped else {"{": 1, "}": -1}.get(letter, 0)
        assert depth > 0 or place < entry.index("{") or place == len(entry) - 1, entry[:place]
    assert depth == 0
