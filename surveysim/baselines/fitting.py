"""A sample that is laid out becomes a table: by multilevel regression from its pooled answer, or from a prior where one is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surveysim.baselines.moved_prior import move_prior, open_changes
from surveysim.baselines.multilevel import fit_multilevel, open_contrasts
from surveysim.baselines.posterior import OpenContrasts
from surveysim.baselines.prior import about_prior
from surveysim.baselines.training_cells import TrainingCells
from surveysim.baselines.variance_components import Kernel
from surveysim.errors import EstimationError

TAKE_PRIOR = ("mrp", "mean_tilt", "low_rank", "dsa", "dsa-kernel")


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
    table.attrs["prior"] = about_prior(sample.known.prior, sample.cells.questions, moved)
    return table


def what_is_open(sample: TrainingCells, kernels: Sequence[Kernel], *, learn: bool = False) -> list[OpenContrasts]:
    """Return what is open about every question before the sample, as `fitted_table` finds it; arguments as there."""
    if sample.start is None:
        return open_contrasts(sample.cells, kernels, ordered=sample.ordered, pooled=sample.pooled_positive, learn=learn)
    return open_changes(sample.cells, kernels, sample.start, ordered=sample.ordered)
