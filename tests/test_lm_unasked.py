"""Answers to questions never asked: alike questions are followed, features that tell nothing are not believed."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.cells import Cells
from surveysim.lm.unasked import NOISES, _Group

RANDOM = np.random.default_rng(0)
N_ASKED, N_UNASKED, BACKGROUNDS, OPTIONS = 24, 6, 5, 4


def _cells(shares: np.ndarray, prefix: str) -> Cells:
    n = len(shares)
    names, size = tuple(f"{prefix}{place}" for place in range(n)), np.ones(shares.shape[:2])
    codes, orders = ((1, 2, 3, 4),) * n, ((0, 1, 2, 3),) * n
    backgrounds = tuple(f"age={place}" for place in range(BACKGROUNDS))
    return Cells(names, backgrounds, codes, orders, shares, size, size, np.ones((n, OPTIONS), bool))


def _group(tells: bool) -> tuple[_Group, np.ndarray]:
    """Questions whose answer follows a direction of the features, or does not."""
    features = RANDOM.normal(size=(N_ASKED + N_UNASKED, 3))
    pull = features[:, 0] if tells else RANDOM.normal(size=len(features))
    tilt = pull[:, None] + 0.3 * np.linspace(-1, 1, BACKGROUNDS)
    shares = np.exp(tilt[..., None] * np.linspace(-1, 1, OPTIONS))
    shares /= shares.sum(-1, keepdims=True)
    asked, unasked = _cells(shares[:N_ASKED], "a"), _cells(shares[N_ASKED:], "u")
    named = dict(zip((*asked.questions, *unasked.questions), features, strict=True))
    return _Group(asked, unasked, named, OPTIONS), shares[N_ASKED:]


def _chosen(group: _Group, part: str) -> float:
    return float(NOISES[int(np.argmin([group.loss(part, noise) for noise in NOISES]))])


def test_questions_that_read_alike_answer_alike() -> None:
    group, truth = _group(tells=True)
    group.noise = {part: _chosen(group, part) for part in ("level", "shift")}
    assert np.isfinite(group.noise["level"])
    blind = np.broadcast_to(group.blind, truth.shape)
    assert np.abs(group.predicted() - truth).mean() < 0.5 * np.abs(blind - truth).mean()


def test_features_that_are_not_believed_give_the_mean_answer() -> None:
    group, _ = _group(tells=False)
    group.noise = {"level": float("inf"), "shift": float("inf")}
    found = group.predicted()
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-12)
    assert found.sum(-1) == pytest.approx(1)
    assert _chosen(group, "level") >= 1.0
