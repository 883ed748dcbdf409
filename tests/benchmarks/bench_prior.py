"""An earlier wave as prior: ESS 9 (2018) for ESS 11 (2023), five trust items, 17 countries in both, country x gender x age3.

Run: python tests/benchmarks/bench_prior.py DATA [--seeds 5]; it writes docs/benchmarks/prior.json and a section of docs/benchmarks.md.
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
from bench_accuracy import ESS, TRUST, ess11
from marked_sections import write_section

import surveysim as ss
from surveysim.evaluation.trials import draw_trial

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "docs" / "benchmarks" / "prior.json"
EACH = (2, 5, 10, 25, 50)  # respondents a country
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


def scored(table: pd.DataFrame, truth: pd.DataFrame, book: ss.Codebook) -> float:
    """Return the mean Wasserstein distance over K - 1, cells by their size in the truth."""
    scores = ss.evaluate(table, truth, codebook=book, metrics=["wasserstein"], on="shared")
    return float(ss.summarise_scores(scores).set_index("metric").loc["wasserstein", "estimate"])


def covered(table: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Return how many truths lie within 1.96 errors, those of the truth added to the estimate's."""
    both = truth.merge(table, on=["question_id", "background_id", "option_code"], suffixes=("", "_estimated"))
    both = both[both["n"] >= 30]
    error = np.hypot(both["std_error_estimated"], np.sqrt(both["share_estimated"] * (1 - both["share_estimated"]) / both["n"]))
    return float(((both["share"] - both["share_estimated"]).abs() <= 1.96 * error).mean())


def draw(data: Path, each: int, seed: int) -> dict[str, float]:
    """Return the errors of one draw."""
    later, earlier = waves(data)
    n = each * len(NAMES)
    trial = draw_trial(later, by=tuple(ESS), n=n, seed=seed, split="respondents", questions=tuple(TRUST), equal_by="country", min_truth=1)
    before = ss.response_distributions(earlier, by=list(ESS), questions=TRUST)
    grid, book = trial.backgrounds[list(ESS)], later.codebook
    common = {"questions": TRUST, "progress": False}
    smoothed = ss.simulate(earlier, grid, method="low_rank", **common)
    found = {"prior as it is": scored(smoothed, trial.truth, book)}
    for method in METHODS:
        found[method] = scored(ss.simulate(trial.train, grid, method=method, **common), trial.truth, book)
    moved = ss.simulate(trial.train, grid, method="low_rank", prior=before, **common)
    wrong = ss.simulate(trial.train, grid, method="low_rank", prior=dealt_anew(before, seed), **common)
    found |= {"prior moved": scored(moved, trial.truth, book), "misleading prior": scored(wrong, trial.truth, book)}
    return found | {"coverage": covered(moved, trial.truth)}


def section(numbers: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return the page's section."""
    lines = [
        "## An earlier wave as prior: ESS 9 for ESS 11",
        "",
        "Five trust items (0-10), 17 countries in both waves, country x gender x age3, unweighted; Wasserstein over K - 1, mean of draws. "
        "The prior as it is: ESS 9 smoothed by `low_rank`. Ratio: prior moved over the better of the prior as it is and the best "
        "classical estimate without it. Misleading: the earlier wave with its countries' names dealt anew, over no prior. Coverage: of "
        "95% intervals of the prior moved, the truth's own error allowed for.",
        "",
        "| respondents a country | best classical | prior as it is | prior moved | ratio | misleading / none | coverage |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each, found in numbers.items():
        mean = {name: float(np.mean(values)) for name, values in found.items()}
        best = min(mean[name] for name in METHODS)
        ratio = mean["prior moved"] / min(best, mean["prior as it is"])
        lines.append(
            f"| {each} | {best:.4f} | {mean['prior as it is']:.4f} | {mean['prior moved']:.4f} | {ratio:.3f} | "
            f"{mean['misleading prior'] / mean['low_rank']:.3f} | {mean['coverage']:.3f} |"
        )
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    numbers: dict[str, dict[str, list[float]]] = {}
    for each in EACH:
        draws = [draw(given.data, each, seed) for seed in range(given.seeds)]
        numbers[str(each)] = {name: [one[name] for one in draws] for name in draws[0]}
        print(each, {name: round(float(np.mean(values)), 4) for name, values in numbers[str(each)].items()}, flush=True)
    FILE.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    write_section(PROJECT / "docs" / "benchmarks.md", "prior", section(numbers))


if __name__ == "__main__":
    main()
