"""The frozen trunk, run once over every distinct token: hidden states that enter the last layer, for all prompts of a question.

The prompts of a question share their opening, up to the country where it names the background's; those of a country share the
rest of it, many share the beginning of the respondent's description, and the questions of a codebook share beginnings of their
openings. All together they form a tree of tokens. Each token of the tree runs through the
trunk once, at its own depth, seeing its ancestors and nothing else: the states are those of the plain prompts.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from surveysim.lm import trees as layout
from surveysim.lm.backbone import Backbone, TokenisedQuestion
from surveysim.lm.memory import halve
from surveysim.lm.placement import execution_device
from surveysim.lm.tree_attention import TreeCache, attending_by_block, block_width, in_blocks
from surveysim.lm.trees import TokenTree, background_order, carried_nodes, halved, question_trees, token_tree, tree_sizes

READ_BEFORE_BYTES = 512 << 20  # keys and values of openings, kept for the questions that begin alike


@dataclass(frozen=True, eq=False)
class QuestionStates:
    """What enters the last layer for one question's prompts.

    Attributes
    ----------
    opening : Tensor
        `(opening tokens, hidden)`, shared by all prompts.
    nodes : tuple of Tensor
        `(nodes, hidden)` of each tree.
    trees : tuple of TokenTree
    n_branches : int
        Branches of the option trie; a tree's answers are branches x distinct texts.
    order : array of int, shape (backgrounds,)
        The place of each background's text in the trees, one after the other.
    """

    opening: Tensor
    nodes: tuple[Tensor, ...]
    trees: tuple[TokenTree, ...]
    n_branches: int
    order: np.ndarray

    def to(self, device: torch.device, dtype: torch.dtype) -> QuestionStates:
        """Return the states on a device, in a floating-point type."""
        return replace(self, opening=self.opening.to(device, dtype), nodes=tuple(nodes.to(device, dtype) for nodes in self.nodes))

    def in_parts(self, at_once: int | None) -> list[QuestionStates]:
        """Cut into states of at most `at_once` distinct texts each, in their order; whole where `at_once` is None or enough."""
        if at_once is None or at_once >= self.order.max() + 1:
            return [self]
        pieces = [piece for nodes, tree in zip(self.nodes, self.trees, strict=True) for piece in self._pieces(nodes, tree, at_once)]
        texts = [np.arange(len(tree.answers) // self.n_branches) for _, tree in pieces]
        return [replace(self, nodes=(nodes,), trees=(tree,), order=order) for (nodes, tree), order in zip(pieces, texts, strict=True)]

    def _pieces(self, nodes: Tensor, tree: TokenTree, at_once: int) -> list[tuple[Tensor, TokenTree]]:
        if len(tree.answers) // self.n_branches <= at_once:
            return [(nodes, tree)]
        halves = halved(tree, self.n_branches)
        return [piece for kept, part in halves for piece in self._pieces(nodes[torch.from_numpy(kept).to(nodes.device)], part, at_once)]


@dataclass(frozen=True, eq=False)
class Beginning:
    """An opening, or its beginning, as the trunk read it: states `(tokens, hidden)`, keys and values."""

    states: Tensor
    cache: Any

    @property
    def size(self) -> int:
        """Bytes of states, keys and values."""
        tensors = [self.states, *(part for layer in self.cache.layers for part in (layer.keys, layer.values))]
        return sum(tensor.nbytes for tensor in tensors)


@torch.no_grad()
def question_states(backbone: Backbone, question: TokenisedQuestion) -> QuestionStates:
    """Run the trunk over one question's prompts: the opening once, then every distinct token after it.

    Where memory runs out, fewer backgrounds go at once.

    Raises
    ------
    ModelError
        If memory runs out with a single background.
    """
    at_once = layout.BACKGROUNDS_AT_ONCE
    while True:
        try:
            return _read_question(backbone, question, question_trees(question, tree_sizes(question, at_once)))
        except (RuntimeError, MemoryError) as error:
            at_once = halve(min(at_once, len(question.suffixes)), error, f"question {question.question_id!r}")


def _read_question(backbone: Backbone, question: TokenisedQuestion, trees: list[TokenTree]) -> QuestionStates:
    opening, branches = _read_opening(backbone, question), len(question.trie.branches)
    n_opening, nodes = len(question.opening), []
    cache, states = opening.cache, opening.states
    for number, tree in enumerate(trees):
        carried = carried_nodes(trees[number - 1], tree, branches) if number else np.arange(0)
        known = states[torch.from_numpy(carried).to(states.device)] if number else states[:0]
        cache = _kept(cache, [*range(n_opening), *(n_opening + carried)])
        states = torch.cat([known, _run(backbone, tree, len(carried), n_opening, cache)])
        nodes.append(states)
    return QuestionStates(opening.states, tuple(nodes), tuple(trees), branches, background_order(question))


def _read_opening(backbone: Backbone, question: TokenisedQuestion) -> Beginning:
    """Read an opening piece by piece: what other questions of the codebook begin with too is read once for all of them."""
    known = Beginning(torch.empty(0), TreeCache())  # keeps all; masks cut windows
    start = 0
    for end in (*question.cuts, len(question.opening)):
        found = backbone.read_before.pop(question.opening[:end], None)
        if found is None:
            cache = _kept(known.cache, None)
            states = _run(backbone, token_tree((question.opening[start:end],)), 0, start, cache)
            found = Beginning(torch.cat([known.states.to(states), states]) if start else states, cache)
        backbone.read_before[question.opening[:end]] = known = found
        start = end
    _forget(backbone.read_before)
    return known


def _forget(read_before: dict[tuple[int, ...], Beginning]) -> None:
    """Let go of the openings that were not used for longest."""
    size = sum(beginning.size for beginning in read_before.values())
    while size > READ_BEFORE_BYTES and len(read_before) > 1:
        size -= read_before.pop(next(iter(read_before))).size


def _kept(cache: Any, places: list[int] | None) -> Any:
    """Return another cache with the keys and values at `places` (None: all); the first stays as it is."""
    kept = copy.copy(cache)
    kept.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in kept.layers if places is not None and len(places) < cache.get_seq_length() else ():
        where = torch.tensor(places, device=layer.keys.device)
        layer.keys, layer.values = layer.keys[:, :, where], layer.values[:, :, where]
    return kept


def _run(backbone: Backbone, tree: TokenTree, n_carried: int, n_opening: int, cache: TreeCache) -> Tensor:
    """Run a tree's nodes after the carried ones, which `cache` holds with the opening; return their states `(nodes, hidden)`."""
    tokens = torch.from_numpy(tree.tokens[n_carried:]).to(backbone.device)
    if not len(tokens):
        return torch.empty(0, backbone.hidden_size, dtype=backbone.dtype, device=execution_device(backbone.layers[-2:][0]))
    positions = torch.cat([torch.arange(n_opening), n_opening + torch.from_numpy(tree.depth)]).to(backbone.device)
    config, asking = backbone.body.config, positions[n_opening + n_carried :]
    allowed = tree_mask(torch.from_numpy(tree.ancestors[n_carried:]).to(backbone.device), n_opening)
    blocks = in_blocks(allowed, asking, positions, block_width(config))
    cache.places = blocks.places
    with attending_by_block(config):
        out = backbone.trunk(
            tokens[None],
            attention_mask=blocks.masks(attention_windows(backbone.model.config), backbone.dtype),
            position_ids=asking[None],
            use_cache=True,
            **reading(backbone.trunk, cache),
        )
    return out.last_hidden_state[0]


def reading(module: nn.Module, cache: TreeCache) -> dict[str, TreeCache]:
    """Return keys and values as the argument that a transformers module takes them in: `cache`, before 5.24 `past_key_values`."""
    name = "cache" if "cache" in inspect.signature(module.forward).parameters else "past_key_values"
    return {name: cache}


def tree_mask(seen: Tensor, n_opening: int) -> Tensor:
    """Prepend the opening, which all see, to a boolean matrix `(rows, nodes)`."""
    return torch.cat([torch.ones(seen.shape[0], n_opening, dtype=torch.bool, device=seen.device), seen], 1)


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return kind of layer -> how many recent positions it sees (None: all)."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:  # all layers are of one kind
        return {"full_attention": window}
    return {kind: window if kind == "sliding_attention" else None for kind in dict.fromkeys(kinds)}


def within_window(positions: Tensor, keys: Tensor, window: int) -> Tensor:
    """Mark the keys that lie less than `window` positions back, `(rows, keys)`."""
    return positions[:, None] - keys[None] < window
