"""What the order of levels is worth: the scores of bench_accuracy beside those of the same rows before any method knew it.

``docs/benchmarks/without_order.json`` holds the errors of before (Wasserstein over options less 1, five draws, of ANES' final questions
three); they are not computed again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from marked_sections import write_section

CLASSICAL = ("ridge", "cumulative", "mrp", "mean_tilt", "low_rank")
SHOWN = ("mrp", "low_rank", "dsa-kernel", "dsa")
GOALS = {  # best shipped method over the best classical without the order, at the sizes of the goal
    "nonvoters2020/respondents": {200: 0.92, 400: 0.92, 800: 0.92, 1600: 0.92},
    "anes2020/respondents": {200: 0.95, 400: 0.96, 800: 0.97},
}
LEVEL = 1.005  # a form of DSA above the best classical method's error by more than this is a miss


def write_order(report: dict[str, Any], docs: Path) -> None:
    """Write the section on the order of levels into docs/benchmarks.md."""
    before = json.loads((docs / "benchmarks" / "without_order.json").read_text(encoding="utf-8"))
    lines = [*HEAD.splitlines(), "", "| study, n | best classical before | best now | goal | " + " | ".join(SHOWN) + " |"]
    lines.append("|---|---|---|---|" + "---:|" * len(SHOWN))
    for study in report["scores"]:
        if not study.endswith("/questions"):
            now = errors(report, study)
            lines += [_row(study, n, before[study][str(n)], now[n]) for n in sorted(now) if "dsa-kernel" in now[n]]
    write_section(docs / "benchmarks.md", "order", [*lines, "", *level_with_classical(report)])


def errors(report: dict[str, Any], study: str) -> dict[int, dict[str, float]]:
    """Return n -> method -> mean error."""
    found: dict[int, dict[str, float]] = {}
    for row in report["scores"][study]:
        if row["metric"] == "wasserstein":
            found.setdefault(int(row["n"]), {})[row["method"]] = row["estimate"]
    return found


def level_with_classical(report: dict[str, Any]) -> list[str]:
    """Return sentences on the goal that neither form of DSA errs more than the best classical method that knows the order."""
    lines = []
    for form, name in (("dsa-kernel", "closed form"), ("dsa", "DSA")):
        for study in GOALS:
            now = errors(report, study)
            ratios = {n: here[form] / _best(here)[1] for n, here in sorted(now.items()) if form in here}
            if not ratios:
                continue
            mean = sum(ratios.values()) / len(ratios)
            verdict = "reached" if mean < 1.0005 and max(ratios.values()) <= LEVEL else "missed"
            each = ", ".join(f"{ratio:.3f} at {n:,}" for n, ratio in ratios.items())
            lines.append(
                f"- {name}, {study.partition('/')[0]}: {each}; mean {mean:.3f} (goal: mean at most 1.000, none above {LEVEL}: {verdict})"
            )
    return ["Over the best classical method that knows the order too:", "", *lines]


def _best(errors_here: dict[str, float]) -> tuple[str, float]:
    name = min((name for name in CLASSICAL if name in errors_here), key=errors_here.__getitem__)
    return name, errors_here[name]


def _row(study: str, n: int, before: dict[str, float], now: dict[str, float]) -> str:
    known, reference = _best(before)
    best = min((name for name in (*CLASSICAL, "dsa-kernel", "dsa") if name in now), key=now.__getitem__)
    ratio, goal = now[best] / reference, GOALS.get(study, {}).get(n)
    shown = f"{ratio:.3f}" if goal is None or round(ratio, 3) <= goal else f"**{ratio:.3f}**"
    each = " | ".join(f"{now[name] / before[name]:.3f}" if name in now and name in before else "" for name in SHOWN)
    return f"| {study}, {n:,} | {reference:.4f}, `{known}` | {shown}, `{best}` | {'' if goal is None else f'{goal:.2f}'} | {each} |"


HEAD = """\
## What the order of levels is worth

Ages, educations and parties are ordered. A first version of this page was made before any method knew that; these are its errors beside
those of the tables above, on the same respondents (Wasserstein over options less 1). "Best now" is the error of the best method, DSA
among them, over that of the best classical one before (**bold**: goal not reached); the columns of methods have each one's error over
its own of before."""
