"""`simulate_to_parquet`: simulate any number of cells in memory that does not grow with them, straight to a file."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import warn_of_misleading_prior
from surveysim.baselines.knowledge import Knowledge, knowledge_of
from surveysim.baselines.predictors import check_uses_predictors
from surveysim.baselines.prior import PriorLike
from surveysim.codebook.backgrounds import checked_traits, with_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike
from surveysim.errors import BackgroundError, SurveySimError, first_few
from surveysim.files.frames import is_frame, pandas_frame
from surveysim.simulation.in_memory import with_errors
from surveysim.simulation.request import (
    about_model,
    about_survey,
    aligned_by,
    as_backgrounds,
    check_known_traits,
    check_same_predictors,
    check_same_prior,
    require_survey,
    sample_and_prior,
)
from surveysim.simulation.unseen import warn_of_unseen_levels
from surveysim.survey.survey import Survey
from surveysim.tables.schema import BACKGROUND, OPTION, SHARE
from surveysim.tables.storage import writable_parquet, write_parts

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel
    from surveysim.simulation.request import Backgrounds

log = logging.getLogger(__name__)

AT_ONCE = 960  # backgrounds of a part: ten trees of prompts; also the most that the closed form compares with each other


def simulate_to_parquet(
    df: Survey | IntoFrame,
    backgrounds: IntoFrame | str | Sequence[str] | Mapping[str, Sequence[str]],
    path: str | Path,
    *,
    model: OptionModel,
    codebook: CodebookLike | None = None,
    questions: str | Sequence[str] | None = None,
    method: str = "dsa",
    weight: str | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    progress: bool = True,
) -> Path:
    """Simulate as `simulate` does, but to a Parquet file, in memory that does not grow with the number of cells.

    The file holds the table that `simulate` would return, in the same order, a question and up to 960 backgrounds at a time, and
    appears when it is complete. `read_table` gives it back, whole or by question and background, with its ``attrs``, of which
    `beyond_training`, an entry per background, is left out.

    Standard errors and intervals of "dsa", and all of "dsa-kernel", come from a closed form that compares every background with
    every other, in memory that grows with their square. Up to 960 backgrounds, those asked for and those sampled together, the file
    has them as `simulate` gives them. With more, "dsa" has none: a warning and the table's ``attrs["no_std_error"]`` say so.

    Parameters
    ----------
    df, backgrounds, codebook, questions, weight, prior, progress
        As of `simulate`. Of a frame of backgrounds only the trait columns are used; a list of traits makes every combination, of
        which only some are written out at a time.
    path : str or Path
        Ends in .parquet.
    model : OptionModel
        Aligned with the survey before: memory of an alignment grows with its backgrounds, so which it learns from is for you to say. A
        base model for "zero-shot".
    group_predictors : DataFrame, optional
        As of `simulate`; they enter the closed form: "dsa-kernel", and the standard errors of "dsa".
    method : {"dsa", "dsa-kernel", "stage1", "zero-shot"}
        An aligned model has its own; "dsa-kernel" and "zero-shot" are for a base model.

    Returns
    -------
    Path

    Raises
    ------
    SurveySimError
        If the method does not go with the model, `questions` is empty, a plain frame comes without a codebook, or "dsa-kernel" is
        asked for more than 960 backgrounds.
    BackgroundError
        If a trait or level is unknown, a background stands there twice, or the model never saw these traits.
    ReadError
        If the path does not end in .parquet, its folder does not exist, or the disk has no room.
    PromptError
        If a question cannot be put to this model.
    EstimationError
        If `group_predictors` is unusable or not for the method, as of `simulate`.

    References
    ----------
    Huang, Li, Shao (2026), arXiv:2510.21977.

    Examples
    --------
    >>> import tempfile
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> chosen = {"model": ss.load_model(device="cpu"), "method": "zero-shot", "questions": ["Q8_8"], "progress": False}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = ss.read_table(ss.simulate_to_parquet(survey, ["gender", "age3"], f"{folder}/cells.parquet", **chosen))
    >>> len(table), table.attrs["method"]
    (24, 'zero-shot')
    """
    from surveysim.lm.answers import stream_shares
    from surveysim.lm.base.parallel import is_main, wait

    target = writable_parquet(path)
    backgrounds = as_backgrounds(backgrounds)
    method = _method_of(model, method)
    survey = require_survey(df, codebook, weight, questions=questions, backgrounds=backgrounds)
    frame = _trait_columns(backgrounds, survey.codebook)
    if model.aligned:
        check_known_traits(model, frame, survey.codebook)
    traits = [name for name in survey.codebook.traits if name in frame]
    sample, before = sample_and_prior(survey, traits, questions, prior=prior, method=method)
    warn_of_unseen_levels(frame, sample.loc[sample[SHARE].notna(), BACKGROUND], survey.codebook)
    check_uses_predictors(method, group_predictors)
    known = knowledge_of(survey.codebook, traits, group_predictors, prior=before)
    if model.aligned:
        check_same_prior(model, before)
        check_same_predictors(model, known.predictors)
    posterior = _posterior(model, survey.codebook, sample, frame, known, method=method, progress=progress)
    parts: Iterator[pd.DataFrame]
    if posterior is not None and method == "dsa-kernel":
        parts = iter([posterior])
    else:
        chunks, size = partial(_chunks, frame, survey.codebook), len(frame)
        shares = stream_shares(model, survey.codebook, sample, chunks, source=method, n_backgrounds=size, progress=progress)
        parts = shares if posterior is None else (with_errors(part, posterior) for part in shares)
    about = {**about_survey(survey, int(model.recipe.get("seed", 0))), **about_model(model, method)}
    if method == "dsa" and posterior is None:
        about["no_std_error"] = f"more than {AT_ONCE} backgrounds"
    if posterior is not None:
        about |= {name: posterior.attrs[name] for name in ("group_predictors", "prior") if name in posterior.attrs}
    learnt = [] if posterior is None else [posterior]
    mixed = [OPTION] if len({type(code) for code in sample[OPTION]}) > 1 else []
    parts = (readable(part, survey.codebook, simulated=True, like=learnt) for part in parts)
    if is_main():
        write_parts(parts, target, about=about, mixed=mixed)
    else:  # computes its parts for the process that writes
        deque(parts, maxlen=0)
    wait()
    return target


def _method_of(model: OptionModel, method: str) -> str:
    from surveysim.lm.option_model import require_model

    require_model(model)
    allowed = ("dsa", aligned_by(model)) if model.aligned else ("zero-shot", "dsa-kernel")  # "dsa" is the default: not asked for
    if method in allowed:
        return aligned_by(model) if model.aligned else method
    if model.aligned:
        raise SurveySimError(f"method {method!r} needs a base model, but this one is aligned already ({aligned_by(model)!r})")
    raise SurveySimError(
        f"method {method!r} cannot be written part by part with a base model; align it first, model=align(model, distributions, codebook), "
        'use method="dsa-kernel" or "zero-shot", or simulate() in memory'
    )


def _posterior(
    model: OptionModel, codebook: Codebook, sample: pd.DataFrame, frame: pd.DataFrame, known: Knowledge, *, method: str, progress: bool
) -> pd.DataFrame | None:
    """Return the kernel form's table, as `simulate` computes it; None, with a warning, where there are too many backgrounds for it.

    None too for a method without it. A prior that misleads is warned of.
    """
    if not method.startswith("dsa"):
        return None
    from surveysim.lm.kernel import kernel_shares, sample_states

    sampled = set(sample[BACKGROUND])
    if len(frame) <= AT_ONCE:
        grid = with_background_id(frame, codebook)
        if len(sampled | set(grid[BACKGROUND])) <= AT_ONCE:
            states = sample_states(model, codebook, sample, grid, progress=progress)
            made = kernel_shares(sample, grid, *states, codebook, knowledge=known)
            if "prior" in made.attrs:
                warn_of_misleading_prior(made.attrs["prior"])
            return made
    count = f"{len(frame):,} backgrounds, and {len(sampled):,} sampled"
    if method == "dsa-kernel":
        raise SurveySimError(
            f"method 'dsa-kernel' compares every background with every other, at most {AT_ONCE} to a file; got {count}; "
            "ask for fewer, use simulate() in memory, or an aligned model, whose shares have no such limit"
        )
    log.warning("no standard errors: their closed form compares at most %d backgrounds; got %s", AT_ONCE, count)
    return None


def _trait_columns(backgrounds: Backgrounds, codebook: Codebook) -> pd.DataFrame:
    """Return the trait columns of all backgrounds, a byte or so a level: ids, which are long, are made chunk by chunk."""
    if not is_frame(backgrounds):
        return _combinations(codebook.traits_named(backgrounds, "backgrounds", error=BackgroundError), codebook)  # type: ignore[arg-type]
    given = pandas_frame(backgrounds, "backgrounds").drop(columns=BACKGROUND, errors="ignore")
    frame = given[checked_traits(given, codebook)].reset_index(drop=True).astype("category")
    repeated = frame.duplicated()
    if repeated.any():
        twice = with_background_id(frame[repeated].drop_duplicates(), codebook)[BACKGROUND]
        raise BackgroundError(f"backgrounds repeats {first_few(twice)}; keep one row each")
    return frame


def _combinations(names: list[str], codebook: Codebook) -> pd.DataFrame:
    levels = {name: codebook.trait(name).level_names for name in names}
    sizes = [len(each) for each in levels.values()]
    places = np.unravel_index(np.arange(prod(sizes)), sizes)
    return pd.DataFrame({name: pd.Categorical.from_codes(codes, levels[name]) for name, codes in zip(names, places, strict=True)})


def _chunks(frame: pd.DataFrame, codebook: Codebook) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(frame), AT_ONCE):
        yield tuple(with_background_id(frame.iloc[start : start + AT_ONCE], codebook)[BACKGROUND])
