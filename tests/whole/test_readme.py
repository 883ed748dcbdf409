"""The README: its code runs, its commands exist, and its numbers are those of the demo."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import surveysim as ss
from surveysim import demo
from tests.support.pages import PROJECT, Block, blocks, prose, run_page
from tests.whole.test_cli import ON_A_PAGE

README = PROJECT / "README.md"
SHELLS = ("sh", "powershell")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SUMMARY = PROJECT / "docs" / "figures" / "demo_summary.json"


def _commands() -> list[str]:
    found = [block.text for block in blocks(README) if block.language in SHELLS]
    return [line.split("#")[0].strip() for text in found for line in text.splitlines() if line.split("#")[0].strip()]


def _targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def _check_pip(words: list[str]) -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for word, follower in zip(words, [*words[1:], ""], strict=True):
        if word in ("-c", "--constraint"):
            assert (PROJECT / follower).is_file(), follower
        for extra in re.findall(r"\[([\w,]+)\]", word):
            assert set(extra.split(",")) <= set(declared), extra


def _check_demo(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo.main(["--help"])
    assert stopped.value.code == 0
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= known


def test_the_readme_begins_with_a_sentence_a_figure_and_a_number_then_doors_and_an_example() -> None:
    first, printed = blocks(README)[:2]
    assert (first.language, printed.language) == ("python", "text")
    assert len([line for line in first.text.splitlines() if line.strip()]) <= 12, "ten lines and the imports"
    head = "\n".join(README.read_text(encoding="utf-8").splitlines()[1 : first.line - 1])
    sentence, figure, _, number, *_ = head.strip().split("\n\n")
    assert len(sentence) < 300
    assert sentence.count(". ") == 0, "one sentence"
    shown = re.fullmatch(r"!\[[^\]]{40,}\]\((docs/figures/[\w-]+\.png)\)", figure)
    assert shown, "the figure has a description of its own"
    assert (PROJECT / shown[1]).stat().st_size < 150_000
    assert number.startswith("**Of 100 answers of a group")
    assert re.findall(r"^- \*\*\[(.+?)\]", head, flags=re.MULTILINE) == ["I have a survey", "I come from R", "I have a model"]


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    names = run_page(README, tmp_path)
    plt.close("all")
    assert (tmp_path / "by_background.png").stat().st_size > 10_000
    error = names["summary"].query("metric == 'wasserstein'").set_index("source").estimate
    assert 1.5 * error["dsa"] < error["raw"], "what the example is there to show"
    assert error["dsa"] < 1.1 * error["mrp"]
    _check_printed(blocks(README)[1].text.splitlines(), capsys.readouterr().out.splitlines())
    _check_number(names)


def _check_printed(said: list[str], printed: list[str]) -> None:
    """The page shows what the first block prints; processors differ in the third digit of a language model's error."""
    for there, here in zip(said, printed[: len(said)], strict=True):
        assert NUMBER.sub("0", here).split() == NUMBER.sub("0", there).split()
        assert [float(one) for one in NUMBER.findall(here)] == pytest.approx([float(one) for one in NUMBER.findall(there)], abs=0.0021)


def _check_number(names: dict[str, Any]) -> None:
    """The answers of a hundred in a wrong option, by each of its opponents and by chance alone."""
    error = names["summary"].query("metric == 'total_variation'").set_index("source").estimate
    floor = ss.noise_floor(names["truth"], n=float("inf"), codebook=names["survey"].codebook).query("metric == 'total_variation'").estimate
    said = re.search(r"Of 100 answers.+?, (\d+) are.+?, (\d+) by.+?(\d+) by.+?it (\d+) at", README.read_text(encoding="utf-8"), re.DOTALL)
    assert said, "the number with its opponents"
    assert [int(one) for one in said.groups()] == [round(100 * one) for one in (*error[["raw", "mrp", "dsa"]], floor.mean())]


@pytest.mark.parametrize("command", _commands())
def test_its_commands_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command.replace("\\", "/"))
    if words[0] == "make":
        assert set(words[1:]) <= _targets()
    elif words[:4] == ["python", "-m", "pip", "install"]:
        _check_pip(words[4:])
    elif words[:3] == ["python", "-m", "surveysim.demo"]:
        _check_demo(words[3:], capsys)
    elif words[0] == "surveysim" or words[:3] == ["python", "-m", "surveysim"]:
        assert command in ON_A_PAGE, "the command runs in tests/whole/test_cli.py"
    else:
        assert command in ("python -m venv .venv", ".venv\\Scripts\\activate", "python -m pytest"), f"nothing checks {command!r}"


def test_every_block_says_what_it_is() -> None:
    def known(block: Block) -> bool:
        return block.language in ("python", "text", "bibtex", *SHELLS) and not block.not_run

    assert [str(block) for block in blocks(README) if not known(block)] == []


def test_its_table_is_the_demo_s() -> None:
    """A row of the README is a row of ``demo-output/summary.json``, kept in ``docs/figures`` with the figure of the same run."""
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
    rows = dict(re.findall(r"^\| ([\w -]+?) \| ([^|]+ \| [^|]+) \|$", prose(README), flags=re.MULTILINE))
    expected = {
        name: [scores["wasserstein"], *scores["wasserstein_interval"], scores["total_variation"], *scores["total_variation_interval"]]
        for name, scores in summary["methods"].items()
    }
    expected["noise floor"] = [summary["noise_floor"]["wasserstein"], summary["noise_floor"]["total_variation"]]
    for name, numbers in expected.items():
        printed = [float(number) for number in re.findall(r"[0-9.]+", rows[name])]
        assert printed == pytest.approx(numbers, abs=6e-5), name  # four digits there, five in the summary


def test_it_says_what_the_demo_was_run_with() -> None:
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
    text = prose(README)
    for number in (summary["n_train"], summary["n_truth"], summary["n_questions"], summary["n_backgrounds"]):
        assert f"{number:,} " in text, number
    assert f"seed {summary['seed']}" in text


def test_the_order_of_methods_in_the_table_is_that_of_their_scores() -> None:
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))["methods"]
    order = pd.Series({name: scores["wasserstein"] for name, scores in summary.items()}).sort_values().index
    text = prose(README)
    places = [text.index(f"| {name} |") for name in order]
    assert places == sorted(places)
