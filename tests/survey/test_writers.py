"""Writers: what goes to SPSS or Stata comes back, labels and missing codes are declared, and no half file is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import MISSING_REASONS, Codebook, Level, Option, Question, Trait, Weight
from surveysim.errors import ReadError, TableError
from surveysim.files.outfile import OutColumn, missing_ranges, shorten
from surveysim.files.readers import read_columns
from tests.support.small_surveys import small_survey
from tests.support.synthetic import TRUST, trust_codebook, trust_frame

SUFFIXES = (".sav", ".zsav", ".dta")
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=12)

WORD_CODES = TEXT.filter(lambda word: not word.startswith(".") and not word.replace(".", "").isdigit() and word != "NA")


@st.composite
def surveys(draw: st.DrawFn) -> ss.Survey:
    """Draw a codebook (numeric or text codes, up to three missing codes a question) and respondents for it."""
    text = draw(st.booleans())
    code = WORD_CODES if text else st.integers(-9, 99)
    codes = draw(st.lists(code, min_size=3, max_size=8, unique_by=lambda one: str(one).lower()))
    n_missing = draw(st.integers(0, min(3, len(codes) - 2)))
    labels = draw(st.lists(TEXT.map(lambda word: f"option {word}"), min_size=len(codes), max_size=len(codes), unique_by=str.casefold))
    missing = {one: draw(st.sampled_from(MISSING_REASONS)) for one in codes[:n_missing]}
    options = tuple(Option(one, label) for one, label in zip(codes[n_missing:], labels[n_missing:], strict=True))
    question = Question("q1", draw(TEXT), options, missing=missing)
    groups = (Level("one", "one", (1,)), Level("two", "two", (2, 3)), Level("other", "other", (9,)))
    ages = (Level("young", "young", range=(0, 39)), Level("old", "old", range=(40, 120)))
    traits = {"part": Trait("part", "part", groups, missing={7: "refused"}), "age": Trait("age", "years", ages)}
    book = Codebook(
        "drawn", draw(TEXT), traits, {"q1": question}, weights=(Weight("w"),), system_missing=draw(st.sampled_from(MISSING_REASONS))
    )
    n = draw(st.integers(1, 20))
    frame = pd.DataFrame(
        {
            "q1": pd.Series(draw(st.lists(st.sampled_from([*codes, None]), min_size=n, max_size=n)), dtype=object if text else float),
            "part": draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 7.0, 9.0, np.nan]), min_size=n, max_size=n)),
            "years": draw(st.lists(st.sampled_from([0.0, 39.0, 40.0, np.nan]), min_size=n, max_size=n)),
            "w": draw(st.lists(st.floats(0.1, 9), min_size=n, max_size=n)),
        }
    )
    return ss.as_survey(frame, book)


def cells(survey: ss.Survey) -> list[object]:
    return [None if pd.isna(value) else value for value in survey.data.q1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(survey=surveys(), suffix=st.sampled_from(SUFFIXES))
def test_round_trip_gives_answers_reasons_traits_and_weights_back(survey: ss.Survey, suffix: str, tmp_path: Path) -> None:
    again = ss.read_survey(ss.write_survey(survey, tmp_path / f"x{suffix}"), survey.codebook, weight="weight")
    pd.testing.assert_frame_equal(again.reasons, survey.reasons)
    pd.testing.assert_frame_equal(again.trait_reasons, survey.trait_reasons)
    pd.testing.assert_frame_equal(again.data[["part", "age"]], survey.data[["part", "age"]])
    np.testing.assert_array_equal(again.data.weight, survey.data.weight)
    valid = survey.reasons.q1.isna()
    assert again.data.q1[valid].tolist() == survey.data.q1[valid].tolist()
    if suffix != ".dta":  # in Stata a missing code becomes a tag
        assert cells(again) == cells(survey)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_shares_do_not_change_on_the_way(suffix: str, tmp_path: Path) -> None:
    survey = small_survey(design=True)
    again = ss.read_survey(ss.write_survey(survey, tmp_path / f"x{suffix}"), survey.codebook)
    for by in ([], ["age", "region"]):
        left, right = (ss.response_distributions(each, by=by) for each in (survey, again))
        pd.testing.assert_frame_equal(left, right)


def test_spss_finds_labels_and_missing_codes(tmp_path: Path) -> None:
    ss.write_survey(small_survey(), tmp_path / "x.sav")
    frame, meta = pyreadstat.read_sav(str(tmp_path / "x.sav"), user_missing=True)
    assert meta.file_label == "A small survey"
    assert meta.column_names_to_labels["q1"] == "How much?"
    assert meta.variable_value_labels["q1"] == {0: "none", 1: "little", 2: "some", 3: "much", 7: "Refused", 8: "Don't know"}
    assert [item["lo"] for item in meta.missing_ranges["q1"]] == [7, 8]
    assert meta.variable_value_labels["age"] == {0: "young", 1: "old"}
    assert meta.missing_ranges["q2"] == [{"lo": "dk", "hi": "dk"}]
    assert set(frame.q1.unique()) == {0, 1, 2, 3, 7, 8}
    without, _ = pyreadstat.read_sav(str(tmp_path / "x.sav"))
    assert without.q1.isna().sum() == frame.q1.isin([7, 8]).sum(), "SPSS leaves declared missing codes out"


def test_stata_finds_labels_and_tagged_missing_values(tmp_path: Path) -> None:
    survey = small_survey()
    ss.write_survey(survey, tmp_path / "x.dta")
    frame, meta = pyreadstat.read_dta(str(tmp_path / "x.dta"), user_missing=True)
    assert meta.variable_value_labels["q1"] == {0: "none", 1: "little", 2: "some", 3: "much", "b": "Refused", "c": "Don't know"}
    assert meta.missing_user_values["q1"] == ["b", "c"]
    assert (frame.q1 == "b").sum() == (survey.data.q1 == 7).sum()


def test_stata_letters_that_the_codebook_declares_are_used(tmp_path: Path) -> None:
    book = trust_codebook(missing={7: "refused", 8: "dont_know", ".c": "not_asked", "a": "dont_know"})
    survey = ss.as_survey(trust_frame(), book)
    path = ss.write_survey(survey, tmp_path / "x.dta")
    frame, _ = pyreadstat.read_dta(str(path), user_missing=True)
    assert frame.trust.tolist() == [0, 1, 2, "b", "a", 1]
    pd.testing.assert_frame_equal(ss.read_survey(path, book).reasons, survey.reasons)


def test_stata_tags_become_numbers_in_spss(tmp_path: Path) -> None:
    book = trust_codebook(missing={".b": "refused", ".c": "dont_know", 8: "dont_know"})
    frame = trust_frame().assign(trust=pd.Series([0, 1, 2, ".b", ".c", 1], dtype=object))
    survey = ss.as_survey(frame, book)
    path = ss.write_survey(survey, tmp_path / "x.sav")
    written, _ = pyreadstat.read_sav(str(path), user_missing=True)
    assert written.trust.tolist() == [0, 1, 2, -1, 8, 1]
    pd.testing.assert_frame_equal(ss.read_survey(path, book).reasons, survey.reasons)


def test_a_raked_weight_comes_back_when_asked_for(tmp_path: Path) -> None:
    survey = ss.rake(small_survey(), {"gender": {"female": 0.5, "male": 0.5}})
    again = ss.read_survey(ss.write_survey(survey, tmp_path / "x.sav"), survey.codebook, weight="weight")
    np.testing.assert_array_equal(again.data.weight, survey.data.weight)


def test_a_frame_is_labelled_by_its_codebook_and_written_bare_without_one(tmp_path: Path) -> None:
    book = trust_codebook(missing={7: "refused", 8: "dont_know"})
    labelled = ss.write_survey(trust_frame(), tmp_path / "x.sav", book)
    _, meta = pyreadstat.read_sav(str(labelled), user_missing=True)
    assert meta.variable_value_labels["gndr"] == {1: "male", 2: "female"}
    survey = ss.read_survey(labelled, book)
    pd.testing.assert_frame_equal(survey.data, ss.as_survey(trust_frame(), book).data)
    bare, meta = pyreadstat.read_sav(str(ss.write_survey(trust_frame(), tmp_path / "y.sav")), user_missing=True)
    assert meta.variable_value_labels == {}
    pd.testing.assert_frame_equal(bare, trust_frame())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_simulated_table_comes_back_with_labels(suffix: str, tmp_path: Path) -> None:
    survey = small_survey()
    table = ss.response_distributions(survey, by=["age", "gender"], questions=["q1"]).assign(source="model")
    path = ss.write_table(table, tmp_path / f"x{suffix}", survey.codebook)
    frame, meta = (pyreadstat.read_dta if suffix == ".dta" else pyreadstat.read_sav)(str(path))
    np.testing.assert_array_equal(frame["share"], table["share"])
    assert frame.background_id.tolist() == table.background_id.tolist()
    assert frame.option_label.tolist()[:4] == ["none", "little", "some", "much"]
    named = frame.age.map(meta.variable_value_labels["age"])
    assert (table.background_id.str.contains("age=young") == (named == "young")).all()
    assert meta.column_names_to_labels["share"].startswith("Share of the background's valid answers")


def test_a_table_of_text_and_number_codes_is_written_as_text(tmp_path: Path) -> None:
    survey = small_survey()
    table = ss.response_distributions(survey)
    assert {type(code) for code in table.option_code} >= {str}
    path = ss.write_table(table, tmp_path / "x.sav", survey.codebook)
    frame, _ = pyreadstat.read_sav(str(path))
    assert frame.option_code.tolist() == [f"{code:g}" if not isinstance(code, str) else code for code in table.option_code]


# --- what formats do not allow ---------------------------------------------------------------------------------------------


def column(codes: list[float], missing: list[int], options: tuple[int, ...] = ()) -> OutColumn:
    return OutColumn(
        "q", np.array(codes, float), value_labels={code: str(code) for code in options}, missing=dict.fromkeys(missing, "other")
    )


@pytest.mark.parametrize(("codes", "missing", "options", "expected"), [
    ([1, 2], [], (), []),
    ([1, 2, 9], [7, 8, 9], (1, 2), [7, 8, 9]),
    ([1, 2], [-1, -2, -3, -4, -5], (1, 2), [{"lo": -5, "hi": -1}]),
    ([1, 2], [66, 77, 88, 99], (1, 2), [{"lo": 66, "hi": 99}]),
    ([1, 2], [0, 66, 77, 88, 99], (1, 2), [{"lo": 66, "hi": 99}, 0]),
    ([1, 2], [-1, 66, 77, 88], (1, 2), [{"lo": 66, "hi": 88}, -1]),
    ([1, 2, 9], [3, 5, 7, 9], (1, 2, 4, 6, 8), [9]),  # of four that cannot be declared, the one that occurs
])  # fmt: skip
def test_missing_codes_are_declared_as_spss_can(
    codes: list[float], missing: list[int], options: tuple[int, ...], expected: list[object]
) -> None:
    assert missing_ranges(column(codes, missing, options)) == expected


def declarable(missing: set[int], valid: set[int]) -> bool:
    """Whether three codes, or one range and one code, hold the missing codes and no valid one: by trying every choice."""
    ends = [(low, high) for low in missing for high in missing if low <= high and not any(low <= code <= high for code in valid)]
    return len(missing) <= 3 or any(sum(not low <= code <= high for code in missing) <= 1 for low, high in ends)


@settings(max_examples=200)
@given(st.sets(st.integers(-20, 20), max_size=8), st.sets(st.integers(-20, 20), min_size=1, max_size=8))
def test_a_declaration_covers_every_missing_code_that_occurs_and_no_valid_one(missing: set[int], codes: set[int]) -> None:
    drawn = column(sorted(codes), sorted(missing), tuple(codes - missing))
    if not declarable(missing & codes, codes - missing):
        with pytest.raises(ReadError, match="SPSS declares three missing codes, or a range and one code"):
            missing_ranges(drawn)
        return
    declared = missing_ranges(drawn)
    ranges = [(item["lo"], item["hi"]) if isinstance(item, dict) else (item, item) for item in declared]
    covered = {code for code in codes if any(low <= code <= high for low, high in ranges)}
    assert covered == missing & codes
    assert len(ranges) <= 3
    assert sum(low != high for low, high in ranges) <= 1
    assert len(ranges) <= 2 or all(low == high for low, high in ranges)


BAD = {
    "an unknown extension": ("x.xlsx", {}, ReadError, r"x\.xlsx: extension '\.xlsx' cannot be written; use \.sav, \.zsav, \.dta"),
    "a missing folder": ("gone/x.sav", {}, ReadError, r"folder '.*gone' does not exist; make it first"),
    "text and numbers": (
        "x.sav",
        {"mix": pd.Series(["a", 1, 2, 3, 4, 5], dtype=object)},
        TableError,
        r"column 'mix' mixes text and numbers",
    ),
}


@pytest.mark.parametrize(("name", "columns", "kind", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    name: str, columns: dict[str, object], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        ss.write_survey(trust_frame().assign(**columns), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_no_survey(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"nothing to write to x\.sav: no rows or no columns"):
        ss.write_survey(trust_frame().iloc[:0], tmp_path / "x.sav")


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ss.write_survey(trust_frame(), tmp_path / "x.sav")
    before = path.read_bytes()

    def half(dst_path: str, **_: object) -> None:
        Path(dst_path).write_bytes(b"half a file")
        raise pyreadstat.PyreadstatError("the disk is full")

    monkeypatch.setattr(pyreadstat, "write_sav", half)
    with pytest.raises(ReadError, match=r"x\.sav cannot be written: the disk is full"):
        ss.write_survey(trust_frame(), path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["x.sav"]


def test_long_labels_are_cut_between_characters(tmp_path: Path) -> None:
    long = "你是否信任议会？" * 40
    question = Question("trust", long, tuple(Option(option.code, f"{option.label} {long}") for option in TRUST))
    book = ss.Codebook("b", long, {}, {"trust": question}, missing={7: "refused", 8: "dont_know"})
    for suffix, read in ((".sav", pyreadstat.read_sav), (".dta", pyreadstat.read_dta)):
        _, meta = read(str(ss.write_survey(trust_frame(), tmp_path / f"x{suffix}", book)))
        label = meta.column_names_to_labels["trust"]
        assert label.endswith("…")
        assert long.startswith(label[:-1])
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdef", 5) == "ab…"


# --- what a format cannot hold is kept where it can be, else told -----------------------------------------------------------


def _book(text: str = "Q?", **parts: object) -> Codebook:
    options = (Option(1, "Yes"), Option(2, "No"))
    return Codebook("b", "B", {}, {"q": Question("q", text, options, **{"type": "nominal", **parts})})  # type: ignore[arg-type]


@pytest.mark.parametrize("first", [1, 99, 100, 101, 300])
def test_any_number_of_missing_answers_may_come_first(first: int, tmp_path: Path) -> None:
    book = _book(missing={0: "not_asked", 9: "refused"})
    survey = ss.as_survey(pd.DataFrame({"q": [0] * first + [1, 2, 9] * 3}), book, weight="none")
    back = ss.read_survey(ss.write_survey(survey, tmp_path / "x.dta"), book, weight="none")
    assert back.reasons.equals(survey.reasons)
    assert back.data.q[back.reasons.q.isna()].tolist() == [1, 2] * 3


def test_a_question_that_nobody_answered_goes_to_stata(tmp_path: Path) -> None:
    book = _book(missing={0: "not_asked"})
    survey = ss.as_survey(pd.DataFrame({"q": [0] * 120}), book, weight="none")
    assert ss.read_survey(ss.write_survey(survey, tmp_path / "x.dta"), book, weight="none").reasons.equals(survey.reasons)


NAMES = {
    ".sav": {
        "two words": "two_words",
        "With": "With_2",
        "@3、教育？": "V4",
        "TRUST": "TRUST_2",
        "a" * 70: "a" * 60,
        "filter_$": "filter_$",
    },
    ".dta": {"two words": "two_words", "a.b": "a_b", "using": "using_2", "TRUST": "TRUST", "a" * 33: "a" * 28, "1st": "V7"},
}


@pytest.mark.parametrize("suffix", NAMES)
def test_names_that_a_format_does_not_take_are_changed_and_told(suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"trust": [1.0, 2.0], **dict.fromkeys(NAMES[suffix], 3.0)})
    path = ss.write_survey(frame, tmp_path / f"x{suffix}")
    _, meta = getattr(pyreadstat, f"read_{suffix[1:]}")(path)
    assert meta.column_names == ["trust", *NAMES[suffix].values()]
    renamed = {old: new for old, new in NAMES[suffix].items() if old != new}
    assert {new: meta.column_names_to_labels[new] for new in renamed.values()} == {new: old for old, new in renamed.items()}
    assert all(f"{old!r} as {new!r}" in caplog.text for old, new in renamed.items())
    assert "name the variables so in the codebook" in caplog.text


@pytest.mark.parametrize(("missing", "expected"), [
    ({98: "dont_know", 99: "no_answer", ".i": "not_applicable", ".r": "refused"}, [{"lo": 96, "hi": 99}]),
    ({".i": "not_applicable", ".r": "refused"}, [{"lo": -2, "hi": -2}, {"lo": -1, "hi": -1}]),
    ({-1: "refused", -2: "other", ".i": "not_asked", ".r": "dont_know"}, [{"lo": -4, "hi": -1}]),
    ({98: "dont_know", ".d": "dont_know"}, [{"lo": 98, "hi": 98}]),
])  # fmt: skip
def test_tags_get_numbers_that_spss_can_declare(missing: dict[object, str], expected: list[object], tmp_path: Path) -> None:
    book = _book(missing=missing)
    survey = ss.as_survey(pd.DataFrame({"q": pd.Series([1, 2, *missing] * 3, dtype=object)}), book, weight="none")
    path = ss.write_survey(survey, tmp_path / "x.sav")
    assert pyreadstat.read_sav(path, user_missing=True)[1].missing_ranges["q"] == expected
    assert ss.read_survey(path, _book(), weight="none").reasons.q.isna().equals(survey.reasons.q.isna())


def test_long_labels_stay_distinct_in_spss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    long = "The very same long beginning of an answer, " * 3
    question = Question("q", "Q?", (Option(1, long + "yes"), Option(2, long + "no"), Option(3, "short")), type="nominal")
    frame = pd.DataFrame({"q": [1, 2, 3]})
    path = ss.write_survey(ss.as_survey(frame, Codebook("b", "B", {}, {"q": question}), weight="none"), tmp_path / "x.sav")
    labels = list(pyreadstat.read_sav(path)[1].variable_value_labels["q"].values())
    assert len(set(labels)) == 3
    assert all(len(label.encode()) <= 120 for label in labels)
    assert "value labels of 120 bytes; cut, and kept distinct, in q" in caplog.text


def test_text_that_spss_cannot_declare_missing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    question = Question("q", "Q?", (Option("yes", "Yes"), Option("no", "No")), type="nominal", missing={"no opinion": "dont_know"})
    book = Codebook("b", "B", {}, {"q": question})
    survey = ss.as_survey(pd.DataFrame({"q": ["yes", "no", "no opinion"]}), book, weight="none")
    path = ss.write_survey(survey, tmp_path / "x.sav")
    assert "q ('no opinion')" in caplog.text
    assert ss.read_survey(path, book, weight="none").reasons.equals(survey.reasons)


def test_labels_that_stata_cannot_hold_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    halves = Question("h", "H?", (Option(1.5, "Some"), Option(2, "All")))
    words = Question("t", "T?", (Option("y", "Yes"), Option("n", "No")))
    book = Codebook("b", "B", {}, {"h": halves, "t": words})
    survey = ss.as_survey(pd.DataFrame({"h": [1.5, 2], "t": ["y", "n"]}), book, weight="none")
    path = ss.write_survey(survey, tmp_path / "x.dta")
    assert "Stata labels whole numbers only; the codes stay without label in h (1.5)" in caplog.text
    assert "Stata labels no text and declares none missing; the codes stay in t" in caplog.text
    assert ss.read_survey(path, book, weight="none").data[["h", "t"]].values.tolist() == [[1.5, "y"], [2.0, "n"]]


def test_a_frame_of_labels_is_written_as_codes(tmp_path: Path) -> None:
    path = ss.write_survey(pd.DataFrame({"q": ["Yes", "no", None]}), tmp_path / "x.sav", _book())
    frame, meta = pyreadstat.read_sav(path)
    assert frame.q.tolist()[:2] == [1.0, 2.0]
    assert meta.variable_value_labels["q"] == {1.0: "Yes", 2.0: "No"}


def test_times_and_durations_are_written_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"when": pd.to_datetime(["2024-05-01 10:00", None]), "took": pd.to_timedelta(["1 days 02:00:00", None])})
    for suffix in (".sav", ".dta"):
        raw = read_columns(ss.write_survey(frame, tmp_path / f"x{suffix}")).frame
        assert raw.when.iloc[0].startswith("2024-05-01 10:00")
        assert raw.took.iloc[0] == "1 days 02:00:00"


def test_spss_is_told_how_to_declare_multiple_response_sets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = (ss.Option(1, "Yes"), ss.Option(0, "No"))
    asked = {name: ss.Question(name, f"Reads {name}?", options, "nominal", battery="q5") for name in ("papers", "books")}
    frame = pd.DataFrame({"papers": [1.0, 0.0], "books": [1.0, 1.0]})
    book = ss.Codebook("reading", "Reading", {}, asked)
    ss.write_survey(frame, tmp_path / "x.sav", book)
    assert "say MRSETS /MDGROUP NAME=$q5 VARIABLES=papers books VALUE=<code of yes> in SPSS" in caplog.text
    caplog.clear()
    ss.write_survey(frame, tmp_path / "x.dta", book)
    assert caplog.text == "", "Stata has no such sets"
