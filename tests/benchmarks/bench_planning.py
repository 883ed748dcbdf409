"""Whether the planned next respondents lower the error more than as many drawn otherwise: ANES 2020 and ESS 11.

Run: make bench-planning DATA=<folder of the survey files>, or python tests/benchmarks/bench_planning.py DATA [--seeds 17]; it writes
docs/benchmarks/planning.json and a section of docs/planning.md. Each draw halves the respondents: one half is the truth and is never
drawn from; of the other 400 are drawn, then 400 more by the plan, in proportion to the population, so that all 800 together come as near
to proportion as can be ("filled up"), or evenly over backgrounds, and all 800 are fitted anew. The first 400 are drawn at random, or
lopsided: people with much education (ANES), or of every second country (ESS), four times as likely, or without those of the least
education, or of every sixth country. Seeds begin at 200. Backgrounds with
fewer than `FEWEST` respondents are left out, respondents and all. Half a minute a draw.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from bench_accuracy import ANES, ESS, anes2020, ess11
from marked_sections import write_section

import surveysim as ss
from surveysim.evaluation.splits import background_of
from surveysim.tables.intervals import t_quantile

PROJECT = Path(__file__).parents[2]
FILE, PAGE = PROJECT / "docs" / "benchmarks" / "planning.json", PROJECT / "docs" / "planning.md"
FIRST_SEED, NOW, MORE, FEWEST, ASKED = 200, 400, 400, 40, 20
METHOD = "low_rank"
SURVEYS = {"ANES 2020": (anes2020, ANES), "ESS 11": (ess11, ESS)}
TARGETS = ("backgrounds", "population", "total")
OTHERS = ("proportional", "filled up", "even")
STARTS = ("at random", "lopsided", "a level missing")
LIKELIER, EVERY = 4.0, 6  # every sixth country is missing


def squared_error(table: pd.DataFrame, truth: pd.DataFrame, grid: pd.DataFrame, target: str) -> float:
    """Return the mean squared error of a share, less the truth's own sampling variance."""
    share = grid.set_index("background_id")["population_share"]
    both = truth.merge(table, on=["question_id", "background_id", "option_code"], suffixes=("_true", ""))
    both = both[both["n_eff_true"] > 1]
    noise = both["share_true"] * (1 - both["share_true"]) / (both["n_eff_true"] - 1)
    away, weight = both["share"] - both["share_true"], both["background_id"].map(share)
    keys = [both["question_id"], both["option_code"]]
    if target == "total":
        total = (weight * away).groupby(keys).sum() ** 2 - (weight**2 * noise).groupby(keys).sum()
    else:
        weight = weight if target == "population" else weight * 0 + 1
        total = (weight * (away**2 - noise)).groupby(keys).sum() / weight.groupby(keys).sum()
    return float(total.groupby(level=0).mean().mean())


def drawn_first(half: ss.Survey, start: str, seed: int) -> np.ndarray:
    """Return which respondents are drawn first, some of them likelier where the start is lopsided, some never where a level is missing."""
    trait = half.data["country" if "country" in half.data else "education3"].cat
    place, last = trait.codes.to_numpy(), len(trait.categories) - 1
    chance = np.ones(len(half))
    if start == "lopsided":
        chance[place % 2 == 0 if last > 2 else place == last] = LIKELIER
    if start == "a level missing":
        chance[place % EVERY == 0 if last > 2 else place == 0] = 0.0
    keys = np.random.default_rng(seed).exponential(size=len(half)) / np.where(chance > 0, chance, 1e-300)
    return np.isin(np.arange(len(half)), np.argsort(keys)[:NOW])


def draw(survey: ss.Survey, questions: list[str], by: tuple[str, ...], start: str, seed: int) -> dict[str, dict[str, float]]:
    """Return by target what was expected of each way to draw, and what came."""
    grid = ss.observed_backgrounds(survey, by=by, min_n=FEWEST)
    grid = grid[grid["enough"]]
    survey = survey.take(np.flatnonzero(background_of(survey, grid, by).notna()))
    grid = grid.assign(population_share=grid["population_share"] / grid["population_share"].sum())
    half, others = ss.hold_out_respondents(survey, n_train=len(survey) // 2, seed=seed)
    first = drawn_first(half, start, seed)
    sample, rest = half.take(first), np.random.default_rng(seed).permutation(np.flatnonzero(~first))
    truth = ss.response_distributions(others, by=by, questions=questions, lonely_psu="remove")
    whose = background_of(half, grid, by).iloc[rest]
    place, left = whose.groupby(whose.to_numpy()).cumcount(), whose.value_counts()
    room = {name: int(left.get(name, 0)) for name in grid["background_id"]}
    asked = grid[[*by, "population_share"]]

    def fitted(numbers: pd.Series) -> pd.DataFrame:
        taken = rest[(place < whose.map(numbers).fillna(0)).to_numpy()]
        whole = half.take(np.flatnonzero(first | np.isin(np.arange(len(half)), taken)))
        return ss.simulate(whole, asked, questions=questions, method=METHOD, progress=False)

    tables, found = {"now": fitted(pd.Series(dtype=int))}, {}
    for target in TARGETS:
        plan = ss.plan_sample(sample, asked, more=MORE, questions=questions, method=METHOD, target=target, available=room)
        numbers = plan.allocation.set_index("background_id")
        if "even" not in tables:
            n, share = numbers["n"], grid.set_index("background_id")["population_share"]
            tables["proportional"] = fitted(numbers["n_proportional"])
            tables["filled up"] = fitted(_filled(n, share, pd.Series(room)))
            tables["even"] = fitted(_filled(n * 0, share * 0 + 1 / len(share), pd.Series(room)))
        tables["plan"] = fitted(numbers["n_more"])
        own = {f"{way}, measured": squared_error(table, truth, grid, target) for way, table in tables.items()}
        begin, last = plan.curve.iloc[0], plan.curve.iloc[-1]
        expected = {"now": begin.expected_error, "plan": last.expected_error, "proportional": last.expected_error_proportional}
        found[target] = own | {f"{way}, expected": float(error) ** 2 for way, error in expected.items()}
    return found


def _filled(n: pd.Series, share: pd.Series, room: pd.Series) -> pd.Series:
    """One after the other where most are lacking for numbers in proportion to `share`, as far as there are so many."""
    dealt = n * 0
    for _ in range(MORE):
        lacking = ((n.sum() + MORE) * share - n - dealt).where(dealt < room, -np.inf)
        dealt[lacking.idxmax()] += 1
    return dealt


def ratio(over: list[float], under: list[float]) -> tuple[float, float, float]:
    """Return the ratio of root mean squared errors over draws with its 95% interval, by linearisation."""
    top, bottom = np.array(over), np.array(under)
    squared = top.mean() / bottom.mean()
    error = np.std(top - squared * bottom, ddof=1) / np.sqrt(len(top)) / bottom.mean()
    half = float(t_quantile(np.array(len(top) - 1.0))) * error
    return float(np.sqrt(squared)), float(np.sqrt(squared - half)), float(np.sqrt(squared + half))


def worth(numbers: dict[str, list[float]]) -> float:
    """Return how many respondents drawn in proportion have the plan's error, along the line through 400 and 800 on log scales."""
    now, even, plan = (np.log(np.mean(numbers[f"{way}, measured"])) for way in ("now", "proportional", "plan"))
    return float(np.exp(np.log(NOW + MORE) + (plan - even) * np.log((NOW + MORE) / NOW) / (even - now)) - NOW)


def section(kept: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return the page's section."""
    draws = len(next(iter(kept.values()))["now, measured"])
    lines = [
        f"{NOW} respondents, {MORE} more; root mean squared error of a share against respondents never drawn from, their own sampling "
        f"error removed, in brackets what `plan_sample` expected; {draws} draws, seeds from {FIRST_SEED}; `{METHOD}`; ANES {ASKED} "
        "questions, ESS five trust items. The first respondents are lopsided where highly educated people (ANES), or people of every "
        "second country (ESS), are four times as likely to be among them; a level is missing where the least educated, or people of every "
        "sixth country, are not. Filled up: all respondents together in proportion, as near as can be. Ratios with 95% intervals.",
        "",
        "| survey, first respondents | target | error now | in proportion | planned | planned / in proportion | expected "
        f"| planned / filled up | planned / even | {MORE} planned are worth, in proportion |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, numbers in kept.items():
        survey, start, target = name.split(" / ")
        root = {what: float(np.sqrt(np.mean(values))) for what, values in numbers.items()}
        against = {way: ratio(numbers["plan, measured"], numbers[f"{way}, measured"]) for way in OTHERS}
        said = {way: f"{one:.3f} ({low:.3f} to {high:.3f})" for way, (one, low, high) in against.items()}
        errors = [f"{root[f'{way}, measured']:.4f} ({root[f'{way}, expected']:.4f})" for way in ("now", "proportional", "plan")]
        expected = root["plan, expected"] / root["proportional, expected"]
        cells = [f"{survey}, {start}", target, *errors, said["proportional"], f"{expected:.3f}", said["filled up"], said["even"]]
        lines.append(f"| {' | '.join(cells)} | {worth(numbers):.0f} |")
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=17)
    given = parser.parse_args()
    kept: dict[str, dict[str, list[float]]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
        for name, (load, by) in SURVEYS.items():
            survey, questions = load(given.data)
            for start in STARTS:
                for target, numbers in draw(survey, questions[:ASKED], by, start, seed).items():
                    own = kept.setdefault(f"{name} / {start} / {target}", {})
                    for what, value in numbers.items():
                        own.setdefault(what, []).append(value)
        ordered = dict(sorted(kept.items(), key=lambda item: item[0].split(" / ")[:2]))
        FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        print(
            seed, {name: round(ratio(own["plan, measured"], own["proportional, measured"])[0], 3) for name, own in kept.items()}, flush=True
        )
    write_section(PAGE, "planning", section(ordered))


if __name__ == "__main__":
    main()
