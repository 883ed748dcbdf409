"""The share of each background in a population, from a table or a mapping: one rule for every verb that weights by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.errors import SurveySimError, TableError, first_few, quoted
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE, require_columns


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
        shares = _mapped_shares(population, what, error)
    ids = pd.Index(list(backgrounds))
    asked = shares[shares.index.isin(ids)]
    wrong = asked.index[~((asked >= 0) & np.isfinite(asked))]
    if len(wrong):
        raise error(f"{what}: population_share must be 0 or more; it is not in {first_few(wrong)}")
    absent = ids.unique().difference(asked.index, sort=False)
    if len(absent):
        raise error(f"{what} has no population_share of background {first_few(absent)}; give each one, 0 where there is nobody")
    return asked.reindex(ids).to_numpy(float)


def _mapped_shares(population: object, what: str, error: type[SurveySimError]) -> pd.Series:
    """Return shares by background of a mapping, or of a series with the ids as its index."""
    if not isinstance(population, Mapping | pd.Series):
        raise error(
            f"{what} must be a DataFrame with {BACKGROUND} and {POPULATION_SHARE}, or a mapping of background ids to shares; got "
            f"{type(population).__name__} {quoted(population)}"
        )
    odd = [f"{name}: {quoted(share)}" for name, share in population.items() if not isinstance(share, Real)]
    if odd:
        raise error(f"{what} must map background ids to numbers; it has {first_few(odd)}")
    return pd.Series(dict(population), dtype=float)
