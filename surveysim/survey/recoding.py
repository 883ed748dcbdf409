"""From a file's columns to answers and traits, as the codebook declares; a code that it does not know is an error."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.questions import MISSING_REASONS, Code, Question, Trait
from surveysim.errors import CodebookError, first_few
from surveysim.files.rawfile import FRAME, Column, Variable, as_floats
from surveysim.survey.codebook_match import check_question_labels, check_trait_labels
from surveysim.survey.labels import Words, coded, level_words, nearest_label, question_words, trait_words
from surveysim.survey.reasons import UNKNOWN, VALID, States, comparable, distinct_codes, named_reason, states

GIVEN_BY_MANY, LONGEST_QUOTED = 5, 40  # respondents, characters: of a text of the data that a message repeats
ALIKE = 0.75  # similarity (0-1) from which a text is a label written wrongly

Answers = tuple[np.ndarray, pd.Categorical, list[str]]  # codes, reasons, notes
Levels = tuple[pd.Categorical, pd.Categorical, list[str]]  # levels, reasons, notes

_OTHER = MISSING_REASONS.index("other")


def answer_column(question: Question, values: Column, variable: Variable, codebook: Codebook, source: str = FRAME) -> Answers:
    """Return a question's column, original codes kept, why each cell holds no valid answer (missing where it does), and notes.

    A label in the place of a code becomes the code.

    Parameters
    ----------
    values : array, shape ``(respondents,)``
    variable : Variable
        What the file says of the column.

    Raises
    ------
    CodebookError
        If a code is in neither options nor missing, and the file does not say that it is missing; if the file labels an option
        otherwise.
    """
    missing = codebook.missing_codes(question)
    given = coded(values, question_words(question, missing), variable)
    if not given.by_label:
        check_question_labels(question, variable, source, codebook)
    found = states(given.values, _valid_codes(question), {**missing, **given.said}, variable)
    if unknown := found.unknown():
        _refuse(f"question {question.question_id!r}", ("options", question.labels), unknown, variable, codebook)
    notes = [*_overruled(question, found, variable, codebook), *_guessed(f"question {question.question_id!r}", found, variable, codebook)]
    if question.merged:
        codes, said = _merged(question, given.values, found)
        return codes, found.reasons(codebook.system_missing), [*notes, *said]
    return _kept(given.values, found), found.reasons(codebook.system_missing), notes


def _valid_codes(question: Question) -> dict[Code, Code]:
    return {**{code: code for code in question.codes}, **question.merged}


def _merged(question: Question, values: Column, found: States) -> tuple[np.ndarray, list[str]]:
    """Return the codes with merged ones put as the codebook declares, and a note that counts them."""
    further = {comparable(code): option for code, option in question.merged.items()}
    positions, distinct = distinct_codes(values)
    counts = {code: int((positions == place).sum()) for place, code in enumerate(distinct) if comparable(code) in further}
    notes = [
        f"question {question.question_id!r}: code {code:g} ({n} respondents) counts as {further[comparable(code)]}"
        if isinstance(code, float)
        else f"question {question.question_id!r}: code {code} ({n} respondents) counts as {further[comparable(code)]}"
        for code, n in counts.items()
    ]
    codes = found.each(found.codes, np.nan)
    return (codes.astype(float) if pd.api.types.is_numeric_dtype(values.dtype) else codes), notes


def _overruled(question: Question, found: States, variable: Variable, codebook: Codebook) -> list[str]:
    """Return a note of the options that the file declares missing."""
    valid = found.codes[found.state == VALID] if variable.missing else ()
    overruled = [code for code in valid if variable.declares_missing(code)]
    counted = f"missing, {codebook.name}.toml holds it as an option: counted as valid"
    return [f"question {question.question_id!r}: the file declares {first_few(overruled)} {counted}"] if overruled else []


def _guessed(where: str, found: States, variable: Variable, codebook: Codebook) -> list[str]:
    """Return a note of the codes that are missing by a label that may be an answer too, because of their place alone."""
    if not found.guessed:
        return []
    labels = {comparable(code): label for code, label in variable.value_labels.items()}
    named = first_few(_named_code(code, labels.get(comparable(code))) for code in found.guessed)
    remedy = f"put it into options or missing of {codebook.name}.toml"
    return [f"{where}: {named} counts as missing by its label and by where its code stands; {remedy}"]


def trait_column(
    trait: Trait, values: Column, variable: Variable, codebook: Codebook, year: np.ndarray | int | None = None, *, source: str = FRAME
) -> Levels:
    """Return a trait's levels (missing where a respondent has none), why there is none, and notes.

    Codes of a level come first, then the trait's missing codes and what the file says, then ranges, then the codebook's
    common missing codes: so 77 is an age unless something says of this variable that it is not. A level's name or another label in
    the place of a code will do.

    Parameters
    ----------
    values : array, shape ``(respondents,)``
    variable : Variable
        What the file says of the column.
    year : array or int, optional
        From which the values are subtracted before ranges apply.

    Raises
    ------
    CodebookError
        If a code is in no level and not missing, and no level is a range.
    """
    words = trait_words(trait)
    given = coded(values, words, variable)
    if not given.by_label:
        check_trait_labels(trait, variable, source, codebook)
    found = states(given.values, list(words.codes), {**trait.missing, **given.said}, variable)
    if isinstance(year, np.ndarray):
        found, year = _by_year(found, year)
    places = {comparable(code): place for place, level in enumerate(trait.levels) for code in level.codes or (level.name,)}
    level = np.array(
        [places[comparable(code)] if known == VALID else -1 for code, known in zip(found.codes, found.state, strict=True)], int
    )
    undecided = found.state == UNKNOWN
    if undecided.any():
        level[undecided] = _range_places(trait, found.codes, year)[undecided]
        found.state[undecided & (level >= 0)] = VALID
        late = undecided & (level < 0)
        found.state[late] = _common_states(found.codes[late], codebook)
    notes = _guessed(f"trait {trait.name!r}", found, variable, codebook)
    if unknown := found.unknown():
        notes += _outside(trait, unknown, variable, codebook)
    found.state[found.state == UNKNOWN] = _OTHER
    levels = pd.Categorical.from_codes(found.each(level, -1), dtype=_level_dtype(trait.level_names), validate=False)
    return levels, found.reasons(codebook.system_missing), notes


def recoded_column(trait: Trait, values: Column, variable: Variable, codebook: Codebook) -> Levels:
    """Return a trait that is recoded already: level names, or codes whose value labels are level names.

    Raises
    ------
    CodebookError
        If a value is neither.
    """
    named = {comparable(code): label for code, label in variable.value_labels.items() if label in trait.level_names}
    levels_in_words: dict[Code, tuple[str, ...]] = {level.name: level_words(level) for level in trait.levels}
    words = Words(f"trait {trait.name!r}", {**dict.fromkeys(named, ()), **levels_in_words}, trait.missing)
    given = coded(values, words, Variable())
    found = states(given.values, [*trait.level_names, *named], {**trait.missing, **given.said}, variable)
    if unknown := found.unknown():
        _refuse(f"trait {trait.name!r}", ("levels", trait.level_names), unknown, variable, codebook)
    names = [str(named.get(comparable(code), code)) for code in found.codes]
    level = np.array([trait.level_names.index(name) if state == VALID else -1 for name, state in zip(names, found.state, strict=True)], int)
    levels = pd.Categorical.from_codes(found.each(level, -1), dtype=_level_dtype(trait.level_names))
    return levels, found.reasons(codebook.system_missing), []


@lru_cache(maxsize=256)
def _level_dtype(names: tuple[str, ...]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(list(names), ordered=True)


def _kept(values: Column, found: States) -> np.ndarray:
    """Return the column as it is where it is numeric, else with the codes that the codebook writes."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return found.each(found.codes, np.nan)
    return as_floats(values) if pd.api.types.is_extension_array_dtype(values.dtype) else np.asarray(values)


def _by_year(found: States, years: np.ndarray) -> tuple[States, np.ndarray]:
    """Return the states with an entry for every pair of a code and a year that a respondent has, and these years."""
    year_place, distinct = pd.factorize(years, use_na_sentinel=False)
    filled = found.positions >= 0
    positions = np.full(len(years), -1)
    positions[filled], pairs = pd.factorize((found.positions * len(distinct) + year_place)[filled])
    code_place, year_place = np.divmod(pairs, len(distinct))
    return States(found.codes[code_place], found.state[code_place], positions), distinct[year_place]


def _common_states(codes: np.ndarray, codebook: Codebook) -> list[int]:
    """Return the state that the codebook's common missing codes give to each code."""
    common = {comparable(code): reason for code, reason in codebook.missing.items()}
    reasons = [named_reason(comparable(code), common) for code in codes]
    return [UNKNOWN if reason is None else MISSING_REASONS.index(reason) for reason in reasons]


def _range_places(trait: Trait, codes: np.ndarray, year: np.ndarray | int | None) -> np.ndarray:
    """Return the level whose range holds each code's number, shape ``(codes,)``; -1 where none does."""
    if all(level.range is None for level in trait.levels):
        return np.full(len(codes), -1)
    numbers = pd.to_numeric(codes, errors="coerce").astype(float)
    if year is not None:
        numbers = year - numbers
    place = np.full(len(numbers), -1)
    for at, level in enumerate(trait.levels):
        if level.range is not None:
            place[(numbers >= level.range[0]) & (numbers <= level.range[1])] = at
    return place


def _outside(trait: Trait, counts: dict[Code, int], variable: Variable, codebook: Codebook) -> list[str]:
    if all(level.range is None for level in trait.levels):
        _refuse(f"trait {trait.name!r} (variable {trait.variable!r})", ("levels", trait.level_names), counts, variable, codebook)
    return [f"trait {trait.name!r}: {sum(counts.values())} respondents lie outside every range: {_counted(counts, variable)}"]


def _refuse(where: str, declared: tuple[str, tuple[str, ...]], counts: dict[Code, int], variable: Variable, codebook: Codebook) -> None:
    what, labels = declared
    if unlike := [code for code in counts if nearest_label(code, labels)]:
        words = ", ".join(
            f"{_quoted(code, counts[code], labels)} ({counts[code]} respondents; {nearest_label(code, labels)})" for code in unlike[:3]
        )
        more = f" and {len(unlike) - 3} more" if len(unlike) > 3 else ""
        raise CodebookError(
            f"{where}: {words}{more} {'is' if len(unlike) == 1 else 'are'} neither a code nor a label of {codebook.name}.toml; mend the "
            f"label, add it to {what} or missing, or give codes: read the file without turning codes into labels, or keep its labels "
            "in attrs['variable_value_labels'] of the frame"
        )
    hint = f"add {'it' if len(counts) == 1 else 'each'} to one of them"
    if any(isinstance(code, str) for code in counts):
        hint += "; text stands where the codebook may mean numbers"
    raise CodebookError(f"{where}: code {_counted(counts, variable)} is in neither {what} nor missing of {codebook.name}.toml; {hint}")


def _counted(counts: dict[Code, int], variable: Variable) -> str:
    labels = {comparable(code): label for code, label in variable.value_labels.items()}
    return first_few(_named_code(code, labels.get(comparable(code)), n) + f" ({n} respondents)" for code, n in counts.items())


def _named_code(code: Code, label: str | None, n: int = GIVEN_BY_MANY) -> str:
    written = f"{code:g}" if isinstance(code, float) else _quoted(code, n) if isinstance(code, str) and not label else str(code)
    return f"{code!r} {label!r}" if label and isinstance(code, str) else f"{written} {label!r}" if label else written


def _quoted(text: object, n: int, labels: tuple[str, ...] = ()) -> str:
    """Return a text of the data as a message may show it: what few respondents wrote may be an answer in their own words."""
    written = str(text)
    is_code = not isinstance(text, str) or not isinstance(comparable(text), str) or len(written) < 3
    as_label = any(SequenceMatcher(None, written.lower(), label.lower()).ratio() >= ALIKE for label in labels)
    if is_code or as_label or (n >= GIVEN_BY_MANY and len(written) <= LONGEST_QUOTED):
        return repr(text)
    return f"a text of {len(written)} characters, not shown since it may be a respondent's own words"
