"""Products of float32 matrices by the faster of the two libraries inside torch.

torch multiplies float32 with MKL, which on processors with AVX-512 that are not Intel's reaches less than half of what they can do;
oneDNN, which torch multiplies bfloat16 with, reaches it, to the same precision.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

WIDE = "AVX512"  # what torch calls processors with such vectors
BY_MKL = "GenuineIntel"  # whose MKL makes full use of them
LEAST = 1 << 20  # multiplications of a product: below, what surrounds it takes longer
CPU_FACTS = Path("/proc/cpuinfo")


def fast_products(dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Let linear layers in a block, called from this thread, multiply by oneDNN where MKL is slower; gradients follow wherever taken.

    Nothing changes for another number type than float32, on other processors, on a GPU, or where ``torch.backends.mkldnn`` is switched
    off. Results differ in rounding alone, and do not depend on the number of threads.

    Examples
    --------
    >>> import torch
    >>> from surveysim.lm.base.products import fast_products
    >>> layer, row = torch.nn.Linear(2, 1, bias=False), torch.ones(1, 2)
    >>> with fast_products(torch.float32):
    ...     found = layer(row)
    >>> torch.allclose(found, layer.weight.sum())
    True
    """
    wanted = dtype == torch.float32 and getattr(torch.backends.mkldnn, "enabled", True)
    return _ByOneDnn() if wanted and mkl_is_slow() else nullcontext()


@cache
def mkl_is_slow() -> bool:
    """Say whether this processor multiplies float32 faster by oneDNN: it has AVX-512, and is not Intel's."""
    wide = torch.backends.cpu.get_cpu_capability() == WIDE and _vendor() != BY_MKL
    return wide and torch.backends.mkl.is_available() and has_onednn()


def has_onednn() -> bool:
    """Say whether this torch can multiply by oneDNN."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _vendor() -> str:
    """Return the maker's name as the processor gives it, or whatever the system says of it."""
    try:
        facts = CPU_FACTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        facts = []
    named = [line.partition(":")[2].strip() for line in facts if line.startswith("vendor_id")]
    return named[0] if named else platform.processor().rpartition(", ")[2]


class _ByOneDnn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if func is functional.linear and not kwargs and _is_large(*args):
            return _add_bias(_Product.apply(*args[:2]), *args[2:])
        return func(*args, **(kwargs or {}))


def _is_large(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Say whether a linear layer is a product worth handing over: of float32 on the CPU."""
    here = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in (states, weight))
    return here and states.dim() > 1 and weight.dim() == 2 and states.numel() * len(weight) >= LEAST


def _add_bias(product: Tensor, bias: Tensor | None = None) -> Tensor:
    return product if bias is None else product + bias


class _Product(torch.autograd.Function):
    """``states @ weight.T``, of `(..., rows, numbers)` and `(outputs, numbers)`."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(states, weight)
        return _product(states, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        states, weight = ctx.saved_tensors
        by_states = _product(gradient, weight.T) if ctx.needs_input_grad[0] else None
        by_weight = _product(gradient.flatten(0, -2).T, states.flatten(0, -2).T) if ctx.needs_input_grad[1] else None
        return by_states, by_weight


def _product(states: Tensor, weight: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, None, "none", [], "")
    return found
