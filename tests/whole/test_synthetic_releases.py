"""Releases that cannot be had for the tests (WVS 7, CGSS, CFPS), made up in their layout: what was planted is read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyreadstat
import pytest

import surveysim as ss
from surveysim.errors import CodebookError
from tests.support.synthetic_releases import FILE_LABEL, Release, make_release, planted_reasons, write_spss, write_stata

Writer = Callable[[Release, Path], Path]

# Name of the release, as its codebook lists it -> how that file is written.
WRITERS: dict[str, Writer] = {
    "WVS_Cross-National_Wave_7_spss_v6_0.sav": lambda release, path: write_spss(release, path, latin1=True),
    "WVS_Cross-National_Wave_7_stata_v6_0.dta": write_stata,
    "cgss2017.dta": lambda release, path: write_stata(release, path, encoding="gb18030"),
    "cgss2017.sav": write_spss,
    "CGSS2018.dta": write_stata,
    "CGSS2021.dta": lambda release, path: write_stata(release, path, encoding="gb18030"),
    "CGSS2021.sav": write_spss,
    "cfps2018person_202012.dta": write_stata,
    "cfps2020person_202306.dta": write_stata,
    "cfps2022person_202410.dta": lambda release, path: write_stata(release, path, encoding="gb18030"),
}


def release_of(file: str) -> Release:
    name = next(name for name in ss.list_codebooks() if file in ss.load_codebook(name).files)
    cfps = name.startswith("cfps")
    return make_release(name, people=1200, without_weight=150 if cfps else 0, under_age=90 if cfps else 0)


@pytest.fixture(scope="module", params=sorted(WRITERS))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Path]:
    release = release_of(request.param)
    return release, WRITERS[request.param](release, tmp_path_factory.mktemp("release") / request.param)


@pytest.fixture(scope="module")
def read(written: tuple[Release, Path]) -> tuple[Release, ss.Survey]:
    """The codebook is found by the name of the file."""
    release, path = written
    return release, ss.read_survey(path)


def test_file_says_that_it_is_made_up(written: tuple[Release, Path]) -> None:
    _, path = written
    reader = pyreadstat.read_sav if path.suffix == ".sav" else pyreadstat.read_dta
    _, metadata = reader(str(path), metadataonly=True, encoding="latin1")
    assert metadata.file_label == FILE_LABEL


def test_every_respondent_with_a_weight_is_read(read: tuple[Release, ss.Survey]) -> None:
    release, survey = read
    assert survey.codebook == release.codebook
    assert len(survey) == 1200
    assert survey.data["weight"].to_numpy().tolist() == release.weight[release.weighted].to_list()
    assert set(survey.questions) == set(release.codebook.questions)
    assert set(survey.traits) == set(release.codebook.traits)


def test_answers_are_the_planted_ones(read: tuple[Release, ss.Survey]) -> None:
    release, survey = read
    for name, planted in release.counts.items():
        codes = release.codebook.question(name).codes
        answers = survey.data.loc[survey.reasons[name].isna(), name]
        assert {code: int((answers == code).sum()) for code in codes} == {code: planted[code] for code in codes}, name
        assert len(answers) == sum(planted[code] for code in codes), name


def test_reasons_for_no_answer_are_the_planted_ones(read: tuple[Release, ss.Survey]) -> None:
    release, survey = read
    for name in release.counts:
        found = survey.reasons[name].dropna().astype(str).value_counts().to_dict()
        assert found == planted_reasons(release, name), name


def test_levels_of_traits_are_the_planted_ones(read: tuple[Release, ss.Survey]) -> None:
    release, survey = read
    for name in release.levels:
        planted = release.levels.loc[release.weighted, name].to_list()
        levels = survey.data[name].astype(object).to_list()
        assert [None if level != level else level for level in levels] == planted, name


def test_shares_are_the_planted_ones_in_every_background(read: tuple[Release, ss.Survey]) -> None:
    release, survey = read
    frame, levels = release.frame[release.weighted].reset_index(drop=True), release.levels[release.weighted].reset_index(drop=True)
    weight = release.weight[release.weighted].to_numpy()
    names = [*release.codebook.questions][:3]
    table = ss.response_distributions(survey, by=["gender"], questions=names, lonely_psu="adjust")
    for row in table.itertuples():
        codes = release.codebook.question(row.question_id).codes
        member = levels["gender"].eq(str(row.background_id).removeprefix("gender=")).to_numpy()
        answers = frame[row.question_id].to_numpy()
        share = weight[member & (answers == row.option_code)].sum() / weight[member & np.isin(answers, codes)].sum()
        assert row.share == pytest.approx(share, rel=1e-14)


def test_design_is_read(read: tuple[Release, ss.Survey]) -> None:
    release, survey = read
    declared = release.codebook.design
    assert ("stratum" in survey.data, "psu" in survey.data) == (bool(declared.stratum), bool(declared.psu))
    if declared.psu:
        assert survey.data.groupby("stratum")["psu"].nunique().to_list() == [4] * 6


@pytest.mark.parametrize("file", ["cgss2017.dta", "CGSS2021.dta"])
def test_gb18030_labels_are_read_as_chinese(file: str, tmp_path: Path) -> None:
    path = WRITERS[file](release_of(file), tmp_path / file)
    assert "不知道".encode() not in path.read_bytes()
    survey = ss.read_survey(path)
    assert [note for note in survey.notes if "gb18030" in note]


def test_latin1_labels_are_read(tmp_path: Path) -> None:
    file = "WVS_Cross-National_Wave_7_spss_v6_0.sav"
    path = WRITERS[file](release_of(file), tmp_path / file)
    assert b"Don\xb4t know" in path.read_bytes()
    _, metadata = pyreadstat.read_sav(str(path), user_missing=True)
    assert metadata.variable_value_labels["Q57"][-1] == "Don\u00b4t know"


@pytest.mark.parametrize(("name", "case"), [("cgss2021", str.lower), ("cgss2017", str.upper), ("cfps2018", str.upper)])
def test_case_of_names_does_not_matter(name: str, case: Callable[[str], str], tmp_path: Path) -> None:
    release = make_release(name)
    path = write_stata(release, tmp_path / "release.dta")
    frame, metadata = pyreadstat.read_dta(str(path))
    labels = {case(variable): of_code for variable, of_code in metadata.variable_value_labels.items()}
    pyreadstat.write_dta(frame.rename(columns=case), str(path), variable_value_labels=labels)
    survey = ss.read_survey(path, name)
    question = next(iter(release.counts))
    valid = survey.reasons[question].isna()
    assert int(valid.sum()) == sum(release.counts[question][code] for code in release.codebook.question(question).codes)


def test_inverted_scales_are_refused(tmp_path: Path) -> None:
    release = make_release("wvs7")
    path = write_spss(release, tmp_path / "WVS_inverted.sav")
    frame, metadata = pyreadstat.read_sav(str(path), user_missing=True)
    labels = dict(metadata.variable_value_labels)
    labels["Q66"] = {**labels["Q66"], 1: "None at all", 2: "Not very much", 3: "Quite a lot", 4: "A great deal"}
    pyreadstat.write_sav(frame, str(path), variable_value_labels=labels)
    with pytest.raises(CodebookError, match="question 'Q66': the scale is inverted"):
        ss.read_survey(path, "wvs7")


def test_country_that_was_not_asked_has_no_distribution(tmp_path: Path) -> None:
    release = make_release("wvs7", people=1200)
    release.frame.loc[release.levels["country"] == "Kenya", "Q121"] = -4
    survey = ss.read_survey(write_spss(release, tmp_path / "WVS.sav"), "wvs7")
    table = ss.response_distributions(survey, by=["country"], questions=["Q121"]).set_index("background_id")
    assert table.loc["country=Kenya", "n"].eq(0).all()
    assert table.loc["country=Kenya", "share"].isna().all()
    assert table.loc["country=Peru", "n"].gt(0).all()


def test_persons_without_weight_and_under_16_are_told(tmp_path: Path) -> None:
    release = release_of("cfps2018person_202012.dta")
    survey = ss.read_survey(write_stata(release, tmp_path / "cfps2018person_202012.dta"))
    assert [note for note in survey.notes if note.startswith("150 of 1,350 respondents have no weight 'rswt_natcs18n'")]
    assert [note for note in survey.notes if "age3" in note and "90 respondents lie outside every range" in note]


def test_language_of_the_codebook_does_not_change_what_is_read(tmp_path: Path) -> None:
    release = make_release("cgss2018")
    path = write_stata(release, tmp_path / "CGSS2018.dta")
    english, chinese = (ss.read_survey(path, release.codebook.in_language(language)) for language in ("en", "zh"))
    assert english.data.equals(chinese.data)
    assert english.reasons.equals(chinese.reasons)
