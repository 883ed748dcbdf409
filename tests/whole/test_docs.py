"""The pages: their code runs, their links resolve, their names exist, and they speak of no machine."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml

import surveysim as ss
from tests.support.pages import PROJECT, anchors, blocks, links, prose, run_page

PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
WITH_CODE = [page for page in PAGES if page.name != "README.md" and any(block.language == "python" for block in blocks(page))]
TEXTS = [*PAGES, PROJECT / "CITATION.cff", *sorted((PROJECT / "notebooks").glob("*.ipynb"))]
LANGUAGES = ("python", "sh", "powershell", "toml", "text", "r", "bibtex", "{toctree}", "{include}")
OWN_MACHINE = re.compile(r"(?<![\w.<])/(?:home|root|tmp|work|Users|opt|mnt|var)/|[A-Z]:\\|--(?:extra-)?index-url|127\.0\.0\.1|localhost")


def _name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@pytest.fixture
def own_losses() -> Iterator[None]:
    """Take back the losses that a page enters."""
    before = dict(ss.LOSSES)
    yield
    ss.LOSSES.clear()
    ss.LOSSES.update(before)


def _words(path: Path) -> str:
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


@pytest.mark.usefixtures("own_losses")
@pytest.mark.parametrize("page", WITH_CODE, ids=_name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_blocks_say_their_language_and_why_they_are_not_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: the fence names no known language"
        if block.not_run:
            assert len(block.not_run.split()) >= 3, f"{block}: give the reason in words"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{_name(page)}: {link}"
        if anchor:
            assert anchor in anchors(found), f"{_name(page)}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_names_of_the_package_exist(page: Path) -> None:
    named = set(re.findall(r"\bss\.(\w+)", _words(page)))
    assert named <= set(ss.__all__), sorted(named - set(ss.__all__))


def _calls(text: str) -> Iterator[ast.Call]:
    """Yield the calls of the package that stand in the text between backticks; ``...`` stands for what is left out."""
    for code in re.findall(r"`(ss\.\w+\([^`\n]*\))`", text.replace('\\"', '"')):
        tree = ast.parse(re.sub(r"\(\.\.\.\)", "()", code))
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("ss."))


@pytest.mark.parametrize("path", TEXTS, ids=_name)
def test_calls_named_in_the_text_have_arguments_that_exist(path: Path) -> None:
    for call in _calls(_words(path)):
        known = inspect.signature(getattr(ss, ast.unparse(call.func).removeprefix("ss."))).parameters
        wrong = {keyword.arg for keyword in call.keywords if keyword.arg} - set(known)
        assert not wrong, f"{ast.unparse(call)}: {sorted(wrong)}"
        assert len(call.args) <= len(known), ast.unparse(call)


@pytest.mark.parametrize("path", TEXTS, ids=_name)
def test_no_page_speaks_of_a_machine(path: Path) -> None:
    assert OWN_MACHINE.findall(_words(path)) == []


def _contents() -> set[str]:
    """Return the pages in the tables of contents of the site."""
    trees = [block for page in (PROJECT / "docs").glob("*.md") for block in blocks(page) if block.language == "{toctree}"]
    lines = [line.strip() for tree in trees for line in tree.text.splitlines() if line.strip() and not line.startswith(":")]
    return {re.sub(r".*<(.+)>$", r"\1", line) for line in lines}


@pytest.mark.parametrize("page", sorted((PROJECT / "docs").rglob("*.md")), ids=_name)
def test_every_page_stands_in_a_table_of_contents(page: Path) -> None:
    name = page.relative_to(PROJECT / "docs").with_suffix("").as_posix()
    remedy = f"add a line {name} to the list in docs/how-to.md, docs/background.md or docs/about.md"
    assert name == "index" or name in _contents(), remedy


def test_every_public_name_has_its_place_in_the_reference() -> None:
    listed = re.findall(r"^   (\w+)$", (PROJECT / "docs" / "reference.rst").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(listed) == len(set(listed)), "a name stands there twice"
    missing, gone = sorted(set(ss.__all__) - {"__version__"} - set(listed)), sorted(set(listed) - set(ss.__all__))
    assert not missing, f"add {missing} to docs/reference.rst, under the verb that they belong to"
    assert not gone, f"take {gone} out of docs/reference.rst"


def test_the_codebook_of_the_page_on_extending_is_complete(tmp_path: Path) -> None:
    page = PROJECT / "docs" / "extending.md"
    (example,) = [block for block in blocks(page) if block.language == "toml"]
    path = tmp_path / "village2024.toml"
    path.write_text(example.text, encoding="utf-8")
    codebook = ss.load_codebook(path)
    assert (codebook.name, codebook.files) == ("village2024", ("village2024.sav",))
    assert codebook.weights[0].use
    assert (codebook.design.stratum, codebook.design.psu) == ("region", "street")
    assert codebook.missing_codes(codebook.question("well")) == {77: "refused", 88: "dont_know", 9: "not_asked"}
    assert codebook.question("trust").labels == ("A lot", "Some", "Not at all")
    assert codebook.trait("age3").subtract_from == 2024
    named = ("title", "year", "country", "language", "producer", "source", "doi", "licence", "redistribution", "citation", "note")
    assert all(word in example.text for word in named), "the example names every fact that [survey] can hold"


def test_the_citation_file_names_package_method_survey_and_model() -> None:
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "type", "version", "license", "authors"} <= set(cited)
    assert str(cited["version"]) == ss.__version__
    assert cited["license"] == "Apache-2.0"
    references = {reference["title"]: reference for reference in cited["references"]}
    assert len(references) == 3
    for reference in references.values():
        assert {"type", "authors", "year", "url"} <= set(reference), reference["title"]
    survey = references["Why Many Americans Don't Vote"]
    assert survey["license"] == "CC-BY-4.0"
    assert survey["url"] in ss.load_codebook("nonvoters2020").source


def test_the_newest_version_of_the_changes_is_this_one() -> None:
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", prose(PROJECT / "CHANGELOG.md"), flags=re.MULTILINE)
    assert versions[0] == ss.__version__


def test_the_data_s_licence_and_makers_stand_in_the_readme() -> None:
    text = prose(PROJECT / "README.md")
    for words in ("FiveThirtyEight and Ipsos", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/", "SmolLM2-135M-Instruct"):
        assert words in text
