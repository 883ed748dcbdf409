"""Backgrounds and levels that no respondent has: how far they lie from the sample, and a warning of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id, traits_from_nearest
from surveysim.codebook.codebook import Codebook
from surveysim.errors import first_few

log = logging.getLogger(__name__)

_EXPECTED: ContextVar[bool] = ContextVar("levels without respondents are expected", default=False)


def beyond_training(asked: Iterable[str], seen: Iterable[str]) -> dict[str, Any]:
    """Return what of the backgrounds asked for was never learnt from.

    Parameters
    ----------
    asked, seen : iterable of str
        Background ids.

    Returns
    -------
    dict
        `backgrounds`: how many were never seen, `of` how many; `levels`: trait -> levels that no background seen has;
        `traits_apart`: the most traits in which one differs from the nearest background seen, `traits` of how many.

    Examples
    --------
    >>> from surveysim.simulation.unseen import beyond_training
    >>> beyond_training(["a=1|b=1", "a=2|b=2"], ["a=1|b=1", "a=1|b=2"])
    {'backgrounds': 1, 'of': 2, 'levels': {'a': ['2']}, 'traits_apart': 1, 'traits': 2}
    """
    wanted, known = list(asked), list(seen)
    apart = traits_from_nearest(wanted, known)
    have = _levels(known)
    unseen = {trait: [level for level in levels if level not in have.get(trait, ())] for trait, levels in _levels(wanted).items()}
    return {
        "backgrounds": int((apart > 0).sum()),
        "of": len(wanted),
        "levels": {trait: levels for trait, levels in unseen.items() if levels},
        "traits_apart": int(apart.max(initial=0)),
        "traits": max((len(parse_background_id(identifier)) for identifier in wanted), default=0),
    }


def warn_of_unseen_levels(asked: pd.DataFrame, seen: Iterable[str], codebook: Codebook) -> None:
    """Log a warning where all combinations of levels are asked for and no respondent has some level: guesses alone fill its rows.

    Inside `unseen_levels_expected` nothing is said.

    Parameters
    ----------
    asked : DataFrame
        Trait columns. One that leaves combinations out was chosen, and is not warned of.
    seen : iterable of str
        Ids of the backgrounds sampled.
    codebook : Codebook
        Says how many combinations there are.
    """
    levels = {name: trait.level_names for name, trait in codebook.traits.items() if name in asked}
    if _EXPECTED.get() or len(asked) < prod(map(len, levels.values())):
        return
    known = list(dict.fromkeys(seen))
    have = _levels(known)
    unseen = {trait: [name for name in names if name not in have.get(trait, ())] for trait, names in levels.items()}
    if named := "; ".join(f"{trait}: {first_few(names)}" for trait, names in unseen.items() if names):
        log.warning(
            "no respondent has these levels, and %d of %d backgrounds were never sampled: %s; a frame of backgrounds can leave them out: "
            "observed_backgrounds(survey, by=%s) is one of those sampled",
            len(asked) - len(known), len(asked), named, list(levels),
        )  # fmt: skip


@contextmanager
def unseen_levels_expected() -> Iterator[None]:
    """Do without the warning in a block: methods that are compared on respondents held back would all repeat it."""
    before = _EXPECTED.set(True)
    try:
        yield
    finally:
        _EXPECTED.reset(before)


def _levels(identifiers: list[str]) -> dict[str, dict[str, None]]:
    """Return the levels of every trait, in the order in which they appear."""
    found: dict[str, dict[str, None]] = {}
    for identifier in identifiers:
        for trait, level in parse_background_id(identifier).items():
            found.setdefault(trait, {})[level] = None
    return found
