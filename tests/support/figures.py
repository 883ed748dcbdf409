"""What a figure holds: texts, dots, intervals and bars, read back from matplotlib for the tests."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.text import Text


def texts(ax: Axes) -> list[str]:
    """Every text of the figure that is seen and not empty."""
    return [text.get_text() for text in _seen(ax)]


def _seen(ax: Axes) -> list[Text]:
    figure = ax.figure
    figure.canvas.draw()
    unseen = {id(text) for axes in figure.findobj(Axes) for axis in (axes.xaxis, axes.yaxis) for text in _outside_limits(axis)}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and id(text) not in unseen]


def _outside_limits(axis: Axis) -> list[Text]:
    """Labels of ticks outside an axis' limits: matplotlib keeps them without drawing them."""
    low, high = sorted(axis.get_view_interval())
    drawn = [tick.label1 for tick in axis.get_major_ticks() if low - 1e-9 <= tick.get_loc() <= high + 1e-9]
    kept = {id(text) for text in [axis.label, *drawn]}
    return [text for text in axis.findobj(Text) if id(text) not in kept]


def refuse_overlaps(ax: Axes) -> None:
    """Assert that every text lies within the figure and none over another."""
    figure = ax.figure
    seen = _seen(ax)
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in seen]  # an annotation without its arrow
    width, height = figure.canvas.get_width_height()
    for name, box in boxes:
        assert box.x0 >= -1, f"{name!r} is cut off at the left"
        assert box.y0 >= -1, f"{name!r} is cut off at the foot"
        assert box.x1 <= width + 1, f"{name!r} is cut off at the right"
        assert box.y1 <= height + 1, f"{name!r} is cut off at the top"
    for (name, box), (other, its) in combinations(boxes, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        along = min(box.y1, its.y1) - max(box.y0, its.y0)
        assert across <= 1 or along <= 2, f"{name!r} and {other!r} overlap by {across:.1f} x {along:.1f} pixels"


def markers(ax: Axes) -> np.ndarray:
    """Positions of all markers in data coordinates, rows (x, y), those without a value left out."""
    lines = [line for line in ax.lines if line.get_marker() not in ("", "None", None) and line.get_transform() == ax.transData]
    points = np.concatenate([np.asarray(line.get_xydata(), dtype=float) for line in lines])
    return points[np.isfinite(points).all(1)]


def intervals(ax: Axes) -> np.ndarray:
    """Horizontal intervals, rows (y, low, high)."""
    segments = [segment for lines in ax.collections if isinstance(lines, LineCollection) for segment in lines.get_segments()]
    return np.array([(one[0, 1], one[0, 0], one[1, 0]) for one in segments if one[0, 1] == one[1, 1]])


def bars(ax: Axes) -> np.ndarray:
    """Horizontal bars, rows (middle, left, width)."""
    found = [bar for group in ax.containers for bar in group if isinstance(bar, Rectangle)]
    return np.array([(bar.get_y() + bar.get_height() / 2, bar.get_x(), bar.get_width()) for bar in found])


def ordered(rows: np.ndarray) -> np.ndarray:
    """Rows sorted, so that two sets of rows can be compared."""
    return rows[np.lexsort(rows.T)]
