"""Frames as no verb expects them: each is a good one with one thing changed."""

from __future__ import annotations

import datetime
import decimal
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import polars

# what may stand in the cells of a column: one cell of it, or all
CELLS: dict[str, Any] = {
    "text": "a few",
    "empty text": "",
    "a list": [0.5, 0.5],
    "a dict": {"share": 0.5},
    "None": None,
    "NaN": np.nan,
    "NA": pd.NA,
    "inf": np.inf,
    "-1": -1.0,
    "1e308": 1e308,
    "1e-300": 1e-300,
    "a complex number": 0.5 + 1j,
    "a date": datetime.datetime(2020, 1, 1),
    "bytes": b"0.5",
    "an object": object(),
    "a lone surrogate": "\ud800",
    "NUL": "a\0b",
    "a tuple": (1, 2),
}


def _one_cell(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    cells = np.empty(len(frame), dtype=object)
    cells[:] = frame[column].to_list()
    if len(cells):
        cells[len(cells) // 2] = value
    return frame.assign(**{column: pd.Series(cells, index=frame.index, dtype=object)})


def _all_cells(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    kind = object if isinstance(value, str) else None  # arrow's text has no room for half a character
    return frame.assign(**{column: pd.Series([value] * len(frame), index=frame.index, dtype=kind)})


def _as(kind: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame, str], pd.DataFrame]:
    return lambda frame, column: frame.assign(**{column: kind(frame[column])})


def _decimals(column: pd.Series) -> pd.Series:
    return pd.Series([decimal.Decimal(str(value)) if isinstance(value, float) else value for value in column], column.index, dtype=object)


# a column in another type, or twice, or not there
COLUMNS: dict[str, Callable[[pd.DataFrame, str], pd.DataFrame]] = {
    "of type object": _as(lambda column: column.astype(object)),
    "of type category": _as(lambda column: column.astype("category")),
    "of type string": _as(lambda column: column.astype(str)),
    "of type bool": _as(lambda column: column.notna()),
    "of Decimals": _as(_decimals),
    "of a nullable type": _as(lambda column: column.convert_dtypes()),
    "of arrow's type": _as(lambda column: column.convert_dtypes(dtype_backend="pyarrow")),
    "of dates": _as(lambda column: pd.Series(pd.date_range("2020", periods=len(column)), index=column.index)),
    "of complex numbers": _as(lambda column: pd.Series(np.full(len(column), 0.5 + 1j), index=column.index)),
    "left out": lambda frame, column: frame.drop(columns=column),
    "twice": lambda frame, column: pd.concat([frame, frame[[column]]], axis=1),
    "as the index": lambda frame, column: frame.set_index(column),
    "as the index too": lambda frame, column: frame.set_index(column, drop=False),
    "under another name": lambda frame, column: frame.rename(columns={column: f"{column}_"}),
    "under a number": lambda frame, column: frame.rename(columns={column: 7}),
    "in capitals": lambda frame, column: frame.rename(columns={column: column.upper()}),
}


def _index(make: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        frame.index = make(frame)
        return frame

    return changed


def _columns(make: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        frame.columns = make(frame)
        return frame

    return changed


# the whole frame
FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "no rows": lambda frame: frame.iloc[:0],
    "one row": lambda frame: frame.iloc[:1],
    "no columns": lambda frame: frame[[]],
    "nothing": lambda frame: pd.DataFrame(),
    "no rows of type object": lambda frame: pd.DataFrame(columns=frame.columns),
    "rows twice": lambda frame: pd.concat([frame, frame]),
    "an index of one value": _index(lambda frame: [0] * len(frame)),
    "an index of text": _index(lambda frame: [f"row {place}" for place in range(len(frame))]),
    "an index of NaN": _index(lambda frame: [np.nan] * len(frame)),
    "a MultiIndex": _index(lambda frame: pd.MultiIndex.from_arrays([[0] * len(frame), range(len(frame))])),
    "a MultiIndex with the columns' names": _index(
        lambda frame: pd.MultiIndex.from_arrays([range(len(frame))] * 2, names=[frame.columns[0], frame.columns[-1]])
    ),
    "all in the index": lambda frame: frame.set_index(list(frame.columns)),
    "a MultiIndex of columns": _columns(lambda frame: pd.MultiIndex.from_product([["a"], frame.columns])),
    "two levels of columns alike": _columns(lambda frame: pd.MultiIndex.from_arrays([frame.columns, frame.columns])),
    "columns without names": _columns(lambda frame: range(frame.shape[1])),
    "columns all of one name": _columns(lambda frame: [frame.columns[0]] * frame.shape[1]),
    "columns named NaN": _columns(lambda frame: [np.nan] * frame.shape[1]),
    "columns of type category": _columns(lambda frame: pd.CategoricalIndex(frame.columns)),
    "columns with a name": _columns(lambda frame: frame.columns.rename("question_id")),
    "transposed": lambda frame: frame.T,
    "all of type object": lambda frame: frame.astype(object),
    "all of type string": lambda frame: frame.astype(str),
    "all missing": lambda frame: frame * np.nan if frame.empty else frame.where(np.zeros(frame.shape, bool)),
    "a further column of objects": lambda frame: frame.assign(further=[object() for _ in range(len(frame))]),
    "a further column of lists": lambda frame: frame.assign(further=[[1]] * len(frame)),
    "a further column without a name": lambda frame: frame.assign(**{"": 1.0}).rename(columns={"": None}),
    "a column": lambda frame: frame.iloc[:, 0],
    "a row": lambda frame: frame.iloc[0],
    "an array": lambda frame: frame.to_numpy(),
    "a dict of columns": lambda frame: frame.to_dict("list"),
    "a list of rows": lambda frame: frame.to_dict("records"),
    "a list of frames": lambda frame: [frame],
    "a grouped frame": lambda frame: frame.groupby(frame.columns[0]),
    "a frame of polars": lambda frame: polars.from_pandas(frame),
    "text": lambda frame: "frame",
    "a number": lambda frame: 7,
    "None": lambda frame: None,
    "an empty dict": lambda frame: {},
    "an empty list": lambda frame: [],
}


def odd_frames(frame: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """Yield name and odd frame of all that a good one can become, those odd as a whole first."""
    for name, change in FRAMES.items():
        yield name, change(frame.copy())
    for column in frame.columns:
        for name, of_column in COLUMNS.items():
            yield f"{column} {name}", of_column(frame.copy(), column)
        for name, value in CELLS.items():
            yield f"{name} in {column}", _one_cell(frame, column, value)
            yield f"{name} all over {column}", _all_cells(frame, column, value)


# what may befall some rows of a column, or the order and number of all
NUMBERS = (0, 1, -1, 2, 7.5, 1e-9, 1e9, 1e16, -1e308, 5e-324, 2**53 + 1, -(2**62), True, np.float32(0.1), np.int8(3), -0.0)
ROWS: dict[str, Callable[[pd.DataFrame, random.Random], pd.DataFrame]] = {
    "rows in another order": lambda frame, draw: frame.iloc[draw.sample(range(len(frame)), len(frame))],
    "rows left out": lambda frame, draw: frame.iloc[sorted(draw.sample(range(len(frame)), draw.randint(0, len(frame))))],
    "rows drawn again": lambda frame, draw: frame.iloc[draw.choices(range(len(frame)), k=draw.randint(1, 2 * len(frame)))],
}


def damaged(frame: pd.DataFrame, draw: random.Random) -> tuple[str, Any]:
    """Return what was done, and the frame with one to four things changed at places that are drawn; the last may make it no frame."""
    said, kinds = [], ["cells", "cells", "column", "rows", "swapped"]
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        if not len(frame) or not len(frame.columns) or not frame.columns.is_unique:
            break
        with suppress(Exception):  # pandas cannot damage every damaged frame further: it stays as it is
            what, frame = _damaged_once(frame, draw.choice(kinds), draw)
            said.append(what)
    if not said or draw.random() < 0.2:
        name = draw.choice(list(FRAMES))
        if isinstance(frame, pd.DataFrame) and len(frame) and len(frame.columns) and frame.columns.is_unique:
            with suppress(Exception):
                return "; ".join([*said, name]), FRAMES[name](frame)
    return "; ".join(said), frame


def _damaged_once(frame: pd.DataFrame, kind: str, draw: random.Random) -> tuple[str, pd.DataFrame]:
    column = draw.choice(list(frame.columns))
    if kind == "column":
        name = draw.choice(list(COLUMNS))
        return f"{column} {name}", COLUMNS[name](frame, column)
    if kind == "rows":
        name = draw.choice(list(ROWS))
        return name, ROWS[name](frame, draw)
    places = draw.sample(range(len(frame)), draw.randint(1, len(frame)))
    if kind == "swapped":
        other = draw.choice(list(frame.columns))
        return f"{len(places)} cells of {other} in {column}", _set(frame, column, {at: frame[other].iloc[-1 - at] for at in places})
    name, value = draw.choice([*CELLS.items(), *((repr(number), number) for number in NUMBERS)])
    return f"{name} in {len(places)} cells of {column}", _set(frame, column, dict.fromkeys(places, value))


def _set(frame: pd.DataFrame, column: str, values: dict[int, Any]) -> pd.DataFrame:
    """Return the frame with other cells in a column, which keeps its type where it has room for them."""
    cells = np.empty(len(frame), dtype=object)
    cells[:] = frame[column].to_list()
    for at, value in values.items():
        cells[at] = value
    changed = pd.Series(cells, index=frame.index, dtype=object)
    try:
        return frame.assign(**{column: changed.astype(frame[column].dtype)})
    except (TypeError, ValueError, OverflowError, UnicodeError):
        return frame.assign(**{column: changed})
