"""What is expected of a prior's changes: its gradient is that of its loss, unsampled backgrounds say nothing, strong evidence prevails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from surveysim.baselines.expected_changes import LEAST_CHANGE, Rows, _Before, split_differences
from surveysim.baselines.prior import IGNORED, WAVE, Expected, Sources
from surveysim.tables.cells import Array

ROWS, SIZE = 3, 8


def _rows(sizes: Array, *, changed: float = 0.1, sources: int = 0, seed: int = 200) -> Rows:
    """Rows that follow the prior's contrasts but for a change with this variance."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(0, 0.5, (ROWS, SIZE))
    eta -= eta.mean(1, keepdims=True)
    apart, parts = rng.normal(0, 0.2, (ROWS, sources, SIZE)), np.full((ROWS, sources), 1 / max(sources, 1))
    apart -= apart.mean(1, keepdims=True) if sources else 0.0
    own = Sources(apart, np.tile(0.02 * np.eye(SIZE), (ROWS, sources, 1, 1)), parts)
    scores = rng.normal(0, np.sqrt(changed), (ROWS, SIZE)) + rng.normal(0, 1, (ROWS, SIZE)) / np.sqrt(np.maximum(sizes, 1))
    kernels = [np.eye(SIZE)[None], np.kron(np.eye(2), np.ones((SIZE // 2, SIZE // 2)))[None]]
    error = np.tile(0.01 * np.eye(SIZE), (ROWS, 1, 1))
    return Rows(kernels, np.where(sizes > 0, scores, 0.0), sizes, eta, error=error, sources=own)


@pytest.mark.parametrize("expected", [WAVE, IGNORED])
@pytest.mark.parametrize("sources", [0, 2])
def test_the_gradient_is_that_of_the_loss(expected: Expected, sources: int) -> None:
    rows = _rows(np.random.default_rng(1).integers(0, 30, (ROWS, SIZE)).astype(float), sources=sources)
    before = _Before.of(expected, np.array([-2.0, -3.0]), higher=False)
    point = np.r_[-2.5, -3.5, -4.0, -5.0, before.slope if expected.ignored else 0.1, np.full(sources, 0.0 if expected.ignored else 0.2)]
    found = rows._loss(point, before)[1]
    for place in range(4 if expected.ignored else len(point)):
        step = np.eye(len(point))[place] * 1e-5
        expected_slope = (rows._loss(point + step, before)[0] - rows._loss(point - step, before)[0]) / 2e-5
        assert found[place] == pytest.approx(expected_slope, rel=1e-4, abs=1e-5)


def test_backgrounds_without_a_sample_say_nothing() -> None:
    """The fit is that of the sampled ones alone, told of all."""
    sizes = np.tile(np.r_[np.full(5, 20.0), np.zeros(3)], (ROWS, 1))
    rows = _rows(sizes)
    other = Rows(
        rows.kernels.kernels[:2],
        np.pad(rows.observed.scores, ((0, 0), (0, 3)), constant_values=9.0),
        sizes,
        rows.eta,
        error=rows.error,
        sources=rows.sources,
    )
    differences = np.array([-2.0, -3.0])
    np.testing.assert_array_equal(rows.fit(WAVE, differences, False).point, other.fit(WAVE, differences, False).point)
    assert rows.fit(WAVE, differences, False).covariance.shape == (ROWS, SIZE, SIZE)


def test_strong_evidence_of_change_prevails_and_weak_does_not() -> None:
    """A hundredth was expected to change: five respondents a background leave it so, a thousand find all of it."""
    expected, differences = replace(WAVE, changed=0.01), np.log(np.array([1.0, 1e-6]))
    few, many = (_rows(np.full((ROWS, SIZE), size), changed=1.0).fit(expected, differences, False).point[0] for size in (0.2, 1000.0))
    assert few == pytest.approx(np.log(0.01), abs=0.5)
    assert np.exp(many) == pytest.approx(1.0, rel=0.6)


def test_ignoring_takes_neither_slope_nor_errors() -> None:
    rows = _rows(np.full((ROWS, SIZE), 50.0), sources=2)
    found = rows.fit(IGNORED, np.array([-2.0, -3.0]), False)
    np.testing.assert_allclose(found.mean, -rows.eta)
    variances = np.exp(found.point[:4])
    own = variances[0] * np.eye(SIZE)[None] + variances[1] * rows.kernels.kernels[1] + variances[2]
    np.testing.assert_allclose(found.covariance, own + variances[3] * rows.eta[:, :, None] * rows.eta[:, None])


def test_differences_are_split_among_kernels() -> None:
    """What two groups have apart is put on the kernel of groups."""
    group = np.kron(np.eye(2), np.ones((10, 10)))
    eta = np.repeat([[0.8, -0.8], [-0.6, 0.6], [0.7, -0.7]], 10, axis=1)
    own, of_groups = split_differences([np.eye(20), group], eta, np.arange(3))
    assert of_groups > np.log(0.1)
    assert own < np.log(0.01)
    assert split_differences([], eta, np.arange(3)).shape == (0,)
    assert np.log(1e-3) > LEAST_CHANGE
