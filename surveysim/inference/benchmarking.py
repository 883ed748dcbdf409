"""Small areas that add up: cells adjusted so that their population-weighted mean is a published or direct one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.errors import EstimationError, TableError, first_few, nearest
from surveysim.tables.cells import Array
from surveysim.tables.draws import draw_columns
from surveysim.tables.intervals import ANYWHERE, OF_A_SHARE, normal_intervals
from surveysim.tables.population_shares import population_shares
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    N_EFF,
    OFFICIAL,
    OPTION,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    check_distributions,
    require_columns,
    require_numbers,
)

METHODS = ("raking", "difference", "ratio")
TOLERANCE, MAX_ROUNDS = 1e-12, 500
FITS = 1e-9  # how far a mean may stay from its total


def benchmark_to(
    table: pd.DataFrame,
    totals: pd.DataFrame,
    *,
    population: pd.DataFrame | Mapping[str, float],
    method: str = "raking",
    independent: bool = False,
) -> pd.DataFrame:
    """Adjust cells so that their population-weighted mean equals given totals, with standard errors that know it (benchmarking).

    With cells x_c, shares W_c of the group's population, ``A = sum W_c x_c`` and the group's total B:

    - ``"difference"``: ``x_c + B - A``;
    - ``"ratio"``: ``x_c B / A``, for means alone, since the shares of a cell would not sum to 1;
    - ``"raking"``: ``p_ck b_k / sum_l p_cl b_l``, one factor an option in the whole group: shares stay in 0-1 and sum to 1 (a logit shift).

    To first order the error is ``G_c e_c + H_c (e_B - sum W_d G_d e_d)``, e being the errors of cells and total, G and H the
    derivatives (1 and 1 for differences). A total of other people's answers, or one that is known, is independent of the cells. A total
    of the same respondents has covariance ``sum_d W_d cov(e_c, e_d)`` with a cell that is their best predictor, a composite or
    multilevel estimate: the squared error then grows by ``var(B) - var(A)`` for differences, and is never less than before.

    Assumptions: cells err independently, unless the table has draws, which then say how they go together; within a cell the errors
    of shares go together as a multinomial's; standard errors are root mean squared errors, as of `composite`.

    Parameters
    ----------
    table : DataFrame
        A distributions table of one source, or estimates, one row a background.
    totals : DataFrame
        The same questions and options for coarser backgrounds: ``"all"``, or fewer of the traits; of official source, or without
        `std_error`, they are known. Every cell belongs to one of them.
    population : DataFrame or mapping of background_id to share
        `background_id` and `population_share` of every cell.
    method : {"raking", "difference", "ratio"}
    independent : bool
        True states that no respondent of `totals` taught or made `table`; known totals are always independent.

    Returns
    -------
    DataFrame
        The table with adjusted `share` or `estimate`, `std_error`, interval (normal), and `n_eff` in proportion to the precision; without
        draws, which the total does not have. `attrs["benchmarked"]` says to what.

    Raises
    ------
    EstimationError
        If `method` is unknown or does not suit, a difference leaves 0-1, or raking does not reach the total.
    TableError
        If a table breaks its contract, a cell belongs to no total or to several, a question or option has none, or a population share is
        absent.

    References
    ----------
    Rao and Molina (2015), Small Area Estimation, 2nd ed., section 6.4.6, doi:10.1002/9781118735855.
    Datta, Ghosh, Steorts and Maples (2011), doi:10.1007/s11749-010-0218-y. Pfeffermann and Tiller (2006),
    doi:10.1198/016214506000000591. You, Rao and Hidiroglou (2013), Survey Methodology 39, 217-230. Steorts and Ghosh (2013),
    Statistica Sinica 23, 749-767. Rosenman, McCartan and Olivella (2023), doi:10.1017/pan.2022.31 (logit shift).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> people = ss.observed_backgrounds(survey, by=["gender", "age3"])
    >>> model = ss.simulate(survey, ["gender", "age3"], questions="Q8_8", method="mrp")
    >>> total = ss.response_distributions(survey, questions="Q8_8")
    >>> fitted = ss.benchmark_to(model, total, population=people)
    >>> ss.poststratify(fitted, people).share.round(9).tolist() == total.share.round(9).tolist()
    True
    """
    if method not in METHODS:
        raise EstimationError(f"method must be one of {', '.join(METHODS)}; got {method!r}, {nearest(str(method), METHODS)}")
    value = SHARE if isinstance(table, pd.DataFrame) and SHARE in table else ESTIMATE
    _check(table, totals, value, method)
    weights = population_shares(population, table[BACKGROUND].unique(), "population")
    shares = dict(zip(table[BACKGROUND].unique(), weights, strict=True))
    groups = _groups(list(shares), list(totals[BACKGROUND].unique()))
    known = not independent and not _is_known(totals)
    out = table.drop(columns=draw_columns(table)).astype({value: float})
    for question, rows in table.groupby(QUESTION, sort=False):
        goals = totals[totals[QUESTION] == question]
        for total, ids in groups.items():
            own = rows[rows[BACKGROUND].isin(ids)]
            cells = _GroupCells.of(own, goals[goals[BACKGROUND] == total], shares, value, f"{question} / {total}")
            made, variance = cells.adjusted(method, same=known)
            place = out.index.get_indexer(own.index)
            out = _written(out, place[cells.place].ravel(), made.ravel(), np.sqrt(variance).ravel(), value)
    out.attrs = {**table.attrs, "benchmarked": f"{method} to {first_few(totals[SOURCE].unique()) if SOURCE in totals else 'totals'}"}
    return out


def _check(table: pd.DataFrame, totals: pd.DataFrame, value: str, method: str) -> None:
    for frame, what in ((table, "table"), (totals, "totals")):
        require_columns(frame, [QUESTION, BACKGROUND, value], what)
        if STD_ERROR in frame and np.isinf(require_numbers(frame, STD_ERROR, what)).any():
            raise TableError(f"{what}: {STD_ERROR} is infinite; correct it, or leave it missing where it is not known")
        if SOURCE in frame and len(frame[SOURCE].unique()) > 1:
            raise TableError(f"{what} holds sources {first_few(frame[SOURCE].unique())}; keep one at a time")
        if value == SHARE:
            check_distributions(frame, what)
        elif frame.duplicated([QUESTION, BACKGROUND]).any():
            raise TableError(f"{what} has several rows of a background in one question; keep one estimate a background")
        if frame[value].isna().any():
            raise TableError(f"{what} has no {value} of {first_few(frame.loc[frame[value].isna(), BACKGROUND].unique())}; leave these out")
    if not table.index.is_unique:
        raise TableError("table has repeated row labels; give table.reset_index(drop=True)")
    require_columns(table, [STD_ERROR], "table")
    if (method == "ratio" and value == SHARE) or (method == "raking" and value == ESTIMATE):
        fits = "'raking' or 'difference'" if value == SHARE else "'ratio' or 'difference'"
        raise EstimationError(f"method={method!r} does not suit a table of {value}s; use {fits}")
    absent = table.loc[~table[QUESTION].isin(totals[QUESTION]), QUESTION].unique()
    if len(absent):
        raise TableError(f"totals lacks question {first_few(absent)}, which table has; leave it out of table, or add its total")


def _is_known(totals: pd.DataFrame) -> bool:
    return STD_ERROR not in totals or (SOURCE in totals and bool((totals[SOURCE] == OFFICIAL).all()))


def _groups(cells: list[str], totals: list[str]) -> dict[str, list[str]]:
    """Return the cells of each total, each cell in one."""
    levels = {name: {} if name == POOLED else parse_background_id(name) for name in totals}
    found: dict[str, list[str]] = {name: [] for name in totals}
    for cell in cells:
        own = {} if cell == POOLED else parse_background_id(cell)
        homes = [name for name, wanted in levels.items() if wanted.items() <= own.items()]
        if len(homes) != 1:
            where = f"to {first_few(homes)}" if homes else "to none"
            raise TableError(f"totals: cell {cell!r} belongs {where} of {first_few(totals)}; give totals that each cell belongs to one of")
        found[homes[0]].append(cell)
    empty = [name for name, ids in found.items() if not ids]
    if empty:
        raise TableError(f"totals has {first_few(empty)}, of which table has no cell; leave it out, or simulate its cells")
    return found


@dataclass(frozen=True, eq=False)
class _GroupCells:
    """The cells of one question and total.

    Attributes
    ----------
    what : str
        Question and total, for messages.
    place : int array, shape ``(cells, options)``
        Rows of the group's part of the table.
    values : array, same shape
    weights : array, shape ``(cells,)``
        Sum to 1.
    covariance : array, shape ``(cells, options, options)``
        Of each cell's errors.
    factors : array, shape ``(cells, options, draws)``, or None
        Draws less their mean, over the root of their number less 1.
    total : array, shape ``(options,)``
    spread : array, shape ``(options, options)``
        Covariance of the total's errors.
    """

    what: str
    place: np.ndarray
    values: Array
    weights: Array
    covariance: Array
    factors: Array | None
    total: Array
    spread: Array

    @classmethod
    def of(cls, rows: pd.DataFrame, goal: pd.DataFrame, shares: Mapping[str, float], value: str, what: str) -> _GroupCells:
        ids = list(rows[BACKGROUND].unique())
        options = list(rows[OPTION].unique()) if value == SHARE else [None]
        theirs = list(goal[OPTION]) if value == SHARE else [None] * len(goal)
        if set(options) != set(theirs) or len(rows) != len(ids) * len(options):
            raise TableError(
                f"{what}: table has options {first_few(options)}, totals {first_few(theirs)}; give every cell and total all of them"
            )
        column = np.array([options.index(code) for code in rows[OPTION]]) if value == SHARE else np.zeros(len(rows), dtype=int)
        place = np.empty((len(ids), len(options)), dtype=int)
        place[pd.Index(ids).get_indexer(rows[BACKGROUND]), column] = np.arange(len(rows))
        weights = np.array([shares[name] for name in ids])
        if not weights.sum() > 0:
            raise TableError(f"{what}: the population shares of its cells are all 0")
        values, errors = rows[value].to_numpy(float)[place], rows[STD_ERROR].to_numpy(float)[place]
        order = [theirs.index(code) for code in options]
        total = goal[value].to_numpy(float)[order]
        known = _is_known(goal)
        spread = np.zeros(len(total)) if known else goal[STD_ERROR].to_numpy(float)[order]
        names = draw_columns(rows)
        drawn = rows[names].to_numpy(float)[place] if names else None
        factors = None if drawn is None else (drawn - drawn.mean(-1, keepdims=True)) / np.sqrt(len(names) - 1)
        covariance = _of_a_multinomial(values, errors) if value == SHARE else np.square(errors)[..., None]
        made = _of_a_multinomial(total[None], spread[None])[0] if value == SHARE else np.square(spread)[:, None]
        return cls(what, place, values, weights / weights.sum(), covariance, factors, total, made)

    def with_sum(self, maps: Array) -> Array:
        """Return each cell's covariance with ``sum_d maps_d e_d``, shape ``(cells, options, options)``."""
        if self.factors is None:
            return self.covariance @ maps.swapaxes(-1, -2)
        return self.factors @ (maps @ self.factors).sum(0).T

    def adjusted(self, method: str, *, same: bool) -> tuple[Array, Array]:
        """Return adjusted values and their variances; `same` respondents made the total."""
        made, own, shared = self._raked() if method == "raking" else self._shifted(method)
        covariance = self.covariance if self.factors is None else self.factors @ self.factors.swapaxes(-1, -2)
        taken = self.weights[:, None, None] * own
        with_taken = self.with_sum(taken)
        around = self.spread + (taken @ with_taken).sum(0)  # of e_B - sum W G e
        beside = -with_taken
        if same:
            plain = self.with_sum(self.weights[:, None, None] * np.broadcast_to(np.eye(own.shape[-1]), own.shape))
            crossed = (taken @ plain).sum(0)
            around, beside = around - crossed - crossed.T, beside + plain
        cross = own @ beside @ shared.swapaxes(-1, -2)
        whole = own @ covariance @ own.swapaxes(-1, -2) + shared @ around @ shared.swapaxes(-1, -2) + cross + cross.swapaxes(-1, -2)
        variance, before = (np.diagonal(one, axis1=-2, axis2=-1) for one in (whole, covariance))
        return made, np.maximum(variance, before if same else 0.0)

    def _shifted(self, method: str) -> tuple[Array, Array, Array]:
        """Return values shifted by a difference or a ratio, with the derivatives by the cell's own error and by the total's."""
        mean = self.weights @ self.values
        one = np.broadcast_to(np.eye(len(mean)), (len(self.values), len(mean), len(mean)))
        if method == "ratio":
            if not mean[0] * self.total[0] > 0:
                raise EstimationError(f"{self.what}: a ratio of {self.total[0]:g} to {mean[0]:g} has no sense; use method='difference'")
            ratio = float(self.total[0] / mean[0])
            return self.values * ratio, one * ratio, one * (self.values / mean)[..., None]
        made = self.values + self.total - mean
        if len(mean) > 1 and ((made < 0) | (made > 1)).any():
            low, high = made.min(), made.max()
            raise EstimationError(f"{self.what}: a difference takes shares out of 0-1 ({low:.3g} to {high:.3g}); use method='raking'")
        return made, one, one

    def _raked(self) -> tuple[Array, Array, Array]:
        """Return raked shares, with the derivatives by the cell's own errors and by the total's."""
        log_factor, made = np.zeros(len(self.total)), self.values
        for _ in range(MAX_ROUNDS):
            mean = self.weights @ made
            if np.abs(mean - self.total).max() < TOLERANCE:
                break
            step = np.divide(self.total, mean, out=np.ones(len(mean)), where=(mean > 0) & (self.total > 0))
            log_factor = log_factor + np.log(step)
            moved = self.values * np.where(self.total > 0, np.exp(log_factor), 0.0)
            made = moved / moved.sum(-1, keepdims=True)
        miss = np.abs(self.weights @ made - self.total).max()
        if not miss < FITS:
            raise EstimationError(f"{self.what}: raking stays {miss:.2g} from the total; an option that no cell has cannot have a share")
        curve = made[..., None] * np.eye(len(self.total)) - made[..., None] * made[:, None, :]
        own = curve / np.where(self.values > 0, self.values, 1.0)[:, None, :]
        inverse = np.linalg.pinv((self.weights[:, None, None] * curve).sum(0), hermitian=True)
        return made, own, curve @ inverse


def _of_a_multinomial(shares: Array, errors: Array) -> Array:
    """Return covariances with these standard errors and the correlations of multinomial shares, shape ``(cells, options, options)``."""
    odds = np.sqrt(np.clip(shares, 1e-9, 1 - 1e-9) / (1 - np.clip(shares, 1e-9, 1 - 1e-9)))
    correlation = -odds[:, :, None] * odds[:, None, :]
    diagonal = np.arange(shares.shape[1])
    correlation[:, diagonal, diagonal] = 1.0
    return np.maximum(correlation, -1.0) * errors[:, :, None] * errors[:, None, :]


def _written(out: pd.DataFrame, place: np.ndarray, values: Array, errors: Array, value: str) -> pd.DataFrame:
    before = out[STD_ERROR].to_numpy(float)[place]
    columns = {name: out[name].to_numpy(float, copy=True) for name in (value, STD_ERROR)}
    columns[value][place], columns[STD_ERROR][place] = values, errors
    low, high = normal_intervals(columns[value], columns[STD_ERROR], bounds=OF_A_SHARE if value == SHARE else ANYWHERE)
    for name, limit in ((CONF_LOW, low), (CONF_HIGH, high)):
        columns[name] = out[name].to_numpy(float, copy=True) if name in out else np.full(len(out), np.nan)
        columns[name][place] = limit[place]
    if N_EFF in out:
        columns[N_EFF] = out[N_EFF].to_numpy(float, copy=True)
        cell = pd.factorize(out[BACKGROUND].to_numpy()[place])[0]
        old, new = np.bincount(cell, np.square(before)), np.bincount(cell, np.square(errors))
        columns[N_EFF][place] *= np.divide(old, new, out=np.ones(len(old)), where=new > 0)[cell]
    return out.assign(**columns)
