"""A plan of the next respondents: it adds up, keeps to limits and costs, and goes where least is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import surveysim as ss
from surveysim.errors import ArgumentError, EstimationError
from tests.support.small_surveys import small_survey

BY = ["age", "gender", "region"]
SURVEY = small_survey(n=200)
GRID = ss.background_grid(SURVEY.codebook, by=BY)
IDS = GRID["background_id"].tolist()
COSTS = dict.fromkeys(IDS, 1.0)


def planned(**chosen: Any) -> ss.SamplePlan:
    return ss.plan_sample(SURVEY, BY, **{"more": 60, "method": "mrp", **chosen})


def test_a_plan_adds_up_and_is_the_same_each_time() -> None:
    plan = planned()
    assert plan.allocation["background_id"].tolist() == IDS
    assert plan.allocation["n"].sum() == 200
    assert plan.allocation[["n_more", "n_proportional"]].sum().tolist() == [60, 60]
    assert plan.allocation["std_error_after"].lt(plan.allocation["std_error"]).all()
    assert plan.curve["n_more"].is_monotonic_increasing
    assert plan.curve["expected_error"].is_monotonic_decreasing
    assert (plan.curve["expected_error"] <= plan.curve["expected_error_proportional"] + 1e-12).all()
    again = planned()
    assert again.allocation.equals(plan.allocation)
    assert again.curve.equals(plan.curve)


def test_a_plan_cut_short_is_the_plan_for_fewer() -> None:
    long, short = planned(more=60).curve, planned(more=30).curve
    assert long.loc[long["n_more"] == 30, "expected_error"].item() == pytest.approx(short["expected_error"].iloc[-1])


def test_whoever_was_never_asked_comes_first() -> None:
    kept = SURVEY.take(np.flatnonzero(SURVEY.data["region"] != "west"))
    plan = ss.plan_sample(kept, GRID[BY], more=30, method="mrp").allocation.set_index("background_id")
    west = [name for name in IDS if "region=west" in name]
    assert plan.loc[west, "n"].sum() == plan.loc[west, "n_proportional"].sum() == 0
    assert plan.loc[west, "n_more"].sum() > 20
    share = GRID[BY].assign(population_share=1 / 12)
    even = ss.plan_sample(kept, share, more=36, method="mrp").allocation.set_index("background_id")
    assert even["n_proportional"].tolist() == [3] * 12


def test_costs_move_respondents_and_are_kept_to() -> None:
    dear = COSTS | dict.fromkeys(IDS[:6], 4.0)
    plan, plain = planned(costs=dear), planned()
    assert plan.allocation["n_more"][:6].sum() < plain.allocation["n_more"][:6].sum()
    budget = float(plain.allocation["n_proportional"] @ np.array(list(dear.values())))
    assert budget - 1 < plan.allocation["cost"].sum() <= budget
    assert plan.curve["expected_error"].iloc[-1] < plan.curve["expected_error_proportional"].iloc[-1]
    doubled = planned(costs={name: 2 * cost for name, cost in dear.items()})
    assert doubled.allocation["n_more"].equals(plan.allocation["n_more"])


def test_nobody_is_planned_beyond_those_available() -> None:
    plan = planned(available=dict.fromkeys(IDS[:11], 3), more=60).allocation
    assert plan["n_more"].tolist() == plan["n_proportional"].tolist() == [*[3] * 11, 27]


def test_a_target_is_served_best_by_its_own_plan() -> None:
    shares = np.where(np.arange(12) < 2, 0.4, 0.02)
    grid = GRID[BY].assign(population_share=shares)
    plans = {name: ss.plan_sample(SURVEY, grid, more=60, method="mrp", target=name).allocation for name in ("backgrounds", "population")}
    assert plans["population"]["n_more"][:2].sum() > plans["backgrounds"]["n_more"][:2].sum()
    errors = {name: plan["std_error_after"].to_numpy() ** 2 for name, plan in plans.items()}
    assert shares @ errors["population"] < shares @ errors["backgrounds"]
    assert errors["backgrounds"].mean() < errors["population"].mean()
    total = ss.plan_sample(SURVEY, grid, more=60, method="mrp", target="total")
    assert total.curve["expected_error"].iloc[-1] < plans["backgrounds"]["std_error_after"].min()


def test_a_prior_leaves_less_to_ask() -> None:
    wave = small_survey(seed=1, n=2000)
    before = planned(prior=wave, method="low_rank").curve["expected_error"]
    assert before[0] < planned(method="low_rank").curve["expected_error"].iloc[-1]


@pytest.mark.parametrize("misleading", [False, True])
def test_a_prior_of_no_use_is_warned_of(misleading: bool, caplog: pytest.LogCaptureFixture) -> None:
    survey = small_survey(n=2000)
    wave = ss.response_distributions(small_survey(seed=1, n=2000), by=BY)
    if misleading:
        other = dict(zip(IDS, np.random.default_rng(4).permutation(IDS), strict=True))
        wave = wave.assign(background_id=wave["background_id"].map(other))
    ss.plan_sample(survey, BY, more=60, method="mrp", prior=wave)
    assert ("misleads" in caplog.text) == misleading


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"more": 0}, "more must be a whole number of respondents, at least 1; got 0"),
        ({"more": -5}, "at least 1; got -5"),
        ({"more": True}, "at least 1; got True"),
        ({"method": "mpr"}, "method: 'mpr' cannot be planned for; did you mean 'mrp'"),
        ({"method": "ridge"}, "'ridge' cannot be planned for"),
        ({"target": "totals"}, "target: 'totals' cannot be planned for; did you mean 'total'"),
        ({"costs": {IDS[0]: 1.0}}, f"costs: background {IDS[1]}"),
        ({"costs": COSTS | {IDS[2]: 0.0}}, r"costs must be above 0 and finite; .* \(0.0\) is not"),
        ({"costs": COSTS | {IDS[2]: float("nan")}}, r"above 0 and finite; .* \(nan\)"),
        ({"costs": COSTS | {IDS[2]: "dear"}}, r"costs must be numbers; .*'dear'"),
        ({"costs": COSTS | {"age=odd": 1.0}}, "costs: age=odd is none of the backgrounds"),
        ({"available": {"age=odd": 1}}, "available: age=odd is none of the backgrounds"),
        ({"available": {IDS[0]: 1.5}}, r"available must be whole numbers of respondents, 0 or more; .* \(1.5\) is not"),
        ({"available": dict.fromkeys(IDS, 4)}, "available: 48 respondents in all, and more=60; plan for at most so many"),
        ({"model": object()}, "model: method 'mrp' uses no language model"),
    ],
)
def test_bad_input_says_what_is_wrong(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(EstimationError, match=said):
        planned(**chosen)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"more": 2.5}, "more must be a whole number; got float 2.5"),
        ({"costs": 3}, "costs must be a mapping of names to numbers; got int 3"),
    ],
)
def test_arguments_of_another_kind_are_refused(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        planned(**chosen)


def test_unknown_backgrounds_and_questions_are_refused() -> None:
    with pytest.raises(ss.SurveySimError, match="no level"):
        ss.plan_sample(SURVEY, GRID[BY].assign(age="older"), more=10)
    with pytest.raises(ss.SurveySimError, match="q3"):
        planned(questions=["q3"])
    kept = SURVEY.take(np.flatnonzero(SURVEY.data["region"] != "west"))
    with pytest.raises(EstimationError, match="nobody was sampled in them; give population_share"):
        ss.plan_sample(kept, GRID.loc[GRID["region"] == "west", BY], more=10)
