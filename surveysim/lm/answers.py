"""`stream_shares`: a model's shares of any number of cells, a few at a time, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.codebook.codebook import Codebook
from surveysim.lm.base.parallel import exchange, is_main, n_processes, own
from surveysim.lm.base.spare_cores import spare_cores
from surveysim.lm.base.tokens import TokenisedQuestion, require_room, tokenise
from surveysim.lm.fit.bundles import passes
from surveysim.lm.option_model import OptionModel, PutQuestions
from surveysim.lm.prompts.template import question_prompts
from surveysim.lm.trunk.trunk import question_states
from surveysim.progress import reported
from surveysim.tables.cells import Cells, to_cells, to_table
from surveysim.tables.schema import BACKGROUND, QUESTION

Chunks = Callable[[], Iterator[tuple[str, ...]]]  # background ids, some at a time; called once for every question


def stream_shares(
    model: OptionModel, codebook: Codebook, sample: pd.DataFrame, chunks: Chunks, *, source: str, n_backgrounds: int, progress: bool = True
) -> Iterator[pd.DataFrame]:
    """Yield distributions tables of one question and one chunk of backgrounds each, question after question.

    What the trunk gives is used and forgotten: at a million cells it would push everything else out of the cache on the disk.
    So each chunk reads its question's opening again, some sixty tokens beside those of its backgrounds.

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
    tokenised = model.tokenise(codebook, questions, model.words(codebook, next(chunks())))
    cells = ((tokenised[name], backgrounds) for name in questions for backgrounds in chunks())
    shown = progress and is_main()
    with reported(label="simulating", total=n_backgrounds * len(questions), unit="cell", progress=shown) as bar:
        while some := list(islice(cells, n_processes())):  # a part for each process; nearly always there is one alone
            for (question, backgrounds), shares in zip(some, _shares(model, codebook, some), strict=True):
                answered = sample[sample[QUESTION] == question.question_id]
                yield to_table(to_cells(answered, backgrounds=backgrounds), shares.numpy()[None], source=source)
                bar.update(len(backgrounds))


def _shares(model: OptionModel, codebook: Codebook, cells: Sequence[tuple[TokenisedQuestion, tuple[str, ...]]]) -> list[Tensor]:
    """Return the shares of some parts, `(backgrounds, options)` each; of several processes each computes one."""
    parts = {str(number): part for number, part in enumerate(cells)}
    found = {}
    for number, (question, backgrounds) in own(parts).items():
        put = put_to(question, backgrounds, model, codebook)
        found[number] = model.option_shares(put, question_states(model.backbone, put))
    shapes = {number: (len(backgrounds), len(question.trie.steps)) for number, (question, backgrounds) in parts.items()}
    return list(exchange(found, shapes, torch.empty(0, dtype=torch.float64)).values())


def put_to(question: TokenisedQuestion, backgrounds: Sequence[str], model: OptionModel, codebook: Codebook) -> TokenisedQuestion:
    """Return a question with the prompts of other backgrounds.

    Raises
    ------
    PromptError
        If a prompt is longer than the model reads.
    """
    asked, template = codebook.question(question.question_id), model.template
    prompts = question_prompts(asked, model.words(codebook, backgrounds), codebook, template=template)
    put = tokenise(prompts, model.backbone.tokenizer, scoring=template.scoring)
    require_room(put, model.backbone)
    return put


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
    return answers(model, model.put(codebook, questions, backgrounds[BACKGROUND]), progress=progress)


@spare_cores()
def answers(model: OptionModel, put: PutQuestions, *, progress: bool = True) -> dict[str, np.ndarray]:
    """Return every question's shares, `(backgrounds, options)`, of questions that are put already."""
    mine, readout = own(put.tokenised), model.answering()
    found: dict[str, Tensor] = {}
    bar = reported(model.states(mine), "simulating", total=len(mine), progress=progress and is_main())
    for few in passes((name, readout.prompts(states)) for name, states in bar):
        names, prompts = zip(*few, strict=True)
        with torch.no_grad(), spare_cores():
            features = readout.fitting_features(prompts)
        found.update((name, model.shares_of(put.tokenised[name], each, readout)) for name, each in zip(names, features, strict=True))
    shapes = {name: (len(question.suffixes), len(question.trie.steps)) for name, question in put.tokenised.items()}
    return {name: shares.numpy() for name, shares in exchange(found, shapes, torch.empty(0, dtype=torch.float64)).items()}


def answer_table(shares: dict[str, np.ndarray], put: PutQuestions, cells: Cells, *, source: str) -> pd.DataFrame:
    """Return what `answers` gave as a distributions table of `cells`, whose backgrounds are among those that were asked."""
    rows = pd.Index(put.backgrounds).get_indexer(pd.Index(cells.backgrounds))
    laid = np.zeros_like(cells.shares)
    for place, name in enumerate(cells.questions):
        laid[place, :, : shares[name].shape[1]] = shares[name][rows]
    return to_table(cells, laid, source=source)
