"""Conformal intervals: they cover the truth where a model's own do not, also in cells that nobody was sampled from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError, SurveySimError, TableError
from surveysim.inference.cross_fitting import CrossFit
from tests.support.small_surveys import small_survey

N_CELLS, OPTIONS, QUESTIONS = 30, 4, ("a", "b", "c")


def table(shares: np.ndarray, n: np.ndarray, source: str, fold: int) -> pd.DataFrame:
    """Return a distributions table of shares of shape (questions, cells, options) with `n` respondents a cell."""
    questions, cells, options = shares.shape
    names = np.array([f"area={number:02d}" for number in range(cells)], dtype=object)
    return pd.DataFrame(
        {
            "question_id": np.repeat(QUESTIONS[:questions], cells * options),
            "background_id": np.tile(np.repeat(names, options), questions),
            "option_code": np.tile(np.arange(options), questions * cells),
            "option_order": np.tile(np.arange(options), questions * cells),
            "share": shares.ravel(),
            "std_error": np.nan,
            "n": np.tile(np.repeat(n, options), questions),
            "n_eff": np.tile(np.repeat(n, options), questions).astype(float),
            "source": source,
            "fold": fold,
        }
    )


def drawn(seed: int, off: float = 0.03) -> tuple[np.ndarray, CrossFit]:
    """Return true shares and two folds: 12 to 40 respondents a cell, none in the last; a model that misses by relative variance `off`."""
    generator = np.random.default_rng(seed)
    model = generator.dirichlet(np.full(OPTIONS, 8.0), (len(QUESTIONS), N_CELLS))
    truth = np.array([[generator.dirichlet(cell * (1 / off - 1)) for cell in question] for question in model])
    direct, simulated = [], []
    for fold in range(2):
        n = generator.integers(6, 20, N_CELLS)
        n[-1] = 0
        counts = np.array([[generator.multinomial(size, cell) for size, cell in zip(n, question, strict=True)] for question in truth])
        with np.errstate(invalid="ignore"):
            shares = counts / n[:, None]
        direct.append(table(shares, n, "survey", fold))
        simulated.append(table(model, np.where(n > 0, 10, 0), "model", fold))
    return truth, CrossFit(pd.concat(direct, ignore_index=True), pd.concat(simulated, ignore_index=True), np.zeros(1, dtype=int))


def coverage(noise: str, off: float = 0.03, replicates: int = 30) -> tuple[float, float, float]:
    """Return coverage of all cells, of the never sampled, and mean width."""
    held, alone, width = [], [], []
    for seed in range(replicates):
        truth, folds = drawn(seed, off)
        found = ss.conformal_intervals(folds, noise=noise)
        inside = ((found["conf_low"] <= truth.ravel()) & (truth.ravel() <= found["conf_high"])).to_numpy()
        held.append(inside.mean())
        alone.append(inside[found["support"] == "never sampled"].mean())
        width.append((found["conf_high"] - found["conf_low"]).mean())
    return float(np.mean(held)), float(np.mean(alone)), float(np.mean(width))


def test_they_cover_the_true_shares_sampled_or_not() -> None:
    held, alone, width = coverage("removed")
    assert 0.92 < held < 0.98
    assert 0.89 < alone <= 1
    surer = coverage("removed", off=0.005)
    assert 0.92 < surer[0] <= 0.995
    assert surer[2] < 0.7 * width, "a better model has narrower intervals"


def test_with_the_noise_they_are_wider_and_cover_more() -> None:
    removed, kept = coverage("removed", replicates=10), coverage("kept", replicates=10)
    assert kept[2] > 1.3 * removed[2]
    assert kept[0] > 0.97


def test_a_surer_level_is_wider() -> None:
    _, folds = drawn(0)
    wide, narrow = (ss.conformal_intervals(folds, level=level) for level in (0.99, 0.5))
    assert (wide["conf_low"] <= narrow["conf_low"]).all()
    assert (wide["conf_high"] >= narrow["conf_high"]).all()
    assert narrow["conformal_factor"].iloc[0] < 1 < wide["conformal_factor"].iloc[0]


def test_the_factor_is_the_conformal_quantile() -> None:
    """With m scores the factor is the ceil((m + 1) level)-th smallest, so that a new one exceeds it with at most 1 - level."""
    _, folds = drawn(3)
    found = ss.conformal_intervals(folds)
    assert found.attrs["scores"] == {"sampled": 2 * 3 * 29 * 4, "never sampled": 0}
    assert found["support"].eq("never sampled").sum() == 3 * 4
    assert found.attrs["model_variance"].keys() == set(QUESTIONS)


def test_a_table_learnt_from_everyone_gets_the_intervals_of_its_own_errors() -> None:
    survey, by = small_survey(n=800), ["age", "gender", "region"]
    grid = ss.background_grid(survey.codebook, by=by)

    def mrp(part: ss.Survey) -> pd.DataFrame:
        return ss.simulate(part, grid, questions=["q1", "q2"], method="mrp")

    halves, whole = ss.cross_fit(survey, mrp, by=by, questions=["q1", "q2"]), mrp(survey)
    found = ss.conformal_intervals(halves, whole)
    np.testing.assert_array_equal(found["share"], whole["share"])
    assert (found["std_error"] >= whole["std_error"] * (1 - 1e-9)).all(), "a table is given no more credit than it claims"
    assert found.attrs["weight"] == "w"


FOLDS = drawn(1)[1]
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.conformal_intervals(FOLDS, level=95), EstimationError, "level must lie between 0 and 1.*got 95"),
    (lambda: ss.conformal_intervals(FOLDS, noise="none"), EstimationError, "noise must be 'removed' or 'kept'; got 'none'"),
    (lambda: ss.conformal_intervals(FOLDS, level=0.9999), EstimationError, "needs at least 10000 scores"),
    (
        lambda: ss.conformal_intervals(FOLDS, FOLDS.simulated[FOLDS.simulated["fold"] == 0].assign(question_id="z")),
        EstimationError,
        "cells that were not cross-fitted: z / area=00",
    ),
    (lambda: ss.conformal_intervals(FOLDS, FOLDS.simulated.drop(columns="n")), TableError, "simulated lacks column n"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_what_cannot_be_calibrated_says_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()
