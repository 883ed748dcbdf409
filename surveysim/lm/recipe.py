"""The recipe of a saved model, checked before any of it is used: a model's folder may come from anybody."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.errors import ModelError, first_few, quoted

RECIPE_FILE, HEADS_FILE = "surveysim.json", "question_heads.safetensors"
RECIPE_FORMAT = 1
NEEDED = ("base_model", "base_digest", "template", "token_ids")  # what a recipe must say for the model to be loaded
LARGEST_RECIPE = 64 << 20  # bytes; that of a million backgrounds has fewer
LONGEST_TEXT = 100_000  # characters
MOST_TOKENS = 10_000_000  # of any vocabulary
_HEX = re.compile(r"[0-9a-f]{64}")

Check = Callable[[Any], bool]


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read a saved model's recipe and check every value that is used later.

    Raises
    ------
    ModelError
        If there is none, it cannot be read, is of another format, lacks something, or holds a value of the wrong kind.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from surveysim.lm.recipe import read_recipe
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "surveysim.json").write_text('{"format": 1, "base_model": 7}')
    ...     try:
    ...         read_recipe(Path(folder))
    ...     except ValueError as error:
    ...         print(str(error).split("' ")[-1])
    lacks base_digest, template, token_ids; save the model again
    """
    path = folder / RECIPE_FILE
    if not path.is_file():
        raise ModelError(
            f"model folder {str(folder)!r} has no recipe ({RECIPE_FILE}), so its prompt and codebook are unknown; "
            "load it with peft, or save it again with OptionModel.save"
        )
    recipe = _parsed(path)
    found = recipe.get("format") if isinstance(recipe, dict) else None
    if found != RECIPE_FORMAT:
        raise ModelError(f"{path.name} has format {quoted(found)}, this version reads {RECIPE_FORMAT}; install the version that wrote it")
    absent = [name for name in NEEDED if name not in recipe]
    if absent:
        raise ModelError(f"recipe {str(path)!r} lacks {first_few(absent)}; save the model again")
    check_recipe(recipe, str(path))
    return recipe


def _parsed(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_RECIPE:
            raise ValueError(f"{path.stat().st_size:,} bytes, more than any recipe has")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path.parent, error) from error


def damaged(folder: Path, error: Exception) -> ModelError:
    """Return the error of a saved model that cannot be used."""
    return ModelError(f"model folder {str(folder)!r} is damaged ({type(error).__name__}: {error}); save the model again")


def check_recipe(recipe: Mapping[str, Any], where: str) -> None:
    """Check the kinds of a recipe's values; names that are not known here are not looked at.

    Raises
    ------
    ModelError
        If a value is of another kind than its name asks for.
    """
    for name, (rule, check) in RULES.items():
        if name in recipe and not check(recipe[name]):
            raise ModelError(f"recipe {where!r}: {name} must be {rule}; got {quoted(recipe[name])}: save the model again, or do not use it")


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value and value.isprintable()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _number(value: Any) -> bool:
    """A number that fits a float; NaN where a training record has it."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63)


def _finite(value: Any) -> bool:
    return _number(value) and math.isfinite(value)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _table_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _digest(value: Any) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _digests(value: Any) -> bool:
    return _table_of(_digest)(value) and all(_text(name) and Path(name).name == name for name in value)


def _tokens(value: Any) -> bool:
    return _list_of(lambda token: _whole(token) and token < MOST_TOKENS)(value) and 0 < len(set(value)) == len(value)


def _background(value: Any) -> bool:
    try:
        return _text(value) and isinstance(parse_background_id(value), dict)
    except ValueError:
        return False


def _template(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _list_of(_text)(part) if name == "traits" else isinstance(part, str) and len(part) <= LONGEST_TEXT for name, part in value.items()
    )


_LOSSES: dict[str, Check] = {
    **dict.fromkeys(("before", "heads", "after"), _or_none(_number)),
    **dict.fromkeys(("epochs", "validation"), _list_of(_or_none(_number))),
}


def _stage(value: Any) -> bool:
    """Settings are plain; `losses` and `shift_fit` are tables as `align` writes them."""
    if not isinstance(value, dict):
        return False
    plain = {name: item for name, item in value.items() if name not in ("losses", "shift_fit", "kept_epoch")}
    losses, fits, kept = value.get("losses", {}), value.get("shift_fit", {}), value.get("kept_epoch", 0)
    return (
        all(map(_or_none(_either(_text, _number, lambda item: isinstance(item, bool))), plain.values()))
        and isinstance(losses, dict)
        and all(name in _LOSSES and _LOSSES[name](item) for name, item in losses.items())
        and _table_of(_table_of(_or_none(_number)))(fits)
        and _whole(kept)
    )


def _predictors(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"columns", "traits", "digest"}
        and _list_of(_text)(value["columns"])
        and _list_of(_text)(value["traits"])
        and _digest(value["digest"])
    )


RULES: dict[str, tuple[str, Check]] = {
    "base_model": ("a name or a folder", lambda value: _text(value) and 0 < len(value) <= 4096),
    "base_digest": ("a SHA-256", _digest),
    "base_files": ("a table of file names and their SHA-256", _digests),
    "dtype": ("a number type", lambda value: isinstance(value, str) and value in ("float32", "bfloat16", "float16")),
    "codebook": ("a name", _text),
    "template": ("a table of texts", _template),
    "stages": ("a list of stages, as align() records them", lambda value: _list_of(_stage)(value) and len(value) <= 1000),
    "prior_strength": ("a finite number", _or_none(_finite)),
    "group_predictors": ("columns, traits and a SHA-256, as align() records them", _or_none(_predictors)),
    "seed": ("a whole number", _whole),
    "questions": ("a list of question ids", _list_of(_text)),
    "backgrounds": ("a list of background ids", _list_of(_background)),
    "n_respondents": ("a whole number", _whole),
    "n_eff": ("a finite number", _finite),
    "empty_backgrounds": ("a whole number", _whole),
    "smallest_cell": ("a whole number", _or_none(_whole)),
    "token_ids": ("a list of different token ids", _tokens),
    "question_heads": (f"the name of the file that stands beside it, {HEADS_FILE}", lambda value: value == HEADS_FILE),
    "sha256": ("a table of file names and their SHA-256", _digests),
}
