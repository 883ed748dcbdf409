"""Copies of sampled respondents are found; fresh draws of the same population are not."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.synthesis.nearest_rows import beyond_chance, in_words, nearest_respondents


def _found(rows: np.ndarray, sample: np.ndarray) -> dict[str, float]:
    options, cells = np.full(8, 5), [np.arange(len(one)) % 3 for one in (rows, sample)]
    draw = np.random.default_rng(0)
    return nearest_respondents(rows, cells[0], sample, cells[1], nominal=[False] * 7 + [True], options=options, generator=draw)


def test_fresh_rows_are_as_near_as_other_respondents() -> None:
    draw = np.random.default_rng(200)
    found = _found(draw.integers(0, 5, (900, 8)), draw.integers(0, 5, (600, 8)))
    assert found["compared"] == 600
    assert found["nearer"] == pytest.approx(0.5, abs=0.06)
    assert not beyond_chance(found)
    assert in_words(found).startswith("no nearer than chance brings other respondents: a row is the nearer one in ")


def test_copies_are_nearer_than_chance() -> None:
    sample = np.random.default_rng(201).integers(0, 5, (600, 8))
    found = _found(sample, sample)
    assert found["same_simulated"] == 1.0
    assert found["same_held_out"] < 0.05
    assert beyond_chance(found)
    assert in_words(found).startswith("NEARER TO SAMPLED RESPONDENTS")


def test_respondents_with_missing_answers_are_not_compared() -> None:
    found = _found(np.zeros((9, 8), dtype=np.int64), np.full((9, 8), -1))
    assert in_words(found) == "not compared: fewer than two respondents answered all questions"
