"""`OptionModel`: a language model that answers survey questions with a distribution over their options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from surveysim.codebook import Codebook
from surveysim.errors import ModelError
from surveysim.lm.activations import stored_states
from surveysim.lm.adapters import save_adapter
from surveysim.lm.backbone import Backbone, TokenisedQuestion, require_room, tokenise
from surveysim.lm.readout import Readout, question_key
from surveysim.lm.trunk import QuestionStates
from surveysim.prompts import PromptTemplate, question_prompts
from surveysim.rendering import facts_table


@dataclass(frozen=True, eq=False)
class OptionModel:
    """A language model with its prompt template and, once aligned, its trained last layer and head.

    Attributes
    ----------
    backbone : Backbone
        The base model; never changed.
    template : PromptTemplate
    readout : Readout or None
        Trained copies of the last layer, the final norm and head rows; None before `align`.
    recipe : dict
        What made the model: base model and its hash, codebook, prompt, stages with their losses, seed, training sizes.

    Examples
    --------
    >>> import surveysim as ss
    >>> model = ss.load_model(device="cpu")
    >>> model.aligned, model.template.scoring, model.backbone.hidden_size
    (False, 'letters', 576)
    """

    backbone: Backbone
    template: PromptTemplate = field(default_factory=PromptTemplate)
    readout: Readout | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def aligned(self) -> bool:
        """Whether the model was aligned with survey data."""
        return self.readout is not None

    def tokenise(self, codebook: Codebook, questions: Iterable[str], words: Mapping[str, str]) -> dict[str, TokenisedQuestion]:
        """Return the token ids of every question's prompts; `words` maps background ids to their words.

        Raises
        ------
        CodebookError
            If a question is unknown.
        PromptError
            If a question cannot be put to this model: its options cannot be told apart, or its prompts are too long.
        """
        tokenised = {}
        for name in questions:
            prompts = question_prompts(codebook.question(name), words, codebook, template=self.template)
            tokenised[name] = tokenise(prompts, self.backbone.tokenizer, scoring=self.template.scoring)
            require_room(tokenised[name], self.backbone)
        return tokenised

    def states(self, tokenised: Mapping[str, TokenisedQuestion]) -> Iterator[tuple[str, QuestionStates]]:
        """Yield each question's trunk states, computed once and then read from the cache."""
        for name, question in tokenised.items():
            yield name, stored_states(self.backbone, question)

    @torch.no_grad()
    def option_shares(self, question: TokenisedQuestion, states: QuestionStates) -> torch.Tensor:
        """Return the share of every option, `(backgrounds, options)`, float64, rows summing to 1."""
        readout = self.readout or Readout(self.backbone, question.trie.edges)
        features = readout.features(states.to(readout.rows.device, torch.float32))
        strength = self.recipe.get("prior_strength")
        rows = readout.shared_rows(question.trie.edges, self.backbone, 1.0 if strength is None else strength)
        shares = readout.log_shares(features, question.trie, question.question_id, rows).cpu().double().exp()
        return shares / shares.sum(-1, keepdim=True)

    def knows(self, question_id: str) -> bool:
        """Whether the question was among those the model was aligned with."""
        return self.readout is not None and question_key(question_id) in self.readout.questions

    def save(self, folder: str | Path) -> Path:
        """Save the trained part as a PEFT adapter with its recipe, in a folder that `load_model` loads.

        Parameters
        ----------
        folder : str or Path
            New, empty, or a folder saved before, which is replaced.

        Raises
        ------
        ModelError
            If the model is not aligned, or the folder holds something else or cannot be written.
        """
        return save_adapter(self.backbone, require_aligned(self, "saving"), self.recipe, folder)

    def __repr__(self) -> str:
        trained = self.recipe.get("stages", ())
        state = f"aligned in {len(trained)} stages with {self.recipe.get('codebook')}" if self.aligned else "not aligned"
        return f"OptionModel({self.backbone.name!r}, {state}, answers read from {self.template.scoring})"

    def _repr_html_(self) -> str:
        scoring, precision = self.template.scoring, str(self.backbone.dtype).removeprefix("torch.")
        facts = {
            "state": "aligned" if self.aligned else "not aligned: it answers as the base model does; call align() or simulate()",
            **(_trained(self.recipe) if self.aligned else {}),
            "answers read from": "option letters" if scoring == "letters" else "the options' own words",
            "device": f"{self.backbone.device}, trunk in {precision}",
        }
        return facts_table(f"Language model {self.backbone.name}", facts)


def _trained(recipe: Mapping[str, Any]) -> dict[str, object]:
    """What an aligned model learnt from, and how its loss fell."""
    people = f"{recipe.get('n_respondents', 0):,} respondents (n_eff {recipe.get('n_eff', 0):,.0f})"
    cells = f"{len(recipe.get('questions', ()))} questions, {len(recipe.get('backgrounds', ()))} backgrounds"
    stages = [f"{place}. {stage['loss']}: {_losses(stage)}" for place, stage in enumerate(recipe.get("stages", ()), start=1)]
    return {"learnt from": f"{recipe.get('codebook')}: {people}, {cells}", "stages": "; ".join(stages), "seed": recipe.get("seed", "")}


def _losses(stage: Mapping[str, Any]) -> str:
    losses = stage.get("losses", {})
    ends = [losses[name] for name in ("before", "after") if name in losses]
    return " -> ".join(f"{loss:.4f}" for loss in ends) or "losses not recorded"


def require_aligned(model: OptionModel, doing: str) -> Readout:
    """Return the trained part.

    Raises
    ------
    ModelError
        If the model was never aligned.
    """
    if model.readout is None:
        raise ModelError(f"{doing} needs an aligned model; call align(model, distributions, codebook) first")
    return model.readout
