"""`Banner`: a table laid out for readers, questions down and backgrounds across, with letters of significance and its facts in the foot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id, trait_order
from surveysim.codebook.codebook import Codebook
from surveysim.differences.letters import LETTERS, TEST, column_letters, significance_letters
from surveysim.errors import TableError, first_few
from surveysim.publishing.disclosure import DISCLOSURE
from surveysim.tables.facts import STATUS, is_simulated, table_facts
from surveysim.tables.schema import (
    BACKGROUND,
    ESTIMATE,
    N_EFF,
    OPTION,
    OPTION_LABEL,
    ORDER,
    QUESTION,
    SHARE,
    SIMULATED,
    SOURCE,
    SUPPRESSED,
    N,
)
from surveysim.tables.stacking import PARTS

WITHHELD, NOBODY = "[c]", "[z]"  # as the UK's Government Statistical Service marks them: confidential; not applicable
MARKS = {
    WITHHELD: "withheld to protect respondents (confidential)",
    NOBODY: "no respondents, so that there is no number",
}
EVERYBODY = "all"


@dataclass(frozen=True)
class Line:
    """A row of a banner: what it is of, and a number or a mark for every column, with letters."""

    label: str
    values: tuple[float | str, ...]
    letters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A question of a banner: its words, its options, and the numbers of respondents."""

    question: str
    text: str
    lines: tuple[Line, ...]
    sizes: tuple[Line, ...]


@dataclass(frozen=True)
class Banner:
    """A table of one source as readers see it.

    Attributes
    ----------
    source : str
    title, survey : str
        Whether simulated, and the survey's title.
    heads : tuple of (str, tuple of str)
        A row of the head for each trait: its words, and the level of every column.
    columns : tuple of str
        The letter of every column.
    blocks : tuple of Block
    are_shares : bool
        Whether the numbers are shares, 0-1.
    foot : tuple of str
        Facts, the test, marks, and what was withheld: a line each.
    """

    source: str
    title: str
    survey: str
    heads: tuple[tuple[str, tuple[str, ...]], ...]
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    are_shares: bool
    foot: tuple[str, ...]


def banners(
    table: pd.DataFrame, *, codebook: Codebook | None, whole: pd.DataFrame | None = None, level: float, adjust: str
) -> list[Banner]:
    """Return a banner for every source of a table.

    Parameters
    ----------
    table : DataFrame
        Shares or estimates, one row a background and option, as `protect` leaves them.
    codebook : Codebook or None
        Words of questions and traits.
    whole : DataFrame, optional
        The same rows before cells were withheld: letters of what is shown are taken from it, with its covariance.
    level : float
        Of significance; 0: no letters.
    adjust : str
        As of `significance_letters`.

    Raises
    ------
    TableError
        If the table has neither shares nor estimates, or several rows of a background in one question.
    """
    value = next((name for name in (SHARE, ESTIMATE) if name in table), None)
    if value is None or QUESTION not in table or BACKGROUND not in table:
        raise TableError("a banner needs a table of shares or estimates by question and background; write other tables to .csv or .parquet")
    keys = [QUESTION, BACKGROUND, *([OPTION] if value == SHARE else []), *([SOURCE] if SOURCE in table else [])]
    if table.duplicated(keys).any():
        twice = first_few(table.loc[table.duplicated(keys), QUESTION].unique())
        raise TableError(
            f"a banner has one number a background and option; {twice} has several: choose one quantile or fold, or write a .csv"
        )
    sources = table[SOURCE].unique() if SOURCE in table else ["survey"]
    made = []
    for source in sources:
        rows = table[table[SOURCE] == source] if SOURCE in table else table
        before = rows if whole is None else whole.loc[rows.index]
        rows.attrs, before.attrs = _own_facts(rows, str(source)), _own_facts(before, str(source))
        made.append(_banner(rows, str(source), before, value, codebook, level=level, adjust=adjust))
    return made


def _banner(
    rows: pd.DataFrame, source: str, before: pd.DataFrame, value: str, codebook: Codebook | None, *, level: float, adjust: str
) -> Banner:
    ids = list(rows[BACKGROUND].unique())
    letters, said = _letters(rows, before, level, adjust)
    blocks = [_block(own, ids, value, codebook, letters) for _, own in rows.groupby(QUESTION, sort=False, observed=True)]
    stands = {name: place for place, name in enumerate(rows)}  # the first trait of the table is the outer row of the head
    traits = sorted(trait_order(ids, codebook), key=lambda name: stands.get(name, len(stands)))
    levels = [parse_background_id(name) for name in ids]
    heads = [(name, tuple(own.get(name, "" if own else EVERYBODY) for own in levels)) for name in traits]
    facts = {name: fact for name, fact in table_facts(rows).items() if name not in (N, N_EFF)}
    title = facts.pop(STATUS, "Table")
    marks = {cell for block in blocks for line in (*block.lines, *block.sizes) for cell in line.values if isinstance(cell, str)}
    foot = [
        *(f"{name}: {fact}" for name, fact in facts.items()),
        *(f"{name}: {words}" for name in traits if (words := _words(name, codebook))),
        "n: respondents in the denominator, unweighted; n_eff: Kish's effective number of respondents, given the weights",
        said,
        *(f"{mark}: {words}" for mark, words in MARKS.items() if mark in marks),
        _withheld(rows),
    ]
    shown = tuple(heads) or (("", (EVERYBODY,) * len(ids)),)
    return Banner(
        source,
        title,
        "" if codebook is None else codebook.title,
        shown,
        tuple(column_letters(len(ids))),
        tuple(blocks),
        value == SHARE,
        tuple(filter(None, foot)),
    )


def _own_facts(rows: pd.DataFrame, source: str) -> dict[str, Any]:
    """Return what a source's rows record: of a stack, what the one table that they come from does."""
    if PARTS not in rows.attrs:
        return dict(rows.attrs)
    shared = {name: value for name, value in rows.attrs.items() if name != PARTS}
    simulated = is_simulated(rows)
    parts = [part for part in rows.attrs[PARTS] if (part.get("method") == source if simulated else not part.get(SIMULATED))]
    return {**parts[0], **shared} if len(parts) == 1 else shared


def _letters(rows: pd.DataFrame, before: pd.DataFrame, level: float, adjust: str) -> tuple[dict[tuple[object, ...], str], str]:
    """Return (question, background, option) -> letters, and what is said of them."""
    if not level:
        return {}, ""
    if is_simulated(rows):
        return {}, "no letters: the errors of simulated cells go together, and no respondent stands behind a difference"
    published = before[(rows[SUPPRESSED] == "").to_numpy()] if SUPPRESSED in rows else before
    if published.empty:
        return {}, ""
    found = significance_letters(published, level=level, adjust=adjust)
    order = dict(zip(rows[BACKGROUND].unique(), column_letters(rows[BACKGROUND].nunique()), strict=True))
    own = {letter: order[name] for name, letter in found.attrs["columns"].items()}  # the letters of the columns shown
    words = [", ".join(own[letter] for letter in text.split(", ") if letter) for text in found[LETTERS]]
    keys = [name for name in found.columns if name != LETTERS]
    return dict(zip(found[keys].itertuples(index=False, name=None), words, strict=True)), f"letters: {found.attrs[TEST]}"


def _block(rows: pd.DataFrame, ids: Sequence[str], value: str, codebook: Codebook | None, letters: dict[tuple[object, ...], str]) -> Block:
    question = str(rows[QUESTION].iloc[0])
    asked = None if codebook is None else codebook.questions.get(question)
    options = rows.sort_values(ORDER, kind="stable")[OPTION].unique() if value == SHARE else [None]
    lines = []
    for option in options:
        own = (rows[rows[OPTION] == option] if value == SHARE else rows).set_index(BACKGROUND)
        label = "mean" if value == ESTIMATE else str(own[OPTION_LABEL].iloc[0]) if OPTION_LABEL in own else ""
        key = () if value == ESTIMATE else (option,)
        found = tuple(letters.get((question, name, *key), "") for name in ids)
        lines.append(Line(label if value == ESTIMATE else label or str(option), _numbers(own, ids, value), found))
    first = rows.drop_duplicates(BACKGROUND).set_index(BACKGROUND)
    sizes = [Line(name, _numbers(first, ids, name)) for name in (N, N_EFF) if name in rows]
    return Block(question, "" if asked is None else asked.text, tuple(lines), tuple(sizes))


def _numbers(rows: pd.DataFrame, ids: Sequence[str], column: str) -> tuple[float | str, ...]:
    """Return the numbers of a row, or the mark of what is not there."""
    values = rows[column].reindex(list(ids)).astype(float)
    why = rows[SUPPRESSED].reindex(list(ids)).fillna("") if SUPPRESSED in rows else pd.Series("", index=values.index)
    return tuple(float(number) if pd.notna(number) else WITHHELD if reason else NOBODY for number, reason in zip(values, why, strict=True))


def _words(name: str, codebook: Codebook | None) -> str:
    """Return the label of a trait, or the wording of a question whose answers are the columns."""
    if codebook is None or name not in {**codebook.traits, **codebook.questions}:
        return ""
    return codebook.traits[name].label if name in codebook.traits else codebook.questions[name].text


def _withheld(rows: pd.DataFrame) -> str:
    done = rows.attrs.get(DISCLOSURE)
    if not done or done.get("how") == "none":
        return "disclosure control: nothing was withheld or rounded"
    if done["how"] == "round":
        return f"disclosure control: numbers of respondents are multiples of {done['min_n']}, and shares are those of rounded numbers"
    cells = rows.drop_duplicates([QUESTION, BACKGROUND])
    hidden = int((cells[SUPPRESSED] != "").sum()) if SUPPRESSED in cells else 0
    return (
        f"disclosure control: {hidden:,} of {len(cells):,} cells withheld: those of fewer than {done['min_n']} respondents, and those "
        "that these would follow from"
    )
