"""`StageConfig`: one stage of an alignment, and `DSA`, the two stages that are the default."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from surveysim.baselines.methods import BASELINES
from surveysim.errors import TrainingError, nearest
from surveysim.lm.fit.losses import LOSSES, HeadFit

KERNEL = "kernel"


@dataclass(frozen=True)
class StageConfig:
    """One stage of an alignment.

    Attributes
    ----------
    loss : str
        A name of `LOSSES`.
    level_weight : float
        Weight of the divergence of the population's answer from the pooled sample's, which a shift loss leaves open.
    head_penalty : float
        Inverse prior variance of a question's rows on scaled features; shrinks its shifts towards the shared head's.
    epochs : int
        Passes over the questions that train the last layer, the norm and the heads together; 0: the questions' heads alone.
    learning_rate : float
        Adam's first step for the last layer, the norm and the shared head rows; it falls to 0 along a cosine.
    questions_per_step : int
        Questions whose gradients are averaged before a step.
    pooling : str
        Who pools the shifts over all respondents: ``"kernel"``, multilevel regression with the language model's own geometry of
        backgrounds, or a name of `BASELINES`.

    Raises
    ------
    TrainingError
        If a name is unknown, or a number is out of range.

    References
    ----------
    Huang, Li, Shao (2026), arXiv:2510.21977.

    Examples
    --------
    >>> import surveysim as ss
    >>> stage = ss.StageConfig("pooled_shift", level_weight=1.0, epochs=0, pooling="mrp")
    >>> stage.loss, stage.epochs
    ('pooled_shift', 0)
    """

    loss: str
    level_weight: float = 0.0
    head_penalty: float = 0.5
    epochs: int = 2
    learning_rate: float = 5e-6
    questions_per_step: int = 8
    pooling: str = "kernel"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise TrainingError(f"stage: loss {self.loss!r} is unknown; {nearest(self.loss, LOSSES)}")
        if self.pooling not in (KERNEL, *BASELINES):
            raise TrainingError(f"stage: pooling {self.pooling!r} is unknown; {nearest(self.pooling, [KERNEL, *BASELINES])}")
        for name in ("epochs", "questions_per_step"):
            if not isinstance(getattr(self, name), Integral):
                raise TrainingError(f"stage: {name} must be a whole number; got {getattr(self, name)!r}")
        for name in ("level_weight", "head_penalty", "learning_rate"):
            if not isinstance(getattr(self, name), Real) or not getattr(self, name) >= 0:
                raise TrainingError(f"stage: {name} must be a number >= 0; got {getattr(self, name)!r}")
        if self.epochs < 0 or self.questions_per_step < 1:
            raise TrainingError("stage: epochs must be >= 0 and questions_per_step >= 1")

    @property
    def head_fit(self) -> HeadFit:
        """What the questions' heads are fitted to."""
        return HeadFit(self.loss, self.level_weight, self.head_penalty)


STAGE_1 = StageConfig("option_kl")
STAGE_2 = StageConfig("pooled_shift", level_weight=1.0, head_penalty=0.001)
DSA = (STAGE_1, STAGE_2)
"""The stages of Distribution Shift Alignment, in order: the default of `align`.

References
----------
Huang, Li, Shao (2026), arXiv:2510.21977.

Examples
--------
>>> import surveysim as ss
>>> [stage.loss for stage in ss.DSA]
['option_kl', 'pooled_shift']
>>> conventional_fine_tuning = ss.DSA[:1]
"""
