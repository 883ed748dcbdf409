"""How many tokens the trunk has to read of some questions: the distinct prefixes of their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.trunk.trees import carried_nodes, question_trees, tree_sizes


def distinct_tokens(questions: Sequence[TokenisedQuestion]) -> int:
    """Count the distinct prefixes of all prompts: the tokens that run through the trunk."""
    openings = {question.opening[:length] for question in questions for length in range(1, len(question.opening) + 1)}
    return len(openings) + sum(_tree_tokens(question) for question in questions)


def _tree_tokens(question: TokenisedQuestion) -> int:
    trees, branches = question_trees(question, tree_sizes(question)), len(question.trie.branches)
    carried = sum(len(carried_nodes(*pair, branches)) for pair in pairwise(trees))
    return sum(len(tree.tokens) for tree in trees) - carried
