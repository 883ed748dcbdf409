"""The demo, end to end, on a tiny random model: files, keys, and that its numbers are those of its own tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim import demo

QUESTIONS = ["Q5", "Q8_1", "Q8_8", "Q14", "Q23"]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """The demo's output with five questions, from a model that knows nothing."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURVEYSIM_CACHE", str(folder / "cache"))
        demo.run(n_train=300, seed=1, output=folder / "out", model=str(tiny_folder), questions=QUESTIONS, progress=False)
    return folder / "out"


def test_everything_is_written(output: Path) -> None:
    assert {path.name for path in output.iterdir()} == {
        "summary.json",
        "distributions.csv",
        "distributions.png",
        "shifts.png",
        "scores.png",
    }
    assert all(path.stat().st_size > 10_000 for path in output.glob("*.png"))


def test_the_summary_holds_every_method_and_the_sizes(output: Path) -> None:
    summary = json.loads((output / "summary.json").read_text())
    assert set(summary["methods"]) == set(demo.METHODS.values())
    for scores in summary["methods"].values():
        low, high = scores["wasserstein_interval"]
        assert 0 < low < scores["wasserstein"] < high < 1
        assert 0 < scores["total_variation"] < 1
    assert (summary["n_train"], summary["n_questions"], summary["n_backgrounds"]) == (300, len(QUESTIONS), 36)
    assert summary["n_truth"] == 5836 - 300
    assert 0 < summary["noise_floor"]["wasserstein"] < min(scores["wasserstein"] for scores in summary["methods"].values())
    assert summary["seconds"] > 0


def test_the_summary_follows_from_the_table(output: Path) -> None:
    summary = json.loads((output / "summary.json").read_text())
    table = pd.read_csv(output / "distributions.csv", dtype={"option_code": object})
    cells = table.dropna(subset="share").groupby(["source", "question_id", "background_id"]).share.sum()
    np.testing.assert_allclose(cells, 1, atol=1e-9)
    survey = ss.load_example("nonvoters2020")
    truth = table[table.source == "respondents left out"]
    population = ss.observed_backgrounds(survey, by=demo.TRAITS)
    raw = table[table.source == "raw sample"]
    scores = ss.evaluate(raw, truth, metrics=demo.METRICS, codebook=survey.codebook, weights=population)
    again = ss.summarise_scores(scores).set_index("metric").estimate
    assert again["wasserstein"] == pytest.approx(summary["methods"]["raw sample"]["wasserstein"], abs=1e-5)


def test_the_truth_holds_no_respondent_of_the_training_sample() -> None:
    survey = ss.load_example("nonvoters2020")
    train, rest = ss.hold_out_respondents(survey, n_train=400, seed=2020)
    assert len(train) == 400
    assert set(train.data.respondent_id).isdisjoint(rest.data.respondent_id)
    assert len(train) + len(rest) == len(survey)


def test_the_command_line_names_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo.main(["--help"])
    assert stopped.value.code == 0
    assert "--n-train" in capsys.readouterr().out
