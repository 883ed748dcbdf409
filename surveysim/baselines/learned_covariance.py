"""Covariances between backgrounds, learned from what many questions have in common."""

from __future__ import annotations

import numpy as np

from surveysim.baselines.kernel_parts import CHUNK
from surveysim.baselines.variance_components import information, scaled_covariance
from surveysim.tables.cells import Array

LEARNING_STEPS = 15


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
            worth = independent_rows(scores - mean, sizes) / len(scores)
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


def independent_rows(residuals: Array, sizes: Array) -> float:
    """Number of independent rows that carry as much information: R^2 over the summed squared correlations of residuals."""
    sampled = (sizes > 0).all(0)
    standard = np.sqrt(sizes[:, sampled]) * residuals[:, sampled]
    length = np.sqrt((standard**2).sum(1))
    standard = standard[length > 0] / length[length > 0, None]
    rows, cells = standard.shape
    if rows < 2 or cells < 3:
        return float(min(len(residuals), 1))
    squared = float(((standard @ standard.T) ** 2).sum()) - rows
    true = max(squared - rows * (rows - 1) / cells, 0.0)  # independent rows correlate by chance: 1 / cells on average
    return rows**2 / (rows + true)
