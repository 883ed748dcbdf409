"""How fast the cached trunk is: ``make bench-speed``. All ratios are measured in one run, with equal threads.

Compares plain transformers (every prompt through the whole model, forward and backward, for the same trainable parameters) with
ours (each distinct token once through the trunk, then the last layer at the answer positions). Plain epochs are timed on a few
questions, in the batch size of three that is fastest, and scaled by tokens; the table says so.

``--clock cpu`` takes the processor's time of a single thread in place of the time that passes: for a machine with other work on it.
``--page`` writes the table into docs/benchmarks.md and the figures into docs/benchmarks/speed.json.
``--peers`` adds llama.cpp, which `llama_peer` runs: ``make bench-speed PEERS=1`` installs it first. ``--only-peers`` measures that alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llama_peer
import llama_report
import torch
from marked_sections import write_section

import surveysim as ss
from surveysim.codebook.backgrounds import parse_background_id
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.expected_cost import distinct_tokens
from surveysim.lm.fit.readout import Readout
from surveysim.lm.prompts.words import describe_background
from surveysim.lm.trunk.trees import TOKENS_AT_ONCE, packs
from surveysim.lm.trunk.trunk import pack_states, question_states, read_beginnings

QUESTIONS, TRAITS = 60, ["gender", "age3", "education", "voter"]  # 60 questions x 54 backgrounds
PLAIN_QUESTIONS, PLAIN_ROWS = 3, (9, 18, 54)  # of the plain path, timed and scaled: questions, and backgrounds in a batch
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
NUMBERS = PAGE.parent / "benchmarks" / "speed.json"
clock: Callable[[], float] = time.perf_counter


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    start = clock()
    work()
    return clock() - start


def plain_tokens(questions: list[TokenisedQuestion]) -> int:
    """Tokens of all prompts written out."""
    return sum(len(question.opening) + len(suffix) for question in questions for suffix in question.suffixes)


def plain_batch(question: TokenisedQuestion, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first prompts of a question, padded on the right, and the places of their answers."""
    prompts = [torch.tensor(question.opening + suffix) for suffix in question.suffixes[:rows]]
    tokens = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True)
    return tokens, torch.tensor([len(prompt) - 1 for prompt in prompts])


def plain_step(model: Any, question: TokenisedQuestion, rows: int, *, backward: bool) -> int:
    """One plain forward (and backward) of transformers over some prompts; returns the tokens that it took, padding not counted."""
    tokens, places = plain_batch(question, rows)
    hidden = model.model(tokens).last_hidden_state[torch.arange(len(tokens)), places]
    if backward:
        logits = model.lm_head(hidden)[:, list(question.trie.edges)]
        (-logits.float().log_softmax(-1).mean()).backward()
        model.zero_grad()
    return int(places.sum()) + len(places)


def plain_seconds_per_token(model: Any, questions: list[TokenisedQuestion], *, backward: bool) -> float:
    """Seconds a token of the plain path; the last layer, the norm and the head are trainable."""
    for parameter in (*model.model.layers[-1].parameters(), *model.model.norm.parameters(), *model.lm_head.parameters()):
        parameter.requires_grad_(backward)
    plain_step(model, questions[0], PLAIN_ROWS[0], backward=backward)
    seconds = {rows: [] for rows in PLAIN_ROWS}
    for question in questions[:: -(-len(questions) // PLAIN_QUESTIONS)]:
        for rows in PLAIN_ROWS:
            start = clock()
            tokens = plain_step(model, question, rows, backward=backward)
            seconds[rows].append((clock() - start) / tokens)
    model.requires_grad_(False)
    return min(statistics.median(found) for found in seconds.values())


def read(model: Any, questions: list[TokenisedQuestion]) -> Iterator[Any]:
    """Trunk states of all questions, every distinct token read once; nothing is kept on the disk."""
    known = read_beginnings(model.backbone, questions)
    for pack in packs(questions):
        yield from pack_states(model.backbone, pack, known)


def loaded(dtype: str) -> Any:
    """The default model with its weights in the number type that it computes in: the plain path uses them as they are."""
    model = ss.load_model(dtype=dtype)
    model.backbone.ready()
    return model


def our_simulation(model: Any, questions: list[TokenisedQuestion]) -> tuple[float, llama_peer.Shares]:
    """Seconds from token ids to shares, and the shares."""
    found: llama_peer.Shares = []
    answers = (model.option_shares(*put).numpy() for put in zip(questions, read(model, questions), strict=True))
    return timed(lambda: found.extend(answers)), found


def beside_llama(n_questions: int) -> dict[str, Any]:
    """Figures of llama.cpp beside ours in two number types."""
    models = {dtype: loaded(dtype) for dtype in llama_report.GOALS}
    questions = tokenised(models["float32"], n_questions, TRAITS)
    return llama_peer.compare(models, questions, our_simulation, "wall" if clock is time.perf_counter else "cpu")


def our_epoch(readout: Readout, questions: list[TokenisedQuestion], states: list[Any]) -> None:
    """One epoch of ours on cached states: forward and backward of the same parameters."""
    for question, state in zip(questions, states, strict=True):
        features = readout.features(state.to(torch.device("cpu"), torch.float32))
        (-readout.log_shares(features, question.trie).mean()).backward()
        readout.zero_grad()


def peak_flops(dtype: torch.dtype, size: int = 1536) -> float:
    """Matrix-multiply floating-point operations a second, the best of several, in `dtype`."""
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    left @ right
    return max(2 * size**3 / timed(lambda: left @ right) for _ in range(7))


def trunk_flops(model: Any) -> float:
    """Floating-point operations a token of the trunk: twice its weights; the embedding and the last layer, which do not run, left out."""
    return 2.0 * sum(parameter.numel() for parameter in model.model.layers[:-1].parameters() if parameter.ndim > 1)


def shapes_flops(model: Any, rows: int = TOKENS_AT_ONCE) -> float:
    """Operations a second of the trunk's matrix products alone, one after the other on the rows of a full pass: no norm, no attention."""
    weights = [parameter for parameter in model.model.layers[:-1].parameters() if parameter.ndim > 1]
    inputs = {width: torch.randn(1, rows, width).to(weights[0].dtype) for width in {weight.shape[1] for weight in weights}}

    def products() -> None:
        for weight in weights:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)

    products()
    return trunk_flops(model) * rows / min(timed(products) for _ in range(5))


def tokenised(model: Any, n_questions: int, traits: list[str]) -> list[TokenisedQuestion]:
    """Prompts of the example survey."""
    codebook = ss.load_example().codebook
    grid = ss.background_grid(codebook, by=traits)
    words = {identifier: describe_background(parse_background_id(identifier), codebook) for identifier in grid.background_id}
    return list(model.tokenise(codebook, list(codebook.questions)[:n_questions], words).values())


def growth(sizes: tuple[int, ...] = (300, 3000, 30000)) -> dict[str, dict[str, float]]:
    """Time and peak memory of reading so many prompts, each in a process of its own, on a tiny random model."""
    out = {}
    for prompts in sizes:
        done = subprocess.run([sys.executable, __file__, "--grow", str(prompts)], capture_output=True, text=True, check=True)
        out[str(prompts)] = json.loads(done.stdout.splitlines()[-1])
    return out


def grow(prompts: int) -> None:
    """Predict `prompts` prompts question by question, and print seconds and peak memory."""
    from surveysim.lm.base.backbone import Backbone
    from surveysim.lm.option_model import OptionModel
    from tests.support.tiny import tiny_model, tiny_tokenizer

    model = OptionModel(Backbone(tiny_model(), tiny_tokenizer(), "tiny", "none"))
    questions = tokenised(model, 60, ["gender", "age6", "education", "race", "income"])
    wanted = list(questions * (1 + prompts // (60 * 576)))
    start, used, done = time.perf_counter(), time.process_time(), 0
    for question in wanted:
        rows = min(500, prompts - done)
        if rows <= 0:
            break
        part = TokenisedQuestion(question.question_id, question.opening, question.suffixes[:rows], question.trie)
        model.option_shares(part, question_states(model.backbone, part))
        done += rows
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - used}
    print(json.dumps({"prompts": done, **seconds, "peak_mib": memory}))


def measure(dtype: str, n_questions: int) -> dict[str, Any]:
    """Measure everything and return the figures."""
    first_load = timed(lambda: ss.load_model(dtype=dtype))
    cached_load = timed(lambda: ss.load_model(dtype=dtype))
    model = loaded(dtype)
    network = model.backbone.model
    questions = tokenised(model, n_questions, TRAITS)
    tokens, distinct = plain_tokens(questions), distinct_tokens(questions)
    question_states(model.backbone, questions[0])
    states: list[Any] = []
    peak = peak_flops(model.backbone.dtype)
    trunk = timed(lambda: states.extend(read(model, questions)))
    readout = Readout(model.backbone, [token for question in questions for token in question.trie.edges])
    our_epoch(readout, questions[:2], states[:2])
    epoch = timed(lambda: our_epoch(readout, questions, states))
    plain_training = plain_seconds_per_token(network, questions, backward=True) * tokens
    with torch.no_grad():
        plain_forward = plain_seconds_per_token(network, questions, backward=False) * tokens
    answer = timed(lambda: [model.option_shares(question, state) for question, state in zip(questions, states, strict=True)])
    shapes, layers_flops = shapes_flops(network), trunk_flops(network) * len(network.model.layers) / (len(network.model.layers) - 1)
    peak = max(peak, peak_flops(model.backbone.dtype))
    return {
        "epoch_ratio": plain_training / epoch,
        "ten_epochs_ratio": 10 * plain_training / (trunk + 10 * epoch),
        "simulation_ratio": plain_forward / (trunk + answer),
        "token_ratio": tokens / distinct,
        "simulation_of_token_ratio": plain_forward / (trunk + answer) * distinct / tokens,
        "trunk_peak_fraction": trunk_flops(network) * distinct / trunk / peak,
        "trunk_tokens_per_second": distinct / trunk,
        "model_shapes_peak_fraction": shapes / peak,
        "plain_peak_fraction": layers_flops * tokens / plain_forward / peak,
        "peak_gflops": peak / 1e9,
        "plain_epoch_seconds_scaled": plain_training,
        "epoch_seconds": epoch,
        "trunk_seconds": trunk,
        "answer_seconds": answer,
        "prompts": len(questions) * len(questions[0].suffixes),
        "prompt_tokens": tokens,
        "distinct_tokens": distinct,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "first_load_seconds": first_load,
        "cached_load_seconds": cached_load,
        "threads": torch.get_num_threads(),
        "dtype": dtype,
        "clock": "time that passed" if clock is time.perf_counter else "processor time of one thread, on a machine with other work on it",
        "plain_timed_on": f"{min(PLAIN_QUESTIONS, n_questions)} questions, {PLAIN_ROWS} backgrounds in a batch, the fastest scaled",
    }


def interpreter_seconds(code: str) -> float:
    """Seconds that a fresh interpreter takes for some code, the best of five."""
    found = []
    for _ in range(5):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found.append(time.perf_counter() - start if clock is time.perf_counter else used)
    return min(found)


def import_seconds() -> float:
    """Seconds of ``import surveysim``, less the interpreter's own start."""
    return interpreter_seconds("import surveysim") - interpreter_seconds("pass")


def grown(figures: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Rows of the table on how time and memory grow from 3,000 to 30,000 prompts; none where that was not measured."""
    small, large = (figures["growth"].get(prompts) for prompts in ("3000", "30000"))
    if not small or not large:
        return []
    time_taken = "processor_seconds" if figures["clock"].startswith("processor") else "seconds"
    seconds = large[time_taken] / large["prompts"] * small["prompts"] / small[time_taken]
    memory = large["peak_mib"] / small["peak_mib"]
    return [
        ("time a prompt, 30,000 prompts over 3,000", "0.9 to 1.1", f"{seconds:.2f}", 0.9 <= seconds <= 1.1),
        ("peak memory, 30,000 prompts over 3,000", "at most 1.3", f"{memory:.2f}", memory <= 1.3),
    ]


def attainable(figures: dict[str, Any]) -> list[str]:
    """What the peak fraction of the trunk has to be seen beside; nothing where that was not measured."""
    if "model_shapes_peak_fraction" not in figures:
        return []
    return [
        f"Of that peak, the trunk's matrix products alone, in their own shapes, reach {figures['model_shapes_peak_fraction']:.2f},",
        f"and plain transformers, with norms, attention and activations, {figures['plain_peak_fraction']:.2f}.",
    ]


def section(figures: dict[str, Any]) -> list[str]:
    """The page's section: what was measured beside what it ought to be."""
    of = figures
    ratios = [
        ("epoch after caching, over a plain epoch", 60, of["epoch_ratio"]),
        ("ten epochs with caching, over ten plain ones", 25, of["ten_epochs_ratio"]),
        ("simulation: times faster, as a part of the ratio of tokens", 0.85, of["simulation_of_token_ratio"]),
        ("trunk: part of the peak of matrix multiplication in its number type", 0.65, of["trunk_peak_fraction"]),
    ]
    rows = [(what, f"at least {goal}", f"{value:.3g}", value >= goal) for what, goal, value in ratios]
    times = [("import, seconds", 0.5, of["import_seconds"]), ("cached model load, seconds", 2, of["cached_load_seconds"])]
    rows += [(what, f"below {goal}", f"{value:.2g}", value < goal) for what, goal, value in times] + grown(of)
    rows += llama_report.rows(of.get("peers"))
    return [
        "## How fast it is",
        "",
        f"Made by `make bench-speed`{of['options']}: {of['prompts']:,} prompts of the default model, {of['dtype']},",
        f"threads: {of['threads']}; clock: {of['clock']}. Written out, the prompts have {of['prompt_tokens']:,} tokens;",
        f"{of['distinct_tokens']:,} are distinct and run through the trunk: the ratio of tokens is {of['token_ratio']:.2f}. Simulation was",
        f"{of['simulation_ratio']:.2f} times faster than plain transformers. Plain was timed on {of['plain_timed_on']}.",
        f"Peak: two matrices of 1,536 x 1,536, {of['peak_gflops']:,.0f} GFLOP/s. Time and memory a prompt: a tiny random model.",
        *attainable(of),
        "All figures: `benchmarks/speed.json`.",
        *llama_report.paragraph(of.get("peers")),
        "| what | goal | measured (**bold**: not reached) |",
        "|---|---|---|",
        *(f"| {what} | {goal} | {value if reached else f'**{value}**'} |" for what, goal, value, reached in rows),
    ]


def everything(given: argparse.Namespace) -> dict[str, Any]:
    """All figures but llama.cpp's, and with which options."""
    growing = json.loads(given.grown.read_text()) if given.grown else growth()  # first: a process begins with its parent's peak memory
    options = "".join(f" {word}" for word in sys.argv[1:] if word not in ("--page", "--peers"))
    with_options = f", with `{options.strip()}`" if options else ""
    return {"options": with_options, **measure(given.dtype, given.questions), "import_seconds": import_seconds(), "growth": growing}


def main() -> None:
    """Print the table and write ``bench-output/speed.json``."""
    global clock
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--grown", type=Path, help="growth measured before, as JSON")
    for flag in ("--page", "--peers", "--only-peers"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--grow", type=int)
    given = parser.parse_args()
    if given.grow:
        grow(given.grow)
        return
    if given.clock == "cpu":
        torch.set_num_threads(1)
        clock = time.process_time
    figures = json.loads(NUMBERS.read_text()) if given.only_peers else everything(given)
    if given.peers or given.only_peers:
        figures["peers"] = beside_llama(given.questions) | {"alone": given.only_peers}
    Path("bench-output").mkdir(exist_ok=True)
    Path("bench-output/speed.json").write_text(json.dumps(figures, indent=2))
    lines = section(figures)
    print("\n".join(lines))
    if given.page:
        NUMBERS.write_text(json.dumps(figures, indent=2) + "\n")
        write_section(PAGE, "speed", lines)


if __name__ == "__main__":
    main()
