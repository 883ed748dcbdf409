"""Laying a prior out: sources side by side are their geometric mean, a later wave narrows what the earlier one left open."""

from __future__ import annotations

import numpy as np
import pandas as pd

import surveysim as ss
from surveysim.baselines.prior import Prior, StartCells
from surveysim.baselines.prior_cells import start_cells
from surveysim.tables.cells import to_cells
from tests.support.opinion_survey import TRAITS, opinion_survey

QUESTIONS = ["trust", "taxes"]
ORDERED = np.ones(2, bool)


def _wave(n: int, seed: int) -> pd.DataFrame:
    return ss.response_distributions(opinion_survey(n, seed), by=TRAITS, questions=QUESTIONS)


def _start(*tables: pd.DataFrame, years: tuple[int, ...] | None = None) -> StartCells:
    names = tuple(f"wave {place}" for place in range(len(tables)))
    return start_cells(Prior(tables, names, years), to_cells(_wave(200, 0)), ORDERED)


def test_sources_side_by_side_are_their_geometric_mean() -> None:
    """Their departures from it add up to 0."""
    tables = [_wave(3000, seed).assign(n=0, n_eff=0.0) for seed in (1, 2)]
    both = _start(*tables)
    logs = np.mean([np.log(_start(table).shares + 1e-300) for table in tables], axis=0)
    expected = np.exp(logs) / np.exp(logs).sum(-1, keepdims=True)
    np.testing.assert_allclose(both.shares, expected, atol=1e-12)
    assert both.apart is not None
    np.testing.assert_allclose(both.apart.sum(1), 0.0, atol=1e-12)


def test_two_sources_err_half_as_much_as_one_as_far_as_they_err_apart() -> None:
    table = _wave(600, 1)
    one, two = _start(table), _start(table, table)
    np.testing.assert_allclose(two.error, one.error / 2, rtol=1e-9, atol=1e-15)


def test_a_later_wave_narrows_what_the_earlier_one_left_open() -> None:
    small, large = _wave(150, 3), _wave(4000, 4)
    first, both = _start(small), _start(small, large, years=(2018, 2020))
    spread = [np.einsum("qmaa->qma", start.error)[0, 0].mean() for start in (first, both)]
    assert spread[1] < 0.5 * spread[0]
    own = to_cells(large).on(backgrounds=to_cells(_wave(200, 0)).backgrounds).shares
    assert np.abs(both.shares - own).mean() < 0.5 * np.abs(first.shares - own).mean()


def test_a_question_starts_with_the_first_wave_that_has_it() -> None:
    early, late = _wave(800, 5), _wave(800, 6)
    found = _start(early[early["question_id"] == "trust"], late, years=(2018, 2020))
    alone = _start(late)
    np.testing.assert_allclose(found.shares[1], alone.shares[1], atol=0.02)
