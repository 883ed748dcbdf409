"""Time and memory of what people wait for: ``make bench-performance``, or beside an older build ``make bench-performance BEFORE=<folder>``.

Every job runs in a process of its own, with a warm cache and one thread; the two builds take turns, and ratios are those of medians
of processor time, which other work on the machine moves least. ``--page`` writes the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from marked_sections import write_section

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
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
Measured = tuple[float, float, float]  # processor seconds, seconds, MiB at most


def measured(job: str, build: Path) -> Measured:
    """Run a job with the package in `build`."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(build)}
    ran = subprocess.run([sys.executable, "-c", BEGIN + JOBS[job]], env=environment, capture_output=True, text=True, check=True, cwd=build)
    processor, passed, peak = json.loads(ran.stdout.splitlines()[-1])
    return processor, passed, peak


def medians(runs: list[Measured]) -> Measured:
    """Median of each of the three numbers."""
    processor, passed, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    return processor, passed, peak


def lines(found: dict[str, list[Measured]], runs: int) -> list[str]:
    """The table: one build's numbers, or two builds' ratios beside them."""
    two = len(next(iter(found.values()))) == 2
    head = ["job", "processor time, s", "peak memory, MiB", *(["times as fast as before", "memory, of before"] if two else [])]
    table = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for job, (now, *before) in found.items():
        compared = [f"{before[0][0] / now[0]:.1f}", f"{now[2] / before[0][2]:.2f}"] if before else []
        table.append(f"| {' | '.join([job, f'{now[0]:.1f}', f'{now[2]:.0f}', *compared])} |")
    return [*table, "", f"One thread; medians of {runs} {'pairs' if two else 'runs'}, each in a process of its own, with a warm cache."]


def main() -> None:
    """Measure, print, and with ``--page`` write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="folder of another build to compare with")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS), metavar="JOB")
    parser.add_argument("--page", action="store_true", help="write the table into docs/performance.md")
    given = parser.parse_args()
    builds = [ROOT, *([given.before] if given.before else [])]
    found = {}
    for job in given.jobs:
        runs = [[measured(job, build) for build in builds] for _ in range(given.runs)]
        print(job, runs, flush=True)
        found[job] = [medians([pair[place] for pair in runs]) for place in range(len(builds))]
    table = lines(found, given.runs)
    print("\n".join(table))
    if given.page:
        write_section(PAGE, "performance", table)


if __name__ == "__main__":
    main()
