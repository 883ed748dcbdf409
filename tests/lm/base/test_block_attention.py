"""A copy that attends by block: on the model's weights, under a configuration of its own; the model's never changes, not even meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import surveysim as ss
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.block_attention import BY_BLOCK, attending_by_block
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_survey
from tests.support.tiny import CONFIGS, WINDOWED, save_tiny_model, tiny_model

STAGES = (ss.StageConfig("option_kl", epochs=1), ss.StageConfig("pooled_shift", level_weight=1.0, epochs=1))


def _configuration(model: torch.nn.Module) -> list[tuple[str, int, str | None, str]]:
    """What every part of a model knows of its configuration: which object it is, its attention, and all that it says."""
    parts = [(name, part.config) for name, part in model.named_modules() if hasattr(part, "config")]
    return [(name, id(config), config._attn_implementation, json.dumps(config.to_dict(), default=str)) for name, config in parts]


def _watched(model: torch.nn.Module) -> list[str | None]:
    """Attention functions that a model's configuration names whenever anything of any model runs."""
    seen: list[str | None] = []
    torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: seen.append(model.config._attn_implementation))
    return seen


@pytest.fixture
def unhooked() -> object:
    """Take the watch away afterwards."""
    yield
    torch.nn.modules.module._global_forward_pre_hooks.clear()


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
def test_no_verb_changes_the_models_configuration_at_any_moment(architecture: str, tmp_path: Path, own_cache: Path, unhooked: None) -> None:
    base = load_tiny(save_tiny_model(tmp_path / "tiny", architecture))
    before = _configuration(base.backbone.model)
    assert {attention for _, _, attention, _ in before} == {"sdpa"}
    seen = _watched(base.backbone.model)
    survey = opinion_survey()
    aligned = ss.align(base, ss.response_distributions(survey, by=TRAITS), survey.codebook, stages=STAGES, progress=False)
    for model, method in [(aligned, "dsa"), (base, "zero-shot"), (base, "dsa-kernel")]:
        ss.simulate(survey, TRAITS, model=model, method=method, progress=False)
        ss.simulate_to_parquet(survey, TRAITS, tmp_path / "shares.parquet", model=model, method=method, progress=False)
    aligned.save(tmp_path / "saved", min_n=0)
    assert set(seen) == {"sdpa"}
    assert len(seen) > 100, "the watch saw the passes"
    assert _configuration(base.backbone.model) == before
    assert {attention for _, _, attention, _ in _configuration(aligned.readout)} <= {"sdpa"}


@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWED])
def test_the_copy_has_the_models_weights_and_a_configuration_of_its_own(architecture: str) -> None:
    model = tiny_model(architecture)
    body = Backbone(model, None, architecture, "digest").body
    copied = attending_by_block(body)
    for own, original in zip(copied.parameters(), body.parameters(), strict=True):
        assert own is original
    configs = {id(part.config): part.config for part in copied.modules() if hasattr(part, "config")}
    assert [config._attn_implementation for config in configs.values()] == [BY_BLOCK]
    assert model.config._attn_implementation == "sdpa"


def test_another_attention_function_stays() -> None:
    eager = tiny_model()
    eager.config._attn_implementation = "eager"
    assert Backbone(eager, None, "llama", "digest").trunk.config._attn_implementation == "eager"


def test_nothing_is_registered_on_import() -> None:
    code = """
import surveysim.lm.trunk.trunk, surveysim.lm.option_model, surveysim.simulation.to_parquet
from surveysim.lm.base.block_attention import BY_BLOCK
from transformers import AttentionInterface
assert BY_BLOCK not in AttentionInterface().valid_keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
