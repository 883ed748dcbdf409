"""What an alignment records of its stages, as a table to read: losses, shift fit, what was kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from surveysim.html import frame_table

HISTORY_COLUMNS = ["stage", "loss", "step", "value", "validation", "kept", "shift_correlation", "shift_r2"]

NOT_SETTINGS = ("losses", "shift_fit", "kept_epoch")


def stage_table(stages: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per stage of an alignment.

    Parameters
    ----------
    stages : sequence of mapping
        As ``recipe["stages"]`` of an aligned model, or ``attrs["stages"]`` of a simulated table.

    Returns
    -------
    DataFrame
        `stage`, the settings of `StageConfig`, `loss_before`, `loss_heads` (after the questions' heads), `loss_by_epoch`,
        `loss_after`; with validation `validation_by_epoch` (epoch 0: the heads alone) and `kept_epoch`; for pooled shifts
        `shift_correlation` and `shift_r2` of the model's shifts with the pooled ones, `_before` and `_after` the stage. What no
        stage records has no column.

    Examples
    --------
    >>> from surveysim.tables.training_record import stage_table
    >>> stage = {"loss": "option_kl", "epochs": 1, "losses": {"before": 0.2, "heads": 0.1, "epochs": [0.09], "after": 0.08}}
    >>> stage_table([stage]).columns.tolist()
    ['stage', 'loss', 'epochs', 'loss_before', 'loss_heads', 'loss_by_epoch', 'loss_after']
    """
    return pd.DataFrame([_row(stage, list(_steps(number, stage))) for number, stage in enumerate(stages, start=1)]).dropna(
        axis=1, how="all"
    )


def stage_html(stages: Sequence[Mapping[str, Any]]) -> str:
    """Return `stage_table` as HTML, a column per stage so that no page is too narrow for it; numbers with four digits."""
    table = stage_table(stages).map(lambda value: f"{value:.4g}" if isinstance(value, float) and value == value else value).astype(object)
    turned = table.set_index("stage").T.rename(index=lambda name: str(name).replace("_", " "), columns=lambda place: f"stage {place}")
    return frame_table(turned.rename_axis(index="").reset_index())


def _row(stage: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """One stage's settings and the numbers of its steps."""
    losses, at = stage.get("losses", {}), {step["step"]: step for step in steps}
    found: dict[str, object] = {"stage": steps[0]["stage"]}
    found |= {name: value for name, value in stage.items() if name not in NOT_SETTINGS}
    found |= {f"loss_{name}": at[name]["value"] for name in ("before", "heads")}
    found["loss_by_epoch"] = _listed(losses["epochs"]) if "epochs" in losses else None
    found["loss_after"] = at["after"]["value"]
    found["validation_by_epoch"] = _listed(losses["validation"]) if "validation" in losses else None
    found["kept_epoch"] = stage.get("kept_epoch")
    return found | {f"{name}_{when}": at[when][name] for name in ("shift_correlation", "shift_r2") for when in ("before", "after")}


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def training_history(stages: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per step of every stage, as `OptionModel.history` describes them.

    Parameters
    ----------
    stages : sequence of mapping
        The recipe's stages; what one does not record is missing.

    Examples
    --------
    >>> from surveysim.tables.training_record import training_history
    >>> stages = [{"loss": "option_kl", "losses": {"before": 0.9, "heads": 0.3, "after": 0.2, "epochs": [0.25]}}]
    >>> training_history(stages)[["step", "value", "kept"]].values.tolist()
    [['before', 0.9, False], ['heads', 0.3, False], ['epoch 1', 0.25, True], ['after', 0.2, False]]
    """
    rows = [row for number, stage in enumerate(stages, start=1) for row in _steps(number, stage)]
    table = pd.DataFrame(rows, columns=HISTORY_COLUMNS)
    numbers = ["value", "validation", "shift_correlation", "shift_r2"]
    return table.astype(dict.fromkeys(numbers, float))


def _steps(number: int, stage: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """Read one stage of a recipe, step by step; every table of a recipe is made of these."""
    losses, fits = stage.get("losses", {}), stage.get("shift_fit", {})
    epochs = {f"epoch {place}": value for place, value in enumerate(losses.get("epochs", ()), start=1)}
    validation = dict(zip(["heads", *epochs], losses.get("validation", ()), strict=False))
    kept = f"epoch {epoch}" if (epoch := stage.get("kept_epoch", len(epochs))) else "heads"
    values = {**{name: losses.get(name) for name in ("before", "heads")}, **epochs, "after": losses.get("after")}
    for step, value in values.items():
        fit = fits.get(step, {})
        yield {
            "stage": number,
            "loss": stage.get("loss"),
            "step": step,
            "value": value,
            "validation": validation.get(step),
            "kept": step == kept,
            "shift_correlation": fit.get("correlation"),
            "shift_r2": fit.get("r2"),
        }
