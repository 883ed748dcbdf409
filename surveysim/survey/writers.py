"""Surveys and tables written to SPSS and Stata files, with labels and missing codes, so that other programs read them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

from surveysim.codebook.codebook import RESERVED, Codebook, Question, Trait
from surveysim.codebook.questions import Code
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import ReadError, TableError, quoted
from surveysim.files.frames import pandas_frame
from surveysim.files.outfile import TAG_ORDER, OutColumn, write_columns
from surveysim.files.rawfile import Variable, is_tag
from surveysim.survey.assembly import NO_WEIGHT, marked_as_made
from surveysim.survey.labels import coded, question_words
from surveysim.survey.reasons import comparable, distinct_codes
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    LARGEST_WEIGHT,
    MADE,
    METRIC,
    N_EFF,
    OPTION,
    OPTION_LABEL,
    ORDER,
    POPULATION_SHARE,
    PSU,
    QUESTION,
    RESPONDENT_ID,
    SHARE,
    SIMULATED,
    SOURCE,
    STD_ERROR,
    STRATUM,
    WEIGHT,
    N,
    require_frame,
    require_scalars,
)

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

log = logging.getLogger(__name__)

_LABELS = {
    RESPONDENT_ID: "Respondent",
    WEIGHT: "Weight",
    STRATUM: "Stratum",
    PSU: "Primary sampling unit",
    BACKGROUND: "Background: trait=level, separated by |",
    QUESTION: "Question: variable name in the survey",
    OPTION: "Option: code in the survey",
    OPTION_LABEL: "Option: label",
    SIMULATED: "Whether simulated: no respondent gave these answers",
    ORDER: "Option: place on the scale",
    MADE: "Columns that surveysim wrote: weight and design",
    SHARE: "Share of the background's valid answers, 0 to 1",
    STD_ERROR: "Standard error",
    CONF_LOW: "Confidence interval, lower end",
    CONF_HIGH: "Confidence interval, upper end",
    N: "Respondents",
    N_EFF: "Effective number of respondents (Kish)",
    LARGEST_WEIGHT: "Largest share of the cell's weight that one respondent has",
    SOURCE: "Source: survey, model, official, or a method",
    "suppressed": "Why the cell's numbers are withheld",
    ESTIMATE: "Estimate",
    METRIC: "Metric",
    POPULATION_SHARE: "Share of the population, 0 to 1",
}


def write_survey(frame_or_survey: Survey | IntoFrame, path: str | Path, codebook: CodebookLike | None = None) -> Path:
    """Write respondents to an SPSS or Stata file with variable labels, value labels and missing codes declared.

    In SPSS the missing codes stay numbers, declared missing; in Stata they become tagged missing values, ``.a`` not applicable,
    ``.b`` refused, ``.c`` don't know, ``.d`` no answer, ``.e`` not asked, ``.f`` other, where the codebook declares no letters
    of its own. A trait is written under its name, labelled by its levels. `read_survey` with the same codebook gives the answers,
    reasons and traits back; ``weight="weight"`` gives the weight as it is here, raked or not, and an SPSS file declares it. What the
    format cannot hold (a name, a long label, a label of text) is logged as a warning that names the variable.

    Parameters
    ----------
    frame_or_survey : Survey or DataFrame
        A survey, or respondents (a frame as `as_survey` takes it) with original codes or labels and the codebook's variable names.
    path : str or Path
        Ends in .sav, .zsav or .dta. The file appears when it is complete.
    codebook : str, Path, Codebook or Survey, optional
        For a frame: whose labels to write; default none. For a survey: default its own.

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the extension or folder is unknown, there are no rows, what is given is no frame, or SPSS cannot declare a variable's
        missing codes.
    TableError
        If a column mixes numbers and text.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ss.write_survey(survey, Path(folder) / "copy.dta")
    ...     again = ss.read_survey(path, "nonvoters2020")
    >>> again.reasons.equals(survey.reasons)
    True
    """
    if isinstance(frame_or_survey, Survey):
        survey = frame_or_survey
        check_survey(survey)
        book: Codebook | None = survey.codebook if codebook is None else load_codebook(codebook)
        frame = marked_as_made(survey.data)
        reasons: Mapping[str, pd.Series] = {**survey.reasons, **survey.trait_reasons}
    else:
        book = None if codebook is None else load_codebook(codebook)
        frame, reasons = require_frame(pandas_frame(frame_or_survey), "frame", error=ReadError), {}
        for name in frame:
            require_scalars(frame[name], f"column {name!r}")
    columns = _apart_from_the_design([_column(name, frame[name], reasons.get(name), book) for name in frame.columns], Path(path).name)
    weighted = isinstance(frame_or_survey, Survey) and frame_or_survey.weight_name != NO_WEIGHT
    written = {name: [each for each in asked if each in frame] for name, asked in ({} if book is None else book.batteries).items()}
    sets = {name: asked for name, asked in written.items() if len(asked) > 1}
    return write_columns(columns, path, title="" if book is None else book.title, weight=WEIGHT if weighted else "", sets=sets)


def write_table(frame: pd.DataFrame, path: str | Path, codebook: CodebookLike | None = None) -> Path:
    """Write a table of distributions (or shifts, scores, estimates) to an SPSS or Stata file with labels.

    With a codebook each trait of the backgrounds becomes a labelled column of its own, and options carry their label.

    Parameters
    ----------
    frame : DataFrame
        As the verbs return it; a simulated table like any other.
    path : str or Path
        Ends in .sav, .zsav or .dta. The file appears when it is complete.
    codebook : str, Path, Codebook or Survey, optional

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the extension or folder is unknown, or there are no rows.
    TableError
        If a column mixes numbers and text.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(ss.write_table(shares, Path(folder) / "shares.sav", "nonvoters2020").name)
    shares.sav
    """
    book = None if codebook is None else load_codebook(codebook)
    for name in require_frame(frame, "frame"):
        require_scalars(frame[name], f"column {name!r}")
    table = with_codes_of_one_kind(frame if book is None else readable(frame, book))
    columns = [_column(str(name), table[name], None, book) for name in table.columns]
    return write_columns(columns, path, title="" if book is None else book.title)


def with_codes_of_one_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose option codes are all numbers or all text: where questions have codes of either kind, text."""
    if OPTION not in table or len(set(map(type, table[OPTION]))) < 2:
        return table
    return table.assign(**{OPTION: [f"{code:g}" if isinstance(code, int | float) else str(code) for code in table[OPTION]]})


def _apart_from_the_design(columns: list[OutColumn], file: str) -> list[OutColumn]:
    """Give a release's own ``WEIGHT`` another name beside the survey's ``weight``: no reader tells names by case."""
    names = {column.name for column in columns}
    twins = {name: f"{name}_release" for name in names if name not in RESERVED and name.lower() in RESERVED & names}
    if twins:
        log.warning(
            "%s: %s: the name differs from a survey's own column by case only", file, ", ".join(f"{a} as {b}" for a, b in twins.items())
        )
    return [replace(column, name=twins.get(column.name, column.name)) for column in columns]


def _column(name: str, values: pd.Series, reasons: pd.Series | None, book: Codebook | None) -> OutColumn:
    if book is not None and name in book.questions:
        return _question_column(book.question(name), values, reasons, book)
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _level_column(name, values, reasons, None if book is None else book.traits.get(name))
    label = _LABELS.get(name, "")
    if book is None:
        return OutColumn(name, _plain_values(name, values), label)
    trait = next((trait for trait in book.traits.values() if trait.variable == name), None)
    if trait is not None:
        single = {level.codes[0]: level.name for level in trait.levels if len(level.codes) == 1}
        return OutColumn(name, _plain_values(name, values), trait.label, single, trait.missing)
    label = label or next((weight.label or weight.use for weight in book.weights if weight.variable == name), "")
    return OutColumn(name, _plain_values(name, values), label)


def _question_column(question: Question, values: pd.Series, reasons: pd.Series | None, book: Codebook) -> OutColumn:
    """Label options, and declare the codebook's missing codes and those that the file they came from declared."""
    text = any(isinstance(code, str) for code in question.codes)
    letter = re.compile("[a-z]")  # a codebook may write Stata's .a without the dot
    missing = {
        f".{code}" if isinstance(code, str) and not text and letter.fullmatch(code) else code: reason
        for code, reason in book.missing_codes(question).items()
    }
    if reasons is None:
        values = pd.Series(coded(values.values, question_words(question, book.missing_codes(question)), Variable()).values)
    elif not text:
        values = _tagged_labels(values, reasons, missing)
    plain = _plain_values(question.question_id, values)
    if reasons is not None:
        positions, codes = distinct_codes(pd.Series(plain).values)
        why = reasons.to_numpy(dtype=object)
        for place, code in enumerate(codes):
            reason = why[positions == place][0]
            if isinstance(reason, str):
                missing[code] = reason
    kept = {code: reason for code, reason in missing.items() if text or not isinstance(code, str) or is_tag(code)}
    labels = dict(zip(question.codes, question.labels, strict=True))
    return OutColumn(question.question_id, plain, question.label or question.text, labels, kept)


def _tagged_labels(values: pd.Series, reasons: pd.Series, missing: Mapping[Code, str]) -> pd.Series:
    """Return numbers with tags in the place of labels of missing answers: ``.b`` for "Refused", where the codebook has no code for it."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values
    positions, codes = distinct_codes(values.values)
    letters = {reason: f".{letter}" for letter, reason in zip(ascii_lowercase, TAG_ORDER, strict=False)}
    free = (tag for tag in (f".{letter}" for letter in ascii_lowercase) if tag not in missing and tag not in letters.values())
    why = reasons.to_numpy(dtype=object)
    for place, code in enumerate(codes):
        if isinstance(code, str) and not is_tag(code) and isinstance(comparable(code), str) and (positions == place).any():
            reason = why[positions == place][0]
            if isinstance(reason, str):
                own = next((known for known, other in missing.items() if other == reason), letters[reason])
                codes[place] = own if missing.get(own, reason) == reason else next(free)
    return pd.Series(np.append(codes, np.nan)[positions])


def _level_column(name: str, values: pd.Series, reasons: pd.Series | None, trait: Trait | None) -> OutColumn:
    """Write a trait's codes where its variable has its name, else 1 to K; both labelled by level, so that either reads back."""
    names = [str(level) for level in values.cat.categories]
    codes: list[Code] = list(range(1, len(names) + 1))
    if trait is not None and trait.variable == trait.name and all(trait.level(level).codes for level in names):
        codes = [trait.level(level).codes[0] for level in names]
    missing: dict[Code, str] = {}
    numeric = not any(isinstance(code, str) for code in codes)
    out = np.array([*codes, np.nan], dtype=float if numeric else object)[values.cat.codes.to_numpy()]
    if reasons is not None and numeric:
        free = (-place for place in range(1, len(codes) + 10) if -place not in codes)
        for code, reason in zip(free, dict.fromkeys(reasons.dropna()), strict=False):
            missing[code] = str(reason)
            out[(reasons == reason).to_numpy()] = code
    label = trait.label if trait is not None else ""
    return OutColumn(name, out, label or name, dict(zip(codes, names, strict=True)), missing)


def _plain_values(name: str, values: pd.Series) -> np.ndarray:
    """Return numbers as floats, else text and Stata's tags as objects; times and durations are text."""
    if (is_numeric_dtype(values.dtype) or is_bool_dtype(values.dtype)) and not is_complex_dtype(values.dtype):
        return values.to_numpy(dtype=float, na_value=np.nan)
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.astype(str).where(values.notna(), np.nan).astype(object).to_numpy()
    plain = values.astype(object).where(values.notna(), np.nan).to_numpy()
    odd = [value for value in plain if not isinstance(value, str | Real)]
    if odd:
        raise TableError(
            f"column {name!r} must hold numbers or text; it holds {type(odd[0]).__name__} {quoted(odd[0])}; convert it, or drop it"
        )
    kinds = {type(value) for value in pd.unique(plain) if not pd.isna(value) and not is_tag(value)}
    if str in kinds and len(kinds) > 1:
        raise TableError(f"column {name!r} mixes text and numbers; write text or numbers alone")
    return plain
