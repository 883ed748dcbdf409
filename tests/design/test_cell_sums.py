"""Covariances of sums by cell equal those over all respondents, whatever the design, and hold no respondent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import surveysim.design.cell_sums as module
from surveysim.design.adjustment import calibrate_design, replicate_design
from surveysim.design.cell_sums import cell_sums
from surveysim.design.design import Design
from surveysim.errors import DesignError

GENERATOR = np.random.default_rng(0)
N, CELLS = 240, 5
STRATA, PSU = np.arange(N) % 4, GENERATOR.integers(0, 6, N)
CELL, VALUES = GENERATOR.integers(0, CELLS, N), GENERATOR.normal(size=N)
WEIGHTS = GENERATOR.gamma(3, 1, N)
STAGES: dict[str, Any] = {"psu": np.stack([PSU, np.arange(N)], axis=1), "strata": np.stack([STRATA, STRATA], axis=1)}
DESIGNS = {
    "weights": Design(WEIGHTS),
    "strata": Design(WEIGHTS, strata=STRATA),
    "clusters": Design(WEIGHTS, strata=STRATA, psu=PSU),
    "finite": Design(WEIGHTS, strata=STRATA, psu=PSU, fpc=np.full(N, 9)),
    "two stages": Design(WEIGHTS, strata=STRATA, psu=STAGES["psu"], fpc=np.stack([np.full(N, 9), np.full(N, 40)], axis=1)),
    "calibrated": calibrate_design(
        Design(WEIGHTS, strata=STRATA, psu=PSU), np.stack([np.ones(N), VALUES], axis=1), np.array([800.0, 50.0])
    ),
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("dense", [5_000_000, 0])
def test_covariances_are_those_over_all_respondents(name: str, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE", dense)
    design = DESIGNS[name]
    rows = np.flatnonzero(CELL > 0)
    found = cell_sums(design, rows, CELL[rows], CELLS, VALUES[rows])
    one_hot = np.where(CELL[:, None] == np.arange(CELLS), (design.weights * VALUES)[:, None], 0.0)
    one_hot[CELL == 0] = 0
    combinations = GENERATOR.normal(size=(CELLS, 3))
    np.testing.assert_allclose(found.covariance(), design.covariance(one_hot), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.covariance(combinations), design.covariance(one_hot @ combinations), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.estimate, one_hot.sum(axis=0))


def test_replicates_repeat_the_sums_and_keep_nobodys_weight() -> None:
    design = replicate_design(DESIGNS["clusters"], "JKn")
    found = cell_sums(design, np.arange(N), CELL, CELLS)
    linearised = cell_sums(DESIGNS["clusters"], np.arange(N), CELL, CELLS)
    np.testing.assert_allclose(found.covariance(), linearised.covariance(), rtol=1e-9)
    assert found.replicates is not None
    assert found.replicates.weights.shape[0] == 0


@pytest.mark.parametrize("name", ["weights", "clusters"])
def test_no_array_has_an_entry_a_respondent(name: str) -> None:
    found = cell_sums(DESIGNS[name], np.arange(N), CELL, CELLS)
    arrays = [value for stage in found.stages for value in vars(stage).values() if value is not None]
    assert all(N not in array.shape for array in arrays)


def test_a_lonely_psu_is_refused() -> None:
    with pytest.raises(DesignError, match="a variance needs two PSUs in every stratum"):
        cell_sums(Design(np.ones(3), strata=np.array([0, 0, 1])), np.arange(3), np.zeros(3, dtype=int), 1)
