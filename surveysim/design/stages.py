"""Stages of sampling as arrays: units within strata, and the variance of totals between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.errors import DesignError, first_few

FEW_ROWS = 4  # of fewer than a quarter of the respondents, replicate weights are copied
LONELY_PSU = ("fail", "remove", "adjust", "average", "certainty")


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of sampling: which unit a respondent belongs to, and how many units each stratum has.

    Attributes
    ----------
    unit : int array, shape ``(respondents,)``
    stratum : int array, shape ``(units,)``
    sampled : array, shape ``(strata,)``
        Number of units sampled.
    fraction : array, shape ``(strata,)``
        Share of the stratum's units that was sampled, 0-1; 0 where the population is taken as infinite.
    scale : array, shape ``(strata,)``
        Factor of the squared deviations: ``(1 - fraction) n_h / (n_h - 1)``, times the fractions of earlier stages.
    centred : array, shape ``(strata,)``
        1 where unit totals are centred at the stratum's mean, 0 where at zero.
    lonely : tuple of str
        Names of the strata with a single unit that is not certain to be drawn.
    averaged : bool array, shape ``(strata,)``
        Strata that take the average variance of the others; none but with ``lonely_psu="average"``.
    """

    unit: np.ndarray
    stratum: np.ndarray
    sampled: np.ndarray
    fraction: np.ndarray
    scale: np.ndarray
    centred: np.ndarray
    lonely: tuple[str, ...]
    averaged: np.ndarray

    def domain_variance(self, influence: np.ndarray, rows: np.ndarray, domain: np.ndarray, n_domains: int) -> np.ndarray:
        """Return the variance of each domain's sum of influence values, shape ``(domains, columns)``.

        Units without a member in the domain stay, with a total of zero; only the others are stored, so that memory is
        linear in the rows.
        """
        n_units, n_strata = len(self.stratum), len(self.sampled)
        pairs, member = np.unique(domain * n_units + self.unit[rows], return_inverse=True)
        totals = group_sums(influence, member, len(pairs))  # (unit x domain, columns)
        unit_domain, stratum = pairs // n_units, self.stratum[pairs % n_units]
        groups, place = np.unique(unit_domain * n_strata + stratum, return_inverse=True)
        group_domain, group_stratum = groups // n_strata, groups % n_strata
        n_h, present = self.sampled[group_stratum], np.bincount(place, minlength=len(groups))
        mean = (self.centred[group_stratum] / n_h)[:, None] * group_sums(totals, place, len(groups))
        squares = group_sums(np.square(totals - mean[place]), place, len(groups)) + (n_h - present)[:, None] * np.square(mean)
        return group_sums(self.scale[group_stratum][:, None] * squares, group_domain, n_domains)

    def domain_average(self, rows: np.ndarray, domain: np.ndarray, n_domains: int) -> np.ndarray:
        """Return by what each domain's variance is to be multiplied, so that it averages over its own strata, shape ``(domains, 1)``.

        `domain_variance` averages over all strata. R's subset of a design that is not calibrated has those of its members alone: lonely
        strata without a member count neither among the strata nor among the lonely ones. NaN where every stratum is lonely.
        """
        if not self.averaged.any():
            return np.ones((n_domains, 1))
        n_strata = len(self.sampled)
        present = np.unique(domain * n_strata + self.stratum[self.unit[rows]])
        strata = np.bincount(present // n_strata, minlength=n_domains)
        good = np.bincount(present // n_strata, ~self.averaged[present % n_strata], minlength=n_domains)
        ratio = np.divide(strata, good, out=np.full(n_domains, np.nan), where=good > 0)
        return np.where(strata > 0, ratio * (~self.averaged).mean(), 1)[:, None]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the centred and scaled total of `values` in each respondent's unit, shape as `values`.

        ``z.T @ spread(y)`` is the covariance of the sums of ``z`` and ``y``.
        """
        totals = group_sums(values, self.unit, len(self.stratum))
        mean = (self.centred / self.sampled)[:, None] * group_sums(totals, self.stratum, len(self.sampled))
        return (self.scale[self.stratum][:, None] * (totals - mean[self.stratum]))[self.unit]


def distinct(numbers: np.ndarray, size: int) -> np.ndarray:
    """Return the different numbers of 0 to `size` - 1, ascending; without sorting where a count of each takes no more memory."""
    return np.flatnonzero(np.bincount(numbers, minlength=size)) if size <= len(numbers) else np.unique(numbers)


def group_sums(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the column sums of `values`, shape ``(rows, columns)``, by group: shape ``(n_groups, columns)``."""
    if n_groups == len(values) and np.array_equal(group, np.arange(n_groups)):
        return values
    return np.stack([np.bincount(group, column, minlength=n_groups) for column in values.T], axis=1)


def repeated_sums(values: np.ndarray, group: np.ndarray, n_groups: int, weights: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the sums of `values` by group under each replicate weight, in one pass over the weights.

    Parameters
    ----------
    values : array, shape ``(rows, columns)``
        Zeros cost nothing.
    group : int array, shape ``(rows,)``
        From 0.
    n_groups : int
    weights : array, shape ``(rows, replicates)``, or with `rows` ``(respondents, replicates)``
    rows : int array, shape ``(rows,)``, optional
        Position of each row among the respondents; weights are not copied where many of them are asked for, in order.

    Returns
    -------
    array, shape ``(replicates, n_groups, columns)``

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.design.stages import repeated_sums
    >>> repeated_sums(np.ones((3, 1)), np.array([0, 1, 0]), 2, np.array([[1, 0], [1, 2], [1, 2]])).squeeze().tolist()
    [[2.0, 1.0], [2.0, 2.0]]
    """
    from scipy.sparse import csc_array

    weights = np.asarray(weights, dtype=float)
    row, column = np.nonzero(values)
    cell, count = group[row] * values.shape[1] + column, n_groups * values.shape[1]
    where = row
    if rows is not None and len(rows) > len(weights) / FEW_ROWS and (rows[1:] > rows[:-1]).all():
        where = rows[row]
    elif rows is not None:
        weights = weights[rows]
    ends = np.concatenate([[0], np.cumsum(np.bincount(where, minlength=len(weights)))])
    sums = csc_array((values[row, column], cell, ends), shape=(count, len(weights))) @ weights
    return np.ascontiguousarray(sums.T).reshape(-1, n_groups, values.shape[1])


def sampling_stages(
    n: int, strata: np.ndarray | None, psu: np.ndarray | None, fpc: np.ndarray | None, lonely_psu: str
) -> tuple[Stage, ...]:
    """Return the stages that variance is computed from: the first, and later ones as far as `fpc` goes.

    Parameters
    ----------
    n : int
        Number of respondents.
    strata, psu, fpc : array, shape ``(respondents, stages)``, optional
        Labels, labels, and numbers of units in the population.
    lonely_psu : str
        One of `LONELY_PSU`, other than ``"fail"`` treated as in R's `survey`; ``"fail"`` is left to the caller.

    Raises
    ------
    DesignError
        If a stratum's population is smaller than its sample.
    """
    depth = 1 if psu is None or fpc is None else min(psu.shape[1], fpc.shape[1])
    outer, earlier = np.zeros(n, dtype=np.int64), np.ones(n)
    stages: list[Stage] = []
    for level in range(depth):
        label = None if strata is None else strata[:, min(level, strata.shape[1] - 1)]
        stratum = outer if strata is None or level >= strata.shape[1] else nested_codes(outer, strata[:, level])
        unit = np.arange(n) if psu is None else nested_codes(stratum, psu[:, level])
        stage = _stage(stratum, unit, None if fpc is None else fpc[:, level].astype(float), earlier, label, lonely_psu)
        stages.append(stage)
        outer, earlier = unit, earlier * stage.fraction[stratum]
    return tuple(stages)


def _stage(
    stratum: np.ndarray, unit: np.ndarray, population: np.ndarray | None, earlier: np.ndarray, label: np.ndarray | None, lonely_psu: str
) -> Stage:
    n_units, n_strata = int(unit.max()) + 1, int(stratum.max()) + 1
    unit_stratum, first = np.empty(n_units, dtype=np.int64), np.empty(n_strata, dtype=np.int64)
    unit_stratum[unit] = stratum
    first[stratum[::-1]] = np.arange(len(stratum))[::-1]
    names = (stratum if label is None else label)[first]
    sampled = np.bincount(unit_stratum, minlength=n_strata).astype(float)
    fraction = np.zeros(n_strata) if population is None else _fraction(sampled, population[first], names)
    lonely = (sampled == 1) & (fraction < 1)
    scale = (1 - fraction) * sampled / np.maximum(sampled - 1, 1) * earlier[first]
    if lonely_psu != "adjust":
        scale[lonely] = 0
    if lonely_psu == "average" and lonely.any():
        scale *= n_strata / (n_strata - lonely.sum()) if not lonely.all() else np.nan
    centred = np.where(lonely & (lonely_psu == "adjust"), 0.0, 1.0)
    named = tuple(str(name) for name in names[lonely])
    return Stage(unit, unit_stratum, sampled, fraction, scale, centred, named, lonely & (lonely_psu == "average"))


def _fraction(sampled: np.ndarray, population: np.ndarray, names: np.ndarray) -> np.ndarray:
    small = population < sampled
    if small.any():
        found = [f"{name} ({n:g} of {size:g})" for name, n, size in zip(names[small], sampled[small], population[small], strict=True)]
        raise DesignError(
            f"fpc: more units sampled than the population has in stratum {first_few(found)}; fpc is a number of units, not a rate"
        )
    return sampled / population


def nested_codes(outer: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number the combinations of an outer code and a label, from 0, in sorted order."""
    place, found = pd.factorize(labels)
    names, of_found = np.unique(found.astype(str) if found.dtype == object else found, return_inverse=True)
    numbers, size = outer * len(names) + of_found[place], (int(outer.max()) + 1) * len(names)
    if size > len(numbers):
        return np.unique(numbers, return_inverse=True)[1]
    return (np.cumsum(np.bincount(numbers, minlength=size) > 0) - 1)[numbers]
