"""What tables give away together: bounds of every withheld cell, as whoever has all of the tables can work them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from surveysim.errors import TableError
from surveysim.publishing.cell_bounds import cell_bounds
from surveysim.publishing.cell_rule import KEY, sizes_told
from surveysim.publishing.disclosure import DISCLOSURE, cells_of, recorded_nesting
from surveysim.publishing.margin_sums import margin_equations
from surveysim.tables.schema import BACKGROUND, QUESTION, SOURCE, SUPPRESSED, N

LOW, HIGH, EXPOSED = "n_low", "n_high", "exposed"


def audit_disclosure(tables: pd.DataFrame | Iterable[pd.DataFrame] | Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return how closely the tables that are to be published tell the size of every cell that they withhold.

    Whoever has all of them knows the sums: a margin is the sum of its cells, a level of the levels within it (as `protect` finds them),
    a cell that one table withholds may stand in another. Between which numbers of respondents a withheld cell lies follows by linear
    programming: the least and the greatest n_c for which all sums hold, in whole numbers, with what the reason for withholding says
    (1 to 9 for "fewer than 10 respondents") and, of a rounded table, half a base either way.

    Assumption: everyone has every trait, as an intruder would take it. Sums that the numbers contradict are left out. Shares and
    means are not audited: they follow exactly only where a cell's size does.

    Parameters
    ----------
    tables : DataFrame, iterable of DataFrame, or mapping of name to DataFrame
        Distributions or estimates tables, all that are out or will be, each as `protect` returns it. Cells of different sources are
        taken apart.

    Returns
    -------
    DataFrame
        A row per withheld cell: `question_id source background_id suppressed n_low n_high exposed`. `n_low` and `n_high` are numbers of
        respondents, `n_high` infinite where nothing bounds it; `exposed`: only one number is left.

    Raises
    ------
    TableError
        If there is no table, one is no DataFrame, or breaks its contract, or lacks `n`.

    References
    ----------
    Fischetti and Salazar (2001), Management Science 47, 1008-1027, doi:10.1287/mnsc.47.7.1008.9805. Hundepool et al. (2012), Statistical
    Disclosure Control, section 4.4, Wiley, doi:10.1002/9781118348239.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> small, _ = ss.hold_out_respondents(survey, n_train=60, seed=1)
    >>> ages = [ss.response_distributions(small, by=trait, questions="Q8_8") for trait in ("age6", "age3")]
    >>> found = ss.audit_disclosure([ss.protect(table) for table in ages])
    >>> found.loc[found["exposed"], ["background_id", "n_low", "n_high"]].values.tolist()
    [['age6=18-24', 2.0, 2.0]]
    >>> bool(ss.audit_disclosure(ss.protect(ss.stack(ages)))["exposed"].any())
    False
    """
    listed = _listed(tables)
    known = pd.concat([_told(table, what) for what, table in listed.items()], ignore_index=True)
    recorded = recorded_nesting(list(listed.values()))
    found = [_bounds(part, recorded) for _, part in known.groupby([QUESTION, SOURCE], sort=False)]
    return pd.concat(found, ignore_index=True)[[*KEY, SUPPRESSED, LOW, HIGH, EXPOSED]]


def _listed(tables: object) -> dict[str, pd.DataFrame]:
    """Return the tables by the name that messages give them."""
    if isinstance(tables, pd.DataFrame):
        return {"tables": tables}
    if not isinstance(tables, Iterable):
        raise TableError(f"tables must be a table or a list of tables; got {type(tables).__name__}")
    items = list(tables.items()) if isinstance(tables, Mapping) else [(f"table {place}", table) for place, table in enumerate(tables)]
    if not items:
        raise TableError("tables holds no table; give all that are to be published")
    return {str(name): table for name, table in items}


def _told(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return a row per cell of a table, and between which sizes the table itself puts it."""
    cells = cells_of(table, what)
    rule = table.attrs.get(DISCLOSURE) or {}
    least = int(rule.get("min_n") or 1)
    n, reasons = cells[N].to_numpy(float), cells[SUPPRESSED].to_numpy(object)
    withheld = np.isnan(n)
    low, high = sizes_told(reasons, n, least)
    away = np.where((n == 0) & (reasons == ""), 0, least / 2) if rule.get("how") == "round" else np.zeros(len(n))
    low, high = np.where(withheld, low, np.maximum(n - away, 0)), np.where(withheld, high, n + away)
    return cells.assign(**{LOW: np.ceil(low), HIGH: np.floor(high)})[(reasons != "") | ~withheld]


def _bounds(cells: pd.DataFrame, recorded: Mapping[str, list[str]]) -> pd.DataFrame:
    """Return the withheld cells of one question and source, with their bounds."""
    by_cell = cells.groupby(BACKGROUND, sort=False)
    low, high = by_cell[LOW].max(), by_cell[HIGH].min()
    low, high = low.where(low <= high, by_cell[LOW].min()), high.where(low <= high, by_cell[HIGH].max())  # tables that contradict
    equations = margin_equations(list(low.index), recorded)
    parts = np.zeros(equations.shape[1] - len(low))  # of levels whose borders cross: any number
    bounds = np.append(low.to_numpy(float), parts), np.append(high.to_numpy(float), parts + np.inf)
    least, most = (side[: len(low)] for side in cell_bounds(equations, np.zeros(len(equations)), *bounds))
    sizes = pd.DataFrame({LOW: least, HIGH: most, EXPOSED: least == most}, index=low.index)
    withheld = cells[cells[SUPPRESSED] != ""].drop_duplicates(BACKGROUND)
    return withheld.drop(columns=[LOW, HIGH]).join(sizes, on=BACKGROUND)
