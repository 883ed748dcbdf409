"""A sample that is laid out becomes a table: by multilevel regression from its pooled answer, or from a prior where one is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from surveysim.baselines.moved_prior import MovedPrior, move_prior, open_changes
from surveysim.baselines.multilevel import fit_multilevel, open_contrasts
from surveysim.baselines.posterior import OpenContrasts
from surveysim.baselines.training_cells import TrainingCells
from surveysim.baselines.variance_components import Kernel
from surveysim.errors import EstimationError
from surveysim.tables.cells import Array, Cells
from surveysim.tables.facts import prior_is_ignored
from surveysim.tables.schema import NOT_ASKED

SAID = 3  # digits
FEWEST_BACKGROUNDS = 3  # sampled, for a standard error of what a prior was worth
TAKE_PRIOR = ("mrp", "mean_tilt", "low_rank", "dsa", "dsa-kernel")
log = logging.getLogger(__name__)


def check_takes_prior(method: str) -> None:
    """Refuse a prior for a method that has no use for it.

    Raises
    ------
    EstimationError
        If the method takes none.
    """
    if method not in TAKE_PRIOR:
        raise EstimationError(f"prior: method {method!r} takes none; use one of {', '.join(TAKE_PRIOR)}, or leave prior= out")


def fitted_table(
    sample: TrainingCells,
    kernels: Sequence[Kernel],
    *,
    source: str,
    tilt_only: np.ndarray | None = None,
    learn: bool = False,
    draws: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the fit of a sample as a distributions table.

    Parameters
    ----------
    sample : TrainingCells
        With a prior in what is known, its cells are moved; else the pooled answer is.
    kernels : sequence of array
        Covariances between backgrounds.
    source : str
    tilt_only, learn, draws, seed
        As of `fit_multilevel`; the first two are of no use with a prior.
    """
    start = sample.start
    if start is None:
        fit = fit_multilevel(
            sample.cells,
            kernels,
            ordered=sample.ordered,
            pooled=sample.pooled_positive,
            tilt_only=tilt_only,
            learn=learn,
            draws=draws,
            seed=seed,
        )
        return sample.to_table(fit.shares, source=source, std_error=fit.std_error, draws=fit.draws)
    moved = move_prior(sample.cells, kernels, start, ordered=sample.ordered, draws=draws, seed=seed)
    table = sample.to_table(moved.shares, source=source, std_error=moved.std_error, draws=moved.draws)
    assert sample.known.prior is not None
    table.attrs["prior"] = about_prior(sample, moved, _without_prior(sample, kernels, learn))
    return table


def what_is_open(sample: TrainingCells, kernels: Sequence[Kernel], *, learn: bool = False) -> list[OpenContrasts]:
    """Return what is open about every question before the sample, as `fitted_table` finds it; arguments as there."""
    if sample.start is None:
        return open_contrasts(sample.cells, kernels, ordered=sample.ordered, pooled=sample.pooled_positive, learn=learn)
    return open_changes(sample.cells, kernels, sample.start, ordered=sample.ordered)


def _without_prior(sample: TrainingCells, kernels: Sequence[Kernel], learn: bool) -> Array:
    """Shares of each sampled background as the others say, without the prior; a question that nobody answered has even shares."""
    fit = fit_multilevel(sample.cells, kernels, ordered=sample.ordered, pooled=sample.pooled_positive, learn=learn, leave_out=True)
    assert fit.left_out is not None
    return fit.left_out


def about_prior(sample: TrainingCells, moved: MovedPrior, without: Array) -> dict[str, Any]:
    """Return what a table says of its prior.

    Returns
    -------
    dict
        `name`, `digest`; by question of `question_id` the `slope` of its differences (None: it has none), the `level_shift`, what it has
        `explained` of the differences, and how probably these are of no use and were `ignored`; in `not_asked` the questions that nobody
        in the sample answered; the `weights` of several sources; and what it was worth where a sampled background's answers are foretold
        by all others': `left_out` has the mean squared error with the prior less that without, by cells' effective size, its `std_error`,
        and `misleads`, True where it is above 0 by two of them.
    """
    prior = sample.known.prior
    assert prior is not None
    numbers = {"slope": moved.slope, "level_shift": moved.level_shift, "explained": moved.explained, "ignored": moved.ignored}
    said: dict[str, Any] = {"name": prior.name, "digest": prior.digest, "question_id": list(sample.cells.questions)}
    said |= {name: [None if np.isnan(each) else each for each in values.round(SAID).tolist()] for name, values in numbers.items()}
    if moved.weights is not None:
        said["weights"] = dict(zip(prior.names, moved.weights.round(SAID).tolist(), strict=True))
    unasked = [name for name, n in zip(sample.cells.questions, sample.cells.n.sum(1), strict=True) if not n]
    said |= {NOT_ASKED: unasked} if unasked else {}
    return said | {"left_out": _left_out(sample.cells, moved.left_out, without)}


def _left_out(cells: Cells, with_prior: Array, without: Array) -> dict[str, Any]:
    """Compare two ways to foretell each background; the same respondents answer all questions, so a background is a cluster."""
    both = [((shares - cells.shares) ** 2).sum(-1) for shares in (with_prior, without)]
    gain, sizes = (cells.n_eff * (both[0] - both[1])).sum(0), cells.n_eff.sum(0)
    seen = sizes > 0
    if seen.sum() < FEWEST_BACKGROUNDS:
        return {"difference": None, "std_error": None, "misleads": None}
    difference = gain.sum() / sizes.sum()
    around = (gain - difference * sizes)[seen]
    error = np.sqrt((around**2).sum() * seen.sum() / (seen.sum() - 1)) / sizes.sum()
    said = {"difference": float(f"{difference:.3g}"), "std_error": float(f"{error:.3g}")}
    return {**said, "misleads": bool(difference > 2 * error)}


def warn_of_misleading_prior(about: Mapping[str, Any]) -> None:
    """Log a warning where sampled backgrounds, each left out in turn, are foretold worse with the prior, or it is of no use."""
    if about["left_out"]["misleads"]:
        log.warning(
            "prior %r misleads: each sampled background, foretold by the others, is missed by more with it than without (mean squared "
            "error %+.2g, standard error %.2g); compare with prior=None",
            about["name"], about["left_out"]["difference"], about["left_out"]["std_error"],
        )  # fmt: skip
    warn_of_ignored_prior(about["name"], about.get("ignored", []))


def warn_of_ignored_prior(name: str, ignored: Sequence[float]) -> None:
    """Log a warning where a prior's differences are probably of no use; `ignored` has each question's probability of it."""
    if prior_is_ignored({"ignored": ignored}):
        log.warning(
            "prior %r misleads: its differences between backgrounds are not the sample's (probability %.2f), and the estimate takes little "
            "more than its level; see that its levels, questions and options mean the same (harmonise makes them so), or leave it out",
            name, sum(ignored) / len(ignored),
        )  # fmt: skip
