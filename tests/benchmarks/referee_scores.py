"""How a simulator's table is scored by the referee: errors by name, their means over questions, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from outside_data import OutsideData

import surveysim as ss

SIMILARITY = "similarity"  # 1 - sqrt(Jensen-Shannon divergence, base 2)
Rows = list[dict[str, Any]]


def scored(tables: Iterable[tuple[str, pd.DataFrame]], truth: pd.DataFrame, book: ss.Codebook, metrics: Iterable[str]) -> pd.DataFrame:
    """Return scores by name; every group counts alike within its question, and tables of one name are averaged."""
    alike = dict.fromkeys(truth["background_id"].unique(), 1.0)
    parts = []
    for name, table in tables:
        scores = ss.evaluate(
            table.assign(source=name), truth, codebook=book, metrics=[*metrics, "jensen_shannon"], by="source", weights=alike
        )
        likeness = scores[scores["metric"] == "jensen_shannon"]
        likeness = likeness.assign(metric=SIMILARITY, estimate=1 - np.sqrt(likeness["estimate"] / np.log(2)))
        parts += [scores[scores["metric"].isin(metrics)], likeness]
    return pd.concat(parts, ignore_index=True)


def summary(scores: pd.DataFrame, against: str) -> Rows:
    """Return a row per source and metric: mean over questions, its 95% interval, and the paired difference from the source `against`."""
    means = ss.summarise_scores(scores, by="source")
    each = ss.summarise_scores(scores, by=["source", "question_id"])
    by_question = each.pivot_table(index=["metric", "question_id"], columns="source", values="estimate")
    rows = []
    for row in means.itertuples():
        own = by_question.loc[row.metric]
        difference = (own[row.source] - own[against]).dropna().to_numpy()
        half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
        numbers = {"estimate": row.estimate, "low": row.conf_low, "high": row.conf_high, "questions": row.n_questions}
        numbers |= {
            "difference": difference.mean(),
            "difference_low": difference.mean() - half,
            "difference_high": difference.mean() + half,
        }
        rows.append({"source": row.source, "metric": row.metric, **{name: round(float(value), 5) for name, value in numbers.items()}})
    return rows


def size_of(data: OutsideData) -> dict[str, int]:
    """Return how many questions, groups and cells the truth has."""
    cells = data.truth[["question_id", "background_id"]].drop_duplicates()
    return {"questions": cells["question_id"].nunique(), "groups": cells["background_id"].nunique(), "cells": len(cells)}
