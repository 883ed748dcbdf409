"""`write_ddi`: a codebook as a DDI-Codebook 2.5 file, which archives and other programs read, and `load_codebook` reads back whole."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from surveysim.codebook.codebook import Codebook, Weight
from surveysim.codebook.ddi_codebook import codebook_from_ddi, question_table, survey_table, weights_table
from surveysim.codebook.ddi_study import NOTE, DdiStudy, read_ddi
from surveysim.codebook.questions import REASON_WORDS, Code, Level, Question, Trait
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import CodebookError, first_few
from surveysim.whole_files import checked_target, write_whole

log = logging.getLogger(__name__)

NAMESPACE = "ddi:codebook:2_5"
_SCHEMA = "https://ddialliance.org/Specification/DDI-Codebook/2.5/XMLSchema/codebook.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_XML_LANG = "xml:lang"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 cannot hold
_SURVEY = [item.name for item in fields(Codebook) if item.name not in ("traits", "questions", "weights", "design", "wave", "missing")]


def write_ddi(codebook: CodebookLike, path: str | Path) -> Path:
    """Write a codebook as a DDI-Codebook 2.5 file.

    Wording, options, missing codes, universe, translations, weights and what is known of the study stand in the elements that DDI has
    for them. What DDI has no element for (recodes of traits, reasons of missing codes, design variables) stands as JSON in
    ``<notes type="surveysim">`` of the question or the study, so that `load_codebook` reads back an equal codebook; other programs
    pass over it.

    Parameters
    ----------
    codebook : str, Path, Codebook or Survey
    path : str or Path
        Ends in .xml. The file appears when it is complete.

    Returns
    -------
    Path

    Raises
    ------
    CodebookError
        If there is no such codebook.
    ReadError
        If `path` does not end in .xml, or its folder does not exist.

    References
    ----------
    DDI Alliance, DDI-Codebook 2.5, https://ddialliance.org/Specification/DDI-Codebook/2.5/

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import surveysim as ss
    >>> book = ss.load_codebook("nonvoters2020")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ss.write_ddi(book, Path(folder) / "nonvoters2020.xml")
    ...     '<qstnLit xml:lang="en">' in path.read_text(encoding="utf-8"), ss.load_codebook(path) == book
    (True, True)
    """
    book = load_codebook(codebook)
    target = checked_target(path, (".xml",))
    return write_whole(target, lambda place: _write(book, place), verify=codebook_from_ddi)


def _write(book: Codebook, place: Path) -> None:
    """Write what DDI has elements for, read it back, and note what these do not say."""
    root, variables = _document(book)
    replaced = _without_control_characters(root)
    _save(root, place)
    study = read_ddi(place)
    _note_study(book, root, study)
    for name, question in book.questions.items():
        _note_question(question, variables[name], study)
    _save(root, place)
    if replaced:
        log.warning("XML holds no control characters: \ufffd stands for them in %s, and the text as it is in a note", first_few(replaced))


def _document(book: Codebook) -> tuple[Element, dict[str, Element]]:
    root = Element(
        "codeBook",
        {"xmlns": NAMESPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": f"{NAMESPACE} {_SCHEMA}", "version": "2.5", _XML_LANG: book.language},
    )
    _study(book, root)
    for place, name in enumerate(book.files, 1):
        _add(SubElement(SubElement(root, "fileDscr", ID=f"F{place}"), "fileTxt"), "fileName", name)
    data = SubElement(root, "dataDscr")
    named = {weight.variable: f"W{place}" for place, weight in enumerate(book.weights, 1)}
    elements: dict[str, Element] = {}
    for weight in book.weights:
        if weight.variable not in book.questions:
            elements[weight.variable] = _weight(data, weight, named[weight.variable])
    for place, variable in enumerate(dict.fromkeys((*book.questions, *(trait.variable for trait in book.traits.values()))), 1):
        if variable not in elements:
            elements[variable] = _variable(book, data, variable, named.get(variable, f"V{place}"), named)
    return root, elements


def _study(book: Codebook, root: Element) -> None:
    study = SubElement(root, "stdyDscr")
    citation = SubElement(study, "citation")
    titles = SubElement(citation, "titlStmt")
    _add(titles, "titl", book.title)
    if book.doi:
        _add(titles, "IDNo", book.doi, agency="DOI")
    if book.producer:
        _add(SubElement(citation, "prodStmt"), "producer", book.producer)
    if book.citation:
        _add(citation, "biblCit", book.citation)
    if book.year or book.country:
        summary = SubElement(SubElement(study, "stdyInfo"), "sumDscr")
        if book.year:
            _add(summary, "collDate", book.year)
        if book.country:
            _add(summary, "nation", book.country)
    if book.licence:
        _add(SubElement(SubElement(study, "dataAccs"), "useStmt"), "conditions", book.licence)


def _weight(data: Element, weight: Weight, identifier: str) -> Element:
    element = SubElement(data, "var", ID=identifier, name=weight.variable, wgt="wgt", intrvl="contin")
    if weight.label:
        _add(element, "labl", weight.label)
    if weight.use:
        _add(element, "txt", weight.use)
    return element


def _variable(book: Codebook, data: Element, name: str, identifier: str, weights: Mapping[str, str]) -> Element:
    question = book.questions.get(name)
    traits = [trait for trait in book.traits.values() if trait.variable == name]
    default = question.weight if question is not None and question.weight in weights else next(iter(weights), "")
    attributes = {"ID": identifier, "name": name, "intrvl": "discrete"}
    attributes |= {"nature": question.type} if question is not None else {}
    attributes |= {"wgt-var": weights[default]} if default else {}
    attributes |= {"wgt": "wgt"} if name in weights else {}
    element = SubElement(data, "var", attributes)
    label = question.label if question is not None else next((trait.label for trait in traits), "")
    if label:
        _add(element, "labl", label, **{_XML_LANG: book.language})
    codes = _question(book, element, question) if question is not None else _levels(element, traits)
    text = any(isinstance(code, str) for code in codes)
    SubElement(element, "varFormat", type="character" if text else "numeric", schema="other", formatname="code")
    return element


def _question(book: Codebook, element: Element, question: Question) -> list[Code]:
    asked = SubElement(element, "qstn", responseDomainType="category")
    _add(asked, "qstnLit", question.text, **{_XML_LANG: book.language})
    for language, other in question.translations.items():
        _add(asked, "qstnLit", str(other["text"]), **{_XML_LANG: language})
    if question.universe:
        _add(element, "universe", question.universe)
    for place, option in enumerate(question.options):
        category = SubElement(element, "catgry")
        _add(category, "catValu", str(option.code))
        _add(category, "labl", option.label, **{_XML_LANG: book.language})
        for language, other in question.translations.items():
            _add(category, "labl", str(other.get("options", question.labels)[place]), **{_XML_LANG: language})
    for code, owner in question.merged.items():
        _category(element, code, question.labels[question.codes.index(owner)])
    for code, reason in book.missing_codes(question).items():
        if code not in question.merged:
            _category(element, code, REASON_WORDS[reason], missing="Y")
    return list(question.codes)


def _levels(element: Element, traits: list[Trait]) -> list[Code]:
    labels = {code: level.name for trait in reversed(traits) for level in trait.levels for code in level.codes}
    missing = {code: reason for trait in traits for code, reason in trait.missing.items() if code not in labels}
    for code, label in labels.items():
        _category(element, code, label)
    for code, reason in missing.items():
        _category(element, code, REASON_WORDS[reason], missing="Y")
    return list(labels)


def _category(element: Element, code: Code, label: str, **attributes: str) -> None:
    category = SubElement(element, "catgry", attributes)
    _add(category, "catValu", str(code))
    _add(category, "labl", label)


def _add(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = text
    return element


def _note_study(book: Codebook, root: Element, study: DdiStudy) -> None:
    said = survey_table(study, "")
    survey = {name: getattr(book, name) for name in _SURVEY}
    weights = weights_table(study)
    tables = {
        "survey": _unsaid(survey, said),
        "weights": {weight.variable: _unsaid(_plain(weight, "variable"), weights[weight.variable]) for weight in book.weights},
        "design": _plain(book.design),
        "wave": {name: list(codes) for name, codes in book.wave.items()},
        "missing": {str(code): reason for code, reason in book.missing.items()},
        "traits": {trait.name: _trait_fields(trait) for trait in book.traits.values()},
    }
    SubElement(next(root.iter("stdyDscr")), "notes", type=NOTE).text = _json(tables)


def _note_question(question: Question, element: Element, study: DdiStudy) -> None:
    read = next(variable for variable in study.variables if variable.name == question.question_id)
    SubElement(element, "notes", type=NOTE).text = _json({"question": _unsaid(_question_fields(question), question_table(study, read))})


def _json(note: Mapping[str, Any]) -> str:
    """Write JSON in characters that XML holds."""
    return _NO_XML.sub(lambda found: json.dumps(found[0])[1:-1], json.dumps(note, ensure_ascii=False))


def _unsaid(table: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a table the standard elements do not say, or say otherwise."""
    plain = json.loads(json.dumps(table))
    return {key: value for key, value in plain.items() if (value != said[key] if key in said else value not in ("", None, [], {}))}


def _question_fields(question: Question) -> dict[str, Any]:
    return {
        **_plain(question, "question_id"),
        "options": [[option.code, option.label] for option in question.options],
        "missing": {str(code): reason for code, reason in question.missing.items()},
        "merged": {str(code): option for code, option in question.merged.items()},
    }


def _trait_fields(trait: Trait) -> dict[str, Any]:
    own = {**_plain(trait, "name"), "levels": [_level_fields(level) for level in trait.levels]}
    return {
        **{key: value for key, value in own.items() if value not in ("", None)},
        "missing": {str(code): reason for code, reason in trait.missing.items()},
    }


def _level_fields(level: Level) -> dict[str, Any]:
    own = {**_plain(level), "codes": list(level.codes), "range": None if level.range is None else list(level.range)}
    return {key: value for key, value in own.items() if value not in ("", None, [], {})}


def _plain(item: Any, *but: str) -> dict[str, Any]:
    """Return the fields of a dataclass, those in `but` left out."""
    return {entry.name: getattr(item, entry.name) for entry in fields(item) if entry.name not in but}


def _without_control_characters(root: Element) -> list[str]:
    """Put a sign for each character that XML cannot hold; return the variables concerned, or "the study"."""
    replaced = []
    for owner in (*root.iter("stdyDscr"), *root.iter("fileDscr"), *root.iter("var")):
        for element in owner.iter():
            if element.text and _NO_XML.search(element.text):
                element.text = _NO_XML.sub("\ufffd", element.text)
                replaced.append(owner.get("name", "the study"))
    return list(dict.fromkeys(replaced))


def _save(root: Element, place: Path) -> None:
    indent(root)
    try:
        ElementTree(root).write(place, encoding="utf-8", xml_declaration=True)
    except UnicodeEncodeError as error:
        raise CodebookError(f"the codebook holds text that is no Unicode ({error}); correct it there") from error
