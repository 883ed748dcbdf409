"""The tables and numbers of bench_respondents: every number here is computed, none is written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from marked_sections import write_section
from referee_tables import wrapped

NAMES = {
    "simulated": "`simulate_respondents`",
    "synthpop": "synthpop, CART",
    "sample": "the sample itself",
    "independent": "independent draws",
    "floor": "floor: as many fresh respondents",
    "halves": "two halves of the truth",
}
SHORT = {"sample": "the sample itself", "floor": "the floor", "halves": "the difference of two halves of the truth"}
COLUMNS = {"score_distance": "score distance", "alpha": "alpha", "ave": "AVE", "polychoric": "correlations"}


def gathered(folder: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Return means over seeds of each study's scores, the time, and the coverage of each coefficient; a part not run stays."""
    found = dict(before)
    if (folder / "coherence").is_dir():
        found["studies"] = {place.name: _study(_read(place)) for place in sorted((folder / "coherence").iterdir())}
    if (folder / "coverage").is_dir():
        found["coverage"] = {place.name: _coverage(_read(place)) for place in sorted((folder / "coverage").iterdir())}
    if (folder / "speed.json").is_file():
        found["speed"] = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
    return found


def _read(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(place.glob("*.json"))]


def _study(runs: list[dict[str, Any]]) -> dict[str, Any]:
    kept = [name for name in NAMES if all(name in run["scores"] for run in runs)]
    scores = {name: {key: float(np.mean([run["scores"][name][key] for run in runs])) for key in COLUMNS} for name in kept}
    near = [run["nearest"] for run in runs]
    return {
        "seeds": len(runs),
        "scores": scores,
        "alpha": float(np.mean([run["alpha"] for run in runs])),
        "worst_alpha_error": max(run["scores"]["simulated"]["alpha"] for run in runs),
        "share_error": max(run["share_error"] for run in runs),
        "seconds": float(np.mean([run["seconds"] for run in runs])),
        "nearer": float(np.mean([one["nearer"] for one in near])),
        "held": runs[0]["facts"]["shares"],
    }


def _coverage(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for place, item in enumerate(runs[0]["item"]):
        estimate, truth = np.array([run["estimate"][place] for run in runs]), runs[0]["truth"][place]
        direct = np.array([run["sample"][place] for run in runs])
        covers = [run["covers"][place] for run in runs]
        rows.append(
            {
                "item": item,
                "truth": truth,
                "bias": float(estimate.mean() - truth),
                "sample_bias": float(direct.mean() - truth),
                "spread": float(estimate.std(ddof=1)),
                "std_error": float(np.mean([run["std_error"][place] for run in runs])),
                "sample_spread": float(direct.std(ddof=1)),
                "coverage": float(np.mean(covers)),
                "replicates": len(runs),
            }
        )
    return rows


def section(numbers: dict[str, Any]) -> list[str]:
    """Return the lines of the page's section."""
    lines: list[str] = []
    for name, study in numbers["studies"].items():
        lines += [
            f"### {name}",
            "",
            f"Mean absolute errors over {study['seeds']} draws; true alpha {study['alpha']:.3f}.",
            "",
            "| | " + " | ".join(COLUMNS.values()) + " |",
            "|---" * (len(COLUMNS) + 1) + "|",
        ]
        lines += [f"| {NAMES[key]} | " + " | ".join(f"{own[one]:.3f}" for one in COLUMNS) + " |" for key, own in study["scores"].items()]
        lines += ["", *_beside(study["scores"]), f"The largest error of alpha in one draw: {study['worst_alpha_error']:.3f}."]
        lines += [
            f"Weighted shares of the population differ from those of `simulate` by at most {study['share_error']:.1g}. Shares by",
            f"background, first draw: {study['held']}.",
            f"A row is nearer to a sampled respondent than a held-out one is in {study['nearer']:.1%} of pairs (chance: 50%).",
            f"Time: {study['seconds']:.1f} s.",
            "",
        ]
    lines += ["### Coverage of 95% intervals", ""]
    lines += [
        "| population | coefficient | truth | bias | bias of the sample | spread | mean std. error | spread of the sample | coverage |",
        "|---" * 9 + "|",
    ]
    for name, rows in numbers["coverage"].items():
        lines += [
            f"| {name} | `{row['item']}` | {row['truth']:.3f} | {row['bias']:.3f} | {row['sample_bias']:.3f} | {row['spread']:.3f} | "
            f"{row['std_error']:.3f} | {row['sample_spread']:.3f} | {row['coverage']:.1%} |"
            for row in rows
        ]
    counted = next(iter(numbers["coverage"].values()))[0]["replicates"]
    speed = numbers["speed"]
    lines += [
        "",
        f"{counted} samples of 1,000 each, 20 syntheses of 5,000 rows, variances left out.",
        f"{speed['rows']:,} respondents of {speed['questions']} questions took {speed['seconds']:.1f} s of one processor, shares included.",
    ]
    return lines


def _beside(scores: dict[str, dict[str, float]]) -> list[str]:
    """Return the ratios of mean score distances to those of the nulls, of us and of the peer."""
    said = []
    for made in (name for name in ("simulated", "synthpop") if name in scores):
        nulls = [key for key in ("independent", "sample", "floor", "halves", "synthpop") if key in scores and key != made]
        ratios = (f"{scores[made]['score_distance'] / scores[key]['score_distance']:.2f} of {SHORT.get(key, NAMES[key])}" for key in nulls)
        said.append(f"The score distance of {NAMES[made]} is {', '.join(ratios)}.")
    return [line for one in said for line in wrapped(one).splitlines()]


def write_report(folder: Path, docs: Path) -> None:
    """Write the numbers and the page's section."""
    kept = docs / "benchmarks" / "respondents.json"
    numbers = gathered(folder, json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {})
    kept.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    write_section(docs / "respondents.md", "respondents", section(numbers))
