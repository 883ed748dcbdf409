"""The weight that an SPSS file declares is read from its header, under its long name, in either order of bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from surveysim.files.readers import read_columns
from surveysim.files.spss_header import declared_weight


def weighted(path: Path, place: int) -> Path:
    """Write a file whose third variable stands in the fourth to eighth place, for a text of 40 letters takes five; and weight it."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "text": ["x" * 40, "y"], "a_long_name_of_a_weight": [0.5, 1.5], "b": [1.0, 1.0]})
    labels: dict[str, dict[object, str]] = {"a": {1.0: "Yes, and a label of some length", 2.0: "No"}}
    pyreadstat.write_sav(
        frame, str(path), column_labels={"b": "Last"}, variable_value_labels=labels, missing_ranges={"b": [9]}, note="A note"
    )
    content = bytearray(path.read_bytes())
    content[76:80] = struct.pack("<i", place)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".sav", ".zsav"])
def test_the_weights_place_leads_to_its_long_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    names = {place: declared_weight(weighted(path, place)) for place in (0, 1, 7, 8)}
    assert names == {0: "", 1: "a", 7: "a_long_name_of_a_weight", 8: "b"}
    assert read_columns(weighted(path, 7)).weight == "a_long_name_of_a_weight"


def test_a_dictionary_that_cannot_be_followed_declares_none(tmp_path: Path) -> None:
    path = weighted(tmp_path / "x.sav", 7)
    for length in (0, 50, 100, 180, 300):
        cut = tmp_path / "cut.sav"
        cut.write_bytes(path.read_bytes()[:length])
        assert declared_weight(cut) == ""
