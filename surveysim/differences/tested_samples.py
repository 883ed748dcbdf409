"""Who enters a test: the respondents with an answer and a group, background by background, and the row that a test becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Question
from surveysim.design.estimators import Members
from surveysim.design.outcomes import Outcome, adjusted_p_values
from surveysim.errors import CodebookError, DesignError, first_few, nearest
from surveysim.survey.domains import Domains, domain_facts, question_choices, question_sample, traits_of_survey
from surveysim.survey.survey import Survey
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, ESTIMATE, N_EFF, QUESTION, STD_ERROR, N

DF, STATISTIC, P_VALUE, P_ADJUSTED = "df", "statistic", "p_value", "p_adjusted"
TEST_COLUMNS = [
    "test", QUESTION, "groups", BACKGROUND, STATISTIC, DF, "df_denominator", P_VALUE, P_ADJUSTED, ESTIMATE, STD_ERROR, CONF_LOW,
    CONF_HIGH, N, N_EFF,
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Groups:
    """What respondents are compared by: levels of a trait, or options of a question.

    Attributes
    ----------
    name : str
    levels : tuple of str
    code : int array, shape ``(respondents,)``
        Position in `levels`, -1 where a respondent has none.
    """

    name: str
    levels: tuple[str, ...]
    code: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample:
    """The respondents of one test.

    Attributes
    ----------
    members : Members
        All in one domain.
    kept : int array
        Their positions in the survey.
    """

    members: Members
    kept: np.ndarray

    def present(self, code: np.ndarray, size: int) -> np.ndarray:
        """Return which of `size` codes, given by respondent, anyone of positive weight here has."""
        return np.flatnonzero(np.bincount(code[self.kept], self.members.weights, minlength=size) > 0)

    def among(self, code: np.ndarray, chosen: np.ndarray) -> Sample:
        """Return the respondents whose code is one of `chosen`."""
        inside = np.isin(code[self.kept], chosen)
        if inside.all():
            return self
        rows = self.members.rows[inside]
        return Sample(Members(self.members.design, rows, np.zeros(len(rows), dtype=np.int64), 1), self.kept[inside])

    def positions(self, code: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return each respondent's position in `chosen`, sorted codes of which everyone has one."""
        return np.searchsorted(chosen, code[self.kept])


def groups_named(survey: Survey, name: str) -> Groups:
    """Return the groups of a trait, or of a question's valid answers.

    Raises
    ------
    CodebookError
        If `name` is neither a trait nor a question of the survey.
    """
    if isinstance(name, str) and name in survey.traits:
        column = survey.data[name].cat
        return Groups(name, tuple(map(str, column.categories)), column.codes.to_numpy().astype(np.int64))
    if isinstance(name, str) and name in survey.questions:
        question = survey.codebook.question(name)
        return Groups(name, tuple(map(str, question.codes)), question_choices(survey, question))
    if isinstance(name, str) and name in survey.codebook.traits:
        traits_of_survey(survey, name)
    known = [*survey.traits, *survey.questions]
    raise CodebookError(f"groups must name a trait or a question of the survey; got {name!r}: {nearest(str(name), known)}")


def samples(survey: Survey, question: Question, domains: Domains, usable: np.ndarray, lonely_psu: str) -> Iterator[tuple[str, Sample]]:
    """Yield every background with the respondents that are usable in it, given as a mask over the survey.

    Raises
    ------
    DesignError
        If a stratum has a single PSU and `lonely_psu` is ``"fail"``, or the question's own weight was not read.
    """
    design, sample = question_sample(survey, question, lonely_psu)
    if design.replicates is None:
        design.refuse_lonely()
    rows = np.flatnonzero(usable[sample] & (domains.code[sample] >= 0))
    place = domains.code[sample][rows]
    order = np.argsort(place, kind="stable") if len(domains.ids) > 1 else np.arange(len(rows))
    ends = np.searchsorted(place[order], np.arange(len(domains.ids) + 1))
    for background, start, end in zip(domains.ids, ends[:-1], ends[1:], strict=True):
        own = rows[order[start:end]] if len(domains.ids) > 1 else rows
        yield background, Sample(Members(design, own, np.zeros(len(own), dtype=np.int64), 1), sample[own])


def tested_rows(
    kind: str,
    question: Question,
    groups: str,
    made: Iterator[tuple[str, Sample]],
    test: Callable[[Sample], Outcome],
    failed: dict[str, str],
) -> list[dict[str, object]]:
    """Return a row per background; where a test cannot be made, its numbers are missing and `failed` says why."""
    rows = []
    for background, sample in made:
        try:
            if not sample.members.weights.any():
                raise DesignError("no respondent has a valid answer and a group")
            outcome = test(sample)
        except DesignError as error:
            failed[" / ".join(part for part in (question.question_id, groups, background) if part)] = str(error)
            outcome = Outcome()
        rows.append(_row((kind, question.question_id, groups, background), outcome, sample))
    return rows


def _row(names: Sequence[str], outcome: Outcome, sample: Sample) -> dict[str, object]:
    low, high = mean_intervals(np.array(outcome.estimate), np.array(outcome.std_error), np.array(outcome.df))
    (n,), (n_eff,) = sample.members.counts()
    numbers = (outcome.statistic, outcome.df, outcome.df_denominator, outcome.p_value, np.nan)
    found = (*names, *numbers, outcome.estimate, outcome.std_error, float(low), float(high), int(n), float(n_eff))
    return dict(zip(TEST_COLUMNS, found, strict=True))


def tested_table(rows: list[dict[str, object]], failed: dict[str, str], survey: Survey, adjust: str) -> pd.DataFrame:
    """Return the tests as a table, with p values adjusted, and what could not be tested in ``attrs["not_tested"]``.

    Raises
    ------
    DesignError
        If none of the tests can be made: the message has the first reason.
    """
    if len(failed) == len(rows):
        first = next(iter(failed))
        raise DesignError(f"no test can be made of {first_few(failed)}: {failed[first]}")
    table = pd.DataFrame(rows, columns=TEST_COLUMNS)
    table[P_ADJUSTED] = adjusted_p_values(table[P_VALUE].to_numpy(float), adjust)
    table.attrs |= {"survey": survey.codebook.name, "weight": survey.weight_name, "denominator": "valid answers"}
    table.attrs |= {**domain_facts(survey), "design": survey.design.description, "adjust": adjust, "not_tested": failed}
    return table
