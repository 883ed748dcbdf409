"""Every codebook that ships parses, reads well, and says what could not be verified."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import surveysim as ss

FOLDER = Path(__file__).parents[2] / "codebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
pytestmark = pytest.mark.parametrize("name", NAMES)


def test_codebook_is_listed_under_its_own_name(name: str) -> None:
    assert name in ss.list_codebooks()
    assert ss.load_codebook(name).name == name


def test_release_facts_are_stated(name: str) -> None:
    codebook = ss.load_codebook(name)
    for fact in ("title", "year", "country", "producer", "source", "licence", "citation", "note", "files"):
        assert getattr(codebook, fact), f"[survey] {fact} is empty"
    assert codebook.weights, "a survey without a weight variable says so in [design] note and cannot be read by default"
    assert all(weight.use for weight in codebook.weights), "each weight says when to use it"
    assert all(weight.source for weight in codebook.weights), "each weight says where it was found"
    assert codebook.design.source, "say where the design, or its absence, was found"
    assert [trait.name for trait in codebook.traits.values() if not trait.source] == []
    assert codebook.design.stratum or codebook.design.note, "say where the strata are, or that they are not released"


def test_questions_have_wording_and_distinct_labels(name: str) -> None:
    for question in ss.load_codebook(name).questions.values():
        where = question.question_id
        assert len(question.options) >= 2, where
        labels = [label.casefold() for label in question.labels]
        assert len(set(labels)) == len(labels), where
        for words in (question.text, *question.labels):
            assert words == words.strip(), (where, words)
            assert words, (where, words)
            assert not re.search(r"  |[\u200b\n\t{}<>|]", words), (where, words)
        assert len(question.text.split()) >= 3, (where, question.text)
        assert question.topic, where


def test_no_question_is_asked_twice(name: str) -> None:
    wordings = [(question.text, question.labels) for question in ss.load_codebook(name).questions.values()]
    assert len(set(wordings)) == len(wordings)


def test_traits_of_one_level_make_a_sentence(name: str) -> None:
    codebook = ss.load_codebook(name)
    for trait in codebook.traits.values():
        for level in trait.levels:
            alone = ss.describe_background({trait.name: level.name}, codebook)
            assert re.match(r"an? \w+", alone), (trait.name, alone)
            assert alone == alone.strip(), (trait.name, alone)
            assert not re.search(r"  |[\n|=]|\.$|\ba a\b", alone), (trait.name, alone)
            lead = level.text.split()[0]
            assert lead in {"a", "an"} or lead == lead.lower(), (trait.name, level.text)


def test_traits_together_make_a_sentence_with_one_noun(name: str) -> None:
    codebook = ss.load_codebook(name)
    nouns = [trait.name for trait in codebook.traits.values() if any(level.text.startswith(("a ", "an ")) for level in trait.levels)]
    assert len(nouns) <= 1, "two traits both say what the person is"
    if nouns:
        assert next(iter(codebook.traits)) == nouns[0], "the noun comes first"
    for level in (0, -1):
        every = {trait.name: trait.levels[level].name for trait in codebook.traits.values()}
        sentence = ss.describe_background(every, codebook)
        for trait in codebook.traits.values():
            assert trait.levels[level].text in sentence


def test_ranges_of_a_trait_do_not_overlap(name: str) -> None:
    for trait in ss.load_codebook(name).traits.values():
        ranges = sorted(level.range for level in trait.levels if level.range)
        assert all(low[1] < high[0] for low, high in pairwise(ranges)), trait.name


def test_what_is_not_verified_is_listed(name: str) -> None:
    declared = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["questions"]
    expected = sorted(question for question, table in declared.items() if not table.get("verified", True))
    codebook = ss.load_codebook(name)
    frame = codebook.to_frame()
    assert sorted(frame.question_id[~frame.verified]) == expected
    if expected:
        assert "verified" in codebook.note, "the note says what of the wording is not verified, and why"
    page = (FOLDER.parent / "docs" / "codebooks.md").read_text(encoding="utf-8").split("## What is not verified")[1].split("\n## ")[0]
    assert not expected or f"**{name}**" in page, "docs/codebooks.md lists what is not verified"
    unsure = [weight.variable for weight in codebook.weights if not weight.verified] + ([] if codebook.design.verified else ["design"])
    assert not unsure or (f"**{name}**" in page and all(word in page for word in unsure)), unsure
    assert [question.question_id for question in codebook.questions.values() if not question.source] == []
