"""Multilevel regression on contrasts of the answer options: partial pooling with covariance kernels between backgrounds.

A question's shares are ``pooled_k * exp(sum_m c_bm phi_m(k))``, normalised: phi_1 .. phi_(K-1) are polynomials of the
option's position, orthonormal under the pooled shares (phi_1 shifts the mean, phi_2 polarises, ...), so that a cell of n
respondents observes every c_bm with variance close to 1/n, independently. The c_m are Gaussian over backgrounds; their
covariance is a sum of kernels, with weights found by marginal likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from surveysim.baselines.regressions import log_likelihood, softmax
from surveysim.baselines.variance_components import (
    Kernel,
    information,
    kernel_sum,
    scaled_covariance,
    unexplained_variance,
    variance_components,
)
from surveysim.tables.cells import Array, Cells
from surveysim.tables.draws import normal_draws

INTERCEPT_VARIANCE = 1.0  # of a contrast's mean over backgrounds, whose scale is that of one respondent's answer
STEPS, HALVINGS, FIRST_STEP = 200, 12, 0.8
LEARNING_STEPS = 15
TOLERANCE = 1e-9  # gain in log posterior, in nats over all respondents of a question, at which the mode is found


@dataclass(frozen=True, eq=False)
class MultilevelFit:
    """What `fit_multilevel` found.

    Attributes
    ----------
    shares, std_error : array, shape (questions, backgrounds, options)
        Posterior mode, and posterior standard deviation to first order, averaged over what cells have beyond the kernels
        (`surveysim.baselines.variance_components.unexplained_variance`).
    draws : array, shape (draws, questions, backgrounds, options), optional
        Shares drawn from the posterior.
    """

    shares: Array
    std_error: Array
    draws: Array | None = None


def trait_kernels(levels: np.ndarray) -> tuple[list[Array], list[tuple[int, ...]]]:
    """Return the kernels of main effects, two-way interactions and a cell effect, with the traits (columns) each is of.

    Parameters
    ----------
    levels : array of int, shape (backgrounds, traits)

    Returns
    -------
    tuple of (list of array of shape (backgrounds, backgrounds), list of tuple of int)
        1 where two backgrounds share the level (or both levels, or are the same). The cell effect is of all traits; it
        is left out where an interaction already tells the cells apart.
    """
    n_traits = levels.shape[1]
    same = [(levels[:, [j]] == levels[:, j]).astype(float) for j in range(n_traits)]
    kernels = list(same)
    names: list[tuple[int, ...]] = [(j,) for j in range(n_traits)]
    for left, right in combinations(range(n_traits), 2):
        kernels.append(same[left] * same[right])
        names.append((left, right))
    if n_traits > 2:
        kernels.append(np.eye(len(levels)))
        names.append(tuple(range(n_traits)))
    return kernels, names


def option_contrasts(pooled: Array, mask: np.ndarray) -> Array:
    """Return polynomials of the option's position, orthonormal under the pooled shares, shape (questions, options, contrasts).

    Parameters
    ----------
    pooled : array, shape (questions, options)
        Positive where there is an option.
    mask : array of bool, shape (questions, options)

    Returns
    -------
    array
        ``sum_k pooled_k phi_m(k) phi_l(k)`` is 1 if m = l, else 0; ``sum_k pooled_k phi_m(k)`` is 0. Contrasts beyond a
        question's number of options less 1 are 0.
    """
    questions, options = pooled.shape
    contrasts = np.zeros((questions, options, options - 1))
    for q in range(questions):
        size = int(mask[q].sum())
        powers = np.vander(np.linspace(-1.0, 1.0, size), size, increasing=True)
        root = np.sqrt(pooled[q, :size])[:, None]
        orthonormal, upper = np.linalg.qr(root * powers)
        contrasts[q, :size, : size - 1] = (orthonormal * np.sign(np.diag(upper)) / root)[:, 1:]
    return contrasts


def fit_multilevel(
    cells: Cells,
    kernels: Sequence[Kernel],
    *,
    ordered: np.ndarray,
    pooled: Array,
    tilt_only: np.ndarray | None = None,
    learn: bool = False,
    draws: int = 0,
    seed: int = 0,
) -> MultilevelFit:
    """Fit shares of all cells, sampled or not, with the given kernels between backgrounds.

    Parameters
    ----------
    cells : Cells
        ``n_eff`` 0 marks a background that was not sampled.
    kernels : sequence of array, shape (backgrounds, backgrounds) or (questions, backgrounds, backgrounds)
        Positive semidefinite covariances; each gets its own variance in every question and class of contrasts. Classes:
        an ordered question's first contrast; its others; a nominal question's contrasts, all alike.
    ordered : array of bool, shape (questions,)
    pooled : array, shape (questions, options)
        Positive pooled shares.
    tilt_only : array of bool, shape (questions,), optional
        True: the first contrast alone is modelled, so shares are the pooled ones tilted to the mean.
    learn : bool
        Also learn, from the first contrasts of all ordered questions, which backgrounds go together (`learned_covariance`).
    draws : int
        From the posterior, to first order as the standard errors are.
    seed : int
        Of the draws.

    Returns
    -------
    MultilevelFit
    """
    contrasts = option_contrasts(pooled, cells.mask)
    modelled = np.arange(contrasts.shape[2]) < (cells.mask.sum(-1) - 1)[:, None]
    if tilt_only is not None:
        modelled[tilt_only, 1:] = False
    observed = np.einsum("qbk,qkm->qbm", cells.shares, contrasts)
    covariance = np.zeros((*modelled.shape, len(cells.backgrounds), len(cells.backgrounds)))
    for questions, orders in _classes(modelled, ordered):
        scores, sizes = observed[questions, :, orders], cells.n_eff[questions]
        found = variance_components(kernels, scores, sizes, questions, INTERCEPT_VARIANCE)
        prior = kernel_sum(kernels, found, questions)
        first = bool(ordered[questions].all() and (orders == 0).all())
        covariance[questions, orders] = learned_covariance(prior, scores, sizes) if learn and first else prior
    shares = _posterior_mode(cells, contrasts, modelled, pooled, covariance)
    posterior = _posterior_covariance(cells, contrasts, modelled, shares, covariance)
    error = _standard_error(shares, contrasts, posterior)
    drawn = _drawn_shares(shares, contrasts, posterior, draws, seed) if draws else None
    return MultilevelFit(shares, error, drawn)


def learned_covariance(prior: Array, scores: Array, sizes: Array) -> Array:
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

    Returns
    -------
    array, shape (rows, backgrounds, backgrounds)
    """
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
            worth = _independent_rows(scores - mean, sizes) / len(scores)
        total = worth * (spread / scale[:, None, None]).sum(0)
        pattern = (sampled.sum() * centre + total) / (sampled.sum() + worth * len(scores))
    return scale[:, None, None] * pattern


def _independent_rows(residuals: Array, sizes: Array) -> float:
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


def _classes(modelled: np.ndarray, ordered: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows (question, contrast) that share the prior of their variances."""
    first = np.arange(modelled.shape[1]) == 0
    groups = [modelled & ordered[:, None] & first, modelled & ordered[:, None] & ~first, modelled & ~ordered[:, None]]
    return [(rows[0], rows[1]) for rows in map(np.nonzero, groups) if len(rows[0])]


def _information(covariance: Array, sizes: Array) -> Array:
    """``(covariance + intercept + diag(1 / sizes))^-1`` with 0 for cells of size 0, shape (rows, backgrounds, backgrounds)."""
    return information(scaled_covariance(covariance + INTERCEPT_VARIANCE, sizes), sizes)


def _posterior_mode(cells: Cells, contrasts: Array, modelled: np.ndarray, pooled: Array, covariance: Array) -> Array:
    """Shares at the posterior mode.

    Quasi-Newton: at the pooled shares the information on every contrast is exactly n, which serves as the curvature
    throughout; each question halves its step until its posterior does not fall.
    """
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


def _posterior_covariance(cells: Cells, contrasts: Array, modelled: np.ndarray, shares: Array, covariance: Array) -> Array:
    """Posterior covariance of every contrast between backgrounds, shape (questions, contrasts, backgrounds, backgrounds).

    The information of a cell is that at its own shares. What cells have beyond the kernels is added as far as the sample leaves
    it open: the part of it that the estimate does not follow.
    """
    observed, variance = np.einsum("qbk,qkm->qbm", cells.shares, contrasts), _contrast_variance(shares, contrasts)
    prior, posterior = covariance + INTERCEPT_VARIANCE, np.zeros_like(covariance)
    for order in range(modelled.shape[1]):
        rows = np.flatnonzero(modelled[:, order])
        own, sizes = prior[rows, order], cells.n_eff[rows]
        unexplained = unexplained_variance(own, observed[rows, :, order], sizes)
        left = np.eye(own.shape[-1]) - own @ _information(covariance[rows, order], sizes * variance[rows, :, order])
        posterior[rows, order] = left @ own + unexplained * left @ left.swapaxes(-1, -2)
    return posterior


def _contrast_variance(shares: Array, contrasts: Array) -> Array:
    """Variance of one respondent's contrasts at the shares of a cell, shape (questions, backgrounds, contrasts); 1 at the pooled shares."""
    mean = np.einsum("qbk,qkm->qbm", shares, contrasts)
    return np.maximum(np.einsum("qbk,qkm->qbm", shares, contrasts**2) - mean**2, 0.0)


def _standard_error(shares: Array, contrasts: Array, posterior: Array) -> Array:
    """Posterior standard deviation of the shares: the contrasts' variances through the derivative of the shares."""
    variance = np.clip(np.einsum("qmaa->qam", posterior), 0.0, None)
    return np.sqrt(np.einsum("qbkm,qbm->qbk", _slopes(shares, contrasts) ** 2, variance))


def _slopes(shares: Array, contrasts: Array) -> Array:
    """Derivative of the shares by the contrasts, shape (questions, backgrounds, options, contrasts)."""
    return shares[..., None] * (contrasts[:, None] - np.einsum("qbk,qkm->qbm", shares, contrasts)[:, :, None])


def _drawn_shares(shares: Array, contrasts: Array, posterior: Array, draws: int, seed: int) -> Array:
    """Shares drawn from the posterior to first order as the standard errors are, cut at 0: (draws, questions, backgrounds, options).

    The shares at drawn contrasts would be far off where an option is rare: its contrasts are large, and their exponentials' mean is
    not at the mode.
    """
    noise, slopes = normal_draws(posterior, draws, np.random.default_rng(seed)), _slopes(shares, contrasts)
    drawn = np.clip(np.stack([shares + np.einsum("qbkm,qmb->qbk", slopes, each) for each in noise]), 0.0, None)
    return np.asarray(drawn / drawn.sum(-1, keepdims=True))
