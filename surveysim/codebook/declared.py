"""What a codebook declares as tables of keys and values, checked and made a `Codebook`: of a TOML file, or of a DDI file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from surveysim.codebook.codebook import Code, Codebook, DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.errors import CodebookError, first_few, nearest, quoted

LARGEST_NUMBER = 1 << 63
_PLAIN: dict[str, type | tuple[type, ...]] = {"str": str, "str | None": str, "bool": bool, "int | str | None": (int, str)}


def parse_codebook(declared: Mapping[str, Any], name: str) -> Codebook:
    """Build a `Codebook` from the tables of a TOML file (see docs/extending.md for the format).

    Raises
    ------
    CodebookError
        If a table or key is unknown, or a declaration contradicts itself.
    """
    where = f"codebook {name!r}"
    tables = ("survey", "weights", "design", "wave", "missing", "traits", "questions")
    _refuse_unknown(where, declared, tables)
    parts = {table: _table(f"{where}, [{table}]", declared.get(table, {})) for table in tables}
    survey = {"name": name, "title": name, **parts["survey"]}
    for key in ("files", "respondent_id"):
        survey[key] = _strings(f"{where}, [survey] {key}", survey.get(key, ()))
    survey["year"] = str(survey.get("year", ""))
    return Codebook(
        **_known(Codebook, f"{where}, [survey]", survey, but=tables[1:]),
        weights=tuple(_weight(variable, table) for variable, table in parts["weights"].items()),
        design=DesignVariables(**_known(DesignVariables, f"{where}, [design]", parts["design"])),
        wave={variable: _codes(f"{where}, [wave] {variable}", codes) for variable, codes in parts["wave"].items()},
        missing=_coded(f"{where}, [missing]", parts["missing"]),
        traits={trait: _trait(trait, table) for trait, table in parts["traits"].items()},
        questions={question: parse_question(question, table) for question, table in parts["questions"].items()},
    )


def _weight(variable: str, table: Any) -> Weight:
    where = f"weight {variable!r}"
    known = _known(Weight, where, _table(where, table), but=("variable",))
    return Weight(**{**known, "variable": variable, "product_of": _strings(f"{where}, product_of", known.get("product_of", ()))})


def _trait(name: str, table: Any) -> Trait:
    where = f"trait {name!r}"
    known = _known(Trait, where, _table(where, table), but=("name",))
    levels = tuple(_level(where, level) for level in _list(f"{where}, levels", known.get("levels", [])))
    missing = _coded(where, known.get("missing", {}))
    return Trait(**{"variable": name, **known, "name": name, "levels": levels, "missing": missing})


def _level(where: str, table: Any) -> Level:
    table = _table(f"{where}, a level", table)
    if "name" not in table:
        raise CodebookError(f"{where}: a level has no name: {quoted(dict(table))}")
    where = f"{where}, level {table['name']!r}"
    named = {"name": str(table["name"]), "text": str(table.get("text", table["name"]))}
    known = _known(Level, where, {**table, **named})
    bounds = known.get("range")
    if bounds is not None and not (isinstance(bounds, list) and len(bounds) == 2 and all(_is_number(bound) for bound in bounds)):
        raise CodebookError(f"{where}: range is two numbers, [low, high]; got {quoted(bounds)}")
    codes = _codes(f"{where}, codes", _list(f"{where}, codes", known.get("codes", [])))
    return Level(**{**known, "codes": codes, "range": None if bounds is None else (float(bounds[0]), float(bounds[1]))})


def parse_question(question_id: str, table: Any) -> Question:
    """Build a `Question` from its table of a TOML file.

    Raises
    ------
    CodebookError
        If a key is unknown, or a declaration contradicts itself.
    """
    where = f"question {question_id!r}"
    known = _known(Question, where, _table(where, table), but=("question_id",))
    options = tuple(_option(where, option) for option in _list(f"{where}, options", known.get("options", [])))
    missing = _coded(where, known.get("missing", {}))
    merged = {
        _number(code): _codes(f"{where}, merged", option)[0] for code, option in _table(f"{where}, merged", known.get("merged", {})).items()
    }
    return Question(**{"text": "", **known, "question_id": question_id, "options": options, "missing": missing, "merged": merged})


def _option(where: str, declared: Any) -> Option:
    if isinstance(declared, list) and len(declared) == 2:
        return Option(_codes(where, declared[:1])[0], str(declared[1]))
    raise CodebookError(f"{where}: an option is written [code, label]; got {quoted(declared)}")


def _codes(where: str, declared: Any) -> tuple[Code, ...]:
    codes = declared if isinstance(declared, list) else [declared]
    bad = [code for code in codes if not isinstance(code, str) and not _is_number(code)]
    if bad:
        raise CodebookError(f"{where}: a code is a number or a text; got {first_few(map(quoted, bad))}")
    return tuple(codes)


def _coded(where: str, table: Any) -> dict[Code, str]:
    """TOML keys are strings: turn those that are numbers into numbers."""
    return {_number(code): reason for code, reason in _table(f"{where}, missing", table).items()}


def _number(code: str) -> Code:
    try:
        value = float(code)
    except ValueError:
        return code
    if not math.isfinite(value):
        return code
    return int(value) if value.is_integer() else value


def _is_number(value: Any) -> bool:
    """A number that survey files can hold: no bool, no NaN, no whole number beyond 64 bits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER


def _table(where: str, declared: Any) -> Mapping[str, Any]:
    if not isinstance(declared, Mapping):
        raise CodebookError(f"{where} must be a table, key = value; got {quoted(declared)}")
    return declared


def _list(where: str, declared: Any) -> list[Any]:
    if not isinstance(declared, list):
        raise CodebookError(f"{where} must be a list, [ ... ]; got {quoted(declared)}")
    return declared


def _strings(where: str, declared: Any) -> tuple[str, ...]:
    items = (declared,) if isinstance(declared, str) else tuple(declared) if isinstance(declared, list | tuple) else (declared,)
    if not all(isinstance(item, str) for item in items):
        raise CodebookError(f"{where} must be a name or a list of names; got {quoted(declared)}")
    return items


def _known(cls: type, where: str, table: Mapping[str, Any], but: Sequence[str] = ()) -> dict[str, Any]:
    """Check a table's keys and plain values against the fields of a dataclass, those in `but` left out."""
    types = {item.name: str(item.type) for item in fields(cls) if item.name not in but}
    _refuse_unknown(where, table, list(types))
    for key, value in table.items():
        if types[key] in _PLAIN and not isinstance(value, _PLAIN[types[key]]):
            raise CodebookError(f"{where}: {key} must be {types[key].replace(' | None', '')}; got {quoted(value)}")
    return dict(table)


def _refuse_unknown(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise CodebookError(f"{where}: unknown key {key!r}; {nearest(key, sorted(known))}")
