"""Several threads and several processes on one empty cache give what one alone gives, bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
import torch

import surveysim as ss
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_survey

ROUNDS, AT_ONCE = 20, 4


def _shares(model: ss.OptionModel, survey: ss.Survey) -> np.ndarray:
    return ss.simulate(survey, TRAITS, model=model, method="zero-shot", progress=False)["share"].to_numpy()


def _alone(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setenv("SURVEYSIM_CACHE", str(cache / "alone"))
    return _shares(load_tiny(folder), opinion_survey())


def test_threads_that_share_a_model_and_an_empty_cache(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, survey = _alone(tiny_folder, tmp_path, monkeypatch), opinion_survey()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(ROUNDS):
            monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / str(number)))
            model, together = load_tiny(tiny_folder), threading.Barrier(AT_ONCE)
            found = [
                threads.submit(lambda model=model, together=together: (together.wait(), _shares(model, survey))) for _ in range(AT_ONCE)
            ]
            for future in found:
                np.testing.assert_array_equal(future.result()[1], expected)
            np.testing.assert_array_equal(_shares(model, survey), expected, err_msg="what the threads left in the cache")


def _process(folder: Path, cache: Path, torch_threads: int, together: Barrier, said: Connection) -> None:
    torch.set_num_threads(torch_threads)
    model, survey = load_tiny(folder), opinion_survey()
    for number in range(ROUNDS):
        os.environ["SURVEYSIM_CACHE"] = str(cache / str(number))
        together.wait(timeout=120)
        said.send(_shares(model, survey))


def test_processes_that_share_an_empty_cache(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _alone(tiny_folder, tmp_path, monkeypatch)
    context = multiprocessing.get_context("spawn")
    together, pipes = context.Barrier(AT_ONCE), [context.Pipe(duplex=False) for _ in range(AT_ONCE)]
    given = (tiny_folder, tmp_path, torch.get_num_threads(), together)
    processes = [context.Process(target=_process, args=(*given, theirs)) for _, theirs in pipes]
    for process in processes:
        process.start()
    for _, theirs in pipes:
        theirs.close()
    for _ in range(ROUNDS):
        for ours, _ in pipes:
            np.testing.assert_array_equal(ours.recv(), expected)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    model, survey = load_tiny(tiny_folder), opinion_survey()
    for number in range(ROUNDS):
        monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / str(number)))
        np.testing.assert_array_equal(_shares(model, survey), expected, err_msg="what the processes left in the cache")
