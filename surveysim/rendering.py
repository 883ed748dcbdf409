"""HTML for notebooks: headings, tables of facts and of rows. All text is escaped, and no colour is set: light and dark pages both work."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

_LEFT = ' style="text-align:left;vertical-align:top;white-space:normal;overflow-wrap:break-word"'
_NAME = ' style="text-align:left;vertical-align:top;white-space:normal;min-width:7em;max-width:16em"'  # a telephone shows both columns
_NUMBER = ' style="text-align:right;vertical-align:top"'


def facts_table(heading: str, facts: Mapping[str, object]) -> str:
    """Return a heading and a two-column table; facts that are empty are left out.

    Examples
    --------
    >>> from surveysim.rendering import facts_table
    >>> "<b>Survey</b>" in facts_table("Survey", {"respondents": 3, "notes": ""}), "notes" in facts_table("Survey", {"notes": ""})
    (True, False)
    """
    rows = [
        f"<tr><th{_NAME}>{escape(str(name))}</th><td{_LEFT}>{escape(str(value))}</td></tr>" for name, value in facts.items() if str(value)
    ]
    return f"<p><b>{escape(heading)}</b></p>" + (f"<table>{''.join(rows)}</table>" if rows else "")


def facts_line(heading: str, facts: Mapping[str, object]) -> str:
    """Return a heading and one paragraph of facts; those that are empty are left out.

    Examples
    --------
    >>> from surveysim.rendering import facts_line
    >>> facts_line("Table", {"n": 3, "notes": ""})
    '<p><b>Table</b><br>n: 3</p>'
    """
    said = " · ".join(f"{escape(str(name))}: {escape(str(value))}" for name, value in facts.items() if str(value))
    return f"<p><b>{escape(heading)}</b>{f'<br>{said}' if said else ''}</p>"


def frame_table(frame: pd.DataFrame) -> str:
    """Return rows as a table that scrolls where the page is narrow; numbers with three digits, a dash for what is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.rendering import frame_table
    >>> ">0.125</td>" in frame_table(pd.DataFrame({"share": [0.125]}))
    True
    """
    sides = [_NUMBER if pd.api.types.is_numeric_dtype(dtype) else _LEFT for dtype in frame.dtypes]
    head = "".join(f"<th{side}>{escape(str(name))}</th>" for name, side in zip(frame.columns, sides, strict=True))
    rows = [
        "".join(f"<td{side}>{_cell(value)}</td>" for value, side in zip(row, sides, strict=True)) for row in frame.itertuples(index=False)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div style="overflow-x:auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def folded(summary: str, html: str) -> str:
    """Return HTML folded away under a line that opens it.

    Examples
    --------
    >>> from surveysim.rendering import folded
    >>> folded("2 < 3", "<p>yes</p>")
    '<details><summary>2 &lt; 3</summary><p>yes</p></details>'
    """
    return f"<details><summary>{escape(summary)}</summary>{html}</details>"
