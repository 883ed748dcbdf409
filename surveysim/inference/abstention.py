"""Where a simulated table has no support: backgrounds unlike all that were sampled, and shares that the sample says nothing of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id, same_traits, traits_from_nearest
from surveysim.codebook.readable import readable
from surveysim.errors import EstimationError, first_few
from surveysim.estimation.distributions import response_distributions
from surveysim.survey.survey import Survey
from surveysim.tables.schema import BACKGROUND, CELL, OPTION, QUESTION, SHARE, SOURCE, STD_ERROR, N, check_distributions, require_columns

ABSTAIN, REASON, LEVEL_N, DISTANCE, VARIANCE_LEFT = "abstain", "abstain_reason", "level_n", "distance", "variance_left"
REASONS = ("too few of a level", "far from every sampled background", "nothing learnt")


def abstain(
    simulated: pd.DataFrame,
    sample: Survey | pd.DataFrame,
    *,
    min_n: float = 10,
    max_distance: int = 1,
    max_variance_left: float = 0.9,
    tolerable: float = 0.05,
) -> pd.DataFrame:
    """Flag the simulated cells for which the sample gives no ground, by a rule of three parts.

    A cell (question and background) is flagged for the first of these that holds:

    1. ``"too few of a level"``: one of its levels (a country, an age group) has fewer than `min_n` respondents who answered the
       question. Whatever a model says of such a level it takes from elsewhere.
    2. ``"far from every sampled background"``: no background with respondents differs from it in `max_distance` traits or fewer.
    3. ``"nothing learnt"``: the variance that the sample left, ``mean_k std_error_ck^2``, is more than `max_variance_left` of the
       variance that shares had before, and its root is above `tolerable`. The variance before is that of the question's
       shares between the backgrounds plus the mean of what was left (the law of total variance). Tables without
       standard errors are not judged by it.

    A model that knows levels by their text, such as "dsa-kernel", may have something to say of a level that was never
    sampled: with ``min_n=0`` the first part is off and the other two judge.

    Parameters
    ----------
    simulated : DataFrame
        A distributions table, as `simulate`, `conformal_intervals` or `estimate_baseline` give it.
    sample : Survey or DataFrame
        The respondents whom it was learnt from, or their distributions table, with `n`, of the same traits.
    min_n : float
        Respondents; 10 is the least that a share is commonly published of.
    max_distance : int
        Number of traits.
    max_variance_left : float
        Above 0, at most 1.
    tolerable : float
        Standard error of a share, 0-1, that serves whatever it rests on.

    Returns
    -------
    DataFrame
        The table with `abstain` (True: do not use), `abstain_reason` (empty where not), `level_n` (respondents of the rarest
        of its levels), `distance` (traits that separate it from the nearest sampled background) and `variance_left` (of what there was
        before; missing without standard errors). Shares stay as they are.

    Raises
    ------
    EstimationError
        If the sample lacks a question, has other traits, or a limit is out of range.
    TableError
        If a table breaks its contract.

    References
    ----------
    Chow (1970), On optimum recognition error and reject tradeoff, doi:10.1109/TIT.1970.1054406 (abstention). Gelman et al. (2013),
    Bayesian Data Analysis, 3rd ed., section 2.2 (variance before and after the data), doi:10.1201/b16018.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> by = ["gender", "age3", "education"]
    >>> older = survey.take((survey.data["age3"] != "18-34").to_numpy())
    >>> table = ss.abstain(ss.simulate(older, by, questions=["Q8_8"], method="mrp"), older)
    >>> table[table.abstain].background_id.str.contains("age3=18-34").all(), table[table.abstain].abstain_reason.unique().tolist()
    (np.True_, ['too few of a level'])
    """
    _check_limits(min_n, max_distance, max_variance_left, tolerable)
    check_distributions(simulated, "simulated")
    cells = simulated.drop_duplicates([*CELL, SOURCE])[[*CELL, SOURCE]].reset_index(drop=True)
    respondents = _respondents(sample, simulated)
    parts = [_distances(rows, respondents[question]) for question, rows in cells.groupby(QUESTION, sort=False)]
    judged = pd.concat(parts).join(_variance_left(simulated), on=[*CELL, SOURCE])
    left, error = judged[VARIANCE_LEFT].to_numpy(), judged["root"].to_numpy()
    flags = [judged[LEVEL_N] < min_n, judged[DISTANCE] > max_distance, (left > max_variance_left) & (error > tolerable)]
    reason = np.select([flag.to_numpy() if isinstance(flag, pd.Series) else flag for flag in flags], REASONS, default="")
    judged = judged.assign(**{ABSTAIN: reason != "", REASON: reason}).drop(columns="root")
    result = simulated.drop(columns=[ABSTAIN, REASON, LEVEL_N, DISTANCE, VARIANCE_LEFT], errors="ignore")
    result = result.merge(judged, on=[*CELL, SOURCE], how="left", validate="many_to_one").set_axis(simulated.index)
    rule = {"min_n": min_n, "max_distance": max_distance, "max_variance_left": max_variance_left, "tolerable": tolerable}
    result.attrs = {**simulated.attrs, "abstention": rule}
    return readable(result)


def _check_limits(min_n: float, max_distance: int, max_variance_left: float, tolerable: float) -> None:
    if min_n < 0 or max_distance < 0 or not 0 < max_variance_left <= 1 or not 0 <= tolerable <= 1:
        raise EstimationError(
            "min_n and max_distance must be at least 0, max_variance_left above 0 and at most 1, tolerable 0-1; got "
            f"{min_n}, {max_distance}, {max_variance_left}, {tolerable}"
        )


def _respondents(sample: Survey | pd.DataFrame, simulated: pd.DataFrame) -> dict[str, pd.Series]:
    """Respondents of each question by background, of the sampled ones alone."""
    traits = same_traits(simulated[BACKGROUND].unique(), "simulated", "take one set at a time", error=EstimationError)
    asked = list(simulated[QUESTION].unique())
    table = response_distributions(sample, by=traits, questions=asked) if isinstance(sample, Survey) else sample
    require_columns(table, [*CELL, N], "sample")
    absent = [question for question in asked if question not in set(table[QUESTION])]
    remedy = "give the survey, or its distributions by these traits, that taught the simulated table"
    if absent:
        raise EstimationError(f"sample lacks questions {first_few(absent)}; {remedy}")
    same_traits([simulated[BACKGROUND].iloc[0], *table[BACKGROUND].unique()], "sample", remedy, error=EstimationError)
    taught = table[table[N] > 0].drop_duplicates(CELL)
    return {question: taught[taught[QUESTION] == question].set_index(BACKGROUND)[N] for question in asked}


def _distances(cells: pd.DataFrame, respondents: pd.Series) -> pd.DataFrame:
    """Give cells of one question the number of respondents of their rarest level and the distance to the nearest sampled background."""
    ours, theirs = (pd.DataFrame([parse_background_id(str(one)) for one in ids]) for ids in (cells[BACKGROUND], respondents.index))
    n = pd.Series(respondents.to_numpy(float))
    of_level = [ours[trait].map(n.groupby(theirs[trait]).sum() if len(n) else {}).fillna(0.0).to_numpy(float) for trait in ours]
    rarest = np.min([np.full(len(cells), n.sum()), *of_level], axis=0)
    return cells.assign(**{LEVEL_N: rarest, DISTANCE: traits_from_nearest(cells[BACKGROUND], respondents.index)})


def _variance_left(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return by cell the part of the variance that the sample left, and the root of its mean over the options."""
    error = simulated[STD_ERROR] if STD_ERROR in simulated else pd.Series(np.nan, index=simulated.index)
    between = simulated.groupby([QUESTION, SOURCE, OPTION], sort=False)[SHARE].transform("var", ddof=0)
    frame = simulated[[*CELL, SOURCE]].assign(left=np.square(error), between=between)
    cells = frame.groupby([*CELL, SOURCE], sort=False)[["left", "between"]].mean()
    before = cells["between"] + cells["left"].groupby(level=[QUESTION, SOURCE]).transform("mean")
    return pd.DataFrame({VARIANCE_LEFT: cells["left"] / before.where(before > 0), "root": np.sqrt(cells["left"])})
