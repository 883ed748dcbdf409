"""The figure of data saved: error against the number of respondents, and how many a reference method needs for the same error."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from surveysim.errors import TableError, first_few, nearest
from surveysim.evaluation.comparison_summary import BEST_CLASSICAL, best_classical, summarise_comparison
from surveysim.evaluation.metrics import METRICS
from surveysim.evaluation.summaries import data_saved
from surveysim.figures.scores import METRIC_NAMES, Floor, floor_of, of_metric
from surveysim.figures.style import (
    ACCENT,
    GRID,
    INK,
    MINUS,
    PERCENT,
    SMALL,
    TEXT,
    WIDTH,
    Mark,
    dress,
    marker_properties,
    new_axes,
    note_below,
    note_height,
    paper_style,
    put_above,
    shortened,
    text_width,
    widest,
)
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE, METRIC, SOURCE, N, require_columns

NAME_WIDTH, NAME_HEIGHT = 110.0, 1.35 * TEXT  # points for the name of a line, and from one to the next
MOST_CURVES = 16
LEAST_PART = 0.3  # of axes made elsewhere that the curves keep, beside names and note
DEFAULT_METRIC = "wasserstein"  # of the scores of `compare_methods`, as in `savings`
TALLEST_INTERVAL = 1.6  # times the largest error: where the axis ends, and intervals are cut
FLOOR_TEXT = 3 + 1.2 * SMALL  # points below the noise floor that its name takes
READ, FLOOR = "read", "floor"  # attrs of the frame that is drawn
_REFERENCE = Mark(INK, "D", False)
_OTHERS = (Mark("#767676", "o", False), Mark("#767676", "^", True), Mark("#5e5e5e", "v", True), Mark("#767676", "P", True))


def plot_data_saved(
    curve: pd.DataFrame,
    *,
    method: str,
    reference: str,
    n: float | None = None,
    metric: str | None = None,
    floor: Floor = None,
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw error against sample size for every method, and how many respondents a reference needs for the same error.

    The horizontal line starts at the method's error at `n` and ends where the reference's curve reaches it: see `data_saved`.

    Parameters
    ----------
    curve : DataFrame
        Columns `source`, `n` (respondents) and `estimate` (error): a row per source and n, with `conf_low` and `conf_high`
        where known, or several rows (seeds), which are averaged with a 95% t interval. Or the scores of `compare_methods`.
    method, reference : str
        Sources: whose saving is read off, against whose curve. For scores of `compare_methods` also ``"best classical"``, as in
        `savings`.
    n : float, optional
        Sample size of the method at which to read; default the smallest at which the saving is exact, else the smallest.
    metric : str, optional
        Which `metric` of the curve to draw, where it holds several. Default for scores of `compare_methods`: ``"wasserstein"``.
    floor : float or DataFrame, optional
        As in `plot_scores`.
    ax : Axes, optional
        Default a new figure, 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame: `source n estimate conf_low conf_high` (of a distance not below 0), and for the method `n_needed data_saved bound`;
        ``attrs["read"]`` is the n that is read off, ``attrs["floor"]`` the noise floor.

    Raises
    ------
    TableError
        If a column, a source or the n is absent, or the curve holds several metrics and none is chosen; if the figure would
        have more than 16 lines.
    EvaluationError
        If the reference has fewer than two sizes, or an n is not positive or an error missing, or no score is of the metric.

    References
    ----------
    Ayer et al. (1955), doi:10.1214/aoms/1177728423 (pooling adjacent violators).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> sizes, errors = [100, 400, 1600, 100, 400], [0.12, 0.06, 0.03, 0.06, 0.04]
    >>> curve = pd.DataFrame({"source": ["raw"] * 3 + ["dsa"] * 2, "n": sizes, "estimate": errors})
    >>> frame = ss.plot_data_saved(curve, method="dsa", reference="raw", draw=False)
    >>> frame.loc[frame.source == "dsa", "data_saved"].round(2).tolist()
    [0.75, 0.6]
    """
    require_columns(curve, [], "curve")
    if SOURCE not in curve and "method" in curve:
        if metric is None and METRIC in curve and DEFAULT_METRIC in set(curve[METRIC]):
            metric = DEFAULT_METRIC
        curve = _compared(curve, metric, reference)
    curve, shown = _chosen(curve, method, reference, metric)
    points = _points(curve)
    if shown in METRICS:
        points[CONF_LOW] = points[CONF_LOW].clip(lower=0.0)  # a distance is not negative
    saved = data_saved(curve[curve[SOURCE] == reference], points.loc[points[SOURCE] == method, [SOURCE, N, ESTIMATE]])
    points = points.merge(saved.drop(columns=ESTIMATE), on=[SOURCE, N], how="left")
    points.attrs |= {READ: _read_at(saved, n), FLOOR: floor_of(floor, shown)}
    if not draw:
        return points
    with paper_style():
        return _draw(points, method, reference, shown, ax)


def _compared(scores: pd.DataFrame, metric: str | None, reference: str) -> pd.DataFrame:
    """Return means over questions and seeds of the scores of `compare_methods`, with the best classical ones where asked for."""
    require_columns(scores, [METRIC], "curve")
    names = list(dict.fromkeys(scores[METRIC])) if metric is None else [metric]
    means = pd.concat([summarise_comparison(scores, metric=name) for name in names], ignore_index=True)
    curve = means.rename(columns={"method": SOURCE})
    if reference != BEST_CLASSICAL:
        return curve
    best = pd.concat([best_classical(scores, metric=name).assign(method=BEST_CLASSICAL) for name in names], ignore_index=True)
    return pd.concat([curve, best.rename(columns={"method": SOURCE})], ignore_index=True)


def _chosen(curve: pd.DataFrame, method: str, reference: str, metric: str | None) -> tuple[pd.DataFrame, str]:
    """Return the rows of one metric, and its name."""
    require_columns(curve, [SOURCE, N, ESTIMATE], "curve")
    for argument, name in (("method", method), ("reference", reference)):
        if name not in set(curve[SOURCE]):
            raise TableError(f"{argument}: curve has no source {name!r}; {nearest(str(name), map(str, curve[SOURCE].unique()))}")
    if METRIC not in curve:
        return curve, metric or "wasserstein"
    found = list(map(str, curve[METRIC].unique()))
    if metric is None and len(found) > 1:
        raise TableError(f"curve holds several metrics, {first_few(found)}; choose one with metric=")
    shown = metric or found[0]
    return of_metric(curve, shown, "curve"), shown


def _points(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a row per source and n: its own interval where it is a single row, else mean and t interval of its rows."""
    points = curve.groupby([SOURCE, N], sort=False)[ESTIMATE].agg(["mean", "std", "size"]).reset_index()
    size, mean = points["size"].to_numpy(float), points["mean"].to_numpy(float)
    low, high = mean_intervals(mean, points["std"].to_numpy(float) / np.sqrt(size), size - 1)
    points = points.assign(**{ESTIMATE: mean, CONF_LOW: low, CONF_HIGH: high})
    if CONF_LOW in curve and CONF_HIGH in curve and (size == 1).all():
        points = points.drop(columns=[CONF_LOW, CONF_HIGH]).merge(curve[[SOURCE, N, CONF_LOW, CONF_HIGH]], on=[SOURCE, N])
    order = {name: place for place, name in enumerate(dict.fromkeys(curve[SOURCE]))}
    points = points.assign(_place=points[SOURCE].map(order)).sort_values(["_place", N])
    return points[[SOURCE, N, ESTIMATE, CONF_LOW, CONF_HIGH]].reset_index(drop=True)


def _read_at(saved: pd.DataFrame, n: float | None) -> float:
    sizes = saved[N].to_numpy(float)
    if n is not None:
        if n not in sizes:
            raise TableError(f"n: the method has no error at n = {n:g}; it has one at {first_few([f'{size:g}' for size in sizes], 10)}")
        return float(n)
    exact = sizes[(saved["bound"] == "exact").to_numpy()]
    return float(exact.min() if len(exact) else sizes.min())


def _draw(points: pd.DataFrame, method: str, reference: str, metric: str, ax: Axes | None) -> Axes:
    names, across = list(dict.fromkeys(points[SOURCE])), 0.0
    if len(names) > MOST_CURVES:
        raise TableError(
            f"curve holds {len(names)} sources, and a figure {MOST_CURVES} lines; choose some: curve[curve['source'].isin([...])]; "
            "draw=False gives the frame"
        )
    shown = {name: shortened(str(name), NAME_WIDTH) for name in names}
    intervals = "Vertical lines: 95% intervals." if points[CONF_LOW].notna().any() else "No intervals known."
    cut = points.loc[points[CONF_HIGH] > TALLEST_INTERVAL * points[ESTIMATE].max(), SOURCE].unique()
    if len(cut):
        intervals += f" Cut at the top, for they reach above {TALLEST_INTERVAL:g} times the largest error: those of {first_few(cut)}."
    note, width = f"{intervals} Data saved: 1 {MINUS} n / n needed by {reference}.", WIDTH
    if ax is None:
        right, bottom = widest(shown.values(), bold=True) + 8, note_height(note, 38, WIDTH)
        (ax,) = new_axes(left=34, right=right, top=30, bottom=bottom, height=max(0.52 * WIDTH, (len(names) + 2) * NAME_HEIGHT))
        across = -34.0
    else:
        width = dress(ax)
        _make_room(ax, widest(shown.values(), bold=True) + 8, note_height(note, 38, width), 24)
    others = iter(_OTHERS * len(names))
    marks = {name: ACCENT if name == method else _REFERENCE if name == reference else next(others) for name in names}
    for name, mark in marks.items():
        own = points[points[SOURCE] == name]
        strong, front = name in (method, reference), 3.5 if name == method else 3
        ax.plot(own[N], own[ESTIMATE], color=mark.color, linewidth=1.5 if strong else 1.0, zorder=front, **marker_properties(mark))
        ax.vlines(own[N], own[CONF_LOW], own[CONF_HIGH], color=mark.color, linewidth=0.9, zorder=2)
    _axes_of_sizes(ax, points)
    _name_lines(ax, points, marks, method, shown)
    _annotate_saving(ax, points, method, reference)
    _floor_line(ax, points.attrs[FLOOR])
    put_above(ax, METRIC_NAMES.get(metric, metric), 12, across=across, bold=True)
    note_below(ax, note, 38, width, across=across)
    return ax


def _make_room(ax: Axes, right: float, bottom: float, top: float) -> None:
    """Shrink axes that were made elsewhere by what stands beside them, in points, so that all stays within the place they had."""
    box, points = ax.get_position(), 72 / ax.figure.dpi
    width, height = ax.figure.bbox.width * points, ax.figure.bbox.height * points
    across, along = box.width - right / width, box.height - (bottom + top) / height
    if min(across / box.width, along / box.height) > LEAST_PART:
        ax.set_position((box.x0, box.y0 + bottom / height, across, along))


def _axes_of_sizes(ax: Axes, points: pd.DataFrame) -> None:
    sizes = np.sort(points[N].unique())
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(sizes.min() * 0.87, sizes.max() * 1.08)
    shown = _named_sizes(ax, sizes)
    ax.set_xticks(sizes, [f"{size:,.0f}" if size in shown else "" for size in sizes])
    highest = float(np.nanmax(points[[ESTIMATE, CONF_HIGH]].to_numpy(float)))
    ax.set_ylim(0, min(1.05 * highest, TALLEST_INTERVAL * points[ESTIMATE].max()))
    ax.set_xlabel("respondents (log scale)")
    ax.grid(axis="y", color=GRID, linewidth=0.6)


def _named_sizes(ax: Axes, sizes: np.ndarray) -> set[float]:
    """Return the sizes whose numbers have room below the axis: the largest, and from it downwards all that do not touch the one before."""
    low, high = np.log(ax.get_xlim())
    places = (np.log(sizes) - low) / (high - low) * ax.bbox.width * 72 / ax.figure.dpi
    shown: set[float] = set()
    free = np.inf
    for size, place in zip(sizes[::-1], places[::-1], strict=True):
        half = text_width(f"{size:,.0f}", SMALL) / 2
        if place + half <= free:
            shown.add(float(size))
            free = place - half - 4
    return shown


def _name_lines(ax: Axes, points: pd.DataFrame, marks: dict[str, Mark], method: str, shown: dict[str, str]) -> None:
    """Name every line at its right end, names pushed apart where they would overlap."""
    last = points.sort_values(N, kind="stable").drop_duplicates(SOURCE, keep="last").sort_values(ESTIMATE)
    heights = _within(apart(last[ESTIMATE].to_numpy(float), NAME_HEIGHT * _per_point(ax)), ax)
    for name, y in zip(last[SOURCE], heights, strict=True):
        ax.annotate(
            shown[name],
            (1, y),
            (4, 0),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            color=marks[name].color,
            fontweight="bold" if name == method else "normal",
            annotation_clip=False,
        )


def _within(heights: np.ndarray, ax: Axes) -> np.ndarray:
    """Move the names of lines that stand below or above the axes into them, and those that they push."""
    (low, high), step = ax.get_ylim(), NAME_HEIGHT * _per_point(ax)
    place = np.arange(len(heights))
    return np.minimum(np.maximum(heights, low + step * (place + 0.5)), high - step * (len(heights) - place - 1))


def _per_point(ax: Axes) -> float:
    """How much of the vertical axis a point (1/72 inch) is."""
    low, high = ax.get_ylim()
    return float((high - low) / (ax.bbox.height * 72 / ax.figure.dpi))


def apart(places: np.ndarray, least: float) -> np.ndarray:
    """Return increasing `places` moved as little as possible (least squares) so that neighbours are at least `least` apart."""
    from scipy.optimize import isotonic_regression

    steps = least * np.arange(len(places))
    return np.asarray(isotonic_regression(places - steps).x) + steps


def _annotate_saving(ax: Axes, points: pd.DataFrame, method: str, reference: str) -> None:
    """Draw the saving as an arrow to the reference's curve; its words stand below all curves, or without room there at the upper right."""
    row = points[(points[SOURCE] == method) & (points[N] == points.attrs[READ])].iloc[0]
    here, needed, error = float(row[N]), float(row["n_needed"]), float(row[ESTIMATE])
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.0, "shrinkA": 4, "shrinkB": 0}
    ax.annotate("", (needed, error), (here, error), arrowprops=arrow, zorder=4)
    ax.vlines([needed], 0, [error], color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    floor, lowest = points.attrs[FLOOR], float(points[ESTIMATE].min())
    levels = sorted({0.0, lowest, *([floor[0]] if floor is not None and floor[0] < lowest else [])})
    named = FLOOR_TEXT * _per_point(ax)  # the name of the noise floor hangs below it
    free = [(low, high - named if floor is not None and high == floor[0] else high) for low, high in pairwise(levels)]
    foot, head = max(free, key=lambda room: room[1] - room[0])
    who, whom = (shortened(name, NAME_WIDTH) for name in (method, reference))
    words = saving_text(here, needed, float(row["data_saved"]), str(row["bound"]), who, whom)
    if head - foot < 1.3 * 2.5 * TEXT * _per_point(ax):  # two lines of words and half a line about them
        ax.annotate(words, (1, 1), (-4, -4), "axes fraction", "offset points", ha="right", va="top", fontsize=TEXT, linespacing=1.3)
        return
    sizes = np.log(points[N].to_numpy(float))
    on_right = np.log(needed) < (sizes.min() + sizes.max()) / 2
    style: dict[str, Any] = {"ha": "left" if on_right else "right", "va": "center", "fontsize": TEXT, "linespacing": 1.3}
    ax.annotate(words, (needed, (foot + head) / 2), (6 if on_right else -6, 0), textcoords="offset points", zorder=5, **style)


def saving_text(n: float, needed: float, saved: float, bound: str, method: str, reference: str) -> str:
    """Put a saving into words, bounds as bounds."""
    sign = {"exact": "", "at_least": "at least ", "at_most": "at most "}[bound]
    first = f"{method} with {n:,.0f} = {reference} with {sign}{needed:,.0f}"
    if saved < 0:
        return f"{first}\nno data saved"
    return f"{first}\n{sign}{PERCENT * saved:.0f}% of the data saved"


def _floor_line(ax: Axes, floor: tuple[float, float, float] | None) -> None:
    if floor is None:
        return
    if np.isfinite(floor[1]) and np.isfinite(floor[2]):
        ax.axhspan(floor[1], floor[2], color="#ececec", linewidth=0, zorder=0)
    ax.axhline(floor[0], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    style: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "fontsize": SMALL, "zorder": 5}
    ax.annotate(f"noise floor {floor[0]:.3f}", (0, floor[0]), (4, -3), ha="left", va="top", **style)
