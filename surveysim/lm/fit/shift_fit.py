"""How well a model's shifts between backgrounds agree with the pooled ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from surveysim.lm.fit.losses import SMALLEST_VARIANCE
from surveysim.lm.fit.targets import QuestionTargets
from surveysim.tables.cells import Array


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
