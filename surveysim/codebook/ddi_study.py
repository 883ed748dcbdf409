"""`DdiStudy`: what a DDI-Codebook file says of a study and its variables, whoever exported it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from surveysim.codebook.ddi_xml import LANGUAGE, read_elements, said
from surveysim.codebook.questions import Code
from surveysim.errors import CodebookError

NOTE = "surveysim"  # type of the notes in which `write_ddi` keeps what DDI has no element for
_NO_CODE = re.compile(r"^(|\.|sysmiss|system missing|sysmis)$", re.IGNORECASE)  # how exporters write an empty cell
_LIFECYCLE = {"DDIInstance", "FragmentInstance"}
Texts = Mapping[str, str]  # language -> text; "" where the element names none


@dataclass(frozen=True)
class DdiCategory:
    """One code of a variable.

    Attributes
    ----------
    code : str
        As the file writes it.
    labels : mapping of language to text
    is_missing : bool
        Whether the file marks it as no answer.
    """

    code: str
    labels: Texts
    is_missing: bool


@dataclass(frozen=True, eq=False)
class DdiVariable:
    """One variable.

    Attributes
    ----------
    name, identifier : str
    files : tuple of str
        Identifiers of the data files that hold it.
    labels, questions : mapping of language to text
        Variable label, and wording: what comes before the question and the question itself.
    categories : tuple of DdiCategory
    invalid : tuple of (low, high)
        Closed ranges of codes that are no answer; a single code is a range of one.
    universe, group, nature : str
        Whom it was asked, the name of its group of variables, and "nominal", "ordinal" or another.
    is_weight, is_text : bool
    weighted_by : tuple of str
        Identifiers of its weights.
    note : mapping
        What `write_ddi` noted.
    """

    name: str
    identifier: str
    files: tuple[str, ...] = ()
    labels: Texts = field(default_factory=dict)
    questions: Texts = field(default_factory=dict)
    categories: tuple[DdiCategory, ...] = ()
    invalid: tuple[tuple[str, str], ...] = ()
    universe: str = ""
    group: str = ""
    nature: str = ""
    is_weight: bool = False
    is_text: bool = False
    weighted_by: tuple[str, ...] = ()
    note: Mapping[str, Any] | None = None

    def coded(self, *, text: bool | None = None) -> list[tuple[Code, DdiCategory]]:
        """Return code and category, numbers as such unless the variable is `text`; default as the file says of it."""
        as_text = self.is_text if text is None else text
        numbers = [None if as_text else number(category.code) for category in self.categories]
        return [(category.code if code is None else code, category) for code, category in zip(numbers, self.categories, strict=True)]

    def declares_missing(self, code: Code) -> bool:
        """Whether a range of codes that are no answer holds `code`."""
        for low, high in self.invalid:
            if isinstance(code, str):
                if code in (low, high):
                    return True
                continue
            least, most = number(low), number(high)
            if (low == "" or (least is not None and least <= code)) and (high == "" or (most is not None and code <= most)):
                return True
        return False

    def missing_ranges(self) -> tuple[tuple[Code, Code], ...]:
        """Return the closed ranges of numbers that are no answer."""
        ends = [(number(low) if low else float("-inf"), number(high) if high else float("inf")) for low, high in self.invalid]
        return tuple((low, high) for low, high in ends if low is not None and high is not None)


@dataclass(frozen=True, eq=False)
class DdiStudy:
    """A study, and its variables in their order.

    Attributes
    ----------
    source : str
        The file's name.
    facts : mapping of str to str
        Those of ``title year country producer doi licence citation universe`` that it states.
    language : str
    files : mapping of identifier to file name
    variables : tuple of DdiVariable
    note : mapping
        What `write_ddi` noted of the study, or None.
    """

    source: str
    facts: Mapping[str, str]
    language: str
    files: Mapping[str, str]
    variables: tuple[DdiVariable, ...]
    note: Mapping[str, Any] | None = None

    def in_words(self, texts: Texts) -> str:
        """Return a text in the study's language, or as it is there."""
        return texts.get(self.language) or texts.get("") or next(iter(texts.values()), "")

    @cached_property
    def _shared(self) -> set[str]:
        """Wordings that several variables have: the question of a grid, of which labels tell the items apart."""
        wordings = Counter(self.in_words(variable.questions) for variable in self.variables)
        return {wording for wording, times in wordings.items() if wording and times > 1}

    def wording(self, variable: DdiVariable, language: str | None = None) -> str:
        """Return the question's text, with the variable's label behind where several variables have the same; empty where it has none."""
        text = self.in_words(variable.questions) if language is None else variable.questions.get(language, "")
        if text and variable.note is None and self.in_words(variable.questions) in self._shared:
            label = self.in_words(variable.labels) if language is None else variable.labels.get(language, "")
            return f"{text} {label}".strip()
        return text

    def of_file(self, names: Sequence[str]) -> dict[str, DdiVariable]:
        """Return lower-case name -> variable, of the data file in which most of `names` stand, where the study has several."""
        wanted = {name.lower() for name in names}
        files = dict.fromkeys(file for variable in self.variables for file in variable.files) or {"": None}
        by_file: dict[str, dict[str, DdiVariable]] = {file: {} for file in files}
        for variable in self.variables:
            for file in variable.files or files:
                by_file[file].setdefault(variable.name.lower(), variable)
        return max(by_file.values(), key=lambda found: len(wanted & found.keys()), default={})


def read_ddi(path: str | Path) -> DdiStudy:
    """Read a DDI-Codebook file: versions 1.2 to 2.6, with or without a namespace, also within an OAI-PMH answer.

    Raises
    ------
    CodebookError
        If there is no such file, it is no XML or declares entities, or it is no DDI-Codebook file or describes no variable.
    """
    path = Path(path)
    if not path.is_file():
        raise CodebookError(f"DDI file {str(path)!r} does not exist; check the path")
    read = {"var": _variable, "varGrp": _group, "stdyDscr": _study, "fileDscr": _file, "codeBook": _language}
    kept: dict[str, list[Any]] = {name: [] for name in read}

    def keep(element: Element) -> None:
        kept[element.tag].append(read[element.tag](element))

    seen = read_elements(path, dict.fromkeys(kept, keep))
    if "codeBook" not in seen:
        what = "DDI-Lifecycle" if seen & _LIFECYCLE else "other XML"
        raise CodebookError(f"{path.name} is {what}, no DDI-Codebook file; export the study as DDI-Codebook 2.5 (root element codeBook)")
    if not kept["var"]:
        raise CodebookError(f"{path.name} describes no variables: it holds the study alone; download the DDI with its variables")
    facts, note = kept["stdyDscr"][0] if kept["stdyDscr"] else ({}, None)
    groups = {identifier: label for label, identifiers in kept["varGrp"] for identifier in identifiers}
    variables = [_in_group(variable, groups) for variable in kept["var"]]
    language = next(filter(None, kept["codeBook"]), "") or _main_language(variables)
    return DdiStudy(path.name, facts, language, dict(kept["fileDscr"]), tuple(variables), note)


def number(code: str) -> int | float | None:
    """Return a code as a number, or None where it is none."""
    try:
        value = float(code)
    except ValueError:
        return None
    return None if value != value or abs(value) == float("inf") else int(value) if value.is_integer() else value


def _texts(elements: Sequence[Element]) -> dict[str, str]:
    """Return language -> text, the first of each."""
    found: dict[str, str] = {}
    for element in elements:
        if text := said(element):
            found.setdefault(element.get(LANGUAGE, ""), text)
    return found


def _variable(element: Element) -> DdiVariable:
    formatted = element.find("varFormat")
    as_text = element.get("representationType") == "text" or (formatted is not None and formatted.get("type") == "character")
    name = element.get("name") or element.get("ID") or said(element.find("labl"))
    return DdiVariable(
        name=name.strip(),
        identifier=element.get("ID", name),
        files=tuple(element.get("files", "").split()),
        labels=_texts(element.findall("labl")),
        questions=_questions(element),
        categories=tuple(map(_category, _codes(element))),
        invalid=tuple(bounds for invalid in element.findall("invalrng") for bounds in map(_bounds, invalid) if bounds),
        universe=said(element.find("universe")),
        nature=element.get("nature", ""),
        is_weight=element.get("wgt") == "wgt",
        is_text=as_text,
        weighted_by=tuple(element.get("wgt-var", "").split()),
        note=_note(element),
    )


def _questions(element: Element) -> dict[str, str]:
    """Return language -> wording: what is read before, and the question; what comes after is often the options once more."""
    parts = [part for question in element.findall("qstn") for part in question if part.tag in ("preQTxt", "qstnLit")]
    if not parts:  # versions before 2.0 let the text stand in the question itself
        return {"": text} if (text := " ".join(said(question) for question in element.findall("qstn") if not len(question))) else {}
    before = _texts([part for part in parts if part.tag == "preQTxt"])
    literal = _texts([part for part in parts if part.tag == "qstnLit"])
    return {language: " ".join(filter(None, (before.get(language), text))) for language, text in literal.items()}


def _codes(element: Element) -> list[Element]:
    return [category for category in element.findall("catgry") if not _NO_CODE.match(said(category.find("catValu")))]


def _category(element: Element) -> DdiCategory:
    return DdiCategory(said(element.find("catValu")), _texts(element.findall("labl")), element.get("missing") == "Y")


def _bounds(element: Element) -> tuple[str, str] | None:
    """Return the ends of a range of missing codes; the same code twice for one."""
    if element.tag == "item":
        code = element.get("VALUE", "").strip()
        return (code, code) if not _NO_CODE.match(code) else None
    low, high = (element.get(edge, element.get(f"{edge}Exclusive", "")).strip() for edge in ("min", "max"))
    return (low, high) if element.tag == "range" and (low or high) else None


def _group(element: Element) -> tuple[str, list[str]]:
    return said(element.find("labl")) or element.get("name", ""), element.get("var", "").split()


def _language(element: Element) -> str:
    return element.get(LANGUAGE, "")


def _file(element: Element) -> tuple[str, str]:
    return element.get("ID", ""), said(element.find("fileTxt/fileName"))


def _study(element: Element) -> tuple[dict[str, str], Mapping[str, Any] | None]:
    """Return the study's facts, and what `write_ddi` noted of it."""
    numbers = element.findall("citation/titlStmt/IDNo")
    doi = next((found[0] for one in numbers if (found := re.search(r"10\.\d{4,}/\S+", said(one)))), "")
    when = [
        date.get("date") or said(date)
        for place in ("stdyInfo/sumDscr/collDate", "stdyInfo/sumDscr/timePrd", "citation/prodStmt/prodDate", "citation/distStmt/distDate")
        for date in element.findall(place)
    ]
    years = [found[0] for text in when if (found := re.search(r"\b(19|20)\d\d", text))]
    nations = list(dict.fromkeys(filter(None, map(said, element.findall("stdyInfo/sumDscr/nation")))))
    facts = {
        "title": said(element.find("citation/titlStmt/titl")),
        "year": next(iter(years), ""),
        "country": nations[0] if len(nations) == 1 else "",
        "producer": said(element.find("citation/prodStmt/producer")) or said(element.find("citation/rspStmt/AuthEnty")),
        "doi": doi,
        "licence": said(element.find("dataAccs/useStmt/conditions")) or said(element.find("citation/prodStmt/copyright")),
        "citation": said(element.find("citation/biblCit")) or said(element.find("dataAccs/useStmt/citReq")),
        "universe": said(element.find("stdyInfo/sumDscr/universe")),
    }
    return {name: text for name, text in facts.items() if text}, _note(element)


def _note(element: Element) -> Mapping[str, Any] | None:
    text = next((note.text for note in element.findall("notes") if note.get("type") == NOTE), None)
    if text is None:
        return None
    try:
        noted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CodebookError(f"a note of type {NOTE!r} is no JSON ({error}); take the note out, or write the file again") from error
    if not isinstance(noted, dict):
        raise CodebookError(f"a note of type {NOTE!r} is no JSON object; take the note out, or write the file again")
    return noted


def _in_group(variable: DdiVariable, groups: Mapping[str, str]) -> DdiVariable:
    if variable.identifier not in groups:
        return variable
    return replace(variable, group=groups[variable.identifier])


def _main_language(variables: Sequence[DdiVariable]) -> str:
    """Return the language in which most variables are worded; empty where none is named."""
    named = Counter(language for variable in variables for language in dict.fromkeys((*variable.questions, *variable.labels)))
    first = {language: place for place, language in enumerate(named)}
    return max(named, key=lambda language: (named[language], -first[language]), default="")
