"""Simulators' published tables beside human shares and nulls: writes docs/benchmarks/referee.json and docs/referee.md.

Run: make bench-referee DATA=<folder>, or python tests/benchmarks/bench_referee.py FOLDER [--only pew gd3 ...] [--tables name=file.csv ...]

FOLDER holds pew_llm_tables, global_dialogues and subpop_eval (`outside_data.py` says which files). Only means over questions are kept,
every part as soon as it is done; `--only` does these alone, and none writes the page again. `--tables` scores tables of your own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import outside_nulls as nulls
import pandas as pd
from outside_data import (
    ROUNDS,
    OutsideData,
    global_dialogues,
    one_trait,
    one_trait_book,
    own_traits,
    pew_tables,
    subpop_cells,
    subpop_values,
)
from outside_learners import (
    BEFORE,
    STATED,
    OneTrait,
    as_asked,
    as_it_is,
    distance_of_values,
    never_asked,
    question_folds,
    ratio,
    round_before,
)
from referee_aligned import aligned_round, subpop_aligned, subpop_topics
from referee_page import page
from referee_scores import scored, size_of, summary

import surveysim as ss
from surveysim.evaluation.floor import marginal_for_all, shuffled_backgrounds

PROJECT = Path(__file__).parents[2]
FILE, PAGE = PROJECT / "docs" / "benchmarks" / "referee.json", PROJECT / "docs" / "referee.md"
PRIORS = FILE.with_name("simulators.json")  # of bench_simulators.py
SEEDS = range(5)
ANSWERS = (10, 25, 50)  # drawn a segment
LEARNT = ("pooled", "raw", "shrunken", "mrp")
LARGE = 100  # respondents of a segment that is parted into a sample and a truth
FOLDS = 5  # of questions: one at a time is never asked
ASKED = 20  # questions of SubPOP that the default model is asked


def pew(folder: Path) -> dict[str, Any]:
    """Score large models, each as it is, as its own mean for everybody and with groups exchanged, and the nulls of human shares."""
    data = pew_tables(folder)
    truth, simulated = data.truth, data.simulated
    assert simulated is not None
    tables = [("human marginal", marginal_for_all(truth)), ("uniform", nulls.uniform(truth))]
    tables += [("human, groups shuffled", shuffled_backgrounds(truth, seed=seed)) for seed in SEEDS]
    for name, own in simulated.groupby("source", sort=False):
        tables += [(name, own), (f"{name}, its marginal", marginal_for_all(own))]
        tables += [(f"{name}, groups shuffled", shuffled_backgrounds(own, seed=seed)) for seed in SEEDS]
    scores = scored(tables, truth, data.codebook, ["wasserstein", "total_variation"])
    return {**size_of(data), "left_out": data.left_out, "rows": summary(scores, "human marginal")}


def dialogues(name: str, folder: Path) -> dict[str, Any]:
    """Score one round: nulls, and estimates from answers drawn of the published shares."""
    data = global_dialogues(folder, name)
    truth, book = data.truth, data.codebook
    tables = [("published marginal", marginal_for_all(truth, weight="n")), ("uniform", nulls.uniform(truth))]
    for seed in SEEDS:
        tables += [
            ("segments shuffled", shuffled_backgrounds(truth, seed=seed)),
            ("floor: segments asked again", nulls.drawn(truth, None, seed, book)),
        ]
        for n in ANSWERS:
            sample = nulls.drawn(truth, n, seed, book)
            tables += [(f"{method}, n = {n}", nulls.learnt(sample, method, [])) for method in LEARNT]
    scores = scored(tables, truth, book, ["total_variation"])
    return {
        **size_of(data),
        "smallest": int(truth["n"].min()),
        "largest_gap": truth.attrs["largest_gap"],
        "rows": summary(scores, "published marginal"),
    }


def held_out(name: str, folder: Path) -> dict[str, Any]:
    """Score one round's larger segments by their own answers: n of them to learn from, the rest is truth."""
    data, sizes = global_dialogues(folder, name), ANSWERS
    published, book = data.truth[data.truth["n"] >= LARGE].reset_index(drop=True), data.codebook
    parts = []
    for seed in SEEDS:
        samples, truth = nulls.parted(published, sizes, seed, book)
        tables = [
            ("marginal of the truth", marginal_for_all(truth, weight="n")),
            ("segments shuffled", shuffled_backgrounds(truth, seed=seed)),
        ]
        tables += [(f"{method}, n = {n}", nulls.learnt(samples[n], method, [])) for n in ANSWERS for method in LEARNT]
        parts.append(scored(tables, truth, book, ["total_variation"]))
        again = nulls.drawn(published.assign(n=published["n"] - max(sizes)), None, seed, book)
        parts.append(scored([("floor: the shares themselves", published)], again, book, ["total_variation"]))
    scores = pd.concat(parts, ignore_index=True)
    return {**size_of(OutsideData(book, published)), "least": LARGE, "rows": summary(scores, "marginal of the truth")}


def closed_form(name: str, folder: Path) -> dict[str, Any]:
    """Score the closed form over all segments of a round as the levels of one trait, and with the round before as prior."""
    data = global_dialogues(folder, name)
    learner = OneTrait(data, ss.load_model(dtype="float32"))
    large = replace(data, truth=data.truth[data.truth["n"] >= LARGE].reset_index(drop=True))
    every = []
    for seed in SEEDS:
        tables = [("published marginal", marginal_for_all(data.truth, weight="n"))]
        for n in ANSWERS:
            tables += _one_trait_tables(learner, nulls.drawn(data.truth, n, seed, data.codebook), n)
        every.append(scored(tables, data.truth, data.codebook, ["total_variation"]))
    scores = _parted_scores(learner, large, None)
    pairs = [("closed form", other) for other in ("shrunken", "shrunken, one trait", "mrp, one trait")]
    found = {
        **size_of(large),
        "model": learner.name,
        "rows": summary(scores, "marginal of the truth"),
        "all_rows": summary(pd.concat(every, ignore_index=True), "published marginal"),
        "ratios": [ratio(scores, f"{own}, n = {n}", f"{other}, n = {n}", "total_variation") for own, other in pairs for n in ANSWERS],
    }
    return found | (_with_round_before(learner, large, folder, BEFORE[name]) if name in BEFORE else {})


def _with_round_before(learner: OneTrait, data: OutsideData, folder: Path, earlier: str) -> dict[str, Any]:
    """Score the questions that a round shares with the one before, with its shares as prior and without."""
    prior = round_before(data, global_dialogues(folder, earlier))
    shared = data.truth[data.truth["question_id"].isin(prior["question_id"])].reset_index(drop=True)
    scores = _parted_scores(learner, replace(data, truth=shared), prior)
    methods = ("mrp, one trait", "closed form")
    pairs = [(f"{method} and round before, n = {n}", f"{method}, n = {n}") for method in methods for n in ANSWERS]
    pairs += [(own, "the round before as it is") for own, _ in pairs]
    return {
        "before": earlier,
        "shared": shared["question_id"].nunique(),
        "segments_before": int(np.isin(shared["background_id"].unique(), prior["background_id"]).sum()),
        "shared_rows": summary(scores, "marginal of the truth"),
        "shared_ratios": [ratio(scores, own, other, "total_variation") for own, other in pairs],
    }


def _parted_scores(learner: OneTrait, data: OutsideData, prior: pd.DataFrame | None) -> pd.DataFrame:
    """Return scores of larger segments by their own answers, n of them to learn from, the rest is truth."""
    parts = []
    for seed in SEEDS:
        samples, truth = nulls.parted(data.truth, ANSWERS, seed, data.codebook)
        tables = [("marginal of the truth", marginal_for_all(truth, weight="n"))]
        if prior is not None:
            tables.append(("the round before as it is", as_it_is(prior, truth)))
        for n in ANSWERS:
            tables += _one_trait_tables(learner, samples[n], n, prior)
        parts.append(scored(tables, truth, data.codebook, ["total_variation"]))
    return pd.concat(parts, ignore_index=True)


def _one_trait_tables(learner: OneTrait, sample: pd.DataFrame, n: int, prior: pd.DataFrame | None = None) -> list[tuple[str, pd.DataFrame]]:
    found = [
        (f"shrunken, n = {n}", nulls.learnt(sample, "shrunken", [])),
        (f"shrunken, one trait, n = {n}", own_traits(nulls.learnt(one_trait(sample), "shrunken", []))),
        (f"mrp, one trait, n = {n}", learner.mrp(sample)),
        (f"closed form, n = {n}", learner.closed_form(sample)),
    ]
    if prior is not None:
        found += [
            (f"mrp, one trait and round before, n = {n}", learner.mrp(sample, prior)),
            (f"closed form and round before, n = {n}", learner.closed_form(sample, prior)),
        ]
    return found


def subpop(folder: Path) -> dict[str, Any]:
    """Score the nulls on all questions, and with the default model, asked without any respondent, on some."""
    data = subpop_cells(folder)
    truth, metrics = data.truth, ["wasserstein", "kl"]
    tables = [
        ("human marginal", marginal_for_all(truth)),
        ("uniform", nulls.uniform(truth)),
        ("blind: other questions", nulls.of_other_questions(truth, groups=False)),
        ("group means: the group's other questions", nulls.of_other_questions(truth, groups=True)),
        *(("groups shuffled", shuffled_backgrounds(truth, seed=seed)) for seed in SEEDS),
    ]
    asked = sorted(np.random.default_rng(0).permutation(truth["question_id"].unique())[:ASKED])
    some = truth[truth["question_id"].isin(asked)]
    start = time.perf_counter()
    zero, name = zero_shot(some, data.codebook)
    seconds = time.perf_counter() - start
    few = [(label, table[table["question_id"].isin(asked)]) for label, table in tables]
    few += [("zero-shot", zero), ("zero-shot, its marginal", marginal_for_all(zero))]
    return {
        **size_of(data),
        "ordered": sum(question.type == "ordinal" for question in data.codebook.questions.values()),
        "rows": summary(scored(tables, truth, data.codebook, metrics), "human marginal"),
        "model": name,
        "seconds": round(seconds),
        "asked": asked,
        "asked_rows": summary(scored(few, some, data.codebook, metrics), "human marginal"),
    }


def subpop_folds(folder: Path) -> dict[str, Any]:
    """Score all questions, each as if nobody had been asked it: the nulls, the default model as it is, the closed form over questions."""
    data = subpop_cells(folder)
    truth, model = data.truth, ss.load_model(dtype="float32")
    nobody = [
        ("uniform", nulls.uniform(truth)),
        ("blind: other questions", nulls.of_other_questions(truth, groups=False)),
        ("group means: the group's other questions", nulls.of_other_questions(truth, groups=True)),
        ("human marginal", marginal_for_all(truth)),
        ("zero-shot", own_traits(as_asked(model, one_trait(truth), one_trait_book(data.codebook)))),
    ]
    tables = nobody + [("closed form over questions", never_asked(model, data, question_folds(data, FOLDS, seed))) for seed in SEEDS]
    values = subpop_values(folder)
    distances: dict[str, list[pd.Series]] = {}
    for name, table in tables:
        distances.setdefault(name, []).append(distance_of_values(table, truth, values))
    means = {name: pd.concat(own).groupby(level="question_id").mean() for name, own in distances.items()}
    return {
        **size_of(data),
        "folds": FOLDS,
        "stated": STATED,
        "model": model.backbone.name,
        "rows": summary(scored(tables, truth, data.codebook, ["wasserstein", "kl"]), "blind: other questions"),
        "by_values": {name: round(float(own.mean()), 5) for name, own in means.items()},
    }


def zero_shot(truth: pd.DataFrame, book: ss.Codebook) -> tuple[pd.DataFrame, str]:
    """Return what the default model says of every cell, nothing learnt, and the model's name."""
    model, parts = ss.load_model(dtype="float32"), []
    for _, own in truth.groupby(nulls.trait_of(truth), sort=False):
        parts.append(as_asked(model, own, book))
    return pd.concat(parts, ignore_index=True), model.backbone.name


def own_table(path: Path, name: str, folder: Path) -> dict[str, Any]:
    """Score a table of the user's on whichever data it has questions of: CSV with question_id, background_id, option_code and share."""
    rows = pd.read_csv(path)
    asked = set(rows["question_id"].astype(str))
    readers: dict[str, Callable[[], OutsideData]] = {"pew": lambda: pew_tables(folder), "subpop": lambda: subpop_cells(folder)}
    readers |= {each: (lambda each=each: global_dialogues(folder, each)) for each in ROUNDS}
    for where, reader in readers.items():
        data = reader()
        if asked <= set(data.codebook.questions):
            table = ss.as_distributions(rows, data.codebook, shares="share", source=name, tolerance=0.01)
            cells = table[["question_id", "background_id"]].drop_duplicates()
            truth = data.truth.merge(cells, on=["question_id", "background_id"]).reset_index(drop=True)
            tables = [("human marginal", marginal_for_all(truth)), (name, table)]
            return {"data": where, "rows": summary(scored(tables, truth, data.codebook, ["total_variation"]), "human marginal")}
    raise ValueError(f"{path}: no data set has all of its {len(asked)} questions; give each data set its own file")


def main() -> None:
    """Measure, and write file and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {"pew": pew, "subpop": subpop, "subpop-folds": subpop_folds}
    parts |= {name: (lambda folder, name=name: dialogues(name, folder)) for name in ROUNDS}
    parts |= {f"{name}-held-out": (lambda folder, name=name: held_out(name, folder)) for name in ROUNDS}
    parts |= {f"{name}-closed-form": (lambda folder, name=name: closed_form(name, folder)) for name in ROUNDS}
    parts |= {f"{name}-aligned": (lambda folder, name=name: aligned_round(name, folder)) for name in ROUNDS}
    parts |= {"subpop-topics": subpop_topics}
    parts |= {f"subpop-aligned-{what}": (lambda folder, what=what: subpop_aligned(what, folder)) for what in ("questions", "topics")}
    parser.add_argument("--only", nargs="*", default=list(parts), choices=[*parts, []], help="parts to measure; none: write the page again")
    parser.add_argument("--tables", nargs="*", default=[], help="name=file.csv: tables of your own, scored and printed")
    chosen = parser.parse_args()
    for given in chosen.tables:
        name, _, path = given.partition("=")
        found = own_table(Path(path), name, chosen.folder)
        print(found["data"], pd.DataFrame(found["rows"]).to_string(index=False), sep="\n")
    for name in [] if chosen.tables else chosen.only:
        start = time.perf_counter()
        found = parts[name](chosen.folder)
        print(f"{name}: {len(found['rows'])} rows ({time.perf_counter() - start:.0f} s)", flush=True)
        kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
        kept[name] = found
        partial = FILE.with_name(".referee.json")
        partial.write_text(json.dumps({key: kept[key] for key in sorted(kept)}, indent=1) + "\n", encoding="utf-8")
        partial.replace(FILE)
    if not chosen.tables:
        PAGE.write_text(page(*(json.loads(path.read_text(encoding="utf-8")) for path in (FILE, PRIORS))), encoding="utf-8")


if __name__ == "__main__":
    main()
