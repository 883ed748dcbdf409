"""Moving a prior's cells: the mode is where the posterior's slope is 0, and what is not observed stays as it is expected."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.baselines.moved_prior import move_prior
from surveysim.baselines.multilevel import option_contrasts
from surveysim.baselines.posterior import contrast_variance, offset_mode
from surveysim.baselines.prior import StartCells
from surveysim.baselines.variance_components import independent_rows, row_worth
from surveysim.tables.cells import Cells


def _cells(sizes: np.ndarray, shares: np.ndarray) -> Cells:
    questions, backgrounds, options = shares.shape
    names, ids = tuple(f"q{place}" for place in range(questions)), tuple(f"a={place}" for place in range(backgrounds))
    codes, orders = (tuple(range(options)),) * questions, (tuple(range(1, options + 1)),) * questions
    return Cells(names, ids, codes, orders, shares, sizes, sizes, np.ones((questions, options), bool))


@pytest.fixture
def start() -> StartCells:
    rng = np.random.default_rng(200)
    shares = rng.dirichlet(np.full(4, 20.0), size=(3, 6))
    return StartCells(shares, np.zeros((3, 3, 6, 6)), shares.mean(1))


def test_without_a_sample_the_prior_stays(start: StartCells) -> None:
    cells = _cells(np.zeros((3, 6)), np.zeros((3, 6, 4)))
    moved = move_prior(cells, [np.eye(6)], start, ordered=np.ones(3, bool))
    np.testing.assert_allclose(moved.shares, start.shares, atol=1e-6)
    np.testing.assert_allclose(moved.slope, 1.0, atol=1e-6)
    assert (moved.std_error > 0).all()


def test_with_a_large_sample_the_sample_stands(start: StartCells) -> None:
    truth = np.random.default_rng(201).dirichlet(np.full(4, 5.0), size=(3, 6))
    moved = move_prior(_cells(np.full((3, 6), 1e5), truth), [np.eye(6)], start, ordered=np.ones(3, bool))
    np.testing.assert_allclose(moved.shares, truth, atol=0.01)


def test_a_level_that_all_backgrounds_share_is_moved(start: StartCells) -> None:
    basis, _ = start.contrasts(np.ones((3, 4), bool))
    shifted = start.shares * np.exp(0.4 * basis[:, None, :, 0])
    shifted /= shifted.sum(-1, keepdims=True)
    moved = move_prior(_cells(np.full((3, 6), 300.0), shifted), [np.eye(6)], start, ordered=np.ones(3, bool))
    np.testing.assert_allclose(moved.level_shift, 0.4, atol=0.05)
    np.testing.assert_allclose(moved.shares, shifted, atol=0.02)


def test_the_mode_is_where_the_slope_of_the_posterior_is_0(start: StartCells) -> None:
    rng = np.random.default_rng(202)
    cells = _cells(rng.integers(1, 40, (3, 6)).astype(float), rng.dirichlet(np.ones(4), size=(3, 6)))
    mask = np.ones((3, 4), bool)
    basis = option_contrasts(start.reference, mask)
    covariance = np.broadcast_to(0.2 * np.eye(6) + 0.1, (3, 3, 6, 6)).copy()
    shares, modes, _ = offset_mode(cells, basis, np.ones((3, 3), bool), start.shares, covariance)
    data = np.einsum("qbk,qkm->qbm", cells.n_eff[..., None] * (cells.shares - shares), basis)
    prior = np.einsum("qmab,qbm->qam", np.linalg.inv(covariance), modes)
    np.testing.assert_allclose(data, prior, atol=1e-2)


def _dealt(start: StartCells, order: np.ndarray) -> StartCells:
    return StartCells(start.shares[:, order], start.error, start.reference)


def _wave(seed: int = 205, size: int = 24) -> StartCells:
    """A start of five questions whose backgrounds differ much."""
    shares = np.random.default_rng(seed).dirichlet(np.full(4, 6.0), size=(5, size))
    return StartCells(shares, np.tile(1e-3 * np.eye(size), (5, 3, 1, 1)), shares.mean(1))


def test_a_prior_whose_differences_are_not_the_samples_is_ignored_and_one_whose_are_is_not() -> None:
    """By its evidence, at six respondents a background; and then it costs nothing beside a prior without differences."""
    start, size = _wave(), 24
    rng = np.random.default_rng(206)
    sample = np.stack([[rng.multinomial(6, cell) / 6 for cell in question] for question in start.shares])
    cells = _cells(np.full((5, size), 6.0), sample)
    turned = _dealt(start, rng.permutation(size))
    right, wrong = (move_prior(cells, [np.eye(size)], each, ordered=np.ones(5, bool)) for each in (start, turned))
    assert right.ignored.max() < 0.01
    assert wrong.ignored.min() > 0.5
    level = StartCells(np.broadcast_to(start.reference[:, None], start.shares.shape).copy(), start.error, start.reference)
    without = move_prior(cells, [np.eye(size)], level, ordered=np.ones(5, bool))
    errors = [np.abs(moved.shares - start.shares).mean() for moved in (right, wrong, without)]
    assert errors[0] < 0.3 * errors[2]
    assert errors[1] < 1.1 * errors[2]


def test_draws_and_errors_carry_the_stances_that_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one respondent leaves open whether a prior is to be taken, half of the draws are of each, and errors have what lies between."""
    monkeypatch.setattr("surveysim.baselines.prior.STATED", (0.5, 1e-12, 0.5))
    start = _wave(size=8)
    sizes = np.zeros((5, 8))
    sizes[:, 0] = 1.0
    shares = np.where(sizes[..., None] > 0, np.eye(4)[1], 0.0)
    moved = move_prior(_cells(sizes, shares), [np.eye(8)], start, ordered=np.ones(5, bool), draws=400, seed=1)
    assert moved.draws is not None
    assert 0.1 < moved.ignored[0] < 0.9
    np.testing.assert_allclose(moved.draws.mean(0), moved.shares, atol=0.03)
    np.testing.assert_allclose(moved.draws.std(0)[:, 1:], moved.std_error[:, 1:], rtol=0.35, atol=0.01)
    flat = start.reference[:, None]
    taken, left = np.abs(moved.draws - start.shares).sum((1, 2, 3)), np.abs(moved.draws - flat).sum((1, 2, 3))
    assert (left < taken).mean() == pytest.approx(moved.ignored[0], abs=0.12)


def test_rows_answered_alike_count_once() -> None:
    rng = np.random.default_rng(203)
    row = rng.standard_normal(400)
    assert independent_rows(np.stack([row, row]), np.ones((2, 400))) == pytest.approx(1.0, abs=0.02)
    assert independent_rows(rng.standard_normal((2, 400)), np.ones((2, 400))) == pytest.approx(2.0, abs=0.1)


def test_rows_are_compared_where_both_have_cells() -> None:
    """Rows without any, and cells that one row lacks, say nothing of the others."""
    rng = np.random.default_rng(204)
    sizes = np.ones((4, 400))
    sizes[0, :200] = sizes[1, 300:] = 0.0
    sizes[3] = 0.0
    residuals = rng.standard_normal((4, 400))
    residuals[1] = residuals[0]
    assert independent_rows(residuals, sizes) == pytest.approx(9 / 5, abs=0.1)
    assert row_worth(residuals, sizes) == pytest.approx(3 / 5, abs=0.04)


def test_contrasts_of_one_respondent_have_variance_1_at_the_reference(start: StartCells) -> None:
    basis = option_contrasts(start.reference, np.ones((3, 4), bool))
    np.testing.assert_allclose(contrast_variance(start.reference[:, None], basis), 1.0, atol=1e-9)
