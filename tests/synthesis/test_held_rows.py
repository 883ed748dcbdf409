"""Weights and chosen rows that hold shares exactly; where they cannot, several backgrounds together."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.synthesis.held_rows import chosen_rows, hold_shares, rows_needed


def _shares_of(answers: np.ndarray, weights: np.ndarray, options: int) -> np.ndarray:
    return np.stack([np.bincount(own, weights, minlength=options) for own in answers.T]) / weights.sum()


def _candidates(shares: np.ndarray, rows: int, draw: np.random.Generator) -> np.ndarray:
    return np.stack([draw.permutation(np.repeat(np.arange(3), np.round(own * rows).astype(int)))[:rows] for own in shares], axis=1)


def test_chosen_rows_hold_the_shares_of_few_rows() -> None:
    draw = np.random.default_rng(200)
    shares = np.array([[0.61, 0.29, 0.1], [0.17, 0.33, 0.5]])
    found = chosen_rows(_candidates(shares, 200, draw), shares, 20, draw)
    assert found is not None
    rows, weights = found
    assert len(rows) == 20
    assert weights.min() > 0
    answers = _candidates(shares, 200, np.random.default_rng(200))[rows]
    assert _shares_of(answers, weights, 3) == pytest.approx(shares, abs=1e-9)


def test_no_rows_hold_a_share_that_no_candidate_has() -> None:
    draw = np.random.default_rng(200)
    shares = np.array([[0.5, 0.3, 0.2]])
    assert chosen_rows(np.zeros((100, 1), dtype=np.int64), shares, 20, draw) is None


def test_small_backgrounds_hold_their_shares_together() -> None:
    draw = np.random.default_rng(201)
    shares = draw.dirichlet(np.ones(3) * 3, (2, 3))  # (questions, cells, options)
    sizes, population = np.array([60, 30, 30]), np.array([55.0, 6.0, 8.0])
    cell = np.repeat(np.arange(3), sizes)
    answers = np.concatenate([_candidates(shares[:, place], 1000, draw)[:size] for place, size in enumerate(sizes)])
    rows, weighted = hold_shares(
        answers,
        shares,
        cell,
        population,
        margins=50,
        candidates=lambda place, n, _: _candidates(shares[:, place], n, draw),
        generator=draw,
    )
    assert weighted.held.tolist() == [True, False, False]
    assert weighted.together
    own = cell == 0
    assert _shares_of(rows[own], weighted.weights[own], 3) == pytest.approx(shares[:, 0], abs=1e-9)
    both = (shares[:, 1] * 6 + shares[:, 2] * 8) / 14
    assert _shares_of(rows[~own], weighted.weights[~own], 3) == pytest.approx(both, abs=1e-9)
    assert np.bincount(cell, weighted.weights) == pytest.approx(population)


def test_rows_needed_are_a_tenth_more_than_there_are_numbers_to_hold() -> None:
    assert rows_needed(np.array([[True] * 11] * 5)) == 59  # 50 shares and the size: 51


def test_a_background_that_no_rows_hold_is_helped_by_another() -> None:
    draw = np.random.default_rng(202)
    shares = np.array([[[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]]])
    cell = np.repeat(np.arange(2), [40, 2])
    answers = np.concatenate([_candidates(shares[:, 0], 40, draw), np.array([[0], [0]])])
    rows, weighted = hold_shares(
        answers,
        shares,
        cell,
        np.array([40.0, 2.0]),
        margins=3,
        candidates=lambda place, n, _: _candidates(shares[:, place], n, draw),
        generator=draw,
    )
    assert weighted.together
    assert weighted.held.tolist() == [False, False]
    assert _shares_of(rows, weighted.weights, 3) == pytest.approx((shares[:, 0] * 40 + shares[:, 1] * 2) / 42, abs=1e-9)
    assert np.bincount(cell, weighted.weights) == pytest.approx([40, 2])
