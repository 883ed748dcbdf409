"""The comparison of methods: same rows for all, nothing of the truth in training, resumable, and honest intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EvaluationError, SplitError
from surveysim.evaluation.comparison_summary import crossed_interval, saving_intervals
from surveysim.evaluation.trials import draw_trial
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_survey

QUIET = {"by": TRAITS, "progress": False}


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return opinion_survey(900)


@pytest.fixture(scope="module")
def scores(survey: ss.Survey) -> pd.DataFrame:
    return ss.compare_methods(survey, train_n=[60, 120, 480], methods=["raw", "pooled", "mrp"], seeds=3, **QUIET)


@pytest.mark.parametrize("split", ["respondents", "backgrounds", "levels", "questions", "both"])
def test_nobody_trains_and_is_the_truth_and_what_is_held_out_is_not_trained_on(survey: ss.Survey, split: str) -> None:
    held = {"age": 1} if split == "levels" else None
    trial = draw_trial(survey, by=TRAITS, n=100, seed=3, split=split, held=held)
    assert len(trial.train) == 100
    seen = ss.observed_backgrounds(trial.train, by=TRAITS).background_id
    scored = set(trial.truth.background_id)
    if split in ("backgrounds", "levels", "both"):
        assert not scored & set(seen)
        assert 0 < len(scored) < len(trial.backgrounds)
    else:
        assert scored == set(trial.backgrounds.background_id)
    if split in ("questions", "both"):
        assert set(trial.asked).isdisjoint(trial.scored)
        assert set(trial.asked) | set(trial.scored) == set(survey.questions)
    else:
        assert trial.asked == trial.scored == survey.questions


def test_training_and_truth_add_up_to_the_survey(survey: ss.Survey) -> None:
    trial = draw_trial(survey, by=TRAITS, n=200, seed=0)
    sample = ss.response_distributions(trial.train, by=TRAITS)
    whole = ss.response_distributions(survey, by=TRAITS)
    size = [table.groupby("question_id").n.sum() for table in (sample, trial.truth, whole)]
    assert (size[0] + size[1]).tolist() == size[2].tolist()


def test_sizes_of_one_seed_are_nested_and_seeds_differ(survey: ss.Survey) -> None:
    small, large = (set(draw_trial(survey, by=TRAITS, n=n, seed=5).train.data.respondent_id) for n in (50, 200))
    other = set(draw_trial(survey, by=TRAITS, n=50, seed=6).train.data.respondent_id)
    assert small < large
    assert small != other


def test_equal_by_draws_as_many_from_each_level(survey: ss.Survey) -> None:
    trial = draw_trial(survey, by=TRAITS, n=90, seed=0, equal_by="age")
    assert trial.train.data.age.value_counts().tolist() == [30, 30, 30]
    with pytest.raises(SplitError, match="train_n=100 is no multiple of the 3 sampled levels of 'age'"):
        draw_trial(survey, by=TRAITS, n=100, seed=0, equal_by="age")


def test_small_truth_cells_are_not_scored(survey: ss.Survey) -> None:
    trial = draw_trial(survey, by=TRAITS, n=100, seed=0, min_truth=135)
    assert trial.truth.n.min() >= 135
    assert len(trial.truth) < len(draw_trial(survey, by=TRAITS, n=100, seed=0).truth)


def test_a_clustered_survey_is_compared_though_a_sample_leaves_single_psus(survey: ss.Survey) -> None:
    place = pd.Series(range(len(survey)))
    clustered = replace(survey, data=survey.data.assign(stratum=(place // 2).astype(str).to_numpy(), psu=place.astype(str).to_numpy()))
    plan = {"train_n": 200, "methods": ["raw", "mrp"], "seeds": 1, "questions": ["vote"], **QUIET}
    scores = ss.compare_methods(clustered, **plan)
    assert scores.estimate.tolist() == ss.compare_methods(survey, **plan).estimate.tolist()


def test_all_methods_are_scored_on_the_same_rows(scores: pd.DataFrame) -> None:
    keys = ["n", "seed", "question_id", "metric"]
    tables = [frozenset(part[keys].itertuples(index=False, name=None)) for _, part in scores.groupby("method")]
    assert len(tables) == 5
    assert len(set(tables)) == 1


def test_scores_are_those_of_evaluate_on_the_same_trial(survey: ss.Survey, scores: pd.DataFrame) -> None:
    trial = draw_trial(survey, by=TRAITS, n=120, seed=1)
    table = ss.simulate(trial.train, trial.backgrounds[TRAITS], method="mrp")
    found = ss.evaluate(table, trial.truth, codebook=survey.codebook, weights=trial.backgrounds)
    trust = found[(found.question_id == "trust") & (found.metric == "wasserstein")]
    ours = scores.query("n == 120 and seed == 1 and method == 'mrp' and question_id == 'trust' and metric == 'wasserstein'")
    assert ours.estimate.item() == pytest.approx(np.average(trust.estimate, weights=trust.weight), rel=1e-12)


def test_the_floor_lies_below_every_method_and_the_sample_comes_closer_with_size(scores: pd.DataFrame) -> None:
    means = ss.summarise_comparison(scores).pivot_table(index="n", columns="method", values="estimate")
    assert (means["floor"] < means[["raw", "pooled", "mrp"]].min(axis=1)).all()
    assert (means["floor"] < means["fresh sample"]).all()
    assert means["raw"].is_monotonic_decreasing
    assert (means["mrp"] < means["raw"]).all()


def test_results_are_kept_resumed_and_belong_to_one_comparison(survey: ss.Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {"train_n": 80, "seeds": 2, "results": tmp_path / "kept", **QUIET}
    first = ss.compare_methods(survey, methods=["raw"], **plan)
    files = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert "n80-seed1-raw.parquet" in files
    assert not [name for name in files if name.startswith(".partial")]
    monkeypatch.setattr("surveysim.evaluation.comparison.simulate", None)
    again = ss.compare_methods(survey, methods=["raw"], **plan)
    pd.testing.assert_frame_equal(first, again, check_dtype=False)
    with pytest.raises(EvaluationError, match=r"holds another comparison \(questions .*now \['trust'\]"):
        ss.compare_methods(survey, methods=["raw"], questions=["trust"], **plan)


def test_diagnoses_stand_beside_the_metrics(survey: ss.Survey) -> None:
    found = ss.compare_methods(survey, train_n=300, methods=["pooled", "mrp"], seeds=1, metrics=["wasserstein", "variance_ratio"], **QUIET)
    ratio = found[found.metric == "variance_ratio"].groupby("method").estimate.mean()
    assert ratio["pooled"] == pytest.approx(0, abs=1e-12)
    assert 0.2 < ratio["mrp"] < 2


def test_scores_of_a_nullable_type_are_as_those_of_floats(scores: pd.DataFrame) -> None:
    other = scores.assign(seed=np.where(np.arange(len(scores)) < 3, 7, scores["seed"]))  # questions that a seed lacks
    found = [ss.summarise_comparison(each) for each in (other, other.astype({"estimate": "Float64"}))]
    pd.testing.assert_frame_equal(*found)


def test_a_reference_without_error_has_a_difference_and_no_ratio(scores: pd.DataFrame) -> None:
    exact = scores.assign(estimate=scores["estimate"].where(scores["method"] != "raw", 0.0))
    paired = ss.paired_differences(exact, reference="raw")
    assert paired["estimate"].gt(0).all()
    assert paired[["ratio", "ratio_low", "ratio_high"]].isna().all(axis=None)


def test_paired_differences_and_ratios(scores: pd.DataFrame) -> None:
    paired = ss.paired_differences(scores, reference="raw").set_index(["n", "method"])
    means = ss.summarise_comparison(scores).set_index(["n", "method"]).estimate
    for n in (60, 120, 480):
        row = paired.loc[n, "mrp"]
        assert row.estimate == pytest.approx(means[n, "mrp"] - means[n, "raw"])
        assert row.ratio == pytest.approx(means[n, "mrp"] / means[n, "raw"])
        assert row.ratio_low < row.ratio < row.ratio_high
        assert row.conf_low < row.estimate < row.conf_high
    best = ss.paired_differences(scores, reference="best classical")
    assert (best[best.method.isin(["raw", "pooled", "mrp"])].ratio >= 1).all()


def test_savings_against_the_methods_own_curve_are_nothing(scores: pd.DataFrame) -> None:
    saved = ss.savings(scores, reference="raw").set_index(["n", "method"])
    assert saved.loc[(120, "raw"), "data_saved"] == pytest.approx(0, abs=1e-9)
    assert saved.loc[(60, "mrp"), "data_saved"] > 0.3
    best = ss.savings(scores, reference="best classical").set_index(["n", "method"])
    assert (best.xs("raw", level="method").data_saved <= 0).all()


def test_the_crossed_interval_covers_the_mean_where_questions_and_seeds_both_vary() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        table = draw.normal(0, 1, (12, 1)) + draw.normal(0, 1, (1, 6)) + draw.normal(0, 1, (12, 6))
        low, high, _ = crossed_interval(pd.DataFrame(table))
        covered += low < 0 < high
    assert 0.92 < covered / 400 < 0.99


def test_the_crossed_interval_of_one_seed_is_students(scores: pd.DataFrame) -> None:
    values = np.array([0.1, 0.2, 0.4])
    low, high, error = crossed_interval(pd.DataFrame(values[:, None]))
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(3))
    assert (high - low) / 2 == pytest.approx(4.302652730 * error)
    assert np.isnan(crossed_interval(pd.DataFrame([[0.3]]))).all()


def test_models_answer_questions_never_asked_beside_the_blind_answers(survey: ss.Survey, tiny_folder: Path, own_cache: Path) -> None:
    model = load_tiny(tiny_folder)
    methods = ["uniform", "length-matched", "zero-shot", "stage1", "dsa-kernel"]
    found = ss.compare_methods(survey, train_n=200, methods=methods, seeds=2, split="questions", held=0.34, model=model, **QUIET)
    assert set(found.method) == {*methods, "floor", "fresh sample"}
    assert len(set(found.groupby("method").size())) == 1
    assert np.isfinite(found.estimate).all()


def test_held_out_levels_are_simulated_by_model_and_regression(survey: ss.Survey, tiny_folder: Path, own_cache: Path) -> None:
    model = load_tiny(tiny_folder)
    found = ss.compare_methods(
        survey, train_n=200, methods=["mrp", "dsa-kernel"], seeds=1, split="levels", held={"age": ["old"]}, model=model, **QUIET
    )
    assert (found.n_backgrounds == 2).all()
    assert set(found.method) == {"mrp", "dsa-kernel", "floor", "fresh sample"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["mpr"]}, r"methods: 'mpr' is unknown; did you mean 'mrp'"),
        ({"methods": ["mrp"], "split": "questions"}, "methods: 'mrp' cannot answer questions it was not trained on; uniform, "),
        ({"split": "question"}, "split 'question' is unknown; did you mean 'questions'"),
        ({"metrics": ["wassertein"]}, "metrics: there is no metric 'wassertein'; did you mean 'wasserstein'"),
        ({"seeds": []}, "seeds is empty"),
        ({"train_n": []}, "train_n is empty"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(survey: ss.Survey, change: dict, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        ss.compare_methods(survey, **{"train_n": 100, "methods": ["raw"], "seeds": 1, **QUIET, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_n": 900}, "train_n=900 leaves nobody for the truth, or draws nobody: there are 900 respondents to draw from"),
        ({"train_n": 0}, "train_n=0 leaves nobody for the truth, or draws nobody"),
        ({"held": 0.2}, "held=0.2 does not go with split='respondents'"),
        ({"split": "levels"}, "split='levels' needs held="),
        ({"split": "levels", "held": {"region": 1}}, "held: 'region' is no trait of by="),
        ({"split": "levels", "held": {"age": 3}}, "held: 3 levels of 'age' cannot be held out; give 1 to 2"),
        ({"split": "backgrounds", "held": {"age": 1}}, "held must be the fraction to hold out"),
        ({"questions": ["trst"]}, "questions: codebook 'opinions' has no question 'trst'; did you mean 'trust'"),
        ({"questions": []}, "questions is empty; give questions= one name or several of taxes"),
        ({"min_truth": 5000}, "no cell is left to score"),
    ],
)
def test_a_trial_that_cannot_be_drawn_says_why(survey: ss.Survey, change: dict, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        ss.compare_methods(survey, **{"train_n": 100, "methods": ["raw"], "seeds": 1, **QUIET, **change})


def _curve(generator: np.random.Generator, questions: int = 12, seeds: int = 5) -> pd.DataFrame:
    """Errors of two methods with questions and seeds in common: the method saves exactly a half."""
    hard, draw = generator.normal(0, 0.03, questions), generator.normal(0, 0.02, seeds)
    rows = [
        (source, n, q, s, 0.3 - 0.04 * np.log(n * more / 100) + hard[q] + draw[s] + generator.normal(0, 0.004))
        for source, more in (("dsa", 2), ("mrp", 1))
        for n in (100, 200, 400, 800)
        for q in range(questions)
        for s in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["source", "n", "question_id", "seed", "estimate"])


def test_the_interval_of_a_saving_holds_the_true_saving_and_is_paired() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(40):
        curve = _curve(generator)
        own = saving_intervals(curve, method="dsa", reference=["mrp"]).set_index("n").loc[200]
        held += own["saved_low"] <= 0.5 <= own["saved_high"]
    assert held >= 35
    other = curve["question_id"].where(curve["source"] == "mrp", curve["question_id"] + 100)
    apart = saving_intervals(curve.assign(question_id=other), method="dsa", reference=["mrp"]).set_index("n").loc[200].fillna(1)
    assert own["saved_high"] - own["saved_low"] < 0.5 * (apart["saved_high"] - apart["saved_low"]), "what is hard for both cancels"


def test_the_interval_of_a_single_row_is_that_of_its_own_interval() -> None:
    """With an exact curve, n needed at an error e is ``exp(log 100 + (.12 - e) / .06 log 4)``: its quantiles are those of e."""
    rows = [("mrp", 100, 0.12, 0.12, 0.12), ("mrp", 400, 0.06, 0.06, 0.06), ("dsa", 100, 0.09, 0.08, 0.10)]
    curve = pd.DataFrame(rows, columns=["source", "n", "estimate", "conf_low", "conf_high"])
    found = saving_intervals(curve, method="dsa", reference=["mrp"]).iloc[0]
    expected = [1 - 4 ** -((0.12 - end) / 0.06) for end in (0.10, 0.08)]
    assert [found["saved_low"], found["saved_high"]] == pytest.approx(expected, abs=0.02)
    wide = saving_intervals(curve.assign(conf_low=0.0, conf_high=0.2), method="dsa", reference=["mrp"]).iloc[0]
    assert wide[["saved_low", "saved_high"]].isna().all(), "both ends lie outside the curve"
    bare = saving_intervals(curve.drop(columns=["conf_low", "conf_high"]), method="dsa", reference=["mrp"]).iloc[0]
    assert bare[["saved_low", "saved_high"]].isna().all()
