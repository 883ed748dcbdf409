"""Why a cell holds no valid answer: codebook, declared codes, tagged missing values and value labels merged into one state.

What the codebook says comes first (an option is an option, whatever the file declares), then its missing codes, then what
the file declares missing, then a value label that names a missing answer. A code that none of them knows is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from surveysim.codebook.questions import MISSING_REASONS, Code
from surveysim.files.csv_parquet import EMPTY_WORDS
from surveysim.files.rawfile import Column, Variable, is_tag

_REASONS = pd.CategoricalDtype(list(MISSING_REASONS))
VALID, UNKNOWN, EMPTY = -1, -2, -3  # states beside positions in MISSING_REASONS

_PATTERNS = {
    "refused": r"refus(al|ed|e)?( to (answer|say|respond))?|(r )?declined( to (answer|say))?|prefer(s|red)? not to (answer|say)"
    r"|rf|a refus[ée]|refus de r[ée]pondre|ne veut pas r[ée]pondre|verweigert|antwort verweigert|rehusa|no quiere contestar|vil ikke svare"
    r"|拒绝回答|拒答|拒绝|不愿回答|不愿意回答",
    "dont_know": r"(do not|don'?t|does not|doesn'?t|did not|didn'?t) know( (enough|yet|exactly)( .*)?)?|dk"
    r"|(can'?t|cannot|can not) (say|choose)|unable to (say|choose)|ne sai[st] pas|nsp|wei(ß|ss) nicht|no sabe|vet ikke"
    r"|不知道|不清楚|无法选择|无法判断|无法回答|说不清楚?|不好说",
    "no_answer": r"no answer|na|not (ascertained|stated|answered)|no response|did not answer|non[- ]response|blank|left blank"
    r"|sans r[ée]ponse|keine angabe|no contesta|no responde|ubesvart|未回答|未填答?|无应答|没有回答|不回答|漏答",
    "not_applicable": r"(not|non) applicable|inapplicable|inap|iap|n/a|n\.a\.?|does not apply|valid skip|legitimate skip|skipped"
    r"|not in universe|question does not apply|sans objet|trifft nicht zu|no aplica|ikke relevant|不适用",
    "not_asked": r"not asked( .*)?|question not asked|not (included|fielded|available) in (this )?(survey|country|wave|year|form)( .*)?"
    r"|not in (the )?(survey|questionnaire)|未问|未提问|没有询问",
}
_RECOGNISE = {reason: re.compile(rf"(?:{pattern})(?:\s*[,;:/(（].*)?") for reason, pattern in _PATTERNS.items()}
_LEAD = re.compile(r"^\s*(\[[^\]]*\])?\s*([-−]?\d+\s*[.):=\-]?)?\s*")  # "-9. Refused", "98 = Don't know", "[DO NOT READ] Don't know"


@lru_cache(maxsize=4096)
def reason_from_label(label: str) -> str | None:
    """Return the reason that a value label names, or None where it names none.

    Examples
    --------
    >>> from surveysim.survey.reasons import reason_from_label
    >>> [reason_from_label(label) for label in ("Refusal", "-8. Don't know", "IAP", "拒绝回答", "Refuse to pay taxes")]
    ['refused', 'dont_know', 'not_applicable', 'refused', None]
    """
    text = _LEAD.sub("", label.replace("’", "'").casefold()).strip(" .*[]<>'\"")
    text = re.sub(r"\s+", " ", text)
    for reason, pattern in _RECOGNISE.items():
        if pattern.fullmatch(text):
            return reason
    return None


@dataclass(frozen=True, eq=False)
class States:
    """The cells of one column, each with its state.

    Attributes
    ----------
    codes : array, shape ``(distinct,)``
        Distinct values in order of appearance, as the codebook writes them where it knows them.
    state : int array, shape ``(distinct,)``
        `VALID`, `UNKNOWN`, or a position in `MISSING_REASONS`.
    positions : int array, shape ``(respondents,)``
        Which of `codes` each cell holds; -1 where it is empty.
    """

    codes: np.ndarray
    state: np.ndarray
    positions: np.ndarray

    @cached_property
    def has_empty(self) -> bool:
        """Whether any cell is empty."""
        return bool((self.positions < 0).any())

    def each(self, items: np.ndarray, empty: object) -> np.ndarray:
        """Return the item of each cell's value, shape ``(respondents,)``, of items in the order of `codes`; `empty` where it is empty."""
        if self.has_empty:
            items = np.append(items, np.array([empty], dtype=items.dtype))  # the last one, so that position -1 takes it
        return items.take(self.positions)

    def reasons(self, empty: str) -> pd.Categorical:
        """Return each cell's reason: missing where its state is `VALID`, `empty` where the cell is empty."""
        return pd.Categorical.from_codes(self.each(self.state, MISSING_REASONS.index(empty)), dtype=_REASONS, validate=False)

    def unknown(self) -> dict[Code, int]:
        """Return code -> number of cells, over the codes that nobody knows."""
        if not (self.state == UNKNOWN).any():
            return {}
        counts = np.bincount(self.positions[self.positions >= 0], minlength=len(self.codes))
        found: dict[Code, int] = {}
        for place in np.flatnonzero((self.state == UNKNOWN) & (counts > 0)):
            found[self.codes[place]] = found.get(self.codes[place], 0) + int(counts[place])
        return found


def states(values: Column, valid: Iterable[Code], missing: Mapping[Code, str], variable: Variable) -> States:
    """Say of every distinct value of a column whether it is valid, why it is missing, or that nobody knows it.

    Parameters
    ----------
    values : array, shape ``(respondents,)``
    valid : iterable of codes
    missing : mapping of code to reason
        What the codebook says of this column; comes before what the file says.
    variable : Variable
        What the file says.
    """
    positions, codes = distinct_codes(values)
    options = {comparable(code): code for code in valid}
    state = np.full(len(codes), UNKNOWN, dtype=np.int8)
    undecided = []
    for place, code in enumerate(codes):
        known = options.get(comparable(code))
        if known is None:
            undecided.append(place)
        else:
            state[place], codes[place] = VALID, known
    if undecided:
        state[undecided] = _missing_states(codes[undecided], missing, variable)
    unknown = [place for place in undecided if state[place] == UNKNOWN]
    blank = [place for place in unknown if isinstance(codes[place], str) and codes[place].strip() in EMPTY_WORDS]
    state[blank] = EMPTY
    return States(codes, state, np.where(np.isin(positions, blank), -1, positions) if blank else positions)


def _missing_states(codes: np.ndarray, missing: Mapping[Code, str], variable: Variable) -> list[int]:
    """Return the state of codes that are no valid answers: a position in `MISSING_REASONS`, or `UNKNOWN`."""
    named = {comparable(code): reason for code, reason in missing.items()}
    reasons = [named_reason(comparable(code), named) for code in codes]
    if None in reasons:
        labels = {comparable(code): label for code, label in variable.value_labels.items()}
        for place, code in enumerate(codes):
            reasons[place] = reasons[place] or _file_reason(code, labels.get(comparable(code)), variable)
    return [UNKNOWN if reason is None else MISSING_REASONS.index(reason) for reason in reasons]


def distinct_codes(values: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each cell's value among the distinct ones (-1 where empty), and these as an object array."""
    if isinstance(values, pd.Categorical):
        return values.codes.astype(np.intp), np.array(list(values.categories), dtype=object)
    positions, uniques = pd.factorize(values, use_na_sentinel=True)
    plain_numbers = isinstance(uniques, np.ndarray) and uniques.dtype.kind in "iufb"
    return positions, np.array(uniques.tolist() if plain_numbers else list(uniques), dtype=object)


def comparable(code: Code) -> Code:
    """Return what two spellings of a code have in common: 1, 1.0 and "1" are one code, "01" is another."""
    return _number_or_text(code) if isinstance(code, str) else code


@lru_cache(maxsize=4096)
def _number_or_text(written: str) -> Code:
    text = written.strip()
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", text) else text


def named_reason(key: Code, named: Mapping[Code, str]) -> str | None:
    """Look a code up among comparable ones; a codebook writes Stata's ``.a`` as ``".a"`` or ``"a"``."""
    return named.get(str(key)[1]) if is_tag(key) and key not in named else named.get(key)


def _file_reason(code: Code, label: str | None, variable: Variable) -> str | None:
    guessed = reason_from_label(label) if label else None
    return guessed or ("other" if variable.declares_missing(code) else None)
