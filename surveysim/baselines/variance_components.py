"""Variances of covariance kernels by marginal likelihood, for many questions that borrow strength from one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surveysim.tables.cells import Array

LARGEST_SPREAD = 0.4  # of cells, as a standard deviation where one respondent's answer has 1: far more than surveys show
POINTS = 24

Kernel = Array  # (backgrounds, backgrounds), or (questions, backgrounds, backgrounds) where it differs by question

START = -4.0  # log variance, on the scale where one respondent's answer has variance 1
LOWEST, HIGHEST = -12.0, 2.0
SHARED_SPREAD = 10.0  # prior standard deviation of the shared log variances: all but flat
QUESTION_SPREAD = 1.0  # ... of a question's departure from them in all its log variances together
KERNEL_SPREAD = 0.5  # ... and in each of them


def kernel_sum(kernels: Sequence[Kernel], components: Array, questions: np.ndarray) -> Array:
    """Return the kernels summed with the given variances, shape (rows, backgrounds, backgrounds).

    Parameters
    ----------
    kernels : sequence of array
    components : array, shape (rows, kernels)
    questions : array of int, shape (rows,)
        Question of each row, for kernels that differ by question.
    """
    total = np.zeros((len(components), *kernels[0].shape[-2:])) if len(kernels) else np.zeros((len(components), 1, 1))
    for place, kernel in enumerate(kernels):
        total += components[:, place, None, None] * (kernel[questions] if kernel.ndim == 3 else kernel)
    return total


def scaled_covariance(covariance: Array, sizes: Array, *, beyond: float = 0.0) -> Array:
    """Return ``root K root + I`` for ``root = diag(sizes)^(1/2)``: the covariance of what is observed, in units of its sampling error.

    Parameters
    ----------
    covariance : array, shape (rows, backgrounds, backgrounds)
        K, positive semidefinite.
    sizes : array, shape (rows, backgrounds)
        Effective sizes; 0: not observed.
    beyond : float
        Variance that every background has besides, on its own.

    Returns
    -------
    array, shape (rows, backgrounds, backgrounds)
        Invertible, also where a size is 0.
    """
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
    """Return the variance of every kernel in every row, shape (rows, kernels).

    Rows are independent Gaussian vectors with covariance ``intercept + sum_j v_j kernel_j + diag(1 / size)``. First one
    set of variances for all rows maximises the marginal likelihood; then each question's log variances depart from it
    by a common part (prior standard deviation `QUESTION_SPREAD`) and one for each kernel (`KERNEL_SPREAD`).

    Parameters
    ----------
    kernels : sequence of array
    scores, sizes : array, shape (rows, backgrounds)
        Observed contrasts, and effective sizes (0: not observed).
    questions : array of int, shape (rows,)
        Rows of one question share their variances.
    intercept_variance : float

    References
    ----------
    Gelman and Little (1997), Survey Methodology 23(2), 127-135. Rasmussen and Williams (2006), Gaussian Processes for
    Machine Learning, equation 5.9.
    """
    from scipy.optimize import minimize

    if not len(kernels):
        return np.zeros((len(scores), 0))
    found, group = np.unique(questions, return_inverse=True)
    n_groups, n_kernels = len(found), len(kernels)

    def loss(log_variances: Array) -> tuple[float, Array]:
        value, slopes = _marginal_loss(kernels, np.exp(log_variances)[group], scores, sizes, questions, intercept_variance)
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


def _marginal_loss(
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
    """Return the posterior mean of the variance that cells have beyond a covariance, the same in all rows.

    Rows are independent Gaussian vectors with covariance ``covariance + variance I + diag(1 / size)``; the prior of the standard
    deviation is uniform up to `LARGEST_SPREAD`.

    Parameters
    ----------
    covariance : array, shape (rows, backgrounds, backgrounds)
    scores, sizes : array, shape (rows, backgrounds)
        Observed contrasts, and effective sizes (0: not observed).

    References
    ----------
    Gelman (2006), Prior distributions for variance parameters in hierarchical models, doi:10.1214/06-BA117A (uniform prior).
    """
    spreads = LARGEST_SPREAD * np.linspace(0.0, 1.0, POINTS) ** 2  # denser where it matters
    logs = np.array([_log_likelihood(covariance, scores, sizes, spread**2) for spread in spreads])
    weight = np.exp(logs - logs.max()) * np.gradient(spreads)
    return float((weight * spreads**2).sum() / weight.sum())


def _log_likelihood(covariance: Array, scores: Array, sizes: Array, variance: float) -> float:
    lower = np.linalg.cholesky(scaled_covariance(covariance, sizes, beyond=variance))
    whitened = np.linalg.solve(lower, (np.sqrt(sizes) * scores)[..., None])
    return -float(np.log(np.einsum("raa->ra", lower)).sum() + 0.5 * np.square(whitened).sum())
