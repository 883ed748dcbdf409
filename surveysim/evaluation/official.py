"""Published facts: tables of official or reference shares, each with its source, weight, denominator, country and year."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.errors import ReadError, TableError, first_few, nearest
from surveysim.tables.schema import (
    BACKGROUND,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    require_columns,
    require_ids,
    require_numbers,
    require_scalars,
)
from surveysim.tables.storage import shipped_names, table_text

CODES, COUNTRY, YEAR, WEIGHT, DENOMINATOR, ROUNDING, LABEL = (
    "option_codes",
    "country",
    "year",
    "weight",
    "denominator",
    "rounding",
    "label",
)
REQUIRED = (QUESTION, CODES, SHARE, COUNTRY, YEAR, WEIGHT, DENOMINATOR, SOURCE)
TEXT = frozenset({CODES, COUNTRY, WEIGHT})
DENOMINATORS = ("valid answers", "all respondents")
ANY_WEIGHT = "any"


def list_official() -> list[str]:
    """Return the names of the tables of published facts that ship with surveysim.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.list_official()
    ['ivs_trust', 'us_voting_2020']
    """
    return shipped_names("official")


def read_official(path: str | Path) -> pd.DataFrame:
    """Read a table of published facts.

    The file is a CSV in UTF-8 with a row per fact and the columns `question_id`; `option_codes` (the codes that the share adds
    up, separated by spaces); `share` (0-1); `country`; `year` (``2020``, or ``2017-2022`` for a wave); `weight` (the weights of
    the survey under which it is the same fact, separated by spaces, or ``any`` where the fact is not from that survey);
    `denominator` (``valid answers`` or ``all respondents``: those who did not answer count among them); `source`. Optional:
    `background_id` (default ``all``), `std_error`, `rounding` (unit of the last digit published, in shares: 0.01 for whole
    percent), `label`, `url`, `note`.

    Parameters
    ----------
    path : str or Path
        A file, or a name of `list_official`.

    Returns
    -------
    DataFrame
        With every column above; `std_error` and `rounding` are missing where not known.

    Raises
    ------
    ReadError
        If there is no such file or name, it is no CSV in UTF-8, or holds no rows.
    TableError
        If a column or entry is missing, a share lies outside 0-1 (percentages are named as such), a denominator is unknown,
        a year is none, or a fact is repeated.

    Examples
    --------
    >>> import surveysim as ss
    >>> facts = ss.read_official("us_voting_2020")
    >>> facts.loc[facts.label == "voted, women", "share"].tolist()
    [0.684]
    """
    name = Path(path).name
    rows = [row for row in csv.reader(table_text(path, "official", "table of facts").splitlines()) if row and not row[0].startswith("#")]
    if len(rows) < 2:
        raise ReadError(f"{name} holds no facts; it needs a header and a row per fact")
    ragged = [place for place, row in enumerate(rows) if len(row) != len(rows[0])]
    if ragged:
        raise ReadError(f"{name}: rows {first_few(ragged)} have not {len(rows[0])} entries as the header has; quote entries with commas")
    table = pd.DataFrame(rows[1:], columns=[column.strip() for column in rows[0]]).apply(lambda column: column.str.strip())
    return check_official(_completed(table, name), name)


def check_official(official: pd.DataFrame, what: str = "official") -> pd.DataFrame:
    """Check a table of published facts and return it unchanged.

    Raises
    ------
    TableError
        If a column or entry is missing, a share lies outside 0-1, a denominator is unknown, a year is none, or a fact is
        repeated.
    """
    require_columns(official, REQUIRED, what)
    for column in REQUIRED:
        empty = official[column].isna() | (official[column].astype(str) == "")
        if empty.any():
            raise TableError(f"{what}: {column} is empty in rows {first_few(official.index[empty])}; a fact without it cannot be compared")
    for column in TEXT & set(official):
        require_ids(official, column, what, text=True)
    for column in {STD_ERROR, ROUNDING} & set(official):
        require_numbers(official, column, what)
    for column in {LABEL, "url", "note"} & set(official):
        require_scalars(official[column], f"{what}: {column}")
    share = official[SHARE].to_numpy(float)
    if (share > 1).any() or (share < 0).any():
        hint = "; these are percentages: divide by 100" if 1 < np.nanmax(share) <= 100 else ""
        odd = official.loc[(share > 1) | (share < 0), QUESTION]
        raise TableError(f"{what}: shares must lie in 0-1, found {np.nanmax(np.abs(share)):g} ({first_few(odd.unique())}){hint}")
    unknown = sorted(set(official[DENOMINATOR]) - set(DENOMINATORS))
    if unknown:
        raise TableError(f"{what}: denominator {unknown[0]!r} is unknown; {nearest(str(unknown[0]), DENOMINATORS)}")
    for year in official[YEAR].unique():
        year_range(year, what)
    keys = [QUESTION, BACKGROUND, CODES, COUNTRY, YEAR, DENOMINATOR]
    repeated = official[official.duplicated([key for key in keys if key in official])]
    if len(repeated):
        raise TableError(f"{what} repeats a fact of {first_few(repeated[QUESTION].unique())}; keep one row each")
    return official


def year_range(year: object, what: str = "official") -> tuple[int, int]:
    """Return the first and last year of ``"2020"`` or ``"2017-2022"``.

    Raises
    ------
    TableError
        If the text is neither.
    """
    parts = str(year).strip().split("-")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) == 4 for part in parts) or parts != sorted(parts):
        raise TableError(f"{what}: {year!r} is no year; write 2020, or 2017-2022 for a wave")
    return int(parts[0]), int(parts[-1])


def _completed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Turn numbers into numbers and fill what is optional."""
    for column in (SHARE, STD_ERROR, ROUNDING):
        texts = table[column] if column in table else pd.Series("", index=table.index)
        try:
            table[column] = [float(text) if text else np.nan for text in texts]
        except ValueError as error:
            raise TableError(f"{name}: {column} holds text: {error}; write shares as 0.396, without a percent sign") from error
    for column, default in ((BACKGROUND, POOLED), (LABEL, ""), ("url", ""), ("note", "")):
        table[column] = table[column].replace("", default) if column in table else default
    return table
