"""`draft_codebook`: what it writes is a codebook that reads the file it was drafted from."""

from __future__ import annotations

from pathlib import Path

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


def test_a_named_trait_that_is_none_is_refused(release: Path, tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"traits: My release \(v2\)\.sav has no variable 'agre'; did you mean 'agree'"):
        ss.draft_codebook(release, tmp_path / "x.toml", traits=["agre"])
    with pytest.raises(
        CodebookError, match=r"variable 'age' of .* cannot be levels: numbers without labels.* write \[traits\.age\] .* by hand"
    ):
        ss.draft_codebook(release, tmp_path / "x.toml", traits=["age"])
    assert not (tmp_path / "x.toml").exists()


LABELS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20).map(lambda word: f"x {word}")
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,15}(\.[a-z]{1,3})?", fullmatch=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(LABELS, min_size=2, max_size=6, unique=True), name=NAMES.filter(lambda name: name not in RESERVED))
def test_whatever_the_labels_a_draft_is_a_codebook(labels: list[str], name: str, tmp_path: Path) -> None:
    path, output = tmp_path / "x.sav", tmp_path / "x.toml"
    output.unlink(missing_ok=True)
    frame = pd.DataFrame({name: np.arange(len(labels)).astype(float)})
    pyreadstat.write_sav(frame, str(path), variable_value_labels={name: dict(enumerate(labels))})
    book = ss.load_codebook(ss.draft_codebook(path, output))
    assert book.question(name).labels == tuple(labels)
    assert len(ss.read_survey(path, book, weight="none")) == len(labels)


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
