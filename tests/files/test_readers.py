"""Readers: no code is lost in any format, only the columns asked for are read, text comes in the right encoding."""

from __future__ import annotations

import base64
import gzip
import re
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import Level
from surveysim.errors import CodebookError, ReadError
from surveysim.files.encodings import guess_encoding, is_utf8, looks_like_gb
from surveysim.files.rawfile import Wanted, counted_floats, distinct_floats
from surveysim.files.readers import READERS, read_columns
from surveysim.files.spss_portable import parse_number
from tests.support import synthetic
from tests.support.children import in_child, with_fork

CODES = {7: "refused", 8: "dont_know"}


# The six respondents, trust 7 as .R, written by haven::write_sas (haven 2.5.1) and gzipped: nothing in Python writes .sas7bdat.
SAS7BDAT = (
    "H4sICOBkC2sCA3RydXN0LnNhczdiZGF0AO3av0sCYRgH8MeyOKvhJIcbgo4mh4iTIgwCPcgosElHhwQrDuoI02qL9qa2on+hqTmIlpaisQahpoZoKIgS+mHv"
    "ee+h9+ZlQ4v5/Yi8Pt/3fd4T5eAOjqjm9H57/igUvDzelShwFtlRBuXgKNEQ+ShCPwq5qpSeUqdnk4kpPa2nEmnVCzVh9fN1ytX6jV43ulkrZKIOIZ4Y0SJa"
    "ZE5j4xgbx5OGWdwkAAAAAAAAAAAAAAAAAACAdhRgL6LrPrsKd7pnT3iuCF0FniedwGcPUZ5PCnmp1x4zQn7A87iwf8YjH/DISz2NcwAAAAD4Pz7fKlWt1a9R"
    "/x8d/91ur8wIucTefnaBLQm1LNSKUNfjW1fCtStv/vytSl32nQLrsQwLnUQfvDdal4nPBBs5dg+RL64V2OclM5ffYGPaqlXDVFez+WUju7JgFuiFoer3c3tl"
    "fvMbOQfs9pj3N9tAbhxXBDgboSX56s+Mx5h70qlvnTwurIsvVt3xWoqL6y7OLQ98Xrbzw/KWs25/z/LE50O8TxX6n/m88u349lCO4Y8EAAAAAACAdvYFJ03I"
    "CwBAAAA="
)


def _sas7bdat(path: Path) -> Path:
    path.write_bytes(gzip.decompress(base64.b64decode(SAS7BDAT)))
    return path


def write_any(folder: Path, suffix: str) -> Path:
    path = folder / f"trust{suffix}"
    if suffix in (".sav", ".zsav"):
        return synthetic.write_sav(path)
    if suffix == ".dta":
        return synthetic.write_dta(path)
    if suffix == ".por":
        return synthetic.write_portable(path, records="87/88/")
    if suffix == ".parquet":
        synthetic.trust_frame().to_parquet(path)
        return path
    if suffix == ".sas7bdat":
        return _sas7bdat(path)
    if suffix == ".xpt":
        pyreadstat.write_xport(synthetic.trust_frame(), str(path), table_name="T")
        return path
    return synthetic.write_text(path, synthetic.trust_csv())


def told(survey: ss.Survey, question: str = "trust") -> list[str | None]:
    return [None if pd.isna(reason) else str(reason) for reason in survey.reasons[question]]


# --- every format ----------------------------------------------------------------------------------------------------------


MISSING = {**dict.fromkeys((".csv", ".csv.gz", ".parquet", ".xpt"), CODES), ".sas7bdat": {".r": "refused", 8: "dont_know"}}


@pytest.mark.parametrize("suffix", READERS)
def test_every_format_gives_the_same_answers_and_reasons(suffix: str, tmp_path: Path) -> None:
    book = synthetic.trust_codebook(missing=MISSING.get(suffix, {}))
    path = write_any(tmp_path, suffix)
    if suffix == ".por":  # names of eight letters in capitals, and no id in this file
        book = synthetic.trust_codebook(respondent_id=(), missing={8: "dont_know"})  # 7 is labelled, 8 is not
    survey = ss.read_survey(path, book, traits=[] if suffix == ".por" else None)
    assert told(survey) == synthetic.REASONS
    valid = survey.reasons.trust.isna()
    assert survey.data.trust[valid].tolist() == [0, 1, 2, 1]
    assert not survey.data.trust.isna().any(), "no code becomes an empty cell"


@pytest.mark.parametrize("suffix", [".sav", ".zsav", ".por", ".csv", ".parquet"])
def test_original_codes_stay(suffix: str, tmp_path: Path) -> None:
    raw = read_columns(write_any(tmp_path, suffix), Wanted(("trust",)))
    assert raw.frame.iloc[:, 0].tolist() == synthetic.ANSWERS


def test_stata_tags_stay_under_their_stata_names(tmp_path: Path) -> None:
    survey = ss.read_survey(synthetic.write_dta(tmp_path / "x.dta"), synthetic.trust_codebook())
    assert survey.data.trust.tolist() == [0, 1, 2, ".b", ".c", 1]


@pytest.mark.parametrize("key", ["b", ".b"])
def test_a_codebook_may_say_what_a_stata_tag_means(key: str, tmp_path: Path) -> None:
    book = synthetic.trust_codebook(missing={key: "not_asked"})
    survey = ss.read_survey(synthetic.write_dta(tmp_path / "x.dta"), book)
    assert told(survey) == [None, None, None, "not_asked", "dont_know", None]


@pytest.mark.parametrize("suffix", READERS)
def test_only_the_columns_asked_for_are_read_in_the_files_own_case(suffix: str, tmp_path: Path) -> None:
    raw = read_columns(write_any(tmp_path, suffix), Wanted(("Trust", "W")))
    assert sorted(str(name).lower() for name in raw.frame) == ["trust", "w"]
    assert len(raw.frame) == 6


def test_a_name_in_unusual_case_is_found(tmp_path: Path) -> None:
    path = synthetic.write_sav(tmp_path / "x.sav", synthetic.trust_frame().rename(columns={"trust": "tRuSt", "w": "W"}))
    survey = ss.read_survey(path, synthetic.trust_codebook())
    assert told(survey) == synthetic.REASONS


def test_patterns_find_replicate_weights(tmp_path: Path) -> None:
    frame = synthetic.trust_frame().assign(RepW1=1.0, RepW2=2.0, repx=3.0)
    raw = read_columns(synthetic.write_sav(tmp_path / "x.sav", frame), Wanted(("id", "repw*")))
    assert list(raw.frame) == ["id", "RepW1", "RepW2"]


# --- encodings -------------------------------------------------------------------------------------------------------------

CHINESE = {"Trust in parliament": "对全国人民代表大会".encode("gb18030") + b" ", "Refusal": "拒答".encode("gb18030") + b"   "}


@pytest.mark.parametrize("declared", [b"UTF-8", b"CP819", b"XX-99", None])
def test_chinese_text_behind_a_wrong_declaration_is_read_and_told(declared: bytes | None, tmp_path: Path) -> None:
    path = synthetic.redeclare_encoding(synthetic.write_sav(tmp_path / "x.sav"), declared, CHINESE)
    raw = read_columns(path, Wanted(("trust",)))
    assert raw.variables["trust"].label == "对全国人民代表大会"
    assert raw.variables["trust"].value_labels[7] == "拒答"
    assert any("gb18030" in note for note in raw.notes)


def test_a_right_declaration_needs_no_note(tmp_path: Path) -> None:
    path = synthetic.redeclare_encoding(synthetic.write_sav(tmp_path / "x.sav"), b"CP936", CHINESE)
    raw = read_columns(path, Wanted(("trust",)))
    assert (raw.variables["trust"].label, raw.notes) == ("对全国人民代表大会", ())


def test_western_text_behind_a_wrong_declaration_is_read_byte_by_byte(tmp_path: Path) -> None:
    swap = {"Trust in parliament": "Tillit til måøåäöéß".encode("latin-1")}
    raw = read_columns(synthetic.redeclare_encoding(synthetic.write_sav(tmp_path / "x.sav"), b"UTF-8", swap), Wanted(("trust",)))
    assert raw.variables["trust"].label == "Tillit til måøåäöéß"
    assert any("latin1" in note for note in raw.notes)


def test_utf8_in_a_file_that_declares_latin1_is_noticed(tmp_path: Path) -> None:
    swap = {"Trust in parliament": "Tillit til Østfoldå".encode()[:19]}
    raw = read_columns(synthetic.redeclare_encoding(synthetic.write_sav(tmp_path / "x.sav"), b"CP819", swap), Wanted(("trust",)))
    assert raw.variables["trust"].label == "Tillit til Østfold"[:18]
    assert any("utf-8" in note for note in raw.notes)


@pytest.mark.parametrize("cut", [80, 31, 30])
def test_old_stata_files_in_gb18030_are_read_even_where_a_label_is_cut_within_a_character(cut: int, tmp_path: Path) -> None:
    raw = read_columns(synthetic.write_chinese_dta(tmp_path / "x.dta", cut=cut))
    whole = "总的来说您信任全国人民代表大会吗"
    assert raw.variables["trust"].label == whole[: cut // 2]
    assert raw.frame["place"].tolist() == ["北京市", "上海市"] * 3
    assert any("gb18030" in note for note in raw.notes)


@pytest.mark.parametrize("encoding", ["gb18030", "GBK"])
def test_an_encoding_asked_for_is_used_without_a_note(encoding: str, tmp_path: Path) -> None:
    raw = read_columns(synthetic.write_chinese_dta(tmp_path / "x.dta", cut=31), encoding=encoding)
    assert raw.variables["trust"].label == "总的来说您信任全国人民代表大会"
    assert raw.notes == ()


@given(st.text(st.characters(codec="gb2312", min_codepoint=0x4E00), min_size=3))
def test_chinese_bytes_are_recognised(text: str) -> None:
    assert looks_like_gb(text.encode("gb18030"))
    assume(not is_utf8([text.encode("gb18030")]))  # a few characters, repeated, are both
    assert guess_encoding([text.encode("gb18030")]) == "gb18030"
    assert guess_encoding([text.encode("utf-8")]) == "utf-8"


@pytest.mark.parametrize("text", ["häufig, öfter, über", "naïve façade café", "Æres være Gud på jord", "años señor niño aquí", ""])
def test_western_bytes_are_not_taken_for_chinese(text: str) -> None:
    assert not looks_like_gb(text.encode("latin-1") * 5)


# --- delimited text --------------------------------------------------------------------------------------------------------

DELIMITED = {
    "commas": synthetic.trust_csv(),
    "semicolons": synthetic.trust_csv(";"),
    "tabs": synthetic.trust_csv("\t"),
    "quoted names": synthetic.trust_csv(";", quote='"'),
    "quotes around whole lines": synthetic.trust_csv(";", lines='"'),
    "quotes around whole lines, commas": synthetic.trust_csv(",", lines='"'),
    "a byte order mark": "\ufeff" + synthetic.trust_csv(),
    "Windows line ends": synthetic.trust_csv().replace("\n", "\r\n"),
    "a blank first line": "\n" + synthetic.trust_csv(),
    "decimal commas": synthetic.trust_csv(";").replace(".", ","),
    "no line end at the end": synthetic.trust_csv().rstrip("\n"),
}


@pytest.mark.parametrize("text", DELIMITED.values(), ids=DELIMITED)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_delimited_text_is_read_however_it_is_written(text: str, suffix: str, tmp_path: Path) -> None:
    survey = ss.read_survey(synthetic.write_text(tmp_path / f"x{suffix}", text), synthetic.trust_codebook(missing=CODES))
    assert told(survey) == synthetic.REASONS
    np.testing.assert_allclose(survey.data.weight, 0.5 + np.arange(6) / 4)


def test_what_was_done_to_delimited_text_is_told(tmp_path: Path) -> None:
    quoted = read_columns(synthetic.write_text(tmp_path / "a.csv", DELIMITED["quotes around whole lines"]))
    assert any("quotes stand around whole lines" in note for note in quoted.notes)
    comma = read_columns(synthetic.write_text(tmp_path / "b.csv", DELIMITED["decimal commas"]))
    assert any("decimal commas were read as points in w" in note for note in comma.notes)
    latin = read_columns(synthetic.write_text(tmp_path / "c.csv", "a,b\nmåned,1\n", "latin-1"))
    assert (latin.frame.a[0], "latin1" in latin.notes[0]) == ("måned", True)
    chinese = read_columns(synthetic.write_text(tmp_path / "d.csv", "a,b\n北京市上海市,1\n", "gb18030"))
    assert (chinese.frame.a[0], "gb18030" in chinese.notes[0]) == ("北京市上海市", True)
    assert read_columns(synthetic.write_text(tmp_path / "e.csv", "a,b\nmåned,1\n", "utf-16")).frame.a[0] == "måned"


def test_empty_cells_are_empty_and_every_other_word_is_kept(tmp_path: Path) -> None:
    text = 'country,answer,age\n"NA",None,34\n"NL",,NA\n"DE",nan,.\n"",NULL,7\n'
    frame = read_columns(synthetic.write_text(tmp_path / "x.csv", text)).frame
    assert frame.country.tolist()[:3] == ["NA", "NL", "DE"]
    assert frame.answer.fillna("empty").tolist() == ["None", "empty", "nan", "NULL"]
    assert frame.age.fillna(-9).tolist() == [34, -9, -9, 7]


def test_namibia_is_a_country_where_the_codebook_says_so(tmp_path: Path) -> None:
    levels = (Level("Namibia", "in Namibia", ("NA",)), Level("Netherlands", "in the Netherlands", ("NL",)))
    book = synthetic.trust_codebook(respondent_id=())
    book = ss.Codebook("c", "C", {"country": ss.Trait("country", "cntry", levels)}, book.questions)
    text = 'cntry,trust\n"NA",1\n"NL",2\n"",1\n'
    survey = ss.read_survey(synthetic.write_text(tmp_path / "x.csv", text), book, weight="none")
    assert survey.data.country.astype(object).fillna("?").tolist() == ["Namibia", "Netherlands", "?"]
    assert survey.trait_reasons.country.tolist()[2] == "other"


def test_numbers_among_words_are_the_codebooks_codes(tmp_path: Path) -> None:
    book = synthetic.trust_codebook(missing={".a": "refused", "dk": "dont_know"}, respondent_id=(), weights=())
    text = "trust,gndr\n1,1\n2,2\n.a,1\ndk,2\n 0 ,1\n"
    survey = ss.read_survey(synthetic.write_text(tmp_path / "x.csv", text), book, weight="none")
    assert told(survey) == [None, None, "refused", "dont_know", None]
    assert survey.data.trust.tolist() == [1, 2, ".a", "dk", 0]


# --- portable files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("records", "missing"), [
    ("87/88/", {7: "refused", 8: "other"}),  # 8: one code; two of them
    ("B7/8/", {7: "refused", 8: "other"}),  # B: a range
    ("A7/", {7: "refused", 8: "other"}),  # A: and above
    ("9-1/", {}),  # 9: and below, none here
])  # fmt: skip
def test_codes_that_a_portable_file_declares_missing_are_kept(records: str, missing: dict[int, str], tmp_path: Path) -> None:
    path = synthetic.write_portable(tmp_path / "x.por", records=records)
    lost, _ = pyreadstat.read_por(str(path))
    assert lost.TRUST.isna().sum() == len(missing), "pyreadstat alone turns declared missing codes into empty cells"
    raw = read_columns(path)
    assert raw.frame.TRUST.tolist() == synthetic.ANSWERS
    assert [code for code in synthetic.ANSWERS if raw.variables["TRUST"].declares_missing(code)] == list(missing)
    book = synthetic.trust_codebook(respondent_id=(), missing={} if missing else {7: "refused", 8: "other"})
    assert [reason for reason in told(ss.read_survey(path, book, traits=[])) if reason] == ["refused", "other"]


@pytest.mark.parametrize(("change", "message"), [
    (lambda content: content.replace(b"SPSSPORT", b"SPSSPOOR"), r"x\.por is not an SPSS portable file"),
    (lambda content: content.replace(b"0123456789", b"9876543210"), r"cannot be followed|not a portable file in the usual characters"),
    (lambda content: content.replace(b"D1/5/TRUST", b"X1/5/TRUST"), r"record 'X' is unknown; save it as \.sav"),
    (lambda content: content[:600], r"that can be followed"),
])  # fmt: skip
def test_a_portable_file_that_cannot_be_followed_is_refused(change: object, message: str, tmp_path: Path) -> None:
    path = synthetic.write_portable(tmp_path / "x.por", records="87/")
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ReadError, match=message):
        read_columns(path)


LENGTHS = {
    "a negative length": (b"5/", b"-5/"),
    "a length beyond the file": (b"5/", b"TTTT/"),
    "a length beyond any number": (b"5/", b"1+TTTT/"),
    "a length that is no whole number": (b"5/", b"5.F/"),
    "a length that is missing": (b"5/", b"*."),
}


@pytest.mark.parametrize(("old", "new"), LENGTHS.values(), ids=LENGTHS)
def test_a_length_that_cannot_be_is_refused_at_once(old: bytes, new: bytes, tmp_path: Path) -> None:
    """None of these is followed: not backwards for ever, not into memory that is not there."""
    path = synthetic.write_portable(tmp_path / "x.por", records="87/")
    content, begin = path.read_bytes(), time.monotonic()
    places = [place for place in range(456, len(content) - 1) if content[place : place + 2] == old][:12]
    assert places
    refused = 0
    for place in places:
        path.write_bytes(content[:place] + new + content[place + len(old) :])
        try:
            read_columns(path, isolated=True)
        except ReadError:
            refused += 1
    assert refused >= 1
    assert time.monotonic() - begin < 5 * len(places)


RECORDS = {
    "a record that leads back to itself": b"1-4/",
    "more lines than any memory holds": b"ETTTTTTTT/",
    "a line that ends nowhere": b"1T+T/",
}


@with_fork
@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_of_an_impossible_length_is_refused_in_this_process_too(record: bytes, tmp_path: Path) -> None:
    path = synthetic.write_portable(tmp_path / "x.por", records="87/")
    path.write_bytes(path.read_bytes().replace(b"D1/5/TRUST", record + b"D1/5/TRUST"))

    def said() -> str:
        signal.alarm(10)  # what is followed for ever ends this child
        with pytest.raises(ReadError) as caught:
            ss.read_survey(path, synthetic.trust_codebook(respondent_id=()), traits=[])
        return str(caught.value)

    ended, text = in_child(said)
    assert ended == 0
    assert "x.por" in text
    assert "a length of" in text


def test_letters_that_a_portable_file_cannot_give_are_told(tmp_path: Path) -> None:
    path = synthetic.write_portable(tmp_path / "x.por", records="87/")
    assert read_columns(path).notes == ()
    path.write_bytes(path.read_bytes().replace(b"Refusal", "Réfusal".encode("latin-1")))
    raw = read_columns(path)
    assert raw.frame.TRUST.tolist() == synthetic.ANSWERS
    assert any("letters beyond ASCII cannot be read from a portable file" in note for note in raw.notes)


@given(st.integers(-(10**6), 10**6))
def test_whole_numbers_to_base_30(number: int) -> None:
    digits, rest = "", abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, 30)
        digits = "0123456789ABCDEFGHIJKLMNOPQRST"[digit] + digits
    assert parse_number(("-" if number < 0 else "") + digits) == number


def test_fractions_and_powers_to_base_30() -> None:
    assert [parse_number(digits) for digits in (".F", "1.6", "1+2", "-6-1", " 2H")] == [0.5, 1.2, 900, -0.2, 77]
    with pytest.raises(ValueError, match="'1Z' is no number to base 30"):
        parse_number("1Z")


# --- broken files ----------------------------------------------------------------------------------------------------------


def _truncated(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def _copy(path: Path, name: str) -> Path:
    path.rename(path.with_name(name))
    return path.with_name(name)


def _twins(folder: Path) -> Path:
    frame = pd.concat([synthetic.trust_frame(), synthetic.trust_frame()[["trust"]].rename(columns={"trust": "TRUST"})], axis=1)
    pyreadstat.write_sav(frame, str(folder / "x.sav"))
    return folder / "x.sav"


def _no_rows(folder: Path, suffix: str) -> Path:
    frame, path = synthetic.trust_frame().iloc[:0], folder / f"x{suffix}"
    if suffix == ".csv":
        return synthetic.write_text(path, "id,trust,gndr,w\n")
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        {".sav": pyreadstat.write_sav, ".dta": pyreadstat.write_dta}[suffix](frame, str(path))
    return path


def _parquet(folder: Path, share: float) -> Path:
    synthetic.trust_frame(200).to_parquet(folder / "x.parquet")
    return _truncated(folder / "x.parquet", share)


def _gzip(folder: Path) -> Path:
    return _truncated(synthetic.write_text(folder / "x.csv.gz", synthetic.trust_csv() * 50), 0.6)


BROKEN = {
    "a missing file": (lambda folder: folder / "trsut.sav", ReadError, r"does not exist; its folder holds no survey file"),
    "a missing file beside another": (
        lambda folder: synthetic.write_sav(folder / "trust.sav").with_name("trsut.sav"),
        ReadError,
        r"trsut\.sav' does not exist; in its folder: did you mean 'trust\.sav'",
    ),
    "a missing folder": (lambda folder: folder / "gone" / "x.sav", ReadError, r"nor does its folder .*gone': check the path"),
    "a folder": (lambda folder: folder, ReadError, r"is a folder; give the path of one survey file"),
    "an unknown extension": (
        lambda folder: synthetic.write_text(folder / "x.xlsx", "a"),
        ReadError,
        r"x\.xlsx: extension '\.xlsx' is unknown; surveysim reads \.sav, \.zsav, \.dta",
    ),
    "no extension": (lambda folder: synthetic.write_text(folder / "x", "a"), ReadError, r"extension '\(none\)' is unknown"),
    "an empty file": (lambda folder: synthetic.write_text(folder / "x.sav", ""), ReadError, r"x\.sav is empty \(0 bytes\)"),
    "text called .sav": (
        lambda folder: synthetic.write_text(folder / "x.sav", synthetic.trust_csv()),
        ReadError,
        r"x\.sav is not an SPSS file: it looks like a text file; rename it to x\.csv",
    ),
    "Stata called .sav": (
        lambda folder: _copy(synthetic.write_dta(folder / "y.dta"), "x.sav"),
        ReadError,
        r"x\.sav is not an SPSS file: it looks like a Stata file; rename it to x\.dta",
    ),
    "SPSS called .dta": (
        lambda folder: _copy(synthetic.write_sav(folder / "y.sav"), "x.dta"),
        ReadError,
        r"x\.dta is not a Stata file: it looks like an SPSS file",
    ),
    "SPSS called .csv": (
        lambda folder: _copy(synthetic.write_sav(folder / "y.sav"), "x.csv"),
        ReadError,
        r"x\.csv is not a delimited text file: it looks like an SPSS file; rename it to x\.sav",
    ),
    "an archive called .sav": (
        lambda folder: synthetic.write_text(folder / "x.sav", "PK\x03\x04\0\0"),
        ReadError,
        r"it looks like a file of another kind; download it again",
    ),
    "gzip called .csv": (
        lambda folder: _copy(synthetic.write_text(folder / "y.csv.gz", "a,b\n1,2\n"), "x.csv"),
        ReadError,
        r"x\.csv is gzipped; rename it to end in \.csv\.gz",
    ),
    "text called .csv.gz": (
        lambda folder: _copy(synthetic.write_text(folder / "y.csv", "a,b\n1,2\n"), "x.csv.gz"),
        ReadError,
        r"x\.csv\.gz is not gzipped; rename it to end in \.csv",
    ),
    "a .sav cut in its dictionary": (
        lambda folder: _truncated(synthetic.write_sav(folder / "x.sav"), 0.3),
        ReadError,
        r"x\.sav cannot be read to its end .* truncated, damaged",
    ),
    "a .sav cut in its data": (
        lambda folder: _truncated(synthetic.write_sav(folder / "x.sav", synthetic.trust_frame(500)), 0.9),
        ReadError,
        r"x\.sav (cannot be read to its end|announces 3,000 respondents)",
    ),
    "a .zsav cut": (
        lambda folder: _truncated(synthetic.write_sav(folder / "x.zsav", synthetic.trust_frame(500)), 0.8),
        ReadError,
        r"x\.zsav cannot be read to its end",
    ),
    "a .dta cut": (
        lambda folder: _truncated(synthetic.write_dta(folder / "x.dta"), 0.95),
        ReadError,
        r"x\.dta does not end as a Stata file does; it is truncated",
    ),
    "an old .dta cut": (
        lambda folder: _truncated(synthetic.write_chinese_dta(folder / "x.dta"), 0.4),
        ReadError,
        r"x\.dta cannot be read to its end",
    ),
    "a .por cut": (
        lambda folder: _truncated(synthetic.write_portable(folder / "x.por", records="87/"), 0.6),
        ReadError,
        r"x\.por is (no SPSS portable file that can be followed|not an SPSS portable file)",
    ),
    "a .parquet cut": (lambda folder: _parquet(folder, 0.7), ReadError, r"x\.parquet cannot be read as parquet .* truncated or damaged"),
    "a .csv.gz cut": (_gzip, ReadError, r"x\.csv\.gz is no complete gzip file"),
    "a .sav without rows": (lambda folder: _no_rows(folder, ".sav"), ReadError, r"x\.sav holds no respondents"),
    "a .dta without rows": (lambda folder: _no_rows(folder, ".dta"), ReadError, r"x\.dta holds no respondents"),
    "a .csv without rows": (lambda folder: _no_rows(folder, ".csv"), ReadError, r"x\.csv holds no respondents"),
    "a .parquet without rows": (lambda folder: _no_rows(folder, ".parquet"), ReadError, r"x\.parquet holds no respondents"),
    "a .csv of blanks": (lambda folder: synthetic.write_text(folder / "x.csv", " \n \n"), ReadError, r"x\.csv is empty; a header line"),
    "a .csv with a short line": (
        lambda folder: synthetic.write_text(folder / "x.csv", synthetic.trust_csv() + "7,1\n"),
        ReadError,
        r"x\.csv cannot be parsed as text separated by ','.*Expected 4 columns, got 2",
    ),
    "a .csv with a long line": (
        lambda folder: synthetic.write_text(folder / "x.csv", synthetic.trust_csv() + "7,1,1,1,1\n"),
        ReadError,
        r"Expected 4 columns, got 5",
    ),
    "a .csv with bytes that are no text": (
        lambda folder: synthetic.write_text(folder / "x.csv", "id,trust,gndr,w\n1,\0,1,1\n"),
        ReadError,
        r"x\.csv is a binary file, not delimited text",
    ),
    "a .csv with a name twice": (
        lambda folder: synthetic.write_text(folder / "x.csv", "id,trust,trust,gndr,w\n1,1,1,1,1\n"),
        CodebookError,
        r"x\.csv: columns 'trust' and 'trust' differ by case only or stand twice",
    ),
    "two columns that differ by case only": (_twins, CodebookError, r"x\.sav: columns 'trust' and 'TRUST' differ by case only"),
    "a variable that the file lacks": (
        lambda folder: synthetic.write_sav(folder / "x.sav", synthetic.trust_frame().rename(columns={"gndr": "gender"})),
        CodebookError,
        r"trust\.toml names variables that x\.sav lacks: 'gndr', did you mean 'gender'",
    ),
    "a parquet file that lacks the columns": (
        lambda folder: _no_columns(folder),
        CodebookError,
        r"names variables that x\.parquet lacks: 'trust', known: nothing_of_it; 'gndr', known",
    ),
}


def _no_columns(folder: Path) -> Path:
    pd.DataFrame({"nothing_of_it": [1]}).to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize(("make", "kind", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_says_what_is_wrong_and_what_to_do(make: object, kind: type[Exception], message: str, tmp_path: Path) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(kind, match=message):
        ss.read_survey(path, synthetic.trust_codebook(missing=CODES))


@pytest.mark.parametrize(("suffix", "encoding", "message"), [
    (".sav", "klingon", r"encoding: 'klingon' is unknown; use for instance 'utf-8'"),
    (".csv", "klingon", r"encoding: 'klingon' is unknown"),
    (".por", "latin1", r"encoding of a portable file cannot be chosen"),
    (".parquet", "latin1", r"parquet text is UTF-8 by definition"),
])  # fmt: skip
def test_an_encoding_that_cannot_be_is_refused(suffix: str, encoding: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=message):
        read_columns(write_any(tmp_path, suffix), encoding=encoding)


def test_text_that_is_not_in_the_encoding_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"x\.dta cannot be read as 'utf-8'.*leave encoding out, or name another"):
        read_columns(synthetic.write_chinese_dta(tmp_path / "x.dta"), encoding="utf-8")
    with pytest.raises(ReadError, match=r"x\.csv cannot be read as 'utf-8'"):
        read_columns(synthetic.write_text(tmp_path / "x.csv", "a,b\nmåned,1\n", "latin-1"), encoding="utf-8")


@pytest.mark.parametrize("suffix", [".sav", ".zsav", ".dta", ".parquet"])
def test_no_truncated_file_gives_part_of_its_answers(suffix: str, tmp_path: Path) -> None:
    path = write_any(tmp_path, suffix)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            read_columns(path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_nul_after_an_answer_is_told_and_no_answer(suffix: str, tmp_path: Path) -> None:
    """However far from the beginning, and whatever the words before it are."""
    path, words = tmp_path / f"x{suffix}", ["Some trust"] * 20_000
    book = synthetic.trust_codebook(respondent_id=())
    for last, said in (
        ("Some trust", None),
        ("Some trust\0", r"holds 'Some trust.x00' in row 20000" if "parq" in suffix else "holds NUL in line 20,002"),
    ):
        frame = pd.DataFrame({"trust": [*words, last], "gndr": 1, "w": 1.0})
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False)
        if said is None:
            assert len(ss.read_survey(path, book)) == 20_001
        else:
            with pytest.raises(ReadError, match=said):
                ss.read_survey(path, book)


def test_text_that_may_be_cut_short_is_told(tmp_path: Path) -> None:
    cut = synthetic.write_text(tmp_path / "x.csv", synthetic.trust_csv()[:-2])
    assert any("does not end with a line end; is it cut short?" in note for note in read_columns(cut).notes)
    assert read_columns(synthetic.write_text(tmp_path / "y.csv", synthetic.trust_csv())).notes == ()


def test_lost_value_labels_of_an_old_stata_file_are_told(tmp_path: Path) -> None:
    path = synthetic.write_chinese_dta(tmp_path / "x.dta")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"trust") - 4])  # the table of value labels begins with its length and its name
    raw = read_columns(path)
    assert any("1 sets of value labels are named but absent; is the file cut short?" in note for note in raw.notes)


def test_a_truncated_gzip_never_gives_part_of_its_rows(tmp_path: Path) -> None:
    whole = gzip.compress(synthetic.trust_csv().encode() * 20)
    for length in range(20, len(whole), 7):
        (tmp_path / "x.csv.gz").write_bytes(whole[:length])
        with pytest.raises(ReadError):
            read_columns(tmp_path / "x.csv.gz")


def test_stata_columns_have_the_types_that_pyreadstat_gives_them(tmp_path: Path) -> None:
    whole = pd.DataFrame({"whole": [1, 2, 3], "gaps": pd.array([1, None, 3], "Int16"), "empty": pd.array([None] * 3, "Int8")})
    frame = whole.assign(number=[0.5, np.nan, 2.0], text=["a", "", "é"])
    path = tmp_path / "types.dta"
    frame.to_stata(path, write_index=False, version=118)
    theirs, _ = pyreadstat.read_dta(str(path), user_missing=True)
    ours = read_columns(path).frame
    pd.testing.assert_frame_equal(ours, theirs)
    assert ours["gaps"].isna().tolist() == [False, True, False]
    assert isinstance(ours["gaps"][0], int)


# --- SAS ---------------------------------------------------------------------------------------------------------------------


def test_a_sas_file_is_read_with_its_special_missing_values(tmp_path: Path) -> None:
    path = _sas7bdat(tmp_path / "x.sas7bdat")
    raw = read_columns(path)
    assert list(raw.frame.trust) == [0, 1, 2, ".r", 8, 1]
    assert raw.variables["trust"].label == "Trust in parliament"
    assert raw.variables["trust"].missing == ((".r", ".r"),)
    assert raw.notes == ("x.sas7bdat: no catalog (.sas7bcat) lies beside it: codes have no labels",)
    survey = ss.read_survey(path, synthetic.trust_codebook(missing={".r": "refused", 8: "dont_know"}))
    assert [None if pd.isna(reason) else reason for reason in survey.reasons.trust] == synthetic.REASONS


@pytest.mark.parametrize("version", [5, 8])
def test_a_transport_file_is_read_to_its_last_respondent(version: int, tmp_path: Path) -> None:
    frame = synthetic.trust_frame().assign(place=["here", "there", "", "here", "x", "y"])
    pyreadstat.write_xport(
        frame, str(tmp_path / "x.xpt"), table_name="T", file_format_version=version, column_labels={"trust": "Trust in parliament"}
    )
    raw = read_columns(tmp_path / "x.xpt")
    assert raw.frame.trust.tolist() == synthetic.ANSWERS
    assert raw.frame.place.tolist()[:2] == ["here", "there"]
    assert raw.variables["trust"].label == "Trust in parliament"
    survey = ss.read_survey(tmp_path / "x.xpt", synthetic.trust_codebook(missing={7: "refused", 8: "dont_know"}), questions=["trust"])
    assert len(survey) == 6


@pytest.mark.parametrize(("name", "remedy"), [
    ("x.rda", r"write it in R: haven::write_sav"), ("x.RData", r"write it in R"), ("x.rds", r"write it in R"),
    ("x.zip", r"unpack the archive"), ("x.tar.gz", "unpack the archive"), ("x.xlsx", r"save the sheet as \.csv"),
    ("x.txt", r"rename it to end in \.csv"), ("x.sps", "this is a program that reads the data"),
    ("x.sas7bcat", r"this is a catalog of labels; give the \.sas7bdat, with the catalog beside it"),
])  # fmt: skip
def test_files_that_are_not_read_hear_what_to_do(name: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(ReadError, match=rf"{re.escape(name)}: extension '.*' is unknown; surveysim reads .*\.xpt.*: {remedy}"):
        read_columns(tmp_path / name)


def test_an_encrypted_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.sav").write_bytes(b"\x1c" + bytes(7) + b"ENCRYPTEDSAV\x15" + bytes(60))
    with pytest.raises(ReadError, match=r"x\.sav is encrypted with a password; open it in SPSS and save it without one"):
        read_columns(tmp_path / "x.sav")


def test_stata_files_with_latin_letters_that_declare_utf8_are_read_as_windows_text(tmp_path: Path) -> None:
    path = tmp_path / "x.dta"
    synthetic.trust_frame().to_stata(path, version=118, write_index=False, variable_labels={"trust": "rXs happiness"})
    path.write_bytes(path.read_bytes().replace(b"rXs happiness", b"r\x92s happiness"))
    raw = read_columns(path)
    assert raw.variables["trust"].label == "r\u2019s happiness"
    assert any("read as cp1252" in note for note in raw.notes)
    assert read_columns(path, encoding="cp1252").variables["trust"].label == "r\u2019s happiness"


def test_names_that_differ_by_case_are_left_out_where_all_are_read_and_told(tmp_path: Path) -> None:
    frame = synthetic.trust_frame().assign(TRUST=1.0)
    frame.to_stata(tmp_path / "x.dta", version=118, write_index=False)
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    for suffix in ("dta", "csv", "parquet"):
        raw = read_columns(tmp_path / f"x.{suffix}")
        assert list(raw.columns) == ["id", "gndr", "w"]
        assert f"x.{suffix}: columns 'trust' and 'TRUST' differ by case only or stand twice, and are left out" in "; ".join(raw.notes)
        assert list(read_columns(tmp_path / f"x.{suffix}", Wanted(("w",))).columns) == ["w"]


def test_a_variable_without_a_name_is_a_damaged_file() -> None:
    """As a reader may say of a damaged dictionary."""
    with pytest.raises(ReadError, match=r"survey\.sav: a variable of its dictionary has no name; the file is damaged"):
        Wanted(("trust",)).pick([None, "trust"], "survey.sav")  # type: ignore[list-item]


def test_numbers_of_a_stata_file_are_read_whole_and_empty_alike(tmp_path: Path) -> None:
    frame = pd.DataFrame({"whole": [1, 2, 3], "real": [0.5, np.nan, 1e300]}).astype({"whole": "int32"})
    gaps = frame.assign(gaps=pd.array([1, None, 3], dtype="Int16"))
    gaps.to_stata(tmp_path / "x.dta", write_index=False, version=118)
    raw = read_columns(tmp_path / "x.dta")
    assert raw.columns["whole"].tolist() == [1, 2, 3]
    assert raw.columns["whole"].flags.writeable
    np.testing.assert_array_equal(raw.columns["real"], [0.5, np.nan, 1e300])
    np.testing.assert_array_equal(raw.columns["gaps"].astype(float), [1, np.nan, 3])


def test_distinct_numbers_are_counted_whatever_their_size() -> None:
    for column in ([1.0, np.nan, 3.0, 3.0], [np.nan], [1.5, np.inf, 1.5, np.nan], [-np.inf, 2.0], [0.0, 99_999_996.0], [1e18, 1e18, -2.0]):
        values = np.array(column)
        expected = np.unique(values[~np.isnan(values)], return_counts=True)
        for found, right in zip(counted_floats(values), expected, strict=True):
            np.testing.assert_array_equal(found, right)
        np.testing.assert_array_equal(np.sort(distinct_floats(values)), expected[0])
