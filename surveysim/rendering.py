"""HTML for notebooks: a heading and a small table of facts, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def facts_table(heading: str, facts: Mapping[str, object]) -> str:
    """Return a heading and a two-column table; facts that are empty are left out.

    Examples
    --------
    >>> from surveysim.rendering import facts_table
    >>> facts_table("Survey", {"respondents": 3, "notes": ""})
    '<p><b>Survey</b></p><table><tr><th style="text-align:left">respondents</th><td style="text-align:left">3</td></tr></table>'
    """
    left = ' style="text-align:left"'
    rows = [
        f"<tr><th{left}>{escape(str(name))}</th><td{left}>{escape(str(value))}</td></tr>" for name, value in facts.items() if str(value)
    ]
    return f"<p><b>{escape(heading)}</b></p><table>{''.join(rows)}</table>"
