"""Shares of backgrounds in a population: as given, in the order asked for, and none is made up."""

from __future__ import annotations

import pandas as pd
import pytest

from surveysim.errors import EvaluationError, TableError
from surveysim.tables.population_shares import population_shares

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
