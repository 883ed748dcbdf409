"""Training targets: the cells of a distributions table, and the smooth shifts that stage 2 aligns, as tensors a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.cells import Cells
from surveysim.codebook import Codebook
from surveysim.schema import BACKGROUND


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
        `(options,)` share of all respondents together.
    smooth : Tensor
        `(backgrounds, options)` shares of a model pooled over all respondents, for every background; the shifts between its
        rows are the pooled shifts.
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
    population: Tensor
    pairs: Tensor

    def to(self, device: torch.device) -> QuestionTargets:
        """Return the targets on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("share", "n_eff", "level", "smooth", "population", "pairs")}
        return replace(self, **moved)


def question_targets(
    cells: Cells,
    smooth: Cells,
    backgrounds: pd.DataFrame,
    codebook: Codebook,
    population: np.ndarray,
    *,
    max_pairs: int = 4000,
    seed: int = 0,
) -> dict[str, QuestionTargets]:
    """Return every question's targets, in the order of `backgrounds`."""
    traits = [column for column in backgrounds.columns if column in codebook.traits]
    pairs = one_trait_pairs(backgrounds.set_index(BACKGROUND)[traits].to_dict("index"), cells.backgrounds, max_pairs=max_pairs, seed=seed)
    out = {}
    for row, question_id in enumerate(cells.questions):
        options = int(cells.mask[row].sum())
        share, n_eff = cells.shares[row, :, :options], cells.n_eff[row]
        level = (share * n_eff[:, None]).sum(0) / n_eff.sum()
        out[question_id] = QuestionTargets(
            question_id,
            codebook.question(question_id).type == "ordinal",
            _tensor(share),
            _tensor(n_eff),
            _tensor(level),
            _tensor(smooth.shares[row, :, :options]),
            _tensor(population / population.sum()),
            pairs,
        )
    return out


def one_trait_pairs(levels: Mapping[str, Mapping[str, str]], order: Sequence[str], *, max_pairs: int, seed: int) -> Tensor:
    """Return positions of all pairs of backgrounds that differ in one trait, `(pairs, 2)`; a random `max_pairs` of them if more."""
    rows = np.array([list(levels[identifier].values()) for identifier in order], dtype=object)
    position = {tuple(row): index for index, row in enumerate(rows)}
    groups: dict[tuple, list[int]] = {}
    for index, row in enumerate(position):
        for trait in range(len(row)):
            groups.setdefault((trait, *row[:trait], *row[trait + 1 :]), []).append(index)
    pairs = np.array([pair for members in groups.values() for pair in combinations(members, 2)], dtype=np.int64).reshape(-1, 2)
    if len(pairs) > max_pairs:
        pairs = pairs[np.random.default_rng(seed).choice(len(pairs), max_pairs, replace=False)]
    return torch.from_numpy(pairs)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
