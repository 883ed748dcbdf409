"""One rule for every argument that takes a name or a list of names: of traits, questions, sources, metrics, methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set

import numpy as np
import pandas as pd

from surveysim.errors import SurveySimError, first_few, nearest, quoted


def names_of(
    given: object, argument: str, known: Iterable[str] = (), *, error: type[SurveySimError], needed: bool = True, once: bool = False
) -> list[str]:
    """Return the names that an argument holds, in order, each once: a bare string is one name.

    Parameters
    ----------
    given : str or sequence of str
        What the user gave: a name; or a list, tuple, set, array, Index or Series of names. A set has no order and is sorted.
    argument : str
        How the user knows the argument, for messages.
    known : iterable of str
        Names to choose from, for messages alone; `known_names_of` insists on them.
    error : class
        Of the errors raised.
    needed : bool
        Whether an empty list is an error.
    once : bool
        Whether a name given twice is an error.

    Raises
    ------
    SurveySimError
        Of class `error`: if `given` is neither a name nor a list of names, or is empty where a name is needed, or repeats one
        that may stand there once.

    Examples
    --------
    >>> from surveysim.errors import TableError
    >>> from surveysim.tables.names import names_of
    >>> names_of("gender", "by", error=TableError), names_of(("age3", "gender", "age3"), "by", error=TableError)
    (['gender'], ['age3', 'gender'])
    """
    choices = list(map(str, known))
    if isinstance(given, str):
        items: list[object] = [given]
    elif isinstance(given, set | frozenset):
        items = sorted(given, key=str)
    elif isinstance(given, Sequence | Set | pd.Index | pd.Series | np.ndarray | pd.api.extensions.ExtensionArray) and not isinstance(
        given, bytes | bytearray
    ):
        items = list(given)
    else:
        got = f"got {type(given).__name__} {quoted(given)}"
        raise error(f"{argument} must be a name or a list of names; {got}; {_one_of(argument, choices)}")
    odd = [item for item in items if not isinstance(item, str)]
    if odd:
        raise error(f"{argument} must hold names, which are text; got {first_few(map(quoted, odd))}; {_one_of(argument, choices)}")
    names = [str(item) for item in dict.fromkeys(items)]
    if needed and not names:
        raise error(f"{argument} is empty; {_one_of(argument, choices)}")
    if once and len(names) < len(items):
        counts = Counter(items)
        twice = [name for name in names if counts[name] > 1]
        raise error(f"{argument} names {first_few(map(repr, twice))} twice; name each once")
    return names


def known_names_of(
    given: object,
    argument: str,
    known: Iterable[str],
    *,
    error: type[SurveySimError],
    lacking: str,
    needed: bool = True,
    may_be_added: bool = False,
) -> list[str]:
    """Return the names that an argument holds, as `names_of` does, each of them a known one.

    Parameters
    ----------
    given, argument, error, needed
        As of `names_of`.
    known : iterable of str
        Names to choose from.
    lacking : str
        What is said before a name that is none of them: ``"table has no source"``.
    may_be_added : bool
        Whether it may be a variable of the survey's file that the codebook leaves out; then the message says how it is asked.

    Raises
    ------
    SurveySimError
        Of class `error`: as of `names_of`, or if a name is unknown; the message names the nearest.

    Examples
    --------
    >>> from surveysim.errors import TableError
    >>> from surveysim.tables.names import known_names_of
    >>> known_names_of("female", "levels", ["female", "male"], error=TableError, lacking="there is no level")
    ['female']
    """
    choices = list(map(str, known))
    names = names_of(given, argument, choices, error=error, needed=needed)
    chosen_from = set(choices)
    strange = [name for name in names if name not in chosen_from]
    if strange:
        added = f"; if the file has it, add_question(codebook, path, {strange[0]!r}) asks it" if may_be_added else ""
        raise error(f"{argument}: {lacking} {first_few(map(repr, strange))}; {nearest(strange[0], choices)}{added}")
    return names


def _one_of(argument: str, choices: list[str]) -> str:
    if not choices:
        return f"give {argument}= one name, or a list of at least one"
    return f"give {argument}= one name or several of {first_few(choices)}"
