"""Replicates adjusted one by one equal R's `withReplicates`; degrees of freedom, and how many replicates are enough, R's rules."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.design.adjustment import calibrate_design, given_replicates, rake_design
from surveysim.design.design import Design
from surveysim.design.estimators import Members, everyone, weighted_ratios
from surveysim.errors import DesignError, TableError
from tests.support.r_numbers import FOLDER, REFERENCE, TYPES, assert_equals_r, dummies, numbers, replicated, table
from tests.support.small_surveys import small_survey

R = json.loads((FOLDER / "r_replicates.json").read_text())
KNOWN = REFERENCE["calibration_targets"]


def _sample(kind: str) -> tuple[pd.DataFrame, Design]:
    frame, made = replicated("JKn_dstrat_nofpc" if kind == "JKn" else "JK1_dclus1_nofpc")
    if kind in ("JK1", "JKn"):
        return frame, made
    assert made.replicates is not None
    return frame, given_replicates(made, made.replicates.weights, method=kind, fay=0.5, mse=True)


@pytest.mark.parametrize("name", R["recomputed"])
def test_every_replicate_is_adjusted_as_withreplicates_does(name: str) -> None:
    how, kind = name.split("_")
    frame, sample = _sample(kind)
    if how == "raked":
        targets = [KNOWN["pop.types"], KNOWN["pop.schwide"]]
        groups = [np.array([list(to).index(level) for level in frame[of]]) for of, to in zip(("stype", "sch.wide"), targets, strict=True)]
        adjusted = rake_design(sample, groups, [np.array(list(to.values()), float) for to in targets], ["stype", "sch.wide"])
    else:
        margins = np.hstack([np.ones((len(frame), 1)), dummies(frame, "stype", ["H", "M"]), numbers(frame, ["api99"])])
        to = np.array([KNOWN["N"], KNOWN["pop.types"]["H"], KNOWN["pop.types"]["M"], KNOWN["api99_total"]], dtype=float)
        adjusted = calibrate_design(sample, margins, to)
    estimate, variance = weighted_ratios(everyone(adjusted), numbers(frame, ["api00"]))
    assert_equals_r({"estimate": estimate[0, 0], "se": np.sqrt(variance[0, 0])}, R["recomputed"][name], name)


@pytest.mark.parametrize("kind", ["JK1", "JKn"])
def test_degrees_of_freedom_are_rs_or_psus_less_strata_where_these_are_fewer(kind: str) -> None:
    frame, sample = _sample(kind)
    assert sample.degrees_of_freedom == R["df"][kind]["all"]
    inside = {"E": frame["stype"] == "E", "improved": frame["comp.imp"] == "No"}
    for name, chosen in inside.items():
        rows = np.flatnonzero(chosen)
        found = int(Members(sample, rows, np.zeros(len(rows), dtype=int), 1).degrees_of_freedom[0])
        units = frame.loc[chosen, "dnum"].nunique() - 1 if kind == "JK1" else len(rows) - frame.loc[chosen, "stype"].nunique()
        assert found == min(R["df"][kind][name], units)


def _bootstrapped() -> ss.Survey:
    frame = table("apiclus1").drop(columns="fpc")
    score = Question("api00", "Score", tuple(Option(int(code), str(code)) for code in sorted(frame["api00"].unique())))
    kinds = Trait("type", "stype", tuple(Level(level, level, (level,)) for level in TYPES))
    book = ss.Codebook("schools", "Schools", {"type": kinds}, {"api00": score}, weights=(Weight("pw"),), design=DesignVariables(psu="dnum"))
    factors = np.array(R["bootstrap"]["weights"])[pd.factorize(frame["dnum"])[0]]
    return ss.with_replicates(ss.as_survey(frame, book), factors, method="bootstrap", combined=False)


def test_replicates_needed_are_those_of_svrep() -> None:
    means = ss.survey_mean(_bootstrapped(), questions="api00", covariance=True)
    found = [ss.replicates_needed(means, target_cv=target) for target in (0.01, 0.05, 0.1)]
    assert found[0]["simulation_cv"][0] == pytest.approx(R["bootstrap"]["simulation_cv"], rel=1e-9)
    assert [int(one["replicates_needed"][0]) for one in found] == R["bootstrap"]["needed"]


def test_the_simulation_error_stated_is_that_of_drawing_again() -> None:
    survey, stated, variances = small_survey(design=True), [], []
    for seed in range(200, 240):
        shares = ss.response_distributions(
            ss.as_replicates(survey, method="bootstrap", n_replicates=100, seed=seed), questions="q1", covariance=True
        )
        stated.append(ss.replicates_needed(shares)["simulation_cv"].to_numpy())
        variances.append(np.square(shares["std_error"].to_numpy()))
    seen = np.std(variances, axis=0, ddof=1) / np.mean(variances, axis=0)
    np.testing.assert_allclose(np.mean(stated, axis=0).mean(), seen.mean(), rtol=0.2)


def test_rows_of_shares_have_their_own_number_and_empty_ones_none() -> None:
    survey = ss.as_replicates(small_survey(), method="bootstrap", n_replicates=50)
    shares = ss.response_distributions(survey, questions=["q1", "q2"], by="gender", covariance=True)
    found = ss.replicates_needed(shares)
    assert found[["question_id", "background_id", "option_code"]].equals(shares[["question_id", "background_id", "option_code"]])
    assert (found["replicates_needed"] > 100).all()
    assert found.attrs == {}
    with pytest.raises(TableError, match=r"table .*option_code"):
        ss.replicates_needed(shares.rename(columns={"option_code": "code"}))


def test_tables_that_no_bootstrap_made_are_refused() -> None:
    with pytest.raises(DesignError, match="table's variances are linearised"):
        ss.replicates_needed(ss.survey_mean(small_survey(), questions="q1", covariance=True))
    jackknifed = ss.as_replicates(small_survey(design=True), method="JKn")
    with pytest.raises(DesignError, match="of JKn replicates; only a bootstrap draws"):
        ss.replicates_needed(ss.survey_mean(jackknifed, questions="q1", covariance=True))
    with pytest.raises(TableError, match="carries no covariance of question 'q1'; make it with covariance=True"):
        ss.replicates_needed(ss.survey_mean(small_survey(), questions="q1"))
    with pytest.raises(DesignError, match="target_cv must lie between 0 and 1"):
        ss.replicates_needed(ss.survey_mean(small_survey(), questions="q1"), target_cv=5)


def test_the_full_samples_weight_is_no_replicate() -> None:
    survey = small_survey()
    columns = pd.DataFrame(np.ones((len(survey), 3)), columns=["PWWGT0", "PWWGT1", "PWWGT2"])
    with pytest.raises(DesignError, match="pwwgt0 is the weight of the full sample, not a replicate; leave the column out"):
        ss.with_replicates(survey, columns)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((1, 2, 4), "number 3 of 4 is not there"), ((1, 2, 2), "number 2 is there twice"), ((2, 3), "number 1 of 3 is not there")],
)
def test_some_of_a_releases_replicates_are_refused(numbers: tuple[int, ...], said: str) -> None:
    survey = small_survey()
    columns = pd.DataFrame(np.ones((len(survey), len(numbers))), columns=[f"PWGTP{number}" for number in numbers])
    with pytest.raises(DesignError, match=f"{said}; give each of the release's columns once"):
        ss.with_replicates(survey, columns)
