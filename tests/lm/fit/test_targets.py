"""Answers carried between backgrounds: identities of quantile mapping and tilting, hand-checked numbers, and the pool's weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveysim.lm.fit.targets import LARGEST_RATIO, SHIFT_ERROR, carried_answers, quantile_mapped, tilted

CARRY = pytest.mark.parametrize("carry", [quantile_mapped, tilted])
Carry = Callable[..., np.ndarray]


def _shares(seed: int, rows: int, options: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(options, 4.0), rows)


@CARRY
def test_the_models_own_answer_becomes_its_answer_there(carry: Carry) -> None:
    origin, goal = _shares(0, 20), _shares(1, 20)
    near = (goal / origin < LARGEST_RATIO).all(-1) & (origin / goal < LARGEST_RATIO).all(-1)
    assert near.sum() >= 5
    np.testing.assert_allclose(carry(origin, origin, goal)[near], goal[near], atol=1e-12)


@CARRY
def test_without_a_shift_the_answer_stays(carry: Carry) -> None:
    answers, origin = _shares(2, 20), _shares(3, 20)
    np.testing.assert_allclose(carry(answers, origin, origin), answers, atol=1e-12)


@CARRY
@given(seed=st.integers(0, 10_000))
def test_what_arrives_is_a_distribution(carry: Carry, seed: int) -> None:
    answers, origin, goal = (np.random.default_rng(seed + place).dirichlet(np.full(5, 0.3)) for place in range(3))
    arrived = carry(answers, origin, goal)
    assert (arrived >= 0).all()
    assert arrived.sum() == pytest.approx(1, abs=1e-9)


def test_quantile_mapping_by_hand() -> None:
    """The model moves half of its first option one up: so does half of the sample's first option, and nothing else moves."""
    arrived = quantile_mapped(np.array([0.6, 0.2, 0.2]), np.array([0.4, 0.4, 0.2]), np.array([0.2, 0.6, 0.2]))
    np.testing.assert_allclose(arrived, [0.3, 0.5, 0.2], atol=1e-12)


def test_an_upward_shift_moves_every_answer_upward() -> None:
    origin, goal = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    for answers in _shares(4, 20, 3):
        assert (np.cumsum(quantile_mapped(answers, origin, goal)) <= np.cumsum(answers) + 1e-12).all()


def test_tilting_by_hand_and_its_limit() -> None:
    np.testing.assert_allclose(tilted(np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.array([0.75, 0.25])), [0.75, 0.25])
    extreme = tilted(np.array([0.5, 0.5]), np.array([0.999, 0.001]), np.array([0.001, 0.999]))
    np.testing.assert_allclose(extreme, [1 / (1 + LARGEST_RATIO**2), LARGEST_RATIO**2 / (1 + LARGEST_RATIO**2)])


def test_an_option_that_the_model_never_gives_stays_where_it_is() -> None:
    arrived = quantile_mapped(np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.5, 0.0]))
    np.testing.assert_allclose(arrived, [0.5, 0.3, 0.2])


@pytest.mark.parametrize("ordered", [True, False])
def test_backgrounds_count_by_size_and_nearness(ordered: bool) -> None:
    share, apart = _shares(5, 3), np.array([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]])
    n_eff, flat = np.array([100.0, 20.0, 0.0]), np.full((3, 4), 0.25)
    found = carried_answers(share, n_eff, flat, apart, ordered=ordered)
    weights = 1 / (1 / n_eff[:2, None] + SHIFT_ERROR * apart[:2])
    expected = (weights[:, :, None] * share[:2, None]).sum(0) / weights.sum(0)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    alone = carried_answers(share, np.array([0.0, 1e12, 0.0]), _shares(6, 3), apart, ordered=ordered)
    np.testing.assert_allclose(alone[1], share[1], rtol=1e-9)


def test_a_large_sample_of_the_cell_itself_wins() -> None:
    found = carried_answers(_shares(7, 2), np.array([1e9, 50.0]), _shares(8, 2), np.array([[0.0, 1], [1, 0]]), ordered=True)
    np.testing.assert_allclose(found[0], _shares(7, 2)[0], atol=1e-5)
