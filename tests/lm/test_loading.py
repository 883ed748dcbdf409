"""`load_model`: devices, number types, prompts, and folders that hold no usable model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BloomConfig, BloomForCausalLM
from transformers.utils import logging as transformers_logging

import surveysim as ss
from surveysim.errors import ModelError, PromptError
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.base_model import load_backbone
from tests.support.opinion_survey import load_tiny, opinion_codebook, opinion_sample
from tests.support.tiny import save_tiny_model, tiny_model, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "tiny")


def test_a_base_model_is_whole_frozen_and_not_aligned(tiny_folder: Path) -> None:
    model = ss.load_model(tiny_folder, device="cpu")
    assert not model.aligned
    assert not any(parameter.requires_grad for parameter in model.backbone.model.parameters())
    assert not model.backbone.model.training
    expected = tiny_model().state_dict()
    found = load_backbone(tiny_folder, device="cpu", dtype="float32").model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("capability", "expected"), [("AVX512", torch.bfloat16), ("AVX2", torch.float32), ("DEFAULT", torch.float32)])
def test_the_number_type_is_the_one_that_the_processor_is_quick_at(
    capability: str, expected: torch.dtype, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert ss.load_model(tiny_folder, device="cpu").backbone.dtype == expected
    assert ss.load_model(tiny_folder, device="cpu", dtype="bfloat16").backbone.dtype == torch.bfloat16


def test_loading_says_nothing_and_leaves_the_users_bars(
    tiny_folder: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    shown = transformers_logging.is_progress_bar_enabled()
    load_tiny(tiny_folder)
    assert capsys.readouterr() == ("", "")
    assert caplog.text == ""
    assert transformers_logging.is_progress_bar_enabled() == shown


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "gpu"}, ModelError, r"device 'gpu' is not there \(.*\); there are cpu.*; use device='auto' or one"),
        ({"device": "cuda:99"}, ModelError, r"device 'cuda:99' is not there"),
        ({"dtype": "float8"}, ModelError, r"dtype 'float8' is unknown; did you mean 'float"),
        ({"scoring": "leters"}, PromptError, "scoring 'leters' is unknown"),
        ({"scoring": "text", "template": ss.PromptTemplate()}, ModelError, "scoring='text' contradicts the template's 'letters'; give one"),
    ],
)
def test_what_is_asked_for_must_exist(options: dict, error: type, message: str, tiny_folder: Path) -> None:
    with pytest.raises(error, match=message):
        load_tiny(tiny_folder, **options)


def test_a_device_that_is_not_there_is_answered_with_those_that_are(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ModelError, match=r"device 'cuda:7' is not there \(.*\); there are cpu, cuda:0, cuda:1, mps; use device='auto'"):
        load_tiny(tiny_folder, device="cuda:7")


def test_scoring_or_template(tiny_folder: Path) -> None:
    template = ss.PromptTemplate(respondent="I am {background}:", scoring="text")
    assert load_tiny(tiny_folder).template == ss.PromptTemplate()
    assert load_tiny(tiny_folder, scoring="text").template == ss.PromptTemplate(scoring="text")
    assert load_tiny(tiny_folder, template=template, scoring="text").template == template


@pytest.mark.parametrize("damage", ["truncated", "empty", "no tensors"])
def test_damaged_weights_say_what_to_delete(folder: Path, damage: str) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes({"truncated": whole[:-1000], "empty": b"", "no tensors": b"not a tensor" * 100}[damage])
    with pytest.raises(ModelError, match=r"tiny' cannot be loaded \(.*\); delete the folder if surveysim fetched it"):
        load_tiny(folder)


def test_weights_that_are_not_there_are_not_made_up(folder: Path) -> None:
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights model.layers.1.mlp.up_proj.weight; save it again"):
        load_tiny(folder)


def test_a_folder_without_a_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match=r"(?s)cannot be loaded .* save model and tokenizer again with save_pretrained\(\)"):
        load_tiny(folder)


def test_a_model_of_an_unknown_type(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "oracle"}))
    with pytest.raises(ModelError, match=r"(?s)cannot be loaded \(.*oracle"):
        load_tiny(folder)


def test_layers_that_are_not_recognised_are_named(tmp_path: Path) -> None:
    config = BloomConfig(vocab_size=320, hidden_size=16, n_layer=2, n_head=2)
    BloomForCausalLM(config).save_pretrained(tmp_path / "bloom")
    tiny_tokenizer().save_pretrained(tmp_path / "bloom")
    message = r"bloom': BloomBlock is not recognised: looked for an attention called self_attn or attn, found input_layernorm, "
    with pytest.raises(ModelError, match=message):
        ss.align(load_tiny(tmp_path / "bloom"), opinion_sample(), opinion_codebook(), progress=False)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"core": nn.Identity()}, "looked for a body called model or transformer, found core"),
        ({"model": nn.ModuleDict({"stack": nn.Identity()})}, "looked for a list of layers called layers or h, found stack"),
    ],
)
def test_a_model_without_a_body_or_layers_names_what_was_looked_for(parts: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Backbone(nn.ModuleDict(parts), None, "strange", "digest").layers  # noqa: B018 - the property finds them


@pytest.mark.parametrize(
    ("told", "name"), [("config", "AutoModelForCausalLM"), ("tokenizer_config", "AutoTokenizer"), ("config", "AutoConfig")]
)
def test_code_in_a_model_folder_is_never_run(told: str, name: str, folder: Path) -> None:
    mark, path = folder / "was_run", folder / f"{told}.json"
    (folder / "own_code.py").write_text(f"open({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    settings = json.loads(path.read_text(encoding="utf-8"))
    own = {"auto_map": {name: ["own_code.Own", None] if name == "AutoTokenizer" else "own_code.Own"}}
    path.write_text(json.dumps(settings | own | ({"model_type": "own"} if name == "AutoConfig" else {})), encoding="utf-8")
    if name == "AutoConfig":
        with pytest.raises(ModelError, match="cannot be loaded"):
            load_tiny(folder)
    else:  # a type that transformers has itself is read with its code
        assert not load_tiny(folder).aligned
    assert not mark.exists()
