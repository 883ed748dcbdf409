"""A survey's domain, its questions and traits chosen, its first rows, and what is said instead of a column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import BackgroundError, CodebookError, SurveySimError
from tests.support.small_surveys import small_survey

SURVEY = small_survey(design=True)
NUMBERS = ["share", "std_error", "conf_low", "conf_high", "n", "n_eff"]


def test_a_domain_has_the_numbers_that_it_has_as_a_background() -> None:
    young = SURVEY.filter("age == 'young'")
    assert len(young) == len(SURVEY)
    by_age = ss.response_distributions(SURVEY, by=["age", "gender"])
    alone = ss.response_distributions(young, by="gender")
    wanted = by_age[by_age["age"] == "young"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone[NUMBERS], wanted[NUMBERS])
    assert alone.attrs["domain"] == "age == 'young'"
    means = ss.survey_mean(young, questions="q1")
    whole = ss.survey_mean(SURVEY, questions="q1", by="age")
    assert means["std_error"][0] == whole[whole["age"] == "young"]["std_error"].iloc[0]
    assert ss.show(means).facts["domain"] == "age == 'young'"


def test_dropping_respondents_instead_would_give_another_error() -> None:
    survey = ss.load_example("nonvoters2020")
    women = (survey.data["gender"] == "female").to_numpy()
    ours, theirs = (ss.survey_total(one, questions="Q8_8") for one in (survey.filter(women), survey.take(women)))
    whole = ss.survey_total(survey, questions="Q8_8", by="gender")
    assert ours["estimate"][0] == pytest.approx(theirs["estimate"][0])
    assert ours["std_error"][0] == whole["std_error"][0]
    assert ours["std_error"][0] > theirs["std_error"][0] * 1.2


def test_conditions_may_be_a_text_a_function_or_a_mask_and_narrow_each_other() -> None:
    mask = ((SURVEY.data["age"] == "young") & (SURVEY.data["gender"] == "male")).to_numpy()
    ways = [
        SURVEY.filter("age == 'young' and gender == 'male'"),
        SURVEY.filter(lambda people: (people.age == "young") & (people.gender == "male")),
        SURVEY.filter(mask),
        SURVEY.filter("age == 'young'").filter("gender == 'male'"),
    ]
    for one in ways:
        np.testing.assert_array_equal(one.domain, mask)
    assert ways[3].domain_words == "age == 'young' and gender == 'male'"
    assert f"{int(mask.sum())} of them in the domain" in repr(ways[3])
    assert "gender ==" in ways[3]._repr_html_()


def test_a_refusal_is_no_answer_in_a_condition() -> None:
    missing = SURVEY.reasons["q1"].notna().to_numpy()
    assert missing.any()
    assert not SURVEY.filter("q1 > -1000000").domain[missing].any()


def test_verbs_of_domains_agree_with_backgrounds() -> None:
    young = SURVEY.filter("age == 'young'")
    cells, whole = ss.observed_backgrounds(young, by="gender"), ss.observed_backgrounds(SURVEY, by=["age", "gender"])
    assert cells["n"].tolist() == whole[whole["age"] == "young"]["n"].tolist()
    test, by_age = (ss.survey_chisq(one, questions="q1", groups="gender", by=by) for one, by in ((young, ()), (SURVEY, "age")))
    assert test["p_value"][0] == pytest.approx(by_age["p_value"].to_numpy()[by_age["background_id"] == "age=young"][0])
    simulated = ss.simulate(young, ["gender"], questions="q1", method="raw")
    assert simulated["n"].tolist() == ss.response_distributions(young, by="gender", questions="q1")["n"].tolist()
    assert simulated.attrs["n_respondents"] == int(young.domain.sum())
    assert young.take(np.arange(10)).domain.tolist() == young.domain[:10].tolist()


@pytest.mark.parametrize(
    "verb",
    [
        lambda survey: ss.rake(survey, {"gender": {"female": 0.5, "male": 0.5}}),
        lambda survey: ss.hold_out_respondents(survey, n_train=5, seed=0),
        lambda survey: ss.na_table(survey),
        lambda survey: ss.write_survey(survey, "x.sav"),
        lambda survey: ss.hold_out_levels(survey, trait="gender", levels="female"),
    ],
)
def test_a_verb_for_whole_surveys_refuses_a_filtered_one(verb: Callable[[ss.Survey], object]) -> None:
    with pytest.raises(SurveySimError, match=r"survey is filtered \(age == 'young'\), and this verb is for whole surveys"):
        verb(SURVEY.filter("age == 'young'"))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("agee == 'young'", "did you mean 'age'"),
        ("age == ", "cannot be evaluated"),
        ("age == 'middle'", "holds for no respondent"),
        ([True, False], "True or False for each of"),
        ("q1 + 1", "True or False for each of"),
        (lambda people: people["agee"] == 1, "did you mean 'age'"),
    ],
)
def test_a_condition_that_is_none_says_why(condition: object, said: str) -> None:
    with pytest.raises(BackgroundError, match=said):
        SURVEY.filter(condition)  # type: ignore[arg-type]


def test_chosen_questions_and_traits_keep_the_design() -> None:
    chosen = SURVEY.select(["q1", "gender"])
    assert SURVEY.select("q1", "gender").data.equals(chosen.data)
    assert (chosen.questions, chosen.traits) == (("q1",), ("gender",))
    ours, whole = (ss.response_distributions(one, by="gender", questions="q1") for one in (chosen, SURVEY))
    pd.testing.assert_frame_equal(ours, whole)
    with pytest.raises(CodebookError, match="no question or trait 'gendr'; did you mean 'gender'"):
        SURVEY.select("gendr")


def test_the_first_respondents_are_shown() -> None:
    first = SURVEY.filter("age == 'old'").head(3)
    assert first["age"].tolist() == ["old"] * 3
    assert first.columns.tolist() == ["respondent_id", "weight", *SURVEY.traits, *SURVEY.questions]
    assert len(SURVEY.head()) == 5


def test_a_column_asked_of_a_survey_says_what_to_write() -> None:
    with pytest.raises(SurveySimError, match=r"survey.data\['q1'\] holds the codes.*response_distributions\(survey, questions='q1'\)"):
        SURVEY["q1"]
    with pytest.raises(SurveySimError, match="did you mean 'gender'"):
        SURVEY["gendr"]
    with pytest.raises(SurveySimError, match="recode 'q1' in the codebook"):
        SURVEY["q1"] = 3


def test_a_question_of_few_options_makes_backgrounds() -> None:
    survey = ss.load_example("nonvoters2020")
    table = ss.response_distributions(survey, by=["Q20", "gender"], questions="Q8_8")
    assert table["Q20"].cat.categories.tolist() == ["Yes", "No"]
    yes = survey.filter("Q20 == 1")
    numbers = table[table["Q20"] == "Yes"].sort_values(["gender", "option_order"])[NUMBERS].reset_index(drop=True)
    wanted = ss.response_distributions(yes, by="gender", questions="Q8_8").sort_values(["gender", "option_order"])[NUMBERS]
    pd.testing.assert_frame_equal(numbers, wanted.reset_index(drop=True))
    frame = ss.plot_distributions(table, question="Q8_8", codebook=survey, draw=False)
    assert "Q20=Yes|gender=female" in set(frame["background_id"])
    with pytest.raises(CodebookError, match="did you mean 'Q20'"):
        ss.response_distributions(survey, by="Q200", questions="Q8_8")


def test_a_question_of_many_options_makes_none() -> None:
    options = tuple(ss.Option(code, f"place {code}") for code in range(13))
    book = ss.Codebook("b", "B", {}, {"where": ss.Question("where", "Where?", options)})
    survey = ss.as_survey(pd.DataFrame({"where": list(range(13))}), book, weight="none")
    with pytest.raises(BackgroundError, match="question 'where' has 13 options, and 12 are the most that make backgrounds"):
        ss.response_distributions(survey, by="where")
