"""`draft_codebook` with a study's DDI file: wording, labels and weights come from it, and a DDI file of another study is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.errors import CodebookError, ReadError
from tests.support.ddi_layouts import LAYOUTS, OPTIONS, WORDING, study_data, study_file


def data_file(folder: Path, ending: str, frame: pd.DataFrame | None = None) -> Path:
    path = folder / f"study{ending}"
    frame = study_data() if frame is None else frame
    if ending == ".csv":
        frame.to_csv(path, index=False)
    elif ending == ".sav":
        labels = {"trust": {0.0: "No trust at all", 10.0: "Complete"}, "gndr": {1.0: "Male", 2.0: "Female"}}
        pyreadstat.write_sav(frame.astype(float), str(path), variable_value_labels={n: of for n, of in labels.items() if n in frame})
    return path


@pytest.mark.parametrize("ending", [".csv", ".sav"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_draft_has_the_wording_labels_missing_codes_and_weight_of_each_archives_layout(layout: str, ending: str, tmp_path: Path) -> None:
    data = data_file(tmp_path, ending)
    book = ss.load_codebook(ss.draft_codebook(data, tmp_path / "mine.toml", ddi=study_file(tmp_path, layout)))
    assert {name: book.question(name).text for name in WORDING} == WORDING
    assert book.question("trust").codes == tuple(range(11))
    assert book.question("trust").labels[10] == "Complete trust", "the longer label of two that begin alike"
    assert book.question("trust").missing == {77: "refused", 88: "dont_know"}
    assert dict(zip(book.question("vote").codes, book.question("vote").labels, strict=True)) == OPTIONS
    assert book.question("vote").universe == "Those who voted"
    assert book.question("vote").source == f"question text of {layout.lower()}.xml"
    assert (book.weights[0].variable, book.title, book.year) == ("pspwght", "Made-up Social Survey, round 1", "2023")
    assert list(book.traits) == ["gender", "age"]
    survey = ss.read_survey(data, book)
    raw = study_data()
    assert survey.reasons.trust.isna().tolist() == (raw.trust <= 10).tolist()
    assert (survey.reasons.vote == "not_applicable").tolist() == (raw.vote == 66).tolist()
    assert survey.data.weight.tolist() == raw.pspwght.tolist()


def test_without_a_ddi_file_a_file_without_labels_says_what_would_help(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"study\.csv carries no labels.*or give the study's DDI file, ddi="):
        ss.draft_codebook(data_file(tmp_path, ".csv"), tmp_path / "mine.toml")


def test_a_ddi_file_of_another_study_is_refused_with_the_number_that_matches(tmp_path: Path) -> None:
    other = study_data().rename(columns={"trust": "q1", "vote": "q2", "gndr": "q3"})
    with pytest.raises(CodebookError, match=r"2 of the 5 variables of study\.csv are among the 6 of ess\.xml: ess\.xml is of another file"):
        ss.draft_codebook(data_file(tmp_path, ".csv", other), tmp_path / "mine.toml", ddi=study_file(tmp_path, "ESS"))
    assert not (tmp_path / "mine.toml").exists()


def test_names_that_match_with_other_labels_are_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "study.sav"
    labels = {"trust": {0.0: "Never", 10.0: "Daily"}, "vote": {1.0: "Rarely", 2.0: "Often"}, "gndr": {1.0: "Town", 2.0: "Country"}}
    pyreadstat.write_sav(study_data().astype(float), str(path), variable_value_labels=labels)
    with pytest.raises(CodebookError, match=r"and 0 of 3 that both label have a label in common: ess\.xml is of another file"):
        ss.draft_codebook(path, tmp_path / "mine.toml", ddi=study_file(tmp_path, "ESS"))


def test_an_extract_is_taken_and_what_is_not_described_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = data_file(tmp_path, ".csv", study_data()[["pspwght", "trust", "gndr"]])
    with caplog.at_level(logging.WARNING):
        ss.draft_codebook(some, tmp_path / "extract.toml", ddi=study_file(tmp_path, "ESS"))
    assert caplog.text == "", "all that the file holds is described"
    more = study_data().assign(extra=1.0)
    with caplog.at_level(logging.WARNING):
        draft = ss.draft_codebook(data_file(tmp_path, ".csv", more), tmp_path / "more.toml", ddi=study_file(tmp_path, "ESS"))
    said = "5 of the 6 variables of study.csv are among the 6 of ess.xml; check extra"
    assert said in caplog.text
    assert said in draft.read_text(encoding="utf-8")


def test_the_command_line_takes_a_ddi_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from surveysim.cli import main

    data, target = data_file(tmp_path, ".csv"), tmp_path / "mine.toml"
    assert main(["describe", str(data), "--draft", str(target), "--ddi", str(study_file(tmp_path, "GESIS"))]) == 0
    assert "finish it by hand" in capsys.readouterr().out
    assert ss.load_codebook(target).question("trust").text == WORDING["trust"]


@pytest.fixture
def labelled_alone(tmp_path: Path) -> Path:
    """A file that labels trust and nothing else."""
    labels = {float(code): f"{code} of 10" for code in range(11)} | {77.0: "Refusal", 88.0: "Don't know"}
    pyreadstat.write_sav(study_data().astype(float), str(tmp_path / "study.sav"), variable_value_labels={"trust": labels})
    ss.draft_codebook(tmp_path / "study.sav", tmp_path / "mine.toml")
    return tmp_path / "study.sav"


def test_a_question_is_added_with_its_wording(labelled_alone: Path, tmp_path: Path) -> None:
    book, ddi = ss.load_codebook(tmp_path / "mine.toml"), study_file(tmp_path, "ESS")
    assert "vote" not in book.questions, "the file has no labels of it"
    vote = ss.add_question(book, labelled_alone, "vote", ddi=ddi).question("vote")
    assert (vote.text, dict(zip(vote.codes, vote.labels, strict=True)), vote.universe) == (WORDING["vote"], OPTIONS, "Those who voted")
    other = data_file(tmp_path, ".sav", study_data().rename(columns={"vote": "elected"}))
    with pytest.raises(CodebookError, match=r"0 of the 1 variables of study\.sav are among the 6 of ess\.xml"):
        ss.add_question(book, other, "elected", ddi=ddi)


def test_the_command_line_adds_with_a_ddi_file(labelled_alone: Path, tmp_path: Path) -> None:
    from surveysim.cli import main

    target, ddi = tmp_path / "mine.toml", str(study_file(tmp_path, "ESS"))
    assert main(["describe", str(labelled_alone), "--codebook", str(target), "--add", "vote", "--ddi", ddi]) == 0
    assert ss.load_codebook(target).question("vote").text == WORDING["vote"]
