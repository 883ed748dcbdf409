"""`coherence`: numbers by hand, nulls at both ends, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import surveysim as ss
from surveysim.errors import EvaluationError, SurveySimError, TableError
from tests.support.opinion_survey import TRAITS
from tests.synthesis.test_respondents import coupled_survey

TRUTH = coupled_survey(4000, seed=1)
SCALE = ["taxes", "trust", "news"]


def _found(simulated: Any = TRUTH, **options: Any) -> pd.DataFrame:
    return ss.coherence(simulated, TRUTH, **{"questions": [*SCALE, "vote"], "constructs": {"scale": SCALE}, "floor_n": 500, **options})


def test_the_truth_itself_has_no_error_and_independent_draws_have_much() -> None:
    found = _found(model="trust ~ taxes + gender")
    assert found.error.to_numpy() == pytest.approx(np.zeros(len(found)), abs=1e-12)
    between = found[found.metric.isin(["polychoric", "alpha", "ave", "score_distance"])]
    assert (between.independent_error > 2 * between.floor_error).all()
    assert (found.floor_error > 0).all()


def test_alpha_scores_and_coefficients_are_those_by_hand() -> None:
    found = _found(model="trust ~ taxes + gender").set_index(["metric", "item"]).truth
    weights, values = TRUTH.data.weight.to_numpy(), TRUTH.data[SCALE].to_numpy(float)
    covariance = np.cov(values.T, aweights=weights)
    assert found["alpha", "scale"] == pytest.approx(1.5 * (1 - np.trace(covariance) / covariance.sum()))
    data = TRUTH.data.assign(
        trust=TRUTH.data.trust.astype(int) - 1, taxes=TRUTH.data.taxes.astype(int) - 1, gender=TRUTH.data.gender.astype(str)
    )
    fitted = smf.wls("trust ~ taxes + gender", data, weights=weights).fit()
    assert found["coefficient"].to_dict() == pytest.approx(fitted.params.to_dict())
    assert found["polychoric", "taxes ~ trust"] == pytest.approx(0.64, abs=0.06)  # .8 x .8 within ages


def test_an_item_turned_round_makes_the_scale_of_one_coded_the_other_way() -> None:
    data = TRUTH.data[[*SCALE, "weight", *TRAITS]]
    other = data.assign(taxes=4 - data.taxes.astype(int))
    plain = ss.coherence(other, TRUTH, questions=SCALE, constructs={"a": ["-taxes", "trust"]}).set_index("metric")
    known = ss.coherence(data, TRUTH, questions=SCALE, constructs={"a": ["taxes", "trust"]}).set_index("metric")
    assert plain.simulated["alpha"] == pytest.approx(known.simulated["alpha"])


def test_one_name_is_no_scale_however_it_is_given() -> None:
    for given in ("taxes", ["taxes"]):
        with pytest.raises(EvaluationError, match=r"constructs\['a'\] has 1 item; a scale needs two or more"):
            _found(constructs={"a": given})


def test_syntheses_give_intervals() -> None:
    rows = ss.simulate_respondents(coupled_survey(), TRAITS, questions=SCALE, n=500, m=20, method="mrp", progress=False)
    found = ss.coherence(rows, TRUTH, constructs={"scale": SCALE}, model="trust ~ taxes + gender")
    own = found[found.metric == "coefficient"]
    assert (own.conf_low < own.simulated).all()
    assert own.covers.notna().all()
    assert own.std_error.between(0.005, 0.2).all()
    assert found[found.metric != "coefficient"].covers.isna().all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ss.coherence(TRUTH.data, TRUTH.data), SurveySimError, "survey must be a Survey"),
        (lambda: _found(TRUTH.data.drop(columns="weight")), TableError, "simulated lacks column weight"),
        (lambda: _found(questions="taxes", constructs=None), EvaluationError, "have 1 questions in common"),
        (lambda: _found(TRUTH.data.drop(columns="news")), EvaluationError, "simulated has no column news"),
        (lambda: _found(constructs={"a": ["taxes", "vote"]}), EvaluationError, "no ordered question vote"),
        (lambda: _found(model="trust ~ texas"), EvaluationError, "model='trust ~ texas' cannot be fitted: .*texas"),
        (lambda: _found(floor_n=5000), EvaluationError, "floor_n must lie between 2 and the 4,000 respondents of truth; got 5000"),
        (lambda: _found(TRUTH.data.assign(taxes=9)), EvaluationError, "question 'taxes' has no option 9"),
        (lambda: _found(TRUTH.data.assign(weight=-1.0)), EvaluationError, "weights must be numbers of 0 or more"),
    ],
)
def test_bad_input_is_refused_in_its_own_words(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
