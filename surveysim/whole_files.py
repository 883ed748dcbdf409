"""Files that are there whole or not at all: tables as CSV and Parquet, and text; written under a temporary name, then renamed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from surveysim.errors import ReadError

PLAIN = (".csv", ".parquet")


def write_plain(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table to a .csv or .parquet file.

    Raises
    ------
    ReadError
        If the ending is another, or the folder does not exist.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from surveysim.whole_files import write_plain
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_plain(pd.DataFrame({"share": [0.5]}), f"{folder}/shares.csv").read_text().split()
    ['share', '0.5']
    """
    target = Path(path)
    if target.suffix.lower() not in PLAIN:
        raise ReadError(f"{target.name}: extension {target.suffix or '(none)'!r} cannot be written; use {', '.join(PLAIN)}")
    if target.suffix.lower() == ".csv":
        return write_whole(target, lambda place: table.to_csv(place, index=False))
    mixed = [name for name in table.columns if table[name].dtype == object and len({type(value) for value in table[name]}) > 1]
    plain = table.assign(**{name: table[name].astype(str) for name in mixed})  # Parquet holds one type a column
    plain.attrs = {}
    return write_whole(target, lambda place: plain.to_parquet(place, index=False))


def write_whole(target: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `target`, then rename it.

    Raises
    ------
    ReadError
        If the folder does not exist.
    """
    if not target.parent.is_dir():
        raise ReadError(f"folder {str(target.parent)!r} does not exist; make it first")
    place = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        write(place)
        place.replace(target)
    finally:
        place.unlink(missing_ok=True)
    return target
