"""A file's variables as a draft sees them: answers, missing codes with their reason, and all that is to be said of either."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TypeGuard

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import RESERVED
from surveysim.codebook.ddi_codebook import MOST_OPTIONS, each_label_once
from surveysim.codebook.missing_labels import plain_text
from surveysim.codebook.questions import MISSING_REASONS, Code
from surveysim.drafting.ddi_wording import NOT_DESCRIBED, Asked, DdiWording
from surveysim.files.rawfile import Column, RawFile, Variable, counted_floats, distinct_floats, holds_text, is_tag
from surveysim.survey.reasons import UNKNOWN, code_states, comparable, distinct_codes, file_reason, states

MOST_NAMED = 5  # codes that a comment names one by one


@dataclass(frozen=True, eq=False)
class DraftVariable:
    """One variable as it would stand in a codebook.

    Attributes
    ----------
    name : str
    variable : Variable
        What the file says of it.
    options : mapping of code to label
        Valid answers: labelled codes, and whole numbers without one between labelled ends of a scale; each label once.
    merged : mapping of code to code
        Codes whose label another option has already, each with that option's code.
    missing : mapping of code to reason
    unlabelled : mapping of code to int
        Codes beside the labelled ones that have no label, with their respondents.
    remarks : tuple of str
        What was guessed, for a comment in the draft.
    values : array, shape ``(respondents,)``
    asked : Asked
        What a DDI file says of it.
    """

    name: str
    variable: Variable
    options: dict[Code, str]
    merged: dict[Code, Code]
    missing: dict[Code, str]
    unlabelled: dict[Code, int]
    remarks: tuple[str, ...]
    values: Column = field(repr=False)
    asked: Asked = NOT_DESCRIBED

    @cached_property
    def is_text(self) -> bool:
        """Whether the file holds it as text."""
        return holds_text(self.values)

    @cached_property
    def said(self) -> str:
        """Name and label for comparison, without a question's number in front."""
        label = re.sub(r"^\W*[a-z]{0,3}[\d_]+[a-z]?\d*\s*[.:)\-]\s*", "", plain_text(self.variable.label))
        return f"{plain_text(self.name).replace('_', ' ')} | {label}"

    @property
    def is_question(self) -> bool:
        """Whether it can be drafted as a question or as a trait's levels without being asked for."""
        return not self.why_not

    @cached_property
    def why_not(self) -> str:
        """Why it is not drafted as a question; empty where it is."""
        if self.name in RESERVED:
            return f"{self.name!r} is a column of every survey: rename the variable in the file to ask it"
        if self.unlabelled and self.options:
            return self._beside_the_labels()
        if self.options:
            n = len(self.options)
            return (
                "" if 2 <= n <= MOST_OPTIONS else "1 labelled answer" if n == 1 else f"{n} labelled answers, a list rather than a question"
            )
        return self._without_labels()

    def _beside_the_labels(self) -> str:
        if len(self.unlabelled) > MOST_NAMED:
            numbers = [code for code in self.unlabelled if not isinstance(code, str)]
            ends = f" from {min(numbers):g} to {max(numbers):g}" if numbers else ""
            return f"{len(self.unlabelled)} codes{ends} ({sum(self.unlabelled.values()):,} respondents) beside the labels have none"
        ordered = sorted(self.unlabelled.items(), key=lambda pair: (isinstance(pair[0], str), pair[0]))
        counted = ", ".join(f"{written(code)} ({n:,} respondents)" for code, n in ordered)
        return f"code {counted} beside the labels has none"

    def _without_labels(self) -> str:
        n = self.n_distinct
        if not n:
            return "no respondent has a valid answer"
        if self.has_words:
            return f"text without labels, {n:,} different answers"
        numbers = np.asarray(self._answers, dtype=float)
        return f"numbers without labels, {n:,} different ones from {numbers.min():g} to {numbers.max():g}"

    @cached_property
    def _coded(self) -> tuple[np.ndarray, np.ndarray]:
        return distinct_codes(self.values)

    @property
    def distinct(self) -> list[Code]:
        """Distinct values that are neither empty nor missing."""
        return self._answers.tolist() if isinstance(self._answers, np.ndarray) else self._answers

    @property
    def n_distinct(self) -> int:
        """How many distinct values are neither empty nor missing."""
        return len(self._answers)

    @cached_property
    def has_words(self) -> bool:
        """Whether one of the distinct values is text."""
        return not isinstance(self._answers, np.ndarray) and any(isinstance(code, str) for code in self._answers)

    @cached_property
    def _answers(self) -> list[Code] | np.ndarray:
        if _are_floats(self.values):
            codes = distinct_floats(self.values)
            return codes[~self._is_missing(codes)]
        _, codes = self._coded
        known = {comparable(code) for code in self.missing}
        blank = [isinstance(code, str) and not code.strip() for code in codes]
        return [
            code
            for code, empty in zip(codes, blank, strict=True)
            if not empty
            and not is_tag(code)
            and comparable(code) not in known
            and code == code
            and not self.variable.declares_missing(code)
        ]

    def _is_missing(self, codes: np.ndarray) -> np.ndarray:
        """Say of numbers which are missing codes, by the draft or by the file."""
        gone = np.isin(codes, [code for code in map(comparable, self.missing) if not isinstance(code, str)])
        for low, high in self.variable.missing:
            if not isinstance(low, str) and not isinstance(high, str):
                gone |= (low <= codes) & (codes <= high)
        return gone

    @cached_property
    def numbers(self) -> np.ndarray:
        """Values as floats, NaN where they are missing or no number."""
        known = {comparable(code) for code in self.missing}
        if not known and _are_floats(self.values):
            return np.asarray(self.values)
        positions, codes = self._coded
        kept = [not isinstance(code, str) and comparable(code) not in known for code in codes]
        found = np.array([float(code) if keep else np.nan for code, keep in zip(codes, kept, strict=True)] + [np.nan])
        return found[positions]


def draft_variables(raw: RawFile, wording: DdiWording | None = None) -> list[DraftVariable]:
    """Say of each of a file's variables what it would be in a codebook."""
    asked = {} if wording is None else wording.asked
    return [draft_of(name, raw.columns[name], raw.variables.get(name, Variable()), asked.get(name, NOT_DESCRIBED)) for name in raw.columns]


def draft_of(name: str, values: Column, variable: Variable, asked: Asked) -> DraftVariable:
    """Say of one variable what it would be in a codebook."""
    if not variable.value_labels and not variable.missing and not _may_hold_tags(values):
        return DraftVariable(str(name), variable, {}, {}, {}, {}, (), values, asked)
    read = _by_label(tuple(variable.value_labels.items()), variable.missing)
    further = [code for code in _distinct(values) if comparable(code) not in read.known]
    if not further:
        return DraftVariable(str(name), variable, read.options, read.merged, read.missing, {}, read.remarks, values, asked)
    reasons, unlabelled = _beside_labels(values, further, read, variable)
    missing = {**read.missing, **reasons}
    options, unlabelled = _filled(read.valid, unlabelled, missing)
    options, merged, remarks = _once(options)
    return DraftVariable(str(name), variable, options, merged, missing, unlabelled, (*read.doubts, *remarks), values, asked)


def _beside_labels(values: Column, codes: Sequence[Code], read: _Labels, variable: Variable) -> tuple[dict[Code, str], dict[Code, int]]:
    """Return code -> reason of those without a label that the file declares missing, and code -> respondents of the others."""
    if _are_floats(values):  # numbers: neither tags, nor words, nor two spellings of one code
        declared = {code for code in codes if variable.missing and file_reason(code, {}, variable).reason}
        others = set(codes) - declared
        counts = zip(*map(np.ndarray.tolist, counted_floats(values)), strict=True) if others else ()
        return {whole(code): "other" for code in declared}, {code: n for code, n in counts if code in others}
    found = np.array(codes, dtype=object)
    state, _ = code_states(found, read.valid, read.missing, variable)
    reasons = {whole(found[place]): MISSING_REASONS[state[place]] for place in np.flatnonzero(state >= 0)}
    missing = {**read.missing, **reasons}
    return reasons, states(values, read.valid, missing, variable).unknown() if (state == UNKNOWN).any() else {}


@dataclass(frozen=True, eq=False)
class _Labels:
    """What value labels say by themselves: valid answers, missing codes, what is doubtful, and the codes so known in comparable form."""

    valid: dict[Code, str]
    missing: dict[Code, str]
    doubts: tuple[str, ...]
    known: frozenset[Code]
    options: dict[Code, str]
    merged: dict[Code, Code]
    remarks: tuple[str, ...]


@lru_cache(maxsize=1024)
def _by_label(value_labels: tuple[tuple[Code, str], ...], declared: tuple[tuple[Code, Code], ...]) -> _Labels:
    """Read value labels; many variables of a file share theirs."""
    variable = Variable("", dict(value_labels), declared)
    labels = {comparable(code): label for code, label in value_labels}
    valid: dict[Code, str] = {}
    missing: dict[Code, str] = {}
    doubts = []
    for code, label in value_labels:
        if code != code:
            continue  # NaN, which no cell equals
        reason, sure = file_reason(code, labels, variable)
        if reason is None:
            valid[code] = label.strip() or written(code)
        else:
            missing[code] = reason
        if not sure:
            doubt = "is an answer here; it may be none" if reason is None else f"is missing here by where its code stands ({reason})"
            doubts.append(f"code {written(code)} {label!r} {doubt}: check it")
    options, merged, remarks = _once(valid)
    known = frozenset(map(comparable, (*valid, *missing)))
    return _Labels(valid, _spelt_once(missing), tuple(doubts), known, options, merged, (*doubts, *remarks))


def _once(valid: Mapping[Code, str]) -> tuple[dict[Code, str], dict[Code, Code], list[str]]:
    """Return the options, each label once, the codes that count as one of them, and a remark on each of these."""
    options, merged = each_label_once(valid)
    return (
        options,
        merged,
        [
            f"codes {written(option)} and {written(code)} bear the same label {options[option]!r}: they count as {written(option)}"
            for code, option in merged.items()
        ],
    )


def _distinct(values: Column) -> list[Code]:
    """Return the distinct values, without their places: of numbers that is the quicker half of `distinct_codes`."""
    return distinct_floats(values).tolist() if _are_floats(values) else list(distinct_codes(values)[1])


def _are_floats(values: Column) -> TypeGuard[np.ndarray]:
    return isinstance(values, np.ndarray) and values.dtype.kind == "f"


def _may_hold_tags(values: Column) -> bool:
    return isinstance(values, pd.Categorical)


def _filled(labelled: dict[Code, str], unlabelled: dict[Code, int], missing: Mapping[Code, str]) -> tuple[dict[Code, str], dict[Code, int]]:
    """Add the whole numbers between labelled ends of a scale, but those that are missing codes; return also the codes without a label
    that no ends enclose, with counts.
    """
    numbers = [code for code in labelled if not isinstance(code, str)]
    if not unlabelled or not numbers or len(numbers) < len(labelled):
        return labelled, unlabelled if labelled else {}
    low, high = min(numbers), max(numbers)
    between = all(not isinstance(code, str) and low < code < high and float(code).is_integer() for code in unlabelled)
    if not between or not float(low).is_integer() or high - low >= MOST_OPTIONS:
        return labelled, unlabelled
    taken = set(labelled.values())
    known = {comparable(code): label for code, label in labelled.items()}
    whole = {code: str(code) if str(code) not in taken else f"code {code}" for code in range(int(low), int(high) + 1)}
    gone = {comparable(code) for code in missing}
    whole = {code: label for code, label in whole.items() if comparable(code) not in gone}
    return {code: known.get(float(code), label) for code, label in whole.items()} | {
        code: label for code, label in labelled.items() if not float(code).is_integer()
    }, {}


def _spelt_once(missing: Mapping[Code, str]) -> dict[Code, str]:
    """Return each code once, whole numbers as such."""
    return {whole(code): reason for code, reason in missing.items()}


def whole(code: Code) -> Code:
    """Return whole numbers without a point."""
    return int(code) if isinstance(code, float) and code.is_integer() else code


def written(code: Code) -> str:
    """Write a code for a comment."""
    return repr(code) if isinstance(code, str) else str(whole(code))
