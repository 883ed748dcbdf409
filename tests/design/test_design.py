"""Designs: estimates and standard errors equal R's, and variance is what its definition says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.design.adjustment import calibrate_design, given_replicates, rake_design, replicate_design
from surveysim.design.design import Design, kish_n_eff
from surveysim.design.estimators import (
    Members,
    everyone,
    quantile_intervals,
    simple_random_variances,
    weighted_quantile,
    weighted_ratios,
    weighted_totals,
)
from surveysim.errors import DesignError
from surveysim.tables.intervals import mean_intervals, share_intervals
from tests.support.r_numbers import (
    DOMAINS,
    FOLDER,
    REFERENCE,
    TYPES,
    assert_equals_r,
    by_type,
    complete,
    design,
    dummies,
    means,
    numbers,
    one_domain,
    replicated,
    t_limits,
    table,
    totals,
    with_domains,
)
from tests.support.r_random import RRandom, bootstrap_factors

GRADES = ["api00", "api99", "enroll"]

NOT_COVERED = {  # neither an estimate nor a standard error: a test holds that
    "svychisq_schwide_stype_F": "a test of independence: test_chi_square has it",
    "svychisq_schwide_stype_RaoScott1": "a test of independence: test_chi_square has it",
    "svychisq": "a test of independence: test_chi_square has it",
}
NOT_COVERED_SHARE_INTERVALS = {"likelihood", "beta"}  # intervals only: surveysim has the logit interval


def _mean_of(frame: pd.DataFrame, sample: Design) -> dict[str, object]:
    members, values = complete(sample, numbers(frame, GRADES))
    out: dict[str, object] = means(members, values, GRADES)
    variance = weighted_ratios(members, values)[1][0] / simple_random_variances(members, values)[0]
    return {**out, "deff": dict(zip(GRADES, variance, strict=True)), "df": sample.degrees_of_freedom}


def _limits(frame: pd.DataFrame, sample: Design) -> dict[str, list[float]]:
    return t_limits(everyone(sample), _mean_of(frame, sample))  # type: ignore[arg-type]


def _quantiles(frame: pd.DataFrame, sample: Design) -> dict[str, object]:
    rows = {}
    for level in ("0.1", "0.25", "0.5", "0.75", "0.9"):
        found, std_error, low, high = quantile_intervals(everyone(sample), frame["api00"].to_numpy(float), float(level))
        rows[level] = {"quantile": found[0], "ci.2.5": low[0], "ci.97.5": high[0], "se": std_error[0]}
    return {"table": rows}


def _quantiles_by_rule(frame: pd.DataFrame, sample: Design) -> dict[str, object]:
    values = frame["api00"].to_numpy(float)
    return {
        rule: {level: weighted_quantile(values, sample.weights, float(level), rule) for level in ("0.1", "0.25", "0.5", "0.75", "0.9")}
        for rule in ("math", "school", "hf1", "hf4", "hf5", "hf7", "hf8")
    }


def _variance_of_api00(frame: pd.DataFrame, sample: Design) -> dict[str, float]:
    """R's `svyvar`: the mean of squared deviations, times n / (n - 1)."""
    values, n = numbers(frame, ["api00"]), len(frame)
    deviations = np.square(values - weighted_ratios(everyone(sample), values)[0]) * n / (n - 1)
    estimate, variance = weighted_ratios(everyone(sample), deviations)
    return {"estimate": estimate[0, 0], "se": np.sqrt(variance[0, 0])}


def _share_interval(frame: pd.DataFrame, sample: Design) -> dict[str, object]:
    members = everyone(sample)
    share, variance = weighted_ratios(members, dummies(frame, "sch.wide", ["Yes"]))
    low, high = share_intervals(share, np.sqrt(variance), members.degrees_of_freedom, members.counts()[1])
    logit = {"p": share[0, 0], "ci": [low[0, 0], high[0, 0]]}  # R's two logit methods agree to its convergence, 1e-9
    limits = mean_intervals(share, np.sqrt(variance), np.array(float(sample.degrees_of_freedom)))
    return {"logit": logit, "xlogit": logit, "mean": {"p": share[0, 0], "ci": [limit[0, 0] for limit in limits]}}


def _normal_limits(frame: pd.DataFrame, sample: Design) -> dict[str, list[float]]:
    """R's intervals by the normal quantile, its default: those of infinitely many degrees of freedom."""
    found = _mean_of(frame, sample)
    errors, infinite = found["se"], np.array(np.inf)
    pairs = found["estimate"].items()  # type: ignore[attr-defined]
    return {name: [float(limit) for limit in mean_intervals(np.array(value), np.array(errors[name]), infinite)] for name, value in pairs}  # type: ignore[index]


def _regression(frame: pd.DataFrame, sample: Design) -> dict[str, dict[str, float]]:
    """R's ``svyglm(api00 ~ ell + meals + mobility)``: Taylor linearisation of weighted least squares, by the design's own variance.

    The influence of a respondent on the coefficients is ``(X'WX)^-1 x e``; the variance is that of its weighted total.
    """
    names = ["ell", "meals", "mobility"]
    x, y, w = np.column_stack([np.ones(len(frame)), numbers(frame, names)]), frame["api00"].to_numpy(float), sample.weights
    inverse = np.linalg.inv(x.T @ (w[:, None] * x))
    beta = inverse @ (x.T @ (w * y))
    variance = weighted_totals(everyone(sample), x * (y - x @ beta)[:, None] @ inverse)[1][0]
    labels = ["(Intercept)", *names]
    return {"estimate": dict(zip(labels, beta, strict=True)), "se": dict(zip(labels, np.sqrt(variance), strict=True))}


def _ratio(frame: pd.DataFrame, sample: Design) -> dict[str, float]:
    estimate, variance = weighted_ratios(everyone(sample), numbers(frame, ["api00"]), numbers(frame, ["api99"]))
    return {"estimate": estimate[0, 0], "se": np.sqrt(variance[0, 0])}


def _labelled(prefix: str, levels: list[str]) -> list[str]:
    return [f"{prefix}{level}" for level in levels]


OF_DESIGNS: dict[str, Callable[[pd.DataFrame, Design], object]] = {
    "svymean": _mean_of,
    "svymean_ci_t": _limits,
    "svymean_ci_normal": _normal_limits,
    "svyglm_gauss": _regression,
    "svytotal": lambda f, d: totals(everyone(d), numbers(f, GRADES[:2]), GRADES[:2]),
    "svytotal_stype": lambda f, d: totals(everyone(d), dummies(f, "stype", TYPES), _labelled("stype", TYPES)),
    "svymean_stype": lambda f, d: means(everyone(d), dummies(f, "stype", TYPES), _labelled("stype", TYPES)),
    "svymean_schwide": lambda f, d: means(everyone(d), dummies(f, "sch.wide", ["No", "Yes"]), ["sch.wideNo", "sch.wideYes"]),
    "svyratio": _ratio,
    "svyby_api00_stype": lambda f, d: by_type(f, d, numbers(f, ["api00"]), [""]),
    "svyby_schwide_stype": lambda f, d: by_type(f, d, dummies(f, "sch.wide", ["No", "Yes"]), [":sch.wideNo", ":sch.wideYes"]),
    "subset_stypeE_svymean": lambda f, d: means(
        one_domain(d, (f["stype"] == "E").to_numpy()), numbers(f[f["stype"] == "E"], GRADES[:2]), GRADES[:2]
    ),
    "svyquantile_api00": _quantiles,
    "svyquantile_api00_by_qrule": _quantiles_by_rule,
    "svyvar_api00": _variance_of_api00,
    "svyciprop_schwide_Yes": _share_interval,
}


@pytest.mark.parametrize(("name", "statistic"), [(name, key) for name in REFERENCE["designs"] for key in REFERENCE["designs"][name]])
def test_designs_equal_r(name: str, statistic: str) -> None:
    theirs = REFERENCE["designs"][name][statistic]
    if statistic in NOT_COVERED:
        assert statistic not in OF_DESIGNS
        return
    if statistic == "svyciprop_schwide_Yes":
        theirs = {method: found for method, found in theirs.items() if method not in NOT_COVERED_SHARE_INTERVALS}
    assert_equals_r(OF_DESIGNS[statistic](*design(name)), theirs, f"{name}/{statistic}")


def _nhanes_by(*names: str) -> dict[str, dict[str, float]]:
    frame, sample = design("nhanes")
    groups = frame[list(names)].astype(str).agg(".".join, axis=1)
    members, values = complete(sample, numbers(frame, ["HI_CHOL"]))
    levels = sorted(groups.unique())
    domain = np.array([levels.index(level) for level in groups.iloc[members.rows]])
    estimate, variance = weighted_ratios(Members(sample, members.rows, domain, len(levels)), values)
    return {
        "estimate": dict(zip(levels, estimate[:, 0], strict=True)),
        "se": dict(zip(levels, np.sqrt(variance[:, 0]), strict=True)),
    }


def _nhanes_mean() -> dict[str, object]:
    frame, sample = design("nhanes")
    return {**means(*complete(sample, numbers(frame, ["HI_CHOL"])), ["HI_CHOL"]), "df": sample.degrees_of_freedom}


def _nhanes_old() -> dict[str, object]:
    frame, sample = design("nhanes")
    old = one_domain(sample, (frame["HI_CHOL"].notna() & (frame["agecat"] == "(59,Inf]")).to_numpy())
    return means(old, numbers(frame.iloc[old.rows], ["HI_CHOL"]), ["HI_CHOL"])


def _nhanes_table() -> dict[tuple[str, str], float]:
    frame, sample = design("nhanes")
    members, values = complete(sample, numbers(frame, ["HI_CHOL"]))
    ages = sorted(frame["agecat"].unique())
    level = dummies(frame.iloc[members.rows], "agecat", ages)
    sums = {high: weighted_totals(members, level * (values == high))[0][0] for high in (0, 1)}
    return {(age, str(high)): sums[high][place] for high in (0, 1) for place, age in enumerate(ages)}


def _nhanes_ages() -> dict[str, object]:
    frame, sample = design("nhanes")
    ages = sorted(frame["agecat"].unique())
    return means(everyone(sample), dummies(frame, "agecat", ages), _labelled("agecat", ages))


OF_NHANES: dict[str, Callable[[], object]] = {
    "svymean_HI_CHOL": _nhanes_mean,
    "svyby_HI_CHOL_race": lambda: _nhanes_by("race"),
    "svyby_HI_CHOL_agecat_sex": lambda: _nhanes_by("agecat", "RIAGENDR"),
    "svytable_agecat_chol": _nhanes_table,
    "svymean_agecat": _nhanes_ages,
    "subset_complete_svymean": _nhanes_old,
}


@pytest.mark.parametrize("statistic", sorted(set(REFERENCE["nhanes"]) - {"design"}))
def test_nhanes_equals_r(statistic: str) -> None:
    theirs = REFERENCE["nhanes"][statistic]
    if statistic in NOT_COVERED:
        assert statistic not in OF_NHANES
        return
    if statistic == "svytable_agecat_chol":
        theirs = {(row["agecat"], row["HI_CHOL"]): row["Freq"] for row in theirs}
    assert_equals_r(OF_NHANES[statistic](), theirs, statistic)


@pytest.mark.parametrize("treatment", list(REFERENCE["lonely"]))
def test_lonely_psus_equal_r(treatment: str) -> None:
    frame = table("apistrat_lonely")
    sample = Design(frame["pw"].to_numpy(), strata=frame["stype"].to_numpy(object), lonely_psu=treatment)
    assert_equals_r(means(everyone(sample), numbers(frame, ["api00"]), ["api00"]), REFERENCE["lonely"][treatment])


def test_a_lonely_psu_fails_by_default_and_is_named() -> None:
    frame = table("apistrat_lonely")
    sample = Design(frame["pw"].to_numpy(), strata=frame["stype"].to_numpy(object))
    with pytest.raises(DesignError, match=r"single one in 1 of 3: stratum M; join strata, or set lonely_psu to one of remove, adjust"):
        weighted_ratios(everyone(sample), numbers(frame, ["api00"]))


def _replicate_statistic(name: str, statistic: str) -> object:
    frame, sample = replicated(name)
    assert sample.replicates is not None
    if statistic == "median":
        found, std_error, _, _ = quantile_intervals(everyone(sample), frame["api00"].to_numpy(float), 0.5)
        return {"estimate": {"api00": found[0]}, "se": {"api00": std_error[0]}}
    if statistic == "svyratio":
        estimate, variance = weighted_ratios(everyone(sample), numbers(frame, ["alive"]), numbers(frame, ["arrests"]))
        return {"estimate": estimate[0, 0], "se": np.sqrt(variance[0, 0])}
    names = ["alive", "arrests"] if name == "BRR_scd" else ["enroll"]
    return {
        "svymean": lambda: means(everyone(sample), numbers(frame, GRADES[:2]), GRADES[:2]),
        "svytotal": lambda: totals(everyone(sample), numbers(frame, names), names),
        "nrep": lambda: sample.replicates.weights.shape[1],
        "scale": lambda: sample.replicates.scale,
        "rscales_head": lambda: sample.replicates.rscales[:3],
    }[statistic]()


@pytest.mark.parametrize(("name", "statistic"), [(name, key) for name in REFERENCE["replicate"] for key in REFERENCE["replicate"][name]])
def test_replicates_equal_r(name: str, statistic: str) -> None:
    assert_equals_r(_replicate_statistic(name, statistic), REFERENCE["replicate"][name][statistic], f"{name}/{statistic}")


def test_every_section_of_the_reference_is_tested() -> None:
    assert set(REFERENCE) == {"meta", "designs", "calibration", "calibration_targets", "replicate", "nhanes", "lonely"}


def _keys(nest: object) -> set[str]:
    return {str(key) for key in nest} | {key for part in nest.values() for key in _keys(part)} if isinstance(nest, dict) else set()


def test_no_estimate_or_standard_error_of_r_is_left_out() -> None:
    """An entry of the reference is compared whole (`assert_equals_r`), or is in `NOT_COVERED` and holds neither."""
    sections = [*REFERENCE["designs"].values(), REFERENCE["nhanes"]]
    left_out = [found for section in sections for name, found in section.items() if name in NOT_COVERED]
    assert len(left_out) == 2 * len(REFERENCE["designs"]) + 1
    for found in left_out:
        assert not _keys(found) & {"estimate", "se", "SE", "mean", "total"}, found
    for section in REFERENCE["designs"].values():
        assert set(section) == set(OF_DESIGNS) | (set(NOT_COVERED) - {"svychisq"})
        assert set(section["svyciprop_schwide_Yes"]) == {"logit", "xlogit", "mean", *NOT_COVERED_SHARE_INTERVALS}
    assert set(REFERENCE["nhanes"]) == {"design", "svychisq", *OF_NHANES}


def test_jackknife_weights_equal_r() -> None:
    theirs = table("repweights_JK1_dclus1_nofpc").drop(columns="cds").to_numpy(float)
    sample = replicated("JK1_dclus1_nofpc")[1]
    ours = sample.replicates.weights  # type: ignore[union-attr]
    order = [int(np.flatnonzero(ours[np.flatnonzero(column == 0)[0]] == 0)[0]) for column in theirs.T]
    np.testing.assert_allclose(ours[:, order], theirs, rtol=1e-12)


def test_rs_random_numbers_are_rs() -> None:
    # sample(1:10) after set.seed(42) in R >= 3.6, printed in many tutorials
    assert RRandom(42).sample(range(1, 11)) == [1, 5, 10, 8, 2, 4, 6, 9, 7, 3]


def test_bootstrap_weights_equal_r(shared_reference: Path) -> None:
    theirs = pd.read_csv(shared_reference / "inputs" / "repweights_subbootstrap500_dstrat_nofpc.csv").iloc[:, 1:].to_numpy(float)
    np.testing.assert_allclose(replicated("subbootstrap500_dstrat_nofpc")[1].replicates.weights, theirs, rtol=1e-10)  # type: ignore[union-attr]
    assert len(bootstrap_factors([([1, 2], [0, 0])], replicates=3, seed=1)) == 1


def test_the_numbers_here_are_the_numbers_beside_the_project(shared_reference: Path) -> None:
    for name in ("r_reference.json", "r_reference_ess9no.json"):
        assert json.loads((FOLDER / name).read_text()) == json.loads((shared_reference / name).read_text())


# --- domains of calibrated and replicate-weighted designs

DESIGNS_WITH_DOMAINS = sorted(set(DOMAINS) - {"chain", "interval", "df"})


@pytest.mark.parametrize("name", DESIGNS_WITH_DOMAINS)
def test_domains_of_adjusted_designs_equal_r(name: str) -> None:
    frame, sample = with_domains(name)
    ours = {
        "api00": by_type(frame, sample, numbers(frame, ["api00"]), [""]),
        "schwide": by_type(frame, sample, dummies(frame, "sch.wide", ["No", "Yes"]), [":sch.wideNo", ":sch.wideYes"]),
        "all": means(everyone(sample), numbers(frame, ["api00"]), ["api00"]),
        "total": totals(everyone(sample), numbers(frame, ["enroll"]), ["enroll"]),
    }
    assert_equals_r(ours, DOMAINS[name], name)


def test_intervals_and_degrees_of_freedom_of_domains_equal_r() -> None:
    for short, name in {"clus": "apiclus1_fpc", "strat": "apistrat_fpc", "raked": "rake"}.items():
        frame, sample = with_domains("rake") if short == "raked" else design(name)
        for level in TYPES:
            members = one_domain(sample, (frame["stype"] == level).to_numpy())
            share, variance = weighted_ratios(members, dummies(frame.iloc[members.rows], "sch.wide", ["Yes"]))
            low, high = share_intervals(share, np.sqrt(variance), members.degrees_of_freedom, members.counts()[1])
            ours = {"df": members.degrees_of_freedom[0], "ci": [low[0, 0], high[0, 0]]}
            assert_equals_r(ours, DOMAINS["interval"][level][short], f"{level}/{short}")
    assert_equals_r({name: with_domains(name)[1].degrees_of_freedom for name in DOMAINS["df"]}, DOMAINS["df"])


@pytest.mark.parametrize("name", list(DOMAINS["chain"]))
def test_of_two_calibrations_the_later_is_taken_out_first(name: str) -> None:
    """The estimate is R's; the error is not: R's `survey` takes the earlier calibration out first.

    What varies after the later calibration is its residual, and that residual is what the earlier one acted on.
    """
    frame, sample = with_domains(name)
    ours, theirs = means(everyone(sample), numbers(frame, ["api00"]), ["api00"]), DOMAINS["chain"][name]
    assert_equals_r(ours["estimate"], theirs["estimate"])
    reversed_order = replace(sample, calibrations=sample.calibrations[::-1])
    assert_equals_r(means(everyone(reversed_order), numbers(frame, ["api00"]), ["api00"]), theirs)
    assert ours["se"]["api00"] != pytest.approx(theirs["se"]["api00"], rel=0.005)


def test_two_calibrations_on_many_samples() -> None:
    """Over repeated samples the error with the later calibration taken out first is the spread of the estimate."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=20_000)
    above = (x + generator.normal(size=len(x)) > 0).astype(int)
    y = x + above + generator.normal(size=len(x))
    margins = np.column_stack([np.ones(len(x)), x])
    estimates, later_first, earlier_first = [], [], []
    for _ in range(1500):
        drawn = generator.choice(len(x), 100, replace=False)
        raked = rake_design(Design(np.full(100, len(x) / 100)), [above[drawn]], [np.bincount(above).astype(float)], ["above"])
        both = calibrate_design(raked, margins[drawn], margins.sum(axis=0))
        estimate, variance = weighted_ratios(everyone(both), y[drawn, None])
        estimates.append(estimate[0, 0])
        later_first.append(variance[0, 0])
        earlier_first.append(weighted_ratios(everyone(replace(both, calibrations=both.calibrations[::-1])), y[drawn, None])[1][0, 0])
    spread = np.std(estimates)
    off = [abs(np.sqrt(np.mean(variances)) / spread - 1) for variances in (later_first, earlier_first)]
    assert off[0] < 0.04
    assert off[0] < off[1]


# --- the definition, in the slowest and plainest way


def _plain_variance(sample: Design, z: np.ndarray) -> float:
    """Variance of a sum for one stage of sampling: sum over strata of (1 - f) n / (n - 1) sum (t - mean)^2."""
    strata = np.zeros(len(z)) if sample.strata is None else sample.strata[:, 0]
    psu = np.arange(len(z)) if sample.psu is None else sample.psu[:, 0]
    variance = 0.0
    for stratum in np.unique(strata):
        inside = strata == stratum
        sums = np.array([z[inside & (psu == unit)].sum() for unit in np.unique(psu[inside])])
        fraction = 0.0 if sample.fpc is None else len(sums) / sample.fpc[inside, 0][0]
        variance += (1 - fraction) * len(sums) / (len(sums) - 1) * np.square(sums - sums.mean()).sum()
    return variance


def _random_design(seed: int, n: int = 60) -> tuple[Design, np.random.Generator]:
    generator = np.random.default_rng(seed)
    strata, psu = np.arange(n) % 3, generator.integers(0, 5, n)
    psu[:6] = [0, 0, 0, 1, 1, 1]  # at least two PSUs a stratum
    return Design(generator.gamma(2, 1, n) + 0.1, strata=strata, psu=psu, fpc=np.full(n, 9)), generator


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_domain_variance_is_the_definition(seed: int) -> None:
    sample, generator = _random_design(seed)
    n, domain = len(sample), generator.integers(-1, 4, len(sample))
    z = generator.normal(size=(n, 2))
    rows = np.flatnonzero(domain >= 0)
    ours = sample.domain_variance(z[rows], rows, domain[rows], 4)
    plain = [[_plain_variance(sample, np.where(domain == d, z[:, k], 0)) for k in range(2)] for d in range(4)]
    np.testing.assert_allclose(ours, plain, rtol=1e-10, atol=1e-14)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_calibrated_domain_variance_is_that_of_residuals(seed: int) -> None:
    sample, generator = _random_design(seed)
    n = len(sample)
    margins = np.column_stack([np.ones(n), generator.normal(size=n)])
    first = calibrate_design(sample, margins, 1.05 * margins.T @ sample.weights, method="raking")
    group = np.arange(n) % 2
    both = rake_design(first, [group], [np.bincount(group, first.weights) * [1.1, 0.9]], ["group"])
    domain = generator.integers(0, 3, n)
    z = both.weights[:, None] * generator.normal(size=(n, 1))
    residuals = np.where(domain[:, None] == np.arange(3), z, 0)
    for calibration in reversed(both.calibrations):
        x, base, new = calibration.margins, calibration.base_weights, calibration.weights
        slope = np.linalg.lstsq(np.sqrt(base)[:, None] * x, np.sqrt(base)[:, None] * residuals / new[:, None], rcond=None)[0]
        residuals = residuals - new[:, None] * (x @ slope)
    plain = [_plain_variance(sample, residuals[:, d]) for d in range(3)]
    ours = both.domain_variance(z, np.arange(n), domain, 3)
    np.testing.assert_allclose(ours[:, 0], plain, rtol=1e-9, atol=1e-14)
    dense = both.covariance(np.where(domain[:, None] == np.arange(3), z, 0))
    np.testing.assert_allclose(np.diag(dense), plain, rtol=1e-9, atol=1e-14)


@given(st.integers(0, 10_000), st.floats(0.01, 1000))
@settings(max_examples=25, deadline=None)
def test_the_scale_of_weights_and_the_order_of_rows_change_no_mean(seed: int, scale: float) -> None:
    sample, generator = _random_design(seed)
    values = generator.normal(size=(len(sample), 1))
    order = generator.permutation(len(sample))
    moved = Design(scale * sample.weights[order], strata=sample.strata[order], psu=sample.psu[order], fpc=sample.fpc[order])  # type: ignore[index]
    for ours, again in zip(weighted_ratios(everyone(sample), values), weighted_ratios(everyone(moved), values[order]), strict=True):
        np.testing.assert_allclose(again, ours, rtol=1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_jackknife_of_a_total_is_its_linearised_variance(seed: int) -> None:
    sample, generator = _random_design(seed)
    values = generator.normal(size=(len(sample), 1))
    plain = weighted_totals(everyone(sample), values)[1]
    np.testing.assert_allclose(weighted_totals(everyone(replicate_design(sample, "JKn")), values)[1], plain, rtol=1e-9)


@pytest.mark.parametrize(("method", "fay"), [("BRR", 0.3), ("Fay", 0.3), ("Fay", 0.5)])
def test_balanced_replicates_of_a_total_give_its_linearised_variance(method: str, fay: float) -> None:
    generator = np.random.default_rng(3)
    strata, psu = np.repeat(np.arange(5), 8), np.tile(np.repeat([1, 2], 4), 5)
    sample = Design(generator.gamma(2, 1, 40), strata=strata, psu=psu)
    values = generator.normal(size=(40, 1))
    half = replicate_design(sample, method, fay=fay)
    np.testing.assert_allclose(weighted_totals(everyone(half), values)[1], weighted_totals(everyone(sample), values)[1], rtol=1e-10)
    assert half.replicates is not None
    assert half.replicates.weights.shape == (40, 8)
    assert half.degrees_of_freedom == 5


def test_the_bootstrap_comes_near_the_linearised_variance_and_obeys_its_seed() -> None:
    sample, generator = _random_design(1, n=300)
    free = Design(sample.weights, strata=sample.strata, psu=sample.psu)
    values = generator.normal(size=(300, 1))
    ours = weighted_totals(everyone(replicate_design(free, "bootstrap", n_replicates=4000, seed=1)), values)[1]
    np.testing.assert_allclose(ours, weighted_totals(everyone(free), values)[1], rtol=0.15)  # 3 sd of a variance from 4000 draws is 7%
    again = replicate_design(free, "bootstrap", n_replicates=5, seed=1).replicates
    np.testing.assert_array_equal(again.weights, replicate_design(free, "bootstrap", n_replicates=5, seed=1).replicates.weights)  # type: ignore[union-attr]
    assert (again.weights != replicate_design(free, "bootstrap", n_replicates=5, seed=2).replicates.weights).any()  # type: ignore[union-attr]


def test_a_psu_label_that_two_strata_share_is_two_psus() -> None:
    strata, psu = np.array(["a", "a", "b", "b"]), np.array([1, 2, 1, 2])
    assert Design(np.ones(4), strata=strata, psu=psu).degrees_of_freedom == 2


def test_a_fully_sampled_stratum_adds_no_variance() -> None:
    sample = Design(np.ones(5), strata=np.array([1, 1, 1, 2, 2]), fpc=np.array([3, 3, 3, 9, 9]))
    values = np.array([[1.0], [5.0], [9.0], [0.0], [0.0]])
    assert weighted_totals(everyone(sample), values)[1][0, 0] == 0


LONELY = json.loads((FOLDER / "r_lonely.json").read_text())


@pytest.mark.parametrize("how", ["remove", "adjust", "average", "certainty"])
def test_lonely_psus_in_domains_equal_r(how: str) -> None:
    """R's subset has the strata of its members alone, and all strata where the design is calibrated."""
    strata = np.repeat([1, 2, 3], [60, 50, 10])
    psu = np.concatenate([np.arange(60) // 15, 10 + np.arange(50) // 10, np.full(10, 99)])
    domain = np.where(strata == 3, 1, np.tile([1, 0], 60))
    answer = np.resize([1.0, 0, 1, 1, 0, 0, 1], 120)[:, None]
    free = Design(np.tile([1.0, 2, 1.5], 40), strata=strata, psu=psu, lonely_psu=how)
    margins = (strata[:, None] == [1, 2, 3]).astype(float)
    for kind, sample in (("free", free), ("calibrated", calibrate_design(free, margins, np.array([90.0, 75, 15])))):
        ours = [
            *weighted_ratios(everyone(sample), answer, np.ones_like(answer))[1].ravel(),
            *weighted_ratios(Members(sample, np.arange(120), domain, 2), answer, np.ones_like(answer))[1].ravel(),
        ]
        np.testing.assert_allclose(np.sqrt(ours), LONELY[how][kind], rtol=1e-6)


def test_average_has_no_answer_where_every_stratum_is_lonely() -> None:
    sample = Design(np.ones(2), strata=np.array([1, 2]), lonely_psu="average")
    assert np.isnan(weighted_totals(everyone(sample), np.ones((2, 1)))[1][0, 0])


def test_kish_n_eff() -> None:
    assert kish_n_eff(np.ones(7)) == 7
    assert kish_n_eff(np.array([1.0, 3.0])) == pytest.approx(16 / 10)
    assert kish_n_eff(np.zeros(3)) == 0


BROKEN = [
    (lambda: Design(np.array([1.0, np.nan])), r"weights: 1 missing or infinite, 0 negative of 2 values \(rows 1\)"),
    (lambda: Design(np.array([1.0, -2.0])), r"weights: 0 missing or infinite, 1 negative of 2 values \(rows 1\)"),
    (lambda: Design(np.zeros(3)), "every weight is zero; choose another"),
    (lambda: Design(np.ones((2, 2))), r"one number per respondent; got an array of shape \(2, 2\)"),
    (lambda: Design(np.ones(3), strata=np.array([1, 2])), r"strata must have a row per respondent \(3\)"),
    (lambda: Design(np.ones(2), psu=np.array(["a", None], dtype=object)), r"psu is missing for 1 respondents \(rows 1\)"),
    (lambda: Design(np.ones(2), lonely_psu="adjusted"), r"lonely_psu must be one of fail, remove.*did you mean 'adjust'"),
    (lambda: Design(np.ones(3), fpc=np.full(3, 2)).stages, r"more units sampled than the population has in stratum 0 \(3 of 2\)"),
    (lambda: replicate_design(Design(np.ones(3)), "JK2"), "method must be one of JK1, JKn.*did you mean 'JKn' or 'JK1'"),
    (lambda: replicate_design(Design(np.ones(4), strata=np.array([1, 1, 2, 2])), "JK1"), "JK1' is for a sample without strata.*use 'JKn'"),
    (lambda: replicate_design(Design(np.ones(3), strata=np.array([1, 1, 2])), "JKn"), "two PSUs a stratum; there is one in 2: join strata"),
    (lambda: replicate_design(Design(np.ones(3)), "BRR"), "exactly two PSUs in each stratum"),
    (lambda: replicate_design(Design(np.ones(4)), "bootstrap", n_replicates=1), "n_replicates must be at least 2"),
    (lambda: replicate_design(Design(np.ones(2)), "Fay", fay=1.0), "fay must lie in 0-1"),
    (lambda: replicate_design(Design(np.ones(2), fpc=np.full(2, 9)), "bootstrap"), "no finite population correction"),
    (lambda: replicate_design(Design(np.ones(2), lonely_psu="adjust"), "JK1"), "cannot adjust strata"),
    (lambda: given_replicates(Design(np.ones(3)), np.ones((2, 4)), method="BRR"), r"a row per respondent \(3\)"),
    (lambda: given_replicates(Design(np.ones(3)), np.ones((3, 4)), method="JKn"), "needs rscales="),
    (lambda: given_replicates(Design(np.ones(3)), np.full((3, 4), np.nan), method="BRR"), "4 columns with missing values"),
    (lambda: given_replicates(Design(np.ones(3)), np.ones((3, 4)), method="JK1", rscales=np.ones(3)), r"one number per replicate \(4\)"),
    (lambda: given_replicates(Design(np.ones(3)), np.ones((3, 4)), method="brr"), "did you mean 'BRR'"),
]


@pytest.mark.parametrize(("broken", "says"), BROKEN, ids=[says[:40] for _, says in BROKEN])
def test_unusable_designs_say_what_is_wrong(broken: Callable[[], object], says: str) -> None:
    with pytest.raises(DesignError, match=says):
        broken()


def test_replicates_come_before_calibration() -> None:
    raked = rake_design(Design(np.ones(4)), [np.array([0, 0, 1, 1])], [np.array([3.0, 1.0])], ["group"])
    with pytest.raises(DesignError, match="calibrated before; make replicates first"):
        replicate_design(raked, "JK1")
    assert isinstance(ss.as_replicates(Design(np.ones(4)), method="JK1"), ss.Design)


def test_raking_to_margins_that_go_together_has_the_error_of_calibrate_and_not_of_rake() -> None:
    """R's `rake` takes the margins out ten times in turn; its `calibrate(calfun = "raking")` takes them out together, as is done here."""
    first, answer = np.tile([1, 2, 3], 40), np.resize([1.0, 0, 0, 1, 1, 0, 1], 120)[:, None]
    second = np.where(np.arange(1, 121) % 5 == 0, np.tile([3, 1, 2, 2], 30), first)
    sample = Design(np.tile([1, 2, 1.5, 0.5], 30))
    raked = rake_design(sample, [first - 1, second - 1], [np.array([90.0, 30, 30]), np.array([45.0, 75, 30])], ["a", "b"])
    error = np.sqrt(weighted_ratios(everyone(raked), answer)[1][0, 0])
    assert error == pytest.approx(LONELY["raking"]["calibrate"][0], rel=1e-6)
    assert abs(error / LONELY["raking"]["rake"][0] - 1) > 0.05
    in_turn = rake_design(
        sample, [first - 1, second - 1], [np.array([90.0, 30, 30]), np.array([45.0, 75, 30])], ["a", "b"], residuals="in_turn"
    )
    np.testing.assert_array_equal(in_turn.weights, raked.weights)
    own = np.sqrt(weighted_ratios(everyone(in_turn), answer)[1][0, 0])
    assert own == pytest.approx(LONELY["raking"]["rake"][0], rel=1e-6)
    with pytest.raises(DesignError, match="residuals must be one of regression, in_turn; did you mean 'in_turn'"):
        rake_design(sample, [first - 1], [np.array([90.0, 30, 30])], ["a"], residuals="inturn")
