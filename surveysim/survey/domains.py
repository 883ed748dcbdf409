"""`Domains`: which background every respondent belongs to, and the design under which a question was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, with_background_id
from surveysim.codebook.codebook import Question
from surveysim.design.design import Design
from surveysim.errors import BackgroundError, CodebookError, DesignError, SurveySimError, first_few, nearest, warn_user
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.names import known_names_of, names_of
from surveysim.tables.schema import ENOUGH, N_EFF, NESTED, POOLED, POPULATION_SHARE, WEIGHT, N

MOST_OPTIONS = 12  # of a question whose answers make backgrounds


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


def observed_domains(survey: Survey, by: str | Sequence[str]) -> Domains:
    """Return the backgrounds over `by`, traits and questions of few options; none: one domain of all respondents.

    Raises
    ------
    CodebookError
        If the codebook has no such trait or question.
    BackgroundError
        If the survey was read without the trait, `by` repeats one, a question has too many options, or no respondent has all of them.
    """
    names = names_of(by, "by", survey.traits, error=BackgroundError, needed=False, once=True)
    book, here = survey.codebook, (*survey.traits, *survey.questions)
    declared = (*book.traits, *book.questions)
    lacking = f"codebook {book.name!r} has no trait"
    known_names_of(names, "by", declared, error=CodebookError, lacking=lacking, needed=False, may_be_added=True)
    known_names_of(names, "by", here, error=BackgroundError, lacking="the survey was read without trait", needed=False)
    code = np.zeros(len(survey), dtype=np.int64)
    whole, levels = np.ones(len(survey), dtype=bool) if survey.domain is None else survey.domain.copy(), []
    for name in names:
        place, known = _levels(survey, name)
        levels.append(known)
        whole &= place >= 0
        code = code * len(known) + place
    if not whole.any():
        raise BackgroundError(f"no respondent has every trait of by ({first_few(names)}); name fewer traits")
    found, place = np.unique(code[whole], return_inverse=True)
    code = np.full(len(survey), -1, dtype=np.int64)
    code[whole] = place
    return Domains(tuple(_identifier(names, levels, int(number)) for number in found), code)


def nested_backgrounds(survey: Survey) -> dict[str, dict[str, list[str]]]:
    """Return which levels of one trait of a survey lie within those of another trait, as the `attrs` of its tables hold it.

    A trait lies within another if all respondents of each of its levels have one level of the other, which has fewer. Two traits of one
    variable whose borders cross have parts instead, which lie within a level of each. Disclosure control needs it: a coarse level and all
    but one of the fine levels in it give the last one. It is the same for all tables of a survey, so that tables put one under another
    keep it.

    Returns
    -------
    dict
        ``{"nested": {background of the fine trait: [backgrounds of coarse traits]}}``; empty where no trait lies within another.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.survey.domains import nested_backgrounds
    >>> nested_backgrounds(ss.load_example("nonvoters2020"))["nested"]["age6=25-34"]
    ['age3=18-34']
    """
    columns = {name: survey.data[name].cat for name in survey.traits}
    codes = {name: column.codes.to_numpy() for name, column in columns.items()}
    within: dict[str, list[str]] = {}
    for fine, coarse in permutations(columns, 2):
        whole = _whole_of_each(codes[fine], codes[coarse])
        for level, place in enumerate(whole):
            if place >= 0:
                holder = background_id({coarse: columns[coarse].categories[place]})
                within.setdefault(background_id({fine: columns[fine].categories[level]}), []).append(holder)
    for first, second in combinations(columns, 2):
        if _of_one_variable(survey, first, second):
            for place, levels in enumerate(_crossing(codes[first], codes[second]), 1):
                pair = zip((first, second), levels, strict=True)
                wholes = [background_id({name: columns[name].categories[level]}) for name, level in pair]
                within[background_id({f"{first} and {second}": f"part {place}"})] = wholes
    return {NESTED: within} if within else {}


def _whole_of_each(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Return for each fine level the coarse one that holds it, -1 where nobody has it; nothing where one level lies in two."""
    known = (fine >= 0) & (coarse >= 0)
    wide = int(coarse.max(initial=0)) + 1
    counts = np.bincount(fine[known].astype(np.int64) * wide + coarse[known], minlength=(int(fine.max(initial=0)) + 1) * wide)
    both = counts.reshape(-1, wide) > 0
    seen, wholes = both.any(1), both.any(0).sum()
    if (both.sum(1) > 1).any() or wholes < 2 or seen.sum() <= wholes:
        return np.empty(0, dtype=int)
    return np.where(seen, both.argmax(1), -1)


def _of_one_variable(survey: Survey, first: str, second: str) -> bool:
    """Whether two traits group the same variable in the same way of counting."""
    traits = [survey.codebook.traits.get(name) for name in (first, second)]
    one, other = ((trait.variable, trait.subtract_from) if trait else None for trait in traits)
    return one is not None and one == other


def _crossing(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of levels that somebody has; nothing where all levels of one trait lie within levels of the other."""
    known = (first >= 0) & (second >= 0)
    pairs = sorted(set(zip(first[known].tolist(), second[known].tolist(), strict=True)))
    return pairs if all(len({pair[side] for pair in pairs}) < len(pairs) for side in (0, 1)) else []


def domain_facts(survey: Survey) -> dict[str, str]:
    """Return of whom a survey's estimates are, as the ``attrs`` of tables say it; nothing where they are of everybody."""
    return {} if survey.domain is None else {"domain": survey.domain_words}


def _levels(survey: Survey, name: str) -> tuple[np.ndarray, list[str]]:
    """Return every respondent's position among the levels of a trait or the options of a question, and their names."""
    if name in survey.traits:
        column = survey.data[name].cat
        return column.codes.to_numpy().astype(np.int64), list(column.categories)
    question = survey.codebook.question(name)
    if len(question.codes) > MOST_OPTIONS:
        raise BackgroundError(
            f"by: question {name!r} has {len(question.codes)} options, and {MOST_OPTIONS} are the most that make backgrounds; declare a "
            f"trait with variable = {name!r} whose levels join them"
        )
    return question_choices(survey, question), list(question.level_names)


def question_choices(survey: Survey, question: Question) -> np.ndarray:
    """Return every respondent's position among the question's options, -1 without a valid answer."""
    valid = survey.reasons[question.question_id].isna().to_numpy()
    choice = pd.Index(list(question.codes)).get_indexer(pd.Index(survey.data[question.question_id]))
    return np.where(valid, choice, -1)


def _identifier(names: list[str], levels: list[list[str]], number: int) -> str:
    chosen: dict[str, object] = {}
    for name, known in zip(reversed(names), reversed(levels), strict=True):
        number, place = divmod(number, len(known))
        chosen[name] = known[place]
    return background_id(chosen) if chosen else POOLED


def traits_of_survey(survey: Survey, by: str | Sequence[str], *, needed: bool = True, once: bool = False) -> list[str]:
    """Return the traits that `by` names, each of them in the survey; `needed` and `once` as of `names_of`.

    Raises
    ------
    CodebookError
        If the codebook has no such trait.
    BackgroundError
        If `by` holds no names, none where one is needed, or one twice that may stand there once; or the survey was read without it.
    """
    names = names_of(by, "by", survey.traits, error=BackgroundError, needed=needed, once=once)
    survey.codebook.traits_named(names, "by", needed=False)
    return known_names_of(names, "by", survey.traits, error=BackgroundError, lacking="the survey was read without trait", needed=False)


def asked_questions(
    survey: Survey, questions: str | Sequence[str] | None, argument: str = "questions", *, error: type[SurveySimError] = CodebookError
) -> list[Question]:
    """Return the questions named, each once, or all that the survey holds.

    Raises
    ------
    CodebookError
        Or `error`: if a question is unknown, none is named, or the survey was read without one.
    """
    if questions is None:
        return [survey.codebook.question(name) for name in survey.questions]
    names = names_of(questions, argument, survey.questions, error=error)
    survey.codebook.questions_named(names, argument, error=error)
    lacking = "the survey was read without question"
    return [survey.codebook.question(name) for name in known_names_of(names, argument, survey.questions, error=error, lacking=lacking)]


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


def answers_on_a_scale(survey: Survey, question: Question) -> np.ndarray:
    """Return `numeric_answers`, with a warning where the question's options have no order, so that their codes are no numbers.

    Two options are a scale of two.
    """
    values = numeric_answers(survey, question)
    if question.type == "nominal" and len(question.options) > 2:
        few = first_few([f"{option.code} {option.label}" for option in question.options], 3)
        warn_user(
            f"question {question.question_id!r} is nominal ({few}): its codes are names, and no mean, total, quantile or rank of them says "
            "anything; response_distributions gives shares. If its options are ordered, say type = 'ordinal' in the codebook"
        )
    return values


def observed_backgrounds(survey: Survey, *, by: str | Sequence[str], min_n: int = 1, min_n_eff: float = 0.0) -> pd.DataFrame:
    """Return the backgrounds that respondents have, with `n`, Kish `n_eff` and weighted `population_share`.

    Respondents without one of the traits count in none (``na_table(survey, of="traits")`` says how many, and why).
    Backgrounds with too few respondents stay in the table, flagged in `enough`; `population_share` (0-1) is over all
    backgrounds listed.

    Parameters
    ----------
    survey : Survey
    by : str or sequence of str
        Traits, at least one.
    min_n : int
        Fewest respondents.
    min_n_eff : float
        Fewest effective respondents.

    Returns
    -------
    DataFrame
        Columns `background_id`, the traits, `n`, `n_eff`, `population_share`, `enough`.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a trait is unknown.
    BackgroundError
        If `by` names no trait, the survey was read without one of them, or no respondent has them all; if a minimum is
        negative.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> cells = ss.observed_backgrounds(survey, by=["gender", "age3"], min_n=30, min_n_eff=20)
    >>> len(cells), bool(cells.enough.all())
    (6, True)
    """
    check_survey(survey, of_domains=True)
    names = traits_of_survey(survey, by)
    if min_n < 0 or min_n_eff < 0:
        raise BackgroundError(f"min_n={min_n} and min_n_eff={min_n_eff}: a minimum is at least 0")
    weight = survey.data[WEIGHT]
    whom = slice(None) if survey.domain is None else survey.domain
    groups = survey.data.assign(_square=weight**2)[whom].groupby(names, observed=True)
    table = groups.agg(n=(WEIGHT, "size"), _sum=(WEIGHT, "sum"), _squares=("_square", "sum")).reset_index()
    if table.empty:
        raise BackgroundError(f"no respondent has a level of every one of {first_few(names)}; na_table(survey, of='traits') says why")
    table[N_EFF] = (table["_sum"] ** 2 / table["_squares"]).where(table["_squares"] > 0, 0.0)
    table[POPULATION_SHARE] = table["_sum"] / table["_sum"].sum()
    out = with_background_id(table[[*names, N, N_EFF, POPULATION_SHARE]].astype(dict.fromkeys(names, str)), survey.codebook)
    out = out.assign(**{ENOUGH: (out[N] >= min_n) & (out[N_EFF] >= min_n_eff)})
    out.attrs.update(survey=survey.codebook.name, weight=survey.weight_name)
    return out
