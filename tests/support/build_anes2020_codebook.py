"""Write codebooks/anes2020.toml from the codebook that the R package RCPA3 releases with its ANES 2020 data.

Usage: python tests/support/build_anes2020_codebook.py anes2020_rcpa3.codebook.csv [anes2020.toml]

The release's codebook gives each variable's label and levels; tests/support/anes2020_wording.csv gives the questions to take, their
topic and their wording; tests/support/anes2020_head.toml gives the survey, weights and traits.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "codebooks" / "anes2020.toml"
TIDY_SURVEY = (
    "github.com/tidy-survey-r/tidy-survey-short-course, Codebook/ANES-2020-Derived-Variable-Codebook.md, quoting the ANES codebook: "
)

# Exact wording found, by the ANES variable that the source quotes.
VERIFIED = {"campaigns.interest": "V201006", "trust.dc": "V201233", "trust.people": "V201237"}

# The neutral answer stands last in the release and in the middle of the scale.
NEUTRAL_IN_THE_MIDDLE = ("campaign.spendlim", "feminist", "govt.act.warming", "gun.buying", "tax.rich")

NOMINAL = ("covid.election", "divided.govt")

# Labels that the release cuts at 80 characters or repeats, by question and number of the level.
COMPLETED = {
    ("abortion.legal", 2): "The law should permit abortion only in case of rape, incest, or when the woman's life is in danger",
    (
        "abortion.legal",
        3,
    ): "The law should permit abortion other than for rape/incest/danger to woman but only after need clearly established",
    ("abortion.legal", 4): "By law, a woman should always be able to obtain an abortion as a matter of personal choice",
    ("bible.god.man", 1): "The Bible is the actual word of God and is to be taken literally, word for word",
    ("bible.god.man", 2): "The Bible is the word of God but not everything in it should be taken literally, word for word",
    ("covid.election", 3): "Proceed with in-person voting, but require social distancing at voting locations",
    ("gay.marriage", 2): "Gay and lesbian couples should be allowed to form civil unions but not legally marry",
    ("hydrox.treat.covid", 1): "Scientific evidence that hydroxychloroquine is a safe and effective treatment for COVID-19",
    ("hydrox.treat.covid", 2): "No scientific evidence that hydroxychloroquine is a safe and effective treatment for COVID-19",
    ("immig.policy", 1): "Make all unauthorized immigrants felons and send them back to their home country",
    ("immig.policy", 2): "Have a guest worker program that allows unauthorized immigrants to remain in US",
    (
        "immig.policy",
        3,
    ): "Allow unauthorized immigrants to remain in US & eventually qualify for citizenship, but only if they meet requirements",
    ("immig.policy", 4): "Allow unauthorized immigrants to remain in US & eventually qualify for citizenship without penalties",
    ("trade.jobs.abroad", 5): "Decreased a lot",
    ("trans.policy", 2): "Feels moderately strongly transgender people should use bathroom of birth gender",
    ("trans.policy", 3): "Feels a little strongly transgender people should use bathroom of birth gender",
    ("trans.policy", 4): "Feels a little strongly transgender people be allowed to use bathroom of identified gender",
    ("trans.policy", 5): "Feels moderately strongly transgender people be allowed to use bathroom of identified gender",
    ("trans.policy", 6): "Feels very strongly transgender people be allowed to use bathroom of identified gender",
}
SPELLING = {
    "Neiter": "Neither",
    "Niether": "Neither",
    "A litte ": "A little ",
    "A ittle ": "A little ",
    "somwhat": "somewhat",
    "stongly": "strongly",
    "greather": "greater",
    "About the same,": "About the same",
}


def build(codebook_csv: Path) -> str:
    """Return the text of the TOML codebook."""
    with codebook_csv.open(encoding="utf-8", newline="") as file:
        released = {row["var"]: row for row in csv.DictReader(file)}
    with (HERE / "anes2020_wording.csv").open(encoding="utf-8", newline="") as file:
        tables = [question_table(row, released[row["question_id"]]) for row in csv.DictReader(file)]
    return "\n".join([(HERE / "anes2020_head.toml").read_text(encoding="utf-8"), *tables])


def question_table(wording: dict[str, str], released: dict[str, str]) -> str:
    """Return one [questions] table."""
    name, label = wording["question_id"], released["label"]
    levels = released["levels"].split("|")
    other = [level for level in levels if "Other {SPECIFY}" in level]
    scale = [level for level in levels if level not in other]
    if name in NEUTRAL_IN_THE_MIDDLE:
        scale = [scale[0], scale[2], scale[1]]
    ordinal = name not in NOMINAL and len(scale) > 2
    lines = [
        f"[questions.{_quoted(name)}]",
        f"text = {_quoted(wording['text'])}",
        f"type = {_quoted('ordinal' if ordinal else 'nominal')}",
        f"topic = {_quoted(wording['topic'])}",
        *([f"direction = {_quoted(f'the last option is: {option_label(name, scale[-1])}')}"] if ordinal else []),
    ]
    if label.startswith("POST"):
        lines.append('weight = "wt.post"')
    lines += ["options = [", *(f"    [{_quoted(level)}, {_quoted(option_label(name, level))}]," for level in scale), "]"]
    if other:
        lines.append(f'missing = {{ {_quoted(other[0])} = "other" }}')
    source = f"{TIDY_SURVEY}{VERIFIED[name]}" if name in VERIFIED else f"label in RCPA3: {label}"
    lines.append(f"source = {_quoted(source)}")
    if name not in VERIFIED:
        lines.append("verified = false")
    return "\n".join(lines) + "\n"


def option_label(name: str, level: str) -> str:
    """Return a level's label: its number dropped, unless it has nothing else, and its spelling corrected."""
    number, text = re.match(r"(\d+)\.\s*(.*)", level).groups()
    text = COMPLETED.get((name, int(number)), text)
    for wrong, right in SPELLING.items():
        text = text.replace(wrong, right)
    return text or number


def _quoted(text: str) -> str:
    """JSON strings are TOML basic strings."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else SHIPPED
    target.write_text(build(Path(sys.argv[1])), encoding="utf-8")
