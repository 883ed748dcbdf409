"""What the page of benchmarks opens with: five sentences and a figure, of the numbers in docs/benchmarks and of the demo.

Run: python tests/benchmarks/accuracy_opening.py draws the figure anew; the page is written by bench_accuracy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

DOCS = Path(__file__).parents[2] / "docs"
FIGURE = "figures/benchmarks.png"
CLASSICAL, BLIND = ("mrp", "low_rank"), ("uniform", "length-matched")
ALT = (
    "Errors as ratios to the best estimate without: the language model's lie near 1, those with an earlier wave far below, those "
    "with big models' tables below where answers are few, that with incomes a little below"
)
SMALL, UNSAMPLED = "ESS 11, 10 respondents a country", "ESS 11, countries never sampled"
MODEL = {  # rows of the figure: study, n
    "nonvoters 2020, 400 respondents": ("nonvoters2020/respondents", 400),
    "ANES 2020, 400 respondents": ("anes2020/respondents", 400),
    SMALL: ("ess11/respondents", 280),
    UNSAMPLED: ("ess11/country in turn", 2700),
}
PRIOR, BIG, INCOME = (
    "earlier wave, {} respondents a country",
    "two big models' tables, {} answers a group",
    "income of countries never sampled",
)
UNASKED = "two big models' tables, questions never asked"
WITHOUT_INCOME = ("low_rank, nothing", "low_rank, region", "dsa-kernel, nothing", "dsa-kernel, region", "hand-coded")
Ratio = tuple[float, float, float]


def opening(accuracy: dict[str, Any]) -> list[str]:
    """Return the first lines of the page."""
    model, outside, demo = model_ratios(accuracy), outside_ratios(), _numbers("figures", "demo_summary")
    error = {name: found["wasserstein"] for name, found in demo["methods"].items()}
    best = min(value for name, value in error.items() if name not in ("DSA", "stage 1 only"))
    near = [model[name][0] for name in list(MODEL)[:2]]
    asked = accuracy["heldout_questions_vs_best_blind"]
    wave, big = ([outside[name.format(n)][0] for n in (10, 50)] for name in (PRIOR, BIG))
    return [
        "# How close the methods come",
        "",
        f"- Shares read off a small sample as they are err most: with {demo['n_train']} respondents in {demo['n_backgrounds']} groups "
        f"of the survey that ships their error was {error['raw sample']:.3f}, where the best regression that knows the order of ages and "
        f"educations had {best:.3f} and the truth's own sampling error alone makes {demo['noise_floor']['wasserstein']:.3f}.",
        f"- **The language model adds nothing to such a regression there**: its error was {error['DSA'] / best:.2f} of the best one's.",
        "- Over five draws, the error of the model's closed form (what training would end at, computed without training) was "
        f"{near[0]:.2f} and {near[1]:.2f} times that of the best regression on two surveys of the United States, and {model[SMALL][0]:.2f} "
        f"times on ESS 11 with ten respondents in every country; in countries never sampled it was {model[UNSAMPLED][0]:.2f} times that of "
        "a regression with hand-coded regions (28 in turn, a draw each).",
        f"- **What moves the error is knowledge from outside the sample**: with the wave before it was {wave[0]:.2f} of that without "
        f"(ten respondents a country; {wave[1]:.2f} with fifty), with two big models' tables {big[0]:.2f} (ten answers a group; "
        f"{big[1]:.2f} with fifty), with the income of countries never sampled {outside[INCOME][0]:.2f} of the best that knows their "
        "region or asks the model (on six other draws it was above 1: one country decides).",
        "- Questions that nobody was asked the aligned model did not answer better than a blind guess on ANES 2020 "
        f"({asked['anes2020/800']:.2f}) and hardly on nonvoters 2020 ({asked['nonvoters2020/800']:.2f}); big models' tables had "
        f"{outside[UNASKED][0]:.2f} of its error on Pew's questions.",
        "",
        f"![{ALT}]({FIGURE})",
        "",
        "Errors over those of the best estimate without; left of 1 is a gain. Above: the aligned model's closed form over the best "
        "classical estimate of the same respondents, all of them knowing the order of levels; 95% intervals over draws and questions. "
        "Below: knowledge from outside over none (over blind guesses for questions never asked); 95% intervals over five draws alone. "
        f"The wave before as it is, without the sample, has {_untouched(10):.2f} and {_untouched(50):.2f}. Every number, also those "
        "against us, is in the sections below.",
    ]


def model_ratios(accuracy: dict[str, Any]) -> dict[str, Ratio]:
    """Return row -> ratio to the best classical estimate, with its interval."""
    found = {}
    for name, (study, n) in MODEL.items():
        rows = [r for r in accuracy["paired"][study] if (r["n"], r["method"], r["against"]) == (n, "dsa-kernel", "best classical")]
        found[name] = (rows[0]["ratio"], rows[0]["ratio_low"], rows[0]["ratio_high"])
    return found


def outside_ratios() -> dict[str, Ratio]:
    """Return row -> ratio to the best estimate without knowledge from outside, with its interval over draws."""
    prior, big, countries = (_numbers("benchmarks", name) for name in ("prior", "simulators", "countries"))
    found = {PRIOR.format(n): _ratio(prior[str(n)]["prior moved"], _best(prior[str(n)])) for n in (10, 50)}
    found |= {BIG.format(n): _ratio(big[f"sampled, {n}"]["prior both"], _best(big[f"sampled, {n}"])) for n in (10, 50)}
    found[INCOME] = _ratio(countries["low_rank, income"], _best(countries, WITHOUT_INCOME))
    asked = big[next(name for name in big if name.startswith("question never asked"))]
    return {**found, UNASKED: _ratio(asked["prior both"], _best(asked, BLIND))}


def draw(accuracy: dict[str, Any], path: Path) -> None:
    """Draw the ratios."""
    import matplotlib.pyplot as plt

    parts = {"the language model": ("#0072b2", model_ratios(accuracy)), "knowledge from outside": ("#d55e00", outside_ratios())}
    figure, axes = plt.subplots(figsize=(7.2, 4.4))
    labels: list[str] = []
    for part, (colour, rows) in parts.items():
        labels.append(part)
        for name, (ratio, low, high) in rows.items():
            axes.plot([low, high], [len(labels)] * 2, color=colour, linewidth=1.5)
            axes.plot(ratio, len(labels), "o", color=colour)
            axes.annotate(f"{ratio:.2f}", (1.01, len(labels)), xycoords=("axes fraction", "data"), va="center", fontsize=9)
            labels.append(name)
    axes.axvline(1, color="0.4", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    for tick, name in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if name in parts else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(labels) - 0.3, -0.6), xlabel="error over that of the best estimate without it (1: no gain)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def folded(title: str, lines: list[str]) -> list[str]:
    """Return lines that a page shows when its reader opens them."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>"]


def _numbers(folder: str, name: str) -> Any:
    return json.loads((DOCS / folder / f"{name}.json").read_text(encoding="utf-8"))


def _best(found: dict[str, list[float]], names: tuple[str, ...] = CLASSICAL) -> list[float]:
    return min((found[name] for name in names), key=np.mean)


def _untouched(n: int) -> float:
    """Return the error of the earlier wave as it is over that of the best estimate without it."""
    found = _numbers("benchmarks", "prior")[str(n)]
    return float(np.mean(found["prior as it is"]) / np.mean(_best(found)))


def _ratio(values: list[float], reference: list[float]) -> Ratio:
    """Return the ratio of two means over the same draws, with a 95% interval of the paired difference over the reference's mean."""
    ours, theirs = np.array(values), np.array(reference)
    ratio = ours.mean() / theirs.mean()
    residual = (ours - ratio * theirs) / theirs.mean()  # delta method
    half = float(t.ppf(0.975, len(ours) - 1) * residual.std(ddof=1) / np.sqrt(len(ours)))
    return float(ratio), float(ratio - half), float(ratio + half)


if __name__ == "__main__":
    draw(_numbers("benchmarks", "accuracy"), DOCS / FIGURE)
