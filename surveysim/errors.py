"""The errors that surveysim raises: one base, one subclass a stage of the work.

A message says what was found, what is required, which ids are concerned (the first five and their count) and what to do.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import wraps
from typing import Any

PACKAGE = __name__.partition(".")[0]
BROUGHT = {  # by the survey that is the first argument
    "weight": "a survey brings its weight: choose it where the survey is made, as in read_survey(path, weight=...)",
    "codebook": "a survey brings its codebook",
}


class SurveySimError(ValueError):
    """Base of every error that surveysim raises on purpose.

    The message names the argument, the rule and what breaks it. Catch this one class to catch them all.

    Examples
    --------
    >>> import surveysim as ss
    >>> try:
    ...     ss.load_codebook("nonvoters2020").question("Q8_88")
    ... except ss.SurveySimError as error:
    ...     print(str(error).split(";")[0])
    codebook 'nonvoters2020' has no question 'Q8_88'
    """


class CodebookError(SurveySimError):
    """A codebook is malformed, or a file does not fit it."""


class ReadError(SurveySimError):
    """A survey file cannot be read or written."""


class DesignError(SurveySimError):
    """Weights, strata, PSUs or replicate weights are unusable."""


class TableError(SurveySimError):
    """A table lacks columns, or holds values that break its contract."""


class BackgroundError(SurveySimError):
    """A background names a trait or a level that the codebook does not know."""


class PromptError(SurveySimError):
    """A question cannot be put to a language model."""


class ModelError(SurveySimError):
    """A language model, its files or its cache are unusable."""


class TrainingError(SurveySimError):
    """An alignment cannot start or went astray."""


class SplitError(SurveySimError):
    """Respondents, backgrounds, levels or questions cannot be held out as asked."""


class EstimationError(SurveySimError):
    """A classical estimate of shares cannot be made from these cells."""


class EvaluationError(SurveySimError):
    """Two tables cannot be compared."""


class ArgumentError(SurveySimError, TypeError):
    """A verb is called with an argument that it does not take, or without one that it needs."""


class NoAttributeError(SurveySimError, AttributeError):
    """A survey is asked for an attribute that it does not have, as a frame is for a column."""


def first_few(items: Iterable[object], limit: int = 5) -> str:
    """Name the first `limit` items and count the rest: ``a, b, c, d, e (and 3 more; 8 in all)``."""
    listed = [str(item) for item in items]
    if len(listed) <= limit:
        return ", ".join(listed)
    return f"{', '.join(listed[:limit])} (and {len(listed) - limit} more; {len(listed)} in all)"


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Name the known names that resemble `name`, as a clause to end an error message with."""
    names = list(map(str, known))
    lowered = {candidate.lower(): candidate for candidate in names}
    close = [lowered[match] for match in get_close_matches(str(name).lower(), list(lowered), n=limit, cutoff=0.4)]
    if close:
        return f"did you mean {' or '.join(repr(match) for match in close)}?"
    return f"known: {first_few(names)}" if names else "nothing is known"


def quoted(value: object, longest: int = 60) -> str:
    """Show a value as Python writes it, in one line and cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def warn_user(said: str) -> None:
    """Warn at the line that called into this package, however deep the warning arises."""
    frame, depth = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == PACKAGE:
        frame, depth = frame.f_back, depth + 1
    warnings.warn(said, stacklevel=depth + 1)


def as_called(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Return a public verb as users call it: arguments that it does not take, or lacks, are refused with the nearest and the remedy.

    Signature, docstring and source stay those of the verb; it is pickled by its public name.

    Examples
    --------
    >>> from surveysim.errors import ArgumentError, as_called
    >>> def head(table, *, rows=5):
    ...     return table[:rows]
    >>> try:
    ...     as_called(head)("abcdefg", n_rows=2)
    ... except ArgumentError as error:
    ...     print(error)
    head() takes no argument 'n_rows'; did you mean 'rows'?
    """
    parameters = inspect.signature(verb).parameters.values()
    names, any_number = [each.name for each in parameters], any(each.kind is each.VAR_POSITIONAL for each in parameters)
    places = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    needed = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    taken, required = frozenset(names), frozenset(needed)

    @wraps(verb)
    def called(*given: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        told = {*places[: len(given)], *named}
        if told <= taken and told >= required and (any_number or len(given) <= len(places)):
            return verb(*given, **named)
        if unknown := [name for name in named if name not in taken]:
            said = f"takes no argument {unknown[0]!r}; {_in_its_place(unknown[0], names)}"
        elif len(given) > len(places) and not any_number:
            rest = names[len(places) :]
            said = f"takes {', '.join(places) or 'nothing'} without a name, and {len(given)} were given"
            said += f"; name the others: {_named(rest)}" if rest else ""
        else:
            said = f"lacks an argument; give {_named([name for name in needed if name not in told])}"
        raise ArgumentError(f"{verb.__name__}() {said}")

    called.__module__ = PACKAGE
    return called


def _in_its_place(name: str, names: Sequence[str]) -> str:
    """Say which of a verb's arguments is meant by a name that none has: one that shares a word, else one that is spelt alike."""
    words = _words(name)
    alike = [each for each in names if words & _words(each)]
    brought = [said for word, said in BROUGHT.items() if word in words and not any(word in _words(each) for each in names)]
    if brought and names[0] == "survey":
        return brought[0]
    near = alike or get_close_matches(name.lower(), names, cutoff=0.7)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"it takes {', '.join(names)}" if names else "it takes none"


def _words(name: str) -> set[str]:
    return {word.removesuffix("s") for word in name.lower().split("_")}


def _named(names: Sequence[str]) -> str:
    return first_few(f"{name}=" for name in names)
