"""What a population table's own sampling error adds to an estimate, less where its margins are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.tables.cells import Array

PEOPLE, VARIANCE, BASE = "people", "people_variance", "structure_people"
RAKED_TO = "raked_to"  # in attrs: the traits of every margin


def table_variance(people: pd.DataFrame, away: Array) -> Array:
    """Return the variance of ``sum_c people_c away_c`` that comes from the numbers of people.

    Without margins ``sum_c var(people_c) away_c^2``. A table that was raked to known margins errs only in what they leave
    open: there `away` is replaced by its residual from a regression on the margins' levels, weighted by the people before
    raking. That is the linearised variance of R's ``rake``.

    Parameters
    ----------
    people : DataFrame
        From `cell_numbers`.
    away : array, shape (cells, backgrounds, options)
        Each cell's value less the mean of its background, 0 outside of it.

    Returns
    -------
    array, shape (backgrounds, options)

    References
    ----------
    Deville, Sarndal and Sautory (1993), doi:10.1080/01621459.1993.10476369.
    """
    margins = people.attrs.get(RAKED_TO, [])
    left = away if not margins else _residuals(people, away.reshape(len(people), -1), margins).reshape(away.shape)
    return np.asarray(np.einsum("c,cdk->dk", people[VARIANCE].to_numpy(float), np.square(left)))


def _residuals(people: pd.DataFrame, values: Array, margins: list[list[str]]) -> Array:
    levels = [parse_background_id(str(cell)) for cell in people.index]
    groups = [pd.factorize(np.array([background_id({trait: own[trait] for trait in names}) for own in levels]))[0] for names in margins]
    dummies = np.hstack([np.eye(group.max() + 1)[group] for group in groups])
    root = np.sqrt(people[BASE].to_numpy(float))[:, None]
    coefficients = np.linalg.lstsq(root * dummies, root * values, rcond=None)[0]
    return np.asarray(values - dummies @ coefficients)
