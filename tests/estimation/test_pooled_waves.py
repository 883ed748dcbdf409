"""Waves put together have the design that they share: their change equals R's, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.errors import CodebookError, DesignError, SurveySimError
from tests.support.r_differences import DIFFERENCES
from tests.support.r_numbers import assert_equals_r, table
from tests.support.small_surveys import small_codebook, small_frame, small_survey

CHANGE = {"wave=second": 1, "wave=first": -1}


def _schools(name: str, design: DesignVariables) -> dict[str, ss.Survey]:
    frame = table(name).drop(columns="fpc")
    types = Trait("type", "stype", tuple(Level(level, level, (level,)) for level in ("E", "H", "M")))
    score = Question("api00", "Score", tuple(Option(int(code), str(code)) for code in sorted(frame["api00"].unique())))
    book = ss.Codebook("schools", "Schools", {"type": types}, {"api00": score}, weights=(Weight("pw"),), design=design)
    survey = ss.as_survey(frame, book)
    return {"first": survey.take(np.arange(0, len(frame), 2)), "second": survey.take(np.arange(1, len(frame), 2))}


POOLED = {
    "shared_psu": ("apiclus1", DesignVariables(psu="dnum"), "psu"),
    "nothing_shared": ("apiclus1", DesignVariables(psu="dnum"), "nothing"),
    "strata": ("apistrat", DesignVariables(stratum="stype"), "nothing"),
}


def _both(made: pd.DataFrame) -> dict[str, Any]:
    found = {"estimate": made["estimate"].tolist(), "se": made["std_error"].tolist()}
    return found if len(made) > 1 else {name: one[0] for name, one in found.items()}


@pytest.mark.parametrize("name", POOLED)
def test_change_between_waves_equals_r(name: str) -> None:
    data, design, shared = POOLED[name]
    pooled = ss.pool_waves(_schools(data, design), shared=shared)
    means = ss.survey_mean(pooled, questions="api00", by="wave", covariance=True)
    test = ss.survey_ttest(pooled, questions="api00", groups="wave").iloc[0]
    t = {"statistic": test["statistic"], "df": test["df"], "p": test["p_value"], "estimate": test["estimate"], "se": test["std_error"]}
    found = {
        "means": _both(means),
        "change": _both(ss.survey_contrast(means, CHANGE)),
        "t": {**t, "conf": [test["conf_low"], test["conf_high"]]},
    }
    assert_equals_r({**found, "all": _both(ss.survey_mean(pooled, questions="api00"))}, DIFFERENCES["waves"][name], name)


def _two(**chosen: Any) -> dict[str, ss.Survey]:
    return {"first": small_survey(0, **chosen), "second": small_survey(1, **chosen)}


def test_independent_waves_have_independent_estimates() -> None:
    waves = _two(design=True)
    pooled = ss.pool_waves(waves)
    means = ss.survey_mean(pooled, questions="q1", by="wave", covariance=True)
    alone = [ss.survey_mean(wave, questions="q1") for wave in waves.values()]
    np.testing.assert_allclose(means["estimate"], [one["estimate"][0] for one in alone])
    np.testing.assert_allclose(means["std_error"], [one["std_error"][0] for one in alone])
    assert ss.survey_contrast(means, CHANGE)["std_error"][0] == pytest.approx(np.hypot(*means["std_error"]))
    assert pooled.design.degrees_of_freedom == 2 * waves["first"].design.degrees_of_freedom


def test_a_panel_asked_twice_the_same_has_changed_by_nothing_and_knows_it() -> None:
    survey = small_survey()
    pooled = ss.pool_waves({"first": survey, "second": survey}, shared="respondents")
    means = ss.survey_mean(pooled, questions="q1", by="wave", covariance=True)
    change = ss.survey_contrast(means, CHANGE)
    assert (abs(change["estimate"][0]), change["std_error"][0]) == (0.0, pytest.approx(0, abs=1e-9))
    np.testing.assert_allclose(means["std_error"], ss.survey_mean(survey, questions="q1")["std_error"][0])
    assert any("400 of 400 PSUs span waves, 400 respondents in two or more waves" in note for note in pooled.notes)


@pytest.mark.parametrize(("scale", "sums"), [("respondents", [300, 400]), ("equal", [350, 350]), ("given", None)])
def test_weights_sum_to_what_is_said(scale: str, sums: list[float] | None) -> None:
    waves = {"first": small_survey(0, 300), "second": small_survey(1, 400)}
    pooled = ss.pool_waves(waves, scale=scale)
    found = pooled.data.groupby("wave", observed=True)["weight"].sum()
    np.testing.assert_allclose(found, sums or [wave.data["weight"].sum() for wave in waves.values()])


def _reversed() -> ss.Survey:
    """A wave that calls `q1` by another name, counts it from 4 down to 1, and calls `gender` sex."""
    frame = small_frame(1).rename(columns={"q1": "much", "gender": "sex"})
    frame["much"] = frame["much"].map({0: 4, 1: 3, 2: 2, 3: 1, 7: 7, 8: 8})
    book = small_codebook()
    options = tuple(Option(code, label) for code, label in ((4, "none"), (3, "little"), (2, "some"), (1, "much")))
    much = Question("much", "How much?", options, missing={7: "refused", 8: "dont_know"})
    sex = Trait("sex", "sex", (Level("woman", "woman", (0,)), Level("man", "man", (1,))))
    traits = {"age": book.trait("age"), "region": book.trait("region"), "sex": sex}
    return ss.as_survey(frame, ss.Codebook("other", "Other", traits, {"much": much, "q2": book.question("q2")}, weights=book.weights))


CODES = [(4, 0), (3, 1), (2, 2), (1, 3)]
CROSSWALK = pd.DataFrame(
    [("first", "q1", "q1", None, None), ("first", "gender", "gender", None, None)]
    + [("second", "much", "q1", code, pooled) for code, pooled in CODES]
    + [("second", "sex", "gender", "woman", "female"), ("second", "sex", "gender", "man", "male")],
    columns=["wave", "variable", "pooled", "code", "pooled_code"],
)
TOML = """
[q1]
first = "q1"
second = { variable = "much", codes = { 4 = "0", 3 = "1", 2 = "2", 1 = "3" } }

[gender]
first = "gender"
second = { variable = "sex", codes = { woman = "female", man = "male" } }
"""


def test_a_crosswalk_translates_names_codes_and_levels(tmp_path: Path) -> None:
    (tmp_path / "crosswalk.toml").write_text(TOML, encoding="utf-8")
    waves = {"first": small_survey(0), "second": _reversed()}
    by_frame, by_file = ss.pool_waves(waves, crosswalk=CROSSWALK), ss.pool_waves(waves, crosswalk=tmp_path / "crosswalk.toml")
    same = ss.pool_waves(_two())
    for pooled in (by_frame, by_file):
        tables = [ss.response_distributions(one, questions=["q1", "q2"], by=["wave", "gender"]) for one in (pooled, same)]
        pd.testing.assert_frame_equal(*tables)
        assert ss.na_table(pooled)["n"].tolist() == ss.na_table(same)["n"].tolist()


def test_what_some_waves_lack_is_left_out_and_named() -> None:
    pooled = ss.pool_waves({"first": small_survey(0), "second": _reversed()})
    assert pooled.questions == ("q2",)
    assert pooled.traits == ("age", "region", "wave")
    assert any(note.endswith("left out, since not every wave has it alike: q1, gender, much, sex") for note in pooled.notes)


def _crosswalk(**changed: Any) -> pd.DataFrame:
    return pd.concat([CROSSWALK, pd.DataFrame([changed])], ignore_index=True)


Waves = Mapping[str, ss.Survey]


@pytest.mark.parametrize(
    ("crosswalk", "said"),
    [
        (_crosswalk(wave="second", variable="q2", pooled="q1"), "item 'q1' of wave 'second' is 'much', 'q2'; keep one"),
        (
            _crosswalk(wave="second", variable="much", pooled="q1", code=4, pooled_code=3),
            "code 4 of 'q1', wave 'second', has two pooled codes",
        ),
        (_crosswalk(wave="third", variable="q2", pooled="q2"), "item 'q2' names wave 'third'"),
        (CROSSWALK[CROSSWALK["wave"] == "first"], "item 'q1' has no variable of wave 'second'; name one for each wave"),
        (CROSSWALK[CROSSWALK["code"] != 4], "item 'q1', wave 'second': code 4 is none of 0, 1, 2, 3; name the pooled_code of each"),
        (CROSSWALK.replace({"pooled_code": {0: 7}}), "code 4 (given: 7) is none of 0, 1, 2, 3; name the pooled_code of each"),
        (_crosswalk(wave="second", variable="much", pooled="q1", code=9, pooled_code=3), "the wave has no code 9, only 4, 3, 2, 1"),
        (CROSSWALK.drop(columns=["code", "pooled_code"]), "code 4 is none of 0, 1, 2, 3; name the pooled code of each in crosswalk"),
        (CROSSWALK.replace({"variable": {"much": "mush"}}), "wave 'second' has no 'mush' (item 'q1'); did you mean 'much'"),
        (CROSSWALK.replace({"variable": {"much": "sex"}}), "a question in one wave and a trait in another"),
        (CROSSWALK.drop(columns="pooled"), "crosswalk lacks column"),
        (3, "crosswalk must be a DataFrame or the path of a TOML file; got int"),
        ("nowhere.toml", "nowhere.toml cannot be read as TOML"),
    ],
)
def test_crosswalks_that_contradict_are_refused(crosswalk: Any, said: str) -> None:
    with pytest.raises(SurveySimError) as caught:
        ss.pool_waves({"first": small_survey(0), "second": _reversed()}, crosswalk=crosswalk)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ['q1 = "q1"', "[q1]\nfirst = 3", '[q1]\nfirst = { variable = "q1", recode = 1 }', "[q1"])
def test_crosswalk_files_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "crosswalk.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CodebookError, match=r"crosswalk"):
        ss.pool_waves(_two(), crosswalk=path)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda w: ss.pool_waves(list(w.values())), CodebookError, "'small' names two; give a mapping"),
        (lambda w: ss.pool_waves({"first": w["first"]}), DesignError, "waves holds 1 survey; pooling needs two or more"),
        (lambda w: ss.pool_waves(w["first"]), SurveySimError, "waves must be a list of surveys, or a mapping of names to them; got Survey"),
        (lambda w: ss.pool_waves([small_frame(), small_frame()]), SurveySimError, "survey must be a Survey"),
        (lambda w: ss.pool_waves(w, shared="psus"), DesignError, "shared must be one of nothing, psu, respondents; got 'psus'"),
        (lambda w: ss.pool_waves(w, scale="n"), DesignError, "scale must be one of respondents, equal, given"),
        (lambda w: ss.pool_waves(w, shared="psu"), DesignError, "shared='psu': no wave has PSUs"),
        (
            lambda w: ss.pool_waves({**w, "second": ss.rake(w["second"], {"gender": {"female": 0.5, "male": 0.5}})}),
            DesignError,
            "pool first",
        ),
        (
            lambda w: ss.pool_waves({**w, "second": ss.as_replicates(w["second"], method="JK1")}),
            DesignError,
            "replicate weights; pool first",
        ),
    ],
)
def test_waves_that_cannot_be_pooled_are_refused(call: Callable[[Waves], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        call(_two())
    assert said in str(caught.value)


def test_waves_said_to_share_units_must_share_some() -> None:
    survey = small_survey(design=True)
    half = survey.data["stratum"].astype(str).isin(["0", "1"]).to_numpy()
    apart = {"first": survey.take(half), "second": survey.take(~half)}
    with pytest.raises(DesignError, match=r"no PSU stands in two waves; .*lies in another stratum in each wave"):
        ss.pool_waves(apart, shared="psu")
    strangers = {"first": survey.take(np.arange(200)), "second": survey.take(np.arange(200, 400))}
    with pytest.raises(DesignError, match="no respondent_id stands in two waves"):
        ss.pool_waves(strangers, shared="respondents")
