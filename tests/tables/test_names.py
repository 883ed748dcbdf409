"""A name or a list of names: one rule for every argument that takes either."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim.errors import BackgroundError, TableError
from surveysim.tables.names import known_names_of, names_of

KNOWN = ["gender", "age3", "education"]


@pytest.mark.parametrize(
    "given",
    [
        ["gender", "age3"],
        ("gender", "age3"),
        ["gender", "age3", "gender"],
        pd.Index(["gender", "age3"]),
        pd.Series(["gender", "age3"]),
        pd.unique(pd.Series(["gender", "age3"])),
        np.array(["gender", "age3"]),
        np.array(["gender", "age3"], dtype=object),
        dict.fromkeys(["gender", "age3"]).keys(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_lists_of_any_kind_keep_their_order_and_name_each_once(given: object) -> None:
    names = names_of(given, "by", error=TableError)
    assert names == ["gender", "age3"] == known_names_of(given, "by", KNOWN, error=TableError, lacking="there is no trait")
    assert {type(name) for name in names} == {str}


def test_a_bare_string_is_one_name_and_a_set_is_sorted() -> None:
    assert names_of("gender", "by", error=TableError) == ["gender"]
    assert names_of(np.str_("gender"), "by", error=TableError) == ["gender"]
    assert names_of({"gender", "age3"}, "by", error=TableError) == ["age3", "gender"]
    assert names_of(frozenset(), "by", error=TableError, needed=False) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "by must be a name or a list of names; got int 3; give by= one name or several of gender, age3, education"),
        (None, "by must be a name or a list of names; got NoneType None; give by="),
        (b"gender", "by must be a name or a list of names; got bytes b'gender'"),
        ({"gender": 1}, "by must be a name or a list of names; got dict {'gender': 1}"),
        (pd.DataFrame({"gender": [1]}), "by must be a name or a list of names; got DataFrame"),
        ((name for name in KNOWN), "by must be a name or a list of names; got generator"),
        (["gender", 3, None], "by must hold names, which are text; got 3, None; give by= one name or several of gender"),
        ([["gender"]], "by must hold names, which are text; got ['gender']"),
        ([], "by is empty; give by= one name or several of gender, age3, education"),
        (["gendr"], "by: there is no trait 'gendr'; did you mean 'gender'"),
        ("gendr", "by: there is no trait 'gendr'; did you mean 'gender'"),
    ],
)
def test_what_holds_no_known_names_is_refused_by_name(given: object, said: str) -> None:
    with pytest.raises(BackgroundError) as caught:
        known_names_of(given, "by", KNOWN, error=BackgroundError, lacking="there is no trait")
    assert said in str(caught.value)


def test_a_name_that_may_stand_there_once_is_not_given_twice() -> None:
    with pytest.raises(TableError, match="by names 'age3' twice; name each once"):
        names_of(["gender", "age3", "age3"], "by", error=TableError, once=True)
