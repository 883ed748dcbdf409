"""Shares that start from a prior's and are moved by the sample: a level shift, a slope, and departures through the kernels.

A cell's shares are ``start_k * exp(sum_m d_m phi_m(k))``, normalised: start are the prior's shares of the cell and phi_m the option
contrasts of `surveysim.baselines.multilevel`, orthonormal under the prior's mean shares. A question's contrast has over backgrounds

    d ~ N(g eta, S + level 1 1' + slope eta eta' + sum_j v_j kernel_j),

where eta are the prior's own contrasts, centred, S is the covariance of their errors, and 1 + g is the slope of the prior's differences:
0 ignores them, 1 takes them as they are. Of several sources the prior's cells are the weighted geometric mean (`count_for`); what source
p has apart from it, delta_p, enters the mean as b_p delta_p with b_p ~ N(0, `APART`^2). The kernels are those of the estimate without one.
How much opinion has moved is expected in proportion to how much it differs: v_j is centred on a part of what the prior's own differences
put on kernel_j (`Expected`). All are found by their posterior mode, for a question's rows weighted by how many independent ones they are
worth (`surveysim.baselines.expected_changes`), under each of the `STANCES` towards the prior, which are averaged by their evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.baselines.expected_changes import Rows, split_differences
from surveysim.baselines.multilevel import contrast_classes, drawn_shares, share_slopes
from surveysim.baselines.posterior import OpenContrasts, contrast_variance, left_out_shares, offset_mode, posterior_covariance
from surveysim.baselines.prior import STANCES, WAVE, Expected, StartCells, stance_odds
from surveysim.baselines.regressions import softmax
from surveysim.baselines.variance_components import Kernel
from surveysim.tables.cells import Array, Cells
from surveysim.tables.draws import normal_draws

NEGLIGIBLE = 1e-6  # probability of a stance below which it is left out


@dataclass(frozen=True, eq=False)
class MovedPrior:
    """What `move_prior` found.

    Attributes
    ----------
    shares, std_error : array, shape (questions, backgrounds, options)
    draws : array, shape (draws, questions, backgrounds, options), optional
    slope : array, shape (questions,)
        Of the prior's differences between backgrounds, of its first contrast: 0 ignored, 1 taken as they are; NaN where it has none, as
        of one background.
    level_shift : array, shape (questions,)
        Mean shift of the first contrast over backgrounds, in standard deviations of a respondent's answer.
    explained : array, shape (questions,)
        Share of the first contrast's variance between backgrounds that the prior's differences account for, 0-1.
    covariance : array, shape (questions, contrasts, backgrounds, backgrounds)
        Of the contrasts' errors, in the prior's basis.
    expected : array, shape (questions, backgrounds, options)
        Shares before a question's own answers are looked at: the prior's, with the slope and weights that all questions show.
    left_out : array, shape (questions, backgrounds, options)
        Shares of each sampled background as the others say (`left_out_shares`).
    ignored : array, shape (questions,)
        Probability, after the sample, that the prior's differences are of no use.
    weights : array, shape (sources,), optional
        Of several sources: what each counts for in the first contrasts, mean over questions and stances.
    """

    shares: Array
    std_error: Array
    draws: Array | None
    slope: Array
    level_shift: Array
    explained: Array
    covariance: Array
    expected: Array
    left_out: Array
    ignored: Array
    weights: Array | None = None


def move_prior(
    cells: Cells,
    kernels: Sequence[Kernel],
    start: StartCells,
    *,
    ordered: np.ndarray,
    wave: Expected = WAVE,
    draws: int = 0,
    seed: int = 0,
) -> MovedPrior:
    """Move a prior's cells by a sample.

    Parameters
    ----------
    cells : Cells
        The sample; ``n_eff`` 0 marks a background, or a question, that was not sampled.
    kernels : sequence of array, shape (backgrounds, backgrounds) or (questions, backgrounds, backgrounds)
    start : StartCells
        In the layout of `cells`.
    ordered : array of bool, shape (questions,)
    wave : Expected
        What is expected of a wave, in place of the first of `STANCES`.
    draws, seed : int
        From the posterior, to first order as the standard errors are.

    Returns
    -------
    MovedPrior

    References
    ----------
    Hoeting, Madigan, Raftery, Volinsky (1999), Bayesian model averaging, Statistical Science 14(4).
    """
    fits, odds = _fitted(cells, kernels, start, ordered, wave)
    basis, eta = start.contrasts(cells.mask)
    rng, known, drawn = np.random.default_rng(seed), [], []
    for fit in fits:
        posterior = posterior_covariance(cells, basis, fit.modelled, fit.shares, fit.found.wide)
        known.append(posterior)
        if draws:
            drawn.append(drawn_shares(fit.shares, basis, normal_draws(posterior, draws, rng)))
    errors = [_variance(fit.shares, basis, posterior) for fit, posterior in zip(fits, known, strict=True)]
    shares, change = _mean([fit.shares for fit in fits], odds), _mean([fit.change for fit in fits], odds)
    apart = [error + (fit.shares - shares) ** 2 for fit, error in zip(fits, errors, strict=True)]
    between = [np.einsum("qam,qbm->qmab", *[fit.change - change] * 2) for fit in fits]
    covariance = _mean([own + other for own, other in zip(known, between, strict=True)], odds)
    left_out = [
        left_out_shares(cells, basis, fit.modelled, fit.base, fit.found.covariance, reference=start.reference, shares=fit.shares)
        for fit in fits
    ]
    weights = np.average([fit.found.weights for fit in fits], axis=0, weights=odds.mean(0))
    return MovedPrior(
        shares,
        np.sqrt(_mean(apart, odds)),
        _drawn(drawn, stance_odds(start)[0], odds, rng) if draws else None,
        *_worth(eta[..., 0], change[..., 0]),
        covariance,
        _mean([fit.base for fit in fits], odds),
        _mean(left_out, odds),
        _ignored(fits, odds),
        weights if len(weights) else None,
    )


def open_changes(cells: Cells, kernels: Sequence[Kernel], start: StartCells, *, ordered: np.ndarray) -> list[OpenContrasts]:
    """Return what is open about every contrast before the sample, under the likeliest stance towards the prior; arguments as there."""
    fits, odds = _fitted(cells, kernels, start, ordered, WAVE)
    basis, likeliest, found = start.contrasts(cells.mask)[0], odds.argmax(1), []
    ignored = _ignored(fits, odds)
    worth = [contrast_variance(fit.shares, basis) for fit in fits]
    slopes = [share_slopes(fit.shares, basis) for fit in fits]
    for q, m in np.argwhere(fits[0].modelled):
        best = likeliest[q]
        found.append(OpenContrasts(int(q), fits[best].found.wide[q, m], worth[best][q, :, m], slopes[best][q][..., [m]], float(ignored[q])))
    return found


def _ignored(fits: Sequence[_Fit], odds: Array) -> Array:
    return np.asarray(odds @ np.array([float(fit.expected.ignored) for fit in fits]))


def _mean(values: Sequence[Array], odds: Array) -> Array:
    """Mean over stances, each question's by its odds."""
    return np.asarray(sum(odds[:, place].reshape(-1, *[1] * (value.ndim - 1)) * value for place, value in enumerate(values)))


def _variance(shares: Array, basis: Array, posterior: Array) -> Array:
    """Variance of the shares, to first order."""
    own = np.clip(np.einsum("qmaa->qam", posterior), 0.0, None)
    return np.asarray(np.einsum("qbkm,qbm->qbk", share_slopes(shares, basis) ** 2, own))


def _drawn(drawn: Sequence[Array], group: np.ndarray, odds: Array, rng: np.random.Generator) -> Array:
    """Draws of each stance as often as it is probable; the questions of a group are of one stance in a draw."""
    chosen = np.empty((len(drawn[0]), len(odds)), int)
    for own in range(group.max() + 1):
        at = group == own
        chosen[:, at] = rng.choice(len(drawn), len(chosen), p=odds[at][0])[:, None]
    return np.asarray(np.take_along_axis(np.stack(drawn), chosen[None, :, :, None, None], axis=0)[0])


@dataclass(frozen=True, eq=False)
class _Class:
    """A class of contrasts, rows (question, order) of one group, with what the prior's own differences put on every kernel."""

    higher: bool
    group: int
    questions: np.ndarray
    orders: np.ndarray
    differences: Array


@dataclass(frozen=True, eq=False)
class _Change:
    """What is expected of every contrast's change; as `ClassChange`, laid out by question; `plausible` and `worth` a group each."""

    mean: Array
    covariance: Array
    wide: Array
    weights: Array
    plausible: Array
    worth: Array
    points: list[Array]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Posterior mode of a prior moved by a sample, under one stance; arrays are laid out as those of `Cells` and `StartCells`."""

    expected: Expected
    modelled: np.ndarray
    found: _Change
    base: Array
    shares: Array
    change: Array
    evidence: Array


def _fitted(cells: Cells, kernels: Sequence[Kernel], start: StartCells, ordered: np.ndarray, wave: Expected) -> tuple[list[_Fit], Array]:
    """Return the fits under the stances that are not negligible, and the odds of each for every question, shape (questions, fits)."""
    basis, eta = start.contrasts(cells.mask)
    modelled = np.arange(basis.shape[2]) < (cells.mask.sum(-1) - 1)[:, None]
    group, before = stance_odds(start, asked=cells.n_eff.sum(1) > 0)
    classes = []
    for higher, questions, orders in contrast_classes(modelled, ordered):
        for own in np.unique(group[questions]):
            at = group[questions] == own
            rows = eta[questions[at], :, orders[at]]
            split = split_differences(kernels, rows, questions[at])
            classes.append(_Class(higher, int(own), questions[at], orders[at], split))
    fits = [_stance(cells, kernels, start, modelled, classes, each) for each in (wave, *STANCES[1:])]
    evidence = np.stack([np.bincount(group, fit.evidence, len(before)) for fit in fits], axis=1)
    worth = np.mean([fit.found.worth for fit in fits], axis=0)[:, None]
    logs = np.log(before) + worth * evidence + np.stack([fit.found.plausible for fit in fits], axis=1)
    odds = softmax(logs, np.ones(logs.shape, bool))[group]
    kept = np.flatnonzero(odds.max(0) > NEGLIGIBLE)
    return [fits[place] for place in kept], odds[:, kept] / odds[:, kept].sum(1, keepdims=True)


def _stance(
    cells: Cells, kernels: Sequence[Kernel], start: StartCells, modelled: np.ndarray, classes: Sequence[_Class], expected: Expected
) -> _Fit:
    basis, eta = start.contrasts(cells.mask)
    logs, there = _logs(start.shares, cells.mask), cells.mask[:, None]
    moved = -eta if expected.ignored else np.zeros_like(eta)
    shares = softmax(logs + np.einsum("qbm,qkm->qbk", moved, basis), there)
    found: _Change | None = None
    for _ in range(expected.rounds):
        found = _expected_change(cells, kernels, start, classes, expected, around=(shares, moved), begin=found)
        base = softmax(logs + np.einsum("qbm,qkm->qbk", found.mean, basis), there)
        shares, departures, evidence = offset_mode(cells, basis, modelled, base, found.covariance)
        moved = found.mean + departures
    assert found is not None
    return _Fit(expected, modelled, found, base, shares, moved, evidence)


def _logs(shares: Array, mask: np.ndarray) -> Array:
    return np.where(mask[:, None], np.log(np.where(mask[:, None], shares, 1.0)), 0.0)


def _expected_change(
    cells: Cells,
    kernels: Sequence[Kernel],
    start: StartCells,
    classes: Sequence[_Class],
    expected: Expected,
    *,
    around: tuple[Array, Array],
    begin: _Change | None,
) -> _Change:
    """Find it from the contrasts' observations, made linear around some shares and the change that they are."""
    shares, moved = around
    basis, eta = start.contrasts(cells.mask)
    spread = contrast_variance(shares, basis)
    away = np.einsum("qbk,qkm->qbm", cells.shares - shares, basis)
    scores = np.where((cells.n_eff > 0)[..., None], moved + away / spread, 0.0)
    sizes, apart = cells.n_eff[..., None] * spread, start.sources(basis)
    covariance, wide, mean = np.zeros_like(start.error), np.zeros_like(start.error), np.zeros_like(scores)
    weights, groups = np.zeros((len(scores), apart.number)), max(each.group for each in classes) + 1
    plausible, worth, size, points = np.zeros(groups), np.zeros(groups), np.zeros(groups), []
    for place, each in enumerate(classes):
        alike, of = each.questions, each.orders
        at, own = (alike, slice(None), of), [kernel[alike] if kernel.ndim == 3 else kernel[None] for kernel in kernels]
        rows = Rows(own, scores[at], sizes[at], eta[at], error=start.error[alike, of], sources=apart.rows(alike, of))
        found = rows.fit(expected, each.differences, each.higher, begin.points[place] if begin else None)
        points.append(found.point)
        covariance[alike, of], wide[alike, of], mean[at] = found.covariance, found.wide, found.mean
        weights[alike[of == 0]] = found.weights
        plausible[each.group] += found.plausible
        worth[each.group] += found.worth * len(alike)
        size[each.group] += len(alike)
    return _Change(mean, covariance, wide, weights.mean(0), plausible, worth / size, points)


def _worth(eta: Array, change: Array) -> tuple[Array, Array, Array]:
    """Slope of the estimate's first contrast on the prior's, its mean shift, and the share of variance explained, a question each."""
    estimate = eta + change
    centred = estimate - estimate.mean(1, keepdims=True)
    own, both, all_of = (eta**2).sum(1), (eta * centred).sum(1), (centred**2).sum(1)
    slope = np.divide(both, own, out=np.full_like(own, np.nan), where=own > 0)
    explained = np.divide(both**2, own * all_of, out=np.zeros_like(own), where=own * all_of > 0)
    return slope, change.mean(1), explained
