"""Figures of a survey itself: its weights, and its estimates beside official ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter

from surveysim.errors import DesignError, TableError, first_few, nearest
from surveysim.estimation.weighting import weight_summary
from surveysim.figures.dots import interval_note, same_n, spread
from surveysim.figures.layout import check_height, check_sources
from surveysim.figures.style import (
    GRID,
    INK,
    LINE,
    PERCENT,
    SMALL,
    STRIPE,
    TEXT,
    WIDTH,
    Mark,
    dots,
    dress,
    handle,
    key_above,
    label_rows,
    margin_column,
    marker_properties,
    new_axes,
    nice_limits,
    note_below,
    note_height,
    paper_style,
    put_above,
    signed,
    source_marks,
    widest,
    wrap,
)
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, QUESTION, SHARE, SOURCE, N, require_columns

WIDTH_OF_BAR = 1.1  # a bar's upper limit over its lower one, about
EXTREME = "#d55e00"
HIDDEN = 0.015  # of the highest bar: an extreme weight's bar that is lower than this has a mark at its foot
LABEL = "label"
COLUMN, LABEL_WIDTH, LEAST_WIDTH = 34.0, 170.0, 200.0  # points; the last of the panel, before labels are broken sooner
MOST_COLUMNS = 6  # of differences and n in the margin; where there would be more, those of n alone
_OFFICIAL, _HIDDEN = Mark("#000000", "D", True), Mark(EXTREME, "^", True)


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


def plot_official(
    comparison: pd.DataFrame,
    *,
    reference: str = "official",
    sources: Sequence[str] | None = None,
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw official estimates beside the survey's and simulated ones, with 95% intervals, and differences and n in the margin.

    Parameters
    ----------
    comparison : DataFrame
        Columns `source`, `share` (0-1), `conf_low`, `conf_high`, and `label` or else `question_id`, which names a row of the
        figure; `n`, respondents, is optional. As of `compare_with_official`.
    reference : str
        Source that the differences are taken from.
    sources : sequence of str, optional
        Which, and in which order; default all, as they appear.
    ax : Axes, optional
        Default a new figure, 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame: `label source row y share conf_low conf_high n difference` (of the reference, 0-1; `n` missing where it is
        not known).

    Raises
    ------
    TableError
        If a column or a source is absent, a share lies outside 0-1, or a label and source are repeated; if the figure would
        have more than seven sources or be taller than 24 inches.

    References
    ----------
    Cleveland and McGill (1984), doi:10.1080/01621459.1984.10478080 (positions on a common scale).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> rows = [("voted", "official", 0.667, None, None), ("voted", "survey", 0.70, 0.68, 0.72)]
    >>> comparison = pd.DataFrame(rows, columns=["label", "source", "share", "conf_low", "conf_high"])
    >>> ss.plot_official(comparison, draw=False).difference.round(3).tolist()
    [0.0, 0.033]
    """
    frame = _official_table(comparison, reference, sources)
    if not draw:
        return frame
    with paper_style():
        return _draw_official(frame, reference, ax)


def _official_table(comparison: pd.DataFrame, reference: str, sources: Sequence[str] | None) -> pd.DataFrame:
    require_columns(comparison, [SOURCE, SHARE, CONF_LOW, CONF_HIGH], "comparison")
    name = LABEL if LABEL in comparison else QUESTION
    require_columns(comparison, [name], "comparison")
    known = list(map(str, comparison[SOURCE].unique()))
    names = list(dict.fromkeys(known if sources is None else sources))
    strange = [source for source in [reference, *names] if source not in known]
    if strange:
        raise TableError(f"comparison has no source {strange[0]!r}; {nearest(strange[0], known)}")
    rows = comparison[comparison[SOURCE].isin(names)].rename(columns={name: LABEL})
    repeated = rows[rows.duplicated([LABEL, SOURCE])]
    if len(repeated):
        raise TableError(f"comparison repeats {first_few(repeated[LABEL].unique())} of one source; give each row a label of its own")
    outside = rows[~rows[SHARE].between(0, 1) & rows[SHARE].notna()]
    if len(outside):
        raise TableError(f"comparison: shares must lie in 0-1; they do not in {first_few(outside[LABEL].unique())}; are they percentages?")
    labels = list(dict.fromkeys(rows[LABEL]))
    grid = pd.DataFrame([(label, source) for label in labels for source in names], columns=[LABEL, SOURCE])
    numbers = rows.assign(**{N: rows.get(N, np.nan)})[[LABEL, SOURCE, SHARE, CONF_LOW, CONF_HIGH, N]]
    frame = grid.merge(numbers.astype({SHARE: float, N: float}), on=[LABEL, SOURCE], how="left")
    official = comparison[comparison[SOURCE] == reference].set_index(name)[SHARE]
    frame.insert(2, "row", frame[LABEL].map({label: float(place) for place, label in enumerate(labels)}))
    frame.insert(3, "y", frame["row"] + spread(frame[SOURCE], names))
    return frame.assign(difference=frame[SHARE] - frame[LABEL].map(official).astype(float))


def _draw_official(frame: pd.DataFrame, reference: str, ax: Axes | None) -> Axes:
    names = list(dict.fromkeys(frame[SOURCE]))
    check_sources(names)
    marks = _official_marks(names, reference)
    rows = frame.drop_duplicates("row")
    others, groups = [name for name in names if name != reference], same_n(frame)
    margin = f"Margin: percentage points above (+) or below (−) {reference}."
    if len(others) + len(groups) > MOST_COLUMNS:
        others, margin = [], f"Differences from {reference} in numbers: draw=False."
    note = f"{interval_note(frame)} {margin}{' n: respondents.' if groups else ''}"
    right = 12 + COLUMN * (len(others) + len(groups))
    room = min(LABEL_WIDTH, max(0.6 * LABEL_WIDTH, WIDTH - right - LEAST_WIDTH))
    labels = ["\n".join(wrap(str(label), room)) for label in rows[LABEL]]
    left, across = widest(line for label in labels for line in label.split("\n")) + 12, 0.0
    if ax is None:
        height = len(rows) * max(9.0 * len(names) + 7, TEXT * LINE * max(label.count("\n") + 1 for label in labels) + 4)
        what = f"{len(rows)} rows x {len(names)} sources"
        check_height(height, what, "choose rows, comparison[comparison['label'].isin([...])], or some with sources=")
        (ax,) = new_axes(left=left, right=right, top=50, bottom=note_height(note, 32, WIDTH), height=height)
        across = -left
    else:
        dress(ax)
    for place in rows["row"]:
        ax.axhspan(place - 0.45, place + 0.45, color=STRIPE, linewidth=0, zorder=0)
    for name, mark in marks.items():
        own = frame[frame[SOURCE] == name]
        dots(ax, PERCENT * own[[SHARE, CONF_LOW, CONF_HIGH]].to_numpy(float), own["y"].to_numpy(float), mark)
    _official_columns(ax, frame, others, groups, marks, reference)
    label_rows(ax, list(rows["row"]), labels)
    ax.set_ylim(rows["row"].max() + 0.6, -0.6)
    reach = PERCENT * frame[[SHARE, CONF_LOW, CONF_HIGH]].to_numpy(float)
    ax.set_xlim(*nice_limits(np.append(reach - 1, reach + 1), 10, low=0, high=100))
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    ax.set_xlabel("%", fontsize=SMALL)
    key_above(ax, [handle(mark) for mark in marks.values()], names, 28, WIDTH, across=across)
    note_below(ax, note, 32, WIDTH, across=across)
    return ax


def _official_columns(
    ax: Axes, frame: pd.DataFrame, others: Sequence[str], groups: Sequence[Sequence[str]], marks: dict[str, Mark], reference: str
) -> None:
    """Write differences from the reference and respondents into the margin."""
    for place, name in enumerate(others):
        own = frame[(frame[SOURCE] == name) & frame["difference"].notna()]
        head = f"less {reference}" if place == len(others) - 1 else ""
        texts = [signed(PERCENT * value, 1) for value in own["difference"]]
        margin_column(ax, COLUMN * (place + 1), own["row"], texts, head=head, marks=[marks[name]])
    for place, group in enumerate(groups, start=len(others) + 1):
        own = frame[(frame[SOURCE] == group[0]) & frame[N].notna()]
        head = "n" if place == len(others) + len(groups) else ""
        margin_column(ax, COLUMN * place, own["row"], [f"{n:,.0f}" for n in own[N]], head=head, marks=[marks[name] for name in group])


def _official_marks(names: Sequence[str], reference: str) -> dict[str, Mark]:
    """Return marks as ever, the reference a black diamond."""
    others = source_marks([name for name in names if name != reference] + ["", ""])
    free = iter(mark for mark in others.values() if mark.color != _OFFICIAL.color)
    return {name: _OFFICIAL if name == reference else next(free) for name in names}
