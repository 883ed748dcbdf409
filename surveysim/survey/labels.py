"""Labels in the place of codes: which code each label of a frame stands for, by the codebook's words, else by those of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from surveysim.codebook.missing_labels import reason_from_label
from surveysim.codebook.questions import Code, Level, Question, Trait
from surveysim.errors import CodebookError, first_few, nearest
from surveysim.files.csv_parquet import EMPTY_WORDS
from surveysim.files.rawfile import Column, Variable, is_tag
from surveysim.survey.codebook_match import plain_words
from surveysim.survey.reasons import comparable, distinct_codes


@dataclass(frozen=True, eq=False)
class Words:
    """The words that a codebook has for the codes of one question or trait.

    Attributes
    ----------
    where : str
        For messages: ``question 'trust'``.
    codes : mapping of code to sequence of str
        Every code of an answer or a level with its labels, those of other languages too.
    missing : mapping of code to reason
    numbers_are_codes : bool
        Whether any number may be an answer: where levels are ranges.
    """

    where: str
    codes: Mapping[Code, tuple[str, ...]]
    missing: Mapping[Code, str]
    numbers_are_codes: bool = False

    def is_code(self, value: object) -> bool:
        """Whether a value is a code as it stands."""
        if not isinstance(value, str) or is_tag(value) or value.strip() in EMPTY_WORDS:
            return True
        key = comparable(value)
        return key in self._comparable_codes or (self.numbers_are_codes and not isinstance(key, str))

    @cached_property
    def _comparable_codes(self) -> frozenset[Code]:
        return frozenset(comparable(code) for code in (*self.codes, *self.missing))


@dataclass(frozen=True, eq=False)
class Coded:
    """A column with its labels turned into codes.

    Attributes
    ----------
    values : array, shape ``(respondents,)``
    said : mapping of str to reason
        Labels of missing answers that have no code of their own; they stay as they are.
    by_label : bool
        Whether any label was turned into a code.
    """

    values: Column
    said: Mapping[Code, str]
    by_label: bool


def question_words(question: Question, missing: Mapping[Code, str]) -> Words:
    """Return the words of a question's options, in all its languages."""
    wordings = [question.labels, *(other["options"] for other in question.translations.values() if "options" in other)]
    codes = dict(zip(question.codes, zip(*wordings, strict=True), strict=True))
    return Words(f"question {question.question_id!r}", codes, missing)


def trait_words(trait: Trait) -> Words:
    """Return the words of a trait's levels; a level that is a range goes by its name."""
    codes: dict[Code, tuple[str, ...]] = {}
    for level in trait.levels:
        codes[level.codes[0] if level.codes else level.name] = level_words(level)
        codes.update(dict.fromkeys(level.codes[1:], ()))
    ranges = any(level.range is not None for level in trait.levels)
    return Words(f"trait {trait.name!r}", codes, trait.missing, ranges)


def level_words(level: Level) -> tuple[str, ...]:
    """Return what a level is called: name, text, place, and its text in other languages."""
    return tuple(dict.fromkeys(filter(None, (level.name, level.text, level.place, *level.translations.values()))))


def coded(values: Column, words: Words, variable: Variable) -> Coded:
    """Turn the labels of a column into codes; codes stay as they are.

    The codebook's labels come first, as they are written and then but for case, punctuation and a leading code; then those that the
    file or the frame's ``attrs`` give; then words for a missing answer, which become the codebook's code for that reason.

    Parameters
    ----------
    values : array, shape ``(respondents,)``
    words : Words
    variable : Variable
        What the file says of the column.

    Raises
    ------
    CodebookError
        If values are codes and labels of other codes at once, or a label stands for several codes.
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        return Coded(values, {}, by_label=False)
    positions, found = distinct_codes(values)
    plain = [words.is_code(value) or _is_file_code(value, variable) for value in found]
    if all(plain) and not _both(found, words):
        return Coded(values, {}, by_label=False)
    as_labels = _labels_first(found, plain, words)
    target = [value if code and not (as_labels and isinstance(value, str)) else None for value, code in zip(found, plain, strict=True)]
    said: dict[Code, str] = {}
    for place, value in enumerate(found):
        if target[place] is None:
            target[place] = _meant(value, words, variable, said)
    changed = any(old is not new for old, new in zip(found, target, strict=True))
    return Coded(_column(target, positions) if changed else values, said, by_label=changed)


def nearest_label(value: object, labels: Iterable[str]) -> str:
    """Return a clause that names the labels nearest to one that is unknown; empty for what is no label."""
    return nearest(value, labels) if isinstance(value, str) and isinstance(comparable(value), str) and not is_tag(value) else ""


def _is_file_code(value: object, variable: Variable) -> bool:
    return isinstance(value, str) and (value in variable.value_labels or variable.declares_missing(value))


def _both(found: np.ndarray, words: Words) -> list[str]:
    """Return the texts that are a code and the label of another code: a label "2" of code 3."""
    owners = {label: comparable(code) for code, labels in words.codes.items() for label in labels}
    return [value for value in found if isinstance(value, str) and owners.get(value, comparable(value)) != comparable(value)]


def _labels_first(found: np.ndarray, plain: list[bool], words: Words) -> bool:
    """Whether texts that are a code and the label of another code are labels here; the other values of the column tell.

    Raises
    ------
    CodebookError
        If they do not.
    """
    both = [value for value in _both(found, words) if words.is_code(value)]
    if not both:
        return False
    numbers = any(not isinstance(value, str) for value in found)
    known = {label for labels in words.codes.values() for label in labels}
    only_labels = numbers or any(not code for code in plain)
    only_codes = any(code and isinstance(value, str) and value not in known for value, code in zip(found, plain, strict=True))
    if only_labels != only_codes:
        return only_labels
    raise CodebookError(
        f"{words.where}: {first_few(map(repr, both))} are codes and labels of other codes, and the column does not tell which is meant; "
        "give the codes as numbers, or read the file without turning codes into labels"
    )


def _meant(value: str, words: Words, variable: Variable, said: dict[Code, str]) -> Code:
    """Return the code that a label stands for; a label of a missing answer without a code stays, and `said` gets its reason."""
    ours = [(label, code) for code, labels in words.codes.items() for label in labels]
    theirs = [(label, code) for code, label in variable.value_labels.items()]
    alike = plain_words(value)
    loose = alike and isinstance(comparable(value), str)
    for pairs, same in ((ours, False), (theirs, False), (ours, True), (theirs, True)):
        if same and not loose:
            continue
        codes = {code: label for label, code in pairs if (plain_words(label) == alike if same else label == value)}
        if len(codes) > 1:
            both = first_few(f"{code!r} {label!r}" for code, label in codes.items())
            raise CodebookError(f"{words.where}: label {value!r} stands for several codes: {both}; give codes, or make the labels distinct")
        if codes:
            return next(iter(codes))
    reason = None if any(isinstance(code, str) for code in words.codes if not words.numbers_are_codes) else reason_from_label(value)
    if reason is None:
        return value
    own = [code for code, other in words.missing.items() if other == reason]
    if own:
        return own[0]
    said[value] = reason
    return value


def _column(target: list[Code | None], positions: np.ndarray) -> Column:
    """Return each respondent's code: whole numbers where all are, else floats, else categories."""
    if not all(isinstance(code, int | float) for code in target):
        place, codes = pd.factorize(np.array(target, dtype=object))
        return pd.Categorical.from_codes(np.append(place, -1)[positions], categories=pd.Index(codes, dtype=object), validate=False)
    numbers = np.append(np.array(target, dtype=float), np.nan)[positions]
    whole = not np.isnan(numbers).any() and bool((numbers % 1 == 0).all())
    return numbers.astype(np.int64) if whole else numbers
