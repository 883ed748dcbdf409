"""The frozen trunk, run once: hidden states that enter the last layer, for every prompt of a question."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from surveysim.lm.backbone import Backbone, TokenisedQuestion

ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class QuestionStates:
    """What enters the last layer for one question's prompts. A row is a background at a branch of the option trie.

    Attributes
    ----------
    opening : Tensor
        `(opening tokens, hidden)`, shared by all rows.
    context : Tensor
        `(rows, tokens, hidden)`: the tokens between the opening and the answer position, padded on the right.
    context_length : Tensor
        `(rows,)`: how many of them are real.
    answer : Tensor
        `(rows, hidden)`: the position whose output decides.
    n_backgrounds : int
        Rows are ordered branch by branch: ``rows = branches x backgrounds``.
    """

    opening: Tensor
    context: Tensor
    context_length: Tensor
    answer: Tensor
    n_backgrounds: int

    def to(self, device: torch.device, dtype: torch.dtype) -> QuestionStates:
        """Return the states on a device, in a floating-point type."""
        move = lambda tensor: tensor.to(device, dtype)  # noqa: E731
        return QuestionStates(move(self.opening), move(self.context), self.context_length.to(device), move(self.answer), self.n_backgrounds)


@torch.no_grad()
def question_states(backbone: Backbone, question: TokenisedQuestion) -> QuestionStates:
    """Run the trunk over one question's prompts: the opening once, each background's tokens after it.

    Padding stands on the right, where causal attention cannot see it.
    """
    rows = [suffix + branch.path for branch in question.trie.branches for suffix in question.suffixes]
    entering: list[Tensor] = []

    def keep(_module: object, args: tuple, kwargs: dict) -> None:
        entering.append(args[0] if args else kwargs["hidden_states"])

    hook = backbone.layers[-1].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        opening = torch.tensor([question.opening], device=backbone.device)
        shared = backbone.body(opening, use_cache=True).past_key_values
        for start in range(0, len(rows), ROWS_AT_ONCE):
            chunk = rows[start : start + ROWS_AT_ONCE]
            cache = copy.deepcopy(shared)
            cache.batch_repeat_interleave(len(chunk))
            tokens = pad_sequence([torch.tensor(row) for row in chunk], batch_first=True).to(backbone.device)
            backbone.body(tokens, past_key_values=cache, use_cache=True)
    finally:
        hook.remove()
    states = [state[: len(row)] for state, row in zip((row for chunk in entering[1:] for row in chunk), rows, strict=True)]
    return QuestionStates(
        opening=entering[0][0],
        context=pad_sequence([state[:-1] for state in states], batch_first=True),
        context_length=torch.tensor([len(row) - 1 for row in rows]),
        answer=torch.stack([state[-1] for state in states]),
        n_backgrounds=len(question.suffixes),
    )
