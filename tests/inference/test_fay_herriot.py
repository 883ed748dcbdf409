"""The area-level model: R's `sae`, statsmodels' mixed model, a closed form, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surveysim.errors import EstimationError
from surveysim.inference.fay_herriot import fit_area_model, restricted_log_likelihood

FOLDER = Path(__file__).parents[1] / "r"
RTOL = 1e-6
ONES = np.ones((6, 1))


@pytest.mark.parametrize(("method", "name"), [("reml", "REML"), ("moments", "FH")])
def test_every_number_of_sae_on_the_milk_data(method: str, name: str) -> None:
    milk = pd.read_csv(FOLDER / "inputs" / "milk.csv")
    theirs = json.loads((FOLDER / "r_sae_milk.json").read_text())[name]
    areas = pd.get_dummies(milk["MajorArea"], dtype=float).assign(**{"1": 1.0})[["1", 2, 3, 4]].to_numpy()
    ours = fit_area_model(milk["yi"].to_numpy(), areas, milk["SD"].to_numpy() ** 2, method=method)
    np.testing.assert_allclose(ours.variance, theirs.pop("refvar"), rtol=RTOL)
    np.testing.assert_allclose(ours.coefficients, theirs.pop("beta"), rtol=RTOL)
    np.testing.assert_allclose(np.sqrt(np.diag(ours.coefficient_covariance)), theirs.pop("std.error"), rtol=RTOL)
    np.testing.assert_allclose(ours.estimate, theirs.pop("eblup"), rtol=RTOL)
    np.testing.assert_allclose(ours.mse, theirs.pop("mse"), rtol=RTOL)
    assert theirs == {}


def test_statsmodels_mixed_model_on_balanced_areas() -> None:
    """With as many respondents in every area the mixed model's REML equals the area model's on the areas' means."""
    import statsmodels.api as sm

    generator = np.random.default_rng(3)
    areas, size = 30, 8
    group = np.repeat(np.arange(areas), size)
    covariate = generator.normal(size=areas)
    answers = 1 + 0.5 * covariate[group] + generator.normal(0, 0.8, areas)[group] + generator.normal(size=len(group))
    design = np.column_stack([np.ones(areas), covariate])
    mixed = sm.MixedLM(answers, design[group], groups=group).fit(reml=True, method="bfgs", gtol=1e-9)
    means = answers.reshape(areas, size).mean(axis=1)
    ours = fit_area_model(means, design, np.full(areas, mixed.scale / size))
    np.testing.assert_allclose(ours.variance, np.asarray(mixed.cov_re).item(), rtol=1e-5)
    np.testing.assert_allclose(ours.coefficients, mixed.fe_params, rtol=1e-6)
    effects = np.array([float(np.asarray(mixed.random_effects[area])[0]) for area in range(areas)])
    np.testing.assert_allclose(ours.estimate, design @ mixed.fe_params + effects, rtol=1e-5)


@given(st.integers(0, 500), st.floats(0.05, 2.0))
@settings(max_examples=40, deadline=None)
def test_restricted_likelihood_is_highest_at_the_estimate(seed: int, model_sd: float) -> None:
    generator = np.random.default_rng(seed)
    sampling, multipliers = generator.uniform(0.2, 2, 25), generator.uniform(0.5, 2, 25)
    covariates = np.column_stack([np.ones(25), generator.normal(size=25)])
    direct = generator.normal(size=25) * np.sqrt(sampling + model_sd**2 * multipliers)
    fit = fit_area_model(direct, covariates, sampling, multipliers=multipliers)
    data = (direct, covariates, sampling, multipliers)
    best = restricted_log_likelihood(fit.variance, *data)
    nearby = [fit.variance + step for step in (-0.02, -0.002, 0.002, 0.02) if fit.variance + step >= 0]
    assert all(restricted_log_likelihood(value, *data) <= best + 1e-9 for value in nearby)


def test_equal_sampling_variances_give_the_closed_form() -> None:
    """REML and moments then agree: the spread of the direct estimates less the sampling variance."""
    direct = np.array([1.0, 3.0, 2.0, 6.0, 4.0, 9.0])
    for method in ("reml", "moments"):
        fit = fit_area_model(direct, ONES, np.full(6, 1.5), method=method)
        np.testing.assert_allclose(fit.variance, direct.var(ddof=1) - 1.5, rtol=1e-9)
        weight = fit.variance / (fit.variance + 1.5)
        np.testing.assert_allclose(fit.estimate, direct.mean() + weight * (direct - direct.mean()), rtol=1e-9)


def test_multipliers_are_a_change_of_units_where_sampling_variances_share_them() -> None:
    direct, scale = np.array([1.0, -3.0, 2.0, 6.0, -4.0, 9.0]), np.array([1.0, 4.0, 1.0, 9.0, 4.0, 1.0])
    plain = fit_area_model(direct / np.sqrt(scale), np.zeros((6, 0)), np.full(6, 2.0))
    scaled = fit_area_model(direct, np.zeros((6, 0)), 2.0 * scale, multipliers=scale)
    np.testing.assert_allclose(scaled.variance, plain.variance, rtol=1e-9)
    np.testing.assert_allclose(scaled.estimate, plain.estimate * np.sqrt(scale), rtol=1e-9)
    np.testing.assert_allclose(scaled.mse, plain.mse * scale, rtol=1e-9)


def test_direct_estimates_that_spread_less_than_their_errors_leave_no_model_variance() -> None:
    fit = fit_area_model(np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95]), ONES, np.full(6, 4.0))
    assert fit.variance == 0
    np.testing.assert_allclose(fit.estimate, 1.0, atol=1e-12)
    assert (fit.mse > 0).all(), "the variance's own uncertainty remains"


def test_mse_is_right_on_average() -> None:
    """Simulated from the model itself: the mean estimated MSE is the mean squared error of the estimates."""
    generator = np.random.default_rng(11)
    sampling = np.tile([0.5, 1.0, 2.0], 15)
    estimated, realised = [], []
    for _ in range(400):
        truth = 2 + generator.normal(size=45)
        fit = fit_area_model(truth + generator.normal(size=45) * np.sqrt(sampling), np.ones((45, 1)), sampling)
        estimated.append(fit.mse.mean())
        realised.append(np.square(fit.estimate - truth).mean())
    assert abs(np.mean(estimated) / np.mean(realised) - 1) < 0.03


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fit_area_model(np.ones(6), ONES, np.ones(6), method="remll"), "method must be 'reml' or 'moments'; got 'remll'"),
        (lambda: fit_area_model(np.ones(6), ONES, np.array([1, 1, 0, 1, 1, 1.0])), "must be above 0; it is not in areas 2"),
        (lambda: fit_area_model(np.ones(6), ONES, np.array([1, 1, np.nan, 1, 1, 1.0])), "must be above 0; it is not in areas 2"),
        (lambda: fit_area_model(np.ones(1), np.ones((1, 1)), np.ones(1)), "1 areas cannot carry 1 coefficients and a variance"),
    ],
)
def test_unusable_areas_say_so(call: object, says: str) -> None:
    with pytest.raises(EstimationError, match=says):
        call()  # type: ignore[operator]
