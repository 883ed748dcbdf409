"""The share of several options together, with its standard error and interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Code
from surveysim.design.row_covariance import known_rows
from surveysim.tables.intervals import Z_95, share_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, N_EFF, OPTION, SHARE, SOURCE, STD_ERROR, N

_NUMBERS = [SHARE, STD_ERROR, CONF_LOW, CONF_HIGH]


def joint_shares(rows: pd.DataFrame, codes: Sequence[Code]) -> pd.DataFrame:
    """Return the share of some options together, per background and source, with standard error and 95% interval.

    A single option keeps its own standard error and interval. For several, a survey's table that carries the covariance of its rows
    (``covariance=True``) gives their standard error exactly. Any other table holds no covariances: their variance
    is ``S (1 - S) / m`` with the cell's implied sample size ``m = sum p (1 - p) / sum se^2`` over all its options, exact
    for simple random samples and right on average over options for complex ones (the mean design effect of Rao and Scott).
    The interval is symmetric on the logit scale and as many standard errors wide as those of the cell's options.

    References
    ----------
    Rao and Scott (1981), doi:10.1080/01621459.1981.10477633.

    Returns
    -------
    DataFrame
        Columns `background_id source share std_error conf_low conf_high n n_eff`; standard error and interval are missing
        where the table has none.
    """
    cells = rows.drop_duplicates([BACKGROUND, SOURCE]).set_index([BACKGROUND, SOURCE]).reindex(columns=[N, N_EFF])
    found = pd.Index(rows[OPTION].unique())
    numbers = np.full((len(_NUMBERS), len(cells), len(found)), np.nan)
    place = pd.MultiIndex.from_frame(rows[[BACKGROUND, SOURCE]])
    numbers[:, cells.index.get_indexer(place), found.get_indexer(pd.Index(rows[OPTION]))] = rows.reindex(columns=_NUMBERS).to_numpy(float).T
    answered = ~np.isnan(numbers[0]).all(1)
    numbers[0, answered] = np.nan_to_num(numbers[0, answered])  # an option that a source does not list has no share of it
    chosen = found.isin(list(codes))
    if chosen.sum() == 1:
        values = list(numbers[:, :, chosen][:, :, 0])
    else:
        values = _joint_interval(numbers, chosen, cells[N_EFF].to_numpy(float), _carried_errors(rows, codes, cells.index))
    return cells.assign(**dict(zip(_NUMBERS, values, strict=True))).reset_index()[[BACKGROUND, SOURCE, *_NUMBERS, N, N_EFF]]


def _carried_errors(rows: pd.DataFrame, codes: Sequence[Code], cells: pd.MultiIndex) -> np.ndarray:
    """Return the standard error of the options' sum in each cell of which the table carries the covariance, missing in the others."""
    errors = np.full(len(cells), np.nan)
    for source, own in rows.groupby(SOURCE, sort=False):
        known = known_rows(own)
        if known is None:
            continue
        backgrounds, asked = list(own[BACKGROUND].unique()), [code for code in own[OPTION].unique() if code in set(codes)]
        variance = np.diag(known.joint_covariance(backgrounds, asked, np.eye(len(backgrounds))))
        found = np.where(own.groupby(BACKGROUND, sort=False)[N].first() > 0, np.sqrt(np.maximum(variance, 0)), np.nan)
        errors[cells.get_indexer(pd.MultiIndex.from_product([backgrounds, [source]]))] = found
    return errors


def _joint_interval(numbers: np.ndarray, chosen: np.ndarray, n_eff: np.ndarray, carried: np.ndarray) -> list[np.ndarray]:
    """Return joint share, standard error and limits of the `chosen` options, from an array (number, cell, option).

    `carried` has the standard errors of the cells whose covariance is known.
    """
    share, error = numbers[:2]
    joint = np.clip(share[:, chosen].sum(1), 0.0, 1.0)
    known = np.isfinite(error).any(1)
    binomial, sampled = np.nansum(share * (1 - share), 1), np.nansum(error**2, 1)
    variance = np.divide(joint * (1 - joint) * sampled, binomial, out=np.zeros(len(joint)), where=binomial > 0)
    std_error = np.where(np.isfinite(carried), carried, np.where(known, np.sqrt(variance), np.nan))
    wide = std_error * _interval_multiple(numbers) / Z_95
    low, high = share_intervals(joint[:, None], wide[:, None], np.full(len(joint), np.inf), n_eff)
    return [joint, std_error, np.where(known, low[:, 0], np.nan), np.where(known, high[:, 0], np.nan)]


def _interval_multiple(numbers: np.ndarray) -> np.ndarray:
    """How many standard errors a cell's intervals reach on the logit scale: median over its options, 1.96 where none tells."""
    share, error, low, high = numbers
    inner = (low > 0) & (low < share) & (share < high) & (high < 1) & (error > 0)
    lower, middle, upper = (np.where(inner, value, 0.5) for value in (low, share, high))
    half = (np.log(upper / (1 - upper)) - np.log(lower / (1 - lower))) / 2
    ratio = np.where(inner, half * middle * (1 - middle) / np.where(inner, error, 1.0), np.nan)
    known = np.any(inner, axis=1)
    return np.where(known, np.nanmedian(np.where(known[:, None], ratio, Z_95), axis=1), Z_95)
