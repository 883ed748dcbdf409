"""Text that does not stand in the encoding a file declares: which encoding it is in, and putting it right."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from surveysim.errors import ReadError

BYTEWISE = "latin1"  # maps each byte to one character and back, so text read so can be decoded again
WINDOWS = "cp1252"
_C1, _NOT_WINDOWS = re.compile(rb"[\x80-\x9f]"), re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_GB_PAIRS = re.compile(rb"(?:[\xa1-\xf7][\xa1-\xfe])+")  # GB2312, the part of GB18030 that surveys are written in
_LEAST_HIGH_BYTES = 6  # fewer say too little


def check_encoding(encoding: str | None) -> None:
    """Raise `ReadError` where Python knows no encoding of this name.

    Raises
    ------
    ReadError
        If there is no such encoding.
    """
    if encoding is None:
        return
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise ReadError(f"encoding: {encoding!r} is unknown; use for instance 'utf-8', 'latin1', 'windows-1252' or 'gb18030'") from error


def looks_like_gb(text: bytes) -> bool:
    """Whether bytes are Chinese text in GB2312, GBK or GB18030 rather than Western text in one byte a letter.

    Chinese characters are pairs of high bytes, so that a run of high bytes is pairs but for a last one cut short; in
    Western text high bytes mostly stand alone.
    """
    runs = _HIGH_RUN.findall(text)
    high = sum(map(len, runs))
    paired = sum(len(match.group()) for run in runs if (match := _GB_PAIRS.match(run)))
    return high >= _LEAST_HIGH_BYTES and paired >= 0.9 * high


def is_utf8(texts: Iterable[bytes]) -> bool:
    """Whether texts are UTF-8: every one decodes, and some character beyond ASCII stands in full.

    A last character cut short by the length limit of a label is forgiven.
    """
    try:
        decoded = [decode(text, "utf-8") for text in texts]
    except UnicodeDecodeError:
        return False
    return not all(text.isascii() for text in decoded)


def guess_encoding(texts: Iterable[bytes]) -> str:
    """Return the encoding of texts beyond ASCII that are not in the declared one: utf-8, gb18030, cp1252, or latin1 for any bytes.

    Latin-1 has no letters at 0x80 to 0x9f; text with such bytes is Windows-1252, where its quotation marks and dashes stand.
    """
    texts = list(texts)
    if is_utf8(texts):
        return "utf-8"
    if looks_like_gb(b" ".join(texts)):
        return "gb18030"
    return WINDOWS if any(_C1.search(text) for text in texts) and not any(_NOT_WINDOWS.search(text) for text in texts) else BYTEWISE


def western_encoding(declared: str | None) -> str | None:
    """Return the Western one-byte encoding that a file declares; Windows-1252 where it declares none, as ReadStat has it."""
    if declared is None:
        return "cp1252"
    try:
        name = codecs.lookup(declared).name
    except LookupError:
        return None
    return name if name in ("cp1252", "iso8859-1") else None


def decode(text: bytes, encoding: str) -> str:
    """Decode bytes; a last character cut short by the length limit of a label is left off.

    Raises
    ------
    UnicodeDecodeError
        If the bytes are not in this encoding.
    """
    return codecs.getincrementaldecoder(encoding)().decode(text, final=False)
