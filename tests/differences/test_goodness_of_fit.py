"""The test of fit equals R's `svygofchisq`; shares that cannot be expected are refused."""

from __future__ import annotations

import numpy as np
import pytest

import surveysim as ss
from surveysim.errors import CodebookError, DesignError, TableError
from tests.support.r_differences import DIFFERENCES
from tests.support.r_numbers import assert_equals_r
from tests.support.small_surveys import small_survey

SHARES = {1: 0.4, 2: 0.3, 3: 0.2, 4: 0.1}


def test_fit_equals_r() -> None:
    survey = ss.load_example("nonvoters2020")
    theirs = DIFFERENCES["nonvoters"]["gof"]
    ours = ss.survey_gof(survey, {"Q8_8": SHARES}).iloc[0]
    found = {"statistic": ours["statistic"], "df": ours["df"], "p": ours["p_value"]}
    assert_equals_r(found, {"statistic": theirs["x2"] / theirs["scale"], "df": theirs["df"], "p": theirs["p"]})


def test_what_is_not_named_is_one_more_category() -> None:
    survey = small_survey()
    named = ss.survey_gof(survey, {"q1": {0: 0.2, 1: 0.3}})
    assert named["df"][0] < 2.01
    shares = ss.response_distributions(survey, questions="q1").set_index("option_code")["share"]
    fitting = ss.survey_gof(survey, {"q1": {0: shares[0], 1: shares[1]}})
    assert fitting["statistic"][0] == pytest.approx(0, abs=1e-20)
    assert fitting["p_value"][0] == pytest.approx(1)


def test_few_psus_make_f_the_more_careful() -> None:
    survey = small_survey(design=True)
    chi, f = (ss.survey_gof(survey, {"q1": {0: 0.1, 1: 0.3}}, statistic=name, by="gender") for name in ("Chisq", "F"))
    assert (f["p_value"] > chi["p_value"]).all()
    np.testing.assert_allclose(f["statistic"] * f["df"], chi["statistic"])
    assert (f["df_denominator"] / f["df"]).round(9).isin([16.0]).all()


@pytest.mark.parametrize(
    ("official", "error", "said"),
    [
        ({"q9": {0: 1.0}}, CodebookError, "q9"),
        ({"q1": {5: 0.5}}, TableError, "question 'q1' has no option 5; its codes are 0, 1, 2, 3"),
        ({"q1": {0: 0.5, 1: 0.5}}, TableError, "shares sum to 1 and option 2, 3 is left with 0"),
        ({"q1": {0: 0.2, 1: 0.2, 2: 0.2, 3: 0.2}}, TableError, "shares sum to 0.8 and they name every option"),
        ({"q1": {0: 0.0, 1: 0.2}}, TableError, "shares must be above 0 and at most 1; got 0: 0.0"),
        ({"q1": {0: 40.0, 1: 20.0}}, TableError, "shares must be above 0 and at most 1"),
        ({"q1": 0.4}, TableError, "official must map question ids to shares by option code"),
        ({}, TableError, "official must map question ids to shares by option code"),
    ],
)
def test_shares_that_cannot_be_expected_are_refused(official: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        ss.survey_gof(small_survey(), official)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_an_unknown_statistic_names_the_nearest() -> None:
    with pytest.raises(DesignError, match="statistic must be one of Chisq, F; got 'chisq', did you mean 'Chisq'"):
        ss.survey_gof(small_survey(), {"q1": {0: 0.2}}, statistic="chisq")
