"""`simulate`: a survey and backgrounds in, response distributions for every background out, sampled or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from surveysim.baselines.fitting import training_cells, warn_of_misleading_prior
from surveysim.baselines.knowledge import Knowledge, knowledge_of
from surveysim.baselines.methods import BASELINES, fitted_baseline
from surveysim.baselines.predictors import check_uses_predictors
from surveysim.baselines.prior import PriorLike
from surveysim.codebook.codebook import ordinal_questions
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike
from surveysim.errors import SurveySimError, nearest
from surveysim.progress import announce
from surveysim.simulation.request import (
    MODEL_METHODS,
    about_model,
    about_survey,
    aligned_by,
    as_backgrounds,
    check_known_traits,
    check_method,
    check_same_predictors,
    check_same_prior,
    requested_backgrounds,
    require_survey,
    sample_and_prior,
)
from surveysim.simulation.unseen import beyond_training, warn_of_unseen_levels
from surveysim.survey.survey import Survey
from surveysim.tables.cells import to_cells
from surveysim.tables.draws import check_draws, draw_columns, with_draws
from surveysim.tables.intervals import OF_A_SHARE, normal_intervals
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, DISTRIBUTION_KEYS, SHARE, STD_ERROR

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel
    from surveysim.lm.training import AlignmentRun

MethodName: TypeAlias = str  # of what is none `simulate` has more to say than that it is no text


def simulate(
    df: Survey | IntoFrame,
    backgrounds: IntoFrame | str | Sequence[str] | Mapping[str, Sequence[str]],
    *,
    model: OptionModel | None = None,
    codebook: CodebookLike | None = None,
    questions: str | Sequence[str] | None = None,
    method: MethodName = "dsa",
    weight: str | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    seed: int = 0,
    draws: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Simulate the response distribution of every background to every question.

    Parameters
    ----------
    df : Survey or DataFrame
        The respondents to learn from: a `Survey`, or a frame of respondents (pandas, polars, pyarrow, DuckDB) with the columns of
        these questions, traits, the weight and the design, in codes or labels as `as_survey` takes them.
    backgrounds : DataFrame, mapping or sequence of str
        A row per background with a column per trait (any combination of levels, observed or not; `population_share` may
        stand beside them; a mapping of traits to equally long lists is taken as such columns), or a list of trait names: then every
        combination of their levels. Where all combinations are asked for and nobody sampled has some level, a warning says so.
    model : OptionModel, optional
        An aligned model only simulates. A base model is aligned first, with `df`. Default: the default model.
    codebook : str, Path, Codebook or Survey, optional
        Required with a plain frame.
    questions : str or sequence of str, optional
        Default: all questions of the survey.
    method : str
        ``"dsa"`` (both stages), ``"dsa-kernel"`` (its closed form: no training), ``"stage1"``
        (conventional fine-tuning), ``"zero-shot"`` (the base model as it is), or a classical baseline by name, such as
        ``"mrp"`` or ``"raw"``, which needs no language model.
    weight : str, optional
        Weight variable of a plain frame; default the codebook's first.
    group_predictors : DataFrame, optional
        Numbers known of the levels of a trait (a country's income, a district's past vote), or of combinations of several traits' levels:
        columns of level names, named as the traits, and numeric columns. They enter "dsa", "dsa-kernel" and the regressions; a level
        without a row gets the mean and its own effect, and is named in ``attrs["group_predictors"]``.
    prior : DataFrame, Survey, or several of them, optional
        Shares known before the sample: a distributions table of any simulator (a table without `n` states no error), or a `Survey`, such as
        an earlier wave. For "dsa", "dsa-kernel", "mrp", "mean_tilt" and "low_rank": the estimate starts from the prior's cells and is moved
        by the sample, as far as the sample shows; the last three are then one and the same. Questions that only the prior has are simulated
        from it, and a column `basis` says so, "prior alone"; a prior may have fewer traits. A list, or a mapping with names, is weighed,
        each source by how near the sample it is; a mapping of years (``{2018: wave9, 2020: wave10}``) is one of waves, each of which moves
        the one before. Other codes or coarser levels: `harmonise`. The estimate is an average of three, by how well each fits the sample:
        little has changed since the prior, much may have, or its differences between backgrounds are of no use and only its level is
        taken (`ignored` in ``attrs["prior"]`` is the probability of that). What it was worth stands there too, and a prior that misleads
        is warned of.
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
        If a trait or level is unknown, an aligned model never saw these traits, or a mapping's lists are of unequal length.
    TrainingError
        If nobody answered a question, or fewer respondents than it has options.
    EstimationError
        If `group_predictors` is not for the method, has no column of a trait, an unknown or repeated level, or a predictor that is
        constant, missing or not numeric; for a classical baseline also where a TrainingError is named.

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
        own = "; what a simulator of your own answered comes in with as_distributions" if callable(method) else ""
        raise SurveySimError(f"method {method!r} is unknown; {nearest(str(method), [*MODEL_METHODS, *BASELINES])}{own}")
    backgrounds = as_backgrounds(backgrounds)
    check_method(method, model)
    check_draws(draws)
    check_uses_predictors(method, group_predictors)
    survey = require_survey(df, codebook, weight, questions=questions, backgrounds=backgrounds)
    grid = requested_backgrounds(backgrounds, survey.codebook)
    traits = [name for name in survey.codebook.traits if name in grid]
    sample, before = sample_and_prior(survey, traits, questions, prior=prior, method=method)
    known = knowledge_of(survey.codebook, traits, group_predictors, prior=before)
    if method in BASELINES:
        table = fitted_baseline(
            sample, grid, method=method, ordinal=ordinal_questions(survey.codebook, None), known=known, seed=seed, draws=draws
        )
        about: dict[str, object] = {"model": None, "method": method}
    else:
        table, about = _simulate_with_model(
            model, sample, grid, survey, method=method, known=known, seed=seed, draws=draws, progress=progress
        )
    learnt = table.attrs.get("prior")
    table.attrs = {} if learnt is None else {"prior": learnt}
    table = readable(table, survey.codebook, simulated=True)
    beyond = beyond_training(grid[BACKGROUND], sample.loc[sample[SHARE].notna(), BACKGROUND])
    warn_of_unseen_levels(grid, sample.loc[sample[SHARE].notna(), BACKGROUND], survey.codebook)
    table.attrs.update(about_survey(survey, seed), beyond_training=beyond, **about)
    if learnt is not None:
        warn_of_misleading_prior(learnt)
    if known.predictors is not None:
        table.attrs["group_predictors"] = known.predictors.about([*sample[BACKGROUND], *grid[BACKGROUND]])
    return table


def _simulate_with_model(
    model: OptionModel | None,
    sample: pd.DataFrame,
    grid: pd.DataFrame,
    survey: Survey,
    *,
    method: str,
    known: Knowledge,
    seed: int,
    draws: int,
    progress: bool,
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return the table of a method with a language model, and what it says of itself; prompts, sample and closed form are made once."""
    from surveysim.lm.answers import answer_table, answers
    from surveysim.lm.kernel import all_answer_states, closed_form
    from surveysim.lm.loading import load_model

    book, closed, shares = survey.codebook, None, None
    chosen = model if model is not None else load_model()
    if chosen.aligned:
        check_known_traits(chosen, grid, book)
        check_same_prior(chosen, known.prior)
        method = aligned_by(chosen)
        check_uses_predictors(method, known.predictors)
        check_same_predictors(chosen, known.predictors)
    if draws and not method.startswith("dsa"):
        raise SurveySimError(f"method {method!r} has no posterior to draw from; use method='dsa' or 'dsa-kernel'")
    if method in ("dsa", "stage1") and not chosen.aligned:
        run = _aligned_now(chosen, sample, grid, survey, method=method, known=known, seed=seed, draws=draws, progress=progress)
        chosen, put, cells, closed, shares = run.model, run.put, run.laid.cells, run.closed_form, run.shares
    elif method.startswith("dsa"):
        laid = training_cells(sample, grid, ordinal=ordinal_questions(book, None), knowledge=known)
        cells, put = laid.cells, chosen.put(book, laid.cells.questions, (*grid[BACKGROUND], *sample[BACKGROUND]))
        closed = closed_form(laid, all_answer_states(chosen, put.tokenised, progress=progress), put.backgrounds, draws=draws, seed=seed)
    else:
        cells = to_cells(sample)
        put = chosen.put(book, cells.questions, grid[BACKGROUND])
    about = about_model(chosen, method)
    if closed is not None:
        closed = closed[closed[BACKGROUND].isin(grid[BACKGROUND])].reset_index(drop=True)  # its attrs stay
        if method == "dsa-kernel":
            return closed, about
    found = answers(chosen, put, progress=progress) if shares is None else shares
    table = answer_table(found, put, cells.on(backgrounds=grid[BACKGROUND]), source=method)
    if closed is None:
        return table, about
    stated = with_errors(table, closed)
    stated.attrs["prior"] = closed.attrs.get("prior")
    return stated, about


def _aligned_now(
    model: OptionModel,
    sample: pd.DataFrame,
    grid: pd.DataFrame,
    survey: Survey,
    *,
    method: str,
    known: Knowledge,
    seed: int,
    draws: int,
    progress: bool,
) -> AlignmentRun:
    from surveysim.lm.base.parallel import is_main
    from surveysim.lm.fit.stages import DSA
    from surveysim.lm.training import run_alignment

    if progress and is_main():
        announce(
            f"aligning {model.backbone.name} with {len(survey):,} respondents of {survey.codebook.name} (weight "
            f"{survey.weight_name}), then simulating {len(grid)} backgrounds"
        )
    stages = DSA if method == "dsa" else DSA[:1]
    return run_alignment(
        model, sample, survey.codebook, backgrounds=grid, stages=stages, knowledge=known, seed=seed, draws=draws, progress=progress
    )


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
