"""The cached, shared-prefix path equals the plain model: log shares, losses and gradients."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace

import pytest
import torch

from surveysim.errors import ModelError
from surveysim.lm.backbone import Backbone, TokenisedQuestion, option_trie, parting_places
from surveysim.lm.readout import Readout
from surveysim.lm.trees import distinct_tokens
from surveysim.lm.trunk import question_states
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
    if model.config.tie_word_embeddings:  # the same values apart from the embedding's, whose gradient holds the input side too
        backbone.head.weight = torch.nn.Parameter(backbone.head.weight.detach().clone())
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
    head = backbone.head.weight.grad[readout.token_ids]
    torch.testing.assert_close(readout.rows.grad, head, rtol=1e-4, atol=1e-4 * float(head.abs().max()))


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
    monkeypatch.setattr("surveysim.lm.trees.BACKGROUNDS_AT_ONCE", 2)
    states = question_states(backbone, _question())
    assert len(states.trees) == 3
    torch.testing.assert_close(readout.features(states), whole, rtol=1e-4, atol=1e-5)


OPENINGS = (OPENING, (*OPENING[:8], 3, 4), (*OPENING[:8], 3, 9, 9), (*OPENING, 50), (77, 78))
TEXTS = tuple((5, 6, first, second, *range(last)) for second in (8, 3) for first in (7, 1) for last in (2, 4, 1))


def _questions(suffixes: tuple = TEXTS) -> list[TokenisedQuestion]:
    """Five questions whose openings part at several places, one of them the beginning of another."""
    cuts = parting_places(OPENINGS)
    trie = option_trie(OPTIONS)
    return [TokenisedQuestion(f"q{number}", opening, suffixes, trie, cuts[opening]) for number, opening in enumerate(OPENINGS)]


def _prefixes(question: TokenisedQuestion) -> set[tuple]:
    whole = [question.opening + suffix + branch.path for branch in question.trie.branches for suffix in question.suffixes]
    return {tokens[:length] for tokens in whole for length in range(1, len(tokens) + 1)}


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of every pass through a model, as its embedding sees them."""
    seen: list[int] = []
    original = torch.nn.Embedding.forward

    def forward(self: torch.nn.Embedding, tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens.numel())
        return original(self, tokens)

    monkeypatch.setattr(torch.nn.Embedding, "forward", forward)
    return seen


@pytest.mark.parametrize("at_once", [1, 2, 5, 96])
def test_every_distinct_prefix_runs_once(at_once: int, monkeypatch: pytest.MonkeyPatch, embedded: list[int]) -> None:
    """Of all questions together, whether or not their backgrounds are cut into several trees."""
    monkeypatch.setattr("surveysim.lm.trees.BACKGROUNDS_AT_ONCE", at_once)
    questions, backbone = _questions(), Backbone(tiny_model(), None, "llama", "digest")
    expected = len(set().union(*(_prefixes(question) for question in questions)))
    for question in questions:
        question_states(backbone, question)
    assert sum(embedded) == expected
    assert distinct_tokens(questions) == expected


def test_a_question_asked_again_with_other_backgrounds_reads_its_opening_no_second_time(embedded: list[int]) -> None:
    first, backbone = _questions()[0], Backbone(tiny_model(), None, "llama", "digest")
    question_states(backbone, replace(first, suffixes=TEXTS[:6]))
    embedded.clear()
    second = replace(first, suffixes=TEXTS[6:])
    question_states(backbone, second)
    assert sum(embedded) == len(_prefixes(second)) - len(OPENING)


@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWED])
@pytest.mark.parametrize("at_once", [2, 96])
def test_shared_openings_and_carried_tokens_leave_no_trace(architecture: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surveysim.lm.trees.BACKGROUNDS_AT_ONCE", at_once)
    model, suffixes = tiny_model(architecture), (*TEXTS[::3], TEXTS[0])
    backbone = Backbone(model, None, architecture, "digest")
    readout = Readout(backbone, _questions()[0].trie.edges)
    for question in _questions(suffixes)[:3]:
        ours = readout.log_shares(readout.features(question_states(backbone, question)), question.trie)
        torch.testing.assert_close(ours, _plain(model, suffixes=suffixes, opening=question.opening), rtol=1e-4, atol=1e-5)


def test_the_states_of_a_question_are_the_same_bits_whatever_was_read_before() -> None:
    questions, model = _questions(), tiny_model()
    alone = [question_states(Backbone(model, None, "llama", "digest"), question) for question in questions]
    shared = Backbone(model, None, "llama", "digest")
    together = {question.question_id: question_states(shared, question) for question in questions[::-1]}
    for question, one in zip(questions, alone, strict=True):
        other = together[question.question_id]
        assert all(torch.equal(*pair) for pair in zip((one.opening, *one.nodes), (other.opening, *other.nodes), strict=True))


def test_openings_that_were_not_used_for_longest_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, questions = Backbone(tiny_model(), None, "llama", "digest"), _questions()
    monkeypatch.setattr("surveysim.lm.trunk.READ_BEFORE_BYTES", 1)
    for question in questions:
        question_states(backbone, question)
    assert list(backbone.read_before) == [questions[-1].opening]


def test_where_openings_part() -> None:
    assert parting_places([(1, 2, 3), (1, 2, 4, 5), (1, 2, 4, 6), (1, 2), (9,)]) == {
        (1, 2, 3): (2,),
        (1, 2, 4, 5): (2, 3),
        (1, 2, 4, 6): (2, 3),
        (1, 2): (),
        (9,): (),
    }


def _out_of_memory_above(backgrounds: int, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the trunk and the last layer fail where a tree has more prompts than `backgrounds` in each of its three branches."""
    import surveysim.lm.readout as readout
    import surveysim.lm.trunk as trunk

    original_run, original_features = trunk._run, readout.Readout._tree_features

    def run(backbone: Backbone, tree: object, *rest: object) -> torch.Tensor:
        if len(tree.answers) > 3 * backgrounds:
            raise error
        return original_run(backbone, tree, *rest)

    def features(self: Readout, states: object, nodes: torch.Tensor, tree: object) -> torch.Tensor:
        if len(tree.answers) > 3 * backgrounds:
            raise error
        return original_features(self, states, nodes, tree)

    monkeypatch.setattr(trunk, "_run", run)
    monkeypatch.setattr(readout.Readout, "_tree_features", features)


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "cpu", "cpu on Windows", "python"])
def test_out_of_memory_halves_the_backgrounds_and_says_so(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = Backbone(tiny_model(), None, "llama", "digest")
    readout = Readout(backbone, _question().trie.edges)
    states = question_states(backbone, _question())
    plain = readout.features(states)
    _out_of_memory_above(2, monkeypatch, error)
    again = question_states(backbone, _question())
    assert len(again.trees) == 3
    torch.testing.assert_close(readout.features(again), plain, rtol=1e-4, atol=1e-5)
    assert "question 'q': out of memory with 5 backgrounds at once; going on with 3" in caplog.text
    assert "question 'q': out of memory with 3 backgrounds at once; going on with 2" in caplog.text
    torch.testing.assert_close(readout.features(states), plain, rtol=1e-4, atol=1e-5)
    assert "last layer: out of memory with 5 backgrounds at once; going on with 3" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_out_of_memory_with_one_background_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    _out_of_memory_above(0, monkeypatch, MemoryError())
    with pytest.raises(ModelError, match=r"question 'q': memory runs out with a single background; use dtype='bfloat16', device='cpu'"):
        question_states(Backbone(tiny_model(), None, "llama", "digest"), replace(_question(), opening=()))


def test_another_error_is_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    _out_of_memory_above(0, monkeypatch, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        question_states(Backbone(tiny_model(), None, "llama", "digest"), _question())


def test_the_option_trie_gives_every_option_its_own_way() -> None:
    trie = option_trie(OPTIONS)
    assert [branch.path for branch in trie.branches] == [(), (11,), (12, 20)]
    for option, steps in zip(OPTIONS, trie.steps, strict=True):
        tokens = [trie.edges[step] for step in steps]
        assert tokens == [token for token in option if token in tokens]
    ways = [tuple(steps) for steps in trie.steps]
    assert all(first != second for first, second in itertools.combinations(ways, 2))
