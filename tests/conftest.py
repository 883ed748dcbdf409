"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import surveysim as ss

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


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random Llama with its tokenizer."""
    from tests.support.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module")
def base(tiny_folder: Path) -> ss.OptionModel:
    """A tiny random Llama, not aligned."""
    from tests.support.opinion_survey import load_tiny

    return load_tiny(tiny_folder)


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache of models and activations for all tests of a module."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURVEYSIM_CACHE", str(folder))
        yield folder


@pytest.fixture
def several_threads() -> Iterator[Callable[[int], None]]:
    """Says how many threads torch has, until the test ends."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models and activations."""
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
