"""A prior: shares known before the sample, of an earlier wave, another survey or any simulator, laid out as the start of an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from surveysim.baselines.moved_prior import MovedPrior, StartCells, change_classes, contrast_variance, offset_mode
from surveysim.baselines.multilevel import option_contrasts, trait_kernels
from surveysim.baselines.variance_components import information, kernel_sum, scaled_covariance, variance_components
from surveysim.codebook.backgrounds import background_id, parse_background_id, traits_in
from surveysim.errors import EstimationError, first_few
from surveysim.estimation.distributions import cell_shares
from surveysim.survey.survey import Survey
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.schema import BACKGROUND, N_EFF, OPTION, ORDER, POOLED, QUESTION, SHARE, N, check_distributions

FLOOR = 0.002  # share spread evenly over the options of a prior without stated error, so that none is impossible
INTERCEPT = 1.0  # variance of a contrast's mean over backgrounds in the prior itself
SAID = 3  # digits


@dataclass(frozen=True, eq=False)
class Prior:
    """Shares that are known before the sample.

    Attributes
    ----------
    table : DataFrame
        A distributions table; a table without `n` states no error, and its shares are taken as they are.
    name : str
    """

    table: pd.DataFrame
    name: str

    @property
    def digest(self) -> str:
        """SHA-256 of its cells, for those who must not mix results of two priors."""
        kept = self.table[[QUESTION, BACKGROUND, OPTION, SHARE]].astype({SHARE: float}).round(12)
        return sha256(kept.to_csv(index=False).encode()).hexdigest()[:16]

    @property
    def questions(self) -> tuple[str, ...]:
        """Questions that it knows."""
        return tuple(self.table[QUESTION].unique())


def prior_of(prior: pd.DataFrame | Survey, traits: Sequence[str], questions: Sequence[str] | None = None) -> Prior:
    """Return what a caller gives as ``prior=`` as a table over traits of the backgrounds to estimate.

    Parameters
    ----------
    prior : DataFrame or Survey
        A distributions table of one source, or a survey, of which the traits and questions that it shares are tabulated, weighted.
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
    if isinstance(prior, Survey):
        shared = [name for name in traits if name in prior.traits]
        if not shared:
            raise EstimationError(
                f"prior: survey {prior.codebook.name!r} was read with none of the traits {first_few(traits)}; read it with them"
            )
        known = [name for name in prior.questions if questions is None or name in questions]
        if not known:
            raise EstimationError(_without(questions or (), prior.questions))
        return Prior(cell_shares(prior, by=shared, questions=known), prior.codebook.name)
    if isinstance(prior, list | tuple):
        raise EstimationError(
            f"prior must be one distributions table or Survey; got {len(prior)} in a {type(prior).__name__}: give the nearest one"
        )
    if not isinstance(prior, pd.DataFrame):
        raise EstimationError(f"prior must be a distributions table or a Survey; got {type(prior).__name__}")
    check_distributions(prior, "prior")
    if prior.attrs.get("n_respondents") and prior.attrs.get("simulated"):
        raise EstimationError(
            f"prior was simulated from {prior.attrs['n_respondents']:,} respondents of {prior.attrs.get('survey')!r}: combined with "
            "the same respondents they would count twice; give what was known before them, or clear prior.attrs if they were others"
        )
    return _table_prior(prior, traits, questions)


def _table_prior(prior: pd.DataFrame, traits: Sequence[str], questions: Sequence[str] | None) -> Prior:
    known = [name for name in prior[QUESTION].unique() if questions is None or name in questions]
    if not known:
        raise EstimationError(_without(questions or (), list(prior[QUESTION].unique())))
    own = traits_in(list(prior[BACKGROUND].unique()))
    more = [trait for trait in own if trait not in traits]
    if more:
        raise EstimationError(
            f"prior has trait {first_few(more)}, which the backgrounds to estimate lack ({first_few(traits)}); tabulate it by these, "
            "with response_distributions(by=...) or poststratify(by=...)"
        )
    kept = prior[prior[QUESTION].isin(known)]
    return Prior(kept.reset_index(drop=True), str(prior.attrs.get("survey") or kept["source"].iloc[0]))


def _without(questions: Sequence[str], known: Sequence[str]) -> str:
    return f"prior has none of the questions {first_few(questions)}; it has {first_few(known)}: rename its question_id to the sample's"


def with_prior_questions(sample: pd.DataFrame, prior: Prior, questions: Sequence[str]) -> pd.DataFrame:
    """Return a sample's table with rows, of nobody, for questions that only the prior knows.

    Raises
    ------
    EstimationError
        If a question is in neither.
    """
    lacking = [name for name in questions if name not in set(sample[QUESTION])]
    strange = [name for name in lacking if name not in prior.questions]
    if strange:
        raise EstimationError(f"questions: neither the sample nor prior {prior.name!r} has {first_few(strange)}")
    if not lacking:
        return sample
    rows = prior.table[prior.table[QUESTION].isin(lacking)].drop_duplicates([QUESTION, OPTION])[[QUESTION, OPTION, ORDER]]
    empty = rows.merge(pd.DataFrame({BACKGROUND: sample[BACKGROUND].unique()}), how="cross").sort_values([QUESTION, BACKGROUND, ORDER])
    added = empty.reindex(columns=sample.columns).assign(**{SHARE: np.nan, N: 0, N_EFF: 0.0, "source": sample["source"].iloc[0]})
    out = pd.concat([sample, added], ignore_index=True)
    out.attrs = dict(sample.attrs)
    return out


def start_cells(prior: Prior, cells: Cells, ordered: np.ndarray) -> StartCells:
    """Lay a prior out in the cells of a sample: smoothed by multilevel regression where it states how many respondents it has.

    Parameters
    ----------
    prior : Prior
    cells : Cells
        The sample's questions, options and backgrounds.
    ordered : array of bool, shape (questions,)

    Raises
    ------
    EstimationError
        If a question of the sample is not in the prior or has other options there, or no background of it matches.
    """
    questions, backgrounds, options = cells.shares.shape
    contrasts = options - 1
    shares = np.where(cells.mask[:, None], 1.0, 0.0) / cells.mask.sum(-1)[:, None, None] + np.zeros(cells.shares.shape)
    error = np.zeros((questions, contrasts, backgrounds, backgrounds))
    reference = np.where(cells.mask, 1.0, 0.0) / cells.mask.sum(-1, keepdims=True)
    known = _in_options(prior, cells)
    absent = [name for name in cells.questions if name not in known.questions]
    if absent:
        raise EstimationError(
            f"prior {prior.name!r} lacks question {first_few(absent)}; leave it out with questions=, or simulate it without prior="
        )
    parts, places = _by_traits(known, cells.backgrounds)
    logs, spread = np.zeros_like(shares), np.zeros_like(error)
    for number, part in enumerate(parts):
        fitted, errors, mean = _smoothed(part, ordered)
        own = np.log(np.where(cells.mask[:, None], fitted[:, places[number]], 1.0))
        centre = np.log(np.where(cells.mask, mean, 1.0))[:, None]
        logs += own - centre * (number > 0)  # the first set of traits brings the level, each its differences
        spread += errors[:, :, places[number][:, None], places[number]]
        reference = mean if number == 0 else reference
    shares = np.where(cells.mask[:, None], np.exp(logs), 0.0)
    return StartCells(shares / shares.sum(-1, keepdims=True), spread, reference)


def _in_options(prior: Prior, cells: Cells) -> Cells:
    """The prior's cells with the sample's questions and options."""
    found = to_cells(prior.table, what="prior")
    names = [name for name in cells.questions if name in found.questions]
    laid = found.on(questions=names)
    for place, name in enumerate(names):
        theirs, ours = laid.codes[place], cells.codes[cells.questions.index(name)]
        if [str(code) for code in theirs] != [str(code) for code in ours]:
            raise EstimationError(
                f"prior: question {name!r} has options {first_few(theirs, 12)} in {prior.name!r}, {first_few(ours, 12)} in the sample; "
                "recode the prior's option_code and option_order to the sample's options (a scale of another length is never stretched)"
            )
    width = cells.shares.shape[-1]
    padded = np.zeros((*laid.shares.shape[:2], width))
    padded[:, :, : min(width, laid.shares.shape[-1])] = laid.shares[:, :, :width]
    rows = [cells.questions.index(name) for name in names]
    return Cells(laid.questions, laid.backgrounds, laid.codes, laid.orders, padded, laid.n, laid.n_eff, cells.mask[rows])


def _by_traits(known: Cells, wanted: Sequence[str]) -> tuple[list[Cells], list[np.ndarray]]:
    """Part the prior's cells by which traits they name; return each part, and where every background wanted lies in it."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for identifier in known.backgrounds:
        sets.setdefault(tuple(sorted(parse_background_id(identifier))), []).append(identifier)
    richest = max(sets, key=len)
    if len(richest) > 1 and len([traits for traits in sets if traits]) > 1:
        shown = first_few(" x ".join(traits) for traits in sets if traits)
        raise EstimationError(
            f"prior mixes backgrounds of other traits ({shown}); give those of one set of traits, or of single traits alone"
        )
    used = [richest] if len(richest) > 1 or len(sets) == 1 else [traits for traits in sets if traits]
    parts, places = [], []
    for traits in used:
        own = [background_id({trait: parse_background_id(name)[trait] for trait in traits}) if traits else POOLED for name in wanted]
        if not set(own) & set(sets[traits]):
            raise EstimationError(
                f"prior: none of its backgrounds ({first_few(sets[traits])}) is one to estimate ({first_few(own)}); "
                "give its traits the same levels"
            )
        order = list(dict.fromkeys([*sets[traits], *own]))
        parts.append(known.on(backgrounds=order))
        places.append(pd.Index(order).get_indexer(pd.Index(own)))
    return parts, places


def _smoothed(part: Cells, ordered: np.ndarray) -> tuple[Array, Array, Array]:
    """Return shares, covariance of the contrasts' errors, and mean shares of the prior's own cells."""
    counts = part.counts.sum(1) + np.where(part.mask, 0.5, 0.0) / part.mask.sum(-1, keepdims=True)
    mean = counts / counts.sum(-1, keepdims=True)
    questions, backgrounds, options = part.shares.shape
    if not (part.n > 0).any():  # no stated error
        return _as_they_are(part)
    basis = option_contrasts(np.where(part.mask, mean, 1.0), part.mask)
    modelled = np.arange(options - 1) < (part.mask.sum(-1) - 1)[:, None]
    base = np.broadcast_to(mean[:, None], part.shares.shape)
    scores = np.einsum("qbk,qkm->qbm", np.where((part.n_eff > 0)[..., None], part.shares - base, 0.0), basis)
    levels = [parse_background_id(identifier) for identifier in part.backgrounds]
    codes = [pd.factorize(np.array([own[trait] for own in levels], dtype=object))[0] for trait in (levels[0] if levels else ())]
    kernels = trait_kernels(np.stack(codes, 1))[0] if codes else []
    covariance = np.zeros((questions, options - 1, backgrounds, backgrounds))
    for _, rows, orders in change_classes(modelled, ordered):
        found = variance_components(kernels, scores[rows, :, orders], part.n_eff[rows], rows, INTERCEPT)
        covariance[rows, orders] = kernel_sum(kernels, found, rows) + INTERCEPT
    shares, _ = offset_mode(part, basis, modelled, np.array(base), covariance)
    at = np.nonzero(modelled)
    sizes = (part.n_eff[..., None] * contrast_variance(shares, basis)).swapaxes(1, 2)[at]
    own = covariance[at]
    error = np.zeros_like(covariance)
    error[at] = own - own @ information(scaled_covariance(own, sizes), sizes) @ own
    return shares, error, mean


def _as_they_are(part: Cells) -> tuple[Array, Array, Array]:
    there = (part.shares.sum(-1, keepdims=True) > 0) & part.mask[:, None]
    even = np.where(part.mask, 1.0, 0.0) / part.mask.sum(-1, keepdims=True)
    floored = np.where(there, (1 - FLOOR) * part.shares + FLOOR * even[:, None], 0.0)
    mean = floored.sum(1) / np.maximum(there.any(-1).sum(1), 1)[:, None]
    shares = np.where(there, floored, mean[:, None])
    contrasts, size = part.shares.shape[-1] - 1, len(part.backgrounds)
    return shares, np.zeros((len(part.questions), contrasts, size, size)), mean


def about_prior(prior: Prior, questions: Sequence[str], moved: MovedPrior) -> dict[str, Any]:
    """Return what a table says of its prior: by question the slope of its differences, the level shift, and what it explains."""
    numbers = {"slope": moved.slope, "level_shift": moved.level_shift, "explained": moved.explained}
    said = {name: values.round(SAID).tolist() for name, values in numbers.items()}
    return {"name": prior.name, "digest": prior.digest, "question_id": list(questions), **said}
