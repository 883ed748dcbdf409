"""`stream_shares`: a model's shares of any number of cells, a few at a time, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pandas as pd
from tqdm.auto import tqdm

from surveysim.cells import to_cells, to_table
from surveysim.codebook import Codebook
from surveysim.lm.backbone import TokenIds, TokenisedQuestion, require_room
from surveysim.lm.option_model import OptionModel
from surveysim.lm.trunk import question_states
from surveysim.schema import QUESTION

Chunks = Callable[[], Iterator[tuple[str, ...]]]  # background ids, some at a time; called once for every question


def stream_shares(
    model: OptionModel, codebook: Codebook, sample: pd.DataFrame, chunks: Chunks, *, source: str, n_backgrounds: int, progress: bool = True
) -> Iterator[pd.DataFrame]:
    """Yield distributions tables of one question and one chunk of backgrounds each, question after question.

    What the trunk gives is used and forgotten: at a million cells it would push everything else out of the cache on the disk.

    Parameters
    ----------
    model : OptionModel
    codebook : Codebook
    sample : DataFrame
        A distributions table of the questions to ask, for the cells' `n` and `n_eff`.
    chunks : callable
        Returns an iterator over the backgrounds' ids.
    source : str
    n_backgrounds : int
        Of all chunks together, for the progress bar.
    progress : bool

    Raises
    ------
    PromptError
        If a question cannot be put to this model.
    """
    questions = tuple(sample[QUESTION].unique())
    first = next(chunks())
    tokenised = model.tokenise(codebook, questions, model.words(codebook, first))
    with tqdm(desc="simulating", total=n_backgrounds * len(questions), unit="cell", disable=not progress, leave=False) as bar:
        for name in questions:
            answered = sample[sample[QUESTION] == name]
            for backgrounds in chunks():
                question = put_to(tokenised[name], backgrounds, model, codebook)
                shares = model.option_shares(question, question_states(model.backbone, question)).numpy()
                yield to_table(to_cells(answered, backgrounds=backgrounds), shares[None], source=source)
                bar.update(len(backgrounds))


def put_to(question: TokenisedQuestion, backgrounds: Sequence[str], model: OptionModel, codebook: Codebook) -> TokenisedQuestion:
    """Return a question with the prompts of other backgrounds.

    Raises
    ------
    PromptError
        If a prompt is longer than the model reads.
    """
    ids = TokenIds(model.backbone.tokenizer)  # a new one each time: it keeps every text
    texts = [model.template.respondent.format(background=words) for words in model.words(codebook, backgrounds).values()]
    put = replace(question, suffixes=tuple(ids[text] for text in texts))
    require_room(put, model.backbone)
    return put
