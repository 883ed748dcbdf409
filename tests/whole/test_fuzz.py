"""Damaged files of every kind are read or refused in words of the package's own; a short part of ``make fuzz``."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.children import with_fork
from tests.support.fuzzing import changed, fuzz

SECONDS = 20


@with_fork
def test_no_reader_lets_an_error_of_another_kind_through(tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = fuzz(SECONDS, seed=2026, folder=tmp_path)
    assert {name: count.faults for name, count in counts.items() if count.faults} == {}
    assert len(counts) == 12
    assert sum(count.refused for count in counts.values()) >= 5, "of the seconds something was left for changed files"
    assert all(count.read for count in counts.values()), "the whole file of each kind, to begin with"


def test_the_same_seed_changes_the_same_bytes() -> None:
    content = bytes(range(256)) * 4
    first, second = ([changed(content, draw) for _ in range(50)] for draw in (random.Random(7), random.Random(7)))
    assert first == second
    assert sum(each != content for each in first) > 45
