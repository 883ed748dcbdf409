"""t tests and rank tests equal R's `svyttest` and `svyranktest`; where R's ranks depend on the rows' order, ours do not."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.design.adjustment import replicate_design
from surveysim.design.design import Design
from surveysim.design.estimators import everyone
from surveysim.design.rank_tests import RANK_TESTS, difference_test, group_means, mean_test, rank_scores, rank_test
from surveysim.errors import DesignError
from tests.support.r_differences import DIFFERENCES, entries, health_sample, health_test, sample_of, school_test
from tests.support.r_numbers import assert_equals_r

KINDS = ("t_", "rank")
SCHOOLS = [entry for section in ("designs", "calibrated", "lonely") for entry in entries(section, KINDS)]


@pytest.mark.parametrize(("section", "name", "statistic"), SCHOOLS)
def test_schools_equal_r(section: str, name: str, statistic: str) -> None:
    theirs = DIFFERENCES[section][name][statistic]
    if statistic == "rank" and "two" in theirs:
        theirs = {**theirs, "many": theirs["many"] or {}}  # R has no rank test of several groups with replicate weights
    assert_equals_r(
        school_test(*sample_of(section, name), statistic, theirs, adjusted=section == "calibrated"), theirs, f"{name}/{statistic}"
    )


@pytest.mark.parametrize(("section", "name", "statistic"), entries("nhanes", KINDS))
def test_health_survey_equals_r(section: str, name: str, statistic: str) -> None:
    assert_equals_r(health_test(*health_sample(name), statistic), DIFFERENCES[section][name][statistic], f"{name}/{statistic}")


def _respondents(n: int = 60) -> tuple[Design, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    design = Design(generator.gamma(2, 1, n), strata=np.arange(n) % 2, psu=np.arange(n) // 4)
    return design, generator.integers(0, 4, n).astype(float), generator.integers(0, 3, n)


@pytest.mark.parametrize("test", RANK_TESTS)
def test_the_order_of_tied_rows_does_not_matter(test: str) -> None:
    design, values, group = _respondents()
    order = np.random.default_rng(4).permutation(len(values))
    again = Design(design.weights[order], strata=design.strata[order], psu=design.psu[order])  # type: ignore[index]
    one, other = rank_test(everyone(design), values, group, 3, test), rank_test(everyone(again), values[order], group[order], 3, test)
    assert np.allclose([one.statistic, one.df_denominator, one.p_value], [other.statistic, other.df_denominator, other.p_value])


@pytest.mark.parametrize("test", RANK_TESTS)
def test_integer_weights_are_repeated_rows_for_the_scores(test: str) -> None:
    values, weights = np.array([3.0, 1.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0, 1.0])
    repeated = rank_scores(np.repeat(values, weights.astype(int)), np.ones(7), test)
    assert np.allclose(rank_scores(values, weights, test), repeated[np.cumsum(weights.astype(int)) - 1])


def test_two_groups_of_several_are_a_t_test() -> None:
    design, values, group = _respondents()
    two = np.minimum(group, 1)
    found = rank_test(everyone(design), values, two, 2, "kruskal")
    assert found.df == everyone(design).degrees_of_freedom[0] - 1
    assert found.estimate / found.std_error == found.statistic


def test_rank_tests_of_several_groups_take_replicate_weights() -> None:
    """R has none: with a jackknife of a linear statistic they are near the linearised test."""
    design, values, group = _respondents()
    linearised = rank_test(everyone(design), values, group, 3, "kruskal")
    jackknifed = rank_test(everyone(replicate_design(design, "JKn")), values, group, 3, "kruskal")
    assert jackknifed.statistic == pytest.approx(linearised.statistic, rel=1e-9)


def test_answers_that_agree_are_refused() -> None:
    design, values, group = _respondents()
    with pytest.raises(DesignError, match="the standard error is zero: all answers agree"):
        difference_test(everyone(design), np.ones(len(values)), np.minimum(group, 1))
    with pytest.raises(DesignError, match="the covariance of 3 groups' mean ranks has no inverse"):
        rank_test(everyone(design), np.ones(len(values)), group, 3, "kruskal")


def test_no_degrees_of_freedom_are_named() -> None:
    values = np.arange(6.0)
    members = everyone(Design(np.ones(6), psu=np.arange(6) // 3))
    with pytest.raises(DesignError, match=r"no degrees of freedom are left \(0\): PSUs less strata, less what is tested"):
        mean_test(members, values, 0.0)


def test_a_replicate_without_a_group_is_named() -> None:
    design = replicate_design(Design(np.ones(6), psu=np.arange(6) // 2), "JK1")
    with pytest.raises(DesignError, match="1 of 3 replicates leave a group without respondents"):
        group_means(everyone(design), np.arange(6.0), np.array([0, 0, 1, 1, 1, 1]), 2)
