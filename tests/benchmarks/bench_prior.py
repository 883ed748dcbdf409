"""An earlier wave as prior: ESS 9 (2018) for ESS 11 (2023), five trust items, 17 countries in both, country x gender x age3.

Run: python tests/benchmarks/bench_prior.py DATA [--seeds 5]; it writes docs/benchmarks/prior.json and a section of docs/benchmarks.md.
With --check: whether a prior ever costs (`prior_check`), docs/benchmarks/prior_check.json and a section of its own.
Seeds 0-4 are the page's; 200 and above were used while the method was made. Unweighted, as the extract of ESS 11 has no weights.
A misleading prior is the earlier wave with its countries' names dealt anew. Twenty seconds a draw of one size on one core.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import prior_check
from bench_accuracy import ESS, TRUST, ess11
from marked_sections import write_section

import surveysim as ss
from surveysim.evaluation.trials import draw_trial

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "docs" / "benchmarks" / "prior.json"
CHECK = PROJECT / "docs" / "benchmarks" / "prior_check.json"
EACH = (2, 5, 10, 25, 50)  # respondents a country
LARGER = (100, 200, 400)  # for the curve from which the respondents saved are read
SQUARED = "debiased_squared_error"
NAMES = {
    "Austria": "AT", "Belgium": "BE", "Bulgaria": "BG", "Cyprus": "CY", "Finland": "FI", "France": "FR", "Germany": "DE", "Hungary": "HU",
    "Ireland": "IE", "Italy": "IT", "Netherlands": "NL", "Norway": "NO", "Poland": "PL", "Serbia": "RS", "Slovenia": "SI",
    "Switzerland": "CH", "United Kingdom": "GB",
}  # fmt: skip
ITEMS = {
    "trust_country_parliament": "trstprl", "trust_legal_system": "trstlgl", "trust_police": "trstplc", "trust_politicians": "trstplt",
    "trust_parties": "trstprt",
}  # fmt: skip
METHODS = ("low_rank", "mrp")


@cache
def waves(data: Path) -> tuple[ss.Survey, ss.Survey]:
    """Return the later and the earlier wave of the countries in both, under the later one's codebook."""
    survey, _ = ess11(data)
    rows = survey.data["country"].isin(_levels(survey, NAMES.values()))
    later = survey.take(np.flatnonzero(rows))
    frame = pd.read_csv(data / "ess9_19countries" / "ess2018extract.csv.gz").rename(columns=ITEMS)
    frame = frame[frame["country"].isin(NAMES)]
    frame = frame.assign(
        cntry=frame["country"].map(NAMES),
        gndr=frame["gender"].str.lower().map({"male": 1, "female": 2}),
        agea=frame["age"],
        idno=range(len(frame)),
    )
    columns = ["cntry", "idno", "gndr", "agea", *TRUST]
    earlier = ss.as_survey(frame[columns].dropna(), "ess11", weight="none", questions=TRUST, traits=list(ESS))
    return later, earlier


def _levels(survey: ss.Survey, codes: object) -> list[str]:
    wanted = set(codes)  # type: ignore[call-overload]
    return [level.name for level in survey.codebook.trait("country").levels if wanted & set(level.codes)]


def dealt_anew(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return a table with the names of its countries permuted."""
    parts = ss.split_background(table)["country"]
    names = sorted(parts.unique())
    other = dict(zip(names, np.random.default_rng(seed).permutation(names), strict=True))
    moved = [f"country={other[name]}" for name in parts]
    ids = [identifier.replace(f"country={old}", new) for identifier, old, new in zip(table["background_id"], parts, moved, strict=True)]
    return table.assign(background_id=ids)


def scored(table: pd.DataFrame, truth: pd.DataFrame, book: ss.Codebook, metric: str = "wasserstein") -> float:
    """Return the mean Wasserstein distance over K - 1, or another error, cells by their size in the truth."""
    scores = ss.evaluate(table, truth, codebook=book, metrics=[metric], on="shared")
    return float(ss.summarise_scores(scores).set_index("metric").loc[metric, "estimate"])


def covered(table: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Return how many truths lie within 1.96 errors, those of the truth added to the estimate's."""
    both = truth.merge(table, on=["question_id", "background_id", "option_code"], suffixes=("", "_estimated"))
    both = both[both["n"] >= 30]
    error = np.hypot(both["std_error_estimated"], np.sqrt(both["share_estimated"] * (1 - both["share_estimated"]) / both["n"]))
    return float(((both["share"] - both["share_estimated"]).abs() <= 1.96 * error).mean())


def draw(data: Path, each: int, seed: int) -> dict[str, float]:
    """Return the errors of one draw: at larger sizes those of the classical methods alone."""
    later, earlier = waves(data)
    n = each * len(NAMES)
    trial = draw_trial(later, by=tuple(ESS), n=n, seed=seed, split="respondents", questions=tuple(TRUST), equal_by="country", min_truth=1)
    grid, book, common = trial.backgrounds[list(ESS)], later.codebook, {"questions": TRUST, "progress": False}
    tables = {method: ss.simulate(trial.train, grid, method=method, **common) for method in METHODS}
    if each in EACH:
        before = ss.response_distributions(earlier, by=list(ESS), questions=TRUST)
        tables["prior as it is"] = ss.simulate(earlier, grid, method="low_rank", **common)
        tables["prior moved"] = ss.simulate(trial.train, grid, method="low_rank", prior=before, **common)
        tables["misleading prior"] = ss.simulate(trial.train, grid, method="low_rank", prior=dealt_anew(before, seed), **common)
    found = {name: scored(table, trial.truth, book) for name, table in tables.items()}
    found |= {f"{name}, squared": scored(table, trial.truth, book, SQUARED) for name, table in tables.items()}
    return found | ({"coverage": covered(tables["prior moved"], trial.truth)} if each in EACH else {})


def saved(numbers: dict[str, dict[str, list[float]]], name: str) -> dict[int, str]:
    """Return n a country -> part of the respondents saved against the best classical estimate, "at least" where its curve ends."""
    squared = {
        int(each): {method: float(np.mean(values)) for method, values in found.items() if method.endswith("squared")}
        for each, found in numbers.items()
    }
    curve = [{"n": each, "estimate": min(found[f"{method}, squared"] for method in METHODS)} for each, found in squared.items()]
    own = [{"n": each, "estimate": found[f"{name}, squared"]} for each, found in squared.items() if f"{name}, squared" in found]
    rows = ss.data_saved(pd.DataFrame(curve), pd.DataFrame(own)).itertuples()
    words = {"exact": "", "at_least": "at least ", "at_most": "at most "}
    return {int(row.n): f"{words[str(row.bound)]}{100 * float(row.data_saved):.0f}%" for row in rows}


def section(numbers: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return the page's section."""
    lines = [
        "## An earlier wave as prior: ESS 9 for ESS 11",
        "",
        "Five trust items (0-10), 17 countries in both waves, country x gender x age3, unweighted; Wasserstein over K - 1, mean of draws. "
        "The prior as it is: ESS 9 smoothed by `low_rank`. Ratio: prior moved over the better of the prior as it is and the best "
        "classical estimate without it. Misleading: the earlier wave with its countries' names dealt anew, over no prior. Coverage: of "
        "95% intervals of the prior moved, the truth's own error allowed for. Saved: 1 - n / n', where the best classical estimate needs "
        "n' respondents for the same debiased squared error, read off its curve, measured up to "
        f"{LARGER[-1]} a country.",
        "",
        "| respondents a country | best classical | prior as it is | prior moved | ratio | misleading / none | coverage "
        "| saved, as it is | saved, moved |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    as_it_is, moved = (saved(numbers, name) for name in ("prior as it is", "prior moved"))
    for each, found in numbers.items():
        if "prior moved" not in found:
            continue
        mean = {name: float(np.mean(values)) for name, values in found.items()}
        best = min(mean[name] for name in METHODS)
        ratio = mean["prior moved"] / min(best, mean["prior as it is"])
        lines.append(
            f"| {each} | {best:.4f} | {mean['prior as it is']:.4f} | {mean['prior moved']:.4f} | {ratio:.3f} | "
            f"{mean['misleading prior'] / mean['low_rank']:.3f} | {mean['coverage']:.3f} | "
            f"{as_it_is[int(each)]} | {moved[int(each)]} |"
        )
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="whether a prior ever costs, over 50 fresh draws")
    given = parser.parse_args()
    page = PROJECT / "docs" / "benchmarks.md"
    if given.check:
        checked = prior_check.check(*waves(given.data), dealt_anew)
        CHECK.write_text(json.dumps(checked, indent=1) + "\n", encoding="utf-8")
        write_section(page, "prior-check", prior_check.section(checked))
        return
    numbers: dict[str, dict[str, list[float]]] = {}
    for each in (*EACH, *LARGER):
        draws = [draw(given.data, each, seed) for seed in range(given.seeds)]
        numbers[str(each)] = {name: [one[name] for one in draws] for name in draws[0]}
        print(each, {name: round(float(np.mean(values)), 4) for name, values in numbers[str(each)].items()}, flush=True)
    FILE.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    write_section(page, "prior", section(numbers))


if __name__ == "__main__":
    main()
