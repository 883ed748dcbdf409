"""Draws: columns ``draw_1``, ``draw_2``, ... of a distributions table, each a version of all shares that the data leave possible.

A model learns its cells from one sample, so their errors go together; a standard error a cell cannot say that. Draws do, as
replicate weights do for respondents: whatever is added up over cells is added up in every draw, and its spread over the
draws is its standard error.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from surveysim.errors import EstimationError
from surveysim.tables.cells import Array

_NAME = re.compile(r"draw_\d+")
FEWEST_DRAWS = 20


def draw_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of a table's draws, in order; none where it has none."""
    return [name for name in table.columns if isinstance(name, str) and _NAME.fullmatch(name)]


def draw_names(number: int) -> list[str]:
    """Return ``draw_1`` to ``draw_<number>``."""
    return [f"draw_{place}" for place in range(1, number + 1)]


def with_draws(table: pd.DataFrame, draws: Array) -> pd.DataFrame:
    """Return a table with draws beside its columns.

    Parameters
    ----------
    table : DataFrame
    draws : array, shape ``(rows, draws)``
        In the order of the table's rows.
    """
    kept = table.drop(columns=draw_columns(table))
    added = pd.DataFrame(draws, index=kept.index, columns=draw_names(draws.shape[1]))
    joined = pd.concat([kept, added], axis=1)
    joined.attrs = dict(table.attrs)
    return joined


def check_draws(draws: int) -> None:
    """Refuse a number of draws that no standard error can be made of.

    Raises
    ------
    EstimationError
        If it is neither 0 nor at least 20.
    """
    if draws != 0 and draws < FEWEST_DRAWS:
        raise EstimationError(f"draws must be 0 (none) or at least {FEWEST_DRAWS}, so that their spread says something; got {draws}")


def normal_draws(covariance: Array, draws: int, generator: np.random.Generator) -> Array:
    """Return normal draws with mean 0, shape ``(draws, *, size)``, of covariances of shape ``(*, size, size)``."""
    standard = generator.standard_normal((draws, *covariance.shape[:-1]))
    return np.einsum("...ij,d...j->d...i", normal_root(covariance), standard)


def normal_root(covariance: Array) -> Array:
    """Return roots of covariances, shape ``(*, size, size)``: times standard normal numbers, they have the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None))[..., None, :])
