"""How far apart two response distributions are: one definition each, in numpy, over the last axis.

Every metric takes ``(estimated, reference)`` of shape ``(..., options)``, shares that sum to 1, and returns ``(...)``. Where
questions differ in their number of options, pad the shares with 0 and pass ``mask``, True where there is an option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from surveysim.errors import EvaluationError
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import SHARE_TOLERANCE

Array = npt.NDArray[np.float64]
Metric = Callable[..., Array]

UNIFORM_PART = 1e-6  # kl mixes this much of the uniform distribution into both sides, so that an empty option stays finite


def wasserstein(estimated: npt.ArrayLike, reference: npt.ArrayLike, *, mask: npt.ArrayLike | None = None) -> Array:
    """Return the Wasserstein-1 distance on a scale that runs from 0 to 1, for ordered options.

    ``sum_k |F(k) - G(k)| / (K - 1)`` with F and G the cumulative shares and K the number of options: 1 if one side
    answers all at the lowest and the other all at the highest option.

    Parameters
    ----------
    estimated, reference : array, shape (..., options)
        Shares, 0-1, options in the order of the scale.
    mask : array of bool, shape broadcastable to (..., options), optional
        True where there is an option; padding stands at the end.

    Returns
    -------
    array, shape (...)

    Raises
    ------
    EvaluationError
        If the shapes do not fit, a share is negative or missing, or shares do not sum to 1.

    References
    ----------
    Vallender (1974), Theory of Probability and Its Applications 18(4), doi:10.1137/1118101.

    Examples
    --------
    >>> from surveysim.evaluation.metrics import wasserstein
    >>> float(wasserstein([1.0, 0.0, 0.0], [0.0, 0.5, 0.5]))
    0.75
    """
    p, q, options = _prepare(estimated, reference, mask)
    gaps = np.where(options, np.abs(np.cumsum(p - q, axis=-1)), 0.0)
    return gaps.sum(-1) / np.maximum(options.sum(-1) - 1, 1)


def total_variation(estimated: npt.ArrayLike, reference: npt.ArrayLike, *, mask: npt.ArrayLike | None = None) -> Array:
    """Return half the summed absolute difference of shares: the share of answers that would have to change.

    Parameters, returns and errors as in `wasserstein`; the order of options does not matter.

    Examples
    --------
    >>> from surveysim.evaluation.metrics import total_variation
    >>> float(total_variation([0.5, 0.5], [0.25, 0.75]))
    0.25
    """
    p, q, _ = _prepare(estimated, reference, mask)
    return 0.5 * np.abs(p - q).sum(-1)


def jensen_shannon(estimated: npt.ArrayLike, reference: npt.ArrayLike, *, mask: npt.ArrayLike | None = None) -> Array:
    """Return the Jensen-Shannon divergence in nats, 0 to ln 2 (the divergence, not its square root).

    Parameters, returns and errors as in `wasserstein`; the order of options does not matter.

    References
    ----------
    Lin (1991), IEEE Transactions on Information Theory 37(1), doi:10.1109/18.61115.

    Examples
    --------
    >>> from surveysim.evaluation.metrics import jensen_shannon
    >>> round(float(jensen_shannon([1.0, 0.0], [0.0, 1.0])), 4)
    0.6931
    """
    p, q, _ = _prepare(estimated, reference, mask)
    middle = (p + q) / 2
    return np.maximum((_p_log_ratio(p, middle) + _p_log_ratio(q, middle)).sum(-1) / 2, 0.0)


def kl(estimated: npt.ArrayLike, reference: npt.ArrayLike, *, mask: npt.ArrayLike | None = None) -> Array:
    """Return the Kullback-Leibler divergence of the reference from the estimate in nats, ``sum q log(q / p)``.

    A millionth of the uniform distribution is mixed into both sides, so that an option without answers stays finite.
    Parameters, returns and errors as in `wasserstein`; not symmetric.

    References
    ----------
    Kullback & Leibler (1951), Annals of Mathematical Statistics 22(1), doi:10.1214/aoms/1177729694.

    Examples
    --------
    >>> from surveysim.evaluation.metrics import kl
    >>> round(float(kl([0.5, 0.5], [1.0, 0.0])), 4)
    0.6931
    """
    p, q, options = _prepare(estimated, reference, mask)
    uniform = np.where(options, UNIFORM_PART / options.sum(-1, keepdims=True), 0.0)
    p, q = p * (1 - UNIFORM_PART) + uniform, q * (1 - UNIFORM_PART) + uniform
    return np.maximum(_p_log_ratio(q, p).sum(-1), 0.0)


def hellinger(estimated: npt.ArrayLike, reference: npt.ArrayLike, *, mask: npt.ArrayLike | None = None) -> Array:
    """Return the Hellinger distance, 0 to 1: ``sqrt(sum (sqrt p - sqrt q)^2 / 2)``.

    Parameters, returns and errors as in `wasserstein`; the order of options does not matter.

    Examples
    --------
    >>> from surveysim.evaluation.metrics import hellinger
    >>> float(hellinger([1.0, 0.0], [0.0, 1.0]))
    1.0
    """
    p, q, _ = _prepare(estimated, reference, mask)
    return np.sqrt(0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(-1))


def squared_error(estimated: npt.ArrayLike, reference: npt.ArrayLike, *, mask: npt.ArrayLike | None = None) -> Array:
    """Return the sum over options of squared differences of shares, 0 to 2.

    Parameters, returns and errors as in `wasserstein`; the order of options does not matter.

    Examples
    --------
    >>> from surveysim.evaluation.metrics import squared_error
    >>> float(squared_error([0.5, 0.5], [1.0, 0.0]))
    0.5
    """
    p, q, _ = _prepare(estimated, reference, mask)
    return ((p - q) ** 2).sum(-1)


METRICS: dict[str, Metric] = {
    "wasserstein": wasserstein,
    "total_variation": total_variation,
    "jensen_shannon": jensen_shannon,
    "kl": kl,
    "hellinger": hellinger,
    "squared_error": squared_error,
}
"""Distances of estimated from true shares, by name: `evaluate` takes the names. Options lie along the last axis.

Examples
--------
>>> import surveysim as ss
>>> shares, truth = [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]
>>> [round(float(ss.METRICS[name](shares, truth)), 2) for name in ("wasserstein", "squared_error")]
[0.3, 0.18]
"""
ORDERED_ONLY = frozenset({"wasserstein"})
NOMINAL_SUBSTITUTE = "total_variation"  # what a nominal question gets where a metric is for ordered ones


def require_metrics(names: str | Iterable[str], known: Iterable[str] = tuple(METRICS)) -> tuple[str, ...]:
    """Return `names` as a tuple, each of them a known metric, none twice.

    Raises
    ------
    EvaluationError
        If a name is unknown (the message names the nearest), or there is none.
    """
    return tuple(known_names_of(names, "metrics", known, error=EvaluationError, lacking="there is no metric"))


def _prepare(estimated: npt.ArrayLike, reference: npt.ArrayLike, mask: npt.ArrayLike | None) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    p, q = np.asarray(estimated, float), np.asarray(reference, float)
    if p.ndim == 0 or q.ndim == 0 or p.shape[-1] != q.shape[-1]:
        raise EvaluationError(f"estimated has shape {p.shape} and reference {q.shape}; both need the same options in the last axis")
    options = np.ones(p.shape[-1], bool) if mask is None else np.asarray(mask, bool)
    try:
        p, q, options = np.broadcast_arrays(p, q, options)
    except ValueError as problem:
        shapes = f"{p.shape}, {q.shape} and mask {options.shape}"
        raise EvaluationError(f"estimated, reference and mask of shapes {shapes} do not broadcast together") from problem
    for name, shares in (("estimated", p), ("reference", q)):
        _check_shares(name, np.where(options, shares, 0.0))
    return np.where(options, p, 0.0), np.where(options, q, 0.0), options


def _check_shares(name: str, shares: Array) -> None:
    sums = shares.sum(-1)
    if not np.isfinite(sums).all():
        raise EvaluationError(f"{name}: {int((~np.isfinite(sums)).sum())} of {sums.size} distributions hold missing shares; leave them out")
    if shares.size and (shares.min() < -SHARE_TOLERANCE or np.abs(sums - 1).max() > SHARE_TOLERANCE):
        worst = sums.ravel()[np.abs(sums - 1).argmax()]
        raise EvaluationError(
            f"{name}: shares must lie in 0-1 and sum to 1 over options; lowest share {shares.min():.6g}, sum farthest from 1 {worst:.6g}"
        )


def _p_log_ratio(p: Array, q: Array) -> Array:
    positive = p > 0
    ratio = np.divide(p, q, out=np.ones_like(p), where=positive)
    return np.where(positive, p * np.log(ratio), 0.0)
