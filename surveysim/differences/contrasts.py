"""Contrasts of a table's rows, linear and not, with the covariance that the table carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real

import numpy as np
import pandas as pd

from surveysim.design.outcomes import t_outcome
from surveysim.design.row_covariance import COVARIANCE, INDEPENDENT, QuestionRows, RowCovariance, known_rows
from surveysim.errors import DesignError, TableError, first_few, nearest, quoted
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    OPTION,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    require_columns,
)

STEP = 1e-6  # of the derivative of a contrast that is not linear, relative to the estimate
Weights = Mapping[str, float]
Curve = Callable[[pd.Series], float]


def survey_contrast(table: pd.DataFrame, contrast: Weights | Curve | Mapping[str, Weights | Curve]) -> pd.DataFrame:
    """Return a contrast between the backgrounds of a table, for every question and option (R: ``svycontrast``).

    A linear contrast is ``sum c_b x_b`` with variance ``c' V c``; any other function of the backgrounds' estimates has variance ``g' V g``,
    g being its derivatives (delta method), also with replicate weights, as R's ``svyby(covmat=TRUE)`` has it. V is the
    covariance that the table
    carries (``response_distributions(..., covariance=True)``, ``survey_mean(..., covariance=True)``); a table without one has its rows
    taken as independent, and ``attrs["covariance"]`` says so. Intervals are t on the design's degrees of freedom, normal where
    they are not known.

    Parameters
    ----------
    table : DataFrame
        A distributions table of one source, or estimates, one row a background.
    contrast : mapping of background_id to weight, function, or mapping of names to either
        ``{"gender=female": 1, "gender=male": -1}``; ``lambda x: x["gender=female"] / x["gender=male"]``, called with a Series of
        estimates by
        `background_id`; or several by name.

    Returns
    -------
    DataFrame
        `contrast question_id option_code estimate std_error conf_low conf_high df statistic p_value n`, without `option_code` for
        estimates; `n` counts respondents of the backgrounds concerned. A contrast of a background without respondents is missing.

    Raises
    ------
    TableError
        If the table holds several sources, several rows of a background, lacks a background or a column, or the contrast is neither weights
        nor a function of them.

    References
    ----------
    Binder (1983), doi:10.2307/1402588.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> means = ss.survey_mean(survey, questions="Q8_8", by="gender", covariance=True)
    >>> ss.survey_contrast(means, {"gender=male": 1, "gender=female": -1})[["estimate", "std_error"]].round(3).values.tolist()
    [[0.095, 0.025]]
    """
    value = SHARE if isinstance(table, pd.DataFrame) and SHARE in table else ESTIMATE
    require_columns(table, [QUESTION, BACKGROUND, value, STD_ERROR], "table")
    infinite = np.isinf(table[value].to_numpy(float))
    if infinite.any():
        raise TableError(f"table: {value} is infinite in row {first_few(table.index[infinite])}; leave these rows out")
    keys = [QUESTION, OPTION] if value == SHARE else [QUESTION]
    _refuse_ambiguous(table, [*keys, BACKGROUND])
    carried, named = table.attrs.get(COVARIANCE), _named(contrast)
    known = {question: known_rows(rows, value) for question, rows in table.groupby(QUESTION, sort=False)}
    all_known = isinstance(carried, RowCovariance) and all(known.values())
    df = float(carried.degrees_of_freedom) if isinstance(carried, RowCovariance) and all_known else np.inf
    rows = []
    for name, one in named.items():
        for key, own in table.groupby(keys, sort=False):
            option = key[1] if value == SHARE else None
            found = _contrasted(own.set_index(BACKGROUND), one, value, (known[key[0]] if all_known else None, option), df)
            rows.append({"contrast": name, **dict(zip(keys, key, strict=True)), **found})
    out = pd.DataFrame(rows)
    out.attrs = {**table.attrs, COVARIANCE: str(carried) if isinstance(carried, str) and all_known else INDEPENDENT}
    return out


def _refuse_ambiguous(table: pd.DataFrame, keys: list[str]) -> None:
    sources = table[SOURCE].unique() if SOURCE in table else []
    if len(sources) > 1:
        raise TableError(f"table holds sources {first_few(sources)}; keep one at a time")
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise TableError(
            f"table has several rows of {first_few(twice[BACKGROUND].unique())} in one question; keep one estimate a background"
        )


def _named(contrast: object) -> dict[str, Weights | Curve]:
    if callable(contrast):
        return {getattr(contrast, "__name__", "contrast").replace("<lambda>", "contrast"): contrast}
    if isinstance(contrast, Mapping) and contrast:
        if all(isinstance(weight, Real) for weight in contrast.values()):
            return {" ".join(f"{weight:+g} [{name}]" for name, weight in contrast.items()): contrast}
        if all(
            callable(one) or (isinstance(one, Mapping) and one and all(isinstance(w, Real) for w in one.values()))
            for one in contrast.values()
        ):
            return {str(name): one for name, one in contrast.items()}
    raise TableError(
        f'contrast must map background ids to weights ({{"gender=female": 1, "gender=male": -1}}), be a function of the estimates, or name '
        f"several of these; got {quoted(contrast)}"
    )


def _contrasted(
    own: pd.DataFrame, contrast: Weights | Curve, value: str, carried: tuple[QuestionRows | None, object], df: float
) -> dict[str, float]:
    """Return the numbers of one contrast of one question and option, with its covariance where the table carries one."""
    known, option = carried
    estimates = own[value].astype(float)
    if callable(contrast):
        estimate, slope = _value(contrast, estimates), _slopes(contrast, estimates)
    else:
        strange = [name for name in contrast if name not in own.index]
        if strange:
            raise TableError(f"table has no background {first_few(map(repr, strange))}; {nearest(str(strange[0]), own.index)}")
        slope = np.array([float(contrast.get(name, 0.0)) for name in own.index])
        estimate = float(slope[slope != 0] @ estimates.to_numpy()[slope != 0])
    used = slope != 0
    if known is None:
        variance = float(np.square(slope[used]) @ np.square(own[STD_ERROR].to_numpy(float)[used]))
    else:
        variance = float(known.joint_covariance(list(own.index), [option], slope[:, None])[0, 0])
    std_error = float(np.sqrt(max(variance, 0.0))) if np.isfinite(estimate) else np.nan
    low, high = mean_intervals(np.array(estimate), np.array(std_error), np.array(df))
    try:
        tested = t_outcome(estimate, std_error, df)
        statistic, p_value = tested.statistic, tested.p_value
    except DesignError:
        statistic, p_value = np.nan, np.nan
    n = float(own[N][used].sum()) if N in own else np.nan
    numbers = (estimate, std_error, float(low), float(high), df, statistic, p_value, n)
    return dict(zip((ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, "df", "statistic", "p_value", N), numbers, strict=True))


def _value(contrast: Curve, estimates: pd.Series) -> float:
    try:
        return float(contrast(estimates))
    except KeyError as error:
        raise TableError(f"table has no background {error}; {nearest(str(error.args[0]), estimates.index)}") from error
    except TypeError as error:
        raise TableError(f"contrast must return one number for a Series of estimates by background_id: {error}") from error


def _slopes(contrast: Curve, estimates: pd.Series) -> np.ndarray:
    """Return the derivatives of a contrast, by differences on both sides."""
    slope, step = np.zeros(len(estimates)), STEP * np.maximum(np.abs(estimates.to_numpy()), 1e-3)
    for place, width in enumerate(step):
        above, below = estimates.copy(), estimates.copy()
        above.iloc[place] += width
        below.iloc[place] -= width
        slope[place] = (_value(contrast, above) - _value(contrast, below)) / (2 * width) if np.isfinite(width) else 0.0
    return slope
