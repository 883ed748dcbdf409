"""`load_model`: a base model by name or folder, or an aligned model from its saved folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from surveysim.errors import ModelError
from surveysim.lm.adapters import is_saved, load_saved
from surveysim.lm.base.base_model import DeviceMap, load_backbone
from surveysim.lm.base.model_files import DEFAULT_MODEL
from surveysim.lm.option_model import OptionModel
from surveysim.lm.prompts.template import PromptTemplate
from surveysim.whole_files import bring_back


def load_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    device_map: DeviceMap | None = None,
    bits: int | None = None,
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
        Number type of the frozen trunk; "auto" is bfloat16, on a processor that multiplies it slowly (AVX2, no AVX-512) float32, which
        takes twice the memory; a saved aligned model keeps the one it was aligned in. The trained part is always float32.
    device_map : str or mapping, optional
        ``"auto"``: accelerate spreads a model that one GPU does not hold over all GPUs, then the processor's memory. Or module name
        -> device. In place of `device`.
    bits : {8, 4}, optional
        Bits of a weight of the trunk, by bitsandbytes (``pip install "surveysim-dsa[quantized]"``); the last layer and the head
        keep `dtype`. Answers differ a little from those of the model as published.
    scoring : {"letters", "text"}, optional
        Whether the answer is read from option letters or from the options' words; default letters, or the template's.
    template : PromptTemplate, optional

    Returns
    -------
    OptionModel

    Raises
    ------
    ModelError
        If the model is nowhere to be had or its files are damaged, the device or number type does not exist, `device_map` stands
        beside a `device`, bitsandbytes is not installed, a saved folder lacks its recipe, or `scoring` contradicts `template` or the
        saved model.
    PromptError
        If `scoring` is unknown.

    References
    ----------
    Allal et al. (2025), SmolLM2: When Smol Goes Big, arXiv:2502.02737 (the default model).

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.load_model(device="cpu", scoring="text")
    OptionModel('smollm2-135m', not aligned, answers read from text)
    """
    where: dict[str, Any] = {"device": device, "dtype": dtype, "device_map": device_map, "bits": bits}
    bring_back(Path(name))
    if is_saved(Path(name)):
        return _load_aligned(Path(name), where, scoring, template)
    chosen = template or PromptTemplate(scoring=scoring or "letters")
    if template is not None and scoring not in (None, template.scoring):
        raise ModelError(f"scoring={scoring!r} contradicts the template's {template.scoring!r}; give one of them")
    return OptionModel(load_backbone(name, **where), chosen)


def _load_aligned(folder: Path, where: dict[str, Any], scoring: str | None, template: PromptTemplate | None) -> OptionModel:
    saved = load_saved(folder, **where)
    if template not in (None, saved.template) or scoring not in (None, saved.template.scoring):
        raise ModelError(f"model folder {str(folder)!r} was aligned with its own prompt template; leave scoring= and template= out")
    return OptionModel(saved.backbone, saved.template, saved.readout, saved.recipe)
