"""Bars for downloads that others do: the hub's client draws its own, pip's file is watched while it grows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from surveysim.progress import reported

EVERY = 0.2  # seconds between two looks


@contextmanager
def size_bar(folder: Path, total: int, label: str, progress: bool) -> Iterator[None]:
    """Show how much of `total` bytes has come into a folder, and the time left, while the block runs."""
    if not progress:
        yield
        return
    done = Event()
    with reported(label=label, total=total, unit="B") as bar:
        watcher = Thread(target=_watch, args=(folder, bar, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _watch(folder: Path, bar: Any, done: Event) -> None:
    while not done.wait(EVERY):
        bar.update(max(0, min(_size(folder), bar.total) - bar.n))


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder; one that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


@contextmanager
def hub_bars(progress: bool) -> Iterator[None]:
    """Silence the bars of the hub's client if `progress` is False; the user's own setting comes back."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if progress or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
