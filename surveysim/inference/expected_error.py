"""The error that an estimate of backgrounds will have, by how many respondents of each there are, and where more lower it most.

In multilevel regression the posterior covariance of a contrast between backgrounds depends on how many are asked where, and not on what
they answer. With S that covariance, v the information of the next respondent of background b, the variance of any combination u of
backgrounds falls by ``v (u' S_b)^2 / (1 + v S_bb)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from surveysim.baselines.fitting import TrainingCells
from surveysim.baselines.posterior import OpenContrasts
from surveysim.baselines.variance_components import information, scaled_covariance
from surveysim.tables.cells import Array

TARGETS = ("backgrounds", "population", "total")


@dataclass(frozen=True, eq=False)
class ExpectedError:
    """What is open about the contrasts of all questions, in rows of contrasts that share a covariance.

    Attributes
    ----------
    covariance : array, shape (rows, backgrounds, backgrounds)
    each : array, shape (rows, backgrounds)
        Information that one more respondent gives.
    own : array, shape (rows, backgrounds)
        Mean over options and questions of the squared slopes of the shares.
    weight : array, shape (backgrounds,)
        Of each background's squared error.
    loads : array, shape (rows, backgrounds, columns), optional
        If given, the squared error is the sum of ``loads' covariance loads`` over columns and rows, in place of the weighted one.
    places : array of int
        Of the backgrounds asked for.
    """

    covariance: Array
    each: Array
    own: Array
    weight: Array
    loads: Array | None
    places: np.ndarray

    def after(self, numbers: np.ndarray) -> ExpectedError:
        """Return the error with so many more respondents of each background asked for."""
        more = np.zeros(len(self.weight))
        more[self.places] = numbers
        return replace(self, covariance=_reduced(self.covariance, self.each * more))

    @property
    def value(self) -> float:
        """Root mean square expected error of a share of the target."""
        if self.loads is None:
            return float(np.sqrt((self.own * self.weight * self._variances).sum()))
        return float(np.sqrt((self.loads * (self.covariance @ self.loads)).sum()))

    @property
    def std_errors(self) -> Array:
        """Root mean square expected error of the shares of each background asked for."""
        return np.asarray(np.sqrt((self.own * self._variances).sum(0))[self.places])

    def gains(self, respondents: int) -> Array:
        """Return by how much the squared error falls with so many more of each background asked for."""
        each = respondents * self.each
        if self.loads is None:
            reach = np.einsum("ra,rab->rb", self.own * self.weight, self.covariance**2)
        else:
            reach = ((self.covariance @ self.loads) ** 2).sum(-1)
        return np.asarray((each / (1.0 + each * self._variances) * reach).sum(0))[self.places]

    def with_more(self, background: int, respondents: int) -> ExpectedError:
        """Return the error with so many more respondents of the background asked for in this place: a rank-one update."""
        place = self.places[background]
        column, each = self.covariance[:, :, place], respondents * self.each[:, place]
        factor = each / (1.0 + each * column[:, place])
        return replace(self, covariance=self.covariance - factor[:, None, None] * column[:, :, None] * column[:, None])

    @property
    def _variances(self) -> Array:
        return np.einsum("raa->ra", self.covariance)


def expected_error(laid: TrainingCells, opened: Sequence[OpenContrasts], *, respondents: int, share: Array, target: str) -> ExpectedError:
    """Return the expected error of an estimate from a sample.

    Parameters
    ----------
    laid : TrainingCells
    opened : sequence of OpenContrasts
        As of `surveysim.baselines.fitting.what_is_open`.
    respondents : int
        In the sample: its effective answers to a question, over these, are what one more respondent is taken to give.
    share : array, shape (backgrounds asked for,)
        Of the population; sums to 1.
    target : str
        Of `TARGETS`: the error of every background's share, all alike, or weighted by `share`, or of the population's.
    """
    cells, places = laid.cells, laid.asked
    scale = 1.0 / (len(cells.questions) * cells.mask.sum(1))
    answers = cells.n_eff.sum(1) / respondents
    sizes = np.stack([cells.n_eff[one.question] * one.information for one in opened])
    each = np.stack([answers[one.question] * one.information for one in opened])
    own = np.stack([scale[one.question] * (one.slopes**2).sum((1, 2)) for one in opened])
    weight = np.zeros(len(cells.backgrounds))
    weight[places] = 1.0 / len(places) if target == "backgrounds" else share
    loads = None
    if target == "total":
        loads = np.zeros((*own.shape, max(one.slopes[0].size for one in opened)))
        for row, one in enumerate(opened):
            loads[row, :, : one.slopes[0].size] = np.sqrt(scale[one.question]) * weight[:, None] * one.slopes.reshape(len(weight), -1)
    before = np.stack([one.covariance for one in opened])
    return ExpectedError(_reduced(before, sizes), each, own, weight, loads, places)


def deal_out(error: ExpectedError, *, cost: Array, room: Array, budget: float, step: int = 1) -> Iterator[tuple[np.ndarray, ExpectedError]]:
    """Yield numbers of respondents of each background, and the error with them, as each next one goes where it gains most for its cost.

    Parameters
    ----------
    error : ExpectedError
    cost, room : array, shape (backgrounds asked for,)
        Of a respondent; and how many there are at most.
    budget : float
        Ends when it pays for nobody any more.
    step : int
        Respondents dealt out at a time.
    """
    dealt, spent = np.zeros(len(cost), int), 0.0
    while True:
        give = np.minimum(np.minimum(step, room - dealt), np.floor((budget - spent) / cost + 1e-9))
        if not (give >= 1).any():
            return
        best = int(np.argmax(np.where(give >= 1, error.gains(step) / cost, -np.inf)))
        error = error.with_more(best, int(give[best]))
        dealt = dealt + int(give[best]) * (np.arange(len(cost)) == best)
        spent += float(give[best] * cost[best])
        yield dealt, error


def _reduced(covariance: Array, sizes: Array) -> Array:
    """Return covariances given observations of these sizes."""
    known = information(scaled_covariance(covariance, sizes), sizes)
    return np.asarray(covariance - covariance @ known @ covariance)
