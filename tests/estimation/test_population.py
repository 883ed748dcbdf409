"""Population tables: the file format and its refusals, and margins raked to a joint table as R rakes weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.errors import DesignError, ReadError, SurveySimError, TableError
from surveysim.estimation.population import check_population, list_populations
from tests.support.r_numbers import FOLDER, table

FACTS = "# source: Census\n# year: 2020\n# universe: residents aged 18 and over\n"


def write(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "people.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_file_is_read_with_its_facts(tmp_path: Path) -> None:
    people = ss.read_population(write(tmp_path, FACTS + "# note: a colon: inside\nage,gender,count\n18-34, female ,10\n35+,male,30\n"))
    assert people.to_dict("list") == {"age": ["18-34", "35+"], "gender": ["female", "male"], "count": [10.0, 30.0]}
    assert people.attrs == {"source": "Census", "year": "2020", "universe": "residents aged 18 and over", "note": "a colon: inside"}


@pytest.mark.parametrize("name", list_populations())
def test_what_ships_is_complete_and_sourced(name: str) -> None:
    people = ss.read_population(name)
    assert {"source", "url", "year", "country", "universe", "licence"} <= set(people.attrs)
    assert people["count"].gt(0).all()


def test_the_shipped_table_fits_the_shipped_survey() -> None:
    survey = ss.load_example("nonvoters2020")
    cells = ss.response_distributions(survey, by=["gender", "education"], questions=["Q8_8"])
    adjusted = ss.poststratify(cells, ss.read_population("us_adults_2014_2018"))
    assert adjusted["std_error"].gt(0).all()
    assert adjusted.attrs["population"].startswith("American Community Survey 2014-2018")


def test_raking_a_joint_table_gives_the_cell_totals_of_weights_that_r_raked() -> None:
    """R: ``rake(dclus1, list(~stype, ~sch.wide), ...)``; the structure is the table of its base weights."""
    schools = table("apiclus1")
    raked = pd.read_csv(FOLDER / "inputs" / "weights_rake_dclus1_stype_schwide.csv").iloc[:, -1].to_numpy(float)
    cells = (
        schools.assign(base=schools["pw"].astype(float), raked=raked).groupby(["stype", "sch.wide"])[["base", "raked"]].sum().reset_index()
    )
    margins = {
        "stype": cells.groupby("stype")["raked"].sum().to_dict(),
        "sch.wide": cells.groupby("sch.wide")["raked"].sum().to_dict(),
    }
    ours = ss.joint_population(margins, cells.rename(columns={"base": "count"})[["stype", "sch.wide", "count"]])
    np.testing.assert_allclose(ours["count"], cells["raked"], rtol=1e-6)


@given(st.lists(st.floats(0.05, 1), min_size=6, max_size=6), st.floats(0.1, 0.9), st.floats(0.1, 0.8))
@settings(max_examples=50, deadline=None)
def test_margins_are_met_and_interactions_kept(seed: list[float], first: float, second: float) -> None:
    structure = pd.DataFrame({"a": ["x", "x", "x", "y", "y", "y"], "b": ["1", "2", "3"] * 2, "count": seed})
    margins = {"a": {"x": first, "y": 1 - first}, "b": {"1": second, "2": 0.9 - second, "3": 0.1}}
    ours = ss.joint_population(margins, structure)
    assert ours.groupby("a")["population_share"].sum().to_dict() == pytest.approx(margins["a"], abs=1e-9)
    assert ours.groupby("b")["population_share"].sum().to_dict() == pytest.approx(margins["b"], abs=1e-9)
    before, after = np.log(structure["count"].to_numpy().reshape(2, 3)), np.log(ours["population_share"].to_numpy().reshape(2, 3))
    np.testing.assert_allclose(np.diff(np.diff(after, axis=0)), np.diff(np.diff(before, axis=0)), atol=1e-7)


def test_its_own_margins_leave_a_table_as_it_is() -> None:
    people = ss.read_population("us_adults_2014_2018")
    ours = ss.joint_population(ss.population_margins(people, by=["gender", "age_decade", "education"]), people)
    np.testing.assert_allclose(ours["count"], people["count"], rtol=1e-9)


STRUCTURE = pd.DataFrame({"age": ["young", "young", "old", "old"], "gender": ["female", "male"] * 2, "count": [1, 2, 3, 0]})
AGE, GENDER = {"young": 0.5, "old": 0.5}, {"female": 0.5, "male": 0.5}
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (
        lambda: ss.joint_population({"age": AGE, "gender": {"female": 60, "male": 40}}, STRUCTURE),
        TableError,
        "totals disagree: gender sums to 100, age to 1; make them speak of the same people",
    ),
    (lambda: ss.joint_population({"region": {"north": 1.0}}, STRUCTURE), TableError, "structure lacks trait region of margin 'region'"),
    (lambda: ss.joint_population({"age": {"young": 1.0}}, STRUCTURE), TableError, "only structure has age=old; only the margin has none"),
    (
        lambda: ss.joint_population({"age": {**AGE, "older": 0.0}}, STRUCTURE),
        TableError,
        "only structure has none; only the margin has age=older",
    ),
    (
        lambda: ss.joint_population({"gender": GENDER}, STRUCTURE.assign(count=[1, 0, 3, 0])),
        TableError,
        "has people in gender=male, where every cell of structure is 0",
    ),
    (
        lambda: ss.joint_population({"age": {"young": 0.2, "old": 0.8}, "gender": {"female": 0.3, "male": 0.7}}, STRUCTURE),
        DesignError,
        "raking did not converge.*contradict one another",
    ),
    (lambda: check_population(STRUCTURE.drop(columns="count")), TableError, "needs one of the columns 'count' and 'population_share'"),
    (lambda: check_population(STRUCTURE[["count"]]), TableError, "has no trait"),
    (lambda: check_population(STRUCTURE.assign(count=0)), TableError, "count sums to 0; there are no people"),
    (lambda: check_population(STRUCTURE.assign(count=-1)), TableError, "missing or negative in rows 0, 1, 2, 3"),
    (lambda: check_population(STRUCTURE.assign(n=[1, 2, None, 4])), TableError, "n is missing or negative in rows 2"),
    (lambda: check_population(pd.concat([STRUCTURE, STRUCTURE.iloc[:1]])), TableError, "repeats young / female"),
    (lambda: check_population(STRUCTURE.assign(age=["", "young", "old", "old"])), TableError, "a level is empty in rows 0"),
    (
        lambda: check_population(STRUCTURE.drop(columns="count").assign(population_share=[25.0, 25, 25, 25])),
        TableError,
        "it sums to 100; they are percentages: divide by 100",
    ),
    (
        lambda: check_population(STRUCTURE.drop(columns="count").assign(population_share=[0.2, 0.2, 0.2, 0.2])),
        TableError,
        "population_share must sum to 1; it sums to 0.8$",
    ),
    (
        lambda: ss.read_population("us_adult_2018"),
        ReadError,
        "no population table 'us_adult_2018' ships.*did you mean 'us_adults_2014_2018'",
    ),
    (lambda: ss.read_population("nowhere/people.csv"), ReadError, "'people.csv' does not exist in folder 'nowhere'"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_unusable_populations_say_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


FILES: list[tuple[str, str, type[SurveySimError], str]] = [
    (
        "age,count\nold,3\n",
        "utf-8",
        TableError,
        "does not say its source, year, universe; begin the file with lines such as '# source: ...'",
    ),
    (FACTS.replace("2020", "") + "age,count\nold,3\n", "utf-8", TableError, "does not say its year"),
    (FACTS + "age,count\n", "utf-8", ReadError, "holds no rows"),
    (FACTS + "age,count\nold,many\n", "utf-8", ReadError, "count holds text: .*many"),
    (FACTS + "age,count\nold,3,4,5\n", "utf-8", ReadError, "rows 1 have not 2 entries as the header has"),
    (FACTS + "age,count\nold,\n", "utf-8", TableError, "count is missing or negative in rows 0"),
    (FACTS + "age,population_share\nyoung,40\nold,60\n", "utf-8", TableError, "they are percentages: divide by 100"),
    (FACTS + "älter,count\nja,3\n", "latin-1", ReadError, "is not a CSV in UTF-8"),
]


@pytest.mark.parametrize(("text", "encoding", "error", "says"), FILES, ids=[says[:40] for *_, says in FILES])
def test_unusable_files_say_so(tmp_path: Path, text: str, encoding: str, error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        ss.read_population(write(tmp_path, text, encoding=encoding))
