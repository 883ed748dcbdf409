"""p values, and p values of several tests, equal R's."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.design.outcomes import adjusted_p_values, chi_square_outcome, f_outcome, t_outcome
from surveysim.errors import DesignError
from tests.support.r_differences import DIFFERENCES


@pytest.mark.parametrize("adjust", ["holm", "bh", "bonferroni"])
def test_adjusted_p_values_equal_r(adjust: str) -> None:
    theirs = DIFFERENCES["nonvoters"]["adjusted"]
    np.testing.assert_allclose(adjusted_p_values(np.array(theirs["p"]), adjust), theirs[adjust], rtol=1e-12)


def test_a_test_that_was_not_made_is_none() -> None:
    assert np.array_equal(adjusted_p_values(np.array([0.01, np.nan, 0.04]), "holm"), [0.02, np.nan, 0.04], equal_nan=True)


def test_an_unknown_adjustment_is_refused() -> None:
    with pytest.raises(DesignError, match="adjust must be one of none, holm, bh, bonferroni; got 'BH', did you mean 'bh'"):
        adjusted_p_values(np.array([0.01]), "BH")


def test_p_values_are_those_of_tables() -> None:
    assert t_outcome(2.228139, 1.0, 10).p_value == pytest.approx(0.05, rel=1e-5)
    assert f_outcome(4.102821, 2, 10).p_value == pytest.approx(0.05, rel=1e-5)
    assert chi_square_outcome(5.991465, 2).p_value == pytest.approx(0.05, rel=1e-5)
