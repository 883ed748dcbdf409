"""From a file's columns to answers and traits, as the codebook declares; a code that it does not know is an error."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from surveysim.codebook import Codebook
from surveysim.errors import CodebookError, first_few
from surveysim.questions import MISSING_REASONS, Code, Question, Trait
from surveysim.rawfile import Variable
from surveysim.reasons import UNKNOWN, VALID, States, as_reasons, comparable, named_reason, states

Answers = tuple[np.ndarray, pd.Categorical, list[str]]  # codes, reasons, notes
Levels = tuple[pd.Categorical, pd.Categorical, list[str]]  # levels, reasons, notes

_OTHER = MISSING_REASONS.index("other")


def answer_column(question: Question, values: pd.Series, variable: Variable, codebook: Codebook) -> Answers:
    """Return a question's column, original codes kept, why each cell holds no valid answer (missing where it does), and notes.

    Parameters
    ----------
    values : Series, shape ``(respondents,)``
    variable : Variable
        What the file says of the column.

    Raises
    ------
    CodebookError
        If a code is in neither options nor missing, and the file does not say that it is missing.
    """
    found = states(values, question.codes, codebook.missing_codes(question), variable)
    cells = found.cells
    if (found.state == UNKNOWN).any():
        _refuse(f"question {question.question_id!r}", ("options", question.labels), found.count(cells == UNKNOWN), variable, codebook)
    return _kept(values, found), as_reasons(cells, codebook.system_missing), _overruled(question, found, variable, codebook)


def _overruled(question: Question, found: States, variable: Variable, codebook: Codebook) -> list[str]:
    """Return a note of the options that the file declares missing."""
    valid = found.codes[found.state == VALID] if variable.missing else ()
    overruled = [code for code in valid if variable.declares_missing(code)]
    counted = f"missing, {codebook.name}.toml holds it as an option: counted as valid"
    return [f"question {question.question_id!r}: the file declares {first_few(overruled)} {counted}"] if overruled else []


def trait_column(trait: Trait, values: pd.Series, variable: Variable, codebook: Codebook, year: np.ndarray | int | None = None) -> Levels:
    """Return a trait's levels (missing where a respondent has none), why there is none, and notes.

    Codes of a level come first, then the trait's missing codes and what the file says, then ranges, then the codebook's
    common missing codes: so 77 is an age unless something says of this variable that it is not.

    Parameters
    ----------
    values : Series, shape ``(respondents,)``
    variable : Variable
        What the file says of the column.
    year : array or int, optional
        From which the values are subtracted before ranges apply.

    Raises
    ------
    CodebookError
        If a code is in no level and not missing, and no level is a range.
    """
    found = states(values, [code for level in trait.levels for code in level.codes], trait.missing, variable)
    places = {comparable(code): place for place, level in enumerate(trait.levels) for code in level.codes}
    by_code = [places[comparable(code)] if state == VALID else -1 for code, state in zip(found.codes, found.state, strict=True)]
    level, cells = np.append(np.array(by_code, int), -1)[found.positions], found.cells
    undecided = cells == UNKNOWN
    level[undecided] = _range_places(trait, found, year)[undecided]
    cells[undecided & (level >= 0)] = VALID
    common = {comparable(code): reason for code, reason in codebook.missing.items()}
    reasons = [named_reason(comparable(code), common) for code in found.codes]
    late = np.array([UNKNOWN if reason is None else MISSING_REASONS.index(reason) for reason in reasons] + [UNKNOWN])
    cells = np.where(cells == UNKNOWN, late[found.positions], cells)
    notes = []
    if (cells == UNKNOWN).any():
        notes = _outside(trait, found.count(cells == UNKNOWN), variable, codebook)
        cells[cells == UNKNOWN] = _OTHER
    levels = pd.Categorical.from_codes(level, dtype=_level_dtype(trait.level_names), validate=False)
    return levels, as_reasons(cells, codebook.system_missing), notes


def recoded_column(trait: Trait, values: pd.Series, variable: Variable, codebook: Codebook) -> Levels:
    """Return a trait that is recoded already: level names, or codes whose value labels are level names.

    Raises
    ------
    CodebookError
        If a value is neither.
    """
    named = {comparable(code): label for code, label in variable.value_labels.items() if label in trait.level_names}
    found = states(values, [*trait.level_names, *named], trait.missing, variable)
    if (found.state == UNKNOWN).any():
        _refuse(f"trait {trait.name!r}", ("levels", trait.level_names), found.count(found.cells == UNKNOWN), variable, codebook)
    names = [str(named.get(comparable(code), code)) for code in found.codes]
    by_code = [trait.level_names.index(name) if state == VALID else -1 for name, state in zip(names, found.state, strict=True)]
    level = np.append(np.array(by_code, int), -1)[found.positions]
    levels = pd.Categorical.from_codes(level, dtype=_level_dtype(trait.level_names))
    return levels, as_reasons(found.cells, codebook.system_missing), []


@lru_cache(maxsize=256)
def _level_dtype(names: tuple[str, ...]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(list(names), ordered=True)


def _kept(values: pd.Series, found: States) -> np.ndarray:
    """Return the column as it is where it is numeric, else with the codes that the codebook writes."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return np.append(found.codes, np.nan)[found.positions]
    if pd.api.types.is_extension_array_dtype(values.dtype):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return values.to_numpy()


def _range_places(trait: Trait, found: States, year: np.ndarray | int | None) -> np.ndarray:
    """Return the level whose range holds each cell's number, shape ``(respondents,)``; -1 where none does."""
    if all(level.range is None for level in trait.levels):
        return np.full(len(found.positions), -1)
    codes = pd.to_numeric(found.codes, errors="coerce").astype(float)
    numbers = np.append(codes, np.nan)[found.positions]
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
    hint = f"add {'it' if len(counts) == 1 else 'each'} to one of them"
    if set(counts) & set(labels):
        hint = "the column holds labels where the codebook has codes: read the file without turning codes into labels"
    elif any(isinstance(code, str) for code in counts):
        hint += "; text stands where the codebook may mean numbers"
    raise CodebookError(f"{where}: code {_counted(counts, variable)} is in neither {what} nor missing of {codebook.name}.toml; {hint}")


def _counted(counts: dict[Code, int], variable: Variable) -> str:
    labels = {comparable(code): label for code, label in variable.value_labels.items()}
    return first_few(_named_code(code, labels.get(comparable(code))) + f" ({n} respondents)" for code, n in counts.items())


def _named_code(code: Code, label: str | None) -> str:
    written = f"{code:g}" if isinstance(code, float) else repr(code) if isinstance(code, str) else str(code)
    return f"{written} {label!r}" if label else written
