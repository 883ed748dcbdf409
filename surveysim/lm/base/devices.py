"""Models that one device does not hold: spread over several by accelerate's device map, or with a trunk of 8 or 4 bits a weight."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.errors import ModelError

log = logging.getLogger(__name__)
IN_WORDS = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")  # as the CPU's allocators say it

BITS = (8, 4)
CONFIG_OF_BITS: dict[int, dict[str, Any]] = {
    8: {"load_in_8bit": True},
    4: {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
}


def quantisation(bits: int, whole: list[str]) -> Any:
    """Return the configuration that loads a model with `bits` a weight, but for the modules in `whole`.

    Raises
    ------
    ModelError
        If there is no such number of bits, or bitsandbytes is not installed.
    """
    if bits not in BITS:
        raise ModelError(f"bits={bits!r}: a trunk has {' or '.join(map(str, BITS))} bits a weight; leave bits= out for those of dtype")
    if find_spec("bitsandbytes") is None:
        raise ModelError(f'bits={bits} needs the package bitsandbytes, which is not installed: pip install "surveysim-dsa[quantized]"')
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**CONFIG_OF_BITS[bits], llm_int8_skip_modules=whole)


def execution_device(module: nn.Module) -> torch.device:
    """Return where a module computes: where its weights lie, or where accelerate brings them from disk or memory.

    Raises
    ------
    ModelError
        If its weights are in no memory and nothing brings them there.
    """
    held = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    if held.type != "meta":
        return held
    places = (getattr(hook, "execution_device", None) for hook in map(_hook, module.modules()))
    place = next((place for place in places if place is not None), None)
    if place is None:
        raise ModelError(
            f"device_map: no weight of the {type(module).__name__} is in memory, and nothing brings them there: before 5.13, transformers "
            "does not read a model that lies on disk as a whole; place a part of it on a device, or install a newer transformers"
        )
    return torch.device("cuda", place) if isinstance(place, int) else torch.device(place)


def weight_of(module: nn.Module) -> Tensor:
    """Return a module's weight, from where accelerate keeps it if it is not in memory."""
    weight: Any = module.weight
    return (_hook(module).weights_map["weight"] if weight.device.type == "meta" else weight).detach()


def whole_copy(module: nn.Module) -> Any:
    """Return a copy of a module with all weights in memory where it computes, and without accelerate's hooks."""
    hooks = [_hook(part) for part in module.modules()]
    if not any(hook is not None for hook in hooks):
        return copy.deepcopy(module)
    from accelerate.hooks import remove_hook_from_module

    place = execution_device(module)
    copied = copy.deepcopy(module, {id(hook): hook for hook in hooks if hook is not None})  # a hook holds all of the model's weights
    for part, hook in zip(copied.modules(), hooks, strict=True):
        for name, parameter in list(part.named_parameters(recurse=False)):
            if parameter.device.type == "meta" and hook is not None:
                part.register_parameter(name, nn.Parameter(hook.weights_map[name].to(place), requires_grad=False))
    return remove_hook_from_module(copied, recurse=True).to(place)


def _hook(module: nn.Module) -> Any:
    """Return what moves a module's inputs and weights, if anything does."""
    hook: Any = getattr(module, "_hf_hook", None)
    return next((part for part in _parts(hook) if getattr(part, "weights_map", None) is not None), hook)


def _parts(hook: Any) -> Iterator[Any]:
    yield from getattr(hook, "hooks", () if hook is None else (hook,))


def moves_weights(module: nn.Module) -> bool:
    """Say whether accelerate brings any weight of a module from memory or disk for each pass, and takes it away again."""
    hooks = (getattr(part, "_hf_hook", None) for part in module.modules())
    return any(getattr(part, "offload", False) for hook in hooks for part in _parts(hook))


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in IN_WORDS)


def halve(at_once: int, error: BaseException, doing: str) -> int:
    """Return half of the backgrounds that were worked on at once when `error` came, and say so.

    Raises
    ------
    ModelError
        If a single background is too much already.
    Exception
        `error` itself, where it is of another kind.
    """
    if not is_out_of_memory(error):
        raise error
    if at_once <= 1:
        raise ModelError(
            f"{doing}: memory runs out with a single background; use dtype='bfloat16', device='cpu', or a smaller model"
        ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    log.warning("%s: out of memory with %d backgrounds at once; going on with %d", doing, at_once, -(-at_once // 2))
    return -(-at_once // 2)
