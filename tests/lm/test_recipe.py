"""A recipe that somebody else wrote is checked before it is used, value by value, and what is loaded can be shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.recipe import RULES, read_recipe
from tests.support.opinion_survey import load_tiny, opinion_codebook, opinion_sample

pytestmark = pytest.mark.usefixtures("module_cache")
WRONG = [
    7,
    -1,
    1.5,
    True,
    None,
    "",
    "../../etc/hosts",
    "a\x00b",
    [],
    ["x"],
    [None],
    [[]],
    {},
    {"x": "y"},
    {"x": {"y": "z"}},
    10**30,
    "x" * 200_000,
]
WRONG_IN_A_STAGE = {
    "losses": [1, [], {"epochs": "many"}, {"before": "small"}, {"epochs": [[]]}, {"strange": 1}],
    "shift_fit": [1, [], {"before": 1}, {"before": {"r2": "good"}}],
    "kept_epoch": ["one", -1, 1.5, None],
    "loss": [{}, [], "x\ny"],
}


@pytest.fixture(scope="module")
def written(tiny_folder: Path, module_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    stages = (ss.StageConfig("option_kl", epochs=1), ss.StageConfig("pooled_shift", level_weight=1.0, epochs=0))
    model = ss.align(load_tiny(tiny_folder), opinion_sample(), opinion_codebook(), stages=stages, progress=False)
    return model.save(tmp_path_factory.mktemp("saved") / "model", min_n=0)


@pytest.fixture
def saved(written: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in written.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _change(folder: Path, **values: object) -> None:
    path = folder / "surveysim.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _shown(model: ss.OptionModel) -> str:
    return f"{model!r} {model._repr_html_()} {model.stages} {model.history}"


def test_what_align_records_passes(saved: Path) -> None:
    recipe = read_recipe(saved)
    assert set(RULES) <= set(recipe), "every rule has something to check"
    assert "aligned in 2 stages" in _shown(load_tiny(saved))


@pytest.mark.parametrize("name", RULES)
def test_a_value_of_the_wrong_kind_is_refused_or_harmless(name: str, saved: Path) -> None:
    longest, refused = 0, 0
    for value in WRONG:
        _change(saved, **{name: value})
        try:
            assert _shown(load_tiny(saved))
        except ModelError as error:
            longest, refused = max(longest, len(str(error))), refused + 1
    assert refused >= len(WRONG) - 6
    assert longest < 1000


@pytest.mark.parametrize("name", WRONG_IN_A_STAGE)
def test_a_stage_of_the_wrong_kind_is_refused(name: str, saved: Path) -> None:
    stages = json.loads((saved / "surveysim.json").read_text())["stages"]
    for value in WRONG_IN_A_STAGE[name]:
        _change(saved, stages=[{**stages[0], name: value}, stages[1]])
        with pytest.raises(ModelError, match=r"stages must be a list of stages, as align\(\) records them; got "):
            load_tiny(saved)


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("opening", "{question:>999999999} {options}", "opening formats its fields question"),
        ("opening", "{question!r}", "opening formats its fields question"),
        ("opening", "{question.__class__}", "opening holds {question.__class__}"),
        ("option", "{label:{label}}", "option formats its fields label"),
        ("scoring", "aloud", "scoring 'aloud' is unknown"),
    ],
)
def test_a_template_that_does_more_than_name_its_fields(part: str, text: str, message: str, saved: Path) -> None:
    template = json.loads((saved / "surveysim.json").read_text())["template"]
    _change(saved, template={**template, part: text})
    with pytest.raises(ModelError, match=rf"is damaged \(PromptError: .*{message}"):
        load_tiny(saved)
    with pytest.raises(ss.SurveySimError, match=message):
        ss.PromptTemplate(**{part: text})


def _with_nan(tensors: dict) -> None:
    first = next(iter(tensors.values()))
    first.view(-1)[0] = float("nan")


CHANGES: dict[str, tuple[str, Callable[[dict], object], str]] = {
    "NaN in the layer": ("adapter_model.safetensors", _with_nan, "numbers that are not finite"),
    "NaN in a head": ("question_heads.safetensors", _with_nan, "numbers that are not finite"),
    "whole numbers": ("question_heads.safetensors", lambda tensors: tensors.update(x=torch.ones(3, dtype=torch.int64)), "not finite"),
    "one row for all": (
        "adapter_model.safetensors",
        lambda tensors: tensors.update({name: value[:1] for name, value in tensors.items() if "trainable_tokens" in name}),
        "size mismatch for trainable_tokens_delta",
    ),
    "a narrower head": (
        "question_heads.safetensors",
        lambda tensors: tensors.update({name: value[..., :3].contiguous() for name, value in tensors.items() if value.ndim == 2}),
        "size mismatch for the head of",
    ),
}


@pytest.mark.parametrize(("file", "change", "message"), CHANGES.values(), ids=CHANGES)
def test_tensors_that_cannot_be_a_models(file: str, change: Callable[[dict], object], message: str, saved: Path) -> None:
    tensors = load_file(saved / file)
    change(tensors)
    save_file(tensors, saved / file)
    _change(saved, sha256={})
    with pytest.raises(ModelError, match=rf"(?s)is damaged \(.*{message}"):
        load_tiny(saved)


def test_a_token_that_the_model_does_not_have(saved: Path) -> None:
    _change(saved, token_ids=[1, 2, 3, 4, 9_999_999], sha256={})
    with pytest.raises(ModelError, match="is damaged"):
        load_tiny(saved)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", "\ufeff{}", "nul\x00"])
def test_a_recipe_that_cannot_be_read(text: str, saved: Path) -> None:
    (saved / "surveysim.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"is damaged|has format"):
        load_tiny(saved)


def test_a_base_model_with_another_tokenizer_is_said(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = json.loads((saved / "surveysim.json").read_text())["base_files"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)
    load_tiny(saved)
    assert not caplog.records
    _change(saved, base_files={**files, "tokenizer.json": "0" * 64})
    load_tiny(saved)
    assert "files of its base model" in caplog.text
    assert "not those that it was trained on: tokenizer.json" in caplog.text
