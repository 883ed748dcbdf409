"""Sums of covariance kernels between backgrounds, inverted as blocks plus a low rank where the kernels allow it.

Kernels of levels are full of zeros or of low rank: with countries, sexes and ages, what involves the country is a block a country,
and all else has the rank of sex by age. A sum of them is inverted block by block and by Woodbury's identity, at a cost linear in the
number of blocks; kernels without such a structure are one block, inverted whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.errors import EstimationError
from surveysim.tables.cells import Array

Kernel = Array  # (backgrounds, backgrounds), or (questions, backgrounds, backgrounds) where it differs by question

RIDGE = 1e-9  # added to a matrix that rounding has made indefinite, as a share of its largest entry
NEGLIGIBLE = 1e-11  # what a low rank leaves of a kernel, as a share of its mean variance
SMALL = 12  # blocks up to this size are inverted many at a time
CHUNK = 2**17  # numbers in the blocks that are worked on together: they should stay in the cache


@dataclass(frozen=True, eq=False)
class Stack:
    """Kernels as rows of numbers.

    Attributes
    ----------
    alike, shared : list of int, and array, shape (kernels, numbers)
        Positions of the kernels that all questions share, and their numbers.
    own : list of (int, array of shape (questions, numbers))
        Those that differ by question.
    """

    alike: list[int]
    shared: Array
    own: list[tuple[int, Array]]

    def weighted(self, variances: Array, questions: np.ndarray) -> Array:
        """Return the kernels summed with variances of shape (groups, all kernels): (groups, numbers)."""
        total = variances[:, self.alike] @ self.shared
        for place, numbers in self.own:
            for row, question in enumerate(questions):
                total[row] += variances[row, place] * numbers[question]
        return np.asarray(total)

    def contract(self, matrices: Array, questions: np.ndarray, out: Array) -> None:
        """Write ``sum matrix * kernel``, over all numbers, of every group and kernel into `out`, shape (groups, all kernels)."""
        flat = matrices.reshape(len(matrices), -1)
        out[:, self.alike] = flat @ self.shared.T
        for place, numbers in self.own:
            for row, question in enumerate(questions):
                out[row, place] = flat[row] @ numbers[question]


@dataclass(frozen=True, eq=False)
class Parts:
    """Kernels as blocks on the diagonal or as a low rank, ``basis core basis'``.

    Attributes
    ----------
    places : array of int, shape (blocks, size)
        Background of every row of a block; where a block is smaller, the number of backgrounds.
    basis : array, shape (blocks, size, rank)
        Orthonormal; 0 beyond a block's end.
    blocks, cores : Stack
        The kernels that are blocks, of ``blocks * size * size`` numbers each, and the cores of the others, ``rank * rank``.
    n_backgrounds : int
    """

    places: np.ndarray
    basis: Array
    blocks: Stack
    cores: Stack
    n_backgrounds: int

    @property
    def rank(self) -> int:
        """Of all kernels that are not blocks, together."""
        return self.basis.shape[-1]

    def laid(self, values: Array) -> Array:
        """Return values of backgrounds, shape (groups, backgrounds, ...), block by block: (groups, blocks, size, ...)."""
        return np.concatenate([values, np.zeros_like(values[:, :1])], axis=1)[:, self.places]

    def chunks(self, groups: int) -> Iterator[slice]:
        """Split groups into runs that are worked on together."""
        step = max(CHUNK // (self.places.size * self.places.shape[1]), 1)
        return (slice(start, min(start + step, groups)) for start in range(0, groups, step))


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

    def diagonal_blocks(self) -> Array:
        """Return the blocks on the diagonal of the inverse, shape (groups, blocks, size, size)."""
        if not self.middle.size:
            return self.inverse
        shape = (*self.root.shape, -1)
        left, right = (self.loadings @ self.middle).reshape(shape), self.loadings.reshape(shape)
        return np.asarray(self.inverse - left @ right.swapaxes(-1, -2))


def parts_of(kernels: Sequence[Kernel]) -> Parts:
    """Return kernels as blocks plus a low rank, whichever division makes their sums cheapest to invert.

    Parameters
    ----------
    kernels : sequence of array, shape (backgrounds, backgrounds) or (questions, backgrounds, backgrounds)
        At least one; positive semidefinite.
    """
    number = kernels[0].shape[-1]
    linked = [_components(kernel) for kernel in kernels]
    whole = np.zeros(number, int)
    best, least, basis = whole, float(number) ** 3, np.zeros((number, 0))
    for labels in _distinct(linked):
        size, blocks = np.bincount(labels).max(), labels.max() + 1
        outside = [kernel for kernel, own in zip(kernels, linked, strict=True) if not _refines(own, labels)]
        if (cost := _cost(number, blocks, size, 0)) < least and labels.any():
            found = _joint_range(outside, number)
            if (cost := _cost(number, blocks, size, found.shape[1])) < least:
                best, least, basis = labels, cost, found
    return _divided(kernels, [_refines(own, best) for own in linked], best, basis)


def _cost(number: int, blocks: int, size: int, rank: int) -> float:
    return 2.0 * blocks * size**3 + 4.0 * number * size * rank + 4.0 * number * rank**2 + rank**3


def _components(kernel: Kernel) -> np.ndarray:
    """Label the backgrounds that a kernel links, over however many steps."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    linked = (kernel != 0).any(0) if kernel.ndim == 3 else kernel != 0
    if linked[:1].all():
        return np.zeros(len(linked), int)
    return np.asarray(connected_components(csr_array(linked), directed=False)[1], dtype=int)


def _distinct(labels: list[np.ndarray]) -> list[np.ndarray]:
    return list({own.tobytes(): own for own in labels}.values())


def _refines(fine: np.ndarray, coarse: np.ndarray) -> bool:
    """Whether backgrounds that share a label in `fine` share one in `coarse`."""
    return len(np.unique(fine * (coarse.max(initial=0) + 1) + coarse)) == len(np.unique(fine))


def _joint_range(kernels: list[Kernel], number: int) -> Array:
    """Return an orthonormal basis of what kernels reach together, shape (backgrounds, rank), by pivoted Cholesky."""
    from scipy.linalg.lapack import dpstrf

    total = np.zeros((number, number))
    for kernel in kernels:
        summed = kernel.sum(0) if kernel.ndim == 3 else kernel
        total += summed / max(np.trace(summed) / number, 1e-300)
    lower, pivot, rank, _ = dpstrf(total, lower=1, tol=NEGLIGIBLE * max(len(kernels), 1))
    if not total.any():
        return np.zeros((number, 0))
    reached = np.zeros((number, rank))
    reached[pivot - 1] = np.tril(lower)[:, :rank]
    return np.asarray(np.linalg.qr(reached)[0])


def _divided(kernels: Sequence[Kernel], within: list[bool], labels: np.ndarray, basis: Array) -> Parts:
    number, n_blocks = len(labels), int(labels.max(initial=0)) + 1
    counts = np.bincount(labels, minlength=n_blocks)
    places = np.full((n_blocks, counts.max()), number)
    places[np.arange(counts.max()) < counts[:, None]] = np.argsort(labels, kind="stable")
    blocks, cores = {}, {}
    for place, (kernel, inside) in enumerate(zip(kernels, within, strict=True)):
        each = kernel[None] if kernel.ndim == 2 else kernel
        if inside:
            blocks[place] = _blocks(each, places)
        else:
            cores[place] = (basis.T @ each @ basis).reshape(len(each), -1)
    laid = np.vstack([basis, np.zeros((1, basis.shape[1]))])[places]
    of_questions = {place for place, kernel in enumerate(kernels) if kernel.ndim == 3}
    stacks = [_stack(blocks, of_questions, n_blocks * places.shape[1] ** 2), _stack(cores, of_questions, basis.shape[1] ** 2)]
    return Parts(places, laid, *stacks, number)


def _stack(numbers: dict[int, Array], of_questions: set[int], width: int) -> Stack:
    alike = [place for place in numbers if place not in of_questions]
    shared = np.concatenate([np.zeros((0, width)), *(numbers[place] for place in alike)])
    return Stack(alike, shared, [(place, numbers[place]) for place in numbers if place in of_questions])


def _blocks(kernel: Array, places: np.ndarray) -> Array:
    """Blocks on the diagonal of kernels, shape (questions, blocks * size * size)."""
    if len(places) == 1:
        return np.ascontiguousarray(kernel).reshape(len(kernel), -1)
    number = kernel.shape[-1]
    rows = np.minimum(places, number - 1)
    real = places < number
    found = np.where(real[:, :, None] & real[:, None], kernel[:, rows[:, :, None], rows[:, None]], 0.0)
    return found.reshape(len(kernel), -1)


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
    shape = (*root.shape, root.shape[-1])
    total = parts.blocks.weighted(variances, questions).reshape(shape)
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
    core = parts.cores.weighted(variances, questions).reshape(-1, parts.rank, parts.rank)
    matrix = np.eye(parts.rank) + core @ within
    middle = np.linalg.solve(matrix, core)
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
    return np.linalg.inv(matrices), 2.0 * np.log(np.einsum("nii->ni", lower)).sum(1)


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


def _indefinite() -> EstimationError:
    return EstimationError(
        "kernels: their sum is not positive semidefinite (found a negative eigenvalue beyond rounding); "
        "a kernel has to be a covariance between backgrounds, such as features @ features.T"
    )


def dense_sum(parts: Parts, variances: Array, questions: np.ndarray) -> Array:
    """Return ``sum_j variance_j kernel_j`` of every group, shape (groups, backgrounds, backgrounds)."""
    shape = (len(variances), *parts.places.shape, parts.places.shape[1])
    blocks = parts.blocks.weighted(variances, questions).reshape(shape)
    core = parts.cores.weighted(variances, questions).reshape(-1, parts.rank, parts.rank) if parts.rank else None
    return _spread(parts, blocks, parts.basis.reshape(1, parts.places.size, parts.rank), core)


def information_of(parts: Parts, factored: Factored) -> Array:
    """Return ``(K + diag(1 / sizes))^-1`` of every group, 0 for cells of size 0, shape (groups, backgrounds, backgrounds)."""
    root = factored.root
    blocks = root[..., None] * factored.inverse * root[..., None, :]
    loadings = root.reshape(len(root), parts.places.size, 1) * factored.loadings
    return _spread(parts, blocks, loadings, -factored.middle if parts.rank else None)


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
    real = parts.places < parts.n_backgrounds
    out = np.empty((len(root), *matrix.shape))
    out[:, :, parts.places[real]] = found.swapaxes(1, 2)[:, :, real]
    return out


def _spread(parts: Parts, blocks: Array, loadings: Array, core: Array | None) -> Array:
    """Write ``blocks + loadings core loadings'`` out in the order of the backgrounds."""
    number, real = parts.n_backgrounds, (parts.places < parts.n_backgrounds).ravel()
    order = parts.places.ravel()[real]
    if len(parts.places) == 1 and core is None:
        return blocks.reshape(len(blocks), number, number)
    total = np.zeros((len(blocks), number + 1, number + 1))
    total[:, parts.places[:, :, None], parts.places[:, None]] = blocks
    total = total[:, :number, :number]
    if core is not None:
        back = np.empty((len(loadings), number, parts.rank))
        back[:, order] = loadings[:, real]
        total = total + back @ core @ back.swapaxes(1, 2)
    return total
