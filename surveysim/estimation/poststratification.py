"""Post-stratification of distributions: cells in, a population's distribution out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id, same_traits, traits_in
from surveysim.codebook.readable import readable
from surveysim.errors import TableError, first_few, nearest
from surveysim.estimation.margins import MARGIN, Margins, amount_column
from surveysim.estimation.population import BASE, PEOPLE, RAKED_TO, VARIANCE, described_source, joint_population, table_variance
from surveysim.survey.domains import observed_backgrounds
from surveysim.survey.survey import Survey
from surveysim.tables.cells import Array
from surveysim.tables.draws import draw_columns, with_draws
from surveysim.tables.intervals import share_intervals
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import (
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
    require_ids,
)
from surveysim.tables.weighting_record import weighted_across

INTO, PART = "into", "part"  # columns of cells: the background each goes into, and its share of its people
SELF = "self-post-stratified"


def poststratify(
    distributions: pd.DataFrame,
    population: pd.DataFrame | Survey | Margins,
    *,
    by: str | Sequence[str] = (),
    structure: pd.DataFrame | Survey | None = None,
) -> pd.DataFrame:
    """Weight the cells of a distributions table by a population's share in each, and add them up.

    ``share = sum_c P_c share_c`` with variance ``sum_c P_c^2 std_error_c^2 + sum_c var(P_c) (share_c - share)^2``: what the
    cells are unsure of, and what the population table is. It serves simulated, estimated and survey tables alike. Where the
    table has draws (columns ``draw_1``, ...), the first sum is the variance of ``sum_c P_c draw_c`` over the draws. Where margins
    were raked, the second term is what they leave open; for a survey without clusters and strata the
    standard errors are then those of R's ``postStratify`` and, from equal base weights, ``rake`` (which takes plain means of
    residuals in place of weighted ones).

    Assumptions: (1) the answers of a cell are those of its people, in the sample as in the population. (2) Without draws, the
    errors of two cells are independent. That is right for a survey's cells that share no PSU. A model's cells err together,
    since they were learnt from one sample, and the standard error of their sum is then too small: simulate with ``draws=``. (3)
    The numbers of people in two cells of an estimated population err independently; known totals (margins) have no error, and
    the structure raked to them that of its `n_eff`.

    With a survey's own cells and its own joint distribution as population, the result is the survey's weighted share,
    provided that everyone answered; it is labelled ``"self-post-stratified"``. Where some did not, the survey's marginal share
    weights a cell by those of it who answered, and post-stratification by all of it: the second corrects for nonresponse that
    differs between cells, and the two agree exactly if `population` is that of the question's respondents.

    Parameters
    ----------
    distributions : DataFrame
        A distributions table whose backgrounds are all over the same traits.
    population : DataFrame, Survey or mapping
        A row per cell: `background_id` or a column per trait (level names; further traits are summed over), and `count`
        (people) or `population_share` (0-1, sums to 1). Where it is an estimate: `std_error` of that number, or `n_eff` or `n`,
        the respondents behind it. Or a survey, whose weighted cells are taken. Or margins (`population_margins`, or
        ``{"gender": {"female": 0.51, "male": 0.49}}``), to which `structure` is raked.
    by : str or sequence of str
        Traits of the result's backgrounds; none: one background ``"all"``.
    structure : DataFrame or Survey, optional
        Joint table that margins are raked from (`joint_population`).

    Returns
    -------
    DataFrame
        A distributions table with the sources of `distributions`. `n` is the sum over the cells; `n_eff` is
        ``1 / sum_c(P_c^2 / n_eff_c)``, the size of an unweighted sample of the same precision. Intervals are normal on the
        logit scale; with draws t, on their number less 1. Standard errors that the table lacks stay missing. The result has
        draws where `distributions` has. `attrs` says the population and every step of weighting (`weights_applied`).

    Raises
    ------
    TableError
        If a table breaks its contract, the traits do not agree, shares of the population do not sum to 1, the
        population has cells without a distribution, or the distributions have respondents in cells without population; if
        margins come without a structure or their totals disagree; if the table was summed over one of the traits before.
    BackgroundError
        If a survey given as population lacks a trait.

    References
    ----------
    Gelman and Little (1997), Poststratification into many categories using hierarchical logistic regression, Survey
    Methodology 23, 127-135. Holt and Smith (1979), doi:10.2307/2344652.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> cells = ss.response_distributions(survey, by=["gender", "education"], questions=["Q8_8"])
    >>> adjusted = ss.poststratify(cells, ss.read_population("us_adults_2014_2018"))
    >>> adjusted.background_id.unique().tolist(), round(float(adjusted.share.sum()), 9)
    (['all'], 1.0)
    """
    check_distributions(distributions)
    require_columns(distributions, DISTRIBUTION_COLUMNS, "distributions")
    traits = cell_traits(distributions)
    table = joint_table(population, structure, traits)
    people = cell_numbers(table, traits)
    names = known_names_of(by, "by", traits, error=TableError, lacking="the cells have no trait", needed=False)
    weights = _cell_weights(people, names)
    _refuse_empty_population(distributions, people[PEOPLE])
    result = _combined(distributions, weights)
    result = result[[*DISTRIBUTION_COLUMNS, *draw_columns(distributions)]]
    label = population_label(table, distributions)
    result.attrs = {**weighted_across(distributions, set(traits) - set(names), label), "population": label}
    return readable(result, like=[distributions])


def cell_traits(distributions: pd.DataFrame) -> list[str]:
    """Return the traits of a table's backgrounds.

    Raises
    ------
    TableError
        If the backgrounds differ in their traits.
    """
    return same_traits(distributions[BACKGROUND].unique(), "distributions", "take one set at a time")


def joint_table(
    population: pd.DataFrame | Survey | Margins, structure: pd.DataFrame | Survey | None, traits: Sequence[str]
) -> pd.DataFrame:
    """Return a table of cells, of whatever the population was given as (`poststratify`).

    Raises
    ------
    TableError
        If margins come without a structure, or their totals disagree.
    BackgroundError
        If a survey given as population lacks a trait.
    """
    if isinstance(population, Survey):
        return observed_backgrounds(population, by=traits)
    if not isinstance(population, Mapping) and not (isinstance(population, pd.DataFrame) and MARGIN in population):
        require_columns(population, [], "population")
        return population
    if structure is None:
        raise TableError(
            "population holds margins, which do not say how traits go together; give structure=, a joint table or a survey to rake to them"
        )
    seed = observed_backgrounds(structure, by=traits) if isinstance(structure, Survey) else structure
    joint = joint_population(population, seed)
    joint.attrs.update(getattr(population, "attrs", {}))
    return joint


def cell_numbers(population: pd.DataFrame, traits: Sequence[str]) -> pd.DataFrame:
    """Return the number of people in each cell, or its share, and that number's variance.

    Parameters
    ----------
    population : DataFrame
        A joint table, as of `poststratify`.
    traits : sequence of str
        Of the cells; other traits are summed over.

    Returns
    -------
    DataFrame
        Columns `people`, `people_variance` and `structure_people` (before raking), indexed by background_id.

    Raises
    ------
    TableError
        If a trait or the amount is absent, shares do not sum to 1, or there are no people.
    """
    amount = amount_column(population, "population")
    absent = [trait for trait in traits if trait not in population]
    if not absent:
        for trait in traits:
            require_ids(population, trait, "population", text=False)
        rows = population[list(traits)].astype(str).itertuples(index=False)
        ids = [background_id(dict(zip(traits, row, strict=True))) for row in rows]
    elif BACKGROUND in population:
        ids = list(population[BACKGROUND])
    else:
        raise TableError(f"population lacks trait {first_few(absent)} of the distributions; {nearest(absent[0], population.columns)}")
    numbers = population[amount].to_numpy(float)
    base = population[BASE].to_numpy(float) if BASE in population else numbers
    table = pd.DataFrame({PEOPLE: numbers, VARIANCE: _variances(population, numbers), BASE: base})
    cells = table.groupby(np.array(ids, dtype=object), sort=False).sum()
    cells.attrs[RAKED_TO] = [names for names in population.attrs.get(RAKED_TO, []) if BASE in population and set(names) <= set(traits)]
    total = float(cells[PEOPLE].sum())
    if not total or (amount == POPULATION_SHARE and abs(total - 1) > SHARE_TOLERANCE):
        raise TableError(f"population: {amount} sums to {total:.6g}; shares must sum to 1, counts to more than 0")
    return cells


def _variances(population: pd.DataFrame, numbers: np.ndarray) -> np.ndarray:
    """Sampling variance of the population's own numbers: as stated, or ``number^2 / n_eff n / (n - 1)``; 0 for a census."""
    if STD_ERROR in population:
        return np.square(population[STD_ERROR].fillna(0).to_numpy(float))
    size = next((population[name].to_numpy(float) for name in (N_EFF, N) if name in population), None)
    if size is None:
        return np.zeros(len(numbers))
    respondents = float(population[N if N in population else N_EFF].sum())
    unbiased = respondents / (respondents - 1) if respondents > 1 else 1.0
    return unbiased * np.divide(np.square(numbers), size, out=np.zeros(len(numbers)), where=size > 0)


def population_label(population: pd.DataFrame, distributions: pd.DataFrame) -> str:
    """Name the population, and of raked margins the structure; one weighted by the distributions' own weight is no other population."""
    about, own = population.attrs, distributions.attrs
    if "weight" in about and about["weight"] == own.get("weight") and about.get("survey") == own.get("survey", about.get("survey")):
        return f"{SELF}: {about['weight']}"
    if RAKED_TO in about:
        return f"{described_source(population, 'margins')}, raked from {about['structure']}"
    return described_source(population, "population table")


def _cell_weights(people: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the cells with people, the background that each goes into, and its share of that background's people."""
    kept = people[people[PEOPLE] > 0]
    levels = [parse_background_id(cell) for cell in kept.index]
    into = [background_id({name: own[name] for name in names}) if names else POOLED for own in levels]
    table = kept.assign(**{INTO: into})
    return table.assign(**{PART: table[PEOPLE] / table.groupby(INTO)[PEOPLE].transform("sum")})


def _refuse_empty_population(distributions: pd.DataFrame, people: pd.Series) -> None:
    _refuse_other_spelling(distributions[BACKGROUND].unique(), people.index)
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


def _refuse_other_spelling(ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse a trait of which distributions and population each have a level that the other lacks: most likely one, spelt in two ways."""
    for trait in traits_in(ours):
        mine, given = (list(dict.fromkeys(parse_background_id(one).get(trait, "") for one in ids)) for ids in (ours, theirs))
        lacking, strange = [name for name in mine if name not in given], [name for name in given if name not in mine]
        if lacking and strange:
            raise TableError(
                f"population: trait {trait!r} has level {first_few(map(repr, strange))}, which no background of the distributions has; "
                f"spell the levels as the distributions do, {first_few(mine, 20)}; {nearest(strange[0], lacking)}"
            )


def _combined(distributions: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return every question's and source's distributions in the backgrounds that the cells go into."""
    numbers = distributions[[SHARE, STD_ERROR, N, N_EFF, *draw_columns(distributions)]].to_numpy(float)
    place = np.where(np.isnan(numbers[:, 0]), -1, cells.index.get_indexer(pd.Index(distributions[BACKGROUND])))
    option, order = pd.factorize(distributions[OPTION])[0], distributions[ORDER].to_numpy()
    group = distributions.groupby([QUESTION, SOURCE], sort=False).ngroup().to_numpy()
    code, names = pd.factorize(cells[INTO])
    found, options, backgrounds = [], [], []
    for rows in np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]):
        _refuse_lacking(distributions[QUESTION].iloc[rows[0]], cells.index[np.setdiff1d(np.arange(len(cells)), place[rows])])
        first = rows[np.sort(np.unique(option[rows], return_index=True)[1])]
        first = first[np.argsort(order[first], kind="stable")]
        column = np.zeros(option.max() + 1, int)
        column[option[first]] = np.arange(len(first))
        kept = rows[place[rows] >= 0]
        laid = np.zeros((len(cells), len(first), numbers.shape[1]))
        laid[place[kept], column[option[kept]]] = numbers[kept]
        found.append(_combine(laid, cells, code))
        options.append(np.tile(first, len(names)))
        backgrounds.append(np.repeat(np.asarray(names, dtype=object), len(first)))
    table = _as_table(np.concatenate(found), distributions.iloc[np.concatenate(options)].reset_index(drop=True))
    return table.assign(**{BACKGROUND: np.concatenate(backgrounds)})


def _refuse_lacking(question: str, cells: pd.Index) -> None:
    if len(cells):
        raise TableError(
            f"question {question!r}: population has people in {first_few(cells)}, for which there is no distribution; "
            "simulate these backgrounds, or join levels"
        )


def _combine(laid: Array, cells: pd.DataFrame, code: Array) -> Array:
    """Add up a question's cells, ``(cells, options, columns)`` of share, error, n, n_eff and draws, to the backgrounds of `code`.

    Returns ``(backgrounds x options, columns)`` of share, its variance, n, 1 / n_eff and draws.
    """
    (share, error, n, n_eff), draws = np.moveaxis(laid[..., :4], -1, 0), laid[..., 4:]
    part = cells[PART].to_numpy(float)[:, None]
    combined, within = _sums(part * share, code), _sums(np.square(part * error), code)
    drawn = _sums((part[..., None] * draws).reshape(len(part), -1), code).reshape(*combined.shape, -1)
    if drawn.size:
        within = drawn.var(-1, ddof=1)
    away = (share[:, None] - combined) * (code[:, None] == np.arange(len(combined)))[..., None]
    total = _sums(cells[[PEOPLE]].to_numpy(float), code)
    variance = within + table_variance(cells, away) / np.square(total)
    numbers = np.stack([combined, variance, _sums(n, code), _sums(_inverse(part, n_eff), code)], axis=-1)
    return np.concatenate([numbers, drawn], axis=-1).reshape(combined.size, -1)


def _as_table(values: Array, keys: pd.DataFrame) -> pd.DataFrame:
    """Return columns of `_combine` as a table; `keys` holds question, option and source of each row."""
    (share, variance, n, inverse), draws = values[:, :4].T, values[:, 4:]
    std_error = np.sqrt(variance)
    low, high = _intervals(share, std_error, 1 / inverse, draws.shape[1] - 1 if draws.size else np.inf)
    numbers = {SHARE: share, STD_ERROR: std_error, CONF_LOW: low, CONF_HIGH: high, N_EFF: np.nan_to_num(1 / inverse)}
    table = keys[[QUESTION, SOURCE, OPTION, ORDER]].assign(**numbers, **{N: n.astype(keys[N].dtype)})
    return with_draws(table, draws) if draws.size else table


def _sums(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Return sums over the cells of each background; one missing value makes its own sum missing."""
    sums = np.zeros((code.max() + 1, values.shape[1]))
    np.add.at(sums, code, values)
    return sums


def _inverse(part: np.ndarray, n_eff: np.ndarray) -> np.ndarray:
    return np.divide(np.square(part), n_eff, out=np.full(n_eff.shape, np.nan), where=n_eff > 0)


def _intervals(share: np.ndarray, std_error: np.ndarray, n_eff: np.ndarray, df: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = share_intervals(share[:, None], std_error[:, None], np.full(len(share), df), np.nan_to_num(n_eff))
    unknown = np.isnan(std_error)
    return np.where(unknown, np.nan, low[:, 0]), np.where(unknown, np.nan, high[:, 0])
