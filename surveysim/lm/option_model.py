"""`OptionModel`: a language model that answers survey questions with a distribution over their options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.errors import ModelError, SurveySimError, warn_user
from surveysim.html import facts_table
from surveysim.lm.adapters import save_adapter
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import TokenIds, TokenisedQuestion, require_room, tokenise
from surveysim.lm.fit.readout import Readout, question_key
from surveysim.lm.prompts.template import PromptTemplate, question_prompts
from surveysim.lm.prompts.words import describe_background
from surveysim.lm.trunk.activations import stored_states
from surveysim.lm.trunk.trunk import QuestionStates
from surveysim.tables.schema import MIN_N
from surveysim.tables.training_record import stage_html, stage_table, training_history


def require_model(model: object, how: str = "", refuse: type[SurveySimError] = SurveySimError) -> None:
    """Refuse what is no `OptionModel`.

    Raises
    ------
    SurveySimError
        `refuse`, which says how a model is had.
    """
    if not isinstance(model, OptionModel):
        raise refuse(f"model must come from load_model() or align(); got {type(model).__name__} {model!r:.60}{how and ': '}{how}")


class PutQuestions(NamedTuple):
    """Questions put to backgrounds.

    Attributes
    ----------
    tokenised : dict of question_id to TokenisedQuestion
        Prompts in the order of `backgrounds`.
    backgrounds : tuple of str
    """

    tokenised: dict[str, TokenisedQuestion]
    backgrounds: tuple[str, ...]


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

    References
    ----------
    Huang, Li, Shao (2026), arXiv:2510.21977.

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

    @property
    def stages(self) -> pd.DataFrame:
        """What `align` did, a row per stage: settings, losses, shift fit, epoch kept."""
        return stage_table(self.recipe.get("stages", ()))

    def words(self, codebook: Codebook, backgrounds: Iterable[str]) -> dict[str, str]:
        """Return the words for every background id, its traits in the template's order."""
        order = self.template.traits
        return {identifier: describe_background(parse_background_id(identifier), codebook, order=order) for identifier in backgrounds}

    @property
    def history(self) -> pd.DataFrame:
        """How the alignment went: a row per step of every stage, in order; empty before `align`.

        Columns `stage` (from 1), `loss` (its name in `LOSSES`), `step` (``"before"``, ``"heads"``: the questions' heads fitted,
        ``"epoch 1"`` and so on: mean loss while the last layer trained, ``"after"``: heads fitted again), `value` (the loss),
        `validation` (mean divergence from the validation respondents, where there were any), `kept` (the step whose last layer
        the stage kept), and, for losses of pooled shifts, `shift_correlation` and `shift_r2` of the model's shifts with the
        pooled ones.
        """
        return training_history(self.recipe.get("stages", ()))

    def tokenise(self, codebook: Codebook, questions: Iterable[str], words: Mapping[str, str]) -> dict[str, TokenisedQuestion]:
        """Return the token ids of every question's prompts; `words` is as `words` returns it.

        Raises
        ------
        CodebookError
            If a question is unknown.
        PromptError
            If a question cannot be put to this model: its options cannot be told apart, or its prompts are too long.
        """
        ids = TokenIds(self.backbone.tokenizer)
        tokenised = {}
        for name in questions:
            prompts = question_prompts(codebook.question(name), words, codebook, template=self.template)
            tokenised[name] = tokenise(prompts, self.backbone.tokenizer, scoring=self.template.scoring, ids=ids)
            require_room(tokenised[name], self.backbone)
        return tokenised

    def put(self, codebook: Codebook, questions: Iterable[str], backgrounds: Iterable[str]) -> PutQuestions:
        """Return questions put to backgrounds, each background once: worded and tokenised, to be read by whatever needs them.

        Raises
        ------
        CodebookError, PromptError
            As of `tokenise`.
        """
        order = tuple(dict.fromkeys(backgrounds))
        return PutQuestions(self.tokenise(codebook, questions, self.words(codebook, order)), order)

    def states(self, tokenised: Mapping[str, TokenisedQuestion]) -> Iterator[tuple[str, QuestionStates]]:
        """Yield each question's trunk states, computed once and then read from the cache."""
        yield from zip(tokenised, stored_states(self.backbone, list(tokenised.values())), strict=True)

    def answering(self) -> Readout:
        """Return the trained readout; of a model that is not aligned a copy of its own last layer, which is worth making once."""
        return self.readout or Readout(self.backbone, ())

    @torch.no_grad()
    def option_shares(self, question: TokenisedQuestion, states: QuestionStates) -> torch.Tensor:
        """Return the share of every option, `(backgrounds, options)`, float64, rows summing to 1."""
        readout = self.answering()
        return self.shares_of(question, readout.features(states), readout)

    @torch.no_grad()
    def shares_of(self, question: TokenisedQuestion, features: torch.Tensor, readout: Readout) -> torch.Tensor:
        """As of `option_shares`, from the features `(branches, backgrounds, hidden)` that `answering` gave."""
        strength = self.recipe.get("prior_strength")
        rows = readout.shared_rows(question.trie.edges, self.backbone, 1.0 if strength is None else strength)
        shares = readout.log_shares(features, question.trie, question.question_id, rows).cpu().double().exp()
        return shares / shares.sum(-1, keepdim=True)

    def knows(self, question_id: str) -> bool:
        """Whether the question was among those the model was aligned with."""
        return self.readout is not None and question_key(question_id) in self.readout.questions

    def save(self, folder: str | Path, *, min_n: int | None = None) -> Path:
        """Save the trained part as a PEFT adapter with its recipe, in a folder that `load_model` loads.

        Parameters
        ----------
        folder : str or Path
            New, empty, or a folder saved before, which is replaced.
        min_n : int, optional
            Fewest respondents of any cell that the model may have learnt from; 0: any. Without it the model is saved whatever it
            learnt from, with a warning where `export_model` would refuse a cell as too small.

        Raises
        ------
        ModelError
            If the model is not aligned, the folder holds something else or cannot be written, or a cell that the model learnt
            from had fewer respondents than `min_n`.

        Warns
        -----
        UserWarning
            If `min_n` is not given and a cell that the model learnt from had fewer than 10 respondents.
        """
        if min_n and self.aligned:
            _require_large_cells(self.recipe, min_n)
        smallest = self.recipe.get("smallest_cell")
        if min_n is None and smallest is not None and smallest < MIN_N:
            warn_user(
                f"the model learnt from a cell of {smallest} respondents, fewer than the {MIN_N} that tables need to be given away; keep "
                "its folder as you keep the data (min_n=0 says so, without this warning), or save for others with export_model"
            )
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
        stages = self.recipe.get("stages", ()) if self.aligned else ()
        return facts_table(f"Language model {self.backbone.name}", facts) + (stage_html(stages) if stages else "")


def _trained(recipe: Mapping[str, Any]) -> dict[str, object]:
    """What an aligned model learnt from."""
    people = f"{recipe.get('n_respondents', 0):,} respondents (n_eff {recipe.get('n_eff', 0):,.0f})"
    cells = f"{len(recipe.get('questions', ()))} questions, {len(recipe.get('backgrounds', ()))} backgrounds"
    kept = recipe.get("prior_strength")
    return {
        "learnt from": f"{recipe.get('codebook')}: {people}, {cells}",
        "base model's own differences between backgrounds": "" if kept is None else f"scaled by {kept:.3g} at the start",
        "seed": recipe.get("seed", ""),
    }


def export_model(model: OptionModel, folder: str | Path, *, min_n: int = MIN_N) -> Path:
    """Save a model for others: only one that learnt from no cell of fewer respondents than the minimum.

    A model's folder holds no row of a respondent, but a model learns the shares of its cells, and of a small cell these are a
    few people's answers. So the cells must be large *before* it learns: ``align(model, protect(distributions), codebook)``
    learns nothing from small ones and estimates them like backgrounds that were never sampled.

    Assumption: what a model gives away of a cell is at most the cell's shares, which at `min_n` respondents one would publish.
    That is a rule for tables, kept here for models; it is no bound on what an attack on the weights could find (Shokri et al.
    2017), and the rules of the data's owner come first.

    Parameters
    ----------
    model : OptionModel
        Aligned.
    folder : str or Path
        As of `OptionModel.save`.
    min_n : int
        Fewest respondents of a cell; 0: any.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        As of `OptionModel.save`.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, doi:10.1002/9781118348239. Shokri et al. (2017), Membership
    inference attacks against machine learning models, doi:10.1109/SP.2017.41.

    Examples
    --------
    >>> import surveysim as ss
    >>> model = ss.load_model(device="cpu")
    >>> try:
    ...     ss.export_model(model, "for_colleagues")
    ... except ss.SurveySimError as error:
    ...     print(str(error)[:29])
    saving needs an aligned model
    """
    require_model(model, refuse=ModelError)
    return model.save(folder, min_n=min_n)


def _require_large_cells(recipe: Mapping[str, Any], min_n: int) -> None:
    smallest = recipe.get("smallest_cell")
    if smallest is None or smallest < min_n:
        found = "the recipe does not say its smallest cell" if smallest is None else f"its smallest cell had {smallest} respondents"
        raise ModelError(
            f"the model may have learnt from fewer than min_n={min_n} respondents of a cell ({found}); withhold them before: "
            f"align(model, protect(distributions, min_n={min_n}), codebook)"
        )


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
