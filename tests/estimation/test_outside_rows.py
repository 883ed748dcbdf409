"""The rows of a foreign table under our names: which columns it takes them from, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from surveysim.errors import BackgroundError, CodebookError, SurveySimError, TableError
from surveysim.estimation.outside_rows import NO_NAME, NUMBER, rows_of, stated_number
from tests.support.small_surveys import small_codebook

BOOK = small_codebook()
FRAME = pd.DataFrame(
    {
        "question_id": ["q2", "q2"],
        "option_code": ["yes", "no"],
        "share": [0.25, 0.75],
        "gender": ["Female", "female"],
        "agent.age": ["young", "young"],
        "background_id": ["gender=female", "gender=female"],
    }
)
ASKED: dict[str, Any] = {"by": "background_id", "question": "question_id", "option": "option_code", "source": None, "number": "share"}


def _rows(frame: pd.DataFrame = FRAME, **changed: Any) -> pd.DataFrame:
    return rows_of(frame, BOOK, **{**ASKED, "answers": None, "what": "shares", **changed})


@pytest.mark.parametrize(
    ("by", "identifier"),
    [
        ("background_id", "gender=female"),
        ("gender", "gender=female"),
        ({"gender": "gender", "agent.age": "age"}, "age=young|gender=female"),
        ([], "all"),
    ],
)
def test_backgrounds_come_from_ids_trait_columns_or_renamed_ones(by: Any, identifier: str) -> None:
    rows = _rows(by=by)
    assert rows["background_id"].tolist() == [identifier] * 2
    assert rows[NUMBER].tolist() == [0.25, 0.75]
    assert rows["source"].tolist() == [NO_NAME] * 2


def test_a_column_of_another_name_can_hold_ids() -> None:
    frame = FRAME.rename(columns={"background_id": "cell"}).assign(cell="Gender: Male")
    assert _rows(frame, by={"cell": "background_id"})["background_id"].unique().tolist() == ["gender=male"]


def test_all_rows_may_be_of_one_question_and_sources_come_from_their_column() -> None:
    rows = _rows(FRAME.drop(columns="question_id").assign(source=["a", "b"]), question="q2")
    assert rows["question_id"].tolist() == ["q2", "q2"]
    assert rows["source"].tolist() == ["a", "b"]
    assert _rows(FRAME.assign(source="a"), source="mine")["source"].unique().tolist() == ["mine"]


def test_a_frame_of_persons_becomes_rows_of_answers() -> None:
    frame = pd.DataFrame({"agent.gender": ["female", "male"], "answer.a": [0, 1], "answer.b": ["yes", "no"]})
    rows = _rows(frame, by={"agent.gender": "gender"}, answers={"answer.a": "q1", "answer.b": "q2"}, number=None, what="answers")
    assert rows[["question_id", "background_id", "option_given"]].values.tolist() == [
        ["q1", "gender=female", 0],
        ["q1", "gender=male", 1],
        ["q2", "gender=female", "yes"],
        ["q2", "gender=male", "no"],
    ]


BAD: list[tuple[pd.DataFrame, dict[str, Any], type[SurveySimError], str]] = [
    (FRAME.iloc[:0], {}, TableError, "frame has no rows"),
    (FRAME, {"number": "shares"}, TableError, "shares: frame has no column 'shares'; did you mean 'share'"),
    (FRAME, {"option": "opt"}, TableError, "option: frame has no column 'opt'; did you mean 'option_code'"),
    (FRAME, {"question": "q"}, TableError, "question: 'q' is neither a column of frame nor a question of codebook 'small'"),
    (FRAME.assign(question_id="q3"), {}, CodebookError, "has no question 'q3'; did you mean"),
    (FRAME.assign(question_id=[None, "q2"]), {}, TableError, "column 'question_id' is empty in 1 of 2 rows"),
    (FRAME, {"by": "sex"}, BackgroundError, "codebook 'small' has no trait 'sex'"),
    (FRAME, {"by": "agent.age"}, BackgroundError, "no trait 'agent.age'.*by={'agent.age': trait}"),
    (FRAME.drop(columns="background_id"), {}, BackgroundError, "no column 'background_id'; it has .*; name its columns of traits in by="),
    (FRAME, {"by": "age"}, TableError, "by: frame has no column 'age'; did you mean"),
    (FRAME, {"by": ["background_id", "gender"]}, BackgroundError, "'background_id' stands alone"),
    (FRAME.assign(gender=["female", None]), {"by": "gender"}, BackgroundError, "column 'gender' is empty in 1 of 2 rows"),
    (FRAME.assign(gender="women"), {"by": "gender"}, BackgroundError, "trait 'gender' has no level 'women'"),
    (FRAME.assign(source=["a", None]), {}, TableError, "column 'source' is empty in 1 of 2 rows; fill it, or give source="),
    (FRAME, {"source": ""}, TableError, "source must be the simulator's name"),
    (FRAME.assign(share=["25%", "75%"]), {}, TableError, "holds '25%', '75%' where numbers belong; write 0.25, without a percent sign"),
    (FRAME.assign(share=[np.nan, 1.0]), {}, TableError, "shares: nan is missing in 1 rows: q2 / gender=female / yes"),
    (FRAME.assign(share=[-0.5, 1.5]), {}, TableError, "shares: -0.5 is negative in 1 rows.*give log probabilities as logprobs="),
    (FRAME.assign(share=[np.inf, 0]), {}, TableError, "shares: inf is not finite"),
    (FRAME.assign(share=[1.5, 2]), {"what": "counts"}, TableError, "counts: 1.5 is not whole in 1 rows.*weighted counts are shares"),
    (
        FRAME.assign(share=[-0.5, 0.2]),
        {"what": "logprobs"},
        TableError,
        "logprobs: 0.2 is above 0 in 1 rows.*give probabilities as shares=",
    ),
    (pd.concat([FRAME, FRAME[["share"]]], axis=1), {}, TableError, "frame has several columns named 'share'; keep one of each"),
    (FRAME, {"answers": []}, TableError, "answers is empty"),
    (FRAME, {"answers": {}}, TableError, "answers is empty"),
    (FRAME, {"answers": {"share": "q1", "gender": "q1"}}, TableError, "two columns are given to one question"),
]


@pytest.mark.parametrize(("frame", "changed", "error", "message"), BAD, ids=[message[:40] for *_, message in BAD])
def test_what_cannot_be_read_says_why(frame: pd.DataFrame, changed: dict[str, Any], error: type[SurveySimError], message: str) -> None:
    with pytest.raises(error, match=message):
        _rows(frame, **changed)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("n", [10, np.nan], "n: nan is missing or not finite in 1 rows.*or leave the column 'n' out"),
        ("n_eff", [-1.0, 3.0], "n_eff: -1 is negative"),
        ("n", [10.5, 10.5], "n: 10.5 is not whole in 2 rows.*give the effective number as n_eff"),
        ("std_error", ["small", 0.1], "std_error: column 'std_error' holds 'small'"),
    ],
)
def test_stated_numbers_are_checked(name: str, values: list[object], message: str) -> None:
    with pytest.raises(TableError, match=message):
        stated_number(pd.Series(values, name=name), name, _rows())
