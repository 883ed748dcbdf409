"""popfidelity: its format is read by the package itself, and its accuracy is our Wasserstein distance."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EvaluationError, ReadError, SurveySimError, TableError
from tests.support.small_surveys import small_codebook, small_survey

popfidelity = pytest.importorskip("popfidelity")

BOOK, BY = small_codebook(), ["age", "gender", "region"]
TRUTH = ss.response_distributions(small_survey(n=2000), by=BY)
MODEL = ss.simulate(small_survey(1, n=300), ss.background_grid(BOOK, by=BY), method="shrunken")


@pytest.mark.filterwarnings("ignore:The 'float_precision' argument is deprecated")  # popfidelity calls pandas' old name
def test_the_package_reads_its_format(tmp_path: Path) -> None:
    from popfidelity.io import read_cells

    path = ss.export_popfidelity(pd.concat([TRUTH, MODEL]), tmp_path / "cells.csv", codebook=BOOK)
    questions = popfidelity.read_questions(tmp_path / "cells_questions.yaml")
    assert questions["q1"].labels == ("none", "little", "some", "much")
    assert [questions[name].ordinal for name in ("q1", "q2")] == [True, False]
    cells = read_cells(path, questions, source="survey")["q1"]
    wide = TRUTH[TRUTH["question_id"] == "q1"].pivot_table(index="background_id", columns="option_order", values="share")
    np.testing.assert_allclose(cells.shares, wide.loc[list(cells.labels)], rtol=1e-14)
    facets = popfidelity.read_facets(tmp_path / "cells_facets.yaml").from_labels(cells.labels)
    assert [family.name for family in facets.families] == BY
    groups = popfidelity.score_groups(cells, read_cells(path, questions, source="shrunken")["q1"], facets)
    assert set(groups["level"]) >= {"young", "old", "female", "male", "north", "south", "west"}


def test_small_cells_are_left_out_and_counted(tmp_path: Path) -> None:
    small = ss.response_distributions(small_survey(n=120), by=BY, questions=["q1"])
    path = ss.export_popfidelity(small, tmp_path / "cells.csv")
    long, kept = pd.read_csv(path), json.loads((tmp_path / "cells.csv.json").read_text())
    assert long["n"].min() >= 10
    assert kept["cells_left_out"] == small.loc[small["n"] < 10, "background_id"].nunique() > 0
    assert long.columns.tolist() == ["cell_id", "question", "option", "share", "n", "source"]
    assert len(pd.read_csv(ss.export_popfidelity(small, path, min_n=0))) == len(small)


def test_accuracy_is_one_minus_our_wasserstein_distance() -> None:
    """Two definitions of the same distance, written by two groups, agree; the components make the score."""
    scores = ss.population_fidelity(MODEL, TRUTH, codebook=BOOK).iloc[0]
    assert (scores["question_id"], scores["source"], scores["n_cells"]) == ("q1", "shrunken", 12)
    ours = ss.evaluate(MODEL, TRUTH, codebook=BOOK, metrics=["wasserstein"])
    distance = ours[(ours["question_id"] == "q1") & (ours["metric"] == "wasserstein")]["estimate"].mean()
    np.testing.assert_allclose(scores["accuracy"], 1 - distance, rtol=1e-9)
    parts = scores[["accuracy", "adaptability", "structure"]].to_numpy(float)
    np.testing.assert_allclose(scores["pfs"], parts.prod() ** (1 / 3), rtol=1e-9)
    assert scores["binding"] == ["accuracy", "adaptability", "structure"][int(parts.argmin())]


def test_the_survey_itself_has_the_full_score_and_few_cells_have_none() -> None:
    same = ss.population_fidelity(TRUTH.assign(source="copy"), TRUTH, codebook=BOOK)
    np.testing.assert_allclose(same[["accuracy", "adaptability", "structure", "pfs"]].to_numpy(float), 1)
    assert same.attrs["popfidelity"] == popfidelity.__version__
    two = ss.response_distributions(small_survey(), by=["age"])
    assert ss.population_fidelity(two, two, codebook=BOOK)["pfs"].isna().all()


def test_cells_without_respondents_in_the_reference_do_not_count() -> None:
    gone = TRUTH.assign(share=TRUTH["share"].where(TRUTH["background_id"] != "age=old|gender=male|region=west"))
    assert ss.population_fidelity(MODEL, gone, codebook=BOOK)["n_cells"].tolist() == [11]


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "popfidelity":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EvaluationError, match="needs the package popfidelity: pip install popfidelity"):
        ss.population_fidelity(MODEL, TRUTH, codebook=BOOK)


WEST = TRUTH[~TRUTH["background_id"].str.contains("west")]
BROKEN: list[tuple[Callable[[Path], object], type[SurveySimError], str]] = [
    (
        lambda f: ss.population_fidelity(WEST, TRUTH, codebook=BOOK),
        EvaluationError,
        r"question 'q1': estimated lacks age=old\|gender=female\|reg",
    ),
    (lambda f: ss.population_fidelity(TRUTH, WEST, codebook=BOOK), EvaluationError, "estimated lacks no cell, reference lacks age=old"),
    (
        lambda f: ss.population_fidelity(TRUTH[TRUTH["question_id"] == "q2"], TRUTH, codebook=BOOK),
        EvaluationError,
        "no question of both tables is ordered",
    ),
    (lambda f: ss.export_popfidelity(TRUTH, f / "cells.sav"), ReadError, "extension '.sav' cannot be written; use .csv"),
    (lambda f: ss.export_popfidelity(TRUTH, f / "cells.csv", min_n=10_000), TableError, "no cell of distributions is left to export"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_unusable_tables_say_so(broken: Callable[[Path], object], error: type[SurveySimError], says: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=says):
        broken(tmp_path)
