"""Pieces of work on several threads: in order, each on one thread, as the caller has gradients, and stopped where one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from surveysim.lm.base.pieces import AT_ONCE, in_pieces

CPU = torch.device("cpu")


@pytest.fixture
def three_threads(several_threads: Callable[[int], None]) -> None:
    several_threads(3)


@pytest.mark.usefixtures("three_threads")
def test_results_come_in_order_from_threads_that_compute_by_themselves() -> None:
    def work(number: int) -> tuple[int, str, int]:
        time.sleep(0.02 * (number == 0))  # the first is the last to be done
        return number, threading.current_thread().name, torch.get_num_threads()

    found = list(in_pieces(work, range(12), device=CPU))
    assert [number for number, _, _ in found] == list(range(12))
    assert {threads for _, _, threads in found} == {1}
    assert len({name for _, name, _ in found}) > 1
    assert torch.get_num_threads() == 3


def test_of_many_threads_several_work_on_a_piece(several_threads: Callable[[int], None]) -> None:
    several_threads(2 * AT_ONCE + 1)
    found = list(in_pieces(lambda _: (threading.current_thread().name, torch.get_num_threads()), range(4 * AT_ONCE), device=CPU))
    assert {threads for _, threads in found} == {2}
    assert len({name for name, _ in found}) <= AT_ONCE


def test_one_thread_or_another_device_works_in_the_callers_thread(three_threads: None) -> None:
    def name(_: int) -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert set(in_pieces(name, range(3), device=torch.device("cuda"))) == {here}
    torch.set_num_threads(1)
    assert set(in_pieces(name, range(3), device=CPU)) == {here}


@pytest.mark.usefixtures("three_threads")
def test_gradients_are_on_or_off_as_the_caller_has_them() -> None:
    def grown(_: int) -> bool:
        return torch.is_grad_enabled()

    assert all(in_pieces(grown, range(4), device=CPU))
    with torch.no_grad():
        assert not any(in_pieces(grown, range(4), device=CPU))


@pytest.mark.usefixtures("three_threads")
def test_a_piece_that_fails_is_raised_in_its_place_and_ends_the_rest() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 4:
            raise RuntimeError("the fifth piece")
        return number

    taken = iter(range(1000))
    results = in_pieces(work, taken, device=CPU)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="the fifth piece"):
        next(results)
    assert len(begun) < 20
    assert next(taken) < 20  # the rest was not even asked for


@pytest.mark.usefixtures("three_threads")
def test_whoever_stops_early_waits_for_what_has_begun() -> None:
    at_work = []

    def work(number: int) -> int:
        at_work.append(number)
        time.sleep(0.02)
        at_work.remove(number)
        return number

    results = in_pieces(work, range(100), device=CPU)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert at_work == []


@pytest.mark.usefixtures("three_threads")
def test_results_do_not_pile_up_before_whoever_takes_them() -> None:
    asked = []

    def pieces() -> Iterator[int]:
        for number in range(50):
            asked.append(number)
            yield number

    for taken, _ in enumerate(in_pieces(lambda number: number, pieces(), device=CPU)):
        assert len(asked) <= taken + 5
