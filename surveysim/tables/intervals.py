"""Confidence intervals of estimates, the one place where they are made: t or normal on the natural scale, logit for shares."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95
Z_95 = 1.959963984540054  # 97.5% quantile of the normal distribution
ANYWHERE, OF_A_SHARE = (-np.inf, np.inf), (0.0, 1.0)  # bounds at which an interval is cut


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
    return np.where(degrees > 0, stdtrit(np.where(degrees > 0, degrees, 1.0), 0.5 + level / 2), np.nan)


def mean_intervals(
    estimate: np.ndarray, std_error: np.ndarray, df: np.ndarray, *, bounds: tuple[float, float] = ANYWHERE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits ``estimate -+ t std_error``, arrays of one shape, cut at `bounds`."""
    return symmetric_intervals(estimate, std_error, t_quantile(df), bounds=bounds)


def normal_intervals(
    estimate: np.ndarray, std_error: np.ndarray, *, bounds: tuple[float, float] = ANYWHERE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits ``estimate -+ 1.96 std_error``, for errors whose degrees of freedom are not counted, cut at `bounds`.

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
    >>> low, high = normal_intervals(np.array([0.05]), np.array([0.05]), bounds=OF_A_SHARE)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0], [0.148])
    """
    return symmetric_intervals(estimate, std_error, Z_95, bounds=bounds)


def symmetric_intervals(
    estimate: np.ndarray, std_error: np.ndarray, multiple: np.ndarray | float, *, bounds: tuple[float, float] = ANYWHERE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits ``estimate -+ multiple std_error``, cut at `bounds`."""
    half = multiple * std_error
    return np.clip(estimate - half, *bounds), np.clip(estimate + half, *bounds)


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
