"""Composite estimates: the area model on shares, what it gains on simulated and real data, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.errors import EstimationError, SurveySimError, TableError
from surveysim.inference.fay_herriot import fit_area_model
from surveysim.tables.schema import check_distributions
from tests.support.small_surveys import small_survey

CELLS = [f"area={number:02d}" for number in range(30)]
BY = ["age", "gender", "region"]


def table(shares: np.ndarray, *, source: str, n: np.ndarray | None = None, cells: list[str] | None = None) -> pd.DataFrame:
    """Return a distributions table of question `q` from shares of shape (cells, options)."""
    ids = CELLS[: len(shares)] if cells is None else cells
    n_options = shares.shape[1]
    sizes = np.zeros(len(shares)) if n is None else n
    return pd.DataFrame(
        {
            "question_id": "q",
            "background_id": np.repeat(ids, n_options),
            "option_code": np.tile(np.arange(n_options), len(shares)),
            "option_order": np.tile(np.arange(n_options), len(shares)),
            "share": shares.ravel(),
            "std_error": np.nan,
            "n": np.repeat(sizes, n_options),
            "n_eff": np.repeat(sizes, n_options).astype(float),
            "source": source,
        }
    )


def drawn(seed: int, *, options: int = 4, cells: int = 30, off: float = 0.02, n: int = 20) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Return true shares, direct ones of `n` respondents a cell, and simulated ones that miss by a Dirichlet of relative variance `off`."""
    generator = np.random.default_rng(seed)
    simulated = generator.dirichlet(np.full(options, 8.0), cells)
    truth = np.stack([generator.dirichlet(row * (1 / off - 1)) for row in simulated])
    sizes = generator.integers(n // 2, 2 * n, cells)
    direct = np.stack([generator.multinomial(size, row) / size for size, row in zip(sizes, truth, strict=True)])
    return truth, table(direct, source="survey", n=sizes), table(simulated, source="model")


def as_array(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy(float).reshape(frame["background_id"].nunique(), -1)


def test_two_options_are_the_area_model_on_one_share() -> None:
    """With two options the whitened contrast is the share's error over its standard deviation, so the area model gives the same numbers."""
    _, direct, simulated = drawn(0, options=2)
    y, x, n = as_array(direct, "share")[:, 0], as_array(simulated, "share")[:, 0], as_array(direct, "n")[:, 0]
    pooled = ((y * n).sum() + 0.25) / (n.sum() + 0.5)
    metric = 0.9 * x + 0.1 * pooled
    deviation = np.sqrt(metric * (1 - metric))
    for method in ("reml", "moments"):
        fit = fit_area_model((y - x) / deviation, np.zeros((30, 0)), 1 / n, method=method)
        ours = ss.composite(direct, simulated, method=method, borrow=False)
        np.testing.assert_allclose(as_array(ours, "share")[:, 0], x + deviation * fit.estimate, rtol=1e-8)
        np.testing.assert_allclose(as_array(ours, "mse")[:, 0], deviation**2 * fit.mse, rtol=1e-8)
        np.testing.assert_allclose(as_array(ours, "direct_weight")[:, 0], fit.shrinkage, rtol=1e-8)
        np.testing.assert_allclose(ours.attrs["model_variance"]["q"], fit.variance, rtol=1e-8)


@given(st.integers(0, 1000), st.integers(2, 6), st.sampled_from(["none", "intercept"]), st.sampled_from(["reml", "moments"]))
@settings(max_examples=30, deadline=None)
def test_shares_sum_to_one_and_lie_between_direct_and_simulated(seed: int, options: int, regression: str, method: str) -> None:
    _, direct, simulated = drawn(seed, options=options)
    ours = check_distributions(ss.composite(direct, simulated, method=method, regression=regression))
    assert ours["share"].between(0, 1).all()
    assert ours["direct_weight"].between(0, 1).all()
    assert (as_array(ours, "direct_weight") == as_array(ours, "direct_weight")[:, :1]).all(), (
        "one weight a cell, or shares would not sum to 1"
    )
    if regression == "none":
        low, high = np.minimum(direct["share"], simulated["share"]), np.maximum(direct["share"], simulated["share"])
        assert ((ours["share"] >= low - 1e-12) & (ours["share"] <= high + 1e-12)).all()


def test_the_order_of_rows_does_not_matter() -> None:
    _, direct, simulated = drawn(1)
    ours = ss.composite(direct, simulated)
    shuffled = ss.composite(direct.sample(frac=1, random_state=0), simulated)
    pd.testing.assert_frame_equal(ours, shuffled, rtol=1e-9)


def test_under_its_own_model_it_beats_both_parents_and_covers() -> None:
    """120 populations drawn from the model: error below direct and simulated, MSE right on average, 95% intervals."""
    errors, stated, covered = [], [], []
    for seed in range(120):
        truth, direct, simulated = drawn(seed, off=0.03)
        ours = ss.composite(direct, simulated)
        miss = [np.square(as_array(frame, "share") - truth).mean() for frame in (direct, simulated, ours)]
        errors.append(miss)
        stated.append(ours["mse"].mean())
        covered.append(((ours["conf_low"] <= truth.ravel()) & (truth.ravel() <= ours["conf_high"])).mean())
    direct_error, simulated_error, own = np.mean(errors, axis=0)
    assert own < 0.75 * direct_error
    assert own < 0.85 * simulated_error
    assert abs(np.mean(stated) / own - 1) < 0.1
    assert 0.93 < np.mean(covered) < 0.97


def test_large_samples_speak_for_themselves_and_unsampled_cells_take_the_simulation() -> None:
    _, direct, simulated = drawn(2)
    n = np.where(np.arange(30) == 0, 1_000_000, np.where(np.arange(30) == 1, 0, 20))
    shares = as_array(direct, "share").copy()
    shares[1] = np.nan
    ours = ss.composite(table(shares, source="survey", n=n), simulated).set_index("background_id")
    np.testing.assert_allclose(ours.loc[CELLS[0], "share"], shares[0], atol=1e-4)
    np.testing.assert_allclose(ours.loc[CELLS[1], "share"], as_array(simulated, "share")[1], rtol=1e-12)
    assert (ours.loc[CELLS[1], "direct_weight"] == 0).all()
    assert ours.loc[CELLS[1], "std_error"].mean() > ours.loc[CELLS[2], "std_error"].mean()


def test_an_intercept_takes_a_bias_that_all_cells_share() -> None:
    truth, direct, simulated = drawn(4, off=0.005, n=60)
    shift = np.array([0.15, -0.05, -0.05, -0.05])
    moved = np.clip(as_array(simulated, "share") + shift, 0.005, None)
    biased = table(moved / moved.sum(1, keepdims=True), source="model")
    error = {
        name: np.square(as_array(ss.composite(direct, biased, regression=name), "share") - truth).mean() for name in ("none", "intercept")
    }
    assert error["intercept"] < 0.7 * error["none"]
    assert ss.composite(direct, biased, regression="intercept").attrs["model_variance"]["q"] < 0.03


def test_a_simulated_tables_own_errors_set_the_proportions_and_a_floor() -> None:
    _, direct, simulated = drawn(5, off=0.03)
    deviation = np.sqrt(simulated["share"] * (1 - simulated["share"]))
    sure = np.repeat(np.where(np.arange(30) % 2 == 0, 0.05, 0.3), 4)
    stated = ss.composite(direct, simulated.assign(std_error=deviation * sure))
    weight = as_array(stated, "direct_weight")[:, 0]
    assert weight[1::2].min() > weight[::2].max(), "where the model says that it knows little, the sample weighs more"
    overstated = ss.composite(direct, simulated.assign(std_error=deviation * 0.9))
    assert overstated.attrs["model_variance"]["q"] == 1.0, "a table is given no more credit than it claims"


def test_clustered_samples_weigh_less() -> None:
    """Standard errors twice those of independent respondents mean a design effect of 4."""
    _, direct, simulated = drawn(6, n=60)
    independent = np.sqrt(direct["share"] * (1 - direct["share"]) / direct["n_eff"])
    plain, clustered = (ss.composite(direct.assign(std_error=factor * independent), simulated) for factor in (1, 2))
    np.testing.assert_allclose(clustered.attrs["design_effect"], 4 * plain.attrs["design_effect"], rtol=1e-9)
    assert plain.attrs["design_effect"] == pytest.approx(1, abs=0.15)
    assert clustered["direct_weight"].mean() < plain["direct_weight"].mean()


def test_cross_fitted_halves_of_a_survey() -> None:
    survey = small_survey(n=600)
    grid = ss.background_grid(survey.codebook, by=BY)
    halves = ss.cross_fit(survey, lambda part: ss.simulate(part, grid, questions=["q1", "q2"], method="mrp"), by=BY, questions=["q1", "q2"])
    ours = check_distributions(ss.composite(halves.direct, halves.simulated))
    direct = ss.response_distributions(survey, by=BY)
    assert ours["n"].sum() == direct["n"].sum(), "every respondent counts once"
    assert len(ours) == 12 * 6
    assert (ours["source"] == "composite").all()
    assert ours.attrs["weight"] == "w"
    assert ours.attrs["denominator"] == "valid answers"
    assert ours["std_error"].median() < direct["std_error"].median()


def folds_of_a_sample(seed: int, alike: bool) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Return two folds of one population; the simulated tables of both miss it alike, or each in its own way."""
    generator = np.random.default_rng(seed)
    truth = generator.dirichlet(np.full(4, 8.0), 30)
    misses = [np.stack([generator.dirichlet(row * 40) for row in truth]) for _ in range(2)]
    direct = [table(np.stack([generator.multinomial(60, row) / 60 for row in truth]), source="survey", n=np.full(30, 60)) for _ in range(2)]
    simulated = [table(misses[0 if alike else fold], source="model") for fold in range(2)]
    return truth, *(pd.concat([each.assign(fold=fold) for fold, each in enumerate(tables)]) for tables in (direct, simulated))


@pytest.mark.parametrize("alike", [True, False])
def test_the_average_of_folds_errs_as_stated_whether_they_err_alike_or_not(alike: bool) -> None:
    errors, stated = [], []
    for seed in range(60):
        truth, direct, simulated = folds_of_a_sample(seed, alike)
        ours = ss.composite(direct, simulated)
        errors.append(np.square(as_array(ours, "share") - truth).mean())
        stated.append(ours["mse"].mean())
    assert abs(np.mean(stated) / np.mean(errors) - 1) < 0.1


TRUTH, DIRECT, SIMULATED = drawn(9)
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (
        lambda: ss.composite(DIRECT.iloc[:4], SIMULATED.iloc[:4]),
        EstimationError,
        r"at least 3 sampled cells a question.*too few in q \(1\)",
    ),
    (lambda: ss.composite(DIRECT, SIMULATED.iloc[8:]), EstimationError, "direct has cells that simulated lacks: area=00, area=01"),
    (lambda: ss.composite(DIRECT.assign(option_code=DIRECT["option_code"] + 1), SIMULATED), EstimationError, r"options: \('q', 4\)"),
    (lambda: ss.composite(DIRECT.assign(question_id="r"), SIMULATED), EstimationError, r"options: \('r', 0\)"),
    (
        lambda: ss.composite(DIRECT, SIMULATED.assign(n=5)),
        EstimationError,
        "learnt from respondents in q / area=00.*use cross_fit",
    ),
    (lambda: ss.composite(DIRECT, SIMULATED.drop(columns="n")), EstimationError, "learnt from respondents"),
    (lambda: ss.composite(DIRECT.assign(fold=0), SIMULATED), TableError, "simulated has no column 'fold'"),
    (lambda: ss.composite(DIRECT.assign(fold=0), SIMULATED.assign(fold=1)), TableError, "direct has folds 0, simulated 1"),
    (lambda: ss.composite(DIRECT, SIMULATED, method="bayes"), EstimationError, "method must be one of 'reml', 'moments'; got 'bayes'"),
    (lambda: ss.composite(DIRECT, SIMULATED, regression="slope"), EstimationError, "regression must be one of 'none', 'intercept'"),
    (lambda: ss.composite(DIRECT, SIMULATED.assign(share=SIMULATED["share"] / 2)), TableError, "shares of a cell must sum to 1"),
    (lambda: ss.composite(DIRECT.drop(columns="n_eff"), SIMULATED), TableError, "direct lacks column n_eff"),
    (
        lambda: ss.composite(DIRECT, SIMULATED.assign(share=SIMULATED["share"].where(SIMULATED["background_id"] != "area=03"))),
        EstimationError,
        "simulated has cells without shares",
    ),
    (
        lambda: ss.composite(DIRECT, SIMULATED.assign(option_order=3 - SIMULATED["option_order"])),
        EstimationError,
        "its options stand in another order",
    ),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_tables_that_cannot_be_combined_say_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


def test_other_respondents_may_be_declared() -> None:
    pd.testing.assert_series_equal(
        ss.composite(DIRECT, SIMULATED.assign(n=5), independent=True)["share"], ss.composite(DIRECT, SIMULATED)["share"]
    )
