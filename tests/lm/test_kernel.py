"""A question that names the respondent's country: in every route to a model, and with the shares of the plain prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait
from surveysim.lm import option_model
from surveysim.lm.base.tokens import TokenisedQuestion, option_trie
from surveysim.lm.expected_cost import distinct_tokens
from surveysim.lm.trunk.trees import question_trees, tree_sizes
from tests.support.opinion_survey import load_tiny, opinion_codebook, opinion_frame
from tests.support.tiny import save_tiny_model

PLACES = {"Norway": ("Norway", "Norwegian"), "Netherlands": ("the Netherlands", "Dutch"), "Kenya": ("Kenya", "Kenyan")}
BY = ["country", "gender"]
STAGES = (ss.StageConfig("option_kl", epochs=1), ss.StageConfig("pooled_shift", epochs=1))


def _codebook() -> ss.Codebook:
    """Return the opinion survey's codebook with three countries; two of its questions name them."""
    book = opinion_codebook()
    levels = tuple(
        Level(name, f"in {place}", (code,), place=place, adjective=adjective)
        for code, (name, (place, adjective)) in enumerate(PLACES.items())
    )
    questions = dict(book.questions)
    questions["trust"] = replace(book.question("trust"), text="Do you trust the [country] government?")
    labels = ("Very bad for [country]", "Bad", "Good", "Very good for [country]", "Neither")
    questions["news"] = Question("news", "[country]: good?", tuple(Option(code, label) for code, label in enumerate(labels, 1)))
    return replace(book, traits={**book.traits, "country": Trait("country", "country", levels)}, questions=questions)


def _survey(n: int = 400) -> ss.Survey:
    return ss.as_survey(opinion_frame(n).assign(country=np.random.default_rng(1).integers(0, 3, n)), _codebook())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TokenisedQuestion]:
    """Every question whose states a model was asked for."""
    seen: list[TokenisedQuestion] = []
    original = option_model.stored_states
    monkeypatch.setattr(option_model, "stored_states", lambda backbone, questions: seen.extend(questions) or original(backbone, questions))
    return seen


def _prompts(model: ss.OptionModel, questions: list[TokenisedQuestion], name: str) -> list[str]:
    decode = model.backbone.tokenizer.decode
    return [decode(question.opening + suffix) for question in questions if question.question_id == name for suffix in question.suffixes]


def _require_own_country(model: ss.OptionModel, questions: list[TokenisedQuestion]) -> None:
    for name, words in {"trust": "the {adjective} government?", "news": "Very good for {place}\n"}.items():
        prompts = _prompts(model, questions, name)
        assert len(prompts) >= 6, f"{name} was never put to the model"
        for prompt in prompts:
            (place, adjective) = next(names for names in PLACES.values() if f"in {names[0]}." in prompt)
            assert words.format(place=place, adjective=adjective) in prompt
            assert "your country" not in prompt


@pytest.mark.parametrize("method", ["zero-shot", "stage1", "dsa", "dsa-kernel"])
def test_simulating_names_the_country(method: str, tiny_folder: Path, own_cache: Path, asked: list) -> None:
    model, survey = load_tiny(tiny_folder), _survey()
    shares = ss.simulate(survey, BY, model=model, method=method, questions=["trust", "news"], progress=False)
    _require_own_country(model, asked)
    np.testing.assert_allclose(shares.groupby(["question_id", "background_id"])["share"].sum(), 1)


def test_aligning_names_the_country(tiny_folder: Path, own_cache: Path, asked: list) -> None:
    model, survey = load_tiny(tiny_folder), _survey()
    sample = ss.response_distributions(survey, by=BY, questions=["trust", "news"])
    ss.align(model, sample, survey.codebook, stages=STAGES, progress=False)
    _require_own_country(model, asked)


@pytest.mark.parametrize("split", [{}, {"split": "levels", "held": {"country": ["Kenya"]}}, {"split": "questions", "held": 0.34}], ids=str)
def test_comparing_names_the_country(split: dict, tiny_folder: Path, own_cache: Path, asked: list) -> None:
    model, survey = load_tiny(tiny_folder), _survey(600)
    ss.compare_methods(survey, by=BY, train_n=300, methods=["dsa-kernel"], seeds=1, model=model, progress=False, **split)
    _require_own_country(model, asked)


def test_backgrounds_without_a_country_are_asked_about_theirs(tiny_folder: Path, own_cache: Path, asked: list) -> None:
    model = load_tiny(tiny_folder)
    ss.simulate(_survey(), ["gender"], model=model, method="zero-shot", questions=["trust"], progress=False)
    prompts = _prompts(model, asked, "trust")
    assert len(prompts) == 2
    assert all("Do you trust your country's government?" in prompt for prompt in prompts)


def _grid() -> pd.DataFrame:
    return ss.background_grid(_codebook(), by=["age", *BY])


@pytest.mark.parametrize(
    "opening", ["{title}. Question: {question}\n{options}\n", "{question}\n{options}\n"], ids=["shared", "nothing shared"]
)
@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
def test_shares_are_those_of_the_plain_prompts(opening: str, architecture: str, tmp_path: Path, own_cache: Path) -> None:
    model = load_tiny(save_tiny_model(tmp_path / "model", architecture), template=ss.PromptTemplate(opening=opening))
    book, grid = _codebook(), _grid()
    words = dict.fromkeys(grid["background_id"], "a person")
    tokenised = model.tokenise(book, ["news", "trust"], words)
    for name, states in model.states(tokenised):
        question = tokenised[name]
        ours = model.option_shares(question, states)
        with torch.no_grad():
            logits = torch.cat(
                [model.backbone.model(torch.tensor([question.opening + suffix])).logits[:, -1] for suffix in question.suffixes]
            )
        torch.testing.assert_close(ours, logits[:, list(question.trie.edges)].softmax(-1).double(), rtol=1e-4, atol=1e-5)
        assert len({tuple(row.tolist()) for row in ours}) >= 3, "a country must matter for the comparison to say something"


def test_the_rest_of_an_opening_is_read_once_a_country(tiny_folder: Path) -> None:
    model, grid = load_tiny(tiny_folder), _grid()
    words = {identifier: f"person {place}" for place, identifier in enumerate(grid["background_id"])}
    question = model.tokenise(_codebook(), ["news"], words)["news"]
    whole = [question.opening + suffix for suffix in question.suffixes]
    assert distinct_tokens([question]) == len({tokens[:length] for tokens in whole for length in range(1, len(tokens) + 1)})


def test_a_tree_has_fewer_backgrounds_where_their_texts_are_long() -> None:
    short, long = [(*range(10), 10 + place) for place in range(6)], [(20 + place, *range(80)) for place in range(6)]
    question = TokenisedQuestion("q", (1, 2), tuple(short + long), option_trie([(1,), (2,)]))
    sizes = tree_sizes(question, 6)
    assert sizes == [6, 2, 2, 2]
    assert [len(tree.tokens) for tree in question_trees(question, sizes)] == [16, 162, 162, 162]
    assert tree_sizes(question, 12) == [10, 2]
    assert tree_sizes(question, 1) == [1] * 12
