"""Weighted quantiles by R's rules, and Woodruff's intervals for them.

References
----------
Hyndman and Fan (1996), Sample quantiles in statistical packages, doi:10.1080/00031305.1996.10473566.
Woodruff (1952), Confidence intervals for medians and other position measures, doi:10.1080/01621459.1952.10483443.
"""

from __future__ import annotations

import numpy as np

from surveysim.design.estimators import Members, weighted_ratios
from surveysim.errors import DesignError, nearest
from surveysim.tables.intervals import t_quantile

_SHIFT = {"hf5": 1 / 2, "hf8": 1 / 3, "hf9": 3 / 8}
RULES = ("math", "school", "hf1", "hf2", "hf4", "hf5", "hf6", "hf7", "hf8", "hf9")


def weighted_quantile(values: np.ndarray, weights: np.ndarray, probability: float, rule: str = "math") -> float:
    """Return a weighted quantile.

    ``"math"`` (``"hf1"``) is the smallest value whose cumulative weight reaches the probability; ``"school"`` (``"hf2"``)
    averages two values where it is met exactly; the others interpolate, as Hyndman and Fan's types with cumulative
    weights in place of ranks.

    Parameters
    ----------
    values, weights : array, shape ``(respondents,)``
    probability : float
        0-1.
    rule : str
        One of `RULES`; the names of R's ``qrule``.

    Raises
    ------
    DesignError
        If the rule is unknown, the probability is outside 0-1, or no weight is positive.
    """
    if rule not in RULES:
        raise DesignError(f"rule must be one of {', '.join(RULES)}; {nearest(rule, RULES)}")
    if not 0 <= probability <= 1:
        raise DesignError(f"a quantile's probability must lie in 0-1; got {probability}")
    if not (weights > 0).any():
        raise DesignError("a quantile needs respondents of positive weight; there are none")
    order = np.argsort(values[weights > 0], kind="stable")
    ordered, own = values[weights > 0][order], weights[weights > 0][order]
    cumulated = np.cumsum(own)
    if rule in ("math", "hf1", "school", "hf2"):
        return _step(ordered, cumulated, probability, averaged=rule in ("school", "hf2"))
    return float(np.interp(probability, _positions(own, cumulated, rule), ordered))


def _step(ordered: np.ndarray, cumulated: np.ndarray, probability: float, *, averaged: bool) -> float:
    goal = probability * cumulated[-1]
    place = min(int(np.searchsorted(cumulated, goal * (1 - 1e-15))), len(ordered) - 1)
    exact = averaged and abs(cumulated[place] - goal) <= 1.5e-8 * cumulated[-1] and place + 1 < len(ordered)
    return float((ordered[place] + ordered[place + 1]) / 2 if exact else ordered[place])


def _positions(own: np.ndarray, cumulated: np.ndarray, rule: str) -> np.ndarray:
    """Return the probability at which each ordered value stands."""
    if rule == "hf4":
        return cumulated / cumulated[-1]
    if rule == "hf6":
        return cumulated / (cumulated[-1] + own[-1])
    if rule == "hf7":
        return (cumulated - own) / (cumulated[-1] - own[-1]) if len(own) > 1 else np.zeros(1)
    shift = _SHIFT[rule]
    return (cumulated - shift * own) / (cumulated[-1] + (1 - 2 * shift) * own[-1])


def quantile_intervals(
    members: Members, values: np.ndarray, probability: float, rule: str = "math"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each domain's quantile, standard error and 95% limits, by Woodruff's method.

    The interval of the share of values up to the quantile (t, on the natural scale) is carried back to values; the standard
    error is the interval's length over twice the t quantile. A limit outside 0-1 has no value and is missing.

    Parameters
    ----------
    members : Members
    values : array, shape ``(members,)``
    probability : float
        0-1.
    rule : str
        One of `RULES`.

    Returns
    -------
    tuple of arrays, shape ``(domains,)``
        Quantile, std_error, conf_low, conf_high; missing in a domain without respondents.
    """
    weights, t = members.weights, t_quantile(members.degrees_of_freedom)
    found, low, high = (np.full(members.n_domains, np.nan) for _ in range(3))
    inside = [np.flatnonzero((members.domain == place) & (weights > 0)) for place in range(members.n_domains)]
    for place, own in enumerate(inside):
        if len(own):
            found[place] = weighted_quantile(values[own], weights[own], probability, rule)
    share, variance = weighted_ratios(members, (values <= found[members.domain])[:, None].astype(float))
    limits = share[:, 0] + np.array([[-1], [1]]) * t * np.sqrt(variance[:, 0])
    for place, own in enumerate(inside):
        for limit, out in zip(limits[:, place], (low, high), strict=True):
            if 0 <= limit <= 1:
                out[place] = weighted_quantile(values[own], weights[own], limit, rule)
    return found, (high - low) / (2 * t), low, high
