"""Every notebook runs from top to bottom, in short cells of public names, and shows what it says it shows."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest

import surveysim as ss
from docs import tutorials

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST_CELL = 10  # lines

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def _code(path: Path) -> list[str]:
    return [cell.source for cell in _read(path).cells if cell.cell_type == "code"]


def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # two kernels on two busy cores wait for each other's threads
        monkeypatch.setenv(name, "1")
    notebook = tutorials.run(path, tmp_path)  # and keep it for the site
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        complaints = [output.text for output in outputs if output.output_type == "stream" and "Warning" in output.text]
        assert complaints == [], cell.source
        if "ss.plot_" in cell.source and "draw=False" not in cell.source:
            assert any("image/png" in output.get("data", {}) for output in outputs), f"no figure from\n{cell.source}"


def test_cells_are_short_and_use_public_names(path: Path) -> None:
    for source in _code(path):
        assert len(source.splitlines()) <= LONGEST_CELL, source
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert not any(name.startswith("surveysim.") for name in names), source
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ss":
                assert node.attr in ss.__all__, node.attr


def test_it_asks_shows_how_to_read_and_ends_with_its_claim(path: Path) -> None:
    text = "\n".join(cell.source for cell in _read(path).cells if cell.cell_type == "markdown")
    for words in ("**The question.**", "**The data.**", "**How to read it.**", "things to try"):
        assert words in text
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(_code(path)[-1]))), "the last cell asserts the claim"


def test_it_holds_no_outputs(path: Path) -> None:
    for cell in _read(path).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
