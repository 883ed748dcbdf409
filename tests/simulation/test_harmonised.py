"""`harmonise`: options by code, label and crosswalk, levels finer and coarser, and what cannot be matched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Option
from surveysim.errors import CodebookError, EstimationError, SurveySimError
from tests.support.opinion_survey import opinion_codebook, opinion_survey

NONVOTERS = ss.load_example("nonvoters2020")
BOOK = opinion_codebook()
TABLE = ss.response_distributions(opinion_survey(500), by=["age", "gender"], questions=["trust", "taxes"])


def _cross(**rows: object) -> pd.DataFrame:
    return pd.DataFrame({"wave": "prior", **rows})


def _shares(table: pd.DataFrame, question: str = "trust") -> np.ndarray:
    return np.asarray(table.loc[table["question_id"] == question, "share"])


def test_what_fits_stays() -> None:
    same = ss.harmonise(TABLE, BOOK)
    keys = ["question_id", "background_id", "option_code"]
    both = TABLE.merge(same, on=keys, suffixes=("", "_new"))
    assert len(both) == len(TABLE) == len(same)
    np.testing.assert_allclose(both["share_new"], both["share"])
    np.testing.assert_allclose(both["n_new"], both["n"])


def test_options_are_matched_by_label() -> None:
    theirs = replace(BOOK.question("trust"), options=tuple(Option(10 * o.code, o.label.upper()) for o in BOOK.question("trust").options))
    book = replace(BOOK, questions={"trust": theirs})
    recoded = TABLE[TABLE["question_id"] == "trust"].assign(option_code=lambda rows: rows["option_code"] * 10)
    np.testing.assert_allclose(_shares(ss.harmonise(recoded, BOOK, labels=book)), _shares(ss.harmonise(TABLE, BOOK)))
    with pytest.raises(EstimationError, match="never stretched"):
        ss.harmonise(recoded, BOOK)


def test_several_options_become_one() -> None:
    """The question `trust` (4 options) as a wave's that becomes `taxes` (3 options): the middle two together."""
    cross = _cross(variable=["trust"] * 4, pooled=["taxes"] * 4, code=[1, 2, 3, 4], pooled_code=[1, 2, 2, 3])
    found = ss.harmonise(TABLE[TABLE["question_id"] == "trust"], BOOK, crosswalk=cross)
    own = _shares(TABLE).reshape(-1, 4)
    expected = np.column_stack([own[:, 0], own[:, 1] + own[:, 2], own[:, 3]])
    order = sorted(TABLE["background_id"].unique())
    by_name = dict(zip(TABLE["background_id"].unique(), expected, strict=True))
    np.testing.assert_allclose(_shares(found, "taxes").reshape(-1, 3), [by_name[name] for name in order])
    share, n_eff = found["share"], found["n_eff"]
    np.testing.assert_allclose(found["std_error"], np.sqrt(share * (1 - share) / (n_eff - 1)))


def test_finer_levels_are_averaged_by_n() -> None:
    fine = ss.response_distributions(NONVOTERS, by=["age6"], questions=["Q8_8"])
    book = NONVOTERS.codebook
    halves = {"18-24": "18-34", "25-34": "18-34", "35-44": "35-54", "45-54": "35-54", "55-64": "55+", "65+": "55+"}
    assert set(halves) == set(book.trait("age6").level_names)
    cross = _cross(variable=["age6"] * 6, pooled=["age3"] * 6, code=list(halves), pooled_code=list(halves.values()))
    found = ss.harmonise(fine, book, by="age3", crosswalk=cross)
    young = fine[fine["background_id"].isin(["age6=18-24", "age6=25-34"])]
    expected = (young["share"] * young["n"]).groupby(young["option_code"]).sum() / young.drop_duplicates("background_id")["n"].sum()
    own = found[found["background_id"] == "age3=18-34"].set_index("option_code")
    np.testing.assert_allclose(own["share"].sort_index(), expected.sort_index())
    assert own["n"].iloc[0] == young.drop_duplicates("background_id")["n"].sum()


def test_a_coarser_trait_of_the_same_variable_is_spread_and_its_n_with_it() -> None:
    coarse = ss.response_distributions(NONVOTERS, by=["age3", "gender"], questions=["Q8_8"])
    fine = ss.harmonise(coarse, NONVOTERS.codebook, by=["age6", "gender"])
    assert fine["background_id"].nunique() == 12
    own, theirs = (table.drop_duplicates("background_id")["n"].sum() for table in (coarse, fine))
    assert theirs == pytest.approx(own, abs=12)
    young = [_shares(fine[fine["background_id"] == f"age6={age}|gender=female"], "Q8_8") for age in ("18-24", "25-34")]
    np.testing.assert_allclose(young[0], young[1])
    train, _ = ss.hold_out_respondents(NONVOTERS, n_train=200, seed=200)
    table = ss.simulate(train, ["age6", "gender"], questions=["Q8_8"], method="mrp", prior=fine)
    assert table.groupby("background_id")["share"].sum().round(6).eq(1).all()


def test_questions_that_the_codebook_lacks_are_named() -> None:
    other = TABLE.replace({"question_id": {"taxes": "weather"}})
    assert ss.harmonise(other, BOOK).attrs["left_out"] == ["weather"]


def test_without_n_there_is_no_error() -> None:
    found = ss.harmonise(TABLE.assign(n=0, n_eff=0.0, std_error=np.nan), BOOK)
    assert found["std_error"].isna().all()
    assert found["share"].notna().all()


@pytest.mark.parametrize("stated", [True, False])
def test_cells_that_nobody_answered_in_are_left_out_and_cells_without_n_keep_their_shares(stated: bool) -> None:
    """A simulated table has shares, and no respondents, where nobody was sampled."""
    empty, unsampled = (TABLE["background_id"] == f"age=old|gender={who}" for who in ("male", "female"))
    table = TABLE.assign(n=TABLE["n"] * stated, n_eff=TABLE["n_eff"] * stated)
    table.loc[empty | unsampled, ["n", "n_eff"]] = 0
    table.loc[empty, "share"] = np.nan
    found = ss.harmonise(table, BOOK)
    assert set(TABLE["background_id"]) - set(found["background_id"]) == {"age=old|gender=male"}
    own = found[found["background_id"] == "age=old|gender=female"]
    np.testing.assert_allclose(_shares(own), TABLE.loc[unsampled & (TABLE["question_id"] == "trust"), "share"])


def _of(**options: object) -> Callable[[], object]:
    return lambda: ss.harmonise(TABLE, BOOK, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (_of(by="region"), CodebookError, "codebook 'opinions' has no trait 'region'; known: age, gender"),
        (_of(by="gender"), EstimationError, "trait 'age' is none of gender; name in crosswalk= which it is"),
        (_of(crosswalk=_cross(variable=["weather"], pooled=["trust"])), CodebookError, "no question or trait 'weather'"),
        (_of(crosswalk=_cross(variable=["trust"], pooled=["truts"])), CodebookError, "opinions has no question or trait 'truts'; .*trust"),
        (
            _of(crosswalk=_cross(variable=["trust"] * 2, pooled=["trust"] * 2, code=[1, 2], pooled_code=[1, 2])),
            CodebookError,
            "option 3, 4 of 'trust' becomes none of",
        ),
        (
            _of(crosswalk=_cross(variable=["age"], pooled=["age"], code=["young"], pooled_code=["old"])),
            CodebookError,
            "level 'middle' of trait 'age' becomes none of young, middle, old",
        ),
        (
            lambda: ss.harmonise(TABLE.replace({"background_id": {"age=old|gender=male": "age=aged|gender=male"}}), BOOK),
            EstimationError,
            "trait 'age' has level 'aged' in the table, which is none of",
        ),
        (
            lambda: ss.harmonise(TABLE[TABLE["question_id"] == "trust"].assign(question_id="weather"), BOOK),
            EstimationError,
            "none of the questions of opinions",
        ),
    ],
)
def test_what_cannot_be_matched_says_why(call: Callable[[], object], error: type[SurveySimError], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
