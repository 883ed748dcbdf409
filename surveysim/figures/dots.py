"""One joint share by background as dots with intervals: compact enough for dozens of backgrounds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.backgrounds import level_order, parse_background_id, trait_order
from surveysim.codebook.codebook import Code, Codebook
from surveysim.errors import first_few
from surveysim.estimation.joint_shares import joint_shares
from surveysim.figures.rows import (
    LABEL_WIDTH,
    WITHHELD,
    Scale,
    background_label,
    check_height,
    check_sources,
    counted,
    cut_note,
    fitted,
    is_withheld,
    lines_height,
    margin_of,
    n_texts,
    name_rows,
    options_label,
    row_names,
    sources_without,
    withheld_note,
)
from surveysim.figures.style import (
    GRID,
    LINE,
    PERCENT,
    STRIPE,
    TEXT,
    TITLE,
    WIDTH,
    dots,
    dress,
    handle,
    key_above,
    key_height,
    margin_column,
    new_axes,
    note_below,
    note_height,
    put_above,
    source_marks,
    titles_above,
    titles_height,
    widest,
    wrap,
)
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, SHARE, SOURCE, N

SPREAD, SOURCE_HEIGHT = 0.84, 6.5  # part of a row over which its sources stand; height of one source in points
LEAST_HEIGHT = 13.0  # points of a row, so that its label has room
MOST_ROWS, MOST_PANELS = 12, 3  # rows from which the backgrounds are parted into panels; panels beside each other
N_WIDTH, LEAST_PANEL = 27.0, 50.0  # points of a column of n, and of a panel without it
NARROW = 100.0  # points of a panel that has room for 0, 50 and 100 alone


def dot_table(
    rows: pd.DataFrame, codes: Sequence[Code], ids: Sequence[str], sources: Sequence[str], codebook: Codebook | None, *, panels: bool
) -> pd.DataFrame:
    """Return what `draw_dots` draws: a row per background and source.

    Columns `background_id panel heading background source row y share conf_low conf_high n withheld`: `row` counts from the top of a
    panel, `y` is the height of the source within the row.
    """
    joint = joint_shares(rows, codes)[[BACKGROUND, SOURCE, SHARE, CONF_LOW, CONF_HIGH, N]]
    joint[WITHHELD] = is_withheld(rows, joint)
    table = _placed(joint, ids, sources, codebook, panels=panels)
    return table if _room_for_panels(table) else _placed(joint, ids, sources, codebook, panels=False)


def _placed(joint: pd.DataFrame, ids: Sequence[str], sources: Sequence[str], codebook: Codebook | None, *, panels: bool) -> pd.DataFrame:
    places = _places(ids, codebook, panels=panels)
    table = places.merge(pd.DataFrame({SOURCE: list(sources)}), how="cross")
    table = table.merge(joint, on=[BACKGROUND, SOURCE], how="left")
    table[WITHHELD] = table[WITHHELD].eq(True)
    table.loc[table[SOURCE].isin(counted(table)) & table[N].isna() & ~table[WITHHELD], N] = 0
    table.insert(int(table.columns.get_indexer(["row"])[0]) + 1, "y", table["row"] + spread(table[SOURCE], sources))
    return table


def _room_for_panels(table: pd.DataFrame) -> bool:
    """Whether panels beside each other, with n in the margin of each, leave enough for the dots."""
    panels, heads = table["panel"].nunique(), list(table["heading"].unique())
    if panels == 1:
        return True
    names, margin = row_names(list(table["background"].unique())), _n_margin(table)
    left = margin_of(names, heads)
    return widest(heads, bold=True) <= LABEL_WIDTH and (WIDTH - left - panels * margin - 10 * (panels - 1)) / panels >= LEAST_PANEL


def _n_margin(table: pd.DataFrame) -> float:
    return 10 + N_WIDTH * len(same_n(table))


def spread(source: pd.Series, sources: Sequence[str]) -> pd.Series:
    """Return how far from the middle of its row each source stands, in rows."""
    middle = (len(sources) - 1) / 2
    step = SPREAD / len(sources)
    return source.map({name: (place - middle) * step for place, name in enumerate(sources)}).astype(float)


def _places(ids: Sequence[str], codebook: Codebook | None, *, panels: bool) -> pd.DataFrame:
    traits = trait_order(ids, codebook)
    across = _panel_trait(ids, traits, codebook) if panels else None
    inner = [trait for trait in traits if trait != across]
    named = pd.DataFrame({BACKGROUND: list(ids)})
    named["panel"] = [parse_background_id(name)[across] if across else "" for name in ids]
    labels = {name: background_label(name, inner[-1:]) for name in ids}
    headings = {name: background_label(name, inner[:-1]) if len(inner) > 1 else "" for name in ids}
    keys = list(dict.fromkeys((headings[name], labels[name]) for name in ids))
    if len({heading for heading, _ in keys}) == len(keys):  # a heading over each single row is none
        headings, labels = dict.fromkeys(ids, ""), {name: background_label(name, inner) for name in ids}
        keys = list(dict.fromkeys((headings[name], labels[name]) for name in ids))
    heights, height, last = {}, 0.0, ""
    for heading, label in keys:
        height += 0.85 if heading != last else 0.0
        heights[heading, label], last, height = height, heading, height + 1
    named["heading"], named["background"] = named[BACKGROUND].map(headings), named[BACKGROUND].map(labels)
    return named.assign(row=[heights[headings[name], labels[name]] for name in ids])


def _panel_trait(ids: Sequence[str], traits: Sequence[str], codebook: Codebook | None) -> str | None:
    """Return the trait whose levels become panels: the one of fewest levels, where there are many rows."""
    sizes = {trait: len(level_order(ids, trait, codebook)) for trait in traits}
    whole = [trait for trait in traits if all(trait in parse_background_id(name) for name in ids) and 1 < sizes[trait] <= MOST_PANELS]
    return min(whole, key=sizes.__getitem__) if len(ids) > MOST_ROWS and len(traits) > 1 and whole else None


def draw_dots(table: pd.DataFrame, scale: Scale, codes: Sequence[Code], ax: Axes | None) -> Axes:
    """Draw the dots of `dot_table`, a panel beside the other, n in the margin of each."""
    check_sources(list(table[SOURCE].unique()))
    marks, wide = source_marks(list(dict.fromkeys(table[SOURCE]))), WIDTH - 4 if ax is None else dress(ax)
    panels, groups, own = list(dict.fromkeys(table["panel"])), same_n(table), table.drop_duplicates("row").sort_values("row")
    head = table[table["heading"] != ""].groupby("heading", sort=False)["row"].min() - 0.9
    names, heads = row_names(list(own["background"])), [fitted(name, wide, bold=True) for name in head.index]
    left, right, across = margin_of(names, heads), _n_margin(table), 0.0
    note = f"{interval_note(table)} n: respondents.{withheld_note(table)}{cut_note([*names, *heads])}"
    shown = f"% answering {options_label(scale, codes)}"
    titles = [(wrap(scale.text, wide, TITLE), TITLE, False), (wrap(shown, wide, bold=True), TEXT, True)]
    key, above = TEXT * LINE + 14, TEXT * LINE + 14 + key_height(list(marks), wide) + 6
    axes = [ax] if ax is not None else []
    if ax is None:
        row = max(SOURCE_HEIGHT * len(marks) + 3, LEAST_HEIGHT, lines_height(names))
        height, across, top = (table["row"].max() + 1) * row, -left, above + titles_height(titles) + 4
        check_height(top + height, f"{table[BACKGROUND].nunique()} backgrounds x {len(marks)} sources", "choose some with backgrounds=")
        margins = {"left": left, "right": right, "top": top, "bottom": note_height(note, 24, wide)}
        axes = new_axes(**margins, height=height, panels=len(panels), gap=right + 10)
    for panel, name in zip(axes, panels, strict=True):
        _panel(panel, table[table["panel"] == name], marks, groups)
        name_rows(panel, (own["row"], names), (head, heads), -across)
        panel.tick_params(axis="y", labelleft=panel is axes[0])
        put_above(panel, fitted(name, _width(panel) + right, bold=True), 7, size=TEXT, bold=True, va="baseline")
    key_above(axes[0], [handle(mark) for mark in marks.values()], list(marks), key, wide, across=across)
    titles_above(axes[0], titles, above, across=across)
    note_below(axes[0], note, 24, wide, across=across)
    return axes[0]


def _width(ax: Axes) -> float:
    """Width of axes in points."""
    return float(ax.bbox.width) * 72 / ax.figure.dpi


def _panel(ax: Axes, part: pd.DataFrame, marks: dict, groups: list[list[str]]) -> None:
    bottom = part["row"].max() + 0.7
    for row in sorted(part["row"].unique()):
        ax.axhspan(row - 0.45, row + 0.45, color=STRIPE, linewidth=0, zorder=0)
    for source, mark in marks.items():
        own = part[part[SOURCE] == source]
        dots(ax, PERCENT * own[[SHARE, CONF_LOW, CONF_HIGH]].to_numpy(float), own["y"].to_numpy(float), mark, size=4.0)
    ax.set_xlim(-1, 101)
    ax.set_xticks(range(0, 101, 50 if _width(ax) < NARROW else 20))
    ax.set_ylim(bottom, -0.7)
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    for place, group in enumerate(groups):
        own = part[part[SOURCE] == group[0]]
        margin_column(
            ax, 4 + N_WIDTH * (place + 1), own["row"], n_texts(own), head="n" if not place else "", marks=[marks[name] for name in group]
        )


def interval_note(table: pd.DataFrame) -> str:
    """Say what the lines are, and which sources have none."""
    bare = sources_without(table, SHARE, CONF_LOW)
    return f"Lines: 95% intervals{f'; none known for {first_few(bare)}' if bare else ''}."


def same_n(table: pd.DataFrame) -> list[list[str]]:
    """Group the sources whose n are the same in every background: one column of n serves them all."""
    groups: dict[tuple[float, ...], list[str]] = {}
    for source, own in table.groupby(SOURCE, sort=False):
        if own[N].notna().any():
            groups.setdefault(tuple(own[N].fillna(-1).to_numpy(float)), []).append(str(source))
    return list(groups.values())
