"""Exports: what is written comes back with its facts, and small cells never leave unless asked."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight
from surveysim.errors import ReadError, SurveySimError, TableError
from surveysim.tables.schema import DISTRIBUTION_COLUMNS
from tests.support.small_surveys import LEVELS, small_codebook, small_survey

BY = ["age", "gender", "region"]
SURVEY = small_survey(n=120)
CELLS = ss.response_distributions(SURVEY, by=BY)
SMALL = set(CELLS.loc[(CELLS["n"] > 0) & (CELLS["n"] < 10), "background_id"])
PEOPLE = ss.background_grid(small_codebook(), by=BY).assign(count=range(1, 13))
BOOK = small_codebook()


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return (pyreadstat.read_dta if path.suffix == ".dta" else pyreadstat.read_sav)(str(path))[0]


def facts(path: Path) -> dict:
    return read(path).attrs if path.suffix == ".parquet" else json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".sav", ".dta"])
def test_a_table_comes_back_with_its_facts_and_without_its_small_cells(suffix: str, tmp_path: Path) -> None:
    assert SMALL, "the survey has small cells"
    path = ss.export_table(CELLS, tmp_path / f"shares{suffix}")
    again = read(path)
    expected = ss.protect(CELLS)
    assert len(again) == len(CELLS)
    np.testing.assert_allclose(again["share"].to_numpy(float), expected["share"].to_numpy(float), rtol=1e-15)
    told = again["share"].notna()
    assert again.loc[told, "n"].min() >= 10
    assert again.loc[again["background_id"].isin(SMALL), "share"].isna().any()
    kept = facts(path)
    assert (kept["weight"], kept["denominator"]) == ("w", "valid answers")
    assert kept["disclosure"]["min_n"] == 10
    assert kept["disclosure"]["primary"] > 0
    beside = set() if suffix == ".parquet" else {f"{path.name}.json"}
    assert {item.name for item in tmp_path.iterdir()} == {path.name} | beside


def test_nothing_is_withheld_where_that_is_asked_for_and_the_facts_say_so(tmp_path: Path) -> None:
    path = ss.export_table(CELLS, tmp_path / "all.csv", min_n=0)
    np.testing.assert_allclose(read(path)["share"].to_numpy(float), CELLS["share"].to_numpy(float))
    assert facts(path)["disclosure"] == {"how": "none", "min_n": 0, "min_count": 0}
    assert "disclosure" not in CELLS.attrs, "the table at hand is as it was"
    assert CELLS["share"].notna().all(), "and shows its owner everything"


def test_rounding_and_model_based_sources_pass_through(tmp_path: Path) -> None:
    rounded = read(ss.export_table(CELLS, tmp_path / "rounded.csv", how="round", min_n=5))
    assert (rounded["n"] % 5 == 0).all()
    model = CELLS.assign(source="dsa")
    shown = read(ss.export_table(model, tmp_path / "model.csv", model_based=["dsa"]))
    assert shown["share"].notna().all()
    assert shown.loc[shown["n"].notna(), "n"].min() >= 10
    beside = ss.response_distributions(SURVEY, by=["age", "gender"])
    one, two = (read(ss.export_table(CELLS, tmp_path / "beside.csv", published=table)) for table in (None, beside))
    assert two["share"].isna().sum() > one["share"].isna().sum()


def test_traits_and_labels_are_spelled_out_with_a_codebook(tmp_path: Path) -> None:
    again = read(ss.export_table(CELLS[CELLS["question_id"] == "q1"], tmp_path / "shares.csv", codebook=BOOK))
    assert set(BY) <= set(again)
    assert again["option_label"].unique().tolist() == ["none", "little", "some", "much"]
    labels = pyreadstat.read_sav(str(ss.export_table(CELLS, tmp_path / "shares.sav", codebook=BOOK)))[1].column_names_to_labels
    assert labels["share"].startswith("Share")
    assert labels["suppressed"] == "Why the cell's numbers are withheld"


def test_codes_of_either_kind_go_into_one_file(tmp_path: Path) -> None:
    again = read(ss.export_table(CELLS, tmp_path / "both.parquet", min_n=0))
    assert again["option_code"].unique().tolist() == ["0", "1", "2", "3", "yes", "no"]


def test_simulated_tables_keep_model_seed_and_steps(tmp_path: Path) -> None:
    simulated = ss.simulate(SURVEY, ss.background_grid(BOOK, by=BY), questions=["q1"], method="ridge", seed=3)
    total = ss.poststratify(simulated, PEOPLE)
    kept = facts(ss.export_table(total, tmp_path / "total.parquet"))
    assert kept["simulated"] is True
    assert kept["population"] == "population table"
    assert [step["step"] for step in kept["weights_applied"]] == ["within cells", "across cells"]


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(ReadError, match="disk full"):
        ss.export_table(CELLS, tmp_path / "shares.csv")
    assert list(tmp_path.iterdir()) == []


# --- the frame for multilevel models in R


def test_the_frame_has_a_row_per_cell_in_the_codebooks_order(tmp_path: Path) -> None:
    shuffled = PEOPLE.sample(frac=1, random_state=0)
    path = ss.export_poststratification(shuffled.drop(columns="background_id"), tmp_path / "cells.csv", codebook=BOOK)
    frame = pd.read_csv(path)
    assert frame.columns.tolist() == ["cell", *BY, "N"]
    assert {name: frame[name].unique().tolist() for name in BY} == {name: list(levels) for name, levels in LEVELS.items()}
    assert frame.set_index("cell")["N"].to_dict() == PEOPLE.set_index("background_id")["count"].to_dict()
    assert facts(path)["levels"]["region"] == ["north", "south", "west"]
    summed = pd.read_csv(ss.export_poststratification(PEOPLE, tmp_path / "age.csv", by=["age"]))
    assert summed["N"].tolist() == [sum(range(1, 7)), sum(range(7, 13))]


def test_answers_are_effective_numbers_that_add_up(tmp_path: Path) -> None:
    answers = CELLS[CELLS["question_id"] == "q1"]
    frame = pd.read_csv(ss.export_poststratification(PEOPLE, tmp_path / "cells.csv", by=BY, responses=answers, min_n=0)).set_index("cell")
    counts = frame[["y_0", "y_1", "y_2", "y_3"]]
    assert (counts.sum(axis=1) == frame["trials"]).all()
    wide = answers.pivot_table(index="background_id", columns="option_code", values="share").loc[frame.index]
    n_eff = answers.drop_duplicates("background_id").set_index("background_id")["n_eff"].loc[frame.index]
    assert (frame["trials"] == n_eff.round()).all()
    assert np.abs(counts.to_numpy() - wide.to_numpy() * frame[["trials"]].to_numpy()).max() < 1


def test_small_cells_keep_their_people_and_lose_their_answers(tmp_path: Path) -> None:
    answers = CELLS[CELLS["question_id"] == "q1"]
    few = set(answers.loc[answers["n"] < 10, "background_id"])
    path = ss.export_poststratification(PEOPLE, tmp_path / "cells.csv", by=BY, responses=answers)
    frame = pd.read_csv(path).set_index("cell")
    assert set(frame.index[frame["trials"].isna()]) == few
    assert frame["N"].notna().all()
    assert facts(path)["disclosure"]["primary"] == len(few)
    west = "age=young|gender=female|region=west"
    unsampled = answers.assign(share=np.nan, n=0, n_eff=0.0).where(answers["background_id"] == west, answers)
    none = pd.read_csv(ss.export_poststratification(PEOPLE, tmp_path / "none.csv", by=BY, responses=unsampled, min_n=0)).set_index("cell")
    assert none.loc[west, ["trials", "y_0"]].tolist() == [0, 0]


def test_margins_and_surveys_are_populations_too(tmp_path: Path) -> None:
    margins = {"age": {"young": 30, "old": 70}, "gender": {"female": 60, "male": 40}}
    raked = pd.read_csv(ss.export_poststratification(margins, tmp_path / "raked.csv", by=["age", "gender"], structure=SURVEY))
    assert raked.groupby("age")["N"].sum().to_dict() == pytest.approx({"young": 30, "old": 70})
    assert pd.read_csv(ss.export_poststratification(SURVEY, tmp_path / "own.csv", by=["age"]))["N"].sum() == pytest.approx(1)
    with pytest.raises(TableError, match=r"population rests on fewer than 10 respondents in .*say min_n=0"):
        ss.export_poststratification(SURVEY, tmp_path / "cells.csv", by=BY)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="Rscript is not installed")
def test_r_reads_the_factors_in_order(tmp_path: Path) -> None:
    answers = CELLS[CELLS["question_id"] == "q1"]
    path = ss.export_poststratification(PEOPLE, tmp_path / "cells.csv", by=BY, codebook=BOOK, responses=answers)
    code = """
    cells <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
    traits <- c("age", "gender", "region")
    cells[traits] <- lapply(cells[traits], function(x) factor(x, levels = unique(x)))
    counts <- as.matrix(cells[startsWith(names(cells), "y_")])
    seen <- !is.na(cells$trials)
    fit <- glm(cbind(y_3, trials - y_3) ~ age + gender, family = quasibinomial, data = cells)  # rows of NA are left out
    share <- predict(fit, newdata = cells, type = "response")
    cat(levels(cells$age), levels(cells$region), sum(cells$N), sum(seen), all(rowSums(counts)[seen] == cells$trials[seen]),
        weighted.mean(share, cells$N) > 0)
    """
    done = subprocess.run(["Rscript", "-e", code, str(path)], capture_output=True, text=True, check=False)
    told = pd.read_csv(path)["trials"].notna().sum()
    assert done.stdout.split() == ["young", "old", "north", "south", "west", "78", str(told), "TRUE", "TRUE"], done.stderr


BROKEN: list[tuple[Callable[[Path], object], type[SurveySimError], str]] = [
    (lambda f: ss.export_table(CELLS, f / "shares.xls"), ReadError, r"extension '.xls' cannot be written; use .csv, .parquet, .xlsx"),
    (lambda f: ss.export_table(CELLS, f / "nowhere" / "shares.csv"), ReadError, "does not exist; make it first"),
    (lambda f: ss.export_table(CELLS.iloc[:0], f / "shares.csv"), ReadError, "the table has no rows"),
    (
        lambda f: ss.export_table(ss.background_shifts(CELLS), f / "shifts.csv"),
        TableError,
        "no column n, so that nobody can tell which of its cells are small; give n, or min_n=0",
    ),
    (lambda f: ss.export_table(CELLS, f / "shares.csv", min_n=-1), TableError, "min_n=-1 must be at least 1"),
    (lambda f: ss.export_poststratification(PEOPLE, f / "cells.sav"), ReadError, "extension '.sav' cannot be written; use .csv"),
    (lambda f: ss.export_poststratification(SURVEY, f / "cells.csv"), TableError, "give by=, the traits of the cells"),
    (
        lambda f: ss.export_poststratification(PEOPLE, f / "cells.csv", by=["aeg"]),
        TableError,
        "have traits age, gender, region, by= asks for aeg",
    ),
    (
        lambda f: ss.export_poststratification(PEOPLE, f / "cells.csv", responses=CELLS),
        TableError,
        "responses holds question_id q1, q2; keep one",
    ),
    (
        lambda f: ss.export_poststratification(PEOPLE.iloc[1:], f / "cells.csv", by=BY, responses=CELLS[CELLS["question_id"] == "q1"]),
        TableError,
        r"respondents in age=young\|gender=female\|region=north, which population lacks",
    ),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_what_cannot_be_exported_says_so(broken: Callable[[Path], object], error: type[SurveySimError], says: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=says):
        broken(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_contract_columns_are_all_written(tmp_path: Path) -> None:
    assert set(DISTRIBUTION_COLUMNS) <= set(read(ss.export_table(CELLS, tmp_path / "shares.csv")))


def test_a_text_that_would_start_a_formula_is_marked_in_csv_alone(tmp_path: Path) -> None:
    notes = ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(1)", "\tx", "-1", "3", "No"]
    table = CELLS.assign(note=[notes[row % len(notes)] for row in range(len(CELLS))], **{"=name": "plain"})
    path = ss.export_table(table, tmp_path / "shares.csv", min_n=0)
    written = read(path)
    assert written["note"].astype(str).unique().tolist() == [*(f"'{note}" for note in notes[:5]), *notes[5:]]
    assert "'=name" in written
    assert facts(path)["formula_prefix"] == {"'": {"note": notes[:5], "=name": []}}
    again = pd.read_parquet(ss.export_table(table, tmp_path / "shares.parquet", min_n=0))
    assert again["note"].tolist() == table["note"].tolist()
    assert "formula_prefix" not in again.attrs
    ss.write_table(table[["note"]], tmp_path / "notes.sav")
    assert pyreadstat.read_sav(str(tmp_path / "notes.sav"))[0]["note"].str.strip().tolist() == [note.strip() for note in table["note"]]
    assert "formula_prefix" not in facts(ss.export_table(CELLS, tmp_path / "plain.csv"))


def test_what_other_programs_compare_keeps_its_texts_and_a_warning_names_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    question = Question("q", "Which?", (Option(1, "=1+1"), Option(2, "No")))
    trait = Trait("t", "t", (Level("@SUM(1)", "high", (0,)), Level("low", "low", (1,))))
    book = ss.Codebook("small", "A small survey", {"t": trait}, {"q": question}, weights=(Weight("w"),))
    survey = ss.as_survey(pd.DataFrame({"t": [0, 1] * 20, "q": [1, 1, 2, 2] * 10, "w": 1.0}), book)
    cells = ss.response_distributions(survey, by="t")
    written = read(ss.export_popfidelity(cells, tmp_path / "cells.csv", codebook=book))
    assert set(written["option"]) == {"=1+1", "No"}
    assert "cells.csv: column 'option' holds texts that a spreadsheet takes for formulas ('=1+1')" in caplog.text
    frame = read(ss.export_poststratification(ss.observed_backgrounds(survey, by="t"), tmp_path / "frame.csv", by="t"))
    assert set(frame["t"]) == {"@SUM(1)", "low"}
    assert (
        "frame.csv: column 't' holds texts that a spreadsheet takes for formulas ('@SUM(1)'); they stand as they are, since R"
        in caplog.text
    )
