"""Shares that start from a prior's and are moved by the sample: a level shift, a slope, and departures through the kernels.

A cell's shares are ``start_k * exp(sum_m d_m phi_m(k))``, normalised: start are the prior's shares of the cell and phi_m the option
contrasts of `surveysim.baselines.multilevel`, orthonormal under the prior's mean shares. A question's contrast has over backgrounds

    d ~ N(g eta, S + level 1 1' + slope eta eta' + sum_j v_j kernel_j),

where eta are the prior's own contrasts, centred, S is the covariance of their errors, and 1 + g is the slope of the prior's differences:
0 ignores them, 1 takes them as they are. The kernels are those of the estimate without a prior. How much opinion has moved is expected
in proportion to how much it differs: v_j is centred on `CHANGED` of what the prior's own differences put on kernel_j. All are found by
their posterior mode, for a question's rows weighted by how many independent ones they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.learned_covariance import independent_rows
from surveysim.baselines.multilevel import option_contrasts
from surveysim.baselines.posterior import OpenContrasts
from surveysim.baselines.regressions import log_likelihood, softmax
from surveysim.baselines.variance_components import Kernel, information, scaled_covariance, variance_components
from surveysim.tables.cells import Array, Cells

CHANGED = 0.1  # part of a kernel's variance in the prior that is expected of its change
CHANGED_SPREAD = 1.0  # prior standard deviation of the log of that part, for each kernel
LEAST_CHANGE = np.log(1e-4)  # a kernel without variance in the prior may have some in the change
LEVEL, LEVEL_SPREAD = np.log(2.5e-3), 0.7  # log variance of a question's level shift: a twentieth of a respondent's standard deviation
SLOPE, SLOPE_SPREAD = np.log(1e-3), 1.5  # log variance of a question's own slope about that of all
TYPICAL_SLOPE, TAIL = 0.07, 3  # scale and degrees of freedom of the t prior of the common slope's departure from 1
HIGHER = np.log(0.1)  # of an ordered question's higher contrasts, less is expected
WORTH = 200.0  # respondents that a cell of the prior counts for where its differences are split among kernels
LOWEST, HIGHEST = -16.0, 2.0
STEPS, HALVINGS, FIRST_STEP, TOLERANCE = 200, 12, 0.8, 1e-9
SMALLEST_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class StartCells:
    """What is known of every cell before the sample.

    Attributes
    ----------
    shares : array, shape (questions, backgrounds, options)
        Positive where there is an option; each cell sums to 1.
    error : array, shape (questions, contrasts, backgrounds, backgrounds)
        Covariance of the contrasts' errors; 0 where none are stated.
    reference : array, shape (questions, options)
        Mean shares, under which the contrasts are orthonormal.
    """

    shares: Array
    error: Array
    reference: Array

    def contrasts(self, mask: np.ndarray) -> tuple[Array, Array]:
        """Return the option contrasts, (questions, options, contrasts), and each cell's, centred: (questions, backgrounds, contrasts)."""
        basis = option_contrasts(np.where(mask, self.reference, 1.0), mask)
        logs = np.where(mask[:, None], np.log(np.where(mask[:, None], self.shares, 1.0)), 0.0)
        weighted = basis * np.where(mask, self.reference, 0.0)[..., None]
        own = np.einsum("qbk,qkm->qbm", logs, weighted)
        return basis, own - own.mean(1, keepdims=True)


@dataclass(frozen=True, eq=False)
class MovedPrior:
    """What `move_prior` found.

    Attributes
    ----------
    shares, std_error : array, shape (questions, backgrounds, options)
    draws : array, shape (draws, questions, backgrounds, options), optional
    slope : array, shape (questions,)
        Of the prior's differences between backgrounds, of its first contrast: 0 ignored, 1 taken as they are.
    level_shift : array, shape (questions,)
        Mean shift of the first contrast over backgrounds, in standard deviations of a respondent's answer.
    explained : array, shape (questions,)
        Share of the first contrast's variance between backgrounds that the prior's differences account for, 0-1.
    """

    shares: Array
    std_error: Array
    draws: Array | None
    slope: Array
    level_shift: Array
    explained: Array


def move_prior(
    cells: Cells, kernels: Sequence[Kernel], start: StartCells, *, ordered: np.ndarray, draws: int = 0, seed: int = 0
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
    draws, seed : int
        From the posterior, to first order as the standard errors are.

    Returns
    -------
    MovedPrior
    """
    fit = _fitted(cells, kernels, start, ordered)
    shares, covariance, slopes = fit.shares, fit.covariance, fit.slopes
    posterior = _posterior_covariance(cells, fit.basis, fit.modelled, shares, covariance)
    error = np.sqrt(np.einsum("qbkm,qbm->qbk", slopes**2, np.clip(np.einsum("qmaa->qam", posterior), 0.0, None)))
    drawn = _draws(shares, slopes, posterior, draws, seed) if draws else None
    return MovedPrior(shares, error, drawn, *_worth(fit.eta[..., 0], fit.change[..., 0]))


def open_changes(cells: Cells, kernels: Sequence[Kernel], start: StartCells, *, ordered: np.ndarray) -> list[OpenContrasts]:
    """Return what is open about every contrast before the sample, given the prior; arguments as of `move_prior`."""
    fit = _fitted(cells, kernels, start, ordered)
    worth, slopes = contrast_variance(fit.shares, fit.basis), fit.slopes
    return [OpenContrasts(int(q), fit.covariance[q, m], worth[q, :, m], slopes[q][..., [m]]) for q, m in np.argwhere(fit.modelled)]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Posterior mode of a prior moved by a sample; arrays are laid out as those of `Cells` and `StartCells`."""

    basis: Array
    modelled: np.ndarray
    eta: Array
    covariance: Array
    shares: Array
    change: Array

    @property
    def slopes(self) -> Array:
        """Derivatives of the shares by the contrasts, shape (questions, backgrounds, options, contrasts)."""
        middle = np.einsum("qbk,qkm->qbm", self.shares, self.basis)
        return np.asarray(self.shares[..., None] * (self.basis[:, None] - middle[:, :, None]))


def _fitted(cells: Cells, kernels: Sequence[Kernel], start: StartCells, ordered: np.ndarray) -> _Fit:
    basis, eta = start.contrasts(cells.mask)
    modelled = np.arange(basis.shape[2]) < (cells.mask.sum(-1) - 1)[:, None]
    spread = contrast_variance(start.shares, basis)
    seen = (cells.n_eff > 0)[..., None]
    away = np.einsum("qbk,qkm->qbm", cells.shares - start.shares, basis)
    scores, sizes = np.where(seen, away / spread, 0.0), cells.n_eff[..., None] * spread
    covariance, mean = np.zeros_like(start.error), np.zeros_like(scores)
    for higher, questions, orders in change_classes(modelled, ordered):
        rows = _Rows(kernels, questions, scores[questions, :, orders], sizes[questions, :, orders], eta[questions, :, orders])
        found = rows.fit(start.error[questions, orders], HIGHER if higher else 0.0)
        covariance[questions, orders], mean[questions, :, orders] = found
    base = start.shares * np.exp(np.einsum("qbm,qkm->qbk", mean, basis))
    base = np.where(cells.mask[:, None], base, 0.0) / np.where(cells.mask[:, None], base, 0.0).sum(-1, keepdims=True)
    shares, departures = offset_mode(cells, basis, modelled, base, covariance)
    return _Fit(basis, modelled, eta, covariance, shares, mean + departures)


def change_classes(modelled: np.ndarray, ordered: np.ndarray) -> list[tuple[bool, np.ndarray, np.ndarray]]:
    """Rows (question, contrast) that share the prior of their changes, and whether they are an ordered question's higher contrasts."""
    first = np.arange(modelled.shape[1]) == 0
    groups = [modelled & ordered[:, None] & first, modelled & ordered[:, None] & ~first, modelled & ~ordered[:, None]]
    return [(place == 1, rows[0], rows[1]) for place, rows in enumerate(map(np.nonzero, groups)) if len(rows[0])]


def contrast_variance(shares: Array, basis: Array) -> Array:
    """Return the variance of one respondent's contrasts at the shares of a cell, shape (questions, backgrounds, contrasts)."""
    mean = np.einsum("qbk,qkm->qbm", shares, basis)
    return np.maximum(np.einsum("qbk,qkm->qbm", shares, basis**2) - mean**2, SMALLEST_VARIANCE)


class _Rows:
    """Rows of contrasts that share the variances of their changes, and the common slope."""

    def __init__(self, kernels: Sequence[Kernel], questions: np.ndarray, scores: Array, sizes: Array, eta: Array) -> None:
        self.scores, self.sizes, self.eta = scores, sizes, eta
        own = [kernel[questions] if kernel.ndim == 3 else kernel[None] for kernel in kernels]
        size = eta.shape[1]
        self.kernels = [*own, np.ones((1, size, size)), eta[:, :, None] * eta[:, None]]
        split = variance_components(kernels, eta, np.full(eta.shape, WORTH), questions, SMALLEST_VARIANCE)
        self.differences = np.log(np.maximum(split, 1e-12)).mean(0) if len(kernels) else np.zeros(0)
        self.worth = independent_rows(scores, sizes) / len(scores)

    def fit(self, error: Array, less: float) -> tuple[Array, Array]:
        """Return covariance (rows, backgrounds, backgrounds) and mean (rows, backgrounds) of the changes."""
        from scipy.optimize import minimize

        change = np.maximum(self.differences + np.log(CHANGED), LEAST_CHANGE)
        centre = np.r_[change + less, LEVEL + less, SLOPE + less]
        width = np.r_[np.full(len(change), CHANGED_SPREAD), LEVEL_SPREAD, SLOPE_SPREAD]
        bounds = [(LOWEST, HIGHEST)] * len(centre) + [(None, None)]
        loss = lambda point: self._loss(point, error, centre, width)  # noqa: E731
        ignoring = np.r_[np.maximum(self.differences + less, LEAST_CHANGE), LEVEL, SLOPE, -1.0]
        found = [minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds) for begin in (np.r_[centre, 0.0], ignoring)]
        best = min(found, key=lambda each: each.fun).x
        return error + self._change(best), best[-1] * self.eta

    def _change(self, point: Array) -> Array:
        total: Array = sum(np.exp(each) * kernel for each, kernel in zip(point, self.kernels, strict=False))  # the last is the slope
        return total

    def _loss(self, point: Array, error: Array, centre: Array, width: Array) -> tuple[float, Array]:
        """Negative log posterior of log variances and slope, and its gradient."""
        matrix = scaled_covariance(error + self._change(point), self.sizes)
        known = information(matrix, self.sizes)
        left = self.scores - point[-1] * self.eta
        weights = np.einsum("rab,rb->ra", known, left)
        value = 0.5 * float((left * weights).sum() + np.linalg.slogdet(matrix)[1].sum())
        by_covariance = 0.5 * (known - weights[:, :, None] * weights[:, None])
        slopes = [np.exp(each) * float((by_covariance * kernel).sum()) for each, kernel in zip(point, self.kernels, strict=False)]
        gradient = self.worth * np.r_[slopes, -float((weights * self.eta).sum())]
        away, tilt = (point[:-1] - centre) / width, point[-1] / TYPICAL_SLOPE
        gradient += np.r_[away / width, (TAIL + 1) * tilt / (TAIL + tilt**2) / TYPICAL_SLOPE]
        return self.worth * value + 0.5 * float(away @ away) + 0.5 * (TAIL + 1) * float(np.log1p(tilt**2 / TAIL)), gradient


def offset_mode(cells: Cells, basis: Array, modelled: np.ndarray, base: Array, covariance: Array) -> tuple[Array, Array]:
    """Return the shares at the posterior mode, and the contrasts of their departure from `base`, by damped Fisher scoring."""
    spread = contrast_variance(base, basis)
    sizes = (cells.n_eff[..., None] * spread).swapaxes(1, 2)
    rows = np.nonzero(modelled)
    gain = np.zeros_like(covariance)
    gain[rows] = information(scaled_covariance(covariance[rows], sizes[rows]), sizes[rows])
    logs = np.where(cells.mask[:, None], np.log(np.where(cells.mask[:, None], base, 1.0)), 0.0)
    observed = np.einsum("qbk,qkm->qbm", cells.shares, basis)
    seen = (cells.n_eff > 0)[..., None]

    def at(dual: Array) -> tuple[Array, Array, Array]:
        modes = np.einsum("qmab,qbm->qam", covariance, dual)
        shares = softmax(logs + np.einsum("qbm,qkm->qbk", modes, basis), cells.mask[:, None])
        return modes, shares, log_likelihood(cells.counts, shares) - 0.5 * (dual * modes).sum((1, 2))

    dual = np.zeros_like(observed)  # (covariance)^-1 times the contrasts
    modes, shares, value = at(dual)
    for _ in range(STEPS):
        residual = np.where(seen, observed - np.einsum("qbk,qkm->qbm", shares, basis), 0.0) / spread
        towards = np.einsum("qmab,qbm->qam", gain, modes + residual) - dual
        dual, (modes, shares, after) = _halved(dual, towards, value, at)
        progress, value = after - value, after
        if progress.max() < TOLERANCE:
            break
    return shares, modes


def _halved(dual: Array, towards: Array, value: Array, at: object) -> tuple[Array, tuple[Array, Array, Array]]:
    """Go towards a point, each question half as far until its posterior does not fall; stay where it always does."""
    step = np.full(len(dual), FIRST_STEP)
    for _ in range(HALVINGS):
        after = dual + step[:, None, None] * towards
        found = at(after)  # type: ignore[operator]
        worse = found[2] < value - 1e-10
        if not worse.any():
            return after, found
        step = np.where(worse, step / 2, step)
    after = np.where(worse[:, None, None], dual, after)
    return after, at(after)  # type: ignore[operator]


def _posterior_covariance(cells: Cells, basis: Array, modelled: np.ndarray, shares: Array, covariance: Array) -> Array:
    """Posterior covariance of every contrast between backgrounds, shape (questions, contrasts, backgrounds, backgrounds)."""
    sizes = (cells.n_eff[..., None] * contrast_variance(shares, basis)).swapaxes(1, 2)
    posterior, rows = np.zeros_like(covariance), np.nonzero(modelled)
    own = covariance[rows]
    posterior[rows] = own - own @ information(scaled_covariance(own, sizes[rows]), sizes[rows]) @ own
    return posterior


def _draws(shares: Array, slopes: Array, posterior: Array, draws: int, seed: int) -> Array:
    from surveysim.tables.draws import normal_draws

    noise = normal_draws(posterior, draws, np.random.default_rng(seed))
    drawn = np.clip(np.stack([shares + np.einsum("qbkm,qmb->qbk", slopes, each) for each in noise]), 0.0, None)
    return np.asarray(drawn / drawn.sum(-1, keepdims=True))


def _worth(eta: Array, change: Array) -> tuple[Array, Array, Array]:
    """Slope of the estimate's first contrast on the prior's, its mean shift, and the share of variance explained, a question each."""
    estimate = eta + change
    centred = estimate - estimate.mean(1, keepdims=True)
    own, both, all_of = (eta**2).sum(1), (eta * centred).sum(1), (centred**2).sum(1)
    slope = np.divide(both, own, out=np.zeros_like(own), where=own > 0)
    explained = np.divide(both**2, own * all_of, out=np.zeros_like(own), where=own * all_of > 0)
    return slope, change.mean(1), explained
