"""Cross-fitting: nobody teaches the table that is held against their own answers, and PSUs stay whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError, TableError
from surveysim.inference.cross_fitting import average_folds
from tests.support.small_surveys import small_survey

BY = ["age", "gender"]


def direct(part: ss.Survey) -> pd.DataFrame:
    return ss.response_distributions(part, by=BY, questions=["q1"])


def test_a_folds_simulated_table_comes_from_everyone_else() -> None:
    survey = small_survey(n=300)
    fit = ss.cross_fit(survey, direct, by=BY, questions=["q1"], folds=3, seed=4)
    assert sorted(np.bincount(fit.fold)) == [100, 100, 100]
    for place in range(3):
        inside, outside = survey.take(fit.fold == place), survey.take(fit.fold != place)
        for stacked, part in ((fit.direct, inside), (fit.simulated, outside)):
            ours = stacked[stacked["fold"] == place].drop(columns="fold").reset_index(drop=True)
            pd.testing.assert_frame_equal(ours, direct(part))


def test_the_seed_decides_the_folds() -> None:
    survey = small_survey(n=300)
    one, same, other = (ss.cross_fit(survey, direct, by=BY, questions=["q1"], seed=seed).fold for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_psus_stay_whole_and_strata_are_shared_out() -> None:
    survey = small_survey(n=400, design=True)
    fold = ss.cross_fit(survey, direct, by=BY, questions=["q1"], folds=2).fold
    units = survey.data.assign(fold=fold).groupby(["stratum", "psu"])["fold"].nunique()
    assert (units == 1).all()
    per_stratum = survey.data.assign(fold=fold).drop_duplicates(["stratum", "psu"]).groupby(["stratum", "fold"]).size()
    assert per_stratum.min() >= 2, "five PSUs a stratum go two and three"


def test_average_over_folds() -> None:
    fit = ss.cross_fit(small_survey(n=300), direct, by=BY, questions=["q1"], folds=2)
    mean = average_folds(fit.simulated)
    halves = [fit.simulated.loc[fit.simulated["fold"] == place, "share"].to_numpy() for place in (0, 1)]
    np.testing.assert_allclose(mean["share"], (halves[0] + halves[1]) / 2)
    assert mean["std_error"].isna().all(), "the folds' errors are not those of their mean"


def test_refusals() -> None:
    survey = small_survey(n=40)
    with pytest.raises(EstimationError, match="folds must be 2 to 40, the number of PSUs; got 1"):
        ss.cross_fit(survey, direct, by=BY, questions=["q1"], folds=1)
    with pytest.raises(EstimationError, match="folds must be 2 to 40"):
        ss.cross_fit(survey, direct, by=BY, questions=["q1"], folds=41)
    with pytest.raises(TableError, match="the estimator's table must be a pandas DataFrame"):
        ss.cross_fit(survey, lambda part: None, by=BY, questions=["q1"])  # type: ignore[arg-type, return-value]
    sizes = iter([10, 20])
    with pytest.raises(EstimationError, match="other cells without fold 1 than without fold 0"):
        ss.cross_fit(small_survey(), lambda part: direct(part).iloc[: 4 * (next(sizes) // 10)], by=BY, questions=["q1"])
