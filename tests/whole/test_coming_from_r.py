"""What docs/coming-from-r.md says of R's defaults is what R printed, and what it says of ours is so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.design.chi_square import goodness_of_fit
from surveysim.design.design import Design
from surveysim.design.estimators import Members, everyone, quantile_intervals, weighted_ratios
from surveysim.design.row_covariance import mean_rows
from surveysim.errors import DesignError
from surveysim.tables.intervals import Z_95, mean_intervals, t_quantile
from tests.support.pages import PROJECT
from tests.support.r_differences import DIFFERENCES, coded
from tests.support.r_numbers import TYPES, design, numbers
from tests.support.small_surveys import small_survey

R = DIFFERENCES["defaults"]
PAGE = (PROJECT / "docs" / "coming-from-r.md").read_text(encoding="utf-8")
E_H = np.array([1.0, -1.0, 0.0])


def test_raking_goes_on_until_every_margin_is_met() -> None:
    assert f"asked .300, got {R['rake']['female']:.3f}".replace("0.", ".") in PAGE
    assert R["rake"]["epsilon"] == 1
    survey = ss.load_example("nonvoters2020")
    levels = survey.codebook.trait("education").level_names
    raked = ss.rake(survey, {"gender": {"female": 0.3, "male": 0.7}, "education": dict(zip(levels, (0.6, 0.2, 0.2), strict=True))})
    reached = ss.observed_backgrounds(raked, by="gender").set_index("background_id")["population_share"]
    assert reached["gender=female"] == pytest.approx(0.3, abs=1e-9)


def test_intervals_of_means_are_t() -> None:
    frame, sample = design("apiclus1_fpc")
    estimate, variance = (number[0, 0] for number in weighted_ratios(everyone(sample), numbers(frame, ["api00"])))
    low, high = mean_intervals(estimate, np.sqrt(variance), np.array(sample.degrees_of_freedom))
    theirs = R["interval_of_a_mean"]
    assert f"{theirs[0]:.1f} to {theirs[1]:.1f} on {sample.degrees_of_freedom} degrees" in PAGE
    wider = (high - low) / (theirs[1] - theirs[0])
    assert wider == pytest.approx(t_quantile(np.array(sample.degrees_of_freedom)) / Z_95)
    assert f"{wider:.2f} times as wide" in PAGE


def test_shares_that_strata_fix_are_refused_where_r_prints_nan() -> None:
    assert R["gof_of_strata"] == "NaN"
    frame, sample = design("apistrat_nofpc")
    with pytest.raises(DesignError, match="standard errors are all zero"):
        goodness_of_fit(everyone(sample), coded(frame["stype"], TYPES), np.array([0.7, 0.15, 0.15]), "Chisq")


def test_groups_that_share_clusters_are_not_independent() -> None:
    frame, sample = design("apiclus1_fpc")
    members, score = Members(sample, np.arange(len(frame)), coded(frame["stype"], TYPES), 3), numbers(frame, ["api00"])
    variance = weighted_ratios(members, score)[1][:, 0]
    independent = np.sqrt(np.square(E_H) @ variance)
    exact = np.sqrt(mean_rows(tuple(TYPES), members, score[:, 0]).covariance(E_H[:, None, None])[0, 0])
    assert independent == pytest.approx(R["contrast_without_covmat"])
    assert f"{independent:.1f} where it is {exact:.1f}" in PAGE


def test_intervals_of_medians_hold_the_median() -> None:
    held = 0
    for seed in range(200, 400):
        people = everyone(Design(np.full(400, 25.0)))
        _, _, low, high = quantile_intervals(people, np.random.default_rng(seed).gamma(2, 1, 400), 0.5)
        held += int(low[0] <= 1.6783469900166605 <= high[0])
    assert f"of the same samples {held / 200:.0%}" in PAGE
    assert held / 200 == pytest.approx(0.95, abs=0.035)


def test_a_target_that_nobody_has_is_refused() -> None:
    survey = small_survey()
    without = survey.take((survey.data["region"] != "west").to_numpy())
    with pytest.raises(DesignError, match="region=west"):
        ss.rake(without, {"region": {"north": 0.5, "south": 0.3, "west": 0.2}})


def test_small_levels_are_met_and_the_survey_stays() -> None:
    survey = small_survey()
    keep = survey.data["region"].to_numpy() != "west"
    keep[np.flatnonzero(~keep)[:5]] = True
    few = survey.take(keep)
    before = few.data.copy()
    raked = ss.rake(few, {"region": {"north": 0.5, "south": 0.457, "west": 0.043}})
    reached = ss.observed_backgrounds(raked, by="region").set_index("background_id")["population_share"]
    assert reached["region=west"] == pytest.approx(0.043, abs=1e-9)
    pd.testing.assert_frame_equal(few.data, before)


def test_r_stops_where_ours_computes() -> None:
    assert R["covmat_of_calibrated"] == "number of items to replace is not a multiple of replacement length"
    assert R["many_ranks_of_replicates"] == "missing value where TRUE/FALSE needed"


def test_ties_in_r_depend_on_the_order_of_the_rows() -> None:
    filed, by_weight = (DIFFERENCES["nonvoters"]["rank_in_r"][order]["statistic"] for order in ("as_filed", "by_weight"))
    assert abs(filed - by_weight) > 0.01


def test_the_statistic_is_what_the_p_value_belongs_to() -> None:
    from scipy.special import chdtrc

    test = ss.survey_chisq(ss.load_example("nonvoters2020"), questions="Q8_8", groups="gender", statistic="Chisq").iloc[0]
    assert test["p_value"] == pytest.approx(chdtrc(test["df"], test["statistic"]))
    assert test["p_value"] == pytest.approx(DIFFERENCES["nonvoters"]["chisq"]["Chisq"]["p"])


def test_options_that_nobody_chose_vanish_and_a_table_of_one_row_is_refused() -> None:
    survey = small_survey()
    fewer = survey.take((survey.data["q1"] != 3).to_numpy())
    assert ss.survey_chisq(fewer, questions="q1", groups="gender", statistic="Chisq")["df"][0] == 2
    women = survey.take((survey.data["gender"] == "female").to_numpy())
    with pytest.raises(DesignError, match="1 rows and 4 columns that anyone is in"):
        ss.survey_chisq(women, questions="q1", groups="gender")
