"""Codebooks: what a survey asked, of whom, with which codes, weights and design, as frozen dataclasses."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from surveysim.codebook.questions import MISSING_REASONS, QUESTION_TYPES, Code, Level, Option, Question, Trait, check_reasons, field_values
from surveysim.errors import CodebookError, EvaluationError, SurveySimError, first_few, nearest, quoted
from surveysim.html import facts_table, folded, frame_table
from surveysim.tables.names import known_names_of, names_of
from surveysim.tables.schema import RESERVED, refuse_unwritable

__all__ = [
    "MISSING_REASONS",
    "QUESTION_TYPES",
    "RESERVED",
    "Code",
    "Codebook",
    "DesignVariables",
    "Level",
    "Option",
    "Question",
    "Trait",
    "Weight",
]


@dataclass(frozen=True)
class Weight:
    """A weight variable and when to use it.

    Attributes
    ----------
    variable : str
    use : str
        When to use it.
    label : str
    product_of : tuple of str
        Variables whose product it is, where a release lacks it.
    without : {"refuse", "drop"}
        Respondents without this weight are an error, or belong to no population that it stands for: then they are left
        out, and the survey's notes count them.
    source : str
        Where the variable and its use were found.
    verified : bool
        False where they could not be checked against a source.
    """

    variable: str
    use: str = ""
    label: str = ""
    product_of: tuple[str, ...] = ()
    without: str = "refuse"
    source: str = ""
    verified: bool = True

    def __post_init__(self) -> None:
        if self.without not in ("refuse", "drop"):
            raise CodebookError(f"weight {self.variable!r}: without must be 'refuse' or 'drop'; got {self.without!r}")


@dataclass(frozen=True)
class DesignVariables:
    """Names of the variables that describe the sampling design; empty where the release has none.

    Attributes
    ----------
    stratum, psu, fpc : str
        Stratum, primary sampling unit, and number of PSUs in the stratum's population.
    nest : str
        Variable within which strata and PSUs are numbered anew (ESS: ``cntry``).
    replicate_weights : str
        Names separated by spaces; ``*`` stands for any characters: ``"repwt*"``.
    replicate_method : str
        ``JK1``, ``JK2``, ``BRR``, ``SDR``, ``bootstrap``, or Fay's with its factor: ``Fay 0.5``.
    note : str
        What the release lacks.
    source : str
        Where these names, or that there are none, were found.
    verified : bool
        False where that could not be checked against a source.
    """

    stratum: str = ""
    psu: str = ""
    fpc: str = ""
    nest: str = ""
    replicate_weights: str = ""
    replicate_method: str = ""
    note: str = ""
    source: str = ""
    verified: bool = True


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
    wave : mapping of variable to codes
        Variables that hold these values throughout a file of this wave (ESS: ``essround = 9``); another value is another wave.
    missing : mapping of code to reason
        Codes that are no answer to any question, unless it is one of that question's options.
    system_missing : str
        Reason of an empty cell.
    traits : mapping of str to Trait
    questions : mapping of str to Question
    verified : bool
        False where release facts could not be checked against a source; `note` says which.

    Examples
    --------
    >>> import surveysim as ss
    >>> codebook = ss.load_codebook("nonvoters2020")
    >>> codebook.weights[0].variable, len(codebook.questions), list(codebook.traits)[:3]
    ('weight', 87, ['gender', 'age3', 'age6'])
    >>> codebook.look_for("trust police").question_id.tolist()
    ['Q8_8']
    >>> codebook.missing_codes(codebook.question("Q8_8"))
    {-1: 'refused'}
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
    wave: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)
    missing: Mapping[Code, str] = field(default_factory=dict)
    system_missing: str = "other"
    verified: bool = True

    def __post_init__(self) -> None:
        own = {**field_values(self), "traits": [*self.traits], "questions": [*self.questions]}  # which look at themselves
        refuse_unwritable(f"codebook {self.name!r}", own, error=CodebookError)
        if not self.questions:
            raise CodebookError(f"codebook {self.name!r} has no questions; add a [questions.<variable>] table")
        clash = sorted(set(self.traits) & set(self.questions))
        if clash:
            raise CodebookError(f"codebook {self.name!r}: {first_few(clash)} is both a trait and a question; rename the trait")
        taken = sorted((set(self.traits) | set(self.questions)) & RESERVED)
        if taken:
            raise CodebookError(
                f"codebook {self.name!r}: {first_few(taken)} is a column of every survey; give the trait another name, with variable = , "
                "and leave out a question of that name"
            )
        check_reasons(f"codebook {self.name!r}", {**self.missing, "system-missing": self.system_missing})

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

    def questions_named(
        self,
        given: str | Sequence[str],
        argument: str = "questions",
        *,
        error: type[SurveySimError] = CodebookError,
        needed: bool = True,
    ) -> list[Question]:
        """Return the questions of a name or a list of names, each once.

        Raises
        ------
        CodebookError
            Or `error`: if one is unknown, what is given holds no names, or none where one is needed.
        """
        lacking = f"codebook {self.name!r} has no question"
        known = known_names_of(given, argument, self.questions, error=error, lacking=lacking, needed=needed, may_be_added=True)
        return [self.questions[name] for name in known]

    def traits_named(
        self, given: str | Sequence[str], argument: str, *, error: type[SurveySimError] = CodebookError, needed: bool = True
    ) -> list[str]:
        """Return the traits of a name or a list of names, each once.

        Raises
        ------
        CodebookError
            Or `error`: if one is unknown, what is given holds no names, or none where one is needed.
        """
        names = names_of(given, argument, self.traits, error=error, needed=needed)
        if asked := [name for name in names if name in self.questions and name not in self.traits]:
            raise error(f"{argument}: {quoted(asked[0])} is a question; by= of survey verbs takes it, else declare it as a trait as well")
        return known_names_of(names, argument, self.traits, error=error, lacking=f"codebook {self.name!r} has no trait", needed=needed)

    @property
    def batteries(self) -> dict[str, list[str]]:
        """Names of multiple-response questions, each with the ids of its yes/no questions: what is tabulated and drawn together.

        Examples
        --------
        >>> import surveysim as ss
        >>> yes_no = (ss.Option(1, "Mentioned"), ss.Option(0, "Not mentioned"))
        >>> read = [ss.Question(f"q5_{name}", f"Reads {name}?", yes_no, type="nominal", battery="q5") for name in ("papers", "books")]
        >>> ss.Codebook("reading", "Reading", {}, {question.question_id: question for question in read}).batteries
        {'q5': ['q5_papers', 'q5_books']}
        """
        found: dict[str, list[str]] = {}
        for name, question in self.questions.items():
            if question.battery:
                found.setdefault(question.battery, []).append(name)
        return found

    def missing_codes(self, question: Question) -> dict[Code, str]:
        """Codes that are no answer to a question, each with its reason."""
        common = {code: reason for code, reason in self.missing.items() if code not in question.codes}
        return {**common, **question.missing}

    def in_language(self, language: str) -> Codebook:
        """Return the codebook worded in `language`: the same codes, other words, and the way back.

        Raises
        ------
        CodebookError
            If a question has no such translation.
        """
        if language == self.language:
            return self
        questions = {name: question.in_language(language, current=self.language) for name, question in self.questions.items()}
        traits = {name: trait.in_language(language, current=self.language) for name, trait in self.traits.items()}
        return Codebook(**{**field_values(self), "questions": questions, "traits": traits, "language": language})

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
        unverified = sum(not question.verified for question in self.questions.values())
        facts = {
            "survey": ", ".join(filter(None, (self.country, self.year, self.producer))),
            "traits": ", ".join(f"{name} ({len(trait.levels)} levels)" for name, trait in self.traits.items()),
            "weights": "; ".join(f"{weight.variable}: {weight.use or weight.label or 'use not stated'}" for weight in self.weights),
            "design": ", ".join(f"{what} {name}" for what, name in (("stratum", self.design.stratum), ("PSU", self.design.psu)) if name),
            "licence": self.licence,
            "to be checked": f"{unverified} questions are not verified" if unverified else "",
        }
        asked = frame_table(self.to_frame()[["question_id", "text", "options", "topic"]])
        return facts_table(f"{self.title} ({self.name})", facts) + folded(f"{len(self.questions)} questions", asked)


def country_trait(codebook: Codebook) -> str | None:
    """Return the name of the trait whose levels name a place, or None.

    Raises
    ------
    CodebookError
        If several traits do.
    """
    named = [name for name, trait in codebook.traits.items() if any(level.place for level in trait.levels)]
    if len(named) > 1:
        raise CodebookError(f"codebook {codebook.name!r}: traits {', '.join(named)} all name places; keep place = in one of them")
    return named[0] if named else None


def in_one_country(codebook: Codebook, level: Level) -> Codebook:
    """Return the codebook of a file whose respondents all live in one country: `country` is that level's place.

    Questions that name the country then name it for backgrounds that do not say it, too.
    """
    return replace(codebook, country=level.place) if level.place else codebook


def ordinal_questions(codebook: Codebook | None, ordinal: str | Collection[str] | None, *, needed: bool = True) -> frozenset[str]:
    """Return the ids of the ordered questions, from a codebook or as given.

    Raises
    ------
    EvaluationError
        If they are needed and neither argument is given, or `ordinal` holds no names.
    """
    if ordinal is not None:
        return frozenset(names_of(ordinal, "ordinal", error=EvaluationError, needed=False))
    if codebook is not None:
        return frozenset(name for name, question in codebook.questions.items() if question.type == "ordinal")
    if needed:
        raise EvaluationError("the metric depends on the question's type; give codebook=, or ordinal= with the ordered questions' ids")
    return frozenset()
