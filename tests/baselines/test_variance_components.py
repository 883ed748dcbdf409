"""Variances of kernels, as the plain form finds them; what cells have beyond: found where it is, blind to cells that nobody answered in."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal

from surveysim.baselines import multilevel
from surveysim.baselines.kernel_parts import parts_of
from surveysim.baselines.variance_components import (
    LARGEST_SPREAD,
    POINTS,
    START,
    _grouped,
    _Groups,
    _marginal_loss,
    learned_covariance,
    point_likelihoods,
    unexplained_variance,
    variance_components,
)
from surveysim.tables.cells import Cells
from tests.support import plain_multilevel


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


def drawn(*, per_question: bool, of_row: bool = False, empty: int = 0) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return kernels of 8 x 2 x 3 levels (and a dense one a question), scores, sizes and questions of 7 rows of 3 questions."""
    generator = np.random.default_rng(3)
    levels = np.array(list(product(range(8), range(2), range(3))))
    kernels, _ = multilevel.trait_kernels(levels)
    if per_question:
        features = generator.normal(size=(3, len(levels), 60))
        kernels = [*kernels, features @ features.swapaxes(1, 2) / 60]
    questions = np.array([0, 1, 0, 1, 2, 0, 2])
    sizes = generator.uniform(0.5, 20, (7 if of_row else 3, len(levels)))[np.arange(7) if of_row else questions]
    sizes[:, :empty] = 0.0
    return kernels, generator.normal(0, 0.4, (7, len(levels))), sizes, questions


def with_intercept(groups: _Groups, variances: np.ndarray) -> np.ndarray:
    return np.column_stack([variances, np.ones(len(groups.rows))])


@pytest.mark.parametrize("per_question", [False, True])
def test_the_marginal_likelihood_is_the_gaussian_one(per_question: bool) -> None:
    kernels, scores, sizes, questions = drawn(per_question=per_question)
    groups = _grouped(kernels, scores, sizes, questions)
    variances = np.random.default_rng(0).uniform(0.01, 0.3, (3, len(kernels)))
    value, _ = _marginal_loss(groups, with_intercept(groups, variances))
    expected = 0.0
    for row, question in enumerate(questions):
        covariance = 1.0 + np.diag(1 / sizes[row])
        for variance, kernel in zip(variances[question], kernels, strict=True):
            covariance = covariance + variance * (kernel[question] if kernel.ndim == 3 else kernel)
        expected -= multivariate_normal(np.zeros(len(covariance)), covariance).logpdf(scores[row])
    assert value + 0.5 * (scores.size * np.log(2 * np.pi) - np.log(sizes).sum()) == pytest.approx(expected)


@pytest.mark.parametrize("per_question", [False, True])
def test_the_slopes_of_the_marginal_likelihood(per_question: bool) -> None:
    kernels, scores, sizes, questions = drawn(per_question=per_question)
    groups = _grouped(kernels, scores, sizes, questions)
    start = np.log(np.random.default_rng(0).uniform(0.01, 0.3, (3, len(kernels))))

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, slopes = _marginal_loss(groups, with_intercept(groups, np.exp(logs.reshape(start.shape))))
        return value, slopes[:, :-1].ravel()

    assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], start.ravel()) < 1e-4


@pytest.mark.parametrize("of_row", [False, True])
@pytest.mark.parametrize("per_question", [False, True])
def test_variances_are_those_of_the_plain_form(per_question: bool, of_row: bool) -> None:
    """Also where the rows of a question have different sizes, and where the first backgrounds are empty."""
    given = drawn(per_question=per_question, of_row=of_row, empty=5)
    found, expected = variance_components(*given, 1.0), plain_multilevel.variance_components(*given, 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_a_dozen_dense_kernels_are_those_of_the_plain_form() -> None:
    generator = np.random.default_rng(6)
    features = generator.normal(size=(12, 40, 50))
    kernels = list(features @ features.swapaxes(1, 2) / 50)
    scores, sizes, questions = generator.normal(0, 0.4, (10, 40)), np.full((10, 40), 12.0), np.repeat(np.arange(5), 2)
    given = kernels, scores, sizes, questions, 1.0
    np.testing.assert_allclose(variance_components(*given), plain_multilevel.variance_components(*given), rtol=1e-5, atol=1e-9)


def test_a_singular_kernel_given_twice_shares_its_variance() -> None:
    kernels, scores, sizes, questions = drawn(per_question=False)
    twice = [kernels[0], kernels[0].copy()]
    found = variance_components(twice, scores, sizes, questions, 1.0)
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-6)
    np.testing.assert_allclose(found, plain_multilevel.variance_components(twice, scores, sizes, questions, 1.0), rtol=1e-5)


def test_a_single_background_and_no_respondent_at_all() -> None:
    one = [np.ones((1, 1))], np.array([[0.3], [0.1]]), np.array([[9.0], [0.0]]), np.array([0, 1]), 1.0
    np.testing.assert_allclose(variance_components(*one), plain_multilevel.variance_components(*one), rtol=1e-6)
    none = [np.eye(4)], np.zeros((2, 4)), np.zeros((2, 4)), np.array([0, 0]), 1.0
    np.testing.assert_allclose(variance_components(*none), np.exp(START), rtol=1e-9)


def test_likelihoods_of_what_is_beyond_are_the_same_in_blocks_and_whole() -> None:
    kernels, scores, sizes, questions = drawn(per_question=False, empty=2)
    kernels = [*kernels, np.ones_like(kernels[0])]
    parts, weights = parts_of(kernels), np.full((7, len(kernels)), 0.1)
    assert len(parts.places) == 8
    blocks = point_likelihoods(parts, weights, questions, scores[..., None], sizes)
    whole = point_likelihoods(parts_of([0.1 * sum(kernels)]), np.ones((7, 1)), questions, scores[..., None], sizes)
    np.testing.assert_allclose(blocks - blocks[:, :1], whole - whole[:, :1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("empty", [0, 4])
@pytest.mark.parametrize("cells", [1, 30])
def test_a_learned_covariance_is_that_of_the_plain_form(cells: int, empty: int) -> None:
    """With one background, and with backgrounds that nobody was sampled from."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(9, cells + empty, 40))
    prior, scores = features @ features.swapaxes(1, 2) / 300, generator.normal(0, 0.4, (9, cells + empty))
    sizes = generator.uniform(1, 20, (9, cells + empty))
    sizes[:, cells:] = 0.0
    sizes[0, 0] = 0.0
    found, expected = learned_covariance(prior, scores, sizes), plain_multilevel.learned_covariance(prior, scores, sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
