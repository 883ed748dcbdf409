"""Post-stratification of distributions: cells in, a population's distribution out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.backgrounds import background_id, parse_background_id
from surveysim.errors import TableError, first_few, nearest
from surveysim.intervals import share_intervals
from surveysim.margins import amount_column
from surveysim.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    N_EFF,
    OPTION,
    ORDER,
    POOLED,
    POPULATION_SHARE,
    QUESTION,
    SHARE,
    SHARE_TOLERANCE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
    require_columns,
)


def poststratify(distributions: pd.DataFrame, population: pd.DataFrame, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """Weight the cells of a distributions table by a population's share in each, and add them up.

    ``share = sum_c P_c share_c`` and ``std_error = sqrt(sum_c P_c^2 std_error_c^2)``, the cells taken as independent: right
    for cells that share no PSU, an approximation otherwise. It serves simulated, estimated and survey tables alike.

    With a survey's own cells and its own joint distribution as population, the result is the survey's weighted share,
    provided that everyone answered. Where some did not, the survey's marginal share weights a cell by those of it who
    answered, and post-stratification by all of it: the second corrects for nonresponse that differs between cells, and
    the two agree exactly if `population` is that of the question's respondents.

    Parameters
    ----------
    distributions : DataFrame
        A distributions table whose backgrounds are all over the same traits.
    population : DataFrame
        A row per cell: `background_id` or a column per trait (level names; further traits are summed over), and `count`
        (people) or `population_share` (0-1, sums to 1).
    by : sequence of str
        Traits of the result's backgrounds; none: one background ``"all"``.

    Returns
    -------
    DataFrame
        A distributions table with the sources of `distributions`. `n` is the sum over the cells; `n_eff` is
        ``1 / sum_c(P_c^2 / n_eff_c)``, the size of an unweighted sample of the same precision. Intervals are normal on the
        logit scale. Standard errors that the table lacks stay missing.

    Raises
    ------
    TableError
        If a table breaks its contract, the traits do not agree, shares of the population do not sum to 1, the
        population has cells without a distribution, or the distributions have respondents in cells without population.

    References
    ----------
    Gelman and Little (1997), Poststratification into many categories using hierarchical logistic regression, Survey
    Methodology 23, 127-135.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> cells = ss.response_distributions(survey, by=["gender", "age3"], questions=["Q8_8"])
    >>> adjusted = ss.poststratify(cells, ss.observed_backgrounds(survey, by=["gender", "age3"]))
    >>> adjusted.background_id.unique().tolist(), round(float(adjusted.share.sum()), 9)
    (['all'], 1.0)
    """
    check_distributions(distributions)
    require_columns(distributions, DISTRIBUTION_COLUMNS, "distributions")
    people = _population(population, distributions)
    weights = _cell_weights(people, by)
    _refuse_empty_population(distributions, people)
    groups = distributions.groupby([QUESTION, SOURCE], sort=False)
    return pd.concat([_combine(rows, weights) for _, rows in groups], ignore_index=True)[DISTRIBUTION_COLUMNS]


def _population(population: pd.DataFrame, distributions: pd.DataFrame) -> pd.Series:
    """Return the share of each cell of positive population, indexed by background_id."""
    cells = list(distributions[BACKGROUND].unique())
    traits = sorted(parse_background_id(cells[0]))
    odd = [cell for cell in cells if sorted(parse_background_id(cell)) != traits]
    if odd:
        raise TableError(f"distributions: backgrounds {first_few(odd)} have other traits than {cells[0]!r}; take one set at a time")
    require_columns(population, [], "population")
    amount = amount_column(population, "population")
    absent = [trait for trait in traits if trait not in population]
    if not absent:
        ids = [background_id(dict(zip(traits, row, strict=True))) for row in population[traits].astype(str).itertuples(index=False)]
    elif BACKGROUND in population:
        ids = list(population[BACKGROUND])
    else:
        raise TableError(f"population lacks trait {first_few(absent)} of the distributions; {nearest(absent[0], population.columns)}")
    people = population[amount].astype(float).groupby(np.array(ids, dtype=object), sort=False).sum()
    total = float(people.sum())
    if not total or (amount == POPULATION_SHARE and abs(total - 1) > SHARE_TOLERANCE):
        raise TableError(f"population: {amount} sums to {total:.6g}; shares must sum to 1, counts to more than 0")
    return people / total


def _cell_weights(people: pd.Series, by: Sequence[str]) -> pd.DataFrame:
    """Return background_id, the background it goes into, and its share of that background's people."""
    kept = people[people > 0]
    names = [by] if isinstance(by, str) else list(by)
    levels = [parse_background_id(cell) for cell in kept.index]
    unknown = [name for name in names if name not in levels[0]]
    if unknown:
        raise TableError(f"by: the cells have no trait {first_few(unknown)}; {nearest(unknown[0], levels[0])}")
    into = [background_id({name: own[name] for name in names}) if names else POOLED for own in levels]
    table = pd.DataFrame({BACKGROUND: kept.index, "into": into, "people": kept.to_numpy()})
    return table.assign(people=table["people"] / table.groupby("into")["people"].transform("sum"))


def _refuse_empty_population(distributions: pd.DataFrame, people: pd.Series) -> None:
    cells = distributions.groupby(BACKGROUND, sort=False)[N].max()
    nobody = [cell for cell, n in cells.items() if n > 0 and not people.get(cell, 0) > 0]
    if nobody:
        raise TableError(
            f"population has nobody in {first_few(nobody)}, where the distributions have respondents; "
            "add these cells to population, or leave them out of distributions"
        )
    unknown = [cell for cell in cells.index if cell not in people.index]
    if unknown:
        raise TableError(f"population lacks {first_few(unknown)}; give each a count, 0 where there is nobody")


def _combine(rows: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    question = rows[QUESTION].iloc[0]
    present = rows[rows[SHARE].notna()]
    lacking = [cell for cell in weights[BACKGROUND] if cell not in set(present[BACKGROUND])]
    if lacking:
        raise TableError(
            f"question {question!r}: population has people in {first_few(lacking)}, for which there is no distribution; "
            "simulate these backgrounds, or join levels"
        )
    options = rows.drop_duplicates(OPTION)[[OPTION, ORDER]].sort_values(ORDER)
    joined = present.merge(weights, on=BACKGROUND)
    share, people = joined[SHARE].to_numpy(float), joined["people"].to_numpy(float)
    sums = joined.assign(
        _share=people * share,
        _variance=np.square(people * joined[STD_ERROR].to_numpy(float)),
        _inverse=np.square(people) / joined[N_EFF].where(joined[N_EFF] > 0).to_numpy(float),
    )
    columns = {"_share": "sum", "_variance": _strict_sum, "_inverse": _strict_sum, N: "sum"}
    table = sums.groupby(["into", OPTION], sort=False).agg(columns).reset_index()  # type: ignore[arg-type]
    std_error, n_eff = np.sqrt(table["_variance"].to_numpy(float)), 1 / table["_inverse"].to_numpy(float)
    low, high = _intervals(table["_share"].to_numpy(float), std_error, n_eff)
    out = table.rename(columns={"into": BACKGROUND, "_share": SHARE}).merge(options, on=OPTION)
    out = out.assign(**{QUESTION: question, SOURCE: rows[SOURCE].iloc[0], STD_ERROR: std_error, CONF_LOW: low, CONF_HIGH: high})
    return out.assign(**{N_EFF: np.nan_to_num(n_eff)})


def _strict_sum(values: pd.Series) -> float:
    return float(values.to_numpy(float).sum())  # one missing value makes the sum missing


def _intervals(share: np.ndarray, std_error: np.ndarray, n_eff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = share_intervals(share[:, None], std_error[:, None], np.full(len(share), np.inf), np.nan_to_num(n_eff))
    unknown = np.isnan(std_error)
    return np.where(unknown, np.nan, low[:, 0]), np.where(unknown, np.nan, high[:, 0])
