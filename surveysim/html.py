"""HTML of what a notebook shows and of the page that `report` writes: escaped, readable on any width, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import pandas as pd

_LEFT = ' style="text-align:left;vertical-align:top;white-space:normal;overflow-wrap:break-word"'
_NAME = ' style="text-align:left;vertical-align:top;white-space:normal;min-width:7em;max-width:16em"'  # a telephone shows both columns
_NUMBER = ' style="text-align:right;vertical-align:top"'

MISSING = "not stated"  # how a fact that ought to be disclosed and is not known stands in the report
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --muted: #555; --paper: #fff; --line: #ccc; --warn: #8a3b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --muted: #aaa; --paper: #161616; --line: #444; --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { font-size: 1.2rem; border-top: 1px solid var(--line); padding-top: .8rem; margin-top: 2rem; }
.banner { border: 2px solid currentColor; padding: .6rem .9rem; font-weight: 600; overflow-wrap: anywhere; }
.missing { color: var(--warn); font-style: italic; }
table { border-collapse: collapse; font-size: .875rem; } th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
table.facts { width: 100%; } table.facts th { text-align: left; vertical-align: top; width: 12rem; color: var(--muted); font-weight: 600; }
table.facts td { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); padding: .6rem; font-size: .8rem; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; background: #fff; }
figcaption { font-size: .875rem; color: var(--muted); }
@media (max-width: 30rem) { table.facts th { width: 7rem; } th, td { padding: .25rem .3rem; } }
@media screen and (max-width: 40rem) { figure { overflow-x: auto; } figure img { max-width: none; width: 38rem; }
  figure:has(img)::before { content: "scroll sideways \\2192"; display: block; font-style: italic; }
  div[style*="overflow-x"] { background: linear-gradient(to left, var(--paper) 1rem, transparent) right / 2rem 100% no-repeat local,
    linear-gradient(to left, #888c, transparent) right / 1.2rem 100% no-repeat scroll; } }  /* a shadow where more is to the right */
@media print { :root { --ink: #000; --muted: #333; --paper: #fff; --line: #999; --warn: #000; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  table { font-size: 8pt; max-width: 100%; } th, td { padding: .15rem .35rem; overflow-wrap: anywhere; } a { color: inherit; }
  h2 { break-after: avoid; } tr, figure { break-inside: avoid; } div { overflow: visible !important; } }
"""


class Section(NamedTuple):
    """A heading, its anchor, and the HTML below it."""

    anchor: str
    title: str
    html: str


def page(title: str, banner: str, sections: Sequence[Section], *, language: str = "en") -> str:
    """Return a whole HTML document."""
    links = "".join(f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in sections)
    body = "".join(f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>{section.html}</section>' for section in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n"
        f'<body><h1>{escape(title)}</h1><p class="banner">{escape(banner)}</p><nav><ol>{links}</ol></nav>\n{body}\n</body></html>\n'
    )


def disclosed_facts(facts: Mapping[str, object]) -> str:
    """Return facts that ought to be known as a two-column table of the page; one that is empty is named as not stated.

    Examples
    --------
    >>> from surveysim.html import disclosed_facts
    >>> "not stated" in disclosed_facts({"seed": None}), "not stated" in disclosed_facts({"seed": 0})
    (True, False)
    """
    return f'<table class="facts"><tbody>{_rows({name: _stated(value) for name, value in facts.items()})}</tbody></table>'


def _stated(value: object) -> str:
    """Return a fact escaped, or that it is missing."""
    text = "" if value is None else str(value).strip()
    return escape(text) if text and text != "not recorded" else f'<span class="missing">{MISSING}</span>'


def _rows(facts: Mapping[str, str], name_style: str = "", value_style: str = "") -> str:
    """Rows of names and values; the values are HTML already."""
    return "".join(f"<tr><th{name_style}>{escape(str(name))}</th><td{value_style}>{value}</td></tr>" for name, value in facts.items())


def paragraph(text: str, *, missing: bool = False) -> str:
    """Return a paragraph, marked where it says that something is missing."""
    return f'<p class="missing">{escape(text)}</p>' if missing else f"<p>{escape(text)}</p>"


def preformatted(text: str) -> str:
    """Return text as it is written."""
    return f"<pre>{escape(text)}</pre>"


def facts_table(heading: str, facts: Mapping[str, object]) -> str:
    """Return a heading and a two-column table that needs no style sheet; facts that are empty are left out.

    Examples
    --------
    >>> from surveysim.html import facts_table
    >>> "<b>Survey</b>" in facts_table("Survey", {"respondents": 3, "notes": ""}), "notes" in facts_table("Survey", {"notes": ""})
    (True, False)
    """
    known = {name: escape(str(value)) for name, value in facts.items() if str(value)}
    return facts_line(heading, {}) + (f"<table>{_rows(known, _NAME, _LEFT)}</table>" if known else "")


def facts_line(heading: str, facts: Mapping[str, object]) -> str:
    """Return a heading and one paragraph of facts; those that are empty are left out.

    Examples
    --------
    >>> from surveysim.html import facts_line
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
    >>> from surveysim.html import frame_table
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
    >>> from surveysim.html import folded
    >>> folded("2 < 3", "<p>yes</p>")
    '<details><summary>2 &lt; 3</summary><p>yes</p></details>'
    """
    return f"<details><summary>{escape(summary)}</summary>{html}</details>"
