"""Prompts as the last layer takes them pass after pass, and those of several questions laid out for one: tokens in a row, who sees what."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from surveysim.lm.trunk.tree_attention import tree_mask
from surveysim.lm.trunk.trees import TokenTree, halved
from surveysim.lm.trunk.trunk import QuestionStates

WHOLE, BY_BUNDLE, KEYS_ALONE = "sdpa", "surveysim_by_bundle", "surveysim_keys_alone"  # names of attention functions in transformers
TOKENS_AT_ONCE = 4096  # in one pass through the last layer: more take memory and no less time
WHOLE_TOKENS = 256  # passes have a multiple of so many: libraries keep half a megabyte for every number of rows that they have met


@dataclass(frozen=True, eq=False)
class Bundle:
    """Prompts of one question that go through the last layer together: a tree of `QuestionStates`, in the layer's number type.

    Attributes
    ----------
    tokens : Tensor
        `(tokens, hidden)` of opening and nodes, as far as nothing is trained before keys and values are made of them: past the norm,
        where `keys_alone` folds its weight.
    asked : Tensor
        `(answers, hidden)`: what enters the layer at the answer positions.
    n_opening : int
        Tokens of the opening.
    tree : TokenTree
    n_branches : int
    """

    tokens: Tensor
    asked: Tensor
    n_opening: int
    tree: TokenTree
    n_branches: int

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_texts(self) -> int:
        """Distinct texts: the answers are branches x texts."""
        return len(self.tree.answers) // self.n_branches

    def positions(self) -> Tensor:
        """Return the positions of opening and nodes in the prompts."""
        return torch.cat([torch.arange(self.n_opening), self.n_opening + torch.from_numpy(self.tree.depth)])

    def seen(self) -> Tensor:
        """Return which tokens the answer positions see before themselves, `(answers, tokens)`."""
        before = torch.from_numpy(self.tree.ancestors[self.tree.answers])
        before[torch.arange(len(before)), torch.from_numpy(self.tree.answers)] = False  # the answer position brings its own key
        return tree_mask(before, self.n_opening)

    def halves(self) -> list[Bundle]:
        """Cut the texts in two; a bundle of a single one comes back as it is."""
        rows = np.arange(len(self.tree.answers)).reshape(self.n_branches, -1)
        texts = [half.ravel() for half in np.array_split(rows, 2, axis=1) if half.size]
        return [self._part(torch.from_numpy(own), *half) for own, half in zip(texts, halved(self.tree, self.n_branches), strict=True)]

    def _part(self, answers: Tensor, nodes: np.ndarray, tree: TokenTree) -> Bundle:
        kept = torch.cat([torch.arange(self.n_opening), self.n_opening + torch.from_numpy(nodes)])
        device = self.tokens.device
        return replace(self, tokens=self.tokens[kept.to(device)], asked=self.asked[answers.to(device)], tree=tree)


@dataclass(frozen=True, eq=False)
class Prompts:
    """One question's prompts.

    Attributes
    ----------
    bundles : tuple of Bundle
    order : Tensor
        `(backgrounds,)`, the place of each background's text in the bundles, one after the other.
    """

    bundles: tuple[Bundle, ...]
    order: Tensor

    def __len__(self) -> int:
        return sum(map(len, self.bundles))

    @property
    def nbytes(self) -> int:
        """Memory of what enters the layer."""
        return sum(tensor.nbytes for bundle in self.bundles for tensor in (bundle.tokens, bundle.asked))

    def in_parts(self, at_once: int) -> list[Bundle]:
        """Return bundles of at most `at_once` distinct texts each, in their order."""
        return [piece for bundle in self.bundles for piece in _pieces(bundle, at_once)]


def _pieces(bundle: Bundle, at_once: int) -> list[Bundle]:
    if bundle.n_texts <= at_once:
        return [bundle]
    return [piece for half in bundle.halves() for piece in _pieces(half, at_once)]


def prompts(states: QuestionStates, norm: Callable[[Tensor], Tensor]) -> Prompts:
    """Return a question's prompts, a bundle a tree; `norm` stands before keys and values and is not trained."""
    opening, found = norm(states.opening), []
    for nodes, tree in zip(states.nodes, states.trees, strict=True):
        asked = nodes[torch.from_numpy(tree.answers).to(nodes.device)]
        found.append(Bundle(torch.cat([opening, norm(nodes)]), asked, len(opening), tree, states.n_branches))
    return Prompts(tuple(found), torch.from_numpy(states.order).to(opening.device))


def passes(questions: Iterable[tuple[str, Prompts]], *, alone: bool = False) -> Iterator[list[tuple[str, Prompts]]]:
    """Yield the questions that go through the last layer at once: neighbours with `TOKENS_AT_ONCE` tokens, or one with more.

    All have one bundle with equally many answers, or the question is alone; with `alone` all are.
    """
    held: list[tuple[str, Prompts]] = []
    tokens = 0
    for name, question in questions:
        size = len(question)
        if held and (alone or tokens + size > TOKENS_AT_ONCE or not _alike(held[0][1], question)):
            yield held
            held, tokens = [], 0
        held, tokens = [*held, (name, question)], tokens + size
    if held:
        yield held


def _alike(first: Prompts, second: Prompts) -> bool:
    return len(first.bundles) == len(second.bundles) == 1 and len(first.bundles[0].asked) == len(second.bundles[0].asked)


@dataclass(frozen=True, eq=False)
class Layout:
    """Bundles with equally many answers, one after the other.

    Attributes
    ----------
    tokens, asked : Tensor
        `(tokens, hidden)` and `(bundles x answers, hidden)`, as of `Bundle`; tokens of several bundles are filled up to a multiple of
        `WHOLE_TOKENS` with zeros, which nobody sees.
    positions : Tensor
        `(tokens,)`.
    answers : Tensor
        `(bundles x answers,)` places of the answer positions among the tokens.
    places : Tensor
        `(bundles, keys)`: the keys that a bundle's answers are shown, among all tokens and then all answers.
    allowed : Tensor
        `(bundles, answers, keys)` of bool: which of them an answer sees.
    """

    tokens: Tensor
    asked: Tensor
    positions: Tensor
    answers: Tensor
    places: Tensor
    allowed: Tensor

    def within(self, window: int | None) -> Tensor:
        """Return `allowed`, less what lies further back than a window of positions."""
        if window is None:
            return self.allowed
        known = torch.cat([self.positions, self.positions[self.answers]])
        asking = self.positions[self.answers].view(*self.allowed.shape[:2], 1)
        return self.allowed & (asking - known[self.places][:, None] < window)


def laid_out(parts: Sequence[Bundle]) -> Layout:
    """Lay out bundles with equally many answers."""
    rows, total = len(parts[0].tree.answers), sum(map(len, parts))
    filling = -total % WHOLE_TOKENS if len(parts) > 1 else 0  # of one bundle, every key is shown
    total += filling
    keys = max(map(len, parts)) + rows
    places = torch.zeros(len(parts), keys, dtype=torch.long)
    allowed = torch.zeros(len(parts), rows, keys, dtype=torch.bool)
    answers, start = [], 0
    for number, part in enumerate(parts):
        size = len(part)
        places[number, :size] = torch.arange(start, start + size)
        places[number, size : size + rows] = torch.arange(total + number * rows, total + (number + 1) * rows)
        allowed[number, :, :size] = part.seen()
        allowed[number, :, size : size + rows] = torch.eye(rows, dtype=torch.bool)
        answers.append(start + part.n_opening + torch.from_numpy(part.tree.answers))
        start += size
    tokens = torch.cat([*(part.tokens for part in parts), parts[0].tokens.new_zeros(filling, parts[0].tokens.shape[-1])])
    positions = torch.cat([*(part.positions() for part in parts), torch.zeros(filling, dtype=torch.long)])
    return Layout(tokens, torch.cat([part.asked for part in parts]), positions, torch.cat(answers), places, allowed)


class _NoQueries(nn.Module):
    """In place of a projection to queries that nobody asks: zeros for one head, or for all where they are normed together."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, states: Tensor) -> Tensor:
        return states.new_zeros(()).expand(*states.shape[:-1], self.width)


def _ask_nothing(module: nn.Module, query: Tensor, *given: Any, **options: Any) -> tuple[Tensor, None]:
    """Stand for attention where only keys and values are wanted."""
    return query.transpose(1, 2), None


def _ask_by_bundle(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, *, scaling: float | None = None, **options: Any
) -> tuple[Tensor, None]:
    """Attend from queries `(1, heads, bundles x answers, size)` to keys `(bundles, heads, keys, size)`, each bundle to its own."""
    bundled = query[0].unflatten(1, (len(key), -1)).transpose(0, 1)  # (bundles, heads, answers, size)
    alike = bundled.shape[1] // key.shape[1]
    if alike > 1 and query.device.type != "cpu":  # a GPU's kernels want keys for every head; the CPU's share them, which spares copies
        key, value = (part.repeat_interleave(alike, dim=1) for part in (key, value))
    shared = bundled.shape[1] > key.shape[1]
    out = nn.functional.scaled_dot_product_attention(bundled, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=shared)
    return out.transpose(1, 2).flatten(0, 1)[None], None


_FUNCTIONS = {KEYS_ALONE: _ask_nothing, BY_BUNDLE: _ask_by_bundle}


def asks_by_bundle(attention: Any) -> bool:
    """Say whether the prompts of several questions can go through an attention module at once: its attention function is `WHOLE`."""
    return bool(attention.config._attn_implementation == WHOLE)


def asking_by_bundle(layer: Any, attention: str) -> Any:
    """Return a layer on the same weights whose attention, of this name, keeps bundles apart."""
    bundling = copy.copy(layer)
    bundling.__dict__.pop("forward", None)
    bundling._modules = {**layer._modules, attention: _attending(layer._modules[attention], BY_BUNDLE)}
    return bundling


def _attending(attention: Any, function: str) -> Any:
    """Return an attention module on the same weights with another attention function."""
    AttentionInterface.register(function, _FUNCTIONS[function])
    other = copy.copy(attention)
    other.__dict__.pop("forward", None)  # of a module that was hooked it would run the original
    other.config = copy.copy(attention.config)
    other.config._attn_implementation = function
    return other


class _Folded(nn.Module):
    """A projection behind a norm, on what the norm makes of its input before it weighs it: the norm's weight goes into the projection."""

    def __init__(self, projection: nn.Linear, weight: Tensor) -> None:
        super().__init__()
        self.of: tuple[nn.Linear, Tensor] = (projection, weight)  # in a tuple: neither is this module's own

    def forward(self, states: Tensor) -> Tensor:
        projection, weight = self.of
        return nn.functional.linear(states, projection.weight * weight, projection.bias)


@dataclass(frozen=True, eq=False)
class KeysAlone:
    """An attention module that computes keys and values, and neither queries nor outputs, and the norm before it.

    Attributes
    ----------
    attention : module
        On the same weights as the layer's own.
    fixed : module
        What of the norm training does not change: once a prompt is enough.
    trained : module
        What of it is applied in every pass.
    """

    attention: Any
    fixed: Any
    trained: Any


def keys_alone(attention: Any, norm: Any) -> KeysAlone:
    """Return what makes keys and values of a layer's attention and its norm.

    What enters the norm is not trained, so neither is what it makes of it, where its weight is folded into the projections: no
    gradient goes back through them to every token. Where a module has no projections of these names, or the norm is of another
    kind, they are taken as they are: slower, and right.
    """
    parts = attention._modules
    if not isinstance(parts.get("q_proj"), nn.Linear) or not isinstance(parts.get("o_proj"), nn.Linear):
        return KeysAlone(attention, nn.Identity(), norm)
    lighter = _attending(attention, KEYS_ALONE)
    width = parts["q_proj"].out_features if "q_norm" in parts else attention.head_dim
    lighter._modules = {**parts, "q_proj": _NoQueries(width), "o_proj": nn.Identity()}
    plain, weight = _unweighted(norm)
    if weight is not None and isinstance(parts.get("k_proj"), nn.Linear) and isinstance(parts.get("v_proj"), nn.Linear):
        lighter._modules |= {name: _Folded(parts[name], weight) for name in ("k_proj", "v_proj")}
        return KeysAlone(lighter, plain, nn.Identity())
    return KeysAlone(lighter, nn.Identity(), norm)


def _unweighted(norm: Any) -> tuple[Any, Tensor | None]:
    """Return a norm that multiplies by nothing, and what `norm` multiplies by (its weight, or 1 more); None for another kind of norm."""
    if not type(norm).__name__.endswith("RMSNorm") or list(norm._parameters) != ["weight"] or norm._modules:
        return norm, None
    weight = norm.weight
    at_zero, at_one = (_weighing(norm, torch.full_like(weight, value))(torch.ones_like(weight)) for value in (0.0, 1.0))
    more = float((at_zero / (at_one - at_zero))[0])
    return _weighing(norm, torch.full_like(weight, 1.0 - more)), weight + more


def _weighing(norm: Any, weight: Tensor) -> Any:
    other = copy.copy(norm)
    other.__dict__.pop("forward", None)
    other._parameters = {"weight": weight.detach()}
    return other
