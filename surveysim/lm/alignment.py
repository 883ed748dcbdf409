"""`Alignment`: the prompts, features and trained parts of an alignment while its stages run."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.baselines.fitting import TrainingCells
from surveysim.errors import TrainingError
from surveysim.lm.base.devices import halve
from surveysim.lm.base.parallel import exchange, is_main, n_processes, own, share_modules, sum_gradients, summed
from surveysim.lm.base.spare_cores import spare_cores
from surveysim.lm.base.tokens import OptionTrie
from surveysim.lm.ended_stages import EndedStage, are_kept, keep, recall, stage_key
from surveysim.lm.fit.bundles import Prompts, passes
from surveysim.lm.fit.heads import fit_heads, fit_prior_strength
from surveysim.lm.fit.losses import LOSSES, NEEDS_POOLED, shift_fit
from surveysim.lm.fit.readout import QuestionHead, Readout, backward, backward_in_parts, question_key
from surveysim.lm.fit.stages import StageConfig
from surveysim.lm.fit.targets import QuestionTargets, Targets
from surveysim.lm.kernel import READING, answer_states, closed_form
from surveysim.lm.option_model import OptionModel
from surveysim.progress import reported
from surveysim.tables.cells import Array

FUSED = ("cpu", "cuda")  # devices on which torch has Adam's step as one operation
HELD = 1 << 28  # bytes of prompts that stay in memory between the passes; more are read again each time


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
        self.model, self.tokenised, self.progress = model, tokenised, progress and is_main()
        self.readout = Readout(model.backbone, [token for question in tokenised.values() for token in question.trie.edges])
        self.random = np.random.default_rng(seed)
        self.features: dict[str, Tensor] = {}
        self.entering: dict[str, Tensor] = {}  # what enters the last layer at the answer positions: the kernel's features
        self.held: dict[str, Prompts] = {}
        self.bytes = 0
        self.prior_strength: float | None = None
        self.seed, self.begun = seed, False
        self.at_once: int | None = None  # backgrounds that go through the last layer together in training; None: all

    def read_prompts(self) -> None:
        """Run the trunk and the untrained last layer once: the features that the questions' heads are first fitted on."""
        entering = {}

        def seen() -> Iterator[tuple[str, Prompts]]:
            for name, states in self._bar(self.model.states(own(self.tokenised)), READING):
                entering[name], prompts = answer_states(states), self.readout.prompts(states)
                self._hold(name, prompts)
                yield name, prompts

        self._keep(self._features_of(seen()))
        self.entering = exchange(entering, self._shapes(), torch.empty(0))
        for name in self.tokenised:
            edges = len(self.tokenised[name].trie.edges)
            self.readout.questions[question_key(name)] = QuestionHead(self.features[name], edges)

    def closed_form(self, laid: TrainingCells, order: tuple[str, ...], *, draws: int, seed: int) -> pd.DataFrame:
        """Return the closed form of DSA on the features that the model had before it was trained."""
        return closed_form(laid, self.entering, order, draws=draws, seed=seed)

    @torch.no_grad()
    def shares(self) -> dict[str, Array]:
        """Return the model's shares as it is now, `(backgrounds, options)` a question."""
        shares = {name: self._log_shares(name, features).cpu().double().exp() for name, features in self.features.items()}
        return {name: (each / each.sum(-1, keepdim=True)).numpy() for name, each in shares.items()}

    def run(self, stage: StageConfig, targets: Targets, label: str, validation: Targets | None = None) -> dict[str, Any]:
        """Run one stage; return `losses`: before it, after the heads, after each epoch, and after the heads again; with
        `validation`, also `kept_epoch`; for a loss of pooled shifts, also `shift_fit`.

        A first stage that was run before is taken from there, inside `first_stages_kept`.
        """
        if self.begun or n_processes() > 1 or not are_kept():
            return self._run(stage, targets, label, validation)
        key, self.begun = stage_key(self.tokenised, stage, targets, validation, self.seed), True
        ended = recall(self.model.backbone, key, stage)
        if ended is not None:
            self._take_up(ended)
            return copy.deepcopy(ended.rest["found"])
        found = self._run(stage, targets, label, validation)
        keep(self.model.backbone, self._ended(key, stage, found))
        return found

    def _ended(self, key: str, stage: StageConfig, found: dict[str, Any]) -> EndedStage:
        trained = {name: value.detach().clone() for name, value in self.readout.state_dict().items()}
        rest = {"found": copy.deepcopy(found), "strength": self.prior_strength, "order": self.random.bit_generator.state}
        return EndedStage(key, LOSSES[stage.loss], trained, dict(self.features), {**rest, "at_once": self.at_once})

    def _take_up(self, ended: EndedStage) -> None:
        self.readout.load_state_dict(dict(ended.trained))
        self.features, self.prior_strength, self.at_once = dict(ended.features), ended.rest["strength"], ended.rest["at_once"]
        self.random.bit_generator.state = ended.rest["order"]

    def _run(self, stage: StageConfig, targets: Targets, label: str, validation: Targets | None) -> dict[str, Any]:
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
            self._renew_features(f"{label}, features")
            self._require_finite(losses, label)
            self._fit_heads(stage, targets, label)
        losses["after"] = self._mean_loss(stage, targets)
        self._require_finite(losses, label)
        if stage.loss in NEEDS_POOLED:
            found["shift_fit"] = {**fits, "after": shift_fit(self.shares(), targets)}
        return found

    def refit(self, stage: StageConfig, targets: Targets, label: str) -> None:
        """Fit the heads of some questions again, on the features as they are."""
        self._fit_heads(stage, targets, label)

    def _require_finite(self, losses: Mapping[str, float | list[float]], label: str) -> None:
        finite = all(bool(torch.isfinite(features).all()) for features in self.features.values())
        if not finite or not np.isfinite(np.hstack(list(losses.values()))).all():
            raise TrainingError(f"{label}: the loss or the features are not finite ({losses}); lower learning_rate")

    def _fit_heads(self, stage: StageConfig, targets: Targets, label: str) -> None:
        mine = own(targets)
        fitted = fit_heads(self.readout, self.features, self._tries, mine, stage.head_fit)
        with spare_cores():
            for _ in self._bar(fitted, f"{label}, heads", len(mine)):
                pass
        share_modules({name: self.readout.question_head(name) for name in targets})

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
                self._renew_features(f"{label}, validation")
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
        order = [names[index] for index in self.random.permutation(len(names))]
        total = 0.0
        for start in self._bar(range(0, len(order), stage.questions_per_step), label):
            step = order[start : start + stage.questions_per_step]
            with spare_cores():
                total += self._fitting_gradients(stage, targets, step)
                sum_gradients(self._trained(step))
                optimiser.step()
            schedule.step()
            optimiser.zero_grad()
        return summed(total) / len(order)

    def _fitting_gradients(self, stage: StageConfig, targets: Targets, step: Sequence[str]) -> float:
        """As of `_gradients`; where memory runs out, the step again with half of the backgrounds at once, and so from then on."""
        while True:
            try:
                return self._gradients(stage, targets, step)
            except (RuntimeError, MemoryError) as error:
                most = max(len(self.tokenised[name].suffixes) for name in step)
                self.at_once = halve(most if self.at_once is None else self.at_once, error, "training the last layer")
                self.readout.zero_grad()

    def _gradients(self, stage: StageConfig, targets: Targets, step: Sequence[str]) -> float:
        """Add the gradients of this process's questions of a step; return the sum of their losses."""
        mine = own({name: self.tokenised[name] for name in step}, among=self.tokenised)
        parts = passes(self._prompts(mine), alone=self.at_once is not None)
        return sum(self._gradients_of(stage, targets, dict(part)) for part in parts) * stage.questions_per_step

    def _gradients_of(self, stage: StageConfig, targets: Targets, questions: Mapping[str, Prompts]) -> float:
        """Add the gradients of questions that go through the last layer at once; return their part of the step's loss."""

        def loss(features: Sequence[Tensor]) -> Tensor:
            losses = [self._loss(stage, targets[name], each) for name, each in zip(questions, features, strict=True)]
            return torch.stack(losses).sum() / stage.questions_per_step

        if self.at_once is None:
            return backward(self.readout, list(questions.values()), loss)
        ((_, prompts),) = questions.items()
        return backward_in_parts(self.readout, prompts, lambda features: loss([features]), self.at_once)

    def _hold(self, name: str, prompts: Prompts) -> None:
        """Keep a question's prompts for later passes, as long as all that are kept are few."""
        self.bytes += prompts.nbytes
        if self.bytes <= HELD:
            self.held[name] = prompts

    def _prompts(self, tokenised: Mapping[str, Any]) -> Iterator[tuple[str, Prompts]]:
        """Yield prompts: those that were kept, or all as the model reads them."""
        if all(name in self.held for name in tokenised):
            yield from ((name, self.held[name]) for name in tokenised)
        else:
            yield from ((name, self.readout.prompts(states)) for name, states in self.model.states(tokenised))

    def _trained(self, step: Sequence[str]) -> Iterable[torch.nn.Parameter]:
        """What a step trains: the shared parts, and the heads of its questions."""
        yield from _shared(self.readout)
        for name in step:
            yield from self.readout.question_head(name).parameters()

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
    def _renew_features(self, label: str) -> None:
        """Compute the features again, with the last layer as it is now."""
        self._keep(self._features_of(self._bar(self._prompts(own(self.tokenised)), label)))

    @torch.no_grad()
    def _features_of(self, questions: Iterable[tuple[str, Prompts]]) -> dict[str, Tensor]:
        """Return the features of questions as they come, with the last layer as it is now."""
        found: dict[str, Tensor] = {}
        for few in passes(questions):
            names, prompts = zip(*few, strict=True)
            with spare_cores():
                found.update(zip(names, self.readout.fitting_features(prompts), strict=True))
        return found

    def _keep(self, features: Mapping[str, Tensor]) -> None:
        shapes = {name: (len(self.tokenised[name].trie.branches), *shape) for name, shape in self._shapes().items()}
        self.features = exchange(features, shapes, torch.empty(0, device=self.readout.rows.device))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Backgrounds and hidden size of every question."""
        return {name: (len(question.suffixes), self.model.backbone.hidden_size) for name, question in self.tokenised.items()}

    @property
    def _tries(self) -> dict[str, OptionTrie]:
        return {name: question.trie for name, question in self.tokenised.items()}

    def _bar(self, items: Iterable[Any], label: str, total: int | None = None) -> Any:
        total = len(items) if isinstance(items, Sized) else len(own(self.tokenised)) if total is None else total
        return reported(items, label, total=total, progress=self.progress)


def _optimiser(readout: Readout, learning_rate: float) -> torch.optim.Optimizer:
    """Adam; the questions' heads, which stand on scaled features, take steps ten times as long."""
    heads = list(readout.questions.parameters())
    groups = [{"params": _shared(readout), "lr": learning_rate}, {"params": heads, "lr": 10 * learning_rate}]
    return torch.optim.Adam(groups, fused=readout.rows.device.type in FUSED)


def _shared(readout: Readout) -> list[torch.nn.Parameter]:
    return [*readout.layer.parameters(), *readout.norm.parameters(), readout.rows]
