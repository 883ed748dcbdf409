"""Errors of cross-fitted shares against the answers of respondents that a fit did not learn from, free of their sampling error.

With p the shares estimated for a respondent's background, y the answer (1 at the option chosen) and m the mean answer of the background's
respondents in other folds, ``|p|^2 - 2 p y + m y`` has the squared distance of p from the population's shares as its expectation, for m and
y come from different respondents. All three are taken less the question's mean answer, which leaves the distance as it is and the sum less
noisy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.tables.cells import Array

Left = tuple[int, ...]  # folds that a fit did not learn from


@dataclass(frozen=True, eq=False)
class HeldAnswers:
    """Scored answers to a question; arrays are of shape (answers,) but where said.

    Attributes
    ----------
    question : int
    transform : array, shape (options, columns)
        Shares times it are what squared distances are taken of.
    centre : array, shape (columns,)
        Mean answer, transformed.
    rows, background, fold : array of int
        Positions of respondents in the survey, of their backgrounds, and folds.
    weight : array
        Sums to 1.
    answer : array, shape (answers, columns)
        Transformed, less the centre.
    value : array
        Each answer's product with the mean answer of its background in other folds.
    centred : array
        What it adds to that mean's error: twice the product, less its mean in the background.
    alone : int
        Answers left out, since nobody of another fold has their background.
    """

    question: int
    transform: Array
    centre: Array
    rows: np.ndarray
    background: np.ndarray
    fold: np.ndarray
    weight: Array
    answer: Array
    value: Array
    centred: Array
    alone: int


def held_answers(
    question: int, choice: np.ndarray, background: np.ndarray, fold: np.ndarray, weights: Array, *, transform: Array, share: Array | None
) -> HeldAnswers:
    """Return the answers to a question that can be scored.

    Parameters
    ----------
    question : int
    choice, background : array of int, shape (respondents,)
        Position of the option chosen, and of the background; -1 where there is none.
    fold : array of int, shape (respondents,)
    weights : array, shape (respondents,)
    transform : array, shape (options, columns)
    share : array, shape (backgrounds,), optional
        Of the population; default that of the weights.
    """
    rows = np.flatnonzero((background >= 0) & (choice >= 0) & (weights > 0))
    size = int(background.max(initial=0)) + 1 if share is None else len(share)
    answer, own, weight, folds = transform[choice[rows]], background[rows], weights[rows], fold[rows]
    centre = weight @ answer / weight.sum() if len(rows) else np.zeros(transform.shape[1])
    answer = answer - centre
    sums = np.zeros((size, int(fold.max()) + 1, answer.shape[1]))
    total = np.zeros(sums.shape[:2])
    np.add.at(sums, (own, folds), weight[:, None] * answer)
    np.add.at(total, (own, folds), weight)
    counts = np.zeros(sums.shape[:2], int)
    np.add.at(counts, (own, folds), 1)
    there = counts.sum(1)[own] > counts[own, folds]
    alone = int((~there).sum())
    rows, own, weight, folds, answer = (each[there] for each in (rows, own, weight, folds, answer))
    others = (sums.sum(1)[own] - sums[own, folds]) / (total.sum(1)[own] - total[own, folds])[:, None]
    value = (answer * others).sum(1)
    if share is not None:
        weight = weight * share[own] / np.bincount(own, weight, minlength=size)[own]
    within = np.bincount(own, weight, minlength=size)
    mean = np.bincount(own, weight * value, minlength=size) / np.where(within > 0, within, 1.0)
    weight = weight / weight.sum() if weight.sum() > 0 else weight
    return HeldAnswers(question, transform, centre, rows, own, folds, weight, answer, value, 2.0 * value - mean[own], alone)


@dataclass(frozen=True, eq=False)
class CrossErrors:
    """Errors of methods, of fits to all folds but one and but two.

    Attributes
    ----------
    answers : list of HeldAnswers
        Of each question.
    fits : mapping of (folds left out, method) to array, shape (questions, backgrounds, options)
        Shares.
    folds : int
    """

    answers: list[HeldAnswers]
    fits: Mapping[tuple[Left, str], Array]
    folds: int

    def error(self, methods: Sequence[str], n: int) -> tuple[float, Array]:
        """Return the mean error of fits without each fold in turn, by the method named for that fold.

        Parameters
        ----------
        methods : sequence of str
            Of each fold.
        n : int
            Respondents of the survey.

        Returns
        -------
        tuple of (float, array of shape (n,))
            The error, and what every respondent adds to it, centred.
        """
        total, influence = 0.0, np.zeros(n)
        for each in self.answers:
            distance = self._distance(each, methods)
            total += float(each.weight @ (distance + each.value))
            own = distance + each.centred
            np.add.at(influence, each.rows, each.weight * (own - each.weight @ own))
        return total / len(self.answers), influence / len(self.answers)

    def without(self, method: str, fold: int) -> float:
        """Return a method's mean error on all folds but one, of fits that learnt from neither, less what is the same for all methods."""
        of_question = []
        for each in self.answers:
            kept = each.weight * (each.fold != fold)
            if kept.sum() > 0:
                of_question.append(float(kept @ self._distance(each, [method] * self.folds, fold)) / float(kept.sum()))
        return float(np.mean(of_question))

    def learnt(self, method: str) -> float:
        """Return by how much a method's error is smaller without one fold than without two, on the same answers."""
        fewer = 0.0
        for each in self.answers:
            once = self._distance(each, [method] * self.folds)
            for fold in range(self.folds):
                kept = each.weight * (each.fold != fold)
                fewer += float(kept @ (self._distance(each, [method] * self.folds, fold) - once))
        return fewer / (self.folds - 1) / len(self.answers)

    def _distance(self, each: HeldAnswers, methods: Sequence[str], beside: int | None = None) -> Array:
        """Return ``|p|^2 - 2 p y`` of every answer, p of the fit without its fold (and `beside`); 0 in the fold `beside`."""
        found = np.zeros(len(each.rows))
        for fold in range(self.folds):
            if fold == beside:
                continue
            own = each.fold == fold
            left = (fold,) if beside is None else tuple(sorted((fold, beside)))
            shares = self.fits[left, methods[fold]][each.question][:, : len(each.transform)] @ each.transform - each.centre
            here = shares[each.background[own]]
            found[own] = (here**2).sum(1) - 2.0 * (here * each.answer[own]).sum(1)
        return found
