"""Several weights side by side: what each makes of the same answers, and whether the difference is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Code, Question
from surveysim.design.design import ROUNDING, Design
from surveysim.design.estimators import Members, weighted_ratios
from surveysim.design.outcomes import adjusted_p_values, t_outcome
from surveysim.differences.tested_samples import question_choices
from surveysim.errors import DesignError, first_few, nearest
from surveysim.survey.assembly import NO_WEIGHT
from surveysim.survey.domains import Domains, answers_on_a_scale, asked_questions, observed_domains
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, ESTIMATE, N_EFF, OPTION, QUESTION, RESPONDENT_ID, STD_ERROR, WEIGHT, N

OUTCOMES = ("share", "mean")
Given: TypeAlias = str | Survey | np.ndarray | pd.Series
DIFFERENCE = [f"difference{part}" for part in ("", "_std_error", "_conf_low", "_conf_high")]


def compare_weights(
    survey: Survey,
    weights: str | Sequence[str] | Mapping[str, Given],
    *,
    questions: str | Sequence[str],
    by: str | Sequence[str] = (),
    outcome: str = "share",
    adjust: str = "none",
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Estimate the same outcomes under several weights, and test each difference from the first weight's.

    The same respondents stand on both sides, so the two estimates are not independent: the standard error of ``x_a - x_b`` is that of the
    differences of the respondents' influences, ``w_a (y - x_a) / sum(w_a) - w_b (y - x_b) / sum(w_b)``, linearised over the strata and
    PSUs; of an adjusted weight what its margins explain is taken out first. With replicate weights every replicate has a difference.
    It is the test of DuMouchel and Duncan of whether weights matter, for a mean or share and with the design.

    Parameters
    ----------
    survey : Survey
        Its strata and PSUs hold for all weights.
    weights : str, sequence of str, or mapping
        Weight variables of the survey (``"none"``: all count alike), the first of them the one that others are compared with; a survey's
        own weight stands first where one alone is named. Or names for weight variables, numbers (one a respondent), and surveys of the same
        respondents with other weights, raked or calibrated: ``{"given": "weight", "raked": ss.rake(survey, margins)}``.
    questions : str or sequence of str
    by : str or sequence of str
        Traits whose joint levels are the backgrounds; none: ``"all"``.
    outcome : {"share", "mean"}
        The share of every option, or the mean of the answer codes.
    adjust : {"none", "holm", "bh", "bonferroni"}
        Of the p values, over all tests.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        A row per question, background, option (of shares) and weight: `question_id background_id option_code weight estimate std_error
        conf_low conf_high difference difference_std_error difference_conf_low difference_conf_high df statistic p_value p_adjusted n
        n_eff`; intervals are t on PSUs less strata. The first weight has no difference, and where weights are in proportion
        nothing is tested. `attrs`: ``left_out``, respondents without one of
        the weights, who are in no estimate.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a question or trait is unknown, or ``outcome="mean"`` and a code is no number.
    DesignError
        If fewer than two weights are given, one is unknown, negative, of another length or of other respondents, or some have replicate
        weights and others none or other ones; if an argument is unknown, or a stratum has a single PSU and `lonely_psu` is ``"fail"``.

    Warns
    -----
    UserWarning
        If ``outcome="mean"`` and the question is nominal with more than two options: its codes are names.

    References
    ----------
    DuMouchel and Duncan (1983), doi:10.1080/01621459.1983.10478006. Pfeffermann (1993), doi:10.2307/1403631. Binder (1983),
    doi:10.2307/1402588. Bollen et al. (2016), doi:10.1146/annurev-statistics-011516-012958.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> table = ss.compare_weights(survey, ["none", "weight"], questions="Q8_8", outcome="mean")
    >>> table[["weight", "estimate", "std_error", "difference", "difference_std_error"]].round(4).values.tolist()
    [['none', 2.0007, 0.0116, nan, nan], ['weight', 1.9893, 0.0126, -0.0114, 0.0045]]
    """
    check_survey(survey)
    if outcome not in OUTCOMES:
        raise DesignError(f"outcome must be 'share' or 'mean'; got {outcome!r}, {nearest(str(outcome), OUTCOMES)}")
    designs, left = _designs(survey, weights, lonely_psu)
    base = replace(next(iter(designs.values())), calibrations=(), replicates=None)
    if all(design.replicates is None for design in designs.values()):
        base.refuse_lonely()
    domains = observed_domains(survey, by)
    parts = []
    for question in asked_questions(survey, questions):
        codes, values = _outcomes(survey, question, outcome)
        parts.append(_question_rows(question.question_id, codes, values, domains, designs, base))
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = adjusted_p_values(table["p_value"].to_numpy(float), adjust)
    keys = [QUESTION, BACKGROUND, *([OPTION] if outcome == "share" else []), "weight", ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH]
    table = table[[*keys, *DIFFERENCE, "df", "statistic", "p_value", "p_adjusted", N, N_EFF]]
    table.attrs |= {"survey": survey.codebook.name, "denominator": "valid answers", "design": base.description, "adjust": adjust}
    table.attrs |= {"left_out": left}
    return table


def _designs(survey: Survey, weights: object, lonely_psu: str) -> tuple[dict[str, Design], int]:
    """Return a design for every weight, over the same respondents, and how many lack one of the weights."""
    if isinstance(weights, Mapping):
        named = {str(name): given for name, given in weights.items()}
    else:
        listed = names_of(weights, "weights", [*survey.data.columns, NO_WEIGHT], error=DesignError)  # type: ignore[arg-type]
        listed = [survey.weight_name, *listed] if len(listed) == 1 and listed[0] != survey.weight_name else listed
        named = {name: name for name in listed}
    if len(named) < 2:
        raise DesignError(f"weights must name two or more; got {first_few(named) or 'none'}")
    found = {name: _design(survey, name, given) for name, given in named.items()}
    usable = np.all([np.isfinite(values) for _, values in found.values()], axis=0)
    made = {name: replace(design, weights=np.where(usable, values, 0.0), lonely_psu=lonely_psu) for name, (design, values) in found.items()}
    _same_replicates(made)
    return made, int((~usable).sum())


def _design(survey: Survey, name: str, given: object) -> tuple[Design, np.ndarray]:
    """Return the design that a weight stands in, and its values."""
    plain = replace(survey.design, calibrations=(), replicates=None)
    if isinstance(given, Survey):
        if not np.array_equal(given.data[RESPONDENT_ID].to_numpy(), survey.data[RESPONDENT_ID].to_numpy()):
            raise DesignError(f"weights: {name!r} is a survey of other respondents, or in another order; adjust the weights of this one")
        return given.design, given.data[WEIGHT].to_numpy(float)
    if isinstance(given, str):
        if given == survey.weight_name:
            return survey.design, survey.data[WEIGHT].to_numpy(float)
        if given == NO_WEIGHT:
            return plain, np.ones(len(survey))
        if given not in survey.data or not pd.api.types.is_numeric_dtype(survey.data[given]):
            numeric = [survey.weight_name, NO_WEIGHT, *survey.data.select_dtypes("number").columns]
            raise DesignError(f"weights: the survey has no weight {given!r}; {nearest(given, numeric)}")
        values = survey.data[given].to_numpy(float)
    else:
        values = np.asarray(given, dtype=float)
    if values.shape != (len(survey),) or np.isinf(values).any() or (values < 0).any() or not np.nansum(values) > 0:
        raise DesignError(
            f"weights: {name!r} must be one finite number >= 0 for each of {len(survey):,} respondents, not all 0; got shape "
            f"{values.shape}, {int((values < 0).sum())} negative, {int(np.isinf(values).sum())} infinite"
        )
    return plain, values


def _same_replicates(designs: Mapping[str, Design]) -> None:
    first, *others = ((name, design.replicates) for name, design in designs.items())
    for name, other in others:
        one = first[1]
        alike = one is other or (
            one is not None
            and other is not None
            and one.weights.shape == other.weights.shape
            and (one.method, one.scale, one.mse) == (other.method, other.scale, other.mse)
            and np.array_equal(one.rscales, other.rscales)
        )
        if not alike:
            raise DesignError(
                f"weights: {first[0]!r} and {name!r} have not the same kind of replicate weights; give each weight as a survey that was "
                "adjusted after as_replicates or with_replicates, or none with replicates"
            )


def _outcomes(survey: Survey, question: Question, outcome: str) -> tuple[list[Code | None], np.ndarray]:
    """Return options and outcomes, shape ``(respondents, options)``, missing where there is no valid answer."""
    if outcome == "mean":
        return [None], answers_on_a_scale(survey, question)[:, None]
    choice = question_choices(survey, question)
    chosen = (choice[:, None] == np.arange(len(question.codes))).astype(float)
    return list(question.codes), np.where(choice[:, None] >= 0, chosen, np.nan)


@dataclass(frozen=True, eq=False)
class _Estimates:
    """One weight's estimates of a question, each of shape ``(domains, options)``, and what differences need."""

    estimate: np.ndarray
    variance: np.ndarray
    counts: tuple[np.ndarray, np.ndarray]
    members: Members
    repeated: np.ndarray | None


def _estimates(design: Design, rows: np.ndarray, domains: Domains, values: np.ndarray) -> _Estimates:
    members = Members(design, rows, domains.code[rows], len(domains.ids))
    estimate, variance = weighted_ratios(members, values)
    repeated = None
    if design.replicates is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            repeated = members.repeated_sums(values) / members.repeated_sums(np.ones((len(rows), 1)))
    return _Estimates(estimate, variance, members.counts(), members, repeated)


def _question_rows(
    question: str, codes: list[Code | None], values: np.ndarray, domains: Domains, designs: Mapping[str, Design], base: Design
) -> pd.DataFrame:
    rows = np.flatnonzero(np.isfinite(values[:, 0]) & (domains.code >= 0))
    found = {name: _estimates(design, rows, domains, values[rows]) for name, design in designs.items()}
    reference = next(iter(found.values()))
    df = reference.members.degrees_of_freedom.astype(float)[:, None]
    made = []
    for place, (name, one) in enumerate(found.items()):
        low, high = mean_intervals(one.estimate, np.sqrt(one.variance), df)
        numbers = {ESTIMATE: one.estimate, STD_ERROR: np.sqrt(one.variance), CONF_LOW: low, CONF_HIGH: high}
        numbers |= _difference(one, reference, values[rows], base, df) if place else {}
        shape = one.estimate.shape
        flat = {key: np.broadcast_to(value, shape).ravel() for key, value in numbers.items()}
        sizes = {N: np.repeat(one.counts[0], shape[1]), N_EFF: np.repeat(one.counts[1], shape[1]), "place": np.arange(one.estimate.size)}
        background = np.repeat(np.array(domains.ids, dtype=object), shape[1])
        made.append(
            pd.DataFrame({QUESTION: question, BACKGROUND: background, OPTION: codes * shape[0], "weight": name, **flat, **sizes}).assign(
                df=np.broadcast_to(df, shape).ravel()
            )
        )
    together = pd.concat(made, ignore_index=True).sort_values("place", kind="stable")
    return together.reindex(columns=[*together.columns.union([*DIFFERENCE, "statistic", "p_value"], sort=False)])


def _difference(one: _Estimates, other: _Estimates, values: np.ndarray, base: Design, df: np.ndarray) -> dict[str, np.ndarray]:
    """Return the differences of two weights' estimates, with error, interval and test."""
    apart = one.estimate - other.estimate
    if one.repeated is not None and other.repeated is not None:
        replicates = one.members.design.replicates
        assert replicates is not None, "made with them"
        variance = replicates.variance(one.repeated - other.repeated, apart)
    else:
        variance = np.stack([_paired_variance(one, other, values, base, domain) for domain in range(len(apart))])
    rounding = variance <= ROUNDING**2 * (one.variance + other.variance)  # weights in one proportion
    std_error = np.where(np.isfinite(apart), np.sqrt(np.where(rounding, 0.0, variance)), np.nan)
    low, high = mean_intervals(apart, std_error, df)
    tests = np.full((2, *apart.shape), np.nan)
    for place in np.ndindex(apart.shape):
        try:
            tested = t_outcome(float(apart[place]), float(std_error[place]), float(df[place[0], 0]))
        except DesignError:
            continue
        tests[(slice(None), *place)] = tested.statistic, tested.p_value
    return dict(zip(DIFFERENCE, (apart, std_error, low, high), strict=True)) | {"statistic": tests[0], "p_value": tests[1]}


def _paired_variance(one: _Estimates, other: _Estimates, values: np.ndarray, base: Design, domain: int) -> np.ndarray:
    spread = _influence(one, values, domain) - _influence(other, values, domain)
    return np.diag(base.covariance(spread))


def _influence(one: _Estimates, values: np.ndarray, domain: int) -> np.ndarray:
    """Return what each respondent adds to the estimates of a domain, shape ``(respondents, options)``."""
    inside = one.members.domain == domain
    rows = one.members.rows[inside]
    weights = one.members.design.weights[rows]
    influence = np.zeros((len(one.members.design), values.shape[1]))
    if weights.any():
        influence[rows] = weights[:, None] * (values[inside] - one.estimate[domain]) / weights.sum()
    return one.members.design.residuals(influence)
