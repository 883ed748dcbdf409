"""Which value labels name a missing answer: a grammar of leads, pronouns, notes to interviewers and the words of fourteen languages.

A label is read in steps: its code in front ("8.-", "(88)", "-9 =") and notes to interviewers ("(VOL.)", "DO NOT READ:") are left
off, then a pronoun ("I", "R"); what is left must begin with a phrase of `missing_words` and end there, or go on with a sign or "or".
So "Don't know, never heard" is one and "Don't know him personally" is none. A few words are answers as well; there the place of
the code decides: negative, or apart from the answers' codes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from surveysim.codebook.missing_words import ABBREVIATIONS, ANNOTATIONS, DOUBTFUL, ONLY_BESIDE, PHRASES
from surveysim.codebook.questions import Code

_LETTERS = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'", "−": "-", "–": "-", "—": "-", "‐": "-", "ł": "l", "ı": "i", "ø": "o", "ـ": ""}
)


class Reading(NamedTuple):
    """What a label says by itself.

    Attributes
    ----------
    reason : str or None
        The reason that it names, if it names one.
    sure : bool
        False where the words may be an answer too, so that the place of the code has to tell.
    """

    reason: str | None
    sure: bool


NO_REASON = Reading(None, True)


@lru_cache(maxsize=16384)
def plain_text(text: str) -> str:
    """Return a text for comparison: fold case, accents, forms of apostrophes, dashes and Arabic letters, and spaces."""
    if text.isascii():
        return " ".join(text.casefold().replace("`", "'").split())
    letters = unicodedata.normalize("NFKD", text.translate(_LETTERS).casefold().translate(_LETTERS))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter)).translate(_LETTERS)
    return re.sub(r"\s+", " ", letters.replace("آ", "ا").replace("ى", "ي")).strip()


def _words(listed: str) -> list[str]:
    return [word for word in (plain_text(word) for word in listed.replace("\n", "").split("|")) if word]


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=len, reverse=True))


_REASONS = {word: reason for reason, listed in PHRASES.items() for word in _words(listed)}
_ABBREVIATED = {word: reason for reason, listed in ABBREVIATIONS.items() for word in _words(listed)}
_FIRST_WORD = re.compile(r"\w*")
_FIRST_OF_ABBREVIATIONS = frozenset(_FIRST_WORD.match(word)[0] for word in _ABBREVIATED)  # type: ignore[index]
_ONLY_BESIDE = frozenset(_words(ONLY_BESIDE))
_DOUBTFUL = {word: reason for reason, listed in DOUBTFUL.items() for word in _words(listed)}
_NOTE = _any_of(_words(ANNOTATIONS))

_LEAD = re.compile(r"^[\[(]?\s*-?\d+\s*[\])]?\s*(?:[.):=\-]\s*)*(?!\d)")  # "-9. ", "8.- ", "(88) ", "98 = ", "8 - "
_NOTE_BEFORE = re.compile(rf"^(?:\[[^\]]*\]|\((?:{_NOTE})[.:]?\)|(?:{_NOTE})\s*[.:\-]|(?:do not read(?: out)?|vol\.?))\s*(?=\S)")
_NOTE_BEHIND = re.compile(rf"\s*(?:\[[^\]]*\]|\((?:{_NOTE})[.:]?\)|[-,:]\s*(?:{_NOTE})\.?)$")
_BEGINNINGS = frozenset(phrase[:2] for phrase in _REASONS)
_MAY_HOLD_MORE = re.compile(r"[^\w\s'/]|^do not read|^vol")  # signs or words that a code or a note to interviewers comes with
_PRONOUN = re.compile(r"^(?:i'd|i would|i|r|resp\.?|respondent|the respondent|he/she|je|j'|yo|eu|ich|ik|io|\(s\)he|s/he|ja|я)\s+(?=\S)")
_PHRASE = re.compile(rf"(?:{_any_of(_REASONS)})(?![^\W\d_]|')")
_MORE = re.compile(r"\s*(?:[,;:/|(\[.]|- | -)(?!\s*but\b)|\s+(?:or|ou|oder|lub|или|veya|&|\+)\s")
_AND = re.compile(r"\s+(?:o|of|e|and|y|und|et|i|и|ve|او)\s+(.+)")  # what follows these has to be a missing answer as well
_LAST = re.compile(rf".*(?:[,;/]|\s-|\()\s*({_any_of(_words(PHRASES['not_applicable']))})\s*\)?$")
_NOT_ASKED = re.compile(
    r"(?:question )?(?:was )?not (?:asked|included|fielded|available|administered) "
    r"(?:in|of|for|by|on|at|because|to (?:this|all|half|non))\b.*"
    r"|not in (?:the |this )?(?:survey|questionnaire|country|wave|year|form|round|sample|split)\b.*"
)
_APPLIES = re.compile(
    r"\bappl(?:y|ies)\b|\btrifft\b|\baplica\b|\bs'applique\b|\bpasst\b|あてはまる|当てはまる|해당(?:한다|된다)|适用|符合|not at all"
)
_ABOUT_APPLYING = frozenset(
    _words("does not apply|doesn't apply|do not apply|trifft nicht zu|no se aplica|no aplica|ne s'applique pas|non si applica")
)
_SPLIT = re.compile(r"\s*(?:[/,;|&+]|-|\bor\b|\bo\b|\by\b|\band\b)\s*")
_OPEN = " .*[]<>'\"-:;,()«»“”"


@lru_cache(maxsize=8192)
def read_label(label: str) -> Reading:
    """Return what a value label says by itself of a missing answer.

    Examples
    --------
    >>> from surveysim.codebook.missing_labels import read_label
    >>> read_label("(DO NOT READ) I don’t know"), read_label("RF"), read_label("DK (Denmark)")
    (Reading(reason='dont_know', sure=True), Reading(reason='refused', sure=False), Reading(reason=None, sure=True))
    """
    return _read_text(bare_label(label))


def reason_from_label(label: str) -> str | None:
    """Return the reason that a value label names, or None where it names none, or may be an answer as well.

    Examples
    --------
    >>> from surveysim.codebook.missing_labels import reason_from_label
    >>> [reason_from_label(label) for label in ("Refusal", "8.- No sabe", "IAP", "拒绝回答", "Refuse to pay taxes", "RF")]
    ['refused', 'dont_know', 'not_applicable', 'refused', None, None]
    """
    reading = read_label(label)
    return reading.reason if reading.sure else None


def reason_in_place(code: Code, labels: Mapping[Code, str], *, declared: bool = False) -> Reading:
    """Return what the label of a code says among the labels of its variable.

    Words that may be an answer count where the code is negative or stands apart from the answers' codes: then the reason is
    returned with ``sure=False``. Elsewhere they are an answer that is to be looked at: no reason, ``sure=False``. Of a code that
    the file declares missing the words tell the reason, whatever its place.
    """
    reading = read_label(labels[code])
    if reading.reason is None or declared:
        return reading
    if reading.sure and not _is_answer_here(labels[code], labels):
        return reading
    answers = [other for other, label in labels.items() if other != code and read_label(label).reason is None]
    return Reading(reading.reason if stands_apart(code, answers) else None, False)


def stands_apart(code: Code, answers: Iterable[Code]) -> bool:
    """Say whether a code is negative, or leaves out at least one number after the highest, where the answers' codes are neither."""
    numbers = [answer for answer in answers if not isinstance(answer, str)]
    if isinstance(code, str) or not numbers:
        return not isinstance(code, str) and code < 0
    return (code < 0 <= min(numbers)) or code > max(numbers) + 1


def _is_answer_here(label: str, labels: Mapping[Code, str]) -> bool:
    """Say whether the other labels make an answer of one: "does not apply" beside "applies", "NA" in a list of countries' letters."""
    text = bare_label(label)
    others = [other for other in labels.values() if other != label]
    if text in _ABOUT_APPLYING:
        return any(_APPLIES.search(bare_label(other)) for other in others if read_label(other).reason is None)
    if text in _ABBREVIATED:
        return (
            sum(other.isalpha() and other.isupper() and len(other) == len(text) and read_label(other).reason is None for other in others)
            > 1
        )
    return False


@lru_cache(maxsize=16384)
def bare_label(label: str) -> str:
    """Return a label for comparison, without its code, notes to interviewers, and signs around.

    Examples
    --------
    >>> from surveysim.codebook.missing_labels import bare_label
    >>> bare_label("1. Male"), bare_label("[VOL] Otro/a")
    ('male', 'otro/a')
    """
    text, before = plain_text(label), ""
    if text[:1].isalpha() and not _MAY_HOLD_MORE.search(text):
        return text
    while text != before:
        before = text
        text = _NOTE_BEHIND.sub("", _NOTE_BEFORE.sub("", _LEAD.sub("", text.lstrip(" .*<'\"")))).strip()
    return text.strip(" *<>'\"") if text.endswith(".") and text[:-1].count(".") else text.strip(" .*<>'\"")


def _read_text(text: str) -> Reading:
    if not text:
        return NO_REASON
    for words in dict.fromkeys((text, _PRONOUN.sub("", text), text.strip(_OPEN))):
        reason = _by_phrase(words) or _by_abbreviation(words)
        if reason:
            return Reading(reason, True)
    last = _LAST.fullmatch(text) if _MAY_HOLD_MORE.search(text) or "/" in text else None
    if last:
        return Reading("not_applicable", True)
    doubtful = _DOUBTFUL.get(text) or _DOUBTFUL.get(_PRONOUN.sub("", text))
    return Reading(doubtful, False) if doubtful else NO_REASON


def _by_phrase(text: str) -> str | None:
    """Return the reason of the phrase that a text begins with, if nothing follows, or a sign, or "or"."""
    if text in _DOUBTFUL and text not in _REASONS:
        return None
    if _NOT_ASKED.fullmatch(text):
        return "not_asked"
    found = _PHRASE.match(text) if text[:2] in _BEGINNINGS else None
    if not found or found[0] in _ABBREVIATED:
        return None
    rest = text[found.end() :]
    if not rest.strip(_OPEN) or _MORE.match(rest):
        return _REASONS[found[0]]
    other = _AND.fullmatch(rest)
    return _REASONS[found[0]] if other and _read_text(other[1]).reason else None


def _by_abbreviation(text: str) -> str | None:
    """Return the reason of the first of several abbreviations, or of the phrase that explains one in brackets."""
    if text in _ABBREVIATED:
        return None if text in _ONLY_BESIDE else _ABBREVIATED[text]
    if _FIRST_WORD.match(text)[0] not in _FIRST_OF_ABBREVIATIONS:  # type: ignore[index]
        return None
    inner = re.fullmatch(r"([\w/.]+)\s*\((.+)\)", text)
    if inner and inner[1] in _ABBREVIATED:
        return _read_text(inner[2]).reason
    parts = [part.strip(_OPEN) for part in _SPLIT.split(text)]
    if len(parts) < 2 or parts[0] not in _ABBREVIATED:
        return None
    known = [_ABBREVIATED.get(part) or _by_phrase(part) or _DOUBTFUL.get(part) or (part == "other" and part) for part in parts]
    return known[0] or None if all(known) else None
