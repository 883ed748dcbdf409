"""How torch's threads wait for each other: briefly awake, then asleep, so that a busy machine is not kept busy by waiting."""

from __future__ import annotations

import logging
import os
import sys

log = logging.getLogger(__name__)

SPINS = 10_000  # turns that a thread of libgomp stays awake for more work: some ten microseconds; its own default is 300,000
SPIN_TIME = 1  # milliseconds, of LLVM's and Intel's OpenMP; their own default is 200
SAID_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_briefly() -> bool:
    """Bound how long threads spin while they wait, if torch is not loaded yet; return whether the bound holds.

    Beside another busy process, threads that spin take the processor from those that they wait for. Nothing changes where the user
    has set one of `SAID_BY_USER`. The number of threads stays as torch, ``OMP_NUM_THREADS`` or `torch.set_num_threads` have it.

    Examples
    --------
    >>> from surveysim.lm.base.waiting import wait_briefly
    >>> wait_briefly() in (True, False)
    True
    """
    if any(name in os.environ for name in SAID_BY_USER):
        return False
    if "torch" in sys.modules:
        log.info(
            "torch was loaded before surveysim: its threads spin while they wait, which is slow beside other busy processes; use surveysim "
            "before you import torch, or set OMP_WAIT_POLICY=passive"
        )
        return False
    os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"] = str(SPINS), str(SPIN_TIME)
    return True
