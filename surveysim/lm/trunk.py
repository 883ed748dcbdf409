"""The frozen trunk, run once over every distinct token: hidden states that enter the last layer, for all prompts of a question.

The prompts of a question share their opening, and many share the beginning of the respondent's description too. They form a
tree of tokens. Each token of the tree runs through the trunk once, at its own depth, seeing its ancestors and nothing else: the
states are those of the plain prompts.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from surveysim.lm.backbone import Backbone, TokenisedQuestion

BACKGROUNDS_AT_ONCE = 96  # a tree's attention grows with the square of its tokens


@dataclass(frozen=True, eq=False)
class TokenTree:
    """Distinct tokens of some prompts after their shared opening; parents stand before their children.

    Attributes
    ----------
    tokens, depth : array of int, shape (nodes,)
        Token ids, and positions after the opening.
    ancestors : array of bool, shape (nodes, nodes)
        Row i marks node i and all that lie on the way to it.
    answers : array of int, shape (rows,)
        The last node of each prompt.
    """

    tokens: np.ndarray
    depth: np.ndarray
    ancestors: np.ndarray
    answers: np.ndarray


@lru_cache(maxsize=64)
def token_tree(rows: tuple[tuple[int, ...], ...]) -> TokenTree:
    """Build the tree of token sequences."""
    index: dict[tuple[int, int], int] = {}
    parents: list[int] = []
    answers = []
    for row in rows:
        node = -1
        for token in row:
            key = (node, token)
            if key not in index:
                index[key] = len(parents)
                parents.append(node)
            node = index[key]
        answers.append(node)
    ancestors = np.eye(len(parents), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            ancestors[node] |= ancestors[parent]
    tokens = np.array([token for _, token in index], dtype=np.int64)
    return TokenTree(tokens, ancestors.sum(1) - 1, ancestors, np.array(answers))


def question_trees(question: TokenisedQuestion) -> list[TokenTree]:
    """Return the trees of a question's prompts, one for each batch of backgrounds; rows are branches x backgrounds."""
    batches = [question.suffixes[start : start + BACKGROUNDS_AT_ONCE] for start in range(0, len(question.suffixes), BACKGROUNDS_AT_ONCE)]
    return [token_tree(tuple(suffix + branch.path for branch in question.trie.branches for suffix in batch)) for batch in batches]


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
        Branches of the option trie; a tree's answers are branches x backgrounds.
    """

    opening: Tensor
    nodes: tuple[Tensor, ...]
    trees: tuple[TokenTree, ...]
    n_branches: int

    def to(self, device: torch.device, dtype: torch.dtype) -> QuestionStates:
        """Return the states on a device, in a floating-point type."""
        return QuestionStates(
            self.opening.to(device, dtype), tuple(nodes.to(device, dtype) for nodes in self.nodes), self.trees, self.n_branches
        )


def distinct_tokens(questions: Sequence[TokenisedQuestion]) -> int:
    """Count the tokens that run through the trunk: a question's opening once, then each distinct token of its trees."""
    return sum(len(question.opening) + sum(len(tree.tokens) for tree in question_trees(question)) for question in questions)


@torch.no_grad()
def question_states(backbone: Backbone, question: TokenisedQuestion) -> QuestionStates:
    """Run the trunk over one question's prompts: the opening once, then every distinct token after it."""
    trees = question_trees(question)
    with _entering_last_layer(backbone) as entering:
        opening = torch.tensor([question.opening], device=backbone.device)
        shared = DynamicCache()  # keeps all; masks cut windows
        backbone.body(opening, use_cache=True, **reading(backbone.body, shared))
        for number, tree in enumerate(trees, start=1):
            cache = shared if number == len(trees) else copy.deepcopy(shared)
            _run_tree(backbone, tree, len(question.opening), cache)
    return QuestionStates(entering[0][0], tuple(state[0] for state in entering[1:]), tuple(trees), len(question.trie.branches))


def _run_tree(backbone: Backbone, tree: TokenTree, n_opening: int, cache: DynamicCache) -> None:
    positions = torch.from_numpy(tree.depth + n_opening).to(backbone.device)
    allowed = tree_mask(torch.from_numpy(tree.ancestors).to(backbone.device), n_opening)
    backbone.body(
        torch.from_numpy(tree.tokens)[None].to(backbone.device),
        attention_mask=_masks(backbone, allowed, positions),
        position_ids=positions[None],
        use_cache=True,
        **reading(backbone.body, cache),
    )


def reading(module: nn.Module, cache: DynamicCache) -> dict[str, DynamicCache]:
    """Return keys and values as the argument that a transformers module takes them in: `cache`, before 5.24 `past_key_values`."""
    name = "cache" if "cache" in inspect.signature(module.forward).parameters else "past_key_values"
    return {name: cache}


def tree_mask(seen: Tensor, n_opening: int) -> Tensor:
    """Prepend the opening, which all see, to a boolean matrix `(rows, nodes)`."""
    return torch.cat([torch.ones(seen.shape[0], n_opening, dtype=torch.bool, device=seen.device), seen], 1)


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask `(rows, keys)` into the additive mask `(1, 1, rows, keys)` that attention takes."""
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[None, None]


def _masks(backbone: Backbone, allowed: Tensor, positions: Tensor) -> Any:
    """One mask, or one for each kind of layer where some see only a window of recent positions."""
    windows = attention_windows(backbone.model.config)
    keys = torch.cat([torch.arange(allowed.shape[1] - len(positions), device=positions.device), positions])
    masks = {
        kind: additive(allowed if window is None else allowed & within_window(positions, keys, window), backbone.dtype)
        for kind, window in windows.items()
    }
    return masks if len(masks) > 1 else next(iter(masks.values()))


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


@contextmanager
def _entering_last_layer(backbone: Backbone) -> Iterator[list[Tensor]]:
    """Collect what enters the last layer while the context is open."""
    states: list[Tensor] = []

    def keep(_module: object, args: tuple, kwargs: dict) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    hook = backbone.layers[-1].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield states
    finally:
        hook.remove()
