"""Tables too large for memory: written to Parquet part by part with what they say about themselves, and read back whole or in part."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from surveysim.errors import ReadError, TableError, first_few, nearest, quoted
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, QUESTION
from surveysim.whole_files import checked_target, write_whole

ENDING, CSV = ".parquet", (".csv", ".tsv", ".gz")
ABOUT = b"PANDAS_ATTRS"  # where pandas keeps a frame's attrs, so that pandas.read_parquet gives them back too
AS_JSON = b"surveysim_json_columns"  # columns whose values are of several types, which Parquet cannot hold


def write_parts(parts: Iterable[pd.DataFrame], path: str | Path, *, about: Mapping[str, Any], mixed: Sequence[str] = ()) -> Path:
    """Write frames of the same columns to one Parquet file, a row group each; only one of them is in memory at a time.

    The file appears when it is complete: an interruption leaves none, or the one that was there.

    Parameters
    ----------
    parts : iterable of DataFrame
        At least one.
    path : str or Path
        Ends in .parquet.
    about : mapping
        The table's ``attrs``: plain values.
    mixed : sequence of str
        Columns that hold both numbers and text in some part.

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the ending is another, the folder does not exist, or the disk has no room.
    TableError
        If there are no parts.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from surveysim.tables.storage import read_table, write_parts
    >>> parts = (pd.DataFrame({"question_id": [name], "share": [1.0]}) for name in "abc")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = read_table(write_parts(parts, f"{folder}/shares.parquet", about={"simulated": True}))
    >>> len(table), table.attrs
    (3, {'simulated': True})
    """
    target = writable_parquet(path)
    frames = iter(parts)
    first = next(frames, None)
    if first is None:
        raise TableError(f"nothing to write to {target.name}: no parts")
    encoded = (_encoded(frame, mixed) for frame in chain([first], frames))
    return write_whole(target, lambda place: _write_groups(encoded, place, about, mixed))


def writable_parquet(path: str | Path) -> Path:
    """Return a path to write to, before any work is done for it.

    Raises
    ------
    ReadError
        If it does not end in .parquet, or its folder does not exist.
    """
    return checked_target(path, (ENDING,), how=" in parts")


def _write_groups(frames: Iterator[pd.DataFrame], place: Path, about: Mapping[str, Any], mixed: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(frames)
    first.attrs = {}
    own = {ABOUT: json.dumps(dict(about)).encode(), AS_JSON: json.dumps(list(mixed)).encode()}
    plain = pa.Schema.from_pandas(first, preserve_index=False)
    schema = plain.with_metadata({**plain.metadata, **own})
    with pq.ParquetWriter(place, schema) as file:
        for frame in chain([first], frames):
            file.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def _encoded(frame: pd.DataFrame, mixed: Sequence[str]) -> pd.DataFrame:
    values = {name: [json.dumps(value.item() if hasattr(value, "item") else value) for value in frame[name]] for name in mixed}
    return frame.assign(**values)


def read_table(
    path: str | Path, *, questions: str | Sequence[str] | None = None, backgrounds: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a table that was written to Parquet, or the part of it that concerns some questions and backgrounds.

    Parameters
    ----------
    path : str or Path
        As `simulate_to_parquet` returns it; any Parquet file of a table.
    questions, backgrounds : str or sequence of str, optional
        Ids to read; the rest of the file stays on the disk. Default: all.

    Returns
    -------
    DataFrame
        The table as the verbs return it, with its ``attrs``.

    Raises
    ------
    ReadError
        If the file is not there or is no Parquet file.
    TableError
        If it holds none of the ids asked for, or `questions` or `backgrounds` holds no names.

    Examples
    --------
    >>> import tempfile
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> model = ss.load_model(device="cpu")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     chosen = {"model": model, "method": "zero-shot", "questions": ["Q8_8", "Q8_9"], "progress": False}
    ...     path = ss.simulate_to_parquet(survey, ["gender"], f"{folder}/cells.parquet", **chosen)
    ...     table = ss.read_table(path, questions=["Q8_9"])
    >>> table.question_id.unique().tolist(), table.attrs["weight"]
    (['Q8_9'], 'weight')
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    asked_for = {QUESTION: ("questions", questions), BACKGROUND: ("backgrounds", backgrounds)}
    wanted = {name: names_of(ids, argument, error=TableError) for name, (argument, ids) in asked_for.items() if ids is not None}
    try:
        found = pq.read_table(path, filters=[(name, "in", ids) for name, ids in wanted.items()] or None)
        table = _decoded(found)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if Path(path).suffix.lower() in CSV and Path(path).exists():
            raise ReadError(f"path {str(path)!r} is a CSV, and read_table reads Parquet; pandas.read_csv reads it as a table") from error
        raise ReadError(
            f"{str(path)!r} cannot be read as a table in Parquet ({type(error).__name__}: {quoted(str(error), 300)}); give the file that "
            "simulate_to_parquet wrote"
        ) from error
    if wanted and not len(found):
        asked = "; ".join(f"{name} {first_few(ids)}" for name, ids in wanted.items())
        raise TableError(f"{Path(path).name} holds no row with {asked}; read it whole, or name ids that it holds")
    return table


def _decoded(found: Any) -> pd.DataFrame:
    """Return a Parquet table as a frame, with its ``attrs`` and its columns of several types."""
    about = found.schema.metadata or {}
    table: pd.DataFrame = found.to_pandas()
    for name in json.loads(about.get(AS_JSON, b"[]")):
        table[name] = pd.Series([json.loads(value) for value in table[name]], dtype=object)
    table.attrs = dict(json.loads(about.get(ABOUT, b"{}")))
    return table


def shipped_names(folder: str) -> list[str]:
    """Return the names of the tables in a folder of the package's data, without their ending."""
    return sorted(
        item.name.removesuffix(".csv") for item in files("surveysim").joinpath("data", folder).iterdir() if item.name.endswith(".csv")
    )


def table_text(path: str | Path, folder: str, what: str) -> str:
    """Return the text of a table that ships in a folder of the package's data, or of the user's file.

    Parameters
    ----------
    path : str or Path
        A name of `shipped_names`, or a path.
    folder : str
    what : str
        What such a table is called, for messages.

    Raises
    ------
    ReadError
        If no table of that name ships, the file does not exist, or it is not UTF-8.
    """
    place = Path(path)
    if not place.suffix and not place.exists():
        names = shipped_names(folder)
        if str(path) not in names:
            raise ReadError(f"no {what} {str(path)!r} ships with surveysim, and there is no such file; {nearest(str(path), names)}")
        return files("surveysim").joinpath("data", folder, f"{path}.csv").read_text(encoding="utf-8")
    if not place.is_file():
        raise ReadError(f"{what} {place.name!r} does not exist in folder {str(place.parent)!r}")
    try:
        return place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"{place.name} is not a CSV in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
