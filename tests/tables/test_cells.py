"""Distributions tables as arrays: nothing is lost on the way there and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from surveysim.tables.cells import to_cells, to_table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    train, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=100, seed=0)
    return ss.response_distributions(train, by=["gender", "age6", "education"])


def test_there_and_back(table: pd.DataFrame) -> None:
    answered = table[table.share.notna()]
    cells = to_cells(answered)
    back = to_table(cells, cells.shares + (cells.n_eff <= 0)[..., None], source="survey")
    keys = ["question_id", "background_id", "option_code"]
    merged = answered.merge(back, on=keys, suffixes=("", "_back"), how="left")
    assert merged.share_back.notna().all()
    for column in ("share", "option_order", "n", "n_eff"):
        np.testing.assert_allclose(merged[f"{column}_back"], merged[column], atol=1e-12)
    assert back.option_code.dtype == table.option_code.dtype


def test_shuffled_rows_give_the_same_cells(table: pd.DataFrame) -> None:
    order = sorted(table.background_id.unique())
    cells, shuffled = (to_cells(frame, backgrounds=order) for frame in (table, table.sample(frac=1, random_state=0)))
    place = [shuffled.questions.index(question) for question in cells.questions]
    np.testing.assert_array_equal(shuffled.shares[place], cells.shares)
    np.testing.assert_array_equal(shuffled.n_eff[place], cells.n_eff)


def test_an_empty_cell_has_size_zero_and_an_unlisted_background_too(table: pd.DataFrame) -> None:
    cells = to_cells(table, backgrounds=[*table.background_id.unique(), "age=never|sampled=yes"])
    assert (cells.n_eff[:, -1] == 0).all()
    empty = table[table.share.isna()].iloc[0]
    row, column = cells.questions.index(empty.question_id), cells.backgrounds.index(empty.background_id)
    assert cells.n_eff[row, column] == 0
    assert cells.shares[row, column].sum() == 0


def test_shares_of_a_written_table_sum_to_one(table: pd.DataFrame) -> None:
    cells = to_cells(table)
    written = to_table(cells, cells.shares + 0.01, source="model")
    sums = written.groupby(["question_id", "background_id"]).share.sum()
    assert (sums - 1).abs().max() < 1e-12


def test_without_n_eff_the_respondents_count_and_without_both_every_cell_alike(table: pd.DataFrame) -> None:
    answered = table[table.share.notna()]
    np.testing.assert_array_equal(to_cells(answered.drop(columns="n_eff")).n_eff, to_cells(answered).n)
    assert set(np.unique(to_cells(answered.drop(columns=["n", "n_eff"])).n_eff)) <= {0.0, 1.0}


def test_tables_that_break_the_contract_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="has no rows"):
        to_cells(table.iloc[:0])
    with pytest.raises(TableError, match="must sum to 1"):
        to_cells(table.assign(share=table.share * 0.9))
    with pytest.raises(TableError, match="holds 2 sources"):
        to_cells(pd.concat([table, table.assign(source="other")]))
    two = table[table.background_id.isin(table.background_id.unique()[:2]) & (table.question_id == "Q8_8")]
    with pytest.raises(TableError, match="different orders"):
        to_cells(two.assign(option_order=[*range(4), *range(3, -1, -1)]))
    with pytest.raises(TableError, match=r"a row for each option.*Q8_8"):
        to_cells(two[(two.option_order < 3) | (two.background_id == two.background_id.iloc[0])].assign(share=np.nan))
