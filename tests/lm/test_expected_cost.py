"""Memory and time of a survey's prompts: the tokens counted are those that would run, and what stands in for a tokenizer is said."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import surveysim as ss
from surveysim.lm.base.costs import prompts_cost
from surveysim.lm.expected_cost import GPUS
from tests.support.opinion_survey import load_tiny
from tests.support.pages import PROJECT
from tests.support.small_surveys import small_survey

GIVEN = {"by": ["gender"], "questions": ["q1"]}


def test_the_tokens_are_the_distinct_ones_of_the_prompts(tiny_folder: Path) -> None:
    survey, model = small_survey(), load_tiny(tiny_folder)
    ids = ss.background_grid(survey, by=["gender"])["background_id"]
    questions = model.tokenise(survey.codebook, survey.questions, model.words(survey.codebook, ids))
    openings = {put.opening[:length] for put in questions.values() for length in range(1, len(put.opening) + 1)}
    rest = {(name, tokens[:length]) for name, put in questions.items() for tokens in put.suffixes for length in range(1, len(tokens) + 1)}
    for given in (str(tiny_folder), model):
        cost = ss.memory_and_time(given, survey, by="gender", gpu="24GB")
        assert cost.tokens == len(openings) + len(rest)
        assert (cost.questions, cost.backgrounds) == (len(survey.questions), len(ids))
        assert cost.counted_with == "counted by the model's own tokenizer"
    size = ss.model_size(model.backbone.model.config)
    shape = {"opening_tokens": len(openings) / len(questions), "background_tokens": len(rest) / (len(questions) * len(ids))}
    rates = {"operations": 0.4 * 165e12, "precise_operations": 0.4 * 82.6e12}
    byhand = prompts_cost(size, questions=len(questions), backgrounds=len(ids), **shape, **rates)
    assert (cost.memory, cost.cache, cost.trunk, cost.epoch) == pytest.approx((byhand.memory, byhand.cache, byhand.trunk, byhand.epoch))


def test_without_the_model_another_tokenizer_counts_and_is_named(own_cache: Path, tiny_folder: Path) -> None:
    survey = small_survey()
    bare = ss.memory_and_time("Qwen/Qwen3-4B", survey, **GIVEN, gpu="24GB")
    assert bare.counted_with == "4 characters taken for a token: no tokenizer is on this machine"
    shutil.copytree(tiny_folder, own_cache / "models" / "smollm2-135m")
    cost = ss.memory_and_time("Qwen/Qwen3-4B", survey, **GIVEN, gpu="24GB")
    assert cost.counted_with == "counted by the tokenizer of smollm2-135m"
    assert cost.tokens == ss.memory_and_time(str(tiny_folder), survey, **GIVEN, gpu="24GB").tokens
    assert (cost.weights, cost.gpu, cost.fits) == (2 * ss.MODEL_SIZES["Qwen3-4B"].parameters, "RTX 4090", True)


def test_characters_are_counted_where_prompts_differ(own_cache: Path) -> None:
    """One opening, shared by all; then what each respondent's words add, four characters at a time."""
    survey = small_survey()
    cost = ss.memory_and_time("Qwen3-4B", survey, **GIVEN, gpu="24GB")
    one = ss.memory_and_time("Qwen3-4B", survey, **GIVEN, gpu="24GB", template=ss.PromptTemplate(opening="{question}"))
    text = survey.codebook.question("q1").text
    assert len(text) // 4 <= one.tokens - 2 < len(text) // 4 + 2 * 30
    assert one.tokens < cost.tokens


def test_a_large_model_does_not_fit_a_small_card() -> None:
    survey = small_survey()
    held = {gpu: ss.memory_and_time("Qwen/Qwen3-32B", survey, **GIVEN, gpu=f"{gpu}GB") for gpu in GPUS}
    assert [gpu for gpu, cost in held.items() if cost.fits] == [141]
    assert "does not fit" in str(held[24])
    assert ss.memory_and_time("Qwen/Qwen3-32B", survey, **GIVEN, operations=1e14).fits is None


def test_without_a_survey_the_call_gives_the_numbers() -> None:
    numbers = {"questions": 3, "backgrounds": 10, "opening_tokens": 40, "background_tokens": 5}
    size = ss.MODEL_SIZES["Qwen3-4B"]
    assert ss.memory_and_time(size, **numbers, operations=1e12) == prompts_cost(size, **numbers, operations=1e12)
    assert ss.memory_and_time("Qwen3-4B", **numbers, gpu="24GB").trunk == pytest.approx(
        prompts_cost(size, **numbers, operations=66e12).trunk
    )


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        ("Qwen/Qwen3-4B", {**GIVEN, "gpu": "25GB"}, "gpu='25GB' is unknown; give one of 16GB, 24GB"),
        ("Qwen/Qwen3-4B", GIVEN, "give gpu=, such as '24GB', or operations="),
        ("Qwen/Qwen3-4B", {**GIVEN, "gpu": "24GB", "operations": 1e12}, "one of them"),
        (
            "Qwen/Qwen3-5B",
            {**GIVEN, "gpu": "24GB"},
            "neither on this machine nor in MODEL_SIZES; did you mean 'Qwen3-4B'",
        ),
        ("Qwen/Qwen3-4B", {"gpu": "24GB"}, "give by=, a list of traits"),
        ("Qwen/Qwen3-4B", {**GIVEN, "gpu": "24GB", "backgrounds": 3}, "and leave out backgrounds"),
        ("Qwen/Qwen3-4B", {"by": ["gendr"], "gpu": "24GB"}, "no trait 'gendr'; did you mean 'gender'"),
        ("Qwen/Qwen3-4B", {**GIVEN, "questions": ["q7"], "gpu": "24GB"}, "no question 'q7'"),
    ],
)
def test_what_cannot_be_counted_is_refused(model: str, given: dict, said: str) -> None:
    with pytest.raises(ss.SurveySimError, match=re.escape(said)):
        ss.memory_and_time(model, small_survey(), **given)
    if said.startswith("give gpu"):
        with pytest.raises(ss.SurveySimError, match="opening_tokens, background_tokens: needed where no survey is given"):
            ss.memory_and_time(model, questions=3, backgrounds=2, gpu="24GB")
        with pytest.raises(ss.SurveySimError, match="go with a survey"):
            ss.memory_and_time(model, questions=3, by=["a"], backgrounds=2, opening_tokens=3, background_tokens=2, gpu="24GB")


def test_the_page_shows_what_is_counted() -> None:
    survey = ss.load_example("nonvoters2020")
    ss.fetch_model()
    cost = ss.memory_and_time("Qwen/Qwen3-4B", survey, by=["gender", "age3", "education", "voter"], gpu="24GB")
    assert f"```text\n{cost}\n```" in (PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8")
