"""Carrying one background's sample answer to another along the model's own shift, and pooling what all backgrounds carry there."""

from __future__ import annotations

import numpy as np

from surveysim.tables.cells import Array

SHIFT_ERROR = 0.05  # variance that a carried answer gains a trait it crosses; one respondent's answer has 1
LARGEST_RATIO = 4.0  # shares are tilted by at most this factor, and at least its inverse
SMALLEST_SHARE = 1e-6


def quantile_mapped(answers: Array, origin: Array, goal: Array) -> Array:
    """Carry distributions along the monotone coupling of two others: quantile mapping of ordered options.

    The coupling moves the mass of `origin` to `goal` without crossings; what of an option it sends where, is applied to `answers`.

    Parameters
    ----------
    answers, origin, goal : array, shape (..., options)

    Returns
    -------
    array, shape (..., options)
        `goal` where `answers` is `origin`, and `answers` where `goal` is `origin`.
    """
    from_high, to_high = np.cumsum(origin, -1), np.cumsum(goal, -1)
    low = np.maximum((from_high - origin)[..., :, None], (to_high - goal)[..., None, :])
    overlap = np.clip(np.minimum(from_high[..., :, None], to_high[..., None, :]) - low, 0.0, None)  # (..., from, to)
    total = overlap.sum(-1, keepdims=True)
    stay = np.eye(answers.shape[-1])  # an option that the model never gives is carried nowhere
    moved = np.where(total > SMALLEST_SHARE, overlap / np.maximum(total, SMALLEST_SHARE), stay)
    return np.einsum("...i,...ij->...j", answers, moved)


def tilted(answers: Array, origin: Array, goal: Array) -> Array:
    """Multiply distributions by the ratios of two others, within `LARGEST_RATIO`, and normalise: for options without an order.

    Parameters and returns as of `quantile_mapped`.
    """
    ratio = np.maximum(goal, SMALLEST_SHARE) / np.maximum(origin, SMALLEST_SHARE)
    product = answers * np.clip(ratio, 1 / LARGEST_RATIO, LARGEST_RATIO)
    total = product.sum(-1, keepdims=True)
    return product / np.where(total > 0, total, 1.0)


def carried_answers(share: Array, n_eff: Array, frozen: Array, traits_apart: Array, *, ordered: bool) -> Array:
    r"""Return for every background the mean of what all sampled backgrounds carry there, shape (backgrounds, options).

    Background a's answer reaches b with variance ``1 / n_a + SHIFT_ERROR * traits between a and b`` and counts by its inverse.

    Parameters
    ----------
    share : array, shape (backgrounds, options)
        Sample shares.
    n_eff : array, shape (backgrounds,)
        0 where nobody was sampled.
    frozen : array, shape (backgrounds, options)
        The model's shares, whose shifts carry the answers.
    traits_apart : array, shape (backgrounds, backgrounds)
        Number of traits in which two backgrounds differ.
    ordered : bool
        Quantile mapping; else ratios (`tilted`).
    """
    sampled = np.flatnonzero(n_eff > 0)
    carry = quantile_mapped if ordered else tilted
    arriving = carry(share[sampled, None], frozen[sampled, None], frozen[None])  # (sampled, backgrounds, options)
    weight = 1 / (1 / n_eff[sampled, None] + SHIFT_ERROR * traits_apart[sampled])
    return (weight[..., None] * arriving).sum(0) / weight.sum(0)[:, None]
