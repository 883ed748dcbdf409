"""Figures of response distributions: one question's shares by background, and the shifts of a trait's levels.

Every function takes a tidy table and draws on `ax`, or on a new figure; ``draw=False`` returns the frame that would be drawn.
matplotlib's settings are not changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.backgrounds import ordered_backgrounds
from surveysim.codebook.codebook import Code
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import TableError, first_few
from surveysim.estimation.trait_shifts import largest_source
from surveysim.figures.bars import bar_table, draw_bars
from surveysim.figures.dots import dot_table, draw_dots
from surveysim.figures.rows import question_rows, scale_of, shown_options, source_order
from surveysim.figures.shifts import draw_shifts, shift_table
from surveysim.figures.style import paper_style

KINDS = ("auto", "bars", "dots")
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
        Or the frame: `level source row y share shift std_error conf_low conf_high pooled_share n`, a row per level and source.

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
    with paper_style():
        return draw_shifts(frame, scale, codes, trait, f"Backgrounds count by {by}.", ax)
