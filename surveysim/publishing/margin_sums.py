"""Which backgrounds are sums of others: a margin of its cells, a level of the levels of another trait that lie within it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

import numpy as np

from surveysim.codebook.backgrounds import background_id, parse_background_id, traits_in
from surveysim.tables.cells import Array

Range = tuple[float, float]
FROM_TO = re.compile(r"(\d+)\D+(\d+)\D*")
FROM = re.compile(r"(\d+)\s*(?:\+|(?:and|or|years)\b.*(?:over|older|more|above))\s*|(?:over|from)\s+(\d+)\D*")
BELOW = re.compile(r"(?:<|under|below|up to|less than)\s*(\d+)\D*|(\d+)\s*(?:and|or)\s+(?:under|younger|less|below)")


def nested_levels(backgrounds: Iterable[str], recorded: Mapping[str, Iterable[str]] | None = None) -> dict[str, dict[str, str]]:
    """Return, for backgrounds of one trait, the levels of other traits that hold all of it: region in country, six ages in three.

    A trait lies within another if a table records it (`attrs["nested"]` of what survey verbs make); if both are ranges of numbers
    with the same ends and each fine one lies in a coarse one; if every fine level begins with the name of a coarse one (`DE1` in
    `DE`); or if in the backgrounds of both traits every fine level stands with one coarse level alone.

    Parameters
    ----------
    backgrounds : iterable of str
        Ids, of one and of several traits.
    recorded : mapping of background_id to background_ids, optional

    Returns
    -------
    dict
        ``{"age6=18-24": {"age3": "18-34"}}``.

    Examples
    --------
    >>> from surveysim.publishing.margin_sums import nested_levels
    >>> nested_levels(["age3=18-34", "age3=35+", "age6=18-24", "age6=25-34", "age6=35+"])["age6=25-34"]
    {'age3': '18-34'}
    >>> nested_levels(["country=DE", "country=FR", "region=DE1", "region=DE2", "region=FR1"])["region=DE1"]
    {'country': 'DE'}
    """
    ids = list(dict.fromkeys(backgrounds))
    levels: dict[str, list[str]] = {trait: [] for trait in traits_in(ids)}
    together: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for own in map(parse_background_id, ids):
        for trait, level in own.items():
            levels[trait].append(level)
        for pair in permutations(own, 2):
            together.setdefault(pair, set()).add((own[pair[0]], own[pair[1]]))
    levels = {trait: list(dict.fromkeys(found)) for trait, found in levels.items()}
    within: dict[str, dict[str, str]] = {}
    for fine, wholes in (recorded or {}).items():
        within[fine] = {trait: level for whole in wholes for trait, level in parse_background_id(whole).items()}
    for fine, coarse in permutations(levels, 2):
        found = (
            _in_ranges(fine, levels[fine], coarse, levels[coarse])
            or _by_beginning(levels[fine], levels[coarse])
            or _by_standing_together(together.get((fine, coarse), set()))
        )
        for level, whole in found.items():
            within.setdefault(background_id({fine: level}), {}).setdefault(coarse, whole)
    return within


def _in_ranges(fine: str, fines: Sequence[str], coarse: str, coarses: Sequence[str]) -> dict[str, str]:
    parts, wholes = [_range(level) for level in fines], [_range(level) for level in coarses]
    if not all(parts) or not all(wholes):
        return {}
    ends = [(min(low for low, _ in found), max(high for _, high in found)) for found in (_known(parts), _known(wholes))]
    named_alike = fine.rstrip("0123456789_") == coarse.rstrip("0123456789_")
    if ends[0] != ends[1] and not named_alike:
        return {}
    return _if_nested(
        {
            level: whole
            for level, (low, high) in zip(fines, _known(parts), strict=True)
            for whole, (least, most) in zip(coarses, _known(wholes), strict=True)
            if least <= low and high <= most
        }
    )


def _if_nested(found: dict[str, str]) -> dict[str, str]:
    """Return level -> whole where there are several wholes, and one of them with several levels."""
    return found if 1 < len(set(found.values())) < len(found) else {}


def _known(ranges: Iterable[Range | None]) -> list[Range]:
    return [found for found in ranges if found is not None]


def _range(level: str) -> Range | None:
    """Return the numbers that a level's name spans: ``18-34``, ``65+``, ``under 25``; `None` where it is no range."""
    text = level.strip().lower()
    if between := FROM_TO.fullmatch(text):
        return float(between[1]), float(between[2])
    if above := FROM.fullmatch(text):
        return float(above[1] or above[2]), np.inf
    if below := BELOW.fullmatch(text):
        return -np.inf, float(below[1] or below[2])
    return (float(text), float(text)) if text.isdecimal() else None


def _by_beginning(fines: Sequence[str], coarses: Sequence[str]) -> dict[str, str]:
    begins = {level: max((whole for whole in coarses if level.startswith(whole)), key=len, default=None) for level in fines}
    found = {level: whole for level, whole in begins.items() if whole is not None}
    return _if_nested(found) if len(found) == len(fines) else {}


def _by_standing_together(pairs: set[tuple[str, str]]) -> dict[str, str]:
    found = dict(pairs)
    return _if_nested(found) if len(found) == len(pairs) else {}


def margin_equations(backgrounds: Sequence[str], recorded: Mapping[str, Iterable[str]] | None = None) -> Array:
    """Return the sums that hold between backgrounds: shape (equations, backgrounds), 1 for a whole and -1 for its parts.

    A background is the sum of those over more traits that share its levels, or whose levels lie within its own (`nested_levels`);
    ``"all"`` is the sum of everyone.

    Examples
    --------
    >>> from surveysim.publishing.margin_sums import margin_equations
    >>> margin_equations(["all", "age=old", "age=young"]).tolist()
    [[1.0, -1.0, -1.0]]
    """
    within = nested_levels(backgrounds, recorded)
    own = [parse_background_id(identifier) for identifier in backgrounds]
    held = [_held(levels, within) for levels in own]
    families: dict[frozenset[str], list[int]] = {}
    for place, levels in enumerate(own):
        families.setdefault(frozenset(levels), []).append(place)
    rows = []
    for coarse, fine in permutations(families, 2):
        parts: dict[str, list[int]] = {}
        for place in families[fine]:
            if coarse <= held[place].keys():
                parts.setdefault(background_id({trait: held[place][trait] for trait in coarse}), []).append(place)
        for whole in families[coarse]:
            if backgrounds[whole] in parts:
                row = np.zeros(len(backgrounds))
                row[whole], row[parts[backgrounds[whole]]] = 1.0, -1.0
                rows.append(row)
    return np.array(rows).reshape(-1, len(backgrounds))


def _held(levels: Mapping[str, str], within: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return a background's levels and those that hold them."""
    wider = [within.get(background_id({trait: level}), {}) for trait, level in levels.items()]
    return {**{trait: level for found in wider for trait, level in found.items()}, **levels}
