"""The survey that ships: it is the published one, with its labels, missing codes and weight."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from pypdf import PdfReader

import surveysim as ss
from surveysim.errors import ReadError
from surveysim.survey.examples import list_examples
from tests.support import build_nonvoters2020 as build


@pytest.fixture(scope="module")
def published(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "nonvoters2020" / "nonvoters_data.csv.gz")


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return ss.load_example("nonvoters2020")


def test_load_example_reads_all_respondents_and_questions(survey: ss.Survey) -> None:
    assert len(survey) == 5836
    assert len(survey.questions) == 87
    assert survey.weight_name == "weight"
    assert survey.traits == ("gender", "age3", "age6", "education", "race", "income", "voter")
    assert survey.data[list(survey.traits)].notna().all(axis=None)


def test_unknown_example_names_the_known() -> None:
    assert list_examples() == ["nonvoters2020"]
    with pytest.raises(ReadError, match=r"'nonvoters2021'.*'nonvoters2020'.*read_survey"):
        ss.load_example("nonvoters2021")


def test_shipped_file_is_what_the_script_makes_of_the_csv(published: pd.DataFrame, tmp_path: Path) -> None:
    build.write(published, tmp_path / "again.sav")
    again, again_meta = pyreadstat.read_sav(str(tmp_path / "again.sav"), user_missing=True)
    shipped, shipped_meta = pyreadstat.read_sav(str(build.SHIPPED), user_missing=True)
    pd.testing.assert_frame_equal(shipped, again)
    for what in ("column_names_to_labels", "variable_value_labels", "missing_ranges", "variable_measure", "file_label", "notes"):
        assert getattr(shipped_meta, what) == getattr(again_meta, what), what


def test_shipped_values_are_those_of_the_csv(published: pd.DataFrame) -> None:
    shipped, meta = pyreadstat.read_sav(str(build.SHIPPED), user_missing=True)
    assert list(shipped) == list(published)
    for column in published:
        values = shipped[column]
        if column in build.CATEGORIES:
            assert (values.map(meta.variable_value_labels[column]) == published[column]).all(), column
        elif column.startswith(("Q19_", "Q28_", "Q29_")):
            np.testing.assert_array_equal(values.replace(0, -1), published[column], err_msg=column)
        else:
            np.testing.assert_array_equal(values, published[column], err_msg=column)


def test_every_question_declares_its_missing_code_and_labels() -> None:
    _, meta = pyreadstat.read_sav(str(build.SHIPPED), user_missing=True)
    asked = build.questions()
    assert set(asked) == {name for name in meta.column_names if name.startswith("Q")}
    for name, question in asked.items():
        assert meta.missing_ranges[name] == [{"lo": -1.0, "hi": -1.0}], name
        assert meta.variable_value_labels[name] == {-1.0: "Refused", **{option.code: option.label for option in question.options}}, name
    cut = [name for name, question in asked.items() if meta.column_names_to_labels[name] != question.text]
    assert cut == ["Q21", "Q28_5", "Q29_3", "Q29_5", "Q29_7"]
    assert all(asked[name].text.endswith(meta.column_names_to_labels[name].removeprefix("... ")) for name in cut)
    assert len(set(meta.column_labels)) == len(meta.column_labels) - 1, "Q31 and Q32 alone share their wording"


@pytest.mark.parametrize(("family", "asked", "blank"), [("Q19", 5836, 114), ("Q28", 5302, 44), ("Q29", 1342, 67)])
def test_choose_all_that_apply_tells_not_chosen_from_left_blank(published: pd.DataFrame, family: str, asked: int, blank: int) -> None:
    shipped, _ = pyreadstat.read_sav(str(build.SHIPPED), user_missing=True)
    items = [column for column in shipped if column.startswith(f"{family}_")]
    answers = shipped[items].dropna()
    assert len(answers) == asked
    refused = answers.eq(-1)
    assert (refused.any(axis=1) == refused.all(axis=1)).all()
    assert int(refused.all(axis=1).sum()) == blank
    chose_none = published[items].notna().all(axis=1) & ~published[items].eq(1).any(axis=1)
    chose_some = published[items].eq(1).any(axis=1)
    assert published.Q16[chose_none].eq(-1).mean() > 5 * published.Q16[chose_some].eq(-1).mean()


@pytest.mark.parametrize("question_id", ["Q2_9", "Q8_8", "Q14", "Q19_3", "Q23"])
def test_weighted_shares_are_those_of_the_csv(survey: ss.Survey, published: pd.DataFrame, question_id: str) -> None:
    valid = survey.reasons[question_id].isna()
    weight = survey.data.weight[valid]
    shares = weight.groupby(survey.data[question_id][valid]).sum() / weight.sum()
    answers, blank = published[question_id], published[question_id].eq(-1)
    if question_id.startswith("Q19"):
        blank = published.filter(regex="^Q19_").eq(-1).all(axis=1)
        answers = answers.replace(-1, 0)
    expected = pd.crosstab(answers[~blank], "share", published.weight[~blank], aggfunc="sum", normalize=True)["share"]
    np.testing.assert_array_equal(shares.index, expected.index)
    np.testing.assert_allclose(shares, expected, rtol=1e-12)


def test_traits_are_recodes_of_the_csv(survey: ss.Survey, published: pd.DataFrame) -> None:
    assert (survey.data.gender.astype(str).str.title() == published.gender).all()
    age6 = pd.cut(published.ppage, [17, 24, 34, 44, 54, 64, 120], labels=["18-24", "25-34", "35-44", "45-54", "55-64", "65+"])
    assert (survey.data.age6.astype(str) == age6.astype(str)).all()
    age3 = pd.cut(published.ppage, [17, 34, 54, 120], labels=["18-34", "35-54", "55+"])
    assert (survey.data.age3.astype(str) == age3.astype(str)).all()
    assert pd.crosstab(survey.data.education, published.educ).gt(0).sum().eq(1).all()
    assert survey.data.groupby(["gender", "age6", "education"], observed=True).ngroups == 36


def test_wording_stands_in_the_published_codebook(shared_data: Path) -> None:
    pages = PdfReader(shared_data / "nonvoters2020" / "nonvoters_codebook.pdf").pages
    printed = _bare(" ".join(page.extract_text() for page in pages))
    own = {"Chosen", "Not chosen"}
    for name, question in build.questions().items():
        for label in set(question.labels) - own:
            assert _bare(label) in printed, (name, label)
        assert any(_bare(stem) in printed and _bare(item) in printed for stem, item in _cuts(question.text)), (name, question.text)


def _cuts(text: str) -> list[tuple[str, str]]:
    """Every way to cut a grid question into stem and item, and the text whole."""
    words = text.split()
    return [(" ".join(words[:cut]), " ".join(words[cut:])) for cut in range(1, len(words) + 1)]


def _bare(text: str) -> str:
    """Without white space and zero-width marks, which PDF text has at random."""
    return re.sub(r"[\s\u200b]", "", text)
