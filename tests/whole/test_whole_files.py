"""A file is there whole or not at all, and nothing half-written stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from surveysim.errors import ReadError
from surveysim.whole_files import (
    ASIDE,
    LEFT_BEHIND,
    PARTIAL,
    bring_back,
    checked_target,
    open_to_others,
    partial_beside,
    put_in_place,
    sweep,
    write_plain,
    write_whole,
)


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "shares.csv"
    target.write_text("old")

    def fail(place: Path) -> None:
        place.write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(ReadError, match=r"cannot be written .*No space left.*nothing of it is kept"):
        write_whole(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["shares.csv"]
    assert target.read_text() == "old"
    write_whole(target, lambda place: place.write_text("new\n"))
    assert [path.name for path in tmp_path.iterdir()] == ["shares.csv"]
    assert target.read_text() == "new\n"


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".sav", ".zsav", ".dta", ".json"])
def test_what_a_writer_cut_in_silence_is_not_kept(ending: str, tmp_path: Path) -> None:
    """As a library does that takes a full disk for an ordinary end."""
    table = pd.DataFrame({"share": [number / 997 for number in range(997)], "text": ["word"] * 997})
    target = tmp_path / f"table{ending}"
    writers = {
        ".csv": lambda place: table.to_csv(place, index=False),
        ".parquet": lambda place: table.to_parquet(place, index=False),
        ".dta": lambda place: pyreadstat.write_dta(table, str(place)),
        ".json": lambda place: place.write_text(table.to_json()),
    }
    write = writers.get(
        ending, lambda place: pyreadstat.write_sav(table, str(place), compress=ending == ".zsav", row_compress=ending == ".sav")
    )
    write_whole(target, write)
    whole = target.read_bytes()
    for left in (0, len(whole) // 2, len(whole) - 8):

        def cut(place: Path, left: int = left) -> None:
            write(place)
            os.truncate(place, left)

        if ending == ".json" and left:
            continue  # Python's own writers say so themselves
        with pytest.raises(ReadError, match=rf"table\{ending}' cannot be written \(.*nothing of it is kept: make room"):
            write_whole(target, cut)
        assert target.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_writer_may_say_itself_what_is_whole(tmp_path: Path) -> None:
    def refuse(place: Path) -> None:
        raise OSError(f"{place.stat().st_size} bytes are too few")

    with pytest.raises(ReadError, match="3 bytes are too few"):
        write_whole(tmp_path / "note.txt", lambda place: place.write_text("abc"), verify=refuse)
    assert list(tmp_path.iterdir()) == []


def _folder(place: Path, content: str) -> Path:
    place.mkdir()
    (place / "weights").write_text(content)
    return place


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two steps"])
def test_a_folder_takes_the_place_of_another(exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr("surveysim.whole_files._exchanged", lambda _first, _second: False)
    final = tmp_path / "model"
    put_in_place(_folder(tmp_path / "first", "1"), final)
    assert (final / "weights").read_text() == "1"
    put_in_place(_folder(tmp_path / "second", "2"), final)
    assert (final / "weights").read_text() == "2"
    assert exchange or [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_stepped_aside_is_the_only_copy_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was killed between the two steps that a system without an exchange needs."""
    final, aside = tmp_path / "model", _folder(tmp_path / f".model-12345678{ASIDE}", "the only copy")
    os.utime(aside, (1, 1))
    sweep(tmp_path, "model")
    sweep(tmp_path)
    assert aside.is_dir(), "a sweep deletes what was half written, never what was whole"
    bring_back(final)
    assert aside.is_dir(), "its process may be about to go on"
    monkeypatch.setattr("surveysim.whole_files.SWAP_SECONDS", -1)
    bring_back(final)
    assert (final / "weights").read_text() == "the only copy"
    bring_back(final)
    bring_back(tmp_path / "absent" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"shares.xlsx: extension '.xlsx' cannot be written in parts; use .csv, .parquet"):
        checked_target(tmp_path / "shares.xlsx", [".csv", ".parquet"], how=" in parts")
    with pytest.raises(ReadError, match=r"folder .*absent' does not exist; make it first"):
        checked_target(tmp_path / "absent" / "shares.csv", [".csv"])
    for bad in ("a\0b", "a\ud800"):
        with pytest.raises(ReadError, match="is no path: it holds NUL or half a character") as raised:
            checked_target(tmp_path / f"{bad}.csv", [".csv"])
        str(raised.value).encode()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_of_mixed_types_is_written_as_text(suffix: str, tmp_path: Path) -> None:
    target = write_plain(pd.DataFrame({"code": [1, ".a"], "share": [0.25, 0.75]}), tmp_path / f"shares{suffix}")
    again = pd.read_csv(target) if suffix == ".csv" else pd.read_parquet(target)
    assert again["code"].tolist() == ["1", ".a"]
    assert again["share"].tolist() == [0.25, 0.75]


def test_a_partial_folder_is_deleted_unless_it_was_renamed(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "model"
    with partial_beside(final) as place:
        place.mkdir()
        (place / "weights").write_text("half")
    assert list(final.parent.iterdir()) == []
    with partial_beside(final) as place:
        place.mkdir()
        place.rename(final)
    assert list(final.parent.iterdir()) == [final]


def test_only_what_was_left_long_ago_is_swept(tmp_path: Path) -> None:
    old, fresh, other = (tmp_path / name for name in (f".states-1{PARTIAL}", f".states-2{PARTIAL}", "states-1"))
    for place in (old, fresh, other):
        place.write_text("")
    long_ago = time.time() - LEFT_BEHIND - 60
    for place in (old, other):
        os.utime(place, (long_ago, long_ago))
    sweep(tmp_path, "states")
    assert sorted(tmp_path.iterdir()) == sorted([fresh, other])


def test_files_get_the_permissions_of_their_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "weights"
    file.write_text("")
    file.chmod(0o600)
    open_to_others(file)
    assert file.stat().st_mode & 0o777 == 0o644
