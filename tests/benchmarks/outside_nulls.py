"""What a table of groups' shares is held against: everybody the same, groups exchanged, answers to other questions, a sample drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import surveysim as ss


def trait_of(table: pd.DataFrame) -> pd.Series:
    """Return the trait of every row's group; groups name a single one."""
    return table["background_id"].str.split("=").str[0]


def of_other_questions(table: pd.DataFrame, *, groups: bool, apart: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Give every cell the mean shares, option by option, of other questions with as many options: of all groups, or of its own.

    `apart` names each question's topic or fold: only questions of another one count.
    """
    together = table["question_id"] if apart is None else table["question_id"].map(apart)
    size = table.groupby(["question_id", "background_id"])["share"].transform("size")
    kept = [size, table["option_order"], *([table["background_id"]] if groups else [])]
    share = table["share"]
    total, count = (share.groupby(kept).transform(how) for how in ("sum", "count"))
    own, own_count = (share.groupby([together, *kept]).transform(how) for how in ("sum", "count"))
    others = count - own_count
    guess = np.where(
        others > 0, (total - own) / others.where(others > 0, 1), 1 / size
    )  # the only question of its length: all options alike
    return table.assign(share=guess)


def uniform(table: pd.DataFrame) -> pd.DataFrame:
    """Give all options the same share."""
    return table.assign(share=1 / table.groupby(["question_id", "background_id"])["share"].transform("size"))


def drawn(table: pd.DataFrame, n: int | None, seed: int, codebook: ss.Codebook) -> pd.DataFrame:
    """Return a table of `n` answers drawn a cell (default: as many as the cell's own `n`), as an outside table of counts."""
    rng = np.random.default_rng(seed)
    count, share, sizes = np.zeros(len(table), dtype=int), table["share"].to_numpy(float), table["n"].to_numpy()
    for rows in table.groupby(["question_id", "background_id"], sort=False).indices.values():
        count[rows] = rng.multinomial(n or int(sizes[rows[0]]), share[rows] / share[rows].sum())
    keys = table[["question_id", "background_id", "option_code"]].assign(count=count)
    return ss.as_distributions(keys, codebook, counts="count", source="drawn")


def parted(table: pd.DataFrame, sizes: tuple[int, ...], seed: int, codebook: ss.Codebook) -> tuple[dict[int, pd.DataFrame], pd.DataFrame]:
    """Part every cell's own answers, as published: the first `sizes` of them, drawn without replacement, to learn from; the rest is truth.

    Answers are the shares times `n`, rounded. The samples are nested, and the truth is what the largest leaves.
    """
    rng = np.random.default_rng(seed)
    count = {size: np.zeros(len(table), dtype=int) for size in (*sizes, 0)}
    published = np.rint(table["share"] * table["n"]).to_numpy(int)
    for rows in table.groupby(["question_id", "background_id"], sort=False).indices.values():
        answers = rng.permutation(np.repeat(np.arange(len(rows)), published[rows]))
        for size in sizes:
            count[size][rows] = np.bincount(answers[:size], minlength=len(rows))
        count[0][rows] = np.bincount(answers[max(sizes) :], minlength=len(rows))
    keys = table[["question_id", "background_id", "option_code"]]
    made = {
        size: ss.as_distributions(keys.assign(count=number), codebook, counts="count", source="answers", simulated=False)
        for size, number in count.items()
    }
    return {size: made[size] for size in sizes}, made[0]


def learnt(sample: pd.DataFrame, method: str, ordinal: list[str]) -> pd.DataFrame:
    """Return the estimate of a classical method, each trait's segments for themselves."""
    parts = []
    for _, own in sample.groupby(trait_of(sample), sort=False):
        groups = own[["background_id"]].drop_duplicates(ignore_index=True)
        parts.append(ss.estimate_baseline(own, groups, method=method, ordinal=ordinal))
    return pd.concat(parts, ignore_index=True)
