"""A sample laid out in cells beside the backgrounds to estimate, and its fit as a table: from its pooled answer, or from a prior."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.baselines.covariances import one_thread_if_small
from surveysim.baselines.knowledge import NOTHING, Knowledge
from surveysim.baselines.moved_prior import MovedPrior, move_prior, open_changes
from surveysim.baselines.multilevel import fit_multilevel, open_contrasts, trait_kernels
from surveysim.baselines.posterior import OpenContrasts
from surveysim.baselines.prior import StartCells
from surveysim.baselines.prior_cells import log as log_of_cells
from surveysim.baselines.prior_cells import start_cells
from surveysim.baselines.variance_components import Kernel
from surveysim.codebook.backgrounds import parse_background_id, same_traits
from surveysim.codebook.codebook import ordinal_questions
from surveysim.errors import EstimationError, SurveySimError, first_few
from surveysim.tables.cells import Array, Cells, to_cells, to_table
from surveysim.tables.draws import with_draws
from surveysim.tables.facts import prior_is_ignored
from surveysim.tables.schema import BACKGROUND, NOT_ASKED, check_backgrounds

PRIOR_ANSWERS = 0.5  # answers added to each question's pooled counts, spread evenly over its options (Jeffreys for two options)

MOST_RESPONDENTS = 1e10  # in a cell: more than there are people; beyond some 1e15 nothing else counts in floating point
SAID = 3  # digits
FEWEST_BACKGROUNDS = 3  # sampled, for a standard error of what a prior was worth
TAKE_PRIOR = ("mrp", "mean_tilt", "low_rank", "dsa", "dsa-kernel")
log = logging.getLogger(__name__)


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


def check_takes_prior(method: str) -> None:
    """Refuse a prior for a method that has no use for it.

    Raises
    ------
    EstimationError
        If the method takes none.
    """
    if method not in TAKE_PRIOR:
        raise EstimationError(f"prior: method {method!r} takes none; use one of {', '.join(TAKE_PRIOR)}, or leave prior= out")


def fitted_table(
    sample: TrainingCells,
    kernels: Sequence[Kernel],
    *,
    source: str,
    tilt_only: np.ndarray | None = None,
    learn: bool = False,
    draws: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the fit of a sample as a distributions table.

    Parameters
    ----------
    sample : TrainingCells
        With a prior in what is known, its cells are moved; else the pooled answer is.
    kernels : sequence of array
        Covariances between backgrounds.
    source : str
    tilt_only, learn, draws, seed
        As of `fit_multilevel`; the first two are of no use with a prior.
    """
    with one_thread_if_small(len(sample.cells.backgrounds)):
        start = sample.start
        if start is None:
            fit = fit_multilevel(
                sample.cells,
                kernels,
                ordered=sample.ordered,
                pooled=sample.pooled_positive,
                tilt_only=tilt_only,
                learn=learn,
                draws=draws,
                seed=seed,
            )
            return sample.to_table(fit.shares, source=source, std_error=fit.std_error, draws=fit.draws)
        moved = move_prior(sample.cells, kernels, start, ordered=sample.ordered, draws=draws, seed=seed)
        table = sample.to_table(moved.shares, source=source, std_error=moved.std_error, draws=moved.draws)
        assert sample.known.prior is not None
        table.attrs["prior"] = about_prior(sample, moved, _without_prior(sample, kernels, learn))
        return table


def what_is_open(sample: TrainingCells, kernels: Sequence[Kernel], *, learn: bool = False) -> list[OpenContrasts]:
    """Return what is open about every question before the sample, as `fitted_table` finds it; arguments as there."""
    with one_thread_if_small(len(sample.cells.backgrounds)):
        if sample.start is None:
            return open_contrasts(sample.cells, kernels, ordered=sample.ordered, pooled=sample.pooled_positive, learn=learn)
        return open_changes(sample.cells, kernels, sample.start, ordered=sample.ordered)


def _without_prior(sample: TrainingCells, kernels: Sequence[Kernel], learn: bool) -> Array:
    """Shares of each sampled background as the others say, without the prior; a question that nobody answered has even shares."""
    fit = fit_multilevel(sample.cells, kernels, ordered=sample.ordered, pooled=sample.pooled_positive, learn=learn, leave_out=True)
    assert fit.left_out is not None
    return fit.left_out


def about_prior(sample: TrainingCells, moved: MovedPrior, without: Array) -> dict[str, Any]:
    """Return what a table says of its prior.

    Returns
    -------
    dict
        `name`, `digest`; by question of `question_id` the `slope` of its differences (None: it has none), the `level_shift`, what it has
        `explained` of the differences, and how probably these are of no use and were `ignored`; in `not_asked` the questions that nobody
        in the sample answered; the `weights` of several sources; and what it was worth where a sampled background's answers are foretold
        by all others': `left_out` has the mean squared error with the prior less that without, by cells' effective size, its `std_error`,
        and `misleads`, True where it is above 0 by two of them.
    """
    prior = sample.known.prior
    assert prior is not None
    numbers = {"slope": moved.slope, "level_shift": moved.level_shift, "explained": moved.explained, "ignored": moved.ignored}
    said: dict[str, Any] = {"name": prior.name, "digest": prior.digest, "question_id": list(sample.cells.questions)}
    said |= {name: [None if np.isnan(each) else each for each in values.round(SAID).tolist()] for name, values in numbers.items()}
    if moved.weights is not None:
        said["weights"] = dict(zip(prior.names, moved.weights.round(SAID).tolist(), strict=True))
    unasked = [name for name, n in zip(sample.cells.questions, sample.cells.n.sum(1), strict=True) if not n]
    said |= {NOT_ASKED: unasked} if unasked else {}
    return said | {"left_out": _left_out(sample.cells, moved.left_out, without)}


def _left_out(cells: Cells, with_prior: Array, without: Array) -> dict[str, Any]:
    """Compare two ways to foretell each background; the same respondents answer all questions, so a background is a cluster."""
    both = [((shares - cells.shares) ** 2).sum(-1) for shares in (with_prior, without)]
    gain, sizes = (cells.n_eff * (both[0] - both[1])).sum(0), cells.n_eff.sum(0)
    seen = sizes > 0
    if seen.sum() < FEWEST_BACKGROUNDS:
        return {"difference": None, "std_error": None, "misleads": None}
    difference = gain.sum() / sizes.sum()
    around = (gain - difference * sizes)[seen]
    error = np.sqrt((around**2).sum() * seen.sum() / (seen.sum() - 1)) / sizes.sum()
    said = {"difference": float(f"{difference:.3g}"), "std_error": float(f"{error:.3g}")}
    return {**said, "misleads": bool(difference > 2 * error)}


def warn_of_misleading_prior(about: Mapping[str, Any]) -> None:
    """Log a warning where sampled backgrounds, each left out in turn, are foretold worse with the prior, or it is of no use."""
    if about["left_out"]["misleads"]:
        log.warning(
            "prior %r misleads: each sampled background, foretold by the others, is missed by more with it than without (mean squared "
            "error %+.2g, standard error %.2g); compare with prior=None",
            about["name"], about["left_out"]["difference"], about["left_out"]["std_error"],
        )  # fmt: skip
    warn_of_ignored_prior(about["name"], about.get("ignored", []))


def warn_of_ignored_prior(name: str, ignored: Sequence[float]) -> None:
    """Log a warning where a prior's differences are probably of no use; `ignored` has each question's probability of it."""
    if prior_is_ignored({"ignored": ignored}):
        log.warning(
            "prior %r misleads: its differences between backgrounds are not the sample's (probability %.2f), and the estimate takes little "
            "more than its level; see that its levels, questions and options mean the same (harmonise makes them so), or leave it out",
            name, sum(ignored) / len(ignored),
        )  # fmt: skip


@contextmanager
def warning_once_of_a_prior() -> Iterator[None]:
    """Inside a `with` block, let each warning of a prior pass once, whatever its numbers: for fits that are done again and again."""
    said = set()

    def is_new(record: logging.LogRecord) -> bool:
        told = (record.msg, record.args[0] if isinstance(record.args, tuple) and record.args else None)  # the prior's name
        before = told in said
        said.add(told)
        return not before

    loggers = (log, log_of_cells)
    for each in loggers:
        each.addFilter(is_new)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(is_new)
