"""Gradients of a loss of one question's features, with as much of the last layer's work in memory as fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from surveysim.lm.fit.readout import Readout
from surveysim.lm.trunk.trunk import QuestionStates


def backward(readout: Readout, states: QuestionStates, loss: Callable[[Tensor], Tensor], at_once: int | None = None) -> float:
    """Add the gradients of a loss to those of the trained parts, and return the loss.

    A loss compares backgrounds, so it needs the features of all of them. With `at_once` it gets them without a graph; its gradient
    by the features then goes through the last layer for a few backgrounds at a time: the same gradients, in more time and less memory.

    Parameters
    ----------
    readout : Readout
    states : QuestionStates
        On the readout's device, in its number type.
    loss : callable
        Of features `(branches, backgrounds, hidden)`.
    at_once : int, optional
        Distinct prompts whose way through the last layer is in memory at once; default all.
    """
    parts = states.in_parts(at_once)
    if len(parts) == 1:
        value = loss(readout.whole_features(states))
        value.backward()
        return value.item()
    with torch.no_grad():
        known = torch.cat([readout.whole_features(part) for part in parts], dim=1)  # (branches, distinct prompts, hidden)
    order = torch.from_numpy(states.order).to(known.device)
    features = known[:, order].requires_grad_(True)
    value = loss(features)
    value.backward()
    _through_the_layer(readout, parts, torch.zeros_like(known).index_add_(1, order, _gradient(features)))
    return value.item()


def _gradient(features: Tensor) -> Tensor:
    assert features.grad is not None
    return features.grad


def _through_the_layer(readout: Readout, parts: Sequence[QuestionStates], gradient: Tensor) -> None:
    start = 0
    for part in parts:
        features = readout.whole_features(part)
        features.backward(gradient[:, start : start + features.shape[1]])
        start += features.shape[1]
