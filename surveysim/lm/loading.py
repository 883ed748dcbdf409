"""`load_model`: a base model by name or folder, or an aligned model from its saved folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from surveysim.errors import ModelError, nearest
from surveysim.lm.backbone import Backbone
from surveysim.lm.model_files import DEFAULT_MODEL, fetch_model, weights_digest
from surveysim.lm.option_model import OptionModel
from surveysim.prompts import PromptTemplate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RECIPE_FILE = "surveysim.json"


def load_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    scoring: str | None = None,
    template: PromptTemplate | None = None,
) -> OptionModel:
    """Load a causal language model that answers with options, or a model aligned and saved before.

    Parameters
    ----------
    name : str or Path
        ``"smollm2-135m"`` (the default, fetched once), a hub id such as ``"Qwen/Qwen3-4B"``, a folder that
        `save_pretrained` wrote, or a folder that `OptionModel.save` wrote.
    device : str
        ``"auto"``: a CUDA GPU if there is one, else the CPU. Or ``"cpu"``, ``"cuda:1"``, ``"mps"``.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Number type of the frozen trunk; "auto" is bfloat16. The trained part is always float32.
    scoring : {"letters", "text"}, optional
        Whether the answer is read from option letters or from the options' words; default letters, or the template's.
    template : PromptTemplate, optional

    Returns
    -------
    OptionModel

    Raises
    ------
    ModelError
        If the model is nowhere to be had, the device or number type does not exist, or a saved folder lacks its recipe.
    """
    folder = Path(name)
    if folder.is_dir() and ((folder / "adapter_config.json").is_file() or (folder / RECIPE_FILE).is_file()):
        from surveysim.lm.adapters import load_saved

        return load_saved(folder, device=device, dtype=dtype)
    chosen = template or PromptTemplate(scoring=scoring or "letters")
    if template is not None and scoring not in (None, template.scoring):
        raise ModelError(f"scoring={scoring!r} contradicts the template's {template.scoring!r}; give one of them")
    return OptionModel(load_backbone(name, device=device, dtype=dtype), chosen)


def load_backbone(name: str | Path, *, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load the base model and cut it into trunk and last layer.

    Raises
    ------
    ModelError
        If the model is nowhere to be had, its layers are not recognised, or the device or number type does not exist.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = _device(device)
    number = _dtype(dtype)
    folder = fetch_model(str(name))
    with _quiet_transformers():
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=number)
        model = model.to(place).eval().requires_grad_(False)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    backbone = Backbone(model, tokenizer, str(name), weights_digest(folder))
    _ = backbone.layers, backbone.norm, backbone.head  # an unknown architecture is refused here, not an hour later
    return backbone


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} is not there ({str(error).splitlines()[0]}); use device='auto' or 'cpu'") from error
    return place


def _dtype(dtype: str) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is unknown; {nearest(dtype, ['auto', *DTYPES])}")
    return DTYPES[dtype]


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No bar for the half second that loading takes; the user's own setting comes back."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
