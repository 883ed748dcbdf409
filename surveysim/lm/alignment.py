"""`Alignment`: the prompts, features and trained parts of an alignment while its stages run."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from surveysim.baselines import BASELINES
from surveysim.cells import Array
from surveysim.codebook import Codebook
from surveysim.errors import TrainingError
from surveysim.evaluation import ordinal_questions
from surveysim.lm.heads import fit_head, fit_prior_strength
from surveysim.lm.kernel import answer_states, kernel_shares
from surveysim.lm.losses import LOSSES, NEEDS_POOLED
from surveysim.lm.option_model import OptionModel
from surveysim.lm.readout import QuestionHead, Readout, question_key
from surveysim.lm.shift_fit import shift_fit
from surveysim.lm.stages import KERNEL, StageConfig
from surveysim.lm.targets import PooledShares, QuestionTargets, pooled_shares
from surveysim.schema import BACKGROUND

Targets = Mapping[str, QuestionTargets]


class Alignment:
    """What stages share and change: the trained parts, and the features they give.

    Parameters
    ----------
    model : OptionModel
    tokenised : mapping of question_id to TokenisedQuestion
    seed : int
    progress : bool
    """

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

    def pooled(self, name: str, distributions: pd.DataFrame, grid: pd.DataFrame, codebook: Codebook) -> PooledShares:
        """Return shares of every background, fitted to all respondents: between them lie the pooled shifts."""
        order = tuple(grid[BACKGROUND])
        if name == KERNEL:
            table = kernel_shares(distributions, grid, self.entering, order, codebook)
        else:
            table = BASELINES[name](distributions, grid, ordinal=ordinal_questions(codebook, None))
        return pooled_shares(table, order)

    @torch.no_grad()
    def shares(self) -> dict[str, Array]:
        """Return the model's shares as it is now, `(backgrounds, options)` a question."""
        return {name: self._log_shares(name, features).exp().cpu().double().numpy() for name, features in self.features.items()}

    def run(self, stage: StageConfig, targets: Targets, label: str, validation: Targets | None = None) -> dict[str, Any]:
        """Run one stage; return `losses`: before it, after the heads, after each epoch, and after the heads again; with
        `validation`, also `kept_epoch`; for a loss of pooled shifts, also `shift_fit`.
        """
        losses: dict[str, float | list[float]] = {"before": self._mean_loss(stage, targets)}
        found: dict[str, Any] = {"losses": losses}
        fits = {"before": shift_fit(self.shares(), targets)}
        if self.prior_strength is None:
            self.prior_strength = fit_prior_strength(self.readout, self.features, self.tokenised, targets)
        self._fit_heads(stage, targets, label)
        losses["heads"] = self._mean_loss(stage, targets)
        if stage.epochs:
            losses["epochs"], checked = self._train_layer(stage, targets, label, validation)
            if validation is not None:
                losses["validation"], found["kept_epoch"] = checked, int(np.argmin(checked))
            self.features = dict(self._all_features(f"{label}, features"))
            self._require_finite(losses, label)
            self._fit_heads(stage, targets, label)
        losses["after"] = self._mean_loss(stage, targets)
        self._require_finite(losses, label)
        if stage.loss in NEEDS_POOLED:
            found["shift_fit"] = {**fits, "after": shift_fit(self.shares(), targets)}
        return found

    def _require_finite(self, losses: Mapping[str, float | list[float]], label: str) -> None:
        finite = all(bool(torch.isfinite(features).all()) for features in self.features.values())
        if not finite or not np.isfinite(np.hstack(list(losses.values()))).all():
            raise TrainingError(f"{label}: the loss or the features are not finite ({losses}); lower learning_rate")

    def _fit_heads(self, stage: StageConfig, targets: Targets, label: str) -> None:
        for name in self._bar(targets, f"{label}, heads"):
            fit_head(self.readout, self.features[name], self.tokenised[name].trie, targets[name], stage.head_fit)

    def _train_layer(self, stage: StageConfig, targets: Targets, label: str, validation: Targets | None) -> tuple[list[float], list[float]]:
        """Train for the stage's epochs; with `validation`, go back to the epoch that fits it best (0: the heads alone)."""
        optimiser = _optimiser(self.readout, stage.learning_rate)
        steps = stage.epochs * -(-len(targets) // stage.questions_per_step)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        trained, checked = [], [] if validation is None else [self._validation_loss(validation)]
        best = copy.deepcopy(self.readout.state_dict()) if validation is not None else {}
        for number in range(1, stage.epochs + 1):
            trained.append(self._epoch(stage, targets, optimiser, schedule, f"{label}, epoch {number}"))
            if validation is not None:
                self.features = dict(self._all_features(f"{label}, validation"))
                checked.append(self._validation_loss(validation))
                if checked[-1] <= min(checked):
                    best = copy.deepcopy(self.readout.state_dict())
        if validation is not None:
            self.readout.load_state_dict(best)
        return trained, checked

    @torch.no_grad()
    def _validation_loss(self, validation: Targets) -> float:
        """Mean divergence of the model from respondents kept out of training, over the questions that they answered."""
        asked = [name for name, target in validation.items() if float(target.n_eff.sum()) > 0]
        return float(np.mean([LOSSES["option_kl"](self._log_shares(name, self.features[name]), validation[name]).item() for name in asked]))

    def _epoch(self, stage: StageConfig, targets: Targets, optimiser: Any, schedule: Any, label: str) -> float:
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
        log_shares = self._log_shares(target.question_id, features)
        rows = self.readout.question_head(target.question_id).rows
        return stage.head_fit.loss_of(log_shares, rows, target)

    def _log_shares(self, name: str, features: Tensor) -> Tensor:
        return self.readout.log_shares(features, self.tokenised[name].trie, name)

    @torch.no_grad()
    def _mean_loss(self, stage: StageConfig, targets: Targets) -> float:
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
