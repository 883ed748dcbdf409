"""Polychoric correlations by the moments of latent scores: against R, with cells of their own, and their sampling error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from surveysim.synthesis.latent_scores import contrast_order, correlations, dichotomies, latent_scores

R_NUMBERS = pd.read_csv(Path(__file__).parents[1] / "r" / "polychoric.csv")
TOGETHER = np.array([[[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], [[0.7, 0.3, 0.0], [0.4, 0.6, 0.0]]])  # (questions, cells, options)
MASK = np.array([[True, True, True], [True, True, False]])


@pytest.mark.parametrize("row", list(R_NUMBERS.itertuples()), ids=lambda row: f"{row.first}x{row.second} {row.rho:.2f}")
def test_correlations_are_those_of_maximum_likelihood_in_r(row: object) -> None:
    counts = np.array(row.counts.split(), dtype=int).reshape(row.first, row.second)
    places = np.argwhere(counts > 0)
    weights = counts[tuple(places.T)].astype(float)
    options = max(counts.shape)
    shares = np.zeros((2, 1, options))
    shares[0, 0, : row.first], shares[1, 0, : row.second] = counts.sum(1) / counts.sum(), counts.sum(0) / counts.sum()
    mask = np.arange(options) < np.array([[row.first], [row.second]])
    scores = latent_scores(shares, mask, places, np.zeros(len(places), dtype=np.int64), [False, False])
    assert correlations(scores, weights).rho[0, 1] == pytest.approx(row.rho, abs=0.01)


def _drawn(rho: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    latent = draw.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)
    cell = draw.integers(0, 2, n)
    upto = np.cumsum(TOGETHER, axis=-1)[:, cell]
    return (ndtr(latent.T)[:, :, None] >= upto[:, :, :-1]).sum(-1).T, cell


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.6, 0.9])
def test_dependence_within_cells_is_found_where_cells_differ(rho: float) -> None:
    answers, cell = _drawn(rho, 60_000, 200)
    found = correlations(latent_scores(TOGETHER, MASK, answers, cell, [False, False]), np.ones(len(cell)))
    assert found.rho[0, 1] == pytest.approx(rho, abs=0.015)


def test_noise_is_the_spread_over_samples() -> None:
    spread, stated = [], []
    draw = np.random.default_rng(1)
    for seed in range(150):
        answers, cell = _drawn(0.5, 500, 300 + seed)
        pairs = correlations(latent_scores(TOGETHER, MASK, answers, cell, [False, False]), np.ones(500))
        spread.append(pairs.rho[0, 1])
        stated.append(pairs.noise(draw.standard_normal(500))[0, 1])
    assert np.std(stated) == pytest.approx(np.std(spread), rel=0.2)


def test_a_missing_answer_leaves_out_its_pairs_alone() -> None:
    answers, cell = _drawn(0.5, 2000, 201)
    answers[:500, 1] = -1
    scores = latent_scores(TOGETHER, MASK, answers, cell, [False, False])
    kept = correlations(scores.take(np.arange(500, 2000)), np.ones(1500))
    pairs = correlations(scores, np.ones(2000))
    assert pairs.n.tolist() == [[2000, 1500], [1500, 1500]]
    assert pairs.rho[0, 1] == pytest.approx(kept.rho[0, 1], abs=1e-9)


def test_a_nominal_question_is_asked_option_by_option() -> None:
    shares = np.array([[0.2, 0.5, 0.3]])
    (first, second) = dichotomies(shares, np.array([1, 0, 2, -1]), np.array([1, 2, 0]))
    assert first[0].tolist() == [[0.5, 0.5]]
    assert first[1].tolist() == [1, 0, 0, -1]
    assert second[0][0] == pytest.approx([0.4, 0.6])
    assert second[1].tolist() == [-1, 0, 1, -1]


def test_contrasts_follow_the_line_on_which_other_answers_part_the_options() -> None:
    draw = np.random.default_rng(200)
    line = draw.standard_normal(500)
    hidden = np.searchsorted([-0.5, 0.5], line)  # an order that the codes do not show: 2, 0, 1
    answers = np.array([2, 0, 1])[hidden]
    shares = np.array([[0.3, 0.3, 0.4]])
    found = contrast_order(shares, answers, np.stack([line, draw.standard_normal(500)], axis=1))
    assert found.tolist() in ([2, 0, 1], [1, 0, 2])
    assert contrast_order(shares, answers, np.zeros((500, 0))).tolist() == [2, 0, 1]  # the most frequent first
