"""How the levels of one trait differ from the pooled answer: the shifts that a figure shows, and the figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Code, Codebook
from surveysim.errors import TableError, first_few, nearest
from surveysim.figures.dots import interval_note, same_n, spread
from surveysim.figures.layout import check_height, check_sources, cut_note, lines_height, margin_of, row_names
from surveysim.figures.rows import Scale, joint_shares, level_order, options_label, trait_order
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
from surveysim.tables.cells import Z_95
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, N_EFF, POPULATION_SHARE, SHARE, SOURCE, STD_ERROR, N, require_columns

SHIFT, POOLED_SHARE, LEVEL = "shift", "pooled_share", "level"
COLUMN, SOURCE_HEIGHT = 27.0, 9.0  # points
MOST_COLUMNS = 8  # of shifts and n in the margin; where there would be more, those of n alone
UNNUMBERED = " Shifts in numbers: draw=False."


def shift_table(
    rows: pd.DataFrame,
    codes: Sequence[Code],
    trait: str,
    sources: Sequence[str],
    codebook: Codebook | None,
    population: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return what `draw_shifts` draws: a row per level of `trait` and source.

    With the cells' weights w and shares S, the shift of a level is ``sum c S``, ``c = w / w(level) - w / w(all)`` in the
    level and ``- w / w(all)`` outside; its variance ``sum c^2 se^2`` takes the cells as independent. A cell whose standard
    error is 0, because its few respondents agree, has the variance of the source's pooled share on `n_eff` respondents.

    Columns `level source row y share shift std_error conf_low conf_high pooled_share n` (shares 0-1).

    Raises
    ------
    TableError
        If the backgrounds lack the trait, or cannot be weighted.
    """
    ids = list(rows[BACKGROUND].unique())
    lacking = [name for name in ids if trait not in parse_background_id(name)]
    if lacking:
        known = trait_order(ids, None)
        raise TableError(f"trait: the backgrounds {first_few(lacking)} have no trait {trait!r}; {nearest(trait, known)}")
    levels = level_order(ids, trait, codebook)
    if len(levels) < 2:
        raise TableError(f"trait: every background has level {levels[0]!r} of {trait!r}; a shift needs two levels")
    cells = joint_shares(rows, codes)
    cells = cells.assign(_weight=_cell_weights(cells, population), level=[parse_background_id(name)[trait] for name in cells[BACKGROUND]])
    found = [_source_shifts(own, levels).assign(**{SOURCE: name}) for name in sources for own in [cells[cells[SOURCE] == name]]]
    table = pd.concat(found, ignore_index=True)
    table["row"] = table[LEVEL].map({level: float(place) for place, level in enumerate(levels)})
    table["y"] = table["row"] + spread(table[SOURCE], sources)
    first = [LEVEL, SOURCE, "row", "y"]
    return table[[*first, *(column for column in table if column not in first)]]


def _cell_weights(cells: pd.DataFrame, population: pd.DataFrame | None) -> np.ndarray:
    """Return the weight of every cell: its population share, or the respondents of the source that has most."""
    if population is not None:
        require_columns(population, [BACKGROUND, POPULATION_SHARE], "population")
        weights = population.set_index(BACKGROUND)[POPULATION_SHARE]
        absent = [name for name in cells[BACKGROUND].unique() if name not in weights.index]
        if absent:
            raise TableError(f"population has no share of background {first_few(absent)}; give each one, 0 where there is nobody")
        return cells[BACKGROUND].map(weights).to_numpy(float)
    largest = largest_source(cells)
    if largest is None:
        raise TableError("distributions has no n to weight the backgrounds by; give population=, with background_id and population_share")
    sizes = cells[cells[SOURCE] == largest].set_index(BACKGROUND)[N]
    return cells[BACKGROUND].map(sizes).fillna(0).to_numpy(float)


def largest_source(cells: pd.DataFrame) -> str | None:
    """Return the source with most respondents, or None where no source has any."""
    totals = cells.drop_duplicates([BACKGROUND, SOURCE]).groupby(SOURCE, sort=False)[N].sum() if N in cells else pd.Series(dtype=float)
    return str(totals.idxmax()) if len(totals) and totals.max() > 0 else None


def _source_shifts(cells: pd.DataFrame, levels: Sequence[str]) -> pd.DataFrame:
    """Return the shifts of one source; a level of which it has no cell has none."""
    cells = cells[cells[SHARE].notna()]
    share, weight = cells[SHARE].to_numpy(float), cells["_weight"].to_numpy(float)
    member = cells[LEVEL].to_numpy() == np.array(levels, dtype=object)[:, None]  # (levels, cells)
    with np.errstate(invalid="ignore"):
        within = np.where(member, weight, 0.0) / np.where(member, weight, 0.0).sum(1, keepdims=True)
        overall = weight / weight.sum()
    pooled = float(overall @ share)
    contrast = within - overall
    std_error = np.sqrt(contrast**2 @ _variances(cells, pooled))
    shift = contrast @ share
    numbers = {SHARE: within @ share, SHIFT: shift, STD_ERROR: std_error}
    interval = {CONF_LOW: shift - Z_95 * std_error, CONF_HIGH: shift + Z_95 * std_error}
    n = np.where(member, cells[N].fillna(0).to_numpy(float), 0.0).sum(1) if cells[N].notna().any() else np.nan
    return pd.DataFrame({LEVEL: levels, **numbers, **interval, POOLED_SHARE: pooled, N: n})


def _variances(cells: pd.DataFrame, pooled: float) -> np.ndarray:
    error, n_eff = cells[STD_ERROR].to_numpy(float), cells[N_EFF].to_numpy(float)
    binomial = np.divide(pooled * (1 - pooled), n_eff, out=np.full(len(n_eff), np.nan), where=n_eff > 0)
    return np.where(error == 0, binomial, error**2)


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
