"""Codebook files: a TOML file, or a DDI file, in, a checked `Codebook` out."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeAlias

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.declared import parse_codebook
from surveysim.errors import CodebookError, nearest, quoted

LARGEST_FILE = 16_000_000  # bytes; the longest that ships has 300,000


def list_codebooks() -> list[str]:
    """Return the names of the codebooks that ship with surveysim.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import surveysim as ss
    >>> [name for name in ss.list_codebooks() if name.startswith("ess")]
    ['ess11', 'ess9']
    """
    return sorted(path.stem for path in _codebook_folder().glob("*.toml"))


class HasCodebook(Protocol):
    """What brings its codebook, as a `Survey` does."""

    @property
    def codebook(self) -> Codebook:
        """The codebook."""


CodebookLike: TypeAlias = str | Path | Codebook | HasCodebook  # what every verb takes as codebook=


def load_codebook(name_or_path: CodebookLike, *, language: str | None = None) -> Codebook:
    """Load a codebook: one that ships with surveysim by name, or any TOML or DDI-Codebook file by path.

    A DDI file (.xml), as the ESS, GESIS, ICPSR, IPUMS and the microdata catalogues of the World Bank and others export it, gives
    wording, options, missing codes, weights and whom a question was put to. Its questions are the variables with a question's text and
    2 to 120 labelled answers, or without one and up to 12; they are not `verified`. It says of no variable that it is the respondent's
    gender or age: `draft_codebook` with ``ddi=`` finds these traits in the data.

    Parameters
    ----------
    name_or_path : str, Path, Codebook or Survey
        ``"nonvoters2020"``, ``"my_survey.toml"`` or ``"study.xml"``. A `Codebook`, or that of a `Survey`, is returned as it is, unless
        another language is asked for. Wherever a verb takes ``codebook=``, it takes any of these.
    language : str, optional
        Of the wording: ``"zh"`` for the Chinese of the CGSS and CFPS codebooks; default the codebook's own. Codes stay.

    Returns
    -------
    Codebook

    Raises
    ------
    CodebookError
        If there is no such codebook, the file is no TOML or no DDI-Codebook file, a key is unknown, a declaration contradicts itself,
        an XML file declares entities, or a question has no wording in `language`.

    Examples
    --------
    >>> import surveysim as ss
    >>> codebook = ss.load_codebook("nonvoters2020")
    >>> codebook.question("Q8_8").labels
    ('A lot', 'Some', 'Not much', 'Not at all')
    >>> ss.load_codebook("cgss2017", language="zh").question("a35").text
    '总的来说，您认为当今的社会公不公平？'
    """
    brought = getattr(name_or_path, "codebook", None)
    book = next((one for one in (name_or_path, brought) if isinstance(one, Codebook)), None) or _find(name_or_path)
    return book if language is None else book.in_language(language)


def codebook_if_any(given: CodebookLike | None) -> Codebook | None:
    """Return the codebook that an argument names or brings, None where it is left out.

    Raises
    ------
    CodebookError
        As of `load_codebook`.
    """
    return None if given is None else load_codebook(given)


def _find(name_or_path: object) -> Codebook:
    """Return the codebook that ships under a name, or that a path leads to."""
    if not isinstance(name_or_path, str | Path):
        raise CodebookError(
            "codebook must be the name of one that ships, the path of a .toml file or of a DDI file (.xml), a Codebook or a Survey; "
            f"got {type(name_or_path).__name__}"
        )
    path = Path(name_or_path)
    if path.suffix.lower() not in (".toml", ".xml"):
        if str(name_or_path) not in list_codebooks():
            raise CodebookError(
                f"no codebook is called {str(name_or_path)!r}; {nearest(str(name_or_path), list_codebooks())} "
                "For your own survey give the path of a .toml file, or of a DDI file (.xml)"
            )
        path = _codebook_folder() / f"{name_or_path}.toml"
    if not path.is_file():
        raise CodebookError(f"codebook file {str(path)!r} does not exist; check the path")
    return _load_file(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load_file(path: Path, modified: int) -> Codebook:
    if path.suffix.lower() == ".xml":
        from surveysim.codebook.ddi_codebook import codebook_from_ddi

        return codebook_from_ddi(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise CodebookError(f"codebook {path.name} has {size:,} bytes, more than any codebook ({LARGEST_FILE:,}); give the right file")
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:  # of TOML, UTF-8, numbers of thousands of digits, brackets within brackets
        raise CodebookError(
            f"codebook {path.name} is not a valid UTF-8 TOML file: {quoted(str(error), 200)}; correct it there, or save it as UTF-8"
        ) from error
    return parse_codebook(declared, path.stem)


def _codebook_folder() -> Path:
    """Inside an installed wheel the codebooks lie in the package; in a checkout, beside it."""
    package = Path(__file__).parents[1]
    inside = package / "codebooks"
    return inside if inside.is_dir() else package.parent / "codebooks"
