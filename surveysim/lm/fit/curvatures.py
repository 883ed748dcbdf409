"""Second derivatives of the losses by log shares, which Newton's method needs; one function a loss, as in `losses`.

A loss without one is fitted by L-BFGS, a question at a time. A function takes log shares `(..., backgrounds, options)` and the
questions' targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from surveysim.lm.fit.losses import SMALLEST_SHARE, SMALLEST_VARIANCE, SMALLEST_WEIGHT, pair_weights
from surveysim.lm.fit.targets import QuestionTargets


@dataclass(frozen=True, eq=False)
class Curvature:
    """How a loss's slope by one log share changes with another.

    The second derivative by the log shares of option k of background b and option l of background c is
    ``scale[b, k] * between[b, c] * among[k, l] * scale[c, l]``, and `diagonal[b, k]` more where both are the same.

    Attributes
    ----------
    diagonal, scale : Tensor
        `(..., backgrounds, options)`.
    between : Tensor
        `(..., backgrounds, backgrounds)`.
    among : Tensor
        `(..., options, options)`.
    """

    diagonal: Tensor
    scale: Tensor
    between: Tensor
    among: Tensor

    def along(self, changes: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Return the second derivative by numbers on which each background's log shares depend by itself.

        Parameters
        ----------
        changes : Tensor
            `(..., backgrounds, options, numbers)` of log shares by numbers.
        weight : float
            What the loss is multiplied by.

        Returns
        -------
        tuple of Tensor
            `(..., backgrounds, numbers, backgrounds, numbers)`, and `(..., backgrounds, numbers, numbers)` more within a background.
        """
        within = changes.transpose(-1, -2) @ (weight * self.diagonal[..., None] * changes)
        scaled = (self.scale[..., None] * changes).transpose(-3, -2).flatten(-2)  # (..., options, backgrounds x numbers)
        product = scaled.transpose(-1, -2) @ (weight * self.among @ scaled)
        shape = changes.shape[-3], changes.shape[-1]
        return product.unflatten(-1, shape).unflatten(-3, shape) * self.between[..., :, None, :, None], within


def _of_level(log_shares: Tensor, targets: QuestionTargets) -> Curvature:
    part = targets.population[..., None] * log_shares.exp()  # (..., backgrounds, options)
    whole = part.sum(-2)
    ratio = torch.where(whole > SMALLEST_SHARE, targets.level / whole.clamp_min(SMALLEST_SHARE), 0.0)
    everywhere = part.new_ones(()).expand(*part.shape[:-1], part.shape[-2])
    return Curvature(-ratio[..., None, :] * part, part, everywhere, torch.diag_embed(ratio / whole.clamp_min(SMALLEST_SHARE)))


def _of_shifts(name: str) -> Callable[[Tensor, QuestionTargets], Curvature]:
    def curvature(log_shares: Tensor, targets: QuestionTargets) -> Curvature:
        shares = log_shares.exp()
        between, among = _pairs_graph(pair_weights(name, targets), targets), _options_metric(targets)
        slope = between @ (shares - _goal(name, targets)) @ among
        return Curvature(shares * slope, shares, between, among)

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


CURVATURES: dict[str, Callable[[Tensor, QuestionTargets], Curvature] | None] = {
    "option_kl": None,
    "level_kl": _of_level,
    "pooled_shift": _of_shifts("pooled_shift"),
    "pairwise_shift": _of_shifts("pairwise_shift"),
    "precision_shift": _of_shifts("precision_shift"),
    "transport": None,
    "tilted_transport": None,
}
"""By the names of `LOSSES`; None: the loss is linear in log shares, as a divergence from fixed shares is."""
