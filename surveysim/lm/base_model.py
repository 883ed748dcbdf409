"""The base model as it is loaded: files, device, number type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from surveysim.errors import ModelError, first_few, nearest
from surveysim.lm.backbone import Backbone
from surveysim.lm.model_files import fetch_model, quiet_transformers, weights_digest
from surveysim.lm.parallel import main_first, n_processes, own_gpu

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_backbone(name: str | Path, *, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load the base model and cut it into trunk and last layer.

    Raises
    ------
    ModelError
        If the model is nowhere to be had, its files are damaged, its layers are not recognised, or the device or number type does
        not exist.
    """
    place = _device(device)
    number = _dtype(dtype)
    with main_first():  # one of several processes fetches it
        folder = fetch_model(str(name))
    model, tokenizer = _read_model(folder, number)
    backbone = Backbone(model.to(place).eval().requires_grad_(False), tokenizer, str(name), weights_digest(folder))
    _ = backbone.layers, backbone.norm, backbone.head  # an unknown architecture is refused here, not an hour later
    return backbone


def _read_model(folder: Path, number: torch.dtype) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet_transformers():
            loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=number, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        why = f"{type(error).__name__}: {str(error).strip()[:300]}"
        raise ModelError(
            f"the model in {str(folder)!r} cannot be loaded ({why}); delete the folder if surveysim fetched it, else save model and "
            "tokenizer again with save_pretrained()"
        ) from error
    model, found = loaded
    absent = sorted(found["missing_keys"])  # transformers would leave these at random
    if absent:
        raise ModelError(f"the model in {str(folder)!r} lacks weights {first_few(absent)}; save it again with save_pretrained()")
    return model, tokenizer


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cpu") if not torch.cuda.is_available() else _own_gpu()
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        why, present = str(error).splitlines()[0], ", ".join(devices())
        raise ModelError(f"device {device!r} is not there ({why}); there are {present}; use device='auto' or one of them") from error
    return place


def devices() -> list[str]:
    """Return the devices of this machine that a model can run on."""
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def _own_gpu() -> torch.device:
    """The first GPU; of several processes on a machine each has its own."""
    if n_processes() == 1:
        return torch.device("cuda")
    torch.cuda.set_device(own_gpu())
    return torch.device("cuda", own_gpu())


def _dtype(dtype: str) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is unknown; {nearest(dtype, ['auto', *DTYPES])}")
    return DTYPES[dtype]
