"""The registry of model families: how each names the parts that are needed. A new one is one entry, and one tiny model in the tests."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from surveysim.errors import ModelError, first_few


class Parts(NamedTuple):
    """Names of attributes in a transformers model.

    Attributes
    ----------
    body : str
        Of the causal model: the stack of layers, without the head.
    layers, norm : str
        Of the body: the list of layers, and the final norm behind them.
    input_norm, attention : str
        Of a layer.
    """

    body: str
    layers: str
    norm: str
    input_norm: str
    attention: str


FAMILIES = {
    "llama": Parts("model", "layers", "norm", "input_layernorm", "self_attn"),  # Qwen, Mistral, Gemma and SmolLM too
    "phi": Parts("model", "layers", "final_layernorm", "input_layernorm", "self_attn"),
    "gpt2": Parts("transformer", "h", "ln_f", "ln_1", "attn"),
}
HEADS = ("lm_head",)
ROTARY, LOCAL_ROTARY = "rotary_emb", "rotary_emb_local"  # of the body: position embeddings, and those of layers that see a window
POSITION_ARGUMENTS = ("position_embeddings", "position_embeddings_global", "position_embeddings_local")  # how layers take them
_WORDS = {"body": "a body", "layers": "a list of layers", "norm": "a final norm", "input_norm": "a first norm", "attention": "an attention"}


def part_name(module: nn.Module, part: str, model: str = "") -> str:
    """Return how `module` names a part.

    Parameters
    ----------
    module : nn.Module
        The causal model, its body, or a layer.
    part : str
        A field of `Parts`.
    model : str
        What the user called the model, for the message.

    Raises
    ------
    ModelError
        If it has the part under none of the names in `FAMILIES`.

    Examples
    --------
    >>> from torch import nn
    >>> from surveysim.lm.base.architectures import part_name
    >>> part_name(nn.ModuleDict({"transformer": nn.Identity()}), "body")
    'transformer'
    """
    names = list(dict.fromkeys(getattr(parts, part) for parts in FAMILIES.values()))
    found = next((name for name in names if hasattr(module, name)), None)
    if found is None:
        children = [name for name, _ in module.named_children()]
        raise ModelError(
            f"{f'model {model!r}: ' if model else ''}{type(module).__name__} is not recognised: looked for {_WORDS[part]} called "
            f"{' or '.join(names)}, found {first_few(children)}; use a Llama, Qwen, Mistral, Gemma, Phi or GPT-2 style model, "
            "or add its names to FAMILIES in surveysim/lm/base/architectures.py"
        )
    return found


def part_of(module: nn.Module, part: str, model: str = "") -> Any:
    """Return a part of `module`; as `part_name`."""
    return getattr(module, part_name(module, part, model))


def kept_whole(last: int) -> list[str]:
    """Return the names that the last layer (its number), the final norm and the head may have: what quantisation leaves as it is."""
    lasting = [f"{parts.body}.{part}" for parts in FAMILIES.values() for part in (f"{parts.layers}.{last}", parts.norm)]
    return [*dict.fromkeys(lasting), *HEADS]


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return kind of layer -> how many recent positions it sees (None: all)."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:  # all layers are of one kind
        return {"full_attention": window}
    return {kind: window if kind == "sliding_attention" else None for kind in dict.fromkeys(kinds)}
