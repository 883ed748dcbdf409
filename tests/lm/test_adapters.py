"""Saved models: the same shares after loading, plain PEFT, the recipe, and folders that are damaged or something else."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm import adapters
from surveysim.lm.answers import predict
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_frame, opinion_sample
from tests.support.tiny import save_tiny_model

ARCHITECTURES = ["llama", "qwen3 tied", "qwen3 untied", "gemma3", "mistral", "gpt2"]
QUESTIONS = ("taxes", "vote", "party")
STAGES = (
    ss.StageConfig("option_kl", learning_rate=1e-3, epochs=1),
    ss.StageConfig("pooled_shift", level_weight=1.0, epochs=0, pooling="pooled"),
)
pytestmark = pytest.mark.usefixtures("module_cache")


def _aligned(folder: Path, **options: object) -> ss.OptionModel:
    return _align(load_tiny(folder, **options))


def _align(model: ss.OptionModel, n: int = 300) -> ss.OptionModel:
    sample = opinion_sample(n)
    return ss.align(model, sample[sample["question_id"].isin(QUESTIONS)], opinion_codebook(), stages=STAGES, progress=False)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> ss.OptionModel:
    return _aligned(save_tiny_model(tmp_path_factory.mktemp("models") / "llama"))


@pytest.fixture
def saved(aligned: ss.OptionModel, tmp_path: Path) -> Path:
    return aligned.save(tmp_path / "saved", min_n=0)


def _all_shares(model: ss.OptionModel) -> torch.Tensor:
    book = opinion_codebook()
    shares = predict(model, book, QUESTIONS, ss.background_grid(book, by=TRAITS), progress=False)
    return torch.cat([torch.from_numpy(each).flatten() for each in shares.values()])


@pytest.mark.parametrize("scoring", ["letters", "text"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loaded_model_gives_the_same_shares(scoring: str, dtype: str, tiny_folder: Path, tmp_path: Path) -> None:
    model = _aligned(tiny_folder, scoring=scoring, dtype=dtype)
    loaded = load_tiny(model.save(tmp_path / "saved", min_n=0), dtype=dtype)
    torch.testing.assert_close(_all_shares(loaded), _all_shares(model), rtol=0, atol=1e-6)
    assert loaded.template == model.template
    assert loaded.aligned
    base = _all_shares(load_tiny(tiny_folder, scoring=scoring, dtype=dtype))
    assert float((_all_shares(model) - base).abs().max()) > 0.05, "alignment must matter for the comparison to say something"


@pytest.mark.parametrize(("dtype", "quick_at"), [("float32", "AVX512"), ("bfloat16", "AVX2")])
def test_a_model_is_loaded_in_the_number_type_that_it_was_aligned_in(
    dtype: str, quick_at: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _aligned(tiny_folder, dtype=dtype)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: quick_at)  # another machine would take another type
    loaded = ss.load_model(model.save(tmp_path / "saved", min_n=0), device="cpu")
    assert loaded.backbone.dtype == model.backbone.dtype == getattr(torch, dtype)
    torch.testing.assert_close(_all_shares(loaded), _all_shares(model), rtol=0, atol=1e-6)
    other = "bfloat16" if dtype == "float32" else "float32"
    assert ss.load_model(tmp_path / "saved", device="cpu", dtype=other).backbone.dtype == getattr(torch, other)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT calls transformers' old name
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_plain_peft_gives_the_shared_heads_shares(architecture: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = save_tiny_model(tmp_path / "base", architecture)
    model = _aligned(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    peft = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), model.save(tmp_path / "saved", min_n=0)
    ).eval()
    book = opinion_codebook()
    words = {"age=old|gender=male": "a man aged 65 or older", "age=young|gender=female": "a woman aged 18 to 34"}
    tokenised = model.tokenise(book, QUESTIONS, words)
    changed = 0.0
    with torch.no_grad():
        for name, states in model.states(tokenised):
            question = tokenised[name]
            ours = model.readout.log_shares(model.readout.features(states), question.trie).exp()
            prompts = [torch.tensor([question.opening + suffix]) for suffix in question.suffixes]
            theirs, before = (
                torch.stack([net(prompt).logits[0, -1][list(question.trie.edges)].softmax(-1) for prompt in prompts])
                for net in (peft, plain)
            )
            torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)
            changed = max(changed, float((before - ours).abs().max()))
    assert changed > 1e-3, "the adapter must change the base model's answers"


def test_the_recipe_says_what_made_the_model(aligned: ss.OptionModel, saved: Path) -> None:
    recipe = json.loads((saved / "surveysim.json").read_text(encoding="utf-8"))
    assert Path(recipe["base_model"]).is_absolute()
    assert recipe["base_digest"] == aligned.backbone.digest
    assert recipe["codebook"] == "opinions"
    assert recipe["template"] == ss.PromptTemplate().to_dict()
    assert [stage["loss"] for stage in recipe["stages"]] == ["option_kl", "pooled_shift"]
    assert all({"learning_rate", "epochs", "losses"} <= set(stage) for stage in recipe["stages"])
    assert recipe["seed"] == 0
    assert recipe["n_respondents"] == 300
    assert 0 < recipe["n_eff"] < 300
    assert recipe["questions"] == list(QUESTIONS)
    assert len(recipe["backgrounds"]) == 6
    assert dict(load_tiny(saved).recipe) == {**aligned.recipe, "base_model": recipe["base_model"]}


def test_a_base_model_named_by_a_relative_path_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_model(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    model = _aligned(Path("base"))
    folder = model.save("saved", min_n=0).resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    torch.testing.assert_close(_all_shares(load_tiny(folder)), _all_shares(model), rtol=0, atol=1e-6)


def test_no_row_of_a_respondent_is_saved(aligned: ss.OptionModel, tmp_path: Path) -> None:
    """Twice the respondents make no file larger, and no respondent's weight is in any."""
    more = _align(ss.OptionModel(aligned.backbone), n=600)
    first, second = aligned.save(tmp_path / "first", min_n=0), more.save(tmp_path / "second", min_n=0)
    assert {path.name for path in first.iterdir()} == adapters.OWN_FILES
    for name in adapters.TENSOR_FILES:
        assert {key: value.shape for key, value in load_file(first / name).items()} == {
            key: value.shape for key, value in load_file(second / name).items()
        }
    assert abs((first / "surveysim.json").stat().st_size - (second / "surveysim.json").stat().st_size) < 200
    text = (first / "surveysim.json").read_text()
    frame = opinion_frame()
    assert not [weight for weight in frame["w"] if str(weight) in text]
    assert str(frame["taxes"].tolist())[1:60] not in text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permissions for group and others")
def test_a_colleague_may_read_what_the_folder_lets_them(aligned: ss.OptionModel, tmp_path: Path) -> None:
    folder = aligned.save(tmp_path / "saved", min_n=0)
    plain = tmp_path / "plain"
    plain.mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {plain.stat().st_mode & 0o666}


def test_only_an_aligned_model_is_saved(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"saving needs an aligned model; call align\(model, distributions, codebook\) first"):
        load_tiny(tiny_folder).save(tmp_path / "saved", min_n=0)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_model_is_replaced_and_an_empty_folder_filled(aligned: ss.OptionModel, saved: Path) -> None:
    marked = replace(aligned, recipe={**aligned.recipe, "seed": 99})
    assert marked.save(saved, min_n=0) == saved
    assert load_tiny(saved).recipe["seed"] == 99
    empty = saved.parent / "empty"
    empty.mkdir()
    assert load_tiny(aligned.save(empty, min_n=0)).aligned
    assert sorted(path.name for path in saved.parent.iterdir()) == ["empty", "saved"]


def test_nothing_else_is_overwritten(aligned: ss.OptionModel, saved: Path) -> None:
    thesis = saved.parent / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.txt").write_text("three years of work")
    with pytest.raises(ModelError, match=r"thesis' exists and is no saved model; choose another folder"):
        aligned.save(thesis, min_n=0)
    with pytest.raises(ModelError, match=r"exists and is no saved model"):
        aligned.save(thesis / "chapter1.txt", min_n=0)
    assert (thesis / "chapter1.txt").read_text() == "three years of work"
    (saved / "notes.txt").write_text("my notes")
    with pytest.raises(ModelError, match=r"holds a saved model and notes.txt too, which saving would delete"):
        aligned.save(saved, min_n=0)
    assert (saved / "notes.txt").read_text() == "my notes"


@pytest.mark.parametrize("where", ["save_file", "file_sha256", "_adapter_config", "_verify", "put_in_place"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk full", "interrupted"])
def test_an_interrupted_save_leaves_what_was_there(
    where: str, error: BaseException, aligned: ss.OptionModel, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_args: object, **_options: object) -> None:
        raise error

    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr(adapters, where, stop)
    expected = ModelError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="cannot be written .*No space left.*nothing was changed" if expected is ModelError else None):
        aligned.save(saved, min_n=0)
    with pytest.raises(expected):
        aligned.save(saved.parent / "new", min_n=0)
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_rename_that_fails_brings_the_old_model_back(aligned: ss.OptionModel, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, before = Path.rename, (saved / "surveysim.json").stat().st_mtime_ns

    def rename(self: Path, target: Path) -> Path:
        if Path(target) == saved and (self / "surveysim.json").stat().st_mtime_ns > before:
            raise OSError("in use")
        return original(self, target)

    monkeypatch.setattr("surveysim.whole_files._exchanged", lambda _first, _second: False)
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(ModelError, match="in use"):
        aligned.save(saved, min_n=0)
    monkeypatch.undo()
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    assert load_tiny(saved).aligned


def test_a_folder_without_its_recipe(saved: Path) -> None:
    (saved / "surveysim.json").unlink()
    with pytest.raises(ModelError, match=r"has no recipe \(surveysim.json\), so its prompt and codebook are unknown; load it with peft"):
        load_tiny(saved)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "question_heads.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "absent"])
def test_a_damaged_tensor_file(saved: Path, name: str, damage: str) -> None:
    whole = (saved / name).read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    if damage == "absent":
        (saved / name).unlink()
    else:
        (saved / name).write_bytes({"truncated": whole[:-100], "flipped": flipped, "empty": b""}[damage])
    with pytest.raises(ModelError, match=rf"saved' is damaged \(.*{name}.*\); save the model again"):
        load_tiny(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("base_model.model.model.norm.weight"), "Missing key"),
        (lambda tensors: tensors.update({"base_model.model.model.norm.weight": torch.ones(3)}), "size mismatch"),
        (lambda tensors: tensors.pop("base_model.model.lm_head.token_adapter.trainable_tokens_delta"), "trainable_tokens_delta"),
    ],
    ids=["missing", "another shape", "no rows"],
)
def test_tensors_that_do_not_fit(saved: Path, change: object, message: str) -> None:
    path, recipe = saved / "adapter_model.safetensors", saved / "surveysim.json"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    recipe.write_text(json.dumps({**json.loads(recipe.read_text()), "sha256": {}}))
    with pytest.raises(ModelError, match=rf"(?s)is damaged \(.*{message}.*") as caught:
        load_tiny(saved)
    assert "save the model again" in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("{", "is damaged"),
        ("[]", "has format None, this version reads 1"),
        ('{"format": 2}', "has format 2, this version reads 1; install the version that wrote it"),
        ('{"format": 1, "base_model": "x"}', "lacks base_digest, template, token_ids; save the model again"),
    ],
)
def test_a_damaged_recipe(saved: Path, recipe: str, message: str) -> None:
    (saved / "surveysim.json").write_text(recipe)
    with pytest.raises(ModelError, match=message):
        load_tiny(saved)


def test_a_recipe_with_a_template_of_another_version(saved: Path) -> None:
    path = saved / "surveysim.json"
    recipe = json.loads(path.read_text())
    recipe["template"]["tone"] = "polite"
    path.write_text(json.dumps(recipe))
    with pytest.raises(ModelError, match=r"is damaged .*tone"):
        load_tiny(saved)


def test_a_base_model_whose_weights_changed(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    folder = _aligned(base).save(tmp_path / "saved", min_n=0)
    shutil.rmtree(base)
    save_tiny_model(base, seed=1)
    with pytest.raises(ModelError, match=r"was trained on '.*base' with weights \w{12}..., but the model of that name here has \w{12}"):
        load_tiny(folder)


def test_a_base_model_that_is_gone(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    folder = _aligned(base).save(tmp_path / "saved", min_n=0)
    shutil.rmtree(base)
    with pytest.raises(ModelError, match=rf"model '{base}'"):
        load_tiny(folder)


def test_a_saved_model_keeps_its_own_prompt(saved: Path) -> None:
    assert load_tiny(saved, scoring="letters", template=ss.PromptTemplate()).aligned
    for other in ({"scoring": "text"}, {"template": ss.PromptTemplate(respondent="I am {background}:")}):
        with pytest.raises(ModelError, match="was aligned with its own prompt template; leave scoring= and template= out"):
            load_tiny(saved, **other)
