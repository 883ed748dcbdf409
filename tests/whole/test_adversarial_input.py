"""Broken files and broken codebooks: each is refused with a text that names the culprit, the rule it breaks, and what to do.

A case gives what the text must say, one entry for each of the three. `test_readers.py` and `test_codebook.py` have further ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.errors import CodebookError, DesignError, ReadError, SurveySimError
from tests.support import synthetic

Said = tuple[str, str, str]  # the culprit, the rule, the remedy

GOOD = """
[survey]
respondent_id = "id"
[weights.w]
[traits.sex]
variable = "gndr"
levels = [{ name = "male", codes = [1] }, { name = "female", codes = [2] }]
[questions.trust]
text = "Do you trust parliament?"
options = [[0, "No trust at all"], [1, "Some trust"], [2, "Complete trust"]]
missing = { 7 = "refused", 8 = "dont_know" }
"""

# --- files: what is done to a good one, or put in its place


def _cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def _sav(folder: Path, **columns: object) -> Path:
    """A file whose columns are changed; None takes a column out."""
    frame = synthetic.trust_frame().assign(**{name: value for name, value in columns.items() if value is not None})
    return synthetic.write_sav(folder / "x.sav", frame.drop(columns=[name for name, value in columns.items() if value is None]))


def _twins(folder: Path) -> Path:
    pyreadstat.write_sav(synthetic.trust_frame().assign(TRUST=1.0), str(folder / "x.sav"))
    return folder / "x.sav"


def _empty(folder: Path) -> Path:
    pyreadstat.write_sav(synthetic.trust_frame().iloc[:0], str(folder / "x.sav"))
    return folder / "x.sav"


def _unasked(folder: Path) -> Path:
    pyreadstat.write_sav(synthetic.trust_frame().drop(columns="trust"), str(folder / "x.sav"))
    return folder / "x.sav"


def _parquet(folder: Path) -> Path:
    synthetic.trust_frame(200).to_parquet(folder / "x.parquet")
    return _cut(folder / "x.parquet", 0.7)


def _inverted(folder: Path) -> Path:
    return synthetic.write_sav(folder / "x.sav", labels={0: "Complete trust", 1: "Some trust", 2: "No trust at all"})


FILES: dict[str, tuple[Callable[[Path], Path], type[SurveySimError], Said]] = {
    "missing": (lambda f: f / "x.sav", ReadError, ("x.sav", "does not exist", "check the path")),
    "in a missing folder": (lambda f: f / "no" / "x.sav", ReadError, ("x.sav", "nor does its folder", "check the path")),
    "a folder": (lambda f: f, ReadError, ("", "is a folder", "give the path of one survey file")),
    "of an unknown kind": (
        lambda f: synthetic.write_text(f / "x.xlsx", "a"),
        ReadError,
        ("x.xlsx", "extension '.xlsx' is unknown", "save the sheet as .csv"),
    ),
    "empty": (lambda f: synthetic.write_text(f / "x.sav", ""), ReadError, ("x.sav", "is empty (0 bytes)", "download it again")),
    "text called .sav": (
        lambda f: synthetic.write_text(f / "x.sav", synthetic.trust_csv()),
        ReadError,
        ("x.sav", "is not an SPSS file", "rename it to x.csv"),
    ),
    "an archive called .sav": (
        lambda f: synthetic.write_text(f / "x.sav", "PK\x03\x04\0\0"),
        ReadError,
        ("x.sav", "is not an SPSS file", "download it again"),
    ),
    "truncated .sav": (
        lambda f: _cut(synthetic.write_sav(f / "x.sav"), 0.3),
        ReadError,
        ("x.sav", "cannot be read to its end", "download it again"),
    ),
    "truncated .zsav": (
        lambda f: _cut(synthetic.write_sav(f / "x.zsav", synthetic.trust_frame(500)), 0.8),
        ReadError,
        ("x.zsav", "cannot be read to its end", "download it again"),
    ),
    "truncated .dta": (
        lambda f: _cut(synthetic.write_dta(f / "x.dta"), 0.95),
        ReadError,
        ("x.dta", "is truncated", "download it again"),
    ),
    "truncated .por": (
        lambda f: _cut(synthetic.write_portable(f / "x.por", records="87/"), 0.8),
        ReadError,
        ("x.por", "portable file", "save it as .sav"),
    ),
    "truncated .parquet": (_parquet, ReadError, ("x.parquet", "truncated or damaged", "download it again")),
    "without respondents": (_empty, ReadError, ("x.sav", "holds no respondents", "not a row")),
    "with a line too long": (
        lambda f: synthetic.write_text(f / "x.csv", synthetic.trust_csv() + "7,1,1,1,1\n"),
        ReadError,
        ("x.csv", "Expected 4 columns, got 5", "line"),
    ),
    "with two names alike": (_twins, CodebookError, ("'trust' and 'TRUST'", "differ by case only", "rename")),
    "without a question": (_unasked, CodebookError, ("'trust'", "x.sav lacks", "known: ")),
    "without a trait's variable": (
        lambda f: _sav(f, gndr=None, gender=1.0),
        CodebookError,
        ("'gndr'", "x.sav lacks", "did you mean 'gender'"),
    ),
    "with an unknown answer": (
        lambda f: _sav(f, trust=[0.0, 1, 5, 7, 8, 1]),
        CodebookError,
        ("question 'trust': code 5 (1 respondents)", "in neither options nor missing", "add it to one of them"),
    ),
    "with an unknown level": (
        lambda f: _sav(f, gndr=[1.0, 2, 1, 2, 1, 3]),
        CodebookError,
        ("trait 'sex' (variable 'gndr'): code 3 (1 respondents)", "in neither levels nor missing", "add it to one of them"),
    ),
    "with an inverted scale": (
        _inverted,
        CodebookError,
        ("question 'trust'", "the scale is inverted", "read the release whose scales are not"),
    ),
    "with a negative weight": (
        lambda f: _sav(f, w=[-1.0, 1, 1, 1, 1, 1]),
        DesignError,
        ("weight 'w'", "must be finite and >= 0", "correct the file"),
    ),
    "with a missing weight": (
        lambda f: _sav(f, w=[None, 1.0, 1, 1, 1, 1]),
        DesignError,
        ("weight 'w': 1 missing", "must be finite and >= 0", "correct the file"),
    ),
    "with weights of zero": (lambda f: _sav(f, w=0.0), DesignError, ("weight 'w'", "is zero for every", "choose another weight")),
    "with a respondent twice": (
        lambda f: _sav(f, id=[1.0, 1, 2, 3, 4, 5]),
        CodebookError,
        ("id does not identify respondents: 1", "stand twice", "remove the repeated"),
    ),
}


@pytest.mark.parametrize(("make", "kind", "said"), FILES.values(), ids=FILES)
def test_a_broken_file_is_refused_clearly(make: Callable[[Path], Path], kind: type[SurveySimError], said: Said, tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "trust.toml").write_text(GOOD, encoding="utf-8")
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(kind) as refused:
        ss.read_survey(path, tmp_path / "book" / "trust.toml")
    assert [part for part in said if part not in str(refused.value)] == [], str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written or removed"


# --- codebooks: what is replaced in the good one, and by what

BOOKS: dict[str, tuple[str, str, Said]] = {
    "no TOML": ("[survey]", "[survey", ("trust.toml", "not a valid UTF-8 TOML file", "correct it there")),
    "an unknown table": ("[questions.trust]", "[question.trust]", ("'question'", "unknown key", "did you mean 'questions'")),
    "an unknown key": ("text =", "txet =", ("question 'trust': unknown key 'txet'", "unknown key", "did you mean 'text'")),
    "no text": ("Do you trust parliament?", "", ("question 'trust'", "text is empty", "give the exact wording")),
    "one option": (
        ', [1, "Some trust"], [2, "Complete trust"]',
        "",
        ("question 'trust'", "at least two options; it has 1", "add the others"),
    ),
    "an option's code twice": ("[1,", "[0,", ("question 'trust': option code 0", "declared twice", "keep one")),
    "an option's label twice": ("Some trust", "Complete trust", ("option label Complete trust", "declared twice", "keep one")),
    "an option that is missing too": ("7 =", "2 =", ("question 'trust': code 2", "both options and missing", "keep it in one")),
    "an unknown reason": ('"refused"', '"declined"', ("missing code 7 has reason 'declined'", "use one of", "refused, dont_know")),
    "an option that is no pair": (
        '[1, "Some trust"]',
        '"Some trust"',
        ("question 'trust'", "is written [code, label]", "got 'Some trust'"),
    ),
    "an unknown type": ("text =", 'type = "scale"\ntext =', ("question 'trust'", "type must be one of", "ordinal, nominal")),
    "a text where true or false belongs": ("text =", 'verified = "no"\ntext =', ("question 'trust': verified", "must be bool", "got 'no'")),
    "a translation cut short": (
        "text =",
        'translations.zh = { text = "?", options = ["a"] }\ntext =',
        ("translation 'zh'", "1 option labels for 3 options", "give one each"),
    ),
    "one level": (', { name = "female", codes = [2] }', "", ("trait 'sex'", "at least two levels; it has 1", "add the others")),
    "a level's code twice": ("codes = [2]", "codes = [1]", ("trait 'sex': code 1", "declared twice", "keep one")),
    "an empty range": ("codes = [2]", "range = [9, 2]", ("level 'female'", "range [9, 2] is empty", "write [low, high]")),
    "a range of words": ("codes = [2]", 'range = ["a", 2]', ("level 'female'", "range is two numbers", "[low, high]")),
    "ranges that overlap": (
        '{ name = "male", codes = [1] }, { name = "female", codes = [2] }',
        '{ name = "a", range = [1, 5] }, { name = "b", range = [5, 9] }',
        ("levels 'a' and 'b'", "overlap at 5", "separate them"),
    ),
    "a level named like an id": ('"female"', '"fe|male"', ("trait 'sex'", "may hold neither '|' nor '='", "rename fe|male")),
    "a trait named as a question": ("[traits.sex]", "[traits.trust]", ("trust", "is both a trait and a question", "rename the trait")),
    "a reserved name": ("[questions.trust]", "[questions.weight]", ("weight", "is a column of every survey", "another name")),
    "no questions": (GOOD[GOOD.index("[questions") :], "", ("codebook 'trust'", "has no questions", "add a [questions.")),
    "a weight with an unknown rule": (
        "[weights.w]",
        '[weights.w]\nwithout = "skip"',
        ("weight 'w'", "must be 'refuse' or 'drop'", "got 'skip'"),
    ),
    "a question of another file": ("[questions.trust]", "[questions.trsut]", ("'trsut'", "x.sav lacks", "did you mean 'trust'")),
    "a weight of another file": ("[weights.w]", "[weights.ww]", ("'ww'", "x.sav lacks", "did you mean 'w'")),
    "an id that identifies nobody": ('"id"', '"gndr"', ("gndr does not identify respondents", "stand twice", "name further variables")),
    "no weight": ("[weights.w]", "", ("codebook 'trust'", "declares no weight", "weight='none'")),
}


@pytest.mark.parametrize(("old", "new", "said"), BOOKS.values(), ids=BOOKS)
def test_a_broken_codebook_is_refused_clearly(old: str, new: str, said: Said, tmp_path: Path) -> None:
    assert GOOD.count(old) >= 1
    (tmp_path / "trust.toml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    path = synthetic.write_sav(tmp_path / "x.sav")
    with pytest.raises((CodebookError, DesignError)) as refused:
        ss.read_survey(path, tmp_path / "trust.toml")
    assert [part for part in said if part not in str(refused.value)] == [], str(refused.value)


def test_what_is_broken_above_is_whole_here(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").write_text(GOOD, encoding="utf-8")
    survey = ss.read_survey(synthetic.write_sav(tmp_path / "x.sav"), tmp_path / "trust.toml")
    assert ss.na_table(survey).iloc[0][["valid", "refused", "dont_know", "n"]].tolist() == [4, 1, 1, 6]
    assert isinstance(survey.data, pd.DataFrame)
    assert len(FILES) >= 20
    assert len(BOOKS) >= 20
