"""Conformal intervals: how far simulated cells are from held-out respondents says how far they may be from the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.codebook.readable import readable
from surveysim.errors import EstimationError, TableError, first_few, nearest
from surveysim.inference.area_cells import AreaCells, area_cells
from surveysim.inference.cross_fitting import CrossFit, average_folds
from surveysim.inference.small_area import mean_model_variances
from surveysim.tables.cells import Array, to_cells
from surveysim.tables.draws import draw_columns
from surveysim.tables.intervals import CONFIDENCE, OF_A_SHARE, symmetric_intervals
from surveysim.tables.other_respondents import FOLD
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_KEYS,
    QUESTION,
    SHARE,
    STD_ERROR,
    N,
    require_columns,
)

NOISE = ("removed", "kept")
SAMPLED, NEVER = "sampled", "never sampled"
FACTOR, SUPPORT = "conformal_factor", "support"


def conformal_intervals(
    crossfit: CrossFit, simulated: pd.DataFrame | None = None, *, level: float = CONFIDENCE, noise: str = "removed"
) -> pd.DataFrame:
    """Give every simulated cell, sampled or not, an interval calibrated on respondents who did not teach it.

    In cell c of a fold the direct share of option k misses the simulated one, learnt from the other folds, by a score
    ``z = |direct - simulated| / sqrt((A s_c + d_c) p_k (1 - p_k))``: d_c is the sampling variance of the direct share (design effect
    over `n_eff`), s_c the variance that the simulated table states of itself (else 1), A how many times that it really has, the posterior
    mean by restricted likelihood, each question's leaning on all questions'. The factor q is the
    ``ceil((m + 1) level)``-th smallest of m scores; the interval is ``q sqrt(A s_c p_k (1 - p_k))`` on both sides, cut at 0
    and 1: the shares whose score is at most q.

    What is guaranteed. If cells (of one support: sampled or never) are exchangeable, the interval *with* the sampling
    variance holds the direct share of as many new respondents in at least `level` of cells, whatever the model: this is
    split conformal prediction. For the *true* share, whose distance from the simulated one nobody sees without noise:

    - ``noise="removed"`` takes the sampling variance out. It covers on average over cells if A and d_c are right and the model's
      errors have the shape of the scores. It does not cover in each cell; nor do options of a cell err independently.
    - ``noise="kept"`` leaves it in: wider, and conservative whatever A is, if the simulated shares' errors are symmetric and
      unimodal (then noise can only spread them: Anderson 1955).

    Neither says anything of cells unlike those sampled: a cell without respondents is judged by the cells that were not sampled
    in the training folds but were in the other, where there are enough of these, otherwise by all cells.

    Parameters
    ----------
    crossfit : CrossFit
        Result of `cross_fit`; more questions and cells make the factor surer.
    simulated : DataFrame, optional
        The table to give intervals, of the same cells, learnt from the whole survey by the same estimator; its own standard
        errors say how much less it errs than the folds'. Default: the mean of the folds' tables.
    level : float
        Coverage aimed at, above 0 and below 1.
    noise : {"removed", "kept"}

    Returns
    -------
    DataFrame
        The simulated table with new `std_error` (``sqrt(A s_c p_k (1 - p_k))``, with d_c if the noise is kept), `conf_low`, `conf_high`,
        and `conformal_factor` (q), `support` (``"sampled"`` or ``"never sampled"``). `attrs`: `level`, `noise`, `scores` (m by support),
        `model_variance` (A by question).

    Raises
    ------
    EstimationError
        If `level` or `noise` is unknown, `simulated` has other cells, or there are too few scores for the level.
    TableError
        If a table breaks its contract.

    References
    ----------
    Lei et al. (2018), doi:10.1080/01621459.2017.1307116. Vovk (2012), Conditional validity of inductive conformal predictors,
    PMLR 25, 475-490 (groups). Anderson (1955), doi:10.1090/S0002-9939-1955-0069229-1. Fay and Herriot (1979),
    doi:10.2307/2286322.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> by = ["gender", "age3", "education"]
    >>> grid = ss.background_grid(survey.codebook, by=by)
    >>> def mrp(part):
    ...     return ss.simulate(part, grid, questions=["Q8_8"], method="mrp")
    >>> halves = ss.cross_fit(survey, mrp, by=by, questions=["Q8_8"])
    >>> table = ss.conformal_intervals(halves, mrp(survey))
    >>> bool(((table.conf_low < table.share) & (table.share < table.conf_high)).all()), table.conformal_factor.nunique()
    (True, 1)
    """
    _check_arguments(level, noise)
    cells = area_cells(crossfit.direct, crossfit.simulated)
    variances = np.array(mean_model_variances(cells))
    wanted = average_folds(crossfit.simulated) if simulated is None else _same_cells(simulated, crossfit.simulated)
    scores, never = _scores(cells, variances, crossfit.simulated)
    factors = _factors(scores, never, level)
    alone = wanted[N].fillna(0).to_numpy() <= 0
    error = _errors(cells, variances, wanted, noise)
    factor = np.where(alone, factors[NEVER], factors[SAMPLED])
    share = wanted[SHARE].to_numpy(float)
    low, high = symmetric_intervals(share, error, factor, bounds=OF_A_SHARE)
    table = wanted.assign(**{STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high, FACTOR: factor, SUPPORT: np.where(alone, NEVER, SAMPLED)})
    names = dict(zip(cells.layout.questions, variances.tolist(), strict=True))
    counts = {SAMPLED: int((~never).sum()), NEVER: int(never.sum())}
    table.attrs = {**wanted.attrs, "level": level, "noise": noise, "scores": counts, "model_variance": names}
    return readable(table)


def _check_arguments(level: float, noise: str) -> None:
    if not 0 < level < 1:
        raise EstimationError(f"level must lie between 0 and 1, such as 0.95; got {level}")
    if noise not in NOISE:
        raise EstimationError(f"noise must be 'removed' or 'kept'; got {noise!r}, {nearest(str(noise), NOISE)}")


def _same_cells(simulated: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    require_columns(simulated, [*DISTRIBUTION_KEYS, SHARE, STD_ERROR, N], "simulated")
    outside = simulated.index[(simulated[SHARE] < 0) | (simulated[SHARE] > 1)]
    if len(outside):
        raise TableError(f"simulated: shares must lie in 0-1; they do not in row {first_few(outside)}")
    ours, theirs = (pd.MultiIndex.from_frame(table[DISTRIBUTION_KEYS]) for table in (simulated, folds))
    unknown = ours.difference(theirs)
    if len(unknown):
        shown = first_few(" / ".join(map(str, key)) for key in unknown)
        raise EstimationError(f"simulated has cells that were not cross-fitted: {shown}; give both the same grid and questions")
    return simulated


def _scores(cells: AreaCells, variances: Array, folds: pd.DataFrame) -> tuple[Array, np.ndarray]:
    """Return the scores of all options of sampled cells, and whether the cell was without respondents in the training folds."""
    tables = [to_cells(table, backgrounds=cells.layout.backgrounds) for _, table in folds.drop(columns=draw_columns(folds)).groupby(FOLD)]
    taught = np.stack([table.n for table in tables])
    total = variances[:, None] * cells.multipliers + cells.sampling
    spread = np.sqrt(np.where(cells.sampled, total, 1.0)[..., None] * cells.metric * (1 - cells.metric))
    real = np.broadcast_to(cells.layout.mask[:, None], spread.shape) & cells.sampled[..., None]
    scores = np.abs(cells.direct - cells.simulated)[real] / spread[real]
    return scores, np.broadcast_to((taught <= 0)[..., None], spread.shape)[real]


def _factors(scores: Array, never: np.ndarray, level: float) -> dict[str, float]:
    """Conformal quantile of the scores by support; all scores serve a kind of support that has too few of its own."""
    groups = {SAMPLED: scores[~never], NEVER: scores[never]}
    enough = {name: group if _place(len(group), level) <= len(group) else scores for name, group in groups.items()}
    if _place(len(scores), level) > len(scores):
        least = int(np.ceil(level / (1 - level)))
        raise EstimationError(
            f"level {level} needs at least {least} scores (options of sampled cells); there are {len(scores)}: use more cells"
        )
    return {name: float(np.sort(group)[_place(len(group), level) - 1]) for name, group in enough.items()}


def _place(scores: int, level: float) -> int:
    return int(np.ceil((scores + 1) * level - 1e-9))


def _errors(cells: AreaCells, variances: Array, wanted: pd.DataFrame, noise: str) -> Array:
    """Standard deviation of every simulated share's error, with the sampling variance of held-out respondents if it is kept."""
    share, own = wanted[SHARE].to_numpy(float), wanted[STD_ERROR].to_numpy(float)
    row = pd.Index(cells.layout.questions).get_indexer(wanted[QUESTION])
    column = pd.Index(cells.layout.backgrounds).get_indexer(wanted[BACKGROUND])
    stated = np.square(own) if cells.stated and np.isfinite(own).all() else cells.multipliers.mean(0)[row, column] * share * (1 - share)
    variance = variances[row] * stated
    if noise == "kept":
        known = np.where(cells.sampled, cells.sampling, np.nan)
        typical = np.nanmedian(known)
        counted = cells.sampled.sum(0)
        mean = np.where(counted > 0, np.nansum(known, axis=0) / np.maximum(counted, 1), typical)
        variance = variance + mean[row, column] * share * (1 - share)
    return np.sqrt(variance)
