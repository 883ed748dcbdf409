"""`push_to_hub`: an aligned model on the Hugging Face hub, with a card that says of whom it learnt and what may be told from it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import ModelError, quoted
from surveysim.lm.adapters import CONFIG_FILE
from surveysim.lm.base.model_files import DEFAULT_MODEL, HUB_NAME, hub_base
from surveysim.lm.base.parallel import is_main
from surveysim.lm.option_model import OptionModel, export_model, require_aligned, require_model
from surveysim.lm.recipe import RECIPE_FILE
from surveysim.survey.survey import Survey
from surveysim.tables.schema import MIN_N

CARD_FILE = "README.md"
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")  # the hub's identifiers

CARD = """\
---
library_name: peft
base_model: {base}
base_model_relation: adapter
license: {licence}
tags:
- surveysim
- survey
- distribution-shift-alignment
---

# {repo_id}

Answers of a language model to survey questions, as shares of options by respondent background, aligned with survey data. What it says is
**simulated**: no answer of a respondent. Written by surveysim {version}.

| | |
|---|---|
| survey | {title} (codebook `{codebook}`) |
| weight | {weight} |
| respondents | {n:,} (effective n {n_eff:,.0f}) |
| questions | {questions} |
| backgrounds | {backgrounds}, of {traits} |
| smallest cell learnt from | {smallest} |
| minimum asked for | {min_n} |
| terms of the survey data | {data_licence} |
| licence of this adapter | {licence} |
| base model | `{base}`{commit}; its own licence holds for its weights |
| alignment | {stages}, seed {seed} |

## Use

With surveysim, which applies prompt and question heads as in training:

```python
from huggingface_hub import snapshot_download
import surveysim as ss

model = ss.load_model(snapshot_download("{repo_id}"))
```

With peft alone: last layer, norm and shared head, without the questions' own heads, so its shares differ from those above:

```python
from peft import AutoPeftModelForCausalLM

model = AutoPeftModelForCausalLM.from_pretrained("{repo_id}")
```
{note}
## What membership can be told

{membership} The files hold no row of a respondent. A model learns the shares of its cells, so treat it as a table of these cells: whoever
has it, and can tell what it would say without one respondent, may find out that this person took part, and with which answers, the more
surely the smaller the cell. A minimum of respondents is a rule for tables, kept here for models; it is no bound on what an attack on the
weights could find (Shokri et al. 2017, doi:10.1109/SP.2017.41).

## How good its answers are

{judged}

## What it is not for

Answers of single persons; backgrounds and questions far from those that it learnt from, without a test against respondents left out; shares
in place of a survey.
"""
OTHER_WEIGHTS = """
The base model on the hub holds its weights in 16 bits; this adapter was trained on the same weights rounded to 4, which surveysim fetches
by itself. With peft, on the hub's weights, shares differ from those for that reason too.
"""


class Judgement(Protocol):
    """What a model's card needs of a `Scorecard`."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What the truth is."""

    @property
    def page(self) -> pd.DataFrame:
        """A row per measure, a column per source, in words."""

    @property
    def how(self) -> str:
        """How the numbers are to be read."""


def push_to_hub(
    model: OptionModel,
    repo_id: str,
    *,
    survey: Survey | CodebookLike,
    weight: str | None = None,
    min_n: int = MIN_N,
    licence: str = "other",
    base_model: str | None = None,
    private: bool = True,
    token: str | None = None,
    scorecard: Judgement | None = None,
) -> str:
    """Upload an aligned model to the Hugging Face hub, with a model card, if its cells are large enough.

    The rule of `export_model` comes first: nothing is sent where the model learnt from a cell of fewer respondents than `min_n`. The
    adapter names its base by hub id (and commit, where known), so that ``peft.AutoPeftModelForCausalLM`` loads it. The card states the
    survey, weight, numbers of respondents, the smallest cell, licences, the base model, what membership can be told, and the scorecard
    that is given, with its nulls, or that there is none.

    Parameters
    ----------
    model : OptionModel
        Aligned.
    repo_id : str
        ``"owner/name"``; made if it is not there.
    survey : Survey, Codebook, str or Path
        What the model was aligned with.
    weight : str, optional
        The weight's name; needed where `survey` is a codebook. Default: the survey's.
    min_n : int
        Fewest respondents of a cell; 0: any.
    licence : str
        The hub's identifier of the adapter's licence, such as ``"cc-by-4.0"``; ``"other"``: as the survey's terms allow.
    base_model : str, optional
        The base model's hub id; needed where the base was loaded from a folder.
    private : bool
        Whether a repository that is made is private.
    token : str, optional
        Of the hub; default the one that ``hf auth login`` keeps.
    scorecard : Scorecard, optional
        What `scorecard` found of the model's shares beside respondents kept out, opponents and nulls.

    Returns
    -------
    str
        Address of the repository.

    Raises
    ------
    ModelError
        As of `export_model`; if `repo_id`, `licence`, `base_model` or `scorecard` is malformed, the base has no hub id, the survey or its
        weight is not that of the model, or the hub refuses.

    References
    ----------
    Mitchell et al. (2019), Model cards for model reporting, doi:10.1145/3287560.3287596.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> try:
    ...     ss.push_to_hub(ss.load_model(device="cpu"), "me/nonvoters", survey=survey)
    ... except ss.SurveySimError as error:
    ...     print(str(error)[:30])
    uploading needs an aligned mod
    """
    require_model(model, refuse=ModelError)
    require_aligned(model, "uploading")
    _require_identifier(repo_id, "repo_id", "me/nonvoters")
    if not LICENCE.fullmatch(licence):
        raise ModelError(f"licence={quoted(licence)} is no identifier of the hub; give one such as 'cc-by-4.0', 'apache-2.0' or 'other'")
    base, commit = _base(model, base_model)
    about = _about(model, survey, weight)
    facts = {
        "repo_id": repo_id,
        "licence": licence,
        "base": base,
        "commit": f" at commit `{commit}`" if commit else "",
        "min_n": min_n,
        "judged": _judged(scorecard),
    }
    with tempfile.TemporaryDirectory() as work:
        folder = export_model(model, Path(work) / "model", min_n=min_n)
        if not is_main():
            return f"https://huggingface.co/{repo_id}"
        if base_model is not None:
            _name_base(folder, base)
        (folder / CARD_FILE).write_text(_card(model, {**facts, **about}), encoding="utf-8")
        return _uploaded(folder, repo_id, private=private, token=token)


def _judged(scorecard: Judgement | None) -> str:
    """Return the scorecard as the card has it: a row a measure, a column a source."""
    if scorecard is None:
        return "Not stated: no scorecard was given, so this card supports no claim of accuracy."
    if not isinstance(getattr(scorecard, "page", None), pd.DataFrame):
        raise ModelError(
            f"scorecard must be what scorecard() returns; got {type(scorecard).__name__}; make one of the model's shares and those of "
            "respondents kept out: ss.scorecard(simulated, truth)"
        )
    table = scorecard.page
    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy(str).tolist()]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    facts = "; ".join(f"{name}: {value}" for name, value in scorecard.facts.items())
    return "\n".join([f"Judged by: {facts or 'not stated'}.", "", *lines, "", scorecard.how])


def _require_identifier(given: str, argument: str, example: str) -> None:
    named = HUB_NAME.fullmatch(given) if isinstance(given, str) else None
    if named is None or named[2]:
        raise ModelError(f"{argument}={quoted(given)} is no hub id; give owner/name, such as {example!r}")


def _base(model: OptionModel, given: str | None) -> tuple[str, str | None]:
    """Return the hub id of the base model, and its commit where it is known."""
    known = hub_base(model.backbone.name)
    if given is None:
        if known is None:
            raise ModelError(
                f"the base model was loaded from {model.backbone.name!r}, which nobody else has; give base_model='owner/name', the hub id "
                "of the same weights"
            )
        return known
    _require_identifier(given, "base_model", "Qwen/Qwen3-4B")
    if known is not None and known[0] != given:
        raise ModelError(f"base_model={given!r} is not the model's own, {known[0]!r}; leave it out")
    return given, None if known is None else known[1]


def _about(model: OptionModel, survey: Survey | CodebookLike, weight: str | None) -> dict[str, Any]:
    """Return what the card says of the survey."""
    book: Codebook = load_codebook(survey)
    if book.name != model.recipe.get("codebook"):
        trained = model.recipe.get("codebook")
        raise ModelError(f"survey has codebook {book.name!r}, but the model was aligned with {trained!r}; give that one")
    own = survey.weight_name if isinstance(survey, Survey) else None
    if weight is None and own is None:
        raise ModelError("weight: a codebook does not say which weight the model's shares had; give weight=, or the Survey as survey=")
    if None not in (weight, own) and weight != own:
        raise ModelError(f"weight={weight!r} is not the survey's, {own!r}; leave it out")
    terms = book.licence or "not stated in the codebook"
    return {"title": book.title, "codebook": book.name, "weight": weight or own, "data_licence": terms}


def _card(model: OptionModel, facts: dict[str, Any]) -> str:
    recipe, min_n = model.recipe, facts["min_n"]
    smallest = recipe.get("smallest_cell")
    backgrounds = recipe["backgrounds"]
    kept = f"No cell that it learnt from had fewer than {min_n} respondents." if min_n else "No minimum of respondents was asked for."
    return CARD.format(
        **facts,
        version=version("surveysim-dsa"),
        n=recipe["n_respondents"],
        n_eff=recipe["n_eff"],
        questions=len(recipe["questions"]),
        backgrounds=len(backgrounds),
        traits=", ".join(parse_background_id(backgrounds[0])) or "all respondents together",
        smallest="not recorded" if smallest is None else f"{smallest} respondents",
        stages=", then ".join(stage["loss"] for stage in recipe["stages"]),
        seed=recipe["seed"],
        note=OTHER_WEIGHTS if model.backbone.name == DEFAULT_MODEL else "",
        membership=kept,
    )


def _name_base(folder: Path, base: str) -> None:
    """Put the hub id where the adapter and its recipe name a folder of this machine."""
    for name, key in ((CONFIG_FILE, "base_model_name_or_path"), (RECIPE_FILE, "base_model")):
        path = folder / name
        said = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**said, key: base}, indent=2, ensure_ascii=False), encoding="utf-8")


def _uploaded(folder: Path, repo_id: str, *, private: bool, token: str | None) -> str:
    from huggingface_hub import HfApi

    try:
        api = HfApi(token=token)
        where = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload an aligned model and its card")
    except Exception as error:  # the hub's client lets errors of whichever HTTP library it uses through
        raise ModelError(
            f"{repo_id!r} was not uploaded ({type(error).__name__}: {str(error)[:200]}); log in with `hf auth login`, or give token=; "
            "without a network, export_model writes a folder"
        ) from error
    return str(where)
