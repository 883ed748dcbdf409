"""Thirty survey families in small: each is drafted, read, written to SPSS and Stata and read back, and nothing is lost without a note."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from tests.support.layouts import LAYOUTS, frame_of, write_layout

REAL = ("ess9_norway/ESS9NO.sav", "ess9_norway/ESS9NO.dta", "gss2016/GSS.sav")


def drafted(path: Path, folder: Path) -> ss.Survey:
    return ss.read_survey(path, ss.draft_codebook(path, folder / "draft.toml"))


def valid_answers(survey: ss.Survey, name: str) -> list[float | None]:
    return [
        value if reason is None or reason != reason else None for value, reason in zip(survey.data[name], survey.reasons[name], strict=True)
    ]


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_family_is_drafted_and_read_with_its_weight_gender_age_and_missing_answers(family: str, tmp_path: Path) -> None:
    layout, raw = LAYOUTS[family], frame_of(LAYOUTS[family])
    survey = drafted(write_layout(layout, tmp_path / "release.sav"), tmp_path)
    assert survey.weight_name == layout.weight[0]
    np.testing.assert_allclose(survey.data.weight, raw[layout.weight[0]])
    assert (survey.codebook.trait("gender").variable, survey.codebook.trait("age").variable) == (layout.gender[0], layout.age[0])
    assert survey.data.gender.notna().all()
    assert survey.data.age.notna().all()
    for name, (_, labels, _) in layout.questions.items():
        question = survey.codebook.question(name)
        assert set(question.codes) | set(question.missing) == set(labels)
        assert (survey.reasons[name].isna() == raw[name].isin(question.codes)).all()


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
@pytest.mark.parametrize("family", LAYOUTS)
def test_a_family_is_written_and_read_back_without_loss_or_with_a_note(
    family: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    survey = drafted(write_layout(LAYOUTS[family], tmp_path / "release.sav"), tmp_path)
    with caplog.at_level(logging.WARNING):
        path = ss.write_survey(survey, tmp_path / f"again{suffix}")
    again = ss.read_survey(path, survey.codebook, weight="weight")
    pd.testing.assert_frame_equal(again.reasons, survey.reasons)
    pd.testing.assert_frame_equal(again.data[list(survey.traits)], survey.data[list(survey.traits)])
    for name in survey.questions:
        assert valid_answers(again, name) == valid_answers(survey, name)
    np.testing.assert_allclose(again.data.weight, survey.data.weight)
    case_twin = LAYOUTS[family].weight[0] == "WEIGHT"
    assert ("WEIGHT as WEIGHT_release" in caplog.text) == case_twin, "the release's own column keeps its values under another name"


@pytest.mark.parametrize("release", REAL)
def test_a_real_release_is_drafted_written_and_read_back(release: str, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / release
    if not path.is_file():
        pytest.skip(f"../shared/data/{release} is not here")
    book = ss.load_codebook(ss.draft_codebook(path, tmp_path / "draft.toml"))
    survey = ss.read_survey(path, book, weight=None if book.weights else "none")
    for suffix in (".sav", ".dta"):
        again = ss.read_survey(ss.write_survey(survey, tmp_path / f"again{suffix}"), book, weight="weight" if book.weights else "none")
        pd.testing.assert_frame_equal(again.reasons, survey.reasons)
