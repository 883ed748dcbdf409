"""Rows of simulated respondents: what they are made of, how many there are of each background and option, and which row gets which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.questions import Question
from surveysim.errors import SurveySimError
from surveysim.survey.survey import Survey
from surveysim.synthesis.dependence import Dependence, Units, learn_dependence
from surveysim.synthesis.held_rows import ROWS_TO_RAKE, Weighted, hold_shares, margins_held, rows_needed
from surveysim.synthesis.joint_draws import drawn_together, error_correlation
from surveysim.synthesis.latent_scores import Whole, latent_scores
from surveysim.synthesis.learnt_sample import LearntSample
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.draws import draw_columns
from surveysim.tables.schema import BACKGROUND, OPTION, POPULATION_SHARE, QUESTION


@dataclass(frozen=True, eq=False)
class Source:
    """What rows are made of: the shares of the population's backgrounds, and how answers go together."""

    questions: list[Question]
    people: pd.DataFrame
    cells: Cells
    draws: Array  # (draws, questions, backgrounds, options)
    sample: LearntSample
    dependence: Dependence
    units: Units
    seed: int

    @property
    def nominal(self) -> list[bool]:
        """Whether each question's options have no order."""
        return [question.type == "nominal" for question in self.questions]

    def rows(self, number: int, n: int, *, drawn: bool) -> Rows:
        """Return one synthesis: of the shares themselves, or of its own draw."""
        generator = np.random.default_rng([self.seed, number])
        population = self.people[POPULATION_SHARE].to_numpy()
        shares = (self.draws[number - 1] if drawn else self.cells.shares)[:, : len(population)]
        dependence = self.dependence.drawn(self.units, generator) if drawn else self.dependence
        counts = rows_of_backgrounds(population, n, rows_needed(self.cells.mask))
        margins = margins_held(self.cells.mask)
        whole = counts >= ROWS_TO_RAKE * margins
        cell = np.repeat(np.arange(len(population)), counts)
        root, make = dependence.root(), partial(self._answers, generator=generator)
        answers = make(shares, counts, cell, whole, root=root)

        def candidates(place: int, rows: int, together: bool) -> Whole:
            chosen = root if together else np.eye(len(root))
            return make(shares[:, [place]], np.array([rows]), np.zeros(rows, dtype=np.int64), np.ones(1, dtype=bool), root=chosen)

        answers, weighted = hold_shares(answers, shares, cell, n * population, margins=margins, candidates=candidates, generator=generator)
        return Rows(number, answers, cell, shares, weighted)

    def _answers(
        self, shares: Array, counts: Whole, cell: Whole, whole: npt.NDArray[np.bool_], *, root: Array, generator: np.random.Generator
    ) -> Whole:
        scores, options = self.dependence.pairs.scores, option_counts(shares, counts, whole, generator)
        latent = generator.standard_normal((len(cell), len(root))) @ root.T
        return answers_of_rows(latent, scores.question, options, cell, scores.orders)


@dataclass(frozen=True, eq=False)
class Rows:
    """One synthesis: answers as places of options, backgrounds as places in the population, the shares it holds, and its weights."""

    number: int
    answers: Whole
    cell: Whole
    shares: Array
    weighted: Weighted


def source_of(survey: Survey, asked: list[Question], sample: LearntSample, people: pd.DataFrame, table: pd.DataFrame, seed: int) -> Source:
    """Return what rows are made of; the population's backgrounds stand first in the cells."""
    grid = list(dict.fromkeys([*people[BACKGROUND], *sample.backgrounds]))
    cells = to_cells(table).on(questions=[question.question_id for question in asked], backgrounds=grid)
    nominal = [question.type == "nominal" for question in asked]
    own_cell = np.array([grid.index(cell) for cell in sample.backgrounds])[sample.cell]
    scores = latent_scores(cells.shares, cells.mask, sample.answers, own_cell, nominal)
    units = Units.of(survey.data, sample.rows)
    dependence = learn_dependence(scores, survey.design.weights[sample.rows], units, np.random.default_rng([seed, 0]))
    together = drawn_together(_drawn_shares(table, cells), cells.shares, nominal, error_correlation(dependence.pairs, nominal))
    return Source(asked, people, cells, together, sample, dependence, units, seed)


def _drawn_shares(table: pd.DataFrame, cells: Cells) -> Array:
    """Return the table's draws as shares, none below 0 and summing to 1 in a cell, ``(draws, questions, backgrounds, options)``."""
    place = {(name, code): k for name, codes in zip(cells.questions, cells.codes, strict=True) for k, code in enumerate(codes)}
    row, column = pd.Index(cells.questions).get_indexer(table[QUESTION]), pd.Index(cells.backgrounds).get_indexer(table[BACKGROUND])
    option = np.array([place[key] for key in zip(table[QUESTION], table[OPTION], strict=True)], dtype=np.int64)
    names = draw_columns(table)
    drawn = np.zeros((len(names), *cells.shares.shape))
    drawn[:, row, column, option] = table[names].clip(lower=0.0).to_numpy().T
    return np.asarray(drawn / drawn.sum(-1, keepdims=True))


def rows_of_backgrounds(population: Array, n: int, enough: int = 1) -> Whole:
    """Return how many of n rows each background gets: in proportion to its people, at least one, by largest remainder.

    Where there are rows to give every background `enough` of them, each gets these.

    Raises
    ------
    SurveySimError
        If there are fewer rows than backgrounds.
    """
    if n < len(population):
        raise SurveySimError(
            f"n={n} rows are fewer than the {len(population)} backgrounds that have people; give n={len(population)} or more, or a "
            "population of fewer traits"
        )
    least = enough if enough * len(population) <= n else 1
    small, wanted = np.zeros(len(population), dtype=bool), n * population / population.sum()
    while (below := ~small & (wanted < least)).any():
        small |= below
        wanted = np.where(small, least, (n - least * small.sum()) * population / max(population[~small].sum(), np.finfo(float).tiny))
    counts = np.floor(wanted + 1e-9).astype(int)
    counts[np.argsort(counts - wanted, kind="stable")[: n - counts.sum()]] += 1
    return counts


def option_counts(shares: Array, rows: Whole, whole: npt.NDArray[np.bool_], generator: np.random.Generator) -> Whole:
    """Return how many rows of each cell give each option, ``(questions, cells, options)``: rows times share, rounded down or up.

    What rounding leaves over in one background is carried to the next, so that sums over backgrounds stay near. Where `whole` says so,
    every option that has a share gets a row.

    Parameters
    ----------
    shares : array, shape ``(questions, cells, options)``
    rows : int array, shape ``(cells,)``
    whole : array of bool, shape ``(cells,)``
    """
    counts = np.zeros(shares.shape, dtype=np.int64)
    carried = np.zeros((shares.shape[0], shares.shape[2]))
    for cell in generator.permutation(len(rows)):
        expected = rows[cell] * shares[:, cell]
        down = np.floor(expected + 1e-9)
        if whole[cell]:
            down = np.maximum(down, expected > 0)
        owed = np.where(expected > down + 1e-9, expected - down + carried, -np.inf)
        more = (rows[cell] - down.sum(1)).astype(int)
        rank = np.argsort(np.argsort(-owed, axis=1, kind="stable"), axis=1)
        counts[:, cell] = down + ((rank < more[:, None]) & np.isfinite(owed))
        for question in np.flatnonzero(counts[:, cell].sum(1) != rows[cell]):
            counts[question, cell] = _filled(counts[question, cell], expected[question], int(rows[cell]))
        carried += expected - counts[:, cell]
    return counts


def _filled(counts: Whole, expected: Array, rows: int) -> Whole:
    """Return counts that add up to the rows, by single rows where they are farthest from what is expected."""
    counts = counts.copy()
    while counts.sum() != rows:
        step = int(np.sign(rows - counts.sum()))
        gap = np.where((expected > 0) & ((counts > 1) | (step > 0)), step * (expected - counts), -np.inf)
        counts[int(gap.argmax())] += step
    return counts


def answers_of_rows(latent: Array, question: Whole, counts: Whole, cell: Whole, orders: Sequence[Whole | None]) -> Whole:
    """Return the option of every row, ``(rows, questions)``: within a background, rows in the order of their latent fill the counts.

    Parameters
    ----------
    latent : array, shape ``(rows, latents)``
    question : int array, shape ``(latents,)``
        The question that each latent is of.
    counts : int array, shape ``(questions, cells, options)``
    cell : int array, shape ``(rows,)``
    orders : sequence of int arrays
        Of each nominal question its options in the order of their contrasts.
    """
    answers = np.zeros((len(cell), len(counts)), dtype=np.int64)
    for place, order in enumerate(orders):
        own = latent[:, question == place]
        if order is not None:
            answers[:, place] = _by_contrasts(own, order, counts[place], cell)
        else:
            upto = np.cumsum(counts[place], axis=1)[cell][:, :-1]
            answers[:, place] = (_rank(own[:, 0], cell)[:, None] >= upto).sum(1)
    return answers


def _by_contrasts(latent: Array, order: Whole, counts: Whole, cell: Whole) -> Whole:
    answer = np.full(len(cell), order[-1])
    waiting = np.ones(len(cell), dtype=bool)
    for contrast, option in zip(latent.T, order[:-1], strict=True):
        place = _rank(np.where(waiting, -contrast, np.inf), cell)
        chosen = place < counts[cell, option]
        answer[chosen] = option
        waiting &= ~chosen
    return answer


def _rank(values: Array, cell: Whole) -> Whole:
    """Return the place of every row among those of its background, from 0, lowest first."""
    order = np.lexsort((values, cell))
    starts = np.searchsorted(cell[order], np.arange(cell.max() + 1))
    rank = np.empty(len(cell), dtype=np.int64)
    rank[order] = np.arange(len(cell)) - starts[cell[order]]
    return rank
