"""Contrasts of a table's rows, linear and not, with the covariance that the table carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real

import numpy as np
import pandas as pd

from surveysim.design.outcomes import t_outcome
from surveysim.design.row_covariance import COVARIANCE, INDEPENDENT, QuestionRows, carried_covariances, known_rows, without_sums
from surveysim.errors import DesignError, TableError, first_few, nearest, quoted
from surveysim.tables.draws import draw_columns
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.other_respondents import paired_folds
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    OFFICIAL,
    OPTION,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    require_columns,
    require_numbers,
)

VARIANCE = "variance"
STEP = 1e-6  # of the derivative of a contrast that is not linear, relative to the estimate
Weights = Mapping[str, float]
Curve = Callable[[pd.Series], float]


def survey_contrast(
    table: pd.DataFrame,
    contrast: Weights | Curve | Mapping[str, Weights | Curve],
    *,
    against: pd.DataFrame | None = None,
    independent: bool = False,
) -> pd.DataFrame:
    """Return a contrast between the backgrounds of a table, for every question and option (R: ``svycontrast``).

    A linear contrast is ``sum c_b x_b`` with variance ``c' V c``; any other function of the backgrounds' estimates has variance ``g' V g``,
    g being its derivatives (delta method), also with replicate weights, as R's ``svyby(covmat=TRUE)`` has it. V is the
    covariance that the table carries (``response_distributions(..., covariance=True)``, ``survey_mean(..., covariance=True)``), or that of
    its draws (``simulate(..., draws=)``); a table without either has its rows taken as independent, and ``attrs["covariance"]`` says so.
    Intervals are t on the design's degrees of freedom, normal where they are not known.

    With `against` it is the same contrast of two tables, the first less the second: is what the survey says more than chance away from
    what a simulation, another survey or an official table says? The tables have to err independently, so variances add up; degrees of
    freedom are Satterthwaite's. Of the tables of one `cross_fit` the folds' differences are averaged: with F folds the variance is
    ``sum_f (V_f + (F - 1) W_f) / F^2``, V of the direct and W of the simulated contrast, which is right for estimates that
    average what the folds say, but for what a fold's direct and simulated errors have in common; leaving that out errs on the wide side.

    Parameters
    ----------
    table : DataFrame
        A distributions table of one source, or estimates, one row a background; or `CrossFit.direct`.
    contrast : mapping of background_id to weight, function, or mapping of names to either
        ``{"gender=female": 1, "gender=male": -1}``; ``lambda x: x["gender=female"] / x["gender=male"]``, called with a Series of
        estimates by `background_id`; or several by name.
    against : DataFrame, optional
        A second table of the same questions, backgrounds and options; or `CrossFit.simulated`. Official shares without a standard error
        are taken as known.
    independent : bool
        True states that no respondent of `table` taught `against`.

    Returns
    -------
    DataFrame
        `contrast question_id option_code estimate std_error conf_low conf_high df statistic p_value n`, without `option_code` for
        estimates; `n` counts respondents of `table` in the backgrounds concerned. A contrast of a background without respondents is
        missing, and so are the errors of one whose table states none.

    Raises
    ------
    TableError
        If a table holds several sources, several rows of a background, lacks a background, a question or a column, or the contrast is
        neither weights nor a function of them; if one table has folds and the other has not.
    EstimationError
        If `against` was learnt from respondents and nothing says that they were others.

    References
    ----------
    Binder (1983), doi:10.2307/1402588. Satterthwaite (1946), doi:10.2307/3002019. Zrnic and Candes (2024),
    doi:10.1073/pnas.2322083121 (cross-fitting).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> means = ss.survey_mean(survey, questions="Q8_8", by="gender", covariance=True)
    >>> ss.survey_contrast(means, {"gender=male": 1, "gender=female": -1})[["estimate", "std_error"]].round(3).values.tolist()
    [[0.095, 0.025]]
    >>> small, others = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> shares = ss.response_distributions(small, by="gender", questions="Q8_8", covariance=True)
    >>> model = ss.simulate(others, ["gender"], questions="Q8_8", method="mrp")
    >>> apart = ss.survey_contrast(shares, {"gender=male": 1}, against=model, independent=True)
    >>> apart[["option_code", "estimate", "std_error"]].round(2).values.tolist()[0]
    [1.0, 0.03, 0.04]
    """
    if against is None:
        folds = [_numbers(table, contrast, "table")]
        numbers, carried = folds[0], [folds[0].attrs[COVARIANCE]]
    else:
        value = SHARE if isinstance(table, pd.DataFrame) and SHARE in table else ESTIMATE
        require_columns(table, [QUESTION, BACKGROUND, value, STD_ERROR], "table")
        require_columns(against, [QUESTION, BACKGROUND, value, STD_ERROR], "against")
        pairs = paired_folds(table, against, independent=independent, names=("table", "against"), value=value)
        both = [(_numbers(one, contrast, "table"), _numbers(other, contrast, "against")) for one, other in pairs]
        numbers = _averaged([_difference(*pair, times=max(len(pairs) - 1, 1)) for pair in both])
        carried = [each.attrs[COVARIANCE] for pair in both for each in pair]
    out = _tested(numbers)
    out.attrs = {**without_sums(table.attrs), COVARIANCE: "; less ".join(dict.fromkeys(carried))}
    return out


def _numbers(table: pd.DataFrame, contrast: object, what: str) -> pd.DataFrame:
    """Return estimate, variance, df and n of the contrasts of one table, question by question and option by option."""
    value = SHARE if isinstance(table, pd.DataFrame) and SHARE in table else ESTIMATE
    require_columns(table, [QUESTION, BACKGROUND, value, STD_ERROR], what)
    if table.empty:
        raise TableError(f"{what} has no rows; give a table of shares or means with at least one")
    if np.isinf(require_numbers(table, value, what)).any():
        raise TableError(f"{what}: {value} is infinite; correct it, or leave it missing (NaN)")
    keys = [QUESTION, OPTION] if value == SHARE else [QUESTION]
    _refuse_ambiguous(table, [*keys, BACKGROUND], what)
    carried, named = carried_covariances(table), _named(contrast)
    known = {question: known_rows(rows, value) for question, rows in table.groupby(QUESTION, sort=False)}
    all_known = bool(carried) and all(known.values())
    df = min(float(one.degrees_of_freedom) for one in carried) if all_known else np.inf
    rows = []
    for name, one in named.items():
        for key, own in table.groupby(keys, sort=False):
            option = key[1] if value == SHARE else None
            found = _contrasted(own.set_index(BACKGROUND), one, value, (known[key[0]] if all_known else None, option), what)
            rows.append({"contrast": name, **dict(zip(keys, key, strict=True)), **found, "df": df})
    made = pd.DataFrame(rows)
    drawn = "of the draws" if draw_columns(table) else INDEPENDENT
    made.attrs = {COVARIANCE: ", ".join(map(str, carried)) if all_known else drawn}
    return made


def _difference(one: pd.DataFrame, other: pd.DataFrame, *, times: float) -> pd.DataFrame:
    """Return the contrasts of one table less those of another that errs independently, its variance counted `times`."""
    keys = [name for name in ("contrast", QUESTION, OPTION) if name in one]
    joined = one.merge(other, on=keys, how="left", suffixes=("", "_less"), indicator=True)
    absent = joined[joined["_merge"] == "left_only"]
    if len(absent):
        rows = absent[keys[1:]].astype(str).agg(" / ".join, axis=1).unique()
        raise TableError(f"against lacks {first_few(rows)}, which table has; give both tables the same questions and options")
    known, taken = joined[VARIANCE], times * joined[f"{VARIANCE}_less"]
    below = np.square(known) / joined["df"] + np.square(taken) / joined["df_less"]
    made = joined[[*keys, N]].assign(**{ESTIMATE: joined[ESTIMATE] - joined[f"{ESTIMATE}_less"], VARIANCE: known + taken})
    return made.assign(df=np.where(below > 0, np.square(known + taken) / below.where(below > 0, 1.0), np.inf))


def _averaged(folds: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean of contrasts over folds that err independently."""
    if len(folds) == 1:
        return folds[0]
    estimate, variance, df, n = (np.stack([fold[name].to_numpy(float) for fold in folds]) for name in (ESTIMATE, VARIANCE, "df", N))
    below = (np.square(variance) / df).sum(axis=0)
    total = variance.sum(axis=0)
    freedom = np.where(below > 0, np.square(total) / np.where(below > 0, below, 1.0), np.inf)
    numbers = {ESTIMATE: estimate.mean(axis=0), VARIANCE: total / len(folds) ** 2, "df": freedom, N: n.sum(axis=0)}
    return folds[0].assign(**numbers)


def _tested(numbers: pd.DataFrame) -> pd.DataFrame:
    """Return contrasts with standard errors, intervals and tests."""
    estimate, df = numbers[ESTIMATE].to_numpy(float), numbers["df"].to_numpy(float)
    std_error = np.where(np.isfinite(estimate), np.sqrt(np.maximum(numbers[VARIANCE].to_numpy(float), 0.0)), np.nan)
    low, high = mean_intervals(estimate, std_error, df)
    tests = [_tested_row(*row) for row in zip(estimate, std_error, df, strict=True)]
    made = numbers.assign(**{STD_ERROR: std_error, CONF_LOW: low, CONF_HIGH: high, "statistic": [test[0] for test in tests]})
    made["p_value"] = [test[1] for test in tests]
    keys = [name for name in ("contrast", QUESTION, OPTION) if name in numbers]
    return made[[*keys, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, "df", "statistic", "p_value", N]]


def _tested_row(estimate: float, std_error: float, df: float) -> tuple[float, float]:
    try:
        tested = t_outcome(estimate, std_error, df)
    except DesignError:
        return np.nan, np.nan
    return tested.statistic, tested.p_value


def _refuse_ambiguous(table: pd.DataFrame, keys: list[str], what: str) -> None:
    sources = table[SOURCE].unique() if SOURCE in table else []
    if len(sources) > 1:
        raise TableError(f"{what} holds sources {first_few(sources)}; keep one at a time")
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise TableError(
            f"{what} has several rows of {first_few(twice[BACKGROUND].unique())} in one question; keep one estimate a background"
        )


def _is_weights(one: object) -> bool:
    numbers = list(one.values()) if isinstance(one, Mapping) else []
    return bool(numbers) and all(isinstance(weight, Real) and np.isfinite(float(weight)) for weight in numbers)


def _named(contrast: object) -> dict[str, Weights | Curve]:
    if callable(contrast):
        return {getattr(contrast, "__name__", "contrast").replace("<lambda>", "contrast"): contrast}
    if isinstance(contrast, Mapping) and contrast:
        if _is_weights(contrast):
            return {" ".join(f"{weight:+g} [{name}]" for name, weight in contrast.items()): contrast}
        if all(callable(one) or _is_weights(one) for one in contrast.values()):
            return {str(name): one for name, one in contrast.items()}
    raise TableError(
        'contrast must map background ids to finite weights ({"gender=female": 1, "gender=male": -1}), be a function of the estimates, or '
        f"name several of these; got {quoted(contrast)}"
    )


def _contrasted(
    own: pd.DataFrame, contrast: Weights | Curve, value: str, carried: tuple[QuestionRows | None, object], what: str
) -> dict[str, float]:
    """Return estimate and variance of one contrast of one question and option, with its covariance where the table carries one."""
    known, option = carried
    estimates = own[value].astype(float)
    if callable(contrast):
        estimate, slope = _value(contrast, estimates, what), _slopes(contrast, estimates, what)
    else:
        strange = [name for name in contrast if name not in own.index]
        if strange:
            raise TableError(f"{what} has no background {first_few(map(repr, strange))}; {nearest(str(strange[0]), own.index)}")
        slope = np.array([float(contrast.get(name, 0.0)) for name in own.index])
        estimate = float(slope[slope != 0] @ estimates.to_numpy()[slope != 0])
    used = slope != 0
    drawn = draw_columns(own)
    if known is not None:
        variance = float(known.joint_covariance(list(own.index), [option], slope[:, None])[0, 0])
    elif drawn and used.sum() > 1:
        variance = float(np.var(slope[used] @ own[drawn].to_numpy(float)[used], ddof=1))
    else:
        errors = own[STD_ERROR].to_numpy(float)
        fact = SOURCE in own and (own[SOURCE] == OFFICIAL).all()
        variance = float(np.square(slope[used]) @ np.square(np.nan_to_num(errors) if fact else errors)[used])
    return {ESTIMATE: estimate, VARIANCE: variance, N: float(own[N][used].sum()) if N in own else np.nan}


def _value(contrast: Curve, estimates: pd.Series, what: str) -> float:
    try:
        return float(contrast(estimates))
    except KeyError as error:
        raise TableError(f"{what} has no background {error}; {nearest(str(error.args[0]), estimates.index)}") from error
    except (TypeError, ValueError) as error:
        raise TableError(f"contrast must return one number for a Series of estimates by background_id: {error}") from error


def _slopes(contrast: Curve, estimates: pd.Series, what: str) -> np.ndarray:
    """Return the derivatives of a contrast, by differences on both sides."""
    slope, step = np.zeros(len(estimates)), STEP * np.maximum(np.abs(estimates.to_numpy()), 1e-3)
    for place, width in enumerate(step):
        above, below = estimates.copy(), estimates.copy()
        above.iloc[place] += width
        below.iloc[place] -= width
        slope[place] = (_value(contrast, above, what) - _value(contrast, below, what)) / (2 * width) if np.isfinite(width) else 0.0
    return slope
