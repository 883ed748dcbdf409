"""Threads wait briefly, and never against what the user said: each case in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from surveysim.lm.base.waiting import SAID_BY_USER, SPIN_TIME, SPINS

LOOK = "import os, json; print(json.dumps([os.environ.get(name) for name in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')]))"
LOADED_BEFORE = "import logging, torch; logging.basicConfig(level='INFO', format='%(message)s')"


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in (*SAID_BY_USER, "OMP_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_wait_is_bounded_at_first_use_and_not_on_import() -> None:
    assert json.loads(_run(f"import surveysim; {LOOK}").stdout) == [None, None, None]
    assert json.loads(_run(f"import surveysim; surveysim.load_codebook; {LOOK}").stdout) == [None, str(SPINS), str(SPIN_TIME)]


@pytest.mark.parametrize("name", SAID_BY_USER)
def test_what_the_user_said_stands(name: str) -> None:
    said = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "7", "KMP_BLOCKTIME": "3"}[name]
    found = json.loads(_run(f"import surveysim; surveysim.load_codebook; {LOOK}", **{name: said}).stdout)
    assert found == [said if each == name else None for each in SAID_BY_USER]


def test_where_torch_was_loaded_before_it_is_said_and_nothing_set() -> None:
    done = _run(f"{LOADED_BEFORE}; import surveysim; surveysim.load_codebook; {LOOK}")
    assert json.loads(done.stdout) == [None, None, None]
    assert "torch was loaded before surveysim: its threads spin" in done.stderr


@pytest.mark.parametrize("threads", [1, 3, 2 * (os.cpu_count() or 1) + 1])
def test_the_number_of_threads_is_the_users_own_even_above_the_cores(threads: int) -> None:
    load = "import surveysim; surveysim.align"
    counted = "import torch; print(torch.get_num_threads())"
    alone = _run(counted, OMP_NUM_THREADS=str(threads)).stdout  # torch takes no more than there are cores, unless it is told in Python
    assert _run(f"{load}; {counted}", OMP_NUM_THREADS=str(threads)).stdout == alone
    assert int(_run(f"import torch; torch.set_num_threads({threads}); {load}; {counted}").stdout) == threads
