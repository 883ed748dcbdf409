"""Where countries and regions lie on a grid of tiles: grids that ship, found by the names of levels, and grids that users lay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from surveysim.codebook.matching import plain
from surveysim.errors import TableError, first_few, nearest, quoted
from surveysim.figures.bars import Color
from surveysim.figures.style import text_width, wrap
from surveysim.tables.schema import require_columns, require_numbers
from surveysim.tables.storage import shipped_names, table_text

LEVEL, TILE, ROW, COLUMN, NAMES = "level", "tile", "row", "column", "names"
GRIDS = "tiles"  # the folder of the package's data; in attrs, the name of the grid
FEWEST = 0.5  # part of the levels that must have a tile before a grid is chosen unasked
FRAME = "with columns level, row and column"
GAP, SMALLEST = 1.5, 4.5  # points: free about a tile, and of the smallest font
Place: TypeAlias = tuple[float, float, float]  # row, column, side in points


def tiles_of(levels: Iterable[str], tiles: str | pd.DataFrame | None) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a grid, and where in it each level stands, -1 where it has no tile.

    Returns
    -------
    tuple of (DataFrame, array of int)
        `tile row column names`, a row per tile, with all names by which it is known; ``attrs["tiles"]`` is the grid's own.

    Raises
    ------
    TableError
        If no level has a tile, or two have one between them; if no grid is named and none has half of the levels, or two have as many; if
        the grid is unknown, or a user's frame has other columns, a place that is no whole number, or a level or place twice.
    """
    levels = list(levels)
    grid = _own_grid(tiles) if isinstance(tiles, pd.DataFrame) else _shipped_grid(levels, tiles)
    known = {plain(name): place for place, names in enumerate(grid[NAMES]) for name in names}
    place = np.array([known.get(plain(level), -1) for level in levels])
    if not (place >= 0).any():
        tiled = first_few(names[0] for names in grid[NAMES])
        raise TableError(f"tiles: no level has a tile; {first_few(levels)} are not among {tiled}; give tiles= a frame {FRAME}")
    taken, counts = np.unique(place[place >= 0], return_counts=True)
    if (counts > 1).any():
        shared = [level for level, own in zip(levels, place, strict=True) if own in taken[counts > 1]]
        raise TableError(f"tiles: levels {first_few(shared)} have one tile between them; give tiles= a frame {FRAME}")
    return grid, place


def _shipped_grid(levels: list[str], wanted: str | None) -> pd.DataFrame:
    """Return the grid of a name, or the one that has most of the levels."""
    shipped = shipped_names(GRIDS)
    if wanted is not None:
        if not isinstance(wanted, str) or wanted not in shipped:
            raise TableError(f"tiles: no grid {quoted(wanted)} ships; {nearest(str(wanted), shipped)}; or give a frame {FRAME}")
        return _shipped(wanted)
    grids = {name: _shipped(name) for name in shipped}
    sought = {plain(level) for level in levels}
    counts = {name: len(sought & {plain(each) for names in grid[NAMES] for each in names}) for name, grid in grids.items()}
    most = max(counts.values())
    best = [name for name, count in counts.items() if count == most]
    if most < max(1, FEWEST * len(sought)):
        raise TableError(
            f"tiles: the grids that ship ({', '.join(shipped)}) have at most {most} of {len(sought)} levels ({first_few(levels)}); give "
            f"tiles= a frame {FRAME}, or a grid's name, to draw the levels that it has"
        )
    if len(best) > 1:
        raise TableError(f"tiles: the levels {first_few(levels)} could be those of {' or '.join(best)}; say which with tiles=")
    return grids[best[0]]


def _shipped(name: str) -> pd.DataFrame:
    grid = pd.read_csv(StringIO(table_text(name, GRIDS, "grid of tiles")), comment="#", keep_default_na=False)
    grid[NAMES] = [[*names.split("|"), tile] for names, tile in zip(grid[LEVEL], grid[TILE], strict=True)]
    grid.attrs[GRIDS] = name
    return grid


def _own_grid(tiles: pd.DataFrame) -> pd.DataFrame:
    """Check tiles that the user laid."""
    require_columns(tiles, [LEVEL, ROW, COLUMN], "tiles")
    for column in (ROW, COLUMN):
        numbers = require_numbers(tiles, column, "tiles")
        wrong = ~(np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 1000))
        if wrong.any():
            raise TableError(
                f"tiles: {column} must be whole numbers, counted from the upper left; not so in row {first_few(tiles.index[wrong])}"
            )
    for columns, what in (([LEVEL], "level"), ([ROW, COLUMN], "place")):
        twice = tiles[tiles.duplicated(columns)]
        if len(twice):
            raise TableError(
                f"tiles gives a {what} twice, at level {first_few(map(repr, twice[LEVEL]))}; give every level a place of its own"
            )
    short = tiles[TILE] if TILE in tiles else tiles[LEVEL]
    grid = pd.DataFrame(
        {
            TILE: short.astype(str).to_numpy(),
            ROW: tiles[ROW].to_numpy(int),
            COLUMN: tiles[COLUMN].to_numpy(int),
            NAMES: [[str(level)] for level in tiles[LEVEL]],
        }
    )
    grid.attrs[GRIDS] = "given"
    return grid


def draw_tile(ax: Axes, place: Place, **look: Any) -> None:
    """Draw a tile, without an edge unless it is given one."""
    row, column, side = place
    gap = GAP / side
    ax.add_patch(Rectangle((column + gap, row + gap), 1 - 2 * gap, 1 - 2 * gap, **{"linewidth": 0, **look}))


def write_in_tile(ax: Axes, place: Place, lines: Sequence[tuple[str, float, bool]], ink: str, behind: Color | None = None) -> None:
    """Write lines (text, size, bold) in a tile, smaller where it is narrow; lines that its height has no room for are left out."""
    row, column, side = place
    room, shown = side - 2 * GAP - 2, list[tuple[str, float, bool]]()
    for text, size, bold in lines:
        parts = wrap(text, room, size, bold=bold)[:2] if bold else [text]
        small = min([size, *(size * room / text_width(part, size, bold=bold) for part in parts)])
        shown += [(part, max(small, SMALLEST), bold) for part in parts]
    while len(shown) > 1 and 1.25 * sum(size for _, size, _ in shown) > room:
        shown.pop()
    up = 0.625 * sum(size for _, size, _ in shown)
    box = None if behind is None else {"facecolor": behind, "edgecolor": "none", "pad": 0.9}
    style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center_baseline", "color": ink, "bbox": box}
    for text, size, bold in shown:
        up -= 0.625 * size
        ax.annotate(text, (column + 0.5, row + 0.5), (0, up), fontsize=size, fontweight="bold" if bold else "normal", **style)
        up -= 0.625 * size
