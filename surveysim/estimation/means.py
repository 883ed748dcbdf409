"""Means, totals, ratios and quantiles of numeric questions, by background, with design-based errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Question
from surveysim.codebook.readable import readable
from surveysim.design.estimators import Members, quantile_intervals, simple_random_variances, weighted_ratios, weighted_totals
from surveysim.design.row_covariance import QuestionRows, mean_rows, with_covariance
from surveysim.errors import DesignError, quoted
from surveysim.survey.domains import (
    Domains,
    answers_on_a_scale,
    asked_questions,
    domain_facts,
    nested_backgrounds,
    observed_domains,
    question_sample,
)
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE_COLUMNS, LARGEST_WEIGHT

QUANTILE = "quantile"


def survey_mean(
    survey: Survey,
    *,
    questions: str | Sequence[str],
    by: str | Sequence[str] = (),
    lonely_psu: str = "fail",
    covariance: bool = False,
) -> pd.DataFrame:
    """Return the weighted mean of the answer codes of each question, in every background.

    Valid answers alone count. The standard error is Taylor-linearised (or from the survey's replicate weights), a background
    being a domain of the whole sample; intervals are t on PSUs less strata of the background. `deff` is the variance over that of a simple
    random sample of as many respondents.

    Parameters
    ----------
    survey : Survey
    questions : str or sequence of str
        Questions with numeric codes.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.
    covariance : bool
        Carry what the covariance of the rows needs, by PSU and never by respondent, in ``attrs["covariance"]``: `survey_contrast` uses it.

    Returns
    -------
    DataFrame
        `question_id background_id estimate std_error conf_low conf_high df n n_eff deff largest_weight`; a background without a valid
        answer has ``n = 0`` and missing estimates.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown, or a code is no number.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If a stratum has a single PSU and `lonely_psu` is ``"fail"``.

    References
    ----------
    Binder (1983), doi:10.2307/1402588. Kish (1965), Survey Sampling, section 8.2 (design effect).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> ss.survey_mean(survey, questions=["Q8_8"], by=["gender"]).estimate.round(2).tolist()
    [1.94, 2.04]
    """
    check_survey(survey, of_domains=True)
    domains = observed_domains(survey, by)
    tables, carried = [], dict[str, QuestionRows]()
    for question in asked_questions(survey, questions):
        values = answers_on_a_scale(survey, question)
        members, kept = _members(survey, question, domains, values, lonely_psu)
        rows = mean_rows(domains.ids, members, values[kept]) if covariance else None
        if rows is not None:
            carried[question.question_id] = rows
        estimate, variance = weighted_ratios(members, values[kept, None], repeated=None if rows is None else rows.repeated)
        deff = _design_effect(variance, simple_random_variances(members, values[kept, None]))
        tables.append(_rows(question.question_id, domains, members, estimate, variance, deff))
    return with_covariance(_described(tables, survey), carried if covariance else None, survey.design)


def survey_total(survey: Survey, *, questions: str | Sequence[str], by: str | Sequence[str] = (), lonely_psu: str = "fail") -> pd.DataFrame:
    """Return the weighted total of the answer codes of each question, in every background.

    Respondents without a valid answer add nothing. A total is on the population's scale only if the weights are; weights scaled to
    the sample size give totals of the sample's size.

    Parameters
    ----------
    survey : Survey
    questions : str or sequence of str
        Questions with numeric codes.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        `question_id background_id estimate std_error conf_low conf_high df n n_eff deff largest_weight`.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown, or a code is no number.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If a stratum has a single PSU and `lonely_psu` is ``"fail"``.

    References
    ----------
    Horvitz and Thompson (1952), doi:10.1080/01621459.1952.10483446. Binder (1983), doi:10.2307/1402588.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> ss.survey_total(survey, questions=["Q8_8"]).n.tolist()
    [5807]
    """
    check_survey(survey, of_domains=True)
    domains = observed_domains(survey, by)
    tables = []
    for question in asked_questions(survey, questions):
        values = answers_on_a_scale(survey, question)
        members, kept = _members(survey, question, domains, values, lonely_psu)
        estimate, variance = weighted_totals(members, values[kept, None])
        size = members.sums(np.ones((len(kept), 1)))
        deff = _design_effect(variance, size**2 * simple_random_variances(members, values[kept, None]))
        tables.append(_rows(question.question_id, domains, members, estimate, variance, deff))
    return _described(tables, survey)


def survey_ratio(
    survey: Survey, *, numerator: str, denominator: str, by: str | Sequence[str] = (), lonely_psu: str = "fail"
) -> pd.DataFrame:
    """Return the ratio of two questions' weighted totals, in every background.

    Respondents with a valid answer to both count.

    Parameters
    ----------
    survey : Survey
    numerator, denominator : str
        Questions with numeric codes and the same weight.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        `question_id` (``"numerator/denominator"``) `background_id estimate std_error conf_low conf_high df n n_eff deff largest_weight`;
        `deff` is missing.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown, or a code is no number.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If the questions have different weights, or a stratum has a single PSU and `lonely_psu` is ``"fail"``.

    References
    ----------
    Binder (1983), doi:10.2307/1402588.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> ss.survey_ratio(survey, numerator="Q8_8", denominator="Q8_9").question_id.tolist()
    ['Q8_8/Q8_9']
    """
    check_survey(survey, of_domains=True)
    parts = {"numerator": numerator, "denominator": denominator}
    over, under = (asked_questions(survey, [name], argument)[0] for argument, name in parts.items())
    if over.weight != under.weight:
        raise DesignError(f"questions {numerator!r} and {denominator!r} have different weights ({over.weight}, {under.weight}); no ratio")
    domains = observed_domains(survey, by)
    above, below = answers_on_a_scale(survey, over), answers_on_a_scale(survey, under)
    members, kept = _members(survey, over, domains, above + below, lonely_psu)
    estimate, variance = weighted_ratios(members, above[kept, None], below[kept, None])
    return _described([_rows(f"{numerator}/{denominator}", domains, members, estimate, variance, np.full(estimate.shape, np.nan))], survey)


def survey_quantile(
    survey: Survey,
    *,
    questions: str | Sequence[str],
    quantiles: float | Sequence[float] = (0.25, 0.5, 0.75),
    by: str | Sequence[str] = (),
    rule: str = "math",
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Return weighted quantiles of the answer codes of each question, in every background.

    Intervals are Woodruff's: those of the share of answers up to the quantile, carried back to codes. The standard error
    is the interval's length over twice the t quantile, and `deff` is that share's.

    Parameters
    ----------
    survey : Survey
    questions : str or sequence of str
        Questions with numeric codes.
    quantiles : float or sequence of float
        0-1.
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: ``"all"``.
    rule : {"math", "school", "hf1", "hf2", "hf4", "hf5", "hf6", "hf7", "hf8", "hf9"}
        R's ``qrule``: ``"math"`` is the smallest code whose cumulative share reaches the quantile; ``"school"`` halves ties;
        the others interpolate as Hyndman and Fan's types.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        `question_id background_id quantile estimate std_error conf_low conf_high df n n_eff deff largest_weight`. A limit beyond the
        data's reach is missing, and the standard error with it.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown, or a code is no number.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If `rule` is unknown, a quantile is outside 0-1, or a stratum has a single PSU and `lonely_psu` is ``"fail"``.

    References
    ----------
    Woodruff (1952), doi:10.1080/01621459.1952.10483443. Hyndman and Fan (1996), doi:10.1080/00031305.1996.10473566.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> ss.survey_quantile(survey, questions=["Q8_8"], quantiles=[0.5]).estimate.tolist()
    [2.0]
    """
    check_survey(survey, of_domains=True)
    wanted = _probabilities(quantiles)
    domains = observed_domains(survey, by)
    tables = []
    for question in asked_questions(survey, questions):
        values = answers_on_a_scale(survey, question)
        members, kept = _members(survey, question, domains, values, lonely_psu)
        for quantile in wanted:
            table = _quantile_rows(question.question_id, domains, members, values[kept], quantile, rule)
            table.insert(2, QUANTILE, quantile)
            tables.append(table)
    return _described(tables, survey)


def _probabilities(quantiles: float | Sequence[float]) -> list[float]:
    """Return the quantiles asked for, of a number or a list of numbers."""
    try:
        wanted = np.atleast_1d(np.asarray(quantiles, dtype=float)).ravel().tolist()
    except (TypeError, ValueError) as error:
        raise DesignError(f"quantiles must be numbers in 0-1; got {quoted(quantiles)}; 0.5 is the median") from error
    if not wanted:
        raise DesignError("quantiles is empty; give at least one number in 0-1, such as 0.5, the median")
    return [float(one) for one in wanted]


def _quantile_rows(name: str, domains: Domains, members: Members, values: np.ndarray, quantile: float, rule: str) -> pd.DataFrame:
    found, std_error, low, high = quantile_intervals(members, values, quantile, rule)
    below = (values <= found[members.domain])[:, None].astype(float)
    deff = _design_effect(weighted_ratios(members, below)[1], simple_random_variances(members, below))
    table = _rows(name, domains, members, found[:, None], np.square(std_error)[:, None], deff)
    return table.assign(**{CONF_LOW: low, CONF_HIGH: high})


def _members(survey: Survey, question: Question, domains: Domains, values: np.ndarray, lonely_psu: str) -> tuple[Members, np.ndarray]:
    """Return the respondents that have a value and a background, and their positions in the survey."""
    design, sample = question_sample(survey, question, lonely_psu)
    rows = np.flatnonzero(~np.isnan(values[sample]) & (domains.code[sample] >= 0))
    return Members(design, rows, domains.code[sample][rows], len(domains.ids)), sample[rows]


def _rows(name: str, domains: Domains, members: Members, estimate: np.ndarray, variance: np.ndarray, deff: np.ndarray) -> pd.DataFrame:
    """Return one row per background; the arrays have shape ``(domains, 1)``."""
    df, (n, n_eff), std_error = members.degrees_of_freedom, members.counts(), np.sqrt(variance[:, 0])
    low, high = mean_intervals(estimate[:, 0], std_error, df)
    columns = (name, list(domains.ids), estimate[:, 0], std_error, low, high, df, n, n_eff, deff[:, 0])
    return pd.DataFrame(dict(zip(ESTIMATE_COLUMNS, columns, strict=True))).assign(**{LARGEST_WEIGHT: members.largest_weights()})


def _described(tables: list[pd.DataFrame], survey: Survey) -> pd.DataFrame:
    """Put tables together, with the weight, denominator and design in words as `attrs`."""
    table = readable(pd.concat(tables, ignore_index=True), survey.codebook, simulated=False)
    table.attrs |= {"survey": survey.codebook.name, "weight": survey.weight_name}
    table.attrs |= {"denominator": "valid answers", "design": survey.design.description, **domain_facts(survey)}
    table.attrs |= nested_backgrounds(survey)
    return table


def _design_effect(variance: np.ndarray, simple: np.ndarray) -> np.ndarray:
    return np.divide(variance, simple, out=np.full(variance.shape, np.nan), where=simple > 0)
