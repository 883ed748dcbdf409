"""The figure of how the levels of one trait differ from the pooled answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.codebook import Code, Codebook
from surveysim.estimation.trait_shifts import LEVEL, POOLED_SHARE, SHIFT, trait_shifts
from surveysim.figures.dots import interval_note, same_n, spread
from surveysim.figures.layout import check_height, check_sources, cut_note, lines_height, margin_of, row_names
from surveysim.figures.rows import Scale, options_label
from surveysim.figures.style import (
    GRID,
    INK,
    LINE,
    PERCENT,
    SMALL,
    STRIPE,
    TEXT,
    TITLE,
    WIDTH,
    dots,
    dress,
    handle,
    key_above,
    key_height,
    label_rows,
    margin_column,
    new_axes,
    nice_limits,
    note_below,
    note_height,
    signed,
    source_marks,
    titles_above,
    titles_height,
    wrap,
)
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, SOURCE, N

COLUMN, SOURCE_HEIGHT = 27.0, 9.0  # points
MOST_COLUMNS = 8  # of shifts and n in the margin; where there would be more, those of n alone
UNNUMBERED = " Shifts in numbers: draw=False."


def shift_table(
    rows: pd.DataFrame,
    codes: Sequence[Code],
    trait: str,
    sources: Sequence[str],
    *,
    codebook: Codebook | None,
    population: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return what `draw_shifts` draws: the `trait_shifts` with the place of each, `row` and `y`.

    Columns `level source row y share shift std_error conf_low conf_high pooled_share n` (shares 0-1).

    Raises
    ------
    TableError
        As of `trait_shifts`.
    """
    table = trait_shifts(rows, codes, trait, sources, codebook=codebook, population=population)
    rows_of = {level: float(place) for place, level in enumerate(dict.fromkeys(table[LEVEL]))}
    table["row"] = table[LEVEL].map(rows_of)
    table["y"] = table["row"] + spread(table[SOURCE], sources)
    first = [LEVEL, SOURCE, "row", "y"]
    return table[[*first, *(column for column in table if column not in first)]]


def draw_shifts(table: pd.DataFrame, scale: Scale, codes: Sequence[Code], trait: str, counted: str, ax: Axes | None) -> Axes:
    """Draw the shifts of `shift_table` with their intervals about a zero line; shifts and n in the margin."""
    check_sources(list(table[SOURCE].unique()))
    marks, groups, levels = source_marks(list(dict.fromkeys(table[SOURCE]))), same_n(table), table.drop_duplicates(LEVEL)
    names, numbered = row_names(list(levels[LEVEL])), len(marks) + len(groups) <= MOST_COLUMNS
    left, right, across = margin_of(names), 14 + COLUMN * (len(marks) * numbered + len(groups)), 0.0
    width = WIDTH - 4 if ax is None else dress(ax)
    note = f"{interval_note(table)} n: respondents. {counted}{'' if numbered else UNNUMBERED}{cut_note(names)}"
    shown = f"% answering {options_label(scale, codes)}, by {trait}: difference from the pooled share"
    titles = [(wrap(scale.text, width, TITLE), TITLE, False), (wrap(shown, width, bold=True), TEXT, True)]
    pooled = table.drop_duplicates(SOURCE).set_index(SOURCE)[POOLED_SHARE]
    key = [f"{name} (pooled {PERCENT * pooled[name]:.0f}%)" for name in marks]
    above = TEXT * LINE + 18 + key_height(key, width) + 6
    if ax is None:
        height, top = len(levels) * max(SOURCE_HEIGHT * len(marks) + 6, lines_height(names)), above + titles_height(titles) + 4
        check_height(top + height, f"{len(levels)} levels x {len(marks)} sources", "choose some with sources=, or a trait of fewer levels")
        (ax,) = new_axes(left=left, right=right, top=top, bottom=note_height(note, 34, width), height=height)
        across = -left
    _axis(ax, table)
    for source, mark in marks.items():
        own = table[table[SOURCE] == source]
        dots(ax, PERCENT * own[[SHIFT, CONF_LOW, CONF_HIGH]].to_numpy(float), own["y"].to_numpy(float), mark)
    label_rows(ax, list(levels["row"]), names)
    _columns(ax, table, marks if numbered else {}, groups, marks)
    key_above(ax, [handle(mark) for mark in marks.values()], key, TEXT * LINE + 18, width, across=across)
    titles_above(ax, titles, above, across=across)
    note_below(ax, note, 34, width, across=across)
    return ax


def _axis(ax: Axes, table: pd.DataFrame) -> None:
    values = PERCENT * table[[SHIFT, CONF_LOW, CONF_HIGH]].to_numpy(float)
    low, high = nice_limits(np.append(values, 0.0), 5)
    step = next(size for size in (1, 2, 5, 10, 20, 50) if (high - low) / size <= 8 or size == 50)
    ticks = [tick for tick in range(-100, 101, step) if low <= tick <= high]
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [signed(tick) for tick in ticks])
    ax.set_xlabel("percentage points below (−) or above (+) the source's own pooled share", fontsize=SMALL, labelpad=3)
    ax.set_ylim(table["row"].max() + 0.6, -0.6)
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    for row in table["row"].unique():
        ax.axhspan(row - 0.45, row + 0.45, color=STRIPE, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)


def _columns(ax: Axes, table: pd.DataFrame, numbered: dict, groups: list[list[str]], marks: dict) -> None:
    for place, (source, mark) in enumerate(numbered.items()):
        own = table[(table[SOURCE] == source) & table[SHIFT].notna()]
        texts = [signed(PERCENT * value) for value in own[SHIFT]]
        margin_column(ax, COLUMN * (place + 1), own["row"], texts, head="shift" if place == len(numbered) - 1 else "", marks=[mark])
    for place, group in enumerate(groups):
        own = table[table[SOURCE] == group[0]]
        texts = [f"{n:,.0f}" for n in own[N]]
        across = 10 + COLUMN * (len(numbered) + place + 1)
        margin_column(ax, across, own["row"], texts, head="n" if place == len(groups) - 1 else "", marks=[marks[name] for name in group])
