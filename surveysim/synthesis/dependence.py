"""How answers of one respondent go together within a background: correlations of latent scores, shrunk to few factors, and drawn anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.synthesis.latent_scores import Pairs, Scores, correlations
from surveysim.tables.cells import Array
from surveysim.tables.draws import normal_root
from surveysim.tables.schema import PSU, STRATUM

FEWEST_TOGETHER = 50  # respondents who answered both: fewer do not make a correlation
NOISE_DRAWS = 100
SMALLEST_ROOT = 1e-4  # of a correlation matrix of latents
ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class Dependence:
    """Correlations of latent scores within backgrounds.

    Attributes
    ----------
    correlation : array, shape ``(latents, latents)``
        Shrunk, positive definite.
    raw, std_error : array, shape ``(latents, latents)``
        As the sample has them; missing where fewer than 50 respondents answered both.
    factors : int
        Of the low-rank correlation that they were shrunk towards.
    shrinkage : float
        0: as the sample has them; 1: the low-rank correlation alone.
    unestimated : array of bool, shape ``(latents, latents)``
        Pairs that too few answered, which have the low-rank correlation.
    pairs : Pairs
    """

    correlation: Array
    raw: Array
    std_error: Array
    factors: int
    shrinkage: float
    unestimated: npt.NDArray[np.bool_]
    pairs: Pairs

    def root(self) -> Array:
        """Return what makes correlated latents of independent ones, ``(latents, latents)``."""
        return normal_root(self.correlation)

    def drawn(self, units: Units, generator: np.random.Generator) -> Dependence:
        """Return another version that the sample leaves possible: normal errors of a posterior around the shrunk correlations."""
        noise = np.where(_known(self), self.pairs.noise(units.multipliers(generator)), 0.0)
        moved = self.correlation + np.sqrt(1 - self.shrinkage) * np.nan_to_num(noise)
        return Dependence(positive(moved), self.raw, self.std_error, self.factors, self.shrinkage, self.unestimated, self.pairs)


@dataclass(frozen=True, eq=False)
class Units:
    """Which respondents were sampled together: the primary sampling unit of each, and the stratum of each unit."""

    unit: npt.NDArray[np.int64]
    stratum: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: pd.DataFrame, rows: npt.NDArray[np.bool_]) -> Units:
        """Return the units of some respondents of a survey; without PSUs every respondent is one."""
        kept = data.loc[rows]
        strata = kept[STRATUM].astype(str) if STRATUM in kept else pd.Series("", index=kept.index)
        inside = strata + "\n" + kept[PSU].astype(str) if PSU in kept else pd.Series(np.arange(len(kept)), index=kept.index)
        unit, first = pd.factorize(inside)[0], ~inside.duplicated().to_numpy()
        return cls(unit, pd.factorize(strata)[0][first])

    def multipliers(self, generator: np.random.Generator) -> Array:
        """Return a number for each respondent, one for all of a unit, mean 0 in a stratum: the multiplier bootstrap of units."""
        drawn = generator.standard_normal(len(self.stratum))
        size = np.bincount(self.stratum)
        mean = np.bincount(self.stratum, drawn) / size
        several = size[self.stratum] > 1
        scale = np.sqrt(size / np.maximum(size - 1, 1))[self.stratum]
        return np.asarray(np.where(several, (drawn - mean[self.stratum]) * scale, drawn)[self.unit])


def learn_dependence(scores: Scores, weights: Array, units: Units, generator: np.random.Generator) -> Dependence:
    """Learn the correlations of latents within backgrounds, weighted, and shrink them to a low-rank correlation.

    ``R = (1 - a) R_raw + a (L L' + diag)``: the number of factors is that of eigenvalues above what sampling error alone makes of the
    largest one; `a` is the part of the squared distance of raw and low-rank correlations that their sampling variances account for.

    Parameters
    ----------
    scores : Scores
    weights : array, shape ``(respondents,)``
    units : Units
    generator : Generator

    References
    ----------
    Ledoit and Wolf (2004), doi:10.1016/S0047-259X(03)00096-4; Schäfer and Strimmer (2005), doi:10.2202/1544-6115.1175 (shrinkage to a
    structured target). Horn (1965), doi:10.1007/BF02289447 (factors above noise).
    """
    pairs = correlations(scores, weights)
    same = (scores.question[:, None] == scores.question) & ~np.eye(len(scores.question), dtype=bool)
    few = (pairs.n < FEWEST_TOGETHER) | ~np.isfinite(pairs.rho) | ~np.isfinite(pairs.gain)
    raw = np.where(few, np.nan, pairs.rho)
    noise = np.stack([pairs.noise(units.multipliers(generator)) for _ in range(NOISE_DRAWS)])
    usable = ~(few | same | np.eye(len(raw), dtype=bool))
    noise = np.where(usable, np.nan_to_num(noise), 0.0)
    raw[same] = 0.0  # contrasts of one question: nobody tells how they go together
    factors = _factors(np.where(np.isnan(raw), 0.0, raw), noise)
    target = np.where(same, 0.0, factor_correlation(raw, factors))
    variance = noise.var(0)
    shrinkage = _shrinkage(np.where(usable, raw - target, 0.0), variance, usable.sum() / 2, factors)
    mixed = np.where(np.isnan(raw), target, (1 - shrinkage) * np.nan_to_num(raw) + shrinkage * target)
    error = np.where(usable, np.sqrt(variance), np.nan)
    unestimated = few & ~same & ~np.eye(len(raw), dtype=bool)
    return Dependence(positive(mixed), raw, error, factors, shrinkage, unestimated, pairs)


def factor_correlation(correlation: Array, factors: int) -> Array:
    """Return the correlation that so many factors leave, by principal factoring; missing correlations are filled in on the way."""
    loadings = factor_loadings(correlation, factors)
    fitted = loadings @ loadings.T
    np.fill_diagonal(fitted, 1.0)
    return fitted


def factor_loadings(correlation: Array, factors: int) -> Array:
    """Return the loadings of a factor analysis by iterated principal factors, shape ``(variables, factors)``.

    References
    ----------
    Harman (1976), Modern Factor Analysis, chapter 8.
    """
    missing = np.isnan(correlation)
    filled = np.where(missing, 0.0, correlation)
    off = np.abs(filled - np.diag(np.diag(filled)))
    communality = off.max(axis=1, initial=0.0)
    for _ in range(ITERATIONS):
        np.fill_diagonal(filled, communality)
        values, vectors = np.linalg.eigh(filled)
        loadings = vectors[:, -factors:] * np.sqrt(np.clip(values[-factors:], 0.0, None))
        fitted = loadings @ loadings.T
        before, communality = communality, np.clip(np.diag(fitted), 0.0, 0.99)
        filled[missing] = fitted[missing]
        if np.abs(communality - before).max(initial=0.0) < 1e-6:
            break
    size = np.sqrt(np.maximum((loadings**2).sum(1) / 0.99, 1.0))
    return np.asarray(loadings / size[:, None])


def positive(correlation: Array) -> Array:
    """Return the nearest correlation matrix whose eigenvalues are above 0: small ones are raised, and the diagonal is 1 again."""
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    made = (vectors * np.maximum(values, SMALLEST_ROOT)) @ vectors.T
    scale = np.sqrt(np.diag(made))
    return np.asarray(made / scale[:, None] / scale)


def _factors(raw: Array, noise: Array) -> int:
    if len(raw) < 4:
        return 1
    of_noise = np.median(np.linalg.eigvalsh(noise)[:, -1])
    return int(np.clip((np.linalg.eigvalsh(raw) - 1 > of_noise).sum(), 1, (len(raw) - 1) // 2))


def _shrinkage(distance: Array, variance: Array, pairs: float, factors: int) -> float:
    free = pairs - factors * len(distance) + factors * (factors - 1) / 2
    squared = float((distance**2).sum())
    if free <= 0 or not squared:
        return 0.0  # as many loadings as correlations: nothing is told from how well they fit
    return float(np.clip(variance.sum() * free / pairs / squared, 0.0, 1.0))


def _known(dependence: Dependence) -> npt.NDArray[np.bool_]:
    return np.isfinite(dependence.std_error)
