"""Multiple synthesis: one estimate of those from several sets of simulated respondents, with the variance between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.errors import EstimationError, quoted
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE, STD_ERROR

Estimates: TypeAlias = npt.ArrayLike | Sequence[pd.Series] | pd.DataFrame


def combine_syntheses(estimates: Estimates, variances: Estimates | None = None) -> pd.DataFrame:
    """Combine the estimates of m syntheses by the rules for fully synthetic data.

    With q the mean of the estimates, b their variance between syntheses and u the mean variance within one, ``T = (1 + 1/m) b - u``. Rows
    of `simulate_respondents` are weighted to hold their shares, so that an estimate varies within a synthesis less than one of as many
    sampled respondents, and taking u off is too much: leave `variances` out. Then ``T = (1 + 1/m) b``, which is never too small on that
    account, and little too large where a synthesis has several times the sample's rows. With `variances`, for rows of other sources,
    where T is not above 0, Reiter's adjustment takes u in its place.

    Parameters
    ----------
    estimates : array, list of Series, or DataFrame; shape ``(syntheses,)`` or ``(syntheses, estimates)``
        Of the same quantities from each synthesis; at least 2. Names of columns, or of the Series, name the estimates.
    variances : of the same shape, optional
        Of each estimate within its synthesis, as of a sample of as many respondents.

    Returns
    -------
    DataFrame
        `estimate`, `std_error`, `conf_low`, `conf_high` (95%, t), `df` (at least 1), `between` (b) and `within` (u; missing without
        variances), a row per estimate.

    Raises
    ------
    EstimationError
        If there are fewer than 2 syntheses, numbers are missing, or variances are of another shape or below 0.

    References
    ----------
    Raghunathan, Reiter and Rubin (2003), Multiple imputation for statistical disclosure limitation, Journal of Official Statistics 19(1),
    1-16. Reiter (2002), Satisfying disclosure restrictions with synthetic data sets, Journal of Official Statistics 18(4), 531-543 (the
    adjustment, and degrees of freedom).

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.combine_syntheses([0.50, 0.54, 0.52], [0.0001, 0.0001, 0.0001]).round(4).to_dict("records")
    [{'estimate': 0.52, 'std_error': 0.0208, 'conf_low': 0.3679, 'conf_high': 0.6721, 'df': 1.3203, 'between': 0.0004, 'within': 0.0001}]
    """
    given = _checked(estimates, "estimates")
    values = given.to_numpy(float)
    m, size = values.shape
    if m < 2:
        raise EstimationError(f"estimates: {m} synthesis has no variance between syntheses; simulate m=2 or more, better 20")
    within = np.full(size, np.nan)
    between = values.var(axis=0, ddof=1)
    inflated = (1 + 1 / m) * between
    total, df = inflated, np.full(size, m - 1.0)
    if variances is not None:
        within = _within(variances, values.shape)
        total = np.where(inflated > within, inflated - within, within)
        ratio = np.divide(within, inflated, out=np.full(size, np.inf), where=inflated > 0)
        df = np.where(ratio < 1, np.maximum((m - 1) * (1 - ratio) ** 2, 1.0), m - 1.0)
    error, middle = np.sqrt(total), values.mean(0)
    low, high = mean_intervals(middle, error, df)
    columns = {ESTIMATE: middle, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high, "df": df, "between": between, "within": within}
    return pd.DataFrame(columns, index=given.columns)


def _checked(given: Estimates, what: str) -> pd.DataFrame:
    try:
        table = pd.DataFrame(given).astype(float)  # type: ignore[arg-type]
    except (TypeError, ValueError) as problem:
        raise EstimationError(f"{what} must be numbers of shape (syntheses,) or (syntheses, estimates); got {quoted(given)}") from problem
    missing = int((~np.isfinite(table.to_numpy())).sum())
    if missing or not table.size:
        raise EstimationError(
            f"{what}: {missing} of {table.size} numbers are missing; every synthesis needs every estimate: leave out those that one lacks"
        )
    return table


def _within(variances: Estimates, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    values = _checked(variances, "variances").to_numpy(float)
    if values.shape != shape or (values < 0).any():
        raise EstimationError(
            f"variances must be 0 or more and of the estimates' shape {shape}; got {values.shape}, lowest {values.min():g}"
        )
    return np.asarray(values.mean(0))
