"""A file is there whole or not at all, and nothing half-written stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from surveysim.errors import ReadError
from surveysim.whole_files import LEFT_BEHIND, PARTIAL, checked_target, open_to_others, partial_beside, sweep, write_plain, write_whole


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "shares.csv"
    target.write_text("old")

    def fail(place: Path) -> None:
        place.write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["shares.csv"]
    assert target.read_text() == "old"
    write_whole(target, lambda place: place.write_text("new"))
    assert [path.name for path in tmp_path.iterdir()] == ["shares.csv"]
    assert target.read_text() == "new"


def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"shares.xlsx: extension '.xlsx' cannot be written in parts; use .csv, .parquet"):
        checked_target(tmp_path / "shares.xlsx", [".csv", ".parquet"], how=" in parts")
    with pytest.raises(ReadError, match=r"folder .*absent' does not exist; make it first"):
        checked_target(tmp_path / "absent" / "shares.csv", [".csv"])


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
