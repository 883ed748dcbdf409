"""`prompt_sensitivity`: which prompts are tried, what their spread is, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import CodebookError, PromptError, SurveySimError
from surveysim.lm.prompts.template import FIELDS
from surveysim.simulation.sensitivity import EVERYTHING, WORDINGS
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_survey

QUESTIONS = ["vote", "news"]
KEYS = ["question_id", "background_id", "option_code"]
pytestmark = pytest.mark.usefixtures("module_cache")


def _spread(base: ss.OptionModel, **options: object) -> pd.DataFrame:
    return ss.prompt_sensitivity(opinion_survey(), TRAITS, model=base, **{"questions": QUESTIONS, "progress": False, **options})


def test_the_wordings_differ_and_each_is_a_template() -> None:
    templates = ss.prompt_variants(["age", "gender"])["wording"]
    assert len(set(templates)) == len(WORDINGS) >= 5
    assert ss.PromptTemplate() not in templates
    assert all(set(words) <= set(FIELDS) for words in WORDINGS)


def test_every_trait_but_the_first_is_put_in_front_once() -> None:
    orders = [template.traits for template in ss.prompt_variants(["a", "b", "c"])["trait order"]]
    assert orders == [("c", "b", "a"), ("b", "a", "c"), ("c", "a", "b")]
    assert "trait order" not in ss.prompt_variants(["a"])


def test_variants_keep_what_they_do_not_vary() -> None:
    given = ss.PromptTemplate(scoring="text", listing="reversed")
    variants = ss.prompt_variants(TRAITS, given)
    assert {template.scoring for templates in variants.values() for template in templates} == {"text"}
    assert variants["option order"] == [replace(given, listing="scale")]


def test_the_spread_is_the_deviation_of_the_shares_that_simulate_gives(base: ss.OptionModel) -> None:
    other = ss.PromptTemplate(respondent="I am {background}. I say:")
    found = _spread(base, method="zero-shot", variants={"wording": [other]}).set_index("question_id")
    tables = [
        ss.simulate(
            opinion_survey(),
            TRAITS,
            model=replace(base, template=template),
            questions=QUESTIONS,
            method="zero-shot",
            progress=False,
        )
        for template in (base.template, other)
    ]
    both = tables[0].merge(tables[1], on=KEYS)
    apart = (both["share_x"] - both["share_y"]).abs() / 2**0.5  # standard deviation of two numbers
    assert apart.max() > 0.01
    for name in QUESTIONS:
        assert found.share_sd[name] == pytest.approx(apart[both.question_id == name].mean())
        assert found.share_sd_largest[name] == pytest.approx(apart[both.question_id == name].max())


def test_a_prompt_that_is_the_same_spreads_nothing(base: ss.OptionModel) -> None:
    found = _spread(base, variants={"none": [base.template]})
    assert found.n_prompts.tolist() == [2, 2]
    assert found.share_sd_largest.max() == 0


def test_all_kinds_stand_apart_and_together(base: ss.OptionModel) -> None:
    found = _spread(base, method="zero-shot")
    assert found.groupby("varied", sort=False).n_prompts.first().to_dict() == {
        "wording": 6,
        "trait order": 2,
        "option order": 2,
        EVERYTHING: 8,
    }
    still = found.varied == "trait order"  # "a woman aged ...": the noun stays in front
    assert (found.share_sd[still] == 0).all()
    assert (found.share_sd[~still] > 0).all()
    assert (found.share_sd_largest >= found.share_sd).all()


def test_an_aligned_model_is_asked_otherwise_than_it_was_aligned(base: ss.OptionModel) -> None:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=QUESTIONS)
    aligned = ss.align(base, sample, opinion_codebook(), stages=ss.DSA[:1], progress=False)
    reversed_options = {"option order": [ss.PromptTemplate(listing="reversed")]}
    asked_otherwise = _spread(aligned, variants=reversed_options)
    aligned_anew = _spread(base, method="stage1", variants=reversed_options)
    assert (asked_otherwise.share_sd.to_numpy() > aligned_anew.share_sd.to_numpy()).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "mrp"}, SurveySimError, "method 'mrp' is a classical baseline and reads no prompt; leave it out"),
        ({"variants": {}}, SurveySimError, "variants has no template; give PromptTemplates, or leave it out"),
        ({"variants": {"wording": []}}, SurveySimError, "variants has no template for wording; give PromptTemplates"),
        ({"method": "dsaa"}, SurveySimError, "method 'dsaa' is unknown"),
        ({"questions": ["vote", "votes"]}, CodebookError, "votes"),
    ],
)
def test_refusals(base: ss.OptionModel, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _spread(base, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"listing": "reverse"}, "listing 'reverse' is unknown; did you mean 'reversed'"),
        ({"traits": 3}, "traits must be a name or a list of names; got int 3; give traits= one name"),
    ],
)
def test_orders_that_a_template_refuses(options: dict, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        ss.PromptTemplate(**options)


def test_one_trait_is_a_list_of_one() -> None:
    assert ss.PromptTemplate(traits="age") == ss.PromptTemplate(traits=["age"]) == ss.PromptTemplate(traits=("age",))
