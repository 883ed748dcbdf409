"""Weight adjustments on designs: a design goes in, a design with other weights and the same respondents comes out.

An adjustment to known totals is recorded in the design, so that standard errors use residuals; with replicate weights it
is repeated in every replicate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from surveysim.design.calibration import RESIDUALS, Calibration, TurnByTurn, calibrated_weights, raked_weights
from surveysim.design.design import Design
from surveysim.design.replication import Replicates, replicate_weights
from surveysim.errors import DesignError, first_few, nearest

Solve = Callable[[np.ndarray], np.ndarray]  # weights -> adjusted weights; or replicate weights, a column each


def rake_design(
    design: Design,
    groups: Sequence[np.ndarray],
    totals: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    residuals: str = "regression",
) -> Design:
    """Rake the weights to the totals of several margins; one margin alone is post-stratification.

    Parameters
    ----------
    design : Design
    groups : sequence of int arrays, shape ``(respondents,)``
        Group of each respondent from 0, a margin each.
    totals : sequence of arrays, shape ``(groups,)``
        Population totals; every margin's add up to the same population.
    names : sequence of str
        Names of the margins, for messages.
    residuals : {"regression", "in_turn"}
        How standard errors take the margins out: together by a regression, or in turn as R's `rake`.

    Raises
    ------
    DesignError
        If the iteration does not converge, or `residuals` is unknown.
    """
    if residuals not in RESIDUALS:
        raise DesignError(f"residuals must be one of {', '.join(RESIDUALS)}; {nearest(str(residuals), RESIDUALS)}")
    dummies = [(group[:, None] == np.arange(len(total))).astype(float) for group, total in zip(groups, totals, strict=True)]

    def solve(weights: np.ndarray) -> np.ndarray:
        return raked_weights(weights, groups, totals, names)

    raked = _adjusted(design, np.hstack(dummies), solve, solve)
    if residuals == "regression":
        return raked
    *before, last = raked.calibrations
    starts = np.cumsum([0, *map(len, totals)])[:-1]
    columns = np.stack([group + start for group, start in zip(groups, starts, strict=True)], axis=1)
    return replace(raked, calibrations=(*before, TurnByTurn(last.margins, last.base_weights, last.weights, columns)))


def calibrate_design(
    design: Design,
    margins: np.ndarray,
    totals: np.ndarray,
    *,
    method: str = "linear",
    bounds: tuple[float, float] | None = None,
    names: Sequence[str] = (),
) -> Design:
    """Calibrate the weights to the totals of numeric margins.

    Parameters
    ----------
    design : Design
    margins : array, shape ``(respondents, margins)``
    totals : array, shape ``(margins,)``
    method : {"linear", "raking", "logit"}
    bounds : (low, high), optional
        Limits of new over old weight, for ``"logit"``.
    names : sequence of str
        Names of the margins, for messages.

    Raises
    ------
    DesignError
        If no weights of this form meet the totals, or linear calibration makes weights negative.
    """

    def solve(weights: np.ndarray) -> np.ndarray:
        return calibrated_weights(weights, margins, totals, method=method, bounds=bounds, names=names)

    calibrated = solve(design.weights)
    negative = np.flatnonzero(calibrated < 0)
    if len(negative):
        raise DesignError(
            f"method={method!r} makes {len(negative)} weights negative (rows {first_few(negative)}); "
            "use method='raking', or 'logit' with bounds="
        )

    def solve_each(replicates: np.ndarray) -> np.ndarray:
        columns = []
        for number, column in enumerate(replicates.T, start=1):
            try:
                columns.append(solve(column))
            except DesignError as error:
                raise DesignError(f"replicate {number} of {replicates.shape[1]}: {error}") from error
        return np.stack(columns, axis=1)

    return _adjusted(design, margins, solve, solve_each)


def trim_design(design: Design, *, lower: float = 0.0, upper: float = np.inf, strict: bool = True) -> Design:
    """Cut the weights at limits and spread what was cut evenly over the others, as R's `trimWeights`.

    The sum of weights is kept. Respondents of zero weight keep it. With `strict` this is repeated until no weight lies
    outside the limits. Calibrations stay recorded, though trimmed weights meet their totals no more.

    Parameters
    ----------
    design : Design
    lower, upper : float
        Limits, in the units of the weight.
    strict : bool

    Raises
    ------
    DesignError
        If the limits exclude each other, or the weights' mean.
    """
    mean = float(design.weights[design.weights > 0].mean())
    if not 0 <= lower < mean < upper:
        raise DesignError(f"trimming needs 0 <= lower < mean weight < upper; got lower={lower:g}, mean {mean:g}, upper={upper:g}")
    trimmed = _trimmed(design.weights, lower, upper, strict)
    if design.replicates is None:
        return replace(design, weights=trimmed)
    columns = [_trimmed(column, lower, upper, strict) for column in design.replicates.weights.T]
    return replace(design, weights=trimmed, replicates=replace(design.replicates, weights=np.stack(columns, axis=1)))


def replicate_design(design: Design, method: str, *, n_replicates: int = 500, fay: float = 0.3, seed: int = 0) -> Design:
    """Make replicate weights from a design's first stage.

    Calibrations are repeated in every replicate by making the replicates first: replicate, then rake.

    Parameters
    ----------
    design : Design
    method : {"JK1", "JKn", "BRR", "Fay", "bootstrap"}
        See `replicate_weights`.
    n_replicates : int
        Of the bootstrap.
    fay : float
        Of Fay's method, 0-1.
    seed : int
        Of the bootstrap.

    Raises
    ------
    DesignError
        If the weights were calibrated before, or the method does not suit the design.
    """
    if design.calibrations:
        raise DesignError("the weights were calibrated before; make replicates first, then rake or calibrate: each is then calibrated")
    if design.lonely_psu in ("adjust", "average"):
        raise DesignError(f"replicate weights cannot {design.lonely_psu} strata with a single PSU; join strata, or lonely_psu='remove'")
    made = replicate_weights(
        design.weights,
        design.stages[0],
        method,
        n_replicates=n_replicates,
        fay=fay,
        seed=seed,
        drop_lonely=design.lonely_psu in ("remove", "certainty"),
    )
    return replace(design, replicates=made)


def given_replicates(
    design: Design,
    weights: np.ndarray,
    *,
    method: str,
    combined: bool = True,
    scale: float | None = None,
    rscales: np.ndarray | None = None,
    fay: float = 0.3,
    mse: bool = False,
) -> Design:
    """Take the replicate weights of a release.

    Parameters
    ----------
    design : Design
    weights : array, shape ``(respondents, replicates)``
    method : {"JK1", "JKn", "BRR", "Fay", "bootstrap", "JK2", "SDR", "other"}
        ``"other"``: a rule that `scale` and `rscales` say, such as that of generalised replicates.
    combined : bool
        Whether the sampling weight is in the replicate weights; otherwise they are multiplied by it.
    scale : float, optional
        Default by method: JK1 ``(R-1)/R``, BRR ``1/R``, Fay ``1/(R (1-fay)^2)``, bootstrap ``1/(R-1)``, JKn and JK2 1, SDR ``4/R``;
        ``"other"`` has none.
    rscales : array, shape ``(replicates,)``, optional
        Default 1 each; JKn needs them, ``(n_h-1)/n_h``.
    fay : float
        Of Fay's method, 0-1.
    mse : bool
        Centre at the full sample's estimate in place of the replicates' mean.

    Raises
    ------
    DesignError
        If the method is unknown, the shape is wrong, JKn comes without `rscales`, or ``"other"`` without `scale`.
    """
    columns = np.asarray(weights, dtype=float)
    if columns.ndim != 2 or len(columns) != len(design) or not columns.size:
        raise DesignError(f"replicate weights need a row per respondent ({len(design)}); got shape {columns.shape}")
    size = columns.shape[1]
    if method == "JKn" and rscales is None:
        raise DesignError("method='JKn' needs rscales=, (n_h - 1) / n_h for the stratum of each replicate; see the release's documentation")
    if method == "other" and scale is None:
        raise DesignError("method='other' needs scale=, the factor of the squared deviations' sum; see the release's documentation")
    usual = {
        "JK1": (size - 1) / size,
        "BRR": 1 / size,
        "Fay": 1 / (size * (1 - fay) ** 2),
        "bootstrap": 1 / max(size - 1, 1),
        "JKn": 1.0,
        "SDR": 4 / size,
    }
    made = Replicates(
        columns if combined else design.weights[:, None] * columns,
        usual.get(method, 1.0) if scale is None else scale,
        np.ones(size) if rscales is None else np.asarray(rscales, dtype=float),
        method,
        mse,
    )
    return replace(design, replicates=made)


def declared_replicates(design: Design, weights: np.ndarray, declared: str) -> Design:
    """Take the replicate weights that a codebook declares, with their method.

    Parameters
    ----------
    design : Design
    weights : array, shape ``(respondents, replicates)``
    declared : str
        ``replicate_method`` of the codebook: ``"JK1"``, ``"JK2"``, ``"BRR"``, ``"bootstrap"``, ``"SDR"`` (about the full sample's
        estimate), or Fay's method with its factor: ``"Fay 0.5"``.

    Raises
    ------
    DesignError
        If the method is unknown, or does not tell its scales (Fay without a factor, JKn).
    """
    method, _, factor = declared.partition(" ")
    if method in ("JKn", "other") or (method == "Fay" and not factor):
        raise DesignError(
            f"the codebook's replicate_method={declared!r} does not tell its scales: write 'Fay 0.5' for Fay's factor; for JKn and other "
            "leave replicate_weights out of the codebook and use with_replicates(survey, weights, method='JKn', rscales=...)"
        )
    try:
        fay = float(factor or 0)
    except ValueError as error:
        raise DesignError(f"the codebook's replicate_method={declared!r} is not a method and a number, such as 'Fay 0.5'") from error
    return given_replicates(design, weights, method=method, fay=fay, mse=method == "SDR")


def _adjusted(design: Design, margins: np.ndarray, solve: Solve, solve_each: Solve) -> Design:
    weights = solve(design.weights)
    calibration = Calibration(margins, design.weights, weights)
    adjusted = replace(design, weights=weights, calibrations=(*design.calibrations, calibration))
    if design.replicates is None:
        return adjusted
    return replace(adjusted, replicates=replace(design.replicates, weights=solve_each(design.replicates.weights)))


def _trimmed(weights: np.ndarray, lower: float, upper: float, strict: bool) -> np.ndarray:
    held = weights > 0
    trimmed = weights.copy()
    for _ in range(1000):
        outside = held & ((trimmed < lower) | (trimmed > upper))
        if not outside.any():
            return trimmed
        cut = np.where(outside, np.clip(trimmed, lower, upper), trimmed)
        within = held & ~outside
        if not within.any():
            raise DesignError(f"every weight lies outside {lower:g} to {upper:g}; set wider limits")
        cut[within] += (trimmed.sum() - cut.sum()) / within.sum()
        trimmed = cut
        if not strict:
            return trimmed
    return np.where(held, np.clip(trimmed, lower, upper), trimmed)
