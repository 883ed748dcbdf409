"""`predict`: a model's shares for questions and backgrounds, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from surveysim.codebook.codebook import Codebook
from surveysim.lm.base.parallel import exchange, is_main, own
from surveysim.lm.option_model import OptionModel
from surveysim.tables.schema import BACKGROUND


def predict(
    model: OptionModel, codebook: Codebook, questions: Sequence[str], backgrounds: pd.DataFrame, *, progress: bool = True
) -> dict[str, np.ndarray]:
    """Return every question's shares, `(backgrounds, options)`, rows summing to 1, in the order of `backgrounds`.

    Parameters
    ----------
    model : OptionModel
    codebook : Codebook
    questions : sequence of str
    backgrounds : DataFrame
        With `background_id`.

    Raises
    ------
    CodebookError
        If a question is unknown.
    PromptError
        If a question cannot be put to this model.
    """
    words = model.words(codebook, backgrounds[BACKGROUND])
    tokenised = model.tokenise(codebook, questions, words)
    mine = own(tokenised)
    bar = tqdm(model.states(mine), desc="simulating", total=len(mine), disable=not (progress and is_main()), leave=False)
    found = {name: model.option_shares(tokenised[name], states) for name, states in bar}
    shapes = {name: (len(question.suffixes), len(question.trie.steps)) for name, question in tokenised.items()}
    return {name: shares.numpy() for name, shares in exchange(found, shapes, torch.empty(0, dtype=torch.float64)).items()}
