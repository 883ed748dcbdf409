"""What a page says: its code blocks, its links, and a way to run its Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"^<!-- not run: (?P<reason>.+) -->$")
FENCE = re.compile(r"^```(?P<language>\w*|\{\w+\})(?: \S+)?$")  # {toctree} and the like are for the site
FILE_NAME = re.compile(r"^# (?P<name>[\w-]+\.toml)$")
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of its fence, and why it is not run (empty: it is)."""

    page: Path
    language: str
    text: str
    line: int
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page. ``<!-- not run: reason -->`` on the line before a fence says why it is not run."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        fence = FENCE.match(line.strip())
        if start is None and fence:
            start = number
        elif start is not None and line.strip() == "```":
            opened, before = FENCE.match(lines[start].strip()), NOT_RUN.match(lines[start - 1].strip()) if start else None
            assert opened is not None
            text = "\n".join(lines[start + 1 : number]) + "\n"
            found.append(Block(page, opened["language"], text, start + 1, before["reason"] if before else ""))
            start = None
    assert start is None, f"{page.name}: the block of line {start} is not closed"
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    inside, kept = False, []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and images."""
    return [match["target"] for match in LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as Git hosts make them."""
    titles = [line.lstrip("#").strip() for line in prose(page).splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def run_page(page: Path, folder: Path) -> dict[str, Any]:
    """Run a page's Python in order in one namespace; TOML blocks that begin with a file's name are saved in `folder` first."""
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        named = FILE_NAME.match(block.text.splitlines()[0]) if block.language == "toml" else None
        if named:
            (folder / named["name"]).write_text(block.text, encoding="utf-8")
        if block.language == "python" and not block.not_run:
            code = compile("\n" * block.line + block.text, str(page), "exec")  # a traceback names the page's own line
            exec(code, namespace)
    return namespace
