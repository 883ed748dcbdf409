"""The order of a table's columns: what is asked of whom at one end, share, error and n at the other, since pandas prints both ends."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from surveysim.tables.schema import (
    BACKGROUND,
    BASIS,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    ENOUGH,
    ESTIMATE,
    ESTIMATE_COLUMNS,
    FPC,
    MADE,
    METRIC,
    OPTION,
    OPTION_LABEL,
    POPULATION_SHARE,
    PSU,
    QUESTION,
    RESPONDENT_ID,
    SCORE_COLUMNS,
    SHARE,
    SHIFT_COLUMNS,
    SIMULATED,
    STD_ERROR,
    STRATUM,
    WEIGHT,
    N,
)

TABLE_COLUMNS = frozenset(
    {
        *(RESPONDENT_ID, WEIGHT, STRATUM, PSU, FPC, MADE, POPULATION_SHARE, ENOUGH, OPTION_LABEL, SIMULATED),
        *(*DISTRIBUTION_COLUMNS, *SHIFT_COLUMNS, *SCORE_COLUMNS, *ESTIMATE_COLUMNS),
        *("quantile", "fold", "suppressed", "method", "seed", "count", "margin", "label", "level", "pooled_share"),
        *("direct_weight", "mse", "std_error_seed", "power", "std_error_direct", "n_eff_gained", "spread_factor", "conformal_factor"),
        *("support", "abstain", "abstain_reason", "level_n", "distance", "variance_left", BASIS),
    }
)  # of some table of results: no trait may have such a name
LAST = (CONF_LOW, CONF_HIGH, SHARE, ESTIMATE, STD_ERROR, N)


def in_reading_order(table: pd.DataFrame, traits: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table with its columns ordered for readers: nothing is added, dropped or changed.

    ``print(table)`` cuts columns out of the middle. So the question, the option (its label where there is one) and the traits come first,
    interval, share or estimate, standard error and `n` last, and all else stays between them in the order it had.

    Parameters
    ----------
    table : DataFrame
        What stands before `question_id` keeps the lead.
    traits : sequence of str
        Columns that stand beside `background_id`, in this order.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.tables.reading_order import in_reading_order
    >>> names = ["question_id", "background_id", "option_code", "share", "n", "source", "age"]
    >>> in_reading_order(pd.DataFrame([["Q1", "age=old", 1, 1.0, 9, "survey", "old"]], columns=names), ["age"]).columns.tolist()
    ['question_id', 'option_code', 'age', 'background_id', 'source', 'share', 'n']
    """
    names = list(dict.fromkeys(table.columns))
    lead = names[: names.index(QUESTION)] if QUESTION in names else []
    first = [*lead, QUESTION, METRIC, OPTION_LABEL if OPTION_LABEL in names else OPTION, *traits, BACKGROUND]
    start = [name for name in dict.fromkeys(first) if name in names]
    end = [name for name in LAST if name in names and name not in start]
    middle = [name for name in names if name not in {*start, *end}]
    return table[[*start, *middle, *end]]
