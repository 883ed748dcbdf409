"""A disk that is full at any size: no cut file stands under its final name, and no good older one is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from tests.support.children import in_child, with_fork
from tests.support.opinion_survey import opinion_codebook, opinion_frame

pytestmark = [with_fork, pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size is a matter of Unix")]
SIZES = [*range(8, 64, 8), *range(64, 400, 28), 400]  # KB


def _survey(n: int = 4000) -> ss.Survey:
    frame = opinion_frame(n)
    noise = np.random.default_rng(0)
    frame = frame.assign(**{f"x{number}": noise.normal(size=n).round(4) for number in range(12)})
    return ss.as_survey(frame, opinion_codebook())


def _table(rows: int = 9000) -> pd.DataFrame:
    noise = np.random.default_rng(1).random(rows)
    ids = [f"age=level {number}" for number in range(rows // 2) for _ in "ab"]
    shares = np.where(np.arange(rows) % 2, 1 - np.roll(noise, 1), noise)
    return pd.DataFrame(
        {"question_id": "vote", "background_id": ids, "option_code": [1, 2] * (rows // 2), "share": shares, "n": 50, "n_eff": 40.5}
    )


def _full_at(sizes: list[int], write: Callable[[], object], target: Path, old: bytes) -> tuple[list[str], list[str]]:
    """Write while files end at each size; return what was said, and every state of the folder that is neither old nor whole."""
    import resource

    said, wrong = [], []
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in sizes:
        target.write_bytes(old)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * 1024, hard))
        try:
            write()
            said.append("written")
        except ss.SurveySimError as error:
            said.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        if said[-1] != "written" and (target.read_bytes() != old or [path.name for path in target.parent.iterdir()] != [target.name]):
            wrong.append(f"{size} KB: {sorted(path.name for path in target.parent.iterdir())}")
        if said[-1] == "written" and target.stat().st_size > size * 1024 - 1:
            wrong.append(f"{size} KB: {target.stat().st_size} bytes were taken for whole")
    return said, wrong


def _try(write: Callable[[], object], target: Path, more: list[int]) -> list[str]:
    target.parent.mkdir()
    write()
    old = target.read_bytes()
    whole = -(-len(old) // 1024)
    assert whole > 16, "large enough to be cut at several sizes"
    sizes = [size for size in SIZES if size < whole] + [whole - 1, whole, whole + 8, *more]
    ended, found = in_child(lambda: _full_at(sizes, write, target, old))
    assert ended == 0
    said, wrong = found
    assert not wrong
    assert said[-1] == "written"
    assert all("written" in text for text in said)
    return said


@pytest.mark.parametrize("ending", [".sav", ".zsav", ".dta"])
def test_a_survey(ending: str, tmp_path: Path) -> None:
    survey, target = _survey(), tmp_path / "here" / f"survey{ending}"
    said = _try(lambda: ss.write_survey(survey, target), target, [])
    assert any("cannot be written" in text for text in said)


@pytest.mark.parametrize("ending", [".sav", ".dta"])
def test_a_table(ending: str, tmp_path: Path) -> None:
    table, target = _table(), tmp_path / "here" / f"table{ending}"
    said = _try(lambda: ss.write_table(table, target), target, [])
    assert any("cannot be written" in text for text in said)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_export(ending: str, tmp_path: Path) -> None:
    table, target = _table(), tmp_path / "here" / f"table{ending}"

    def write() -> None:
        ss.export_table(table, target, min_n=0)
        target.with_name(target.name + ".json").unlink(missing_ok=True)  # written after it

    said = _try(write, target, [])
    assert any("cannot be written" in text and "nothing of it is kept" in text for text in said)


def test_a_report(tmp_path: Path) -> None:
    shares, target = ss.response_distributions(_survey(600), by=["age", "gender"]), tmp_path / "here" / "report.html"
    said = _try(lambda: ss.report(shares, target), target, [])
    assert any("cannot be written" in text for text in said)


def test_what_is_simulated_to_a_file(base: ss.OptionModel, module_cache: Path, tmp_path: Path) -> None:
    survey, target = _survey(600), tmp_path / "here" / "shares.parquet"
    chosen = {"model": base, "method": "zero-shot", "progress": False}
    said = _try(lambda: ss.simulate_to_parquet(survey, ["age", "gender"], target, **chosen), target, [])
    assert any("cannot be written" in text for text in said)


@pytest.mark.parametrize("ending", [".sav", ".dta"])
def test_the_last_bytes(ending: str, tmp_path: Path) -> None:
    """Where the limit falls into the last piece that is written, the library itself says nothing."""
    survey, target = ss.as_survey(opinion_frame(900), opinion_codebook()), tmp_path / "here" / f"survey{ending}"
    target.parent.mkdir()
    ss.write_survey(survey, target)
    old = target.read_bytes()
    ended, found = in_child(lambda: _bytes_full(len(old), lambda: ss.write_survey(survey, target), target, old))
    assert ended == 0
    assert found == []


def _bytes_full(whole: int, write: Callable[[], object], target: Path, old: bytes) -> list[str]:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wrong = []
    for missing in (1, 7, 8, 60, 500, 2000, 4095):
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole - missing, hard))
        try:
            write()
            wrong.append(f"{missing} bytes are missing, and nothing was said")
        except ss.SurveySimError:
            pass
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        if target.read_bytes() != old:
            wrong.append(f"{missing} bytes are missing, and the old file is lost")
    return wrong
