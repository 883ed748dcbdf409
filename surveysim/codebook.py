"""Codebooks: what a survey asked, of whom, with which codes, weights and design, as frozen dataclasses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from surveysim.errors import CodebookError, first_few, nearest

Code = int | float | str
MISSING_REASONS = ("refused", "dont_know", "no_answer", "not_applicable", "not_asked", "other")
QUESTION_TYPES = ("ordinal", "nominal")


@dataclass(frozen=True)
class Option:
    """One valid answer: its code in the file and its label as respondents saw it."""

    code: Code
    label: str


@dataclass(frozen=True)
class Question:
    """A question with its exact wording.

    Attributes
    ----------
    question_id : str
        The variable's name in the file.
    text : str
        Exact wording. ``[country]`` stands for the respondent's country.
    options : tuple of Option
        Valid answers in the order of the scale (``type="ordinal"``) or of the questionnaire (``"nominal"``).
    type : {"ordinal", "nominal"}
    missing : mapping of code to reason
        Codes that are no answer, each with one of `MISSING_REASONS`; overrides the codebook's common codes.
    weight : str or None
        Weight to use with this question, where it differs from the survey's (ANES: pre- or post-election).
    topic : str
        Groups near-duplicates, so that held-out questions do not leak.
    direction : str
        What a high option means, where the scale runs against the name of the variable.
    source : str
        Where the wording was found.
    verified : bool
        False where the wording or codes could not be checked against a source.
    translations : mapping of language to (text, labels)
        Wording in further languages.
    """

    question_id: str
    text: str
    options: tuple[Option, ...]
    type: str = "ordinal"
    missing: Mapping[Code, str] = field(default_factory=dict)
    weight: str | None = None
    topic: str = ""
    direction: str = ""
    source: str = ""
    verified: bool = True
    translations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"question {self.question_id!r}"
        if self.type not in QUESTION_TYPES:
            raise CodebookError(f"{where}: type must be one of {', '.join(QUESTION_TYPES)}; got {self.type!r}")
        if not self.text.strip():
            raise CodebookError(f"{where}: text is empty; give the exact wording")
        if len(self.options) < 2:
            raise CodebookError(f"{where}: a question needs at least two options; it has {len(self.options)}")
        _refuse_repeats(where, "option code", [option.code for option in self.options])
        _refuse_repeats(where, "option label", [option.label for option in self.options])
        both = [code for code in self.codes if code in self.missing]
        if both:
            raise CodebookError(f"{where}: code {first_few(both)} stands in both options and missing; keep it in one")
        _check_reasons(where, self.missing)

    @property
    def codes(self) -> tuple[Code, ...]:
        """Option codes, in scale order."""
        return tuple(option.code for option in self.options)

    @property
    def labels(self) -> tuple[str, ...]:
        """Option labels, in scale order."""
        return tuple(option.label for option in self.options)

    def in_language(self, language: str) -> Question:
        """Return the question worded in `language`; its codes do not change.

        Raises
        ------
        CodebookError
            If there is no such translation.
        """
        if language not in self.translations:
            raise CodebookError(f"question {self.question_id!r} has no wording in {language!r}; {nearest(language, self.translations)}")
        other = self.translations[language]
        labels = other.get("options", self.labels)
        options = tuple(Option(code, label) for code, label in zip(self.codes, labels, strict=True))
        return Question(**{**_shallow(self), "text": other["text"], "options": options})


@dataclass(frozen=True)
class Level:
    """One level of a trait: codes or a closed numeric range in the file, a name, and words for a prompt."""

    name: str
    text: str
    codes: tuple[Code, ...] = ()
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if bool(self.codes) == (self.range is not None):
            raise CodebookError(f"level {self.name!r}: give either codes or a range = [low, high]")


@dataclass(frozen=True)
class Trait:
    """A respondent characteristic that backgrounds are made of, with its declared recode."""

    name: str
    variable: str
    levels: tuple[Level, ...]
    label: str = ""
    ordered: bool = False
    missing: Mapping[Code, str] = field(default_factory=dict)
    source: str = ""
    verified: bool = True

    def __post_init__(self) -> None:
        where = f"trait {self.name!r}"
        if len(self.levels) < 2:
            raise CodebookError(f"{where}: a trait needs at least two levels; it has {len(self.levels)}")
        _refuse_repeats(where, "level", [level.name for level in self.levels])
        _refuse_repeats(where, "code", [code for level in self.levels for code in level.codes])
        forbidden = [level.name for level in self.levels if "|" in level.name or "=" in level.name]
        if forbidden:
            raise CodebookError(f"{where}: a level's name may hold neither '|' nor '='; rename {first_few(forbidden)}")
        _check_reasons(where, self.missing)

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the levels, in order."""
        return tuple(level.name for level in self.levels)

    def level(self, name: str) -> Level:
        """Return the level called `name`.

        Raises
        ------
        CodebookError
            If the trait has no such level.
        """
        for level in self.levels:
            if level.name == name:
                return level
        raise CodebookError(f"trait {self.name!r} has no level {name!r}; {nearest(str(name), self.level_names)}")


@dataclass(frozen=True)
class Weight:
    """A weight variable and when to use it."""

    variable: str
    use: str = ""
    label: str = ""
    product_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class DesignVariables:
    """Names of the variables that describe the sampling design; empty where the release has none."""

    stratum: str = ""
    psu: str = ""
    fpc: str = ""
    nest: str = ""
    replicate_weights: str = ""
    replicate_method: str = ""
    note: str = ""


@dataclass(frozen=True)
class Codebook:
    """Everything surveysim needs to know of one survey wave.

    Attributes
    ----------
    name, title, year, country, language, producer, source, doi, licence, redistribution, citation, note : str
    files : tuple of str
        File names of the release.
    respondent_id : tuple of str
        Variables that together identify a respondent; empty: the row number.
    weights : tuple of Weight
        The first is the default.
    design : DesignVariables
    missing : mapping of code to reason
        Codes that are no answer to any question, unless it is one of that question's options.
    system_missing : str
        Reason of an empty cell.
    traits : mapping of str to Trait
    questions : mapping of str to Question
    verified : bool
        False where release facts could not be checked against a source; `note` says which.
    """

    name: str
    title: str
    traits: Mapping[str, Trait]
    questions: Mapping[str, Question]
    year: str = ""
    country: str = ""
    language: str = "en"
    producer: str = ""
    source: str = ""
    doi: str = ""
    licence: str = ""
    redistribution: str = ""
    citation: str = ""
    note: str = ""
    files: tuple[str, ...] = ()
    respondent_id: tuple[str, ...] = ()
    weights: tuple[Weight, ...] = ()
    design: DesignVariables = DesignVariables()
    missing: Mapping[Code, str] = field(default_factory=dict)
    system_missing: str = "other"
    verified: bool = True

    def __post_init__(self) -> None:
        if not self.questions:
            raise CodebookError(f"codebook {self.name!r} has no questions; add a [questions.<variable>] table")
        clash = sorted(set(self.traits) & set(self.questions))
        if clash:
            raise CodebookError(f"codebook {self.name!r}: {first_few(clash)} is both a trait and a question; rename the trait")
        _check_reasons(f"codebook {self.name!r}", {**self.missing, "system-missing": self.system_missing})

    def question(self, question_id: str) -> Question:
        """Return one question.

        Raises
        ------
        CodebookError
            If there is none of that id; the message names the nearest.
        """
        if question_id not in self.questions:
            raise CodebookError(f"codebook {self.name!r} has no question {question_id!r}; {nearest(question_id, self.questions)}")
        return self.questions[question_id]

    def trait(self, name: str) -> Trait:
        """Return one trait.

        Raises
        ------
        CodebookError
            If there is none of that name; the message names the nearest.
        """
        if name not in self.traits:
            raise CodebookError(f"codebook {self.name!r} has no trait {name!r}; {nearest(name, self.traits)}")
        return self.traits[name]

    def missing_codes(self, question: Question) -> dict[Code, str]:
        """Codes that are no answer to `question`, each with its reason."""
        common = {code: reason for code, reason in self.missing.items() if code not in question.codes}
        return {**common, **question.missing}

    def in_language(self, language: str) -> Codebook:
        """Return the codebook worded in `language`: the same codes, other words.

        Raises
        ------
        CodebookError
            If a question has no such translation.
        """
        if language == self.language:
            return self
        questions = {name: question.in_language(language) for name, question in self.questions.items()}
        return Codebook(**{**_shallow(self), "questions": questions, "language": language})

    def look_for(self, words: str) -> pd.DataFrame:
        """Return the questions whose id, wording, options or topic hold every word of `words`, as in R's `labelled`."""
        frame = self.to_frame()
        text = frame[["question_id", "text", "options", "topic"]].astype(str).agg(" ".join, axis=1).str.lower()
        found = pd.Series(True, index=frame.index)
        for word in words.lower().split():
            found &= text.str.contains(re.escape(word))
        return frame[found].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per question: id, type, wording, options, missing codes, topic, whether verified, source."""
        return pd.DataFrame(
            [
                {
                    "question_id": question.question_id,
                    "type": question.type,
                    "text": question.text,
                    "options": "; ".join(f"{option.code} {option.label}" for option in question.options),
                    "missing": "; ".join(f"{code} {reason}" for code, reason in self.missing_codes(question).items()),
                    "topic": question.topic,
                    "verified": question.verified,
                    "source": question.source,
                }
                for question in self.questions.values()
            ]
        )

    def __repr__(self) -> str:
        return f"Codebook({self.name!r}: {self.title}; {len(self.questions)} questions, traits {', '.join(self.traits)})"

    def _repr_html_(self) -> str:
        head = f"<p><b>{self.title}</b> ({self.year}) · {len(self.questions)} questions · traits: {', '.join(self.traits)}</p>"
        return head + self.to_frame()[["question_id", "text", "options", "topic"]].to_html(index=False)


def iter_questions(codebook: Codebook, questions: Sequence[str] | None) -> Iterator[Question]:
    """Yield the questions asked for, or all of them."""
    for question_id in codebook.questions if questions is None else questions:
        yield codebook.question(question_id)


def _refuse_repeats(where: str, what: str, values: Sequence[object]) -> None:
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise CodebookError(f"{where}: {what} {first_few(repeated)} is declared twice")


def _check_reasons(where: str, missing: Mapping[Code, str]) -> None:
    for code, reason in missing.items():
        if reason not in MISSING_REASONS:
            raise CodebookError(f"{where}: missing code {code} has reason {reason!r}; use one of {', '.join(MISSING_REASONS)}")


def _shallow(item: Any) -> dict[str, Any]:
    return {entry.name: getattr(item, entry.name) for entry in fields(item)}
