"""Zero-shot simulation by llama.cpp, beside ours: ``make bench-speed PEERS=1``.

The same weights go into a GGUF file, the same token ids into `llama_worker.py`, which runs in .venv-peers. Settings are tried on a few
questions, one after the other changed as long as that is faster, each in a process of its own: one that fails is reported as such. The
fastest of each layout then runs on all prompts, as does float32, whose shares must be ours.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surveysim.lm.base.tokens import TokenisedQuestion

PROJECT = Path(__file__).parents[2]
PEERS = PROJECT / ".venv-peers"
WORKER = Path(__file__).with_name("llama_worker.py")
NUMBER_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1")
CHOICES = {  # of each setting, what is tried; the first is begun with
    "weights": ("f16", "f32", "bf16", "q8_0", "q4_0", "q4_1"),
    "memory": ("f16", "f32"),
    "flash": (False, True),
    "tokens_at_once": (2048, 512, 4096),
    "prompts_at_once": (216, 108, 54),
    "layout": ("distinct", "openings"),
}
EXACT = {"weights": "f32", "memory": "f32", "flash": False}  # nothing rounded: what our float32 is compared with
PILOT_QUESTIONS, PILOT_SECONDS = 8, 300
FAULT = re.compile(r"^(?:\d[\d:,T-]+ +)?(.*\b(?<!-W)error[: ].*)$", flags=re.IGNORECASE | re.MULTILINE)  # in a log of pip
SAME_SHARES = 1e-3  # most that shares in float32 may differ: else it was not the same work
GOALS = {"bfloat16": 10, "float32": 4}
Setting = dict[str, Any]
Shares = list[np.ndarray]


class PeerError(Exception):
    """llama.cpp is not there, or a run of it failed: the reason."""


def require_peer() -> None:
    """Refuse where llama.cpp was not installed.

    Raises
    ------
    PeerError
        With what the installation, or the import, said last.
    """
    python, log = PEERS / "bin" / "python", PEERS / "install.log"
    if not python.exists():
        raise PeerError("is not installed: run make bench-speed PEERS=1")
    done = subprocess.run([python, "-c", "import llama_cpp"], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:]
        if "No module named" in "".join(said) and log.exists():
            said = FAULT.findall(log.read_text(encoding="utf-8", errors="replace")) or said
        raise PeerError(f"could not be installed: {(said or ['no reason given'])[0].strip()[:200]}")


def interleaved(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Rows of queries or keys in llama.cpp's order: the two halves of every head's rotation one beside the other."""
    return weight.reshape(n_heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


PLACES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """A tensor's name in a GGUF file."""
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, place = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{PLACES[place]}.weight"


def write_gguf(network: Any, weights: str, path: Path) -> None:
    """Write a model of the Llama family with weights of a number type; vectors stay float32, and there is no vocabulary."""
    import gguf

    config, kind = network.config, gguf.GGMLQuantizationType[weights.upper()]
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base((getattr(config, "rope_parameters", None) or vars(config))["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    for name, tensor in network.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = tensor.float().numpy()
        part = name.split(".")[-2]
        array = interleaved(array, heads[part]) if part in heads else array
        stored = gguf.GGMLQuantizationType.F32 if array.ndim == 1 else kind
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(np.ascontiguousarray(array), stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def put(questions: Sequence[TokenisedQuestion]) -> list[dict[str, Any]]:
    """Questions as the worker takes them: their answers must be single tokens."""
    assert all(len(question.trie.branches) == 1 for question in questions)
    return [{"opening": one.opening, "suffixes": one.suffixes, "choices": one.trie.edges} for one in questions]


def shares_of(questions: Sequence[TokenisedQuestion], logits: Sequence[Sequence[float]]) -> Shares:
    """Every question's shares, `(backgrounds, options)`, from the logits of its prompts."""
    found, start = [], 0
    for question in questions:
        rows = np.array(logits[start : start + len(question.suffixes)], dtype=np.float64)
        rows = np.exp(rows - rows.max(1, keepdims=True))
        found.append((rows / rows.sum(1, keepdims=True))[:, [step[0] for step in question.trie.steps]])
        start += len(question.suffixes)
    return found


def largest_difference(left: Shares, right: Shares) -> float:
    """The most that any share differs."""
    return max(float(np.abs(one - other).max()) for one, other in zip(left, right, strict=True))


class Peer:
    """llama.cpp with a model's weights, in as many number types as are asked for."""

    def __init__(self, network: Any, folder: Path, clock: str) -> None:
        self.network, self.folder, self.clock = network, folder, clock
        self.runs: dict[str, dict[str, Any]] = {}

    def run(self, setting: Setting, questions: Sequence[TokenisedQuestion], seconds: float | None = None) -> dict[str, Any]:
        """Run a setting in a process of its own: its facts, or `failed`, why it did not run."""
        model = self.folder / f"{setting['weights']}.gguf"
        if not model.exists():
            write_gguf(self.network, setting["weights"], model)
        job = {**setting, "model": str(model), "questions": put(questions), "threads": torch.get_num_threads(), "clock": self.clock}
        given, taken = self.folder / "job.json", self.folder / "found.json"
        given.write_text(json.dumps(job), encoding="utf-8")
        taken.unlink(missing_ok=True)
        command = [PEERS / "bin" / "python", WORKER, given, taken]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, errors="replace")
        except subprocess.TimeoutExpired:
            return {**setting, "failed": f"more than {seconds:.0f} seconds"}
        if done.returncode or not taken.exists():
            return {**setting, "failed": reason(done.returncode, done.stderr)}
        facts = json.loads(taken.read_text(encoding="utf-8"))
        return {**setting, **facts, "shares": shares_of(questions, facts.pop("logits"))}

    def tried(self, setting: Setting, questions: Sequence[TokenisedQuestion]) -> float:
        """Seconds of a setting on a few questions, tried once; infinite where it did not run."""
        key = json.dumps(setting)
        if key not in self.runs:
            self.runs[key] = self.run(setting, questions, PILOT_SECONDS)
            print("llama.cpp:", *(f"{name}={value}" for name, value in setting.items()), outcome(self.runs[key]), flush=True)
        return float(self.runs[key].get("seconds", np.inf))


def reason(code: int, stderr: str) -> str:
    """Why a process ended: its last line that says something, and how."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = [line for line in lines if "error" in line.lower() or "assert" in line.lower()] or lines
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return f"{how}: {said[-1][-160:]}" if said else how


def outcome(run: Mapping[str, Any]) -> str:
    """What came of a run, in words."""
    return f"did not run ({run['failed']})" if "failed" in run else f"{run['seconds']:.2f} s"


def descend(seconds: Callable[[Setting], float], start: Setting) -> Setting:
    """Change one setting after the other to the fastest of its choices, until none is faster."""
    best = start
    while True:
        before = best
        for name, choices in CHOICES.items():
            if name != "layout":
                best = min([best, *({**best, name: choice} for choice in choices)], key=seconds)
        if best == before:
            return best


def whole(peer: Peer, setting: Setting, questions: Sequence[TokenisedQuestion]) -> dict[str, Any]:
    """All prompts in one setting, twice: the faster run.

    Raises
    ------
    PeerError
        If a run fails that did not on a few questions.
    """
    runs = [peer.run(setting, questions) for _ in range(2)]
    failed = [run["failed"] for run in runs if "failed" in run]
    if failed:
        raise PeerError(f"did not run on all prompts: {failed[0]}")
    best = min(runs, key=lambda run: run["seconds"])
    print("llama.cpp, all prompts:", *(f"{name}={value}" for name, value in setting.items()), outcome(best), flush=True)
    return best


def compare(
    ours: Mapping[str, Callable[[], tuple[float, Shares]]], network: Any, questions: Sequence[TokenisedQuestion], clock: str
) -> dict[str, Any]:
    """Time llama.cpp and ours on the same prompts with equal threads; `ours` by number type simulates and returns seconds and shares.

    Ours runs before and after llama.cpp; the faster of the two counts, as of llama.cpp's two runs. Without llama.cpp: `skipped`, why.
    """
    try:
        require_peer()
        with tempfile.TemporaryDirectory() as folder:
            return measured(Peer(network, Path(folder), clock), ours, questions)
    except PeerError as error:
        return {"skipped": f"llama.cpp {error}"}


def measured(peer: Peer, ours: Mapping[str, Callable[[], tuple[float, Shares]]], questions: Sequence[TokenisedQuestion]) -> dict[str, Any]:
    """Try the settings, then time all prompts.

    Raises
    ------
    PeerError
        If no setting runs, or the shares in float32 are not ours.
    """
    few = questions[:PILOT_QUESTIONS]
    first = {name: simulate() for name, simulate in ours.items()}
    starts = [{**{name: choices[0] for name, choices in CHOICES.items()}, "layout": layout} for layout in CHOICES["layout"]]
    fastest = [descend(lambda setting: peer.tried(setting, few), start) for start in starts]
    if min(peer.tried(setting, few) for setting in fastest) == np.inf:
        raise PeerError("did not run in any setting")
    timed = [whole(peer, setting, questions) for setting in fastest]
    exact = whole(peer, {**fastest[0], **EXACT}, questions)
    again = {name: simulate() for name, simulate in ours.items()}
    plain = first["float32"][1]
    difference = largest_difference(plain, exact["shares"])
    if difference > SAME_SHARES:
        raise PeerError(f"shares in float32 differ from ours by up to {difference:.3g}: not the same work")
    runs = [{**run, "difference": largest_difference(plain, run.pop("shares"))} for run in [*timed, exact]]
    pilots = [
        {**run, **({} if "failed" in run else {"difference": largest_difference(plain[: len(few)], run.pop("shares"))})}
        for run in peer.runs.values()
    ]
    system = {name: runs[0][name] for name in ("version", "system")}
    kept = [{name: value for name, value in run.items() if name not in system} for run in runs]
    tried = [{name: value for name, value in run.items() if name not in system} for run in pilots]
    return {
        **system,
        "ours_seconds": {name: min(first[name][0], again[name][0]) for name in ours},
        "ours_difference": {name: largest_difference(plain, first[name][1]) for name in ours},
        "seconds": min(run["seconds"] for run in runs),
        "runs": kept,
        "float32_difference": difference,
        "prompts": sum(len(question.suffixes) for question in questions),
        "tried": tried,
    }


def rows(peers: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Rows of the table: how many times faster ours is than llama.cpp's fastest setting; a row that says why there is none."""
    if "skipped" in peers:
        return [("simulation, over llama.cpp's fastest setting", "", f"skipped: {peers['skipped']}", True)]
    ratios = {name: peers["seconds"] / seconds for name, seconds in peers["ours_seconds"].items()}
    return [
        (f"simulation in {name}, over llama.cpp's fastest setting", f"at least {GOALS[name]}", f"{ratio:.3g}", ratio >= GOALS[name])
        for name, ratio in ratios.items()
    ]


def words(run: Mapping[str, Any]) -> str:
    """A setting in words."""
    layout = {"distinct": "every distinct token once", "openings": "every opening once, every suffix whole"}[run["layout"]]
    flash = "with" if run["flash"] else "without"
    batch = f"{run['prompts_at_once']} prompts and {run['tokens_at_once']:,} tokens at once"
    return f"{run['weights']}, {layout} ({run['tokens']:,} tokens), {batch}, {flash} flash attention: {run['seconds']:.1f} s"


def paragraph(peers: Mapping[str, Any]) -> list[str]:
    """What llama.cpp did, for the page."""
    if "skipped" in peers:
        return ["", f"The comparison with llama.cpp was skipped: {peers['skipped']}."]
    failed = [run for run in peers["tried"] if "failed" in run]
    mine = ", ".join(f"{seconds:.1f} s in {name}" for name, seconds in peers["ours_seconds"].items())
    lines = [
        "",
        f"Beside llama.cpp (llama-cpp-python {peers['version']}, compiled for this processor), on the same {peers['prompts']:,} prompts,",
        f"weights and token ids, with as many threads. {len(peers['tried'])} settings were tried on {PILOT_QUESTIONS} questions",
        f"({len(failed)} did not run), those below on all prompts, twice, the faster run. Its batches lay ready before the clock",
        "started; ours begins with token ids, and nothing is cached.",
        f"In float32 no share differs from ours by more than {peers['float32_difference']:.1g}. Ours: {mine}. llama.cpp:",
        "",
    ]
    return [*lines, *(f"- {words(run)}" for run in peers["runs"])]
