"""SPSS portable files (.por): the missing codes that they declare, which `pyreadstat.read_por` turns into empty cells.

The records that declare them are taken out of the dictionary before the file is read, and returned beside it.

References
----------
GNU PSPP developer documentation, "Portable File Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from surveysim.codebook.questions import Code

_LINE, _TABLE, _TAG, _START = 80, 200, 456, 464  # line length; offsets of the character table, the tag, the records
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRST"  # numbers are written to base 30


@dataclass
class _Dictionary:
    """A reading head over the records of a portable file."""

    text: str
    at: int = _START
    variable: str = ""
    widths: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[tuple[Code, Code]]] = field(default_factory=dict)
    cut: list[tuple[int, int]] = field(default_factory=list)

    def number(self) -> float:
        if self.text[self.at] == "*":  # system-missing is written "*."
            self.at += 2
            return float("nan")
        end = self.text.index("/", self.at)
        digits, self.at = self.text[self.at : end], end + 1
        return parse_number(digits)

    def count(self) -> int:
        """A number of characters or records: no more than the characters that are left."""
        number, left = self.number(), len(self.text) - self.at
        if not (0 <= number <= left and number == int(number)):
            raise ValueError(f"a length of {number:g} where {left:,} characters are left")
        return int(number)

    def string(self) -> str:
        length = self.count()
        self.at += length
        return self.text[self.at - length : self.at]

    def value(self, variable: str) -> Code:
        return self.string().rstrip() if self.widths.get(variable) else self.number()

    def skip(self, *parts: Callable[[], object]) -> None:
        for part in parts:
            part()

    def declare(self) -> None:
        width = self.count()
        self.variable = self.string()
        self.widths[self.variable] = width
        self.skip(*[self.number] * 6)

    def label_values(self) -> None:
        names = [self.string() for _ in range(self.count())]
        for _ in range(self.count()):
            self.value(names[0])
            self.string()

    def document(self) -> None:
        for _ in range(self.count()):
            self.string()


def lift_missing(content: bytes) -> tuple[bytes, dict[str, tuple[tuple[Code, Code], ...]]]:
    """Return a portable file without its declarations of missing codes, and those declarations.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    bytes
        The file to hand to `pyreadstat.read_por`.
    dict of str to tuple of (low, high)
        Declared missing ranges by variable.

    Raises
    ------
    ValueError
        If the records cannot be followed.
    """
    lines = re.split("\r\n|\n|\r", content.decode("latin-1"))
    text = "".join(line.ljust(_LINE) for line in lines).rstrip()
    if text[_TABLE + 64 : _TABLE + 74] != "0123456789" or text[_TAG:_START] != "SPSSPORT":
        raise ValueError("not a portable file in the usual characters")
    head = _Dictionary(text)
    try:
        _follow(head)
    except IndexError as error:
        raise ValueError("the dictionary ends too early") from error
    kept, start = [], 0
    for low, high in head.cut:
        kept.append(text[start:low])
        start = high
    kept.append(text[start:])
    rest = "".join(kept)
    wrapped = "\r\n".join(rest[i : i + _LINE] for i in range(0, len(rest), _LINE))
    return (wrapped + "\r\n").encode("latin-1"), {name: tuple(ranges) for name, ranges in head.missing.items()}


def _follow(head: _Dictionary) -> None:
    """Walk through the records up to the data ("F"), collecting and marking those of missing codes."""
    records: dict[str, Callable[[], object]] = dict.fromkeys("1236C", head.string) | dict.fromkeys("45", head.number)
    records |= {"7": head.declare, "D": head.label_values, "E": head.document}
    head.at += 1  # version letter
    head.skip(head.string, head.string)  # date and time
    while (tag := head.text[head.at]) != "F":
        start, head.at = head.at, head.at + 1
        if tag in "89AB":
            low = float("-inf") if tag == "9" else head.value(head.variable)
            high = float("inf") if tag == "A" else low if tag == "8" else head.value(head.variable)
            head.missing.setdefault(head.variable, []).append((low, high))
            head.cut.append((start, head.at))
        elif tag in records:
            records[tag]()
        else:
            raise ValueError(f"record {tag!r} is unknown")


def parse_number(digits: str) -> float:
    """Return the number that base-30 digits write: ``"2H"`` is 77, ``"-1"`` is -1, ``".F"`` is a half.

    Raises
    ------
    ValueError
        If the digits are no number to base 30.

    Examples
    --------
    >>> from surveysim.files.spss_portable import parse_number
    >>> parse_number("2H"), parse_number("-1"), parse_number(".F")
    (77.0, -1.0, 0.5)
    """
    written = re.fullmatch(r" *(-?)([0-9A-T]*)\.?([0-9A-T]*)(?:([+-])([0-9A-T]+))?", digits)
    if not written:
        raise ValueError(f"{digits!r} is no number to base 30")
    sign, whole, fraction, direction, power = written.groups()
    value = 0.0
    for digit in whole + fraction:
        value = value * 30 + _DIGITS.index(digit)
    exponent = int(power, 30) * (-1 if direction == "-" else 1) if power else 0
    try:
        return (-value if sign else value) * 30.0 ** (exponent - len(fraction))
    except OverflowError as error:
        raise ValueError(f"{digits[:20]!r} is larger than any number") from error
