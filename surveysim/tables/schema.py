"""The contracts: column names of every table, and checks that raise `TableError`.

Every verb takes and returns tidy frames. A simulated table differs from a survey table in the columns `source` and `simulated` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray
from pandas.api.types import infer_dtype, is_bool_dtype, is_complex_dtype, is_datetime64_any_dtype, is_numeric_dtype, is_scalar

from surveysim.errors import SurveySimError, TableError, first_few, quoted
from surveysim.whole_files import UNWRITABLE

ENOUGH = "enough"  # column of `observed_backgrounds`: whether a background has the fewest respondents asked for

MIN_N = 10  # the default of every export

RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC = "respondent_id", "weight", "stratum", "psu", "fpc"
MADE = "surveysim"  # a column of respondents: says in words which of weight, stratum, psu and fpc surveysim itself wrote
BACKGROUND, QUESTION, OPTION, ORDER, SHARE, SOURCE = (
    "background_id",
    "question_id",
    "option_code",
    "option_order",
    "share",
    "source",
)
STD_ERROR, CONF_LOW, CONF_HIGH, N, N_EFF = "std_error", "conf_low", "conf_high", "n", "n_eff"
LARGEST_WEIGHT = "largest_weight"  # of one respondent, as a share of the weight of the cell (0-1); survey verbs write it
NESTED = "nested"  # in attrs of survey tables: background of one trait -> the backgrounds of other traits that hold all of it
ESTIMATE, METRIC, POPULATION_SHARE = "estimate", "metric", "population_share"
BASIS, PRIOR_ALONE, WITH_SAMPLE = "basis", "prior alone", "sample and prior"  # column and values where a sample was not asked a question
NOT_ASKED = "not_asked"  # in attrs["prior"]: questions that nobody in the sample answered
OPTION_LABEL, SIMULATED = "option_label", "simulated"  # what the option says; whether no respondent gave these answers
SUPPRESSED = "suppressed"  # column: why the numbers of a cell are withheld; empty where they are not

CELL = [QUESTION, BACKGROUND]
DISTRIBUTION_KEYS = [QUESTION, BACKGROUND, OPTION]
DISTRIBUTION_COLUMNS = [QUESTION, BACKGROUND, OPTION, ORDER, SHARE, STD_ERROR, CONF_LOW, CONF_HIGH, N, N_EFF, SOURCE]
SHIFT_COLUMNS = [QUESTION, "background_from", "background_to", OPTION, "shift", STD_ERROR]
SCORE_COLUMNS = [QUESTION, BACKGROUND, METRIC, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH]
ESTIMATE_COLUMNS = [QUESTION, BACKGROUND, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, "df", N, N_EFF, "deff"]

IDS = frozenset({QUESTION, BACKGROUND, SOURCE, METRIC, "background_from", "background_to"})  # text in every table
NOT_NEGATIVE = frozenset({STD_ERROR, N, N_EFF})
FINITE = frozenset({ORDER, SHARE, N, N_EFF})
NUMBERS = FINITE | {LARGEST_WEIGHT, POPULATION_SHARE, "count", STD_ERROR, CONF_LOW, CONF_HIGH, ESTIMATE, "df", "deff", "shift"}

PEOPLE = frozenset({N, N_EFF, POPULATION_SHARE, "count"})  # what other numbers are weighted by
TINY, HUGE = 1e-100, 1e100
RESERVED = frozenset({RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC, QUESTION, BACKGROUND, OPTION, POPULATION_SHARE, N, N_EFF})  # of a survey
SHARE_TOLERANCE = 1e-6  # a cell's shares must sum to 1 this closely; our own tables do to 1e-9
OFFICIAL = "official"  # source of published shares
POOLED = "all"  # background_id of the table that ignores backgrounds


def require_columns(frame: pd.DataFrame, columns: Sequence[str], what: str, *, error: type[SurveySimError] = TableError) -> pd.DataFrame:
    """Return a table that has every one of `columns`, each once, and whose columns of these names hold what they are to hold.

    Raises
    ------
    TableError
        Or `error`: if `frame` is not a DataFrame, its columns or index are ambiguous, it lacks a column, or a number, id or code is none.
    """
    require_frame(frame, what, columns, error=error)
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        inside = [name for name in absent if name in frame.index.names]
        remedy = f"; {first_few(inside)} stands in its index: give {what}.reset_index()" if inside else _of_ones_own(absent, columns, frame)
        raise error(f"{what} lacks column{'s' if len(absent) > 1 else ''} {first_few(absent)}; it has {_named(frame)}{remedy}")
    for column in dict.fromkeys([*columns, *frame.columns]):
        if column in NUMBERS:
            require_numbers(frame, column, what, error=error)
        elif column in IDS or column == OPTION or column in columns:
            require_ids(frame, column, what, text=column in IDS, error=error)
        elif column in (OPTION_LABEL, SIMULATED):
            require_scalars(frame[column], f"{what}: column {column!r}", error=error)
    if SIMULATED in frame and not set(frame[SIMULATED].dropna().unique()) <= {True, False}:
        raise error(
            f"{what}: column {SIMULATED!r} says True or False; it holds {first_few(map(quoted, frame[SIMULATED].dropna().unique()))}"
        )
    return frame


def require_numbers(frame: pd.DataFrame, column: str, what: str, *, error: type[SurveySimError] = TableError) -> npt.NDArray[np.float64]:
    """Return a column as floats, NaN where it is missing.

    Raises
    ------
    TableError
        Or `error`: if it holds anything but real numbers, or infinite ones where there are none.
    """
    values = frame[column]
    if not is_numeric_dtype(values) or is_complex_dtype(values) or is_bool_dtype(values):
        odd = [place for place, value in enumerate(values) if not (isinstance(value, Real) or is_missing(value))]
        found = f"it holds {quoted(values.iloc[odd[0]])} in row {first_few(frame.index[odd])}" if odd else f"its type is {values.dtype}"
        raise error(
            f"{what}: {column} must hold numbers; {found}; convert the column with pandas.to_numeric, and leave a number that is not known "
            "missing (NaN)"
        )
    numbers = np.asarray(values.to_numpy(dtype=float, na_value=np.nan))
    wrong = (np.isinf(numbers) & (column in FINITE)) | ((numbers < 0) & (column in NOT_NEGATIVE))
    if wrong.any():
        rule = "finite and at least 0" if column in NOT_NEGATIVE else "finite"
        raise error(
            f"{what}: {column} must be {rule}; it is {numbers[wrong][0]:g} in row {first_few(frame.index[wrong])}; correct it, or leave it "
            "missing (NaN)"
        )
    refuse_extreme(numbers, f"{what}: {column}", small=TINY if column in PEOPLE else 0.0, error=error)
    return numbers


def require_scalars(values: pd.Series | npt.NDArray[Any] | ExtensionArray, what: str, *, error: type[SurveySimError] = TableError) -> None:
    """Refuse cells that hold lists, dicts or the like, which no answer, level, code or weight is, or text that cannot be written.

    Raises
    ------
    TableError
        Or `error`: if there are such cells; rows are counted from 0.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return require_scalars(pd.Series(values).astype(object), what, error=error)
    if is_complex_dtype(values.dtype) or infer_dtype(values, skipna=True) == "complex":
        raise error(f"{what} holds complex numbers; a cell is a real number or text: take the real part, or drop it")
    if is_numeric_dtype(values.dtype) or is_datetime64_any_dtype(values.dtype):
        return None
    if infer_dtype(values, skipna=True).startswith("mixed") and not all(map(_is_cell, values)):
        odd, rule = [row for row, value in enumerate(values) if not _is_cell(value)], "a cell is a number or text: take the column apart"
    elif any(isinstance(value, str) and UNWRITABLE.search(value) for value in pd.unique(values)):
        odd = [row for row, value in enumerate(values) if isinstance(value, str) and UNWRITABLE.search(value)]
        rule = "no file takes such letters: replace them"
    else:
        return None
    found = np.asarray(values, dtype=object)[odd[0]]
    raise error(f"{what} holds {quoted(found)} in row {first_few(odd)}, counted from 0; {rule}, or drop it")


def _is_cell(value: object) -> bool:
    return bool(is_scalar(value)) and not isinstance(value, complex)


def refuse_unwritable(what: str, values: Mapping[str, object], *, error: type[SurveySimError] = TableError) -> None:
    """Refuse NUL and halves of characters in any text that named values hold, however deep: no file takes them, and C ends a text at NUL.

    Raises
    ------
    TableError
        Or `error`: if there is one; the message names the value that holds it.
    """
    for name, value in values.items():
        found = next((text for text in _texts(value) if UNWRITABLE.search(text)), None)
        if found is not None:
            raise error(f"{what}: {name} holds {quoted(found)}; no file takes NUL or half a character: write the text without it")


def _texts(value: object) -> Iterator[str]:
    """Yield every text within a value: keys, items and fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _texts(list(vars(value).values()))


def refuse_extreme(numbers: npt.NDArray[np.float64], what: str, *, small: float = TINY, error: type[SurveySimError] = TableError) -> None:
    """Refuse numbers above 1e100, and positive ones below `small`: their squares or sums are none, and shares would not sum to 1.

    Raises
    ------
    TableError
        Or `error`: if there are such numbers; rows are counted from 0.
    """
    size = np.abs(numbers)
    odd = np.flatnonzero(((size > HUGE) & np.isfinite(size)) | ((size < small) & (size > 0)))
    if len(odd):
        raise error(
            f"{what} is {numbers[odd[0]]:g} in row {first_few(odd)}, counted from 0; only {TINY:g} to {HUGE:g} can be computed with: give "
            "it in other units"
        )


def require_frame(frame: pd.DataFrame, what: str, columns: Sequence[str] = (), *, error: type[SurveySimError] = TableError) -> pd.DataFrame:
    """Return a DataFrame whose columns have one name each, in text, which its index has not; its cells may hold anything.

    Raises
    ------
    TableError
        Or `error`: if it is no DataFrame (the message names `columns`), or its columns or its index are ambiguous.
    """
    if not isinstance(frame, pd.DataFrame):
        needed = f" with columns {', '.join(columns)}" if columns else ""
        raise error(f"{what} must be a pandas DataFrame{needed}; got {type(frame).__name__}{_to_frame(frame, columns)}")
    if frame.columns.nlevels > 1:
        raise error(
            f"{what} has columns in {frame.columns.nlevels} levels, such as {quoted(frame.columns[0]) if len(frame.columns) else 'none'}; "
            f"give each column one name: {what}.columns = [...]"
        )
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique()
        raise error(f"{what} has several columns named {first_few(map(repr, twice))}; keep one of each, or rename the others")
    unnamed = [name for name in frame.columns if not isinstance(name, str)]
    if unnamed:
        raise error(f"{what} has columns whose names are no text: {first_few(map(quoted, unnamed))}; name them: {what}.rename(columns=...)")
    both = [name for name in frame.index.names if name is not None and name in frame.columns]
    if both:
        raise error(f"{what} has {first_few(map(repr, both))} as a column and in its index too; give {what}.reset_index(drop=True)")
    return frame


def require_ids(frame: pd.DataFrame, column: str, what: str, *, text: bool, error: type[SurveySimError] = TableError) -> None:
    """Refuse an id that is missing, or no text; unless `text`, numbers will do too, as codes and levels.

    Raises
    ------
    TableError
        Or `error`: if there are such.
    """
    values = frame[column].astype(object)
    try:
        distinct = values.unique()
    except TypeError:  # a list has no hash
        distinct = values.to_numpy()
    if all(_is_id(value, text) for value in distinct):
        return
    odd = [place for place, value in enumerate(values) if not _is_id(value, text)]
    rows, found = first_few(frame.index[odd]), values.iloc[odd[0]]
    if is_missing(found) or found == "":
        raise error(f"{what}: {column} is empty in row {rows}; give every row one, or leave the row out")
    rule = "text" if text else "text or numbers"
    raise error(f"{what}: {column} must hold {rule} that can be written; it holds {quoted(found)} in row {rows}; replace it")


def _is_id(value: object, text: bool) -> bool:
    if isinstance(value, str):
        return bool(value or not text) and not UNWRITABLE.search(value)
    return not text and isinstance(value, Real) and not is_missing(value)


def is_missing(value: object) -> bool:
    """Whether one value is None, NaN, NA or NaT."""
    return bool(is_scalar(value) and pd.isna(value))


def _named(frame: pd.DataFrame) -> str:
    return first_few(frame.columns, 12) or "no columns"


def _to_frame(given: object, columns: Sequence[str] = ()) -> str:
    """How what was given becomes a frame, where that is known."""
    if SHARE in columns and type(given).__name__ == "Survey":  # which stands in a room above
        return ": response_distributions(survey, by=[...], questions=[...]) is one of it"
    if isinstance(given, pd.Series):
        return ": give .to_frame() of it"
    if isinstance(given, str | PathLike):
        return ": read it first, a CSV of a table with pandas.read_csv, a survey's file with read_survey"
    if hasattr(given, "to_pandas"):
        return ": give .to_pandas() of it"
    return ": make one with pandas.DataFrame" if isinstance(given, list | dict | np.ndarray) and len(given) else ""


def _of_ones_own(absent: Sequence[str], columns: Sequence[str], frame: pd.DataFrame) -> str:
    """How a table that surveysim did not make becomes one of distributions, where such a table was asked for."""
    if ORDER in columns or (SOURCE in absent and SHARE in frame):
        return "; as_distributions(frame, codebook, by=[...], shares=...) makes such a table of one of your own"
    return ""


def check_distributions(frame: pd.DataFrame, what: str = "distributions") -> pd.DataFrame:
    """Check a distributions table and return it unchanged.

    A cell is a question x background. A cell without respondents keeps its rows with ``n = 0`` and missing shares; every
    other cell's shares lie in 0-1 and sum to 1.

    Raises
    ------
    TableError
        If a column is absent, a row is repeated, a share lies outside 0-1, a cell mixes missing and present shares, or
        a cell's shares do not sum to 1.
    """
    require_columns(frame, [*DISTRIBUTION_KEYS, ORDER, SHARE, SOURCE], what)
    if frame.empty:
        raise TableError(f"{what} has no rows; it needs one for each option of a question in a background")
    repeated = frame.duplicated([*DISTRIBUTION_KEYS, SOURCE])
    if repeated.any():
        rows = frame.loc[repeated, DISTRIBUTION_KEYS].astype(str).agg(" / ".join, axis=1)
        raise TableError(
            f"{what}: {int(repeated.sum())} rows repeat a question / background / option of the same source: {first_few(rows)}; "
            "aggregate them or give each its own source"
        )
    unplaced = frame[ORDER].isna()
    if unplaced.any():
        raise TableError(f"{what}: {ORDER} is missing in row {first_few(frame.index[unplaced])}; number the options of a question from 0")
    share = require_numbers(frame, SHARE, what)
    outside = (share < -1e-12) | (share > 1 + 1e-12)
    if outside.any():
        cells = frame.loc[outside, CELL].astype(str).agg(" / ".join, axis=1)
        hint = "; are these percentages? divide by 100" if np.nanmax(share) > 1.5 else ""
        raise TableError(f"{what}: shares must lie in 0-1, found {share[outside][0]:g} in {first_few(cells)}{hint}")
    groups = frame.assign(**{SHARE: share}).groupby([*CELL, SOURCE], sort=False, observed=True)[SHARE]
    sums, present, size = groups.sum(), groups.count(), groups.size()
    mixed = (present > 0) & (present < size)
    if mixed.any():
        raise TableError(f"{what}: some options have a share and others none in {first_few(mixed[mixed].index.map(_cell_name))}")
    wrong = (present > 0) & ((sums - 1).abs() > SHARE_TOLERANCE)
    if wrong.any():
        cells = [f"{_cell_name(key)} ({sums[key]:.6g})" for key in wrong[wrong].index]
        raise TableError(f"{what}: the shares of a cell must sum to 1; they do not in {first_few(cells)}")
    return frame


def check_backgrounds(frame: pd.DataFrame, traits: Sequence[str]) -> pd.DataFrame:
    """Check a backgrounds table: a `background_id` per row, none repeated, and a column per trait.

    Raises
    ------
    TableError
        If a column is absent, an id is repeated, or `population_share` is negative or does not sum to 1.
    """
    require_columns(frame, [BACKGROUND, *traits], "backgrounds")
    repeated = frame[BACKGROUND][frame[BACKGROUND].duplicated()]
    if len(repeated):
        raise TableError(f"backgrounds repeats background_id {first_few(repeated.unique())}; keep one row each")
    if POPULATION_SHARE in frame:
        share = require_numbers(frame, POPULATION_SHARE, "backgrounds")
        if not np.isfinite(share).all() or (share < 0).any() or abs(share.sum() - 1) > SHARE_TOLERANCE:
            raise TableError(f"backgrounds: population_share must be >= 0 and sum to 1; it sums to {share.sum():.6g}")
    return frame


def _cell_name(key: object) -> str:
    return " / ".join(str(part) for part in key[:2]) if isinstance(key, tuple) else str(key)
