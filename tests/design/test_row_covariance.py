"""A table carries the covariance of its rows through what pandas and files do to it, and shifts and joint shares use it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.design.estimators import Members, weighted_ratios
from surveysim.design.row_covariance import RowCovariance, known_rows
from surveysim.estimation.joint_shares import joint_shares
from surveysim.estimation.trait_shifts import trait_shifts
from tests.support.small_surveys import small_codebook, small_survey

SURVEY = small_survey(design=True)
PLAIN, CARRYING = (ss.response_distributions(SURVEY, questions="q1", by=["gender", "age"], covariance=given) for given in (False, True))


def test_without_asking_nothing_is_carried_and_no_number_moves() -> None:
    assert "covariance" not in PLAIN.attrs
    pd.testing.assert_frame_equal(PLAIN, CARRYING)


def test_it_survives_what_pandas_does() -> None:
    carried = CARRYING.attrs["covariance"]
    kept = [CARRYING[CARRYING["share"] > 0.1], CARRYING.copy(), copy.deepcopy(CARRYING), pd.concat([CARRYING, CARRYING])]
    assert all(table.attrs["covariance"] is carried for table in kept)
    other = ss.response_distributions(SURVEY, questions="q2", by=["gender", "age"], covariance=True)
    assert pd.concat([CARRYING, other]).attrs == {}  # unlike tables put together lose their attrs, without an error


def test_files_keep_its_text_alone(tmp_path: Path) -> None:
    CARRYING.to_parquet(tmp_path / "table.parquet")
    again = pd.read_parquet(tmp_path / "table.parquet")
    assert type(again.attrs["covariance"]) is str
    assert again.attrs["covariance"].startswith("of the rows of 1 question: 4 strata, 20 PSUs")
    assert known_rows(again) is None


def test_a_pickle_keeps_it_whole() -> None:
    again = pickle.loads(pickle.dumps(CARRYING))
    weights = {"age=young|gender=female": 1, "age=old|gender=male": -1}
    assert isinstance(again.attrs["covariance"], RowCovariance)
    pd.testing.assert_frame_equal(ss.survey_contrast(again, weights), ss.survey_contrast(CARRYING, weights))


def test_a_table_whose_numbers_were_changed_is_not_covered_by_it() -> None:
    changed = CARRYING.assign(share=CARRYING["share"][::-1].to_numpy())
    assert known_rows(CARRYING) is not None
    assert known_rows(changed) is None


def test_a_protected_table_leaves_the_sums_behind() -> None:
    assert type(ss.protect(CARRYING).attrs["covariance"]) is str


def test_its_diagonal_is_the_tables_own_standard_errors() -> None:
    known = known_rows(CARRYING)
    assert known is not None
    variance = np.diag(known.covariance(np.eye(16).reshape(4, 4, 16)))
    np.testing.assert_allclose(np.sqrt(variance), CARRYING["std_error"], rtol=1e-9)


def test_shifts_take_off_what_two_backgrounds_share() -> None:
    plain, exact = (ss.background_shifts(table) for table in (PLAIN, CARRYING))
    assert plain["shift"].tolist() == exact["shift"].tolist()
    contrast = ss.survey_contrast(CARRYING, {exact["background_to"][0]: 1, exact["background_from"][0]: -1})
    np.testing.assert_allclose(exact["std_error"][:4], contrast["std_error"])
    assert not np.allclose(plain["std_error"], exact["std_error"], rtol=1e-3)
    assert type(exact.attrs["covariance"]) is str


def _share_of(codes: list[int]) -> np.ndarray:
    answer = SURVEY.data["q1"].where(SURVEY.reasons["q1"].isna())
    rows = np.flatnonzero(answer.notna())
    cell = SURVEY.data["gender"].cat.codes.to_numpy(int) * 2 + SURVEY.data["age"].cat.codes.to_numpy(int)
    members = Members(SURVEY.design, rows, cell[rows], 4)
    return np.sqrt(weighted_ratios(members, answer.isin(codes).to_numpy(float)[rows, None])[1][:, 0])


@pytest.mark.parametrize("codes", [[0, 1], [1, 3], [0, 1, 2]])
def test_joint_shares_have_the_error_of_their_sum(codes: list[int]) -> None:
    exact, implied = joint_shares(CARRYING, codes), joint_shares(PLAIN, codes)
    np.testing.assert_allclose(exact["std_error"], _share_of(codes), rtol=1e-9)
    assert not np.allclose(implied["std_error"], _share_of(codes), rtol=1e-3)
    assert (exact["conf_low"] < exact["share"]).all()
    assert (exact["share"] < exact["conf_high"]).all()


def test_joint_shares_beside_a_simulation_keep_both_errors() -> None:
    simulated = PLAIN.assign(source="model", share=PLAIN["share"][::-1].to_numpy())
    both = pd.concat([CARRYING, simulated])
    both.attrs = CARRYING.attrs
    found = joint_shares(both, [0, 1]).set_index("source")
    np.testing.assert_allclose(found.loc["survey", "std_error"], _share_of([0, 1]), rtol=1e-9)
    np.testing.assert_allclose(found.loc["model", "std_error"], joint_shares(simulated, [0, 1])["std_error"])


def test_it_survives_stacking_and_serves_its_own_rows_alone() -> None:
    simulated = ss.simulate(SURVEY, ["gender", "age"], questions="q1", method="mrp")
    other = ss.response_distributions(SURVEY.take(np.arange(300)), questions="q1", by=["gender", "age"], covariance=True)
    both = ss.stack([CARRYING, simulated, other.assign(source="part")])
    for name, own in (("survey", CARRYING), ("part", other)):
        rows = both[both["source"] == name]
        assert known_rows(rows) is known_rows(own)
        contrast = {"age=young|gender=female": 1, "age=old|gender=male": -1}
        np.testing.assert_allclose(ss.survey_contrast(rows, contrast)["std_error"], ss.survey_contrast(own, contrast)["std_error"])
    assert known_rows(both[both["source"] == "mrp"]) is None
    found = joint_shares(both, [0, 1]).set_index("source")
    np.testing.assert_allclose(found.loc["survey", "std_error"], _share_of([0, 1]), rtol=1e-9)
    np.testing.assert_allclose(found.loc["part", "std_error"], joint_shares(other, [0, 1])["std_error"])
    shifts = [trait_shifts(table, [2, 3], "gender", ["survey"], codebook=small_codebook(), population=None) for table in (CARRYING, both)]
    assert shifts[0]["std_error"].tolist() == shifts[1]["std_error"].tolist()
    parts = ss.protect(both[both["source"] != "mrp"]).attrs["parts"]
    assert [type(part["covariance"]) for part in parts if "covariance" in part] == [str, str]


def test_trait_shifts_are_contrasts_of_the_cells() -> None:
    plain, exact = (
        trait_shifts(table, [2, 3], "gender", ["survey"], codebook=small_codebook(), population=None) for table in (PLAIN, CARRYING)
    )
    assert plain["shift"].tolist() == exact["shift"].tolist()
    cells = CARRYING.drop_duplicates("background_id").set_index("background_id")["n"]
    women = cells.index.str.endswith("gender=female")
    weights = (cells * women / cells[women].sum() - cells / cells.sum()).to_dict()
    known = known_rows(CARRYING)
    assert known is not None
    variance = known.joint_covariance(list(weights), [2, 3], np.array(list(weights.values()))[:, None])[0, 0]
    assert exact["std_error"][0] == pytest.approx(np.sqrt(variance))
    assert exact["std_error"][0] != pytest.approx(plain["std_error"][0], rel=1e-3)


def test_replicate_weights_give_the_covariance_too() -> None:
    replicated = ss.as_replicates(SURVEY, method="JKn")
    table = ss.response_distributions(replicated, questions="q1", by="gender", covariance=True)
    means = ss.survey_mean(replicated, questions="q1", by="gender", covariance=True)
    for made, size in ((table, 8), (means, 2)):
        known = known_rows(made, "share" if "share" in made else "estimate")
        assert known is not None
        variance = np.diag(known.covariance(np.eye(size).reshape(2, -1, size)))
        np.testing.assert_allclose(np.sqrt(variance), made["std_error"], rtol=1e-9)


def test_the_comparison_with_official_figures_uses_it() -> None:
    survey = ss.load_example("nonvoters2020")
    tables = [ss.response_distributions(survey, questions=["Q20"], missing="as_option", covariance=given) for given in (False, True)]
    facts = ss.read_official("us_voting_2020")
    plain, exact = (ss.compare_with_official(table, facts, codebook=survey.codebook) for table in tables)
    assert plain["share"].tolist() == exact["share"].tolist()
    assert "covariance" not in exact.attrs
