"""Published facts and the comparison with them: like is compared with like, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EvaluationError, ReadError, SurveySimError, TableError
from surveysim.evaluation.official import check_official, list_official, year_range
from surveysim.tables.schema import DISTRIBUTION_COLUMNS
from tests.support.small_surveys import small_survey

HEADER = "question_id,option_codes,share,country,year,weight,denominator,source\n"
FACT = "q1,2 3,0.4,Utopia,2020,w,valid answers,Census\n"
HERE = {"country": "Utopia", "year": 2020}


def facts(**changes: object) -> pd.DataFrame:
    row = {
        "question_id": "q1",
        "option_codes": "2 3",
        "share": 0.4,
        "country": "Utopia",
        "year": "2020",
        "weight": "w",
        "denominator": "valid answers",
        "source": "Census",
        "rounding": 0.01,
    }
    return pd.DataFrame([{**row, **changes}])


def cells(shares: list[float], errors: list[float], *, source: str = "survey", n_eff: float = 400.0) -> pd.DataFrame:
    size = len(shares)
    rows = [("q1", "all", code, code, shares[code], errors[code], 0.0, 1.0, 500, n_eff, source) for code in range(size)]
    table = pd.DataFrame(rows, columns=DISTRIBUTION_COLUMNS)
    table.attrs = {"weight": "w", "denominator": "valid answers"}
    return table


def test_a_file_is_read_and_completed(tmp_path: Path) -> None:
    path = tmp_path / "facts.csv"
    path.write_text("# facts\n" + HEADER + FACT)
    table = ss.read_official(path)
    assert table[["question_id", "option_codes", "share", "background_id"]].to_numpy().tolist() == [["q1", "2 3", 0.4, "all"]]
    assert table[["std_error", "rounding"]].isna().all(axis=None)


@pytest.mark.parametrize("name", list_official())
def test_what_ships_is_complete_and_sourced(name: str) -> None:
    table = ss.read_official(name)
    assert (table[["source", "url", "weight", "denominator", "note", "label"]] != "").all(axis=None)
    assert table["rounding"].gt(0).all()
    assert table["url"].str.startswith("https://").all()


def test_one_option_by_hand() -> None:
    table = ss.compare_with_official(cells([0.5, 0.2, 0.3], [0.02, 0.01, 0.03]), facts(option_codes="2", std_error=0.04, share=0.4), **HERE)
    assert table["source"].tolist() == ["official", "survey"]
    ours = table.iloc[1]
    np.testing.assert_allclose([ours["difference"], ours["difference_std_error"], ours["z"]], [-0.1, 0.05, -2.0])
    assert ours["within_rounding"] is False
    assert table.loc[0, "conf_low"] < 0.4 < table.loc[0, "conf_high"]


def test_a_sum_of_options_has_the_error_of_a_sum() -> None:
    """Errors of 400 independent respondents times root 2: the sum's are those of its own share, not the options' added."""
    shares = np.array([0.5, 0.2, 0.3])
    errors = np.sqrt(2 * shares * (1 - shares) / 400)
    ours = ss.compare_with_official(cells(list(shares), list(errors)), facts(option_codes="1 2", share=0.5), **HERE).iloc[1]
    np.testing.assert_allclose([ours["share"], ours["std_error"]], [0.5, np.sqrt(2 * 0.25 / 400)])
    assert ours["difference"] == 0
    assert ours["within_rounding"] is True


@pytest.mark.parametrize(("share", "within"), [(0.405, True), (0.4049, True), (0.4051, False), (0.395, True)])
def test_rounding_is_half_the_last_digit(share: float, within: bool) -> None:
    ours = ss.compare_with_official(cells([1 - share, share], [0.02, 0.02]), facts(option_codes="1"), **HERE).iloc[1]
    assert ours["within_rounding"] is within
    unknown = ss.compare_with_official(cells([1 - share, share], [0.02, 0.02]), facts(option_codes="1", rounding=np.nan), **HERE).iloc[1]
    assert pd.isna(unknown["within_rounding"])


def test_survey_and_simulation_stand_side_by_side_and_can_be_drawn() -> None:
    both = pd.concat([cells([0.6, 0.4], [0.02, 0.02]), cells([0.5, 0.5], [np.nan, np.nan], source="model")])
    both.attrs = cells([0.6, 0.4], [0.02, 0.02]).attrs
    table = ss.compare_with_official(both, facts(option_codes="1", label="likes it"), **HERE)
    assert table["source"].tolist() == ["official", "survey", "model"]
    assert np.isnan(table["z"].iloc[2]), "without a standard error there is no z"
    drawn = ss.plot_official(table, draw=False)
    np.testing.assert_allclose(drawn["difference"], [0, 0, 0.1], atol=1e-12)
    np.testing.assert_array_equal(drawn["n"], [np.nan, *both.drop_duplicates("source")["n"]])


def test_a_wave_of_years_and_the_country_in_any_case() -> None:
    estimates = cells([0.6, 0.4], [0.02, 0.02])
    table = ss.compare_with_official(estimates, facts(option_codes="1", year="2017-2022"), country="UTOPIA", year="2018")
    assert len(table) == 2
    assert year_range("2017-2022") == (2017, 2022)
    other = pd.concat([facts(option_codes="1"), facts(option_codes="1", question_id="q9")])
    assert ss.compare_with_official(estimates, other, **HERE).attrs["unmatched"] == 1


def test_the_shipped_survey_against_shipped_facts() -> None:
    """Asked before the election, 89% said that they were registered; the Census counts 73% of citizens after it."""
    survey = ss.load_example("nonvoters2020")
    asked = ss.response_distributions(survey, questions=["Q20"], missing="as_option")
    table = ss.compare_with_official(asked, ss.read_official("us_voting_2020"), codebook=survey.codebook)
    ours = table[table["source"] == "survey"].iloc[0]
    assert ours["official_share"] == 0.73
    assert ours["share"] == pytest.approx(0.894, abs=0.001)
    assert ours["z"] > 20
    assert table.attrs["weight"] == "weight"


SURVEY = small_survey()
SHARES = ss.response_distributions(SURVEY, questions=["q1"])
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (
        lambda: ss.compare_with_official(SHARES, facts(denominator="all respondents"), **HERE),
        EvaluationError,
        "denominators differ: official q1 is of 'all respondents', the estimates of 'valid answers'; estimate with missing='as_option'",
    ),
    (
        lambda: ss.compare_with_official(SHARES, facts(weight="w2"), **HERE),
        EvaluationError,
        "weights differ: official 'q1' is weighted by 'w2'",
    ),
    (
        lambda: ss.compare_with_official(SHARES, facts(year="2012"), **HERE),
        EvaluationError,
        "official is of another year: Utopia has 2012, the estimates are of 2020",
    ),
    (
        lambda: ss.compare_with_official(SHARES, facts(), country="Utopa", year=2020),
        EvaluationError,
        "no fact of country 'Utopa'; did you mean",
    ),
    (lambda: ss.compare_with_official(SHARES, facts()), EvaluationError, "do not say their country, year; give country="),
    (
        lambda: ss.compare_with_official(SHARES, facts(question_id="q7"), **HERE),
        EvaluationError,
        "no fact matches: official has questions q7",
    ),
    (lambda: ss.compare_with_official(SHARES, facts(option_codes="2 9"), **HERE), EvaluationError, "no fact matches"),
    (lambda: ss.compare_with_official(SHARES.assign(share=np.nan), facts(), **HERE), EvaluationError, "no fact matches"),
    (lambda: ss.compare_with_official(SHARES, facts(share=40.0), **HERE), TableError, "these are percentages: divide by 100"),
    (lambda: check_official(facts(share=-0.1)), TableError, "shares must lie in 0-1"),
    (lambda: check_official(facts(denominator="everyone")), TableError, "denominator 'everyone' is unknown"),
    (lambda: check_official(facts(year="twenty")), TableError, "'twenty' is no year"),
    (lambda: check_official(facts(year="2022-2017")), TableError, "'2022-2017' is no year"),
    (lambda: check_official(facts(source="")), TableError, "source is empty in row 0; give every row one"),
    (lambda: check_official(pd.concat([facts(), facts()])), TableError, "repeats a fact of q1"),
    (lambda: check_official(facts().drop(columns="weight")), TableError, "lacks column weight"),
    (lambda: ss.read_official("ivs_trusts"), ReadError, "no table of facts 'ivs_trusts' ships.*did you mean 'ivs_trust'"),
    (lambda: ss.read_official("nowhere/facts.csv"), ReadError, "'facts.csv' does not exist in folder 'nowhere'"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_unlike_things_are_not_compared(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()


FILES = [
    (HEADER, ReadError, "holds no facts"),
    (HEADER + FACT.replace("0.4", "39.6"), TableError, "percentages: divide by 100"),
    (HEADER + FACT.replace("0.4", "40%"), TableError, "share holds text: .*without a percent sign"),
    (HEADER + FACT.replace("Census", "Census, table 3"), ReadError, "rows 1 have not 8 entries"),
    (HEADER + FACT.replace("valid answers", ""), TableError, "denominator is empty in rows 0"),
]


@pytest.mark.parametrize(("text", "error", "says"), FILES, ids=[says[:30] for *_, says in FILES])
def test_unusable_files_say_so(tmp_path: Path, text: str, error: type[SurveySimError], says: str) -> None:
    path = tmp_path / "facts.csv"
    path.write_text(text)
    with pytest.raises(error, match=says):
        ss.read_official(path)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "facts.csv"
    path.write_bytes((HEADER + FACT.replace("Utopia", "Österreich")).encode("latin-1"))
    with pytest.raises(ReadError, match="is not a CSV in UTF-8"):
        ss.read_official(path)
