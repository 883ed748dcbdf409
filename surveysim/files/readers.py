"""Survey files as released, read without loss: one function that looks at the extension and the first bytes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from surveysim.errors import ReadError, SurveySimError, nearest, quoted
from surveysim.files.csv_parquet import read_csv, read_parquet
from surveysim.files.rawfile import RawFile, Wanted
from surveysim.files.spss_stata import read_portable, read_sas, read_spss, read_stata, read_transport

Reader = Callable[..., RawFile]  # of path, wanted, encoding

READERS: dict[str, Reader] = {
    ".sav": read_spss,
    ".zsav": read_spss,
    ".dta": read_stata,
    ".por": read_portable,
    ".sas7bdat": read_sas,
    ".xpt": read_transport,
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".parquet": read_parquet,
}
LABELLED = (".sav", ".zsav", ".dta", ".por", ".sas7bdat")  # formats that carry labels and declare missing codes
_KINDS = {
    ".sav": "an SPSS file",
    ".dta": "a Stata file",
    ".por": "an SPSS portable file",
    ".sas7bdat": "a SAS file",
    ".xpt": "a SAS transport file",
    ".parquet": "a parquet file",
}
_SAS = bytes(12) + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011")  # as ReadStat has it, of catalogs too
_OF_R = "write it in R: haven::write_sav(x, 'x.sav'), or arrow::write_parquet(x, 'x.parquet')"
_ARCHIVE = "unpack the archive, and give the survey file in it"
_SHEET = "save the sheet as .csv (UTF-8)"
_INSTEAD = {
    **dict.fromkeys((".rda", ".rdata", ".rds"), _OF_R),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".gz"), _ARCHIVE),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), _SHEET),
    **dict.fromkeys((".txt", ".tsv", ".tab"), "rename it to end in .csv: the separator is found out"),
    **dict.fromkeys((".sps", ".do", ".sas"), "this is a program that reads the data; give the data, saved as .sav or .dta"),
    ".sas7bcat": "this is a catalog of labels; give the .sas7bdat, with the catalog beside it",
}


def require_file(path: Path) -> None:
    """Refuse a path where no file is.

    Raises
    ------
    ReadError
        If there is none; the message names the nearest.
    """
    if not path.exists():
        raise ReadError(f"file {str(path)!r} does not exist; {_neighbours(path)}")


def read_columns(path: str | Path, wanted: Wanted | None = None, *, encoding: str | None = None, isolated: bool = False) -> RawFile:
    """Read a survey file's columns with the file's own labels and missing codes.

    Parameters
    ----------
    path : str or Path
        A .sav, .zsav, .dta, .por, .sas7bdat, .xpt, .csv, .csv.gz or .parquet file.
    wanted : Wanted, optional
        Only these columns are read from disk; default all.
    encoding : str, optional
        Of text; default the file's own, else UTF-8, GB18030 or Latin-1, with a note of which.
    isolated : bool
        Whether SPSS and Stata files are read in a child process.

    Returns
    -------
    RawFile

    Raises
    ------
    ReadError
        If there is no such file, its format is unknown or not what its extension says, it is empty, truncated or
        damaged, its text is not in `encoding`, or it holds no respondents.
    CodebookError
        If two wanted columns differ by case only.
    """
    path = Path(path)
    suffix = file_suffix(path)
    require_file(path)
    if not path.is_file():
        raise ReadError(f"{str(path)!r} is a folder; give the path of one survey file in it")
    if suffix not in READERS:
        remedy = _INSTEAD.get(suffix, "save the data in one of these")
        raise ReadError(f"{path.name}: extension {suffix or '(none)'!r} is unknown; surveysim reads {', '.join(READERS)}: {remedy}")
    check_signature(path, suffix)
    apart = {"isolated": True} if isolated and suffix in LABELLED else {}
    try:
        raw = READERS[suffix](path, wanted, encoding, **apart)
    except SurveySimError:
        raise
    except (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, RecursionError, csv.Error) as error:
        raise ReadError(
            f"{path.name} cannot be read ({type(error).__name__}: {quoted(str(error), 200)}); it is damaged: download it again"
        ) from error
    if raw.columns and not raw.n_rows:
        raise ReadError(f"{path.name} holds no respondents; it has variables but not a row")
    return raw


def file_suffix(path: Path) -> str:
    """Return the extension in lower case, two of them for a gzipped file."""
    parts = [part.lower() for part in path.suffixes[-2:]]
    return "".join(parts) if parts[-1:] == [".gz"] else (parts[-1] if parts else "")


def check_signature(path: Path, suffix: str) -> None:
    """Raise `ReadError` where a file's first bytes are not those of the format that its extension names.

    Raises
    ------
    ReadError
        If the file is empty, or its first bytes are those of another format.
    """
    with path.open("rb") as stream:
        start = stream.read(600)
    if not start:
        raise ReadError(f"{path.name} is empty (0 bytes); download it again")
    if start[8:17] == b"ENCRYPTED":
        raise ReadError(f"{path.name} is encrypted with a password; open it in SPSS and save it without one")
    found = recognise(start)
    expected = {".zsav": ".sav"}.get(suffix, suffix)
    if suffix.startswith(".csv") and found in (None, ".gz"):
        if (found == ".gz") != suffix.endswith(".gz"):
            raise ReadError(f"{path.name} is {'' if found else 'not '}gzipped; rename it to end in {'.csv.gz' if found else '.csv'}")
        return
    if found == expected:
        return
    text = b"\0" not in start
    looks = _KINDS.get(found or "", "a text file" if text else "a file of another kind")
    remedy = f"rename it to {path.stem}{found}" if found in _KINDS else f"rename it to {path.stem}.csv" if text else "download it again"
    raise ReadError(f"{path.name} is not {_KINDS.get(expected, 'a delimited text file')}: it looks like {looks}; {remedy}")


def recognise(start: bytes) -> str | None:
    """Return the extension of the format that a file's first bytes announce, or None."""
    if start[:4] in (b"$FL2", b"$FL3"):
        return ".sav"
    if start.startswith(b"<stata_dta>") or (len(start) > 4 and 104 <= start[0] <= 115 and start[1] in (1, 2) and start[2] == 1):
        return ".dta"
    if b"SPSSPORT" in start.replace(b"\r", b"").replace(b"\n", b""):
        return ".por"
    if start.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith(_SAS):
        return ".sas7bdat"
    if start.startswith((b"HEADER RECORD*******LIBRARY", b"HEADER RECORD*******LIBV8")):
        return ".xpt"
    return ".gz" if start.startswith(b"\x1f\x8b") else ".zip" if start.startswith(b"PK") else None


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"nor does its folder {str(folder)!r}: check the path"
    names = [item.name for item in folder.iterdir() if file_suffix(item) in READERS]
    return f"in its folder: {nearest(path.name, names)}" if names else "its folder holds no survey file: check the path"
