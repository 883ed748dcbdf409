"""Covariance kernels between backgrounds, divided into blocks and a low rank where they allow it.

Kernels of levels are full of zeros or of low rank: with countries, sexes and ages, what involves the country is a block a country,
and all else has the rank of sex by age. Kernels without such a structure are one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.tables.cells import Array

Kernel = Array  # (backgrounds, backgrounds), or (questions, backgrounds, backgrounds) where it differs by question

NEGLIGIBLE = 1e-11  # what a low rank leaves of a kernel, as a share of its mean variance
CHUNK = 2**17  # numbers in the blocks that are worked on together: they should stay in the cache
TOGETHER, LARGEST = 8, 2**23  # groups that are, where one is larger, since they read the same kernels; and their numbers at most


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
        from scipy.linalg.blas import daxpy

        total = np.asarray(variances[:, self.alike] @ self.shared)
        for row, question in enumerate(questions):
            for place, numbers in self.own:
                total[row] = daxpy(numbers[question], total[row], a=variances[row, place])  # in place
        return total

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
        if len(self.places) == 1:
            return values[:, None]
        return np.concatenate([values, np.zeros_like(values[:, :1])], axis=1)[:, self.places]

    def in_order(self, laid: Array) -> Array:
        """Return values laid block by block in the order of the backgrounds again."""
        if len(self.places) == 1:
            return np.asarray(laid[:, 0])
        real = self.places < self.n_backgrounds
        values = np.empty((len(laid), self.n_backgrounds, *laid.shape[3:]))
        values[:, self.places[real]] = laid[:, real]
        return values

    def chunks(self, groups: int) -> Iterator[slice]:
        """Split groups into runs that are worked on together."""
        numbers = self.places.size * self.places.shape[1]
        step = max(CHUNK // numbers, min(LARGEST // numbers, TOGETHER), 1)
        return (slice(start, min(start + step, groups)) for start in range(0, groups, step))


def parts_of(kernels: Sequence[Kernel]) -> Parts:
    """Return kernels as blocks plus a low rank, whichever division makes their sums cheapest to invert.

    Parameters
    ----------
    kernels : sequence of array, shape (backgrounds, backgrounds) or (questions, backgrounds, backgrounds)
        At least one; positive semidefinite.
    """
    number = kernels[0].shape[-1]
    linked = [_components(kernel) for kernel in kernels]
    best, least, basis = np.zeros(number, int), float(number) ** 3, np.zeros((number, 0))
    everywhere = [kernel for kernel, own in zip(kernels, linked, strict=True) if not own.any()]
    wide = _joint_range(everywhere, number).shape[1]  # outside of any division
    for labels in _distinct(linked):
        blocks, size = labels.max(initial=0) + 1, np.bincount(labels).max()
        if not labels.any() or _cost(number, blocks, size, wide) >= least:
            continue
        found = _joint_range([kernel for kernel, own in zip(kernels, linked, strict=True) if not _refines(own, labels)], number)
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
    places: np.ndarray = np.full((n_blocks, counts.max()), number)
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
    block_numbers, core_numbers = n_blocks * places.shape[1] ** 2, basis.shape[1] ** 2
    return Parts(places, laid, _stack(blocks, of_questions, block_numbers), _stack(cores, of_questions, core_numbers), number)


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
