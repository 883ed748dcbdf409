"""How far simulated shares depend on the prompt: writes docs/benchmarks/robustness.json and the section "robustness" of docs/benchmarks.md.

Run: make bench-robustness, or python tests/benchmarks/bench_robustness.py [--only dsa ...]

Nonvoters 2020, 400 respondents, gender x age6 x education, 12 questions drawn with a fixed seed, ten prompts: the package's own, five other
wordings, three other orders of the traits, the options from the last to the first (`ss.prompt_variants`). Every method is kept in the JSON
file as soon as it is done; `--only` does these alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from marked_sections import write_section

import surveysim as ss

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "docs" / "benchmarks" / "robustness.json"
BY, N_TRAIN, N_QUESTIONS, SEED = ["gender", "age6", "education"], 400, 12, 0
GOAL = 0.02
OTHERWISE = "dsa, asked otherwise than aligned"
METHODS = ("dsa", "dsa-kernel", "stage1", "zero-shot", OTHERWISE)


def spread(method: str, train: ss.Survey, questions: Sequence[str], model: ss.OptionModel) -> pd.DataFrame:
    """Return the spread of one method's shares over the prompts, a row per kind and question."""
    if method != OTHERWISE:
        return ss.prompt_sensitivity(train, BY, model=model, questions=questions, method=method, progress=False)
    sample = ss.response_distributions(train, by=BY, questions=questions)
    aligned = ss.align(model, sample, train.codebook, progress=False)
    return ss.prompt_sensitivity(train, BY, model=aligned, questions=questions, progress=False)


def summary(found: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return kind -> mean spread over questions, and that of the worst question and cell."""
    out = {}
    for kind, rows in found.groupby("varied", sort=False):
        worst = rows.loc[rows.share_sd.idxmax()]
        out[str(kind)] = {
            "prompts": int(rows.n_prompts.iloc[0]),
            "share_sd": round(float(rows.share_sd.mean()), 5),
            "worst_question": round(float(worst.share_sd), 5),
            "worst_cell": round(float(rows.share_sd_largest.max()), 5),
        }
    return out


def section(found: dict[str, dict[str, dict[str, float]]], questions: Sequence[str]) -> list[str]:
    """Return the section of docs/benchmarks.md as lines."""
    lines = [
        "## How far shares depend on the prompt",
        "",
        "Made by `make bench-robustness`; numbers in `benchmarks/robustness.json`. Standard deviation of a cell's share over prompts,",
        f"mean over cells and options; in brackets the worst question. Goal: {GOAL} (**bold**: not reached). Nonvoters 2020, gender x",
        f"age6 x education, {N_TRAIN} respondents, {len(questions)} questions drawn with a fixed seed, frozen layers in float32.",
        "Methods are aligned anew with every prompt (`ss.prompt_sensitivity`): what would have come out, had the prompt been written",
        "otherwise. The last row is one aligned model, asked in other words than those it was aligned with; `simulate` never does that.",
        "",
    ]
    kinds = list(dict.fromkeys(kind for kinds in found.values() for kind in kinds))
    heads = [f"{kind} ({next(values[kind]['prompts'] for values in found.values())})" for kind in kinds]
    lines += [f"| method | {' | '.join(heads)} | worst cell |", "|---|" + "---|" * (len(kinds) + 1)]
    for method, values in found.items():
        cells = [_cell(values[kind]) for kind in kinds]
        lines.append(f"| {method} | {' | '.join(cells)} | {values[kinds[-1]]['worst_cell']:.3f} |")
    return lines


def _cell(values: dict[str, float]) -> str:
    mean = f"{values['share_sd']:.4f}"
    return f"{f'**{mean}**' if values['share_sd'] > GOAL else mean} ({values['worst_question']:.4f})"


def main() -> None:
    """Measure, and write file and section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=METHODS, help="methods to measure; default all; none: write the section again")
    chosen = parser.parse_args()
    survey = ss.load_example("nonvoters2020")
    train, _ = ss.hold_out_respondents(survey, n_train=N_TRAIN, seed=SEED)
    drawn = np.random.default_rng(SEED).permutation(sorted(survey.questions))[:N_QUESTIONS]
    questions, model = sorted(str(name) for name in drawn), ss.load_model(dtype="float32")
    kept = json.loads(FILE.read_text(encoding="utf-8"))["methods"] if FILE.is_file() else {}
    about = {"survey": survey.codebook.name, "n": N_TRAIN, "seed": SEED, "by": BY, "questions": questions, "model": model.backbone.name}
    for method in chosen.only:
        start = time.perf_counter()
        kept[method] = summary(spread(method, train, questions, model))
        print(f"{method}: {kept[method]} ({time.perf_counter() - start:.0f} s)", flush=True)
        found = {name: kept[name] for name in METHODS if name in kept}
        partial = FILE.with_name(".partial.json")
        partial.write_text(json.dumps({**about, "goal": GOAL, "methods": found}, indent=1) + "\n", encoding="utf-8")
        partial.replace(FILE)
    write_section(
        PROJECT / "docs" / "benchmarks.md", "robustness", section({name: kept[name] for name in METHODS if name in kept}, questions)
    )


if __name__ == "__main__":
    main()
