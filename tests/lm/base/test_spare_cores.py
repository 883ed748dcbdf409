"""As many threads as others leave cores: never against the user, for this thread alone, and looked at again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psutil
import pytest
import torch

from surveysim.lm.base import spare_cores as module
from surveysim.lm.base.spare_cores import full_threads, one_thread, spare_cores

CORES = 4
Busy = Callable[[float], None]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch, several_threads: Callable[[int], None]) -> Busy:
    """A machine of four cores, whose other processes keep as many busy as the test says; torch has a thread a core."""
    state = {"at": 0.0, "everyone": 0.0, "own": 0.0, "busy": 0.0}

    def used() -> tuple[float, float, float]:
        state["at"] += 1.0
        state["own"] += 2.0  # what this process does is no reason for fewer threads
        state["everyone"] += state["busy"] + 2.0
        return state["at"], state["everyone"], state["own"]

    for name in module.SAID_BY_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_usual_numbers", lambda: frozenset({CORES}))
    monkeypatch.setattr(module, "_cores", lambda: list(range(CORES)))
    monkeypatch.setattr(module, "_used", used)
    monkeypatch.setattr(module, "_OTHERS", module._Others())
    monkeypatch.setattr(module, "APART", -1.0)  # every look is a new one
    several_threads(CORES)
    return lambda busy: state.update(busy=busy)


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 4), (0.3, 4), (0.7, 3), (1.0, 3), (2.2, 2), (4.0, 1), (9.0, 1)])
def test_threads_are_as_many_as_others_leave_cores(others: Busy, busy: float, threads: int) -> None:
    others(busy)
    with spare_cores():
        assert torch.get_num_threads() == threads
        assert full_threads() == CORES
    assert torch.get_num_threads() == CORES == full_threads()


def test_a_block_inside_looks_again(others: Busy) -> None:
    others(3.0)
    with spare_cores():
        assert torch.get_num_threads() == 1
        others(0.0)
        with spare_cores():
            assert torch.get_num_threads() == CORES
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == CORES


def test_an_error_leaves_the_number_as_it_was(others: Busy) -> None:
    others(3.0)
    with pytest.raises(ValueError, match="inside"), spare_cores():
        raise ValueError("inside")
    assert torch.get_num_threads() == CORES


def test_other_threads_keep_their_number(others: Busy) -> None:
    others(3.0)
    seen: list[int] = []
    with spare_cores():
        beside = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        beside.start()
        beside.join()
    assert seen == [CORES]


@pytest.mark.parametrize("name", module.SAID_BY_USER)
def test_what_the_environment_says_stands(others: Busy, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, str(CORES))
    others(4.0)
    with spare_cores():
        assert torch.get_num_threads() == CORES


def test_what_was_said_to_torch_stands(others: Busy) -> None:
    torch.set_num_threads(3)  # torch itself takes four
    others(4.0)
    with spare_cores():
        assert torch.get_num_threads() == 3


def test_where_the_system_does_not_say_all_cores_are_used(others: Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> None:
        raise psutil.AccessDenied

    others(4.0)
    monkeypatch.setattr(module, "_used", silent)
    with spare_cores():
        assert torch.get_num_threads() == CORES


def test_one_thread_is_one_and_then_what_it_was(others: Busy) -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == CORES


def test_what_the_machine_says_is_a_time_and_seconds_of_all_and_of_ours() -> None:
    before, after = module._used(), module._used()
    assert all(later >= earlier for earlier, later in zip(before, after, strict=True))
    assert min(after[1:]) > 0
    assert 1 <= module._Others().left() <= len(module._cores())
