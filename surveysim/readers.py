"""Survey files as released, read without loss. (being written)"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyreadstat


@dataclass(frozen=True, eq=False)
class RawFile:
    """A file's columns with its own metadata."""

    frame: pd.DataFrame


def read_columns(path: str | Path, *, encoding: str | None = None) -> RawFile:
    """Read a file. (being written)"""
    frame, _ = pyreadstat.read_sav(str(path), user_missing=True, encoding=encoding)
    return RawFile(frame)
