"""When memory runs out: tell it from other errors, and halve what is worked on at once."""

from __future__ import annotations

import logging

import torch

from surveysim.errors import ModelError

log = logging.getLogger(__name__)

IN_WORDS = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")  # as the CPU's allocators say it


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in IN_WORDS)


def halve(at_once: int, error: BaseException, doing: str) -> int:
    """Return half of the backgrounds that were worked on at once when `error` came, and say so.

    Raises
    ------
    ModelError
        If a single background is too much already.
    Exception
        `error` itself, where it is of another kind.
    """
    if not is_out_of_memory(error):
        raise error
    if at_once <= 1:
        raise ModelError(
            f"{doing}: memory runs out with a single background; use dtype='bfloat16', device='cpu', or a smaller model"
        ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    log.warning("%s: out of memory with %d backgrounds at once; going on with %d", doing, at_once, -(-at_once // 2))
    return -(-at_once // 2)
