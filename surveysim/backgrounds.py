"""Backgrounds: combinations of trait levels, their ids, and their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd

from surveysim.codebook import Codebook
from surveysim.errors import BackgroundError, first_few, nearest
from surveysim.schema import BACKGROUND, N_EFF, POOLED, POPULATION_SHARE, WEIGHT, N
from surveysim.survey import Survey

CHINESE_COMMA = "\uff0c"


def background_id(levels: Mapping[str, object]) -> str:
    """Return the id of one background: ``age=18-34|gender=female``, traits in alphabetical order.

    Examples
    --------
    >>> from surveysim.backgrounds import background_id
    >>> background_id({"gender": "female", "age": "18-34"})
    'age=18-34|gender=female'
    """
    return "|".join(f"{trait}={levels[trait]}" for trait in sorted(levels)) or POOLED


def parse_background_id(identifier: str) -> dict[str, str]:
    """Return trait -> level of a background id; empty for the pooled one."""
    return {} if identifier == POOLED else dict(part.split("=", 1) for part in identifier.split("|"))


def with_background_id(frame: pd.DataFrame, codebook: Codebook) -> pd.DataFrame:
    """Return `frame` with a `background_id`, its trait columns checked against the codebook.

    Parameters
    ----------
    frame : DataFrame
        Trait columns (level names); `background_id` and `population_share` may stand beside them.

    Raises
    ------
    BackgroundError
        If there is no trait column, a column is no trait, a level is unknown, or two rows are the same background.
    """
    kept = {BACKGROUND, POPULATION_SHARE, N, N_EFF}
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
    ids = [background_id(dict(zip(traits, row, strict=True))) for row in frame[traits].astype(str).itertuples(index=False)]
    out = frame.assign(**{BACKGROUND: ids})
    repeated = out[BACKGROUND][out[BACKGROUND].duplicated()]
    if len(repeated):
        raise BackgroundError(f"backgrounds repeats {first_few(repeated.unique())}; keep one row each")
    return out[[BACKGROUND, *[column for column in out.columns if column != BACKGROUND]]].reset_index(drop=True)


def background_grid(codebook: Codebook, *, by: Sequence[str]) -> pd.DataFrame:
    """Return every combination of the levels of the traits `by`, observed or not.

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


def observed_backgrounds(survey: Survey, *, by: Sequence[str], min_n: int = 1) -> pd.DataFrame:
    """Return the backgrounds that respondents have, with `n`, Kish `n_eff` and weighted `population_share`.

    Respondents without one of the traits count in none. Backgrounds with fewer than `min_n` respondents stay in the
    table, flagged in `enough`; `population_share` is over all backgrounds listed.

    Raises
    ------
    CodebookError
        If a trait is unknown.
    """
    for name in by:
        survey.codebook.trait(name)
    weight = survey.data[WEIGHT]
    groups = survey.data.assign(_square=weight**2).groupby(list(by), observed=True)
    table = groups.agg(n=(WEIGHT, "size"), _sum=(WEIGHT, "sum"), _squares=("_square", "sum")).reset_index()
    table[N_EFF] = table["_sum"] ** 2 / table["_squares"]
    table[POPULATION_SHARE] = table["_sum"] / table["_sum"].sum()
    out = with_background_id(table[[*by, N, N_EFF, POPULATION_SHARE]].astype(dict.fromkeys(by, str)), survey.codebook)
    return out.assign(enough=out[N] >= min_n)


def describe_background(levels: Mapping[str, str], codebook: Codebook, *, order: Sequence[str] | None = None) -> str:
    """Put a background into words for a prompt: ``a woman aged 35 to 54 with a college degree``.

    Level texts are joined in the codebook's order of traits (or `order`). A text that begins with an article is the noun
    that the others describe; without one it is "a person". In Chinese the texts are a list.
    """
    names = [name for name in (order or codebook.traits) if name in levels]
    words = [codebook.trait(name).level(levels[name]).text for name in names]
    if codebook.language.startswith("zh"):
        return CHINESE_COMMA.join(words)
    nouns = [text for text in words if text.startswith(("a ", "an "))]
    return " ".join([nouns[0] if nouns else "a person", *[text for text in words if text not in nouns[:1]]])
