"""The figure of a method table: errors with their intervals beside the noise floor."""

from __future__ import annotations

from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.errors import TableError, first_few, nearest, quoted
from surveysim.evaluation.summaries import summarise_scores
from surveysim.figures.rows import check_height
from surveysim.figures.style import (
    ACCENT,
    GRID,
    INK,
    LINE,
    SMALL,
    TEXT,
    WIDTH,
    Mark,
    dots,
    dress,
    label_rows,
    new_axes,
    note_below,
    note_height,
    paper_style,
    put_above,
    widest,
    wrap,
)
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE, METRIC, QUESTION, SOURCE, require_columns, require_numbers

METRIC_NAMES = {
    "wasserstein": "Wasserstein distance / (K − 1)",
    "total_variation": "Total variation distance",
    "jensen_shannon": "Jensen–Shannon divergence",
    "kl": "Kullback–Leibler divergence",
    "hellinger": "Hellinger distance",
    "squared_error": "Squared error of shares",
    "debiased_squared_error": "Squared error of shares, less the truth's own noise",
}
ROW, LABEL_WIDTH = 17.0, 150.0  # points: height of a method's row, and width of its name before it is broken
_PLAIN = Mark("#4d4d4d", "o", True)
Floor: TypeAlias = float | pd.DataFrame | None


def plot_scores(
    scores: pd.DataFrame,
    *,
    metric: str = "wasserstein",
    floor: Floor = None,
    highlight: str | None = None,
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw the methods' scores as dots with 95% intervals, the smallest error on top, beside the noise floor.

    Parameters
    ----------
    scores : DataFrame
        As of ``summarise_scores(scores, by="source")``: `source metric estimate conf_low conf_high`, a row per method.
    metric : str
    floor : float or DataFrame, optional
        Score of a fresh human sample: a number, or the table of `noise_floor`, summarised or not (its interval is shaded).
    highlight : str, optional
        Source to set off in colour.
    ax : Axes, optional
        Default a new figure, 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame: `source row estimate conf_low conf_high`, the smallest error first; `attrs["floor"]`.

    Raises
    ------
    TableError
        If a column is absent, no score has this metric, a source is repeated, or there is none to highlight; if the figure
        would be taller than 24 inches.

    References
    ----------
    Cleveland and McGill (1984), doi:10.1080/01621459.1984.10478080 (positions on a common scale).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> scores = pd.DataFrame({"source": ["raw", "mrp"], "metric": "wasserstein", "estimate": [0.11, 0.05]})
    >>> scores = scores.assign(conf_low=scores.estimate - 0.01, conf_high=scores.estimate + 0.01)
    >>> ss.plot_scores(scores, floor=0.02, draw=False).source.tolist()
    ['mrp', 'raw']
    """
    require_columns(scores, [SOURCE, METRIC, ESTIMATE, CONF_LOW, CONF_HIGH], "scores")
    _require_drawable(scores)
    table = of_metric(scores, metric, "scores").sort_values(ESTIMATE, kind="stable").reset_index(drop=True)
    repeated = table[SOURCE][table[SOURCE].duplicated()]
    if len(repeated):
        raise TableError(
            f"scores repeats source {first_few(repeated.unique())} of {metric}; average first: summarise_scores(scores, by='source')"
        )
    if highlight is not None and highlight not in set(table[SOURCE]):
        raise TableError(f"highlight: scores has no source {highlight!r}; {nearest(highlight, map(str, table[SOURCE]))}")
    table.insert(1, "row", np.arange(len(table), dtype=float))
    table.attrs["floor"] = floor_of(floor, metric)
    if not draw:
        return table
    with paper_style():
        return _draw_scores(table, metric, highlight, ax)


def _require_drawable(scores: pd.DataFrame) -> None:
    """Refuse scores that are missing, and numbers that are infinite: no figure has a place for them."""
    for column in {ESTIMATE, CONF_LOW, CONF_HIGH, "n_questions"} & set(scores):
        numbers = require_numbers(scores, column, "scores")
        wrong = np.isinf(numbers) | (np.isnan(numbers) & (column in (ESTIMATE, "n_questions")))
        if wrong.any():
            raise TableError(f"scores: {column} is missing or infinite in row {first_few(scores.index[wrong])}; leave these rows out")


def of_metric(scores: pd.DataFrame, metric: str, what: str) -> pd.DataFrame:
    """Return the rows of one metric.

    Raises
    ------
    TableError
        If there is none; the message names the nearest.
    """
    found = scores[scores[METRIC] == metric]
    if found.empty:
        raise TableError(f"metric: {what} holds no {metric!r}; {nearest(str(metric), map(str, scores[METRIC].unique()))}")
    return found


def floor_of(floor: Floor, metric: str) -> tuple[float, float, float] | None:
    """Return estimate, low and high of the noise floor; low and high missing where it is a number.

    Raises
    ------
    TableError
        If the floor has several rows of the metric, none, or lacks a column.
    """
    if floor is None:
        return None
    if isinstance(floor, pd.DataFrame):
        require_columns(floor, [METRIC, ESTIMATE], "floor")
        row = of_metric(summarise_scores(floor) if QUESTION in floor else floor, metric, "floor")
        if len(row) > 1:
            raise TableError(f"floor has {len(row)} rows of {metric}; give one")
        low, high = (float(require_numbers(row, name, "floor")[0]) if name in row else np.nan for name in (CONF_LOW, CONF_HIGH))
        return float(row[ESTIMATE].iloc[0]), low, high
    if not isinstance(floor, Real):
        raise TableError(f"floor must be a number, or a table of noise_floor or of its summary; got {type(floor).__name__} {quoted(floor)}")
    return float(floor), np.nan, np.nan


def _draw_scores(table: pd.DataFrame, metric: str, highlight: str | None, ax: Axes | None) -> Axes:
    names = ["\n".join(wrap(str(name), LABEL_WIDTH, bold=True)) for name in table[SOURCE]]
    left, across = widest((line for name in names for line in name.split("\n")), bold=True) + 14, 0.0
    note = _score_note(table)
    if ax is None:
        height = len(table) * max(ROW, TEXT * LINE * max(name.count("\n") + 1 for name in names) + 4)
        check_height(height, f"{len(table)} sources", "choose some: scores[scores['source'].isin([...])]")
        (ax,) = new_axes(left=left, right=42, top=48, bottom=note_height(note, 32, WIDTH), height=height)
        across = -left
    else:
        dress(ax)
    rows = table["row"].to_numpy(float)
    values = table[[ESTIMATE, CONF_LOW, CONF_HIGH]].to_numpy(float)
    chosen = (table[SOURCE] == highlight).to_numpy(bool, na_value=False)
    for part, mark in ((~chosen, _PLAIN), (chosen, ACCENT)):
        dots(ax, values[part], rows[part], mark)
    for y, value, end, strong in zip(rows, values[:, 0], np.nanmax(values, axis=1), chosen, strict=True):
        style: dict[str, Any] = {"fontsize": SMALL, "fontweight": "bold" if strong else "normal", "va": "center_baseline"}
        ax.annotate(f"{value:.3f}", (end, y), (6, 0), textcoords="offset points", **style)
    label_rows(ax, list(rows), names, list(chosen))
    ax.set_ylim(rows.max() + 0.6, -0.6)
    ax.set_xlim(0, 1.02 * np.nanmax(values))
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    ax.set_xlabel("distance from the truth: 0 is perfect", fontsize=SMALL)
    _draw_floor(ax, table.attrs["floor"])
    put_above(ax, f"{METRIC_NAMES.get(metric, metric)}", 26, across=across, bold=True)
    note_below(ax, note, 32, WIDTH, across=across)
    return ax


def _score_note(table: pd.DataFrame) -> str:
    """Say over how many questions the means go, what the lines are, and who has none."""
    known = table[CONF_LOW].notna() & table[CONF_HIGH].notna()
    bare = first_few(table.loc[~known, SOURCE]) if known.any() else ""
    lines = "lines: 95% intervals" if known.any() else "no intervals known"
    none = f"; none known for {bare}" if bare else ""
    if "n_questions" not in table:
        return f"{lines[0].upper()}{lines[1:]}{none}."
    over = " over questions" if known.any() else ""
    count = int(table["n_questions"].max())
    return f"Mean over {count} question{'s' if count != 1 else ''}; {lines}{over}{none}."


def _draw_floor(ax: Axes, floor: tuple[float, float, float] | None) -> None:
    if floor is None:
        return
    estimate, low, high = floor
    if np.isfinite(low) and np.isfinite(high):
        ax.axvspan(low, high, color="#ececec", linewidth=0, zorder=0)
    ax.axvline(estimate, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    place = (estimate, 1)
    ax.annotate(
        f"noise floor {estimate:.3f}",
        place,
        (0, 4),
        xycoords=ax.get_xaxis_transform(),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL,
    )


def floor_line(ax: Axes, floor: tuple[float, float, float] | None) -> None:
    """Draw the noise floor as a horizontal line, its name hanging below it at the left."""
    if floor is None:
        return
    if np.isfinite(floor[1]) and np.isfinite(floor[2]):
        ax.axhspan(floor[1], floor[2], color="#ececec", linewidth=0, zorder=0)
    ax.axhline(floor[0], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    style: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "fontsize": SMALL, "zorder": 5}
    ax.annotate(f"noise floor {floor[0]:.3f}", (0, floor[0]), (4, -3), ha="left", va="top", **style)
