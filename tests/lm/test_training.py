"""`align`: what it changes and what it leaves, the losses it lowers, and samples that it refuses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import surveysim as ss
from surveysim.errors import BackgroundError, CodebookError, PromptError, SurveySimError, TableError, TrainingError
from surveysim.lm import training
from surveysim.lm.alignment import Alignment
from surveysim.lm.answers import predict
from surveysim.lm.fit.stages import DSA
from surveysim.lm.training import training_backgrounds
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_frame, opinion_sample, opinion_survey
from tests.support.tiny import tiny_model, tiny_tokenizer

QUESTIONS = ("taxes", "vote", "news")
STAGE_1, STAGE_2 = DSA
FAST = replace(STAGE_1, learning_rate=1e-3)  # a rate at which a tiny model visibly learns
pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def aligned(base: ss.OptionModel) -> ss.OptionModel:
    return _align(base)


def _align(model: ss.OptionModel, sample: pd.DataFrame | None = None, **options: object) -> ss.OptionModel:
    return ss.align(model, _sample() if sample is None else sample, opinion_codebook(), **{"progress": False, **options})


def _sample(questions: tuple[str, ...] = QUESTIONS) -> pd.DataFrame:
    return ss.response_distributions(opinion_survey(), by=TRAITS, questions=questions)


def _shares(model: ss.OptionModel) -> dict[str, np.ndarray]:
    book = opinion_codebook()
    return predict(model, book, QUESTIONS, ss.background_grid(book, by=TRAITS), progress=False)


def _kl(model: ss.OptionModel) -> float:
    """Return the mean divergence from the sample, by the numpy metric and not by the loss."""
    estimated, sample = _shares(model), _sample().set_index(["question_id", "background_id"]).sort_index(kind="stable")
    grid = ss.background_grid(opinion_codebook(), by=TRAITS)["background_id"]
    cells = [
        float(ss.METRICS["kl"](row, sample.loc[(name, background), "share"]))
        for name, rows in estimated.items()
        for background, row in zip(grid, rows, strict=True)
    ]
    return float(np.mean(cells))


@pytest.mark.parametrize("scoring", ["letters", "text"])
def test_only_copies_of_the_last_layer_the_norm_and_head_rows_train(scoring: str, tiny_folder: Path) -> None:
    model = load_tiny(tiny_folder, scoring=scoring)
    before = {name: value.clone() for name, value in model.backbone.model.state_dict().items()}
    trained = _align(model, stages=(FAST, replace(STAGE_2, learning_rate=1e-3)))
    after = model.backbone.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before), "the backbone must be bit-identical"
    assert not any(parameter.requires_grad for parameter in model.backbone.model.parameters())
    assert (model.aligned, dict(model.recipe), model.readout) == (False, {}, None)
    assert trained.backbone is model.backbone
    layer = dict(model.backbone.layers[-1].named_parameters())
    changed = {name: not torch.equal(value, layer[name]) for name, value in trained.readout.layer.named_parameters()}
    assert all(changed.values()), f"these must train: {[name for name, moved in changed.items() if not moved]}"
    assert not torch.equal(trained.readout.norm.weight, model.backbone.norm.weight)
    assert not torch.equal(trained.readout.rows, model.backbone.head.weight[trained.readout.token_ids])


@pytest.mark.parametrize("scoring", ["letters", "text"])
def test_stage_1_lowers_the_divergence_from_the_sample(scoring: str, tiny_folder: Path) -> None:
    model = load_tiny(tiny_folder, scoring=scoring)
    trained = _align(model, stages=(STAGE_1,))
    losses = trained.recipe["stages"][0]["losses"]
    assert losses["after"] < 0.1 * losses["before"]
    assert _kl(trained) < 0.1 * _kl(model)


def test_the_last_layer_learns_beyond_the_heads(base: ss.OptionModel) -> None:
    losses = _align(base, stages=(replace(STAGE_1, learning_rate=1e-5, epochs=4),)).recipe["stages"][0]["losses"]
    assert losses["after"] < losses["heads"]
    assert len(losses["epochs"]) == 4
    without = _align(base, stages=(replace(STAGE_1, epochs=0),)).recipe["stages"][0]["losses"]
    assert "epochs" not in without
    assert without["after"] == without["heads"] == pytest.approx(losses["heads"])


@pytest.mark.parametrize("loss", ["pooled_shift", "pairwise_shift"])
def test_stage_2_lowers_the_shift_loss(loss: str, base: ss.OptionModel) -> None:
    trained = _align(base, stages=(STAGE_1, replace(STAGE_2, loss=loss)))
    losses = trained.recipe["stages"][1]["losses"]
    assert losses["after"] < 0.8 * losses["before"]


@pytest.mark.parametrize("pooling", ["kernel", "ridge", "pooled"])
def test_the_shifts_are_those_of_whoever_pools_them(pooling: str, base: ss.OptionModel) -> None:
    trained = _align(base, stages=(STAGE_1, replace(STAGE_2, pooling=pooling, epochs=0)))
    spread = float(np.mean([shares.std(0).mean() for shares in _shares(trained).values()]))
    if pooling == "pooled":
        assert spread < 0.01, "one answer for everybody has no shifts"
    else:
        assert spread > 0.03


@pytest.mark.parametrize("loss", ["precision_shift", "transport", "tilted_transport"])
def test_the_other_losses_of_stage_2_train_too(loss: str, base: ss.OptionModel) -> None:
    stage = replace(STAGE_2, loss=loss, level_weight=0.0 if "transport" in loss else 1.0, epochs=0)
    losses = _align(base, stages=(STAGE_1, stage)).recipe["stages"][1]["losses"]
    assert losses["after"] < losses["before"]
    assert losses["after"] < 0.02


def test_validation_keeps_the_epoch_that_fits_respondents_left_out_best(base: ss.OptionModel) -> None:
    train, kept = ss.hold_out_respondents(opinion_survey(), n_train=150, seed=0)
    tables = [ss.response_distributions(part, by=TRAITS, questions=QUESTIONS) for part in (train, kept)]
    stage = replace(STAGE_1, learning_rate=3e-2, epochs=3, head_penalty=0.01)  # steps so long that they do harm
    found = _align(base, tables[0], stages=(stage,), validation=tables[1]).recipe["stages"][0]
    checked = found["losses"]["validation"]
    assert len(checked) == 4
    assert found["kept_epoch"] == int(np.argmin(checked)) == 0
    assert found["losses"]["after"] == pytest.approx(found["losses"]["heads"], rel=1e-3), "the heads alone were kept"
    still = _align(base, tables[0], stages=(replace(stage, learning_rate=0.0),), validation=tables[1]).recipe["stages"][0]
    assert still["losses"]["validation"] == pytest.approx([checked[0]] * 4, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[table["question_id"] != "news"], "validation lacks questions news; make it as distributions was made"),
        (lambda table: table.replace({"background_id": {"age=old|gender=male": "age=old"}}), "validation has other backgrounds: age=old;"),
    ],
)
def test_a_validation_table_that_does_not_fit(change: Callable[[pd.DataFrame], pd.DataFrame], message: str, base: ss.OptionModel) -> None:
    with pytest.raises(TrainingError, match=message):
        _align(base, validation=change(_sample()))


def test_the_shift_fit_rises_to_the_pooled_shifts(aligned: ss.OptionModel) -> None:
    stage_1, stage_2 = aligned.recipe["stages"]
    assert "shift_fit" not in stage_1
    before, after = stage_2["shift_fit"]["before"], stage_2["shift_fit"]["after"]
    assert before["r2"] < after["r2"] <= 1
    assert after["correlation"] > 0.9


def test_the_level_of_stage_2_is_the_populations(base: ss.OptionModel) -> None:
    """Backgrounds are sampled far from their population shares: the anchor is the pooled estimate's population answer."""
    grid = ss.background_grid(opinion_codebook(), by=TRAITS)
    weights = np.where(grid["background_id"] == "age=old|gender=male", 0.95, 0.01)
    trained = _align(base, backgrounds=grid.assign(population_share=weights), stages=(STAGE_1, replace(STAGE_2, epochs=0)))
    pooled = ss.simulate(opinion_survey(), grid, model=base, questions=["taxes"], method="dsa-kernel", progress=False)
    cell = pooled[pooled["background_id"] == "age=old|gender=male"]["share"].to_numpy()
    place = list(grid["background_id"]).index("age=old|gender=male")
    shares = predict(trained, opinion_codebook(), ("taxes",), grid, progress=False)["taxes"][place]
    assert np.abs(shares - cell).max() < 0.02


def test_the_recipe_records_stages_losses_and_sizes(base: ss.OptionModel, aligned: ss.OptionModel) -> None:
    recipe = aligned.recipe
    assert recipe["base_model"] == base.backbone.name
    assert recipe["base_digest"] == base.backbone.digest
    assert [stage["loss"] for stage in recipe["stages"]] == ["option_kl", "pooled_shift"]
    for stage, config in zip(recipe["stages"], DSA, strict=True):
        assert {key: value for key, value in stage.items() if key not in ("losses", "shift_fit")} == config.__dict__
        assert set(stage["losses"]) == {"before", "heads", "epochs", "after"}
        assert len(stage["losses"]["epochs"]) == config.epochs
    sample = _sample()
    cells = sample.drop_duplicates(["question_id", "background_id"])
    assert recipe["n_respondents"] == 300
    assert recipe["n_eff"] == pytest.approx(cells[cells["question_id"] == "taxes"]["n_eff"].sum())
    assert recipe["empty_backgrounds"] == 0
    assert recipe["questions"] == list(QUESTIONS)
    assert (recipe["seed"], recipe["codebook"]) == (0, "opinions")
    assert all(aligned.knows(name) for name in recipe["questions"])
    assert not aligned.knows("elections")


def test_the_trained_model_is_held_to_its_closed_form(base: ss.OptionModel, aligned: ss.OptionModel) -> None:
    """Where it would part from it, the questions' heads are fitted to it; what is left is said."""
    kept = aligned.recipe["closed_form"]
    assert kept["refitted"] == kept["parted"] == []
    assert 0 < kept["distance"] <= kept["largest"] < 0.03
    assert "closed_form" not in _align(base, stages=DSA[:1]).recipe


def test_questions_that_part_from_the_closed_form_are_fitted_again(
    base: ss.OptionModel, aligned: ss.OptionModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(training, "PARTED", 0.5 * aligned.recipe["closed_form"]["largest"])
    again = _align(base).recipe["closed_form"]
    assert again["refitted"]
    assert again["largest"] < aligned.recipe["closed_form"]["largest"]
    assert bool(again["parted"]) == ("after a second fit" in caplog.text)


def test_the_history_is_the_recipe_step_by_step(base: ss.OptionModel, aligned: ss.OptionModel) -> None:
    assert base.history.empty
    history = aligned.history
    assert history["step"].tolist() == ["before", "heads", "epoch 1", "epoch 2", "after"] * 2
    assert history["stage"].tolist() == [1] * 5 + [2] * 5
    for (_, own), stage in zip(history.groupby("stage"), aligned.recipe["stages"], strict=True):
        losses = stage["losses"]
        assert own["loss"].unique().tolist() == [stage["loss"]]
        assert own["value"].tolist() == [losses["before"], losses["heads"], *losses["epochs"], losses["after"]]
        assert own.loc[own["kept"], "step"].tolist() == ["epoch 2"]
    assert history["validation"].isna().all()
    fits = history.dropna(subset=["shift_r2"])
    assert fits[["stage", "step"]].values.tolist() == [[2, "before"], [2, "after"]]
    assert fits["shift_r2"].tolist() == [aligned.recipe["stages"][1]["shift_fit"][step]["r2"] for step in ("before", "after")]


def test_the_history_says_which_step_validation_kept(base: ss.OptionModel) -> None:
    train, kept = ss.hold_out_respondents(opinion_survey(), n_train=150, seed=0)
    tables = [ss.response_distributions(part, by=TRAITS, questions=QUESTIONS) for part in (train, kept)]
    model = _align(
        base, tables[0], stages=(replace(STAGE_1, epochs=2, learning_rate=3e-2), replace(STAGE_2, epochs=0)), validation=tables[1]
    )
    first, second = (own for _, own in model.history.groupby("stage"))
    checked = first.dropna(subset=["validation"])
    assert checked["step"].tolist() == ["heads", "epoch 1", "epoch 2"]
    assert checked.loc[checked["kept"], "validation"].tolist() == [checked["validation"].min()]
    assert second["step"].tolist() == ["before", "heads", "after"]
    assert second.loc[second["kept"], "step"].tolist() == ["heads"]


def test_the_same_seed_gives_the_same_bits(base: ss.OptionModel) -> None:
    """One question a step, so that their order, which the seed decides, matters."""
    stages = (replace(FAST, questions_per_step=1, epochs=1),)
    first, second, other = (_align(base, stages=stages, seed=seed) for seed in (3, 3, 6))
    assert first.recipe == second.recipe
    for name, value in first.readout.state_dict().items():
        assert torch.equal(value, second.readout.state_dict()[name])
    assert any(not torch.equal(value, other.readout.state_dict()[name]) for name, value in first.readout.state_dict().items())


def test_the_number_of_threads_is_no_matter(base: ss.OptionModel, several_threads: Callable[[int], None]) -> None:
    """Up to rounding, which here it does not reach either; other processors may cut products otherwise."""
    found = []
    for threads in (1, 3):
        several_threads(threads)
        found.append(_align(base, stages=(FAST, replace(STAGE_2, learning_rate=1e-3))).readout.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=1e-6, rtol=1e-5)


def test_nothing_global_is_touched(base: ss.OptionModel, capsys: pytest.CaptureFixture) -> None:
    np.random.seed(5)  # noqa: NPY002 - the global generator is what must not be drawn from
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    sample = _sample(("taxes", "vote"))
    kept = sample.copy()
    _align(base, sample)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]
    assert torch.is_grad_enabled()
    assert capsys.readouterr() == ("", "")
    pd.testing.assert_frame_equal(sample, kept)


@pytest.mark.parametrize("where", ["_fit_heads", "_epoch", "_renew_features"])
def test_an_interrupted_fit_leaves_nothing_behind(where: str, base: ss.OptionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model stays as it was, and the same call again gives what it gives without an interruption."""
    sample = _sample(("taxes", "vote"))
    plain = _align(base, sample, stages=(STAGE_1,)).readout.state_dict()
    original, calls = getattr(Alignment, where), []

    def interrupted(self: Alignment, *given: Any) -> Any:
        calls.append(where)
        if len(calls) == (1 if where == "_renew_features" else 2):
            raise KeyboardInterrupt
        return original(self, *given)

    monkeypatch.setattr(Alignment, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        _align(base, sample, stages=(STAGE_1,))
    monkeypatch.setattr(Alignment, where, original)
    assert not base.aligned
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in base.backbone.model.parameters())
    again = _align(base, sample, stages=(STAGE_1,)).readout.state_dict()
    assert all(torch.equal(again[name], value) for name, value in plain.items())


def test_the_order_of_rows_does_not_matter(base: ss.OptionModel) -> None:
    sample = _sample(("taxes", "vote"))
    shuffled = pd.concat([rows.sample(frac=1, random_state=1) for _, rows in sample.groupby("question_id", sort=False)])
    first, second = (_align(base, table, stages=(STAGE_1,)) for table in (sample, shuffled))
    for name, value in first.readout.state_dict().items():
        torch.testing.assert_close(second.readout.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_bars_are_shown_only_if_asked_for(base: ss.OptionModel, capsys: pytest.CaptureFixture) -> None:
    _align(base, _sample(("taxes", "vote")), stages=(STAGE_1,), progress=True)
    assert "stage 1 (option_kl)" in capsys.readouterr().err


def test_cells_count_by_their_effective_respondents(base: ss.OptionModel) -> None:
    """A cell with a thousand times the respondents of the others is matched, theirs are not."""
    sample = _sample(("vote",))
    chosen = sample["background_id"] == "age=old|gender=male"
    sample["share"] = np.where(sample["option_code"] == 1, np.where(chosen, 0.9, 0.1), np.where(chosen, 0.1, 0.9))
    sample["n_eff"] = np.where(chosen, 5000.0, 5.0)
    sample["n"] = sample["n_eff"].astype(int)
    trained = _align(base, sample, stages=(STAGE_1,))
    grid = ss.background_grid(opinion_codebook(), by=TRAITS)
    shares = predict(trained, opinion_codebook(), ("vote",), grid, progress=False)["vote"][:, 0]
    errors = np.abs(shares - np.where(grid["background_id"] == "age=old|gender=male", 0.9, 0.1))
    assert errors[shares > 0.8] < 0.01
    assert errors.mean() > 0.05


def test_backgrounds_never_sampled_are_trained_too(base: ss.OptionModel) -> None:
    frame = opinion_frame()
    frame = frame[~((frame["age"] == 2) & (frame["gender"] == 1))]
    sample = ss.response_distributions(ss.as_survey(frame, opinion_codebook()), by=TRAITS, questions=["taxes", "vote"])
    trained = _align(base, sample)
    assert trained.recipe["empty_backgrounds"] == 1
    assert len(trained.recipe["backgrounds"]) == 6
    asked = pd.DataFrame({"age": ["old"], "gender": ["male"], "population_share": [1.0]})
    few = _align(base, sample, backgrounds=asked)
    assert few.recipe["backgrounds"][0] == "age=old|gender=male"
    assert sorted(few.recipe["backgrounds"]) == sorted(trained.recipe["backgrounds"])


def test_backgrounds_asked_for_come_first_then_those_sampled() -> None:
    asked = pd.DataFrame({"gender": ["male", "female"], "age": ["old", "young"], "population_share": [0.25, 0.75]})
    grid = training_backgrounds(opinion_sample(), asked, opinion_codebook())
    assert list(grid["background_id"][:2]) == ["age=old|gender=male", "age=young|gender=female"]
    assert len(grid) == grid["background_id"].nunique() == 6
    assert grid["population_share"].tolist() == [0.25, 0.75, 0, 0, 0, 0]


def _nobody(sample: pd.DataFrame) -> pd.DataFrame:
    silent = sample["question_id"] == "trust"
    return sample.assign(share=sample["share"].mask(silent), n=sample["n"].mask(silent, 0), n_eff=sample["n_eff"].mask(silent, 0.0))


def _few(_sample: pd.DataFrame) -> pd.DataFrame:
    return opinion_sample(n=4)


def _mixed(sample: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([sample, ss.response_distributions(opinion_survey(), by=["age"])])


def _pooled(_sample: pd.DataFrame) -> pd.DataFrame:
    return ss.response_distributions(opinion_survey())


def _percent(sample: pd.DataFrame) -> pd.DataFrame:
    return sample.assign(share=100 * sample["share"])


def _not_one(sample: pd.DataFrame) -> pd.DataFrame:
    return sample.assign(share=0.9 * sample["share"])


def _unknown_question(sample: pd.DataFrame) -> pd.DataFrame:
    return sample.replace({"question_id": {"taxes": "texas"}})


def _unknown_level(sample: pd.DataFrame) -> pd.DataFrame:
    return sample.replace({"background_id": {"age=old|gender=male": "age=ancient|gender=male"}})


def _two_sources(sample: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([sample, sample.assign(source="official")])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_nobody, TrainingError, "nobody in the sample answered question trust; leave it out"),
        (_few, TrainingError, r"at least as many respondents as options; too few answered news \(4 respondents, 5 options\)"),
        (_mixed, TrainingError, r"distributions: backgrounds .* have other traits than .*; build them with response_distributions"),
        (_pooled, TrainingError, "all respondents are one; build them with response_distributions"),
        (_percent, TableError, "are these percentages"),
        (_not_one, TableError, r"shares of a cell must sum to 1; they do not in taxes / age=.* \(0.9\)"),
        (_unknown_question, CodebookError, "has no question 'texas'; did you mean 'taxes'"),
        (_unknown_level, BackgroundError, "trait 'age' has no level 'ancient'; its levels are young, middle, old"),
        (_two_sources, TableError, "holds 2 sources"),
    ],
)
def test_a_sample_that_cannot_be_learnt_from(
    change: Callable[[pd.DataFrame], pd.DataFrame], error: type[SurveySimError], message: str, base: ss.OptionModel
) -> None:
    with pytest.raises(error, match=message):
        _align(base, change(opinion_sample()))


@pytest.mark.parametrize(
    ("backgrounds", "error", "message"),
    [
        ({"age": ["old"]}, TrainingError, "backgrounds has traits age, distributions age, gender; use the same"),
        ({"age": ["old"], "gender": ["mail"]}, BackgroundError, "trait 'gender' has no level 'mail'"),
        ({"age": ["old"], "sex": ["male"]}, BackgroundError, "column 'sex' is no trait"),
        ({"age": ["old"] * 2, "gender": ["male"] * 2}, BackgroundError, "repeats age=old"),
    ],
)
def test_backgrounds_that_do_not_fit_the_sample(backgrounds: dict, error: type[SurveySimError], message: str, base: ss.OptionModel) -> None:
    with pytest.raises(error, match=message):
        _align(base, backgrounds=pd.DataFrame(backgrounds))


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"loss": "option_cl"}, "loss 'option_cl' is unknown; did you mean 'option_kl'"),
        ({"loss": "pooled_shift", "pooling": "rigde"}, "pooling 'rigde' is unknown; did you mean 'ridge'"),
        ({"loss": "option_kl", "learning_rate": -1.0}, "learning_rate must be a number >= 0; got -1.0"),
        ({"loss": "option_kl", "head_penalty": float("nan")}, "head_penalty must be a number >= 0; got nan"),
        ({"loss": "option_kl", "level_weight": "1"}, "level_weight must be a number >= 0; got '1'"),
        ({"loss": "option_kl", "epochs": "2"}, "epochs must be a whole number; got '2'"),
        ({"loss": "option_kl", "questions_per_step": 2.5}, "questions_per_step must be a whole number; got 2.5"),
        ({"loss": "option_kl", "level_weight": -0.1}, "level_weight must be a number >= 0"),
        ({"loss": "option_kl", "epochs": -1}, "epochs must be >= 0"),
        ({"loss": "option_kl", "questions_per_step": 0}, "questions_per_step >= 1"),
    ],
)
def test_a_stage_that_cannot_work_is_refused(stage: dict, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ss.StageConfig(**stage)


def test_no_stage_at_all(base: ss.OptionModel) -> None:
    with pytest.raises(TrainingError, match=r"stages is empty; use DSA, or DSA\[:1\]"):
        _align(base, stages=())


def test_a_questions_name_may_be_any_variables_name(base: ss.OptionModel, tmp_path: Path) -> None:
    """Names that mean something to a torch module, a dot, a space, letters of another script."""
    names = ["values", "type", "train", "q.1", "q%2E1", "my question", "\u8bc4\u4ef7"]
    book = opinion_codebook()
    vote = book.question("vote")
    named = replace(book, questions={name: replace(vote, question_id=name) for name in names})
    sample = pd.concat([_sample(("vote",)).assign(question_id=name) for name in names])
    trained = ss.align(base, sample, named, stages=(replace(STAGE_1, epochs=0),), progress=False)
    assert all(trained.knows(name) for name in names)
    grid = ss.background_grid(named, by=TRAITS)
    shares = [
        predict(model, named, names, grid, progress=False) for model in (trained, load_tiny(trained.save(tmp_path / "saved", min_n=0)))
    ]
    assert all(np.abs(shares[0][name] - shares[1][name]).max() < 1e-6 for name in names)


def test_a_training_that_goes_astray_says_so(base: ss.OptionModel) -> None:
    with pytest.raises(TrainingError, match=r"stage 1 \(option_kl\): the loss or the features are not finite .* lower learning_rate"):
        _align(base, _sample(("taxes", "vote")), stages=(replace(STAGE_1, learning_rate=1e30, epochs=3, questions_per_step=1),))


def test_letters_that_are_no_token_are_named_before_training(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer(letters="ABC").save_pretrained(tmp_path)
    with pytest.raises(PromptError, match=r"question 'news': answer letter ' D', ' E' is not a single token .*; use scoring=\"text\""):
        _align(load_tiny(tmp_path))
    assert _align(load_tiny(tmp_path, scoring="text"), _sample(("taxes", "vote")), stages=(STAGE_1,)).aligned
