"""The rows of a table made elsewhere under our own column names: question, background, source, option, number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.backgrounds import background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.matching import known_background, level_names
from surveysim.errors import BackgroundError, TableError, first_few, nearest, quoted
from surveysim.tables.names import names_of
from surveysim.tables.schema import (
    BACKGROUND,
    N_EFF,
    POOLED,
    QUESTION,
    SOURCE,
    STD_ERROR,
    N,
    refuse_extreme,
    require_frame,
    require_scalars,
)

OPTION_GIVEN, NUMBER = "option_given", "number"
STATED = (N, N_EFF, STD_ERROR)
NO_NAME = "simulator"  # source of a table that names none


def rows_of(
    frame: pd.DataFrame,
    codebook: Codebook,
    *,
    by: str | Sequence[str] | Mapping[str, str],
    question: str,
    option: str,
    source: str | None,
    number: str | None,
    answers: str | Sequence[str] | Mapping[str, str] | None,
    what: str,
) -> pd.DataFrame:
    """Return a row per option or answer: `question_id background_id source option_given`, `number` where there is one, and what is stated.

    Parameters
    ----------
    frame, codebook, by, question, option, source, answers
        As of `as_distributions`.
    number : str or None
        The column of shares, counts or log probabilities.
    what : str
        The argument that names it, for messages.

    Raises
    ------
    TableError
        If there is no row, a column is absent, or a number is none that `what` may have.
    CodebookError
        If a question is unknown.
    BackgroundError
        If a trait or level is unknown or missing.
    """
    require_frame(frame, "frame")
    if frame.empty:
        raise TableError("frame has no rows; give one row an option, or one row an answer")
    rows = pd.DataFrame(index=range(len(frame)))
    rows[BACKGROUND] = _background_ids(frame, codebook, by)
    rows[SOURCE] = _sources(frame, source)
    for name in STATED:
        if name in frame:
            rows[name] = frame[name].to_numpy()
    if answers is not None and not isinstance(answers, str):
        return _wide_answers(frame, rows, codebook, answers)
    rows[QUESTION] = _questions(frame, codebook, question)
    rows[OPTION_GIVEN] = _column(frame, answers or option, "answers" if answers else "option").to_numpy(object)
    if number is not None:
        rows[NUMBER] = _numbers(_column(frame, number, what), what, rows)
    return rows


def _column(frame: pd.DataFrame, name: object, argument: str) -> pd.Series:
    if name not in frame.columns:
        raise TableError(f"{argument}: frame has no column {quoted(name)}; {nearest(str(name), map(str, frame.columns))}")
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        raise TableError(f"{argument}: frame has {column.shape[1]} columns {quoted(name)}; rename all but one")
    require_scalars(column, f"{argument}: column {quoted(name)}")
    return column


def _questions(frame: pd.DataFrame, codebook: Codebook, question: str) -> npt.NDArray[np.object_]:
    if question in codebook.questions:
        return np.full(len(frame), question, dtype=object)
    if question not in frame.columns:
        known = [*map(str, frame.columns), *codebook.questions]
        raise TableError(
            f"question: {quoted(question)} is neither a column of frame nor a question of codebook {codebook.name!r}; "
            f"{nearest(str(question), known)}"
        )
    asked = _column(frame, question, "question")
    if asked.isna().any():
        empty = f"is empty in {int(asked.isna().sum())} of {len(asked)} rows"
        raise TableError(f"question: column {question!r} {empty}; name the question of each")
    names = asked.astype(str)
    codebook.questions_named(list(names.unique()), "question")
    return names.to_numpy(object)


def _wide_answers(frame: pd.DataFrame, rows: pd.DataFrame, codebook: Codebook, answers: Sequence[str] | Mapping[str, str]) -> pd.DataFrame:
    """Return a row per person and question, of a frame with a column per question."""
    pairs = dict(answers) if isinstance(answers, Mapping) else {name: name for name in names_of(answers, "answers", error=TableError)}
    if not pairs:
        raise TableError("answers is empty; name at least one column of answers")
    codebook.questions_named(list(pairs.values()), "answers")
    if len(set(pairs.values())) < len(pairs):
        raise TableError(f"answers: two columns are given to one question in {quoted(pairs)}; give each its own")
    parts = [
        rows.assign(**{QUESTION: question, OPTION_GIVEN: _column(frame, column, "answers").to_numpy(object)})
        for column, question in pairs.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _sources(frame: pd.DataFrame, source: str | None) -> npt.NDArray[np.object_]:
    if source is not None:
        if not isinstance(source, str) or not source.strip():
            raise TableError(f"source must be the simulator's name, a text; got {quoted(source)}")
        return np.full(len(frame), source, dtype=object)
    if SOURCE not in frame.columns:
        return np.full(len(frame), NO_NAME, dtype=object)
    named = frame[SOURCE]
    if named.isna().any():
        raise TableError(f"column {SOURCE!r} is empty in {int(named.isna().sum())} of {len(named)} rows; fill it, or give source=")
    return named.astype(str).to_numpy(object)


def _background_ids(frame: pd.DataFrame, codebook: Codebook, by: str | Sequence[str] | Mapping[str, str]) -> npt.NDArray[np.object_]:
    traits = _trait_columns(frame, codebook, by)
    if not traits:
        return np.full(len(frame), POOLED, dtype=object)
    levels = pd.DataFrame(index=range(len(frame)))
    for column, trait in traits.items():
        if trait == BACKGROUND and column not in frame.columns:
            has = f"frame has no column {column!r}; it has {first_few(frame.columns, 12)}"
            raise BackgroundError(f"by: {has}; name its columns of traits in by=, or give by=[] for rows of everybody")
        given = _column(frame, column, "by").to_numpy(object)
        missing = pd.isna(given)
        if missing.any():
            raise BackgroundError(
                f"by: column {column!r} is empty in {int(missing.sum())} of {len(given)} rows; leave them out, "
                f"or give margins as ids that name fewer traits, in a column {BACKGROUND!r}"
            )
        unique = list(dict.fromkeys(given))
        if trait == BACKGROUND:
            return pd.Series(given).map({one: known_background(one, codebook, "by") for one in unique}).to_numpy(object)
        levels[trait] = pd.Series(given).map(level_names(codebook, trait, unique, "by"))
    place, found = pd.MultiIndex.from_frame(levels).factorize()
    ids = [background_id(dict(zip(levels.columns, each, strict=True))) for each in found]
    return np.array(ids, dtype=object)[place]


def _trait_columns(frame: pd.DataFrame, codebook: Codebook, by: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return column -> trait, or column -> background_id alone."""
    named = () if isinstance(by, Mapping) else names_of(by, "by", codebook.traits, error=TableError, needed=False)
    pairs = dict(by) if isinstance(by, Mapping) else {name: name for name in named}
    for column, trait in pairs.items():
        if trait != BACKGROUND and trait not in codebook.traits:
            rename = f"; a column of another name: by={{{column!r}: trait}}" if column in frame.columns else ""
            close = nearest(str(trait), [*codebook.traits, BACKGROUND])
            raise BackgroundError(f"by: codebook {codebook.name!r} has no trait {quoted(trait)}; {close}{rename}")
    if len(set(pairs.values())) < len(pairs) or (BACKGROUND in pairs.values() and len(pairs) > 1):
        raise BackgroundError(f"by: each trait has one column, and {BACKGROUND!r} stands alone; got {quoted(by)}")
    return pairs


def _numbers(column: pd.Series, what: str, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return a column of shares, counts or log probabilities, every number a possible one."""
    number = _as_numbers(column, what)
    _refuse(np.isnan(number), number, what, rows, "is missing", "fill it, or leave out the rows of options that have none")
    if what == "logprobs":
        _refuse(number > 0, number, what, rows, "is above 0", "log probabilities are at most 0; give probabilities as shares=")
        return number
    _refuse(~np.isfinite(number), number, what, rows, "is not finite", "correct it")
    _refuse(number < 0, number, what, rows, "is negative", "give log probabilities as logprobs=" if what == "shares" else "correct it")
    if what == "counts":
        remedy = "weighted counts are shares: divide them by their sum, and give n or n_eff beside shares="
        _refuse(number != np.rint(number), number, what, rows, "is not whole", remedy)
    return number


def stated_number(column: pd.Series, name: str, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return `n`, `n_eff` or `std_error` as stated in every row.

    Raises
    ------
    TableError
        If one is text, missing, negative, not finite, or an `n` that is not whole.
    """
    number = _as_numbers(column, name)
    remedy = f"state it in every row, or leave the column {name!r} out"
    _refuse(~np.isfinite(number), number, name, rows, "is missing or not finite", remedy)
    _refuse(number < 0, number, name, rows, "is negative", remedy)
    if name == N:
        _refuse(number != np.rint(number), number, name, rows, "is not whole", "give the effective number as n_eff")
    return number


def _as_numbers(column: pd.Series, what: str) -> npt.NDArray[np.float64]:
    texts = [value for value in column.dropna() if isinstance(value, str | bool | np.bool_)] if column.dtype.kind not in "iuf" else []
    if texts:
        held = f"column {column.name!r} holds {first_few(map(quoted, texts))} where numbers belong"
        raise TableError(f"{what}: {held}; write 0.25, without a percent sign")
    try:
        numbers = np.asarray(column.astype(float).to_numpy(float, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise TableError(f"{what}: column {column.name!r} holds what is no number: {error}; write 0.25") from error
    refuse_extreme(numbers, f"{what}: column {column.name!r}", small=0.0)
    return numbers


def _refuse(bad: npt.NDArray[np.bool_], number: npt.NDArray[np.float64], what: str, rows: pd.DataFrame, rule: str, remedy: str) -> None:
    if bad.any():
        named = rows.loc[bad, [QUESTION, BACKGROUND, OPTION_GIVEN]].astype(str).agg(" / ".join, axis=1)
        raise TableError(f"{what}: {number[bad][0]:g} {rule} in {int(bad.sum())} rows: {first_few(named)}; {remedy}")
