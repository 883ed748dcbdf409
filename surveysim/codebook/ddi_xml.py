"""XML of an unknown sender, read within bounds: no entity is expanded, no other file fetched, and variables are handed over one by one."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.parsers import expat

from surveysim.errors import CodebookError, quoted

LARGEST_FILE = 256_000_000  # bytes; the whole of a census's variables takes 30 million
DEEPEST = 100  # elements within elements; DDI has a dozen
LONGEST_TEXT = 1_000_000  # characters of one element
LANGUAGE = "http://www.w3.org/XML/1998/namespace}lang"  # as expat writes it with this separator
_CHUNK = 1 << 16
_PASSED_OVER = ("docDscr", "otherMat")  # of the document itself, and appendices


@dataclass
class _Reading:
    """Where the parser stands: elements that are open, the innermost last."""

    name: str
    take: Mapping[str, Callable[[Element], None]]
    open: list[Element] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    passing: int = 0  # how deep within what is passed over

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition("}")[2]
        self.seen.add(local)
        if self.passing or local in _PASSED_OVER:
            self.passing += 1
        else:
            element = Element(local, {key if key == LANGUAGE else key.rpartition("}")[2]: value for key, value in attributes.items()})
            if self.open:
                self.open[-1].append(element)
            self.open.append(element)
        if self.passing + len(self.open) > DEEPEST:
            raise CodebookError(f"{self.name} has more than {DEEPEST} elements one within another, as no DDI file has; export it again")

    def end(self, tag: str) -> None:
        if self.passing:
            self.passing -= 1
            return
        element = self.open.pop()
        if element.tag in self.take:
            self.take[element.tag](element)
            element.clear()

    def text(self, said: str) -> None:
        if self.passing or not self.open:
            return
        last = self.open[-1]
        before = (last[-1].tail if len(last) else last.text) or ""
        if len(before) + len(said) > LONGEST_TEXT:
            raise CodebookError(f"{self.name} has a text of more than {LONGEST_TEXT:,} characters, as no DDI file has; give the right file")
        if len(last):
            last[-1].tail = before + said
        else:
            last.text = before + said

    def skipped(self, entity: str, is_parameter: bool) -> None:
        """Put in HTML's own letters (``&eacute;``), which old DTDs declare in a file that is not fetched."""
        letter = html.unescape(f"&{entity};")
        if letter.startswith("&") and entity != "amp":
            self.refuse(entity)
        self.text(letter)

    def refuse(self, entity: str, *_: object) -> int:
        raise CodebookError(
            f"{self.name} declares or needs the entity {quoted(entity)}, and none is expanded or fetched from elsewhere; "
            "a codebook needs none: export it again without, or take out its DOCTYPE"
        )


def read_elements(path: Path, take: Mapping[str, Callable[[Element], None]]) -> set[str]:
    """Read a file, and hand each element of the names in `take`, with all that it holds, to its function, then forget it.

    Names have no namespace: DDI has changed its own with every version. ``xml:lang`` is `LANGUAGE`.

    Returns
    -------
    set of str
        Names of all elements that were met.

    Raises
    ------
    CodebookError
        If the file is larger than `LARGEST_FILE`, is no XML, is nested deeper than `DEEPEST`, has a text longer than `LONGEST_TEXT`,
        or declares entities.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise CodebookError(f"{path.name} has {size:,} bytes, more than any codebook ({LARGEST_FILE:,}); give the right file")
    reading = _Reading(path.name, take)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text, parser.buffer_size = True, _CHUNK
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.CharacterDataHandler, parser.SkippedEntityHandler = reading.text, reading.skipped
    parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = reading.refuse
    parser.ExternalEntityRefHandler = lambda context, base, system, public: reading.refuse(system or context)
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, CodebookError):
            raise
        raise CodebookError(
            f"{path.name} is no XML that can be read ({error}); it is cut short or damaged: download or export it again"
        ) from error
    return reading.seen


def said(element: Element | None) -> str:
    """Return all text of an element, with single spaces."""
    return "" if element is None else " ".join("".join(element.itertext()).split())
