"""Multiple-response batteries: yes/no columns of one stem, drafted with a common battery and tabulated together."""

from __future__ import annotations

import struct
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


def test_columns_of_one_answer_are_left_out_with_what_an_empty_cell_may_say(tmp_path: Path) -> None:
    some = {"Q5_1": [1.0, np.nan, np.nan, np.nan], "Q5_2": [np.nan, 1.0, np.nan, np.nan], "Q5_3": [1.0, 1.0, np.nan, np.nan]}
    data = {name: np.array(cells * 10) for name, cells in some.items()}
    labels = {name: {1.0: "Mentioned"} for name in some}
    book, text = drafted(labelled_file(tmp_path / "x.sav", data, {}, labels))
    assert list(book.questions) == ["q"]
    for name in some:
        said = next(line for line in text.splitlines() if line.startswith(f"# - {name}: "))
        assert "as all 3 columns of 'Q5'; 20 of 40 respondents gave one of them: where an empty cell of theirs says 'not mentioned'" in said


def test_a_column_of_one_answer_that_stands_alone_or_has_missing_codes_is_no_such_battery(tmp_path: Path) -> None:
    cells = np.array([1.0, np.nan, np.nan, np.nan] * 10)
    data = {"a_1": cells, "b_1": np.where(np.isnan(cells), 9.0, cells), "b_2": cells, "b_3": cells}
    labels = {"a_1": {1.0: "Yes"}, **{name: {1.0: "Yes", 9.0: "Refused"} for name in ("b_1", "b_2", "b_3")}}
    _, text = drafted(labelled_file(tmp_path / "x.sav", data, {}, labels))
    assert "# - a_1: 1 labelled answer" in text
    assert "columns of" not in text


def test_a_multiple_response_set_that_the_file_declares_makes_a_battery_whatever_its_names(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "x.sav", columns("tv", "paper"), {}, dict.fromkeys(("tv", "paper"), MENTIONED))
    text = b"$media=D1 1 5 Media tv paper\n"
    content = path.read_bytes()
    end = content.index(struct.pack("<ii", 999, 0))  # of the dictionary; pyreadstat writes no sets
    path.write_bytes(content[:end] + struct.pack("<4i", 7, 7, 1, len(text)) + text + content[end:])
    assert drafted(path)[0].batteries == {"media": ["tv", "paper"]}
