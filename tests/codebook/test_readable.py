"""Traits, labels and whether a table is simulated, as columns of every table that a verb returns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.backgrounds import background_id
from surveysim.codebook.readable import readable
from tests.support.small_surveys import small_survey

BY = ["gender", "age"]
SURVEY = small_survey(design=True)
SHARES = ss.response_distributions(SURVEY, by=BY)
SIMULATED = ss.simulate(SURVEY, BY, method="mrp", draws=20)


def _tables() -> dict[str, pd.DataFrame]:
    halves = ss.cross_fit(SURVEY, lambda part: ss.simulate(part, BY, method="ridge"), by=BY, progress=False)
    grid = ss.background_grid(SURVEY.codebook, by=BY)
    return {
        "response_distributions": SHARES,
        "simulate": SIMULATED,
        "estimate_baseline": ss.estimate_baseline(SHARES, grid, method="shrunken"),
        "poststratify": ss.poststratify(SIMULATED, SURVEY, by=BY),
        "composite": ss.composite(SHARES, SIMULATED, independent=True),
        "conformal_intervals": ss.conformal_intervals(halves, level=0.8),
        "cross_fit, direct": halves.direct,
        "abstain": ss.abstain(SIMULATED, SURVEY),
        "restore_spread": ss.restore_spread(SIMULATED),
        "prediction_powered": ss.prediction_powered(SURVEY, halves, population=SURVEY, by=BY),
        "as_distributions": ss.as_distributions(SHARES, SURVEY.codebook, shares="share", simulated=False),
        "protect": ss.protect(SHARES, min_n=1),
    }


TABLES = _tables()


@pytest.mark.parametrize("verb", TABLES)
def test_every_table_of_shares_has_traits_and_labels(verb: str) -> None:
    table = TABLES[verb]
    made = [background_id({"gender": row.gender, "age": row.age}) for row in table.itertuples()]
    assert made == table["background_id"].tolist()
    levels = {name: list(SURVEY.codebook.trait(name).level_names) for name in BY}
    assert {name: list(table[name].cat.categories) for name in BY} == levels, "levels stand in the codebook's order"
    words = {(name, option.code): option.label for name, asked in SURVEY.codebook.questions.items() for option in asked.options}
    assert table["option_label"].tolist() == [words[key] for key in zip(table["question_id"], table["option_code"], strict=True)]


def test_whether_it_is_simulated_stands_in_every_row() -> None:
    told = {verb: table["simulated"].unique().tolist() for verb, table in TABLES.items() if "simulated" in table}
    answers = {"response_distributions", "cross_fit, direct", "as_distributions", "protect"}
    assert told == {verb: [verb not in answers] for verb in TABLES if verb != "composite"}  # which is of both kinds


def test_means_and_scores_have_their_traits() -> None:
    means = ss.survey_mean(SURVEY, questions="q1", by=BY)
    scores = ss.evaluate(SIMULATED, SHARES, codebook=SURVEY.codebook)
    for table in (means, scores):
        assert [background_id({"gender": row.gender, "age": row.age}) for row in table.itertuples()] == table["background_id"].tolist()
    assert means["simulated"].eq(False).all()
    assert "simulated" not in scores


def test_a_margin_has_no_level_of_what_it_does_not_name() -> None:
    both = readable(pd.concat([SHARES, ss.response_distributions(SURVEY, by="gender"), ss.response_distributions(SURVEY)]))
    margin = both[both["background_id"].isin(["gender=male", "all"])]
    assert margin["age"].isna().all()
    assert both[both["background_id"] == "all"]["gender"].isna().all()


def test_a_reason_that_counts_as_an_answer_is_its_own_label() -> None:
    table = ss.response_distributions(SURVEY, questions="q1", missing="as_option")
    reasons = table[table["option_code"].map(lambda code: isinstance(code, str))]
    assert len(reasons)
    assert reasons["option_label"].tolist() == reasons["option_code"].tolist()


def test_without_a_codebook_the_traits_stand_as_the_table_has_them() -> None:
    table = ss.response_distributions(ss.load_example("nonvoters2020"), by=["gender", "age3"], questions="Q8_8")
    bare = table.drop(columns=["gender", "age3"])
    assert readable(table).columns.equals(table.columns)
    assert [name for name in readable(bare, like=[table]) if name in ("gender", "age3")] == ["gender", "age3"]
    assert [name for name in readable(bare) if name in ("gender", "age3")] == ["age3", "gender"]


def test_ids_of_others_and_columns_of_others_are_left_alone() -> None:
    table = pd.DataFrame({"question_id": "q", "background_id": ["b1", "b2"], "option_code": 1, "share": 1.0})
    assert list(readable(table)) == ["question_id", "option_code", "background_id", "share"]
    own = pd.DataFrame({"background_id": ["age=old|share=low"], "age": ["mine"], "share": [1.0]})
    assert readable(own).to_dict("list") == {"background_id": ["age=old|share=low"], "age": ["mine"], "share": [1.0]}


def test_verbs_take_tables_without_these_columns(tmp_path: Path) -> None:
    bare = {name: table.drop(columns=[*BY, "option_label", "simulated"]) for name, table in {"ours": SHARES, "sim": SIMULATED}.items()}
    for made, before in (
        (ss.composite(SHARES, SIMULATED, independent=True), ss.composite(bare["ours"], bare["sim"], independent=True)),
        (ss.poststratify(SIMULATED, SURVEY), ss.poststratify(bare["sim"], SURVEY)),
        (ss.abstain(SIMULATED, SURVEY), ss.abstain(bare["sim"], SURVEY)),
        (ss.restore_spread(SIMULATED), ss.restore_spread(bare["sim"])),
        (ss.evaluate(SIMULATED, SHARES, ordinal="q1"), ss.evaluate(bare["sim"], bare["ours"], ordinal="q1")),
        (ss.protect(SHARES), ss.protect(bare["ours"])),
        (ss.protect(SHARES, how="round"), ss.protect(bare["ours"], how="round")),
        (ss.background_shifts(SHARES), ss.background_shifts(bare["ours"])),
    ):
        numbers = [name for name in before.select_dtypes("number").columns if name in made]
        pd.testing.assert_frame_equal(made[numbers], before[numbers])
    ours, theirs = (pd.read_csv(ss.export_table(table, tmp_path / "x.csv", codebook=SURVEY.codebook)) for table in (SHARES, bare["ours"]))
    pd.testing.assert_frame_equal(ours, theirs[ours.columns])
