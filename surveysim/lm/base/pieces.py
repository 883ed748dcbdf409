"""Pieces of one job on several threads of this process, each computing by itself: none waits for another's share of every product.

torch cuts each single operation in as many parts as it has threads, and waits after each for the slowest: beside another busy
process all wait for the thread that shares its core. Pieces are larger, a free thread takes the next, and what a piece gives does
not depend on how many threads there are.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

from surveysim.lm.base.spare_cores import full_threads

Piece = TypeVar("Piece")
Found = TypeVar("Found")

AT_ONCE = 8  # pieces: each holds keys and values of its tokens in all layers, a GB in a model of seven billion weights


def in_pieces(work: Callable[[Piece], Found], pieces: Iterable[Piece], *, device: torch.device) -> Iterator[Found]:
    """Yield what `work` gives for each piece, in their order, as many at once as the caller has threads; one after the other on a GPU.

    At most `AT_ONCE` are at work; where there are more threads, each piece has several. Pieces are taken as threads come free, and no
    more results wait than are at work. `work` runs with gradients on or off as the caller has them, and may change nothing that two
    pieces share.

    Parameters
    ----------
    work : callable
        Of one piece.
    pieces : iterable
        Taken in the caller's thread.
    device : torch.device
        Where `work` computes.

    Raises
    ------
    Exception
        What `work` raises, where its result would have come; pieces that have not begun by then are not begun.

    Examples
    --------
    >>> import torch
    >>> from surveysim.lm.base.pieces import in_pieces
    >>> list(in_pieces(lambda number: number**2, [1, 2, 3], device=torch.device("cpu")))
    [1, 4, 9]
    """
    threads = full_threads() if device.type == "cpu" else 1
    if threads == 1:
        yield from map(work, pieces)
        return
    at_once = min(threads, AT_ONCE)
    workers, gradients = _workers(at_once, threads // at_once), torch.is_grad_enabled()
    waiting: deque[Future[Found]] = deque()
    try:
        for piece in pieces:
            waiting.append(workers.submit(_done, work, piece, gradients))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for future in waiting:  # what has begun is at work on the caller's tensors
            if not future.cancelled():
                future.exception()


def _done(work: Callable[[Piece], Found], piece: Piece, gradients: bool) -> Found:
    with torch.set_grad_enabled(gradients):
        return work(piece)


@cache
def _workers(at_once: int, each: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(at_once, "surveysim", initializer=_compute_with, initargs=(each,))


def _compute_with(threads: int) -> None:
    """Give this thread's own operations so many threads; those of all others keep theirs."""
    torch.get_num_threads()  # torch sets a new thread's number when it is first asked
    for library in ThreadpoolController().select(user_api="openmp").lib_controllers:
        library.set_num_threads(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)  # threads are not forked
