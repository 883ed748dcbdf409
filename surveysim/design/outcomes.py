"""`Outcome` of a test, its p value, and p values adjusted for there being several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surveysim.design.design import ROUNDING
from surveysim.errors import DesignError, nearest

ADJUSTMENTS = ("none", "holm", "bh", "bonferroni")


@dataclass(frozen=True)
class Outcome:
    """What a test found; a number that it has not is missing.

    Attributes
    ----------
    statistic, df, df_denominator, p_value : float
        An F statistic has both degrees of freedom; t and chi-square `df` alone.
    estimate, std_error : float
        What was tested to be zero, or how strong the association is.
    """

    statistic: float = np.nan
    df: float = np.nan
    df_denominator: float = np.nan
    p_value: float = np.nan
    estimate: float = np.nan
    std_error: float = np.nan


def t_outcome(estimate: float, std_error: float, df: float, null: float = 0.0) -> Outcome:
    """Return the two-sided t test of an estimate.

    Raises
    ------
    DesignError
        If no degree of freedom is left, or the standard error is zero.
    """
    from scipy.special import stdtr

    _require_freedom(df)
    if not std_error > ROUNDING * abs(estimate - null):
        raise DesignError("the standard error is zero: all answers agree, or each PSU's mean is the same; there is nothing to test")
    statistic = (estimate - null) / std_error
    return Outcome(statistic, df, np.nan, float(2 * stdtr(df, -abs(statistic))), estimate, std_error)


def f_outcome(statistic: float, df: float, df_denominator: float, estimate: float = np.nan) -> Outcome:
    """Return the F test of a statistic.

    Raises
    ------
    DesignError
        If no degree of freedom is left.
    """
    from scipy.special import fdtrc

    _require_freedom(df_denominator)
    return Outcome(statistic, df, df_denominator, float(fdtrc(df, df_denominator, statistic)), estimate)


def chi_square_outcome(statistic: float, df: float, estimate: float = np.nan) -> Outcome:
    """Return the chi-square test of a statistic."""
    from scipy.special import chdtrc

    return Outcome(statistic, df, np.nan, float(chdtrc(df, statistic)), estimate)


def _require_freedom(df: float) -> None:
    if not df > 0:
        raise DesignError(
            f"no degrees of freedom are left ({df:g}): PSUs less strata, less what is tested; join strata, or test fewer levels"
        )


def adjusted_p_values(p_values: np.ndarray, adjust: str) -> np.ndarray:
    """Return p values adjusted for the number of tests; missing ones count as no test.

    ``"holm"`` and ``"bonferroni"`` keep the chance of any false finding at the level; ``"bh"`` the expected share of false findings
    (Benjamini and Hochberg).

    Raises
    ------
    DesignError
        If `adjust` is unknown.

    References
    ----------
    Holm (1979), https://www.jstor.org/stable/4615733. Benjamini and Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.design.outcomes import adjusted_p_values
    >>> adjusted_p_values(np.array([0.01, 0.04, 0.03]), "holm").round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    if adjust not in ADJUSTMENTS:
        raise DesignError(f"adjust must be one of {', '.join(ADJUSTMENTS)}; got {adjust!r}, {nearest(str(adjust), ADJUSTMENTS)}")
    values = np.asarray(p_values, dtype=float)
    made = np.flatnonzero(np.isfinite(values))
    order = made[np.argsort(values[made], kind="stable")]
    ranked, count = values[order], len(order)
    if adjust == "holm":
        ranked = np.maximum.accumulate(ranked * np.arange(count, 0, -1))
    elif adjust == "bh":
        ranked = np.minimum.accumulate((ranked * count / np.arange(1, count + 1))[::-1])[::-1]
    elif adjust == "bonferroni":
        ranked = ranked * count
    out = values.copy()
    out[order] = np.minimum(ranked, 1)
    return out
