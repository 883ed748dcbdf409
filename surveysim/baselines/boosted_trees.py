"""Gradient-boosted trees as a classical opponent, through scikit-learn, which is an extra."""

from __future__ import annotations

from typing import Any

import numpy as np

from surveysim.baselines.regressions import BORROWED, log_likelihood
from surveysim.errors import EstimationError
from surveysim.tables.cells import Array

ROUNDS = 30  # at most; how many are kept is cross-validated
LEARNING_RATE = 0.2
DEPTH = 2  # pairs of traits may interact
SMALLEST_LEAF = 0.02  # of the respondents: less than one of the 28 countries of a European survey
SMALLEST_SHARE = 1e-4
TREE_FOLDS = 3


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
