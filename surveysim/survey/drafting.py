"""A first codebook drafted from a labelled file's own metadata, for the user to finish."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import RESERVED
from surveysim.codebook.questions import MISSING_REASONS, Code
from surveysim.errors import CodebookError, ReadError
from surveysim.files.rawfile import Variable, is_tag
from surveysim.files.readers import LABELLED, file_suffix, read_columns
from surveysim.survey.missing_labels import reason_from_label
from surveysim.survey.reasons import UNKNOWN, comparable, states
from surveysim.tables.names import known_names_of
from surveysim.whole_files import write_whole

MOST_OPTIONS = 12  # a variable with more labelled codes is rather a list (occupations, regions) than a question
_WEIGHT = re.compile(r"\bweight(s|ing)?\b|\bwgt\b|权重|加权", re.IGNORECASE)
_NOT_WEIGHT = re.compile(r"\b(kg|kilo\w*|pounds?|lbs?|body)\b|体重", re.IGNORECASE)
_WORDS_OF_GENDER = {
    "a man": {"male", "man", "men", "m", "男", "男性"},
    "a woman": {"female", "woman", "women", "f", "w", "女", "女性"},
}
_AGE = re.compile(r"^age\b|\bage of respondent\b|\brespondent'?s age\b|年龄", re.IGNORECASE)
_AGE_NAMES = {"age", "agea", "ppage", "q262", "rage"}
_AGE_EDGES = (18, 35, 55)


@dataclass(frozen=True, eq=False)
class _Draft:
    """One variable as it would stand in a codebook: valid answers, and missing codes with their reason."""

    name: str
    variable: Variable
    options: dict[Code, str]
    labelled: bool
    missing: dict[Code, str]
    values: pd.Series

    @property
    def is_question(self) -> bool:
        distinct = len(set(self.options.values())) == len(self.options)
        return 2 <= len(self.options) <= MOST_OPTIONS and distinct and self.name not in RESERVED

    @property
    def is_weight(self) -> bool:
        said = self.name + " " + self.variable.label
        numbers = pd.api.types.is_float_dtype(self.values.dtype) and bool((self.values.dropna() >= 0).all())
        return numbers and not self.options and bool(_WEIGHT.search(said.replace("_", " "))) and not _NOT_WEIGHT.search(said)

    @property
    def is_age(self) -> bool:
        named = self.name.lower() in _AGE_NAMES or bool(_AGE.search(self.variable.label))
        return named and not self.labelled and self.numbers.nunique() > MOST_OPTIONS

    @property
    def numbers(self) -> pd.Series:
        return pd.to_numeric(self.values.astype(object), errors="coerce")

    @property
    def genders(self) -> dict[Code, str]:
        """Code -> "a man" or "a woman", empty unless these are the options."""
        found = {
            code: text for code, label in self.options.items() for text, words in _WORDS_OF_GENDER.items() if label.casefold() in words
        }
        return found if len(self.options) == 2 and len(set(found.values())) == 2 else {}


def draft_codebook(
    path: str | Path, output: str | Path | None = None, *, traits: str | Sequence[str] = (), encoding: str | None = None
) -> Path:
    """Write a first codebook from a labelled file's own metadata, for you to finish.

    Every variable with 2 to 12 labelled answers becomes a question: its wording is the variable's label and has to be replaced
    by the questionnaire's; it says ``verified = false`` until then. Variables that look like weights, sex and age become
    weights and traits, and so do those named in `traits`, with a level for each labelled answer. Declared missing codes and
    labels such as "Refused" become missing codes with their reason.

    Parameters
    ----------
    path : str or Path
        A .sav, .zsav, .dta or .por file.
    output : str or Path, optional
        The .toml file to write; default one beside the working directory's files, named after `path`.
    traits : str or sequence of str, optional
        Further variables that make the backgrounds (education, region), in the order in which prompts name them.
    encoding : str, optional
        As in `read_survey`.

    Returns
    -------
    Path
        The codebook; `load_codebook` reads it as it is.

    Raises
    ------
    ReadError
        If the format has no labels, or the file cannot be read.
    CodebookError
        If `output` exists already or is no .toml file, no variable has labelled answers, or one of `traits` is not in the file
        or has none.

    Examples
    --------
    >>> import tempfile
    >>> from importlib.resources import files
    >>> from pathlib import Path
    >>> import surveysim as ss
    >>> release = files("surveysim") / "data" / "nonvoters2020.sav"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draft = ss.load_codebook(ss.draft_codebook(release, Path(folder) / "mine.toml", traits=["educ"]))
    >>> draft.question("Q8_8").codes, draft.question("Q8_8").verified, draft.weights[0].variable
    ((1, 2, 3, 4), False, 'weight')
    >>> list(draft.traits), draft.trait("educ").levels[0].text
    (['gender', 'age', 'educ'], 'whose educ is High school or less')
    """
    path = Path(path)
    target = Path(f"{_stem(path)}.toml") if output is None else Path(output)
    if target.suffix != ".toml":
        raise CodebookError(f"output={str(target)!r}: a codebook's name ends in .toml")
    if target.exists():
        raise CodebookError(f"{str(target)!r} exists already; name another output=, or remove it first")
    if path.is_file() and file_suffix(path) not in LABELLED:
        raise ReadError(f"{path.name} carries no labels to draft a codebook from; use a {', '.join(LABELLED)} file")
    drafts = list(_drafts(path, encoding))
    named = _named(drafts, traits, path.name)
    questions = [draft for draft in drafts if draft.is_question and not draft.genders and draft not in named]
    if not questions:
        raise CodebookError(f"{path.name}: no variable has 2 to {MOST_OPTIONS} labelled answers; write the codebook by hand")
    others = [draft for draft in drafts if draft not in named]
    parts = [_head(path, target.stem), *_weights(others), *_traits(others), *map(_named_trait, named), *map(_question, questions)]
    return write_whole(target, lambda place: place.write_text("\n".join(parts), encoding="utf-8"))


def _named(drafts: Sequence[_Draft], traits: str | Sequence[str], file: str) -> list[_Draft]:
    """Return the variables that the user says are traits."""
    found = {draft.name: draft for draft in drafts}
    names = known_names_of(traits, "traits", found, error=CodebookError, lacking=f"{file} has no variable", needed=False)
    for name in names:
        if not found[name].is_question:
            raise CodebookError(
                f"traits: variable {name!r} of {file} has no 2 to {MOST_OPTIONS} labelled answers to be levels; leave it out, and write "
                f"[traits.{_key(name)}] into the draft by hand, with a range for each level"
            )
    return [found[name] for name in names]


def _drafts(path: Path, encoding: str | None) -> Iterator[_Draft]:
    raw = read_columns(path, encoding=encoding)
    for name in raw.columns:
        variable, values = raw.variables[name], raw.frame[name]
        valid = {code: label for code, label in variable.value_labels.items() if not _is_missing(code, label, variable)}
        found = states(raw.columns[name], valid, {}, variable)
        missing = {code: reason_from_label(label) or "other" for code, label in variable.value_labels.items() if code not in valid}
        for code, state in zip(found.codes, found.state, strict=True):
            if state >= 0:
                missing.setdefault(code, MISSING_REASONS[state])
        between = found.codes[found.state == UNKNOWN]
        yield _Draft(str(name), variable, _filled(valid, between), bool(valid), missing, values)


def _is_missing(code: Code, label: str, variable: Variable) -> bool:
    return is_tag(code) or variable.declares_missing(code) or reason_from_label(label) is not None


def _filled(labelled: dict[Code, str], found: np.ndarray) -> dict[Code, str]:
    """Add the unlabelled codes between labelled ends of a scale; empty where there are codes that no end encloses."""
    numbers = [code for code in labelled if not isinstance(code, str)]
    if not len(found) or not numbers:
        return {} if len(found) else labelled
    between = [code for code in found if not isinstance(code, str) and min(numbers) < code < max(numbers) and float(code).is_integer()]
    if len(between) < len(found) or len(numbers) < len(labelled):
        return {}
    whole = {code: f"{code:g}" for code in range(int(min(numbers)), int(max(numbers)) + 1)} if float(min(numbers)).is_integer() else {}
    return whole | {comparable(code): label for code, label in labelled.items()} if len(whole) <= MOST_OPTIONS else {}


def _head(path: Path, name: str) -> str:
    return "\n".join(
        [
            f"# Drafted from the labels of {path.name}. To finish: replace each text by the questionnaire's exact wording, check the",
            '# order of the options (type = "nominal" where they have none) and the reasons of missing codes, put the levels of traits',
            "# into words that go on from 'a person', delete what is no question, then remove verified = false.",
            "# Remove a weight that is none; the first weight is the default. Fill in the empty facts below.",
            "",
            "[survey]",
            f"name = {_quoted(name)}",
            f"title = {_quoted(name)}",
            'year = ""',
            'country = ""',
            'source = ""',
            'doi = ""',
            'licence = ""',
            f"files = [{_quoted(path.name)}]",
            '# respondent_id = ""',
            "verified = false",
            "",
            "# [design]",
            '# stratum = ""',
            '# psu = ""',
            "",
        ]
    )


def _weights(drafts: Sequence[_Draft]) -> list[str]:
    return [f'[weights.{_key(draft.name)}]\nlabel = {_quoted(draft.variable.label)}\nuse = ""\n' for draft in drafts if draft.is_weight]


def _traits(drafts: Sequence[_Draft]) -> list[str]:
    found = []
    for draft in [draft for draft in drafts if draft.genders][:1]:
        levels = [{"a man": "male", "a woman": "female"}[text] for text in draft.genders.values()]
        found.append((draft, "gender", [
            f"{{ name = {_quoted(level)}, text = {_quoted(text)}, codes = [{_code(code)}] }}"
            for level, (code, text) in zip(levels, draft.genders.items(), strict=True)
        ]))  # fmt: skip
    ages = sorted((draft for draft in drafts if draft.is_age), key=lambda draft: draft.name.lower() not in _AGE_NAMES)
    for draft in ages[:1]:
        low = min(_AGE_EDGES[0], int(draft.numbers.min()))
        groups = zip((low, *_AGE_EDGES[1:]), (*(edge - 1 for edge in _AGE_EDGES[1:]), 120), strict=True)
        found.append((draft, "age", [
            f'{{ name = "{low}-{high}", text = "aged {low} to {high}", range = [{low}, {high}] }}' if high < 120
            else f'{{ name = "{low}+", text = "aged {low} or older", range = [{low}, {high}] }}'
            for low, high in groups
        ]))  # fmt: skip
    taken = {draft.name for draft in drafts if draft.is_question and not draft.genders}
    return [_trait(draft, name, levels) for draft, name, levels in found if name not in taken]


def _named_trait(draft: _Draft) -> str:
    """A trait that the user named: gender in its own words, else a level for each labelled answer, in words still to be replaced."""
    told = {code: f"whose {draft.name} is {label}" for code, label in draft.options.items()} | draft.genders
    levels = [
        f"{{ name = {_quoted(label)}, text = {_quoted(told[code])}, codes = [{_code(code)}] }}" for code, label in draft.options.items()
    ]
    return _trait(draft, draft.name, levels)


def _trait(draft: _Draft, name: str, levels: Sequence[str]) -> str:
    return "\n".join(
        [
            f"[traits.{_key(name)}]",
            f"variable = {_quoted(draft.name)}",
            f"label = {_quoted(draft.variable.label)}",
            *(["ordered = true"] if name == "age" else []),
            "levels = [",
            *(f"    {level}," for level in levels),
            "]",
            *_missing(draft),
            "verified = false",
            "",
        ]
    )


def _question(draft: _Draft) -> str:
    label = draft.variable.label or draft.name
    return "\n".join(
        [
            f"[questions.{_key(draft.name)}]",
            f"text = {_quoted(label)}",
            f"label = {_quoted(label)}",
            'type = "ordinal"',
            'topic = ""',
            "options = [",
            *(f"    [{_code(code)}, {_quoted(text)}]," for code, text in draft.options.items()),
            "]",
            *_missing(draft),
            'source = "variable and value labels of the file"',
            "verified = false",
            "",
        ]
    )


def _missing(draft: _Draft) -> list[str]:
    if not draft.missing:
        return []
    pairs = ", ".join(f"{_quoted(str(_whole(code)))} = {_quoted(reason)}" for code, reason in draft.missing.items())
    return [f"missing = {{ {pairs} }}"]


def _whole(code: Code) -> Code:
    """Write whole numbers without a point."""
    return int(code) if isinstance(code, float) and code.is_integer() else code


def _code(code: Code) -> str:
    return _quoted(code) if isinstance(code, str) else str(_whole(code))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    """Write a TOML basic string: JSON's escapes, and the delete character, which TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _stem(path: Path) -> str:
    return re.sub(r"[^a-z0-9_]+", "_", path.name.lower().split(".")[0]).strip("_") or "survey"
