"""Second derivatives of the losses by log shares, which Newton's method needs; one function a loss, as in `losses`.

A loss without one is fitted by L-BFGS, a question at a time. A function takes changes of log shares
`(..., backgrounds, options, directions)`, log shares `(..., backgrounds, options)` and the questions' targets, and returns how
the slope of the loss by log shares changes along them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from surveysim.lm.fit.losses import SMALLEST_SHARE, SMALLEST_VARIANCE, SMALLEST_WEIGHT, pair_weights
from surveysim.lm.fit.targets import QuestionTargets

Curvature = Callable[[Tensor, Tensor, QuestionTargets], Tensor]


def _of_level(changes: Tensor, log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    part = targets.population[..., None] * log_shares.exp()  # (..., backgrounds, options)
    whole = part.sum(-2)
    ratio = torch.where(whole > SMALLEST_SHARE, targets.level / whole.clamp_min(SMALLEST_SHARE), 0.0)
    moved = torch.einsum("...bk,...bku->...ku", part, changes)
    along = (ratio / whole.clamp_min(SMALLEST_SHARE))[..., None] * moved
    return part[..., None] * (along[..., None, :, :] - ratio[..., None, :, None] * changes)


def _of_shifts(name: str) -> Curvature:
    def curvature(changes: Tensor, log_shares: Tensor, targets: QuestionTargets) -> Tensor:
        shares = log_shares.exp()
        between, among = _pairs_graph(pair_weights(name, targets), targets), _options_metric(targets)
        slope = between @ (shares - _goal(name, targets)) @ among
        moved = shares[..., None] * changes
        bent = torch.einsum("...kl,...blu->...bku", among, torch.einsum("...bc,...cku->...bku", between, moved))
        return shares[..., None] * (bent + slope[..., None] * changes)

    return curvature


def _goal(name: str, targets: QuestionTargets) -> Tensor:
    return targets.share if name == "pairwise_shift" else targets.smooth


def _pairs_graph(weight: Tensor, targets: QuestionTargets) -> Tensor:
    """Laplacian of the graph of pairs, `(..., backgrounds, backgrounds)`, weights summing to 1 (all 0 where no pair counts)."""
    weight = weight.to(targets.share) / weight.sum(-1, keepdim=True).clamp_min(SMALLEST_WEIGHT)
    backgrounds = targets.share.shape[-2]
    first, second = targets.pairs.unbind(-1)
    flat = weight.new_zeros(*weight.shape[:-1], backgrounds * backgrounds)
    edges = flat.index_add(-1, first * backgrounds + second, weight).unflatten(-1, (backgrounds, backgrounds))
    edges = edges + edges.transpose(-1, -2)
    return torch.diag_embed(edges.sum(-1)) - edges


def _options_metric(targets: QuestionTargets) -> Tensor:
    """How differences of shares count, `(..., options, options)`: as cumulative shares where options are ordered."""
    level = targets.level
    options = level.shape[-1]
    taken = torch.eye(options, dtype=level.dtype, device=level.device)
    if targets.ordered:
        taken = taken.cumsum(-1)[:, :-1]  # (options, thresholds): in which cumulative shares an option is
    level = level @ taken
    precision = 2 / (level * (1 - level)).clamp_min(SMALLEST_VARIANCE) / taken.shape[-1]
    return (taken * precision[..., None, :]) @ taken.T


CURVATURES: dict[str, Curvature | None] = {
    "option_kl": None,
    "level_kl": _of_level,
    "pooled_shift": _of_shifts("pooled_shift"),
    "pairwise_shift": _of_shifts("pairwise_shift"),
    "precision_shift": _of_shifts("precision_shift"),
    "transport": None,
    "tilted_transport": None,
}
"""By the names of `LOSSES`; None: the loss is linear in log shares, as a divergence from fixed shares is."""
