"""The figure of simulated beside official shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.errors import TableError, first_few
from surveysim.figures.dots import interval_note, same_n, spread
from surveysim.figures.rows import LABEL_WIDTH, check_height, check_sources
from surveysim.figures.style import (
    GRID,
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
    new_axes,
    nice_limits,
    note_below,
    note_height,
    paper_style,
    signed,
    source_marks,
    widest,
    wrap,
)
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, QUESTION, SHARE, SOURCE, N, require_columns

LABEL = "label"
COLUMN, LEAST_WIDTH = 34.0, 200.0  # points; the last of the panel, before labels are broken sooner
MOST_COLUMNS = 6  # of differences and n in the margin; where there would be more, those of n alone


_OFFICIAL = Mark("#000000", "D", True)


def plot_official(
    comparison: pd.DataFrame,
    *,
    reference: str = "official",
    sources: str | Sequence[str] | None = None,
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
    sources : str or sequence of str, optional
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
    lacking = "comparison has no source"
    known_names_of([reference], "reference", known, error=TableError, lacking=lacking)
    names = known_names_of(known if sources is None else sources, "sources", known, error=TableError, lacking=lacking)
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
