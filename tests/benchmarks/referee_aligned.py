"""Parts of the referee where the model itself is aligned, and SubPOP's questions by folds of topics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import outside_nulls as nulls
import pandas as pd
from outside_data import OutsideData, global_dialogues, subpop_cells, subpop_values
from outside_learners import STATED, OneTrait, distance_of_values, never_asked, question_folds, ratio
from referee_scores import scored, size_of, summary
from subpop_topics import TOPICS, topic_folds, topic_of, with_topics

import surveysim as ss
from surveysim.evaluation.floor import marginal_for_all

LARGE = 100  # respondents of a segment that is parted into a sample and a truth
ALIGNED_AT, SIZES = 25, (10, 25, 50)  # answers a segment; what the parting is made for
DRAWS = 2  # samples that the model is aligned with
PARTITIONS = 5  # of topics
FOLDS = 5
CLOSED, ALIGNED = "closed form over questions", "dsa, aligned on other questions"


def aligned_round(name: str, folder: Path) -> dict[str, Any]:
    """Score `dsa` itself beside its closed form on a round's larger segments, parted into a sample and a truth."""
    data = global_dialogues(folder, name)
    data = replace(data, truth=data.truth[data.truth["n"] >= LARGE].reset_index(drop=True))
    learner, parts, seconds = OneTrait(data, ss.load_model(dtype="float32")), [], []
    for seed in range(DRAWS):
        samples, truth = nulls.parted(data.truth, SIZES, seed, data.codebook)
        start = time.perf_counter()
        aligned, closed = learner.aligned(samples[ALIGNED_AT], seed)
        seconds.append(time.perf_counter() - start)
        tables = [("marginal of the truth", marginal_for_all(truth, weight="n"))]
        tables += [("shrunken", nulls.learnt(samples[ALIGNED_AT], "shrunken", [])), ("closed form", closed), ("dsa", aligned)]
        parts.append(scored(tables, truth, data.codebook, ["total_variation"]))
    scores = pd.concat(parts, ignore_index=True)
    return {
        **size_of(data),
        "model": learner.name,
        "n": ALIGNED_AT,
        "draws": DRAWS,
        "seconds": round(sum(seconds) / DRAWS, 1),
        "rows": summary(scores, "marginal of the truth"),
        "ratios": [ratio(scores, "dsa", "closed form", "total_variation")],
    }


def subpop_topics(folder: Path) -> dict[str, Any]:
    """Score all questions, each as if nobody had been asked any of its topic: nulls of other topics, and the closed form."""
    data = subpop_cells(folder)
    data, model = replace(data, codebook=with_topics(data.codebook)), ss.load_model(dtype="float32")
    tables = _nobody_asked(data)
    for seed in range(PARTITIONS):
        folds = topic_folds(FOLDS, seed)
        tables += [*_nulls_of_folds(data.truth, folds), (CLOSED, never_asked(model, data, folds))]
    return _never_asked_part(data, folder, tables, model) | {"topics": len(TOPICS)}


def subpop_aligned(what: str, folder: Path) -> dict[str, Any]:
    """Score the aligned model on one fold after the other, of "questions" or of "topics", beside the closed form there."""
    data, model = subpop_cells(folder), ss.load_model(dtype="float32")
    if what == "topics":
        data, folds = replace(data, codebook=with_topics(data.codebook)), topic_folds(FOLDS, 0)
    else:
        folds = question_folds(data, FOLDS, 0)
    tables = [*_nobody_asked(data), *_nulls_of_folds(data.truth, folds), (CLOSED, never_asked(model, data, folds))]
    start = time.perf_counter()
    tables.append((ALIGNED, never_asked(model, data, folds, aligned=True)))
    return {"seconds": round(time.perf_counter() - start), **_never_asked_part(data, folder, tables, model)}


def _nobody_asked(data: OutsideData) -> list[tuple[str, pd.DataFrame]]:
    topic = topic_of()
    return [
        ("blind: other topics", nulls.of_other_questions(data.truth, groups=False, apart=topic)),
        ("human marginal", marginal_for_all(data.truth)),
    ]


def _nulls_of_folds(truth: pd.DataFrame, folds: Sequence[Sequence[str]]) -> list[tuple[str, pd.DataFrame]]:
    fold = {name: place for place, names in enumerate(folds) for name in names}
    return [
        ("blind: other folds", nulls.of_other_questions(truth, groups=False, apart=fold)),
        ("group means: the group's other folds", nulls.of_other_questions(truth, groups=True, apart=fold)),
    ]


def _never_asked_part(data: OutsideData, folder: Path, tables: list[tuple[str, pd.DataFrame]], model: ss.OptionModel) -> dict[str, Any]:
    values = subpop_values(folder)
    distances: dict[str, list[pd.Series]] = {}
    for name, table in tables:
        distances.setdefault(name, []).append(distance_of_values(table, data.truth, values))
    means = {name: pd.concat(own).groupby(level="question_id").mean() for name, own in distances.items()}
    scores = scored(tables, data.truth, data.codebook, ["wasserstein", "kl"])
    return {
        **size_of(data),
        "folds": FOLDS,
        "stated": STATED,
        "model": model.backbone.name,
        "rows": summary(scores, "blind: other topics"),
        "by_values": {name: round(float(own.mean()), 5) for name, own in means.items()},
    }
