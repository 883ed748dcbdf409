"""Sections of the page docs/referee.md: the model itself aligned, and SubPOP's questions by folds of topics."""

from __future__ import annotations

from typing import Any

from referee_tables import TV, by_round, table_of, wrapped

METRICS = ["wasserstein", "kl", "similarity"]
CLOSED, ALIGNED = "closed form over questions", "dsa, aligned on other questions"  # sources, as referee_aligned names them


def aligned_section(rounds: dict[str, dict[str, Any]]) -> str:
    """Return the section of `dsa` itself beside its closed form."""
    first = next(iter(rounds.values()))
    seconds = ", ".join(f"{name} {part['seconds']:.0f} s" for name, part in rounds.items())
    about = f"""
    `dsa` with both stages, {first["model"]} aligned on the processor, on the larger segments alone, as the levels of one trait, parted as
    above, {first["n"]} answers a segment, {first["draws"]} samples (seeds 0 to {first["draws"] - 1}) instead of five; the closed form is
    that of the same samples. An alignment with its answers took {seconds}, on a processor shared with others. Total variation; bold:
    better than the marginal of the truth:
    """
    ratios = "; ".join(
        f"{name} {one['ratio']:.4f} ({one['low']:.4f}-{one['high']:.4f})" for name, part in rounds.items() for one in part["ratios"]
    )
    beside = f"Error of `dsa` over that of its closed form, with 95% intervals over questions: {ratios}."
    return "\n".join(["#### `dsa` itself, aligned", "", wrapped(about), "", *by_round(rounds, TV), "", wrapped(beside), ""])


def topics_section(part: dict[str, Any]) -> str:
    """Return the section of questions of whose topic nobody was asked."""
    about = f"""
    The {part["questions"]} questions in {part["topics"]} topics, grouped by hand by what they ask about, before any fold of topics was
    scored (`tests/benchmarks/subpop_topics.py` lists them): spending, confidence, abortion, end of life, free speech, crime, women and
    men, race, family, religion, work, money, politics, well-being. Topics are dealt into {part["folds"]} folds of like size (five
    partitions, seeds 0 to 4): the closed form tells each fold from the questions of the other topics, and chooses what it believes of
    its features by leaving out whole topics. *Other folds* know what the closed form does, *other topics* leave out one topic alone.
    Differences are from blind (other topics).
    """
    table = table_of(part["rows"], METRICS, "kl")
    return "\n".join(["### Whole topics never asked", "", wrapped(about), "", *table, "", _distances(part, CLOSED), ""])


def never_asked_section(parts: dict[str, dict[str, Any]]) -> str:
    """Return the section of the aligned model on questions that it was not aligned with."""
    stated = next(iter(parts.values()))["stated"]
    about = f"""
    The model itself, aligned (both stages) on the questions of the other folds, {stated} answers a cell stated, and then asked the fold's:
    one partition each (seed 0), and nulls and closed form of the same partition. Differences are from blind (other topics).
    """
    lines = ["### The aligned model on questions never asked", "", wrapped(about), ""]
    for what, part in parts.items():
        took = f"Folds of {what}; the alignments took {part['seconds']} s, on a processor shared with others:"
        lines += [wrapped(took), "", *table_of(part["rows"], METRICS, "kl"), "", _distances(part, ALIGNED), ""]
    return "\n".join(lines)


def _distances(part: dict[str, Any], method: str) -> str:
    """Return the authors' distance of every source, and plainly whether the method is better than a blind guess."""
    own = part["by_values"]
    said = "; ".join(f"{name} {value:.4f}" for name, value in own.items())
    ratio = own[method] / own["blind: other folds"]
    text = f"As the authors take the Wasserstein distance: {said}. The {method} has {ratio:.2f} times the blind guess's (other folds)"
    if method != CLOSED:
        text += f", and {own[method] / own[CLOSED]:.2f} times the closed form's"
    return wrapped(f"{text}{'' if ratio < 1 else ': it tells nothing that a blind guess does not'}.")
