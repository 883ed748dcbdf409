"""`draft_codebook`: what it writes is a codebook that reads the file it was drafted from."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.codebook import RESERVED
from surveysim.errors import CodebookError, ReadError
from tests.support import synthetic
from tests.support.labelled import drafted, labelled_file


def write(path: Path, frame: pd.DataFrame, labels: dict[str, dict[object, str]], **options: object) -> Path:
    names = {"wt": "Design weight", "bodyw": "Body weight in kg", "age": "Age of respondent", "sex": "Sex"}
    pyreadstat.write_sav(frame, str(path), column_labels=names, variable_value_labels=labels, **options)  # type: ignore[call-overload]
    return path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    n = 60
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 1.0,
            "sex": draw.choice([1.0, 2.0], n),
            "age": draw.integers(16, 90, n).astype(float),
            "wt": draw.gamma(2, 1, n),
            "bodyw": draw.normal(70, 9, n),
            "trust": draw.choice([0.0, 3, 5, 10, 77, 88], n),
            "agree": draw.choice([1.0, 2, 8], n),
            "region": draw.integers(1, 20, n).astype(float),
        }
    )
    frame.loc[0, "age"] = 16.0
    labels: dict[str, dict[object, str]] = {
        "sex": {1: "Male", 2: "Female"},
        "trust": {0: "No trust", 10: 'Complete "trust" \\ faith', 77: "Refusal", 88: "Don't know"},
        "agree": {1: "Agree", 2: "Disagree"},
        "region": {code: f"Region {code}" for code in range(1, 20)},
    }
    return write(tmp_path / "My release (v2).sav", frame, labels, missing_ranges={"trust": [77, 88], "agree": [8]})


def test_a_draft_reads_the_file_it_came_from(release: Path, tmp_path: Path) -> None:
    path = ss.draft_codebook(release, tmp_path / "mine.toml")
    book = ss.load_codebook(path)
    assert (book.name, book.files, book.verified) == ("mine", ("My release (v2).sav",), False)
    assert list(book.questions) == ["trust", "agree"]
    trust = book.question("trust")
    assert trust.codes == tuple(range(11))
    assert trust.labels == ("No trust", *map(str, range(1, 10)), 'Complete "trust" \\ faith')
    assert trust.missing == {77: "refused", 88: "dont_know"}
    assert book.question("agree").missing == {8: "other"}
    assert not trust.verified
    assert [weight.variable for weight in book.weights] == ["wt"], "body weight is no survey weight"
    assert book.trait("gender").variable == "sex"
    assert ss.describe_background({"gender": "female", "age": "16-34"}, book) == "a woman aged 16 to 34"
    survey = ss.read_survey(release, book)
    frame, _ = pyreadstat.read_sav(str(release), user_missing=True)
    assert survey.reasons.trust.isna().sum() == (frame.trust <= 10).sum()
    assert survey.data.gender.notna().all()
    assert survey.data.age.notna().all()


def test_a_draft_is_named_after_the_file_and_never_overwrites(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ss.draft_codebook(release) == Path("my_release_v2.toml")
    with pytest.raises(CodebookError, match=r"'my_release_v2\.toml' exists already; name another output=, or remove it first"):
        ss.draft_codebook(release)


def test_a_draft_of_stata_tags(tmp_path: Path) -> None:
    book = ss.load_codebook(ss.draft_codebook(synthetic.write_dta(tmp_path / "x.dta"), tmp_path / "x.toml"))
    assert book.question("trust").missing == {".b": "refused", ".c": "dont_know"}
    assert len(ss.read_survey(tmp_path / "x.dta", book, weight="w")) == 6


def test_a_draft_of_chinese_labels(tmp_path: Path) -> None:
    book = ss.load_codebook(ss.draft_codebook(synthetic.write_chinese_dta(tmp_path / "x.dta"), tmp_path / "x.toml"))
    assert book.question("trust").labels == ("完全不信任", "有些信任", "完全信任")
    assert book.question("trust").missing == {7: "refused", 8: "dont_know"}


def test_named_variables_become_traits(release: Path, tmp_path: Path) -> None:
    book = ss.load_codebook(ss.draft_codebook(release, tmp_path / "mine.toml", traits=["agree", "sex"]))
    assert list(book.questions) == ["trust"]
    assert list(book.traits) == ["age", "agree", "sex"], "the named ones in the order given, sex once"
    assert [level.text for level in book.trait("agree").levels] == ["whose agree is Agree", "whose agree is Disagree"]
    assert book.trait("agree").missing == {8: "other"}
    assert ss.describe_background({"sex": "Female", "agree": "Agree"}, book) == "a woman whose agree is Agree"
    survey = ss.read_survey(release, book)
    frame, _ = pyreadstat.read_sav(str(release), user_missing=True)
    assert (survey.data.agree == "Agree").sum() == (frame.agree == 1).sum()
    assert survey.data.agree.isna().sum() == (frame.agree == 8).sum()


def test_a_named_trait_called_as_a_column_of_tables_gets_another_name(tmp_path: Path) -> None:
    path = labelled_file(
        tmp_path / "x.sav",
        {"level": [1.0, 2.0] * 5, "lib": [1.0, 2.0] * 5},
        {},
        {"level": {1.0: "Low", 2.0: "High"}, "lib": {1.0: "Favor", 2.0: "Oppose"}},
    )
    book, _ = drafted(path, traits=["level"])
    assert [(name, trait.variable) for name, trait in book.traits.items()] == [("level_group", "level")]


def test_a_named_trait_that_is_none_is_refused(release: Path, tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"traits: My release \(v2\)\.sav has no variable 'agre'; did you mean 'agree'"):
        ss.draft_codebook(release, tmp_path / "x.toml", traits=["agre"])
    with pytest.raises(
        CodebookError, match=r"variable 'age' of .* cannot be levels: numbers without labels.* write \[traits\.age\] .* by hand"
    ):
        ss.draft_codebook(release, tmp_path / "x.toml", traits=["age"])
    assert not (tmp_path / "x.toml").exists()


SPSS_WORDS = {"ALL", "AND", "BY", "EQ", "GE", "GT", "LE", "LT", "NE", "NOT", "OR", "TO", "WITH"}  # names that SPSS does not allow
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=24)
SPECIAL = ["Refused", "Don't know", "RF", ">= MA level", "a|b=c", '"', "\\", "'''", '"""', "]", "#", "line\nend", "\t", "7", "  "]
TEXTS = st.one_of(ANY_TEXT, st.sampled_from([*SPECIAL, "Male", "Female", "Other", "Not asked", "Age", "Weight", "Yes", "No"]))
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,15}(\.[a-z]{1,3})?", fullmatch=True).filter(lambda name: name.upper() not in SPSS_WORDS)
CODES = st.one_of(st.integers(-9, 12), st.sampled_from([77, 88, 97, 98, 99, 999, 99_999_996, 0.5]))


@st.composite
def any_columns(draw: st.DrawFn) -> dict[str, tuple[str, dict[float, str], list[float | None], list[float]]]:
    """Columns of any mix: name -> label, value labels, values, declared missing codes."""
    found, taken = {}, {"q"}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4)):
        if name.lower().replace(".", "_") in taken:
            continue
        taken.add(name.lower().replace(".", "_"))
        codes = draw(st.lists(CODES, min_size=1, max_size=9, unique=True))
        labels = {float(code): draw(TEXTS) for code in codes if draw(st.booleans())}
        values = draw(st.lists(st.sampled_from([*map(float, codes), None]), min_size=12, max_size=12))
        missing = [float(code) for code in codes if draw(st.integers(0, 5)) == 0][:3]
        found[name] = (draw(TEXTS), labels, values, missing)
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(columns=any_columns(), suffix=st.sampled_from([".sav", ".dta"]), as_traits=st.booleans())
def test_every_draft_loads_and_reads_the_file_it_came_from(
    columns: dict[str, Any], suffix: str, *, as_traits: bool, tmp_path: Path
) -> None:
    path, output = tmp_path / f"x{suffix}", tmp_path / "x.toml"
    output.unlink(missing_ok=True)
    columns = {name.replace(".", "_") if suffix == ".dta" else name: column for name, column in columns.items()}
    frame = pd.DataFrame({name: column[2] for name, column in columns.items()} | {"q": [1.0, 2.0] * 6}, dtype=float)
    labels = {name: column[1] for name, column in columns.items() if column[1]} | {"q": {1.0: "Yes", 2.0: "No"}}
    said = {name: column[0] for name, column in columns.items()}
    if suffix == ".dta":
        labels = {name: each for name, each in labels.items() if all(float(code).is_integer() for code in each)}
        pyreadstat.write_dta(frame, str(path), column_labels=said, variable_value_labels=labels)
    else:
        missing = {name: column[3] for name, column in columns.items() if column[3]}
        pyreadstat.write_sav(frame, str(path), column_labels=said, variable_value_labels=labels, missing_ranges=missing)
    ss.draft_codebook(path, output)
    book, text = ss.load_codebook(output), output.read_text(encoding="utf-8")
    assert len(ss.read_survey(path, book, weight="none")) == 12
    used = {*book.questions, *(trait.variable for trait in book.traits.values()), *(weight.variable for weight in book.weights)}
    for name in columns:
        assert name in used or f"# - {name}: " in text, "left out without a word"
    named = [name for name in columns if name in book.questions]
    if as_traits and named:
        output.unlink()
        again = ss.load_codebook(ss.draft_codebook(path, output, traits=named))
        assert set(named) <= {trait.variable for trait in again.traits.values()}
        assert len(ss.read_survey(path, again, weight="none")) == 12


LABELS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20).map(lambda word: f"x {word}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(LABELS, min_size=2, max_size=6, unique=True), name=NAMES.filter(lambda name: name not in RESERVED))
def test_whatever_the_labels_they_become_the_options(labels: list[str], name: str, tmp_path: Path) -> None:
    path, output = tmp_path / "x.sav", tmp_path / "x.toml"
    output.unlink(missing_ok=True)
    frame = pd.DataFrame({name: np.arange(len(labels)).astype(float)})
    pyreadstat.write_sav(frame, str(path), variable_value_labels={name: dict(enumerate(labels))})
    book = ss.load_codebook(ss.draft_codebook(path, output))
    assert book.question(name).labels == tuple(labels)
    assert len(ss.read_survey(path, book, weight="none")) == len(labels)


def test_what_is_left_out_stands_at_the_end_with_the_reason(tmp_path: Path) -> None:
    columns = {
        "vote": [1.0, 2.0, 0.0] * 20,
        "lib": [1.0, 2.0, 3.0] * 20,
        "region": [1.0 + row % 15 for row in range(60)],
        "party": ["Left", "Right"] * 30,
        "warm": [float(row) for row in range(60)],
        "gone": [9.0] * 60,
    }
    values = {
        "vote": {1.0: "Labor", 2.0: "Liberal"},
        "lib": {1.0: "Favor", 2.0: "Oppose", 3.0: "Oppose"},
        "region": {float(code): f"R{code}" for code in range(1, 16)},
        "gone": {9.0: "Refused"},
    }
    path = labelled_file(tmp_path / "x.sav", columns, {}, values)
    book, text = drafted(path)
    assert list(book.questions) == ["lib", "q"]
    assert text.rstrip().splitlines()[-5:] == [
        "# - vote: code 0 (20 respondents) beside the labels has none",
        "# - region: 15 labelled answers, a list rather than a question",
        "# - party: text without labels, 2 different answers",
        "# - warm: numbers without labels, 60 different ones from 0 to 59",
        "# - gone: no respondent has a valid answer",
    ]
    assert "# Left out, 5 variables. To ask one all the same: add_question('x.toml', 'x.sav', \"<variable>\"), or" in text
    message = r"variable 'vote' of x\.sav cannot be levels: code 0 \(20 respondents\) beside the labels has none"
    with pytest.raises(CodebookError, match=message):
        ss.draft_codebook(path, tmp_path / "y.toml", traits=["vote"])


def test_two_codes_with_one_label_are_one_option_and_both_are_noted(tmp_path: Path) -> None:
    values = {"lib": {1.0: "Favor", 2.0: "Oppose", 3.0: "Oppose"}}
    path = labelled_file(tmp_path / "x.sav", {"lib": [1.0, 2.0, 3.0, 3.0] * 5}, {}, values)
    book, text = drafted(path)
    assert (book.question("lib").codes, book.question("lib").merged) == ((1, 2), {3: 2})
    assert "# codes 2 and 3 bear the same label 'Oppose': they count as 2" in text
    survey = ss.read_survey(path, book, weight="none")
    assert survey.data.lib.value_counts().to_dict() == {2.0: 15, 1.0: 5}
    assert "question 'lib': code 3 (10 respondents) counts as 2" in survey.notes
    with_levels, _ = drafted(path, traits=["lib"])
    assert [level.codes for level in with_levels.trait("lib").levels] == [(1,), (2, 3)]


def test_signs_of_a_backgrounds_id_are_replaced_in_levels(tmp_path: Path) -> None:
    values = {"educ": {1.0: "< BA", 2.0: ">= MA level", 3.0: "BA|other=x"}}
    path = labelled_file(tmp_path / "x.sav", {"educ": [1.0, 2.0, 3.0, 3.0]}, {}, values)
    book, _ = drafted(path, traits=["educ"])
    assert book.trait("educ").level_names == ("< BA", "≥ MA level", "BA/other:x")
    assert ss.read_survey(path, book, weight="none").data.educ.tolist() == ["< BA", "≥ MA level", "BA/other:x", "BA/other:x"]


def test_missing_labels_are_missing_and_doubtful_ones_have_a_comment(tmp_path: Path) -> None:
    values = {
        "a": {1.0: "Agree", 2.0: "Disagree", 3.0: "(VOL.) Don’t know", -1.0: "Missing"},
        "b": {1.0: "Rose", 2.0: "Declined", 3.0: "Stayed"},
        "c": {1.0: "Yes", 2.0: "No", 9.0: "RF"},
    }
    path = labelled_file(tmp_path / "x.sav", {"a": [1.0, 2, 3, -1], "b": [1.0, 2, 3, 3], "c": [1.0, 2, 9, 9]}, {}, values)
    book, text = drafted(path)
    assert book.question("a").missing == {3: "dont_know", -1: "other"}
    assert book.question("b").labels == ("Rose", "Declined", "Stayed")
    assert "# code 2 'Declined' is an answer here; it may be none: check it" in text
    assert book.question("c").missing == {9: "refused"}
    assert "# code 9 'RF' is missing here by where its code stands (refused): check it" in text


def test_labels_far_apart_take_no_memory(tmp_path: Path) -> None:
    top = 99_999_996.0
    values = {"income": {0.0: "None", top: "Top code"}}
    path = labelled_file(tmp_path / "x.sav", {"income": [0.0, top, *(row * 1000.0 + 500 for row in range(98))]}, {}, values)
    tracemalloc.start()
    _, text = drafted(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert "# - income: 98 codes from 500 to 97500 (98 respondents) beside the labels have none" in text


def test_a_variable_named_as_a_column_of_every_survey_is_no_question(tmp_path: Path) -> None:
    frame = pd.DataFrame({"stratum": [1.0, 2.0], "q": [1.0, 2.0]})
    labels: dict[str, dict[object, str]] = {"stratum": {1: "North", 2: "South"}, "q": {1: "Yes", 2: "No"}}
    book = ss.load_codebook(ss.draft_codebook(write(tmp_path / "x.sav", frame, labels), tmp_path / "x.toml"))
    assert list(book.questions) == ["q"]


def test_what_cannot_be_drafted_says_why(tmp_path: Path) -> None:
    csv = synthetic.write_text(tmp_path / "x.csv", synthetic.trust_csv())
    with pytest.raises(ReadError, match=r"x\.csv carries no labels to draft a codebook from; use a \.sav"):
        ss.draft_codebook(csv, tmp_path / "x.toml")
    with pytest.raises(ReadError, match=r"gone\.sav' does not exist"):
        ss.draft_codebook(tmp_path / "gone.sav", tmp_path / "x.toml")
    with pytest.raises(CodebookError, match=r"output='x\.txt': a codebook's name ends in \.toml"):
        ss.draft_codebook(csv, "x.txt")
    bare = write(tmp_path / "bare.sav", synthetic.trust_frame(), {})
    with pytest.raises(CodebookError, match=r"bare\.sav: no variable has 2 to 12 labelled answers"):
        ss.draft_codebook(bare, tmp_path / "x.toml")
    assert not (tmp_path / "x.toml").exists()


def test_a_missing_code_between_the_ends_of_a_scale_is_no_step_of_it(tmp_path: Path) -> None:
    """0 is declared missing, 1 stands between the ends without a label: the draft loads, and 0 is an option no more."""
    path = tmp_path / "scale.sav"
    frame = pd.DataFrame({"a": [0.0, 0.0, 4.0, -2.0, 1.0]})
    pyreadstat.write_sav(frame, path, variable_value_labels={"a": {-2: "worst", 4: "best"}}, missing_ranges={"a": [0]})
    question = ss.load_codebook(ss.draft_codebook(path, tmp_path / "scale.toml")).question("a")
    assert list(question.codes) == [-2, -1, 1, 2, 3, 4]
    assert list(question.missing) == [0]
