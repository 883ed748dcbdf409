"""R's numbers, the data they were made from, and how ours are compared with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.design.adjustment import calibrate_design, given_replicates, rake_design, replicate_design, trim_design
from surveysim.design.design import Design
from surveysim.design.estimators import Members, weighted_ratios, weighted_totals
from surveysim.tables.intervals import mean_intervals
from tests.support.r_random import bootstrap_factors

FOLDER = Path(__file__).parents[1] / "r"
DOMAINS = json.loads((FOLDER / "r_domains.json").read_text())
REFERENCE = json.loads((FOLDER / "r_reference.json").read_text())
RTOL = 1e-6
TYPES = ["E", "H", "M"]
ROUNDING_OF_ZERO = 1e-7  # what R's arithmetic leaves of a standard error that is zero


def assert_equals_r(ours: object, theirs: object, where: str = "") -> None:
    """Compare two nests of dicts, lists and numbers; a key that one of them lacks fails."""
    if isinstance(theirs, Mapping):
        assert isinstance(ours, Mapping), f"{where}: R has {sorted(theirs)}"
        assert set(ours) == set(theirs), f"{where}: only one side has {sorted(map(str, set(ours) ^ set(theirs)))}"
        for key in theirs:
            assert_equals_r(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(theirs, list):
        mine = list(np.ravel(ours))  # type: ignore[arg-type]
        assert len(mine) == len(theirs), where
        for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            assert_equals_r(a, b, f"{where}/{place}")
    elif abs(theirs) < ROUNDING_OF_ZERO:  # type: ignore[arg-type]
        assert abs(ours) < ROUNDING_OF_ZERO, f"{where}: {ours} where R has {theirs}"  # type: ignore[arg-type]
    else:
        assert abs(ours / theirs - 1) < RTOL, f"{where}: {ours} where R has {theirs}"  # type: ignore[operator]


@cache
def table(name: str) -> pd.DataFrame:
    """Return one of R's data sets, without its rows of missing `cds`."""
    return pd.read_csv(FOLDER / "inputs" / f"{name}.csv", dtype={"cds": str})


def numbers(frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    return frame[names].to_numpy(float)


def dummies(frame: pd.DataFrame, name: str, levels: list[str]) -> np.ndarray:
    return (frame[name].to_numpy(object)[:, None] == np.array(levels, dtype=object)).astype(float)


def means(members: Members, values: np.ndarray, names: list[str]) -> dict[str, dict[str, float]]:
    """Return R's `est(svymean(...))`."""
    estimate, variance = weighted_ratios(members, values)
    return {"estimate": dict(zip(names, estimate[0], strict=True)), "se": dict(zip(names, np.sqrt(variance[0]), strict=True))}


def totals(members: Members, values: np.ndarray, names: list[str]) -> dict[str, dict[str, float]]:
    """Return R's `est(svytotal(...))`."""
    estimate, variance = weighted_totals(members, values)
    return {"estimate": dict(zip(names, estimate[0], strict=True)), "se": dict(zip(names, np.sqrt(variance[0]), strict=True))}


def complete(design: Design, values: np.ndarray) -> tuple[Members, np.ndarray]:
    """Return the respondents without a missing value, all in one domain, and their values (R: ``na.rm=TRUE``)."""
    rows = np.flatnonzero(~np.isnan(values).any(axis=1))
    return Members(design, rows, np.zeros(len(rows), dtype=int), 1), values[rows]


def t_limits(members: Members, estimates: Mapping[str, Mapping[str, float]]) -> dict[str, list[float]]:
    df = np.array(float(members.design.degrees_of_freedom))
    return {
        name: [float(limit) for limit in mean_intervals(np.array(value), np.array(estimates["se"][name]), df)]
        for name, value in estimates["estimate"].items()
    }


@cache
def design(name: str) -> tuple[pd.DataFrame, Design]:
    """Return the data and design that `make_reference.R` calls by this name."""
    strat, clus1, clus2, nhanes = table("apistrat"), table("apiclus1"), table("apiclus2"), table("nhanes")
    weights, strata = strat["pw"].to_numpy(), strat["stype"].to_numpy(object)
    made = {
        "apistrat_fpc": lambda: (strat, Design(weights, strata=strata, fpc=strat["fpc"].to_numpy())),
        "apistrat_nofpc": lambda: (strat, Design(weights, strata=strata)),
        "apiclus1_fpc": lambda: (clus1, Design(clus1["pw"].to_numpy(), psu=clus1["dnum"].to_numpy(), fpc=clus1["fpc"].to_numpy())),
        "apiclus1_nofpc": lambda: (clus1, Design(clus1["pw"].to_numpy(), psu=clus1["dnum"].to_numpy())),
        "apiclus2_2stage_fpc": lambda: (
            clus2,
            Design.from_fractions(clus2[["fpc1", "fpc2"]].to_numpy(), psu=clus2[["dnum", "snum"]].to_numpy()),
        ),
        "nhanes": lambda: (
            nhanes,
            Design(nhanes["WTMEC2YR"].to_numpy(), strata=nhanes["SDMVSTRA"].to_numpy(), psu=nhanes["SDMVPSU"].to_numpy()),
        ),
    }
    return made[name]()


def _margins(frame: pd.DataFrame, *names: str) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    known = REFERENCE["calibration_targets"]
    targets = {"stype": known["pop.types"], "sch.wide": known["pop.schwide"]}
    groups = [np.array([list(targets[name]).index(level) for level in frame[name]]) for name in names]
    return groups, [np.array(list(targets[name].values()), dtype=float) for name in names], list(names)


@cache
def calibrated(name: str) -> Design:
    """Return the design of ``REFERENCE["calibration"][name]``."""
    frame, with_fpc = design("apiclus1_fpc")
    without = design("apiclus1_nofpc")[1]
    level = dummies(frame, "stype", ["H", "M"])
    intercept = np.ones((len(frame), 1))
    types, grades = np.hstack([intercept, level]), np.hstack([intercept, level, numbers(frame, ["api99"])])
    known = REFERENCE["calibration_targets"]
    count = [known["N"], known["pop.types"]["H"], known["pop.types"]["M"]]
    to_types, to_grades = np.array(count, dtype=float), np.array([*count, known["api99_total"]], dtype=float)
    both = _margins(frame, "stype", "sch.wide")
    made = {
        "postStratify_dclus1_stype": lambda: rake_design(with_fpc, *_margins(frame, "stype")),
        "postStratify_dclus1nofpc_stype": lambda: rake_design(without, *_margins(frame, "stype")),
        "rake_dclus1_stype_schwide": lambda: rake_design(with_fpc, *both),
        "rake_dclus1nofpc_stype_schwide": lambda: rake_design(without, *both),
        "calibrate_linear_stype": lambda: calibrate_design(with_fpc, types, to_types),
        "calibrate_linear_stype_api99": lambda: calibrate_design(with_fpc, grades, to_grades),
        "calibrate_raking_stype_api99": lambda: calibrate_design(with_fpc, grades, to_grades, method="raking"),
        "calibrate_logit_bounds_stype_api99": lambda: calibrate_design(with_fpc, grades, to_grades, method="logit", bounds=(0.5, 2)),
        "trimWeights_after_rake_20_45": lambda: trim_design(rake_design(with_fpc, *both), lower=20, upper=45),
    }
    return made[name]()


@cache
def replicated(name: str) -> tuple[pd.DataFrame, Design]:
    """Return the data and design of ``REFERENCE["replicate"][name]``."""
    (clus1, clus1_fpc), clus1_nofpc = design("apiclus1_fpc"), design("apiclus1_nofpc")[1]
    (strat, strat_fpc), strat_nofpc = design("apistrat_fpc"), design("apistrat_nofpc")[1]
    made = {
        "JK1_dclus1_fpc": lambda: (clus1, replicate_design(clus1_fpc, "JK1")),
        "JK1_dclus1_nofpc": lambda: (clus1, replicate_design(clus1_nofpc, "JK1")),
        "JKn_dstrat_nofpc": lambda: (strat, replicate_design(strat_nofpc, "JKn")),
        "JKn_dstrat_fpc": lambda: (strat, replicate_design(strat_fpc, "JKn")),
        "subbootstrap500_dclus1_nofpc": lambda: (clus1, _bootstrapped(clus1_nofpc, 0)),
        "subbootstrap500_dstrat_nofpc": lambda: (strat, _bootstrapped(strat_nofpc, 1)),
        "BRR_scd": _half_samples,
        "JK1_nofpc_then_rake": lambda: (clus1, rake_design(replicate_design(clus1_nofpc, "JK1"), *_margins(clus1, "stype", "sch.wide"))),
        "JK1_nofpc_then_postStratify": lambda: (clus1, rake_design(replicate_design(clus1_nofpc, "JK1"), *_margins(clus1, "stype"))),
    }
    return made[name]()


@cache
def with_domains(name: str) -> tuple[pd.DataFrame, Design]:
    """Return the data and design that `make_domains.R` calls by this name."""
    (clus1, finite), free = design("apiclus1_fpc"), design("apiclus1_nofpc")[1]
    strat, stratified = design("apistrat_fpc")
    known = REFERENCE["calibration_targets"]
    by_grade = np.array([known["N"], known["api99_total"]], dtype=float)
    raked = rake_design(finite, *_margins(clus1, "stype", "sch.wide"))

    def graded(sample: Design, frame: pd.DataFrame) -> Design:
        return calibrate_design(sample, np.hstack([np.ones((len(frame), 1)), numbers(frame, ["api99"])]), by_grade)

    made = {
        "postStratify_wide": lambda: (clus1, rake_design(finite, *_margins(clus1, "sch.wide"))),
        "rake": lambda: (clus1, raked),
        "calibrate_linear": lambda: (clus1, calibrated("calibrate_linear_stype_api99")),
        "calibrate_logit": lambda: (clus1, calibrated("calibrate_logit_bounds_stype_api99")),
        "calibrate_strat": lambda: (strat, graded(stratified, strat)),
        "JKn_strat": lambda: (strat, replicate_design(stratified, "JKn")),
        "JK1_raked": lambda: (clus1, rake_design(replicate_design(free, "JK1"), *_margins(clus1, "stype", "sch.wide"))),
        "rake_then_calibrate": lambda: (clus1, graded(raked, clus1)),
        "calibrate_then_postStratify": lambda: (clus1, rake_design(graded(finite, clus1), *_margins(clus1, "sch.wide"))),
    }
    return made[name]()


def by_type(frame: pd.DataFrame, sample: Design, values: np.ndarray, names: list[str]) -> dict[str, dict[str, float]]:
    """Return R's ``svyby(..., ~stype, design, svymean)``."""
    domain = np.array([TYPES.index(level) for level in frame["stype"]])
    estimate, variance = weighted_ratios(Members(sample, np.arange(len(frame)), domain, len(TYPES)), values)
    labels = [f"{level}{name}" for name in names for level in TYPES]
    return {
        "estimate": dict(zip(labels, estimate.T.ravel(), strict=True)),
        "se": dict(zip(labels, np.sqrt(variance).T.ravel(), strict=True)),
    }


def _bootstrapped(sample: Design, call: int) -> Design:
    clus1, strat = table("apiclus1"), table("apistrat")
    calls = [(clus1["dnum"].tolist(), [0] * len(clus1)), (list(range(len(strat))), strat["stype"].tolist())]
    factors = bootstrap_factors(calls, replicates=500, seed=20261123)[call]
    return given_replicates(sample, factors, method="bootstrap", combined=False)


def _half_samples() -> tuple[pd.DataFrame, Design]:
    halves = 2.0 * np.array([[1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 0, 1], [0, 1, 0, 1, 1, 0]]).T
    scd = table("scd")
    equal = Design(np.ones(len(scd)), strata=scd["ESA"].to_numpy(), psu=scd["ambulance"].to_numpy())
    return scd, given_replicates(equal, halves, method="BRR", combined=False)


def one_domain(sample: Design, mask: np.ndarray) -> Members:
    """Return some respondents as a domain."""
    rows = np.flatnonzero(mask)
    return Members(sample, rows, np.zeros(len(rows), dtype=int), 1)
