"""Shares of questions that a method was not trained on: what `compare_methods` asks where questions are held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from surveysim.baselines.knowledge import Knowledge
from surveysim.baselines.methods import BLIND
from surveysim.codebook.codebook import Codebook
from surveysim.estimation.distributions import cell_shares
from surveysim.evaluation.trials import Trial
from surveysim.tables.cells import to_cells, to_table
from surveysim.tables.schema import BACKGROUND, POPULATION_SHARE

if TYPE_CHECKING:
    from surveysim.lm.option_model import OptionModel


def unasked_table(
    trial: Trial,
    method: str,
    model: OptionModel | None,
    book: Codebook,
    *,
    by: Sequence[str],
    group_predictors: pd.DataFrame | None,
    known: Knowledge,
    seed: int,
) -> pd.DataFrame:
    """Return the shares, in the layout of the trial's truth, of questions that the method was not trained on.

    Parameters
    ----------
    trial : Trial
    method : str
        One that answers questions it was not trained on.
    model : OptionModel or None
        A base model; None: the default model, if the method needs one.
    book : Codebook
    by : sequence of str
    group_predictors : DataFrame or None
    known : Knowledge
    seed : int
    """
    sample = cell_shares(trial.train, by=by, questions=trial.asked)
    layout = to_cells(trial.truth)
    if method in BLIND:
        return to_table(layout, BLIND[method](to_cells(sample), layout), source=method)
    from surveysim.lm.answers import answer_table, answers
    from surveysim.lm.fit.stages import DSA
    from surveysim.lm.loading import load_model
    from surveysim.lm.training import align
    from surveysim.lm.unasked import unasked_shares

    chosen = model or load_model()
    asked = trial.backgrounds.set_index(BACKGROUND).loc[list(layout.backgrounds)].reset_index()
    if method == "dsa-kernel":
        return to_table(layout, unasked_shares(chosen, sample, asked, layout, book, knowledge=known), source=method)
    if method != "zero-shot":
        stages = DSA if method == "dsa" else DSA[:1]
        grid = trial.backgrounds[[*by, POPULATION_SHARE]]
        chosen = align(chosen, sample, book, backgrounds=grid, stages=stages, group_predictors=group_predictors, seed=seed, progress=False)
    put = chosen.put(book, layout.questions, layout.backgrounds)
    return answer_table(answers(chosen, put, progress=False), put, layout, source=method)
