"""`Domains`: which background every respondent belongs to, and the design under which a question was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id
from surveysim.codebook.codebook import Question
from surveysim.design.design import Design
from surveysim.errors import BackgroundError, CodebookError, DesignError, first_few, nearest
from surveysim.survey.survey import Survey
from surveysim.tables.schema import POOLED, WEIGHT


@dataclass(frozen=True, eq=False)
class Domains:
    """The backgrounds of a survey's respondents as codes.

    Attributes
    ----------
    ids : tuple of str
        `background_id` of each background that respondents have, in the order of the traits' levels.
    code : int array, shape ``(respondents,)``
        Position in `ids`; -1 where the respondent lacks one of the traits.
    """

    ids: tuple[str, ...]
    code: np.ndarray


def observed_domains(survey: Survey, by: Sequence[str]) -> Domains:
    """Return the backgrounds over the traits `by`; none: one domain of all respondents.

    Raises
    ------
    CodebookError
        If the codebook has no such trait.
    BackgroundError
        If the survey was read without the trait, `by` repeats one, or no respondent has all of them.
    """
    names = [by] if isinstance(by, str) else list(by)
    if len(set(names)) < len(names):
        raise BackgroundError(f"by names a trait twice: {first_few(names)}; name each once")
    code = np.zeros(len(survey), dtype=np.int64)
    whole, levels = np.ones(len(survey), dtype=bool), []
    for name in names:
        survey.codebook.trait(name)
        if name not in survey.data:
            raise BackgroundError(f"by: the survey was read without trait {name!r}; {nearest(name, survey.traits)}")
        column = survey.data[name].cat
        levels.append(list(column.categories))
        whole &= column.codes.to_numpy() >= 0
        code = code * len(column.categories) + column.codes.to_numpy()
    if not whole.any():
        raise BackgroundError(f"no respondent has every trait of by ({first_few(names)}); name fewer traits")
    found, place = np.unique(code[whole], return_inverse=True)
    code = np.full(len(survey), -1, dtype=np.int64)
    code[whole] = place
    return Domains(tuple(_identifier(names, levels, int(number)) for number in found), code)


def _identifier(names: list[str], levels: list[list[str]], number: int) -> str:
    chosen: dict[str, object] = {}
    for name, known in zip(reversed(names), reversed(levels), strict=True):
        number, place = divmod(number, len(known))
        chosen[name] = known[place]
    return background_id(chosen) if chosen else POOLED


def asked_questions(survey: Survey, questions: Sequence[str] | None) -> list[Question]:
    """Return the questions named, or all that the survey holds.

    Raises
    ------
    CodebookError
        If a question is unknown, or the survey was read without it.
    """
    names = survey.questions if questions is None else ([questions] if isinstance(questions, str) else list(questions))
    for name in names:
        survey.codebook.question(name)
        if name not in survey.reasons:
            raise CodebookError(f"the survey was read without question {name!r}; {nearest(name, survey.questions)}")
    return [survey.codebook.question(name) for name in names]


def question_sample(survey: Survey, question: Question, lonely_psu: str) -> tuple[Design, np.ndarray]:
    """Return the design that `question` was asked under, and the positions of its respondents in the survey.

    A question with a weight of its own (ANES: post-election items) was put to those who have that weight; any other to all.

    Raises
    ------
    DesignError
        If the question's own weight was not read, or the survey's weight was adjusted, which that weight was not.
    """
    name = question.weight
    if name is None or name == survey.weight_name:
        return survey.design.with_lonely_psu(lonely_psu), np.arange(len(survey))
    if name not in survey.data:
        raise DesignError(
            f"question {question.question_id!r} is weighted by {name!r}, which the survey lacks; {nearest(name, survey.data.columns)}"
        )
    if _is_adjusted(survey):
        raise DesignError(
            f"question {question.question_id!r} is weighted by {name!r}, but weight {survey.weight_name!r} is what was adjusted or has "
            "replicates; "
            f"read the survey with weight={name!r}, adjust that, and ask for these questions alone"
        )
    weights = survey.data[name].to_numpy(float)
    rows = np.flatnonzero(np.isfinite(weights))
    return survey.take(rows).design.with_weights(weights[rows]).with_lonely_psu(lonely_psu), rows


def _is_adjusted(survey: Survey) -> bool:
    if survey.design.calibrations or survey.design.replicates is not None:
        return True
    if survey.weight_name not in survey.data:
        return False
    original, current = survey.data[survey.weight_name].to_numpy(float), survey.data[WEIGHT].to_numpy(float)
    return not np.array_equal(original, current, equal_nan=True)


def numeric_answers(survey: Survey, question: Question) -> np.ndarray:
    """Return each respondent's answer as a number: its code, or NaN where there is no valid answer.

    Raises
    ------
    CodebookError
        If an option's code is no number.
    """
    words = [code for code in question.codes if isinstance(code, str)]
    if words:
        raise CodebookError(
            f"question {question.question_id!r} has codes that are no numbers ({first_few(words)}); use response_distributions"
        )
    answers = survey.data[question.question_id].where(survey.reasons[question.question_id].isna())
    return pd.to_numeric(answers).to_numpy(float)
