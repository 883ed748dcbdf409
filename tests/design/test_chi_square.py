"""Chi-square tests equal R's `svychisq` and `svygofchisq`, and refuse what R answers with NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surveysim.design.chi_square import FIT_STATISTICS, INDEPENDENCE_STATISTICS, goodness_of_fit, independence
from surveysim.design.design import Design
from surveysim.design.estimators import Members, everyone
from surveysim.errors import DesignError
from tests.support.r_differences import DIFFERENCES, entries, health_sample, health_test, sample_of, school_test
from tests.support.r_numbers import REFERENCE, assert_equals_r, design, one_domain

KINDS = ("chisq", "gof")
SCHOOLS = [entry for section in ("designs", "calibrated", "lonely") for entry in entries(section, KINDS)]


@pytest.mark.parametrize(("section", "name", "statistic"), SCHOOLS)
def test_schools_equal_r(section: str, name: str, statistic: str) -> None:
    theirs = DIFFERENCES[section][name][statistic]
    assert_equals_r(
        school_test(*sample_of(section, name), statistic, theirs, adjusted=section == "calibrated"), theirs, f"{name}/{statistic}"
    )


@pytest.mark.parametrize(("section", "name", "statistic"), entries("nhanes", KINDS))
def test_health_survey_equals_r(section: str, name: str, statistic: str) -> None:
    assert_equals_r(health_test(*health_sample(name), statistic), DIFFERENCES[section][name][statistic], f"{name}/{statistic}")


@pytest.mark.parametrize("name", list(REFERENCE["designs"]))
def test_the_first_reference_equals_r_too(name: str) -> None:
    (frame, sample), theirs = design(name), REFERENCE["designs"][name]
    wide, kind = (np.unique(frame[column], return_inverse=True)[1] for column in ("sch.wide", "stype"))
    second, first = (independence(everyone(sample), wide, kind, (2, 3), statistic) for statistic in ("F", "Chisq"))
    found = {"statistic": second.statistic, "parameter": {"ndf": second.df, "ddf": second.df_denominator}, "p": second.p_value}
    assert_equals_r(found, theirs["svychisq_schwide_stype_F"])
    pearson = len(frame) * second.estimate**2
    assert_equals_r({"statistic": pearson, "p": first.p_value}, theirs["svychisq_schwide_stype_RaoScott1"])


def test_the_first_reference_of_the_health_survey_equals_r_too() -> None:
    frame, sample = design("nhanes")
    members = one_domain(sample, frame["HI_CHOL"].notna().to_numpy())
    ages = np.unique(frame["agecat"], return_inverse=True)[1][members.rows]
    found = independence(members, frame["HI_CHOL"].to_numpy()[members.rows].astype(int), ages, (2, int(ages.max()) + 1), "F")
    theirs = REFERENCE["nhanes"]["svychisq"]
    assert_equals_r({"statistic": found.statistic, "parameter": {"ndf": found.df, "ddf": found.df_denominator}, "p": found.p_value}, theirs)


def _table(counts: list[list[int]], repeats: int = 1) -> tuple[Members, np.ndarray, np.ndarray, tuple[int, int]]:
    table = np.array(counts)
    cell = np.tile(np.repeat(np.arange(table.size), table.ravel()), repeats)
    return everyone(Design(np.ones(len(cell)))), cell // table.shape[1], cell % table.shape[1], table.shape  # type: ignore[return-value]


def test_a_simple_random_sample_has_pearsons_chi_square() -> None:
    members, row, column, shape = _table([[30, 20, 25], [15, 35, 40]])
    n = len(row)
    expected = np.outer([75, 90], [45, 55, 65]) / n
    pearson = (np.square(np.array([[30, 20, 25], [15, 35, 40]]) - expected) / expected).sum()
    found = independence(members, row, column, shape, "Chisq")
    assert found.df == 2
    assert found.estimate == pytest.approx(np.sqrt(pearson / n))
    assert found.statistic == pytest.approx(pearson, rel=0.05)


@pytest.mark.parametrize("statistic", INDEPENDENCE_STATISTICS)
def test_rows_and_columns_may_change_places_and_respondents_their_order(statistic: str) -> None:
    _, row, column, shape = _table([[30, 20, 25], [15, 35, 40]])
    weights = np.random.default_rng(0).gamma(2, 1, len(row))
    given = everyone(Design(weights))
    order = np.random.default_rng(1).permutation(len(row))
    one = independence(given, row, column, shape, statistic)
    other = independence(everyone(Design(weights[order])), column[order], row[order], shape[::-1], statistic)
    assert np.allclose([one.statistic, one.df, one.p_value], [other.statistic, other.df, other.p_value])


@pytest.mark.parametrize("statistic", INDEPENDENCE_STATISTICS)
def test_a_table_of_one_row_is_refused(statistic: str) -> None:
    members, row, column, _ = _table([[30, 20, 25]])
    with pytest.raises(DesignError, match="1 rows and 3 columns that anyone is in; a test of independence needs two of each"):
        independence(members, row, column, (1, 3), statistic)


def test_an_empty_cell_is_no_obstacle_and_too_many_are_one() -> None:
    members, row, column, shape = _table([[30, 0, 25], [15, 35, 40]])
    assert 0 < independence(members, row, column, shape, "F").p_value < 0.01
    with pytest.raises(DesignError, match="6 of 9 cells of the table are empty, too many for a test"):
        independence(*_table([[30, 0, 0], [0, 20, 0], [0, 0, 10]]), "F")


@pytest.mark.parametrize("statistic", ["F", "Wald", "adjWald"])
def test_no_degrees_of_freedom_are_named(statistic: str) -> None:
    _, row, column, shape = _table([[30, 20], [15, 35]])
    members = everyone(Design(np.ones(len(row)), psu=np.zeros(len(row)), lonely_psu="adjust"))
    with pytest.raises(DesignError, match="no degrees of freedom are left"):
        independence(members, row, column, shape, statistic)


def test_shares_that_strata_fix_are_not_tested() -> None:
    """R's `svygofchisq` prints NaN: shares of the strata themselves do not vary."""
    frame, sample = design("apistrat_nofpc")
    kind = np.unique(frame["stype"], return_inverse=True)[1]
    with pytest.raises(DesignError, match="standard errors are all zero"):
        goodness_of_fit(everyone(sample), kind, np.array([0.7, 0.15, 0.15]), "Chisq")


@pytest.mark.parametrize("statistic", FIT_STATISTICS)
def test_a_sample_with_the_given_shares_fits(statistic: str) -> None:
    members, _, column, _ = _table([[30, 20, 50]])
    found: Any = goodness_of_fit(members, column, np.array([0.3, 0.2, 0.5]), statistic)
    assert (round(found.statistic, 12), round(found.p_value, 12), round(found.df, 1)) == (0.0, 1.0, 2.0)
