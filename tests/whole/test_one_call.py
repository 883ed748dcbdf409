"""The way of one call: what a simulation needs is made once, by whichever part needs it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import surveysim as ss
from surveysim.baselines import fitting
from surveysim.lm import option_model
from tests.support.opinion_survey import TRAITS, opinion_survey

QUESTIONS = ["vote", "news", "taxes"]
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often prompts are worded, tokenised, the sample is laid out, and the closed form is fitted."""
    calls: Counter[str] = Counter()

    def count(module: Any, name: str, what: str) -> None:
        plain: Callable[..., Any] = getattr(module, name)

        def counting(*given: Any, **options: Any) -> Any:
            calls[what] += 1
            return plain(*given, **options)

        monkeypatch.setattr(module, name, counting)

    count(option_model, "question_prompts", "worded")
    count(option_model, "tokenise", "tokenised")
    count(fitting, "to_cells", "laid out")
    count(fitting, "fit_multilevel", "fitted")
    return calls


@pytest.mark.parametrize("method", ["dsa", "dsa-kernel", "stage1"])
def test_a_simulation_makes_each_thing_once(method: str, base: ss.OptionModel, counted: Counter[str]) -> None:
    ss.simulate(opinion_survey(), TRAITS, model=base, questions=QUESTIONS, method=method, progress=False)
    fits = {"fitted": 1} if method.startswith("dsa") else {}
    assert counted == {"worded": len(QUESTIONS), "tokenised": len(QUESTIONS), "laid out": 1, **fits}


def test_an_aligned_model_makes_each_thing_once(base: ss.OptionModel, counted: Counter[str]) -> None:
    survey = opinion_survey()
    aligned = ss.align(base, ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS), survey.codebook, progress=False)
    counted.clear()
    ss.simulate(survey, TRAITS, model=aligned, questions=QUESTIONS, progress=False)
    assert counted == {"worded": len(QUESTIONS), "tokenised": len(QUESTIONS), "laid out": 1, "fitted": 1}


def test_align_makes_each_thing_once(base: ss.OptionModel, counted: Counter[str]) -> None:
    survey = opinion_survey()
    ss.align(base, ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS), survey.codebook, progress=False)
    assert counted == {"worded": len(QUESTIONS), "tokenised": len(QUESTIONS), "laid out": 1, "fitted": 1}
