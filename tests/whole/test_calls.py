"""Public verbs and classes refuse arguments that they do not take, lack, or want of another kind, and are functions and classes as any."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.calls import as_called
from surveysim.errors import ArgumentError, SurveySimError
from surveysim.estimation import means
from tests.support.opinion_survey import opinion_survey

SURVEY = opinion_survey(60)
VERBS = sorted(name for name in ss.__all__ if isinstance(getattr(ss, name), FunctionType))
CLASSES = sorted(name for name in ss.__all__ if isinstance(getattr(ss, name), type) and not issubclass(getattr(ss, name), Exception))

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
    (lambda: ss.StageConfig("option_kl", epoch=1), r"^StageConfig\(\) takes no argument 'epoch'; did you mean 'epochs'\?"),
    (lambda: ss.StageConfig(), r"^StageConfig\(\) lacks an argument; give loss="),
    (lambda: ss.PromptTemplate(openings="{question}"), r"^PromptTemplate\(\) takes no argument 'openings'; did you mean 'opening'\?"),
    (lambda: ss.Option(1, "yes", 2.0, "?", 3, 4, 5, 6), r"^Option\(\) takes code, .* without a name, and 8 were given"),
    (lambda: SURVEY.filter(conditions="taxes == 1"), r"^Survey\.filter\(\) takes no argument 'conditions'; did you mean 'condition'\?"),
    (lambda: SURVEY.filter(), r"^Survey\.filter\(\) lacks an argument; give condition="),
    (lambda: SURVEY.head(1, 2), r"^Survey\.head\(\) takes n without a name, and 2 were given$"),
    (lambda: SURVEY.head(n="five"), r"^n must be a whole number; got str 'five'; its default is 5"),
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


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_refuses_a_wrong_argument_and_is_a_class_as_any(name: str) -> None:
    kind = getattr(ss, name)
    with pytest.raises(ArgumentError, match=rf"^{name}\(\) takes no argument 'xyzzy'; "):
        kind(xyzzy=1)
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert list(inspect.signature(kind).parameters) == list(inspect.signature(inspect.unwrap(kind.__init__)).parameters)[1:]
    for method in (each for own, each in vars(kind).items() if isinstance(each, FunctionType) and not own.startswith("_")):
        with pytest.raises(ArgumentError, match=rf"^{name}\.{method.__name__}\(\) takes no argument 'xyzzy'; "):
            method(object(), xyzzy=1)
        assert inspect.getdoc(method)


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


KINDS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: ss.survey_mean(SURVEY, questions="taxes", lonely_psu=["fail"]),
        r"lonely_psu must be text; got list \['fail'\]; its default is 'fail'",
    ),
    (lambda: ss.hold_out_respondents(SURVEY, n_train="30", seed=0), "n_train must be a whole number; got str '30'$"),
    (lambda: ss.hold_out_respondents(SURVEY, n_train=0.5, seed=0), r"n_train must be a whole number; got float 0\.5"),
    (lambda: ss.hold_out_respondents(SURVEY, n_train=30, seed=-1), "seed must be a whole number, at least 0; got int -1"),
    (lambda: ss.check_duplicates(SURVEY, share=None), r"share must be a number; got NoneType None; its default is 0\."),
    (lambda: ss.na_table(SURVEY, weighted="yes"), "weighted must be True or False; got str 'yes'; its default is False"),
    (lambda: ss.write_survey(SURVEY, 3), "path must be a path; got int 3"),
    (
        lambda: ss.compare_methods(SURVEY, by="gender", train_n=[0.5]),
        r"train_n must be a whole number or a list of them; got list \[0\.5\]",
    ),
    (
        lambda: ss.cross_fit(SURVEY, "mrp", by="gender"),
        "estimator must be a function of a survey that returns .* ss.simulate.*; got str 'mrp'",
    ),
    (lambda: ss.conformal_intervals(SURVEY), "crossfit must be what cross_fit returns; got Survey"),
    (lambda: ss.calibrate(SURVEY, means=["taxes"]), r"means must be a mapping of names to numbers; got list \['taxes'\]"),
    (lambda: ss.as_replicates(SURVEY.data, method="JK1"), "design must be a Survey or a Design; got DataFrame"),
    (lambda: ss.prompt_variants("gender", template="{question}"), "template must be a PromptTemplate; got str"),
]


@pytest.mark.parametrize(("call", "said"), KINDS, ids=[said for _, said in KINDS])
def test_an_argument_of_another_kind_is_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call()


def test_numbers_of_every_library_and_optional_arguments_are_taken() -> None:
    def verb(table: pd.DataFrame, path: str | Path, *, n: int = 1, share: float | None = None, whole: bool = True, seed: int = 0) -> Any:
        return n, share, whole, seed

    assert as_called(verb)(None, Path("x"), n=np.int64(3), share=np.float32(0.5), whole=np.bool_(False), seed=7) == (3, 0.5, False, 7)
    assert as_called(verb)("any", "x", n=1e3, share=None, whole=1, seed=np.uint8(0)) == (1000, None, 1, 0)
    calibrated = [ss.calibrate(SURVEY, means=given).data["weight"].sum() for given in ({"taxes": 2.0}, pd.Series({"taxes": 2.0}))]
    assert calibrated[0] == pytest.approx(calibrated[1])
    for wrong in ({"n": float("nan")}, {"n": None}, {"share": "0.5"}, {"whole": 2}, {"whole": None}):
        with pytest.raises(ArgumentError, match=f"^{next(iter(wrong))} must be "):
            as_called(verb)(None, "x", **wrong)
