"""`show`: a table of results as one wants to see it in a notebook, with what it was made of above it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from surveysim.errors import TableError
from surveysim.rendering import facts_line, frame_table
from surveysim.tables.facts import STATUS, is_estimate, table_facts
from surveysim.tables.schema import N_EFF, ORDER, SOURCE
from surveysim.tables.weighting_record import NOT_RECORDED


@dataclass(frozen=True, eq=False)
class TableView:
    """A table as `show` displays it: HTML in a notebook, text elsewhere.

    Attributes
    ----------
    table : DataFrame
        Unchanged.
    rows : int
        How many rows are displayed.
    """

    table: pd.DataFrame
    rows: int

    @property
    def heading(self) -> str:
        """Whether simulated, and how many rows there are."""
        counted = f"{len(self.table):,} rows" + (f", the first {self.rows} shown" if len(self.table) > self.rows else "")
        return f"{table_facts(self.table).get(STATUS, 'Table')} · {counted}"

    @property
    def facts(self) -> dict[str, str]:
        """What the table records; facts that a table of estimates should record and does not are named in one line."""
        facts = {name: value for name, value in table_facts(self.table).items() if name != STATUS}
        known = {name: value for name, value in facts.items() if value != NOT_RECORDED}
        return {**known, NOT_RECORDED: ", ".join(name for name in facts if name not in known)}

    @property
    def shown(self) -> pd.DataFrame:
        """The rows displayed: a source that the heading names and the options' order are left out."""
        constant = SOURCE in self.table and len(self.table[SOURCE].unique()) == 1
        hidden = [name for name in (ORDER, *([SOURCE] if constant and is_estimate(self.table) else [])) if name in self.table]
        head = self.table.drop(columns=hidden).head(self.rows)
        return head.assign(**{N_EFF: head[N_EFF].round(1).astype(str)} if N_EFF in head else {})

    def __repr__(self) -> str:
        said = [f"{name}: {value}" for name, value in self.facts.items() if value]
        return "\n".join([self.heading, *said, self.shown.to_string(index=False, float_format="{:.3f}".format, na_rep="–")])

    def _repr_html_(self) -> str:
        return facts_line(self.heading, self.facts) + frame_table(self.shown)


def show(table: pd.DataFrame, *, rows: int = 12) -> TableView:
    """Display a table of results with what it was made of: weight, denominator, n, design, and, where simulated, model and seed.

    Parameters
    ----------
    table : DataFrame
        Of any verb. A fact that the table does not record (pandas drops ``attrs`` when it puts unlike tables together or merges
        them) is named as not recorded.
    rows : int
        How many rows to display, at least 1.

    Returns
    -------
    TableView
        HTML as the last line of a notebook's cell, text elsewhere; ``.table`` is the table, unchanged.

    Raises
    ------
    TableError
        If `table` is no DataFrame, or `rows` is below 1.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> view = ss.show(ss.simulate(survey, ["gender"], questions=["Q8_8"], method="mrp"), rows=3)
    >>> view.heading
    "SIMULATED (mrp): estimates of a method, not counts of respondents' answers · 8 rows, the first 3 shown"
    >>> view.facts["weight"], view.facts["denominator"], view.facts["n"]
    ('weight', 'valid answers', '2,880 to 2,927 respondents a cell')
    """
    if rows < 1:
        raise TableError(f"rows must be at least 1; got {rows}")
    table_facts(table)
    return TableView(table, rows)
