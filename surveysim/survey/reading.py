"""How a file or a frame becomes a `Survey`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import DesignError, ReadError
from surveysim.files.frames import frame_columns
from surveysim.files.readers import read_columns, require_file
from surveysim.survey.assembly import Parts, assemble, needed_columns
from surveysim.survey.codebook_match import chosen_parts, codebook_for, suggest_adding
from surveysim.survey.recurring import note_of_duplicates
from surveysim.survey.survey import Survey
from surveysim.tables.schema import RESPONDENT_ID

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

FilePath: TypeAlias = str | Path  # of what is none `read_survey` has more to say


def read_survey(
    path: FilePath,
    codebook: CodebookLike | None = None,
    *,
    weight: str | None = None,
    encoding: str | None = None,
    questions: str | Sequence[str] | None = None,
    traits: str | Sequence[str] | None = None,
    isolated: bool = False,
) -> Survey:
    """Read a survey file as released; the codebook decides what is an answer, and no code is lost.

    Three sources of missing answers are merged into `Survey.reasons`, the codebook before the file: the codebook's missing
    codes; codes, ranges and Stata's tagged values that the file declares missing; value labels that name a missing answer.

    Parameters
    ----------
    path : str or Path
        A .sav, .zsav, .dta, .por, .sas7bdat, .xpt, .csv, .csv.gz or .parquet file. Only the columns needed are read.
    codebook : str, Path, Codebook or Survey, optional
        Name of a codebook that ships, or a TOML file; default the one that lists a file of this name.
    weight : str, optional
        Weight variable; default the codebook's first. ``"none"`` lets every respondent count 1, and the notes say so.
    encoding : str, optional
        Of the file's text; default the declared one, else UTF-8, GB18030 or Latin-1, and the notes say which.
    questions, traits : str or sequence of str, optional
        Only these; default all of the codebook's.
    isolated : bool
        Whether an SPSS or Stata file is read in a child process of at most 2 GB, in at most a minute and a second for every 2 MB:
        for files that may be damaged or are not your own, some of which crash the library that reads them. Half a second more.

    Returns
    -------
    Survey

    Raises
    ------
    ReadError
        If the file does not exist, is empty, truncated, of another format, in another encoding, or has no respondents.
    CodebookError
        If no codebook is known for the file, the file is of another wave, lacks a variable (the message names the
        nearest), labels an option otherwise (an inverted scale), or holds a code in neither options nor missing.
    DesignError
        If there is no weight, one is missing, negative, infinite or text, or all are zero.

    Examples
    --------
    >>> import surveysim as ss
    >>> from importlib.resources import files
    >>> path = files("surveysim") / "data" / "nonvoters2020.sav"
    >>> survey = ss.read_survey(path, questions=["Q8_8"], traits=["gender"])
    >>> len(survey), survey.weight_name, survey.questions, survey.traits
    (5836, 'weight', ('Q8_8',), ('gender',))
    """
    if not isinstance(path, str | Path):
        raise ReadError(f"path must be the path of a file; got {type(path).__name__}: of a frame as_survey(frame, codebook) makes a survey")
    if weight == "":
        raise DesignError("weight: an empty name; name a weight variable, or say weight='none' to count every respondent alike")
    require_file(Path(path))
    book, said = codebook_for(path) if codebook is None else (load_codebook(codebook), ())
    if questions is not None:
        suggest_adding(questions, book, Path(path), str(codebook) if isinstance(codebook, str | Path) else book.name)
    asked, levels = chosen_parts(book, questions, traits)
    raw = read_columns(Path(path), needed_columns(book, weight, asked, levels), encoding=encoding, isolated=isolated)
    parts = assemble(raw, book, weight, asked, levels)
    return _survey(parts, (*said, *note_of_duplicates(parts.data[RESPONDENT_ID].to_numpy(), parts.data, parts.reasons)))


def as_survey(
    frame: IntoFrame,
    codebook: CodebookLike,
    *,
    weight: str | None = None,
    questions: str | Sequence[str] | None = None,
    traits: str | Sequence[str] | None = None,
) -> Survey:
    """Make a `Survey` of a frame of respondents with the codebook's variables as columns (names in any case).

    Answers may be codes, labels, or a mix of both, as ``pandas.read_spss`` and ``read_stata`` give them: a label becomes the code
    that the codebook, else ``frame.attrs["variable_value_labels"]``, has for it.

    Parameters
    ----------
    frame : DataFrame
        Of pandas, polars (also lazy), pyarrow, or a DuckDB relation; a row per respondent. Only the columns needed are converted.
        A trait may stand under its own name, recoded to level names already, and the weight under the name ``weight``: so
        ``as_survey(survey.data, codebook)`` gives the survey back.
    codebook : str, Path, Codebook or Survey
    weight : str, optional
        Weight variable; default the codebook's first. ``"none"`` lets every respondent count 1, and the notes say so.
    questions, traits : str or sequence of str, optional
        Only these; default all of the codebook's.

    Returns
    -------
    Survey

    Raises
    ------
    ReadError
        If the frame is none, or has no rows.
    CodebookError
        If a variable is absent, a label unknown (the message names the nearest) or ambiguous, or a code in neither options nor
        missing.
    DesignError
        If there is no weight, one is missing, negative, infinite or text, or all are zero.

    Examples
    --------
    >>> import surveysim as ss
    >>> frame = ss.load_example("nonvoters2020").data
    >>> women = ss.as_survey(frame[frame.gender == "female"], "nonvoters2020", questions=["Q8_8"])
    >>> len(women), women.weight_name, women.questions
    (2896, 'weight', ('Q8_8',))
    """
    book = load_codebook(codebook)
    asked, levels = chosen_parts(book, questions, traits)
    return _survey(assemble(frame_columns(frame, needed_columns(book, weight, asked, levels)), book, weight, asked, levels))


def _survey(parts: Parts, notes: tuple[str, ...] = ()) -> Survey:
    return Survey(parts.data, parts.reasons, parts.codebook, parts.weight_name, (*notes, *parts.notes), trait_reasons=parts.trait_reasons)
