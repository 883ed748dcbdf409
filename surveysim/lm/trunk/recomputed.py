"""One prompt of every pass through the trunk, read again the plain way: a pass whose states differ is not kept and not used."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from surveysim.errors import ModelError
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.trunk.trunk import QuestionStates

# How far a position's states may lie from the plain ones, as a part of their length: what rounding does in many layers, not more
LARGEST = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
LARGEST_OF_FEW_BITS = 0.5  # 8 bits a weight: which columns are multiplied in full depends on what is read together


def check_pass(backbone: Backbone, questions: Sequence[TokenisedQuestion], found: Sequence[QuestionStates]) -> None:
    """Compare the states of one prompt of a pass, at all its positions, with those of the model that reads this prompt alone.

    Which prompt it is follows from the prompts, so that other passes have other ones compared.

    Raises
    ------
    ModelError
        If they differ by more than rounding does.
    """
    mark = zlib.crc32(np.array([len(questions), *questions[0].opening, *questions[-1].suffixes[-1]]).tobytes())
    question, states = questions[mark % len(questions)], found[mark % len(questions)]
    place = mark % len(states.trees)
    tree, nodes = states.trees[place], states.nodes[place]
    way = tree.way(mark % len(tree.answers))
    ours = torch.cat([states.opening, nodes[torch.from_numpy(way).to(nodes.device)]]).float()
    plain = _plain(backbone, [*question.opening, *tree.tokens[way]]).to(ours)
    largest = float(((ours - plain).norm(dim=1) / plain.norm(dim=1).clamp_min(1e-6)).max())
    allowed = LARGEST[backbone.dtype] if backbone.bits is None else LARGEST_OF_FEW_BITS
    if not largest <= allowed:
        raise ModelError(
            f"model {backbone.name!r}, question {question.question_id!r}: states read together with other prompts lie {largest:.2g} of "
            f"their length from those of the prompt read alone, more than rounding explains in {backbone.dtype} (at most {allowed:g}); "
            "they are not used: try dtype='float32', and report it with the model's name"
        )


@torch.no_grad()
def _plain(backbone: Backbone, tokens: Sequence[int]) -> Tensor:
    backbone.ready()
    with backbone.turn if backbone.moves_weights else nullcontext():
        out = backbone.plain_trunk(torch.tensor([tokens], device=backbone.device), use_cache=False)
    states: Tensor = out.last_hidden_state[0]
    return states
