"""Files and folders that are there whole or not at all: written beside their place, then renamed. Every verb that writes uses this."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from surveysim.errors import ReadError

PLAIN = (".csv", ".parquet")
PARTIAL = ".partial"  # ending of a folder, or of a file whose format has no ending, that is still being written
LEFT_BEHIND = 24 * 3600  # seconds; a partial file so old is of a process that was killed


def checked_target(path: str | Path, suffixes: Sequence[str], *, how: str = "") -> Path:
    """Return a path to write to, before any work is done for it.

    Parameters
    ----------
    path : str or Path
    suffixes : sequence of str
        The endings that can be written.
    how : str
        What the message adds to "cannot be written", such as " in parts".

    Raises
    ------
    ReadError
        If its ending is none of `suffixes`, or its folder does not exist.

    Examples
    --------
    >>> from surveysim.whole_files import checked_target
    >>> checked_target("shares.CSV", [".csv"]).name
    'shares.CSV'
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise ReadError(f"{target.name}: extension {target.suffix or '(none)'!r} cannot be written{how}; use {', '.join(suffixes)}")
    if not target.parent.is_dir():
        raise ReadError(f"folder {str(target.parent)!r} does not exist; make it first")
    return target


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
    target = checked_target(path, PLAIN)
    if target.suffix.lower() == ".csv":
        return write_whole(target, lambda place: table.to_csv(place, index=False))
    mixed = [name for name in table.columns if table[name].dtype == object and len({type(value) for value in table[name]}) > 1]
    plain = table.assign(**{name: table[name].astype(str) for name in mixed})  # Parquet holds one type a column
    plain.attrs = {}
    return write_whole(target, lambda place: plain.to_parquet(place, index=False))


def write_whole(target: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `target`, of the same ending, then rename it.

    Raises
    ------
    ReadError
        If the folder does not exist.
    """
    checked_target(target, (target.suffix.lower(),))
    place = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        write(place)
        place.replace(target)
    finally:
        place.unlink(missing_ok=True)
    return target


@contextmanager
def partial_beside(final: Path) -> Iterator[Path]:
    """Yield a free path beside `final`, for a file or folder to be renamed once it is whole; what still stands there then is deleted."""
    final.parent.mkdir(parents=True, exist_ok=True)
    place = final.with_name(f".{final.name}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield place
    finally:
        delete(place)


def delete(place: Path) -> None:
    """Delete a file or folder, if it is there."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def sweep(folder: Path, name: str = "*") -> None:
    """Delete what processes that were killed while writing `name` left behind in `folder`."""
    for place in folder.glob(f".{name}-*{PARTIAL}"):
        try:
            if time.time() - place.stat().st_mtime > LEFT_BEHIND:
                delete(place)
        except OSError:  # another process swept it, or it is not ours to delete
            continue


def open_to_others(place: Path) -> None:
    """Give files the permissions of the folder they stand in: safetensors writes them for their owner alone."""
    folder, files = (place, [file for file in place.iterdir() if file.is_file()]) if place.is_dir() else (place.parent, [place])
    mode = folder.stat().st_mode & 0o666
    for file in files:
        file.chmod(mode)
