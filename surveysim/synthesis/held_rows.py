"""Rows that hold the shares of their background exactly: by their weights, or chosen among candidates so that weights can hold them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surveysim.design.calibration import calibrated_weights
from surveysim.errors import DesignError
from surveysim.synthesis.latent_scores import Whole
from surveysim.tables.cells import Array

Candidates = Callable[
    [int, int, bool], Whole
]  # a background, a number of rows, whether answers go together -> answers nearly of its shares
ROWS_A_MARGIN = 1.1  # from so many rows on for every number to be held, there nearly always are rows and weights that hold all
ROWS_TO_RAKE = 2.0  # from so many on, weights of any rows mostly hold them: these are tried first, being more even
CANDIDATES_A_MARGIN = 5
TRIES, SPLIT = 4, 0.04  # to find as many rows as asked for; what part may stand there twice, with half the weight, more with each try
LEAST_WEIGHT = 1e-9
LAST_RESORT = 5.0  # cost of a candidate whose answers do not go together, beside 0 to 1 of the others


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weights of rows, and where they hold the shares.

    Attributes
    ----------
    weights : array, shape ``(rows,)``
    held : array of bool, shape ``(cells,)``
        Backgrounds whose own shares hold exactly; the others' hold exactly all together.
    together : bool
        Whether the others' do.
    """

    weights: Array
    held: npt.NDArray[np.bool_]
    together: bool


def rows_needed(mask: npt.NDArray[np.bool_]) -> int:
    """Return from how many rows on a background's shares, options ``(questions, options)``, can be held exactly."""
    return math.ceil(ROWS_A_MARGIN * margins_held(mask)) + 2


def margins_held(mask: npt.NDArray[np.bool_]) -> int:
    """Return how many numbers a background's size and shares are."""
    return int((mask.sum(1) - 1).sum()) + 1


def hold_shares(
    answers: Whole,
    shares: Array,
    cell: Whole,
    population: Array,
    *,
    margins: int,
    candidates: Candidates,
    generator: np.random.Generator,
) -> tuple[Whole, Weighted]:
    """Return rows and weights that have the shares of their cells; where there are too few rows, those of several cells together.

    Of a background with rows enough the weights are raked (the solution of iterative proportional fitting, found by Newton's method); if
    none hold the shares, other rows are chosen among candidates. Backgrounds with too few rows are raked together: each keeps its
    size, and all of them have the sum of their shares.

    Parameters
    ----------
    answers : int array, shape ``(rows, questions)``
    shares : array, shape ``(questions, cells, options)``
    cell : int array, shape ``(rows,)``
    population : array, shape ``(cells,)``
        The weight of each background; sums to the sum of all weights.
    margins : int
        How many numbers the shares of one background are.
    """
    size = np.bincount(cell, minlength=len(population))
    weights, answers = (population / size)[cell], answers.copy()
    held = np.zeros(len(population), dtype=bool)
    for place in np.flatnonzero(size >= math.ceil(ROWS_A_MARGIN * margins) + 2):
        rows, own = np.flatnonzero(cell == place), shares[:, place]
        found = _raked(weights[rows], answers[rows], population[place] * own) if len(rows) >= ROWS_TO_RAKE * margins else None
        if found is None:
            chosen = _chosen(int(place), own, len(rows), margins, candidates, generator)
            if chosen is None:
                continue
            answers[rows], found = chosen[0], population[place] * chosen[1]
        weights[rows], held[place] = found, True
    return _held_together(answers, weights, held, shares, cell, population)


def _chosen(
    place: int, shares: Array, rows: int, margins: int, candidates: Candidates, generator: np.random.Generator
) -> tuple[Whole, Array] | None:
    """Return the answers of rows of a background that hold its shares, and their weights; none where no candidates do."""
    for attempt in (1, 3):
        usual = candidates(place, rows + CANDIDATES_A_MARGIN * margins * attempt, True)
        among = np.concatenate([usual, candidates(place, 2 * margins * attempt, False)])
        chosen = chosen_rows(among, shares, rows, generator, usual=len(usual))
        if chosen is not None:
            return among[chosen[0]], chosen[1]
    return None


def _held_together(
    answers: Whole, weights: Array, held: npt.NDArray[np.bool_], shares: Array, cell: Whole, population: Array
) -> tuple[Whole, Weighted]:
    """Return rows and weights where backgrounds that do not hold their shares hold the sum of them, with the help of few others."""
    helpers = np.flatnonzero(held)[np.argsort(-population[held], kind="stable")]
    several = 0
    while not held.all():
        pool = ~held
        pool[helpers[:several]] = True
        rest = np.flatnonzero(pool[cell])
        wanted = np.einsum("qbk,b->qk", shares[:, pool], population[pool])
        tried = _with_every_option(answers[rest], shares, cell[rest], wanted)
        found = _raked(weights[rest], tried, wanted, cell=cell[rest], sizes=population)
        if found is not None:
            answers[rest], weights[rest] = tried, found
            return answers, Weighted(weights, ~pool, True)
        if several >= len(helpers):
            return answers, Weighted(weights, held, False)
        several = max(1, 2 * several)
    return answers, Weighted(weights, held, True)


def _with_every_option(answers: Whole, shares: Array, cell: Whole, wanted: Array) -> Whole:
    """Return rows where each option that has a share has a row: one of the background where it is likeliest, of its commonest option."""
    answers = answers.copy()
    for question, sums in enumerate(wanted):
        counts = np.bincount(answers[:, question], minlength=len(sums))
        for option in np.flatnonzero((counts == 0) & (sums > 0)):
            common = answers[:, question] == counts.argmax()
            answers[np.where(common, shares[question, cell, option], -1.0).argmax(), question] = option
    return answers


def chosen_rows(
    answers: Whole, shares: Array, n: int, generator: np.random.Generator, *, usual: int | None = None
) -> tuple[Whole, Array] | None:
    """Choose n of a background's candidate rows, and weights with which these hold its shares exactly; none where it cannot be done.

    A random vertex of the weights between 0 and 1 that hold the shares: all but as many rows as there are shares have weight 0 or 1, as in
    balanced sampling by the cube method, whose flight phase ends in such a vertex.

    Parameters
    ----------
    answers : int array, shape ``(candidates, questions)``
    shares : array, shape ``(questions, options)``
    n : int
    usual : int, optional
        Candidates from this position on are chosen only as far as the others cannot hold the shares. Default: there are none.

    Returns
    -------
    rows : int array, shape ``(n,)``
        Positions among the candidates; a few may stand there twice, with half the weight.
    weights : array, shape ``(n,)``
        Sum to 1.

    References
    ----------
    Deville and Tillé (2004), Efficient balanced sampling: the cube method, doi:10.1093/biomet/91.4.893.
    """
    from scipy.optimize import linprog

    margins, totals = _margins(answers, shares)
    cost = generator.random(len(answers))
    cost[len(answers) if usual is None else usual :] += LAST_RESORT
    size = n - len(totals) / 2
    for attempt in range(1, TRIES + 1):
        if not 1 <= size <= len(answers):
            return None
        found = linprog(cost, A_eq=margins, b_eq=totals * size, bounds=(0.0, 1.0), method="highs-ds")
        if found.status != 0:
            return None
        rows = np.flatnonzero(found.x > LEAST_WEIGHT)
        if n - attempt * SPLIT * n <= len(rows) <= n:
            twice = generator.choice(rows, n - len(rows), replace=False)
            drawn = np.append(rows, twice)
            times = np.bincount(drawn, minlength=len(answers))
            return drawn, found.x[drawn] / times[drawn] / size
        size += 0.98 * n - len(rows)
    return None


def _margins(answers: Whole, shares: Array) -> tuple[Array, Array]:
    """Return what the weights of rows are to add up to, ``(margins, rows)`` and ``(margins,)``: 1, and each share but the largest."""
    columns, totals = [np.ones(len(answers))], [1.0]
    for own, given in zip(answers.T, shares, strict=True):
        for option in np.argsort(-given, kind="stable")[1:]:
            if given[option] > 0:
                columns.append((own == option).astype(float))
                totals.append(float(given[option]))
    return np.stack(columns), np.array(totals)


def _raked(weights: Array, answers: Whole, wanted: Array, *, cell: Whole | None = None, sizes: Array | None = None) -> Array | None:
    """Return raked weights with sums `wanted` ``(questions, options)``, and sizes of backgrounds; none where there are none."""
    columns, totals = [np.ones(len(weights))], [float(weights.sum())]
    if cell is not None and sizes is not None:
        there = np.unique(cell)
        columns, totals = [(cell == place).astype(float) for place in there], [float(sizes[place]) for place in there]
    for question, sums in enumerate(wanted):
        options = [option for option in np.argsort(-sums)[1:] if sums[option] > 0]  # the first follows from the others
        given = answers[:, question]
        with_rows = [option for option in options if (given == option).any()]
        reachable = sums[with_rows].sum() + sums.max()
        columns += [(given == option).astype(float) for option in with_rows]
        totals += [float(sums[option] * sums.sum() / reachable) for option in with_rows]
    margins = np.column_stack(columns)
    if margins.shape[1] > len(weights):
        return None
    try:
        found = calibrated_weights(weights, margins, np.array(totals), method="raking")
    except DesignError:
        return None
    return found if found.min() > 0 else None
