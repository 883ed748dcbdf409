"""Rao and Scott's chi-square tests on arrays: independence of two variables, and fit to given shares.

References
----------
Rao and Scott (1984), On chi-squared tests for multiway contingency tables, doi:10.1214/aos/1176346391.
Koch, Freeman and Freeman (1975), Strategies in the multivariate analysis of data from complex surveys, doi:10.2307/1402660 (Wald).
"""

from __future__ import annotations

import numpy as np

from surveysim.design.cell_sums import CellSums, cell_sums
from surveysim.design.design import ROUNDING
from surveysim.design.estimators import Members
from surveysim.design.outcomes import Outcome, chi_square_outcome, f_outcome
from surveysim.errors import DesignError

INDEPENDENCE_STATISTICS = ("F", "Chisq", "Wald", "adjWald")
FIT_STATISTICS = ("Chisq", "F")


def independence(members: Members, row: np.ndarray, column: np.ndarray, shape: tuple[int, int], statistic: str) -> Outcome:
    """Return the test that row and column are independent among the members, all in one domain.

    With the table's shares ``p``, Pearson's ``X2 = n sum (p - r c)^2 / (r c)`` is held against what the design makes of it: with
    Rao and Scott's generalised design effects ``d``, ``"F"`` is ``X2 / sum d`` on ``(sum d)^2 / sum d^2`` and as many times the PSUs less
    strata, ``"Chisq"`` is ``X2 / mean d`` on ``(rows - 1)(columns - 1)``. ``"Wald"`` holds ``p - r c`` against its covariance;
    ``"adjWald"`` scales
    it for few PSUs. The estimate is Cramer's V.

    Parameters
    ----------
    members : Members
    row, column : int array, shape ``(members,)``
        From 0; none of the rows and columns is empty.
    shape : tuple of int
    statistic : str
        One of `INDEPENDENCE_STATISTICS`.

    Raises
    ------
    DesignError
        If a row or column is all there is, too many cells are empty, or no degrees of freedom are left.
    """
    if min(shape) < 2:
        raise DesignError(
            f"the table has {shape[0]} rows and {shape[1]} columns that anyone is in; a test of independence needs two of each"
        )
    sums = cell_sums(members.design, members.rows, row * shape[1] + column, shape[0] * shape[1])
    share = (sums.estimate / sums.estimate.sum()).reshape(shape)
    expected = share.sum(axis=1, keepdims=True) * share.sum(axis=0)
    pearson = float((np.square(share - expected) / expected).sum())  # X2 / n
    association = float(np.sqrt(pearson / (min(shape) - 1)))
    freedom = float(members.degrees_of_freedom[0])
    if statistic in ("Wald", "adjWald"):
        return _wald(sums, shape, freedom, association, adjusted=statistic == "adjWald")
    effects = _design_effects(sums, shape)  # n times the design effects: n cancels
    trace = float(np.trace(effects))
    if not trace > 0:
        raise DesignError("the shares' standard errors are all zero; there is nothing to test")
    if statistic == "F":
        df = trace**2 / float((effects * effects.T).sum())
        return f_outcome(pearson / trace, df, df * freedom, association)
    return chi_square_outcome(pearson / trace * len(effects), float(len(effects)), association)


def _design_effects(sums: CellSums, shape: tuple[int, int]) -> np.ndarray:
    """Return the matrix whose eigenvalues are Rao and Scott's generalised design effects over n."""
    share = sums.estimate / sums.estimate.sum()
    inverse = np.divide(1.0, share, out=np.zeros(len(share)), where=share > 0)
    interaction = np.kron(_contrasts(shape[0]), _contrasts(shape[1]))
    covariance = _share_covariance(sums)
    simple = interaction.T @ (inverse[:, None] * interaction)
    if np.linalg.matrix_rank(simple) < len(simple):
        raise DesignError(
            f"{int((share == 0).sum())} of {len(share)} cells of the table are empty, too many for a test; join levels or options"
        )
    scaled = inverse[:, None] * interaction
    return np.linalg.solve(simple, scaled.T @ covariance @ scaled)


def _share_covariance(sums: CellSums) -> np.ndarray:
    """Return the covariance of the cells' shares."""
    total = sums.estimate.sum()
    if sums.replicates is not None:
        assert sums.repeated is not None, "made together"
        return sums.replicates.covariance(sums.repeated / sums.repeated.sum(axis=1, keepdims=True), sums.estimate / total)
    return sums.covariance((np.eye(len(sums.estimate)) - sums.estimate / total) / total)


def _contrasts(levels: int) -> np.ndarray:
    """Return orthogonal columns that sum to zero, shape ``(levels, levels - 1)``."""
    return np.linalg.qr(np.hstack([np.ones((levels, 1)), np.eye(levels)[:, 1:]]))[0][:, 1:]


def _wald(sums: CellSums, shape: tuple[int, int], freedom: float, association: float, *, adjusted: bool) -> Outcome:
    table, total = sums.estimate.reshape(shape), sums.estimate.sum()
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    apart = table - np.outer(rows, columns) / total
    row, column = np.divmod(np.arange(table.size), shape[1])
    slope = np.eye(table.size) + (rows[row] * columns[column] / total**2)[:, None]
    slope -= (row[:, None] == row) * (columns[column] / total)[:, None] + (column[:, None] == column) * (rows[row] / total)[:, None]
    used = np.flatnonzero((row > 0) & (column > 0))
    covariance = sums.covariance(slope[used].T)
    if np.linalg.matrix_rank(covariance, hermitian=True) < len(used):
        raise DesignError(f"the covariance of {len(used)} cells has no inverse (empty cells, or too few PSUs); use statistic='F'")
    left = apart.ravel()[used]
    quadratic, count = float(left @ np.linalg.solve(covariance, left)), float(len(used))
    denominator = freedom - count + 1 if adjusted else freedom
    scale = denominator / (count * freedom) if adjusted and freedom > 0 else 1 / count
    return f_outcome(quadratic * scale, count, denominator, association)


def goodness_of_fit(members: Members, choice: np.ndarray, shares: np.ndarray, statistic: str) -> Outcome:
    """Return the test that the members' shares are the given ones.

    With observed weights ``O`` and expected ``E = share N``, ``X2 = sum (O - E)^2 / E``; l are the eigenvalues of the covariance of
    ``(O - E) / sqrt(E)``, in which E varies with N. ``"Chisq"`` is ``X2 sum l / sum l^2`` on ``(sum l)^2 / sum l^2``
    (Satterthwaite); R prints X2
    itself. ``"F"`` divides by the degrees of freedom and has as many times the PSUs less strata in the denominator. The estimate is
    Cohen's w, ``sqrt(sum (p - share)^2 / share)``.

    Parameters
    ----------
    members : Members
    choice : int array, shape ``(members,)``
    shares : array, shape ``(options,)``
        Above 0, sum 1.
    statistic : str
        One of `FIT_STATISTICS`.

    Raises
    ------
    DesignError
        If no degrees of freedom are left, or the answers do not vary.
    """
    sums = cell_sums(members.design, members.rows, choice, len(shares))
    observed, total = sums.estimate, sums.estimate.sum()
    expected = shares * total
    slope = (np.eye(len(shares)) - shares[:, None]) / np.sqrt(expected)[:, None]
    slope -= ((observed - expected) / (2 * np.sqrt(expected) * total))[:, None]
    covariance = sums.covariance(slope.T)
    trace, squares = float(np.trace(covariance)), float(np.square(covariance).sum())
    if not trace > ROUNDING * float(np.square(members.weights).sum()) / total:
        raise DesignError("the shares' standard errors are all zero; there is nothing to test")
    pearson, df = float((np.square(observed - expected) / expected).sum()), trace**2 / squares
    effect = float(np.sqrt(pearson / total))
    adjusted = pearson * trace / squares
    if statistic == "Chisq":
        return chi_square_outcome(adjusted, df, effect)
    return f_outcome(adjusted / df, df, df * float(members.degrees_of_freedom[0]), effect)
