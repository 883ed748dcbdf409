"""How figures look: sizes, colours that survive colour blindness and grey print, and text that is measured before it is placed.

Nothing here changes matplotlib's settings for anybody else: `paper_style` holds while a figure is drawn.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextToPath
from matplotlib.transforms import ScaledTranslation

INK, MUTED, GRID, STRIPE, EXTRA = "#222222", "#666666", "#dedede", "#f4f4f4", "#c9c9c9"
SMALL, TEXT, TITLE = 7.5, 8.5, 9.5  # font sizes in points
LINE = 1.45  # height of a line of text, in font sizes
PAD = 8.0  # free edge of a figure in points
WIDTH = 7.0 * 72 - 2 * PAD  # what is drawn, in points; with its edges as wide as the text of an A4 or Letter page
PERCENT, MINUS = 100.0, "−"

_HINTING = 1.03
_KEY_ROOM = 2.9 * TEXT  # points of a key's entry besides its label
_CHINESE = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei", "WenQuanYi Zen Hei")
_WORDS = re.compile(r"[\u2e80-\uffef][”’)!?:,.;]*|[^\s\u2e80-\uffef]+|\s+")  # Chinese breaks after any character

_STYLE: Any = {
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,  # "$40-75k to $125k" is money
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": TEXT,
    "xtick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "figure.dpi": 100,
}


class Mark(NamedTuple):
    """How one source is drawn: colour, marker and whether the marker is filled."""

    color: str
    marker: str
    filled: bool


# Okabe and Ito's colours, told apart by shape and lightness as well
_MARKS = (
    Mark("#767676", "o", False),
    Mark("#0072b2", "s", True),
    Mark("#000000", "D", False),
    Mark("#d55e00", "^", True),
    Mark("#009e73", "v", True),
    Mark("#cc79a7", "P", True),
    Mark("#56b4e9", "X", True),
)
ACCENT = _MARKS[1]


@contextmanager
def paper_style() -> Iterator[None]:
    """Apply the style of surveysim's figures to what is drawn inside the block, and to nothing else.

    The font is the user's; an installed Chinese font stands in for the characters that it lacks.
    """
    installed = {font.name for font in fontManager.ttflist}
    families = [*mpl.rcParams["font.family"], *(name for name in _CHINESE if name in installed)]
    plt.draw_if_interactive()  # loads the backend, which in a notebook switches `interactive` on: before, so that it stays on
    with mpl.rc_context({**_STYLE, "font.family": families}):
        yield


def dress(ax: Axes) -> float:
    """Style axes that were made elsewhere as our own, and return their width in points."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set(linewidth=0.6, edgecolor=MUTED)
    ax.tick_params(axis="x", labelsize=SMALL, length=3, width=0.6, color=MUTED, labelcolor=INK)
    ax.tick_params(axis="y", labelsize=TEXT, length=0, labelcolor=INK)
    ax.set_axisbelow(True)
    return float(ax.bbox.width) * 72 / ax.figure.dpi


def source_marks(sources: Sequence[str]) -> dict[str, Mark]:
    """Return source -> mark, in the order given; a single source gets the accent."""
    if len(sources) == 1:
        return {sources[0]: ACCENT}
    return {source: _MARKS[place % len(_MARKS)] for place, source in enumerate(sources)}


def text_width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """Return the width of `text` in points, as drawn: hinting makes it a little wider than its outline."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return _HINTING * float(TextToPath().get_text_width_height_descent(text, font, ismath=False)[0])


def widest(texts: Iterable[str], size: float = TEXT, *, bold: bool = False) -> float:
    """Return the width in points of the widest of `texts`."""
    return max((text_width(text, size, bold=bold) for text in texts), default=0.0)


def wrap(text: str, width: float, size: float = TEXT, *, bold: bool = False) -> list[str]:
    """Break `text` into lines of at most `width` points; a longer word stands on a line of its own."""
    lines = [""]
    for word in _WORDS.findall(" ".join(text.split())):
        if lines[-1] and text_width((lines[-1] + word).rstrip(), size, bold=bold) > width:
            lines.append("")
        lines[-1] += word.lstrip() if not lines[-1] else word
    return [line.rstrip() for line in lines if line.strip()]


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """Cut `text` to `width` points, with an ellipsis in place of its end."""
    if text_width(text, size) <= width:
        return text
    kept = next((end for end in range(len(text), 1, -1) if text_width(f"{text[:end].rstrip()}…", size) <= width), 1)
    return f"{text[:kept].rstrip()}…"


def signed(value: float, digits: int = 0) -> str:
    """Write a number with its sign: ``+4``, ``−4``, ``0``."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else MINUS}{text}"


def new_axes(*, left: float, right: float, top: float, bottom: float, height: float, panels: int = 1, gap: float = 0.0) -> list[Axes]:
    """Return the axes of a new figure `WIDTH` wide; margins, gap between panels and height of a panel in points."""
    total, width = top + height + bottom, WIDTH + 2 * PAD
    figure = plt.figure(figsize=(width / 72, total / 72))
    each = (WIDTH - left - right - gap * (panels - 1)) / panels
    starts = [PAD + left + place * (each + gap) for place in range(panels)]
    return [figure.add_axes((start / width, bottom / total, each / width, height / total)) for start in starts]


def put_above(
    ax: Axes,
    text: str,
    up: float,
    *,
    across: float = 0.0,
    size: float = TEXT,
    bold: bool = False,
    color: str = INK,
    ha: str = "left",
    va: str = "bottom",
    x: float = 0.0,
) -> None:
    """Write `text` with its foot `up` points above the axes' top edge, `across` points right of the axes fraction `x`.

    Titles that stand beside each other need ``va="baseline"``.
    """
    ax.annotate(
        text,
        xy=(x, 1),
        xycoords="axes fraction",
        xytext=(across, up),
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=size,
        fontweight="bold" if bold else "normal",
        color=color,
        annotation_clip=False,
        linespacing=1.25,
    )


def titles_height(blocks: Sequence[tuple[Sequence[str], float, bool]]) -> float:
    """Return the height in points of blocks of lines, each with its font size and whether it is bold."""
    return sum(len(lines) * size * LINE + 2 for lines, size, _ in blocks)


def titles_above(ax: Axes, blocks: Sequence[tuple[Sequence[str], float, bool]], up: float, *, across: float = 0.0) -> None:
    """Write blocks of lines from top to bottom, the foot of the last `up` points above the axes."""
    for lines, size, bold in reversed(blocks):
        for line in reversed(lines):
            put_above(ax, line, up, across=across, size=size, bold=bold)
            up += size * LINE
        up += 2


def note_height(text: str, down: float, width: float) -> float:
    """Return the margin in points that a note needs, `down` points below the axes and `width` points wide."""
    return down + len(wrap(text, width, SMALL)) * SMALL * LINE + 2


def note_below(ax: Axes, text: str, down: float, width: float, *, across: float = 0.0) -> None:
    """Write a note in small muted type, `width` points wide, its head `down` points below the axes."""
    ax.annotate(
        "\n".join(wrap(text, width, SMALL)),
        xy=(0, 0),
        xycoords="axes fraction",
        xytext=(across, -down),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=SMALL,
        color=MUTED,
        annotation_clip=False,
        linespacing=1.3,
    )


def margin_column(
    ax: Axes, across: float, heights: Iterable[float], texts: Iterable[str], *, head: str = "", marks: Sequence[Mark] = ()
) -> None:
    """Write a column of numbers in the right margin, its right edge `across` points right of the axes.

    Above it stand the marks of the sources that it belongs to, and over them `head`.
    """
    place: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    for y, text in zip(heights, texts, strict=True):
        ax.annotate(text, (1, y), (across, 0), ha="right", va="center_baseline", fontsize=SMALL, color=MUTED, **place)
    for number, mark in enumerate(reversed(marks)):
        shift = ScaledTranslation((across - 4 - 8 * number) / 72, 8 / 72, ax.figure.dpi_scale_trans)
        ax.plot([1], [1], transform=ax.transAxes + shift, clip_on=False, **marker_properties(mark, 3.6))
    put_above(ax, head, 15 if marks else 5, x=1, across=across, size=SMALL, color=MUTED, ha="right")


def key_columns(labels: Sequence[str], width: float) -> int:
    """Return how many entries of a key stand in a row of `width` points: all, or as many columns of equal width as fit."""
    broken = any("\n" in label for label in labels)
    if not broken and sum(text_width(label) + _KEY_ROOM for label in labels) <= width:
        return len(labels)
    return 1 if broken else int(min(max(1, width // (widest(labels) + _KEY_ROOM)), len(labels)))


def key_labels(labels: Sequence[str], width: float) -> list[str]:
    """Break labels that are too long for a key `width` points wide into lines."""
    return ["\n".join(wrap(label, width - _KEY_ROOM)) or label for label in labels]


def key_height(labels: Sequence[str], width: float) -> float:
    """Return the height in points of a key that is `width` points wide."""
    shown = key_labels(labels, width)
    columns = key_columns(shown, width)
    lines = [max(label.count("\n") + 1 for label in shown[start : start + columns]) for start in range(0, len(shown), columns)]
    return sum(lines) * TEXT * LINE + len(lines)


def key_above(ax: Axes, handles: Sequence[Any], labels: Sequence[str], up: float, width: float, *, across: float = 0.0) -> None:
    """Place a key that reads along its rows, `width` points wide, its foot `up` points above the axes."""
    labels = key_labels(labels, width)
    columns = key_columns(labels, width)
    order = [place for start in range(columns) for place in range(start, len(labels), columns)]  # matplotlib fills columns
    ax.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes + ScaledTranslation(across / 72, up / 72, ax.figure.dpi_scale_trans),
        ncols=columns,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.0,
        handletextpad=0.5,
        columnspacing=1.4,
        labelspacing=0.35,
    )


def ramp_above(ax: Axes, colors: Sequence[Any], first: str, last: str, up: float) -> None:
    """Place the key of a long scale: its colours in a row between the names of its ends."""
    boxes = DrawingArea(11 * len(colors), 8)
    for place, color in enumerate(colors):
        boxes.add_artist(Rectangle((11 * place, 0), 10, 8, facecolor=color, edgecolor="none"))
    style = {"size": TEXT, "color": INK}
    packed = HPacker(children=[TextArea(first, textprops=style), boxes, TextArea(last, textprops=style)], align="center", pad=0, sep=5)
    shift = ScaledTranslation(0, up / 72, ax.figure.dpi_scale_trans)
    place_of: dict[str, Any] = {"bbox_to_anchor": (0, 1), "bbox_transform": ax.transAxes + shift}
    ax.add_artist(AnchoredOffsetbox("lower left", child=packed, frameon=False, pad=0, borderpad=0, **place_of))


def handle(mark: Mark) -> Line2D:
    """Return the key's entry of a mark."""
    return Line2D([], [], linestyle="none", **marker_properties(mark))


def marker_properties(mark: Mark, size: float = 4.6) -> dict[str, Any]:
    """Return matplotlib's properties of a marker."""
    face = mark.color if mark.filled else "white"
    return {"marker": mark.marker, "markersize": size, "markerfacecolor": face, "markeredgecolor": mark.color, "markeredgewidth": 1.0}


def dots(ax: Axes, values: np.ndarray, y: np.ndarray, mark: Mark, *, size: float = 4.6) -> None:
    """Draw estimates with their intervals, left out where missing: `values` of shape ``(rows, 3)``, `y` of shape ``(rows,)``."""
    x, low, high = np.asarray(values, dtype=float).T
    known = np.isfinite(low) & np.isfinite(high)
    ax.hlines(y[known], low[known], high[known], color=mark.color, linewidth=1.0, zorder=2)
    ax.plot(x, y, linestyle="none", zorder=3, clip_on=False, **marker_properties(mark, size))


def label_rows(ax: Axes, places: Sequence[float], labels: Sequence[str], heads: Sequence[bool] | None = None) -> None:
    """Name the rows of a figure at the left, headings in bold, and count rows downwards."""
    ax.set_yticks(list(places), list(labels))
    for text, bold in zip(ax.get_yticklabels(), heads or [False] * len(labels), strict=True):
        text.set_fontweight("bold" if bold else "normal")
    ax.spines["left"].set_visible(False)


def nice_limits(values: np.ndarray, step: float, *, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
    """Return the multiples of `step` that enclose the finite `values`, within `low` and `high`."""
    finite = values[np.isfinite(values)]
    start, end = np.floor(finite.min() / step) * step, np.ceil(finite.max() / step) * step
    return float(max(start, low)), float(min(max(end, start + step), high))


def embedded(drawn: Any, description: str) -> str:
    """Return a figure drawn with matplotlib as an image inside the page, and close it."""
    import matplotlib.pyplot as plt

    figure = getattr(drawn, "figure", drawn)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=150, bbox_inches="tight")
    plt.close(figure)
    data = b64encode(stream.getvalue()).decode("ascii")
    said = escape(description)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{said}"><figcaption>{said}</figcaption></figure>'
