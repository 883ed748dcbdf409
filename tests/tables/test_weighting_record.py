"""No weight is applied twice: shown by numbers through the whole line, and kept on record in every table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from surveysim.tables.weighting_record import described, weighted_across
from tests.support.small_surveys import small_codebook, small_frame

BY = ["age", "gender"]
GRID = ss.background_grid(small_codebook(), by=BY)


def line(survey: ss.Survey, truth: ss.Survey) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training targets, a method, post-stratification, and an evaluation with cells weighted: every place that a weight enters."""
    targets = ss.response_distributions(survey, by=BY, questions=["q1"])
    simulated = ss.estimate_baseline(targets, GRID, method="raw", ordinal=["q1"])
    total = ss.poststratify(simulated, survey)
    cells = ss.observed_backgrounds(truth, by=BY)
    scores = ss.evaluate(simulated, ss.response_distributions(truth, by=BY, questions=["q1"]), ordinal=["q1"], weights=cells)
    return total, ss.summarise_scores(scores)


def surveys(power: float = 1.0) -> tuple[ss.Survey, ss.Survey, ss.Survey, ss.Survey]:
    """Respondents with weights of 1 to 4 to the given power, and the same respondents repeated so many times without weights."""
    frames = [small_frame(seed, n=300).assign(w=lambda f: 1 + f.index % 4) for seed in (0, 1)]
    for frame in frames:  # the weight must matter
        frame.loc[frame["w"] > 2, "q1"] = frame.loc[frame["w"] > 2, "q1"].clip(lower=2)
    repeated = [frame.loc[frame.index.repeat(frame["w"])].assign(w=1.0).reset_index(drop=True) for frame in frames]
    weighted = [frame.assign(w=frame["w"].astype(float) ** power) for frame in frames]
    one, two, three, four = (ss.as_survey(frame, small_codebook()) for frame in (*weighted, *repeated))
    return one, two, three, four


def test_weights_count_once_from_targets_to_scores() -> None:
    """A weight of 3 is worth three respondents, in the total and in the score alike; squared weights would not be."""
    train, truth, train_repeated, truth_repeated = surveys()
    for ours, theirs, columns in zip(line(train, truth), line(train_repeated, truth_repeated), (["share"], ["estimate"]), strict=True):
        np.testing.assert_allclose(ours[columns], theirs[columns], rtol=1e-9)


def test_weights_applied_twice_would_show() -> None:
    """The same comparison with squared weights, what applying them twice comes to, is far off: the test above can fail."""
    train, truth, train_repeated, truth_repeated = surveys(power=2)
    total, repeated = line(train, truth)[0], line(train_repeated, truth_repeated)[0]
    assert np.abs(total["share"] - repeated["share"]).max() > 0.02


def test_a_table_summed_over_a_trait_is_not_weighted_by_it_again() -> None:
    train = surveys()[0]
    total = ss.poststratify(ss.response_distributions(train, by=BY, questions=["q1"]), train)
    back = total.assign(background_id="age=old|gender=male")
    with pytest.raises(TableError, match=r"weighted across age, gender before, by 'self-post-stratified: w'.*apply the population twice"):
        ss.poststratify(back.iloc[:4], pd.DataFrame({"age": ["old"], "gender": ["male"], "count": [1]}))


def test_an_evaluation_says_its_weights_and_refuses_a_second_round() -> None:
    train, truth, *_ = surveys()
    cells, reference = (ss.response_distributions(part, by=BY, questions=["q1"]) for part in (train, truth))
    people = ss.observed_backgrounds(truth, by=BY)
    scores = ss.evaluate(cells, reference, ordinal=["q1"], weights=people)
    assert ss.weights_applied(scores).to_numpy().tolist() == [["within cells", "", "w"], ["across cells", "age|gender", "w"]]
    half = ss.poststratify(cells, people, by=["age"])
    again = ss.evaluate(half, ss.poststratify(reference, people, by=["age"]), ordinal=["q1"])
    assert ss.weights_applied(again)["traits"].tolist() == ["", "gender", "age"]
    cells.attrs = ss.poststratify(cells, people).attrs
    with pytest.raises(TableError, match="apply the population twice"):
        ss.evaluate(cells, reference, ordinal=["q1"], weights=people)


def test_joint_shares_cannot_pass_for_shares_of_a_cell() -> None:
    """Shares that were multiplied by the cell's population share sum to less than 1, and every verb refuses them."""
    train = surveys()[0]
    cells = ss.response_distributions(train, by=BY, questions=["q1"])
    people = ss.observed_backgrounds(train, by=BY)
    part = cells["background_id"].map(people.set_index("background_id")["population_share"])
    with pytest.raises(TableError, match="the shares of a cell must sum to 1"):
        ss.poststratify(cells.assign(share=cells["share"] * part), people)


def test_simulated_tables_carry_the_weight_of_their_targets() -> None:
    train = surveys()[0]
    simulated = ss.simulate(train, GRID, questions=["q1"], method="raw")
    total = ss.poststratify(simulated, train)
    assert ss.weights_applied(total)["weight"].tolist() == ["w", "self-post-stratified: w"]
    assert total.attrs["simulated"] is True


def test_a_lost_record_is_said_to_be_lost() -> None:
    cells = ss.response_distributions(surveys()[0], by=BY, questions=["q1"])
    merged = cells.merge(GRID[["background_id"]], on="background_id")
    merged.attrs = {}
    assert ss.weights_applied(merged).to_numpy().tolist() == [["within cells", "", "not recorded"]]


def test_steps_are_added_and_never_dropped() -> None:
    cells = ss.response_distributions(surveys()[0], by=BY, questions=["q1"])
    once = weighted_across(cells, ["gender"], "census")
    cells.attrs = once
    twice = weighted_across(cells, ["age"], "census")
    assert [step["traits"] for step in twice["weights_applied"]] == [[], ["gender"], ["age"]]
    assert described(cells) == once
    assert weighted_across(cells, [], "census") == once, "nothing summed over is no step"
