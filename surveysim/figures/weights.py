"""The figure of a survey's weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter

from surveysim.errors import DesignError
from surveysim.estimation.weighting import weight_summary
from surveysim.figures.style import (
    GRID,
    INK,
    LINE,
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
    wrap,
)
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import N

WIDTH_OF_BAR = 1.1  # a bar's upper limit over its lower one, about
EXTREME = "#d55e00"
_HIDDEN = Mark(EXTREME, "^", True)
HIDDEN = 0.015  # of the highest bar: an extreme weight's bar that is lower than this has a mark at its foot


def plot_weights(survey: Survey, *, extreme: float = 5.0, ax: Axes | None = None, draw: bool = True) -> Axes | pd.DataFrame:
    """Draw the distribution of the weights, with Kish's effective sample size, the design effect, and extreme weights marked.

    Parameters
    ----------
    survey : Survey
    extreme : float
        Weights above so many times the mean, or below the mean divided by it, are marked as extreme.
    ax : Axes, optional
        Default a new figure, 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame, a row per bar: `low high` (weights in units of their mean), `n`, `weight_share` (of all weight, 0-1),
        `extreme`; `attrs` holds the row of `weight_summary`, and `n_extreme` and `extreme_share` (of all weight).

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    DesignError
        If `extreme` is not above 1.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7. Potter (1990), Proceedings of the Section on Survey Research Methods, 225-230.

    Examples
    --------
    >>> import surveysim as ss
    >>> frame = ss.plot_weights(ss.load_example("nonvoters2020"), draw=False)
    >>> int(frame.n.sum()), round(float(frame.weight_share.sum()), 9)
    (5836, 1.0)
    """
    check_survey(survey)
    if not extreme > 1:
        raise DesignError(f"extreme={extreme:g} must be above 1: so many times the mean weight")
    weights = survey.design.weights
    relative = weights[weights > 0] / weights[weights > 0].mean()
    frame = _bars(relative, extreme)
    outside = np.abs(_position(relative, extreme)) > _n_bars(extreme)
    extremes = {
        "n_extreme": int(outside.sum()),
        "extreme_share": float(relative[outside].sum() / relative.sum()),
        "limit": extreme,
        "survey": survey.codebook.title,
    }
    frame.attrs = {**weight_summary(survey).iloc[0].to_dict(), **extremes}
    if not draw:
        return frame
    with paper_style():
        return _draw_weights(frame, ax)


def _n_bars(extreme: float) -> int:
    """Number of bars between the mean and a limit."""
    return max(1, round(float(np.log(extreme) / np.log(WIDTH_OF_BAR))))


def _position(relative: np.ndarray, extreme: float) -> np.ndarray:
    """Return where weights lie on a log scale of bars; a weight at the limit, as trimming leaves it, lies exactly there."""
    return np.asarray(np.round(_n_bars(extreme) * np.log(relative) / np.log(extreme), 9))


def _bars(relative: np.ndarray, extreme: float) -> pd.DataFrame:
    """Count relative weights in bars of equal width on the log scale; the limits of extreme weights are edges of bars."""
    position = _position(relative, extreme)
    bar = np.where(position > 0, np.ceil(position) - 1, np.floor(position)).astype(int)
    first = bar.min()
    n, total = np.bincount(bar - first), np.bincount(bar - first, weights=relative) / relative.sum()
    place = first + np.arange(len(n))
    bars = _n_bars(extreme)
    low, high = extreme ** (place / bars), extreme ** ((place + 1) / bars)
    return pd.DataFrame({"low": low, "high": high, N: n, "weight_share": total, "extreme": (place >= bars) | (place < -bars)})


def _draw_weights(frame: pd.DataFrame, ax: Axes | None) -> Axes:
    facts, across = frame.attrs, 0.0
    hidden = frame[frame["extreme"] & (frame[N] > 0) & (frame[N] < HIDDEN * frame[N].max())]
    note, title = (
        _extremes_text(facts) + (" Triangles: bars too low to be seen." if len(hidden) else ""),
        wrap(f"{facts['survey']}: weight {facts['weight']!r}", WIDTH - 4, bold=True),
    )
    if ax is None:
        top = 42 + TEXT * LINE * len(title)
        (ax,) = new_axes(left=50, right=8, top=top, bottom=note_height(note, 38, WIDTH), height=0.36 * WIDTH)
        across = -50.0
    else:
        dress(ax)
    for extreme, color, hatch in ((False, "#9db8cc", ""), (True, EXTREME, "////")):
        part = frame[frame["extreme"] == extreme]
        width = part["high"] - part["low"]
        ax.bar(part["low"], part[N], width=width, align="edge", color=color, edgecolor="white", linewidth=0.6, hatch=hatch)
    ax.plot(np.sqrt(hidden["low"] * hidden["high"]), 0 * hidden[N], linestyle="none", clip_on=False, **marker_properties(_HIDDEN, 3.6))
    ax.set_xscale("log")
    ax.set_xlim(min(frame["low"].min(), 0.45) * 0.97, max(frame["high"].max(), 2.2) * 1.03)
    _weight_ticks(ax)
    ax.set_ylim(0, 1.1 * frame[N].max())
    ax.set_xlabel("weight, in units of the mean weight (log scale)")
    ax.set_ylabel("respondents")
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.axvline(1, color=INK, linewidth=0.9)
    _name_line(ax, 1, "mean")
    _mark_limits(ax, frame, facts["limit"])
    put_above(ax, "\n".join(title), 36, across=across, bold=True)
    kept = f"n {facts['n']:,} · Kish n_eff {facts['n_eff']:,.0f} · design effect of weighting {facts['deff']:.2f}"
    zero = f" · {facts['n_zero']:,} more of weight 0" if facts["n_zero"] else ""
    put_above(ax, f"{kept} · CV {facts['cv']:.2f}{zero}", 21, across=across, size=SMALL)
    note_below(ax, note, 38, WIDTH, across=across)
    return ax


def _weight_ticks(ax: Axes) -> None:
    low, high = ax.get_xlim()
    sizes = next(each for decades, each in ((3, (1, 2, 5)), (5, (1, 3)), (np.inf, (1,))) if np.log10(high / low) <= decades)
    ticks = [size * 10.0**power for power in range(-9, 10) for size in sizes if low <= size * 10.0**power <= high]
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _mark_limits(ax: Axes, frame: pd.DataFrame, limit: float) -> None:
    low, high = ax.get_xlim()
    for place, text in ((limit, f"{limit:g} × mean"), (1 / limit, f"mean / {limit:g}")):
        if low <= place <= high:
            ax.axvline(place, color=EXTREME, linewidth=0.9, linestyle=(0, (4, 2)))
            _name_line(ax, place, text)


def _name_line(ax: Axes, place: float, text: str) -> None:
    ax.annotate(text, (place, 1), (0, 3), xycoords=ax.get_xaxis_transform(), textcoords="offset points", ha="center", fontsize=SMALL)


def _extremes_text(facts: dict) -> str:
    smallest, largest = facts["min"] / facts["mean"], facts["max"] / facts["mean"]
    rule = f"above {facts['limit']:g} × the mean or below the mean / {facts['limit']:g}"
    limits = f"Weights run from {smallest:.2g} to {f'{largest:.2g}' if largest < 10 else f'{largest:,.0f}'} times the mean. "
    if not facts["n_extreme"]:
        return f"{limits}None is extreme: {rule}."
    held = f"{PERCENT * facts['extreme_share']:.1f}% of the weight"
    return f"{limits}Hatched: {facts['n_extreme']:,} extreme weights ({rule}), {held}."
