"""Post-stratified distributions: population-weighted means of cells, and refusals where cells and population do not meet."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight
from surveysim.errors import TableError
from surveysim.tables.intervals import share_intervals
from surveysim.tables.schema import DISTRIBUTION_COLUMNS, check_distributions
from tests.support.r_numbers import FOLDER, table
from tests.support.small_surveys import LEVELS, small_codebook, small_frame, small_survey

TRAITS = ["age", "gender", "region"]


def _answered(survey: ss.Survey, question: str) -> ss.Survey:
    return survey.take(survey.reasons[question].isna().to_numpy())


@given(st.integers(0, 100), st.sampled_from(["q1", "q2"]))
@settings(max_examples=25, deadline=None)
def test_a_survey_post_stratified_to_its_own_respondents_gives_its_own_shares(seed: int, question: str) -> None:
    """Exact for the population of those who answered the question; with everyone's population it corrects for nonresponse."""
    survey = small_survey(seed, n=1000)
    cells = ss.response_distributions(survey, by=TRAITS, questions=[question])
    own = ss.observed_backgrounds(_answered(survey, question), by=TRAITS)
    for by in ((), ("gender",), ("region", "age")):
        ours = ss.poststratify(cells, own, by=by).set_index(["background_id", "option_code"])
        direct = ss.response_distributions(survey, by=by, questions=[question]).set_index(["background_id", "option_code"])
        assert set(ours.index) == set(direct.index)
        aligned = ours.loc[direct.index]
        np.testing.assert_allclose(aligned["share"], direct["share"], rtol=1e-9)
        assert (aligned["n"] == direct["n"]).all()


def test_all_cells_and_no_nonresponse_agree_exactly() -> None:
    frame = small_frame(n=1000)
    frame["q1"] = frame["q1"].where(frame["q1"] < 7, 0)
    survey = ss.as_survey(frame, small_codebook())
    ours = ss.poststratify(ss.response_distributions(survey, by=TRAITS, questions=["q1"]), ss.observed_backgrounds(survey, by=TRAITS))
    direct = ss.response_distributions(survey, questions=["q1"])
    np.testing.assert_allclose(ours["share"], direct["share"], rtol=1e-12)


def test_nonresponse_that_differs_between_cells_is_corrected() -> None:
    """Everyone's answer is known here, then men are made to answer less: the post-stratified share stays nearer to the truth."""
    frame = small_frame(n=4000).assign(q1=lambda f: 3 * f["gender"])
    truth = ss.response_distributions(ss.as_survey(frame, small_codebook()), questions=["q1"])["share"]
    silent = frame.index[(frame["gender"] == 1) & (frame.index % 2 == 0)]
    survey = ss.as_survey(frame.assign(q1=frame["q1"].where(~frame.index.isin(silent), 8)), small_codebook())
    direct = ss.response_distributions(survey, questions=["q1"])["share"]
    cells = ss.response_distributions(survey, by=["gender"], questions=["q1"])
    ours = ss.poststratify(cells, ss.observed_backgrounds(survey, by=["gender"]))["share"]
    assert abs(direct - truth).max() > 0.1
    np.testing.assert_allclose(ours, truth, rtol=1e-12)


def test_the_numbers_by_hand() -> None:
    cells = pd.DataFrame(
        {
            "question_id": "q",
            "background_id": ["age=young", "age=young", "age=old", "age=old"],
            "option_code": [1, 2, 1, 2],
            "option_order": [0, 1, 0, 1],
            "share": [0.2, 0.8, 0.6, 0.4],
            "std_error": [0.04, 0.04, 0.03, 0.03],
            "conf_low": 0.0,
            "conf_high": 1.0,
            "n": [100, 100, 300, 300],
            "n_eff": [80.0, 80.0, 200.0, 200.0],
            "source": "model",
        }
    )
    ours = ss.poststratify(cells, pd.DataFrame({"age": ["young", "old"], "count": [250, 750]}))
    assert set(ours) == set(DISTRIBUTION_COLUMNS)
    assert ours["background_id"].tolist() == ["all", "all"]
    assert ours["option_order"].tolist() == [0, 1]
    np.testing.assert_allclose(ours["share"], [0.25 * 0.2 + 0.75 * 0.6, 0.25 * 0.8 + 0.75 * 0.4])
    np.testing.assert_allclose(ours["std_error"], np.hypot(0.25 * 0.04, 0.75 * 0.03))
    np.testing.assert_allclose(ours["n_eff"], 1 / (0.25**2 / 80 + 0.75**2 / 200))
    assert (ours["n"] == 400).all()
    assert (ours["source"] == "model").all()
    low, high = share_intervals(ours[["share"]].to_numpy(), ours[["std_error"]].to_numpy(), np.full(2, np.inf), np.ones(2))
    np.testing.assert_allclose(ours[["conf_low", "conf_high"]], np.hstack([low, high]))
    check_distributions(ours)


def test_a_finer_population_is_summed_over_and_a_background_id_serves_as_well() -> None:
    survey = small_survey()
    cells = ss.response_distributions(survey, by=["age"])
    fine, coarse = ss.observed_backgrounds(survey, by=TRAITS), ss.observed_backgrounds(survey, by=["age"])
    ours = ss.poststratify(cells, coarse)
    pd.testing.assert_frame_equal(ss.poststratify(cells, fine), ours, rtol=1e-12)
    pd.testing.assert_frame_equal(ss.poststratify(cells, coarse[["background_id", "population_share", "n_eff"]]), ours)


@given(st.lists(st.floats(0.01, 1), min_size=12, max_size=12))
@settings(max_examples=25, deadline=None)
def test_shares_sum_to_one_for_any_population(people: list[float]) -> None:
    survey = small_survey(n=1000)
    grid = ss.background_grid(survey.codebook, by=TRAITS).assign(count=people)
    ours = ss.poststratify(ss.response_distributions(survey, by=TRAITS), grid, by=["region"])
    np.testing.assert_allclose(ours.groupby(["question_id", "background_id"])["share"].sum(), 1, rtol=0, atol=1e-9)
    assert ours["background_id"].nunique() == len(LEVELS["region"])


def test_every_source_is_post_stratified_on_its_own() -> None:
    cells = ss.response_distributions(small_survey(), by=["age"], questions=["q1"])
    both = pd.concat([cells, cells.assign(source="model")])
    ours = ss.poststratify(both, ss.observed_backgrounds(small_survey(), by=["age"]))
    assert ours["source"].tolist() == ["survey"] * 4 + ["model"] * 4


def test_unknown_errors_stay_unknown() -> None:
    cells = ss.response_distributions(small_survey(), by=["age"], questions=["q1"])
    simulated = cells.assign(std_error=np.nan, conf_low=np.nan, conf_high=np.nan, n=0, n_eff=0.0, source="model")
    ours = ss.poststratify(simulated, ss.observed_backgrounds(small_survey(), by=["age"]))
    assert ours[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    assert (ours["n_eff"] == 0).all()
    assert ours["share"].notna().all()


def test_cells_without_people_may_be_simulated_for_nobody() -> None:
    cells = ss.response_distributions(small_survey(), by=["age"], questions=["q1"]).assign(n=0, source="model")
    ours = ss.poststratify(cells, pd.DataFrame({"age": ["young", "old"], "count": [0, 5]}))
    np.testing.assert_array_equal(ours["share"], cells.loc[cells["background_id"] == "age=old", "share"])


def test_the_survey_itself_as_population_is_labelled_and_has_the_direct_standard_error() -> None:
    """Within cells and between cells together make the variance of the weighted share (here to 2%: linearisation)."""
    frame = small_frame(n=4000)
    survey = ss.as_survey(frame[frame["q1"] < 7], small_codebook())
    cells = ss.response_distributions(survey, by=TRAITS, questions=["q1"])
    ours, direct = ss.poststratify(cells, survey), ss.response_distributions(survey, questions=["q1"])
    np.testing.assert_allclose(ours["share"], direct["share"], rtol=1e-9)
    np.testing.assert_allclose(ours["std_error"], direct["std_error"], rtol=0.02)
    assert ours.attrs["population"] == "self-post-stratified: w"
    census = ss.poststratify(cells, ss.observed_backgrounds(survey, by=TRAITS)[[*TRAITS, "population_share"]])
    assert (census["std_error"] < ours["std_error"]).all(), "a census has no error of its own"


def test_shares_equal_those_of_weights_that_r_post_stratified() -> None:
    """R: ``postStratify(dclus1, ~stype, pop.types)``; shares of award-winning schools, by its weights and by our sum over cells."""
    theirs = pd.read_csv(FOLDER / "inputs" / "weights_postStratify_dclus1_stype.csv", dtype={"cds": str})["weight"].to_numpy(float)
    schools = table("apiclus1").assign(theirs=theirs, won=lambda f: (f["awards"] == "Yes").astype(float))
    rows = []
    for stype, cell in schools.groupby("stype"):
        share = np.average(cell["won"], weights=cell["pw"].astype(float))
        rows += [("won", f"stype={stype}", code, code, value, 0.01, 0, 1, 9, 9.0, "survey") for code, value in ((0, 1 - share), (1, share))]
    people = schools.groupby("stype")["theirs"].sum().rename("count").reset_index()
    ours = ss.poststratify(pd.DataFrame(rows, columns=DISTRIBUTION_COLUMNS), people)
    np.testing.assert_allclose(ours["share"].iloc[1], np.average(schools["won"], weights=theirs), rtol=1e-6)
    assert people["count"].round().tolist() == [4421, 755, 1018], "California's schools"


R_NUMBERS = json.loads((FOLDER / "r_poststratify.json").read_text())
TYPES, WIDE = {"E": 4421, "H": 755, "M": 1018}, {"No": 1072, "Yes": 5122}


def _schools(*, equal: bool) -> ss.Survey:
    """Return California's sampled schools as a survey: did they win an award, by type and by whether they met their target."""
    traits = {
        name: Trait(name, name, tuple(Level(code, code, (code,)) for code in codes)) for name, codes in (("stype", TYPES), ("wide", WIDE))
    }
    awards = Question("awards", "Awards?", (Option("No", "No"), Option("Yes", "Yes")), type="nominal")
    frame = table("apistrat").rename(columns={"sch.wide": "wide"})[["stype", "wide", "awards", "pw"]]
    book = ss.Codebook("api", "Schools", traits, {"awards": awards}, weights=(Weight("pw"),))
    return ss.as_survey(frame.assign(pw=31.0) if equal else frame, book)


def _assert_r(ours: pd.DataFrame, theirs: dict) -> None:
    """Compare shares and standard errors of a total with R's."""
    np.testing.assert_allclose(ours["share"], theirs["estimate"], rtol=1e-6)
    np.testing.assert_allclose(ours["std_error"], theirs["se"], rtol=1e-6)


def _assert_r_domains(ours: pd.DataFrame, theirs: dict) -> None:
    levels = ours["background_id"].str.split("=").str[1] + ":awards" + ours["option_code"]
    assert set(levels) == set(theirs["estimate"])
    np.testing.assert_allclose(ours["share"], [theirs["estimate"][name] for name in levels], rtol=1e-6)
    np.testing.assert_allclose(ours["std_error"], [theirs["se"][name] for name in levels], rtol=1e-6, atol=1e-12)


def test_post_stratified_totals_and_domains_with_their_errors_equal_r() -> None:
    survey = _schools(equal=False)
    by_type = ss.response_distributions(survey, by=["stype"])
    _assert_r(ss.poststratify(by_type, pd.DataFrame({"stype": list(TYPES), "count": TYPES.values()})), R_NUMBERS["postStratify"])
    theirs = R_NUMBERS["postStratify_joint"]
    people = pd.DataFrame(theirs["population"]).rename(columns={"sch.wide": "wide", "Freq": "count"})
    cells = ss.response_distributions(survey, by=["stype", "wide"])
    _assert_r(ss.poststratify(cells, people), theirs)
    _assert_r_domains(ss.poststratify(cells, people, by=["wide"]), theirs["by_wide"])


def test_raked_totals_and_domains_with_their_errors_equal_r() -> None:
    """The structure is the survey's own joint table: what the margins leave open of it keeps its sampling error, as in R."""
    survey, theirs = _schools(equal=True), R_NUMBERS["rake"]
    cells, margins = ss.response_distributions(survey, by=["stype", "wide"]), {"stype": TYPES, "wide": WIDE}
    _assert_r(ss.poststratify(cells, margins, structure=survey), theirs)
    for trait, name in (("stype", "by_type"), ("wide", "by_wide")):
        _assert_r_domains(ss.poststratify(cells, margins, structure=survey, by=[trait]), theirs[name])
    census = ss.observed_backgrounds(survey, by=["stype", "wide"]).drop(columns=["n", "n_eff"])
    known = ss.poststratify(cells, margins, structure=census, by=["stype"])
    assert (known["std_error"] < ss.poststratify(cells, margins, structure=survey, by=["stype"])["std_error"]).all(), "a census errs less"


def test_another_survey_or_a_census_as_population_is_named() -> None:
    survey, other = small_survey(), ss.as_survey(small_frame(seed=1), small_codebook(), weight="w2")
    cells = ss.response_distributions(survey, by=["age"], questions=["q1"])
    assert ss.poststratify(cells, other).attrs["population"] == "survey small, weight w2"
    assert ss.poststratify(cells, pd.DataFrame({"age": ["young", "old"], "count": [3, 5]})).attrs["population"] == "population table"


def test_the_population_tables_own_error_by_hand() -> None:
    cells = pd.DataFrame(
        {
            "question_id": "q",
            "background_id": ["age=young", "age=young", "age=old", "age=old"],
            "option_code": [1, 2, 1, 2],
            "option_order": [0, 1, 0, 1],
            "share": [0.2, 0.8, 0.6, 0.4],
            "std_error": 0.0,
            "conf_low": 0.0,
            "conf_high": 1.0,
            "n": 100,
            "n_eff": 100.0,
            "source": "model",
        }
    )
    people = pd.DataFrame({"age": ["young", "old"], "count": [250.0, 750.0]})
    stated = ss.poststratify(cells, people.assign(std_error=[30.0, 40.0]))
    np.testing.assert_allclose(stated["std_error"], np.hypot(0.03 * (0.2 - 0.5), 0.04 * (0.6 - 0.5)))
    sampled = ss.poststratify(cells, people.assign(n=[100, 400]))
    np.testing.assert_allclose(sampled["std_error"], np.sqrt(500 / 499) * np.hypot(0.25 / 10 * 0.3, 0.75 / 20 * 0.1))
    np.testing.assert_allclose(ss.poststratify(cells, people.assign(n_eff=1e12))["std_error"], 0, atol=1e-6)
    np.testing.assert_allclose(ss.poststratify(cells, people.assign(std_error=30.0), by=["age"])["std_error"], 0, atol=1e-12)


def test_margins_are_raked_from_a_structure() -> None:
    survey = small_survey(n=1000)
    cells = ss.response_distributions(survey, by=["age", "gender"], questions=["q1"])
    margins = {"age": {"young": 0.3, "old": 0.7}, "gender": {"female": 0.6, "male": 0.4}}
    raked = ss.poststratify(cells, margins, structure=survey)
    joint = ss.joint_population(margins, ss.observed_backgrounds(survey, by=["age", "gender"]))
    pd.testing.assert_frame_equal(raked, ss.poststratify(cells, joint))
    assert raked.attrs["population"] == "margins, raked from survey small, weight w"
    census = PEOPLE.assign(population_share=[0.2, 0.4, 0.1, 0.3])
    census.attrs = {"source": "census 2020"}
    named = ss.poststratify(cells, ss.population_margins(census, by=["age", "gender"]), structure=survey)
    assert named.attrs["population"] == "census 2020, raked from survey small, weight w"
    assert "structure" not in ss.poststratify(cells, census).attrs["population"]
    own = ss.poststratify(cells, ss.population_margins(survey, by=["age", "gender"]), structure=survey)
    assert own.attrs["population"] == "self-post-stratified: w"


def test_every_step_of_weighting_is_on_record() -> None:
    cells = ss.response_distributions(small_survey(), by=TRAITS, questions=["q1"])
    people = ss.background_grid(small_codebook(), by=TRAITS).assign(count=1)
    half = ss.poststratify(cells, people, by=["age"])
    whole = ss.poststratify(half, pd.DataFrame({"age": ["young", "old"], "count": [1, 1]}))
    assert ss.weights_applied(whole).to_numpy().tolist() == [
        ["within cells", "", "w"],
        ["across cells", "gender|region", "population table"],
        ["across cells", "age", "population table"],
    ]


SURVEY = small_survey()
CELLS = ss.response_distributions(SURVEY, by=["age", "gender"], questions=["q1"])
PEOPLE = ss.observed_backgrounds(SURVEY, by=["age", "gender"])[["background_id", "age", "gender", "population_share"]]
EMPTY = CELLS.assign(share=CELLS["share"].where(CELLS["background_id"] != "age=old|gender=male"))
BROKEN: list[tuple[Callable[[], object], str]] = [
    (
        lambda: ss.poststratify(CELLS[CELLS["background_id"] != "age=old|gender=male"], PEOPLE),
        r"question 'q1': population has people in age=old\|gender=male, for which there is no distribution; simulate",
    ),
    (lambda: ss.poststratify(EMPTY, PEOPLE), r"people in age=old\|gender=male, for which there is no distribution"),
    (
        lambda: ss.poststratify(CELLS, PEOPLE.iloc[:3].assign(population_share=[0.5, 0.3, 0.2])),
        r"nobody in age=old\|gender=male, where the distributions have respondents",
    ),
    (
        lambda: ss.poststratify(CELLS, PEOPLE.assign(population_share=[0.5, 0.3, 0.2, 0.0])),
        r"nobody in age=old\|gender=male, where the distributions have respondents",
    ),
    (
        lambda: ss.poststratify(CELLS.assign(n=0), PEOPLE.iloc[:3].assign(population_share=[0.5, 0.3, 0.2])),
        r"population lacks age=old\|gender=male; give each a count, 0 where there is nobody",
    ),
    (lambda: ss.poststratify(CELLS, PEOPLE.assign(population_share=0.2)), "population_share sums to 0.8; shares must sum to 1"),
    (lambda: ss.poststratify(CELLS, PEOPLE.assign(population_share=[-0.2, 0.4, 0.4, 0.4])), "missing or negative in rows 0"),
    (lambda: ss.poststratify(CELLS, PEOPLE.assign(population_share=[np.nan, 0.4, 0.4, 0.2])), "missing or negative in rows 0"),
    (lambda: ss.poststratify(CELLS, PEOPLE.drop(columns="population_share")), "needs one of the columns 'count' and 'population_share'"),
    (lambda: ss.poststratify(CELLS, PEOPLE.assign(count=1)), "needs one of the columns 'count' and 'population_share'"),
    (lambda: ss.poststratify(CELLS, pd.DataFrame({"count": [0], "age": ["old"], "gender": ["male"]})), "sums to 0"),
    (lambda: ss.poststratify(CELLS, PEOPLE.drop(columns=["gender", "background_id"])), "population lacks trait gender"),
    (lambda: ss.poststratify(CELLS, PEOPLE, by=["gendr"]), "by: the cells have no trait 'gendr'; did you mean 'gender'"),
    (lambda: ss.poststratify(pd.concat([CELLS, ss.response_distributions(SURVEY)]), PEOPLE), "all have other traits than 'age=young"),
    (lambda: ss.poststratify(CELLS.assign(share=2 * CELLS["share"]), PEOPLE), "shares must lie in 0-1"),
    (lambda: ss.poststratify(CELLS.iloc[1:], PEOPLE), "the shares of a cell must sum to 1"),
    (lambda: ss.poststratify(CELLS, {"age": {"young": 0.5, "old": 0.5}}), "holds margins.*give structure="),
    (lambda: ss.poststratify(CELLS, ss.population_margins(SURVEY, by=["age"])), "holds margins.*give structure="),
    (
        lambda: ss.poststratify(CELLS, {"age": {"young": 0.5, "old": 0.5}, "gender": {"female": 60, "male": 40}}, structure=PEOPLE),
        "the margins' totals disagree: gender sums to 100, age to 1",
    ),
]


@pytest.mark.parametrize(("broken", "says"), BROKEN, ids=[says[:40] for _, says in BROKEN])
def test_cells_and_population_that_do_not_meet_say_so(broken: Callable[[], object], says: str) -> None:
    with pytest.raises(TableError, match=says):
        broken()
