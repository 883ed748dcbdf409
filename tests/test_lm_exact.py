"""The cached, shared-prefix path equals the plain model: log shares, losses and gradients."""

from __future__ import annotations

import itertools

import pytest
import torch

from surveysim.lm.backbone import Backbone, TokenisedQuestion, option_trie
from surveysim.lm.readout import Readout
from surveysim.lm.trunk import distinct_tokens, question_states, question_trees
from tests.tiny import CONFIGS, WINDOWED, tiny_model

OPENING = tuple(range(40, 52))
SUFFIXES = ((5, 6, 7, 8), (5, 6, 9), (5, 6, 7, 10, 11), (12,), (12, 13, 14))
OPTIONS = [(10,), (11, 20), (11, 21), (12, 20, 30), (12, 20, 31)]  # five options, three branches


def _question(suffixes: tuple = SUFFIXES, options: list | None = None) -> TokenisedQuestion:
    return TokenisedQuestion("q", OPENING, suffixes, option_trie(options or OPTIONS))


def _plain_log_share(model: torch.nn.Module, prompt: tuple[int, ...], option: tuple[int, ...], options: list) -> torch.Tensor:
    """The same by definition: at each token of the option, a softmax over the tokens that some option continues with."""
    total = torch.zeros(())
    for depth, token in enumerate(option):
        choices = sorted({other[depth] for other in options if other[:depth] == option[:depth] and len(other) > depth})
        logits = model(torch.tensor([prompt + option[:depth]])).logits[0, -1]
        total = total + logits[choices].log_softmax(-1)[choices.index(token)]
    return total


def _plain(model: torch.nn.Module, options: list = OPTIONS, suffixes: tuple = SUFFIXES, opening: tuple = OPENING) -> torch.Tensor:
    rows = [[_plain_log_share(model, opening + suffix, option, options) for option in options] for suffix in suffixes]
    return torch.stack([torch.stack(row) for row in rows])


@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWED])
def test_shares_loss_and_gradients_equal_the_plain_model(architecture: str) -> None:
    model = tiny_model(architecture)
    backbone = Backbone(model, None, architecture, "digest")
    question = _question()
    readout = Readout(backbone, question.trie.edges)
    target = torch.softmax(torch.arange(25.0).reshape(5, 5).sin(), -1)

    ours = readout.log_shares(readout.features(question_states(backbone, question)), question.trie)
    plain = _plain(model)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert float(plain.detach().exp().std(0).max()) > 0.01, "the prompts must matter for the comparison to say something"

    loss_ours, loss_plain = (-(target * shares).sum(-1).mean() for shares in (ours, plain))
    torch.testing.assert_close(loss_ours, loss_plain, rtol=1e-4, atol=0)
    loss_ours.backward()
    loss_plain.backward()
    pairs = {
        "layer": (readout.layer, backbone.layers[-1]),
        "norm": (readout.norm, backbone.norm),
    }
    for part, (trained, original) in pairs.items():
        expected = dict(original.named_parameters())
        for name, parameter in trained.named_parameters():
            scale = float(expected[name].grad.abs().max())
            torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-4 * scale, msg=f"{part}.{name}")
    if not model.config.tie_word_embeddings:  # tied: the embedding's gradient holds the input side too
        torch.testing.assert_close(readout.rows.grad, backbone.head.weight.grad[readout.token_ids], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", ["gemma3", *WINDOWED])
def test_an_opening_longer_than_the_attention_window(architecture: str) -> None:
    model = tiny_model(architecture)
    backbone = Backbone(model, None, architecture, "digest")
    opening = tuple(30 + place % 19 for place in range(41))
    question = TokenisedQuestion("q", opening, SUFFIXES, option_trie(OPTIONS))
    readout = Readout(backbone, question.trie.edges)
    ours = readout.log_shares(readout.features(question_states(backbone, question)), question.trie)
    torch.testing.assert_close(ours, _plain(model, opening=opening), rtol=1e-4, atol=1e-5)


def test_order_and_company_of_backgrounds_do_not_matter() -> None:
    backbone = Backbone(tiny_model(), None, "llama", "digest")
    readout = Readout(backbone, _question().trie.edges)

    def shares(suffixes: tuple) -> dict[tuple, torch.Tensor]:
        question = _question(suffixes)
        rows = readout.log_shares(readout.features(question_states(backbone, question)), question.trie)
        return dict(zip(suffixes, rows, strict=True))

    together, backwards = shares(SUFFIXES), shares(SUFFIXES[::-1])
    for suffix in SUFFIXES:
        torch.testing.assert_close(backwards[suffix], together[suffix], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(shares((suffix,))[suffix], together[suffix], rtol=1e-4, atol=1e-5)


def test_many_backgrounds_are_cut_into_trees_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Backbone(tiny_model(), None, "llama", "digest")
    readout = Readout(backbone, _question().trie.edges)
    whole = readout.features(question_states(backbone, _question()))
    monkeypatch.setattr("surveysim.lm.trunk.BACKGROUNDS_AT_ONCE", 2)
    states = question_states(backbone, _question())
    assert len(states.trees) == 3
    torch.testing.assert_close(readout.features(states), whole, rtol=1e-4, atol=1e-5)


def test_every_distinct_token_runs_once() -> None:
    question = _question()
    sequences = [suffix + branch.path for branch in question.trie.branches for suffix in question.suffixes]
    prefixes = {sequence[:length] for sequence in sequences for length in range(1, len(sequence) + 1)}
    assert distinct_tokens([question]) == len(OPENING) + len(prefixes)
    (tree,) = question_trees(question)
    assert len(tree.answers) == len(sequences)


def test_the_option_trie_gives_every_option_its_own_way() -> None:
    trie = option_trie(OPTIONS)
    assert [branch.path for branch in trie.branches] == [(), (11,), (12, 20)]
    for option, steps in zip(OPTIONS, trie.steps, strict=True):
        tokens = [trie.edges[step] for step in steps]
        assert tokens == [token for token in option if token in tokens]
    ways = [tuple(steps) for steps in trie.steps]
    assert all(first != second for first, second in itertools.combinations(ways, 2))
