"""What a user hands over by mistake: a frame in place of a survey, no weight, too many backgrounds. Each says what to do."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable

import pytest

import surveysim as ss
from surveysim.errors import CodebookError, DesignError, ReadError, SurveySimError, TableError
from tests.support.small_surveys import small_codebook, small_frame, small_survey


def _first_is_a_survey(name: str) -> bool:
    verb = getattr(ss, name)
    if not inspect.isfunction(verb):
        return False
    parameters = list(inspect.signature(verb).parameters.values())
    return bool(parameters) and parameters[0].annotation in ("Survey", ss.Survey)


VERBS = [name for name in dir(ss) if _first_is_a_survey(name)]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("given", ["a frame", None], ids=str)
def test_a_verb_that_needs_a_survey_says_how_to_make_one(name: str, given: object) -> None:
    verb = getattr(ss, name)
    wrong = small_frame() if given else None
    needed = [p for p in list(inspect.signature(verb).parameters.values())[1:] if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    fill: dict[str, object] = {"int": 1, "str": "x", "Sequence[int] | int": 1, "Callable[..., pd.DataFrame]": print, "Estimator": print}
    positional = [fill.get(p.annotation, {}) for p in needed if p.kind == p.POSITIONAL_OR_KEYWORD]
    with pytest.raises(SurveySimError, match="survey must be a Survey, which brings weight, design and codebook; got ") as caught:
        verb(wrong, *positional, **{p.name: fill.get(p.annotation, {}) for p in needed if p.kind == p.KEYWORD_ONLY})
    assert ("as_survey(frame, codebook)" if given else "read_survey(path, codebook)") in str(caught.value)


def test_there_are_verbs_to_try() -> None:
    assert {"response_distributions", "rake", "survey_mean", "compare_methods", "na_table"} <= set(VERBS)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: ss.simulate(small_frame(), ["age"]), SurveySimError, "a plain frame needs codebook=: the name of a shipped codebook"),
        (lambda: ss.read_survey(small_frame()), ReadError, "path must be the path of a file; got DataFrame: of a frame as_survey"),
        (lambda: ss.load_codebook(small_frame()), CodebookError, "codebook must be the name of one that ships, the path of a .toml file"),
        (lambda: ss.as_survey(small_frame(), small_frame()), CodebookError, "a Codebook or a Survey; got DataFrame"),
        (lambda: ss.plot_scores(small_survey()), TableError, "scores must be a pandas DataFrame with columns source, metric"),
        (lambda: ss.protect(small_survey()), TableError, "table must be a pandas DataFrame with columns question_id"),
        (lambda: ss.export_table(small_survey(), "shares.csv"), TableError, "table must be a pandas DataFrame"),
    ],
)
def test_what_stands_in_the_wrong_place_is_named(call: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "weight", "said"),
    [
        (
            small_frame().drop(columns="w"),
            None,
            "the frame lacks weight 'w' (the first weight of small.toml): name another with weight=",
        ),
        (small_frame(), "w3", "the frame lacks weight 'w3' (weight=): name another with weight=, or say weight='none'"),
        (small_frame().rename(columns={"w": "weight"}), "wieght", "did you mean 'weight'"),
        (
            small_frame().assign(w=[None, *small_frame()["w"][1:]]),
            None,
            "weight 'w': 1 missing, 0 negative, 0 infinite of 400 values (rows 0)",
        ),
    ],
)
def test_a_weight_that_is_missing_is_never_made_up(frame: typing.Any, weight: str | None, said: str) -> None:
    with pytest.raises(DesignError) as caught:
        ss.as_survey(frame, small_codebook(), weight=weight)
    assert said in str(caught.value)


def test_the_standard_name_of_the_weight_stands_for_the_declared_one_alone() -> None:
    again = ss.as_survey(small_survey().data, small_codebook())
    assert again.weight_name == "w"
    assert ss.as_survey(small_survey().data, small_codebook(), weight="w2").data["weight"].tolist() == small_frame()["w2"].tolist()
