"""Run the notebooks, and keep what they print and draw: ``python docs/tutorials.py`` runs those whose code has changed.

The notebooks in ``notebooks`` hold no outputs; the executed ones lie in ``docs/_build/executed``. The tests run every notebook and keep
it there too, so that after the tests the site is built at once. ``make clean`` forgets them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

DOCS = Path(__file__).parent
NOTEBOOKS = DOCS.parent / "notebooks"
EXECUTED = DOCS / "_build" / "executed"
SECONDS_A_CELL = 1500  # far more than a cell needs; it only ends one that hangs


def run(path: Path, folder: Path) -> Any:
    """Run a notebook in `folder`, keep the executed one, and return it.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails; then nothing is kept.
    """
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    EXECUTED.mkdir(parents=True, exist_ok=True)
    _write(notebook, EXECUTED / path.name)
    return notebook


def with_outputs(path: Path) -> Any:
    """Return a notebook with the outputs of its executed copy where the code of both is the same; else without outputs."""
    notebook, kept = nbformat.read(path, as_version=4), EXECUTED / path.name
    done = _code(nbformat.read(kept, as_version=4)) if kept.exists() else []
    code = _code(notebook)
    if [cell.source for cell in code] == [cell.source for cell in done]:
        for cell, executed in zip(code, done, strict=True):
            cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    _describe_figures(notebook)
    return notebook


def _describe_figures(notebook: Any) -> None:
    """Say for those who cannot see a figure where it stands and which call drew it."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = next((line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), heading)
        elif cell.cell_type == "code":
            called = ", ".join(dict.fromkeys(re.findall(r"\bplot_\w+", cell.source)))
            cell.metadata["mystnb"] = {"image": {"alt": f"{heading}: the figure of {called or 'this cell'}"}}


def stage(folder: Path) -> None:
    """Write all notebooks, with their outputs where there are any, to `folder`; one that has not changed is left as it is."""
    folder.mkdir(exist_ok=True)
    names = {path.name for path in NOTEBOOKS.glob("*.ipynb")}
    for old in folder.glob("*.ipynb"):
        if old.name not in names:
            old.unlink()
    for name in sorted(names):
        text = nbformat.writes(with_outputs(NOTEBOOKS / name))
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def has_outputs(path: Path) -> bool:
    """Return whether there are outputs of a notebook as it now is."""
    return any(cell.outputs for cell in _code(with_outputs(path)))


def main() -> None:
    """Run the notebooks that have no outputs yet."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if has_outputs(path):
            continue
        start = time.time()
        print(f"{path.name} ...", end=" ", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            run(path, Path(folder))
        print(f"{time.time() - start:.0f} seconds")


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _write(notebook: Any, target: Path) -> None:
    new = target.with_suffix(f".{os.getpid()}.tmp")
    nbformat.write(notebook, new)
    new.replace(target)


if __name__ == "__main__":
    sys.exit(main())
