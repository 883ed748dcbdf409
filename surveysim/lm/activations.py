"""Trunk states on disk: computed once for a model, a number type and a question's token ids, then read back."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from surveysim.lm.backbone import Backbone, TokenisedQuestion
from surveysim.lm.model_files import cache_folder
from surveysim.lm.trunk import QuestionStates, question_states, question_trees

log = logging.getLogger(__name__)

FORMAT = 2  # raised whenever the stored layout changes
LARGEST_CACHE = 4 << 30  # bytes; the oldest files make room for new ones


def states_key(backbone: Backbone, question: TokenisedQuestion) -> str:
    """Return the SHA-256 of all that the states depend on: weights, number type, token ids, layout."""
    parts = [FORMAT, backbone.digest, str(backbone.dtype), question.opening, question.suffixes, [b.path for b in question.trie.branches]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def stored_states(backbone: Backbone, question: TokenisedQuestion) -> QuestionStates:
    """Return a question's trunk states from the cache, computing and keeping them where they are not there.

    A file is written under a temporary name and renamed, so that an interruption or a second process leaves no half of one.
    A file that cannot be read, or no room on the disk, costs time but no result: the states are computed.
    """
    path = cache_folder() / "activations" / f"{states_key(backbone, question)}.safetensors"
    if path.is_file():
        try:
            return _from_tensors(load_file(path), question)
        except (SafetensorError, OSError, KeyError) as error:
            log.warning("cached states %s cannot be read (%s); they are computed again", path.name, error)
    states = question_states(backbone, question)
    try:
        _keep(states, path)
    except OSError as error:
        log.warning("states of %s are not kept: %s", question.question_id, error)
    return states


def _keep(states: QuestionStates, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"opening": states.opening, **{f"tree{number}": nodes for number, nodes in enumerate(states.nodes)}}
    tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, partial)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def make_room(limit: int = LARGEST_CACHE) -> int:
    """Delete the oldest cached states until the rest take at most `limit` bytes; return how many files went."""
    files = sorted((cache_folder() / "activations").glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    kept, gone = 0, 0
    for file in files:
        kept += file.stat().st_size
        if kept > limit:
            file.unlink(missing_ok=True)
            gone += 1
    return gone


def _from_tensors(tensors: dict[str, torch.Tensor], question: TokenisedQuestion) -> QuestionStates:
    trees = question_trees(question)
    nodes = tuple(tensors[f"tree{number}"] for number in range(len(trees)))
    return QuestionStates(tensors["opening"], nodes, tuple(trees), len(question.trie.branches))
