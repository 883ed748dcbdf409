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

from surveysim.baselines.kernel_parts import Kernel, parts_of
from surveysim.baselines.posterior import Prior, left_out_shares, posterior_mode, posterior_variance
from surveysim.baselines.variance_components import kernel_sum, learned_covariance, variance_components
from surveysim.tables.cells import Array, Cells

INTERCEPT_VARIANCE = 1.0  # of a contrast's mean over backgrounds, whose scale is that of one respondent's answer


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
    left_out : array, shape (questions, backgrounds, options), optional
        Shares of each sampled background as the others say (`surveysim.baselines.posterior.left_out_shares`).
    """

    shares: Array
    std_error: Array
    draws: Array | None = None
    left_out: Array | None = None


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
    leave_out: bool = False,
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
    leave_out : bool
        Also say each sampled background's shares without its own answers.
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
    priors = _priors(cells, kernels, observed, modelled, ordered, learn)
    shares = posterior_mode(cells, contrasts, modelled, pooled, priors)
    noise = np.random.default_rng(seed).standard_normal((draws, *modelled.shape, len(cells.backgrounds))) if draws else None
    variance = posterior_variance(cells, contrasts, modelled, shares, priors, noise)
    error = np.sqrt(np.einsum("qbkm,qbm->qbk", _slopes(shares, contrasts) ** 2, np.clip(variance, 0.0, None)))
    without = _left_out(cells, contrasts, modelled, pooled, shares, priors) if leave_out else None
    return MultilevelFit(shares, error, None if noise is None else _drawn_shares(shares, contrasts, noise), without)


def _left_out(cells: Cells, contrasts: Array, modelled: np.ndarray, pooled: Array, shares: Array, priors: list[Prior]) -> Array:
    size = len(cells.backgrounds)
    covariance = np.zeros((*modelled.shape, size, size))
    for prior in priors:
        dense = prior.summed().dense()
        for row, question in enumerate(prior.questions):
            covariance[question, prior.orders] = dense[row]
    base = np.broadcast_to(pooled[:, None], shares.shape)
    return left_out_shares(cells, contrasts, modelled, base, covariance, reference=pooled, shares=shares)


def _priors(
    cells: Cells, kernels: Sequence[Kernel], observed: Array, modelled: np.ndarray, ordered: np.ndarray, learn: bool
) -> list[Prior]:
    intercept = np.ones((len(cells.backgrounds), len(cells.backgrounds)))
    parts, priors = parts_of([*kernels, intercept]), []
    for questions, orders in _classes(modelled, ordered):
        scores, sizes = observed[questions, :, orders], cells.n_eff[questions]
        found = variance_components(kernels, scores, sizes, questions, INTERCEPT_VARIANCE)
        asked, place = np.unique(questions, return_index=True)
        span = slice(int(orders.min()), int(orders.max()) + 1)
        if learn and ordered[questions].all() and (orders == 0).all():
            learned = learned_covariance(kernel_sum(kernels, found, questions), scores, sizes, INTERCEPT_VARIANCE)
            weights = np.tile([1.0, INTERCEPT_VARIANCE], (len(asked), 1))
            priors.append(Prior(asked, span, parts_of([learned, intercept]), weights, np.arange(len(asked))))
        else:
            weights = np.column_stack([found[place], np.full(len(asked), INTERCEPT_VARIANCE)])
            priors.append(Prior(asked, span, parts, weights, asked))
    return priors


def _classes(modelled: np.ndarray, ordered: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows (question, contrast) that share the prior of their variances."""
    first = np.arange(modelled.shape[1]) == 0
    groups = [modelled & ordered[:, None] & first, modelled & ordered[:, None] & ~first, modelled & ~ordered[:, None]]
    return [(rows[0], rows[1]) for rows in map(np.nonzero, groups) if len(rows[0])]


def _slopes(shares: Array, contrasts: Array) -> Array:
    """Derivative of the shares by the contrasts, shape (questions, backgrounds, options, contrasts)."""
    return shares[..., None] * (contrasts[:, None] - np.einsum("qbk,qkm->qbm", shares, contrasts)[:, :, None])


def _drawn_shares(shares: Array, contrasts: Array, noise: Array) -> Array:
    """Shares drawn from the posterior to first order as the standard errors are, cut at 0: (draws, questions, backgrounds, options).

    The shares at drawn contrasts would be far off where an option is rare: its contrasts are large, and their exponentials' mean is
    not at the mode.
    """
    slopes = _slopes(shares, contrasts)
    drawn = np.clip(np.stack([shares + np.einsum("qbkm,qmb->qbk", slopes, each) for each in noise]), 0.0, None)
    return np.asarray(drawn / drawn.sum(-1, keepdims=True))
