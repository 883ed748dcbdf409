"""A survey file in a child process: the same answers, and what would end or hold up the session is an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import ReadError
from surveysim.files import isolated
from surveysim.files.readers import read_columns
from tests.support import synthetic

resource = pytest.importorskip("resource")  # limits are a matter of Unix
EXAMPLE = Path(ss.__file__).parent / "data" / "nonvoters2020.sav"
MARK = b"this file is marked"
WAYS = {
    "crash": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"marked\.sav cannot be read: the reader crashed \(signal 11\)"),
    "abort": ("import os; os.abort()", r"the reader crashed \(signal 6\)"),
    "hang": ("import time; time.sleep(60)", r"marked\.sav was not read within 1 s"),
    "grow": ("x = bytearray(asked['memory'] * 2)", r"the reader needs more than 2 GB"),
    "fail": ("raise KeyError('x')", r"the reader failed \(\"KeyError: 'x'\"\)"),
    "babble": ("print('{'); raise SystemExit(0)", r"no answer that can be followed"),
}


def _written(suffix: str, folder: Path) -> Path:
    if suffix == ".por":
        return synthetic.write_portable(folder / "x.por", records="87/88/")
    survey = ss.load_example("nonvoters2020")
    return ss.write_survey(survey, folder / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".sav", ".zsav", ".dta", ".por"])
def test_every_column_label_and_missing_code_is_the_same(suffix: str, tmp_path: Path) -> None:
    path = _written(suffix, tmp_path)
    here, there = read_columns(path), read_columns(path, isolated=True)
    assert list(here.columns) == list(there.columns)
    assert len(here.columns) >= 1
    assert (here.n_rows, here.variables, here.notes, here.known) == (there.n_rows, there.variables, there.notes, there.known)
    for name, column in here.columns.items():
        assert np.asarray(column).dtype == np.asarray(there.columns[name]).dtype
        pd.testing.assert_series_equal(pd.Series(column), pd.Series(there.columns[name]))


def test_a_survey_is_the_same_and_so_are_its_errors(tmp_path: Path) -> None:
    here, there = (ss.read_survey(EXAMPLE, isolated=apart) for apart in (False, True))
    pd.testing.assert_frame_equal(here.data, there.data)
    pd.testing.assert_frame_equal(here.reasons, there.reasons)
    cut = tmp_path / "nonvoters2020.sav"
    cut.write_bytes(EXAMPLE.read_bytes()[:-5000])
    said = []
    for apart in (False, True):
        with pytest.raises(ReadError, match=r"truncated") as caught:
            ss.read_survey(cut, isolated=apart)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are a matter of Unix")
@pytest.mark.parametrize(("does", "message"), WAYS.values(), ids=WAYS)
def test_what_a_marked_file_does_is_an_error(does: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        isolated.CHILD.read_text().replace(
            "    sys.stdout.write(", f"    if {MARK!r} in open(asked['path'], 'rb').read():\n        {does}\n    sys.stdout.write("
        )
    )
    monkeypatch.setattr(isolated, "CHILD", child)
    assert len(ss.read_survey(EXAMPLE, questions=["Q8_8"], isolated=True)) == 5836, "a file without the mark is read"
    monkeypatch.setattr(isolated, "SECONDS", 1 if "sleep" in does else 60)
    marked = tmp_path / "marked.sav"
    marked.write_bytes(EXAMPLE.read_bytes() + MARK)
    with pytest.raises(ReadError, match=message):
        ss.read_survey(marked, "nonvoters2020", isolated=True)


def test_the_child_needs_no_pandas_and_half_a_second() -> None:
    asked = {"usecols": ["Q8_8", "weight"], "user_missing": True}
    code = f"import sys; from surveysim.files.isolated_child import answer; answer('read_sav', {str(EXAMPLE)!r}, {asked!r}); "
    done = subprocess.run([sys.executable, "-c", code + "print('pandas' in sys.modules)"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ss.read_survey(EXAMPLE, questions=["Q8_8"], traits=["gender"], isolated=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.5, "seconds of the processor"


def test_describe_reads_in_a_child(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from surveysim.cli import main

    asked = []
    original = subprocess.run

    def run(command: list[str], **options: object) -> object:
        asked.append(json.loads(options["input"])["function"])
        return original(command, **options)

    monkeypatch.setattr(isolated.subprocess, "run", run)
    assert main(["describe", str(EXAMPLE), "--questions", "Q8_8"]) == 0
    assert asked == ["read_sav"]
    assert main(["describe", str(EXAMPLE), "--questions", "Q8_8", "--not-isolated"]) == 0
    assert asked == ["read_sav"]
    assert "Q8_8" in capsys.readouterr().out
