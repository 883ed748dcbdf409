"""What a recipe says of the training: losses step by step, what was kept, and how near the model's shifts came to the pooled ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

HISTORY_COLUMNS = ["stage", "loss", "step", "value", "validation", "kept", "shift_correlation", "shift_r2"]


def training_history(stages: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per step of every stage, as `OptionModel.history` describes them.

    Parameters
    ----------
    stages : sequence of mapping
        The recipe's stages; what one does not record is missing.

    Examples
    --------
    >>> from surveysim.tables.history import training_history
    >>> stages = [{"loss": "option_kl", "losses": {"before": 0.9, "heads": 0.3, "after": 0.2, "epochs": [0.25]}}]
    >>> training_history(stages)[["step", "value", "kept"]].values.tolist()
    [['before', 0.9, False], ['heads', 0.3, False], ['epoch 1', 0.25, True], ['after', 0.2, False]]
    """
    rows = [row for number, stage in enumerate(stages, start=1) for row in _steps(number, stage)]
    table = pd.DataFrame(rows, columns=HISTORY_COLUMNS)
    numbers = ["value", "validation", "shift_correlation", "shift_r2"]
    return table.astype(dict.fromkeys(numbers, float))


def _steps(number: int, stage: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    losses, fits = stage.get("losses", {}), stage.get("shift_fit", {})
    epochs = {f"epoch {place}": value for place, value in enumerate(losses.get("epochs", ()), start=1)}
    trained = ["heads", *epochs]
    validation = dict(zip(trained, losses.get("validation", ()), strict=False))
    kept = trained[stage.get("kept_epoch", len(epochs))]
    values = {**{name: losses.get(name) for name in ("before", "heads")}, **epochs, "after": losses.get("after")}
    for step, value in values.items():
        fit = fits.get(step, {})
        yield {
            "stage": number,
            "loss": stage["loss"],
            "step": step,
            "value": value,
            "validation": validation.get(step),
            "kept": step == kept,
            "shift_correlation": fit.get("correlation"),
            "shift_r2": fit.get("r2"),
        }
