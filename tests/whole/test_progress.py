"""Progress: one variable chooses bars, lines, JSON or logging; lines where output is piped; nothing where progress is off."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

import surveysim as ss
from surveysim.progress import VARIABLE, announce, chosen_way, reported
from tests.support.small_surveys import small_survey

FACTS = {"time", "job", "done", "total", "unit", "seconds", "finished"}


def _cross_fitted(**options: object) -> None:
    def raw(part: ss.Survey) -> object:
        return ss.simulate(part, ["gender"], questions=["q1"], method="raw", progress=False)

    ss.cross_fit(small_survey(), raw, by=["gender"], questions=["q1"], folds=4, **options)


def _reads_two_of_five() -> None:
    with reported(label="reading", total=5) as bar:
        bar.update(2)
        raise OSError("broken")


def test_json_lines_in_a_file_say_how_far_each_job_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "run.jsonl"))
    _cross_fitted()
    _cross_fitted(progress=False)
    announce("aligning ü")
    *reports, sentence = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(set(report) == FACTS for report in reports)
    assert {report["job"] for report in reports} == {"cross-fitting"}
    assert [(report["done"], report["total"], report["finished"]) for report in (reports[0], reports[-1])] == [(0, 4, False), (4, 4, True)]
    assert sentence["message"] == "aligning ü"
    assert datetime.fromisoformat(sentence["time"]).utcoffset() is not None
    assert capsys.readouterr().err == ""


def test_json_lines_go_to_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv(VARIABLE, "json")
    assert list(reported("abc", "spelling", unit="letter")) == ["a", "b", "c"]
    with pytest.raises(OSError, match="broken"):
        _reads_two_of_five()
    shown = capsys.readouterr()
    said = [json.loads(line) for line in shown.err.splitlines()]
    assert [(one["job"], one["done"], one["total"], one["unit"], one["finished"]) for one in said] == [
        ("spelling", 0, 3, "letter", False),
        ("spelling", 3, 3, "letter", True),
        ("reading", 0, 5, "it", False),
        ("reading", 2, 5, "it", False),
    ]
    assert shown.out == ""


def test_lines_are_plain_text_and_an_error_has_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chosen_way() == "lines", "nobody looks at a terminal here"
    _cross_fitted()
    with pytest.raises(OSError, match="broken"):
        _reads_two_of_five()
    assert re.fullmatch(r"surveysim: cross-fitting: 4 of 4, \d+ s\n", capsys.readouterr().err)


def test_a_long_job_says_where_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    clock = iter(range(0, 1000, 4))  # seconds between two looks at the clock
    monkeypatch.setattr("surveysim.progress.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setenv(VARIABLE, "lines")
    for _ in reported(range(8), "reading"):
        pass
    said = capsys.readouterr().err.splitlines()
    assert 3 <= len(said) <= 5
    assert said[0].startswith("surveysim: reading: 3 of 8, ")
    assert said[-1].startswith("surveysim: reading: 8 of 8, ")


def test_a_program_that_logs_gets_it_from_logging(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "log")
    with caplog.at_level(logging.INFO, logger="surveysim.progress"):
        _cross_fitted()
        announce("aligning")
    assert {record.name for record in caplog.records} == {"surveysim.progress"}
    done, said = (record.getMessage() for record in caplog.records)
    assert done.startswith("cross-fitting: 4 of 4, ")
    assert said == "aligning"
    assert capsys.readouterr().err == ""


def test_what_is_no_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "jsno")
    with pytest.raises(ss.SurveySimError, match=r"SURVEYSIM_PROGRESS='jsno' is no way to show progress; did you mean 'json'"):
        _cross_fitted()
    monkeypatch.setenv(VARIABLE, "absent/run.jsonl")
    with pytest.raises(ss.SurveySimError, match=r"folder 'absent' does not exist; make it first"):
        _cross_fitted()


COMPARE = ["compare", "nonvoters2020", "--by", "gender", "--questions", "Q8_8", "--train-n", "200", "--methods", "raw", "--seeds", "1"]


def test_the_command_logs_where_it_is_asked_to() -> None:
    command = [sys.executable, "-m", "surveysim", *COMPARE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, VARIABLE: "log"})
    assert re.search(r"^surveysim: comparing: 3 of 3, \d+ s$", done.stderr, re.MULTILINE)
    quiet = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=True, env={**os.environ, VARIABLE: "log"})
    assert "comparing" not in quiet.stderr


def test_lines_of_the_command_are_json_or_begin_with_its_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "surveysim", *COMPARE, "--output", str(tmp_path / "scores.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, VARIABLE: "json"})
    progress = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    others = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert {one["job"] for one in progress if "message" not in one} == {"comparing"}
    assert others
    assert all(line.startswith("surveysim: ") for line in others)


def test_a_piped_command_has_no_bar() -> None:
    plain = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-m", "surveysim", *COMPARE], capture_output=True, text=True, check=True, env=plain)
    assert "surveysim: comparing: 3 of 3" in done.stderr
    assert "\r" not in done.stderr
    assert "|" not in done.stderr
