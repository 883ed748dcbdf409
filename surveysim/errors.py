"""The errors that surveysim raises: one base, one subclass a stage of the work.

A message says what was found, what is required, which ids are concerned (the first five and their count) and what to do.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from difflib import get_close_matches

PACKAGE = __name__.partition(".")[0]


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
