"""Shares that start from a prior's and are moved by the sample: a level shift, a slope, and departures through the kernels.

A cell's shares are ``start_k * exp(sum_m d_m phi_m(k))``, normalised: start are the prior's shares of the cell and phi_m the option
contrasts of `surveysim.baselines.multilevel`, orthonormal under the prior's mean shares. A question's contrast has over backgrounds

    d ~ N(g eta, S + level 1 1' + slope eta eta' + sum_j v_j kernel_j),

where eta are the prior's own contrasts, centred, S is the covariance of their errors, and 1 + g is the slope of the prior's differences:
0 ignores them, 1 takes them as they are. Of several sources the prior's cells are the weighted geometric mean (`count_for`); what source
p has apart from it, delta_p, enters the mean as b_p delta_p with b_p ~ N(0, `APART`^2). The kernels are those of the estimate without one.
How much opinion has moved is expected in proportion to how much it differs: v_j is centred on a part of what the prior's own differences
put on kernel_j (`Expected`). All are found by their posterior mode, for a question's rows weighted by how many independent ones they are
worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.multilevel import contrast_classes, drawn_shares, share_slopes
from surveysim.baselines.posterior import (
    SMALLEST_VARIANCE,
    OpenContrasts,
    contrast_variance,
    left_out_shares,
    offset_mode,
    posterior_covariance,
)
from surveysim.baselines.prior import Expected, Sources, StartCells, foreseen
from surveysim.baselines.regressions import softmax
from surveysim.baselines.variance_components import Kernel, information, row_worth, scaled_covariance, variance_components
from surveysim.tables.cells import Array, Cells
from surveysim.tables.draws import normal_draws

CHANGED_SPREAD = 1.0  # prior standard deviation of the log of the part that changed, for each kernel
LEAST_CHANGE = np.log(1e-4)  # a kernel without variance in the prior may have some in the change
SLOPE, SLOPE_SPREAD = np.log(1e-3), 1.5  # log variance of a question's own slope about that of all
APART = 0.5  # prior standard deviation of b: one source of two may well be all that counts
TAIL = 3  # degrees of freedom of the t prior of the common slope
WORTH = 200.0  # respondents that a cell of the prior counts for where its differences are split among kernels
LOWEST, HIGHEST = -16.0, 2.0
DIFFERENCE = 1e-3  # of log variances, for second derivatives


@dataclass(frozen=True, eq=False)
class MovedPrior:
    """What `move_prior` found.

    Attributes
    ----------
    shares, std_error : array, shape (questions, backgrounds, options)
    draws : array, shape (draws, questions, backgrounds, options), optional
    slope : array, shape (questions,)
        Of the prior's differences between backgrounds, of its first contrast: 0 ignored, 1 taken as they are; NaN where it has none, as
        of one background.
    level_shift : array, shape (questions,)
        Mean shift of the first contrast over backgrounds, in standard deviations of a respondent's answer.
    explained : array, shape (questions,)
        Share of the first contrast's variance between backgrounds that the prior's differences account for, 0-1.
    covariance : array, shape (questions, contrasts, backgrounds, backgrounds)
        Of the contrasts' errors, in the prior's basis.
    expected : array, shape (questions, backgrounds, options)
        Shares before a question's own answers are looked at: the prior's, with the slope and weights that all questions show.
    left_out : array, shape (questions, backgrounds, options)
        Shares of each sampled background as the others say (`left_out_shares`).
    weights : array, shape (sources,), optional
        Of several sources: what each counts for in the first contrasts of ordered questions, where there are any.
    """

    shares: Array
    std_error: Array
    draws: Array | None
    slope: Array
    level_shift: Array
    explained: Array
    covariance: Array
    expected: Array
    left_out: Array
    weights: Array | None = None


def move_prior(
    cells: Cells,
    kernels: Sequence[Kernel],
    start: StartCells,
    *,
    ordered: np.ndarray,
    expected: Expected | None = None,
    draws: int = 0,
    seed: int = 0,
) -> MovedPrior:
    """Move a prior's cells by a sample.

    Parameters
    ----------
    cells : Cells
        The sample; ``n_eff`` 0 marks a background, or a question, that was not sampled.
    kernels : sequence of array, shape (backgrounds, backgrounds) or (questions, backgrounds, backgrounds)
    start : StartCells
        In the layout of `cells`.
    ordered : array of bool, shape (questions,)
    expected : Expected, optional
        Default `WAVE` for the sources that state errors, `SIMULATOR` for others, and between them for a question that both have.
    draws, seed : int
        From the posterior, to first order as the standard errors are.

    Returns
    -------
    MovedPrior
    """
    fit = _fitted(cells, kernels, start, ordered, expected)
    shares, slopes = fit.shares, fit.slopes
    posterior = posterior_covariance(cells, fit.basis, fit.modelled, shares, fit.found.wide)
    error = np.sqrt(np.einsum("qbkm,qbm->qbk", slopes**2, np.clip(np.einsum("qmaa->qam", posterior), 0.0, None)))
    noise = None if not draws else normal_draws(posterior, draws, np.random.default_rng(seed))
    drawn = None if noise is None else drawn_shares(shares, fit.basis, noise)
    left_out = left_out_shares(cells, fit.basis, fit.modelled, fit.base, fit.found.covariance, reference=start.reference, shares=shares)
    worth, weights = _worth(fit.eta[..., 0], fit.change[..., 0]), fit.found.weights if len(fit.found.weights) else None
    return MovedPrior(shares, error, drawn, *worth, posterior, fit.base, left_out, weights)


def open_changes(cells: Cells, kernels: Sequence[Kernel], start: StartCells, *, ordered: np.ndarray) -> list[OpenContrasts]:
    """Return what is open about every contrast before the sample, given the prior; arguments as of `move_prior`."""
    fit = _fitted(cells, kernels, start, ordered, None)
    worth, slopes = contrast_variance(fit.shares, fit.basis), fit.slopes
    return [OpenContrasts(int(q), fit.found.wide[q, m], worth[q, :, m], slopes[q][..., [m]]) for q, m in np.argwhere(fit.modelled)]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Posterior mode of a prior moved by a sample; arrays are laid out as those of `Cells` and `StartCells`."""

    basis: Array
    modelled: np.ndarray
    eta: Array
    found: _Change
    base: Array
    shares: Array
    change: Array

    @property
    def slopes(self) -> Array:
        """Derivatives of the shares by the contrasts, shape (questions, backgrounds, options, contrasts)."""
        return share_slopes(self.shares, self.basis)


def _fitted(cells: Cells, kernels: Sequence[Kernel], start: StartCells, ordered: np.ndarray, expected: Expected | None) -> _Fit:
    basis, eta = start.contrasts(cells.mask)
    modelled = np.arange(basis.shape[2]) < (cells.mask.sum(-1) - 1)[:, None]
    ahead = foreseen(start) if expected is None else (np.zeros(len(basis), int), [expected])
    rounds = np.array([each.rounds for each in ahead[1]])[ahead[0]]
    shares, moved = around = start.shares, np.zeros_like(eta)
    for done in range(rounds.max()):
        found = _expected_change(cells, kernels, start, modelled, ordered, around=around, ahead=ahead)
        base = softmax(_logs(start.shares, cells.mask) + np.einsum("qbm,qkm->qbk", found.mean, basis), cells.mask[:, None])
        shares, departures = offset_mode(cells, basis, modelled, base, found.covariance)
        moved, again = found.mean + departures, (rounds > done + 1)[:, None, None]
        around = np.where(again, shares, around[0]), np.where(again, moved, around[1])
    return _Fit(basis, modelled, eta, found, base, shares, moved)


def _logs(shares: Array, mask: np.ndarray) -> Array:
    return np.where(mask[:, None], np.log(np.where(mask[:, None], shares, 1.0)), 0.0)


@dataclass(frozen=True, eq=False)
class _Change:
    """What is expected of every contrast's change: mean (questions, backgrounds, contrasts) and covariance; the sources' weights."""

    mean: Array
    covariance: Array
    wide: Array
    weights: Array


def _expected_change(
    cells: Cells,
    kernels: Sequence[Kernel],
    start: StartCells,
    modelled: np.ndarray,
    ordered: np.ndarray,
    *,
    around: tuple[Array, Array],
    ahead: tuple[np.ndarray, list[Expected]],
) -> _Change:
    """Find it from the contrasts' observations, made linear around some shares and the change that they are."""
    shares, moved = around
    basis, eta = start.contrasts(cells.mask)
    spread = contrast_variance(shares, basis)
    away = np.einsum("qbk,qkm->qbm", cells.shares - shares, basis)
    scores = np.where((cells.n_eff > 0)[..., None], moved + away / spread, 0.0)
    sizes, apart = cells.n_eff[..., None] * spread, start.sources(basis)
    covariance, wide, mean = np.zeros_like(start.error), np.zeros_like(start.error), np.zeros_like(scores)
    weights = np.zeros((len(scores), apart.number))
    for higher, questions, orders in contrast_classes(modelled, ordered):
        for place, one in enumerate(ahead[1]):
            own = ahead[0][questions] == place
            if not own.any():
                continue
            alike, of = questions[own], orders[own]
            at = alike, slice(None), of
            rows = _Rows(kernels, alike, scores[at], sizes[at], eta[at], error=start.error[alike, of], sources=apart.rows(alike, of))
            found = rows.fit(one, higher)
            covariance[alike, of], wide[alike, of], mean[at] = found.covariance, found.wide, found.mean
            weights[alike[of == 0]] = found.weights
    return _Change(mean, covariance, wide, weights.mean(0))


@dataclass(frozen=True, eq=False)
class _Class:
    """What is expected of the changes of a class of contrasts.

    `covariance` (rows, backgrounds, backgrounds) at the mode of the log variances, `wide` at the means of the variances, which a
    skewed posterior has above it; `mean` (rows, backgrounds); `weights` of the sources.
    """

    covariance: Array
    wide: Array
    mean: Array
    weights: Array


class _Rows:
    """Rows of contrasts that share the variances of their changes, the common slope, and the weights of several sources."""

    def __init__(
        self, kernels: Sequence[Kernel], questions: np.ndarray, scores: Array, sizes: Array, eta: Array, *, error: Array, sources: Sources
    ) -> None:
        self.scores, self.sizes, self.eta, self.error, self.sources = scores, sizes, eta, error, sources
        own = [kernel[questions] if kernel.ndim == 3 else kernel[None] for kernel in kernels]
        size = eta.shape[1]
        self.kernels = [*own, np.ones((1, size, size)), eta[:, :, None] * eta[:, None]]
        split = variance_components(kernels, eta, np.full(eta.shape, WORTH), questions, SMALLEST_VARIANCE)
        self.differences = np.log(np.maximum(split, 1e-12)).mean(0) if len(kernels) else np.zeros(0)
        level = np.divide((scores * sizes).sum(1), sizes.sum(1), out=np.zeros(len(scores)), where=sizes.sum(1) > 0)
        self.worth = row_worth(scores - level[:, None], sizes)  # each question's level is its own: it says nothing of common respondents

    def fit(self, expected: Expected, higher: bool) -> _Class:
        """Find variances, slope and weights."""
        from scipy.optimize import minimize

        less = expected.higher if higher else 0.0
        change = np.maximum(self.differences + np.log(expected.changed), LEAST_CHANGE)
        before = _Before(
            np.r_[change + less, expected.level + less, SLOPE + less],
            np.r_[np.full(len(change), CHANGED_SPREAD), expected.level_spread, SLOPE_SPREAD],
            expected.typical_slope,
        )
        none = np.zeros(self.sources.number)
        bounds = [(LOWEST, HIGHEST)] * len(before.centre) + [(None, None)] * (1 + len(none))
        loss = lambda point: self._loss(point, before)  # noqa: E731
        ignoring = np.r_[np.maximum(self.differences + less, LEAST_CHANGE), expected.level, SLOPE, -1.0, none]
        found = [minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds) for begin in (np.r_[before.centre, 0.0, none], ignoring)]
        best = min(found, key=lambda each: each.fun).x
        variances, slope, departures = self._parts(best)
        error = self.sources.error(departures, self.error)[0]
        expected_variances = variances + 0.5 / self._curvature(best, before)
        weights = self.sources.weights(departures)[0].mean(0) if len(none) else none
        return _Class(error + self._change(variances), error + self._change(expected_variances), self._mean(slope, departures), weights)

    def _curvature(self, point: Array, before: _Before) -> Array:
        """Second derivatives of the loss by each log variance, at least those of their prior."""
        found = np.zeros(len(self.kernels))
        for place in range(len(found)):
            step = np.zeros(len(point))
            step[place] = DIFFERENCE
            found[place] = (self._loss(point + step, before)[1] - self._loss(point - step, before)[1])[place] / (2 * DIFFERENCE)
        return np.maximum(found, 1 / before.width**2)

    def _parts(self, point: Array) -> tuple[Array, float, Array]:
        split = len(self.kernels)
        return point[:split], float(point[split]), point[split + 1 :]

    def _mean(self, slope: float, departures: Array) -> Array:
        return np.asarray(slope * self.eta + np.einsum("rpb,p->rb", self.sources.apart, departures))

    def _change(self, variances: Array) -> Array:
        total: Array = sum(np.exp(each) * kernel for each, kernel in zip(variances, self.kernels, strict=True))
        return total

    def _loss(self, point: Array, before: _Before) -> tuple[float, Array]:
        """Negative log posterior of log variances, slope and weights, and its gradient."""
        variances, slope, departures = self._parts(point)
        error, by = self.sources.error(departures, self.error)
        matrix = scaled_covariance(error + self._change(variances), self.sizes)
        known = information(matrix, self.sizes)
        left = self.scores - self._mean(slope, departures)
        weights = np.einsum("rab,rb->ra", known, left)
        value = 0.5 * float((left * weights).sum() + np.linalg.slogdet(matrix)[1].sum())
        by_covariance = 0.5 * (known - weights[:, :, None] * weights[:, None])
        slopes = [np.exp(each) * float((by_covariance * kernel).sum()) for each, kernel in zip(variances, self.kernels, strict=True)]
        of_errors = np.einsum("rab,rpab->rp", by_covariance, self.sources.errors)
        apart = np.einsum("rp,rps->s", of_errors, by) - np.einsum("ra,rpa->p", weights, self.sources.apart)
        known_before, its_gradient = before.loss(variances, slope, departures)
        return self.worth * value + known_before, self.worth * np.r_[slopes, -float((weights * self.eta).sum()), apart] + its_gradient


@dataclass(frozen=True, eq=False)
class _Before:
    """The prior of log variances (centre and standard deviation), of the slope's departure from 1, and of the sources' departures."""

    centre: Array
    width: Array
    typical_slope: float

    def loss(self, variances: Array, slope: float, departures: Array) -> tuple[float, Array]:
        """Return the negative log density, and its gradient."""
        away, tilt = (variances - self.centre) / self.width, slope / self.typical_slope
        value = float(away @ away) + (TAIL + 1) * float(np.log1p(tilt**2 / TAIL)) + float(departures @ departures) / APART**2
        by_slope = (TAIL + 1) * tilt / (TAIL + tilt**2) / self.typical_slope
        return 0.5 * value, np.r_[away / self.width, by_slope, departures / APART**2]


def _worth(eta: Array, change: Array) -> tuple[Array, Array, Array]:
    """Slope of the estimate's first contrast on the prior's, its mean shift, and the share of variance explained, a question each."""
    estimate = eta + change
    centred = estimate - estimate.mean(1, keepdims=True)
    own, both, all_of = (eta**2).sum(1), (eta * centred).sum(1), (centred**2).sum(1)
    slope = np.divide(both, own, out=np.full_like(own, np.nan), where=own > 0)
    explained = np.divide(both**2, own * all_of, out=np.zeros_like(own), where=own * all_of > 0)
    return slope, change.mean(1), explained
