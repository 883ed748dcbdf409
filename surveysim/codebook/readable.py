"""Tables that people can use: the traits of every background and the words of every option as columns, in an order that prints well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import is_background_id, parse_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.questions import MISSING_REASONS
from surveysim.tables.facts import OBSERVED, is_estimate
from surveysim.tables.reading_order import TABLE_COLUMNS, in_reading_order
from surveysim.tables.schema import (
    BACKGROUND,
    BASIS,
    NOT_ASKED,
    OPTION,
    OPTION_LABEL,
    PRIOR_ALONE,
    QUESTION,
    SIMULATED,
    SOURCE,
    WITH_SAMPLE,
)


def readable(
    table: pd.DataFrame, codebook: Codebook | None = None, *, simulated: bool | None = None, like: Sequence[pd.DataFrame] = ()
) -> pd.DataFrame:
    """Return a table with a column per trait, the options' labels and whether it is simulated, in the order of `in_reading_order`.

    Every verb that returns a table by background calls this last. What the table has already stays as it is.

    Parameters
    ----------
    table : DataFrame
        Of any kind. One without `background_id`, or whose ids are none of ours, gets no traits.
    codebook : Codebook, optional
        Gives the labels, and the order of traits and levels.
    simulated : bool, optional
        Default as the table's ``attrs`` say, or its source; where neither does, there is no such column.
    like : sequence of DataFrame
        Tables that it was made of: without a codebook, their labels and the order of their traits and levels serve.

    Returns
    -------
    DataFrame
        The same rows, index and ``attrs``. Traits are categories in the order of their levels, missing where a background does not name
        them; `option_label` is empty where it is not known. `basis` is there where some questions are simulated from a prior alone.

    Examples
    --------
    >>> import pandas as pd
    >>> import surveysim as ss
    >>> from surveysim.codebook.readable import readable
    >>> table = pd.DataFrame({"question_id": "Q8_8", "background_id": "gender=male", "option_code": [1, 2], "share": [0.6, 0.4]})
    >>> readable(table, ss.load_codebook("nonvoters2020"), simulated=True).values.tolist()[0]
    ['Q8_8', 'A lot', 'male', 'gender=male', 1, True, 0.6]
    """
    traits = _traits(table, codebook, like) if BACKGROUND in table else {}
    added: dict[str, object] = {name: column for name, column in traits.items() if name not in table}
    if OPTION_LABEL not in table and {QUESTION, OPTION} <= set(table.columns):
        words = _words(codebook, like)
        if words:
            added[OPTION_LABEL] = _labels(table, words)
    told = _is_simulated(table) if simulated is None else simulated
    if SIMULATED not in table and told is not None and is_estimate(table):
        added[SIMULATED] = told
    if BASIS not in table and is_estimate(table) and (alone := _from_prior_alone([table, *like])):
        added[BASIS] = np.where(table[QUESTION].isin(alone), PRIOR_ALONE, WITH_SAMPLE)
    return in_reading_order(table.assign(**added), list(traits))


def _traits(table: pd.DataFrame, codebook: Codebook | None, like: Sequence[pd.DataFrame]) -> dict[str, pd.Categorical]:
    """Return trait -> the level of every row."""
    place, ids = pd.factorize(table[BACKGROUND], use_na_sentinel=False)
    if not all(map(is_background_id, ids)):
        return {}
    levels = [parse_background_id(one) for one in ids]
    found = dict.fromkeys(trait for own in levels for trait in own)
    told = chain.from_iterable([table, *like] if codebook is None else [codebook.traits])
    known = [name for name in dict.fromkeys(told) if name in found]
    columns = {}
    for name in [*known, *sorted(set(found) - set(known) - TABLE_COLUMNS)]:
        given = [own.get(name) for own in levels]
        names = list(dict.fromkeys(chain(_level_order(name, codebook, like), (level for level in given if level is not None))))
        code = {level: number for number, level in enumerate(names)}
        numbers = np.array([-1 if level is None else code[level] for level in given])
        columns[name] = pd.Categorical.from_codes(numbers[place], names)
    return columns


def _level_order(name: str, codebook: Codebook | None, like: Sequence[pd.DataFrame]) -> Sequence[str]:
    declared = None if codebook is None else codebook.traits.get(name) or codebook.questions.get(name)
    if declared is not None:
        return declared.level_names
    told = [table[name].cat.categories for table in like if name in table and isinstance(table[name].dtype, pd.CategoricalDtype)]
    return [str(level) for level in told[0]] if told else ()


def _words(codebook: Codebook | None, like: Sequence[pd.DataFrame]) -> Mapping[tuple[object, object], str]:
    """Return (question, code) -> label."""
    words: dict[tuple[object, object], str] = {}
    for table in like:
        if {QUESTION, OPTION, OPTION_LABEL} <= set(table.columns):
            told = table[[QUESTION, OPTION, OPTION_LABEL]].drop_duplicates()
            words |= {(question, code): label for question, code, label in told.itertuples(index=False) if isinstance(label, str)}
    if codebook is not None:
        words |= {(name, option.code): option.label for name, question in codebook.questions.items() for option in question.options}
    return words


def _labels(table: pd.DataFrame, words: Mapping[tuple[object, object], str]) -> np.ndarray:
    """Return the label of every row; a reason that counts as an option is its own."""
    asked, questions = pd.factorize(table[QUESTION], use_na_sentinel=False)
    chosen, codes = pd.factorize(table[OPTION], use_na_sentinel=False)
    labels = np.full((len(questions), len(codes)), "", dtype=object)
    for column, code in enumerate(codes):
        if isinstance(code, str) and code in MISSING_REASONS:
            labels[:, column] = code
        for row, question in enumerate(questions):
            labels[row, column] = words.get((question, code), labels[row, column])
    return labels[asked, chosen]


def _from_prior_alone(tables: Sequence[pd.DataFrame]) -> set[object]:
    """Return the questions that nobody in the sample answered, as the tables say of themselves."""
    told = {name for table in tables for name in (table.attrs.get("prior") or {}).get(NOT_ASKED, [])}
    return told.union(*(table.loc[table[BASIS] == PRIOR_ALONE, QUESTION] for table in tables if BASIS in table))


def _is_simulated(table: pd.DataFrame) -> bool | None:
    if SIMULATED in table.attrs:
        return bool(table.attrs[SIMULATED])
    sources = set(table[SOURCE].unique()) if SOURCE in table else set()
    return False if sources and sources <= set(OBSERVED) else None
