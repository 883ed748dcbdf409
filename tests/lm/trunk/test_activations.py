"""Trunk states on disk: the same bits from the cache, and faults that cost time but no result."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.answers import predict
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.trunk import activations
from surveysim.lm.trunk.activations import make_room, states_folder, states_key, stored_states
from surveysim.lm.trunk.trunk import Beginnings, QuestionStates, pack_states, question_states
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_sample
from tests.support.tiny import tiny_model

OPENING = tuple(range(40, 52))
SUFFIXES = ((5, 6, 7, 8), (5, 6, 9), (12,))
OPTIONS = [(10,), (11, 20), (11, 21)]


def _backbone(digest: str = "digest", dtype: torch.dtype = torch.float32) -> Backbone:
    return Backbone(tiny_model().to(dtype), None, "llama", digest)


def _question(number: int = 0) -> TokenisedQuestion:
    return TokenisedQuestion(f"q{number}", (*OPENING, 60 + number), SUFFIXES, option_trie(OPTIONS))


def _stored(backbone: Backbone, question: TokenisedQuestion) -> QuestionStates:
    """States of a question asked alone."""
    (states,) = stored_states(backbone, [question])
    return states


def _equal(first: QuestionStates, second: QuestionStates) -> bool:
    pairs = zip((first.opening, *first.nodes), (second.opening, *second.nodes), strict=True)
    return all(one.dtype == other.dtype and torch.equal(one, other) for one, other in pairs)


def _files() -> list[str]:
    return sorted(path.name for path in states_folder().iterdir()) if states_folder().is_dir() else []


@pytest.fixture
def backbone(own_cache: Path) -> Backbone:
    return _backbone()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the questions that ran through the trunk."""
    ran: list[str] = []

    def run(backbone: Backbone, questions: list[TokenisedQuestion], known: Beginnings) -> list[QuestionStates]:
        ran.extend(question.question_id for question in questions)
        return pack_states(backbone, questions, known)

    monkeypatch.setattr(activations, "pack_states", run)
    return ran


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_read_back_is_what_was_computed_bit_for_bit(dtype: torch.dtype, own_cache: Path, computed: list[str]) -> None:
    backbone, question = _backbone(dtype=dtype), _question()
    plain = question_states(backbone, question)
    first, second = _stored(backbone, question), _stored(backbone, question)
    assert computed == ["q0"]
    assert _equal(plain, first)
    assert _equal(plain, second)
    assert second.opening.dtype == dtype
    assert second.n_branches == plain.n_branches
    assert [tree.answers.tolist() for tree in second.trees] == [tree.answers.tolist() for tree in plain.trees]
    assert _files() == [f"{states_key(backbone, question)}.safetensors"]


def test_another_model_or_number_type_or_prompt_does_not_reuse(
    own_cache: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, question = _backbone(), _question()
    trie = option_trie([*OPTIONS, (12, 20), (12, 21)])
    others = [
        (backbone, question),
        (_backbone("another digest"), question),
        (_backbone(dtype=torch.bfloat16), question),
        (backbone, replace(question, opening=OPENING)),
        (backbone, replace(question, suffixes=SUFFIXES[:2])),
        (backbone, replace(question, trie=trie)),
    ]
    for model, asked in others:
        _stored(model, asked)
    assert len(computed) == len(_files()) == len(others)
    monkeypatch.setattr("surveysim.lm.trunk.trees.BACKGROUNDS_AT_ONCE", 2)
    assert len(_stored(backbone, question).trees) == 2
    assert len(_files()) == len(others) + 1


def test_states_read_back_are_mapped_files_and_their_checksum_is_compared_once(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    _stored(backbone, _question())
    compared: list[str] = []
    original = activations._checksum
    monkeypatch.setattr(activations, "_checksum", lambda tensors: compared.append("once") or original(tensors))
    states = [_stored(backbone, _question()) for _ in range(3)]
    assert compared == ["once"]
    maps = Path("/proc/self/maps")
    if maps.is_file():
        places = [line.split()[0].split("-") for line in maps.read_text().splitlines() if _files()[0] in line]
        address = states[-1].nodes[0].data_ptr()
        assert any(int(low, 16) <= address < int(high, 16) for low, high in places), "the states are the file, mapped into memory"


def test_states_made_with_little_memory_are_read_back_as_they_were_cut(
    backbone: Backbone, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = question_states(backbone, _question())
    at_once = iter([1, 96, 96])
    monkeypatch.setattr(activations, "pack_states", lambda *given: _cut(next(at_once), monkeypatch, *given))
    first = _stored(backbone, _question())
    assert len(first.trees) == 3
    second = _stored(backbone, _question())
    assert _equal(first, second)
    assert len(plain.trees) == 1


def _cut(
    at_once: int, monkeypatch: pytest.MonkeyPatch, backbone: Backbone, questions: list[TokenisedQuestion], known: Beginnings
) -> list[QuestionStates]:
    with monkeypatch.context() as patch:
        patch.setattr("surveysim.lm.trunk.trees.BACKGROUNDS_AT_ONCE", at_once)
        return pack_states(backbone, questions, known)


def test_an_alignment_reads_what_a_simulation_kept(own_cache: Path, tiny_folder: Path, computed: list[str]) -> None:
    sample = opinion_sample()
    sample = sample[sample["question_id"].isin(["taxes", "vote"])]
    stages = (ss.StageConfig("option_kl", epochs=2),)
    ss.align(load_tiny(tiny_folder), sample, opinion_codebook(), stages=stages, progress=False)
    assert computed == ["taxes", "vote"]
    ss.align(load_tiny(tiny_folder), sample, opinion_codebook(), stages=stages, seed=1, progress=False)
    assert computed == ["taxes", "vote"], "two epochs, two seeds and two loads of the model run the trunk once"


def _damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[:-100],
        "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "empty": b"",
        "no tensors": b"not a tensor" * 100,
    }
    path.write_bytes(damaged[how])


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "no tensors"])
def test_a_damaged_file_is_computed_again_and_replaced(
    how: str, backbone: Backbone, computed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    plain = _stored(backbone, _question())
    _damage(states_folder() / _files()[0], how)
    assert _equal(_stored(backbone, _question()), plain)
    assert "cannot be read" in caplog.text
    assert "they are computed again" in caplog.text
    assert _equal(_stored(backbone, _question()), plain)
    assert computed == ["q0", "q0"]
    assert len(caplog.records) == 1


def test_a_file_of_other_tensors_is_computed_again(backbone: Backbone, computed: list[str]) -> None:
    plain = _stored(backbone, _question())
    tensors = {"opening": torch.zeros(2, 2)}
    (name,) = _files()
    activations.save_file(tensors, states_folder() / name, metadata={"crc32": activations._checksum(tensors)})
    assert _equal(_stored(backbone, _question()), plain)
    assert len(computed) == 2


def test_states_that_say_they_were_computed_otherwise_are_computed_again(
    backbone: Backbone, computed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    plain = _stored(backbone, _question())
    path = states_folder() / _files()[0]
    with activations.safe_open(path, "pt") as file:
        tensors, about = {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata()  # noqa: SIM118 - no mapping
    assert about["computed_by"] == "surveysim_by_block, 64 rows together; torch.float32; all bits"
    wrong = {name: value + 1 for name, value in tensors.items()}
    said = {**about, "crc32": activations._checksum(wrong), "computed_by": about["computed_by"].replace("surveysim_by_block", "sdpa")}
    activations.save_file(wrong, path, metadata=said)
    assert _equal(_stored(backbone, _question()), plain)
    assert "computed otherwise than now: 'sdpa, 64 rows together" in caplog.text
    assert computed == ["q0", "q0"]


@pytest.mark.parametrize("where", ["save_file", "open_to_others", "make_room"])
def test_a_full_disk_costs_time_but_no_result(
    where: str, backbone: Backbone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(activations, where, full)
    assert _equal(_stored(backbone, _question()), question_states(backbone, _question()))
    assert "states of q0 are not kept: [Errno 28] No space left on device" in caplog.text
    assert not [name for name in _files() if name.endswith(".partial")]


def _store_where_no_file_may_grow(said: Connection) -> None:
    """Store states while files end at 2,000 bytes, as on a full disk; in a process of its own, whose log may be a file too."""
    import resource

    handler = _Collected()
    activations.log.addHandler(handler)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    backbone = _backbone()
    states = _stored(backbone, _question())
    said.send((handler.texts, _files(), _equal(states, question_states(backbone, _question()))))


class _Collected(logging.Handler):
    """Messages logged in another process."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size is a matter of Unix")
def test_a_disk_that_is_really_full(own_cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    other = context.Process(target=_store_where_no_file_may_grow, args=(theirs,))
    other.start()
    theirs.close()
    texts, files, equal = ours.recv()
    other.join()
    assert len(texts) == 1
    assert "states of q0 are not kept" in texts[0]
    assert files == []
    assert equal


def test_an_interrupted_write_leaves_no_file(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_tensors: dict, place: Path, **_options: object) -> None:
        Path(place).write_bytes(b"half a tensor")
        raise KeyboardInterrupt

    monkeypatch.setattr(activations, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _stored(backbone, _question())
    assert _files() == []


def test_a_cache_that_is_removed_while_running(
    backbone: Backbone, own_cache: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = _stored(backbone, _question())
    shutil.rmtree(own_cache)
    assert _equal(_stored(backbone, _question()), plain)
    assert len(computed) == 2
    assert len(_files()) == 1

    original = activations._read

    def removed_meanwhile(path: Path, question: TokenisedQuestion, how: str) -> QuestionStates:
        shutil.rmtree(own_cache)
        return original(path, question, how)

    monkeypatch.setattr(activations, "_read", removed_meanwhile)
    assert _equal(_stored(backbone, _question()), plain)
    assert len(computed) == 3
    assert "they are computed again" in caplog.text


N_QUESTIONS = 12


def _store_all(backbone: Backbone) -> list[QuestionStates]:
    return [_stored(backbone, _question(number)) for number in range(N_QUESTIONS)]


def _store_all_then_die_while_writing(ready: Event) -> None:
    def killed(_tensors: dict, place: Path, **_options: object) -> None:
        Path(place).write_bytes(b"half a tensor")
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

    backbone = _backbone()
    ready.set()
    _store_all(backbone)
    activations.save_file = killed
    _stored(backbone, _question(N_QUESTIONS))


def test_two_processes_at_once_of_which_one_is_killed(backbone: Backbone) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_store_all_then_die_while_writing, args=(ready,))
    other.start()
    while not ready.wait(1):
        assert other.is_alive(), "the other process did not start"
    ours = _store_all(backbone)
    other.join()
    assert other.exitcode != 0
    plain = [question_states(backbone, _question(number)) for number in range(N_QUESTIONS + 1)]
    assert all(_equal(one, other) for one, other in zip(ours, plain, strict=False))

    (left,) = [name for name in _files() if name.endswith(".partial")]
    again = [*_store_all(backbone), _stored(backbone, _question(N_QUESTIONS))]
    assert all(_equal(one, other) for one, other in zip(again, plain, strict=True)), "what was killed is done again, bit for bit"
    assert left in _files(), "another process may still be writing it"
    os.utime(states_folder() / left, (1, 1))
    make_room()
    assert _files() == sorted(f"{states_key(backbone, _question(number))}.safetensors" for number in range(N_QUESTIONS + 1))


def test_questions_that_go_together_and_were_interrupted_come_out_the_same_bits(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, computed: list[str]
) -> None:
    questions = [_question(number) for number in range(5)]
    plain = list(stored_states(backbone, questions))
    shutil.rmtree(states_folder())
    original, kept = activations._keep, []

    def interrupted(states: QuestionStates, path: Path, how: str) -> None:
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(path)
        original(states, path, how)

    monkeypatch.setattr(activations, "_keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(stored_states(backbone, questions))
    monkeypatch.setattr(activations, "_keep", original)
    before = [path.stat().st_mtime_ns for path in kept]
    assert all(_equal(one, other) for one, other in zip(stored_states(backbone, questions), plain, strict=True))
    assert [path.stat().st_mtime_ns for path in kept] == before, "what is there stays"
    computed.clear()
    assert all(_equal(one, other) for one, other in zip(stored_states(backbone, questions[::-1]), plain[::-1], strict=True))
    assert computed == []


def _shares_of_an_alignment(folder: Path) -> dict[str, np.ndarray]:
    stages = (ss.StageConfig("option_kl", epochs=1), ss.StageConfig("pooled_shift", level_weight=1.0, epochs=1))
    model = ss.align(load_tiny(folder), opinion_sample(), opinion_codebook(), stages=stages, progress=False)
    grid = ss.background_grid(opinion_codebook(), by=TRAITS)
    return predict(model, opinion_codebook(), tuple(opinion_codebook().questions), grid, progress=False)


def _align_and_die_while_keeping_the_fourth_question(folder: Path) -> None:
    kept: list[Path] = []
    original = activations._keep

    def killed(states: QuestionStates, path: Path, how: str) -> None:
        if len(kept) == 3:
            os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        kept.append(path)
        original(states, path, how)

    activations._keep = killed
    _shares_of_an_alignment(folder)


def test_an_alignment_that_was_killed_goes_on_to_the_same_bits(
    tiny_folder: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = multiprocessing.get_context("spawn").Process(target=_align_and_die_while_keeping_the_fourth_question, args=(tiny_folder,))
    other.start()
    other.join()
    assert other.exitcode != 0
    kept = {name: (states_folder() / name).stat().st_mtime_ns for name in _files()}
    assert len(kept) == 3
    again = _shares_of_an_alignment(tiny_folder)
    assert {name: (states_folder() / name).stat().st_mtime_ns for name in kept} == kept, "what it had done is not done a second time"
    assert len(_files()) == 6
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path / "another cache"))
    plain = _shares_of_an_alignment(tiny_folder)
    assert all(np.array_equal(again[name], plain[name]) for name in plain)


def test_the_oldest_states_make_room(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for number in range(4):
        _stored(backbone, _question(number))
        names.append(f"{states_key(backbone, _question(number))}.safetensors")
        os.utime(states_folder() / names[-1], (1000 + number, 1000 + number))
    size = (states_folder() / names[0]).stat().st_size
    assert make_room(4 * size) == 0
    assert make_room(3 * size) == 1
    assert _files() == sorted(names[1:])
    monkeypatch.setattr(activations, "LARGEST_CACHE", 2 * size)
    _stored(backbone, _question(4))
    assert _files() == sorted([names[3], f"{states_key(backbone, _question(4))}.safetensors"]), "keeping states makes room by itself"


def test_the_room_for_states_is_as_said(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    _stored(backbone, _question())
    monkeypatch.setenv("SURVEYSIM_CACHE_GB", "50")
    assert make_room() == 0
    monkeypatch.setenv("SURVEYSIM_CACHE_GB", "1e-6")
    assert make_room() == 1
    monkeypatch.setenv("SURVEYSIM_CACHE_GB", "much")
    with pytest.raises(ModelError, match=r"SURVEYSIM_CACHE_GB='much' is no number of gigabytes; set it to one"):
        make_room()


def test_room_is_made_while_another_process_deletes(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    _stored(backbone, _question())

    class Gone(SimpleNamespace):
        def stat(self) -> os.stat_result:
            raise FileNotFoundError(2, "No such file or directory")

    original = os.scandir

    class Listing:
        def __init__(self, folder: Path) -> None:
            self.entries = [Gone(name="x.safetensors", path="x"), *original(folder)]

        def __enter__(self) -> list:
            return self.entries

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(os, "scandir", Listing)
    assert make_room(0) == 1


def test_questions_read_on_several_threads_are_those_of_one(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, several_threads: Callable[[int], None]
) -> None:
    monkeypatch.setattr(activations.layout, "TOKENS_AT_ONCE", 20)  # two or three passes
    questions = [_question(number) for number in range(5)]
    several_threads(3)
    together = list(stored_states(_backbone("several"), questions))
    several_threads(1)
    alone = list(stored_states(_backbone("one"), questions))
    assert len(together) == len(questions)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close((one.opening, *one.nodes), (other.opening, *other.nodes), atol=1e-6, rtol=1e-5)
    assert all(_equal(*pair) for pair in zip(together, stored_states(_backbone("several"), questions), strict=True))
