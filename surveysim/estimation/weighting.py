"""Weighting verbs: a survey goes in, the same respondents with other weights come out.

Adjusted weights are never treated as fixed: the survey carries how they were made, and standard errors use it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from surveysim.design.adjustment import calibrate_design, rake_design, trim_design
from surveysim.design.design import Design, kish_n_eff
from surveysim.errors import DesignError, nearest
from surveysim.estimation.margins import Margins, Target, margin_targets, population_margins
from surveysim.survey.domains import answers_on_a_scale
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import BACKGROUND, N_EFF, POPULATION_SHARE, N, require_columns


def rake(survey: Survey, margins: Margins, *, missing: str = "fail", residuals: str = "regression") -> Survey:
    """Rake the weights, so that every margin's weighted totals equal the population's.

    Iterative proportional fitting until no total is off by more than 1e-11 of the population. Standard errors of the
    survey returned are those of residuals from a regression on the margins, weighted by the weights before: R's
    ``calibrate(calfun = "raking")``. R's own ``rake()`` takes the margins' unweighted means out ten times in turn, which comes to the
    same where they are unrelated and to another error where they go together: ``residuals="in_turn"``. With replicate weights every
    replicate is raked, and `residuals` has no effect.

    Parameters
    ----------
    survey : Survey
    margins : DataFrame or mapping
        From `population_margins`, or ``{"gender": {"female": 0.51, "male": 0.49}}``; counts of people, or shares that sum
        to 1 (then the sum of weights is kept). A tuple of traits, with tuples of levels, makes a joint margin.
    missing : {"fail", "keep"}
        Respondents without a trait: an error, or a group of their own that keeps its share of the weight.
    residuals : {"regression", "in_turn"}
        How standard errors take the margins out: as R's ``calibrate(calfun = "raking")``, or as R's ``rake()``.

    Returns
    -------
    Survey
        The same respondents; only the weights differ.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    BackgroundError
        If a trait or level is unknown; the message names the nearest.
    DesignError
        If the margins' totals disagree or are neither shares nor people (percent, say), a level has people and no respondents or the
        reverse, respondents lack a trait (``missing="fail"``), the iteration does not converge, or `residuals` is unknown.
    TableError
        If `margins` is neither a table nor a mapping, or a number in it is missing or negative.

    References
    ----------
    Deming and Stephan (1940), doi:10.1214/aoms/1177731829. Deville, Sarndal and Sautory (1993), doi:10.2307/2290793.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> raked = ss.rake(survey, {"gender": {"female": 0.52, "male": 0.48}})
    >>> ss.population_margins(raked, by=["gender"]).population_share.round(9).tolist()
    [0.52, 0.48]
    """
    check_survey(survey)
    targets = margin_targets(survey, margins, missing=missing)
    said = "" if residuals == "regression" else ", residuals in turn"
    return survey.with_design(_raked(survey, targets, residuals), f"raked to {_names(targets)}{said}")


def poststratify_weights(survey: Survey, population: pd.DataFrame, *, missing: str = "fail") -> Survey:
    """Post-stratify the weights to the joint distribution of some traits.

    Parameters
    ----------
    survey : Survey
    population : DataFrame
        A row per combination of levels, a column per trait, and `count` (people) or `population_share` (0-1).
    missing : {"fail", "keep"}
        As of `rake`.

    Returns
    -------
    Survey

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    BackgroundError
        If a trait or level is unknown.
    DesignError
        If a combination has people and no respondents or the reverse, or respondents lack a trait.
    TableError
        If `population` lacks its columns.

    References
    ----------
    Holt and Smith (1979), doi:10.2307/2344652.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> own = ss.observed_backgrounds(survey, by=["gender", "age3"])
    >>> same = ss.poststratify_weights(survey, own)
    >>> bool(abs(same.data.weight / survey.data.weight - 1).max() < 1e-9)
    True
    """
    check_survey(survey)
    require_columns(population, [], "population")
    about = {BACKGROUND, POPULATION_SHARE, "count", N, N_EFF, "enough"}
    traits = [name for name in population.columns if name not in about]
    if not traits:
        raise DesignError(f"population needs a column per trait; {nearest('', survey.traits)}")
    targets = margin_targets(survey, population_margins(population, by=[traits]), missing=missing)
    return survey.with_design(_raked(survey, targets), f"post-stratified to {_names(targets)}")


def calibrate(
    survey: Survey,
    margins: Margins | None = None,
    *,
    means: Mapping[str, float] | None = None,
    method: str = "linear",
    bounds: tuple[float, float] | None = None,
    missing: str = "fail",
) -> Survey:
    """Calibrate the weights to margins of traits and means of numeric variables together.

    Parameters
    ----------
    survey : Survey
    margins : DataFrame or mapping, optional
        As of `rake`.
    means : mapping of str to float, optional
        Population means of numeric questions or columns, say ``{"eduyrs": 13.2}``.
    method : {"linear", "raking", "logit"}
        How the weights move: linearly (the regression estimator), exponentially (never negative), or between `bounds`.
    bounds : (low, high), optional
        Limits of new over old weight, ``0 <= low < 1 < high``; for ``"logit"``.
    missing : {"fail", "keep"}
        As of `rake`; a respondent without a numeric variable is always an error.

    Returns
    -------
    Survey

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    BackgroundError
        If a trait or level is unknown.
    DesignError
        If nothing is given to calibrate to, a numeric variable is unknown or missing for respondents, no weights of this
        form meet the totals, or linear calibration makes weights negative.

    References
    ----------
    Deville and Sarndal (1992), doi:10.1080/01621459.1992.10475217.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> bounded = ss.calibrate(survey, {"gender": {"female": 0.52, "male": 0.48}}, method="logit", bounds=(0.5, 2))
    >>> bool((bounded.data.weight / survey.data.weight).between(0.5, 2).all())
    True
    """
    check_survey(survey)
    targets = [] if margins is None else margin_targets(survey, margins, missing=missing)
    wanted = {} if means is None else dict(means)
    if not targets and not wanted:
        raise DesignError("calibrate needs margins= of traits, means= of numeric variables, or both")
    population = targets[0].totals.sum() if targets else survey.design.weights.sum()
    columns, totals, names = [np.ones(len(survey))], [population], ["population size"]
    for target in targets:
        columns += [(target.group == place).astype(float) for place in range(len(target.ids))]
        totals += list(target.totals)
        names += list(target.ids)
    for name, mean in wanted.items():
        columns.append(_numeric(survey, name))
        totals.append(population * mean)
        names.append(name)
    design = calibrate_design(survey.design, np.stack(columns, axis=1), np.array(totals), method=method, bounds=bounds, names=names)
    what = ", ".join([*(target.name for target in targets), *(f"mean of {name}" for name in wanted)])
    return survey.with_design(design, f"calibrated ({method}) to {what}")


def trim_weights(survey: Survey, *, lower: float = 0.0, upper: float = np.inf, strict: bool = True) -> Survey:
    """Cut the weights at limits and spread what was cut evenly over the others.

    The sum of weights is kept. What was cut is reported in the last of the returned survey's `notes`; `weight_summary`
    shows both surveys' weights. A raked survey that is trimmed meets its margins no more.

    Parameters
    ----------
    survey : Survey
    lower, upper : float
        Limits in the units of the weight; ``upper=5 * survey.data.weight.mean()`` is a common choice.
    strict : bool
        Repeat until no weight lies outside; otherwise spreading may push some over again.

    Returns
    -------
    Survey

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    DesignError
        If the limits exclude the mean weight.

    References
    ----------
    Potter (1990), A study of procedures to identify and trim extreme sampling weights, Proceedings of the Section on
    Survey Research Methods, 225-230.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> trimmed = ss.trim_weights(survey, upper=2)
    >>> float(trimmed.data.weight.max()), trimmed.notes[-1].startswith("trimmed")
    (2.0, True)
    """
    check_survey(survey)
    design, before = trim_design(survey.design, lower=lower, upper=upper, strict=strict), survey.design.weights
    low, high = int(((before > 0) & (before < lower)).sum()), int((before > upper).sum())
    cut = float(np.clip(before - upper, 0, None).sum() / before.sum())
    report = f"trimmed to {lower:g}-{upper:g}: {high} of {len(before)} weights above (holding {cut:.2%} of the weight over it), {low} below"
    return survey.with_design(design, report)


def weight_summary(survey: Survey) -> pd.DataFrame:
    """Return one row that describes the weights.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    DataFrame
        `weight` (name), `n` (respondents of positive weight), `n_zero`, `sum`, `mean`, `min`, `max` (of positive weights), `cv`
        (coefficient of variation), `n_eff` (Kish) and `deff` (Kish's design effect of weighting, ``n / n_eff``).

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.weight_summary(ss.load_example("nonvoters2020")).n.tolist()
    [5836]
    """
    check_survey(survey)
    weights = survey.design.weights
    positive, n_eff = weights[weights > 0], kish_n_eff(weights)
    row = {
        "weight": survey.weight_name,
        N: len(positive),
        "n_zero": len(weights) - len(positive),
        "sum": positive.sum(),
        "mean": positive.mean(),
        "min": positive.min(),
        "max": positive.max(),
        "cv": positive.std() / positive.mean(),
        N_EFF: n_eff,
        "deff": len(positive) / n_eff,
    }
    return pd.DataFrame([row])


def _raked(survey: Survey, targets: list[Target], residuals: str = "regression") -> Design:
    return rake_design(
        survey.design,
        [target.group for target in targets],
        [target.totals for target in targets],
        [target.name for target in targets],
        residuals=residuals,
    )


def _names(targets: list[Target]) -> str:
    return ", ".join(target.name for target in targets)


def _numeric(survey: Survey, name: str) -> np.ndarray:
    if name in survey.questions:
        values = answers_on_a_scale(survey, survey.codebook.question(name))
    elif name in survey.data and pd.api.types.is_numeric_dtype(survey.data[name]):
        values = survey.data[name].to_numpy(float)
    else:
        raise DesignError(f"means: the survey has no numeric variable {name!r}; {nearest(name, map(str, survey.data.columns))}")
    absent = int(np.isnan(values).sum())
    if absent:
        raise DesignError(f"means: {name!r} is missing for {absent} respondents; leave them out with Survey.take, or do without it")
    return values
