"""How far backgrounds lie from those that were learnt from: in traits, and in levels never seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from surveysim.codebook.backgrounds import parse_background_id, traits_from_nearest


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
    >>> from surveysim.simulation.reach import beyond_training
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


def _levels(identifiers: list[str]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for identifier in identifiers:
        for trait, level in parse_background_id(identifier).items():
            found.setdefault(trait, {})[level] = None
    return {trait: list(levels) for trait, levels in found.items()}
