"""Which backgrounds are sums of others: margins, and traits that lie within others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.backgrounds import background_id
from surveysim.codebook.questions import Level
from surveysim.publishing.margin_sums import crossing_parts, margin_equations, nested_levels
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


CROSSING = {"age=18-24": 4, "age=25-39": 36, "age=40+": 50}, {"age_b=18-29": 25, "age_b=30-39": 15, "age_b=40+": 50}


def test_a_level_does_not_follow_from_a_trait_whose_borders_cross() -> None:
    """Hand-checked: 18-24 are 4, since 25 + 15 people are below 40 and 36 of them 25 or older."""
    first, second = (table(sizes) for sizes in CROSSING)
    apart = ss.audit_disclosure([ss.protect(first), ss.protect(second)])
    assert apart[["background_id", "n_low", "n_high", "exposed"]].values.tolist() == [["age=18-24", 4, 4, True]]
    one = ss.protect(pd.concat([first, second]))
    assert withheld(one) == ["age=18-24", "age_b=30-39"]
    after = ss.protect(second, published=ss.protect(first))
    assert withheld(after) == ["age_b=30-39"]
    for tables in ([one], [ss.protect(first), after]):
        found = ss.audit_disclosure(tables).set_index("background_id")
        assert not found["exposed"].any()
        assert found.loc["age=18-24", ["n_low", "n_high"]].tolist() == [1, 9]


@pytest.mark.parametrize(
    ("levels", "parts"),
    [
        ({"a": ["18-24", "25+"], "b": ["18-29", "30+"]}, [("18-24", "18-29"), ("25+", "18-29"), ("25+", "30+")]),
        (
            {"a": ["under 25", "25 or older"], "a2": ["18-29", "30-99"]},
            [("under 25", "18-29"), ("25 or older", "18-29"), ("25 or older", "30-99")],
        ),
        ({"a": ["18-24", "25-29", "30+"], "b": ["18-29", "30+"]}, []),
        ({"a": ["18-24", "25+"], "b": ["18-24", "25+"]}, []),
        ({"age": ["18-34", "35+"], "hours": ["0-10", "11-19", "20-30"]}, []),
        ({"gender": ["female", "male"], "race": ["Black", "White"]}, []),
    ],
)
def test_parts_lie_between_all_borders(levels: dict[str, list[str]], parts: list[tuple[str, str]]) -> None:
    found = crossing_parts([f"{trait}={level}" for trait, names in levels.items() for level in names])
    assert [tuple(held.values()) for held in found.values()] == parts


def test_no_part_is_found_by_an_intruder_who_counts_people() -> None:
    """Respondents of known ages and sexes: whatever is withheld, another population that fits all that is told has another size there."""
    for seed in range(200, 204):
        rng = np.random.default_rng(seed)
        people = pd.DataFrame({"age": rng.integers(18, 70, 90), "sex": rng.choice(["f", "m"], 90)})
        sizes: dict[str, dict[str, int]] = {"age_a": {}, "age_b": {}}
        for name, borders in {"age_a": [18, 25, 40, 55], "age_b": [18, 30, 50, 60]}.items():
            for start, end in zip(borders, [*borders[1:], 200], strict=True):
                level = f"{start}-{end - 1}" if end < 200 else f"{start}+"
                inside = people["age"].between(start, end - 1)
                sizes[name][f"{name}={level}"] = int(inside.sum())
                sizes[name] |= {f"{name}={level}|sex={sex}": int((inside & (people["sex"] == sex)).sum()) for sex in "fm"}
        first = ss.protect(table(sizes["age_a"]))
        second = ss.protect(table(sizes["age_b"]), published=first)
        found = ss.audit_disclosure([first, second])
        true = found["background_id"].map(sizes["age_a"] | sizes["age_b"])
        assert ((found["n_low"] <= true) & (true <= found["n_high"])).all(), "the bounds hold the truth"
        small = true < 10
        assert small.any()
        assert not found.loc[small, "exposed"].any()


def test_survey_verbs_record_parts_of_traits_of_one_variable() -> None:
    """Levels without numbers in their names: the codebook says that both group the same codes."""
    levels = {"cohort": [("young", (1,)), ("old", (2, 3))], "stage": [("early", (1, 2)), ("late", (3,))]}
    traits = {name: ss.Trait(name, "v", tuple(Level(level, level, codes) for level, codes in found)) for name, found in levels.items()}
    question = ss.Question("q", "Q?", (ss.Option(1, "Yes"), ss.Option(2, "No")))
    frame = pd.DataFrame({"v": [1] * 4 + [2] * 30 + [3] * 40, "q": [1, 2] * 37})
    survey = ss.as_survey(frame, ss.Codebook("b", "B", traits, {"q": question}), weight="none")
    cells = [ss.response_distributions(survey, by=name, questions="q") for name in levels]
    assert cells[0].attrs["nested"] == {
        "cohort and stage=part 1": ["cohort=young", "stage=early"],
        "cohort and stage=part 2": ["cohort=old", "stage=early"],
        "cohort and stage=part 3": ["cohort=old", "stage=late"],
    }
    shown = ss.protect(pd.concat(cells, ignore_index=True))
    assert not ss.audit_disclosure(shown)["exposed"].any()


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
