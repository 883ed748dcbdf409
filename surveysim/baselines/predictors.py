"""Predictors of groups: numbers known of a trait's levels (a country's income, a district's past vote), checked and standardised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.errors import EstimationError, first_few, nearest
from surveysim.tables.cells import Array
from surveysim.tables.schema import require_frame, require_ids

PREDICTORLESS = ("raw", "pooled", "shrunken", "zero-shot", "stage1")  # these know no predictors of groups
CONSTANT = 1e-9  # spread, as a part of the largest value, below which a predictor does not differ


@dataclass(frozen=True, eq=False)
class GroupPredictors:
    """Numbers known of groups of backgrounds.

    Attributes
    ----------
    traits : tuple of str
        Whose levels, together, make a group.
    names : tuple of str
        Of the predictors.
    groups : mapping of tuple of str to int
        Levels of `traits` -> row of `values`.
    values : array, shape (groups, predictors)
        Standardised over the groups, each counted once.
    digest : str
        SHA-256 of what was given, by which two frames are told apart.
    """

    traits: tuple[str, ...]
    names: tuple[str, ...]
    groups: Mapping[tuple[str, ...], int]
    values: Array
    digest: str

    def columns(self, backgrounds: Sequence[str]) -> Array:
        """Return the predictors of every background, 0 (their mean) where its group is not known, shape (backgrounds, predictors)."""
        member = self._member(backgrounds)
        return np.asarray(member @ self.values)

    def kernels(self, backgrounds: Sequence[str]) -> list[Array]:
        """Return a linear covariance between backgrounds and a smooth one, both of mean variance 1 over the groups.

        Smooth: ``exp(-d^2 / (2 m^2))`` of the distance d between two groups' predictors, m its median over pairs of groups; centred. A
        group that is not known has variance 0 in both: it keeps the mean, and what else the estimate says of it.

        Parameters
        ----------
        backgrounds : sequence of str
            Ids.

        Returns
        -------
        list of array, shape (backgrounds, backgrounds)
        """
        member = self._member(backgrounds)
        linear = self.values @ self.values.T / len(self.names)
        return [member @ kernel @ member.T for kernel in (linear, _smooth(self.values))]

    def about(self, backgrounds: Sequence[str]) -> dict[str, Any]:
        """Return what a table says of its predictors: their `columns` and `traits`, and in `missing` the groups that the frame lacks."""
        lacking = dict.fromkeys(own for own in self._own(backgrounds) if own not in self.groups)
        return {"columns": list(self.names), "traits": list(self.traits), "missing": [_named(self.traits, own) for own in lacking]}

    def recorded(self) -> dict[str, Any]:
        """Return what a model's recipe keeps of its predictors: `columns`, `traits` and `digest`."""
        return {"columns": list(self.names), "traits": list(self.traits), "digest": self.digest}

    def _own(self, backgrounds: Sequence[str]) -> list[tuple[str, ...]]:
        parsed = [parse_background_id(identifier) for identifier in backgrounds]
        return [tuple(levels[trait] for trait in self.traits) for levels in parsed]

    def _member(self, backgrounds: Sequence[str]) -> Array:
        """1 where a background is in a group, shape (backgrounds, groups)."""
        row = np.array([self.groups.get(own, -1) for own in self._own(backgrounds)], int)
        return np.asarray((row[:, None] == np.arange(len(self.groups))).astype(float))


def standardise_predictors(frame: pd.DataFrame, levels: Mapping[str, Sequence[str]], *, all_known: bool = True) -> GroupPredictors:
    """Check a frame of predictors, and standardise them over its groups.

    Parameters
    ----------
    frame : DataFrame
        A row per group: a column of level names for one trait of the backgrounds or more, and numeric columns.
    levels : mapping of str to sequence of str
        Traits of the backgrounds and their levels.
    all_known : bool
        True: `levels` has all there are, so that another is an error. False: the frame may have more, but not only others.

    Raises
    ------
    EstimationError
        If `frame` is no frame, has no column of a trait, no other column, a level that the trait lacks, a group twice, or a
        predictor that is not numeric, missing for a group, infinite, or the same for all groups.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.baselines.predictors import standardise_predictors
    >>> income = pd.DataFrame({"country": ["Austria", "Bulgaria", "Croatia"], "gdp": [56.0, 32.0, 44.0]})
    >>> known = standardise_predictors(income, {"country": ["Austria", "Bulgaria", "Croatia", "Cyprus"], "gender": ["female", "male"]})
    >>> known.columns(["country=Austria|gender=male", "country=Cyprus|gender=male"]).round(2).tolist()
    [[1.22], [0.0]]
    >>> known.about(["country=Cyprus|gender=male"])["missing"]
    ['country=Cyprus']
    """
    require_frame(frame, "group_predictors", error=EstimationError)
    traits = tuple(str(column) for column in frame.columns if column in levels)
    names = tuple(str(column) for column in frame.columns if column not in levels)
    if not traits or frame.empty:
        raise EstimationError(
            f"group_predictors needs a row per level and a column named as a trait of the backgrounds ({first_few(levels)}); it has "
            f"{len(frame)} rows and columns {first_few(frame.columns)}: rename the column that holds the levels"
        )
    if not names:
        raise EstimationError(f"group_predictors has only columns of traits ({first_few(traits)}); add a numeric column beside them")
    groups = _groups(frame, traits, levels, all_known)
    values = np.column_stack([_predictor(frame, name, traits, groups) for name in names])
    digest = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    return GroupPredictors(traits, names, {own: row for row, own in enumerate(groups)}, values, digest)


def check_uses_predictors(method: str, group_predictors: object | None) -> None:
    """Refuse predictors of groups for a method that does not use them.

    Raises
    ------
    EstimationError
        If there are predictors, and `method` is in `PREDICTORLESS`.
    """
    if group_predictors is not None and method in PREDICTORLESS:
        raise EstimationError(
            f"group_predictors: method {method!r} uses none; leave them out, or use another method than {first_few(PREDICTORLESS)}"
        )


def _groups(frame: pd.DataFrame, traits: tuple[str, ...], levels: Mapping[str, Sequence[str]], all_known: bool) -> list[tuple[str, ...]]:
    for trait in traits:
        require_ids(frame, trait, "group_predictors", text=False, error=EstimationError)
        known = [str(level) for level in levels[trait]]
        named = list(dict.fromkeys(frame[trait].astype(object)))
        strange = [level for level in named if str(level) not in known]
        if strange and (all_known or len(strange) == len(named)):
            raise EstimationError(
                f"group_predictors: trait {trait!r} has no level {first_few(map(repr, strange))}; {nearest(str(strange[0]), known)}: "
                "name the levels as the backgrounds do, and leave out rows of others"
            )
    groups = list(frame[list(traits)].astype(str).itertuples(index=False, name=None))
    twice = [own for own in dict.fromkeys(groups) if groups.count(own) > 1]
    if twice:
        raise EstimationError(f"group_predictors has {first_few(_named(traits, own) for own in twice)} more than once; keep one row each")
    return groups


def _predictor(frame: pd.DataFrame, name: str, traits: tuple[str, ...], groups: Sequence[tuple[str, ...]]) -> Array:
    """One predictor, standardised over the groups."""
    column = frame[name]
    if not (is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)) or is_complex_dtype(column.dtype):
        raise EstimationError(
            f"group_predictors: column {name!r} is {column.dtype}, neither a trait of the backgrounds nor numeric; make it numbers with "
            "pandas.to_numeric, or drop it"
        )
    values = column.to_numpy(dtype=float, na_value=np.nan)
    unknown = [_named(traits, own) for own, value in zip(groups, values, strict=True) if not np.isfinite(value)]
    if unknown:
        raise EstimationError(
            f"group_predictors: column {name!r} is missing or infinite for {first_few(unknown)}; fill it in, or leave their rows out: "
            "a level without a row gets the mean and its own effect"
        )
    if np.ptp(values) <= CONSTANT * np.abs(values).max():
        raise EstimationError(f"group_predictors: column {name!r} is {values[0]:g} in all {len(values)} rows; drop it")
    return np.asarray((values - values.mean()) / values.std())


def _smooth(values: Array) -> Array:
    squared = ((values[:, None] - values) ** 2).sum(-1)
    apart = np.sqrt(squared[np.triu_indices(len(values), 1)])
    nearness = np.exp(-squared / (2 * max(float(np.median(apart)), 1e-6) ** 2))
    return centred(nearness)


def centred(kernel: Array) -> Array:
    """Return the covariance of departures from their mean over all rows, scaled to mean variance 1."""
    around = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    return np.asarray(around / max(float(np.trace(around)) / len(around), 1e-12))


def _named(traits: tuple[str, ...], own: tuple[str, ...]) -> str:
    return "|".join(f"{trait}={level}" for trait, level in zip(traits, own, strict=True))
