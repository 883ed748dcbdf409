"""Estimates held against published facts, on the same definition or not at all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import EvaluationError, first_few, nearest
from surveysim.estimation.joint_shares import joint_shares
from surveysim.evaluation.official import ANY_WEIGHT, CODES, COUNTRY, DENOMINATOR, LABEL, ROUNDING, WEIGHT, YEAR, check_official, year_range
from surveysim.tables.intervals import share_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    N_EFF,
    OFFICIAL,
    OPTION,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
    require_columns,
)
from surveysim.tables.weighting_record import described

COMPARISON_COLUMNS = [
    LABEL,
    QUESTION,
    BACKGROUND,
    CODES,
    SOURCE,
    SHARE,
    STD_ERROR,
    CONF_LOW,
    CONF_HIGH,
    N,
    "official_share",
    "difference",
    "difference_std_error",
    "z",
    "within_rounding",
    "official_source",
]


def compare_with_official(
    estimates: pd.DataFrame,
    official: pd.DataFrame,
    *,
    codebook: CodebookLike | None = None,
    country: str | None = None,
    year: int | str | None = None,
    weight: str | None = None,
    denominator: str | None = None,
) -> pd.DataFrame:
    """Compare estimated shares with published ones that speak of the same question, people, year, weight and denominator.

    ``z = (estimate - official) / sqrt(estimate's variance + official's variance)``, the official one 0 where it is not known.
    A published share that adds up several options has the standard error of their sum: with one option the table's own;
    with more, that of a table which carries the covariance of its rows (``covariance=True``), and of any other
    ``sqrt(deff share (1 - share) / n_eff)``, where deff is the mean ratio of the cell's stated variances to
    ``share_k (1 - share_k) / n_eff``.

    Assumptions: the two estimates are independent (where the official figure comes from the same survey they are not, and z
    is near 0 or far from it because of processing, not of chance), and question ids and option codes mean the same in both.

    Parameters
    ----------
    estimates : DataFrame
        A distributions table; several sources (a survey and a simulation) are compared side by side.
    official : DataFrame
        From `read_official`.
    codebook : str, Path, Codebook or Survey, optional
        Says country and year.
    country, year, weight, denominator : optional
        What the estimates are; default as their `attrs` say, which `response_distributions` and `simulate` fill (weight and
        denominator), or the codebook (country and year).

    Returns
    -------
    DataFrame
        A row per fact and source, the official one first, as `plot_official` draws it: `label question_id background_id
        option_codes source share std_error conf_low conf_high n official_share difference difference_std_error z
        within_rounding official_source`. `within_rounding`: the difference is at most half the unit of the last digit
        published; missing where that is not known. `attrs["unmatched"]` counts facts of this country and year whose question
        or background the estimates lack.

    Raises
    ------
    EvaluationError
        If country, year, weight or denominator is not known; no fact is of this country or year; the facts that match have
        another denominator or weight; or no question or background is in both tables.
    TableError
        If a table breaks its contract.

    References
    ----------
    Schenker and Gentleman (2001), doi:10.1198/000313001317097960 (intervals of two estimates and the test of their
    difference).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.response_distributions(survey, questions=["Q20"], missing="as_option")
    >>> table = ss.compare_with_official(shares, ss.read_official("us_voting_2020"), codebook=survey.codebook)
    >>> table[["source", "share"]].round(2).values.tolist()
    [['official', 0.73], ['survey', 0.89]]
    """
    check_distributions(estimates, "estimates")
    check_official(official)
    about = _definition(estimates, codebook_if_any(codebook), country, year, weight, denominator)
    facts = _same_place_and_time(official, about)
    matched = _matched(estimates, facts)
    _refuse_unlike(matched, about)
    rows = [row for place, fact in enumerate(matched.to_dict("records")) for row in _compared(estimates, fact, place)]
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS).astype({N: "Int64"})
    table.attrs = {**described(estimates), **about, "unmatched": len(facts) - len(matched)}
    return table


def _definition(
    estimates: pd.DataFrame,
    codebook: Codebook | None,
    country: str | None,
    year: int | str | None,
    weight: str | None,
    denominator: str | None,
) -> dict[str, str]:
    """Return what the estimates are, as given, or as the codebook and the table's `attrs` say."""
    written = {COUNTRY: country, YEAR: year, WEIGHT: weight, DENOMINATOR: denominator}
    book = {} if codebook is None else {COUNTRY: codebook.country, YEAR: codebook.year}
    found = {name: value if value is not None else book.get(name) or estimates.attrs.get(name) for name, value in written.items()}
    unknown = [name for name, value in found.items() if not value]
    if unknown:
        raise EvaluationError(
            f"estimates do not say their {first_few(unknown)}; give {unknown[0]}= (country and year also come from codebook=): figures on "
            "different definitions are not compared"
        )
    year_range(found[YEAR], "year")
    return {name: str(value) for name, value in found.items()}


def _same_place_and_time(official: pd.DataFrame, about: dict[str, str]) -> pd.DataFrame:
    here = official[official[COUNTRY].str.casefold() == about[COUNTRY].casefold()]
    if here.empty:
        known = official[COUNTRY].unique()
        raise EvaluationError(f"official has no fact of country {about[COUNTRY]!r}; {nearest(about[COUNTRY], known)}")
    first, last = year_range(about[YEAR])
    spans = [year_range(year) for year in here[YEAR]]
    kept = here[[start <= last and first <= end for start, end in spans]]
    if kept.empty:
        raise EvaluationError(
            f"official is of another year: {about[COUNTRY]} has {first_few(here[YEAR].unique())}, the estimates are of {about[YEAR]}; "
            "compare like years"
        )
    return kept


def _matched(estimates: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Return the facts whose question, background and options the estimates have."""
    answered = estimates[estimates[SHARE].notna()]
    options = answered.assign(code=estimates[OPTION].astype(str)).groupby([QUESTION, BACKGROUND])["code"].agg(set)
    wanted = zip(facts[QUESTION], facts.get(BACKGROUND, pd.Series(POOLED, index=facts.index)), facts[CODES], strict=True)
    known = [set(codes.split()) <= options.get((question, background), set()) for question, background, codes in wanted]
    matched = facts[known]
    if matched.empty:
        ours, theirs = estimates[QUESTION].unique(), facts[QUESTION].unique()
        raise EvaluationError(
            f"no fact matches: official has questions {first_few(theirs)} in backgrounds {first_few(facts.get(BACKGROUND, [POOLED]))}, "
            f"estimates have {first_few(ours)} in {first_few(estimates[BACKGROUND].unique())}; use the same ids and option codes"
        )
    return matched


def _refuse_unlike(matched: pd.DataFrame, about: dict[str, str]) -> None:
    other = matched[matched[DENOMINATOR] != about[DENOMINATOR]]
    if len(other):
        remedy = "as_option" if about[DENOMINATOR] == "valid answers" else "drop"
        raise EvaluationError(
            f"denominators differ: official {first_few(other[QUESTION].unique())} is of {other[DENOMINATOR].iloc[0]!r}, the estimates of "
            f"{about[DENOMINATOR]!r}; estimate with missing={remedy!r}"
        )
    unlike = [about[WEIGHT] not in weights.split() and ANY_WEIGHT not in weights.split() for weights in matched[WEIGHT]]
    if any(unlike):
        first = matched[unlike].iloc[0]
        raise EvaluationError(
            f"weights differ: official {first[QUESTION]!r} is weighted by {first[WEIGHT]!r}, the estimates by {about[WEIGHT]!r}; read the "
            "survey with that weight"
        )


def _compared(estimates: pd.DataFrame, fact: dict[str, object], place: int) -> list[dict[str, object]]:
    """Return the official row of a fact and one for each source of the estimates."""
    official, error = float(str(fact[SHARE])), float(str(fact.get(STD_ERROR, "nan")))
    low, high = _official_interval(official, error)
    background = fact.get(BACKGROUND, POOLED)
    common = {
        LABEL: fact.get(LABEL) or f"{fact[QUESTION]} {background} {fact[CODES]}",
        QUESTION: fact[QUESTION],
        BACKGROUND: background,
        CODES: fact[CODES],
        "official_share": official,
        "official_source": fact[SOURCE],
    }
    rows: list[dict[str, object]] = [{**common, SOURCE: OFFICIAL, SHARE: official, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}]
    cell = estimates[(estimates[QUESTION] == fact[QUESTION]) & (estimates[BACKGROUND] == background)]
    require_columns(cell, [STD_ERROR, N_EFF], "estimates")
    codes = [code for code in cell[OPTION].unique() if str(code) in set(str(fact[CODES]).split())]
    for joint in joint_shares(cell, codes).to_dict("records"):
        share, own = joint[SHARE], joint[STD_ERROR]
        spread = float(np.hypot(own, np.nan_to_num(error)))
        unit = float(str(fact.get(ROUNDING, "nan")))
        rows.append(
            {
                **common,
                SOURCE: joint[SOURCE],
                SHARE: share,
                STD_ERROR: own,
                CONF_LOW: joint[CONF_LOW],
                CONF_HIGH: joint[CONF_HIGH],
                N: None if np.isnan(joint[N]) else round(joint[N]),
                "difference": share - official,
                "difference_std_error": spread,
                "z": (share - official) / spread if spread > 0 else np.nan,
                "within_rounding": None if np.isnan(unit) else bool(abs(share - official) <= unit / 2 + 1e-12),
            }
        )
    return rows


def _official_interval(share: float, error: float) -> tuple[float, float]:
    if np.isnan(error):
        return np.nan, np.nan
    low, high = share_intervals(np.array([[share]]), np.array([[error]]), np.array([np.inf]), np.zeros(1))
    return float(low[0, 0]), float(high[0, 0])
