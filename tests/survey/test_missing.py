"""`na_table`: every reason counted, weighted and not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import MISSING_REASONS
from surveysim.errors import TableError
from tests.support.small_surveys import small_codebook, small_frame, small_survey
from tests.support.synthetic import trust_codebook, trust_frame

COLUMNS = ["valid", *MISSING_REASONS]


def test_every_reason_is_counted() -> None:
    frame = trust_frame(4).assign(trust=[0, 1, 7, 7, 8, np.nan] * 4)
    survey = ss.as_survey(frame, trust_codebook(missing={7: "refused", 8: "dont_know"}, system_missing="not_asked"))
    row = ss.na_table(survey).set_index("question_id").loc["trust"]
    assert row.to_dict() == dict.fromkeys(COLUMNS, 0) | {"valid": 8, "refused": 8, "dont_know": 4, "not_asked": 4, "n": 24}


def test_weighted_counts_are_sums_of_weights() -> None:
    survey = small_survey()
    table = ss.na_table(survey, weighted=True).set_index("question_id")
    weights, reasons = survey.data.weight, survey.reasons.q1
    assert table.loc["q1", "valid"] == pytest.approx(weights[reasons.isna()].sum())
    assert table.loc["q1", "refused"] == pytest.approx(weights[reasons == "refused"].sum())
    np.testing.assert_allclose(table["n"], weights.sum())


def test_a_questions_own_weight_counts_for_it() -> None:
    frame = small_frame()
    frame.loc[:9, "w2"] = np.nan
    survey = ss.as_survey(frame, small_codebook(weight_of_q2="w2"))
    table = ss.na_table(survey, weighted=True).set_index("question_id")
    assert table.loc["q1", "n"] == pytest.approx(frame.w.sum())
    assert table.loc["q2", "n"] == pytest.approx(frame.w2.sum())


def test_reasons_sum_to_all_respondents_and_order_of_rows_does_not_matter() -> None:
    survey = small_survey()
    table = ss.na_table(survey)
    assert (table[COLUMNS].sum(axis=1) == len(survey)).all()
    assert (table["n"] == len(survey)).all()
    shuffled = survey.take(np.random.default_rng(1).permutation(len(survey)))
    pd.testing.assert_frame_equal(ss.na_table(shuffled), table)


def test_traits_are_counted_too() -> None:
    survey = ss.as_survey(small_frame().assign(age=[0, np.nan] * 200), small_codebook())
    table = ss.na_table(survey, of="traits").set_index("trait")
    assert table.loc["age", ["valid", "other", "n"]].tolist() == [200, 200, 400]
    assert (table.loc[["gender", "region"], "valid"] == 400).all()


def test_what_to_count_is_checked() -> None:
    with pytest.raises(TableError, match=r"of must be 'questions' or 'traits'; got 'question', did you mean 'questions'"):
        ss.na_table(small_survey(), of="question")
