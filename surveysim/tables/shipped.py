"""Tables that ship with surveysim and tables of the user's, CSV files in UTF-8: the one by its name, the other by its path."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from surveysim.errors import ReadError, nearest


def shipped_names(folder: str) -> list[str]:
    """Return the names of the tables in a folder of the package's data, without their ending."""
    return sorted(
        item.name.removesuffix(".csv") for item in files("surveysim").joinpath("data", folder).iterdir() if item.name.endswith(".csv")
    )


def table_text(path: str | Path, folder: str, what: str) -> str:
    """Return the text of a table that ships in a folder of the package's data, or of the user's file.

    Parameters
    ----------
    path : str or Path
        A name of `shipped_names`, or a path.
    folder : str
    what : str
        What such a table is called, for messages.

    Raises
    ------
    ReadError
        If no table of that name ships, the file does not exist, or it is not UTF-8.
    """
    place = Path(path)
    if not place.suffix and not place.exists():
        names = shipped_names(folder)
        if str(path) not in names:
            raise ReadError(f"no {what} {str(path)!r} ships with surveysim, and there is no such file; {nearest(str(path), names)}")
        return files("surveysim").joinpath("data", folder, f"{path}.csv").read_text(encoding="utf-8")
    if not place.is_file():
        raise ReadError(f"{what} {place.name!r} does not exist in folder {str(place.parent)!r}")
    try:
        return place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"{place.name} is not a CSV in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
