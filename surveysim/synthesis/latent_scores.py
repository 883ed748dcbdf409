"""Answers as brackets of latent normal scores: thresholds from the shares of cells, and the moments that correlations are read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surveysim.tables.cells import Array

Whole = npt.NDArray[np.int64]
TERMS = 40  # of the series in rho: what is left out is below rho ** 40
HIGHEST = 0.995  # correlation
LEAST_SHARE = 1e-3  # of the uniform distribution mixed into the shares, so that an answer thought impossible has a finite score


@dataclass(frozen=True, eq=False)
class Scores:
    """Respondents' normal scores, a column per latent variable, and what correlated latents would make of their products.

    Attributes
    ----------
    question : int array, shape ``(latents,)``
        Position of the question that each latent is of; a nominal question of K options has K - 1 of them.
    score : array, shape ``(respondents, latents)``
        ``E(z | answer)``; 0 where there is no answer.
    known : array, shape ``(respondents, latents)``
        1 where there is an answer, else 0.
    cell : int array, shape ``(respondents,)``
    hermite : array, shape ``(terms, cells, latents)``
        Coefficients of a cell's score as a function of z, in normalised Hermite polynomials of degree 1, 2, ...
    spread : array, shape ``(cells, latents)``
        Variance of the score that the cell expects.
    orders : tuple of int arrays
        Of each question its options in the order of their contrasts; none of an ordered question.
    """

    question: Whole
    score: Array
    known: Array
    cell: Whole
    hermite: Array
    spread: Array
    orders: tuple[Whole | None, ...]

    def take(self, rows: npt.NDArray[np.bool_] | Whole) -> Scores:
        """Return the scores of some respondents."""
        return Scores(self.question, self.score[rows], self.known[rows], self.cell[rows], self.hermite, self.spread, self.orders)


def latent_scores(shares: Array, mask: npt.NDArray[np.bool_], answers: Whole, cell: Whole, nominal: Sequence[bool]) -> Scores:
    """Return the scores of respondents' answers, given the shares of their cells.

    An ordered question has one latent, cut at ``qnorm`` of its cumulative shares. A nominal one has a contrast for each option but the
    last: this option against those that are left (nested dichotomies), in the order in which the ordered questions part them most.

    Parameters
    ----------
    shares : array, shape ``(questions, cells, options)``
        Padded with 0.
    mask : array of bool, shape ``(questions, options)``
    answers : int array, shape ``(respondents, questions)``
        Position of the option; -1 where there is no answer.
    cell : int array, shape ``(respondents,)``
    nominal : sequence of bool, shape ``(questions,)``

    References
    ----------
    Olsson (1979), Maximum likelihood estimation of the polychoric correlation coefficient, doi:10.1007/BF02296207 (two steps: thresholds,
    then correlations). Lancaster (1957), doi:10.1093/biomet/44.1-2.289 (the series in rho).
    """
    own = [(1 - LEAST_SHARE) * part[:, :options] + LEAST_SHARE / options for part, options in zip(shares, mask.sum(1), strict=True)]
    ordered = [place for place, of_nominal in enumerate(nominal) if not of_nominal]
    known = [_bracket_scores(own[place], answers[:, place], cell)[0] for place in ordered]
    beside = np.stack(known, axis=1) if known else np.zeros((len(cell), 0))
    orders = tuple(
        contrast_order(own[place], answers[:, place], beside) if of_nominal else None for place, of_nominal in enumerate(nominal)
    )
    question, columns = [], []
    for place, order in enumerate(orders):
        code = answers[:, place]
        for brackets, given in [(own[place], code)] if order is None else dichotomies(own[place], code, order):
            question.append(place)
            columns.append(_bracket_scores(brackets, given, cell))
    score, told, hermite, spread = (np.stack(parts, axis=-1) for parts in zip(*columns, strict=True))
    return Scores(np.array(question), score, told, cell, hermite, spread, orders)


def contrast_order(shares: Array, answers: Whole, beside: Array) -> Whole:
    """Return the options of a nominal question in the order of its contrasts, along the line on which other answers part them most.

    That line is the first principal component of the options' mean scores on the ordered questions; without such questions the most
    frequent option comes first.

    Parameters
    ----------
    shares : array, shape ``(cells, options)``
    answers : int array, shape ``(respondents,)``
    beside : array, shape ``(respondents, ordered questions)``
        Normal scores.
    """
    chosen = (answers[:, None] == np.arange(shares.shape[1])).astype(float)
    count = chosen.sum(0)
    if not beside.shape[1] or not count.all() or len(count) < 3:
        return np.argsort(-shares.mean(0), kind="stable")
    means = (chosen.T @ beside) / count[:, None]
    centred = np.sqrt(count)[:, None] * (means - count @ means / count.sum())
    line = np.linalg.svd(centred, full_matrices=False)[2][0]
    return np.argsort(-(means @ line) * np.sign(line[np.abs(line).argmax()]), kind="stable")


def dichotomies(shares: Array, answers: Whole, order: Whole) -> list[tuple[Array, Whole]]:
    """Return each contrast's two brackets, shares ``(cells, 2)``, and the respondents' places in them; -1: they are not asked any more."""
    found = []
    left, waiting = np.ones(len(shares)), answers >= 0
    for option in order[:-1]:
        high = np.clip(shares[:, option] / left, 1e-9, 1 - 1e-9)
        found.append((np.stack([1 - high, high], axis=1), np.where(waiting, (answers == option).astype(int), -1)))
        left, waiting = left - shares[:, option], waiting & (answers != option)
    return found


def _bracket_scores(shares: Array, code: Whole, cell: Whole) -> tuple[Array, Array, Array, Array]:
    """Return score, whether known, and of each cell Hermite coefficients ``(terms, cells)`` and expected variance, of one latent."""
    from scipy.special import ndtri

    above = np.cumsum(shares, axis=1)[:, :-1]
    cuts = np.pad(ndtri(np.clip(above, 1e-12, 1 - 1e-12)), ((0, 0), (1, 1)), constant_values=(-40.0, 40.0))
    steps = _hermite_steps(cuts)  # (terms, cells, options): integrals of h_k over each bracket
    values = np.divide(steps[0], shares, out=np.zeros_like(shares), where=shares > 0)
    coefficients = (steps * values).sum(-1)
    known = code >= 0
    score = np.where(known, values[cell, np.maximum(code, 0)], 0.0)
    return score, known.astype(float), coefficients, (values**2 * shares).sum(1)


def _hermite_steps(cuts: Array) -> Array:
    """Return the integral of ``h_k phi`` over each bracket (a, b), ``(terms, cells, options)``: that of ``-h_{k-1} phi / sqrt k``."""
    density = np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    before, current = np.zeros_like(cuts), density  # h_k phi, normalised: h_{k+1} = (x h_k - sqrt(k) h_{k-1}) / sqrt(k + 1)
    steps = []
    for k in range(1, TERMS + 1):
        steps.append(-np.diff(current, axis=-1) / np.sqrt(k))
        before, current = current, (cuts * current - np.sqrt(k - 1) * before) / np.sqrt(k)
    return np.stack(steps)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Correlations of all pairs of latents, and what their sampling error is made of; arrays of shape ``(latents, latents)``.

    Attributes
    ----------
    rho : array
        Missing where nobody answered both.
    n : array
        Respondents who answered both.
    ratio : array
        Correlation of the scores, in units of the spread that the cells expect of them.
    gain : array
        How fast rho moves with `ratio`.
    """

    rho: Array
    n: Array
    ratio: Array
    gain: Array
    scores: Scores
    weights: Array

    def noise(self, multipliers: Array) -> Array:
        """Return what a sampling error of the respondents' weights, multipliers of mean 0 and variance 1, makes of the correlations."""
        return _change(self.scores, self.weights, multipliers, self.ratio) * self.gain


def correlations(scores: Scores, weights: Array) -> Pairs:
    """Return the polychoric correlations of all pairs of latents, all at once, by the moments of their scores.

    Of every pair the weighted correlation of the scores, in units of the spread that the cells expect, is what a correlation rho of the
    latents would make of it: ``sum_k rho^k mean(a_k b_k)``, with the Hermite coefficients a and b of each respondent's own cell.

    Parameters
    ----------
    scores : Scores
    weights : array, shape ``(respondents,)``
    """
    together = _cross(scores.known, weights, scores.known)
    with np.errstate(invalid="ignore", divide="ignore"):
        series, expected = (part / together for part in _expected(scores, weights))
        own = _cross(scores.score**2, weights, scores.known)
        unit = np.sqrt(expected * expected.T)
        ratio = _cross(scores.score, weights, scores.score) / np.sqrt(own * own.T)
        target = ratio * unit
    low, high = np.full(target.shape, -HIGHEST), np.full(target.shape, HIGHEST)
    for _ in range(45):
        middle = (low + high) / 2
        below = _series(series, middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    rho = np.where(np.isfinite(target), (low + high) / 2, np.nan)
    degrees = np.arange(1, TERMS + 1)[:, None, None]
    slope = (degrees * series * np.nan_to_num(rho) ** (degrees - 1)).sum(0)
    np.fill_diagonal(rho, 1.0)
    return Pairs(rho, scores.known.T @ scores.known, ratio, unit / slope, scores, weights)


def _expected(scores: Scores, weights: Array) -> tuple[Array, Array]:
    """Return weighted sums over pairs known: of products of Hermite coefficients, ``(terms, latents, latents)``, and of spreads."""
    size = len(scores.question)
    series, spread = np.zeros((TERMS, size, size)), np.zeros((size, size))
    for place in np.unique(scores.cell):
        rows = scores.cell == place
        together = _cross(scores.known[rows], weights[rows], scores.known[rows])
        coefficients = scores.hermite[:, place]
        series += coefficients[:, :, None] * coefficients[:, None] * together
        spread += scores.spread[place][:, None] * together
    return series, spread


def _change(scores: Scores, weights: Array, multipliers: Array, ratio: Array) -> Array:
    """Return the linear change of the score correlations when weights change by ``weights * multipliers``."""
    moved = weights * multipliers
    own = _cross(scores.score**2, weights, scores.known)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = _cross(scores.score**2, moved, scores.known) / own
        return np.asarray(_cross(scores.score, moved, scores.score) / np.sqrt(own * own.T) - ratio * (change + change.T) / 2)


def _cross(first: Array, weights: Array, second: Array) -> Array:
    return (first * weights[:, None]).T @ second


def _series(series: Array, rho: Array) -> Array:
    total = np.zeros_like(rho)
    for part in series[::-1]:
        total = (total + part) * rho
    return total
