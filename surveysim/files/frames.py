"""Any frame becomes columns: pandas as it is; of polars, pyarrow, DuckDB and others that narwhals knows, the wanted columns only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from surveysim.codebook.questions import Code
from surveysim.errors import ReadError
from surveysim.files.rawfile import FRAME, RawFile, Variable, Wanted
from surveysim.tables.schema import require_scalars

_KNOWN = "pandas, polars, pyarrow, DuckDB or another frame that narwhals knows"


def frame_columns(frame: object, wanted: Wanted | None = None) -> RawFile:
    """Return the columns of a frame of respondents, with the labels and missing codes that its ``attrs`` hold.

    Parameters
    ----------
    frame : DataFrame
        Of pandas, polars (also lazy), pyarrow, or a DuckDB relation.
    wanted : Wanted, optional
        Only these columns are converted; default all.

    Returns
    -------
    RawFile

    Raises
    ------
    ReadError
        If `frame` is no frame, or has no rows.
    CodebookError
        If two wanted columns differ by case only.
    """
    if isinstance(frame, pd.DataFrame):
        known = [str(name) for name in frame.columns]
        found, attrs = frame, frame.attrs
    else:
        known, found = _converted(frame, wanted)
        attrs = {}
    if not len(found) or not known:
        raise ReadError("frame holds no respondents; a survey needs at least one row and a column")
    raw = RawFile.of(pd.DataFrame(found), FRAME, known)  # without attrs, which pandas would copy with every column
    for name in raw.columns if wanted is None else wanted.pick(known, FRAME):
        require_scalars(raw.columns[name], f"frame: column {name!r}", error=ReadError)
    return RawFile(raw.columns, raw.n_rows, _variables(attrs, raw.columns), FRAME, (), raw.known)


def pandas_frame(frame: object, argument: str = "frame") -> pd.DataFrame:
    """Return a frame of any kind as one of pandas, without its ``attrs``.

    Raises
    ------
    ReadError
        If it is no frame.
    """
    return pd.DataFrame(frame if isinstance(frame, pd.DataFrame) else _converted(frame, None, argument)[1])


def is_frame(item: object) -> bool:
    """Whether an object is a frame, of pandas or of another library."""
    import narwhals as nw

    return isinstance(item, pd.DataFrame) or isinstance(nw.from_native(item, pass_through=True), nw.DataFrame | nw.LazyFrame)


def _converted(frame: object, wanted: Wanted | None, argument: str = "frame") -> tuple[list[str], pd.DataFrame]:
    """Return all names of a frame that is not of pandas, and its wanted columns as a frame of pandas."""
    import narwhals as nw

    found: Any = nw.from_native(frame, pass_through=True)  # type: ignore[call-overload]
    if not isinstance(found, nw.DataFrame | nw.LazyFrame):
        raise ReadError(f"{argument} must be a frame with a row per respondent ({_KNOWN}); got {type(frame).__name__}")
    schema = found.collect_schema()
    names = list(schema.names())
    chosen = names if wanted is None else wanted.pick(names, FRAME)
    found = found.select(
        [nw.col(name).cast(nw.Float64) if isinstance(schema[name], nw.Decimal) else nw.col(name) for name in chosen or names[:1]]
    )
    return names, (found.collect("pyarrow") if isinstance(found, nw.LazyFrame) else found).to_pandas()


def _variables(attrs: Mapping[Any, Any], names: Mapping[str, object]) -> dict[str, Variable]:
    """Return what the metadata say that ``pandas.read_spss`` leaves in ``attrs``, by column."""
    parts = ("column_names_to_labels", "variable_value_labels", "missing_ranges", "missing_user_values")
    labels, words, ranges, tags = (found if isinstance(found := attrs.get(part), Mapping) else {} for part in parts)
    return {
        name: Variable(
            str(labels.get(name) or ""),
            _value_labels(words.get(name) or {}),
            (
                *((item["lo"], item["hi"]) for item in ranges.get(name) or ()),
                *((f".{letter}", f".{letter}") for letter in tags.get(name) or ()),
            ),
        )
        for name in names
        if any(name in part for part in (labels, words, ranges, tags))
    }


def _value_labels(words: Mapping[Code, object]) -> dict[Code, str]:
    """Return code -> label; pyreadstat writes Stata's tagged missing value ``.a`` as ``a`` among numbers."""
    text = all(isinstance(code, str) for code in words)
    return {f".{code}" if isinstance(code, str) and not text else code: str(word) for code, word in words.items()}
