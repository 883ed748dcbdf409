"""One question's shares as stacked bars, the sources of a background below each other, and a joint share with its interval beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from surveysim.codebook.backgrounds import trait_order
from surveysim.codebook.codebook import Code, Codebook
from surveysim.errors import first_few
from surveysim.estimation.joint_shares import joint_shares
from surveysim.figures.rows import (
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
    EXTRA,
    GRID,
    INK,
    LINE,
    MUTED,
    PERCENT,
    SMALL,
    TEXT,
    TITLE,
    WIDTH,
    dots,
    dress,
    key_above,
    key_height,
    margin_column,
    new_axes,
    nice_limits,
    note_below,
    note_height,
    put_above,
    ramp_above,
    shortened,
    source_marks,
    text_width,
    titles_above,
    titles_height,
    wrap,
)
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, OPTION, SHARE, SOURCE, N

Color = tuple[float, float, float]
_LUMA = np.array([0.299, 0.587, 0.114])  # lightness of red, green and blue in grey print (ITU-R BT.601)
# Lightness 0-1 of an ordered scale: its first half from the end inwards, its second half from the middle outwards, its middle
_FEW = ((0.62, 0.62), (0.34, 0.34), 0.84)
_WITHOUT_MIDDLE = ((0.36, 0.88), (0.72, 0.18), 0.0)
_WITH_MIDDLE = ((0.36, 0.90), (0.78, 0.18), 0.64)

ROW, THICK = 15.0, 0.78  # height of a row in points; thickness of a bar, rows
GAP, DOT_PANEL, N_COLUMN = 16.0, 112.0, 36.0  # points
MOST_LINES = 4  # above the joint shares
JOINT = ["joint_share", "joint_low", "joint_high"]


def bar_table(
    rows: pd.DataFrame, scale: Scale, codes: Sequence[Code], ids: Sequence[str], sources: Sequence[str], codebook: Codebook | None
) -> pd.DataFrame:
    """Return what `draw_bars` draws: a row per background, source and option.

    Columns `background_id background source row option_code option share left n joint_share joint_low joint_high withheld`: `row` is
    the height in rows from the top, `left` the start of the bar (0 is the middle of an ordered scale), `joint_*` the share
    of `codes` together with its 95% interval; `withheld` says whether a cell's numbers are kept back.
    """
    places = _places(ids, sources, trait_order(ids, codebook))
    options = pd.DataFrame({OPTION: pd.Series(scale.codes, dtype=rows[OPTION].dtype), "option": scale.labels})
    shares = rows.reindex(columns=[BACKGROUND, SOURCE, OPTION, SHARE])
    table = places.merge(options, how="cross").merge(shares, on=[BACKGROUND, SOURCE, OPTION], how="left")
    joint = joint_shares(rows, codes)[[BACKGROUND, SOURCE, SHARE, CONF_LOW, CONF_HIGH, N]]
    joint = joint.set_axis([BACKGROUND, SOURCE, *JOINT, N], axis=1)
    table = table.merge(joint, on=[BACKGROUND, SOURCE], how="left")
    table[WITHHELD] = is_withheld(rows, table)
    table.loc[table[SOURCE].isin(counted(table)) & table[N].isna() & ~table[WITHHELD], N] = 0
    share = table[SHARE].to_numpy(float).reshape(len(places), len(options))
    table["left"] = (np.cumsum(share, axis=1) - share - _zero(share, scale)[:, None]).ravel()
    first = [BACKGROUND, "background", SOURCE, "row", OPTION, "option", SHARE, "left", N]
    return table[[*first, *(column for column in table if column not in first)]]


def _places(ids: Sequence[str], sources: Sequence[str], traits: Sequence[str]) -> pd.DataFrame:
    """Return the height of every bar: below a heading where a background has several bars."""
    heading = len(sources) > 1 and len(ids) > 1
    block = len(sources) + (1.4 if heading else 0.0)
    rows = [
        {BACKGROUND: identifier, "background": background_label(identifier, traits), SOURCE: source, "row": b * block + s + heading}
        for b, identifier in enumerate(ids)
        for s, source in enumerate(sources)
    ]
    return pd.DataFrame(rows)


def _zero(share: np.ndarray, scale: Scale) -> np.ndarray:
    """Return what stands left of the zero line: the lower half of an ordered scale and half of its middle."""
    if not scale.ordered:
        return np.zeros(len(share))
    n_valid = len(scale.valid)
    middle = share[:, n_valid // 2] / 2 if n_valid % 2 else 0.0
    return np.asarray(share[:, : n_valid // 2].sum(1) + middle)


def draw_bars(table: pd.DataFrame, scale: Scale, codes: Sequence[Code], ax: Axes | None) -> Axes:
    """Draw the bars of `bar_table`, a panel of joint shares with intervals, and n in the margin."""
    check_sources(list(table[SOURCE].unique()))
    wide = WIDTH - 4 if ax is None else dress(ax)
    places, names, over, heads = _row_names(table, wide)
    left, across, row = margin_of(names, heads), 0.0, max(ROW, lines_height(names))
    width = WIDTH - left - GAP - DOT_PANEL - N_COLUMN if ax is None else wide
    joint = _joint_title(scale, codes)
    above = max(_key_height(scale, width), len(joint) * SMALL * LINE) + 12
    note = _note(table.drop_duplicates("row")) + cut_note([*names, *heads])
    titles = [(wrap(scale.text, wide, TITLE), TITLE, False)]
    if ax is None:
        height, top = (max(places) + 1) * row, above + titles_height(titles) + 4
        check_height(top + height, f"{len(places)} bars", "choose some with backgrounds= or sources=")
        (ax,) = new_axes(left=left, right=GAP + DOT_PANEL + N_COLUMN, top=top, bottom=note_height(note, 20, wide), height=height)
        across = -left
    _stack(ax, table, scale, THICK * ROW / row)
    name_rows(ax, (places, names), (over, heads), -across)
    ax.set_ylim(max(places) + 0.6, -0.6)
    _joint_panel(ax, table, joint)
    _put_key(ax, scale, width)
    titles_above(ax, titles, above, across=across)
    note_below(ax, note, 20, wide, across=across)
    return ax


def _joint_title(scale: Scale, codes: Sequence[Code]) -> list[str]:
    """Return the lines above the joint shares; labels that would take more than four are cut, as the key has them whole."""
    lines = wrap(f"% {options_label(scale, codes)}", DOT_PANEL + 2, SMALL)
    if len(lines) <= MOST_LINES:
        return lines
    named = dict(zip(codes, _cut_apart([scale.label(code) for code in codes]), strict=True))
    cut = replace(scale, labels=tuple(named.get(code, label) for code, label in zip(scale.codes, scale.labels, strict=True)))
    return wrap(f"% {options_label(cut, codes)}", DOT_PANEL + 2, SMALL)


def _cut_apart(labels: Sequence[str]) -> list[str]:
    """Cut labels to the width of the joint shares; where that makes several alike, what they begin with in common goes, not the end."""
    rest = [label.split() for label in labels]
    cut = [shortened(label, DOT_PANEL - 24, SMALL) for label in labels]
    while several := [text for text in cut if cut.count(text) > 1]:
        alike = [place for place, text in enumerate(cut) if text == several[0]]
        words = zip(*(rest[place] for place in alike), strict=False)
        shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, words))
        if not 0 < shared < min(len(rest[place]) for place in alike):
            break
        for place in alike:
            rest[place] = rest[place][shared:]
            cut[place] = shortened(f"…{' '.join(rest[place])}", DOT_PANEL - 24, SMALL)
    return cut


def _row_names(table: pd.DataFrame, width: float) -> tuple[list[float], list[str], list[float], list[str]]:
    """Return heights and names of rows, and of headings, which are at most `width` points wide."""
    bars = table.drop_duplicates("row")
    several = len(bars[SOURCE].unique()) > 1
    names = row_names(list(bars[SOURCE] if several else bars["background"]))
    if not several or len(bars[BACKGROUND].unique()) == 1:
        return list(bars["row"]), names, [], []
    first = bars.drop_duplicates(BACKGROUND)
    return list(bars["row"]), names, list(first["row"] - 1), [fitted(name, width, bold=True) for name in first["background"]]


def _stack(ax: Axes, table: pd.DataFrame, scale: Scale, thick: float) -> None:
    ends = table["left"] + table[SHARE]
    low, high = min(float(table["left"].min()), 0.0), float(ends.max())
    ax.set_xlim(low - 0.005, high + 0.005)
    points = ax.bbox.width * 72 / ax.figure.dpi / (high - low)  # a share of 1, in points
    for code, color in zip(scale.codes, _colors(scale), strict=True):
        part = table[(table[OPTION] == code) & table[SHARE].notna()]
        ax.barh(part["row"], part[SHARE], left=part["left"], height=thick, color=color, edgecolor="white", linewidth=0.7)
        for y, share, start in part[["row", SHARE, "left"]].to_numpy(float):
            number = f"{PERCENT * share:.0f}"
            if share * points >= text_width(number, SMALL) + 4:
                ax.text(start + share / 2, y, number, ha="center", va="center_baseline", fontsize=SMALL, color=text_on(color))
    empty = table[table[SHARE].isna()].drop_duplicates("row")
    for y, hidden in zip(empty["row"], empty[WITHHELD], strict=True):
        words, place = "withheld" if hidden else "no answers", "center" if scale.ordered else "left"
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # over the zero line
        ax.text(0, y, words, ha=place, va="center", fontsize=SMALL, color=MUTED, style="italic", bbox=patch, zorder=5)
    if scale.ordered:
        ax.axvline(0, color=INK, linewidth=0.8, zorder=0 if len(scale.valid) % 2 else 4)  # not through a middle's number
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)


def _colors(scale: Scale) -> list[Color]:
    colors = option_colors(len(scale.valid), ordered=scale.ordered)
    return colors + [to_rgb(EXTRA)] * len(scale.extras)


def _joint_panel(ax: Axes, table: pd.DataFrame, title: Sequence[str]) -> None:
    """Draw the joint shares with their intervals right of the bars, and n right of them."""
    width = ax.bbox.width * 72 / ax.figure.dpi
    panel = ax.inset_axes((1 + GAP / width, 0, DOT_PANEL / width, 1), sharey=ax)
    bars = table.drop_duplicates("row")
    marks = source_marks(list(dict.fromkeys(bars[SOURCE])))
    for source, mark in marks.items():
        part = bars[bars[SOURCE] == source]
        dots(panel, PERCENT * part[JOINT].to_numpy(float), part["row"].to_numpy(float), mark)
    everything = PERCENT * bars[JOINT].to_numpy(float)
    panel.set_xlim(*nice_limits(everything, 10, low=0, high=100))
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panel.grid(axis="x", color=GRID, linewidth=0.6)
    panel.tick_params(axis="y", labelleft=False)
    panel.spines["left"].set_visible(False)
    put_above(panel, "\n".join(title), 6, size=SMALL)
    shown = bars[bars[SOURCE].isin(counted(bars))]
    if len(shown):
        margin_column(panel, N_COLUMN - 6, shown["row"], n_texts(shown), head="n")


def _note(bars: pd.DataFrame) -> str:
    bare = sources_without(bars, "joint_share", "joint_low")
    told = f"Dots: 95% intervals{f'; none known for {first_few(bare)}' if bare else ''}."
    return f"Bars: % of answers. {told} n: respondents.{withheld_note(bars)}"


def _long(scale: Scale) -> bool:
    """Whether only the ends of a scale have names, as from 0 to 10."""
    inner = scale.labels[1 : len(scale.valid) - 1]
    return len(inner) > 3 and not scale.extras and all(label.lstrip("-").isdigit() for label in inner)


def _key_height(scale: Scale, width: float) -> float:
    return TEXT * LINE if _long(scale) else key_height(scale.labels, width)


def _put_key(ax: Axes, scale: Scale, width: float) -> None:
    colors = _colors(scale)
    if _long(scale):
        ramp_above(ax, colors, scale.labels[0], scale.labels[-1], 7)
    else:
        key_above(ax, [Patch(facecolor=color) for color in colors], scale.labels, 7, width)


def option_colors(n_options: int, *, ordered: bool) -> list[Color]:
    """Return a colour per option, neighbours of clearly different lightness, so that grey print tells them apart.

    Ordered options: ColorBrewer's purple-orange, darker towards both ends of the scale, its purple half darker than its orange
    half; a middle is grey. Nominal options: one ramp from dark to light.
    """
    if ordered:
        half, middle = n_options // 2, n_options % 2
        first, second, between = _FEW if half == 1 else _WITH_MIDDLE if middle else _WITHOUT_MIDDLE
        lightness = [*np.linspace(*first, half), *[between] * middle, *np.linspace(*second, half)]
        return [_shade(value, (place > half - 1 + middle) - (place < half)) for place, value in enumerate(lightness)]
    return [to_rgb(mpl.colormaps["cividis"](place)) for place in np.linspace(0, 1, n_options + 2)[1:-1]]


def _shade(lightness: float, side: int) -> Color:
    """Return the colour of a lightness in the orange (-1) or purple (1) half of purple-orange, or grey (0)."""
    if side == 0:
        return lightness, lightness, lightness
    places = np.linspace(0.5, 0.5 + 0.5 * side, 256)
    greys = mpl.colormaps["PuOr"](places)[:, :3] @ _LUMA
    return to_rgb(mpl.colormaps["PuOr"](float(np.interp(lightness, greys[::-1], places[::-1]))))


def text_on(color: Color) -> str:
    """Return black or white, whichever contrasts more with `color` (WCAG relative luminance)."""
    linear = np.where(np.array(color) <= 0.04045, np.array(color) / 12.92, ((np.array(color) + 0.055) / 1.055) ** 2.4)
    return "white" if float(linear @ [0.2126, 0.7152, 0.0722]) < 0.179 else "black"
