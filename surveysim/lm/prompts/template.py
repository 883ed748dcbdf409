"""Prompts: a question and a background as text, in segments that many prompts share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from string import Formatter, ascii_uppercase
from typing import Any

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.codebook.codebook import Codebook, Question, country_trait
from surveysim.errors import PromptError, first_few, nearest, quoted
from surveysim.lm.prompts.words import fill_question, names_country, told_apart_before_country
from surveysim.tables.names import names_of
from surveysim.tables.schema import refuse_unwritable

SCORINGS = ("letters", "text")
LISTINGS = ("scale", "reversed")
# template part -> the fields it may hold; the first one it must hold
FIELDS = {
    "opening": ("question", "title", "country", "year", "options"),
    "respondent": ("background",),
    "option": ("label", "letter"),
}


@dataclass(frozen=True)
class PromptTemplate:
    r"""How a question is put to a model: ``opening`` asks it, and ``respondent`` says of whom.

    Attributes
    ----------
    opening : str
        Fields ``{title} {country} {year} {question} {options}``. Shared by all backgrounds; by those of one country where the
        question holds ``[country]``.
    respondent : str
        Field ``{background}``.
    option : str
        Fields ``{letter} {label}``; the options stand one below the other.
    scoring : {"letters", "text"}
        What the model's answer is read from: the option's letter, or the option's own words.
    listing : {"scale", "reversed"}
        Whether the options stand in scale order or from the last to the first; the first one listed is A.
    traits : str or tuple of str
        Traits of a background to name first; the others follow in the codebook's order.

    Raises
    ------
    PromptError
        If `scoring` or `listing` is unknown, `traits` is no sequence of names, a part lacks ``{question}``, ``{background}`` or
        ``{label}``, is no text, holds NUL, half a character or another field than those above, or formats one.

    References
    ----------
    Argyle et al. (2023), doi:10.1017/pan.2023.2 (respondents described in words).

    Examples
    --------
    >>> import surveysim as ss
    >>> template = ss.PromptTemplate(respondent="You are {background}. You answer:", scoring="text")
    >>> template.respondent.format(background="a woman aged 35 to 54")
    'You are a woman aged 35 to 54. You answer:'
    """

    opening: str = "{title}. Question: {question}\n{options}\n"
    respondent: str = "Respondent: {background}.\nAnswer:"
    option: str = "{letter}. {label}"
    scoring: str = "letters"
    listing: str = "scale"
    traits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, known in (("scoring", SCORINGS), ("listing", LISTINGS)):
            if getattr(self, name) not in known:
                raise PromptError(f"{name} {getattr(self, name)!r} is unknown; {nearest(str(getattr(self, name)), known)}")
        refuse_unwritable("prompt template", asdict(self), error=PromptError)
        object.__setattr__(self, "traits", tuple(names_of(self.traits, "traits", error=PromptError, needed=False)))
        for part, fields in FIELDS.items():
            held = _fields(part, getattr(self, part))
            strange = [field for field in held if field not in fields]
            if strange:
                raise PromptError(
                    f"prompt template: {part} holds {first_few(f'{{{field}}}' for field in strange)}; its fields are "
                    f"{first_few(f'{{{field}}}' for field in fields)}, and a brace that is no field is written twice"
                )
            if fields[0] not in held:
                raise PromptError(f"prompt template: {part} must hold the field {{{fields[0]}}}; it is {getattr(self, part)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the template as plain values, for a saved recipe."""
        return {**asdict(self), "traits": list(self.traits)}

    def prompt(self, question: Question, background: str, codebook: Codebook, *, levels: Mapping[str, str] | None = None) -> str:
        """Return the whole prompt of one question and one background: what the model reads before it answers.

        Parameters
        ----------
        question : Question
        background : str
            As `describe_background` puts it.
        codebook : Codebook
        levels : mapping of trait to level, optional
            The background itself: a question that holds ``[country]`` names its country.

        Raises
        ------
        PromptError
            If the question has more options than there are letters, and the template needs letters.
        CodebookError
            If a background's country is no level of the trait.
        """
        prompts = question_prompts(question, {background_id(levels or {}): background}, codebook, template=self)
        return prompts.openings[0] + prompts.respondents[0]


@dataclass(frozen=True)
class QuestionPrompts:
    """The prompts of one question: an opening, a respondent segment, and an answer per option, each for every background."""

    question_id: str
    openings: tuple[str, ...]
    respondents: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]


def question_prompts(
    question: Question,
    backgrounds: Mapping[str, str],
    codebook: Codebook,
    *,
    template: PromptTemplate | None = None,
) -> QuestionPrompts:
    """Put one question to every background.

    Where the question holds ``[country]`` or ``[nationality]``, it names the background's country, else the one country of the
    survey, else "your country" (`surveysim.lm.prompts.words.fill_country`); its options do too. Options whose own words are the answers
    (``scoring="text"``) must be told apart by the same words for all backgrounds: where only the country tells them apart, they
    say "your country".

    Parameters
    ----------
    question : Question
    backgrounds : mapping of background_id to words
        As `describe_background` returns them.
    codebook : Codebook
    template : PromptTemplate, optional

    Returns
    -------
    QuestionPrompts
        ``openings[i] + respondents[i] + answers[i][k]`` is the prompt of background i answered with option k.

    Raises
    ------
    PromptError
        If the question has more options than there are letters, and the template needs letters.
    CodebookError
        If a background's country is no level of the trait.
    """
    template = template or PromptTemplate()
    trait = country_trait(codebook) if names_country(question) else None
    countries = [parse_background_id(identifier).get(trait) if trait else None for identifier in backgrounds]
    letters = _letters(question, template)
    texts = {
        country: _asked(question, {} if country is None else {str(trait): country}, codebook, template, letters) for country in countries
    }
    return QuestionPrompts(
        question.question_id,
        tuple(texts[country][0] for country in countries),
        tuple(template.respondent.format(background=words) for words in backgrounds.values()),
        tuple(texts[country][1] for country in countries),
    )


def _asked(
    question: Question, levels: Mapping[str, str], codebook: Codebook, template: PromptTemplate, letters: list[str]
) -> tuple[str, tuple[str, ...]]:
    """Return the opening and the answers for the backgrounds of one country, or of none."""
    asked, in_letters = fill_question(question, levels, codebook), template.scoring == "letters"
    labels = asked.labels if in_letters or told_apart_before_country(question) else fill_question(question, {}, codebook).labels
    lines = [template.option.format(letter=letter, label=label) for letter, label in zip(letters, labels, strict=True)]
    listed = "\n".join(lines if template.listing == "scale" else reversed(lines))
    opening = template.opening.format(
        title=codebook.title, country=codebook.country, year=codebook.year, question=asked.text, options=listed
    )
    return opening, tuple(f" {letter}" for letter in letters) if in_letters else tuple(f" {label}\n" for label in labels)


def _letters(question: Question, template: PromptTemplate) -> list[str]:
    """Return each option's letter, in scale order; empty ones where nothing needs them."""
    n_options = len(question.options)
    if n_options <= len(ascii_uppercase):
        letters = list(ascii_uppercase[:n_options])
        return letters if template.listing == "scale" else letters[::-1]
    if template.scoring == "letters" or "letter" in _fields("option", template.option):
        raise PromptError(
            f"question {question.question_id!r} has {n_options} options, and letters end at {len(ascii_uppercase)}; "
            'use a template with scoring="text" and option="{label}"'
        )
    return [""] * n_options


def _fields(part: str, text: str) -> list[str]:
    if not isinstance(text, str):
        raise PromptError(f"prompt template: {part} must be text; got {quoted(text)}")
    try:
        held = [(field, spec, conversion) for _, field, spec, conversion in Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise PromptError(f"prompt template: {part} {text!r} has a single brace ({error}); write a plain brace twice") from error
    formatted = [field for field, spec, conversion in held if spec or conversion]
    if formatted:  # such as a width of a billion characters
        raise PromptError(f"prompt template: {part} formats its fields {first_few(formatted)}; a field is its name in braces and no more")
    return [field for field, _, _ in held]
