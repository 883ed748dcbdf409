"""Attention in blocks, which a copy of a model's stack of layers has from the day it is made: the model itself is never switched.

The copy shares all weights with the model. It has modules of its own only where these hold the configuration, and a configuration
of its own, which names the attention function below. What is to attend to what comes with each call, in the shape of its mask, so
that nothing is remembered between calls and any number of threads may run the copy at once.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, PretrainedConfig

BY_BLOCK, WHOLE = "surveysim_by_block", "sdpa"  # names of attention functions in transformers


def attending_by_block(body: nn.Module) -> nn.Module:
    """Return a copy of a stack of layers on the same weights that attends by block, where the original's attention function is `WHOLE`.

    Examples
    --------
    >>> from transformers import LlamaConfig, LlamaModel
    >>> from surveysim.lm.base.block_attention import attending_by_block
    >>> size = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 9}
    >>> body = LlamaModel(LlamaConfig(**size))
    >>> attending_by_block(body).config._attn_implementation, body.config._attn_implementation
    ('surveysim_by_block', 'sdpa')
    """
    AttentionInterface.register(BY_BLOCK, attend_by_block)
    modules = list(body.modules())
    kept: list[Any] = [*body.parameters(), *body.buffers()]
    kept += [module for module in modules if not any(_configured(part) for part in module.modules())]
    kept += [module._hf_hook for module in modules if hasattr(module, "_hf_hook")]  # accelerate's: they hold weights too
    memo: dict[int, Any] = {id(part): part for part in kept}
    memo |= {id(module.config): _own(module.config) for module in {id(part.config): part for part in modules if _configured(part)}.values()}
    copied: nn.Module = copy.deepcopy(body, memo)
    return copied


def _configured(module: Any) -> bool:
    return isinstance(getattr(module, "config", None), PretrainedConfig)


def _own(config: Any) -> Any:
    own = copy.deepcopy(config)
    if own._attn_implementation == WHOLE:
        own._attn_implementation = BY_BLOCK
    return own


def attend_by_block(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, *, scaling: float | None = None, **options: Any
) -> tuple[Tensor, None]:
    """Attend from queries `(1, heads, rows, size)` to keys and values `(blocks, heads, keys, size)`, each block to its own.

    The mask `(blocks, 1, width, keys)` says how the queries are cut.
    """
    blocks, width = attention_mask.shape[0], attention_mask.shape[2]
    _, heads, rows, size = query.shape
    laid_out = nn.functional.pad(query[0], (0, 0, 0, blocks * width - rows)).view(heads, blocks, width, size).transpose(0, 1)
    if query.device.type != "cpu":  # a GPU's kernels want keys for every head; the CPU's share them, which spares copies
        key, value = (part.repeat_interleave(heads // part.shape[1], dim=1) for part in (key, value))
    out = nn.functional.scaled_dot_product_attention(
        laid_out, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=heads > key.shape[1]
    )
    return out.transpose(1, 2).reshape(1, blocks * width, heads, -1)[:, :rows], None
