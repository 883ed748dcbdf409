"""What the trunk's pass takes for more and more prompts, measured here, and computed for larger models on GPUs: docs/scaling.md.

``python tests/benchmarks/bench_scaling.py`` measures processor time with one thread, writes docs/benchmarks/scaling.json, and draws
docs/figures/scaling.png; with ``--draw`` it draws what was measured before.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

import surveysim as ss
from surveysim.lm.base.costs import QWEN3_4B, QWEN3_32B, SMOLLM2_135M, ModelSize, prompts_cost
from surveysim.lm.base.tokens import TokenisedQuestion
from surveysim.lm.expected_cost import distinct_tokens
from surveysim.lm.trunk.trees import packs
from surveysim.lm.trunk.trunk import pack_states, question_states, read_beginnings

DOCS = Path(__file__).parents[2] / "docs"
RESULT, FIGURE = DOCS / "benchmarks" / "scaling.json", DOCS / "figures" / "scaling.png"
TRAITS = ["gender", "age3", "education", "voter"]  # 54 backgrounds
QUESTIONS = (2, 6, 20, 60)  # 108, 324, 1,080, 3,240 prompts
ATTAINED = 0.4  # assumed of a GPU's peak; what large dense layers commonly reach
GPUS = {  # name -> size, peak operations a second in bfloat16 with float32 sums, from NVIDIA's Ada whitepaper and A100 data sheet
    "Qwen3-4B, one 24 GB GPU": (QWEN3_4B, 165e12),
    "Qwen3-32B, two 80 GB GPUs": (QWEN3_32B, 312e12),
}
MODES = {"SmolLM2-135M, one CPU core": "#0072B2", "Qwen3-4B, one 24 GB GPU": "#D55E00", "Qwen3-32B, two 80 GB GPUs": "#009E73"}


def matmul_rate() -> float:
    """Operations a second of a large bfloat16 product on this machine, the best of a few."""
    left, right = torch.randn(1024, 576).bfloat16(), torch.randn(576, 1536).bfloat16()
    rates = []
    for _ in range(20):
        start = time.process_time()
        for _ in range(10):
            left @ right
        rates.append(10 * 2 * 1024 * 576 * 1536 / (time.process_time() - start))
    return max(rates)


def prompts_of(model: ss.OptionModel, survey: ss.Survey, n: int) -> list[TokenisedQuestion]:
    """The prompts of the first questions to all backgrounds."""
    grid = ss.background_grid(survey.codebook, by=TRAITS)
    return list(model.tokenise(survey.codebook, survey.questions[:n], model.words(survey.codebook, grid["background_id"])).values())


def measure() -> dict[str, Any]:
    """Processor seconds of the trunk's pass for each number of questions, which other work on the machine hardly lengthens."""
    survey, model = ss.load_example("nonvoters2020"), ss.load_model(device="cpu", dtype="bfloat16")
    points = []
    question_states(model.backbone, prompts_of(model, survey, 1)[0])  # warm
    for n in QUESTIONS:
        questions = prompts_of(model, survey, n)
        rate, start = matmul_rate(), time.process_time()
        known = read_beginnings(model.backbone, questions)
        for pack in packs(questions):
            pack_states(model.backbone, pack, known)
        seconds = time.process_time() - start
        backgrounds = len(questions[0].suffixes)
        opening = float(np.mean([len(question.opening) for question in questions]))
        points.append(
            {
                "questions": n,
                "backgrounds": backgrounds,
                "prompts": n * backgrounds,
                "tokens": distinct_tokens(questions),
                "plain_tokens": sum(len(question.opening) + len(suffix) for question in questions for suffix in question.suffixes),
                "opening_tokens": opening,
                "seconds": seconds,
                "matmul_operations_a_second": max(rate, matmul_rate()),
            }
        )
        print(points[-1])
    return {"model": model.backbone.name, "threads": torch.get_num_threads(), "dtype": "bfloat16", "points": points}


def shape_of(found: dict[str, Any]) -> dict[str, float]:
    """Tokens of an opening, and those that a prompt adds, as they were in the largest measurement."""
    last = found["points"][-1]
    opening = last["opening_tokens"]
    return {"opening_tokens": round(opening), "background_tokens": (last["tokens"] - last["questions"] * opening) / last["prompts"]}


def computed(size: ModelSize, operations: float, shape: dict[str, Any], prompts: float) -> dict[str, Any]:
    """Cost of so many prompts, 54 backgrounds a question."""
    return asdict(prompts_cost(size, questions=max(1, round(prompts / 54)), backgrounds=54, operations=operations, **shape))


def draw(found: dict[str, Any]) -> None:
    """Lines are computed; filled points are measured."""
    shape, numbers = shape_of(found), np.logspace(3, 7, 41)
    last = found["points"][-1]
    rate = last["seconds"] / computed(SMOLLM2_135M, 1.0, shape, last["prompts"])["trunk"]
    lines = {"SmolLM2-135M, one CPU core": (SMOLLM2_135M, 1 / rate)}
    lines |= {name: (size, ATTAINED * peak) for name, (size, peak) in GPUS.items()}
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    for name, (size, operations) in lines.items():
        hours = [computed(size, operations, shape, prompts)["trunk"] / 3600 for prompts in numbers]
        axes.plot(numbers, hours, linestyle="--", color=MODES[name], label=f"{name}: computed")
    axes.plot(
        [point["prompts"] for point in found["points"]],
        [point["seconds"] / 3600 for point in found["points"]],
        "o",
        color=MODES["SmolLM2-135M, one CPU core"],
        label="SmolLM2-135M, one CPU core: measured",
    )
    axes.set(
        xscale="log", yscale="log", xlabel="Prompts (questions x backgrounds)", ylabel="Time of the trunk's one pass", xlim=(80, 1.2e7)
    )
    axes.set_yticks([1 / 360, 1 / 60, 1 / 6, 1, 10, 100], ["10 s", "1 min", "10 min", "1 h", "10 h", "100 h"])
    axes.yaxis.set_minor_locator(plt.NullLocator())
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(FIGURE, dpi=150)
    print(f"figure: {FIGURE.name}")


def main() -> None:
    """Measure, unless told to draw alone; then draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    if not parser.parse_args().draw:
        torch.set_num_threads(1)
        RESULT.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
    draw(json.loads(RESULT.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
