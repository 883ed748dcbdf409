"""Bounds of withheld numbers by linear programming: the least and the most that each can be, given all sums that are known."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from surveysim.tables.cells import Array

SLACK = 1e-6  # in respondents: numerical error of a solution


def cell_bounds(equations: Array, totals: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the least and the greatest whole number that each cell can be: ``min`` and ``max`` of x_c, where ``A x = b``.

    Equations that no numbers within the bounds fulfil together are left out, as few of them as their violation tells: parts are no
    sum of a whole that counts people without the trait.

    Parameters
    ----------
    equations : array, shape (equations, cells)
    totals : array, shape (equations,)
    low, high : array, shape (cells,)
        What is known of each cell beforehand; equal where it is published.

    References
    ----------
    Fischetti and Salazar (2001), Solving the cell suppression problem, doi:10.1287/mnsc.47.7.1008.9805 (the attacker's problem).

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.publishing.cell_bounds import cell_bounds
    >>> sums = np.array([[1.0, -1, -1, -1]])  # 60 people, 31 of them in the last part, 1 to 9 in the first
    >>> [side.tolist() for side in cell_bounds(sums, np.zeros(1), np.array([60.0, 1, 10, 31]), np.array([60, 9, np.inf, 31]))]
    [[60.0, 1.0, 20.0, 31.0], [60.0, 9.0, 28.0, 31.0]]
    """
    low, high = low.astype(float).copy(), high.astype(float).copy()
    for rows, cells in _components(equations, low < high):
        own, right = _open_part(equations, totals, low, high, (rows, cells))
        held = _feasible(own, right, low[cells], high[cells])
        own, right, box = own[held], right[held], (low[cells].copy(), high[cells].copy())
        for place, cell in enumerate(cells):
            for sign, side in ((1, low), (-1, high)):
                found = _extreme(own, right, box, place, sign)
                side[cell] = found[place] if found is not None else side[cell] if sign > 0 else np.inf
    return np.ceil(low - SLACK), np.floor(high + SLACK)


def settled(equations: Array, totals: Array, low: Array, high: Array, true: Array, asked: np.ndarray | None = None) -> np.ndarray:
    """Return the cells of which `cell_bounds` would find but one number; `true` are their numbers, where they are known.

    Each solution serves all cells, so that few are needed; cells that are not `asked` of need none.
    """
    asked = np.ones(len(low), dtype=bool) if asked is None else asked
    out = np.zeros(len(low), dtype=bool)
    for rows, cells in _components(equations, low < high):
        own, right = _open_part(equations, totals, low, high, (rows, cells))
        start: Array | None = true[cells]
        if np.isnan(true[cells]).any():
            start = _extreme(own, right, (low[cells], high[cells]), 0, 1)
        if start is None:  # sums that contradict each other
            bounds = cell_bounds(equations[rows], totals[rows], low, high)
            out[cells] = (bounds[0] == bounds[1])[cells]
            continue
        least, most, box = start.copy(), start.copy(), (low[cells], high[cells])
        for place in map(int, np.flatnonzero(asked[cells])):
            for sign in (1, -1):
                if most[place] - least[place] < 1 - SLACK:
                    found = _extreme(own, right, box, place, sign)
                    if found is None:
                        most[place] = np.inf
                    else:
                        least, most = np.minimum(least, found), np.maximum(most, found)
        out[cells] = asked[cells] & (most - least < 1 - SLACK)
    return out


def _open_part(equations: Array, totals: Array, low: Array, high: Array, where: tuple[np.ndarray, np.ndarray]) -> tuple[Array, Array]:
    """Return the equations of some cells, what is known of others put to the right."""
    rows, cells = where
    known = low == high
    return equations[np.ix_(rows, cells)], totals[rows] - equations[np.ix_(rows, known)] @ low[known]


def _components(equations: Array, free: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows and the cells of every set of unknown cells that equations tie together."""
    rows, cells = np.nonzero(equations[:, free])
    if not len(rows):
        return []
    places, height = np.flatnonzero(free), len(equations)
    size = height + len(places)
    _, label = connected_components(coo_array((np.ones(len(rows)), (rows, height + cells)), shape=(size, size)), directed=False)
    used = np.unique(label[rows])
    return [(np.flatnonzero(label[:height] == one), places[label[height:] == one]) for one in used]


def _feasible(own: Array, right: Array, low: Array, high: Array) -> np.ndarray:
    """Return the equations that numbers within the bounds fulfil: all, or those of the solution that violates them least."""
    height, width = own.shape
    if linprog(np.zeros(width), A_eq=own, b_eq=right, bounds=np.column_stack([low, high])).status == 0:
        return np.ones(height, dtype=bool)
    violated = np.hstack([own, np.eye(height), -np.eye(height)])
    bounds = np.vstack([np.column_stack([low, high]), np.column_stack([np.zeros(2 * height), np.full(2 * height, np.inf)])])
    solved = linprog(np.append(np.zeros(width), np.ones(2 * height)), A_eq=violated, b_eq=right, bounds=bounds)
    assert solved.status == 0, "with slack on every equation there is a solution"
    return np.asarray(np.abs(solved.x[width : width + height] - solved.x[width + height :]) < SLACK)


def _extreme(own: Array, right: Array, box: tuple[Array, Array], place: int, sign: int) -> Array | None:
    """Return the numbers where one cell is least (`sign` 1) or greatest (-1); `None` where nothing bounds it."""
    goal = np.zeros(own.shape[1])
    goal[place] = sign
    solved = linprog(goal, A_eq=own, b_eq=right, bounds=np.column_stack(box))
    return solved.x if solved.status == 0 else None
