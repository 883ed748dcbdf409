"""How close every method comes to the respondents left out: writes docs/benchmarks/accuracy.json and docs/benchmarks.md.

Run: make bench-accuracy DATA=<folder of the survey files>, or
python tests/benchmarks/bench_accuracy.py DATA [--only ess11/respondents ...] [--seeds 5] [--skip boosting ...] [--write-only] [--final]

Every finished size, seed and method is kept in bench-output/accuracy and not computed again, so a run may be interrupted; at the end
all scores go into docs/benchmarks/scores.parquet, from which a later run, on any machine, goes on. The tables are made of what is
there; they say how many seeds that is. The final 60 questions of ANES (`FINAL`) are touched with `--final` alone, once, when every
choice has been made.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_report import write_report
from accuracy_scores import gather, restore
from country_regions import regions

import surveysim as ss
from surveysim.baselines.methods import BASELINES

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "bench-output" / "accuracy"
TRUST = ["trstprl", "trstlgl", "trstplc", "trstplt", "trstprt"]
DRAWN, QUESTIONS_SEED = 60, 2020
METRICS = ("wasserstein", "total_variation", "debiased_squared_error", "variance_ratio", "worst_decile")
CLASSICAL = ("raw", "pooled", "shrunken", "ridge", "cumulative", "mrp", "mean_tilt", "low_rank", "boosting")
REFERENCES = ("raw", "mrp", "mean_tilt", "low_rank")  # methods whose curve is measured at larger samples, for the respondents saved
MODELS = ("dsa-kernel", "dsa", "stage1", "zero-shot")


@cache
def nonvoters(data: Path) -> tuple[ss.Survey, list[str]]:
    survey = ss.load_example("nonvoters2020")
    return survey, list(survey.questions)


@cache
def ess11(data: Path) -> tuple[ss.Survey, list[str]]:
    path = data / "ess11_extract" / "ESS11.csv.gz"
    survey = ss.read_survey(path, "ess11", weight="none", questions=TRUST, traits=["country", "gender", "age3"])
    return survey, TRUST


@cache
def _anes_drawn(data: Path) -> tuple[ss.Survey, list[str]]:
    survey = ss.read_survey(data / "anes2020" / "anes2020_rcpa3.csv.gz", "anes2020")
    ordered = sorted(name for name, question in survey.codebook.questions.items() if question.type == "ordinal")
    return survey, [str(name) for name in np.random.default_rng(QUESTIONS_SEED).permutation(ordered)]


def anes2020(data: Path) -> tuple[ss.Survey, list[str]]:
    survey, drawn = _anes_drawn(data)
    return survey, drawn[:DRAWN]


def anes2020_final(data: Path) -> tuple[ss.Survey, list[str]]:
    """The questions of the final test, which no other study and no development touches."""
    survey, drawn = _anes_drawn(data)
    return survey, drawn[DRAWN : 2 * DRAWN]


@dataclass(frozen=True)
class Study:
    """One comparison: a survey, its split, sizes and methods."""

    name: str
    load: Callable[[Path], tuple[ss.Survey, list[str]]]
    by: tuple[str, ...]
    sizes: tuple[int, ...]
    methods: tuple[str, ...] = (*CLASSICAL, *MODELS)
    larger: tuple[int, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def compare(self, data: Path, sizes: tuple[int, ...], methods: list[str], seed: int, *, results: Path = RESULTS) -> None:
        survey, questions = self.load(data)
        options = {"questions": questions, "metrics": METRICS, "results": results / self.name, **self.options}
        ss.compare_methods(survey, by=self.by, train_n=sizes, methods=methods, seeds=[seed], model=_model(), **options)


@cache
def _model() -> ss.OptionModel:
    """The default model, in one number type on every machine."""
    return ss.load_model(dtype="bfloat16")


NONVOTERS = ("gender", "age6", "education")
ANES = ("party3", "gender", "age3", "education3")
ESS = ("country", "gender", "age3")
ONE_LEVEL = ("pooled", "mrp", "mean_tilt", "low_rank", "dsa-kernel")
BLIND = ("uniform", "length-matched", "zero-shot", "stage1", "dsa", "dsa-kernel")
EQUAL = {"equal_by": "country", "min_truth": 100}
HELD_COUNTRIES = {"split": "levels", "held": {"country": 6}, **EQUAL}
STUDIES = [
    Study("ess11/respondents", ess11, ESS, (280, 700, 1400), larger=(2800, 5600, 8400), options=EQUAL),
    Study("ess11/levels", ess11, ESS, (2200,), (*CLASSICAL, "regions", *MODELS), options=HELD_COUNTRIES),
    Study("ess11/backgrounds", ess11, ESS, (700,), options={"split": "backgrounds", "min_truth": 100}),
    Study("nonvoters2020/respondents", nonvoters, NONVOTERS, (200, 400, 800, 1600), larger=(3200, 4800)),
    Study("nonvoters2020/backgrounds", nonvoters, NONVOTERS, (800,), options={"split": "backgrounds"}),
    Study("nonvoters2020/questions", nonvoters, NONVOTERS, (800,), BLIND, options={"split": "questions"}),
    Study("anes2020/respondents", anes2020, ANES, (200, 400, 800, 1600), larger=(3200, 6400)),
    Study("anes2020/backgrounds", anes2020, ANES, (800,), options={"split": "backgrounds"}),
    Study("anes2020/levels", anes2020, ANES, (800,), options={"split": "levels", "held": {"age3": 1}}),
    Study("anes2020/questions", anes2020, ANES, (800,), BLIND, options={"split": "questions"}),
]

FINAL = Study("anes2020 final/respondents", anes2020_final, ANES, (200, 400, 800, 1600), larger=(3200, 6400))


def levels_in_turn(data: Path) -> list[Study]:
    """Return one study a level that is never sampled: a country of ESS 11 (100 respondents in each other), a level of education."""
    survey, _ = ess11(data)
    countries = sorted(ss.observed_backgrounds(survey, by=["country"]).country)
    n, methods = (100 * (len(countries) - 1),), (*ONE_LEVEL, "regions")
    studies = [_one_level(f"ess11/country in turn/{name}", ess11, ESS, n, methods, "country", name, EQUAL) for name in countries]
    for dataset, load, by, trait in (("nonvoters2020", nonvoters, NONVOTERS, "education"), ("anes2020", anes2020, ANES, "education3")):
        levels = load(data)[0].codebook.trait(trait).level_names
        methods = (*ONE_LEVEL, "dsa") if dataset == "nonvoters2020" else ONE_LEVEL
        studies += [_one_level(f"{dataset}/education in turn/{name}", load, by, (800,), methods, trait, name, {}) for name in levels]
    return studies


def _one_level(
    name: str, load: Any, by: tuple[str, ...], n: tuple[int], methods: tuple[str, ...], trait: str, level: str, options: dict[str, Any]
) -> Study:
    return Study(name, load, by, n, methods, options={"split": "levels", "held": {trait: [level]}, **options})


def run(data: Path, studies: list[Study], seeds: int, skip: list[str]) -> None:
    """Run what is not there yet, a seed at a time in all studies, so that an interruption leaves whole seeds."""
    BASELINES["regions"] = regions
    for seed in range(seeds):
        for study in studies:
            start = time.perf_counter()
            study.compare(data, study.sizes, [name for name in study.methods if name not in skip], seed)
            if study.larger:
                study.compare(data, study.larger, [name for name in REFERENCES if name not in skip], seed)
            print(f"{study.name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    """Run the studies and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ess11_extract and anes2020")
    parser.add_argument("--only", nargs="*", default=[], help="studies whose name begins so; default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--skip", nargs="*", default=[], help="methods to leave out")
    parser.add_argument("--write-only", action="store_true", help="make the tables of what is there")
    parser.add_argument("--final", action="store_true", help="the final test, and nothing else")
    chosen = parser.parse_args()
    restore(RESULTS, PROJECT / "docs" / "benchmarks")
    if chosen.final:
        run(chosen.data, [FINAL], chosen.seeds, chosen.skip)
    elif not chosen.write_only:
        turn = levels_in_turn(chosen.data)
        studies = [study for study in STUDIES if not chosen.only or study.name.startswith(tuple(chosen.only))]
        run(chosen.data, studies, chosen.seeds, chosen.skip)
        run(chosen.data, [study for study in turn if not chosen.only or study.name.startswith(tuple(chosen.only))], 1, chosen.skip)
    gather(RESULTS, PROJECT / "docs" / "benchmarks")
    write_report(RESULTS, PROJECT / "docs")


if __name__ == "__main__":
    main()
