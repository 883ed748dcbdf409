"""Differences of group means on arrays: t tests of values, and rank tests of their estimated population ranks.

References
----------
Lumley and Scott (2013), Two-sample rank tests under complex sampling, doi:10.1093/biomet/ast027.
"""

from __future__ import annotations

import numpy as np

from surveysim.design.cell_sums import CellSums, cell_sums
from surveysim.design.estimators import Members
from surveysim.design.outcomes import Outcome, f_outcome, t_outcome
from surveysim.design.stages import repeated_sums
from surveysim.errors import DesignError

RANK_TESTS = ("wilcoxon", "kruskal", "median", "vander_waerden")


def group_means(members: Members, values: np.ndarray, group: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean of each group of the members and the means' covariance, shapes ``(groups,)`` and ``(groups, groups)``."""
    weights = members.weights
    size = np.bincount(group, weights, minlength=n_groups)
    means = np.bincount(group, weights * values, minlength=n_groups) / size
    replicates = members.design.replicates
    if replicates is None:
        return means, _mean_sums(members, values, means, size, group).covariance()
    both = np.stack([values, np.ones(len(values))], axis=1)
    over, under = np.moveaxis(repeated_sums(both, group, n_groups, replicates.weights, members.rows), 2, 0)
    empty = int((under == 0).any(axis=1).sum())
    if empty:
        raise DesignError(f"{empty} of {len(under)} replicates leave a group without respondents; use linearisation, or join groups")
    return means, replicates.covariance(over / under, means)


def _mean_sums(members: Members, values: np.ndarray, means: np.ndarray, size: np.ndarray, group: np.ndarray) -> CellSums:
    return cell_sums(members.design, members.rows, group, len(means), (values - means[group]) / size[group])


def mean_test(members: Members, values: np.ndarray, null: float) -> Outcome:
    """Return the t test that the members' mean is `null`, on PSUs less strata less 1 degrees of freedom, as R has it.

    Raises
    ------
    DesignError
        If no degree of freedom is left, or the answers do not vary.
    """
    means, covariance = group_means(members, values, np.zeros(len(values), dtype=np.int64), 1)
    return t_outcome(float(means[0]), float(np.sqrt(covariance[0, 0])), float(members.degrees_of_freedom[0]) - 1, null)


def difference_test(members: Members, values: np.ndarray, group: np.ndarray) -> Outcome:
    """Return the t test that groups 0 and 1 have one mean; the estimate is group 1's less group 0's.

    Raises
    ------
    DesignError
        If no degree of freedom is left, or the answers do not vary.
    """
    means, covariance = group_means(members, values, group, 2)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return t_outcome(float(means[1] - means[0]), float(np.sqrt(max(variance, 0))), float(members.degrees_of_freedom[0]) - 1)


def rank_test(members: Members, values: np.ndarray, group: np.ndarray, n_groups: int, test: str) -> Outcome:
    """Return the test that all groups have one mean rank score.

    A value's rank is the estimated share of the population below it plus half of those at it; its score is the rank (``"wilcoxon"``,
    ``"kruskal"``), its normal quantile (``"vander_waerden"``) or whether it is above one half (``"median"``). Scores are taken as given,
    which costs nothing where the groups do not differ. Two groups give t, more an F test of ``groups - 1``.

    Parameters
    ----------
    members : Members
    values : array, shape ``(members,)``
    group : int array, shape ``(members,)``
    n_groups : int
    test : str
        One of `RANK_TESTS`.

    Raises
    ------
    DesignError
        If no degree of freedom is left, or the answers do not vary.
    """
    scores = rank_scores(values, members.weights, test)
    size = np.bincount(group, members.weights, minlength=n_groups)
    means = np.bincount(group, members.weights * scores, minlength=n_groups) / size
    contrast = np.hstack([-np.ones((n_groups - 1, 1)), np.eye(n_groups - 1)])
    shift = contrast @ means
    covariance = _mean_sums(members, scores, means, size, group).covariance(contrast.T)
    freedom = float(members.degrees_of_freedom[0]) - (n_groups - 1)
    if n_groups == 2:
        return t_outcome(float(shift[0]), float(np.sqrt(max(covariance[0, 0], 0))), freedom)
    if np.linalg.matrix_rank(covariance, hermitian=True) < len(shift):
        raise DesignError(
            f"the covariance of {n_groups} groups' mean ranks has no inverse: too few PSUs, or a group that agrees; join groups"
        )
    return f_outcome(float(shift @ np.linalg.solve(covariance, shift)) / len(shift), float(len(shift)), freedom)


def rank_scores(values: np.ndarray, weights: np.ndarray, test: str) -> np.ndarray:
    """Return the score of each value's estimated population rank."""
    found, place = _numbered(values)
    at = np.bincount(place, weights, minlength=len(found))
    total = at.sum()
    rank = np.cumsum(at) - at / 2
    if test == "median":
        return (rank > total / 2).astype(float)[place]
    if test == "vander_waerden":
        from scipy.special import ndtri

        return ndtri(rank / total)[place]
    return (rank / total)[place]


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ascending values and the place of each one's own among them; whole numbers, as codes are, need no sorting."""
    low, high = values.min(), values.max()
    if high - low < len(values):
        place = (values - low).astype(np.int64)
        if np.array_equal(place + low, values):
            return np.arange(int(high - low) + 1) + low, place
    return np.unique(values, return_inverse=True)
