"""`Survey`: respondents with weights, design, traits and answers, and how a file or a frame becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.codebook import Code, Codebook, Question, Trait
from surveysim.codebook_file import load_codebook
from surveysim.design import Design
from surveysim.errors import CodebookError, DesignError, first_few, nearest
from surveysim.readers import read_columns
from surveysim.schema import PSU, RESPONDENT_ID, STRATUM, WEIGHT


@dataclass(frozen=True, eq=False)
class Survey:
    """Respondents of one survey wave, described by its codebook.

    Attributes
    ----------
    data : DataFrame
        A row per respondent: `respondent_id`, `weight` (>= 0; inverse probability or scaled to n), optional `stratum`,
        `psu`, every other weight variable under its own name, a column per trait (ordered categorical of level names,
        missing where the respondent has none) and per question (original codes, missing codes kept).
    reasons : DataFrame
        A column per question: why the cell holds no valid answer (`MISSING_REASONS`), missing where it holds one.
    codebook : Codebook
    weight_name : str
        Where `weight` came from.
    notes : tuple of str
        What was done while reading: encoding used, respondents outside a trait's ranges, and the like.
    """

    data: pd.DataFrame
    reasons: pd.DataFrame
    codebook: Codebook
    weight_name: str
    notes: tuple[str, ...] = field(default=())

    @property
    def questions(self) -> tuple[str, ...]:
        """Ids of the questions that the data hold."""
        return tuple(self.reasons.columns)

    @property
    def traits(self) -> tuple[str, ...]:
        """Names of the traits that the data hold."""
        return tuple(name for name in self.codebook.traits if name in self.data)

    @cached_property
    def design(self) -> Design:
        """The sampling design that the data describe: weight, and strata, PSUs and population sizes where there are any."""
        strata, psu, fpc = (self.data[name].to_numpy() if name in self.data else None for name in (STRATUM, PSU, "fpc"))
        return Design(self.data[WEIGHT].to_numpy(float), strata=strata, psu=psu, fpc=fpc)

    def __len__(self) -> int:
        return len(self.data)

    def take(self, rows: np.ndarray) -> Survey:
        """Return the survey of some respondents: a boolean mask or positions, shape ``(respondents,)``.

        For a sample drawn from the respondents. A domain estimate is no subset: use ``by=`` of the verbs instead.
        """
        return replace(
            self,
            data=self.data.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows].reset_index(drop=True),
            reasons=self.reasons.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows].reset_index(drop=True),
        )

    def __repr__(self) -> str:
        return (
            f"Survey({self.codebook.name!r}: {len(self):,} respondents, {len(self.questions)} questions, "
            f"weight {self.weight_name!r}, traits {', '.join(self.traits)})"
        )


def read_survey(
    path: str | Path,
    codebook: str | Path | Codebook | None = None,
    *,
    weight: str | None = None,
    encoding: str | None = None,
    questions: Sequence[str] | None = None,
    traits: Sequence[str] | None = None,
) -> Survey:
    """Read a survey file as released; the codebook decides what is an answer. (placeholder, being written)"""
    book = load_codebook(codebook if codebook is not None else Path(path).stem.lower())
    raw = read_columns(path, encoding=encoding)
    return as_survey(raw.frame, book, weight=weight, questions=questions, traits=traits)


def as_survey(
    frame: pd.DataFrame,
    codebook: str | Path | Codebook,
    *,
    weight: str | None = None,
    questions: Sequence[str] | None = None,
    traits: Sequence[str] | None = None,
) -> Survey:
    """Make a `Survey` of a frame of respondents with the codebook's variables as columns (names in any case).

    Parameters
    ----------
    frame : DataFrame
        A row per respondent, original codes.
    codebook : str, Path or Codebook
    weight : str, optional
        Weight variable; default the codebook's first.
    questions, traits : sequence of str, optional
        Only these; default all of the codebook's.

    Raises
    ------
    CodebookError
        If a variable is absent (the message names the nearest), or a code is in neither options nor missing.
    DesignError
        If a weight is missing, negative or infinite, or all are zero.
    """
    book = load_codebook(codebook)
    columns = _fold_case(frame, book)
    weight_name, weights = _weights(columns, book, weight)
    data: dict[str, object] = {RESPONDENT_ID: _respondent_ids(columns, book), WEIGHT: weights}
    for name, variable in ((STRATUM, book.design.stratum), (PSU, book.design.psu)):
        if variable and variable.lower() in columns:
            data[name] = columns[variable.lower()].to_numpy()
    for declared in book.weights:
        if declared.variable.lower() in columns:
            data.setdefault(declared.variable, columns[declared.variable.lower()].to_numpy(float))
    notes: list[str] = []
    for name in book.traits if traits is None else traits:
        trait = book.trait(name)
        data[name] = _recode(trait, _column(columns, trait.variable, book), notes)
    reasons: dict[str, object] = {}
    for question_id in book.questions if questions is None else questions:
        question = book.question(question_id)
        answers = _column(columns, question_id, book)
        data[question_id] = answers.to_numpy()
        reasons[question_id] = missing_reasons(question, answers, book)
    return Survey(pd.DataFrame(data), pd.DataFrame(reasons, index=range(len(frame))), book, weight_name, tuple(notes))


def missing_reasons(question: Question, answers: pd.Series, codebook: Codebook) -> pd.Categorical:
    """Say for every answer why it is none; missing where it is one of the options.

    Raises
    ------
    CodebookError
        If a code is in neither options nor missing.
    """
    reasons: Mapping[Code, str] = codebook.missing_codes(question)
    empty = answers.isna()
    valid = answers.isin(list(question.codes))
    named = answers.map(reasons).where(~valid & ~empty)
    unknown = ~valid & ~empty & named.isna()
    if unknown.any():
        counts = answers[unknown].value_counts()
        found = first_few(
            f"{code:g} ({n} respondents)" if isinstance(code, float) else f"{code} ({n} respondents)" for code, n in counts.items()
        )
        raise CodebookError(
            f"question {question.question_id!r}: code {found} is in neither options nor missing of {codebook.name}.toml; "
            "add it to one of them"
        )
    return pd.Categorical(named.mask(empty, codebook.system_missing))


def _recode(trait: Trait, values: pd.Series, notes: list[str]) -> pd.Categorical:
    level = pd.Series(pd.NA, index=values.index, dtype="object")
    missing = values.isna() | values.isin(list(trait.missing))
    for declared in trait.levels:
        if declared.range is None:
            level[values.isin(list(declared.codes)) & ~missing] = declared.name
        else:
            level[values.between(*declared.range) & ~missing] = declared.name
    outside = level.isna() & ~missing
    if outside.any():
        counts = values[outside].value_counts()
        found = first_few(f"{code} ({n} respondents)" for code, n in counts.items())
        if all(declared.range is None for declared in trait.levels):
            raise CodebookError(
                f"trait {trait.name!r}: code {found} of {trait.variable!r} is in no level and not missing; add it to one of them"
            )
        notes.append(f"trait {trait.name!r}: {int(outside.sum())} respondents lie outside every range: {found}")
    return pd.Categorical(level, categories=list(trait.level_names), ordered=True)


def _weights(columns: Mapping[str, pd.Series], book: Codebook, weight: str | None) -> tuple[str, np.ndarray]:
    name = weight or (book.weights[0].variable if book.weights else "")
    if not name:
        raise DesignError(f"codebook {book.name!r} declares no weight; name the variable with weight=, or declare [weights.<variable>]")
    values = _column(columns, name, book).to_numpy(float)
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        raise DesignError(
            f"weight {name!r}: {int(np.isnan(values).sum())} missing, {int((values < 0).sum())} negative of {len(values)} values "
            f"(rows {first_few(np.flatnonzero(bad))}); a weight must be finite and >= 0: drop or correct these respondents first"
        )
    if not values.any():
        raise DesignError(f"weight {name!r} is zero for every respondent; choose another weight variable")
    return name, values


def _respondent_ids(columns: Mapping[str, pd.Series], book: Codebook) -> np.ndarray:
    if not book.respondent_id:
        return np.arange(len(next(iter(columns.values()))))
    parts = [_column(columns, name, book) for name in book.respondent_id]
    ids = parts[0] if len(parts) == 1 else pd.concat([part.astype(str) for part in parts], axis=1).agg("-".join, axis=1)
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise CodebookError(f"{' + '.join(book.respondent_id)} does not identify respondents: {first_few(repeated.unique())} stand twice")
    return ids.to_numpy()


def _fold_case(frame: pd.DataFrame, book: Codebook) -> dict[str, pd.Series]:
    names = pd.Series([str(column).lower() for column in frame.columns])
    clash = names[names.duplicated()].unique()
    if len(clash):
        raise CodebookError(
            f"columns {first_few(clash)} differ by case only; rename one of each, since {book.name}.toml matches names in any case"
        )
    return {str(column).lower(): frame[column].reset_index(drop=True) for column in frame.columns}


def _column(columns: Mapping[str, pd.Series], name: str, book: Codebook) -> pd.Series:
    if name.lower() not in columns:
        raise CodebookError(f"{book.name}.toml names variable {name!r}, which the file lacks; {nearest(name, columns)}")
    return columns[name.lower()]
