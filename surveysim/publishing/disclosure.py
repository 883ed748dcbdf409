"""Disclosure control of tables: cells of few respondents withheld or rounded, before anything is given to others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.design.row_covariance import without_sums
from surveysim.errors import TableError, first_few, nearest
from surveysim.publishing.small_cells import complementary, margin_equations, rounded_table
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import (
    BACKGROUND,
    ESTIMATE,
    MIN_N,
    N_EFF,
    OPTION,
    OPTION_LABEL,
    ORDER,
    QUESTION,
    SHARE,
    SOURCE,
    N,
    check_distributions,
    require_columns,
)

WAYS = ("suppress", "round")
DISCLOSURE, SUPPRESSED = "disclosure", "suppressed"  # in attrs; column
DERIVABLE, FEW_BEHIND_AN_OPTION = "follows from other cells", "few respondents behind an option"
KEPT = frozenset({QUESTION, BACKGROUND, SOURCE, OPTION, ORDER, "fold", OPTION_LABEL})
KEY = [QUESTION, SOURCE, BACKGROUND]


def protect(
    table: pd.DataFrame,
    *,
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Withhold, or round, what a table says of small cells.

    A cell is a question in a background. ``how="suppress"``: all numbers of a cell of 1 to ``min_n - 1`` respondents become
    missing (primary suppression), all its options together, since the last would follow from the others. Where the table
    holds margins as well, further cells are withheld (secondary suppression) until no withheld cell follows from wholes and
    their other parts. ``how="round"``: numbers of respondents become multiples of `min_n`, in every cell, and shares those
    of rounded numbers behind the options, so that nothing in the table speaks of fewer.

    A cell of 0 respondents says nothing of anybody and stays, so a simulated background that was never sampled does. Shares of
    a cell that was sampled are treated as the sample's, whatever made them: a composite or a shrunken share gives the direct one
    back to whoever knows the other. Name in `model_based` the sources for which that is not so; of them only `n` and `n_eff` are
    withheld.

    What it does not do: two tables, each protected, may betray a cell together (pass the first as `published` when you protect
    the second); a share of 0 or 1 tells of everyone in its cell, however many (``attrs["disclosure"]["unanimous"]`` counts
    them). The rules of the data's owner come first; `min_n` 10 is the rule of thumb of the ONS for outputs of research.

    Parameters
    ----------
    table : DataFrame
        A distributions or estimates table, with `n`.
    min_n : int
        Fewest respondents of a published cell; when rounding, the base: 5 or 10 are usual.
    how : {"suppress", "round"}
    min_count : int
        Fewest respondents behind an option, as share times n (with weights, nearly); 0: any number. A cell with a smaller one
        is withheld whole. An option that nobody chose does not count.
    model_based : str or sequence of str
        Sources of `table` whose shares are not those of the cell's own respondents.
    published : DataFrame, optional
        A table that is out already, with `n`: margins that withheld cells must not follow from.

    Returns
    -------
    DataFrame
        The table with a column `suppressed`: why a cell's numbers are missing, empty where they are not. `attrs["disclosure"]`
        says how, and the number of cells, withheld for either reason.

    Raises
    ------
    TableError
        If a table lacks `n` or `n` is missing in a cell with numbers; an argument is unknown or out of range; `table` was
        protected less strictly before; or a cell follows from `published` whatever is withheld.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4-5, Wiley, doi:10.1002/9781118348239. Cox (1980),
    doi:10.1080/01621459.1980.10477481.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> small, _ = ss.hold_out_respondents(survey, n_train=200, seed=0)
    >>> cells = ss.response_distributions(small, by=["race", "education"], questions=["Q8_8"])
    >>> shown = ss.protect(cells)
    >>> bool((shown.loc[shown.suppressed == "", "n"] >= 10).all()), shown.attrs["disclosure"]["primary"]
    (True, 4)
    """
    if how not in WAYS:
        raise TableError(f"how must be 'suppress' or 'round'; got {how!r}, {nearest(str(how), WAYS)}")
    if min_n < 1 or min_count < 0:
        raise TableError(f"min_n={min_n} must be at least 1 and min_count={min_count} at least 0")
    cells = _cells(table)
    sources = cells[SOURCE].unique()
    model_based = known_names_of(model_based, "model_based", sources, error=TableError, lacking="table has no source", needed=False)
    done = table.attrs.get(DISCLOSURE)
    if done and done.get("how") == how and done["min_n"] >= min_n and done["min_count"] >= min_count:
        return table
    if done and done.get("how") != "none":
        raise TableError(f"table was protected before, with {_said(done)}; protect the original with {_said({'how': how, 'min_n': min_n})}")
    if how == "round":
        return _rounded(table, min_n, model_based)
    return _suppressed(table, cells, min_n, min_count, model_based, published)


def _said(done: dict[str, object]) -> str:
    return f"how={done['how']!r} and min_n={done['min_n']}"


def _cells(table: pd.DataFrame, what: str = "table") -> pd.DataFrame:
    """Return a row per cell: question, source, background and `n`; a table of estimates has the source ``"survey"``."""
    require_columns(table, [QUESTION, BACKGROUND, N], what)
    if SHARE in table:
        check_distributions(table, what)
    else:
        require_columns(table, [ESTIMATE], what)
    cells = table.assign(**{SOURCE: table.get(SOURCE, "survey"), "_told": table[SHARE if SHARE in table else ESTIMATE].notna()})
    unknown = cells.loc[cells["_told"] & cells[N].isna() & (table.get(SUPPRESSED, "") == ""), KEY]
    if len(unknown):
        rows = unknown.drop_duplicates().astype(str).agg(" / ".join, axis=1)
        raise TableError(f"{what}: n is missing in {first_few(rows)}; a cell of unknown size cannot be protected")
    return cells.drop_duplicates(KEY)[[*KEY, N]].reset_index(drop=True)


def _rounded(table: pd.DataFrame, base: int, model_based: Sequence[str]) -> pd.DataFrame:
    if SHARE not in table:
        raise TableError("how='round' is for shares; of estimates use how='suppress'")
    return _noted(rounded_table(table, base, model_based), {"how": "round", "min_n": base, "min_count": 0}, model_based)


def _suppressed(
    table: pd.DataFrame, cells: pd.DataFrame, min_n: int, min_count: int, model_based: Sequence[str], published: pd.DataFrame | None
) -> pd.DataFrame:
    why = pd.Series("", index=cells.index)
    if min_count:
        why[_thinly_backed(table, cells, min_count)] = FEW_BEHIND_AN_OPTION
    why[(cells[N] > 0) & (cells[N] < min_n)] = f"fewer than {min_n} respondents"
    out = None if published is None else _cells(published, "published")
    for (question, source), part in cells.groupby([QUESTION, SOURCE], sort=False):
        beside = _beside(part, out, question)
        found = _follows(part, beside, why[part.index] != "", min_n, f"{question} ({source})")
        why[part.index[found & (why[part.index] == "").to_numpy()]] = DERIVABLE
    reasons = why.set_axis(pd.MultiIndex.from_frame(cells[KEY]))
    keys = pd.MultiIndex.from_frame(table.assign(**{SOURCE: table.get(SOURCE, "survey")})[KEY])
    shown = table.assign(**{SUPPRESSED: reasons.reindex(keys).to_numpy()})
    numbers = [name for name in shown.select_dtypes("number").columns if name not in KEPT]
    hidden = (shown[SUPPRESSED] != "").to_numpy()
    counted_only = keys.get_level_values(SOURCE).isin(list(model_based))
    for names, rows in ((numbers, hidden & ~counted_only), ([name for name in (N, N_EFF) if name in shown], hidden & counted_only)):
        shown[names] = shown[names].astype(float).mask(rows[:, None] & np.ones((1, len(names)), dtype=bool))
    return _noted(shown, {"how": "suppress", "min_n": min_n, "min_count": min_count}, model_based)


def _thinly_backed(table: pd.DataFrame, cells: pd.DataFrame, min_count: int) -> np.ndarray:
    if SHARE not in table:
        raise TableError("min_count is for shares; leave it out for estimates")
    behind = (table[SHARE] * table[N]).round(6)
    thin = pd.MultiIndex.from_frame(table.loc[(behind > 0) & (behind < min_count), KEY])
    return np.asarray(pd.MultiIndex.from_frame(cells[KEY]).isin(thin))


def _beside(part: pd.DataFrame, published: pd.DataFrame | None, question: object) -> pd.DataFrame:
    """Return the cells of a published table that stand beside these: of the same question, and not among them."""
    if published is None:
        return part.iloc[:0]
    same = published[(published[QUESTION] == question) & ~published[BACKGROUND].isin(part[BACKGROUND]) & published[N].notna()]
    return same.drop_duplicates(BACKGROUND)


def _follows(part: pd.DataFrame, beside: pd.DataFrame, withheld: pd.Series, min_n: int, what: str) -> np.ndarray:
    """Return which cells of one question and source are to be withheld."""
    backgrounds = [*part[BACKGROUND], *beside[BACKGROUND]]
    n = np.nan_to_num(np.append(part[N].to_numpy(float), beside[N].to_numpy(float)))
    start = np.append(withheld.to_numpy(bool), np.zeros(len(beside), dtype=bool))
    hidden, exposed = complementary(margin_equations(backgrounds), n, start, min_n=min_n, fixed=np.arange(len(n)) >= len(part))
    if exposed.any():
        cells = [backgrounds[place] for place in np.flatnonzero(exposed)]
        raise TableError(f"{what}: {first_few(cells)} follow from published, whatever is withheld; join levels")
    return hidden[: len(part)]


def _noted(shown: pd.DataFrame, rule: dict[str, object], model_based: Sequence[str]) -> pd.DataFrame:
    """Write what was done into `attrs`."""
    cells = shown.assign(**{SOURCE: shown.get(SOURCE, "survey")}).drop_duplicates(KEY)
    why = cells[SUPPRESSED]
    told = shown[shown[N] > 0] if SHARE in shown else shown.iloc[:0]
    counts = {
        "cells": len(cells),
        "primary": int(((why != "") & (why != DERIVABLE)).sum()),
        "secondary": int((why == DERIVABLE).sum()),
        "unanimous": int(told.get(SHARE, pd.Series(dtype=float)).eq(1).sum()),
    }
    shown.attrs = {**without_sums(shown.attrs), DISCLOSURE: {**rule, **counts, "model_based": list(model_based)}}
    return shown
