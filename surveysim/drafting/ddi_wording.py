"""What a study's DDI file adds to its data file's variables: wording, labels, missing codes, weights; and whether it is of that file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from surveysim.codebook.ddi_codebook import weights_table
from surveysim.codebook.ddi_study import DdiStudy, DdiVariable
from surveysim.codebook.missing_labels import plain_text
from surveysim.codebook.questions import Code
from surveysim.errors import CodebookError, first_few
from surveysim.files.rawfile import Column, RawFile, Variable, holds_text

log = logging.getLogger(__name__)

_OF_ANOTHER, _NEARLY_ALL = 0.5, 0.9  # share of variables, or of labelled ones, that match: below it is refused, or said


@dataclass(frozen=True)
class Asked:
    """What a DDI file says of a variable beside its labels.

    Attributes
    ----------
    wording, universe, topic : str
        The question's text, whom it was put to, and the group of variables that it stands in.
    source : str
        The DDI file's name.
    """

    wording: str = ""
    universe: str = ""
    topic: str = ""
    source: str = ""


NOT_DESCRIBED = Asked()


@dataclass(frozen=True)
class DdiWording:
    """What a DDI file gives a draft.

    Attributes
    ----------
    asked : mapping of variable to Asked
    facts : mapping of str to str
        Of the study: those of ``title year country producer source doi licence citation language`` that it states.
    remark : str
        How many variables match, where not nearly all do.
    """

    asked: Mapping[str, Asked] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


def with_ddi(raw: RawFile, study: DdiStudy) -> tuple[RawFile, DdiWording]:
    """Return a file with the labels, missing codes and weight that its DDI file states beside its own, and the wording.

    The file's own label of a code stays, unless the DDI file's begins with it and goes on: SPSS cuts labels.

    Raises
    ------
    CodebookError
        If fewer than half of the variables are in both, or fewer than half of those that both label have a label in common: the DDI
        file is of another file.
    """
    described = study.of_file(list(raw.columns))
    found = {name: described[name.lower()] for name in raw.columns if name.lower() in described}
    remark = _checked(raw, study, found, len(described))
    variables = {**raw.variables, **{name: _joined(raw, name, study, variable) for name, variable in found.items()}}
    by_lower = {name.lower(): name for name in raw.columns}
    weight = next((by_lower[name.lower()] for name in weights_table(study) if name.lower() in by_lower), "")
    asked = {name: Asked(study.wording(variable), variable.universe, variable.group, study.source) for name, variable in found.items()}
    facts = {name: text for name, text in study.facts.items() if name != "universe"} | {"source": study.source}
    facts |= {"language": study.language} if study.language else {}
    return replace(raw, variables=variables, weight=raw.weight or weight), DdiWording(asked, facts, remark)


def _checked(raw: RawFile, study: DdiStudy, found: Mapping[str, DdiVariable], n_described: int) -> str:
    """Return a remark where not nearly all variables match, and refuse where most do not."""
    counted = f"{len(found):,} of the {len(raw.columns):,} variables of {raw.source} are among the {n_described:,} of {study.source}"
    share = len(found) / max(1, min(len(raw.columns), n_described))
    both, alike = _alike(raw, study, found)
    labels = f", and {len(alike):,} of {len(both):,} that both label have a label in common" if len(alike) < len(both) else ""
    if share < _OF_ANOTHER or (both and len(alike) / len(both) < _OF_ANOTHER):
        raise CodebookError(f"ddi: {counted}{labels}: {study.source} is of another file; give the DDI file of {raw.source}")
    if share >= _NEARLY_ALL and (not both or len(alike) / len(both) >= _NEARLY_ALL):
        return ""
    lacking = [name for name in raw.columns if name not in found] or [name for name in both if name not in alike]
    remark = f"{counted}{labels}; check {first_few(lacking)}"
    log.warning("ddi: %s", remark)
    return remark


def _alike(raw: RawFile, study: DdiStudy, found: Mapping[str, DdiVariable]) -> tuple[list[str], list[str]]:
    """Return the variables that both files label, and those of them of which a code has the same label in both."""
    both, alike = [], []
    for name, variable in found.items():
        own, theirs = raw.variables.get(name, Variable()).value_labels, _labels(raw.columns[name], study, variable)
        common = [code for code in theirs if code in own]
        if not common:
            continue
        both.append(name)
        if any(_is_same(own[code], theirs[code]) for code in common):
            alike.append(name)
    return both, alike


def _is_same(label: str, other: str) -> bool:
    first, second = plain_text(label), plain_text(other)
    return first == second or (min(len(first), len(second)) > 2 and (first in second or second in first))


def _joined(raw: RawFile, name: str, study: DdiStudy, variable: DdiVariable) -> Variable:
    own = raw.variables.get(name, Variable())
    labels = _labels(raw.columns[name], study, variable)
    kept = {code: labels[code] if labels.get(code, "").startswith(label) else label for code, label in own.value_labels.items()}
    coded = variable.coded(text=holds_text(raw.columns[name]))
    marked = tuple((code, code) for code, category in coded if category.is_missing and not own.declares_missing(code))
    return Variable(own.label or study.in_words(variable.labels), {**labels, **kept}, (*own.missing, *marked, *variable.missing_ranges()))


def _labels(column: Column, study: DdiStudy, variable: DdiVariable) -> dict[Code, str]:
    coded = variable.coded(text=holds_text(column))
    return {code: label for code, category in coded if (label := study.in_words(category.labels))}
