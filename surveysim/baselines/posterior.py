"""Posterior of a question's contrasts between backgrounds: its mode, and its covariance to first order around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.covariances import Summed, factor, sum_kernels, times_information
from surveysim.baselines.kernel_parts import Parts
from surveysim.baselines.regressions import log_likelihood, softmax
from surveysim.baselines.variance_components import information, point_likelihoods, posterior_mean_variance, scaled_covariance
from surveysim.tables.cells import Array, Cells
from surveysim.tables.draws import normal_root

STEPS, HALVINGS, FIRST_STEP = 200, 12, 0.8
SMALLEST_VARIANCE = 1e-6  # of a respondent's contrast in a cell
TOLERANCE = 1e-9  # gain in log posterior, in nats over all respondents of a question, at which the mode is found


@dataclass(frozen=True, eq=False)
class Prior:
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

    def summed(self, rows: slice = slice(None)) -> Summed:
        """Return the covariances of the class's questions."""
        return sum_kernels(self.parts, self.variances[rows], self.index[rows])


@dataclass(frozen=True, eq=False)
class OpenContrasts:
    """What is open about some contrasts of a question before anybody is asked, and what an answer tells of them.

    Attributes
    ----------
    question : int
    covariance : array, shape (backgrounds, backgrounds)
        Of each of these contrasts, what cells have beyond the kernels included.
    information : array, shape (backgrounds,)
        That one effective respondent of a background gives: the inverse of the variance of an answer.
    slopes : array, shape (backgrounds, options, contrasts)
        Derivatives of the shares by these contrasts.
    ignored : float
        Probability that a prior's differences between backgrounds are of no use; 0 without a prior.
    """

    question: int
    covariance: Array
    information: Array
    slopes: Array
    ignored: float = 0.0


def posterior_mode(cells: Cells, contrasts: Array, modelled: np.ndarray, pooled: Array, priors: list[Prior]) -> Array:
    """Shares at the posterior mode.

    Quasi-Newton: at the pooled shares the information on every contrast is exactly n, which serves as the curvature
    throughout; each question halves its step until its posterior does not fall.
    """
    base = np.where(cells.mask, np.log(np.where(cells.mask, pooled, 1.0)), 0.0)[:, None]
    observed, seen = np.einsum("qbk,qkm->qbm", cells.shares, contrasts), (cells.n_eff > 0)[..., None]
    covariances = [prior.summed().times for prior in priors]
    gains = [factor(prior.parts, prior.variances, prior.index, cells.n_eff[prior.questions]).information_times for prior in priors]

    def times(operators: Sequence[Callable[[Array], Array]], right: Array) -> Array:
        product = np.zeros_like(right)
        for prior, operator in zip(priors, operators, strict=True):
            found = operator(prior.parts.laid(right[prior.questions, :, prior.orders]))
            product[prior.questions, :, prior.orders] = prior.parts.in_order(found)
        return product * modelled[:, None]

    def at(dual: Array) -> tuple[Array, Array, Array]:
        modes = times(covariances, dual)
        shares = softmax(base + modes @ contrasts.swapaxes(1, 2), cells.mask[:, None])
        return modes, shares, log_likelihood(cells.counts, shares) - 0.5 * (dual * modes).sum((1, 2))

    dual = np.zeros_like(observed)  # (covariance)^-1 times the contrasts
    modes, shares, value = at(dual)
    for _ in range(STEPS):
        residual = np.where(seen, observed - shares @ contrasts, 0.0)
        towards = times(gains, modes + residual) - dual
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


def posterior_variance(
    cells: Cells, contrasts: Array, modelled: np.ndarray, shares: Array, priors: list[Prior], noise: Array | None
) -> Array:
    """Posterior variance of every contrast, shape (questions, backgrounds, contrasts); standard normal `noise` becomes draws.

    The information of a cell is that at its own shares. What cells have beyond the kernels is added as far as the sample leaves
    it open: the part of it that the estimate does not follow.
    """
    observed, respondent = np.einsum("qbk,qkm->qbm", cells.shares, contrasts), contrast_variance(shares, contrasts)
    beyond = variance_beyond(cells, observed, modelled, priors)
    variance = np.zeros_like(observed)
    if noise is not None:
        noise[:, ~modelled] = 0.0
    for prior in priors:
        for row, question in enumerate(prior.questions):
            orders = np.flatnonzero(modelled[question])
            orders = orders[(orders >= prior.orders.start) & (orders < prior.orders.stop)]
            own, sizes = prior.summed(slice(row, row + 1)).dense()[0], cells.n_eff[question] * respondent[question][:, orders].T
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


def variance_beyond(cells: Cells, observed: Array, modelled: np.ndarray, priors: list[Prior]) -> Array:
    """Variance that cells have beyond the kernels, for every order of contrasts over all questions, shape (contrasts,)."""
    logs = []
    for prior in priors:
        scores = np.where(modelled[:, None], observed, 0.0)[prior.questions, :, prior.orders]
        each = point_likelihoods(prior.parts, prior.variances, prior.index, scores, cells.n_eff[prior.questions])
        own = np.zeros((modelled.shape[1], each.shape[1]))
        own[prior.orders] = np.einsum("qpm,qm->mp", each, modelled[prior.questions, prior.orders].astype(float))
        logs.append(own)
    return np.array([posterior_mean_variance(of_order) for of_order in np.sum(logs, axis=0)])


def offset_mode(cells: Cells, basis: Array, modelled: np.ndarray, base: Array, covariance: Array) -> tuple[Array, Array, Array]:
    """Return the shares at the posterior mode, the contrasts of their departure from `base`, and each question's log evidence.

    By damped Fisher scoring. The evidence, shape (questions,), is Laplace's approximation around the mode, without what the answers'
    multinomial coefficients add to it whatever the base.

    References
    ----------
    Rasmussen, Williams (2006), Gaussian Processes for Machine Learning, equation 3.32.
    """
    spread = contrast_variance(base, basis)
    sizes = (cells.n_eff[..., None] * spread).swapaxes(1, 2)
    rows = np.nonzero(modelled)
    gain = np.zeros_like(covariance)
    gain[rows] = information(scaled_covariance(covariance[rows], sizes[rows]), sizes[rows])
    logs = np.where(cells.mask[:, None], np.log(np.where(cells.mask[:, None], base, 1.0)), 0.0)
    observed = np.einsum("qbk,qkm->qbm", cells.shares, basis)
    seen = (cells.n_eff > 0)[..., None]

    def at(dual: Array) -> tuple[Array, Array, Array]:
        modes = np.einsum("qmab,qbm->qam", covariance, dual)
        shares = softmax(logs + np.einsum("qbm,qkm->qbk", modes, basis), cells.mask[:, None])
        return modes, shares, log_likelihood(cells.counts, shares) - 0.5 * (dual * modes).sum((1, 2))

    dual = np.zeros_like(observed)  # (covariance)^-1 times the contrasts
    modes, shares, value = at(dual)
    for _ in range(STEPS):
        residual = np.where(seen, observed - np.einsum("qbk,qkm->qbm", shares, basis), 0.0) / spread
        towards = np.einsum("qmab,qbm->qam", gain, modes + residual) - dual
        dual, (modes, shares, after) = _halved(dual, towards, value, at)
        progress, value = after - value, after
        if progress.max() < TOLERANCE:
            break
    sizes = (cells.n_eff[..., None] * contrast_variance(shares, basis)).swapaxes(1, 2)
    open_before = np.zeros(modelled.shape)
    open_before[rows] = np.linalg.slogdet(scaled_covariance(covariance[rows], sizes[rows]))[1]
    return shares, modes, value - 0.5 * open_before.sum(1)


def _halved(dual: Array, towards: Array, value: Array, at: object) -> tuple[Array, tuple[Array, Array, Array]]:
    """Go towards a point, each question half as far until its posterior does not fall; stay where it always does."""
    step = np.full(len(dual), FIRST_STEP)
    for _ in range(HALVINGS):
        after = dual + step[:, None, None] * towards
        found = at(after)  # type: ignore[operator]
        worse = found[2] < value - 1e-10
        if not worse.any():
            return after, found
        step = np.where(worse, step / 2, step)
    after = np.where(worse[:, None, None], dual, after)
    return after, at(after)  # type: ignore[operator]


def left_out_shares(
    cells: Cells, basis: Array, modelled: np.ndarray, base: Array, covariance: Array, *, reference: Array, shares: Array
) -> Array:
    """Return the shares of each sampled background as all others say, at the variances found with it; those of the rest as they are.

    Parameters
    ----------
    cells, basis, modelled, base, covariance
        What is expected of every cell, and the covariance of its contrasts: (questions, contrasts, backgrounds, backgrounds).
    reference : array, shape (questions, options)
        Shares under which the contrasts are orthonormal.
    shares : array, shape (questions, backgrounds, options)
        At the mode.

    References
    ----------
    Rasmussen, Williams (2006), Gaussian Processes for Machine Learning, equation 5.12, at the mode's linearised observations.
    """
    spread = contrast_variance(shares, basis)
    seen = (cells.n_eff > 0)[..., None]
    there = cells.mask[:, None]
    logs = np.where(there, np.log(np.where(there, shares, 1.0)) - np.log(np.where(there, base, 1.0)), 0.0)
    modes = np.einsum("qbk,qk,qkm->qbm", logs, np.where(cells.mask, reference, 0.0), basis)
    observed = np.where(seen, np.einsum("qbk,qkm->qbm", cells.shares - shares, basis) / spread, 0.0)
    at, linear = np.nonzero(modelled), (modes + observed).swapaxes(1, 2)
    sizes = (cells.n_eff[..., None] * spread).swapaxes(1, 2)[at]
    known = information(scaled_covariance(covariance[at], sizes), sizes)
    own = np.einsum("raa->ra", known)
    gone = np.divide(np.einsum("rab,rb->ra", known, linear[at]), own, out=np.zeros_like(own), where=own > 0)
    others = modes.swapaxes(1, 2).copy()
    others[at] = np.where(own > 0, linear[at] - gone, others[at])
    logs = np.where(there, np.log(np.where(there, base, 1.0)), 0.0)
    return softmax(logs + np.einsum("qmb,qkm->qbk", others, basis), there)


def posterior_covariance(
    cells: Cells, basis: Array, modelled: np.ndarray, shares: Array, covariance: Array, *, beyond: Array | None = None
) -> Array:
    """Return the posterior covariance of every contrast between backgrounds, the information of a cell being that at its own shares.

    Parameters
    ----------
    cells, basis, modelled, shares, covariance
        As of `left_out_shares`.
    beyond : array, shape (contrasts,), optional
        Variance that cells have besides: added as far as the sample leaves it open, the part that the estimate does not follow.

    Returns
    -------
    array, shape (questions, contrasts, backgrounds, backgrounds)
    """
    sizes = (cells.n_eff[..., None] * contrast_variance(shares, basis)).swapaxes(1, 2)
    posterior, rows = np.zeros_like(covariance), np.nonzero(modelled)
    own = covariance[rows]
    left = np.eye(own.shape[1]) - own @ information(scaled_covariance(own, sizes[rows]), sizes[rows])
    posterior[rows] = left @ own
    if beyond is not None:
        posterior[rows] += beyond[rows[1]][:, None, None] * left @ left.swapaxes(1, 2)
    return posterior


def contrast_variance(shares: Array, basis: Array) -> Array:
    """Return the variance of one respondent's contrasts at the shares of a cell, shape (questions, backgrounds, contrasts)."""
    mean = np.einsum("qbk,qkm->qbm", shares, basis)
    return np.maximum(np.einsum("qbk,qkm->qbm", shares, basis**2) - mean**2, SMALLEST_VARIANCE)
