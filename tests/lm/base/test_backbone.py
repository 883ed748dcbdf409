"""Weights stay as they are on disk until the trunk runs, and then are what they would have been from the start."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import surveysim as ss
from surveysim.lm.base import base_model
from surveysim.lm.base.base_model import load_backbone
from surveysim.lm.fit.readout import Readout
from tests.support.opinion_survey import opinion_codebook
from tests.support.tiny import save_tiny_model, tiny_model, tiny_tokenizer


def _save_half(folder: Path, architecture: str = "llama") -> Path:
    tiny_model(architecture).to(torch.bfloat16).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _wide(folder: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    with monkeypatch.context() as patch:
        patch.setattr(base_model, "HALVES", {})
        return load_backbone(folder, device="cpu", dtype="float32").model


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2", "phi"])
def test_weights_held_in_half_are_wide_when_the_trunk_needs_them(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _save_half(tmp_path / "half", architecture)
    backbone, expected = load_backbone(folder, device="cpu", dtype="float32"), _weights(_wide(folder, monkeypatch))
    assert backbone.dtype == torch.float32
    backbone.ready()
    found = _weights(backbone.model)
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == expected[name].dtype and torch.equal(found[name], expected[name]) for name in expected)
    of_trunk = dict(backbone.trunk.named_parameters())
    assert of_trunk
    assert all(weights.dtype == torch.float32 for weights in of_trunk.values())


def test_prompts_that_were_read_before_leave_the_weights_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "cache"))
    folder, codebook = _save_half(tmp_path / "half"), opinion_codebook()
    asked = ss.background_grid(codebook, by=list(codebook.traits)[:1])
    first, second = (ss.load_model(folder, device="cpu", dtype="float32") for _ in range(2))
    put = first.put(codebook, tuple(codebook.questions), tuple(asked["background_id"]))
    read = [dict(model.states(put.tokenised)) for model in (first, second)]
    held = [next(model.backbone.model.parameters()).dtype for model in (first, second)]
    assert held == [torch.float32, torch.bfloat16]
    assert all(torch.equal(read[0][name].opening, read[1][name].opening) for name in put.tokenised)


def test_what_alignment_trains_starts_from_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _save_half(tmp_path / "half")
    narrow = load_backbone(folder, device="cpu", dtype="float32")
    before = Readout(narrow, [3, 5]).state_dict()
    narrow.ready()
    after = Readout(narrow, [3, 5]).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in after)


def test_wide_or_mixed_files_are_read_as_they_always_were(tmp_path: Path) -> None:
    wide = load_backbone(save_tiny_model(tmp_path / "wide"), device="cpu", dtype="float32")
    assert wide.computes_in is None
    mixed = tiny_model().to(torch.bfloat16)
    mixed.model.norm.float()
    mixed.save_pretrained(tmp_path / "mixed")
    tiny_tokenizer().save_pretrained(tmp_path / "mixed")
    found = load_backbone(tmp_path / "mixed", device="cpu", dtype="float32")
    assert found.computes_in is None
    assert {weights.dtype for weights in found.model.parameters()} == {torch.float32}
