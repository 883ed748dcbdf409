"""Metrics: properties that every entry must have, equality with scipy, and the traps that published code fell into."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import entropy, wasserstein_distance

from surveysim.errors import EvaluationError
from surveysim.evaluation.metrics import METRICS, require_metrics

SYMMETRIC = sorted(set(METRICS) - {"kl"})
BOUNDED_BY_ONE = ("wasserstein", "total_variation", "hellinger")


def distributions(options: int, rng: np.random.Generator, cells: int = 40) -> np.ndarray:
    """Random shares with some empty options."""
    counts = rng.gamma(0.5, size=(cells, options)) * (rng.random((cells, options)) < 0.7) + 1e-12
    return counts / counts.sum(-1, keepdims=True)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two distributions over the same options, empty options included."""
    options = draw(st.integers(2, 11))
    sides = []
    for _ in range(2):
        counts = np.array(draw(st.lists(st.integers(0, 50), min_size=options, max_size=options)), float)
        counts[draw(st.integers(0, options - 1))] += 1
        sides.append(counts / counts.sum())
    return sides[0], sides[1]


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None)
@given(pair=pairs())
def test_every_metric_is_finite_and_not_negative_and_zero_at_equality(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    score = METRICS[name](p, q)
    assert np.isfinite(score)
    assert score >= 0
    assert METRICS[name](p, p) == 0
    if not np.allclose(p, q):
        assert score > 0


@pytest.mark.parametrize("name", SYMMETRIC)
@settings(deadline=None)
@given(pair=pairs())
def test_symmetry(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert METRICS[name](*pair) == pytest.approx(METRICS[name](*pair[::-1]), abs=1e-12)


@pytest.mark.parametrize("name", BOUNDED_BY_ONE)
def test_the_scale_ends_at_one(name: str) -> None:
    assert METRICS[name]([1.0, 0, 0, 0], [0, 0, 0, 1.0]) == pytest.approx(1)


def test_wasserstein_equals_scipy_with_positions_as_values() -> None:
    rng = np.random.default_rng(0)
    for options in (2, 5, 11):
        p, q = distributions(options, rng), distributions(options, rng)
        expected = [wasserstein_distance(range(options), range(options), a, b) / (options - 1) for a, b in zip(p, q, strict=True)]
        np.testing.assert_allclose(METRICS["wasserstein"](p, q), expected, atol=1e-12)


def test_mirrored_distributions_are_far_apart_though_their_sorted_shares_agree() -> None:
    p = np.array([0.7, 0.2, 0.1])
    assert wasserstein_distance(p, p[::-1]) == 0  # shares passed as values: the error of published code
    assert METRICS["wasserstein"](p, p[::-1]) == pytest.approx(0.6)


def test_jensen_shannon_is_the_divergence_in_nats_and_kl_runs_from_the_reference() -> None:
    rng = np.random.default_rng(1)
    p, q = distributions(6, rng), distributions(6, rng)
    np.testing.assert_allclose(
        METRICS["jensen_shannon"](p, q), [distance.jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)], atol=1e-9
    )
    positive = (p + 0.1) / 1.6, (q + 0.1) / 1.6
    np.testing.assert_allclose(METRICS["kl"](*positive), entropy(positive[1], positive[0], axis=-1), rtol=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_padding_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(2)
    p, q = distributions(4, rng), distributions(4, rng)
    padding = np.zeros((len(p), 3))
    wide = METRICS[name](np.hstack([p, padding]), np.hstack([q, padding + 9]), mask=np.arange(7) < 4)
    np.testing.assert_allclose(wide, METRICS[name](p, q), atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_leading_axes_are_kept(name: str) -> None:
    rng = np.random.default_rng(3)
    p, q = distributions(5, rng, 6).reshape(2, 3, 5), distributions(5, rng, 6).reshape(2, 3, 5)
    scores = METRICS[name](p, q)
    assert scores.shape == (2, 3)
    assert scores[1, 2] == pytest.approx(float(METRICS[name](p[1, 2], q[1, 2])))


@pytest.mark.parametrize(
    ("estimated", "reference", "words"),
    [
        ([0.5, 0.6], [0.5, 0.5], "sum farthest from 1 1.1"),
        ([1.2, -0.2], [0.5, 0.5], "lowest share -0.2"),
        ([0.5, 0.5], [np.nan, 1.0], "1 of 1 distributions hold missing shares"),
        ([0.5, 0.5], [0.2, 0.3, 0.5], "need the same options"),
        (0.5, [1.0], "need the same options"),
    ],
)
def test_unusable_shares_are_refused(estimated: object, reference: object, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        METRICS["wasserstein"](estimated, reference)


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(EvaluationError, match="do not broadcast"):
        METRICS["kl"](np.full((2, 2), 0.5), np.full((3, 2), 0.5))


def test_a_metric_with_a_typo_gets_the_nearest_name() -> None:
    with pytest.raises(EvaluationError, match="no metric 'waserstein'; did you mean 'wasserstein'"):
        require_metrics(["waserstein"])
    with pytest.raises(EvaluationError, match="metrics is empty"):
        require_metrics([])
    assert require_metrics("kl") == ("kl",)
