"""The combining rules for fully synthetic data, by hand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError


def test_the_rules_are_those_of_raghunathan_reiter_and_rubin() -> None:
    found = ss.combine_syntheses(pd.DataFrame({"mean": [1.0, 3.0, 5.0, 7.0]}), pd.DataFrame({"mean": [1.0, 2.0, 1.0, 2.0]})).loc["mean"]
    between = 20 / 3
    assert (found["estimate"], found["between"], found["within"]) == pytest.approx((4, between, 1.5))
    assert found.std_error**2 == pytest.approx(1.25 * between - 1.5)
    assert found.df == pytest.approx(3 * (1 - 1.5 / (1.25 * between)) ** 2)


def test_a_variance_below_nothing_is_adjusted_as_by_reiter() -> None:
    found = ss.combine_syntheses([1.0, 1.1, 0.9], [4.0, 4.0, 4.0])
    assert found.std_error[0] == pytest.approx(2.0)


def test_without_variances_the_error_is_never_smaller() -> None:
    draws = np.random.default_rng(0).normal(size=(20, 3))
    alone, less = ss.combine_syntheses(draws), ss.combine_syntheses(draws, np.full((20, 3), 0.1))
    assert (alone.std_error > less.std_error).all()
    assert alone.within.isna().all()


def test_intervals_cover_the_population_of_synthetic_samples() -> None:
    draw, held = np.random.default_rng(3), 0
    for _ in range(400):
        posterior = draw.normal(draw.normal(0, 0.1), 0.1, 20)  # the truth is 0, the sample's error .1
        fresh = draw.normal(posterior, 0.05)
        own = ss.combine_syntheses(fresh, np.full(20, 0.0025)).iloc[0]
        held += own.conf_low <= 0 <= own.conf_high
    assert 0.91 <= held / 400 <= 0.985


@pytest.mark.parametrize(
    ("estimates", "variances", "words"),
    [
        ([0.5], None, "1 synthesis has no variance between syntheses; simulate m=2 or more"),
        ([0.5, np.nan], None, "1 of 2 numbers are missing; every synthesis needs every estimate"),
        (["a", "b"], None, "estimates must be numbers of shape"),
        ([0.5, 0.6], [0.1], r"variances must be 0 or more and of the estimates' shape \(2, 1\)"),
        ([0.5, 0.6], [0.1, -0.1], "variances must be 0 or more"),
    ],
)
def test_what_cannot_be_combined_is_refused(estimates: list[object], variances: list[float] | None, words: str) -> None:
    with pytest.raises(EstimationError, match=words):
        ss.combine_syntheses(estimates, variances)
