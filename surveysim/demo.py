"""The main job as a script: ``python -m surveysim.demo``.

Reads a real weighted survey from its SPSS file, learns from 400 respondents drawn at random, simulates every gender x age x
education background, and scores each method against the respondents left out, who are used for nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import surveysim as ss

TRAITS = ["gender", "age6", "education"]
METRICS = ("wasserstein", "total_variation")
TITLES = ("Wasserstein / (K-1)", "total variation", "DSA less this (W)")
# method of simulate() -> name in the table
METHODS = {
    "raw": "raw sample",
    "pooled": "pooled",
    "shrunken": "shrunken cells",
    "ridge": "multinomial ridge",
    "mrp": "MRP",
    "low_rank": "low-rank ridge",
    "stage1": "stage 1 only",
    "dsa": "DSA",
}
SHOWN_QUESTION, SHOWN_TRAIT = "Q8_8", "age6"


def run(
    *,
    n_train: int = 400,
    seed: int = 2020,
    output: str | Path = "demo-output",
    model: str = "smollm2-135m",
    questions: str | Sequence[str] | None = None,
    progress: bool = True,
) -> dict:
    """Do the main job, print its table, and write summary, distributions and figures to `output`.

    Returns
    -------
    dict
        What ``summary.json`` holds.

    Raises
    ------
    SurveySimError
        If the model cannot be fetched, or `n_train` leaves nobody out.
    """
    start = time.time()
    from surveysim.lm.ended_stages import first_stages_kept

    survey = ss.load_example("nonvoters2020")
    train, rest = ss.hold_out_respondents(survey, n_train=n_train, seed=seed)
    population = ss.observed_backgrounds(survey, by=TRAITS)
    truth = ss.response_distributions(rest, by=TRAITS, questions=questions).assign(source="respondents left out")
    print(f"{survey}\ntraining on {len(train):,} respondents; truth: the weighted shares of the other {len(rest):,}", flush=True)
    print(f"weight: {survey.weight_name}; denominator: valid answers, in sample and truth alike", flush=True)
    language_model = ss.load_model(model)
    tables = []
    with first_stages_kept():
        for method, name in METHODS.items():
            base = language_model if method in ("stage1", "dsa") else None
            table = ss.simulate(train, population[TRAITS], model=base, questions=questions, method=method, seed=seed, progress=progress)
            tables.append(table.assign(source=name))
    simulated = pd.concat(tables, ignore_index=True)
    scores = ss.evaluate(simulated, truth, metrics=METRICS, codebook=survey.codebook, by="source", weights=population)
    floor = ss.noise_floor(truth, n=float("inf"), metrics=METRICS, codebook=survey.codebook, weights=population, seed=seed)
    summary = ss.summarise_scores(scores, by="source")
    lines = score_lines(summary, ss.summarise_scores(floor), differences_from(scores))
    totals = post_stratified(simulated, survey, rest, population)
    result = {
        **as_json(summary, ss.summarise_scores(floor)),
        "post_stratified": totals,
        "n_train": len(train),
        "n_truth": len(rest),
        "n_questions": int(simulated.question_id.nunique()),
        "n_backgrounds": int(simulated.background_id.nunique()),
        "weight": survey.weight_name,
        "model": language_model.backbone.name,
        "seed": seed,
    }
    print("\n".join(lines), flush=True)
    print(total_lines(totals), flush=True)
    result["seconds"] = round(time.time() - start, 1)
    shown = pd.concat([simulated, truth], ignore_index=True)
    write(Path(output), result, shown, survey=survey, population=population, summary=summary, floor=floor)
    print(f"{result['seconds']:.0f} s; written to {output}: summary.json, distributions.csv, three figures (png)")
    return result


def differences_from(scores: pd.DataFrame, *, method: str = "DSA") -> pd.DataFrame:
    """Return how much `method` differs from every other method, question by question: mean over questions with its 95% interval."""
    keys = ["question_id", "background_id", "metric"]
    ours = scores[scores.source == method].set_index(keys).estimate
    others = scores[scores.source != method].copy()
    others["estimate"] = ours.reindex(pd.MultiIndex.from_frame(others[keys])).to_numpy() - others["estimate"].to_numpy()
    return ss.summarise_scores(others, by="source")


def score_lines(summary: pd.DataFrame, floor: pd.DataFrame, paired: pd.DataFrame) -> list[str]:
    """Return the table of methods as text, best first: score and 95% interval over questions."""
    wide = summary.pivot_table(index="source", columns="metric", values=["estimate", "conf_low", "conf_high"])
    order = wide["estimate", "wasserstein"].sort_values().index
    head = f"{'':20s}" + "".join(f"{title:>28s}" for title in TITLES)
    lines = ["", "distance from the respondents left out; mean over questions [95% interval over questions]", head]
    for name in order:
        cells = [_cell(wide.loc[name], metric) for metric in METRICS]
        lines.append(f"{name:20s}" + "".join(f"{cell:>28s}" for cell in [*cells, _difference(paired, name)]))
    numbers = floor.set_index("metric").estimate
    lines.append(f"{'noise floor':20s}" + "".join(f"{numbers[metric]:>10.4f}{'':18s}" for metric in METRICS))
    return [*lines, "noise floor: what the population's own shares would score against these respondents"]


def _cell(row: pd.Series, metric: str) -> str:
    return f"{row['estimate', metric]:.4f} [{row['conf_low', metric]:.4f}, {row['conf_high', metric]:.4f}]"


def _difference(paired: pd.DataFrame, name: str) -> str:
    row = paired[(paired.source == name) & (paired.metric == "wasserstein")]
    return "" if row.empty else f"{row.estimate.iloc[0]:+.4f} [{row.conf_low.iloc[0]:+.4f}, {row.conf_high.iloc[0]:+.4f}]"


def post_stratified(simulated: pd.DataFrame, survey: ss.Survey, rest: ss.Survey, population: pd.DataFrame) -> dict[str, float]:
    """Return each method's total variation distance, averaged over questions, after post-stratification to the whole survey.

    The reference is the weighted share of the respondents left out.
    """
    totals = ss.poststratify(simulated, population)
    reference = ss.response_distributions(rest, questions=tuple(simulated.question_id.unique()))
    scores = ss.evaluate(totals, reference, metrics="total_variation", codebook=survey.codebook, by="source")
    return {str(name): round(float(value), 5) for name, value in scores.groupby("source", sort=False).estimate.mean().items()}


def total_lines(totals: dict[str, float]) -> str:
    """Return the post-stratified comparison as text."""
    listed = ", ".join(f"{name} {value:.4f}" for name, value in totals.items())
    return f"\npost-stratified to the whole survey, total variation distance from the respondents left out: {listed}"


def as_json(summary: pd.DataFrame, floor: pd.DataFrame) -> dict:
    """Return the score table as plain values: methods and noise floor."""
    methods: dict[str, dict[str, float | list[float]]] = {}
    for row in summary.to_dict("records"):
        entry = methods.setdefault(row["source"], {})
        entry[row["metric"]] = round(row["estimate"], 5)
        entry[f"{row['metric']}_interval"] = [round(row["conf_low"], 5), round(row["conf_high"], 5)]
    return {"methods": methods, "noise_floor": {row["metric"]: round(row["estimate"], 5) for row in floor.to_dict("records")}}


def write(
    output: Path,
    result: dict,
    table: pd.DataFrame,
    *,
    survey: ss.Survey,
    population: pd.DataFrame,
    summary: pd.DataFrame,
    floor: pd.DataFrame,
) -> None:
    """Write summary.json, distributions.csv and the figures; each under a temporary name first."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as work:
        place = Path(work)
        (place / "summary.json").write_text(json.dumps(result, indent=2))
        table.to_csv(place / "distributions.csv", index=False)
        draw(place, table, survey, population, summary, floor)
        for file in place.iterdir():
            file.replace(output / file.name)


def draw(place: Path, table: pd.DataFrame, survey: ss.Survey, population: pd.DataFrame, summary: pd.DataFrame, floor: pd.DataFrame) -> None:
    """Draw the three figures."""
    shown = table[table.source.isin(["raw sample", "DSA", "respondents left out"])]
    figures = {
        "distributions.png": ss.plot_distributions(shown, question=SHOWN_QUESTION, codebook=survey.codebook),
        "shifts.png": ss.plot_shifts(shown, question=SHOWN_QUESTION, trait=SHOWN_TRAIT, codebook=survey.codebook, population=population),
        "scores.png": ss.plot_scores(summary, floor=floor, highlight="DSA"),
    }
    for name, drawn in figures.items():
        figure = getattr(drawn, "figure", drawn)
        figure.savefig(place / name, dpi=150, bbox_inches="tight")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to a parser."""
    parser.add_argument("--n-train", type=int, default=400, help="respondents to learn from (default 400)")
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--output", default="demo-output", help="folder for the results (default demo-output)")
    parser.add_argument("--model", default="smollm2-135m", help="base model: a name, a hub id or a folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(prog="python -m surveysim.demo", description=__doc__.splitlines()[0] if __doc__ else None)
    add_options(parser)
    given = parser.parse_args(arguments)
    run(n_train=given.n_train, seed=given.seed, output=given.output, model=given.model, progress=not given.quiet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
