"""`align`: stage 1 fits the sample's distributions, stage 2 the shifts between backgrounds; only the last layer and heads train."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from surveysim.baselines.expected_changes import WORTH
from surveysim.baselines.fitting import TrainingCells, training_cells
from surveysim.baselines.knowledge import Knowledge, knowledge_of, known_order
from surveysim.baselines.methods import BASELINES
from surveysim.baselines.prior import PriorLike, prior_of
from surveysim.codebook.backgrounds import background_grid, parse_background_id, same_traits, traits_in, with_background_id
from surveysim.codebook.codebook import Codebook, ordinal_questions
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import TrainingError, first_few
from surveysim.lm.alignment import Alignment
from surveysim.lm.base.spare_cores import spare_cores
from surveysim.lm.fit.losses import NEEDS_MODEL, NEEDS_POOLED
from surveysim.lm.fit.stages import DSA, KERNEL, StageConfig
from surveysim.lm.fit.targets import pooled_shares, question_targets
from surveysim.lm.option_model import OptionModel, PutQuestions, require_model
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.schema import BACKGROUND, DISTRIBUTION_KEYS, POPULATION_SHARE, QUESTION, require_columns

PARTED = (
    0.03  # mean total variation of a question from its closed form above which its head is fitted again; it is .0005 to .03 in practice
)
log = logging.getLogger(__name__)


def align(
    model: OptionModel,
    distributions: pd.DataFrame,
    codebook: CodebookLike,
    *,
    backgrounds: pd.DataFrame | None = None,
    stages: Sequence[StageConfig] = DSA,
    validation: pd.DataFrame | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    seed: int = 0,
    progress: bool = True,
) -> OptionModel:
    """Align a language model with weighted response distributions by Distribution Shift Alignment.

    The trunk is frozen and runs once a prompt. Each stage fits the questions' own heads on the features as they are (in stage
    1 a convex problem), trains the last layer, the final norm and the heads together, and fits the heads again on the features so
    trained. Stage 1 lowers the divergence from the sample's distributions; stage 2 makes the shifts between backgrounds those
    that all respondents together show.

    Parameters
    ----------
    model : OptionModel
        From `load_model`; it is not changed.
    distributions : DataFrame
        A distributions table by background, weighted; cells count by `n_eff`.
    codebook : str, Path, Codebook or Survey
    backgrounds : DataFrame, optional
        Trait columns, and `population_share` where it is known: the backgrounds that stage 2 aligns. Default: every
        combination of the levels of the traits in `distributions`.
    stages : sequence of StageConfig
        Default `DSA`; ``DSA[:1]`` is conventional fine-tuning.
    validation : DataFrame, optional
        Distributions of respondents who are in no cell of `distributions`, same questions and traits: after every epoch the model
        is compared with them, and each stage keeps the best (0: the heads alone). Without it all epochs are kept.
    group_predictors : DataFrame, optional
        Numbers known of a trait's levels, as of `simulate`: the pooled shifts of stage 2 lean on them.
    prior : DataFrame, Survey, or several of them, optional
        Shares known before the sample, as of `simulate`: stage 1 learns the prior's cells, stage 2 how the sample moves them.
    seed : int
        Order of the questions.
    progress : bool

    Returns
    -------
    OptionModel
        With `readout` and a `recipe` that records stages, their losses, the shift fit, what was kept, and training sizes.

    Raises
    ------
    TableError
        If `distributions` is no distributions table, or shares do not sum to 1.
    TrainingError
        If the model is none of `load_model`, a question was answered by nobody, by fewer respondents than it has options, or a
        loss becomes infinite.
    CodebookError
        If a question or trait is not in the codebook.
    EstimationError
        If `group_predictors` is unusable, as of `estimate_baseline`.

    References
    ----------
    Huang, Li, Shao (2026), "Distribution Shift Alignment Helps LLMs Simulate Survey Response Distributions", arXiv:2510.21977.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> sample = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> aligned = ss.align(ss.load_model(device="cpu"), sample, survey.codebook, progress=False)
    >>> [stage["loss"] for stage in aligned.recipe["stages"]]
    ['option_kl', 'pooled_shift']
    """
    require_columns(distributions, DISTRIBUTION_KEYS, "distributions")
    codebook, traits = load_codebook(codebook), traits_in(distributions[BACKGROUND].unique())
    before = None if prior is None else prior_of(prior, traits, list(distributions[QUESTION].unique()))
    known = knowledge_of(codebook, traits, group_predictors, prior=before) if traits else None
    work = run_alignment(
        model,
        distributions,
        codebook,
        backgrounds=backgrounds,
        stages=stages,
        validation=validation,
        knowledge=known,
        seed=seed,
        progress=progress,
    )
    return work.model


@dataclass(frozen=True, eq=False)
class AlignmentRun:
    """An alignment with what it made on its way, for those who would make it again.

    Attributes
    ----------
    model : OptionModel
        Aligned.
    put : PutQuestions
        The questions as they were put to all backgrounds.
    laid : TrainingCells
        The sample, laid out; its backgrounds asked for are all that were aligned.
    closed_form : DataFrame or None
        Shares, standard errors and draws of the closed form, which a stage's pooled shifts are taken from; None where no stage needs it.
    shares : dict of question_id to array, shape (backgrounds, options)
        What the aligned model answers, in the order of `put`.
    """

    model: OptionModel
    put: PutQuestions
    laid: TrainingCells
    closed_form: pd.DataFrame | None
    shares: dict[str, Array]


@spare_cores()
def run_alignment(
    model: OptionModel,
    distributions: pd.DataFrame,
    codebook: Codebook,
    *,
    backgrounds: pd.DataFrame | None = None,
    stages: Sequence[StageConfig] = DSA,
    validation: pd.DataFrame | None = None,
    knowledge: Knowledge | None = None,
    seed: int = 0,
    draws: int = 0,
    progress: bool = True,
) -> AlignmentRun:
    """Align as `align` does, and hand back what was made on the way; `draws` are of the closed form.

    `knowledge` of the backgrounds is by default the order of levels in `codebook`.

    Raises
    ------
    TableError, TrainingError, CodebookError
        As of `align`.
    """
    require_model(model, "align(load_model(), distributions, codebook)", TrainingError)
    require_columns(distributions, DISTRIBUTION_KEYS, "distributions")
    if not stages:
        raise TrainingError("stages is empty; use DSA, or DSA[:1] for stage 1 alone")
    grid = training_backgrounds(distributions, backgrounds, codebook)
    known = Knowledge(known_order(codebook)) if knowledge is None else knowledge
    laid = training_cells(distributions, grid, ordinal=ordinal_questions(codebook, None), knowledge=known, refuse=TrainingError)
    cells = laid.cells.on(backgrounds=tuple(grid[BACKGROUND]))
    checks = None if validation is None else _validation_cells(validation, cells)
    put = model.put(codebook, cells.questions, cells.backgrounds)
    work = Alignment(model, put.tokenised, seed, progress)
    work.read_prompts()
    population = _population(grid, cells)
    pooled = _pooled_tables(work, laid, grid, codebook, distributions=distributions, stages=stages, draws=draws, seed=seed)
    history = []
    taught = cells if laid.start is None else _prior_targets(laid, cells)
    for number, stage in enumerate(stages, start=1):
        shifts = pooled_shares(pooled[stage.pooling], cells.backgrounds) if stage.loss in NEEDS_POOLED else None
        frozen = work.shares() if stage.loss in NEEDS_MODEL else None
        learnt = taught if number == 1 else cells
        targets = [question_targets(learnt, codebook, population, pooled=shifts, frozen=frozen, seed=seed)]
        targets += [] if checks is None else [question_targets(checks, codebook, population, seed=seed)]
        placed = [{name: target.to(work.readout.rows.device) for name, target in each.items()} for each in targets]
        history.append({**asdict(stage), **work.run(stage, placed[0], f"stage {number} ({stage.loss})", *placed[1:])})
    recipe = _recipe(model, codebook, cells, work.prior_strength, seed=seed, history=history)
    if KERNEL in pooled:
        recipe["closed_form"] = _held_to(work, pooled[KERNEL], cells, codebook, population, seed=seed)
    if known.prior is not None:
        recipe["prior"] = {"name": known.prior.name, "digest": known.prior.digest}
    recipe["group_predictors"] = None if known.predictors is None else known.predictors.recorded()
    return AlignmentRun(replace(model, readout=work.readout.eval(), recipe=recipe), put, laid, pooled.get(KERNEL), work.shares())


def _pooled_tables(
    work: Alignment,
    laid: TrainingCells,
    grid: pd.DataFrame,
    codebook: Codebook,
    *,
    distributions: pd.DataFrame,
    stages: Sequence[StageConfig],
    draws: int,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Return shares of every background, fitted to all respondents, by the stages' kinds of pooling: between them lie the pooled shifts."""
    needed = dict.fromkeys(stage.pooling for stage in stages if stage.loss in NEEDS_POOLED)
    order = tuple(grid[BACKGROUND])
    return {
        name: work.closed_form(laid, order, draws=draws, seed=seed)
        if name == KERNEL
        else BASELINES[name](distributions, grid, ordinal=ordinal_questions(codebook, None), knowledge=laid.known)
        for name in needed
    }


def _held_to(
    work: Alignment, closed: pd.DataFrame, cells: Cells, codebook: Codebook, population: np.ndarray, *, seed: int
) -> dict[str, Any]:
    """Hold the trained model beside its closed form: a question that parts from it by more than `PARTED` is fitted to it, by its head.

    Returns
    -------
    dict
        `distance`: mean total variation over questions and backgrounds; `largest`: that of the question furthest away; `refitted`:
        questions fitted again; `parted`: those that still are further away than `PARTED`.
    """
    expected = np.nan_to_num(to_cells(closed).on(questions=cells.questions, backgrounds=cells.backgrounds).shares)
    apart = _apart(work, expected, cells)
    refitted = [name for name, distance in apart.items() if distance > PARTED]
    if refitted:
        worth = np.full(cells.n.shape, WORTH)
        targets = question_targets(replace(cells, shares=expected, n=worth, n_eff=worth), codebook, population, seed=seed)
        own = {name: targets[name].to(work.readout.rows.device) for name in refitted}
        work.refit(replace(DSA[0], head_penalty=DSA[1].head_penalty), own, "held to the closed form")
        apart = _apart(work, expected, cells)
        left = {name: distance for name, distance in apart.items() if distance > PARTED}
        if left:
            log.warning(
                "%d of %d questions are still more than %g away from their closed form after a second fit (total variation, mean of the "
                "backgrounds): %s; see method='dsa-kernel'",
                len(left), len(apart), PARTED, first_few(f"{name} {distance:.3f}" for name, distance in left.items()),
            )  # fmt: skip
    parted = [name for name, distance in apart.items() if distance > PARTED]
    values = list(apart.values())
    return {"distance": float(np.mean(values)), "largest": max(values), "refitted": refitted, "parted": parted}


def _apart(work: Alignment, expected: Array, cells: Cells) -> dict[str, float]:
    """Total variation of every question from what is expected, mean over backgrounds."""
    found = work.shares()
    rows = zip(cells.questions, expected, cells.mask, strict=True)
    return {name: float(np.abs(found[name] - own[:, mask]).sum(-1).mean() / 2) for name, own, mask in rows}


def _prior_targets(laid: TrainingCells, cells: Cells) -> Cells:
    """Return the prior's cells as what stage 1 learns: each counts as much as `WORTH` respondents."""
    assert laid.start is not None
    known = replace(laid.cells, shares=laid.start.shares, n=np.full(laid.cells.n.shape, WORTH), n_eff=np.full(laid.cells.n.shape, WORTH))
    return known.on(backgrounds=cells.backgrounds)


def training_backgrounds(distributions: pd.DataFrame, backgrounds: pd.DataFrame | None, codebook: Codebook) -> pd.DataFrame:
    """Return the backgrounds asked for (default: the full grid) and then those of the table, each once.

    Raises
    ------
    TrainingError
        If the table mixes sets of traits, or `backgrounds` has other traits than the table.
    BackgroundError
        If a trait or level is unknown.
    """
    levels = {identifier: parse_background_id(identifier) for identifier in distributions[BACKGROUND].unique()}
    remedy = "build them with response_distributions(survey, by=[...])"
    traits = same_traits(levels, "distributions", remedy, error=TrainingError)
    if not traits:
        raise TrainingError(f"distributions has no backgrounds to align: all respondents are one; {remedy}")
    asked = background_grid(codebook, by=traits) if backgrounds is None else with_background_id(backgrounds, codebook)
    asked_traits = sorted(set(asked.columns) & set(codebook.traits))
    if asked_traits != traits:
        raise TrainingError(f"backgrounds has traits {first_few(asked_traits)}, distributions {first_few(traits)}; use the same")
    known = set(asked[BACKGROUND])
    rest = pd.DataFrame([level for identifier, level in levels.items() if identifier not in known])
    if rest.empty:
        return asked
    unasked = with_background_id(rest, codebook).assign(**{POPULATION_SHARE: 0.0} if POPULATION_SHARE in asked else {})
    return pd.concat([asked, unasked], ignore_index=True)


def _population(grid: pd.DataFrame, cells: Cells) -> np.ndarray:
    """Population share of each background where given, else its share of the effective sample."""
    if POPULATION_SHARE in grid and grid[POPULATION_SHARE].notna().any():
        return grid[POPULATION_SHARE].fillna(0).to_numpy(float)
    return cells.n_eff.mean(0)


def _validation_cells(validation: pd.DataFrame, cells: Cells) -> Cells:
    """Return the validation respondents' cells, laid out as the training cells; a question that none of them answered is empty."""
    found = to_cells(validation, what="validation")
    other = [name for name in cells.questions if name not in found.questions]
    unknown = set(validation[BACKGROUND]) - set(cells.backgrounds)
    if other or unknown:
        what = f"lacks questions {first_few(other)}" if other else f"has other backgrounds: {first_few(sorted(unknown))}"
        raise TrainingError(f"validation {what}; make it as distributions was made, from respondents kept out of it")
    laid = found.on(questions=cells.questions, backgrounds=cells.backgrounds)
    return replace(cells, shares=laid.shares, n=laid.n, n_eff=laid.n_eff)


def _recipe(
    model: OptionModel, codebook: Codebook, cells: Cells, prior_strength: float | None, *, seed: int, history: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "base_model": model.backbone.name,
        "base_digest": model.backbone.digest,
        "dtype": str(model.backbone.dtype).removeprefix("torch."),
        "codebook": codebook.name,
        "template": model.template.to_dict(),
        "stages": history,
        "prior_strength": prior_strength,
        "seed": seed,
        "questions": list(cells.questions),
        "backgrounds": list(cells.backgrounds),
        "n_respondents": int(cells.n.sum(1).max()),
        "n_eff": float(cells.n_eff.sum(1).max()),
        "empty_backgrounds": int((cells.n.sum(0) == 0).sum()),
        "smallest_cell": int(cells.n[cells.n > 0].min()),  # respondents; what a saved model is checked by before it is given away
    }
