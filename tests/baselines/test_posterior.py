"""Fits of all cells are those of the plain form, with kernels in blocks or dense, empty cells, one background, and draws."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from surveysim.baselines import multilevel
from surveysim.baselines.posterior import offset_mode
from surveysim.tables.cells import Cells
from tests.support import plain_multilevel

LEVELS = np.array(list(product(range(10), range(2), range(3))))
ORDERED = np.array([True, True, False, True])


def sampled(levels: np.ndarray, *, empty: int, seed: int = 0) -> tuple[Cells, np.ndarray]:
    """Return the cells of four questions of 5, 3, 4 and 2 options, and their pooled shares."""
    generator = np.random.default_rng(seed)
    mask = np.arange(5) < np.array([5, 3, 4, 2])[:, None]
    effects = sum(generator.normal(0, 0.4, (4, 10, 1))[:, levels[:, trait]] for trait in range(levels.shape[1]))
    weights = np.exp(effects * np.linspace(-1, 1, 5)) * mask[:, None]
    sizes = generator.integers(1, 15, (4, len(levels)))
    sizes[:, :empty] = 0
    sizes[1, -1:] = 0 if len(levels) > 1 else 5
    shares = weights / weights.sum(-1, keepdims=True)
    counts = np.stack([[generator.multinomial(n, p) for n, p in zip(*row, strict=True)] for row in zip(sizes, shares, strict=True)])
    n = sizes.astype(float)
    codes = tuple(tuple(range(size)) for size in mask.sum(-1))
    words = tuple(tuple(map(str, own)) for own in codes)
    names = tuple(f"cell={place}" for place in range(len(levels)))
    pooled = np.where(mask, counts.sum(1) + 0.1, 0.0)
    seen = Cells(tuple("abcd"), names, codes, words, counts / np.maximum(n, 1)[..., None], n, n, mask)
    return seen, pooled / pooled.sum(-1, keepdims=True)


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("empty", [0, 13])
def test_a_fit_is_that_of_the_plain_form(dense: bool, learn: bool, empty: int) -> None:
    cells, pooled = sampled(LEVELS, empty=empty)
    kernels, _ = multilevel.trait_kernels(LEVELS)
    if dense:
        features = np.random.default_rng(1).normal(size=(4, len(LEVELS), 80))
        kernels = [*kernels, features @ features.swapaxes(1, 2) / 80]
    tilted = np.array([True, False, False, False])
    fit = multilevel.fit_multilevel(cells, kernels, ordered=ORDERED, pooled=pooled, tilt_only=tilted, learn=learn)
    shares, error, _ = plain_multilevel.fit(cells, kernels, ORDERED, pooled, tilt_only=tilted, learn=learn)
    np.testing.assert_allclose(fit.shares, shares, atol=1e-6)
    np.testing.assert_allclose(fit.std_error, error, atol=1e-6)


def test_one_background_without_kernels_of_levels() -> None:
    cells, pooled = sampled(LEVELS[:1], empty=0)
    for kernels in ([], [np.ones((1, 1))]):
        fit = multilevel.fit_multilevel(cells, kernels, ordered=ORDERED, pooled=pooled)
        shares, error, _ = plain_multilevel.fit(cells, kernels, ORDERED, pooled, tilt_only=np.zeros(4, bool), learn=False)
        np.testing.assert_allclose(fit.shares, shares, atol=1e-6)
        np.testing.assert_allclose(fit.std_error, error, atol=1e-6)


def test_draws_have_the_posterior_covariance_and_come_back_with_the_seed() -> None:
    levels = LEVELS[:12]
    cells, pooled = sampled(levels, empty=2)
    kernels, _ = multilevel.trait_kernels(levels)
    options = {"ordered": ORDERED, "pooled": pooled, "draws": 4000}
    fit = multilevel.fit_multilevel(cells, kernels, seed=3, **options)
    assert fit.draws is not None
    again = multilevel.fit_multilevel(cells, kernels, seed=3, **options)
    np.testing.assert_array_equal(fit.draws, again.draws)
    _, _, posterior = plain_multilevel.fit(cells, kernels, ORDERED, pooled, tilt_only=np.zeros(4, bool), learn=False)
    slope = multilevel.share_slopes(fit.shares, multilevel.option_contrasts(pooled, cells.mask))[3, :, 0, 0]  # two options: one contrast
    expected = slope[:, None] * posterior[3, 0] * slope
    drawn = np.cov(fit.draws[:, 3, :, 0].T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((drawn - expected) / scale).max() < 5 * np.sqrt(2 / 4000)


def test_the_evidence_is_the_integral_of_likelihood_and_prior() -> None:
    """Laplace's approximation beside numerical integration, of one background and two options."""
    counts, base, variance = np.array([37.0, 13.0]), np.array([0.5, 0.5]), 0.3
    codes, orders = ((0, 1),), ((1, 2),)
    sizes = np.full((1, 1), 50.0)
    cells = Cells(("q",), ("a=1",), codes, orders, (counts / 50)[None, None], sizes, sizes, np.ones((1, 2), bool))
    basis = np.array([[[-1.0], [1.0]]])
    found = offset_mode(cells, basis, np.ones((1, 1), bool), base[None, None], np.full((1, 1, 1, 1), variance))[2]
    contrast = np.linspace(-4, 4, 20001)
    logs = np.log(base)[:, None] + np.outer([-1.0, 1.0], contrast)
    logs -= np.log(np.exp(logs).sum(0))
    density = np.exp(counts @ logs - 0.5 * contrast**2 / variance) / np.sqrt(2 * np.pi * variance)
    assert found[0] == pytest.approx(np.log(np.trapezoid(density, contrast)), abs=0.02)
