"""The command line: every example of its help and its page runs, and bad input gives one line and exit code 2."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import surveysim as ss
from surveysim import cli
from tests.support.pages import PROJECT, blocks

SHOWN = [line.strip() for text in cli.EXAMPLES.values() for line in text.splitlines() if line.strip()]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
ON_A_PAGE = [
    line.split(" #")[0].strip()
    for page in PAGES
    for block in blocks(page)
    if block.language in ("sh", "powershell") and not block.not_run
    for line in block.text.splitlines()
    if re.match(r"([A-Z_]+=\S+ )?(python -m )?surveysim ", line)
]
EXAMPLES = sorted({line for line in [*SHOWN, *ON_A_PAGE] if line})
ONE = ["nonvoters2020", "--by", "gender", "--questions", "Q8_8"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_runs(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    *variables, words = re.fullmatch(r"(?:([A-Z_]+)=(\S+) )?(?:python -m )?(surveysim .*)", line.split(" | ")[0]).groups()
    if variables[0]:
        monkeypatch.setenv(*variables)
    words = shlex.split(words)
    if words[1] == "demo":  # the job itself is run in test_demo.py
        ran: list[dict] = []
        monkeypatch.setattr(cli.demo, "run", lambda **given: ran.append(given))
        assert cli.main(words[1:]) == 0
        assert ran == [{"n_train": 400, "seed": 2020, "output": "demo-output", "model": "smollm2-135m", "progress": True}]
        return
    assert cli.main(words[1:]) == 0
    printed = capsys.readouterr().out
    if "--output" in words and "-" not in words:
        assert Path(words[words.index("--output") + 1]).stat().st_size > 100
    else:
        assert printed.strip()


def test_the_help_shows_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.EXAMPLES:
        with pytest.raises(SystemExit) as stopped:
            cli.main([*name.split(), "--help"])
        assert stopped.value.code == 0
        shown = capsys.readouterr().out
        assert all(line.strip() in shown for line in cli.EXAMPLES[name].splitlines())


def test_simulated_shares_are_those_of_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", *ONE, "--method", "ridge", "--seed", "3", "--quiet", "--output", "shares.csv"]) == 0
    ours = pd.read_csv("shares.csv")
    table = ss.simulate(ss.load_example(), ["gender"], questions=["Q8_8"], method="ridge", seed=3)
    assert ours.share.tolist() == pytest.approx(table.share.tolist(), abs=1e-12)
    assert "SIMULATED (ridge)" in capsys.readouterr().err
    assert cli.main(["simulate", *ONE, "--method", "ridge", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("SIMULATED (ridge)")


def test_a_prior_is_a_table_or_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    survey = ss.load_example()
    earlier, _ = ss.hold_out_respondents(survey, n_train=3000, seed=0)  # stands for a wave of before; the sample itself is refused
    prior = ss.response_distributions(earlier, by=["gender"], questions=["Q8_8"])
    prior.to_csv("prior.csv", index=False)
    ss.write_survey(earlier, "prior.sav")
    ours = {}
    for name in ("prior.csv", "prior.sav"):
        assert cli.main(["simulate", *ONE, "--method", "mrp", "--prior", name, "--quiet", "--output", "shares.csv", "--min-n", "0"]) == 0
        ours[name] = pd.read_csv("shares.csv").share.tolist()
    table = ss.simulate(survey, ["gender"], questions=["Q8_8"], method="mrp", prior=prior)
    assert ours["prior.csv"] == pytest.approx(table.share.tolist(), abs=1e-9)
    assert ours["prior.sav"] == pytest.approx(table.share.tolist(), abs=1e-6)
    capsys.readouterr()
    both = [*ONE, "--method", "mrp", "--prior", "prior.csv", "--prior", "prior.sav", "--quiet"]
    assert cli.main(["simulate", *both]) == 2, "two files of one name"
    prior.to_csv("again.csv", index=False)
    both[-2] = "again.csv"
    assert cli.main(["simulate", *both]) == 0
    assert "prior: prior + again; weights prior 0.50, again 0.50" in capsys.readouterr().out
    assert cli.main(["simulate", *ONE, "--method", "mrp", "--prior", "priro.csv"]) == 2
    assert "priro.csv" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["shares.csv", "shares.parquet", "shares.sav", "shares.dta"])
def test_a_table_is_written_by_its_ending_and_nothing_else_is_left(name: str, own_folder: Path) -> None:
    assert cli.main(["describe", *ONE, "--output", name]) == 0
    facts = [] if name.endswith(".parquet") else [f"{name}.json"]
    assert sorted(path.name for path in own_folder.iterdir()) == [name, *facts]
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "sav": pd.read_spss, "dta": pd.read_stata}[name.split(".")[1]]
    assert len(read(own_folder / name)) == 8


def test_a_table_goes_to_standard_output_as_to_a_file(capsys: pytest.CaptureFixture[str], own_folder: Path) -> None:
    rare = ["describe", "nonvoters2020", "--by", "race", "age6", "education", "income", "--questions", "Q8_8"]
    assert cli.main([*rare, "--output", "shares.csv"]) == 0
    capsys.readouterr()
    assert cli.main([*rare, "--output", "-"]) == 0
    shown = capsys.readouterr()
    assert shown.out == Path("shares.csv").read_text(encoding="utf-8")
    assert "written to standard output" in shown.err
    assert "cells withheld (min_n 10" in shown.err
    words = ["compare", *ONE, "--train-n", "200", "--methods", "raw", "--seeds", "1", "--quiet"]
    assert cli.main([*words, "--output", "-"]) == 0
    shown = capsys.readouterr()
    scores = pd.read_csv(io.StringIO(shown.out))
    assert set(scores["method"]) == {"floor", "fresh sample", "raw"}
    assert "smaller is closer" in shown.err
    assert sorted(path.name for path in own_folder.iterdir()) == ["shares.csv", "shares.csv.json"]


def test_a_reader_that_has_enough_is_no_error() -> None:
    words = [sys.executable, "-m", "surveysim", "describe", "nonvoters2020", "--by", "race", "age6", "education", "income"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()  # as head does, sooner
        assert (running.stderr.read(), running.wait()) == ("", 141)


RARE = ["nonvoters2020", "--by", "race", "age6", "education", "income", "--questions", "Q8_8"]


@pytest.mark.parametrize("words", [["describe", *RARE], ["simulate", *RARE, "--method", "raw", "--quiet"]], ids=["describe", "simulate"])
def test_small_cells_are_withheld_from_a_file_unless_asked_for(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--output", "whole.parquet", "--min-n", "0"]) == 0
    capsys.readouterr()
    assert cli.main([*words, "--output", "shown.parquet"]) == 0
    whole, shown = pd.read_parquet("whole.parquet"), pd.read_parquet("shown.parquet")
    small = whole["n"].between(1, 9)
    assert small.any()
    assert whole["share"].notna().all()
    assert shown.loc[small, ["share", "n"]].isna().all(axis=None)
    assert (shown.loc[small, "suppressed"] != "").all()
    assert shown.loc[shown["suppressed"] == "", "share"].tolist() == whole.loc[shown["suppressed"] == "", "share"].tolist()
    assert (whole.attrs["disclosure"]["min_n"], shown.attrs["disclosure"]["min_n"]) == (0, 10)
    withheld = shown.loc[shown["suppressed"] != "", "background_id"].nunique()
    assert (
        f"{withheld} of {shown['background_id'].nunique()} cells withheld (min_n 10; --min-n 0 withholds none)" in capsys.readouterr().err
    )


def test_scores_are_those_of_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", *ONE, "--train-n", "200", "--methods", "raw", "--seeds", "1", "--quiet", "--output", "scores.parquet"]) == 0
    survey = ss.load_example()
    scores = ss.compare_methods(survey, by=["gender"], train_n=200, methods=["raw"], seeds=1, questions=["Q8_8"], progress=False)
    assert pd.read_parquet("scores.parquet").estimate.tolist() == pytest.approx(scores.estimate.tolist(), abs=1e-12)
    assert "fresh sample" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["describe", "absent.sav"], "file 'absent.sav' does not exist"),
        (["describe", "nonvoters2020", "--by", "gender", "gender", "--questions", "Q8_8"], "error: --by names 'gender' twice"),
        (["describe", *ONE, "--min-n", "-3", "--output", "-"], "error: --min-n -3 must be at least 1"),
        (["compare", *ONE, "--train-n", "100", "--methods", "raw", "--seeds", "0", "--quiet"], "error: --seeds is empty"),
        (["describe", "nonvoters2020", "--draft", "mine.txt"], "error: --draft mine.txt: a codebook's name ends in .toml"),
        (["describe", "nonvoters2020", "--ddi", "study.xml"], "error: --ddi: goes with --draft or --add"),
        (["describe", "nonvoters2020", "--weight", "w"], "error: --weight: the example 'nonvoters2020' has its own codebook"),
        (
            ["describe", "nonvoters2020", "--by", "gendr"],
            "error: --by: codebook 'nonvoters2020' has no trait 'gendr'; did you mean 'gender'",
        ),
        (["describe", "nonvoters2020", "--questions", "Q88"], "has no question 'Q88'; did you mean"),
        (["describe", "nonvoters2020", "--questions", "vote"], "--codebook MINE.toml --add vote asks it"),
        (
            ["simulate", "nonvoters2020", "--by", "sex", "--method", "mrp"],
            "error: --by: codebook 'nonvoters2020' has no trait 'sex'; known",
        ),
        (["simulate", "nonvoters2020", "--by", "Q21", "--method", "mrp"], "error: --by: 'Q21' is a question; by= of survey verbs takes it"),
        (["simulate", *ONE, "--method", "mpr"], "error: --method 'mpr' is unknown; did you mean 'mrp'"),
        (["simulate", *ONE, "--method", "raw", "--output", "shares.xlsx"], "--output shares.xlsx: the ending must be one of .csv .parquet"),
        (["describe", *ONE, "--output", "nowhere/shares.csv"], "folder 'nowhere' does not exist; make it first"),
        (["describe", *ONE, "--output", "nowhere/shares.sav"], "folder 'nowhere' does not exist; make it first"),
        (["compare", *ONE, "--train-n", "9999999", "--methods", "raw", "--quiet"], "--train-n 9,999,999 leaves nobody"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.startswith("surveysim: error: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["describ"], ["simulate", "nonvoters2020"], ["compare", *ONE]])
def test_words_that_are_no_command_end_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    assert "usage: surveysim" in capsys.readouterr().err


def test_a_codebook_can_be_drafted_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    ss.write_survey(ss.load_example(), "mine.sav")
    assert cli.main(["describe", "mine.sav"]) == 2
    assert "no codebook is known" in capsys.readouterr().err
    assert cli.main(["describe", "mine.sav", "--draft", "mine.toml"]) == 0
    assert cli.main(["describe", "mine.sav", "--codebook", "mine.toml"]) == 0
    assert "5,836 respondents" in capsys.readouterr().out


def test_an_interruption_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(**_given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.demo, "run", stop)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "surveysim: interrupted\n"


def test_it_runs_as_a_module_and_is_declared_as_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "surveysim", "describe", "absent.sav"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("surveysim: error: file 'absent.sav' does not exist")
    assert "Traceback" not in done.stderr
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert declared == {"surveysim": "surveysim.cli:main"}
