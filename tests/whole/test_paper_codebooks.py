"""The codebooks of the surveys that the method was published with: ESS 9 and 11, WVS 7, CGSS, CFPS."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.codebook.codebook import MISSING_REASONS
from surveysim.lm.prompts.words import fill_question

# Attitude questions that each codebook must hold at least.
QUESTIONS = {
    "ess9": 25,
    "ess11": 25,
    "wvs7": 25,
    "cgss2017": 25,
    "cgss2018": 25,
    "cgss2021": 25,
    "cfps2018": 12,
    "cfps2020": 12,
    "cfps2022": 12,
}
TRAITS = {"gender", "age3", "age6", "education3"}
SETTLEMENT = {"settlement", "hukou"}
PLACE = {"country", "province"}


CHINESE = [name for name in QUESTIONS if name.startswith(("cgss", "cfps"))]


@pytest.fixture(params=sorted(QUESTIONS))
def codebook(request: pytest.FixtureRequest) -> ss.Codebook:
    return ss.load_codebook(request.param)


def test_codebook_holds_enough_questions_each_with_a_source(codebook: ss.Codebook) -> None:
    assert len(codebook.questions) >= QUESTIONS[codebook.name]
    assert [question.question_id for question in codebook.questions.values() if not question.source] == []


def test_codebook_holds_the_traits_of_a_background(codebook: ss.Codebook) -> None:
    assert set(codebook.traits) >= TRAITS
    assert set(codebook.traits) & SETTLEMENT
    assert set(codebook.traits) & PLACE
    assert any(name.startswith("income") for name in codebook.traits)
    assert all(trait.source for trait in codebook.traits.values())


@pytest.mark.parametrize("name", ["gss2016", "anes2020"])
def test_american_codebooks_hold_the_traits_too(name: str) -> None:
    traits = set(ss.load_codebook(name).traits)
    assert traits & {"sex", "gender"}
    assert traits >= {"age3", "education3", "income", "region", "settlement"}


def test_anes_says_of_every_scale_where_it_ends() -> None:
    """Its scales run both ways: from "Always" to "Never", from "Not at all" to "A great deal"."""
    scales = [question for question in ss.load_codebook("anes2020").questions.values() if question.type == "ordinal"]
    assert len(scales) > 200
    assert all(question.direction == f"the last option is: {question.labels[-1]}" for question in scales)


def test_the_release_of_nonvoters_has_no_place_and_its_note_says_so() -> None:
    codebook = ss.load_codebook("nonvoters2020")
    assert set(codebook.traits) >= {"gender", "age3", "age6", "education", "income"}
    assert "The release holds no variable for region or settlement" in codebook.note


def test_age_groups_nest(codebook: ss.Codebook) -> None:
    three, six = codebook.trait("age3"), codebook.trait("age6")
    assert (three.variable, three.missing, three.subtract_from) == (six.variable, six.missing, six.subtract_from)
    edges = [level.range[0] for level in six.levels if level.range]
    assert {level.range[0] for level in three.levels if level.range} <= set(edges)


def test_no_missing_code_is_a_level_of_the_scale(codebook: ss.Codebook) -> None:
    for question in codebook.questions.values():
        codes = codebook.missing_codes(question)
        assert not set(codes) & set(question.codes), question.question_id
        assert codes, f"{question.question_id}: no missing code is declared"
        assert set(codes.values()) <= set(MISSING_REASONS)


def test_background_reads_as_a_sentence(codebook: ss.Codebook) -> None:
    levels = {name: trait.levels[-1].name for name, trait in codebook.traits.items() if name != "age6"}
    words = ss.describe_background(levels, codebook)
    assert re.match(r"a (man|woman) aged [\w ]+ (in|living in|from) (the )?[A-Z]", words), words


# --- European Social Survey ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def norway(shared_data: Path) -> tuple[pd.DataFrame, Any]:
    return pyreadstat.read_sav(str(shared_data / "ess9_norway" / "ESS9NO.sav"), user_missing=True)


def test_ess9_options_are_the_value_labels_of_the_real_file(norway: tuple[pd.DataFrame, Any]) -> None:
    _, metadata = norway
    codebook = ss.load_codebook("ess9")
    for question in codebook.questions.values():
        labels = metadata.variable_value_labels[question.question_id]
        declared = {option.code: option.label for option in question.options}
        assert {code: label for code, label in labels.items() if code in declared} == declared, question.question_id
        reasons = {code: reason for code, reason in codebook.missing_codes(question).items() if not isinstance(code, str)}
        words = {"Not applicable": "not_applicable", "Refusal": "refused", "Don't know": "dont_know", "No answer": "no_answer"}
        assert {code: words[label] for code, label in labels.items() if code not in declared} == reasons, question.question_id
        assert metadata.column_names_to_labels[question.question_id] == question.label


def test_ess9_missing_codes_are_the_declared_ranges_of_the_real_file(norway: tuple[pd.DataFrame, Any]) -> None:
    _, metadata = norway
    codebook = ss.load_codebook("ess9")
    for question in codebook.questions.values():
        ranges = metadata.missing_ranges[question.question_id]

        def declared_missing(code: float, ranges: list[dict[str, float]] = ranges) -> bool:
            return any(between["lo"] <= code <= between["hi"] for between in ranges)

        assert all(declared_missing(code) for code in question.missing if not isinstance(code, str)), question.question_id
        assert not any(declared_missing(float(code)) for code in question.codes), question.question_id


def test_ess9_traits_account_for_every_label_of_the_real_file(norway: tuple[pd.DataFrame, Any]) -> None:
    frame, metadata = norway
    for trait in ss.load_codebook("ess9").traits.values():
        assert trait.variable in frame
        coded = {code for level in trait.levels for code in level.codes} | set(trait.missing)
        if not any(level.range for level in trait.levels):
            assert set(metadata.variable_value_labels[trait.variable]) <= coded, trait.name


@pytest.mark.parametrize("file", ["ESS9NO.sav", "ESS9NO.dta"])
def test_ess9_reads_the_real_file_with_no_code_unaccounted_for(shared_data: Path, file: str) -> None:
    survey = ss.read_survey(shared_data / "ess9_norway" / file, "ess9")
    assert len(survey) == 1406
    assert survey.codebook.country == "Norway"
    assert set(survey.questions) == set(survey.codebook.questions)
    assert survey.weight_name == "anweight"
    assert not [note for note in survey.notes if "outside" in note]
    valid = survey.reasons["trstprl"].isna()
    counts = survey.data.loc[valid, "trstprl"].astype(int).value_counts().sort_index()
    assert counts.to_list() == [20, 11, 35, 54, 70, 157, 188, 284, 311, 155, 115]
    assert survey.reasons["trstprl"].dropna().astype(str).value_counts().to_dict() == {"refused": 1, "dont_know": 5}


def test_ess9_weights_differ_by_a_constant_within_a_country(shared_data: Path) -> None:
    survey = ss.read_survey(shared_data / "ess9_norway" / "ESS9NO.sav", "ess9")
    ratio = survey.data["anweight"] / survey.data["pspwght"]
    assert ratio.max() / ratio.min() == pytest.approx(1, abs=1e-6)


@pytest.fixture(scope="module")
def extract(shared_data: Path) -> pd.DataFrame:
    text = gzip.decompress((shared_data / "ess11_extract" / "ESS11.csv.gz").read_bytes()).decode("utf-8")
    return pd.read_csv(io.StringIO(text.replace('"', "")), sep=";").drop(columns="Unnamed: 0")


def test_ess11_reads_the_extract(extract: pd.DataFrame) -> None:
    items = ["trstprl", "trstlgl", "trstplc", "trstplt", "trstprt"]
    survey = ss.as_survey(extract.assign(unweighted=1.0), "ess11", weight="unweighted", questions=items)
    assert len(survey) == 46_162
    assert set(survey.traits) == {"gender", "age3", "age6", "country", "education3", "settlement", "income3"}
    for item in items:
        assert int(survey.reasons[item].isna().sum()) == int(extract[item].notna().sum())
    countries = survey.data["country"].astype(str).value_counts()
    assert (len(countries), countries["Italy"], countries["Cyprus"]) == (28, 2865, 685)
    assert int(survey.data["age3"].isna().sum()) == int(extract["agea"].isna().sum())


def test_ess_rounds_word_their_common_items_alike() -> None:
    nine, eleven = ss.load_codebook("ess9"), ss.load_codebook("ess11")
    common = set(nine.questions) & set(eleven.questions)
    assert len(common) == 44
    for name in common:
        assert nine.question(name).text == eleven.question(name).text
        assert nine.question(name).options == eleven.question(name).options


def test_ess_says_which_way_a_scale_runs() -> None:
    for round_ in ("ess9", "ess11"):
        codebook = ss.load_codebook(round_)
        for name in ("gincdif", "freehms", "polintr", "health", "impcntr"):
            assert codebook.question(name).direction, (round_, name)


def test_ess_places_every_country_of_the_trait() -> None:
    for round_, number in (("ess9", 29), ("ess11", 30)):
        levels = ss.load_codebook(round_).trait("country").levels
        assert len(levels) == number
        assert all(level.place and level.adjective and level.text == f"in {level.place}" for level in levels)


# --- World Values Survey ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transcribed() -> dict[str, dict[str, Any]]:
    path = Path(__file__).parents[2].parent / "shared" / "wording" / "wvs7.json"
    if not path.is_file():
        pytest.skip("shared/wording/wvs7.json is absent; it holds the transcribed codebook to compare with")
    return json.loads(path.read_text(encoding="utf-8"))


def spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def test_wvs7_labels_and_options_are_the_transcribed_ones(transcribed: dict[str, dict[str, Any]]) -> None:
    codebook = ss.load_codebook("wvs7")
    for name, question in codebook.questions.items():
        other = transcribed[name]
        assert question.label == spaced(other["question"]), name
        valid = {int(code): spaced(label) for code, label in other["choices"].items() if not code.startswith("-")}
        assert {option.code: option.label for option in question.options} == valid, name


def test_wvs7_accounts_for_every_transcribed_missing_code(transcribed: dict[str, dict[str, Any]]) -> None:
    codebook = ss.load_codebook("wvs7")
    words = {"Don": "dont_know", "No answer": "no_answer", "Not asked": "not_asked", "INAP": "not_applicable", "Missing": "other"}
    words["No answer; Missing"] = "other"
    for name in [*codebook.questions, *{trait.variable for trait in codebook.traits.values()} - {"B_COUNTRY"}]:
        for code, label in transcribed[name]["choices"].items():
            if code.startswith("-"):
                start = max((word for word in words if label.startswith(word)), key=len)
                assert codebook.missing[int(code)] == words[start], (name, code, label)


def test_wvs7_traits_account_for_every_transcribed_code(transcribed: dict[str, dict[str, Any]]) -> None:
    for trait in ss.load_codebook("wvs7").traits.values():
        codes = {code for level in trait.levels for code in level.codes}
        if codes and trait.variable != "B_COUNTRY":
            assert codes == {int(code) for code in transcribed[trait.variable]["choices"] if not code.startswith("-")}, trait.name


def test_wvs7_fills_the_nationality_in() -> None:
    codebook = ss.load_codebook("wvs7")
    filled = fill_question(codebook.question("Q254"), {"country": "Kenya"}, codebook)
    assert filled.text == "How proud are you to be Kenyan?"
    assert filled.labels[-1] == "I am not Kenyan"


def test_wvs7_gives_every_country_one_vote() -> None:
    weights = {weight.variable: weight for weight in ss.load_codebook("wvs7").weights}
    assert list(weights) == ["W_WEIGHT", "W_WEIGHT_S018", "W_WEIGHT_PWGHT"]
    assert weights["W_WEIGHT_S018"].product_of == ("W_WEIGHT", "S018")
    assert weights["W_WEIGHT_S018"].verified
    assert not weights["W_WEIGHT_PWGHT"].verified, "no source says how PWGHT is to be used"


# --- Chinese surveys -------------------------------------------------------------------------------------------------------


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


@pytest.fixture(params=CHINESE)
def chinese(request: pytest.FixtureRequest) -> ss.Codebook:
    return ss.load_codebook(request.param)


def test_every_question_has_chinese_wording_with_an_option_for_every_code(chinese: ss.Codebook) -> None:
    for question in chinese.questions.values():
        wording = question.translations["zh"]
        assert is_chinese(wording["text"]), question.question_id
        assert not is_chinese(question.text), question.question_id
        assert len(wording["options"]) == len(set(wording["options"])) == len(question.options), question.question_id


def test_chinese_wording_survives_gb18030(chinese: ss.Codebook) -> None:
    texts = [question.translations["zh"]["text"] for question in chinese.questions.values()]
    texts += [label for question in chinese.questions.values() for label in question.translations["zh"]["options"]]
    texts += [level.translations["zh"] for trait in chinese.traits.values() for level in trait.levels]
    assert [text.encode("gb18030").decode("gb18030") for text in texts] == texts


def test_language_changes_both_ways_with_equal_codes(chinese: ss.Codebook) -> None:
    there = ss.load_codebook(chinese.name, language="zh")
    assert there == chinese.in_language("zh")
    back = there.in_language("en")
    assert (chinese.language, there.language, back.language) == ("en", "zh", "en")
    for name, question in chinese.questions.items():
        assert there.question(name).codes == question.codes
        assert there.question(name).text == question.translations["zh"]["text"]
        assert there.question(name).missing == question.missing
        assert (back.question(name).text, back.question(name).options) == (question.text, question.options)
    for name, trait in chinese.traits.items():
        assert [level.name for level in there.trait(name).levels] == [level.name for level in trait.levels]
        assert [level.text for level in back.trait(name).levels] == [level.text for level in trait.levels]


def test_chinese_background_is_a_list_of_chinese_words(chinese: ss.Codebook) -> None:
    levels = {name: trait.levels[0].name for name, trait in chinese.traits.items() if name != "age6"}
    words = ss.describe_background(levels, chinese.in_language("zh")).split("\uff0c")
    assert len(words) == len(levels)
    assert all(is_chinese(word) for word in words)


def test_cgss_words_its_core_questions_alike_in_every_wave() -> None:
    waves = {year: ss.load_codebook(f"cgss{year}") for year in (2017, 2018, 2021)}
    trust = {2017: "v458", 2018: "v505", 2021: "A33"}
    core = [trust, *({2017: name, 2018: name, 2021: name.upper()} for name in ("a34", "a35", "a36", "a38", "a46", "a47", "a48", "a64"))]
    core += [{2017: f"a42{item}", 2018: f"a42{item}", 2021: f"A42_{item}"} for item in range(1, 6)]
    for names in core:
        asked = [waves[year].question(name) for year, name in names.items()]
        assert len({question.text for question in asked}) == 1, names
        assert len({question.options for question in asked}) == 1, names
        assert len({question.translations["zh"]["text"] for question in asked}) == 1, names


def test_cgss_decides_missing_codes_by_variable() -> None:
    codebook = ss.load_codebook("cgss2017")
    assert 8 in codebook.question("c21").missing
    assert 8 in codebook.question("c121").codes
    assert dict(codebook.trait("education3").missing) == {14: "other"}
    assert 9 in next(level for level in codebook.trait("education3").levels if level.name == "tertiary").codes
    income = codebook.trait("income3")
    assert income.levels[-1].range == (80_000, 9_999_996)
    assert set(income.missing) == {9_999_997, 9_999_998, 9_999_999}


def test_cfps_puts_the_neutral_answer_in_the_middle_though_its_code_is_5() -> None:
    for year in (2018, 2020, 2022):
        question = ss.load_codebook(f"cfps{year}").question("wv101")
        assert question.codes == (1, 2, 5, 3, 4)
        assert question.missing[6] == "dont_know"


def test_cfps_knows_the_positive_code_for_not_applicable() -> None:
    for year in (2018, 2020, 2022):
        codebook = ss.load_codebook(f"cfps{year}")
        assert codebook.question("qn8011").missing[79] == "not_applicable"
        assert codebook.missing_codes(codebook.question("qn10021"))[-8] == "not_applicable"
        assert 79 not in codebook.missing_codes(codebook.question("qn10021"))


def test_cfps_verifies_only_the_wave_whose_questionnaire_was_read() -> None:
    assert all(question.verified for question in ss.load_codebook("cfps2018").questions.values())
    for year in (2020, 2022):
        assert not any(question.verified for question in ss.load_codebook(f"cfps{year}").questions.values())


def test_cfps_leaves_persons_without_the_weight_out() -> None:
    for year in (2018, 2020, 2022):
        codebook = ss.load_codebook(f"cfps{year}")
        assert [weight.variable for weight in codebook.weights] == [f"rswt_natcs{year - 2000}n", f"rswt_natpn10{year - 2000}n"]
        assert {weight.without for weight in codebook.weights} == {"drop"}


# --- the page about codebooks ----------------------------------------------------------------------------------------------


def test_page_says_what_the_codebooks_hold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "codebooks.md").read_text(encoding="utf-8")
    for name in ss.list_codebooks():
        codebook = ss.load_codebook(name)
        unverified = sum(not question.verified for question in codebook.questions.values())
        row = f"| `{name}` | {codebook.title} | {len(codebook.questions)} | {unverified} | {', '.join(codebook.traits)} |"
        assert row in page, f"docs/codebooks.md lacks {row}"
        for weight in codebook.weights:
            assert f"| `{name}` | `{weight.variable}` | {weight.use} |" in page, (name, weight.variable)
        assert f"| `{name}` | {codebook.licence} | {codebook.redistribution} |" in page, name
