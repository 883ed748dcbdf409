"""Differences between backgrounds as large as they are likely to be: spread restored to shrunken estimates, chance taken from changes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.codebook.readable import readable
from surveysim.design.outcomes import chi_square_outcome
from surveysim.errors import EstimationError, TableError, first_few
from surveysim.inference.fay_herriot import fit_area_model
from surveysim.tables.cells import Array, between_variance
from surveysim.tables.draws import draw_columns
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
from surveysim.tables.population_shares import population_shares
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ORDER,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    check_distributions,
    require_columns,
)

FACTOR = "spread_factor"
LARGEST_FACTOR = 100.0  # beyond it, shares that hardly differ would be spread by what is chance
HALVINGS = 60


def restore_spread(simulated: pd.DataFrame, *, population: pd.DataFrame | None = None) -> pd.DataFrame:
    """Spread the backgrounds' shares around their mean until they differ as much as the true ones are expected to.

    The best estimate of each background is shrunken, so the best estimates differ less than the truth. With s_b the shares of
    background b, w_b its share of the population and m their mean, ``m + f (s_b - m)`` takes the place of s_b; cut at 0 and
    scaled to sum to 1 where a share would be negative. The factor f, one for each question, is such that the variance between
    backgrounds, ``sum_b w_b sum_k (s_bk - m_k)^2``, is its posterior expectation: its mean over the table's draws, or, without
    draws, ``variance + sum_b w_b (1 - w_b) sum_k std_error_bk^2``, as if the cells' errors were independent.

    These are constrained Bayes estimates. Use them for statements about all backgrounds together: how much they differ, how many lie above
    a value, a map. For a single background the shares that went in are closer to the truth on average.

    Parameters
    ----------
    simulated : DataFrame
        A distributions table with `std_error`, as `simulate` gives it; best with draws (``simulate(..., draws=)``). Several sources
        are treated each by itself.
    population : DataFrame, optional
        With `background_id` and `population_share` (0-1) of every background. Default: all backgrounds count alike.

    Returns
    -------
    DataFrame
        The table with new `share`; `std_error`, the root of ``std_error^2 + (change of the share)^2``, so it holds what was given
        up; intervals that follow from it, cut at 0 and 1; and `spread_factor` (f). The population's mean stays, but for what was cut at 0.
        Draws are left out: they are of the shares before. `attrs["spread"]` says what was done; `attrs["spread_kept"]` names the
        questions that stay as they are (`spread_factor` 1), because their backgrounds hardly differ and a factor above 100 would be
        needed: chance would be spread out as differences.

    Raises
    ------
    EstimationError
        If a share or standard error is missing.
    TableError
        If the table breaks its contract, or `population` lacks a background or has a share below 0.

    References
    ----------
    Louis (1984), Estimating a population of parameter values using Bayes and empirical Bayes methods, doi:10.1080/01621459.1984.10478062.
    Ghosh (1992), Constrained Bayes estimation with applications, Journal of the American Statistical Association 87, 533-540.

    Examples
    --------
    >>> import surveysim as ss
    >>> train, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=400, seed=0)
    >>> table = ss.simulate(train, ["gender", "age3", "education"], questions=["Q8_8"], method="mrp", draws=100)
    >>> spread = ss.restore_spread(table)
    >>> bool((spread.spread_factor > 1).all()), bool(spread.share.std() > table.share.std())
    (True, True)
    """
    check_distributions(simulated, "simulated")
    if simulated[ORDER].isna().any():
        raise TableError("simulated: option_order is missing in some rows; number each question's options in their order")
    _require_errors(simulated)
    names = draw_columns(simulated)
    parts = [_spread_question(rows, names, population) for _, rows in simulated.groupby([QUESTION, SOURCE], sort=False, observed=True)]
    result = pd.concat(parts).reindex(simulated.index).drop(columns=names)
    how = f"{len(names)} draws" if names else "standard errors, taken as independent between cells"
    kept = [str(rows[QUESTION].iloc[0]) for rows in parts if rows[FACTOR].isna().any()]
    result[FACTOR] = result[FACTOR].fillna(1.0)
    result.attrs = {**simulated.attrs, "spread": f"restored (constrained Bayes) from {how}", "spread_kept": list(dict.fromkeys(kept))}
    return readable(result)


def real_changes(change: Array, std_error: Array) -> tuple[Array, Array, dict[str, float]]:
    """Tell real change from sampling error: empirical Bayes estimates of changes, and how their variance is made up.

    The variance of real change between backgrounds is that of the observed changes less the mean sampling variance, and at least 0. Every
    change is drawn to their mean by what its own sampling error is worth (the model of Fay and Herriot with a mean alone). Its mean squared
    error is never taken above that of the observed change, which the approximation exceeds where the variance is found to be 0.

    Parameters
    ----------
    change, std_error : array, shape ``(backgrounds,)``
        Observed changes and their standard errors, all above 0; at least three.

    Returns
    -------
    tuple
        The estimates and their root mean squared errors, ``(backgrounds,)`` each, and `variance_observed`, `variance_sampling`,
        `variance_real`, `mean` (the mean real change) and `p_alike` (of Cochran's test that all real changes are alike).

    Raises
    ------
    EstimationError
        If there are fewer than three changes, or a standard error is missing or not above 0.

    References
    ----------
    Fay and Herriot (1979), doi:10.1080/01621459.1979.10482505. Cochran (1954), doi:10.2307/3001666.

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.inference.spread import real_changes
    >>> shrunken, _, split = real_changes(np.array([-0.1, 0.0, 0.1]), np.full(3, 0.06))
    >>> (shrunken.round(3) + 0.0).tolist(), round(split["variance_real"], 4)
    ([-0.064, 0.0, 0.064], 0.0064)
    """
    if len(change) < 3 or not (np.isfinite(change) & (std_error > 0)).all():
        raise EstimationError(
            "real change is told from sampling error by how changes vary: at least 3 backgrounds with standard errors are needed; "
            f"there are {int((np.isfinite(change) & (std_error > 0)).sum())} of {len(change)}"
        )
    observed, sampling = float(change.var(ddof=1)), float((std_error**2).mean())
    real = max(observed - sampling, 0.0)
    fit = fit_area_model(change, np.ones((len(change), 1)), std_error**2, variance=real)
    precise = 1 / std_error**2
    q = float((precise * (change - precise @ change / precise.sum()) ** 2).sum())
    alike = chi_square_outcome(q, len(change) - 1.0).p_value
    variances = {"variance_observed": observed, "variance_sampling": sampling, "variance_real": real}
    error = np.minimum(np.sqrt(fit.mse), std_error)
    return fit.estimate, error, {**variances, "mean": float(fit.coefficients[0]), "p_alike": alike}


def _require_errors(simulated: pd.DataFrame) -> None:
    require_columns(simulated, [STD_ERROR], "simulated")
    for column in (SHARE, STD_ERROR):
        lacking = simulated[simulated[column].isna()]
        if len(lacking):
            cells = lacking[[QUESTION, BACKGROUND]].drop_duplicates().astype(str).agg(" / ".join, axis=1)
            raise EstimationError(
                f"spread is restored by what the estimates leave open, so simulated needs a {column} in every row; it is missing in "
                f"{first_few(cells)}: use a method with a posterior ('dsa', 'dsa-kernel', 'mrp', 'mean_tilt', 'low_rank')"
            )


def _weights(backgrounds: pd.Index, population: pd.DataFrame | None) -> Array:
    if population is None:
        return np.full(len(backgrounds), 1 / len(backgrounds))
    weights = population_shares(population, backgrounds, "population")
    if not weights.sum() > 0:
        raise TableError("population: the backgrounds simulated have population_share 0, all of them; give shares that sum to more")
    return weights / weights.sum()


def _spread_question(rows: pd.DataFrame, draws: list[str], population: pd.DataFrame | None) -> pd.DataFrame:
    wide = rows.pivot_table(index=BACKGROUND, columns=ORDER, values=SHARE, observed=True)
    row, column = wide.index.get_indexer(rows[BACKGROUND]), wide.columns.get_indexer(rows[ORDER])
    weights, shares, error = _weights(wide.index, population), wide.to_numpy(float), np.zeros(wide.shape)
    error[row, column] = rows[STD_ERROR]
    if draws:
        drawn = np.zeros((len(draws), *wide.shape))
        drawn[:, row, column] = rows[draws].to_numpy(float).T
        expected = float(np.mean([between_variance(each, weights) for each in drawn]))
    else:
        expected = between_variance(shares, weights) + float(weights * (1 - weights) @ (error**2).sum(-1))
    factor = _factor(shares, weights, expected)
    spread = shares if np.isnan(factor) else _spread(shares, weights, factor)
    total = np.sqrt(error**2 + (spread - shares) ** 2)[row, column]
    share = spread[row, column]
    low, high = normal_intervals(share, total, bounds=OF_A_SHARE)
    return rows.assign(
        **{
            SHARE: share,
            STD_ERROR: total,
            CONF_LOW: low,
            CONF_HIGH: high,
            FACTOR: factor,
        }
    )


def _spread(shares: Array, weights: Array, factor: float) -> Array:
    """Return shares `(backgrounds, options)` with their departures from the mean times `factor`, cut at 0 and scaled to sum to 1."""
    mean = weights @ shares
    moved = np.clip(mean + factor * (shares - mean), 0.0, None)
    return np.asarray(moved / moved.sum(-1, keepdims=True))


def _factor(shares: Array, weights: Array, expected: float) -> float:
    """Return the factor at which the variance between backgrounds is the one expected, missing if it is above `LARGEST_FACTOR`.

    It is found by halving, since cutting at 0 leaves no formula.
    """
    if expected <= 0:  # a single background
        return 1.0
    low, high = 0.0, 1.0
    while between_variance(_spread(shares, weights, high), weights) < expected:
        high *= 2
        if high > LARGEST_FACTOR:
            return np.nan
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if between_variance(_spread(shares, weights, middle), weights) < expected else (low, middle)
    return high
