"""A question's prompts and options as tokens: what prompts share, and the trie of the options' tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from surveysim.errors import PromptError, first_few
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.prompts.template import QuestionPrompts


@dataclass(frozen=True)
class Branch:
    """A point of an option trie where several tokens are possible: the tokens that lead to it, and the choices there."""

    path: tuple[int, ...]
    choices: tuple[int, ...]


@dataclass(frozen=True)
class OptionTrie:
    """The options of a question as token sequences: which branches decide among them.

    The share of an option is the product, over the branches on its way, of the softmax over that branch's choices: the
    distribution that decoding constrained to the options would produce. It sums to 1. With answer letters there is one branch.

    Attributes
    ----------
    branches : tuple of Branch
        The first has the empty path.
    edges : tuple of token ids
        Choices of all branches, one after the other.
    edge_branch : tuple of int
        The branch of each edge.
    steps : tuple of tuple of int
        For each option, the edges on its way.
    """

    branches: tuple[Branch, ...]
    edges: tuple[int, ...]
    edge_branch: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]


def option_trie(answers: Sequence[Sequence[int]]) -> OptionTrie:
    """Build the trie of the options' token sequences.

    Raises
    ------
    PromptError
        If two options are the same tokens, or one is the beginning of another.
    """
    sequences = [tuple(answer) for answer in answers]
    children: dict[tuple[int, ...], list[int]] = {}
    for sequence in sequences:
        for depth, token in enumerate(sequence):
            known = children.setdefault(sequence[:depth], [])
            if token not in known:
                known.append(token)
    if len(set(sequences)) < len(sequences) or any(sequence in children for sequence in sequences):
        raise PromptError("two options are the same tokens, or one begins with the other; they cannot be told apart")
    paths = [path for path, tokens in children.items() if len(tokens) > 1]
    edge_at = {(path, token): None for path in paths for token in children[path]}
    number = {key: index for index, key in enumerate(edge_at)}
    steps = tuple(
        tuple(number[sequence[:depth], token] for depth, token in enumerate(sequence) if (sequence[:depth], token) in number)
        for sequence in sequences
    )
    return OptionTrie(
        branches=tuple(Branch(path, tuple(children[path])) for path in paths),
        edges=tuple(token for _, token in number),
        edge_branch=tuple(paths.index(path) for path, _ in number),
        steps=steps,
    )


@dataclass(frozen=True)
class TokenisedQuestion:
    """Token ids of one question's prompts: what all begin with, how each goes on, the options' trie.

    `opening` is the template's opening; where the question names the background's country, it ends before the country.
    """

    question_id: str
    opening: tuple[int, ...]
    suffixes: tuple[tuple[int, ...], ...]
    trie: OptionTrie


class TokenIds(dict[str, tuple[int, ...]]):
    """Token ids of texts, each text tokenised once."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def __missing__(self, text: str) -> tuple[int, ...]:
        self[text] = tuple(self.tokenizer(text, add_special_tokens=False).input_ids)
        return self[text]

    def opening(self, text: str) -> tuple[int, ...]:
        """Token ids of a prompt's opening, after the token that this tokenizer begins every text with."""
        return (*_text_start(self.tokenizer), *self[text])


def tokenise(prompts: QuestionPrompts, tokenizer: Any, *, scoring: str, ids: TokenIds | None = None) -> TokenisedQuestion:
    """Turn prompts into token ids, segment by segment, so that shared segments are shared exactly.

    Raises
    ------
    PromptError
        If an answer letter is not a single token, or the options cannot be told apart, or not by the same tokens everywhere.
    """
    ids = TokenIds(tokenizer) if ids is None else ids
    worded = list(dict.fromkeys(prompts.answers))
    if scoring == "letters":
        long = [answer for answer in worded[0] if len(ids[answer]) != 1]
        if long:
            raise PromptError(
                f"question {prompts.question_id!r}: answer letter {first_few(map(repr, long))} is not a single token of this model's "
                'tokenizer; use scoring="text"'
            )
    try:
        trie, *others = [option_trie([ids[answer] for answer in answers]) for answers in worded]
    except PromptError as error:
        raise PromptError(f"question {prompts.question_id!r}: {error}") from error
    if any(other != trie for other in others):
        raise PromptError(
            f"question {prompts.question_id!r}: this model's tokenizer tells its options apart by other tokens in another country; "
            'use scoring="letters"'
        )
    shared = shared_opening(prompts, ids)
    rests = {text: ids.opening(text)[len(shared) :] for text in set(prompts.openings)}
    pairs = zip(prompts.openings, prompts.respondents, strict=True)
    return TokenisedQuestion(prompts.question_id, shared, tuple(rests[opening] + ids[respondent] for opening, respondent in pairs), trie)


def shared_opening(prompts: QuestionPrompts, ids: TokenIds) -> tuple[int, ...]:
    """Return the tokens that the openings of all backgrounds begin with: all of the opening where it names no country."""
    return common_beginning([ids.opening(text) for text in dict.fromkeys(prompts.openings)])


def common_beginning(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the tokens that all sequences begin with."""
    first, last = min(sequences, default=()), max(sequences, default=())  # in alphabetical order all others lie between
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return first[: sum(1 for _ in same)]


def _text_start(tokenizer: Any) -> tuple[int, ...]:
    """Return the token that this tokenizer begins every text with, if any."""
    first = tuple(tokenizer("").input_ids[:1])
    return first if first == (tokenizer.bos_token_id,) else ()


def require_room(question: TokenisedQuestion, backbone: Backbone) -> None:
    """Refuse prompts that are longer than the model was made to read: it would answer, but not sensibly.

    Raises
    ------
    PromptError
        If the longest prompt has more tokens than the model has positions.
    """
    room = getattr(backbone.model.config, "max_position_embeddings", None)
    longest = len(question.opening) + max(map(len, question.suffixes)) + max(len(branch.path) for branch in question.trie.branches)
    if room is not None and longest > room:
        raise PromptError(
            f"question {question.question_id!r}: its longest prompt has {longest:,} tokens, and {backbone.name!r} reads {room:,}; "
            "shorten the template, or use another model"
        )
