"""Covariances inverted block by block and by Woodbury's identity: numpy's own inverse; on one thread where they are small."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.linalg
from threadpoolctl import ThreadpoolController

import surveysim as ss
from surveysim.baselines import covariances
from surveysim.baselines.covariances import (
    ONE_THREAD,
    SAID_BY_USER,
    factor,
    invert,
    one_thread_if_small,
    subtract_squares,
    times_information,
)
from surveysim.baselines.kernel_parts import parts_of
from surveysim.baselines.variance_components import kernel_sum
from surveysim.errors import EstimationError
from tests.baselines.test_kernel_parts import of_levels

BLAS = ThreadpoolController().select(user_api="blas")


@pytest.mark.parametrize("dense", [False, True])
def test_the_information_and_the_determinant_are_numpys(dense: bool) -> None:
    generator, (_, kernels) = np.random.default_rng(1), of_levels(12, 2, 3)
    if dense:
        features = generator.normal(size=(len(kernels[0]), 90))
        kernels = [*kernels, features @ features.T / 90]
    parts, variances, questions = parts_of(kernels), generator.uniform(0, 0.5, (3, len(kernels))), np.arange(3)
    assert (len(parts.places) == 1) == dense
    sizes = generator.uniform(0, 30, (3, len(kernels[0])))
    sizes[:, ::5] = 0.0
    found, covariance = factor(parts, variances, questions, sizes, beyond=0.02), kernel_sum(kernels, variances, questions)
    right = generator.normal(size=(3, len(kernels[0]), 2))
    product_ = parts.in_order(found.information_times(parts.laid(right)))
    multiplied = times_information(parts, found, covariance[0])
    for row in range(3):
        known, seen = np.zeros_like(covariance[0]), np.flatnonzero(sizes[row] > 0)
        own = covariance[row] + 0.02 * np.eye(len(known))
        known[np.ix_(seen, seen)] = np.linalg.inv(own[np.ix_(seen, seen)] + np.diag(1 / sizes[row, seen]))
        np.testing.assert_allclose(product_[row], known @ right[row], atol=1e-7)
        np.testing.assert_allclose(multiplied[row], covariance[0] @ known, atol=1e-7)
        scaled = np.sqrt(sizes[row])[:, None] * own * np.sqrt(sizes[row]) + np.eye(len(known))
        assert found.log_determinant[row] == pytest.approx(np.linalg.slogdet(scaled)[1])


@pytest.mark.parametrize("size", [3, 40])
def test_matrices_that_rounding_made_indefinite_get_a_ridge(size: int) -> None:
    """The smallest eigenvalue is -1e-10 of the largest: the inverse is that with the ridge."""
    vectors = np.linalg.qr(np.random.default_rng(2).normal(size=(size, size)))[0]
    values = np.linspace(1.0, 2.0, size)
    values[0] = -1e-10
    matrix = (vectors * values) @ vectors.T
    inverse, logs = invert(np.stack([matrix]))
    assert np.isfinite(inverse).all()
    assert np.isfinite(logs).all()
    right = vectors[:, -1]
    np.testing.assert_allclose(inverse[0] @ right, right / 2.0, atol=1e-6)


@pytest.mark.parametrize("size", [3, 40])
def test_what_is_no_covariance_is_refused(size: int) -> None:
    with pytest.raises(EstimationError, match=r"kernels: their sum is not positive semidefinite .* covariance between backgrounds"):
        invert(np.stack([np.eye(size), -np.eye(size)]))


@pytest.mark.parametrize("blocks", [1, 3])
def test_squares_are_taken_from_blocks_in_place(blocks: int) -> None:
    generator = np.random.default_rng(4)
    matrices, scores = generator.normal(size=(2, blocks, 5, 5)), generator.normal(size=(2, blocks, 5, 3))
    matrices = matrices + matrices.swapaxes(-1, -2)
    expected = matrices - np.einsum("gbir,gbjr->gbij", scores, scores)
    subtract_squares(matrices, scores)
    np.testing.assert_allclose(matrices, expected, rtol=1e-12, atol=1e-12)


def _threads() -> set[int]:
    return {library.num_threads for library in BLAS.lib_controllers}


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not BLAS.lib_controllers:
        pytest.skip("numpy's matrix library is none whose threads can be counted (Accelerate, on a Mac)")
    monkeypatch.delenv(SAID_BY_USER, raising=False)
    with BLAS.limit(limits=2):
        yield


@pytest.mark.usefixtures("two_threads")
def test_small_matrices_have_one_thread_and_large_ones_all() -> None:
    assert scipy.linalg.inv(np.eye(2)).shape == (2, 2)
    for rows, expected in ((ONE_THREAD, {1}), (ONE_THREAD + 1, {2})):
        with one_thread_if_small(rows):
            assert _threads() == expected
        assert _threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_the_last_to_leave_gives_the_threads_back() -> None:
    first, second = one_thread_if_small(10), one_thread_if_small(10)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert _threads() == {1}
    second.__exit__(None, None, None)
    assert _threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_an_error_gives_them_back_too() -> None:
    with pytest.raises(ValueError, match="inside"), one_thread_if_small(10):
        raise ValueError("inside")
    assert _threads() == {2}
    assert not covariances._inside


@pytest.mark.usefixtures("two_threads")
def test_what_the_user_said_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SAID_BY_USER, "2")
    with one_thread_if_small(10):
        assert _threads() == {2}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("method", ["mrp", "low_rank"])
def test_estimates_at_the_same_time_leave_the_threads_as_they_were(method: str) -> None:
    survey = ss.load_example("nonvoters2020")
    found: list[np.ndarray] = []

    def estimate() -> None:
        found.append(ss.simulate(survey, ["gender", "age3"], questions=["Q8_8"], method=method)["share"].to_numpy())

    beside = [threading.Thread(target=estimate) for _ in range(3)]
    for thread in beside:
        thread.start()
    for thread in beside:
        thread.join()
    assert _threads() == {2}
    assert len(found) == 3
    assert all(np.array_equal(found[0], other) for other in found)
