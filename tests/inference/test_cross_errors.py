"""Errors of cross-fitted shares: unbiased whatever the size of a fold's cells, and the same as by hand."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.inference.cross_errors import CrossErrors, held_answers

FOLDS = 3
TRUE = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
STATED = np.array([[[0.3, 0.7], [0.3, 0.7], [0.7, 0.3]]])  # (questions, backgrounds, options)


def errors(generator: np.random.Generator, n: int = 24) -> CrossErrors:
    background = np.arange(n) % 3
    choice = (generator.random(n) < TRUE[background, 1]).astype(int)
    fold = generator.permutation(np.arange(n) % FOLDS)
    fits = {((place,), "stated"): STATED for place in range(FOLDS)}
    return CrossErrors([held_answers(0, choice, background, fold, np.ones(n), transform=np.eye(2), share=None)], fits, FOLDS)


def test_the_mean_error_is_the_distance_from_the_population() -> None:
    generator = np.random.default_rng(200)
    found = [errors(generator).error(["stated"] * FOLDS, 24) for _ in range(2000)]
    truth = float(((STATED[0] - TRUE) ** 2).sum(-1).mean())
    values = np.array([value for value, _ in found])
    assert values.mean() == pytest.approx(truth, abs=3 * values.std() / np.sqrt(len(values)))
    stated = np.sqrt(np.mean([24 / 23 * (each**2).sum() for _, each in found]))
    assert values.std() <= stated < 1.6 * values.std()  # a little large: a mean of few answers counts as an answer's own error


def test_an_error_by_hand() -> None:
    """Two backgrounds; in the second nobody of another fold stands beside the one respondent, who is left out."""
    choice, background, fold = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0])
    held = held_answers(0, choice, background, fold, np.array([1.0, 2.0, 1.0, 5.0]), transform=np.eye(2), share=None)
    fits = {((place,), "stated"): STATED[:, :2] for place in range(FOLDS)}
    value, influence = CrossErrors([held], fits, FOLDS).error(["stated"] * FOLDS, 4)
    centre, shares = np.array([1 / 3, 2 / 3]), np.array([0.3, 0.7])
    answers, others = np.eye(2)[[0, 0, 1]], np.array([[2 / 3, 1 / 3], [1 / 2, 1 / 2], [1.0, 0.0]])
    each = [
        float((p * p).sum() - 2 * (p * y).sum() + (m * y).sum())
        for y, m in zip(answers - centre, others - centre, strict=True)
        for p in [shares - centre]
    ]
    assert held.alone == 1
    assert value == pytest.approx((each[0] + 2 * each[1] + each[2]) / 4)
    assert influence.sum() == pytest.approx(0)
    assert influence[3] == 0


def test_backgrounds_count_by_the_shares_given() -> None:
    choice, background, fold = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    held = held_answers(0, choice, background, fold, np.array([1.0, 1.0, 9.0, 9.0]), transform=np.eye(2), share=np.array([0.75, 0.25]))
    assert held.weight.tolist() == pytest.approx([0.375, 0.375, 0.125, 0.125])


def test_more_to_learn_from_is_measured_on_the_same_answers() -> None:
    generator = np.random.default_rng(201)
    found = errors(generator)
    pairs = {((first, second), "stated"): np.full_like(STATED, 0.5) for first in range(FOLDS) for second in range(first + 1, FOLDS)}
    both = CrossErrors(found.answers, {**found.fits, **pairs}, FOLDS)
    halves = CrossErrors(found.answers, {((place,), "half"): np.full_like(STATED, 0.5) for place in range(FOLDS)}, FOLDS)
    gained = halves.error(["half"] * FOLDS, 24)[0] - found.error(["stated"] * FOLDS, 24)[0]
    assert both.learnt("stated") == pytest.approx(gained)
