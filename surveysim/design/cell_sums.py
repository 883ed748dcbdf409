"""`CellSums`: what the covariance of sums by cell needs, kept by PSU and stratum, so that no respondent is in it.

Every member adds an amount (weight times linearised value) to one cell: an option in a background, a row and column of a
table, a group. The covariance of linear combinations of the cells' sums follows from totals by PSU and cell. Where every
respondent is a PSU,
squares summed by cell and totals by stratum do.

References
----------
Binder (1983), On the variances of asymptotically normal estimators from complex surveys, doi:10.2307/1402588.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from surveysim.design.design import Design
from surveysim.design.replication import Replicates
from surveysim.design.stages import Stage, group_sums, repeated_sums

DENSE = 5_000_000  # a table of PSU x cell with more entries is kept sparse


@dataclass(frozen=True, eq=False)
class StageSums:
    """One stage's share of a covariance: ``sum_u scale x_u x_u' - sum_h factor_h X_h X_h'``, x by unit and X by stratum.

    Attributes
    ----------
    totals : array or sparse array, shape ``(units, cells)``, or None
        None where every respondent is a unit: then `squares` takes its place.
    squares : array, shape ``(cells,)``
    by_stratum : array or sparse array, shape ``(strata, cells)``
        Used where `totals` is None.
    stratum : int array, shape ``(units,)``
    scale, mean_factor : array, shape ``(strata,)``
        Factor of squares, and the part of a unit's share in its stratum's total that is taken out (0 where centred at zero).
    """

    totals: Any
    squares: np.ndarray
    by_stratum: Any
    stratum: np.ndarray
    scale: np.ndarray
    mean_factor: np.ndarray

    def covariance(self, combinations: np.ndarray) -> np.ndarray:
        """Return the covariance of linear combinations of the sums, given with shape ``(cells, combinations)``."""
        if self.totals is None:
            strata = np.asarray(self.by_stratum @ combinations)
            within = combinations.T @ (self.squares[:, None] * combinations)
            return within - strata.T @ ((self.scale * self.mean_factor)[:, None] * strata)
        units = np.asarray(self.totals @ combinations)
        mean = self.mean_factor[:, None] * group_sums(units, self.stratum, len(self.scale))
        centred = units - mean[self.stratum]
        return (self.scale[self.stratum][:, None] * centred).T @ centred


@dataclass(frozen=True, eq=False)
class CellSums:
    """Sums of amounts by cell, with all that their covariance needs.

    Attributes
    ----------
    estimate : array, shape ``(cells,)``
    stages : tuple of StageSums
    explained, spread : array, shape ``(regressors, cells)``
        Of the calibrations: what they explain of the amounts, and the amounts' covariance with them.
    between : array, shape ``(regressors, regressors)``
    replicates : Replicates or None
        Their rule of variance, with nobody's weights.
    repeated : array, shape ``(replicates, cells)``, or None
        The sums under each replicate weight.
    """

    estimate: np.ndarray
    stages: tuple[StageSums, ...]
    explained: np.ndarray
    spread: np.ndarray
    between: np.ndarray
    replicates: Replicates | None = None
    repeated: np.ndarray | None = None

    def covariance(self, combinations: np.ndarray | None = None) -> np.ndarray:
        """Return the covariance of linear combinations of the sums, shape ``(cells, combinations)``; default the sums themselves."""
        chosen = np.eye(len(self.estimate)) if combinations is None else combinations
        if self.replicates is not None:
            assert self.repeated is not None, "made together"
            return self.replicates.covariance(self.repeated @ chosen, self.estimate @ chosen)
        found = sum((stage.covariance(chosen) for stage in self.stages), np.zeros((chosen.shape[1],) * 2))
        if not len(self.between):
            return found
        slope, cross = self.explained @ chosen, self.spread @ chosen
        return found - slope.T @ cross - cross.T @ slope + slope.T @ self.between @ slope


def cell_sums(design: Design, rows: np.ndarray, cell: np.ndarray, n_cells: int, values: np.ndarray | None = None) -> CellSums:
    """Return the sums of weight times `values` by cell.

    Parameters
    ----------
    design : Design
    rows : int array, shape ``(members,)``
        Positions of the members among the respondents.
    cell : int array, shape ``(members,)``
        Cell of each, from 0.
    n_cells : int
    values : array, shape ``(members,)``, optional
        Default 1: weights by cell.

    Raises
    ------
    DesignError
        If a stratum has a single PSU and the design's `lonely_psu` is ``"fail"``.
    """
    own = np.ones(len(rows)) if values is None else values
    amounts = design.weights[rows] * own
    estimate = np.bincount(cell, amounts, minlength=n_cells)
    none = np.zeros((0, n_cells))
    if design.replicates is not None:
        repeated = repeated_sums(own[:, None], cell, n_cells, design.replicates.weights, rows)[:, :, 0]
        rule = design.replicates.take(np.arange(0))  # how replicates become a variance, without anybody's weights
        return CellSums(estimate, (), none, none, np.zeros((0, 0)), rule, repeated)
    design.refuse_lonely()
    stages = tuple(_stage_sums(_averaged_over(stage, rows, design), amounts, rows, cell, n_cells) for stage in design.stages)
    taken, explained, spread = design.calibration_spread
    by_cell = [
        np.stack([np.bincount(cell, amounts * one[rows], minlength=n_cells) for one in each.T]) for each in (explained, spread) if each.size
    ]
    explained_sums, spread_sums = by_cell if by_cell else (none, none)
    return CellSums(estimate, stages, explained_sums, spread_sums, taken.T @ spread)


def _averaged_over(stage: Stage, rows: np.ndarray, design: Design) -> Stage:
    """Return the stage with ``lonely_psu="average"`` over the members' strata alone, as R's subset of a design that is not calibrated."""
    if design.calibrations or not stage.averaged.any():
        return stage
    factor = float(stage.domain_average(rows, np.zeros(len(rows), dtype=np.int64), 1)[0, 0])
    return replace(stage, scale=stage.scale * factor)


def _stage_sums(stage: Stage, amounts: np.ndarray, rows: np.ndarray, cell: np.ndarray, n_cells: int) -> StageSums:
    mean_factor, n_units = stage.centred / stage.sampled, len(stage.stratum)
    unit = stage.unit[rows]
    if n_units < len(stage.unit):
        return StageSums(_table(unit, cell, amounts, (n_units, n_cells)), np.zeros(0), None, stage.stratum, stage.scale, mean_factor)
    stratum = stage.stratum[unit]
    squares = np.bincount(cell, stage.scale[stratum] * np.square(amounts), minlength=n_cells)
    by_stratum = _table(stratum, cell, amounts, (len(stage.scale), n_cells))
    return StageSums(None, squares, by_stratum, stage.stratum[:0], stage.scale, mean_factor)


def _table(row: np.ndarray, column: np.ndarray, amounts: np.ndarray, shape: tuple[int, int]) -> Any:
    """Return amounts summed by row and column."""
    if shape[0] * shape[1] <= DENSE:
        return np.bincount(row * shape[1] + column, amounts, minlength=shape[0] * shape[1]).reshape(shape)
    from scipy.sparse import coo_array

    return coo_array((amounts, (row, column)), shape=shape).tocsr()
