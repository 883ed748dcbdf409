"""A causal language model, cut before its last layer: a frozen trunk, and the part that alignment trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import torch
from torch import nn

from surveysim.errors import ModelError
from surveysim.lm.base.architectures import part_name, part_of
from surveysim.lm.base.block_attention import attending_by_block
from surveysim.lm.base.devices import execution_device, moves_weights


@dataclass(frozen=True, eq=False)
class Backbone:
    """A causal language model in parts. The model itself is never changed: training works on copies.

    Attributes
    ----------
    model, tokenizer : the transformers objects
    name : str
        As the user called it.
    digest : str
        SHA-256 of the weights, by which a recipe knows its base model.
    bits : int, optional
        Bits of a weight of the trunk, where these are fewer than `dtype` has.
    files : mapping of str to str
        Name -> SHA-256 of every file that the model was read from; the weights and these key caches.
    turn : Lock
        Held during a pass of a model whose weights are moved, and while weights are brought into another number type.
    computes_in : torch.dtype, optional
        Number type that the trunk computes in, where the weights are held in a narrower one, as on disk, until it first does
        (`ready`).
    """

    model: Any
    tokenizer: Any
    name: str
    digest: str
    bits: int | None = None
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    turn: Lock = field(default_factory=Lock, repr=False)
    computes_in: torch.dtype | None = None

    def ready(self) -> None:
        """Bring the weights into the number type that the trunk computes in: where all prompts were read before, nobody needs that."""
        if self.dtype != self._held_in:
            with self.turn:
                for parameter in self.model.parameters():  # those that another thread brought meanwhile stay as they are
                    parameter.data = parameter.data.to(self.dtype)

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
        """The body without its last layer and final norm, on the same weights: what it returns is what enters the last layer.

        It attends by block, under a configuration of its own.
        """
        return self._without_last(attending_by_block(self.body))

    @cached_property
    def plain_trunk(self) -> nn.Module:
        """The same as the model itself runs it, one prompt after the other: what the trunk is checked against."""
        return self._without_last(self.body)

    def _without_last(self, body: nn.Module) -> nn.Module:
        trunk: Any = copy.copy(body)
        trunk._modules = dict(body._modules)
        trunk.__dict__.pop("forward", None)  # a hook of the whole body would run the whole body
        setattr(trunk, part_name(body, "layers", self.name), nn.ModuleList(part_of(body, "layers", self.name)[:-1]))
        setattr(trunk, part_name(body, "norm", self.name), nn.Identity())
        return trunk

    @cached_property
    def moves_weights(self) -> bool:
        """Whether weights are brought from memory or disk for each pass, so that passes must take turns."""
        return moves_weights(self.model)

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
        return self.computes_in or self._held_in

    @property
    def _held_in(self) -> torch.dtype:
        """Number type of the weight that `ready` brings last: until then another thread must wait for its turn."""
        return self._last_weight.dtype

    @cached_property
    def _last_weight(self) -> nn.Parameter:
        return list(self.model.parameters())[-1]

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.head.weight.shape[1]
