"""Intervals: of the t distribution, cut where a share ends, on the logit scale, and of Clopper and Pearson at 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from surveysim.tables.intervals import OF_A_SHARE, Z_95, mean_intervals, normal_intervals, share_intervals, t_quantile


def test_quantiles_are_those_of_t_and_missing_without_freedom() -> None:
    df = np.array([1.0, 9.0, 1e9])
    np.testing.assert_allclose(t_quantile(df), stats.t.ppf(0.975, df), rtol=1e-12)
    np.testing.assert_allclose(t_quantile(df, 0.9), stats.t.ppf(0.95, df), rtol=1e-12)
    assert np.isnan(t_quantile(np.array([0.0, -1.0]))).all()
    assert stats.norm.ppf(0.975) == pytest.approx(Z_95, rel=1e-15)


def test_an_interval_is_symmetric_and_cut_at_its_bounds() -> None:
    estimate, error = np.array([0.5, 0.02]), np.array([0.1, 0.1])
    low, high = normal_intervals(estimate, error)
    np.testing.assert_allclose([low, high], stats.norm.interval(0.95, estimate, error), rtol=1e-12)
    low, high = mean_intervals(estimate, error, np.array([10.0, 10.0]), bounds=OF_A_SHARE)
    assert low[1] == 0.0
    np.testing.assert_allclose([low[0], high[0]], stats.t.interval(0.95, 10, 0.5, 0.1), rtol=1e-12)


def test_a_share_has_an_interval_on_the_logit_scale() -> None:
    share, error = np.array([[0.2, 0.8]]), np.array([[0.05, 0.05]])
    low, high = share_intervals(share, error, np.array([30.0]), np.array([31.0]))
    half = stats.t.ppf(0.975, 30) * 0.05 / (0.2 * 0.8)
    logit = np.log(0.2 / 0.8)
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))], rtol=1e-12)
    np.testing.assert_allclose([low[0, 1], high[0, 1]], [1 - high[0, 0], 1 - low[0, 0]], rtol=1e-12)


def test_none_or_all_have_the_interval_of_clopper_and_pearson() -> None:
    low, high = share_intervals(np.array([[0.0, 1.0]]), np.zeros((1, 2)), np.array([19.0]), np.array([20.0]))
    exact = stats.binomtest(0, 20).proportion_ci(method="exact")
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [exact.low, exact.high], rtol=1e-9)
    np.testing.assert_allclose([low[0, 1], high[0, 1]], [1 - exact.high, 1.0], rtol=1e-9)
