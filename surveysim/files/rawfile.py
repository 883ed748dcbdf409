"""`RawFile`: the columns of a survey file with the file's own labels and missing codes; and the names asked of one."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray
from pandas.api.types import is_bool_dtype

from surveysim.codebook.questions import Code
from surveysim.errors import CodebookError, ReadError, first_few

FRAME = "the frame"  # the source of what is no file, for messages
_CLOSE, _FAR = 1_000, 1e9  # codes that are counted by place: fewer than so many apart, and none as far from 0
Column: TypeAlias = np.ndarray | ExtensionArray  # the values of a variable, shape (respondents,)


@dataclass(frozen=True)
class Variable:
    """What a file says of one of its variables.

    Attributes
    ----------
    label : str
    value_labels : mapping of code to str
        Stata's tagged missing values have the codes ``".a"`` to ``".z"``.
    missing : tuple of (low, high)
        Closed ranges declared missing; a single code is a range of one.
    """

    label: str = ""
    value_labels: Mapping[Code, str] = field(default_factory=dict)
    missing: tuple[tuple[Code, Code], ...] = ()

    def declares_missing(self, code: Code) -> bool:
        """Whether the file declares `code` missing: numbers by range, strings by equality or alphabetical range."""
        for low, high in self.missing:
            if isinstance(low, str) or isinstance(high, str) or isinstance(code, str):
                if isinstance(low, str) and isinstance(high, str) and isinstance(code, str) and low <= code <= high:
                    return True
            elif low <= code <= high:
                return True
        return False


@dataclass(frozen=True, eq=False)
class RawFile:
    """Columns as they stand in a file.

    Attributes
    ----------
    columns : mapping of str to array, shape ``(n_rows,)``
        Original codes, by names in the file's own case; numbers mixed with tagged missing values are categories.
    n_rows : int
        Respondents.
    variables : mapping of str to Variable
        By the names of `columns`; empty where the format has no labels.
    source : str
        The file's name, for messages.
    notes : tuple of str
        What was done while reading.
    known : tuple of str
        Names of all the file's variables, as far as they were looked at.
    weight : str
        The variable by which the file says that it is weighted (SPSS), where the whole file was read.
    sets : mapping of str to tuple of str
        The file's multiple-response sets: name -> variables.
    """

    columns: Mapping[str, Column]
    n_rows: int
    variables: Mapping[str, Variable] = field(default_factory=dict)
    source: str = FRAME
    notes: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    weight: str = ""
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The columns as a frame, a row per respondent."""
        return pd.DataFrame(dict(self.columns), index=pd.RangeIndex(self.n_rows))

    @classmethod
    def of(cls, frame: pd.DataFrame, source: str = FRAME, known: Sequence[str] = ()) -> RawFile:
        """Return the columns of a frame; of two with the same name `known` holds both, so that `Wanted.pick` refuses them."""
        names = [str(name) for name in frame.columns]
        values = (as_floats(column.values) if is_bool_dtype(column.dtype) else column.values for _, column in frame.items())
        columns = dict(zip(names, values, strict=True))
        return cls(columns, len(frame), source=source, known=tuple(known or names))


@dataclass(frozen=True)
class Wanted:
    """Names of variables to read, in any case; ``*`` stands for any characters.

    Attributes
    ----------
    required, optional : tuple of str
        Names that a message is due for when they are absent, and names that may be.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (*self.required, *self.optional)

    def spellings(self) -> list[str] | None:
        """Return the ways in which releases spell these names, or None if one is a pattern."""
        if any("*" in name for name in self.names):
            return None
        return list(dict.fromkeys(form for name in self.names for form in (name, name.lower(), name.upper(), name.capitalize())))

    def lacking(self, available: Iterable[str]) -> list[str]:
        """Return the required names that are not available in any case."""
        lowered = {name.lower() for name in available}
        return [name for name in self.required if "*" not in name and name.lower() not in lowered]

    def pick(self, available: Sequence[str], source: str) -> list[str]:
        """Return the available names that are wanted, in their own spelling and order.

        Raises
        ------
        CodebookError
            If two of them differ by case only.
        ReadError
            If one is none, as a damaged file may say.
        """
        if not all(isinstance(name, str) for name in available):
            raise ReadError(f"{source}: a variable of its dictionary has no name; the file is damaged: have it sent again")
        lowered = {name.lower() for name in self.names}
        patterns = [name for name in lowered if "*" in name]
        chosen = [name for name in available if name.lower() in lowered or any(fnmatchcase(name.lower(), pattern) for pattern in patterns)]
        refuse_case_twins(chosen, source)
        return chosen


def as_floats(column: Column) -> np.ndarray:
    """Return a column of numbers as floats, NaN where it is empty."""
    return column.to_numpy(dtype=float, na_value=np.nan) if isinstance(column, ExtensionArray) else column.astype(float)


def holds_text(column: Column) -> bool:
    """Say whether a column is text: strings, or cells among whose first thousand one is."""
    if isinstance(column.dtype, pd.StringDtype):
        return True
    return isinstance(column, np.ndarray) and column.dtype == object and any(isinstance(value, str) for value in column[:1000])


def packed(values: list[float | None], is_float: bool) -> np.ndarray:
    """Return a list of numbers as an array: floats, whole numbers, or whole numbers beside NaN for None as objects."""
    found = np.empty(len(values), float if is_float else np.int64)
    try:  # a tenth of the time that numpy takes for a list
        struct.pack_into(f"{len(values)}{'d' if is_float else 'q'}", found.data, 0, *values)
    except struct.error:  # an empty cell, None
        return np.array(values, dtype=float) if is_float else np.array([np.nan if v is None else v for v in values], dtype=object)
    return found


def distinct_floats(column: np.ndarray) -> np.ndarray:
    """Return the distinct numbers of a column of floats, without NaN."""
    if (counted := _counted_whole(column)) is not None:
        return counted[0]
    found = pd.unique(column)
    return found[found == found]


def counted_floats(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct numbers of a column of floats in their order, without NaN, and how often each stands there."""
    counted = _counted_whole(column)
    return np.unique(column[column == column], return_counts=True) if counted is None else counted


def _counted_whole(column: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Count a column of whole numbers that lie close together, as the codes of a question do; None where they are others."""
    there = column[column == column]
    if not len(there):
        return there, np.zeros(0, dtype=np.intp)
    low = float(there.min())
    if not (abs(low) < _FAR and float(there.max()) - low < _CLOSE):
        return None
    whole = there.astype(np.intp)
    if not (whole == there).all():
        return None
    counts = np.bincount(whole - int(low))
    places = np.flatnonzero(counts)
    return places + low, counts[places]


def refuse_case_twins(names: Sequence[str], source: str) -> None:
    """Raise `CodebookError` where two names are the same but for their case, or altogether.

    Raises
    ------
    CodebookError
        If there are such names.
    """
    if twins := _case_twins(names):
        raise CodebookError(
            f"{source}: columns {first_few(map(' and '.join, twins))} differ by case only or stand twice, and codebooks match names in any "
            "case; rename or remove one of each"
        )


def without_case_twins(names: Sequence[str], source: str) -> tuple[list[str], list[str]]:
    """Return the names that stand once in any case, and a note of the others: Stata tells ``a1`` and ``A1`` apart, codebooks do not."""
    twins = _case_twins(names)
    if not twins:
        return list(names), []
    pairs = first_few(map(" and ".join, twins))
    note = f"{source}: columns {pairs} differ by case only or stand twice, and are left out; rename or remove one of each to use them"
    counts = Counter(name.lower() for name in names)
    return [name for name in names if counts[name.lower()] == 1], [note]


def _case_twins(names: Sequence[str]) -> list[list[str]]:
    seen: dict[str, list[str]] = {}
    for name in names:
        seen.setdefault(str(name).lower(), []).append(repr(str(name)))
    return [group for group in seen.values() if len(group) > 1]


def is_tag(code: object) -> bool:
    """Whether a code is one of Stata's tagged missing values, ``".a"`` to ``".z"``."""
    return isinstance(code, str) and len(code) == 2 and code[0] == "." and "a" <= code[1] <= "z"
