"""Losses of the two stages, one function each: log shares `(backgrounds, options)` and a question's targets in, a scalar out.

Log shares and targets of several questions may stand one after the other in a first dimension; there is then a loss a question.
To add one: write a function of the same form and enter it in `LOSSES`; the tests check its gradient, that it is zero at its
target, and that backgrounds of weight zero change nothing. With its second derivative in `CURVATURES` heads are fitted to it faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surveysim.lm.fit.targets import QuestionTargets
from surveysim.tables.cells import Array

Loss = Callable[[Tensor, QuestionTargets], Tensor]
SMALLEST_SHARE = 1e-4  # floor inside logarithms and variances, so that empty options stay finite
SMALLEST_VARIANCE = 0.02  # floor of the binomial variance that scales a shift
SMALLEST_WEIGHT = 1e-30  # floor of what all pairs count together: where none counts, there is no loss


def option_kl(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    r"""Kullback-Leibler divergence of the model from the sample's shares, cells weighted by effective respondents.

    .. math:: \sum_b n_b \, KL(\hat p_b \,\|\, \pi_b) \,/\, \sum_b n_b

    The loss of stage 1: alignment with the training distributions.
    """
    divergence = _kl(targets.share, log_shares)
    return (targets.n_eff * divergence).sum(-1) / targets.n_eff.sum(-1)


def level_kl(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    """Kullback-Leibler divergence of the model's answer over the whole population from the pooled sample's: the level, no shift."""
    whole = (targets.population[..., None] * log_shares.exp()).sum(-2)
    return _kl(targets.level, whole.clamp_min(SMALLEST_SHARE).log())


def pooled_shift(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    r"""Squared difference between the model's shifts and the shifts pooled over all respondents (loss B).

    For two backgrounds that differ in one trait, the target is the shift that a model of all respondents with either level
    shows, whether or not the two backgrounds themselves were sampled. Ordered options: differences of the cumulative
    distribution F, each scaled by its binomial variance at the pooled answer; nominal ones: differences of the shares, so scaled.

    .. math:: mean_{(a,b)} \, mean_k \, [(F_{bk} - F_{ak}) - (S_{bk} - S_{ak})]^2 / F_k (1 - F_k)
    """
    return _shift_error(log_shares.exp(), targets.smooth, targets, pair_weights("pooled_shift", targets))


def pairwise_shift(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    """Squared difference between the model's shifts and those of the sample's own cells, as noisy as the cells (loss C).

    A pair counts by the harmonic mean of its cells' effective respondents. Kept as the ablation of `pooled_shift`.
    """
    return _shift_error(log_shares.exp(), targets.share, targets, pair_weights("pairwise_shift", targets))


def precision_shift(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    """As `pooled_shift`, every pair counted by the precision of its pooled shift (loss E).

    A pair counts by the harmonic mean of the respondents that the two pooled estimates are worth, so that a shift which nobody
    knows is not fitted.
    """
    return _shift_error(log_shares.exp(), targets.smooth, targets, pair_weights("precision_shift", targets))


def transport(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    r"""Divergence from what all backgrounds' answers become when the stage-1 model's own shifts carry them here (loss A).

    Ordered options are carried by quantile mapping, nominal ones by ratios; see `surveysim.lm.fit.transport`.

    .. math:: \sum_b w_b \, KL(t_b \,\|\, \pi_b)
    """
    return (targets.population * _kl(targets.carried, log_shares)).sum(-1)


def tilted_transport(log_shares: Tensor, targets: QuestionTargets) -> Tensor:
    """As `transport`, with ratios of shares for ordered options too (loss D)."""
    return (targets.population * _kl(targets.tilted, log_shares)).sum(-1)


LOSSES: dict[str, Loss] = {
    "option_kl": option_kl,
    "level_kl": level_kl,
    "pooled_shift": pooled_shift,
    "pairwise_shift": pairwise_shift,
    "precision_shift": precision_shift,
    "transport": transport,
    "tilted_transport": tilted_transport,
}
"""Losses by name: `StageConfig` takes the names. Each takes log shares ``(backgrounds, options)`` and a question's targets.

Examples
--------
>>> import surveysim as ss
>>> heads_alone = ss.StageConfig("precision_shift", level_weight=1.0, epochs=0)
>>> heads_alone.loss in ss.LOSSES
True
"""
NEEDS_POOLED = ("pooled_shift", "precision_shift")  # shares pooled over all respondents
NEEDS_MODEL = ("transport", "tilted_transport")  # the shares of the model as it is before the stage


@dataclass(frozen=True)
class HeadFit:
    """What a head is fitted to: a loss, the weight of the level, and the penalty on the rows."""

    loss: str
    level_weight: float
    penalty: float

    def divergence(self, log_shares: Tensor, targets: QuestionTargets) -> Tensor:
        """Return the loss and the level's divergence, summed."""
        loss = LOSSES[self.loss](log_shares, targets)
        return loss + self.level_weight * LOSSES["level_kl"](log_shares, targets) if self.level_weight else loss

    def loss_of(self, log_shares: Tensor, rows: Tensor, targets: QuestionTargets) -> Tensor:
        """Return the divergence and the penalty, summed."""
        return self.divergence(log_shares, targets) + 0.5 * self.penalty * rows.pow(2).sum((-1, -2)) / targets.n_eff.sum(-1)


def pair_weights(loss: str, targets: QuestionTargets) -> Tensor:
    """Return how much each pair of backgrounds counts in a loss of shifts, `(pairs,)` or `(questions, pairs)`."""
    if loss == "pooled_shift":
        return torch.ones_like(targets.n_eff[..., :1]).expand(*targets.n_eff.shape[:-1], len(targets.pairs))
    sizes = targets.n_eff if loss == "pairwise_shift" else targets.smooth_n_eff
    return _pair_precision(sizes[..., targets.pairs])


def _pair_precision(sizes: Tensor) -> Tensor:
    """Harmonic mean of two effective sizes, `(..., pairs)` from `(..., pairs, 2)`; 0 where one is 0."""
    return torch.where((sizes > 0).all(-1), 2 / (1 / sizes.clamp_min(1e-12)).sum(-1), torch.zeros((), dtype=sizes.dtype))


def _shift_error(shares: Tensor, target: Tensor, targets: QuestionTargets, weight: Tensor) -> Tensor:
    if not len(targets.pairs):
        return shares.sum((-1, -2)) * 0.0
    difference = shares - target
    level = targets.level
    if targets.ordered:
        difference, level = difference.cumsum(-1)[..., :-1], level.cumsum(-1)[..., :-1]
    first, second = targets.pairs.unbind(-1)
    shift = difference[..., second, :] - difference[..., first, :]  # (..., pairs, thresholds)
    variance = (level * (1 - level)).clamp_min(SMALLEST_VARIANCE)[..., None, :]
    return (weight * (shift**2 / variance).mean(-1)).sum(-1) / weight.sum(-1).clamp_min(SMALLEST_WEIGHT)


def _kl(target: Tensor, log_shares: Tensor) -> Tensor:
    return (torch.special.xlogy(target, target) - target * log_shares).sum(-1)


def shift_fit(shares: Mapping[str, Array], targets: Mapping[str, QuestionTargets]) -> dict[str, float | None]:
    """Compare the model's shifts with the pooled shifts, over all pairs of backgrounds that differ in one trait.

    Shifts are scaled as in `surveysim.lm.fit.losses.pooled_shift`: differences of cumulative shares (ordered) or shares (nominal) over
    the root of their binomial variance.

    Parameters
    ----------
    shares : mapping of question_id to array, shape (backgrounds, options)
    targets : mapping of question_id to QuestionTargets

    Returns
    -------
    dict
        `correlation` of the two, and `r2`: the part of the pooled shifts' sum of squares that the model's leave no difference
        in, 1 at the target, 0 for a model without shifts, negative for one whose shifts mislead. None where nothing shifts.
    """
    pairs = [_shifts(shares[name], target) for name, target in targets.items()]
    ours, theirs = np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])
    size = float((theirs**2).sum())
    r2 = 1 - float(((ours - theirs) ** 2).sum()) / size if size > 0 else None
    varied = size > 0 and len(ours) > 1 and ours.std() > 0 and theirs.std() > 0
    return {"correlation": float(np.corrcoef(ours, theirs)[0, 1]) if varied else None, "r2": r2}


def _shifts(shares: Array, target: QuestionTargets) -> tuple[Array, Array]:
    level, smooth = target.level.cpu().double().numpy(), target.smooth.cpu().double().numpy()
    if target.ordered:
        level, shares, smooth = level.cumsum(-1)[:-1], shares.cumsum(-1)[:, :-1], smooth.cumsum(-1)[:, :-1]
    first, second = target.pairs.cpu().numpy().T
    scale = np.sqrt(np.maximum(level * (1 - level), SMALLEST_VARIANCE))
    return ((shares[second] - shares[first]) / scale).ravel(), ((smooth[second] - smooth[first]) / scale).ravel()
