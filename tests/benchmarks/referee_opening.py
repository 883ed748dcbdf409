"""What the page docs/referee.md opens with: its question, the answers in numbers, and how to read the tables."""

from __future__ import annotations

from typing import Any

from referee_tables import TV, wrapped

QUESTION = """
Does a simulator tell what groups of people answer, beyond what somebody says who knows nothing of groups, or nothing of the question? Its
score alone does not say. Here published simulators' tables, and this package's own methods, stand beside human shares and beside such
**nulls**.
"""
WHY = """
All numbers are means over questions. Groups count alike within a question, questions count alike. Each table has its nulls:
"""
NULLS = (
    """**marginal**: everybody gets the question's mean shares. Whoever does not beat it has told nothing about groups. The *human* marginal
    knows the mean answer, which no simulator of a question never asked does; a simulator's *own* marginal shows what its differences
    between groups add.""",
    "**shuffled**: every group gets the shares of another group of its trait (five draws, seeds 0 to 4).",
    "**uniform, blind, group means**: all options alike; the mean of other questions with as many options, of all groups or of the group.",
    "**floor**: what the truth's shares score against themselves asked again of as many respondents, where these numbers are published.",
)
READ = """
Intervals are 95% over questions; a difference is paired by question, and **bold** where its interval excludes 0 *in favour of* the row.
Wasserstein is divided by the number of options less 1, and needs ordered ones; KL is that of the human shares from the estimate, in nats;
1 - sqrt(JSD) has the divergence in bits, and higher is better.
"""
N = 25  # answers a segment, of the answers in numbers
Parts = dict[str, dict[str, Any]]


def opening(found: Parts, simulators: dict[str, dict[str, list[float]]]) -> str:
    """Return the question, an answer for each part that is there, and how to read the tables."""
    closed = {name.removesuffix("-closed-form"): part for name, part in found.items() if name.endswith("-closed-form")}
    answers = [_large_models(found["pew"], simulators)] if "pew" in found else []
    answers += [_young_surveys(closed)] if closed else []
    answers += [_never_asked(found)] if "subpop-folds" in found else []
    said, nulls = ("\n".join(wrapped(f"- {item}", "  ") for item in items) for items in (answers, NULLS))
    return "\n\n".join([wrapped(QUESTION), said, "## How to read the tables", wrapped(WHY), nulls, f"{wrapped(READ)}\n"])


def calibrated(simulators: dict[str, dict[str, list[float]]]) -> dict[str, dict[int, float]]:
    """Return by table and answers a group the error with the table as prior, over that of the best estimate from these answers alone."""
    mean = {case: {name: sum(values) / len(values) for name, values in own.items()} for case, own in simulators.items()}
    sampled = {int(case.split(", ")[1]): own for case, own in mean.items() if case.startswith("sampled")}
    names = ("GPT-4", "Claude 3 Opus", "both")
    return {name: {n: own[f"prior {name}"] / min(own["mrp"], own["low_rank"]) for n, own in sampled.items()} for name in names}


def asked_of_models(part: dict[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Return the Wasserstein error of every source, and which of them are models."""
    error = {row["source"]: row["estimate"] for row in part["rows"] if row["metric"] == "wasserstein"}
    return error, [name for name in error if f"{name}, its marginal" in error]


def _large_models(part: dict[str, Any], simulators: dict[str, dict[str, list[float]]]) -> str:
    error, models = asked_of_models(part)
    best, human = min(models, key=error.__getitem__), error["human marginal"]
    better = sum(error[name] < human for name in models)
    own, turned = ([error[name] / error[f"{name}, {null}"] for name in models] for null in ("its marginal", "groups shuffled"))
    both = calibrated(simulators)["both"]
    few, many = min(both), max(both)
    return f"""**Large models asked for contested Pew questions**: {better} of {len(models)} come nearer than the human marginal; the best,
    {best}, errs {error[best] / human:.2f} times as much. Their differences between groups go the right way ({_span(turned)} of the error
    with groups exchanged), and hardly help ({_span(own)} of that of their own marginal). As a prior beside human answers two tables
    together leave {both[few]:.2f} of the error with {few} answers a group, {both[many]:.2f} with {many}."""


def _young_surveys(rounds: Parts) -> str:
    shrunken, model = (
        [row["ratio"] for part in rounds.values() for row in part["ratios"] if (row["source"], row["against"]) == pair]
        for pair in ((f"closed form, n = {N}", f"shrunken, n = {N}"), (f"closed form, n = {N}", f"mrp, one trait, n = {N}"))
    )
    text = f"""**Surveys younger than the model**, {N} answers a segment: the closed form of `dsa` has {_span(shrunken)} of the error of
    segments shrunken trait by trait, since it learns from all segments at once; `mrp` of the same cells does as well (ratio
    {_span(model, 3)}), so that **the language model adds nothing**. It is clearly nearer than the mean of all answers in
    {_nearer(rounds, "rows", "closed form")} of {len(rounds)} rounds"""
    before = {name: part for name, part in rounds.items() if "shared_rows" in part}
    if not before:
        return f"{text}."
    gain = [row["ratio"] for part in before.values() for row in part["shared_ratios"] if _is_gain(row)]
    return f"""{text}; with the round before as `prior=`, which leaves {_span(gain)} of its error, in
    {_nearer(before, "shared_rows", "closed form and round before")} of {len(before)}."""


def _is_gain(row: dict[str, Any]) -> bool:
    return (row["source"], row["against"]) == (f"closed form and round before, n = {N}", f"closed form, n = {N}")


def _nearer(rounds: Parts, key: str, method: str) -> int:
    """Count the rounds in which a method is clearly nearer than the marginal of the truth."""
    rows = [row for part in rounds.values() for row in part[key] if (row["source"], row["metric"]) == (f"{method}, n = {N}", TV)]
    return sum(row["difference_high"] < 0 for row in rows)


def _never_asked(found: Parts) -> str:
    own = found["subpop-folds"]["by_values"]
    blind, text = own["blind: other questions"], "**Questions that nobody was asked** (SubPOP): over the error of a blind guess, "
    text += f"{found['subpop-folds']['model']} as it is has {own['zero-shot'] / blind:.2f}, the closed form over questions "
    text += f"{own['closed form over questions'] / blind:.2f}"
    aligned = {what: found[f"subpop-aligned-{what}"]["by_values"] for what in ("questions", "topics") if f"subpop-aligned-{what}" in found}
    for what, values in aligned.items():
        text += f", the aligned model {values['dsa, aligned on other questions'] / values['blind: other folds']:.2f} for folds of {what}"
    return f"{text}. The human marginal has {own['human marginal'] / blind:.2f}."


def _span(values: list[float], digits: int = 2) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
