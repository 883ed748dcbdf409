"""Labelled columns written to an SPSS or Stata file: missing codes declared, what does not fit told, never half a file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.questions import REASON_WORDS, Code
from surveysim.errors import ReadError, first_few
from surveysim.files.rawfile import is_tag
from surveysim.files.spss_weight import declare_weight
from surveysim.files.variable_names import written_names
from surveysim.whole_files import checked_target, write_whole

log = logging.getLogger(__name__)

WRITABLE = (".sav", ".zsav", ".dta")
TAG_ORDER = ("not_applicable", "refused", "dont_know", "no_answer", "not_asked", "other")  # .a to .f; the first four as the ESS
_STATA_LONG = 2_147_483_620  # the largest whole number that Stata labels
_LABEL_BYTES = {".sav": (255, 120), ".dta": (80, 32_000)}  # variable labels, value labels


@dataclass(frozen=True, eq=False)
class OutColumn:
    """A column to write.

    Attributes
    ----------
    name : str
    values : array, shape ``(rows,)``
        Numbers (empty cells NaN) or text; Stata's tagged missing values as ``".a"``.
    label : str
    value_labels : mapping of code to str
        Of valid codes.
    missing : mapping of code to reason
        Codes to declare missing.
    """

    name: str
    values: np.ndarray
    label: str = ""
    value_labels: Mapping[Code, str] = field(default_factory=dict)
    missing: Mapping[Code, str] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Whether the column holds text, beside tagged missing values."""
        found = pd.unique(self.values) if self.values.dtype == object else []
        return any(isinstance(code, str) and not is_tag(code) for code in (*found, *self.value_labels))


def write_columns(
    columns: Sequence[OutColumn],
    path: str | Path,
    *,
    title: str = "",
    weight: str = "",
    sets: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write columns to a .sav, .zsav or .dta file, under a temporary name first; what the format cannot hold is logged as a warning.

    An SPSS file declares the variable `weight`, so that SPSS weights the cases by it. Multiple-response `sets`, each with its variables,
    cannot be declared: the warning gives the command of SPSS.

    Raises
    ------
    ReadError
        If the extension is unknown, the folder does not exist, there are no rows, or SPSS cannot declare a column's missing codes.
    """
    import pyreadstat

    path = checked_target(path, WRITABLE)
    suffix = path.suffix.lower()
    if not columns or not len(columns[0].values):
        raise ReadError(f"nothing to write to {path.name}: no rows or no columns")
    kind = ".dta" if suffix == ".dta" else ".sav"
    columns, notes = _named(columns, kind)
    options, said = _stata(columns) if kind == ".dta" else _spss(columns)
    labels: dict[str, str | None] = {column.name: shorten(column.label, _LABEL_BYTES[kind][0]) for column in columns if column.label}
    cut = [column.name for column in columns if column.label != labels.get(column.name, "")]
    notes += [
        *said,
        *(_undeclared_sets(sets or {}) if kind == ".sav" else []),
        *([f"variable labels cut to {_LABEL_BYTES[kind][0]} bytes: {first_few(cut)}"] if cut else []),
    ]

    def write(place: Path) -> None:
        if kind == ".dta":
            pyreadstat.write_dta(dst_path=str(place), column_labels=labels, file_label=shorten(title, 80), **options)
        else:
            pyreadstat.write_sav(
                dst_path=str(place), column_labels=labels, file_label=shorten(title, 64), compress=suffix == ".zsav",
                row_compress=suffix == ".sav", **options,
            )  # fmt: skip
            if weight and not declare_weight(place, weight):
                notes.append(f"the weight is not declared: say WEIGHT BY {weight} in SPSS")

    try:
        written = write_whole(path, write)
    except (pyreadstat.PyreadstatError, pyreadstat.ReadstatError) as error:
        raise ReadError(f"{path.name} cannot be written: {error}") from error
    if notes:
        log.warning("%s: %s", path.name, "; ".join(notes))
    return written


def _undeclared_sets(sets: Mapping[str, Sequence[str]]) -> list[str]:
    """Say how SPSS declares multiple-response sets, which the program that writes its files cannot."""
    commands = [
        f"MRSETS /MDGROUP NAME=${name} VARIABLES={' '.join(written_names(list(variables), '.sav').values())} VALUE=<code of yes>"
        for name, variables in sets.items()
    ]
    return (
        [f"multiple-response sets are not declared, their variables are all there: say {first_few(commands)} in SPSS"] if commands else []
    )


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of bytes in UTF-8, between characters, and say so with an ellipsis."""
    if len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - 3].decode(errors="ignore").rstrip() + "…"


def _distinct_labels(labels: Mapping[Code, str], limit: int) -> tuple[dict[Code, str], bool]:
    """Return labels cut to a number of bytes, those that became alike told apart by their codes, and whether any was cut."""
    short = {code: shorten(label, limit) for code, label in labels.items()}
    whole = set(labels.values())
    alike = {label for label, times in Counter(short.values()).items() if times > 1 and label not in whole}
    for code, label in short.items():
        if label in alike:
            lead = f"{code:g} " if isinstance(code, float) else f"{code} "
            short[code] = lead + shorten(labels[code], limit - len(lead.encode()))
    return short, short != dict(labels)


def _named(columns: Sequence[OutColumn], kind: str) -> tuple[list[OutColumn], list[str]]:
    """Give columns the names that the format takes, the old ones as labels; and say so."""
    names = written_names([column.name for column in columns], kind)
    renamed = [f"{old!r} as {new!r}" for old, new in names.items() if old != new]
    program = "SPSS, or the program that writes its files," if kind == ".sav" else "Stata"
    notes = [f"{program} takes no such name: {first_few(renamed)}; name the variables so in the codebook"] if renamed else []
    labelled = [
        replace(column, name=names[column.name], label=_old_name(column) if names[column.name] != column.name else column.label)
        for column in columns
    ]
    return labelled, notes


def _old_name(column: OutColumn) -> str:
    return column.label if column.name in column.label else f"{column.name} {column.label}".strip()


def _spss(columns: Sequence[OutColumn]) -> tuple[dict[str, Any], list[str]]:
    data: dict[str, object] = {}
    labels: dict[str, dict[Code, str]] = {}
    ranges: dict[str, list[Any]] = {}
    cut, lost = [], []
    for column in map(_tags_to_numbers, columns):
        words = {**column.value_labels, **{code: REASON_WORDS[reason] for code, reason in column.missing.items()}}
        if column.is_text:
            data[column.name] = _text(column.values)
            ranges[column.name] = [str(code) for code in column.missing if _is_short(code)][:3]
            lost += _lost_text(column, words, ranges[column.name])
            words = {str(code): label for code, label in words.items() if _is_short(code) and str(code) != label}
        else:
            data[column.name] = column.values.astype(float)
            words = {float(code): label for code, label in words.items()}
            ranges[column.name] = missing_ranges(column)
        labels[column.name], shortened = _distinct_labels(words, _LABEL_BYTES[".sav"][1])
        cut += [column.name] * shortened
    notes = [f"SPSS holds value labels of {_LABEL_BYTES['.sav'][1]} bytes; cut, and kept distinct, in {first_few(cut)}"] if cut else []
    if lost:
        notes.append(
            "SPSS labels text codes, and declares up to three of them missing, of 8 bytes at most; these stay text without label or "
            f"declaration, which the codebook can still give: {first_few(lost)}"
        )
    options = {
        "df": pd.DataFrame(data),
        "variable_value_labels": {name: each for name, each in labels.items() if each},
        "missing_ranges": {name: each for name, each in ranges.items() if each},
    }
    return options, notes


def _lost_text(column: OutColumn, words: Mapping[Code, str], declared: Sequence[str]) -> list[str]:
    """Name a text column and its codes that SPSS cannot label or declare missing, if there are any."""
    undeclared = [code for code in column.missing if str(code) not in declared]
    unlabelled = [code for code, label in words.items() if not _is_short(code) and str(code) != label]
    lost = [repr(code) for code in dict.fromkeys([*undeclared, *unlabelled])]
    return [f"{column.name} ({first_few(lost)})"] if lost else []


def _tags_to_numbers(column: OutColumn) -> OutColumn:
    """SPSS has no tagged missing values: give each the codebook's number for its reason, or a free one that SPSS can declare beside."""
    tags = {code: reason for code, reason in column.missing.items() if is_tag(code)}
    if not tags or column.is_text:
        return column
    missing = {code: reason for code, reason in column.missing.items() if code not in tags}
    of_reason: dict[str, Code] = {}
    for code, reason in missing.items():
        of_reason.setdefault(reason, code)
    homeless = [reason for reason in dict.fromkeys(tags.values()) if reason not in of_reason]
    of_reason.update(zip(homeless, _free_numbers(column, missing, len(homeless)), strict=True))
    values = column.values.astype(object)
    for tag, reason in tags.items():
        values[column.values == tag] = of_reason[reason]
        missing[of_reason[reason]] = reason
    return replace(column, values=values.astype(float), missing=missing)


def _free_numbers(column: OutColumn, missing: Mapping[Code, str], n: int) -> list[int]:
    """Return numbers for reasons without one: -1 and on, else beside the missing codes there are, so that a range declares them all."""
    present = [float(value) for value in pd.unique(column.values) if not is_tag(value) and not pd.isna(value)]
    taken = {*present, *map(float, missing), *map(float, column.value_labels)}
    low, high = (int(edge(map(float, missing), default=0)) for edge in (min, max))
    lowest, highest = (int(edge(taken, default=0)) for edge in (min, max))
    runs = [count(-1, -1), count(low - 1, -1), count(high + 1), count(highest + 1), count(lowest - 1, -1)]
    tries = [list(islice((number for number in run if number not in taken), n)) for run in runs]
    plain = np.array([np.nan if is_tag(value) else value for value in column.values], dtype=float)
    for numbers in tries:
        declared: dict[Code, str] = {**missing, **dict.fromkeys(numbers, "other")}
        if _ranges(replace(column, values=plain, missing=declared), all_of_them=True) is not None:
            return numbers
    return tries[0]


def missing_ranges(column: OutColumn) -> list[Any]:
    """Return how SPSS declares a numeric column's missing codes: up to three codes, or a range and a code.

    Raises
    ------
    ReadError
        If that is not possible without declaring a valid code missing.
    """
    ranges = _ranges(column)
    if ranges is not None:
        return ranges
    declared = sorted({float(code) for code in column.missing})
    raise ReadError(
        f"variable {column.name!r}: SPSS declares three missing codes, or a range and one code; "
        f"{first_few(f'{code:g}' for code in declared)} are neither without a valid code among them; write .dta, or use fewer missing codes"
    )


def _ranges(column: OutColumn, *, all_of_them: bool = False) -> list[Any] | None:
    """Return the ranges, of the codes that occur where not of all; None where there are none."""
    present = {float(value) for value in np.unique(column.values[~np.isnan(column.values.astype(float))])}
    declared = sorted({float(code) for code in column.missing})
    valid = (present | {float(code) for code in column.value_labels}) - set(declared)
    for codes in (declared,) if all_of_them else (declared, [code for code in declared if code in present]):
        if len(codes) <= 3:
            return list(codes)
        for width in (len(codes), len(codes) - 1):
            for start in range(len(codes) - width + 1):
                low, high = codes[start], codes[start + width - 1]
                if not any(low <= code <= high for code in valid):
                    return [{"lo": low, "hi": high}, *(code for code in codes if not low <= code <= high)]
    return None


def _stata(columns: Sequence[OutColumn]) -> tuple[dict[str, Any], list[str]]:
    data: dict[str, object] = {}
    labels: dict[str, dict[Code, str]] = {}
    tags: dict[str, list[str]] = {}
    text, broken = [], []
    for column in columns:
        if column.is_text:
            data[column.name] = _text(column.values)
            text += [column.name] * any(str(code) != label for code, label in (*column.value_labels.items(), *column.missing.items()))
            continue
        data[column.name], used = _tagged(column)
        whole: dict[Code, str] = {int(code): label for code, label in column.value_labels.items() if _is_stata_code(code)}
        broken += [f"{column.name} ({code:g})" for code in column.value_labels if not _is_stata_code(code)]
        words: dict[Code, str] = {**whole, **{letter: REASON_WORDS[reason] for letter, reason in used.items()}}
        labels[column.name], _ = _distinct_labels(words, _LABEL_BYTES[".dta"][1])
        tags[column.name] = sorted(used)
    notes = [f"Stata labels whole numbers only; the codes stay without label in {first_few(broken)}; write .sav"] if broken else []
    if text:
        notes.append(f"Stata labels no text and declares none missing; the codes stay in {first_few(text)}; write .sav to keep labels")
    options = {
        "df": pd.DataFrame(data),
        "variable_value_labels": {name: each for name, each in labels.items() if each},
        "missing_user_values": {name: each for name, each in tags.items() if each},
    }
    return options, notes


def _is_stata_code(code: Code) -> bool:
    return float(code).is_integer() and abs(float(code)) <= _STATA_LONG


def _tagged(column: OutColumn) -> tuple[np.ndarray | pd.Categorical, dict[str, str]]:
    """Return values with letters for missing codes (one a reason; tags keep theirs), and letter -> reason of those used."""
    own = {code[1]: reason for code, reason in column.missing.items() if isinstance(code, str) and is_tag(code)}
    by_default = dict(zip(TAG_ORDER, "abcdef", strict=True))
    usual = {reason: letter for reason, letter in by_default.items() if own.get(letter, reason) == reason}
    usual.update({reason: letter for letter, reason in own.items()})
    free = (letter for letter in ascii_lowercase if letter not in own and letter not in usual.values())
    used: dict[str, str] = {}
    values = column.values.astype(object)
    for code, reason in column.missing.items():
        letter = code[1] if isinstance(code, str) else usual.get(reason) or usual.setdefault(reason, next(free))
        here = column.values == code
        if here.any():
            values[here], used[letter] = letter, reason
    return (_numbers_and_letters(values) if used else values.astype(float)), used


def _numbers_and_letters(values: np.ndarray) -> pd.Categorical:
    """Return numbers and letters as categories, numbers first: pyreadstat goes by the first ones, and takes letters for text."""
    places, found = pd.factorize(values)
    order = sorted(range(len(found)), key=lambda place: isinstance(found[place], str))
    categories = [code if isinstance(code, str) else float(code) for code in (found[place] for place in order)]
    if not all(isinstance(code, str) for code in categories):
        rank = np.argsort(np.array(order))
        return pd.Categorical.from_codes(np.append(rank, -1)[places], categories=pd.Index(categories, dtype=object))
    return pd.Categorical(values)


def _text(values: np.ndarray) -> np.ndarray:
    return np.array(["" if pd.isna(value) else str(value) for value in values], dtype=object)


def _is_short(code: Code) -> bool:
    """SPSS labels strings, and declares them missing, up to 8 bytes."""
    return len(str(code).encode()) <= 8
