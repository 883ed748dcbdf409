"""Errors have one base, and name the first few and the nearest; a warning points to the call."""

from __future__ import annotations

import inspect
import warnings

import pytest

from surveysim import errors
from surveysim.calls import as_called
from surveysim.errors import SurveySimError, first_few, nearest, warn_user


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


def test_a_warning_points_to_the_call_however_deep_it_arises(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    warn_user("said here")
    as_called(lambda: warn_user("said deeper"))()
    line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
    assert [(one.filename, one.lineno) for one in recwarn] == [(__file__, line - 2), (__file__, line - 1)]
