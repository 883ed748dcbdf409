"""What hides small cells: counts as multiples of a base with nothing exact left, and which further cells go where margins are published."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.tables.cells import Array
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, N_EFF, ORDER, QUESTION, SHARE, SOURCE, STD_ERROR, N

EXACT = 1e-9  # numerical slack of "follows from the equations"

ROUNDED, ROUNDED_AWAY = "", "rounded to 0 respondents"


def rounded_table(table: pd.DataFrame, base: int, model_based: Sequence[str] = ()) -> pd.DataFrame:
    """Round respondents to multiples of a base, in every cell, and shares to those of rounded respondents behind the options.

    ``n' = base round(n / base)``; the options share out n' in units of `base`, by largest remainder, so that shares sum to 1.
    Standard errors are those of the rounded numbers, ``sqrt(deff share (1 - share) / n' + (base / n')^2 / 12)``: sampling
    and rounding, with one design effect for a source, to two digits, since exact ones would give the exact shares back.
    Intervals are normal, cut at 0 and 1. A cell that rounds to 0 respondents keeps none of its numbers. Cells without respondents
    and the shares of `model_based` sources stay as they are. Other numeric columns are dropped.

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
        if not n[rows[0]] > 0:
            continue
        source, size = sources[rows[0]], base * float(np.rint(n[rows[0]] / base))
        values: dict[str, Array | float] = {N: size, N_EFF: size / effects[source]}
        if source not in model_based:
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


def margin_equations(backgrounds: Sequence[str]) -> Array:
    """Return the sums that hold between backgrounds: shape (equations, backgrounds), 1 for a whole and -1 for its parts.

    A background is the sum of those over more traits that share its levels; ``"all"`` is the sum of everyone.

    Examples
    --------
    >>> from surveysim.publishing.small_cells import margin_equations
    >>> margin_equations(["all", "age=old", "age=young"]).tolist()
    [[1.0, -1.0, -1.0]]
    """
    levels = [parse_background_id(identifier) for identifier in backgrounds]
    families: dict[frozenset[str], list[int]] = {}
    for place, own in enumerate(levels):
        families.setdefault(frozenset(own), []).append(place)
    rows = []
    for coarse, fine in permutations(families, 2):
        if not coarse < fine:
            continue
        parts: dict[str, list[int]] = {}
        for place in families[fine]:
            parts.setdefault(background_id({trait: levels[place][trait] for trait in coarse}), []).append(place)
        for whole in families[coarse]:
            if backgrounds[whole] in parts:
                row = np.zeros(len(backgrounds))
                row[whole], row[parts[backgrounds[whole]]] = 1.0, -1.0
                rows.append(row)
    return np.array(rows).reshape(-1, len(backgrounds))


def complementary(equations: Array, n: Array, withheld: np.ndarray, *, min_n: int, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Withhold further cells until no withheld one follows from those published.

    An equation counts if its parts leave fewer than `min_n` of its whole's respondents unexplained. In each, the parts
    withheld must have `min_n` respondents together; and none may follow from all equations jointly. The smallest cell that
    helps goes first, parts before wholes.

    Parameters
    ----------
    equations : array, shape (equations, cells)
        From `margin_equations`.
    n : array, shape (cells,)
        Respondents.
    withheld : bool array, shape (cells,)
    min_n : int
    fixed : bool array, shape (cells,)
        Published already: not to be withheld.

    Returns
    -------
    tuple of bool arrays
        Cells withheld, the ones given among them; and those that still follow, because all that could hide them is fixed.

    References
    ----------
    Cox (1980), Suppression methodology and statistical disclosure control, doi:10.1080/01621459.1980.10477481.
    """
    known = equations[(np.abs(equations @ n) < min_n) & ((equations < 0) & (n > 0)).any(1)]
    hidden = withheld.copy()
    while True:
        exposed = _exposed(known, n, hidden, min_n)
        together = (known[:, exposed] != 0).any(1)
        part, whole = ((known[together] * sign > 0).any(0) & ~hidden & ~fixed & (n > 0) for sign in (-1, 1))
        choice = part if part.any() else whole
        if not choice.any():
            return hidden, exposed
        hidden[np.argmin(np.where(choice, n, np.inf))] = True


def _exposed(known: Array, n: Array, hidden: np.ndarray, min_n: int) -> np.ndarray:
    """Return the withheld cells that follow from the equations, or whose withheld sum does and is below the minimum."""
    exposed = np.zeros(len(n), dtype=bool)
    parts = (known < 0) & hidden
    plain = ~((known > 0) & hidden).any(1)  # the whole is published
    thin = plain & parts.any(1) & (parts @ n < min_n)
    exposed |= parts[thin].any(0)
    if hidden.any() and len(known):
        places = np.flatnonzero(hidden)
        _, size, basis = np.linalg.svd(known[:, places], full_matrices=False)
        solved = np.square(basis[size > EXACT]).sum(0) > 1 - EXACT
        exposed[places[solved]] = True
    return exposed
