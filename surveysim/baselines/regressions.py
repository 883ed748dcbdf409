"""Multinomial and cumulative-logit regressions on traits with a ridge penalty, fitted to all questions at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from surveysim.errors import EstimationError
from surveysim.tables.cells import Array

CONCENTRATIONS = np.exp(np.linspace(0.0, 8.0, 65))  # answers that the pooled shares are worth in a shrunken cell

ROUNDS = 30  # at most; how many are kept is cross-validated
LEARNING_RATE = 0.2
DEPTH = 2  # pairs of traits may interact
SMALLEST_LEAF = 0.02  # of the respondents: less than one of the 28 countries of a European survey
SMALLEST_SHARE = 1e-4
TREE_FOLDS = 3

PENALTIES = np.exp(np.linspace(-1.0, 4.0, 7))  # prior precision of an effect, in logits
FOLDS = 5
BORROWED = 1.0  # weight of the mean validation loss over questions, beside each question's own
INTERCEPT_PRECISION = 1e-3  # the intercept is all but free; it starts at the pooled shares
STEPS, FOLD_STEPS, HALVINGS = 40, 6, 12
TOLERANCE = 1e-6  # gain in log-likelihood, in nats over all respondents, at which a fit has converged

Fit = Callable[[Array, Array, Array, np.ndarray, Array, int], Array]


def softmax(logits: Array, mask: np.ndarray) -> Array:
    """Return shares over the last axis; exactly 0 where `mask` is False."""
    shifted = np.where(mask, logits, -np.inf)
    shares = np.exp(shifted - shifted.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def log_likelihood(counts: Array, shares: Array) -> Array:
    """Return ``sum counts log(shares)`` of every question, from (questions, backgrounds, options); 0 log 0 is 0."""
    positive = counts > 0
    return np.where(positive, counts * np.log(np.where(positive, np.maximum(shares, 1e-300), 1.0)), 0.0).sum((1, 2))


def multinomial_ridge(counts: Array, columns: Array, penalty: Array, mask: np.ndarray, pooled: Array, steps: int = STEPS) -> Array:
    """Return the shares of multinomial logit regressions with a ridge penalty on every effect.

    Each option has its own effect of each column, which keeps the fit the same whichever option is listed first; the
    penalised likelihood is maximised by Newton's method with step halving.

    Parameters
    ----------
    counts : array, shape (questions, backgrounds, options)
        Effective counts.
    columns : array, shape (backgrounds, columns)
        0/1 columns without an intercept.
    penalty : array, shape (questions,)
        Prior precision of the effects.
    mask : array of bool, shape (questions, options)
    pooled : array, shape (questions, options)
        Positive shares that the intercepts start from.
    steps : int
        Newton steps at most.

    Returns
    -------
    array, shape (questions, backgrounds, options)
    """
    questions, backgrounds, options = counts.shape
    design = np.hstack([np.ones((backgrounds, 1)), columns])
    precision = np.repeat(penalty[:, None], design.shape[1], axis=1)
    precision[:, 0] = INTERCEPT_PRECISION
    start = np.zeros((questions, design.shape[1], options))
    start[:, 0] = np.where(mask, np.log(np.where(mask, pooled, 1.0)), 0.0)

    def shares_of(effects: Array) -> Array:
        return softmax(np.einsum("bp,qpk->qbk", design, effects), mask[:, None])

    def objective(effects: Array, shares: Array) -> Array:
        return log_likelihood(counts, shares) - 0.5 * (precision[..., None] * (effects - start) ** 2).sum((1, 2))

    effects, shares = start, shares_of(start)
    value = objective(effects, shares)
    for _ in range(steps):
        gradient = np.einsum("bp,qbk->qpk", design, counts - counts.sum(-1, keepdims=True) * shares)
        gradient = (gradient - precision[..., None] * (effects - start)) * mask[:, None]
        direction = _newton_direction(counts, shares, design, precision, gradient) * mask[:, None]
        effects, shares, gain = _climb(effects, direction, value, shares_of, objective)
        value = value + gain
        if gain.max() < TOLERANCE:
            break
    return shares


def cumulative_ridge(counts: Array, columns: Array, penalty: Array, mask: np.ndarray, pooled: Array, steps: int = STEPS) -> Array:
    """Return the shares of cumulative (proportional-odds) logit regressions with a ridge penalty on every effect.

    ``logit P(answer <= k) = threshold_k - effect of the background``, fitted by Fisher scoring with step halving.
    Parameters and returns as in `multinomial_ridge`; options are in the order of the scale.

    References
    ----------
    McCullagh (1980), Journal of the Royal Statistical Society B 42(2), doi:10.1111/j.2517-6161.1980.tb01109.x.
    """
    questions, backgrounds = counts.shape[:2]
    inner = mask[:, 1:]  # threshold k stands between options k and k + 1
    cumulative = np.clip(np.cumsum(pooled, -1)[:, :-1], 1e-6, 1 - 1e-6)
    thresholds = np.where(inner, np.log(cumulative / (1 - cumulative)), 0.0)
    start = np.concatenate([thresholds, np.zeros((questions, columns.shape[1]))], axis=1)
    precision = np.concatenate([np.full(inner.shape, INTERCEPT_PRECISION), np.repeat(penalty[:, None], columns.shape[1], 1)], axis=1)

    def shares_of(parameters: Array) -> Array:
        below = _below(parameters, columns, inner)
        edges = np.concatenate([np.zeros((questions, backgrounds, 1)), below, np.ones((questions, backgrounds, 1))], axis=-1)
        return np.where(mask[:, None], np.diff(edges), 0.0)

    def objective(parameters: Array, shares: Array) -> Array:
        lowest = np.where(mask[:, None], shares, 1.0).min((1, 2))
        value = log_likelihood(counts, shares) - 0.5 * (precision * (parameters - start) ** 2).sum(1)
        return np.where(lowest > 0, value, -np.inf)

    parameters, shares = start, shares_of(start)
    value = objective(parameters, shares)
    for _ in range(steps):
        slopes = _cumulative_slopes(_below(parameters, columns, inner), columns, inner, mask)
        safe = np.where(mask[:, None], np.maximum(shares, 1e-12), 1.0)
        gradient = np.einsum("qbk,qbkp->qp", counts / safe, slopes) - precision * (parameters - start)
        weighted = slopes * (counts.sum(-1, keepdims=True) / safe)[..., None]
        information = np.einsum("qbkp,qbkr->qpr", weighted, slopes, optimize=True)
        information[:, np.arange(precision.shape[1]), np.arange(precision.shape[1])] += precision
        direction = np.linalg.solve(information, gradient[..., None])[..., 0]
        parameters, shares, gain = _climb(parameters, direction, value, shares_of, objective)
        value = value + gain
        if gain.max() < TOLERANCE:
            break
    return shares


def choose_penalty(fit: Fit, counts: Array, columns: Array, mask: np.ndarray, pooled: Array, seed: int) -> Array:
    """Return the penalty of every question that best predicts training cells left out in turn, shape (questions,).

    Cells are dealt into `FOLDS` folds at random. A question's own validation loss is noisy, so the mean
    over all questions is added to it.
    """
    sampled = np.flatnonzero(counts.sum((0, 2)) > 0)
    fold = np.full(counts.shape[1], -1)
    fold[sampled] = np.random.default_rng(seed).permutation(len(sampled)) % FOLDS
    loss = np.zeros((len(PENALTIES), len(counts)))
    for row, penalty in enumerate(PENALTIES):
        for left_out in range(FOLDS):
            kept = counts * (fold != left_out)[None, :, None]
            shares = fit(kept, columns, np.full(len(counts), penalty), mask, pooled, FOLD_STEPS)
            held = counts * (fold == left_out)[None, :, None]
            loss[row] -= log_likelihood(held, np.maximum(shares, 1e-9))
    return PENALTIES[(loss + BORROWED * loss.mean(1, keepdims=True)).argmin(0)]


def _newton_direction(counts: Array, shares: Array, design: Array, precision: Array, gradient: Array) -> Array:
    questions, columns, options = gradient.shape
    size = counts.sum(-1)
    covariance = shares[..., :, None] * (np.eye(options) - shares[..., None, :])
    blocks = np.einsum("bp,qb,qbkl,br->qpkrl", design, size, covariance, design, optimize=True)
    matrix = blocks.reshape(questions, columns * options, columns * options)
    diagonal = np.arange(columns * options)
    matrix[:, diagonal, diagonal] += np.repeat(precision, options, axis=1)
    return np.linalg.solve(matrix, gradient.reshape(questions, -1, 1)).reshape(gradient.shape)


def _climb(
    at: Array, direction: Array, value: Array, shares_of: Callable[[Array], Array], objective: Callable[[Array, Array], Array]
) -> tuple[Array, Array, Array]:
    """Go along `direction`, each question halving its step until its objective does not fall; returns the gain."""
    extra = (1,) * (at.ndim - 1)
    step = np.ones(len(at))
    for _ in range(HALVINGS):
        after = at + step.reshape(-1, *extra) * direction
        shares = shares_of(after)
        reached = objective(after, shares)
        worse = ~(reached >= value - 1e-9)
        if not worse.any():
            break
        step = np.where(worse, step / 2, step)
    else:
        step = np.where(worse, 0.0, step)
        after = at + step.reshape(-1, *extra) * direction
        shares = shares_of(after)
        reached = np.where(worse, value, reached)
    return after, shares, reached - value


def _below(parameters: Array, columns: Array, inner: np.ndarray) -> Array:
    """P(answer <= k), shape (questions, backgrounds, options - 1); 1 beyond the last option."""
    thresholds, effects = parameters[:, : inner.shape[1]], parameters[:, inner.shape[1] :]
    logits = thresholds[:, None] - np.einsum("bp,qp->qb", columns, effects)[..., None]
    return np.where(inner[:, None], 0.5 * (1 + np.tanh(0.5 * logits)), 1.0)


def _cumulative_slopes(below: Array, columns: Array, inner: np.ndarray, mask: np.ndarray) -> Array:
    """Derivatives of the shares by thresholds, then effects, shape (questions, backgrounds, options, parameters)."""
    density = np.where(inner[:, None], below * (1 - below), 0.0)
    questions, backgrounds, cuts = density.shape
    by_threshold = np.zeros((questions, backgrounds, cuts + 1, cuts))
    places = np.arange(cuts)
    by_threshold[:, :, places, places] = density
    by_threshold[:, :, places + 1, places] = -density
    by_effect = -by_threshold.sum(-1)[..., None] * columns[None, :, None, :]
    return np.concatenate([by_threshold, by_effect], axis=-1) * mask[:, None, :, None]


def boosted_shares(counts: Array, columns: Array, mask: np.ndarray, pooled: Array, seed: int) -> Array:
    """Return shares of gradient-boosted classification trees, one model a question.

    Cells are rows with their effective counts as weights. Each question keeps the number of rounds that best predicts
    training cells left out in turn, none (the pooled shares) included; the mean loss over all questions is added to
    its own, which is noisy.

    Parameters
    ----------
    counts : array, shape (questions, backgrounds, options)
    columns : array, shape (backgrounds, columns)
    mask : array of bool, shape (questions, options)
    pooled : array, shape (questions, options)
    seed : int

    Raises
    ------
    EstimationError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import GradientBoostingClassifier
    except ImportError as problem:
        raise EstimationError("the boosting baseline needs scikit-learn; install it: python -m pip install scikit-learn") from problem
    sampled = np.flatnonzero(counts.sum((0, 2)) > 0)
    fold = np.full(counts.shape[1], -1)
    fold[sampled] = np.random.default_rng(seed).permutation(len(sampled)) % TREE_FOLDS
    losses = [_losses(GradientBoostingClassifier, counts[q], columns, pooled[q], fold, seed) for q in range(len(counts))]
    chosen = np.argmin(np.array(losses) + BORROWED * np.mean(losses, axis=0), axis=1)
    shares = np.empty_like(counts)
    for q, rounds in enumerate(map(int, chosen)):
        shares[q] = _rounds(GradientBoostingClassifier, counts[q], columns, pooled[q], seed, rounds)[rounds]
    return np.where(mask[:, None], shares, 0.0)


def _losses(model: Any, counts: Array, columns: Array, pooled: Array, fold: np.ndarray, seed: int) -> Array:
    loss = np.zeros(ROUNDS + 1)
    for left_out in range(TREE_FOLDS):
        kept = counts * (fold != left_out)[:, None]
        held = counts * (fold == left_out)[:, None]
        if kept.sum() > 0 and held.sum() > 0:
            path = _rounds(model, kept, columns, pooled, seed, ROUNDS)
            loss -= log_likelihood(np.broadcast_to(held, path.shape), path)
    return loss


def _rounds(model: Any, counts: Array, columns: Array, pooled: Array, seed: int, rounds: int) -> Array:
    """Shares after 0, 1, ..., `rounds` rounds, shape (rounds + 1, backgrounds, options)."""
    path = np.broadcast_to(pooled, (rounds + 1, *counts.shape)).copy()
    row, option = np.nonzero(counts)
    classes = np.unique(option)
    if rounds == 0 or len(classes) < 2:
        return path
    trees = model(
        n_estimators=rounds, learning_rate=LEARNING_RATE, max_depth=DEPTH, min_weight_fraction_leaf=SMALLEST_LEAF, random_state=seed
    )
    trees.fit(columns[row], option, sample_weight=counts[row, option])
    for number, shares in enumerate(trees.staged_predict_proba(columns), start=1):
        path[number] = SMALLEST_SHARE * pooled
        path[number][:, classes] += (1 - SMALLEST_SHARE) * shares
    return path


def _concentration(counts: Array, centre: Array, mask: np.ndarray) -> Array:
    """Dirichlet concentration of every question, by marginal likelihood over a grid, shape (questions,)."""
    from scipy.special import gammaln

    size = counts.sum(-1)
    likelihood = []
    for worth in CONCENTRATIONS:
        prior = np.where(mask, worth * centre, 1.0)[:, None]
        per_option = np.where(mask[:, None], gammaln(prior + counts) - gammaln(prior), 0.0)
        likelihood.append((gammaln(worth) - gammaln(worth + size)).sum(1) + per_option.sum((1, 2)))
    return CONCENTRATIONS[np.argmax(likelihood, axis=0)]
