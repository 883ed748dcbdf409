"""One prompt of every pass is read again the plain way: wrong states are neither kept nor used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.trunk import activations
from surveysim.lm.trunk.activations import states_folder
from surveysim.lm.trunk.tree_attention import in_blocks
from surveysim.lm.trunk.trunk import QuestionStates
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_survey
from tests.support.tiny import CONFIGS, WINDOWED, save_tiny_model


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWED])
def test_right_states_pass(architecture: str, dtype: str, tmp_path: Path, own_cache: Path) -> None:
    model = load_tiny(save_tiny_model(tmp_path / "tiny", architecture), dtype=dtype)
    ss.simulate(opinion_survey(), TRAITS, model=model, method="zero-shot", questions=["vote", "news"], progress=False)
    assert len(list(states_folder().glob("*.safetensors"))) == 2


@pytest.mark.parametrize("wrong", ["another mask", "nan", "another prompt"])
def test_wrong_states_are_refused_and_not_kept(wrong: str, tiny_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = activations.pack_states

    def spoiled(*given: object) -> list[QuestionStates]:
        changes = {
            "nan": lambda nodes: nodes * float("nan"),
            "another prompt": lambda nodes: nodes.flip(0),
            "another mask": lambda nodes: nodes,
        }
        return [replace(states, nodes=tuple(map(changes[wrong], states.nodes))) for states in original(*given)]

    monkeypatch.setattr(activations, "pack_states", spoiled)
    if wrong == "another mask":  # every token sees all of them
        monkeypatch.setattr("surveysim.lm.trunk.trunk.in_blocks", lambda seen, *rest: in_blocks(torch.ones_like(seen), *rest))
    model = load_tiny(tiny_folder)
    with pytest.raises(ModelError, match=r"states read together with other prompts lie .* not used: try dtype='float32'"):
        ss.simulate(opinion_survey(), TRAITS, model=model, method="zero-shot", progress=False)
    assert not list(own_cache.rglob("*.safetensors"))
