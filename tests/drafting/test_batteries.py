"""Multiple-response batteries: yes/no columns of one stem, drafted with a common battery and tabulated together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import surveysim as ss
from tests.support.labelled import drafted, labelled_file

DRAW = np.random.default_rng(0)
MENTIONED = {0.0: "Not mentioned", 1.0: "Mentioned"}


def columns(*names: str) -> dict[str, np.ndarray]:
    return {name: DRAW.integers(0, 2, 40).astype(float) for name in names}


def test_neighbours_of_one_stem_are_a_battery_and_are_tabulated_together(tmp_path: Path) -> None:
    names = ("Q5_1", "Q5_2", "Q5_3")
    path = labelled_file(tmp_path / "x.sav", columns(*names), {}, dict.fromkeys(names, MENTIONED))
    book, _ = drafted(path)
    assert book.batteries == {"Q5": ["Q5_1", "Q5_2", "Q5_3"]}
    assert {book.question(name).topic for name in names} == {"Q5"}
    shares = ss.response_distributions(ss.read_survey(path, book, weight="none"), questions=book.batteries["Q5"])
    assert shares.groupby("question_id")["share"].sum().tolist() == [1.0, 1.0, 1.0]


def test_a_stem_of_the_labels_will_do(tmp_path: Path) -> None:
    labels = {"papers": "Reads: papers", "books": "Reads: books", "blogs": "Reads: blogs"}
    values = {name: {1.0: "Marked", 0.0: "Not marked"} for name in labels}
    book, _ = drafted(labelled_file(tmp_path / "x.sav", columns(*labels), labels, values))
    assert book.batteries == {"Reads": ["papers", "books", "blogs"]}


def test_questions_of_other_options_or_two_columns_are_none(tmp_path: Path) -> None:
    names = ("a1", "a2", "b1", "b2", "b3")
    values = {"a1": MENTIONED, "a2": MENTIONED, **{name: {0.0: "North", 1.0: "South"} for name in ("b1", "b2", "b3")}}
    book, _ = drafted(labelled_file(tmp_path / "x.sav", columns(*names), {}, values))
    assert book.batteries == {}
    assert len(book.questions) == 6


def test_yes_and_no_in_other_languages(tmp_path: Path) -> None:
    for yes, no in (("Oui", "Non"), ("Ja", "Nein"), ("Sí", "No"), ("Да", "Нет"), ("是", "否"), ("Evet", "Hayır"), ("선택", "아니오")):
        names = ("m_1", "m_2", "m_3")
        path = labelled_file(tmp_path / "x.sav", columns(*names), {}, {name: {1.0: yes, 0.0: no} for name in names})
        assert drafted(path)[0].batteries == {"m": list(names)}, yes
