"""Does a file fit its codebook? Which codebook a file name belongs to, which wave the file is of, and whose labels differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy as np

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.questions import Code, Question, Trait
from surveysim.codebook.toml_file import list_codebooks, load_codebook
from surveysim.errors import CodebookError, first_few, nearest
from surveysim.files.rawfile import FRAME, Column, RawFile, Variable, Wanted
from surveysim.files.readers import read_columns
from surveysim.survey.reasons import comparable, distinct_codes
from surveysim.tables.names import names_of

_LEAD = re.compile(r"^\s*(\[-?\d+\]|\(-?\d+\)|-?\d+\s*[.):])\s*")  # a code before its label


def codebook_for(path: str | Path) -> tuple[Codebook, tuple[str, ...]]:
    """Return the codebook that ships for a release, found by the file's name in any case, and a note where the match is loose.

    The whole name counts first, then the name with another extension, then that of another edition (``ESS9e03_2`` and
    ``ESS9e03_3``).

    Raises
    ------
    CodebookError
        If no codebook, or more than one, lists such a file; the message names the candidates.
    """
    name = Path(path).name
    books = [load_codebook(known) for known in list_codebooks()]
    found: list[Codebook] = []
    for alike in (str, _stem, _without_edition):
        found = [book for book in books if any(fnmatchcase(alike(name.lower()), alike(file.lower())) for file in _files(book))]
        if len(found) == 1:
            loose = f"codebook {found[0].name} was chosen by the file's name, {name}, which is another edition than it lists"
            return found[0], (loose,) if alike is _without_edition else ()
        if found:
            break
    candidates = ", ".join(book.name for book in found or books)
    files = [file for book in books for file in _files(book)]
    raise CodebookError(
        f"{'several codebooks are' if found else 'no codebook is'} known for a file called {name!r} ({nearest(name, files)}); name one "
        f"with codebook=: {candidates}; or give the path of your own .toml file, which draft_codebook(path) begins"
    )


def _files(book: Codebook) -> tuple[str, ...]:
    return (*book.files, f"{book.name}.sav")


def check_wave(raw: RawFile, columns: Mapping[str, Column], codebook: Codebook) -> None:
    """Raise `CodebookError` where a variable that tells the wave holds another value than the codebook's.

    Raises
    ------
    CodebookError
        If there is such a variable.
    """
    for name, codes in codebook.wave.items():
        if name not in columns:
            continue
        positions, values = distinct_codes(columns[name])
        found = [comparable(values[place]) for place in np.unique(positions[positions >= 0])]
        told = {label: comparable(code) for code, label in raw.variables.get(name, Variable()).value_labels.items()}
        found = [told.get(str(code), code) for code in found]
        strange = [code for code in found if code not in {comparable(code) for code in codes}]
        if strange:
            written = first_few(f"{code:g}" if isinstance(code, float) else code for code in strange)
            files = f" ({first_few(codebook.files)})" if codebook.files else ""
            raise CodebookError(
                f"{raw.source} is of another wave: {name} is {written}, and {codebook.name}.toml is for {name} {first_few(codes)}{files}; "
                "choose the codebook of this wave"
            )


def check_question_labels(question: Question, variable: Variable, source: str, codebook: Codebook) -> None:
    """Raise `CodebookError` where the file labels a code with the words of another option (an inverted scale, say).

    Raises
    ------
    CodebookError
        If there is such a label.
    """
    wordings = [question.labels, *(other["options"] for other in question.translations.values() if "options" in other)]
    clashes = _clashes(dict(zip(question.codes, zip(*wordings, strict=True), strict=True)), variable)
    if not clashes:
        return
    mirror = dict(zip(question.codes, reversed(question.codes), strict=True))
    inverted = len(clashes) > 1 and all(mirror[code] == other for code, other in clashes.items())
    what = "the scale is inverted" if inverted else "the labels contradict the codebook"
    remedy = (
        "read the release whose scales are not inverted, or turn the options of the codebook around"
        if inverted
        else "check that the codebook is of this wave and release"
    )
    remedy += " (empty frame.attrs if the frame was recoded)" if source == FRAME else ""
    raise CodebookError(f"question {question.question_id!r}: {what}: {_spell(clashes, variable, source, codebook)}; {remedy}")


def check_trait_labels(trait: Trait, variable: Variable, source: str, codebook: Codebook) -> None:
    """Raise `CodebookError` where the file labels a level's code with the name of another level.

    Raises
    ------
    CodebookError
        If there is such a label.
    """
    clashes = _clashes({code: [level.name] for level in trait.levels for code in level.codes}, variable)
    of_code = {code: level.name for level in trait.levels for code in level.codes}
    clashes = {code: other for code, other in clashes.items() if of_code[code] != of_code[other]}
    if clashes:
        raise CodebookError(
            f"trait {trait.name!r}: the labels contradict the codebook: {_spell(clashes, variable, source, codebook)}; "
            "check that the codebook is of this wave and release"
        )


def _clashes(ours: Mapping[Code, Sequence[str]], variable: Variable) -> dict[Code, Code]:
    """Return code -> code of the option whose words the file gives it, where these are not its own."""
    if not variable.value_labels:
        return {}
    theirs = {comparable(code): label for code, label in variable.value_labels.items()}
    said = {code: theirs.get(comparable(code), "") for code in ours}
    others = {code: plain_words(label) for code, label in said.items() if label and label not in ours[code]}
    if not others:
        return {}
    owner: dict[str, Code] = {}
    for code, labels in ours.items():
        for label in labels:
            owner.setdefault(plain_words(label), code)
    return {
        code: owner[label]
        for code, label in others.items()
        if label and label in owner and not label.isdecimal() and label not in map(plain_words, ours[code])
    }


def _spell(clashes: Mapping[Code, Code], variable: Variable, source: str, codebook: Codebook) -> str:
    labels = {comparable(code): label for code, label in variable.value_labels.items()}
    said = first_few(
        f"code {code} {labels[comparable(code)]!r}, which {codebook.name}.toml holds as code {other}" for code, other in clashes.items()
    )
    return f"{source} labels {said}"


@lru_cache(maxsize=4096)
def plain_words(label: str) -> str:
    """Fold case, and leave off a leading code and punctuation: "1. Agree strongly" and "[1] Agree strongly" are "agree strongly"."""
    words = _LEAD.sub("", label.casefold())
    return re.sub(r"[\W_]+", " ", words).strip()


def _stem(name: str) -> str:
    return name.removesuffix(".gz").rsplit(".", 1)[0]


def _without_edition(name: str) -> str:
    """Leave off what changes between editions of one release: ``e03_2``, ``_v6_0``, ``_202012``, ``F00010733-``, ``-subset``."""
    return re.sub(r"^f\d{8}-|e\d\d_\d(?=$|-)|_v\d+_\d+$|_\d{6}$|-subset$", "", _stem(name).removesuffix("-subset"))


def absent_variables(names: Sequence[str], known: Sequence[str], source: str, codebook: Codebook) -> CodebookError:
    """Return the error for variables that the codebook names and the file lacks; it names the nearest ones."""
    listed = "; ".join(f"{name!r}, {nearest(name, known)}" for name in names[:3]) + (f" ({len(names)} in all)" if len(names) > 3 else "")
    files = f"; {codebook.name}.toml was written for {first_few(codebook.files)}: is the file of this wave?" if codebook.files else ""
    return CodebookError(f"{codebook.name}.toml names variables that {source} lacks: {listed}{files}")


def suggest_adding(questions: str | Sequence[str], book: Codebook, path: Path, called: str) -> None:
    """Refuse a question that the codebook lacks and the file has: the message holds the line that adds it.

    Raises
    ------
    CodebookError
        If there is such a question.
    """
    given = names_of(questions, "questions", book.questions, error=CodebookError, needed=False)
    unknown = [name for name in given if name not in book.questions]
    there = {name.lower(): name for name in read_columns(path, Wanted((), tuple(unknown))).columns} if unknown else {}
    found = [there[name.lower()] for name in unknown if name.lower() in there]
    if found:
        raise CodebookError(
            f"questions: codebook {book.name!r} has no question {found[0]!r}, and {path.name} has such a variable: "
            f"add_question({called!r}, {str(path)!r}, {found[0]!r}) returns a codebook that asks it"
        )


def chosen_parts(
    book: Codebook, questions: str | Sequence[str] | None, traits: str | Sequence[str] | None
) -> tuple[list[Question], list[Trait]]:
    """Return the questions and traits asked for, by default all of the codebook's.

    Raises
    ------
    CodebookError
        If one is unknown.
    """
    names = list(book.traits) if traits is None else book.traits_named(traits, "traits", needed=False)
    asked = list(book.questions.values()) if questions is None else book.questions_named(questions, needed=False)
    return asked, [book.trait(name) for name in names]
