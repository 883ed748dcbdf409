"""The distinct tokens of a question's prompts as trees: what the trunk has to read, each token once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

import numpy as np

from surveysim.lm.base.costs import BACKGROUNDS_AT_ONCE
from surveysim.lm.base.tokens import TokenisedQuestion, common_beginning

TOKENS_EACH = 32  # distinct tokens a background that a tree may have on average: fewer backgrounds where each has an own country
TOKENS_AT_ONCE = 2048  # of several small questions in one pass; bfloat16 rounds by what is read together, so figures hang on it


@dataclass(frozen=True, eq=False)
class TokenTree:
    """Distinct tokens of some prompts after their shared opening; parents stand before their children.

    Attributes
    ----------
    tokens, depth : array of int, shape (nodes,)
        Token ids, and positions after the opening.
    ancestors : array of bool, shape (nodes, nodes)
        Row i marks node i and all that lie on the way to it.
    answers : array of int, shape (rows,)
        The last node of each prompt.
    """

    tokens: np.ndarray
    depth: np.ndarray
    ancestors: np.ndarray
    answers: np.ndarray

    def way(self, row: int) -> np.ndarray:
        """Return the nodes of one prompt, from the opening to its last."""
        return np.flatnonzero(self.ancestors[self.answers[row]])


@lru_cache(maxsize=64)
def token_tree(rows: tuple[tuple[int, ...], ...]) -> TokenTree:
    """Build the tree of token sequences."""
    index: dict[tuple[int, int], int] = {}
    parents: list[int] = []
    answers = []
    for row in rows:
        node = -1
        for token in row:
            key = (node, token)
            if key not in index:
                index[key] = len(parents)
                parents.append(node)
            node = index[key]
        answers.append(node)
    ancestors = np.eye(len(parents), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            ancestors[node] |= ancestors[parent]
    tokens = np.array([token for _, token in index], dtype=np.int64)
    return TokenTree(tokens, ancestors.sum(1) - 1, ancestors, np.array(answers))


def distinct_suffixes(question: TokenisedQuestion) -> list[tuple[int, ...]]:
    """Return the texts after the opening, sorted, each once: neighbours share the most tokens."""
    return sorted(set(question.suffixes))


def background_order(question: TokenisedQuestion) -> np.ndarray:
    """Return the place of each background's text among `distinct_suffixes`, shape (backgrounds,)."""
    place = {suffix: index for index, suffix in enumerate(distinct_suffixes(question))}
    return np.array([place[suffix] for suffix in question.suffixes])


def tree_sizes(question: TokenisedQuestion, at_once: int | None = None) -> list[int]:
    """Return how many of the distinct texts go into each tree: at most `at_once`, and `TOKENS_EACH` times as many tokens."""
    most, suffixes = at_once or BACKGROUNDS_AT_ONCE, distinct_suffixes(question)
    sizes, tokens = [1], len(suffixes[0])
    for before, suffix in pairwise(suffixes):
        new = len(suffix) - len(common_beginning([before, suffix]))
        if sizes[-1] == most or tokens + new > most * TOKENS_EACH:
            sizes, tokens, new = [*sizes, 0], 0, len(suffix)
        sizes[-1], tokens = sizes[-1] + 1, tokens + new
    return sizes


def question_trees(question: TokenisedQuestion, sizes: Sequence[int]) -> list[TokenTree]:
    """Return the trees of a question's prompts, one for each batch of backgrounds; rows are branches x distinct texts."""
    rest = iter(distinct_suffixes(question))
    batches = [list(islice(rest, size)) for size in sizes]
    return [token_tree(tuple(suffix + branch.path for branch in question.trie.branches for suffix in batch)) for batch in batches]


def shared_lengths(openings: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Return for each opening how many of its tokens, from the first, another one begins with too."""
    ordered = sorted(openings)
    lengths = dict.fromkeys(ordered, 0)
    for before, after in pairwise(ordered):
        shared = len(common_beginning([before, after]))
        lengths[before], lengths[after] = max(lengths[before], shared), max(lengths[after], shared)
    return lengths


def packs(questions: Sequence[TokenisedQuestion], at_once: int = TOKENS_AT_ONCE) -> Iterator[list[TokenisedQuestion]]:
    """Yield the questions that go through the trunk together: neighbours with `at_once` tokens, or one with more."""
    pack: list[TokenisedQuestion] = []
    room = at_once
    for question in questions:
        sizes = tree_sizes(question)
        alone = len(sizes) > 1  # its backgrounds do not even go into one tree
        tokens = room + 1 if alone else len(question.opening) + len(question_trees(question, sizes)[0].tokens)
        if pack and tokens > room:
            yield pack
            pack, room = [], at_once
        pack, room = [*pack, question], 0 if alone else room - tokens
    if pack:
        yield pack


def carried_nodes(before: TokenTree, tree: TokenTree, n_branches: int) -> np.ndarray:
    """Return the nodes of one tree that the next begins with: shared by the last prompt of the one and the first of the other."""
    last, first = before.way(len(before.answers) // n_branches - 1), tree.way(0)
    shortest = min(len(last), len(first))
    same = before.tokens[last[:shortest]] == tree.tokens[first[:shortest]]
    return last[: int(np.argmin(same)) if not same.all() else shortest]


def halved(tree: TokenTree, n_branches: int) -> list[tuple[np.ndarray, TokenTree]]:
    """Cut a tree's backgrounds in two: for each half the nodes that it keeps, and its tree.

    A tree of a single background comes back as it is.
    """
    rows = np.arange(len(tree.answers)).reshape(n_branches, -1)
    parts = [half for half in np.array_split(rows, 2, axis=1) if half.size]
    return [_part(tree, half.ravel()) for half in parts]


def _part(tree: TokenTree, rows: np.ndarray) -> tuple[np.ndarray, TokenTree]:
    answers = tree.answers[rows]
    kept = np.flatnonzero(tree.ancestors[answers].any(0))
    place = np.full(len(tree.tokens), -1)
    place[kept] = np.arange(len(kept))
    return kept, TokenTree(tree.tokens[kept], tree.depth[kept], tree.ancestors[np.ix_(kept, kept)], place[answers])
