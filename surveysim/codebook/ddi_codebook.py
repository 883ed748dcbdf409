"""From a DDI-Codebook file to a `Codebook`: wording, options, missing codes and weights as the file states them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surveysim.codebook.codebook import RESERVED, Codebook
from surveysim.codebook.ddi_study import DdiStudy, DdiVariable, read_ddi
from surveysim.codebook.declared import parse_codebook
from surveysim.codebook.missing_labels import reason_in_place
from surveysim.codebook.option_order import inferred_type
from surveysim.codebook.questions import Code
from surveysim.errors import CodebookError

MOST_OPTIONS, MOST_WITH_WORDING = 12, 120  # labelled codes of a question; more are a list, unless the file has a question's text


def codebook_from_ddi(path: Path) -> Codebook:
    """Return the codebook of a DDI-Codebook file.

    Raises
    ------
    CodebookError
        If it cannot be read, or holds no question.
    """
    study = read_ddi(path)
    declared = declared_by(study, path.stem)
    if not declared["questions"]:
        raise CodebookError(
            f"{path.name}: none of its {len(study.variables):,} variables has 2 to {MOST_OPTIONS} labelled answers, or 2 to "
            f"{MOST_WITH_WORDING} and a question's text; write the codebook by hand"
        )
    return parse_codebook(declared, path.stem)


def declared_by(study: DdiStudy, name: str) -> dict[str, Any]:
    """Return the tables that a codebook's file would hold, as `parse_codebook` takes them."""
    noted = study.note is not None
    questions: dict[str, Any] = {}
    for variable in study.variables:
        note = variable.note or {}
        if "question" in note or (not noted and _is_question(study, variable, questions)):
            questions[variable.name] = {**question_table(study, variable), **_table(note.get("question", {}))}
    survey, weights = survey_table(study, name), weights_table(study)
    tables = {table: _table(content) for table, content in (study.note or {}).items()}
    ordered = tables.get("weights", {variable: {} for variable in weights})
    return {
        **tables,
        "survey": {**survey, **tables.get("survey", {})},
        "weights": {variable: {**weights.get(variable, {}), **_table(further)} for variable, further in ordered.items()},
        "questions": questions,
    }


def survey_table(study: DdiStudy, name: str) -> dict[str, Any]:
    """Return what standard elements say of the study."""
    facts = {key: text for key, text in study.facts.items() if key != "universe"}
    files = [file for file in study.files.values() if file]
    several = f"{len(study.files)} data files are described; of variables of one name the first is here" if len(study.files) > 1 else ""
    universe = f"universe: {study.facts['universe']}" if "universe" in study.facts else ""
    return {
        "name": name,
        "title": name,
        **facts,
        **({"language": study.language} if study.language else {}),
        "files": files,
        "note": "; ".join(filter(None, (several, universe))),
        "verified": False,
    }


def question_table(study: DdiStudy, variable: DdiVariable) -> dict[str, Any]:
    """Return what standard elements say of a question: its text, else its label, options, missing codes, and to whom it was put."""
    wording, label = study.wording(variable), study.in_words(variable.labels)
    options, missing, merged = answers_of(study, variable)
    return {
        "text": wording or label or variable.name,
        "label": label,
        "type": variable.nature if variable.nature in ("ordinal", "nominal") else inferred_type(list(options.values()))[0],
        "options": [[code, text] for code, text in options.items()],
        "missing": {str(code): reason for code, reason in missing.items()},
        "merged": {str(code): option for code, option in merged.items()},
        "topic": variable.group,
        "universe": variable.universe,
        "translations": _translations(study, variable, list(options)),
        "source": f"{'question text' if wording else 'variable label'} of {study.source}",
        "verified": False,
    }


def answers_of(study: DdiStudy, variable: DdiVariable) -> tuple[dict[Code, str], dict[Code, str], dict[Code, Code]]:
    """Return option labels, reasons of missing codes, and codes whose label an option has already, each by code."""
    coded = dict(variable.coded())
    labels = {code: study.in_words(category.labels) or category.code for code, category in coded.items()}
    options: dict[Code, str] = {}
    missing: dict[Code, str] = {}
    for code, category in coded.items():
        declared = category.is_missing or variable.declares_missing(code)
        reason = reason_in_place(code, labels, declared=declared).reason
        if reason or declared:
            missing[code] = reason or "other"
        else:
            options[code] = labels[code]
    kept, merged = each_label_once(options)
    return kept, missing, merged


def each_label_once(options: Mapping[Code, str]) -> tuple[dict[Code, str], dict[Code, Code]]:
    """Return the options that bear a label first, and the codes of the others, each with the option that it counts as.

    Examples
    --------
    >>> from surveysim.codebook.ddi_codebook import each_label_once
    >>> each_label_once({1: "Yes", 2: "No", 3: "Yes"})
    ({1: 'Yes', 2: 'No'}, {3: 1})
    """
    owner: dict[str, Code] = {}
    for code, label in options.items():
        owner.setdefault(label, code)
    kept = {code: label for code, label in options.items() if owner[label] == code}
    return kept, {code: owner[label] for code, label in options.items() if owner[label] != code}


def _is_question(study: DdiStudy, variable: DdiVariable, before: Mapping[str, Any]) -> bool:
    taken = variable.name in before or variable.name in RESERVED or not variable.name or variable.is_weight
    most = MOST_WITH_WORDING if variable.questions else MOST_OPTIONS
    return not taken and 2 <= len(answers_of(study, variable)[0]) <= most


def _translations(study: DdiStudy, variable: DdiVariable, codes: list[Code]) -> dict[str, Any]:
    """Return language -> text and labels, of the languages in which there are all of them."""
    coded = dict(variable.coded())
    found = {}
    for language in variable.questions:
        labels = [coded[code].labels.get(language, "") for code in codes]
        if language and language != study.language and all(labels):
            found[language] = {"text": study.wording(variable, language), "options": labels}
    return found


def weights_table(study: DdiStudy) -> dict[str, Any]:
    """Return the weights, first the one by which most variables are said to be weighted."""
    times: dict[str, int] = {}
    for variable in study.variables:
        for identifier in variable.weighted_by:
            times[identifier] = times.get(identifier, 0) + 1
    weights = [variable for variable in study.variables if variable.is_weight]
    weights.sort(key=lambda variable: -times.get(variable.identifier, 0))
    source = f"marked as a weight in {study.source}"
    return {weight.name: {"label": study.in_words(weight.labels), "source": source, "verified": False} for weight in weights}


def _table(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise CodebookError("a note of type 'surveysim' holds no table where one belongs; take the note out, or write the file again")
    return content
