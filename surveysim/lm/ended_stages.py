"""What the first stage of an alignment ended with, kept while methods are compared: the same stage again is taken from there.

Stage 1 alone and both stages begin alike. What a first stage ends with depends on nothing but its prompts, its targets, its settings
and the seed, so it is kept under a hash of these, the last one of each model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.fit.losses import LOSSES
from surveysim.lm.fit.stages import StageConfig
from surveysim.lm.fit.targets import Targets

LARGEST = 1 << 28  # bytes that are kept of a model; where a first stage ends with more, it is run again


@dataclass(frozen=True, eq=False)
class EndedStage:
    """The end of a stage.

    Attributes
    ----------
    key : str
        As of `stage_key`.
    loss : callable
        Which was minimised: a loss of one's own can be another function under the same name.
    trained, features : mapping of str to Tensor
        Of the readout, and of every question.
    rest : mapping
        Plain values.
    """

    key: str
    loss: Callable[..., Tensor]
    trained: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    rest: Mapping[str, Any]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(tensor.nbytes for tensors in (self.trained, self.features) for tensor in tensors.values())


_KEPT: ContextVar[dict[Backbone, EndedStage] | None] = ContextVar("kept", default=None)  # None: nothing is


@contextmanager
def first_stages_kept() -> Iterator[None]:
    """Keep what first stages end with until the end of the block, in this thread."""
    before = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(before)


def stage_key(
    tokenised: Mapping[str, TokenisedQuestion], stage: StageConfig, targets: Targets, validation: Targets | None, seed: int
) -> str:
    """Return the SHA-256 of all that the first stage of an alignment depends on, besides the model."""
    found = hashlib.sha256(json.dumps([asdict(stage), seed, validation is None]).encode())
    for name, question in tokenised.items():
        paths = [branch.path for branch in question.trie.branches]
        found.update(json.dumps([name, question.opening, question.suffixes, question.trie.steps, paths, question.trie.edges]).encode())
    for each in (targets, validation or {}):
        for part in _parts(each):
            found.update(part)
    return found.hexdigest()


def _parts(targets: Targets) -> Iterator[bytes]:
    for name, target in targets.items():
        for attribute, value in vars(target).items():
            yield json.dumps([name, attribute, list(value.shape) if isinstance(value, Tensor) else value]).encode()
            if isinstance(value, Tensor):
                yield value.detach().cpu().contiguous().numpy().tobytes()


def recall(backbone: Backbone, key: str, stage: StageConfig) -> EndedStage | None:
    """Return what this very stage ended with before, if it is kept."""
    ended = (_KEPT.get() or {}).get(backbone)
    return ended if ended is not None and ended.key == key and ended.loss is LOSSES[stage.loss] else None


def keep(backbone: Backbone, ended: EndedStage) -> None:
    """Keep the end of a stage, in place of another of that model, inside `first_stages_kept`; not if it is larger than `LARGEST`."""
    kept = _KEPT.get()
    if kept is not None and ended.nbytes <= LARGEST:
        kept[backbone] = ended


def are_kept() -> bool:
    """Whether this is inside `first_stages_kept`."""
    return _KEPT.get() is not None
