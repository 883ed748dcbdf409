"""Synthetic release files: the names, codes, labels, encodings and missing codes of a release, and answers drawn at random.

They stand in for WVS, CGSS and CFPS releases, which may not be redistributed. No respondent is real, and each file says so in
its label. Made with pyreadstat and pandas alone, so that they are no mirror of the package's own writer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

import surveysim as ss
from surveysim.questions import Code

MARK = "SYNTHETIC: layout of {name}, random answers, no real respondent"
WORDS = {
    "en": {
        "refused": "Refused",
        "dont_know": "Don't know",
        "no_answer": "No answer",
        "not_applicable": "Not applicable",
        "not_asked": "Not asked",
        "other": "Missing; unknown",
    },
    "zh": {
        "refused": "拒绝回答",
        "dont_know": "不知道",
        "no_answer": "未回答",
        "not_applicable": "不适用",
        "not_asked": "未问",
        "other": "缺失",
    },
}
STATA_LABEL = 80  # bytes of a variable label in Stata's formats before 118


def release_frame(codebook: ss.Codebook, n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return random respondents with every variable that the codebook names; about one answer in seven is missing."""
    draw = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for trait in codebook.traits.values():
        columns.setdefault(trait.variable, draw.choice(_trait_values(codebook, trait), n))
        if isinstance(trait.subtract_from, str):
            columns.setdefault(trait.subtract_from, np.full(n, int(codebook.year[:4])))
    for question in codebook.questions.values():
        missing = [code for code in codebook.missing_codes(question) if not isinstance(code, str)] or [np.nan]
        columns[question.question_id] = np.where(draw.random(n) < 0.15, draw.choice(missing, n), draw.choice(question.codes, n))
    for weight in codebook.weights:
        columns[weight.variable] = draw.gamma(3, 0.4, n) + 0.1
    design = codebook.design
    columns |= {name: draw.integers(1, 6, n) for name in (design.stratum,) if name}
    columns |= {name: np.arange(n) % 40 for name in (design.psu,) if name}
    columns |= {name: np.full(n, codes[0]) for name, codes in codebook.wave.items()}
    for place, name in enumerate(codebook.respondent_id):
        columns.setdefault(name, np.arange(n) + 1 if place == len(codebook.respondent_id) - 1 else np.full(n, 7))
    return pd.DataFrame(columns)


def _trait_values(codebook: ss.Codebook, trait: ss.Trait) -> list[Code]:
    """Return values that some level holds, for every trait made of this variable."""
    same = [other for other in codebook.traits.values() if other.variable == trait.variable]
    common: set[Code] = set()
    for other in same:
        values: set[Code] = set()
        for level in other.levels:
            edges = () if level.range is None else (level.range[0], level.range[1] - (level.range[1] > 100) * (level.range[1] - 90))
            values |= {*level.codes, *(_born(other, codebook, age) for age in edges)}
        common = common & values if common else values
    return sorted(common, key=str)


def _born(trait: ss.Trait, codebook: ss.Codebook, age: float) -> int:
    if trait.subtract_from is None:
        return int(age)
    year = int(codebook.year[:4]) if isinstance(trait.subtract_from, str) else trait.subtract_from
    return int(year - age)


def release_labels(codebook: ss.Codebook, language: str = "en") -> tuple[dict[str, str], dict[str, dict[Code, str]]]:
    """Return variable labels and value labels as a release has them: options and missing codes."""
    worded = codebook.in_language(language) if any(question.translations for question in codebook.questions.values()) else codebook
    words = WORDS[language]
    variables = {question.question_id: question.label or question.text for question in worded.questions.values()}
    values = {
        question.question_id: {
            **{option.code: option.label for option in question.options},
            **{code: words[reason] for code, reason in codebook.missing_codes(question).items() if not isinstance(code, str)},
        }
        for question in worded.questions.values()
    }
    return variables, values


def write_sav(codebook: ss.Codebook, path: Path, *, rename: Callable[[str], str] = str, seed: int = 0) -> pd.DataFrame:
    """Write an SPSS release in UTF-8 with negative codes declared as a range; return its respondents."""
    frame = release_frame(codebook, seed=seed).rename(columns=rename)
    variables, values = release_labels(codebook)
    numeric = [rename(name) for name in values if pd.api.types.is_numeric_dtype(frame[rename(name)])]
    pyreadstat.write_sav(
        frame,
        str(path),
        file_label=MARK.format(name=codebook.name)[:64],
        column_labels={rename(name): label[:120] for name, label in variables.items()},
        variable_value_labels={rename(name): labels for name, labels in values.items() if rename(name) in numeric},
        missing_ranges={name: [{"lo": -10, "hi": -1}] for name in numeric},
    )
    return frame


def write_dta_gb18030(codebook: ss.Codebook, path: Path, *, rename: Callable[[str], str] = str, seed: int = 0) -> pd.DataFrame:
    """Write a Stata release (format 114) with Chinese text in GB18030 and no encoding declared, as CGSS and CFPS do.

    pandas writes this format in Latin-1: text is handed over with a character for each byte. Labels are cut at Stata's limit,
    some of them in the middle of a character.
    """
    frame = release_frame(codebook, seed=seed).rename(columns=rename)
    variables, values = release_labels(codebook, "zh")
    text = {name: frame[name].map(_bytewise) for name in frame if not pd.api.types.is_numeric_dtype(frame[name])}
    whole = [name for name in frame if name not in text and (frame[name].dropna() % 1 == 0).all() and frame[name].notna().all()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of labels beyond Latin-1, which these bytes are not
        frame.assign(**text).astype(dict.fromkeys(whole, "int32")).to_stata(
            path,
            version=114,
            write_index=False,
            data_label=MARK.format(name=codebook.name)[:80],
            variable_labels={rename(name): _bytewise(label)[:STATA_LABEL] for name, label in variables.items()},
            value_labels={
                rename(name): {code: _bytewise(label) for code, label in labels.items()}
                for name, labels in values.items()
                if rename(name) in whole
            },
        )
    return frame


def _bytewise(text: object) -> str:
    return str(text).encode("gb18030").decode("latin-1")


def relabel(path: Path, labels: dict[str, dict[Code, str]]) -> None:
    """Give variables of a .sav file other value labels."""
    frame, meta = pyreadstat.read_sav(str(path), user_missing=True)
    pyreadstat.write_sav(frame, str(path), variable_value_labels={**meta.variable_value_labels, **labels})


def portable(path: Path, columns: dict[str, list[float]], missing: dict[str, str], labels: dict[str, dict[int, str]]) -> None:
    """Write an SPSS portable file; `missing` holds records such as ``"82H/"`` (77 alone) in the format's base-30 digits."""
    pyreadstat.write_por(pd.DataFrame(columns), str(path))
    text = "".join(line.ljust(80) for line in path.read_bytes().decode("latin-1").splitlines())
    for name, records in missing.items():
        variable = text.index(f"/{name}5/") if f"/{name}5/" in text else text.index(f"/{name}")
        formats = variable + len(name) + 1
        for _ in range(6):  # a variable's record ends with six numbers: its print and write formats
            formats = text.index("/", formats) + 1
        text = text[:formats] + records + text[formats:]
    body = text.index("F", max(text.rindex(f"/{name}") for name in columns))
    written = "".join(
        f"D1/{len(name)}/{name}{_base30(len(each))}/" + "".join(f"{_base30(code)}/{_base30(len(word))}/{word}" for code, word in each.items())
        for name, each in labels.items()
    )
    text = text[:body] + written + text[body:]
    path.write_bytes("\r\n".join(text[start : start + 80] for start in range(0, len(text), 80)).encode("latin-1"))


def _base30(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRST"
    return digits[number] if number < 30 else _base30(number // 30) + digits[number % 30]


def counts(values: Iterable[object]) -> dict[object, int]:
    """Return value -> how often it occurs."""
    return pd.Series(list(values)).value_counts().to_dict()
