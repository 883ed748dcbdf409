"""Several processes that share the work of one model: ``torchrun`` or ``accelerate launch`` starts them, each with the same script.

Every process has the whole model (or its part of it, on its own GPU) and goes through the same steps. A question belongs to one of
them, which runs the trunk over its prompts and gives the others what they need; gradients are summed over all, so that all train alike.
Alone, a process has every question, and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TypeVar

import psutil
import torch
from torch import Tensor, nn

Item = TypeVar("Item")
LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # in the environment of what `accelerate launch` starts
PATIENCE = timedelta(days=1)  # a process may wait that long for another, whose questions are longer


def n_processes() -> int:
    """Return how many processes share the work; the first call in each of several joins them."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not torch.distributed.is_available():
        _warn_if_alone()
        return 1
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(timeout=PATIENCE)  # gloo for the CPU, NCCL for GPUs
        atexit.register(_leave)
    return torch.distributed.get_world_size()


@cache
def _warn_if_alone() -> None:
    """Say that ``accelerate launch`` started one process where more were asked for, as it does with ``--cpu``, or without several GPUs."""
    if LAUNCHED not in os.environ or "WORLD_SIZE" in os.environ:
        return
    asked = asked_processes(_parents_words())
    if asked > 1:
        warnings.warn(
            f"accelerate launch was asked for {asked} processes and started one: it starts several for several GPUs (--multi_gpu), "
            f"with --cpu only under MPI. All work is done by this one. Use: torchrun --standalone --nproc_per_node {asked} <script>",
            stacklevel=2,
        )


def asked_processes(words: Sequence[str]) -> int:
    """Return the number of processes that the words of an ``accelerate launch`` ask for; 1 where they do not say.

    Examples
    --------
    >>> from surveysim.lm.base.parallel import asked_processes
    >>> asked_processes(["accelerate", "launch", "--cpu", "--num_processes", "2", "script.py"])
    2
    """
    if "launch" not in words and not any("accelerate" in word for word in words):
        return 1
    pairs = [
        word.partition("=")[::2] if "=" in word else (word, following) for word, following in zip(words, [*words[1:], ""], strict=True)
    ]
    found = [value for name, value in pairs if name.replace("-", "_") == "__num_processes" and value.isdecimal()]
    return int(found[-1]) if found else 1


def _parents_words() -> list[str]:
    """Return the command line of the process that started this one, empty where it cannot be read."""
    try:
        return list(psutil.Process(os.getppid()).cmdline())
    except (OSError, psutil.Error):
        return []


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def rank() -> int:
    """Return this process's number, from 0."""
    return torch.distributed.get_rank() if n_processes() > 1 else 0


def is_main() -> bool:
    """Say whether this is the process that writes files and shows bars: the only one, or the first of those that share the work.

    Returns
    -------
    bool

    References
    ----------
    Processes that torchrun starts, https://docs.pytorch.org/docs/stable/elastic/run.html.

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.is_main()
    True
    """
    return rank() == 0


def own_gpu() -> int:
    """Return the number of this process's GPU on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def own(items: Mapping[str, Item], among: Iterable[str] | None = None) -> dict[str, Item]:
    """Return the items that belong to this process: every n-th of all names, `among` (default: the items' own)."""
    names = list(items if among is None else among)
    mine = set(names[rank() :: n_processes()])
    return {name: item for name, item in items.items() if name in mine}


def exchange(found: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]], like: Tensor) -> dict[str, Tensor]:
    """Give every process the tensors of all: `found` are this one's own.

    Parameters
    ----------
    found : mapping of str to Tensor
        As of `own`.
    shapes : mapping of str to sequence of int
        Of all tensors, in the order that `own` counted.
    like : Tensor
        Number type and device of all of them.
    """
    count = n_processes()
    if count == 1:
        return dict(found)
    everything = {}
    for number, (name, shape) in enumerate(shapes.items()):
        tensor = found[name].contiguous() if name in found else torch.empty(tuple(shape), dtype=like.dtype, device=like.device)
        torch.distributed.broadcast(tensor, number % count)
        everything[name] = tensor
    return everything


def share_modules(modules: Mapping[str, nn.Module]) -> None:
    """Give every process the parameters of modules that others have fitted; a module belongs to whom `own` gave its name."""
    if n_processes() == 1:
        return
    for number, module in enumerate(modules.values()):
        for parameter in module.parameters():
            torch.distributed.broadcast(parameter.data, number % n_processes())


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add the processes' gradients up; a process without one counts as zero."""
    if n_processes() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        torch.distributed.all_reduce(parameter.grad)


def summed(value: float) -> float:
    """Return the sum of a number over the processes."""
    if n_processes() == 1:
        return value
    gathered = torch.tensor(value, dtype=torch.float64)
    torch.distributed.all_reduce(gathered)
    return float(gathered)


def wait() -> None:
    """Let every process come as far as this."""
    if n_processes() > 1:
        torch.distributed.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """Let the main process do something alone, such as a download; the others follow, and find it done."""
    if not is_main():
        wait()
    yield
    if is_main():
        wait()
