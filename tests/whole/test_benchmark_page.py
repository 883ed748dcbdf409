"""The page of benchmarks says what its numbers say, and other pages quote them rightly."""

from __future__ import annotations

import json
import re
from importlib import import_module
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from tests.support.pages import PROJECT

DOCS = PROJECT / "docs"
BEST = ("dsa-kernel", "best classical")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _numbers_of(name: str) -> Any:
    return json.loads((DOCS / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def _words_and_numbers(line: str) -> tuple[str, list[float]]:
    return NUMBER.sub("0", line), [float(number) for number in NUMBER.findall(line)]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that writes the page; its folder holds scripts, and is no package."""
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    return import_module("accuracy_report")


def test_the_page_is_what_is_made_of_its_numbers(report: ModuleType) -> None:
    accuracy, path = _numbers_of("accuracy"), DOCS / "benchmarks.md"
    text = path.read_text(encoding="utf-8")
    for section in report.marked_sections(path):
        text = text.replace(section, "")
    found = sorted(map(_words_and_numbers, text.splitlines()))
    made = sorted(
        map(_words_and_numbers, report.page(accuracy, dict.fromkeys(accuracy["scores"])))
    )  # methods that are equal may change places
    assert [words for words, _ in found if words] == [words for words, _ in made if words]
    for here, there in zip((one for one in found if one[0]), (one for one in made if one[0]), strict=True):
        assert here == there


@pytest.mark.usefixtures("report")
def test_the_notebook_on_waves_quotes_the_benchmarks() -> None:
    opening, text = import_module("accuracy_opening"), (PROJECT / "notebooks" / "13_many_waves.ipynb").read_text(encoding="utf-8")
    moved = [opening.outside_ratios()[opening.PRIOR.format(n)][0] for n in (10, 50)]
    assert f"was {moved[0]:.2f} of that without it with ten respondents in each country, {moved[1]:.2f} with fifty" in text
    numbers = [_numbers_of("prior")[n] for n in ("10", "50")]
    as_it_is = [sum(one["prior as it is"]) / min(sum(one["mrp"]), sum(one["low_rank"])) for one in numbers]
    assert f"as it is had {as_it_is[0]:.2f} and {as_it_is[1]:.2f}" in text


def test_a_regression_on_regions_counts_as_classical(report: ModuleType) -> None:
    scores = pd.read_parquet(DOCS / "benchmarks" / "scores.parquet", filters=[("study", "==", "ess11/levels")])
    scores = scores.astype({"method": str, "metric": str, "question_id": str})
    without = report.against(scores, 2200, "dsa-kernel", [name for name in report.CLASSICAL if name != "regions"])
    found = report.against(scores, 2200, "dsa-kernel", report.CLASSICAL)
    assert found["reference"] == "regions" != without["reference"]  # it is the best of them, so the ratio hangs on it
    (kept,) = (row for row in _numbers_of("accuracy")["paired"]["ess11/levels"] if (row["method"], row["against"]) == BEST)
    assert found["ratio"] == pytest.approx(kept["ratio"], abs=1e-5)
    assert kept["ratio"] > without["ratio"]


def test_questions_and_answers_quote_the_benchmarks() -> None:
    text = (DOCS / "faq.md").read_text(encoding="utf-8")
    paired = _numbers_of("accuracy")["paired"]

    def ratio(study: str, reference: str) -> float:
        rows = [
            row
            for row in paired[study]
            if row["method"] == "dsa-kernel" and row["reference"] == reference and row["metric"] == "wasserstein"
        ]
        return float(rows[0]["ratio"])

    spread = _numbers_of("robustness")["methods"]["zero-shot"]["option order"]["share_sd"]
    assert f"error was {ratio('ess11/country in turn', 'mrp'):.2f} of MRP's" in text
    assert f"error was {_numbers_of('accuracy')['heldout_levels_vs_regions']['ess11/2200']:.2f} of its" in text
    assert f"standard deviation of {100 * spread:.0f} points" in text


def test_the_section_on_coverage_is_what_is_made_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    numbers, module = _numbers_of("coverage"), import_module("coverage_report")
    found = import_module("marked_sections").marked_sections(DOCS / "benchmarks.md")
    section = next(text for text in found if text.startswith("<!-- coverage: begin -->"))
    assert section.splitlines()[1:-1] == module.section_lines(numbers)
    for kind in ("totals", "cells"):
        assert numbers[kind] == module.headline({name: pd.DataFrame(rows) for name, rows in numbers["studies"].items()}, kind)
    assert numbers["not_reached"] == module.missed({name: pd.DataFrame(rows) for name, rows in numbers["studies"].items()})


def test_the_section_on_speed_is_what_is_made_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    found = import_module("marked_sections").marked_sections(DOCS / "benchmarks.md")
    section = next(text for text in found if text.startswith("<!-- speed: begin -->"))
    assert section.splitlines()[1:-1] == import_module("bench_speed").section(_numbers_of("speed"))


def test_the_section_on_prompts_is_what_is_made_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    found = import_module("marked_sections").marked_sections(DOCS / "benchmarks.md")
    section, numbers = next(text for text in found if text.startswith("<!-- robustness: begin -->")), _numbers_of("robustness")
    assert section.splitlines()[1:-1] == import_module("bench_robustness").section(numbers["methods"], numbers["questions"])


def test_the_section_on_differences_is_what_is_made_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    found = import_module("marked_sections").marked_sections(DOCS / "benchmarks.md")
    section = next(text for text in found if text.startswith("<!-- spread: begin -->"))
    assert section.splitlines()[1:-1] == import_module("bench_spread").section(_numbers_of("spread"))


def test_the_final_questions_are_in_no_other_study(report: ModuleType) -> None:
    scores = pd.read_parquet(DOCS / "benchmarks" / "scores.parquet", columns=["study", "question_id"]).drop_duplicates()
    final = scores["study"].astype(str).str.startswith(report.FINAL)
    others = scores["study"].astype(str).str.startswith("anes2020") & ~final
    assert set(scores[final]["question_id"]).isdisjoint(scores[others]["question_id"])
    assert scores[others]["question_id"].nunique() == 60


@pytest.mark.usefixtures("report")
def test_the_check_of_the_page_finds_what_moved() -> None:
    check = import_module("accuracy_check")
    scores = pd.read_parquet(DOCS / "benchmarks" / "scores.parquet", filters=[("study", "==", "ess11/respondents")])
    kept = check.means(scores, seed=0)
    assert set(kept.index.get_level_values("method")) >= {"mrp", "dsa", "dsa-kernel"}
    assert not check.moved(kept, kept)["moved"].any()
    worse = scores.assign(estimate=scores["estimate"].where(scores["method"] != "mrp", 1.01 * scores["estimate"]))
    found = check.moved(check.means(worse, seed=0), kept)["moved"]
    assert found[found.abs() > check.MOST].index.get_level_values("method").unique().tolist() == ["mrp"]
    assert found.max() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("name", ["planning", "choosing"])
def test_the_sections_on_planning_and_choosing_are_what_is_made_of_their_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tests" / "benchmarks"))
    made = import_module(f"bench_{name}").section(_numbers_of(name))
    page = (DOCS / "planning.md").read_text(encoding="utf-8")
    assert page.split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0] == "\n".join(made) + "\n"
