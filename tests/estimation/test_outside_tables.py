"""Tables of any simulator become distributions tables, and every verb takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.errors import ArgumentError, SurveySimError, TableError
from tests.support.small_surveys import LEVELS, small_codebook, small_frame, small_survey

BOOK = small_codebook()
TRUTH = ss.response_distributions(small_survey(n=2000), by=["age", "gender"])
LONG = pd.DataFrame(
    {
        "gender": ["female"] * 4 + ["male"] * 2,
        "question_id": "q1",
        "option_code": ["none", "little", "some", "much", "some", "much"],
        "share": [0.1, 0.2, 0.3, 0.4, 0.5, 0.5],
    }
)


def _read(frame: pd.DataFrame = LONG, **changed: Any) -> pd.DataFrame:
    return ss.as_distributions(frame, BOOK, **{"by": "gender", "shares": "share", **changed})


def test_our_own_table_comes_back_unchanged() -> None:
    found = ss.as_distributions(TRUTH, BOOK, shares="share", simulated=False)
    numbers = ["share", "std_error", "n", "n_eff"]
    pd.testing.assert_frame_equal(
        found.drop(columns=["conf_low", "conf_high"]), TRUTH.drop(columns=["conf_low", "conf_high", "largest_weight"])
    )
    assert found.attrs["simulated"] is False
    assert found.attrs["n_of"] == "respondents"
    assert len(numbers) == 4
    split = ss.split_background(TRUTH)
    again = ss.as_distributions(split.sample(frac=1, random_state=0), BOOK, by=["age", "gender"], shares="share", simulated=False)
    keys = ["question_id", "background_id", "option_order"]
    pd.testing.assert_frame_equal(
        again.sort_values(keys, ignore_index=True)[[*keys, *numbers]], TRUTH.sort_values(keys, ignore_index=True)[[*keys, *numbers]]
    )


def test_options_that_are_lacking_get_a_share_of_nothing_and_are_counted() -> None:
    table = _read()
    assert table[table.background_id == "gender=male"].share.tolist() == [0, 0, 0.5, 0.5]
    assert table.option_code.tolist() == [0, 1, 2, 3] * 2
    assert table.attrs["options_filled"] == 2
    assert table.attrs["cells_scaled"] == 0


def test_a_table_without_n_states_no_error() -> None:
    table = _read(source="gpt")
    assert (table.n == 0).all()
    assert (table.n_eff == 0).all()
    assert table[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    assert table.attrs["n_stated"] is False
    assert table.attrs["simulated"] is True
    view = ss.show(table)
    assert view.heading.startswith("SIMULATED (gpt)")
    assert "n" in view.facts["not recorded"].split(", ")


def test_rounded_shares_are_scaled_within_the_tolerance_stated() -> None:
    rounded = LONG.assign(share=[0.1, 0.2, 0.3, 0.408, 0.5, 0.5])
    with pytest.raises(TableError, match=r"must sum to 1 within tolerance=0.001; not so in q1 / gender=female \(1.008\)"):
        _read(rounded)
    table = _read(rounded, tolerance=0.01)
    np.testing.assert_allclose(table.share[3], 0.408 / 1.008)
    assert table.attrs["cells_scaled"] == 1
    assert table.attrs["largest_gap"] == pytest.approx(0.008)


def test_stated_sizes_give_a_standard_error_and_stated_errors_are_kept() -> None:
    sized = _read(LONG.assign(n=101))
    np.testing.assert_allclose(sized.std_error, np.sqrt(sized.share * (1 - sized.share) / 100))
    assert (sized.n == 101).all()
    assert (sized.n_eff == 101).all()
    assert ((sized.conf_low <= sized.share) & (sized.share <= sized.conf_high)).all()
    stated = _read(LONG.assign(n=101, n_eff=50.5, std_error=0.03))
    assert (stated.n == 101).all()
    assert (stated.n_eff == 50.5).all()
    assert stated.std_error[:4].tolist() == [0.03] * 4
    assert stated.std_error[4:6].isna().all()
    without = _read(LONG.assign(std_error=0.03))
    assert (without.n == 0).all()
    assert without.attrs["n_stated"] is False
    assert without.conf_low[0] == pytest.approx(0.055, abs=1e-3)


def test_counts_are_divided_and_added_up() -> None:
    table = _read(LONG.assign(count=[1, 2, 3, 4, 0, 7]), shares=None, counts="count")
    np.testing.assert_allclose(table.share, [0.1, 0.2, 0.3, 0.4, 0, 0, 0, 1])
    assert table.n.tolist() == [10] * 4 + [7] * 4
    assert table.attrs["n_of"] == "answers drawn"
    assert ss.show(table).facts["n"] == "7 to 10 answers drawn a cell"
    with pytest.raises(TableError, match=r"counts: a cell needs at least one answer; not so in q1 / gender=male"):
        _read(LONG.assign(count=[1, 2, 3, 4, 0, 0]), shares=None, counts="count")


def test_log_probabilities_are_scaled_over_the_options() -> None:
    logs = np.log([0.05, 0.1, 0.15, 0.2, 0.4, 0.4]) - np.array([0] * 4 + [900] * 2)
    table = _read(LONG.assign(lp=logs), shares=None, logprobs="lp")
    np.testing.assert_allclose(table.share, [0.1, 0.2, 0.3, 0.4, 0, 0, 0.5, 0.5])
    assert table.attrs["smallest_mass"] < 1e-300
    assert table.attrs["cells_scaled"] == 2
    with pytest.raises(TableError, match=r"sum to at most 1; not so in q1 / gender=female \(4\).*of logits"):
        _read(LONG.assign(lp=0.0), shares=None, logprobs="lp")
    with pytest.raises(TableError, match="one option needs a probability above 0; not so in q1 / gender=female"):
        _read(LONG.assign(lp=-np.inf), shares=None, logprobs="lp")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_answers_counts_and_shares_of_the_same_answers_agree(seed: int, n: int) -> None:
    people = small_frame(seed, n + 20).query("q1 < 4")
    names = {name: [LEVELS[name][place] for place in people[name]] for name in ("age", "gender")}
    frame = pd.DataFrame(names).assign(q1=people["q1"].to_numpy())
    drawn = ss.as_distributions(frame, BOOK, by=["age", "gender"], answers=["q1"])
    counted = frame.value_counts().rename("count").reset_index()
    from_counts = ss.as_distributions(counted, BOOK, by=["age", "gender"], counts="count", option="q1", question="q1")
    keys = ["background_id", "option_order"]
    pd.testing.assert_frame_equal(drawn.sort_values(keys, ignore_index=True), from_counts.sort_values(keys, ignore_index=True))
    assert drawn.groupby("background_id").share.sum().to_numpy() == pytest.approx(1)
    assert drawn.drop_duplicates("background_id").n.sum() == len(frame)


def test_drawn_answers_equal_the_unweighted_survey() -> None:
    survey = small_survey(n=500)
    answers = survey.data.loc[survey.reasons["q1"].isna(), ["age", "gender", "q1"]]
    drawn = ss.as_distributions(answers, BOOK, by=["age", "gender"], answers=["q1"])
    direct = ss.response_distributions(ss.as_survey(small_frame(n=500).assign(w=1.0), BOOK), by=["age", "gender"], questions="q1")
    both = drawn.merge(direct, on=["background_id", "option_code"])
    np.testing.assert_allclose(both.share_x, both.share_y)
    assert (both.n_x == both.n_y).all()
    assert len(both) == 16
    np.testing.assert_allclose(
        both.std_error_x, both.std_error_y, rtol=0.01
    )  # domains of one sample have a factor n / (n - 1) of their own


def test_refusals_of_a_model_fail_or_are_left_out_and_counted() -> None:
    replies = pd.DataFrame({"reply": ["None", "little", "As an AI I cannot say", None, "8", "noone"], "gender": "female"})
    with pytest.raises(TableError, match=r"option 'As an AI I cannot say', None, '8', 'noone' \(4 rows\).*unmatched='drop'"):
        _read(replies, shares=None, answers="reply", question="q1")
    table = _read(replies, shares=None, answers="reply", question="q1", unmatched="drop")
    assert table.share.tolist() == [0.5, 0.5, 0, 0]
    assert table.attrs["answers_left_out"] == 4
    assert (table.n == 2).all()
    with pytest.raises(TableError, match=r"has no option 8 \(a missing code: dont_know\) \(1 row\)"):
        _read(pd.DataFrame({"reply": [8], "gender": "male"}), shares=None, answers="reply", question="q1")
    with pytest.raises(TableError, match="none of the 2 answers is an option"):
        _read(replies.iloc[2:4], shares=None, answers="reply", question="q1", unmatched="drop")


def test_persons_with_a_column_a_question_as_edsl_returns_them() -> None:
    frame = pd.DataFrame(
        {"agent.gender": ["Female", "Female", "Male"], "answer.q0": ["Some", "Much", "None"], "answer.vote": ["Yes", "No", "No"]}
    )
    table = ss.as_distributions(frame, BOOK, by={"agent.gender": "gender"}, answers={"answer.q0": "q1", "answer.vote": "q2"}, source="edsl")
    assert table.groupby("question_id").size().to_dict() == {"q1": 8, "q2": 4}
    women = table[(table.background_id == "gender=female") & (table.question_id == "q2")]
    assert women.share.tolist() == [0.5, 0.5]
    assert women.n.tolist() == [2, 2]
    assert table.option_code.tolist()[-4:] == ["yes", "no", "yes", "no"]


def test_several_simulators_in_a_source_column() -> None:
    table = _read(pd.concat([LONG.assign(source="a"), LONG.assign(source="b")]))
    assert table.source.unique().tolist() == ["a", "b"]
    assert table.attrs["method"] == "a, b"
    scores = ss.evaluate(table, _read(simulated=False), codebook=BOOK, by="source")
    assert (scores.estimate == 0).all()
    assert len(scores) == 8
    assert (scores.weight == 1).all()
    assert scores.std_error.isna().all()


def test_popfidelity_cells_are_read_back(tmp_path: Path) -> None:
    path = ss.export_popfidelity(TRUTH, tmp_path / "cells.csv", codebook=BOOK)
    long = pd.read_csv(path)
    table = ss.as_distributions(
        long, BOOK, by={"cell_id": "background_id"}, shares="share", question="question", option="option", simulated=False
    )
    pd.testing.assert_frame_equal(
        table[["question_id", "background_id", "option_code", "share", "n", "source"]],
        TRUTH[["question_id", "background_id", "option_code", "share", "n", "source"]],
    )


def test_it_is_scored_post_stratified_and_drawn_like_everything_else() -> None:
    frame = ss.split_background(TRUTH)[["age", "gender", "question_id", "option_code", "share"]]
    table = ss.as_distributions(frame, BOOK, by=["age", "gender"], shares="share", source="api")
    assert ss.summarise_scores(ss.evaluate(table, TRUTH, codebook=BOOK)).estimate.max() == pytest.approx(0, abs=1e-12)
    total = ss.poststratify(table, small_survey(n=2000))
    direct = ss.poststratify(TRUTH, small_survey(n=2000))
    np.testing.assert_allclose(total.share, direct.share)
    assert total.std_error.isna().all()
    assert (total.n == 0).all()
    assert total.attrs["simulated"] is True
    drawn = ss.plot_distributions(ss.stack([table, TRUTH]), question="q1", codebook=BOOK, draw=False)
    assert set(drawn.source) == {"api", "survey"}


BAD: list[tuple[pd.DataFrame, dict[str, Any], str]] = [
    (LONG, {"shares": None}, r"give one of shares=, counts=, logprobs=, answers=, .*; got none of them"),
    (LONG, {"counts": "share"}, "got shares and counts"),
    (LONG.assign(share=LONG.share * 100), {}, r"shares must sum to 1 .*\(100\).*these look like percentages: divide by 100"),
    (LONG.assign(share=LONG.share / 2), {}, r"not so in q1 / gender=female \(0.5\), q1 / gender=male \(0.5\); complete them"),
    (LONG.assign(option_code="little"), {}, "shares: 4 rows repeat a question / background / option: q1 / gender=female / little"),
    (LONG.replace("much", "a lot"), {}, r"shares: question 'q1' has no option 'a lot' \(2 rows\);.*; rename it, or leave the row out"),
    (LONG.replace("little", "litle"), {}, "did you mean 'little'"),
    (LONG.assign(option_code=[0, 1, 2, 9, 2, 3]), {}, r"has no option 9 \(1 row\)"),
    (LONG.assign(n=[1, 1, 1, 2, 5, 5]), {}, "n differs between the options of q1 / gender=female; give one a cell"),
    (LONG, {"tolerance": 0.5}, "tolerance: how far the shares of a cell may miss 1, from 0 to 0.1; got 0.5"),
    (LONG, {"unmatched": "ignore"}, "unmatched must be 'fail' or 'drop'; got 'ignore'"),
]


@pytest.mark.parametrize(("frame", "changed", "message"), BAD, ids=[message[:40] for *_, message in BAD])
def test_what_breaks_a_rule_says_which(frame: pd.DataFrame, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        _read(frame, **changed)


def test_a_tolerance_is_a_number() -> None:
    with pytest.raises(ArgumentError, match=r"tolerance must be a number; got str 'wide'; its default is 0\.001"):
        _read(LONG, tolerance="wide")


def test_what_is_no_codebook_is_named() -> None:
    with pytest.raises(SurveySimError, match="a Codebook or a Survey; got NoneType"):
        ss.as_distributions(LONG, None, by="gender", shares="share")  # type: ignore[arg-type]
