"""How good the choice of `choose_method` is, and how true the error that it states: ANES 2020 and ESS 11.

Run: make bench-choosing DATA=<folder of the survey files>, or python tests/benchmarks/bench_choosing.py DATA [--seeds 10]; it writes
docs/benchmarks/choosing.json and a section of docs/planning.md. Each draw takes 400 respondents, chooses by them alone, and holds every
method, fitted to all 400, against the respondents left out. Seeds begin at 200. Half a minute a draw.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from bench_accuracy import ANES, ESS, anes2020, ess11
from marked_sections import write_section

import surveysim as ss
from surveysim.tables.intervals import Z_95

PROJECT = Path(__file__).parents[2]
FILE, PAGE = PROJECT / "docs" / "benchmarks" / "choosing.json", PROJECT / "docs" / "planning.md"
FIRST_SEED, N, ASKED = 200, 400, 12
METHODS = ("raw", "pooled", "shrunken", "mrp", "low_rank", "dsa-kernel")
METRIC = "debiased_squared_error"
SURVEYS = {"ANES 2020": (anes2020, ANES), "ESS 11": (ess11, ESS)}


def draw(survey: ss.Survey, questions: list[str], by: tuple[str, ...], seed: int) -> dict[str, object]:
    """Return what was stated and chosen, and every method's error on respondents left out."""
    sample, others = ss.hold_out_respondents(survey, n_train=N, seed=seed)
    cells = ss.observed_backgrounds(survey, by=by)
    grid = cells[list(by)]
    table = ss.choose_method(sample, grid, methods=METHODS, questions=questions, metric=METRIC, seed=seed, progress=False)
    truth = ss.response_distributions(others, by=by, questions=questions, lonely_psu="remove")
    truth = truth[truth["n_eff"] > 1]
    true = {}
    for method in METHODS:
        shares = ss.simulate(sample, grid, questions=questions, method=method, progress=False)
        scores = ss.evaluate(shares, truth, metrics=[METRIC], codebook=survey.codebook, weights=cells, on="shared")
        true[method] = float(ss.summarise_scores(scores)["estimate"].iloc[0])
    smallest = float(table["estimate"].iloc[0])
    stated = {method: float(value) for method, value in table.set_index("method")["estimate"].items()}
    return {"chosen": table.attrs["choice"], "true": true, "stated": stated, "naive": smallest, "nested": table.attrs["nested"]}


def summary(draws: list[dict]) -> dict[str, float]:  # type: ignore[type-arg]
    """Return regret and bias over draws."""
    true = {method: np.array([one["true"][method] for one in draws]) for method in METHODS}
    mine = np.array([one["true"][one["chosen"]] for one in draws])
    oracle = np.min(list(true.values()), axis=0)
    fixed = min(METHODS, key=lambda method: true[method].mean())
    nested = {name: np.array([one["nested"][name] for one in draws]) for name in ("estimate", "std_error", "at_full_size")}
    naive, away = np.array([one["naive"] for one in draws]), nested["at_full_size"] - mine
    return {
        "regret": float(mine.mean() / oracle.mean()),
        "fixed": fixed,  # type: ignore[dict-item]
        "fixed_regret": float(true[fixed].mean() / oracle.mean()),
        "oracle_chosen": float(np.mean(mine <= oracle)),
        "true": float(mine.mean()),
        "naive": float(naive.mean()),
        "nested": float(nested["estimate"].mean()),
        "full": float(nested["at_full_size"].mean()),
        "full_error": float(away.std(ddof=1) / np.sqrt(len(draws))),
        "spread": float((nested["estimate"] - mine).std(ddof=1)),
        "std_error": float(np.sqrt((nested["std_error"] ** 2).mean())),
        "covered": float(np.mean(np.abs(nested["estimate"] - mine) <= Z_95 * nested["std_error"])),
    }


def section(kept: dict[str, list[dict]]) -> list[str]:  # type: ignore[type-arg]
    """Return the page's section."""
    lines = [
        f"{N} respondents, {len(METHODS)} methods ({', '.join(METHODS)}), five folds; error: sum over options of squared differences of "
        f"shares, the truth's own sampling error removed. ANES {ASKED} questions, ESS five items; "
        f"{len(next(iter(kept.values())))} draws, seeds from {FIRST_SEED}. Regret: mean error of the method chosen over that of each "
        "draw's best. Errors stated: smallest of the cross-validated ones (naive), nested, nested and extrapolated to all respondents.",
        "",
        "| survey | regret | regret of always taking the best on average | error of the chosen | naive | nested | extrapolated | std. "
        "dev. of nested less true | its standard error | 95% intervals that hold the error |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, draws in kept.items():
        own = summary(draws)
        lines.append(
            f"| {name} | {own['regret']:.3f} | {own['fixed_regret']:.3f} (`{own['fixed']}`) | {own['true']:.4f} | {own['naive']:.4f} "
            f"| {own['nested']:.4f} | {own['full']:.4f} | {own['spread']:.4f} | {own['std_error']:.4f} | {100 * own['covered']:.0f}% |"
        )
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    kept: dict[str, list[dict]] = {name: [] for name in SURVEYS}  # type: ignore[type-arg]
    for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
        for name, (load, by) in SURVEYS.items():
            survey, questions = load(given.data)
            kept[name].append(draw(survey, questions[:ASKED], by, seed))
            if len(kept[name]) > 1:
                print(
                    name,
                    seed,
                    {what: value if isinstance(value, str) else round(value, 4) for what, value in summary(kept[name]).items()},
                    flush=True,
                )
        FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_section(PAGE, "choosing", section(kept))


if __name__ == "__main__":
    main()
