"""What simulated respondents are learnt from and made for: the sample's answers as places of options, and the population's backgrounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id, with_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.questions import Question
from surveysim.errors import BackgroundError, EstimationError, SurveySimError, first_few
from surveysim.estimation.margins import MARGIN, Margins
from surveysim.estimation.population import PEOPLE, population_traits
from surveysim.estimation.poststratification import cell_numbers, joint_table
from surveysim.files.frames import is_frame, pandas_frame
from surveysim.survey.domains import observed_domains
from surveysim.survey.survey import Survey
from surveysim.synthesis.latent_scores import Whole
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE

FEWEST_RESPONDENTS = 50
Population: TypeAlias = pd.DataFrame | Survey | Margins | str | Sequence[str]


@dataclass(frozen=True, eq=False)
class LearntSample:
    """Respondents who have all traits and two answers at least.

    Attributes
    ----------
    rows : array of bool, shape ``(respondents of the survey,)``
        Who they are.
    answers : int array, shape ``(respondents, questions)``
        Place of the option; -1 where there is no answer.
    backgrounds : tuple of str
    cell : int array, shape ``(respondents,)``
        Place in `backgrounds`.
    """

    rows: npt.NDArray[np.bool_]
    answers: Whole
    backgrounds: tuple[str, ...]
    cell: Whole

    @property
    def smallest_cell(self) -> int:
        """Respondents behind the smallest cell that has any: answers to one question in one background."""
        counts = np.stack([np.bincount(self.cell[own >= 0], minlength=len(self.backgrounds)) for own in self.answers.T])
        return int(counts[counts > 0].min())


def learnt_sample(survey: Survey, traits: Sequence[str], questions: Sequence[Question], *, min_n: int = 0) -> LearntSample:
    """Return the respondents whose answers tell how questions go together.

    Raises
    ------
    EstimationError
        If they are fewer than 50, all give one answer to a question, or a cell has fewer of them than `min_n`.
    """
    domains = observed_domains(survey, traits)
    answers = np.stack([_places(survey, question) for question in questions], axis=1)
    rows = (domains.code >= 0) & ((answers >= 0).sum(1) >= min(2, len(questions))) & (survey.design.weights > 0)
    if rows.sum() < FEWEST_RESPONDENTS:
        raise EstimationError(
            f"df: {int(rows.sum())} of {len(survey)} respondents have a weight, all of {first_few(traits)}, and answers to two or more of "
            f"the {len(questions)} questions; {FEWEST_RESPONDENTS} are needed to learn how answers go together: take a larger sample"
        )
    for question, own in zip(questions, answers[rows].T, strict=True):
        given = np.unique(own[own >= 0])
        if len(given) < 2:
            what = f"all gave {question.labels[given[0]]!r}" if len(given) else "nobody answered"
            raise EstimationError(
                f"question {question.question_id!r}: of the {int(rows.sum())} respondents learnt from {what}; nothing goes together with "
                "a question without two different answers: leave it out"
            )
    found = LearntSample(rows, answers[rows], domains.ids, domains.code[rows])
    if found.smallest_cell < min_n:
        raise EstimationError(
            f"min_n={min_n}: the smallest cell that would be learnt from has {found.smallest_cell} respondents; take fewer or coarser "
            f"traits ({first_few(traits)} are used), or give min_n={found.smallest_cell} and keep the rows as you keep the data"
        )
    return found


def _places(survey: Survey, question: Question) -> Whole:
    given = survey.data[question.question_id].where(survey.reasons[question.question_id].isna())
    return np.asarray(pd.Index(list(question.codes)).get_indexer(pd.Index(given)), dtype=np.int64)


def check_requested(n: int, m: int, min_n: int) -> None:
    """Refuse numbers of rows or syntheses that nothing can be made of.

    Raises
    ------
    SurveySimError
        If `n` or `m` is below 1, or `min_n` below 0, or one is no whole number.
    """
    for name, value, least in (("n", n, 1), ("m", m, 1), ("min_n", min_n, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise SurveySimError(f"{name} must be a whole number of {least} or more; got {value!r}: give {name}={max(least, 1)} or more")


def population_cells(population: Population, survey: Survey, traits: Sequence[str]) -> pd.DataFrame:
    """Return the backgrounds that have people: `background_id`, a column per trait, and `population_share`, which sums to 1.

    Raises
    ------
    BackgroundError
        If a level is unknown.
    TableError
        If its numbers are missing, negative, contradict one another, or there are no people.
    """
    given: pd.DataFrame | Survey | Margins
    if _names(population) is not None:
        given = survey
    elif isinstance(population, Mapping | Survey):
        given = population
    else:
        given = pandas_frame(population, "population")  # type: ignore[arg-type]
    people = cell_numbers(joint_table(given, survey, traits), traits)[PEOPLE]
    people = people[people > 0]
    frame = pd.DataFrame([parse_background_id(str(cell)) for cell in people.index])[list(traits)]
    return with_background_id(frame.assign(**{POPULATION_SHARE: people.to_numpy() / people.sum()}), survey.codebook)


def _names(population: Population) -> list[str] | None:
    """Return the traits where a population is given by their names: it is the sample's own then."""
    if isinstance(population, Mapping | Survey) or is_frame(population):
        return None
    return names_of(population, "population", error=BackgroundError)


def traits_of_population(population: Population, book: Codebook, by: str | Sequence[str] | None) -> list[str]:
    """Return the traits of the backgrounds to simulate, in the codebook's order: those that `by` names, or all of the population's.

    Raises
    ------
    BackgroundError
        If the population lacks a trait of `by`, has none, or has one that the codebook does not know.
    """
    named = _names(population)
    if named is not None:
        has = book.traits_named(named, "population", error=BackgroundError)
    elif isinstance(population, Survey):
        has = list(population.traits)
    elif isinstance(population, Mapping):
        keys = [(key,) if isinstance(key, str) else tuple(key) for key in population]  # type: ignore[arg-type]
        has = list(dict.fromkeys(str(trait) for key in keys for trait in key))
    else:
        frame = pandas_frame(population, "population")  # type: ignore[arg-type]
        has = sorted({part for name in frame[MARGIN] for part in str(name).split("|")}) if MARGIN in frame else population_traits(frame)
        has = [name for name in has if name != BACKGROUND]
    if by is not None:
        wanted = book.traits_named(by, "by", error=BackgroundError)
        lacking = [name for name in wanted if name not in has]
        if lacking:
            raise BackgroundError(
                f"population lacks trait {first_few(lacking)}, which by names; it has {first_few(has) or 'none'}: add the column, or leave "
                "the trait out of by="
            )
        return [name for name in book.traits if name in wanted]
    if not has:
        raise BackgroundError(f"population has no trait; it needs a column per trait beside its numbers: {first_few(book.traits)}")
    book.traits_named(has, "population", error=BackgroundError)
    return [name for name in book.traits if name in has]
