"""Rounding of a distributions table: respondents behind every option as multiples of a base, and nothing exact left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.tables.cells import Z_95, Array
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, N_EFF, ORDER, QUESTION, SHARE, SOURCE, STD_ERROR, N

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
    low, high = np.clip(rounded - Z_95 * error, 0, 1), np.clip(rounded + Z_95 * error, 0, 1)
    return {SHARE: rounded, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}
