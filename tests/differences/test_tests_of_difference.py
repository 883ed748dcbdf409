"""The tests as verbs equal R's on the survey that ships, in backgrounds too; what cannot be tested is refused or told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.design.outcomes import ADJUSTMENTS
from surveysim.differences.tested_samples import TEST_COLUMNS
from surveysim.errors import BackgroundError, CodebookError, DesignError
from tests.support.r_differences import DIFFERENCES, STATISTICS, TWO_GROUPS
from tests.support.r_numbers import FOLDER, assert_equals_r
from tests.support.small_surveys import small_survey

R = DIFFERENCES["nonvoters"]
AGES = ["18-34", "35-54", "55+"]


@pytest.fixture(scope="module")
def nonvoters() -> ss.Survey:
    return ss.load_example("nonvoters2020")


def _f(row: pd.Series) -> dict[str, Any]:
    df = row["df"] if np.isnan(row["df_denominator"]) else [row["df"], row["df_denominator"]]
    return {"statistic": row["statistic"], "df": df, "p": row["p_value"]}


def _t(row: pd.Series, *, interval: bool = True) -> dict[str, Any]:
    found = {"statistic": row["statistic"], "df": row["df"], "p": row["p_value"], "estimate": row["estimate"], "se": row["std_error"]}
    return {**found, "conf": [row["conf_low"], row["conf_high"]]} if interval else found


def _chisq(survey: ss.Survey, groups: str, **chosen: Any) -> list[dict[str, Any]]:
    tables = {name: ss.survey_chisq(survey, questions="Q8_8", groups=groups, statistic=name, **chosen) for name in STATISTICS}
    rows = range(len(tables["F"]))
    return [{**{name: _f(one.iloc[row]) for name, one in tables.items()}, "cramers_v": tables["F"]["estimate"][row]} for row in rows]


def test_independence_equals_r(nonvoters: ss.Survey) -> None:
    assert_equals_r(_chisq(nonvoters, "gender")[0], R["chisq"])
    assert_equals_r(_chisq(nonvoters, "Q8_9")[0], R["chisq_questions"])
    assert_equals_r(dict(zip(AGES, _chisq(nonvoters, "gender", by="age3"), strict=True)), R["chisq_by"])


def test_means_equal_r(nonvoters: ss.Survey) -> None:
    assert_equals_r(_t(ss.survey_ttest(nonvoters, questions="Q8_8", mean=2).iloc[0]), R["t_one"])
    assert_equals_r(_t(ss.survey_ttest(nonvoters, questions="Q8_8", groups="gender").iloc[0]), R["t_two"])
    by = ss.survey_ttest(nonvoters, questions="Q8_8", groups="gender", by="age3")
    assert_equals_r({age: _t(row) for age, (_, row) in zip(AGES, by.iterrows(), strict=True)}, R["t_by"])


def test_ranks_equal_r(nonvoters: ss.Survey) -> None:
    two = {
        name: _t(ss.survey_ranktest(nonvoters, questions="Q8_8", groups="gender", test=name).iloc[0], interval=False) for name in TWO_GROUPS
    }
    many = {name: _f(ss.survey_ranktest(nonvoters, questions="Q8_8", groups="age3", test=name).iloc[0]) for name in R["rank"]["many"]}
    assert_equals_r({"two": two, "many": many}, R["rank"])


def test_what_r_makes_of_ties_depends_on_the_order_of_the_rows() -> None:
    filed, sorted_rows, ours = R["rank_in_r"]["as_filed"], R["rank_in_r"]["by_weight"], R["rank"]["two"]["wilcoxon"]
    assert abs(filed["estimate"] / sorted_rows["estimate"] - 1) > 0.01
    assert filed["estimate"] != pytest.approx(ours["estimate"], rel=1e-6)


def test_several_tests_are_adjusted_as_in_r(nonvoters: ss.Survey) -> None:
    by = {name: ss.survey_ttest(nonvoters, questions="Q8_8", groups="gender", by="age3", adjust=name) for name in ADJUSTMENTS}
    assert by["none"]["p_adjusted"].tolist() == by["none"]["p_value"].tolist()
    assert (by["holm"]["p_adjusted"] >= by["bh"]["p_adjusted"]).all()
    assert by["bonferroni"]["p_adjusted"].tolist() == np.minimum(3 * by["none"]["p_value"], 1).tolist()


def test_one_tidy_row_a_test(nonvoters: ss.Survey) -> None:
    table = ss.survey_chisq(nonvoters, questions=["Q8_8", "Q8_9"], groups="gender", by="age3")
    assert list(table) == TEST_COLUMNS
    assert table[["question_id", "background_id"]].drop_duplicates().shape[0] == len(table) == 6
    assert {"weight", "denominator", "design", "adjust", "not_tested"} <= set(table.attrs)


def test_every_pair_of_levels_is_a_t_test() -> None:
    table = ss.survey_ttest(small_survey(design=True), questions="q1", groups="region", adjust="holm")
    assert table["groups"].tolist() == ["region: south - north", "region: west - north", "region: west - south"]
    assert table["estimate"][1] - table["estimate"][0] == pytest.approx(table["estimate"][2])


VERBS = {
    "chisq": lambda survey, **chosen: ss.survey_chisq(survey, questions="q1", groups="gender", **chosen),
    "ttest": lambda survey, **chosen: ss.survey_ttest(survey, questions="q1", groups="gender", **chosen),
    "ranktest": lambda survey, **chosen: ss.survey_ranktest(survey, questions="q1", groups="gender", **chosen),
    "gof": lambda survey, **chosen: ss.survey_gof(survey, {"q1": {0: 0.25, 1: 0.25}}, **chosen),
}
Verb = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_replicate_weights_take_the_place_of_linearisation(verb: Verb) -> None:
    survey = small_survey(design=True)
    linearised, jackknifed = verb(survey), verb(ss.as_replicates(survey, method="JKn"))
    assert "20 JKn replicates" in jackknifed.attrs["design"]
    assert jackknifed["statistic"][0] == pytest.approx(linearised["statistic"][0], rel=0.1)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_domain_is_no_subset_and_permuting_respondents_changes_nothing(verb: Verb) -> None:
    survey = small_survey(design=True)
    order = np.random.default_rng(0).permutation(len(survey))
    numbers = ["statistic", "df", "p_value", "estimate", "n", "n_eff"]
    whole, again = verb(survey, by="age"), verb(survey.take(order), by="age")
    np.testing.assert_allclose(whole[numbers].to_numpy(float), again[numbers].to_numpy(float), rtol=1e-9)
    assert whole["n"].sum() == verb(survey)["n"][0]


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_background_without_an_answer_is_told_and_the_others_tested(verb: Verb) -> None:
    survey = small_survey(design=True)
    reasons = survey.reasons.copy()
    reasons.loc[(survey.data["region"] == "west").to_numpy(), "q1"] = "refused"
    table = verb(replace(survey, reasons=reasons), by="region").set_index("background_id")
    assert np.isnan(table.loc["region=west", "p_value"])
    assert table.loc["region=west", "n"] == 0
    assert table.drop(index="region=west")["p_value"].notna().all()
    assert [name for name in table.attrs["not_tested"] if "region=west" in name]


def _one_gender(survey: ss.Survey) -> ss.Survey:
    return survey.take((survey.data["gender"] == "female").to_numpy())


@pytest.mark.parametrize("verb", [VERBS[name] for name in ("chisq", "ttest", "ranktest")])
def test_a_single_group_is_refused(verb: Verb) -> None:
    with pytest.raises(DesignError, match=r"one level|two of each"):
        verb(_one_gender(small_survey()))


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("lonely_psu", ["adjust", "remove"])
def test_a_survey_of_one_psu_has_no_degrees_of_freedom(verb: Verb, lonely_psu: str) -> None:
    survey = small_survey(design=True)
    one = (survey.data["stratum"].astype(str) == "0") & (survey.data["psu"].astype(str) == "1")
    alone = survey.take(one.to_numpy())
    if verb is VERBS["gof"] and lonely_psu == "adjust":  # a chi-square that needs none, about a mean of zero
        assert np.isfinite(verb(alone, lonely_psu=lonely_psu)["p_value"][0])
        return
    with pytest.raises(DesignError, match=r"no degrees of freedom are left|standard errors are all zero"):
        verb(alone, lonely_psu=lonely_psu)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_lonely_psu_is_named_and_may_be_treated(verb: Verb) -> None:
    survey = small_survey(design=True)
    kept = (survey.data["stratum"].astype(str) != "0") | (survey.data["psu"].astype(str) == "1")
    lonely = survey.take(kept.to_numpy())
    with pytest.raises(DesignError, match="a variance needs two PSUs in every stratum"):
        verb(lonely)
    assert np.isfinite(verb(lonely, lonely_psu="adjust")["p_value"][0])


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda s: ss.survey_chisq(s, questions="q1", groups="gendr"), CodebookError, "did you mean 'gender'"),
        (
            lambda s: ss.survey_chisq(s, questions="q1", groups="gender", statistic="G"),
            DesignError,
            "Chisq, Wald, adjWald; got 'G'",
        ),
        (lambda s: ss.survey_ttest(s, questions="q1", adjust="homl"), DesignError, "did you mean 'holm'"),
        (lambda s: ss.survey_ttest(s, questions="q1", groups="gender", mean=2), DesignError, "with groups='gender' leave it out"),
        (lambda s: ss.survey_ttest(s, questions="q2"), CodebookError, "codes that are no numbers"),
        (lambda s: ss.survey_ranktest(s, questions="q1", groups="gender", test="wilcox"), DesignError, "did you mean 'wilcoxon'"),
        (lambda s: ss.survey_ranktest(s, questions="q3", groups="gender"), CodebookError, "q3"),
        (lambda s: ss.survey_chisq(s, questions="q1", groups="gender", by=["age", "age"]), BackgroundError, "twice"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[ss.Survey], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        call(small_survey())
    assert said in str(caught.value)


# --- real files: the European Social Survey 9, Norway, and the General Social Survey 2016

REAL = json.loads((FOLDER / "r_differences_real.json").read_text())
FILES: dict[str, tuple[str, dict[str, Any], str, str, list[float]]] = {
    "ess9no": ("ess9_norway/ESS9NO.sav", {"codebook": "ess9", "weight": "pspwght"}, "gincdif", "gender", [0.2, 0.3, 0.2, 0.2, 0.1]),
    "gss2016": ("gss2016/GSS.sav", {"codebook": "gss2016", "weight": "wtssall"}, "conpress", "sex", [0.2, 0.4, 0.4]),
}


@pytest.mark.parametrize("name", FILES)
def test_real_files_equal_r(name: str, shared_data: Path) -> None:
    path, read, question, sex, shares = FILES[name]
    survey = ss.read_survey(shared_data / path, questions=question, traits=[sex, "age3"], **read)
    chosen: dict[str, Any] = {"lonely_psu": "adjust" if name == "ess9no" else "fail"}
    asked = {"questions": question, "groups": sex, **chosen}
    tests = {one: ss.survey_chisq(survey, statistic=one, **asked) for one in STATISTICS}
    young = {one: ss.survey_chisq(survey, statistic=one, by="age3", **asked) for one in STATISTICS}
    fit = ss.survey_gof(survey, {question: dict(enumerate(shares, start=1))}, **chosen).iloc[0]
    means = ss.survey_mean(survey, questions=question, by=sex, covariance=True, **chosen)
    first, second = means["background_id"]
    contrast = ss.survey_contrast(means, {first: -1, second: 1}).iloc[0]
    found = {
        "n": tests["F"]["n"][0],
        "chisq": {**{one: _f(made.iloc[0]) for one, made in tests.items()}, "cramers_v": tests["F"]["estimate"][0]},
        "chisq_young": {**{one: _f(made.iloc[0]) for one, made in young.items()}, "cramers_v": young["F"]["estimate"][0]},
        "gof": {"statistic": fit["statistic"], "df": fit["df"], "p": fit["p_value"]},
        "t_one": _t(ss.survey_ttest(survey, questions=question, mean=2, **chosen).iloc[0]),
        "t_two": _t(ss.survey_ttest(survey, **asked).iloc[0]),
        "t_young": _t(ss.survey_ttest(survey, by="age3", **asked).iloc[0]),
        "rank": {one: _t(ss.survey_ranktest(survey, test=one, **asked).iloc[0], interval=False) for one in TWO_GROUPS},
        "contrast": {"estimate": contrast["estimate"], "se": contrast["std_error"]},
    }
    theirs = dict(REAL[name])
    theirs["gof"] = {"statistic": theirs["gof"]["x2"] / theirs["gof"]["scale"], "df": theirs["gof"]["df"], "p": theirs["gof"]["p"]}
    assert_equals_r(found, theirs, name)
