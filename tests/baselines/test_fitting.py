"""One place where a laid-out sample becomes a table: from its pooled answer, or from a prior."""

from __future__ import annotations

import numpy as np
import pytest

import surveysim as ss
from surveysim.baselines.fitting import TAKE_PRIOR, check_takes_prior, fitted_table, training_cells
from surveysim.errors import EstimationError
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_survey


def test_without_a_prior_it_is_the_multilevel_fit() -> None:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=["trust"])
    grid = ss.background_grid(opinion_codebook(), by=TRAITS)
    laid = training_cells(sample, grid, ordinal=["trust"])
    table = fitted_table(laid, laid.kernels(), source="mrp")
    np.testing.assert_allclose(table["share"], ss.estimate_baseline(sample, grid, method="mrp", ordinal=["trust"])["share"], atol=1e-9)
    assert "prior" not in table.attrs


def test_who_takes_a_prior_is_one_list() -> None:
    for method in TAKE_PRIOR:
        check_takes_prior(method)
    with pytest.raises(EstimationError, match="prior: method 'ridge' takes none; use one of mrp, mean_tilt, low_rank, dsa, dsa-kernel"):
        check_takes_prior("ridge")
