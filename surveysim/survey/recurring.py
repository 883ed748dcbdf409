"""Rows that are one person: all answers those of another row, as a resample of a survey or a copied interview has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.survey.reasons import distinct_codes

AT_ONCE = 16  # questions that are looked at together
FEWEST = 10  # valid answers, below which rows are not compared
SURE_BITS = 10.0  # two rows are one person where chance would bring them together once in 2**10 surveys of this size


def people(ids: np.ndarray, data: pd.DataFrame, reasons: pd.DataFrame) -> np.ndarray:
    """Number the people behind a survey's rows, shape ``(respondents,)``: one id, or the answers of another row, is one person.

    Rows are one person where all their answers and missing answers are alike, and these are so many and so rare that chance hardly
    brings them together. People are numbered in the order of their first rows.

    Parameters
    ----------
    ids : array, shape ``(respondents,)``
    data, reasons : DataFrame
        As `Survey` has them.
    """
    persons = pd.factorize(ids)[0]
    rows = _alike(data, reasons)
    if len(rows):
        codes = answer_numbers(data, reasons)
        rare = rows[_bits(codes)[rows] / 2 >= np.log2(len(codes)) + SURE_BITS]  # half: answers go together
        persons[rare] = pd.Series(persons[rare]).groupby(cell_hashes(codes[rare])).transform("min").to_numpy()
        persons = pd.Series(persons).groupby(ids).transform("min").to_numpy()
    return pd.factorize(persons)[0]


def note_of_duplicates(ids: np.ndarray, data: pd.DataFrame, reasons: pd.DataFrame) -> tuple[str, ...]:
    """Return a note of how many respondents recur; none where nobody does."""
    found = int(people(ids, data, reasons).max(initial=-1)) + 1
    if found == len(ids):
        return ()
    return (
        f"{len(ids) - found:,} of {len(ids):,} respondents have the very answers of another: {found:,} people. If the file is a resample, "
        "or rows were copied, standard errors are too small; check_duplicates(survey) lists the pairs",
    )


def answer_numbers(
    data: pd.DataFrame, reasons: pd.DataFrame, *, questions: Sequence[str] | None = None, rows: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Return a number for each valid answer, -1 for any other cell, shape ``(rows, questions)``."""
    names = list(reasons.columns) if questions is None else list(questions)
    codes = np.full((len(np.arange(len(reasons))[rows]), len(names)), -1, dtype=np.int32)
    for place, question in enumerate(names):
        positions, _ = distinct_codes(data[question].values[rows])
        codes[:, place] = np.where(pd.isna(reasons[question].values[rows]), positions, -1)
    return codes


def cell_hashes(codes: np.ndarray) -> np.ndarray:
    """Return a 64-bit number for each row of cells; the same cells have the same number."""
    factors = np.bitwise_or(np.random.default_rng(0).integers(1, 2**63, size=codes.shape[1], dtype=np.uint64), np.uint64(1))
    total = np.zeros(len(codes), dtype=np.uint64)
    for column, factor in zip(codes.T, factors, strict=True):
        mixed = (column.astype(np.int64) + 2).astype(np.uint64) * factor
        total += (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)  # the finaliser of SplitMix64
    return total


def _alike(data: pd.DataFrame, reasons: pd.DataFrame) -> np.ndarray:
    """Return the rows whose cells all stand in another row too; a few questions at a time, so that rows that differ soon cost little."""
    rows = np.arange(len(reasons) if reasons.shape[1] else 0)
    seen = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, reasons.shape[1], AT_ONCE):
        part = answer_numbers(data, reasons, questions=reasons.columns[start : start + AT_ONCE], rows=rows)
        seen = pd.factorize(cell_hashes(np.column_stack([seen, part])))[0]
        often = np.bincount(seen, minlength=1)[seen] > 1
        rows, seen = rows[often], seen[often]
        if not len(rows):
            return rows
    answered = sum((pd.isna(reasons[question].values[rows]) for question in reasons), np.zeros(len(rows), dtype=int))
    return rows[answered >= FEWEST]


def _bits(codes: np.ndarray) -> np.ndarray:
    """Return how rare each respondent's valid answers are, in bits: the sum of ``-log2`` of their shares."""
    bits = np.zeros(len(codes))
    for column in codes.T:
        valid = column >= 0
        counts = np.bincount(column[valid]) if valid.any() else np.zeros(1)
        bits[valid] -= np.log2(counts[column[valid]] / valid.sum())
    return bits
