"""Names of variables that SPSS and Stata, and the program that writes their files, take; others are renamed, and said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, count

# Names: IBM SPSS Statistics, "Variable names"; Stata User's Guide [U] 11.3. Lengths: SPSS in bytes, Stata in characters.
# SPSS itself begins names with @, # and $ too; pyreadstat writes none of these.
_SPSS_WORDS = "all and by eq ge gt le lt ne not or to with"
_STATA_WORDS = "_all _b byte _coef _cons double float if in int long _n _N _pi _pred _rc _skip strL using with"
_ALLOWED = {
    ".sav": (re.compile(r"[^\W\d_][\w.$#@]*(?<!\.)"), re.compile(r"[^\w.$#@]+"), 64, frozenset(_SPSS_WORDS.split())),
    ".dta": (re.compile(r"[^\W\d]\w*"), re.compile(r"\W+"), 32, frozenset(_STATA_WORDS.split())),
}


def written_names(names: Sequence[str], kind: str) -> dict[str, str]:
    """Return name -> the name to write, for all names; those that the format does not take get another.

    Letters that are not allowed become ``_``; where that does not do, ``V3`` is the third variable. SPSS does not tell names by
    case, Stata does.

    Parameters
    ----------
    names : sequence of str
    kind : {".sav", ".dta"}

    Examples
    --------
    >>> from surveysim.files.variable_names import written_names
    >>> written_names(["two words", "trust", "TRUST", "@3、教育", "with"], ".sav")
    {'two words': 'two_words', 'trust': 'trust', 'TRUST': 'TRUST_2', '@3、教育': 'V4', 'with': 'with_2'}
    """
    by_case = str.lower if kind == ".sav" else str
    taken: set[str] = set()
    kept = []
    for name in names:
        if _is_allowed(name, kind) and by_case(name) not in taken:
            taken.add(by_case(name))
            kept.append(name)
    written = {}
    for place, name in enumerate(names, start=1):
        written[name] = name if name in kept else _another(name, place, kind, {by_case(one) for one in taken})
        taken.add(by_case(written[name]))
    return written


def _is_allowed(name: str, kind: str) -> bool:
    pattern, _, longest, reserved = _ALLOWED[kind]
    length = len(name.encode() if kind == ".sav" else name)
    begins = name[:1].isalpha() or (kind == ".dta" and name[:1] == "_")
    return begins and bool(pattern.fullmatch(name)) and length <= longest and (name.lower() if kind == ".sav" else name) not in reserved


def _another(name: str, place: int, kind: str, taken: set[str]) -> str:
    """Return the first name that is allowed and free: without strange letters and shortened, or by its place; then numbered."""
    _, strange, longest, _ = _ALLOWED[kind]
    plain = strange.sub("_", name).strip("_.") if name[:1].isalpha() else f"V{place}"
    short = plain.encode()[: longest - 4].decode(errors="ignore") if kind == ".sav" else plain[: longest - 4]
    tries = chain([plain, short], (f"{short}_{number}" for number in count(2)))
    return next(one for one in tries if _is_allowed(one, kind) and (one.lower() if kind == ".sav" else one) not in taken)
