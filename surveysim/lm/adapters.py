"""Saved models: a folder that PEFT can load, with the questions' heads and the recipe beside the adapter.

========================  ===================================================================================
adapter_config.json       PEFT's configuration
adapter_model.safetensors  last layer, final norm, and the head's rows for the answer tokens
question_heads.safetensors  rows and bias that single questions add to the shared head
surveysim.json            the recipe: base model and its hash, codebook, prompt, stages, seed, training sizes
========================  ===================================================================================

No row of a respondent is among them; of cells only the number of respondents in the smallest (`smallest_cell`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from surveysim.errors import ModelError, PromptError, first_few
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.base_model import load_backbone
from surveysim.lm.base.model_files import file_sha256, hub_base
from surveysim.lm.base.parallel import is_main, wait
from surveysim.lm.fit.readout import QuestionHead, Readout
from surveysim.lm.prompts.template import PromptTemplate
from surveysim.lm.recipe import HEADS_FILE, RECIPE_FILE, RECIPE_FORMAT, damaged, read_recipe
from surveysim.whole_files import bring_back, open_to_others, partial_beside, put_in_place, sweep

log = logging.getLogger(__name__)

ADAPTER_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
TENSOR_FILES = (ADAPTER_FILE, HEADS_FILE)
OWN_FILES = frozenset({*TENSOR_FILES, CONFIG_FILE, RECIPE_FILE})
PREFIX = "base_model.model."  # how PEFT names the wrapped model's parameters


def save_adapter(backbone: Backbone, readout: Readout, recipe: Mapping[str, Any], folder: str | Path) -> Path:
    """Save the trained part of an aligned model as a PEFT adapter with its recipe.

    The folder is written beside its final place, read back, and put there in one step: it is there whole or not at all, and one that
    was saved there before stands until then.

    Parameters
    ----------
    backbone : Backbone
    readout : Readout
    recipe : mapping
        Plain values.
    folder : str or Path
        New, empty, or a folder saved before, which is replaced.

    Raises
    ------
    ModelError
        If the folder holds something else, or cannot be written.
    """
    target = Path(folder)
    if not is_main():  # several processes trained the same model; one of them writes it
        wait()
        return target
    bring_back(target)
    _refuse_foreign(target)
    try:
        with partial_beside(target) as place:
            sweep(target.parent, target.name)
            place.mkdir()
            _write(backbone, readout, recipe, place)
            _verify(place)
            put_in_place(place, target)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"model folder {str(target)!r} cannot be written ({error}); nothing was changed") from error
    wait()
    return target


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace anything but an empty folder or a saved model and nothing else."""
    if not target.exists():
        return
    found = sorted(item.name for item in target.iterdir()) if target.is_dir() else []
    if not target.is_dir() or (found and RECIPE_FILE not in found):
        raise ModelError(f"{str(target)!r} exists and is no saved model; choose another folder")
    foreign = [name for name in found if name not in OWN_FILES]
    if foreign:
        raise ModelError(
            f"{str(target)!r} holds a saved model and {first_few(foreign)} too, which saving would delete; choose another folder"
        )


def _write(backbone: Backbone, readout: Readout, recipe: Mapping[str, Any], place: Path) -> None:
    save_file(_adapter_tensors(backbone, readout), place / ADAPTER_FILE, metadata={"format": "pt"})
    save_file({name: value.detach().cpu().contiguous() for name, value in readout.questions.state_dict().items()}, place / HEADS_FILE)
    _adapter_config(backbone, readout).save_pretrained(str(place))
    base = backbone.name
    whole = {
        "format": RECIPE_FORMAT,
        **recipe,
        "base_model": str(Path(base).resolve()) if Path(base).is_dir() else base,  # found again from another working folder
        "base_files": dict(backbone.files),
        "token_ids": readout.token_ids,
        "question_heads": HEADS_FILE,
        "sha256": {name: file_sha256(place / name) for name in TENSOR_FILES},
    }
    (place / RECIPE_FILE).write_text(json.dumps(whole, indent=2, ensure_ascii=False), encoding="utf-8")
    open_to_others(place)


def _verify(place: Path) -> None:
    """Read back what was written: a disk that is full can end a file early without a word."""
    recipe = json.loads((place / RECIPE_FILE).read_text(encoding="utf-8"))
    for name in TENSOR_FILES:
        _checked_tensors(place / name, recipe)
    json.loads((place / CONFIG_FILE).read_text(encoding="utf-8"))


def _module_name(backbone: Backbone, module: nn.Module) -> str:
    return next(name for name, candidate in backbone.model.named_modules() if candidate is module)


def _vehicle(backbone: Backbone) -> str:
    """Name of a linear module below the last layer: LoRA must target one, and there its update is zero."""
    layer = backbone.layers[-2]
    return next(
        f"{_module_name(backbone, layer)}.{name}" for name, module in layer.named_modules() if isinstance(module, (nn.Linear, Conv1D))
    )


def _adapter_config(backbone: Backbone, readout: Readout) -> Any:
    from peft import LoraConfig

    vehicle = _vehicle(backbone)
    base, commit = hub_base(backbone.name) or (backbone.name, None)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=1,
        target_modules=[vehicle],
        fan_in_fan_out=isinstance(backbone.model.get_submodule(vehicle), Conv1D),  # how GPT-2 stores its weights
        modules_to_save=[_module_name(backbone, backbone.layers[-1]), _module_name(backbone, backbone.norm)],
        trainable_token_indices={_module_name(backbone, backbone.head): readout.token_ids},
        base_model_name_or_path=base,
        revision=commit,
        inference_mode=True,
    )


def _adapter_tensors(backbone: Backbone, readout: Readout) -> dict[str, Tensor]:
    layer, norm, head = (PREFIX + _module_name(backbone, part) for part in (backbone.layers[-1], backbone.norm, backbone.head))
    vehicle = _vehicle(backbone)
    linear: Any = backbone.model.get_submodule(vehicle)
    size_out, size_in = reversed(linear.weight.shape) if isinstance(linear, Conv1D) else linear.weight.shape
    tensors = {f"{layer}.{name}": value for name, value in readout.layer.state_dict().items()}
    tensors |= {f"{norm}.{name}": value for name, value in readout.norm.state_dict().items()}
    tensors[f"{head}.token_adapter.trainable_tokens_delta"] = readout.rows
    tensors[f"{PREFIX}{vehicle}.lora_A.weight"] = torch.zeros(1, size_in)
    tensors[f"{PREFIX}{vehicle}.lora_B.weight"] = torch.zeros(size_out, 1)
    return {name: value.detach().float().cpu().contiguous() for name, value in tensors.items()}


@dataclass(frozen=True, eq=False)
class Saved:
    """What a saved folder holds, on its base model."""

    backbone: Backbone
    template: PromptTemplate
    readout: Readout
    recipe: dict[str, Any]


def is_saved(folder: Path) -> bool:
    """Say whether a folder was written by `save_adapter`, or at least by PEFT."""
    return (folder / CONFIG_FILE).is_file() or (folder / RECIPE_FILE).is_file()


def load_saved(folder: Path, **options: Any) -> Saved:
    """Load a folder that `save_adapter` wrote, on the base model that its recipe names, with the options of `load_backbone`.

    Raises
    ------
    ModelError
        If the recipe or a file is missing or damaged, or the base model's weights are not those it was trained on.
    """
    recipe = read_recipe(folder)
    try:
        template = PromptTemplate(**recipe["template"])
        adapter, heads = (_checked_tensors(folder / name, recipe) for name in TENSOR_FILES)
    except (OSError, SafetensorError, TypeError, PromptError) as error:
        raise damaged(folder, error) from error
    if options.get("dtype", "auto") == "auto":  # the trunk's numbers are those that the heads were fitted to
        options["dtype"] = recipe.get("dtype", "auto")
    backbone = load_backbone(recipe["base_model"], **options)
    if backbone.digest != recipe["base_digest"]:
        raise ModelError(
            f"model folder {str(folder)!r} was trained on {recipe['base_model']!r} with weights {recipe['base_digest'][:12]}..., "
            f"but the model of that name here has {backbone.digest[:12]}...; bring the original weights"
        )
    _compare_files(folder, recipe, backbone)
    try:
        readout = Readout(backbone, recipe["token_ids"])
        _fill(readout, backbone, adapter, heads)
    except (KeyError, IndexError, RuntimeError, ValueError, TypeError) as error:
        raise damaged(folder, error) from error
    kept = {name: value for name, value in recipe.items() if name not in ("format", "base_files", "token_ids", "question_heads", "sha256")}
    return Saved(backbone, template, readout.eval().to(readout.rows.device), kept)


def _checked_tensors(path: Path, recipe: dict[str, Any]) -> dict[str, Tensor]:
    expected = recipe.get("sha256", {}).get(path.name)
    if expected is not None and file_sha256(path) != expected:
        raise SafetensorError(f"{path.name} is not the file that was saved: its SHA-256 differs from the recipe's")
    tensors = load_file(path)
    strange = [name for name, value in tensors.items() if not (value.is_floating_point() and value.isfinite().all())]
    if strange:
        raise SafetensorError(f"{path.name} holds numbers that are not finite, in {first_few(strange)}")
    return tensors


def _compare_files(folder: Path, recipe: dict[str, Any], backbone: Backbone) -> None:
    """Say where the base model has the weights that it had, but another tokenizer or configuration."""
    before: dict[str, str] = recipe.get("base_files") or dict(backbone.files)
    changed = sorted(name for name in before.keys() | backbone.files.keys() if before.get(name) != backbone.files.get(name))
    if changed:
        log.warning(
            "model folder %s: files of its base model %r are not those that it was trained on: %s; another version of transformers may "
            "have written them, or somebody changed them: compare a simulation with one made before",
            folder,
            backbone.name,
            first_few(changed),
        )


def _fill(readout: Readout, backbone: Backbone, adapter: dict[str, Tensor], heads: dict[str, Tensor]) -> None:
    layer, norm, head = (PREFIX + _module_name(backbone, part) + "." for part in (backbone.layers[-1], backbone.norm, backbone.head))
    inside = lambda prefix: {name.removeprefix(prefix): value for name, value in adapter.items() if name.startswith(prefix)}  # noqa: E731
    readout.layer.load_state_dict(inside(layer))
    readout.norm.load_state_dict(inside(norm))
    rows = inside(head)["token_adapter.trainable_tokens_delta"]
    if rows.shape != readout.rows.shape:
        raise ValueError(f"size mismatch for trainable_tokens_delta: {tuple(rows.shape)}, not {tuple(readout.rows.shape)}")
    with torch.no_grad():
        readout.rows.copy_(rows)
    for name in {key.rsplit(".", 1)[0] for key in heads}:
        rows, center = heads[f"{name}.rows"], heads[f"{name}.center"]
        if center.ndim != 2 or rows.ndim != 2 or center.shape[1] != backbone.hidden_size:
            raise ValueError(f"size mismatch for the head of {name!r}: {tuple(center.shape)}, {tuple(rows.shape)}")
        question = QuestionHead(torch.zeros(center.shape[0], 1, center.shape[1]), rows.shape[0])
        question.load_state_dict({part: heads[f"{name}.{part}"] for part in ("rows", "bias", "center", "scale")})
        readout.questions[name] = question
