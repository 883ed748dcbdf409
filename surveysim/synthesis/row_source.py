"""What simulated rows are made of: shares of the population's backgrounds, and how answers go together; one synthesis after another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.questions import Question
from surveysim.survey.survey import Survey
from surveysim.synthesis.dependence import Dependence, Units, learn_dependence
from surveysim.synthesis.held_rows import ROWS_TO_RAKE, Weighted, hold_shares, margins_held, rows_needed
from surveysim.synthesis.latent_scores import Whole, latent_scores
from surveysim.synthesis.learnt_sample import LearntSample
from surveysim.synthesis.rows import answers_of_rows, option_counts, rows_of_backgrounds
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.draws import draw_columns
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE, QUESTION, SHARE


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
    names = draw_columns(table)
    draws = [to_cells(_as_shares(table, name)).on(questions=cells.questions, backgrounds=grid).shares for name in names]
    nominal = [question.type == "nominal" for question in asked]
    own_cell = np.array([grid.index(cell) for cell in sample.backgrounds])[sample.cell]
    scores = latent_scores(cells.shares, cells.mask, sample.answers, own_cell, nominal)
    units = Units.of(survey.data, sample.rows)
    dependence = learn_dependence(scores, survey.design.weights[sample.rows], units, np.random.default_rng([seed, 0]))
    sizes = np.array(draws) if draws else np.zeros((0, *cells.shares.shape))
    return Source(asked, people, cells, sizes, sample, dependence, units, seed)


def _as_shares(table: pd.DataFrame, draw: str) -> pd.DataFrame:
    """Return the table with a draw in the place of its shares: none below 0, and summing to 1 in a cell."""
    kept = table[[name for name in table if name not in draw_columns(table)]]
    values = table[draw].clip(lower=0.0)
    return kept.assign(**{SHARE: values / values.groupby([table[QUESTION], table[BACKGROUND]], sort=False).transform("sum")})
