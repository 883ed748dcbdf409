"""How long work shows how far it is: bars for people, plain lines where output is piped, JSON lines or `logging` for other programs.

The environment variable ``SURVEYSIM_PROGRESS`` chooses, for every verb with `progress=True`:

==================  ====================================================================================================
``auto``, or unset  bars on a terminal and in notebooks, lines elsewhere
``bars``            bars that move, on standard error
``lines``           a line on standard error where a job ends, and every ten seconds while it runs
``json``            a JSON object a line on standard error, as it begins and ends, and every second while it runs
``log``             `logging`, level INFO, logger ``surveysim.progress``, as often as lines
a path, ``.jsonl``  as ``json``, appended to that file
==================  ====================================================================================================

An object of JSON has `time` (UTC), and `message`, or `job`, `done`, `total` (null if unknown), `unit`, `seconds` and `finished`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from surveysim.errors import SurveySimError, nearest

log = logging.getLogger(__name__)

VARIABLE = "SURVEYSIM_PROGRESS"
WAYS = ("auto", "bars", "lines", "json", "log")
SECONDS = {"lines": 10.0, "log": 10.0, "json": 1.0}  # between two reports of one job


def reported(
    items: Iterable[Any] | None = None, label: str = "", *, total: int | None = None, unit: str = "it", progress: bool = True
) -> Any:
    """Return `items`, reported as they are taken; without items, what `update` moves inside a `with` block.

    Parameters
    ----------
    items : iterable, optional
    label : str
        What is done.
    total : int, optional
        Number of items; default their length, where they have one.
    unit : str
        Of what is counted.
    progress : bool
        If False nothing is reported.

    Raises
    ------
    SurveySimError
        If ``SURVEYSIM_PROGRESS`` is none of the ways.

    Examples
    --------
    >>> from surveysim.progress import reported
    >>> [item for item in reported([1, 2], "counting", progress=False)]
    [1, 2]
    """
    way = chosen_way() if progress else "bars"
    if way == "bars":
        from tqdm.auto import tqdm

        return tqdm(items, desc=label, total=total, unit=unit, unit_scale=unit == "B", disable=not progress, leave=False)
    return Counted(items, label, total=total, unit=unit, way=way)


def announce(said: str) -> None:
    """Say a sentence in the way that progress is shown; a program that logs INFO gets it from `logging`.

    Raises
    ------
    SurveySimError
        If ``SURVEYSIM_PROGRESS`` is none of the ways.
    """
    way = chosen_way()
    if way == "log" or (way in ("bars", "lines") and log.isEnabledFor(logging.INFO)):
        log.info(said)
    elif way in ("bars", "lines"):
        from tqdm.auto import tqdm

        tqdm.write(f"surveysim: {said}", file=sys.stderr)
    else:
        _write_json({"message": said}, way)


def chosen_way() -> str:
    """Return what ``SURVEYSIM_PROGRESS`` asks for, ``auto`` resolved: a name of `WAYS`, or a path that ends with ``.jsonl``.

    Raises
    ------
    SurveySimError
        If it is neither, or the path's folder does not exist.
    """
    way = os.environ.get(VARIABLE, "") or "auto"
    if way == "auto":
        return "bars" if sys.stderr.isatty() or _in_notebook() else "lines"
    if way not in WAYS and not way.endswith(".jsonl"):
        raise SurveySimError(
            f"{VARIABLE}={way!r} is no way to show progress; {nearest(way, WAYS)} Set it to {', '.join(WAYS)}, "
            "or a path that ends with .jsonl"
        )
    if way.endswith(".jsonl") and not Path(way).parent.is_dir():
        raise SurveySimError(f"{VARIABLE}={way!r}: folder {str(Path(way).parent)!r} does not exist; make it first")
    return way


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which shows bars though its standard error is no terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class Counted:
    """What `reported` returns where no bar is drawn: counts, and reports at intervals; as much of tqdm's interface as is used here."""

    def __init__(self, items: Iterable[Any] | None, label: str, *, total: int | None, unit: str, way: str) -> None:
        self.items, self.label, self.unit, self.way = items, label, unit, way
        self.total = len(items) if total is None and hasattr(items, "__len__") else total  # type: ignore[arg-type]
        self.n = 0
        self.seconds = SECONDS.get(way, SECONDS["json"])
        self.start = self.last = time.monotonic()
        if self._as_json:
            self._report(finished=False)

    @property
    def _as_json(self) -> bool:
        return self.way not in ("lines", "log")

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None or self._as_json:  # an error speaks for itself
            self._report(finished=kind is None)

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self.items or ():
                yield item
                self.update()

    def update(self, n: int = 1) -> None:
        """Count `n` further items."""
        self.n += n
        if time.monotonic() - self.last >= self.seconds and self.n != self.total:  # the end has a report of its own
            self._report(finished=False)

    def _report(self, *, finished: bool) -> None:
        self.last = time.monotonic()
        seconds = self.last - self.start
        if self._as_json:
            counted = {"job": self.label, "done": self.n, "total": self.total, "unit": self.unit}
            _write_json({**counted, "seconds": round(seconds, 3), "finished": finished}, self.way)
            return
        of = "" if self.total is None else f" of {self.total:,}"
        said = f"{self.label}: {self.n:,}{of}{'' if self.unit == 'it' else ' ' + self.unit}, {seconds:.0f} s"
        tell: Callable[[str], object] = log.info if self.way == "log" else _write_line
        tell(said)


def _write_line(said: str) -> None:
    print(f"surveysim: {said}", file=sys.stderr)


def _write_json(facts: dict[str, Any], way: str) -> None:
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}, ensure_ascii=False)
    if way == "json":
        print(line, file=sys.stderr, flush=True)
        return
    with Path(way).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
