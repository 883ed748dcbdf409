"""Codebooks: the dataclasses and the TOML reader, and every error they raise."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import MISSING_REASONS, DesignVariables, Level, Option, Question, Trait, Weight
from surveysim.codebook.declared import parse_codebook
from surveysim.errors import CodebookError

COMPLETE = """
[survey]
title = "A survey"
year = 2024
files = ["one.sav", "one.dta"]
respondent_id = ["country", "id"]
system_missing = "not_asked"

[weights.w]
use = "always"
[weights.both]
product_of = ["w", "size"]
without = "drop"

[design]
stratum = "layer"
replicate_weights = "rep*"

[wave]
round = 9
edition = ["9.1", "9.2"]

[missing]
77 = "refused"
-1 = "dont_know"
"7.5" = "other"
".a" = "not_applicable"
nan = "other"

[traits.sex]
variable = "gndr"
levels = [{ name = "male", text = "a man", codes = [1] }, { name = "female", text = "a woman", codes = [2, "F"] }]

[traits.age]
variable = "born"
subtract_from = 2024
ordered = true
missing = { 9999 = "no_answer" }
levels = [{ name = "young", range = [15, 39] }, { name = "old", range = [40, 99.5] }]

[questions.trust]
text = "Do you trust?"
options = [[0, "No"], [1, "Yes"]]
missing = { 8 = "dont_know" }
weight = "w"
topic = "trust"
[questions.trust.translations.de]
text = "Vertrauen Sie?"
options = ["Nein", "Ja"]

[questions."a.b"]
text = "Which?"
type = "nominal"
options = [["x", "The first"], ["y", "The second"], [77, "Seventy-seven"]]
verified = false
"""


@pytest.fixture
def codebook(tmp_path: Path) -> ss.Codebook:
    path = tmp_path / "complete.toml"
    path.write_text(COMPLETE, encoding="utf-8")
    return ss.load_codebook(path)


def test_every_declaration_arrives(codebook: ss.Codebook) -> None:
    assert (codebook.name, codebook.title, codebook.year) == ("complete", "A survey", "2024")
    assert codebook.files == ("one.sav", "one.dta")
    assert codebook.respondent_id == ("country", "id")
    assert codebook.weights == (Weight("w", use="always"), Weight("both", product_of=("w", "size"), without="drop"))
    assert codebook.design == DesignVariables(stratum="layer", replicate_weights="rep*")
    assert codebook.wave == {"round": (9,), "edition": ("9.1", "9.2")}
    assert codebook.missing == {77: "refused", -1: "dont_know", 7.5: "other", ".a": "not_applicable", "nan": "other"}
    sex, age = codebook.trait("sex"), codebook.trait("age")
    assert (sex.variable, sex.level_names, sex.level("female").codes) == ("gndr", ("male", "female"), (2, "F"))
    assert (age.subtract_from, age.ordered, age.missing, age.level("old").range) == (2024, True, {9999: "no_answer"}, (40.0, 99.5))
    assert age.level("old").text == "old"
    trust, which = codebook.question("trust"), codebook.question("a.b")
    assert (trust.codes, trust.labels, trust.weight, trust.topic) == ((0, 1), ("No", "Yes"), "w", "trust")
    assert (which.type, which.codes, which.verified) == ("nominal", ("x", "y", 77), False)


def test_a_question_overrides_common_missing_codes_and_an_option_is_never_missing(codebook: ss.Codebook) -> None:
    assert codebook.missing_codes(codebook.question("trust"))[8] == "dont_know"
    assert 77 in codebook.missing_codes(codebook.question("trust"))
    assert 77 not in codebook.missing_codes(codebook.question("a.b"))


def test_respondent_id_may_be_one_name() -> None:
    declared = {"survey": {"respondent_id": "id"}, "questions": {"q": {"text": "Q?", "options": [[1, "a"], [2, "b"]]}}}
    assert parse_codebook(declared, "one").respondent_id == ("id",)


def test_language_changes_the_words_and_not_the_codes(codebook: ss.Codebook) -> None:
    german = codebook.question("trust").in_language("de")
    assert (german.text, german.labels, german.codes) == ("Vertrauen Sie?", ("Nein", "Ja"), (0, 1))
    assert codebook.in_language("en") is codebook
    assert ss.load_codebook(codebook, language="en") is codebook
    with pytest.raises(CodebookError, match=r"'a\.b' has no wording in 'de'"):
        codebook.in_language("de")
    with pytest.raises(CodebookError, match="has no wording in 'fr'"):
        ss.load_codebook("nonvoters2020", language="fr")


def test_look_for_finds_every_word_in_any_column(codebook: ss.Codebook) -> None:
    assert list(codebook.look_for("TRUST do").question_id) == ["trust"]
    assert list(codebook.look_for("seventy").question_id) == ["a.b"]
    assert codebook.look_for("nothing of it").empty


def test_frame_and_html_hold_every_question(codebook: ss.Codebook) -> None:
    frame = codebook.to_frame()
    assert list(frame.question_id) == ["trust", "a.b"]
    assert frame.options[0] == "0 No; 1 Yes"
    assert "8 dont_know" in frame.missing[0]
    assert "Do you trust?" in codebook._repr_html_()
    assert "2 questions, traits sex, age" in repr(codebook)


def test_html_is_escaped() -> None:
    book = ss.Codebook("b", "<script>", {}, {"q": Q})
    assert "<script>" not in book._repr_html_()


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "changing.toml"
    path.write_text('[questions.q]\ntext = "Before?"\noptions = [[1, "a"], [2, "b"]]\n', encoding="utf-8")
    assert ss.load_codebook(path).question("q").text == "Before?"
    path.write_text('[questions.q]\ntext = "Afterwards?"\noptions = [[1, "a"], [2, "b"]]\n', encoding="utf-8")
    assert ss.load_codebook(path).question("q").text == "Afterwards?"


def test_a_codebook_is_returned_as_it_is(codebook: ss.Codebook) -> None:
    assert ss.load_codebook(codebook) is codebook


OPTIONS = (Option(1, "a"), Option(2, "b"))
LEVELS = (Level("x", "x", (1,)), Level("y", "y", (2,)))
Q = Question("q", "Q?", OPTIONS)

OBJECTS = [
    (lambda: Question("q", "Q?", OPTIONS, type="interval"), r"question 'q': type must be one of ordinal, nominal; got 'interval'"),
    (lambda: Question("q", "  ", OPTIONS), r"question 'q': text is empty"),
    (lambda: Question("q", "Q?", OPTIONS[:1]), r"needs at least two options; it has 1"),
    (lambda: Question("q", "Q?", (*OPTIONS, Option(1, "c"))), r"option code 1 is declared twice"),
    (lambda: Question("q", "Q?", (*OPTIONS, Option(3, "a"))), r"option label a is declared twice"),
    (lambda: Question("q", "Q?", OPTIONS, missing={2: "refused"}), r"code 2 stands in both options and missing"),
    (lambda: Question("q", "Q?", OPTIONS, missing={9: "gone"}), r"missing code 9 has reason 'gone'; use one of refused, dont_know"),
    (lambda: Question("q", "Q?", OPTIONS, translations={"de": {"options": ["x", "y"]}}), r"translation 'de' has no text"),
    (lambda: Question("q", "Q?", OPTIONS, translations={"de": {"text": "T", "options": ["x"]}}), r"1 option labels for 2 options"),
    (lambda: Level("x", "x"), r"level 'x': give either codes or a range"),
    (lambda: Level("x", "x", (1,), (1.0, 2.0)), r"level 'x': give either codes or a range"),
    (lambda: Level("x", "x", range=(9.0, 2.0)), r"range \[9, 2\] is empty"),
    (lambda: Trait("t", "v", LEVELS[:1]), r"trait 't': a trait needs at least two levels; it has 1"),
    (lambda: Trait("t", "v", (*LEVELS, Level("x", "x", (3,)))), r"level x is declared twice"),
    (lambda: Trait("t", "v", (*LEVELS, Level("z", "z", (1,)))), r"code 1 is declared twice"),
    (lambda: Trait("t", "v", (Level("a|b", "x", (1,)), *LEVELS[1:])), r"may hold neither '\|' nor '='; rename a\|b"),
    (lambda: Trait("t=u", "v", LEVELS), r"a trait's name may hold neither"),
    (lambda: Trait("t", "v", LEVELS, missing={1: "refused"}), r"code 1 stands in both levels and missing"),
    (lambda: Trait("t", "v", LEVELS, missing={9: "gone"}), r"trait 't': missing code 9 has reason 'gone'"),
    (lambda: Trait("t", "v", (Level("a", "a", range=(1, 5)), Level("b", "b", range=(5, 9)))), r"ranges of levels 'a' and 'b' overlap at 5"),
    (lambda: Trait("t", "v", LEVELS).level("z"), r"trait 't' has no level 'z'; known: x, y"),
    (lambda: Weight("w", without="ignore"), r"weight 'w': without must be 'refuse' or 'drop'; got 'ignore'"),
    (lambda: ss.Codebook("b", "B", {}, {}), r"codebook 'b' has no questions"),
    (lambda: ss.Codebook("b", "B", {"q": Trait("q", "q", LEVELS)}, {"q": Q}), r"q is both a trait and a question"),
    (lambda: ss.Codebook("b", "B", {}, {"weight": Q}), r"weight is a column of every survey"),
    (lambda: Trait("share", "v", LEVELS), r"trait 'share': result tables, where traits are columns too, have a column 'share'"),
    (lambda: Trait("draw_2", "v", LEVELS), r"another name, such as \[traits.draw_2_group\]"),
    (lambda: ss.Codebook("b", "B", {}, {"q": Q}, missing={9: "gone"}), r"codebook 'b': missing code 9 has reason 'gone'"),
    (lambda: ss.Codebook("b", "B", {}, {"q": Q}, system_missing="gone"), r"missing code system-missing has reason 'gone'"),
    (lambda: ss.Codebook("b", "B", {}, {"trust": Q}).question("trsut"), r"has no question 'trsut'; did you mean 'trust'"),
    (lambda: ss.Codebook("b", "B", {"age": Trait("age", "v", LEVELS)}, {"q": Q}).trait("aeg"), r"no trait 'aeg'; did you mean 'age'"),
]


@pytest.mark.parametrize(("make", "message"), OBJECTS, ids=[message for _, message in OBJECTS])
def test_a_contradiction_is_refused(make: object, message: str) -> None:
    with pytest.raises(CodebookError, match=message):
        make()  # type: ignore[operator]


UNWRITABLE = ("a\0b", "a\ud800")
WORDS: dict[str, Callable[[str], object]] = {
    "question_id": lambda bad: Question(bad, "Q?", OPTIONS),
    "text": lambda bad: Question("q", bad, OPTIONS),
    "options": lambda bad: Question("q", "Q?", (Option(1, bad), OPTIONS[1])),
    "missing": lambda bad: Question("q", "Q?", OPTIONS, missing={bad: "refused"}),
    "source": lambda bad: Question("q", "Q?", OPTIONS, source=bad),
    "translations": lambda bad: Question("q", "Q?", OPTIONS, translations={"de": {"text": "T", "options": ["x", bad]}}),
    "name": lambda bad: Trait(bad, "v", LEVELS),
    "variable": lambda bad: Trait("t", bad, LEVELS),
    "levels": lambda bad: Trait("t", "v", (Level("z", bad, ("c",)), *LEVELS)),
    "title": lambda bad: ss.Codebook("b", bad, {}, {"q": Q}),
    "respondent_id": lambda bad: ss.Codebook("b", "B", {}, {"q": Q}, respondent_id=("id", bad)),
    "weights": lambda bad: ss.Codebook("b", "B", {}, {"q": Q}, weights=(Weight("w", use=bad),)),
    "design": lambda bad: ss.Codebook("b", "B", {}, {"q": Q}, design=DesignVariables(stratum=bad)),
    "traits": lambda bad: ss.Codebook("b", "B", {bad: Trait("t", "v", LEVELS)}, {"q": Q}),
    "questions": lambda bad: ss.Codebook("b", "B", {}, {bad: Q}),
}


@pytest.mark.parametrize("bad", UNWRITABLE, ids=ascii)
@pytest.mark.parametrize("where", WORDS)
def test_letters_that_no_file_takes_are_refused_by_name(where: str, bad: str) -> None:
    with pytest.raises(CodebookError, match=f": {where} holds ") as raised:
        WORDS[where](bad)
    assert repr(bad) in str(raised.value)
    str(raised.value).encode()  # the message itself can be shown and written


def test_words_of_a_file_hold_no_nul(tmp_path: Path) -> None:
    path = tmp_path / "complete.toml"
    for word, refused in {
        "trust?": "question 'trust': text",
        "female": "trait 'sex': levels",
        "A survey": "codebook 'complete': title",
    }.items():
        assert word in COMPLETE
        path.write_text(COMPLETE.replace(word, f"{word}\\u0000"), encoding="utf-8")
        with pytest.raises(CodebookError, match=f"{refused} holds"):
            ss.load_codebook(path)


QUESTION = '[questions.q]\ntext = "Q?"\noptions = [[1, "a"], [2, "b"]]\n'
TRAIT = "[traits.t]\nlevels = [{ name = 'x', codes = [1] }, { name = 'y', codes = [2] }]\n"
FILES = {
    "not TOML": ("[survey", r"broken\.toml is not a valid UTF-8 TOML file"),
    "unknown table": (f"[surveys]\n{QUESTION}", r"unknown key 'surveys'; did you mean 'survey'"),
    "unknown key of the survey": (f"[survey]\ntitel = 'x'\n{QUESTION}", r"\[survey\]: unknown key 'titel'; did you mean 'title'"),
    "a table as a key of the survey": (f"[survey]\nweights = ['w']\n{QUESTION}", r"\[survey\]: unknown key 'weights'"),
    "unknown key of a question": (f"{QUESTION}wording = 'x'\n", r"question 'q': unknown key 'wording'"),
    "unknown key of a trait": (f"{TRAIT}order = true\n{QUESTION}", r"trait 't': unknown key 'order'; did you mean 'ordered'"),
    "unknown key of a level": (
        f"[traits.t]\nlevels = [{{ name = 'x', code = 1 }}]\n{QUESTION}",
        r"level 'x': unknown key 'code'; did you mean 'codes'",
    ),
    "unknown key of a weight": (f"[weights.w]\nwhen = 'x'\n{QUESTION}", r"weight 'w': unknown key 'when'"),
    "unknown key of the design": (f"[design]\nstrata = 'x'\n{QUESTION}", r"\[design\]: unknown key 'strata'; did you mean 'stratum'"),
    "a level without a name": (f"[traits.t]\nlevels = [{{ codes = [1] }}]\n{QUESTION}", r"trait 't': a level has no name"),
    "a level that is no table": (f"[traits.t]\nlevels = ['x']\n{QUESTION}", r"trait 't', a level must be a table"),
    "levels that are no list": (f"[traits.t]\nlevels = 'x'\n{QUESTION}", r"trait 't', levels must be a list"),
    "a range of one number": (
        f"[traits.t]\nlevels = [{{ name = 'x', range = [1] }}]\n{QUESTION}",
        r"level 'x': range is two numbers, \[low, high\]; got \[1\]",
    ),
    "a range of words": (f"[traits.t]\nlevels = [{{ name = 'x', range = ['a', 'b'] }}]\n{QUESTION}", r"range is two numbers"),
    "codes that are no list": (f"[traits.t]\nlevels = [{{ name = 'x', codes = 1 }}]\n{QUESTION}", r"codes must be a list"),
    "a code that is a list": (
        f"[traits.t]\nlevels = [{{ name = 'x', codes = [[1]] }}]\n{QUESTION}",
        r"a code is a number or a text; got \[1\]",
    ),
    "an option without a label": (
        '[questions.q]\ntext = "Q?"\noptions = [[1], [2, "b"]]\n',
        r"an option is written \[code, label\]; got \[1\]",
    ),
    "an option that is a word": ('[questions.q]\ntext = "Q?"\noptions = ["ab"]\n', r"an option is written \[code, label\]; got 'ab'"),
    "an option whose code is true": ('[questions.q]\ntext = "Q?"\noptions = [[true, "a"]]\n', r"a code is a number or a text; got True"),
    "options that are no list": ('[questions.q]\ntext = "Q?"\noptions = 3\n', r"question 'q', options must be a list"),
    "a question without text": ('[questions.q]\noptions = [[1, "a"], [2, "b"]]\n', r"question 'q': text is empty"),
    "a text that is a number": ('[questions.q]\ntext = 3\noptions = [[1, "a"], [2, "b"]]\n', r"question 'q': text must be str; got 3"),
    "verified that is a word": (f"{QUESTION}verified = 'no'\n", r"question 'q': verified must be bool; got 'no'"),
    "missing that is no table": (f"{QUESTION}missing = 9\n", r"question 'q', missing must be a table"),
    "questions that are no tables": ("questions = 3\n", r"\[questions\] must be a table"),
    "a question that is no table": ("[questions]\nq = 3\n", r"question 'q' must be a table"),
    "one option": ('[questions.q]\ntext = "Q?"\noptions = [[1, "a"]]\n', r"at least two options; it has 1"),
    "an unknown reason": (f"{QUESTION}missing = {{ 9 = 'unsure' }}\n", r"missing code 9 has reason 'unsure'"),
    "files that are numbers": (f"[survey]\nfiles = [1]\n{QUESTION}", r"\[survey\] files must be a name or a list of names; got \[1\]"),
    "no questions": ("[survey]\ntitle = 'x'\n", r"has no questions"),
    "a wave of tables": (f"[wave]\nround = {{ is = 9 }}\n{QUESTION}", r"\[wave\] round: a code is a number or a text"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_a_broken_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CodebookError, match=message):
        ss.load_codebook(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes('[survey]\ntitle = "Überblick"\n'.encode("latin-1"))
    with pytest.raises(CodebookError, match=r"latin\.toml is not a valid UTF-8 TOML file"):
        ss.load_codebook(path)


def test_an_unknown_name_or_path_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"no codebook is called 'nonvoters'; did you mean 'nonvoters2020'.*path of a \.toml file"):
        ss.load_codebook("nonvoters")
    with pytest.raises(CodebookError, match=r"gone\.toml' does not exist"):
        ss.load_codebook(tmp_path / "gone.toml")


def test_reasons_are_the_documented_ones() -> None:
    assert MISSING_REASONS == ("refused", "dont_know", "no_answer", "not_applicable", "not_asked", "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "9" * 5000, "is not a valid UTF-8 TOML file"),
        ("x = " + "[" * 5000, "is not a valid UTF-8 TOML file"),
        ("x = " + "{a=" * 5000, "is not a valid UTF-8 TOML file"),
        ('[survey]\nname = "x"\n[wave]\nround = ' + "9" * 400, r"a code is a number or a text; got \d{57}\.\.\."),
        ('[survey]\nname = "x"\n[wave]\nround = nan', r"a code is a number or a text; got nan"),
        ('[survey]\nname = "x"\n[wave]\nround = 1e400', r"a code is a number or a text; got inf"),
    ],
    ids=["5,000 digits", "5,000 brackets", "5,000 tables", "400 digits", "nan", "inf"],
)
def test_toml_that_is_made_to_hold_up_its_reader(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(CodebookError, match=message) as caught:
        ss.load_codebook(path)
    assert len(str(caught.value)) < 500


def test_a_codebook_that_is_no_codebook_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"# filled up\n" * 1_400_000)
    with pytest.raises(CodebookError, match=r"x\.toml has 16,800,000 bytes, more than any codebook \(16,000,000\); give the right file"):
        ss.load_codebook(path)


def test_twenty_thousand_levels_take_no_longer_than_they_must(tmp_path: Path) -> None:
    """Ten times as many take about ten times as long, not a hundred: compared within one process, so that a busy machine slows both."""

    def spent(n: int) -> dict[str, float]:
        levels = ", ".join(f'{{ name = "level {number}", codes = [{number}] }}' for number in range(n))
        options = ", ".join(f'[{number}, "option {number}"]' for number in range(n))
        asked = f'[traits.place]\nlevels = [{levels}]\n[questions.q]\ntext = "How?"\noptions = [{options}]\n'
        path = tmp_path / f"{n}.toml"
        path.write_text('[survey]\nname = "x"\n[weights.w]\n' + asked)
        ends = [time.process_time()]
        book = ss.load_codebook(path)
        ends.append(time.process_time())
        survey = ss.as_survey(pd.DataFrame({"place": range(n), "q": range(n), "w": 1.0}), book)
        ends.append(time.process_time())
        assert len(ss.background_grid(book, by=["place"])) == len(ss.observed_backgrounds(survey, by=["place"])) == n
        ends.append(time.process_time())
        ss.write_survey(survey, tmp_path / f"{n}.sav")
        ends.append(time.process_time())
        assert book.trait("place").level(f"level {n - 1}").codes == (n - 1,)
        return {name: ends[place + 1] - ends[place] for place, name in enumerate(("load", "respondents", "backgrounds", "write"))}

    spent(500)
    few, many = ([spent(n) for _ in range(3)] for n in (2_000, 20_000))
    least = {n: {name: min(each[name] for each in runs) for name in runs[0]} for n, runs in (("few", few), ("many", many))}
    assert {name: took for name, took in least["many"].items() if took > 25 * max(least["few"][name], 0.04)} == {}
