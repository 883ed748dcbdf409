"""Distributions and shifts: shares are weighted counts, errors those of domains, and the table keeps its promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.errors import BackgroundError, CodebookError, DesignError, SurveySimError, TableError
from surveysim.tables.intervals import mean_intervals, share_intervals, t_quantile
from surveysim.tables.schema import SHIFT_COLUMNS, check_distributions
from tests.support.r_numbers import REFERENCE, assert_equals_r, table
from tests.support.small_surveys import LEVELS, small_codebook, small_frame, small_survey

KEYS = ["question_id", "background_id", "option_code"]
NUMBERS = ["share", "std_error", "conf_low", "conf_high", "n_eff"]


# --- equal to R


@pytest.fixture(scope="module", params=["apistrat_fpc", "apistrat_nofpc", "apiclus1_fpc", "apiclus1_nofpc"])
def schools(request: pytest.FixtureRequest) -> tuple[str, ss.Survey]:
    """R's school data as a survey: one question, "all targets met?", and the type of school as trait."""
    name = request.param
    stratified, finite = name.startswith("apistrat"), name.endswith("_fpc")
    variables = DesignVariables(stratum="stype" if stratified else "", psu="" if stratified else "dnum", fpc="fpc" if finite else "")
    met = Question("sch.wide", "Were all targets met?", (Option("No", "No"), Option("Yes", "Yes")), type="nominal")
    levels = tuple(Level(level, level, (level,)) for level in ("E", "H", "M"))
    traits = {"type": Trait("type", "stype", levels)}
    book = ss.Codebook("api", "Schools", traits, {"sch.wide": met}, weights=(Weight("pw"),), design=variables)
    source = table("apistrat" if stratified else "apiclus1")
    source = source if finite else source.drop(columns="fpc")  # a column of that name would be taken for what it says
    return name, ss.as_survey(source, book)


def test_shares_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    ours = ss.response_distributions(survey).set_index("option_code")
    theirs = REFERENCE["designs"][name]
    assert_equals_r(
        {
            "estimate": {f"sch.wide{code}": value for code, value in ours["share"].items()},
            "se": {f"sch.wide{code}": value for code, value in ours["std_error"].items()},
        },
        theirs["svymean_schwide"],
    )
    assert_equals_r(ours.loc["Yes", ["conf_low", "conf_high"]].to_list(), theirs["svyciprop_schwide_Yes"]["logit"]["ci"])


def test_shares_by_background_equal_r(schools: tuple[str, ss.Survey]) -> None:
    name, survey = schools
    ours = ss.response_distributions(survey, by=["type"])
    labels = [f"{background[-1]}:sch.wide{code}" for background, code in zip(ours["background_id"], ours["option_code"], strict=True)]
    found = {"estimate": dict(zip(labels, ours["share"], strict=True)), "se": dict(zip(labels, ours["std_error"], strict=True))}
    assert_equals_r(found, REFERENCE["designs"][name]["svyby_schwide_stype"])


# --- what a table is


def _plain_shares(survey: ss.Survey, question: str, by: list[str]) -> pd.Series:
    """Weighted counts over weighted counts, with pandas."""
    valid = survey.data[survey.reasons[question].isna()]
    counts = valid.groupby([*by, question], observed=True)["weight"].sum()
    return counts / counts.groupby(by).transform("sum")


def test_a_share_is_a_weighted_count_over_a_weighted_count() -> None:
    survey = small_survey()
    ours = ss.response_distributions(survey, by=["age", "region"], questions=["q1"])
    plain = _plain_shares(survey, "q1", ["age", "region"])
    found = {(row.background_id, row.option_code): row.share for row in ours.itertuples() if row.share > 0}
    wanted = {(f"age={age}|region={region}", int(code)): value for (age, region, code), value in plain.items()}
    assert found == pytest.approx(wanted, rel=1e-12)


def test_columns_order_and_options() -> None:
    ours = ss.response_distributions(small_survey(), by=["gender"])
    between = ["background_id", "option_code", "option_order", "n_eff", "source", "largest_weight", "simulated"]
    assert list(ours) == ["question_id", "option_label", "gender", *between, "conf_low", "conf_high", "share", "std_error", "n"]
    assert ours["question_id"].unique().tolist() == ["q1", "q2"]
    first = ours[ours["background_id"] == "gender=female"]
    assert first["option_code"].tolist() == [0, 1, 2, 3, "yes", "no"]
    assert first["option_order"].tolist() == [0, 1, 2, 3, 0, 1]
    assert (ours["source"] == "survey").all()
    check_distributions(ours)


def test_weight_denominator_and_design_are_said() -> None:
    survey = small_survey(design=True)
    ours = ss.response_distributions(survey, missing="as_option")
    design = "4 strata, 20 PSUs, Taylor linearisation"
    assert ours.attrs == {"survey": "small", "weight": "w", "denominator": "all respondents", "design": design}
    raked = ss.rake(ss.as_replicates(survey, method="JKn"), {"gender": {"female": 0.5, "male": 0.5}})
    said = ss.survey_mean(raked, questions=["q1"]).attrs
    design = "4 strata, 20 PSUs, 1 calibration, 20 JKn replicates"
    assert said == {"survey": "small", "weight": "w", "denominator": "valid answers", "design": design}
    alone = ss.Design(np.ones(3), strata=np.array([1, 1, 2]), fpc=np.full(3, 9), lonely_psu="adjust")
    words = "2 strata, every respondent a PSU, finite population, Taylor linearisation, lonely PSUs: adjust"
    assert repr(alone) == f"Design(3 respondents, n_eff 3.0: {words})"


def test_pooled_background_is_called_all() -> None:
    ours = ss.response_distributions(small_survey(), questions=["q2"])
    assert ours["background_id"].tolist() == ["all", "all"]


@given(st.integers(0, 100), st.sampled_from([(), ("gender",), ("age", "gender", "region")]), st.sampled_from(["drop", "as_option"]))
@settings(max_examples=30, deadline=None)
def test_shares_sum_to_one_and_limits_enclose_them(seed: int, by: tuple[str, ...], missing: str) -> None:
    ours = ss.response_distributions(small_survey(seed, design=True), by=by, missing=missing)
    sums = ours.groupby(["question_id", "background_id"])["share"].sum()
    np.testing.assert_allclose(sums, 1, rtol=0, atol=1e-9)
    enclosed = ours.dropna()
    assert (enclosed["conf_low"] <= enclosed["share"]).all()
    assert (enclosed["share"] <= enclosed["conf_high"]).all()
    assert (enclosed["conf_low"] >= 0).all()
    assert (enclosed["conf_high"] <= 1).all()
    assert (enclosed["n_eff"] <= enclosed["n"] + 1e-9).all()


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    frame, book = small_frame(seed), small_codebook(design=True)
    order = np.random.default_rng(seed).permutation(len(frame))
    ours, again = (ss.response_distributions(ss.as_survey(one, book), by=["age"]) for one in (frame, frame.iloc[order]))
    pd.testing.assert_frame_equal(ours, again, rtol=1e-9)


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_integer_weights_equal_repeated_rows(seed: int) -> None:
    times = np.random.default_rng(seed).integers(0, 4, 400)
    frame = small_frame(seed).assign(w=times)
    repeated = frame.loc[np.repeat(frame.index, times)].assign(w=1)
    ours, again = (ss.response_distributions(ss.as_survey(one, small_codebook()), by=["age", "gender"]) for one in (frame, repeated))
    np.testing.assert_allclose(ours["share"], again["share"], rtol=1e-12)


@given(st.integers(0, 100), st.floats(0.01, 1e6))
@settings(max_examples=20, deadline=None)
def test_the_scale_of_weights_changes_nothing(seed: int, scale: float) -> None:
    frame, book = small_frame(seed), small_codebook(design=True)
    ours, again = (ss.response_distributions(ss.as_survey(one, book), by=["age"]) for one in (frame, frame.assign(w=scale * frame["w"])))
    pd.testing.assert_frame_equal(ours, again, rtol=1e-9)


def test_missing_answers_leave_the_denominator_or_become_options() -> None:
    survey = small_survey()
    dropped, kept = (ss.response_distributions(survey, questions=["q1"], missing=rule) for rule in ("drop", "as_option"))
    assert kept["option_code"].tolist() == [0, 1, 2, 3, "dont_know", "refused"]
    assert kept["option_order"].tolist() == [0, 1, 2, 3, 4, 5]
    assert kept["n"].iloc[0] == len(survey)
    assert dropped["n"].iloc[0] == survey.reasons["q1"].isna().sum()
    valid = kept["share"][:4] / kept["share"][:4].sum()
    np.testing.assert_allclose(valid, dropped["share"], rtol=1e-12)


def test_n_and_n_eff_are_of_the_denominator() -> None:
    frame = small_frame()
    frame.loc[frame.index[:50], "w"] = 0
    ours = ss.response_distributions(ss.as_survey(frame, small_codebook()), by=["gender"], questions=["q1"])
    survey = ss.as_survey(frame, small_codebook())
    for background, rows in ours.groupby("background_id"):
        inside = survey.reasons["q1"].isna() & (survey.data["gender"] == background.removeprefix("gender=")) & (survey.data["weight"] > 0)
        weights = survey.data["weight"][inside]
        assert (rows["n"] == len(weights)).all()
        assert rows["n_eff"].iloc[0] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_background_without_an_answer_stays_with_missing_shares() -> None:
    frame = small_frame()
    frame.loc[frame["region"] == 2, "q1"] = 8
    ours = ss.response_distributions(ss.as_survey(frame, small_codebook()), by=["region"], questions=["q1"])
    west = ours[ours["background_id"] == "region=west"]
    assert len(west) == 4
    assert (west["n"] == 0).all()
    assert (west["n_eff"] == 0).all()
    assert west[["share", "std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    check_distributions(ours)


def test_respondents_without_a_trait_are_in_no_background_but_count_as_psus() -> None:
    frame, book = small_frame(), small_codebook(design=True)
    frame.loc[frame.index % 7 == 0, "age"] = np.nan
    ours = ss.response_distributions(ss.as_survey(frame, book), by=["age"], questions=["q1"])
    assert ours["background_id"].unique().tolist() == ["age=young", "age=old"]
    filled = frame.assign(age=frame["age"].fillna(1), q1=frame["q1"].where(frame["age"].notna(), 8))
    again = ss.response_distributions(ss.as_survey(filled, book), by=["age"], questions=["q1"])
    pd.testing.assert_frame_equal(ours, again, rtol=1e-12)


def test_a_question_with_its_own_weight_uses_it_and_its_respondents() -> None:
    frame = small_frame()
    frame.loc[frame.index[:100], ["w2"]] = np.nan
    frame.loc[frame.index[:100], ["q2"]] = "dk"
    book = small_codebook(weight_of_q2="w2")
    ours = ss.response_distributions(ss.as_survey(frame, book), by=["age"]).query("question_id == 'q2'")
    after = ss.as_survey(frame.iloc[100:].assign(w=frame["w2"]), small_codebook())
    wanted = ss.response_distributions(after, by=["age"], questions=["q2"])
    pd.testing.assert_frame_equal(ours.reset_index(drop=True), wanted, check_dtype=False, rtol=1e-12)


def test_an_adjusted_weight_does_not_silently_leave_questions_with_their_own() -> None:
    survey = small_survey(weight_of_q2="w2")
    for changed in (
        ss.rake(survey, {"gender": {"female": 0.5, "male": 0.5}}),
        ss.trim_weights(survey, upper=2.5),
        ss.as_replicates(survey, method="JK1"),
    ):
        with pytest.raises(DesignError, match=r"'q2' is weighted by 'w2', but weight 'w' is what was adjusted or has replicates; read the"):
            ss.response_distributions(changed)


def test_errors_of_strata_and_clusters_differ_from_those_of_a_simple_sample() -> None:
    clustered, simple = (ss.response_distributions(small_survey(design=flag), questions=["q1"]) for flag in (True, False))
    np.testing.assert_allclose(clustered["share"], simple["share"], rtol=1e-12)
    assert (clustered["std_error"] != simple["std_error"]).all()


def test_lonely_psus_fail_by_default() -> None:
    frame = small_frame().assign(cluster=lambda f: np.where(f["layer"] == 2, 1, f["cluster"]))
    survey = ss.as_survey(frame, small_codebook(design=True))
    with pytest.raises(DesignError, match=r"single one in 1 of 4: stratum 2"):
        ss.response_distributions(survey)
    errors = {
        rule: ss.response_distributions(survey, lonely_psu=rule)["std_error"] for rule in ("remove", "adjust", "average", "certainty")
    }
    assert (errors["remove"] == errors["certainty"]).all()
    np.testing.assert_allclose(errors["average"], errors["remove"] * np.sqrt(4 / 3))
    assert (errors["adjust"] > errors["remove"]).all()


def test_replicate_weights_take_the_place_of_linearisation() -> None:
    survey = small_survey(design=True)
    linear, jackknife = (ss.response_distributions(one, by=["age"]) for one in (survey, ss.as_replicates(survey, method="JKn")))
    np.testing.assert_allclose(linear["share"], jackknife["share"], rtol=1e-12)
    np.testing.assert_allclose(linear["std_error"], jackknife["std_error"], rtol=0.1)
    assert (linear["std_error"] != jackknife["std_error"]).all()


def test_declared_replicate_weights_are_used() -> None:
    made = ss.as_replicates(small_survey(design=True), method="JKn")
    assert made.replicates is not None
    columns = {f"rep{number}": column for number, column in enumerate(made.replicates.weights.T, start=1)}
    frame = small_frame().assign(**columns)

    def declared(method: str) -> ss.Survey:
        plain = small_codebook()
        variables = DesignVariables(replicate_weights="rep*", replicate_method=method)
        book = ss.Codebook("small", "A small survey", plain.traits, plain.questions, weights=plain.weights, design=variables)
        return ss.as_survey(frame, book)

    given = ss.with_replicates(small_survey(), frame[list(columns)], method="Fay", fay=0.5)
    pd.testing.assert_frame_equal(ss.response_distributions(declared("Fay 0.5")), ss.response_distributions(given))
    for method, says in (
        ("JKn", "with_replicates"),
        ("Fay", "write 'Fay 0.5'"),
        ("Fay half", "a method and a number"),
        ("", "must be one of"),
    ):
        with pytest.raises(DesignError, match=says):
            ss.response_distributions(declared(method))


# --- intervals


def test_t_quantiles_are_known_ones() -> None:
    np.testing.assert_allclose(
        t_quantile(np.array([1, 10, np.inf])), [12.706204736432095, 2.2281388519649385, 1.959963984540054], rtol=1e-9
    )
    assert np.isnan(t_quantile(np.array([0.0]))).all()


def test_intervals_at_the_edge_are_clopper_and_pearsons() -> None:
    low, high = share_intervals(np.array([[0.0, 1.0]]), np.zeros((1, 2)), np.array([9]), np.array([10.0]))
    np.testing.assert_allclose(low, [[0, 0.025**0.1]], rtol=1e-12)
    np.testing.assert_allclose(high, [[1 - 0.025**0.1, 1]], rtol=1e-12)


def test_no_interval_is_made_up_without_degrees_of_freedom() -> None:
    low, high = share_intervals(np.array([[0.4, 0.6]]), np.full((1, 2), 0.1), np.array([0]), np.array([5.0]))
    assert np.isnan([low, high]).all()
    assert np.isnan(mean_intervals(np.array([1.0]), np.array([0.1]), np.array([0]))).all()
    wide = share_intervals(np.array([[1e-6, 1 - 1e-6]]), np.full((1, 2), 0.4), np.array([1]), np.array([5.0]))
    np.testing.assert_allclose(wide, [[[0, 0]], [[1, 1]]], atol=1e-12)


# --- shifts


def test_shifts_are_differences_of_shares() -> None:
    ours = ss.response_distributions(small_survey(), by=["age", "region"], questions=["q1"])
    shifts = ss.background_shifts(ours)
    assert list(shifts) == SHIFT_COLUMNS
    assert shifts.attrs == ours.attrs
    indexed = ours.set_index(["background_id", "option_code"])
    for row in shifts.itertuples():
        start, end = indexed.loc[(row.background_from, row.option_code)], indexed.loc[(row.background_to, row.option_code)]
        assert row.shift == end["share"] - start["share"]
        assert row.std_error == pytest.approx(np.hypot(start["std_error"], end["std_error"]))
    np.testing.assert_allclose(shifts.groupby(["background_from", "background_to"])["shift"].sum(), 0, atol=1e-12)


def test_pairs_differ_in_one_trait_and_stand_once() -> None:
    ours = ss.response_distributions(small_survey(), by=["age", "region"], questions=["q2"])
    pairs = ss.background_shifts(ours).drop_duplicates(["background_from", "background_to"])
    assert len(pairs) == 3 + 2 * 3  # 3 regions x 1 pair of ages, 2 ages x 3 pairs of regions
    for start, end in zip(pairs["background_from"], pairs["background_to"], strict=True):
        assert sum(a != b for a, b in zip(start.split("|"), end.split("|"), strict=True)) == 1
    assert len(ss.background_shifts(ours, pairs="all")) == 2 * 15


def test_shifts_of_an_empty_background_are_missing() -> None:
    frame = small_frame()
    frame.loc[frame["region"] == 2, "q1"] = 8
    shifts = ss.background_shifts(ss.response_distributions(ss.as_survey(frame, small_codebook()), by=["region"], questions=["q1"]))
    west = (shifts["background_from"] == "region=west") | (shifts["background_to"] == "region=west")
    assert shifts.loc[west, "shift"].isna().all()
    assert shifts.loc[~west, "shift"].notna().all()


# --- errors


SURVEY = small_survey()
READ_IN_PART = ss.as_survey(small_frame(), small_codebook(), questions=["q1"], traits=["age", "gender"])
TABLE = ss.response_distributions(SURVEY, by=["age"])
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.response_distributions(SURVEY, by=["gendr"]), CodebookError, "no trait 'gendr'; did you mean 'gender'"),
    (lambda: ss.response_distributions(SURVEY, questions=["q3"]), CodebookError, "no question 'q3'; did you mean 'q"),
    (lambda: ss.response_distributions(READ_IN_PART, by=["region"]), BackgroundError, "was read without trait 'region'"),
    (lambda: ss.response_distributions(READ_IN_PART, questions=["q2"]), CodebookError, "was read without question 'q2'"),
    (lambda: ss.response_distributions(SURVEY, by=["age", "age"]), BackgroundError, "by names 'age' twice; name each once"),
    (lambda: ss.response_distributions(SURVEY, missing="keep"), TableError, "missing must be 'drop' or 'as_option'"),
    (lambda: ss.response_distributions(SURVEY, lonely_psu="ignore"), DesignError, "lonely_psu must be one of"),
    (lambda: ss.background_shifts(TABLE, pairs="some"), TableError, "pairs must be 'one_trait' or 'all'"),
    (lambda: ss.background_shifts(pd.concat([TABLE, TABLE.assign(source="model")])), TableError, "sources survey, model; keep one"),
    (lambda: ss.background_shifts(TABLE[TABLE["background_id"] == "age=old"]), TableError, "no two of the 1 backgrounds make a pair"),
    (lambda: ss.background_shifts(pd.concat([TABLE, ss.response_distributions(SURVEY)])), TableError, "all have other traits than 'age="),
    (lambda: ss.background_shifts(TABLE.drop(columns="std_error")), TableError, "lacks column std_error"),
    (lambda: ss.background_shifts(TABLE.query("not (background_id == 'age=old' and share == 0)").iloc[1:]), TableError, "sum to 1"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_errors_name_what_is_wrong(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


def test_no_respondent_with_every_trait_is_an_error() -> None:
    frame = small_frame().assign(
        age=lambda f: np.where(f.index % 2, f["age"], np.nan), gender=lambda f: np.where(f.index % 2, np.nan, f["gender"])
    )
    with pytest.raises(BackgroundError, match=r"no respondent has every trait of by \(age, gender\)"):
        ss.response_distributions(ss.as_survey(frame, small_codebook()), by=["age", "gender"])


def test_the_levels_of_the_small_survey_are_all_there() -> None:
    ours = ss.response_distributions(SURVEY, by=list(LEVELS))
    assert ours["background_id"].nunique() == 12


@pytest.mark.parametrize(
    ("names", "method", "scale"),
    [
        ("PWGTP", "SDR", 4 / 80),
        ("WGTP", "SDR", 4 / 80),
        ("PWWGT", "SDR", 4 / 160),
        ("REPWTP", "SDR", 4 / 80),
        ("W_FSTURWT", "Fay", 1 / 20),
        ("W_FSTR", "Fay", 1 / 20),
        ("TRWGT", "Fay", 1 / 25),
        ("SRWGT", "Fay", 1 / 25),
        ("REPWGT", "Fay", 1 / 60),
    ],
)
def test_releases_are_known_by_the_names_of_their_columns(names: str, method: str, scale: float) -> None:
    survey, size = small_survey(), {"PWWGT": 160, "REPWGT": 240, "TRWGT": 100, "SRWGT": 100}.get(names, 80)
    weights = np.random.default_rng(0).gamma(5, 0.2, (len(survey), size))
    columns = pd.DataFrame(weights, columns=[f"{names}{number}" for number in range(1, size + 1)])
    found = ss.with_replicates(survey, columns).design.replicates
    assert found is not None
    assert (found.method, found.mse) == (method, True)
    assert found.scale == pytest.approx(scale)
    table = ss.survey_mean(ss.with_replicates(survey, columns), questions="q1").iloc[0]
    answers = survey.data["q1"].where(survey.reasons["q1"].isna()).to_numpy(float)
    valid = np.isfinite(answers)
    repeated = weights[valid].T @ answers[valid] / weights[valid].sum(axis=0)
    assert table["std_error"] == pytest.approx(np.sqrt(scale * np.square(repeated - table["estimate"]).sum()))


def test_replicates_that_nobody_knows_need_a_method() -> None:
    survey = small_survey()
    own = survey.data[["weight", "w2"]]
    with pytest.raises(DesignError, match="with_replicates needs method=: the names weight, w2 tell none; known are those of ACS"):
        ss.with_replicates(survey, own)
    with pytest.raises(DesignError, match="an array has no names to tell it by"):
        ss.with_replicates(survey, own.to_numpy())
    with pytest.raises(DesignError, match="method must be one of JK1, JKn, BRR, Fay, bootstrap"):
        ss.as_replicates(survey, method="SDR")
    with pytest.raises(DesignError, match="method='other' needs scale="):
        ss.with_replicates(survey, own, method="other")
