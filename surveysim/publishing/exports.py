"""Tables given to others: protected by default, and with the facts that belong to them in the file or beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import load_codebook
from surveysim.errors import ReadError, TableError
from surveysim.files.outfile import WRITABLE
from surveysim.publishing.disclosure import DISCLOSURE, protect
from surveysim.survey.writers import spelled_out, with_codes_of_one_kind, write_table
from surveysim.tables.schema import MIN_N, N, require_columns, require_scalars
from surveysim.whole_files import checked_target, write_whole

PREFIX, PREFIXED = "'", "formula_prefix"  # what a spreadsheet takes for the mark of text, and where the facts say that it was set
STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
TABLES = (".csv", ".parquet", *WRITABLE)


def export_table(
    table: pd.DataFrame,
    path: str | Path,
    *,
    codebook: str | Path | Codebook | None = None,
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
) -> Path:
    """Write a table of shares or estimates for others, small cells withheld, with the facts that belong to it.

    The facts (`attrs`: weight, denominator, design, population, model, seed, steps of weighting, and what was done for
    disclosure control) go into ``<file>.json`` beside the file; in Parquet into the file's own metadata, from where pandas
    puts them back into `attrs`. In CSV a text that a spreadsheet would take for a formula gets an apostrophe before it, and the facts
    name it under ``formula_prefix``; the other formats hold it as it is.

    Parameters
    ----------
    table : DataFrame
        A distributions or estimates table. Others (shifts, scores) have no `n` and need ``min_n=0``.
    path : str or Path
        Ends in .csv (UTF-8), .parquet, .sav, .zsav or .dta (labelled as by `write_table`). The file appears when it is complete.
    codebook : str, Path or Codebook, optional
        Adds a column per trait of the backgrounds and the options' labels.
    min_n, how, min_count, model_based, published
        As of `protect`. ``min_n=0``: nothing is withheld, and the facts say so.

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the extension or folder is unknown, there are no rows, or a name is not allowed in the format.
    TableError
        As of `protect`; or if the table has no `n` and `min_n` is not 0.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, Wiley, doi:10.1002/9781118348239.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd, surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = pd.read_parquet(ss.export_table(shares, Path(folder) / "shares.parquet"))
    >>> again.attrs["weight"], again.attrs["disclosure"]["min_n"]
    ('weight', 10)
    """
    target = checked_target(path, TABLES)
    require_columns(table, [], "table")
    if table.empty:
        raise ReadError(f"nothing to write to {target.name}: the table has no rows")
    for name in table:
        require_scalars(table[name], f"table: column {name!r}")
    shown = protected(table, min_n=min_n, how=how, min_count=min_count, model_based=model_based, published=published)
    if target.suffix.lower() in WRITABLE:
        write_table(shown, target, codebook)
    else:
        book = None if codebook is None else load_codebook(codebook)
        plain = with_codes_of_one_kind(shown if book is None else spelled_out(shown, book))
        if target.suffix.lower() == ".csv":
            plain = without_formulas(plain)
            shown.attrs |= {PREFIXED: plain.attrs[PREFIXED]} if PREFIXED in plain.attrs else {}
        write_whole(target, _parquet(plain) if target.suffix.lower() == ".parquet" else _csv(plain))
    if target.suffix.lower() != ".parquet":
        write_facts(target, shown.attrs)
    return target


def protected(table: pd.DataFrame, *, min_n: int, **rule: Any) -> pd.DataFrame:
    """Return `protect` of a table; with ``min_n=0`` the table as it is, and on record that nothing was withheld.

    Raises
    ------
    TableError
        As of `protect`; or if the table has no `n`.
    """
    if min_n == 0:
        shown = table.copy()
        shown.attrs = {DISCLOSURE: {"how": "none", "min_n": 0, "min_count": 0}, **table.attrs}
        return shown
    if N not in table:
        raise TableError(
            "table has no column n, so that nobody can tell which of its cells are small; give n, or min_n=0 to export it as it is"
        )
    return protect(table, min_n=min_n, **rule)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which no name and no text starts a formula of a spreadsheet: those that would get an apostrophe before them.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.publishing.exports import without_formulas
    >>> table = without_formulas(pd.DataFrame({"option_label": ["=1+1", "-1", "No"]}))
    >>> table.option_label.tolist(), table.attrs["formula_prefix"]
    (["'=1+1", '-1', 'No'], {"'": {'option_label': ['=1+1']}})
    """
    found: dict[str, list[str]] = {}
    columns = {}
    for name, values in table.items():
        texts = [value for value in values.astype(object).unique() if _is_formula(value)]
        named = f"{PREFIX}{name}" if _is_formula(name) else str(name)
        columns[named] = values.astype(object).map(lambda value: f"{PREFIX}{value}" if _is_formula(value) else value) if texts else values
        if texts or named != name:
            found[str(name)] = texts
    safe = pd.DataFrame(columns, index=table.index)
    safe.attrs = {**table.attrs, **({PREFIXED: {PREFIX: found}} if found else {})}
    return safe


def _is_formula(value: object) -> bool:
    """Whether a spreadsheet takes a text for a formula; a number that is written as text is none."""
    return isinstance(value, str) and value.startswith(STARTS) and not _NUMBER.fullmatch(value)


def write_facts(path: Path, facts: Mapping[str, Any]) -> Path:
    """Write the facts of a file beside it, as ``<file>.json``."""
    text = json.dumps(dict(facts), default=_as_json, indent=2, ensure_ascii=False) + "\n"
    return write_whole(path.with_name(path.name + ".json"), lambda place: place.write_text(text, encoding="utf-8"))


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """Write a CSV in UTF-8, numbers in full, missing ones empty."""
    return write_whole(path, _csv(table))


def _csv(table: pd.DataFrame) -> Callable[[Path], object]:
    return lambda place: table.to_csv(place, index=False, encoding="utf-8", lineterminator="\n")


def _parquet(table: pd.DataFrame) -> Callable[[Path], object]:
    plain = table.copy()
    plain.attrs = json.loads(json.dumps(table.attrs, default=_as_json))
    return lambda place: plain.to_parquet(place, index=False, engine="pyarrow")


def _as_json(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple | set | frozenset | np.ndarray) else str(value)
