"""Codebook files: a TOML file in, a checked `Codebook` out."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from surveysim.codebook import Code, Codebook, DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.errors import CodebookError, nearest


def list_codebooks() -> list[str]:
    """Return the names of the codebooks that ship with surveysim."""
    return sorted(path.stem for path in _codebook_folder().glob("*.toml"))


def load_codebook(name_or_path: str | Path | Codebook) -> Codebook:
    """Load a codebook: one that ships with surveysim by name, or any TOML file by path.

    Parameters
    ----------
    name_or_path : str, Path or Codebook
        ``"nonvoters2020"``, or ``"my_survey.toml"``. A `Codebook` is returned as it is.

    Returns
    -------
    Codebook

    Raises
    ------
    CodebookError
        If there is no such codebook, the file is no TOML, a key is unknown, or a declaration contradicts itself.

    Examples
    --------
    >>> import surveysim as ss
    >>> codebook = ss.load_codebook("nonvoters2020")
    >>> codebook.question("Q8_8").labels
    ('A lot', 'Some', 'Not much', 'Not at all')
    """
    if isinstance(name_or_path, Codebook):
        return name_or_path
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in list_codebooks():
            raise CodebookError(
                f"no codebook is called {str(name_or_path)!r}; {nearest(str(name_or_path), list_codebooks())} "
                "For your own survey give the path of a .toml file"
            )
        path = _codebook_folder() / f"{name_or_path}.toml"
    if not path.is_file():
        raise CodebookError(f"codebook file {str(path)!r} does not exist; check the path")
    return _load_file(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load_file(path: Path, modified: int) -> Codebook:
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CodebookError(f"codebook {path.name} is not a valid UTF-8 TOML file: {error}") from error
    return parse_codebook(declared, path.stem)


def parse_codebook(declared: Mapping[str, Any], name: str) -> Codebook:
    """Build a `Codebook` from the tables of a TOML file (see docs/extending.md for the format).

    Raises
    ------
    CodebookError
        If a table or key is unknown, or a declaration contradicts itself.
    """
    tables = {"survey", "weights", "design", "wave", "missing", "traits", "questions"}
    _refuse_unknown(f"codebook {name!r}", declared, tables)
    survey = dict(declared.get("survey", {}))
    survey["files"] = tuple(survey.get("files", ()))
    identifier = survey.get("respondent_id", ())
    survey["respondent_id"] = (identifier,) if isinstance(identifier, str) else tuple(identifier)
    survey["year"] = str(survey.get("year", ""))
    survey.setdefault("name", name)
    survey.setdefault("title", name)
    return Codebook(
        **_known(Codebook, f"codebook {name!r}, [survey]", survey),
        weights=tuple(_weight(variable, table) for variable, table in declared.get("weights", {}).items()),
        design=DesignVariables(**_known(DesignVariables, f"codebook {name!r}, [design]", declared.get("design", {}))),
        wave={variable: _listed(codes) for variable, codes in declared.get("wave", {}).items()},
        missing=_coded(declared.get("missing", {})),
        traits={trait: _trait(trait, table) for trait, table in declared.get("traits", {}).items()},
        questions={question: _question(question, table) for question, table in declared.get("questions", {}).items()},
    )


def _weight(variable: str, table: Mapping[str, Any]) -> Weight:
    known = _known(Weight, f"weight {variable!r}", {**table, "variable": variable})
    return Weight(**{**known, "product_of": tuple(known.get("product_of", ()))})


def _trait(name: str, table: Mapping[str, Any]) -> Trait:
    where = f"trait {name!r}"
    levels = tuple(_level(where, level) for level in table.get("levels", ()))
    known = _known(Trait, where, {**table, "name": name, "levels": levels, "missing": _coded(table.get("missing", {}))})
    return Trait(**{"variable": name, **known})


def _level(where: str, table: Mapping[str, Any]) -> Level:
    known = _known(Level, f"{where}, level {table.get('name')!r}", table)
    if "name" not in known:
        raise CodebookError(f"{where}: a level has no name: {dict(table)}")
    bounds = known.get("range")
    return Level(
        **{
            **known,
            "name": str(known["name"]),
            "text": str(known.get("text", known["name"])),
            "codes": tuple(known.get("codes", ())),
            "range": None if bounds is None else (float(bounds[0]), float(bounds[1])),
        }
    )


def _question(question_id: str, table: Mapping[str, Any]) -> Question:
    where = f"question {question_id!r}"
    options = tuple(_option(where, option) for option in table.get("options", ()))
    known = _known(Question, where, {**table, "question_id": question_id, "options": options, "missing": _coded(table.get("missing", {}))})
    return Question(**{"text": "", **known})


def _option(where: str, declared: Any) -> Option:
    if isinstance(declared, Sequence) and not isinstance(declared, str) and len(declared) == 2:
        return Option(declared[0], str(declared[1]))
    raise CodebookError(f"{where}: an option is written [code, label]; got {declared!r}")


def _listed(codes: Any) -> tuple[Code, ...]:
    return tuple(codes) if isinstance(codes, list) else (codes,)


def _coded(table: Mapping[str, str]) -> dict[Code, str]:
    """TOML keys are strings: turn those that are numbers into numbers."""
    return {_number(code): reason for code, reason in table.items()}


def _number(code: str) -> Code:
    try:
        value = float(code)
    except ValueError:
        return code
    if not math.isfinite(value):
        return code
    return int(value) if value.is_integer() else value


def _known(cls: type, where: str, table: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unknown(where, table, {item.name for item in fields(cls)})
    return dict(table)


def _refuse_unknown(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise CodebookError(f"{where}: unknown key {key!r}; {nearest(key, sorted(known))}")


def _codebook_folder() -> Path:
    """Inside an installed wheel the codebooks lie in the package; in a checkout, beside it."""
    package = Path(__file__).parent
    inside = package / "codebooks"
    return inside if inside.is_dir() else package.parent / "codebooks"
