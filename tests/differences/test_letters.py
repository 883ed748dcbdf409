"""Letters of significance, held against contrasts one by one and another package's correction."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

import surveysim as ss
from surveysim.differences.letters import column_letters, significance_letters
from surveysim.errors import DesignError, TableError
from tests.support.small_surveys import small_survey

SURVEY = ss.load_example("nonvoters2020")
AGES = ss.response_distributions(SURVEY, by="age6", questions=["Q8_8", "Q8_9"], covariance=True)
CORRECTIONS = {"none": None, "holm": "holm", "bh": "fdr_bh", "bonferroni": "bonferroni"}


def _by_hand(table: pd.DataFrame, adjust: str, level: float) -> dict[tuple[str, str, object], set[str]]:
    """Letters by one `survey_contrast` a pair, corrected within a row by statsmodels."""
    ids = list(table["background_id"].unique())
    letter = dict(zip(ids, column_letters(len(ids)), strict=True))
    pairs = list(combinations(ids, 2))
    found = ss.survey_contrast(table, {f"{first} {second}": {first: 1, second: -1} for first, second in pairs})
    won: dict[tuple[str, str, object], set[str]] = {}
    for key, rows in found.groupby(["question_id", *(["option_code"] if "option_code" in found else [])], sort=False):
        corrected = CORRECTIONS[adjust]
        p = rows["p_value"].to_numpy() if corrected is None else multipletests(rows["p_value"], method=corrected)[1]
        for (first, second), estimate, below in zip(pairs, rows["estimate"], p < level, strict=True):
            higher, lower = (first, second) if estimate > 0 else (second, first)
            won.setdefault((key[0], higher, *key[1:]), set())
            if below:
                won[key[0], higher, *key[1:]].add(letter[lower])
    return {key: letters for key, letters in won.items() if letters}


def _as_sets(found: pd.DataFrame) -> dict[tuple[object, ...], set[str]]:
    keys = [name for name in found if name != "letters"]
    rows = zip(found[keys].itertuples(index=False, name=None), found["letters"], strict=True)
    return {key: set(text.split(", ")) for key, text in rows if text}


@pytest.mark.parametrize("adjust", CORRECTIONS)
@pytest.mark.parametrize("covariance", [True, False])
def test_shares_get_the_letters_of_contrasts_one_by_one(adjust: str, covariance: bool) -> None:
    table = AGES if covariance else ss.response_distributions(SURVEY, by="age6", questions=["Q8_8", "Q8_9"])
    found = significance_letters(table, adjust=adjust, level=0.01)
    assert _as_sets(found) == _by_hand(table, adjust, 0.01)
    assert found["question_id"].tolist() == table["question_id"].tolist()
    said = "t on 5,835 degrees of freedom, with the covariance of the rows" if covariance else "z, rows taken as independent"
    assert said in found.attrs["test"]
    assert "two-sided test at 1%" in found.attrs["test"]


def test_means_get_the_letters_of_contrasts_one_by_one() -> None:
    means = ss.survey_mean(SURVEY, questions=["Q8_8", "Q8_9"], by="age6", covariance=True)
    assert _as_sets(significance_letters(means)) == _by_hand(means, "holm", 0.05)


def test_backgrounds_of_several_traits_are_compared_where_one_differs() -> None:
    table = ss.response_distributions(SURVEY, by=["gender", "age3"], questions="Q8_8", covariance=True)
    found = significance_letters(table)
    letter = found.attrs["columns"]
    same = {
        name: {other for other in letter if sum(a != b for a, b in zip(name.split("|"), other.split("|"), strict=True)) == 1}
        for name in letter
    }
    for row in found[found["letters"] != ""].itertuples():
        assert set(row.letters.split(", ")) <= {letter[name] for name in same[row.background_id]}
    assert (found["letters"] != "").sum() > 3


def test_margins_of_several_traits_and_all_stand_side_by_side() -> None:
    parts = [ss.response_distributions(SURVEY, by=by, questions="Q8_8") for by in ([], ["gender"], ["age3"])]
    found = significance_letters(pd.concat(parts, ignore_index=True))
    assert found.attrs["columns"] == dict(
        zip(["all", "gender=female", "gender=male", "age3=18-34", "age3=35-54", "age3=55+"], "ABCDEF", strict=True)
    )
    alone = significance_letters(parts[2])
    moved = alone["letters"].map(lambda text: ", ".join({"A": "D", "B": "E", "C": "F"}[one] for one in text.split(", ") if one))
    assert found["letters"].tolist()[-12:] == moved.tolist()
    assert found["letters"].tolist()[:4] == [""] * 4


def test_a_missing_share_and_a_certain_one_are_in_no_test() -> None:
    table = ss.response_distributions(small_survey(), by="region", questions="q1")
    first = table["background_id"] == table["background_id"][0]
    missing = table.assign(**{name: table[name].mask(first) for name in ("share", "std_error")})
    assert (significance_letters(missing, adjust="none")["letters"][first] == "").all()
    certain = table.assign(std_error=0.0)
    assert (significance_letters(certain)["letters"] == "").all()
    alone = significance_letters(table[first])
    assert (alone["letters"] == "").all()


def test_columns_are_numbered_beyond_z() -> None:
    letters = column_letters(703)
    assert (letters[25:28], letters[-1]) == (["Z", "AA", "AB"], "AAA")
    assert len(set(letters)) == 703


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(TableError, match="level must lie between 0 and 1"):
        significance_letters(AGES, level=5)
    with pytest.raises(DesignError, match="adjust must be one of none, holm"):
        significance_letters(AGES, adjust="holms")
    with pytest.raises(TableError, match="table holds sources survey, other"):
        significance_letters(pd.concat([AGES, AGES.assign(source="other")]))
    with pytest.raises(TableError, match="several rows of age6=18-24 in one question"):
        significance_letters(pd.concat([AGES, AGES.iloc[:1]]))
    with pytest.raises(TableError, match="lacks column"):
        significance_letters(AGES.drop(columns="std_error"))
    assert np.isfinite(AGES["share"]).all()
