"""A design file gives a survey the strata and PSUs that it would have had in its own file; what does not match is counted and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Codebook
from surveysim.errors import DesignError, SurveySimError
from tests.support.small_surveys import small_codebook, small_frame

FRAME = small_frame().assign(cntry=np.where(np.arange(400) < 300, "AT", "BE"), idno=np.arange(400) % 300 + 1.0)
DESIGN = pd.DataFrame({"CNTRY": FRAME["cntry"], "IDNO": FRAME["idno"], "psu": FRAME["cluster"], "stratify": FRAME["layer"], "prob": 0.01})


def _book(*, design: bool = False) -> Codebook:
    book = small_codebook(design=design)
    return replace(book, respondent_id=("cntry", "idno"), design=replace(book.design, nest="cntry" if design else ""))


SURVEY = ss.as_survey(FRAME, _book())
DECLARED = ss.as_survey(FRAME, _book(design=True))


def _means(survey: ss.Survey) -> pd.DataFrame:
    return ss.survey_mean(survey, questions="q1", by="gender")


@pytest.mark.parametrize("shuffled", [False, True])
def test_errors_are_those_of_a_survey_that_brings_its_design(shuffled: bool) -> None:
    added = ss.add_design(SURVEY, DESIGN.sample(frac=1, random_state=3) if shuffled else DESIGN)
    pd.testing.assert_frame_equal(_means(added), _means(DECLARED), rtol=1e-12)
    assert added.notes[-1] == "design added: 400 of 400 respondents have a row"
    assert (added.data["prob"] == 0.01).all()
    np.testing.assert_array_equal(added.data["weight"], SURVEY.data["weight"])


def test_a_file_a_country_is_one_of_all(tmp_path: Path) -> None:
    paths = []
    for country, rows in DESIGN.groupby("CNTRY"):
        paths.append(tmp_path / f"{country}.csv")
        rows.rename(columns={"stratify": "stratum"}).to_csv(paths[-1], index=False)
    pd.testing.assert_frame_equal(_means(ss.add_design(SURVEY, paths)), _means(DECLARED), rtol=1e-12)


def test_a_survey_with_an_added_design_is_written_and_read_back(tmp_path: Path) -> None:
    added = ss.add_design(SURVEY, DESIGN)
    pd.testing.assert_frame_equal(_means(ss.as_survey(added.data, _book())), _means(added))
    with pytest.raises(DesignError, match="survey has stratum, psu already"):
        ss.add_design(added, DESIGN)


def test_respondents_drawn_directly_are_psus_in_one_stratum_a_country() -> None:
    drawn = DESIGN.assign(psu=DESIGN["psu"].where(DESIGN["CNTRY"] == "AT"), stratify=DESIGN["stratify"].where(DESIGN["CNTRY"] == "AT"))
    added = ss.add_design(SURVEY, drawn)
    belgians = added.data[FRAME["cntry"] == "BE"]
    assert belgians["psu"].nunique() == 100
    assert belgians["stratum"].unique().tolist() == ["BE-all"]
    assert added.data["stratum"].nunique() == 5
    assert "100 respondents have no PSU in the design file: each is one" in added.notes


def test_ids_that_do_not_match_are_counted_and_named() -> None:
    other = DESIGN.assign(IDNO=DESIGN["IDNO"].where(np.arange(400) >= 2, DESIGN["IDNO"] + 1000))
    with pytest.raises(
        DesignError, match=r"2 of 400 respondents have no row in the file: AT-1, AT-2; 2 rows of the file are of nobody: AT-1001"
    ):
        ss.add_design(SURVEY, other)
    kept = ss.add_design(SURVEY, other, unmatched="alone")
    assert kept.data["stratum"][:2].tolist() == ["unmatched-all"] * 2
    assert kept.data["psu"][:2].nunique() == 2
    assert any(note.startswith("2 of 400 respondents have no row in the file: AT-1, AT-2") for note in kept.notes)
    assert "2 rows of the design file are of no respondent: AT-1001, AT-1002" in kept.notes


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (DESIGN.drop(columns="psu"), "file the frame lacks psu"),
        (DESIGN.assign(CNTRY="SE", IDNO=range(400)), "no id of the file is a respondent's: the file has SE-0, SE-1"),
        (pd.concat([DESIGN, DESIGN[:2]]), "2 ids stand twice or more: AT-1, AT-2"),
        ([DESIGN, DESIGN[:2]], "2 ids stand in two of the files: AT-1, AT-2"),
        (DESIGN.assign(prob=20.0), "400 values of prob are not in 0-1"),
    ],
)
def test_files_that_cannot_be_merged_say_so(file: object, said: str) -> None:
    with pytest.raises(SurveySimError) as caught:
        ss.add_design(SURVEY, file)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(DesignError, match="unmatched must be 'fail' or 'alone'"):
        ss.add_design(SURVEY, DESIGN, unmatched="drop")
    with pytest.raises(SurveySimError, match="survey must be a Survey"):
        ss.add_design(FRAME, DESIGN)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="names no respondent_id; say with ids="):
        ss.add_design(ss.as_survey(FRAME, small_codebook()), DESIGN)
    with pytest.raises(DesignError, match="survey has replicate weights"):
        ss.add_design(ss.as_replicates(SURVEY, method="bootstrap", n_replicates=20), DESIGN)


def test_a_real_file_gives_its_own_errors(shared_data: Path) -> None:
    path = shared_data / "ess9_norway" / "ESS9NO.sav"
    book = ss.load_codebook("ess9")
    declared = ss.read_survey(path, book, questions=["trstprl"])
    plain = ss.read_survey(path, replace(book, design=replace(book.design, stratum="", psu="")), questions=["trstprl"])
    added = ss.add_design(plain, path)
    one, other = (ss.response_distributions(survey, by="gender", lonely_psu="adjust") for survey in (declared, added))
    pd.testing.assert_frame_equal(one, other, rtol=1e-12)
