"""What simulated respondents say of themselves: which shares hold, what has no row, how the dependence was learnt, whom they resemble."""

from __future__ import annotations

from typing import Any

import numpy as np

from surveysim.design.design import kish_n_eff
from surveysim.errors import first_few
from surveysim.synthesis.dependence import FEWEST_TOGETHER, Dependence
from surveysim.synthesis.latent_scores import Whole
from surveysim.synthesis.rows import Rows, Source
from surveysim.tables.cells import Array
from surveysim.tables.facts import FACTS
from surveysim.tables.schema import MIN_N

ONLY_SOME = 1e-9


def about_respondents(source: Source, made: list[Rows], nearest: str) -> dict[str, Any]:
    """Return the ``attrs`` of a frame of simulated respondents that are about its rows; `facts` puts them into words."""
    without = options_without_row(source, made)
    n, size = len(made[0].answers), len(source.people)
    effective = np.mean([kish_n_eff(rows.weighted.weights) for rows in made])
    smallest = source.sample.smallest_cell
    several = f", in {len(made)} syntheses of as many" if len(made) > 1 else ""
    facts = {
        "respondents": f"{n:,} rows, of {size:,} backgrounds{several}",
        "shares": "; ".join(dict.fromkeys(_held(rows) for rows in made)),
        "options without a row": first_few(without) if without else "",
        "row weights": f"Kish n_eff {effective:,.0f} of {n:,}",
        "dependence": _dependence(source),
        "nearest respondents": nearest,
        "smallest cell learnt from": f"{smallest:,} respondents" + ("; keep the rows as you keep the data" if smallest < MIN_N else ""),
    }
    return {
        "options_without_row": without,
        "correlations": {
            "factors": source.dependence.factors,
            "shrinkage": source.dependence.shrinkage,
            "unestimated": unestimated(source),
        },
        "backgrounds_held": [int(rows.weighted.held.sum()) for rows in made],
        FACTS: facts,
    }


def options_without_row(source: Source, made: list[Rows]) -> list[str]:
    """Return the options with a share and no row, as ``question=code``, over all backgrounds of a synthesis."""
    found: dict[str, None] = {}
    for rows in made:
        expected = np.einsum("qbk,b->qk", rows.shares, np.bincount(rows.cell, minlength=rows.shares.shape[1]))
        for question, own, shares in zip(source.questions, rows.answers.T, expected, strict=True):
            counts = np.bincount(own, minlength=len(shares))
            lost = [place for place, code in enumerate(question.codes) if shares[place] > ONLY_SOME and not counts[place]]
            found |= {f"{question.question_id}={question.codes[place]}": None for place in lost}
    return list(found)


def unestimated(source: Source) -> list[str]:
    """Return the pairs of questions whose correlation the sample could not tell, as ``question ~ question``."""
    names = [source.questions[place].question_id for place in source.dependence.pairs.scores.question]
    first, second = np.nonzero(np.triu(source.dependence.unestimated, 1))
    return list(dict.fromkeys(f"{names[one]} ~ {names[other]}" for one, other in zip(first, second, strict=True)))


def _held(rows: Rows) -> str:
    held, size = int(rows.weighted.held.sum()), len(rows.weighted.held)
    if held == size:
        return f"those of simulate, exactly in all {size:,} backgrounds"
    off = _worst(rows.answers, rows.cell, rows.weighted.weights, rows.shares)
    rest = "the others exactly together" if rows.weighted.together else "NOT in the others together: too few rows for so many shares"
    return (
        f"those of simulate, exactly in {held:,} of {size:,} backgrounds, {rest}; among the others' own shares the farthest is off by "
        f"{off:.3f}: more rows (n=) hold more of them"
    )


def _worst(answers: Whole, cell: Whole, weights: Array, shares: Array) -> float:
    size = np.bincount(cell, weights, minlength=shares.shape[1])
    worst = 0.0
    for own, expected in zip(answers.T, shares, strict=True):
        sums = np.zeros(expected.shape)
        np.add.at(sums, (cell, own), weights)
        worst = max(worst, float(np.abs(sums / size[:, None] - expected).max()))
    return worst


def _dependence(source: Source) -> str:
    learnt: Dependence = source.dependence
    latents, lost = len(learnt.correlation), unestimated(source)
    if latents < 2:
        return "none: one question of two options or of ordered ones"
    shrunk = f"shrunk by {learnt.shrinkage:.0%} towards {learnt.factors} factor{'s' if learnt.factors > 1 else ''}"
    said = f"Gaussian copula of {latents} latent scores, learnt from {len(source.sample.answers):,} respondents; {shrunk}"
    if not lost:
        return said
    return f"{said}; by the factors alone, since fewer than {FEWEST_TOGETHER} answered both: {first_few(lost)}"
