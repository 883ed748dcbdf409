"""Waves of a survey put together as one, with the design that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import MISSING_REASONS, Code, Codebook, DesignVariables, Level, Question, Trait
from surveysim.errors import CodebookError, DesignError, SurveySimError, first_few, nearest
from surveysim.survey.crosswalk import Items, pooled_codes, pooled_definition, read_crosswalk, shared_items
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import FPC, PSU, RESPONDENT_ID, STRATUM, WEIGHT

WAVE = "wave"
SHARED = ("nothing", "psu", "respondents")
SCALES = ("respondents", "equal", "given")


def pool_waves(
    waves: Mapping[str, Survey] | Sequence[Survey],
    *,
    crosswalk: pd.DataFrame | str | Path | None = None,
    shared: str = "nothing",
    scale: str = "respondents",
) -> Survey:
    """Put waves together as one survey with a trait `wave`.

    Change between waves is a contrast of the backgrounds ``wave=...`` (`survey_contrast` of a table with ``covariance=True``), a test over
    ``groups="wave"``, or a domain (``by=["wave"]``). Its error depends on what the waves share, and only the user knows that: unit
    17 of two
    waves is the same place, or two.

    Parameters
    ----------
    waves : mapping of name to Survey, or sequence of Survey
        Two or more, in the order of time; without names those of their codebooks.
    crosswalk : DataFrame or path of a TOML file, optional
        Says which variable of each wave is which item, `wave variable pooled`, and where codes differ `code pooled_code`, a row a code. In
        TOML: ``[trust]``, ``first = "Q8_8"``, ``second = {variable = "police", codes = {4 = "1", 3 = "2", 2 = "3", 1 = "4"}}``.
        Questions with the same id, options and type, and traits with the same levels, need none. What some waves lack is left out, and the
        notes name it.
    shared : {"nothing", "psu", "respondents"}
        ``"nothing"``: independent samples; wave is a stratum above the others. ``"psu"``: PSUs (and strata) of one label are one, so that
        they span waves. ``"respondents"``: a panel; rows of one `respondent_id` are one PSU where the design has no others, and
        else their PSUs are
        shared.
    scale : {"respondents", "equal", "given"}
        What each wave's weights sum to: its number of respondents, the mean number over waves, or what they do. Estimates within waves do
        not depend on it.

    Returns
    -------
    Survey
        `respondent_id` is prefixed by the wave unless respondents are shared. Notes say the scale, what is shared, and what was left out.

    Raises
    ------
    SurveySimError
        If what is pooled is no `Survey`.
    CodebookError
        If names are repeated, the crosswalk contradicts itself or the codebooks, or no question is common.
    DesignError
        If `shared` or `scale` is unknown, there are fewer than two waves, one has adjusted or replicate weights, waves said to
        share units share
        none, or a shared PSU lies in two strata.

    References
    ----------
    Korn and Graubard (1999), Analysis of Health Surveys, doi:10.1002/9781118032619, chapter 8. Kish (1999), Cumulating/combining
    population surveys, Survey
    Methodology 25, 129-138.

    Examples
    --------
    >>> import numpy as np
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> halves = {"first": survey.take(np.arange(0, 5836, 2)), "second": survey.take(np.arange(1, 5836, 2))}
    >>> pooled = ss.pool_waves(halves)
    >>> means = ss.survey_mean(pooled, questions="Q8_8", by="wave", covariance=True)
    >>> ss.survey_contrast(means, {"wave=second": 1, "wave=first": -1})[["estimate", "std_error"]].round(3).values.tolist()
    [[-0.021, 0.025]]
    """
    for argument, given, known in (("shared", shared, SHARED), ("scale", scale, SCALES)):
        if given not in known:
            raise DesignError(f"{argument} must be one of {', '.join(known)}; got {given!r}, {nearest(str(given), known)}")
    named = _named(waves)
    items, left = shared_items(named, read_crosswalk(crosswalk, list(named)))
    definitions = {name: pooled_definition(name, sources, named) for name, sources in items.items()}
    book = _codebook(named, definitions)
    parts = [_harmonised(wave, survey, items, definitions) for wave, survey in named.items()]
    data = pd.concat([part[0] for part in parts], ignore_index=True)
    lacks_sizes = FPC in data and bool(data[FPC].isna().any())
    data = data.drop(columns=FPC) if lacks_sizes else data
    lengths = [len(survey) for survey in named.values()]
    data[WAVE] = pd.Categorical.from_codes(np.repeat(np.arange(len(named)), lengths), list(named), ordered=True)
    told = [_designed(data, named, shared), _scaled(data, named, scale)]
    told += [f"left out, since not every wave has it alike: {first_few(left)}"] if left else []
    told += ["population sizes (fpc) left out, since not every wave has them"] if lacks_sizes else []
    reasons, trait_reasons = (pd.concat([part[place] for part in parts], ignore_index=True) for place in (1, 2))
    return Survey(data, reasons, book, WEIGHT, tuple(f"{len(named)} waves pooled: {one}" for one in told), trait_reasons=trait_reasons)


def _reasons(column: pd.Series) -> pd.Categorical:
    """Return reasons with all that there are as categories, so that those of two waves can be put together."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.set_categories(list(MISSING_REASONS), ordered=False).array
    return pd.Categorical(column, categories=list(MISSING_REASONS))


def _named(waves: object) -> dict[str, Survey]:
    if isinstance(waves, Survey) or not isinstance(waves, Mapping | Sequence) or isinstance(waves, str):
        raise SurveySimError(f"waves must be a list of surveys, or a mapping of names to them; got {type(waves).__name__}")
    surveys = list(waves.values()) if isinstance(waves, Mapping) else list(waves)
    for survey in surveys:
        check_survey(survey)
    names = [str(name) for name in waves] if isinstance(waves, Mapping) else [survey.codebook.name for survey in surveys]
    if len(surveys) < 2:
        raise DesignError(f"waves holds {len(surveys)} survey; pooling needs two or more")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CodebookError(f"waves: {first_few(map(repr, twice))} names two; give a mapping, {{'first': survey, 'second': survey}}")
    adjusted = [name for name, one in zip(names, surveys, strict=True) if one.design.calibrations or one.design.replicates is not None]
    if adjusted:
        raise DesignError(
            f"waves: {first_few(map(repr, adjusted))} has raked, calibrated or replicate weights; pool first, and adjust what is pooled"
        )
    return dict(zip(names, surveys, strict=True))


def _codebook(named: Mapping[str, Survey], definitions: Mapping[str, Question | Trait]) -> Codebook:
    questions = {name: one for name, one in definitions.items() if isinstance(one, Question)}
    traits = {name: one for name, one in definitions.items() if isinstance(one, Trait)}
    if not questions:
        raise CodebookError(
            f"waves {first_few(named)} have no question alike; say with crosswalk= which variable of each is the same question"
        )
    books = [survey.codebook for survey in named.values()]
    clash = WAVE in definitions
    if clash:
        raise CodebookError(f"the waves have a question or trait {WAVE!r} of their own; read them without it")
    wave = Trait(WAVE, WAVE, tuple(Level(name, f"asked in wave {name}", (name,)) for name in named), ordered=True)
    countries, languages = {book.country for book in books}, {book.language for book in books}
    return Codebook(
        "+".join(dict.fromkeys(book.name for book in books)),
        " and ".join(dict.fromkeys(book.title for book in books)),
        {**traits, WAVE: wave},
        questions,
        country=countries.pop() if len(countries) == 1 else "",
        language=languages.pop() if len(languages) == 1 else "en",
        design=DesignVariables(note="waves pooled"),
    )


def _harmonised(
    wave: str, survey: Survey, items: Items, definitions: Mapping[str, Question | Trait]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return one wave's respondents under the pooled names and codes, with the reasons of questions and of traits."""
    index = range(len(survey))
    data = pd.DataFrame({name: survey.data[name].to_numpy() for name in (RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC) if name in survey.data})
    data[WAVE] = wave
    none = pd.Categorical.from_codes(np.full(len(survey), -1), list(MISSING_REASONS))
    reasons, trait_reasons = pd.DataFrame(index=index), pd.DataFrame({WAVE: none}, index=index)
    known = survey.trait_reasons.reindex(index)
    for name, definition in definitions.items():
        source = items[name][wave]
        column = survey.data[source.variable]
        if isinstance(definition, Question):
            own = survey.codebook.question(source.variable).codes
            codes = pooled_codes(name, wave, source, own, definition.codes)
            reasons[name] = _reasons(survey.reasons[source.variable])
            data[name] = _recoded(column, codes, survey.reasons[source.variable].notna()).to_numpy()
        else:
            levels = pooled_codes(name, wave, source, list(column.cat.categories), definition.level_names)
            place = [definition.level_names.index(levels[one]) if one in levels else -1 for one in column.cat.categories]
            codes = np.array([*place, -1])[column.cat.codes]  # the last place is that of nobody's level
            data[name] = pd.Categorical.from_codes(codes, list(definition.level_names), ordered=True)
            trait_reasons[name] = _reasons(known[source.variable]) if source.variable in known else none
    return data, reasons, trait_reasons


def _recoded(column: pd.Series, codes: Mapping[Code, Code], missing: pd.Series) -> pd.Series:
    """Return answers under the pooled codes; codes with a reason stay."""
    as_they_are = all(one == pooled and type(one) is type(pooled) for one, pooled in codes.items())
    if as_they_are and (missing | column.isin(list(codes))).all():
        return column
    return column.where(missing, column.map(codes))


def _designed(data: pd.DataFrame, named: Mapping[str, Survey], shared: str) -> str:
    """Write stratum and PSU as what the waves share asks for, and say so."""
    wave, ids = data[WAVE].astype(str), data[RESPONDENT_ID].astype(str)
    if shared == "nothing":
        data[STRATUM] = _prefixed(data[WAVE], data[STRATUM].where(data[STRATUM].notna(), "all")) if STRATUM in data else wave + "/all"
        if PSU in data:
            absent = data[PSU].isna()
            units = data[PSU].astype(str).where(~absent, "respondent " + ids) if absent.any() else data[PSU]
            data[PSU] = _prefixed(data[WAVE], units)
        data[RESPONDENT_ID] = wave + "/" + ids
        return "independent samples, each wave with strata of its own"
    if shared == "psu" and PSU not in data:
        raise DesignError("shared='psu': no wave has PSUs; a panel of respondents is shared='respondents'")
    if PSU not in data:
        data[PSU] = ids
    partly = [column for column in (PSU, STRATUM) if column in data and data[column].isna().any()]
    if partly:
        raise DesignError(f"shared={shared!r}: not every wave has a {first_few(partly)}; waves that share units have it alike")
    spanning = _spanning(data)
    if shared == "psu":
        data[RESPONDENT_ID] = wave + "/" + ids
    people = int((pd.DataFrame({"id": ids, WAVE: wave}).drop_duplicates().groupby("id").size() > 1).sum())
    if shared == "respondents" and not people:
        raise DesignError(
            "shared='respondents': no respondent_id stands in two waves; use 'nothing' or 'psu', or give panel members one id"
        )
    members = f", {people:,} respondents in two or more waves" if shared == "respondents" else ""
    return f"{spanning:,} of {data[PSU].nunique():,} PSUs span waves{members}"


def _prefixed(wave: pd.Series, labels: pd.Series) -> pd.Series:
    """Return labels, of which there are few, with their wave before them."""
    place, found = pd.factorize(labels)
    made = np.array([f"{one}/{label}" for one in wave.cat.categories for label in pd.Series(found).astype(str)], dtype=object)
    return pd.Series(made[wave.cat.codes.to_numpy(np.int64) * len(found) + place], index=labels.index, dtype=str)


def _spanning(data: pd.DataFrame) -> int:
    """Count PSUs that stand in several waves, or refuse none at all and such as lie in two strata."""
    layer = data[STRATUM].astype(str) if STRATUM in data else pd.Series("all", index=data.index)
    units = pd.DataFrame({"unit": data[PSU].astype(str), "layer": layer, WAVE: data[WAVE].astype(str)}).drop_duplicates()
    pairs = units.groupby(["unit", "layer"])[WAVE].nunique()
    if int(pairs.max()) < 2:
        split = units.groupby("unit")[WAVE].size() > 1
        where = f"; {first_few(split.index[split])} lies in another stratum in each wave" if split.any() else ""
        raise DesignError(f"shared: no PSU stands in two waves{where}; label units alike in all waves, or use shared='nothing'")
    return int((pairs > 1).sum())


def _scaled(data: pd.DataFrame, named: Mapping[str, Survey], scale: str) -> str:
    """Rescale the weights and say to what."""
    if scale == "given":
        return "weights as given"
    sizes = {wave: len(survey) for wave, survey in named.items()}
    goal = sizes if scale == "respondents" else dict.fromkeys(sizes, len(data) / len(sizes))
    totals = data.groupby(WAVE, observed=True)[WEIGHT].sum()
    data[WEIGHT] *= np.array([goal[wave] / totals[wave] for wave in sizes])[data[WAVE].cat.codes]
    return f"each wave's weights sum to {'its respondents' if scale == 'respondents' else f'{len(data) / len(sizes):,.0f}'}"
