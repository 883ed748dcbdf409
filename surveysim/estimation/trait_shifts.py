"""How the levels of one trait differ from the pooled answer, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import level_order, parse_background_id, trait_order
from surveysim.codebook.codebook import Code, Codebook
from surveysim.design.row_covariance import QuestionRows, known_rows
from surveysim.errors import TableError, first_few, nearest
from surveysim.estimation.joint_shares import joint_shares
from surveysim.tables.intervals import normal_intervals
from surveysim.tables.population_shares import population_shares
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, N_EFF, SHARE, SOURCE, STD_ERROR, N

SHIFT, POOLED_SHARE, LEVEL = "shift", "pooled_share", "level"


def trait_shifts(
    rows: pd.DataFrame,
    codes: Sequence[Code],
    trait: str,
    sources: Sequence[str],
    *,
    codebook: Codebook | None,
    population: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return how far the joint share of some options in each level of a trait lies from the share of all, by source.

    With the cells' weights w and shares S, the shift of a level is ``sum c S``, ``c = w / w(level) - w / w(all)`` in the
    level and ``- w / w(all)`` outside; its variance ``sum c^2 se^2`` takes the cells as independent, unless the survey's table carries the
    covariance of its rows (``covariance=True``): then it is ``c' V c``. A cell whose standard
    error is 0, because its few respondents agree, has the variance of the source's pooled share on `n_eff` respondents.

    Parameters
    ----------
    rows : DataFrame
        The rows of one question in a distributions table.
    codes : sequence
        Options whose shares are added up.
    trait : str
    sources : sequence of str
    codebook : Codebook or None
        Orders the levels.
    population : DataFrame or None
        `background_id` and `population_share`; None: the respondents of the source that has most.

    Returns
    -------
    DataFrame
        A row per source and level: `level source share shift std_error conf_low conf_high pooled_share n` (shares 0-1).

    Raises
    ------
    TableError
        If the backgrounds lack the trait, or cannot be weighted.
    """
    ids = list(rows[BACKGROUND].unique())
    lacking = [name for name in ids if trait not in parse_background_id(name)]
    if lacking:
        known = trait_order(ids, None)
        raise TableError(f"trait: the backgrounds {first_few(lacking)} have no trait {trait!r}; {nearest(trait, known)}")
    levels = level_order(ids, trait, codebook)
    if len(levels) < 2:
        raise TableError(f"trait: every background has level {levels[0]!r} of {trait!r}; a shift needs two levels")
    cells = joint_shares(rows, codes)
    cells = cells.assign(_weight=_cell_weights(cells, population), level=[parse_background_id(name)[trait] for name in cells[BACKGROUND]])
    found = []
    for name in sources:
        carried = known_rows(rows[rows[SOURCE] == name])
        own = cells[cells[SOURCE] == name]
        found.append(_source_shifts(own, levels, None if carried is None else (carried, codes)).assign(**{SOURCE: name}))
    return pd.concat(found, ignore_index=True)


def _cell_weights(cells: pd.DataFrame, population: pd.DataFrame | None) -> np.ndarray:
    """Return the weight of every cell: its population share, or the respondents of the source that has most."""
    if population is not None:
        return population_shares(population, cells[BACKGROUND], "population")
    largest = largest_source(cells)
    if largest is None:
        raise TableError("distributions has no n to weight the backgrounds by; give population=, with background_id and population_share")
    sizes = cells[cells[SOURCE] == largest].set_index(BACKGROUND)[N]
    return cells[BACKGROUND].map(sizes).fillna(0).to_numpy(float)


def largest_source(cells: pd.DataFrame) -> str | None:
    """Return the source with most respondents, or None where no source has any."""
    totals = cells.drop_duplicates([BACKGROUND, SOURCE]).groupby(SOURCE, sort=False)[N].sum() if N in cells else pd.Series(dtype=float)
    return str(totals.idxmax()) if len(totals) and totals.max() > 0 else None


def _source_shifts(cells: pd.DataFrame, levels: Sequence[str], carried: tuple[QuestionRows, Sequence[Code]] | None) -> pd.DataFrame:
    """Return the shifts of one source; a level of which it has no cell has none."""
    cells = cells[cells[SHARE].notna()]
    share, weight = cells[SHARE].to_numpy(float), cells["_weight"].to_numpy(float)
    member = cells[LEVEL].to_numpy() == np.array(levels, dtype=object)[:, None]  # (levels, cells)
    with np.errstate(invalid="ignore"):
        within = np.where(member, weight, 0.0) / np.where(member, weight, 0.0).sum(1, keepdims=True)
        overall = weight / weight.sum()
    pooled = float(overall @ share)
    contrast = within - overall
    variance = contrast**2 @ _variances(cells, pooled)
    if carried is not None:
        variance = _carried_variance(cells, contrast, pooled, *carried)
    std_error = np.sqrt(variance)
    shift = contrast @ share
    numbers = {SHARE: within @ share, SHIFT: shift, STD_ERROR: std_error}
    interval = dict(zip((CONF_LOW, CONF_HIGH), normal_intervals(shift, std_error), strict=True))
    n = np.where(member, cells[N].fillna(0).to_numpy(float), 0.0).sum(1) if cells[N].notna().any() else np.nan
    return pd.DataFrame({LEVEL: levels, **numbers, **interval, POOLED_SHARE: pooled, N: n})


def _variances(cells: pd.DataFrame, pooled: float) -> np.ndarray:
    error, n_eff = cells[STD_ERROR].to_numpy(float), cells[N_EFF].to_numpy(float)
    binomial = np.divide(pooled * (1 - pooled), n_eff, out=np.full(len(n_eff), np.nan), where=n_eff > 0)
    return np.where(error == 0, binomial, error**2)


def _carried_variance(cells: pd.DataFrame, contrast: np.ndarray, pooled: float, known: QuestionRows, codes: Sequence[Code]) -> np.ndarray:
    """Return the variance of contrasts ``(levels, cells)``; cells that agree add their own, as without a covariance."""
    asked = [code for code in known.options if code in set(codes)]
    whole = np.isfinite(contrast).all(axis=1)
    joint = np.diag(known.joint_covariance(list(cells[BACKGROUND]), asked, np.where(whole, contrast.T, 0.0)))
    agreed = np.where(cells[STD_ERROR].to_numpy(float) == 0, _variances(cells, pooled), 0.0)
    return np.where(whole, np.maximum(joint, 0) + contrast**2 @ agreed, np.nan)
