"""`TrainingCells`: the sampled cells and the backgrounds to estimate, laid out for the classical estimators."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.baselines.knowledge import NOTHING, Knowledge
from surveysim.baselines.multilevel import trait_kernels
from surveysim.baselines.prior import StartCells
from surveysim.baselines.prior_cells import start_cells
from surveysim.codebook.backgrounds import parse_background_id, same_traits
from surveysim.codebook.codebook import ordinal_questions
from surveysim.errors import EstimationError, SurveySimError, first_few
from surveysim.tables.cells import Array, Cells, to_cells, to_table
from surveysim.tables.draws import with_draws
from surveysim.tables.schema import BACKGROUND, check_backgrounds

PRIOR_ANSWERS = 0.5  # answers added to each question's pooled counts, spread evenly over its options (Jeffreys for two options)


MOST_RESPONDENTS = 1e10  # in a cell: more than there are people; beyond some 1e15 nothing else counts in floating point


@dataclass(frozen=True, eq=False)
class TrainingCells:
    """Sampled cells beside backgrounds to estimate, which may never have been sampled.

    Attributes
    ----------
    cells : Cells
        All backgrounds: the sampled ones, then those asked for and not sampled (``n_eff`` 0).
    traits : tuple of str
    levels : array of int, shape (backgrounds, traits)
        Position of each background's level among those that occur.
    n_levels : tuple of int
        Levels of each trait.
    ordered : array of bool, shape (questions,)
        True where the options are a scale; a question with two options is one.
    asked : array of int
        Positions of the backgrounds to return, in the order asked.
    known : Knowledge
        What is known of the backgrounds besides the sample.
    """

    cells: Cells
    traits: tuple[str, ...]
    levels: npt.NDArray[np.int_]
    n_levels: tuple[int, ...]
    ordered: npt.NDArray[np.bool_]
    asked: npt.NDArray[np.int_]
    known: Knowledge = NOTHING

    @property
    def pooled(self) -> Array:
        """Shares over all sampled cells, each counting by its `n_eff`, shape (questions, options)."""
        counts = self.cells.counts.sum(1)
        return counts / counts.sum(-1, keepdims=True)

    @property
    def pooled_positive(self) -> Array:
        """`pooled` with `PRIOR_ANSWERS` added, so that no option has a share of 0."""
        mask = self.cells.mask
        counts = self.cells.counts.sum(1) + PRIOR_ANSWERS * mask / mask.sum(-1, keepdims=True)
        return counts / counts.sum(-1, keepdims=True)

    @cached_property
    def start(self) -> StartCells | None:
        """The prior's cells in the layout of the sample's; None where there is no prior."""
        return None if self.known.prior is None else start_cells(self.known.prior, self.cells, self.ordered)

    def indicators(self, *, interactions: bool = False) -> Array:
        """Return the columns of a regression, shape (backgrounds, columns).

        0 or 1 for each level of a trait (and each pair of levels), then what is known of the backgrounds (`Knowledge.columns`).
        """
        groups = [self.levels[:, [j]] == np.arange(size) for j, size in enumerate(self.n_levels)]
        if interactions:
            pairs = combinations(list(groups), 2)
            groups += [(left[:, :, None] & right[:, None, :]).reshape(len(self.levels), -1) for left, right in pairs]
        return np.hstack([*groups, self.known.columns(self.cells.backgrounds)]).astype(float)

    def kernels(self) -> list[Array]:
        """Return covariances between backgrounds: of exchangeable levels (`trait_kernels`), and of what is known (`Knowledge.kernels`)."""
        return [*trait_kernels(self.levels)[0], *self.known.kernels(self.cells.backgrounds)]

    def to_table(self, shares: Array, *, source: str, std_error: Array | None = None, draws: Array | None = None) -> pd.DataFrame:
        """Return the backgrounds asked for as a distributions table; `shares` is shaped as ``cells.shares``, `draws` with an axis more."""
        asked = self.cells.on(backgrounds=[self.cells.backgrounds[place] for place in self.asked])
        error = None if std_error is None else std_error[:, self.asked]
        table = to_table(asked, shares[:, self.asked], source=source, std_error=error)
        if draws is not None:  # rows stand in the order question, background, option, as in `to_table`
            exists = np.broadcast_to(asked.mask[:, None], asked.shares.shape)
            table = with_draws(table, draws[:, :, self.asked][:, exists].T)
        table.attrs["never_sampled"] = int((asked.n_eff.sum(0) <= 0).sum())
        if self.known.predictors is not None:
            table.attrs["group_predictors"] = self.known.predictors.about(self.cells.backgrounds)
        return table


def training_cells(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    refuse: type[SurveySimError] = EstimationError,
) -> TrainingCells:
    """Lay out a training table and the backgrounds to estimate.

    Parameters
    ----------
    training : DataFrame
        A distributions table of the sample, with `n_eff` (or `n`).
    backgrounds : DataFrame
        A row per background to estimate, with `background_id`; any combination of levels, sampled or not.
    ordinal : str or collection of str, optional
        Ids of the ordered questions; default none (options are then taken as nominal).
    knowledge : Knowledge
        What is known of the backgrounds besides the sample.
    refuse : type of SurveySimError
        The error of a sample that is too small to learn from.

    Raises
    ------
    EstimationError
        If the backgrounds have other traits than the training cells, nobody answered a question, or a question has
        fewer respondents than options.
    TableError
        If a table breaks its contract, or a background is asked for twice.
    """
    check_backgrounds(backgrounds, [])
    asked = tuple(backgrounds[BACKGROUND])
    sampled = to_cells(training, what="training")
    order = tuple(dict.fromkeys([*sampled.backgrounds, *asked]))
    cells = sampled.on(backgrounds=order)
    if knowledge.prior is None:
        require_respondents(cells, refuse)
    parsed = [parse_background_id(identifier) for identifier in order]
    remedy = "make the training table with by= the traits of the backgrounds to estimate"
    traits = tuple(same_traits(order, "training and backgrounds", remedy, error=EstimationError))
    coded = [pd.factorize(np.array([levels[trait] for levels in parsed], dtype=object)) for trait in traits]
    levels = np.stack([codes for codes, _ in coded], axis=1) if coded else np.zeros((len(order), 0), int)
    named = ordinal_questions(None, ordinal, needed=False)
    ordered = np.array([question in named for question in cells.questions]) | (cells.mask.sum(-1) == 2)
    place = {identifier: position for position, identifier in enumerate(order)}
    positions = np.array([place[identifier] for identifier in asked], int)
    return TrainingCells(cells, traits, levels, tuple(len(names) for _, names in coded), ordered, positions, knowledge)


def require_respondents(cells: Cells, refuse: type[SurveySimError] = EstimationError) -> None:
    """Refuse questions that nobody answered, fewer respondents than they have options, or more in a cell than there are people.

    Raises
    ------
    SurveySimError
        `refuse`, which names the questions.
    """
    answers, options = cells.n.sum(1), cells.mask.sum(1)
    silent = [question for question, n in zip(cells.questions, answers, strict=True) if n <= 0]
    if silent:
        raise refuse(f"nobody in the sample answered question {first_few(silent)}; leave it out with questions=, or draw a larger sample")
    sizes = zip(cells.questions, answers, options, strict=True)
    few = [f"{question} ({n:g} respondents, {size} options)" for question, n, size in sizes if n < size]
    if few:
        raise refuse(
            f"a question needs at least as many respondents as options; too few answered {first_few(few)}: leave it out with questions=, "
            "or draw a larger sample"
        )
    many = [question for question, n in zip(cells.questions, cells.n_eff.max(1), strict=True) if n > MOST_RESPONDENTS]
    if many:
        raise refuse(
            f"n_eff: a cell of {first_few(many)} counts {cells.n_eff.max():g} respondents, and {MOST_RESPONDENTS:g} are the most; "
            "give the number that answered"
        )
