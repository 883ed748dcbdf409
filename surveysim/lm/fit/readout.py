"""The trainable part: copies of the last layer and the final norm, the head's rows for the answer tokens, and heads of single questions."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from surveysim.lm.base.architectures import LOCAL_ROTARY, POSITION_ARGUMENTS, ROTARY, attention_windows, part_name
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.devices import execution_device, halve, is_out_of_memory, weight_of, whole_copy
from surveysim.lm.base.products import fast_products
from surveysim.lm.base.spare_cores import one_thread
from surveysim.lm.base.tokens import OptionTrie
from surveysim.lm.fit.bundles import Bundle, Layout, Prompts, asking_by_bundle, asks_by_bundle, keys_alone, laid_out, prompts
from surveysim.lm.trunk.tree_attention import TreeCache, additive, reading
from surveysim.lm.trunk.trunk import QuestionStates

log = logging.getLogger(__name__)


class QuestionHead(nn.Module):
    """Rows that one question adds to the shared head, on features centred over its backgrounds.

    ``logits = shared rows @ features + rows @ (features - center) / scale + bias``. Centring separates the level of an answer
    (bias) from its shifts between backgrounds (rows), which makes training quick.

    Parameters
    ----------
    features : Tensor
        `(branches, backgrounds, hidden)` at the start of training.
    edges : int
        Edges of the question's option trie.
    """

    center: Tensor  # (branches, hidden)
    scale: Tensor  # ()

    def __init__(self, features: Tensor, edges: int) -> None:
        super().__init__()
        center = features.mean(1)
        spread = (features - center[:, None]).pow(2).sum(-1).mean().sqrt().clamp_min(1e-6)
        self.register_buffer("center", center.detach().clone())
        self.register_buffer("scale", spread.detach().clone())
        self.rows = nn.Parameter(torch.zeros(edges, features.shape[-1], device=features.device))
        self.bias = nn.Parameter(torch.zeros(edges, device=features.device))

    def forward(self, features: Tensor, edge_branch: Sequence[int]) -> Tensor:
        """Return what the question adds to the logits, `(backgrounds, edges)`."""
        return edge_dot(self.centred(features), self.rows, edge_branch) + self.bias

    def centred(self, features: Tensor) -> Tensor:
        """Return the features around their center, in units of their first spread."""
        return (features - self.center[:, None]) / self.scale


class Readout(nn.Module):
    """Last layer, final norm and head of a backbone, in float32, ready to train; the backbone keeps its own.

    Parameters
    ----------
    backbone : Backbone
    token_ids : sequence of int
        Tokens that any question's options use; only these rows of the head are held and trained.
    """

    def __init__(self, backbone: Backbone, token_ids: Sequence[int]) -> None:
        super().__init__()
        layer: Any = whole_copy(backbone.layers[-1])
        place = execution_device(layer)
        self.layer: Any = layer.float().requires_grad_(True)
        self.norm: Any = whole_copy(backbone.norm).float().to(place).requires_grad_(True)
        self.names = tuple(part_name(layer, part, backbone.name) for part in ("input_norm", "attention"))
        self.attention.layer_idx = 0  # its cache holds this layer alone
        self.layer_type: str = (getattr(backbone.model.config, "layer_types", None) or ["full_attention"])[-1]
        self.rotary: Any = _rotary(backbone, self.layer_type, place)
        self.window: int | None = attention_windows(backbone.model.config)[self.layer_type]
        self.softcap: float | None = getattr(backbone.model.config, "final_logit_softcapping", None)
        self.token_ids = sorted(set(token_ids))
        self.position = {token: index for index, token in enumerate(self.token_ids)}
        self.rows = nn.Parameter(weight_of(backbone.head)[self.token_ids].to(place, torch.float32, copy=True))
        self.questions = nn.ModuleDict()  # question_id -> QuestionHead

    @property
    def attention(self) -> Any:
        """The last layer's attention."""
        return getattr(self.layer, self.names[1])

    @property
    def input_norm(self) -> Any:
        """The norm before it."""
        return getattr(self.layer, self.names[0])

    @torch.no_grad()
    def prompts(self, states: QuestionStates) -> Prompts:
        """Return a question's prompts as the layer takes them: on its device, in its number type, past what training does not change."""
        placed = states.to(self.rows.device, self.rows.dtype)
        return prompts(placed, keys_alone(self.attention, self.input_norm).fixed)

    def features(self, states: QuestionStates) -> Tensor:
        """Return what enters the head at the answer positions, `(branches, backgrounds, hidden)`."""
        return self._fitting_features(self.prompts(states))

    def features_together(self, questions: Sequence[Prompts]) -> list[Tensor]:
        """Return the features of several questions in one pass, where their trees have equally many answers.

        Where memory runs out, that is an error.
        """
        parts = [bundle for question in questions for bundle in question.bundles]
        together = len({len(part.asked) for part in parts}) == 1
        found = iter(self.bundle_features(parts) if together else [self.bundle_features([part])[0] for part in parts])
        return [_in_order(question, [next(found) for _ in question.bundles]) for question in questions]

    def fitting_features(self, questions: Sequence[Prompts]) -> list[Tensor]:
        """As of `features_together`; where memory runs out, one question at a time, and half of its backgrounds."""
        if len(questions) > 1:
            try:
                return self.features_together(questions)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                log.warning("last layer: out of memory with %d questions at once; going on with one", len(questions))
        return [self._fitting_features(question) for question in questions]

    def _fitting_features(self, question: Prompts) -> Tensor:
        return _in_order(question, [self._fitting_bundle(bundle) for bundle in question.bundles])

    def _fitting_bundle(self, bundle: Bundle) -> Tensor:
        """As of `bundle_features`; where memory runs out, half of the backgrounds at a time."""
        try:
            return self.bundle_features([bundle])[0]
        except (RuntimeError, MemoryError) as error:
            halve(bundle.n_texts, error, "last layer")
        return torch.cat([self._fitting_bundle(half) for half in bundle.halves()], dim=1)

    def bundle_features(self, parts: Sequence[Bundle]) -> list[Tensor]:
        """Return `(branches, distinct texts, hidden)` of bundles with equally many answers.

        Keys and values of all tokens, each once; the rest of the layer at the answer positions alone.
        """
        if len(parts) > 1 and not asks_by_bundle(self.attention):
            return [self.bundle_features([part])[0] for part in parts]
        with fast_products(self.rows.dtype):
            normed = self._answered(laid_out(parts), len(parts))
        rows = normed.view(len(parts), -1, normed.shape[-1])
        return [row.view(part.n_branches, -1, normed.shape[-1]) for row, part in zip(rows, parts, strict=True)]

    def _answered(self, layout: Layout, n_bundles: int) -> Tensor:
        """Return what the layer and the norm make of all bundles' answer positions, `(bundles x answers, hidden)`."""
        device = layout.asked.device
        positions = layout.positions.to(device)[None]
        cache = self._keys(layout.tokens[None], positions)
        asked, layer, cache.places = layout.asked[None], self.layer, None
        if n_bundles > 1:
            layer, cache.places = asking_by_bundle(self.layer, self.names[1]), layout.places
        out = layer(
            asked,
            attention_mask=self._mask(layout.within(self.window), asked),
            use_cache=True,
            **reading(layer, cache),
            **self._rotated(layer, asked, positions[:, layout.answers.to(device)]),
        )
        normed: Tensor = self.norm((out[0] if isinstance(out, tuple) else out)[0])
        return normed

    def _keys(self, everything: Tensor, positions: Tensor) -> TreeCache:
        """Return the layer's keys and values of tokens `(1, tokens, hidden)`, as they are in a `Bundle`."""
        cache, keys = TreeCache(), keys_alone(self.attention, self.input_norm)
        cache.places = torch.zeros(1, 1, dtype=torch.long)  # what the attention itself would give is not used: one key is enough
        keys.attention(
            hidden_states=keys.trained(everything),
            attention_mask=self._mask(torch.ones(1, positions.shape[1], 1, dtype=torch.bool), everything),
            use_cache=True,
            **reading(self.attention, cache),
            **self._rotated(self.attention, everything, positions),
        )
        return cache

    def _mask(self, allowed: Tensor, like: Tensor) -> Tensor:
        return additive(allowed, like.dtype).to(like.device)

    def _rotated(self, module: nn.Module, states: Tensor, positions: Tensor) -> dict[str, Tensor]:
        """Rotary position embeddings as the arguments that `module` takes them in; none where they are added to the first layer's input.

        Where layers of several kinds have different ones, transformers from 5.0 on has one module for all that is told the kind;
        before, it had two, and its layers took what both gave and chose.
        """
        if self.rotary is None:
            return {}
        kind = {"layer_type": self.layer_type} if "layer_type" in _arguments(self.rotary) else {}
        embeddings = self.rotary(states, positions, **kind)
        return {name: embeddings for name in POSITION_ARGUMENTS if name in _arguments(module)}

    def question_head(self, question_id: str) -> QuestionHead:
        """Return the head of a question the model was aligned with."""
        head = self.questions[question_key(question_id)]
        assert isinstance(head, QuestionHead)
        return head

    def shared_rows(self, tokens: Sequence[int], backbone: Backbone, strength: float) -> Tensor:
        """Return the head row of every token, `(tokens, hidden)`: the base model's times `strength` where none is held."""
        base = weight_of(backbone.head)[list(tokens)].to(self.rows) * strength
        held = [place for place, token in enumerate(tokens) if token in self.position]
        base[held] = self.rows.detach()[[self.position[tokens[place]] for place in held]]
        return base

    def edge_logits(self, features: Tensor, trie: OptionTrie, question_id: str | None = None, rows: Tensor | None = None) -> Tensor:
        """Return the logit of every edge of the trie, `(backgrounds, edges)`, with the question's own head if it has one.

        `rows` `(edges, hidden)` stand for the shared head's where the trie has tokens that it does not hold.
        """
        shared = self.rows[[self.position[token] for token in trie.edges]] if rows is None else rows  # (edges, hidden)
        logits = edge_dot(features, shared, trie.edge_branch)
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        if question_id is not None and question_key(question_id) in self.questions:
            logits = logits + self.question_head(question_id)(features, trie.edge_branch)
        return logits

    def log_shares(self, features: Tensor, trie: OptionTrie, question_id: str | None = None, rows: Tensor | None = None) -> Tensor:
        """Return the log share of every option, `(backgrounds, options)`, from features `(branches, backgrounds, hidden)`."""
        return trie_log_shares(self.edge_logits(features, trie, question_id, rows), trie)


def _in_order(question: Prompts, parts: Sequence[Tensor]) -> Tensor:
    """Join the features of a question's bundles, and give every background its text's."""
    return torch.cat(list(parts), dim=1)[:, question.order]


def _rotary(backbone: Backbone, layer_type: str, place: torch.device) -> Any:
    """Return the rotary position embeddings of layers of this kind; None where the model has others."""
    local = getattr(backbone.body, LOCAL_ROTARY, None) if layer_type == "sliding_attention" else None
    rotary = getattr(backbone.body, ROTARY, None) if local is None else local
    return None if rotary is None else whole_copy(rotary).to(place)


def _arguments(module: nn.Module) -> Collection[str]:
    return inspect.signature(module.forward).parameters.keys()


def question_key(question_id: str) -> str:
    """Return the name under which a question's head is kept: it may hold no dot, and be no attribute of a module ("type")."""
    return "question " + question_id.replace("%", "%25").replace(".", "%2E")


def trie_log_shares(edge_logits: Tensor, trie: OptionTrie) -> Tensor:
    """Log share of each option: the sum of its edges' log-softmax within their branches, `(..., backgrounds, options)`."""
    normalised = branch_log_softmax(edge_logits, trie)
    if len(trie.branches) == 1:
        return normalised
    return torch.stack([normalised[..., list(steps)].sum(-1) for steps in trie.steps], dim=-1)


def branch_log_softmax(edge_logits: Tensor, trie: OptionTrie) -> Tensor:
    """Log softmax of every edge among those of its branch, `(..., backgrounds, edges)`."""
    if len(trie.branches) == 1:
        return edge_logits.log_softmax(-1)
    branch = torch.tensor(trie.edge_branch, device=edge_logits.device)
    normalised = torch.empty_like(edge_logits)
    for index in range(len(trie.branches)):
        inside = (branch == index).nonzero()[:, 0]
        normalised = normalised.index_copy(-1, inside, edge_logits[..., inside].log_softmax(-1))
    return normalised


def edge_dot(features: Tensor, rows: Tensor, edge_branch: Sequence[int]) -> Tensor:
    """Dot product of every edge's row with the features at its branch, `(backgrounds, edges)`."""
    if features.shape[0] == 1:
        return features[0] @ rows.T
    return torch.einsum("ebh,eh->be", features[list(edge_branch)], rows)


def backward(readout: Readout, questions: Sequence[Prompts], loss: Callable[[Sequence[Tensor]], Tensor]) -> float:
    """Add the gradients of a loss of several questions to those of the trained parts, and return the loss.

    Parameters
    ----------
    readout : Readout
    questions : sequence of Prompts
        Of this readout.
    loss : callable
        Of every question's features `(branches, backgrounds, hidden)`.
    """
    features = readout.features_together(questions)
    known = [each.detach().requires_grad_(True) for each in features]
    with one_thread():  # products so small that their last bit depends on the number of threads
        value = loss(known)
        value.backward()
    torch.autograd.backward(features, [_gradient(each) for each in known])
    return value.item()


def backward_in_parts(readout: Readout, question: Prompts, loss: Callable[[Tensor], Tensor], at_once: int) -> float:
    """As of `backward`, for one question, with less memory and in more time.

    A loss compares backgrounds, so it needs the features of all of them. It gets them without a graph; its gradient by the
    features then goes through the last layer for a few backgrounds at a time: the same gradients.

    Parameters
    ----------
    readout : Readout
    question : Prompts
        Of this readout.
    loss : callable
        Of features `(branches, backgrounds, hidden)`.
    at_once : int
        Distinct prompts whose way through the last layer is in memory at once.
    """
    parts = question.in_parts(at_once)
    with torch.no_grad():
        known = torch.cat([readout.bundle_features([part])[0] for part in parts], dim=1)  # (branches, distinct prompts, hidden)
    features = known[:, question.order].requires_grad_(True)
    value = loss(features)
    value.backward()
    _through_the_layer(readout, parts, torch.zeros_like(known).index_add_(1, question.order, _gradient(features)))
    return value.item()


def _gradient(features: Tensor) -> Tensor:
    assert features.grad is not None
    return features.grad


def _through_the_layer(readout: Readout, parts: Sequence[Bundle], gradient: Tensor) -> None:
    start = 0
    for part in parts:
        features = readout.bundle_features([part])[0]
        features.backward(gradient[:, start : start + part.n_texts])
        start += part.n_texts
