"""Weights: raked, calibrated and trimmed ones equal R's and meet their margins, and errors say what is wrong with margins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.design.calibration import calibrated_weights, raked_weights
from surveysim.design.estimators import everyone
from surveysim.errors import BackgroundError, DesignError, SurveySimError, TableError
from tests.support.r_numbers import REFERENCE, assert_equals_r, calibrated, design, dummies, means, numbers, table, totals
from tests.support.small_surveys import LEVELS, small_codebook, small_frame, small_survey

TYPES = ["E", "H", "M"]


CALIBRATIONS = [(name, key) for name, statistics in REFERENCE["calibration"].items() for key in statistics]


def _summary(weights: np.ndarray) -> dict[str, float]:
    n_eff = ss.Design(weights).n_eff
    return {
        "sum": weights.sum(),
        "min": weights.min(),
        "max": weights.max(),
        "n": len(weights),
        "kish_deff": len(weights) / n_eff,
        "kish_neff": n_eff,
    }


OF_CALIBRATIONS: dict[str, Callable[[pd.DataFrame, ss.Design], object]] = {
    "svymean": lambda f, d: means(everyone(d), numbers(f, ["api00", "api99"]), ["api00", "api99"]),
    "svytotal": lambda f, d: totals(everyone(d), numbers(f, ["enroll"]), ["enroll"]),
    "svytotal_stype": lambda f, d: totals(everyone(d), dummies(f, "stype", TYPES), [f"stype{level}" for level in TYPES]),
    "svymean_schwide": lambda f, d: means(everyone(d), dummies(f, "sch.wide", ["No", "Yes"]), ["sch.wideNo", "sch.wideYes"]),
    "weights_summary": lambda f, d: _summary(d.weights),
}


@pytest.mark.parametrize(
    ("name", "statistic"), [(name, key) for name in REFERENCE["calibration"] for key in REFERENCE["calibration"][name]]
)
def test_calibrations_equal_r(name: str, statistic: str) -> None:
    frame = design("apiclus1_fpc")[0]
    ours = OF_CALIBRATIONS[statistic](frame, calibrated(name))
    assert_equals_r(ours, REFERENCE["calibration"][name][statistic], f"{name}/{statistic}")


@pytest.mark.parametrize("name", list(REFERENCE["calibration"]))
def test_calibrated_weights_equal_r(name: str) -> None:
    theirs, frame = table(f"weights_{name}"), design("apiclus1_fpc")[0]
    assert (theirs["cds"] == frame["cds"]).all()
    np.testing.assert_allclose(calibrated(name).weights, theirs["weight"], rtol=1e-7)


def test_fixed_weights_would_give_another_error() -> None:
    """The trap that calibration is there to avoid: the final weights taken as if they were inverse probabilities."""
    frame, raked = design("apiclus1_fpc")[0], calibrated("rake_dclus1_stype_schwide")
    naive = ss.Design(raked.weights, psu=raked.psu, fpc=raked.fpc)
    errors = [totals(everyone(one), numbers(frame, ["enroll"]), ["enroll"])["se"]["enroll"] for one in (raked, naive)]
    assert errors[1] / errors[0] > 1.5


# --- surveys


def _margins(survey: ss.Survey, *by: str) -> dict[str, dict[str, float]]:
    table = ss.population_margins(survey, by=list(by))
    return {margin: dict(zip(rows["background_id"], rows["population_share"], strict=True)) for margin, rows in table.groupby("margin")}


shares = st.lists(st.floats(0.2, 1.0), min_size=3, max_size=3)


@given(st.integers(0, 50), st.floats(0.3, 0.7), shares)
@settings(max_examples=25, deadline=None)
def test_rake_hits_every_margin_and_keeps_the_sum(seed: int, female: float, regions: list[float]) -> None:
    survey = small_survey(seed)
    goal = dict(zip(LEVELS["region"], np.array(regions) / sum(regions), strict=True))
    raked = ss.rake(survey, {"gender": {"female": female, "male": 1 - female}, "region": goal})
    found = _margins(raked, "gender", "region")
    assert found["gender"]["gender=female"] == pytest.approx(female, rel=1e-9)
    assert [found["region"][f"region={level}"] for level in goal] == pytest.approx(list(goal.values()), rel=1e-9)
    assert raked.data["weight"].sum() == pytest.approx(survey.data["weight"].sum(), rel=1e-9)
    assert (raked.data["weight"] > 0).all()


def test_rake_to_counts_sums_to_the_population() -> None:
    census = pd.DataFrame({"gender": ["female", "male"], "count": [510, 490]})
    raked = ss.rake(small_survey(), ss.population_margins(census, by=["gender"]))
    assert raked.data["weight"].sum() == pytest.approx(1000, rel=1e-9)
    assert raked.notes[-1].startswith("raked to gender; n_eff")


def test_rake_takes_joint_margins_from_a_mapping_a_table_and_another_survey() -> None:
    survey, other = small_survey(0), small_survey(1)
    joint = ss.population_margins(other, by=[("age", "gender")])
    by_table = ss.rake(survey, joint)
    cells = joint.set_index("background_id")["population_share"]
    wanted = {(age, gender): cells[f"age={age}|gender={gender}"] for age in LEVELS["age"] for gender in LEVELS["gender"]}
    by_mapping = ss.rake(survey, {("age", "gender"): wanted})
    np.testing.assert_allclose(by_table.data["weight"], by_mapping.data["weight"], rtol=1e-12)
    assert _margins(by_table, "gender") != _margins(survey, "gender")
    assert _margins(by_table, "gender")["gender"] == pytest.approx(_margins(other, "gender")["gender"], rel=1e-9)


@given(st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_a_survey_post_stratified_to_its_own_margins_does_not_change(seed: int) -> None:
    survey = small_survey(seed)
    own = ss.observed_backgrounds(survey, by=["age", "region"])
    np.testing.assert_allclose(ss.poststratify_weights(survey, own).data["weight"], survey.data["weight"], rtol=1e-12)
    np.testing.assert_allclose(
        ss.rake(survey, ss.population_margins(survey, by=["age", "region"])).data["weight"], survey.data["weight"], rtol=1e-9
    )


def test_raking_and_exponential_calibration_are_one() -> None:
    survey, goal = small_survey(), {"gender": {"female": 0.6, "male": 0.4}, "region": {"north": 0.5, "south": 0.2, "west": 0.3}}
    raked, newton = ss.rake(survey, goal), ss.calibrate(survey, goal, method="raking")
    np.testing.assert_allclose(newton.data["weight"], raked.data["weight"], rtol=1e-8)
    ours, theirs = (ss.response_distributions(one, by=["age"]) for one in (raked, newton))
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=1e-7)


def test_calibrate_meets_means_of_numeric_variables_within_bounds() -> None:
    survey = small_survey()
    answered = survey.take(survey.reasons["q1"].isna().to_numpy())
    goal = {"gender": {"female": 0.52, "male": 0.48}}
    for method, bounds in (("linear", None), ("raking", None), ("logit", (0.3, 3.0))):
        done = ss.calibrate(answered, goal, means={"q1": 1.7, "w2": 1.4}, method=method, bounds=bounds)
        weights = done.data["weight"]
        assert np.average(done.data["q1"], weights=weights) == pytest.approx(1.7, rel=1e-8)
        assert np.average(done.data["w2"], weights=weights) == pytest.approx(1.4, rel=1e-8)
        assert _margins(done, "gender")["gender"]["gender=female"] == pytest.approx(0.52, rel=1e-8)
        ratio = weights / answered.data["weight"]
        assert bounds is None or ratio.between(*bounds).all()
        error = ss.survey_mean(done, questions=["q1"])["std_error"][0]
        assert error < 1e-6 * ss.survey_mean(answered, questions=["q1"])["std_error"][0]  # a known mean has no error


def test_calibrated_surveys_carry_their_calibration_into_every_estimate() -> None:
    survey = small_survey(n=4000)
    raked = ss.rake(survey, {"age": {"young": 0.5, "old": 0.5}})
    fixed = ss.as_survey(small_frame(n=4000).assign(w=raked.data["weight"]), small_codebook())
    carried, naive = (ss.survey_mean(one, questions=["q1"]) for one in (raked, fixed))
    assert carried["estimate"][0] == pytest.approx(naive["estimate"][0], rel=1e-12)
    assert carried["std_error"][0] < 0.99 * naive["std_error"][0]
    half = raked.take(np.arange(0, 4000, 2))
    assert len(half.calibrations[0].weights) == 2000
    assert np.isfinite(ss.survey_mean(half, questions=["q1"])["std_error"][0])


def test_replicates_are_raked_one_by_one() -> None:
    survey = small_survey(design=True)
    made = ss.as_replicates(survey, method="JKn")
    raked = ss.rake(made, {"gender": {"female": 0.6, "male": 0.4}})
    assert raked.replicates is not None
    assert raked.replicates.weights.shape == (400, 20)
    female = (raked.data["gender"] == "female").to_numpy()
    np.testing.assert_allclose(raked.replicates.weights[female].sum(axis=0) / raked.replicates.weights.sum(axis=0), 0.6, rtol=1e-9)
    linear = ss.rake(survey, {"gender": {"female": 0.6, "male": 0.4}})
    ours, theirs = (ss.response_distributions(one, by=["age"], questions=["q1"]) for one in (raked, linear))
    np.testing.assert_allclose(ours["share"], theirs["share"], rtol=1e-12)
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=0.1)  # jackknife and linearisation agree to first order


def test_replicates_of_a_release_are_taken_as_they_are() -> None:
    survey = small_survey(design=True)
    made = ss.as_replicates(survey, method="JKn")
    assert made.replicates is not None
    own = pd.DataFrame(made.replicates.weights)
    given_back = ss.with_replicates(survey, own, method="JKn", rscales=made.replicates.rscales)
    for one, other in ((made, given_back), (made, ss.as_replicates(survey, method="JKn"))):
        assert ss.survey_mean(one, questions=["q1"]).equals(ss.survey_mean(other, questions=["q1"]))
    factors = own.div(survey.data["weight"], axis=0)
    again = ss.with_replicates(survey, factors, method="JKn", rscales=made.replicates.rscales, combined=False)
    np.testing.assert_allclose(again.replicates.weights, own, rtol=1e-12)  # type: ignore[union-attr]


def test_missing_traits_keep_their_share_if_asked() -> None:
    frame = small_frame()
    frame.loc[:39, "gender"] = np.nan
    survey = ss.as_survey(frame, small_codebook())
    goal = {"gender": {"female": 0.6, "male": 0.4}, "age": {"young": 0.5, "old": 0.5}}
    with pytest.raises(DesignError, match=r"margin 'gender': 40 respondents lack the trait; missing='keep'"):
        ss.rake(survey, goal)
    kept = ss.rake(survey, goal, missing="keep")
    lacking = kept.data["gender"].isna().to_numpy()
    before, after = survey.data["weight"], kept.data["weight"]
    assert after[lacking].sum() / after.sum() == pytest.approx(before[lacking].sum() / before.sum(), rel=1e-9)
    assert _margins(kept, "gender")["gender"]["gender=female"] == pytest.approx(0.6, rel=1e-9)


@given(st.integers(0, 50), st.floats(1.3, 3.0), st.floats(0.2, 0.7))
@settings(max_examples=20, deadline=None)
def test_trim_keeps_the_sum_and_the_limits(seed: int, upper: float, lower: float) -> None:
    survey = small_survey(seed)
    mean = survey.data["weight"].mean()
    trimmed = ss.trim_weights(survey, lower=lower * mean, upper=upper * mean)
    assert trimmed.data["weight"].sum() == pytest.approx(survey.data["weight"].sum(), rel=1e-9)
    assert trimmed.data["weight"].between(lower * mean * (1 - 1e-9), upper * mean * (1 + 1e-9)).all()
    assert trimmed.design.n_eff >= survey.design.n_eff


def test_trim_reports_what_it_cut_and_leaves_zero_weights() -> None:
    frame = small_frame().assign(w=np.r_[0.0, 10.0, np.ones(398)])
    trimmed = ss.trim_weights(ss.as_survey(frame, small_codebook()), lower=0.5, upper=4)
    assert trimmed.notes[-1].startswith("trimmed to 0.5-4: 1 of 400 weights above (holding 1.47% of the weight over it), 0 below; n_eff")
    assert trimmed.data["weight"][:3].tolist() == pytest.approx([0, 4, 1 + 6 / 398])
    loose = ss.trim_weights(ss.as_survey(frame, small_codebook()), upper=4, strict=False)
    np.testing.assert_allclose(loose.data["weight"], trimmed.data["weight"])


def test_weight_summary() -> None:
    survey = ss.as_survey(small_frame().assign(w=np.r_[0.0, np.ones(199), np.full(200, 3.0)]), small_codebook())
    row = ss.weight_summary(survey).iloc[0]
    assert (row["weight"], row["n"], row["n_zero"], row["min"], row["max"]) == ("w", 399, 1, 1, 3)
    assert row["deff"] == pytest.approx(1 + row["cv"] ** 2)
    assert row["n_eff"] == pytest.approx(799**2 / 1999)


def test_population_margins_sums_over_the_other_traits() -> None:
    census = pd.DataFrame({"age": ["young", "young", "old"], "gender": ["female", "male", "male"], "count": [1, 2, 3]})
    margins = ss.population_margins(census, by=["age", ("gender", "age")])
    assert margins["background_id"].tolist() == [
        "age=young",
        "age=old",
        "age=young|gender=female",
        "age=young|gender=male",
        "age=old|gender=male",
    ]
    assert margins["count"].tolist() == [3, 3, 1, 2, 3]
    assert margins["margin"].unique().tolist() == ["age", "age|gender"]


SURVEY = small_survey()
BOTH = {"gender": {"female": 0.5, "male": 0.5}}
AGES = ss.population_margins(SURVEY, by=["age"])
NO_MEN = ss.as_survey(small_frame().assign(gender=0), small_codebook())
CONTRADICTORY = {"gender": {"female": 0.6, "male": 0.4}, "age": {"young": 0.4, "old": 0.6}}
CROSSED = small_frame().assign(age=lambda frame: frame["gender"])  # no young man, no old woman

BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.rake(SURVEY, {"gendr": {"female": 1.0}}), BackgroundError, "'gendr' is no trait of the survey; did you mean 'gender'"),
    (lambda: ss.rake(SURVEY, {"gender": {"femal": 0.5, "male": 0.5}}), BackgroundError, "no level 'femal'; did you mean 'female'"),
    (
        lambda: ss.rake(SURVEY, {**BOTH, "age": {"young": 0.5, "old": 0.49}}),
        DesignError,
        "totals disagree",
    ),
    (
        lambda: ss.rake(SURVEY, {"gender": {"female": 510, "male": 490}, "age": {"young": 400, "old": 500}}),
        DesignError,
        "the margins' totals disagree: gender 1000, age 900; all must describe one population",
    ),
    (lambda: ss.rake(SURVEY, {"gender": {"female": 1.0}}), DesignError, "gives no people to gender=male, which respondents have"),
    (lambda: ss.rake(SURVEY, {"gender": {"female": 1.0, "male": 0.0}}), DesignError, "gives no people to gender=male"),
    (lambda: ss.rake(NO_MEN, BOTH), DesignError, "no respondent of positive weight in gender=male; join levels"),
    (lambda: ss.rake(SURVEY, {"gender": {"female": -0.5, "male": 1.5}}), TableError, "count is missing or negative in rows gender=female"),
    (lambda: ss.rake(SURVEY, {}), TableError, "margins is empty"),
    (lambda: ss.rake(SURVEY, 0.5), TableError, "must be a table or a mapping"),  # type: ignore[arg-type]
    (lambda: ss.rake(SURVEY, {("age", "gender"): {"young": 1.0}}), TableError, "'young' names 1 levels; give one of each trait"),
    (lambda: ss.rake(SURVEY, pd.concat([AGES, AGES])), TableError, "margins repeats background_id age=young, age=old"),
    (lambda: ss.rake(SURVEY, AGES.drop(columns="population_share")), TableError, "needs one of the columns 'count' and 'population_share'"),
    (lambda: ss.rake(SURVEY, BOTH, missing="drop"), DesignError, "missing must be 'fail' or 'keep'"),
    (
        lambda: ss.rake(ss.as_survey(CROSSED, small_codebook()), CONTRADICTORY),
        DesignError,
        r"raking did not converge in 1000 rounds: gender .* the margins contradict one another",
    ),
    (
        lambda: ss.calibrate(ss.as_survey(CROSSED, small_codebook()), CONTRADICTORY),
        DesignError,
        r"calibration \(linear\) did not converge: no weights of this form meet",
    ),
    (lambda: ss.calibrate(SURVEY, BOTH, method="logit", bounds=(0.99, 1.01)), DesignError, r"calibration \(logit\) did not converge"),
    (lambda: ss.calibrate(SURVEY, BOTH, method="logit"), DesignError, "needs bounds="),
    (lambda: ss.calibrate(SURVEY, BOTH, bounds=(0.5, 2)), DesignError, "bounds are for method='logit'"),
    (lambda: ss.calibrate(SURVEY, BOTH, method="ranking"), DesignError, "did you mean 'raking'"),
    (lambda: ss.calibrate(SURVEY), DesignError, "needs margins= of traits, means="),
    (lambda: ss.calibrate(SURVEY, means={"q1": 1.5}), DesignError, r"'q1' is missing for \d+ respondents"),
    (lambda: ss.calibrate(SURVEY, means={"q3": 1.5}), DesignError, "no numeric variable 'q3'; did you mean 'q"),
    (lambda: ss.calibrate(SURVEY, means={"w2": 9.0}), DesignError, r"method='linear' makes \d+ weights negative"),
    (lambda: ss.trim_weights(SURVEY, upper=0.1), DesignError, "0 <= lower < mean weight < upper"),
    (lambda: ss.population_margins(SURVEY, by=[]), TableError, "by is empty; give by= one name, or a list of at least one"),
    (lambda: ss.population_margins(SURVEY, by=["gendr"]), SurveySimError, "'gendr'; did you mean 'gender'"),
    (lambda: ss.population_margins(pd.DataFrame({"age": ["young", None], "count": [1, 2]}), by=["age"]), TableError, "empty in row 1"),
    (lambda: ss.poststratify_weights(SURVEY, pd.DataFrame({"count": [1]})), DesignError, "needs a column per trait"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_unusable_margins_say_what_is_wrong(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


def test_a_replicate_that_cannot_be_raked_is_named() -> None:
    frame = small_frame(n=40).assign(gender=lambda f: (f.index < 4).astype(int), layer=0, cluster=np.arange(40) // 4)
    survey = ss.as_replicates(ss.as_survey(frame, small_codebook(design=True)), method="JK1")
    with pytest.raises(DesignError, match=r"replicate 1 of 10: raking did not converge"):
        ss.rake(survey, BOTH)


def test_array_functions_name_margins_by_number_where_they_have_no_name() -> None:
    with pytest.raises(DesignError, match="margin 1"):
        calibrated_weights(np.ones(3), np.column_stack([np.ones(3), np.zeros(3)]), np.array([3.0, 1.0]))
    groups = [np.array([0, 0, 1])]
    np.testing.assert_allclose(raked_weights(np.ones(3), groups, [np.array([1.0, 2.0])], ["group"]), [0.5, 0.5, 2])


@pytest.mark.parametrize(("total", "says"), [
    (0.99, "shares with a slip: give shares that sum to 1"), (1.02, "shares with a slip"), (100, "percent: divide by 100"),
    (99.6, "percent"), (40, "fewer people than the 5,836 respondents"),
])  # fmt: skip
def test_margins_that_are_neither_shares_nor_people_are_refused(total: float, says: str) -> None:
    survey = ss.load_example("nonvoters2020")
    margins = {"gender": {"female": 0.52 * total, "male": 0.48 * total}}
    for call in (lambda: ss.rake(survey, margins), lambda: ss.calibrate(survey, margins)):
        with pytest.raises(DesignError, match=f"the margins sum to {total:g}, neither 1 .* nor the population's total .*{says}"):
            call()


@pytest.mark.parametrize("total", [1.0, 5836.0, 250e6])
def test_margins_of_shares_and_of_people_are_taken(total: float) -> None:
    survey = ss.load_example("nonvoters2020")
    raked = ss.rake(survey, {"gender": {"female": 0.52 * total, "male": 0.48 * total}})
    expected = survey.data.weight.sum() if total == 1 else total
    assert raked.data.weight.sum() == pytest.approx(expected)


def test_counts_of_a_small_population_are_taken_where_the_weights_sum_to_as_many() -> None:
    survey = small_survey()
    few = ss.Survey(survey.data.assign(weight=100 / len(survey)), survey.reasons, survey.codebook, "weight")
    shares = ss.population_margins(survey, by="sex" if "sex" in survey.traits else survey.traits[0])
    raked = ss.rake(few, shares.assign(count=shares.population_share * 100).drop(columns="population_share"))
    assert raked.data.weight.sum() == pytest.approx(100)
