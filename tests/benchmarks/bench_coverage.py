"""How often 95% intervals hold the truth: writes docs/benchmarks/coverage.json and the section "Coverage" of docs/benchmarks.md.

Run: make bench-coverage DATA=<folder of the survey files>, or
python tests/benchmarks/bench_coverage.py DATA [--replicates 200] [--only anes2020/400 ...] [--from-seed 1000] [--write-only]

The respondents of a survey who answered all questions studied are the population; samples are drawn from them with replacement, so no
finite population correction is needed, and every estimator is made from the same samples. Replicate r is drawn with seed r and kept in
bench-output/coverage: a run may be interrupted, and its tables are made of what is there. Seeds below 1,000 (`FIRST_SEED`) served the
development of the estimators and never enter the tables.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from bench_accuracy import TRUST, anes2020, ess11
from coverage_report import write_report

import surveysim as ss
from surveysim.lm.kernel import kernel_shares, sample_states

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "bench-output" / "coverage"
FIRST_SEED = 1000
DRAWS = 100
CELL = ["question_id", "background_id", "option_code"]
COUNTRIES, ANES_QUESTIONS, CHOICE_SEED = 11, 8, 6


@dataclass(frozen=True)
class Study:
    """One population and the samples drawn from it.

    Attributes
    ----------
    name : str
    survey : Survey
        The population: everyone has all traits and answers.
    by : tuple of str
        Traits of the cells.
    into : tuple of str
        Traits of the totals; none: the whole population.
    questions : tuple of str
    n : int
        Respondents a sample.
    replicates : int
    """

    name: str
    survey: ss.Survey
    by: tuple[str, ...]
    into: tuple[str, ...]
    questions: tuple[str, ...]
    n: int
    replicates: int

    @cached_property
    def grid(self) -> pd.DataFrame:
        """The cells that the population has."""
        return ss.observed_backgrounds(self.survey, by=self.by)

    @cached_property
    def truth(self) -> dict[str, pd.Series]:
        """Weighted shares of the population, in cells and in total."""
        cells, totals = (ss.response_distributions(self.survey, by=by, questions=self.questions) for by in (self.by, self.into))
        return {"cells": cells.set_index(CELL)["share"], "totals": totals.set_index(CELL)["share"]}

    @cached_property
    def states(self) -> tuple:
        """What the language model makes of the prompts: the same in every sample."""
        table = ss.response_distributions(self.survey, by=self.by, questions=self.questions)
        return sample_states(ss.load_model(), self.survey.codebook, table, self.grid)

    def sample(self, seed: int) -> ss.Survey:
        """Draw a sample with replacement; where totals are by trait, as many respondents in each of their levels."""
        generator = np.random.default_rng(seed)
        if not self.into:
            return self.survey.take(np.sort(generator.integers(0, len(self.survey), self.n)))
        level = self.survey.data[self.into[0]].astype(str).to_numpy()
        names = np.unique(level)
        drawn = [generator.choice(np.flatnonzero(level == name), self.n // len(names)) for name in names]
        return self.survey.take(np.sort(np.concatenate(drawn)))


def estimates(study: Study, part: ss.Survey, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Return every estimator's cells and totals from one sample."""
    by, asked, people = study.by, list(study.questions), study.grid

    def mrp(respondents: ss.Survey) -> pd.DataFrame:
        shares = ss.response_distributions(respondents, by=by, questions=asked)
        return ss.estimate_baseline(shares, people, method="mrp", codebook=study.survey.codebook, seed=seed, draws=DRAWS)

    direct = ss.response_distributions(part, by=by, questions=asked)
    model = mrp(part)
    kernel = kernel_shares(direct, people, *study.states, study.survey.codebook, draws=DRAWS, seed=seed)
    halves = ss.cross_fit(part, mrp, by=by, questions=asked, seed=seed, progress=False)
    together = ss.composite(halves.direct, halves.simulated)
    cells = {
        "direct": direct,
        "mrp": model,
        "dsa-kernel": kernel,
        "composite": together,
        "conformal": ss.conformal_intervals(halves, model),
    }
    totals = {
        "direct": ss.response_distributions(part, by=study.into, questions=asked),
        **{name: ss.poststratify(cells[name], people, by=study.into) for name in ("mrp", "dsa-kernel", "composite")},
        "prediction_powered": ss.prediction_powered(part, halves, population=people, by=study.into),
    }
    return cells, totals


def judged(table: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Return error, whether the interval holds the truth, and its width, of every share that has an interval."""
    known = table[table["conf_low"].notna() & table["conf_high"].notna()]
    true = truth.reindex(pd.MultiIndex.from_frame(known[CELL])).to_numpy()
    low, high = known["conf_low"].to_numpy(), known["conf_high"].to_numpy()
    return known[CELL].assign(error=known["share"].to_numpy() - true, covered=(low <= true) & (true <= high), width=high - low)


def replicate(study: Study, seed: int) -> pd.DataFrame:
    """Draw one sample and judge all its estimates."""
    cells, totals = estimates(study, study.sample(seed), seed)
    parts = [
        judged(table, study.truth[kind]).assign(estimator=name, kind=kind)
        for kind, tables in (("cells", cells), ("totals", totals))
        for name, table in tables.items()
    ]
    return pd.concat(parts, ignore_index=True).assign(seed=seed, option_code=lambda frame: frame["option_code"].astype(str))


def studies(data: Path, replicates: int) -> list[Study]:
    """Return the studies: ANES 2020 at two sizes, and eleven countries of ESS 11."""
    choice = np.random.default_rng(CHOICE_SEED)
    survey, drawn = anes2020(data)
    before = [name for name in drawn if survey.codebook.question(name).weight is None]  # one weight for all questions
    asked = tuple(str(name) for name in choice.permutation(before)[:ANES_QUESTIONS])
    traits = ("gender", "age3", "education3")
    anes = _complete(survey, traits, asked)
    europe, _ = ess11(data)
    chosen = sorted(choice.permutation(sorted(ss.observed_backgrounds(europe, by=["country"]).country))[:COUNTRIES])
    countries = _complete(europe.take(europe.data["country"].isin(chosen).to_numpy()), ("country", "gender", "age3"), tuple(TRUST))
    return [
        *(Study(f"anes2020/{n}", anes, traits, (), asked, n, replicates) for n in (400, 1600)),
        Study("ess11/1100", countries, ("country", "gender", "age3"), ("country",), tuple(TRUST), 1100, replicates // 2),
    ]


def _complete(survey: ss.Survey, traits: tuple[str, ...], questions: tuple[str, ...]) -> ss.Survey:
    answered = survey.reasons[list(questions)].isna().all(axis=1) & survey.data[list(traits)].notna().all(axis=1)
    return survey.take(answered.to_numpy())


def run(chosen: list[Study], first: int, folder: Path) -> None:
    """Make the replicates that are not there yet, a seed at a time in all studies, and say how far it is."""
    start, made = time.perf_counter(), 0
    for seed in range(first, first + max((study.replicates for study in chosen), default=0)):
        for study in chosen:
            path = folder / study.name / f"{seed:05d}.parquet"
            if path.exists() or seed >= first + study.replicates:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            replicate(study, seed).to_parquet(draft)
            draft.rename(path)
            made += 1
        if made and seed % 10 == 0:
            print(f"seed {seed}, {(time.perf_counter() - start) / made:.1f} s a sample", flush=True)


def main() -> None:
    """Run the studies and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ess11_extract and anes2020")
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=[], help="studies by name; default all")
    parser.add_argument("--from-seed", type=int, default=FIRST_SEED, help="below 1000: development, kept apart and shown alone")
    parser.add_argument("--write-only", action="store_true", help="make the table of what is there")
    chosen = parser.parse_args()
    folder = RESULTS if chosen.from_seed >= FIRST_SEED else RESULTS.with_name("coverage-development")
    if not chosen.write_only:
        wanted = [study for study in studies(chosen.data, chosen.replicates) if not chosen.only or study.name in chosen.only]
        run(wanted, chosen.from_seed, folder)
    write_report(folder, PROJECT / "docs" if folder == RESULTS else None)


if __name__ == "__main__":
    main()
