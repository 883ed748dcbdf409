"""Release files made up for the tests: WVS 7, CGSS and CFPS in the layout that their codebooks declare.

Names (and their case), codes, value labels, missing codes, weights and design variables are the release's; the answers are
planted. No row is a respondent: the label of every file says so, and the files are written to a temporary folder only.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

import surveysim as ss
from surveysim.codebook.codebook import Code, Question, Trait

FILE_LABEL = "SYNTHETIC: made up for a test, no row is a respondent"
LABEL_BYTES = 80  # longest variable label in Stata 13 and, for Chinese, in the releases
ACUTE = "\x02"  # stands for the acute accent until the file is turned into Latin-1
MISSING_LABELS = {
    "en": {
        "dont_know": f"Don{ACUTE}t know",
        "no_answer": "No answer",
        "not_applicable": "Not applicable",
        "not_asked": "Not asked",
        "other": "Missing; Unknown",
    },
    "zh": {"dont_know": "不知道", "refused": "拒绝回答", "not_applicable": "不适用", "other": "缺失"},
}
WEIGHTS = (0.5, 1.0, 1.5, 2.0)  # sums of these are exact


@dataclass(frozen=True, eq=False)
class Release:
    """A file to be: its columns, and what was planted in them.

    Attributes
    ----------
    codebook : Codebook
    frame : DataFrame
        Columns under the names of the release, codes as there; NaN is system-missing.
    levels : DataFrame
        The planted level of each trait, None where there is none.
    counts : mapping of question to mapping of code (or None) to number of respondents
        Over the respondents that have a weight.
    """

    codebook: ss.Codebook
    frame: pd.DataFrame
    levels: pd.DataFrame
    counts: dict[str, dict[Code | None, int]]

    @property
    def weighted(self) -> np.ndarray:
        """Whether each row has the default weight."""
        return self.weight.notna().to_numpy()

    @property
    def weight(self) -> pd.Series:
        """The default weight: its variable, or the product that stands for it."""
        return self.frame[self.codebook.weights[0].variable]


def make_release(name: str, *, people: int = 600, without_weight: int = 0, under_age: int = 0, seed: int = 1) -> Release:
    """Make up a release.

    Parameters
    ----------
    name : str
        A codebook that ships.
    people : int
        Respondents with a weight.
    without_weight : int
        Further rows whose weights are system-missing.
    under_age : int
        Rows, among `people`, aged 10 where the release has an age.
    """
    codebook = ss.load_codebook(name)
    generator = np.random.default_rng(seed)
    rows = people + without_weight
    columns: dict[str, np.ndarray] = {codebook.respondent_id[0]: np.arange(1, rows + 1)}
    levels: dict[str, list[str | None]] = {}
    for variable, traits in _by_variable(codebook).items():
        pool = _values(traits, codebook)
        columns[variable] = np.array(pool, dtype=object)[generator.permutation(np.arange(rows) % len(pool))]
        if traits[0].name == "age3":
            columns[variable][:under_age] = 10
        levels |= {trait.name: [_level(trait, value) for value in columns[variable]] for trait in traits}
    columns |= _survey_columns(codebook, rows, without_weight, generator)
    counts = {}
    for place, question in enumerate(codebook.questions.values()):
        counts[question.question_id] = planted = _planted(question, codebook, people, place)
        answers = generator.permutation(np.repeat(np.array(list(planted), dtype=object), list(planted.values())))
        columns[question.question_id] = np.concatenate([answers, np.full(without_weight, question.codes[0], dtype=object)])
    frame = pd.DataFrame({column: pd.Series(list(values)) for column, values in columns.items()})
    return Release(codebook, frame, pd.DataFrame(levels, dtype=object), counts)


def _by_variable(codebook: ss.Codebook) -> dict[str, list[Trait]]:
    found: dict[str, list[Trait]] = {}
    for trait in codebook.traits.values():
        found.setdefault(trait.variable, []).append(trait)
    return found


def _values(traits: Iterable[Trait], codebook: ss.Codebook) -> list[Code]:
    """Return every code, both ends of every range, and missing codes of one variable."""
    found: dict[Code, None] = {}
    for trait in traits:
        for level in trait.levels:
            ends = [] if level.range is None else [int(level.range[0]), int(level.range[1])]
            found |= dict.fromkeys([*level.codes, *[_number(trait, end) for end in ends]])
        found |= dict.fromkeys(code for code in {**codebook.missing, **trait.missing} if not isinstance(code, str))
    if any(isinstance(code, str) for code in found):
        return [code for code in found if isinstance(code, str)]
    return list(found)


def _number(trait: Trait, value: float) -> float:
    """Turn a year of birth into an age, or an age into a year of birth; leave any other number alone."""
    return int(trait.subtract_from) - value if trait.subtract_from else value


def _level(trait: Trait, value: Code) -> str | None:
    for level in trait.levels:
        if value in level.codes:
            return level.name
        if level.range is not None and not isinstance(value, str) and level.range[0] <= _number(trait, value) <= level.range[1]:
            return level.name
    return None


def _survey_columns(codebook: ss.Codebook, rows: int, without_weight: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Return weights, design variables and the variables that tell the wave."""
    names = [part for weight in codebook.weights for part in weight.product_of or (weight.variable,)]
    found: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(names):
        found[name] = generator.choice(WEIGHTS, rows)
        found[name][rows - without_weight :] = np.nan
    place = np.arange(rows)
    if codebook.design.stratum:
        found[codebook.design.stratum] = place % 6 + 1
    if codebook.design.psu:
        found[codebook.design.psu] = (place % 6 + 1) * 10 + place // 6 % 4
    return found | {name: np.full(rows, codes[0]) for name, codes in codebook.wave.items()}


def _planted(question: Question, codebook: ss.Codebook, people: int, place: int) -> dict[Code | None, int]:
    """Return how many respondents give each option, each missing code and nothing at all; another pattern per question."""
    missing = [code for code in codebook.missing_codes(question) if not isinstance(code, str)]
    shares = np.roll(np.arange(2, 2 + len(question.codes)), place)
    parts = np.concatenate([shares, np.full(len(missing) + 1, 0.5)])
    counts = np.floor(people * parts / parts.sum()).astype(int)
    counts[0] += people - counts.sum()
    return dict(zip([*question.codes, *missing, None], counts.tolist(), strict=True))


def value_labels(release: Release) -> dict[str, dict[Code, str]]:
    """Return value labels of the file, in the language of the release."""
    codebook = release.codebook
    language = "zh" if codebook.country == "China" else "en"
    words = MISSING_LABELS[language]
    found: dict[str, dict[Code, str]] = {}
    for name, question in codebook.questions.items():
        labels = question.translations["zh"]["options"] if language == "zh" else question.labels
        found[name] = dict(zip(question.codes, labels, strict=True))
        found[name] |= {code: words[why] for code, why in codebook.missing_codes(question).items() if not isinstance(code, str)}
    for trait in codebook.traits.values():
        coded = {code: level for level in trait.levels for code in level.codes if not isinstance(code, str)}
        labels_of = {code: level.translations.get(language, level.name) for code, level in coded.items()}
        found[trait.variable] = {**found.get(trait.variable, {}), **labels_of}
    return {name: labels for name, labels in found.items() if labels}


def column_labels(release: Release) -> dict[str, str]:
    """Return variable labels, cut at `LABEL_BYTES` like those of the releases."""
    questions = release.codebook.questions
    texts = {name: question.label or question.text for name, question in questions.items()}
    texts |= {trait.variable: trait.label or name for name, trait in release.codebook.traits.items()}
    return {name: text.encode()[:LABEL_BYTES].decode(errors="ignore") for name, text in texts.items() if name in release.frame}


def write_spss(release: Release, path: Path, *, latin1: bool = False) -> Path:
    """Write a .sav file; negative codes are declared missing, and `latin1` makes it one byte a letter."""
    frame = release.frame
    negative = {name: [{"lo": -10, "hi": -1}] for name in frame if pd.api.types.is_numeric_dtype(frame[name]) and (frame[name] < 0).any()}
    options = {"variable_value_labels": value_labels(release), "column_labels": column_labels(release), "missing_ranges": negative}
    pyreadstat.write_sav(frame, str(path), file_label=FILE_LABEL, **options)
    if latin1:
        path.write_bytes(_as_latin1(path.read_bytes()))
    return path


def _as_latin1(content: bytes) -> bytes:
    """Declare ISO-8859-1 in both records that name an encoding, and put the accent in."""
    name, number = struct.pack("<iiii", 7, 20, 1, 5) + b"UTF-8", struct.pack("<iiii", 7, 3, 4, 8)
    start = content.index(number) + 16 + 28  # the eighth integer is the character code
    content = content[:start] + struct.pack("<i", 28591) + content[start + 4 :]
    content = content.replace(name, struct.pack("<iiii", 7, 20, 1, 10) + b"ISO-8859-1", 1)
    return content.replace(b"Don\x02t", b"Don\xb4t")


def write_stata(release: Release, path: Path, *, encoding: str = "utf-8") -> Path:
    """Write a .dta file: Stata 15 in UTF-8, or Stata 13, which names no encoding, in another one."""
    version = 15 if encoding == "utf-8" else 13
    labels, columns = value_labels(release), column_labels(release)
    options = {"variable_value_labels": labels, "column_labels": columns, "version": version}
    pyreadstat.write_dta(release.frame, str(path), file_label=FILE_LABEL, **options)
    if encoding != "utf-8":
        texts = {*columns.values(), *(label for of_code in labels.values() for label in of_code.values())}
        texts |= {value for name in release.frame for value in release.frame[name] if isinstance(value, str)}
        path.write_bytes(_encoded(path.read_bytes(), texts, encoding))
    return path


def _encoded(content: bytes, texts: Iterable[str], encoding: str) -> bytes:
    """Put each text, longest first, into another encoding; what it no longer fills is zero, as in Stata's fixed fields."""
    for text in sorted((text for text in texts if not text.isascii()), key=len, reverse=True):
        old = text.encode()
        content = content.replace(old, text.encode(encoding).ljust(len(old), b"\0"))
    return content


def planted_reasons(release: Release, question: str) -> dict[str, int]:
    """Return reason -> number of respondents planted without a valid answer."""
    codebook = release.codebook
    missing = codebook.missing_codes(codebook.question(question))
    found: Counter[str] = Counter()
    for code, number in release.counts[question].items():
        if code is None or code in missing:
            found[codebook.system_missing if code is None else missing[code]] += number
    return {reason: number for reason, number in found.items() if number}
