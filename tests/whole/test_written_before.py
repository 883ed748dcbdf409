"""What the first release's files hold is read as before: a saved model, and tables written with it (at commit ba6fb90)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from tests.support.opinion_survey import TRAITS, opinion_survey
from tests.support.pages import PROJECT
from tests.support.tiny import save_tiny_model

WRITTEN = PROJECT / "tests" / "support" / "written_before"


@pytest.fixture
def folder(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved model beside the base model that it names by a relative path."""
    save_tiny_model(tmp_path / "tiny-llama")
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(WRITTEN / "model", tmp_path / "model"))


def test_a_model_saved_before_simulates_what_it_simulated(folder: Path) -> None:
    model = ss.load_model(folder, device="cpu")
    before = ss.read_table(WRITTEN / "table.parquet")
    now = ss.simulate(opinion_survey(), TRAITS, model=model, questions=["vote", "news"], progress=False)
    keys = ["question_id", "background_id", "option_code"]
    pd.testing.assert_frame_equal(now[keys], before[keys])
    for column in ("share", "std_error", "conf_low", "conf_high", "n", "n_eff"):
        np.testing.assert_allclose(now[column], before[column], atol=2e-6, err_msg=column)


def test_tables_written_before_are_read_and_used() -> None:
    table = ss.read_table(WRITTEN / "table.parquet", questions=["news"])
    assert len(table) == 5 * 6
    assert table.attrs["method"] == "dsa"
    assert table.attrs["simulated"] is True
    exported = pd.read_csv(WRITTEN / "table.csv")
    np.testing.assert_allclose(exported[exported["question_id"] == "news"]["share"], table["share"], atol=1e-6)  # of another batch
    assert len(ss.evaluate(exported, ss.read_table(WRITTEN / "table.parquet"), ordinal=["news"])) == 6 * (
        2 + 1
    )  # vote is nominal: one metric
