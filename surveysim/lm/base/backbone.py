"""A causal language model, cut before its last layer: a frozen trunk, and the part that alignment trains."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from surveysim.errors import ModelError
from surveysim.lm.base.architectures import part_name, part_of
from surveysim.lm.base.devices import execution_device


@dataclass(frozen=True, eq=False)
class Backbone:
    """A causal language model in parts. The model itself is never changed: training works on copies.

    Attributes
    ----------
    model, tokenizer : the transformers objects
    name : str
        As the user called it.
    digest : str
        SHA-256 of the weights, which keys caches and recipes.
    bits : int, optional
        Bits of a weight of the trunk, where these are fewer than `dtype` has.
    """

    model: Any
    tokenizer: Any
    name: str
    digest: str
    bits: int | None = None

    @cached_property
    def body(self) -> nn.Module:
        """The stack of layers, without the head."""
        return part_of(self.model, "body", self.name)

    @cached_property
    def layers(self) -> nn.ModuleList:
        """All layers; the last one is the one that alignment trains."""
        return part_of(self.body, "layers", self.name)

    @cached_property
    def trunk(self) -> nn.Module:
        """The body without its last layer and final norm, on the same weights: what it returns is what enters the last layer."""
        trunk = copy.copy(self.body)
        trunk._modules = dict(self.body._modules)
        trunk.__dict__.pop("forward", None)  # a hook of the whole body would run the whole body
        setattr(trunk, part_name(self.body, "layers", self.name), nn.ModuleList(self.layers[:-1]))
        setattr(trunk, part_name(self.body, "norm", self.name), nn.Identity())
        return trunk

    @cached_property
    def norm(self) -> nn.Module:
        """The final norm, between the last layer and the head."""
        return part_of(self.body, "norm", self.name)

    @cached_property
    def head(self) -> nn.Linear:
        """The language-model head, `(vocabulary, hidden)`.

        Raises
        ------
        ModelError
            If the model has none.
        """
        head = self.model.get_output_embeddings()
        if head is None:
            raise ModelError(f"model {self.name!r} has no output embeddings; surveysim needs a causal language model")
        return head

    @property
    def device(self) -> torch.device:
        """Where the trunk runs, or where it begins."""
        return execution_device(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """Number type that the trunk computes in."""
        return next(self.model.parameters()).dtype

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.head.weight.shape[1]
