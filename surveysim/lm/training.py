"""`align`: stage 1 fits the sample's distributions, stage 2 the shifts between backgrounds; only the last layer and heads train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from surveysim.backgrounds import background_grid, describe_background, parse_background_id, with_background_id
from surveysim.baselines import BASELINES
from surveysim.cells import Cells, to_cells
from surveysim.codebook import Codebook
from surveysim.errors import TrainingError, first_few, nearest
from surveysim.evaluation import ordinal_questions
from surveysim.lm.heads import HeadFit, fit_head, fit_prior_strength
from surveysim.lm.kernel import answer_states, kernel_shares
from surveysim.lm.losses import LOSSES
from surveysim.lm.option_model import OptionModel
from surveysim.lm.readout import QuestionHead, Readout, question_key
from surveysim.lm.targets import QuestionTargets, question_targets
from surveysim.schema import BACKGROUND, POPULATION_SHARE

KERNEL = "kernel"


@dataclass(frozen=True)
class StageConfig:
    """One stage of an alignment.

    Attributes
    ----------
    loss : str
        A name of `LOSSES`.
    level_weight : float
        Weight of the divergence of the population's answer from the pooled sample's, which a shift loss leaves open.
    head_penalty : float
        Inverse prior variance of a question's rows on scaled features; shrinks its shifts towards the shared head's.
    epochs : int
        Passes over the questions that train the last layer, the norm and the heads together; 0: the questions' heads alone.
    learning_rate : float
        Adam's first step for the last layer, the norm and the shared head rows; it falls to 0 along a cosine.
    questions_per_step : int
        Questions whose gradients are averaged before a step.
    pooling : str
        Who pools the shifts over all respondents: ``"kernel"``, multilevel regression with the language model's own geometry of
        backgrounds (`surveysim.lm.kernel`), or a name of `BASELINES`.

    Raises
    ------
    TrainingError
        If a name is unknown, or a number is out of range.

    Examples
    --------
    >>> import surveysim as ss
    >>> stage = ss.StageConfig("pooled_shift", level_weight=1.0, epochs=0, pooling="mrp")
    >>> stage.loss, stage.epochs
    ('pooled_shift', 0)
    """

    loss: str
    level_weight: float = 0.0
    head_penalty: float = 0.5
    epochs: int = 2
    learning_rate: float = 5e-6
    questions_per_step: int = 8
    pooling: str = "kernel"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise TrainingError(f"stage: loss {self.loss!r} is unknown; {nearest(self.loss, LOSSES)}")
        if self.pooling not in (KERNEL, *BASELINES):
            raise TrainingError(f"stage: pooling {self.pooling!r} is unknown; {nearest(self.pooling, [KERNEL, *BASELINES])}")
        for name in ("level_weight", "head_penalty", "learning_rate"):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"stage: {name} must be >= 0; got {getattr(self, name)}")
        if self.epochs < 0 or self.questions_per_step < 1:
            raise TrainingError("stage: epochs must be >= 0 and questions_per_step >= 1")

    @property
    def head_fit(self) -> HeadFit:
        """What the questions' heads are fitted to."""
        return HeadFit(self.loss, self.level_weight, self.head_penalty)


STAGE_1 = StageConfig("option_kl")
STAGE_2 = StageConfig("pooled_shift", level_weight=1.0, head_penalty=0.01)
DSA = (STAGE_1, STAGE_2)


def align(
    model: OptionModel,
    distributions: pd.DataFrame,
    codebook: Codebook,
    *,
    backgrounds: pd.DataFrame | None = None,
    stages: Sequence[StageConfig] = DSA,
    seed: int = 0,
    progress: bool = True,
) -> OptionModel:
    """Align a language model with weighted response distributions by Distribution Shift Alignment.

    The trunk is frozen and runs once a prompt. Each stage fits the questions' own heads on the features as they are (a convex
    problem), trains the last layer, the final norm and the heads together, and fits the heads again on the features so
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
    seed : int
        Order of the questions.
    progress : bool

    Returns
    -------
    OptionModel
        With `readout` and a `recipe` that records stages, their losses, and training sizes.

    Raises
    ------
    TableError
        If shares do not sum to 1.
    TrainingError
        If a question was answered by nobody, by fewer respondents than it has options, or a loss becomes infinite.
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
    if not stages:
        raise TrainingError("stages is empty; use DSA, or DSA[:1] for stage 1 alone")
    grid = training_backgrounds(distributions, backgrounds, codebook)
    cells = to_cells(distributions, backgrounds=tuple(grid[BACKGROUND]))
    _check_training_cells(cells)
    words = {identifier: describe_background(parse_background_id(identifier), codebook) for identifier in cells.backgrounds}
    work = _Work(model, model.tokenise(codebook, cells.questions, words), seed, progress)
    work.read_prompts()
    population = _population(grid, cells)
    history = []
    for number, stage in enumerate(stages, start=1):
        smooth = work.pooled(stage.pooling, distributions, grid, codebook) if stage.loss == "pooled_shift" else cells
        targets = question_targets(cells, smooth, grid, codebook, population, seed=seed)
        targets = {name: target.to(work.readout.rows.device) for name, target in targets.items()}
        losses = work.run(stage, targets, f"stage {number} ({stage.loss})")
        history.append({**asdict(stage), "losses": losses})
    return replace(model, readout=work.readout.eval(), recipe=_recipe(model, codebook, cells, work.prior_strength, seed, history))


class _Work:
    """The questions' prompts, features and trained parts during an alignment."""

    def __init__(self, model: OptionModel, tokenised: Mapping[str, Any], seed: int, progress: bool) -> None:
        self.model, self.tokenised, self.progress = model, tokenised, progress
        self.readout = Readout(model.backbone, [token for question in tokenised.values() for token in question.trie.edges])
        self.random = np.random.default_rng(seed)
        self.features: dict[str, Tensor] = {}
        self.entering: dict[str, Tensor] = {}  # what enters the last layer at the answer positions: the kernel's features
        self.prior_strength: float | None = None

    def read_prompts(self) -> None:
        """Run the trunk and the untrained last layer once: the features that the questions' heads are first fitted on."""
        for name, states in self._bar(self.model.states(self.tokenised), "reading prompts"):
            self.entering[name] = answer_states(states)
            with torch.no_grad():
                features = self.readout.features(states.to(self.readout.rows.device, torch.float32))
            self.features[name] = features
            self.readout.questions[question_key(name)] = QuestionHead(features, len(self.tokenised[name].trie.edges))

    def pooled(self, name: str, distributions: pd.DataFrame, grid: pd.DataFrame, codebook: Codebook) -> Cells:
        """Return shares of every background, fitted to all respondents: between them lie the pooled shifts."""
        order = tuple(grid[BACKGROUND])
        if name == KERNEL:
            table = kernel_shares(distributions, grid, self.entering, order, codebook)
        else:
            table = BASELINES[name](distributions, grid, ordinal=ordinal_questions(codebook, None))
        return to_cells(table, backgrounds=order)

    def run(self, stage: StageConfig, targets: Mapping[str, QuestionTargets], label: str) -> dict[str, float | list[float]]:
        """Run one stage and return its mean loss before it, after the heads, after each epoch, and after the heads again."""
        losses: dict[str, float | list[float]] = {"before": self._mean_loss(stage, targets)}
        if self.prior_strength is None:
            self.prior_strength = fit_prior_strength(self.readout, self.features, self.tokenised, targets)
        self._fit_heads(stage, targets, label)
        losses["heads"] = self._mean_loss(stage, targets)
        if stage.epochs:
            losses["epochs"] = self._train_layer(stage, targets, label)
            self.features = dict(self._all_features(f"{label}, features"))
            self._require_finite(losses, label)
            self._fit_heads(stage, targets, label)
        losses["after"] = self._mean_loss(stage, targets)
        self._require_finite(losses, label)
        return losses

    def _require_finite(self, losses: Mapping[str, float | list[float]], label: str) -> None:
        finite = all(bool(torch.isfinite(features).all()) for features in self.features.values())
        if not finite or not np.isfinite(np.hstack(list(losses.values()))).all():
            raise TrainingError(f"{label}: the loss or the features are not finite ({losses}); lower learning_rate")

    def _fit_heads(self, stage: StageConfig, targets: Mapping[str, QuestionTargets], label: str) -> None:
        for name in self._bar(targets, f"{label}, heads"):
            fit_head(self.readout, self.features[name], self.tokenised[name].trie, targets[name], stage.head_fit)

    def _train_layer(self, stage: StageConfig, targets: Mapping[str, QuestionTargets], label: str) -> list[float]:
        optimiser = _optimiser(self.readout, stage.learning_rate)
        steps = stage.epochs * -(-len(targets) // stage.questions_per_step)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        return [self._epoch(stage, targets, optimiser, schedule, f"{label}, epoch {number}") for number in range(1, stage.epochs + 1)]

    def _epoch(self, stage: StageConfig, targets: Mapping[str, QuestionTargets], optimiser: Any, schedule: Any, label: str) -> float:
        names = list(targets)
        order = {names[index]: self.tokenised[names[index]] for index in self.random.permutation(len(names))}
        total = 0.0
        for done, (name, states) in enumerate(self._bar(self.model.states(order), label), start=1):
            features = self.readout.features(states.to(self.readout.rows.device, torch.float32))
            loss = self._loss(stage, targets[name], features)
            (loss / stage.questions_per_step).backward()
            total += loss.item()
            if done % stage.questions_per_step == 0 or done == len(order):
                optimiser.step()
                schedule.step()
                optimiser.zero_grad()
        return total / len(order)

    def _loss(self, stage: StageConfig, target: QuestionTargets, features: Tensor) -> Tensor:
        log_shares = self.readout.log_shares(features, self.tokenised[target.question_id].trie, target.question_id)
        rows = self.readout.question_head(target.question_id).rows
        return stage.head_fit.loss_of(log_shares, rows, target)

    @torch.no_grad()
    def _mean_loss(self, stage: StageConfig, targets: Mapping[str, QuestionTargets]) -> float:
        return float(np.mean([self._loss(stage, target, self.features[name]).item() for name, target in targets.items()]))

    @torch.no_grad()
    def _all_features(self, label: str) -> Iterable[tuple[str, Tensor]]:
        for name, states in self._bar(self.model.states(self.tokenised), label):
            yield name, self.readout.features(states.to(self.readout.rows.device, torch.float32))

    def _bar(self, items: Iterable[Any], label: str) -> Any:
        return tqdm(items, desc=label, total=len(self.tokenised), disable=not self.progress, leave=False)


def _optimiser(readout: Readout, learning_rate: float) -> torch.optim.Optimizer:
    """Adam; the questions' heads, which stand on scaled features, take steps ten times as long."""
    heads = list(readout.questions.parameters())
    shared = [*readout.layer.parameters(), *readout.norm.parameters(), readout.rows]
    return torch.optim.Adam([{"params": shared, "lr": learning_rate}, {"params": heads, "lr": 10 * learning_rate}])


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
    traits = sorted({trait for level in levels.values() for trait in level})
    if not traits or any(sorted(level) != traits for level in levels.values()):
        raise TrainingError(
            "distributions must hold backgrounds of one set of traits; build them with response_distributions(survey, by=[...])"
        )
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


def _recipe(
    model: OptionModel, codebook: Codebook, cells: Cells, prior_strength: float | None, seed: int, history: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "base_model": model.backbone.name,
        "base_digest": model.backbone.digest,
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
    }
