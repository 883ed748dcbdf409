"""The area-level model of Fay and Herriot: noisy direct estimates and a regression, combined area by area.

``y_i = x_i'b + v_i + e_i`` with ``var(v_i) = A s_i`` (the model variance, with known multipliers s) and ``var(e_i) = d_i``
(the sampling variance, known). The best predictor weights the direct estimate by ``A s_i / (A s_i + d_i)``.

References
----------
Fay and Herriot (1979), doi:10.2307/2286322. Prasad and Rao (1990), doi:10.1080/01621459.1990.10475320. Datta and Lahiri
(2000), A unified measure of uncertainty of estimated best linear unbiased predictors in small area estimation problems,
Statistica Sinica 10, 613-627. Datta, Rao and Smith (2005), doi:10.1093/biomet/92.1.183.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from surveysim.errors import EstimationError, first_few, nearest
from surveysim.tables.cells import Array

Equation = Callable[[float, Array, Array, Array, Array], float]

VARIANCE_METHODS = ("reml", "moments")
LARGEST_RATIO = 1e3  # of the model variance looked for, to the spread of the direct estimates


@dataclass(frozen=True, eq=False)
class AreaFit:
    """A fitted area-level model.

    Attributes
    ----------
    variance : float
        Model variance A; 0 where the direct estimates spread no more than their sampling errors do.
    variance_spread, variance_bias : float
        Asymptotic variance and bias of A's estimate.
    coefficients : array, shape ``(columns,)``
    coefficient_covariance : array, shape ``(columns, columns)``
    synthetic : array, shape ``(areas,)``
        ``x_i'b``.
    shrinkage : array, shape ``(areas,)``
        Weight of the direct estimate, 0-1.
    estimate : array, shape ``(areas,)``
    mse : array, shape ``(areas,)``
        Second-order unbiased estimate of the mean squared error (Prasad and Rao).
    """

    variance: float
    variance_spread: float
    variance_bias: float
    coefficients: Array
    coefficient_covariance: Array
    synthetic: Array
    shrinkage: Array
    estimate: Array
    mse: Array


def fit_area_model(
    direct: Array,
    covariates: Array,
    sampling_variances: Array,
    *,
    multipliers: Array | None = None,
    method: str = "reml",
    variance: float | None = None,
    variance_information: float = 0.0,
) -> AreaFit:
    """Fit the area-level model and predict every area.

    Parameters
    ----------
    direct : array, shape ``(areas,)``
    covariates : array, shape ``(areas, columns)``
        May have no column: then the model says that the expected value is 0.
    sampling_variances : array, shape ``(areas,)``
        Above 0.
    multipliers : array, shape ``(areas,)``, optional
        Of the model variance; default 1.
    method : {"reml", "moments"}
        Restricted maximum likelihood, or Fay and Herriot's moment equation ``sum_i r_i^2 / (A s_i + d_i) = areas - columns``.
    variance : float, optional
        Model variance found elsewhere.
    variance_information : float
        What is known about the variance beside these areas, as Fisher information; it shortens the third term of the MSE.

    Raises
    ------
    EstimationError
        If the method is unknown, a sampling variance is not above 0, or there are no more areas than columns.

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.inference.fay_herriot import fit_area_model
    >>> fit = fit_area_model(np.array([1.0, 2.0, 4.0]), np.ones((3, 1)), np.array([0.5, 0.5, 0.5]))
    >>> round(fit.variance, 4), fit.estimate.round(3).tolist()
    (1.8333, [1.286, 2.071, 3.643])
    """
    if method not in VARIANCE_METHODS:
        raise EstimationError(f"method must be 'reml' or 'moments'; got {method!r}, {nearest(str(method), VARIANCE_METHODS)}")
    scale = np.ones(len(direct)) if multipliers is None else multipliers
    bad = ~(sampling_variances > 0)
    if bad.any():
        raise EstimationError(f"a sampling variance must be above 0; it is not in areas {first_few(np.flatnonzero(bad))}")
    if len(direct) <= covariates.shape[1]:
        raise EstimationError(
            f"{len(direct)} areas cannot carry {covariates.shape[1]} coefficients and a variance; join questions or areas"
        )
    equation = _restricted_score if method == "reml" else _moment_excess
    found = _root(equation, direct, covariates, sampling_variances, scale) if variance is None else variance
    return _predicted(direct, covariates, sampling_variances, scale, variance=found, method=method, information=variance_information)


def restricted_log_likelihood(variance: float, direct: Array, covariates: Array, sampling_variances: Array, multipliers: Array) -> float:
    """Return the restricted log-likelihood of a model variance, without its constant."""
    total = variance * multipliers + sampling_variances
    residual, _, precision = _generalised_least_squares(direct, covariates, total)
    value = np.log(total).sum() + (residual**2 / total).sum()
    if covariates.shape[1]:
        value += np.linalg.slogdet(precision)[1]
    return -0.5 * float(value)


def _generalised_least_squares(direct: Array, covariates: Array, total: Array) -> tuple[Array, Array, Array]:
    """Residuals, coefficients, and ``X'V^-1 X``."""
    weighted = covariates / total[:, None]
    precision = weighted.T @ covariates
    coefficients: Array = np.asarray(np.linalg.solve(precision, weighted.T @ direct)) if covariates.shape[1] else np.zeros(0)
    return direct - covariates @ coefficients, coefficients, precision


def _restricted_score(variance: float, direct: Array, covariates: Array, sampling_variances: Array, scale: Array) -> float:
    total = variance * scale + sampling_variances
    residual, _, precision = _generalised_least_squares(direct, covariates, total)
    twice = covariates * (np.sqrt(scale) / total)[:, None]
    lost = np.trace(np.linalg.solve(precision, twice.T @ twice)) if covariates.shape[1] else 0.0
    return 0.5 * float((scale * residual**2 / total**2).sum() - (scale / total).sum() + lost)


def _moment_excess(variance: float, direct: Array, covariates: Array, sampling_variances: Array, scale: Array) -> float:
    total = variance * scale + sampling_variances
    residual = _generalised_least_squares(direct, covariates, total)[0]
    return float((residual**2 / total).sum()) - (len(direct) - covariates.shape[1])


def _root(equation: Equation, direct: Array, covariates: Array, sampling_variances: Array, scale: Array) -> float:
    """Return the variance at which an equation that falls with it crosses 0; 0 if it starts there or below."""
    from scipy.optimize import brentq

    data = (direct, covariates, sampling_variances, scale)
    if equation(0.0, *data) <= 0:
        return 0.0
    highest = LARGEST_RATIO * float(np.square(direct).max() / scale.min())
    return float(brentq(equation, 0.0, highest, args=data, xtol=1e-15 * highest, rtol=1e-13))


def mean_squared_errors(fit: AreaFit, sampling_variances: Array, multipliers: Array) -> tuple[Array, Array]:
    """Return the MSE of areas under a fitted model, its regression term apart.

    Parameters
    ----------
    fit : AreaFit
    sampling_variances, multipliers : array, any one shape
        An area without a direct estimate has infinite sampling variance.

    Returns
    -------
    tuple of arrays
        ``g1 + 2 g3 - bias``, and what the variance of ``x_i'b`` is to be multiplied by: the squared weight of the synthetic
        estimate.
    """
    total = fit.variance * multipliers + sampling_variances
    kept = np.where(np.isinf(total), 1.0, 1 - fit.variance * multipliers / total)
    slope = multipliers * kept**2  # derivative of the leading term by the variance
    third = multipliers * slope / total * fit.variance_spread
    return fit.variance * multipliers * kept + 2 * third - fit.variance_bias * slope, kept**2


def _predicted(
    direct: Array, covariates: Array, sampling: Array, scale: Array, *, variance: float, method: str, information: float
) -> AreaFit:
    total = variance * scale + sampling
    residual, coefficients, precision = _generalised_least_squares(direct, covariates, total)
    covariance: Array = np.asarray(np.linalg.inv(precision)) if covariates.shape[1] else np.zeros((0, 0))
    shrinkage, synthetic = variance * scale / total, direct - residual
    spread, bias = _variance_of_variance(scale / total, method, information)
    nothing = np.zeros(len(direct))
    fit = AreaFit(variance, spread, bias, coefficients, covariance, synthetic, shrinkage, synthetic + shrinkage * residual, nothing)
    leading, squared = mean_squared_errors(fit, sampling, scale)
    return replace(fit, mse=leading + squared * np.einsum("ij,jk,ik->i", covariates, covariance, covariates))


def _variance_of_variance(ratio: Array, method: str, information: float) -> tuple[float, float]:
    """Asymptotic variance and bias of the estimated model variance; `ratio` is ``s_i / (A s_i + d_i)``."""
    first, squares, areas = float(ratio.sum()), float(np.square(ratio).sum()), len(ratio)
    if method == "reml":
        return 1 / (squares / 2 + information), 0.0
    return 2 * areas / first**2, 2 * (areas * squares - first**2) / first**3
