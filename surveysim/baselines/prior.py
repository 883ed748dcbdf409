"""A prior: shares known before the sample, of earlier waves, other surveys or any simulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

import numpy as np
import pandas as pd

from surveysim.baselines.multilevel import option_contrasts
from surveysim.codebook.backgrounds import traits_in
from surveysim.errors import EstimationError, first_few
from surveysim.estimation.distributions import cell_shares
from surveysim.survey.survey import Survey
from surveysim.tables.cells import Array
from surveysim.tables.schema import BACKGROUND, OPTION, QUESTION, SHARE, SOURCE, check_distributions

OnePrior: TypeAlias = pd.DataFrame | Survey
PriorLike: TypeAlias = OnePrior | Sequence[OnePrior] | Mapping[str, OnePrior] | Mapping[int, OnePrior]


@dataclass(frozen=True, eq=False)
class Prior:
    """Shares that are known before the sample, from one source or several.

    Attributes
    ----------
    tables : tuple of DataFrame
        A distributions table of each source; one without `n` states no error, and its shares are taken as they are.
    names : tuple of str
    years : tuple of int, optional
        Of waves of one survey, in order: each moves the one before it. Without years the sources are weighed against each other.
    """

    tables: tuple[pd.DataFrame, ...]
    names: tuple[str, ...]
    years: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """All names."""
        return " + ".join(self.names)

    @property
    def digest(self) -> str:
        """SHA-256 of its cells, for those who must not mix results of two priors."""
        text = "".join(_cells_as_text(table) for table in self.tables) + ("" if self.years is None else str(self.years))
        return sha256(text.encode()).hexdigest()[:16]

    @property
    def questions(self) -> tuple[str, ...]:
        """Questions that any source knows."""
        return tuple(dict.fromkeys(name for table in self.tables for name in table[QUESTION].unique()))


@dataclass(frozen=True, eq=False)
class StartCells:
    """What is known of every cell before the sample.

    Attributes
    ----------
    shares : array, shape (questions, backgrounds, options)
        Positive where there is an option; each cell sums to 1.
    error : array, shape (questions, contrasts, backgrounds, backgrounds)
        Covariance of the contrasts' errors; 0 where none are stated.
    reference : array, shape (questions, options)
        Mean shares, under which the contrasts are orthonormal.
    apart : array, shape (questions, sources, backgrounds, options), optional
        Of several sources: log shares less their weighted mean, 0 where a source lacks the question.
    errors : array, shape (questions, contrasts, sources, backgrounds, backgrounds), optional
        Each source's own `error`.
    part : array, shape (questions, sources), optional
        What each source counts for in the mean: 0 where it lacks the question, and sums to 1.
    """

    shares: Array
    error: Array
    reference: Array
    apart: Array | None = None
    errors: Array | None = None
    part: Array | None = None

    def rows(self, questions: Sequence[int]) -> StartCells:
        """Return some questions of one source's cells."""
        at = np.asarray(questions)
        return StartCells(self.shares[at], self.error[at], self.reference[at])

    @property
    def stated(self) -> np.ndarray:
        """Which source states errors of which question, shape (questions, sources)."""
        errors = self.error[:, :, None] if self.errors is None else self.errors
        return np.asarray(errors.any(axis=(1, 3, 4)))

    def placed(self, into: StartCells | None, questions: Sequence[int], size: int) -> StartCells:
        """Return the cells of `size` questions of which these are some, the others as in `into`."""
        kept = (self.shares, self.error, self.reference)
        laid = [np.zeros((size, *each.shape[1:])) for each in kept] if into is None else [into.shares, into.error, into.reference]
        for whole, own in zip(laid, kept, strict=True):
            whole[np.asarray(questions)] = own
        return StartCells(*laid)

    def contrasts(self, mask: np.ndarray) -> tuple[Array, Array]:
        """Return the option contrasts, (questions, options, contrasts), and each cell's, centred: (questions, backgrounds, contrasts)."""
        basis = option_contrasts(np.where(mask, self.reference, 1.0), mask)
        logs = np.where(mask[:, None], np.log(np.where(mask[:, None], self.shares, 1.0)), 0.0)
        weighted = basis * np.where(mask, self.reference, 0.0)[..., None]
        own = np.einsum("qbk,qkm->qbm", logs, weighted)
        return basis, own - own.mean(1, keepdims=True)

    def sources(self, basis: Array) -> Sources:
        """Return what each source has apart from the mean, in contrasts."""
        if self.apart is None or self.errors is None or self.part is None:
            questions, backgrounds, contrasts = len(basis), self.shares.shape[1], basis.shape[2]
            none = np.zeros((questions, contrasts, 0, backgrounds))
            return Sources(none, np.zeros((*none.shape, backgrounds)), np.zeros((questions, 0)))
        apart = np.einsum("qpbk,qkm->qmpb", self.apart, basis * self.reference[..., None])
        return Sources(apart, self.errors, self.part)


@dataclass(frozen=True, eq=False)
class Sources:
    """What several sources have apart from their mean, for all contrasts or some rows (question, contrast) of them.

    Attributes
    ----------
    apart : array, shape (..., sources, backgrounds)
        Sums to 0 over the sources, each times its part.
    errors : array, shape (..., sources, backgrounds, backgrounds)
    part : array, shape (questions or rows, sources)
        What each source counts for a priori; 0 where it lacks the question.
    """

    apart: Array
    errors: Array
    part: Array

    def rows(self, questions: np.ndarray, orders: np.ndarray) -> Sources:
        """Return some rows."""
        return Sources(self.apart[questions, orders], self.errors[questions, orders], self.part[questions])

    @property
    def number(self) -> int:
        """Sources; 0 where there is one alone."""
        return int(self.part.shape[1])

    def weights(self, departures: Array) -> tuple[Array, Array]:
        """Return each row's weights (rows, sources), and their derivatives by the departures b (rows, sources, sources)."""
        there = self.part > 0
        by = there[:, :, None] * np.eye(self.number) - self.part[:, :, None] * there[:, None]
        return self.part + by @ departures, by

    def error(self, departures: Array, plain: Array) -> tuple[Array, Array]:
        """Return the covariance (rows, backgrounds, backgrounds) and what its derivatives by the departures are made of."""
        if not self.number:
            return plain, np.zeros((len(plain), 0, 0))
        weights, by = self.weights(departures)
        return np.einsum("rp,rpab->rab", weights**2, self.errors), 2.0 * weights[:, :, None] * by


@dataclass(frozen=True)
class Expected:
    """How far a prior is expected to be moved: one of the `STANCES` towards it that are averaged by what the sample says of them.

    Attributes
    ----------
    changed, changed_spread : float
        Part of a kernel's variance in the prior that is expected of its change, and the scale of the t prior of that part's log.
    level, level_spread : float
        Of the log variance of a question's level shift, where a respondent's answer has variance 1: its centre and standard deviation.
    typical_slope : float
        Scale of the t prior of the common slope's departure from 1.
    higher : float
        What is added to the log variances of an ordered question's higher contrasts.
    rounds : int
        How often the contrasts' observations are made linear: at the start, and then at what was found.
    ignored : bool
        The prior's differences between backgrounds are not taken at all, its slope is 0; its level is.
    """

    changed: float = 0.1
    changed_spread: float = 0.35
    level: float = float(np.log(2.5e-3))  # a twentieth of a standard deviation
    level_spread: float = 0.7
    typical_slope: float = 0.07
    higher: float = float(np.log(0.1))
    rounds: int = 1
    ignored: bool = False


WAVE = Expected()  # chosen on draws of ESS 11 with ESS 9 before it
SIMULATOR = Expected(1.0, 1.0, float(np.log(0.05)), 1.5, 0.5, higher=0.0, rounds=2)  # ... of Pew with large models' tables
IGNORED = Expected(1.0, 1.0, float(np.log(0.05)), 1.5, higher=0.0, rounds=2, ignored=True)
STANCES = (WAVE, SIMULATOR, IGNORED)
STATED, UNSTATED = (0.99, 0.0075, 0.0025), (0.5, 0.48, 0.02)  # probabilities of `STANCES` a priori, with and without errors stated
UNHEARD = 1e-12  # ... of what nothing speaks for


def count_for(stated: np.ndarray, there: np.ndarray) -> Array:
    """Return what each source counts for a priori: in inverse proportion to how much is expected to have changed since.

    Parameters
    ----------
    stated, there : array of bool, shape (questions, sources)
        Whether a source states errors (a wave) or none (a simulator), and whether it has the question at all.

    Returns
    -------
    array, shape (questions, sources)
        Sums to 1 over the sources.
    """
    trust = there / np.where(stated, WAVE.changed, SIMULATOR.changed)
    return np.asarray(trust / trust.sum(1, keepdims=True))


def stance_odds(start: StartCells, asked: np.ndarray | None = None) -> tuple[np.ndarray, Array]:
    """Return which group every question is of, shape (questions,), and the probabilities of `STANCES` a priori: (groups, stances).

    Questions are of one group where sources that state errors count for as much in them: those of a group share their stance. A prior is
    not ignored where nobody was asked (`asked` False) any question of the group: nothing speaks against it.
    """
    stated = start.stated
    of_waves = stated[:, 0].astype(float) if start.part is None else (start.part * stated).sum(1)
    found, group = np.unique(of_waves.round(9), return_inverse=True)
    odds = found[:, None] * np.array(STATED) + (1 - found[:, None]) * np.array(UNSTATED)
    if asked is not None:
        silent = ~np.isin(np.arange(len(found)), group[asked])
        odds[silent] = np.where([each.ignored for each in STANCES], UNHEARD, odds[silent])
    return group, odds


def _cells_as_text(table: pd.DataFrame) -> str:
    return table[[QUESTION, BACKGROUND, OPTION, SHARE]].astype({SHARE: float}).round(12).to_csv(index=False)


def prior_of(prior: PriorLike, traits: Sequence[str], questions: Sequence[str] | None = None) -> Prior:
    """Return what a caller gives as ``prior=`` as tables over traits of the backgrounds to estimate.

    Parameters
    ----------
    prior : DataFrame, Survey, or several of them
        A distributions table of one source, or a survey, of which the traits and questions that it shares are tabulated, weighted. A
        list, or a mapping with their names, is weighed; a mapping of years is one of waves.
    traits : sequence of str
        Of the backgrounds to estimate; a prior may have fewer.
    questions : sequence of str, optional
        Those that matter; default all.

    Raises
    ------
    EstimationError
        If it is neither, has other traits, or none of the questions; if it was simulated from respondents (which may be the sample's own).
    TableError
        If a table breaks its contract.
    """
    if isinstance(prior, pd.DataFrame | Survey):
        table, name = _one(prior, traits, questions, "prior")
        return Prior((table,), (name,))
    if not isinstance(prior, Mapping | list | tuple):
        raise EstimationError(f"prior must be a distributions table, a Survey, or a list or mapping of them; got {type(prior).__name__}")
    if not prior:
        raise EstimationError("prior is empty; leave it out, or give a distributions table or a Survey")
    keys = list(prior) if isinstance(prior, Mapping) else list(range(1, len(prior) + 1))
    years = isinstance(prior, Mapping) and all(isinstance(key, int | np.integer) and not isinstance(key, bool) for key in keys)
    if isinstance(prior, Mapping) and not years and not all(isinstance(key, str) for key in keys):
        raise EstimationError(f"prior: the keys of a mapping are names, or years as whole numbers; got {first_few(map(repr, keys))}")
    values = list(prior.values()) if isinstance(prior, Mapping) else list(prior)
    if years:
        keys, values = map(list, zip(*sorted(zip(keys, values, strict=True), key=lambda pair: pair[0]), strict=True))
    found = [_one(value, traits, questions, f"prior {key!r}") for key, value in zip(keys, values, strict=True)]
    tables, own = (tuple(each) for each in zip(*found, strict=True))
    names = tuple(map(str, keys)) if isinstance(prior, Mapping) else _told_apart(own)
    return Prior(tables, names, tuple(int(key) for key in keys) if years and len(keys) > 1 else None)


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, start=1))


def _one(prior: object, traits: Sequence[str], questions: Sequence[str] | None, what: str) -> tuple[pd.DataFrame, str]:
    """One source as a table and its name."""
    if isinstance(prior, Survey):
        shared = [name for name in traits if name in prior.traits]
        if not shared:
            raise EstimationError(
                f"{what}: survey {prior.codebook.name!r} was read with none of the traits {first_few(traits)}; read it with them"
            )
        known = [name for name in prior.questions if questions is None or name in questions]
        if not known:
            raise EstimationError(_without(what, questions or (), prior.questions))
        return cell_shares(prior, by=shared, questions=known), prior.codebook.name
    if not isinstance(prior, pd.DataFrame):
        raise EstimationError(f"{what} must be a distributions table or a Survey; got {type(prior).__name__}")
    check_distributions(prior, what)
    if prior[SHARE].isna().all():
        raise EstimationError(f"{what} has no share at all; leave it out")
    if prior.attrs.get("n_respondents") and prior.attrs.get("simulated"):
        raise EstimationError(
            f"{what} was simulated from {prior.attrs['n_respondents']:,} respondents of {prior.attrs.get('survey')!r}: combined with "
            "the same respondents they would count twice; give what was known before them, or clear prior.attrs if they were others"
        )
    return _table_prior(prior, traits, questions, what)


def _table_prior(prior: pd.DataFrame, traits: Sequence[str], questions: Sequence[str] | None, what: str) -> tuple[pd.DataFrame, str]:
    known = [name for name in prior[QUESTION].unique() if questions is None or name in questions]
    if not known:
        raise EstimationError(_without(what, questions or (), list(prior[QUESTION].unique())))
    own = traits_in(list(prior[BACKGROUND].unique()))
    more = [trait for trait in own if trait not in traits]
    if more:
        raise EstimationError(
            f"{what} has trait {first_few(more)}, which the backgrounds to estimate lack ({first_few(traits)}); tabulate it by these, "
            "with response_distributions(by=...) or poststratify(by=...)"
        )
    source = str(prior[SOURCE].iloc[0])
    name = source if prior.attrs.get("simulated") else str(prior.attrs.get("survey") or source)
    return prior[prior[QUESTION].isin(known)].reset_index(drop=True), name


def _without(what: str, questions: Sequence[str], known: Sequence[str]) -> str:
    return f"{what} has none of the questions {first_few(questions)}; it has {first_few(known)}: rename its question_id to the sample's"
