"""Replicate weights: the sample reweighted many times, so that the spread of an estimate over them gives its variance.

References
----------
Wolter (2007), Introduction to Variance Estimation, doi:10.1007/978-0-387-35099-8.
Rao and Wu (1988), Resampling inference with complex survey data, doi:10.1080/01621459.1988.10478591 (bootstrap).
Fay and Train (1995), Aspects of survey and model-based postcensal estimation, ASA Proceedings on Government Statistics, 154-159 (successive
differences). Judkins (1990), Fay's method for variance estimation, Journal of Official Statistics 6, 223-239.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from surveysim.design.stages import Stage
from surveysim.errors import DesignError, first_few, nearest

MADE_METHODS = ("JK1", "JKn", "BRR", "Fay", "bootstrap")
REPLICATE_METHODS = (*MADE_METHODS, "JK2", "SDR", "other")  # the last three are taken from releases alone


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicate weights and how their spread becomes a variance.

    ``variance = scale * sum_r rscales_r (theta_r - centre)^2``; the centre is the mean of the replicates' estimates (as in
    R), or the full sample's estimate with ``mse=True``.

    Attributes
    ----------
    weights : array, shape ``(respondents, replicates)``
        Analysis weights: the sampling weight is in them.
    scale : float
    rscales : array, shape ``(replicates,)``
    method : str
        One of `REPLICATE_METHODS`.
    mse : bool
    """

    weights: np.ndarray
    scale: float
    rscales: np.ndarray
    method: str
    mse: bool = False

    def __post_init__(self) -> None:
        if self.method not in REPLICATE_METHODS:
            raise DesignError(f"replicate method must be one of {', '.join(REPLICATE_METHODS)}; {nearest(self.method, REPLICATE_METHODS)}")
        object.__setattr__(self, "weights", np.ascontiguousarray(self.weights))  # a respondent's replicates beside one another
        bad = np.zeros(0, dtype=bool) if np.isfinite(self.weights.sum()) else ~np.isfinite(self.weights).all(axis=0)
        if self.weights.ndim != 2 or self.weights.shape[1] < 2 or bad.any():
            raise DesignError(
                f"replicate weights must be finite, a column per replicate and at least two; got shape {self.weights.shape}, "
                f"{int(bad.sum())} columns with missing values"
            )
        if self.rscales.shape != (self.weights.shape[1],):
            raise DesignError(f"rscales must be one number per replicate ({self.weights.shape[1]}); got shape {self.rscales.shape}")

    def variance(self, replicates: np.ndarray, estimate: np.ndarray) -> np.ndarray:
        """Return the variance of an estimate, shape of `estimate`, from its replicates, shape ``(replicates, *)``."""
        centre = estimate if self.mse else replicates[self.rscales > 0].mean(axis=0)
        return self.scale * np.tensordot(self.rscales, np.square(replicates - centre), axes=1)

    def covariance(self, replicates: np.ndarray, estimate: np.ndarray) -> np.ndarray:
        """Return the covariance of estimates, shape ``(estimates,)``, from their replicates, shape ``(replicates, estimates)``."""
        centre = estimate if self.mse else replicates[self.rscales > 0].mean(axis=0)
        apart = replicates - centre
        return self.scale * (self.rscales[:, None] * apart).T @ apart

    @cached_property
    def degrees_of_freedom(self) -> int:
        """Rank of the replicate weights, less 1, as in R; some of many respondents may tell that it is full."""
        n, columns = self.weights.shape
        tolerance = 1e-7 * max(self.weights.max(), -self.weights.min())
        some = np.unique(self.weights[:: max(n // (4 * columns), 1)], axis=0)
        if _rank(some, tolerance * max(n, columns)) == columns:
            return columns - 1
        rows = np.unique(self.weights, axis=0)
        return _rank(rows, tolerance * max(rows.shape)) - 1

    def take(self, rows: np.ndarray) -> Replicates:
        """Return the replicate weights of some respondents."""
        return replace(self, weights=self.weights[rows])


def _rank(rows: np.ndarray, tolerance: float) -> int:
    return int(np.linalg.matrix_rank(np.linalg.qr(rows, mode="r"), tol=tolerance))


def replicate_weights(
    weights: np.ndarray, stage: Stage, method: str, *, n_replicates: int = 500, fay: float = 0.3, seed: int = 0, drop_lonely: bool = False
) -> Replicates:
    """Make replicate weights from the first stage of a design.

    Parameters
    ----------
    weights : array, shape ``(respondents,)``
        Sampling weights.
    stage : Stage
        First stage of sampling.
    method : {"JK1", "JKn", "BRR", "Fay", "bootstrap"}
        ``"JK1"`` leaves out a PSU at a time from an unstratified sample, ``"JKn"`` from a stratified one; ``"BRR"`` takes one
        of two PSUs in each stratum; ``"Fay"`` is BRR with half samples weighted ``2 - fay`` and ``fay``; ``"bootstrap"`` draws
        ``n_h - 1`` PSUs of each stratum with replacement (Rao and Wu).
    n_replicates : int
        Of the bootstrap.
    fay : float
        Of Fay's method, 0-1.
    seed : int
        Of the bootstrap.
    drop_lonely : bool
        Let a stratum with a single PSU add nothing.

    Raises
    ------
    DesignError
        If the method is unknown or does not suit the design's strata; the message names them.
    """
    if method not in MADE_METHODS:
        raise DesignError(f"method must be one of {', '.join(MADE_METHODS)}; got {method!r}, {nearest(method, MADE_METHODS)}")
    if stage.lonely and not drop_lonely:
        raise DesignError(
            f"replicate weights need two PSUs a stratum; there is one in {first_few(stage.lonely)}: join strata, or set lonely_psu='remove'"
        )
    finite = bool((stage.fraction > 0).any())
    if finite and method in ("BRR", "Fay", "bootstrap"):
        raise DesignError(f"method={method!r} has no finite population correction; use 'JK1' or 'JKn', or leave fpc out")
    if method == "JK1":
        factors, scale, rscales = _jackknife_1(stage)
    elif method == "JKn":
        factors, scale, rscales = _jackknife_n(stage)
    elif method == "bootstrap":
        factors, scale, rscales = _bootstrap(stage, n_replicates, seed)
    else:
        factors, scale, rscales = _half_samples(stage, fay if method == "Fay" else 0.0)
    return Replicates(weights[:, None] * factors[stage.unit], scale, rscales, method)


def _jackknife_1(stage: Stage) -> tuple[np.ndarray, float, np.ndarray]:
    n_units = len(stage.stratum)
    if len(stage.sampled) > 1:
        raise DesignError(f"method='JK1' is for a sample without strata; this one has {len(stage.sampled)}: use 'JKn'")
    factors = (1 - np.eye(n_units)) * n_units / (n_units - 1)
    return factors, float((1 - stage.fraction[0]) * (n_units - 1) / n_units), np.ones(n_units)


def _jackknife_n(stage: Stage) -> tuple[np.ndarray, float, np.ndarray]:
    left_out = np.flatnonzero(stage.sampled[stage.stratum] > 1)
    n_h = stage.sampled[stage.stratum[left_out]]
    same = stage.stratum[:, None] == stage.stratum[left_out]
    factors = np.where(same, n_h / (n_h - 1), 1.0)
    factors[left_out, np.arange(len(left_out))] = 0
    return factors, 1.0, (1 - stage.fraction[stage.stratum[left_out]]) * (n_h - 1) / n_h


def _half_samples(stage: Stage, fay: float) -> tuple[np.ndarray, float, np.ndarray]:
    if not 0 <= fay < 1:
        raise DesignError(f"fay must lie in 0-1 (1 excluded); got {fay}")
    odd = np.flatnonzero((stage.sampled != 2) & (stage.sampled != 1))
    if len(odd):
        found = [f"stratum number {place} ({stage.sampled[place]:g})" for place in odd]
        raise DesignError(f"BRR and Fay need exactly two PSUs in each stratum; not so in {first_few(found)}; use 'JKn' or 'bootstrap'")
    paired = np.flatnonzero(stage.sampled == 2)
    signs = np.ones((1, 1))
    while len(signs) <= len(paired):  # Sylvester's Hadamard matrices: balanced, with a power of 2 for size
        signs = np.block([[signs, signs], [signs, -signs]])
    column = np.zeros(len(stage.sampled), dtype=int)
    column[paired] = np.arange(1, len(paired) + 1)
    side = np.full(len(stage.stratum), -1.0)
    side[np.unique(stage.stratum, return_index=True)[1]] = 1  # the first unit of each stratum
    half = side[:, None] * signs[:, column[stage.stratum]].T
    factors = np.where(stage.sampled[stage.stratum][:, None] == 2, 1 + (1 - fay) * half, 1.0)
    return factors, 1 / (len(signs) * (1 - fay) ** 2), np.ones(len(signs))


def _bootstrap(stage: Stage, n_replicates: int, seed: int) -> tuple[np.ndarray, float, np.ndarray]:
    if n_replicates < 2:
        raise DesignError(f"n_replicates must be at least 2; got {n_replicates}")
    generator = np.random.default_rng(seed)
    factors = np.ones((len(stage.stratum), n_replicates))
    for stratum, n_h in enumerate(stage.sampled.astype(int)):
        if n_h > 1:
            drawn = generator.multinomial(n_h - 1, np.full(n_h, 1 / n_h), size=n_replicates)
            factors[stage.stratum == stratum] = drawn.T * n_h / (n_h - 1)
    return factors, 1 / (n_replicates - 1), np.ones(n_replicates)
