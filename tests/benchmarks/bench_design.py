"""Time and memory of weighted shares with Taylor standard errors, beside R's svyby on the same data and machine.

Run: python tests/benchmarks/bench_design.py [--questions 8] [--r-questions 1]. R is timed where Rscript and its package survey are
installed; R's time grows linearly in questions, so that fewer of them may be timed and scaled.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd

import surveysim as ss
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight

COUNTRIES, RESPONDENTS, OPTIONS = 28, 46_000, 11
TRAITS = {"country": COUNTRIES, "gender": 2, "age": 3}


def codebook(questions: int) -> ss.Codebook:
    scale = tuple(Option(code, f"{code} of 10") for code in range(OPTIONS))
    asked = {
        f"q{number}": Question(f"q{number}", "How much?", scale, missing={77: "refused", 88: "dont_know"}) for number in range(questions)
    }
    traits = {
        name: Trait(name, name, tuple(Level(f"{name}{place:02d}", f"{name} {place}", (place,)) for place in range(size)))
        for name, size in TRAITS.items()
    }
    return ss.Codebook("bench", "Made up", traits, asked, weights=(Weight("weight"),), design=DesignVariables(stratum="stratum", psu="psu"))


def respondents(n: int, questions: int, seed: int = 0) -> pd.DataFrame:
    """Return made-up respondents of 28 countries in 166 cells (two of 168 are empty), 10 strata a country, 10 PSUs a stratum."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({name: generator.integers(0, size, n) for name, size in TRAITS.items()})
    empty = (frame["country"] == 0) & (frame["gender"] == 0) & (frame["age"] < 2)
    frame.loc[empty, "age"] = 2
    frame["weight"] = generator.gamma(4, 0.25, n) + 0.01
    frame["stratum"] = frame["country"] * 10 + generator.integers(0, 10, n)
    frame["psu"] = generator.integers(0, 10, n)
    for number in range(questions):
        frame[f"q{number}"] = generator.choice([*range(OPTIONS), 77, 88], n, p=[*[0.96 / OPTIONS] * OPTIONS, 0.02, 0.02])
    return frame


def seconds(survey: ss.Survey, repeats: int = 5) -> tuple[float, pd.DataFrame]:
    """Return the median time of `response_distributions` over all three traits, and its table."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        table = ss.response_distributions(survey, by=list(TRAITS))
        times.append(time.perf_counter() - start)
    return float(np.median(times)), table


def peak_memory(survey: ss.Survey) -> float:
    """Return the most memory allocated while estimating, in MB."""
    tracemalloc.start()
    ss.response_distributions(survey, by=list(TRAITS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def time_r(frame: pd.DataFrame, questions: int) -> tuple[float, float] | None:
    """Return R's seconds and sum of standard errors; None where R or its package survey is absent."""
    script = Path(__file__).parent / "bench_svyby.R"
    if shutil.which("Rscript") is None or subprocess.run(["Rscript", "-e", "library(survey)"], capture_output=True, check=False).returncode:
        return None
    cells = frame[list(TRAITS)].astype(str).agg("-".join, axis=1)
    answers = frame[[f"q{number}" for number in range(questions)]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "respondents.csv"
        columns = frame[["weight", "stratum", "psu"]].assign(cell=cells)
        pd.concat([columns, answers.where(answers < 77)], axis=1).to_csv(path, index=False)
        out = subprocess.run(["Rscript", str(script), str(path), str(questions)], capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]), float(out[1])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--questions", type=int, default=8)
    arguments.add_argument("--r-questions", type=int, default=1, help="questions that R is timed on")
    chosen = arguments.parse_args()
    book, frame = codebook(chosen.questions), respondents(RESPONDENTS, chosen.questions)
    survey = ss.as_survey(frame, book)
    ours, table = seconds(survey)
    cells = table["background_id"].nunique()
    print(f"{RESPONDENTS:,} respondents x {chosen.questions} questions x {cells} cells, strata and PSUs: {ours:.2f} s")
    raked = ss.rake(survey, {"gender": {"gender00": 0.52, "gender01": 0.48}, "age": {"age00": 0.3, "age01": 0.4, "age02": 0.3}})
    print(f"the same on a raked survey: {seconds(raked, repeats=3)[0]:.2f} s")
    for times in (1, 2, 4):
        larger = ss.as_survey(respondents(times * RESPONDENTS, 2), codebook(2))
        print(f"peak memory at {len(larger):,} respondents, 2 questions: {peak_memory(larger):.0f} MB")
    theirs = time_r(frame, chosen.r_questions)
    if theirs is None:
        print("R with its package survey is not installed: not compared")
        return
    asked = [f"q{number}" for number in range(chosen.r_questions)]
    checked = table.loc[table["question_id"].isin(asked), "std_error"].sum()
    scaled = theirs[0] * chosen.questions / chosen.r_questions
    print(f"R survey, svyby, {chosen.r_questions} of the questions: {theirs[0]:.1f} s; all: {scaled:.1f} s, {scaled / ours:.0f} times ours")
    print(f"sum of standard errors, ours / R's - 1: {checked / theirs[1] - 1:.1e}")


if __name__ == "__main__":
    main()
