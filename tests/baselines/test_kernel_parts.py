"""Kernels divided into blocks and a low rank: their sums are the kernels' own, whatever the division."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from surveysim.baselines.covariances import sum_kernels
from surveysim.baselines.kernel_parts import parts_of
from surveysim.baselines.multilevel import trait_kernels
from surveysim.baselines.variance_components import kernel_sum


def of_levels(*sizes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the levels and kernels of a full grid, with an intercept's."""
    levels = np.array(list(product(*map(range, sizes))))
    kernels, _ = trait_kernels(levels)
    return levels, [*kernels, np.ones_like(kernels[0])]


def test_what_involves_the_largest_trait_is_blocks_and_the_rest_of_low_rank() -> None:
    parts = parts_of(of_levels(28, 2, 3)[1])
    assert parts.places.shape == (28, 6)
    assert parts.rank == 6  # sex by age, which holds both and the intercept
    assert parts.blocks.alike == [0, 3, 4, 6]


def test_dense_kernels_are_one_block() -> None:
    features = np.random.default_rng(0).normal(size=(3, 20, 40))
    parts = parts_of([*of_levels(5, 4)[1], features @ features.swapaxes(1, 2)])
    assert parts.places.shape == (1, 20)
    assert parts.rank == 0


@pytest.mark.parametrize("kept", [slice(None), slice(3, None, 2), slice(0, 1)])
def test_sums_are_those_of_the_kernels(kept: slice) -> None:
    """Blocks of unequal size, and one background alone."""
    generator, (_, kernels) = np.random.default_rng(0), of_levels(11, 2, 3)
    low = generator.normal(size=(2, len(kernels[0]), 2))
    given = [kernel[..., kept, :][..., kept] for kernel in [*kernels, low @ low.swapaxes(1, 2)]]
    variances, questions = generator.uniform(0, 1, (4, len(given))), np.array([1, 0, 0, 1])
    found, expected = sum_kernels(parts_of(given), variances, questions), kernel_sum(given, variances, questions)
    np.testing.assert_allclose(found.dense(), expected, atol=1e-10)
    right = generator.normal(size=(4, len(given[0]), 3))
    product_ = found.parts.in_order(found.times(found.parts.laid(right)))
    np.testing.assert_allclose(product_, expected @ right, atol=1e-9)


def test_a_kernel_of_zeros_adds_nothing() -> None:
    kernels = [*of_levels(6, 2)[1], np.zeros((12, 12))]
    variances = np.ones((1, len(kernels)))
    np.testing.assert_allclose(sum_kernels(parts_of(kernels), variances, np.zeros(1, int)).dense()[0], sum(kernels), atol=1e-12)


@pytest.mark.parametrize("size", [10, 60, 400, 4000])
def test_groups_that_read_the_same_kernels_are_worked_on_together_and_few_enough(size: int) -> None:
    parts = replace(parts_of([np.eye(2)]), places=np.zeros((1, size), int))
    runs = [len(range(20)[chunk]) for chunk in parts.chunks(20)]
    assert sum(runs) == 20
    assert max(runs) == {10: 20, 60: 20, 400: 8, 4000: 1}[size]
