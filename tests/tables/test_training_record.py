"""The table of an alignment's stages: every recorded number, and no column that nothing was recorded in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import surveysim as ss
from surveysim.tables.training_record import stage_html, stage_table
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_survey
from tests.tables.test_facts import Page

QUESTIONS = ["taxes", "vote"]


@pytest.fixture(scope="module")
def aligned(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ss.OptionModel:
    train, kept = ss.hold_out_respondents(opinion_survey(), n_train=200, seed=0)
    tables = [ss.response_distributions(part, by=TRAITS, questions=QUESTIONS) for part in (train, kept)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURVEYSIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        return ss.align(load_tiny(tiny_folder), tables[0], opinion_codebook(), validation=tables[1], progress=False)


def test_a_row_a_stage_with_every_number_of_the_recipe(aligned: ss.OptionModel) -> None:
    table = aligned.stages
    recipe = aligned.recipe["stages"]
    assert table["stage"].tolist() == [1, 2]
    assert table["loss"].tolist() == [stage["loss"] for stage in recipe]
    for name in ("before", "heads", "after"):
        assert table[f"loss_{name}"].tolist() == [stage["losses"][name] for stage in recipe]
    assert table["kept_epoch"].tolist() == [stage["kept_epoch"] for stage in recipe]
    assert [len(said.split(", ")) for said in table["validation_by_epoch"]] == [1 + stage["epochs"] for stage in recipe]
    fit = recipe[1]["shift_fit"]
    assert table["shift_r2_after"][1] == fit["after"]["r2"] > fit["before"]["r2"] == table["shift_r2_before"][1]
    assert pd.isna(table["shift_r2_after"][0]), "stage 1 has no pooled shifts"


def test_what_no_stage_records_has_no_column() -> None:
    columns = set(stage_table([{"loss": "option_kl", "losses": {"before": 1.0, "after": 0.5}}]))
    assert columns == {"stage", "loss", "loss_before", "loss_after"}
    assert stage_table([]).empty


def test_the_page_shows_every_number(aligned: ss.OptionModel) -> None:
    losses = [stage["losses"] for stage in aligned.recipe["stages"]]
    said = [f"{each[name]:.4g}" for each in losses for name in ("before", "heads", "after")]
    for html in (stage_html(aligned.recipe["stages"]), aligned._repr_html_()):
        assert [number for number in said if number not in Page(html).text] == []
        assert "shift correlation after" in Page(html).text
        assert "stage 1 stage 2 loss option_kl pooled_shift" in Page(html).text, "a column a stage"
    assert f"scaled by {aligned.recipe['prior_strength']:.3g}" in Page(aligned._repr_html_()).text


def test_a_base_model_has_no_stages(aligned: ss.OptionModel) -> None:
    base = ss.OptionModel(aligned.backbone)
    assert base.stages.empty
    assert "loss" not in Page(base._repr_html_()).text
