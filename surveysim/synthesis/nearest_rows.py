"""Whether simulated rows reproduce sampled respondents: how near each comes to one, beside how near sampled respondents come to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from surveysim.synthesis.latent_scores import Whole
from surveysim.tables.cells import Array
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals

SURE = 3.2905  # standard errors above a half: chance gives the alarm once in 2,000 times
MOST_ROWS, MOST_RESPONDENTS = 1000, 4000  # compared: more make the same shares, only slower


def nearest_respondents(
    rows: Whole, row_cell: Whole, sample: Whole, cell: Whole, *, nominal: Sequence[bool], options: Whole, generator: np.random.Generator
) -> dict[str, Any]:
    """Return how near simulated rows come to the sampled respondents, and how near these come to others of them.

    For each respondent in turn, held out, the nearest other one; for a simulated row of the same background the nearest of all. Where
    rows are drawn from the population and copy nobody, either is the nearer one as often.

    Parameters
    ----------
    rows, sample : int array, shape ``(rows, questions)``
        Places of the options; -1 where there is no answer.
    row_cell, cell : int array
        Background of each.
    nominal : sequence of bool, shape ``(questions,)``
    options : int array, shape ``(questions,)``
        How many each question has.

    Returns
    -------
    dict
        `compared`: pairs; `simulated`, `held_out`: mean distance to the nearest respondent, 0-1, the mean over questions of the difference
        of ordered answers (full scale 1) and of whether nominal ones differ; `nearer`: in what share of pairs the simulated row is the
        nearer one, ties half, with `conf_low` and `conf_high` (95%), and `beyond_chance`; `same_simulated`, `same_held_out`: share with all
        answers of a respondent.

    References
    ----------
    Gower (1971), A general coefficient of similarity, doi:10.2307/2528823.
    """
    whole = np.flatnonzero((sample >= 0).all(1))
    if len(whole) < 2:
        return {"compared": 0}
    beside = generator.permutation(whole)[:MOST_RESPONDENTS]
    chosen = beside[:MOST_ROWS]
    of_cell = {int(place): list(generator.permutation(np.flatnonzero(row_cell == place))) for place in np.unique(cell[chosen])}
    pairs = [(one, of_cell[int(cell[one])].pop()) for one in chosen if of_cell[int(cell[one])]]  # each row once
    if not pairs:
        return {"compared": 0}
    held, made = (np.array(side) for side in zip(*pairs, strict=True))
    width = np.where(nominal, np.inf, np.maximum(options - 1, 1).astype(float))
    real = _nearest(sample[held], sample[beside], width, itself=np.searchsorted(np.sort(beside), held), order=np.argsort(beside))
    near = _nearest(rows[made], sample[beside], width)
    wins = np.where(near < real, 1.0, np.where(near > real, 0.0, 0.5))
    share, error = wins.mean(), wins.std() / np.sqrt(len(wins))
    low, high = normal_intervals(np.array([share]), np.array([error]), bounds=OF_A_SHARE)
    return {
        "compared": len(pairs),
        "simulated": float(near.mean()),
        "held_out": float(real.mean()),
        "nearer": float(share),
        "conf_low": float(low[0]),
        "conf_high": float(high[0]),
        "beyond_chance": bool(share - 0.5 > SURE * error),
        "same_simulated": float((near == 0).mean()),
        "same_held_out": float((real == 0).mean()),
    }


def _nearest(rows: Whole, sample: Whole, width: Array, *, itself: Whole | None = None, order: Whole | None = None) -> Array:
    """Return each row's distance to the nearest respondent; `itself`: the place of the row in the sorted sample, which does not count."""
    apart = np.zeros((len(rows), len(sample)))
    for own, other, full in zip(rows.T, sample.T, width, strict=True):
        gap = np.abs(own[:, None] - other)
        apart += np.minimum(gap, 1) if np.isinf(full) else gap / full
    if itself is not None and order is not None:
        apart[np.arange(len(rows)), order[itself]] = np.inf
    return np.asarray(apart.min(1) / rows.shape[1])


def in_words(found: dict[str, Any]) -> str:
    """Put what `nearest_respondents` found into one line."""
    if not found["compared"]:
        return "not compared: fewer than two respondents answered all questions"
    verdict = (
        "NEARER TO SAMPLED RESPONDENTS THAN CHANCE WOULD BRING THEM"
        if found["beyond_chance"]
        else "no nearer than chance brings other respondents"
    )
    pairs = f"{found['nearer']:.1%} of {found['compared']:,} pairs"
    return (
        f"{verdict}: a row is the nearer one in {pairs} with a held-out respondent (95% interval {found['conf_low']:.1%} to "
        f"{found['conf_high']:.1%}); mean distance {found['simulated']:.3f} beside {found['held_out']:.3f}; all answers those of a "
        f"sampled respondent: {found['same_simulated']:.1%} beside {found['same_held_out']:.1%}"
    )


def beyond_chance(found: dict[str, Any]) -> bool:
    """Say whether rows come nearer to sampled respondents than others do."""
    return bool(found["compared"] and found["beyond_chance"])
