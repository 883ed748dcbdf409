"""`simulate`: every kind of survey, backgrounds and model that it takes, what it returns, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import BackgroundError, CodebookError, DesignError, ReadError, SurveySimError, TrainingError
from surveysim.tables.schema import DISTRIBUTION_COLUMNS, check_distributions
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_frame, opinion_survey

QUESTIONS = ["vote", "news"]
OPTIONS = {"vote": 2, "news": 5}
CLASSICAL = list(ss.BASELINES)
BY_MODEL = ["dsa", "dsa-kernel", "stage1", "zero-shot"]
pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def aligned(base: ss.OptionModel) -> ss.OptionModel:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=QUESTIONS)
    return ss.align(base, sample, opinion_codebook(), progress=False)


def _simulate(df: object = None, backgrounds: object = None, **options: object) -> pd.DataFrame:
    df = opinion_survey() if df is None else df
    backgrounds = TRAITS if backgrounds is None else backgrounds
    return ss.simulate(df, backgrounds, **{"questions": QUESTIONS, "progress": False, **options})


def _without_old_men() -> pd.DataFrame:
    frame = opinion_frame()
    return frame[~((frame["age"] == 2) & (frame["gender"] == 1))]


def _check_table(table: pd.DataFrame, n_backgrounds: int = 6) -> None:
    check_distributions(table)
    assert set(table.columns) == {*DISTRIBUTION_COLUMNS, *TRAITS, "option_label", "simulated"}
    assert table["simulated"].all()
    assert table["share"].between(0, 1).all()
    sums = table.groupby(["question_id", "background_id"])["share"].sum()
    assert len(sums) == len(QUESTIONS) * n_backgrounds
    assert sums.sub(1).abs().max() < 1e-9
    sizes = table.groupby(["question_id", "background_id"]).size()
    assert all((sizes.loc[name] == size).all() for name, size in OPTIONS.items())


@pytest.mark.parametrize("method", [*CLASSICAL, *BY_MODEL])
def test_every_method_returns_whole_distributions(method: str, base: ss.OptionModel) -> None:
    table = _simulate(model=base if method in BY_MODEL else None, method=method)
    _check_table(table)
    assert set(table["source"]) == {method}
    assert table.attrs["method"] == method
    assert (table.attrs["model"] is None) == (method in CLASSICAL)
    assert list(table["question_id"].unique()) == QUESTIONS


def test_the_sample_says_how_many_taught_this_very_cell(base: ss.OptionModel) -> None:
    survey = opinion_survey()
    sample = ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS)
    keys = ["question_id", "background_id", "option_code"]
    for method in ("mrp", "dsa", "zero-shot"):
        table = _simulate(survey, model=base if method in BY_MODEL else None, method=method)
        both = table.merge(sample, on=keys, suffixes=("", "_sample"))
        assert len(both) == len(table)
        assert (both["n"] == both["n_sample"]).all()
        assert both["n_eff"].to_numpy() == pytest.approx(both["n_eff_sample"].to_numpy())
        assert pd.api.types.is_integer_dtype(table["n"])


def test_a_survey_and_its_frame_with_a_codebook_give_the_same(aligned: ss.OptionModel) -> None:
    for options in ({"method": "ridge"}, {"model": aligned}):
        first = _simulate(**options)
        second = _simulate(opinion_frame(), codebook=opinion_codebook(), **options)
        pd.testing.assert_frame_equal(first, second)
        third = _simulate(opinion_frame(), codebook=opinion_codebook(), weight="w", **options)
        pd.testing.assert_frame_equal(first, third)


@pytest.mark.parametrize("method", ["mrp", "dsa-kernel"])
def test_a_sample_with_single_psus_teaches_what_it_would_without_strata(method: str, base: ss.OptionModel) -> None:
    """A sample drawn from a clustered survey: its own standard errors are unknown, its shares and sizes are not."""
    plain = opinion_survey()
    rows = pd.Series(range(len(plain))).astype(str).to_numpy()
    lonely = replace(plain, data=plain.data.assign(stratum=rows, psu=rows))
    with pytest.raises(DesignError, match="two PSUs in every stratum"):
        ss.response_distributions(lonely, by=TRAITS, questions=QUESTIONS)
    options = {"method": method, "model": base if method == "dsa-kernel" else None}
    pd.testing.assert_frame_equal(_simulate(lonely, **options), _simulate(plain, **options))


def test_trait_names_stand_for_every_combination(aligned: ss.OptionModel) -> None:
    listed = _simulate(model=aligned)
    grid = _simulate(backgrounds=ss.background_grid(opinion_codebook(), by=TRAITS), model=aligned)
    pd.testing.assert_frame_equal(listed, grid)
    assert _simulate(backgrounds="age", method="ridge")["background_id"].unique().tolist() == ["age=young", "age=middle", "age=old"]


def test_backgrounds_are_returned_in_the_order_asked(aligned: ss.OptionModel) -> None:
    asked = pd.DataFrame({"gender": ["male", "female"], "age": ["old", "young"]})
    table = _simulate(backgrounds=asked, model=aligned)
    _check_table(table, n_backgrounds=2)
    assert table["background_id"].unique().tolist() == ["age=old|gender=male", "age=young|gender=female"]
    whole = _simulate(model=aligned)
    same = whole.merge(table, on=["question_id", "background_id", "option_code"], suffixes=("", "_few"))
    assert same["share"].to_numpy() == pytest.approx(same["share_few"].to_numpy(), abs=1e-5)


@pytest.mark.parametrize("method", ["raw", "ridge", "mrp", *BY_MODEL])
def test_a_background_never_sampled_is_simulated_with_n_0(method: str, base: ss.OptionModel) -> None:
    frame = _without_old_men()
    table = _simulate(frame, codebook=opinion_codebook(), model=base if method in BY_MODEL else None, method=method)
    _check_table(table)
    empty = table["background_id"] == "age=old|gender=male"
    assert (table.loc[empty, ["n", "n_eff"]] == 0).all(axis=None)
    assert (table.loc[~empty, "n"] > 0).all()


@pytest.mark.parametrize("method", ["mrp", "dsa"])
def test_backgrounds_with_population_shares_may_leave_sampled_ones_out(method: str, base: ss.OptionModel) -> None:
    asked = pd.DataFrame({"age": ["old", "young"], "gender": ["male", "female"], "population_share": [0.25, 0.75]})
    table = _simulate(backgrounds=asked, model=base if method in BY_MODEL else None, method=method)
    _check_table(table, n_backgrounds=2)
    observed = ss.observed_backgrounds(opinion_survey(), by=TRAITS)
    _check_table(_simulate(backgrounds=observed, model=base if method in BY_MODEL else None, method=method))


def test_an_aligned_model_only_simulates(aligned: ss.OptionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_args: object, **_options: object) -> None:
        raise AssertionError("an aligned model is not trained again")

    monkeypatch.setattr("surveysim.lm.training.run_alignment", never)
    monkeypatch.setattr("surveysim.lm.loading.load_model", never)
    table = _simulate(model=aligned)
    _check_table(table)
    assert set(table["source"]) == {"dsa"}
    by_hand = _simulate(opinion_survey(n=200, seed=5), model=aligned)
    assert by_hand["share"].to_numpy() == pytest.approx(table["share"].to_numpy()), "its shares are its own, whoever is in df"


def test_a_model_aligned_in_one_stage_says_so(base: ss.OptionModel) -> None:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=QUESTIONS)
    one = ss.align(base, sample, opinion_codebook(), stages=ss.DSA[:1], progress=False)
    table = _simulate(model=one)
    assert set(table["source"]) == {"stage1"}
    pd.testing.assert_frame_equal(table, _simulate(model=one, method="stage1"))
    assert table["share"].to_numpy() == pytest.approx(_simulate(model=base, method="stage1")["share"].to_numpy(), abs=1e-6)


def test_a_saved_model_simulates_the_same(aligned: ss.OptionModel, tmp_path: Path) -> None:
    table = _simulate(model=load_tiny(aligned.save(tmp_path / "saved", min_n=0)))
    assert table["share"].to_numpy() == pytest.approx(_simulate(model=aligned)["share"].to_numpy(), abs=1e-6)


def test_a_question_that_the_model_was_not_aligned_with_is_answered_too(aligned: ss.OptionModel) -> None:
    table = _simulate(model=aligned, questions=["trust", "vote"])
    assert table.groupby(["question_id", "background_id"])["share"].sum().sub(1).abs().max() < 1e-9
    assert (aligned.knows("vote"), aligned.knows("trust")) == (True, False)


def test_a_base_model_is_aligned_first(base: ss.OptionModel) -> None:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=QUESTIONS)
    distance = {}
    for method in ("zero-shot", "stage1", "dsa"):
        table = _simulate(model=base, method=method)
        both = table.merge(sample, on=["question_id", "background_id", "option_code"], suffixes=("", "_sample"))
        distance[method] = float((both["share"] - both["share_sample"]).abs().mean())
    assert distance["stage1"] < 0.3 * distance["zero-shot"]
    assert distance["dsa"] < 0.5 * distance["zero-shot"]
    assert not base.aligned


def test_without_a_model_the_default_one_is_loaded_and_named(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("surveysim.lm.loading.load_model", lambda: load_tiny(tiny_folder))
    table = _simulate(questions=["vote"], progress=True)
    assert table.attrs["model"] == str(tiny_folder)
    said = capsys.readouterr()
    assert said.out == ""
    assert f"surveysim: aligning {tiny_folder} with 300 respondents of opinions (weight w), then simulating 6 backgrounds" in said.err


@pytest.mark.parametrize("method", ["mrp", *BY_MODEL])
def test_the_same_seed_gives_the_same_table(method: str, base: ss.OptionModel) -> None:
    model = base if method in BY_MODEL else None
    first, second = (_simulate(model=model, method=method, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert first.attrs == second.attrs


@pytest.mark.parametrize("method", ["ridge", *BY_MODEL])
def test_it_is_quiet_when_asked_to_be(method: str, base: ss.OptionModel, capsys: pytest.CaptureFixture) -> None:
    _simulate(model=base if method in BY_MODEL else None, method=method, questions=["vote"])
    assert capsys.readouterr() == ("", "")


def test_the_table_says_what_it_is(aligned: ss.OptionModel) -> None:
    about = _simulate(model=aligned, seed=5).attrs
    assert about["simulated"] is True
    assert (about["survey"], about["weight"], about["denominator"], about["seed"]) == ("opinions", "w", "valid answers", 5)
    assert about["model"] == aligned.backbone.name
    assert about["prompt"] == ss.PromptTemplate().to_dict()
    assert [stage["loss"] for stage in about["stages"]] == ["option_kl", "pooled_shift"]
    assert _simulate(opinion_frame(), codebook=opinion_codebook(), weight="none", method="ridge").attrs["weight"] == "none"


def test_the_data_handed_in_are_not_changed(aligned: ss.OptionModel) -> None:
    frame, asked = opinion_frame(), ss.background_grid(opinion_codebook(), by=TRAITS)
    kept = frame.copy(), asked.copy()
    _simulate(frame, asked, codebook=opinion_codebook(), model=aligned)
    pd.testing.assert_frame_equal(frame, kept[0])
    pd.testing.assert_frame_equal(asked, kept[1])


def test_intervals_of_dsa_are_those_of_its_closed_form(base: ss.OptionModel) -> None:
    dsa, kernel, stage1 = (_simulate(model=base, method=method) for method in ("dsa", "dsa-kernel", "stage1"))
    assert dsa["std_error"].to_numpy() == pytest.approx(kernel["std_error"].to_numpy())
    assert (dsa["std_error"] > 0).all()
    assert ((dsa["conf_low"] <= dsa["share"]) & (dsa["share"] <= dsa["conf_high"])).all()
    assert stage1["std_error"].isna().all()


def _silent(question: str) -> pd.DataFrame:
    """Nobody answered `question`: -1 is declared missing below."""
    return opinion_frame().assign(**{question: -1})


def _book_with_missing() -> ss.Codebook:
    return replace(opinion_codebook(), missing={-1: "no_answer"})


UNUSED = pd.DataFrame({"age": ["old"], "gender": ["male"]})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: _simulate(method="dsaa"), SurveySimError, "method 'dsaa' is unknown; did you mean 'dsa'"),
        (lambda: _simulate(opinion_frame()), SurveySimError, "a plain frame needs codebook=: the name of a shipped codebook or the path"),
        (lambda: _simulate(codebook=opinion_codebook()), SurveySimError, "a Survey brings its own codebook and weight; leave codebook="),
        (lambda: _simulate(weight="w"), SurveySimError, "a Survey brings its own codebook and weight"),
        (lambda: _simulate([1, 2], codebook=opinion_codebook()), ReadError, "frame must be a frame with a row per respondent .*; got list"),
        (lambda: _simulate(backgrounds=[]), BackgroundError, "backgrounds is empty; give backgrounds= one name or several of age"),
        (
            lambda: _simulate(backgrounds=["agee"]),
            BackgroundError,
            "backgrounds: codebook 'opinions' has no trait 'agee'; did you mean 'age'",
        ),
        (lambda: _simulate(backgrounds=UNUSED.rename(columns={"age": "agee"})), BackgroundError, "column 'agee' is no trait"),
        (lambda: _simulate(backgrounds=UNUSED.replace("old", "olde")), BackgroundError, "trait 'age' has no level 'olde'; its levels are"),
        (
            lambda: _simulate(backgrounds=pd.concat([UNUSED, UNUSED])),
            BackgroundError,
            "backgrounds repeats age=old.*; keep one row",
        ),
        (lambda: _simulate(backgrounds=UNUSED.iloc[:0]), BackgroundError, "needs a row per background"),
        (lambda: _simulate(questions=["taxas"]), CodebookError, "has no question 'taxas'; did you mean 'taxes'"),
        (
            lambda: _simulate(questions=[]),
            SurveySimError,
            "questions is empty; give questions= one name or several of taxes, trust",
        ),
        (
            lambda: _simulate(model="smollm2-135m"),
            SurveySimError,
            r"model must come from load_model\(\) or .*; got str 'smollm",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_name(call: Callable[[], object], error: type[SurveySimError], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_model_that_the_method_would_not_use_is_refused(base: ss.OptionModel, aligned: ss.OptionModel) -> None:
    with pytest.raises(SurveySimError, match="method 'mrp' is a classical baseline and uses no language model; leave model= out"):
        _simulate(model=base, method="mrp")
    for method in ("zero-shot", "stage1", "dsa-kernel"):
        with pytest.raises(SurveySimError, match=rf"method '{method}' needs a base model, but this one is aligned already \('dsa'\)"):
            _simulate(model=aligned, method=method)


def test_an_aligned_model_simulates_the_traits_that_it_saw(aligned: ss.OptionModel) -> None:
    with pytest.raises(
        BackgroundError,
        match="backgrounds has traits age, but the model was aligned with age, gender; gender stands in one of them alone, so every "
        "background asked for is at least 1 of 2 traits away from those it learnt from",
    ):
        _simulate(backgrounds=["age"], model=aligned)


@pytest.mark.parametrize("method", ["dsa", "stage1"])
def test_a_question_that_nobody_or_hardly_anybody_answered(method: str, base: ss.OptionModel) -> None:
    with pytest.raises(TrainingError, match="nobody in the sample answered question vote"):
        _simulate(_silent("vote"), codebook=_book_with_missing(), model=base, method=method)
    with pytest.raises(TrainingError, match=r"as many respondents as options; too few answered news \(4 respondents, 5 options\)"):
        _simulate(opinion_frame(n=4), codebook=opinion_codebook(), model=base, method=method)


def test_a_survey_read_without_the_trait(base: ss.OptionModel) -> None:
    survey = ss.as_survey(opinion_frame(), opinion_codebook(), traits=["age"])
    with pytest.raises(BackgroundError, match="gender"):
        _simulate(survey, model=base)


def test_one_question_may_be_named_without_a_list() -> None:
    pd.testing.assert_frame_equal(_simulate(questions="vote", method="ridge"), _simulate(questions=["vote", "vote"], method="ridge"))


def test_no_training_respondent_is_in_the_truth() -> None:
    survey = ss.load_example("nonvoters2020")
    train, truth = ss.hold_out_respondents(survey, n_train=400, seed=2020)
    ids = [set(part.data["respondent_id"]) for part in (train, truth)]
    assert len(ids[0]) == 400
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == set(survey.data["respondent_id"])


def test_what_is_simulated_owes_nothing_to_those_held_out(base: ss.OptionModel) -> None:
    """Changing every answer of the truth changes no simulated share."""
    survey = opinion_survey(n=400)
    train, _ = ss.hold_out_respondents(survey, n_train=200, seed=0)
    frame = opinion_frame(n=400)
    held_out = ~survey.data["respondent_id"].isin(train.data["respondent_id"])
    frame.loc[held_out.to_numpy(), QUESTIONS] = 1
    other, _ = ss.hold_out_respondents(ss.as_survey(frame, opinion_codebook()), n_train=200, seed=0)
    for method in ("mrp", "dsa"):
        tables = [_simulate(part, model=base if method == "dsa" else None, method=method) for part in (train, other)]
        pd.testing.assert_frame_equal(*tables)


def test_a_mapping_of_backgrounds_is_columns_of_levels() -> None:
    columns = {"gender": ["female", "male"], "age": ["old", "young"]}
    tables = [ss.simulate(opinion_survey(), given, questions="vote", method="ridge") for given in (columns, pd.DataFrame(columns))]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["background_id"].unique().tolist() == ["age=old|gender=female", "age=young|gender=male"]


@pytest.mark.parametrize("method", BY_MODEL)
def test_every_method_with_a_model_says_how_far_it_is(
    method: str, base: ss.OptionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In JSON lines that a tracker follows; with progress=False no line."""
    report = tmp_path / "run.jsonl"
    monkeypatch.setenv("SURVEYSIM_PROGRESS", str(report))
    _simulate(model=base, method=method)
    assert not report.exists()
    _simulate(model=base, method=method, progress=True)
    said = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    ended = {one["job"]: one for one in said if one.get("finished")}
    assert {"simulating" if method == "zero-shot" else "reading prompts"} <= set(ended)
    assert all(one["done"] == one["total"] for one in ended.values())
    assert {one["job"] for one in said if "job" in one} == set(ended), "what began has ended"
