"""Answers that ignore both the background and the wording: what an answer to a question never asked has to beat."""

from __future__ import annotations

import numpy as np

from surveysim.tables.cells import Array, Cells


def uniform(sampled: Cells, unasked: Cells) -> Array:
    """Every option alike, shape (questions, backgrounds, options) of `unasked`."""
    shares = unasked.mask / unasked.mask.sum(-1, keepdims=True)
    return np.broadcast_to(shares[:, None], unasked.shares.shape)


def length_matched(sampled: Cells, unasked: Cells) -> Array:
    """Mean pooled shares, by position, of the sampled questions with as many options; uniform where there is none."""
    counts = sampled.counts.sum(1)
    pooled = counts / counts.sum(-1, keepdims=True)
    shares = np.array(uniform(sampled, unasked))
    for row, size in enumerate(unasked.mask.sum(-1)):
        alike = sampled.mask.sum(-1) == size
        if alike.any():
            shares[row, :, :size] = pooled[alike, :size].mean(0)
    return shares


BLIND = {"uniform": uniform, "length-matched": length_matched}
