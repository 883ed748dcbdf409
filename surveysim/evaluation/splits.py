"""Who is kept for the truth: respondents, backgrounds, levels of a trait, questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id, traits_in
from surveysim.codebook.codebook import Codebook
from surveysim.errors import SplitError, first_few, nearest
from surveysim.survey.domains import observed_backgrounds, traits_of_survey
from surveysim.survey.recurring import people
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.names import known_names_of, names_of
from surveysim.tables.schema import BACKGROUND, RESPONDENT_ID, require_columns

FrameOrSurvey = TypeVar("FrameOrSurvey", pd.DataFrame, Survey)


def hold_out_respondents(survey: Survey, *, n_train: int, seed: int) -> tuple[Survey, Survey]:
    """Draw `n_train` respondents at random for training; all others are the truth.

    A respondent is a `respondent_id`: rows of one person (a panel's waves) fall on the same side together, and so do rows whose answers
    are all alike, as in a resample (`check_duplicates`).

    Parameters
    ----------
    survey : Survey
    n_train : int
        Respondents to train on; at least 1, and fewer than there are.
    seed : int
        Sizes drawn with one seed are nested: the 200 are among the 400.

    Returns
    -------
    tuple of (Survey, Survey)
        Training, truth; rows in the survey's order. A background may have no respondent in either.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    SplitError
        If `n_train` is below 1 or leaves nobody for the truth.

    References
    ----------
    Stone (1974), doi:10.1111/j.2517-6161.1974.tb00994.x.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> train, truth = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> len(train), len(truth)
    (400, 5436)
    """
    check_survey(survey)
    person = people(survey.data[RESPONDENT_ID].to_numpy(), survey.data, survey.reasons)
    n_people = int(person.max(initial=-1)) + 1
    if not 1 <= n_train < n_people:
        raise SplitError(f"n_train must be 1 to {n_people - 1:,}, so that someone is left for the truth; got {n_train}")
    drawn = np.random.default_rng(seed).permutation(n_people)[:n_train]
    trained = np.isin(person, drawn)
    return survey.take(trained), survey.take(~trained)


def hold_out_backgrounds(
    frame: FrameOrSurvey, *, fraction: float, seed: int, by: str | Sequence[str] = ()
) -> tuple[FrameOrSurvey, FrameOrSurvey]:
    """Draw a fraction of whole backgrounds to be held out.

    Parameters
    ----------
    frame : DataFrame or Survey
        Any table with a `background_id`: backgrounds or distributions. Or a survey: its respondents are parted.
    fraction : float
        Share of the backgrounds to hold out, above 0 and below 1; at least one is held out and one kept.
    seed : int
    by : str or sequence of str
        With a survey: the traits whose joint levels are the backgrounds.

    Returns
    -------
    tuple of (DataFrame, DataFrame), or of (Survey, Survey)
        Rows kept, rows held out. Respondents without one of the traits are in no background and are kept.

    Raises
    ------
    SplitError
        If `fraction` is not between 0 and 1, or there are fewer than two backgrounds.
    TableError
        If `frame` lacks `background_id`.
    BackgroundError, CodebookError
        If `frame` is a survey and `by` names none of its traits.

    References
    ----------
    Roberts et al. (2017), doi:10.1111/ecog.02881 (why dependent cases are held out together).

    Examples
    --------
    >>> import surveysim as ss
    >>> cells = ss.observed_backgrounds(ss.load_example("nonvoters2020"), by=["gender", "age3"])
    >>> kept, held = ss.hold_out_backgrounds(cells, fraction=0.25, seed=0)
    >>> len(kept), held.background_id.tolist()
    (4, ['age3=55+|gender=female', 'age3=18-34|gender=male'])
    """
    if isinstance(frame, Survey):
        check_survey(frame)
        traits = traits_of_survey(frame, by)
        return _part(frame, hold_out_backgrounds(observed_backgrounds(frame, by=traits), fraction=fraction, seed=seed)[1], traits)
    require_columns(frame, [BACKGROUND], "frame")
    held = _draw(list(frame[BACKGROUND].unique()), fraction, seed, "backgrounds")
    out = frame[BACKGROUND].isin(held)
    return frame[~out].reset_index(drop=True), frame[out].reset_index(drop=True)


def hold_out_levels(frame: FrameOrSurvey, *, trait: str, levels: str | Sequence[str]) -> tuple[FrameOrSurvey, FrameOrSurvey]:
    """Hold out every background with one of `levels` of `trait`, such as a whole country.

    Parameters
    ----------
    frame : DataFrame or Survey
        Any table with a `background_id`: backgrounds or distributions. Or a survey: its respondents are parted.
    trait : str
    levels : str or sequence of str

    Returns
    -------
    tuple of (DataFrame, DataFrame), or of (Survey, Survey)
        Rows kept, rows held out. Respondents without the trait are kept.

    Raises
    ------
    SplitError
        If the backgrounds have no such trait or no such level (the message names the nearest), or no level would be left.
    TableError
        If `frame` lacks `background_id`.

    References
    ----------
    Roberts et al. (2017), doi:10.1111/ecog.02881 (why dependent cases are held out together).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.response_distributions(survey, by=["gender", "age3"], questions=["Q8_8"])
    >>> kept, held = ss.hold_out_levels(shares, trait="age3", levels="55+")
    >>> held.background_id.unique().tolist(), kept.background_id.nunique()
    (['age3=55+|gender=female', 'age3=55+|gender=male'], 4)
    """
    if isinstance(frame, Survey):
        check_survey(frame)
        return _part(frame, hold_out_levels(observed_backgrounds(frame, by=[trait]), trait=trait, levels=levels)[1], [trait])
    require_columns(frame, [BACKGROUND], "frame")
    parsed = {identifier: parse_background_id(identifier) for identifier in frame[BACKGROUND].unique()}
    traits = traits_in(parsed)
    if trait not in traits:
        raise SplitError(f"the backgrounds have no trait {trait!r}; {nearest(trait, traits)}")
    known = list(dict.fromkeys(levels_of[trait] for levels_of in parsed.values() if trait in levels_of))
    wanted = known_names_of(levels, "levels", known, error=SplitError, lacking=f"trait {trait!r} of the backgrounds has no level")
    if set(known) <= set(wanted):
        raise SplitError(f"levels must name some, not all, of the levels of {trait!r}: {first_few(known, 30)}")
    out = frame[BACKGROUND].map({identifier: levels_of.get(trait) in wanted for identifier, levels_of in parsed.items()})
    return frame[~out].reset_index(drop=True), frame[out].reset_index(drop=True)


def hold_out_questions(
    questions: Codebook | Survey | str | Sequence[str],
    *,
    fraction: float,
    seed: int,
    by_topic: bool = True,
) -> tuple[list[str], list[str]]:
    """Draw a fraction of the questions to be held out, by whole topics so that near-duplicates do not leak.

    Parameters
    ----------
    questions : Codebook, Survey, str or sequence of str
        Topics are known from a codebook, or that of a survey, of which the questions that it holds are divided; a question without a topic
        is its own.
    fraction : float
        Share of the questions to hold out, above 0 and below 1. By topic, topics are drawn in random order until the
        share is reached, leaving out one that would exceed it by more than it falls short without.
    seed : int
    by_topic : bool
        False draws single questions.

    Returns
    -------
    tuple of (list of str, list of str)
        Ids kept, ids held out, in the order given.

    Raises
    ------
    SplitError
        If `fraction` is not between 0 and 1, there are fewer than two questions or topics, or topics are asked for and
        `questions` is a plain list.

    References
    ----------
    Roberts et al. (2017), doi:10.1111/ecog.02881 (why dependent cases are held out together).

    Examples
    --------
    >>> import surveysim as ss
    >>> codebook = ss.load_codebook("nonvoters2020")
    >>> kept, held = ss.hold_out_questions(codebook, fraction=0.2, seed=0)
    >>> len(kept), len(held)
    (70, 17)
    >>> {codebook.question(name).topic for name in kept} & {codebook.question(name).topic for name in held}
    set()
    """
    if isinstance(questions, Survey):
        check_survey(questions)
        book = questions.codebook
        questions = replace(book, questions={name: book.question(name) for name in questions.questions})
    if not by_topic:
        return _divide(_ids(questions), set(_draw(_ids(questions), fraction, seed, "questions")))
    if not isinstance(questions, Codebook):
        raise SplitError("a list of questions carries no topics; give the codebook or the Survey, or by_topic=False")
    topics: dict[str, list[str]] = {}
    for question_id, question in questions.questions.items():
        topics.setdefault(question.topic or f"question {question_id}", []).append(question_id)
    return _divide(_ids(questions), _draw_topics(topics, fraction, seed))


def background_of(survey: Survey, backgrounds: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """Return every respondent's background id among `backgrounds`, over the traits `by`; missing where it is none of them."""
    levels = survey.data[list(by)].astype(object)
    ids = levels.merge(backgrounds[[*by, BACKGROUND]], on=list(by), how="left")[BACKGROUND]
    return pd.Series(ids.to_numpy(), index=survey.data.index)


def _part(survey: Survey, held: pd.DataFrame, by: Sequence[str]) -> tuple[Survey, Survey]:
    out = background_of(survey, held, by).notna().to_numpy()
    return survey.take(~out), survey.take(out)


def _draw_topics(topics: dict[str, list[str]], fraction: float, seed: int) -> set[str]:
    order = _draw(list(topics), fraction, seed, "topics", keep_all=True)
    total = sum(len(ids) for ids in topics.values())
    target = fraction * total
    held: set[str] = set()
    for topic in order:
        after = len(held) + len(topics[topic])
        if after < total and abs(after - target) < abs(len(held) - target):
            held.update(topics[topic])
    return held or set(topics[min(topics, key=lambda topic: len(topics[topic]))])


def _draw(items: list[str], fraction: float, seed: int, what: str, *, keep_all: bool = False) -> list[str]:
    if not 0 < fraction < 1:
        raise SplitError(f"fraction must be above 0 and below 1; got {fraction}")
    if len(items) < 2:
        raise SplitError(f"holding out {what} needs at least two of them; there is {first_few(items) or 'none'}")
    order = np.random.default_rng(seed).permutation(len(items))
    size = len(items) if keep_all else min(max(round(fraction * len(items)), 1), len(items) - 1)
    return [items[place] for place in order[:size]]


def _ids(questions: Codebook | str | Sequence[str]) -> list[str]:
    return list(questions.questions) if isinstance(questions, Codebook) else names_of(questions, "questions", error=SplitError)


def _divide(ids: list[str], held: set[str]) -> tuple[list[str], list[str]]:
    return [each for each in ids if each not in held], [each for each in ids if each in held]
