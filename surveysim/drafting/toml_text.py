"""The text of a drafted codebook: TOML that loads whatever the names and labels, with comments of one line each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from surveysim.codebook.option_order import inferred_type
from surveysim.codebook.questions import Code
from surveysim.drafting.variables import DraftVariable, whole

_SIGNS = (("<=", "≤"), (">=", "≥"), ("|", "/"), ("=", ":"))  # signs of a background's id, and what stands in their place

_ENDS_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def head_text(file: str, name: str, facts: Mapping[str, str], remark: str, replicates: str) -> str:
    """Return the beginning of a draft: what is to be done, and the facts of the survey, those that are known filled in."""
    known = {"title": name, **dict.fromkeys(("year", "country", "source", "doi", "licence"), ""), **facts}
    wording = "check each text" if facts else "replace each text by the questionnaire's exact wording, check"
    return "\n".join(
        [
            *comments(
                [
                    f"Drafted from the labels of {file}. To finish: {wording}, the",
                    'type and the order of the options (type = "nominal" where they have none) and the reasons of missing codes, put the',
                    "levels of traits into words that go on from 'a person', delete what is no question, then remove verified = false.",
                    "Remove a weight that is none; the first weight is the default. Fill in the empty facts below. What was left out",
                    "stands at the end, each with the reason.",
                    *([remark] if remark else []),
                ]
            ),
            "",
            "[survey]",
            f"name = {toml_string(name)}",
            *(f"{fact} = {toml_string(text)}" for fact, text in known.items()),
            f"files = [{toml_string(file)}]",
            '# respondent_id = ""',
            "verified = false",
            "",
            "# [design]",
            '# stratum = ""',
            '# psu = ""',
            *comments(
                [f"replicate_weights = {toml_string(replicates)}", 'replicate_method = "", one of JK1, BRR, bootstrap, Fay 0.5']
                if replicates
                else []
            ),
            "",
        ]
    )


def question_text(draft: DraftVariable, battery: str = "") -> str:
    """Return a variable as a ``[questions.<name>]`` table."""
    label, asked = draft.variable.label.strip() or draft.name, draft.asked
    source = f"question text of {asked.source}" if asked.wording else "variable and value labels of the file"
    kind, why = inferred_type(list(draft.options.values()))
    return "\n".join(
        [
            *comments(draft.remarks),
            *comments([f"nominal: {why}; ordinal if the options are steps of a scale"] if why and kind == "nominal" else []),
            f"[questions.{key(draft.name)}]",
            f"text = {toml_string(asked.wording or label)}",
            f"label = {toml_string(label)}",
            f'type = "{kind}"',
            f"topic = {toml_string(battery or asked.topic)}",
            *([f"universe = {toml_string(asked.universe)}"] if asked.universe else []),
            *([f"battery = {toml_string(battery)}"] if battery else []),
            _options(tuple(draft.options.items())),
            *_coded("merged", draft.merged, code_text),
            *missing_text(draft),
            f"source = {toml_string(source)}",
            "verified = false",
            "",
        ]
    )


@lru_cache(maxsize=1024)
def _options(options: tuple[tuple[Code, str], ...]) -> str:
    """Write options, which many questions of a file share."""
    return "\n".join(["options = [", *(f"    [{code_text(code)}, {toml_string(text)}]," for code, text in options), "]"])


def trait_text(
    draft: DraftVariable, name: str, levels: Sequence[str], *, remarks: Iterable[str] = (), missing: Mapping[Code, str] | None = None
) -> str:
    """Return a variable as a ``[traits.<name>]`` table of levels that are written already."""
    return "\n".join(
        [
            *comments([*draft.remarks, *remarks]),
            f"[traits.{key(safe_name(name))}]",
            f"variable = {toml_string(draft.name)}",
            f"label = {toml_string(draft.variable.label)}",
            *(["ordered = true"] if name.startswith("age") else []),
            "levels = [",
            *(f"    {level}," for level in levels),
            "]",
            *missing_text(draft, missing or {}),
            "verified = false",
            "",
        ]
    )


def level_text(name: str, text: str, codes: Sequence[Code]) -> str:
    """Return a level of codes as an inline table."""
    return f"{{ name = {toml_string(name)}, text = {toml_string(text)}, codes = [{', '.join(map(code_text, codes))}] }}"


def drafted_levels(options: Mapping[Code, str]) -> dict[Code, str]:
    """Return code -> label without the signs that backgrounds' ids are made of, each once."""
    found: dict[Code, str] = {}
    for code, label in options.items():
        name = safe_name(label) or str(whole(code))
        found[code] = name if name not in found.values() else f"{name} ({whole(code)})"
    return found


def safe_name(name: str) -> str:
    """Return a name without "|" and "=" and on one line: ``>= MA level`` becomes ``≥ MA level``."""
    for sign, other in _SIGNS:
        name = name.replace(sign, other)
    return " ".join(name.split())


def missing_text(draft: DraftVariable, further: Mapping[Code, str] | None = None) -> list[str]:
    """Return the line of missing codes, or none."""
    return _coded("missing", {**(further or {}), **draft.missing}, toml_string)


def _coded(name: str, table: Mapping[Code, Code], value: object) -> list[str]:
    pairs = {str(whole(code)): item for code, item in table.items()}
    written = ", ".join(f"{toml_string(code)} = {value(item)}" for code, item in pairs.items())  # type: ignore[operator]
    return [f"{name} = {{ {written} }}"] if pairs else []


def comments(lines: Iterable[str]) -> list[str]:
    """Return lines as comments: a control character, a line's end above all, would end one."""
    return [f"# {_ENDS_A_LINE.sub(' ', line)}" for line in lines]


def code_text(code: Code) -> str:
    """Write a code as TOML."""
    return toml_string(code) if isinstance(code, str) else str(whole(code))


def key(name: str) -> str:
    """Write a name as a TOML key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_string(name)


@lru_cache(maxsize=4096)
def toml_string(text: object) -> str:
    """Write a TOML basic string: JSON's escapes, and the delete character, which TOML wants escaped too."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")
