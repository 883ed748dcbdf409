"""What hides small cells: counts as multiples of a base with nothing exact left, and which further cells go where margins are published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.publishing.cell_bounds import settled
from surveysim.tables.cells import Array
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, N_EFF, ORDER, QUESTION, SHARE, SOURCE, STD_ERROR, N

EXACT = 1e-8  # numerical slack of "follows from the equations"

ROUNDED, ROUNDED_AWAY = "", "rounded to 0 respondents"


def rounded_table(table: pd.DataFrame, base: int, model_based: Sequence[str] = ()) -> pd.DataFrame:
    """Round respondents to multiples of a base, in every cell, and shares to those of rounded respondents behind the options.

    ``n' = base round(n / base)``; the options share out n' in units of `base`, by largest remainder, so that shares sum to 1.
    Standard errors are those of the rounded numbers, ``sqrt(deff share (1 - share) / n' + (base / n')^2 / 12)``: sampling
    and rounding, with one design effect for a source, to two digits, since exact ones would give the exact shares back.
    Intervals are normal, cut at 0 and 1. A cell that rounds to 0 respondents keeps none of its numbers. Cells without respondents
    and the shares of `model_based` sources stay as they are; the standard errors of these have two digits and are missing where there
    are 0 respondents, before or after rounding, since they would tell the two apart. Other numeric columns are dropped.

    Parameters
    ----------
    table : DataFrame
        A distributions table with `n`.
    base : int
    model_based : sequence of str

    References
    ----------
    Hundepool et al. (2012), section 5.4.3, doi:10.1002/9781118348239. Balinski and Young (1982), Fair Representation
    (largest remainders).

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.publishing.small_cells import rounded_table
    >>> cell = {"question_id": "q", "background_id": "all", "option_code": [1, 2], "option_order": [0, 1], "share": [0.61, 0.39],
    ...         "n": 41, "source": "survey"}
    >>> rounded_table(pd.DataFrame(cell), 10)[["share", "n"]].values.tolist()
    [[0.5, 40.0], [0.5, 40.0]]
    """
    known = [name for name in (SHARE, STD_ERROR, CONF_LOW, CONF_HIGH, N, N_EFF) if name in table]
    others = [name for name in table.select_dtypes("number").columns if name not in {*known, ORDER, "option_code", "fold"}]
    out = table.drop(columns=others)
    numbers = {name: table[name].to_numpy(float).copy() for name in known}
    why = np.full(len(table), ROUNDED, dtype=object)
    sources, share, n = table[SOURCE].to_numpy(), table[SHARE].to_numpy(float), table[N].to_numpy(float)
    effects = {source: _design_effect(rows, base) for source, rows in table.groupby(SOURCE, sort=False)}
    for rows in table.reset_index(drop=True).groupby([SOURCE, QUESTION, BACKGROUND], sort=False).indices.values():
        source, size = sources[rows[0]], base * float(np.rint(np.nan_to_num(n[rows[0]]) / base))
        if not n[rows[0]] > 0 and source not in model_based:
            continue
        values: dict[str, Array | float] = {N: size, N_EFF: size / effects[source]}
        if source in model_based:
            values |= _rounded_error(share[rows], numbers[STD_ERROR][rows], size) if STD_ERROR in numbers else {}
        else:
            values |= _rounded_cell(share[rows], size, base, effects[source])
        why[rows] = ROUNDED if size else ROUNDED_AWAY
        for name in known:
            if name in values:
                numbers[name][rows] = values[name]
    return out.assign(**numbers, suppressed=why)


def _design_effect(rows: pd.DataFrame, base: int) -> float:
    """Return what the stated variances are of those of as many independent respondents, to two digits; 1 where none is stated.

    Cells are weighted by their respondents, so that no small one sets it.
    """
    usable = rows[(rows[N] >= base) & rows[STD_ERROR].notna()] if STD_ERROR in rows else rows.iloc[:0]
    simple = float((usable[SHARE] * (1 - usable[SHARE]) * usable[N]).sum())
    stated = float(np.square(usable[N] * usable[STD_ERROR]).sum()) if len(usable) else 0.0
    return float(f"{stated / simple:.1e}") if simple > 0 and stated > 0 else 1.0


def _rounded_cell(share: Array, size: float, base: int, effect: float) -> dict[str, Array | float]:
    """Return shares, standard errors and intervals of a cell."""
    if not size:
        return dict.fromkeys((SHARE, STD_ERROR, CONF_LOW, CONF_HIGH), np.nan)
    units = round(size / base)
    whole = np.floor(share * units + 1e-9)
    rest = share * units - whole
    order = np.argsort(-rest, kind="stable")
    whole[order[: units - int(whole.sum())]] += 1
    rounded = whole / units
    error = np.sqrt(effect * rounded * (1 - rounded) / size + (1 / units) ** 2 / 12)
    low, high = normal_intervals(rounded, error, bounds=OF_A_SHARE)
    return {SHARE: rounded, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}


def _rounded_error(share: Array, std_error: Array, size: float) -> dict[str, Array | float]:
    """Return standard errors of shares that stay as they are, to two digits, and normal intervals; none where nobody is left."""
    if not size:
        return dict.fromkeys((STD_ERROR, CONF_LOW, CONF_HIGH), np.nan)
    error = np.array([float(f"{value:.1e}") for value in std_error])
    low, high = normal_intervals(share, error, bounds=OF_A_SHARE)
    return {STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}


@dataclass(frozen=True, eq=False)
class Sizes:
    """What is known of the respondents of each cell.

    Attributes
    ----------
    n : array, shape (cells,)
        Respondents; missing in a cell that was withheld before.
    low, high : array, shape (cells,)
        Between which sizes a cell must lie, once it is withheld, for whoever reads why.
    fixed : bool array, shape (cells,)
        Published already: not to be withheld.
    lost : bool array, shape (cells,)
        Follow from what is out already: nothing can hide them.
    parts : int
        How many of the cells, the last ones, are parts of levels whose borders cross, of which no table speaks.
    """

    n: Array
    low: Array
    high: Array
    fixed: np.ndarray
    lost: np.ndarray
    parts: int = 0


def complementary(equations: Array, sizes: Sizes, withheld: np.ndarray, *, min_n: int) -> tuple[np.ndarray, np.ndarray]:
    """Withhold further cells until no withheld one follows from those published.

    An equation counts if its parts leave fewer than `min_n` of its whole's respondents unexplained, as far as sizes are known.
    In each, the parts withheld must have `min_n` respondents together; none may follow from all equations jointly; and none may
    have but one size left by the bounds of all. The smallest cell that helps goes first, parts before wholes.

    Parameters
    ----------
    equations : array, shape (equations, cells)
        From `margin_equations`.
    sizes : Sizes
    withheld : bool array, shape (cells,)
    min_n : int

    Returns
    -------
    tuple of bool arrays
        Cells withheld, the ones given among them; and those that still follow, because all that could hide them is fixed.

    References
    ----------
    Cox (1980), Suppression methodology and statistical disclosure control, doi:10.1080/01621459.1980.10477481.
    """
    known = equations[counting(equations, sizes, min_n)]
    n, hidden = sizes.n, withheld.copy()
    while True:
        exposed = exposed_cells(known, sizes, hidden, min_n)
        together = _equations_of(known, exposed, sizes.parts)
        free = ~hidden & ~sizes.fixed & (n > 0)
        part, whole = ((known[together] * sign > 0).any(0) & free for sign in (-1, 1))
        choice = part if part.any() else whole
        if not choice.any():
            return hidden, exposed
        hidden[np.argmin(np.where(choice, n, np.inf))] = True


def _equations_of(known: Array, exposed: np.ndarray, parts: int) -> np.ndarray:
    """Return the equations of exposed cells, and those that parts which no table speaks of tie to them."""
    cells = exposed.copy()
    while True:
        together = np.asarray((known[:, cells] != 0).any(1))
        reached = cells.copy()
        reached[len(cells) - parts :] |= (known[together][:, len(cells) - parts :] != 0).any(0)
        if (reached == cells).all():
            return together
        cells = reached


def counting(equations: Array, sizes: Sizes, min_n: int) -> np.ndarray:
    """Return which equations hold, as far as sizes are known: their parts leave few of the whole's respondents unexplained."""
    unknown = np.isnan(sizes.n)
    least, most = (np.where(unknown, side, sizes.n) for side in (sizes.low, sizes.high))
    parts, wholes = np.minimum(equations, 0), np.maximum(equations, 0)
    fewest = wholes @ least + _products(parts, most)
    greatest = _products(wholes, most) + parts @ least
    return np.asarray((fewest < min_n) & (greatest > -min_n) & (parts @ (most > 0) < 0))


def _products(rows: Array, values: Array) -> Array:
    """Return the sums of rows times values, of which some may be infinite: 0 times infinity is 0."""
    endless = np.isinf(values)
    return np.asarray(rows @ np.where(endless, 0, values) + np.where((rows[:, endless] != 0).any(1), np.sign(rows.sum(1)) * np.inf, 0))


def exposed_cells(known: Array, sizes: Sizes, hidden: np.ndarray, min_n: int) -> np.ndarray:
    """Return the withheld cells that follow from the equations, or whose withheld sum does and is below the minimum."""
    exposed = np.zeros(len(hidden), dtype=bool)
    if not hidden.any() or not len(known):
        return exposed
    parts, told = (known < 0) & hidden, np.where(hidden, 0, np.nan_to_num(sizes.n))
    plain = ~((known > 0) & hidden).any(1) & parts.any(1)  # the whole is published
    unknown = (parts & np.isnan(sizes.n)).any(1)
    together = np.where(unknown, known @ told, parts @ np.nan_to_num(sizes.n))
    exposed |= parts[plain & (together < min_n)].any(0)
    exposed |= solved(known, hidden)
    exposed &= ~sizes.lost
    if not exposed.any():
        low, high = np.where(hidden, sizes.low, sizes.n), np.where(hidden, sizes.high, sizes.n)
        complete = ~(known[:, np.isnan(sizes.n)] != 0).any(1)  # elsewhere it is not known who lacks the trait: nobody
        totals = np.where(complete, known @ np.nan_to_num(sizes.n), 0)
        exposed = hidden & ~sizes.lost & settled(known, totals, low, high, sizes.n, hidden & ~sizes.lost)
    return exposed


def solved(known: Array, unknown: np.ndarray) -> np.ndarray:
    """Return the unknown cells whose number follows from the equations, shape (cells,)."""
    out, places = np.zeros(len(unknown), dtype=bool), np.flatnonzero(unknown)
    if len(places) and len(known):
        own = known[:, places]
        size, basis = np.linalg.eigh(own.T @ own)  # of whole numbers: exact, and small however many equations there are
        out[places] = np.square(basis[:, size > EXACT * len(own)]).sum(1) > 1 - EXACT
    return out
