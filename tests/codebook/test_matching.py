"""Other people's words for options, levels and backgrounds find the codebook's, or say what is nearest."""

from __future__ import annotations

import pytest

from surveysim.codebook.codebook import Level, Option, Question, Trait
from surveysim.codebook.matching import NO_OPTION, known_background, level_names, option_places, plain
from surveysim.errors import BackgroundError, CodebookError, TableError
from tests.support.small_surveys import small_codebook

BOOK = small_codebook()


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (1.0, "1"), (1.5, "1.5"), ("  Not\tMuch ", "not much"), (True, "true")])
def test_values_compare_without_capitals_blanks_and_point_zero(value: object, text: str) -> None:
    assert plain(value) == text


def test_an_option_is_found_by_code_text_of_a_code_and_label() -> None:
    found = option_places(BOOK.question("q1"), [0, 1.0, "2", "MUCH", " some ", 9, "lots", None, float("nan")])
    assert list(found.values())[:5] == [0, 1, 2, 3, 2]
    assert set(list(found.values())[5:]) == {NO_OPTION}
    assert option_places(BOOK.question("q2"), ["yes", "NO"]) == {"yes": 0, "NO": 1}


def test_a_text_that_is_label_of_one_option_and_code_of_another_is_refused() -> None:
    turned = Question("turned", "How many?", (Option(1, "2"), Option(2, "1")))
    assert option_places(turned, [1, 2]) == {1: 0, 2: 1}
    with pytest.raises(TableError, match=r"question 'turned': '1' may be any of the options 1 '2', 2 '1'; give codes as numbers"):
        option_places(turned, ["1"])


def test_labels_that_differ_in_capitals_alone_need_the_exact_one() -> None:
    shouted = Question("shouted", "Yes?", (Option(1, "Yes"), Option(2, "YES")), type="nominal")
    assert option_places(shouted, ["Yes", "YES"]) == {"Yes": 0, "YES": 1}
    with pytest.raises(TableError, match="'yes' may be any of"):
        option_places(shouted, ["yes"])


def test_levels_are_found_by_name_and_by_their_words() -> None:
    levels = (Level("18-34", "aged 18 to 34", (1,)), Level("35+", "aged 35 or older", (2,)))
    book = type(BOOK)("b", "B", {"age": Trait("age", "age", levels)}, BOOK.questions)
    assert level_names(book, "age", ["Aged 18 to 34", "35+"], "by") == {"Aged 18 to 34": "18-34", "35+": "35+"}
    with pytest.raises(BackgroundError, match=r"by: trait 'age' has no level '18-35'; did you mean '18-34'"):
        level_names(book, "age", ["18-35"], "by")
    with pytest.raises(CodebookError, match="has no trait 'agee'; did you mean 'age'"):
        level_names(book, "agee", ["35+"], "by")


def test_ids_are_put_into_our_own_form() -> None:
    assert known_background("region=North|AGE = young", BOOK, "by") == "age=young|region=north"
    assert known_background("gender:Female", BOOK, "by") == "gender=female"
    assert known_background("all", BOOK, "by") == "all"


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("female", r"by: 'female' is no background; write trait=level"),
        ("sex=female", r"there is no trait 'sex'"),
        ("gender=femal", r"trait 'gender' has no level 'femal'; did you mean 'female'"),
        ("gender=female|gender=male", r"names trait 'gender' twice"),
    ],
)
def test_an_id_that_is_none_says_why(identifier: str, message: str) -> None:
    with pytest.raises(BackgroundError, match=message):
        known_background(identifier, BOOK, "by")
