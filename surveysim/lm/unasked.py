"""Answers to questions that nobody was asked: what asked questions with as many options answer, the more the more alike they read.

A blind guess is the mean answer to such questions. A question departs from it in its level and in its shifts between backgrounds;
both departures are a Gaussian process over questions, whose covariance is the inner product of the language model's features of
the prompts. How far the features are to be believed is chosen, for each number of options, by leaving each topic of the asked
questions out in turn; not at all is a choice. Leaving single questions out would not do: the others of its topic would answer for
it, as they never can for a topic that nobody was asked about.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from surveysim.baselines.knowledge import Knowledge
from surveysim.baselines.methods import length_matched
from surveysim.baselines.multilevel import option_contrasts
from surveysim.baselines.regressions import softmax
from surveysim.codebook.codebook import Codebook
from surveysim.lm.kernel import all_answer_states, kernel_shares
from surveysim.lm.option_model import OptionModel
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.schema import BACKGROUND, QUESTION

NOISES = np.array([np.inf, 10.0, 3.0, 1.0, 0.3, 0.1])  # variance of what features do not tell, beside theirs; inf: tell nothing
FEWEST_QUESTIONS = 3
SMALLEST_SHARE = 1e-3


def unasked_shares(
    model: OptionModel,
    sample: pd.DataFrame,
    backgrounds: pd.DataFrame,
    unasked: Cells,
    codebook: Codebook,
    *,
    knowledge: Knowledge | None = None,
) -> Array:
    """Return shares of questions that nobody was asked, shape of ``unasked.shares``.

    Parameters
    ----------
    model : OptionModel
        Its frozen features are read; it need not be aligned.
    sample : DataFrame
        A distributions table of asked questions.
    backgrounds : DataFrame
        With `background_id`, in the order of `unasked`.
    unasked : Cells
        Layout of the questions to answer.
    codebook : Codebook
    knowledge : Knowledge, optional
        Of the backgrounds; default the order of levels in `codebook`.
    """
    order = tuple(dict.fromkeys([*backgrounds[BACKGROUND], *sample[BACKGROUND]]))
    asked_names = tuple(sample[QUESTION].unique())
    states = _states(model, codebook, (*asked_names, *unasked.questions), order)
    asked = to_cells(kernel_shares(sample, backgrounds, states, order, codebook, knowledge=knowledge), backgrounds=unasked.backgrounds)
    features = {name: state.numpy().mean(0) for name, state in states.items()}
    topics = {name: codebook.question(name).topic or name for name in asked.questions}
    shares = np.array(length_matched(to_cells(sample), unasked))
    for size in np.unique(unasked.mask.sum(-1)):
        if (asked.mask.sum(-1) == size).sum() < FEWEST_QUESTIONS:
            continue
        group = _Group(asked, unasked, features, topics, size)
        for part in group.parts:
            group.noise[part] = float(NOISES[int(np.argmin([group.loss(part, noise) for noise in NOISES]))])
        shares[group.rows, :, : group.size] = group.predicted()
    return shares


class _Group:
    """Questions with one number of options: those asked, and those to answer."""

    def __init__(self, asked: Cells, unasked: Cells, features: Mapping[str, Array], topics: Mapping[str, str], size: int) -> None:
        self.size = int(size)
        self.known = np.flatnonzero(asked.mask.sum(-1) == size)
        self.rows = np.flatnonzero(unasked.mask.sum(-1) == size)
        self.noise: dict[str, float] = {}
        shares = np.maximum(asked.shares[self.known, :, :size], SMALLEST_SHARE)
        self.blind = shares.mean((0, 1)) / shares.mean((0, 1)).sum()
        self.contrasts = option_contrasts(self.blind[None], np.ones((1, size), bool))[0]  # (options, contrasts)
        logits = np.log(shares) - np.log(self.blind)
        coordinates = np.einsum("qbk,k,km->qbm", logits, self.blind, self.contrasts)
        level = coordinates.mean(1, keepdims=True)
        self.parts = {"level": level[:, 0], "shift": (coordinates - level).reshape(len(self.known), -1)}
        self.topics = np.array([topics[asked.questions[row]] for row in self.known])
        names = [*(asked.questions[row] for row in self.known), *(unasked.questions[row] for row in self.rows)]
        self.kernel = _kernel(np.stack([features[name] for name in names]), len(self.known))

    def loss(self, part: str, noise: float) -> float:
        """Squared error of every asked question's departure, predicted from those on other topics; 0 where all are on one topic."""
        values, total = self.parts[part], 0.0
        for topic in np.unique(self.topics):
            out, rest = np.flatnonzero(self.topics == topic), np.flatnonzero(self.topics != topic)
            if len(rest):
                across, among = self.kernel[np.ix_(out, rest)], self.kernel[np.ix_(rest, rest)]
                total += float(((values[out] - _regress(across, among, values[rest], noise)) ** 2).sum())
        return total

    def predicted(self) -> Array:
        """Return the shares of the questions to answer, (questions, backgrounds, options)."""
        n = len(self.known)
        found = {part: _regress(self.kernel[n:, :n], self.kernel[:n, :n], values, self.noise[part]) for part, values in self.parts.items()}
        coordinates = found["level"][:, None] + found["shift"].reshape(len(self.rows), -1, self.contrasts.shape[1])
        return softmax(np.log(self.blind) + coordinates @ self.contrasts.T, np.ones((1, 1, self.size), bool))


def _regress(across: Array, among: Array, values: Array, noise: float) -> Array:
    """Kernel regression around the mean of the values."""
    mean = values.mean(0)
    if not np.isfinite(noise):
        return np.broadcast_to(mean, (len(across), values.shape[1]))
    return mean + across @ np.linalg.solve(among + noise * np.eye(len(among)), values - mean)


def _kernel(features: Array, n_known: int) -> Array:
    """Cosines of standardised features, `(questions, questions)`."""
    centred = features - features[:n_known].mean(0)
    centred /= centred[:n_known].std(0) + 1e-6
    centred /= np.linalg.norm(centred, axis=1, keepdims=True) + 1e-12
    return centred @ centred.T


def _states(model: OptionModel, codebook: Codebook, questions: tuple[str, ...], order: tuple[str, ...]) -> dict[str, Tensor]:
    words = model.words(codebook, order)
    return all_answer_states(model, model.tokenise(codebook, questions, words))
