"""What a table of shares was weighted by, and where: the record that keeps a weight from being applied twice.

A respondent's weight is applied once. It splits into two factors, the share of the cell in the population and the
respondent's part of the cell, and each belongs to one step: shares *within* cells use the second (`response_distributions`,
the targets that a model is trained on, and so every simulated table), sums *across* cells use the first (`poststratify`, the
cell weights of `evaluate`). A weight applied again would enter a step squared. The steps of a table stand in its
``attrs["weights_applied"]``; a verb that weights adds its own, and refuses to weight across a trait that was summed over
before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from surveysim.errors import TableError, first_few
from surveysim.tables.schema import require_frame

RECORD = "weights_applied"
WITHIN, ACROSS = "within cells", "across cells"
TRAVELLING = (
    *("simulated", "survey", "n_respondents", "weight", "denominator", "design", "domain", "country", "year"),
    *("model", "model_sha256", "method", "prompt", "stages", "seed"),
)
NOT_RECORDED = "not recorded"


def weights_applied(table: pd.DataFrame) -> pd.DataFrame:
    """Return the steps in which a table of shares was weighted, oldest first.

    Parameters
    ----------
    table : DataFrame
        A distributions table. Most operations of pandas keep the record, in ``attrs``; a merge loses it.

    Returns
    -------
    DataFrame
        `step` (``"within cells"`` or ``"across cells"``), `traits` (summed over, in alphabetical order, joined by ``|``) and
        `weight`. A table without a record has one row, whose weight is ``"not recorded"``.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> cells = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> ss.weights_applied(ss.poststratify(cells, survey)).values.tolist()
    [['within cells', '', 'weight'], ['across cells', 'gender', 'self-post-stratified: weight']]
    """
    require_frame(table, "table")
    rows = [(step["step"], "|".join(step["traits"]), step["weight"]) for step in _steps(table)]
    return pd.DataFrame(rows, columns=["step", "traits", "weight"])


def described(table: pd.DataFrame) -> dict[str, Any]:
    """Return what travels with a table: weight, denominator, design, whether simulated, and the steps of weighting."""
    kept = {name: table.attrs[name] for name in TRAVELLING if name in table.attrs}
    return {**kept, RECORD: _steps(table)}


def weighted_across(table: pd.DataFrame, traits: Iterable[str], weight: str) -> dict[str, Any]:
    """Return `described` with one more step: cells weighted over `traits` by `weight`.

    Raises
    ------
    TableError
        If the table was summed over one of the traits before.
    """
    names = sorted(traits)
    about = described(table)
    before = {trait: step["weight"] for step in about[RECORD] for trait in step["traits"]}
    twice = [trait for trait in names if trait in before]
    if twice:
        raise TableError(
            f"distributions was weighted across {first_few(twice)} before, by {before[twice[0]]!r}; weighting by {weight!r} would "
            "apply the population twice: start from the cells"
        )
    if names:
        about[RECORD] = [*about[RECORD], {"step": ACROSS, "traits": names, "weight": weight}]
    return about


def _steps(table: pd.DataFrame) -> list[dict[str, Any]]:
    if RECORD in table.attrs:
        return list(table.attrs[RECORD])
    return [{"step": WITHIN, "traits": [], "weight": table.attrs.get("weight") or NOT_RECORDED}]
