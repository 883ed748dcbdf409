"""Whether two tables err independently: which respondents made one, and which taught the other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.errors import EstimationError, TableError, first_few
from surveysim.tables.schema import CELL, SHARE, N, require_columns

FOLD = "fold"  # column of the tables of `cross_fit`: within a fold, nobody who made one table taught the other


def require_other_respondents(simulated: pd.DataFrame, independent: bool, what: str = "simulated") -> None:
    """Refuse a table that may have been learnt from the respondents that it is held beside.

    Parameters
    ----------
    simulated : DataFrame
        A distributions table; where it has no `n`, nobody knows who taught it.
    independent : bool
        True states that those who taught it were others.
    what : str
        The argument's name, for error messages.

    Raises
    ------
    EstimationError
        If a cell was learnt from respondents and nothing says that they were others.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.tables.other_respondents import require_other_respondents
    >>> require_other_respondents(pd.DataFrame({"question_id": ["Q1"], "background_id": ["age3=18-34"], "n": [0]}), independent=False)
    """
    taught = (simulated[N].fillna(0) > 0).to_numpy() if N in simulated else np.ones(len(simulated), dtype=bool)
    if taught.any() and not independent:
        cells = simulated.loc[taught, CELL].drop_duplicates().astype(str).agg(" / ".join, axis=1)
        raise EstimationError(
            f"{what} was learnt from respondents in {first_few(cells)}; if they are those that it is held beside, it comes too close "
            "to their answers and errs with them: use cross_fit, or say independent=True if they are others"
        )


def paired_folds(
    direct: pd.DataFrame,
    simulated: pd.DataFrame,
    *,
    independent: bool,
    names: tuple[str, str] = ("direct", "simulated"),
    value: str = SHARE,
) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Return pairs of tables that err independently: fold by fold, or the two as they are.

    Parameters
    ----------
    direct, simulated : DataFrame
        Both with a column `fold`, or neither.
    independent : bool
        Of `require_other_respondents`.
    names : tuple of str
        The arguments' names, for error messages.
    value : str
        Column that the second table must have.

    Raises
    ------
    TableError
        If one has folds and the other has not, or other ones.
    EstimationError
        If there are no folds, and the second was learnt from respondents who are not said to be others.
    """
    if (FOLD in direct) != (FOLD in simulated):
        lacking, other = (names[1], names[0]) if FOLD in direct else names
        raise TableError(f"{lacking} has no column 'fold' and {other} has; give both tables of one cross_fit")
    if FOLD not in direct:
        require_columns(simulated, [value], names[1])
        require_other_respondents(simulated, independent, names[1])
        return [(direct, simulated)]
    folds = sorted(direct[FOLD].unique())
    if folds != sorted(simulated[FOLD].unique()):
        theirs = first_few(sorted(simulated[FOLD].unique()))
        raise TableError(f"{names[0]} has folds {first_few(folds)}, {names[1]} {theirs}; give both tables of one cross_fit")
    return [(direct[direct[FOLD] == fold], simulated[simulated[FOLD] == fold]) for fold in folds]
