"""Joint shares and their intervals, option names, and the order of backgrounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.backgrounds import ordered_backgrounds
from surveysim.codebook.codebook import Option
from surveysim.errors import CodebookError, TableError
from surveysim.estimation.joint_shares import joint_shares
from surveysim.figures.rows import Scale, options_label, question_rows, scale_of, shown_options
from surveysim.tables.intervals import share_intervals
from tests.support.small_surveys import small_codebook, small_frame

BY = ["age", "gender"]


def halves(frame: pd.DataFrame, *, weight: str | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Distributions of `q1`, and of `q1` recoded to its two halves (codes 0 and 2)."""
    book = small_codebook()
    two = replace(book.question("q1"), options=(Option(0, "low"), Option(2, "high")))
    recoded = frame.assign(q1=frame["q1"].replace({1: 0, 3: 2}))
    halved = replace(book, questions={**book.questions, "q1": two})
    surveys = [ss.as_survey(frame, book, weight=weight), ss.as_survey(recoded, halved, weight=weight)]
    whole, half = (ss.response_distributions(survey, by=BY, questions=["q1"]) for survey in surveys)
    return whole, half[half.option_code == 0].set_index("background_id")


def test_joint_shares_of_a_simple_random_sample_are_those_of_the_recoded_question() -> None:
    whole, half = halves(small_frame(n=300), weight="none")
    joint = joint_shares(whole, [0, 1]).set_index("background_id")
    for column in ("share", "std_error", "conf_low", "conf_high", "n", "n_eff"):
        np.testing.assert_allclose(joint[column], half[column].reindex(joint.index), rtol=1e-9, err_msg=column)


def test_joint_shares_of_a_weighted_sample_have_nearly_the_right_error() -> None:
    whole, half = halves(small_frame(n=2000), weight="w")
    joint = joint_shares(whole, [0, 1]).set_index("background_id")
    np.testing.assert_allclose(joint.share, half.share.reindex(joint.index), rtol=1e-9)
    np.testing.assert_allclose(joint.std_error, half.std_error.reindex(joint.index), rtol=0.05)
    np.testing.assert_allclose(joint.conf_high, half.conf_high.reindex(joint.index), atol=0.01)


def test_a_single_option_keeps_what_the_table_says() -> None:
    whole, _ = halves(small_frame(n=300), weight="w")
    joint = joint_shares(whole, [2]).set_index("background_id")
    own = whole[whole.option_code == 2].set_index("background_id").reindex(joint.index)
    for column in ("share", "std_error", "conf_low", "conf_high"):
        np.testing.assert_array_equal(joint[column], own[column])


def cell(shares: list[float], **columns: object) -> pd.DataFrame:
    places = range(len(shares))
    base = {"question_id": "q", "background_id": "all", "option_code": places, "option_order": places, "share": shares, "source": "s"}
    return pd.DataFrame({**base, **columns})


def test_a_cell_that_agrees_has_the_interval_of_clopper_and_pearson() -> None:
    table = cell([0.5, 0.5, 0.0], std_error=[0.2, 0.2, 0.0], conf_low=[0.2, 0.2, 0.0], conf_high=[0.8, 0.8, 0.4], n=5, n_eff=5.0)
    joint = joint_shares(table, [0, 1]).iloc[0]
    low, high = share_intervals(np.array([[1.0]]), np.zeros((1, 1)), np.array([4.0]), np.array([5.0]))
    assert (joint.share, joint.std_error, joint.conf_low, joint.conf_high) == (1.0, 0.0, low[0, 0], high[0, 0])
    assert joint.conf_low == pytest.approx(0.025 ** (1 / 5))


@pytest.mark.parametrize("columns", [{}, {"std_error": np.nan, "conf_low": np.nan, "conf_high": np.nan, "n": 3, "n_eff": 3.0}])
def test_without_standard_errors_there_is_no_interval(columns: dict) -> None:
    joint = joint_shares(cell([0.2, 0.3, 0.5], **columns), [0, 1]).iloc[0]
    assert joint.share == pytest.approx(0.5)
    assert np.isnan(joint[["std_error", "conf_low", "conf_high"]].to_numpy(float)).all()


def test_an_option_that_a_source_does_not_list_has_no_share_of_it() -> None:
    table = pd.concat([cell([0.2, 0.3, 0.5]), cell([0.4, 0.6]).assign(source="t")])
    assert joint_shares(table, [0, 2]).set_index("source").share.to_dict() == pytest.approx({"s": 0.7, "t": 0.4})


def test_an_empty_cell_stays_empty() -> None:
    table = pd.concat([cell([0.2, 0.8]), cell([np.nan, np.nan], n=0).assign(background_id="nobody")])
    assert np.isnan(joint_shares(table, [0]).set_index("background_id").share["nobody"])


SCALE = Scale("How much?", (1, 2, 3, 4, "refused"), ("A lot", "Some", "Little", "None", "refused"), ordered=True, extras=("refused",))


def test_options_are_named_by_their_labels() -> None:
    assert options_label(SCALE, (1, 2)) == "“A lot” or “Some”"
    assert options_label(SCALE, (1, 2, 3)) == "“A lot” to “Little”"
    assert options_label(SCALE, (1, 2, 4)) == "“A lot” or “Some” or “None”"


def test_the_first_half_of_a_scale_is_shown_without_its_middle() -> None:
    rows = cell([0.1, 0.2, 0.3, 0.2, 0.2]).assign(option_code=[1, 2, 3, 4, "refused"])
    assert shown_options(SCALE, rows, None) == (1, 2)
    assert shown_options(replace(SCALE, codes=SCALE.codes[:3], labels=SCALE.labels[:3], extras=()), rows, None) == (1,)
    assert shown_options(SCALE, rows, [4, 3]) == (3, 4)
    assert shown_options(replace(SCALE, ordered=False), rows, None) == (3,)


@pytest.mark.parametrize("options", [[5], [], [1, 2, 3, 4, "refused"]])
def test_options_must_be_some_of_the_question(options: list) -> None:
    with pytest.raises(TableError, match=r"options must be some, not all, of the codes 1, 2, 3, 4, refused; got"):
        shown_options(SCALE, cell([1.0]), options)


def test_without_a_codebook_codes_stand_for_labels_and_no_order_is_claimed() -> None:
    scale = scale_of(cell([0.5, 0.5]), "q", None)
    assert (scale.text, scale.labels, scale.ordered) == ("q", ("0", "1"), False)


def test_backgrounds_stand_in_the_order_of_the_codebook() -> None:
    book = small_codebook()
    ids = ["age=old|gender=male", "age=young|gender=male", "age=old|gender=female"]
    assert ordered_backgrounds(ids, book) == ["age=young|gender=male", "age=old|gender=female", "age=old|gender=male"]
    assert ordered_backgrounds(ids, None) == ["age=old|gender=male", "age=old|gender=female", "age=young|gender=male"]
    with pytest.raises(CodebookError, match="trait 'age' has no level 'older'; did you mean 'old'"):
        ordered_backgrounds(["age=older"], book)


def test_rows_that_are_not_there_are_named_with_the_nearest() -> None:
    table = ss.response_distributions(ss.as_survey(small_frame(), small_codebook()), by=["age"])
    with pytest.raises(TableError, match="distributions holds no question 'q11'; did you mean 'q1'"):
        question_rows(table, "q11")
    with pytest.raises(TableError, match="backgrounds: question 'q1' has no 'age=yung'; did you mean 'age=young'"):
        question_rows(table, "q1", backgrounds=["age=yung"])
    with pytest.raises(TableError, match="sources: question 'q1' has no 'servey'; did you mean 'survey'"):
        question_rows(table, "q1", sources=["survey", "servey"])
    with pytest.raises(TableError, match="sources is empty; give sources= one name or several of survey"):
        question_rows(table, "q1", sources=[])
    pd.testing.assert_frame_equal(question_rows(table, "q1", sources="survey"), question_rows(table, "q1", sources=["survey"]))
    with pytest.raises(TableError, match="distributions lacks column share"):
        question_rows(table.drop(columns="share"), "q1")
    empty = table.assign(share=np.nan)
    with pytest.raises(TableError, match="question 'q1': no cell has a share; nobody answered it in age=young, age=old"):
        question_rows(empty, "q1")
