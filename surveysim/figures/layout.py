"""What a figure has room for: names of rows that are broken or cut, sources that can be told apart, and a height that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from surveysim.errors import TableError, first_few
from surveysim.figures.style import TEXT, label_rows, text_width, widest, wrap

LABEL_WIDTH = 170.0  # points of a row's name before it is broken
MOST_LINES = ((15, 3), (30, 2))  # up to so many names, lines of one before it is cut; of more names one
MOST_SOURCES = 7  # that colour, shape and fill tell apart
TALLEST = 24.0  # inches: three pages
LABEL_LINE = 1.25  # height of a line of a row's name, in font sizes
BETWEEN, CUT = " · ", "…"  # between the levels of a background; in place of what is left out
CUT_NOTE = f" {CUT}: names cut; draw=False gives them whole."


def row_names(names: Sequence[str], *, bold: bool = False) -> list[str]:
    """Break names into lines of `LABEL_WIDTH`; of one that would take more lines than there is room for, the longest levels are cut."""
    broken, most = [], next((lines for count, lines in MOST_LINES if len(names) <= count), 1)
    for name in names:
        lines, room = wrap(str(name), LABEL_WIDTH, bold=bold), most * LABEL_WIDTH * 1.25
        while len(lines) > most:
            room -= LABEL_WIDTH / 4
            lines = wrap(fitted(str(name), room, bold=bold), LABEL_WIDTH, bold=bold)
        broken.append("\n".join(lines))
    return broken


def fitted(name: str, room: float, *, bold: bool = False) -> str:
    """Cut the longest levels of a background's name inside, so that the whole is at most `room` points wide."""
    parts = name.split(BETWEEN)
    room -= text_width(BETWEEN, bold=bold) * (len(parts) - 1)
    widths = [text_width(part, bold=bold) for part in parts]
    for rank, place in enumerate(np.argsort(widths, kind="stable")):  # what the short ones do not need is left to the long ones
        parts[place] = _cut_inside(parts[place], room / (len(parts) - rank), bold=bold)
        room -= text_width(parts[place], bold=bold)
    return BETWEEN.join(parts)


def _cut_inside(text: str, room: float, *, bold: bool) -> str:
    """Leave out the middle of a text that is too wide: its end may be what tells it from another."""
    kept, shown = len(text), text
    while kept > 2 and text_width(shown, bold=bold) > room:
        kept -= max(1, int(0.1 * kept))
        shown = f"{text[: kept - kept // 3].rstrip()}{CUT}{text[len(text) - kept // 3 :].lstrip()}"
    return shown


def lines_height(names: Sequence[str]) -> float:
    """Return the height in points that a row needs for the tallest of some broken names."""
    return TEXT * LABEL_LINE * max((name.count("\n") + 1 for name in names), default=1) + 5


def name_rows(ax: Axes, rows: tuple[Sequence[float], Sequence[str]], heads: tuple[Sequence[float], Sequence[str]], left: float) -> None:
    """Name the rows of a figure at the left; headings too, or where the margin is too narrow, from its edge across the axes."""
    places, names, over, titles = list(rows[0]), list(rows[1]), list(heads[0]), list(heads[1])
    if widest(titles, bold=True) <= max(left, LABEL_WIDTH):
        label_rows(ax, over + places, titles + names, [True] * len(over) + [False] * len(places))
        return
    label_rows(ax, places, names)
    room = left + ax.bbox.width * 72 / ax.figure.dpi - 4
    style: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False, "zorder": 6}
    for y, title in zip(over, titles, strict=True):
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        words = fitted(title, room, bold=True)
        ax.annotate(words, (0, y), (-left, 0), va="center", fontsize=TEXT, fontweight="bold", bbox=patch, **style)


def margin_of(names: Sequence[str], titles: Sequence[str] = ()) -> float:
    """Return the margin in points that the names of rows need, and headings where they fit one."""
    plain = widest(line for name in names for line in name.split("\n"))
    bold = widest(titles, bold=True)
    return max(plain, bold if bold <= LABEL_WIDTH else 0.0) + 12


def cut_note(names: Sequence[str]) -> str:
    """Say that names are cut, where any is."""
    return CUT_NOTE if any(CUT in name for name in names) else ""


def check_sources(sources: Sequence[str]) -> None:
    """Refuse more sources than a figure can tell apart.

    Raises
    ------
    TableError
        If there are more than seven.
    """
    if len(sources) > MOST_SOURCES:
        raise TableError(
            f"{len(sources)} sources: a figure tells {MOST_SOURCES} apart; choose some with sources=: {first_few(sources, len(sources))}"
        )


def check_height(points: float, what: str, remedy: str) -> None:
    """Refuse a figure that nobody could read.

    Raises
    ------
    TableError
        If it would be taller than three pages.
    """
    if points / 72 > TALLEST:
        raise TableError(
            f"{what}: the figure would be {points / 72:.0f} inches tall, more than {TALLEST:.0f}; {remedy}; draw=False gives the frame"
        )
