"""Bounds of withheld numbers: those of a brute-force search, and open where nothing bounds them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from surveysim.publishing.cell_bounds import cell_bounds, settled


def _search(equations: np.ndarray, totals: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Try every whole number of every cell."""
    tried = [x for x in product(*(range(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))) if np.allclose(equations @ x, totals)]
    return np.min(tried, axis=0), np.max(tried, axis=0)


@pytest.mark.parametrize("seed", range(200, 212))
def test_bounds_are_those_of_a_search(seed: int) -> None:
    """A 2 x 3 table of counts with its margins, a random part of it withheld: the constraints of such a table have whole solutions."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, (2, 3))
    x = np.concatenate([counts.ravel(), counts.sum(1), counts.sum(0)]).astype(float)
    equations = np.zeros((5, 11))
    for row in range(2):
        equations[row, [3 * row, 3 * row + 1, 3 * row + 2, 6 + row]] = -1, -1, -1, 1
    for column in range(3):
        equations[2 + column, [column, 3 + column, 8 + column]] = -1, -1, 1
    hidden = np.isin(np.arange(11), rng.choice(11, 5, replace=False))
    low, high = np.where(hidden, 1, x), np.where(hidden, np.where(x < 6, 6, 11), x)
    totals = np.zeros(5)
    least, most = cell_bounds(equations, totals, low, high)
    expected = _search(equations, totals, low, high)
    np.testing.assert_array_equal(least, expected[0])
    np.testing.assert_array_equal(most, expected[1])
    np.testing.assert_array_equal(settled(equations, totals, low, high, x)[hidden], (least == most)[hidden])
    unknown = np.where(hidden, np.nan, x)
    np.testing.assert_array_equal(settled(equations, totals, low, high, unknown)[hidden], (least == most)[hidden])


def test_open_sums_and_contradictions() -> None:
    one = np.array([[1.0, -1, -1]])
    least, most = cell_bounds(one, np.zeros(1), np.array([1.0, 4, 1]), np.array([np.inf, 4, np.inf]))
    assert least.tolist() == [5, 4, 1]
    assert most.tolist() == [np.inf, 4, np.inf]
    least, most = cell_bounds(one, np.zeros(1), np.array([60.0, 31, 1]), np.array([60.0, 31, 9]))
    assert (least[2], most[2]) == (1, 9), "60 people, 31 and at most 9: others have no level, and the sum says nothing"
    assert cell_bounds(np.zeros((0, 2)), np.zeros(0), np.ones(2), np.full(2, 9.0))[1].tolist() == [9, 9]
