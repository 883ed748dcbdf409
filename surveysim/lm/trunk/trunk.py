"""The frozen trunk, run once over every distinct token: hidden states that enter the last layer, for all prompts of some questions.

The prompts of a question share their opening, up to the country where it names the background's; those of a country share the
rest of it, many share the beginning of the respondent's description, and the questions of a codebook share beginnings of their
openings. All together they form a tree of tokens. Each token of the tree runs through the
trunk once, at its own depth, seeing its ancestors and nothing else: the states are those of the plain prompts.

What two questions begin with is read first, for all questions together; then several questions at a time, each with the rest of
its opening and its backgrounds, so that every pass through the layers has thousands of tokens.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surveysim.lm.base.architectures import attention_windows
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.devices import execution_device, halve, is_out_of_memory
from surveysim.lm.base.products import fast_products
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.trunk import trees as layout
from surveysim.lm.trunk.tree_attention import TreeCache, block_width, in_blocks, reading
from surveysim.lm.trunk.trees import (
    TokenTree,
    background_order,
    carried_nodes,
    question_trees,
    shared_lengths,
    token_tree,
    tree_sizes,
)

log = logging.getLogger(__name__)


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


@dataclass(frozen=True, eq=False)
class Beginnings:
    """What several questions begin with, as the trunk read it.

    Attributes
    ----------
    tree : TokenTree
    ways : mapping
        Opening -> the nodes of the tree that it begins with.
    states : Tensor
        `(nodes, hidden)`.
    cache : TreeCache
        Keys and values.
    """

    tree: TokenTree
    ways: Mapping[tuple[int, ...], np.ndarray]
    states: Tensor
    cache: TreeCache

    def way(self, opening: tuple[int, ...]) -> np.ndarray:
        """Return the nodes that an opening begins with."""
        return self.ways.get(opening, np.arange(0))


def nothing_read(backbone: Backbone) -> Beginnings:
    """Return the beginnings of questions that have none in common."""
    return Beginnings(token_tree(()), {}, _no_states(backbone), TreeCache())


@torch.no_grad()
def read_beginnings(backbone: Backbone, questions: Sequence[TokenisedQuestion]) -> Beginnings:
    """Run the trunk over what any two of the questions begin with: for all of them at once.

    Where memory runs out, every question reads its own opening whole.

    Raises
    ------
    RuntimeError, MemoryError
        If the trunk fails otherwise than for want of memory.
    """
    lengths = shared_lengths([question.opening for question in questions])
    sequences = sorted({opening[:length] for opening, length in lengths.items() if length})
    tree, cache = token_tree(tuple(sequences)), TreeCache()
    try:
        states = _run(backbone, tree.tokens, tree.depth, tree.depth, tree.ancestors, cache)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        log.warning("out of memory with what %d questions begin with; each reads it by itself", len(questions))
        return nothing_read(backbone)
    rows = {sequence: row for row, sequence in enumerate(sequences)}
    ways = {opening: tree.way(rows[opening[:length]]) for opening, length in lengths.items() if length}
    return Beginnings(tree, ways, states, cache)


@torch.no_grad()
def pack_states(backbone: Backbone, questions: Sequence[TokenisedQuestion], known: Beginnings) -> list[QuestionStates]:
    """Run the trunk over several questions' prompts in one pass; where memory runs out, over one question after the other.

    Raises
    ------
    ModelError
        As of `question_states`.
    """
    if len(questions) > 1:
        try:
            return _read(backbone, questions, [question_trees(question, tree_sizes(question)) for question in questions], known)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("out of memory with %d questions at once; going on with one", len(questions))
    return [question_states(backbone, question, known) for question in questions]


@torch.no_grad()
def question_states(backbone: Backbone, question: TokenisedQuestion, known: Beginnings | None = None) -> QuestionStates:
    """Run the trunk over one question's prompts: every distinct token that is not among the beginnings read before.

    Where memory runs out, fewer backgrounds go at once.

    Raises
    ------
    ModelError
        If memory runs out with a single background.
    """
    at_once = layout.BACKGROUNDS_AT_ONCE
    known = nothing_read(backbone) if known is None else known
    while True:
        try:
            return _read(backbone, [question], [question_trees(question, tree_sizes(question, at_once))], known)[0]
        except (RuntimeError, MemoryError) as error:
            at_once = halve(min(at_once, len(question.suffixes)), error, f"question {question.question_id!r}")


@dataclass(frozen=True, eq=False)
class Portion:
    """What one pass reads of a question: the rest of its opening, after the nodes `way` that were read before, and its first tree."""

    way: np.ndarray
    rest: tuple[int, ...]
    tree: TokenTree

    @property
    def tokens(self) -> np.ndarray:
        """Token ids of the rest and of the tree."""
        return np.array([*self.rest, *self.tree.tokens], dtype=np.int64)

    @property
    def positions(self) -> np.ndarray:
        """Their positions in the prompts."""
        return len(self.way) + np.concatenate([np.arange(len(self.rest)), len(self.rest) + self.tree.depth])

    @property
    def seen(self) -> np.ndarray:
        """What they see of each other, `(tokens, tokens)`."""
        n_rest = len(self.rest)
        seen = np.pad(self.tree.ancestors, ((n_rest, 0), (n_rest, 0)))
        seen[:, :n_rest] = np.tri(len(seen), n_rest, dtype=bool)
        return seen


def _read(
    backbone: Backbone, questions: Sequence[TokenisedQuestion], trees: Sequence[list[TokenTree]], known: Beginnings
) -> list[QuestionStates]:
    """Read every question's portion in one pass; then, of a question alone, its further trees."""
    ways = [known.way(question.opening) for question in questions]
    portions = [Portion(way, question.opening[len(way) :], few[0]) for way, question, few in zip(ways, questions, trees, strict=True)]
    nodes = np.unique(np.concatenate(ways))
    cache = _kept(known.cache, nodes)
    states, start, found = _read_portions(backbone, portions, nodes, known.tree.depth[nodes], cache), 0, []
    for question, portion, few in zip(questions, portions, trees, strict=True):
        between, end = start + len(portion.rest), start + len(portion.tokens)
        opening = torch.cat([known.states[torch.from_numpy(portion.way)].to(states), states[start:between]])
        nodes_of_trees = _read_further(backbone, question, few, states[between:end], cache)
        found.append(QuestionStates(opening, nodes_of_trees, tuple(few), len(question.trie.branches), background_order(question)))
        start = end
    return found


def _read_portions(backbone: Backbone, portions: Sequence[Portion], nodes: np.ndarray, nodes_at: np.ndarray, cache: TreeCache) -> Tensor:
    """Return the states of all portions' tokens, one portion after the other; `cache` holds `nodes` of the beginnings."""
    tokens, rows_at = (np.concatenate(parts) for parts in zip(*((part.tokens, part.positions) for part in portions), strict=True))
    seen, start = np.zeros((len(tokens), len(nodes) + len(tokens)), dtype=bool), 0
    for portion in portions:
        rows = seen[start : start + len(portion.tokens)]
        rows[:, np.searchsorted(nodes, portion.way)] = True
        rows[:, len(nodes) + start : len(nodes) + start + len(rows)] = portion.seen
        start += len(rows)
    return _run(backbone, tokens, rows_at, np.concatenate([nodes_at, rows_at]), seen, cache)


def _read_further(
    backbone: Backbone, question: TokenisedQuestion, trees: list[TokenTree], first: Tensor, cache: TreeCache
) -> tuple[Tensor, ...]:
    """Return the states of all trees of a question: of the first as they are, of each other after reading what the one before lacks.

    `cache` holds the opening and the first tree, and nothing else, where there are others.
    """
    n_opening, nodes = len(question.opening), [first]
    for before, tree in pairwise(trees):
        carried = carried_nodes(before, tree, len(question.trie.branches))
        cache = _kept(cache, np.concatenate([np.arange(n_opening), n_opening + carried]))
        at, count = np.concatenate([np.arange(n_opening), n_opening + tree.depth]), len(carried)
        seen = np.pad(tree.ancestors[count:], ((0, 0), (n_opening, 0)), constant_values=True)
        read = _run(backbone, tree.tokens[count:], at[n_opening + count :], at, seen, cache)
        nodes.append(torch.cat([nodes[-1][torch.from_numpy(carried).to(first.device)], read.to(first)]))
    return tuple(nodes)


def _kept(cache: Any, places: np.ndarray) -> TreeCache:
    """Return another cache with the keys and values at `places`; the first stays as it is."""
    kept: Any = copy.copy(cache)
    kept.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in kept.layers if len(places) < cache.get_seq_length() else ():
        where = torch.from_numpy(places).to(layer.keys.device)
        layer.keys, layer.values = layer.keys[:, :, where], layer.values[:, :, where]
    assert isinstance(kept, TreeCache)
    return kept


def _no_states(backbone: Backbone) -> Tensor:
    return torch.empty(0, backbone.hidden_size, dtype=backbone.dtype, device=execution_device(backbone.layers[-2:][0]))


def _run(backbone: Backbone, tokens: np.ndarray, rows_at: np.ndarray, keys_at: np.ndarray, seen: np.ndarray, cache: TreeCache) -> Tensor:
    """Run tokens after those that `cache` holds; return their states `(tokens, hidden)`.

    `rows_at` are the tokens' positions, `keys_at` those of the cache and then theirs; `seen` `(tokens, keys)` says who sees whom.
    """
    if not len(tokens):
        return _no_states(backbone)
    backbone.ready()
    asking, asked, allowed = (torch.from_numpy(array).to(backbone.device) for array in (rows_at, keys_at, seen))
    blocks = in_blocks(allowed, asking, asked, block_width(backbone.trunk.config))
    cache.places = blocks.places
    with fast_products(backbone.dtype), backbone.turn if backbone.moves_weights else nullcontext():
        out = backbone.trunk(
            torch.from_numpy(tokens).to(backbone.device)[None],
            attention_mask=blocks.masks(attention_windows(backbone.model.config), backbone.dtype),
            position_ids=asking[None],
            use_cache=True,
            **reading(backbone.trunk, cache),
        )
    return out.last_hidden_state[0]
