"""Tables given to others: protected by default, and with the facts that belong to them in the file or beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import ReadError, TableError
from surveysim.files.outfile import WRITABLE
from surveysim.publishing.banner import banners
from surveysim.publishing.disclosure import DISCLOSURE, protect
from surveysim.publishing.excel import require_openpyxl, write_workbook
from surveysim.survey.writers import with_codes_of_one_kind, write_table
from surveysim.tables.schema import MIN_N, N, require_columns
from surveysim.whole_files import checked_target, write_whole

EXCEL = ".xlsx"
TABLES = (".csv", ".parquet", EXCEL, *WRITABLE)


def export_table(
    table: pd.DataFrame,
    path: str | Path,
    *,
    codebook: CodebookLike | None = None,
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
    letters: float = 0.05,
    adjust: str = "holm",
) -> Path:
    """Write a table of shares or estimates for others, small cells withheld, with the facts that belong to it.

    The facts (`attrs`: weight, denominator, design, population, model, seed, steps of weighting, and what was done for
    disclosure control) go into ``<file>.json`` beside the file; in Parquet into the file's own metadata, from where pandas
    puts them back into `attrs`.

    Parameters
    ----------
    table : DataFrame
        A distributions or estimates table. Others (shifts, scores) have no `n` and need ``min_n=0``.
    path : str or Path
        Ends in .csv (UTF-8), .parquet, .xlsx, .sav, .zsav or .dta (labelled as by `write_table`). The file appears when it is complete.
        In .xlsx (needs openpyxl: ``pip install "surveysim-dsa[excel]"``) every source is a banner table on a sheet of its own, questions
        down, backgrounds across, `n` and effective n under each question, withheld cells marked [c], and in the foot weight, denominator,
        design, the test behind the letters and what was withheld; another sheet has the rows with their standard errors.
    codebook : str, Path, Codebook or Survey, optional
        Adds a column per trait of the backgrounds and the options' labels.
    min_n, how, min_count, model_based, published
        As of `protect`. ``min_n=0``: nothing is withheld, and the facts say so.
    letters : float
        Of Excel: the level at which a column gets the letters of columns that are significantly lower, of those that differ from it in one
        trait, by a t test with the covariance that the table carries, else by a z test; 0: no letters. Simulated shares get none.
    adjust : {"none", "holm", "bh", "bonferroni"}
        Of Excel: the correction for all comparisons within a row.

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the extension or folder is unknown, there are no rows, a name is not allowed in the format, or a package for it is missing.
    TableError
        As of `protect`; if the table has no `n` and `min_n` is not 0; or, of Excel, if it has neither shares nor estimates, or several
        rows of a background.
    DesignError
        If `adjust` is unknown.

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
    if target.suffix.lower() == EXCEL:
        require_openpyxl()
    require_columns(table, [], "table")
    if table.empty:
        raise ReadError(f"nothing to write to {target.name}: the table has no rows")
    shown = protected(table, min_n=min_n, how=how, min_count=min_count, model_based=model_based, published=published)
    if target.suffix.lower() in WRITABLE:
        write_table(shown, target, codebook)
    elif target.suffix.lower() == EXCEL:
        book = None if codebook is None else load_codebook(codebook)
        rows = readable(shown, book)
        whole = None if how == "round" else table
        write_workbook(target, banners(rows, codebook=book, whole=whole, level=letters, adjust=adjust), rows)
    else:
        book = None if codebook is None else load_codebook(codebook)
        plain = with_codes_of_one_kind(shown if book is None else readable(shown, book))
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
