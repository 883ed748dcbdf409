"""A trial: who trains, who is the truth, which cells are scored, and what a method says of questions that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.baselines.knowledge import Knowledge
from surveysim.baselines.methods import BLIND
from surveysim.codebook.codebook import Codebook
from surveysim.errors import SplitError, nearest
from surveysim.estimation.distributions import cell_shares
from surveysim.evaluation.splits import background_of, hold_out_backgrounds, hold_out_levels, hold_out_questions
from surveysim.survey.domains import asked_questions, observed_backgrounds, traits_of_survey
from surveysim.survey.survey import Survey
from surveysim.tables.cells import to_cells, to_table
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE, QUESTION, RESPONDENT_ID, N

if TYPE_CHECKING:
    from surveysim.lm.option_model import OptionModel

HELD_FRACTION = 0.2  # of backgrounds, or of questions, where `held` does not say


@dataclass(frozen=True, eq=False)
class Trial:
    """One draw of training respondents, and what is left to score against.

    Attributes
    ----------
    train : Survey
        The training respondents.
    truth : DataFrame
        Distributions table of the respondents left out: the scored questions and backgrounds alone.
    backgrounds : DataFrame
        Every background of the survey, with its traits and `population_share`: what each method estimates.
    asked, scored : tuple of str
        Questions to train on, and questions to score; the same unless the split holds questions out.
    """

    train: Survey
    truth: pd.DataFrame
    backgrounds: pd.DataFrame
    asked: tuple[str, ...]
    scored: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """What a split keeps from training."""

    backgrounds: frozenset[str] = frozenset()
    questions: tuple[str, ...] = ()


def _hold_nothing(survey: Survey, backgrounds: pd.DataFrame, questions: Sequence[str], held: Any, seed: int) -> Held:
    if held is not None:
        raise SplitError(f"held={held!r} does not go with split='respondents', which holds out no background and no question")
    return Held()


def _hold_backgrounds(survey: Survey, backgrounds: pd.DataFrame, questions: Sequence[str], held: Any, seed: int) -> Held:
    out = hold_out_backgrounds(backgrounds, fraction=_fraction(held), seed=seed)[1]
    return Held(backgrounds=frozenset(out[BACKGROUND]))


def _hold_levels(survey: Survey, backgrounds: pd.DataFrame, questions: Sequence[str], held: Any, seed: int) -> Held:
    if not isinstance(held, Mapping) or len(held) != 1:
        raise SplitError(f"split='levels' needs held={{trait: levels or their number}} of one trait, as {{'country': 6}}; got {held!r}")
    ((trait, levels),) = held.items()
    if trait not in backgrounds:
        raise SplitError(
            f"held: {trait!r} is no trait of by=; {nearest(str(trait), [c for c in backgrounds if c in survey.codebook.traits])}"
        )
    if isinstance(levels, int):
        known = sorted(backgrounds[trait].unique())
        if not 1 <= levels < len(known):
            raise SplitError(f"held: {levels} levels of {trait!r} cannot be held out; give 1 to {len(known) - 1}")
        levels = list(np.random.default_rng(seed).permutation(known)[:levels])
    out = hold_out_levels(backgrounds, trait=trait, levels=levels)[1]
    return Held(backgrounds=frozenset(out[BACKGROUND]))


def _hold_questions(survey: Survey, backgrounds: pd.DataFrame, questions: Sequence[str], held: Any, seed: int) -> Held:
    asked = replace(survey.codebook, questions={name: survey.codebook.question(name) for name in questions})
    out = set(hold_out_questions(asked, fraction=_fraction(held), seed=seed)[1])
    return Held(questions=tuple(name for name in questions if name in out))


def _hold_both(survey: Survey, backgrounds: pd.DataFrame, questions: Sequence[str], held: Any, seed: int) -> Held:
    cells = _hold_backgrounds(survey, backgrounds, questions, held, seed)
    return Held(cells.backgrounds, _hold_questions(survey, backgrounds, questions, held, seed).questions)


SPLITS: dict[str, Callable[..., Held]] = {
    "respondents": _hold_nothing,
    "backgrounds": _hold_backgrounds,
    "levels": _hold_levels,
    "questions": _hold_questions,
    "both": _hold_both,
}


def draw_trial(
    survey: Survey,
    *,
    by: str | Sequence[str],
    n: int,
    seed: int,
    split: str = "respondents",
    held: float | Mapping[str, Any] | None = None,
    questions: str | Sequence[str] | None = None,
    equal_by: str | None = None,
    min_truth: int = 1,
) -> Trial:
    """Draw the training respondents of one trial; all others are the truth, of what the split holds out where it holds something out.

    Parameters
    ----------
    survey : Survey
    by : str or sequence of str
        Traits that make the backgrounds.
    n : int
        Training respondents, drawn among those with a level of every trait in `by` and outside held-out backgrounds.
    seed : int
        Sizes drawn with one seed are nested.
    split : str
        A name of `SPLITS`.
    held : float or mapping, optional
        Fraction of the backgrounds or questions held out (default 0.2), or ``{trait: levels}`` or ``{trait: number of levels}``.
    questions : str or sequence of str, optional
        Default all.
    equal_by : str, optional
        A trait: as many respondents are drawn in each of its sampled levels.
    min_truth : int
        Truth cells with fewer respondents are not scored.

    Raises
    ------
    SplitError
        If the split is unknown, `held` does not fit it, or `n` respondents cannot be drawn so.
    """
    if split not in SPLITS:
        raise SplitError(f"split {split!r} is unknown; {nearest(str(split), SPLITS)}")
    asked, by = require_questions(survey, questions), traits_of_survey(survey, by)
    backgrounds = observed_backgrounds(survey, by=by)
    out = SPLITS[split](survey, backgrounds, asked, held, seed)
    own = background_of(survey, backgrounds, by)
    trained = _draw(survey, own.notna().to_numpy() & ~own.isin(out.backgrounds).to_numpy(), n, seed, equal_by)
    scored = out.questions or asked
    rest = survey.take(~survey.data[RESPONDENT_ID].isin(survey.data[RESPONDENT_ID][trained]).to_numpy())
    truth = cell_shares(rest, by=by, questions=scored)
    keep = (truth[N] >= max(min_truth, 1)) & (truth[BACKGROUND].isin(out.backgrounds) if out.backgrounds else True)
    if not keep.any():
        raise SplitError(f"no cell is left to score: none of the respondents left out make a cell of min_truth={min_truth}; lower it or n")
    kept = tuple(name for name in asked if name not in out.questions)
    return Trial(survey.take(trained), truth[keep].reset_index(drop=True), backgrounds, kept, scored)


def _draw(survey: Survey, pool: np.ndarray, n: int, seed: int, equal_by: str | None) -> np.ndarray:
    """Positions' mask of the rows of `n` respondents drawn from the pool."""
    if equal_by is not None and equal_by not in survey.traits:
        raise SplitError(f"equal_by: the survey has no trait {equal_by!r}; {nearest(equal_by, survey.traits)}")
    frame = survey.data.loc[pool, [RESPONDENT_ID] if equal_by is None else [RESPONDENT_ID, equal_by]]
    groups = [frame] if equal_by is None else [part for _, part in frame.groupby(equal_by, observed=True)]
    each, rest = divmod(n, len(groups))
    if rest:
        raise SplitError(f"train_n={n} is no multiple of the {len(groups)} sampled levels of {equal_by!r}; give one")
    people = [part[RESPONDENT_ID].unique() for part in groups]
    if not 1 <= each < min(map(len, people)):
        smallest = f"the smallest level of {equal_by!r} has" if equal_by else "there are"
        raise SplitError(
            f"train_n={n:,} leaves nobody for the truth, or draws nobody: {smallest} {min(map(len, people)):,} respondents to draw from"
        )
    draw = np.random.default_rng(seed)
    chosen = np.concatenate([ids[draw.permutation(len(ids))[:each]] for ids in people])
    return pool & survey.data[RESPONDENT_ID].isin(chosen).to_numpy()


def _fraction(held: Any) -> float:
    if held is None:
        return HELD_FRACTION
    if isinstance(held, bool) or not isinstance(held, int | float):
        raise SplitError(f"held must be the fraction to hold out, above 0 and below 1; got {held!r}")
    return float(held)


def require_questions(survey: Survey, questions: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the ids of the questions named, or of all that the survey holds.

    Raises
    ------
    SplitError
        If one is unknown, the survey was read without it, or none is given.
    """
    return tuple(question.question_id for question in asked_questions(survey, questions, error=SplitError))


def truth_cells(trial: Trial) -> pd.MultiIndex:
    """Return the question x background cells that are scored."""
    return pd.MultiIndex.from_frame(trial.truth[[QUESTION, BACKGROUND]].drop_duplicates())


def unasked_table(
    trial: Trial,
    method: str,
    model: OptionModel | None,
    book: Codebook,
    *,
    by: Sequence[str],
    group_predictors: pd.DataFrame | None,
    known: Knowledge,
    seed: int,
) -> pd.DataFrame:
    """Return the shares, in the layout of the trial's truth, of questions that the method was not trained on.

    Parameters
    ----------
    trial : Trial
    method : str
        One that answers questions it was not trained on.
    model : OptionModel or None
        A base model; None: the default model, if the method needs one.
    book : Codebook
    by : sequence of str
    group_predictors : DataFrame or None
    known : Knowledge
    seed : int
    """
    sample = cell_shares(trial.train, by=by, questions=trial.asked)
    layout = to_cells(trial.truth)
    if method in BLIND:
        return to_table(layout, BLIND[method](to_cells(sample), layout), source=method)
    from surveysim.lm.answers import answer_table, answers
    from surveysim.lm.fit.stages import DSA
    from surveysim.lm.loading import load_model
    from surveysim.lm.training import align
    from surveysim.lm.unasked import unasked_shares

    chosen = model or load_model()
    asked = trial.backgrounds.set_index(BACKGROUND).loc[list(layout.backgrounds)].reset_index()
    if method == "dsa-kernel":
        return to_table(layout, unasked_shares(chosen, sample, asked, layout, book, knowledge=known), source=method)
    if method != "zero-shot":
        stages = DSA if method == "dsa" else DSA[:1]
        grid = trial.backgrounds[[*by, POPULATION_SHARE]]
        chosen = align(chosen, sample, book, backgrounds=grid, stages=stages, group_predictors=group_predictors, seed=seed, progress=False)
    put = chosen.put(book, layout.questions, layout.backgrounds)
    return answer_table(answers(chosen, put, progress=False), put, layout, source=method)
