"""How far backgrounds lie from the sample: in traits, and in levels of nobody."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.backgrounds import traits_from_nearest
from surveysim.simulation.unseen import beyond_training
from surveysim.tables.facts import reach_in_words, table_facts
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_frame

SEEN = ["a=1|b=1|c=1", "a=2|b=2|c=1"]


@pytest.mark.parametrize(
    ("asked", "apart"),
    [("a=1|b=1|c=1", 0), ("a=1|b=2|c=1", 1), ("a=2|b=2|c=9", 1), ("a=1|b=2|c=9", 2), ("a=8|b=8|c=8", 3), ("a=1|b=1", 1)],
)
def test_the_nearest_background_counts(asked: str, apart: int) -> None:
    assert traits_from_nearest([asked], SEEN).tolist() == [apart]
    assert traits_from_nearest([asked], SEEN[::-1]).tolist() == [apart]


def test_nothing_seen_is_as_far_as_there_are_traits() -> None:
    assert traits_from_nearest(["a=1|b=1", "a=1"], []).tolist() == [2, 1]
    assert beyond_training([], SEEN) == {"backgrounds": 0, "of": 0, "levels": {}, "traits_apart": 0, "traits": 0}


def test_levels_of_nobody_are_named_by_trait() -> None:
    found = beyond_training([*SEEN, "a=1|b=3|c=9", "a=2|b=3|c=1"], SEEN)
    assert found == {"backgrounds": 2, "of": 4, "levels": {"b": ["3"], "c": ["9"]}, "traits_apart": 2, "traits": 3}
    assert reach_in_words(found) == (
        "2 of 4 backgrounds, at most 2 of 3 traits from the nearest one sampled; levels of nobody in the sample: b=3, c=9"
    )
    assert reach_in_words(beyond_training(SEEN, SEEN)) == ""


def test_a_simulated_table_says_what_was_never_sampled() -> None:
    frame = opinion_frame()
    young = frame[(frame["age"] < 2) & ~((frame["age"] == 0) & (frame["gender"] == 1))]
    table = ss.simulate(young, TRAITS, codebook=opinion_codebook(), method="mrp")
    assert table.attrs["beyond_training"] == {"backgrounds": 3, "of": 6, "levels": {"age": ["old"]}, "traits_apart": 1, "traits": 2}
    unsampled = table.groupby("background_id").n.max().eq(0)
    assert unsampled.sum() == 3
    assert table_facts(table)["never sampled"].startswith("3 of 6 backgrounds, at most 1 of 2 traits")
    assert "age=old" in repr(ss.show(table))


def test_where_all_were_sampled_nothing_is_said() -> None:
    table = ss.simulate(opinion_frame(), TRAITS, codebook=opinion_codebook(), method="mrp")
    assert table_facts(table)["never sampled"] == ""
    assert "never sampled" not in repr(ss.show(table))


def test_levels_that_nobody_has_do_not_fill_a_grid_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    survey = ss.load_example("nonvoters2020")
    women = survey.take((survey.data.gender == "female").to_numpy())
    ss.simulate(women, ["gender"], questions="Q8_8", method="ridge")
    assert "no respondent has these levels, and 1 of 2 backgrounds were never sampled: gender: male" in caplog.text
    assert "observed_backgrounds(survey, by=['gender']) is one of those sampled" in caplog.text
    caplog.clear()
    ss.simulate(women, ss.background_grid(survey.codebook, by="gender"), questions="Q8_8", method="ridge")
    assert "1 of 2 backgrounds were never sampled: gender: male" in caplog.text, "a grid is as good as its traits' names"
    caplog.clear()
    ss.simulate(women, pd.DataFrame({"gender": ["male"]}), questions="Q8_8", method="ridge")
    assert caplog.text == ""


def test_a_comparison_of_methods_does_not_repeat_it(caplog: pytest.LogCaptureFixture) -> None:
    survey = ss.load_example("nonvoters2020")
    methods = ["ridge", "mrp"]
    held: dict[str, Any] = {"split": "levels", "held": {"gender": ["male"]}}
    ss.compare_methods(survey, by="gender", methods=methods, questions="Q8_8", train_n=200, seeds=1, progress=False, **held)
    assert "never sampled" not in caplog.text
    train, _ = ss.hold_out_respondents(survey.take((survey.data.gender == "female").to_numpy()), n_train=200, seed=0)
    ss.choose_method(train, ["gender"], methods=methods, questions="Q8_8", progress=False)
    assert "never sampled" not in caplog.text
    ss.simulate(train, ["gender"], questions="Q8_8", method="ridge")
    assert "gender: male" in caplog.text, "on its own, each says it"
