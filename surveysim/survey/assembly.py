"""From a file's columns to the parts of a `Survey`: which columns are needed, ids, weights, design, traits, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, reduce

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Codebook, Weight, country_trait, in_one_country
from surveysim.codebook.questions import Question, Trait
from surveysim.errors import CodebookError, DesignError, first_few, nearest
from surveysim.files.rawfile import FRAME, Column, RawFile, Variable, Wanted, as_floats, is_tag
from surveysim.survey.codebook_match import absent_variables, check_wave
from surveysim.survey.labels import coded, trait_words
from surveysim.survey.reasons import comparable, distinct_codes
from surveysim.survey.recoding import Levels, answer_column, recoded_column, trait_column
from surveysim.tables.schema import FPC, MADE, PSU, RESPONDENT_ID, STRATUM, WEIGHT, refuse_extreme

NO_WEIGHT = "none"  # weight="none" says that the respondents shall count alike


@dataclass(frozen=True, eq=False)
class Parts:
    """What a `Survey` is made of; see there."""

    data: pd.DataFrame
    reasons: pd.DataFrame
    trait_reasons: pd.DataFrame
    weight_name: str
    notes: tuple[str, ...]
    codebook: Codebook


@dataclass(frozen=True, eq=False)
class _Columns:
    """A file's columns by their names in lower case."""

    raw: RawFile
    book: Codebook
    by_name: Mapping[str, str]

    @classmethod
    def of(cls, raw: RawFile, book: Codebook, wanted: Wanted) -> _Columns:
        names = wanted.pick(raw.known or list(raw.columns), raw.source)
        return cls(raw, book, {name.lower(): name for name in names if name in raw.columns})

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.by_name

    def __getitem__(self, name: str) -> Column:
        return self.raw.columns[self.by_name[name.lower()]]

    def spelling(self, name: str) -> str:
        return self.by_name[name.lower()]

    def variable(self, name: str) -> Variable:
        return self.raw.variables.get(self.spelling(name), Variable())

    @cached_property
    def made(self) -> frozenset[str]:
        """Which of weight, stratum, psu and fpc are columns that surveysim itself wrote; in a release such a name may mean anything."""
        if MADE not in self:
            return frozenset()
        _, said = distinct_codes(self[MADE])
        labels = {comparable(code): label for code, label in self.variable(MADE).value_labels.items()}  # as SPSS and Stata hold categories
        return frozenset(word for text in said for word in labels.get(comparable(text), str(text)).split())

    def require(self, names: Sequence[str]) -> None:
        """Refuse names that the file does not have.

        Raises
        ------
        CodebookError
            If there are some.
        """
        absent = [name for name in dict.fromkeys(names) if name not in self]
        if absent:
            known = self.raw.known or tuple(self.raw.columns)
            raise absent_variables(absent, known, self.raw.source, self.book)

    def matching(self, patterns: str) -> list[str]:
        """Return the names that any of the patterns, separated by spaces, matches."""
        wanted = patterns.lower().split()
        return [name for name in self.by_name if any(fnmatchcase(name, pattern) for pattern in wanted)]


def needed_columns(book: Codebook, weight: str | None, questions: Sequence[Question], traits: Sequence[Trait]) -> Wanted:
    """Return the variables that these questions and traits need, with ids, weights, design and what tells the wave.

    Every weight and what may be a trait recoded already is optional here; `assemble` says which one lacks.
    """
    design = book.design
    required = [question.question_id for question in questions]
    required += [trait.variable for trait in traits]
    required += [trait.subtract_from for trait in traits if isinstance(trait.subtract_from, str)]
    required += [*book.respondent_id, design.stratum, design.psu, design.fpc, design.nest, *design.replicate_weights.split()]
    chosen = weight or (book.weights[0].variable if book.weights else "")
    required += [chosen] if chosen != NO_WEIGHT else []
    optional = [name for item in book.weights for name in (item.variable, *item.product_of)]
    optional += [question.weight for question in questions if question.weight]
    place = country_trait(book)
    optional += [book.trait(place).variable, place] if place else []
    optional += [*book.wave, *(trait.name for trait in traits), RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC, MADE]
    return Wanted(tuple(dict.fromkeys(filter(None, required))), tuple(dict.fromkeys(optional)))


def assemble(raw: RawFile, book: Codebook, weight: str | None, questions: Sequence[Question], traits: Sequence[Trait]) -> Parts:
    """Make the parts of a survey of a file's columns, checked against the codebook.

    Raises
    ------
    CodebookError
        If the file is of another wave, lacks a variable, labels codes otherwise, or holds a code that nobody knows; if
        respondents are not told apart.
    DesignError
        If there is no usable weight.
    """
    columns = _Columns.of(raw, book, needed_columns(book, weight, questions, traits))
    check_wave(raw, {name: columns[name] for name in book.wave if name in columns}, book)
    recoded = [trait for trait in traits if _is_recoded(columns, trait)]
    columns.require(
        [question.question_id for question in questions]
        + [trait.variable for trait in traits if trait not in recoded]
        + [trait.subtract_from for trait in traits if isinstance(trait.subtract_from, str) and trait not in recoded]
    )
    notes = list(raw.notes)
    data: dict[str, object] = {RESPONDENT_ID: _respondent_ids(columns, notes)}
    weight_name, weights = _weight(columns, weight, notes)
    data = _other_weights(columns, questions) | data | {WEIGHT: weights} | _design(columns, notes)
    reasons, trait_reasons = {}, {}
    for trait in traits:
        data[trait.name], trait_reasons[trait.name], said = _trait(columns, trait, recoded=trait in recoded)
        notes += said
    for question in questions:
        name = question.question_id
        data[name], reasons[name], said = answer_column(question, columns[name], columns.variable(name), book, raw.source)
        notes += said
    rows = pd.RangeIndex(raw.n_rows)
    parts = Parts(
        marked_as_made(pd.DataFrame(data)),
        pd.DataFrame(reasons, index=rows),
        pd.DataFrame(trait_reasons, index=rows),
        weight_name,
        tuple(notes),
        _of_its_country(columns),
    )
    return _without_unweighted(parts, weights, book)


def marked_as_made(data: pd.DataFrame) -> pd.DataFrame:
    """Return a survey's data with the column that says which of weight, stratum, psu and fpc are what these names say."""
    words = " ".join(name for name in (WEIGHT, STRATUM, PSU, FPC) if name in data)
    marks = pd.Categorical.from_codes(np.zeros(len(data), dtype=np.int8), categories=pd.Index([words], dtype=object))
    return data.assign(**{MADE: marks})


def _is_recoded(columns: _Columns, trait: Trait) -> bool:
    """Whether a column named as the trait holds its levels, as `write_survey` leaves it, rather than the survey's codes."""
    if trait.name not in columns:
        return False
    values = columns[trait.name]
    if isinstance(values.dtype, pd.CategoricalDtype) and set(values.dtype.categories) == set(trait.level_names):
        return True
    labelled = set(trait.level_names) <= set(columns.variable(trait.name).value_labels.values())
    has_range = any(level.range is not None for level in trait.levels)
    return trait.variable not in columns or (labelled and (has_range or trait.variable.lower() != trait.name.lower()))


def _trait(columns: _Columns, trait: Trait, *, recoded: bool) -> Levels:
    if recoded:
        return recoded_column(trait, columns[trait.name], columns.variable(trait.name), columns.book)
    variable = columns.variable(trait.variable)
    year: np.ndarray | int | None
    if isinstance(trait.subtract_from, str):
        written = np.asarray(columns[trait.subtract_from], dtype=object)
        year = np.asarray(pd.to_numeric(written, errors="coerce"), dtype=float)
    else:
        year = trait.subtract_from
    return trait_column(trait, columns[trait.variable], variable, columns.book, year, source=columns.raw.source)


def _of_its_country(columns: _Columns) -> Codebook:
    """Return the codebook; of an international survey's file of one country, the codebook that names this country as its own."""
    book, name = columns.book, country_trait(columns.book)
    if name is None or (book.trait(name).variable not in columns and name not in columns):
        return book
    trait = book.trait(name)
    place = trait.variable if trait.variable in columns else name
    positions, codes = distinct_codes(coded(columns[place], trait_words(trait), columns.variable(place)).values)
    found = {comparable(codes[place]) for place in np.unique(positions[positions >= 0])}
    homes = [level for level in trait.levels if found and found <= {level.name, *map(comparable, level.codes)}]
    return in_one_country(book, homes[0]) if homes else book


def _weight(columns: _Columns, weight: str | None, notes: list[str]) -> tuple[str, np.ndarray]:
    """Return the weight's name and values; missing ones stay where the codebook says that those respondents are dropped."""
    book, source = columns.book, columns.raw.source
    if weight == NO_WEIGHT:
        notes.append(f"weight='{NO_WEIGHT}': every respondent counts 1; shares describe these respondents, not a population")
        return NO_WEIGHT, np.ones(columns.raw.n_rows)
    name = weight or (book.weights[0].variable if book.weights else "")
    if not name:
        raise DesignError(
            f"codebook {book.name!r} declares no weight; name the variable with weight=, declare [weights.<variable>], "
            f"or say weight='{NO_WEIGHT}' to count every respondent alike"
        )
    declared = next((item for item in book.weights if item.variable.lower() == name.lower()), Weight(name))
    if name not in columns and declared.product_of and all(part in columns for part in declared.product_of):
        notes.append(f"weight {name!r} is not in {source}; made as {' * '.join(declared.product_of)}")
        values = reduce(np.multiply, [_numbers(columns, part) for part in declared.product_of])
    elif name not in columns and WEIGHT in columns.made and WEIGHT in columns and (weight is None or declared in book.weights):
        values = _numbers(columns, WEIGHT)  # a respondents frame, where the weight has its standard name
    elif name in columns:
        values = _numbers(columns, name)
    else:
        known = columns.raw.known or tuple(columns.raw.columns)
        chosen = "weight=" if weight else f"the first weight of {book.name}.toml"
        raise DesignError(
            f"{source} lacks weight {name!r} ({chosen}): name another with weight=, or say weight='{NO_WEIGHT}' to count every "
            f"respondent alike; {nearest(name, known)}"
        )
    _check_weights(name, values, allow_missing=declared.without == "drop")
    return name, values


def _numbers(columns: _Columns, name: str) -> np.ndarray:
    """Return a weight's values; Stata's tagged missing values are missing."""
    values = columns[name]
    if pd.api.types.is_numeric_dtype(values.dtype):
        return as_floats(values)
    positions, codes = distinct_codes(values)
    numbers = pd.to_numeric(pd.Series(codes, dtype=object), errors="coerce").to_numpy(float)
    text = [code for code, number in zip(codes, numbers, strict=True) if np.isnan(number) and not is_tag(code)]
    if text:
        raise DesignError(
            f"weight {name!r} holds text: {first_few(map(repr, text))}; a weight must be a number: mend the file, "
            "or choose another weight variable"
        )
    return np.append(numbers, np.nan)[positions]


def _check_weights(name: str, values: np.ndarray, *, allow_missing: bool) -> None:
    bad = np.isinf(values) | (values < 0) | (np.isnan(values) & (not allow_missing))
    if bad.any():
        raise DesignError(
            f"weight {name!r}: {int(np.isnan(values).sum())} missing, {int((values < 0).sum())} negative, {int(np.isinf(values).sum())} "
            f"infinite of {len(values)} values (rows {first_few(np.flatnonzero(bad))}); a weight must be finite and >= 0. If those without "
            'one belong to no population it stands for, say without = "drop" in [weights] of the codebook; else correct the file'
        )
    refuse_extreme(values, f"weight {name!r}", error=DesignError)
    if not np.nansum(values):
        raise DesignError(f"weight {name!r} is zero for every respondent; choose another weight variable")


def _without_unweighted(parts: Parts, weights: np.ndarray, book: Codebook) -> Parts:
    """Leave out respondents without the weight, where the codebook says so; the notes count them."""
    kept = ~np.isnan(weights)
    if kept.all():
        return parts
    data, reasons, trait_reasons = (frame[kept].reset_index(drop=True) for frame in (parts.data, parts.reasons, parts.trait_reasons))
    without, everybody = int((~kept).sum()), len(kept)
    note = f"{without:,} of {everybody:,} respondents have no weight {parts.weight_name!r} and are left out, as {book.name}.toml says"
    return Parts(data, reasons, trait_reasons, parts.weight_name, (*parts.notes, note), parts.codebook)


def _other_weights(columns: _Columns, questions: Sequence[Question]) -> dict[str, object]:
    names = [item.variable for item in columns.book.weights] + [question.weight for question in questions if question.weight]
    return {name: _numbers(columns, name) for name in dict.fromkeys(names) if name in columns}


def _design(columns: _Columns, notes: list[str]) -> dict[str, object]:
    """Return stratum, psu, fpc and replicate weights, as far as the file has them; labels nested where the codebook says so."""
    declared = columns.book.design
    nest = distinct_codes(columns[declared.nest]) if declared.nest and declared.nest in columns else None
    found: dict[str, object] = {}
    for column, variable in ((STRATUM, declared.stratum), (PSU, declared.psu), (FPC, declared.fpc)):
        name = variable if variable and variable in columns else column if column in columns and column in columns.made else ""
        if name:
            found[column] = np.asarray(columns[name])
            if nest and column != FPC:
                found[column] = _nested(*nest, columns[name])
        elif variable:
            notes.append(f"{columns.raw.source} has no {column} {variable!r}: standard errors are made without it")
        elif column in columns:
            notes.append(
                f'{columns.raw.source} has a column {column!r}, which is not used: say {column} = "{column}" in [design] if it is one'
            )
    for name in columns.matching(declared.replicate_weights):
        found[columns.spelling(name)] = _numbers(columns, name)
    return found


def _nested(outer_place: np.ndarray, outers: np.ndarray, inner: Column) -> np.ndarray:
    """Return labels "outer-inner"; missing where either is."""
    inner_place, inners = distinct_codes(inner)
    names, insides = list(map(_plain, outers)), list(map(_plain, inners))
    pair = np.where((outer_place < 0) | (inner_place < 0), -1, outer_place * len(inners) + inner_place)
    pair_place, pairs = pd.factorize(pair)
    labels = [None if pair < 0 else f"{names[pair // len(insides)]}-{insides[pair % len(insides)]}" for pair in pairs.tolist()]
    return np.array(labels, dtype=object)[pair_place]


def _respondent_ids(columns: _Columns, notes: list[str]) -> np.ndarray:
    """Return the respondents' ids; in a frame that brings none they are numbered, with a note."""
    book = columns.book
    if not book.respondent_id:
        return np.arange(columns.raw.n_rows)
    if columns.raw.source == FRAME and not any(name in columns for name in (RESPONDENT_ID, *book.respondent_id)):
        notes.append(f"{FRAME} has no {first_few(book.respondent_id)}: respondents are numbered from 0")
        return np.arange(columns.raw.n_rows)
    if RESPONDENT_ID in columns and any(name not in columns for name in book.respondent_id):
        names = [columns.spelling(RESPONDENT_ID)]
    else:
        columns.require(book.respondent_id)
        names = [columns.spelling(name) for name in book.respondent_id]
    what, parts = " + ".join(names), [columns[name] for name in names]
    absent = np.flatnonzero(np.any([pd.isna(part) for part in parts], axis=0))
    if len(absent):
        raise CodebookError(f"{what} is empty for {len(absent)} respondents (rows {first_few(absent)}); every respondent needs an id")
    ids = joined_ids(parts)
    if len(set(ids.tolist())) < len(ids):
        repeated = ids[pd.Series(ids, dtype=ids.dtype).duplicated()]
        twice = first_few(map(_plain, dict.fromkeys(repeated)))
        raise CodebookError(
            f"{what} does not identify respondents: {twice} stand twice or more; remove the repeated "
            "rows, or name further variables in respondent_id of the codebook"
        )
    return ids


def joined_ids(parts: Sequence[Column]) -> np.ndarray:
    """Return ids of one variable as they are, and of several joined by hyphens."""
    return np.asarray(parts[0]) if len(parts) == 1 else np.array(["-".join(row) for row in zip(*map(_texts, parts), strict=True)], object)


def _texts(values: Column) -> list[str]:
    whole = pd.api.types.is_float_dtype(values.dtype) and bool((values % 1 == 0).all())
    return [str(value) for value in (values.astype("int64") if whole else values).tolist()]


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
