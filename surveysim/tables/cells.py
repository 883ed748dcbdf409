"""`Cells`: a distributions table as arrays, question x background x option, for the verbs that compute on all cells at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.errors import TableError, first_few
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    N_EFF,
    OPTION,
    ORDER,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Response distributions as arrays; a question with fewer options than the longest is padded.

    Attributes
    ----------
    questions, backgrounds : tuple of str
    codes : tuple of tuple
        Option codes of each question, in `option_order`.
    orders : tuple of tuple of int
        `option_order` of the same options.
    shares : array, shape (questions, backgrounds, options)
        0-1; 0 in the padding and in cells without respondents.
    n, n_eff : array, shape (questions, backgrounds)
        Respondents, and Kish effective respondents; 0 in a cell without any.
    mask : array of bool, shape (questions, options)
        True where the question has an option.
    """

    questions: tuple[str, ...]
    backgrounds: tuple[str, ...]
    codes: tuple[tuple[object, ...], ...]
    orders: tuple[tuple[int, ...], ...]
    shares: Array
    n: Array
    n_eff: Array
    mask: npt.NDArray[np.bool_]

    @property
    def counts(self) -> Array:
        """Effective counts, ``n_eff * share``, shape (questions, backgrounds, options)."""
        return self.shares * self.n_eff[..., None]

    def on(self, *, questions: Sequence[str] | None = None, backgrounds: Sequence[str] | None = None) -> Cells:
        """Return the cells of these questions and backgrounds, in this order; a background that is not here is an empty cell."""
        rows = np.arange(len(self.questions)) if questions is None else np.array([self.questions.index(name) for name in questions], int)
        ids = self.backgrounds if backgrounds is None else tuple(backgrounds)
        columns = pd.Index(self.backgrounds).get_indexer(pd.Index(ids))
        there = columns >= 0
        kept = np.ix_(rows, columns)
        return Cells(
            tuple(self.questions[row] for row in rows),
            ids,
            tuple(self.codes[row] for row in rows),
            tuple(self.orders[row] for row in rows),
            np.where(there[:, None], self.shares[kept], 0.0),
            np.where(there, self.n[kept], 0.0),
            np.where(there, self.n_eff[kept], 0.0),
            self.mask[rows],
        )


def to_cells(table: pd.DataFrame, *, backgrounds: Sequence[str] | None = None, what: str = "distributions") -> Cells:
    """Return a distributions table of one source as arrays.

    Parameters
    ----------
    table : DataFrame
        A distributions table. Without `n_eff`, `n` stands for it; without both every cell counts alike.
    backgrounds : sequence of str, optional
        Ids and order of the second axis; a background that the table lacks is a cell without respondents. Default: the
        table's own, in their order.
    what : str
        The argument's name, for error messages.

    Raises
    ------
    TableError
        If the table breaks the contract of `schema.check_distributions`, is empty, or a question's options or their
        order differ between backgrounds.
    """
    check_distributions(table, what)
    if table.empty:
        raise TableError(f"{what} has no rows")
    questions = tuple(table[QUESTION].unique())
    ids = tuple(table[BACKGROUND].unique()) if backgrounds is None else tuple(backgrounds)
    options = _options(table, what)
    longest = max(len(codes) for codes in options.values())
    codes = tuple(tuple(options[question]) for question in questions)
    orders = tuple(tuple(int(order) for order in options[question].values()) for question in questions)
    mask = np.arange(longest) < np.array([len(each) for each in codes])[:, None]
    position = {(q, code): k for q, each in zip(questions, codes, strict=True) for k, code in enumerate(each)}
    kept = table[table[BACKGROUND].isin(ids)]
    row = pd.Index(questions).get_indexer(kept[QUESTION])
    column = pd.Index(ids).get_indexer(kept[BACKGROUND])
    option = np.array([position[key] for key in zip(kept[QUESTION], kept[OPTION], strict=True)], int)
    shares = np.zeros((len(questions), len(ids), longest))
    shares[row, column, option] = kept[SHARE].fillna(0.0).to_numpy(float)
    n, n_eff = np.zeros(shares.shape[:2]), np.zeros(shares.shape[:2])
    n[row, column] = _sizes(kept, (N, N_EFF))
    n_eff[row, column] = _sizes(kept, (N_EFF, N))
    return Cells(questions, ids, codes, orders, shares, n, n_eff, mask)


def to_table(
    cells: Cells,
    shares: Array,
    *,
    source: str,
    std_error: Array | None = None,
) -> pd.DataFrame:
    """Return shares of the shape of ``cells.shares`` as a distributions table with `source`, in question, background, option order.

    Shares are scaled to sum to 1 to rounding error; intervals are normal ones, cut at 0 and 1, and missing where no
    `std_error` is given.
    """
    clean = np.where(cells.mask[:, None], np.clip(shares, 0.0, None), 0.0)
    clean /= clean.sum(-1, keepdims=True)
    row, column, option = np.nonzero(np.broadcast_to(cells.mask[:, None], clean.shape))
    error = np.full(len(row), np.nan) if std_error is None else std_error[row, column, option]
    share = clean[row, column, option]
    low, high = normal_intervals(share, error, bounds=OF_A_SHARE)
    frame = pd.DataFrame(
        {
            QUESTION: np.array(cells.questions, dtype=object)[row],
            BACKGROUND: np.array(cells.backgrounds, dtype=object)[column],
            OPTION: _restore([cells.codes[q][k] for q, k in zip(row, option, strict=True)]),
            ORDER: [cells.orders[q][k] for q, k in zip(row, option, strict=True)],
            SHARE: share,
            STD_ERROR: error,
            CONF_LOW: low,
            CONF_HIGH: high,
            N: cells.n[row, column].astype(int),
            N_EFF: cells.n_eff[row, column],
            SOURCE: source,
        }
    )
    return frame[DISTRIBUTION_COLUMNS]


def _restore(codes: list[object]) -> pd.Series:
    """Codes as they came: one type stays that type, a mixture stays a mixture."""
    kinds = {type(code) for code in codes}
    return pd.Series(codes) if len(kinds) == 1 else pd.Series(codes, dtype=object)


def _options(table: pd.DataFrame, what: str) -> dict[str, dict[object, int]]:
    found = table[[QUESTION, OPTION, ORDER]].drop_duplicates()
    twice = found[found.duplicated([QUESTION, OPTION]) | found.duplicated([QUESTION, ORDER])]
    if len(twice):
        raise TableError(
            f"{what}: the options of {first_few(twice[QUESTION].unique())} stand in different orders in different rows; "
            "give each option one option_order"
        )
    options: dict[str, dict[object, int]] = {}
    for question, code, order in found.sort_values([QUESTION, ORDER]).itertuples(index=False):
        options.setdefault(question, {})[code] = order
    per_cell = table.groupby([QUESTION, BACKGROUND, SOURCE], sort=False, observed=True)[OPTION].size()
    expected = per_cell.index.get_level_values(QUESTION).map({question: len(codes) for question, codes in options.items()})
    short = per_cell[per_cell.to_numpy() != np.asarray(expected)]
    if len(short):
        cells = [f"{key[0]} / {key[1]} ({size} of {len(options[key[0]])})" for key, size in short.items()]
        raise TableError(f"{what}: every cell needs a row for each option of its question; too few in {first_few(cells)}")
    sources = table[SOURCE].unique()
    if len(sources) > 1:
        raise TableError(f"{what} holds {len(sources)} sources ({first_few(sources)}); select one")
    return options


def _sizes(table: pd.DataFrame, columns: tuple[str, str]) -> Array:
    answered = table[SHARE].notna().to_numpy()
    for column in columns:
        if column in table and table[column].notna().any():
            return np.where(answered, table[column].fillna(0.0).to_numpy(float), 0.0)
    return answered.astype(float)


def between_variance(shares: Array, weight: Array) -> float:
    """Return the variance between backgrounds, summed over options, of shares `(backgrounds, options)`; weights sum to 1."""
    return float(weight @ ((shares - weight @ shares) ** 2).sum(-1))
