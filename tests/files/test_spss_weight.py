"""An SPSS file declares its weight where the header says so, wherever the variable stands."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.files.spss_weight import declare_weight


def declared(path: Path) -> int:
    return struct.unpack_from("<i", path.read_bytes(), 76)[0]


@pytest.mark.parametrize(("before", "element"), [
    ({}, 1), ({"a": [1.0, 2.0]}, 2), ({"a": ["x", "y"]}, 2), ({"a": ["x" * 20, "y"]}, 4), ({"weights": [1.0, 2.0]}, 2),
    ({"a_long_name": [1.0, 2.0], "b": ["x" * 255, "y"]}, 34),
])  # fmt: skip
def test_the_weight_is_declared_by_its_element(before: dict[str, list[object]], element: int, tmp_path: Path) -> None:
    frame = pd.DataFrame({**before, "weight": [0.5, 1.5], "after": [1.0, 2.0]})
    path = tmp_path / "x.sav"
    labels = dict.fromkeys(before, "label" * 7)
    missing = {name: [1.0] for name, values in before.items() if isinstance(values[0], float)}
    pyreadstat.write_sav(frame, str(path), column_labels=labels, missing_ranges=missing)
    assert declared(path) == 0
    assert declare_weight(path, "weight")
    assert declared(path) == element
    pd.testing.assert_frame_equal(pyreadstat.read_sav(str(path), user_missing=True)[0], frame)


def test_a_variable_that_is_not_there_is_not_declared(tmp_path: Path) -> None:
    pyreadstat.write_sav(pd.DataFrame({"a": [1.0]}), str(tmp_path / "x.sav"))
    assert not declare_weight(tmp_path / "x.sav", "weight")
    assert declared(tmp_path / "x.sav") == 0


@pytest.mark.parametrize("suffix", [".sav", ".zsav"])
def test_a_survey_that_is_written_declares_its_weight(suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    survey = ss.load_example("nonvoters2020").take(np.arange(50))
    path = ss.write_survey(survey, tmp_path / f"x{suffix}")
    assert declared(path) == list(survey.data).index("weight") + 1
    assert "not declared" not in caplog.text
    again = ss.read_survey(path, "nonvoters2020")
    assert again.reasons.equals(survey.reasons)


def test_a_survey_without_a_weight_declares_none(tmp_path: Path) -> None:
    survey = ss.load_example("nonvoters2020")
    unweighted = ss.as_survey(survey.data, "nonvoters2020", weight="none")
    assert declared(ss.write_survey(unweighted, tmp_path / "x.sav")) == 0
