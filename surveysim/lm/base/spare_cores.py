"""As many threads as other processes leave cores: torch waits for the slowest of its threads, and one that shares a core is slow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from threading import Lock, local

import psutil
import torch
from threadpoolctl import ThreadpoolController

SAID_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
APART = 0.25  # seconds between two looks at what others do; the system counts hundredths
STALE = 5.0  # seconds after which a look is no longer of use
GLANCE = 0.05  # seconds of a look where there is none of use


@contextmanager
def spare_cores() -> Iterator[None]:
    """Let this thread's operations in a block use as many threads as other processes leave cores, at least one; then as before.

    A block inside a block looks again. Nothing changes where the user has said how many, by ``OMP_NUM_THREADS``, ``MKL_NUM_THREADS``
    or `torch.set_num_threads`, or where the system does not say what others do. Other threads of this process keep their number.

    Examples
    --------
    >>> import torch
    >>> from surveysim.lm.base.spare_cores import spare_cores
    >>> before = torch.get_num_threads()
    >>> with spare_cores():
    ...     1 <= torch.get_num_threads() <= before
    True
    """
    outermost, full = not hasattr(_HERE, "full"), full_threads()
    threads = full if full == 1 or _said_by_user(full) else min(full, _OTHERS.left())
    _HERE.full = full
    try:
        with nullcontext() if threads == torch.get_num_threads() else _openmp().limit(limits=threads):
            yield
    finally:
        if outermost:
            del _HERE.full


@contextmanager
def one_thread() -> Iterator[None]:
    """Let this thread's operations in a block use one thread: small ones take no longer, and give the same bits on every machine's many.

    Examples
    --------
    >>> import torch
    >>> from surveysim.lm.base.spare_cores import one_thread
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    with _openmp().limit(limits=1):
        yield


def full_threads() -> int:
    """Return how many threads this thread's operations have outside of any block of `spare_cores`."""
    return int(getattr(_HERE, "full", 0)) or torch.get_num_threads()


def _said_by_user(threads: int) -> bool:
    return any(name in os.environ for name in SAID_BY_USER) or threads not in _usual_numbers()


@cache
def _usual_numbers() -> frozenset[int]:
    """Numbers of threads that torch takes by itself."""
    return frozenset(number for number in (psutil.cpu_count(logical=False), psutil.cpu_count(), len(_cores())) if number)


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


def _cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(psutil.cpu_count() or 1))


class _Others:
    """What other processes do on the cores that this one may use."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._seen: tuple[float, float, float] | None = None  # when, seconds of all processes, and of this one
        self._busy = 0.0  # cores

    def left(self) -> int:
        """Return how many cores others leave, at least one; all of them where the system does not say."""
        with self._turn:
            try:
                self._look()
            except (psutil.Error, OSError, AttributeError, IndexError, NotImplementedError):
                self._busy = 0.0
            return max(1, int(len(_cores()) - self._busy + 0.5))

    def _look(self) -> None:
        if self._seen is not None and time.perf_counter() - self._seen[0] < APART:
            return
        now = _used()
        if self._seen is None or now[0] - self._seen[0] > STALE:
            self._seen = now
            time.sleep(GLANCE)
            now = _used()
        (before, all_before, own_before), (at, everyone, own) = self._seen, now
        self._busy = max(0.0, (everyone - all_before - (own - own_before)) / (at - before))
        self._seen = now


def _used() -> tuple[float, float, float]:
    """Return the time, and processor seconds used so far on this process's cores: by all, and by this process."""
    times = psutil.cpu_times(percpu=True)
    everyone = sum(times[core].user + times[core].system + getattr(times[core], "nice", 0.0) for core in _cores())
    own = psutil.Process().cpu_times()
    return time.perf_counter(), everyone, own.user + own.system


_OTHERS, _HERE = _Others(), local()
