"""llama.cpp beside ours in `make bench-speed PEERS=1`: the same prompts, the same weights, the fastest setting, or a reason."""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.option_model import OptionModel
from surveysim.lm.trunk.trunk import question_states
from tests.support.pages import PROJECT
from tests.support.tiny import tiny_model, tiny_tokenizer

LOG = """\
2026-01-02T03:04:05,678   cc -Werror=implicit-int -c a.c
2026-01-02T03:04:06,789   CMake Error: no C++ compiler
2026-01-02T03:04:07,890 ERROR: Failed to build llama-cpp-python
"""
QUESTIONS = [
    TokenisedQuestion("trust", (5, 6, 7), ((1, 2, 3), (1, 2, 4, 9), (8, 9)), option_trie([(10,), (11,)])),
    TokenisedQuestion("vote", (5, 6, 8, 2), ((1, 2, 3), (1, 7), (1, 2, 3)), option_trie([(12,), (10,), (11,)])),
]


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("llama_peer")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("llama_report")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("llama_worker")


def _read(worker: ModuleType, steps: list[Any], most: int) -> dict[int, tuple[int, ...]]:
    """What each prompt's answer is read after, by llama.cpp's rules: a token sees its sequence, in which it must be the next."""
    memory: dict[int, list[int]] = defaultdict(list)
    found: dict[int, tuple[int, ...]] = {}
    for step in steps:
        if step.kept != worker.KEEP_ALL:
            memory = defaultdict(list, {0: memory[0][: step.kept]})
        for source, target, length in step.copies:
            assert not memory[target]
            memory[target] = memory[source][:length]
        seen = []
        for token, at, sequences in zip(step.tokens, step.positions, step.sequences, strict=True):
            assert max(sequences) < most
            assert {tuple(memory[sequence]) for sequence in sequences} == {tuple(memory[sequences[0]])}
            assert len(memory[sequences[0]]) == at
            for sequence in sequences:
                memory[sequence].append(token)
            seen.append(tuple(memory[sequences[0]]))
        for place, prompt in step.answers:
            assert prompt not in found
            found[prompt] = seen[place]
    return found


@pytest.mark.parametrize("layout", ["openings", "distinct"])
@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 6, 50])
def test_every_prompt_is_read_whole(worker: ModuleType, layout: str, at_once: int) -> None:
    prompts = [worker.Prompt(one.opening, suffix) for one in QUESTIONS for suffix in one.suffixes]
    steps = worker.LAYOUTS[layout](prompts, at_once)
    assert _read(worker, steps, at_once) == {number: (*one.opening, *one.suffix) for number, one in enumerate(prompts)}


def test_no_token_is_read_twice(worker: ModuleType) -> None:
    prompts = [worker.Prompt(one.opening, suffix) for one in QUESTIONS for suffix in one.suffixes]
    whole = [(*one.opening, *one.suffix) for one in prompts]
    distinct = {prompt[:length] for prompt in whole for length in range(1, len(prompt) + 1)}
    (step,) = worker.distinct_tokens(prompts, 6)
    assert len(step.tokens) == len(distinct) == 16
    apart = worker.distinct_tokens(prompts, 3)
    assert [one.kept for one in apart] == [0, 2]  # what the questions begin with stays in memory
    assert sum(len(one.tokens) for one in apart) == len(distinct)
    copied = worker.shared_openings(prompts, 6)
    assert sum(len(one.tokens) for one in copied) == sum(len(one.opening) for one in QUESTIONS) + sum(len(one.suffix) for one in prompts)


def test_memory_is_made_for_the_most_tokens_that_stand_in_it(worker: ModuleType) -> None:
    opening = worker.Step(0, [], [1] * 200, [0] * 200, [[0]] * 200, [])
    assert worker.cells([opening]) == 256
    assert worker.cells([opening, opening._replace(kept=worker.KEEP_ALL), opening._replace(kept=100)]) == 512


def test_a_file_of_a_model_holds_its_weights(peer: ModuleType, tmp_path: Path) -> None:
    from gguf import GGUFReader

    network = tiny_model()
    peer.write_gguf(network, "f32", tmp_path / "tiny.gguf")
    found = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "tiny.gguf").tensors}
    states = {name: tensor.numpy() for name, tensor in network.state_dict().items() if name != "lm_head.weight"}  # tied
    assert set(found) == {peer.gguf_name(name) for name in states}
    down = found["blk.2.ffn_down.weight"].data
    np.testing.assert_array_equal(down, states["model.layers.2.mlp.down_proj.weight"])
    keys = states["model.layers.1.self_attn.k_proj.weight"]
    np.testing.assert_array_equal(found["blk.1.attn_k.weight"].data[:4], keys[[0, 8, 1, 9]])  # heads of 16: halves side by side


def test_shares_are_those_of_the_options_in_their_order(peer: ModuleType) -> None:
    first, second = peer.shares_of(QUESTIONS, [[0.0, 0.0], [0.0, np.log(3)], [800.0, 0.0], *[[0.0, 0.0, np.log(2)]] * 3])
    np.testing.assert_allclose(first, [[0.5, 0.5], [0.25, 0.75], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(second, [[0.25, 0.25, 0.5]] * 3)
    assert peer.largest_difference([first, second], [first, second + 0.125]) == 0.125


def test_the_fastest_setting_that_runs_is_found(peer: ModuleType) -> None:
    def seconds(setting: dict[str, Any]) -> float:
        if setting["weights"] == "q4_0":
            return np.inf  # did not run
        faster = {"q8_0": 5, "f32": 1}.get(setting["weights"], 0) + 2 * setting["flash"] + (setting["tokens_at_once"] == 512)
        return 20 - faster - 3 * (setting["weights"] == "q8_0" and setting["tokens_at_once"] == 4096)

    start = {name: choices[0] for name, choices in peer.CHOICES.items()}
    found = peer.descend(seconds, start)
    assert found == {**start, "weights": "q8_0", "flash": True, "tokens_at_once": 4096}


def test_quantised_weights_are_the_fastest_of_all_and_no_others(peer: ModuleType) -> None:
    first, distinct, openings = peer.searched(lambda setting: 9 - 5 * (setting["weights"] == "q4_0") - (setting["memory"] == "f32"))
    assert (first["weights"], first["layout"]) == ("q4_0", "distinct")
    assert {first["memory"], distinct["memory"], openings["memory"]} == {"f32"}
    assert (distinct["weights"], distinct["layout"], openings["weights"], openings["layout"]) == ("bf16", "distinct", "bf16", "openings")
    assert len(peer.searched(lambda setting: 9 + 5 * (setting["weights"] == "q4_0"))) == 2  # the first is not counted twice
    assert peer.searched(lambda _: np.inf) == []


def test_without_llama_the_table_says_why(peer: ModuleType, report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "PEERS", tmp_path)
    assert peer.compare({}, QUESTIONS, print, "wall") == {"skipped": "llama.cpp is not installed: run make bench-speed PEERS=1"}
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'llama_cpp'\" >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "install.log").write_text(LOG, encoding="utf-8")
    skipped = peer.compare({}, QUESTIONS, print, "wall")
    assert skipped == {"skipped": "llama.cpp could not be installed: CMake Error: no C++ compiler"}
    ((_, _, said, _),) = report.rows(skipped)
    assert said == "skipped: llama.cpp could not be installed: CMake Error: no C++ compiler"
    assert said.removeprefix("skipped: ") in "\n".join(report.paragraph(skipped))


def test_a_run_that_ends_badly_says_how(peer: ModuleType) -> None:
    assert peer.reason(-6, "load\nggml.c:12: GGML_ASSERT(x) failed\nbacktrace\n") == "signal 6: ggml.c:12: GGML_ASSERT(x) failed"
    assert peer.reason(1, "") == "code 1"
    assert peer.outcome({"failed": "signal 6"}) == "did not run (signal 6)"


def test_other_shares_are_no_comparison(peer: ModuleType, report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [np.full((3, 2), 0.5), np.full((3, 3), 1 / 3)]
    ours = {name: lambda: (2.0, shares) for name in report.GOALS}

    def run(off: float) -> Any:
        def ran(_: Any, setting: dict[str, Any], questions: list[Any], seconds: float | None = None) -> dict[str, Any]:
            found = [share + off for share in shares[: len(questions)]]
            slower = 10 * (setting["weights"] == "f32") + 30 * (setting["layout"] == "openings")
            facts = {"seconds": 15.0 + slower, "tokens": 9, "version": "1", "system": ""}
            return {**setting, "failed": "signal 4"} if setting["weights"] == "q4_0" else {**setting, **facts, "shares": found}

        monkeypatch.setattr(peer.Peer, "run", ran)
        return peer.measured(peer.Peer(None, tmp_path, "wall"), ours, QUESTIONS)

    figures = run(0.0)
    assert [row[1:] for row in report.rows(figures)] == [
        ("at least 10", "7.5", False),
        ("at least 4", "7.5", True),
        ("", "22.5", True),
        ("", "22.5", True),
    ]
    said = "\n".join(report.paragraph(figures))
    assert "(1 did not run)" in said
    assert "reads every distinct token once (9 tokens): 15.0 s" in said
    assert "Ours: 2.0 s in bfloat16, 2.0 s in float32" in said
    with pytest.raises(peer.PeerError, match=r"differs from ours by up to 0\.01 in a share in float32: that is not the same work"):
        run(0.01)


def test_llama_answers_as_ours_does(peer: ModuleType, tmp_path: Path) -> None:
    try:
        peer.require_peer()
    except peer.PeerError as error:
        pytest.skip(f"llama.cpp {error}")
    model = OptionModel(Backbone(tiny_model(), tiny_tokenizer(), "tiny", "none"))
    ours = [model.option_shares(question, question_states(model.backbone, question)).numpy() for question in QUESTIONS]
    start = {name: choices[0] for name, choices in peer.CHOICES.items()}
    for layout in peer.CHOICES["layout"]:
        for at_once in (2, 6):
            setting = {**start, **peer.EXACT, "layout": layout, "prompts_at_once": at_once}
            found = peer.Peer(model.backbone.model, tmp_path, "wall").run(setting, QUESTIONS)
            assert set(found) == {*setting, "seconds", "tokens", "steps", "version", "system", "shares"}, found
            assert peer.largest_difference(ours, found["shares"]) < 1e-4


def test_the_plain_path_is_timed_in_the_number_type_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    model = import_module("bench_speed").loaded("float32")
    assert {parameter.dtype for parameter in model.backbone.model.parameters()} == {torch.float32}
