"""Rows of backgrounds and options: counts within one row of what is expected, and answers that follow the latents."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.errors import SurveySimError
from surveysim.synthesis.rows import answers_of_rows, option_counts, rows_of_backgrounds


def test_rows_follow_the_population_and_nobody_is_left_out() -> None:
    assert rows_of_backgrounds(np.array([0.5, 0.499, 0.001]), 100).tolist() == [50, 49, 1]
    assert rows_of_backgrounds(np.array([0.5, 0.499, 0.001]), 100, 20).tolist() == [40, 40, 20]
    assert rows_of_backgrounds(np.array([0.7, 0.2, 0.1]), 100, 20).tolist() == [60, 20, 20]
    with pytest.raises(SurveySimError, match="n=2 rows are fewer than the 3 backgrounds that have people; give n=3 or more"):
        rows_of_backgrounds(np.ones(3) / 3, 2)


def test_counts_are_expected_counts_rounded_and_carry_over() -> None:
    draw = np.random.default_rng(200)
    shares = draw.dirichlet(np.ones(4) / 2, (3, 40))
    rows = draw.integers(3, 40, 40)
    counts = option_counts(shares, rows, np.zeros(40, dtype=bool), draw)
    expected = rows[:, None] * shares
    assert (counts.sum(-1) == rows).all()
    assert (np.abs(counts - expected) < 1 + 1e-9).all()
    assert np.abs((counts - expected).sum(1)).max() < 3  # of some 800 rows a question
    whole = option_counts(shares, rows + 10, np.ones(40, dtype=bool), draw)
    assert (whole >= 1).all()
    assert (whole.sum(-1) == rows + 10).all()


def test_answers_fill_the_counts_in_the_order_of_the_latent() -> None:
    counts = np.array([[[2, 1, 1]]])
    latent = np.array([[0.3], [-1.0], [2.0], [0.9]])
    cell = np.zeros(4, dtype=np.int64)
    assert answers_of_rows(latent, np.array([0]), counts, cell, [None])[:, 0].tolist() == [0, 0, 2, 1]
    contrasts = np.array([[0.3, -1.0], [-1.0, 2.0], [2.0, 0.0], [0.9, 0.0]])  # option 0 to the two highest, then option 1 of the rest
    assert answers_of_rows(contrasts, np.array([0, 0]), counts, cell, [np.arange(3)])[:, 0].tolist() == [2, 1, 0, 0]
