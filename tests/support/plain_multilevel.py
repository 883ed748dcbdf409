"""Multilevel regression written out plainly: every matrix whole, one for every row. Slow, and what the quick form has to equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from surveysim.baselines import multilevel
from surveysim.baselines.posterior import FIRST_STEP, HALVINGS, STEPS, TOLERANCE, contrast_variance
from surveysim.baselines.regressions import log_likelihood, softmax
from surveysim.baselines.variance_components import (
    HIGHEST,
    KERNEL_SPREAD,
    LARGEST_SPREAD,
    LEARNING_STEPS,
    LOWEST,
    POINTS,
    QUESTION_SPREAD,
    SHARED_SPREAD,
    START,
    row_worth,
)
from surveysim.tables.cells import Array, Cells

Kernel = Array
INTERCEPT_VARIANCE = multilevel.INTERCEPT_VARIANCE


def kernel_sum(kernels: Sequence[Kernel], components: Array, questions: np.ndarray) -> Array:
    """Return the kernels summed with the given variances, shape (rows, backgrounds, backgrounds)."""
    total = np.zeros((len(components), *kernels[0].shape[-2:])) if len(kernels) else np.zeros((len(components), 1, 1))
    for place, kernel in enumerate(kernels):
        total += components[:, place, None, None] * (kernel[questions] if kernel.ndim == 3 else kernel)
    return total


def scaled_covariance(covariance: Array, sizes: Array, *, beyond: float = 0.0) -> Array:
    """Return ``root K root + I`` for ``root = diag(sizes)^(1/2)``: the covariance of what is observed, in units of its sampling error."""
    root = np.sqrt(sizes)
    matrix: Array = root[:, :, None] * covariance * root[:, None]
    places = np.arange(matrix.shape[1])
    matrix[:, places, places] += 1.0 + beyond * sizes
    return matrix


def information(scaled: Array, sizes: Array) -> Array:
    """Return ``(K + diag(1 / sizes))^-1``, 0 for cells of size 0, of ``scaled = root K root + I`` (`scaled_covariance`)."""
    root = np.sqrt(sizes)
    return np.asarray(root[:, :, None] * np.linalg.inv(scaled) * root[:, None])


def variance_components(kernels: Sequence[Kernel], scores: Array, sizes: Array, questions: np.ndarray, intercept_variance: float) -> Array:
    """Return the variance of every kernel in every row, shape (rows, kernels)."""
    if not len(kernels):
        return np.zeros((len(scores), 0))
    found, group = np.unique(questions, return_inverse=True)
    n_groups, n_kernels = len(found), len(kernels)

    def loss(log_variances: Array) -> tuple[float, Array]:
        value, slopes = marginal_loss(kernels, np.exp(log_variances)[group], scores, sizes, questions, intercept_variance)
        by_group = np.zeros((n_groups, n_kernels))
        np.add.at(by_group, group, slopes)
        return value, by_group

    def shared_loss(point: Array) -> tuple[float, Array]:
        value, slopes = loss(np.tile(point, (n_groups, 1)))
        away = (point - START) / SHARED_SPREAD
        return value + 0.5 * float(away @ away), slopes.sum(0) + away / SHARED_SPREAD

    bounds = [(LOWEST, HIGHEST)] * n_kernels
    shared = minimize(shared_loss, np.full(n_kernels, START), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x
    if n_groups == 1:
        return np.exp(np.tile(shared, (len(scores), 1)))

    def own_loss(point: Array) -> tuple[float, Array]:
        common, single = point[:n_groups], point[n_groups:].reshape(n_groups, n_kernels)
        value, slopes = loss(np.clip(shared + common[:, None] + single, LOWEST, HIGHEST))
        penalty = 0.5 * ((common / QUESTION_SPREAD) ** 2).sum() + 0.5 * ((single / KERNEL_SPREAD) ** 2).sum()
        gradient = [slopes.sum(1) + common / QUESTION_SPREAD**2, (slopes + single / KERNEL_SPREAD**2).ravel()]
        return value + float(penalty), np.concatenate(gradient)

    start = np.zeros(n_groups * (n_kernels + 1))
    own = minimize(own_loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 40}).x
    logs = np.clip(shared + own[:n_groups, None] + own[n_groups:].reshape(n_groups, n_kernels), LOWEST, HIGHEST)
    return np.exp(logs)[group]


def marginal_loss(
    kernels: Sequence[Kernel], components: Array, scores: Array, sizes: Array, questions: np.ndarray, intercept_variance: float
) -> tuple[float, Array]:
    """Negative log marginal likelihood summed over rows, and its slopes by log variance, shape (rows, kernels)."""
    matrix = scaled_covariance(kernel_sum(kernels, components, questions) + intercept_variance, sizes)
    known = information(matrix, sizes)
    weights = np.einsum("rab,rb->ra", known, scores)
    value = 0.5 * float((scores * weights).sum() + np.linalg.slogdet(matrix)[1].sum())
    slopes = np.empty_like(components)
    for place, kernel in enumerate(kernels):
        own = kernel[questions] if kernel.ndim == 3 else kernel
        trace = (known * own).sum((1, 2))
        fitted = (weights * (own @ weights[:, :, None])[..., 0]).sum(1)
        slopes[:, place] = 0.5 * components[:, place] * (trace - fitted)
    return value, slopes


def unexplained_variance(covariance: Array, scores: Array, sizes: Array) -> float:
    """Return the posterior mean of the variance that cells have beyond a covariance, the same in all rows."""
    spreads = LARGEST_SPREAD * np.linspace(0.0, 1.0, POINTS) ** 2  # denser where it matters
    logs = np.array([_log_likelihood(covariance, scores, sizes, spread**2) for spread in spreads])
    weight = np.exp(logs - logs.max()) * np.gradient(spreads)
    return float((weight * spreads**2).sum() / weight.sum())


def _log_likelihood(covariance: Array, scores: Array, sizes: Array, variance: float) -> float:
    lower = np.linalg.cholesky(scaled_covariance(covariance, sizes, beyond=variance))
    whitened = np.linalg.solve(lower, (np.sqrt(sizes) * scores)[..., None])
    return -float(np.log(np.einsum("raa->ra", lower)).sum() + 0.5 * np.square(whitened).sum())


def learned_covariance(prior: Array, scores: Array, sizes: Array) -> Array:
    """Return covariances between backgrounds that lean towards the pattern all rows share."""
    sampled = (sizes > 0).any(0)
    scale = np.maximum(np.einsum("raa->ra", prior)[:, sampled].mean(1), 1e-12)
    centre = (prior / scale[:, None, None]).mean(0)
    pattern, worth = centre, None
    for _ in range(LEARNING_STEPS):
        rows = scale[:, None, None] * pattern
        gain = _information(rows, sizes)
        smooth = rows @ gain
        mean = np.einsum("rab,rb->ra", smooth, scores)
        spread = mean[:, :, None] * mean[:, None] + rows - smooth @ rows
        if worth is None:
            worth = row_worth(scores - mean, sizes)
        total = worth * (spread / scale[:, None, None]).sum(0)
        pattern = (sampled.sum() * centre + total) / (sampled.sum() + worth * len(scores))
    return scale[:, None, None] * pattern


def _information(covariance: Array, sizes: Array) -> Array:
    """``(covariance + intercept + diag(1 / sizes))^-1`` with 0 for cells of size 0, shape (rows, backgrounds, backgrounds)."""
    return information(scaled_covariance(covariance + INTERCEPT_VARIANCE, sizes), sizes)


def posterior_mode(cells: Cells, contrasts: Array, modelled: np.ndarray, pooled: Array, covariance: Array) -> Array:
    """Shares at the posterior mode."""
    rows = np.nonzero(modelled)
    gain = np.zeros_like(covariance)
    gain[rows] = _information(covariance[rows], cells.n_eff[rows[0]])
    base = np.where(cells.mask, np.log(np.where(cells.mask, pooled, 1.0)), 0.0)[:, None]
    observed = np.einsum("qbk,qkm->qbm", cells.shares, contrasts)
    seen = (cells.n_eff > 0)[..., None]
    prior = covariance + INTERCEPT_VARIANCE

    def at(dual: Array) -> tuple[Array, Array, Array]:
        modes = np.einsum("qmab,qbm->qam", prior, dual)
        shares = softmax(base + np.einsum("qbm,qkm->qbk", modes, contrasts), cells.mask[:, None])
        return modes, shares, log_likelihood(cells.counts, shares) - 0.5 * (dual * modes).sum((1, 2))

    dual = np.zeros_like(observed)  # (covariance)^-1 times the contrasts
    modes, shares, value = at(dual)
    for _ in range(STEPS):
        residual = np.where(seen, observed - np.einsum("qbk,qkm->qbm", shares, contrasts), 0.0)
        towards = np.einsum("qmab,qbm->qam", gain, modes + residual) - dual
        step = np.full(len(dual), FIRST_STEP)
        for _ in range(HALVINGS):
            after = dual + step[:, None, None] * towards
            modes_after, shares_after, value_after = at(after)
            worse = value_after < value - 1e-10
            if not worse.any():
                break
            step = np.where(worse, step / 2, step)
        else:
            after = np.where(worse[:, None, None], dual, after)
            modes_after, shares_after, value_after = at(after)
        progress = value_after - value
        dual, modes, shares, value = after, modes_after, shares_after, value_after
        if progress.max() < TOLERANCE:
            break
    return shares


def posterior_covariance(cells: Cells, contrasts: Array, modelled: np.ndarray, shares: Array, covariance: Array) -> Array:
    """Posterior covariance of every contrast between backgrounds, shape (questions, contrasts, backgrounds, backgrounds)."""
    observed, variance = np.einsum("qbk,qkm->qbm", cells.shares, contrasts), contrast_variance(shares, contrasts)
    prior, posterior = covariance + INTERCEPT_VARIANCE, np.zeros_like(covariance)
    for order in range(modelled.shape[1]):
        rows = np.flatnonzero(modelled[:, order])
        own, sizes = prior[rows, order], cells.n_eff[rows]
        unexplained = unexplained_variance(own, observed[rows, :, order], sizes)
        left = np.eye(own.shape[-1]) - own @ _information(covariance[rows, order], sizes * variance[rows, :, order])
        posterior[rows, order] = left @ own + unexplained * left @ left.swapaxes(-1, -2)
    return posterior


def fit(
    cells: Cells, kernels: Sequence[Kernel], ordered: np.ndarray, pooled: Array, *, tilt_only: np.ndarray, learn: bool
) -> tuple[Array, Array, Array]:
    """Return shares, standard errors, and the posterior covariance of every contrast, as `fit_multilevel` finds them."""
    contrasts = multilevel.option_contrasts(pooled, cells.mask)
    modelled = np.arange(contrasts.shape[2]) < (cells.mask.sum(-1) - 1)[:, None]
    modelled[tilt_only, 1:] = False
    observed = np.einsum("qbk,qkm->qbm", cells.shares, contrasts)
    covariance = np.zeros((*modelled.shape, len(cells.backgrounds), len(cells.backgrounds)))
    for questions, orders in multilevel._classes(modelled, ordered):
        scores, sizes = observed[questions, :, orders], cells.n_eff[questions]
        prior = kernel_sum(kernels, variance_components(kernels, scores, sizes, questions, INTERCEPT_VARIANCE), questions)
        first = bool(ordered[questions].all() and (orders == 0).all())
        covariance[questions, orders] = learned_covariance(prior, scores, sizes) if learn and first else prior
    shares = posterior_mode(cells, contrasts, modelled, pooled, covariance)
    posterior = posterior_covariance(cells, contrasts, modelled, shares, covariance)
    variance = np.clip(np.einsum("qmaa->qam", posterior), 0.0, None)
    return shares, np.sqrt(np.einsum("qbkm,qbm->qbk", multilevel._slopes(shares, contrasts) ** 2, variance)), posterior
