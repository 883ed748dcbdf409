"""Errors have one base, and name the first few and the nearest."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from collections.abc import Callable
from types import FunctionType

import pytest

import surveysim as ss
from surveysim import errors
from surveysim.errors import ArgumentError, SurveySimError, as_called, first_few, nearest, warn_user
from surveysim.estimation import means
from tests.support.opinion_survey import opinion_survey

SURVEY = opinion_survey(60)
VERBS = sorted(name for name in ss.__all__ if isinstance(getattr(ss, name), FunctionType))


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


CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: ss.survey_mean(SURVEY, question="taxes"), r"survey_mean\(\) takes no argument 'question'; did you mean 'questions'\?"),
    (lambda: ss.read_survey("a.sav", weights="w"), r"'weights'; did you mean 'weight'\?"),
    (lambda: ss.compare_weights(SURVEY, weight=["w"], questions="taxes"), r"'weight'; did you mean 'weights'\?"),
    (lambda: ss.simulate(SURVEY, background=["gender"]), r"'background'; did you mean 'backgrounds'\?"),
    (lambda: ss.hold_out_respondents(SURVEY, n=50), r"'n'; did you mean 'n_train'\?"),
    (lambda: ss.survey_mean(SURVEY, questions="taxes", group_by="gender"), r"'group_by'; did you mean 'by'\?"),
    (lambda: ss.simulate(SURVEY, ["gender"], metod="mrp"), r"'metod'; did you mean 'method'\?"),
    (
        lambda: ss.survey_mean(SURVEY, questions="taxes", weights="w"),
        r"'weights'; a survey brings its weight: .*read_survey\(path, weight=...\)",
    ),
    (lambda: ss.survey_mean(SURVEY, questions="taxes", codebook="ess11"), r"'codebook'; a survey brings its codebook"),
    (lambda: ss.survey_total(SURVEY, questions="taxes", na_rm=True), r"'na_rm'; it takes survey, questions, by, lonely_psu"),
    (lambda: ss.list_codebooks(all=True), r"list_codebooks\(\) takes no argument 'all'; it takes none"),
    (
        lambda: ss.survey_total(SURVEY, "taxes"),
        r"takes survey without a name, and 2 were given; name the others: questions=, by=, lonely_psu=",
    ),
    (lambda: ss.list_codebooks("ess11"), r"takes nothing without a name, and 1 were given$"),
    (lambda: ss.hold_out_respondents(SURVEY), r"hold_out_respondents\(\) lacks an argument; give n_train=, seed="),
]


@pytest.mark.parametrize(("call", "said"), CALLS, ids=[said for _, said in CALLS])
def test_a_wrong_argument_is_named_with_the_nearest(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as refused:
        call()
    assert isinstance(refused.value, TypeError)
    assert isinstance(refused.value, SurveySimError)


@pytest.mark.parametrize("name", VERBS)
def test_every_public_verb_refuses_a_wrong_argument_and_is_a_function_as_any(name: str) -> None:
    verb = getattr(ss, name)
    with pytest.raises(ArgumentError, match=rf"^{name}\(\) takes no argument 'xyzzy'; "):
        verb(xyzzy=1)
    assert pickle.loads(pickle.dumps(verb)) is verb
    assert copy.deepcopy(verb) is verb
    assert list(inspect.signature(verb).parameters) == list(inspect.signature(inspect.unwrap(verb)).parameters)
    assert "Parameters" in inspect.getdoc(verb) or not inspect.signature(verb).parameters
    assert inspect.getsource(verb).lstrip("@").startswith(("def ", "cache\ndef "))


def test_any_number_of_arguments_may_be_taken() -> None:
    def count(*tables: object, sort: bool = False) -> int:
        return len(tables) + sort

    assert as_called(count)() == 0
    assert as_called(count)(1, 2, sort=True) == 3
    with pytest.raises(ArgumentError, match="'sorted'; did you mean 'sort'"):
        as_called(count)(1, sorted=True)


def test_the_package_itself_calls_the_verb_as_it_is() -> None:
    assert means.survey_mean is inspect.unwrap(ss.survey_mean)
    assert means.survey_mean is not ss.survey_mean


def test_a_warning_points_to_the_call_however_deep_it_arises(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    warn_user("said here")
    as_called(lambda: warn_user("said deeper"))()
    line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
    assert [(one.filename, one.lineno) for one in recwarn] == [(__file__, line - 2), (__file__, line - 1)]
