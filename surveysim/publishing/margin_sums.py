"""Which backgrounds are sums of others: a margin of its cells, a level of the levels of another trait that lie within it.

Where the borders of two groupings cross (18-24, 25-34, ... and 18-29, 30-39, ...), both are sums of the parts between all borders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise, permutations

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
    if ends[0] != ends[1] and not _named_alike(fine, coarse):
        return {}
    return _if_nested(
        {
            level: whole
            for level, (low, high) in zip(fines, _known(parts), strict=True)
            for whole, (least, most) in zip(coarses, _known(wholes), strict=True)
            if least <= low and high <= most
        }
    )


def _named_alike(first: str, second: str) -> bool:
    return first.rstrip("0123456789_") == second.rstrip("0123456789_")


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


def crossing_parts(backgrounds: Sequence[str], recorded: Mapping[str, Iterable[str]] | None = None) -> dict[str, dict[str, str]]:
    """Return the parts of levels of traits whose borders cross, as the level of each trait that holds a part.

    Parts are those that a table records (of traits of one variable); else, of levels that are ranges of numbers with the same ends or
    of traits named alike, what lies between all of their borders.

    Examples
    --------
    >>> from surveysim.publishing.margin_sums import crossing_parts
    >>> list(crossing_parts(["a=18-24", "a=25+", "b=18-29", "b=30+"]).values())
    [{'a': '18-24', 'b': '18-29'}, {'a': '25+', 'b': '18-29'}, {'a': '25+', 'b': '30+'}]
    >>> crossing_parts(["a=18-24", "a=25-29", "a=30+", "b=18-29", "b=30+"])
    {}
    """
    levels: dict[str, list[str]] = {}
    for own in map(parse_background_id, dict.fromkeys(backgrounds)):
        for trait, level in own.items():
            levels.setdefault(trait, []).append(level)
    found: dict[str, dict[str, str]] = {}
    for part, wholes in (recorded or {}).items():
        held = {trait: level for whole in wholes for trait, level in parse_background_id(whole).items() if trait in levels}
        if len(held) > 1 and not parse_background_id(part).keys() & levels.keys():
            found[part] = held
    known = {frozenset(pair) for held in found.values() for pair in combinations(held, 2)}
    for first, second in combinations(levels, 2):
        if frozenset((first, second)) not in known:
            parts = _between_borders({trait: list(dict.fromkeys(levels[trait])) for trait in (first, second)})
            found |= {background_id({f"{first} and {second}": f"part {place}"}): held for place, held in enumerate(parts, 1)}
    return found


def _between_borders(levels: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return what lies between all borders of two traits, as the level of each that holds it; nothing where their borders do not cross."""
    spans = {trait: {level: found for level in names if (found := _range(level))} for trait, names in levels.items()}
    if any(len(found) < len(levels[trait]) or len(found) < 2 for trait, found in spans.items()):
        return []
    first, second = spans
    ends = [(min(low for low, _ in found.values()), max(high for _, high in found.values())) for found in spans.values()]
    if ends[0] != ends[1] and not _named_alike(first, second):
        return []
    half_open = {trait: _half_open(found) for trait, found in spans.items()}
    borders = sorted({border for found in half_open.values() for span in found.values() for border in span})
    parts = [
        {trait: level for trait, found in half_open.items() for level, (start, end) in found.items() if start <= low and high <= end}
        for low, high in pairwise(borders)
    ]
    both = [part for part in parts if len(part) == 2]
    return both if all(len({part[trait] for part in both}) < len(both) for trait in spans) else []


def _half_open(spans: Mapping[str, Range]) -> dict[str, Range]:
    """Return from where a level reaches to where the next begins: 24 and 25 are one border; the ends of a trait are open."""
    starts = sorted(low for low, _ in spans.values())
    found = {}
    for level, (low, high) in spans.items():
        following = [start for start in starts if low < start <= high + 1]
        last = high == max(most for _, most in spans.values())
        found[level] = (-np.inf if low == starts[0] else low, np.inf if last else following[0] if following else high + 1)
    return found


def margin_equations(backgrounds: Sequence[str], recorded: Mapping[str, Iterable[str]] | None = None) -> Array:
    """Return the sums that hold between backgrounds: shape (equations, backgrounds and parts), 1 for a whole and -1 for its parts.

    A background is the sum of those over more traits that share its levels, or whose levels lie within its own (`nested_levels`);
    ``"all"`` is the sum of everyone. Where borders of traits cross, columns behind those of the backgrounds stand for the parts between
    all borders (`crossing_parts`), of which no table tells the size.

    Examples
    --------
    >>> from surveysim.publishing.margin_sums import margin_equations
    >>> margin_equations(["all", "age=old", "age=young"]).tolist()
    [[1.0, -1.0, -1.0]]
    """
    crossing = crossing_parts(backgrounds, recorded)
    within = nested_levels(backgrounds, recorded) | crossing
    backgrounds = [*backgrounds, *_cells_of_parts(backgrounds, crossing)]
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


def _cells_of_parts(backgrounds: Sequence[str], crossing: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the backgrounds in which parts stand in the place of the levels that hold them, each once."""
    found: dict[str, None] = {}
    for own in map(parse_background_id, backgrounds):
        for part, held in crossing.items():
            shared = own.keys() & held.keys()
            if shared and all(own[trait] == held[trait] for trait in shared):
                found[background_id({**{trait: own[trait] for trait in own if trait not in held}, **parse_background_id(part)})] = None
    return list(found)


def _held(levels: Mapping[str, str], within: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return a background's levels and those that hold them."""
    wider = [within.get(background_id({trait: level}), {}) for trait, level in levels.items()]
    return {**{trait: level for found in wider for trait, level in found.items()}, **levels}
