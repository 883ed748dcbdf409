"""The page docs/referee.md, made of docs/benchmarks/referee.json and, for one line, docs/benchmarks/simulators.json."""

from __future__ import annotations

from typing import Any

from referee_aligned_page import aligned_section, never_asked_section, topics_section
from referee_closed_form import closed_form_section, folds_section
from referee_opening import asked_of_models, calibrated, opening
from referee_tables import NAMES, TV, by_round, table_of, wrapped

LEARNT = ("pooled", "raw", "shrunken", "mrp")
ROUNDS = ("gd3", "gd4", "gd5", "gd6")

TITLE = "# The referee: simulators' tables beside human shares and nulls"
FOOT = """## Your simulator's table beside these

A CSV with `question_id`, `background_id` (`SEX=Female`), `option_code` (or its label) and `share` is scored by one line:

```sh
python tests/benchmarks/bench_referee.py <folder of the data> --tables mine=mine.csv
```

A column of the Pew table itself is one entry of `PEW_MODELS` in `tests/benchmarks/outside_data.py`. In Python any table, of answers drawn,
counts or log probabilities, becomes one that can be scored by [`ss.as_distributions`](outside-tables.md).

## How these numbers are made

By `make bench-referee DATA=<folder of the data>`; all of them are in `benchmarks/referee.json`. The data stand beside the project and are
not in it; here are means over questions alone.
"""


def page(found: dict[str, Any], simulators: dict[str, dict[str, list[float]]]) -> str:
    """Return the page of whatever parts are there; `simulators` are the errors of large models' tables as priors."""
    sections = [f"{TITLE}\n\n{opening(found, simulators)}"]
    if "pew" in found:
        sections.append(_pew(found["pew"]) + "\n" + _as_priors(simulators) + "\n")
    rounds = {name: found[name] for name in ROUNDS if name in found}
    if rounds:
        held = {name: found[f"{name}-held-out"] for name in ROUNDS if f"{name}-held-out" in found}
        sections.append(_dialogues(rounds, held))
    closed = {name: found[f"{name}-closed-form"] for name in ROUNDS if f"{name}-closed-form" in found}
    if closed:
        sections.append(closed_form_section(closed))
    aligned = {name: found[f"{name}-aligned"] for name in ROUNDS if f"{name}-aligned" in found}
    if aligned:
        sections.append(aligned_section(aligned))
    if "subpop" in found:
        sections.append(_subpop(found["subpop"]))
    if "subpop-folds" in found:
        sections.append(folds_section(found["subpop-folds"]))
    if "subpop-topics" in found:
        sections.append(topics_section(found["subpop-topics"]))
    never = {what: found[f"subpop-aligned-{what}"] for what in ("questions", "topics") if f"subpop-aligned-{what}" in found}
    if never:
        sections.append(never_asked_section(never))
    return "\n".join([*sections, FOOT])


def _pew(part: dict[str, Any]) -> str:
    about = f"""
    {part["questions"]} questions, {part["groups"]} groups of six single traits, {part["cells"]} cells. Each model was asked for the
    distribution in words (Meister, Guestrin and Hashimoto 2024, arXiv:2411.05403, who published the tables). Options stand in scale
    order, refusals are left out. No numbers of respondents are published, so there is no floor. {part["left_out"]} questions are
    left out whose options had been cut at their commas before they were published. The surveys are older than the models, which
    may have read them. Differences are from the human marginal.
    """
    table = table_of(part["rows"], ["wasserstein", "total_variation", "similarity"], "wasserstein")
    return "\n".join(["## Four large models on contested Pew questions", "", wrapped(about), "", *table, "", _pew_words(part), ""])


def _pew_words(part: dict[str, Any]) -> str:
    error, models = asked_of_models(part)
    better = [name for name in models if error[name] < error["human marginal"]]
    each = "; ".join(
        f"{name} {error[name] / error[f'{name}, its marginal']:.2f} and {error[name] / error[f'{name}, groups shuffled']:.2f}"
        for name in models
    )
    return wrapped(
        f"""{len(better)} of the {len(models)} models have a smaller error than the human marginal, which has seen the mean answer and knows
        no groups. What a model says of groups: its Wasserstein error over that of its own marginal for everybody (below 1: its
        differences between groups help), and over that of its own groups exchanged (below 1: they go the right way): {each}."""
    )


def _as_priors(simulators: dict[str, dict[str, list[float]]]) -> str:
    """Return what large models' tables are worth once human answers calibrate them."""
    ratios = calibrated(simulators)
    said = [f"{name} {', '.join(f'{value:.2f}' for value in own.values())}" for name, own in ratios.items()]
    sampled = list(ratios["both"])
    return wrapped(
        f"""Calibrated: with such a table as `prior=` and {", ".join(map(str, sampled))} human answers a group, the Wasserstein error over
        that of the best estimate from these answers alone is {"; ".join(said)} ([benchmarks](benchmarks.md), the big models' tables
        as priors). More than {max(sampled)} answers a group were not measured."""
    )


def _dialogues(rounds: dict[str, dict[str, Any]], held: dict[str, dict[str, Any]]) -> str:
    sizes = "; ".join(f"{name}: {part['questions']} questions, {part['groups']} segments" for name, part in rounds.items())
    gap = max(part["largest_gap"] for part in rounds.values())
    smallest = min(part["smallest"] for part in rounds.values())
    about = f"""
    Single-select questions by segments of one trait (age, gender, religion, country, environment, concern): {sizes} (MIT,
    collect-intel). Shares are published to .1% and miss 1 by up to {gap:.3f}, which is scaled away. A person stands in several segments.
    The rounds' public leaderboard uses 1 - sqrt(JSD) too. *pooled* is the marginal of the answers drawn.
    """
    lines = ["## Global Dialogues 2025: surveys younger than the default model", "", wrapped(about), ""]
    if held:
        lines += _held_out(held)
    caution = f"""
    All segments, with the published shares as the truth and n answers drawn *from these shares*, five times. **These figures flatter
    whoever learns**: the smallest segments have {smallest} respondents, half of them 35 or fewer, and whoever draws 50 answers
    from the shares of 10 people learns these people's sampling error with the rest. The floor, what a fresh sample as large as each
    segment's own would score, says how much of every distance is such error. Bold: better than the published marginal, which is made of the
    truth itself.
    """
    lines += ["### All segments, published shares as truth", "", wrapped(caution)]
    for metric in ("similarity", "total_variation"):
        lines += ["", f"{NAMES[metric][:1].upper()}{NAMES[metric][1:]}:", "", *by_round(rounds, metric)]
    return "\n".join([*lines, "", _ratios(rounds, "published marginal", "floor: segments asked again"), ""])


def _held_out(held: dict[str, dict[str, Any]]) -> list[str]:
    first = next(iter(held.values()))
    cells = "; ".join(f"{name}: {part['groups']} segments" for name, part in held.items())
    about = f"""
    Segments of at least {first["least"]} respondents ({cells}), each parted at random, five times: 50 of its answers to learn from, or the
    first 10 or 25 of them, and the others as the truth. Truth and sample share no answer, so that nobody is rewarded for a sampling error.
    Every method learns from the segments of one trait, two to four of them. The floor is what the published shares score against as many
    answers as the truth has. Bold: better than the marginal of the truth, which has seen hundreds of answers where the methods have dozens.
    """
    lines = ["### Segments parted into a sample and a truth", "", wrapped(about)]
    for metric in ("similarity", "total_variation"):
        lines += ["", f"{NAMES[metric][:1].upper()}{NAMES[metric][1:]}:", "", *by_round(held, metric)]
    return [*lines, "", _ratios(held, "marginal of the truth", "floor: the shares themselves"), ""]


def _ratios(rounds: dict[str, dict[str, Any]], marginal: str, floor: str) -> str:
    def mean(source: str) -> float:
        values = [row["estimate"] for part in rounds.values() for row in part["rows"] if (row["source"], row["metric"]) == (source, TV)]
        return sum(values) / len(values)

    learnt = {method: [mean(f"{method}, n = {n}") / mean(marginal) for n in (10, 25, 50)] for method in LEARNT}
    said = "; ".join(f"{method} {', '.join(f'{value:.2f}' for value in values)}" for method, values in learnt.items())
    return wrapped(
        f"""Total variation over that of the {marginal}, means of the rounds, with 10, 25 and 50 answers a segment: {said}. The floor
        lies at {mean(floor) / mean(marginal):.2f}."""
    )


def _subpop(part: dict[str, Any]) -> str:
    metrics = ["wasserstein", "kl", "similarity"]
    about = f"""
    {part["questions"]} questions of the General Social Survey by {part["groups"]} groups of seven single traits, {part["cells"]}
    cells (BSD-3, Stefanstud/subpop). Options stand in the order of their published scale values;
    {part["questions"] - part["ordered"]} questions have an option on no scale, count as nominal and have no Wasserstein distance.
    No numbers of respondents are published. Differences are from the human marginal.
    """
    model = f"""
    On {len(part["asked"])} questions drawn with a fixed seed (a sample, so that a processor has it in minutes: here
    {part["seconds"]} s), the default model {part["model"]} as it is, nothing learnt from any of these questions, and the same
    nulls:
    """
    return "\n".join(
        [
            "## SubPOP's evaluation set: nulls, and the default model asked without any respondent",
            "",
            wrapped(about),
            "",
            *table_of(part["rows"], metrics, "kl"),
            "",
            wrapped(model),
            "",
            *table_of(part["asked_rows"], metrics, "kl"),
            "",
        ]
    )
