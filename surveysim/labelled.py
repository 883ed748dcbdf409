"""SPSS and Stata files through pyreadstat: no missing code lost, text in the right encoding, only the columns asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.encodings import BYTEWISE, check_encoding, decode, guess_encoding, western_encoding
from surveysim.errors import ReadError
from surveysim.questions import Code
from surveysim.rawfile import RawFile, Variable, Wanted, refuse_case_twins

Table = tuple[pd.DataFrame, Any]  # a frame, and pyreadstat's metadata
Decoded = tuple[pd.DataFrame, Any, list[str]]  # the same, and notes


def read_spss(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a .sav or .zsav file; codes declared missing stay codes."""
    import pyreadstat

    return _read(path, wanted, encoding, lambda **options: pyreadstat.read_sav(str(path), user_missing=True, **options))


def read_stata(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a .dta file; tagged missing values become the codes ``".a"`` to ``".z"``."""
    import pyreadstat

    def reader(**options: Any) -> Table:
        frame, meta = pyreadstat.read_dta(str(path), user_missing=True, **options)
        tagged = {name: _tagged(frame[name]) for name, letters in meta.missing_user_values.items() if letters}
        return frame.assign(**tagged), meta

    return _read(path, wanted, encoding, reader)


def read_portable(path: Path, wanted: Wanted | None, encoding: str | None) -> RawFile:
    """Read a .por file; codes declared missing stay codes."""
    import pyreadstat

    from surveysim.portable import lift_missing

    if encoding is not None:
        raise ReadError(f"{path.name}: the encoding of a portable file cannot be chosen; leave out encoding={encoding!r}")
    try:
        content, declared = lift_missing(path.read_bytes())
    except ValueError as error:
        raise ReadError(f"{path.name} is no SPSS portable file that can be followed: {error}; save it as .sav") from error
    return _read(path, wanted, None, lambda encoding=None, **options: pyreadstat.read_por(io.BytesIO(content), **options), declared)


def _read(
    path: Path,
    wanted: Wanted | None,
    encoding: str | None,
    reader: Callable[..., Table],
    declared: Mapping[str, tuple[tuple[Code, Code], ...]] | None = None,
) -> RawFile:
    """Read by the spellings that releases use; where a required name is not among them, look through all names."""
    import pyreadstat

    check_encoding(encoding)
    columns = None if wanted is None else wanted.spellings()
    known: tuple[str, ...] = ()
    try:
        if wanted is not None and columns is None:
            known, columns = _look_up(wanted, reader, encoding, path.name)
        frame, meta, notes = _decoded(path.name, reader, encoding, columns)
        if wanted is not None and not known and wanted.lacking(frame.columns):
            known, columns = _look_up(wanted, reader, encoding, path.name)
            if set(columns) != set(frame.columns):
                frame, meta, notes = _decoded(path.name, reader, encoding, columns)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(
            f"{path.name} cannot be read to its end ({error}); it is truncated, damaged or of a kind unknown here "
            f"({path.stat().st_size:,} bytes): download it again"
        ) from error
    refuse_case_twins(frame.columns, path.name)
    if frame.columns.size and meta.number_rows is not None and meta.number_rows >= 0 and len(frame) != meta.number_rows:
        raise ReadError(
            f"{path.name} announces {meta.number_rows:,} respondents and holds {len(frame):,}; it is truncated: download it again"
        )
    ranges = {name: tuple((item["lo"], item["hi"]) for item in items) for name, items in meta.missing_ranges.items()}
    variables = {name: _variable(name, meta, {**ranges, **(declared or {})}) for name in frame.columns}
    return RawFile(frame, variables, path.name, (*notes, *_lost_labels(path.name, meta)), known)


def _look_up(wanted: Wanted, reader: Callable[..., Table], encoding: str | None, source: str) -> tuple[tuple[str, ...], list[str]]:
    _, meta, _ = _decoded(source, lambda **options: reader(metadataonly=True, **options), encoding, None)
    return tuple(meta.column_names), wanted.pick(meta.column_names, source)


def _decoded(source: str, reader: Callable[..., Table], encoding: str | None, columns: list[str] | None) -> Decoded:
    """Read; where text is not in the encoding declared (or asked for), read it byte by byte and decode it here."""
    import pyreadstat

    for attempt in [encoding] if encoding else [None, "utf-8"]:
        try:
            frame, meta = reader(encoding=attempt, usecols=columns, disable_datetime_conversion=True)
        except pyreadstat.ReadstatError as error:
            if "encoding" not in str(error) and "character set" not in str(error):
                raise
            continue
        if attempt != encoding:
            return frame, meta, [_other_encoding(source, "utf-8")]
        return frame, meta, [] if encoding else _mend(frame, meta, source)
    frame, meta = reader(encoding=BYTEWISE, usecols=columns, disable_datetime_conversion=True)
    target = encoding or guess_encoding(_texts(frame, meta, BYTEWISE))
    _redecode(frame, meta, BYTEWISE, target, source)
    return frame, meta, [] if encoding else [_other_encoding(source, target)]


def _mend(frame: pd.DataFrame, meta: Any, source: str) -> list[str]:
    """Put UTF-8 and Chinese text right that was read one byte a letter, as old Stata files imply and some files declare."""
    declared = western_encoding(meta.file_encoding)
    texts = _texts(frame, meta, declared) if declared else []
    target = guess_encoding(texts)
    if declared is None or target == BYTEWISE:
        return []
    _redecode(frame, meta, declared, target, source)
    return [_other_encoding(source, target)]


def _other_encoding(source: str, encoding: str) -> str:
    return f"{source}: text is not in the encoding that the file declares or its format implies; read as {encoding}"


def _texts(frame: pd.DataFrame, meta: Any, encoding: str) -> list[bytes]:
    """All labels and text answers that hold more than ASCII, as bytes; none where they are no text of this encoding."""
    texts = [label for label in meta.column_names_to_labels.values() if label]
    texts += [label for labels in meta.variable_value_labels.values() for label in labels.values()]
    for name in _text_columns(frame):
        texts += [value for value in pd.unique(frame[name]) if isinstance(value, str)]
    try:
        return [text.encode(encoding) for text in texts if not text.isascii()]
    except UnicodeEncodeError:
        return []


def _redecode(frame: pd.DataFrame, meta: Any, wrong: str, right: str, source: str) -> None:
    def turn(value: Any) -> Any:
        return decode(value.encode(wrong), right) if isinstance(value, str) and not value.isascii() else value

    try:
        meta.column_names_to_labels = {name: turn(label) for name, label in meta.column_names_to_labels.items()}
        meta.variable_value_labels = {
            name: {code: turn(label) for code, label in labels.items()} for name, labels in meta.variable_value_labels.items()
        }
        for name in _text_columns(frame):
            positions, uniques = pd.factorize(frame[name], use_na_sentinel=False)
            frame[name] = np.array([turn(value) for value in uniques], dtype=object)[positions]
    except UnicodeDecodeError as error:
        raise ReadError(f"{source} cannot be read as {right!r} ({error}); leave encoding out, or name another") from error


def _text_columns(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if pd.api.types.is_string_dtype(frame[name].dtype)]


def _tagged(values: pd.Series) -> pd.Categorical:
    """Return a column that mixes numbers and the letters of tagged missing values as categories: numbers and ``".a"``."""
    positions, uniques = pd.factorize(values.to_numpy(), use_na_sentinel=True)
    codes = [f".{value}" if isinstance(value, str) else value for value in uniques]
    return pd.Categorical.from_codes(positions, categories=pd.Index(codes, dtype=object))


def _variable(name: str, meta: Any, missing: Mapping[str, tuple[tuple[Code, Code], ...]]) -> Variable:
    tagged = [f".{letter}" for letter in meta.missing_user_values.get(name, ())]
    text = meta.readstat_variable_types.get(name) == "string"
    labels = {
        f".{code}" if isinstance(code, str) and not text else code: label
        for code, label in meta.variable_value_labels.get(name, {}).items()
    }
    declared = (*missing.get(name, ()), *((tag, tag) for tag in tagged))
    return Variable(meta.column_names_to_labels.get(name) or "", labels, declared)


def _lost_labels(source: str, meta: Any) -> list[str]:
    """Stata keeps value labels at the end of the file: where sets are named but absent, the file may be cut short."""
    absent = sorted({label for label in meta.variable_to_label.values() if label and label not in meta.value_labels})
    return [f"{source}: {len(absent)} sets of value labels are named but absent; is the file cut short?"] if absent else []
