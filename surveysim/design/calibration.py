"""Weights that meet known totals, and what the known totals take out of the variance.

A calibration replaces base weights ``d`` by ``w = d g`` so that the weighted sums of some margins ``x`` equal their population totals. The
estimate then varies only by what the margins do not explain: its linearised value is replaced by the residual of a
regression on the margins weighted by the base weights.

References
----------
Deville and Sarndal (1992), Calibration estimators in survey sampling, doi:10.1080/01621459.1992.10475217.
Deming and Stephan (1940), doi:10.1214/aoms/1177731829 (raking).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from surveysim.design.stages import repeated_sums
from surveysim.errors import DesignError, first_few, nearest

Factor = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # u -> g(u) and its derivative
METHODS = ("linear", "raking", "logit")
TOLERANCE = 1e-10  # largest miss of a total, relative to the largest total
RAKING_TOLERANCE = 1e-11  # the same, relative to the population
MAX_ITERATIONS = 1000
ROUNDS = 10  # of taking margins out in turn: R's survey 4.1, svyrecvar
RESIDUALS = ("regression", "in_turn")


@dataclass(frozen=True, eq=False)
class Calibration:
    """One adjustment of weights to known totals.

    Attributes
    ----------
    margins : array, shape ``(respondents, margins)``
        The calibration variables: dummies of categories, numeric variables.
    base_weights, weights : array, shape ``(respondents,)``
        Weights before and after.
    """

    margins: np.ndarray
    base_weights: np.ndarray
    weights: np.ndarray

    @cached_property
    def regression(self) -> tuple[np.ndarray, np.ndarray]:
        """Arrays ``(u, v)``, both shape ``(respondents, rank)``: an influence value ``z`` becomes ``z - u @ (v.T @ z)``."""
        norms = np.sqrt(self.base_weights @ np.square(self.margins))
        scaled = self.margins / np.where(norms > 0, norms, 1)
        roots, vectors = np.linalg.eigh(scaled.T @ (self.base_weights[:, None] * scaled))
        kept = roots > 1e-11 * roots.max()  # margins that all add up to the population are linearly dependent
        basis = scaled @ (vectors[:, kept] / np.sqrt(roots[kept]))  # orthonormal under the base weights
        ratio = np.divide(self.base_weights, self.weights, out=np.zeros_like(self.weights), where=self.weights != 0)
        return self.weights[:, None] * basis, ratio[:, None] * basis

    def take(self, rows: np.ndarray) -> Calibration:
        """Return the calibration of some respondents."""
        return replace(self, margins=self.margins[rows], base_weights=self.base_weights[rows], weights=self.weights[rows])


@dataclass(frozen=True, eq=False)
class TurnByTurn(Calibration):
    """Raking whose margins are taken out of an influence value in turn, as R's `rake` does: means within a margin's groups, ten times.

    Attributes
    ----------
    groups : array, shape ``(respondents, margins)``
        Group of each respondent in each margin, as columns of `margins`.
    """

    groups: np.ndarray

    @cached_property
    def regression(self) -> tuple[np.ndarray, np.ndarray]:
        """As of `Calibration`: what ten rounds take out is a linear function of the groups' means."""
        held = self.weights != 0
        dummies = self.margins * held[:, None]
        sizes = np.maximum(dummies.sum(axis=0), 1)
        means = dummies.T @ dummies / sizes[:, None]  # of each column within each group
        taken = np.zeros_like(means)  # coefficients of the columns, by the groups' means of the influence value
        for _ in range(ROUNDS):
            for columns in map(np.unique, self.groups.T):
                taken[columns] += np.eye(len(means))[columns] - means[columns] @ taken
        inverse = np.divide(1, self.weights, out=np.zeros_like(self.weights), where=held)
        return self.weights[:, None] * (dummies @ taken), inverse[:, None] * dummies / sizes

    def take(self, rows: np.ndarray) -> TurnByTurn:
        """Return the raking of some respondents."""
        return replace(
            self, margins=self.margins[rows], base_weights=self.base_weights[rows], weights=self.weights[rows], groups=self.groups[rows]
        )


def raked_weights(weights: np.ndarray, groups: Sequence[np.ndarray], totals: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Return weights whose sums over every group of every margin equal the totals, by iterative proportional fitting.

    Parameters
    ----------
    weights : array, shape ``(respondents,)``, or ``(respondents, replicates)`` to rake every column
    groups : sequence of int arrays, shape ``(respondents,)``
        Group of each respondent, a margin each.
    totals : sequence of arrays, shape ``(groups,)``
    names : sequence of str
        Names of the margins, for messages.

    Raises
    ------
    DesignError
        If the iteration does not converge: the margins contradict one another for this sample.
    """
    sizes, columns = tuple(len(total) for total in totals), weights.reshape(len(weights), -1)
    count = columns.shape[1]
    labels = [""] if weights.ndim == 1 else [f"replicate {place} of {count}: " for place in range(1, count + 1)]
    if np.prod(sizes, dtype=float) > len(weights):
        one_by_one = zip(columns.T, labels, strict=True)
        of_each = [_raking_factors(column[None], groups, totals, names, [label]) for column, label in one_by_one]
        return (columns * np.concatenate(of_each).T).reshape(weights.shape)
    cell, n_cells = np.ravel_multi_index(tuple(groups), sizes), int(np.prod(sizes))  # all respondents of a cell get one factor
    if weights.ndim == 1:
        of_cells = np.bincount(cell, weights, minlength=n_cells)[None]
    else:
        of_cells = repeated_sums(np.ones((len(weights), 1)), cell, n_cells, weights)[:, :, 0]
    factors = _raking_factors(of_cells, np.unravel_index(np.arange(n_cells), sizes), totals, names, labels)
    raked = np.take(np.ascontiguousarray(factors.T), cell, axis=0)
    raked *= columns
    return raked.reshape(weights.shape)


def _raking_factors(
    weights: np.ndarray, groups: Sequence[np.ndarray], totals: Sequence[np.ndarray], names: Sequence[str], labels: Sequence[str]
) -> np.ndarray:
    """Return the factors of weights, both of shape ``(replicates, cells)``; one that meets its totals is left as it is."""
    factor, adjusted, done = np.ones(weights.shape), weights.astype(float), np.zeros((len(weights), 1), dtype=bool)
    margins = list(zip(groups, totals, strict=True))
    for _ in range(MAX_ITERATIONS):
        for group, total in margins:
            step = np.where(done, 1.0, _ratio(total, _sums(adjusted, group, len(total))))[:, group]
            adjusted = adjusted * step
            with np.errstate(over="ignore"):  # where it does not converge
                factor = factor * step
        missed = [np.abs(_sums(adjusted, group, len(total)) - total).max(axis=1) / total.sum() for group, total in margins]
        done = (np.max(missed, axis=0) < RAKING_TOLERANCE)[:, None]
        if done.all():
            return factor
    place = int(np.argmin(done))
    misses = [float(miss[place]) for miss in missed]
    worst = [f"{name} (off by {miss:.2g} of the population)" for name, miss in zip(names, misses, strict=True) if miss >= RAKING_TOLERANCE]
    raise DesignError(
        f"{labels[place]}raking did not converge in {MAX_ITERATIONS} rounds: {first_few(worst)}; the margins contradict one another for "
        "this sample (an empty combination of levels forces it): join small levels or drop a margin"
    )


def _sums(weights: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the sums of weights, shape ``(replicates, cells)``, by group of cells."""
    place = np.arange(len(weights))[:, None] * n_groups + group
    return np.bincount(place.ravel(), weights.ravel(), minlength=len(weights) * n_groups).reshape(-1, n_groups)


def calibrated_weights(
    weights: np.ndarray,
    margins: np.ndarray,
    totals: np.ndarray,
    *,
    method: str = "linear",
    bounds: tuple[float, float] | None = None,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Return weights ``d g(x lambda)`` whose sums of the margins equal the totals.

    ``g`` is ``1 + u`` (linear: the regression estimator), ``exp(u)`` (raking) or the logistic function between `bounds`
    (logit); ``lambda`` is found by Newton's method.

    Parameters
    ----------
    weights : array, shape ``(respondents,)``
    margins : array, shape ``(respondents, margins)``
    totals : array, shape ``(margins,)``
    method : {"linear", "raking", "logit"}
    bounds : (low, high), optional
        Limits of ``g``, ``0 <= low < 1 < high``; for ``"logit"``.
    names : sequence of str
        Names of the margins, for messages.

    Raises
    ------
    DesignError
        If the method is unknown, bounds are missing or impossible, or no weights of this form meet the totals.
    """
    factor = _factor(method, bounds)
    norms = np.sqrt(weights @ np.square(margins))
    norms = np.where(norms > 0, norms, 1)
    target = totals / norms
    tolerance = TOLERANCE * max(1.0, float(np.abs(target).max()))
    g, miss = _newton(weights, margins / norms, target, factor, tolerance)
    if np.abs(miss).max() < tolerance:
        return weights * g
    labels = names or [f"margin {place}" for place in range(len(totals))]
    off = [f"{name} (off by {gap * unit:.3g})" for name, gap, unit in zip(labels, miss, norms, strict=True) if abs(gap) >= tolerance]
    raise DesignError(
        f"calibration ({method}) did not converge: no weights of this form meet {first_few(off)}; "
        "widen bounds=, join levels, or drop a margin"
    )


def _newton(
    weights: np.ndarray, margins: np.ndarray, target: np.ndarray, factor: Factor, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return g and what is still missed of the target, by as many steps as bring it nearer."""
    solution = np.zeros(margins.shape[1])
    g, slope = factor(margins @ solution)
    miss = target - margins.T @ (weights * g)
    for _ in range(100):
        if np.abs(miss).max() < tolerance:
            break
        step = np.linalg.pinv(margins.T @ ((weights * slope)[:, None] * margins), rcond=1e-11, hermitian=True) @ miss
        for halving in range(30):  # Newton's full step may overshoot: take the longest one that comes nearer
            trial = solution + step / 2**halving
            tried = factor(margins @ trial)
            missed = target - margins.T @ (weights * tried[0])
            if np.isfinite(missed).all() and np.abs(missed).max() < np.abs(miss).max():
                break
        else:
            break
        solution, miss, (g, slope) = trial, missed, tried
    return g, miss


def _factor(method: str, bounds: tuple[float, float] | None) -> Factor:
    """Return the function u -> (g, derivative of g)."""
    if method not in METHODS:
        raise DesignError(f"method must be one of {', '.join(METHODS)}; got {method!r}, {nearest(method, METHODS)}")
    if method != "logit":
        if bounds is not None:
            raise DesignError(f"bounds are for method='logit'; method={method!r} has none")
        return _linear if method == "linear" else _exponential
    if bounds is None or not 0 <= bounds[0] < 1 < bounds[1] < np.inf:
        raise DesignError(f"method='logit' needs bounds=(low, high) with 0 <= low < 1 < high < inf; got {bounds}")
    low, high = bounds
    rate = (high - low) / ((1 - low) * (high - 1))

    def logistic(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        growth = np.exp(np.clip(rate * u, -700, 700))
        weight = (1 - low) * growth / (high - 1 + (1 - low) * growth)
        return low + (high - low) * weight, (high - low) * rate * weight * (1 - weight)

    return logistic


def _linear(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 1 + u, np.ones_like(u)


def _exponential(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    growth = np.exp(np.clip(u, -700, 700))
    return growth, growth


def _ratio(total: np.ndarray, current: np.ndarray) -> np.ndarray:
    return np.divide(total, current, out=np.ones_like(current), where=current > 0)
