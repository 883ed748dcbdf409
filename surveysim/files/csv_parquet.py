"""Files without labels: .csv (also gzipped, with ';', and with quotes around whole lines) and .parquet."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import ReadError, first_few
from surveysim.files.encodings import check_encoding, guess_encoding
from surveysim.files.rawfile import RawFile, Wanted, without_case_twins
from surveysim.tables.schema import require_scalars

EMPTY_WORDS = frozenset({"", "NA", "."})  # how R, SPSS and Stata export an empty cell; a codebook may claim one (NA: Namibia)
_SEPARATORS = ",;\t|"
_HEAD = 1 << 16  # bytes looked at to find out how a file is written


@dataclass(frozen=True)
class _Dialect:
    """How a delimited file is written."""

    separator: str
    encoding: str
    quoted_lines: bool
    names: tuple[str, ...]
    header_line: int


def read_csv(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a delimited text file; empty cells stay empty, every other one keeps its code.

    An unquoted ``NA`` or ``.`` is an empty cell. A quoted one is text, which the codebook may claim as a code.

    Raises
    ------
    ReadError
        If the encoding is unknown, the gzip file is cut short, the text cannot be parsed or decoded, or it holds NUL.
    CodebookError
        If two wanted columns differ by case only.
    """
    check_encoding(encoding)
    try:
        dialect = _sniff(path, encoding)
        names, notes = _names(dialect.names, wanted, path.name)
        table, used = _parse(path, dialect, names, encoding)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ReadError(f"{path.name} is no complete gzip file ({error}); download it again") from error
    numeric = {name: _numbers(*table[name], decimal_comma=dialect.separator == ";") for name in names}
    columns = {name: column for name, (column, _) in numeric.items()}
    commas = [name for name, (_, comma) in numeric.items() if comma]
    notes += [] if used in ("utf-8", encoding) else [f"{path.name}: text is not UTF-8; read as {used}"]
    notes += [] if _ends_with_a_line(path) else [f"{path.name} does not end with a line end; is it cut short?"]
    notes += [f"{path.name}: quotes stand around whole lines; every quote was taken out"] if dialect.quoted_lines else []
    notes += [f"{path.name}: decimal commas were read as points in {first_few(commas)}"] if commas else []
    rows = max(map(len, columns.values()), default=0)
    return RawFile(columns, rows, {}, path.name, tuple(notes), dialect.names)


def read_parquet(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a parquet file.

    Raises
    ------
    ReadError
        If an encoding is given, the file is truncated or damaged, or a cell holds NUL, a list or the like.
    CodebookError
        If two wanted columns differ by case only.
    """
    import pyarrow
    import pyarrow.parquet

    if encoding is not None:
        raise ReadError(f"{path.name}: parquet text is UTF-8 by definition; leave out encoding={encoding!r}")
    try:
        names = tuple(pyarrow.parquet.read_schema(path).names)
        columns, notes = _names(names, wanted, path.name)
        frame = pyarrow.parquet.read_table(path, columns=columns).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise ReadError(f"{path.name} cannot be read as parquet ({error}); it is truncated or damaged: download it again") from error
    raw = RawFile.of(frame, path.name, names)
    for name, values in raw.columns.items():
        require_scalars(values, f"{path.name}: column {name!r}", error=ReadError)
    return replace(raw, notes=tuple(notes))


def _names(available: Sequence[str], wanted: Wanted | None, source: str) -> tuple[list[str], list[str]]:
    """Return the names to read, and a note of those left out because they differ by case only, where all were asked for."""
    return without_case_twins(available, source) if wanted is None else (wanted.pick(available, source), [])


def _open(path: Path) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _ends_with_a_line(path: Path) -> bool:
    """Whether a plain text file ends with a line end; a gzip file that is cut short is an error anyway."""
    if path.name.lower().endswith(".gz"):
        return True
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 2))
        return b"\n" in stream.read() or path.stat().st_size == 0


def _sniff(path: Path, encoding: str | None) -> _Dialect:
    with _open(path) as stream:
        head = stream.read(_HEAD)
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ReadError(f"{path.name} is a binary file, not delimited text; give it the extension of its true format")
    if encoding is None:
        encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    raw = head.decode(encoding, errors="replace").removeprefix("\ufeff").splitlines()[:20]
    lines = [line for line in raw if line.strip()]
    if not lines:
        raise ReadError(f"{path.name} is empty; a header line with variable names is required")
    widths = {separator: len(next(csv.reader([lines[0]], delimiter=separator))) for separator in _SEPARATORS}
    separator = max(widths, key=widths.__getitem__)
    quoted = widths[separator] == 1 or any(len(next(csv.reader([line], delimiter=separator))) == 1 for line in lines)
    if quoted:
        stripped = lines[0].replace('"', "")
        best = max(_SEPARATORS, key=stripped.count)
        quoted = '"' in "".join(lines) and stripped.count(best) > 0
        separator = best if quoted else separator
    header = lines[0].replace('"', "") if quoted else lines[0]
    names = tuple(name.strip() for name in next(csv.reader([header], delimiter=separator)))
    return _Dialect(separator, encoding, quoted, names, raw.index(lines[0]))


_Column = tuple[np.ndarray, np.ndarray]  # distinct values (text), and the place of each cell's value; -1 where empty


def _parse(path: Path, dialect: _Dialect, names: Sequence[str], encoding: str | None) -> tuple[dict[str, _Column], str]:
    """Read the columns, in the encoding asked for or else the first that fits; return it too."""
    try:
        return _parse_as(path, dialect, names, dialect.encoding), dialect.encoding
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise ReadError(f"{path.name} cannot be read as {encoding!r} ({error}); leave encoding out, or name another") from error
    with _open(path) as stream:
        beyond_ascii = [line for line in stream if not line.isascii()]
    guessed = guess_encoding(beyond_ascii)
    return _parse_as(path, dialect, names, guessed), guessed


def _parse_as(path: Path, dialect: _Dialect, names: Sequence[str], encoding: str) -> dict[str, _Column]:
    import pyarrow
    from pyarrow import csv as arrow_csv

    with _open(path) as stream:
        content = stream.read()
    before, found, _ = content.decode(encoding).partition("\0")  # raises UnicodeDecodeError; Arrow would say less of it
    if found:
        line = before.count("\n") + 1
        raise ReadError(f"{path.name} holds NUL in line {line:,}, which no text does; write the file again, or give it its true extension")
    places = {name: str(dialect.names.index(name)) for name in names}
    codes = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(content.replace(b'"', b"") if dialect.quoted_lines else content),
            read_options=arrow_csv.ReadOptions(
                encoding=encoding, skip_rows=dialect.header_line + 1, column_names=[str(place) for place in range(len(dialect.names))]
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.separator, quote_char=False if dialect.quoted_lines else '"', newlines_in_values=not dialect.quoted_lines
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(places.values()),
                column_types=dict.fromkeys(places.values(), codes),
                null_values=sorted(EMPTY_WORDS),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pyarrow.ArrowInvalid as error:
        raise ReadError(
            f"{path.name} cannot be parsed as text separated by {dialect.separator!r}: {error}; mend that line, or download the file again"
        ) from error
    return {name: _distinct(table.column(place)) for name, place in places.items()}


def _distinct(column: Any) -> _Column:
    import pyarrow

    if isinstance(column, pyarrow.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if not len(column):
        return np.array([], dtype=object), np.array([], dtype=int)
    return np.asarray(column.dictionary.to_pylist(), dtype=object), column.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _numbers(words: np.ndarray, places: np.ndarray, *, decimal_comma: bool) -> tuple[np.ndarray, bool]:
    """Return a column as numbers where every cell is one or a word for empty, else as text; and whether it had decimal commas."""
    stripped = pd.Series(words, dtype=object).str.strip()
    filled = ~stripped.isin(EMPTY_WORDS).to_numpy(bool)
    numbers = pd.to_numeric(stripped, errors="coerce").to_numpy(float)
    comma = decimal_comma and bool(np.isnan(numbers[filled]).any())
    if comma:
        numbers = pd.to_numeric(stripped.str.replace(",", ".", n=1, regex=False), errors="coerce").to_numpy(float)
    if np.isnan(numbers[filled]).any():
        return np.append(words, np.nan)[places], False
    return np.append(numbers, np.nan)[places], comma
