"""Weighted sums, means, ratios and quantiles by domain with their design-based variance, on arrays.

A domain's respondents are given as `rows` (positions among the design's respondents) and `domain` (a number from 0 for
each). Respondents in no domain are left out of both, yet stay in the design, so that their PSUs count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surveysim.design.design import Design
from surveysim.design.stages import group_sums, repeated_sums
from surveysim.errors import DesignError, nearest
from surveysim.tables.intervals import t_quantile

_SHIFT = {"hf5": 1 / 2, "hf8": 1 / 3, "hf9": 3 / 8}
RULES = ("math", "school", "hf1", "hf2", "hf4", "hf5", "hf6", "hf7", "hf8", "hf9")


@dataclass(frozen=True, eq=False)
class Members:
    """The respondents that an estimate is made of, each in one domain.

    Attributes
    ----------
    design : Design
    rows : int array, shape ``(members,)``
        Positions among the design's respondents.
    domain : int array, shape ``(members,)``
        Number of each one's domain, from 0.
    n_domains : int
    """

    design: Design
    rows: np.ndarray
    domain: np.ndarray
    n_domains: int

    @property
    def weights(self) -> np.ndarray:
        """The members' weights."""
        return self.design.weights[self.rows]

    @property
    def degrees_of_freedom(self) -> np.ndarray:
        """PSUs less strata with members, shape ``(domains,)``."""
        return self.design.domain_degrees_of_freedom(self.rows, self.domain, self.n_domains)

    def repeated_sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of `values`, shape ``(members, columns)``, under each replicate, shape ``(replicates, domains, columns)``."""
        assert self.design.replicates is not None, "checked by the caller"
        return repeated_sums(values, self.domain, self.n_domains, self.design.replicates.weights, self.rows)

    def repeated_ratios(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        """Return ratios of sums under each replicate, shape ``(replicates, domains, columns)``, in one pass over the weights."""
        sums = self.repeated_sums(np.hstack([numerator, denominator]))
        return _divided(sums[:, :, : numerator.shape[1]], sums[:, :, numerator.shape[1] :])

    def sums(self, values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Return weighted column sums by domain, shape ``(domains, columns)``, of `values`, shape ``(members, columns)``."""
        own = self.weights if weights is None else weights
        return group_sums(own[:, None] * values, self.domain, self.n_domains)

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of members of positive weight and Kish's effective number, by domain."""
        own = self.weights
        total = np.bincount(self.domain, own, minlength=self.n_domains)
        squares = np.bincount(self.domain, own**2, minlength=self.n_domains)
        n_eff = np.divide(total**2, squares, out=np.zeros(self.n_domains), where=squares > 0)
        return np.bincount(self.domain[own > 0], minlength=self.n_domains), n_eff

    def largest_weights(self) -> np.ndarray:
        """Return the largest weight of one member as a share of the domain's weight, shape ``(domains,)``; 0 without weight."""
        own, largest = self.weights, np.zeros(self.n_domains)
        np.maximum.at(largest, self.domain, own)
        total = np.bincount(self.domain, own, minlength=self.n_domains)
        return np.divide(largest, total, out=np.zeros(self.n_domains), where=total > 0)


def everyone(design: Design) -> Members:
    """Return all respondents as one domain."""
    return Members(design, np.arange(len(design)), np.zeros(len(design), dtype=np.int64), 1)


def weighted_totals(members: Members, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted sums and their variances, both shape ``(domains, columns)``, of `values`, shape ``(members, columns)``."""
    estimate = members.sums(values)
    if members.design.replicates is not None:
        return estimate, members.design.replicates.variance(members.repeated_sums(values), estimate)
    return estimate, _linearised(members, members.weights[:, None] * values)


def weighted_ratios(
    members: Members, numerator: np.ndarray, denominator: np.ndarray | None = None, repeated: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return ratios of weighted sums ``R = sum(w y) / sum(w x)`` and their variances, both shape ``(domains, columns)``.

    The linearised value is ``(y - R x) / sum(w x)``. Means and shares are ratios with ``x = 1``.

    Parameters
    ----------
    members : Members
    numerator : array, shape ``(members, columns)``
    denominator : array, shape ``(members, 1)``, optional
        Default 1 for everyone: means.
    repeated : array, shape ``(replicates, domains, columns)``, optional
        The ratios under each replicate weight, where they are known.

    Returns
    -------
    tuple of arrays
        Estimates and variances; missing where the denominator sums to zero, variances also where a replicate's does.
    """
    below = np.ones((len(members.rows), 1)) if denominator is None else denominator

    estimate = _divided(members.sums(numerator), members.sums(below))
    if members.design.replicates is not None:
        found = members.repeated_ratios(numerator, below) if repeated is None else repeated
        return estimate, members.design.replicates.variance(found, estimate)
    under = members.sums(below)
    known = np.where(under != 0, estimate, 0)
    scaled = members.weights[:, None] / np.where(under == 0, 1, under)[members.domain]
    variance = _linearised(members, scaled * (numerator - known[members.domain] * below))
    return estimate, np.where(under != 0, variance, np.nan)


def simple_random_variances(members: Members, values: np.ndarray) -> np.ndarray:
    """Return the variance that the means of `values` would have in a simple random sample of as many members.

    It is the denominator of R's ``deff``. Where all weights are 1 or more they are inverse probabilities and the finite
    population correction ``1 - n / sum(w)`` applies, as in R; weights scaled otherwise, say to a mean of 1, do not tell
    the population's size, and sampling is taken to be with replacement (R's ``deff="replace"``).

    Parameters
    ----------
    members : Members
    values : array, shape ``(members, columns)``

    Returns
    -------
    array, shape ``(domains, columns)``
        Missing where a domain has fewer than two members.
    """
    n = members.counts()[0].astype(float)[:, None]
    total = members.sums(np.ones((len(members.rows), 1)))
    population = np.where(total > 0, total, np.nan)
    mean = members.sums(values) / population
    spread = members.sums(np.square(values - mean[members.domain])) / population
    positive = members.weights[members.weights > 0]
    correction = 1 - n / population if positive.min(initial=np.inf) >= 1 else 1.0
    return np.where(n > 1, spread / np.maximum(n - 1, 1) * correction, np.nan)


def _linearised(members: Members, influence: np.ndarray) -> np.ndarray:
    return members.design.domain_variance(influence, members.rows, members.domain, members.n_domains)


def _divided(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.divide(over, under, out=np.full(over.shape, np.nan), where=under != 0)


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
        raise DesignError(f"rule must be one of {', '.join(RULES)}; got {rule!r}, {nearest(rule, RULES)}")
    if not 0 <= probability <= 1:
        raise DesignError(f"quantiles: a quantile's probability must lie in 0-1; got {probability:g}, and 0.5 is the median")
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
