"""`simulate_respondents`: shares of `simulate`, answers that go together, what each row and the table say, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Level, Trait
from surveysim.errors import BackgroundError, DesignError, EstimationError, SurveySimError, TableError
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_frame, opinion_survey

ASKED = ["taxes", "trust", "news", "party"]


def coupled_frame(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Return respondents whose answers go together: those who want higher taxes trust more, and so on."""
    draw, frame = np.random.default_rng(seed), opinion_frame(n, seed)
    common = draw.standard_normal(n)
    for name, options in (("taxes", 3), ("trust", 4), ("news", 5), ("party", 4)):
        score = 0.8 * common + 0.6 * draw.standard_normal(n) + 0.4 * (frame["age"] - 1)
        frame[name] = np.searchsorted(np.linspace(-1, 1, options - 1), score) + 1
    return frame


def coupled_survey(n: int = 600, seed: int = 0) -> ss.Survey:
    return ss.as_survey(coupled_frame(n, seed), opinion_codebook())


SURVEY = coupled_survey()
PEOPLE = ss.observed_backgrounds(SURVEY, by=TRAITS)
CONTRARY = {(age, gender): 1 / 6 for age in ("young", "middle", "old") for gender in ("female", "male")}  # each age has a third


def _rows(df: Any = SURVEY, population: Any = PEOPLE, **options: Any) -> pd.DataFrame:
    return ss.simulate_respondents(df, population, **{"questions": ASKED, "n": 400, "method": "mrp", "progress": False, **options})


def _shares(rows: pd.DataFrame, by: list[str]) -> pd.Series:
    parts = {name: rows.groupby([*by, name], observed=True).weight.sum() for name in ASKED}
    found = pd.concat(parts).rename_axis(["question_id", *by, "option_code"])
    return found / found.groupby(level=["question_id", *by]).transform("sum")


def test_every_background_has_the_shares_of_simulate() -> None:
    rows = _rows()
    wanted = ss.simulate(SURVEY, PEOPLE[TRAITS], questions=ASKED, method="mrp")
    wanted = wanted.set_index(["question_id", "background_id", "option_code"]).share
    assert rows.attrs["facts"]["shares"] == "those of simulate, exactly in all 6 backgrounds"
    assert (_shares(rows, ["background_id"]).reindex(wanted.index) - wanted).abs().max() < 1e-9
    assert rows.weight.sum() == pytest.approx(400)
    held = rows.groupby("background_id").weight.sum() / 400
    assert held.reindex(PEOPLE.background_id).to_numpy() == pytest.approx(PEOPLE.population_share.to_numpy())


def test_shares_hold_together_where_backgrounds_have_few_rows() -> None:
    rows = _rows(n=60)
    table = ss.simulate(SURVEY, PEOPLE[TRAITS], questions=ASKED, method="mrp").merge(PEOPLE, on="background_id")
    wanted = (table.share * table.population_share).groupby([table.question_id, table.option_code]).sum()
    assert "the others exactly together" in rows.attrs["facts"]["shares"]
    assert (_shares(rows, []).reindex(wanted.index) - wanted).abs().max() < 1e-9


def test_answers_go_together_as_they_do_in_the_sample() -> None:
    rows, truth = _rows(n=3000), coupled_survey(6000, seed=1)
    found = ss.coherence(rows, truth, questions=ASKED, constructs={"scale": ASKED[:3]}, floor_n=600).set_index("metric")
    assert (found.error["polychoric"] < 0.08).all()
    assert (found.independent_error["polychoric"] > 0.3).all()
    assert found.error["score_distance"] < 0.5 * found.independent_error["score_distance"]
    assert found.error["score_distance"] < 1.3 * found.floor_error["score_distance"]


def test_a_nominal_question_goes_together_with_others() -> None:
    rows = _rows(n=3000)
    real, made = (pd.crosstab(each.party, each.trust, normalize="columns") for each in (SURVEY.data, rows))
    assert np.abs(real.to_numpy() - made.to_numpy()).max() < 0.12
    assert made.loc[4, 4] - made.loc[4, 1] > 0.3


def test_every_row_says_that_it_is_simulated() -> None:
    rows = _rows()
    assert (rows.source == "simulated (mrp)").all()
    assert rows.respondent_id.str.startswith("simulated-").all()
    view = ss.show(rows, rows=2)
    assert view.heading.startswith("SIMULATED respondents (mrp): no row is a person · 400 rows")
    assert {"shares", "dependence", "nearest respondents", "smallest cell learnt from", "method", "seed"} <= set(view.facts)
    assert rows.attrs["nearest_respondents"]["conf_low"] < 0.5


def test_rows_are_read_as_a_survey() -> None:
    rows = _rows()
    survey = ss.as_survey(rows, opinion_codebook(), questions=ASKED)
    direct = ss.response_distributions(survey, questions=ASKED).set_index(["question_id", "option_code"]).share
    assert direct.to_numpy() == pytest.approx(_shares(rows, []).reindex(direct.index).to_numpy())


def test_rows_of_a_survey_of_more_questions_and_traits_are_read_by_what_they_have() -> None:
    """The codebook has 87 questions and 7 traits, the rows two and two."""
    survey, asked, traits = ss.load_example("nonvoters2020"), ["Q8_8", "Q8_9"], ["gender", "age3"]
    rows = ss.simulate_respondents(survey, traits, questions=asked, n=60, method="pooled")
    read = ss.as_survey(rows, survey.codebook, questions=asked, traits=traits)
    assert (list(read.questions), list(read.traits)) == (asked, traits)
    assert read.design.weights == pytest.approx(rows.weight.to_numpy())


def test_the_seed_decides() -> None:
    pd.testing.assert_frame_equal(_rows(seed=3), _rows(seed=3))
    assert (_rows(seed=3)[ASKED] != _rows(seed=4)[ASKED]).to_numpy().any()


def test_syntheses_differ_by_what_the_sample_leaves_open() -> None:
    rows = _rows(n=300, m=20)
    means = [np.average(part.trust, weights=part.weight) for _, part in rows.groupby("synthesis")]
    combined = ss.combine_syntheses(means)
    direct = ss.survey_mean(SURVEY, questions="trust")
    assert len(means) == 20
    assert rows.groupby("synthesis").weight.sum().to_numpy() == pytest.approx(np.full(20, 300))
    assert combined.std_error[0] == pytest.approx(direct.std_error[0], rel=0.5)
    assert abs(combined.estimate[0] - direct.estimate[0]) < 3 * direct.std_error[0]


def test_an_option_without_a_row_is_named() -> None:
    frame = coupled_frame()
    frame.loc[frame.index[1:], "news"] = frame["news"].iloc[1:].clip(upper=4)
    frame.loc[0, "news"] = 5
    rows = _rows(ss.as_survey(frame, opinion_codebook()), n=24, method="pooled")
    assert set(rows.attrs["options_without_row"]) <= {"news=5"} | {f"{name}={code}" for name in ASKED for code in range(1, 6)}
    assert (rows.attrs["options_without_row"] == []) == (rows.attrs["facts"]["options without a row"] == "")


def test_a_pair_that_nobody_answered_is_said() -> None:
    frame = coupled_frame()
    frame["taxes"] = frame["taxes"].astype(float)
    frame["news"] = frame["news"].astype(float)
    frame.loc[:299, "taxes"], frame.loc[300:, "news"] = np.nan, np.nan
    rows = _rows(ss.as_survey(frame, opinion_codebook()))
    assert rows.attrs["correlations"]["unestimated"] == ["taxes ~ news"]
    assert "by the factors alone, since fewer than 50 answered both: taxes ~ news" in rows.attrs["facts"]["dependence"]


def test_shares_that_are_one_respondent_are_warned_of() -> None:
    frame = coupled_frame(150)
    levels = {str(place): f"of place {place}" for place in range(150)}
    place = Trait("place", "place", tuple(Level(level, text, (code,)) for code, (level, text) in enumerate(levels.items())))
    book = replace(opinion_codebook(), traits={**opinion_codebook().traits, "place": place})
    with pytest.warns(UserWarning, match="NEARER TO SAMPLED RESPONDENTS THAN CHANCE"):
        rows = _rows(ss.as_survey(frame.assign(place=range(150)), book), "place", method="raw", n=150)
    assert rows.attrs["smallest_cell"] == 1
    assert rows.attrs["nearest_respondents"]["same_simulated"] == 1.0
    assert "keep the rows as you keep the data" in rows.attrs["facts"]["smallest cell learnt from"]


@pytest.mark.parametrize(
    "population",
    [
        TRAITS,
        SURVEY,
        PEOPLE,
        {("age", "gender"): PEOPLE.set_index(TRAITS).population_share},
        PEOPLE.assign(count=100).drop(columns="population_share"),
    ],
    ids=["names", "survey", "shares", "margins", "counts"],
)
def test_populations_of_every_kind(population: Any) -> None:
    rows = _rows(population=population, by=TRAITS, n=120)
    assert rows.background_id.nunique() == 6
    assert rows.weight.sum() == pytest.approx(120)


def test_a_plain_frame_needs_its_codebook() -> None:
    rows = _rows(coupled_frame(), TRAITS, codebook=opinion_codebook())
    pd.testing.assert_frame_equal(rows, _rows(population=TRAITS))
    with pytest.raises(SurveySimError, match="a plain frame needs codebook="):
        _rows(coupled_frame(), TRAITS)


def test_a_prior_is_the_start_of_the_shares() -> None:
    earlier = ss.response_distributions(opinion_survey(5000, seed=9), by=TRAITS, questions=ASKED)
    rows = _rows(prior=earlier)
    wanted = ss.simulate(SURVEY, PEOPLE[TRAITS], questions=ASKED, method="mrp", prior=earlier)
    wanted = wanted.set_index(["question_id", "background_id", "option_code"]).share
    assert (_shares(rows, ["background_id"]).reindex(wanted.index) - wanted).abs().max() < 1e-9


def _one_answer() -> ss.Survey:
    return ss.as_survey(coupled_frame().assign(taxes=2), opinion_codebook())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: _rows(n=0), SurveySimError, "n must be a whole number of 1 or more; got 0"),
        (lambda: _rows(n=2.5), SurveySimError, "n must be a whole number; got float 2.5"),
        (lambda: _rows(m=0), SurveySimError, "m must be a whole number of 1 or more; got 0"),
        (lambda: _rows(n=5), SurveySimError, "n=5 rows are fewer than the 6 backgrounds"),
        (lambda: _rows(SURVEY.take(np.arange(49))), EstimationError, "49 of 49 respondents have a weight.*50 are needed"),
        (lambda: _rows(_one_answer()), EstimationError, "question 'taxes': of the 600 respondents learnt from all gave 'The same'"),
        (
            lambda: _rows(by=["age", "gender"], population=PEOPLE.drop(columns="gender")),
            BackgroundError,
            "gender, which by names; it has age:",
        ),
        (lambda: _rows(population=PEOPLE[["population_share"]]), BackgroundError, "population has no trait"),
        (lambda: _rows(population=PEOPLE.assign(age="ancient")), BackgroundError, "'ancient'"),
        (lambda: _rows(population=PEOPLE.assign(population_share=0.3)), TableError, "population_share sums to 1.8"),
        (
            lambda: _rows(population={"age": {"young": 10, "middle": 10, "old": 10}, "gender": {"female": 99, "male": 99}}),
            SurveySimError,
            "age",
        ),
        (
            lambda: _rows(population={"age": {"young": 0.5, "middle": 0.5, "old": np.nan}}),
            TableError,
            "missing or negative in rows age=old",
        ),
        (
            lambda: _rows(population={"age": {"young": 0.5, "middle": 0.3, "old": 0.2}, ("age", "gender"): CONTRARY}),
            DesignError,
            "the margins contradict one another",
        ),
        (lambda: _rows(min_n=500), EstimationError, "min_n=500: the smallest cell that would be learnt from has"),
        (lambda: _rows(m=2, method="raw"), SurveySimError, "raw"),
        (lambda: _rows(method="mpr"), SurveySimError, "method 'mpr' is unknown; did you mean 'mrp'"),
    ],
)
def test_bad_input_is_refused_in_its_own_words(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.usefixtures("module_cache")
def test_a_language_model_gives_the_shares_and_their_draws(base: ss.OptionModel) -> None:
    rows = _rows(model=base, method="dsa-kernel", questions=ASKED[:2], n=60)
    wanted = ss.simulate(SURVEY, PEOPLE[TRAITS], questions=ASKED[:2], method="dsa-kernel", model=base, progress=False)
    wanted = wanted.merge(PEOPLE, on="background_id").assign(people=lambda table: table.share * table.population_share)
    wanted = wanted.groupby(["question_id", "option_code"]).people.sum()
    found = {name: rows.groupby(name).weight.sum() / 60 for name in ASKED[:2]}
    assert pd.concat(found).to_numpy() == pytest.approx(wanted.loc[list(found)].to_numpy(), abs=1e-9)
    assert rows.attrs["model_sha256"] == base.backbone.digest
    several = _rows(model=base, method="dsa-kernel", questions=ASKED[:2], n=60, m=2)
    assert several.groupby("synthesis").trust.mean().nunique() == 2


def test_what_it_leans_on_is_said_as_simulate_says_it() -> None:
    """The prior, and backgrounds that nobody sampled has."""
    prior = ss.response_distributions(coupled_survey(2000, 5), by=TRAITS, questions=ASKED)
    sampled = SURVEY.take((SURVEY.data["age"].astype(str) + SURVEY.data["gender"].astype(str) != "oldmale").to_numpy())
    facts = ss.show(_rows(sampled, PEOPLE, prior=prior)).facts
    table = ss.show(ss.simulate(sampled, PEOPLE[TRAITS], questions=ASKED, method="mrp", prior=prior)).facts
    assert facts["prior"] == table["prior"]
    assert "slope of its differences" in facts["prior"]
    assert facts["never sampled"] == table["never sampled"]
    assert "prior" not in ss.show(_rows()).facts
    assert not ss.show(_rows()).facts["never sampled"]
