"""The choice of a method: it finds the better one, states an error that is near the truth, and says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import ArgumentError, EvaluationError
from tests.support.small_surveys import small_codebook, small_frame, small_survey

EXAMPLE = ss.load_example("nonvoters2020")
BY, ASKED = ["gender", "age6"], ["Q8_8", "Q8_9", "Q8_7"]
METHODS = ["raw", "pooled", "mrp"]
SAMPLE, REST = ss.hold_out_respondents(EXAMPLE, n_train=300, seed=200)


def choice(survey: ss.Survey = SAMPLE, by: Any = BY, **chosen: Any) -> pd.DataFrame:
    return ss.choose_method(survey, by, **{"methods": METHODS, "questions": ASKED, "folds": 3, "progress": False, **chosen})


@pytest.fixture(scope="module")
def plain() -> pd.DataFrame:
    return choice()


def test_the_method_chosen_is_the_best_on_others_and_its_error_near_theirs(plain: pd.DataFrame) -> None:
    table = plain
    truth = ss.response_distributions(REST, by=BY, questions=ASKED)
    shares = {name: ss.simulate(SAMPLE, BY, questions=ASKED, method=name, progress=False) for name in METHODS}
    metric = ["debiased_squared_error"]
    scored = {name: ss.evaluate(own, truth, metrics=metric, codebook=EXAMPLE.codebook) for name, own in shares.items()}
    errors = {name: float(ss.summarise_scores(own)["estimate"].item()) for name, own in scored.items()}
    assert table["method"].tolist() == sorted(METHODS, key=errors.__getitem__)
    assert table["chosen"].tolist() == [True, False, False]
    nested = table.attrs["nested"]
    assert nested["conf_low"] <= errors[table.attrs["choice"]] <= nested["conf_high"]
    assert nested["conf_low"] < nested["estimate"] < nested["conf_high"]
    raw = table.set_index("method").loc["raw"]
    assert raw["difference_low"] > 0
    assert raw["ratio_low"] < raw["ratio"] == pytest.approx(raw["estimate"] / table["estimate"][0])


def test_the_same_seed_gives_the_same_table_and_another_other_folds(plain: pd.DataFrame) -> None:
    first, again, other = plain, choice(), choice(seed=1)
    pd.testing.assert_frame_equal(first, again)
    assert first.attrs["nested"] == again.attrs["nested"]
    assert not np.allclose(first["estimate"], other["estimate"])
    assert sum(first.attrs["nested"]["chosen"].values()) == first.attrs["folds"] == 3


def test_a_choice_that_is_always_the_same_has_the_chosen_ones_error() -> None:
    table = choice(methods=["raw", "mrp"], folds=4)
    assert table.attrs["nested"]["chosen"] == {"mrp": 4}
    assert table.attrs["nested"]["estimate"] == pytest.approx(table["estimate"][0])
    assert table.attrs["nested"]["std_error"] == pytest.approx(table["std_error"][0])


def test_show_says_the_choice_and_its_error(plain: pd.DataFrame) -> None:
    facts = ss.show(plain).facts
    assert facts["chosen"] == "mrp"
    assert "by nested cross-validation" in facts["its error"]
    assert facts["weight"] == "weight"


def test_cumulative_distances_are_half_the_squares_where_there_are_two_options() -> None:
    survey = small_survey(n=300)
    asked = {"by": ["age", "gender"], "questions": ["q2"], "survey": survey}
    squares, cumulated = (choice(metric=name, **asked) for name in ("debiased_squared_error", "debiased_cramer_distance"))
    np.testing.assert_allclose(cumulated["estimate"], squares["estimate"] / 2)


def test_clusters_stay_whole_so_that_the_error_they_share_is_seen() -> None:
    """All answers of a cluster alike: 20 independent answers in place of 400."""
    frame = small_frame(n=400)
    frame["q1"] = (3 * frame["layer"] + frame["cluster"]) % 4
    clustered, alone = (ss.as_survey(frame, small_codebook(design=design)) for design in (True, False))
    asked = {"by": ["age"], "questions": ["q1"], "methods": ["raw", "pooled"]}
    whole, parted = choice(clustered, **asked), choice(alone, **asked)
    assert whole["estimate"].min() > 5 * parted["estimate"].max()


def test_a_prior_goes_to_the_methods_that_take_one(plain: pd.DataFrame) -> None:
    before = ss.response_distributions(REST, by=BY, questions=ASKED)
    table, without = choice(prior=before, methods=["raw", "mrp"]).set_index("method"), plain.set_index("method")
    assert table.loc["raw", "estimate"] == without.loc["raw", "estimate"]
    assert table.loc["mrp", "estimate"] < without.loc["mrp", "estimate"]


def test_backgrounds_count_by_the_shares_that_come_with_them() -> None:
    grid = ss.background_grid(EXAMPLE.codebook, by=["gender"])
    only = {name: choice(by=grid[["gender"]].assign(population_share=share)) for name, share in (("f", [1, 0]), ("m", [0, 1]))}
    both = choice(by=grid[["gender"]].assign(population_share=[0.3, 0.7])).set_index("method")["estimate"]
    mixed = 0.3 * only["f"].set_index("method")["estimate"] + 0.7 * only["m"].set_index("method")["estimate"]
    np.testing.assert_allclose(both, mixed.reindex(both.index))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"methods": ["mrp"]}, "methods: 'mrp' alone leaves nothing to choose; name at least two"),
        ({"methods": ["mrp", "mpr"]}, "methods: there is no method 'mpr'; did you mean 'mrp'"),
        ({"methods": []}, "methods is empty"),
        ({"metric": "wasserstein"}, "metric: 'wasserstein' cannot be freed of a fold's sampling error"),
        ({"folds": 2}, "folds must be a whole number, at least 3: .* got 2"),
        ({"folds": 301}, "folds must be 2 to 300, the number of PSUs; got 301"),
        ({"model": SimpleNamespace(aligned=True)}, "model is aligned already"),
        ({"model": SimpleNamespace(aligned=False)}, "model: none of raw, pooled, mrp uses a language model"),
    ],
)
def test_bad_input_says_what_is_wrong(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        choice(**chosen)


def test_folds_are_whole() -> None:
    with pytest.raises(ArgumentError, match=r"folds must be a whole number; got float 2\.5; its default is 5"):
        choice(folds=2.5)


def test_too_few_respondents_are_said_with_method_and_fold() -> None:
    few, _ = ss.hold_out_respondents(EXAMPLE, n_train=5, seed=0)
    with pytest.raises(EvaluationError, match=r"method 'raw' cannot be fitted without fold .* respondents left"):
        choice(few)
    one, _ = ss.hold_out_respondents(EXAMPLE, n_train=100, seed=0)
    nobody = ss.background_grid(EXAMPLE.codebook, by=["gender", "age6", "education", "race"])[["gender", "age6", "education", "race"]]
    taken = one.data[["gender", "age6", "education", "race"]].astype(str).agg("|".join, axis=1)
    empty = nobody[~nobody.agg("|".join, axis=1).isin(taken)]
    with pytest.raises(EvaluationError, match="nobody in them shares a background"):
        choice(one, empty)
