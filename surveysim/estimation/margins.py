"""Population margins: how many people, or what share of them, have each level of a trait or combination of traits."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.errors import BackgroundError, DesignError, TableError, first_few, nearest, quoted
from surveysim.survey.domains import observed_domains
from surveysim.survey.survey import Survey
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE, SHARE_TOLERANCE, require_columns, require_numbers

COUNT, MARGIN = "count", "margin"
NEAR = 0.05  # how far a total of margins may lie from the sum of weights, in shares of it, and still be taken for one of people
Margins: TypeAlias = pd.DataFrame | Mapping[Hashable, Mapping[Hashable, float] | pd.Series]


def population_margins(population: pd.DataFrame | Survey, *, by: str | Sequence[str | Sequence[str]]) -> pd.DataFrame:
    """Return the margins of a population, one for each trait or combination of traits.

    Parameters
    ----------
    population : DataFrame or Survey
        A row per group of people, a column per trait (level names), and `count` (people) or `population_share` (0-1); or
        another survey, whose weighted shares are taken.
    by : str, or sequence of str or of sequences of str
        Each entry makes one margin: ``"gender"``, or ``("age3", "education")`` for their joint distribution.

    Returns
    -------
    DataFrame
        `margin` (its traits, joined by ``|``), `background_id`, and `count` or `population_share` as in `population`, whose `attrs`
        it keeps.

    Raises
    ------
    TableError
        If a trait's column, or both `count` and `population_share`, are absent; if a number is missing or negative.
    BackgroundError
        If a survey lacks a trait.

    Examples
    --------
    >>> import pandas as pd
    >>> import surveysim as ss
    >>> census = pd.DataFrame({"gender": ["female", "female", "male"], "age3": ["18-34", "35-64", "18-34"], "count": [10, 20, 30]})
    >>> ss.population_margins(census, by=["gender"])["count"].tolist()
    [30, 30]
    """
    entries = by if isinstance(by, Sequence) and by and not isinstance(by, str) else names_of(by, "by", error=TableError)
    margins = [tuple(names_of(entry, "by", error=TableError)) for entry in entries]
    if isinstance(population, Survey):
        table = pd.concat([_survey_margin(population, traits) for traits in margins], ignore_index=True)
        table.attrs.update(survey=population.codebook.name, weight=population.weight_name)
        return table
    require_columns(population, sorted({trait for traits in margins for trait in traits}), "population")
    amount = amount_column(population, "population")
    table = pd.concat([_frame_margin(population, traits, amount) for traits in margins], ignore_index=True)
    table.attrs.update(population.attrs)
    return table


def amount_column(table: pd.DataFrame, what: str) -> str:
    """Return which of `count` and `population_share` a table has, its numbers checked.

    Raises
    ------
    TableError
        If it has neither or both, or a number is missing or negative.
    """
    require_columns(table, [], what)
    found = [name for name in (COUNT, POPULATION_SHARE) if name in table]
    if len(found) != 1:
        raise TableError(f"{what} needs one of the columns 'count' and 'population_share'; it has {first_few(table.columns, 12)}")
    amount = require_numbers(table, found[0], what)
    bad = ~np.isfinite(amount) | (amount < 0)
    if bad.any():
        raise TableError(f"{what}: {found[0]} is missing or negative in rows {first_few(table.index[bad])}; give each group a number >= 0")
    return found[0]


def _survey_margin(survey: Survey, traits: tuple[str, ...]) -> pd.DataFrame:
    domains = observed_domains(survey, traits)
    inside = domains.code >= 0
    weight = np.bincount(domains.code[inside], survey.design.weights[inside], minlength=len(domains.ids))
    return pd.DataFrame({MARGIN: "|".join(sorted(traits)), BACKGROUND: list(domains.ids), POPULATION_SHARE: weight / weight.sum()})


def _frame_margin(population: pd.DataFrame, traits: tuple[str, ...], amount: str) -> pd.DataFrame:
    absent = population[list(traits)].isna().any(axis=1)
    if absent.any():
        raise TableError(f"population: {first_few(traits)} is missing in rows {first_few(population.index[absent])}; name the level")
    sums = population.groupby(list(traits), observed=True, sort=False)[amount].sum().reset_index()
    rows = sums[list(traits)].astype(str).itertuples(index=False)
    ids = [background_id(dict(zip(traits, row, strict=True))) for row in rows]
    return pd.DataFrame({MARGIN: "|".join(sorted(traits)), BACKGROUND: ids, amount: sums[amount]})


@dataclass(frozen=True, eq=False)
class Target:
    """One margin laid over a survey's respondents.

    Attributes
    ----------
    name : str
        The margin's traits, joined by ``|``.
    ids : tuple of str
        `background_id` of each group.
    group : int array, shape ``(respondents,)``
    totals : array, shape ``(groups,)``
        Sum of weights that each group is to have.
    """

    name: str
    ids: tuple[str, ...]
    group: np.ndarray
    totals: np.ndarray


def margin_targets(survey: Survey, margins: Margins, *, missing: str = "fail") -> list[Target]:
    """Lay margins over a survey: the group of every respondent and the total of every group.

    Counts become totals as they are; shares are multiplied by the survey's sum of weights.

    Parameters
    ----------
    survey : Survey
    margins : DataFrame or mapping
        As `population_margins` returns it; or ``{"gender": {"female": 0.51, "male": 0.49}}``, with tuples of traits and
        of levels for a joint margin.
    missing : {"fail", "keep"}
        What to do about respondents without the trait: an error, or a group of their own that keeps its share of the
        weight.

    Raises
    ------
    TableError
        If margins is neither a table nor a mapping, or holds unusable numbers.
    BackgroundError
        If a trait or level is unknown.
    DesignError
        If the margins' totals disagree; if they sum neither to 1 (shares) nor to as many people as could be a population; if
        respondents lack a trait (``missing="fail"``), a group has a total and no respondents, or respondents and no total.
    """
    if missing not in ("fail", "keep"):
        raise DesignError(f"missing must be 'fail' or 'keep'; got {missing!r}")
    tables = margin_amounts(margins)
    sums = {name: sum(amounts.values()) for name, (_, amounts) in tables.items()}
    population = float(np.mean(list(sums.values())))
    if max(abs(total - population) for total in sums.values()) > SHARE_TOLERANCE * population:
        listed = first_few(f"{name} {total:.8g}" for name, total in sums.items())
        raise DesignError(f"the margins' totals disagree: {listed}; all must describe one population (counts), or all sum to 1 (shares)")
    weight = float(survey.design.weights.sum())
    _refuse_other_units(population, weight, len(survey))
    scale = weight / population if abs(population - 1) <= 2 * SHARE_TOLERANCE else 1.0
    return [_target(survey, name, traits, amounts, scale, missing) for name, (traits, amounts) in tables.items()]


def _refuse_other_units(total: float, weight: float, respondents: int) -> None:
    """Refuse margins that sum to neither 1 nor a population: shares with a slip, percent, or counts of fewer people than were asked.

    Raises
    ------
    DesignError
        If they do; a total near the weights' own sum is taken as it is.
    """
    if abs(total - 1) <= 2 * SHARE_TOLERANCE or abs(total - weight) <= NEAR * weight:
        return
    found = ""
    if abs(total - 100) <= 100 * NEAR / 2:
        found = "which looks like percent: divide by 100"
    elif total < 2:
        found = "which looks like shares with a slip: give shares that sum to 1"
    elif total < respondents:
        found = f"fewer people than the {respondents:,} respondents: give the population's counts, in people, or its shares"
    if found:
        raise DesignError(f"the margins sum to {total:.6g}, neither 1 (shares) nor the population's total (counts), {found}")


def margin_amounts(margins: Margins) -> dict[str, tuple[tuple[str, ...], dict[str, float]]]:
    """Return margin name -> (traits, background_id -> amount), of margins in any of their forms.

    Raises
    ------
    TableError
        If `margins` is neither a table nor a mapping, repeats a level, is empty, or a number is missing or negative.
    """
    tables: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {}
    if isinstance(margins, pd.DataFrame):
        require_columns(margins, [BACKGROUND], "margins")
        amount = amount_column(margins, "margins")
        repeated = margins[BACKGROUND][margins[BACKGROUND].duplicated()]
        if len(repeated):
            raise TableError(f"margins repeats background_id {first_few(repeated.unique())}; keep one row each")
        for identifier, value in zip(margins[BACKGROUND], margins[amount].astype(float), strict=True):
            traits = tuple(parse_background_id(identifier))
            tables.setdefault("|".join(traits), (traits, {}))[1][identifier] = value
    elif isinstance(margins, Mapping):
        for key, levels in margins.items():
            names = (key,) if isinstance(key, str) else tuple(key)  # type: ignore[arg-type]
            if not isinstance(levels, Mapping | pd.Series):
                raise TableError(
                    f"margins: {'|'.join(map(str, names))} must map levels to numbers, {{'female': 0.51, 'male': 0.49}}; got "
                    f"{type(levels).__name__} {quoted(levels)}"
                )
            said = [f"{'|'.join(map(str, names))}={level}" for level, _ in levels.items()]
            cells = pd.DataFrame([_cell(names, level, value) for level, value in levels.items()], index=said)
            for_one = population_margins(cells, by=[names])
            tables["|".join(sorted(names))] = (tuple(sorted(names)), dict(zip(for_one[BACKGROUND], for_one[COUNT], strict=True)))
    else:
        raise TableError(f"margins must be a table or a mapping trait -> {{level: number}}; got {type(margins).__name__}")
    if not tables:
        raise TableError("margins is empty; give at least one trait's population shares or counts")
    return tables


def _cell(names: tuple[str, ...], level: Hashable, value: float) -> dict[str, object]:
    levels = level if isinstance(level, tuple) else (level,)
    if len(levels) != len(names):
        raise TableError(f"margin {'|'.join(names)}: {level!r} names {len(levels)} levels; give one of each trait, as a tuple")
    return {**dict(zip(names, levels, strict=True)), COUNT: value}


def _target(survey: Survey, name: str, traits: tuple[str, ...], amounts: dict[str, float], scale: float, missing: str) -> Target:
    _refuse_unknown(survey, amounts)
    domains = observed_domains(survey, traits)
    weight = survey.design.weights
    lacking = domains.code < 0
    if lacking.any() and missing == "fail":
        raise DesignError(
            f"margin {name!r}: {int(lacking.sum())} respondents lack the trait; missing='keep' leaves them their share of the weight, "
            "or leave them out yourself with Survey.take"
        )
    held = np.bincount(domains.code[~lacking], weight[~lacking], minlength=len(domains.ids))
    unreached = [identifier for identifier, value in amounts.items() if value > 0 and held[_places(domains.ids, identifier)].sum() == 0]
    if unreached:
        raise DesignError(f"margin {name!r}: no respondent of positive weight in {first_few(unreached)}; join levels")
    without = [identifier for identifier, has in zip(domains.ids, held, strict=True) if has > 0 and not amounts.get(identifier, 0)]
    if without:
        raise DesignError(f"margin {name!r} gives no people to {first_few(without)}, which respondents have; add them, or leave them out")
    totals = scale * np.array([amounts.get(identifier, 0.0) for identifier in domains.ids])
    if not lacking.any():
        return Target(name, domains.ids, domains.code, totals)
    kept = float(weight[lacking].sum() / weight.sum())
    totals = np.append(totals * (1 - kept), totals.sum() * kept)
    return Target(name, (*domains.ids, f"without {name}"), np.where(lacking, len(domains.ids), domains.code), totals)


def _places(ids: tuple[str, ...], identifier: str) -> list[int]:
    return [place for place, known in enumerate(ids) if known == identifier]


def _refuse_unknown(survey: Survey, amounts: dict[str, float]) -> None:
    for identifier in amounts:
        for trait, level in parse_background_id(identifier).items():
            if trait not in survey.codebook.traits:
                raise BackgroundError(f"margins: {trait!r} is no trait of the survey; {nearest(trait, survey.traits)}")
            known = survey.codebook.trait(trait).level_names
            if level not in known:
                raise BackgroundError(f"margins: trait {trait!r} has no level {level!r}; {nearest(level, known)}")
