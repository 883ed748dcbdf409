"""What is expected of the changes of a prior's contrasts: variances, slope and sources' weights of a class, at their posterior mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.covariances import invert
from surveysim.baselines.posterior import SMALLEST_VARIANCE
from surveysim.baselines.prior import Expected, Sources
from surveysim.baselines.variance_components import Kernel, row_worth, scaled_covariance, variance_components
from surveysim.tables.cells import Array

WIDEST = 1.0  # standard deviation of the log of the part that changed, where the sample says little of it: for intervals
LEAST_CHANGE = np.log(1e-4)  # a kernel without variance in the prior may have some in the change
SLOPE, SLOPE_SPREAD = np.log(1e-3), 1.5  # log variance of a question's own slope about that of all
APART = 0.5  # prior standard deviation of b: one source of two may well be all that counts
TAIL = 3  # degrees of freedom of the t priors: of the common slope, and of the parts that changed
WORTH = 200.0  # respondents that a cell of the prior counts for where its differences are split among kernels
LOWEST, HIGHEST = -16.0, 2.0
DIFFERENCE = 1e-3  # of log variances, for second derivatives


@dataclass(frozen=True, eq=False)
class ClassChange:
    """What is expected of the changes of a class of contrasts.

    Attributes
    ----------
    covariance, wide : array, shape (rows, backgrounds, backgrounds)
        At the mode of the log variances, and at the means of the variances, which a skewed posterior has above it.
    mean : array, shape (rows, backgrounds)
    weights : array, shape (sources,)
    plausible : float
        Log density of the mode before the sample, less that of the most plausible point.
    worth : float
        What part of a row's information is its own.
    point : array
        Log variances, the slope's departure from 1, the sources' departures.
    """

    covariance: Array
    wide: Array
    mean: Array
    weights: Array
    plausible: float
    worth: float
    point: Array


def split_differences(kernels: Sequence[Kernel], eta: Array, questions: np.ndarray) -> Array:
    """Return the log variance that a prior's own contrasts put on every kernel, mean of the rows; `eta` of shape (rows, backgrounds)."""
    if not len(kernels):
        return np.zeros(0)
    split = variance_components(kernels, eta, np.full(eta.shape, WORTH), questions, SMALLEST_VARIANCE)
    return np.asarray(np.log(np.maximum(split, 1e-12)).mean(0))


class Rows:
    """Rows of contrasts that share the variances of their changes, the common slope, and the weights of several sources."""

    def __init__(self, kernels: Sequence[Array], scores: Array, sizes: Array, eta: Array, *, error: Array, sources: Sources) -> None:
        self.eta, self.error, self.sources = eta, error, sources
        size = eta.shape[1]
        self.kernels = _Kernels([*kernels, np.ones((1, size, size)), eta[:, :, None] * eta[:, None]])
        level = np.divide((scores * sizes).sum(1), sizes.sum(1), out=np.zeros(len(scores)), where=sizes.sum(1) > 0)
        self.worth = row_worth(scores - level[:, None], sizes)  # each question's level is its own: it says nothing of common respondents
        seen = np.flatnonzero((sizes > 0).any(0))
        self.observed = _Observed(
            scores[:, seen],
            sizes[:, seen],
            eta[:, seen],
            error[:, seen[:, None], seen],
            Sources(sources.apart[..., seen], sources.errors[..., seen[:, None], seen], sources.part),
            self.kernels.on(seen),
        )

    def fit(self, expected: Expected, differences: Array, higher: bool, begin: Array | None = None) -> ClassChange:
        """Find variances, slope and weights.

        Parameters
        ----------
        expected : Expected
        differences : array, shape (kernels,)
            Of `split_differences`.
        higher : bool
            Whether these are an ordered question's higher contrasts.
        begin : array, optional
            `ClassChange.point` of a fit to much the same rows, from which to go on.
        """
        from scipy.optimize import minimize

        before = _Before.of(expected, differences, higher)
        loss = lambda point: self._loss(point, before)  # noqa: E731
        least, none = np.maximum(differences + before.less, LEAST_CHANGE), np.zeros(self.sources.number)
        starts = [np.r_[before.centre, before.slope, none]]
        starts += [] if before.fixed else [np.r_[least, expected.level, SLOPE, -1.0, none]]
        bounds = [(LOWEST, HIGHEST)] * len(before.centre) + [before.slopes] + [before.apart] * len(none)
        starts = starts if begin is None else [begin]
        best = min((minimize(loss, each, jac=True, method="L-BFGS-B", bounds=bounds) for each in starts), key=lambda found: found.fun).x
        variances, slope, departures = self._parts(best)
        error = np.zeros_like(self.error) if before.fixed else self.sources.error(departures, self.error)[0]
        expected_variances = variances + 0.5 / self._curvature(best, before)
        weights = self.sources.weights(departures)[0].mean(0) if len(none) else none
        covariance, wide = error + self.kernels.sum(variances), error + self.kernels.sum(expected_variances)
        mean = slope * self.eta + np.einsum("rpb,p->rb", self.sources.apart, departures)
        return ClassChange(covariance, wide, mean, weights, -before.loss(variances, slope, departures)[0], self.worth, best)

    def _curvature(self, point: Array, before: _Before) -> Array:
        """Second derivatives of the loss by each log variance, at least those of their prior at its widest."""
        found = np.zeros(len(before.centre))
        for place in range(len(found)):
            step = np.zeros(len(point))
            step[place] = DIFFERENCE
            found[place] = (self._loss(point + step, before)[1] - self._loss(point - step, before)[1])[place] / (2 * DIFFERENCE)
        return np.maximum(found, 1 / np.maximum(before.width, WIDEST) ** 2)

    def _parts(self, point: Array) -> tuple[Array, float, Array]:
        split = len(self.kernels.alike)
        return point[:split], float(point[split]), point[split + 1 :]

    def _loss(self, point: Array, before: _Before) -> tuple[float, Array]:
        """Negative log posterior of log variances, slope and weights, and its gradient."""
        value, gradient = self.observed.loss(*self._parts(point), errors=not before.fixed)
        known_before, its_gradient = before.loss(*self._parts(point))
        return self.worth * value + known_before, self.worth * gradient + its_gradient


@dataclass(frozen=True, eq=False)
class _Kernels:
    """Kernels of shape (1, backgrounds, backgrounds) where all rows have the same (`alike`), else (rows, backgrounds, backgrounds)."""

    kernels: Sequence[Array]

    @property
    def alike(self) -> list[bool]:
        """Which of them all rows have."""
        return [len(kernel) == 1 for kernel in self.kernels]

    def on(self, seen: np.ndarray) -> _Kernels:
        """Return them between some backgrounds."""
        return _Kernels([kernel[:, seen[:, None], seen] for kernel in self.kernels])

    def sum(self, variances: Array) -> Array:
        """Return their sum with the given log variances, shape (1 or rows, backgrounds, backgrounds)."""
        weighted = [np.exp(each) * kernel for each, kernel in zip(variances, self.kernels, strict=True)]
        common: Array = sum(kernel for kernel, alike in zip(weighted, self.alike, strict=True) if alike)
        return np.asarray(sum((kernel for kernel, alike in zip(weighted, self.alike, strict=True) if not alike), start=common))

    def slopes(self, variances: Array, by_covariance: Array) -> Array:
        """Return derivatives by the log variances of what has these by each row's covariance."""
        common = by_covariance.sum(0, keepdims=True)
        of = ((common if alike else by_covariance, kernel) for kernel, alike in zip(self.kernels, self.alike, strict=True))
        return np.exp(variances) * np.array([np.vdot(by, kernel) for by, kernel in of])


@dataclass(frozen=True, eq=False)
class _Observed:
    """Rows between the backgrounds that somebody was sampled from."""

    scores: Array
    sizes: Array
    eta: Array
    error: Array
    sources: Sources
    kernels: _Kernels

    def loss(self, variances: Array, slope: float, departures: Array, *, errors: bool) -> tuple[float, Array]:
        """Negative log likelihood, and its gradient; without the prior's own `errors` where its differences are not taken."""
        error, by = self.sources.error(departures, self.error)
        matrix = scaled_covariance(errors * error + self.kernels.sum(variances), self.sizes)
        inverse, log_determinant = invert(matrix)
        root = np.sqrt(self.sizes)
        known = root[:, :, None] * inverse * root[:, None]
        left = self.scores - slope * self.eta - np.einsum("rpb,p->rb", self.sources.apart, departures)
        weights = np.einsum("rab,rb->ra", known, left)
        value = 0.5 * float((left * weights).sum() + log_determinant.sum())
        by_covariance = 0.5 * (known - weights[:, :, None] * weights[:, None])
        of_errors = np.einsum("rab,rpab->rp", by_covariance, self.sources.errors) * errors
        apart = np.einsum("rp,rps->s", of_errors, by) - np.einsum("ra,rpa->p", weights, self.sources.apart)
        return value, np.r_[self.kernels.slopes(variances, by_covariance), -float((weights * self.eta).sum()), apart]


@dataclass(frozen=True, eq=False)
class _Before:
    """The prior of log variances (centre and scale), of the slope's departure from 1, and of the sources' departures.

    The first `kernels` log variances, and the slope, have t priors of `TAIL` degrees of freedom: what was expected holds where the sample
    says little against it, and gives way where it says much. `fixed`: the slope is 0 and the sources are not told apart.
    """

    centre: Array
    width: Array
    kernels: int
    typical_slope: float
    less: float
    fixed: bool

    @classmethod
    def of(cls, expected: Expected, differences: Array, higher: bool) -> _Before:
        """What is expected of a class of contrasts whose prior has these log variances on the kernels."""
        less = expected.higher if higher else 0.0
        change = np.maximum(differences + np.log(expected.changed), LEAST_CHANGE)
        centre = np.r_[change + less, expected.level + less, SLOPE + less]
        width = np.r_[np.full(len(change), expected.changed_spread), expected.level_spread, SLOPE_SPREAD]
        return cls(centre, width, len(change), expected.typical_slope, less, expected.ignored)

    @property
    def slope(self) -> float:
        """Departure from 1 where the search begins."""
        return -1.0 if self.fixed else 0.0

    @property
    def slopes(self) -> tuple[float | None, float | None]:
        """Bounds of the slope's departure from 1."""
        return (self.slope, self.slope) if self.fixed else (None, None)

    @property
    def apart(self) -> tuple[float | None, float | None]:
        """Bounds of each source's departure."""
        return (0.0, 0.0) if self.fixed else (None, None)

    def loss(self, variances: Array, slope: float, departures: Array) -> tuple[float, Array]:
        """Return the negative log density, less that at its mode, and its gradient."""
        away, tails = (variances - self.centre) / self.width, np.arange(len(variances)) < self.kernels
        tilt = 0.0 if self.fixed else slope / self.typical_slope
        value = (TAIL + 1) * float(np.log1p(np.r_[away[tails], tilt] ** 2 / TAIL).sum()) + float(away[~tails] @ away[~tails])
        by_slope = (TAIL + 1) * tilt / (TAIL + tilt**2) / self.typical_slope
        by_variance = np.where(tails, (TAIL + 1) * away / (TAIL + away**2), away) / self.width
        return 0.5 * (value + float(departures @ departures) / APART**2), np.r_[by_variance, by_slope, departures / APART**2]
