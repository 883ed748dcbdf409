"""Answers to questions never asked: alike questions are followed, features that tell nothing of another topic are not believed."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.lm.unasked import NOISES, _Group
from surveysim.tables.cells import Cells

RANDOM = np.random.default_rng(0)
N_ASKED, N_UNASKED, BACKGROUNDS, OPTIONS = 24, 6, 5, 4


def _cells(shares: np.ndarray, prefix: str) -> Cells:
    n = len(shares)
    names, size = tuple(f"{prefix}{place}" for place in range(n)), np.ones(shares.shape[:2])
    codes, orders = ((1, 2, 3, 4),) * n, ((0, 1, 2, 3),) * n
    backgrounds = tuple(f"age={place}" for place in range(BACKGROUNDS))
    return Cells(names, backgrounds, codes, orders, shares, size, size, np.ones((n, OPTIONS), bool))


def _shares(pull: np.ndarray) -> np.ndarray:
    tilt = pull[:, None] + 0.3 * np.linspace(-1, 1, BACKGROUNDS)
    shares = np.exp(tilt[..., None] * np.linspace(-1, 1, OPTIONS))
    return np.asarray(shares / shares.sum(-1, keepdims=True))


def _group(features: np.ndarray, shares: np.ndarray, per_topic: int = 1) -> _Group:
    asked, unasked = _cells(shares[:N_ASKED], "a"), _cells(shares[N_ASKED:], "u")
    named = dict(zip((*asked.questions, *unasked.questions), features, strict=True))
    return _Group(asked, unasked, named, {name: f"topic {place // per_topic}" for place, name in enumerate(asked.questions)}, OPTIONS)


def _followed(tells: bool) -> tuple[_Group, np.ndarray]:
    """Questions whose answer follows a direction of the features, or does not."""
    features = RANDOM.normal(size=(N_ASKED + N_UNASKED, 3))
    shares = _shares(features[:, 0] if tells else RANDOM.normal(size=len(features)))
    return _group(features, shares), shares[N_ASKED:]


def _chosen(group: _Group, part: str) -> float:
    return float(NOISES[int(np.argmin([group.loss(part, noise) for noise in NOISES]))])


def test_questions_that_read_alike_answer_alike() -> None:
    group, truth = _followed(tells=True)
    group.noise = {part: _chosen(group, part) for part in ("level", "shift")}
    assert np.isfinite(group.noise["level"])
    blind = np.broadcast_to(group.blind, truth.shape)
    assert np.abs(group.predicted() - truth).mean() < 0.5 * np.abs(blind - truth).mean()


def test_features_that_are_not_believed_give_the_mean_answer() -> None:
    group, _ = _followed(tells=False)
    group.noise = {"level": float("inf"), "shift": float("inf")}
    found = group.predicted()
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-12)
    assert found.sum(-1) == pytest.approx(1)
    assert _chosen(group, "level") >= 1.0


def test_questions_of_one_topic_do_not_vouch_for_features_that_tell_nothing_of_another() -> None:
    believed = {1: 0, 4: 0}
    for seed in range(20):
        draw = np.random.default_rng(seed)
        topic = np.arange(N_ASKED + N_UNASKED) // 4  # questions of a topic read alike and answer alike; topics are unlike
        features = draw.normal(size=(topic.max() + 1, 40))[topic] + 0.05 * draw.normal(size=(len(topic), 40))
        shares = _shares(draw.normal(size=topic.max() + 1)[topic])
        for per_topic in believed:
            believed[per_topic] += _chosen(_group(features, shares, per_topic), "level") <= 0.3
    assert believed[1] == 20  # what leaving single questions out would believe
    assert believed[4] <= 10


def test_a_single_topic_gives_no_ground_to_believe_features() -> None:
    features = RANDOM.normal(size=(N_ASKED + N_UNASKED, 3))
    assert np.isinf(_chosen(_group(features, _shares(features[:, 0]), per_topic=N_ASKED), "level"))
