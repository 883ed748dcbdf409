"""Trunk states on disk: computed once for a model, a number type and a question's token ids, then read back."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from surveysim.errors import ModelError
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.model_files import cache_folder
from surveysim.lm.base.pieces import in_pieces
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.trunk import trees as layout
from surveysim.lm.trunk.recomputed import check_pass
from surveysim.lm.trunk.tree_attention import block_width
from surveysim.lm.trunk.trees import background_order, distinct_suffixes, packs, question_trees
from surveysim.lm.trunk.trunk import Beginnings, QuestionStates, pack_states, read_beginnings
from surveysim.whole_files import open_to_others, partial_beside, sweep

log = logging.getLogger(__name__)

FORMAT = 8  # raised whenever the stored layout changes, or files written before are not to be trusted
LARGEST_CACHE = 4 << 30  # bytes; the oldest files make room for new ones
LIMIT_NAME = "SURVEYSIM_CACHE_GB"  # environment variable that says otherwise
ENDING = ".safetensors"
CHECKSUM = "crc32"
SIZES = "tree_sizes"  # distinct texts in each tree: fewer than usual where memory ran out
COMPUTED_BY = "computed_by"  # how tokens attended to each other, and the number type


_CHECKED: set[tuple[str, int, int]] = set()  # files whose checksum this process has compared: path, time, size


def states_folder() -> Path:
    """Return the folder of all stored states, in the user's cache."""
    return cache_folder() / "activations"


def states_key(backbone: Backbone, question: TokenisedQuestion) -> str:
    """Return the SHA-256 of all that the states depend on: the model's files, how they were computed, token ids, layout."""
    paths = [branch.path for branch in question.trie.branches]
    stored = [FORMAT, layout.BACKGROUNDS_AT_ONCE, layout.TOKENS_EACH, layout.TOKENS_AT_ONCE]
    parts = [
        stored,
        backbone.digest,
        sorted(backbone.files.items()),
        computed_by(backbone),
        question.opening,
        distinct_suffixes(question),
        paths,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def computed_by(backbone: Backbone) -> str:
    """Say how a backbone computes states, in words that are kept with them: attention, number type, bits."""
    config: Any = backbone.trunk.config
    attention = f"{config._attn_implementation}, {block_width(config) or 'all'} rows together"
    return f"{attention}; {backbone.dtype}; {backbone.bits or 'all'} bits"


def stored_states(backbone: Backbone, questions: Sequence[TokenisedQuestion]) -> Iterator[QuestionStates]:
    """Yield the questions' trunk states from the cache, computing and keeping them where they are not there.

    A file is written under another name and renamed, so that an interruption or a second process leaves no half of one. A file
    that cannot be read or has another checksum, or no room on the disk, costs time but no result: the states are computed.

    Questions that go through the trunk together do so again if one of them is missing: what a killed process left undone comes out
    the same bit for bit. Asked with other questions, a question's states can differ in the last bit that the number type holds.
    """
    work, pieces = partial(_completed, backbone), _packs_as_found(backbone, questions)
    in_turn = backbone.moves_weights  # passes wait for each other, so each has all threads
    for few in map(work, pieces) if in_turn else in_pieces(work, pieces, device=backbone.device):
        yield from few


@dataclass(frozen=True, eq=False)
class _Pack:
    """Questions that go through the trunk together, their states where the cache has them, and what they begin with where it lacks any."""

    questions: list[TokenisedQuestion]
    found: list[QuestionStates | None]
    known: Beginnings | None


def _packs_as_found(backbone: Backbone, questions: Sequence[TokenisedQuestion]) -> Iterator[_Pack]:
    known: Beginnings | None = None
    for pack in packs(questions, layout.TOKENS_AT_ONCE):
        found = [_found(backbone, question) for question in pack]
        if known is None and any(states is None for states in found):
            known = read_beginnings(backbone, questions)
        yield _Pack(pack, found, known)


def _completed(backbone: Backbone, pack: _Pack) -> list[QuestionStates]:
    """Return a pack's states, those computed and kept that the cache lacks."""
    found = [states for states in pack.found if states is not None]
    if len(found) == len(pack.found) or pack.known is None:
        return found
    computed = pack_states(backbone, pack.questions, pack.known)
    check_pass(backbone, pack.questions, computed)
    for question, states, new in zip(pack.questions, pack.found, computed, strict=True):
        if states is None:
            _keep_if_possible(backbone, question, new)
    return [new if states is None else states for states, new in zip(pack.found, computed, strict=True)]


def _place(backbone: Backbone, question: TokenisedQuestion) -> Path:
    return states_folder() / f"{states_key(backbone, question)}{ENDING}"


def _found(backbone: Backbone, question: TokenisedQuestion) -> QuestionStates | None:
    path = _place(backbone, question)
    if path.is_file():
        try:
            return _read(path, question, computed_by(backbone))
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("cached states %s cannot be read (%s); they are computed again", path.name, error)
    return None


def _keep_if_possible(backbone: Backbone, question: TokenisedQuestion, states: QuestionStates) -> None:
    try:
        _keep(states, _place(backbone, question), computed_by(backbone))
        make_room()
    except (OSError, SafetensorError) as error:
        log.warning("states of %s are not kept: %s", question.question_id, error)


def _keep(states: QuestionStates, path: Path, how: str) -> None:
    sizes = [len(tree.answers) // states.n_branches for tree in states.trees]
    tensors = {"opening": states.opening, **{f"tree{number}": nodes for number, nodes in enumerate(states.nodes)}}
    tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
    with partial_beside(path) as place:
        save_file(tensors, place, metadata={CHECKSUM: _checksum(tensors), SIZES: json.dumps(sizes), COMPUTED_BY: how})
        open_to_others(place)
        place.replace(path)


def _read(path: Path, question: TokenisedQuestion, how: str) -> QuestionStates:
    """Map a file into memory: what of it is used is read from the disk, and the system may let go of it again."""
    facts = path.stat()
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        about = file.metadata() or {}
    seen = (str(path), facts.st_mtime_ns, facts.st_size)
    if seen not in _CHECKED and _checksum(tensors) != about.get(CHECKSUM):
        raise SafetensorError("another checksum than when they were kept")
    if about.get(COMPUTED_BY) != how:
        raise SafetensorError(f"computed otherwise than now: {about.get(COMPUTED_BY)!r}, not {how!r}")
    _CHECKED.add(seen)
    trees = question_trees(question, json.loads(about[SIZES]))
    nodes = tuple(tensors[f"tree{number}"] for number in range(len(trees)))
    return QuestionStates(tensors["opening"], nodes, tuple(trees), len(question.trie.branches), background_order(question))


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """CRC-32 of all tensors' bytes: it is to find damage, and at over a gigabyte a second costs next to nothing."""
    code = 0
    for name in sorted(tensors):
        code = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().data, code)
    return f"{code:08x}"


def make_room(limit: int | None = None) -> int:
    """Delete the oldest cached states until the rest take at most `limit` bytes; return how many files went.

    Called whenever states are kept, so that the cache cannot grow without bound.

    Parameters
    ----------
    limit : int, optional
        Bytes; default ``SURVEYSIM_CACHE_GB`` times 10^9, or where that is not set `LARGEST_CACHE`.

    Raises
    ------
    ModelError
        If ``SURVEYSIM_CACHE_GB`` is no number.
    """
    largest = _largest() if limit is None else limit
    sweep(states_folder())
    kept, gone = 0, 0
    for _, size, path in sorted(_stored_files(), reverse=True):
        kept += size
        if kept > largest:
            Path(path).unlink(missing_ok=True)
            gone += 1
    return gone


def _largest() -> int:
    said = os.environ.get(LIMIT_NAME)
    try:
        return LARGEST_CACHE if said is None else int(float(said) * 1e9)
    except ValueError as error:
        raise ModelError(f"{LIMIT_NAME}={said!r} is no number of gigabytes; set it to one, such as 50, or unset it") from error


def _stored_files() -> list[tuple[int, int, str]]:
    """Time, size and path of every file of states; what another process deletes meanwhile is not among them."""
    found = []
    with os.scandir(states_folder()) as entries:
        for entry in entries:
            try:
                facts = entry.stat()
            except FileNotFoundError:
                continue
            if entry.name.endswith(ENDING):
                found.append((facts.st_mtime_ns, facts.st_size, entry.path))
    return found
