"""Variances of covariance kernels by marginal likelihood, and learned covariances, for questions that borrow strength from one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.covariances import Factored, factor, invert, subtract_squares, sum_kernels
from surveysim.baselines.kernel_parts import CHUNK, Kernel, Parts, parts_of
from surveysim.tables.cells import Array

LARGEST_SPREAD = 0.4  # of cells, as a standard deviation where one respondent's answer has 1: far more than surveys show
POINTS = 24

START = -4.0  # log variance, on the scale where one respondent's answer has variance 1
LOWEST, HIGHEST = -12.0, 2.0
SHARED_SPREAD = 10.0  # prior standard deviation of the shared log variances: all but flat
QUESTION_SPREAD = 1.0  # ... of a question's departure from them in all its log variances together
KERNEL_SPREAD = 0.5  # ... and in each of them
FEWEST_COMMON = 3  # cells, for a correlation of two rows
LEARNING_STEPS = 15  # of expectation-maximisation, for a learned covariance


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
    return np.asarray(root[:, :, None] * invert(scaled.copy())[0] * root[:, None])


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
    groups = _grouped(kernels, scores, sizes, questions)
    found, group = np.unique(questions, return_inverse=True)
    place = np.searchsorted(found, groups.questions)
    n_groups, n_kernels = len(found), len(kernels)

    def loss(log_variances: Array) -> tuple[float, Array]:
        variances = np.column_stack([np.exp(log_variances)[place], np.full(len(place), intercept_variance)])
        value, slopes = _marginal_loss(groups, variances)
        by_group = np.zeros((n_groups, n_kernels))
        np.add.at(by_group, place, slopes[:, :-1])
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


@dataclass(frozen=True, eq=False)
class _Groups:
    """Rows that share a question and its sizes, so that one matrix serves them all.

    Attributes
    ----------
    parts : Parts
        The kernels, and one of an intercept, between the backgrounds that somebody was sampled from.
    scores : array, shape (groups, blocks, size, rows)
        0 beyond a group's rows.
    sizes : array, shape (groups, backgrounds)
    questions, rows : array of int, shape (groups,)
        Question, and number of rows.
    """

    parts: Parts
    scores: Array
    sizes: Array
    questions: np.ndarray
    rows: np.ndarray


def _grouped(kernels: Sequence[Kernel], scores: Array, sizes: Array, questions: np.ndarray) -> _Groups:
    kept = np.flatnonzero((sizes > 0).any(0))
    kept = kept if len(kept) else np.array([0])
    parts = parts_of([*(kernel[..., kept[:, None], kept] for kernel in kernels), np.ones((len(kept), len(kept)))])
    keys, group = np.unique(np.column_stack([questions, sizes[:, kept]]), axis=0, return_inverse=True)
    rows = np.bincount(group)
    order = np.argsort(group, kind="stable")
    laid = np.zeros((len(keys), len(kept), rows.max()))
    laid[group[order], :, np.arange(len(order)) - np.searchsorted(group[order], group[order])] = scores[order][:, kept]
    return _Groups(parts, parts.laid(laid), keys[:, 1:], keys[:, 0].astype(int), rows)


def _marginal_loss(groups: _Groups, variances: Array) -> tuple[float, Array]:
    """Negative log marginal likelihood summed over rows, and its slopes by log variance; both arrays of shape (groups, kernels)."""
    value, slopes = 0.0, np.empty_like(variances)
    for chunk in groups.parts.chunks(len(variances)):
        questions, rows, own = groups.questions[chunk], groups.rows[chunk], variances[chunk]
        found = factor(groups.parts, own, questions, groups.sizes[chunk])
        right = found.root[..., None] * groups.scores[chunk]
        weights = found.solve(right)
        value += 0.5 * float((right * weights).sum() + rows @ found.log_determinant)
        _slopes(groups.parts, found, weights, rows, questions, slopes[chunk])
        slopes[chunk] *= 0.5 * own
    return value, slopes


def _slopes(parts: Parts, found: Factored, weights: Array, rows: np.ndarray, questions: np.ndarray, out: Array) -> None:
    """Write ``tr((rows W - w w') K_j)``, of the information W and the weighted scores w, into `out`, shape (groups, kernels).

    The inverse in `found` is used up.
    """
    rooted = found.root[..., None] * weights
    blocks = found.diagonal_blocks()
    blocks *= found.root[..., None]
    blocks *= (found.root * rows[:, None, None])[..., None, :]
    subtract_squares(blocks, rooted)
    parts.blocks.contract(blocks, questions, out)
    if parts.rank:
        reached = found.reach.swapaxes(1, 2) @ weights.reshape(len(rows), -1, weights.shape[-1])
        cores = (found.within - found.within @ found.middle @ found.within) * rows[:, None, None]
        parts.cores.contract(cores - reached @ reached.swapaxes(1, 2), questions, out)


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
    logs = _spectral_likelihoods(covariance, scores[..., None], sizes)
    return posterior_mean_variance(logs.sum((0, 2)))


def _spreads() -> Array:
    return LARGEST_SPREAD * np.linspace(0.0, 1.0, POINTS) ** 2  # denser where it matters


def posterior_mean_variance(logs: Array) -> float:
    """Return the posterior mean of a variance from its log likelihoods at the points of `point_likelihoods`, shape (points,)."""
    spreads = _spreads()
    weight = np.exp(logs - logs.max()) * np.gradient(spreads)
    return float((weight * spreads**2).sum() / weight.sum())


def point_likelihoods(parts: Parts, variances: Array, questions: np.ndarray, scores: Array, sizes: Array) -> Array:
    """Return log likelihoods, but for a constant, of a variance of cells beyond a covariance, at `POINTS` standard deviations.

    Parameters
    ----------
    parts : Parts
    variances : array, shape (groups, kernels)
    questions : array of int, shape (groups,)
    scores : array, shape (groups, backgrounds, rows)
    sizes : array, shape (groups, backgrounds)

    Returns
    -------
    array, shape (groups, points, rows)
    """
    if len(parts.places) == 1:
        ones = (slice(row, row + 1) for row in range(len(variances)))
        each = [_spectral_likelihoods(sum_kernels(parts, variances[one], questions[one]).dense(), scores[one], sizes[one]) for one in ones]
        return np.concatenate(each)
    likelihoods = []
    for own, question, observed, size in zip(variances, questions, scores, sizes, strict=True):
        tiled = np.tile(own, (POINTS, 1)), np.full(POINTS, question), np.tile(size, (POINTS, 1))
        found = factor(parts, *tiled, beyond=_spreads() ** 2)
        right = found.root[..., None] * parts.laid(observed[None])
        distance = (right * found.solve(right)).sum((1, 2))
        likelihoods.append(-0.5 * (distance + found.log_determinant[:, None]))
    return np.array(likelihoods)


def _spectral_likelihoods(covariances: Array, scores: Array, sizes: Array) -> Array:
    """`point_likelihoods` of covariances written out: the sampled cells' matrix has the same eigenvectors whatever is added."""
    added = _spreads()[:, None] ** 2
    likelihoods = np.zeros((len(scores), POINTS, scores.shape[-1]))
    for row, (covariance, observed, size) in enumerate(zip(covariances, scores, sizes, strict=True)):
        sampled = np.flatnonzero(size > 0)
        values, vectors = np.linalg.eigh(covariance[np.ix_(sampled, sampled)] + np.diag(1.0 / size[sampled]))
        total = np.maximum(values, 0.0) + added
        likelihoods[row] = -0.5 * ((1.0 / total) @ (vectors.T @ observed[sampled]) ** 2 + np.log(total).sum(1)[:, None])
    return likelihoods


def learned_covariance(prior: Array, scores: Array, sizes: Array, intercept_variance: float = 1.0) -> Array:
    """Return covariances between backgrounds that lean towards the pattern all rows share.

    The pattern is a common covariance S, scaled to each row's variance: the mode under an inverse-Wishart prior centred
    on the mean of the rows' own covariances and worth as many rows as there are sampled backgrounds, found by
    expectation-maximisation. A few strong patterns (its leading eigenvectors) make it a soft form of a low-rank
    regression across questions. Rows answered by the same respondents err together, so they count as the number of rows
    that would carry as much information independently, estimated from the correlation of their residuals.

    Parameters
    ----------
    prior : array, shape (rows, backgrounds, backgrounds)
    scores, sizes : array, shape (rows, backgrounds)
        Observed contrasts and effective sizes.
    intercept_variance : float
        Of a row's mean over backgrounds, beside its covariance.

    Returns
    -------
    array, shape (rows, backgrounds, backgrounds)
    """
    sampled = np.flatnonzero((sizes > 0).any(0))
    scale = np.maximum(np.einsum("raa->ra", prior)[:, sampled].mean(1), 1e-12)
    centre = (prior / scale[:, None, None]).mean(0)
    pattern, worth = centre, None
    for _ in range(LEARNING_STEPS):
        known, weights = _learning_step(pattern[np.ix_(sampled, sampled)], scale, scores[:, sampled], sizes[:, sampled], intercept_variance)
        reach = pattern[:, sampled]
        mean = scale[:, None] * (weights @ reach.T)
        if worth is None:
            worth = row_worth(scores - mean, sizes)
        total = worth * ((mean / scale[:, None]).T @ mean + len(scores) * pattern - reach @ known @ reach.T)
        pattern = (len(sampled) * centre + total) / (len(sampled) + worth * len(scores))
    return scale[:, None, None] * pattern


def _learning_step(pattern: Array, scale: Array, scores: Array, sizes: Array, intercept_variance: float) -> tuple[Array, Array]:
    """Information on a row's effects, times its scale and summed over rows, and that times the scores, shape (rows, backgrounds)."""
    known, weights = np.zeros_like(pattern), np.zeros_like(scores)
    step = max(CHUNK // pattern.size, 1)
    for start in range(0, len(scores), step):
        rows = slice(start, start + step)
        gains = information(scaled_covariance(scale[rows, None, None] * pattern + intercept_variance, sizes[rows]), sizes[rows])
        known += np.einsum("r,rab->ab", scale[rows], gains)
        weights[rows] = (gains @ scores[rows, :, None])[..., 0]
    return known, weights


def row_worth(residuals: Array, sizes: Array) -> float:
    """Return what part of a row's information is its own: independent rows over the rows that have any (`independent_rows`)."""
    return independent_rows(residuals, sizes) / max(int((sizes > 0).any(1).sum()), 1)


def independent_rows(residuals: Array, sizes: Array) -> float:
    """Number of independent rows that carry as much information: R^2 over the summed squared correlations of residuals.

    Two rows are compared over the cells that both have; where these are fewer than `FEWEST_COMMON` the rows are taken as one another's.

    Parameters
    ----------
    residuals, sizes : array, shape (rows, cells)
        A size of 0: the row has no such cell.
    """
    there = (sizes > 0).astype(float)
    standard = np.sqrt(sizes) * np.where(there > 0, residuals, 0.0)
    kept = (standard**2).sum(1) > 0
    there, standard = there[kept], standard[kept]
    rows = len(standard)
    if rows < 2:
        return float(min(len(residuals), 1))
    common, lengths = there @ there.T, standard**2 @ there.T
    apart = ~np.eye(rows, dtype=bool)
    scale = lengths * lengths.T
    squared = np.divide((standard @ standard.T) ** 2, scale, out=np.ones_like(scale), where=scale > 0)
    true = np.where(common < FEWEST_COMMON, 1.0, squared - 1 / np.maximum(common, 1))[apart].sum()  # by chance 1 / cells on average
    return float(rows**2 / (rows + max(true, 0.0)))
