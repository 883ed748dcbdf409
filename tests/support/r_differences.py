"""R's tests of difference and contrasts, and ours on the same data: `make_differences.R` has the calls."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from surveysim.design.adjustment import given_replicates, replicate_design
from surveysim.design.chi_square import goodness_of_fit, independence
from surveysim.design.design import Design
from surveysim.design.estimators import Members
from surveysim.design.outcomes import Outcome
from surveysim.design.rank_tests import difference_test, mean_test, rank_test
from surveysim.tables.intervals import mean_intervals
from tests.support.r_numbers import FOLDER, REFERENCE, TYPES, calibrated, design, numbers, one_domain, replicated, table

DIFFERENCES = json.loads((FOLDER / "r_differences.json").read_text())
STATISTICS = ("F", "Chisq", "Wald", "adjWald")
TWO_GROUPS = ("wilcoxon", "vander_waerden", "median")


def f_of(found: Outcome) -> dict[str, Any]:
    """Return R's ``f_of``."""
    df = [found.df] if np.isnan(found.df_denominator) else [found.df, found.df_denominator]
    return {"statistic": found.statistic, "df": df if len(df) > 1 else df[0], "p": found.p_value}


def t_of(found: Outcome, *, interval: bool = True) -> dict[str, Any]:
    """Return R's ``t_of``."""
    numbers_of = {"statistic": found.statistic, "df": found.df, "p": found.p_value, "estimate": found.estimate, "se": found.std_error}
    low, high = mean_intervals(np.array(found.estimate), np.array(found.std_error), np.array(found.df))
    return {**numbers_of, "conf": [float(low), float(high)]} if interval else numbers_of


def coded(values: pd.Series, levels: list[Any]) -> np.ndarray:
    return np.array([levels.index(value) for value in values])


def chisq_of(members: Members, row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> dict[str, Any]:
    """Return R's ``chisq_of``."""
    found = {name: independence(members, row, column, shape, name) for name in STATISTICS}
    return {**{name: f_of(one) for name, one in found.items()}, "cramers_v": found["F"].estimate}


def gof_of(members: Members, choice: np.ndarray, shares: list[float]) -> dict[str, float]:
    """Return R's ``gof_of``; ours divides the statistic by R's scale, and has no scale of its own."""
    found = goodness_of_fit(members, choice, np.array(shares), "Chisq")
    total = float(members.weights.sum())
    pearson = found.estimate**2 * total
    return {"x2": pearson, "scale": pearson / found.statistic, "df": found.df, "p": found.p_value}


def ranks_of(members: Members, values: np.ndarray, group: np.ndarray) -> dict[str, Any]:
    return {name: t_of(rank_test(members, values, group, 2, name), interval=False) for name in TWO_GROUPS}


def many_ranks_of(members: Members, values: np.ndarray, group: np.ndarray, n_groups: int) -> dict[str, Any]:
    return {name: f_of(rank_test(members, values, group, n_groups, name)) for name in ("kruskal", "vander_waerden")}


def school_test(frame: pd.DataFrame, sample: Design, statistic: str, theirs: Any, *, adjusted: bool = False) -> Any:
    """Return one entry of R's ``all_of``, or of what it makes of calibrated weights and of lonely PSUs (contrasts apart)."""
    wide, improved, awards = (coded(frame[name], ["No", "Yes"]) for name in ("sch.wide", "comp.imp", "awards"))
    kind, band = coded(frame["stype"], TYPES), np.digitize(frame["api99"], [600, 700], right=True)
    score = numbers(frame, ["api00"])[:, 0]
    every, elementary = one_domain(sample, np.ones(len(frame), dtype=bool)), one_domain(sample, kind == 0)
    own = elementary.rows
    other = (improved, awards, (2, 2)) if adjusted else (wide, kind, (2, 3)) if sample.lonely_psu == "fail" else (wide, improved, (2, 2))
    fitted = (improved, [0.3, 0.7]) if adjusted or sample.lonely_psu != "fail" else (band, [0.4, 0.3, 0.3])
    many = isinstance(theirs, dict) and theirs.get("many")
    return {
        "chisq": lambda: chisq_of(every, *other),
        "chisq_E": lambda: chisq_of(elementary, wide[own], improved[own], (2, 2)),
        "gof": lambda: gof_of(every, *fitted),
        "gof_E": lambda: gof_of(elementary, improved[own], [0.3, 0.7]),
        "t_one": lambda: t_of(mean_test(every, score, 650.0)),
        "t_two": lambda: t_of(difference_test(every, score, improved)),
        "t_two_E": lambda: t_of(difference_test(elementary, score[own], improved[own])),
        "rank": lambda: (
            {"two": ranks_of(every, score, improved), "many": many_ranks_of(every, score, kind, 3) if many else {}}
            if "two" in theirs
            else ranks_of(every, score, improved)
        ),
        "rank_E": lambda: ranks_of(elementary, score[own], improved[own]),
    }[statistic]()


def sample_of(section: str, name: str) -> tuple[pd.DataFrame, Design]:
    """Return the data and design of an entry of `DIFFERENCES`."""
    if section == "calibrated":
        return design("apiclus1_fpc")[0], calibrated(name)
    if section == "lonely":
        frame = table("apistrat_lonely")
        return frame, Design(frame["pw"].to_numpy(), strata=frame["stype"].to_numpy(object), lonely_psu=name)
    if name.endswith("_given"):
        frame, jackknifed = replicated("JK1_dclus1_nofpc")
        assert jackknifed.replicates is not None
        method, about_full = name.split("_")[0], "_mse" in name
        weights = jackknifed.replicates.weights
        columns = weights[:, np.argsort((weights == 0).argmax(axis=0))]  # R leaves PSUs out in the order of the rows
        rule: dict[str, Any] = {"scale": 0.04, "rscales": np.linspace(0.5, 1.5, columns.shape[1])} if method == "other" else {}
        return frame, given_replicates(jackknifed, columns, method=method, fay=0.5, mse=about_full, **rule)
    return design(name) if name in REFERENCE["designs"] else replicated(name)


def health_sample(name: str) -> tuple[pd.DataFrame, Design]:
    """Return NHANES linearised; or with balanced half samples, without the third PSU of the one stratum that has three."""
    frame, sample = design("nhanes")
    if name == "linearised":
        return frame, sample
    paired = frame[frame["SDMVPSU"] <= 2]
    strata, units = paired["SDMVSTRA"].to_numpy(), paired["SDMVPSU"].to_numpy()
    return paired, replicate_design(Design(paired["WTMEC2YR"].to_numpy(), strata=strata, psu=units), name, fay=0.3)


def health_test(frame: pd.DataFrame, sample: Design, statistic: str) -> Any:
    """Return one entry of R's ``of_nhanes``."""
    known, old = frame["HI_CHOL"].notna().to_numpy(), (frame["agecat"] == "(59,Inf]").to_numpy()
    members = one_domain(sample, known & old if statistic.endswith("_old") else known)
    own = frame.iloc[members.rows]
    high, race, sex = (own[name].to_numpy(int) for name in ("HI_CHOL", "race", "RIAGENDR"))
    return {
        "chisq": lambda: chisq_of(members, high, race - 1, (2, 4)),
        "chisq_old": lambda: chisq_of(members, high, sex - 1, (2, 2)),
        "gof": lambda: gof_of(members, race - 1, [0.1, 0.7, 0.1, 0.1]),
        "t_two": lambda: t_of(difference_test(members, high.astype(float), sex - 1)),
        "t_two_old": lambda: t_of(difference_test(members, high.astype(float), sex - 1)),
        "rank": lambda: {name: one for name, one in ranks_of(members, high.astype(float), sex - 1).items() if name != "median"},
    }[statistic]()


def entries(section: str, kinds: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return section, name and statistic of what R has, of some kinds of statistic."""
    return [(section, name, key) for name, found in DIFFERENCES[section].items() for key in found if key.startswith(kinds)]
