"""The codebooks of surveys that do not ship read the real files: codes, counts, weights and shares are as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from tests.support import build_anes2020_codebook as build


@pytest.fixture(scope="module")
def gss(shared_data: Path) -> ss.Survey:
    return ss.read_survey(shared_data / "gss2016" / "GSS.sav", "gss2016")


@pytest.fixture(scope="module")
def anes_file(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "anes2020" / "anes2020_rcpa3.csv.gz", low_memory=False)


@pytest.fixture(scope="module")
def anes(anes_file: pd.DataFrame) -> ss.Survey:
    return ss.as_survey(anes_file, "anes2020")


def share(survey: ss.Survey, question_id: str, *codes: object, weight: str = "weight") -> float:
    """Weighted share of some codes among valid answers, computed here and not by the package."""
    valid = survey.reasons[question_id].isna()
    weights = survey.data.loc[valid, weight]
    return float(weights[survey.data.loc[valid, question_id].isin(codes)].sum() / weights.sum())


# Unweighted counts of 2016 that the R package gssrdoc (github.com/kjhealy/gssrdoc) prints on each variable's page.
@pytest.mark.parametrize(("question_id", "counts"), [
    ("happy", {"Very happy": 806, "Pretty happy": 1601, "Not too happy": 452}),
    ("trust", {"Most people can be trusted": 623, "Can't be too careful": 1244, "Depends": 79}),
    ("cappun", {"Favor": 1629, "Oppose": 1066}),
    ("grass", {"Should be legal": 1126, "Should not be legal": 717}),
    ("abany", {"Yes": 837, "No": 973}),
    ("courts", {"Too harshly": 513, "About right": 460, "Not harshly enough": 1578}),
    ("conpress", {"A great deal": 159, "Only some": 815, "Hardly any": 963}),
    ("homosex", {"Always wrong": 700, "Almost always wrong": 65, "Wrong only sometimes": 101, "Not wrong at all": 940}),
])  # fmt: skip
def test_gss_options_have_the_published_counts(gss: ss.Survey, question_id: str, counts: dict[str, int]) -> None:
    options = gss.codebook.question(question_id).options
    found = gss.data[question_id].value_counts()
    assert {option.label: int(found[option.code]) for option in options} == counts


# A few points around what is commonly reported of the United States in 2016.
@pytest.mark.parametrize(("question_id", "code", "low", "high"), [
    ("happy", 1, 0.27, 0.33), ("trust", 1, 0.29, 0.34), ("cappun", 1, 0.58, 0.63), ("grass", 1, 0.58, 0.63), ("abany", 1, 0.43, 0.47),
])  # fmt: skip
def test_gss_weighted_shares_are_plausible(gss: ss.Survey, question_id: str, code: int, low: float, high: float) -> None:
    assert low < share(gss, question_id, code) < high


def test_gss_reads_every_respondent_with_design(gss: ss.Survey) -> None:
    assert len(gss) == 2867
    assert len(gss.questions) >= 25
    assert gss.weight_name == "wtssall"
    assert gss.data.groupby("stratum").psu.nunique().eq(2).all()
    assert gss.data.stratum.nunique() == 65
    assert {"wtss", "wtssnr"} <= set(gss.data)
    np.testing.assert_array_equal(gss.data.wtss, gss.data.weight)
    assert not np.allclose(gss.data.wtssnr, gss.data.weight)


def test_gss_traits_keep_code_zero(gss: ss.Survey) -> None:
    assert gss.data.party3.value_counts().to_dict() == {"Democrat": 1364, "Republican": 926, "Independent": 473}
    assert gss.data.education3.value_counts().to_dict() == {"high school": 1677, "college": 854, "no high school diploma": 328}
    assert gss.data.income.notna().sum() == 2596
    assert gss.data.region.notna().all()


def test_gss_labels_of_the_file_agree_with_the_codebook(shared_data: Path) -> None:
    _, meta = pyreadstat.read_sav(str(shared_data / "gss2016" / "GSS.sav"), metadataonly=True)
    codebook = ss.load_codebook("gss2016")
    for question in codebook.questions.values():
        labelled = meta.variable_value_labels[question.question_id]
        declared = {*question.codes, *codebook.missing_codes(question)}
        assert set(labelled) <= declared, question.question_id
        ends = {question.codes[0], question.codes[-1]}
        assert ends <= set(labelled), question.question_id


def test_anes_reads_every_respondent_without_a_recode(anes: ss.Survey, anes_file: pd.DataFrame) -> None:
    assert len(anes) == 8280
    ordered = [question for question in anes.codebook.questions.values() if question.type == "ordinal" and 3 <= len(question.options) <= 7]
    assert len(ordered) >= 120
    for question_id in anes.questions:
        assert anes.data[question_id].equals(anes_file[question_id]), question_id


def test_anes_post_questions_have_their_weight(anes: ss.Survey, shared_data: Path) -> None:
    released = pd.read_csv(shared_data / "anes2020" / "anes2020_rcpa3.codebook.csv").set_index("var").label
    for question in anes.codebook.questions.values():
        expected = "wt.post" if released[question.question_id].startswith("POST") else None
        assert question.weight == expected, question.question_id
        if expected:
            assert anes.data.loc[anes.reasons[question.question_id].isna(), "wt.post"].notna().all(), question.question_id
    assert int(anes.data["wt.post"].isna().sum()) == 827


def test_anes_with_the_post_weight_is_the_respondents_of_both_interviews(anes_file: pd.DataFrame) -> None:
    both = ss.as_survey(anes_file, "anes2020", weight="wt.post", questions=["tax.rich"], traits=["gender"])
    assert len(both) == 7453
    assert any("827" in note for note in both.notes)


@pytest.mark.parametrize(("question_id", "codes", "weight", "low", "high"), [
    ("approve.pres.job", ("1. Approve strongly", "2. Approve not strongly"), "weight", 0.38, 0.46),
    ("trust.dc", ("1. Always", "2. Most of the time"), "weight", 0.12, 0.20),
    ("gay.adopt", ("1. Yes",), "weight", 0.72, 0.85),
    ("tax.rich", ("1. Favor",), "wt.post", 0.60, 0.75),
    ("gun.buying", ("1. More difficult",), "wt.post", 0.45, 0.58),
])  # fmt: skip
def test_anes_shares_are_plausible(anes: ss.Survey, question_id: str, codes: tuple[str, ...], weight: str, low: float, high: float) -> None:
    assert low < share(anes, question_id, *codes, weight=weight) < high


def test_anes_other_is_missing_for_a_reason(anes: ss.Survey) -> None:
    other = anes.data["abortion.legal"].eq("5. Other {SPECIFY}")
    assert other.sum() > 0
    assert (anes.reasons.loc[other, "abortion.legal"] == "other").all()
    assert ss.load_codebook("anes2020").question("tax.rich").labels == ("Favor", "Neither favor nor oppose", "Oppose")


def test_anes_cells_are_as_many_as_documented(anes: ss.Survey) -> None:
    sizes = anes.data.groupby(["party3", "gender", "age3", "education3"], observed=True).size()
    assert len(sizes) == 54
    assert 120 < sizes.median() < 145


def test_anes_codebook_is_what_the_script_writes(shared_data: Path) -> None:
    written = build.build(shared_data / "anes2020" / "anes2020_rcpa3.codebook.csv")
    assert build.SHIPPED.read_text(encoding="utf-8") == written
