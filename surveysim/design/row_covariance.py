"""`RowCovariance`: how the rows of a table vary together, carried in its ``attrs`` and computed when somebody asks.

It is a short text as well, so that a table that holds it is written and read as any other; what is read back is the text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Code
from surveysim.design.cell_sums import CellSums, cell_sums
from surveysim.design.design import Design
from surveysim.design.estimators import Members
from surveysim.tables.schema import BACKGROUND, OPTION, QUESTION, SHARE
from surveysim.tables.stacking import PARTS

COVARIANCE = "covariance"  # name in attrs
INDEPENDENT = "rows taken as independent"
SAME = 1e-9  # an estimate that differs by more was changed after the table was made


@dataclass(frozen=True, eq=False)
class QuestionRows:
    """The rows of one question: ratios ``p_dk = T_dk / W_d`` of a background's sums, by option; a mean has one option.

    Attributes
    ----------
    backgrounds : tuple of str
    options : tuple
        Option codes; ``(None,)`` for a mean.
    sums : CellSums
        Of shares: weight by background and option. Of means: the linearised values by background, or with replicates the answers.
    estimate : array, shape ``(backgrounds, options)``
    size : array, shape ``(backgrounds,)``
        Weight of the valid answers.
    repeated : array, shape ``(replicates, backgrounds, options)``, or None
        The estimates under each replicate weight.
    """

    backgrounds: tuple[str, ...]
    options: tuple[Code | None, ...]
    sums: CellSums
    estimate: np.ndarray
    size: np.ndarray
    repeated: np.ndarray | None = None

    def covariance(self, combinations: np.ndarray) -> np.ndarray:
        """Return the covariance of linear combinations of the rows, given with shape ``(backgrounds, options, combinations)``."""
        count = combinations.shape[2]
        if self.repeated is not None:
            assert self.sums.replicates is not None, "made together"
            used = np.flatnonzero(combinations.any(axis=(1, 2)))
            chosen = combinations[used].reshape(-1, count)
            repeated = self.repeated[:, used].reshape(len(self.repeated), -1)
            return self.sums.replicates.covariance(repeated @ chosen, self.estimate[used].ravel() @ chosen)
        if self.options == (None,):
            return self.sums.covariance(combinations[:, 0])
        centre = (np.nan_to_num(self.estimate)[:, :, None] * combinations).sum(axis=1, keepdims=True)
        spread = (combinations - centre) / np.where(self.size > 0, self.size, 1.0)[:, None, None]
        return self.sums.covariance(spread.reshape(-1, count))

    def joint_covariance(self, backgrounds: Sequence[str], options: Sequence[object], weights: np.ndarray) -> np.ndarray:
        """Return the covariance of sums over `options`, weighted over `backgrounds` with shape ``(backgrounds, combinations)``."""
        combinations = np.zeros((*self.estimate.shape, weights.shape[1]))
        place = [self.backgrounds.index(name) for name in backgrounds]
        for option in options:
            combinations[place, self.options.index(option)] = weights  # type: ignore[arg-type]
        return self.covariance(combinations)


class RowCovariance(str):
    """The covariance of a table's rows, question by question; two are equal if they are one.

    Attributes
    ----------
    questions : mapping of question id to QuestionRows
    degrees_of_freedom : int
        Of the design.
    """

    questions: Mapping[str, QuestionRows]
    degrees_of_freedom: int

    def __new__(cls, questions: Mapping[str, QuestionRows], degrees_of_freedom: int, design: str) -> RowCovariance:
        """Make one that reads ``of the rows of 2 questions: 12 strata, 300 PSUs, Taylor linearisation``."""
        made = super().__new__(cls, f"of the rows of {len(questions)} question{'s' if len(questions) != 1 else ''}: {design}")
        made.questions, made.degrees_of_freedom = questions, degrees_of_freedom
        return made

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: object) -> RowCovariance:
        return self

    def __copy__(self) -> RowCovariance:
        return self

    def __reduce__(self) -> tuple[Callable[..., RowCovariance], tuple[object, ...]]:
        return _restored, (str(self), self.questions, self.degrees_of_freedom)


def share_rows(backgrounds: tuple[str, ...], options: Sequence[Code], members: Members, choice: np.ndarray) -> QuestionRows:
    """Return what the covariance of a question's shares needs; `choice` is each member's position in `options`."""
    shape = (len(backgrounds), len(options))
    sums = cell_sums(members.design, members.rows, members.domain * shape[1] + choice, shape[0] * shape[1])
    size = sums.estimate.reshape(shape).sum(axis=1)
    repeated = None
    if sums.repeated is not None:
        by_cell = sums.repeated.reshape(-1, *shape)
        repeated = _divided(by_cell, by_cell.sum(axis=2, keepdims=True))
    return QuestionRows(backgrounds, tuple(options), sums, _divided(sums.estimate.reshape(shape), size[:, None]), size, repeated)


def mean_rows(backgrounds: tuple[str, ...], members: Members, values: np.ndarray) -> QuestionRows:
    """Return what the covariance of a question's means needs."""
    count, weights = len(backgrounds), members.weights
    size = np.bincount(members.domain, weights, minlength=count)
    means = _divided(np.bincount(members.domain, weights * values, minlength=count), size)
    known = np.where(size > 0, size, 1.0)
    centred = (values - np.nan_to_num(means)[members.domain]) / known[members.domain]
    replicates, repeated = members.design.replicates, None
    if replicates is None:
        sums = cell_sums(members.design, members.rows, members.domain, count, centred)
    else:
        both = members.repeated_sums(np.stack([values, np.ones(len(values))], axis=1))
        over, under = np.moveaxis(both, 2, 0)
        repeated, none = _divided(over, under)[:, :, None], np.zeros((0, count))
        sums = CellSums(size * means, (), none, none, np.zeros((0, 0)), replicates.take(np.arange(0)), over)
    return QuestionRows(backgrounds, (None,), sums, means[:, None], size, repeated)


def _divided(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)


def _restored(text: str, questions: Mapping[str, QuestionRows], degrees_of_freedom: int) -> RowCovariance:
    made = str.__new__(RowCovariance, text)
    made.questions, made.degrees_of_freedom = questions, degrees_of_freedom
    return made


def with_covariance(table: pd.DataFrame, rows: Mapping[str, QuestionRows] | None, design: Design) -> pd.DataFrame:
    """Let a table carry the covariance of its rows, if there is any."""
    if rows is not None:
        table.attrs[COVARIANCE] = RowCovariance(rows, design.degrees_of_freedom, design.description)
    return table


def carried_covariances(table: pd.DataFrame) -> list[RowCovariance]:
    """Return the covariances that a table carries: its own, or those of the tables that were stacked to make it."""
    said = [table.attrs, *table.attrs.get(PARTS, [])]
    found = [one[COVARIANCE] for one in said if isinstance(one.get(COVARIANCE), RowCovariance)]
    return list(dict.fromkeys(found))


def known_rows(rows: pd.DataFrame, value: str = SHARE) -> QuestionRows | None:
    """Return the covariance of the rows of one question and source, or None if there is none, or numbers were changed since."""
    if rows.empty or QUESTION not in rows:
        return None
    question = str(rows[QUESTION].iloc[0])
    for carried in carried_covariances(rows):
        known = carried.questions.get(question)
        if known is not None and _is_of(known, rows, value):
            return known
    return None


def _is_of(known: QuestionRows, rows: pd.DataFrame, value: str) -> bool:
    """Whether the rows hold the estimates that the covariance was computed with."""
    place = pd.Index(known.backgrounds).get_indexer(pd.Index(rows[BACKGROUND]))
    column = np.zeros(len(rows), dtype=int)
    if value == SHARE:
        column = pd.Index(list(known.options), dtype=object).get_indexer(pd.Index(rows[OPTION]).astype(object))
    if (place < 0).any() or (column < 0).any():
        return False
    return bool(np.isclose(known.estimate[place, column], rows[value].to_numpy(float), rtol=SAME, atol=SAME, equal_nan=True).all())


def without_sums(attrs: Mapping[Hashable, object]) -> dict[Hashable, object]:
    """Return what a table says of itself with each covariance as its text alone."""
    told = {name: str(value) if name == COVARIANCE else value for name, value in attrs.items()}
    parts = told.get(PARTS)
    return {**told, PARTS: [without_sums(part) for part in parts]} if isinstance(parts, list) else told
