"""Rows that are one person are found where all their answers are alike and rare; rows that are alike by chance are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Codebook, Option, Question
from surveysim.survey.recurring import answer_numbers, cell_hashes, people


def _survey(answers: np.ndarray) -> ss.Survey:
    options = tuple(Option(code, f"option {code}") for code in range(5))
    questions = {f"q{place}": Question(f"q{place}", "Q?", options) for place in range(answers.shape[1])}
    frame = pd.DataFrame(answers, columns=list(questions))
    return ss.as_survey(frame, Codebook("b", "B", {}, questions, system_missing="not_asked"), weight="none")


def _people(survey: ss.Survey, ids: np.ndarray | None = None) -> np.ndarray:
    return people(survey.data["respondent_id"].to_numpy() if ids is None else ids, survey.data, survey.reasons)


def _random(rows: int, questions: int = 40, options: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, options, (rows, questions)).astype(float)


def test_rows_drawn_again_are_one_person() -> None:
    drawn = np.random.default_rng(0).integers(0, 300, 300)
    found = _people(_survey(_random(300)[drawn]))
    assert (found == pd.factorize(drawn)[0]).all()


def test_nobody_recurs_in_a_survey_of_different_people() -> None:
    assert (_people(_survey(_random(500))) == np.arange(500)).all()
    assert (_people(ss.load_example("nonvoters2020")) == np.arange(5836)).all()


@pytest.mark.parametrize("answers", [
    np.zeros((30, 40)),  # everyone gave the same answers: they say nothing
    np.full((30, 40), np.nan),  # nobody answered
    _random(400, questions=6),  # few questions: chance brings rows together
    np.hstack([_random(50, questions=5), np.full((50, 40), np.nan)]),  # few answers
], ids=["the same answers", "no answers", "few questions", "few answers"])  # fmt: skip
def test_rows_that_chance_brings_together_are_not_one_person(answers: np.ndarray) -> None:
    assert (_people(_survey(answers)) == np.arange(len(answers))).all()


def test_one_id_is_one_person_and_goes_with_its_copies() -> None:
    answers = _random(6)
    answers[4] = answers[0]
    assert _people(_survey(answers), np.array([1, 2, 3, 3, 5, 5])).tolist() == [0, 1, 2, 2, 0, 0]


def test_no_questions_and_no_rows() -> None:
    survey = ss.load_example("nonvoters2020")
    assert (_people(ss.as_survey(survey.data, survey.codebook, questions=[])) == np.arange(5836)).all()
    assert len(_people(survey.take(np.array([], dtype=int)))) == 0


def test_the_same_cells_have_the_same_number_and_others_another() -> None:
    cells = np.array([[0, 1, -1], [0, 1, -1], [1, 0, -1], [0, -1, 1]])
    hashes = cell_hashes(cells)
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 3


def test_numbers_are_those_of_valid_answers() -> None:
    survey = _survey(np.array([[0, 1], [np.nan, 1], [0, 2]]))
    numbers = answer_numbers(survey.data, survey.reasons)
    assert numbers.tolist() == [[0, 0], [-1, 0], [0, 1]]


def test_reading_a_resample_notes_it(tmp_path: Path) -> None:
    survey = ss.load_example("nonvoters2020")
    drawn = np.random.default_rng(0).integers(0, 500, 500)
    frame = survey.data.iloc[drawn].drop(columns="respondent_id").reset_index(drop=True).assign(respid=np.arange(500))
    path = ss.write_survey(frame, tmp_path / "x.sav", "nonvoters2020")
    said = "; ".join(ss.read_survey(path, "nonvoters2020").notes)
    assert (
        f"{500 - len(set(drawn.tolist()))} of 500 respondents have the very answers of another: {len(set(drawn.tolist()))} people" in said
    )
    assert "check_duplicates(survey) lists the pairs" in said
