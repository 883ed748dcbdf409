"""Gender and age are the respondent's, in fourteen languages; rivals are named, and codes that are no age."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import surveysim as ss
from tests.support.labelled import drafted, labelled_file

N = 60
GENDERS = {
    "English": ["Male", "Female"],
    "with leads": ["1. Male", "2. Female"],
    "men and women": ["Man", "Woman"],
    "three": ["Male", "Female", "Other"],
    "four": ["Man", "Woman", "Non-binary", "Prefer to self-describe"],
    "cis and trans": ["Cis man", "Cis woman", "Trans"],
    "French": ["Homme", "Femme"],
    "French, adjectives": ["Masculin", "Féminin"],
    "German": ["Männlich", "Weiblich", "Divers"],
    "Spanish": ["Hombre", "Mujer"],
    "Spanish, adjectives": ["Masculino", "Femenino"],
    "Portuguese": ["Homem", "Mulher"],
    "Italian": ["Maschio", "Femmina"],
    "Dutch": ["Man", "Vrouw"],
    "Polish": ["Mężczyzna", "Kobieta"],
    "Russian": ["Мужской", "Женский"],
    "Turkish": ["Erkek", "Kadın"],
    "Arabic": ["ذكر", "أنثى"],
    "Chinese": ["1.男", "2.女"],
    "Japanese": ["男性", "女性"],
    "Korean": ["남성", "여성"],
}
SOMEBODY_ELSE = [
    ("intsex", "Interviewer's sex"),
    ("gndr2", "Gender of second person in household"),
    ("sexp", "Sex of partner"),
    ("sex_spouse", "Sex of spouse"),
    ("k1", "Gender of first child"),
    ("h3", "Sex of household member 3"),
    ("s1", "Sexo del cónyuge"),
    ("s2", "Sexo del encuestador"),
    ("g1", "Geschlecht der Ehepartnerin"),
    ("x1", "Sexe du conjoint"),
    ("p1", "Sexo do entrevistador"),
    ("n1", "Geslacht partner"),
    ("r1", "Пол супруга"),
    ("c1", "配偶性别"),
    ("k2", "배우자 성별"),
    ("j1", "配偶者の性別"),
]


def coded(words: list[str]) -> list[float]:
    return [1.0 + row % len(words) for row in range(N)]


@pytest.mark.parametrize("language", GENDERS)
def test_gender_is_found_in_every_language_and_number(language: str, tmp_path: Path) -> None:
    words = GENDERS[language]
    path = labelled_file(tmp_path / "x.sav", {"v3": coded(words)}, {"v3": "Sex"}, {"v3": dict(enumerate(words, 1))})
    gender = drafted(path)[0].trait("gender")
    assert (gender.variable, gender.level_names[:2], len(gender.levels)) == ("v3", ("male", "female"), len(words))
    assert [level.text for level in gender.levels][:2] == ["a man", "a woman"]
    assert ss.read_survey(path, path.with_suffix(".toml"), weight="none").data.gender.notna().all()


def test_a_missing_label_beside_the_genders_is_missing(tmp_path: Path) -> None:
    values = {-1.0: "Missing", 1.0: "Male", 2.0: "Female", 9.0: "No answer"}
    path = labelled_file(tmp_path / "x.sav", {"sex": [1.0, 2.0, -1.0, 9.0] * 15}, {"sex": "Sex of respondent"}, {"sex": values})
    gender = drafted(path)[0].trait("gender")
    assert gender.level_names == ("male", "female")
    assert gender.missing == {-1: "other", 9: "no_answer"}


@pytest.mark.parametrize(("name", "label"), SOMEBODY_ELSE)
def test_somebody_elses_gender_is_not_the_respondents_wherever_it_stands(name: str, label: str, tmp_path: Path) -> None:
    both = {1.0: "Male", 2.0: "Female"}
    columns = {name: coded(["", ""]), "v7": coded(["", ""])[::-1]}
    path = labelled_file(tmp_path / "x.sav", columns, {name: label, "v7": "Sex"}, {name: both, "v7": both})
    book, text = drafted(path)
    assert book.trait("gender").variable == "v7"
    assert f"# - {name}: the gender of somebody other than the respondent" in text
    alone, _ = drafted(labelled_file(tmp_path / "y.sav", {name: columns[name]}, {name: label}, {name: both}))
    assert "gender" not in alone.traits


def test_rivals_are_named(tmp_path: Path) -> None:
    both = {1.0: "Male", 2.0: "Female"}
    columns = {"d4": coded(["", ""]), "sex": coded(["", ""])}
    path = labelled_file(tmp_path / "x.sav", columns, {"d4": "Gender", "sex": "Respondent's sex"}, {"d4": both, "sex": both})
    book, text = drafted(path)
    assert book.trait("gender").variable == "sex"
    assert "# 'sex' was taken; 'd4' would do by name and labels too: check which is the respondent's" in text
    assert "# - d4: gender again; 'sex' was taken" in text


AGES = [
    ("age", "Age", {}),
    ("Q1", "Q1. Age", {}),
    ("Q1", "Q1 - Age in years", {}),
    ("age", "age of respondent", {89.0: "89 or older"}),
    ("Q1", "Age", {-1.0: "Missing"}),
    ("edad", "¿Qué edad tiene usted?", {}),
    ("v2", "Alter der befragten Person", {}),
    ("v2", "Âge du répondant", {}),
    ("v2", "Idade", {}),
    ("v2", "Età", {}),
    ("v2", "Leeftijd", {}),
    ("v2", "Wiek respondenta", {}),
    ("v2", "Возраст респондента", {}),
    ("v2", "Yaşınız", {}),
    ("v2", "العمر", {}),
    ("v2", "年龄", {}),
    ("v2", "年齢", {}),
    ("v2", "만 나이 / 연령", {}),
    ("v2", "Quantos anos você tem?", {}),
    ("v2", "Quanti anni ha?", {}),
    ("v2", "Ile ma Pan(i) lat?", {}),
    ("v2", "Kaç yaşındasınız?", {}),
    ("v2", "Hoe oud bent u?", {}),
    ("v2", "¿Cuántos años tiene?", {}),
    ("v2", "How old are you?", {98.0: "Don't know", 99.0: "Refused"}),
]
NO_AGES = [
    ("agefst", "Age when first child was born"),
    ("v4", "Age of partner"),
    ("v4", "Age of youngest child in household"),
    ("iagmr", "Ideal age to get married"),
    ("agelft", "Age when left school"),
    ("v4", "Edad del cónyuge"),
    ("v4", "Alter des Ehepartners"),
    ("v4", "Interviewer's age"),
    ("v4", "配偶年龄"),
    ("averages", "Percentage of damage"),
]


@pytest.mark.parametrize(("name", "label", "values"), AGES)
def test_age_is_found(name: str, label: str, values: dict[float, str], tmp_path: Path) -> None:
    ages = np.r_[np.arange(18.0, 18 + N - len(values)), list(values)]
    book, _ = drafted(labelled_file(tmp_path / "x.sav", {name: ages}, {name: label}, {name: values} if values else {}))
    assert book.trait("age").level_names == ("18-34", "35-54", "55+")


@pytest.mark.parametrize(("name", "label"), NO_AGES)
def test_another_age_is_not_the_respondents(name: str, label: str, tmp_path: Path) -> None:
    book, _ = drafted(labelled_file(tmp_path / "x.sav", {name: np.arange(18.0, 78)}, {name: label}))
    assert "age" not in book.traits


def test_codes_that_are_no_age_are_missing_and_said(tmp_path: Path) -> None:
    ages = np.r_[[-8.0] * 3, [999.0] * 2, [99.0] * 9, np.arange(16.0, 62)]
    path = labelled_file(tmp_path / "x.sav", {"age": ages}, {"age": "Age"})
    book, text = drafted(path)
    assert book.trait("age").level_names == ("16-34", "35-54", "55+")
    assert book.trait("age").missing == {-8: "other", 999: "other"}
    assert "# code -8 (3 respondents) is no age: missing here" in text
    assert "# code 999 (2 respondents) is no age: missing here" in text
    assert "# code 99 (9 respondents) may be a missing code rather than an age: check it" in text
    assert ss.read_survey(path, book, weight="none").data.age.isna().sum() == 5


def test_a_year_of_birth_is_offered_where_there_is_no_age(tmp_path: Path) -> None:
    _, text = drafted(labelled_file(tmp_path / "x.sav", {"yrbrn": np.arange(1930.0, 1990)}, {"yrbrn": "Year of birth"}))
    assert "# yrbrn is a year of birth: [traits.age] with subtract_from makes ages of it" in text
