"""From other people's words to a codebook's: options by code or label, levels by name, background ids put in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id
from surveysim.codebook.codebook import Codebook, ordinal_questions
from surveysim.codebook.questions import Question
from surveysim.errors import BackgroundError, EvaluationError, TableError, first_few, nearest, quoted
from surveysim.tables.schema import POOLED

NO_OPTION = -1


def scales_of(
    questions: Iterable[str], codebook: Codebook | None, ordinal: str | Collection[str] | None, *, needed: bool = True
) -> frozenset[str]:
    """Return the ordered questions as `ordinal_questions` does, by a codebook that knows every one of `questions`.

    Raises
    ------
    EvaluationError
        If the codebook lacks a question, which would count as nominal; else as of `ordinal_questions`.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.codebook.matching import scales_of
    >>> "Q8_8" in scales_of(["Q8_8"], ss.load_codebook("nonvoters2020"), None)
    True
    """
    absent = (
        [] if codebook is None or ordinal is not None else [name for name in dict.fromkeys(questions) if name not in codebook.questions]
    )
    if codebook is not None and absent:
        raise EvaluationError(
            f"codebook {codebook.name!r} lacks question {first_few(map(repr, absent))}, so that its scale is not known; "
            f"give the codebook of this survey, or ordinal= with the ordered questions' ids; {nearest(absent[0], codebook.questions)}"
        )
    return ordinal_questions(codebook, ordinal, needed=needed)


def plain(value: object) -> str:
    """Return a value as text to compare by: no capitals, single blanks, ``1.0`` as ``1``."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and float(value).is_integer():
        return str(int(value))
    return " ".join(str(value).casefold().split())


def option_places(question: Question, given: Iterable[object]) -> dict[object, int]:
    """Return value -> position among the question's options, `NO_OPTION` where it is none of them.

    A number is a code. A text is a label, whatever its capitals and blanks, or a code written as text.

    Raises
    ------
    TableError
        If a text is the label of one option and the code of another.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.codebook.matching import option_places
    >>> option_places(ss.load_codebook("nonvoters2020").question("Q8_8"), [1, "2", "not  much", "never"])
    {1: 0, '2': 1, 'not  much': 2, 'never': -1}
    """
    by_code = {plain(code): place for place, code in enumerate(question.codes)}
    by_label: dict[str, set[int]] = {}
    for place, label in enumerate(question.labels):
        by_label.setdefault(plain(label), set()).add(place)
    return {value: _place(question, value, by_code, by_label) for value in given}


def _place(question: Question, value: object, by_code: dict[str, int], by_label: dict[str, set[int]]) -> int:
    if pd.isna(value):
        return NO_OPTION
    word = plain(value)
    coded = by_code.get(word, NO_OPTION)
    if not isinstance(value, str):
        return coded
    meant = by_label.get(word, set()) | ({coded} - {NO_OPTION})
    exact = [place for place, label in enumerate(question.labels) if label == value]
    if len(meant) > 1 and not (exact and coded in (NO_OPTION, exact[0])):
        names = [f"{question.codes[place]!r} {question.labels[place]!r}" for place in sorted(meant)]
        raise TableError(
            f"question {question.question_id!r}: {value!r} may be any of the options {first_few(names)}; give codes as numbers"
        )
    return exact[0] if exact else min(meant, default=NO_OPTION)


def level_names(codebook: Codebook, trait: str, given: Iterable[object], what: str) -> dict[object, str]:
    """Return value -> name of the level of a trait, whatever its capitals and blanks; a level's words in a prompt will do.

    Raises
    ------
    CodebookError
        If the codebook has no such trait.
    BackgroundError
        If a value is no level; the message names the nearest.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.codebook.matching import level_names
    >>> level_names(ss.load_codebook("nonvoters2020"), "gender", ["Female"], "table")
    {'Female': 'female'}
    """
    levels = codebook.trait(trait).levels
    known = {plain(level.text): level.name for level in levels} | {plain(level.name): level.name for level in levels}
    exact = {level.name for level in levels}
    values = list(dict.fromkeys(given))
    strange = [value for value in values if plain(value) not in known]
    if strange:
        lacking = f"{what}: trait {trait!r} has no level {first_few(map(quoted, strange))}"
        raise BackgroundError(f"{lacking}; {nearest(str(strange[0]), codebook.trait(trait).level_names)}")
    return {value: str(value) if value in exact else known[plain(value)] for value in values}


def known_background(identifier: object, codebook: Codebook, what: str) -> str:
    """Return a background id in our own form, of one in ours or of a segment written ``trait:level``.

    Raises
    ------
    BackgroundError
        If a part of it names no trait and level, a trait stands twice, or a trait or level is unknown.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.codebook.matching import known_background
    >>> book = ss.load_codebook("nonvoters2020")
    >>> known_background("gender=Female|age3=18-34", book, "table"), known_background("gender: male", book, "table")
    ('age3=18-34|gender=female', 'gender=male')
    """
    if identifier == POOLED:
        return POOLED
    levels: dict[str, str] = {}
    for part in str(identifier).split("|"):
        sign = "=" if "=" in part else ":"
        trait, found, level = (piece.strip() for piece in part.partition(sign))
        names = {name.casefold(): name for name in codebook.traits}
        if not found:
            raise BackgroundError(
                f"{what}: {quoted(identifier)} is no background; write trait=level, several with | between them, or {POOLED!r}"
            )
        if trait.casefold() not in names:
            raise BackgroundError(f"{what}: {quoted(identifier)}: there is no trait {trait!r}; {nearest(trait, codebook.traits)}")
        name = trait if trait in codebook.traits else names[trait.casefold()]
        if name in levels:
            raise BackgroundError(f"{what}: {quoted(identifier)} names trait {name!r} twice; keep one")
        levels[name] = level_names(codebook, name, [level], what)[level]
    return background_id(levels)
