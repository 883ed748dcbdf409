"""Multiple synthesis: one estimate of those from several sets of simulated respondents, with the variance between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.errors import EstimationError
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE, STD_ERROR


def combine_syntheses(
    estimates: npt.ArrayLike, variances: npt.ArrayLike | None = None, *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Combine the estimates of m syntheses by the rules for fully synthetic data.

    With q the mean of the estimates, b their variance between syntheses and u the mean variance within one, ``T = (1 + 1/m) b - u``. Rows
    of `simulate_respondents` are weighted to hold their shares, so that an estimate varies within a synthesis less than one of as many
    sampled respondents; without `variances` ``T = (1 + 1/m) b``, which is never too small on that account. Where T with `variances` is
    not above 0, Reiter's adjustment takes u in its place.

    Parameters
    ----------
    estimates : array, shape ``(syntheses,)`` or ``(syntheses, estimates)``
        Of the same quantities from each synthesis; at least 2.
    variances : array of the same shape, optional
        Of each estimate within its synthesis, as of a sample of as many respondents.
    names : sequence of str, optional
        Of the estimates: the index.

    Returns
    -------
    DataFrame
        `estimate`, `std_error`, `conf_low`, `conf_high` (95%, t), `df` (at least 1), `between` (b) and `within` (u; missing without
        variances), a row per estimate.

    Raises
    ------
    EstimationError
        If there are fewer than 2 syntheses, numbers are missing, variances are of another shape or below 0, or names of another number.

    References
    ----------
    Raghunathan, Reiter and Rubin (2003), Multiple imputation for statistical disclosure limitation, Journal of Official Statistics 19(1),
    1-16. Reiter (2002), Satisfying disclosure restrictions with synthetic data sets, Journal of Official Statistics 18(4), 531-543 (the
    adjustment, and degrees of freedom).

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.combine_syntheses([0.50, 0.54, 0.52], [0.0001, 0.0001, 0.0001]).round(4).to_dict("records")
    [{'estimate': 0.52, 'std_error': 0.0208, 'conf_low': 0.4566, 'conf_high': 0.5834, 'df': 1.3203, 'between': 0.0004, 'within': 0.0001}]
    """
    values = _checked(estimates, "estimates")
    m, size = values.shape
    if m < 2:
        raise EstimationError(f"estimates: {m} synthesis has no variance between syntheses; simulate m=2 or more, better 20")
    if names is not None and len(names) != size:
        raise EstimationError(f"names: {len(names)} names for {size} estimates; give one each")
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
    return pd.DataFrame(columns, index=None if names is None else list(names))


def _checked(given: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    values = np.asarray(given, dtype=float)
    if values.ndim not in (1, 2) or not values.size or not np.isfinite(values).all():
        raise EstimationError(
            f"{what} must be numbers, none missing, of shape (syntheses,) or (syntheses, estimates); got shape {values.shape} with "
            f"{int((~np.isfinite(values)).sum())} missing: leave out estimates that a synthesis lacks"
        )
    return values[:, None] if values.ndim == 1 else values


def _within(variances: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    values = _checked(variances, "variances")
    if values.shape != shape or (values < 0).any():
        raise EstimationError(
            f"variances must be 0 or more and of the estimates' shape {shape}; got {values.shape}, lowest {values.min():g}"
        )
    return np.asarray(values.mean(0))
