"""The rows of a figure: which it shows, how options, backgrounds and sources are named, and what it has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Code, Codebook
from surveysim.errors import TableError, first_few, nearest
from surveysim.figures.style import TEXT, label_rows, text_width, widest, wrap
from surveysim.tables.names import known_names_of, names_of
from surveysim.tables.schema import (
    BACKGROUND,
    ESTIMATE,
    OPTION,
    ORDER,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    SUPPRESSED,
    N,
    check_distributions,
    require_columns,
)

LABEL_WIDTH = 170.0  # points of a row's name before it is broken
MOST_LINES = ((15, 3), (30, 2))  # up to so many names, lines of one before it is cut; of more names one
MOST_SOURCES = 7  # that colour, shape and fill tell apart
TALLEST = 24.0  # inches: three pages
LABEL_LINE = 1.25  # height of a line of a row's name, in font sizes
BETWEEN, CUT = " · ", "…"  # between the levels of a background; in place of what is left out
CUT_NOTE = f" {CUT}: names cut; draw=False gives them whole."
WITHHELD, NO_NUMBER = "withheld", "–"  # column of a frame: whether a cell's numbers are withheld; what stands in their place


@dataclass(frozen=True)
class Scale:
    """A question as a figure names it.

    Attributes
    ----------
    text : str
        Wording, or the question's id.
    codes, labels : tuple
        Options in order, with their labels.
    ordered : bool
    extras : tuple
        Codes of `codes` that are no valid answer (``missing="as_option"``).
    """

    text: str
    codes: tuple[Code, ...]
    labels: tuple[str, ...]
    ordered: bool
    extras: tuple[Code, ...] = ()

    @property
    def valid(self) -> tuple[Code, ...]:
        """Codes of the valid answers, in order."""
        return tuple(code for code in self.codes if code not in self.extras)

    def label(self, code: Code) -> str:
        """Return an option's label."""
        return self.labels[self.codes.index(code)]


def question_rows(
    distributions: pd.DataFrame,
    question: str,
    *,
    backgrounds: str | Sequence[str] | pd.DataFrame | None = None,
    sources: str | Sequence[str] | None = None,
    what: str = "distributions",
) -> pd.DataFrame:
    """Return the rows of one question, of the backgrounds and sources asked for (default: all).

    Raises
    ------
    TableError
        If the table breaks its contract, or holds no such question, background or source, or no share at all of them.
    """
    check_distributions(distributions, what)
    rows = distributions[distributions[QUESTION] == question]
    if rows.empty:
        known = map(str, distributions[QUESTION].unique())
        raise TableError(f"{what} holds no question {question!r}; {nearest(str(question), known)}")
    wanted = require_columns(backgrounds, [BACKGROUND], "backgrounds")[BACKGROUND] if isinstance(backgrounds, pd.DataFrame) else backgrounds
    rows = _only(rows, BACKGROUND, wanted, "backgrounds", question)
    rows = _only(rows, SOURCE, sources, "sources", question)
    if not rows[SHARE].notna().any():
        raise TableError(f"question {question!r}: no cell has a share; nobody answered it in {first_few(rows[BACKGROUND].unique())}")
    return rows


def _only(rows: pd.DataFrame, column: str, wanted: object, argument: str, question: str) -> pd.DataFrame:
    if wanted is None:
        return rows
    known, lacking = rows[column].unique(), f"question {question!r} has no"
    return rows[rows[column].isin(known_names_of(wanted, argument, known, error=TableError, lacking=lacking))]


def source_order(rows: pd.DataFrame, sources: str | Sequence[str] | None) -> list[str]:
    """Return the sources as asked for, or in the order in which they appear."""
    return names_of(rows[SOURCE] if sources is None else sources, "sources", error=TableError)


def scale_of(rows: pd.DataFrame, question: str, codebook: Codebook | None) -> Scale:
    """Describe a question's options; without a codebook the codes are the labels and the options count as nominal.

    Raises
    ------
    CodebookError
        If the codebook lacks the question.
    """
    found = rows.drop_duplicates(OPTION).sort_values(ORDER, kind="stable")[OPTION]
    codes = tuple(found)
    if codebook is None:
        return Scale(question, codes, tuple(map(str, codes)), ordered=False)
    asked = codebook.question(question)
    names = dict(zip(asked.codes, asked.labels, strict=True))
    extras = tuple(code for code in codes if code not in names)
    labels = tuple(names.get(code, str(code).replace("_", " ")) for code in codes)
    return Scale(asked.text, codes, labels, ordered=asked.type == "ordinal", extras=extras)


def shown_options(scale: Scale, rows: pd.DataFrame, options: Sequence[Code] | None) -> tuple[Code, ...]:
    """Return the codes whose joint share a figure shows.

    Default: of an ordered question the first half of the scale, without the middle; of two options the first; else the
    option with the largest mean share.

    Raises
    ------
    TableError
        If a code is none of the question's options, or all of them are named.
    """
    if options is not None:
        strange = [code for code in options if code not in scale.codes]
        if strange or not len(options) or len(set(options)) == len(scale.codes):
            raise TableError(
                f"options must be some, not all, of the codes {first_few(scale.codes, 12)}; got {first_few(options, 12) or 'none'}"
            )
        return tuple(code for code in scale.codes if code in set(options))
    if scale.ordered or len(scale.valid) == 2:
        return scale.valid[: len(scale.valid) // 2]
    return (rows.groupby(OPTION, sort=False)[SHARE].mean().reindex(list(scale.valid)).idxmax(),)


def options_label(scale: Scale, codes: Sequence[Code]) -> str:
    """Name some options: ``“A lot” or “Some”``; three or more neighbours on a scale by their ends: ``“0” to “4”``."""
    labels = [f"“{scale.label(code)}”" for code in codes]
    places = [scale.codes.index(code) for code in codes]
    if len(codes) > 2 and places[-1] - places[0] == len(codes) - 1:
        return f"{labels[0]} to {labels[-1]}"
    return " or ".join(labels)


def sources_without(table: pd.DataFrame, estimate: str, limit: str) -> list[str]:
    """Return the sources that have estimates but no interval at all."""
    groups = table.groupby(SOURCE, sort=False)
    return [str(name) for name, own in groups if own[limit].isna().all() and own[estimate].notna().any()]


def counted(table: pd.DataFrame) -> list[str]:
    """Return the sources whose respondents are counted: one that lacks a background has 0 there, one without any n has none."""
    return [str(name) for name, own in table.groupby(SOURCE, sort=False) if N in own and own[N].notna().any()]


def is_withheld(rows: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """Return for each of some cells whether its numbers are withheld, as `protect` marks them: nobody's answers are something else."""
    number, keys = SHARE if SHARE in rows else ESTIMATE, [name for name in (BACKGROUND, SOURCE) if name in cells]
    hidden = rows[rows[number].isna() & (rows[SUPPRESSED].fillna("") != "")] if SUPPRESSED in rows else rows.iloc[:0]
    return np.asarray(pd.MultiIndex.from_frame(cells[keys]).isin(pd.MultiIndex.from_frame(hidden[keys])))


def withheld_note(cells: pd.DataFrame, *, then: str = "") -> str:
    """Say how many of the cells in a figure's frame are withheld, and what that means for it; nothing where none is."""
    cells = cells.drop_duplicates([BACKGROUND, SOURCE])
    hidden, kind = int(cells[WITHHELD].sum()), "cells" if len(cells[SOURCE].unique()) > 1 else "backgrounds"
    return f" {NO_NUMBER}: withheld, {hidden} of {len(cells)} {kind}{then}." if hidden else ""


def n_texts(table: pd.DataFrame) -> list[str]:
    """Write the numbers of respondents in a figure's margin; of a withheld cell none is told."""
    return [NO_NUMBER if hidden else f"{n:,.0f}" for n, hidden in zip(table[N], table[WITHHELD], strict=True)]


def background_label(identifier: str, traits: Sequence[str]) -> str:
    """Name a background by the levels of some traits: ``female · 18-24``."""
    levels = parse_background_id(identifier)
    return " · ".join(levels[trait] for trait in traits if trait in levels) or POOLED


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


def within(heights: np.ndarray, ax: Axes, least: float) -> np.ndarray:
    """Move the names of lines, `least` points high, that stand below or above the axes into them, and those that they push."""
    (low, high), step = ax.get_ylim(), least * per_point(ax)
    place = np.arange(len(heights))
    return np.minimum(np.maximum(heights, low + step * (place + 0.5)), high - step * (len(heights) - place - 1))


def per_point(ax: Axes) -> float:
    """How much of the vertical axis a point (1/72 inch) is."""
    low, high = ax.get_ylim()
    return float((high - low) / (ax.bbox.height * 72 / ax.figure.dpi))


def apart(places: np.ndarray, least: float) -> np.ndarray:
    """Return increasing `places` moved as little as possible (least squares) so that neighbours are at least `least` apart."""
    from scipy.optimize import isotonic_regression

    steps = least * np.arange(len(places))
    return np.asarray(isotonic_regression(places - steps).x) + steps
