"""A function in a forked child: what it gives, or how it ended; and the child that is killed at one of its steps on the disk."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

PATIENCE = 120  # seconds
STEPS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.listdir", "os.scandir", "os.truncate"})
with_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


def in_child(function: Callable[[], Any]) -> tuple[int, Any]:
    """Return how a child ended (a signal: its number, negative) and what the function gave, if it came so far."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: the child uses none of them
        child = os.fork()
    if not child:
        os.close(read)
        _end(function, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(_waited(child)), pickle.loads(said) if said else None


def _end(function: Callable[[], Any], write: int) -> None:
    code = 1
    try:
        torch.set_num_threads(1)
        said = pickle.dumps(function())
        os.write(write, said)
        code = 0
    finally:
        os._exit(code)


def _waited(child: int) -> int:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"a child did not end within {PATIENCE} s")


def killed_at(step: int | None, folder: Path, function: Callable[[], Any]) -> int:
    """Run a function that is killed before its `step`-th access to a folder (None: never); return how many there were."""
    clock = _Clock(step)

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if (event in STEPS and str(folder) in str(given[0])) or (event == "ctypes.dlsym" and "renameat2" in str(given)):
            clock.tick()

    sys.addaudithook(watch)
    function()
    return clock.count


def killed_at_call(step: int | None, _folder: Path, function: Callable[[], Any]) -> int:
    """Run a function that is killed at its `step`-th call of any function (None: never); return how many there were."""
    clock = _Clock(step)
    sys.setprofile(lambda _frame, event, _given: clock.tick() if event in ("call", "c_call") else None)
    function()
    sys.setprofile(None)
    return clock.count


class _Clock:
    """Counts steps; at one of them the process is killed."""

    def __init__(self, step: int | None) -> None:
        self.step, self.count = step, 0

    def tick(self) -> None:
        if self.count == self.step:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def kill_moments(count: int, moments: int = 20) -> list[int]:
    """Return so many steps of all, evenly; every step where there are fewer."""
    return sorted({round(place * (count - 1) / (moments - 1)) for place in range(moments)})
