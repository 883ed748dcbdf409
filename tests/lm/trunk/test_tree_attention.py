"""Attention by block: every token is given all that it sees, in any model."""

from __future__ import annotations

import pytest
import torch

from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.fit.readout import Readout
from surveysim.lm.trunk.tree_attention import TILE_KEYS, TILE_ROWS, TreeCache, in_blocks
from surveysim.lm.trunk.trunk import QuestionStates, question_states
from tests.support.tiny import CONFIGS, WINDOWED, tiny_model

QUESTION = TokenisedQuestion(
    "q",
    tuple(40 + place % 17 for place in range(23)),
    tuple((5, 6, first, second, *range(last)) for second in (8, 3) for first in (7, 1) for last in (2, 4, 1)),
    option_trie([(10,), (11, 20), (11, 21)]),
)


def _states(architecture: str, width: int, monkeypatch: pytest.MonkeyPatch) -> tuple[QuestionStates, torch.Tensor]:
    """Trunk states and features with blocks of `width` tokens."""
    monkeypatch.setattr("surveysim.lm.trunk.tree_attention.BLOCK", width)
    backbone = Backbone(tiny_model(architecture), None, architecture, "digest")
    states = question_states(backbone, QUESTION)
    return states, Readout(backbone, QUESTION.trie.edges).features(states).detach()


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWED])
def test_the_width_of_the_blocks_changes_nothing(architecture: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    states, features = _states(architecture, width, monkeypatch)
    whole, whole_features = _states(architecture, 1000, monkeypatch)
    torch.testing.assert_close(states.nodes[0], whole.nodes[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(states.opening, whole.opening, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features, whole_features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 5, 12, 13])
@pytest.mark.parametrize("width", [1, 4, None])
def test_every_row_is_given_the_keys_that_it_sees_and_no_others(rows: int, width: int | None) -> None:
    seen = torch.rand(rows, 20, generator=torch.Generator().manual_seed(rows)) < 0.3
    asking, keys = torch.arange(100, 100 + rows), torch.arange(80, 100)
    blocks = in_blocks(seen, asking, keys, width)
    n_blocks, even, most = blocks.allowed.shape
    assert n_blocks * even >= rows
    assert most <= 20
    assert even <= (width or rows)
    again = torch.zeros(n_blocks, even, 20, dtype=torch.bool).scatter_(2, blocks.places[:, None].expand(-1, even, -1), blocks.allowed)
    assert torch.equal(again.flatten(0, 1)[:rows], seen)
    assert not again.flatten(0, 1)[rows:].any()
    expected = (asking[:, None] - keys[None])[:even]
    assert torch.equal(blocks.distance[0, : len(expected)], expected.gather(1, blocks.places[:1].expand(len(expected), -1)))


def test_a_block_gets_no_more_keys_than_its_rows_see() -> None:
    """Two branches of a tree: neither is given the other's tokens."""
    seen = torch.block_diag(torch.ones(32, 32), torch.ones(32, 32)).tril().bool()
    places = in_blocks(seen, torch.arange(64), torch.arange(64), 32).places
    assert places.tolist() == [list(range(32)), list(range(32, 64))]


@pytest.mark.parametrize("rows", [70, 99, 140])
def test_blocks_are_whole_tiles(rows: int) -> None:
    """Matrix units work on whole tiles; what fills a block up is seen by nobody."""
    seen = torch.ones(rows, rows).tril().bool()
    seen[:, 40:] &= torch.eye(rows).bool()[:, 40:]  # 40 that all see, and each itself
    blocks = in_blocks(seen, torch.arange(rows), torch.arange(rows), 64)
    n_blocks, width, keys = blocks.allowed.shape
    assert width <= 64
    assert width % TILE_ROWS == 0
    assert keys % TILE_KEYS == 0 or keys == rows
    assert rows <= n_blocks * width < rows + n_blocks * TILE_ROWS
    assert int(blocks.allowed.sum()) == int(seen.sum())


def test_the_cache_hands_out_and_keeps_all() -> None:
    cache = TreeCache()
    cache.places = torch.tensor([[0, 2], [1, 1]])
    keys = torch.arange(3.0).view(1, 1, 3, 1)
    given, _ = cache.update(keys, keys, 0)
    assert given[:, 0, :, 0].tolist() == [[0, 2], [1, 1]]
    assert cache.layers[0].keys.flatten().tolist() == [0, 1, 2]


def test_a_model_with_another_attention_function_reads_the_same() -> None:
    plain, eager = tiny_model(), tiny_model()
    eager.config._attn_implementation = "eager"
    one, other = (question_states(Backbone(model, None, "llama", "digest"), QUESTION) for model in (plain, eager))
    torch.testing.assert_close(one.nodes[0], other.nodes[0], rtol=1e-4, atol=1e-4)
