"""Write the lists of rooms and modules in docs/architecture.md from the package's own docstrings: ``python docs/architecture.py``."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, PACKAGE = ROOT / "docs" / "architecture.md", ROOT / "surveysim"
sys.path.insert(0, str(ROOT))

from tests.support.rooms import FOUNDATION, LM_GROUPS, ROOMS, TOP  # noqa: E402  the order that the tests hold

HOUSE = [room for each in ROOMS for room in (*(f"lm/{group}" for group in LM_GROUPS if each == "lm"), each)]


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring, as a cell of a table."""
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
    return re.sub(r"`+", "`", said).replace("|", "\\|").replace("$", "\\$").replace("<", "&lt;")


def rooms() -> list[str]:
    """Return the rooms in order, each with the sentence of its `__init__`."""
    top = [
        (
            "errors, calls, html, whole_files, progress",
            "What every room may use: errors, how verbs are called, HTML for notebooks and the report, whole files, how far long work is.",
        )
    ]
    inner = [(f"{room}/", first_line(PACKAGE / room / "__init__.py")) for room in HOUSE]
    last = [("cli, demo, \\_\\_main\\_\\_, \\_\\_init\\_\\_", "What users call: the command line, the demo, and the public names.")]
    return ["| room | what it holds |", "|---|---|", *(f"| {name} | {said} |" for name, said in [*top, *inner, *last])]


def modules() -> list[str]:
    """Return every module by room, with the first line of its docstring."""
    lines = ["| module | what it is |", "|---|---|"]
    lines += [_row(PACKAGE / f"{name}.py") for name in FOUNDATION]
    for room in HOUSE:
        lines += [_row(path) for path in sorted((PACKAGE / room).glob("*.py")) if path.stem != "__init__"]
    return [*lines, *(_row(PACKAGE / f"{name}.py") for name in TOP)]


def _row(path: Path) -> str:
    return f"| `{path.relative_to(PACKAGE).as_posix()}` | {first_line(path)} |"


def written(text: str) -> str:
    """Return the page with its marked sections written anew."""
    for name, lines in (("rooms", rooms()), ("modules", modules())):
        section = "\n".join([f"<!-- {name}: begin -->", "", *lines, "", f"<!-- {name}: end -->"])
        text, count = re.subn(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->", lambda _, new=section: new, text, flags=re.DOTALL)
        assert count == 1, f"{PAGE.name} has {count} sections {name!r}; it has one"
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
