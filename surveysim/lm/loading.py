"""`load_model`: a base model by name or folder, or an aligned model from its saved folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from surveysim.errors import ModelError, first_few, nearest
from surveysim.lm.backbone import Backbone
from surveysim.lm.model_files import DEFAULT_MODEL, fetch_model, quiet_transformers, weights_digest
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
        If the model is nowhere to be had or its files are damaged, the device or number type does not exist, a saved folder lacks
        its recipe, or `scoring` contradicts `template` or the saved model.
    PromptError
        If `scoring` is unknown.
    """
    folder = Path(name)
    if folder.is_dir() and ((folder / "adapter_config.json").is_file() or (folder / RECIPE_FILE).is_file()):
        from surveysim.lm.adapters import load_saved

        saved = load_saved(folder, device=device, dtype=dtype)
        if template not in (None, saved.template) or scoring not in (None, saved.template.scoring):
            raise ModelError(f"model folder {str(folder)!r} was aligned with its own prompt template; leave scoring= and template= out")
        return saved
    chosen = template or PromptTemplate(scoring=scoring or "letters")
    if template is not None and scoring not in (None, template.scoring):
        raise ModelError(f"scoring={scoring!r} contradicts the template's {template.scoring!r}; give one of them")
    return OptionModel(load_backbone(name, device=device, dtype=dtype), chosen)


def load_backbone(name: str | Path, *, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load the base model and cut it into trunk and last layer.

    Raises
    ------
    ModelError
        If the model is nowhere to be had, its files are damaged, its layers are not recognised, or the device or number type does
        not exist.
    """
    place = _device(device)
    number = _dtype(dtype)
    folder = fetch_model(str(name))
    model, tokenizer = _read_model(folder, number)
    backbone = Backbone(model.to(place).eval().requires_grad_(False), tokenizer, str(name), weights_digest(folder))
    _ = backbone.layers, backbone.norm, backbone.head  # an unknown architecture is refused here, not an hour later
    return backbone


def _read_model(folder: Path, number: torch.dtype) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet_transformers():
            loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=number, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        why = f"{type(error).__name__}: {str(error).strip()[:300]}"
        raise ModelError(
            f"the model in {str(folder)!r} cannot be loaded ({why}); delete the folder if surveysim fetched it, else save model and "
            "tokenizer again with save_pretrained()"
        ) from error
    model, found = loaded
    absent = sorted(found["missing_keys"])  # transformers would leave these at random
    if absent:
        raise ModelError(f"the model in {str(folder)!r} lacks weights {first_few(absent)}; save it again with save_pretrained()")
    return model, tokenizer


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
