"""Response distributions: a survey in, the weighted share of every option in every background out, with its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import one_trait_pairs, same_traits
from surveysim.codebook.codebook import Code, Question
from surveysim.codebook.readable import readable
from surveysim.design.estimators import Members, weighted_ratios
from surveysim.design.row_covariance import QuestionRows, known_rows, share_rows, with_covariance, without_sums
from surveysim.errors import TableError, first_few, nearest
from surveysim.survey.domains import (
    Domains,
    asked_questions,
    domain_facts,
    nested_backgrounds,
    observed_domains,
    question_sample,
)
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.intervals import share_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    LARGEST_WEIGHT,
    N_EFF,
    OPTION,
    ORDER,
    QUESTION,
    SHARE,
    SHIFT_COLUMNS,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
    require_columns,
)

MISSING_RULES = ("drop", "as_option")
PAIRS = ("one_trait", "all")


def response_distributions(
    survey: Survey,
    *,
    by: str | Sequence[str] = (),
    questions: str | Sequence[str] | None = None,
    missing: str = "drop",
    lonely_psu: str = "fail",
    covariance: bool = False,
) -> pd.DataFrame:
    """Return the weighted share of every option of every question, in every background, with its standard error.

    The share of option k in background b is the weight of b's respondents who chose k over the weight of b's respondents
    with a valid answer. Standard errors are Taylor-linearised: a background is a domain of the whole sample, so every PSU
    counts. Intervals (95%) are symmetric on the logit scale, with t quantiles on the background's PSUs less strata as
    degrees of freedom (R: ``svyciprop(method="logit")`` of a subset). A share of exactly 0 or 1 has no logit: its interval
    is Clopper and Pearson's on `n_eff` respondents.

    Parameters
    ----------
    survey : Survey
    by : str or sequence of str
        Traits, or questions of up to 12 options, whose joint levels are the backgrounds; none: one background ``"all"``. Respondents
        without one of them are in no background.
    questions : str or sequence of str, optional
        Default every question that the survey holds.
    missing : {"drop", "as_option"}
        ``"drop"``: the denominator is valid answers. ``"as_option"``: each reason found follows the valid options as an
        option of its own (`option_code` is the reason), and the denominator is all respondents.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance: an error, nothing, its squared total, the mean of the other
        strata, nothing.
    covariance : bool
        Carry what the covariance of the rows needs, by PSU and never by respondent, in ``attrs["covariance"]`` (R:
        ``svyby(covmat=TRUE)``): `survey_contrast`, `background_shifts` and joint shares then use it in place of independence.

    Returns
    -------
    DataFrame
        A distributions table, ``source="survey"``: `question_id option_label`, the traits, `background_id option_code option_order n_eff
        source largest_weight simulated conf_low conf_high share std_error n`. `n`: respondents of positive weight in the denominator;
        `n_eff`: Kish's; `largest_weight`: the largest share (0-1) that one respondent has of their weight, for `protect`. A background
        where nobody gave a valid answer stays, with ``n = 0`` and missing shares. Its `attrs` say the weight, the denominator and the
        design in words, and which levels of the survey's traits lie within those of another (`nested`).

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown; the message names the nearest.
    BackgroundError
        If the survey was read without a trait of `by`.
    DesignError
        If a question's own weight was not read, or a stratum has a single PSU and `lonely_psu` is ``"fail"``.
    TableError
        If `missing` is neither ``"drop"`` nor ``"as_option"``.

    References
    ----------
    Binder (1983), doi:10.2307/1402588. Korn and Graubard (1998), Survey Methodology 24, 193-201.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> table = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> table.groupby("background_id").share.sum().round(9).tolist()
    [1.0, 1.0]
    """
    check_survey(survey, of_domains=True)
    if missing not in MISSING_RULES:
        raise TableError(f"missing must be 'drop' or 'as_option'; got {missing!r}, {nearest(str(missing), MISSING_RULES)}")
    domains = observed_domains(survey, by)
    rows: dict[str, QuestionRows] | None = {} if covariance else None
    asked = asked_questions(survey, questions)
    columns = [_question_columns(survey, question, domains, missing, lonely_psu, rows) for question in asked]
    whole: dict[str, Any] = {name: np.concatenate([each[name] for each in columns]) for name in [*DISTRIBUTION_COLUMNS, LARGEST_WEIGHT]}
    whole[OPTION] = whole[OPTION].tolist()  # numbers, where all codes are
    table = readable(pd.DataFrame(whole), survey.codebook)
    denominator = "valid answers" if missing == "drop" else "all respondents"
    table.attrs |= {"survey": survey.codebook.name, "weight": survey.weight_name}
    table.attrs |= {"denominator": denominator, "design": survey.design.description, **domain_facts(survey)}
    table.attrs |= nested_backgrounds(survey)
    return with_covariance(table, rows, survey.design)


def cell_shares(survey: Survey, *, by: str | Sequence[str], questions: str | Sequence[str] | None) -> pd.DataFrame:
    """Return a distributions table for whoever needs shares and sizes alone: its standard errors are not to be used.

    A sample drawn from a clustered survey leaves most strata with a single PSU. That hides the variance, and neither the shares nor
    Kish's `n_eff`, so it is no ground to refuse to learn from the sample or to score against it.
    """
    return response_distributions(survey, by=by, questions=questions, lonely_psu="remove")


def _question_columns(
    survey: Survey, question: Question, domains: Domains, missing: str, lonely_psu: str, carried: dict[str, QuestionRows] | None
) -> dict[str, np.ndarray]:
    codes, choice = answer_positions(survey, question, missing)
    design, sample = question_sample(survey, question, lonely_psu)
    rows = np.flatnonzero((choice[sample] >= 0) & (domains.code[sample] >= 0))
    members = Members(design, rows, domains.code[sample][rows], len(domains.ids))
    n_domains, n_options = len(domains.ids), len(codes)
    chosen = (choice[sample][rows][:, None] == np.arange(n_options)).astype(float)
    shares, variance = weighted_ratios(members, chosen)
    std_error, (n, n_eff) = np.sqrt(variance), members.counts()
    low, high = share_intervals(shares, std_error, members.degrees_of_freedom, n_eff)
    if carried is not None:
        carried[question.question_id] = share_rows(domains.ids, codes, members, choice[sample][rows])
    return {
        QUESTION: _words([question.question_id] * shares.size),
        BACKGROUND: np.repeat(_words(domains.ids), n_options),
        OPTION: _words(list(codes) * n_domains),
        ORDER: np.tile(np.arange(n_options), n_domains),
        SHARE: shares.ravel(),
        STD_ERROR: std_error.ravel(),
        CONF_LOW: low.ravel(),
        CONF_HIGH: high.ravel(),
        N: np.repeat(n, n_options),
        N_EFF: np.repeat(n_eff, n_options),
        SOURCE: _words(["survey"] * shares.size),
        LARGEST_WEIGHT: np.repeat(members.largest_weights(), n_options),
    }


def _words(values: Sequence[object]) -> np.ndarray:
    """Return names or codes as they are, whatever their types."""
    return np.array(values, dtype=object)


def answer_positions(survey: Survey, question: Question, missing: str) -> tuple[list[Code], np.ndarray]:
    """Return the options' codes and every respondent's position among them, -1 where the denominator leaves them out."""
    reasons = survey.reasons[question.question_id]
    valid = reasons.isna().to_numpy()
    choice = np.where(valid, pd.Index(list(question.codes)).get_indexer(pd.Index(survey.data[question.question_id])), -1)
    assert ((choice >= 0) == valid).all(), "a valid answer is one of the options"
    codes: list[Code] = list(question.codes)
    if missing == "as_option":
        for reason in sorted(reasons.dropna().unique()):
            choice[(reasons == reason).to_numpy()] = len(codes)
            codes.append(str(reason))
    return codes, choice


def background_shifts(distributions: pd.DataFrame, *, pairs: str = "one_trait") -> pd.DataFrame:
    """Return how far the shares move from one background to another, for every option.

    ``shift = share(background_to) - share(background_from)``, with standard error ``sqrt(se_from^2 + se_to^2)``: the two
    backgrounds' shares are taken as independent, which clusters that hold both make them only nearly. A table that carries the
    covariance of its rows (``covariance=True``) takes off twice the two shares' covariance.

    Parameters
    ----------
    distributions : DataFrame
        A distributions table of one source, all backgrounds over the same traits.
    pairs : {"one_trait", "all"}
        ``"one_trait"``: backgrounds that differ in exactly one trait. ``"all"``: every pair.

    Returns
    -------
    DataFrame
        A shifts table, each pair once, from the background that stands earlier in `distributions` to the later one:
        `question_id background_from background_to option_code shift std_error`. Shifts of a background without
        respondents are missing. Its `attrs` are those of `distributions`.

    Raises
    ------
    TableError
        If `distributions` breaks its contract or holds several sources, `pairs` is unknown, the backgrounds differ in
        their traits, or no two backgrounds make a pair.

    References
    ----------
    Huang, Li, Shao (2026), arXiv:2510.21977.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shifts = ss.background_shifts(ss.response_distributions(survey, by=["gender"], questions=["Q8_8"]))
    >>> len(shifts), bool(abs(shifts["shift"].sum()) < 1e-9)
    (4, True)
    """
    check_distributions(distributions)
    require_columns(distributions, [STD_ERROR], "distributions")
    sources = distributions[SOURCE].unique()
    if len(sources) > 1:
        raise TableError(f"distributions holds sources {first_few(sources)}; keep one at a time")
    if pairs not in PAIRS:
        raise TableError(f"pairs must be 'one_trait' or 'all'; got {pairs!r}, {nearest(str(pairs), PAIRS)}")
    tables = [_question_shifts(rows, pairs) for _, rows in distributions.groupby(QUESTION, sort=False)]
    shifts = pd.concat(tables, ignore_index=True)
    if shifts.empty:
        raise TableError(f"no two of the {distributions[BACKGROUND].nunique()} backgrounds make a pair ({pairs}); name more traits in by=")
    table = shifts[SHIFT_COLUMNS]
    table.attrs = without_sums(distributions.attrs)
    return table


def _question_shifts(rows: pd.DataFrame, pairs: str) -> pd.DataFrame:
    backgrounds = list(rows[BACKGROUND].unique())
    start, end = _pairs(backgrounds, pairs).T
    codes = rows.sort_values(ORDER, kind="stable")[OPTION].unique()
    shape = (len(backgrounds), len(codes))
    if len(rows) != shape[0] * shape[1]:
        raise TableError(f"question {rows[QUESTION].iloc[0]!r}: its backgrounds have different options; use one codebook")
    place = pd.Index(backgrounds).get_indexer(pd.Index(rows[BACKGROUND])) * shape[1] + pd.Index(codes).get_indexer(pd.Index(rows[OPTION]))
    share, std_error = np.empty(shape), np.empty(shape)
    share.ravel()[place], std_error.ravel()[place] = rows[SHARE], rows[STD_ERROR]
    names, known = np.array(backgrounds, dtype=object), known_rows(rows)
    errors = np.hypot(std_error[start], std_error[end])
    if known is not None:
        for column, code in enumerate(codes):
            between = known.joint_covariance(backgrounds, [code], np.eye(len(backgrounds)))
            variance = between[start, start] + between[end, end] - 2 * between[start, end]
            errors[:, column] = np.where(np.isnan(errors[:, column]), np.nan, np.sqrt(np.maximum(variance, 0)))
    return pd.DataFrame(
        {
            QUESTION: rows[QUESTION].iloc[0],
            "background_from": np.repeat(names[start], shape[1]),
            "background_to": np.repeat(names[end], shape[1]),
            OPTION: np.tile(codes, len(start)),
            "shift": (share[end] - share[start]).ravel(),
            STD_ERROR: errors.ravel(),
        }
    )


def _pairs(backgrounds: list[str], pairs: str) -> np.ndarray:
    """Return positions of the earlier and the later background of every pair, shape ``(pairs, 2)``."""
    if pairs == "all":
        return np.stack(np.triu_indices(len(backgrounds), 1), axis=1)
    same_traits(backgrounds, "distributions", "shifts need the same traits throughout")
    return one_trait_pairs(backgrounds)
