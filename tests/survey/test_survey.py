"""`Survey`, `read_survey`, `as_survey`: what is missing and why, traits, weights, design, and files that do not fit."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import MISSING_REASONS, DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.codebook.missing_labels import reason_from_label
from surveysim.codebook.questions import field_values
from surveysim.errors import CodebookError, DesignError, ReadError, SurveySimError
from surveysim.survey import codebook_match as release
from surveysim.survey.codebook_match import codebook_for
from tests.support import synthetic
from tests.support.opinion_survey import opinion_survey
from tests.support.synthetic import trust_codebook, trust_frame


def told(survey: ss.Survey, question: str = "trust") -> list[str | None]:
    return [None if pd.isna(reason) else str(reason) for reason in survey.reasons[question]]


def levels(survey: ss.Survey, trait: str) -> list[str | None]:
    return [None if pd.isna(level) else str(level) for level in survey.data[trait]]


# --- missing answers: three sources, one state -----------------------------------------------------------------------------

LABELS = {
    "refused": ["Refusal", "Refused", "REFUSED", "-9. Refused", "Prefer not to say", "拒绝回答", "Refused (volunteered)"],
    "dont_know": ["Don't know", "Don’t know", "DK", "-8. Don't know", "Can't choose", "Ne sait pas", "不知道", "[DO NOT READ] Don't know"],
    "no_answer": ["No answer", "NA", "Not ascertained", "未回答"],
    "not_applicable": ["Not applicable", "IAP", "Inapplicable", "不适用", "N/A"],
    "not_asked": ["Not asked", "Not asked in survey", "Not asked in this country"],
}
ANSWER_LABELS = ["Refuse to pay taxes", "Do not know anyone", "Agree", "Missing school", "No", "None at all", "Nadia", "1. Approve"]


@pytest.mark.parametrize(("reason", "label"), [(reason, label) for reason, several in LABELS.items() for label in several])
def test_a_value_label_names_its_reason(reason: str, label: str) -> None:
    assert reason_from_label(label) == reason


@pytest.mark.parametrize("label", ANSWER_LABELS)
def test_an_answers_label_names_no_reason(label: str) -> None:
    assert reason_from_label(label) is None


CODES = st.integers(0, 12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=st.sets(CODES, min_size=2, max_size=5),
    own=st.dictionaries(CODES, st.sampled_from(MISSING_REASONS), max_size=4),
    common=st.dictionaries(CODES, st.sampled_from(MISSING_REASONS), max_size=4),
    declared=st.sets(CODES, max_size=3),
    labels=st.dictionaries(CODES, st.sampled_from(["Refusal", "Don't know", "Not asked", "Something"]), max_size=6),
    answers=st.lists(st.one_of(CODES, st.none()), min_size=1, max_size=30),
)
def test_the_codebook_decides_before_the_file_and_no_code_is_lost(
    options: set[int],
    own: dict[int, str],
    common: dict[int, str],
    declared: set[int],
    labels: dict[int, str],
    answers: list[int | None],
    tmp_path: Path,
) -> None:
    own = {code: reason for code, reason in own.items() if code not in options}
    question = Question("q", "Q?", tuple(Option(code, f"option {code}") for code in sorted(options)), missing=own)
    book = ss.Codebook("b", "B", {}, {"q": question}, missing=common, system_missing="not_asked")
    frame = pd.DataFrame({"q": np.array(answers, float)})
    words = {"Refusal": "refused", "Don't know": "dont_know", "Not asked": "not_asked"}

    def expected(code: int | None) -> str | None:
        if code is None:
            return "not_asked"
        if code in options:
            return "valid"
        by_file = words.get(labels.get(code, ""), "other" if code in declared else None)
        return own.get(code) or common.get(code) or by_file

    pyreadstat.write_sav(frame, str(tmp_path / "q.sav"), variable_value_labels={"q": labels}, missing_ranges={"q": sorted(declared)})
    unknown = sorted({code for code in answers if expected(code) is None})
    if unknown:
        with pytest.raises(CodebookError, match=r"question 'q': code .* is in neither options nor missing of b\.toml"):
            ss.read_survey(tmp_path / "q.sav", book, weight="none")
        return
    survey = ss.read_survey(tmp_path / "q.sav", book, weight="none")
    assert [reason or "valid" for reason in told(survey, "q")] == [expected(code) for code in answers]
    assert survey.data.q.fillna(-1).tolist() == [-1 if code is None else code for code in answers]


def test_an_unknown_code_is_named_with_its_count_and_label(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"question 'trust': code 7 \(12 respondents\), 8 \(12 respondents\) is in neither options nor"):
        ss.as_survey(trust_frame(12), trust_codebook())
    path = synthetic.write_sav(tmp_path / "x.sav", missing=(), labels={7: "Sometimes", 8: "Don't know"})
    with pytest.raises(CodebookError, match=r"code 7 'Sometimes' \(1 respondents\) is in neither .* trust\.toml; add it to one of them"):
        ss.read_survey(path, trust_codebook())


def test_what_a_respondent_wrote_is_not_in_the_message() -> None:
    written = "My neighbour Ann Smith of 4 Mill Lane hit me"
    for frame in (
        trust_frame(12).assign(trust=[written, *["Ann"] * 2, *["Some trust"] * (len(trust_frame(12)) - 3)]),
        trust_frame().assign(gndr=[written, *["male"] * (len(trust_frame()) - 1)]),
    ):
        with pytest.raises(CodebookError, match=r"a text of 44 characters, not shown .*neither a code nor a label") as refused:
            ss.as_survey(frame, trust_codebook(missing={7: "refused", 8: "dont_know"}))
        assert "Ann" not in str(refused.value)
        assert "Mill Lane" not in str(refused.value)


def test_an_option_that_the_file_declares_missing_is_valid_and_told(tmp_path: Path) -> None:
    survey = ss.read_survey(synthetic.write_sav(tmp_path / "x.sav", missing=(2, 7, 8)), trust_codebook())
    assert told(survey) == synthetic.REASONS
    assert any("the file declares 2 missing, trust.toml holds it as an option: counted as valid" in note for note in survey.notes)


def test_ranges_declared_missing_are_ranges(tmp_path: Path) -> None:
    frame = trust_frame().assign(trust=[0, 1, 2, 66, 77.5, 99])
    path = synthetic.write_sav(tmp_path / "x.sav", frame, labels={66: "Not applicable"}, missing=[{"lo": 66, "hi": 99}])
    assert told(ss.read_survey(path, trust_codebook())) == [None, None, None, "not_applicable", "other", "other"]


def test_missing_words_of_a_text_variable(tmp_path: Path) -> None:
    frame = trust_frame().assign(answer=["yes", "no", "9999", "", "yes", "77"])
    pyreadstat.write_sav(
        frame, str(tmp_path / "x.sav"), missing_ranges={"answer": ["9999"]}, variable_value_labels={"answer": {"77": "Refusal"}}
    )
    options = (Option("yes", "Yes"), Option("no", "No"))
    book = ss.Codebook("b", "B", {}, {"answer": Question("answer", "Q?", options, type="nominal")})
    survey = ss.read_survey(tmp_path / "x.sav", book, weight="none")
    assert told(survey, "answer") == [None, None, "other", "other", None, "refused"]


def test_every_frame_of_pandas_is_understood() -> None:
    book = trust_codebook(missing={7: "refused", 8: "dont_know"})
    plain = trust_frame()
    for dtype in ("int64", "Int64", "Float32", "category", "string"):
        survey = ss.as_survey(plain.assign(trust=plain.trust.astype(int).astype(dtype)), book)
        assert told(survey) == synthetic.REASONS, dtype
        valid = survey.reasons.trust.isna()
        assert survey.data.trust[valid].isin([0, 1, 2]).all(), dtype
    gap = ss.as_survey(plain.assign(trust=pd.array([0, 1, None, 7, 8, 1], dtype="Int64")), book)
    assert told(gap) == [None, None, "other", "refused", "dont_know", None]


def test_categories_that_no_respondent_has_are_no_codes() -> None:
    book = trust_codebook(missing={7: "refused", 8: "dont_know"})
    answers = pd.Categorical(trust_frame().trust.astype(int), categories=[0, 1, 2, 7, 8, 55])
    assert told(ss.as_survey(trust_frame().assign(trust=answers), book)) == synthetic.REASONS


# --- traits ----------------------------------------------------------------------------------------------------------------


def aged(**changes: object) -> ss.Codebook:
    groups = (Level("young", "aged 15 to 39", range=(15, 39)), Level("old", "aged 40 to 99", range=(40, 99)))
    age = Trait("age", "years", groups, **{"missing": {999: "no_answer"}, **changes})  # type: ignore[arg-type]
    return ss.Codebook(
        "b", "B", {"age": age}, {"trust": Question("trust", "Q?", synthetic.TRUST)}, missing={77: "refused", 7: "refused", 8: "dont_know"}
    )


def test_a_range_wins_over_common_codes_and_loses_to_the_traits_own() -> None:
    frame = trust_frame().assign(years=[15, 39, 77, 999, np.nan, 7])
    survey = ss.as_survey(frame, aged(), weight="none")
    assert levels(survey, "age") == ["young", "young", "old", None, None, None]
    assert survey.trait_reasons.age.tolist()[3:] == ["no_answer", "other", "refused"]


def test_a_range_loses_to_what_the_file_declares(tmp_path: Path) -> None:
    frame = trust_frame().assign(years=[15, 39, 77, 98, 99, 50.0])
    pyreadstat.write_sav(frame, str(tmp_path / "x.sav"), missing_ranges={"years": [98]}, variable_value_labels={"years": {99: "Refused"}})
    survey = ss.read_survey(tmp_path / "x.sav", aged(), weight="none")
    assert levels(survey, "age") == ["young", "young", "old", None, None, "old"]
    assert survey.trait_reasons.age.tolist()[3:5] == ["other", "refused"]


def test_values_outside_every_range_are_told_and_counted() -> None:
    frame = trust_frame().assign(years=[15, 39, 14, 14, 39.5, 120])
    survey = ss.as_survey(frame, aged(), weight="none")
    assert levels(survey, "age") == ["young", "young", None, None, None, None]
    assert any("trait 'age': 4 respondents lie outside every range: 14 (2 respondents)" in note for note in survey.notes)
    assert ss.na_table(survey, of="traits").set_index("trait").loc["age", "other"] == 4


@pytest.mark.parametrize("year", [2018, "interview"])
def test_a_year_of_birth_becomes_an_age(year: int | str) -> None:
    frame = trust_frame().assign(years=[2003, 1979, 1978, 1919, 9999, 2004], interview=2018)
    survey = ss.as_survey(frame, aged(subtract_from=year, missing={9999: "no_answer"}), weight="none")
    assert levels(survey, "age") == ["young", "young", "old", "old", None, None]
    with pytest.raises(CodebookError, match=r"names variables that the frame lacks: 'wave_year'"):
        ss.as_survey(frame, aged(subtract_from="wave_year"), weight="none")


def test_years_of_interview_may_differ_between_respondents_born_alike() -> None:
    frame = trust_frame().assign(years=[1979, 1979, 1919, 1919, np.nan, 1979], interview=[2018, 2019, 2018, 2019, 2018, np.nan])
    survey = ss.as_survey(frame, aged(subtract_from="interview"), weight="none")
    assert levels(survey, "age") == ["young", "old", "old", None, None, None]
    assert "trait 'age': 2 respondents lie outside every range: 1919 (1 respondents), 1979 (1 respondents)" in survey.notes
    assert survey.trait_reasons.age.astype(object).where(survey.trait_reasons.age.notna(), None).tolist() == [None] * 3 + ["other"] * 3


def test_a_code_of_no_level_is_an_error() -> None:
    frame = trust_frame().assign(gndr=[1, 2, 3, 3, 3, 1])
    with pytest.raises(CodebookError, match=r"trait 'sex' \(variable 'gndr'\): code 3 \(3 respondents\) is in neither levels nor missing"):
        ss.as_survey(frame, trust_codebook(missing={7: "refused", 8: "dont_know"}))


def test_traits_recoded_already_are_taken_as_they_are() -> None:
    survey = ss.as_survey(trust_frame(), trust_codebook(missing={7: "refused", 8: "dont_know"}))
    again = ss.as_survey(survey.data, survey.codebook, weight="weight")
    pd.testing.assert_frame_equal(
        again.data[["respondent_id", "weight", "sex", "trust"]], survey.data[["respondent_id", "weight", "sex", "trust"]]
    )
    named = ss.as_survey(survey.data.astype({"sex": str}), survey.codebook, weight="weight")
    assert levels(named, "sex") == levels(survey, "sex")
    with pytest.raises(CodebookError, match=r"trait 'sex': 'unknown' \(6 respondents; known: male, female\) is neither a code nor"):
        ss.as_survey(survey.data.assign(sex="unknown"), survey.codebook, weight="weight")


# --- weights, ids, design --------------------------------------------------------------------------------------------------

BOOK = trust_codebook(missing={7: "refused", 8: "dont_know"})
WEIGHTS = {
    "missing": ([1, 1, np.nan, 1, np.nan, 1], r"weight 'w': 2 missing, 0 negative, 0 infinite of 6 values \(rows 2, 4\)"),
    "negative": ([1, 1, -1, 1, 1, 1], r"weight 'w': 0 missing, 1 negative, 0 infinite of 6 values \(rows 2\)"),
    "infinite": ([1, 1, np.inf, 1, 1, 1], r"1 infinite of 6 values"),
    "all zero": ([0] * 6, r"weight 'w' is zero for every respondent; choose another weight variable"),
    "text": (["0,5"] * 6, r"weight 'w' holds text: '0,5'"),
}


@pytest.mark.parametrize(("values", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_an_unusable_weight_is_an_error(values: list[object], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        ss.as_survey(trust_frame().assign(w=values), BOOK)


def test_no_weight_is_never_a_silent_default() -> None:
    bare = trust_codebook(weights=(), missing=BOOK.missing)
    with pytest.raises(DesignError, match=r"codebook 'trust' declares no weight; name the variable with weight=.*weight='none'"):
        ss.as_survey(trust_frame(), bare)
    survey = ss.as_survey(trust_frame(), bare, weight="none")
    assert survey.weight_name == "none"
    assert survey.data.weight.tolist() == [1.0] * 6
    assert any("every respondent counts 1" in note for note in survey.notes)


def test_a_weight_that_is_no_variable_names_the_nearest() -> None:
    with pytest.raises(DesignError, match=r"the frame lacks weight 'gndrr' \(weight=\): name another .*; did you mean 'gndr'"):
        ss.as_survey(trust_frame(), BOOK, weight="gndrr")


def test_a_weight_may_be_a_product() -> None:
    book = trust_codebook(weights=(Weight("total", product_of=("w", "size")), Weight("w")), missing=BOOK.missing)
    survey = ss.as_survey(trust_frame().assign(size=2.0), book)
    np.testing.assert_array_equal(survey.data.weight, 2 * trust_frame().w)
    assert any("weight 'total' is not in the frame; made as w * size" in note for note in survey.notes)
    released = ss.as_survey(trust_frame().assign(size=2.0, total=3.0), book)
    assert released.data.weight.tolist() == [3.0] * 6


def test_respondents_without_a_weight_are_dropped_where_the_codebook_says_so_and_counted() -> None:
    book = trust_codebook(weights=(Weight("w", without="drop"),), missing=BOOK.missing)
    survey = ss.as_survey(trust_frame().assign(w=[1, np.nan, 1, 1, np.nan, 1]), book)
    assert survey.data.respondent_id.tolist() == [1, 3, 4, 6]
    assert len(survey.reasons) == len(survey.trait_reasons) == 4
    assert any("2 of 6 respondents have no weight 'w' and are left out, as trust.toml says" in note for note in survey.notes)
    with pytest.raises(DesignError, match="1 negative"):
        ss.as_survey(trust_frame().assign(w=[1, np.nan, 1, 1, -1, 1]), book)


def test_the_chosen_weight_is_not_overwritten_by_a_variable_called_weight() -> None:
    book = trust_codebook(weights=(Weight("weight"), Weight("w")), missing=BOOK.missing)
    survey = ss.as_survey(trust_frame().assign(weight=9.0), book, weight="w")
    np.testing.assert_array_equal(survey.data.weight, trust_frame().w)


def test_stata_tags_in_a_weight_are_missing(tmp_path: Path) -> None:
    frame = trust_frame().assign(w=pd.Series([1.0, "a", 1.0, 1.0, 1.0, 1.0], dtype=object), trust=[0, 1, 2, 0, 1, 2])
    pyreadstat.write_dta(frame, str(tmp_path / "x.dta"), missing_user_values={"w": ["a"]})
    with pytest.raises(DesignError, match="weight 'w': 1 missing"):
        ss.read_survey(tmp_path / "x.dta", BOOK)


def test_ids_must_identify_respondents() -> None:
    with pytest.raises(CodebookError, match=r"id does not identify respondents: 1 stand twice or more"):
        ss.as_survey(trust_frame().assign(id=[1, 1, 2, 3, 4, 5]), BOOK)
    with pytest.raises(CodebookError, match=r"id is empty for 1 respondents \(rows 2\)"):
        ss.as_survey(trust_frame().assign(id=[1, 2, np.nan, 3, 4, 5]), BOOK)
    two = trust_codebook(respondent_id=("country", "id"), missing=BOOK.missing)
    survey = ss.as_survey(trust_frame().assign(country=["NO", "NO", "SE", "SE", "SE", "SE"], id=[1, 2, 1, 2, 3, 4]), two)
    assert survey.data.respondent_id.tolist() == ["NO-1", "NO-2", "SE-1", "SE-2", "SE-3", "SE-4"]


def test_strata_and_psus_are_nested_where_the_codebook_says_so() -> None:
    design = DesignVariables(stratum="layer", psu="area", nest="country", fpc="areas", replicate_weights="rep*")
    book = trust_codebook(design=design, missing=BOOK.missing)
    frame = trust_frame().assign(country=["NO"] * 3 + ["SE"] * 3, layer=1.0, area=[1.0, 1, 2, 1, 2, np.nan], areas=50.0, rep1=1.0, REP2=2.0)
    data = ss.as_survey(frame, book).data
    assert data.stratum.tolist() == ["NO-1"] * 3 + ["SE-1"] * 3
    assert data.psu.tolist()[:5] == ["NO-1", "NO-1", "NO-2", "SE-1", "SE-2"]
    assert pd.isna(data.psu[5])
    assert {"fpc", "rep1", "REP2"} <= set(data)


def test_strata_are_nested_in_categories_too() -> None:
    n = 300
    frame = pd.concat([trust_frame()] * (n // 6), ignore_index=True)
    frame = frame.assign(country=pd.Categorical(["NO", "SE"] * (n // 2)), layer=np.arange(n) // 2, area=np.arange(n), id=np.arange(n))
    book = trust_codebook(design=DesignVariables(stratum="layer", psu="area", nest="country"), missing=BOOK.missing)
    data = ss.as_survey(frame, book, weight="none").data
    assert data.stratum.tolist() == [f"{country}-{layer}" for country, layer in zip(frame.country, frame.layer, strict=True)]


def one_place(**changes: object) -> ss.Codebook:
    there = (Level("Norway", "in Norway", ("NO",), place="Norway"), Level("Sweden", "in Sweden", ("SE",), place="Sweden"))
    traits = {"country": Trait("country", "cntry", there), "sex": BOOK.traits["sex"]}
    return ss.Codebook(**{**field_values(BOOK), "traits": traits, "country": "two countries", **changes})


@pytest.mark.parametrize("traits", [None, ["sex"], []])
def test_a_file_of_one_country_names_it(traits: list[str] | None) -> None:
    frame = trust_frame().assign(cntry="SE")
    assert ss.as_survey(frame, one_place(), traits=traits).codebook == one_place(country="Sweden")
    both = frame.assign(cntry=["NO", "SE"] * 3)
    assert ss.as_survey(both, one_place(), traits=traits).codebook == one_place()
    again = ss.as_survey(frame, one_place())
    assert ss.as_survey(again.data, one_place()).codebook.country == "Sweden", "recoded already"


def test_a_country_that_is_no_level_is_an_error_only_where_it_is_asked_for() -> None:
    frame = trust_frame().assign(cntry="XX")
    assert ss.as_survey(frame, one_place(), traits=["sex"]).codebook == one_place()
    assert ss.as_survey(frame.drop(columns="cntry"), one_place(), traits=["sex"]).codebook == one_place()
    with pytest.raises(CodebookError, match="trait 'country'"):
        ss.as_survey(frame, one_place())


def test_a_design_that_the_file_lacks_is_told(tmp_path: Path) -> None:
    book = trust_codebook(design=DesignVariables(stratum="layer", psu="area"))
    survey = ss.read_survey(synthetic.write_sav(tmp_path / "x.sav"), book)
    assert [note for note in survey.notes if "standard errors are made without it" in note] == [
        "x.sav has no stratum 'layer': standard errors are made without it",
        "x.sav has no psu 'area': standard errors are made without it",
    ]


# --- files that do not fit their codebook ----------------------------------------------------------------------------------


def test_another_wave_is_refused(tmp_path: Path) -> None:
    book = trust_codebook(wave={"essround": (9,)}, files=("ESS9e03_2.sav",))
    path = synthetic.write_sav(tmp_path / "x.sav", trust_frame().assign(essround=8.0))
    with pytest.raises(CodebookError, match=r"x\.sav is of another wave: essround is 8, and trust\.toml is for essround 9 \(ESS9e03_2"):
        ss.read_survey(path, book)
    right = synthetic.write_sav(tmp_path / "y.sav", trust_frame().assign(ESSROUND=9.0))
    assert len(ss.read_survey(right, book)) == 6


def test_an_inverted_scale_is_recognised_by_its_labels(tmp_path: Path) -> None:
    labels = {0: "Complete trust", 1: "Some trust", 2: "No trust at all"}
    path = synthetic.write_sav(tmp_path / "x.sav", labels=labels)
    with pytest.raises(CodebookError, match=r"question 'trust': the scale is inverted: x\.sav labels code 0 'Complete trust', which"):
        ss.read_survey(path, trust_codebook(missing=BOOK.missing))


def test_labels_that_contradict_the_codebook_are_refused(tmp_path: Path) -> None:
    path = synthetic.write_sav(tmp_path / "x.sav", labels={0: "1. Some trust", 1: "Much trust"})
    with pytest.raises(
        CodebookError, match=r"labels contradict the codebook: x\.sav labels code 0 '1\. Some trust', which .* code 1; check"
    ):
        ss.read_survey(path, trust_codebook(missing=BOOK.missing))


def test_labels_worded_otherwise_are_no_contradiction(tmp_path: Path) -> None:
    labels = {0: "NO TRUST AT ALL", 1: "1", 2: "a lot of trust", 7: "Refusal", 8: "Don't know"}
    assert told(ss.read_survey(synthetic.write_sav(tmp_path / "x.sav", labels=labels), trust_codebook())) == synthetic.REASONS


def test_labels_are_compared_in_every_language_of_the_codebook(tmp_path: Path) -> None:
    german = {"de": {"text": "Vertrauen?", "options": ["kein Vertrauen", "etwas Vertrauen", "volles Vertrauen"]}}
    book = ss.Codebook("b", "B", {}, {"trust": Question("trust", "Q?", synthetic.TRUST, translations=german)}, missing=BOOK.missing)
    path = synthetic.write_sav(tmp_path / "x.sav", labels={0: "volles Vertrauen", 2: "kein Vertrauen"})
    with pytest.raises(CodebookError, match="the scale is inverted"):
        ss.read_survey(path, book, weight="none")


def test_a_trait_whose_labels_are_swapped_is_refused(tmp_path: Path) -> None:
    pyreadstat.write_sav(trust_frame(), str(tmp_path / "x.sav"), variable_value_labels={"gndr": {1: "Female", 2: "Male"}})
    with pytest.raises(CodebookError, match=r"trait 'sex': the labels contradict the codebook: x\.sav labels code 1 'Female'"):
        ss.read_survey(tmp_path / "x.sav", BOOK)


def test_a_codebook_is_found_by_the_files_name(tmp_path: Path) -> None:
    survey = ss.load_example("nonvoters2020")
    for name in ("nonvoters2020.sav", "NONVOTERS_DATA.SAV"):
        path = ss.write_survey(survey, tmp_path / name)
        assert ss.read_survey(path, questions=["Q8_8"], traits=["gender"]).codebook.name == "nonvoters2020"
    with pytest.raises(CodebookError, match=r"no codebook is known for a file called 'trsut\.sav' .*codebook=: anes2020.*draft_codebook"):
        ss.read_survey(synthetic.write_sav(tmp_path / "trsut.sav"))


@pytest.mark.parametrize(("name", "codebook"), [
    ("ESS9e03_2.SAV", "ess9"), ("ess9e03_3.dta", "ess9"), ("ESS9e03_3-subset.csv", "ess9"), ("ESS11e04_1.csv.gz", "ess11"),
    ("F00010733-WVS_Cross-National_Wave_7_spss_v6_0.sav", "wvs7"), ("WVS_Cross-National_Wave_7_spss_v5_0.sav", "wvs7"),
    ("CGSS2021.dta", "cgss2021"), ("cfps2020person_202412.dta", "cfps2020"),
])  # fmt: skip
def test_releases_and_other_editions_find_their_codebook(name: str, codebook: str) -> None:
    found, notes = codebook_for(name)
    assert found.name == codebook
    listed = {file.lower().rsplit(".", 1)[0] for file in found.files}
    assert bool(notes) == (name.lower().removesuffix(".gz").rsplit(".", 1)[0] not in listed)


def test_a_name_that_several_codebooks_list_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    books = {name: trust_codebook(files=("shared.sav",)) for name in ("one", "two")}
    monkeypatch.setattr(release, "list_codebooks", lambda: list(books))
    monkeypatch.setattr(release, "load_codebook", books.__getitem__)
    with pytest.raises(CodebookError, match=r"several codebooks are known for a file called 'SHARED\.SAV' .* codebook=: trust, trust"):
        codebook_for("SHARED.SAV")


def test_a_respondents_frame_has_its_weight_under_the_standard_name() -> None:
    frame = trust_frame().rename(columns={"w": "weight", "id": "respondent_id"})
    survey = ss.as_survey(frame.assign(surveysim="weight"), BOOK)
    np.testing.assert_array_equal(survey.data.weight, trust_frame().w)
    assert survey.data.respondent_id.tolist() == trust_frame()["id"].tolist()
    with pytest.raises(DesignError, match=r"the frame lacks weight 'w' \(the first weight of trust\.toml\)"):
        ss.as_survey(frame, BOOK)


@pytest.mark.parametrize("name", ["fpc", "psu", "stratum"])
def test_a_column_called_as_the_design_is_not_used_unless_declared(name: str) -> None:
    frame = trust_frame().assign(**{name: 7})
    survey = ss.as_survey(frame, BOOK)
    assert name not in survey.data
    assert f'the frame has a column {name!r}, which is not used: say {name} = "{name}" in [design] if it is one' in survey.notes
    declared = ss.as_survey(frame, replace(BOOK, design=DesignVariables(**{name: name})))
    assert declared.data[name].tolist() == [7] * 6


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_surveys_data_are_a_survey_again_after_a_file(kind: str, tmp_path: Path) -> None:
    book = replace(BOOK, weights=(Weight("both", product_of=("w", "w2")),), design=DesignVariables(stratum="region", psu="street"))
    frame = trust_frame().assign(w2=[2.0, 1, 1, 1, 3, 1], region=[1, 1, 1, 2, 2, 2], street=[1, 1, 2, 3, 3, 4])
    survey = ss.as_survey(frame, book)
    path = tmp_path / f"x.{kind}"
    survey.data.to_csv(path, index=False) if kind == "csv" else survey.data.to_parquet(path)
    for again in (ss.read_survey(path, book), ss.as_survey(pd.read_csv(path) if kind == "csv" else pd.read_parquet(path), book)):
        for column in ("weight", "stratum", "psu", "respondent_id", "surveysim"):
            assert again.data[column].tolist() == survey.data[column].tolist(), column
        assert again.design.degrees_of_freedom == survey.design.degrees_of_freedom


# --- arguments, and the survey itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "kind", "message"), [
    ({"questions": "trst"}, CodebookError, r"questions: codebook 'trust' has no question 'trst'"),
    ({"questions": 3}, CodebookError, r"questions must be a name or a list of names; got int 3; give questions= one name or several of "),
    ({"traits": ["sex", 1]}, CodebookError, r"traits must hold names, which are text; got 1; give traits= one name or several of "),
    ({"questions": ["trsut"]}, CodebookError, r"has no question 'trsut'; did you mean 'trust'"),
    ({"traits": ["age"]}, CodebookError, r"has no trait 'age'"),
    ({"frame": trust_frame().iloc[:0]}, ReadError, r"frame holds no respondents"),
    ({"frame": [1, 2]}, ReadError, r"frame must be a frame with a row per respondent \(pandas, polars, .*; got list"),
])  # fmt: skip
def test_arguments_are_checked(change: dict[str, object], kind: type[Exception], message: str) -> None:
    arguments = {"frame": trust_frame(), "codebook": BOOK, **change}
    with pytest.raises(kind, match=message):
        ss.as_survey(arguments.pop("frame"), **arguments)  # type: ignore[arg-type]


def test_an_empty_weight_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="weight: an empty name"):
        ss.read_survey(synthetic.write_sav(tmp_path / "x.sav"), BOOK, weight="")


def test_taking_respondents_takes_all_that_belongs_to_them() -> None:
    survey = ss.as_survey(trust_frame().assign(gndr=[1, 2, np.nan, 1, 2, 1]), BOOK)
    few = survey.take(np.array([2, 3]))
    assert few.data.respondent_id.tolist() == [3, 4]
    assert told(few) == [None, "refused"]
    assert few.trait_reasons.sex.astype(object).fillna("").tolist() == ["other", ""]
    same = survey.take(np.array([False, False, True, True, False, False]))
    pd.testing.assert_frame_equal(same.data, few.data)


def test_columns_may_have_names_that_are_no_text() -> None:
    survey = ss.as_survey(trust_frame().assign(**{"extra": 1}).rename(columns={"extra": 7}), BOOK)
    assert told(survey) == synthetic.REASONS


def test_order_of_rows_changes_nothing_but_the_order() -> None:
    frame = trust_frame(5)
    order = np.random.default_rng(3).permutation(len(frame))
    straight, mixed = ss.as_survey(frame, BOOK), ss.as_survey(frame.iloc[order], BOOK)
    pd.testing.assert_frame_equal(straight.take(order).data, mixed.data)
    pd.testing.assert_frame_equal(straight.take(order).reasons, mixed.reasons)


def test_a_survey_says_what_it_is() -> None:
    survey = ss.as_survey(trust_frame(), trust_codebook(missing=BOOK.missing, note="<b>"), weight="none")
    assert "6 respondents, 1 questions, weight 'none', traits sex" in repr(survey)
    html = survey._repr_html_()
    for said in ("A survey of trust (trust)", "no strata or PSUs", "66.7%", "male, female", "every respondent counts 1"):
        assert said in html
    assert "<b>A survey" in html
    nothing = ss.as_survey(trust_frame(), BOOK, questions=[], traits=[])
    assert "none" in nothing._repr_html_()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trust", r"a Survey is no frame: survey.data\['trust'\] holds the codes .*survey.select\('trust'\) keeps it alone"),
        ("gender", r"a Survey is no frame: survey.data\['gender'\]"),
        ("trst", r"a Survey has no attribute, question or trait 'trst'; did you mean 'trust'"),
        ("qestions", r"a Survey has no attribute, question or trait 'qestions'; did you mean 'questions'"),
        ("groupby", r"has no 'groupby': survey.data.groupby is that of the respondents, without weights and design, .* survey_mean use"),
        ("weight", r"has no 'weight': survey.data.weight is that of the respondents"),
        ("_repr_png_", r"'Survey' object has no attribute '_repr_png_'"),
        ("_ipython_canary_method_should_not_exist_", r"'Survey' object has no attribute '_ipython"),
    ],
)
def test_an_attribute_that_is_none_says_what_to_write(name: str, said: str) -> None:
    survey = opinion_survey(60)
    assert not hasattr(survey, name)
    with pytest.raises(AttributeError, match=said):
        getattr(survey, name)
    if name in (*survey.questions, *survey.traits):
        with pytest.raises(SurveySimError) as of_a_column:
            survey[name]
        with pytest.raises(SurveySimError) as of_an_attribute:
            getattr(survey, name)
        assert str(of_a_column.value) == str(of_an_attribute.value)


def test_a_survey_is_copied_pickled_and_shown_as_before() -> None:
    survey = opinion_survey(60)
    for other in (copy.copy(survey), copy.deepcopy(survey), pickle.loads(pickle.dumps(survey)), replace(survey)):
        assert repr(other) == repr(survey)
        pd.testing.assert_frame_equal(other.data, survey.data)
        assert other.design.degrees_of_freedom == survey.design.degrees_of_freedom
    with pytest.raises(AttributeError, match="'Survey' object has no attribute 'reasons'"):
        _ = object.__new__(ss.Survey).reasons


def test_an_error_inside_a_property_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    survey = opinion_survey(60)
    monkeypatch.setattr(ss.Survey, "traits", property(lambda self: self.codebook.nothing))
    with pytest.raises(AttributeError, match="'Codebook' object has no attribute 'nothing'"):
        _ = survey.traits
