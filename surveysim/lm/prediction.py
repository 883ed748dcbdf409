"""`predict`: a model's shares for questions and backgrounds, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from surveysim.codebook import Codebook
from surveysim.lm.option_model import OptionModel
from surveysim.schema import BACKGROUND


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
    bar = tqdm(model.states(tokenised), desc="simulating", total=len(tokenised), disable=not progress, leave=False)
    return {name: model.option_shares(tokenised[name], states).numpy() for name, states in bar}
