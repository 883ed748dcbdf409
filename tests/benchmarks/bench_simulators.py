"""A big model's table as prior: Pew questions, human shares of 14 groups, tables of GPT-4 and Claude 3 Opus.

Run: python tests/benchmarks/bench_simulators.py DATA [--seeds 5]; it writes docs/benchmarks/simulators.json and a section of
docs/benchmarks.md. The published human shares stand for the truth, a sample is drawn of them. Seeds 0-4 are the page's; what is
expected of a simulator (`surveysim.baselines.prior.SIMULATOR`) was chosen on seed 200 of the same tables. A minute a draw.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import outside_nulls as nulls
import pandas as pd
from marked_sections import write_section
from outside_data import one_trait, pew_tables

import surveysim as ss

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "docs" / "benchmarks" / "simulators.json"
SIMULATORS = ("GPT-4", "Claude 3 Opus")
EACH = (5, 10, 25, 50)  # answers a group
FOLDS, HELD_GROUPS = 5, 3
KEYS = ["question_id", "background_id", "option_code"]


def sampled(truth: pd.DataFrame, each: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return `each` answers drawn of every cell."""
    parts = []
    for _, cell in truth.groupby(KEYS[:2], sort=False):
        share = cell["share"].to_numpy()
        parts.append(cell.assign(share=rng.multinomial(each, share / share.sum()) / each, n=each, n_eff=float(each)))
    return pd.concat(parts, ignore_index=True)


def wasserstein(table: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Return the mean distance over K - 1, every cell of the truth alike."""
    both = truth.merge(table[[*KEYS, "share"]], on=KEYS, suffixes=("", "_estimated")).sort_values(
        ["question_id", "background_id", "option_order"]
    )
    both["away"] = (both["share_estimated"] - both["share"]).groupby([both["question_id"], both["background_id"]]).cumsum().abs()
    cells = both.groupby(KEYS[:2])["away"].agg(["sum", "size"])
    return float((cells["sum"] / (cells["size"] - 1)).mean())


class Estimates:
    """What one draw of a sample gives, with and without priors."""

    def __init__(self, truth: pd.DataFrame, simulators: dict[str, pd.DataFrame]) -> None:
        self.truth = truth
        self.priors: dict[str, object] = {**simulators, "both": simulators}
        self.questions = list(truth["question_id"].unique())
        self.grid = truth[["background_id"]].drop_duplicates()

    def fit(self, sample: pd.DataFrame, prior: object = None, method: str = "mrp") -> pd.DataFrame:
        """Return the estimate of every group and question that the sample or the prior has."""
        rows = sample if prior is None else self._with_unasked(sample)
        return ss.estimate_baseline(rows, self.grid, method=method, ordinal=self.questions, prior=prior)

    def _with_unasked(self, sample: pd.DataFrame) -> pd.DataFrame:
        rest = self.truth[~self.truth["question_id"].isin(sample["question_id"])]
        return pd.concat([sample, rest.assign(share=np.nan, n=0, n_eff=0.0)], ignore_index=True)

    def sampled_groups(self, sample: pd.DataFrame) -> dict[str, float]:
        """Return errors where every group has a sample."""
        without = {name: wasserstein(self.fit(sample, method=name), self.truth) for name in ("mrp", "low_rank")}
        return without | {f"prior {name}": wasserstein(self.fit(sample, prior), self.truth) for name, prior in self.priors.items()}

    def groups_never_sampled(self, sample: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
        """Return errors of groups that are in no sample."""
        held = rng.choice(self.grid["background_id"], HELD_GROUPS, replace=False)
        kept, truth = sample[~sample["background_id"].isin(held)], self.truth[self.truth["background_id"].isin(held)]
        found = {"without": wasserstein(self.fit(kept), truth)}
        return found | {f"prior {name}": wasserstein(self.fit(kept, prior), truth) for name, prior in self.priors.items()}

    def questions_never_asked(self, sample: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
        """Return errors of questions that are in no sample, in folds of questions."""
        parts: dict[str, list[pd.DataFrame]] = {name: [] for name in self.priors}
        for fold in np.array_split(rng.permutation(self.questions), FOLDS):
            kept = sample[~sample["question_id"].isin(fold)]
            for name, prior in self.priors.items():
                table = self.fit(kept, prior)
                parts[name].append(table[table["question_id"].isin(fold)])
        found = {f"prior {name}": wasserstein(pd.concat(tables), self.truth) for name, tables in parts.items()}
        as_it_is = {f"{name} as it is": wasserstein(self.priors[name], self.truth) for name in SIMULATORS}  # type: ignore[arg-type]
        blind = {"length-matched": wasserstein(nulls.of_other_questions(self.truth, groups=False), self.truth)}
        return {**blind, "uniform": wasserstein(nulls.uniform(self.truth), self.truth), **as_it_is, **found}


def draw(estimates: Estimates, seed: int) -> dict[str, dict[str, float]]:
    """Return the errors of one draw by what was sampled."""
    rng = np.random.default_rng(seed)
    samples = {each: sampled(estimates.truth, each, rng) for each in EACH}
    found = {f"sampled, {each}": estimates.sampled_groups(sample) for each, sample in samples.items()}
    found["group never sampled, 25"] = estimates.groups_never_sampled(samples[25], rng)
    return found | {"question never asked, 25": estimates.questions_never_asked(samples[25], rng)}


def section(numbers: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return the page's section."""
    mean = {case: {name: float(np.mean(values)) for name, values in own.items()} for case, own in numbers.items()}
    lines = [
        "## A big model's table as prior: Pew questions",
        "",
        "Human shares of 14 groups as published stand for the truth; answers are drawn of them. Prior: the tables that GPT-4 and Claude 3 "
        "Opus gave, without n, and both together. Wasserstein over K - 1, every cell alike, mean of "
        f"{len(next(iter(numbers['sampled, 5'].values())))} draws; in brackets the ratio to the best without a prior.",
        "",
        "| | without | GPT-4 | Claude 3 Opus | both |",
        "|---|---:|---:|---:|---:|",
    ]
    for case, own in mean.items():
        if case.startswith("question"):
            continue
        best = min(value for name, value in own.items() if not name.startswith("prior"))
        cells = [f"{own[f'prior {name}']:.4f} ({own[f'prior {name}'] / best:.3f})" for name in (*SIMULATORS, "both")]
        lines.append(f"| {case} answers a group | {best:.4f} | " + " | ".join(cells) + " |")
    asked = mean["question never asked, 25"]
    blind = min(asked["length-matched"], asked["uniform"])
    cells = [f"{asked[f'prior {name}']:.4f} ({asked[f'prior {name}'] / blind:.3f})" for name in (*SIMULATORS, "both")]
    as_it_is = " and ".join(f"{name} {asked[f'{name} as it is']:.4f} ({asked[f'{name} as it is'] / blind:.3f})" for name in SIMULATORS)
    return [
        *lines,
        f"| question never asked, 25 answers a group to the others | {blind:.4f} (blind) | " + " | ".join(cells) + " |",
        "",
        f"Blind is the better of all options alike ({asked['uniform']:.4f}) and the mean of other questions with as many options "
        f"({asked['length-matched']:.4f}). As they are, the tables miss questions never asked by: {as_it_is}.",
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    tables = pew_tables(given.data)
    assert tables.simulated is not None
    own = {name: one_trait(tables.simulated[tables.simulated["source"] == name]).assign(n=0, n_eff=0.0) for name in SIMULATORS}
    estimates = Estimates(one_trait(tables.truth), own)
    draws = []
    for seed in range(given.seeds):
        draws.append(draw(estimates, seed))
        print(seed, {case: {name: round(value, 4) for name, value in found.items()} for case, found in draws[-1].items()}, flush=True)
    numbers = {case: {name: [one[case][name] for one in draws] for name in found} for case, found in draws[0].items()}
    FILE.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    write_section(PROJECT / "docs" / "benchmarks.md", "simulators", section(numbers))


if __name__ == "__main__":
    main()
