"""`cite`: what to cite, as BibTeX: the package, the method, and the survey and model that a result was made with."""

from __future__ import annotations

import re
from importlib.resources import files
from urllib.parse import quote

import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import list_codebooks, load_codebook
from surveysim.errors import SurveySimError
from surveysim.survey.survey import Survey

PACKAGE, METHOD = "surveysim", "huang2026distribution"
OF_THE_METHOD = ("dsa", "dsa-kernel", "stage1")  # what Huang, Li and Shao (2026) propose or compare with, by `method`
_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,]+),\n.*?^\}", re.MULTILINE | re.DOTALL)
_URL = re.compile(r"https?://[^\s()<>{}\"]+[^\s()<>{}\".,;]")
_ESCAPED = re.compile(r"[{}\\\s\"]")  # what would end a field, or its entry
_SPECIAL = {"\\": r"\textbackslash{}", **{character: f"\\{character}" for character in "&%$#_{}"}, "~": r"\textasciitilde{}"}
_SPECIAL["^"] = r"\textasciicircum{}"


class Bibliography(str):
    """BibTeX entries as text, shown as it is written to a .bib file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def cite(*subjects: Survey | Codebook | pd.DataFrame) -> Bibliography:
    """Return BibTeX entries for the package, the method, and what surveys and results were made of.

    Parameters
    ----------
    *subjects : Survey, Codebook or DataFrame
        Surveys, codebooks, and tables of results, whose ``attrs`` name survey, method and model. None: package and method.

    Returns
    -------
    Bibliography
        Text, each entry once. The method (Huang, Li and Shao 2026) is left out where every result comes of a classical estimate. A
        survey's entry is made of its codebook's facts; a comment before it says what the codebook lacks.

    Raises
    ------
    SurveySimError
        If a subject is none of these, or a result names a survey whose codebook does not ship: then give the survey too.

    References
    ----------
    Huang, Li, Shao (2026), arXiv:2510.21977.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> [line for line in ss.cite(survey).splitlines() if line.startswith("@")]
    ['@misc{surveysim,', '@inproceedings{huang2026distribution,', '@misc{nonvoters2020,']
    """
    own = own_entries()
    found = {PACKAGE: own[PACKAGE]}
    methods = [_recorded(subject, "method") for subject in subjects if _recorded(subject, "method")]
    if not methods or set(methods) & set(OF_THE_METHOD):
        found[METHOD] = own[METHOD]
    books = {book.name: book for book in map(_codebook_of, subjects) if isinstance(book, Codebook)}
    for subject in subjects:
        name = _recorded(subject, "survey")
        if name and name not in books:
            books[name] = _shipped(name)
    found |= {name: survey_entry(book) for name, book in books.items()}
    models = {_recorded(subject, "model") for subject in subjects}
    found |= {name: own[name] for name in sorted(models & set(own))}
    unknown = sorted(models - set(own) - {""})
    comments = [f"% model {_plain(name)}: cite it as its authors ask" for name in unknown]
    return Bibliography("\n\n".join([*found.values(), *comments]))


def own_entries() -> dict[str, str]:
    """Return key -> BibTeX entry of the package, the method and the default model."""
    text = files("surveysim").joinpath("data", "citation.bib").read_text(encoding="utf-8")
    return {match["key"]: match[0] for match in _ENTRY.finditer(text)}


def survey_entry(codebook: Codebook) -> str:
    """Return a BibTeX entry of a survey from its codebook's facts, after a comment on facts that the codebook lacks."""
    url = _URL.search(f"{codebook.source} {codebook.citation}")
    fields = {
        "title": _plain(codebook.title),
        "author": f"{{{_plain(codebook.producer)}}}" if codebook.producer else "",
        "year": _plain(codebook.year),
        "doi": _ESCAPED.sub(lambda found: quote(found[0]), codebook.doi.removeprefix("https://doi.org/")),
        "howpublished": f"\\url{{{url[0]}}}" if url else "",
        "note": _plain("; ".join(filter(None, ("Data", codebook.country, codebook.citation, codebook.licence)))),
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    lacking = [name for name, value in (("producer", fields["author"]), ("year", fields["year"]), ("DOI", fields["doi"])) if not value]
    comment = (
        f"% {_plain(codebook.name)}: the codebook states no {', no '.join(lacking)}; see what the archive asks for\n" if lacking else ""
    )
    return f"{comment}@misc{{{re.sub(r'[^A-Za-z0-9:-]+', '-', codebook.name)},\n{lines}\n}}"


def _plain(text: str) -> str:
    """Write text so that TeX prints it as it is, on one line."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split())).replace("@", r"{\char64}")


def _codebook_of(subject: object) -> Codebook | None:
    if isinstance(subject, Survey):
        return subject.codebook
    if isinstance(subject, Codebook | pd.DataFrame):
        return subject if isinstance(subject, Codebook) else None
    raise SurveySimError(f"cite takes surveys, codebooks and tables of results; got {type(subject).__name__}")


def _recorded(subject: object, fact: str) -> str:
    return str(subject.attrs.get(fact) or "") if isinstance(subject, pd.DataFrame) else ""


def _shipped(name: str) -> Codebook:
    if name not in list_codebooks():
        raise SurveySimError(f"the result names survey {name!r}, whose codebook does not ship; give it too: cite(result, survey)")
    return load_codebook(name)
