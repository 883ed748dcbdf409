"""What was asked, and of whom: options and questions, levels and traits, as frozen dataclasses that check themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

from surveysim.errors import CodebookError, first_few, nearest
from surveysim.tables.reading_order import TABLE_COLUMNS
from surveysim.tables.schema import refuse_unwritable

Code = int | float | str
MISSING_REASONS = ("refused", "dont_know", "no_answer", "not_applicable", "not_asked", "other")
QUESTION_TYPES = ("ordinal", "nominal")
REASON_WORDS = {
    "refused": "Refused",
    "dont_know": "Don't know",
    "no_answer": "No answer",
    "not_applicable": "Not applicable",
    "not_asked": "Not asked",
    "other": "Other missing",
}  # labels of missing codes that are written


@dataclass(frozen=True)
class Option:
    """One valid answer: its code in the file and its label as respondents saw it.

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.Option(1, "A lot")
    Option(code=1, label='A lot')
    """

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
        Codes that are no answer, each with its reason (``refused dont_know no_answer not_applicable not_asked other``); overrides
        the codebook's common codes.
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
    label : str
        Variable label in the release, where it is not the wording.
    battery : str
        Names the multiple-response question whose answers are each a yes/no question of their own; see `Codebook.batteries`.
    merged : mapping of code to code
        Further codes in the file, each with the code of the option that it counts as; `read_survey` notes how many.
    universe : str
        Whom it was asked, where that is not everybody.

    Raises
    ------
    CodebookError
        If the text is empty, the type is unknown, there are fewer than two options, a code or label stands twice, a code is
        both answer and missing, a reason is unknown, a merged code is another option or counts as none, or a translation lacks its
        text or an option.

    Examples
    --------
    >>> import surveysim as ss
    >>> police = ss.load_codebook("nonvoters2020").question("Q8_8")
    >>> police.type, police.codes, police.labels
    ('ordinal', (1, 2, 3, 4), ('A lot', 'Some', 'Not much', 'Not at all'))
    >>> well = ss.Question("well", "Should the village dig a new well?", (ss.Option(1, "Yes"), ss.Option(2, "No")), type="nominal")
    >>> well.labels
    ('Yes', 'No')
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
    label: str = ""
    battery: str = ""
    merged: Mapping[Code, Code] = field(default_factory=dict)
    universe: str = ""

    def __post_init__(self) -> None:
        where = f"question {self.question_id!r}"
        refuse_unwritable(where, field_values(self), error=CodebookError)
        if self.type not in QUESTION_TYPES:
            raise CodebookError(f"{where}: type must be one of {', '.join(QUESTION_TYPES)}; got {self.type!r}")
        if not self.text.strip():
            raise CodebookError(f"{where}: text is empty; give the exact wording")
        if len(self.options) < 2:
            raise CodebookError(
                f"{where}: a question needs at least two options; it has {len(self.options)}: add the others, or leave it out"
            )
        _refuse_repeats(where, "option code", [option.code for option in self.options])
        _refuse_repeats(where, "option label", [option.label for option in self.options])
        both = [code for code in self.codes if code in self.missing]
        if both:
            raise CodebookError(f"{where}: code {first_few(both)} stands in both options and missing; keep it in one")
        check_reasons(where, self.missing)
        _check_merged(where, self.merged, self.codes, self.missing)
        for language, other in self.translations.items():
            if not isinstance(other, Mapping) or not str(other.get("text", "")).strip():
                raise CodebookError(f"{where}: translation {language!r} has no text; give the exact wording in that language")
            labels = other.get("options", self.labels)
            if len(labels) != len(self.options):
                raise CodebookError(
                    f"{where}: translation {language!r} has {len(labels)} option labels for {len(self.options)} options; give one each"
                )

    @cached_property
    def codes(self) -> tuple[Code, ...]:
        """Option codes, in scale order."""
        return tuple(option.code for option in self.options)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Option labels, in scale order."""
        return tuple(option.label for option in self.options)

    @cached_property
    def level_names(self) -> tuple[str, ...]:
        """What the options are called where the question is a background: their labels, or codes where a label cannot stand in an id."""
        usable = all(label and not {"|", "="} & set(label) for label in self.labels) and len(set(self.labels)) == len(self.labels)
        return self.labels if usable else tuple(str(code) for code in self.codes)

    def in_language(self, language: str, *, current: str = "") -> Question:
        """Return the question worded in `language`; its codes do not change.

        Parameters
        ----------
        language : str
        current : str, optional
            Language of the present wording; named, that wording stays as a translation and leads back.

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
        kept = {current: {"text": self.text, "options": list(self.labels)}} if current else {}
        changed = {"text": other["text"], "options": options, "translations": {**self.translations, **kept}}
        return Question(**{**field_values(self), **changed})


@dataclass(frozen=True)
class Level:
    """One level of a trait: codes or a closed numeric range in the file, a name, and words for a prompt.

    Attributes
    ----------
    name, text : str
        ``"Netherlands"``, ``"in the Netherlands"``.
    codes, range
        Codes, or a closed interval.
    place, adjective : str
        What ``[country]`` in a question stands for: ``"the Netherlands"``, ``"Dutch"``; empty where the level is no country.
    translations : mapping of language to text
    """

    name: str
    text: str
    codes: tuple[Code, ...] = ()
    range: tuple[float, float] | None = None
    place: str = ""
    adjective: str = ""
    translations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.codes) == (self.range is not None):
            raise CodebookError(f"level {self.name!r}: give either codes or a range = [low, high]")
        if self.range is not None and not self.range[0] <= self.range[1]:
            raise CodebookError(f"level {self.name!r}: range [{self.range[0]:g}, {self.range[1]:g}] is empty; write [low, high]")

    def in_language(self, language: str, *, current: str = "") -> Level:
        """Return the level worded in `language`, or as it is where there is no translation; see `Question.in_language`."""
        kept = {**self.translations, **({current: self.text} if current else {})}
        return Level(**{**field_values(self), "text": self.translations.get(language, self.text), "translations": kept})


@dataclass(frozen=True)
class Trait:
    """A respondent characteristic that backgrounds are made of, with its declared recode.

    Attributes
    ----------
    name : str
    variable : str
        The variable's name in the file.
    levels : tuple of Level
    label : str
    ordered : bool
    missing : mapping of code to reason
        Codes that are no level; they win over a range.
    subtract_from : int, str or None
        Where the variable is a year of birth: the survey's year, or the variable that holds it. Ranges are then ages.
    source : str
    verified : bool

    Raises
    ------
    CodebookError
        If there are fewer than two levels, a name holds ``|`` or ``=`` or is that of a column of result tables, a level or code stands
        twice, a code is both level and missing, ranges overlap, or a reason is unknown.

    Examples
    --------
    >>> import surveysim as ss
    >>> age = ss.load_codebook("nonvoters2020").trait("age3")
    >>> age.level_names, age.level("55+").text
    (('18-34', '35-54', '55+'), 'aged 55 or older')
    """

    name: str
    variable: str
    levels: tuple[Level, ...]
    label: str = ""
    ordered: bool = False
    missing: Mapping[Code, str] = field(default_factory=dict)
    subtract_from: int | str | None = None
    source: str = ""
    verified: bool = True

    def __post_init__(self) -> None:
        where = f"trait {self.name!r}"
        refuse_unwritable(where, field_values(self), error=CodebookError)
        if len(self.levels) < 2:
            raise CodebookError(f"{where}: a trait needs at least two levels; it has {len(self.levels)}: add the others, or leave it out")
        if "|" in self.name or "=" in self.name:
            raise CodebookError(f"{where}: a trait's name may hold neither '|' nor '='; rename it")
        if self.name in TABLE_COLUMNS or re.fullmatch(r"draw_\d+", self.name):
            raise CodebookError(
                f"{where}: result tables, where traits are columns too, have a column {self.name!r} of their own; give the trait another "
                f"name, such as [traits.{self.name}_group], and name the file's variable with variable = "
            )
        _refuse_repeats(where, "level", [level.name for level in self.levels])
        _refuse_repeats(where, "code", [code for level in self.levels for code in level.codes])
        forbidden = [level.name for level in self.levels if "|" in level.name or "=" in level.name]
        if forbidden:
            raise CodebookError(f"{where}: a level's name may hold neither '|' nor '='; rename {first_few(forbidden)}")
        both = [code for level in self.levels for code in level.codes if code in self.missing]
        if both:
            raise CodebookError(f"{where}: code {first_few(both)} stands in both levels and missing; keep it in one")
        _refuse_overlaps(where, self.levels)
        check_reasons(where, self.missing)

    @cached_property
    def level_names(self) -> tuple[str, ...]:
        """Names of the levels, in order."""
        return tuple(level.name for level in self.levels)

    @cached_property
    def _by_name(self) -> dict[str, Level]:
        return {level.name: level for level in self.levels}

    def level(self, name: str) -> Level:
        """Return the level called `name`.

        Raises
        ------
        CodebookError
            If the trait has no such level.
        """
        found = self._by_name.get(name) if isinstance(name, str) else None
        if found is not None:
            return found
        raise CodebookError(f"trait {self.name!r} has no level {name!r}; {nearest(str(name), self.level_names)}")

    def in_language(self, language: str, *, current: str = "") -> Trait:
        """Return the trait with its levels worded in `language`; their names do not change."""
        levels = tuple(level.in_language(language, current=current) for level in self.levels)
        return Trait(**{**field_values(self), "levels": levels})


def _refuse_repeats(where: str, what: str, values: Sequence[object]) -> None:
    repeated = sorted(str(value) for value, times in Counter(values).items() if times > 1)
    if repeated:
        raise CodebookError(f"{where}: {what} {first_few(repeated)} is declared twice; keep one, or give the other its own")


def _refuse_overlaps(where: str, levels: Sequence[Level]) -> None:
    ranges = sorted((*level.range, level.name) for level in levels if level.range is not None)
    for (_, high, name), (low, _, follower) in pairwise(ranges):
        if low <= high:
            raise CodebookError(f"{where}: the ranges of levels {name!r} and {follower!r} overlap at {low:g}; separate them")


def _check_merged(where: str, merged: Mapping[Code, Code], codes: Sequence[Code], missing: Mapping[Code, str]) -> None:
    for code, option in merged.items():
        if code in codes or code in missing:
            raise CodebookError(f"{where}: merged code {code} is an option or missing as well; keep it in one")
        if option not in codes:
            raise CodebookError(
                f"{where}: merged code {code} counts as {option!r}, which is no option's code; {nearest(str(option), map(str, codes))}"
            )


def check_reasons(where: str, missing: Mapping[Code, str]) -> None:
    """Refuse a reason that is none of `MISSING_REASONS`.

    Raises
    ------
    CodebookError
        If there is such a reason.
    """
    for code, reason in missing.items():
        if reason not in MISSING_REASONS:
            raise CodebookError(f"{where}: missing code {code} has reason {reason!r}; use one of {', '.join(MISSING_REASONS)}")


def field_values(item: Any) -> dict[str, Any]:
    """Return field -> value of a dataclass, one level deep."""
    return {entry.name: getattr(item, entry.name) for entry in fields(item)}
