"""`simulate`: a survey and backgrounds in, response distributions for every background out, sampled or not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from surveysim.baselines.methods import BASELINES, estimate_baseline
from surveysim.codebook.backgrounds import background_grid, parse_background_id, with_background_id
from surveysim.codebook.codebook import Codebook, ordinal_questions
from surveysim.errors import BackgroundError, SurveySimError, first_few, nearest
from surveysim.estimation.distributions import cell_shares
from surveysim.simulation.reach import beyond_training
from surveysim.survey.survey import Survey, as_survey
from surveysim.tables.cells import Cells, to_cells, to_table
from surveysim.tables.draws import check_draws, draw_columns, with_draws
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, DISTRIBUTION_KEYS, QUESTION, SHARE, STD_ERROR

if TYPE_CHECKING:
    from surveysim.lm.option_model import OptionModel

MODEL_METHODS = ("dsa", "dsa-kernel", "stage1", "zero-shot")


def simulate(
    df: Survey | pd.DataFrame,
    backgrounds: pd.DataFrame | str | Sequence[str],
    *,
    model: OptionModel | None = None,
    codebook: str | Path | Codebook | None = None,
    questions: str | Sequence[str] | None = None,
    method: str = "dsa",
    weight: str | None = None,
    seed: int = 0,
    draws: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Simulate the response distribution of every background to every question.

    Parameters
    ----------
    df : Survey or DataFrame
        The respondents to learn from: a `Survey`, or a frame of respondents with the codebook's variables as columns.
    backgrounds : DataFrame or sequence of str
        A row per background with a column per trait (any combination of levels, observed or not; `population_share` may
        stand beside them), or a list of trait names: then every combination of their levels.
    model : OptionModel, optional
        An aligned model only simulates. A base model is aligned first, with `df`. Default: the default model.
    codebook : str, Path or Codebook, optional
        Required with a plain frame.
    questions : str or sequence of str, optional
        Default: all questions of the survey.
    method : str
        ``"dsa"`` (both stages), ``"dsa-kernel"`` (its closed form: no training), ``"stage1"``
        (conventional fine-tuning), ``"zero-shot"`` (the base model as it is), or a classical baseline by name, such as
        ``"mrp"`` or ``"raw"``, which needs no language model.
    weight : str, optional
        Weight variable of a plain frame; default the codebook's first.
    seed : int
        The same seed, data and model give the same shares.
    draws : int
        Draws from the posterior, as columns ``draw_1``, ``draw_2``, ...: `poststratify` makes of them standard errors of sums over
        cells, whose errors go together. For "dsa" (those of its closed form, moved to its shares), "dsa-kernel", "mrp",
        "mean_tilt" and "low_rank".
    progress : bool
        Progress bars and a line that says what is done; False is quiet.

    Returns
    -------
    DataFrame
        A distributions table, `source` = the method. `n` and `n_eff` are the respondents whom the method learnt this very cell
        from: 0 for a background never sampled. `std_error` and the 95% interval of "dsa" are those of its closed form, the
        posterior of the kernel form given this sample; "stage1" and "zero-shot" have none. ``attrs`` holds ``simulated``,
        survey, weight, denominator, design, model with its SHA-256, prompt, stages with their losses, seed, and
        ``beyond_training``: how many backgrounds were never sampled, which levels nobody in the sample has, and in how many
        traits the furthest background differs from the nearest one sampled. `show` displays them.

    Raises
    ------
    SurveySimError
        If the method is unknown or contradicts the model, the model is none, `questions` is empty, a plain frame comes without
        a codebook, or draws are asked of a method that has no posterior.
    BackgroundError
        If a trait or level is unknown, or an aligned model never saw these traits.
    TrainingError
        If nobody answered a question, or fewer respondents than it has options.

    References
    ----------
    Huang, Li, Shao (2026), arXiv:2510.21977.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.simulate(survey, ["gender", "age3"], questions=["Q8_8"], method="ridge")
    >>> shares.groupby("background_id").share.sum().round(9).unique()
    array([1.])
    """
    if method not in (*MODEL_METHODS, *BASELINES):
        raise SurveySimError(f"method {method!r} is unknown; {nearest(method, [*MODEL_METHODS, *BASELINES])}")
    _check_method(method, model)
    check_draws(draws)
    survey = require_survey(df, codebook, weight)
    grid = _grid(backgrounds, survey.codebook)
    traits = [name for name in survey.codebook.traits if name in grid]
    sample = cell_shares(survey, by=traits, questions=questions)
    if method in BASELINES:
        ordinal = ordinal_questions(survey.codebook, None)
        table = estimate_baseline(sample, grid, method=method, ordinal=ordinal, seed=seed, draws=draws).assign(source=method)
        about: dict[str, object] = {"model": None, "method": method}
    else:
        table, about = _simulate_with_model(model, sample, grid, survey, method, seed, draws, progress)
    table.attrs.clear()
    beyond = beyond_training(grid[BACKGROUND], sample.loc[sample[SHARE].notna(), BACKGROUND])
    table.attrs.update(about_survey(survey, seed), beyond_training=beyond, **about)
    return table


def about_survey(survey: Survey, seed: int) -> dict[str, object]:
    """Return what a simulated table says about the respondents it was learnt from."""
    return {
        "simulated": True,
        "survey": survey.codebook.name,
        "n_respondents": len(survey),
        "weight": survey.weight_name,
        "denominator": "valid answers",
        "design": survey.design.description,
        "seed": seed,
    }


def about_model(model: OptionModel, method: str) -> dict[str, object]:
    """Return what a simulated table says about the language model."""
    return {
        "model": model.backbone.name,
        "model_sha256": model.backbone.digest,
        "method": method,
        "prompt": model.template.to_dict(),
        "stages": list(model.recipe.get("stages", [])),
    }


def _simulate_with_model(
    model: OptionModel | None,
    sample: pd.DataFrame,
    grid: pd.DataFrame,
    survey: Survey,
    method: str,
    seed: int,
    draws: int,
    progress: bool,
) -> tuple[pd.DataFrame, dict[str, object]]:
    from surveysim.lm.answers import predict
    from surveysim.lm.base.parallel import is_main
    from surveysim.lm.fit.stages import DSA
    from surveysim.lm.kernel import kernel_shares, sample_states
    from surveysim.lm.loading import load_model
    from surveysim.lm.training import align

    book = survey.codebook
    chosen = model if model is not None else load_model()
    if chosen.aligned:
        check_known_traits(chosen, grid, book)
        method = aligned_by(chosen)
    elif method in ("dsa", "stage1"):
        if progress and is_main():
            print(
                f"surveysim: aligning {chosen.backbone.name} with {len(survey):,} respondents of {book.name} (weight "
                f"{survey.weight_name}), then simulating {len(grid)} backgrounds",
                file=sys.stderr,
            )
        stages = DSA if method == "dsa" else DSA[:1]
        chosen = align(chosen, sample, book, backgrounds=grid, stages=stages, seed=seed, progress=progress)
    about = about_model(chosen, method)
    if draws and not method.startswith("dsa"):
        raise SurveySimError(f"method {method!r} has no posterior to draw from; use method='dsa' or 'dsa-kernel'")
    kernel = None
    if method.startswith("dsa"):
        kernel = kernel_shares(sample, grid, *sample_states(chosen, book, sample, grid), book, draws=draws, seed=seed)
        if method == "dsa-kernel":
            return kernel, about
    shares = predict(chosen, book, tuple(sample[QUESTION].unique()), grid, progress=progress)
    cells = to_cells(sample, backgrounds=tuple(grid[BACKGROUND]))
    table = to_table(cells, _padded(shares, cells), source=method)
    return (table if kernel is None else with_errors(table, kernel)), about


def with_errors(table: pd.DataFrame, kernel: pd.DataFrame) -> pd.DataFrame:
    """Give the shares the posterior standard errors of the kernel form, whose pooled shifts they were aligned with."""
    error = table[DISTRIBUTION_KEYS].merge(kernel[[*DISTRIBUTION_KEYS, STD_ERROR]], on=DISTRIBUTION_KEYS, how="left")[STD_ERROR].to_numpy()
    low, high = normal_intervals(table[SHARE].to_numpy(float), error, bounds=OF_A_SHARE)
    stated = table.assign(**{STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high})
    names = draw_columns(kernel)
    if not names:
        return stated
    drawn = table[DISTRIBUTION_KEYS].merge(kernel[[*DISTRIBUTION_KEYS, SHARE, *names]], on=DISTRIBUTION_KEYS, how="left")
    return with_draws(stated, table[[SHARE]].to_numpy() + drawn[names].to_numpy() - drawn[[SHARE]].to_numpy())


def _check_method(method: str, model: OptionModel | None) -> None:
    """Refuse a model that the method would not use, or would use otherwise than was asked for."""
    if model is None:
        return
    if not hasattr(model, "aligned"):
        raise SurveySimError(f"model must come from load_model() or align(); got {type(model).__name__} {model!r}")
    if method in BASELINES:
        raise SurveySimError(f"method {method!r} is a classical baseline and uses no language model; leave model= out")
    if model.aligned and method not in ("dsa", aligned_by(model)):  # "dsa" is the default: not asked for
        raise SurveySimError(
            f"method {method!r} needs a base model, but this one is aligned already ({aligned_by(model)!r}); give model=load_model(...)"
        )


def aligned_by(model: OptionModel) -> str:
    """Return the method that an aligned model stands for."""
    return "dsa" if len(model.recipe.get("stages", ())) > 1 else "stage1"


def _padded(shares: dict[str, np.ndarray], cells: Cells) -> np.ndarray:
    out = np.zeros_like(cells.shares)
    for row, question_id in enumerate(cells.questions):
        out[row, :, : shares[question_id].shape[1]] = shares[question_id]
    return out


def require_survey(df: Survey | pd.DataFrame, codebook: str | Path | Codebook | None, weight: str | None) -> Survey:
    """Return a survey as it is, or a frame of respondents as a survey.

    Raises
    ------
    SurveySimError
        If a survey comes with a codebook or weight, or a frame without a codebook.
    """
    if isinstance(df, Survey):
        if codebook is not None or weight is not None:
            raise SurveySimError("a Survey brings its own codebook and weight; leave codebook= and weight= out")
        return df
    if codebook is None:
        raise SurveySimError("a plain frame needs codebook=: the name of a shipped codebook or the path of a .toml file")
    return as_survey(df, codebook, weight=weight)


def _grid(backgrounds: pd.DataFrame | str | Sequence[str], codebook: Codebook) -> pd.DataFrame:
    if isinstance(backgrounds, pd.DataFrame):
        return with_background_id(backgrounds.drop(columns=BACKGROUND, errors="ignore"), codebook)
    return background_grid(codebook, by=codebook.traits_named(backgrounds, "backgrounds", error=BackgroundError))


def check_known_traits(model: OptionModel, grid: pd.DataFrame, codebook: Codebook) -> None:
    """Refuse backgrounds of other traits than the model was aligned with."""
    seen = {trait for identifier in model.recipe.get("backgrounds", ()) for trait in parse_background_id(identifier)}
    asked = {name for name in codebook.traits if name in grid}
    if seen and asked != seen:
        raise BackgroundError(
            f"backgrounds has traits {first_few(sorted(asked))}, but the model was aligned with {first_few(sorted(seen))}; "
            f"{first_few(sorted(asked ^ seen))} stands in one of them alone, so every background asked for is at least {len(asked ^ seen)} "
            f"of {len(asked | seen)} traits away from those it learnt from: align a model with these traits"
        )
