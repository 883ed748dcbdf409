"""Why a cell holds no valid answer: codebook, declared codes, tagged missing values and value labels merged into one state.

What the codebook says comes first (an option is an option, whatever the file declares), then its missing codes, then what
the file declares missing, then a value label that names a missing answer. A code that none of them knows is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.missing_labels import NO_REASON, Reading, reason_in_place
from surveysim.codebook.questions import MISSING_REASONS, Code
from surveysim.errors import BackgroundError, NoAttributeError, nearest, quoted
from surveysim.files.csv_parquet import EMPTY_WORDS
from surveysim.files.rawfile import Column, Variable, is_tag

Condition: TypeAlias = str | Callable[[pd.DataFrame], Any] | npt.ArrayLike  # of `Survey.filter`

_REASONS = pd.CategoricalDtype(list(MISSING_REASONS))
VALID, UNKNOWN, EMPTY = -1, -2, -3  # states beside positions in MISSING_REASONS


@dataclass(frozen=True, eq=False)
class States:
    """The cells of one column, each with its state.

    Attributes
    ----------
    codes : array, shape ``(distinct,)``
        Distinct values in order of appearance, as the codebook writes them where it knows them.
    state : int array, shape ``(distinct,)``
        `VALID`, `UNKNOWN`, or a position in `MISSING_REASONS`.
    positions : int array, shape ``(respondents,)``
        Which of `codes` each cell holds; -1 where it is empty.
    guessed : tuple of codes
        Those whose label may be an answer too, and that are missing by their place alone.
    """

    codes: np.ndarray
    state: np.ndarray
    positions: np.ndarray
    guessed: tuple[Code, ...] = ()

    @cached_property
    def has_empty(self) -> bool:
        """Whether any cell is empty."""
        return bool((self.positions < 0).any())

    def each(self, items: np.ndarray, empty: object) -> np.ndarray:
        """Return the item of each cell's value, shape ``(respondents,)``, of items in the order of `codes`; `empty` where it is empty."""
        if self.has_empty:
            items = np.append(items, np.array([empty], dtype=items.dtype))  # the last one, so that position -1 takes it
        return items.take(self.positions)

    def reasons(self, empty: str) -> pd.Categorical:
        """Return each cell's reason: missing where its state is `VALID`, `empty` where the cell is empty."""
        return pd.Categorical.from_codes(self.each(self.state, MISSING_REASONS.index(empty)), dtype=_REASONS, validate=False)

    def unknown(self) -> dict[Code, int]:
        """Return code -> number of cells, over the codes that nobody knows."""
        if not (self.state == UNKNOWN).any():
            return {}
        counts = np.bincount(self.positions[self.positions >= 0], minlength=len(self.codes))
        found: dict[Code, int] = {}
        for place in np.flatnonzero((self.state == UNKNOWN) & (counts > 0)):
            found[self.codes[place]] = found.get(self.codes[place], 0) + int(counts[place])
        return found


def states(values: Column, valid: Iterable[Code] | Mapping[Code, Code], missing: Mapping[Code, str], variable: Variable) -> States:
    """Say of every distinct value of a column whether it is valid, why it is missing, or that nobody knows it.

    Parameters
    ----------
    values : array, shape ``(respondents,)``
    valid : iterable of codes, or mapping of code to code
        Codes of valid answers; of a mapping's keys each counts as its value.
    missing : mapping of code to reason
        What the codebook says of this column; comes before what the file says.
    variable : Variable
        What the file says.
    """
    positions, codes = distinct_codes(values)
    state, guessed = code_states(codes, valid, missing, variable)
    blank = np.flatnonzero(state == EMPTY)
    return States(codes, state, np.where(np.isin(positions, blank), -1, positions) if len(blank) else positions, tuple(guessed))


def code_states(
    codes: np.ndarray, valid: Iterable[Code] | Mapping[Code, Code], missing: Mapping[Code, str], variable: Variable
) -> tuple[np.ndarray, list[Code]]:
    """Return the state of each distinct code, and the codes guessed by their place; valid ones are spelt as the codebook does, in place."""
    counts_as = valid if isinstance(valid, Mapping) else {code: code for code in valid}
    options = {comparable(code): option for code, option in counts_as.items()}
    state = np.full(len(codes), UNKNOWN, dtype=np.int8)
    undecided: list[int] = []
    guessed: list[Code] = []
    for place, code in enumerate(codes):
        known = options.get(comparable(code))
        if known is None:
            undecided.append(place)
        else:
            state[place], codes[place] = VALID, known
    if undecided:
        state[undecided], guessed = _missing_states(codes[undecided], missing, variable)
    for place in undecided:
        if state[place] == UNKNOWN and isinstance(codes[place], str) and codes[place].strip() in EMPTY_WORDS:
            state[place] = EMPTY
    return state, guessed


def _missing_states(codes: np.ndarray, missing: Mapping[Code, str], variable: Variable) -> tuple[list[int], list[Code]]:
    """Return the state of codes that are no valid answers (a position in `MISSING_REASONS`, or `UNKNOWN`), and those guessed by place."""
    named = {comparable(code): reason for code, reason in missing.items()}
    reasons, guessed = [named_reason(comparable(code), named) for code in codes], []
    if None in reasons:
        labels = {comparable(code): label for code, label in variable.value_labels.items()}
        for place, code in enumerate(codes):
            if reasons[place] is None:
                reasons[place], sure = file_reason(code, labels, variable)
                guessed += [] if sure or reasons[place] is None else [code]
    return [UNKNOWN if reason is None else MISSING_REASONS.index(reason) for reason in reasons], guessed


def distinct_codes(values: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each cell's value among the distinct ones (-1 where empty), and these as an object array."""
    if isinstance(values, pd.Categorical):
        return values.codes.astype(np.intp), np.array(list(values.categories), dtype=object)
    positions, uniques = pd.factorize(values, use_na_sentinel=True)
    plain_numbers = isinstance(uniques, np.ndarray) and uniques.dtype.kind in "iufb"
    return positions, np.array(uniques.tolist() if plain_numbers else list(uniques), dtype=object)


def comparable(code: Code) -> Code:
    """Return what two spellings of a code have in common: 1, 1.0 and "1" are one code, "01" is another."""
    return _number_or_text(code) if isinstance(code, str) else code


@lru_cache(maxsize=4096)
def _number_or_text(written: str) -> Code:
    text = written.strip()
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", text) else text


def named_reason(key: Code, named: Mapping[Code, str]) -> str | None:
    """Look a code up among comparable ones; a codebook writes Stata's ``.a`` as ``".a"`` or ``"a"``."""
    return named.get(str(key)[1]) if is_tag(key) and key not in named else named.get(key)


def file_reason(code: Code, labels: Mapping[Code, str], variable: Variable) -> Reading:
    """Return why a code is missing by what the file declares and its label says among the others (by `comparable` codes).

    A tagged missing value and a declared code are missing for sure, whatever their label: ``other`` where it names no reason.
    """
    declared = is_tag(code) or variable.declares_missing(code)
    key = comparable(code)
    reading = reason_in_place(key, labels, declared=declared) if labels.get(key) else NO_REASON
    return Reading(reading.reason or "other", True) if declared else reading


def domain_of(
    condition: Condition, data: pd.DataFrame, reasons: pd.DataFrame, traits: Sequence[str], domain: np.ndarray | None = None
) -> tuple[np.ndarray, str]:
    """Return for whom of a domain a condition holds, shape ``(respondents,)``, and its words.

    Answers that are none are missing where a text or function is asked: no code of a refusal enters a comparison.

    Raises
    ------
    BackgroundError
        If a name is unknown, or the condition holds for nobody or is none.
    """
    if isinstance(condition, str) or callable(condition):
        asked = {name: data[name].where(reasons[name].isna()) for name in reasons}
        known = pd.DataFrame({**{name: data[name] for name in traits}, **asked})
        try:
            found = (
                known.eval(condition, engine="python", local_dict={}, global_dict={}) if isinstance(condition, str) else condition(known)
            )
        except (pd.errors.UndefinedVariableError, KeyError) as error:
            raise BackgroundError(f"condition: {error}; {nearest(str(error).split(chr(39))[1], known.columns)}") from error
        except (SyntaxError, TypeError, ValueError) as error:
            raise BackgroundError(f"condition {condition!r} cannot be evaluated: {error}; write \"gender == 'female'\"") from error
        words = condition if isinstance(condition, str) else getattr(condition, "__name__", "a function").replace("<lambda>", "a function")
    else:
        found, words = condition, "a mask"
    if not pd.api.types.is_list_like(found) or len(found) != len(data) or not pd.api.types.is_bool_dtype(np.asarray(found)):
        one_sign = isinstance(condition, str) and isinstance(found, pd.DataFrame)  # which assigns
        remedy = "; == compares, = does not: \"gender == 'female'\"" if one_sign else ""
        given = repr(condition) if one_sign else quoted(found)
        raise BackgroundError(f"condition must hold True or False for each of {len(data):,} respondents; got {given}{remedy}")
    inside = np.asarray(found, dtype=bool) if domain is None else np.asarray(found, dtype=bool) & domain
    if not inside.any():
        raise BackgroundError(f"condition {words!r} holds for no respondent; compare levels and codes with survey.head()")
    return inside, words


def instead_of_column(name: object, known: Sequence[str]) -> str:
    """Return what to write in place of ``survey["name"]``."""
    if name not in known:
        return f"a Survey is no frame, and has no question or trait {name!r}; {nearest(str(name), known)}"
    return (
        f"a Survey is no frame: survey.data[{name!r}] holds the codes or levels as they are, survey.select({name!r}) keeps it alone, "
        f"response_distributions(survey, questions={name!r}) or by={name!r} tabulates it; recoding belongs into the codebook"
    )


def refuse_attribute(survey: object, name: str) -> NoReturn:
    """Refuse ``survey.name``: of a question or trait as `instead_of_column`; private names, which notebooks try, as Python does.

    Raises
    ------
    AttributeError
        Always.
    """
    own, there = dir(type(survey)), vars(survey)
    if name.startswith("_") or name in own or "codebook" not in there:
        object.__getattribute__(survey, name)
    columns = [*there["codebook"].traits, *there["reasons"]]
    if name in columns:
        raise NoAttributeError(instead_of_column(name, columns))
    if hasattr(there["data"], name):
        raise NoAttributeError(
            f"a Survey is no frame, and has no {name!r}: survey.data.{name} is that of the respondents, without weights and design, which "
            "verbs such as response_distributions and survey_mean use"
        )
    public = [each for each in (*there, *own) if not each.startswith("_")]
    raise NoAttributeError(f"a Survey has no attribute, question or trait {name!r}; {nearest(name, [*public, *columns])}")
