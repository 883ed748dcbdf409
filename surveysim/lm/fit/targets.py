"""Training targets: the cells of a distributions table, and the smooth shifts that stage 2 aligns, as tensors a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.codebook.backgrounds import one_trait_pairs, traits_apart
from surveysim.codebook.codebook import Codebook
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.schema import BACKGROUND, QUESTION, SHARE, STD_ERROR

SHIFT_ERROR = 0.05  # variance that a carried answer gains a trait it crosses; one respondent's answer has 1
LARGEST_RATIO = 4.0  # shares are tilted by at most this factor, and at least its inverse
SMALLEST_SHARE = 1e-6


@dataclass(frozen=True, eq=False)
class QuestionTargets:
    """What one question's answers should look like.

    Attributes
    ----------
    question_id : str
    ordered : bool
        Whether distances between options count.
    share : Tensor
        `(backgrounds, options)` sample shares; 0 where nobody answered.
    n_eff : Tensor
        `(backgrounds,)` effective respondents behind them; 0 where nobody answered.
    level : Tensor
        `(options,)` share of all respondents together; where shares are pooled, the pooled estimate's share of the population.
    smooth : Tensor
        `(backgrounds, options)` shares of a model pooled over all respondents, for every background; the shifts between its
        rows are the pooled shifts.
    smooth_n_eff : Tensor
        `(backgrounds,)` respondents of a simple random sample that would be as precise as `smooth`.
    carried, tilted : Tensor
        `(backgrounds, options)` mean of all backgrounds' sample shares, each carried here along the model's own shift.
    population : Tensor
        `(backgrounds,)` weight of each background in the population; sums to 1.
    pairs : Tensor
        `(pairs, 2)` positions of backgrounds whose shift is compared.
    """

    question_id: str
    ordered: bool
    share: Tensor
    n_eff: Tensor
    level: Tensor
    smooth: Tensor
    smooth_n_eff: Tensor
    carried: Tensor
    tilted: Tensor
    population: Tensor
    pairs: Tensor

    def to(self, device: torch.device) -> QuestionTargets:
        """Return the targets on a device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def precise(self) -> QuestionTargets:
        """Return the targets on the CPU, in float64, for convex problems that are solved to the end."""
        numbers = {name: value.cpu() for name, value in vars(self).items() if isinstance(value, Tensor)}
        exact: dict[str, Any] = {name: value.double() if value.is_floating_point() else value for name, value in numbers.items()}
        return replace(self, **exact)


Targets = Mapping[str, QuestionTargets]  # by question_id


def stacked(targets: Sequence[QuestionTargets]) -> QuestionTargets:
    """Return the targets of questions with equally many options, all ordered or none, with the questions as a first dimension."""
    first = targets[0]
    joined: dict[str, Any] = {
        name: torch.stack([getattr(each, name) for each in targets])
        for name, value in vars(first).items()
        if isinstance(value, Tensor) and name != "pairs"
    }
    return replace(first, question_id=", ".join(each.question_id for each in targets), **joined)


@dataclass(frozen=True, eq=False)
class PooledShares:
    """Shares of every background pooled over all respondents.

    Attributes
    ----------
    shares : array, shape (questions, backgrounds, options)
    n_eff : array, shape (questions, backgrounds)
        Respondents of a simple random sample that would be as precise; 1 where the estimate states no error.
    """

    shares: Array
    n_eff: Array


def pooled_shares(table: pd.DataFrame, backgrounds: tuple[str, ...]) -> PooledShares:
    """Return a distributions table of all backgrounds as pooled shares, its precision read off its standard errors."""
    cells = to_cells(table, backgrounds=backgrounds)
    squares = table.assign(one=table[SHARE] * (1 - table[SHARE]), error=table[STD_ERROR] ** 2)
    sums = squares.pivot_table(index=QUESTION, columns=BACKGROUND, values=["one", "error"], aggfunc="sum")
    worth = (sums["one"] / sums["error"].where(sums["error"] > 0)).fillna(1.0)
    return PooledShares(cells.shares, worth.reindex(index=cells.questions, columns=backgrounds).to_numpy(float))


def question_targets(
    cells: Cells,
    codebook: Codebook,
    population: np.ndarray,
    *,
    pooled: PooledShares | None = None,
    frozen: Mapping[str, Array] | None = None,
    max_pairs: int = 4000,
    seed: int = 0,
) -> dict[str, QuestionTargets]:
    """Return every question's targets.

    Parameters
    ----------
    cells : Cells
        The sample.
    codebook : Codebook
    population : array, shape (backgrounds,)
    pooled : PooledShares, optional
        Default: the sample's own shares stand there.
    frozen : mapping of question_id to array, shape (backgrounds, options), optional
        The model's shares that carry answers from background to background; default: nothing is carried.
    max_pairs, seed : int
        As of `drawn_pairs`.
    """
    pairs = drawn_pairs(cells.backgrounds, max_pairs=max_pairs, seed=seed)
    apart = traits_apart(cells.backgrounds, cells.backgrounds).astype(float)
    weight = population / population.sum()
    out = {}
    for row, question_id in enumerate(cells.questions):
        options = int(cells.mask[row].sum())
        share, n_eff = cells.shares[row, :, :options], cells.n_eff[row]
        smooth = share if pooled is None else pooled.shares[row, :, :options]
        level = n_eff @ share / n_eff.sum() if pooled is None else weight @ smooth
        carried = [share, share]
        if frozen is not None:
            carried = [carried_answers(share, n_eff, frozen[question_id], apart, ordered=ordered) for ordered in (True, False)]
        is_ordered = codebook.question(question_id).type == "ordinal"
        out[question_id] = QuestionTargets(
            question_id,
            is_ordered,
            share=_tensor(share),
            n_eff=_tensor(n_eff),
            level=_tensor(level),
            smooth=_tensor(smooth),
            smooth_n_eff=_tensor(n_eff if pooled is None else pooled.n_eff[row]),
            carried=_tensor(carried[0] if is_ordered else carried[1]),
            tilted=_tensor(carried[1]),
            population=_tensor(weight),
            pairs=pairs,
        )
    return out


def drawn_pairs(backgrounds: Sequence[str], *, max_pairs: int, seed: int) -> Tensor:
    """Return positions of all pairs of backgrounds that differ in one trait, `(pairs, 2)`; a random `max_pairs` of them if more."""
    pairs = one_trait_pairs(backgrounds)
    if len(pairs) > max_pairs:
        pairs = pairs[np.random.default_rng(seed).choice(len(pairs), max_pairs, replace=False)]
    return torch.from_numpy(pairs)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


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
