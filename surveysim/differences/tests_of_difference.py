"""Is the difference more than chance: chi-square, t and rank tests of a survey's answers that know its design."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Question
from surveysim.design.chi_square import INDEPENDENCE_STATISTICS, independence
from surveysim.design.outcomes import ADJUSTMENTS, Outcome
from surveysim.design.rank_tests import RANK_TESTS, difference_test, mean_test, rank_test
from surveysim.differences.tested_samples import Groups, Sample, groups_named, question_choices, samples, tested_rows, tested_table
from surveysim.errors import DesignError, first_few, nearest
from surveysim.survey.domains import Domains, answers_on_a_scale, asked_questions, observed_domains
from surveysim.survey.survey import Survey, check_survey


def survey_chisq(
    survey: Survey,
    *,
    questions: str | Sequence[str],
    groups: str,
    by: str | Sequence[str] = (),
    statistic: str = "F",
    adjust: str = "none",
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Test whether each question's answers are independent of the groups, in every background (R: ``svychisq``).

    Pearson's chi-square is held against the distribution that weights and design give it (Rao and Scott). Respondents with a valid
    answer and a group count; options and levels that none of them has are no row or column of the table.

    Parameters
    ----------
    survey : Survey
    questions : str or sequence of str
    groups : str
        A trait, or another question.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    statistic : {"F", "Chisq", "Wald", "adjWald"}
        ``"F"``: second-order Rao-Scott; ``"Chisq"``: first-order, divided by the mean design effect (R prints it undivided);
        ``"Wald"`` and ``"adjWald"``: of the table's departures from independence and their covariance.
    adjust : {"none", "holm", "bh", "bonferroni"}
        How `p_adjusted` allows for there being several tests.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        A row per test: `test question_id groups background_id statistic df df_denominator p_value p_adjusted estimate std_error
        conf_low conf_high n n_eff`. `estimate` is Cramer's V. A test that cannot be made has missing numbers, and
        ``attrs["not_tested"]`` says why.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question, trait or the groups are unknown.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If `statistic` or `adjust` is unknown, a stratum has a single PSU and `lonely_psu` is ``"fail"``, or no test can be made: one
        row or column alone, too many empty cells, no degrees of freedom.

    References
    ----------
    Rao and Scott (1984), doi:10.1214/aos/1176346391. Koch, Freeman and Freeman (1975), doi:10.2307/1402660.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> test = ss.survey_chisq(survey, questions="Q8_8", groups="gender")
    >>> test[["statistic", "df", "df_denominator"]].round(2).values.tolist(), bool(test.p_value[0] < 0.001)
    ([[7.76, 2.99, 17375.4]], True)
    """
    check_survey(survey, of_domains=True)
    _known("statistic", statistic, INDEPENDENCE_STATISTICS)
    _known("adjust", adjust, ADJUSTMENTS)
    domains, chosen, failed = observed_domains(survey, by), groups_named(survey, groups), dict[str, str]()
    rows = []
    for question in asked_questions(survey, questions):
        choice = question_choices(survey, question)

        def tested(sample: Sample, choice: np.ndarray = choice, size: int = len(question.codes)) -> Outcome:
            return _independence(sample, choice, size, chosen, statistic)

        made = samples(survey, question, domains, (choice >= 0) & (chosen.code >= 0), lonely_psu)
        rows += tested_rows(statistic, question, chosen.name, made, tested, failed)
    return tested_table(rows, failed, survey, adjust)


def _independence(sample: Sample, choice: np.ndarray, size: int, groups: Groups, statistic: str) -> Outcome:
    levels, options = sample.present(groups.code, len(groups.levels)), sample.present(choice, size)
    sample = sample.among(groups.code, levels).among(choice, options)
    row, column = sample.positions(groups.code, levels), sample.positions(choice, options)
    return independence(sample.members, row, column, (len(levels), len(options)), statistic)


def survey_ttest(
    survey: Survey,
    *,
    questions: str | Sequence[str],
    groups: str | None = None,
    mean: float = 0.0,
    by: str | Sequence[str] = (),
    adjust: str = "none",
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Test the mean of each question's codes against a number, or between groups, in every background (R: ``svyttest``).

    Without groups: whether the mean is `mean`. With two groups: whether they have one mean, the estimate being the later level's
    less the earlier's; with more, each pair of levels is a test. Degrees of freedom are PSUs less strata less 1, as in R, also of one mean.

    Parameters
    ----------
    survey : Survey
    questions : str or sequence of str
        Questions with numeric codes.
    groups : str, optional
        A trait, or another question.
    mean : float
        What a single mean is held against.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    adjust : {"none", "holm", "bh", "bonferroni"}
        How `p_adjusted` allows for there being several tests.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        A row per test, columns as of `survey_chisq`; `groups` reads ``gender: male - female``. `estimate` is the mean or the
        difference, with
        t interval. A test that cannot be made has missing numbers, and ``attrs["not_tested"]`` says why.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question, trait or the groups are unknown, or a code is no number.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If `adjust` is unknown, `mean` is given with groups, a stratum has a single PSU and `lonely_psu` is ``"fail"``, or no
        test can be made:
        an empty group, answers that all agree, no degrees of freedom.

    References
    ----------
    Lumley (2010), Complex Surveys, doi:10.1002/9780470580066.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> test = ss.survey_ttest(survey, questions="Q8_8", groups="gender")
    >>> test.groups[0], test[["estimate", "statistic", "df"]].round(2).values.tolist()
    ('gender: male - female', [[0.1, 3.78, 5805.0]])
    """
    check_survey(survey, of_domains=True)
    _known("adjust", adjust, ADJUSTMENTS)
    if groups is not None and mean:
        raise DesignError(f"mean={mean} is what a single mean is held against; with groups={groups!r} leave it out")
    domains, failed = observed_domains(survey, by), dict[str, str]()
    rows: list[dict[str, object]] = []
    chosen = None if groups is None else groups_named(survey, groups)
    for question in asked_questions(survey, questions):
        values = answers_on_a_scale(survey, question)
        usable = np.isfinite(values)
        if chosen is None:

            def tested(sample: Sample, values: np.ndarray = values) -> Outcome:
                return mean_test(sample.members, values[sample.kept], mean)

            made = samples(survey, question, domains, usable, lonely_psu)
            rows += tested_rows("t", question, "", made, tested, failed)
            continue
        rows += _pairs(survey, question, chosen, values, usable, (domains, lonely_psu, failed))
    return tested_table(rows, failed, survey, adjust)


def _pairs(
    survey: Survey, question: Question, groups: Groups, values: np.ndarray, usable: np.ndarray, rest: tuple[Domains, str, dict[str, str]]
) -> list[dict[str, object]]:
    domains, lonely_psu, failed = rest
    there = np.unique(groups.code[usable & (groups.code >= 0)])
    if len(there) < 2:
        raise DesignError(
            f"groups: respondents with an answer to {question.question_id!r} are in one level of {groups.name!r} alone; two are needed"
        )
    rows = []
    for first, second in combinations(there, 2):
        pair = np.array([first, second])

        def tested(sample: Sample, pair: np.ndarray = pair) -> Outcome:
            _all_present(sample, groups, pair)
            return difference_test(sample.members, values[sample.kept], sample.positions(groups.code, pair))

        made = samples(survey, question, domains, usable & np.isin(groups.code, pair), lonely_psu)
        name = f"{groups.name}: {groups.levels[second]} - {groups.levels[first]}"
        rows += tested_rows("t", question, name, made, tested, failed)
    return rows


def _all_present(sample: Sample, groups: Groups, wanted: np.ndarray) -> None:
    absent = [groups.levels[place] for place in wanted if place not in sample.present(groups.code, len(groups.levels))]
    if absent:
        raise DesignError(f"no respondent with an answer has {groups.name} {first_few(absent)}")


def survey_ranktest(
    survey: Survey,
    *,
    questions: str | Sequence[str],
    groups: str,
    test: str = "wilcoxon",
    by: str | Sequence[str] = (),
    adjust: str = "none",
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Test whether groups answer alike by the ranks of their codes, in every background (R: ``svyranktest``).

    A code's rank is the estimated share of the background's population below it plus half of that at it. Two groups give a t test on
    the difference of mean scores, more an F test (Kruskal-Wallis).

    Parameters
    ----------
    survey : Survey
    questions : str or sequence of str
        Questions with numeric codes.
    groups : str
        A trait, or another question.
    test : {"wilcoxon", "kruskal", "median", "vander_waerden"}
        Score of a rank: itself (the first two), whether it is above one half, its normal quantile.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    adjust : {"none", "holm", "bh", "bonferroni"}
        How `p_adjusted` allows for there being several tests.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        A row per test, columns as of `survey_chisq`; of two groups `estimate` is the later level's mean score less the earlier's. A test
        that cannot be made has missing numbers, and ``attrs["not_tested"]`` says why.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question, trait or the groups are unknown, or a code is no number.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If `test` or `adjust` is unknown, a stratum has a single PSU and `lonely_psu` is ``"fail"``, or no test can be made: one group
        alone, answers that all agree, no degrees of freedom.

    References
    ----------
    Lumley and Scott (2013), doi:10.1093/biomet/ast027.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> test = ss.survey_ranktest(survey, questions="Q8_8", groups="gender")
    >>> test[["estimate", "statistic", "df"]].round(2).values.tolist()
    [[0.02, 3.11, 5805.0]]
    """
    check_survey(survey, of_domains=True)
    _known("test", test, RANK_TESTS)
    _known("adjust", adjust, ADJUSTMENTS)
    domains, chosen, failed = observed_domains(survey, by), groups_named(survey, groups), dict[str, str]()
    rows = []
    for question in asked_questions(survey, questions):
        values = answers_on_a_scale(survey, question)

        def tested(sample: Sample, values: np.ndarray = values) -> Outcome:
            levels = sample.present(chosen.code, len(chosen.levels))
            if len(levels) < 2:
                raise DesignError(f"respondents are in one level of {chosen.name} alone ({chosen.levels[levels[0]]}); a test needs two")
            sample = sample.among(chosen.code, levels)
            return rank_test(sample.members, values[sample.kept], sample.positions(chosen.code, levels), len(levels), test)

        made = samples(survey, question, domains, np.isfinite(values) & (chosen.code >= 0), lonely_psu)
        rows += tested_rows(test, question, chosen.name, made, tested, failed)
    return tested_table(rows, failed, survey, adjust)


def _known(argument: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise DesignError(f"{argument} must be one of {', '.join(known)}; got {given!r}, {nearest(str(given), known)}")
