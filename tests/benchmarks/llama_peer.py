"""Zero-shot simulation by llama.cpp, beside ours: ``make bench-speed PEERS=1``.

The same weights go into a GGUF file, the same token ids into `llama_worker.py`, which runs in .venv-peers. Settings are tried on a few
questions, one after the other changed as long as that is faster, each in a process of its own: one that fails is reported as such. The
fastest of each layout then runs on all prompts, as does float32, whose shares must be ours.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surveysim.lm.base.tokens import TokenisedQuestion

PROJECT = Path(__file__).parents[2]
PEERS = PROJECT / ".venv-peers"
WORKER = Path(__file__).with_name("llama_worker.py")
UNROUNDED = ("bf16", "f16", "f32")  # the others round the weights: other answers
CHOICES = {  # of each setting, what is tried; the first is begun with
    "weights": ("bf16", "f16", "f32", "q8_0", "q4_0", "q4_1"),
    "memory": ("f16", "f32"),
    "flash": (True, False),
    "tokens_at_once": (2048, 512, 4096),
    "prompts_at_once": (54, 27, 108, 216),
    "layout": ("distinct", "openings"),
}
EXACT = {"weights": "f32", "memory": "f32", "flash": False}  # nothing rounded: what our float32 is compared with
QUESTIONS, PILOT_QUESTIONS = 27, 4  # on which both are timed, and on which settings are tried: as many prompts as go at once at most
PILOT_SECONDS = 300
FAULT = re.compile(r"^(?:\d[\d:,T-]+ +)?(.*\b(?<!-W)error[: ].*)$", flags=re.IGNORECASE | re.MULTILINE)  # in a log of pip
SAME_SHARES = 1e-3  # most that shares in float32 may differ: else it was not the same work
Setting = dict[str, Any]
Shares = list[np.ndarray]
Simulate = Callable[[Any, Sequence[TokenisedQuestion]], tuple[float, Shares]]  # seconds, and every question's shares


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
        shares = shares_of(questions, facts.pop("logits"))
        return {**setting, **facts, "shares": shares}

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


def searched(seconds: Callable[[Setting], float]) -> list[Setting]:
    """The fastest setting of all, and the fastest of each layout that leaves the weights as they are; each that runs, once."""

    def unrounded(setting: Setting) -> float:
        return seconds(setting) if setting["weights"] in UNROUNDED else np.inf

    start = {name: choices[0] for name, choices in CHOICES.items()}
    found = [descend(seconds, start)]
    for layout in CHOICES["layout"]:  # each search begins where the one before ended, in 16 bits
        found.append(descend(unrounded, {**found[-1], "layout": layout, "weights": start["weights"]}))
    return [setting for number, setting in enumerate(found) if setting not in found[:number] and seconds(setting) < np.inf]


def whole(peer: Peer, setting: Setting, questions: Sequence[TokenisedQuestion], times: int = 2) -> dict[str, Any]:
    """All prompts in one setting, several times: the fastest run.

    Raises
    ------
    PeerError
        If a run fails that did not on a few questions.
    """
    runs = [peer.run(setting, questions) for _ in range(times)]
    failed = [run["failed"] for run in runs if "failed" in run]
    if failed:
        raise PeerError(f"did not run on all prompts: {failed[0]}")
    best = min(runs, key=lambda run: run["seconds"])
    print("llama.cpp, all prompts:", *(f"{name}={value}" for name, value in setting.items()), outcome(best), flush=True)
    return best


def compare(models: Mapping[str, Any], questions: Sequence[TokenisedQuestion], simulate: Simulate, clock: str) -> dict[str, Any]:
    """Time llama.cpp and ours on the same prompts with equal threads; `models` by number type, which `simulate` runs.

    Ours runs before and after llama.cpp; the faster of the two counts, as of llama.cpp's two runs. Without llama.cpp: `skipped`, why.
    """
    try:
        require_peer()
        ours = {name: partial(simulate, model, questions[:QUESTIONS]) for name, model in models.items()}
        for model in models.values():
            simulate(model, questions[:1])
        with tempfile.TemporaryDirectory() as folder:
            return measured(Peer(models["float32"].backbone.model, Path(folder), clock), ours, questions[:QUESTIONS])
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
    fastest = searched(lambda setting: peer.tried(setting, few))
    if not fastest:
        raise PeerError("did not run in any setting")
    timed = [whole(peer, setting, questions) for setting in fastest]
    exact = whole(peer, {**fastest[0], **EXACT}, questions, times=1)
    again = {name: simulate() for name, simulate in ours.items()}
    plain = first["float32"][1]
    difference = largest_difference(plain, exact["shares"])
    if difference > SAME_SHARES:
        raise PeerError(f"differs from ours by up to {difference:.3g} in a share in float32: that is not the same work")
    return {
        **{name: exact[name] for name in ("version", "system")},
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "clock": peer.clock,
        "prompts": sum(len(question.suffixes) for question in questions),
        "ours_seconds": {name: min(first[name][0], again[name][0]) for name in ours},
        "ours_difference": {name: largest_difference(plain, first[name][1]) for name in ours},
        "float32_difference": difference,
        "runs": [{**kept(run, plain), "checks": run is exact} for run in [*timed, exact]],
        "tried": [kept(run, plain) for run in peer.runs.values()],
    }


def kept(run: Mapping[str, Any], plain: Shares) -> dict[str, Any]:
    """What is kept of a run: how far its shares are from ours in float32 in place of the shares themselves."""
    facts = {name: value for name, value in run.items() if name not in ("shares", "version", "system")}
    if "shares" in run:
        facts["difference"] = largest_difference(plain[: len(run["shares"])], run["shares"])
    return facts


def processor() -> str:
    """The processor's name and what it multiplies with, as Linux says it."""
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in facts.items()}
    units = [unit for unit in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if unit in found.get("flags", "").split()]
    return f"{found.get('model name', platform.machine())} ({', '.join(units[:2])})"
