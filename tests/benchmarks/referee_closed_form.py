"""Sections of the page docs/referee.md: the closed form over segments, with the round before, and over questions."""

from __future__ import annotations

from typing import Any

from referee_tables import TV, by_round, table_of, wrapped

AIMED_AT = 25  # answers a segment
PUBLISHED = {
    "uniform": 0.208,
    "Llama-2-7B, zero-shot": 0.206,
    "Llama-2-7B, few-shot": 0.217,
    "Llama-2-7B tuned on SubPOP-Train": 0.121,
    "floor: people drawn again": 0.033,
}  # Suh et al. (2025), Table 1, as a public summary of it has them
RATIOS = """
Ratios of these errors, with 95% intervals over questions. Beside *shrunken* stands what learning from all segments is worth, beside
*shrunken, one trait* what the likeness of segments adds to that, and beside `mrp` what the language model adds: below 1, something.
"""
Rounds = dict[str, dict[str, Any]]


def closed_form_section(rounds: Rounds) -> str:
    """Return the section of segments as the levels of one trait."""
    about = f"""
    Segments as the levels of one trait: the closed form (`dsa-kernel`, features of {next(iter(rounds.values()))["model"]}) and `mrp` learn
    from all of them at once, and so does *shrunken, one trait*; *shrunken* learns from the segments of its own trait, as above. Truth,
    samples and seeds are those of the segments parted. **A person stands in several segments**, which the published shares do not show:
    what is drawn for women is partly said by the people who are the truth for the young, so that whoever learns from all segments comes
    nearer to the mean of these very respondents than a fresh sample would. *Shrunken, one trait* has this advantage too, and knows nothing
    else. Bold: better than the marginal of the truth. Total variation:
    """
    lines = ["### The closed form, and the round before", "", wrapped(about), "", *by_round(rounds, TV), ""]
    lines += [wrapped(RATIOS), "", *_ratio_table(rounds, "ratios"), ""]
    lines += [wrapped("All segments, with the published shares as the truth (see the caution above); total variation:"), ""]
    lines += [*by_round(rounds, TV, "all_rows"), "", _aim(rounds), ""]
    with_prior = {name: part for name, part in rounds.items() if "shared_rows" in part}
    return "\n".join([*lines, *(_round_before(with_prior) if with_prior else [])])


def _ratio_table(rounds: Rounds, key: str) -> list[str]:
    lines = [f"| | {' | '.join(rounds)} |", "|---|" + "---|" * len(rounds)]
    values = {name: {(row["source"], row["against"]): row for row in part[key]} for name, part in rounds.items()}
    for source, against in next(iter(values.values())):
        cells = [values[name][source, against] for name in rounds]
        text = " | ".join(f"{cell['ratio']:.3f} ({cell['low']:.3f}-{cell['high']:.3f})" for cell in cells)
        lines.append(f"| {source} / {against} | {text} |")
    return lines


def _aim(rounds: Rounds) -> str:
    """Return what was aimed at and what was measured."""
    published = _reached(rounds, "all_rows", "closed form")
    parted = _reached(rounds, "rows", "closed form")
    text = f"""
    Aimed at was, with {AIMED_AT} answers a segment, an error clearly below the marginal's, the interval of the difference below 0,
    and at most .9 of the shrunken segments'. The closed form, with published shares as the truth: {published}. Segments parted, where
    sample and truth share no answer: {parted}.
    """
    before = {name: part for name, part in rounds.items() if "shared_rows" in part}
    if before:
        reached = _reached(before, "shared_rows", "closed form and round before")
        text += f"With the round before as prior, on shared questions, parted: {reached}."
    return wrapped(text)


def _reached(rounds: Rounds, key: str, method: str) -> str:
    n, ratios, better = f"n = {AIMED_AT}", [], 0
    for name, part in rounds.items():
        error = {row["source"]: row for row in part[key] if row["metric"] == TV}
        better += error[f"{method}, {n}"]["difference_high"] < 0
        ratios.append(f"{name} {error[f'{method}, {n}']['estimate'] / error[f'shrunken, {n}']['estimate']:.2f}")
    return f"clearly below the marginal's in {better} of {len(rounds)} rounds, and {', '.join(ratios)} of the shrunken segments' error"


def _round_before(rounds: Rounds) -> list[str]:
    shared = "; ".join(
        f"{name} has {part['shared']} of {part['before']}, which has {part['segments_before']} of its {part['groups']} segments"
        for name, part in rounds.items()
    )
    about = f"""
    Questions that a round shares with the one before, by wording and options but for case and blanks: {shared}. The earlier round's
    published shares with their own numbers of respondents are the `prior=`; *as it is*, a segment that it lacks gets its mean. Whether
    the same people answered in both rounds is not published. Shared questions alone, segments parted as above, total variation:
    """
    lines = ["#### The round before as prior", "", wrapped(about), "", *by_round(rounds, TV, "shared_rows"), ""]
    return [*lines, wrapped("Ratios of these errors, with 95% intervals over questions:"), "", *_ratio_table(rounds, "shared_ratios"), ""]


def folds_section(part: dict[str, Any]) -> str:
    """Return the section of questions that nobody was asked."""
    about = f"""
    All {part["questions"]} questions. The closed form over questions tells each fold of {part["folds"]} from the shares of the others, with
    {part["stated"]} answers a cell stated, as no numbers are published (five partitions, seeds 0 to 4); the nulls of other questions leave
    one out. The authors train on Pew questions and on none of these, so theirs is the harder task. Zero-shot is {part["model"]} as it is.
    Differences are from blind.
    """
    table = table_of(part["rows"], ["wasserstein", "kl", "similarity"], "kl")
    beside = f"""
    As the authors take the Wasserstein distance, between the published scale values over their range, options on no scale left out, and
    beside their numbers (Suh, Jahanparast, Moon, Kang and Chang 2025, arXiv:2502.16761). The paper's text was not at hand: its numbers are
    those that public summaries of its Table 1 quote. Their uniform distribution comes out as quoted, at {part["by_values"]["uniform"]:.3f},
    which speaks for the same measure on the same cells. Other models of theirs are left out, as no number could be checked.
    """
    own = [f"| {name} | {value:.4f} | |" for name, value in part["by_values"].items() if name != "uniform"]
    theirs = [f"| {name} | | {value:.3f} |" for name, value in PUBLISHED.items() if name != "uniform"]
    both = f"| uniform | {part['by_values']['uniform']:.4f} | {PUBLISHED['uniform']:.3f} |"
    lines = ["| | here | theirs |", "|---|---|---|", both, *own, *theirs]
    head = "### Questions never asked, beside the authors' models"
    return "\n".join([head, "", wrapped(about), "", *table, "", wrapped(beside), "", *lines, "", _verdict(part), ""])


def _verdict(part: dict[str, Any]) -> str:
    """Return plainly who wins."""
    own = part["by_values"]
    tuned, zero, closed = PUBLISHED["Llama-2-7B tuned on SubPOP-Train"], own["zero-shot"], own["closed form over questions"]
    blind = own["blind: other questions"]
    kl = {row["source"]: row["estimate"] for row in part["rows"] if row["metric"] == "kl"}
    in_kl = kl["closed form over questions"] / kl["blind: other questions"]
    return wrapped(
        f"""The model of 135 million parameters loses: as it is, its error is {zero / PUBLISHED["Llama-2-7B, zero-shot"]:.2f} times that of
        Llama-2-7B asked without tuning, and {zero / own["uniform"]:.2f} times that of all options alike. With the shares of the other GSS
        questions to learn from, the closed form over questions has {closed / blind:.2f} times the blind guess's error ({in_kl:.2f} times
        its KL) and {closed / tuned:.2f} times the error of Llama-2-7B tuned on 3,229 Pew questions. The human marginal, which
        has seen the answers to the question itself, is at {own["human marginal"]:.3f}."""
    )
