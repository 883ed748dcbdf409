"""Replicate weights of a survey: made from its design, or taken from its release."""

from __future__ import annotations

import re
from typing import overload

import numpy as np
import pandas as pd

from surveysim.design.adjustment import given_replicates, replicate_design
from surveysim.design.design import Design
from surveysim.design.row_covariance import known_rows
from surveysim.errors import DesignError, TableError, first_few
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import BACKGROUND, ESTIMATE, OPTION, QUESTION, SHARE, STD_ERROR, require_columns

RELEASES = {  # names of the columns, in lower case -> method, Fay's factor, about the full sample's estimate
    r"(p?wgtp|pwwgt|repwtp?)\d+": ("SDR", 0.0, True),
    r"(w_fst(ur)?(wt|r)|repwgt|[ts]rwgt)\d+": ("Fay", 0.5, True),
}


@overload
def as_replicates(design: Survey, *, method: str, n_replicates: int = ..., fay: float = ..., seed: int = ...) -> Survey: ...
@overload
def as_replicates(design: Design, *, method: str, n_replicates: int = ..., fay: float = ..., seed: int = ...) -> Design: ...
def as_replicates(design: Survey | Design, *, method: str, n_replicates: int = 500, fay: float = 0.3, seed: int = 0) -> Survey | Design:
    """Make replicate weights from the design's strata and PSUs; errors come from them from then on.

    Parameters
    ----------
    design : Survey or Design
        Not yet raked or calibrated: what follows is repeated in every replicate.
    method : {"JK1", "JKn", "BRR", "Fay", "bootstrap"}
        ``"JK1"``: without strata, one PSU left out at a time; ``"JKn"``: the same within strata; ``"BRR"``: one of two PSUs in
        every stratum; ``"Fay"``: BRR with the half samples' weights drawn together; ``"bootstrap"``: Rao and Wu's.
    n_replicates : int
        Of the bootstrap.
    fay : float
        Of Fay's method, 0-1.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Survey or Design
        What was given, with replicate weights.

    Raises
    ------
    DesignError
        If the weights were calibrated before, or the method does not suit the design.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, doi:10.1007/978-0-387-35099-8. Rao and Wu (1988),
    doi:10.1080/01621459.1988.10478591 (bootstrap).

    Examples
    --------
    >>> import numpy as np
    >>> import surveysim as ss
    >>> design = ss.Design(np.ones(6), psu=np.array([1, 1, 2, 2, 3, 3]))
    >>> ss.as_replicates(design, method="JK1").replicates.weights.shape
    (6, 3)
    """
    own = design.design if isinstance(design, Survey) else design
    made = replicate_design(own, method, n_replicates=n_replicates, fay=fay, seed=seed)
    if not isinstance(design, Survey):
        return made
    assert made.replicates is not None, "just made"
    return design.with_design(made, f"{method}: {made.replicates.weights.shape[1]} replicate weights")


def with_replicates(
    survey: Survey,
    weights: pd.DataFrame | np.ndarray,
    *,
    method: str | None = None,
    combined: bool = True,
    scale: float | None = None,
    rscales: np.ndarray | None = None,
    fay: float | None = None,
    mse: bool | None = None,
) -> Survey:
    """Take the replicate weights that came with a release; errors come from them from then on.

    Parameters
    ----------
    survey : Survey
    weights : DataFrame or array, shape ``(respondents, replicates)``
        In the order of the survey's rows.
    method : {"JK1", "JKn", "BRR", "Fay", "bootstrap", "JK2", "SDR", "other"}, optional
        ``"SDR"``: successive differences (R: ``"ACS"``). Default as the columns' names tell: those of ACS and CPS (``PWGTP1``, ``WGTP1``,
        ``PWWGT1``, ``REPWTP1``, ...) are SDR, those of PISA (``W_FSTURWT1``, ``W_FSTR1``, ...), TALIS (``TRWGT1``, ``SRWGT1``, ...) and
        SIPP (``REPWGT1``, ...) Fay's with factor 0.5, all about the full sample's estimate. ``"other"``: any rule that `scale` and
        `rscales` say, as that of generalised replicates (R: ``type="other"``).
    combined : bool
        Whether the sampling weight is in the replicate weights; otherwise they are multiplied by it.
    scale : float, optional
        Default by method: JK1 ``(R-1)/R``, BRR ``1/R``, Fay ``1/(R (1-fay)^2)``, bootstrap ``1/(R-1)``, JKn and JK2 1, SDR ``4/R``;
        ``"other"`` has none.
    rscales : array, shape ``(replicates,)``, optional
        Default 1 each; JKn needs them, ``(n_h-1)/n_h``.
    fay : float, optional
        Of Fay's method, 0-1; default 0.3, or the release's.
    mse : bool, optional
        Centre at the full sample's estimate in place of the replicates' mean; default False, or as the release has it.

    Returns
    -------
    Survey
        The same respondents and weights, with these replicates.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    DesignError
        If the shape, method or scales do not fit, or no method is given and the columns' names tell none.

    References
    ----------
    US Census Bureau (2014), American Community Survey design and methodology, chapter 12: variance ``4/80 sum (x_r - x)^2`` of PWGTP1 to 80
    (persons) and WGTP1 to 80 (households); IPUMS has them as REPWTP and REPWT, https://usa.ipums.org/usa/repwt.shtml. US Census Bureau,
    Use of the public use replicate weight file (CPS): ``4/160 sum (x_r - x)^2`` of PWWGT1 to 160, PWWGT0 being the full sample's weight.
    OECD (2009), PISA Data Analysis Manual, doi:10.1787/9789264056275-en, chapter 4: ``1/20 sum (x_r - x)^2`` of W_FSTR1 to 80 (W_FSTURWT
    from 2015 on), Fay's method with factor 0.5. TALIS has 100 of teachers (TRWGT) and of schools (SRWGT), the Census Bureau's Survey of
    Income and Program Participation 240 (REPWGT, REPWGT0 being the full sample's weight), both with the same method and factor.
    Wolter (2007), Introduction to Variance Estimation, doi:10.1007/978-0-387-35099-8.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> both = survey.data[["weight", "weight"]]
    >>> ss.with_replicates(survey, both, method="BRR").design.replicates.scale
    0.5
    """
    check_survey(survey)
    released = _released(weights) if method is None else (method, 0.3, False)
    method, factor, about_full = released
    columns = _numbers(weights)
    made = given_replicates(
        survey.design,
        columns,
        method=method,
        combined=combined,
        scale=scale,
        rscales=rscales,
        fay=factor if fay is None else fay,
        mse=about_full if mse is None else mse,
    )
    return survey.with_design(made, f"{method}: {columns.shape[1]} replicate weights of the release")


def _numbers(weights: pd.DataFrame | np.ndarray) -> np.ndarray:
    try:
        if np.iscomplexobj(weights):
            raise TypeError("complex numbers")
        return np.asarray(weights, dtype=float)
    except (TypeError, ValueError) as error:
        raise DesignError(
            f"weights must be a frame or an array of numbers, a column per replicate; got {type(weights).__name__} that is none: {error}"
        ) from error


def replicates_needed(table: pd.DataFrame, *, target_cv: float = 0.05) -> pd.DataFrame:
    """Return how many bootstrap replicates a table's variances need, so that drawing others would change them little.

    A bootstrap variance of B replicates has a simulation error, besides that of the sample; its coefficient of variation is
    ``CV(e) / sqrt(B)``, e being the replicates' squared deviations from their centre, and ``(CV(e) / target)^2`` replicates bring it to the
    target. That of a standard error is about half as large. Where estimates are near normal, CV(e) is near the root of 2, and a
    target of 5% needs about 800. It is Beaumont and Patak's rule (R: `svrep`, ``estimate_boot_reps_for_target_cv``).

    Parameters
    ----------
    table : DataFrame
        Of `response_distributions` or `survey_mean` with ``covariance=True``, of a survey with bootstrap weights. More replicates tell
        it better: the rule is itself estimated.
    target_cv : float
        Coefficient of variation of the variance, 0-1.

    Returns
    -------
    DataFrame
        A row per row of the table: `question_id background_id option_code std_error simulation_cv n_replicates replicates_needed`, the last
        two integers; the largest is what all rows together need.

    Raises
    ------
    DesignError
        If the replicates are not a bootstrap's, or `target_cv` is not in 0-1.
    TableError
        If the table carries no covariance, or was changed.

    References
    ----------
    Beaumont and Patak (2012), doi:10.1111/j.1751-5823.2011.00166.x, sections 3.3 and 8.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.as_replicates(ss.load_example("nonvoters2020"), method="bootstrap", n_replicates=200)
    >>> means = ss.survey_mean(survey, questions="Q8_8", covariance=True)
    >>> ss.replicates_needed(means, target_cv=0.1)[["simulation_cv", "n_replicates", "replicates_needed"]].round(3).values.tolist()
    [[0.101, 200, 203]]
    """
    if not 0 < target_cv < 1:
        raise DesignError(f"target_cv must lie between 0 and 1, as 0.05 for 5%; got {target_cv}")
    value = SHARE if isinstance(table, pd.DataFrame) and SHARE in table else ESTIMATE
    require_columns(table, [QUESTION, BACKGROUND, *([OPTION] if value == SHARE else []), value, STD_ERROR], "table")
    if table.empty:
        raise TableError("table has no rows; give one with at least one estimate")
    parts = []
    for question, rows in table.groupby(QUESTION, sort=False):
        known = known_rows(rows, value)
        if known is None:
            raise TableError(f"table carries no covariance of question {question!r}; make it with covariance=True, and leave it as it is")
        repeated, rule = known.repeated, known.sums.replicates
        if repeated is None or rule is None or rule.method != "bootstrap":
            made = "linearised" if rule is None else f"of {rule.method} replicates"
            raise DesignError(f"table's variances are {made}; only a bootstrap draws: as_replicates(survey, method='bootstrap')")
        centre = known.estimate if rule.mse else repeated.mean(axis=0)
        squared = np.square(repeated - centre)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = squared.std(axis=0, ddof=1) / squared.mean(axis=0)
        place = pd.Index(known.backgrounds).get_indexer(pd.Index(rows[BACKGROUND]))
        option = pd.Index(list(known.options), dtype=object).get_indexer(pd.Index(rows[OPTION]).astype(object)) if value == SHARE else 0
        own = spread[place, option]
        needed = pd.array(np.ceil(np.square(own / target_cv)), dtype="Int64")
        keys = [name for name in (QUESTION, BACKGROUND, OPTION, STD_ERROR) if name in rows]
        numbers = {"simulation_cv": own / np.sqrt(len(repeated)), "n_replicates": len(repeated), "replicates_needed": needed}
        parts.append(rows[keys].assign(**numbers))
    return pd.concat([_bare(part) for part in parts], ignore_index=True)


def _bare(rows: pd.DataFrame) -> pd.DataFrame:
    rows.attrs = {}
    return rows


def _refuse_gaps(names: list[str]) -> None:
    """Refuse columns that are not all the replicates of a release: the scale of the variance is that of all."""
    numbers = sorted(int(re.sub(r"\D+", "", name)) for name in names)
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    absent = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
    if twice or absent:
        what = f"number {first_few(twice)} is there twice" if twice else f"number {first_few(absent)} of {numbers[-1]} is not there"
        raise DesignError(f"with_replicates: of the replicates {first_few(names)} {what}; give each of the release's columns once")


def _released(weights: pd.DataFrame | np.ndarray) -> tuple[str, float, bool]:
    """Return method, Fay's factor, and whether variances are about the full sample's estimate, as the columns' names tell."""
    names = [str(name).lower() for name in weights.columns] if isinstance(weights, pd.DataFrame) else []
    for pattern, found in RELEASES.items():
        if names and all(re.fullmatch(pattern, name) and int(re.sub(r"\D+", "", name)) for name in names):
            _refuse_gaps(names)
            return found
    full = [name for name in names if any(re.fullmatch(pattern, name) for pattern in RELEASES) and not int(re.sub(r"\D+", "", name))]
    if full:
        raise DesignError(f"with_replicates: {first_few(full)} is the weight of the full sample, not a replicate; leave the column out")
    told = f"the names {first_few(names)} tell none" if names else "an array has no names to tell it by"
    known = "those of ACS, CPS (PWGTP1, WGTP1, PWWGT1, REPWTP1), PISA (W_FSTURWT1, W_FSTR1), TALIS (TRWGT1, SRWGT1) and SIPP (REPWGT1)"
    raise DesignError(f"with_replicates needs method=: {told}; known are {known}")
