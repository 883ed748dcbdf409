"""Prompts: a question and a background as text, in segments that many prompts share. Pure strings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from string import ascii_uppercase
from typing import Any

from surveysim.codebook import Codebook, Question
from surveysim.errors import PromptError, nearest
from surveysim.wording import fill_question

SCORINGS = ("letters", "text")


@dataclass(frozen=True)
class PromptTemplate:
    r"""How a question is put to a model: ``opening`` is shared by all backgrounds, ``respondent`` follows it.

    Attributes
    ----------
    opening : str
        Fields ``{title} {country} {year} {question} {options}``.
    respondent : str
        Field ``{background}``.
    option : str
        Fields ``{letter} {label}``; the options stand one below the other, in scale order.
    scoring : {"letters", "text"}
        What the model's answer is read from: the option's letter, or the option's own words.
    """

    opening: str = "{title}. Question: {question}\n{options}\n"
    respondent: str = "Respondent: {background}.\nAnswer:"
    option: str = "{letter}. {label}"
    scoring: str = "letters"

    def __post_init__(self) -> None:
        if self.scoring not in SCORINGS:
            raise PromptError(f"scoring {self.scoring!r} is unknown; {nearest(self.scoring, SCORINGS)}")
        for name, needed in (("opening", "{question}"), ("respondent", "{background}")):
            if needed not in getattr(self, name):
                raise PromptError(f"prompt template: {name} must hold the field {needed}; it is {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the template as plain values, for a saved recipe."""
        return asdict(self)


@dataclass(frozen=True)
class QuestionPrompts:
    """The prompts of one question: one opening, a respondent segment per background, an answer per option."""

    question_id: str
    opening: str
    respondents: tuple[str, ...]
    answers: tuple[str, ...]


def question_prompts(
    question: Question,
    backgrounds: Mapping[str, str],
    codebook: Codebook,
    *,
    template: PromptTemplate | None = None,
) -> QuestionPrompts:
    """Put one question to every background.

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
        ``opening + respondents[i] + answers[k]`` is the prompt of background i answered with option k.

    Raises
    ------
    PromptError
        If the question has more options than there are letters.
    """
    template = template or PromptTemplate()
    question = fill_question(question, {}, codebook)  # "[country]" becomes "your country": the opening is shared by all backgrounds
    if len(question.options) > len(ascii_uppercase):
        raise PromptError(f"question {question.question_id!r} has {len(question.options)} options; letters end at {len(ascii_uppercase)}")
    letters = ascii_uppercase[: len(question.options)]
    listed = "\n".join(template.option.format(letter=letter, label=label) for letter, label in zip(letters, question.labels, strict=True))
    opening = template.opening.format(
        title=codebook.title, country=codebook.country, year=codebook.year, question=question.text, options=listed
    )
    answers = [f" {letter}" for letter in letters] if template.scoring == "letters" else [f" {label}\n" for label in question.labels]
    return QuestionPrompts(
        question.question_id,
        opening,
        tuple(template.respondent.format(background=words) for words in backgrounds.values()),
        tuple(answers),
    )
