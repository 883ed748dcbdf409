"""llama.cpp's side of ``make bench-speed PEERS=1``: prompts -> logits of the answers' tokens. Runs in .venv-peers, apart from surveysim.

`shared_openings` and `distinct_tokens` lay the prompts out as sequences; everything else is calls of llama.cpp. Only these are timed:
batches lie ready before the clock starts, and one step has run.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Tokens = tuple[int, ...]
KEEP_ALL = -1
MOST_SEQUENCES = 256  # LLAMA_MAX_SEQ
CELLS = 256  # llama.cpp sees its memory in such portions


class Prompt(NamedTuple):
    """A prompt: what all prompts of its question begin with, and how it goes on."""

    opening: Tokens
    suffix: Tokens


class Step(NamedTuple):
    """One call of ``llama_decode`` and what goes before it.

    `kept`: so many positions of sequence 0 stay in memory, and nothing else (`KEEP_ALL`: everything stays). `copies`: from which
    sequence to which, and how many positions. A token stands in all the sequences that it belongs to. `answers`: place of a token in
    the step, and the prompt whose last token it is.
    """

    kept: int
    copies: list[tuple[int, int, int]]
    tokens: list[int]
    positions: list[int]
    sequences: list[list[int]]
    answers: list[tuple[int, int]]


def shared_openings(prompts: Sequence[Prompt], at_once: int) -> list[Step]:
    """Every opening is read once for the prompts that are in memory together, and copied; every suffix is read whole."""
    steps = []
    for start in range(0, len(prompts), at_once):
        group = prompts[start : start + at_once]
        first = {prompt.opening: number for number, prompt in reversed(list(enumerate(group)))}
        openings = [(token, at, [number]) for opening, number in first.items() for at, token in enumerate(opening)]
        steps.append(Step(0, [], *map(list, zip(*openings, strict=True)), []))
        copies = [(first[one.opening], number, len(one.opening)) for number, one in enumerate(group) if first[one.opening] != number]
        suffixes = [(token, len(one.opening) + at, [number]) for number, one in enumerate(group) for at, token in enumerate(one.suffix)]
        ends = np.cumsum([len(one.suffix) for one in group]) - 1
        answers = [(int(end), start + number) for number, end in enumerate(ends)]
        steps.append(Step(KEEP_ALL, copies, *map(list, zip(*suffixes, strict=True)), answers))
    return steps


def distinct_tokens(prompts: Sequence[Prompt], at_once: int) -> list[Step]:
    """Every token is read once for all prompts in memory together that begin with it; their common beginning stays for the next."""
    steps, before = [], ()
    for start in range(0, len(prompts), at_once):
        group = [prompt.opening + prompt.suffix for prompt in prompts[start : start + at_once]]
        kept = min(_shared([before, *group]), min(map(len, group)) - 1)
        step = Step(kept, [(0, number, kept) for number in range(1, len(group))] if kept else [], [], [], [], [])
        places: dict[tuple[int, int], int] = {}
        for number, prompt in enumerate(group):
            place = -1
            for at in range(kept, len(prompt)):
                place = places.setdefault((place, prompt[at]), len(places))
                if place == len(step.tokens):
                    step.tokens.append(prompt[at])
                    step.positions.append(at)
                    step.sequences.append([])
                step.sequences[place].append(number)
            step.answers.append((place, start + number))
        steps.append(step)
        before = group[0]
    return steps


LAYOUTS = {"openings": shared_openings, "distinct": distinct_tokens}


def _shared(sequences: Sequence[Tokens]) -> int:
    first, last = min(sequences), max(sequences)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def cells(steps: Sequence[Step]) -> int:
    """How many tokens are in memory at most, in whole portions."""
    most = held = 0
    for step in steps:
        held = (held if step.kept == KEEP_ALL else step.kept) + len(step.tokens)
        most = max(most, held)
    return -(-most // CELLS) * CELLS


def batch_of(step: Step) -> tuple[Any, list[np.ndarray]]:
    """A step's tokens as llama.cpp takes them, and the arrays that the batch points into."""
    import llama_cpp

    flat = np.array([sequence for held in step.sequences for sequence in held], dtype=np.int32)
    counts = np.array([len(held) for held in step.sequences], dtype=np.int32)
    starts = np.cumsum(counts) - counts
    addresses = (flat.ctypes.data + starts * flat.itemsize).astype(np.uintp)
    wanted = np.zeros(len(counts), dtype=np.int8)
    wanted[[place for place, _ in step.answers]] = 1
    tokens, positions = (np.array(values, dtype=np.int32) for values in (step.tokens, step.positions))
    arrays = {"token": tokens, "pos": positions, "n_seq_id": counts, "seq_id": addresses, "logits": wanted}
    kinds = dict(llama_cpp.llama_batch._fields_)
    pointers = {name: ctypes.cast(array.ctypes.data, kinds[name]) for name, array in arrays.items()}
    return llama_cpp.llama_batch(n_tokens=len(counts), **pointers), [flat, *arrays.values()]


def make_context(job: dict[str, Any], steps: Sequence[Step]) -> tuple[Any, Any]:
    """Load the model and make room for the steps."""
    import llama_cpp

    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(job["model"].encode(), parameters)
    room = llama_cpp.llama_context_default_params()
    room.n_ctx = cells(steps)
    room.n_batch = max(len(step.tokens) for step in steps)
    room.n_ubatch = min(job["tokens_at_once"], room.n_batch)
    room.n_seq_max = room.n_outputs_max = min(MOST_SEQUENCES, job["prompts_at_once"])
    room.n_threads = room.n_threads_batch = job["threads"]
    room.flash_attn_type = int(job["flash"])
    room.type_k = room.type_v = {"f32": llama_cpp.GGML_TYPE_F32, "f16": llama_cpp.GGML_TYPE_F16}[job["memory"]]
    room.kv_unified = True
    room.no_perf = True
    context = llama_cpp.llama_init_from_model(model, room) if model else None
    if not context:
        raise RuntimeError("llama.cpp could not load the model, or make room for it")
    return model, context


def decode(context: Any, step: Step, batch: Any) -> None:
    """Bring the memory into the state that the step begins with, and run it."""
    import llama_cpp

    memory = llama_cpp.llama_get_memory(context)
    if step.kept == 0:
        llama_cpp.llama_memory_clear(memory, False)
    elif step.kept != KEEP_ALL:
        llama_cpp.llama_memory_seq_keep(memory, 0)
        llama_cpp.llama_memory_seq_rm(memory, 0, step.kept, -1)
    for source, target, length in step.copies:
        llama_cpp.llama_memory_seq_cp(memory, source, target, 0, length)
    code = llama_cpp.llama_decode(context, batch)
    if code:
        raise RuntimeError(f"llama_decode returned {code} for {len(step.tokens)} tokens")


def run(job: dict[str, Any]) -> tuple[dict[str, Any], list[list[float]]]:
    """Seconds and facts of a run, and every prompt's logits of its choices."""
    import llama_cpp

    prompts = [Prompt(tuple(one["opening"]), tuple(suffix)) for one in job["questions"] for suffix in one["suffixes"]]
    choices = [one["choices"] for one in job["questions"] for _ in one["suffixes"]]
    steps = LAYOUTS[job["layout"]](prompts, job["prompts_at_once"])
    model, context = make_context(job, steps)
    ready = [(step, *batch_of(step)) for step in steps]
    decode(context, ready[0][0], ready[0][1])
    llama_cpp.llama_synchronize(context)
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), False)
    clock = time.process_time if job["clock"] == "cpu" else time.perf_counter
    found: list[list[float]] = [[] for _ in prompts]
    start = clock()
    for step, batch, _ in ready:
        decode(context, step, batch)
        for place, prompt in step.answers:
            logits = llama_cpp.llama_get_logits_ith(context, place)
            found[prompt] = [logits[token] for token in choices[prompt]]
    llama_cpp.llama_synchronize(context)
    seconds = clock() - start
    facts = {"seconds": seconds, "tokens": sum(len(step.tokens) for step in steps), "steps": len(steps)}
    facts |= {"version": llama_cpp.__version__, "system": llama_cpp.llama_print_system_info().decode()}
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return facts, found


def main() -> None:
    """Run the job of a JSON file; write what came of it into another."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    facts, logits = run(job)
    Path(sys.argv[2]).write_text(json.dumps({**facts, "logits": logits}), encoding="utf-8")


if __name__ == "__main__":
    main()
