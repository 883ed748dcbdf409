"""Errors have one base, and name the first few and the nearest."""

from __future__ import annotations

import inspect

import pytest

from surveysim import errors
from surveysim.errors import SurveySimError, first_few, nearest


def test_every_error_has_the_one_base_and_says_what_it_is_of() -> None:
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(found) > 5
    for kind in found:
        assert issubclass(kind, SurveySimError), kind
        assert kind.__doc__, kind
    assert issubclass(SurveySimError, ValueError)


@pytest.mark.parametrize(
    ("items", "said"),
    [([], ""), ("abc", "a, b, c"), (range(5), "0, 1, 2, 3, 4"), (range(8), "0, 1, 2, 3, 4 (and 3 more; 8 in all)")],
)
def test_the_first_five_are_named_and_the_rest_counted(items: list[object], said: str) -> None:
    assert first_few(items) == said


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("GENDR", ["region", "gender"], "did you mean 'gender'?"),
        ("xyz", ["age3", "gender"], "known: age3, gender"),
        ("xyz", [], "nothing is known"),
    ],
)
def test_the_nearest_name_is_offered(name: str, known: list[str], said: str) -> None:
    assert nearest(name, known) == said
