"""Sections of a page that other benchmarks write: from ``<!-- name: begin -->`` to ``<!-- name: end -->``."""

from __future__ import annotations

import re
from pathlib import Path

MARKED = re.compile(r"<!-- ([\w-]+): begin -->\n.*?<!-- \1: end -->\n?", flags=re.DOTALL)


def marked_sections(page: Path) -> list[str]:
    """Return the marked sections of a page, with their markers; none where there is no page."""
    if not page.exists():
        return []
    return [match.group(0).rstrip("\n") for match in MARKED.finditer(page.read_text(encoding="utf-8"))]


def write_section(page: Path, name: str, lines: list[str]) -> None:
    """Put a section in the place of that of its name, or at the end of the page."""
    text = page.read_text(encoding="utf-8")
    section = "\n".join([f"<!-- {name}: begin -->", *lines, f"<!-- {name}: end -->"]) + "\n"
    for match in MARKED.finditer(text):
        if match.group(1) == name:
            page.write_text(text[: match.start()] + section + text[match.end() :], encoding="utf-8")
            return
    page.write_text(text.rstrip("\n") + "\n\n" + section, encoding="utf-8")
