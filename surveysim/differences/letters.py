"""Letters of significance: which backgrounds of a table have a higher share than which others, as in a banner table."""

from __future__ import annotations

from itertools import count, islice, product
from string import ascii_uppercase

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import one_trait_pairs, parse_background_id
from surveysim.design.outcomes import ADJUSTMENTS, adjusted_p_values
from surveysim.design.row_covariance import COVARIANCE, INDEPENDENT, RowCovariance, known_rows
from surveysim.differences.contrasts import survey_contrast
from surveysim.errors import DesignError, TableError, first_few, nearest
from surveysim.estimation.distributions import background_shifts
from surveysim.tables.schema import BACKGROUND, ESTIMATE, OPTION, QUESTION, SHARE, SOURCE, STD_ERROR, require_columns

FROM, TO, LETTERS, TEST = "background_from", "background_to", "letters", "test"


def column_letters(number: int) -> list[str]:
    """Return A, B, ..., Z, AA, AB, ...

    Examples
    --------
    >>> from surveysim.differences.letters import column_letters
    >>> column_letters(28)[-3:]
    ['Z', 'AA', 'AB']
    """
    return list(islice(("".join(word) for size in count(1) for word in product(ascii_uppercase, repeat=size)), number))


def significance_letters(table: pd.DataFrame, *, level: float = 0.05, adjust: str = "holm") -> pd.DataFrame:
    """Return for every row of a table the letters of the backgrounds whose share or estimate is significantly lower.

    Backgrounds that differ in exactly one trait are compared, each pair once, by a two-sided test of their difference: t on the design's
    degrees of freedom with the covariance that the table carries (``covariance=True``), else normal with the rows taken as independent.
    p values are adjusted for all pairs of a row: of one option of a question.

    Parameters
    ----------
    table : DataFrame
        A distributions table of one source, or estimates with one row a background and question.
    level : float
        Of significance, above 0 and below 1.
    adjust : {"none", "holm", "bh", "bonferroni"}

    Returns
    -------
    DataFrame
        `question_id background_id option_code letters` (no `option_code` of estimates), in the order of `table`; ``attrs["columns"]`` is
        the letter of each background, ``attrs["test"]`` the test in words.

    Raises
    ------
    TableError
        If the table holds several sources or several rows of a background, or lacks a column; or if `level` is out of range.
    DesignError
        If `adjust` is unknown.

    References
    ----------
    Holm (1979), https://www.jstor.org/stable/4615733. Binder (1983), doi:10.2307/1402588.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.differences.letters import significance_letters
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.response_distributions(survey, by="gender", questions="Q8_8", covariance=True)
    >>> significance_letters(shares).letters.tolist()
    ['', '', '', '', '', '', '', 'A']
    """
    if not 0 < level < 1:
        raise TableError(f"level must lie between 0 and 1, such as 0.05; got {level}")
    if adjust not in ADJUSTMENTS:
        raise DesignError(f"adjust must be one of {', '.join(ADJUSTMENTS)}; got {adjust!r}, {nearest(str(adjust), ADJUSTMENTS)}")
    keys = [QUESTION, BACKGROUND, *([OPTION] if SHARE in table else [])]
    value = SHARE if SHARE in table else ESTIMATE
    require_columns(table, [*keys, value, STD_ERROR], "table")
    _refuse_ambiguous(table, keys)
    ids = list(table[BACKGROUND].unique())
    letter = dict(zip(ids, column_letters(len(ids)), strict=True))
    found = pd.concat([_differences(rows, value) for rows in _comparable(table)] or [_NOTHING], ignore_index=True)
    row_keys = [name for name in keys if name != BACKGROUND]
    won: dict[tuple[object, ...], list[str]] = {}
    for key, rows in found.groupby(row_keys, sort=False, observed=True):
        lower = adjusted_p_values(rows["p_value"].to_numpy(float), adjust) < level
        for one in rows[lower].itertuples():
            higher, other = (one.background_to, one.background_from) if one.difference > 0 else (one.background_from, one.background_to)
            won.setdefault((key[0], higher, *key[1:]), []).append(other)
    places = {name: place for place, name in enumerate(ids)}
    words = [
        ", ".join(letter[name] for name in sorted(won.get(key, ()), key=places.__getitem__))
        for key in table[keys].itertuples(index=False, name=None)
    ]
    out = table[keys].assign(**{LETTERS: words})
    out.attrs = {"columns": letter, TEST: _in_words(table, value, level, adjust)}
    return out


_NOTHING = pd.DataFrame(columns=[QUESTION, OPTION, FROM, TO, "difference", "p_value"])


def _refuse_ambiguous(table: pd.DataFrame, keys: list[str]) -> None:
    sources = table[SOURCE].unique() if SOURCE in table else []
    if len(sources) > 1:
        raise TableError(f"table holds sources {first_few(sources)}; keep one at a time")
    twice = table[table.duplicated(keys)]
    if len(twice):
        names = first_few(twice[BACKGROUND].unique())
        raise TableError(f"table has several rows of {names} in one question; keep one estimate a background")


def _comparable(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of backgrounds over the same traits, of the questions that have a pair of them."""
    traits = table[BACKGROUND].map({name: tuple(sorted(parse_background_id(name))) for name in table[BACKGROUND].unique()})
    parts = []
    for own in traits.unique():
        rows = table[(traits == own).to_numpy()]
        asked = rows.groupby(QUESTION, sort=False, observed=True)[BACKGROUND].unique()
        paired = [name for name, ids in asked.items() if len(one_trait_pairs(list(ids)))]
        if paired:
            parts.append(rows[rows[QUESTION].isin(paired)])
    return parts


def _differences(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return difference and p value of every pair that differs in one trait."""
    if value == SHARE:
        found = background_shifts(rows).rename(columns={"shift": "difference"})
        return found.assign(p_value=_p_values(found["difference"], found[STD_ERROR], _freedom(rows, value)))
    ids = list(rows[BACKGROUND].unique())
    pairs = [(ids[first], ids[second]) for first, second in one_trait_pairs(ids)]
    parts = []
    for _, own in rows.groupby(QUESTION, sort=False, observed=True):
        there = set(own[BACKGROUND])
        wanted = {str(place): {start: -1, end: 1} for place, (start, end) in enumerate(pairs) if {start, end} <= there}
        found = survey_contrast(own, wanted)
        ends = [pairs[int(name)] for name in found["contrast"]]
        parts.append(found.assign(**{FROM: [pair[0] for pair in ends], TO: [pair[1] for pair in ends], "difference": found[ESTIMATE]}))
    return pd.concat(parts, ignore_index=True)


def _freedom(rows: pd.DataFrame, value: str) -> float:
    carried = rows.attrs.get(COVARIANCE)
    known = isinstance(carried, RowCovariance) and all(known_rows(own, value) for _, own in rows.groupby(QUESTION, sort=False))
    return float(carried.degrees_of_freedom) if isinstance(carried, RowCovariance) and known else np.inf


def _p_values(difference: pd.Series, std_error: pd.Series, df: float) -> np.ndarray:
    from scipy.special import stdtr

    error = std_error.to_numpy(float)
    statistic = np.divide(difference.to_numpy(float), error, out=np.full(len(error), np.nan), where=error > 0)
    return np.asarray(2 * stdtr(df, -np.abs(statistic)))


def _in_words(table: pd.DataFrame, value: str, level: float, adjust: str) -> str:
    df = _freedom(table, value)
    test = f"t on {df:,.0f} degrees of freedom, with the covariance of the rows" if np.isfinite(df) else f"z, {INDEPENDENT}"
    names = {"none": "not adjusted", "holm": "Holm", "bh": "Benjamini and Hochberg", "bonferroni": "Bonferroni"}
    what = "share" if value == SHARE else "estimate"
    return (
        f"the {what} is higher than in the column of that letter: two-sided test at {100 * level:g}% of the difference of two {what}s, "
        f"{test}; columns that differ in one trait are compared; correction for the comparisons within a row: {names[adjust]}"
    )
