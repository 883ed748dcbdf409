"""The readers on real releases: the same respondents as SPSS and Stata, undeclared missing codes, extracts without labels."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.errors import CodebookError, DesignError
from surveysim.files.readers import read_columns

# Counts of trstprl 0..10 in both files of ESS 9 Norway, from the data's own README.
TRSTPRL = [20, 11, 35, 54, 70, 157, 188, 284, 311, 155, 115]


@pytest.fixture(scope="module")
def norway(shared_data: Path) -> dict[str, ss.Survey]:
    return {suffix: ss.read_survey(shared_data / "ess9_norway" / f"ESS9NO.{suffix}", "ess9") for suffix in ("sav", "dta")}


def test_spss_and_stata_give_the_same_shares_for_every_question(norway: dict[str, ss.Survey]) -> None:
    sav, dta = norway["sav"], norway["dta"]
    assert sav.questions == dta.questions == tuple(ss.load_codebook("ess9").questions)
    assert len(sav) == len(dta) == 1406
    for by in ([], ["gender", "age3"]):
        left, right = (ss.response_distributions(survey, by=by, lonely_psu="adjust") for survey in (sav, dta))
        keys = ["question_id", "background_id", "option_code"]
        pd.testing.assert_frame_equal(left[keys], right[keys])
        np.testing.assert_array_equal(left["n"], right["n"])
        np.testing.assert_allclose(left["share"], right["share"], rtol=0, atol=1e-9)


# What edition 3 (.dta) has and edition 2 (.sav) has not: names of countries that joined later, and `domain`.
ADDED_IN_EDITION_3 = {
    *("domain", "edlvddk", "edlvdis", "edlvfddk", "edlvfdis", "edlvmddk", "edlvmdis", "edlvpddk", "edlvpdis"),
    *("prtclcis", "prtclddk", "prtvtcis", "prtvtddk", "rlgdeais", "rlgdnais"),
}


def test_spss_and_stata_give_the_same_shares_for_every_labelled_variable_that_both_hold(shared_data: Path, tmp_path: Path) -> None:
    paths = {suffix: shared_data / "ess9_norway" / f"ESS9NO.{suffix}" for suffix in ("sav", "dta")}
    columns = {suffix: set(read_columns(path).frame.columns) for suffix, path in paths.items()}
    assert columns["dta"] - columns["sav"] == ADDED_IN_EDITION_3
    assert columns["sav"] <= columns["dta"]
    books = {suffix: ss.load_codebook(ss.draft_codebook(path, tmp_path / f"{suffix}.toml")) for suffix, path in paths.items()}
    both = [name for name in books["sav"].questions if name in books["dta"].questions]
    assert set(books["sav"].questions) == set(both)
    assert set(books["dta"].questions) - set(both) == {"prtclddk", "prtvtddk", "rlgdeais", "rlgdnais"}
    assert len(both) == 301
    surveys = [ss.read_survey(path, books[suffix], weight="pspwght", questions=both) for suffix, path in paths.items()]
    left, right = map(ss.response_distributions, surveys)
    exact = ["question_id", "background_id", "option_code", "n"]
    pd.testing.assert_frame_equal(left[exact], right[exact])
    np.testing.assert_allclose(left["share"], right["share"], rtol=0, atol=1e-9)
    unasked = left.loc[left["n"] == 0, "question_id"].nunique()
    assert unasked == 79, "asked in other countries only: kept, with n = 0 and no share"


def test_spss_and_stata_give_the_same_reasons_for_every_respondent(norway: dict[str, ss.Survey]) -> None:
    sav, dta = norway["sav"], norway["dta"]
    order = np.argsort(sav.data.respondent_id.to_numpy()), np.argsort(dta.data.respondent_id.to_numpy())
    left, right = (survey.take(place) for survey, place in zip((sav, dta), order, strict=True))
    assert left.data.respondent_id.tolist() == right.data.respondent_id.tolist()
    pd.testing.assert_frame_equal(left.reasons, right.reasons)
    pd.testing.assert_frame_equal(left.data[list(left.traits)], right.data[list(right.traits)])


@pytest.mark.parametrize("suffix", ["sav", "dta"])
def test_trust_in_parliament_has_the_documented_counts(norway: dict[str, ss.Survey], suffix: str) -> None:
    survey = norway[suffix]
    valid = survey.data.trstprl[survey.reasons.trstprl.isna()].astype(int)
    assert valid.value_counts().sort_index().tolist() == TRSTPRL
    table = ss.na_table(survey).set_index("question_id").loc["trstprl"]
    assert table[["valid", "refused", "dont_know", "n"]].tolist() == [sum(TRSTPRL), 1, 5, 1406]
    kept = survey.data.trstprl[~survey.reasons.trstprl.isna()].value_counts().to_dict()
    assert kept == ({88.0: 5, 77.0: 1} if suffix == "sav" else {".c": 5, ".b": 1})


def test_the_stata_file_is_utf8_in_a_format_that_implies_windows_1252(shared_data: Path) -> None:
    raw = read_columns(shared_data / "ess9_norway" / "ESS9NO.dta")
    assert any("read as utf-8" in note for note in raw.notes)
    labels = [variable.label for variable in raw.variables.values()]
    assert "Highest level of education, Germany: höchster Studienabschluss" in labels
    with pytest.raises(pyreadstat.ReadstatError, match="invalid byte sequence"):
        pyreadstat.read_dta(str(shared_data / "ess9_norway" / "ESS9NO.dta"))


def test_ess_declares_codes_and_ranges_and_text_codes(shared_data: Path) -> None:
    raw = read_columns(shared_data / "ess9_norway" / "ESS9NO.sav")
    ranges = [variable.missing for variable in raw.variables.values()]
    assert ((66.0, 99.0),) in ranges
    assert raw.variables["trstprl"].declares_missing(77.0)
    assert not raw.variables["trstprl"].declares_missing(7.0)
    assert raw.variables["ctzshipd"].declares_missing("6666")
    assert not raw.frame.trstprl.isna().any(), "declared missing codes stay codes"


def test_another_round_is_refused_by_its_own_number(shared_data: Path) -> None:
    with pytest.raises(CodebookError, match=r"ESS9NO\.sav is of another wave: essround is 9, and ess11\.toml is for essround 11"):
        ss.read_survey(shared_data / "ess9_norway" / "ESS9NO.sav", "ess11", questions=["trstprl"], traits=["gender"])


def test_a_selection_reads_those_columns_alone(shared_data: Path) -> None:
    survey = ss.read_survey(shared_data / "ess9_norway" / "ESS9NO.sav", questions=["trstprl", "happy"], traits=["gender"])
    assert (survey.codebook.name, survey.questions, survey.traits) == ("ess9", ("trstprl", "happy"), ("gender",))
    assert {"stratum", "psu", "weight"} <= set(survey.data)


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
def test_ess9_norway_goes_to_spss_and_stata_and_back(norway: dict[str, ss.Survey], suffix: str, tmp_path: Path) -> None:
    for survey in norway.values():
        again = ss.read_survey(ss.write_survey(survey, tmp_path / f"x{suffix}"), "ess9", weight="weight")
        pd.testing.assert_frame_equal(again.reasons, survey.reasons)
        pd.testing.assert_frame_equal(again.data[list(survey.traits)], survey.data[list(survey.traits)])


def test_gss_cells_that_are_empty_already_are_told(shared_data: Path) -> None:
    survey = ss.read_survey(shared_data / "gss2016" / "GSS.sav")
    assert survey.codebook.name == "gss2016"
    table = ss.na_table(survey).set_index("question_id")
    assert table.loc["abany", ["valid", "n"]].tolist() == [1810, 2867]
    assert (table["n"] == 2867).all()
    empty = table.loc["abany", survey.codebook.system_missing]
    assert empty == 2867 - 1810, "labels list IAP, DK and NA, but the release left these cells empty"


def ess11_codebook() -> ss.Codebook:
    """Return what the extract holds of ESS 11: five trust items, age, sex and country; it holds no weight."""
    book = ss.load_codebook("ess11")
    items = ("trstprl", "trstlgl", "trstplc", "trstplt", "trstprt")
    parts = {name: getattr(book, name) for name in ("missing", "respondent_id", "system_missing", "title")}
    traits = {name: book.traits[name] for name in ("gender", "age3", "country")}
    return ss.Codebook("ess11_extract", questions={name: book.questions[name] for name in items}, traits=traits, **parts)


def test_ess11_extract_is_read_without_weights_only_when_told_so(shared_data: Path) -> None:
    path = shared_data / "ess11_extract" / "ESS11.csv.gz"
    with pytest.raises(DesignError, match=r"declares no weight.*weight='none'"):
        ss.read_survey(path, ess11_codebook())
    survey = ss.read_survey(path, ess11_codebook(), weight="none")
    assert len(survey) == 46162
    assert survey.weight_name == "none"
    assert any("every respondent counts 1" in note for note in survey.notes)
    raw = read_columns(path).frame
    valid = raw.trstprl.between(0, 10)
    assert ss.na_table(survey).set_index("question_id").loc["trstprl", "valid"] == valid.sum() == 46162 - raw.trstprl.isna().sum()
    assert survey.data.age3.isna().sum() == (~raw.agea.between(15, 998)).sum()
    assert survey.data.country.notna().all()


def test_ess11_extract_is_the_same_with_every_quote_taken_out(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "ess11_extract" / "ESS11.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    (tmp_path / "stripped.csv").write_text(text.replace('"', ""), encoding="utf-8")
    (tmp_path / "lines.csv").write_text("\n".join(f'"{line}"' for line in text.replace('"', "").splitlines()), encoding="utf-8")
    released = read_columns(path).frame
    assert released.shape == (46162, 18)
    for name in ("stripped.csv", "lines.csv"):
        pd.testing.assert_frame_equal(read_columns(tmp_path / name).frame, released)


def test_anes_labels_are_codes_and_weights_differ_by_question(shared_data: Path) -> None:
    survey = ss.read_survey(
        shared_data / "anes2020" / "anes2020_rcpa3.csv.gz", questions=["approve.pres.job", "tax.rich"], traits=["gender"]
    )
    assert survey.codebook.name == "anes2020"
    frame = pd.read_csv(shared_data / "anes2020" / "anes2020_rcpa3.csv.gz", usecols=["approve.pres.job", "tax.rich", "wt", "wt.post"])
    for name in survey.questions:
        valid = frame[name].isin(survey.codebook.question(name).codes)
        assert (survey.reasons[name].isna() == valid).all()
        assert (survey.data.loc[valid, name] == frame.loc[valid, name]).all()
    np.testing.assert_array_equal(survey.data.weight, frame.wt)
    np.testing.assert_array_equal(survey.data["wt.post"], frame["wt.post"])


def test_nonvoters_csv_and_the_file_that_ships_agree_on_who_answered(shared_data: Path) -> None:
    shipped = ss.load_example("nonvoters2020")
    raw = read_columns(shared_data / "nonvoters2020" / "nonvoters_data.csv.gz").frame
    assert len(raw) == len(shipped) == 5836
    grid = [name for name in shipped.questions if name.startswith("Q8_")]
    for name in grid:
        assert (shipped.reasons[name].isna().to_numpy() == raw[name].between(1, 4).to_numpy()).all(), name


def test_every_labelled_file_here_can_be_drafted(shared_data: Path, tmp_path: Path) -> None:
    for name, folder in (("ESS9NO.sav", "ess9_norway"), ("ESS9NO.dta", "ess9_norway"), ("GSS.sav", "gss2016")):
        path = shared_data / folder / name
        book = ss.load_codebook(ss.draft_codebook(path, tmp_path / f"{name.lower().replace('.', '_')}.toml"))
        survey = ss.read_survey(path, book)
        assert len(book.questions) > 200
        assert survey.data.gender.notna().sum() == len(survey)
