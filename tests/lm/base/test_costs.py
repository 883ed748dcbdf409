"""The arithmetic of scale: by hand, against real models and against a real cache on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GPT2Config

from surveysim.errors import ModelError
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.costs import QWEN3_4B, QWEN3_32B, SMOLLM2_135M, ModelSize, model_size, prompts_cost
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.expected_cost import distinct_tokens
from surveysim.lm.trunk.activations import states_folder, stored_states
from tests.support.tiny import CONFIGS, tiny_model

PROMPTS = {"questions": 3, "backgrounds": 10, "opening_tokens": 40, "background_tokens": 5, "operations": 1e6}


@pytest.mark.parametrize("architecture", ["llama", "qwen3 tied", "qwen3 untied", "mistral"])
def test_parameters_are_those_of_the_model_itself(architecture: str) -> None:
    real = sum(parameter.numel() for parameter in tiny_model(architecture).parameters())
    assert model_size(CONFIGS[architecture]).parameters == real


@pytest.mark.parametrize(
    ("size", "billions", "in_layers"),
    [(QWEN3_4B, 4.02, 3.63), (QWEN3_32B, 32.76, 31.21), (SMOLLM2_135M, 0.1345, 0.1062)],
    ids=["Qwen3-4B", "Qwen3-32B", "SmolLM2-135M"],
)
def test_parameters_are_those_published(size: ModelSize, billions: float, in_layers: float) -> None:
    """Model cards: 4.0B and 3.6B without embeddings; 32.8B and 31.2B; 135M."""
    assert size.parameters / 1e9 == pytest.approx(billions, rel=2e-3)
    assert size.layers * size.layer / 1e9 == pytest.approx(in_layers, rel=2e-3)


def test_the_arithmetic_by_hand() -> None:
    size = ModelSize(hidden=8, layers=3, heads=2, key_heads=1, head=4, inner=16, vocabulary=100, tied=True)
    assert size.attention == 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8  # queries, keys, values, output
    assert size.layer == 192 + 3 * 8 * 16 + 16 == 592
    assert size.parameters == 3 * 592 + 800 + 8
    cost = prompts_cost(size, **PROMPTS)
    assert cost.tokens == 3 * 40 + 30 * 5
    assert cost.cache == 270 * 8 * 2
    assert cost.prompt == cost.cache / 30
    assert cost.weights == 2 * size.parameters
    assert cost.training == 16 * (592 + 8)
    assert cost.at_work == 2 * (40 + 10 * 5) * (2 * 3 * 4 + 2 * 16 + 4 * 8)
    assert cost.trunk == pytest.approx(2 * 270 * (2 * 592 + 2 * 2 * 8 * 45) / 1e6)
    assert cost.epoch == pytest.approx(6 * (192 * 270 + 592 * 30) / 0.5e6)
    assert cost.features == 30 * 8 * 4
    assert cost.memory == cost.weights + cost.training + cost.at_work + cost.features
    assert prompts_cost(size, **PROMPTS, bytes_a_weight=0.5).weights == cost.weights / 4
    assert prompts_cost(size, **PROMPTS, precise_operations=1e6).epoch == pytest.approx(cost.epoch / 2)


def test_time_and_cache_grow_with_the_prompts_and_memory_but_for_their_features_does_not() -> None:
    few, many = (prompts_cost(QWEN3_4B, **{**PROMPTS, "questions": questions}) for questions in (100, 100_000))
    assert many.trunk / few.trunk == many.cache / few.cache == many.epoch / few.epoch == pytest.approx(1000)
    assert many.memory - many.features == few.memory - few.features
    assert many.features == 1000 * few.features


def test_the_cache_is_as_large_as_computed(own_cache: Path) -> None:
    import torch

    backbone = Backbone(tiny_model().to(torch.bfloat16), None, "llama", "digest")
    suffixes = tuple((5, first, second, *range(60, 90)) for first in range(8) for second in range(9))
    questions = [TokenisedQuestion(f"q{n}", (n, *range(40, 90)), suffixes, option_trie([(10,), (11,)])) for n in range(4)]
    assert len(list(stored_states(backbone, questions))) == 4
    real = sum(path.stat().st_size for path in states_folder().iterdir())
    tokens = distinct_tokens(questions)
    prompts = {"questions": 4, "backgrounds": 72, "opening_tokens": 51, "background_tokens": (tokens - 4 * 51) / (4 * 72)}
    cost = prompts_cost(model_size(CONFIGS["llama"]), **prompts, operations=1.0)
    assert cost.tokens == tokens
    assert cost.cache <= real < 1.01 * cost.cache + 4 * 1000, "a file has a head of some hundred bytes"


GPUS = {"Qwen3-4B": (QWEN3_4B, 165e12, 82.6e12), "Qwen3-32B": (QWEN3_32B, 312e12, 19.5e12)}


@pytest.mark.parametrize("name", GPUS)
def test_the_page_shows_what_is_computed(name: str) -> None:
    """docs/scaling.md: 60 questions of 65 tokens to 1,000 backgrounds of 12, at 40% of the GPU's peaks."""
    size, peak, precise = GPUS[name]
    rates = {"operations": 0.4 * peak, "precise_operations": 0.4 * precise}
    cost = prompts_cost(size, questions=60, backgrounds=1000, opening_tokens=65, background_tokens=12, **rates)
    shown = {
        "weights, bfloat16": f"{cost.weights / 1e9:.1f} GB",
        "last layer while it trains": f"{cost.training / 1e9:.1f} GB",
        "a batch of 96 prompts": f"{cost.at_work / 1e9:.2f} GB",
        "features of 60,000 prompts": f"{cost.features / 1e9:.1f} GB",
        "memory together": f"{cost.memory / 1e9:.1f} GB",
        "stored states a prompt": f"{cost.prompt / 1e3:.0f} kB",
        "stored states of 60,000 prompts": f"{cost.cache / 1e9:.1f} GB",
        "trunk, seconds per thousand prompts": f"{cost.trunk / 60:.1f}",
        "an epoch, seconds per thousand prompts": f"{cost.epoch / 60:.2f}",
    }
    page = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text(encoding="utf-8")
    rows = {cells[0]: dict(zip(GPUS, cells[1:], strict=True)) for cells in _table(page)}
    assert {label: rows[label][name] for label in shown} == shown


def _table(page: str) -> list[list[str]]:
    """Cells of the rows of three columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")]
    return [cells for cells in lines if len(cells) == 3]


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(ModelError, match=r"configuration GPT2Config lacks num_key_value_heads, intermediate_size; give a ModelSize"):
        model_size(GPT2Config())
    with pytest.raises(ModelError, match="must be positive"):
        prompts_cost(replace(QWEN3_4B), **{**PROMPTS, "questions": 0})
