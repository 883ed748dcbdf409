"""Files and folders that are there whole or not at all: written beside their place, then renamed. Every verb that writes uses this."""

from __future__ import annotations

import ctypes
import glob
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from surveysim.errors import ReadError, quoted

UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of a character: no file takes them
PLAIN = (".csv", ".parquet")
STATA_END = b"</stata_dta>"
PARTIAL = ".partial"  # ending of a folder, or of a file whose format has no ending, that is still being written
ASIDE = ".aside"  # ending of a folder that made way for another, until that one stands
SWAP_SECONDS = 10  # a folder that stepped aside longer ago is of a process that was killed
CURRENT_FOLDER, RENAME_EXCHANGE = -100, 2  # of Linux: fcntl.h AT_FDCWD, linux/fs.h
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
        If its ending is none of `suffixes`, its folder does not exist, or no path can hold its letters.

    Examples
    --------
    >>> from surveysim.whole_files import checked_target
    >>> checked_target("shares.CSV", [".csv"]).name
    'shares.CSV'
    """
    target = Path(path)
    if UNWRITABLE.search(str(target)):
        raise ReadError(f"{quoted(str(target))} is no path: it holds NUL or half a character; write it without")
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


def write_whole(target: Path, write: Callable[[Path], object], *, verify: Callable[[Path], object] | None = None) -> Path:
    """Let `write` fill a file beside `target`, of the same ending, look whether all of it arrived, then rename it.

    Parameters
    ----------
    target : Path
    write : callable
        Of the path to fill.
    verify : callable, optional
        Of the filled path: raises where the file is not whole. Default: by the ending, as `VERIFIED` has it; a survey file is read
        back to its last row, for some libraries take a full disk for an ordinary end.

    Raises
    ------
    ReadError
        If the folder does not exist, or the file does not arrive whole: then none stands there, or the one that stood there before.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from surveysim.whole_files import write_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "note.txt", lambda place: place.write_text("whole")).read_text()
    'whole'
    """
    suffix = target.suffix.lower()
    checked_target(target, (suffix,))
    place = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        write(place)
        (verify or VERIFIED.get(suffix, _has_content))(place)
        place.replace(target)
    except OSError as error:
        raise ReadError(
            f"{str(target)!r} cannot be written ({error}); nothing of it is kept: make room, or choose another folder"
        ) from error
    finally:
        place.unlink(missing_ok=True)
    return target


def _has_content(place: Path) -> None:
    if not place.stat().st_size:
        raise OSError("0 bytes arrived")


def _ends_with_a_line(place: Path) -> None:
    _has_content(place)
    with place.open("rb") as stream:
        stream.seek(-1, 2)
        if stream.read() != b"\n":
            raise OSError(f"it ends within a line, after {place.stat().st_size:,} bytes")


def _has_a_footer(place: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    try:
        pyarrow.parquet.read_metadata(place)
    except pyarrow.ArrowException as error:
        raise OSError(f"it cannot be read back after {place.stat().st_size:,} bytes: {error}") from error


def _has_all_rows(place: Path) -> None:
    """Read an SPSS or Stata file to its last row, one column of it; a Stata file's labels, which stand behind, end with a mark."""
    import pyreadstat

    with place.open("rb") as stream:
        stream.seek(max(0, place.stat().st_size - len(STATA_END)))
        if place.suffix.lower() == ".dta" and stream.read() != STATA_END:
            raise OSError(f"its end is missing after {place.stat().st_size:,} bytes")
    read = pyreadstat.read_dta if place.suffix.lower() == ".dta" else pyreadstat.read_sav
    try:
        _, about = read(str(place), metadataonly=True)
        column, _ = read(str(place), usecols=about.column_names[:1], output_format="dict", disable_datetime_conversion=True)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        raise OSError(f"it cannot be read back after {place.stat().st_size:,} bytes: {error}") from error
    rows = len(next(iter(column.values())))
    if rows != about.number_rows:
        raise OSError(f"{rows:,} of {about.number_rows:,} rows arrived")


VERIFIED = dict.fromkeys((".sav", ".zsav", ".dta"), _has_all_rows) | {".csv": _ends_with_a_line, ".parquet": _has_a_footer}


@contextmanager
def partial_beside(final: Path) -> Iterator[Path]:
    """Yield a free path beside `final`, for a file or folder to be renamed once it is whole; what still stands there then is deleted."""
    final.parent.mkdir(parents=True, exist_ok=True)
    place = final.with_name(f".{final.name}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield place
    finally:
        delete(place)


def put_in_place(place: Path, final: Path) -> None:
    """Put a finished folder in the place of another one, at which never stands anything but the whole old or the whole new one.

    Where the system can exchange two names at once, it does, and `place` then holds the old folder. Elsewhere the old one steps
    aside and comes back if the new one cannot take its place; `bring_back` mends what a kill leaves between these two steps.

    Raises
    ------
    OSError
        If the system refuses; the old folder then stands where it stood.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from surveysim.whole_files import put_in_place
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     new, final = Path(folder) / "new", Path(folder) / "model"
    ...     new.mkdir(), final.mkdir(), (new / "weights").touch()
    ...     put_in_place(new, final)
    ...     [item.name for item in final.iterdir()]
    (None, None, None)
    ['weights']
    """
    if not final.exists():
        place.rename(final)
        return
    if _exchanged(place, final):
        return
    aside = final.with_name(f".{final.name}-{secrets.token_hex(4)}{ASIDE}")
    final.rename(aside)
    try:
        place.rename(final)
    except BaseException:
        aside.rename(final)
        raise
    delete(aside)


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system knows no such step (Linux has one)."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    done: int = rename(CURRENT_FOLDER, os.fsencode(first), CURRENT_FOLDER, os.fsencode(second), RENAME_EXCHANGE)
    return done == 0


def bring_back(final: Path) -> None:
    """Where nothing stands at `final`, bring back the folder that stepped aside for one whose process was killed then."""
    asides = (
        [] if final.exists() else sorted(final.parent.glob(f".{glob.escape(final.name)}-*{ASIDE}"), key=lambda path: path.stat().st_ctime)
    )
    if asides and time.time() - asides[-1].stat().st_ctime > SWAP_SECONDS:  # else its process may be about to go on
        asides[-1].rename(final)


def delete(place: Path) -> None:
    """Delete a file or folder, if it is there."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def sweep(folder: Path, name: str = "*") -> None:
    """Delete what processes that were killed while writing `name` left behind in `folder`: never what stepped aside, the only copy."""
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
