"""A prior laid out in the cells of a sample: what each source says, waves moved one after another, sources side by side."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from surveysim.baselines.moved_prior import move_prior
from surveysim.baselines.multilevel import contrast_classes, option_contrasts, trait_kernels
from surveysim.baselines.posterior import offset_mode, posterior_covariance
from surveysim.baselines.prior import WAVE, Prior, StartCells, count_for
from surveysim.baselines.variance_components import kernel_sum, unexplained_variance, variance_components
from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.errors import EstimationError, first_few
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.schema import BACKGROUND, N_EFF, OPTION, ORDER, POOLED, QUESTION, SHARE, SOURCE, N

FLOOR = 0.01  # share spread evenly over the options: of a prior without stated error; of a wave the least that an option has in all cells
INTERCEPT = 1.0  # variance of a contrast's mean over backgrounds in the prior itself
YEARS = 5  # between the waves from which `WAVE.changed` was chosen
log = logging.getLogger(__name__)


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
        If a question of the sample is in no source or has other options there, no background matches, or a later wave states no n.
    """
    sources = [_Source(name, _in_options(table, name, cells)) for name, table in zip(prior.names, prior.tables, strict=True)]
    known = {question for source in sources for question in source.cells.questions}
    absent = [name for name in cells.questions if name not in known]
    if absent:
        raise EstimationError(
            f"prior {prior.name!r} lacks question {first_few(absent)}; leave it out with questions=, or simulate it without prior="
        )
    if prior.years is not None:
        return _laid_out(sources, cells, ordered, prior.years)
    starts = [_laid_out([source], cells, ordered) for source in sources]
    there = np.array([[question in source.cells.questions for source in sources] for question in cells.questions])
    return starts[0] if len(starts) == 1 else _side_by_side(starts, there, cells.mask)


@dataclass(frozen=True, eq=False)
class _Source:
    """A source's name, and its cells in the sample's options: those of the sample's questions that it has."""

    name: str
    cells: Cells


def _in_options(table: pd.DataFrame, name: str, cells: Cells) -> Cells:
    """A source's cells with the sample's questions and options."""
    found = to_cells(table, what=f"prior {name!r}")
    names = [question for question in cells.questions if question in found.questions]
    laid = found.on(questions=names)
    for place, question in enumerate(names):
        theirs, ours = laid.codes[place], cells.codes[cells.questions.index(question)]
        if [str(code) for code in theirs] != [str(code) for code in ours]:
            raise EstimationError(
                f"prior: question {question!r} has options {first_few(theirs, 12)} in {name!r}, {first_few(ours, 12)} in the sample; "
                "say which option becomes which with harmonise(prior, crosswalk=...): a scale of another length is never stretched"
            )
    width = cells.shares.shape[-1]
    padded = np.zeros((*laid.shares.shape[:2], width))
    padded[:, :, : min(width, laid.shares.shape[-1])] = laid.shares[:, :, :width]
    rows = [cells.questions.index(question) for question in names]
    return Cells(laid.questions, laid.backgrounds, laid.codes, laid.orders, padded, laid.n, laid.n_eff, cells.mask[rows])


def _laid_out(sources: Sequence[_Source], cells: Cells, ordered: np.ndarray, years: Sequence[int] = (0,)) -> StartCells:
    """Lay out one source, or waves of which each moves the one before."""
    questions, _, options = cells.shares.shape
    mask, size = cells.mask, len(cells.backgrounds)
    logs, spread = np.zeros(cells.shares.shape), np.zeros((questions, options - 1, size, size))
    reference = np.where(mask, 1.0, 0.0) / mask.sum(-1, keepdims=True)
    parted = [_by_traits(source, cells.backgrounds) for source in sources]
    if len({tuple(parts) for parts in parted}) > 1:
        shown = "; ".join(f"{source.name}: {first_few(map(str, parts))}" for source, parts in zip(sources, parted, strict=True))
        raise EstimationError(f"prior: waves have backgrounds of other traits ({shown}); tabulate all by the same")
    for number, traits in enumerate(parted[0]):
        levels = [
            background_id({name: parse_background_id(own)[name] for name in traits}) if traits else POOLED for own in cells.backgrounds
        ]
        order = list(dict.fromkeys([*(name for parts in parted for name in parts[traits]), *levels]))
        places = pd.Index(order).get_indexer(pd.Index(levels))
        waves = [_Source(source.name, source.cells.on(backgrounds=order)) for source in sources]
        there, found = _over_waves(waves, cells.questions, ordered, years)
        at = np.flatnonzero(there)
        own = np.log(np.where(mask[at, None], found.shares[:, places], 1.0))
        centre = np.log(np.where(mask[at], found.reference, 1.0))[:, None]
        logs[at] += own - centre * (number > 0)  # the first set of traits brings the level, each its differences
        spread[at] += found.error[:, :, places[:, None], places]
        if number == 0:
            reference[at] = found.reference
    shares = np.where(mask[:, None], np.exp(logs), 0.0)
    return StartCells(shares / shares.sum(-1, keepdims=True), spread, reference)


def _by_traits(source: _Source, wanted: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Part a source's backgrounds by which traits they name."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for identifier in source.cells.backgrounds:
        sets.setdefault(tuple(sorted(parse_background_id(identifier))), []).append(identifier)
    richest = max(sets, key=len)
    if len(richest) > 1 and len([traits for traits in sets if traits]) > 1:
        shown = first_few(" x ".join(traits) for traits in sets if traits)
        raise EstimationError(
            f"prior {source.name!r} mixes backgrounds of other traits ({shown}); give those of one set of traits, or of single traits alone"
        )
    used = [richest] if len(richest) > 1 or len(sets) == 1 else [traits for traits in sets if traits]
    for traits in used:
        own = [background_id({name: parse_background_id(each)[name] for name in traits}) if traits else POOLED for each in wanted]
        if not set(own) & set(sets[traits]):
            raise EstimationError(
                f"prior: none of the backgrounds of {source.name!r} ({first_few(sets[traits])}) is one to estimate ({first_few(own)}); "
                "give its traits the same levels"
            )
        _warn_of_other_levels(source.name, traits, sets[traits], wanted)
    return {traits: sets[traits] for traits in used}


def _warn_of_other_levels(name: str, traits: Sequence[str], theirs: Sequence[str], wanted: Sequence[str]) -> None:
    """Log a warning where a trait has levels that the prior lacks while the prior has others in their place, as other spellings do."""
    for trait in traits:
        known, sought = (sorted({parse_background_id(each)[trait] for each in ids}) for ids in (theirs, wanted))
        strange, without = [level for level in known if level not in sought], [level for level in sought if level not in known]
        if strange and without:
            log.warning(
                "prior %r: %s %s is not among the levels to estimate and was left out, %s is estimated without it; if these are the "
                "same, say so with harmonise(prior, crosswalk=...)",
                name, trait, first_few(strange), first_few(without),
            )  # fmt: skip


def _over_waves(
    waves: Sequence[_Source], questions: Sequence[str], ordered: np.ndarray, years: Sequence[int]
) -> tuple[np.ndarray, StartCells]:
    """Return which questions any wave has, and their cells: smoothed where a wave is a question's first, else moved from the last."""
    names = [name for name in questions if any(name in wave.cells.questions for wave in waves)]
    row, scale = {name: place for place, name in enumerate(names)}, ordered[[name in names for name in questions]]
    last: dict[str, int] = {}
    state: StartCells | None = None
    for wave, year in zip(waves, years, strict=True):
        new, old = ([name for name in wave.cells.questions if (name in last) == known] for known in (False, True))
        for group, fit in ((new, None), (old, state)):
            if not group:
                continue
            at, cells = [row[name] for name in group], wave.cells.on(questions=group)
            gap = float(np.mean([year - last[name] for name in group])) if fit else 0.0
            found = _smoothed(cells, scale[at]) if fit is None else _moved_on(wave.name, cells, fit.rows(at), scale[at], gap)
            state = found.placed(state, at, len(names))
        last |= dict.fromkeys(wave.cells.questions, year)
    assert state is not None
    return np.array([name in row for name in questions]), state


def _moved_on(name: str, cells: Cells, start: StartCells, ordered: np.ndarray, gap: float) -> StartCells:
    """Move the state after one wave by the next, `gap` years later."""
    if not (cells.n > 0).any():
        raise EstimationError(f"prior: wave {name!r} states no n, so it cannot move the wave before; give its n, or it alone")
    moved = move_prior(cells, _kernels(cells), start, ordered=ordered, wave=replace(WAVE, changed=WAVE.changed * gap / YEARS))
    return StartCells(moved.shares, moved.covariance, start.reference)


def _kernels(cells: Cells) -> list[Array]:
    levels = [parse_background_id(identifier) for identifier in cells.backgrounds]
    codes = [pd.factorize(np.array([own[trait] for own in levels], dtype=object))[0] for trait in (levels[0] if levels else ())]
    return trait_kernels(np.stack(codes, 1))[0] if codes else []


def _smoothed(part: Cells, ordered: np.ndarray) -> StartCells:
    """Return the cells of a first wave by multilevel regression, or as they are where no n is stated."""
    if not (part.n > 0).any():
        return _as_they_are(part)
    counts = part.counts.sum(1) + np.where(part.mask, 0.5, 0.0) / part.mask.sum(-1, keepdims=True)
    observed = counts / counts.sum(-1, keepdims=True)
    mean = _at_least(observed, observed, part.mask)
    questions, backgrounds, options = part.shares.shape
    basis = option_contrasts(np.where(part.mask, mean, 1.0), part.mask)
    modelled = np.arange(options - 1) < (part.mask.sum(-1) - 1)[:, None]
    base = np.broadcast_to(mean[:, None], part.shares.shape)
    scores = np.einsum("qbk,qkm->qbm", np.where((part.n_eff > 0)[..., None], part.shares - base, 0.0), basis)
    kernels = _kernels(part)
    covariance, beyond = np.zeros((questions, options - 1, backgrounds, backgrounds)), np.zeros(options - 1)
    for _, rows, orders in contrast_classes(modelled, ordered):
        found = variance_components(kernels, scores[rows, :, orders], part.n_eff[rows], rows, INTERCEPT)
        covariance[rows, orders] = kernel_sum(kernels, found, rows) + INTERCEPT
        for order in np.unique(orders):
            at = rows[orders == order]
            beyond[order] = max(beyond[order], unexplained_variance(covariance[at, order], scores[at, :, order], part.n_eff[at]))
    mode, _, _ = offset_mode(part, basis, modelled, np.array(base), covariance)
    shares = _at_least(mode, observed[:, None], part.mask[:, None])
    return StartCells(shares, posterior_covariance(part, basis, modelled, shares, covariance, beyond=beyond), mean)


def _at_least(shares: Array, pooled: Array, mask: np.ndarray) -> Array:
    """Give an option that next to nobody chose, as one that the wave did not offer, the share that makes it possible."""
    least = np.where(mask, FLOOR / mask.sum(-1, keepdims=True), 0.0)
    raised = np.where(pooled < least, np.maximum(shares, least), shares)
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def _as_they_are(part: Cells) -> StartCells:
    there = (part.shares.sum(-1, keepdims=True) > 0) & part.mask[:, None]
    even = np.where(part.mask, 1.0, 0.0) / part.mask.sum(-1, keepdims=True)
    floored = np.where(there, (1 - FLOOR) * part.shares + FLOOR * even[:, None], 0.0)
    mean = floored.sum(1) / np.maximum(there.any(-1).sum(1), 1)[:, None]
    contrasts, size = part.shares.shape[-1] - 1, len(part.backgrounds)
    return StartCells(np.where(there, floored, mean[:, None]), np.zeros((len(part.questions), contrasts, size, size)), mean)


def _side_by_side(starts: Sequence[StartCells], there: np.ndarray, mask: np.ndarray) -> StartCells:
    """Return the weighted geometric mean of several sources' cells, with what each has apart from it and its own errors.

    Parameters
    ----------
    starts : sequence of StartCells
    there : array of bool, shape (questions, sources)
        Which questions a source has.
    mask : array of bool, shape (questions, options)
    """
    part = count_for(np.concatenate([start.stated for start in starts], axis=1), there)
    logs = np.stack([np.log(np.where(mask[:, None], start.shares, 1.0)) for start in starts], axis=1)
    mean = np.einsum("qp,qpbk->qbk", part, logs)
    shares = np.where(mask[:, None], np.exp(mean), 0.0)
    reference = np.einsum("qp,qpk->qk", part, np.stack([start.reference for start in starts], axis=1))
    errors = np.stack([_in_basis(start, reference, mask) for start in starts], axis=2)
    apart = np.where(there[:, :, None, None], logs - mean[:, None], 0.0)
    error = np.einsum("qp,qmpab->qmab", part**2, errors)
    return StartCells(shares / shares.sum(-1, keepdims=True), error, reference, apart, errors, part)


def _in_basis(start: StartCells, reference: Array, mask: np.ndarray) -> Array:
    """Covariances of a start's contrasts as those of contrasts orthonormal under another reference, taken as independent."""
    own = option_contrasts(np.where(mask, start.reference, 1.0), mask)
    other = option_contrasts(np.where(mask, reference, 1.0), mask)
    turn = np.einsum("qkn,qk,qkm->qnm", other, np.where(mask, reference, 0.0), own)
    return np.asarray(np.einsum("qnm,qmab->qnab", turn**2, start.error))


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
    first = {name: table for table in reversed(prior.tables) for name in table[QUESTION].unique()}
    rows = pd.concat([first[name].loc[first[name][QUESTION] == name, [QUESTION, OPTION, ORDER]].drop_duplicates() for name in lacking])
    empty = rows.merge(pd.DataFrame({BACKGROUND: sample[BACKGROUND].unique()}), how="cross").sort_values([QUESTION, BACKGROUND, ORDER])
    added = empty.reindex(columns=sample.columns).assign(**{SHARE: np.nan, N: 0, N_EFF: 0.0, SOURCE: sample[SOURCE].iloc[0]})
    out = pd.concat([sample, added], ignore_index=True)
    out.attrs = dict(sample.attrs)
    return out
