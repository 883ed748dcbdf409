"""Small labelled files for tests: columns with their label and value labels, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat

import surveysim as ss

YES_NO = {1.0: "Yes", 2.0: "No"}


def labelled_file(
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    labels: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[Any, str]] | None = None,
    **options: Any,
) -> Path:
    """Write columns and a question `q` to a .sav or .dta file."""
    n = len(next(iter(columns.values())))
    frame = pd.DataFrame({**columns, "q": [1.0, 2.0] * (n // 2) + [1.0] * (n % 2)})
    write = pyreadstat.write_dta if path.suffix == ".dta" else pyreadstat.write_sav
    write(frame, str(path), column_labels={"q": "Q?", **(labels or {})}, variable_value_labels={"q": YES_NO, **(values or {})}, **options)
    return path


def drafted(path: Path, **options: Any) -> tuple[ss.Codebook, str]:
    """Return the codebook drafted from a file, and its text."""
    target = path.with_suffix(".toml")
    target.unlink(missing_ok=True)
    ss.draft_codebook(path, target, **options)
    return ss.load_codebook(target), target.read_text(encoding="utf-8")
