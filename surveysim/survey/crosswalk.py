"""Crosswalks: which variable of each wave is which item of all, and which of its codes is which of the item's."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from surveysim.codebook.codebook import Code, Question, Trait
from surveysim.errors import CodebookError, first_few, nearest, quoted
from surveysim.survey.survey import Survey
from surveysim.tables.schema import require_columns

WAVE, VARIABLE, POOLED, CODE, POOLED_CODE = "wave", "variable", "pooled", "code", "pooled_code"


@dataclass(frozen=True)
class Source:
    """Where an item stands in one wave.

    Attributes
    ----------
    variable : str
        A question or trait of the wave.
    codes : mapping of text to text, or None
        Pooled code (a question's) or level name (a trait's) of each of the wave's; None: they are the same.
    """

    variable: str
    codes: Mapping[str, str] | None = None


Items = dict[str, dict[str, Source]]  # pooled name -> wave -> source


def read_crosswalk(crosswalk: pd.DataFrame | str | Path | None, waves: Sequence[str]) -> Items:
    """Return a crosswalk as a mapping of item to wave to source.

    Parameters
    ----------
    crosswalk : DataFrame, path of a TOML file, or None
        A frame has the columns `wave variable pooled` and, where codes differ, `code pooled_code` with a row a code. In a TOML
        file an item is a table: ``[trust]``, ``first = "Q8_8"``, ``second = {variable = "police", codes = {4 = "1", 3 = "2"}}``.
    waves : sequence of str

    Raises
    ------
    CodebookError
        If it is neither, cannot be read, names an unknown wave, or contradicts itself: two variables of a wave for one item, or two pooled
        codes for one code.
    """
    if crosswalk is None:
        return {}
    if isinstance(crosswalk, pd.DataFrame):
        items = _from_frame(crosswalk)
    elif isinstance(crosswalk, str | Path):
        items = _from_toml(Path(crosswalk))
    else:
        raise CodebookError(f"crosswalk must be a DataFrame or the path of a TOML file; got {type(crosswalk).__name__}")
    for name, sources in items.items():
        strange = [wave for wave in sources if wave not in waves]
        if strange:
            raise CodebookError(f"crosswalk: item {name!r} names wave {first_few(map(repr, strange))}; {nearest(strange[0], waves)}")
    return items


def _from_frame(frame: pd.DataFrame) -> Items:
    require_columns(frame, [WAVE, VARIABLE, POOLED], "crosswalk")
    items: Items = {}
    for (name, wave), rows in frame.astype({WAVE: str, POOLED: str}).groupby([POOLED, WAVE], sort=False):
        variables = rows[VARIABLE].unique()
        if len(variables) > 1:
            raise CodebookError(
                f"crosswalk contradicts itself: item {name!r} of wave {wave!r} is {first_few(map(repr, variables))}; keep one"
            )
        coded = rows[rows[CODE].notna()] if CODE in rows else rows.iloc[:0]
        pairs = [(_text(code), _text(pooled)) for code, pooled in zip(coded.get(CODE, []), coded.get(POOLED_CODE, []), strict=True)]
        twice = {code for code, pooled in pairs if any(code == other and pooled != also for other, also in pairs)}
        if twice:
            raise CodebookError(
                f"crosswalk contradicts itself: code {first_few(sorted(twice))} of {name!r}, wave {wave!r}, has two pooled codes"
            )
        items.setdefault(str(name), {})[str(wave)] = Source(str(variables[0]), dict(pairs) or None)
    return items


def _from_toml(path: Path) -> Items:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CodebookError(f"crosswalk: {path.name} cannot be read as TOML: {error}") from error
    items: Items = {}
    for name, sources in tables.items():
        if not isinstance(sources, dict):
            raise CodebookError(f"crosswalk: {name} must be a table of waves, [{name}]; got {quoted(sources)}")
        for wave, found in sources.items():
            table = {VARIABLE: found} if isinstance(found, str) else found
            if not isinstance(table, dict) or not isinstance(table.get(VARIABLE), str) or set(table) - {VARIABLE, "codes"}:
                raise CodebookError(f"crosswalk: {name}.{wave} must be a variable or {{variable = , codes = {{ }}}}; got {quoted(found)}")
            codes = {_text(code): _text(pooled) for code, pooled in table.get("codes", {}).items()}
            items.setdefault(name, {})[wave] = Source(table[VARIABLE], codes or None)
    return items


def _text(code: object) -> str:
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)


def shared_items(waves: Mapping[str, Survey], items: Items) -> tuple[Items, list[str]]:
    """Add the questions and traits that all waves have alike to the items of a crosswalk.

    Returns
    -------
    tuple
        The items, and the names that some waves have otherwise or not at all, and that no crosswalk maps.
    """
    first, *others = waves.values()
    used = {(wave, source.variable) for sources in items.values() for wave, source in sources.items()}
    found, left = dict(items), list[str]()
    for name in dict.fromkeys(item for one in waves.values() for item in (*one.questions, *one.traits)):
        if name in found or any((wave, name) in used for wave in waves):
            continue
        if name in (*first.questions, *first.traits) and all(_alike(first, other, name) for other in others):
            found[name] = {wave: Source(name) for wave in waves}
        else:
            left.append(name)
    return found, left


def _alike(one: Survey, other: Survey, name: str) -> bool:
    if name in one.questions and name in other.questions:
        first, second = one.codebook.question(name), other.codebook.question(name)
        return first.options == second.options and first.type == second.type and first.weight == second.weight
    if name in one.traits and name in other.traits:
        return one.codebook.trait(name).level_names == other.codebook.trait(name).level_names
    return False


def pooled_definition(name: str, sources: Mapping[str, Source], waves: Mapping[str, Survey]) -> Question | Trait:
    """Return the question or trait that an item is: that of the first wave whose codes are the pooled ones.

    Raises
    ------
    CodebookError
        If a wave has no source or no such variable, sources are questions and traits, no wave has the pooled codes, or a question has a
        weight of its own.
    """
    lacking = [wave for wave in waves if wave not in sources]
    if lacking:
        raise CodebookError(f"crosswalk: item {name!r} has no variable of wave {first_few(map(repr, lacking))}; name one for each wave")
    for wave, source in sources.items():
        known = (*waves[wave].questions, *waves[wave].traits)
        if source.variable not in known:
            raise CodebookError(f"crosswalk: wave {wave!r} has no {source.variable!r} (item {name!r}); {nearest(source.variable, known)}")
    kinds = {source.variable in waves[wave].questions for wave, source in sources.items()}
    if len(kinds) > 1:
        raise CodebookError(f"crosswalk: item {name!r} is a question in one wave and a trait in another; map like to like")
    plain = [(wave, source) for wave, source in sources.items() if source.codes is None]
    if not plain:
        raise CodebookError(f"crosswalk: every wave of item {name!r} has codes to translate; leave them out where they are the pooled ones")
    wave, source = plain[0]
    book = waves[wave].codebook
    if kinds == {False}:
        return replace(book.trait(source.variable), name=name)
    question = book.question(source.variable)
    if question.weight not in (None, waves[wave].weight_name):
        raise CodebookError(
            f"question {name!r} has a weight of its own, {question.weight!r}; pool waves read with weight={question.weight!r}"
        )
    return replace(question, question_id=name, weight=None)


def pooled_codes(name: str, wave: str, source: Source, own: Sequence[Code], pooled: Sequence[Code]) -> dict[Code, Code]:
    """Return the pooled code of each of a wave's codes.

    Raises
    ------
    CodebookError
        If a code has none, or one that the pooled item lacks, or a code is translated that the wave lacks.
    """
    by_text = {_text(code): code for code in pooled}
    codes = {_text(code): _text(code) for code in own} if source.codes is None else source.codes
    unmapped = [code for code in own if codes.get(_text(code)) not in by_text]
    where = f"crosswalk: item {name!r}, wave {wave!r}:"
    strange = [code for code in codes if code not in {_text(code) for code in own}]
    if strange:
        raise CodebookError(f"{where} the wave has no code {first_few(strange)}, only {first_few(own)}; correct code")
    if unmapped and source.codes is None:
        raise CodebookError(f"{where} code {first_few(unmapped)} is none of {first_few(pooled)}; name the pooled code of each in crosswalk")
    if unmapped:
        told = [f"{code} (given: {codes[_text(code)]})" if _text(code) in codes else str(code) for code in unmapped]
        raise CodebookError(f"{where} code {first_few(told)} is none of {first_few(pooled)}; name the pooled_code of each code")
    return {code: by_text[codes[_text(code)]] for code in own}
