"""Files and folders that are there whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = ".partial"
LEFT_BEHIND = 24 * 3600  # seconds; a partial file so old is of a process that was killed


@contextmanager
def partial_beside(final: Path) -> Iterator[Path]:
    """Yield a free path beside `final`, for a file or folder to be renamed once it is whole; what still stands there then is deleted."""
    final.parent.mkdir(parents=True, exist_ok=True)
    place = final.with_name(f".{final.name}-{secrets.token_hex(4)}{ENDING}")
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
    for place in folder.glob(f".{name}-*{ENDING}"):
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
