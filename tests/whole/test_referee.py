"""The referee: its page says what its numbers say, its nulls know what they should, its readers read the published tables."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.evaluation.floor import marginal_for_all, shuffled_backgrounds
from tests.support.pages import PROJECT
from tests.support.small_surveys import small_codebook, small_survey

NUMBERS = PROJECT / "docs" / "benchmarks" / "referee.json"
ROUNDS = ("gd3", "gd4", "gd5", "gd6")
CLOSED = ROUNDS  # rounds with the closed form
PARTS = {"pew", "subpop", "subpop-folds", "subpop-topics", "gd5-aligned", *ROUNDS, *(f"{name}-held-out" for name in ROUNDS)}
PARTS |= {"subpop-aligned-questions", "subpop-aligned-topics", *(f"{name}-closed-form" for name in CLOSED)}
TABLES = ("rows", "asked_rows", "all_rows", "shared_rows")
BOOK = small_codebook()


@pytest.fixture
def nulls(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What tables are held against; its folder holds scripts, and is no package."""
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("outside_nulls")


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("outside_data")


@pytest.fixture
def learners(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("outside_learners")


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    """Shares of two questions by the groups of two single traits."""
    survey = small_survey(n=1000)
    return pd.concat([ss.response_distributions(survey, by=[name]) for name in ("age", "region")], ignore_index=True)


def test_the_page_is_what_is_made_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    found, simulators = (json.loads(path.read_text(encoding="utf-8")) for path in (NUMBERS, NUMBERS.with_name("simulators.json")))
    assert set(found) == PARTS
    assert (PROJECT / "docs" / "referee.md").read_text(encoding="utf-8") == import_module("referee_page").page(found, simulators)


def test_the_page_opens_with_question_and_answers_and_ends_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the words of its answers are what the numbers say."""
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    found, opening = json.loads(NUMBERS.read_text(encoding="utf-8")), import_module("referee_opening")
    text = (PROJECT / "docs" / "referee.md").read_text(encoding="utf-8")
    title, question, answers, *rest = text.split("\n\n")
    assert title.startswith("# ")
    assert question.startswith("Does a simulator tell what groups of people answer")
    assert [line.split("**")[1] for line in answers.splitlines() if line.startswith("- **")] == [
        "Large models asked for contested Pew questions", "Surveys younger than the model", "Questions that nobody was asked",
    ]  # fmt: skip
    assert rest[0] == "## How to read the tables"
    assert "make bench-referee" in text.split("\n## ")[-1]
    assert "make bench-referee" not in text.partition("\n## Your simulator")[0]
    error, models = opening.asked_of_models(found["pew"])
    assert max(error[name] / error[f"{name}, groups shuffled"] for name in models) < 1, "they go the right way"
    assert min(error[name] / error[f"{name}, its marginal"] for name in models) > 0.95, "they hardly help"
    pair = ("closed form, n = 25", "mrp, one trait, n = 25")
    ratios = [row["ratio"] for name in CLOSED for row in found[f"{name}-closed-form"]["ratios"] if (row["source"], row["against"]) == pair]
    assert len(ratios) == len(CLOSED)
    assert min(ratios) > 0.99, "the language model adds nothing"


def test_its_numbers_are_means_and_no_data() -> None:
    """Every row is a mean over many questions; no question or group has a number of its own."""
    found = json.loads(NUMBERS.read_text(encoding="utf-8"))
    rows = [row for part in found.values() for key in TABLES for row in part.get(key, [])]
    assert min(row["questions"] for row in rows) >= 15
    assert {key for row in rows for key in row} == {
        *("source", "metric", "questions", "estimate", "low", "high", "difference", "difference_low", "difference_high")
    }


def test_the_marginal_is_the_same_for_everybody(truth: pd.DataFrame) -> None:
    for weight in (None, "n"):
        made = marginal_for_all(truth, weight=weight)
        assert made.groupby(["question_id", "option_code"])["share"].agg(np.ptp).max() == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(made.groupby(["question_id", "background_id"])["share"].sum(), 1)
    yes = truth.query("question_id == 'q2' and option_code == 'yes'")
    weighted = np.average(yes["share"], weights=yes["n"])
    assert made.query("question_id == 'q2' and option_code == 'yes'")["share"].iloc[0] == pytest.approx(weighted)


def test_shuffled_groups_have_the_shares_of_another_group_of_their_trait(truth: pd.DataFrame) -> None:
    def distributions(table: pd.DataFrame) -> dict[tuple[str, str], tuple[float, ...]]:
        return {key: tuple(own["share"]) for key, own in table.groupby(["question_id", "background_id"])}

    before = distributions(truth)
    for seed in range(5):
        after = distributions(shuffled_backgrounds(truth, seed=seed))
        assert all(after[key] != before[key] for key in before)
        for question in ("q1", "q2"):
            for trait in ("age", "region"):
                keys = [key for key in before if key[0] == question and key[1].startswith(trait)]
                assert {after[key] for key in keys} == {before[key] for key in keys}


def test_other_questions_are_other_ones(nulls: ModuleType, truth: pd.DataFrame) -> None:
    q1, third = (truth[truth["question_id"] == "q1"] for _ in range(2))
    flat = third.assign(question_id="q3", share=[0.1, 0.2, 0.3, 0.4] * (len(third) // 4))
    both = pd.concat([q1, flat], ignore_index=True)
    for groups in (False, True):
        made = nulls.of_other_questions(both, groups=groups)
        np.testing.assert_allclose(made.loc[made["question_id"] == "q1", "share"], flat["share"])
    np.testing.assert_allclose(made.loc[made["question_id"] == "q3", "share"], q1["share"])
    assert (nulls.of_other_questions(q1, groups=True)["share"] == 0.25).all()  # the only question of its length
    assert set(nulls.uniform(truth)["share"]) == {0.25, 0.5}


def test_questions_of_the_same_topic_tell_each_other_nothing(nulls: ModuleType, truth: pd.DataFrame) -> None:
    q1 = truth[truth["question_id"] == "q1"]
    both = pd.concat([q1, q1.assign(question_id="q3"), q1.assign(question_id="q4", share=0.25)], ignore_index=True)
    made = nulls.of_other_questions(both, groups=True, apart={"q1": "a", "q3": "a", "q4": "b"})
    np.testing.assert_allclose(made.loc[made["question_id"] != "q4", "share"], 0.25)
    np.testing.assert_allclose(made.loc[made["question_id"] == "q4", "share"], q1["share"])


def test_folds_of_topics_part_no_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    topics = import_module("subpop_topics")
    listed = [name for names in topics.TOPICS.values() for name in names.split()]
    assert len(listed) == len(set(listed)) == 133
    for seed in range(5):
        folds = topics.topic_folds(5, seed)
        assert sorted(name for fold in folds for name in fold) == sorted(listed)
        for names in topics.TOPICS.values():
            assert sum(bool(set(names.split()) & set(fold)) for fold in folds) == 1


def test_answers_are_drawn_of_the_shares_and_learnt_from_trait_by_trait(nulls: ModuleType, truth: pd.DataFrame) -> None:
    keys = ["question_id", "background_id", "option_code"]
    sample = nulls.drawn(truth, 30, 1, BOOK)
    assert set(sample["n"]) == {30}
    as_many = nulls.drawn(truth, None, 1, BOOK).merge(truth, on=keys)
    assert len(as_many) == len(truth)
    assert (as_many["n_x"] == as_many["n_y"]).all()
    large = nulls.drawn(truth, 200_000, 1, BOOK).merge(truth, on=keys)
    np.testing.assert_allclose(large["share_x"], large["share_y"], atol=0.006)
    learnt = nulls.learnt(sample, "pooled", ["q1"]).query("option_code == 'yes'").set_index("background_id")["share"]
    ages = sample.query("option_code == 'yes' and background_id.str.startswith('age')")["share"]
    assert learnt["age=old"] == learnt["age=young"] == pytest.approx(ages.mean())


def test_answers_learnt_from_are_no_part_of_the_truth(nulls: ModuleType, truth: pd.DataFrame) -> None:
    keys = ["question_id", "background_id", "option_code"]
    even = truth.assign(n=200, share=1 / truth.groupby(keys[:2])["share"].transform("size"))
    samples, rest = nulls.parted(even, (10, 50), 3, BOOK)
    sizes = {size: set(table["n"]) for size, table in samples.items()}
    assert sizes == {10: {10}, 50: {50}}
    assert set(rest["n"]) == {150}
    both = samples[50].merge(rest, on=keys).merge(even[[*keys, "share"]], on=keys)
    np.testing.assert_allclose(both["share_x"] * 50 + both["share_y"] * 150, both["share"] * 200)
    first = samples[10].merge(samples[50], on=keys)
    assert (first["share_x"] * 10 <= first["share_y"] * 50 + 1e-9).all()  # nested


def test_groups_become_the_levels_of_one_trait_and_come_back(readers: ModuleType, truth: pd.DataFrame) -> None:
    one = readers.one_trait(truth)
    assert one["background_id"].iloc[0] == "group=" + truth["background_id"].iloc[0].replace("=", ": ")
    assert readers.own_traits(one)["background_id"].tolist() == truth["background_id"].tolist()
    levels = readers.one_trait_book(BOOK).trait("group").levels
    assert set(one["background_id"]) <= {f"group={level.name}" for level in levels}
    assert [level.text for level in levels] == [level.text for trait in BOOK.traits.values() for level in trait.levels]


def test_questions_are_shared_by_wording_and_options(readers: ModuleType) -> None:
    q1, q2 = BOOK.question("q1"), BOOK.question("q2")
    respelt = replace(q1, question_id="a", text=f" {q1.text.upper()}\t")
    other_options = replace(q2, question_id="b", options=q2.options[::-1])
    earlier = replace(BOOK, questions={"a": respelt, "b": other_options})
    assert readers.shared_questions(BOOK, earlier) == {"q1": "a"}
    twice = replace(BOOK, questions={"a": respelt, "c": replace(respelt, question_id="c")})
    assert readers.shared_questions(BOOK, twice) == {}


def test_a_segment_that_the_round_before_lacks_gets_its_mean(learners: ModuleType, truth: pd.DataFrame) -> None:
    before = truth[truth["background_id"] != "age=old"].reset_index(drop=True)
    made = learners.as_it_is(before, truth)
    there = truth["background_id"] != "age=old"
    assert made.loc[there, "share"].tolist() == truth.loc[there, "share"].tolist()
    given = made[~there].set_index(["question_id", "option_code"])["share"]
    for cell, own in before.groupby(["question_id", "option_code"]):
        assert given[cell] == pytest.approx(np.average(own["share"], weights=own["n"]))


def test_a_ratio_of_errors_is_that_of_a_survey(learners: ModuleType, nulls: ModuleType, truth: pd.DataFrame) -> None:
    """Checked against the linearised variance of a ratio of two totals, by `svyratio`'s formula written out for two questions."""
    tables = [nulls.uniform(truth).assign(source="a"), marginal_for_all(truth).assign(source="b")]
    scores = pd.concat([ss.evaluate(table, truth, codebook=BOOK, metrics=["total_variation"], by="source") for table in tables])
    found = learners.ratio(scores, "a", "b", "total_variation")
    each = ss.summarise_scores(scores, by=["source", "question_id"]).set_index(["source", "question_id"])["estimate"]
    ratio = each["a"].sum() / each["b"].sum()
    variance = 2 / (2 - 1) * ((each["a"] - ratio * each["b"]) ** 2).sum() / each["b"].sum() ** 2
    assert found["ratio"] == pytest.approx(ratio, abs=1e-4)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * np.sqrt(variance), abs=2e-4)


def test_the_distance_between_scale_values_leaves_out_what_is_on_no_scale(learners: ModuleType) -> None:
    rows = {"question_id": "q", "background_id": "a=b", "option_code": [1, 2, 3, 4], "option_label": ["no", "maybe", "yes", "unsure"]}
    people = pd.DataFrame(rows | {"share": [0.2, 0.2, 0.4, 0.2]})
    guess = people.assign(share=[0.4, 0.4, 0.0, 0.2])
    values = {("q", label): value for label, value in zip(rows["option_label"], [1, 1.5, 3, -1], strict=True)}
    # cumulative gaps .25-.5 and .5-1 over steps .5 and 1.5, of a range of 2
    assert learners.distance_of_values(guess, people, values)["q"] == pytest.approx((0.25 * 0.5 + 0.5 * 1.5) / 2)


def test_the_published_tables_are_read(shared_data: Path, readers: ModuleType) -> None:
    pew, subpop = readers.pew_tables(shared_data), readers.subpop_cells(shared_data)
    sizes = [len(table[["question_id", "background_id"]].drop_duplicates()) for table in (pew.truth, subpop.truth)]
    assert sizes == [814, 2926]
    assert pew.left_out == 8  # their options were cut at commas
    assert set(pew.simulated["source"]) == set(readers.PEW_MODELS)
    assert len(pew.simulated) == 4 * len(pew.truth)
    assert set(subpop.codebook.questions) == set(import_module("subpop_topics").topic_of())
    ordered = [question.type for question in subpop.codebook.questions.values()].count("ordinal")
    assert (ordered, len(subpop.codebook.questions)) == (119, 133)
    dialogues = readers.global_dialogues(shared_data, "gd3")
    assert dialogues.truth.attrs["n_stated"] is True
    assert dialogues.truth["n"].min() == 10
    later = readers.global_dialogues(shared_data, "gd4")
    assert len(readers.shared_questions(later.codebook, dialogues.codebook)) == 39
    assert dialogues.truth.attrs["largest_gap"] == pytest.approx(0.002)
