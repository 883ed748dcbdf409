"""The survey that ships gives the numbers that R's survey package gives for it, and the notebook beside R shows those very numbers."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

import surveysim as ss
from tests.support.r_numbers import FOLDER, assert_equals_r

R = json.loads((FOLDER / "r_nonvoters2020.json").read_text())
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_weights_and_design.ipynb"
MARGINS = {"gender": {"female": 0.52, "male": 0.48}, "education": {"high school or less": 0.38, "some college": 0.29, "college": 0.33}}


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return ss.load_example("nonvoters2020")


def _mean(survey: ss.Survey) -> dict[str, dict[str, float]]:
    row = ss.survey_mean(survey, questions=["Q8_8"]).iloc[0]
    return {"estimate": {"Q8_8": row.estimate}, "se": {"Q8_8": row.std_error}}


def _by(table: pd.DataFrame, key: str, value: str) -> dict[str, dict[str, float]]:
    names = [str(name).removeprefix("gender=") for name in table[key]]
    return {"estimate": dict(zip(names, table[value], strict=True)), "se": dict(zip(names, table["std_error"], strict=True))}


def _clustered(survey: ss.Survey) -> ss.Survey:
    return replace(survey, data=survey.data.assign(stratum=survey.data["education"].astype(str), psu=survey.data["age6"].astype(str)))


def _a_lot(survey: ss.Survey, background: str, by: list[str]) -> dict[str, Any]:
    shares = ss.response_distributions(survey, by=by, questions=["Q8_8"])
    row = shares[(shares["background_id"] == background) & (shares["option_code"] == 1)].iloc[0]
    return {"estimate": row.share, "conf": [row.conf_low, row.conf_high]}


def _ratio(survey: ss.Survey) -> dict[str, float]:
    row = ss.survey_ratio(survey, numerator="Q8_8", denominator="Q8_9").iloc[0]
    return {"estimate": row.estimate, "se": row.std_error}


OURS: dict[str, Callable[[ss.Survey], Any]] = {
    "mean": lambda survey: {**_mean(survey), "deff": ss.survey_mean(survey, questions=["Q8_8"]).deff.iloc[0]},
    "mean_by_gender": lambda survey: _by(ss.survey_mean(survey, questions=["Q8_8"], by=["gender"]), "background_id", "estimate"),
    "shares": lambda survey: _by(ss.response_distributions(survey, questions=["Q8_8"]), "option_code", "share"),
    "share_a_lot": lambda survey: _a_lot(survey, "all", []),
    "share_a_lot_women": lambda survey: _a_lot(survey, "gender=female", ["gender"]),
    "ratio": _ratio,
    "raked_mean": lambda survey: _mean(ss.rake(survey, MARGINS)),
    "clustered_mean": lambda survey: {**_mean(_clustered(survey)), "df": _clustered(survey).design.degrees_of_freedom},
    "jackknife_mean": lambda survey: _mean(ss.as_replicates(_clustered(survey), method="JKn")),
    "kish_n_eff": lambda survey: ss.weight_summary(survey).n_eff.iloc[0],
}


@pytest.mark.parametrize("name", sorted(set(R) - {"versions", "raked_mean_by_rake"}))
def test_the_numbers_are_r_s(survey: ss.Survey, name: str) -> None:
    assert_equals_r(OURS[name](survey), R[name], name)


def test_r_s_two_ways_of_raking_differ_in_the_error_alone(survey: ss.Survey) -> None:
    """R's `rake` takes unweighted means of residuals, its `calibrate` a regression with the weights, as ours does."""
    ours, theirs = _mean(ss.rake(survey, MARGINS)), R["raked_mean_by_rake"]
    assert_equals_r(ours["estimate"], theirs["estimate"])
    assert ours["se"]["Q8_8"] == pytest.approx(theirs["se"]["Q8_8"], rel=0.005)
    assert_equals_r(_mean(ss.rake(survey, MARGINS, residuals="in_turn")), theirs)


def _leaves(node: Any) -> list[float]:
    if isinstance(node, dict):
        return [leaf for value in node.values() for leaf in _leaves(value)]
    return [leaf for value in node for leaf in _leaves(value)] if isinstance(node, list) else [node]


def test_the_notebook_shows_r_s_own_numbers() -> None:
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    shown = [
        node.value
        for node in ast.walk(ast.parse("\n".join(cells)))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and len(repr(node.value)) > 10
    ]
    numbers = [leaf for name, value in R.items() if name != "versions" for leaf in _leaves(value)]
    assert len(shown) >= 10
    assert [value for value in shown if value not in numbers] == []
