"""Composite estimates: direct and simulated shares, combined cell by cell by what each is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from surveysim.codebook.readable import readable
from surveysim.errors import EstimationError, first_few, nearest
from surveysim.inference.area_cells import AreaCells, area_cells
from surveysim.inference.fay_herriot import VARIANCE_METHODS, AreaFit, fit_area_model, mean_squared_errors, restricted_log_likelihood
from surveysim.tables.cells import Array, to_table
from surveysim.tables.draws import with_draws
from surveysim.tables.schema import N_EFF, STD_ERROR
from surveysim.tables.weighting_record import described

DIRECT_WEIGHT, MSE = "direct_weight", "mse"
FEWEST_CELLS = 3
REGRESSIONS = ("none", "intercept")
QUESTION_SPREAD = 0.5  # prior standard deviation of a question's log model variance around all questions'
POSTERIOR_POINTS = 97
LOG_VARIANCES = (-9.0, 3.0)  # range that the log model variance is looked for in
LEAST_VARIANCE = 1e-10  # of a cell's mean squared error, so that its square root is above 0


def composite(
    direct: pd.DataFrame,
    simulated: pd.DataFrame,
    *,
    method: str = "reml",
    regression: str = "none",
    borrow: bool = True,
    independent: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Combine direct and simulated shares, cell by cell, by an empirical best linear unbiased predictor (Fay and Herriot).

    In a cell c the direct shares have sampling covariance ``d_c (diag(p) - pp')``, with ``d_c`` the design effect over
    `n_eff`; the simulated shares miss the truth with covariance ``A s_c (diag(p) - pp')``. The composite is
    ``w_c direct + (1 - w_c) simulated`` with ``w_c = A s_c / (A s_c + d_c)``: one weight for all options of a cell, so
    shares sum to 1 and stay in 0-1. The model variance A is estimated for every question by REML or moments. In expectation
    the composite is no worse than the direct estimate, and close to it where the sample is large.

    Assumptions: (1) the two tables err independently, so the simulated one was learnt from other respondents: pass the
    tables of `cross_fit` (its folds are combined one by one and averaged; the average's MSE is the mean of the folds' less
    their spread), or say ``independent=True``. (2) Direct shares are unbiased, and their sampling variance follows from `n_eff` and one
    design effect for the whole table, estimated from its standard errors: a small cell's own standard error is too noisy
    to weight by. (3) The simulated table's errors have mean 0 over cells (``regression="none"``), or the same mean in every
    cell (``"intercept"``); what remains is exchangeable between cells up to ``s_c``, the square of the simulated table's own
    standard errors where it states them, else 1.

    Parameters
    ----------
    direct : DataFrame
        A distributions table of a survey, with `n_eff` and, for the design effect, `std_error`; or `CrossFit.direct`.
    simulated : DataFrame
        A distributions table of every cell wanted; or `CrossFit.simulated`. Cells that nobody was sampled from get the
        simulated shares, with the model's uncertainty.
    method : {"reml", "moments"}
        Of estimating A.
    regression : {"none", "intercept"}
        ``"intercept"`` first shifts all simulated cells of a question by a common vector of shares.
    borrow : bool
        With ``"reml"``: each question's A leans on all questions'. A single question says little about it.
    independent : bool
        True states that no respondent of `direct` taught `simulated`.
    seed : int
        Of the draws, where the simulated table has some; nothing else is drawn.

    Returns
    -------
    DataFrame
        A distributions table, ``source="composite"``, with `direct_weight` (w_c, 0-1) and `mse`. `std_error` is the root of
        the MSE; its terms are Prasad and Rao's: prediction, regression, and estimation of A. Intervals are normal,
        cut at 0 and 1; `n_eff` is the size of a simple random sample of the same precision. Where the simulated table has
        draws (``simulate(..., draws=)``) the composite has some too, for `poststratify`: the errors of its cells go together as
        far as the simulated ones do. `attrs`: `model_variance` (by
        question, in units of one respondent's variance, or, as `variance_unit` says, of the stated variance), `design_effect`,
        `clipped` (cells cut at 0 after an intercept).

    Raises
    ------
    EstimationError
        If an option is unknown; the tables share respondents, as far as they tell; a direct cell is not simulated; or a
        question has fewer than three sampled cells.
    TableError
        If a table breaks its contract, or one has folds and the other has not.

    References
    ----------
    Fay and Herriot (1979), doi:10.2307/2286322. Prasad and Rao (1990), doi:10.1080/01621459.1990.10475320. Rao and Molina
    (2015), Small Area Estimation, 2nd ed., sections 6.1-6.4 and 4.4 (several shares at once), doi:10.1002/9781118735855.
    Krogh and Vedelsby (1995), Neural network ensembles, cross validation, and active learning, NIPS 7, 231-238 (the average's error).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> small, others = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> by = ["gender", "age3", "education"]
    >>> direct, learnt = (ss.response_distributions(part, by=by, questions=["Q8_8"]) for part in (small, others))
    >>> model = ss.estimate_baseline(learnt, ss.background_grid(survey.codebook, by=by), method="ridge")
    >>> table = ss.composite(direct, model, independent=True)
    >>> bool(table.direct_weight.between(0, 1).all()), round(float(table[table.background_id == table.background_id[0]].share.sum()), 9)
    (True, 1.0)
    """
    _check_choice("method", method, VARIANCE_METHODS)
    _check_choice("regression", regression, REGRESSIONS)
    cells = area_cells(direct, simulated, independent=independent)
    _require_sampled_cells(cells)
    models = [_AreaRows.of(cells, question, regression) for question in range(len(cells.layout.questions))]
    borrowed = borrow and method == "reml"
    fits, predictions = [], []
    for place, variance in enumerate(_model_variances(models, method, borrow, least=1.0 if cells.stated else 0.0)):
        known = 1 / (QUESTION_SPREAD * variance) ** 2 if borrowed else 0.0
        fits.append(models[place].fit(method, variance, known))
        predictions.append(_predict(cells, place, models[place], fits[-1], seed))
    table = _composite_table(cells, predictions, fits)
    table.attrs = {**described(direct), **table.attrs, "method": method, "regression": regression}
    return readable(table, like=[direct, simulated])


@dataclass(frozen=True, eq=False)
class _AreaRows:
    """One question's sampled cells as rows of the area-level model: K - 1 uncorrelated contrasts of the options each.

    Attributes
    ----------
    residual : array, shape (rows,)
        Direct less simulated, in units of a standard deviation of one respondent.
    covariates : array, shape (rows, columns)
    sampling, multipliers : array, shape (rows,)
    to_shares : array, shape (folds, backgrounds, options, contrasts)
        From contrasts back to shares.
    basis : array, shape (options, columns)
        Shifts of shares that the regression is made of.
    design : array, shape (folds, backgrounds, contrasts, columns)
    """

    residual: Array
    covariates: Array
    sampling: Array
    multipliers: Array
    to_shares: Array
    basis: Array
    design: Array

    @classmethod
    def of(cls, cells: AreaCells, question: int, regression: str) -> _AreaRows:
        size = int(cells.layout.mask[question].sum())
        direct, simulated, metric = (array[:, question, :, :size] for array in (cells.direct, cells.simulated, cells.metric))
        sampled = cells.sampled[:, question]
        to_contrasts, to_shares = _whitening(metric)
        basis = np.linalg.qr(np.eye(size) - 1 / size)[0][:, : size - 1] if regression == "intercept" else np.zeros((size, 0))
        design = to_contrasts @ basis
        residual = np.einsum("fbjk,fbk->fbj", to_contrasts, direct - simulated)[sampled]
        repeat = residual.shape[1]
        return cls(
            residual.ravel(),
            design[sampled].reshape(len(residual) * repeat, basis.shape[1]),
            np.repeat(cells.sampling[:, question][sampled], repeat),
            np.repeat(cells.multipliers[:, question][sampled], repeat),
            to_shares,
            basis,
            design,
        )

    def log_likelihood(self, log_variance: float) -> float:
        return restricted_log_likelihood(float(np.exp(log_variance)), self.residual, self.covariates, self.sampling, self.multipliers)

    def fit(self, method: str, variance: float | None = None, information: float = 0.0) -> AreaFit:
        return fit_area_model(
            self.residual,
            self.covariates,
            self.sampling,
            multipliers=self.multipliers,
            method=method,
            variance=variance,
            variance_information=information,
        )


def _whitening(metric: Array) -> tuple[Array, Array]:
    """Matrices W and L, of shapes (*, options - 1, options) and its transpose: ``L L' = diag(p) - pp'`` and ``W L`` is the identity.

    With r = sqrt(p) and U an orthonormal basis of what is orthogonal to r, L is ``diag(r) U``. U is a Householder
    reflection's.
    """
    root = np.sqrt(metric / metric.sum(-1, keepdims=True))
    mirror = root.copy()
    mirror[..., -1] += 1.0
    reflection = np.eye(root.shape[-1]) - 2 * mirror[..., :, None] * mirror[..., None, :] / np.square(mirror).sum(-1)[..., None, None]
    basis = reflection[..., :-1]
    return (basis / root[..., :, None]).swapaxes(-1, -2), root[..., :, None] * basis


def mean_model_variances(cells: AreaCells) -> list[float]:
    """Return the posterior mean of every question's model variance, at least 1 where the simulated table states its own.

    The likeliest value, which `composite` takes, is often near 0 where errors are small beside the sample's; an interval made of it
    would have no width (Li and Lahiri 2010, doi:10.1016/j.jmva.2009.10.009). The prior of all questions' variance is uniform, each
    question's leans on it as in `composite`.

    Raises
    ------
    EstimationError
        If a question has fewer than three sampled cells.
    """
    _require_sampled_cells(cells)
    rows = [_AreaRows.of(cells, question, "none") for question in range(len(cells.layout.questions))]
    places = np.linspace(*LOG_VARIANCES, POSTERIOR_POINTS)
    logs = np.array([[each.log_likelihood(place) for place in places] for each in rows])
    shared = np.log(_mean_variance(logs.sum(0) + places, places))  # uniform by variance
    leaning = -0.5 * np.square((places - shared) / QUESTION_SPREAD)
    return [max(_mean_variance(own + leaning, places), 1.0 if cells.stated else 0.0) for own in logs]


def _mean_variance(log_density: Array, places: Array) -> float:
    weight = np.exp(log_density - log_density.max())
    return float((weight * np.exp(places)).sum() / weight.sum())


def _model_variances(models: list[_AreaRows], method: str, borrow: bool, least: float) -> list[float]:
    """Return each question's model variance, at least `least`: a table is given no more credit than it claims."""
    if method == "moments" or not borrow:
        return [max(rows.fit(method).variance, least) for rows in models]
    shared = _highest(lambda place: sum(rows.log_likelihood(place) for rows in models))
    places = [_highest(partial(_leaning, rows, shared)) for rows in models]
    return [max(float(np.exp(place)), least) for place in places]


def _leaning(rows: _AreaRows, shared: float, place: float) -> float:
    """Log-likelihood of a question's log model variance, with a normal prior around what all questions share."""
    return rows.log_likelihood(place) - 0.5 * ((place - shared) / QUESTION_SPREAD) ** 2


def _highest(function: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    grid = np.linspace(*LOG_VARIANCES, 25)
    best = int(np.argmax([function(place) for place in grid]))
    limits = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(minimize_scalar(lambda place: -function(place), bounds=limits, method="bounded").x)


@dataclass(frozen=True, eq=False)
class _Prediction:
    """One question's composite over folds: shares, MSE of shares (backgrounds, options); weight, MSE in units (backgrounds,)."""

    shares: Array
    mse: Array
    weight: Array
    variance: Array
    clipped: int
    draws: Array | None


def _predict(cells: AreaCells, question: int, rows: _AreaRows, fit: AreaFit, seed: int) -> _Prediction:
    size = len(rows.basis)
    direct, simulated = (array[:, question, :, :size] for array in (cells.direct, cells.simulated))
    sampling, multipliers = cells.sampling[:, question], cells.multipliers[:, question]
    weight = np.where(np.isfinite(sampling), fit.variance * multipliers / (fit.variance * multipliers + sampling), 0.0)
    moved = simulated + rows.basis @ fit.coefficients
    each = weight[..., None] * direct + (1 - weight[..., None]) * moved
    leading, squared = mean_squared_errors(fit, sampling, multipliers)
    identity = np.eye(size - 1)
    regression = rows.design @ fit.coefficient_covariance @ rows.design.swapaxes(-1, -2)
    matrix = leading[..., None, None] * identity + squared[..., None, None] * regression
    mse = np.einsum("fbkj,fbjl,fbkl->fbk", rows.to_shares, matrix, rows.to_shares).mean(0)
    kept = _error_left_by_averaging(each, mse)
    mse, variance = kept * mse, kept * np.trace(matrix, axis1=-2, axis2=-1).mean(0) / (size - 1)
    shares = each.mean(0)
    below = (shares < 0).any(-1)
    shares = np.clip(shares, 0, None)
    shares, mse = shares / shares.sum(-1, keepdims=True), np.maximum(mse, LEAST_VARIANCE)
    draws = None if cells.draws is None else shares[..., None] + _errors_drawn(cells.draws[:, question, :, :size], rows, weight, mse, seed)
    return _Prediction(shares, mse, weight.mean(0), variance, int(below.sum()), draws)


def _error_left_by_averaging(each: Array, mse: Array) -> float:
    """Return what part of the folds' mean squared error their average has; `each` has shape (folds, backgrounds, options).

    ``mean(x)^2 = mean(x^2) - mean((x - mean(x))^2)`` for errors x of the folds, whose spread is that of their estimates (Krogh and
    Vedelsby 1995). It is taken over all cells of a question, and not below what independent folds would leave.
    """
    spread = float(np.square(each - each.mean(0)).mean(0).sum())
    return max(1 - spread / float(mse.sum()), 1 / len(each))


def _errors_drawn(simulated: Array, rows: _AreaRows, weight: Array, mse: Array, seed: int) -> Array:
    """Errors of the composite that leave the simulated cells' errors as they go together, shape (backgrounds, options, draws).

    With F folds, each simulated table was learnt from the other folds, with a fraction (F - 1) / F of the sample; its errors covary
    with those of the direct shares that taught it as much as they vary, which leaves ``1 - weight^2`` of their covariance
    between cells. What a cell's MSE has beyond that is its own.
    """
    folds, generator = len(simulated), np.random.default_rng(seed)
    moved = np.stack([fold[..., generator.permutation(fold.shape[-1])] for fold in simulated])  # folds of one seed draw alike
    direct = weight.mean(0)[:, None, None]
    shared = moved.sum(0) * (np.sqrt(1 - direct**2) * np.sqrt((folds - 1) / folds**2) if folds > 1 else 1 - direct)
    spread, total = shared.var(-1, ddof=1).sum(-1), mse.sum(-1)
    shared *= np.sqrt(np.minimum(total / np.maximum(spread, LEAST_VARIANCE), 1.0))[:, None, None]
    noise = rows.to_shares.mean(0) @ generator.standard_normal((*rows.to_shares.shape[1:2], rows.to_shares.shape[3], simulated.shape[-1]))
    own = np.sqrt(np.maximum(total - spread, 0.0) / np.maximum(noise.var(-1, ddof=1).sum(-1), LEAST_VARIANCE))
    errors = shared + own[:, None, None] * noise
    return errors * np.sqrt(total / np.maximum(errors.var(-1, ddof=1).sum(-1), LEAST_VARIANCE))[:, None, None]


def _composite_table(cells: AreaCells, predictions: list[_Prediction], fits: list[AreaFit]) -> pd.DataFrame:
    layout = cells.layout
    shares, errors = np.zeros(layout.shares.shape), np.zeros(layout.shares.shape)
    for question, prediction in enumerate(predictions):
        size = prediction.shares.shape[1]
        shares[question, :, :size], errors[question, :, :size] = prediction.shares, np.sqrt(prediction.mse)
    table = to_table(layout, shares, source="composite", std_error=errors)
    sizes = [np.repeat(1 / prediction.variance, prediction.shares.shape[1]) for prediction in predictions]
    weights = [np.repeat(prediction.weight, prediction.shares.shape[1]) for prediction in predictions]
    table = table.assign(**{N_EFF: np.concatenate(sizes), DIRECT_WEIGHT: np.concatenate(weights), MSE: table[STD_ERROR] ** 2})
    if cells.draws is not None:
        table = with_draws(
            table, np.concatenate([each.draws.reshape(-1, each.draws.shape[-1]) for each in predictions if each.draws is not None])
        )
    table.attrs["model_variance"] = {name: fit.variance for name, fit in zip(layout.questions, fits, strict=True)}
    table.attrs["variance_unit"] = "variance stated by the simulated table" if cells.stated else "variance of one respondent's answer"
    table.attrs["design_effect"] = cells.design_effect
    table.attrs["clipped"] = sum(prediction.clipped for prediction in predictions)
    return table


def _require_sampled_cells(cells: AreaCells) -> None:
    per_question = cells.sampled.any(0).sum(1)
    few = [f"{name} ({count})" for name, count in zip(cells.layout.questions, per_question, strict=True) if count < FEWEST_CELLS]
    if few:
        raise EstimationError(
            f"a composite needs at least {FEWEST_CELLS} sampled cells a question, to tell the model's error from the sample's; too few in "
            f"{first_few(few)}: use more traits, or the direct estimate"
        )


def _check_choice(argument: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise EstimationError(f"{argument} must be one of {', '.join(map(repr, known))}; got {value!r}, {nearest(str(value), known)}")
