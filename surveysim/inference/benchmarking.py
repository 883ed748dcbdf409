"""Small areas that add up: cells adjusted so that their population-weighted mean is a published or direct one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.errors import EstimationError, TableError, first_few, nearest
from surveysim.inference.benchmarked_cells import FITS, BenchmarkedCells
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


def benchmark_to(
    table: pd.DataFrame,
    totals: pd.DataFrame,
    *,
    population: pd.DataFrame | Mapping[str, float],
    method: str = "raking",
    independent: bool = False,
) -> pd.DataFrame:
    """Adjust cells so that their population-weighted mean equals given totals, with standard errors that know it (benchmarking).

    With cells x_c, shares W_c of the population of a total's cells, ``A = sum W_c x_c`` and the total B:

    - ``"difference"``: ``x_c + B - A``;
    - ``"ratio"``: ``x_c B / A``, for means alone, since the shares of a cell would not sum to 1;
    - ``"raking"``: ``p_ck b_k / sum_l p_cl b_l``, one factor an option in the whole group: shares stay in 0-1 and sum to 1 (a logit shift).

    Totals may cross (of women, of men, and of each region): a cell then moves by the shifts, or factors, of all its totals together, the
    least shifts, weighted by population (difference), or the factors of iterative proportional fitting (ratio, raking).

    To first order the error is ``G_c e_c + H_c (e_B - sum W_d G_d e_d)``, e being the errors of cells and total, G and H the derivatives
    (1 and 1 for differences), and H a matrix by total where totals cross. A total of other people's answers, or one that is known, is
    independent of the cells. A total of the same respondents has covariance ``sum_d W_d cov(e_c, e_d)`` with a cell that is their best
    predictor, a composite or multilevel estimate: the squared error then grows by ``var(B) - var(A)`` for differences, and is never less
    than before.

    Assumptions: cells err independently, unless the table has draws, which then say how they go together; within a cell the errors
    of shares go together as a multinomial's; the errors of totals that cross go together as their populations overlap; standard errors are
    root mean squared errors, as of `composite`.

    Parameters
    ----------
    table : DataFrame
        A distributions table of one source, or estimates, one row a background.
    totals : DataFrame
        The same questions and options for coarser backgrounds: ``"all"``, or fewer of the traits; of official source, or without
        `std_error`, they are known. Every cell belongs to one of them or to several. Totals that contradict each other over `population` by
        no more than their standard errors, or .001 of the largest (rounding), are moved to the nearest that agree, weighted by population.
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
        If `method` is unknown or does not suit, a difference leaves 0-1, or no cells can meet the totals.
    TableError
        If a table breaks its contract, a cell belongs to no total, a question or option has none, totals contradict each other, or a
        population share is absent.

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

    To the totals of each gender and of each age at once:

    >>> totals = ss.stack([ss.response_distributions(survey, questions="Q8_8", by=trait) for trait in ("gender", "age3")])
    >>> fitted = ss.benchmark_to(model, totals, population=people)
    >>> fitted.attrs["benchmarked"]
    'raking to survey; they contradict each other by up to 5.4e-05, and the nearest that agree are met'
    """
    if method not in METHODS:
        raise EstimationError(f"method must be one of {', '.join(METHODS)}; got {method!r}, {nearest(str(method), METHODS)}")
    value = SHARE if isinstance(table, pd.DataFrame) and SHARE in table else ESTIMATE
    _check(table, totals, value, method)
    weights = population_shares(population, table[BACKGROUND].unique(), "population")
    shares = dict(zip(table[BACKGROUND].unique(), weights, strict=True))
    groups = _groups(list(shares), list(totals[BACKGROUND].unique()))
    known = _is_known(totals)
    out, moved = table.drop(columns=draw_columns(table)).astype({value: float}), 0.0
    for question, rows in table.groupby(QUESTION, sort=False):
        goals = totals[totals[QUESTION] == question]
        for member in groups:
            own, theirs = rows[rows[BACKGROUND].isin(member.columns)], goals[goals[BACKGROUND].isin(member.index)]
            cells = BenchmarkedCells.of(own, theirs, shares, member=member, value=value, known=known)
            made, variance = cells.adjusted(method, same=not independent and not known)
            place = out.index.get_indexer(own.index)
            out = _written(out, place[cells.place].ravel(), made.ravel(), np.sqrt(variance).ravel(), value)
            moved = max(moved, cells.moved)
    out.attrs = {**table.attrs, "benchmarked": _said(method, totals, moved)}
    return out


def _said(method: str, totals: pd.DataFrame, moved: float) -> str:
    to = f"{method} to {first_few(totals[SOURCE].unique()) if SOURCE in totals else 'totals'}"
    return to if moved <= FITS else f"{to}; they contradict each other by up to {moved:.2g}, and the nearest that agree are met"


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


def _groups(cells: list[str], totals: list[str]) -> list[pd.DataFrame]:
    """Return the totals that hang together, with their cells: a row a total, a column a cell, True where it belongs to it."""
    from scipy.sparse.csgraph import connected_components

    levels: list[dict[str, str]] = [{} if name == POOLED else parse_background_id(name) for name in totals]
    own: list[dict[str, str]] = [{} if name == POOLED else parse_background_id(name) for name in cells]
    member: np.ndarray = np.array([[wanted.items() <= has.items() for has in own] for wanted in levels])
    if not member.any(axis=0).all():
        lost = cells[int(np.argmin(member.any(axis=0)))]
        raise TableError(f"totals: cell {lost!r} belongs to none of {first_few(totals)}; give totals that each cell belongs to")
    empty = [totals[at] for at in np.flatnonzero(~member.any(axis=1))]
    if empty:
        raise TableError(f"totals has {first_few(empty)}, of which table has no cell; leave it out, or simulate its cells")
    count, label = connected_components(member.astype(float) @ member.T.astype(float), directed=False)
    whole = pd.DataFrame(member, index=totals, columns=cells)
    groups = [whole.loc[label == at] for at in range(count)]
    return [group.loc[:, group.any(axis=0)] for group in groups]


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
