"""The base model as it is loaded: files, device, number type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from surveysim.errors import ModelError, first_few, nearest
from surveysim.lm.base.architectures import kept_whole
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.devices import quantisation
from surveysim.lm.base.model_files import fetch_model, files_digest, quiet_transformers
from surveysim.lm.base.parallel import main_first, n_processes, own_gpu

DeviceMap = str | Mapping[str, str | int]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HALVES = {"BF16": torch.bfloat16, "F16": torch.float16}  # as safetensors names them
WITHOUT_BFLOAT16 = ("DEFAULT", "AVX2")  # what torch calls processors that multiply bfloat16 several times slower than float32


def load_backbone(
    name: str | Path, *, device: str = "auto", dtype: str = "auto", device_map: DeviceMap | None = None, bits: int | None = None
) -> Backbone:
    """Load the base model and cut it into trunk and last layer.

    With a `device_map` accelerate places the layers; with `bits` the trunk's weights have so many, the last layer's and the head's not.

    Raises
    ------
    ModelError
        If the model is nowhere to be had, its files are damaged, its layers are not recognised, or the device or number type does
        not exist.
    """
    place = _device(device)
    number = _dtype(dtype, place)
    if device_map is not None and device != "auto":
        raise ModelError(f"device={device!r} and device_map= both say where the model goes; give one of them")
    with main_first():  # one of several processes fetches it
        folder = fetch_model(str(name))
    given: dict[str, Any] = {} if device_map is None and bits is None else {"device_map": place if device_map is None else device_map}
    if bits is not None:
        given["quantization_config"] = quantisation(bits, _kept_whole(folder))
    held = number if given else _held_in(folder, number, place)
    model, tokenizer = _read_model(folder, held, **given)
    if any(buffer.dtype == held != number for buffer in model.buffers()):  # computed at loading, so not the same as in the wider type
        held = number
        model, tokenizer = _read_model(folder, number)
    placed = model if given else model.to(place)
    weights, files = files_digest(folder)
    wider = number if held != number else None
    backbone = Backbone(placed.eval().requires_grad_(False), tokenizer, str(name), weights, bits, files, computes_in=wider)
    _ = backbone.layers, backbone.norm, backbone.head, backbone.trunk  # an unknown architecture is refused here, not an hour later
    return backbone


def _held_in(folder: Path, number: torch.dtype, place: torch.device) -> torch.dtype:
    """Return the number type to hold weights in: on a CPU that of the files, if it is narrower, since these stay on disk until needed."""
    if place.type != "cpu" or number != torch.float32:
        return number
    found: set[str] = set()
    try:
        for file in folder.glob("*.safetensors"):
            with safe_open(file, "pt") as weights:
                found |= {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError):
        return number  # damaged: reading the model says how
    return HALVES.get(found.pop(), number) if len(found) == 1 else number


def _kept_whole(folder: Path) -> list[str]:
    """Names that the last layer, the final norm and the head may have."""
    from transformers import AutoConfig

    return kept_whole(int(AutoConfig.from_pretrained(folder, trust_remote_code=False).num_hidden_layers) - 1)


def _read_model(folder: Path, number: torch.dtype, **given: Any) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        with quiet_transformers():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=number, output_loading_info=True, use_safetensors=True, **safe, **given
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            _refuse_empty(tokenizer)
    except Exception as error:  # a damaged configuration or tokenizer ends in an error of any kind
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


def _refuse_empty(tokenizer: Any) -> None:
    """Refuse a tokenizer of special tokens alone: what some versions of transformers make up where a folder holds none."""
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise ValueError("the folder holds no tokenizer")


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


def _dtype(dtype: str, place: torch.device) -> torch.dtype:
    if dtype == "auto":
        slow = place.type == "cpu" and torch.backends.cpu.get_cpu_capability() in WITHOUT_BFLOAT16
        return torch.float32 if slow else torch.bfloat16
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is unknown; {nearest(dtype, ['auto', *DTYPES])}")
    return DTYPES[dtype]
