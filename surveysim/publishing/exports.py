"""Tables given to others: protected by default, and with the facts that belong to them in the file or beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import ReadError, TableError, first_few
from surveysim.files.outfile import WRITABLE
from surveysim.publishing.audit import EXPOSED, HIGH, LOW, audit_disclosure
from surveysim.publishing.banner import banners
from surveysim.publishing.cell_rule import DOMINANCE, KEY
from surveysim.publishing.disclosure import DERIVABLE, DISCLOSURE, cells_of, protect
from surveysim.publishing.excel import PREFIX, is_formula, require_openpyxl, write_workbook
from surveysim.survey.writers import with_codes_of_one_kind, write_table
from surveysim.tables.schema import MIN_N, NESTED, SUPPRESSED, N, require_columns, require_scalars
from surveysim.whole_files import checked_target, write_whole

log = logging.getLogger(__name__)

EXCEL = ".xlsx"
TABLES = (".csv", ".parquet", EXCEL, *WRITABLE)
PREFIXED = "formula_prefix"  # where the facts say that texts got a prefix, so that none is taken for a formula


def export_table(
    table: pd.DataFrame,
    path: str | Path,
    *,
    codebook: CodebookLike | None = None,
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    min_n_eff: float | None = None,
    dominance: float = DOMINANCE,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
    letters: float = 0.05,
    adjust: str = "holm",
) -> Path:
    """Write a table of shares or estimates for others, small cells withheld, with the facts that belong to it.

    What is withheld is audited (`audit_disclosure`) before the file is written. The facts (`attrs`: weight, denominator, design,
    population, model, seed, steps of weighting, what was done for disclosure control and what the audit found) go into
    ``<file>.json`` beside the file; in Parquet into the file's own metadata, from where pandas puts them back into `attrs`. In CSV
    and Excel a text that a spreadsheet would take for a formula gets an apostrophe before it, and the facts name it under
    ``formula_prefix``.

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
    min_n, how, min_count, min_n_eff, dominance, model_based, published
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
        As of `protect`; if the table has no `n` and `min_n` is not 0; if the audit finds that a withheld cell follows; or, of Excel, if it
        has neither shares nor estimates, or several rows of a background.
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
    for name in table:
        require_scalars(table[name], f"table: column {name!r}")
    weights: dict[str, Any] = {"min_n_eff": min_n_eff, "dominance": dominance}
    shown = protected(table, min_n=min_n, how=how, min_count=min_count, **weights, model_based=model_based, published=published)
    if target.suffix.lower() in WRITABLE:
        write_table(shown, target, codebook)
    elif target.suffix.lower() == EXCEL:
        book = None if codebook is None else load_codebook(codebook)
        rows = readable(shown, book)
        whole = None if how == "round" else table
        shown.attrs |= _prefixed(without_formulas(rows))
        write_workbook(target, banners(rows, codebook=book, whole=whole, level=letters, adjust=adjust), rows)
    else:
        book = None if codebook is None else load_codebook(codebook)
        plain = with_codes_of_one_kind(shown if book is None else readable(shown, book))
        if target.suffix.lower() == ".csv":
            plain = without_formulas(plain)
            shown.attrs |= _prefixed(plain)
        write_whole(target, _parquet(plain) if target.suffix.lower() == ".parquet" else _csv(plain))
    if target.suffix.lower() != ".parquet":
        write_facts(target, shown.attrs)
    return target


def protected(table: pd.DataFrame, *, min_n: int, published: pd.DataFrame | None = None, **rule: Any) -> pd.DataFrame:
    """Return `protect` of a table, audited; with ``min_n=0`` the table as it is, and on record that nothing was withheld.

    Which levels lie within which is left out of the facts: of a small sample it tells who was in it.

    Raises
    ------
    TableError
        As of `protect`; if the table has no `n`; or if a withheld cell follows all the same.
    """
    if min_n == 0:
        shown = table.copy()
        shown.attrs = {DISCLOSURE: {"how": "none", "min_n": 0, "min_count": 0}, **table.attrs}
    elif N not in table:
        raise TableError(
            "table has no column n, so that nobody can tell which of its cells are small; give n, or min_n=0 to export it as it is"
        )
    else:
        shown = protect(table, min_n=min_n, published=published, **rule).copy()
        shown.attrs = {**shown.attrs, DISCLOSURE: {**shown.attrs[DISCLOSURE], "audit": _audited(shown, table, published)}}
    shown.attrs = {name: value for name, value in shown.attrs.items() if name != NESTED}
    return shown


def _audited(shown: pd.DataFrame, table: pd.DataFrame, published: pd.DataFrame | None) -> dict[str, object]:
    """Return what an audit of a table finds: the cells withheld, and the numbers that are left for the one told most closely.

    A cell counts as exposed if the one number left is its own, and what is published did not tell it before; one that is withheld for
    the sake of others may follow from what is published.
    """
    tables = [shown] if published is None else [shown, published]
    found = audit_disclosure(tables).set_index(KEY)
    own = cells_of(table).set_index(KEY)[N].reindex(found.index)
    exposed = found[EXPOSED] & ((found[LOW] == own) | own.isna())
    if published is not None:
        before = audit_disclosure(published).set_index(KEY)[EXPOSED]
        out = cells_of(published, "published").set_index(KEY)[N].dropna()
        exposed &= ~found.index.isin([*before.index[before], *out.index]) & (found[SUPPRESSED] != DERIVABLE)
    if exposed.any():
        cells = [f"{question} / {background}" for question, _source, background in found.index[exposed]]
        raise TableError(f"table: {first_few(cells)} follow from what is told; raise min_n or join levels")
    left = found[HIGH] - found[LOW] + 1
    return {"withheld": len(found), "fewest_numbers_left": float(left.min()) if len(found) and np.isfinite(left.min()) else None}


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
    found = _formulas_in(table)
    columns = {}
    for name, values in table.items():
        named = f"{PREFIX}{name}" if is_formula(name) else str(name)
        texts = found.get(str(name))
        columns[named] = values.astype(object).map(lambda value: f"{PREFIX}{value}" if is_formula(value) else value) if texts else values
    safe = pd.DataFrame(columns, index=table.index)
    safe.attrs = {**table.attrs, **({PREFIXED: {PREFIX: found}} if found else {})}
    return safe


def _formulas_in(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return column -> its texts that a spreadsheet takes for formulas; a column whose name alone would be one has none."""
    found = {str(name): [value for value in values.astype(object).unique() if is_formula(value)] for name, values in table.items()}
    return {name: texts for name, texts in found.items() if texts or is_formula(name)}


def write_for_programs(path: Path, table: pd.DataFrame, reader: str) -> Path:
    """Write a CSV whose texts another program compares with those of other files, as they are; warn of what a spreadsheet would run."""
    if found := _formulas_in(table):
        name, texts = next(iter(found.items()))
        log.warning(
            "%s: %s holds texts that a spreadsheet takes for formulas (%s); they stand as they are, since %s compares them: do not open "
            "this file in a spreadsheet; export_table writes one for that",
            path.name, f"column {name!r}", first_few(map(repr, texts or [name])), reader,
        )  # fmt: skip
    return write_whole(path, _csv(table))


def _prefixed(plain: pd.DataFrame) -> dict[str, Any]:
    """Return what the facts say of the texts that got a prefix; nothing where none did."""
    return {PREFIXED: plain.attrs[PREFIXED]} if PREFIXED in plain.attrs else {}


def write_facts(path: Path, facts: Mapping[str, Any]) -> Path:
    """Write the facts of a file beside it, as ``<file>.json``."""
    text = json.dumps(dict(facts), default=_as_json, indent=2, ensure_ascii=False) + "\n"
    return write_whole(path.with_name(path.name + ".json"), lambda place: place.write_text(text, encoding="utf-8"))


def _csv(table: pd.DataFrame) -> Callable[[Path], object]:
    """A CSV in UTF-8, numbers in full, missing ones empty."""
    return lambda place: table.to_csv(place, index=False, encoding="utf-8", lineterminator="\n")


def _parquet(table: pd.DataFrame) -> Callable[[Path], object]:
    plain = table.copy()
    plain.attrs = json.loads(json.dumps(table.attrs, default=_as_json))
    return lambda place: plain.to_parquet(place, index=False, engine="pyarrow")


def _as_json(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple | set | frozenset | np.ndarray) else str(value)
