"""What `llama_peer` measured, in words and rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

GOALS = {"bfloat16": 10, "float32": 4}  # times faster than llama.cpp's fastest setting
READS = {"distinct": "every distinct token once", "openings": "every opening once, every suffix whole"}
CLOCKS = {"wall": "time that passed", "cpu": "processor time of one thread, on a machine with other work on it"}


def rows(peers: Mapping[str, Any] | None) -> list[tuple[str, str, str, bool]]:
    """Rows of the table: how many times faster ours is than llama.cpp's fastest setting, and than the others that read all prompts."""
    if peers is None:
        return []
    if "skipped" in peers:
        return [("simulation, over llama.cpp's fastest setting", "", f"skipped: {peers['skipped']}", True)]
    runs = [run for run in peers["runs"] if not run["checks"]]
    fastest = min(runs, key=lambda run: run["seconds"])
    ours, found = peers["ours_seconds"], []
    for name, seconds in ours.items():
        ratio, goal = fastest["seconds"] / seconds, GOALS[name]
        found.append((f"simulation in {name}, over llama.cpp's fastest setting", f"at least {goal}", f"{ratio:.3g}", ratio >= goal))
    for name, run in product(ours, (run for run in runs if run is not fastest)):
        what = f"simulation in {name}, over llama.cpp in {run['weights']} that reads {READS[run['layout']]}"
        found.append((what, "", f"{run['seconds'] / ours[name]:.3g}", True))
    return found


def words(run: Mapping[str, Any]) -> str:
    """A run in words."""
    how = f"{run['weights']}, keys and values {run['memory']}, {'with' if run['flash'] else 'without'} flash attention"
    at_once = f"{run['prompts_at_once']} prompts in memory, {run['tokens_at_once']:,} tokens in a pass"
    found = f"{run['seconds']:.1f} s; shares up to {run['difference']:.1g} from ours in float32"
    return f"{how}, {at_once}, reads {READS[run['layout']]} ({run['tokens']:,} tokens): {found}"


def paragraph(peers: Mapping[str, Any] | None) -> list[str]:
    """What llama.cpp did, for the page; an empty line where it was not asked for."""
    if peers is None:
        return [""]
    if "skipped" in peers:
        return ["", f"The comparison with llama.cpp was skipped: {peers['skipped']}.", ""]
    tried, failed = peers["tried"], [run for run in peers["tried"] if "failed" in run]
    mine = ", ".join(f"{seconds:.1f} s in {name}" for name, seconds in peers["ours_seconds"].items())
    rounded = f"shares in bfloat16 up to {peers['ours_difference']['bfloat16']:.1g} from those in float32"
    return [
        "",
        f"Beside llama.cpp (llama-cpp-python {peers['version']}, compiled for this processor: {peers['processor']}),",
        f"{'in a run apart from that above; ' if peers.get('alone') else ''}threads: {peers['threads']}; clock: {CLOCKS[peers['clock']]}.",
        f"Both have {peers['prompts']:,} of the prompts as token ids, and the same weights, which 8 and 4 bits round.",
        f"{len(tried)} settings of llama.cpp were tried on some of them ({len(failed)} did not run). On all prompts ran the fastest of",
        "all, and the fastest that leaves the weights as they are, for each way to share tokens: twice, as did ours; the faster run",
        "counts. Last, for the check, once in float32. Its batches lay ready before the clock started; of ours nothing did.",
        f"Ours: {mine}; {rounded}. llama.cpp:",
        "",
        *(f"- {words(run)}" for run in peers["runs"]),
        "",
    ]
