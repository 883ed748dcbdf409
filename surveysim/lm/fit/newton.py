"""Newton's method for the heads of several questions at once, each to its own optimum: a few steps in place of hundreds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from surveysim.lm.base.tokens import OptionTrie
from surveysim.lm.fit.curvatures import CURVATURES, Curvature
from surveysim.lm.fit.losses import LOSSES, HeadFit
from surveysim.lm.fit.readout import branch_log_softmax, trie_log_shares
from surveysim.lm.fit.targets import QuestionTargets

STEPS = 200  # at most; stage 1 takes some 5, stage 2 some 15
ENOUGH = 1e-15  # decrease of the loss that a further step may promise where the fit ends
ROUNDING = 1e-14  # of the loss: below it two values are alike
RIDGE = 1e-10  # of a curvature, so that directions without any (the same added to all edges) stay where they are
SMALLEST_RIDGE = 1e-30
CURVATURE = 0.2  # of the divergence by a logit, about: share * (1 - share) of a middling share
SMALLEST_CURVATURE = 1e-6
FIRST_DAMPING, SMALLEST_DAMPING, DAMPING_STEP = 1e-3, 1e-6, 8.0  # of the curvature: Levenberg and Marquardt


@dataclass(frozen=True, eq=False)
class HeadProblem:
    """Heads to fit, of questions with tries and backgrounds of one shape, in float64.

    Attributes
    ----------
    fixed : Tensor
        `(questions, backgrounds, edges)` what stands in the logits whatever the heads are.
    features : Tensor
        `(questions, branches, backgrounds, directions)`; the last direction is 1 everywhere, for the bias.
    targets : QuestionTargets
        Stacked.
    trie : OptionTrie
    fit : HeadFit
    """

    fixed: Tensor
    features: Tensor
    targets: QuestionTargets
    trie: OptionTrie
    fit: HeadFit

    def of(self, rows: Tensor) -> HeadProblem:
        """Return the problem of some of the questions."""
        taken: dict[str, Any] = {
            name: value[rows] for name, value in vars(self.targets).items() if isinstance(value, Tensor) and name != "pairs"
        }
        return replace(self, fixed=self.fixed[rows], features=self.features[rows], targets=replace(self.targets, **taken))

    def logits(self, unknowns: Tensor) -> Tensor:
        """Return the logit of every edge, `(questions, backgrounds, edges)`, at `unknowns` `(questions, edges, directions)`."""
        if self.features.shape[1] == 1:
            return self.fixed + self.features[:, 0] @ unknowns.transpose(1, 2)
        return self.fixed + torch.einsum("qebr,qer->qbe", self.features[:, list(self.trie.edge_branch)], unknowns)

    def losses(self, unknowns: Tensor) -> Tensor:
        """Return each question's loss, `(questions,)`."""
        log_shares = trie_log_shares(self.logits(unknowns), self.trie)
        return self.fit.loss_of(log_shares, unknowns[..., :-1], self.targets)

    def derivatives(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """Return slopes `(questions, n)` and second derivatives `(questions, n, n)` by the n unknowns."""
        logits = self.logits(unknowns)
        log_shares = trie_log_shares(logits, self.trie)
        softmax = branch_log_softmax(logits, self.trie).exp()
        on_way, passes, same = self._paths()
        by_logit = on_way - passes * softmax[:, :, None]  # (questions, backgrounds, options, edges): of log shares
        slope = self._slope(log_shares)
        mass = (slope @ passes) * softmax  # (questions, backgrounds, edges)
        within = torch.diag_embed(-mass) + mass[..., None] * softmax[..., None, :] * same
        first = (slope[..., None, :] @ by_logit)[..., 0, :]  # (questions, backgrounds, edges)
        second = self._by_unknowns(self._by_logits(by_logit, log_shares, within))
        penalty = self.fit.penalty / self.targets.n_eff.sum(-1)[:, None]
        weight = torch.ones_like(unknowns[0])
        weight[:, -1] = 0.0  # the bias is free
        second.diagonal(dim1=-2, dim2=-1).add_(penalty * weight.flatten())
        gradient = (self._edge_features().transpose(-1, -2) @ first.transpose(1, 2)[..., None]).flatten(1)
        return gradient + penalty * (weight * unknowns).flatten(1), second

    def _edge_features(self) -> Tensor:
        """Features at every edge's branch, `(questions, edges, backgrounds, directions)`."""
        if self.features.shape[1] == 1:
            return self.features.expand(-1, self.fixed.shape[-1], -1, -1)
        return self.features[:, list(self.trie.edge_branch)]

    def _by_logits(self, by_logit: Tensor, log_shares: Tensor, within: Tensor) -> Tensor:
        """Return second derivatives by the logits, `(questions, backgrounds, edges, backgrounds, edges)`; `within` are every loss's."""
        backgrounds, edges = within.shape[1:3]
        second = within.new_zeros(len(within), backgrounds, edges, backgrounds, edges)
        for curvature, weight in self._curvatures():
            across, more = curvature(log_shares, self.targets).along(by_logit, weight)
            second, within = second + across, within + more
        second.diagonal(dim1=1, dim2=3).add_(within.permute(0, 2, 3, 1))
        return second

    def _by_unknowns(self, second: Tensor) -> Tensor:
        """Return second derivatives `(questions, n, n)` by the unknowns from those by the logits."""
        features = self._edge_features()
        left = features.transpose(-1, -2) @ second.transpose(1, 2).flatten(3)  # (questions, edges, directions, backgrounds x edges)
        left = left.unflatten(-1, second.shape[-2:]).permute(0, 4, 1, 2, 3).flatten(2, 3)
        return (left @ features).transpose(1, 2).flatten(2)

    def scale(self) -> Tensor:
        """Return the curvature that a divergence has at middling shares, `(questions, n)`: what a step is damped by where it has none."""
        size = CURVATURE * self.features.pow(2).mean((1, 2))  # (questions, directions)
        return size.clamp_min(SMALLEST_CURVATURE).repeat(1, self.fixed.shape[-1])

    def _slope(self, log_shares: Tensor) -> Tensor:
        """Slope of the losses, without the penalty, by log shares."""
        with torch.enable_grad():
            given = log_shares.detach().requires_grad_(True)
            value = self.fit.divergence(given, self.targets).sum()
            return torch.autograd.grad(value, given)[0]

    def _curvatures(self) -> list[tuple[Callable[[Tensor, QuestionTargets], Curvature], float]]:
        """Return the second derivatives by log shares that the loss is made of, with their weights."""
        known = ((CURVATURES[self.fit.loss], 1.0), (CURVATURES["level_kl"], self.fit.level_weight))
        return [(curvature, weight) for curvature, weight in known if curvature is not None and weight]

    def _paths(self) -> tuple[Tensor, Tensor, Tensor]:
        """Which edges lie on an option's way, those of which branches it passes, and which edges share a branch."""
        branch = torch.tensor(self.trie.edge_branch)
        same = (branch[:, None] == branch).double()
        on_way = torch.zeros(len(self.trie.steps) or len(branch), len(branch), dtype=torch.float64)
        for option, steps in enumerate(self.trie.steps):
            on_way[option, list(steps)] = 1.0
        return on_way, on_way @ same, same


def by_newton(loss: str) -> bool:
    """Say whether the second derivative of a loss is known."""
    return loss in CURVATURES and loss in LOSSES


@torch.no_grad()
def newton(problem: HeadProblem, start: Tensor) -> Tensor:
    """Return the unknowns `(questions, edges, directions)` at the optimum that `start` leads to.

    Each question goes its own way, whatever others are fitted beside it: a step that does not lower its loss is taken back and
    damped, and it stops where a further step promises nothing.
    """
    unknowns, values = start.clone(), problem.losses(start)
    damping = torch.zeros(len(start), dtype=start.dtype)
    active = torch.arange(len(start))
    for _ in range(STEPS):
        part = problem.of(active)
        slope, bend = part.derivatives(unknowns[active])
        step, solved = _steps(slope, bend, damping[active][:, None] * (bend.diagonal(dim1=-2, dim2=-1).abs() + part.scale()))
        tried = unknowns[active] + step.view_as(unknowns[active])
        found = part.losses(tried)
        lower = solved & (found <= values[active] + ROUNDING * values[active].abs())
        promised = -(slope * step).sum(-1) / 2
        unknowns[active[lower]], values[active[lower]] = tried[lower], found[lower]
        damping[active] = _damped(damping[active], lower)
        active = active[~(solved & (promised < ENOUGH))]
        if not len(active):
            break
    return unknowns


def _steps(slope: Tensor, bend: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for the damped steps; False where the damped second derivative is not positive definite."""
    floor = RIDGE * bend.diagonal(dim1=-2, dim2=-1).abs().mean(-1, keepdim=True)
    factor, failed = torch.linalg.cholesky_ex(bend + torch.diag_embed(damping + floor.clamp_min(SMALLEST_RIDGE)))
    solved = failed == 0
    factor = torch.where(solved[:, None, None], factor, torch.eye(bend.shape[-1], dtype=bend.dtype))
    return -torch.cholesky_solve(slope[..., None], factor)[..., 0], solved


def _damped(damping: Tensor, lower: Tensor) -> Tensor:
    relaxed = torch.where(damping > SMALLEST_DAMPING, damping / DAMPING_STEP, 0.0)
    return torch.where(lower, relaxed, (damping * DAMPING_STEP).clamp_min(FIRST_DAMPING))
