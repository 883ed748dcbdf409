"""Differences between weights equal R's contrast of a stacked data set, in which each respondent stands once with each weight."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.errors import DesignError, SurveySimError
from tests.support.r_numbers import FOLDER, TYPES, assert_equals_r, table
from tests.support.small_surveys import small_survey

R = json.loads((FOLDER / "r_weights.json").read_text())


def _schools(name: str, design: DesignVariables) -> ss.Survey:
    frame = table(name).drop(columns="fpc")
    kinds = Trait("type", "stype", tuple(Level(level, level, (level,)) for level in TYPES))
    score = Question("api00", "Score", tuple(Option(int(code), str(code)) for code in sorted(frame["api00"].unique())))
    wide = Question("sch.wide", "Met its target", (Option("No", "No"), Option("Yes", "Yes")), type="nominal")
    book = ss.Codebook("schools", "Schools", {"type": kinds}, {"api00": score, "sch.wide": wide}, weights=(Weight("pw"),), design=design)
    return ss.as_survey(frame, book)


CLUSTERS, STRATA = _schools("apiclus1", DesignVariables(psu="dnum")), _schools("apistrat", DesignVariables(stratum="stype"))
OTHER = CLUSTERS.data["pw"] * (1 + (table("apiclus1")["api99"].to_numpy() > 600))


def _in_r_terms(found: pd.DataFrame) -> dict[str, object]:
    last = found.iloc[1]
    return {
        "estimate": found["estimate"].tolist(),
        "se": found["std_error"].tolist(),
        "difference": last["difference"],
        "difference_se": last["difference_std_error"],
    }


@pytest.mark.parametrize("name", ["clusters_api00", "strata_api00", "strata_wide", "calibrated_api00"])
def test_differences_equal_r(name: str) -> None:
    survey = CLUSTERS if name.startswith(("clusters", "calibrated")) else STRATA
    question = "sch.wide" if name.endswith("wide") else "api00"
    outcome = {"questions": question, "outcome": "share" if question == "sch.wide" else "mean"}
    kinds = pd.DataFrame({"type": TYPES, "count": [4421, 755, 1018]})
    weights = {
        "clusters_api00": {"equal": "none", "other": OTHER},
        "calibrated_api00": {"before": "pw", "after": ss.poststratify_weights(CLUSTERS, kinds)},
    }.get(name, {"equal": "none", "given": "pw"})
    found = {"all": ss.compare_weights(survey, weights, **outcome)}
    if "E" in R[name]:
        found["E"] = ss.compare_weights(survey, weights, by="type", **outcome).query("background_id == 'type=E'")
    if question == "sch.wide":
        found = {key: rows[rows["option_code"] == "Yes"] for key, rows in found.items()}
    assert_equals_r({key: _in_r_terms(rows) for key, rows in found.items()}, R[name], name)


def test_equal_weights_in_a_stratum_change_nothing_and_nothing_is_tested() -> None:
    found = ss.compare_weights(STRATA, ["none", "pw"], questions="api00", outcome="mean", by="type")
    assert found["difference"].iloc[1::2].abs().max() < 1e-10
    assert found["p_value"].isna().all()


def test_one_weight_is_compared_with_the_surveys_own() -> None:
    found = ss.compare_weights(STRATA, "none", questions="api00", outcome="mean")
    assert found["weight"].tolist() == ["pw", "none"]
    assert found["difference"].tolist()[1] == pytest.approx(-R["strata_api00"]["all"]["difference"])


def test_differences_of_shares_sum_to_zero_and_p_values_are_adjusted() -> None:
    survey = small_survey(design=True)
    found = ss.compare_weights(survey, {"first": "w", "second": "w2", "third": "none"}, questions="q1", by="gender", adjust="holm")
    assert found["weight"].tolist() == ["first", "second", "third"] * 8
    sums = found.groupby(["background_id", "weight"])["difference"].sum()
    assert sums.abs().max() < 1e-12
    tested = found.dropna(subset="p_value")
    assert len(tested) == 16
    assert (tested["p_adjusted"] >= tested["p_value"]).all()
    own = ss.response_distributions(survey, questions="q1", by="gender")
    np.testing.assert_allclose(found.query("weight == 'first'")["std_error"], own["std_error"])


def test_replicates_give_each_replicate_its_difference() -> None:
    survey = ss.as_replicates(small_survey(design=True), method="JKn")
    raked = ss.rake(survey, {"gender": {"female": 0.4, "male": 0.6}})
    found = ss.compare_weights(survey, {"given": survey, "raked": raked}, questions="q1", outcome="mean").iloc[1]
    replicates = [one.design.replicates for one in (survey, raked)]
    answered = survey.reasons["q1"].isna().to_numpy()
    score = survey.data["q1"].to_numpy(float)[answered]
    means = [score @ one.weights[answered] / one.weights[answered].sum(axis=0) for one in replicates if one is not None]
    assert replicates[0] is not None
    variance = replicates[0].variance((means[1] - means[0])[:, None], np.array([found["difference"]]))
    assert found["difference_std_error"] == pytest.approx(np.sqrt(variance[0]))
    linearised = small_survey(design=True)
    both = {"given": linearised, "raked": ss.rake(linearised, {"gender": {"female": 0.4, "male": 0.6}})}
    close = ss.compare_weights(linearised, both, questions="q1", outcome="mean").iloc[1]
    assert found["difference_std_error"] == pytest.approx(close["difference_std_error"], rel=0.05)


def test_respondents_without_one_of_the_weights_are_in_no_estimate() -> None:
    survey = small_survey()
    lacking = survey.data["w2"].where(np.arange(400) >= 40)
    found = ss.compare_weights(survey, {"own": "w", "later": lacking}, questions="q1", outcome="mean")
    assert found.attrs["left_out"] == 40
    assert found["n"].tolist() == [survey.reasons["q1"][40:].isna().sum()] * 2


def test_an_unneeded_weight_is_found_to_matter_no_more_often_than_stated() -> None:
    p_values = []
    for seed in range(200, 400):
        survey = small_survey(seed, 200)
        noise = np.random.default_rng(seed).gamma(4, 0.25, 200)
        p_values.append(ss.compare_weights(survey, {"equal": "none", "noise": noise}, questions="q1", outcome="mean")["p_value"][1])
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.035)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"own": "w"}, "weights must name two or more; got own"),
        (["w", "w3"], "the survey has no weight 'w3'; did you mean"),
        ({"own": "w", "short": np.ones(3)}, "'short' must be one finite number >= 0 for each of 400 respondents"),
        ({"own": "w", "bad": -np.ones(400)}, "400 negative"),
        ({"own": "w", "others": small_survey(n=300)}, "'others' is a survey of other respondents"),
        (
            {"own": "w", "made": ss.as_replicates(small_survey(), method="bootstrap", n_replicates=10)},
            "have not the same kind of replicate",
        ),
    ],
)
def test_weights_that_cannot_be_compared_say_so(weights: object, said: str) -> None:
    with pytest.raises(DesignError) as caught:
        ss.compare_weights(small_survey(), weights, questions="q1")  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(DesignError, match="outcome must be 'share' or 'mean'"):
        ss.compare_weights(small_survey(), "none", questions="q1", outcome="means")
    with pytest.raises(SurveySimError, match="survey must be a Survey"):
        ss.compare_weights(pd.DataFrame(), "none", questions="q1")  # type: ignore[arg-type]
    lonely = small_survey(design=True).take(np.arange(7))
    with pytest.raises(DesignError, match="a variance needs two PSUs in every stratum"):
        ss.compare_weights(lonely, "none", questions="q1")


def test_means_of_names_are_warned_of_and_shares_are_not(recwarn: pytest.WarningsRecorder) -> None:
    """The codes of a nominal question are names, whatever the weight."""
    survey = ss.load_example("nonvoters2020")
    ss.compare_weights(survey, ["none", "weight"], questions="Q30")
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"'Q30' is nominal .*response_distributions gives shares") as told:
        ss.compare_weights(survey, ["none", "weight"], questions="Q30", outcome="mean")
    assert [Path(one.filename).name for one in told] == [Path(__file__).name], "once, and at the call"
