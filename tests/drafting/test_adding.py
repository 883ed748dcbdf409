"""`add_question`: what a draft leaves out can be asked by name; the codebook and its file stay as they are, but for `--add`."""

from __future__ import annotations

from pathlib import Path

import pytest

import surveysim as ss
from surveysim import cli
from surveysim.errors import CodebookError
from tests.support.labelled import drafted, labelled_file

ROWS = 60


@pytest.fixture
def release(tmp_path: Path) -> Path:
    columns = {
        "vote": [1.0, 2.0, 0.0] * 20,
        "leader": [1.0, 2.0, 9.0, -5.0] * 15,
        "region": [1.0 + row % 15 for row in range(ROWS)],
        "party": ["Left", "Right", ""] * 20,
        "warm": [float(row * 100 // 59) for row in range(ROWS)],
        "ident": [f"person {row * 7}" for row in range(ROWS)],
        "income": [row * 1000.0 for row in range(ROWS)],
        "one": [1.0] * ROWS,
        "stratum": [1.0, 2.0] * 30,
    }
    values = {
        "vote": {1.0: "Labor", 2.0: "Liberal"},
        "leader": {1.0: "Ann", 2.0: "Bob"},
        "region": {float(code): f"R{code}" for code in range(1, 16)},
        "warm": {0.0: "Cold", 100.0: "Warm"},
        "stratum": {1.0: "North", 2.0: "South"},
    }
    return labelled_file(tmp_path / "x.sav", columns, {"vote": "Party voted for"}, values)


def test_codes_without_a_label_become_options_or_missing_and_the_source_says_so(release: Path) -> None:
    book, _ = drafted(release)
    added = ss.add_question(book, release, "vote")
    assert "vote" not in book.questions
    vote = added.question("vote")
    assert (vote.text, vote.codes, vote.labels, vote.verified) == ("Party voted for", (0, 1, 2), ("0", "Labor", "Liberal"), False)
    assert vote.source == "variable and value labels of the file; code 0 has no label and is an option under its number: check it"
    leader = ss.add_question(book, release, "LEADER").question("leader")
    assert (leader.codes, leader.missing) == ((1, 2), {-5: "other", 9: "other"})
    assert "code 9 (15 respondents) has no label and stands apart: missing here, check it" in leader.source
    survey = ss.read_survey(release, ss.add_question(book, release, ["vote", "leader"]), weight="none", questions=["vote", "leader"])
    assert survey.reasons.leader.value_counts().to_dict()["other"] == 30
    assert survey.reasons.vote.isna().all()


def test_lists_thermometers_and_short_texts_are_taken(release: Path) -> None:
    book, _ = drafted(release)
    added = ss.add_question(book, release, ["region", "warm", "party"])
    assert len(added.question("region").options) == 15
    warm = added.question("warm")
    assert (warm.type, warm.labels[0], warm.labels[-1], len(warm.options)) == ("ordinal", "Cold", "Warm", ROWS)
    assert added.question("party").codes == ("Left", "Right")
    survey = ss.read_survey(release, added, weight="none", questions=["region", "warm", "party"])
    assert survey.reasons.notna().sum().to_dict() == {"region": 0, "warm": 0, "party": 20}


@pytest.mark.parametrize(("name", "message"), {
    "q": r"questions: codebook 'x' has 'q' already; leave it out, or change it there",
    "votes": r"questions: x\.sav has no variable 'votes'; did you mean 'vote'",
    "one": r"variable 'one' of x\.sav makes no question: numbers without labels, 1 different ones from 1 to 1; choose another",
    "stratum": r"variable 'stratum' of x\.sav makes no question: 'stratum' is a column of every survey: rename the variable in the file",
    "": r"questions: x\.sav has no variable ''",
}.items())  # fmt: skip
def test_what_cannot_be_added_says_why(name: str, message: str, release: Path) -> None:
    book, _ = drafted(release)
    with pytest.raises(CodebookError, match=message):
        ss.add_question(book, release, name)


def test_too_many_answers_are_no_question(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "x.sav", {"ident": [f"person {row}" for row in range(200)]})
    with pytest.raises(CodebookError, match=r"variable 'ident' of x\.sav makes no question: 200 answers, and 120 are the most"):
        ss.add_question(drafted(path)[0], path, "ident")


def test_the_error_for_a_variable_that_the_codebook_lacks_is_the_line_that_adds_it(release: Path) -> None:
    _, _ = drafted(release)
    toml = release.with_suffix(".toml")
    with pytest.raises(CodebookError, match=r"has no question 'vote', and x\.sav has such a variable: add_question") as raised:
        ss.read_survey(release, toml, questions=["vote"], weight="none")
    line = str(raised.value).split("variable: ")[1].split(" returns")[0]
    book = eval(line, {"add_question": ss.add_question})
    assert ss.read_survey(release, book, questions="vote", weight="none").questions == ("vote",)
    with pytest.raises(CodebookError, match=r"has no question 'votes'; known: q"):
        ss.read_survey(release, toml, questions=["votes"], weight="none")


def test_the_command_line_writes_into_the_codebook(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, before = drafted(release)
    toml = release.with_suffix(".toml")
    assert cli.main(["describe", str(release), "--codebook", str(toml), "--add", "vote", "region"]) == 0
    assert "vote, region added at its end" in capsys.readouterr().out
    after = toml.read_text(encoding="utf-8")
    assert after.startswith(before.rstrip("\n"))
    assert "# code 0 has no label and is an option under its number: check it\n" in after
    assert list(ss.load_codebook(toml).questions)[-2:] == ["vote", "region"]
    assert cli.main(["describe", str(release), "--codebook", str(toml), "--add", "vote"]) == 2
    assert "has 'vote' already" in capsys.readouterr().err
    assert cli.main(["describe", str(release), "--add", "vote"]) == 2
    assert "no .toml file to write into; name your own with --codebook" in capsys.readouterr().err
    assert toml.read_text(encoding="utf-8") == after
