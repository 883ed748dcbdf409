"""What a set of respondents' answers hangs together by, as numbers: correlations, reliabilities, construct scores, regressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.questions import Question
from surveysim.errors import EvaluationError, first_few
from surveysim.evaluation.metrics import jensen_shannon
from surveysim.synthesis.dependence import factor_loadings
from surveysim.synthesis.latent_scores import Whole, correlations, latent_scores
from surveysim.tables.cells import Array

Items = Sequence[tuple[int, bool]]  # of a construct: place among the questions, and whether it is turned round


@dataclass(frozen=True, eq=False)
class Answers:
    """Respondents as arrays.

    Attributes
    ----------
    places : int array, shape ``(respondents, questions)``
        Place of the option; -1 where there is no answer.
    weights : array, shape ``(respondents,)``
    cell : int array, shape ``(respondents,)``
        The background, numbered.
    questions : tuple of Question
    traits : DataFrame
    """

    places: Whole
    weights: Array
    cell: Whole
    questions: tuple[Question, ...]
    traits: pd.DataFrame

    def take(self, rows: Whole) -> Answers:
        """Return some respondents."""
        traits = self.traits.iloc[rows].reset_index(drop=True)
        return Answers(self.places[rows], self.weights[rows], self.cell[rows], self.questions, traits)

    @property
    def options(self) -> Whole:
        """How many options each question has."""
        return np.array([len(question.codes) for question in self.questions])

    @property
    def data(self) -> pd.DataFrame:
        """What a regression reads: ordered questions as places from 0, nominal questions and traits as categories."""
        columns: dict[str, object] = {}
        for question, own in zip(self.questions, self.places.T, strict=True):
            if question.type == "nominal":
                columns[question.question_id] = pd.Categorical.from_codes(own, categories=list(question.labels))
            else:
                columns[question.question_id] = np.where(own >= 0, own.astype(float), np.nan)
        return pd.concat([pd.DataFrame(columns), self.traits.reset_index(drop=True)], axis=1)


def polychoric(answers: Answers, questions: Whole) -> Array:
    """Return polychoric correlations of ordered questions, weighted, over all respondents, ``(questions, questions)``.

    References
    ----------
    Olsson (1979), doi:10.1007/BF02296207.
    """
    places, options = answers.places[:, questions], answers.options[questions]
    mask = np.arange(options.max()) < options[:, None]
    counts = np.stack([np.bincount(own[own >= 0], answers.weights[own >= 0], minlength=options.max()) for own in places.T]).astype(float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), np.finfo(float).tiny)
    everybody = np.zeros(len(places), dtype=np.int64)
    scores = latent_scores(shares[:, None], mask, places, everybody, [False] * len(options))
    return correlations(scores, answers.weights).rho


def reliability(answers: Answers, items: Items) -> tuple[float, float]:
    """Return Cronbach's alpha of a construct's items, and the average variance that their common factor extracts.

    Alpha is ``k / (k - 1) (1 - trace C / sum C)`` of the weighted covariances; the other the mean squared loading of a single factor on
    the polychoric correlations.

    References
    ----------
    Cronbach (1951), doi:10.1007/BF02310555. Fornell and Larcker (1981), doi:10.1177/002224378101800104.
    """
    values, weights = _complete(answers, items)
    covariance = np.cov(values.T, aweights=weights)
    size = len(items)
    alpha = size / (size - 1) * (1 - np.trace(covariance) / covariance.sum())
    loadings = factor_loadings(polychoric(answers, np.array([place for place, _ in items])), 1)  # turning round changes no square
    return float(alpha), float((loadings**2).mean())


def score_shares(answers: Answers, items: Items) -> Array:
    """Return the weighted shares of each value of the construct's score, the sum of its items from 0."""
    values, weights = _complete(answers, items)
    highest = int(sum(answers.options[place] - 1 for place, _ in items))
    counts = np.bincount(values.sum(1), weights, minlength=highest + 1)
    return np.asarray(counts / counts.sum())


def score_distance(first: Array, second: Array) -> float:
    """Return the Jensen-Shannon distance of two distributions of scores, the root of the divergence in nats: 0 to 0.83."""
    return float(np.sqrt(jensen_shannon(first, second)))


def coefficients(answers: Answers, formula: str) -> tuple[pd.Series, pd.Series]:
    """Return weighted least squares coefficients by term, and their variances robust to heteroscedasticity.

    Raises
    ------
    EvaluationError
        If the formula cannot be read, or its model not be fitted.
    """
    import statsmodels.formula.api as smf

    data = answers.data
    try:
        fitted = smf.wls(formula, data, weights=answers.weights).fit(cov_type="HC1")
    except Exception as problem:  # patsy raises what evaluating the formula raises
        reason = (str(problem).splitlines() or [""])[0]
        raise EvaluationError(
            f"model={formula!r} cannot be fitted: {type(problem).__name__}: {reason}; write it as 'trust ~ age3 + news', with names of "
            f"{first_few(data.columns)}, and a name with dots as Q('a.b')"
        ) from problem
    return fitted.params, fitted.bse**2


def independent(answers: Answers, generator: np.random.Generator) -> Answers:
    """Return as many respondents whose answers are drawn anew within backgrounds, each question by itself: shares stay, nothing else."""
    places, weights = answers.places.copy(), answers.weights.copy()
    for place in np.unique(answers.cell):
        rows = np.flatnonzero(answers.cell == place)
        weights[rows] = answers.weights[rows].mean()
        upto = np.cumsum(answers.weights[rows]) / answers.weights[rows].sum()
        for question in range(places.shape[1]):
            points = (np.arange(len(rows)) + generator.random()) / len(rows)  # systematic: shares stay to within a row
            drawn = rows[np.minimum(np.searchsorted(upto, points), len(rows) - 1)]
            places[rows, question] = generator.permutation(answers.places[drawn, question])
    return Answers(places, weights, answers.cell, answers.questions, answers.traits)


def _complete(answers: Answers, items: Items) -> tuple[Whole, Array]:
    """Return the items' values from 0, reversed where they are turned round, of respondents who answered all, and their weights."""
    chosen = [place for place, _ in items]
    whole = (answers.places[:, chosen] >= 0).all(1)
    values = answers.places[whole][:, chosen]
    turned = np.array([reverse for _, reverse in items])
    return np.where(turned, answers.options[chosen] - 1 - values, values), answers.weights[whole]
