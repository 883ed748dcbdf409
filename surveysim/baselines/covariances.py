"""Sums of covariance kernels between backgrounds, inverted block by block, and by Woodbury's identity for the low rank.

The cost is linear in the number of blocks; kernels without a structure are one block, inverted whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from surveysim.baselines.kernel_parts import Parts
from surveysim.errors import EstimationError
from surveysim.tables.cells import Array

RIDGE = 1e-9  # added to a matrix that rounding has made indefinite, as a share of its largest entry
SMALL = 28  # blocks up to this size are inverted many at a time
ONE_THREAD = 500  # rows: OpenBLAS inverts 360 rows faster on one thread than on two, and 720 on two in half the time
SAID_BY_USER = "OPENBLAS_NUM_THREADS"

_turn = Lock()
_inside: list[int] = []  # rows, of every block that keeps BLAS at one thread now
_limit: list[Any] = []  # what gives its threads back


@dataclass(frozen=True, eq=False)
class Summed:
    """Kernels summed, K: blocks on the diagonal, and ``basis core basis'``.

    Attributes
    ----------
    parts : Parts
    blocks : array, shape (groups, blocks, size, size)
    cores : array, shape (groups, rank, rank)
    """

    parts: Parts
    blocks: Array
    cores: Array

    def times(self, right: Array) -> Array:
        """Return ``K right`` of every group, both of shape (groups, blocks, size, columns)."""
        found = self.blocks @ right
        if self.parts.rank:
            basis = self.parts.basis
            reached = (basis.swapaxes(-1, -2) @ right).sum(1)
            found += basis @ (self.cores @ reached)[:, None]
        return np.asarray(found)

    def dense(self) -> Array:
        """Return K written out, shape (groups, backgrounds, backgrounds)."""
        parts, number = self.parts, self.parts.n_backgrounds
        if len(parts.places) == 1:
            return self.blocks[:, 0]
        basis = parts.in_order(parts.basis[None])[0]
        total = np.zeros((len(self.blocks), number + 1, number + 1))
        total[:, parts.places[:, :, None], parts.places[:, None]] = self.blocks
        return np.asarray(total[:, :number, :number] + basis @ self.cores @ basis.T)


def sum_kernels(parts: Parts, variances: Array, questions: np.ndarray) -> Summed:
    """Return ``sum_j variance_j kernel_j`` of every group.

    Parameters
    ----------
    parts : Parts
    variances : array, shape (groups, kernels)
    questions : array of int, shape (groups,)
        Of each group, for kernels that differ by question.
    """
    blocks = parts.blocks.weighted(variances, questions).reshape(len(variances), *parts.places.shape, parts.places.shape[1])
    return Summed(parts, blocks, parts.cores.weighted(variances, questions).reshape(len(variances), parts.rank, parts.rank))


@dataclass(frozen=True, eq=False)
class Factored:
    """``root K root + I`` inverted, with ``root = diag(sizes)^(1/2)``: ``inverse - loadings middle loadings'``.

    Attributes
    ----------
    root : array, shape (groups, blocks, size)
    inverse : array, shape (groups, blocks, size, size)
    reach, loadings : array, shape (groups, blocks * size, rank)
        ``root basis``, and the inverse blocks times it.
    within, middle : array, shape (groups, rank, rank)
        ``reach' loadings``, and ``(I + core within)^-1 core``.
    log_determinant : array, shape (groups,)
    """

    root: Array
    inverse: Array
    reach: Array
    loadings: Array
    within: Array
    middle: Array
    log_determinant: Array

    def solve(self, right: Array) -> Array:
        """Return the inverse times `right`, both of shape (groups, blocks, size, columns)."""
        found = self.inverse @ right
        if self.middle.size:
            flat = right.reshape(len(right), -1, right.shape[-1])
            found = found - (self.loadings @ (self.middle @ (self.loadings.swapaxes(1, 2) @ flat))).reshape(right.shape)
        return np.asarray(found)

    def information_times(self, right: Array) -> Array:
        """Return ``(K + diag(1 / sizes))^-1 right``, 0 for cells of size 0, both of shape (groups, blocks, size, columns)."""
        root = self.root[..., None]
        return np.asarray(root * self.solve(root * right))

    def diagonal_blocks(self) -> Array:
        """Return the blocks on the diagonal of the inverse, shape (groups, blocks, size, size)."""
        if not self.middle.size:
            return self.inverse
        shape = (*self.root.shape, -1)
        left, right = (self.loadings @ self.middle).reshape(shape), self.loadings.reshape(shape)
        return np.asarray(self.inverse - left @ right.swapaxes(-1, -2))


def factor(parts: Parts, variances: Array, questions: np.ndarray, sizes: Array, *, beyond: float | Array = 0.0) -> Factored:
    """Invert ``root K root + I`` of every group, for ``K = sum_j variance_j kernel_j + beyond I``.

    Parameters
    ----------
    parts : Parts
    variances : array, shape (groups, kernels)
    questions : array of int, shape (groups,)
    sizes : array, shape (groups, backgrounds)
        Effective sizes; 0: not observed.
    beyond : float or array, shape (groups,)
        Variance that every background has besides, on its own.

    Raises
    ------
    EstimationError
        If a kernel is not positive semidefinite, by more than rounding.
    """
    root = np.sqrt(parts.laid(sizes))
    covariance = sum_kernels(parts, variances, questions)
    total, shape = covariance.blocks, covariance.blocks.shape
    total *= root[..., None]
    total *= root[..., None, :]
    place = np.arange(shape[-1])
    total[..., place, place] += 1.0 + np.reshape(beyond, (-1, 1, 1)) * root**2
    inverse, logs = invert(total.reshape(-1, *shape[-2:]))
    inverse, determinant = inverse.reshape(shape), logs.reshape(len(root), -1).sum(1)
    reach = (root[..., None] * parts.basis).reshape(len(root), parts.places.size, parts.rank)
    if not parts.rank:
        empty = np.zeros((len(root), 0, 0))
        return Factored(root, inverse, reach, reach, empty, empty, determinant)
    loadings = (inverse @ reach.reshape(*root.shape, -1)).reshape(reach.shape)
    within = reach.swapaxes(1, 2) @ loadings
    matrix = np.eye(parts.rank) + covariance.cores @ within
    middle = np.asarray(np.linalg.solve(matrix, covariance.cores), dtype=float)
    return Factored(root, inverse, reach, loadings, within, middle, determinant + np.linalg.slogdet(matrix)[1])


def invert(matrices: Array) -> tuple[Array, Array]:
    """Return the inverses of positive definite matrices, and their log determinants; `matrices` is used up.

    Raises
    ------
    EstimationError
        If one is not positive definite, even with `RIDGE` of its largest entry added to its diagonal.
    """
    if matrices.shape[-1] > SMALL:
        logs = np.array([_invert_one(matrix) for matrix in matrices])
        return matrices, logs
    try:
        lower = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        matrices = matrices + RIDGE * np.abs(matrices).max((1, 2), keepdims=True) * np.eye(matrices.shape[-1])
        try:
            lower = np.linalg.cholesky(matrices)
        except np.linalg.LinAlgError as indefinite:
            raise _indefinite() from indefinite
    return np.asarray(np.linalg.inv(matrices), dtype=float), 2.0 * np.log(np.einsum("nii->ni", lower)).sum(1)


def _invert_one(matrix: Array) -> float:
    """Invert a matrix in place and return its log determinant."""
    from scipy.linalg.lapack import dpotrf, dpotri

    lower, failed = dpotrf(matrix.T, lower=1, clean=1)
    if failed:
        lower, failed = dpotrf(matrix.T + RIDGE * np.abs(matrix).max() * np.eye(len(matrix)), lower=1, clean=1)
        if failed:
            raise _indefinite()
    logs = 2.0 * float(np.log(np.diag(lower)).sum())
    half = dpotri(lower, lower=1, overwrite_c=1)[0]
    half.ravel("K")[:: len(half) + 1] *= 0.5
    np.add(half, half.T, out=matrix)
    return logs


def subtract_squares(blocks: Array, scores: Array) -> None:
    """Take ``scores scores'`` from blocks, in place: (groups, blocks, size, size), and (groups, blocks, size, rows)."""
    from scipy.linalg.blas import dgemm

    if blocks.shape[1] > 1:
        blocks -= scores @ scores.swapaxes(-1, -2)
        return
    for block, own in zip(blocks[:, 0], scores[:, 0], strict=True):
        left = dgemm(-1.0, own.T, own.T, 1.0, block.T, trans_a=1, overwrite_c=1)
        if not np.may_share_memory(left, block):  # a block that had to be copied
            block[...] = left.T


def _indefinite() -> EstimationError:
    return EstimationError(
        "kernels: their sum is not positive semidefinite (found a negative eigenvalue beyond rounding); "
        "a kernel has to be a covariance between backgrounds, such as features @ features.T"
    )


def times_information(parts: Parts, factored: Factored, matrix: Array) -> Array:
    """Return ``matrix (K + diag(1 / sizes))^-1`` of every group, shape (groups, rows, backgrounds), for one matrix (rows, backgrounds)."""
    root = factored.root[:, :, None]
    laid = parts.laid(matrix).swapaxes(0, 1) * root  # (groups, blocks, rows, size)
    found = laid @ factored.inverse
    if parts.rank:
        loadings = factored.loadings.reshape(*factored.root.shape, parts.rank)
        reached = (laid @ loadings).sum(1) @ factored.middle
        found -= reached[:, None] @ loadings.swapaxes(-1, -2)
    found *= root
    return parts.in_order(found.swapaxes(2, 3)).swapaxes(1, 2)


@contextmanager
def one_thread_if_small(rows: int) -> Iterator[None]:
    """Let numpy and scipy compute with one thread in this block, if matrices have at most `ONE_THREAD` rows; afterwards as before.

    The limit holds for the whole process: until the last of several threads has left its block. Nothing changes where the user
    has set ``OPENBLAS_NUM_THREADS``.

    Parameters
    ----------
    rows : int
        Of the largest matrices.

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.baselines.covariances import one_thread_if_small
    >>> with one_thread_if_small(36):
    ...     float(np.linalg.inv(2 * np.eye(36)).sum())
    18.0
    """
    if rows > ONE_THREAD or SAID_BY_USER in os.environ:
        yield
        return
    _enter(rows)
    try:
        yield
    finally:
        _leave()


def _enter(rows: int) -> None:
    import_module("scipy.linalg")  # it brings a BLAS of its own, which has to be there to be limited
    from threadpoolctl import ThreadpoolController

    with _turn:
        if not _inside:
            _limit.append(ThreadpoolController().select(user_api="blas").limit(limits=1))
        _inside.append(rows)


def _leave() -> None:
    with _turn:
        _inside.pop()
        if not _inside:
            _limit.pop().restore_original_limits()
