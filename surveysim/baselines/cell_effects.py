"""What a multilevel regression leaves unexplained in its cells, averaged over all that the sample allows it to be.

A variance that a sample says little about has its likeliest value near 0, so standard errors that take the likeliest value for
the true one are too small where cells are small. Here a further variance of every cell, beside those of the kernels, is
averaged over its posterior.
"""

from __future__ import annotations

import numpy as np

from surveysim.tables.cells import Array

LARGEST_SPREAD = 0.4  # of cells, as a standard deviation where one respondent's answer has 1: far more than surveys show
POINTS = 24


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
    root = np.sqrt(sizes)
    matrix = root[:, :, None] * covariance * root[:, None]
    places = np.arange(matrix.shape[1])
    matrix[:, places, places] += 1.0 + variance * sizes
    lower = np.linalg.cholesky(matrix)
    whitened = np.linalg.solve(lower, (root * scores)[..., None])
    return -float(np.log(np.einsum("raa->ra", lower)).sum() + 0.5 * np.square(whitened).sum())
