"""The figure of data saved: error against the number of respondents, and how many a reference method needs for the same error."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from surveysim.errors import TableError, first_few, nearest
from surveysim.evaluation.comparison_summary import BEST_CLASSICAL, best_classical, classical_in, saving_intervals, summarise_comparison
from surveysim.evaluation.metrics import METRICS
from surveysim.evaluation.summaries import data_saved
from surveysim.figures.rows import apart, per_point, within
from surveysim.figures.scores import METRIC_NAMES, Floor, floor_line, floor_of, of_metric
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
NAME_AWAY, BESIDE = 14.0, 4.0  # points from the axes to a line's name, and from a method to the next at one n
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
        Or the frame: `source n estimate conf_low conf_high` (of a distance not below 0), and for the method `n_needed data_saved bound
        saved_low saved_high`, a 95% interval of the saving from curves drawn again (by questions and seeds where the scores have both,
        else by rows, or by the intervals given), an end missing where it lies outside the reference's curve;
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
    Ayer et al. (1955), doi:10.1214/aoms/1177728423 (pooling adjacent violators). Owen (2007), doi:10.1214/07-AOAS122 (drawing questions
    and seeds again).

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
    drawn, references = curve, [reference]
    if SOURCE not in curve and "method" in curve:
        if metric is None and METRIC in curve and DEFAULT_METRIC in set(curve[METRIC]):
            metric = DEFAULT_METRIC
        references = classical_in(curve) if reference == BEST_CLASSICAL else references
        drawn, curve = curve.rename(columns={"method": SOURCE}), _compared(curve, metric, reference)
    curve, shown = _chosen(curve, method, reference, metric)
    drawn = drawn[drawn[METRIC] == shown] if METRIC in drawn else drawn
    points = _points(curve)
    if shown in METRICS:
        points[CONF_LOW] = points[CONF_LOW].clip(lower=0.0)  # a distance is not negative
    saved = data_saved(curve[curve[SOURCE] == reference], points.loc[points[SOURCE] == method, [SOURCE, N, ESTIMATE]])
    saved = saved.merge(saving_intervals(drawn, method=method, reference=references), on=N, how="left")
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
    curve = curve.assign(**{SOURCE: curve[SOURCE].astype(object)})  # categories would become those of what is mapped from them
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
    note, width = _note(points, reference), WIDTH
    if ax is None:
        right, bottom = widest(shown.values(), bold=True) + NAME_AWAY + 4, note_height(note, 38, WIDTH)
        (ax,) = new_axes(left=34, right=right, top=30, bottom=bottom, height=max(0.52 * WIDTH, (len(names) + 2) * NAME_HEIGHT))
        across = -34.0
    else:
        width = dress(ax)
        _make_room(ax, widest(shown.values(), bold=True) + NAME_AWAY + 4, note_height(note, 38, width), 24)
    others = iter(_OTHERS * len(names))
    marks = {name: ACCENT if name == method else _REFERENCE if name == reference else next(others) for name in names}
    _axes_of_sizes(ax, points)
    beside_n = _beside(ax, points, [method, reference])
    for name, mark in marks.items():
        own = points[points[SOURCE] == name]
        own = own.assign(**{N: own[N] * beside_n[name]})
        strong, front = name in (method, reference), 3.5 if name == method else 3
        ax.plot(own[N], own[ESTIMATE], color=mark.color, linewidth=1.5 if strong else 1.0, zorder=front, **marker_properties(mark))
        ax.vlines(own[N], own[CONF_LOW], own[CONF_HIGH], color=mark.color, linewidth=0.9, zorder=2)
    _name_lines(ax, points.assign(_at=points[N] * points[SOURCE].map(beside_n)), marks, method, shown)
    _annotate_saving(ax, points, method, reference)
    floor_line(ax, points.attrs[FLOOR])
    put_above(ax, METRIC_NAMES.get(metric, metric), 12, across=across, bold=True)
    note_below(ax, note, 38, width, across=across)
    return ax


def _note(points: pd.DataFrame, reference: str) -> str:
    said = f"Vertical lines: 95% intervals; shaded: of what {reference} needs." if points[CONF_LOW].notna().any() else "No intervals known."
    cut = points.loc[points[CONF_HIGH] > TALLEST_INTERVAL * points[ESTIMATE].max(), SOURCE].unique()
    if len(cut):
        said += f" Cut at the top, for they reach above {TALLEST_INTERVAL:g} times the largest error: those of {first_few(cut)}."
    known = points[["saved_low", "saved_high"]].notna().any(axis=None)
    bounds = "; in brackets its 95% interval, open where it ends outside the curve" if known else "; no interval known"
    return f"{said} Lines stand side by side at each n. Data saved: 1 {MINUS} n / n needed by {reference}{bounds}."


def _beside(ax: Axes, points: pd.DataFrame, first: list[str]) -> dict[str, float]:
    """Return source -> factor of n at which it is drawn: the method at n itself, the reference beside it, the others about them."""
    names = list(dict.fromkeys([*first, *points[SOURCE]]))
    low, high = np.log(ax.get_xlim())
    width, sizes = ax.bbox.width * 72 / ax.figure.dpi, np.log(np.sort(points[N].unique()))
    gap = float(np.diff(sizes).min()) / (high - low) * width if len(sizes) > 1 else width
    step = min(BESIDE, 0.7 * gap / len(names)) * (high - low) / width
    return {name: float(np.exp(step * ((place + 1) // 2) * (1 if place % 2 else -1))) for place, name in enumerate(names)}


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
    aside = min((BESIDE * points[SOURCE].nunique() / 2 + 6) / (ax.bbox.width * 72 / ax.figure.dpi), 0.3)  # of the width, on either side
    span = np.log(sizes.max() / sizes.min()) or 1.0
    edge = float(np.exp(aside / (1 - 2 * aside) * span))
    ax.set_xlim(sizes.min() / edge, sizes.max() * edge)
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
    heights = within(apart(last[ESTIMATE].to_numpy(float), NAME_HEIGHT * per_point(ax)), ax, NAME_HEIGHT)
    shift = ScaledTranslation(NAME_AWAY / 72, 0, ax.figure.dpi_scale_trans)
    place: dict[str, Any] = {"textcoords": ax.get_yaxis_transform() + shift, "va": "center", "annotation_clip": False}
    for name, error, at, y in zip(last[SOURCE], last[ESTIMATE], last["_at"], heights, strict=True):
        color = marks[name].color
        leader = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 4}
        weight = "bold" if name == method else "normal"
        ax.annotate(shown[name], (at, error), (1, y), color=color, fontweight=weight, arrowprops=leader, **place)


def _annotate_saving(ax: Axes, points: pd.DataFrame, method: str, reference: str) -> None:
    """Draw the saving as an arrow to the reference's curve; its words stand below all curves, or without room there at the upper right."""
    row = points[(points[SOURCE] == method) & (points[N] == points.attrs[READ])].iloc[0]
    here, needed, error = float(row[N]), float(row["n_needed"]), float(row[ESTIMATE])
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.0, "shrinkA": 4, "shrinkB": 0}
    ax.annotate("", (needed, error), (here, error), arrowprops=arrow, zorder=4)
    ax.vlines([needed], 0, [error], color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    floor, lowest = points.attrs[FLOOR], float(points[ESTIMATE].min())
    levels = sorted({0.0, lowest, *([floor[0]] if floor is not None and floor[0] < lowest else [])})
    named = FLOOR_TEXT * per_point(ax)  # the name of the noise floor hangs below it
    free = [(low, high - named if floor is not None and high == floor[0] else high) for low, high in pairwise(levels)]
    foot, head = max(free, key=lambda room: room[1] - room[0])
    who, whom = (shortened(name, NAME_WIDTH) for name in (method, reference))
    saved, ends = float(row["data_saved"]), (float(row["saved_low"]), float(row["saved_high"]))
    words = saving_text(here, needed, saved, str(row["bound"]), who, whom) + interval_text(*ends)
    _needed_interval(ax, here, ends, error)
    if head - foot < 1.3 * 2.5 * TEXT * per_point(ax):  # two lines of words and half a line about them
        ax.annotate(words, (1, 1), (-4, -4), "axes fraction", "offset points", ha="right", va="top", fontsize=TEXT, linespacing=1.3)
        return
    sizes = np.log(points[N].to_numpy(float))
    on_right = np.log(needed) < (sizes.min() + sizes.max()) / 2
    style: dict[str, Any] = {"ha": "left" if on_right else "right", "va": "center", "fontsize": TEXT, "linespacing": 1.3}
    ax.annotate(words, (needed, (foot + head) / 2), (6 if on_right else -6, 0), textcoords="offset points", zorder=5, **style)


def _needed_interval(ax: Axes, n: float, ends: tuple[float, float], error: float) -> None:
    """Shade the interval of what the reference needs; an end that is not known lies at the edge of the axes."""
    if np.isfinite(ends).any():
        low, high = (n / (1 - end) if np.isfinite(end) else edge for end, edge in zip(ends, ax.get_xlim(), strict=True))
        ax.hlines([error], [low], [high], color=INK, linewidth=5, alpha=0.18, zorder=1.5)


def interval_text(low: float, high: float) -> str:
    """Put the 95% interval of a saving into brackets; an end outside the curves is left open."""
    ends = [f"{sign} {PERCENT * end:.0f}%".replace("-", MINUS) for sign, end in (("from", low), ("to", high)) if np.isfinite(end)]
    return f" (95%: {' '.join(ends).removeprefix('from ') if len(ends) > 1 else ends[0]})" if ends else ""


def saving_text(n: float, needed: float, saved: float, bound: str, method: str, reference: str) -> str:
    """Put a saving into words, bounds as bounds."""
    sign = {"exact": "", "at_least": "at least ", "at_most": "at most "}[bound]
    first = f"{method} with {n:,.0f} = {reference} with {sign}{needed:,.0f}"
    if saved < 0:
        return f"{first}\nno data saved"
    return f"{first}\n{sign}{PERCENT * saved:.0f}% of the data saved"
