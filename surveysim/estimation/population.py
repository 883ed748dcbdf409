"""Population tables: read from a file in a checked format, or raked to margins from a table that knows the joint structure."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.design.calibration import raked_weights
from surveysim.errors import ReadError, TableError, first_few, nearest
from surveysim.estimation.margins import COUNT, MARGIN, Margins, amount_column, margin_amounts
from surveysim.tables.cells import Array
from surveysim.tables.schema import BACKGROUND, N_EFF, POPULATION_SHARE, SHARE_TOLERANCE, STD_ERROR, N, require_ids
from surveysim.tables.storage import shipped_names, table_text

PEOPLE, VARIANCE, BASE = "people", "people_variance", "structure_people"
RAKED_TO = "raked_to"  # in attrs: the traits of every margin

ABOUT = frozenset({BACKGROUND, COUNT, POPULATION_SHARE, STD_ERROR, N, N_EFF, MARGIN, BASE, "enough"})  # columns that are no traits
REQUIRED_FACTS = ("source", "year", "universe")
TOTALS_AGREE = 1e-6  # relative difference of two margins' totals that rounding explains


def list_populations() -> list[str]:
    """Return the names of the population tables that ship with surveysim.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.list_populations()
    ['us_adults_2014_2018']
    """
    return shipped_names("populations")


def read_population(path: str | Path) -> pd.DataFrame:
    """Read a population table: a row per group of people, a column per trait, and how many they are.

    The file is a CSV in UTF-8. Lines at its head that begin with ``#`` hold facts, ``# source: Census 2020, table P12``;
    `source`, `year` and `universe` (who is counted: "residents aged 18 and over") are required, since a table without them
    cannot be compared with anything. Then a header and rows: traits by level name, and `count` (people) or `population_share`
    (0-1, summing to 1). Optional: `std_error` of that number, or `n`, the respondents behind it, where the table is itself
    an estimate.

    Parameters
    ----------
    path : str or Path
        A file, or a name of `list_populations`.

    Returns
    -------
    DataFrame
        As `poststratify` takes it. The facts stand in `attrs`.

    Raises
    ------
    ReadError
        If there is no such file or name, or it is no CSV of this form.
    TableError
        If a fact is missing, there is no trait, a level is empty, a group is repeated, a number is missing or negative,
        or shares do not sum to 1 (percentages are named as such).

    Examples
    --------
    >>> import surveysim as ss
    >>> adults = ss.read_population("us_adults_2014_2018")
    >>> adults.attrs["year"], len(adults), round(adults["count"].sum() / 1e6)
    ('2014-2018', 36, 228)
    """
    text = table_text(path, "populations", "population table")
    facts, body = _facts(text), [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    absent = [name for name in REQUIRED_FACTS if not facts.get(name)]
    if absent:
        raise TableError(f"{Path(path).name} does not say its {first_few(absent)}; begin the file with lines such as '# {absent[0]}: ...'")
    table = _frame(body, Path(path).name)
    table.attrs.update(facts)
    return check_population(table, Path(path).name)


def check_population(population: pd.DataFrame, what: str = "population") -> pd.DataFrame:
    """Check a population table and return it unchanged.

    Raises
    ------
    TableError
        If there is no trait, a level is empty, a group is repeated, a number is missing or negative, or shares do not sum
        to 1.
    """
    amount = amount_column(population, what)
    traits = population_traits(population)
    if not traits:
        raise TableError(f"{what} has no trait: it needs a column per trait beside {amount}, with level names")
    empty = population[traits].isna().any(axis=1) | population[traits].eq("").any(axis=1)
    if empty.any():
        raise TableError(f"{what}: a level is empty in rows {first_few(population.index[empty])}; name every level")
    for trait in traits:
        require_ids(population, trait, what, text=False)
    repeated = population[population.duplicated(traits)]
    if len(repeated):
        rows = repeated[traits].astype(str).agg(" / ".join, axis=1)
        raise TableError(f"{what} repeats {first_few(rows)}; keep one row per group of people")
    total = float(population[amount].sum())
    if amount == POPULATION_SHARE and abs(total - 1) > SHARE_TOLERANCE:
        hint = "; they are percentages: divide by 100" if abs(total - 100) < 1 else ""
        raise TableError(f"{what}: population_share must sum to 1; it sums to {total:.6g}{hint}")
    if not total:
        raise TableError(f"{what}: count sums to 0; there are no people")
    for column in {STD_ERROR, N, N_EFF} & set(population):
        wrong = ~(population[column].to_numpy(float) >= 0)
        if wrong.any():
            raise TableError(f"{what}: {column} is missing or negative in rows {first_few(population.index[wrong])}; leave the column out")
    return population


def population_traits(population: pd.DataFrame) -> list[str]:
    """Return the columns of a population table that are traits."""
    return [name for name in population.columns if name not in ABOUT]


def joint_population(margins: Margins, structure: pd.DataFrame) -> pd.DataFrame:
    """Rake a table of the joint distribution until it has the margins given: iterative proportional fitting.

    The result has the margins exactly and the structure's odds ratios, that is, its interactions. Assumption: what the margins
    do not tell, how the traits go together, is as in `structure`: an older census, a large survey, or the survey's own
    weighted cells (`observed_backgrounds`), of which the result then keeps the sampling error.

    Parameters
    ----------
    margins : DataFrame or mapping
        From `population_margins`, or ``{"gender": {"female": 0.51, "male": 0.49}}``.
    structure : DataFrame
        A population table with the margins' traits (others are kept).

    Returns
    -------
    DataFrame
        `structure` with new `count` or `population_share`, whichever the margins give, its own before raking as
        `structure_people`, and its `n` and `n_eff`: from them `poststratify` takes what the joint structure's sampling error
        adds. `std_error`, of other numbers, is dropped.

    Raises
    ------
    TableError
        If the margins' totals disagree, a margin's level is not in `structure` or the reverse, or a level has people and no
        cell of positive structure.
    DesignError
        If no table meets the margins.

    References
    ----------
    Deming and Stephan (1940), doi:10.1214/aoms/1177731829. Ireland and Kullback (1968), doi:10.1093/biomet/55.1.179.

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> seed = pd.DataFrame({"gender": ["female", "female", "male", "male"], "age": ["young", "old"] * 2, "count": [10, 20, 20, 10]})
    >>> margins = {"gender": {"female": 0.6, "male": 0.4}, "age": {"young": 0.5, "old": 0.5}}
    >>> ss.joint_population(margins, seed).population_share.round(3).tolist()
    [0.22, 0.38, 0.28, 0.12]
    """
    check_population(structure, "structure")
    tables = margin_amounts(margins)
    sums = {name: sum(amounts.values()) for name, (_, amounts) in tables.items()}
    largest, smallest = max(sums, key=lambda name: sums[name]), min(sums, key=lambda name: sums[name])
    if sums[largest] - sums[smallest] > TOTALS_AGREE * sums[largest]:
        raise TableError(
            f"the margins' totals disagree: {largest} sums to {sums[largest]:.6g}, {smallest} to {sums[smallest]:.6g}; "
            "make them speak of the same people"
        )
    amount = structure[amount_column(structure, "structure")].to_numpy(float)
    groups = [_groups(structure, amount, name, traits, amounts) for name, (traits, amounts) in tables.items()]
    rows, totals = zip(*groups, strict=True)
    fitted = raked_weights(amount, rows, [share * sums[largest] for share in totals], list(tables))
    kept = structure.drop(columns=[COUNT, POPULATION_SHARE, STD_ERROR], errors="ignore")
    table = kept.assign(**{POPULATION_SHARE if abs(sums[largest] - 1) < TOTALS_AGREE else COUNT: fitted, BASE: amount})
    table.attrs = {RAKED_TO: [sorted(traits) for traits, _ in tables.values()], "structure": described_source(structure, "structure")}
    return table


def described_source(table: pd.DataFrame, otherwise: str) -> str:
    """Say where a table of people comes from, as its `attrs` have it: a source, or a survey with its weight."""
    about = table.attrs
    if "source" in about:
        return str(about["source"])
    return f"survey {about.get('survey')}, weight {about['weight']}" if "weight" in about else otherwise


def _groups(
    structure: pd.DataFrame, amount: np.ndarray, name: str, traits: Iterable[str], amounts: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's group in a margin, and the groups' target shares."""
    names = list(traits)
    absent = [trait for trait in names if trait not in structure]
    if absent:
        raise TableError(
            f"structure lacks trait {first_few(absent)} of margin {name!r}; {nearest(absent[0], population_traits(structure))}"
        )
    ids = [background_id(dict(zip(names, row, strict=True))) for row in structure[names].astype(str).itertuples(index=False)]
    known = list(amounts)
    strange, empty = sorted(set(ids) - set(known)), sorted(set(known) - set(ids))
    if strange or empty:
        raise TableError(
            f"margin {name!r} and structure have different levels: only structure has {first_few(strange) or 'none'}; "
            f"only the margin has {first_few(empty) or 'none'}"
        )
    group = pd.Index(known).get_indexer(pd.Index(ids))
    target = np.array([amounts[level] for level in known]) / sum(amounts.values())
    bare = np.flatnonzero((np.bincount(group, amount, minlength=len(known)) == 0) & (target > 0))
    if len(bare):
        raise TableError(f"margin {name!r} has people in {first_few(known[place] for place in bare)}, where every cell of structure is 0")
    return group, target


def _facts(text: str) -> dict[str, str]:
    pairs = (line.lstrip("# ").partition(":") for line in text.splitlines() if line.startswith("#"))
    return {name.strip().lower(): value.strip() for name, mark, value in pairs if mark}


def _frame(lines: list[str], name: str) -> pd.DataFrame:
    rows = [[entry.strip() for entry in row] for row in csv.reader(lines)]
    if len(rows) < 2:
        raise ReadError(f"{name} holds no rows; a population table has a header and a row per group of people")
    ragged = [place for place, row in enumerate(rows) if len(row) != len(rows[0])]
    if ragged:
        raise ReadError(f"{name}: rows {first_few(ragged)} have not {len(rows[0])} entries as the header has; quote entries with commas")
    table = pd.DataFrame(rows[1:], columns=rows[0])
    for column in {COUNT, POPULATION_SHARE, STD_ERROR, N, N_EFF} & set(table):
        try:
            table[column] = [float(value or "nan") for value in table[column]]
        except ValueError as error:
            raise ReadError(f"{name}: {column} holds text: {error}; write numbers, without thousands separators") from error
    return table


def table_variance(people: pd.DataFrame, away: Array) -> Array:
    """Return the variance of ``sum_c people_c away_c`` that comes from the numbers of people.

    Without margins ``sum_c var(people_c) away_c^2``. A table that was raked to known margins errs only in what they leave
    open: there `away` is replaced by its residual from a regression on the margins' levels, weighted by the people before
    raking. That is the linearised variance of R's ``rake``.

    Parameters
    ----------
    people : DataFrame
        From `cell_numbers`.
    away : array, shape (cells, backgrounds, options)
        Each cell's value less the mean of its background, 0 outside of it.

    Returns
    -------
    array, shape (backgrounds, options)

    References
    ----------
    Deville, Sarndal and Sautory (1993), doi:10.1080/01621459.1993.10476369.
    """
    margins = people.attrs.get(RAKED_TO, [])
    left = away if not margins else _residuals(people, away.reshape(len(people), -1), margins).reshape(away.shape)
    return np.asarray(np.einsum("c,cdk->dk", people[VARIANCE].to_numpy(float), np.square(left)))


def _residuals(people: pd.DataFrame, values: Array, margins: list[list[str]]) -> Array:
    levels = [parse_background_id(str(cell)) for cell in people.index]
    groups = [pd.factorize(np.array([background_id({trait: own[trait] for trait in names}) for own in levels]))[0] for names in margins]
    dummies = np.hstack([np.eye(group.max() + 1)[group] for group in groups])
    root = np.sqrt(people[BASE].to_numpy(float))[:, None]
    coefficients = np.linalg.lstsq(root * dummies, root * values, rcond=None)[0]
    return np.asarray(values - dummies @ coefficients)
