"""Errors of any estimator by refitting it on replicate weights and with other seeds: the whole pipeline, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import warning_once_of_a_prior
from surveysim.baselines.prior import PriorLike
from surveysim.codebook.readable import readable
from surveysim.design.replication import Replicates
from surveysim.errors import EstimationError, first_few
from surveysim.estimation.replicates import as_replicates
from surveysim.progress import reported
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.cells import Array
from surveysim.tables.draws import FEWEST_DRAWS, draw_columns, with_draws
from surveysim.tables.intervals import OF_A_SHARE, mean_intervals
from surveysim.tables.schema import (
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_KEYS,
    FPC,
    PSU,
    SHARE,
    SOURCE,
    STD_ERROR,
    STRATUM,
    WEIGHT,
    check_distributions,
)

SEED_ERROR = "std_error_seed"
FEWEST_REPLICATES = FEWEST_DRAWS


def resampled_errors(
    survey: Survey,
    estimator: Callable[..., pd.DataFrame],
    *,
    method: str = "bootstrap",
    n_replicates: int = 100,
    seeds: Sequence[int] = (),
    prior: PriorLike | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Give an estimator's shares the standard errors that refitting it on replicate weights shows.

    ``variance = scale * sum_r rscales_r (share_r - centre)^2 + variance over seeds / seeds``. In replicate r the estimator
    meets the survey with the replicate's weights, without the respondents whose weight is 0: whole PSUs within strata where
    the survey has any. A survey that brings replicate weights keeps its own. With several `seeds` the share is the mean over them.

    What it holds: sampling of respondents and PSUs, weights, all that the estimator chooses by the data, and the seed. What it
    does not: that a model is wrong or shrinks towards other cells in every replicate alike (bias). For cells of a pooled model
    the intervals are therefore too narrow; use `conformal_intervals` there. For totals and for estimators without bias they cover.

    Parameters
    ----------
    survey : Survey
    estimator : callable
        Takes a `Survey` and returns a distributions table of the same cells each time, such as
        ``lambda part: ss.simulate(part, grid, method="dsa-kernel")``; `poststratify` may be in it. With `seeds` it takes ``seed=`` too.
    method : {"bootstrap", "JK1", "JKn", "BRR", "Fay"}
        Of `as_replicates`; of no account where the survey has replicates.
    n_replicates : int
        Of the bootstrap, at least 20.
    seeds : sequence of int
        None: the estimator is called without a seed. Refits on replicates use the first.
    prior : DataFrame, Survey, or several of them, optional
        Handed to the estimator as ``prior=``, which it then takes: tables are fixed, a `Survey` gets replicate weights of its own.
    seed : int
        Of the bootstrap.
    progress : bool
        A bar with the time left.

    Returns
    -------
    DataFrame
        The estimator's table with new `std_error`, `conf_low`, `conf_high` (t on the replicates' degrees of freedom, cut at 0 and
        1), `std_error_seed` (of the mean over the seeds; missing with fewer than two) and, as columns ``draw_1``, ..., the
        replicates, scaled so that their spread is the standard error: `poststratify` adds them up. `attrs["resampling"]` says how.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    EstimationError
        If there are fewer than 20 replicates, or a refit returns other cells or shares that are missing.
    DesignError
        If the method does not suit the design (`as_replicates`).
    TableError
        If the estimator's table breaks its contract.

    References
    ----------
    Rao and Wu (1988), doi:10.1080/01621459.1988.10478591 (bootstrap). Wolter (2007), Introduction to Variance Estimation,
    doi:10.1007/978-0-387-35099-8.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=400, seed=0)
    >>> def ridge(part):
    ...     return ss.simulate(part, ["gender", "education"], questions=["Q8_8"], method="ridge")
    >>> table = ss.resampled_errors(survey, ridge, n_replicates=20, progress=False)
    >>> bool((table.std_error > 0).all()), table.attrs["resampling"]
    (True, 'bootstrap, 20 replicates')
    """
    check_survey(survey)
    replicates = _replicates(survey, method, n_replicates, seed)
    earlier = _Prior(prior, lambda wave, place: _replicates(wave, method, n_replicates, seed + 1 + place))
    given: list[dict[str, int]] = [{"seed": int(one)} for one in seeds] or [{}]
    with warning_once_of_a_prior():
        base, full, refitted = _refitted(survey, estimator, replicates, earlier, given, progress)
    spread = full.var(0, ddof=1) / len(full) if len(full) > 1 else None
    return _table(base, full.mean(0), refitted, replicates, spread)


def _refitted(
    survey: Survey,
    estimator: Callable[..., pd.DataFrame],
    replicates: Replicates,
    earlier: _Prior,
    given: Sequence[dict[str, int]],
    progress: bool,
) -> tuple[pd.DataFrame, Array, Array]:
    """Return the estimator's table of the whole survey, and the shares of its rows: shape (seeds, rows), and (replicates, rows)."""
    whole = [estimator(survey, **each, **earlier.whole()) for each in given]
    tables = [check_distributions(table, "the estimator's table") for table in whole]
    base = tables[0].drop(columns=draw_columns(tables[0]))
    full = np.stack([_shares(table, base, "another seed") for table in tables])
    refitted = []
    for place in reported(range(replicates.weights.shape[1]), "refitting", progress=progress):
        table = estimator(_reweighted(survey, replicates.weights[:, place]), **given[0], **earlier.replicate(place))
        refitted.append(_shares(check_distributions(table, "the estimator's table"), base, f"replicate {place}"))
    return base, full, np.stack(refitted)


class _Prior:
    """What is handed on as ``prior=``: as given, or with each survey in it reweighted by a replicate of its own."""

    def __init__(self, prior: PriorLike | None, replicates_of: Callable[[Survey, int], Replicates]) -> None:
        if prior is not None and not isinstance(prior, pd.DataFrame | Survey | Mapping | list | tuple):
            raise EstimationError(f"prior must be a distributions table, a Survey, or several of them; got {type(prior).__name__}")
        self._one = isinstance(prior, pd.DataFrame | Survey)
        self._given = prior
        if prior is None or isinstance(prior, pd.DataFrame | Survey):
            self._parts: dict[Any, Any] = {0: prior}
        else:
            self._parts = dict(prior) if isinstance(prior, Mapping) else dict(enumerate(prior))
        waves = [(key, wave) for key, wave in self._parts.items() if isinstance(wave, Survey)]
        self._weights = {key: replicates_of(wave, place).weights for place, (key, wave) in enumerate(waves)}

    def whole(self) -> dict[str, Any]:
        """Return it as it was given."""
        return {} if self._given is None else {"prior": self._given}

    def replicate(self, place: int) -> dict[str, Any]:
        """Return it with the surveys of one replicate; where a survey has fewer, they come round again."""
        if not self._weights:
            return self.whole()
        parts = dict(self._parts)
        for key, weights in self._weights.items():
            parts[key] = _reweighted(parts[key], weights[:, place % weights.shape[1]])
        return {"prior": parts[0] if self._one else parts if isinstance(self._given, Mapping) else list(parts.values())}


def _replicates(survey: Survey, method: str, n_replicates: int, seed: int) -> Replicates:
    design = survey.design
    made = design if design.replicates is not None else as_replicates(design, method=method, n_replicates=n_replicates, seed=seed)
    assert made.replicates is not None, "just made"
    count = made.replicates.weights.shape[1]
    if count < FEWEST_REPLICATES:
        raise EstimationError(f"errors need at least {FEWEST_REPLICATES} replicates; there are {count} ({made.replicates.method})")
    return made.replicates


def _reweighted(survey: Survey, weights: Array) -> Survey:
    """The survey of one replicate: its weights, without those whose weight is 0.

    Its PSUs stay, for those who deal them to folds; its strata, of which a replicate may leave one PSU, have served.
    """
    data = survey.data
    if PSU in data and STRATUM in data:
        data = data.assign(**{PSU: data[STRATUM].astype(str) + "/" + data[PSU].astype(str)})
    data = data.drop(columns=[STRATUM, FPC], errors="ignore").assign(**{WEIGHT: weights})
    return replace(survey, data=data, replicates=None, calibrations=()).take(weights > 0)


def _shares(table: pd.DataFrame, base: pd.DataFrame, what: str) -> Array:
    """A table's shares in the order of another's rows."""
    wanted = pd.MultiIndex.from_frame(base[[*DISTRIBUTION_KEYS, SOURCE]])
    found = table.set_index([*DISTRIBUTION_KEYS, SOURCE])[SHARE]
    odd = wanted.symmetric_difference(found.index)
    share: Array = found.reindex(wanted).to_numpy(float)
    empty = wanted[np.isnan(share)]
    if len(odd) or len(empty):
        shown = first_few(" / ".join(map(str, key)) for key in (odd if len(odd) else empty))
        raise EstimationError(
            f"{what}: the estimator gives other cells than for the whole survey, or no share: {shown}; name backgrounds and "
            "questions in it, and use a method that fills every cell"
        )
    return share


def _table(base: pd.DataFrame, share: Array, refitted: Array, replicates: Replicates, seeds: Array | None) -> pd.DataFrame:
    """The estimator's table with errors, and draws whose variance is the sum of both variances."""
    variance, number = replicates.variance(refitted, share), len(refitted)
    own = np.zeros(len(base)) if seeds is None else seeds
    error = np.sqrt(variance + own)
    low, high = mean_intervals(share, error, np.full(len(base), float(replicates.degrees_of_freedom)), bounds=OF_A_SHARE)
    columns = {SHARE: share, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}
    table = base.assign(**columns, **{SEED_ERROR: np.nan if seeds is None else np.sqrt(own)})
    away = refitted - refitted[replicates.rscales > 0].mean(0)
    scaled = away * np.sqrt(replicates.scale * replicates.rscales * (number - 1))[:, None]
    spread = scaled.std(0, ddof=1)
    scaled *= np.divide(error, spread, out=np.ones_like(spread), where=spread > 0)
    table = with_draws(table, (share + scaled).T)
    table.attrs = {**base.attrs, "resampling": f"{replicates.method}, {number} replicates"}
    return readable(table)
