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

from surveysim.baselines.covariances import Kernel, Parts, dense_sum, factor, information_of, parts_of, times_information
from surveysim.baselines.regressions import log_likelihood, softmax
from surveysim.baselines.variance_components import (
    information,
    kernel_sum,
    point_likelihoods,
    posterior_mean_variance,
    scaled_covariance,
    variance_components,
)
from surveysim.tables.cells import Array, Cells
from surveysim.tables.draws import normal_root

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
    priors = _priors(cells, kernels, observed, modelled, ordered, learn)
    shares = _posterior_mode(cells, contrasts, modelled, pooled, priors)
    noise = np.random.default_rng(seed).standard_normal((draws, *modelled.shape, len(cells.backgrounds))) if draws else None
    variance = _posterior_variance(cells, contrasts, modelled, shares, priors, noise)
    error = np.sqrt(np.einsum("qbkm,qbm->qbk", _slopes(shares, contrasts) ** 2, np.clip(variance, 0.0, None)))
    return MultilevelFit(shares, error, None if noise is None else _drawn_shares(shares, contrasts, noise))


@dataclass(frozen=True, eq=False)
class _Prior:
    """Covariance of a class of contrasts, the same in all of a question's: ``sum_j variance_j kernel_j``, with the intercept's.

    Attributes
    ----------
    questions : array of int, shape (questions of the class,)
    orders : slice
        Of the contrasts in the class; a question may have fewer.
    parts : Parts
    variances : array, shape (questions of the class, kernels)
    index : array of int, shape (questions of the class,)
        Of each question among those that a kernel differs by.
    """

    questions: np.ndarray
    orders: slice
    parts: Parts
    variances: Array
    index: np.ndarray

    def dense(self, rows: slice = slice(None)) -> Array:
        return dense_sum(self.parts, self.variances[rows], self.index[rows])


def _priors(
    cells: Cells, kernels: Sequence[Kernel], observed: Array, modelled: np.ndarray, ordered: np.ndarray, learn: bool
) -> list[_Prior]:
    intercept = np.ones((len(cells.backgrounds), len(cells.backgrounds)))
    parts, priors = parts_of([*kernels, intercept]), []
    for questions, orders in _classes(modelled, ordered):
        scores, sizes = observed[questions, :, orders], cells.n_eff[questions]
        found = variance_components(kernels, scores, sizes, questions, INTERCEPT_VARIANCE)
        asked, place = np.unique(questions, return_index=True)
        span = slice(int(orders.min()), int(orders.max()) + 1)
        if learn and ordered[questions].all() and (orders == 0).all():
            learned = learned_covariance(kernel_sum(kernels, found, questions), scores, sizes)
            weights = np.tile([1.0, INTERCEPT_VARIANCE], (len(asked), 1))
            priors.append(_Prior(asked, span, parts_of([learned, intercept]), weights, np.arange(len(asked))))
        else:
            weights = np.column_stack([found[place], np.full(len(asked), INTERCEPT_VARIANCE)])
            priors.append(_Prior(asked, span, parts, weights, asked))
    return priors


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
    sampled = np.flatnonzero((sizes > 0).any(0))
    scale = np.maximum(np.einsum("raa->ra", prior)[:, sampled].mean(1), 1e-12)
    centre = (prior / scale[:, None, None]).mean(0)
    pattern, worth = centre, None
    for _ in range(LEARNING_STEPS):
        known, weights = _learning_step(pattern[np.ix_(sampled, sampled)], scale, scores[:, sampled], sizes[:, sampled])
        reach = pattern[:, sampled]
        mean = scale[:, None] * (weights @ reach.T)
        if worth is None:
            worth = _independent_rows(scores - mean, sizes) / len(scores)
        total = worth * ((mean / scale[:, None]).T @ mean + len(scores) * pattern - reach @ known @ reach.T)
        pattern = (len(sampled) * centre + total) / (len(sampled) + worth * len(scores))
    return scale[:, None, None] * pattern


def _learning_step(pattern: Array, scale: Array, scores: Array, sizes: Array) -> tuple[Array, Array]:
    """Information on a row's effects, times its scale and summed over rows, and that times the scores, shape (rows, backgrounds)."""
    known, weights = np.zeros_like(pattern), np.zeros_like(scores)
    for row in range(len(scores)):
        one = slice(row, row + 1)
        gain = information(scaled_covariance(scale[one, None, None] * pattern + INTERCEPT_VARIANCE, sizes[one]), sizes[one])[0]
        known += scale[row] * gain
        weights[row] = gain @ scores[row]
    return known, weights


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


def _posterior_mode(cells: Cells, contrasts: Array, modelled: np.ndarray, pooled: Array, priors: list[_Prior]) -> Array:
    """Shares at the posterior mode.

    Quasi-Newton: at the pooled shares the information on every contrast is exactly n, which serves as the curvature
    throughout; each question halves its step until its posterior does not fall. Cells that nobody was sampled from follow.
    """
    sampled = np.flatnonzero((cells.n_eff > 0).any(0))
    seen = cells.on(backgrounds=[cells.backgrounds[place] for place in sampled])
    base = np.where(cells.mask, np.log(np.where(cells.mask, pooled, 1.0)), 0.0)[:, None]
    covariances = [prior.dense() for prior in priors]
    among = [each[:, sampled[:, None], sampled] for each in covariances]
    gains = [_gain(prior, cells.n_eff)[:, sampled[:, None], sampled] for prior in priors]
    observed, answered = np.einsum("qbk,qkm->qbm", seen.shares, contrasts), (seen.n_eff > 0)[..., None]

    def times(matrices: list[Array], right: Array, rows: int) -> Array:
        product = np.zeros((len(right), rows, right.shape[-1]))
        for prior, matrix in zip(priors, matrices, strict=True):
            product[prior.questions, :, prior.orders] = matrix @ right[prior.questions, :, prior.orders]
        return product * modelled[:, None]

    def shares_at(modes: Array) -> Array:
        return softmax(base + modes @ contrasts.swapaxes(1, 2), cells.mask[:, None])

    def at(dual: Array) -> tuple[Array, Array, Array]:
        modes = times(among, dual, len(sampled))
        shares = shares_at(modes)
        return modes, shares, log_likelihood(seen.counts, shares) - 0.5 * (dual * modes).sum((1, 2))

    dual = np.zeros_like(observed)  # (covariance)^-1 times the contrasts
    modes, shares, value = at(dual)
    for _ in range(STEPS):
        residual = np.where(answered, observed - shares @ contrasts, 0.0)
        towards = times(gains, modes + residual, len(sampled)) - dual
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
    return shares_at(times([each[:, :, sampled] for each in covariances], dual, len(cells.backgrounds)))


def _gain(prior: _Prior, sizes: Array) -> Array:
    """``(covariance + diag(1 / sizes))^-1`` of every question of a class, 0 for cells of size 0."""
    return np.concatenate(
        [
            information_of(prior.parts, factor(prior.parts, prior.variances[rows], prior.index[rows], sizes[prior.questions[rows]]))
            for rows in prior.parts.chunks(len(prior.questions))
        ]
    )


def _posterior_variance(
    cells: Cells, contrasts: Array, modelled: np.ndarray, shares: Array, priors: list[_Prior], noise: Array | None
) -> Array:
    """Posterior variance of every contrast, shape (questions, backgrounds, contrasts); standard normal `noise` becomes draws.

    The information of a cell is that at its own shares. What cells have beyond the kernels is added as far as the sample leaves
    it open: the part of it that the estimate does not follow.
    """
    observed, respondent = np.einsum("qbk,qkm->qbm", cells.shares, contrasts), _contrast_variance(shares, contrasts)
    beyond = _unexplained(cells, observed, modelled, priors)
    variance = np.zeros_like(observed)
    if noise is not None:
        noise[:, ~modelled] = 0.0
    for prior in priors:
        for row, question in enumerate(prior.questions):
            orders = np.flatnonzero(modelled[question])
            orders = orders[(orders >= prior.orders.start) & (orders < prior.orders.stop)]
            own, sizes = prior.dense(slice(row, row + 1))[0], cells.n_eff[question] * respondent[question][:, orders].T
            repeated = np.tile(prior.variances[row], (len(orders), 1)), np.full(len(orders), prior.index[row])
            follows = times_information(prior.parts, factor(prior.parts, *repeated, sizes), own)
            variance[question][:, orders] = _variances(own, follows, beyond[orders]).T
            if noise is not None:
                for order, follow in zip(orders, follows, strict=True):
                    noise[:, question, order] = noise[:, question, order] @ normal_root(_posterior(own, follow, beyond[order])).T
    return variance


def _variances(own: Array, follows: Array, beyond: Array) -> Array:
    """Diagonals of `_posterior` for several contrasts, shape (contrasts, backgrounds)."""
    of_kernels = np.diag(own) - np.einsum("mab,ab->ma", follows, own)
    missed = np.einsum("mab,mab->ma", follows, follows) - 2.0 * np.einsum("maa->ma", follows) + 1.0
    return np.asarray(of_kernels + beyond[:, None] * missed)


def _posterior(own: Array, follow: Array, beyond: float) -> Array:
    """Posterior covariance of a contrast between backgrounds, whose estimate is ``follow`` times the observed contrasts."""
    left = np.eye(len(own)) - follow
    return np.asarray(left @ own + beyond * left @ left.T)


def _unexplained(cells: Cells, observed: Array, modelled: np.ndarray, priors: list[_Prior]) -> Array:
    """Variance that cells have beyond the kernels, for every order of contrasts over all questions, shape (contrasts,)."""
    logs = []
    for prior in priors:
        scores = np.where(modelled[:, None], observed, 0.0)[prior.questions, :, prior.orders]
        each = point_likelihoods(prior.parts, prior.variances, prior.index, scores, cells.n_eff[prior.questions])
        own = np.zeros((modelled.shape[1], each.shape[1]))
        own[prior.orders] = np.einsum("qpm,qm->mp", each, modelled[prior.questions, prior.orders].astype(float))
        logs.append(own)
    return np.array([posterior_mean_variance(of_order) for of_order in np.sum(logs, axis=0)])


def _contrast_variance(shares: Array, contrasts: Array) -> Array:
    """Variance of one respondent's contrasts at the shares of a cell, shape (questions, backgrounds, contrasts); 1 at the pooled shares."""
    mean = np.einsum("qbk,qkm->qbm", shares, contrasts)
    return np.maximum(np.einsum("qbk,qkm->qbm", shares, contrasts**2) - mean**2, 0.0)


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
