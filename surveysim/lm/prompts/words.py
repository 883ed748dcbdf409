"""Wording: the country that a question's ``[country]`` or ``[nationality]`` stands for, filled in per background. Pure strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations, takewhile

from surveysim.codebook.codebook import Codebook, Level, Option, Question, country_trait
from surveysim.codebook.questions import field_values
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import BackgroundError, nearest
from surveysim.tables.names import names_of

CHINESE_COMMA = "\uff0c"
_ARTICLES = ("a ", "an ")
_JOINED = frozenset({"with", "who"})  # words that two neighbouring texts may both begin with

PLACEHOLDER = "[country]"
UNKNOWN_PLACE = "your country"
# Questionnaires write "the [country] government", "most [country] people", and their national versions say "Dutch".
_AS_ADJECTIVE = re.compile(
    r"\[country\](?:['’]s(?= people\b)|(?= (?:government|people|citizens?|national|society|politics)\b))", re.IGNORECASE
)
_NOUN_PHRASE = re.compile(r"\b(the|most) \[country\](?:['’]s)?(?= (?:government|people|citizens)\b)", re.IGNORECASE)
_POSSESSIVE = re.compile(r"\[country\]['’]s\b", re.IGNORECASE)
_COUNTRY = re.compile(re.escape(PLACEHOLDER), re.IGNORECASE)
_NATIONALITY = re.compile(r"\[nationality\]", re.IGNORECASE)
_ANY = re.compile(r"\[(?:country|nationality)\]", re.IGNORECASE)


def names_country(question: Question) -> bool:
    """Say whether a question's text or options hold ``[country]`` or ``[nationality]``."""
    return any(_ANY.search(words) for words in (question.text, *question.labels))


def told_apart_before_country(question: Question) -> bool:
    """Say whether every two options differ in a word that stands before ``[country]`` or ``[nationality]`` in either."""
    words = [label.split(" ") for label in question.labels]
    named = [next((place for place, word in enumerate(label) if _ANY.search(word)), len(label) + 1) for label in words]
    for (one, here), (other, there) in combinations(zip(words, named, strict=True), 2):
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        if same >= min(here, there):
            return False
    return True


def fill_country(text: str, levels: Mapping[str, str], codebook: Codebook) -> str:
    """Put the country of a background in the place of ``[country]``, its adjective in the place of ``[nationality]``.

    The country is the background's level of the trait whose levels name a place; where the background leaves it open, or there is
    no such trait, it is the one country of the survey, else "your country".

    Parameters
    ----------
    text : str
        Wording, with or without ``[country]`` or ``[nationality]``.
    levels : mapping of trait to level
        The background: ``{"country": "Netherlands", "gender": "female"}``.
    codebook : Codebook

    Returns
    -------
    str
        An adjective before a noun ("the Dutch government"), else the place ("the Netherlands' economy").

    Raises
    ------
    CodebookError
        If the background's level is none of the trait's.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.lm.prompts.words import fill_country
    >>> ess = ss.load_codebook("ess9")
    >>> fill_country("How emotionally attached do you feel to [country]?", {"country": "Norway"}, ess)
    'How emotionally attached do you feel to Norway?'
    """
    if not _ANY.search(text):
        return text
    place, adjective = _country(levels, codebook)
    text = _NATIONALITY.sub(adjective or f"of the nationality of {place}", text)
    if place == UNKNOWN_PLACE:
        text = _NOUN_PHRASE.sub(lambda found: f"{'most of ' if found[1].lower() == 'most' else ''}{place}'s", text)
    elif adjective:
        text = _AS_ADJECTIVE.sub(adjective, text)
    text = _POSSESSIVE.sub(f"{place}'" if place.endswith("s") else f"{place}'s", text)
    return _COUNTRY.sub(place, text)


def fill_question(question: Question, levels: Mapping[str, str], codebook: Codebook) -> Question:
    """Return the question with the country filled in its text and its options; see `fill_country`.

    Raises
    ------
    CodebookError
        If the background's level is none of the trait's.
    """
    if not names_country(question):
        return question
    options = tuple(Option(option.code, fill_country(option.label, levels, codebook)) for option in question.options)
    return Question(**{**field_values(question), "text": fill_country(question.text, levels, codebook), "options": options})


def _country(levels: Mapping[str, str], codebook: Codebook) -> tuple[str, str]:
    name = country_trait(codebook)
    if name is None:
        return (codebook.country or UNKNOWN_PLACE), ""
    places = {level.place: level for level in codebook.traits[name].levels if level.place}
    level: Level | None = codebook.traits[name].level(levels[name]) if name in levels else places.get(codebook.country)
    return (UNKNOWN_PLACE, "") if level is None else (level.place or UNKNOWN_PLACE, level.adjective)


def describe_background(levels: Mapping[str, str], codebook: CodebookLike, *, order: str | Sequence[str] | None = None) -> str:
    """Put a background into words for a prompt: ``a woman aged 35 to 54 with a college degree``.

    Level texts are joined in the codebook's order of traits. A text that begins with an article is the noun that the others
    describe; without one it is "a person", and a second one follows as "who is a ...". Neighbours that begin alike ("with",
    "who") are joined by "and". In Chinese the texts are a list.

    Parameters
    ----------
    levels : mapping of trait to level
        Empty for anybody.
    codebook : str, Path, Codebook or Survey
    order : str or sequence of str, optional
        Traits to name first.

    Returns
    -------
    str

    Raises
    ------
    BackgroundError
        If there is no such trait.
    CodebookError
        If a trait has no such level.

    References
    ----------
    Argyle et al. (2023), doi:10.1017/pan.2023.2 (respondents described in words).

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.describe_background({"gender": "female", "age3": "35-54", "education": "college"}, ss.load_codebook("nonvoters2020"))
    'a woman aged 35 to 54 with a college degree'
    """
    codebook = load_codebook(codebook)
    first = names_of(() if order is None else order, "order", codebook.traits, error=BackgroundError, needed=False)
    for name in (*levels, *first):
        if name not in codebook.traits:
            raise BackgroundError(f"background: {name!r} is no trait of codebook {codebook.name!r}; {nearest(str(name), codebook.traits)}")
    names = [name for name in dict.fromkeys((*first, *codebook.traits)) if name in levels]
    words = list(dict.fromkeys(codebook.trait(name).level(levels[name]).text for name in names))
    if codebook.language.startswith("zh"):
        return CHINESE_COMMA.join(words)
    nouns = [text for text in words if text.startswith(_ARTICLES)]
    sentence = nouns[0] if nouns else "a person"
    last = ""
    for text in [text for text in words if text not in nouns[:1]]:
        clause = f"who is {text}" if text.startswith(_ARTICLES) else text
        lead = clause.split(" ", 1)[0]
        sentence += f" and {clause}" if lead == last and lead in _JOINED else f" {clause}"
        last = lead
    return sentence
