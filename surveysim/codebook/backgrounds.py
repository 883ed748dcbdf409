"""Backgrounds: combinations of trait levels, their ids, and their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.errors import BackgroundError, first_few, nearest
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import BACKGROUND, N_EFF, POOLED, POPULATION_SHARE, WEIGHT, N

CHINESE_COMMA = "\uff0c"
ENOUGH = "enough"  # column of `observed_backgrounds`: whether a background has the fewest respondents asked for
_ARTICLES = ("a ", "an ")
_JOINED = frozenset({"with", "who"})  # words that two neighbouring texts may both begin with


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


def observed_backgrounds(survey: Survey, *, by: Sequence[str], min_n: int = 1, min_n_eff: float = 0.0) -> pd.DataFrame:
    """Return the backgrounds that respondents have, with `n`, Kish `n_eff` and weighted `population_share`.

    Respondents without one of the traits count in none (``na_table(survey, of="traits")`` says how many, and why).
    Backgrounds with too few respondents stay in the table, flagged in `enough`; `population_share` (0-1) is over all
    backgrounds listed.

    Parameters
    ----------
    survey : Survey
    by : sequence of str
        Traits, at least one.
    min_n : int
        Fewest respondents.
    min_n_eff : float
        Fewest effective respondents.

    Returns
    -------
    DataFrame
        Columns `background_id`, the traits, `n`, `n_eff`, `population_share`, `enough`.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    CodebookError
        If a trait is unknown.
    BackgroundError
        If `by` is no list of traits, the survey was read without one of them, or no respondent has them all; if a minimum is
        negative.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> cells = ss.observed_backgrounds(survey, by=["gender", "age3"], min_n=30, min_n_eff=20)
    >>> len(cells), bool(cells.enough.all())
    (6, True)
    """
    check_survey(survey)
    names = _trait_names(survey, by)
    if min_n < 0 or min_n_eff < 0:
        raise BackgroundError(f"min_n={min_n} and min_n_eff={min_n_eff}: a minimum is at least 0")
    weight = survey.data[WEIGHT]
    groups = survey.data.assign(_square=weight**2).groupby(names, observed=True)
    table = groups.agg(n=(WEIGHT, "size"), _sum=(WEIGHT, "sum"), _squares=("_square", "sum")).reset_index()
    if table.empty:
        raise BackgroundError(f"no respondent has a level of every one of {first_few(names)}; na_table(survey, of='traits') says why")
    table[N_EFF] = (table["_sum"] ** 2 / table["_squares"]).where(table["_squares"] > 0, 0.0)
    table[POPULATION_SHARE] = table["_sum"] / table["_sum"].sum()
    out = with_background_id(table[[*names, N, N_EFF, POPULATION_SHARE]].astype(dict.fromkeys(names, str)), survey.codebook)
    out = out.assign(**{ENOUGH: (out[N] >= min_n) & (out[N_EFF] >= min_n_eff)})
    out.attrs.update(survey=survey.codebook.name, weight=survey.weight_name)
    return out


def _trait_names(survey: Survey, by: Sequence[str]) -> list[str]:
    if isinstance(by, str) or not len(by):
        raise BackgroundError(f"by={by!r}: give a list of traits, at least one; {nearest(str(by), survey.traits)}")
    for name in by:
        survey.codebook.trait(name)
        if name not in survey.data:
            raise BackgroundError(f"by: the survey was read without trait {name!r}; {nearest(name, survey.traits)}")
    return list(dict.fromkeys(by))


def describe_background(levels: Mapping[str, str], codebook: Codebook, *, order: Sequence[str] | None = None) -> str:
    """Put a background into words for a prompt: ``a woman aged 35 to 54 with a college degree``.

    Level texts are joined in the codebook's order of traits. A text that begins with an article is the noun that the others
    describe; without one it is "a person", and a second one follows as "who is a ...". Neighbours that begin alike ("with",
    "who") are joined by "and". In Chinese the texts are a list.

    Parameters
    ----------
    levels : mapping of trait to level
        Empty for anybody.
    codebook : Codebook
    order : sequence of str, optional
        Traits to name first.

    Returns
    -------
    str

    Raises
    ------
    BackgroundError
        If there is no such trait.
    CodebookError
        If a trait has no such level.

    References
    ----------
    Argyle et al. (2023), doi:10.1017/pan.2023.2 (respondents described in words).

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.describe_background({"gender": "female", "age3": "35-54", "education": "college"}, ss.load_codebook("nonvoters2020"))
    'a woman aged 35 to 54 with a college degree'
    """
    for name in (*levels, *(order or ())):
        if name not in codebook.traits:
            raise BackgroundError(f"background: {name!r} is no trait of codebook {codebook.name!r}; {nearest(str(name), codebook.traits)}")
    names = [name for name in dict.fromkeys((*(order or ()), *codebook.traits)) if name in levels]
    words = list(dict.fromkeys(codebook.trait(name).level(levels[name]).text for name in names))
    if codebook.language.startswith("zh"):
        return CHINESE_COMMA.join(words)
    nouns = [text for text in words if text.startswith(_ARTICLES)]
    sentence = nouns[0] if nouns else "a person"
    last = ""
    for text in [text for text in words if text not in nouns[:1]]:
        clause = f"who is {text}" if text.startswith(_ARTICLES) else text
        lead = clause.split(" ", 1)[0]
        sentence += f" and {clause}" if lead == last and lead in _JOINED else f" {clause}"
        last = lead
    return sentence
