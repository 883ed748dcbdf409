"""The expected error of more respondents: the rank-one updates are the whole posterior, and dealing out comes near the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import surveysim as ss
from surveysim.baselines.fitting import training_cells, what_is_open
from surveysim.baselines.knowledge import knowledge_of
from surveysim.inference.expected_error import TARGETS, ExpectedError, deal_out, expected_error
from tests.support.small_surveys import small_survey

BY = ["age", "gender", "region"]


def of_survey(target: str = "backgrounds", prior: object = None) -> ExpectedError:
    survey = small_survey(n=200)
    sample, grid = ss.response_distributions(survey, by=BY), ss.background_grid(survey.codebook, by=BY)
    laid = training_cells(sample, grid, ordinal=["q1"], knowledge=knowledge_of(survey.codebook, BY))
    share = np.arange(1.0, 13.0) / 78
    return expected_error(laid, what_is_open(laid, laid.kernels()), respondents=200, share=share, target=target)


@pytest.mark.parametrize("target", TARGETS)
def test_one_more_at_a_time_is_all_at_once(target: str) -> None:
    error = of_survey(target)
    step = error.with_more(3, 2).with_more(7, 5).with_more(3, 1)
    whole = error.after(np.bincount([3, 3, 3, 7, 7, 7, 7, 7], minlength=12))
    np.testing.assert_allclose(step.covariance, whole.covariance, atol=1e-12)
    assert step.value == pytest.approx(whole.value, rel=1e-9)
    assert step.value < error.value


@pytest.mark.parametrize("target", TARGETS)
def test_gains_are_what_the_squared_error_falls_by(target: str) -> None:
    error = of_survey(target)
    fallen = [error.value**2 - error.with_more(place, 3).value ** 2 for place in range(12)]
    np.testing.assert_allclose(error.gains(3), fallen, rtol=1e-6)


def test_the_error_of_all_backgrounds_is_the_mean_of_each_ones() -> None:
    assert of_survey("backgrounds").value ** 2 == pytest.approx(float((of_survey().std_errors ** 2).mean()))
    share = np.arange(1.0, 13.0) / 78
    assert of_survey("population").value ** 2 == pytest.approx(float(share @ of_survey().std_errors ** 2))


def test_the_error_so_far_is_that_which_the_estimate_states() -> None:
    survey = small_survey(n=200)
    table = ss.simulate(survey, BY, method="mrp", progress=False)
    stated = table.assign(square=table["std_error"] ** 2).groupby("question_id")["square"].mean().mean()
    assert of_survey().value == pytest.approx(float(np.sqrt(stated)), rel=0.1)  # to first order alike, not by one formula


def test_independent_backgrounds_are_dealt_out_in_proportion_to_their_spread() -> None:
    """Neyman: with one row, no pooling and next to no prior, numbers go as the standard deviations."""
    spread = np.array([1.0, 2.0, 3.0])
    error = ExpectedError(1e6 * np.eye(3)[None], 1 / spread[None] ** 2, np.ones((1, 3)), np.ones(3), None, np.arange(3))
    *_, (dealt, _) = deal_out(error, cost=np.ones(3), room=np.full(3, np.inf), budget=600)
    np.testing.assert_allclose(dealt, 600 * spread / spread.sum(), atol=1)
    cost = np.array([1.0, 4.0, 1.0])  # with costs: as the standard deviations over the roots of the costs
    *_, (dealt, _) = deal_out(error, cost=cost, room=np.full(3, np.inf), budget=600)
    ideal = spread / np.sqrt(cost)
    np.testing.assert_allclose(dealt, 600 * ideal / (ideal @ cost), atol=2)


@pytest.mark.parametrize("target", TARGETS)
def test_dealing_out_comes_near_the_continuous_optimum(target: str) -> None:
    error, number = of_survey(target), 120
    *_, (dealt, after) = deal_out(error, cost=np.ones(12), room=np.full(12, np.inf), budget=number)
    assert dealt.sum() == number
    loss = lambda numbers: 1e3 * error.after(np.clip(numbers, 0, None)).value  # noqa: E731
    simplex = {"type": "eq", "fun": lambda numbers: numbers.sum() - number}
    best = minimize(loss, np.full(12, number / 12), bounds=[(0, number)] * 12, constraints=simplex, method="SLSQP")
    assert best.success
    assert after.value <= 1.001 * best.fun / 1e3
    assert after.value < error.after(np.full(12, number / 12)).value


def test_no_background_is_dealt_more_than_there_are() -> None:
    room = np.r_[np.zeros(6), np.full(6, 4.0)]
    *_, (dealt, _) = deal_out(of_survey(), cost=np.ones(12), room=room, budget=100, step=3)
    assert dealt.tolist() == room.tolist()
