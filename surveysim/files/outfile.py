"""Labelled columns written to an SPSS or Stata file: names checked, missing codes declared, never half a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.questions import Code
from surveysim.errors import ReadError, first_few
from surveysim.files.rawfile import is_tag, refuse_case_twins
from surveysim.whole_files import checked_target, write_whole

WRITABLE = (".sav", ".zsav", ".dta")
REASON_WORDS = {
    "refused": "Refused",
    "dont_know": "Don't know",
    "no_answer": "No answer",
    "not_applicable": "Not applicable",
    "not_asked": "Not asked",
    "other": "Other missing",
}
_TAG_ORDER = ("not_applicable", "refused", "dont_know", "no_answer", "not_asked", "other")  # .a to .f; the first four as the ESS
# Names: IBM SPSS Statistics, "Variable names"; Stata User's Guide [U] 11.3. Lengths: SPSS in bytes, Stata in characters.
_SPSS_WORDS = "all and by eq ge gt le lt ne not or to with"
_STATA_WORDS = "_all _b byte _coef _cons double float if in int long _n _N _pi _pred _rc _skip strL using with"
_NAMES = {
    ".sav": (re.compile(r"([^\W\d_]|[@#$])[\w.$#@]*(?<!\.)"), 64, frozenset(_SPSS_WORDS.split())),
    ".dta": (re.compile(r"[^\W\d]\w*"), 32, frozenset(_STATA_WORDS.split())),
}
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


def write_columns(columns: Sequence[OutColumn], path: str | Path, *, title: str = "") -> Path:
    """Write columns to a .sav, .zsav or .dta file, under a temporary name first.

    Raises
    ------
    ReadError
        If the extension is unknown, the folder does not exist, there are no rows, a name is not allowed in the format, or
        SPSS cannot declare a column's missing codes.
    CodebookError
        If two names differ by case only.
    """
    import pyreadstat

    path = checked_target(path, WRITABLE)
    suffix = path.suffix.lower()
    if not columns or not len(columns[0].values):
        raise ReadError(f"nothing to write to {path.name}: no rows or no columns")
    kind = ".dta" if suffix == ".dta" else ".sav"
    refuse_case_twins([column.name for column in columns], path.name)
    _check_names([column.name for column in columns], kind, path.name)
    options = _stata(columns) if kind == ".dta" else _spss(columns)
    labels: dict[str, str | None] = {column.name: shorten(column.label, _LABEL_BYTES[kind][0]) for column in columns if column.label}

    def write(place: Path) -> None:
        if kind == ".dta":
            pyreadstat.write_dta(dst_path=str(place), column_labels=labels, file_label=shorten(title, 80), **options)
        else:
            pyreadstat.write_sav(
                dst_path=str(place), column_labels=labels, file_label=shorten(title, 64), compress=suffix == ".zsav",
                row_compress=suffix == ".sav", **options,
            )  # fmt: skip

    try:
        return write_whole(path, write)
    except (pyreadstat.PyreadstatError, pyreadstat.ReadstatError) as error:
        raise ReadError(f"{path.name} cannot be written: {error}") from error


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of bytes in UTF-8, between characters, and say so with an ellipsis."""
    if len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - 3].decode(errors="ignore").rstrip() + "…"


def _check_names(names: Sequence[str], kind: str, source: str) -> None:
    pattern, longest, reserved = _NAMES[kind]
    bad = [
        name
        for name in names
        if not pattern.fullmatch(name)
        or len(name.encode() if kind == ".sav" else name) > longest
        or (name.lower() if kind == ".sav" else name) in reserved
    ]
    if bad:
        allowed = "letters, digits, _ . $ # @" if kind == ".sav" else "letters, digits and _"
        raise ReadError(
            f"{source}: {'SPSS' if kind == '.sav' else 'Stata'} allows no variable called {first_few(map(repr, bad))}; names start with a "
            f"letter, hold {allowed}, at most {longest} characters, and are no word of its language: rename them"
            + ("" if kind == ".sav" else ", or write .sav, which allows dots")
        )


def _spss(columns: Sequence[OutColumn]) -> dict[str, Any]:
    data: dict[str, object] = {}
    labels: dict[str, dict[Code, str]] = {}
    ranges: dict[str, list[Any]] = {}
    for column in map(_tags_to_numbers, columns):
        words = {**column.value_labels, **{code: REASON_WORDS[reason] for code, reason in column.missing.items()}}
        if column.is_text:
            data[column.name] = _text(column.values)
            words = {str(code): label for code, label in words.items() if _is_short(code) and str(code) != label}
            ranges[column.name] = [str(code) for code in column.missing if _is_short(code)][:3]
        else:
            data[column.name] = column.values.astype(float)
            words = {float(code): label for code, label in words.items()}
            ranges[column.name] = missing_ranges(column)
        labels[column.name] = {code: shorten(label, _LABEL_BYTES[".sav"][1]) for code, label in words.items()}
    return {
        "df": pd.DataFrame(data),
        "variable_value_labels": {name: each for name, each in labels.items() if each},
        "missing_ranges": {name: each for name, each in ranges.items() if each},
    }


def _tags_to_numbers(column: OutColumn) -> OutColumn:
    """SPSS has no tagged missing values: give each the codebook's number for its reason, or a negative one of its own."""
    tags = {code: reason for code, reason in column.missing.items() if is_tag(code)}
    if not tags or column.is_text:
        return column
    missing = {code: reason for code, reason in column.missing.items() if code not in tags}
    values = column.values.astype(object)
    for tag, reason in tags.items():
        same = [code for code, other in missing.items() if other == reason]
        free = (-place for place in range(1, 1000) if -place not in missing and -place not in column.value_labels)
        code = same[0] if same else next(free)
        missing[code] = reason
        values[column.values == tag] = code
    return replace(column, values=values.astype(float), missing=missing)


def missing_ranges(column: OutColumn) -> list[Any]:
    """Return how SPSS declares a numeric column's missing codes: up to three codes, or a range and a code.

    Raises
    ------
    ReadError
        If that is not possible without declaring a valid code missing.
    """
    present = {float(value) for value in np.unique(column.values[~np.isnan(column.values.astype(float))])}
    declared = sorted({float(code) for code in column.missing})
    valid = (present | {float(code) for code in column.value_labels}) - set(declared)
    for codes in (declared, [code for code in declared if code in present]):
        if len(codes) <= 3:
            return list(codes)
        for width in (len(codes), len(codes) - 1):
            for start in range(len(codes) - width + 1):
                low, high = codes[start], codes[start + width - 1]
                if not any(low <= code <= high for code in valid):
                    return [{"lo": low, "hi": high}, *(code for code in codes if not low <= code <= high)]
    raise ReadError(
        f"variable {column.name!r}: SPSS declares three missing codes, or a range and one code; "
        f"{first_few(f'{code:g}' for code in declared)} are neither without a valid code among them; write .dta, or use fewer missing codes"
    )


def _stata(columns: Sequence[OutColumn]) -> dict[str, Any]:
    data: dict[str, object] = {}
    labels: dict[str, dict[Code, str]] = {}
    tags: dict[str, list[str]] = {}
    for column in columns:
        if column.is_text:
            data[column.name] = _text(column.values)
            continue
        data[column.name], used = _tagged(column)
        valid: dict[Code, str] = {int(code): label for code, label in column.value_labels.items() if float(code).is_integer()}
        words = dict(valid)
        words.update({letter: REASON_WORDS[reason] for letter, reason in used.items()})
        labels[column.name] = {code: shorten(label, _LABEL_BYTES[".dta"][1]) for code, label in words.items()}
        tags[column.name] = sorted(used)
    return {
        "df": pd.DataFrame(data),
        "variable_value_labels": {name: each for name, each in labels.items() if each},
        "missing_user_values": {name: each for name, each in tags.items() if each},
    }


def _tagged(column: OutColumn) -> tuple[np.ndarray, dict[str, str]]:
    """Return values with letters for missing codes (one a reason; tags keep theirs), and letter -> reason of those used."""
    own = {code[1]: reason for code, reason in column.missing.items() if isinstance(code, str) and is_tag(code)}
    by_default = dict(zip(_TAG_ORDER, "abcdef", strict=True))
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
    plain = np.array([value if isinstance(value, str) else float(value) for value in values], dtype=object)
    return (plain if used else plain.astype(float)), used


def _text(values: np.ndarray) -> np.ndarray:
    return np.array(["" if pd.isna(value) else str(value) for value in values], dtype=object)


def _is_short(code: Code) -> bool:
    """SPSS labels strings, and declares them missing, up to 8 bytes."""
    return len(str(code).encode()) <= 8
