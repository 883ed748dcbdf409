"""Draws of several questions go together as the sampling errors of the same respondents' answers do."""

from __future__ import annotations

import numpy as np
import pytest

import surveysim as ss
from surveysim.synthesis.joint_draws import drawn_together, error_correlation
from surveysim.synthesis.latent_scores import correlations, latent_scores
from tests.synthesis.test_respondents import SURVEY, TRAITS

SHARES = np.array([[[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]], [[0.4, 0.4, 0.2], [0.3, 0.3, 0.4]], [[0.5, 0.2, 0.3], [0.2, 0.2, 0.6]]])
NOMINAL = [False, False, True]


def _apart(number: int = 4000) -> np.ndarray:
    noise = 0.01 * np.random.default_rng(1).standard_normal((number, *SHARES.shape))
    return SHARES + noise - noise.mean(-1, keepdims=True)


def test_errors_of_means_have_the_correlation_and_keep_their_size() -> None:
    apart = _apart()
    together = drawn_together(apart, SHARES, NOMINAL, np.array([[1.0, 0.7], [0.7, 1.0]]))
    means = together @ np.arange(3.0)
    assert np.corrcoef(means[:, 0, 0], means[:, 1, 0])[0, 1] == pytest.approx(0.7, abs=0.03)
    assert np.corrcoef(means[:, 0, 1], means[:, 1, 1])[0, 1] == pytest.approx(0.7, abs=0.03)
    assert means.std(0) == pytest.approx((apart @ np.arange(3.0)).std(0), rel=0.04)
    assert together.sum(-1) == pytest.approx(np.ones(together.shape[:-1]))
    assert (together[:, 2] == apart[:, 2]).all()  # nominal


def test_without_correlation_or_a_second_ordered_question_nothing_moves() -> None:
    apart = _apart(50)
    assert drawn_together(apart, SHARES, NOMINAL, np.eye(2)) == pytest.approx(apart)
    assert drawn_together(apart, SHARES, [False, True, True], np.eye(1)) is apart
    assert drawn_together(apart[:0], SHARES, NOMINAL, np.eye(2)).shape == apart[:0].shape


def test_a_share_that_everybody_has_stays() -> None:
    sure = SHARES.copy()
    sure[0, 0] = [0.0, 1.0, 0.0]
    apart = _apart(50)
    apart[:, 0, 0] = sure[0, 0]
    together = drawn_together(apart, sure, NOMINAL, np.array([[1.0, 0.7], [0.7, 1.0]]))
    assert together[:, 0, 0] == pytest.approx(apart[:, 0, 0])
    assert together[:, 1, 0] == pytest.approx(apart[:, 1, 0])  # nothing to go together with


def test_sampling_errors_go_together_as_far_as_the_same_people_answered() -> None:
    """Of two questions that n respondents answered, and only half of them both, the means' errors correlate half as much as answers do."""
    draw = np.random.default_rng(3)
    first = draw.standard_normal(3000)
    answers = np.stack([first, 0.8 * first + 0.6 * draw.standard_normal(3000)], axis=1)
    places = (answers[..., None] > np.linspace(-1.5, 1.5, 6)).sum(-1)
    places[:1000, 0] = places[2000:, 1] = -1
    shares = np.stack([np.bincount(own[own >= 0], minlength=7) / (own >= 0).sum() for own in places.T])[:, None]
    everybody = np.zeros(3000, dtype=np.int64)
    scores = latent_scores(shares, np.ones((2, 7), dtype=bool), places, everybody, [False, False])
    found = error_correlation(correlations(scores, np.ones(3000)), [False, False])
    whole = places[1000:2000].astype(float)
    assert found[0, 1] == pytest.approx(np.corrcoef(whole.T)[0, 1] / 2, abs=0.02)


def test_a_difference_of_two_answers_is_as_certain_as_in_the_sample() -> None:
    """The same respondents answered both, so that their difference is known better than each alone would say."""
    rows = ss.simulate_respondents(SURVEY, TRAITS, questions=["trust", "taxes"], n=600, m=60, method="mrp", progress=False)
    gaps = [np.average(part.trust - part.taxes, weights=part.weight) for _, part in rows.groupby("synthesis")]
    means = [np.average(part[name], weights=part.weight) for _, part in rows.groupby("synthesis") for name in ("trust", "taxes")]
    apart = np.sqrt(np.array(means).reshape(-1, 2).var(0, ddof=1).sum())
    data = SURVEY.data[["trust", "taxes"]].astype(float)
    direct = (data.trust - data.taxes).std() / np.sqrt(len(data))
    combined = ss.combine_syntheses(gaps).std_error[0]
    assert combined == pytest.approx(direct, rel=0.3)
    assert combined < 0.85 * apart
