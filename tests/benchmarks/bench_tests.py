"""Time and memory of tests, contrasts, pooled waves, compared weights and replicate weights beside R's, on the same 46,000 respondents.

Run: python tests/benchmarks/bench_tests.py, and with --memory for peaks on one, two and four times as many; --page writes the table into
docs/design.md. Times are of the processor, which other work on the machine moves least. R needs Rscript and its package survey, and is
timed once. Rank tests find other numbers: R's ranks of tied values depend on the order of the rows.
"""

from __future__ import annotations

import argparse
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
from marked_sections import write_section

PAGE = Path(__file__).parents[2] / "docs" / "design.md"

Job = Callable[[ss.Survey], float]


def _contrast(survey: ss.Survey) -> float:
    means = ss.survey_mean(survey, questions="q0", by="country", covariance=True)
    return float(ss.survey_contrast(means, {"country=country00": 1, "country=country01": -1})["std_error"][0])


def _pooled(survey: ss.Survey) -> float:
    middle = len(survey) // 2
    pooled = ss.pool_waves({"first": survey.take(np.arange(middle)), "second": survey.take(np.arange(middle, len(survey)))})
    means = ss.survey_mean(pooled, questions="q0", by="wave", covariance=True)
    return float(ss.survey_contrast(means, {"wave=first": 1, "wave=second": -1})["std_error"][0])


def _raked(survey: ss.Survey) -> float:
    raked = ss.rake(survey, {"gender": {"gender00": 0.52, "gender01": 0.48}, "age": {"age00": 0.3, "age01": 0.4, "age02": 0.3}})
    return float(ss.survey_mean(raked, questions="q0")["std_error"][0])


EQUAL = {"q0": dict.fromkeys(range(OPTIONS), 1 / OPTIONS)}
JOBS: dict[str, Job] = {
    "survey_chisq": lambda s: ss.survey_chisq(s, questions="q0", groups="gender")["statistic"].sum(),
    "survey_chisq_by": lambda s: ss.survey_chisq(s, questions="q0", groups="gender", by="age")["statistic"].sum(),
    "survey_gof": lambda s: ss.survey_gof(s, EQUAL)["statistic"].sum(),
    "survey_ttest": lambda s: ss.survey_ttest(s, questions="q0", groups="gender")["statistic"].sum(),
    "survey_ttest_by": lambda s: ss.survey_ttest(s, questions="q0", groups="gender", by="age")["statistic"].sum(),
    "survey_ranktest": lambda s: ss.survey_ranktest(s, questions="q0", groups="gender")["statistic"].sum(),
    "survey_contrast": _contrast,
    "compare_weights": lambda s: ss.compare_weights(s, ["none", "weight"], questions="q0")["difference_std_error"].sum(),
    "pool_waves": _pooled,
}
REPLICATED: dict[str, Job] = {  # with 80 replicate weights, as those of the American Community Survey
    "shares, replicates": lambda s: ss.response_distributions(s, questions="q0", by="country")["std_error"].sum(),
    "means, replicates": lambda s: ss.survey_mean(s, questions="q0", by="country")["std_error"].sum(),
    "contrast, replicates": _contrast,
    "chi-square, replicates": JOBS["survey_chisq"],
    "fit, replicates": JOBS["survey_gof"],
    "t, replicates": JOBS["survey_ttest"],
    "ranks, replicates": JOBS["survey_ranktest"],
    "raked replicates": _raked,
    "withReplicates": lambda s: ss.survey_mean(s, questions="q0")["std_error"].sum(),
}
IN_R = {
    "survey_chisq": "`svychisq`",
    "survey_chisq_by": "`svychisq` in 3 backgrounds",
    "survey_gof": "`svygofchisq`",
    "survey_ttest": "`svyttest`",
    "survey_ttest_by": "`svyttest` in 3 backgrounds",
    "survey_ranktest": "`svyranktest`",
    "survey_contrast": "`svyby(covmat = TRUE)` of 28 countries, `svycontrast`",
    "compare_weights": "`svyby(covmat = TRUE)` of stacked weights, `svycontrast` of 11 options",
    "pool_waves": "`rbind`, `svydesign`, `svyby(covmat = TRUE)`, `svycontrast`",
    "shares, replicates": "`svyby`, shares in 28 countries",
    "means, replicates": "`svyby`, means in 28 countries",
    "contrast, replicates": "`svyby(covmat = TRUE)`, `svycontrast`",
    "chi-square, replicates": "`svychisq`",
    "fit, replicates": "`svygofchisq`",
    "t, replicates": "`svyttest`",
    "ranks, replicates": "`svyranktest`",
    "raked replicates": "`rake`, `svymean`",
    "withReplicates": "`withReplicates` of a mean",
}
REPLICATES = 80
SIZES = (1, 2, 4)  # times the 46,000 respondents


def measured(survey: ss.Survey, job: Job, repeats: int = 7) -> tuple[float, float]:
    """Return the median processor time of a job and what it found."""
    times, found = [], np.nan
    for _ in range(repeats):
        start = time.process_time()
        found = job(survey)
        times.append(time.process_time() - start)
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
    split = (line.rstrip().rsplit(" ", 2) for line in done.stdout.splitlines())
    return {name: (float(seconds), float(found)) for name, seconds, found in split}


def replicate_weights(frame: pd.DataFrame) -> pd.DataFrame:
    """Return 80 made-up replicate weights a respondent, named as those of the American Community Survey."""
    factors = np.random.default_rng(7).choice([0.3, 1.0, 1.7], (len(frame), REPLICATES), p=[0.25, 0.5, 0.25])
    names = [f"PWGTP{number + 1}" for number in range(REPLICATES)]
    return pd.DataFrame(frame[["weight"]].to_numpy() * factors, columns=names, index=frame.index)


def surveys(times: int) -> tuple[pd.DataFrame, ss.Survey, ss.Survey]:
    """Return so many times 46,000 respondents, as a survey with strata and PSUs and as one with replicate weights."""
    frame = respondents(times * RESPONDENTS, 1)
    repeated = replicate_weights(frame)
    survey = ss.as_survey(frame, codebook(1))
    assert survey.design.stages, "made once, as R's svydesign"
    return frame.join(repeated), survey, ss.with_replicates(survey, repeated)


def timings() -> list[str]:
    """Return the table of times beside R's."""
    frame, survey, replicated = surveys(1)
    ours = {name: measured(survey, job) for name, job in JOBS.items()}
    ours |= {name: measured(replicated, job) for name, job in REPLICATED.items()}
    theirs = in_r(frame)
    lines = ["| job | ms | R's call | R, ms | times as fast | number found / R's - 1 |", "|---|---|---|---|---|---|"]
    for name, (seconds, found) in ours.items():
        slower, also = theirs[name]
        verb = f"`{name}`" if name in JOBS else name
        numbers = f"{1e3 * seconds:.0f} | {IN_R[name]} | {1e3 * slower:,.0f} | {slower / seconds:.0f} | {found / also - 1:.0e}"
        lines.append(f"| {verb} | {numbers} |")
    return lines


def memory() -> list[str]:
    """Return the table of the memory of every verb on one, two and four times as many respondents."""
    made = [surveys(times) for times in SIZES]
    sizes = " | ".join(f"{times * RESPONDENTS:,}" for times in SIZES)
    lines = [f"| job, peak memory in MB at | {sizes} | bytes a respondent more |", "|---|---|---|---|---|"]
    for name, job in (JOBS | REPLICATED).items():
        peaks = [peak_bytes(survey if name in JOBS else replicated, job) for _, survey, replicated in made]
        more = (peaks[-1] - peaks[0]) / ((SIZES[-1] - SIZES[0]) * RESPONDENTS)
        verb = f"`{name}`" if name in JOBS else name
        lines.append(f"| {verb} | " + " | ".join(f"{peak / 1e6:.1f}" for peak in peaks) + f" | {more:.0f} |")
    return lines


def main() -> None:
    """Measure, print, and with ``--page`` write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", action="store_true", help="peaks in place of times")
    parser.add_argument("--page", action="store_true", help="write the table into docs/design.md")
    given = parser.parse_args()
    lines = memory() if given.memory else timings()
    print(*lines, sep="\n")
    if given.page:
        write_section(PAGE, "memory-of-tests" if given.memory else "times-of-tests", lines)


if __name__ == "__main__":
    main()
