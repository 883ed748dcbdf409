"""The figure of a country or region trait: a grid of tiles, one a level, with estimate and interval in each; no map is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from surveysim.codebook.backgrounds import parse_background_id, trait_order, traits_in
from surveysim.codebook.codebook import Code, Codebook
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import TableError, first_few, nearest, quoted
from surveysim.estimation.joint_shares import joint_shares
from surveysim.evaluation.metrics import METRICS
from surveysim.evaluation.summaries import summarise_scores
from surveysim.figures.bars import text_on
from surveysim.figures.rows import NO_NUMBER, WITHHELD, check_height, is_withheld, options_label, question_rows, scale_of, shown_options
from surveysim.figures.savings import DEFAULT_METRIC
from surveysim.figures.scores import METRIC_NAMES, of_metric
from surveysim.figures.style import (
    LINE,
    MINUS,
    MUTED,
    PERCENT,
    SMALL,
    STRIPE,
    TEXT,
    TITLE,
    WIDTH,
    dress,
    new_axes,
    nice_limits,
    note_below,
    note_height,
    paper_style,
    ramp_above,
    titles_above,
    titles_height,
    wrap,
)
from surveysim.figures.tiles import COLUMN, GRIDS, LEVEL, ROW, TILE, draw_tile, tiles_of, write_in_tile
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    METRIC,
    OPTION,
    QUESTION,
    SHARE,
    SOURCE,
    N,
    check_distributions,
    require_columns,
    require_numbers,
)

WIDE = "wide"
UNPLACED, COLOURS = "no_tile", "colours"  # in attrs of the frame
LARGEST = 64.0  # points of a tile's side
TOO_WIDE = 0.5  # of the colours' range: an interval that is wider is hatched
RAMP = mpl.colormaps["PuBu"]
SHADES = np.linspace(0.06, 0.95, 9)
INTERVAL = 6.5  # font size in points


class Words(NamedTuple):
    """What a figure's numbers are: title, and whether they are shares, means or errors."""

    title: str
    what: str
    kind: str


def plot_map(
    table: pd.DataFrame,
    *,
    trait: str,
    question: str | None = None,
    options: Sequence[Code] | None = None,
    metric: str | None = None,
    source: str | None = None,
    codebook: CodebookLike | None = None,
    tiles: str | pd.DataFrame | None = None,
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw a share, mean or error in every level of a country or region trait, each on a tile of the same size, with its interval.

    Tiles lie about where the places do. A tile states the estimate and its 95% interval; it is hatched where the interval is wider than
    half of the colours' range, so that its colour could as well be another. A withheld estimate is told from one that is missing.

    Parameters
    ----------
    table : DataFrame
        A distributions table (a share is drawn), a table of `survey_mean` and its like, or scores of `evaluate` (their mean over
        questions). Shares and means need one background a level: make the table by the trait, or add it up with `poststratify`.
    trait : str
        Such as ``"country"``.
    question : str, optional
        Needed where the table of shares or means has several.
    options : sequence of codes, optional
        Options whose joint share is drawn; default as in `plot_distributions`.
    metric : str, optional
        Of scores; default ``"wasserstein"`` where the scores have it, else their only one.
    source : str, optional
        Needed where the table has several.
    codebook : str, Path, Codebook or Survey, optional
        Gives wording and labels.
    tiles : str or DataFrame, optional
        ``"europe"``, ``"us_states"``, ``"us_regions"`` or ``"us_divisions"``, by names or usual codes; or columns `level`, `row` and
        `column` (whole numbers from the upper left), and if wanted `tile`, a short name. Default: the grid that has most of the levels.
    ax : Axes, optional
        Default a new figure, at most 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame: `level tile row column estimate conf_low conf_high n withheld wide`, a row per level that has a tile;
        ``attrs["no_tile"]`` lists the levels without one, which the figure's note names, ``attrs["tiles"]`` the grid.

    Raises
    ------
    TableError
        If the table is none of these, lacks the trait, the question, the metric or the source, or has several of them and none is chosen;
        if a level has several backgrounds; if fewer than half of the levels have a tile of a shipped grid, or none of the one given;
        if two levels share a tile; if the figure would be taller than 24 inches.
    CodebookError
        If the codebook lacks the question.

    References
    ----------
    McNeill and Hale (2017), doi:10.1111/cgf.13200 (maps of tiles).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> means = pd.DataFrame({"question_id": "trust", "background_id": ["country=Norway", "country=Italy"], "estimate": [7.1, 4.2]})
    >>> means = means.assign(conf_low=means.estimate - 0.2, conf_high=means.estimate + 0.2)
    >>> frame = ss.plot_map(means, trait="country", draw=False)
    >>> frame[["level", "tile", "row", "column"]].values.tolist(), frame.attrs["tiles"]
    ([['Norway', 'NO', 0, 4], ['Italy', 'IT', 6, 3]], 'europe')
    """
    require_columns(table, [BACKGROUND], "table")
    book = codebook_if_any(codebook)
    rows = _of_one(table, SOURCE, source, "source")
    if OPTION in table:
        check_distributions(table)
        levels, words = _joint_shares(_of_one(rows, QUESTION, question, "question"), trait, options, book)
    elif METRIC in table:
        levels, words = _mean_scores(rows, trait, metric)
    else:
        levels, words = _estimates(_of_one(rows, QUESTION, question, "question"), trait, book)
    named = f"{words.what}, by {trait}" + (f": {rows[SOURCE].iloc[0]}" if SOURCE in rows else "")
    frame, empty = _placed(levels, tiles, words.kind)
    if not draw:
        return frame
    with paper_style():
        return _draw(frame, empty, words._replace(what=named), ax)


def _of_one(table: pd.DataFrame, column: str, wanted: str | None, argument: str) -> pd.DataFrame:
    """Return the rows of one question or source: the one that is asked for, or the only one."""
    if column not in table:
        return table
    known = list(dict.fromkeys(table[column]))
    if wanted is None and len(known) > 1:
        raise TableError(f"table has {len(known)} values of {column!r} ({first_few(known)}), and a map shows one; choose with {argument}=")
    if wanted is not None and wanted not in known:
        raise TableError(f"{argument}: table has no {column} {quoted(wanted)}; {nearest(str(wanted), map(str, known))}")
    return table if wanted is None else table[table[column] == wanted]


def _levels_of(ids: Sequence[str], trait: str) -> list[str]:
    lacking = [name for name in ids if trait not in parse_background_id(name)]
    if lacking:
        found = first_few(dict.fromkeys(lacking))
        raise TableError(f"trait: the backgrounds {found} have no trait {quoted(trait)}; {nearest(str(trait), trait_order(ids, None))}")
    return [parse_background_id(name)[trait] for name in ids]


def _one_a_level(rows: pd.DataFrame, trait: str) -> pd.DataFrame:
    """Return a row per level, refusing a level that several backgrounds have."""
    for column in {ESTIMATE, CONF_LOW, CONF_HIGH, N} & set(rows):
        require_numbers(rows, column, "table")
    found = rows.assign(**{LEVEL: _levels_of(list(rows[BACKGROUND]), trait)})
    several = found.loc[found[LEVEL].duplicated(), LEVEL].unique()
    if len(several):
        others = [name for name in traits_in(found[BACKGROUND]) if name != trait]
        how = (
            f"it is also over {first_few(others)}; make it by {trait!r} alone, or add it up: poststratify(table, population, by={trait!r})"
            if others
            else f"background_id repeats {first_few(found.loc[found[BACKGROUND].duplicated(), BACKGROUND].unique())}; keep one row of each"
        )
        raise TableError(f"table has several rows of level {first_few(map(repr, several))}, and a tile shows one number; {how}")
    found = found.reindex(columns=[LEVEL, ESTIMATE, CONF_LOW, CONF_HIGH, N, WITHHELD])
    return found.astype(dict.fromkeys([ESTIMATE, CONF_LOW, CONF_HIGH, N], float))


def _joint_shares(rows: pd.DataFrame, trait: str, options: Sequence[Code] | None, book: Codebook | None) -> tuple[pd.DataFrame, Words]:
    """Return the joint share of some options in each level, with its interval."""
    asked = str(rows[QUESTION].iloc[0])
    rows = question_rows(rows, asked)
    scale = scale_of(rows, asked, book)
    codes = shown_options(scale, rows, options)
    found = joint_shares(rows, codes).rename(columns={SHARE: ESTIMATE})
    levels = _one_a_level(found.assign(**{WITHHELD: is_withheld(rows, found)}), trait)
    return levels, Words(scale.text, f"% answering {options_label(scale, codes)}", SHARE)


def _estimates(rows: pd.DataFrame, trait: str, book: Codebook | None) -> tuple[pd.DataFrame, Words]:
    """Return the estimates of one question as the table has them."""
    require_columns(rows, [ESTIMATE], "table")
    asked = str(rows[QUESTION].iloc[0]) if QUESTION in rows else ""
    levels = _one_a_level(rows.assign(**{WITHHELD: is_withheld(rows, rows)}), trait)
    return levels, Words(book.question(asked).text if book is not None and asked else asked, "estimate", ESTIMATE)


def _mean_scores(scores: pd.DataFrame, trait: str, metric: str | None) -> tuple[pd.DataFrame, Words]:
    """Return mean scores of each level over questions, with intervals over questions."""
    known = list(dict.fromkeys(scores[METRIC]))
    if metric is None and len(known) > 1 and DEFAULT_METRIC not in known:
        raise TableError(f"table holds several metrics, {first_few(known)}; choose one with metric=")
    shown = metric or (DEFAULT_METRIC if DEFAULT_METRIC in known else known[0])
    own = of_metric(scores, shown, "table")
    means = summarise_scores(own.assign(**{LEVEL: _levels_of(list(own[BACKGROUND]), trait)}), by=LEVEL)
    count = int(means["n_questions"].max())
    words = Words(METRIC_NAMES.get(shown, shown), f"mean error over {count} question{'s' if count != 1 else ''}", METRIC)
    if shown in METRICS:
        means[CONF_LOW] = means[CONF_LOW].clip(lower=0.0)  # a distance is not negative
    return means.reindex(columns=[LEVEL, ESTIMATE, CONF_LOW, CONF_HIGH, N]).astype({N: float}).assign(**{WITHHELD: False}), words


def _placed(levels: pd.DataFrame, tiles: str | pd.DataFrame | None, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the levels that have a tile, in the table's order, and the tiles of the grid that are left empty."""
    grid, place = tiles_of(levels[LEVEL], tiles)
    own = grid.iloc[place[place >= 0]].reset_index(drop=True)
    frame = pd.concat([levels[place >= 0].reset_index(drop=True), own[[TILE, ROW, COLUMN]]], axis=1)
    frame = frame[[LEVEL, TILE, ROW, COLUMN, ESTIMATE, CONF_LOW, CONF_HIGH, N, WITHHELD]]
    if not frame[ESTIMATE].notna().any():
        raise TableError(f"table has no estimate in any level that has a tile: {first_few(frame[LEVEL])}; a map needs one")
    low, high = _limits(frame, kind)
    frame[WIDE] = (frame[CONF_HIGH] - frame[CONF_LOW]).to_numpy(float) > TOO_WIDE * (high - low)
    frame.attrs = {UNPLACED: list(levels.loc[place < 0, LEVEL]), GRIDS: grid.attrs[GRIDS], COLOURS: (low, high)}
    return frame, grid[~np.isin(np.arange(len(grid)), place)]


def _limits(frame: pd.DataFrame, kind: str) -> tuple[float, float]:
    """Return the values of the palest and the darkest tile: of shares multiples of .05, of errors from 0."""
    values = frame[ESTIMATE].to_numpy(float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if kind == SHARE:
        low, high = (value / PERCENT for value in nice_limits(PERCENT * values, 5, low=0, high=100))
    elif kind == METRIC:
        low = min(low, 0.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _draw(frame: pd.DataFrame, empty: pd.DataFrame, words: Words, ax: Axes | None) -> Axes:
    rows, columns = (np.concatenate([frame[name], empty[name]]) for name in (ROW, COLUMN))
    n_rows, n_columns = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    wide = WIDTH - 4 if ax is None else dress(ax)
    side = min(LARGEST, wide / n_columns)
    note = _note(frame, words.kind, len(empty))
    titles = [(wrap(words.title, wide, TITLE), TITLE, False), (wrap(words.what, wide, bold=True), TEXT, True)]
    above = TEXT * LINE + 16
    if ax is None:
        top = above + titles_height(titles) + 4
        check_height(top + n_rows * side, f"{n_rows} rows of tiles", "lay them in fewer rows with tiles=")
        bottom = note_height(note, 10, wide)
        (ax,) = new_axes(left=0.0, right=WIDTH - n_columns * side, top=top, bottom=bottom, height=n_rows * side)
    side = min(side, _points(ax)[1] / n_rows)
    ax.set_xlim(columns.min(), columns.min() + _points(ax)[0] / side)
    ax.set_ylim(rows.min() + _points(ax)[1] / side, rows.min())
    ax.axis("off")
    for row, column, name in zip(empty[ROW], empty[COLUMN], empty[TILE], strict=True):
        draw_tile(ax, (row, column, side), facecolor=STRIPE)
        write_in_tile(ax, (row, column, side), [(name, SMALL, False)], MUTED)
    for _, own in frame.iterrows():
        _draw_level(ax, own, side, words.kind, frame.attrs[COLOURS])
    low, high = (_number(value, words.kind, frame.attrs[COLOURS], unit=True) for value in frame.attrs[COLOURS])
    ramp_above(ax, [to_rgb(RAMP(shade)) for shade in SHADES], low, high, 8)
    titles_above(ax, titles, above)
    note_below(ax, note, 10, wide)
    return ax


def _points(ax: Axes) -> tuple[float, float]:
    """Width and height of axes in points."""
    return float(ax.bbox.width) * 72 / ax.figure.dpi, float(ax.bbox.height) * 72 / ax.figure.dpi


def _draw_level(ax: Axes, own: pd.Series, side: float, kind: str, colours: tuple[float, float]) -> None:
    """Draw the tile of a level: its colour, hatched where the interval is wide, dashed where there is none, and its numbers, if any."""
    place = (float(own[ROW]), float(own[COLUMN]), side)
    if np.isnan(own[ESTIMATE]):
        draw_tile(ax, place, facecolor="white", edgecolor=MUTED, linewidth=0.8)
        write_in_tile(ax, place, [(own[TILE], SMALL, True), *([(NO_NUMBER, TEXT, False)] if own[WITHHELD] else [])], MUTED)
        return
    color = to_rgb(RAMP(float(np.interp(own[ESTIMATE], colours, [SHADES[0], SHADES[-1]]))))
    ink = text_on(color)
    draw_tile(ax, place, facecolor=color)
    if own[WIDE]:
        draw_tile(ax, place, facecolor="none", edgecolor=ink, alpha=0.45, hatch="////")
    lines = [(own[TILE], SMALL, True), (_number(own[ESTIMATE], kind, colours), TEXT, False)]
    if np.isfinite(own[CONF_LOW]) and np.isfinite(own[CONF_HIGH]):
        lines.append(("–".join(_number(own[name], kind, colours) for name in (CONF_LOW, CONF_HIGH)), INTERVAL, False))
    else:
        draw_tile(ax, place, facecolor="none", edgecolor=ink, linewidth=0.9, linestyle=(0, (2, 2)))
    write_in_tile(ax, place, lines, ink, color if own[WIDE] else None)


def _number(value: float, kind: str, colours: tuple[float, float], *, unit: bool = False) -> str:
    """Write a share in percent, another number with the digits that tell twenty steps of the colours' range apart."""
    if kind == SHARE:
        return f"{PERCENT * value:.0f}{'%' if unit else ''}"
    digits = int(np.clip(np.ceil(-np.log10((colours[1] - colours[0]) / 20)), 0, 4))
    text = f"{value:,.{digits}f}".replace("-", MINUS)
    if kind != METRIC:
        return text
    return text.removeprefix("0") if value else "0"


def _note(frame: pd.DataFrame, kind: str, n_empty: int) -> str:
    """Say what tiles, hatches and dashes are, and who has no tile."""
    there, hidden = frame[ESTIMATE].notna(), frame[WITHHELD].to_numpy(bool)
    absent = frame.loc[~there & ~hidden, LEVEL]
    known = frame.loc[there, CONF_LOW].notna() & frame.loc[there, CONF_HIGH].notna()
    over = " over questions" if kind == METRIC else ""
    what = {SHARE: "%", METRIC: "mean error"}.get(kind, "estimate")
    said = {
        f"In a tile: {what}{f' and 95% interval{over}' if known.any() else ''}.": True,
        "Hatched: the interval is wider than half of the colours' range.": frame[WIDE].any(),
        "No intervals known.": not known.any(),
        "Dashed: no interval known.": known.any() and not known.all(),
        f"{NO_NUMBER}: withheld, {hidden.sum()} of {len(frame)} levels ({first_few(frame.loc[hidden, LEVEL], 10)}).": hidden.any(),
        f"White, without a number: no estimate ({first_few(absent, 10)}).": len(absent) > 0,
        "Grey: not in the table.": n_empty > 0,
        f"Without a tile, not drawn: {first_few(frame.attrs[UNPLACED], 20)}.": len(frame.attrs[UNPLACED]) > 0,
    }
    return " ".join(text for text, holds in said.items() if holds)
