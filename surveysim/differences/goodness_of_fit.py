"""Do a survey's answers fit published shares: a chi-square test that knows the design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Code, Question
from surveysim.design.chi_square import FIT_STATISTICS, goodness_of_fit
from surveysim.design.outcomes import ADJUSTMENTS, Outcome
from surveysim.differences.tested_samples import Sample, question_choices, samples, tested_rows, tested_table
from surveysim.errors import DesignError, TableError, first_few, nearest, quoted
from surveysim.survey.domains import asked_questions, observed_domains
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import SHARE_TOLERANCE


def survey_gof(
    survey: Survey,
    official: Mapping[str, Mapping[Code, float]],
    *,
    by: str | Sequence[str] = (),
    statistic: str = "Chisq",
    adjust: str = "none",
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Test whether the answers fit given shares of the options, in every background (R: ``svygofchisq``).

    The shares are taken as known without error, of valid answers. Options that are not named share what is left of 1, together.

    Parameters
    ----------
    survey : Survey
    official : mapping of question id to a mapping of option code to share
        Shares above 0, 0-1.
    by : str or sequence of str
        Traits whose joint levels are the backgrounds, each held against the same shares; none: ``"all"``.
    statistic : {"Chisq", "F"}
        ``"Chisq"``: Satterthwaite's approximation, as R's p value; its statistic is R's X-squared over R's ``scale``. ``"F"`` knows how
        few the PSUs are.
    adjust : {"none", "holm", "bh", "bonferroni"}
        How `p_adjusted` allows for there being several tests.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        A row per test, columns as of `survey_chisq`. `estimate` is Cohen's w. A test that cannot be made has missing numbers, and
        ``attrs["not_tested"]`` says why.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown.
    BackgroundError
        If the survey was read without a trait of `by`.
    TableError
        If `official` is no mapping of mappings, names an option that the question has not, has a share outside 0-1 or of 0, or shares
        that do not sum to 1.
    DesignError
        If `statistic` or `adjust` is unknown, a stratum has a single PSU and `lonely_psu` is ``"fail"``, or no test can be made.

    References
    ----------
    Rao and Scott (1981), doi:10.1080/01621459.1981.10477633.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> test = ss.survey_gof(survey, {"Q8_8": {1: 0.32, 2: 0.44, 3: 0.15, 4: 0.09}})
    >>> test[["statistic", "df", "p_value"]].round(2).values.tolist()
    [[6.98, 3.0, 0.07]]
    """
    check_survey(survey, of_domains=True)
    for argument, given, known in (("statistic", statistic, FIT_STATISTICS), ("adjust", adjust, ADJUSTMENTS)):
        if given not in known:
            raise DesignError(f"{argument} must be one of {', '.join(known)}; got {given!r}, {nearest(str(given), known)}")
    if not isinstance(official, Mapping) or not official or not all(isinstance(shares, Mapping) for shares in official.values()):
        raise TableError(f'official must map question ids to shares by option code, {{"Q1": {{1: 0.4, 2: 0.6}}}}; got {quoted(official)}')
    domains, failed, rows = observed_domains(survey, by), dict[str, str](), []
    for question in asked_questions(survey, list(official), "official"):
        category, shares = _categories(question, official[question.question_id])
        choice = question_choices(survey, question)
        group = np.where(choice >= 0, category[choice], -1)

        def tested(sample: Sample, group: np.ndarray = group, shares: np.ndarray = shares) -> Outcome:
            return goodness_of_fit(sample.members, group[sample.kept], shares, statistic)

        made = samples(survey, question, domains, choice >= 0, lonely_psu)
        rows += tested_rows(statistic, question, "", made, tested, failed)
    return tested_table(rows, failed, survey, adjust)


def _categories(question: Question, official: Mapping[Code, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the category of each option, and the categories' shares; what is not named is one more category."""
    known, where = list(question.codes), f"official: question {question.question_id!r}"
    strange = [code for code in official if code not in known]
    if strange:
        raise TableError(f"{where} has no option {first_few(map(repr, strange))}; its codes are {first_few(known)}")
    shares = np.array([float(share) for share in official.values()])
    if not ((shares > 0) & (shares <= 1)).all():
        odd = [f"{code}: {share}" for code, share in official.items() if not 0 < share <= 1]
        raise TableError(
            f"{where}: shares must be above 0 and at most 1; got {first_few(odd)}: leave out, or join, options that nobody can have"
        )
    rest = 1 - float(shares.sum())
    unnamed = [code for code in known if code not in official]
    if rest < -SHARE_TOLERANCE or (not unnamed and rest > SHARE_TOLERANCE) or (unnamed and rest <= SHARE_TOLERANCE):
        left = f"option {first_few(unnamed)} is left with {max(rest, 0):.6g}" if unnamed else "they name every option"
        raise TableError(f"{where}: shares sum to {shares.sum():.6g} and {left}; they must sum to 1, what is not named taking the rest")
    order = list(official)
    category = np.array([order.index(code) if code in official else len(order) for code in known])
    given = np.append(shares, rest) if unnamed else shares
    return category, given / given.sum()
