"""[country] in a question is filled in per background, and a codebook changes its language and back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import surveysim as ss
from surveysim.codebook.codebook import country_trait, in_one_country
from surveysim.codebook.declared import parse_codebook
from surveysim.errors import CodebookError
from surveysim.lm.prompts.words import fill_country, fill_question, names_country, told_apart_before_country

LEVELS = [
    {"name": "Netherlands", "text": "in the Netherlands", "codes": ["NL"], "place": "the Netherlands", "adjective": "Dutch"},
    {"name": "Norway", "text": "in Norway", "codes": ["NO"], "place": "Norway", "adjective": "Norwegian"},
    {"name": "elsewhere", "text": "elsewhere", "codes": ["XX"]},
]
GENDER = [
    {"name": "female", "text": "a woman", "codes": [2], "translations": {"zh": "女性"}},
    {"name": "male", "text": "a man", "codes": [1], "translations": {"zh": "男性"}},
]
QUESTION = {
    "text": "Is [country] a good place to live in?",
    "options": [[1, "Yes, [country] is"], [2, "No"]],
    "translations": {"zh": {"text": "适合居住吗？", "options": ["是", "否"]}},
}


def book(**tables: object) -> ss.Codebook:
    declared = {
        "survey": {"name": "made", "country": "several countries"},
        "traits": {"gender": {"levels": GENDER}, "country": {"variable": "cntry", "levels": LEVELS}},
        "questions": {"good": QUESTION},
    }
    return parse_codebook({**declared, **tables}, "made")


@pytest.mark.parametrize(
    ("text", "netherlands", "norway", "open_"),
    [
        ("Is [country] well governed?", "Is the Netherlands well governed?", "Is Norway well governed?", "Is your country well governed?"),
        ("...[country]'s parliament?", "...the Netherlands' parliament?", "...Norway's parliament?", "...your country's parliament?"),
        ("the [country] government", "the Dutch government", "the Norwegian government", "your country's government"),
        ("from most [country] people?", "from most Dutch people?", "from most Norwegian people?", "from most of your country's people?"),
        ("as most [country]'s people", "as most Dutch people", "as most Norwegian people", "as most of your country's people"),
        ("proud to be [Nationality]?", "proud to be Dutch?", "proud to be Norwegian?", "proud to be of the nationality of your country?"),
        ("no placeholder", "no placeholder", "no placeholder", "no placeholder"),
    ],
)
def test_country_is_filled_in(text: str, netherlands: str, norway: str, open_: str) -> None:
    codebook = book()
    assert fill_country(text, {"country": "Netherlands", "gender": "female"}, codebook) == netherlands
    assert fill_country(text, {"country": "Norway"}, codebook) == norway
    assert fill_country(text, {"gender": "male"}, codebook) == open_


def test_level_without_a_place_leaves_the_country_open() -> None:
    assert fill_country("in [country]", {"country": "elsewhere"}, book()) == "in your country"


def test_a_file_of_one_country_names_it_where_the_background_does_not() -> None:
    dutch = in_one_country(book(), book().trait("country").level("Netherlands"))
    assert fill_country("the [country] government", {"gender": "male"}, dutch) == "the Dutch government"
    assert fill_country("the [country] government", {"country": "Norway"}, dutch) == "the Norwegian government"
    assert in_one_country(book(), book().trait("country").level("elsewhere")) == book(), "a level without a place names no country"


@pytest.mark.parametrize(
    ("labels", "apart"),
    [
        (("Yes, [country] is", "No"), True),
        (("Very bad for [country]", "Very good for [country]", "Neither"), True),
        (("I am", "I am not [nationality]"), True),
        (("[country]'s people", "[country]'s neighbours"), False),
        (("For [country]", "For others"), False),
        (("Yes", "Yes", "[country]"), False),
    ],
)
def test_options_are_told_apart_before_the_country_or_not(labels: tuple[str, ...], apart: bool) -> None:
    assert told_apart_before_country(SimpleNamespace(labels=labels)) is apart


def test_every_codebook_tells_its_options_apart_before_the_country() -> None:
    books = [ss.load_codebook(name) for name in ss.list_codebooks()]
    named = [question for codebook in books for question in codebook.questions.values() if any("[" in label for label in question.labels)]
    assert len(named) >= 5
    assert all(told_apart_before_country(question) for question in named)


def test_survey_of_one_country_needs_no_trait() -> None:
    codebook = book(survey={"country": "China"}, traits={"gender": {"levels": GENDER}})
    assert country_trait(codebook) is None
    assert fill_country("How proud of [country] are you?", {"gender": "female"}, codebook) == "How proud of China are you?"


def test_options_are_filled_in_too() -> None:
    codebook = book()
    question = codebook.question("good")
    filled = fill_question(question, {"country": "Norway"}, codebook)
    assert filled.text == "Is Norway a good place to live in?"
    assert filled.labels == ("Yes, Norway is", "No")
    assert filled.codes == question.codes
    assert names_country(question)
    assert not names_country(filled)
    assert fill_question(filled, {"country": "Norway"}, codebook) is filled


def test_unknown_level_is_refused() -> None:
    with pytest.raises(CodebookError, match="trait 'country' has no level 'Norge'; did you mean 'Norway'"):
        fill_country("[country]", {"country": "Norge"}, book())


def test_places_in_two_traits_are_refused() -> None:
    traits = {"country": {"levels": LEVELS}, "birthplace": {"levels": LEVELS}}
    with pytest.raises(CodebookError, match="traits country, birthplace all name places"):
        fill_country("[country]", {"country": "Norway"}, book(traits=traits))


def test_every_codebook_fills_every_country() -> None:
    for name in ss.list_codebooks():
        codebook = ss.load_codebook(name)
        trait = country_trait(codebook)
        backgrounds = [{}] if trait is None else [{}, *({trait: level} for level in codebook.trait(trait).level_names)]
        for question in codebook.questions.values():
            for background in backgrounds:
                filled = fill_question(question, background, codebook)
                assert not names_country(filled), (name, question.question_id, filled.text)


def test_language_changes_words_and_leads_back() -> None:
    codebook = book()
    chinese = codebook.in_language("zh")
    assert chinese.language == "zh"
    assert chinese.question("good").text == "适合居住吗？"
    assert chinese.trait("gender").level("female").text == "女性"
    assert chinese.trait("country").level("Norway").text == "in Norway"
    assert chinese.question("good").codes == codebook.question("good").codes
    back = chinese.in_language("en")
    assert back.question("good").text == codebook.question("good").text
    assert back.question("good").options == codebook.question("good").options
    assert back.trait("gender").level("female").text == "a woman"
