"""Training with little memory: the same gradients from a few backgrounds at a time, and a batch that is halved where memory runs out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.answers import predict
from surveysim.lm.base import products
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.fit import bundles as layout
from surveysim.lm.fit.bundles import WHOLE_TOKENS, KeysAlone, laid_out, passes
from surveysim.lm.fit.readout import Readout, backward, backward_in_parts
from surveysim.lm.trunk.trunk import question_states
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_sample
from tests.support.tiny import CONFIGS, tiny_model

OPTIONS = [(10,), (11, 20), (11, 21), (12, 20, 30), (12, 20, 31)]
SUFFIXES = ((5, 6, 7, 8), (5, 6, 9), (5, 6, 7, 10, 11), (12,), (5, 6, 9), (12, 13, 14), (3, 4))  # one of them twice
QUESTION = TokenisedQuestion("q", tuple(range(40, 52)), SUFFIXES, option_trie(OPTIONS))


def _gradients(architecture: str, at_once: int | None) -> tuple[float, dict[str, torch.Tensor]]:
    backbone = Backbone(tiny_model(architecture), None, architecture, "digest")
    readout = Readout(backbone, QUESTION.trie.edges)
    target = torch.softmax(torch.arange(35.0).reshape(7, 5).sin(), -1)

    def loss(features: torch.Tensor) -> torch.Tensor:
        log_shares = readout.log_shares(features, QUESTION.trie)
        return -(target * log_shares).sum(-1).mean() + log_shares.exp().mean(0).pow(2).sum()  # not a sum over backgrounds

    prompts = readout.prompts(question_states(backbone, QUESTION))
    if at_once is None:
        value = backward(readout, [prompts], lambda features: loss(features[0]))
    else:
        value = backward_in_parts(readout, prompts, loss, at_once)
    return value, {name: parameter.grad for name, parameter in readout.named_parameters()}


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_gradients_of_parts_are_those_of_the_whole(architecture: str, at_once: int) -> None:
    plain, expected = _gradients(architecture, None)
    value, found = _gradients(architecture, at_once)
    assert value == pytest.approx(plain, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4 * float(gradient.abs().max()), msg=name)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_norm_folded_into_the_keys_has_the_gradients_of_the_norm_before_them(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, found = _gradients(architecture, None)
    monkeypatch.setattr("surveysim.lm.fit.readout.keys_alone", lambda attention, norm: KeysAlone(attention, nn.Identity(), norm))
    plain, expected = _gradients(architecture, None)
    assert value == pytest.approx(plain, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4 * float(gradient.abs().max()), msg=name)


@pytest.mark.skipif(not products.has_onednn(), reason="this torch is built without oneDNN")
@pytest.mark.parametrize("architecture", CONFIGS)
def test_gradients_are_the_same_whichever_library_multiplies(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "mkl_is_slow", lambda: False)
    expected, known = _gradients(architecture, None)
    monkeypatch.setattr(products, "mkl_is_slow", lambda: True)
    monkeypatch.setattr(products, "LEAST", 0)
    value, found = _gradients(architecture, None)
    assert value == pytest.approx(expected, rel=1e-5)
    for name, gradient in known.items():
        if gradient is not None:
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4 * float(gradient.abs().max()), msg=name)


def test_prompts_in_parts_hold_every_text_once_in_order() -> None:
    backbone = Backbone(tiny_model(), None, "llama", "digest")
    states = question_states(backbone, QUESTION)
    readout = Readout(backbone, QUESTION.trie.edges)
    prompts = readout.prompts(states)
    parts = prompts.in_parts(4)
    assert [part.n_texts for part in parts] == [3, 3]
    together = torch.cat([readout.bundle_features([part])[0] for part in parts], dim=1)[:, prompts.order]
    torch.testing.assert_close(together, readout.features(states), rtol=1e-4, atol=1e-5)
    assert prompts.in_parts(6) == list(prompts.bundles)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_questions_that_go_through_together_have_the_features_and_gradients_of_each_alone(architecture: str) -> None:
    backbone = Backbone(tiny_model(architecture), None, architecture, "digest")
    longer = replace(QUESTION, question_id="longer", opening=tuple(range(40, 60)), suffixes=SUFFIXES[::-1])
    states = [question_states(backbone, question) for question in (QUESTION, longer)]
    together, alone = (Readout(backbone, QUESTION.trie.edges) for _ in range(2))
    prompts = [together.prompts(each) for each in states]
    value = backward(together, prompts, lambda features: sum((each.cumsum(-1).sin().mean() for each in features), torch.zeros(())))
    assert value == pytest.approx(
        sum(backward(alone, [each], lambda features: features[0].cumsum(-1).sin().mean()) for each in prompts), rel=1e-5
    )
    for name, parameter in alone.named_parameters():
        found = together.get_parameter(name).grad
        if parameter.grad is not None:
            torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-4 * float(parameter.grad.abs().max()), msg=name)
    for found, each in zip(together.fitting_features(prompts), states, strict=True):
        torch.testing.assert_close(found, alone.features(each), rtol=1e-4, atol=1e-5)


def test_passes_of_several_questions_have_whole_numbers_of_tokens_and_nobody_sees_what_fills_them_up() -> None:
    backbone = Backbone(tiny_model(), None, "llama", "digest")
    prompts = Readout(backbone, QUESTION.trie.edges).prompts(question_states(backbone, QUESTION))
    (bundle,) = prompts.bundles
    both = laid_out([bundle, bundle])
    assert len(both.tokens) == len(both.positions) == WHOLE_TOKENS > 2 * len(bundle)
    assert not both.tokens[2 * len(bundle) :].any()
    seen = both.places[both.allowed.any(1)]
    assert not ((seen >= 2 * len(bundle)) & (seen < WHOLE_TOKENS)).any()
    assert len(laid_out([bundle]).tokens) == len(bundle), "alone, all keys are shown"


def test_a_pass_holds_questions_of_one_shape_up_to_a_number_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Backbone(tiny_model(), None, "llama", "digest")
    readout = Readout(backbone, QUESTION.trie.edges)
    prompts = readout.prompts(question_states(backbone, QUESTION))
    other = readout.prompts(question_states(backbone, replace(QUESTION, suffixes=SUFFIXES[:3])))
    questions = [("a", prompts), ("b", prompts), ("c", other), ("d", prompts)]
    assert [[name for name, _ in few] for few in passes(questions)] == [["a", "b"], ["c"], ["d"]]
    assert [[name for name, _ in few] for few in passes(questions[:2], alone=True)] == [["a"], ["b"]]
    monkeypatch.setattr(layout, "TOKENS_AT_ONCE", 1)
    assert [[name for name, _ in few] for few in passes(questions[:2])] == [["a"], ["b"]]


class _TooLarge(torch.autograd.Function):
    """Passes values on, and runs out of memory on the way back."""

    @staticmethod
    def forward(_: Any, values: torch.Tensor) -> torch.Tensor:
        return values.clone()

    @staticmethod
    def backward(*_: Any) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def _out_of_memory_above(backgrounds: int, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Readout.bundle_features

    def features(self: Readout, parts: Any) -> Any:
        found = original(self, parts)
        if not torch.is_grad_enabled() or max(len(part.tree.answers) for part in parts) <= backgrounds:
            return found
        if where == "forward":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [_TooLarge.apply(each) for each in found]

    monkeypatch.setattr(Readout, "bundle_features", features)


def _aligned(folder: Path) -> dict[str, np.ndarray]:
    stages = (ss.StageConfig("option_kl", epochs=2, questions_per_step=4),)
    sample = opinion_sample()
    model = ss.align(load_tiny(folder), sample, opinion_codebook(), stages=stages, progress=False)
    grid = ss.background_grid(opinion_codebook(), by=TRAITS)
    return predict(model, opinion_codebook(), tuple(sample["question_id"].unique()), grid, progress=False)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_out_of_memory_while_training_halves_the_backgrounds_and_says_so(
    where: str, own_cache: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = _aligned(tiny_folder)
    assert caplog.text == ""
    _out_of_memory_above(2, where, monkeypatch)
    found = _aligned(tiny_folder)
    for name, shares in plain.items():
        np.testing.assert_allclose(found[name], shares, atol=1e-5)
    assert [record.getMessage() for record in caplog.records] == [
        "training the last layer: out of memory with 6 backgrounds at once; going on with 3",
        "training the last layer: out of memory with 3 backgrounds at once; going on with 2",
    ], "said once each, not at every step"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_out_of_memory_with_one_background_in_training(own_cache: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _out_of_memory_above(0, "backward", monkeypatch)
    with pytest.raises(ModelError, match="training the last layer: memory runs out with a single background; use dtype='bfloat16'"):
        _aligned(tiny_folder)
