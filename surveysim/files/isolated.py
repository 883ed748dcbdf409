"""SPSS and Stata files read in a child process: a file that makes the reader crash, hang or grow costs an error, not the session."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from surveysim.errors import ReadError, quoted

SECONDS = 60  # of a file of any size; and one more for each
BYTES_A_SECOND = 2_000_000
CHILD = Path(__file__).with_name("isolated_child.py")
MEMORY = 2 << 30  # bytes
REMEDY = "download it again, or, if the file is your own and only large, read it with isolated=False"


def read_isolated(function: str, path: Path, options: dict[str, Any], *, name: str) -> tuple[dict[str, Any], Any]:
    """Call one of pyreadstat's functions in a child process without pandas; return its columns, as lists, and its metadata.

    Parameters
    ----------
    function : str
        ``"read_sav"``, ``"read_dta"`` or ``"read_por"``.
    path : Path
    options : dict
        Of the function.
    name : str
        The file's name, for messages.

    Raises
    ------
    ReadError
        If the child crashes, takes more than `SECONDS` and one for every `BYTES_A_SECOND`, or more than `MEMORY`.
    Exception
        pyreadstat's own errors, as the child met them.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from surveysim.files.isolated import read_isolated
    >>> path = files("surveysim") / "data" / "nonvoters2020.sav"
    >>> columns, about = read_isolated("read_sav", path, {"usecols": ["Q8_8"]}, name="nonvoters2020.sav")
    >>> len(columns["Q8_8"]), about.number_rows
    (5836, 5836)
    """
    patience = SECONDS + path.stat().st_size // BYTES_A_SECOND
    asked = {"function": function, "path": str(path), "options": options, "memory": MEMORY, "seconds": patience}
    command, request = [sys.executable, "-P", str(CHILD)], json.dumps(asked).encode()  # -P: no module of this folder is found
    try:
        done = subprocess.run(command, input=request, capture_output=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired as error:
        raise ReadError(f"{name} was not read within {patience} s; it is damaged, or made to hold the reader up: {REMEDY}") from error
    if done.returncode:
        raise ReadError(f"{name} cannot be read: {_why(done)}; it is damaged, or made to do so: {REMEDY}")
    return _answer(done.stdout, name)


def _why(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"the reader crashed (signal {-done.returncode})"
    said = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
    return f"the reader needs more than {MEMORY >> 30} GB" if "MemoryError" in said else f"the reader failed ({quoted(said, 200)})"


def _answer(said: bytes, name: str) -> tuple[dict[str, Any], Any]:
    import pyreadstat

    try:
        found = json.loads(said)
    except ValueError as error:
        raise ReadError(f"{name} cannot be read: the reader gave no answer that can be followed; {REMEDY}") from error
    if "error" in found:
        raise getattr(pyreadstat, found["error"])(found["text"])
    labels = {variable: dict(map(tuple, pairs)) for variable, pairs in found["labels"].items()}
    return found["columns"], SimpleNamespace(**found["facts"], variable_value_labels=labels, value_labels=dict.fromkeys(found["sets"]))
