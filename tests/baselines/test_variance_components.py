"""What cells have beyond the kernels: found where it is there, never taken for nothing, blind to cells that nobody was sampled from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from surveysim.baselines import multilevel
from surveysim.baselines.variance_components import LARGEST_SPREAD, POINTS, unexplained_variance
from surveysim.tables.cells import Cells


def rows(variance: float, n: int, *, questions: int = 40, cells: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a covariance of nothing but an intercept, scores of cells with the variance, and sizes."""
    generator = np.random.default_rng(seed)
    covariance = np.ones((questions, cells, cells))
    sizes = np.full((questions, cells), float(n))
    scores = generator.normal(0, 1, (questions, 1)) + generator.normal(0, np.sqrt(variance + 1 / n), (questions, cells))
    return covariance, scores, sizes


@pytest.mark.parametrize("variance", [0.01, 0.04])
def test_a_variance_that_is_there_is_found(variance: float) -> None:
    """1,160 degrees of freedom: the estimate's standard error is ``sqrt(2 / 1160) (variance + 1 / n)``, and three of them are allowed."""
    found = unexplained_variance(*rows(variance, 50))
    assert abs(found - variance) < 3 * np.sqrt(2 / 1160) * (variance + 1 / 50)


def test_where_there_is_none_little_is_left_with_many_cells_and_much_with_few() -> None:
    many, few = unexplained_variance(*rows(0.0, 50)), unexplained_variance(*rows(0.0, 50, questions=1, cells=4))
    assert 0 < many < 3 * np.sqrt(2 / 1160) / 50
    assert few > 3 * many


def test_it_is_the_mean_of_the_posterior_under_a_uniform_prior_of_the_standard_deviation() -> None:
    covariance, scores, sizes = rows(0.02, 20, questions=2, cells=5)
    spreads = LARGEST_SPREAD * np.linspace(0, 1, POINTS) ** 2
    density = [
        np.exp(sum(multivariate_normal.logpdf(scores[r], cov=covariance[r] + np.diag(1 / sizes[r] + s**2)) for r in range(2)))
        for s in spreads
    ]
    weight = np.array(density) * np.gradient(spreads)
    np.testing.assert_allclose(unexplained_variance(covariance, scores, sizes), (weight * spreads**2).sum() / weight.sum(), rtol=1e-9)


def test_cells_that_nobody_was_sampled_from_say_nothing() -> None:
    covariance, scores, sizes = rows(0.02, 20, questions=3, cells=6)
    more = np.ones((3, 7, 7)), np.hstack([scores, np.full((3, 1), 9.0)]), np.hstack([sizes, np.zeros((3, 1))])
    np.testing.assert_allclose(unexplained_variance(*more), unexplained_variance(covariance, scores, sizes), rtol=1e-12)


def test_standard_errors_of_a_multilevel_fit_cover_cells_of_their_own() -> None:
    """Cells that differ by more than traits explain: with kernels of main effects alone, 95% intervals hold the true shares."""
    generator = np.random.default_rng(5)
    levels = np.array([(a, b) for a in range(4) for b in range(5)])
    same = [(levels[:, [j]] == levels[:, j]).astype(float) for j in range(2)]
    covered = []
    for _ in range(20):
        effect = generator.normal(0, 0.3, 4)[levels[:, 0]] + generator.normal(0, 0.3, 5)[levels[:, 1]] + generator.normal(0, 0.25, (6, 20))
        truth = 1 / (1 + np.exp(-effect))
        yes = generator.binomial(25, truth) / 25
        shares, n = np.stack([yes, 1 - yes], -1), np.full((6, 20), 25.0)
        names = tuple(f"c={place}" for place in range(20))
        cells = Cells(tuple("abcdef"), names, ((1, 0),) * 6, ((0, 1),) * 6, shares, n, n, np.ones((6, 2), dtype=bool))
        fit = multilevel.fit_multilevel(cells, same, ordered=np.ones(6, dtype=bool), pooled=shares.mean(1))
        covered.append(np.abs(fit.shares[..., 0] - truth) < 1.96 * fit.std_error[..., 0])
    assert 0.93 < np.mean(covered) < 0.97
