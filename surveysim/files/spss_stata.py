"""SPSS, Stata and SAS files through pyreadstat: no missing code lost, text in the right encoding, only the columns asked for."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.questions import Code
from surveysim.errors import ReadError
from surveysim.files.encodings import BYTEWISE, WINDOWS, check_encoding, decode, guess_encoding, western_encoding
from surveysim.files.isolated import read_isolated
from surveysim.files.rawfile import Column, RawFile, Variable, Wanted, packed, refuse_case_twins, without_case_twins
from surveysim.files.spss_header import declared_weight

Columns = dict[str, Column]
Table = tuple[Columns, Any]  # columns, and pyreadstat's metadata
Decoded = tuple[Columns, Any, list[str]]  # the same, and notes


@dataclass(frozen=True, eq=False)
class _Source:
    """A file, how pyreadstat reads it, the encodings to try in turn (None: the declared one), and missing codes found elsewhere."""

    path: Path
    read: Callable[..., Table]
    encodings: tuple[str | None, ...] = (None, "utf-8")
    missing: Mapping[str, tuple[tuple[Code, Code], ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name


def read_spss(path: Path, wanted: Wanted | None, encoding: str | None, *, isolated: bool = False) -> RawFile:
    """Read a .sav or .zsav file; codes declared missing stay codes."""
    import pyreadstat

    def reader(**options: Any) -> Table:
        options["user_missing"] = True
        if isolated:
            return _from_lists(*read_isolated("read_sav", path, options, name=path.name))
        frame, meta = pyreadstat.read_sav(str(path), **options)
        return _arrays(frame), meta

    raw = _read(_Source(path, reader), wanted, encoding)
    return raw if wanted is not None else replace(raw, weight=declared_weight(path))


def read_stata(path: Path, wanted: Wanted | None, encoding: str | None, *, isolated: bool = False) -> RawFile:
    """Read a .dta file; tagged missing values become the codes ``".a"`` to ``".z"``.

    Formats before 118 declare no encoding. Windows-1252 is implied, but UTF-8 is met too, and is tried first: other text
    hardly ever happens to be UTF-8.

    Raises
    ------
    ReadError
        If the file is cut short, or its text cannot be decoded.
    CodebookError
        If two wanted columns differ by case only.
    """
    import pyreadstat

    def reader(**options: Any) -> Table:
        options["user_missing"] = True
        if isolated:
            cells, meta = read_isolated("read_dta", path, options, name=path.name)
            return {name: _stata_column(values, name, meta) for name, values in cells.items()}, meta
        try:
            cells, meta = pyreadstat.read_dta(str(path), output_format="dict", **options)
        except UnicodeDecodeError as error:  # pyreadstat decodes as UTF-8 whatever ReadStat hands on; format 118 declares it
            raise pyreadstat.ReadstatError(f"text is not in the encoding that the file declares: {error}") from error
        return {name: _stata_column(cells.pop(name), name, meta) for name in list(cells)}, meta  # no list stays longer than it must

    with path.open("rb") as stream:
        start = stream.read(60)
        stream.seek(max(0, path.stat().st_size - 40))
        end = stream.read()
    if start.startswith(b"<stata_dta>") and not end.rstrip(b"\0\r\n ").endswith(b"</stata_dta>"):
        raise ReadError(f"{path.name} does not end as a Stata file does; it is truncated: download it again")
    old = not start.startswith(b"<stata_dta>") or b"<release>117" in start
    return _read(_Source(path, reader, ("utf-8", None) if old else (None,)), wanted, encoding)


def read_portable(path: Path, wanted: Wanted | None, encoding: str | None, *, isolated: bool = False) -> RawFile:
    """Read a .por file; codes declared missing stay codes.

    Raises
    ------
    ReadError
        If an encoding is given, or the file cannot be followed.
    CodebookError
        If two wanted columns differ by case only.
    """
    import pyreadstat

    from surveysim.files.spss_portable import lift_missing

    if encoding is not None:
        raise ReadError(f"{path.name}: the encoding of a portable file cannot be chosen; leave out encoding={encoding!r}")
    try:
        content, missing = lift_missing(path.read_bytes())
    except ValueError as error:
        raise ReadError(f"{path.name} is no SPSS portable file that can be followed: {error}; save it as .sav") from error

    def reader(encoding: str | None = None, **options: Any) -> Table:
        if isolated:
            with TemporaryDirectory() as folder:
                place = Path(folder) / "portable.por"
                place.write_bytes(content)
                return _from_lists(*read_isolated("read_por", place, options, name=path.name))
        frame, meta = pyreadstat.read_por(io.BytesIO(content), **options)
        return _arrays(frame), meta

    raw = _read(_Source(path, reader, (None,), missing), wanted, None)
    if content.isascii():
        return raw
    note = f"{path.name}: letters beyond ASCII cannot be read from a portable file and stand as \ufffd; save it as .sav to keep them"
    return replace(raw, notes=(*raw.notes, note))


def read_sas(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a .sas7bdat file; SAS's special missing values become the codes ``".a"`` to ``".z"``.

    Labels of codes stand in a catalog: that of the same name, ending in .sas7bcat, or ``formats.sas7bcat`` is read where it lies beside.

    Raises
    ------
    ReadError
        If the file is cut short, or its text cannot be decoded.
    CodebookError
        If two wanted columns differ by case only.
    """
    import pyreadstat

    catalog = next((beside for beside in (path.with_suffix(".sas7bcat"), path.with_name("formats.sas7bcat")) if beside.exists()), None)

    def reader(**options: Any) -> Table:
        cells, meta = pyreadstat.read_sas7bdat(
            str(path),
            user_missing=True,
            output_format="dict",
            catalog_file=None if catalog is None else str(catalog),
            formats_as_category=False,
            **options,
        )
        return {name: _stata_column(values, name, meta) for name, values in cells.items()}, meta

    raw = _read(_Source(path, reader), wanted, encoding)
    said = "no catalog (.sas7bcat) lies beside it: codes have no labels" if catalog is None else f"labels of codes are from {catalog.name}"
    return replace(raw, notes=(*raw.notes, f"{path.name}: {said}"))


def read_transport(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a SAS transport file (.xpt), which holds labels of variables and none of codes; all missing values are empty cells.

    Raises
    ------
    ReadError
        If the file is cut short, or its text cannot be decoded.
    CodebookError
        If two wanted columns differ by case only.
    """
    import pyreadstat

    def reader(**options: Any) -> Table:
        frame, meta = pyreadstat.read_xport(str(path), **options)
        return _arrays(frame), meta

    return _read(_Source(path, reader), wanted, encoding)


def _read(source: _Source, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read by the spellings that releases use; where a required name is not among them, look through all names."""
    import pyreadstat

    check_encoding(encoding)
    columns = None if wanted is None else wanted.spellings()
    known: tuple[str, ...] = ()
    try:
        if wanted is not None and columns is None:
            known, columns = _look_up(source, wanted, encoding)
        found, meta, notes = _decoded(source, encoding, columns)
        if wanted is not None and not known and wanted.lacking(found):
            known, columns = _look_up(source, wanted, encoding)
            if set(columns) != set(found):
                found, meta, notes = _decoded(source, encoding, columns)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        raise ReadError(
            f"{source.name} cannot be read to its end ({error}); it is truncated, damaged or of a kind unknown here "
            f"({source.path.stat().st_size:,} bytes): download it again"
        ) from error
    if wanted is None:
        names, twins = without_case_twins(list(found), source.name)
        found, notes = {name: found[name] for name in names}, [*notes, *twins]
    else:
        refuse_case_twins(list(found), source.name)
    n_rows = max(map(len, found.values()), default=0)
    _check_complete(source, found, n_rows, meta)
    variables = {name: _variable(name, meta, source.missing) for name in found}
    lost = _lost_labels(source.name, meta) if source.path.suffix.lower() == ".dta" else []
    sets = {name: tuple(declared["variable_list"]) for name, declared in (meta.mr_sets or {}).items() if declared["is_dichotomy"]}
    return RawFile(found, n_rows, variables, source.name, (*notes, *lost), known, sets=sets)


def _arrays(frame: pd.DataFrame) -> Columns:
    """Return the columns of a frame; the floats among them, nearly all, at once, for a `Series` of each takes longer."""
    quick = dict(zip((floats := frame.select_dtypes("float64")), floats.to_numpy().T, strict=True))
    return {str(name): quick[name] if name in quick else frame[name].values for name in frame}


def _from_lists(cells: Mapping[str, list[Any]], meta: Any) -> Table:
    """Columns of lists as pandas would hold them: text, or floats with NaN where a cell is empty."""
    text = _texts_among(cells, meta)
    return {name: np.array(values, dtype=object if name in text else float) for name, values in cells.items()}, meta


def _texts_among(names: Iterable[str], meta: Any) -> list[str]:
    return [name for name in names if meta.readstat_variable_types.get(name) == "string"]


def _check_complete(source: _Source, found: Columns, n_rows: int, meta: Any) -> None:
    if found and meta.number_rows is not None and meta.number_rows >= 0 and n_rows != meta.number_rows:
        raise ReadError(
            f"{source.name} announces {meta.number_rows:,} respondents and holds {n_rows:,}; it is truncated: download it again"
        )


def _look_up(source: _Source, wanted: Wanted, encoding: str | None) -> tuple[tuple[str, ...], list[str]]:
    names_only = replace(source, read=lambda **options: source.read(metadataonly=True, **options))
    _, meta, _ = _decoded(names_only, encoding, None)
    return tuple(meta.column_names), wanted.pick(meta.column_names, source.name)


def _decoded(source: _Source, encoding: str | None, usecols: list[str] | None) -> Decoded:
    """Read; where text is in none of the likely encodings (or not in that asked for), read it byte by byte and decode it here."""
    import pyreadstat

    for attempt in (encoding,) if encoding else source.encodings:
        try:
            columns, meta = source.read(encoding=attempt, usecols=usecols, disable_datetime_conversion=True)
        except pyreadstat.ReadstatError as error:
            if "encoding" not in str(error) and "character set" not in str(error):
                raise
            continue
        if attempt is None:
            return columns, meta, _mend(columns, meta, source.name)
        unusual = encoding is None and (source.encodings[0] is None or bool(_texts(columns, meta, "utf-8")))
        return columns, meta, [_other_encoding(source.name, attempt)] if unusual else []
    columns, meta = source.read(encoding=BYTEWISE, usecols=usecols, disable_datetime_conversion=True)
    target = encoding or guess_encoding(_texts(columns, meta, BYTEWISE))
    _redecode(columns, meta, BYTEWISE, target, source.name)
    return columns, meta, [] if encoding else [_other_encoding(source.name, target)]


def _mend(columns: Columns, meta: Any, source: str) -> list[str]:
    """Put UTF-8 and Chinese text right that was read one byte a letter, as old Stata files imply and some files declare."""
    declared = western_encoding(meta.file_encoding)
    texts = _texts(columns, meta, declared) if declared else []
    target = guess_encoding(texts)
    if declared is None or target in (BYTEWISE, WINDOWS):
        return []
    _redecode(columns, meta, declared, target, source)
    return [_other_encoding(source, target)]


def _other_encoding(source: str, encoding: str) -> str:
    return f"{source}: text is not in the encoding that the file declares or its format implies; read as {encoding}"


def _texts(columns: Columns, meta: Any, encoding: str) -> list[bytes]:
    """All labels and text answers that hold more than ASCII, as bytes; none where they are no text of this encoding."""
    texts = [label for label in meta.column_names_to_labels.values() if label]
    texts += [label for labels in meta.variable_value_labels.values() for label in labels.values()]
    for name in _texts_among(columns, meta):
        texts += [value for value in pd.unique(columns[name]) if isinstance(value, str)]
    try:
        return [text.encode(encoding) for text in texts if not text.isascii()]
    except UnicodeEncodeError:
        return []


def _redecode(columns: Columns, meta: Any, wrong: str, right: str, source: str) -> None:
    def turn(value: Any) -> Any:
        return decode(value.encode(wrong), right) if isinstance(value, str) and not value.isascii() else value

    try:
        meta.column_names_to_labels = {name: turn(label) for name, label in meta.column_names_to_labels.items()}
        meta.variable_value_labels = {
            name: {code: turn(label) for code, label in labels.items()} for name, labels in meta.variable_value_labels.items()
        }
        for name in _texts_among(columns, meta):
            positions, uniques = pd.factorize(columns[name], use_na_sentinel=False)
            columns[name] = np.array([turn(value) for value in uniques], dtype=object)[positions]
    except UnicodeDecodeError as error:
        raise ReadError(f"{source} cannot be read as {right!r} ({error}); leave encoding out, or name another") from error


def _stata_column(values: list[Any], name: str, meta: Any) -> Any:
    """Return a column as pandas holds it: text, floats, whole numbers, also beside missing ones, or a mix with tags."""
    kind = meta.readstat_variable_types[name]
    if kind == "string":
        return np.array(values, dtype=object)
    if meta.missing_user_values.get(name):
        return _tagged(values)
    return packed(values, kind in ("double", "float"))


def _tagged(values: list[Any]) -> pd.Categorical:
    """Return a column that mixes numbers and the letters of tagged missing values as categories: numbers and ``".a"``."""
    places = defaultdict(count().__next__, {None: -1})  # a value not met before has the next place: one pass over the column
    positions = np.fromiter(map(places.__getitem__, values), dtype=np.intp, count=len(values))
    codes = tuple(f".{value.lower()}" if isinstance(value, str) else value for value in places if value is not None)
    return pd.Categorical.from_codes(positions, dtype=_code_dtype(codes), validate=False)


@lru_cache(maxsize=1024)
def _code_dtype(codes: tuple[Code, ...]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index(codes, dtype=object))


def _variable(name: str, meta: Any, missing: Mapping[str, tuple[tuple[Code, Code], ...]]) -> Variable:
    text = meta.readstat_variable_types.get(name) == "string"
    labels = {
        f".{code.lower()}" if isinstance(code, str) and not text else code: label
        for code, label in meta.variable_value_labels.get(name, {}).items()
    }
    ranges = [(item["lo"], item["hi"]) for item in meta.missing_ranges.get(name, ())]
    tags = [(f".{letter.lower()}", f".{letter.lower()}") for letter in meta.missing_user_values.get(name, ())]
    return Variable(meta.column_names_to_labels.get(name) or "", labels, (*ranges, *tags, *missing.get(name, ())))


def _lost_labels(source: str, meta: Any) -> list[str]:
    """Stata keeps value labels at the end of the file: where sets are named but absent, the file may be cut short."""
    absent = {label for label in meta.variable_to_label.values() if label and label not in meta.value_labels}
    return [f"{source}: {len(absent)} sets of value labels are named but absent; is the file cut short?"] if absent else []
