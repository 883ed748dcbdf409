"""Whether simulated respondents hang together as real ones do: docs/benchmarks/respondents.json and a section of docs/respondents.md.

Run: make bench-respondents DATA=<folder of the survey files>, or
python tests/benchmarks/bench_respondents.py DATA [--seeds 5] [--replicates 200] [--write-only]

A sample is learnt from, the other respondents are the truth. Beside `simulate_respondents` stand independent draws of the same shares, the
sample itself, and, where R has it, synthpop's CART on the same respondents. Coverage: samples drawn with replacement from the complete
respondents of a survey, and from a made-up population, are learnt from, and the intervals of a regression's coefficients compared with the
population's. Every finished part is kept in bench-output/respondents and not computed again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from bench_accuracy import ANES, ESS, TRUST, anes2020, ess11

import surveysim as ss

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "bench-output" / "respondents"
METHOD, ROWS, SYNTHESES = "mrp", 10_000, 20
ROWS_OF_SYNTHESIS = 5000
KEYED = 20  # questions of ANES
FIRST_REPLICATE = 1000
STUDIES = {"ESS 11, trust": (ess11, ESS, 1000, 5), "ANES 2020": (anes2020, ANES, 800, KEYED)}
MODEL = "trstprl ~ trstlgl + trstplc + gender"
MADE_UP = "taxes ~ trust + news + gender"


def keyed(survey: ss.Survey, questions: list[str]) -> list[str]:
    """Return the items, turned round where needed for all to load alike on the first component of the correlations of codes."""
    first = np.linalg.eigh(places(survey, questions).corr().to_numpy())[1][:, -1]
    return [name if sign > 0 else f"-{name}" for name, sign in zip(questions, first * np.sign(first.sum()), strict=True)]


def places(survey: ss.Survey, questions: list[str]) -> pd.DataFrame:
    """Return the place of each answer among its question's options, from 0; missing where there is no valid answer."""
    valid = survey.data[questions].where(survey.reasons[questions].isna())
    found = {name: pd.Index(list(survey.codebook.question(name).codes)).get_indexer(pd.Index(valid[name])) for name in questions}
    return pd.DataFrame(found).where(valid.notna())


def synthpop_rows(sample: ss.Survey, columns: list[str], questions: list[str], seed: int) -> pd.DataFrame | None:
    """Return rows of synthpop learnt from the complete respondents, each of weight 1; none where R lacks it.

    Traits come first, that of the fewest levels before the others, and answers are numbers: a tree of classes over a factor of many
    levels would try every subset of them.
    """
    columns = sorted(columns, key=lambda name: len(sample.codebook.trait(name).levels))
    if shutil.which("Rscript") is None:
        return None
    whole = sample.reasons[questions].isna().all(axis=1) & sample.data[columns].notna().all(axis=1)
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "sample.csv", Path(folder) / "rows.csv"
        answers = pd.concat([sample.data[columns], places(sample, questions)], axis=1)[whole]
        answers.set_axis(_plain(columns, questions), axis=1).to_csv(given, index=False)
        script = PROJECT / "tests" / "benchmarks" / "bench_respondents.R"
        done = subprocess.run(["Rscript", script, given, made, str(ROWS), str(seed)], capture_output=True, text=True)
        if done.returncode:
            print(f"synthpop did not run: {done.stderr.strip().splitlines()[-1:]}", flush=True)
            return None
        rows = pd.read_csv(made, dtype=dict.fromkeys(_plain(columns, []), str)).set_axis([*columns, *questions], axis=1)
    for name in questions:
        rows[name] = pd.Series(list(sample.codebook.question(name).codes))[rows[name].astype(int)].to_numpy()
    return rows.assign(weight=1.0)


def _plain(columns: list[str], questions: list[str]) -> list[str]:
    return [f"t{place}" for place in range(len(columns))] + [f"q{place}" for place in range(len(questions))]


def compare(data: Path, name: str, seed: int) -> dict[str, Any]:
    """Return the scores of one study and seed."""
    load, by, n, size = STUDIES[name]
    survey, asked = load(data)
    asked = asked[:size]
    items = keyed(survey, asked)
    sample, rest = ss.hold_out_respondents(survey, n_train=n, seed=seed)
    start = time.perf_counter()
    rows = ss.simulate_respondents(sample, list(by), questions=asked, n=ROWS, method=METHOD, seed=seed, progress=False)
    seconds = time.perf_counter() - start
    people = ss.observed_backgrounds(sample, by=by)
    shares = ss.simulate(sample, people[list(by)], questions=asked, method=METHOD, seed=seed)
    found = {"simulated": rows, "sample": sample, "synthpop": synthpop_rows(sample, list(by), asked, seed)}
    tables = {
        key: ss.coherence(made, rest, questions=asked, constructs={"scale": items}, floor_n=n, seed=seed)
        for key, made in found.items()
        if made is not None
    }
    halves = ss.coherence(rows, rest, questions=asked, constructs={"scale": items}, seed=seed)
    scores = {key: _means(table, "error") for key, table in tables.items()}
    scores |= {
        "independent": _means(tables["simulated"], "independent_error"),
        "floor": _means(tables["simulated"], "floor_error"),
        "halves": _means(halves, "floor_error"),
    }
    about = {"seconds": seconds, "share_error": share_error(rows, shares, people), "alpha": float(_alpha(tables["simulated"], "truth"))}
    return {"scores": scores, **about, "nearest": rows.attrs["nearest_respondents"], "facts": rows.attrs["facts"]}


def _means(table: pd.DataFrame, column: str) -> dict[str, float]:
    return {str(name): float(value) for name, value in table.groupby("metric")[column].mean().items()}


def _alpha(table: pd.DataFrame, column: str) -> float:
    return float(table.loc[table.metric == "alpha", column].iloc[0])


def share_error(rows: pd.DataFrame, shares: pd.DataFrame, people: pd.DataFrame) -> float:
    """Return the largest difference of the rows' weighted shares from those of `simulate`, weighted by the population."""
    wanted = shares.merge(people[["background_id", "population_share"]], on="background_id")
    wanted = (wanted.share * wanted.population_share).groupby([wanted.question_id, wanted.option_code]).sum()
    total = rows.weight.sum()
    got = pd.Series([rows.weight[rows[question] == code].sum() / total for question, code in wanted.index], index=wanted.index)
    return float((wanted - got).abs().max())


def speed(data: Path) -> dict[str, float]:
    """Return how many seconds of a processor 10,000 respondents of 60 questions take, shares included and without the survey's reading."""
    survey, asked = anes2020(data)
    sample, _ = ss.hold_out_respondents(survey, n_train=800, seed=0)
    start = time.process_time()
    rows = ss.simulate_respondents(sample, list(ANES), questions=asked, n=ROWS, method=METHOD, progress=False)
    return {"seconds": time.process_time() - start, "questions": len(asked), "rows": len(rows)}


def made_up_population(n: int = 40_000, seed: int = 7) -> ss.Survey:
    """Return people whose five ordered answers go together by a factor and depend on age and gender."""
    from tests.support.opinion_survey import opinion_codebook

    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": draw.integers(0, 3, n), "gender": draw.integers(0, 2, n), "w": 1.0})
    common = draw.standard_normal(n)
    for name, options, load in (("taxes", 3, 0.8), ("trust", 4, 0.7), ("news", 5, 0.5)):
        score = load * common + np.sqrt(1 - load**2) * draw.standard_normal(n) + 0.3 * (frame["age"] - 1) + 0.2 * frame["gender"]
        frame[name] = np.searchsorted(np.linspace(-1, 1, options - 1), score) + 1
    return ss.as_survey(frame, opinion_codebook(), questions=["taxes", "trust", "news"])


def covered(population: ss.Survey, model: str, n: int, seed: int) -> dict[str, list[Any]]:
    """Return whether the interval of each coefficient holds the population's, of one sample drawn with replacement."""
    sample = population.take(np.sort(np.random.default_rng(seed).integers(0, len(population), n)))
    traits = [name for name in ("age3", "age", "gender") if name in population.traits]
    asked = list(population.questions)
    rows = ss.simulate_respondents(
        sample, traits, questions=asked, n=ROWS_OF_SYNTHESIS, m=SYNTHESES, method=METHOD, seed=seed, progress=False
    )
    fits = [fitted(part, model) for _, part in rows.groupby("synthesis")]
    found = ss.combine_syntheses([one.params for one in fits])
    truth, direct = fitted(population.data, model).params, fitted(sample.data, model)
    holds = (found.conf_low <= truth) & (truth <= found.conf_high)
    columns = {"truth": truth, "estimate": found.estimate, "std_error": found.std_error, "covers": holds}
    columns |= {"sample": direct.params, "sample_error": direct.bse}
    return {"item": list(truth.index), **{name: [float(value) for value in values] for name, values in columns.items()}}


def fitted(rows: pd.DataFrame, model: str) -> Any:
    """Return a weighted regression of codes, levels in the population's order, with errors robust to heteroscedasticity."""
    plain = rows.assign(gender=pd.Categorical(rows["gender"].astype(str), categories=["female", "male"]))
    return smf.wls(model, plain, weights=plain["weight"].astype(float)).fit(cov_type="HC1")


def kept(name: str, make: Callable[[], Any]) -> Any:
    """Return a finished part from its file, or make and keep it."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), indent=1, default=float) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def run(data: Path, seeds: int, replicates: int) -> None:
    """Make what is not there yet."""
    for seed in range(seeds):
        for name in STUDIES:
            kept(f"coherence/{name}/{seed}", lambda name=name, seed=seed: compare(data, name, seed))
            print(name, seed, flush=True)
    kept("speed", lambda: speed(data))
    survey, _ = ess11(data)
    whole = survey.reasons[TRUST].isna().all(axis=1) & survey.data[["gender", "age3"]].notna().all(axis=1)
    populations = {"ESS 11": (survey.take(whole.to_numpy()), MODEL), "made up": (made_up_population(), MADE_UP)}
    for number in range(FIRST_REPLICATE, FIRST_REPLICATE + replicates):
        for name, (people, model) in populations.items():
            kept(f"coverage/{name}/{number}", lambda people=people, model=model, number=number: covered(people, model, 1000, number))
    print("coverage", flush=True)


def main() -> None:
    """Run what is not there yet and write the page's section."""
    from respondents_report import write_report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ess11_extract and anes2020")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--write-only", action="store_true", help="make the tables of what is there")
    chosen = parser.parse_args()
    if not chosen.write_only:
        run(chosen.data, chosen.seeds, chosen.replicates)
    write_report(RESULTS, PROJECT / "docs")


if __name__ == "__main__":
    main()
