"""Tables and paragraphs of the page docs/referee.md."""

from __future__ import annotations

from textwrap import fill
from typing import Any

SIMILARITY = "1 - sqrt(JSD)"
JOINED = "\0"  # in the place of a blank where no line may end: a line that began with the minus sign would be an item of a list
NAMES = {
    "wasserstein": "Wasserstein",
    "total_variation": "total variation",
    "kl": "KL",
    "similarity": SIMILARITY,
}
BETTER_HIGH = frozenset({"similarity"})
WIDTH = 140
TV = "total_variation"


def wrapped(text: str, indent: str = "") -> str:
    """Return a paragraph, or an item of a list, in lines of the pages' width."""
    words = " ".join(text.split()).replace(SIMILARITY, SIMILARITY.replace(" ", JOINED))
    return fill(words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False).replace(JOINED, " ")


def by_round(rounds: dict[str, dict[str, Any]], metric: str, key: str = "rows") -> list[str]:
    """Return a table of all sources by round, in one metric; `key` names a part's rows."""
    values = {name: {row["source"]: row for row in part[key] if row["metric"] == metric} for name, part in rounds.items()}
    sources = list(next(iter(values.values())))
    lines = [f"| | {' | '.join(rounds)} |", "|---|" + "---|" * len(rounds)]
    for source in sources:
        cells = [_cell(values[name][source]) for name in rounds]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return lines


def table_of(rows: list[dict[str, Any]], metrics: list[str], compared: str) -> list[str]:
    """Return a table of all sources, with the paired difference in one metric."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    values = {(row["source"], row["metric"]): row for row in rows}
    lines = [
        f"| | {' | '.join(NAMES[name] for name in metrics)} | difference in {NAMES[compared]} |",
        "|---|" + "---|" * (len(metrics) + 1),
    ]
    for source in sources:
        cells = [_interval(values[source, metric]) for metric in metrics]
        lines.append(f"| {source} | {' | '.join(cells)} | {_difference(values[source, compared])} |")
    return lines


def _interval(row: dict[str, Any]) -> str:
    return f"{row['estimate']:.4f} ({row['low']:.4f}-{row['high']:.4f})"


def _difference(row: dict[str, Any]) -> str:
    if not row["difference"] and not row["difference_low"]:
        return "–"
    text = f"{row['difference']:+.4f} ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
    return f"**{text}**" if _better(row) else text


def _cell(row: dict[str, Any]) -> str:
    text = f"{row['estimate']:.4f}"
    return f"**{text}**" if _better(row) else text


def _better(row: dict[str, Any]) -> bool:
    """Whether the interval of the difference excludes 0 in favour of the row."""
    return row["difference_low"] > 0 if row["metric"] in BETTER_HIGH else row["difference_high"] < 0
