"""Attention among the tokens of a tree, in blocks: neighbours attend together to what any of them sees, and to nothing else.

A token sees its ancestors. In a tree of many prompts these are few, and neighbours share most of them, so a mask over all pairs of
tokens would be nearly empty. The layers are transformers' own. What is ours is the cache, which hands every block the keys and
values that it needs; the function that lays the queries out in the same blocks is `block_attention`'s, below.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from surveysim.lm.base.block_attention import BY_BLOCK

BLOCK = 64  # tokens that attend together: fewer, and their ancestors are fetched more often; more, and the masks are emptier
TILE_ROWS, TILE_KEYS = 16, 32  # matrix units work on whole tiles: 192 keys take less time than 165


class TreeCache(DynamicCache):
    """Keys and values of all tokens, of which each block of queries is given those at `places` `(blocks, keys)`; None: all."""

    places: Tensor | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *where: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Add a layer's keys and values, and return those that its attention needs."""
        keys, values = super().update(key_states, value_states, *where, **options)
        return (keys, values) if self.places is None else (_handed_out(keys, self.places), _handed_out(values, self.places))


def _handed_out(parts: Tensor, places: Tensor) -> Tensor:
    """Take `(1, heads, tokens, size)` apart into `(blocks, heads, keys, size)`."""
    taken = parts[0].index_select(1, places.flatten().to(parts.device))
    return taken.view(parts.shape[1], *places.shape, parts.shape[3]).transpose(0, 1)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Rows of a tree in blocks of equal width, the last filled up with rows that see nothing.

    Attributes
    ----------
    places : Tensor of int, shape (blocks, keys)
        The keys that any row of a block sees, in order; then others, which none of them sees.
    allowed : Tensor of bool, shape (blocks, width, keys)
    distance : Tensor of int, shape (blocks, width, keys)
        How far back a key lies from a row.
    """

    places: Tensor
    allowed: Tensor
    distance: Tensor

    def masks(self, windows: Mapping[str, int | None], dtype: torch.dtype) -> Any:
        """Additive masks `(blocks, 1, width, keys)`: one, or one for each kind of layer where some see only a window of tokens."""
        seen = {kind: self.allowed if window is None else self.allowed & (self.distance < window) for kind, window in windows.items()}
        masks = {kind: additive(allowed, dtype) for kind, allowed in seen.items()}
        return masks if len(masks) > 1 else next(iter(masks.values()))


def in_blocks(seen: Tensor, rows_at: Tensor, keys_at: Tensor, width: int | None) -> Blocks:
    """Cut a boolean matrix `(rows, keys)` into blocks of at most `width` neighbouring rows (None: all), each with the keys it needs.

    Blocks are filled up to whole tiles of the processor's matrix units, with keys that none of their rows sees.

    Parameters
    ----------
    seen : Tensor of bool, shape (rows, keys)
    rows_at, keys_at : Tensor of int
        Positions of the tokens that ask and that are asked.
    width : int or None
    """
    rows, keys = seen.shape
    even, blocks = (rows, 1) if width is None else _even_blocks(rows, width)
    cut = torch.cat([seen, seen.new_zeros(blocks * even - rows, keys)]).view(blocks, even, keys)
    needed = cut.view(torch.uint8).amax(1)  # as any(), thirty times faster
    places = needed.argsort(dim=1, descending=True, stable=True)[:, : _whole(int(needed.sum(1).max()), TILE_KEYS)]
    asking = torch.cat([rows_at, rows_at.new_zeros(blocks * even - rows)]).view(blocks, even, 1)
    allowed = cut.gather(2, places[:, None].expand(-1, even, -1))
    return Blocks(places, allowed, asking - keys_at[places][:, None])


def _even_blocks(rows: int, width: int) -> tuple[int, int]:
    """Return the width of blocks, at most `width`, and their number: as even as whole tiles let them be."""
    even = min(width, _whole(-(-rows // -(-rows // width)), TILE_ROWS))
    return even, -(-rows // even)


def _whole(count: int, tile: int) -> int:
    return -(-count // tile) * tile


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn boolean masks `(blocks, rows, keys)` into the additive mask `(blocks, 1, rows, keys)` that attention takes."""
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[:, None]


def block_width(config: Any) -> int | None:
    """How many rows attend together under a trunk's configuration; None, which is all, where its attention function is not ours."""
    return BLOCK if config._attn_implementation == BY_BLOCK else None


def reading(module: nn.Module, cache: TreeCache) -> dict[str, TreeCache]:
    """Return keys and values as the argument that a transformers module takes them in: `cache`, before 5.24 `past_key_values`."""
    name = "cache" if "cache" in inspect.signature(module.forward).parameters else "past_key_values"
    return {name: cache}


def tree_mask(seen: Tensor, n_opening: int) -> Tensor:
    """Prepend the opening, which all see, to a boolean matrix `(rows, nodes)`."""
    return torch.cat([torch.ones(seen.shape[0], n_opening, dtype=torch.bool, device=seen.device), seen], 1)


def within_window(positions: Tensor, keys: Tensor, window: int) -> Tensor:
    """Mark the keys that lie less than `window` positions back, `(rows, keys)`."""
    return positions[:, None] - keys[None] < window
