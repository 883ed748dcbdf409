"""`align`: stage 1 fits the sample's distributions, stage 2 the shifts between backgrounds; only the last layer and heads train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_grid, parse_background_id, same_traits, with_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.errors import TrainingError, first_few
from surveysim.lm.alignment import Alignment
from surveysim.lm.fit.losses import NEEDS_MODEL, NEEDS_POOLED
from surveysim.lm.fit.stages import DSA, StageConfig
from surveysim.lm.fit.targets import question_targets
from surveysim.lm.option_model import OptionModel
from surveysim.tables.cells import Cells, to_cells
from surveysim.tables.schema import BACKGROUND, DISTRIBUTION_KEYS, POPULATION_SHARE, require_columns


def align(
    model: OptionModel,
    distributions: pd.DataFrame,
    codebook: Codebook,
    *,
    backgrounds: pd.DataFrame | None = None,
    stages: Sequence[StageConfig] = DSA,
    validation: pd.DataFrame | None = None,
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
    codebook : Codebook
    backgrounds : DataFrame, optional
        Trait columns, and `population_share` where it is known: the backgrounds that stage 2 aligns. Default: every
        combination of the levels of the traits in `distributions`.
    stages : sequence of StageConfig
        Default `DSA`; ``DSA[:1]`` is conventional fine-tuning.
    validation : DataFrame, optional
        Distributions of respondents who are in no cell of `distributions`, same questions and traits: after every epoch the model
        is compared with them, and each stage keeps the best (0: the heads alone). Without it all epochs are kept.
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
    if not hasattr(model, "aligned"):
        raise TrainingError(f"model must come from load_model(); got {type(model).__name__}: align(load_model(), distributions, codebook)")
    require_columns(distributions, DISTRIBUTION_KEYS, "distributions")
    if not stages:
        raise TrainingError("stages is empty; use DSA, or DSA[:1] for stage 1 alone")
    grid = training_backgrounds(distributions, backgrounds, codebook)
    cells = to_cells(distributions, backgrounds=tuple(grid[BACKGROUND]))
    _check_training_cells(cells)
    words = model.words(codebook, cells.backgrounds)
    checks = None if validation is None else _validation_cells(validation, cells)
    work = Alignment(model, model.tokenise(codebook, cells.questions, words), seed, progress)
    work.read_prompts()
    population = _population(grid, cells)
    history = []
    for number, stage in enumerate(stages, start=1):
        pooled = work.pooled(stage.pooling, distributions, grid, codebook) if stage.loss in NEEDS_POOLED else None
        frozen = work.shares() if stage.loss in NEEDS_MODEL else None
        laid = [question_targets(cells, codebook, population, pooled=pooled, frozen=frozen, seed=seed)]
        laid += [] if checks is None else [question_targets(checks, codebook, population, seed=seed)]
        placed = [{name: target.to(work.readout.rows.device) for name, target in each.items()} for each in laid]
        history.append({**asdict(stage), **work.run(stage, placed[0], f"stage {number} ({stage.loss})", *placed[1:])})
    return replace(model, readout=work.readout.eval(), recipe=_recipe(model, codebook, cells, work.prior_strength, seed, history))


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
    rest = pd.DataFrame([level for identifier, level in levels.items() if identifier not in set(asked[BACKGROUND])])
    if rest.empty:
        return asked
    unasked = with_background_id(rest, codebook).assign(**{POPULATION_SHARE: 0.0} if POPULATION_SHARE in asked else {})
    return pd.concat([asked, unasked], ignore_index=True)


def _population(grid: pd.DataFrame, cells: Cells) -> np.ndarray:
    """Population share of each background where given, else its share of the effective sample."""
    if POPULATION_SHARE in grid and grid[POPULATION_SHARE].notna().any():
        return grid[POPULATION_SHARE].fillna(0).to_numpy(float)
    return cells.n_eff.mean(0)


def _check_training_cells(cells: Cells) -> None:
    answered = cells.n.sum(1)
    nobody = [question for question, n in zip(cells.questions, answered, strict=True) if n == 0]
    if nobody:
        raise TrainingError(f"nobody in the sample answered {first_few(nobody)}; leave these questions out with questions=")
    sizes = zip(cells.questions, answered, cells.mask.sum(1), strict=True)
    few = [f"{question} ({n:.0f} respondents, {options} options)" for question, n, options in sizes if n < options]
    if few:
        raise TrainingError(f"fewer respondents than options in {first_few(few)}; draw more, or leave these questions out with questions=")


def _validation_cells(validation: pd.DataFrame, cells: Cells) -> Cells:
    """Return the validation respondents' cells, laid out as the training cells; a question that none of them answered is empty."""
    found = to_cells(validation, backgrounds=cells.backgrounds, what="validation")
    other = [name for name in cells.questions if name not in found.questions]
    unknown = set(validation[BACKGROUND]) - set(cells.backgrounds)
    if other or unknown:
        what = f"lacks questions {first_few(other)}" if other else f"has other backgrounds: {first_few(sorted(unknown))}"
        raise TrainingError(f"validation {what}; make it as distributions was made, from respondents kept out of it")
    rows = [found.questions.index(name) for name in cells.questions]
    return replace(cells, shares=found.shares[rows], n=found.n[rows], n_eff=found.n_eff[rows])


def _recipe(
    model: OptionModel, codebook: Codebook, cells: Cells, prior_strength: float | None, seed: int, history: list[dict[str, Any]]
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
