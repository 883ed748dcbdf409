"""Backgrounds: combinations of trait levels, their ids, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.errors import BackgroundError, first_few, nearest
from surveysim.tables.schema import BACKGROUND, ENOUGH, N_EFF, POOLED, POPULATION_SHARE, N


def background_id(levels: Mapping[str, object]) -> str:
    """Return the id of one background: ``age=18-34|gender=female``, traits in alphabetical order.

    Examples
    --------
    >>> from surveysim.codebook.backgrounds import background_id
    >>> background_id({"gender": "female", "age": "18-34"})
    'age=18-34|gender=female'
    """
    return "|".join(f"{trait}={levels[trait]}" for trait in sorted(levels)) or POOLED


def parse_background_id(identifier: str) -> dict[str, str]:
    """Return trait -> level of a background id; empty for the pooled one."""
    return {} if identifier == POOLED else dict(part.split("=", 1) for part in identifier.split("|"))


def checked_traits(frame: pd.DataFrame, codebook: Codebook) -> list[str]:
    """Return the trait columns of a frame of backgrounds, each checked against the codebook.

    Raises
    ------
    BackgroundError
        If there is no trait column or no row, a column is no trait, or a level is unknown.
    """
    kept = {BACKGROUND, POPULATION_SHARE, N, N_EFF, ENOUGH}
    traits = [column for column in frame.columns if column not in kept]
    if not traits or frame.empty:
        raise BackgroundError(f"backgrounds needs a row per background and a column per trait; {nearest('', codebook.traits)}")
    for name in traits:
        if name not in codebook.traits:
            raise BackgroundError(
                f"backgrounds: column {name!r} is no trait of codebook {codebook.name!r}; {nearest(str(name), codebook.traits)}"
            )
        known = codebook.traits[name].level_names
        strange = [level for level in frame[name].astype(object).unique() if level not in known]
        if strange:
            raise BackgroundError(
                f"backgrounds: trait {name!r} has no level {first_few(map(repr, strange))}; its levels are {first_few(known, 20)}"
            )
    return traits


def with_background_id(frame: pd.DataFrame, codebook: Codebook) -> pd.DataFrame:
    """Return `frame` with a `background_id`, its trait columns checked against the codebook.

    Parameters
    ----------
    frame : DataFrame
        Trait columns (level names); the other columns of `observed_backgrounds` may stand beside them.

    Raises
    ------
    BackgroundError
        If there is no trait column, a column is no trait, a level is unknown, or two rows are the same background.
    """
    traits = checked_traits(frame, codebook)
    ids = [background_id(dict(zip(traits, row, strict=True))) for row in frame[traits].astype(str).itertuples(index=False)]
    out = frame.assign(**{BACKGROUND: ids})
    repeated = out[BACKGROUND][out[BACKGROUND].duplicated()]
    if len(repeated):
        raise BackgroundError(f"backgrounds repeats {first_few(repeated.unique())}; keep one row each")
    return out[[BACKGROUND, *[column for column in out.columns if column != BACKGROUND]]].reset_index(drop=True)


def background_grid(codebook: Codebook, *, by: Sequence[str]) -> pd.DataFrame:
    """Return every combination of the levels of the traits `by`, observed or not.

    Parameters
    ----------
    codebook : Codebook
    by : sequence of str
        Names of traits.

    Returns
    -------
    DataFrame
        A row per background: `background_id` and a column per trait (level names), in the codebook's order.

    Raises
    ------
    CodebookError
        If a trait is unknown.

    Examples
    --------
    >>> import surveysim as ss
    >>> grid = ss.background_grid(ss.load_codebook("nonvoters2020"), by=["gender", "age3"])
    >>> grid.background_id[0], len(grid)
    ('age3=18-34|gender=female', 6)
    """
    names = list(by)
    levels = [codebook.trait(name).level_names for name in names]
    return with_background_id(pd.DataFrame(list(product(*levels)), columns=names), codebook)


def trait_order(ids: Sequence[str], codebook: Codebook | None) -> list[str]:
    """Return the traits of some backgrounds in the codebook's order, or as the ids name them."""
    found = list(dict.fromkeys(trait for identifier in ids for trait in parse_background_id(identifier)))
    return found if codebook is None else [name for name in codebook.traits if name in found]


def level_order(ids: Sequence[str], trait: str, codebook: Codebook | None) -> list[str]:
    """Return the levels of a trait that some backgrounds have, in the codebook's order or as they appear."""
    found = list(dict.fromkeys(levels[trait] for levels in map(parse_background_id, ids) if trait in levels))
    return found if codebook is None else [name for name in codebook.trait(trait).level_names if name in found]


def ordered_backgrounds(ids: Sequence[str], codebook: Codebook | None) -> list[str]:
    """Return background ids sorted by the codebook's levels, trait by trait; without a codebook by first appearance of levels.

    Raises
    ------
    CodebookError
        If a trait or level is unknown to the codebook.
    """
    unique = list(dict.fromkeys(ids))
    for identifier in unique:
        for trait, level in parse_background_id(identifier).items():
            if codebook is not None:
                codebook.trait(trait).level(level)
    traits = trait_order(unique, codebook)
    orders = {trait: level_order(unique, trait, codebook) for trait in traits}

    def place(identifier: str) -> tuple[int, ...]:
        levels = parse_background_id(identifier)
        return tuple(orders[trait].index(levels[trait]) if trait in levels else -1 for trait in traits)

    return sorted(unique, key=place)


def traits_from_nearest(asked: Iterable[str], seen: Iterable[str]) -> np.ndarray:
    """Return for every background in how many traits it differs from the nearest one seen, `(asked,)` integers.

    A trait that only one of two backgrounds has counts as different. 0: the background itself was seen. Where none was seen, all
    traits count.

    Examples
    --------
    >>> from surveysim.codebook.backgrounds import traits_from_nearest
    >>> traits_from_nearest(["a=1|b=1", "a=2|b=2"], ["a=1|b=1", "a=1|b=2"]).tolist()
    [0, 1]
    """
    wanted, known = ([parse_background_id(identifier) for identifier in ids] for ids in (asked, dict.fromkeys(seen)))
    traits = sorted({trait for levels in (*wanted, *known) for trait in levels})
    rows = [np.array([[levels.get(trait, "") for trait in traits] for levels in part], object) for part in (wanted, known)]
    if not known:
        return np.array([len(levels) for levels in wanted], dtype=int)
    return np.array([(rows[1] != row).sum(1).min() for row in rows[0]], dtype=int)
