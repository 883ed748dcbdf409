"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SHARED = PROJECT.parent / "shared"


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"real files are not here: ../shared/{folder} (they stand beside the project, not in it)")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real survey files beside the project."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """Folder of numbers made with R beside the project."""
    return _shared("r_reference")
