"""The weight that an SPSS file declares: its header says which variable weights the cases, and no reader or writer shows it."""

from __future__ import annotations

import struct
from pathlib import Path

# "PSPP Developers Guide", System File Format: the header's weight index counts the 8-byte elements of a case from 1; 0 is no weight.
_WEIGHT, _VARIABLES = 76, 176
_VARIABLE, _HEAD = 2, 32  # a variable's record, and its length without label and missing values
_MOST = 1 << 22  # bytes of variables looked through


def declare_weight(path: Path, name: str) -> bool:
    """Let an SPSS file that lies on disk declare its weight variable; whether it was found among the variables.

    Parameters
    ----------
    path : Path
        A .sav or .zsav file.
    name : str
        Of at most 8 letters: longer names stand elsewhere in the file.
    """
    with path.open("r+b") as stream:
        start = stream.read(_MOST)
        order = "<" if struct.unpack_from("<i", start, 64)[0] in (2, 3) else ">"
        element = _element(start, order, name)
        if element:
            stream.seek(_WEIGHT)
            stream.write(struct.pack(f"{order}i", element))
    return bool(element)


def _element(start: bytes, order: str, name: str) -> int:
    """Return the place of a variable among the 8-byte elements of a case, from 1; 0 where it is not found."""
    place, element = _VARIABLES, 1
    wanted = name.upper().encode().ljust(8)
    while place + _HEAD <= len(start) and struct.unpack_from(f"{order}i", start, place)[0] == _VARIABLE:
        _, labelled, missing = struct.unpack_from(f"{order}3i", start, place + 4)
        if start[place + 24 : place + _HEAD].upper() == wanted:
            return element
        place += _HEAD
        if labelled:
            length = struct.unpack_from(f"{order}i", start, place)[0]
            place += 4 + (length + 3) // 4 * 4
        place += 8 * abs(missing)
        element += 1
    return 0
