"""The page on simulated respondents says what its numbers say."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from tests.support.pages import PROJECT

DOCS = PROJECT / "docs"


def test_the_section_is_made_of_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    numbers = json.loads((DOCS / "benchmarks" / "respondents.json").read_text(encoding="utf-8"))
    (section,) = import_module("marked_sections").marked_sections(DOCS / "respondents.md")
    assert section.splitlines()[1:-1] == "\n".join(import_module("respondents_report").section(numbers)).splitlines()
