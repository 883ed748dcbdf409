"""Readers of published tables, no microdata: each returns a codebook made on the fly, and tables made with `ss.as_distributions`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

import surveysim as ss
from surveysim.codebook.codebook import Level

PEW_MODELS = {
    "GPT-4": "gpt-4",
    "Claude 3 Opus": "anthropic_opus",
    "GPT-3.5": "gpt-3.5-turbo-0125",
    "Claude 3 Haiku": "anthropic_haiku",
}  # simulator -> its column: one line adds a simulator
ROUNDS = ("gd3", "gd4", "gd5", "gd6")
WORDS = {
    ("CREGION", "Northeast"): "living in the Northeast of the United States",
    ("CREGION", "South"): "living in the South of the United States",
    ("EDUCATION", "College graduate/some postgrad"): "a college graduate",
    ("EDUCATION", "Less than high school"): "without a high school diploma",
    ("INCOME", "$100,000 or more"): "with a household income of $100,000 or more",
    ("INCOME", "Less than $30,000"): "with a household income of less than $30,000",
    ("POLIDEOLOGY", "Conservative"): "politically conservative",
    ("POLIDEOLOGY", "Liberal"): "politically liberal",
    ("POLIDEOLOGY", "Moderate"): "politically moderate",
    ("POLPARTY", "Democrat"): "a Democrat",
    ("POLPARTY", "Republican"): "a Republican",
    ("SEX", "Female"): "a woman",
    ("SEX", "Male"): "a man",
    ("gender", "female"): "a woman",
    ("gender", "male"): "a man",
    ("ageGroup", "65"): "aged 65 or older",
    ("religion", "i-do-not-identify-with-any-religious-group-or-faith"): "without any religion",
    ("religion", "other-religious-group"): "of another religion",
}  # how a person of a group is put to a language model; a group that is not here is put by its own name


TRAITS = {
    "ageGroup": "aged {}",
    "environment": "living in a {} area",
    "aiConcern": "{} about AI",
    "religion": "whose religion is {}",
    "country": "living in {}",
}  # the same for any level of a trait
SPELT = ("aiConcern", "country", "religion")  # traits whose levels are published with hyphens for blanks


@dataclass(frozen=True)
class OutsideData:
    """A codebook, the tables of truth and of simulators, and what the reading counted."""

    codebook: ss.Codebook
    truth: pd.DataFrame
    simulated: pd.DataFrame | None = None
    left_out: int = 0  # questions


def _codebook(
    name: str, title: str, traits: Mapping[str, Iterable[str]], questions: Sequence[ss.Question], country: str = "the United States"
) -> ss.Codebook:
    """Return a codebook of groups and questions as published; codes of levels are their places, since there is no file of respondents."""
    made = {
        trait: ss.Trait(trait, trait, tuple(Level(level, _words(trait, level), (place,)) for place, level in enumerate(levels)))
        for trait, levels in traits.items()
    }
    return ss.Codebook(name, title, made, {question.question_id: question for question in questions}, country=country)


def _words(trait: str, level: str) -> str:
    """Return how a person of a group is put to a language model."""
    return WORDS.get((trait, level)) or TRAITS.get(trait, "{}").format(level.replace("-", " ") if trait in SPELT else level)


def one_trait(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose groups, of several traits, are the levels of one."""
    found = table.assign(background_id="group=" + table["background_id"].str.replace("=", ": "))
    found.attrs = {}
    return found


def own_traits(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it was before `one_trait`."""
    groups = table["background_id"].str.removeprefix("group=")
    found = table.assign(background_id=groups.str.replace(": ", "=", n=1))
    found.attrs = {}
    return found


def one_trait_book(book: ss.Codebook) -> ss.Codebook:
    """Return the codebook of `one_trait`: its levels are put to a language model as they were."""
    words = [(f"{name}: {level.name}", level.text) for name, trait in book.traits.items() for level in trait.levels]
    levels = tuple(Level(name, label, (place,)) for place, (name, label) in enumerate(words))
    return replace(book, traits={"group": ss.Trait("group", "group", levels)})


def shared_questions(later: ss.Codebook, earlier: ss.Codebook) -> dict[str, str]:
    """Return the earlier round's question of each later one that has its wording and its options, but for case and blanks.

    A wording that stands twice in a round is left out.
    """

    def alike(book: ss.Codebook) -> dict[tuple[str, ...], str]:
        found: dict[tuple[str, ...], list[str]] = {}
        for name, question in book.questions.items():
            texts = (question.text, *(option.label for option in question.options))
            found.setdefault(tuple(" ".join(text.split()).casefold() for text in texts), []).append(name)
        return {key: names[0] for key, names in found.items() if len(names) == 1}

    before = alike(earlier)
    return {name: before[key] for key, name in alike(later).items() if key in before}


def _options(labels: Iterable[str]) -> tuple[ss.Option, ...]:
    return tuple(ss.Option(place, label.strip()) for place, label in enumerate(labels, start=1))


def pew_tables(folder: Path) -> OutsideData:
    """Return Pew's human shares and those of four large models, groups of six single traits, options in scale order.

    Questions are left out, and counted, whose options were cut at their commas before they were published ("Important", "but not
    essential"): the shares do not belong to these pieces.
    """
    rows = pd.read_csv(folder / "pew_llm_tables" / "pew_llm_tables.csv.gz", keep_default_na=False)  # "None" is an option
    cut = rows.loc[rows.option.str[:1].str.islower(), "question_id"].unique()
    rows = rows[~rows.question_id.isin(cut)].reset_index(drop=True)
    scales = rows.drop_duplicates(["question_id", "option_order"]).sort_values("option_order").groupby("question_id", sort=False)
    questions = [ss.Question(name, own.question.iloc[0], _options(own.option)) for name, own in scales]
    traits = rows.groupby("trait").group.unique().to_dict()
    book = _codebook("pew_llm_tables", "Contested Pew questions, by group", traits, questions)
    rows = rows.assign(background_id=rows.trait + "=" + rows.group)
    asked = {"option": "option_order", "tolerance": 1e-5}
    truth = ss.as_distributions(rows, book, shares="human", source="survey", simulated=False, **asked)
    models = [ss.as_distributions(rows, book, shares=column, source=name, **asked) for name, column in PEW_MODELS.items()]
    return OutsideData(book, truth, ss.stack(models), len(cut))


def subpop_cells(folder: Path) -> OutsideData:
    """Return SubPOP's evaluation cells: GSS questions by 22 groups of seven single traits.

    Options stand in the order of their published scale values; a question with an option that is on no scale (value -1) is nominal.
    """
    lines = _subpop_lines(folder)
    questions = {line["qkey"]: _subpop_question(line) for line in lines}
    traits = {
        name: sorted({line["group"] for line in lines if line["attribute"] == name})
        for name in sorted({line["attribute"] for line in lines})
    }
    book = _codebook("subpop_eval", "SubPOP's evaluation set: General Social Survey", traits, list(questions.values()))
    cells = [
        {"question_id": line["qkey"], "background_id": f"{line['attribute']}={line['group']}", "option": label.strip(), "share": share}
        for line in lines
        for label, share in zip(line["options"], line["responses"], strict=False)  # the last option, Refused, has no share
    ]
    truth = ss.as_distributions(pd.DataFrame(cells), book, shares="share", option="option", source="survey", simulated=False)
    return OutsideData(book, truth)


def subpop_values(folder: Path) -> dict[tuple[str, str], float]:
    """Return the published scale value of every question's options, by label; -1 is on no scale."""
    return {
        (str(line["qkey"]), label.strip()): float(value)
        for line in _subpop_lines(folder)
        for label, value in zip(line["options"], line["ordinal"], strict=False)
    }


def _subpop_lines(folder: Path) -> list[dict[str, Any]]:
    text = gzip.decompress((folder / "subpop_eval" / "subpop_eval.jsonl.gz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


def _subpop_question(line: Mapping[str, list[str]]) -> ss.Question:
    values = line["ordinal"]
    ordered = min(map(float, values)) >= 0
    places = sorted(range(len(values)), key=values.__getitem__) if ordered else range(len(values))
    labels = [line["options"][place] for place in places]
    return ss.Question(str(line["qkey"]), str(line["question"]), _options(labels), type="ordinal" if ordered else "nominal")


def global_dialogues(folder: Path, name: str) -> OutsideData:
    """Return one round of Global Dialogues: shares to .1% by segments of single traits, with the segments' numbers of respondents."""
    published = json.loads(gzip.decompress((folder / "global_dialogues" / f"{name}.json.gz").read_bytes()))
    asked = published["questions"]
    questions = [ss.Question(key, one["text"], _options(one["options"]), type="nominal") for key, one in asked.items()]
    traits: dict[str, list[str]] = {}
    for segment in published["segments"]:
        trait, _, level = segment["id"].partition(":")
        traits.setdefault(trait, []).append(level)
    book = _codebook(name, published["surveyName"], traits, questions, country="the world")
    cells = [
        {
            "question_id": own["questionId"],
            "segment": segment["id"],
            "option_code": place + 1,
            "share": percent / 100,
            "n": segment["sampleSize"],
        }
        for segment in published["segments"]
        for own in segment["responses"]
        for place, percent in enumerate(own["distribution"])
    ]
    by = {"segment": "background_id"}
    return OutsideData(
        book, ss.as_distributions(pd.DataFrame(cells), book, by=by, shares="share", source="survey", simulated=False, tolerance=0.01)
    )
