"""Figures of response distributions: one question's shares by background, and the shifts of a trait's levels.

Every function takes a tidy table and draws on `ax`, or on a new figure; ``draw=False`` returns the frame that would be drawn.
matplotlib's settings are not changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.backgrounds import ordered_backgrounds, parse_background_id
from surveysim.codebook.codebook import Code, Codebook
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import TableError, first_few
from surveysim.estimation.trait_shifts import LEVEL, POOLED_SHARE, SHIFT, largest_source, trait_shifts
from surveysim.figures.bars import bar_table, draw_bars
from surveysim.figures.dots import dot_table, draw_dots, interval_note, same_n, spread
from surveysim.figures.rows import (
    WITHHELD,
    Scale,
    check_height,
    check_sources,
    cut_note,
    is_withheld,
    lines_height,
    margin_of,
    n_texts,
    options_label,
    question_rows,
    row_names,
    scale_of,
    shown_options,
    source_order,
    withheld_note,
)
from surveysim.figures.style import (
    GRID,
    INK,
    LINE,
    PERCENT,
    SMALL,
    STRIPE,
    TEXT,
    TITLE,
    WIDTH,
    dots,
    dress,
    handle,
    key_above,
    key_height,
    label_rows,
    margin_column,
    new_axes,
    nice_limits,
    note_below,
    note_height,
    paper_style,
    signed,
    source_marks,
    titles_above,
    titles_height,
    wrap,
)
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, SOURCE

KINDS = ("auto", "bars", "dots")
COLUMN, SOURCE_HEIGHT = 27.0, 9.0  # points
MOST_COLUMNS = 8  # of shifts and n in the margin; where there would be more, those of n alone
UNNUMBERED = " Shifts in numbers: draw=False."
MOST_BARS, MOST_BACKGROUNDS = 24, 80  # rows of bars, and backgrounds as dots, that a page can hold


def plot_distributions(
    distributions: pd.DataFrame,
    *,
    question: str,
    backgrounds: str | Sequence[str] | pd.DataFrame | None = None,
    codebook: CodebookLike | None = None,
    sources: str | Sequence[str] | None = None,
    options: Sequence[Code] | None = None,
    kind: str = "auto",
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw one question's shares by background, sources side by side, with intervals and n.

    Bars: the shares stacked, an ordered scale about its middle, and beside them the joint share of `options` with its 95%
    interval. Dots: that joint share alone, for many backgrounds; the trait of fewest levels becomes panels.

    Parameters
    ----------
    distributions : DataFrame
        A distributions table (shares 0-1) of one source or several.
    question : str
    backgrounds : str, sequence of str or DataFrame, optional
        Ids, or a frame with `background_id`; default all in the table.
    codebook : str, Path, Codebook or Survey, optional
        Gives wording, labels, and order of levels. Without it codes stand for labels, and the options count as nominal.
    sources : str or sequence of str, optional
        Which, and in which order; default all, as they appear.
    options : sequence of codes, optional
        Options whose joint share is drawn with its interval. Default: the first half of an ordered scale without its
        middle; of two options the first; else the most frequent. A joint share's interval is of the
        cell's mean design effect (Rao and Scott 1981).
    kind : {"auto", "bars", "dots"}
        ``"auto"``: bars up to 24 rows (backgrounds times sources).
    ax : Axes, optional
        Default a new figure as wide as a page's text (7 inches). On `ax` there is one panel.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        The (first) panel; or the frame: bars with `row`, `left` and `share`, dots with `panel`, `y`, `share` and interval.

    Raises
    ------
    TableError
        If the table breaks its contract or lacks the question, a background, a source or an option (the message names the
        nearest), has no share of it, or has more backgrounds than a page can hold; if `kind` is unknown; if the figure would
        have more than seven sources, which nothing would tell apart, or be taller than 24 inches.
    CodebookError
        If the codebook lacks the question, a trait or a level.

    References
    ----------
    Heiberger and Robbins (2014), doi:10.18637/jss.v057.i05 (diverging bars).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> table = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> frame = ss.plot_distributions(table, question="Q8_8", codebook=survey.codebook, draw=False)
    >>> frame.option.unique().tolist()
    ['A lot', 'Some', 'Not much', 'Not at all']
    """
    if kind not in KINDS:
        raise TableError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    rows = question_rows(distributions, question, backgrounds=backgrounds, sources=sources)
    codebook = codebook_if_any(codebook)
    names, scale = source_order(rows, sources), scale_of(rows, question, codebook)
    codes, ids = shown_options(scale, rows, options), ordered_backgrounds(rows["background_id"], codebook)
    n_bars = len(ids) * len(names)
    as_bars = kind == "bars" or (kind == "auto" and n_bars <= MOST_BARS)
    if n_bars > 2 * MOST_BARS if as_bars else len(ids) > MOST_BACKGROUNDS:
        most = f"{2 * MOST_BARS} bars" if as_bars else f"{MOST_BACKGROUNDS} backgrounds"
        raise TableError(
            f"{len(ids)} backgrounds x {len(names)} sources: a page holds {most}; choose some with backgrounds=: {first_few(ids, 2)}; "
            "or make the table by fewer traits"
        )
    with paper_style():
        if as_bars:
            frame = bar_table(rows, scale, codes, ids, names, codebook)
            return draw_bars(frame, scale, codes, ax) if draw else frame
        frame = dot_table(rows, codes, ids, names, codebook, panels=ax is None)
        return draw_dots(frame, scale, codes, ax) if draw else frame


def plot_shifts(
    distributions: pd.DataFrame,
    *,
    question: str,
    trait: str,
    codebook: CodebookLike | None = None,
    sources: str | Sequence[str] | None = None,
    options: Sequence[Code] | None = None,
    population: pd.DataFrame | None = None,
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw how far the answer of every level of a trait lies from the pooled answer, source by source, with 95% intervals.

    Backgrounds over several traits are averaged within a level and over all; every source with the same weights, over the
    backgrounds for which it has shares. A shift is a difference of shares, in percentage points; intervals take backgrounds
    as independent.

    Parameters
    ----------
    distributions : DataFrame
        A distributions table (shares 0-1), all backgrounds over traits that include `trait`.
    question, trait : str
    codebook : str, Path, Codebook or Survey, optional
        Gives wording, labels, and order of levels; without it codes stand for labels.
    sources : str or sequence of str, optional
        Which, and in which order; default all, as they appear.
    options : sequence of codes, optional
        Options whose joint share shifts; default as in `plot_distributions`.
    population : DataFrame, optional
        `background_id` and `population_share` to weight backgrounds by. Default: the respondents (`n`) of the source that has
        most of them, and the figure says so.
    ax : Axes, optional
        Default a new figure, 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame: `level source row y share shift std_error conf_low conf_high pooled_share n withheld`, a row per level and source.

    Raises
    ------
    TableError
        If the table breaks its contract or lacks the question, the trait, a source or an option (the message names the
        nearest), the trait has one level, or a background cannot be weighted; if the figure would have more than seven
        sources or be taller than 24 inches.
    CodebookError
        If the codebook lacks the question or the trait.

    References
    ----------
    Cleveland and McGill (1984), doi:10.1080/01621459.1984.10478080 (positions on a common scale).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> table = ss.response_distributions(survey, by=["age3", "gender"], questions=["Q8_8"])
    >>> frame = ss.plot_shifts(table, question="Q8_8", trait="age3", codebook=survey.codebook, draw=False)
    >>> frame.level.tolist()
    ['18-34', '35-54', '55+']
    """
    rows = question_rows(distributions, question, sources=sources)
    codebook = codebook_if_any(codebook)
    names, scale = source_order(rows, sources), scale_of(rows, question, codebook)
    codes = shown_options(scale, rows, options)
    frame = shift_table(rows, codes, trait, names, codebook=codebook, population=population)
    if not draw:
        return frame
    by = "population share" if population is not None else f"n of {largest_source(rows)!r}"
    kept_back = withheld_note(_cells(rows), then="; shifts and pooled shares are of the others")
    with paper_style():
        return draw_shifts(frame, scale, codes, trait, f"Backgrounds count by {by}.{kept_back}", ax)


def shift_table(
    rows: pd.DataFrame,
    codes: Sequence[Code],
    trait: str,
    sources: Sequence[str],
    *,
    codebook: Codebook | None,
    population: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return what `draw_shifts` draws: the `trait_shifts` with the place of each, `row` and `y`.

    Columns `level source row y share shift std_error conf_low conf_high pooled_share n withheld` (shares 0-1).

    Raises
    ------
    TableError
        As of `trait_shifts`.
    """
    table = trait_shifts(rows, codes, trait, sources, codebook=codebook, population=population)
    table[WITHHELD] = _is_level_withheld(table, _cells(rows), trait)
    rows_of = {level: float(place) for place, level in enumerate(dict.fromkeys(table[LEVEL]))}
    table["row"] = table[LEVEL].map(rows_of)
    table["y"] = table["row"] + spread(table[SOURCE], sources)
    first = [LEVEL, SOURCE, "row", "y"]
    return table[[*first, *(column for column in table if column not in first)]]


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of a question's rows, and whether each is withheld."""
    cells = rows[[BACKGROUND, SOURCE]].drop_duplicates(ignore_index=True)
    return cells.assign(**{WITHHELD: is_withheld(rows, cells)})


def _is_level_withheld(shifts: pd.DataFrame, cells: pd.DataFrame, trait: str) -> np.ndarray:
    """Return for each level and source whether it has no shift because its backgrounds are withheld."""
    hidden = cells[cells[WITHHELD]]
    known = {(parse_background_id(name)[trait], source) for name, source in zip(hidden[BACKGROUND], hidden[SOURCE], strict=True)}
    of = zip(shifts[LEVEL], shifts[SOURCE], strict=True)
    return np.array([pair in known for pair in of], dtype=bool) & shifts[SHIFT].isna().to_numpy()


def draw_shifts(table: pd.DataFrame, scale: Scale, codes: Sequence[Code], trait: str, counted: str, ax: Axes | None) -> Axes:
    """Draw the shifts of `shift_table` with their intervals about a zero line; shifts and n in the margin."""
    check_sources(list(table[SOURCE].unique()))
    marks, groups, levels = source_marks(list(dict.fromkeys(table[SOURCE]))), same_n(table), table.drop_duplicates(LEVEL)
    names, numbered = row_names(list(levels[LEVEL])), len(marks) + len(groups) <= MOST_COLUMNS
    left, right, across = margin_of(names), 14 + COLUMN * (len(marks) * numbered + len(groups)), 0.0
    width = WIDTH - 4 if ax is None else dress(ax)
    note = f"{interval_note(table)} n: respondents. {counted}{'' if numbered else UNNUMBERED}{cut_note(names)}"
    shown = f"% answering {options_label(scale, codes)}, by {trait}: difference from the pooled share"
    titles = [(wrap(scale.text, width, TITLE), TITLE, False), (wrap(shown, width, bold=True), TEXT, True)]
    pooled = table.drop_duplicates(SOURCE).set_index(SOURCE)[POOLED_SHARE]
    key = [f"{name} (pooled {PERCENT * pooled[name]:.0f}%)" for name in marks]
    above = TEXT * LINE + 18 + key_height(key, width) + 6
    if ax is None:
        height, top = len(levels) * max(SOURCE_HEIGHT * len(marks) + 6, lines_height(names)), above + titles_height(titles) + 4
        check_height(top + height, f"{len(levels)} levels x {len(marks)} sources", "choose some with sources=, or a trait of fewer levels")
        (ax,) = new_axes(left=left, right=right, top=top, bottom=note_height(note, 34, width), height=height)
        across = -left
    _axis(ax, table)
    for source, mark in marks.items():
        own = table[table[SOURCE] == source]
        dots(ax, PERCENT * own[[SHIFT, CONF_LOW, CONF_HIGH]].to_numpy(float), own["y"].to_numpy(float), mark)
    label_rows(ax, list(levels["row"]), names)
    _columns(ax, table, marks if numbered else {}, groups, marks)
    key_above(ax, [handle(mark) for mark in marks.values()], key, TEXT * LINE + 18, width, across=across)
    titles_above(ax, titles, above, across=across)
    note_below(ax, note, 34, width, across=across)
    return ax


def _axis(ax: Axes, table: pd.DataFrame) -> None:
    values = PERCENT * table[[SHIFT, CONF_LOW, CONF_HIGH]].to_numpy(float)
    low, high = nice_limits(np.append(values, 0.0), 5)
    step = next(size for size in (1, 2, 5, 10, 20, 50) if (high - low) / size <= 8 or size == 50)
    ticks = [tick for tick in range(-100, 101, step) if low <= tick <= high]
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [signed(tick) for tick in ticks])
    ax.set_xlabel("percentage points below (−) or above (+) the source's own pooled share", fontsize=SMALL, labelpad=3)
    ax.set_ylim(table["row"].max() + 0.6, -0.6)
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    for row in table["row"].unique():
        ax.axhspan(row - 0.45, row + 0.45, color=STRIPE, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)


def _columns(ax: Axes, table: pd.DataFrame, numbered: dict, groups: list[list[str]], marks: dict) -> None:
    for place, (source, mark) in enumerate(numbered.items()):
        own = table[(table[SOURCE] == source) & table[SHIFT].notna()]
        texts = [signed(PERCENT * value) for value in own[SHIFT]]
        margin_column(ax, COLUMN * (place + 1), own["row"], texts, head="shift" if place == len(numbered) - 1 else "", marks=[mark])
    for place, group in enumerate(groups):
        own = table[table[SOURCE] == group[0]]
        across = 10 + COLUMN * (len(numbered) + place + 1)
        head = "n" if place == len(groups) - 1 else ""
        margin_column(ax, across, own["row"], n_texts(own), head=head, marks=[marks[name] for name in group])
