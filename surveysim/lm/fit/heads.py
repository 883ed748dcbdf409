"""A question's own head, fitted on fixed features in a fraction of a second: a convex problem in stage 1, a smooth one in stage 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from surveysim.lm.base.pieces import in_pieces
from surveysim.lm.base.tokens import OptionTrie
from surveysim.lm.fit.losses import LOSSES, HeadFit
from surveysim.lm.fit.newton import CURVATURE, SMALLEST_CURVATURE, HeadProblem, by_newton, newton
from surveysim.lm.fit.readout import Readout, edge_dot, trie_log_shares
from surveysim.lm.fit.targets import QuestionTargets, stacked

MOST_UNKNOWNS = 800  # of a question, for Newton's method: its cost grows with their cube
NUMBERS_AT_ONCE = 1 << 18  # second derivatives of all questions that are fitted together: 2 MB
SMALLEST_DIRECTION = 1e-12  # of the largest one's square: what float32 features leave of a direction that is none
STEPS = 200  # L-BFGS iterations, at most; stage 1 takes some 30, stage 2 some 100


def fit_heads(
    readout: Readout, features: Mapping[str, Tensor], tries: Mapping[str, OptionTrie], targets: Mapping[str, QuestionTargets], fit: HeadFit
) -> Iterator[str]:
    """Fit the heads of all questions of `targets` in place, those of one shape together; yield each question's name as it is done.

    By Newton's method where the second derivative of the loss is known and the problem small; else by `fit_head`.
    """

    def fitted(names: list[str]) -> list[str]:
        if by_newton(fit.loss) and _unknowns(features[names[0]], tries[names[0]]) <= MOST_UNKNOWNS:
            _fit_together(readout, {name: features[name] for name in names}, tries, [targets[name] for name in names], fit)
        else:
            for name in names:
                fit_head(readout, features[name], tries[name], targets[name], fit)
        return names

    for names in in_pieces(fitted, _parts(features, tries, targets), device=torch.device("cpu")):
        yield from names


def _parts(features: Mapping[str, Tensor], tries: Mapping[str, OptionTrie], targets: Mapping[str, QuestionTargets]) -> Iterator[list[str]]:
    """Yield the questions that are fitted together: of one shape, with at most `NUMBERS_AT_ONCE` second derivatives."""
    for names in _alike(features, tries, targets):
        at_once = max(1, NUMBERS_AT_ONCE // _unknowns(features[names[0]], tries[names[0]]) ** 2)
        yield from (names[start : start + at_once] for start in range(0, len(names), at_once))


def _unknowns(features: Tensor, trie: OptionTrie) -> int:
    """How many numbers a question's head has, in the span of its features."""
    return len(trie.edges) * (min(features[..., 0].numel(), features.shape[-1]) + 1)


def _alike(features: Mapping[str, Tensor], tries: Mapping[str, OptionTrie], targets: Mapping[str, QuestionTargets]) -> list[list[str]]:
    """Return the questions in groups that one problem can hold."""
    groups: dict[Any, list[str]] = {}
    for name, target in targets.items():
        shape = (tries[name].edge_branch, tries[name].steps, target.ordered, tuple(features[name].shape))
        groups.setdefault(shape, []).append(name)
    return list(groups.values())


def _fit_together(
    readout: Readout, features: Mapping[str, Tensor], tries: Mapping[str, OptionTrie], targets: Sequence[QuestionTargets], fit: HeadFit
) -> None:
    """Fit heads of one shape in place, in the span of their centred features: `directions` numbers a row."""
    heads = [readout.question_head(name) for name in features]
    with torch.no_grad():
        shared = torch.stack([_precise(readout.edge_logits(each, tries[name])) for name, each in features.items()])
        centred = torch.stack([_precise(head.centred(each)) for head, each in zip(heads, features.values(), strict=True)])
    rows, bias = (torch.stack([_precise(getattr(head, part)) for head in heads]) for part in ("rows", "bias"))
    flat = centred.flatten(1, 2)  # (questions, prompts, hidden)
    basis, reduced = _span(flat)
    own = rows @ basis.transpose(1, 2)
    outside = rows - own @ basis
    directions = torch.cat([reduced, torch.ones_like(reduced[..., :1])], -1).view(*centred.shape[:3], -1)
    problem = HeadProblem(shared, directions, stacked(targets).precise(), next(tries[name] for name in features), fit)
    found = newton(problem, torch.cat([own, bias[..., None]], -1))
    with torch.no_grad():
        for head, row, value in zip(heads, outside + found[..., :-1] @ basis, found[..., -1], strict=True):
            head.rows.copy_(row)
            head.bias.copy_(value)


def _span(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis `(questions, directions, hidden)` of the prompts' features, and the features in it."""
    values, vectors = torch.linalg.eigh(flat @ flat.transpose(1, 2))
    most = min(flat.shape[1:])
    values, vectors = values[:, -most:], vectors[..., -most:]
    held = values > SMALLEST_DIRECTION * values[:, -1:]
    root = torch.where(held, values, 1.0).sqrt()
    basis = torch.where(held, 1 / root, 0.0)[..., None] * (vectors.transpose(1, 2) @ flat)
    return basis, vectors * torch.where(held, root, 0.0)[:, None]


def fit_head(readout: Readout, features: Tensor, trie: OptionTrie, targets: QuestionTargets, fit: HeadFit) -> None:
    """Fit a question's rows and bias in place, by L-BFGS, with everything else fixed.

    The rows move in the span of the centred features only (as the penalised optimum does), so the problem has as many
    unknowns a row as there are prompts, however wide the model is. It is solved in float64, each direction scaled by its
    curvature: to the optimum, which other machines and several processes find too, not to where rounding ends the search. A loss of
    shares, as stage 2's, is not convex in the rows: its optimum is the one that stage 1's rows lead to.
    """
    head = readout.question_head(targets.question_id)
    own_rows = head.rows.detach().clone()
    centred = head.centred(features).flatten(0, 1)
    basis = torch.linalg.svd(centred, full_matrices=False).Vh  # (prompts, hidden)
    outside = own_rows - own_rows @ basis.T @ basis
    with torch.no_grad():
        head.rows.copy_(outside)
        fixed = _precise(readout.edge_logits(features, trie, targets.question_id) - head.bias)
    reduced = _precise(centred @ basis.T).view(*features.shape[:2], -1)  # (branches, backgrounds, prompts)
    exact = targets.precise()
    scale = (CURVATURE * reduced.flatten(0, 1).pow(2).mean(0) + fit.penalty / exact.n_eff.sum()).clamp_min(SMALLEST_CURVATURE).sqrt()
    scaled = (_precise(own_rows @ basis.T) * scale).requires_grad_(True)
    bias = _precise(head.bias).clone().requires_grad_(True)

    def loss() -> Tensor:
        logits = fixed + edge_dot(reduced, scaled / scale, trie.edge_branch) + bias
        return fit.loss_of(trie_log_shares(logits, trie), scaled / scale, exact)

    _minimise(loss, [scaled, bias])
    with torch.no_grad():
        head.rows.copy_(outside + (scaled / scale).to(basis) @ basis)
        head.bias.copy_(bias)


def _precise(values: Tensor) -> Tensor:
    return values.detach().cpu().double()


def _minimise(loss: Callable[[], Tensor], unknowns: list[Tensor]) -> None:
    optimiser = torch.optim.LBFGS(
        unknowns, max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe", tolerance_change=1e-12, tolerance_grad=1e-9
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def fit_prior_strength(
    readout: Readout, features: Mapping[str, Tensor], tokenised: Mapping[str, Any], targets: Mapping[str, QuestionTargets]
) -> float:
    """Scale the shared head rows by the one factor (>= 0) that brings the base model's own shifts closest to the sample, in place.

    The levels are left free: a bias an edge is fitted beside the factor. A small model whose answers say nothing about
    backgrounds gets a factor near 0, and so starts from no shift in place of a wrong one.
    """
    tries = {name: tokenised[name].trie for name in targets}
    with torch.no_grad():
        plain = {name: _precise(readout.edge_logits(features[name], tries[name])) for name in targets}
    groups = _alike(features, tries, targets)
    exact = [stacked([targets[name] for name in names]).precise() for names in groups]
    logits = [torch.stack([plain[name] for name in names]) for names in groups]  # (questions, backgrounds, edges) each
    shifts = [each - each.mean(1, keepdim=True) for each in logits]
    factor = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    biases = [torch.zeros_like(each[:, :1]).requires_grad_(True) for each in logits]
    total = sum(float(target.n_eff.sum()) for target in exact)

    def loss() -> Tensor:
        value = torch.zeros((), dtype=torch.float64)
        for names, target, shift, bias in zip(groups, exact, shifts, biases, strict=True):
            log_shares = trie_log_shares(factor * shift + bias, tries[names[0]])
            value = value + (LOSSES["option_kl"](log_shares, target) * target.n_eff.sum(-1)).sum() / total
        return value

    _minimise(loss, [factor, *biases])
    strength = max(float(factor.detach()), 0.0)
    with torch.no_grad():
        readout.rows.mul_(strength)
    return strength
