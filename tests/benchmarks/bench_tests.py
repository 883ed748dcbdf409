"""Time and memory of the tests of difference beside R's on the same 46,000 respondents and machine.

Run: python tests/benchmarks/bench_tests.py, and with --memory for peaks on one, two and four times as many. R needs Rscript and its
package survey. Statistics are printed beside each other: rank tests differ, since R's ranks of tied values depend on the order of the rows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import surveysim as ss

sys.path.insert(0, str(Path(__file__).parent))
from bench_design import OPTIONS, RESPONDENTS, codebook, respondents

Job = Callable[[ss.Survey], float]


def _contrast(survey: ss.Survey) -> float:
    means = ss.survey_mean(survey, questions="q0", by="country", covariance=True)
    return float(ss.survey_contrast(means, {"country=country00": 1, "country=country01": -1})["std_error"][0])


JOBS: dict[str, Job] = {
    "survey_chisq": lambda s: ss.survey_chisq(s, questions="q0", groups="gender")["statistic"].sum(),
    "survey_chisq_by": lambda s: ss.survey_chisq(s, questions="q0", groups="gender", by="age")["statistic"].sum(),
    "survey_gof": lambda s: ss.survey_gof(s, {"q0": dict.fromkeys(range(OPTIONS), 1 / OPTIONS)})["statistic"].sum(),
    "survey_ttest": lambda s: ss.survey_ttest(s, questions="q0", groups="gender")["statistic"].sum(),
    "survey_ttest_by": lambda s: ss.survey_ttest(s, questions="q0", groups="gender", by="age")["statistic"].sum(),
    "survey_ranktest": lambda s: ss.survey_ranktest(s, questions="q0", groups="gender")["statistic"].sum(),
    "survey_contrast": _contrast,
}
OURS_ALONE: dict[str, Job] = {  # memory is measured, and R has no verb
    "compare_weights": lambda s: ss.compare_weights(s, "none", questions="q0")["std_error"].sum(),
}
SIZES = (1, 2, 4)  # times the 46,000 respondents


def measured(survey: ss.Survey, job: Job, repeats: int = 7) -> tuple[float, float]:
    """Return the median time of a job and what it found."""
    times, found = [], np.nan
    for _ in range(repeats):
        start = time.perf_counter()
        found = job(survey)
        times.append(time.perf_counter() - start)
    return float(np.median(times)), float(found)


def peak_bytes(survey: ss.Survey, job: Job) -> int:
    """Return the most memory that a job held at once, beside the survey."""
    job(survey)  # what is made once is made
    tracemalloc.start()
    job(survey)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def in_r(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the same of R, by job."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "respondents.csv"
        frame.assign(q0=frame["q0"].where(frame["q0"] < OPTIONS)).to_csv(path, index=False)
        done = subprocess.run(
            ["Rscript", str(Path(__file__).with_name("bench_tests.R")), str(path)], capture_output=True, text=True, check=True
        )
    return {name: (float(seconds), float(found)) for name, seconds, found in (line.split() for line in done.stdout.splitlines())}


def main() -> None:
    frame = respondents(RESPONDENTS, 1)
    survey = ss.as_survey(frame, codebook(1))
    assert survey.design.stages, "made once, as R's svydesign"
    ours = {name: measured(survey, job) for name, job in JOBS.items()}
    theirs = in_r(frame)
    print(f"{'verb':18s} {'ms':>8s} {'R, ms':>9s} {'times':>7s}   statistic, R's")
    for name, (seconds, found) in ours.items():
        slower, also = theirs[name]
        print(f"{name:18s} {1e3 * seconds:8.1f} {1e3 * slower:9.0f} {slower / seconds:7.0f}   {found:.9g} {also:.9g}")


def memory() -> None:
    """Print the memory of every verb on one, two and four times as many respondents."""
    surveys = [ss.as_survey(respondents(times * RESPONDENTS, 1), codebook(1)) for times in SIZES]
    print(f"{'verb':18s} " + " ".join(f"{times * RESPONDENTS:>11,}" for times in SIZES) + "   MB; bytes a respondent more")
    for name, job in (JOBS | OURS_ALONE).items():
        peaks = [peak_bytes(survey, job) for survey in surveys]
        more = (peaks[-1] - peaks[0]) / ((SIZES[-1] - SIZES[0]) * RESPONDENTS)
        print(f"{name:18s} " + " ".join(f"{peak / 1e6:11.1f}" for peak in peaks) + f"   {more:.0f}")


if __name__ == "__main__":
    memory() if "--memory" in sys.argv else main()
