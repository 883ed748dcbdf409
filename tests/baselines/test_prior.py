"""A prior: what is taken as one, how it is laid out, and that an estimate starts from it and is moved by the sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.baselines.prior import SIMULATOR, WAVE, count_for
from surveysim.errors import EstimationError, SurveySimError, TableError
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_frame, opinion_survey

QUESTIONS = ["trust", "taxes", "news"]
KEYS = ["question_id", "background_id", "option_code"]


def _before(n: int = 4000, seed: int = 9) -> ss.Survey:
    return opinion_survey(n, seed)


def _sample(n: int, seed: int = 1) -> pd.DataFrame:
    return ss.response_distributions(opinion_survey(n, seed), by=TRAITS, questions=QUESTIONS)


def _grid() -> pd.DataFrame:
    return ss.background_grid(opinion_codebook(), by=TRAITS)


def _estimate(sample: pd.DataFrame, prior: object = None, **options: object) -> pd.DataFrame:
    return ss.estimate_baseline(sample, _grid(), method="mrp", codebook=opinion_codebook(), prior=prior, **options)


def _error(table: pd.DataFrame, truth: pd.DataFrame) -> float:
    both = truth.merge(table, on=KEYS, suffixes=("", "_estimated"))
    return float((both["share"] - both["share_estimated"]).abs().mean())


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return ss.response_distributions(opinion_survey(20_000, 77), by=TRAITS, questions=QUESTIONS)


@pytest.mark.parametrize("n", [30, 300])
def test_a_wave_of_the_same_population_lowers_the_error(n: int, truth: pd.DataFrame) -> None:
    without = np.mean([_error(_estimate(_sample(n, seed)), truth) for seed in range(3)])
    moved = np.mean([_error(_estimate(_sample(n, seed), _before()), truth) for seed in range(3)])
    assert moved < 0.8 * without


def test_much_data_and_a_misleading_prior_end_where_no_prior_does(truth: pd.DataFrame) -> None:
    wrong = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    turned = {1: 4, 2: 3, 3: 2, 4: 1}
    rows = wrong["question_id"] == "trust"
    wrong.loc[rows, "option_order"] = 4 - wrong.loc[rows, "option_code"]
    wrong.loc[rows, "option_code"] = wrong.loc[rows, "option_code"].map(turned)
    sample = _sample(3000)
    assert _error(_estimate(sample, wrong), truth) < 1.1 * _error(_estimate(sample), truth)


def test_what_the_prior_was_worth_is_said() -> None:
    table = _estimate(_sample(300), _before())
    about = table.attrs["prior"]
    assert about["name"] == "opinions"
    assert about["question_id"] == QUESTIONS
    assert all(0.5 < slope < 1.5 for slope in about["slope"])
    assert all(0 <= part <= 1 for part in about["explained"])
    assert table["std_error"].between(0, 0.2).all()


def test_the_order_of_rows_changes_nothing() -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    shuffled = prior.sample(frac=1, random_state=0)
    left, right = (_estimate(_sample(100), each).sort_values(KEYS)["share"].to_numpy() for each in (prior, shuffled))
    np.testing.assert_allclose(left, right, atol=1e-8)


def test_without_respondents_the_prior_stands(truth: pd.DataFrame) -> None:
    """A question that only the prior knows has its shares, and an interval wider than the prior's own."""
    survey = ss.as_survey(opinion_frame(200, 1).drop(columns="news"), opinion_codebook(), questions=["trust", "taxes"])
    table = ss.simulate(survey, TRAITS, method="mrp", questions=QUESTIONS, prior=_before())
    news = table[table["question_id"] == "news"]
    prior = ss.response_distributions(_before(), by=TRAITS, questions=["news"])
    assert _error(news, prior) < 0.02
    assert (news["n"] == 0).all()
    assert (news["std_error"] > 0).all()


def test_a_prior_of_fewer_traits_informs_these(truth: pd.DataFrame) -> None:
    coarse = ss.response_distributions(_before(), by=["age"], questions=QUESTIONS)
    assert _error(_estimate(_sample(30), coarse), truth) < _error(_estimate(_sample(30)), truth)


def test_single_traits_add_up(truth: pd.DataFrame) -> None:
    single = pd.concat([ss.response_distributions(_before(), by=[trait], questions=QUESTIONS) for trait in TRAITS], ignore_index=True)
    assert _error(_estimate(_sample(30), single), truth) < _error(_estimate(_sample(30)), truth)


def test_a_table_without_n_states_no_error_and_zero_shares_are_possible() -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS).assign(n=0, n_eff=0.0, std_error=np.nan)
    empty = prior["option_code"].eq(1) & prior["question_id"].eq("taxes")
    prior.loc[empty, "share"] = 0.0
    prior["share"] /= prior.groupby(KEYS[:2])["share"].transform("sum")
    table = _estimate(_sample(300), prior)
    assert np.isfinite(table["share"]).all()
    assert (table["share"] > 0).all()


def test_an_option_that_the_wave_before_did_not_offer_comes_from_the_sample(truth: pd.DataFrame) -> None:
    """However many respondents the wave states; its other differences are not taken for wrong because of it."""
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    prior[["n", "n_eff"]] *= 100
    new = {question: prior.loc[prior["question_id"] == question, "option_code"].max() for question in QUESTIONS}
    rare = prior["option_code"] == prior["question_id"].map(new)
    prior.loc[rare, "share"] = 0.0
    prior["share"] /= prior.groupby(KEYS[:2])["share"].transform("sum")
    table = _estimate(_sample(1000), prior)
    estimated, true = (each.loc[each["option_code"] == each["question_id"].map(new)] for each in (table, truth))
    means = estimated.groupby("question_id")["share"].mean() / true.groupby("question_id")["share"].mean()
    assert means.between(0.6, 1.5).all(), means.to_dict()
    assert max(table.attrs["prior"]["ignored"]) < 0.5


def test_draws_carry_it() -> None:
    table = _estimate(_sample(100), _before(), draws=40)
    draws = table[[name for name in table if name.startswith("draw_")]].to_numpy()
    np.testing.assert_allclose(draws.std(1), table["std_error"], rtol=0.6, atol=0.01)


def _dealt_anew(prior: pd.DataFrame) -> pd.DataFrame:
    """Return a prior whose backgrounds have one another's shares."""
    names = sorted(prior["background_id"].unique())
    other = dict(zip(names, np.random.default_rng(4).permutation(names), strict=True))
    return prior.assign(background_id=prior["background_id"].map(other))


def test_a_source_twice_is_a_source_once() -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS).assign(n=0, n_eff=0.0)
    once, twice = (_estimate(_sample(200), each) for each in (prior, [prior, prior]))
    np.testing.assert_allclose(twice["share"], once["share"], atol=1e-3)
    assert twice.attrs["prior"]["weights"] == pytest.approx({"opinions (1)": 0.5, "opinions (2)": 0.5})


def test_of_two_sources_the_better_one_counts(truth: pd.DataFrame) -> None:
    good = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    sources = {"wave": good, "simulator": _dealt_anew(good).assign(n=0, n_eff=0.0)}
    sample = _sample(600)
    both, alone = _estimate(sample, sources), _estimate(sample, good)
    assert both.attrs["prior"]["weights"]["wave"] > 0.75
    assert sum(both.attrs["prior"]["weights"].values()) == pytest.approx(1.0, abs=0.01)
    assert _error(both, truth) < 1.15 * _error(alone, truth)


def test_a_source_may_lack_a_question_that_another_has() -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    parts = {"first": prior[prior["question_id"] != "news"], "second": prior[prior["question_id"] == "news"]}
    apart, together = (_estimate(_sample(200), each)["share"] for each in (parts, prior))
    assert np.abs(apart - together).mean() < 0.003, "the same shares but for what the questions' variances have in common"


def test_each_source_has_an_expectation_of_its_own() -> None:
    """In a mixed list, what a wave or a simulator alone knows is moved as if it were given alone."""
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    wave, simulator = prior[prior["question_id"] != "news"], prior[prior["question_id"] == "news"].assign(n=0, n_eff=0.0)
    sample = _sample(200)
    mixed = _estimate(sample, {"wave": wave, "simulator": simulator})
    for alone in (wave, simulator):
        own = _estimate(sample[sample["question_id"].isin(alone["question_id"])], alone)
        both = own.merge(mixed, on=KEYS, suffixes=("", "_mixed"))
        assert len(both) == len(own)
        np.testing.assert_allclose(both["share_mixed"], both["share"], atol=1e-4)


def test_a_wave_counts_for_more_than_a_simulator_before_anybody_is_asked() -> None:
    there = np.array([[True, True], [True, False], [False, True]])
    stated = np.array([[True, False]] * 3)
    found = count_for(stated, there)
    np.testing.assert_allclose(found[0], np.array([1 / WAVE.changed, 1 / SIMULATOR.changed]) / (1 / WAVE.changed + 1 / SIMULATOR.changed))
    np.testing.assert_array_equal(found[1:], [[1.0, 0.0], [0.0, 1.0]])


def test_waves_move_one_another(truth: pd.DataFrame) -> None:
    """Two small waves of one population say more than the last alone, in the mean of three draws, whatever order the mapping has."""
    errors = []
    for seed in (5, 15, 25):
        waves, sample = {2020: _before(300, seed), 2018: _before(300, seed + 1)}, _sample(60, 1 + seed // 10)
        errors.append([_error(_estimate(sample, prior), truth) for prior in (waves, waves[2020])])
    both, last = np.mean(errors, axis=0)
    assert both < 0.95 * last
    turned = dict(reversed(waves.items()))
    np.testing.assert_array_equal(_estimate(sample, turned)["share"], _estimate(sample, waves)["share"])


def test_waves_that_changed_much_leave_the_last_word_to_the_last(truth: pd.DataFrame) -> None:
    old = _dealt_anew(ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS))
    waves = {2000: old, 2020: _before(seed=5)}
    assert _error(_estimate(_sample(60), waves), truth) < 1.2 * _error(_estimate(_sample(60), waves[2020]), truth)


def test_a_prior_that_misleads_is_told_by_the_backgrounds_left_out() -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    good, bad = (_estimate(_sample(400), each).attrs["prior"]["left_out"] for each in (prior, _dealt_anew(prior)))
    assert good["difference"] < 0
    assert good["misleads"] is False
    assert bad["difference"] > good["difference"]


@pytest.mark.parametrize("misleading", [False, True])
def test_a_prior_that_misleads_is_warned_of(misleading: bool, caplog: pytest.LogCaptureFixture) -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    given = _dealt_anew(prior) if misleading else prior
    table = ss.simulate(opinion_survey(400, 1), TRAITS, method="mrp", questions=QUESTIONS, prior=given)
    assert table.attrs["prior"]["left_out"]["misleads"] == misleading
    assert ("misleads" in caplog.text) == misleading
    assert ("MISLEADS" in repr(ss.show(table))) == misleading
    found = ss.diagnose(table, prior, codebook=opinion_codebook())
    assert found["prior_misleads"].tolist() == [misleading] * len(QUESTIONS)
    assert ("MISLEADS" in repr(ss.show(found))) == misleading
    assert "prior_misleads" not in ss.diagnose(prior, prior, codebook=opinion_codebook())


@pytest.mark.parametrize("misleading", [False, True])
def test_a_baseline_warns_of_it_as_simulate_does(misleading: bool, caplog: pytest.LogCaptureFixture) -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    given, book = _dealt_anew(prior) if misleading else prior, opinion_codebook()
    ss.estimate_baseline(_sample(400), ss.background_grid(book, by=TRAITS), method="mrp", codebook=book, prior=given)
    assert ("misleads" in caplog.text) == misleading


@pytest.mark.parametrize("as_table", [False, True])
def test_the_sample_itself_is_no_prior(as_table: bool) -> None:
    survey = opinion_survey(300, 1)
    prior = ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS) if as_table else survey
    with pytest.raises(SurveySimError, match="has the sample's own shares: combined with the same respondents they would count twice"):
        ss.simulate(survey, TRAITS, method="mrp", questions=QUESTIONS, prior=prior)
    if as_table:
        with pytest.raises(SurveySimError, match="would count twice"):
            ss.simulate(survey, TRAITS, method="mrp", questions=QUESTIONS, prior=prior.assign(option_code=prior["option_code"].astype(str)))


def test_questions_that_nobody_was_asked_are_told_in_every_table_made_of_them(tmp_path: Path) -> None:
    survey = ss.as_survey(opinion_frame(200, 1).drop(columns="news"), opinion_codebook(), questions=["trust", "taxes"])
    table = ss.simulate(survey, TRAITS, method="mrp", questions=["trust", "news"], prior=_before())
    basis = {"trust": "sample and prior", "news": "prior alone"}
    summed = ss.poststratify(table, ss.observed_backgrounds(survey, by=TRAITS))
    both = ss.stack([table, ss.response_distributions(survey, by=TRAITS, questions="trust")])
    ss.export_table(table, tmp_path / "table.csv", min_n=0)
    for made in (table, summed, ss.stack([table, summed]), pd.read_csv(tmp_path / "table.csv")):
        assert (made["basis"] == made["question_id"].map(basis)).all()
        assert "news: nobody in the sample was asked" in repr(ss.show(made))
    assert both.loc[both["basis"] == "prior alone", "question_id"].unique().tolist() == ["news"]
    assert table.attrs["prior"]["not_asked"] == ["news"]
    plain = ss.simulate(survey, TRAITS, method="mrp", questions=["trust"], prior=_before())
    assert "basis" not in plain
    assert "prior alone" not in repr(ss.show(plain))


def test_a_simulator_that_is_off_in_level_alone_helps(truth: pd.DataFrame) -> None:
    """A simulator states no n and may be far off: its level is moved, its differences are kept."""
    exact = ss.response_distributions(opinion_survey(20_000, 78), by=TRAITS, questions=QUESTIONS).assign(n=0, n_eff=0.0)
    tilted = exact["share"] * np.exp(0.8 * exact["option_order"])
    off = exact.assign(share=tilted / tilted.groupby([exact["question_id"], exact["background_id"]]).transform("sum"))
    without = np.mean([_error(_estimate(_sample(150, seed)), truth) for seed in range(3)])
    moved = np.mean([_error(_estimate(_sample(150, seed), off), truth) for seed in range(3)])
    assert _error(off, truth) > 2 * without
    assert moved < 0.9 * without


def test_of_one_background_the_level_is_moved_and_the_slope_is_not_known() -> None:
    prior = ss.response_distributions(_before(), by=TRAITS, questions=QUESTIONS)
    only = "age=old|gender=male"
    sample = _sample(200)
    grid = _grid()[_grid()["background_id"] == only]
    table = ss.estimate_baseline(sample[sample["background_id"] == only], grid, method="mrp", codebook=opinion_codebook(), prior=prior)
    assert table.attrs["prior"]["slope"] == [None] * len(QUESTIONS)
    assert "slope of its differences not known: it has no differences" in repr(ss.show(table))
    own, known = (each.loc[each["background_id"] == only, "share"].to_numpy() for each in (sample, prior))
    assert (np.minimum(own, known) - 0.05 <= table["share"]).all()
    assert (table["share"] <= np.maximum(own, known) + 0.05).all()


def _not_a_prior(prior: pd.DataFrame) -> object:
    return "ess9"


def _none(prior: pd.DataFrame) -> object:
    return []


def _one_of_two_is_none(prior: pd.DataFrame) -> object:
    return [prior, "ess9"]


def _keys_of_both_kinds(prior: pd.DataFrame) -> object:
    return {"first": prior, 2018: prior}


def _later_wave_without_n(prior: pd.DataFrame) -> object:
    return {2016: prior, 2018: prior.assign(n=0, n_eff=0.0)}


def _waves_of_other_traits(prior: pd.DataFrame) -> object:
    return {2016: prior, 2018: ss.response_distributions(_before(500), by=["age"], questions=QUESTIONS)}


def _other_question(prior: pd.DataFrame) -> object:
    return prior[prior["question_id"] == "trust"].assign(question_id="weather")


def _one_question(prior: pd.DataFrame) -> object:
    return prior[prior["question_id"] == "trust"]


def _other_options(prior: pd.DataFrame) -> object:
    return prior.assign(option_code=prior["option_code"] + 10)


def _percent(prior: pd.DataFrame) -> object:
    return prior.assign(share=prior["share"] * 100)


def _more_traits(prior: pd.DataFrame) -> object:
    return prior.assign(background_id=prior["background_id"] + "|region=north")


def _other_levels(prior: pd.DataFrame) -> object:
    return prior.assign(background_id=prior["background_id"].str.replace("age=", "age=very "))


def _mixed_traits(prior: pd.DataFrame) -> object:
    return pd.concat([prior, ss.response_distributions(_before(500), by=["age"], questions=QUESTIONS)], ignore_index=True)


def _double_use(prior: pd.DataFrame) -> object:
    again = prior.copy()
    again.attrs = {"simulated": True, "n_respondents": 300, "survey": "opinions"}
    return again


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_not_a_prior, EstimationError, "prior must be a distributions table, a Survey, or a list or mapping of them; got str"),
        (_none, EstimationError, "prior is empty"),
        (_one_of_two_is_none, EstimationError, "prior 2 must be a distributions table or a Survey; got str"),
        (_keys_of_both_kinds, EstimationError, "keys of a mapping are names, or years as whole numbers; got 'first', 2018"),
        (_later_wave_without_n, EstimationError, "wave '2018' states no n, so it cannot move the wave before"),
        (_waves_of_other_traits, EstimationError, "waves have backgrounds of other traits"),
        (_other_question, EstimationError, "prior has none of the questions trust, taxes, news; it has weather"),
        (_one_question, EstimationError, "lacks question taxes, news; leave it out with questions="),
        (_other_options, EstimationError, "never stretched"),
        (_percent, TableError, "are these percentages"),
        (_more_traits, EstimationError, "prior has trait region, which the backgrounds to estimate lack"),
        (_other_levels, EstimationError, "none of the backgrounds of .* give its traits the same levels"),
        (_mixed_traits, EstimationError, "prior .* mixes backgrounds of other traits .* or of single traits alone"),
        (_double_use, EstimationError, "would count twice"),
    ],
)
def test_what_is_no_prior(change: Callable[[pd.DataFrame], object], error: type[SurveySimError], message: str) -> None:
    prior = ss.response_distributions(_before(500), by=TRAITS, questions=QUESTIONS)
    with pytest.raises(error, match=message):
        _estimate(_sample(100), change(prior))


@pytest.mark.parametrize("spelt", ["other", "more"])
def test_a_level_spelt_otherwise_in_a_prior_is_warned_of(spelt: str, caplog: pytest.LogCaptureFixture) -> None:
    prior = ss.response_distributions(_before(1000), by=TRAITS, questions=["trust"])
    old = prior[prior["background_id"].str.contains("age=old")]
    other = old.assign(background_id=old["background_id"].str.replace("age=old", "age=aged"))
    kept = prior.drop(old.index) if spelt == "other" else prior
    ss.simulate(opinion_survey(200), _grid(), questions=["trust"], method="mrp", prior=pd.concat([kept, other]), progress=False)
    said = "age aged is not among the levels to estimate and was left out, old is estimated without it"
    assert (said in caplog.text) == (spelt == "other"), "a prior of more levels than are asked for is none's mistake"


def test_methods_that_take_none_say_so() -> None:
    with pytest.raises(EstimationError, match="method 'raw' takes none; use one of mrp"):
        ss.simulate(opinion_survey(), TRAITS, method="raw", prior=_before(500))


@pytest.mark.usefixtures("own_cache")
def test_the_language_model_starts_from_it_too(base: ss.OptionModel) -> None:
    survey, prior = opinion_survey(120, 1), _before(1000)
    options = {"questions": ["trust", "news"], "progress": False}
    table = ss.simulate(survey, TRAITS, model=base, prior=prior, **options)
    kernel = ss.simulate(survey, TRAITS, model=base, method="dsa-kernel", prior=prior, **options)
    assert table.attrs["prior"]["digest"] == kernel.attrs["prior"]["digest"]
    assert _error(table, kernel) < 0.03
    sample = ss.response_distributions(survey, by=TRAITS, questions=["trust", "news"])
    aligned = ss.align(base, sample, survey.codebook, prior=prior, progress=False)
    with pytest.raises(SurveySimError, match="the model was aligned with prior 'opinions', simulate was given none"):
        ss.simulate(survey, TRAITS, model=aligned, **options)
    again = ss.simulate(survey, TRAITS, model=aligned, prior=prior, **options)
    assert again.attrs["prior"]["digest"] == aligned.recipe["prior"]["digest"]


def test_a_comparison_records_its_prior(tmp_path: object) -> None:
    survey, prior = opinion_survey(600, 3), _before(1000)
    plan = {"by": TRAITS, "train_n": 100, "methods": ["raw", "mrp"], "seeds": 1, "questions": ["trust"], "progress": False}
    with_prior = ss.compare_methods(survey, prior=prior, results=tmp_path, **plan)
    assert with_prior.attrs["prior"]
    with pytest.raises(SurveySimError, match="prior"):
        ss.compare_methods(survey, results=tmp_path, **plan)
