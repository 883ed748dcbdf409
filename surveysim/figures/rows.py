"""What a figure of response distributions shows: rows chosen and ordered, options named, joint shares with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Code, Codebook
from surveysim.errors import TableError, first_few, nearest
from surveysim.tables.names import known_names_of, names_of
from surveysim.tables.schema import (
    BACKGROUND,
    OPTION,
    ORDER,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    N,
    check_distributions,
    require_columns,
)


@dataclass(frozen=True)
class Scale:
    """A question as a figure names it.

    Attributes
    ----------
    text : str
        Wording, or the question's id.
    codes, labels : tuple
        Options in order, with their labels.
    ordered : bool
    extras : tuple
        Codes of `codes` that are no valid answer (``missing="as_option"``).
    """

    text: str
    codes: tuple[Code, ...]
    labels: tuple[str, ...]
    ordered: bool
    extras: tuple[Code, ...] = ()

    @property
    def valid(self) -> tuple[Code, ...]:
        """Codes of the valid answers, in order."""
        return tuple(code for code in self.codes if code not in self.extras)

    def label(self, code: Code) -> str:
        """Return an option's label."""
        return self.labels[self.codes.index(code)]


def question_rows(
    distributions: pd.DataFrame,
    question: str,
    *,
    backgrounds: str | Sequence[str] | pd.DataFrame | None = None,
    sources: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of one question, of the backgrounds and sources asked for (default: all).

    Raises
    ------
    TableError
        If the table breaks its contract, or holds no such question, background or source, or no share at all of them.
    """
    check_distributions(distributions)
    rows = distributions[distributions[QUESTION] == question]
    if rows.empty:
        known = map(str, distributions[QUESTION].unique())
        raise TableError(f"distributions holds no question {question!r}; {nearest(str(question), known)}")
    wanted = require_columns(backgrounds, [BACKGROUND], "backgrounds")[BACKGROUND] if isinstance(backgrounds, pd.DataFrame) else backgrounds
    rows = _only(rows, BACKGROUND, wanted, "backgrounds", question)
    rows = _only(rows, SOURCE, sources, "sources", question)
    if not rows[SHARE].notna().any():
        raise TableError(f"question {question!r}: no cell has a share; nobody answered it in {first_few(rows[BACKGROUND].unique())}")
    return rows


def _only(rows: pd.DataFrame, column: str, wanted: object, argument: str, question: str) -> pd.DataFrame:
    if wanted is None:
        return rows
    known, lacking = rows[column].unique(), f"question {question!r} has no"
    return rows[rows[column].isin(known_names_of(wanted, argument, known, error=TableError, lacking=lacking))]


def source_order(rows: pd.DataFrame, sources: str | Sequence[str] | None) -> list[str]:
    """Return the sources as asked for, or in the order in which they appear."""
    return names_of(rows[SOURCE] if sources is None else sources, "sources", error=TableError)


def scale_of(rows: pd.DataFrame, question: str, codebook: Codebook | None) -> Scale:
    """Describe a question's options; without a codebook the codes are the labels and the options count as nominal.

    Raises
    ------
    CodebookError
        If the codebook lacks the question.
    """
    found = rows.drop_duplicates(OPTION).sort_values(ORDER, kind="stable")[OPTION]
    codes = tuple(found)
    if codebook is None:
        return Scale(question, codes, tuple(map(str, codes)), ordered=False)
    asked = codebook.question(question)
    names = dict(zip(asked.codes, asked.labels, strict=True))
    extras = tuple(code for code in codes if code not in names)
    labels = tuple(names.get(code, str(code).replace("_", " ")) for code in codes)
    return Scale(asked.text, codes, labels, ordered=asked.type == "ordinal", extras=extras)


def shown_options(scale: Scale, rows: pd.DataFrame, options: Sequence[Code] | None) -> tuple[Code, ...]:
    """Return the codes whose joint share a figure shows.

    Default: of an ordered question the first half of the scale, without the middle; of two options the first; else the
    option with the largest mean share.

    Raises
    ------
    TableError
        If a code is none of the question's options, or all of them are named.
    """
    if options is not None:
        strange = [code for code in options if code not in scale.codes]
        if strange or not len(options) or len(set(options)) == len(scale.codes):
            raise TableError(
                f"options must be some, not all, of the codes {first_few(scale.codes, 12)}; got {first_few(options, 12) or 'none'}"
            )
        return tuple(code for code in scale.codes if code in set(options))
    if scale.ordered or len(scale.valid) == 2:
        return scale.valid[: len(scale.valid) // 2]
    return (rows.groupby(OPTION, sort=False)[SHARE].mean().reindex(list(scale.valid)).idxmax(),)


def options_label(scale: Scale, codes: Sequence[Code]) -> str:
    """Name some options: ``“A lot” or “Some”``; three or more neighbours on a scale by their ends: ``“0” to “4”``."""
    labels = [f"“{scale.label(code)}”" for code in codes]
    places = [scale.codes.index(code) for code in codes]
    if len(codes) > 2 and places[-1] - places[0] == len(codes) - 1:
        return f"{labels[0]} to {labels[-1]}"
    return " or ".join(labels)


def sources_without(table: pd.DataFrame, estimate: str, limit: str) -> list[str]:
    """Return the sources that have estimates but no interval at all."""
    groups = table.groupby(SOURCE, sort=False)
    return [str(name) for name, own in groups if own[limit].isna().all() and own[estimate].notna().any()]


def counted(table: pd.DataFrame) -> list[str]:
    """Return the sources whose respondents are counted: one that lacks a background has 0 there, one without any n has none."""
    return [str(name) for name, own in table.groupby(SOURCE, sort=False) if N in own and own[N].notna().any()]


def background_label(identifier: str, traits: Sequence[str]) -> str:
    """Name a background by the levels of some traits: ``female · 18-24``."""
    levels = parse_background_id(identifier)
    return " · ".join(levels[trait] for trait in traits if trait in levels) or POOLED
