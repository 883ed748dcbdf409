"""`plan_sample`: from which backgrounds the next respondents lower the expected error most, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import TrainingCells, training_cells, warn_of_ignored_prior, what_is_open
from surveysim.baselines.knowledge import knowledge_of
from surveysim.baselines.prior import PriorLike
from surveysim.codebook.codebook import ordinal_questions
from surveysim.errors import EstimationError, first_few, nearest
from surveysim.inference.expected_error import TARGETS, ExpectedError, deal_out, expected_error
from surveysim.simulation.request import requested_backgrounds, sample_and_prior
from surveysim.survey.domains import asked_questions, observed_backgrounds
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.cells import Array
from surveysim.tables.population_shares import population_shares
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE, STD_ERROR, N

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel

PLANNED = ("low_rank", "mrp", "dsa-kernel")
STEPS = 500  # of the greedy allocation; a larger plan deals out several respondents a step
POINTS = 16  # of the curve, besides none
MORE, PROPORTIONAL, COST, ERROR = "n_more", "n_proportional", "cost", "expected_error"


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """Where the next respondents should come from, and what they are worth.

    Attributes
    ----------
    allocation : DataFrame
        A row per background: `n` (respondents so far), `n_more` (planned), `n_proportional` (as many for the same cost in proportion to
        `population_share`), `cost` (of those planned), and the expected standard error of a share (root mean square over questions and
        options, 0-1) now, `std_error`, after the plan, `std_error_after`, and after proportional allocation, `std_error_proportional`.
    curve : DataFrame
        A row per size: `n_more` and `cost` so far, `expected_error` of the plan cut off there (0-1), `n_proportional` respondents for
        the same cost in proportion, and theirs, `expected_error_proportional`. The first row is the survey as it is.

    References
    ----------
    Chaloner and Verdinelli (1995), Bayesian experimental design: a review, doi:10.1214/ss/1177009939.

    Examples
    --------
    >>> import surveysim as ss
    >>> train, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=300, seed=0)
    >>> plan = ss.plan_sample(train, ["gender", "age3"], more=100, questions=["Q8_8", "Q8_9"], method="mrp")
    >>> int(plan.allocation.n_more.sum()), int(plan.curve.n_more.iloc[-1])
    (100, 100)
    """

    allocation: pd.DataFrame
    curve: pd.DataFrame


def plan_sample(
    survey: Survey,
    backgrounds: IntoFrame | str | Sequence[str],
    *,
    more: int,
    questions: str | Sequence[str] | None = None,
    method: str = "low_rank",
    target: str = "backgrounds",
    costs: Mapping[str, float] | None = None,
    available: Mapping[str, int] | None = None,
    model: OptionModel | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
) -> SamplePlan:
    """Plan from which backgrounds to draw the next respondents, so that the estimate's expected error falls most.

    Before anybody is asked, the posterior of an estimate says how uncertain it will be: in multilevel regression the variance of a
    background's contrast depends on how many are asked where, and not on what they answer. With S the posterior covariance between
    backgrounds so far, a respondent of background b who is worth v effective answers lowers the variance of any background c by
    ``v S_cb^2 / (1 + v S_bb)``: also a background's neighbours learn. Respondents are dealt out one after the other, each to where the
    summed squared error falls most for its cost, so a plan cut short is the plan for the smaller number.

    Assumptions: the variances found from the survey so far are right; whoever is asked next answers, and weighs, as respondents of the
    survey do: the effective answers a respondent gives to a question are those of the survey. A prior is taken as is likeliest, not
    averaged over ways to take it; where its differences are probably of no use, a warning says so.

    Parameters
    ----------
    survey : Survey
        The respondents so far.
    backgrounds : DataFrame or sequence of str
        As of `simulate`; those to estimate, and to draw from. With `population_share`, proportional allocation and the population are
        these shares; without, the survey's weighted ones.
    more : int
        Respondents to add. With `costs`: the plan spends what so many cost in proportion to the population, and their number follows.
    questions : str or sequence of str, optional
        Default all of the survey's; all count alike.
    method : {"low_rank", "mrp", "dsa-kernel"}
        Whose posterior it is.
    target : {"backgrounds", "population", "total"}
        Whose error is to fall: every background's share, all alike; every background's, by its share of the population; or the share of
        the population as a whole (post-stratified).
    costs : mapping of background_id to float, optional
        What a respondent of each background costs, in any unit; default all alike, 1.
    available : mapping of background_id to int, optional
        Most respondents that can be added; a background that it does not name has no limit.
    model : OptionModel, optional
        A base model, for "dsa-kernel". Default: the default model.
    group_predictors, prior
        As of `simulate`.

    Returns
    -------
    SamplePlan

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`, or the backgrounds, questions, prior or predictors are unusable, as of `simulate`.
    EstimationError
        If `more` is no whole number above 0; method or target is unknown; a cost is missing, or not above 0; `costs` or `available` names
        other backgrounds; fewer are available than are to be drawn; nobody was sampled in them and no population share is given; or a
        question has too few answers.

    References
    ----------
    Chaloner and Verdinelli (1995), Bayesian experimental design: a review, doi:10.1214/ss/1177009939 (A-optimality). Neyman (1934),
    doi:10.2307/2342192 (optimal allocation).

    Examples
    --------
    >>> import surveysim as ss
    >>> train, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=300, seed=0)
    >>> plan = ss.plan_sample(train, ["gender", "education"], more=200, questions=["Q8_8", "Q8_9", "Q8_7"], method="mrp")
    >>> last = plan.curve.iloc[-1]
    >>> bool(last.expected_error <= last.expected_error_proportional < plan.curve.expected_error[0])
    True
    """
    check_survey(survey)
    _check(more, method, target)
    grid = requested_backgrounds(backgrounds, survey.codebook)
    traits = [name for name in survey.codebook.traits if name in grid]
    asked = [question.question_id for question in asked_questions(survey, questions)]
    sample, before = sample_and_prior(survey, traits, asked, prior=prior, method=method)
    known = knowledge_of(survey.codebook, traits, group_predictors, prior=before)
    laid = training_cells(sample, grid, ordinal=ordinal_questions(survey.codebook, None), knowledge=known)
    observed = observed_backgrounds(survey, by=traits)
    frame = _frame(grid, observed, costs, available, int(more))
    opened = what_is_open(laid, _kernels(laid, method, model, survey), learn=method != "mrp")
    if before is not None:
        warn_of_ignored_prior(before.name, list({each.question: each.ignored for each in opened}.values()))
    now = expected_error(laid, opened, respondents=int(observed[N].sum()), share=frame.share, target=target)
    allocation, curve = _allocated(now, frame)
    about = {"survey": survey.codebook.name, "weight": survey.weight_name, "method": method, "target": target, "more": int(more)}
    for table in (allocation, curve):
        table.attrs.update(about)
    return SamplePlan(allocation, curve)


def _check(more: int, method: str, target: str) -> None:
    if isinstance(more, bool) or not isinstance(more, int | np.integer) or more < 1:
        raise EstimationError(f"more must be a whole number of respondents, at least 1; got {more!r}")
    for what, given, known in (("method", method, PLANNED), ("target", target, TARGETS)):
        if given not in known:
            raise EstimationError(f"{what}: {given!r} cannot be planned for; {nearest(str(given), known)} ({', '.join(known)})")


def _kernels(laid: TrainingCells, method: str, model: OptionModel | None, survey: Survey) -> list[Array]:
    if method != "dsa-kernel":
        if model is not None:
            raise EstimationError(f"model: method {method!r} uses no language model; leave model= out, or plan for 'dsa-kernel'")
        return laid.kernels()
    from surveysim.lm.kernel import all_answer_states, closed_kernels
    from surveysim.lm.loading import load_model

    chosen = load_model() if model is None else model
    put = chosen.put(survey.codebook, laid.cells.questions, laid.cells.backgrounds)
    return closed_kernels(laid, all_answer_states(chosen, put.tokenised), put.backgrounds)


@dataclass(frozen=True, eq=False)
class _Frame:
    """From whom respondents can be drawn; arrays of shape (backgrounds,)."""

    ids: list[str]
    n: np.ndarray
    share: Array
    cost: Array
    room: Array
    more: int

    def proportional(self, number: int) -> np.ndarray:
        """Return `number` respondents in proportion to the population, as far as there is room: whole, by largest remainders."""
        dealt, left = np.zeros(len(self.ids)), float(number)
        while left > 1e-9:
            open_ = (dealt < self.room) & (self.share > 0)
            open_ = open_ if open_.any() else dealt < self.room
            weight = np.where(open_, np.maximum(self.share, 1e-12), 0.0)
            given = np.minimum(left * weight / weight.sum(), self.room - dealt)
            dealt, left = dealt + given, left - given.sum()
        whole = np.floor(dealt + 1e-9)
        order = np.argsort(whole - dealt, kind="stable")[: number - int(whole.sum())]
        whole[order] += 1
        return whole.astype(int)

    def proportional_for(self, budget: float) -> np.ndarray:
        """Return as many in proportion as a budget pays for."""
        most = int(min(budget / self.cost.min() + 1, self.room.sum()))
        least = 0
        while least < most:
            middle = (least + most + 1) // 2
            fits = float(self.proportional(middle) @ self.cost) <= budget + 1e-9
            least, most = (middle, most) if fits else (least, middle - 1)
        return self.proportional(least)


def _frame(
    grid: pd.DataFrame, observed: pd.DataFrame, costs: Mapping[str, float] | None, available: Mapping[str, int] | None, more: int
) -> _Frame:
    ids = list(grid[BACKGROUND])
    known = observed.set_index(BACKGROUND)[[N, POPULATION_SHARE]].reindex(ids).fillna(0.0)
    share = known[POPULATION_SHARE].to_numpy(float)
    if POPULATION_SHARE in grid:
        share = population_shares(grid, ids, "backgrounds", error=EstimationError)
    if not share.sum() > 0:
        raise EstimationError("backgrounds: nobody was sampled in them; give population_share")
    cost = np.ones(len(ids)) if costs is None else _costs(costs, ids)
    room = np.full(len(ids), np.inf) if available is None else _room(available, ids)
    if room.sum() < more:
        raise EstimationError(f"available: {room.sum():,.0f} respondents in all, and more={more:,}; plan for at most so many")
    return _Frame(ids, known[N].to_numpy(int), share / share.sum(), cost, room, more)


def _costs(costs: Mapping[str, float], ids: list[str]) -> Array:
    given = _named(costs, "costs", ids)
    absent = [name for name in ids if name not in given]
    if absent:
        raise EstimationError(f"costs: background {first_few(absent)} has none; give the cost of a respondent of each background")
    cost = np.array([given[name] for name in ids], float)
    wrong = [f"{name} ({given[name]})" for name, each in zip(ids, cost, strict=True) if not (np.isfinite(each) and each > 0)]
    if wrong:
        raise EstimationError(f"costs must be above 0 and finite; {first_few(wrong)} is not: leave out backgrounds that cannot be drawn")
    return cost


def _room(available: Mapping[str, int], ids: list[str]) -> Array:
    given = _named(available, "available", ids)
    room = np.array([given.get(name, np.inf) for name in ids], float)
    wrong = [
        f"{name} ({given[name]})" for name, each in zip(ids, room, strict=True) if not (each >= 0 and (each == np.inf or each % 1 == 0))
    ]
    if wrong:
        raise EstimationError(f"available must be whole numbers of respondents, 0 or more; {first_few(wrong)} is not")
    return room


def _named(given: Mapping[str, float], argument: str, ids: list[str]) -> dict[str, float]:
    if not isinstance(given, Mapping | pd.Series):
        raise EstimationError(f"{argument} must map background_id to a number; got {type(given).__name__}")
    found = dict(given.items())
    words = [f"{name} ({each!r})" for name, each in found.items() if isinstance(each, bool) or not isinstance(each, Real)]
    if words:
        raise EstimationError(f"{argument} must be numbers; {first_few(words)} is none")
    strange = [str(name) for name in found if name not in set(ids)]
    if strange:
        raise EstimationError(f"{argument}: {first_few(strange)} is none of the backgrounds; {nearest(strange[0], ids)}")
    return found


def _allocated(now: ExpectedError, frame: _Frame) -> tuple[pd.DataFrame, pd.DataFrame]:
    budget = float(frame.proportional(frame.more) @ frame.cost)
    curve, dealt, then = [_point(now, frame, np.zeros(len(frame.ids), int), now)], np.zeros(len(frame.ids), int), now
    step = -(-frame.more // STEPS)
    for dealt, then in deal_out(now, cost=frame.cost, room=frame.room, budget=budget, step=step):
        if dealt @ frame.cost >= budget * len(curve) / POINTS:
            curve.append(_point(now, frame, dealt, then))
    if curve[-1][MORE] != dealt.sum():
        curve.append(_point(now, frame, dealt, then))
    even = frame.proportional_for(budget)
    errors = {STD_ERROR: now, f"{STD_ERROR}_after": then, f"{STD_ERROR}_proportional": now.after(even)}
    numbers = {BACKGROUND: frame.ids, N: frame.n, MORE: dealt, PROPORTIONAL: even, COST: dealt * frame.cost}
    return pd.DataFrame(numbers | {name: error.std_errors for name, error in errors.items()}), pd.DataFrame(curve)


def _point(now: ExpectedError, frame: _Frame, dealt: np.ndarray, then: ExpectedError) -> dict[str, float]:
    spent = float(dealt @ frame.cost)
    even = frame.proportional_for(spent)
    errors = {ERROR: then.value, f"{ERROR}_proportional": now.after(even).value}
    return {MORE: int(dealt.sum()), COST: spent, PROPORTIONAL: int(even.sum()), **errors}
