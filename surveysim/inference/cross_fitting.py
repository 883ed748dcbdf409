"""Cross-fitting: every part of the respondents is kept from the model once, so that direct and simulated shares err independently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import warning_once_of_a_prior
from surveysim.codebook.readable import readable
from surveysim.errors import EstimationError, first_few
from surveysim.estimation.distributions import response_distributions
from surveysim.progress import reported
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.other_respondents import FOLD
from surveysim.tables.schema import DISTRIBUTION_KEYS, PSU, RESPONDENT_ID, SHARE, SOURCE, STRATUM, check_distributions

Estimator = Callable[[Survey], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Direct and simulated shares of the same cells, fold by fold, from different respondents.

    Attributes
    ----------
    direct : DataFrame
        Distributions tables of each fold's respondents, stacked, with a column `fold` (from 0).
    simulated : DataFrame
        Tables learnt from everyone outside the fold, stacked, with `fold`.
    fold : int array, shape ``(respondents,)``
        Fold of each respondent of the survey.

    References
    ----------
    Zrnic and Candes (2024), doi:10.1073/pnas.2322083121.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> by, asked = ["gender"], ["Q8_8"]
    >>> halves = ss.cross_fit(survey, lambda part: ss.simulate(part, by, questions=asked, method="mrp"), by=by, questions=asked)
    >>> sorted(halves.direct.fold.unique().tolist()), halves.fold.shape
    ([0, 1], (5836,))
    """

    direct: pd.DataFrame
    simulated: pd.DataFrame
    fold: np.ndarray


def cross_fit(
    survey: Survey,
    estimator: Estimator,
    *,
    by: str | Sequence[str],
    questions: str | Sequence[str] | None = None,
    folds: int = 2,
    seed: int = 0,
    lonely_psu: str = "fail",
    progress: bool = True,
) -> CrossFit:
    """Estimate the cells from all respondents outside each fold, beside the direct shares of those inside.

    A table that was learnt from a survey errs with it. `composite` and `prediction_powered` need
    tables that do not: within a fold, the respondents who made the direct shares taught the model nothing.

    Assumptions: folds are drawn from whole PSUs (in a panel, whole persons), within strata, so that two folds are two
    samples of the same design; what the estimator learns from a part of the respondents is like what it learns from all.
    The second is never quite so: with two folds it learns from half of them, and intervals err on the wide side.

    Parameters
    ----------
    survey : Survey
    estimator : callable
        From a `Survey` of some respondents to a distributions table of every cell: ``lambda part: ss.simulate(part, grid)``.
    by : str or sequence of str
        Traits of the cells.
    questions : str or sequence of str, optional
        Default all of the survey's.
    folds : int
        At least 2; the estimator is called that often.
    seed : int
        Of the draw of folds.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        As of `response_distributions`: half a sample may leave a stratum with one PSU.
    progress : bool
        A bar over the folds with the time left; False is quiet.

    Returns
    -------
    CrossFit

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    EstimationError
        If there are fewer PSUs than folds, or the estimator's tables differ in their cells from fold to fold.
    TableError
        If the estimator returns no distributions table.

    References
    ----------
    Zrnic and Candes (2024), doi:10.1073/pnas.2322083121. Chernozhukov et al. (2018), doi:10.1111/ectj.12097.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> grid = ss.background_grid(survey.codebook, by=["gender", "age3"])
    >>> def ridge(part):
    ...     return ss.estimate_baseline(ss.response_distributions(part, by=["gender", "age3"], questions=["Q8_8"]), grid, method="ridge")
    >>> halves = ss.cross_fit(survey, ridge, by=["gender", "age3"], questions=["Q8_8"])
    >>> sorted(halves.direct.fold.unique().tolist()), len(halves.simulated) == 2 * 6 * 4
    ([0, 1], True)
    """
    check_survey(survey)
    fold = draw_folds(survey, folds, seed)
    direct, simulated = [], []
    with warning_once_of_a_prior():
        for place in reported(range(folds), "cross-fitting", progress=progress):
            inside = survey.take(fold == place)
            direct.append(response_distributions(inside, by=by, questions=questions, lonely_psu=lonely_psu).assign(**{FOLD: place}))
            made = check_distributions(estimator(survey.take(fold != place)), "the estimator's table")
            simulated.append(made.assign(**{FOLD: place}))
    _require_same_cells(simulated)
    return CrossFit(_stacked(direct), _stacked(simulated), fold)


def average_folds(tables: pd.DataFrame) -> pd.DataFrame:
    """Return the mean share of every cell over the folds of a stacked table, without standard errors.

    Parameters
    ----------
    tables : DataFrame
        `CrossFit.simulated`.
    """
    first = tables[tables[FOLD] == tables[FOLD].iloc[0]].drop(columns=FOLD)
    means = tables.groupby([*DISTRIBUTION_KEYS, SOURCE], sort=False, observed=True)[SHARE].mean()
    share = means.reindex(pd.MultiIndex.from_frame(first[[*DISTRIBUTION_KEYS, SOURCE]])).to_numpy()
    return first.assign(**{SHARE: share, "std_error": np.nan, "conf_low": np.nan, "conf_high": np.nan})


def draw_folds(survey: Survey, folds: int, seed: int) -> np.ndarray:
    """Deal PSUs, or persons where there are none, to folds: in each stratum as evenly as it goes."""
    unit = survey.data[PSU if PSU in survey.data else RESPONDENT_ID].astype(str)
    stratum = survey.data[STRATUM].astype(str) if STRATUM in survey.data else pd.Series("", index=survey.data.index)
    codes, _ = pd.factorize(pd.MultiIndex.from_arrays([stratum, unit])) if PSU in survey.data else pd.factorize(unit)
    n_units = int(codes.max()) + 1
    if folds < 2 or n_units < folds:
        raise EstimationError(f"folds must be 2 to {n_units:,}, the number of PSUs; got {folds}")
    generator = np.random.default_rng(seed)
    first = pd.Series(stratum.to_numpy()).groupby(codes).first()
    order = generator.permutation(n_units)
    order = order[np.argsort(pd.factorize(first)[0][order], kind="stable")]
    dealt = np.empty(n_units, dtype=np.int64)
    dealt[order] = np.arange(n_units) % folds
    return dealt[codes]


def _require_same_cells(tables: list[pd.DataFrame]) -> None:
    cells = [pd.MultiIndex.from_frame(table[DISTRIBUTION_KEYS]) for table in tables]
    for place, other in enumerate(cells[1:], start=1):
        odd = cells[0].symmetric_difference(other)
        if len(odd):
            shown = first_few(" / ".join(map(str, key)) for key in odd)
            raise EstimationError(f"the estimator gives other cells without fold {place} than without fold 0: {shown}; return every cell")


def _stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    attrs = tables[0].attrs
    stacked = pd.concat(tables, ignore_index=True)
    stacked.attrs = dict(attrs)
    return readable(stacked)
