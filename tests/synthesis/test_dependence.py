"""Correlations shrunk to few factors: positive definite, nearer to the truth, drawn anew with the error that the sample has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from surveysim.synthesis.dependence import Units, factor_correlation, factor_loadings, learn_dependence, positive
from surveysim.synthesis.latent_scores import Scores, latent_scores

LOADINGS = np.linspace(0.3, 0.9, 12)
TRUE = np.outer(LOADINGS, LOADINGS) + np.diag(1 - LOADINGS**2)


def _scores(n: int, seed: int, missing: int = 0) -> Scores:
    latent = np.random.default_rng(seed).multivariate_normal(np.zeros(12), TRUE, n)
    answers = np.minimum((ndtr(latent) * 4).astype(int), 3)
    if missing:
        answers[: n - missing, 0], answers[n - missing :, 1] = -1, -1
    return latent_scores(np.full((12, 1, 4), 0.25), np.ones((12, 4), bool), answers, np.zeros(n, dtype=np.int64), [False] * 12)


def _units(n: int) -> Units:
    return Units.of(pd.DataFrame(index=range(n)), np.ones(n, dtype=bool))


def test_shrinking_brings_the_correlations_nearer() -> None:
    learnt = learn_dependence(_scores(300, 200), np.ones(300), _units(300), np.random.default_rng(0))
    off = ~np.eye(12, dtype=bool)
    shrunk, raw = (np.sqrt(np.mean((which - TRUE)[off] ** 2)) for which in (learnt.correlation, learnt.raw))
    assert learnt.factors == 1
    assert learnt.shrinkage > 0.5
    assert shrunk < 0.75 * raw
    assert np.linalg.eigvalsh(learnt.correlation).min() > 0
    assert np.diag(learnt.correlation) == pytest.approx(np.ones(12))


def test_a_pair_that_too_few_answered_has_the_correlation_of_the_factors() -> None:
    learnt = learn_dependence(_scores(600, 201, missing=300), np.ones(600), _units(600), np.random.default_rng(0))
    assert np.argwhere(np.triu(learnt.unestimated)).tolist() == [[0, 1]]
    assert np.isnan(learnt.raw[0, 1])
    assert learnt.correlation[0, 1] == pytest.approx(TRUE[0, 1], abs=0.12)


def test_draws_have_the_standard_error_less_what_shrinking_knows() -> None:
    learnt = learn_dependence(_scores(400, 202), np.ones(400), _units(400), np.random.default_rng(0))
    draw = np.random.default_rng(1)
    drawn = np.stack([learnt.drawn(_units(400), draw).correlation for _ in range(200)])
    off = np.triu_indices(12, 1)
    expected = np.sqrt(1 - learnt.shrinkage) * learnt.std_error[off]
    assert np.mean(drawn.std(0)[off]) == pytest.approx(np.mean(expected), rel=0.15)


def test_units_move_together_and_a_stratum_keeps_its_mean() -> None:
    data = pd.DataFrame({"stratum": [1, 1, 1, 1, 2], "psu": [1, 1, 2, 2, 1]})
    found = Units.of(data, np.ones(5, dtype=bool)).multipliers(np.random.default_rng(0))
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[0] + found[2] == pytest.approx(0)


def test_factor_loadings_are_found_again_beside_missing_correlations() -> None:
    known = TRUE.copy()
    known[0, 1] = known[1, 0] = np.nan
    assert np.abs(factor_loadings(known, 1)[:, 0]) == pytest.approx(LOADINGS, abs=1e-3)
    assert factor_correlation(known, 1)[0, 1] == pytest.approx(TRUE[0, 1], abs=1e-3)


def test_a_matrix_that_is_no_correlation_is_made_one() -> None:
    made = positive(np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]))
    assert np.linalg.eigvalsh(made).min() > 0
    assert np.diag(made) == pytest.approx(np.ones(3))
