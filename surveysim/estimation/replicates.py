"""Replicate weights of a survey: made from its design, or taken from its release."""

from __future__ import annotations

import re
from typing import overload

import numpy as np
import pandas as pd

from surveysim.design.adjustment import given_replicates, replicate_design
from surveysim.design.design import Design
from surveysim.errors import DesignError, first_few
from surveysim.survey.survey import Survey, check_survey

RELEASES = {  # names of the columns, in lower case -> method, Fay's factor, about the full sample's estimate
    r"(p?wgtp|pwwgt|repwtp?)\d+": ("SDR", 0.0, True),
    r"w_fst(ur)?(wt|r)\d+": ("Fay", 0.5, True),
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
    method : {"JK1", "JKn", "BRR", "Fay", "bootstrap", "JK2", "SDR"}, optional
        ``"SDR"``: successive differences (R: ``"ACS"``). Default as the columns' names tell: those of ACS and CPS (``PWGTP1``, ``WGTP1``,
        ``PWWGT1``, ``REPWTP1``, ...) are SDR, those of PISA (``W_FSTURWT1``, ``W_FSTR1``, ...) Fay's with factor 0.5, all about the full
        sample's estimate.
    combined : bool
        Whether the sampling weight is in the replicate weights; otherwise they are multiplied by it.
    scale : float, optional
        Default by method: JK1 ``(R-1)/R``, BRR ``1/R``, Fay ``1/(R (1-fay)^2)``, bootstrap ``1/(R-1)``, JKn and JK2 1, SDR ``4/R``.
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
    US Census Bureau, PUMS Accuracy of the Data (ACS): variance ``4/80 sum (x_r - x)^2``. OECD (2009), PISA Data Analysis Manual,
    doi:10.1787/9789264056275-en.
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


def _released(weights: pd.DataFrame | np.ndarray) -> tuple[str, float, bool]:
    """Return method, Fay's factor, and whether variances are about the full sample's estimate, as the columns' names tell."""
    names = [str(name).lower() for name in weights.columns] if isinstance(weights, pd.DataFrame) else []
    for pattern, found in RELEASES.items():
        if names and all(re.fullmatch(pattern, name) for name in names):
            return found
    told = f"the names {first_few(names)} tell none" if names else "an array has no names to tell it by"
    known = "those of ACS, CPS (PWGTP1, WGTP1, PWWGT1, REPWTP1) and PISA (W_FSTURWT1, W_FSTR1)"
    raise DesignError(f"with_replicates needs method=: {told}; known are {known}")
