"""Bars: long work shows the time left on standard error, and nothing where progress is off."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

import surveysim as ss
from surveysim.lm.base.download_bars import hub_bars, size_bar
from tests.support.small_surveys import small_survey


def test_a_growing_file_moves_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SURVEYSIM_PROGRESS", "bars")
    with size_bar(tmp_path, 2000, "fetching", True):
        (tmp_path / "inner").mkdir()
        (tmp_path / "inner" / "part").write_bytes(b"0" * 1000)
        time.sleep(0.7)
    shown = capsys.readouterr().err
    assert "fetching:  50%" in shown
    assert "1.00k/2.00k" in shown


def test_a_bar_ends_with_the_error_of_its_block(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"), size_bar(tmp_path, 10, "fetching", True):
        raise OSError("broken")


def test_the_hub_s_bars_are_off_and_come_back() -> None:
    before = are_progress_bars_disabled()
    try:
        enable_progress_bars()
        with hub_bars(False):
            assert are_progress_bars_disabled()
        assert not are_progress_bars_disabled()
        with hub_bars(True):
            assert not are_progress_bars_disabled()
        disable_progress_bars()
        with hub_bars(False):
            assert are_progress_bars_disabled()
        assert are_progress_bars_disabled(), "a user's own choice stays"
    finally:
        (disable_progress_bars if before else enable_progress_bars)()


@pytest.mark.parametrize("progress", [True, False])
def test_long_work_shows_what_is_left_or_nothing(progress: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    survey = small_survey()

    def ridge(part: ss.Survey):
        return ss.simulate(part, ["gender"], questions=["q1"], method="ridge", progress=False)

    ss.cross_fit(survey, ridge, by=["gender"], questions=["q1"], progress=progress)
    crossed = capsys.readouterr()
    ss.compare_methods(survey, by=["gender"], train_n=100, methods=["raw"], seeds=1, questions=["q1"], progress=progress)
    compared = capsys.readouterr()
    with size_bar(tmp_path, 10, "fetching", progress):
        pass
    fetched = capsys.readouterr()
    assert ("cross-fitting:" in crossed.err, "comparing:" in compared.err, "fetching:" in fetched.err) == (progress,) * 3
    assert crossed.out + compared.out + fetched.out == ""
    if not progress:
        assert crossed.err + compared.err + fetched.err == ""


@pytest.mark.parametrize("progress", [True, False])
def test_training_shows_its_stages_or_nothing(
    progress: bool, tiny_folder: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    survey = small_survey()
    model = ss.load_model(tiny_folder, device="cpu")
    capsys.readouterr()
    ss.simulate(survey, ["gender"], model=model, questions=["q1"], method="stage1", progress=progress)
    shown = capsys.readouterr()
    assert shown.out == ""
    if progress:
        for label in ("surveysim: aligning", "reading prompts", "stage 1 (option_kl), heads", "stage 1 (option_kl), epoch 1", "simulating"):
            assert label in shown.err
    else:
        assert shown.err == ""
