"""Tables that share respondents are not held beside each other; those of cross-fitting are paired fold by fold."""

from __future__ import annotations

import pandas as pd
import pytest

from surveysim.errors import EstimationError, TableError
from surveysim.tables.other_respondents import paired_folds, require_other_respondents

TABLE = pd.DataFrame({"question_id": "q", "background_id": ["a", "b"], "share": 0.5, "n": [0, 3]})


def test_a_taught_table_is_refused_unless_by_others() -> None:
    with pytest.raises(EstimationError, match="model was learnt from respondents in q / b"):
        require_other_respondents(TABLE, False, "model")
    with pytest.raises(EstimationError, match="q / a, q / b"):
        require_other_respondents(TABLE.drop(columns="n"), False)
    assert require_other_respondents(TABLE, True) is None
    assert require_other_respondents(TABLE.assign(n=0), False) is None


def test_pairs_are_of_one_fold() -> None:
    one, other = (pd.concat([TABLE.assign(fold=place, share=share) for place in (0, 1)]) for share in (0.1, 0.2))
    pairs = paired_folds(one, other, independent=False)
    assert [(mine["fold"].unique().tolist(), theirs["fold"].unique().tolist()) for mine, theirs in pairs] == [([0], [0]), ([1], [1])]
    assert all((mine["share"] == 0.1).all() and (theirs["share"] == 0.2).all() for mine, theirs in pairs)
    assert len(paired_folds(TABLE, TABLE, independent=True)) == 1


def test_unlike_folds_are_refused() -> None:
    with pytest.raises(TableError, match="simulated has no column 'fold' and direct has"):
        paired_folds(TABLE.assign(fold=0), TABLE, independent=True)
    with pytest.raises(TableError, match="table has folds 0, against 1"):
        paired_folds(TABLE.assign(fold=0), TABLE.assign(fold=1), independent=True, names=("table", "against"))
