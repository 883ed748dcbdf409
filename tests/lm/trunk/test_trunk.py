"""The cached, shared-prefix path equals the plain model: log shares, losses and gradients."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace

import pytest
import torch

from surveysim.errors import ModelError
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.expected_cost import distinct_tokens
from surveysim.lm.fit.readout import Readout
from surveysim.lm.trunk.trees import packs, shared_lengths
from surveysim.lm.trunk.trunk import QuestionStates, pack_states, question_states, read_beginnings
from tests.support.tiny import CONFIGS, WINDOWED, tiny_model

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
    monkeypatch.setattr("surveysim.lm.trunk.trees.BACKGROUNDS_AT_ONCE", 2)
    states = question_states(backbone, _question())
    assert len(states.trees) == 3
    torch.testing.assert_close(readout.features(states), whole, rtol=1e-4, atol=1e-5)


OPENINGS = (OPENING, (*OPENING[:8], 3, 4), (*OPENING[:8], 3, 9, 9), (*OPENING, 50), (77, 78))
TEXTS = tuple((5, 6, first, second, *range(last)) for second in (8, 3) for first in (7, 1) for last in (2, 4, 1))


def _questions(suffixes: tuple = TEXTS) -> list[TokenisedQuestion]:
    """Five questions whose openings part at several places, one of them the beginning of another."""
    trie = option_trie(OPTIONS)
    return [TokenisedQuestion(f"q{number}", opening, suffixes, trie) for number, opening in enumerate(OPENINGS)]


def _together(backbone: Backbone, questions: list[TokenisedQuestion]) -> list[QuestionStates]:
    """States of questions that are asked together."""
    known = read_beginnings(backbone, questions)
    return [states for pack in packs(questions) for states in pack_states(backbone, pack, known)]


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


@pytest.mark.parametrize("tokens", [1, 100, 4096])
@pytest.mark.parametrize("at_once", [1, 2, 5, 96])
def test_every_distinct_prefix_runs_once(at_once: int, tokens: int, monkeypatch: pytest.MonkeyPatch, embedded: list[int]) -> None:
    """Of all questions together, however many go at once, and whether or not their backgrounds are cut into several trees."""
    monkeypatch.setattr("surveysim.lm.trunk.trees.BACKGROUNDS_AT_ONCE", at_once)
    monkeypatch.setattr("surveysim.lm.trunk.trees.TOKENS_AT_ONCE", tokens)
    questions, backbone = _questions(), Backbone(tiny_model(), None, "llama", "digest")
    for asked in (questions, questions[1:3], questions[:1]):
        embedded.clear()
        _together(backbone, asked)
        assert sum(embedded) == len(set().union(*(_prefixes(question) for question in asked)))
        assert distinct_tokens(asked) == sum(embedded)


def test_as_many_questions_go_at_once_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch, embedded: list[int]) -> None:
    questions = _questions()
    monkeypatch.setattr("surveysim.lm.trunk.trees.TOKENS_AT_ONCE", 140)
    sizes = [len(pack) for pack in packs(questions)]
    assert max(sizes) > 1
    assert [question for pack in packs(questions) for question in pack] == questions
    _together(Backbone(tiny_model(), None, "llama", "digest"), questions)
    assert len(embedded) == len(sizes) + 1, "one pass for the beginnings and one for each pack"
    monkeypatch.setattr("surveysim.lm.trunk.trees.BACKGROUNDS_AT_ONCE", 5)
    assert [len(pack) for pack in packs(questions)] == [1] * 5, "a question of several trees goes alone"


@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWED])
@pytest.mark.parametrize("at_once", [2, 96])
def test_shared_openings_and_carried_tokens_leave_no_trace(architecture: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surveysim.lm.trunk.trees.BACKGROUNDS_AT_ONCE", at_once)
    model, suffixes = tiny_model(architecture), (*TEXTS[::3], TEXTS[0])
    backbone, questions = Backbone(model, None, architecture, "digest"), _questions(suffixes)[:3]
    readout = Readout(backbone, questions[0].trie.edges)
    for question, states in zip(questions, _together(backbone, questions), strict=True):
        ours = readout.log_shares(readout.features(states), question.trie)
        torch.testing.assert_close(ours, _plain(model, suffixes=suffixes, opening=question.opening), rtol=1e-4, atol=1e-5)


def test_the_states_of_a_question_are_the_same_whatever_is_read_with_it() -> None:
    questions, backbone = _questions(), Backbone(tiny_model(), None, "llama", "digest")
    for together in (questions, questions[::-1]):
        for question, states in zip(together, _together(backbone, together), strict=True):
            alone = question_states(backbone, question)
            torch.testing.assert_close(states.opening, alone.opening, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(states.nodes[0], alone.nodes[0], rtol=1e-4, atol=1e-4)


def test_the_same_questions_give_the_same_bits() -> None:
    first, second = (_together(Backbone(tiny_model(), None, "llama", "digest"), _questions()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(*pair) for pair in zip((one.opening, *one.nodes), (other.opening, *other.nodes), strict=True))


def test_how_much_of_an_opening_another_begins_with_too() -> None:
    openings = [(1, 2, 3), (1, 2, 4, 5), (1, 2, 4, 6), (1, 2), (9,), (7, 8), (7, 8)]
    assert shared_lengths(openings) == {(1, 2, 3): 2, (1, 2, 4, 5): 3, (1, 2, 4, 6): 3, (1, 2): 2, (9,): 0, (7, 8): 2}
    assert shared_lengths([]) == {}


def _out_of_memory_above(backgrounds: int, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the trunk and the last layer fail where a tree has more prompts than `backgrounds` in each of its three branches."""
    import surveysim.lm.fit.readout as readout
    import surveysim.lm.trunk.trunk as trunk

    original_read, original_features = trunk._read_portions, readout.Readout.bundle_features

    def read(backbone: Backbone, portions: list, *rest: object) -> torch.Tensor:
        if sum(len(portion.tree.answers) for portion in portions) > 3 * backgrounds:
            raise error
        return original_read(backbone, portions, *rest)

    def features(self: Readout, parts: list) -> list:
        if len(parts[0].tree.answers) > 3 * backgrounds:
            raise error
        return original_features(self, parts)

    monkeypatch.setattr(trunk, "_read_portions", read)
    monkeypatch.setattr(readout.Readout, "bundle_features", features)


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


def test_out_of_memory_with_several_questions_goes_on_with_one(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    backbone, questions = Backbone(tiny_model(), None, "llama", "digest"), _questions()
    plain = _together(backbone, questions)
    _out_of_memory_above(len(TEXTS), monkeypatch, MemoryError())
    for one, other in zip(plain, _together(backbone, questions), strict=True):
        torch.testing.assert_close(one.nodes[0], other.nodes[0], rtol=1e-4, atol=1e-4)
    assert [record.message for record in caplog.records] == ["out of memory with 5 questions at once; going on with one"]


def test_out_of_memory_with_the_beginnings_reads_every_opening_whole(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import surveysim.lm.trunk.trunk as trunk

    backbone, questions = Backbone(tiny_model(), None, "llama", "digest"), _questions()

    def run(*_given: object) -> torch.Tensor:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(trunk, "_run", run)
        known = read_beginnings(backbone, questions)
    assert not known.ways
    assert "out of memory with what 5 questions begin with; each reads it by itself" in caplog.text
    monkeypatch.setattr(trunk, "_run", lambda *_given: torch.empty(2, 3) @ torch.empty(2, 3))
    with pytest.raises(RuntimeError, match="shapes"):
        read_beginnings(backbone, questions)


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
