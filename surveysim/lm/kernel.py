r"""Kernel form of DSA: the closed form of tuning the last layer lightly, added to multilevel regression.

To first order, tuning the last layer by a little is a Gaussian process whose covariance between two prompts is the inner product
of the features that enter it. So the covariance between two backgrounds is that of multilevel regression (levels, pairs of levels,
cells) plus the language model's own: which levels of a trait, and which backgrounds, it reads as alike. Each part has a variance
found by marginal likelihood: what the model does not know is shrunk away, and what it knows carries over to backgrounds, and to
whole levels, that were never sampled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.baselines.fitting import TrainingCells, fitted_table, training_cells
from surveysim.baselines.knowledge import Knowledge, known_order
from surveysim.codebook.codebook import Codebook, ordinal_questions
from surveysim.lm.base.parallel import exchange, is_main, own
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.option_model import OptionModel
from surveysim.lm.trunk.trunk import QuestionStates
from surveysim.progress import reported
from surveysim.tables.cells import Array
from surveysim.tables.schema import BACKGROUND, QUESTION

READING = "reading prompts"  # the job of the model: most of the time, where its states are not kept yet


def answer_states(states: QuestionStates) -> Tensor:
    """Return what enters the last layer at the answer position, `(backgrounds, hidden)`, float32."""
    rows = []
    for nodes, tree in zip(states.nodes, states.trees, strict=True):
        first_branch = tree.answers[: len(tree.answers) // states.n_branches]
        rows.append(nodes[torch.from_numpy(first_branch).to(nodes.device)].float().cpu())
    return torch.cat(rows)[torch.from_numpy(states.order)]


def model_kernels(features: Array, levels: np.ndarray) -> list[Array]:
    """Return the language model's covariances between backgrounds: one a trait, and one of whole prompts.

    Parameters
    ----------
    features : array, shape (questions, backgrounds, hidden)
    levels : array of int, shape (backgrounds, traits)

    Returns
    -------
    list of array, shape (questions, backgrounds, backgrounds)
        Mean variance 1. A trait's kernel compares the features averaged over all backgrounds of a level.
    """
    centred = features - features.mean(1, keepdims=True)
    scaled = centred / (centred.std((0, 1), keepdims=True) + 1e-6)
    kernels = []
    for trait in range(levels.shape[1]):
        codes = np.unique(levels[:, trait], return_inverse=True)[1]
        member = np.eye(codes.max() + 1)[codes]  # (backgrounds, levels)
        if member.shape[1] > 2:  # two levels are alike or not: the trait's own kernel says all
            kernels.append(_normalised(np.einsum("bl,qlh->qbh", member, np.einsum("bl,qbh->qlh", member / member.sum(0), scaled))))
    return [*kernels, _normalised(scaled)]


def _normalised(features: Array) -> Array:
    product = features @ features.transpose(0, 2, 1)
    return product / np.einsum("qbb->qb", product).mean(1).clip(1e-12)[:, None, None]


def kernel_shares(
    sample: pd.DataFrame,
    backgrounds: pd.DataFrame,
    states: Mapping[str, Tensor],
    order: tuple[str, ...],
    codebook: Codebook,
    *,
    knowledge: Knowledge | None = None,
    draws: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the kernel form's shares of every background asked for, with posterior standard errors.

    Parameters
    ----------
    sample : DataFrame
        A distributions table to learn from.
    backgrounds : DataFrame
        With `background_id`.
    states : mapping of question_id to Tensor
        `(backgrounds, hidden)` as of `answer_states`, in the order of `order`.
    order : tuple of str
        Background ids of the states' rows: at least those sampled and those asked for.
    codebook : Codebook
        Says which questions are ordered.
    knowledge : Knowledge, optional
        Of the backgrounds, besides the sample; default the order of levels in `codebook`.
    draws : int
        From the posterior, as columns ``draw_1``, ...
    seed : int
        Of the draws.

    Raises
    ------
    EstimationError
        As of the classical estimators: a question nobody answered, or other traits than the sample's.
    """
    known = Knowledge(known_order(codebook)) if knowledge is None else knowledge
    laid = training_cells(sample, backgrounds, ordinal=ordinal_questions(codebook, None), knowledge=known)
    return closed_form(laid, states, order, draws=draws, seed=seed)


def closed_form(
    laid: TrainingCells, states: Mapping[str, Tensor], order: tuple[str, ...], *, draws: int = 0, seed: int = 0
) -> pd.DataFrame:
    """Return what `kernel_shares` does, of a sample that is laid out already."""
    return fitted_table(laid, closed_kernels(laid, states, order), source="dsa-kernel", learn=True, draws=draws, seed=seed)


def closed_kernels(laid: TrainingCells, states: Mapping[str, Tensor], order: tuple[str, ...]) -> list[Array]:
    """Return the covariances of the kernel form: those of multilevel regression, then the language model's."""
    return [*laid.kernels(), *model_kernels(_features(laid, states, order), laid.levels)]


def sample_states(
    model: OptionModel, codebook: Codebook, sample: pd.DataFrame, backgrounds: pd.DataFrame, *, progress: bool = False
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return `answer_states` of every question of `sample`, and the backgrounds they are of: those asked for, then the sampled rest."""
    put = model.put(codebook, tuple(sample[QUESTION].unique()), (*backgrounds[BACKGROUND], *sample[BACKGROUND]))
    return all_answer_states(model, put.tokenised, progress=progress), put.backgrounds


def all_answer_states(model: OptionModel, tokenised: Mapping[str, TokenisedQuestion], *, progress: bool = False) -> dict[str, Tensor]:
    """Return `answer_states` of every question; where several processes share the work, each runs its own questions."""
    mine = own(tokenised)
    bar = reported(model.states(mine), READING, total=len(mine), progress=progress and is_main())
    found = {name: answer_states(states) for name, states in bar}
    shapes = {name: (len(question.suffixes), model.backbone.hidden_size) for name, question in tokenised.items()}
    return exchange(found, shapes, torch.empty(0))


def _features(laid: TrainingCells, states: Mapping[str, Tensor], order: tuple[str, ...]) -> Array:
    place = {identifier: position for position, identifier in enumerate(order)}
    rows = [place[identifier] for identifier in laid.cells.backgrounds]
    return np.stack([states[question].numpy()[rows] for question in laid.cells.questions]).astype(float)
