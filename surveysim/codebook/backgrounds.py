"""Backgrounds: combinations of trait levels, their ids, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.questions import Question, Trait
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import BackgroundError, CodebookError, SurveySimError, TableError, first_few, nearest, quoted
from surveysim.tables.schema import BACKGROUND, ENOUGH, N_EFF, POOLED, POPULATION_SHARE, N, require_columns, require_ids

AT_ONCE = 4096  # backgrounds compared at once with all that were seen: memory does not grow with those asked for


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
    """Return trait -> level of a background id; empty for the pooled one.

    Raises
    ------
    TableError
        If it is no background id.
    """
    if identifier == POOLED:
        return {}
    parts = identifier.split("|") if isinstance(identifier, str) else [""]
    if not all("=" in part for part in parts):
        raise TableError(f"background_id {quoted(identifier)} is none; it is written trait=level|trait=level, or {POOLED!r}")
    return dict(part.split("=", 1) for part in parts)


def is_background_id(identifier: object) -> bool:
    """Say whether something is a background id: ``trait=level|trait=level``, or ``"all"``."""
    return isinstance(identifier, str) and (identifier == POOLED or all("=" in part for part in identifier.split("|")))


def split_background(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a column per trait beside `background_id`, so that rows can be chosen and grouped by a trait.

    Parameters
    ----------
    table : DataFrame
        Of any verb, with the column `background_id`.

    Returns
    -------
    DataFrame
        The same rows and `attrs`. Traits that are no columns yet, as in a table made elsewhere or of an earlier release, follow
        `background_id` in alphabetical order, levels as text. Of a background that does not name a trait, a margin or ``"all"``, its level
        is missing.

    Raises
    ------
    TableError
        If `table` has no column `background_id`, an id is none, or a trait bears the name of another column of the table.

    Examples
    --------
    >>> import surveysim as ss
    >>> import pandas as pd
    >>> table = ss.split_background(pd.DataFrame({"background_id": ["age=old|sex=male", "age=young|sex=male"], "share": [0.5, 0.25]}))
    >>> table.columns.tolist(), table.loc[table.age == "old", "sex"].tolist()
    (['background_id', 'age', 'sex', 'share'], ['male'])
    """
    require_columns(table, [BACKGROUND], "table")
    place, ids = pd.factorize(table[BACKGROUND], use_na_sentinel=False)
    levels = [parse_background_id(one) for one in ids]
    columns = {trait: np.array([own.get(trait) for own in levels], dtype=object)[place] for trait in traits_in(ids)}
    clash = [name for name, levels in columns.items() if name in table and not _same_levels(table[name], levels)]
    if clash:
        raise TableError(f"table has a column {first_few(clash)} that is no such trait of its backgrounds; rename that column first")
    added = {name: column for name, column in columns.items() if name not in table}
    before = table.columns.get_loc(BACKGROUND) + 1
    return table.assign(**added)[[*table.columns[:before], *added, *table.columns[before:]]]


def _same_levels(column: pd.Series, levels: np.ndarray) -> bool:
    text = column.astype(object)
    return bool((text.where(text.notna(), None).to_numpy() == levels).all())


def traits_in(ids: Iterable[str]) -> list[str]:
    """Return the traits that background ids name, in alphabetical order; a margin names fewer of them than a cell."""
    return sorted({trait for identifier in ids for trait in parse_background_id(identifier)})


def same_traits(ids: Iterable[str], what: str, remedy: str, *, error: type[SurveySimError] = TableError) -> list[str]:
    """Return the traits of backgrounds that all have the same ones, as whatever lays cells out trait by trait needs them.

    Parameters
    ----------
    ids : iterable of str
        Background ids, at least one.
    what, remedy : str
        For the message: the argument that holds them, and what to do.
    error : class
        Of what is raised.

    Raises
    ------
    TableError
        Or `error`: if one has other traits than the first.

    Examples
    --------
    >>> from surveysim.codebook.backgrounds import same_traits
    >>> same_traits(["age=old|gender=female", "age=old|gender=male"], "cells", "take one set at a time")
    ['age', 'gender']
    """
    unique = list(dict.fromkeys(ids))
    traits = traits_in(unique[:1])
    odd = [identifier for identifier in unique if sorted(parse_background_id(identifier)) != traits]
    if odd:
        raise error(f"{what}: backgrounds {first_few(odd)} have other traits than {unique[0]!r}; {remedy}")
    return traits


def traits_apart(ids: Sequence[str], others: Sequence[str]) -> npt.NDArray[np.int16]:
    """Return in how many traits every background differs from every other one, shape `(ids, others)`.

    A trait that only one of two backgrounds has counts as different.

    Examples
    --------
    >>> from surveysim.codebook.backgrounds import traits_apart
    >>> traits_apart(["a=1|b=1", "a=1"], ["a=1|b=1", "a=2|b=2"]).tolist()
    [[0, 2], [1, 2]]
    """
    levels = [parse_background_id(identifier) for identifier in (*ids, *others)]
    apart = np.zeros((len(ids), len(others)), dtype=np.int16)
    for trait in sorted({trait for own in levels for trait in own}):
        code = pd.factorize(pd.Series([own.get(trait) for own in levels], dtype=object))[0]  # -1 without the trait
        apart += code[: len(ids), None] != code[len(ids) :]
    return apart


def traits_from_nearest(asked: Iterable[str], seen: Iterable[str]) -> npt.NDArray[np.int16]:
    """Return for every background in how many traits it differs from the nearest one seen, `(asked,)` integers.

    0: the background itself was seen. Where none was seen, all traits count.

    Examples
    --------
    >>> from surveysim.codebook.backgrounds import traits_from_nearest
    >>> traits_from_nearest(["a=1|b=1", "a=2|b=2"], ["a=1|b=1", "a=1|b=2"]).tolist()
    [0, 1]
    """
    wanted, known = list(asked), list(dict.fromkeys(seen)) or [POOLED]
    parts = [traits_apart(wanted[start : start + AT_ONCE], known).min(1) for start in range(0, len(wanted), AT_ONCE)]
    return np.concatenate([np.zeros(0, dtype=np.int16), *parts])


def one_trait_pairs(ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return positions of all pairs of backgrounds that differ in one trait, the earlier first, shape `(pairs, 2)`."""
    return np.argwhere(np.triu(traits_apart(ids, ids) == 1)).astype(np.int64)


def checked_traits(frame: pd.DataFrame, codebook: Codebook) -> list[str]:
    """Return the trait columns of a frame of backgrounds, each checked against the codebook.

    Raises
    ------
    BackgroundError
        If there is no trait column or no row, a column is no trait, or a level is unknown.
    """
    require_columns(frame, [], "backgrounds", error=BackgroundError)
    kept = {BACKGROUND, POPULATION_SHARE, N, N_EFF, ENOUGH}
    traits = [column for column in frame.columns if column not in kept]
    if not traits or frame.empty:
        raise BackgroundError(f"backgrounds needs a row per background and a column per trait; {nearest('', codebook.traits)}")
    for name in traits:
        if name not in codebook.traits:
            raise BackgroundError(
                f"backgrounds: column {name!r} is no trait of codebook {codebook.name!r}; {nearest(str(name), codebook.traits)}"
            )
        require_ids(frame, name, "backgrounds", text=False, error=BackgroundError)
        known = codebook.traits[name].level_names
        declared = set(known)
        strange = [level for level in frame[name].astype(object).unique() if level not in declared]
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


def background_grid(codebook: CodebookLike, *, by: str | Sequence[str]) -> pd.DataFrame:
    """Return every combination of the levels of the traits `by`, observed or not.

    Parameters
    ----------
    codebook : str, Path, Codebook or Survey
    by : str or sequence of str
        Names of traits.

    Returns
    -------
    DataFrame
        A row per background: `background_id` and a column per trait (level names), in the codebook's order.

    Raises
    ------
    CodebookError
        If a trait is unknown, or none is named.

    Examples
    --------
    >>> import surveysim as ss
    >>> grid = ss.background_grid(ss.load_codebook("nonvoters2020"), by=["gender", "age3"])
    >>> grid.background_id[0], len(grid)
    ('age3=18-34|gender=female', 6)
    """
    codebook = load_codebook(codebook)
    names = codebook.traits_named(by, "by")
    levels = [codebook.trait(name).level_names for name in names]
    return with_background_id(pd.DataFrame(list(product(*levels)), columns=names), codebook)


def trait_order(ids: Sequence[str], codebook: Codebook | None) -> list[str]:
    """Return the traits of some backgrounds in the codebook's order, or as the ids name them."""
    found = list(dict.fromkeys(trait for identifier in ids for trait in parse_background_id(identifier)))
    return found if codebook is None else [name for name in (*codebook.traits, *codebook.questions) if name in found]


def level_order(ids: Sequence[str], trait: str, codebook: Codebook | None) -> list[str]:
    """Return the levels of a trait that some backgrounds have, in the codebook's order or as they appear."""
    found = dict.fromkeys(levels[trait] for levels in map(parse_background_id, ids) if trait in levels)
    return list(found) if codebook is None else [name for name in _declared(codebook, trait).level_names if name in found]


def _declared(codebook: Codebook, name: str) -> Trait | Question:
    """Return the trait, or the question whose answers are backgrounds."""
    return codebook.question(name) if name in codebook.questions else codebook.trait(name)


def ordered_backgrounds(ids: Sequence[str], codebook: Codebook | None) -> list[str]:
    """Return background ids sorted by the codebook's levels, trait by trait; without a codebook by first appearance of levels.

    Raises
    ------
    CodebookError
        If a trait or level is unknown to the codebook.
    """
    places = {identifier: parse_background_id(identifier) for identifier in ids}
    for trait in traits_in(places):
        names = level_order(list(places), trait, codebook)
        strange = {levels[trait] for levels in places.values() if trait in levels} - set(names)
        if codebook is not None and strange:
            known = _declared(codebook, trait).level_names
            raise CodebookError(f"trait {trait!r} has no level {min(strange)!r}; {nearest(min(strange), known)}")
    orders = {
        trait: {level: at for at, level in enumerate(level_order(list(places), trait, codebook))}
        for trait in trait_order(list(places), codebook)
    }

    def place(identifier: str) -> tuple[int, ...]:
        levels = places[identifier]
        return tuple(order[levels[trait]] if trait in levels else -1 for trait, order in orders.items())

    return sorted(places, key=place)
