"""Confidence intervals of estimates: t on the natural scale, and logit for shares."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95


def t_quantile(df: np.ndarray, level: float = CONFIDENCE) -> np.ndarray:
    """Return the two-sided t quantile of each number of degrees of freedom; missing where there is none left.

    Parameters
    ----------
    df : array
        Degrees of freedom; below 1 there is no interval.
    level : float
        Coverage, 0-1.
    """
    from scipy.special import stdtrit

    degrees = np.asarray(df, dtype=float)
    return np.where(degrees > 0, stdtrit(np.maximum(degrees, 1), 0.5 + level / 2), np.nan)


def mean_intervals(estimate: np.ndarray, std_error: np.ndarray, df: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits ``estimate -+ t std_error``, arrays of one shape."""
    half = t_quantile(df) * std_error
    return estimate - half, estimate + half


def share_intervals(share: np.ndarray, std_error: np.ndarray, df: np.ndarray, n_eff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of shares, symmetric on the logit scale.

    A share of exactly 0 or 1 has no logit: its interval is that of Clopper and Pearson on `n_eff` respondents,
    ``[0, 1 - 0.025^(1/n_eff)]``, or its mirror image.

    Parameters
    ----------
    share, std_error : array, shape ``(domains, options)``
        0-1; missing where a domain has no respondents.
    df, n_eff : array, shape ``(domains,)``

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24, 193-201.
    """
    inner = (share > 0) & (share < 1)
    inside = np.where(inner, share, 0.5)
    logit = np.log(inside / (1 - inside))
    half = t_quantile(df)[:, None] * np.where(inner, std_error, 0) / (inside * (1 - inside))
    low, high = _logistic(logit - half), _logistic(logit + half)
    reach = 1 - ((1 - CONFIDENCE) / 2) ** (1 / np.maximum(n_eff, 1))[:, None]
    low = np.where(inner, low, np.where(share == 1, 1 - reach, share))
    high = np.where(inner, high, np.where(share == 0, reach, share))
    return low, high


def _logistic(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(value, -700, 700)))
