"""The rule that a published cell keeps: enough respondents, enough effective ones, and none with most of the weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import TableError, nearest
from surveysim.tables.schema import BACKGROUND, LARGEST_WEIGHT, N_EFF, QUESTION, SHARE, SOURCE, SUPPRESSED, N

WAYS = ("suppress", "round")
FEW_BEHIND_AN_OPTION, DOMINATED = "few respondents behind an option", "one respondent has too much of the weight"
FEWER = r"^fewer than (\d+) respondents$"
UNSAID = "withheld; how few would tell them"
DOMINANCE = 0.5  # of the weight of a cell: above it the cell's shares are mostly one person's answer
KEY = [QUESTION, SOURCE, BACKGROUND]
ROUNDING = 1e-9


@dataclass(frozen=True)
class Rule:
    """What a published cell must have, as `protect` takes it."""

    how: str
    min_n: int
    min_count: int
    min_n_eff: float
    dominance: float

    def __post_init__(self) -> None:
        if self.how not in WAYS:
            raise TableError(f"how must be 'suppress' or 'round'; got {self.how!r}, {nearest(str(self.how), WAYS)}")
        if self.min_n < 1 or self.min_count < 0:
            raise TableError(f"min_n={self.min_n} must be at least 1 and min_count={self.min_count} at least 0")
        if not self.min_n_eff >= 0:
            raise TableError(f"min_n_eff={self.min_n_eff} must be at least 0; 0 asks for no effective number")
        if not 0 < self.dominance <= 1:
            raise TableError(
                f"dominance={self.dominance} is a share of a cell's weight, above 0 and at most 1; 1 lets one respondent have all"
            )

    def kept_by(self, done: Mapping[str, Any]) -> bool:
        """Whether what was done is as strict, the rules on weights aside."""
        return bool(done.get("how") == self.how and done["min_n"] >= self.min_n and done["min_count"] >= self.min_count)

    def weights_kept_by(self, done: Mapping[str, Any]) -> bool:
        """Whether what was done is as strict on weights."""
        return bool(done.get("min_n_eff", 0) >= self.min_n_eff and done.get("dominance", 1) <= self.dominance)


def primary_reasons(table: pd.DataFrame, cells: pd.DataFrame, rule: Rule) -> pd.Series:
    """Return why each cell is withheld for its own sake, empty where it is not; a cell withheld before keeps its reason."""
    why = pd.Series("", index=cells.index)
    if rule.min_count:
        why[_thinly_backed(table, cells, rule.min_count)] = FEW_BEHIND_AN_OPTION
    weighed = by_weight(cells, rule)
    why = why.mask(weighed != "", weighed)
    why[(cells[N] > 0) & (cells[N] < rule.min_n)] = few_respondents(rule.min_n)
    return why.mask(cells[SUPPRESSED] != "", cells[SUPPRESSED])


def by_weight(cells: pd.DataFrame, rule: Rule) -> pd.Series:
    """Return why a cell of enough respondents is a few people's answer all the same, empty where it is not."""
    why, sampled = pd.Series("", index=cells.index), cells[N] > 0
    why[sampled & (_largest_weight(cells) > rule.dominance + ROUNDING)] = DOMINATED
    why[sampled & (cells[N_EFF] < rule.min_n_eff - ROUNDING)] = f"fewer than {rule.min_n_eff:g} effective respondents"
    return why


def few_respondents(min_n: int) -> str:
    """Return why a cell of few respondents is withheld, as `suppressed` says it."""
    return f"fewer than {min_n} respondents"


def _largest_weight(cells: pd.DataFrame) -> pd.Series:
    """Return the largest share of its weight that one respondent of a cell has or, where it is not stated, can have."""
    each = 1 / cells[N].where(cells[N] > 0)
    spread = (1 / cells[N_EFF].where(cells[N_EFF] > 0) - each).clip(lower=0)
    return cells[LARGEST_WEIGHT].fillna((each + np.sqrt((1 - each).clip(lower=0) * spread)).clip(upper=1))


def largest_weights_from(cells: pd.DataFrame) -> str:
    """Say from what the largest weights are known."""
    if cells.loc[cells[N] > 0, LARGEST_WEIGHT].notna().all():
        return "in the table"
    return "bounded by n_eff" if cells.loc[cells[N] > 0, N_EFF].notna().all() else "not known of every cell"


def _thinly_backed(table: pd.DataFrame, cells: pd.DataFrame, min_count: int) -> np.ndarray:
    if SHARE not in table:
        raise TableError("min_count is for shares; leave it out for estimates")
    behind = (table[SHARE] * table[N]).round(6)
    thin = pd.MultiIndex.from_frame(table.loc[(behind > 0) & (behind < min_count), KEY])
    return np.asarray(pd.MultiIndex.from_frame(cells[KEY]).isin(thin))


def sizes_told(reasons: np.ndarray, n: np.ndarray, min_n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return between which numbers of respondents the reason puts a withheld cell; one that says nothing leaves any but 0."""
    found = pd.Series(reasons, dtype=object).astype(str).str.extract(FEWER, expand=False).astype(float).to_numpy()
    low, high = np.where(np.isnan(found) & (reasons != UNSAID), min_n, 1.0), np.where(np.isnan(found), np.inf, found - 1)
    return np.fmin(low, n), np.fmax(high, n)
