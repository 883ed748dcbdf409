"""Do the figures of the benchmark page stay? One seed scored again, beside the scores kept in docs/benchmarks/scores.parquet.

Run: make bench-check DATA=<folder of the survey files>, or
python tests/benchmarks/accuracy_check.py DATA [--only nonvoters2020/respondents ...] [--seed 0] [--skip boosting ...]

For every study, size, method and measure of the page: the mean score over questions as it is now, and by how much of itself it has
moved. It ends with status 1 where one moved by more than `MOST`, or is gone. Nothing of the page is written. bfloat16 is multiplied in
another order on other kinds of processors, which moves the language model's own answers (zero-shot, stage 1) most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd
from bench_accuracy import MODELS, PROJECT, STUDIES, Study

MOST = 0.001  # of a figure
KEYS = ["study", "metric", "n", "method"]


def scored(data: Path, study: Study, seed: int, skip: list[str]) -> pd.DataFrame:
    """Return the scores of one seed of a study as they are now."""
    methods = [name for name in study.methods if name not in (*skip, "regions")]
    with tempfile.TemporaryDirectory() as folder:
        study.compare(data, study.sizes, methods, seed, results=Path(folder))
        found = [pd.read_parquet(path) for path in sorted(Path(folder).rglob("*.parquet"))]
    return pd.concat(found, ignore_index=True).assign(study=study.name)


def means(scores: pd.DataFrame, seed: int) -> pd.Series:
    """Return the figures: means over questions, by study, measure, size and method."""
    chosen = scores[scores["seed"] == seed]
    return chosen.astype({"study": str, "metric": str, "method": str}).groupby(KEYS)["estimate"].mean()


def moved(now: pd.Series, kept: pd.Series) -> pd.DataFrame:
    """Return each figure beside the one kept, where one was, and what it has moved by, of itself."""
    both = pd.DataFrame({"kept": kept.reindex(now.index), "now": now}).dropna(subset="kept")
    return both.assign(moved=both["now"] / both["kept"] - 1)


def main() -> None:
    """Score again, and say what moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ess11_extract and anes2020")
    parser.add_argument("--only", nargs="*", default=[], help="studies whose name begins so; default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", nargs="*", default=[], help="methods to leave out")
    chosen = parser.parse_args()
    kept = means(pd.read_parquet(PROJECT / "docs" / "benchmarks" / "scores.parquet"), chosen.seed)
    parts = []
    for study in STUDIES:
        if not chosen.only or study.name.startswith(tuple(chosen.only)):
            parts.append(moved(means(scored(chosen.data, study, chosen.seed, chosen.skip), chosen.seed), kept))
            print(parts[-1].to_string(float_format="{:.6f}".format), flush=True)
    every = pd.concat(parts)["moved"]
    model = every.index.get_level_values("method").isin(MODELS)
    for what, rows in (("classical", every[~model]), ("language model", every[model])):
        for metric, moves in rows.abs().groupby("metric"):
            print(f"{what}, {metric}: {len(moves)} figures, moved by at most {moves.max():.6f} of themselves")
    sys.exit(int(not (every.abs() <= MOST).all()))  # a figure that is gone is not below it


if __name__ == "__main__":
    main()
