"""Time of read_survey beside bare pyreadstat on the same columns, and of draft_codebook beside its read of all of them, in one run.

Run: python tests/benchmarks/bench_read.py [--respondents 97000] [--variables 690] [--repeats 7]. Made-up files in the size of the
World Values Survey, SPSS (codes declared missing as a range) and Stata (tagged missing values), and the shipped survey; and ESS 9
Norway where ../shared is. The two readers take turns; printed are the ratio of their best CPU times and the median of the ratios of
neighbouring runs, which other work on the machine sways least. Small files, read in milliseconds, have ten times as many runs.
pyreadstat alone neither finds missing codes nor recodes traits nor checks anything; it is the floor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight
from surveysim.survey.assembly import needed_columns

PROJECT = Path(__file__).parents[2]
SMALL = 10e6  # bytes
SHARED = PROJECT.parent / "shared" / "data"
MISSING = {-1: "dont_know", -2: "no_answer", -4: "not_asked"}
LABELS = {1: "Agree strongly", 2: "Agree", 3: "Neither", 4: "Disagree", 5: "Disagree strongly"}
WORDS = {-1: "Don't know", -2: "No answer", -4: "Not asked"}


def codebook(questions: int, every: int) -> ss.Codebook:
    options = tuple(Option(code, label) for code, label in LABELS.items())
    asked = {f"Q{place * every}": Question(f"Q{place * every}", "How much?", options) for place in range(questions)}
    levels = tuple(Level(name, f"in {name}", (code,)) for code, name in (("NLD", "Netherlands"), ("NAM", "Namibia"), ("USA", "America")))
    traits = {"country": Trait("country", "B_COUNTRY_ALPHA", levels)}
    return ss.Codebook("bench", "Made up", traits, asked, respondent_id=("D_INTERVIEW",), weights=(Weight("W_WEIGHT"),), missing=MISSING)


def made_up(respondents: int, variables: int) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    answers = draw.choice([1.0, 2, 3, 4, 5, 5, 4, 3, 2, 1, -1, -2, -4], size=(respondents, variables))
    frame = pd.DataFrame(answers, columns=[f"Q{place}" for place in range(variables)])
    first = {"D_INTERVIEW": np.arange(respondents) + 1e8, "B_COUNTRY_ALPHA": draw.choice(["NLD", "NAM", "USA"], respondents)}
    return pd.concat([pd.DataFrame({**first, "W_WEIGHT": draw.gamma(3, 0.4, respondents)}), frame], axis=1)


def write_sav(frame: pd.DataFrame, path: Path) -> Path:
    names = [name for name in frame if name.startswith("Q")]
    pyreadstat.write_sav(
        frame,
        str(path),
        row_compress=True,
        variable_value_labels={name: {**LABELS, **WORDS} for name in names},
        missing_ranges={name: [{"lo": -5, "hi": -1}] for name in names},
    )
    return path


def write_dta(frame: pd.DataFrame, path: Path) -> Path:
    names = [name for name in frame if name.startswith("Q")]
    letters = {-1: "b", -2: "c", -4: "d"}
    columns = {name: frame[name].astype(int).astype(object).replace(letters) for name in names}
    labels = {**LABELS, **{letters[code]: word for code, word in WORDS.items()}}
    pyreadstat.write_dta(
        frame.assign(**columns),
        str(path),
        variable_value_labels=dict.fromkeys(names, labels),
        missing_user_values={name: sorted(letters.values()) for name in names},
    )
    return path


def taking_turns(repeats: int, *jobs: Callable[[], object]) -> np.ndarray:
    """Return the CPU time of every run in seconds, shape ``(repeats, jobs)``."""
    spent = np.zeros((repeats, len(jobs)))
    for run in range(repeats):
        for place, job in enumerate(jobs):
            start = time.process_time()
            job()
            spent[run, place] = time.process_time() - start
    return spent


def compare(path: Path, book: ss.Codebook, repeats: int, **options: object) -> None:
    wanted = {name.lower() for name in needed_columns(book, None, list(book.questions.values()), list(book.traits.values())).names}
    reader = pyreadstat.read_dta if path.suffix == ".dta" else pyreadstat.read_sav
    _, meta = reader(str(path), metadataonly=True, **options)
    columns = [name for name in meta.column_names if name.lower() in wanted]
    runs = repeats * (10 if path.stat().st_size < SMALL else 1)
    spent = taking_turns(runs, lambda: reader(str(path), usecols=columns, user_missing=True, **options), lambda: ss.read_survey(path, book))
    bare, ours = spent.min(0)
    size = f"{meta.number_rows:,} x {meta.number_columns:,}, {len(columns)} columns read"
    paired = np.median(spent[:, 1] / spent[:, 0])
    print(f"{path.name:20s} {size:40s} pyreadstat {bare * 1e3:7.1f} ms   read_survey {ours * 1e3:7.1f} ms   ", end="")
    print(f"ratio {ours / bare:.2f}, of neighbours {paired:.2f}")


def compare_draft(path: Path, repeats: int, **options: object) -> None:
    reader = pyreadstat.read_dta if path.suffix == ".dta" else pyreadstat.read_sav
    with tempfile.TemporaryDirectory() as folder:

        def draft() -> None:
            target = Path(folder) / "draft.toml"
            target.unlink(missing_ok=True)
            ss.draft_codebook(path, target)

        spent = taking_turns(repeats, lambda: reader(str(path), user_missing=True, **options), draft)
    bare, ours = spent.min(0)
    paired = np.median(spent[:, 1] / spent[:, 0])
    print(f"{path.name:20s} all columns: pyreadstat {bare * 1e3:7.1f} ms   draft_codebook {ours * 1e3:7.1f} ms   ", end="")
    print(f"ratio {ours / bare:.2f}, of neighbours {paired:.2f}")


def peak_memory(path: Path, book: ss.Codebook) -> float:
    """Return the peak of Python's and numpy's memory during a read, in MB."""
    tracemalloc.start()
    ss.read_survey(path, book)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--respondents", type=int, default=97_000)
    parser.add_argument("--variables", type=int, default=690)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    book = codebook(chosen.questions, chosen.variables // chosen.questions)
    with tempfile.TemporaryDirectory() as folder:
        frame = made_up(chosen.respondents, chosen.variables)
        sav = write_sav(frame, Path(folder) / "wvs-sized.sav")
        dta = write_dta(frame, Path(folder) / "wvs-sized.dta")
        whole = frame.memory_usage().sum() / 1e6
        del frame
        compare(sav, book, chosen.repeats)
        compare(dta, book, chosen.repeats)
        print(f"memory: {peak_memory(sav, book):.0f} MB at the peak for {chosen.questions} questions; all columns are {whole:.0f} MB")
    compare(PROJECT / "surveysim" / "data" / "nonvoters2020.sav", ss.load_codebook("nonvoters2020"), chosen.repeats)
    with tempfile.TemporaryDirectory() as folder:
        frame = made_up(1_500, 500)
        compare_draft(write_sav(frame, Path(folder) / "500-variables.sav"), 2 * chosen.repeats)
        compare_draft(write_dta(frame, Path(folder) / "500-variables.dta"), 2 * chosen.repeats)
    if SHARED.is_dir():
        compare_draft(SHARED / "ess9_norway" / "ESS9NO.sav", 2 * chosen.repeats)
        compare(SHARED / "ess9_norway" / "ESS9NO.sav", ss.load_codebook("ess9"), chosen.repeats)
        compare(SHARED / "ess9_norway" / "ESS9NO.dta", ss.load_codebook("ess9"), chosen.repeats, encoding="utf-8")


if __name__ == "__main__":
    main()
