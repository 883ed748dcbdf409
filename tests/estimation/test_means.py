"""Means, totals, ratios and quantiles of surveys equal R's, on R's own data and on the European Social Survey."""

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
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.design.estimators import weighted_quantile
from surveysim.errors import CodebookError, DesignError, SurveySimError
from surveysim.tables.schema import ESTIMATE_COLUMNS
from tests.support.r_numbers import FOLDER, REFERENCE, assert_equals_r, table
from tests.support.small_surveys import small_codebook, small_frame, small_survey

ESS = json.loads((FOLDER / "r_reference_ess9no.json").read_text())
ESS_BY_FILE = {"sav": ESS, "dta": json.loads((FOLDER / "r_reference_ess9no_dta.json").read_text())}  # R read both files
ESS_QUESTIONS = sorted(set(ESS) - {"file", "n"})


def _numeric(name: str, frame: pd.DataFrame) -> Question:
    return Question(name, name, tuple(Option(int(code), str(code)) for code in sorted(frame[name].unique())))


@pytest.fixture(scope="module", params=["apistrat_fpc", "apiclus1_nofpc"])
def schools(request: pytest.FixtureRequest) -> tuple[str, ss.Survey]:
    """R's school data as a survey whose questions are the schools' test scores."""
    name = request.param
    stratified = name == "apistrat_fpc"
    frame = table("apistrat") if stratified else table("apiclus1").drop(columns="fpc")
    variables = DesignVariables(stratum="stype", fpc="fpc") if stratified else DesignVariables(psu="dnum")
    types = Trait("type", "stype", tuple(Level(level, level, (level,)) for level in ("E", "H", "M")))
    questions = {score: _numeric(score, frame) for score in ("api00", "api99", "enroll")}
    return name, ss.as_survey(frame, ss.Codebook("api", "Schools", {"type": types}, questions, weights=(Weight("pw"),), design=variables))


def _column(table: pd.DataFrame, column: str) -> dict[str, float]:
    return dict(zip(table["question_id"], table[column], strict=True))


def test_means_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    ours, theirs = ss.survey_mean(survey, questions=["api00", "api99", "enroll"]), REFERENCE["designs"][name]
    found = {"estimate": _column(ours, "estimate"), "se": _column(ours, "std_error"), "deff": _column(ours, "deff"), "df": ours["df"][0]}
    assert_equals_r(found, theirs["svymean"])
    limits = {row.question_id: [row.conf_low, row.conf_high] for row in ours.itertuples()}
    assert_equals_r(limits, theirs["svymean_ci_t"])


def test_means_by_background_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    ours = ss.survey_mean(survey, questions=["api00"], by=["type"])
    levels = ours["background_id"].str.removeprefix("type=")
    found = {"estimate": dict(zip(levels, ours["estimate"], strict=True)), "se": dict(zip(levels, ours["std_error"], strict=True))}
    assert_equals_r(found, REFERENCE["designs"][name]["svyby_api00_stype"])


def test_totals_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    ours = ss.survey_total(survey, questions=["api00", "api99"])
    assert_equals_r({"estimate": _column(ours, "estimate"), "se": _column(ours, "std_error")}, REFERENCE["designs"][name]["svytotal"])


def test_ratios_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    ours = ss.survey_ratio(survey, numerator="api00", denominator="api99").iloc[0]
    assert ours["question_id"] == "api00/api99"
    assert_equals_r({"estimate": ours["estimate"], "se": ours["std_error"]}, REFERENCE["designs"][name]["svyratio"])


def test_quantiles_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    theirs = REFERENCE["designs"][name]["svyquantile_api00"]["table"]
    ours = ss.survey_quantile(survey, questions=["api00"], quantiles=[float(level) for level in theirs])
    found = {
        str(row.quantile): {"quantile": row.estimate, "ci.2.5": row.conf_low, "ci.97.5": row.conf_high, "se": row.std_error}
        for row in ours.itertuples()
    }
    assert_equals_r(found, theirs)


@pytest.mark.parametrize("rule", ["math", "school", "hf1", "hf4", "hf5", "hf7", "hf8"])
def test_quantile_rules_equal_r(schools: tuple[str, ss.Survey], rule: str) -> None:
    name, survey = schools
    theirs = REFERENCE["designs"][name]["svyquantile_api00_by_qrule"][rule]
    ours = ss.survey_quantile(survey, questions=["api00"], quantiles=[float(level) for level in theirs], rule=rule)
    assert_equals_r({str(row.quantile): row.estimate for row in ours.itertuples()}, theirs)


# --- European Social Survey 9, Norway


@pytest.fixture(scope="module", params=["sav", "dta"])
def ess_file(request: pytest.FixtureRequest, shared_data: Path) -> Path:
    return shared_data / "ess9_norway" / f"ESS9NO.{request.param}"


def test_every_entry_of_the_ess_reference_is_tested() -> None:
    for theirs in ESS_BY_FILE.values():
        assert set(theirs) == {"file", "n", *ESS_QUESTIONS}
        assert len(ESS_QUESTIONS) == 6
        for question in ESS_QUESTIONS:
            assert set(theirs[question]) == {"none", "dweight", "pspwght", "design_psp", "shares_psp"}
            assert set(theirs[question]["design_psp"]) == {"mean", "se", "df"}


def _ess(path: Path, weight: str, *, clustered: bool = False) -> ss.Survey:
    survey = ss.read_survey(path, "ess9", weight=weight, questions=ESS_QUESTIONS)
    return survey if clustered else replace(survey, data=survey.data.drop(columns=["stratum", "psu"]))


@pytest.mark.parametrize("weight", ["none", "dweight", "pspwght"])
def test_ess_means_and_shares_equal_r(ess_file: Path, weight: str) -> None:
    survey, reference = _ess(ess_file, weight), ESS_BY_FILE[ess_file.suffix[1:]]
    assert len(survey) == reference["n"]
    for row in ss.survey_mean(survey, questions=ESS_QUESTIONS).itertuples():
        theirs = reference[row.question_id][weight]
        assert_equals_r({"mean": row.estimate, "se": row.std_error}, {"mean": theirs["mean"], "se": theirs["se"][0][0]}, row.question_id)
    if weight == "pspwght":
        for question, rows in ss.response_distributions(survey).groupby("question_id"):
            theirs = reference[question]["shares_psp"]
            assert [str(code) for code in rows["option_code"]] == list(theirs)
            assert rows["share"].round(6).to_list() == pytest.approx(list(theirs.values()), abs=1e-9)  # R's were rounded to 6 digits


def test_ess_design_errors_equal_r(ess_file: Path) -> None:
    survey = _ess(ess_file, "pspwght", clustered=True)
    for row in ss.survey_mean(survey, questions=ESS_QUESTIONS, lonely_psu="adjust").itertuples():
        theirs = ESS_BY_FILE[ess_file.suffix[1:]][row.question_id]["design_psp"]
        found = {"mean": row.estimate, "se": row.std_error, "df": survey.design.degrees_of_freedom}
        assert row.df <= theirs["df"], "that of the respondents who answered, as R's degf(subset(design, !is.na(x)))"
        assert_equals_r(found, {"mean": theirs["mean"], "se": theirs["se"][0][0], "df": theirs["df"]}, row.question_id)


def test_ess_editions_differ_in_their_design_variables(shared_data: Path) -> None:
    """The .sav (edition 2) codes 42 PSUs, the .dta (edition 3) every respondent as one: so R's clustered errors differ too."""
    by_file = {kind: _ess(shared_data / "ess9_norway" / f"ESS9NO.{kind}", "pspwght", clustered=True) for kind in ("sav", "dta")}
    assert {kind: survey.data["psu"].nunique() for kind, survey in by_file.items()} == {"sav": 42, "dta": 1406}
    assert {kind: survey.data["stratum"].nunique() for kind, survey in by_file.items()} == {"sav": 21, "dta": 42}
    one, other = (ss.survey_mean(survey, questions=["trstprl"], lonely_psu="adjust") for survey in by_file.values())
    assert one["estimate"][0] == pytest.approx(other["estimate"][0], rel=1e-9)
    assert one["std_error"][0] != pytest.approx(other["std_error"][0], rel=0.01)


# --- what a table is


def test_columns_and_backgrounds() -> None:
    survey = small_survey(design=True)
    ours = ss.survey_mean(survey, questions=["q1"], by=["age", "gender"])
    numbers = ["conf_low", "conf_high", "estimate", "std_error", "n"]
    assert list(ours) == ["question_id", "age", "gender", "background_id", "df", "n_eff", "deff", "largest_weight", "simulated", *numbers]
    assert ours["background_id"].tolist() == [
        "age=young|gender=female",
        "age=young|gender=male",
        "age=old|gender=female",
        "age=old|gender=male",
    ]
    answered = survey.data[survey.reasons["q1"].isna()].groupby(["age", "gender"], observed=True)
    clusters = answered.apply(lambda rows: len(rows[["stratum", "psu"]].drop_duplicates()) - rows["stratum"].nunique())
    assert ours["df"].tolist() == clusters.tolist()
    quantiles = ss.survey_quantile(survey, questions=["q1"], by=["age"], quantiles=[0.25, 0.75])
    assert set(quantiles) == {"quantile", "age", "simulated", "largest_weight", *ESTIMATE_COLUMNS}
    assert quantiles["quantile"].tolist() == [0.25, 0.25, 0.75, 0.75]


@given(st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_the_mean_of_codes_is_the_mean_of_shares(seed: int) -> None:
    survey = small_survey(seed, design=True)
    shares = ss.response_distributions(survey, by=["region"], questions=["q1"])
    by_shares = (shares["share"] * shares["option_code"]).groupby(shares["background_id"], sort=False).sum()
    means = ss.survey_mean(survey, questions=["q1"], by=["region"])
    np.testing.assert_allclose(means["estimate"], by_shares, rtol=1e-9)
    totals = ss.survey_total(survey, questions=["q1"], by=["region"])
    own = ss.survey_ratio(survey, numerator="q1", denominator="q1", by=["region"])
    np.testing.assert_allclose(own["estimate"], 1, rtol=1e-12)
    assert (own["std_error"] < 1e-9).all()
    weight = totals["estimate"] / means["estimate"]
    valid = survey.data[survey.reasons["q1"].isna()].groupby("region", observed=True)["weight"].sum()
    np.testing.assert_allclose(weight, valid, rtol=1e-9)


@given(st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_row_order_and_repeated_rows_change_no_estimate(seed: int) -> None:
    times = np.random.default_rng(seed).integers(1, 4, 400)
    frame, book = small_frame(seed).assign(w=times), small_codebook()
    moved, repeated = frame.iloc[::-1], frame.loc[np.repeat(frame.index, times)].assign(w=1)
    verbs: list[Callable[[ss.Survey], pd.DataFrame]] = [
        lambda survey: ss.survey_mean(survey, questions=["q1"], by=["age"]),
        lambda survey: ss.survey_total(survey, questions=["q1"], by=["age"]),
        lambda survey: ss.survey_quantile(survey, questions=["q1"], by=["age"]),
    ]
    for verb in verbs:
        ours = verb(ss.as_survey(frame, book))
        pd.testing.assert_frame_equal(ours, verb(ss.as_survey(moved, book)), rtol=1e-9)
        np.testing.assert_allclose(verb(ss.as_survey(repeated, book))["estimate"], ours["estimate"], rtol=1e-12)


def test_design_effect_of_equal_weights_without_clusters_is_one() -> None:
    survey = ss.as_survey(small_frame().assign(w=0.5), small_codebook())
    for verb in (ss.survey_mean, ss.survey_quantile):
        np.testing.assert_allclose(verb(survey, questions=["q1"])["deff"], 1, rtol=0.02)  # 0.5: not inverse probabilities, no fpc
    assert ss.survey_mean(survey, questions=["q1"], by=["age"])["deff"].between(0.98, 1.02).all()


def test_a_background_without_an_answer_has_no_estimate() -> None:
    frame = small_frame()
    frame.loc[frame["region"] == 2, "q1"] = 8
    survey = ss.as_survey(frame, small_codebook())
    for verb in (ss.survey_mean, ss.survey_quantile):
        west = verb(survey, questions=["q1"], by=["region"]).query("background_id == 'region=west'")
        assert (west["n"] == 0).all()
        assert west[["estimate", "std_error", "conf_low", "conf_high"]].isna().all(axis=None)


def test_quantiles_of_equal_weights_are_numpys() -> None:
    values, weights = np.random.default_rng(0).normal(size=101), np.ones(101)
    numpys = {"math": "inverted_cdf", "school": "averaged_inverted_cdf", "hf4": "interpolated_inverted_cdf", "hf5": "hazen"}
    numpys |= {"hf6": "weibull", "hf7": "linear", "hf8": "median_unbiased", "hf9": "normal_unbiased"}
    for rule, method in numpys.items():
        for level in (0.0, 0.1, 0.25, 0.5, 0.77, 1.0):
            assert weighted_quantile(values, weights, level, rule) == pytest.approx(np.quantile(values, level, method=method), abs=1e-12)
    uneven = np.random.default_rng(1).gamma(1, 1, 101)
    assert weighted_quantile(values, uneven, 0.3) == np.quantile(values, 0.3, weights=uneven, method="inverted_cdf")


SURVEY = small_survey(weight_of_q2="w2")
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.survey_mean(SURVEY, questions=["q3"]), CodebookError, "no question 'q3'; did you mean 'q"),
    (lambda: ss.survey_mean(SURVEY, questions=["q1"], by=["ages"]), CodebookError, "no trait 'ages'; did you mean 'age'"),
    (lambda: ss.survey_mean(SURVEY, questions=["q2"]), CodebookError, r"codes that are no numbers \(yes, no\); use response_distributions"),
    (lambda: ss.survey_ratio(SURVEY, numerator="q1", denominator="q2"), DesignError, r"different weights \(None, w2\)"),
    (lambda: ss.survey_quantile(SURVEY, questions=["q1"], quantiles=[50]), DesignError, "must lie in 0-1; got 50"),
    (lambda: ss.survey_quantile(SURVEY, questions=["q1"], rule="hf77"), DesignError, "did you mean 'hf7'"),
    (lambda: weighted_quantile(np.ones(2), np.zeros(2), 0.5), DesignError, "respondents of positive weight; there are none"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_errors_name_what_is_wrong(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


@pytest.mark.parametrize(
    "call",
    [
        lambda survey: ss.survey_mean(survey, questions="Q30"),
        lambda survey: ss.survey_total(survey, questions="Q30"),
        lambda survey: ss.survey_quantile(survey, questions="Q30", quantiles=0.5),
        lambda survey: ss.survey_ratio(survey, numerator="Q30", denominator="Q8_8"),
        lambda survey: ss.survey_ttest(survey, questions="Q30", groups="gender"),
        lambda survey: ss.survey_ranktest(survey, questions="Q30", groups="gender"),
        lambda survey: ss.calibrate(survey.take(survey.reasons["Q30"].isna().to_numpy()), means={"Q30": 2.4}),
        lambda survey: ss.prediction_powered(
            survey,
            ss.simulate(survey, ["gender"], questions=["Q30"], method="mrp"),
            population=ss.observed_backgrounds(survey, by="gender"),
            statistic="mean",
            independent=True,
        ),
    ],
    ids=["mean", "total", "quantile", "ratio", "t", "rank", "calibrated", "prediction-powered"],
)
def test_the_codes_of_a_nominal_question_are_no_numbers(call: Callable[[ss.Survey], object]) -> None:
    """Codes of parties have no mean; two options are a scale of two, of which nothing is said."""
    with pytest.warns(UserWarning, match=r"'Q30' is nominal \(1 Republican.*response_distributions gives shares.*type = 'ordinal'") as told:
        call(ss.load_example("nonvoters2020"))
    assert {Path(one.filename).name for one in told} == {"test_means.py"}, "the warning points to the call"


def test_two_options_and_one_quantile_are_taken_as_they_are() -> None:
    survey = ss.load_example("nonvoters2020")
    assert survey.codebook.question("Q5").type == "nominal"
    assert 1 < ss.survey_mean(survey, questions="Q5").estimate.item() < 2
    one, many = (ss.survey_quantile(survey, questions="Q8_8", quantiles=wanted) for wanted in (0.5, [0.5]))
    pd.testing.assert_frame_equal(one, many)
