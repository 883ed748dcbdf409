"""Weighted sums, means, ratios and quantiles by domain with their design-based variance, on arrays.

A domain's respondents are given as `rows` (positions among the design's respondents) and `domain` (a number from 0 for
each). Respondents in no domain are left out of both, yet stay in the design, so that their PSUs count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from surveysim.design.design import Design
from surveysim.design.stages import group_sums


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


def everyone(design: Design) -> Members:
    """Return all respondents as one domain."""
    return Members(design, np.arange(len(design)), np.zeros(len(design), dtype=np.int64), 1)


def weighted_totals(members: Members, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted sums and their variances, both shape ``(domains, columns)``, of `values`, shape ``(members, columns)``."""
    estimate = members.sums(values)
    if members.design.replicates is not None:
        return estimate, _replicated(members, estimate, lambda weights: members.sums(values, weights))
    return estimate, _linearised(members, members.weights[:, None] * values)


def weighted_ratios(members: Members, numerator: np.ndarray, denominator: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return ratios of weighted sums ``R = sum(w y) / sum(w x)`` and their variances, both shape ``(domains, columns)``.

    The linearised value is ``(y - R x) / sum(w x)``. Means and shares are ratios with ``x = 1``.

    Parameters
    ----------
    members : Members
    numerator : array, shape ``(members, columns)``
    denominator : array, shape ``(members, 1)``, optional
        Default 1 for everyone: means.

    Returns
    -------
    tuple of arrays
        Estimates and variances; missing where the denominator sums to zero, variances also where a replicate's does.
    """
    below = np.ones((len(members.rows), 1)) if denominator is None else denominator

    def estimate_under(weights: np.ndarray) -> np.ndarray:
        over, under = members.sums(numerator, weights), members.sums(below, weights)
        return np.divide(over, under, out=np.full(over.shape, np.nan), where=under != 0)

    estimate = estimate_under(members.weights)
    if members.design.replicates is not None:
        return estimate, _replicated(members, estimate, estimate_under)
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


def _replicated(members: Members, estimate: np.ndarray, estimate_under: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    replicates = members.design.replicates
    assert replicates is not None, "checked by the caller"
    repeated = np.stack([estimate_under(weights) for weights in replicates.weights[members.rows].T])
    return replicates.variance(repeated, estimate)
