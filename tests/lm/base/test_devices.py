"""Models that one device does not hold: spread by a device map, offloaded to disk, or with fewer bits; the answers stay."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.answers import predict
from surveysim.lm.base import devices as placement
from surveysim.lm.base.base_model import load_backbone
from surveysim.lm.base.devices import quantisation
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_sample
from tests.support.tiny import save_tiny_model

SPREAD = {f"model.{part}": "cpu" for part in ("embed_tokens", "rotary_emb", "layers.0", "norm")} | {"lm_head": "cpu"}
ON_DISK = {**SPREAD, "model.layers.1": "disk", "model.layers.2": "disk"}
ALL_ON_DISK = {"": "disk"}
WHOLLY_ON_DISK = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 13)  # whether transformers can read such a model


def _shares(model: ss.OptionModel) -> dict[str, np.ndarray]:
    book = opinion_codebook()
    return predict(model, book, ("vote", "news"), ss.background_grid(book, by=TRAITS), progress=False)


def _aligned(model: ss.OptionModel) -> ss.OptionModel:
    sample = opinion_sample()
    sample = sample[sample["question_id"].isin(["vote", "news"])]
    return ss.align(model, sample, opinion_codebook(), stages=ss.DSA[:1], progress=False)


@pytest.mark.parametrize(
    "device_map",
    [
        pytest.param("auto", id="auto"),
        pytest.param(ON_DISK, id="two layers on disk"),
        pytest.param(ALL_ON_DISK, id="all on disk", marks=pytest.mark.skipif(not WHOLLY_ON_DISK, reason="needs transformers 5.13")),
    ],
)
@pytest.mark.parametrize("architecture", ["llama", "qwen3 untied"])
def test_a_model_in_several_places_answers_and_learns_as_in_one(
    architecture: str, device_map: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny_model(tmp_path / "tiny", architecture)
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "cache of one"))
    plain = _aligned(load_tiny(folder))
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "cache of several"))
    spread = load_tiny(folder, device="auto", device_map=device_map)
    away = {name for name, weights in spread.backbone.model.named_parameters() if weights.device.type == "meta"}
    assert bool(away) == (device_map != "auto"), "where there is one device, auto puts all on it"
    assert spread.backbone.device == torch.device("cpu")
    assert spread.backbone.digest == plain.backbone.digest
    learnt = _aligned(spread)
    assert {weights.device.type for weights in learnt.readout.parameters()} == {"cpu"}
    for name, shares in _shares(plain).items():
        np.testing.assert_allclose(_shares(learnt)[name], shares, atol=1e-6)


def test_weights_that_nothing_brings_into_memory_are_refused() -> None:
    lost = torch.nn.Linear(2, 2, device="meta")
    with pytest.raises(ModelError, match=r"device_map: no weight of the Linear is in memory, .* install a newer transformers"):
        placement.execution_device(lost)


@pytest.mark.skipif(WHOLLY_ON_DISK, reason="this transformers reads a model that lies on disk as a whole")
def test_a_model_wholly_on_disk_is_refused_where_it_cannot_be_read(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"device_map: no weight of the|cannot be loaded"):
        load_tiny(tiny_folder, device="auto", device_map=ALL_ON_DISK)


def test_an_aligned_model_is_loaded_into_several_places(tiny_folder: Path, own_cache: Path, tmp_path: Path) -> None:
    plain = _aligned(load_tiny(tiny_folder))
    again = load_tiny(plain.save(tmp_path / "saved", min_n=0), device="auto", device_map=ON_DISK)
    for name, shares in _shares(plain).items():
        np.testing.assert_allclose(_shares(again)[name], shares, atol=1e-6)


def test_a_device_and_a_map_contradict_each_other(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"device='cpu' and device_map= both say where the model goes; give one of them"):
        load_tiny(tiny_folder, device_map="auto")


def test_fewer_bits_need_bitsandbytes(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r'bits=4 needs the package bitsandbytes, .*: pip install "surveysim-dsa\[quantized\]"'):
        load_tiny(tiny_folder, bits=4)
    with pytest.raises(ModelError, match=r"bits=3: a trunk has 8 or 4 bits a weight; leave bits= out"):
        load_tiny(tiny_folder, bits=3)


@pytest.mark.parametrize("bits", [8, 4])
def test_the_configuration_keeps_the_last_layer_and_the_head_whole(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda _: object())
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.46.0")  # transformers before 5 asks for it
    config = quantisation(bits, ["model.layers.2", "lm_head"])
    assert (config.load_in_8bit, config.load_in_4bit) == (bits == 8, bits == 4)
    assert config.llm_int8_skip_modules == ["model.layers.2", "lm_head"]


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (extra: quantized)")
@pytest.mark.parametrize("bits", [8, 4])
def test_a_trunk_of_fewer_bits_answers_nearly_alike(bits: int, tiny_folder: Path, own_cache: Path) -> None:
    whole, small = (load_backbone(tiny_folder, device="cpu", bits=each) for each in (None, bits))
    sizes = [{name: weights.element_size() for name, weights in each.model.named_parameters()} for each in (whole, small)]
    changed = {name.split(".")[2] for name in sizes[0] if sizes[0][name] != sizes[1][name]}
    assert changed == {"0", "1"}, "the trunk's two layers, and not the last one"
    shares = [_shares(ss.OptionModel(each)) for each in (whole, small)]
    for name in shares[0]:
        assert 0 < np.abs(shares[0][name] - shares[1][name]).max() < 0.2
    assert len(list((own_cache / "activations").iterdir())) == 4, "states of fewer bits are kept apart"
