"""Which backgrounds are sums of others: margins, and traits that lie within others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.backgrounds import background_id
from surveysim.publishing.margin_sums import margin_equations, nested_levels
from tests.publishing.test_disclosure import table, withheld
from tests.support.small_surveys import small_survey


@pytest.mark.parametrize(
    ("fine", "coarse", "part", "whole"),
    [
        (["18-24", "25-34", "35-54", "55+"], ["18-34", "35+"], "25-34", "18-34"),
        (["18 to 24", "25 to 34", "65 and over"], ["18 to 34", "35 and over"], "65 and over", "35 and over"),
        (["under 18", "18-29", "30-44", "45 or older"], ["under 30", "30 or older"], "under 18", "under 30"),
        (["DE1", "DE2", "FR1"], ["DE", "FR"], "DE2", "DE"),
        (["no", "yes, often", "yes, seldom"], ["no", "yes"], "yes, seldom", "yes"),
    ],
)
def test_nesting_is_read_off_the_names_of_levels(fine: list[str], coarse: list[str], part: str, whole: str) -> None:
    ids = [*(f"fine={level}" for level in fine), *(f"coarse={level}" for level in coarse)]
    found = nested_levels(ids)
    assert found[f"fine={part}"] == {"coarse": whole}
    assert f"coarse={coarse[0]}" not in found, "the wider trait lies within nothing"


@pytest.mark.parametrize(
    "levels",
    [
        {"a": ["0", "1"], "b": ["0", "1"], "c": ["0", "1", "2"]},
        {"age": ["18-34", "35+"], "hours": ["0-10", "11-19", "20+"]},
        {"gender": ["female", "male"], "race": ["Black", "White", "other"]},
        {"income": ["low", "middle", "high"], "region": ["north", "south"]},
    ],
)
def test_traits_that_are_not_nested_are_left_alone(levels: dict[str, list[str]]) -> None:
    assert nested_levels([f"{trait}={level}" for trait, names in levels.items() for level in names]) == {}


def test_levels_that_stand_with_one_wider_level_alone_lie_within_it() -> None:
    regions = {"Bavaria": "Germany", "Hesse": "Germany", "Brittany": "France"}
    ids = [background_id({"region": region, "country": country}) for region, country in regions.items()]
    assert nested_levels(ids) == {f"region={region}": {"country": country} for region, country in regions.items()}
    assert nested_levels([*ids, "country=France|region=Hesse"]) == {}
    assert nested_levels(["region=Bavaria"], {"region=Bavaria": ["country=Germany"]}) == {"region=Bavaria": {"country": "Germany"}}


def test_a_nested_trait_makes_sums_also_beside_further_traits() -> None:
    ids = ["age3=18-34|sex=f", "age3=35+|sex=f", "age6=18-24|sex=f", "age6=25-34|sex=f", "age6=35+|sex=f"]
    rows = margin_equations(ids, {})
    assert [1, 0, -1, -1, 0] in rows.tolist()
    assert [0, 1, 0, 0, -1] in rows.tolist()


def test_a_level_does_not_follow_from_a_wider_trait() -> None:
    """Hand-checked: 4 = 40 - 36, in every way that nesting can be known."""
    by_name = {"age6=18-24": 4, "age6=25-34": 36, "age6=35+": 50, "age3=18-34": 40, "age3=35+": 50}
    assert withheld(ss.protect(table(by_name))) == ["age6=18-24", "age6=25-34"]
    in_country = {"region=Hesse": 4, "region=Bavaria": 36, "region=Brittany": 50, "country=Germany": 40, "country=France": 50}
    cells = table(in_country)
    assert withheld(ss.protect(cells)) == ["region=Hesse"], "nothing says where Hesse lies"
    cells.attrs["nested"] = {
        "region=Hesse": ["country=Germany"],
        "region=Bavaria": ["country=Germany"],
        "region=Brittany": ["country=France"],
    }
    assert withheld(ss.protect(cells)) == ["region=Hesse", "region=Bavaria"]


def test_survey_verbs_record_what_nests_and_the_example_is_safe() -> None:
    few, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=60, seed=1)
    ages = [ss.response_distributions(few, by=trait, questions="Q8_8") for trait in ("age6", "age3")]
    shown = ss.protect(pd.concat(ages, ignore_index=True))
    hidden = set(withheld(shown))
    size = pd.concat(ages).drop_duplicates("background_id").set_index("background_id")["n"]
    assert size["age6=18-24"] < 10
    assert {"age6=18-24", "age6=25-34"} <= hidden or "age3=18-34" in hidden
    assert ss.survey_mean(few, by="age6", questions="Q8_8").attrs["nested"] == ages[0].attrs["nested"]
    assert "nested" not in ss.response_distributions(small_survey(), by="age").attrs
    one_by_one = ss.protect(ages[1], published=ss.protect(ages[0]))
    assert "age3=18-34" in withheld(one_by_one)


def test_respondents_of_accidental_nesting_are_not_exported(tmp_path) -> None:  # type: ignore[no-untyped-def]
    few, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=60, seed=1)
    cells = ss.response_distributions(few, by="age3", questions="Q8_8")
    assert "nested" in cells.attrs
    for min_n in (0, 10):
        path = ss.export_table(cells, tmp_path / "shares.parquet", min_n=min_n)
        assert "nested" not in pd.read_parquet(path).attrs
    assert np.isfinite(cells["largest_weight"]).all()
