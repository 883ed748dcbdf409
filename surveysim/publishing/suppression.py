"""Complementary suppression: which further cells must be withheld, so that withheld ones do not follow from the rest.

A table that holds margins beside its cells obeys equations: the respondents of a background are those of its parts. A
withheld cell that is the only unknown of an equation is not withheld at all; neither is one that follows from several
equations together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.tables.cells import Array

EXACT = 1e-9  # numerical slack of "follows from the equations"


def margin_equations(backgrounds: Sequence[str]) -> Array:
    """Return the sums that hold between backgrounds: shape (equations, backgrounds), 1 for a whole and -1 for its parts.

    A background is the sum of those over more traits that share its levels; ``"all"`` is the sum of everyone.

    Examples
    --------
    >>> from surveysim.publishing.suppression import margin_equations
    >>> margin_equations(["all", "age=old", "age=young"]).tolist()
    [[1.0, -1.0, -1.0]]
    """
    levels = [parse_background_id(identifier) for identifier in backgrounds]
    families: dict[frozenset[str], list[int]] = {}
    for place, own in enumerate(levels):
        families.setdefault(frozenset(own), []).append(place)
    rows = []
    for coarse, fine in permutations(families, 2):
        if not coarse < fine:
            continue
        parts: dict[str, list[int]] = {}
        for place in families[fine]:
            parts.setdefault(background_id({trait: levels[place][trait] for trait in coarse}), []).append(place)
        for whole in families[coarse]:
            if backgrounds[whole] in parts:
                row = np.zeros(len(backgrounds))
                row[whole], row[parts[backgrounds[whole]]] = 1.0, -1.0
                rows.append(row)
    return np.array(rows).reshape(-1, len(backgrounds))


def complementary(equations: Array, n: Array, withheld: np.ndarray, *, min_n: int, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Withhold further cells until no withheld one follows from those published.

    An equation counts if its parts leave fewer than `min_n` of its whole's respondents unexplained. In each, the parts
    withheld must have `min_n` respondents together; and none may follow from all equations jointly. The smallest cell that
    helps goes first, parts before wholes.

    Parameters
    ----------
    equations : array, shape (equations, cells)
        From `margin_equations`.
    n : array, shape (cells,)
        Respondents.
    withheld : bool array, shape (cells,)
    min_n : int
    fixed : bool array, shape (cells,)
        Published already: not to be withheld.

    Returns
    -------
    tuple of bool arrays
        Cells withheld, the ones given among them; and those that still follow, because all that could hide them is fixed.

    References
    ----------
    Cox (1980), Suppression methodology and statistical disclosure control, doi:10.1080/01621459.1980.10477481.
    """
    known = equations[(np.abs(equations @ n) < min_n) & ((equations < 0) & (n > 0)).any(1)]
    hidden = withheld.copy()
    while True:
        exposed = _exposed(known, n, hidden, min_n)
        together = (known[:, exposed] != 0).any(1)
        part, whole = ((known[together] * sign > 0).any(0) & ~hidden & ~fixed & (n > 0) for sign in (-1, 1))
        choice = part if part.any() else whole
        if not choice.any():
            return hidden, exposed
        hidden[np.argmin(np.where(choice, n, np.inf))] = True


def _exposed(known: Array, n: Array, hidden: np.ndarray, min_n: int) -> np.ndarray:
    """Return the withheld cells that follow from the equations, or whose withheld sum does and is below the minimum."""
    exposed = np.zeros(len(n), dtype=bool)
    parts = (known < 0) & hidden
    plain = ~((known > 0) & hidden).any(1)  # the whole is published
    thin = plain & parts.any(1) & (parts @ n < min_n)
    exposed |= parts[thin].any(0)
    if hidden.any() and len(known):
        places = np.flatnonzero(hidden)
        _, size, basis = np.linalg.svd(known[:, places], full_matrices=False)
        solved = np.square(basis[size > EXACT]).sum(0) > 1 - EXACT
        exposed[places[solved]] = True
    return exposed
