"""Tables made elsewhere, by any simulator or publisher, turned into checked distributions tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.matching import NO_OPTION, option_places, plain
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import TableError, first_few, nearest, quoted
from surveysim.estimation.outside_rows import NUMBER, OPTION_GIVEN, STATED, rows_of, stated_number
from surveysim.tables.intervals import share_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    N_EFF,
    OPTION,
    ORDER,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
)

Array = npt.NDArray[np.float64]
ColumnName: TypeAlias = str  # of several `as_distributions` has more to say than that they are no text
KEYS = [QUESTION, BACKGROUND, SOURCE]
ROUNDING = 1e-9  # sums this near 1 count as exact
TOLERANCE, LARGEST_TOLERANCE = 0.001, 0.1  # how far a cell's shares may miss 1: by default, and at most
UNMATCHED = ("fail", "drop")
START, SIZE = "_start", "_size"  # of a cell among the rows of the result: its first row, and its number of options


def as_distributions(
    frame: pd.DataFrame,
    codebook: CodebookLike,
    *,
    by: str | Sequence[str] | Mapping[str, str] = BACKGROUND,
    shares: ColumnName | None = None,
    counts: ColumnName | None = None,
    logprobs: ColumnName | None = None,
    answers: str | Sequence[str] | Mapping[str, str] | None = None,
    question: str = QUESTION,
    option: str = OPTION,
    source: str | None = None,
    simulated: bool = True,
    tolerance: float = TOLERANCE,
    unmatched: str = "fail",
) -> pd.DataFrame:
    """Turn a tidy table of any simulator or publisher into a checked distributions table, which every verb takes.

    A row is an option with a number, or an answer drawn. Options that a cell lacks get a share of 0. Log probabilities are scaled
    to sum to 1 over the options: ``share_k = exp(l_k) / sum_j exp(l_j)``.

    Parameters
    ----------
    frame : DataFrame
        Beside the columns named below it may hold `n` (answers behind the cell), `n_eff` and `std_error` (of a share, 0-1), which are
        taken as stated; `n` of counts and answers is counted.
    codebook : str, Path, Codebook or Survey
        Options, traits and levels; capitals and blanks do not matter, and a text may be label or code, level or its words.
    by : str, sequence of str or mapping of column to trait
        Columns of traits. ``"background_id"`` (default): a column of ids such as ``age3=18-34|gender=female``, or of segments of one
        trait, ``gender: female``. A mapping where columns have other names: ``{"agent.gender": "gender"}``, ``{"cell": "background_id"}``.
        Empty: all rows are of everybody.
    shares, counts, logprobs : str, optional
        The column of shares (0-1), numbers of answers (whole) or natural log probabilities (at most 0) of a row's option.
    answers : str, sequence of str or mapping of column to question, optional
        The column of answers drawn, one a row; or, where a row is a person, a column for each question. One of these four is given.
    question : str
        The column of question ids, or a question of the codebook that all rows belong to.
    option : str
        The column of options; not used with `answers`.
    source : str, optional
        Name of the simulator. Default the frame's column `source`, and without one ``"simulator"``.
    simulated : bool
        False for a table of respondents' answers, such as published shares.
    tolerance : float
        How far the shares of a cell may miss 1, as rounded ones do (0 to 0.1; shares to .1%: 0.01); they are then scaled.
    unmatched : {"fail", "drop"}
        What an answer does that is none of the options (a refusal, an empty reply): an error, or it is left out and counted.

    Returns
    -------
    DataFrame
        A distributions table. Without `n` there is no stated error: `n` and `n_eff` are 0, `std_error` and interval are missing, and
        ``attrs["n_stated"]`` is False. With it ``std_error = sqrt(share (1 - share) / (n_eff - 1))`` where none is stated: of answers
        drawn that is the error of drawing, not of the simulator. `attrs`: `simulated`, `made_from`, `n_stated`, `n_of`,
        `options_filled` (rows of share 0 added), `cells_scaled`, `largest_gap` (of a sum from 1), `answers_left_out`, and of log
        probabilities `smallest_mass`, the least probability that the options of a cell have together.

    Raises
    ------
    TableError
        If none or several of the four are given; a column is absent; a number is text, missing, negative or not finite; shares look like
        percentages or miss 1 by more than `tolerance`; counts are not whole; log probabilities are above 0 or sum to more than 1; an
        option is unknown or ambiguous; a row is repeated; `n`, `n_eff` or `std_error` differs or is missing within a cell; or
        `tolerance` or `unmatched` is none.
    CodebookError
        If a question is unknown.
    BackgroundError
        If a trait or level is unknown or missing.

    References
    ----------
    Meister, Guestrin and Hashimoto (2024), arXiv:2411.05403, on how simulators are asked: in words, by log probabilities, by answers.

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> book = ss.load_codebook("nonvoters2020")
    >>> drawn = pd.DataFrame({"gender": ["female"] * 4, "reply": ["A lot", "some", "Some", "not at all"]})
    >>> table = ss.as_distributions(drawn, book, by="gender", answers="reply", question="Q8_8", source="my-api")
    >>> table[["background_id", "option_code", "share", "n", "source"]].values.tolist()[1]
    ['gender=female', 2, 0.5, 4, 'my-api']
    """
    kind = _kind({"shares": shares, "counts": counts, "logprobs": logprobs, "answers": answers})
    codebook = load_codebook(codebook)
    _check_choices(tolerance, unmatched)
    column = {"shares": shares, "counts": counts, "logprobs": logprobs}.get(kind)
    rows = rows_of(frame, codebook, by=by, question=question, option=option, source=source, number=column, answers=answers, what=kind)
    place = _places(rows, codebook, kind, unmatched)
    known = place != NO_OPTION
    rows, place = rows[known], place[known]
    cells, row_cell = _cells(rows, codebook)
    position = cells[START].to_numpy()[row_cell] + place
    if kind != "answers":
        _refuse_repeats(rows, position, kind)
    share, found = _shares(rows, cells, position, kind, tolerance)
    table = _table(cells, codebook, share, _sizes(rows, cells, row_cell, position, kind))
    filled = len(table) - len(np.unique(position)) if kind != "answers" else 0
    table.attrs = _about(codebook, table, kind, simulated) | {"options_filled": filled} | found
    table.attrs["answers_left_out"] = int((~known).sum())
    return readable(check_distributions(table, kind), codebook)


def _kind(given: Mapping[str, object]) -> str:
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        got = f"got {' and '.join(named)}" if named else "got none of them"
        raise TableError(f"give one of {', '.join(f'{name}=' for name in given)}, the column of what a row holds; {got}")
    kind = named[0]
    if kind != "answers" and not isinstance(given[kind], str):
        raise TableError(
            f"{kind} must name one column; got {quoted(given[kind])}: of a table with a column an option make one with a row an option, "
            f"frame.melt(id_vars=[...], var_name='option_code', value_name={kind!r}), and give {kind}={kind!r}"
        )
    return kind


def _check_choices(tolerance: float, unmatched: str) -> None:
    number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not number or not 0 <= tolerance <= LARGEST_TOLERANCE:
        raise TableError(
            f"tolerance: how far the shares of a cell may miss 1, from 0 to {LARGEST_TOLERANCE}; got {quoted(tolerance)}; "
            "0.01 suits shares to .1%"
        )
    if unmatched not in UNMATCHED:
        raise TableError(f"unmatched must be 'fail' or 'drop'; got {quoted(unmatched)}, {nearest(str(unmatched), UNMATCHED)}")


def _places(rows: pd.DataFrame, codebook: Codebook, kind: str, unmatched: str) -> npt.NDArray[np.int_]:
    """Return every row's option as its position among those of its question."""
    place = np.full(len(rows), NO_OPTION)
    for name, own in rows.groupby(QUESTION, sort=False):
        asked = codebook.question(str(name))
        values = own[OPTION_GIVEN]
        found = option_places(asked, values.dropna().unique())
        place[own.index] = values.map(found).fillna(NO_OPTION).astype(int)
        lost = values[(place[own.index] == NO_OPTION)]
        if len(lost) and (kind != "answers" or unmatched == "fail"):
            raise TableError(_unknown(codebook, str(name), lost, kind))
    if not (place != NO_OPTION).any():
        raise TableError(f"{kind}: none of the {len(rows)} answers is an option of its question; compare them with codebook.to_frame()")
    return place


def _unknown(codebook: Codebook, name: str, lost: pd.Series, kind: str) -> str:
    asked = codebook.question(name)
    remedy = "; unmatched='drop' leaves such answers out and counts them" if kind == "answers" else "; rename it, or leave the row out"
    if lost.isna().all():
        return f"{kind}: question {name!r} has no answer in {len(lost)} row{'s' if len(lost) > 1 else ''} (missing){remedy}"
    values = lost.astype(object).where(lost.notna(), None).drop_duplicates()
    first = next(value for value in values if value is not None)
    reasons = {plain(code): reason for code, reason in codebook.missing_codes(asked).items()}
    why = f" (a missing code: {reasons[plain(first)]})" if plain(first) in reasons else ""
    known = [*asked.labels, *map(str, asked.codes)]
    listed = f"{first_few(map(quoted, values))}{why} ({len(lost)} row{'s' if len(lost) > 1 else ''})"
    return f"{kind}: question {name!r} has no option {listed}; {nearest(str(first), known)}{remedy}"


def _cells(rows: pd.DataFrame, codebook: Codebook) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    """Return the cells, ordered by source and question as they appear, with their place in the result; and the cell of every row."""
    cells = rows[KEYS].drop_duplicates(ignore_index=True)
    order = [pd.factorize(cells[name])[0] for name in (QUESTION, SOURCE)]
    cells = cells.iloc[np.lexsort(order)].reset_index(drop=True)
    size = cells[QUESTION].map({name: len(codebook.question(name).options) for name in cells[QUESTION].unique()}).to_numpy(int)
    index = pd.MultiIndex.from_frame(cells)
    return cells.assign(**{SIZE: size, START: np.cumsum(size) - size}), index.get_indexer(pd.MultiIndex.from_frame(rows[KEYS]))


def _refuse_repeats(rows: pd.DataFrame, position: npt.NDArray[np.int_], kind: str) -> None:
    twice = pd.Series(position).duplicated().to_numpy()
    if twice.any():
        named = rows.loc[twice, [QUESTION, BACKGROUND, OPTION_GIVEN]].astype(str).agg(" / ".join, axis=1)
        raise TableError(
            f"{kind}: {int(twice.sum())} rows repeat a question / background / option: {first_few(named)}; "
            f"aggregate them, or tell simulators apart by a column {SOURCE!r}"
        )


def _shares(
    rows: pd.DataFrame, cells: pd.DataFrame, position: npt.NDArray[np.int_], kind: str, tolerance: float
) -> tuple[Array, dict[str, object]]:
    """Return the shares in the order of the result, and what was done to them."""
    start, size = cells[START].to_numpy(int), cells[SIZE].to_numpy(int)
    value = np.full(int(size.sum()), -np.inf if kind == "logprobs" else 0.0)
    if kind == "answers":
        value += np.bincount(position, minlength=len(value))
    else:
        value[position] = rows[NUMBER].to_numpy(float)
    if kind == "logprobs":
        return _from_logarithms(value, cells)
    sums = np.add.reduceat(value, start)
    if kind == "shares":
        percent = "these look like percentages: divide by 100" if np.median(sums) > 50 else "complete them, or state a wider tolerance="
        _refuse_cells(np.abs(sums - 1) > tolerance, sums, cells, f"shares must sum to 1 within tolerance={tolerance:g}", percent)
    else:
        _refuse_cells(sums <= 0, sums, cells, f"{kind}: a cell needs at least one answer", "leave the cell out")
    gap = np.abs(sums - 1) if kind == "shares" else np.zeros(len(sums))
    return value / np.repeat(sums, size), {"cells_scaled": int((gap > ROUNDING).sum()), "largest_gap": float(gap.max())}


def _from_logarithms(value: Array, cells: pd.DataFrame) -> tuple[Array, dict[str, object]]:
    start, size = cells[START].to_numpy(int), cells[SIZE].to_numpy(int)
    peak = np.maximum.reduceat(value, start)
    _refuse_cells(np.isinf(peak), np.exp(peak), cells, "logprobs: one option needs a probability above 0", "leave the cell out")
    relative = np.exp(value - np.repeat(peak, size))
    sums = np.add.reduceat(relative, start)
    mass = np.exp(peak) * sums  # the probability that a cell's options have together
    remedy = "give natural logarithms; of logits, subtract logsumexp over the vocabulary first"
    _refuse_cells(mass > 1 + TOLERANCE, mass, cells, "logprobs: probabilities of a cell's options sum to at most 1", remedy)
    scaled = int((np.abs(mass - 1) > ROUNDING).sum())
    return relative / np.repeat(sums, size), {
        "cells_scaled": scaled,
        "largest_gap": float(np.abs(mass - 1).max()),
        "smallest_mass": float(mass.min()),
    }


def _refuse_cells(bad: npt.NDArray[np.bool_], total: Array, cells: pd.DataFrame, rule: str, remedy: str) -> None:
    if bad.any():
        named = cells[QUESTION][bad] + " / " + cells[BACKGROUND][bad] + [f" ({value:.6g})" for value in total[bad]]
        raise TableError(f"{rule}; not so in {first_few(named)}; {remedy}")


def _sizes(
    rows: pd.DataFrame, cells: pd.DataFrame, row_cell: npt.NDArray[np.intp], position: npt.NDArray[np.int_], kind: str
) -> dict[str, Array]:
    """Return what is stated or counted of each row of the result: `n`, `n_eff`, and `std_error` where it is stated."""
    wanted = [name for name in STATED if name in rows and kind != "answers" and not (kind == "counts" and name == N)]
    stated = {name: stated_number(rows[name], name, rows) for name in wanted}
    out = {name: _one_a_cell(stated[name], name, cells, row_cell) for name in wanted if name != STD_ERROR}
    if kind in ("answers", "counts"):
        weight = rows[NUMBER].to_numpy(float) if kind == "counts" else None
        out[N] = np.bincount(row_cell, weights=weight, minlength=len(cells)).astype(float)
    n = out.get(N, out.get(N_EFF, np.zeros(len(cells))))
    sizes = {name: np.repeat(out.get(name, n), cells[SIZE]) for name in (N, N_EFF)}
    if STD_ERROR in stated:
        sizes[STD_ERROR] = np.full(len(sizes[N]), np.nan)
        sizes[STD_ERROR][position] = stated[STD_ERROR]
    return sizes


def _one_a_cell(number: Array, name: str, cells: pd.DataFrame, row_cell: npt.NDArray[np.intp]) -> Array:
    each = pd.Series(number).groupby(row_cell)
    odd = cells[(each.max() > each.min()).to_numpy()]
    if len(odd):
        raise TableError(f"{name} differs between the options of {first_few(odd[QUESTION] + ' / ' + odd[BACKGROUND])}; give one a cell")
    return each.first().to_numpy(float)


def _table(cells: pd.DataFrame, codebook: Codebook, share: Array, sizes: dict[str, Array]) -> pd.DataFrame:
    asked = [codebook.question(name) for name in cells[QUESTION]]
    n_eff, binomial = sizes[N_EFF], share * (1 - share)
    expected = np.sqrt(np.divide(binomial, n_eff - 1, out=np.full(len(share), np.nan), where=n_eff > 1))
    std_error = sizes.get(STD_ERROR, expected)
    low, high = share_intervals(share[:, None], std_error[:, None], np.full(len(share), np.inf), n_eff)
    known = ~np.isnan(std_error) & ((n_eff > 0) | (binomial > 0))
    columns = {name: np.repeat(cells[name].to_numpy(object), cells[SIZE]) for name in KEYS}
    codes = [code for question in asked for code in question.codes]
    numbers = {
        OPTION: pd.Series(codes, dtype=None if len({type(code) for code in codes}) == 1 else object),
        ORDER: [place for question in asked for place in range(len(question.codes))],
        SHARE: share,
        STD_ERROR: std_error,
        CONF_LOW: np.where(known, low[:, 0], np.nan),
        CONF_HIGH: np.where(known, high[:, 0], np.nan),
        N: np.rint(sizes[N]).astype(int),
        N_EFF: n_eff,
    }
    return pd.DataFrame({**columns, **numbers})[DISTRIBUTION_COLUMNS]


def _about(codebook: Codebook, table: pd.DataFrame, kind: str, simulated: bool) -> dict[str, object]:
    """Return what the table records of itself."""
    about: dict[str, object] = {"simulated": bool(simulated), "survey": codebook.name, "denominator": "valid answers", "made_from": kind}
    if simulated:
        about["method"] = first_few(table[SOURCE].unique())
    of = "answers drawn" if simulated else "respondents"
    return about | {"n_stated": bool((table[N_EFF] > 0).any()), "n_of": of}
