"""What a figure of response distributions shows: rows chosen and ordered, options named, joint shares with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Code, Codebook
from surveysim.errors import TableError, first_few, nearest
from surveysim.tables.cells import Z_95
from surveysim.tables.intervals import share_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    N_EFF,
    OPTION,
    ORDER,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
)

_NUMBERS = [SHARE, STD_ERROR, CONF_LOW, CONF_HIGH]


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
    backgrounds: Sequence[str] | pd.DataFrame | None = None,
    sources: Sequence[str] | None = None,
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
    for argument, value in (("backgrounds", backgrounds), ("sources", sources)):
        if isinstance(value, str):
            raise TableError(f"{argument}={value!r} is one name; give a list: {argument}=[{value!r}]")
    wanted = backgrounds[BACKGROUND] if isinstance(backgrounds, pd.DataFrame) else backgrounds
    rows = _only(rows, BACKGROUND, wanted, "backgrounds", question)
    rows = _only(rows, SOURCE, sources, "sources", question)
    if not rows[SHARE].notna().any():
        raise TableError(f"question {question!r}: no cell has a share; nobody answered it in {first_few(rows[BACKGROUND].unique())}")
    return rows


def _only(rows: pd.DataFrame, column: str, wanted: Sequence[str] | None, argument: str, question: str) -> pd.DataFrame:
    if wanted is None:
        return rows
    known = list(map(str, rows[column].unique()))
    strange = [name for name in wanted if name not in known]
    if strange or not len(wanted):
        named = (
            f"has no {first_few(map(repr, strange))}; {nearest(str(strange[0]), known)}"
            if strange
            else f"is empty; known: {first_few(known)}"
        )
        raise TableError(f"{argument}: question {question!r} {named}")
    return rows[rows[column].isin(list(wanted))]


def source_order(rows: pd.DataFrame, sources: Sequence[str] | None) -> list[str]:
    """Return the sources as asked for, or in the order in which they appear."""
    return list(dict.fromkeys(rows[SOURCE] if sources is None else sources))


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


def joint_shares(rows: pd.DataFrame, codes: Sequence[Code]) -> pd.DataFrame:
    """Return the share of some options together, per background and source, with standard error and 95% interval.

    A single option keeps its own standard error and interval. For several, the table holds no covariances: their variance
    is ``S (1 - S) / m`` with the cell's implied sample size ``m = sum p (1 - p) / sum se^2`` over all its options, exact
    for simple random samples and right on average over options for complex ones (the mean design effect of Rao and Scott).
    The interval is symmetric on the logit scale and as many standard errors wide as those of the cell's options.

    References
    ----------
    Rao and Scott (1981), doi:10.1080/01621459.1981.10477633.

    Returns
    -------
    DataFrame
        Columns `background_id source share std_error conf_low conf_high n n_eff`; standard error and interval are missing
        where the table has none.
    """
    cells = rows.drop_duplicates([BACKGROUND, SOURCE]).set_index([BACKGROUND, SOURCE]).reindex(columns=[N, N_EFF])
    found = pd.Index(rows[OPTION].unique())
    numbers = np.full((len(_NUMBERS), len(cells), len(found)), np.nan)
    place = pd.MultiIndex.from_frame(rows[[BACKGROUND, SOURCE]])
    numbers[:, cells.index.get_indexer(place), found.get_indexer(pd.Index(rows[OPTION]))] = rows.reindex(columns=_NUMBERS).to_numpy(float).T
    answered = ~np.isnan(numbers[0]).all(1)
    numbers[0, answered] = np.nan_to_num(numbers[0, answered])  # an option that a source does not list has no share of it
    chosen = found.isin(list(codes))
    values = numbers[:, :, chosen][:, :, 0] if chosen.sum() == 1 else _joint_interval(numbers, chosen, cells[N_EFF].to_numpy(float))
    return cells.assign(**dict(zip(_NUMBERS, values, strict=True))).reset_index()[[BACKGROUND, SOURCE, *_NUMBERS, N, N_EFF]]


def _joint_interval(numbers: np.ndarray, chosen: np.ndarray, n_eff: np.ndarray) -> list[np.ndarray]:
    """Return joint share, standard error and limits of the `chosen` options, from an array (number, cell, option)."""
    share, error = numbers[:2]
    joint = np.clip(share[:, chosen].sum(1), 0.0, 1.0)
    known = np.isfinite(error).any(1)
    binomial, sampled = np.nansum(share * (1 - share), 1), np.nansum(error**2, 1)
    variance = np.divide(joint * (1 - joint) * sampled, binomial, out=np.zeros(len(joint)), where=binomial > 0)
    std_error = np.where(known, np.sqrt(variance), np.nan)
    wide = std_error * _interval_multiple(numbers) / Z_95
    low, high = share_intervals(joint[:, None], wide[:, None], np.full(len(joint), np.inf), n_eff)
    return [joint, std_error, np.where(known, low[:, 0], np.nan), np.where(known, high[:, 0], np.nan)]


def _interval_multiple(numbers: np.ndarray) -> np.ndarray:
    """How many standard errors a cell's intervals reach on the logit scale: median over its options, 1.96 where none tells."""
    share, error, low, high = numbers
    inner = (low > 0) & (low < share) & (share < high) & (high < 1) & (error > 0)
    lower, middle, upper = (np.where(inner, value, 0.5) for value in (low, share, high))
    half = (np.log(upper / (1 - upper)) - np.log(lower / (1 - lower))) / 2
    ratio = np.where(inner, half * middle * (1 - middle) / np.where(inner, error, 1.0), np.nan)
    known = np.any(inner, axis=1)
    return np.where(known, np.nanmedian(np.where(known[:, None], ratio, Z_95), axis=1), Z_95)


def sources_without(table: pd.DataFrame, estimate: str, limit: str) -> list[str]:
    """Return the sources that have estimates but no interval at all."""
    groups = table.groupby(SOURCE, sort=False)
    return [str(name) for name, own in groups if own[limit].isna().all() and own[estimate].notna().any()]


def counted(table: pd.DataFrame) -> list[str]:
    """Return the sources whose respondents are counted: one that lacks a background has 0 there, one without any n has none."""
    return [str(name) for name, own in table.groupby(SOURCE, sort=False) if N in own and own[N].notna().any()]


def trait_order(ids: Sequence[str], codebook: Codebook | None) -> list[str]:
    """Return the traits of some backgrounds in the codebook's order, or as the ids name them."""
    found = list(dict.fromkeys(trait for identifier in ids for trait in parse_background_id(identifier)))
    return found if codebook is None else [name for name in codebook.traits if name in found]


def level_order(ids: Sequence[str], trait: str, codebook: Codebook | None) -> list[str]:
    """Return the levels of a trait that some backgrounds have, in the codebook's order or as they appear."""
    found = list(dict.fromkeys(levels[trait] for levels in map(parse_background_id, ids) if trait in levels))
    return found if codebook is None else [name for name in codebook.trait(trait).level_names if name in found]


def ordered_backgrounds(ids: Sequence[str], codebook: Codebook | None) -> list[str]:
    """Return background ids sorted by the codebook's levels, trait by trait; without a codebook by first appearance of levels.

    Raises
    ------
    CodebookError
        If a trait or level is unknown to the codebook.
    """
    unique = list(dict.fromkeys(ids))
    for identifier in unique:
        for trait, level in parse_background_id(identifier).items():
            if codebook is not None:
                codebook.trait(trait).level(level)
    traits = trait_order(unique, codebook)
    orders = {trait: level_order(unique, trait, codebook) for trait in traits}

    def place(identifier: str) -> tuple[int, ...]:
        levels = parse_background_id(identifier)
        return tuple(orders[trait].index(levels[trait]) if trait in levels else -1 for trait in traits)

    return sorted(unique, key=place)


def background_label(identifier: str, traits: Sequence[str]) -> str:
    """Name a background by the levels of some traits: ``female · 18-24``."""
    levels = parse_background_id(identifier)
    return " · ".join(levels[trait] for trait in traits if trait in levels) or POOLED
