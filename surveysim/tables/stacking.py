"""Tables put one under another without losing what each says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from surveysim.errors import TableError, quoted
from surveysim.tables.schema import SIMULATED, require_frame

PARTS = "parts"


def stack(tables: Iterable[pd.DataFrame] | Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables one under another, and keep what each of them says of itself.

    ``pandas.concat`` drops the ``attrs`` of tables that differ in them.

    Parameters
    ----------
    tables : iterable of DataFrame, or mapping of name to DataFrame
        At least one; of a mapping the names are not used.

    Returns
    -------
    DataFrame
        All rows, numbered anew, with `simulated` as a column where a table's ``attrs`` alone say so; a column that a table lacks is missing
        there. ``attrs["parts"]`` lists the ``attrs`` of
        every table, those of a stacked one in its place; what all of them record alike stands in ``attrs`` as well.

    Raises
    ------
    TableError
        If there is no table, or one is no DataFrame.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> surveyed = ss.response_distributions(survey, by="gender", questions="Q8_8")
    >>> both = ss.stack([surveyed, ss.simulate(survey, ["gender"], questions="Q8_8", method="mrp")])
    >>> len(both), [part.get("simulated", False) for part in both.attrs["parts"]], both.attrs["weight"]
    (16, [False, True], 'weight')
    """
    if isinstance(tables, pd.DataFrame) or not isinstance(tables, Iterable):
        raise TableError(f"tables must be a list of tables; got {type(tables).__name__}; write stack([first, second])")
    listed = list(tables.values()) if isinstance(tables, Mapping) else list(tables)
    odd = [place for place, table in enumerate(listed) if not isinstance(table, pd.DataFrame)]
    if odd or not listed:
        got = f"number {odd[0]} is {type(listed[odd[0]]).__name__} {quoted(listed[odd[0]])}" if odd else "got none"
        raise TableError(f"tables must hold DataFrames, at least one; {got}")
    for place, table in enumerate(listed):
        require_frame(table, f"tables[{place}]")
    parts = [part for table in listed for part in table.attrs.get(PARTS, [dict(table.attrs)])]
    stacked = pd.concat([_bare(table) for table in listed], ignore_index=True)
    shared = {name: value for name, value in parts[0].items() if all(name in part and _alike(part[name], value) for part in parts)}
    stacked.attrs = {**shared, PARTS: parts}
    return stacked


def _bare(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table without its facts, which pandas would compare; whether it is simulated stands in its rows."""
    rows = table.copy(deep=False)
    rows.attrs = {}
    told = table.attrs.get(SIMULATED)
    return rows if told is None or SIMULATED in rows else rows.assign(**{SIMULATED: bool(told)})


def _alike(one: object, other: object) -> bool:
    """Whether two facts are the same; such as hold arrays or tables never are."""
    try:
        return bool(one == other)
    except ValueError:
        return False
