"""Make surveysim/data/nonvoters2020.sav from the CSV that FiveThirtyEight published.

Usage: python tests/support/build_nonvoters2020.py nonvoters_data.csv.gz [nonvoters2020.sav]

Question wording and options come from codebooks/nonvoters2020.toml and tests/support/nonvoters2020_follow_ups.toml.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyreadstat

from surveysim.codebook.codebook import Question
from surveysim.codebook.toml_file import load_codebook

PROJECT = Path(__file__).parents[2]
SHIPPED = PROJECT / "surveysim" / "data" / "nonvoters2020.sav"
REFUSED, CHOSEN, NOT_CHOSEN = -1, 1, 0
CHOOSE_ALL = ("Q19", "Q28", "Q29")
LONGEST_LABEL = 252  # bytes; SPSS holds 256 and writers round up to a multiple of four

# Strings of the CSV in the order of their new codes 1, 2, ...
CATEGORIES = {
    "educ": ("High school or less", "Some college", "College"),
    "race": ("White", "Black", "Hispanic", "Other/Mixed"),
    "gender": ("Female", "Male"),
    "income_cat": ("Less than $40k", "$40-75k", "$75-125k", "$125k or more"),
    "voter_category": ("always", "sporadic", "rarely/never"),
}
LABELS = {
    "RespId": "Unique respondent ID",
    "weight": "Weight",
    "ppage": "Age of respondent",
    "educ": "Highest educational attainment category. Note: Associate’s degree is grouped in “some college.”",
    "race": "Race of respondent, census categories. Note: all categories except Hispanic are non-Hispanic.",
    "gender": "Gender of respondent",
    "income_cat": "Household income category of respondent",
    "voter_category": "National elections voted in since 2000, of those eligible for (voter file)",
}
NOTES = [
    "FiveThirtyEight and Ipsos (2020), Why Many Americans Don't Vote.",
    "https://github.com/fivethirtyeight/data/tree/master/non-voters",
    "Licence: CC BY 4.0. Changed: made an SPSS file; see surveysim docs.",
    "The weight is the variable 'weight': WEIGHT BY weight.",
]


def questions() -> dict[str, Question]:
    """Return every question of the file, from both codebook files."""
    main, more = load_codebook("nonvoters2020"), load_codebook(PROJECT / "tests" / "support" / "nonvoters2020_follow_ups.toml")
    return {**main.questions, **more.questions}


def recode(published: pd.DataFrame) -> pd.DataFrame:
    """Return the published columns as numbers: strings become codes, -1 of a multiple choice becomes 0 or stays a refusal."""
    coded = published.copy()
    for variable, strings in CATEGORIES.items():
        coded[variable] = published[variable].map({string: code for code, string in enumerate(strings, start=1)})
    for family in CHOOSE_ALL:
        items = [column for column in published if column.startswith(f"{family}_")]
        answered = published[items].eq(CHOSEN).any(axis=1)
        coded[items] = published[items].mask(published[items].eq(REFUSED).mul(answered, axis=0), NOT_CHOSEN)
    if coded[list(CATEGORIES)].isna().any(axis=None):
        raise ValueError("the CSV holds a category that CATEGORIES does not list")
    return coded.astype(float)


def write(published: pd.DataFrame, target: Path) -> None:
    """Write the SPSS file with labels, missing codes, measurement levels and notes."""
    asked = questions()
    frame = recode(published)
    value_labels: dict[str, dict[int | float, str]] = {
        name: {float(REFUSED): "Refused", **{float(option.code): option.label for option in question.options}}
        for name, question in asked.items()
    }
    value_labels |= {name: {float(code): text for code, text in enumerate(texts, 1)} for name, texts in CATEGORIES.items()}
    labels = {**LABELS, **{name: _short(question.text) for name, question in asked.items()}}
    pyreadstat.write_sav(
        frame,
        str(target),
        file_label="Why Many Americans Don't Vote, 2020",
        column_labels=[labels[column] for column in frame],
        note=NOTES,
        row_compress=True,
        variable_value_labels=value_labels,
        missing_ranges={name: [REFUSED] for name in asked},
        variable_measure={name: _measure(name, asked) for name in frame},
        variable_format={name: "F8.4" if name == "weight" else "F8.0" for name in frame},
    )


def _measure(name: str, asked: dict[str, Question]) -> str:
    if name in asked:
        return asked[name].type
    ordered = {"educ", "income_cat", "voter_category"}
    return "ordinal" if name in ordered else "nominal" if name in CATEGORIES or name == "RespId" else "scale"


def _short(text: str) -> str:
    """Cut a label's beginning to what SPSS holds: the question, or the item of a grid, stands at the end."""
    short, words = text, text.split()
    while len(short.encode()) > LONGEST_LABEL:
        words = words[1:]
        short = " ".join(["...", *words])
    return short


if __name__ == "__main__":
    write(pd.read_csv(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else SHIPPED)
