"""A published cell has enough respondents, enough effective ones, and none with most of the weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from tests.publishing.test_disclosure import table, withheld
from tests.support.small_surveys import small_survey


def _with_n_eff(n: int, n_eff: float) -> pd.DataFrame:
    return table({"age=a": n, "age=b": 100}).assign(n_eff=lambda rows: np.where(rows["background_id"] == "age=a", n_eff, 90.0))


def test_one_persons_answer_is_withheld_however_many_respondents_stand_beside_it() -> None:
    shown = ss.protect(_with_n_eff(160, 1.0))
    assert withheld(shown) == ["age=a"]
    assert shown["suppressed"].unique().tolist() == ["fewer than 5 effective respondents", ""]
    assert shown.loc[shown["suppressed"] != "", ["share", "std_error", "n", "n_eff"]].isna().all(axis=None)
    dominated = ss.protect(_with_n_eff(160, 1.0), min_n_eff=0)
    assert dominated["suppressed"].unique().tolist() == ["one respondent has too much of the weight", ""]
    assert dominated.attrs["disclosure"]["largest_weight"] == "bounded by n_eff"
    assert withheld(ss.protect(_with_n_eff(160, 1.0), min_n_eff=0, dominance=1)) == []


@pytest.mark.parametrize(("given", "hidden"), [({}, 4.99), ({"min_n_eff": 20}, 19.9), ({"min_n": 20}, 9.9)])
def test_the_fewest_effective_respondents_are_asked_for_or_half_of_min_n(given: dict[str, int], hidden: float) -> None:
    assert withheld(ss.protect(_with_n_eff(160, hidden), **given)) == ["age=a"]
    assert withheld(ss.protect(_with_n_eff(160, hidden + 0.2), **given)) == []


def test_kishs_n_bounds_the_largest_weight_where_it_is_not_stated() -> None:
    """Hand-checked: weights 80, 1, ..., 1 (21 respondents): n_eff 100^2 / 6420 = 1.558, largest share .8 and by the bound .8."""
    weights = np.array([80.0] + [1.0] * 20)
    n_eff = weights.sum() ** 2 / (weights**2).sum()
    assert withheld(ss.protect(_with_n_eff(21, n_eff), min_n_eff=0, dominance=0.79)) == ["age=a"]
    assert withheld(ss.protect(_with_n_eff(21, n_eff), min_n_eff=0, dominance=0.81)) == []


def test_survey_verbs_state_the_largest_weight_and_it_does_not_leave(tmp_path: Path) -> None:
    survey = small_survey(n=200)
    heavy = ss.Survey(**{**vars(survey), "data": survey.data.assign(weight=survey.data["weight"])})
    old = heavy.data["age"] == "old"
    heavy.data.loc[old.idxmax(), "weight"] = 10 * heavy.data.loc[old, "weight"].sum()
    for made in (
        ss.response_distributions(heavy, by="age", questions="q1"),
        ss.survey_mean(heavy, by="age", questions="q1"),
        ss.survey_total(heavy, by="age", questions="q1"),
        ss.survey_quantile(heavy, by="age", questions="q1", quantiles=[0.5]),
    ):
        answered = heavy.data[heavy.reasons["q1"].isna()]
        expected = answered.groupby("age", observed=True)["weight"].agg(lambda weights: weights.max() / weights.sum())
        stated = made.drop_duplicates("background_id").set_index("background_id")["largest_weight"]
        np.testing.assert_allclose(stated[[f"age={level}" for level in expected.index]], expected, rtol=1e-12)
        shown = ss.protect(made, min_n_eff=0)
        assert withheld(shown) == ["age=old"]
        assert shown.attrs["disclosure"]["largest_weight"] == "in the table"
        assert "largest_weight" not in shown
        assert "largest_weight" not in pd.read_csv(ss.export_table(made, tmp_path / "table.csv"))


def test_rounding_keeps_the_rule_too() -> None:
    shown = ss.protect(_with_n_eff(160, 1.0), how="round")
    assert withheld(shown) == ["age=a"]
    first = shown[shown["background_id"] == "age=a"]
    assert first["share"].isna().all()
    assert first["n"].tolist() == [160, 160]


def test_a_stricter_rule_of_weights_applies_to_a_table_that_was_protected_before() -> None:
    shown = ss.protect(_with_n_eff(160, 8.0))
    assert withheld(shown) == []
    assert withheld(ss.protect(shown, min_n_eff=10)) == ["age=a"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"min_n_eff": -1}, "min_n_eff=-1 must be at least 0"),
        ({"min_n_eff": float("nan")}, "min_n_eff=nan must be at least 0"),
        ({"dominance": 0}, "dominance=0 is a share of a cell's weight, above 0 and at most 1"),
        ({"dominance": 50}, "dominance=50 is a share"),
        ({"model_based": "survey"}, "model_based names 'survey', whose shares are the respondents' own answers; leave it out"),
    ],
)
def test_what_cannot_be_asked_for_says_so(given: dict[str, object], says: str, tmp_path: Path) -> None:
    cells = table({"age=a": 9, "age=b": 20})
    with pytest.raises(TableError, match=says):
        ss.protect(cells, **given)  # type: ignore[arg-type]
    with pytest.raises(TableError, match=says):
        ss.export_table(cells, tmp_path / "shares.csv", **given)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
