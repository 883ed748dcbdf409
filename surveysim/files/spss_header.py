"""What an SPSS file says of itself that no reader hands on: the weight that was switched on when it was saved."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_WEIGHT_PLACE = 76  # of the header's bytes: layout, case size and compression stand in 64 to 75, the weight's place follows
_HEADER_BYTES = 176
_VARIABLE, _VALUE_LABELS, _LABELLED_VARIABLES, _DOCUMENT, _EXTENSION = 2, 3, 4, 6, 7
_LONG_NAMES, _TEXT_ENCODING = 13, 20  # kinds of extension


def declared_weight(path: Path) -> str:
    """Return the name of the variable by which a .sav or .zsav file is weighted, as SPSS shows it in its status line; empty where by none.

    The header counts the weight's place in units of eight bytes, so that long texts take several; its name of eight letters
    leads to the long one. A dictionary that cannot be followed declares none.

    References
    ----------
    PSPP developers, System File Format, https://www.gnu.org/software/pspp/pspp-dev/html_node/System-File-Format.html
    """
    try:
        with path.open("rb") as stream:
            return _weight_of(stream)
    except (struct.error, UnicodeDecodeError, ValueError):
        return ""


def _weight_of(stream: BinaryIO) -> str:
    header = stream.read(_HEADER_BYTES)
    order = "<" if struct.unpack_from("<i", header, 64)[0] in (2, 3) else ">"
    place = struct.unpack_from(f"{order}i", header, _WEIGHT_PLACE)[0]
    if place <= 0:
        return ""
    short, at, extensions = b"", 0, {}
    for kind, content in _records(stream, order):
        if kind == _VARIABLE:
            at += 1
            short = content if at == place else short
        elif kind != _VALUE_LABELS:
            extensions[kind] = content
    encoding = extensions.get(-_TEXT_ENCODING, b"utf-8").decode("ascii").strip("\0 ")
    named = (pair.split(b"=") for pair in extensions.get(-_LONG_NAMES, b"").split(b"\t") if b"=" in pair)
    return dict(named).get(short, short).strip(b"\0 ").decode(encoding or "utf-8")


def _records(stream: BinaryIO, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the dictionary's records up to its end: variables with their short name, extensions with minus their kind and content."""

    def number() -> int:
        return int(struct.unpack(f"{order}i", stream.read(4))[0])

    while (kind := number()) != 999:
        if kind == _VARIABLE:
            _, has_label, missing, _, _ = struct.unpack(f"{order}5i", stream.read(20))
            name = stream.read(8).rstrip()
            if has_label:
                length = number()
                stream.seek(-(-length // 4) * 4, 1)
            stream.seek(8 * abs(missing), 1)
            yield _VARIABLE, name
        elif kind == _VALUE_LABELS:
            for _ in range(number()):
                stream.seek(8, 1)
                length = stream.read(1)[0]
                stream.seek(-(-(length + 1) // 8) * 8 - 1, 1)
        elif kind == _LABELLED_VARIABLES:
            stream.seek(4 * number(), 1)
        elif kind == _DOCUMENT:
            stream.seek(80 * number(), 1)
        elif kind == _EXTENSION:
            subtype, size, count = struct.unpack(f"{order}3i", stream.read(12))
            yield -subtype, stream.read(size * count)
        else:
            raise ValueError(f"record {kind}")
