"""The convex part of an alignment: a question's own head, fitted on fixed features in a fraction of a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from surveysim.lm.backbone import OptionTrie
from surveysim.lm.losses import LOSSES
from surveysim.lm.readout import Readout, edge_dot, trie_log_shares
from surveysim.lm.targets import QuestionTargets

STEPS = 50  # L-BFGS iterations; the losses are flat well before


@dataclass(frozen=True)
class HeadFit:
    """What a head is fitted to: a loss, the weight of the level, and the penalty on the rows."""

    loss: str
    level_weight: float
    penalty: float

    def loss_of(self, log_shares: Tensor, rows: Tensor, targets: QuestionTargets) -> Tensor:
        """Return the loss, the level's divergence and the penalty, summed."""
        loss = LOSSES[self.loss](log_shares, targets) + 0.5 * self.penalty * rows.pow(2).sum() / targets.n_eff.sum()
        return loss + self.level_weight * LOSSES["level_kl"](log_shares, targets) if self.level_weight else loss


def fit_head(readout: Readout, features: Tensor, trie: OptionTrie, targets: QuestionTargets, fit: HeadFit) -> None:
    """Fit a question's rows and bias in place, by L-BFGS, with everything else fixed.

    The rows move in the span of the centred features only (as the penalised optimum does), so the problem has as many
    unknowns a row as there are prompts, however wide the model is.
    """
    head = readout.question_head(targets.question_id)
    own_rows = head.rows.detach().clone()
    centred = ((features - head.center[:, None]) / head.scale).flatten(0, 1)
    basis = torch.linalg.svd(centred, full_matrices=False).Vh  # (prompts, hidden)
    outside = own_rows - own_rows @ basis.T @ basis
    reduced = (centred @ basis.T).view(*features.shape[:2], -1)  # (branches, backgrounds, prompts)
    with torch.no_grad():
        head.rows.copy_(outside)
        fixed = readout.edge_logits(features, trie, targets.question_id) - head.bias
    inside = (own_rows @ basis.T).requires_grad_(True)
    bias = head.bias.detach().clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([inside, bias], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = fixed + edge_dot(reduced, inside, trie.edge_branch) + bias
        loss = fit.loss_of(trie_log_shares(logits, trie), inside, targets)
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        head.rows.copy_(outside + inside @ basis)
        head.bias.copy_(bias)


def fit_prior_strength(
    readout: Readout, features: Mapping[str, Tensor], tokenised: Mapping[str, Any], targets: Mapping[str, QuestionTargets]
) -> float:
    """Scale the shared head rows by the one factor (>= 0) that brings the base model's own shifts closest to the sample, in place.

    The levels are left free: a bias an edge is fitted beside the factor. A small model whose answers say nothing about
    backgrounds gets a factor near 0, and so starts from no shift in place of a wrong one.
    """
    with torch.no_grad():
        plain = {name: readout.edge_logits(features[name], tokenised[name].trie) for name in targets}
        plain = {name: logits - logits.mean(0) for name, logits in plain.items()}
    place = readout.rows.device
    factor = torch.tensor(1.0, requires_grad=True, device=place)
    biases = {name: torch.zeros(len(tokenised[name].trie.edges), requires_grad=True, device=place) for name in targets}
    optimiser = torch.optim.LBFGS([factor, *biases.values()], max_iter=STEPS, line_search_fn="strong_wolfe")
    total = sum(float(target.n_eff.sum()) for target in targets.values())

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = torch.zeros((), device=place)
        for name, target in targets.items():
            log_shares = trie_log_shares(factor * plain[name] + biases[name], tokenised[name].trie)
            loss = loss + LOSSES["option_kl"](log_shares, target) * target.n_eff.sum() / total
        loss.backward()
        return loss

    optimiser.step(closure)
    strength = max(float(factor.detach()), 0.0)
    with torch.no_grad():
        readout.rows.mul_(strength)
    return strength
