"""Two processes share an alignment and a simulation, started as a user starts them: they give the shares of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import surveysim as ss
from surveysim.lm.base import parallel
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_survey
from tests.support.tiny import save_tiny_model

SCRIPT = '''
"""Align in two stages and simulate; every process tells what it ran through the trunk and what it got."""

import json
import sys
from pathlib import Path

import surveysim as ss
from surveysim.lm.trunk import activations
from surveysim.lm.base import parallel
from surveysim.lm import answers as streaming
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_survey

folder = Path(sys.argv[1])
ran = []
original = activations.pack_states
activations.pack_states = lambda backbone, pack, known: ran.extend(each.question_id for each in pack) or original(backbone, pack, known)

survey = opinion_survey()
model = load_tiny(folder / "tiny")
sample = ss.response_distributions(survey, by=TRAITS)
stages = (
    ss.StageConfig("option_kl", questions_per_step=4, learning_rate=1e-4),
    ss.StageConfig("pooled_shift", questions_per_step=4, learning_rate=1e-4, level_weight=1.0, head_penalty=0.03),
)
aligned = ss.align(model, sample, survey.codebook, stages=stages, progress=False)
table = ss.simulate(survey, TRAITS, model=aligned, progress=False)
first = ss.align(model, sample, survey.codebook, stages=stages[:1], progress=False)
ss.simulate_to_parquet(survey, TRAITS, folder / "cells.parquet", model=first, progress=False)
saved = aligned.save(folder / "saved", min_n=0)
again = ss.simulate(survey, TRAITS, model=load_tiny(saved), progress=False)

number = parallel.rank()
table.to_parquet(folder / f"shares-{number}.parquet")
again.to_parquet(folder / f"loaded-{number}.parquet")
losses = [[stage["losses"][when] for when in ("before", "heads", "after")] for stage in aligned.recipe["stages"]]
(folder / f"said-{number}.json").write_text(json.dumps({"ran": ran, "processes": parallel.n_processes(), "losses": losses}))
'''
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
QUESTIONS = list(opinion_codebook().questions)


def _run(folder: Path, processes: int) -> Path:
    """Run the script in so many processes, on a tiny model and a cache of its own."""
    folder.mkdir()
    save_tiny_model(folder / "tiny")
    (folder / "script.py").write_text(SCRIPT)
    launch = [*LAUNCH, str(processes)] if processes > 1 else []
    project = str(Path(__file__).parents[3])
    environment = {**os.environ, "SURVEYSIM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "PYTHONPATH": project}
    done = subprocess.run(
        [sys.executable, *launch, str(folder / "script.py"), str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("one") / "run", 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("two") / "run", 2)


def _said(folder: Path, number: int) -> dict:
    return json.loads((folder / f"said-{number}.json").read_text())


def _apart(first: pd.DataFrame, second: pd.DataFrame) -> float:
    keys = ["question_id", "background_id", "option_code", "n"]
    pd.testing.assert_frame_equal(first[keys], second[keys])
    return float((first["share"] - second["share"]).abs().max())


def test_two_processes_give_the_shares_of_one(one: Path, two: Path) -> None:
    assert [_said(two, number)["processes"] for number in (0, 1)] == [2, 2]
    plain = pd.read_parquet(one / "shares-0.parquet")
    for number in (0, 1):
        assert _apart(pd.read_parquet(two / f"shares-{number}.parquet"), plain) < 1e-5
        np.testing.assert_allclose(_said(two, number)["losses"], _said(one, 0)["losses"], rtol=1e-4, atol=1e-6)
    base = ss.simulate(opinion_survey(), TRAITS, model=load_tiny(one / "tiny"), method="zero-shot", progress=False)
    assert _apart(base, plain) > 0.1, "the training must matter for the comparison to say something"


def test_each_question_runs_through_the_trunk_in_one_process_and_is_kept_once(two: Path) -> None:
    assert [_said(two, number)["ran"] for number in (0, 1)] == [QUESTIONS[::2], QUESTIONS[1::2]]
    kept = list((two / "cache" / "activations").iterdir())
    assert len(kept) == len(QUESTIONS)
    assert {path.suffix for path in kept} == {".safetensors"}


def test_what_is_saved_is_saved_once_and_is_the_model_of_one(one: Path, two: Path) -> None:
    assert sorted(path.name for path in two.iterdir() if path.is_dir()) == ["cache", "saved", "tiny"]
    loaded = [pd.read_parquet(two / f"loaded-{number}.parquet") for number in (0, 1)]
    assert all(_apart(table, pd.read_parquet(one / "loaded-0.parquet")) < 1e-5 for table in loaded)
    assert not [path.name for path in two.iterdir() if path.name.startswith(".")]


def test_the_file_of_cells_is_that_of_one(one: Path, two: Path) -> None:
    found, plain = (ss.read_table(folder / "cells.parquet") for folder in (two, one))
    assert _apart(found, plain) < 1e-5
    assert {**found.attrs, "stages": None, "model": None} == {**plain.attrs, "stages": None, "model": None}


def test_alone_a_process_has_every_question_and_joins_nobody() -> None:
    items = {"a": torch.ones(1), "b": torch.zeros(1)}
    assert (parallel.n_processes(), parallel.rank(), parallel.is_main(), parallel.summed(2.5)) == (1, 0, True, 2.5)
    assert parallel.own(items) == items
    assert parallel.exchange(items, {"a": (1,), "b": (1,)}, torch.empty(0)) == items
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("accelerate launch --cpu --num_processes 2 x.py", 2),
        ("python -m accelerate.commands.launch --num-processes=4 x.py", 4),
        ("accelerate launch x.py", 1),
        ("bash --num_processes 2", 1),
        ("accelerate launch --num_processes two x.py", 1),
    ],
)
def test_the_processes_that_accelerate_is_asked_for_are_read_off_its_words(words: str, asked: int) -> None:
    assert parallel.asked_processes(words.split()) == asked


@pytest.mark.parametrize(
    ("how", "started"), [(["--cpu", "--num_processes", "2"], 1), (["--num_machines", "1", "--num_processes", "2", "--multi_gpu"], 2)]
)
def test_accelerate_launch_starts_what_was_asked_for_or_it_is_said_why_not(how: list[str], started: int, tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text(
        "from surveysim.lm.base.parallel import n_processes, rank\n"
        "from pathlib import Path\n"
        f"n_processes(); n_processes(); Path({str(tmp_path)!r}, f'{{rank()}}.txt').write_text(str(n_processes()))\n",
        encoding="utf-8",
    )
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how, "--mixed_precision", "no", str(script)]
    done = subprocess.run(launch, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted((path.name, path.read_text()) for path in tmp_path.glob("*.txt")) == [(f"{n}.txt", str(started)) for n in range(started)]
    said = "accelerate launch was asked for 2 processes and started one"
    assert done.stderr.count(said) == (started == 1)
    assert ("Use: torchrun --standalone --nproc_per_node 2" in done.stderr) == (started == 1)
