"""The contracts of tables: what breaks one is named, with the cells and what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.errors import EvaluationError, TableError
from surveysim.tables.schema import check_backgrounds, check_distributions, population_shares, require_columns

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


PEOPLE = pd.DataFrame({"background_id": ["a=1", "a=2", "a=1"], "population_share": [0.2, 0.5, 0.3]})


def test_shares_stand_in_the_order_asked_and_rows_of_one_background_add_up() -> None:
    assert population_shares(PEOPLE, ["a=2", "a=1", "a=2"], "population").tolist() == [0.5, 0.5, 0.5]
    assert population_shares({"a=1": 0.2, "a=2": 3}, ["a=2", "a=1"], "weights").tolist() == [3.0, 0.2]
    assert population_shares(PEOPLE, [], "population").tolist() == []


def test_a_background_without_a_share_is_named() -> None:
    with pytest.raises(TableError, match="population has no population_share of background a=3; give each one, 0 where there is nobody"):
        population_shares(PEOPLE, ["a=1", "a=3"], "population")
    with pytest.raises(EvaluationError, match="weights has no population_share of background a=3"):
        population_shares({}, ["a=3"], "weights", error=EvaluationError)
    with pytest.raises(TableError, match="population lacks column population_share"):
        population_shares(PEOPLE[["background_id"]], ["a=1"], "population")


@pytest.mark.parametrize("share", [-0.1, float("nan")])
def test_a_share_is_a_number_from_0(share: float) -> None:
    wrong = PEOPLE.assign(population_share=[share, 0.5, float("nan")])
    with pytest.raises(TableError, match="population: population_share must be 0 or more; it is not in a=1"):
        population_shares(wrong, ["a=1", "a=2"], "population")
    assert population_shares(wrong, ["a=2"], "population").tolist() == [0.5], "what is not asked for does not matter"
