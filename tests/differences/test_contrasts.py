"""Contrasts equal R's `svycontrast` of `svyby(covmat=TRUE)`; a table without covariance says that its rows are taken as independent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.design.design import Design
from surveysim.design.estimators import Members, weighted_ratios
from surveysim.design.row_covariance import RowCovariance, mean_rows, share_rows
from surveysim.errors import EstimationError, SurveySimError, TableError
from tests.support.r_differences import DIFFERENCES, coded, entries, sample_of
from tests.support.r_numbers import FOLDER, TYPES, assert_equals_r, numbers
from tests.support.small_surveys import small_survey

REPLICATES = json.loads((FOLDER / "r_replicates.json").read_text())
LINEAR = {"E_H": {"E": 1, "H": -1}, "E_rest": {"E": 1, "H": -0.5, "M": -0.5}}
CURVED: dict[str, Callable[[pd.Series], float]] = {"ratio": lambda x: x["E"] / x["H"], "log": lambda x: np.log(x["M"]) - np.log(x["E"])}


def _by_type(frame: pd.DataFrame, sample: Design) -> Members:
    return Members(sample, np.arange(len(frame)), coded(frame["stype"], TYPES), 3)


def _table(made: tuple[np.ndarray, np.ndarray], rows: Any, value: str, **more: Any) -> pd.DataFrame:
    estimate, variance = made
    found = {
        "question_id": "q",
        "background_id": np.repeat(TYPES, estimate.shape[1]) if "background_id" not in more else None,
        "std_error": np.sqrt(variance).ravel(),
        **more,
    }
    found[value] = estimate.ravel()
    table = pd.DataFrame(found)
    table.attrs["covariance"] = RowCovariance({"q": rows}, 10, "schools")
    return table


def _both(table: pd.DataFrame) -> dict[str, float]:
    return {"estimate": table["estimate"].iloc[-1], "se": table["std_error"].iloc[-1]}


@pytest.mark.parametrize(("section", "name"), [entry[:2] for part in ("designs", "calibrated") for entry in entries(part, ("contrasts",))])
def test_contrasts_equal_r(section: str, name: str) -> None:
    (frame, sample), theirs = sample_of(section, name), DIFFERENCES[section][name]["contrasts"]
    members, score = _by_type(frame, sample), numbers(frame, ["api00"])
    means = _table(weighted_ratios(members, score), mean_rows(tuple(TYPES), members, score[:, 0]), "estimate")
    found: dict[str, Any] = {
        "linear": {key: _both(ss.survey_contrast(means, one)) for key, one in LINEAR.items()},
        "nonlinear": {key: _both(ss.survey_contrast(means, one)) for key, one in CURVED.items()},
    }
    if "covariance" in theirs:
        wide = coded(frame["sch.wide"], ["No", "Yes"])
        rows = share_rows(tuple(TYPES), ["No", "Yes"], members, wide)
        shares = weighted_ratios(members, (wide[:, None] == [0, 1]).astype(float))
        table = _table(shares, rows, "share", option_code=["No", "Yes"] * 3)
        found["share_yes"] = _both(ss.survey_contrast(table, LINEAR["E_H"]))
        found["covariance"] = mean_rows(tuple(TYPES), members, score[:, 0]).covariance(np.eye(3)[:, None])
        order = np.eye(6).reshape(2, 3, 6).transpose(1, 0, 2)  # R: options outermost
        found["share_covariance"] = rows.covariance(order)
    assert_equals_r(found, theirs, name)


@pytest.mark.parametrize("lonely_psu", REPLICATES["lonely"])
def test_contrasts_with_a_lonely_psu_equal_r(lonely_psu: str) -> None:
    frame, sample = sample_of("lonely", lonely_psu)
    score, wide = numbers(frame, ["api00"]), coded(frame["sch.wide"], ["No", "Yes"])
    members = Members(sample, np.arange(len(frame)), wide, 2)
    rows = mean_rows(("No", "Yes"), members, score[:, 0])
    found: dict[str, Any] = {"covariance": rows.covariance(np.eye(2)[:, None])}
    means = _table(weighted_ratios(members, score), rows, "estimate", background_id=["No", "Yes"])
    found["wide"] = _both(ss.survey_contrast(means, {"Yes": 1, "No": -1}))
    found["wide_ratio"] = _both(ss.survey_contrast(means, lambda x: x["Yes"] / x["No"]))
    kind = coded(frame["stype"], TYPES)
    known = np.flatnonzero(kind < 2)
    two = Members(sample, known, kind[known], 2)
    own = score[known]
    types = _table(weighted_ratios(two, own), mean_rows(("E", "H"), two, own[:, 0]), "estimate", background_id=["E", "H"])
    found["E_H"] = _both(ss.survey_contrast(types, {"E": 1, "H": -1}))
    assert_equals_r(found, REPLICATES["lonely"][lonely_psu], lonely_psu)


@pytest.mark.parametrize("name", REPLICATES["calibrated"])
def test_contrasts_in_a_domain_of_calibrated_weights_equal_r(name: str) -> None:
    frame, sample = sample_of("calibrated", name)
    improved = np.flatnonzero(frame["comp.imp"] == "Yes")
    kind = coded(frame["stype"], ["E", "M", "H"])[improved]
    inside = improved[kind < 2]
    members, score = Members(sample, inside, kind[kind < 2], 2), numbers(frame, ["api00"])[inside]
    made = weighted_ratios(members, score)
    means = _table(made, mean_rows(("E", "M"), members, score[:, 0]), "estimate", background_id=["E", "M"])
    found = {
        "E_M": _both(ss.survey_contrast(means, {"E": 1, "M": -1})),
        "ratio": _both(ss.survey_contrast(means, lambda x: x["E"] / x["M"])),
    }
    assert_equals_r(found, REPLICATES["calibrated"][name], name)


def test_a_table_without_covariance_takes_its_rows_as_independent_and_says_so() -> None:
    survey = small_survey(design=True)
    plain, carrying = (ss.survey_mean(survey, questions="q1", by="gender", covariance=given) for given in (False, True))
    one, other = (ss.survey_contrast(table, {"gender=male": 1, "gender=female": -1}) for table in (plain, carrying))
    assert one["std_error"][0] == pytest.approx(np.hypot(*plain["std_error"]))
    assert one["std_error"][0] != pytest.approx(other["std_error"][0], rel=1e-3)
    assert one.attrs["covariance"] == "rows taken as independent"
    assert other.attrs["covariance"].startswith("of the rows of 1 question: 4 strata, 20 PSUs")
    assert (one["df"][0], other["df"][0]) == (np.inf, 16.0)


def test_a_contrast_is_the_t_test_of_two_groups_but_for_a_degree_of_freedom() -> None:
    survey = small_survey(design=True)
    table = ss.survey_mean(survey, questions="q1", by="gender", covariance=True)
    contrast = ss.survey_contrast(table, {"gender=male": 1, "gender=female": -1})
    test = ss.survey_ttest(survey, questions="q1", groups="gender")
    assert contrast["std_error"][0] == pytest.approx(test["std_error"][0])
    assert contrast["df"][0] == test["df"][0] + 1


def test_shares_are_contrasted_option_by_option_and_sum_to_zero() -> None:
    table = ss.response_distributions(small_survey(design=True), questions="q1", by="gender", covariance=True)
    found = ss.survey_contrast(
        table, {"male less female": {"gender=male": 1, "gender=female": -1}, "their ratio": lambda x: x.iloc[0] / x.iloc[1]}
    )
    assert found["contrast"].tolist() == ["male less female"] * 4 + ["their ratio"] * 4
    assert found["estimate"][:4].sum() == pytest.approx(0, abs=1e-12)
    assert found["option_code"][:4].tolist() == [0, 1, 2, 3]


def test_a_background_without_respondents_has_no_contrast_and_spoils_no_other() -> None:
    survey = small_survey(design=True)
    table = ss.survey_mean(survey, questions="q1", by="region", covariance=True)
    table.loc[table["background_id"] == "region=west", ["estimate", "std_error"]] = np.nan
    found = ss.survey_contrast(table, {"with": {"region=west": 1, "region=north": -1}, "without": {"region=south": 1, "region=north": -1}})
    assert np.isnan(found["std_error"][0])
    assert found["std_error"][1] > 0


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        ({"gender=mail": 1}, "table has no background 'gender=mail'; did you mean 'gender=male'"),
        (lambda x: x["gender=mail"], "table has no background 'gender=mail'; did you mean 'gender=male'"),
        (lambda x: x, "contrast must return one number"),
        (lambda x: "more", "contrast must return one number"),
        ({"gender=male": float("nan")}, "contrast must map background ids to finite weights"),
        ({"a": {"gender=male": float("inf")}}, "contrast must map background ids to finite weights"),
        ({}, "contrast must map background ids to finite weights"),
        ("gender=male", "contrast must map background ids to finite weights"),
        ({"a": {"gender=male": "1"}}, "contrast must map background ids to finite weights"),
    ],
)
def test_wrong_contrasts_are_refused(contrast: Any, said: str) -> None:
    with pytest.raises(TableError) as caught:
        ss.survey_contrast(ss.survey_mean(small_survey(), questions="q1", by="gender"), contrast)
    assert said in str(caught.value)


def test_ambiguous_tables_are_refused() -> None:
    quantiles = ss.survey_quantile(small_survey(), questions="q1", by="gender")
    with pytest.raises(TableError, match="several rows of gender=female, gender=male in one question"):
        ss.survey_contrast(quantiles, {"gender=male": 1})
    shares = ss.response_distributions(small_survey(), questions="q1", by="gender")
    both = pd.concat([shares, shares.assign(source="other")])
    with pytest.raises(TableError, match="table holds sources survey, other; keep one at a time"):
        ss.survey_contrast(both, {"gender=male": 1})
    with pytest.raises(SurveySimError, match="table must be a pandas DataFrame"):
        ss.survey_contrast(small_survey(), {"gender=male": 1})  # type: ignore[arg-type]


MALE_LESS_FEMALE = {"gender=male": 1.0, "gender=female": -1.0}


def _halves() -> tuple[ss.Survey, ss.Survey]:
    survey = small_survey(design=True)
    return tuple(survey.take((survey.data["stratum"].astype(int) % 2 == place).to_numpy()) for place in (0, 1))  # type: ignore[return-value]


def test_two_samples_differ_as_the_waves_of_a_pooled_survey_do() -> None:
    one, other = _halves()
    tables = [ss.survey_mean(part, questions="q1", covariance=True) for part in (one, other)]
    apart = ss.survey_contrast(tables[0], {"all": 1}, against=tables[1], independent=True)
    pooled = ss.survey_mean(ss.pool_waves({"one": one, "other": other}), questions="q1", by="wave", covariance=True)
    change = ss.survey_contrast(pooled, {"wave=one": 1, "wave=other": -1})
    for name in ("estimate", "std_error"):
        assert apart[name][0] == pytest.approx(change[name][0], rel=1e-12)
    welch = sum(table["std_error"][0] ** 2 for table in tables) ** 2 / sum(table["std_error"][0] ** 4 / 8 for table in tables)
    assert apart["df"][0] == pytest.approx(welch)


def test_a_curved_contrast_against_another_table_is_the_difference_of_both() -> None:
    def ratio(x: pd.Series) -> float:
        return float(x["gender=male"] / x["gender=female"])

    tables = [ss.response_distributions(part, questions="q1", by="gender", covariance=True) for part in _halves()]
    one, other = (ss.survey_contrast(table, ratio) for table in tables)
    apart = ss.survey_contrast(tables[0], ratio, against=tables[1], independent=True)
    np.testing.assert_allclose(apart["estimate"], one["estimate"] - other["estimate"])
    np.testing.assert_allclose(apart["std_error"], np.hypot(one["std_error"], other["std_error"]))
    assert apart["option_code"].tolist() == [0, 1, 2, 3]


def test_draws_say_how_simulated_rows_go_together() -> None:
    survey = small_survey()
    model = ss.simulate(survey, ["gender"], questions="q1", method="mrp", draws=400, seed=3)
    found = ss.survey_contrast(model, MALE_LESS_FEMALE)
    drawn = model.filter(regex="^draw_").to_numpy()
    male, female = ((model["background_id"] == name).to_numpy() for name in MALE_LESS_FEMALE)
    np.testing.assert_allclose(found["std_error"], (drawn[male] - drawn[female]).std(axis=1, ddof=1))
    assert found.attrs["covariance"] == "of the draws"


def test_official_shares_without_an_error_are_known() -> None:
    shares = ss.response_distributions(small_survey(), questions="q2", by="gender")
    official = shares.assign(share=[0.4, 0.6, 0.5, 0.5], std_error=np.nan, source="official").drop(columns=["n", "n_eff"])
    apart = ss.survey_contrast(shares, {"gender=male": 1}, against=official, independent=True)
    assert apart["std_error"].tolist() == shares["std_error"][2:].tolist()
    unknown = ss.survey_contrast(shares, {"gender=male": 1}, against=official.assign(source="model"), independent=True)
    assert unknown["std_error"].isna().all()
    assert unknown["estimate"].tolist() == apart["estimate"].tolist()


def test_a_table_that_the_same_respondents_taught_is_refused() -> None:
    survey = small_survey()
    shares = ss.response_distributions(survey, questions="q1", by="gender")
    model = ss.simulate(survey, ["gender"], questions="q1", method="mrp")
    with pytest.raises(EstimationError, match="against was learnt from respondents in q1 / gender=female"):
        ss.survey_contrast(shares, MALE_LESS_FEMALE, against=model)
    with pytest.raises(TableError, match="against lacks q1 / 3, which table has"):
        ss.survey_contrast(shares, MALE_LESS_FEMALE, against=model[model["option_code"] != 3], independent=True)
    with pytest.raises(TableError, match="table has no column 'fold' and against has"):
        ss.survey_contrast(shares, MALE_LESS_FEMALE, against=model.assign(fold=0))


@pytest.mark.parametrize("folds", [2, 5])
def test_cross_fitted_differences_stray_as_far_as_their_errors_say(folds: int) -> None:
    apart, stated = [], []
    for seed in range(200, 225):
        survey = small_survey(seed, 300)
        men = survey.take((survey.data["gender"] == "male").to_numpy())

        def of_women(part: ss.Survey) -> pd.DataFrame:  # says of men what it learnt of women: the two err independently
            table = ss.response_distributions(part, by="gender", questions="q1")
            told = table[table["background_id"] == "gender=female"]
            return told.assign(background_id="gender=male", source="women")

        halves = ss.cross_fit(survey, of_women, by="gender", questions="q1", folds=folds, progress=False)
        direct = halves.direct[halves.direct["background_id"] == "gender=male"]
        found = ss.survey_contrast(direct, {"gender=male": 1}, against=halves.simulated)
        apart.append(found["estimate"].to_numpy())
        stated.append(found["std_error"].to_numpy())
        assert found["n"].tolist() == [men.reasons["q1"].isna().sum()] * 4
    ratio = np.square(np.std(apart, axis=0, ddof=1)).sum() / np.square(stated).mean(axis=0).sum()
    assert ratio == pytest.approx(1, abs=0.35)
