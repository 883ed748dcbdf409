"""The contracts of tables: what breaks one is named, with the cells and what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.errors import DesignError, TableError
from surveysim.tables.schema import (
    check_backgrounds,
    check_distributions,
    refuse_extreme,
    require_columns,
    require_numbers,
)

TABLE = pd.DataFrame(
    {
        "question_id": "q",
        "background_id": ["age=old", "age=old", "age=young", "age=young"],
        "option_code": [1, 2, 1, 2],
        "option_order": [0, 1, 0, 1],
        "share": [0.25, 0.75, np.nan, np.nan],
        "source": "survey",
    }
)


def test_a_cell_without_respondents_keeps_its_rows() -> None:
    assert check_distributions(TABLE) is TABLE


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.drop(columns="source"), "survey lacks column source; it has question_id"),
        (TABLE.to_dict(), "survey must be a pandas DataFrame .*got dict"),
        (pd.concat([TABLE, TABLE]), "4 rows repeat a question / background / option .*q / age=old / 1"),
        (TABLE.assign(share=TABLE["share"] * 100), "shares must lie in 0-1, found 25 .*percentages"),
        (TABLE.assign(share=[0.25, 0.75, 1.0, np.nan]), "some options have a share and others none in q / age=young"),
        (TABLE.assign(share=[0.25, 0.7, np.nan, np.nan]), r"must sum to 1; they do not in q / age=old \(0.95\)"),
    ],
)
def test_what_breaks_a_distributions_table_is_named(table: pd.DataFrame, said: str) -> None:
    with pytest.raises(TableError, match=said):
        check_distributions(table, "survey")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"background_id": ["age=old"]}, "backgrounds lacks column age"),
        ({"background_id": ["age=old", "age=old"], "age": "old"}, "backgrounds repeats background_id age=old; keep one row each"),
        ({"background_id": ["age=old"], "age": "old", "population_share": [0.5]}, "must be >= 0 and sum to 1; it sums to 0.5"),
        ({"background_id": ["age=old", "age=young"], "age": ["old", "young"], "population_share": [1.5, -0.5]}, "must be >= 0"),
    ],
)
def test_what_breaks_a_backgrounds_table_is_named(columns: dict[str, list[object]], said: str) -> None:
    with pytest.raises(TableError, match=said):
        check_backgrounds(pd.DataFrame(columns), ["age"])


def test_columns_that_lack_are_counted() -> None:
    with pytest.raises(TableError, match="population lacks columns share, n; it has age"):
        require_columns(pd.DataFrame({"age": [1]}), ["age", "share", "n"], "population")


NUMBERS = pd.DataFrame({"question_id": ["q1", "q1"], "option_code": [1, 2], "share": [0.25, 0.75], "n": [10, 20]})
ODD: list[tuple[pd.DataFrame, str]] = [
    (NUMBERS.astype({"share": object}), "table: share must hold numbers; its type is object; convert the column with pandas.to_numeric"),
    (NUMBERS.assign(share=["0.25", "a few"]), "share must hold numbers; it holds '0.25' in row 0, 1"),
    (NUMBERS.assign(share=[0.25, 1j]), "share must hold numbers; it holds .* in row 0, 1"),
    (NUMBERS.assign(n=[10.0, np.inf]), "table: n must be finite and at least 0; it is inf in row 1"),
    (NUMBERS.assign(n=[10, -1]), "n must be finite and at least 0; it is -1 in row 1; correct it, or leave it missing"),
    (NUMBERS.assign(n=[10.0, 1e-300]), "table: n is 1e-300 in row 1, counted from 0; only 1e-100 to 1e[+]100 can be computed with"),
    (NUMBERS.assign(question_id=["q1", None]), "question_id is empty in row 1; give every row one, or leave the row out"),
    (NUMBERS.assign(question_id=[1, 2]), "question_id must hold text that can be written; it holds 1 in row 0, 1; replace it"),
    (NUMBERS.assign(question_id=pd.Series(["q1", "\ud800"], dtype=object)), r"question_id must hold text .* '\\ud800' in row 1"),
    (NUMBERS.assign(option_code=[[1], 2]), r"option_code must hold text or numbers .* \[1\] in row 0"),
    (pd.concat([NUMBERS, NUMBERS[["n"]]], axis=1), "table has several columns named 'n'; keep one of each, or rename the others"),
    (NUMBERS.set_index("n", drop=False), r"table has 'n' as a column and in its index too; give table.reset_index\(drop=True\)"),
    (NUMBERS.set_index("share"), r"table lacks column share; it has .*; share stands in its index: give table.reset_index\(\)"),
    (NUMBERS.rename(columns={"n": 7}), "table has columns whose names are no text: 7; name them"),
]


@pytest.mark.parametrize(("frame", "said"), ODD, ids=[said[:50] for _, said in ODD])
def test_an_odd_column_is_named_with_its_row_and_a_remedy(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(TableError, match=said):
        require_columns(frame, ["question_id", "option_code", "share"], "table")


def test_numbers_of_any_numeric_type_will_do() -> None:
    for kind in ("Float64", "float32", "double[pyarrow]"):
        frame = NUMBERS.astype({"share": kind})
        assert require_columns(frame, ["share"], "table") is frame
        assert require_numbers(frame, "share", "table").tolist() == [0.25, 0.75]
    assert np.isnan(require_numbers(NUMBERS.assign(n=pd.array([None, 3], dtype="Int64")), "n", "table")[0])


def test_weights_that_cannot_be_computed_with_are_refused() -> None:
    refuse_extreme(np.array([0.0, 1e-100, 1e100, np.inf, np.nan]), "weight")
    for number in (1e-300, 1e308):
        with pytest.raises(DesignError, match=r"weight is 1e[-+]30. in row 1, counted from 0; .* give it in other units"):
            refuse_extreme(np.array([1.0, number]), "weight", error=DesignError)
