"""A codebook is named, found by its path, given, or brought by a survey: every verb takes it in all four ways."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import surveysim as ss
from tests.support.pages import PROJECT

SURVEY = ss.load_example("nonvoters2020")
WAYS = {"path": PROJECT / "codebooks" / "nonvoters2020.toml", "text of a path": str(PROJECT / "codebooks" / "nonvoters2020.toml")}
WAYS |= {"codebook": SURVEY.codebook, "survey": SURVEY}
BY, ASKED = ["gender", "age3"], ["Q8_8"]
SHARES = ss.response_distributions(SURVEY, by=BY, questions=ASKED)
TRAIN, _ = ss.hold_out_respondents(SURVEY, n_train=400, seed=0)
SAMPLE = ss.response_distributions(TRAIN, by=BY, questions=ASKED)
GRID = ss.background_grid("nonvoters2020", by=BY)
FRAME = SURVEY.data[["weight", "gender", "age3", "Q8_8"]]
PEOPLE = ss.observed_backgrounds(SURVEY, by=BY)
LEVELS = {"gender": "female", "age3": "55+"}


def _file(call: Callable[[Path], Path], ending: str, folder: Path) -> bytes:
    return call(folder / f"x{ending}").read_bytes()


CALLS: dict[str, Callable[[Any, Path], object]] = {
    "as_distributions": lambda book, _: ss.as_distributions(SHARES, book, shares="share"),
    "as_survey": lambda book, _: ss.as_survey(FRAME, book, questions=ASKED, traits=BY).data,
    "background_grid": lambda book, _: ss.background_grid(book, by=BY),
    "compare_with_official": lambda book, _: ss.compare_with_official(
        ss.response_distributions(SURVEY, questions="Q20", missing="as_option"), ss.read_official("us_voting_2020"), codebook=book
    ),
    "describe_background": lambda book, _: ss.describe_background(LEVELS, book),
    "diagnose": lambda book, _: ss.diagnose(SAMPLE, SHARES, codebook=book),
    "estimate_baseline": lambda book, _: ss.estimate_baseline(SAMPLE, GRID, method="ridge", codebook=book),
    "evaluate": lambda book, _: ss.evaluate(SAMPLE, SHARES, codebook=book),
    "export_popfidelity": lambda book, folder: _file(lambda path: ss.export_popfidelity(SHARES, path, codebook=book), ".csv", folder),
    "export_poststratification": lambda book, folder: _file(
        lambda path: ss.export_poststratification(SURVEY, path, by=BY, codebook=book), ".csv", folder
    ),
    "export_table": lambda book, folder: _file(lambda path: ss.export_table(SHARES, path, codebook=book), ".csv", folder),
    "harmonise": lambda book, _: ss.harmonise(SHARES, book),
    "hold_out_questions": lambda book, _: ss.hold_out_questions(ss.load_codebook(book), fraction=0.2, seed=0),
    "load_codebook": lambda book, _: ss.load_codebook(book),
    "noise_floor": lambda book, _: ss.noise_floor(SHARES, codebook=book, draws=5),
    "plot_change": lambda book, _: ss.plot_change(SHARES, SAMPLE, question="Q8_8", codebook=book, draw=False),
    "plot_distributions": lambda book, _: ss.plot_distributions(SHARES, question="Q8_8", codebook=book, draw=False),
    "plot_map": lambda book, _: ss.plot_map(
        ss.poststratify(SHARES, SURVEY, by="gender"),
        trait="gender",
        question="Q8_8",
        tiles=pd.DataFrame({"level": ["female", "male"], "row": 0, "column": [0, 1]}),
        codebook=book,
        draw=False,
    ),
    "plot_shifts": lambda book, _: ss.plot_shifts(SHARES, question="Q8_8", trait="age3", codebook=book, draw=False),
    "population_fidelity": lambda book, _: ss.population_fidelity(SAMPLE, SHARES, codebook=book),
    "report": lambda book, folder: "Why Many Americans" in ss.report(SHARES, folder / "x.html", survey=book).read_text(encoding="utf-8"),
    "scorecard": lambda book, _: ss.scorecard(SAMPLE, SHARES, codebook=book, draws=19).table,
    "simulate": lambda book, _: ss.simulate(FRAME, BY, codebook=book, questions=ASKED, method="shrunken"),
    "simulate_respondents": lambda book, _: ss.simulate_respondents(
        TRAIN.data[["weight", "gender", "age3", "Q8_8", "Q8_7"]], PEOPLE, codebook=book, n=50, method="shrunken", questions=["Q8_8", "Q8_7"]
    ),
    "write_ddi": lambda book, folder: _file(lambda path: ss.write_ddi(book, path), ".xml", folder),
    "write_survey": lambda book, folder: _file(lambda path: ss.write_survey(FRAME, path, book), ".sav", folder)[200:],
    "write_table": lambda book, folder: _file(lambda path: ss.write_table(SHARES, path, book), ".sav", folder)[200:],
}
ELSEWHERE = {  # needs a model, or a file of its own: there load_codebook is called as here
    *("align", "prompt_sensitivity", "simulate_to_parquet", "add_question", "read_survey", "Survey"),
}


@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_takes_a_codebook_in_every_way(verb: str, tmp_path: Path) -> None:
    named = CALLS[verb]("nonvoters2020", tmp_path)
    for way, book in WAYS.items():
        made = CALLS[verb](book, tmp_path)
        if isinstance(named, pd.DataFrame):
            pd.testing.assert_frame_equal(made, named, obj=f"{verb} by {way}")
        else:
            assert made == named, way


def test_every_verb_with_a_codebook_is_tried() -> None:
    taking = {name for name in ss.__all__ if callable(getattr(ss, name)) and "codebook" in _parameters(getattr(ss, name))}
    assert taking - ELSEWHERE <= set(CALLS)


def _parameters(verb: Any) -> set[str]:
    try:
        return set(inspect.signature(verb).parameters)
    except ValueError:
        return set()
