"""The figure of a scorecard: its sources in rows, a panel for each measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from surveysim.errors import TableError
from surveysim.figures.rows import check_height
from surveysim.figures.scores import METRIC_NAMES
from surveysim.figures.style import (
    ACCENT,
    GRID,
    INK,
    LINE,
    MINUS,
    STRIPE,
    TEXT,
    WIDTH,
    Mark,
    dots,
    label_rows,
    new_axes,
    note_below,
    note_height,
    paper_style,
    put_above,
    widest,
    wrap,
)
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE, METRIC, SOURCE

MARGINAL = "population marginal"
MEASURES = {
    "distance": "mean error",
    "median_error": "error of the median background",
    "error_90": "error that a tenth of backgrounds exceeds",
    "worst_tenth": "mean error of the worst tenth of backgrounds",
    "distance_own_mean": "mean error with its own mean for everybody",
    "distance_shuffled": "mean error with backgrounds exchanged",
    "top_answer": "same most frequent answer, share of backgrounds",
    "option_rank": "rank agreement over options",
    "variance_ratio": "variance between backgrounds / the truth's",
    "background_rank": "rank agreement over backgrounds",
    "coverage": "95% intervals that hold the truth",
    "interval_width": "width of 95% intervals",
}
PANELS = {
    "distance": ("Mean error", None),
    "worst_tenth": ("Worst tenth", None),
    "top_answer": ("Top answer", 1.0),
    "background_rank": ("Same order", 1.0),
    "variance_ratio": ("Variance", 1.0),
    "coverage": ("Coverage", 0.95),
}  # title, and what is right; of errors the noise floor
ROW, NAMES = 17.0, 105.0  # points: height of a source's row, and width of its name before it is broken
LARGEST_RATIO = 3.0  # of variances, on the axis
_NULL = Mark("#767676", "D", False)
_OTHER = Mark("#4d4d4d", "o", True)
NULLS = (MARGINAL, "floor", "fresh sample")


def measure_in_words(measure: str) -> str:
    """Put a measure of a scorecard into words."""
    return MEASURES.get(measure) or f"error of the levels of {measure.removeprefix('subgroup_error_')}"


def draw_scorecard(table: pd.DataFrame) -> Axes:
    """Draw the table of a `Scorecard` and return the first panel.

    Raises
    ------
    TableError
        If the figure would be taller than three pages.
    """
    with paper_style():
        return _draw(table)


def _draw(table: pd.DataFrame) -> Axes:
    metric = str(table.loc[table[METRIC] != "", METRIC].iloc[0])
    table = table[table[METRIC].isin(["", metric])]
    panels = [name for name in PANELS if table.loc[table["measure"] == name, ESTIMATE].notna().any()]
    if not panels:
        raise TableError("the scorecard has no measure that can be drawn")
    sources = list(dict.fromkeys(table[SOURCE]))
    names = ["\n".join(wrap(name, NAMES)) for name in sources]
    left = widest(line for name in names for line in name.split("\n")) + 10
    count = int(table.loc[table["measure"] == "distance", "n_questions"].max())
    note = (
        f"Error: {METRIC_NAMES.get(metric, metric)}, mean over {count} question{'s' if count != 1 else ''}; worst tenth: of backgrounds. "
        "Top answer: share of backgrounds with the truth's most frequent answer. Same order: rank agreement over backgrounds. Variance: "
        "between backgrounds, over the truth's. Coverage: of 95% intervals. Lines: 95% intervals over questions. Open diamonds: null and "
        "human samples. Dashed: what is right, or the noise floor."
    )
    if (table.loc[table["measure"] == "variance_ratio", ESTIMATE] > LARGEST_RATIO).any():
        note += f" A ratio of variances above {LARGEST_RATIO:g} is drawn at {LARGEST_RATIO:g}."
    height = len(sources) * max(ROW, TEXT * LINE * max(name.count("\n") + 1 for name in names) + 3)
    check_height(height, f"{len(sources)} sources", "judge fewer tables at once")
    axes = new_axes(left=left, right=6, top=20, bottom=note_height(note, 22, WIDTH), height=height, panels=len(panels), gap=16)
    rows = {name: float(place) for place, name in enumerate(sources)}
    for ax, measure in zip(axes, panels, strict=True):
        _panel(ax, table[table["measure"] == measure], rows, measure)
        label_rows(ax, list(rows.values()), names)
        ax.tick_params(axis="y", labelleft=ax is axes[0])
        put_above(ax, PANELS[measure][0], 7, bold=True, va="baseline")
    note_below(axes[0], note, 22, WIDTH, across=-left)
    return axes[0]


def _panel(ax: Axes, own: pd.DataFrame, rows: dict[str, float], measure: str) -> None:
    own = own[own[ESTIMATE].notna()]
    values, places = own[[ESTIMATE, CONF_LOW, CONF_HIGH]].to_numpy(float), own[SOURCE].map(rows).to_numpy(float)
    shares = measure in ("top_answer", "background_rank", "coverage")
    low, high = min(0.0, float(np.nanmin(values))), 1.0 if shares else 1.05 * float(np.nanmax(values))
    if measure == "variance_ratio":
        high = min(max(high, 1.2), LARGEST_RATIO)
        values = np.clip(values, 0, high)
    for row in rows.values():
        ax.axhspan(row - 0.42, row + 0.42, color=STRIPE, linewidth=0, zorder=0)
    null = own[SOURCE].isin(NULLS).to_numpy()
    first = (own[SOURCE] == next(iter(rows))).to_numpy()
    for part, mark in ((null, _NULL), (~null & ~first, _OTHER), (first, ACCENT)):
        dots(ax, values[part], places[part], mark, size=4.0)
    ideal = PANELS[measure][1]
    if ideal is None:
        floor = own.loc[own[SOURCE] == "floor", ESTIMATE]
        ideal = float(floor.iloc[0]) if len(floor) else None
    if ideal is not None:
        ax.axvline(ideal, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    ax.set_xlim(low, high * 1.02)
    ax.set_ylim(max(rows.values()) + 0.6, -0.6)
    ticks = np.array([0, 0.5, 1]) if shares else [tick for tick in MaxNLocator(2).tick_values(low, high) if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:g}".replace("-", MINUS) for tick in ticks])
    ax.grid(axis="x", color=GRID, linewidth=0.6)
