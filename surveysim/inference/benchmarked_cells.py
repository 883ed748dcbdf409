"""Cells of one question with the totals that they have to add up to: adjusted, with the derivatives that their errors need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.errors import EstimationError, TableError, first_few
from surveysim.tables.cells import Array
from surveysim.tables.draws import draw_columns
from surveysim.tables.schema import BACKGROUND, OPTION, SHARE, STD_ERROR

TOLERANCE, MAX_ROUNDS, CYCLES = 1e-13, 100, 10
FITS = 1e-9  # how far a mean may stay from its total
TIED = 1e-6  # relative difference of two deviations that are told as one
ROUNDED = 1e-3  # of the largest total: how far published totals may contradict each other
SINGULAR = 1e-10  # of the largest eigenvalue
MOST = 5.0  # a step of the logarithm of a factor


@dataclass(frozen=True, eq=False)
class BenchmarkedCells:
    """The cells of one question and of totals that hang together.

    Attributes
    ----------
    what : str
        Question and totals, for messages.
    place : int array, shape ``(cells, options)``
        Rows of the cells in the table.
    values : array, same shape
    weights : array, shape ``(cells,)``
        Population shares.
    member : array, shape ``(totals, cells)``
        1 where a cell belongs to a total, else 0.
    covariance : array, shape ``(cells, options, options)``
        Of each cell's errors.
    factors : array, shape ``(cells, options, draws)``, or None
        Draws less their mean, over the root of their number less 1.
    total : array, shape ``(totals, options)``
        As given, or where these contradict each other by no more than rounding or their errors, the nearest that agree.
    spread : array, shape ``(totals * options, totals * options)``
        Covariance of the totals' errors.
    moved : float
        How far the totals were moved until they agreed.
    """

    what: str
    place: np.ndarray
    values: Array
    weights: Array
    member: Array
    covariance: Array
    factors: Array | None
    total: Array
    spread: Array
    moved: float

    @classmethod
    def of(
        cls, rows: pd.DataFrame, goals: pd.DataFrame, shares: Mapping[str, float], *, member: pd.DataFrame, value: str, known: bool
    ) -> BenchmarkedCells:
        """Return the cells of `rows` with their totals; `member` has a row a total and a column a cell."""
        what = f"{goals['question_id'].iloc[0]} / {first_few(member.index)}"
        options = list(rows[OPTION].unique()) if value == SHARE else [None]
        place, order = _places(rows, member.columns, options, value, what), _places(goals, member.index, options, value, what)
        weights = np.array([shares[name] for name in member.columns])
        inside = member.to_numpy(float)
        size = inside @ weights
        if not (size > 0).all():
            raise TableError(f"{what}: the population shares of the cells of {first_few(member.index[size <= 0])} are all 0")
        values, errors = rows[value].to_numpy(float)[place], rows[STD_ERROR].to_numpy(float)[place]
        total = goals[value].to_numpy(float)[order]
        stated = np.zeros(total.shape) if known else goals[STD_ERROR].to_numpy(float)[order]
        agree = _agreement(inside, weights)
        near = agree @ total
        _require_agreement(total, near, stated, list(member.index), options, what)
        names = draw_columns(rows)
        drawn = rows[names].to_numpy(float)[place] if names else None
        factors = None if drawn is None else (drawn - drawn.mean(-1, keepdims=True)) / np.sqrt(len(names) - 1)
        covariance = _of_a_multinomial(values, errors) if value == SHARE else np.square(errors)[..., None]
        projected = np.kron(agree, np.eye(len(options)))
        spread = projected @ _spread_of_totals(total, stated, inside, weights, of_shares=value == SHARE) @ projected.T
        moved = float(np.abs(near - total).max())
        return cls(what, place, values, weights, inside, covariance, factors, near if moved > FITS else total, spread, moved)

    @property
    def _size(self) -> Array:
        return self.member @ self.weights

    def _means(self, values: Array) -> Array:
        """Return the mean of the cells of each total, shape ``(totals, options)``."""
        return (self.member * self.weights) @ values / self._size[:, None]

    def with_sums(self, maps: Array) -> Array:
        """Return each cell's covariance with ``sum_d maps_d e_d``, shape ``(cells, options, sums)``; maps: ``(cells, sums, options)``."""
        if self.factors is None:
            return self.covariance @ maps.swapaxes(-1, -2)
        return self.factors @ np.tensordot(maps, self.factors, axes=([0, 2], [0, 1])).T

    def adjusted(self, method: str, *, same: bool) -> tuple[Array, Array]:
        """Return adjusted values and their variances; `same` respondents made the totals."""
        made, own, push = {"raking": self._raked, "ratio": self._multiplied, "difference": self._shifted}[method]()
        miss = np.abs(self._means(made) - self.total).max()
        if not miss < FITS * max(1.0, np.abs(self.total).max()):
            why = "; an option that no cell has cannot have a share" if method == "raking" else ""
            several = "; perhaps no cells can meet all of them: leave one total out" if len(self.total) > 1 else ""
            raise EstimationError(f"{self.what}: {method} stays {miss:.2g} from the total{why}{several}")
        covariance = self.covariance if self.factors is None else self.factors @ self.factors.swapaxes(-1, -2)
        answer = self._answer_to_totals(push)
        taken = self._into_totals(own)
        with_taken = self.with_sums(taken)
        around = self.spread + (taken @ with_taken).sum(0)  # of e_B - sum W G e
        beside = -with_taken
        if same:
            plain = self.with_sums(self._into_totals(np.broadcast_to(np.eye(own.shape[-1]), own.shape)))
            crossed = (taken @ plain).sum(0)
            around, beside = around - crossed - crossed.T, beside + plain
        cross = own @ beside @ answer.swapaxes(-1, -2)
        whole = own @ covariance @ own.swapaxes(-1, -2) + answer @ around @ answer.swapaxes(-1, -2) + cross + cross.swapaxes(-1, -2)
        variance, before = (np.diagonal(one, axis1=-2, axis2=-1) for one in (whole, covariance))
        return made, np.maximum(variance, before if same else 0.0)

    def _into_totals(self, maps: Array) -> Array:
        """Return ``W_c / W_t maps_c`` of the totals of each cell, shape ``(cells, totals * options, options)``."""
        part = (self.member * self.weights / self._size[:, None]).T
        return (part[:, :, None, None] * maps[:, None]).reshape(len(maps), -1, maps.shape[-1])

    def _answer_to_totals(self, push: Array) -> Array:
        """Return cells' derivatives by totals, shape ``(cells, options, totals * options)``; `push` are those by factors or shifts."""
        inverse = np.linalg.pinv(self._curvature(push), rcond=SINGULAR, hermitian=True)
        count = push.shape[-1]
        spread_out = self.member.T[:, None, :, None] * push[:, :, None, :]
        return spread_out.reshape(len(push), count, -1) @ (inverse * np.repeat(self._size, count))

    def _curvature(self, push: Array) -> Array:
        """Return ``sum_c W_c push_c`` over the cells that two totals share, shape ``(totals * options, totals * options)``."""
        totals, count = len(self.member), push.shape[-1]
        both = (self.member[:, None] * self.member * self.weights).reshape(totals * totals, -1)
        blocks = (both @ push.reshape(len(push), -1)).reshape(totals, totals, count, count)
        return blocks.swapaxes(1, 2).reshape(totals * count, totals * count)

    def _shifted(self) -> tuple[Array, Array, Array]:
        """Return values with the least shifts of totals, weighted by population; with derivatives by own errors and by shifts."""
        one = np.broadcast_to(np.eye(self.values.shape[1]), (*self.values.shape, self.values.shape[1]))
        need = (self.total - self._means(self.values)) * self._size[:, None]
        within = (self.member * self.weights) @ self.member.T
        made = self.values + self.member.T @ (np.linalg.pinv(within, rcond=SINGULAR, hermitian=True) @ need)
        if self.values.shape[1] > 1 and ((made < -FITS) | (made > 1 + FITS)).any():
            low, high = made.min(), made.max()
            raise EstimationError(f"{self.what}: a difference takes shares out of 0-1 ({low:.3g} to {high:.3g}); use method='raking'")
        return made, one, one

    def _multiplied(self) -> tuple[Array, Array, Array]:
        """Return values times a factor a total, with the derivatives by own errors and by the factors' logarithms."""
        mean = self._means(self.values)
        wrong = np.flatnonzero(~(mean * self.total > 0).all(axis=1))
        sign = np.sign(mean[0, 0])
        if len(wrong) or (np.sign(mean) != sign).any():
            at = wrong[0] if len(wrong) else 0
            raise EstimationError(f"{self.what}: a ratio of {self.total[at, 0]:g} to {mean[at, 0]:g} has no sense; use method='difference'")

        def law(power: Array) -> tuple[Array, Array, Array]:
            made = sign * self.values * np.exp(power)
            return made, made.sum(-1), made[..., None]

        made = sign * self._solved(law, sign * self.total)
        ratio = np.divide(made, self.values, out=np.ones(made.shape), where=self.values != 0)
        return made, ratio[..., None], made[..., None]

    def _raked(self) -> tuple[Array, Array, Array]:
        """Return raked shares, with the derivatives by the cell's own errors and by the totals' factors."""
        possible = (self.values > 0) & ~(self.member.T[:, :, None] * (self.total <= 0)).any(axis=1)
        if not possible.any(axis=1).all():
            raise EstimationError(f"{self.what}: a cell has only options whose total is 0; leave the cell out, or correct the total")
        log_share = np.log(self.values, out=np.full(self.values.shape, -np.inf), where=possible)

        def law(power: Array) -> tuple[Array, Array, Array]:
            moved = log_share + power
            top = moved.max(-1, keepdims=True)
            raised = np.exp(moved - top)
            whole = raised.sum(-1, keepdims=True)
            return raised / whole, (top + np.log(whole))[:, 0], _curves(raised / whole)

        made = self._solved(law, self.total)
        push = _curves(made)
        return made, push / np.where(self.values > 0, self.values, 1.0)[:, None, :], push

    def _solved(self, law: Callable[[Array], tuple[Array, Array, Array]], goal: Array) -> Array:
        """Return values that meet the totals: `law` has values, potential and its second derivatives by the sum of a cell's log factors."""
        factor = np.zeros(goal.shape)
        for at in [*range(len(goal))] * CYCLES:  # one total after the other, as iterative proportional fitting
            mean = self._means(law(self.member.T @ factor)[0])[at]
            factor[at] += np.log(np.divide(goal[at], mean, out=np.ones(len(mean)), where=(mean > 0) & (goal[at] > 0)))
        made, objective, push = self._at(law, factor, goal)
        for _ in range(MAX_ROUNDS):  # Newton's method, on a convex function
            need = (goal - self._means(made)) * self._size[:, None]
            if np.abs(need).max() < TOLERANCE * max(1.0, np.abs(goal).max()) * self._size.max():
                break
            step = np.linalg.pinv(self._curvature(push), rcond=SINGULAR, hermitian=True) @ need.ravel()
            step = step.reshape(goal.shape) * min(1.0, MOST / max(np.abs(step).max(), TOLERANCE))
            for halved in 0.5 ** np.arange(30):
                tried = self._at(law, factor + halved * step, goal)
                if tried[1] <= objective:
                    factor, (made, objective, push) = factor + halved * step, tried
                    break
            else:
                break
        return made

    def _at(self, law: Callable[[Array], tuple[Array, Array, Array]], factor: Array, goal: Array) -> tuple[Array, float, Array]:
        made, potential, push = law(self.member.T @ factor)
        return made, float(self.weights @ potential - self._size @ (goal * factor).sum(-1)), push


def _curves(shares: Array) -> Array:
    """Return ``diag(p) - pp'`` of each cell."""
    return shares[..., None] * np.eye(shares.shape[1]) - shares[..., None] * shares[:, None, :]


def _places(rows: pd.DataFrame, ids: pd.Index, options: list[object], value: str, what: str) -> np.ndarray:
    """Return the position of each background and option in `rows`."""
    theirs = list(rows[OPTION].unique()) if value == SHARE else [None]
    if set(options) != set(theirs) or len(rows) != len(ids) * len(options):
        raise TableError(
            f"{what}: table has options {first_few(options)}, totals {first_few(theirs)}; give every cell and total all of them"
        )
    column = np.array([options.index(code) for code in rows[OPTION]]) if value == SHARE else np.zeros(len(rows), dtype=int)
    place = np.empty((len(ids), len(options)), dtype=int)
    place[ids.get_indexer(rows[BACKGROUND]), column] = np.arange(len(rows))
    return place


def _agreement(member: Array, weights: Array) -> Array:
    """Return the matrix that takes totals to the nearest, weighted by population, that some cells can have."""
    size = member @ weights
    within = (member * weights) @ member.T / np.sqrt(np.outer(size, size))
    levels, vectors = np.linalg.eigh(within)
    lost = vectors[:, levels < SINGULAR]
    back = np.eye(len(size)) - lost @ lost.T
    return back / np.sqrt(size)[:, None] * np.sqrt(size)


def _require_agreement(total: Array, near: Array, stated: Array, names: list[str], options: list[object], what: str) -> None:
    """Refuse totals that contradict each other by more than rounding, and more than their standard errors."""
    allowed = np.maximum(ROUNDED * max(1.0, np.abs(total).max()), np.nan_to_num(stated))
    beyond = np.abs(near - total) / allowed
    if not beyond.max() > 1:
        return
    worst = beyond >= beyond.max() * (1 - TIED)  # the first of those that are as far off: which is larger in the last digit is chance
    at = np.unravel_index(worst.argmax(), beyond.shape)
    option = "" if options[at[1]] is None else f", option {options[at[1]]}"
    raise TableError(
        f"totals: {what}: they contradict each other over `population`: {names[at[0]]}{option} is {total[at]:.4g}, and the nearest that "
        f"agrees with the others {near[at]:.4g}; correct them, give totals of one source with its own population, or leave one out"
    )


def _spread_of_totals(total: Array, stated: Array, member: Array, weights: Array, *, of_shares: bool) -> Array:
    """Return the covariance of the totals' errors, which go together as their populations overlap."""
    totals, count = total.shape
    roots = np.zeros((totals, count, count))
    for at, one in enumerate(_of_a_multinomial(total, stated) if of_shares else np.square(stated)[..., None]):
        levels, vectors = np.linalg.eigh(one)
        roots[at] = vectors * np.sqrt(np.maximum(levels, 0.0)) @ vectors.T
    size = member @ weights
    overlap = (member * weights) @ member.T / np.sqrt(np.outer(size, size))
    blocks = overlap[:, :, None, None] * (roots[:, None] @ roots)
    return blocks.swapaxes(1, 2).reshape(totals * count, totals * count)


def _of_a_multinomial(shares: Array, errors: Array) -> Array:
    """Return covariances with these standard errors and the correlations of multinomial shares, shape ``(cells, options, options)``."""
    odds = np.sqrt(np.clip(shares, 1e-9, 1 - 1e-9) / (1 - np.clip(shares, 1e-9, 1 - 1e-9)))
    correlation = -odds[:, :, None] * odds[:, None, :]
    diagonal = np.arange(shares.shape[1])
    correlation[:, diagonal, diagonal] = 1.0
    return np.maximum(correlation, -1.0) * errors[:, :, None] * errors[:, None, :]
