"""The figure of change: wave against wave by background, with the part that is sampling error told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.backgrounds import ordered_backgrounds, trait_order
from surveysim.codebook.codebook import Code, Codebook
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import TableError, first_few
from surveysim.estimation.joint_shares import joint_shares
from surveysim.figures.rows import (
    Scale,
    background_label,
    check_height,
    cut_note,
    lines_height,
    margin_of,
    options_label,
    question_rows,
    row_names,
    scale_of,
    shown_options,
)
from surveysim.figures.style import (
    ACCENT,
    GRID,
    INK,
    LINE,
    PERCENT,
    SMALL,
    STRIPE,
    TEXT,
    TITLE,
    WIDTH,
    Mark,
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
    titles_above,
    titles_height,
    wrap,
)
from surveysim.inference.spread import real_changes
from surveysim.tables.intervals import normal_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, ORDER, SHARE, SOURCE, STD_ERROR, N, require_columns

POSITION = "position"
FEWEST = 3  # backgrounds from which a variance of real change is told
ROW, COLUMN = 17.0, 30.0  # points: least height of a background's row, and width of a column of n
OBSERVED, REAL = Mark("#767676", "o", False), ACCENT
SPLIT = "split"  # in attrs of the frame: how the variance of changes is made up
LEFT_OUT = "left_out"  # in attrs of the frame: the backgrounds without a change


def plot_change(
    now: pd.DataFrame,
    before: pd.DataFrame,
    *,
    question: str,
    options: Sequence[Code] | str | None = None,
    backgrounds: str | Sequence[str] | pd.DataFrame | None = None,
    codebook: CodebookLike | None = None,
    ax: Axes | None = None,
    draw: bool = True,
) -> Axes | pd.DataFrame:
    """Draw how every background's answer changed between two waves, and how much of that is more than sampling error.

    Open dots are the observed changes with 95% intervals of their sampling errors; filled ones the changes that are likely real: drawn to
    the mean change by what each observation is worth, where the variance of real change is that of the observed changes less the mean
    sampling variance. The subtitle says how the variance is made up. The two waves are taken as independent samples.

    Parameters
    ----------
    now, before : DataFrame
        Distributions tables (shares 0-1) of one source each, with `std_error`; the backgrounds that both have are drawn.
    question : str
    options : sequence of codes or "position", optional
        Options whose joint share is compared; default as in `plot_distributions`. ``"position"``: the mean position on an ordered scale,
        0 the first option and 100 the last.
    backgrounds : str, sequence of str or DataFrame, optional
        Ids, or a frame with `background_id`; default all that both have.
    codebook : str, Path, Codebook or Survey, optional
        Gives wording, labels, and order of levels.
    ax : Axes, optional
        Default a new figure, 7 inches wide.
    draw : bool
        False returns the frame and draws nothing.

    Returns
    -------
    Axes or DataFrame
        Or the frame: `background_id row before now change std_error conf_low conf_high real real_error real_low real_high n_before n`,
        shares or positions from 0 to 1; ``attrs["split"]`` has `variance_observed`, `variance_sampling`, `variance_real`, the `mean`
        change, and `p_alike`, of Cochran's test that the real changes are all alike; ``attrs["left_out"]`` the backgrounds that are not
        drawn, because a wave lacks them or tells no share of them (nobody asked, or withheld).
        With fewer than three backgrounds the real change cannot be told apart, and is missing.

    Raises
    ------
    TableError
        If a table breaks its contract, or lacks the question, a background, or standard errors; if it holds several sources; if the options
        differ between waves, or the position of a question that is not ordered is asked for; if no background is in both; if the figure
        would be taller than 24 inches.
    CodebookError
        If the codebook lacks the question, a trait or a level.

    References
    ----------
    Fay and Herriot (1979), doi:10.1080/01621459.1979.10482505 (estimates drawn to their mean by their sampling errors).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> halves = ss.hold_out_respondents(survey, n_train=2900, seed=0)  # two samples of one year: no real change
    >>> now, before = (ss.response_distributions(half, by=["age3", "education"], questions=["Q8_8"]) for half in halves)
    >>> frame = ss.plot_change(now, before, question="Q8_8", codebook=survey, draw=False)
    >>> bool(frame.real.std() < 0.5 * frame.change.std())
    True
    """
    given = {"now": now, "before": before}
    waves = [question_rows(table, question, backgrounds=backgrounds, what=name) for name, table in given.items()]
    for name, rows in zip(given, waves, strict=True):
        require_columns(rows, [STD_ERROR], name)
        if len(sources := rows[SOURCE].unique()) > 1:
            raise TableError(f"{name} holds {len(sources)} sources ({first_few(sources)}); select one")
    book = codebook_if_any(codebook)
    scales = [scale_of(rows, question, book) for rows in waves]
    if scales[0].codes != scales[1].codes:
        raise TableError(
            f"question {question!r} has options {list(scales[0].codes)} now and {list(scales[1].codes)} before; "
            "give both waves the same options"
        )
    scale, by_position = scales[0], isinstance(options, str)
    if by_position and (options != POSITION or not (scale.ordered or book is None)):
        raise TableError(f"options must be codes, or 'position' for a question that is ordered; got {options!r} for question {question!r}")
    codes = () if by_position else shown_options(scale, waves[0], None if isinstance(options, str) else options)
    table = _changes([_positions(rows) if by_position else joint_shares(rows, codes) for rows in waves], book)
    if not draw:
        return table
    traits = trait_order(list(table[BACKGROUND]), book)
    with paper_style():
        return _draw(table, scale, "" if by_position else options_label(scale, codes), traits, ax)


def _positions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean position (0-1) of each background, its error that of a multinomial sample of the cell's implied size.

    The implied size is ``sum p (1 - p) / sum se^2`` over options, as in `joint_shares`.
    """
    found = []
    for background, own in rows.sort_values(ORDER, kind="stable").groupby(BACKGROUND, sort=False):
        share, sampled = own[SHARE].to_numpy(float), float((own[STD_ERROR].to_numpy(float) ** 2).sum())
        place = np.arange(len(own)) / max(len(own) - 1, 1)
        binomial, mean = float((share * (1 - share)).sum()), float(share @ place)
        error = np.sqrt(float(share @ (place - mean) ** 2) * sampled / binomial) if binomial > 0 else 0.0
        found.append({BACKGROUND: background, SHARE: mean, STD_ERROR: error, N: own[N].iloc[0] if N in own else np.nan})
    return pd.DataFrame(found)


def _changes(waves: list[pd.DataFrame], codebook: Codebook | None) -> pd.DataFrame:
    """Return what is drawn: observed and real change of every background that both waves have."""
    now, before = (wave.set_index(BACKGROUND)[[SHARE, STD_ERROR, N]].dropna(subset=[SHARE, STD_ERROR]) for wave in waves)
    ids = [name for name in ordered_backgrounds(list(waves[0][BACKGROUND]), codebook) if name in now.index and name in before.index]
    if not ids:
        raise TableError("now and before have no background in common with a share and a standard error; give both the same traits")
    now, before = now.loc[ids], before.loc[ids]
    change = (now[SHARE] - before[SHARE]).to_numpy(float)
    error = np.sqrt(now[STD_ERROR].to_numpy(float) ** 2 + before[STD_ERROR].to_numpy(float) ** 2)
    low, high = normal_intervals(change, error)
    real, spread = np.full((2, len(ids)), np.nan)
    split: dict[str, float] = {}
    sampled = error > 0  # where all answer alike in both waves, no error is known
    if sampled.sum() >= FEWEST:
        real[sampled], spread[sampled], split = real_changes(change[sampled], error[sampled])
    real_low, real_high = normal_intervals(real, spread)
    table = pd.DataFrame({BACKGROUND: ids, "row": np.arange(len(ids), dtype=float), "before": before[SHARE].to_numpy(float)})
    table = table.assign(now=now[SHARE].to_numpy(float), change=change, **{STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high})
    table = table.assign(real=real, real_error=spread, real_low=real_low, real_high=real_high)
    table = table.assign(n_before=before[N].to_numpy(float), **{N: now[N].to_numpy(float)})
    table.attrs[SPLIT] = split
    table.attrs[LEFT_OUT] = [name for name in dict.fromkeys(pd.concat([wave[BACKGROUND] for wave in waves])) if name not in set(ids)]
    return table


def split_in_words(split: Mapping[str, float], backgrounds: int) -> str:
    """Say how the variance of the changes of several backgrounds is made up.

    Examples
    --------
    >>> from surveysim.figures.changes import split_in_words
    >>> split = {"variance_observed": 0.0025, "variance_sampling": 0.0009, "variance_real": 0.0016, "mean": 0.02, "p_alike": 0.01}
    >>> split_in_words(split, 6).split(": ")[1]
    '36% of the variance is sampling error, real change varies by 4.0 (all changed alike, p = 0.010).'
    """
    if not split:
        return f"Fewer than {FEWEST} backgrounds with standard errors: real change cannot be told from sampling error."
    observed, real = (PERCENT * np.sqrt(split[f"variance_{name}"]) for name in ("observed", "real"))
    mean = f"Mean change {signed(PERCENT * split['mean'], 1)} points."
    start = f"{mean} Changes of {backgrounds} backgrounds vary by {observed:.1f} points (standard deviation): "
    alike = split["p_alike"]
    chance = f" (all changed alike, p {'< 0.001' if alike < 0.001 else f'= {alike:.3f}'})"
    if not real:
        return f"{start}no more than sampling error makes them{chance}."
    part = split["variance_sampling"] / split["variance_observed"]
    return f"{start}{PERCENT * part:.0f}% of the variance is sampling error, real change varies by {real:.1f}{chance}."


def _draw(table: pd.DataFrame, scale: Scale, shown: str, traits: Sequence[str], ax: Axes | None) -> Axes:
    names, width, across = row_names([background_label(name, traits) for name in table[BACKGROUND]]), WIDTH - 4, 0.0
    if ax is not None:
        width = dress(ax)
    left, right = margin_of(names), 10 + 2 * COLUMN
    note = (
        "Lines: 95% intervals; of observed changes, of their sampling error alone. The waves are taken "
        f"as independent samples. n: respondents before and now.{_left_out(table)}{cut_note(names)}"
    )
    what = f"% answering {shown}: change" if shown else "Mean position on the scale, 0 to 100: change"
    said = split_in_words(table.attrs[SPLIT], int(table["real"].notna().sum()))
    titles = [(wrap(scale.text, width, TITLE), TITLE, False), (wrap(what, width, bold=True), TEXT, True), (wrap(said, width), TEXT, False)]
    marks = {"observed change": OBSERVED, "likely real change": REAL}
    key, above = TEXT * LINE + 4, TEXT * LINE + 4 + key_height(list(marks), width) + 6
    if ax is None:
        height, top = len(table) * max(ROW, lines_height(names)), above + titles_height(titles) + 4
        check_height(top + height, f"{len(table)} backgrounds", "choose some with backgrounds=")
        (ax,) = new_axes(left=left, right=right, top=top, bottom=note_height(note, 34, width), height=height)
        across = -left
    rows = table["row"].to_numpy(float)
    for columns, shift, mark in ((["change", CONF_LOW, CONF_HIGH], -0.18, OBSERVED), (["real", "real_low", "real_high"], 0.18, REAL)):
        dots(ax, PERCENT * table[columns].to_numpy(float), rows + shift, mark)
    _axis(ax, table, points="percentage points" if shown else "points of 100")
    label_rows(ax, list(rows), names)
    for place, column in enumerate(("n_before", N)):
        texts = ["" if np.isnan(n) else f"{n:,.0f}" for n in table[column]]
        margin_column(ax, 6 + COLUMN * (place + 1), rows, texts, head="before" if not place else "now")
    key_above(ax, [handle(mark) for mark in marks.values()], list(marks), key, width, across=across)
    titles_above(ax, titles, above, across=across)
    note_below(ax, note, 34, WIDTH if ax is None else width, across=across)
    return ax


def _left_out(table: pd.DataFrame) -> str:
    """Say which backgrounds are not drawn; nothing where all are."""
    names = table.attrs[LEFT_OUT]
    return f" Not drawn, without share and error in both waves: {len(names)} of {len(names) + len(table)} backgrounds." if names else ""


def _axis(ax: Axes, table: pd.DataFrame, points: str) -> None:
    values = PERCENT * table[["change", CONF_LOW, CONF_HIGH, "real_low", "real_high"]].to_numpy(float)
    low, high = nice_limits(np.append(values, 0.0), 5)
    step = next(size for size in (1, 2, 5, 10, 20, 50) if (high - low) / size <= 8 or size == 50)
    ticks = [tick for tick in range(-100, 101, step) if low <= tick <= high]
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [signed(tick) for tick in ticks])
    ax.set_xlabel(f"change in {points}", fontsize=SMALL, labelpad=3)
    ax.set_ylim(table["row"].max() + 0.6, -0.6)
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    for row in table["row"]:
        ax.axhspan(row - 0.45, row + 0.45, color=STRIPE, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
