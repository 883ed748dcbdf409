"""Draws of all questions' shares that go together as their sampling errors do: the same respondents answered them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surveysim.synthesis.dependence import positive
from surveysim.synthesis.latent_scores import Pairs
from surveysim.tables.cells import Array

SMALLEST = 1e-6  # spread of answers under the shares, in steps of the scale


def error_correlation(pairs: Pairs, nominal: Sequence[bool]) -> Array:
    """Return how the sampling errors of ordered questions' means go together, ``(ordered questions, ordered questions)``.

    The correlation of two answers within backgrounds, times the part of the respondents who gave both, ``n_12 / sqrt(n_1 n_2)``.

    Parameters
    ----------
    pairs : Pairs
    nominal : sequence of bool, shape ``(questions,)``
    """
    ordered = np.flatnonzero(~np.array(nominal)[pairs.scores.question])
    both, answered = pairs.n[np.ix_(ordered, ordered)], np.diag(pairs.n)[ordered]
    found = np.nan_to_num(pairs.ratio[np.ix_(ordered, ordered)]) * both / np.sqrt(np.outer(answered, answered))
    np.fill_diagonal(found, 1.0)
    return positive(found)


def drawn_together(draws: Array, shares: Array, nominal: Sequence[bool], correlation: Array) -> Array:
    """Return draws whose errors go together between ordered questions, each question's own being as large as before.

    `simulate` draws every question by itself. A draw's error of the mean in each background, in units of its own size, is mixed with
    those of the other questions by the symmetric root of `correlation`, and the shares are tilted by the difference. Assumption: errors
    go together between questions as sampling errors do, also where the estimate leans on other backgrounds. Nominal questions keep
    their draws.

    Parameters
    ----------
    draws : array, shape ``(draws, questions, backgrounds, options)``
    shares : array, shape ``(questions, backgrounds, options)``
    nominal : sequence of bool, shape ``(questions,)``
    correlation : array, shape ``(ordered questions, ordered questions)``
        Positive definite, as of `error_correlation`.
    """
    ordered = ~np.array(nominal, dtype=bool)
    if not len(draws) or ordered.sum() < 2:
        return draws
    own, codes = shares[ordered], _standard_codes(shares[ordered])
    error = np.einsum("dqbk,qbk->dqb", draws[:, ordered] - own, codes)
    moved = np.clip(draws[:, ordered] + own * codes * (_mixed(error, correlation) - error)[..., None], 0.0, None)
    found = draws.copy()
    found[:, ordered] = moved / moved.sum(-1, keepdims=True)
    return found


def _mixed(error: Array, correlation: Array) -> Array:
    """Return errors ``(draws, questions, backgrounds)`` mixed, each as large as it was; a question without any takes no part."""
    values, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    size = np.sqrt((error**2).mean(0))
    there = size > 0
    standard = np.divide(error, size, out=np.zeros_like(error), where=there)
    left = np.sqrt(np.einsum("qr,rb->qb", root**2, there.astype(float)))
    return np.asarray(np.einsum("qr,drb->dqb", root, standard) * np.divide(size, left, out=np.zeros_like(size), where=there))


def _standard_codes(shares: Array) -> Array:
    """Return options' places with mean 0 and variance 1 under the shares, ``(questions, backgrounds, options)``; 0 where all give one."""
    places = np.arange(shares.shape[-1], dtype=float)
    centred = places - (shares @ places)[..., None]
    spread = np.sqrt((shares * centred**2).sum(-1, keepdims=True))
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > SMALLEST)
