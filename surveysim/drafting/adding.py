"""`add_question`: one more of a file's variables asked, with the codebook that there is."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from surveysim.codebook.codebook import RESERVED, Codebook
from surveysim.codebook.ddi_study import read_ddi
from surveysim.codebook.declared import parse_codebook, parse_question
from surveysim.codebook.missing_labels import stands_apart
from surveysim.codebook.questions import Code, Question
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.drafting.ddi_wording import DdiWording, with_ddi
from surveysim.drafting.toml_text import question_text
from surveysim.drafting.variables import DraftVariable, draft_variables, written
from surveysim.errors import CodebookError, first_few, nearest
from surveysim.files.rawfile import Wanted
from surveysim.files.readers import read_columns
from surveysim.tables.names import names_of
from surveysim.whole_files import write_whole

MOST_ADDED = 120  # options of a question that is asked for by name: a thermometer from 0 to 100, a list of regions


def add_question(
    codebook: CodebookLike,
    path: str | Path,
    questions: str | Sequence[str],
    *,
    ddi: str | Path | None = None,
    encoding: str | None = None,
) -> Codebook:
    """Return a codebook with further questions, drafted from the labels of a file; no file is written.

    What `draft_codebook` leaves out can be asked for here: lists of up to 120 answers, thermometers, short texts without labels,
    and codes beside the labelled ones, which become options under their number, or missing where they are negative or stand
    apart. The question's `source` says what was guessed, and it is not `verified`.

    Parameters
    ----------
    codebook : str, Path, Codebook or Survey
        The codebook to add to; it stays as it is.
    path : str or Path
        The survey file: with labels (.sav, .zsav, .dta, .por), or without.
    questions : str or sequence of str
        Variables of the file, in any case.
    ddi : str or Path, optional
        The study's DDI-Codebook file, as in `draft_codebook`: wording, labels and missing codes.
    encoding : str, optional
        As in `read_survey`.

    Returns
    -------
    Codebook

    Raises
    ------
    ReadError
        If the file cannot be read.
    CodebookError
        If a variable is in the codebook already or not in the file (the message names the nearest), or cannot be a question: it has
        fewer than two answers or more than 120, or its name is a column of every survey. If `ddi` is of another file.

    Examples
    --------
    >>> from importlib.resources import files
    >>> import surveysim as ss
    >>> path = files("surveysim") / "data" / "nonvoters2020.sav"
    >>> book = ss.add_question("nonvoters2020", path, "voter_category")
    >>> book.question("voter_category").labels, book.question("voter_category").verified
    (('always', 'sporadic', 'rarely/never'), False)
    >>> ss.read_survey(path, book, questions="voter_category").questions
    ('voter_category',)
    """
    book = load_codebook(codebook)
    added = {name: _parsed(name, text, remarks) for name, text, remarks in _texts(book, Path(path), questions, ddi, encoding)}
    return replace(book, questions={**book.questions, **added})


def write_added(codebook: Path, path: Path, questions: str | Sequence[str], ddi: str | Path | None = None) -> Path:
    """Write further questions at the end of a codebook's file, as `add_question` drafts them, with comments on what was guessed.

    Raises
    ------
    CodebookError
        If `codebook` is no .toml file, or as of `add_question`.
    """
    if codebook.suffix != ".toml" or not codebook.is_file():
        raise CodebookError(
            f"codebook {str(codebook)!r} is no .toml file to write into; name your own with --codebook, which --draft begins"
        )
    texts = [text for _, text, _ in _texts(load_codebook(codebook), path, questions, ddi, None)]
    whole = "\n".join([codebook.read_text(encoding="utf-8").rstrip("\n"), "", *texts])
    parse_codebook(tomllib.loads(whole), codebook.stem)
    return write_whole(codebook, lambda place: place.write_text(whole, encoding="utf-8"))


def _texts(
    book: Codebook, path: Path, questions: str | Sequence[str], ddi: str | Path | None, encoding: str | None
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, TOML text and remarks of each question."""
    names = names_of(questions, "questions", error=CodebookError)
    there = {name.lower(): name for name in (*book.questions, *book.traits)}
    twice = [name for name in names if name.lower() in there]
    if twice:
        raise CodebookError(f"questions: codebook {book.name!r} has {there[twice[0].lower()]!r} already; leave it out, or change it there")
    raw = read_columns(path, Wanted(tuple(names)), encoding=encoding)
    raw, wording = (raw, DdiWording()) if ddi is None or not raw.columns else with_ddi(raw, read_ddi(ddi))
    drafts = draft_variables(raw, wording)
    found = {draft.name.lower(): draft for draft in drafts}
    absent = [name for name in names if name.lower() not in found]
    if absent:
        raise CodebookError(f"questions: {path.name} has no variable {absent[0]!r}; {nearest(absent[0], raw.known or tuple(raw.columns))}")
    asked = [_asked_for(found[name.lower()], path.name) for name in names]
    return [(draft.name, question_text(draft), draft.remarks) for draft in asked]


def _parsed(name: str, text: str, remarks: Sequence[str]) -> Question:
    question = parse_question(name, tomllib.loads(text)["questions"][name])
    return replace(question, source="; ".join([question.source, *remarks]))


def _asked_for(draft: DraftVariable, file: str) -> DraftVariable:
    """Return the variable with every answer that respondents gave as an option, labelled or not.

    Raises
    ------
    CodebookError
        If that makes no question.
    """
    options, missing = dict(draft.options), dict(draft.missing)
    remarks = list(draft.remarks)
    further = draft.unlabelled if draft.options else _counted(draft)
    for code, n in sorted(further.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])):
        if draft.options and _is_apart(code, list(draft.options)):
            missing[code] = "other"
            remarks.append(f"code {written(code)} ({n:,} respondents) has no label and stands apart: missing here, check it")
        else:
            options[code] = _free_label(code, options)
    unlabelled = [written(code) for code in options if code not in draft.options]
    if unlabelled and draft.options:
        remarks.append(f"code {first_few(unlabelled)} has no label and is an option under its number: check it")
    if not 2 <= len(options) <= MOST_ADDED or draft.name in RESERVED:
        why = draft.why_not if len(options) < 2 or draft.name in RESERVED else f"{len(options):,} answers, and {MOST_ADDED} are the most"
        raise CodebookError(
            f"questions: variable {draft.name!r} of {file} makes no question: {why}; choose another, or group its codes in the file first"
        )
    if all(not isinstance(code, str) for code in options):
        options = dict(sorted(options.items()))
    return replace(draft, options=options, missing=missing, unlabelled={}, remarks=tuple(remarks))


def _is_apart(code: Code, labelled: Sequence[Code]) -> bool:
    """Say whether an unlabelled code is a missing one rather than a step: negative, or beyond labelled ends of a scale by more than one."""
    return len(labelled) > 1 and stands_apart(code, labelled)


def _free_label(code: Code, options: dict[Code, str]) -> str:
    label = code.strip() if isinstance(code, str) else written(code)
    return label if label and label not in options.values() else f"code {written(code)}"


def _counted(draft: DraftVariable) -> dict[Code, int]:
    """Return the distinct answers of a variable without labels; the counts of too many are not asked for."""
    if draft.n_distinct > MOST_ADDED:
        return dict.fromkeys(draft.distinct, 0)
    column = np.asarray(draft.values, dtype=object)
    return {code: int((column == code).sum()) for code in draft.distinct}
