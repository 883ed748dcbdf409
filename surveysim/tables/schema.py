"""The contracts: column names of every table, and checks that raise `TableError`.

Every verb takes and returns tidy frames. A simulated table differs from a survey table in the columns `source` and `simulated` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.errors import SurveySimError, TableError, first_few

ENOUGH = "enough"  # column of `observed_backgrounds`: whether a background has the fewest respondents asked for

MIN_N = 10  # the default of every export

RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC = "respondent_id", "weight", "stratum", "psu", "fpc"
MADE = "surveysim"  # a column of respondents: says in words which of weight, stratum, psu and fpc surveysim itself wrote
BACKGROUND, QUESTION, OPTION, ORDER, SHARE, SOURCE = (
    "background_id",
    "question_id",
    "option_code",
    "option_order",
    "share",
    "source",
)
STD_ERROR, CONF_LOW, CONF_HIGH, N, N_EFF = "std_error", "conf_low", "conf_high", "n", "n_eff"
LARGEST_WEIGHT = "largest_weight"  # of one respondent, as a share of the weight of the cell (0-1); survey verbs write it
NESTED = "nested"  # in attrs of survey tables: background of one trait -> the backgrounds of other traits that hold all of it
ESTIMATE, METRIC, POPULATION_SHARE = "estimate", "metric", "population_share"
OPTION_LABEL, SIMULATED = "option_label", "simulated"  # what the option says; whether no respondent gave these answers

CELL = [QUESTION, BACKGROUND]
DISTRIBUTION_KEYS = [QUESTION, BACKGROUND, OPTION]
DISTRIBUTION_COLUMNS = [
    QUESTION,
    BACKGROUND,
    OPTION,
    ORDER,
    SHARE,
    STD_ERROR,
    CONF_LOW,
    CONF_HIGH,
    N,
    N_EFF,
    SOURCE,
]
SHIFT_COLUMNS = [QUESTION, "background_from", "background_to", OPTION, "shift", STD_ERROR]
SCORE_COLUMNS = [QUESTION, BACKGROUND, METRIC, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH]
ESTIMATE_COLUMNS = [QUESTION, BACKGROUND, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, "df", N, N_EFF, "deff"]

TABLE_COLUMNS = frozenset(
    {
        *(RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC, MADE, POPULATION_SHARE, ENOUGH, OPTION_LABEL, SIMULATED),
        *(*DISTRIBUTION_COLUMNS, *SHIFT_COLUMNS, *SCORE_COLUMNS, *ESTIMATE_COLUMNS),
        *("quantile", "fold", "suppressed", "method", "seed", "count", "margin", "label", "level", "pooled_share"),
        *("direct_weight", "mse", "std_error_seed", "power", "std_error_direct", "n_eff_gained", "spread_factor", "conformal_factor"),
        *("support", "abstain", "abstain_reason", "level_n", "distance", "variance_left"),
    }
)  # of some table of results: no trait may have such a name

SHARE_TOLERANCE = 1e-6  # a cell's shares must sum to 1 this closely; our own tables do to 1e-9
OFFICIAL = "official"  # source of published shares
POOLED = "all"  # background_id of the table that ignores backgrounds


def require_columns(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise `TableError` unless `frame` has every one of `columns`.

    Raises
    ------
    TableError
        If `frame` is not a DataFrame, or lacks a column.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TableError(f"{what} must be a pandas DataFrame with columns {', '.join(columns)}; got {type(frame).__name__}")
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise TableError(f"{what} lacks column{'s' if len(absent) > 1 else ''} {first_few(absent)}; it has {first_few(frame.columns, 12)}")


def check_distributions(frame: pd.DataFrame, what: str = "distributions") -> pd.DataFrame:
    """Check a distributions table and return it unchanged.

    A cell is a question x background. A cell without respondents keeps its rows with ``n = 0`` and missing shares; every
    other cell's shares lie in 0-1 and sum to 1.

    Raises
    ------
    TableError
        If a column is absent, a row is repeated, a share lies outside 0-1, a cell mixes missing and present shares, or
        a cell's shares do not sum to 1.
    """
    require_columns(frame, [*DISTRIBUTION_KEYS, ORDER, SHARE, SOURCE], what)
    repeated = frame.duplicated([*DISTRIBUTION_KEYS, SOURCE])
    if repeated.any():
        rows = frame.loc[repeated, DISTRIBUTION_KEYS].astype(str).agg(" / ".join, axis=1)
        raise TableError(
            f"{what}: {int(repeated.sum())} rows repeat a question / background / option of the same source: {first_few(rows)}; "
            "aggregate them or give each its own source"
        )
    share = frame[SHARE].to_numpy(float)
    outside = (share < -1e-12) | (share > 1 + 1e-12)
    if outside.any():
        cells = frame.loc[outside, CELL].astype(str).agg(" / ".join, axis=1)
        hint = "; are these percentages? divide by 100" if np.nanmax(share) > 1.5 else ""
        raise TableError(f"{what}: shares must lie in 0-1, found {share[outside][0]:g} in {first_few(cells)}{hint}")
    groups = frame.groupby([*CELL, SOURCE], sort=False, observed=True)[SHARE]
    sums, present, size = groups.sum(), groups.count(), groups.size()
    mixed = (present > 0) & (present < size)
    if mixed.any():
        raise TableError(f"{what}: some options have a share and others none in {first_few(mixed[mixed].index.map(_cell_name))}")
    wrong = (present > 0) & ((sums - 1).abs() > SHARE_TOLERANCE)
    if wrong.any():
        cells = [f"{_cell_name(key)} ({sums[key]:.6g})" for key in wrong[wrong].index]
        raise TableError(f"{what}: the shares of a cell must sum to 1; they do not in {first_few(cells)}")
    return frame


def check_backgrounds(frame: pd.DataFrame, traits: Sequence[str]) -> pd.DataFrame:
    """Check a backgrounds table: a `background_id` per row, none repeated, and a column per trait.

    Raises
    ------
    TableError
        If a column is absent, an id is repeated, or `population_share` is negative or does not sum to 1.
    """
    require_columns(frame, [BACKGROUND, *traits], "backgrounds")
    repeated = frame[BACKGROUND][frame[BACKGROUND].duplicated()]
    if len(repeated):
        raise TableError(f"backgrounds repeats background_id {first_few(repeated.unique())}; keep one row each")
    if POPULATION_SHARE in frame:
        share = frame[POPULATION_SHARE].to_numpy(float)
        if not np.isfinite(share).all() or (share < 0).any() or abs(share.sum() - 1) > SHARE_TOLERANCE:
            raise TableError(f"backgrounds: population_share must be >= 0 and sum to 1; it sums to {share.sum():.6g}")
    return frame


def population_shares(
    population: pd.DataFrame | Mapping[str, float], backgrounds: Iterable[str], what: str, *, error: type[SurveySimError] = TableError
) -> npt.NDArray[np.float64]:
    """Return the population share of each background, as given: they need not sum to 1.

    Parameters
    ----------
    population : DataFrame or mapping of background_id to share
        A frame with `background_id` and `population_share`; rows of one background are added up. It may hold others, too.
    backgrounds : iterable of str
        Ids, in any order; one may stand there several times.
    what : str
        The argument's name, for error messages.
    error : class
        Of what is raised where a share is absent or below 0.

    Raises
    ------
    TableError
        If a frame lacks a column. Or `error`: if a background has no share, or one that is missing or below 0.
    """
    if isinstance(population, pd.DataFrame):
        require_columns(population, [BACKGROUND, POPULATION_SHARE], what)
        shares = population.groupby(BACKGROUND, observed=True)[POPULATION_SHARE].sum(min_count=1)
    else:
        shares = pd.Series(dict(population), dtype=float)
    ids = pd.Index(list(backgrounds))
    asked = shares[shares.index.isin(ids)]
    if not (asked >= 0).all():
        raise error(f"{what}: population_share must be 0 or more; it is not in {first_few(asked.index[~(asked >= 0)])}")
    absent = ids.unique().difference(asked.index, sort=False)
    if len(absent):
        raise error(f"{what} has no population_share of background {first_few(absent)}; give each one, 0 where there is nobody")
    return asked.reindex(ids).to_numpy(float)


def _cell_name(key: object) -> str:
    return " / ".join(str(part) for part in key[:2]) if isinstance(key, tuple) else str(key)
