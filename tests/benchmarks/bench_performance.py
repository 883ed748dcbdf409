"""Time and memory of what people wait for: ``make bench-performance``, or beside an older build ``make bench-performance BEFORE=<folder>``.

Every job runs in a process of its own, with a warm cache; the two builds take turns. On one thread, ratios are those of medians of
processor time, which other work on the machine moves least; on as many as torch takes by itself, of the time that passes. ``--data`` adds
the jobs on ESS 11, ``--curves`` how cost grows (a figure, and with ``--data`` a table of many countries), ``--busy`` what one busy process
beside costs: by the time that passes, so on a machine without other work. ``--quick`` measures each once. ``--page`` writes all into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
from marked_sections import write_section

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
FIGURE = ROOT / "docs" / "figures" / "performance.png"
BEGIN = """
import json, resource, sys, time
start, used = time.perf_counter(), time.process_time()
def done():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.process_time() - used, time.perf_counter() - start, peak]))
"""
DEMO = """
import surveysim as ss, surveysim.demo as demo
survey = ss.load_example("nonvoters2020")
train, _ = ss.hold_out_respondents(survey, n_train=400, seed=2020)
asked, model = ss.observed_backgrounds(survey, by=demo.TRAITS)[demo.TRAITS], ss.load_model()
start, used = time.perf_counter(), time.process_time()
ss.simulate(train, asked, model=model, method="{method}", seed=2020, progress=False)
done()
"""
JOBS = {
    "first `load_model` in a process": "import surveysim as ss\nss.load_model()\ndone()\n",
    "align and simulate: stage 1 (87 questions x 36 backgrounds)": DEMO.format(method="stage1"),
    "align and simulate: both stages": DEMO.format(method="dsa"),
    "the whole demo": "import surveysim.demo as demo, tempfile\ndemo.run(output=tempfile.mkdtemp(), progress=False)\ndone()\n",
}
ALL_THREADS = ", all threads"  # at the end of a job's name
AGAIN = ", a second call"  # without the imports of the first
JOBS |= {f"{name}{ALL_THREADS}": job for name, job in list(JOBS.items())[2:]}
ESS = """
import surveysim as ss
trust, traits = ["trstprl", "trstlgl", "trstplc", "trstplt", "trstprt"], ["country", "gender", "age3"]
survey = ss.read_survey({data!r} + "/ess11_extract/ESS11.csv.gz", "ess11", weight="none", questions=trust, traits=traits)
train, _ = ss.hold_out_respondents(survey, n_train={n}, seed=200)
asked = ss.observed_backgrounds(survey, by=traits)[traits]
given = {{"method": "{method}", "seed": 200, "progress": False}}
if given["method"] == "dsa-kernel":
    given["model"] = ss.load_model()
if {again} or "model" in given:
    ss.simulate(train, asked, **given)
start, used = time.perf_counter(), time.process_time()
ss.simulate(train, asked, **given)
done()
"""
LAID_OUT = """
import numpy as np, pandas as pd, torch, surveysim as ss
from surveysim.baselines.knowledge import Knowledge, known_order
from surveysim.baselines.methods import BASELINES
from surveysim.lm.kernel import kernel_shares
trust, traits = ["trstprl", "trstlgl", "trstplc", "trstplt", "trstprt"], ["country", "gender", "age6", "education3"]
survey = ss.read_survey({data!r} + "/ess11_extract/ESS11.csv.gz", "ess11", weight="none", questions=trust, traits=traits)
table = ss.response_distributions(survey, by=traits)
kept = sorted(table["background_id"].unique())[:{backgrounds}]
table = table[table["background_id"].isin(kept)]
sample = pd.concat([table.assign(question_id=table["question_id"] + f"_{{copy}}") for copy in range(4)], ignore_index=True)
asked, order = pd.DataFrame({{"background_id": kept}}), Knowledge(known_order(survey.codebook))
random = np.random.default_rng(200)
states = {{name: torch.from_numpy(random.normal(size=(len(kept), 576))).float() for name in sample["question_id"].unique()}}
start, used = time.perf_counter(), time.process_time()
"""
GROWING = {
    "`mrp`": 'BASELINES["mrp"](sample, asked, ordinal=(), knowledge=order)\ndone()\n',
    "closed form": "kernel_shares(sample, asked, states, tuple(kept), survey.codebook)\ndone()\n",
}
GROWN = (250, 500, 1000)
ABOUT_GROWTH = """Cells of country x gender x age x education of ESS 11, one thread, once each. The kernels of `mrp` are products or of
low rank; the language model's, in the closed form, are neither, one a question (of random features here: a measure of cost alone)."""
POINT = """
import surveysim as ss
survey = ss.load_example("nonvoters2020")
train, _ = ss.hold_out_respondents(survey, n_train={respondents}, seed=200)
asked = ss.background_grid(survey.codebook, by={traits})
options = {options}
names = [name for name in survey.questions if options is None or len(survey.codebook.questions[name].options) == options][:{questions}]
given = {{"questions": names, "model": ss.load_model(), "seed": 200, "progress": False}}
ss.simulate(train, asked, method="dsa-kernel", **given)
start, used = time.perf_counter(), time.process_time()
ss.simulate(train, asked, method="dsa", **given)
done()
"""
USUAL = {"questions": 16, "backgrounds": 36, "options": None, "respondents": 400, "threads": 1}
BACKGROUNDS = {
    6: ["gender", "age3"],
    18: ["gender", "age3", "education"],
    36: ["gender", "age6", "education"],
    108: ["gender", "age6", "education", "voter"],
}
CURVES = {
    "questions": [8, 16, 32, 64],
    "backgrounds": list(BACKGROUNDS),
    "options": [2, 4],
    "respondents": [100, 400, 1600],
    "threads": [1, 2],
}
TRUNK = """
import os, tempfile, surveysim as ss, surveysim.demo as demo
survey, model = ss.load_example("nonvoters2020"), ss.load_model()
asked = ss.background_grid(survey.codebook, by=demo.TRAITS)["background_id"]
questions = model.tokenise(survey.codebook, survey.questions[:20], model.words(survey.codebook, asked))
os.environ["SURVEYSIM_CACHE"] = tempfile.mkdtemp()
start, used = time.perf_counter(), time.process_time()
for _ in model.states(questions): pass
done()
"""
BUSY = {"the trunk, 20 questions": TRUNK, "align and simulate: both stages": JOBS["align and simulate: both stages"]}
SPINNING, DEFAULT_WAITING = "while True: pass", {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}  # as without our bound
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Measured = tuple[float, float, float]  # processor seconds, seconds, MiB at most


def jobs_on(data: Path) -> dict[str, str]:
    """The jobs on the ESS 11 extract in a folder of survey files."""
    given = str(data.resolve())
    calls = (("mrp", False), ("mrp", True), ("low_rank", False), ("low_rank", True), ("dsa-kernel", False))
    return {
        f"`{method}`, ESS 11, 5 items x 180 backgrounds, n = {n:,}{AGAIN if again else ''}": ESS.format(
            data=given, n=n, method=method, again=again
        )
        for method, again in calls
        for n in (280, 2800)
    }


def measured(job: str, build: Path, threads: int | None = 1, **settings: str) -> Measured:
    """Run a job with the package in `build`, on so many threads (None: what torch takes), under environment variables of its own."""
    own = {name: value for name, value in os.environ.items() if name not in COUNTS}
    environment = {**own, **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}), **settings, "PYTHONPATH": str(build)}
    ran = subprocess.run([sys.executable, "-c", BEGIN + job], env=environment, capture_output=True, text=True, check=False, cwd=build)
    if ran.returncode:
        raise SystemExit(f"a job failed in {build.name}:\n{ran.stderr[-2000:]}")
    processor, passed, peak = json.loads(ran.stdout.splitlines()[-1])
    return processor, passed, peak


def medians(runs: list[Measured]) -> Measured:
    """Median of each of the three numbers."""
    processor, passed, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    return processor, passed, peak


def lines(found: dict[str, list[Measured]], runs: int) -> list[str]:
    """The table: one build's numbers, or two builds' ratios beside them."""
    two = len(next(iter(found.values()))) == 2
    head = ["job", "s", "peak memory, MiB", *(["times as fast as before", "memory, of before"] if two else [])]
    table = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for job, (now, *before) in found.items():
        by = 1 if job.endswith(ALL_THREADS) else 0
        compared = [f"{before[0][by] / now[by]:.1f}", f"{now[2] / before[0][2]:.2f}"] if before else []
        table.append(f"| {' | '.join([job, f'{now[by]:.1f}', f'{now[2]:.0f}', *compared])} |")
    how = f"Processor time of one thread; on all threads ({os.cpu_count()} cores) the time that passes"
    return [*table, "", f"{how}. Medians of {runs} {'pairs' if two else 'runs'}, each in a process of its own, with a warm cache."]


def growth(data: Path) -> list[str]:
    """The table of fits on ever more cells, once each, this build alone."""
    head = [*(f"{n:,} backgrounds, s" for n in GROWN), "grows like backgrounds to the", f"peak at {GROWN[-1]:,}, MiB"]
    table = [f"| fit of 20 questions | {' | '.join(head)} |", f"|{'---|' * (len(head) + 1)}"]
    for name, job in GROWING.items():
        found = [measured(LAID_OUT.format(data=str(data.resolve()), backgrounds=n) + job, ROOT) for n in GROWN]
        power = math.log(found[-1][0] / found[0][0]) / math.log(GROWN[-1] / GROWN[0])
        table.append(f"| {name} | {' | '.join(f'{each[0]:.1f}' for each in found)} | {power:.1f} | {found[-1][2]:.0f} |")
        print(table[-1], flush=True)
    return table


def curves(runs: int) -> dict[str, list[tuple[int, float]]]:
    """Seconds of aligning and simulating as one thing grows and all else stays; processor time, for threads the time that passes."""
    found = {}
    for what, values in CURVES.items():
        points = []
        for value in values:
            point = USUAL | {what: value}
            job = POINT.format(**point, traits=BACKGROUNDS[point["backgrounds"]])
            median = medians([measured(job, ROOT, int(str(point["threads"]))) for _ in range(runs)])
            points.append((value, median[1] if what == "threads" else median[0]))
        print(what, points, flush=True)
        found[what] = points
    return found


def draw(found: dict[str, list[tuple[int, float]]]) -> None:
    """A panel for each thing that grows."""
    figure, axes = plt.subplots(1, len(found), figsize=(11, 2.8), layout="constrained", sharey=True)
    for axis, (what, points) in zip(axes, found.items(), strict=True):
        axis.plot(*zip(*points, strict=True), "o-", color="#0072B2")
        axis.set(xlabel=what.capitalize(), xticks=[value for value, _ in points])
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set(ylabel="Seconds", ylim=(0, 1.05 * max(seconds for points in found.values() for _, seconds in points)))
    figure.savefig(FIGURE, dpi=150)


@contextmanager
def busy_process() -> Iterator[None]:
    """One process beside that never rests."""
    with subprocess.Popen([sys.executable, "-c", SPINNING]) as beside:
        try:
            yield
        finally:
            beside.kill()


def busy(runs: int) -> list[str]:
    """The table of seconds on all threads: idle, idle with torch's own waiting, and beside a busy process."""
    table = [f"| job, {os.cpu_count()} cores | idle, s | with torch's own waiting | beside one busy process |", "|---|---|---|---|"]
    for name, job in BUSY.items():
        rounds = []
        for _ in range(runs):
            idle, own = measured(job, ROOT, None), measured(job, ROOT, None, **DEFAULT_WAITING)
            with busy_process():
                rounds.append((idle, own, measured(job, ROOT, None)))
        idle_s, own_s, beside_s = (medians(list(column))[1] for column in zip(*rounds, strict=True))
        table.append(f"| {name} | {idle_s:.1f} | idle is {idle_s / own_s:.2f} of it | {beside_s / idle_s:.2f} times idle |")
        print(table[-1], flush=True)
    return table


def compared(builds: list[Path], jobs: dict[str, str], runs: int) -> list[str]:
    """The table of jobs, the builds taking turns."""
    found = {}
    for name, job in jobs.items():
        threads = None if name.endswith(ALL_THREADS) else 1
        rounds = [[measured(job, build, threads) for build in builds] for _ in range(runs)]
        print(name, rounds, flush=True)
        found[name] = [medians([each[place] for each in rounds]) for place in range(len(builds))]
    return lines(found, runs)


def main() -> None:
    """Measure, print, and with ``--page`` write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="folder of another build to compare with")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one run each")
    parser.add_argument("--jobs", nargs="*", metavar="WORDS", help="only jobs whose name holds one of these; none: no jobs")
    parser.add_argument("--data", type=Path, help="folder of survey files, for the jobs on ESS 11")
    parser.add_argument("--curves", action="store_true", help="how cost grows: a table and docs/figures/performance.png")
    parser.add_argument("--busy", action="store_true", help="beside one busy process")
    parser.add_argument("--page", action="store_true", help="write into docs/performance.md")
    given = parser.parse_args()
    runs = 1 if given.quick else given.runs
    jobs = JOBS | (jobs_on(given.data) if given.data else {})
    if given.jobs is not None:
        jobs = {name: job for name, job in jobs.items() if any(words in name for words in given.jobs)}
    sections: dict[str, list[str]] = {}
    if jobs:
        sections["performance"] = compared([ROOT, *([given.before] if given.before else [])], jobs, runs)
    if given.data and given.curves:
        sections["performance-growth"] = ["## Many countries", "", ABOUT_GROWTH, "", *growth(given.data)]
    if given.busy:
        sections["performance-busy"] = ["## Beside a busy process", "", *busy(runs)]
    if given.curves:
        found = curves(min(runs, 3))
        draw(found)
        usual = ", ".join(f"{value} {what}" for what, value in USUAL.items() if value is not None and what != "threads")
        shown = [f"Aligning and simulating {usual}, one thread, as one of these changes; for threads the time that passes."]
        sections["performance-curves"] = ["## How cost grows", "", *shown, "", "![Seconds by size](figures/performance.png)"]
    for name, section in sections.items():
        print("\n".join(section))
        if given.page:
            write_section(PAGE, name, section)


if __name__ == "__main__":
    main()
