"""Frames that hold labels where the codebook has codes: told apart, turned into codes, and refused where they are ambiguous."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait
from surveysim.errors import CodebookError
from surveysim.files.rawfile import Variable
from surveysim.survey.labels import coded, nearest_label, question_words, trait_words
from tests.support import synthetic
from tests.support.synthetic import TRUST, trust_codebook, trust_frame

BOOK = trust_codebook(missing={7: "refused", 8: "dont_know"})
QUESTION = Question("trust", "Q?", TRUST, missing={7: "refused"}, translations={"de": {"text": "F?", "options": ["Nein", "Etwas", "Ja"]}})
WORDS = question_words(QUESTION, QUESTION.missing)


def codes_of(values: list[object], words: object = WORDS, variable: Variable | None = None) -> list[object]:
    return list(np.asarray(coded(np.array(values, dtype=object), words, variable or Variable()).values))  # type: ignore[arg-type]


@pytest.mark.parametrize(("label", "code"), [
    ("Some trust", 1), ("some TRUST ", 1), ("1. Some trust", 1), ("[1] Some trust", 1), ("(1) some trust", 1), ("Etwas", 1),
    ("Refused", 7), ("1", "1"), ("1.0", "1.0"), (1, 1), (".a", ".a"),
])  # fmt: skip
def test_a_label_becomes_its_code_and_a_code_stays(label: object, code: object) -> None:
    assert codes_of([label, label]) == [code, code]


def test_a_column_may_mix_codes_and_labels() -> None:
    values = pd.Categorical(["No trust at all", 1.0, "Complete trust", 7.0, "Don't know", 1.0])
    survey = ss.as_survey(trust_frame().assign(trust=values), BOOK)
    assert [None if pd.isna(one) else one for one in survey.reasons.trust] == synthetic.REASONS
    assert survey.data.trust.tolist() == [0, 1, 2, 7, 8, 1]


def test_labels_that_only_the_frame_knows_become_its_codes() -> None:
    age = Trait("age", "years", (Level("young", "young", range=(15, 39)), Level("old", "old", range=(40, 99))), missing={999: "no_answer"})
    variable = Variable(value_labels={95: "95 or older", 999: "Not stated", 15: "fifteen"})
    found = coded(pd.Categorical(["95 or older", 33.0, "44", "Not stated", "fifteen"]), trait_words(age), variable)
    assert list(found.values) == [95, 33.0, "44", 999, 15]
    assert found.by_label


def test_frames_read_by_pandas_keep_answers_and_reasons(tmp_path: Path) -> None:
    path = synthetic.write_sav(tmp_path / "x.sav")
    expected = ss.read_survey(path, trust_codebook())
    labels = pd.read_spss(path)
    assert labels.trust.dtype == "category"
    survey = ss.as_survey(labels, trust_codebook())
    assert survey.data.trust[survey.reasons.trust.isna()].tolist() == [0, 1, 2, 1]
    assert survey.data.sex.equals(expected.data.sex)
    ss.write_survey(expected, tmp_path / "x.dta")
    again = ss.as_survey(pd.read_stata(tmp_path / "x.dta"), BOOK)
    assert again.data.trust[again.reasons.trust.isna()].tolist() == [0, 1, 2, 1]


def test_a_file_of_labels_is_read_like_a_frame_of_them(tmp_path: Path) -> None:
    words = {0: "No trust at all", 1: "Some trust", 2: "Complete trust", 7: "Refusal", 8: "Don’t know"}
    frame = trust_frame().assign(trust=[words[code] for code in synthetic.ANSWERS], gndr=["Male", "Female"] * 3)
    frame.to_csv(tmp_path / "x.csv", index=False)
    survey = ss.read_survey(tmp_path / "x.csv", trust_codebook())
    assert [None if pd.isna(one) else one for one in survey.reasons.trust] == synthetic.REASONS
    assert survey.data.sex.tolist() == ["male", "female"] * 3
    for suffix in (".sav", ".dta"):  # a label without a code of its own is written as a missing code
        back = ss.read_survey(ss.write_survey(survey, tmp_path / f"x{suffix}"), trust_codebook())
        assert back.reasons.equals(survey.reasons), suffix


@pytest.mark.parametrize("dtype", ["object", "string", "category", pd.ArrowDtype(__import__("pyarrow").string())], ids=str)
def test_labels_of_every_dtype(dtype: object) -> None:
    labels = pd.Series(["No trust at all", None, "Complete trust", "Some trust", "Refused", "Some trust"]).astype(dtype)  # type: ignore[call-overload]
    survey = ss.as_survey(trust_frame().assign(trust=labels), BOOK)
    assert [None if pd.isna(one) else one for one in survey.reasons.trust] == [None, "other", None, None, "refused", None]


def test_an_unknown_label_names_its_nearest() -> None:
    frame = trust_frame().assign(trust=["Some trust", "Sme trust", "Sme trust", "No trust at all", None, None])
    said = r"question 'trust': 'Sme trust' \(2 respondents; did you mean 'Some trust'.* is neither a code nor a label of trust\.toml; mend"
    with pytest.raises(CodebookError, match=said):
        ss.as_survey(frame, BOOK)
    with pytest.raises(CodebookError, match=r"trait 'sex' .*'femal' \(3 respondents; did you mean 'female'"):
        ss.as_survey(trust_frame().assign(gndr=["male", "femal"] * 3), BOOK)
    assert nearest_label("77", ["a"]) == nearest_label(".a", ["a"]) == nearest_label(3, ["a"]) == ""


SHIFTED = question_words(Question("n", "How many?", (Option(1, "0"), Option(2, "1"), Option(3, "2"))), {})


@pytest.mark.parametrize(("values", "codes"), [(["0", "1", "2"], [1, 2, 3]), (["1", "2", "3"], ["1", "2", "3"]), ([1, 2], [1, 2])])
def test_labels_that_look_like_codes_are_told_by_the_rest_of_the_column(values: list[object], codes: list[object]) -> None:
    assert codes_of(values, SHIFTED) == codes


@pytest.mark.parametrize("values", [["1", "2"], ["0", "1", "3"]])
def test_labels_that_might_be_codes_are_refused(values: list[object]) -> None:
    with pytest.raises(CodebookError, match=r"question 'n': '1'.* are codes and labels of other codes.*give the codes as numbers"):
        codes_of(values, SHIFTED)


def test_a_label_of_several_codes_is_refused() -> None:
    with pytest.raises(CodebookError, match=r"label 'Ten' stands for several codes: 10 'Ten', 11 'Ten'; give codes"):
        codes_of(["Ten"], WORDS, Variable(value_labels={10: "Ten", 11: "Ten"}))


def test_a_text_code_that_reads_like_a_reason_is_no_reason() -> None:
    home = Trait("home", "cntry", (Level("Norway", "in Norway", ("NO",)), Level("Sweden", "in Sweden", ("SE",))))
    assert codes_of(["NO", "Sweden", "DK"], trait_words(home)) == ["NO", "SE", "DK"]


@pytest.mark.parametrize("write", ["csv", "parquet"])
def test_the_data_of_a_survey_go_through_a_file(write: str, tmp_path: Path) -> None:
    survey = ss.load_example("nonvoters2020")
    path = tmp_path / f"data.{write}"
    getattr(survey.data, f"to_{write}")(path, index=False)
    back = ss.as_survey(getattr(pd, f"read_{write}")(path), "nonvoters2020")
    assert back.reasons.equals(survey.reasons)
    assert back.trait_reasons.equals(survey.trait_reasons)
    pd.testing.assert_frame_equal(back.data, survey.data, check_dtype=False)


def test_only_what_a_call_uses_must_be_there() -> None:
    survey = ss.load_example("nonvoters2020")
    frame = survey.data[["Q8_8", "gender", "weight"]]
    shares = ss.simulate(frame, ["gender"], codebook="nonvoters2020", questions="Q8_8", method="raw")
    expected = ss.simulate(survey, ["gender"], questions="Q8_8", method="raw")
    pd.testing.assert_frame_equal(shares, expected)
    small = ss.as_survey(frame, "nonvoters2020", questions="Q8_8", traits="gender")
    assert any("respondents are numbered from 0" in note for note in small.notes)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*TRUST, None]), min_size=1, max_size=20), st.data())
def test_any_mix_of_codes_and_labels_is_one_column(answers: list[Option | None], data: st.DataObject) -> None:
    spelled = [
        None
        if option is None
        else data.draw(st.sampled_from([option.code, float(option.code), str(option.code), option.label, option.label.upper()]))
        for option in answers
    ]
    frame = pd.DataFrame({"trust": pd.Series(spelled, dtype=object)})
    survey = ss.as_survey(frame, ss.Codebook("b", "B", {}, {"trust": QUESTION}), weight="none")
    given_codes = [float("nan") if option is None else float(option.code) for option in answers]
    np.testing.assert_array_equal(survey.data.trust.astype(float), given_codes)
