"""Figures of weights, and of estimates beside official ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import DesignError, TableError
from tests.support.figures import intervals, markers, ordered, refuse_overlaps, texts

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return ss.load_example("nonvoters2020")


@pytest.fixture
def comparison() -> pd.DataFrame:
    rows = [
        ("voted in 2018", "official", 0.534, 0.530, 0.538),
        ("voted in 2018", "survey", 0.620, 0.600, 0.640),
        ("voted in 2018", "simulated", 0.570, 0.530, 0.610),
        ("owns the home, or lives with somebody who owns it", "official", 0.650, None, None),
        ("owns the home, or lives with somebody who owns it", "survey", 0.610, 0.580, 0.630),
    ]
    return pd.DataFrame(rows, columns=["label", "source", "share", "conf_low", "conf_high"])


def weighted(survey: ss.Survey, weights: np.ndarray) -> ss.Survey:
    return replace(survey, data=survey.data.assign(weight=weights))


def test_every_weight_is_in_a_bar(survey: ss.Survey) -> None:
    frame = ss.plot_weights(survey, draw=False)
    weights = survey.data.weight / survey.data.weight.mean()
    assert frame.n.sum() == len(survey)
    assert frame.weight_share.sum() == pytest.approx(1)
    for bar in frame.itertuples():
        assert bar.n == ((weights > bar.low) & (weights <= bar.high)).sum()
    assert frame.attrs["n_eff"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert not frame.extreme.any()


def test_the_bars_drawn_are_the_frame_with_its_facts(survey: ss.Survey) -> None:
    frame = ss.plot_weights(survey, extreme=2.0, draw=False)
    ax = ss.plot_weights(survey, extreme=2.0)
    drawn = np.array([(bar.get_x(), bar.get_width(), bar.get_height()) for group in ax.containers for bar in group])
    np.testing.assert_allclose(ordered(drawn), ordered(np.c_[frame.low, frame.high - frame.low, frame.n]))
    hatched = [bar for group in ax.containers for bar in group if bar.get_hatch()]
    assert len(hatched) == frame.extreme.sum() > 0
    summary = ss.weight_summary(survey).iloc[0]
    seen = " ".join(texts(ax))
    assert f"n {summary.n:,}" in seen
    assert f"Kish n_eff {summary.n_eff:,.0f}" in seen
    assert f"design effect of weighting {summary.deff:.2f}" in seen
    assert f"Hatched: {frame.attrs['n_extreme']:,} extreme weights" in seen
    assert {"mean", "2 × mean", "mean / 2"} <= set(texts(ax))
    refuse_overlaps(ax)
    refuse_overlaps(ss.plot_weights(survey))


def test_weights_at_the_limit_are_not_extreme_and_weights_of_zero_are_counted(survey: ss.Survey) -> None:
    weights = np.ones(len(survey))
    weights[:10], weights[10:20], weights[20:25] = 3.0, 0.5, 0.0
    weights[25:] = (len(survey) - 5 - 35) / (len(survey) - 25)
    frame = ss.plot_weights(weighted(survey, weights), extreme=3.0, draw=False)
    assert frame.n.sum() == len(survey) - 5
    assert frame.attrs["n_extreme"] == 0
    assert not frame[frame.n > 0].extreme.any()
    frame = ss.plot_weights(weighted(survey, weights), extreme=2.9, draw=False)
    assert frame.attrs["n_extreme"] == 10 == frame[frame.extreme].n.sum()
    assert frame.attrs["extreme_share"] == pytest.approx(30 / weights.sum())
    assert "5 more of weight 0" in " ".join(texts(ss.plot_weights(weighted(survey, weights))))


def test_equal_weights_can_be_drawn(survey: ss.Survey) -> None:
    frame = ss.plot_weights(weighted(survey, np.full(len(survey), 7.0)), draw=False)
    assert frame.n.tolist() == [len(survey)]
    assert frame.attrs["deff"] == pytest.approx(1)
    refuse_overlaps(ss.plot_weights(weighted(survey, np.full(len(survey), 7.0))))


@pytest.mark.parametrize("extreme", [1.0, 0.0, -2.0, np.nan])
def test_the_limit_of_extreme_weights_must_exceed_the_mean(survey: ss.Survey, extreme: float) -> None:
    with pytest.raises(DesignError, match=r"extreme=.* must be above 1"):
        ss.plot_weights(survey, extreme=extreme)


def test_official_estimates_stand_beside_the_others(comparison: pd.DataFrame) -> None:
    frame = ss.plot_official(comparison, draw=False)
    assert frame.source.tolist() == ["official", "survey", "simulated"] * 2
    assert frame.difference.round(3).tolist()[:5] == [0.0, 0.086, 0.036, 0.0, -0.04]
    assert np.isnan(frame.difference.iloc[5])
    ax = ss.plot_official(comparison)
    known = frame[frame.conf_low.notna()]
    np.testing.assert_allclose(ordered(markers(ax)), ordered((frame[["share", "y"]] * [100, 1]).dropna().to_numpy()))
    np.testing.assert_allclose(ordered(intervals(ax)), ordered(np.c_[known.y, 100 * known.conf_low, 100 * known.conf_high]))
    assert {"+8.6", "+3.6", "−4.0", "official", "survey", "simulated", "voted in 2018"} <= set(texts(ax))
    refuse_overlaps(ax)


def test_respondents_stand_in_the_margin_where_they_are_known(comparison: pd.DataFrame) -> None:
    assert ss.plot_official(comparison, draw=False).n.isna().all()
    assert "n" not in texts(ss.plot_official(comparison))
    counted = comparison.assign(n=[np.nan, 5836, 1200, np.nan, 5790])
    frame = ss.plot_official(counted, draw=False)
    assert frame.n.tolist()[1:3] == [5836, 1200]
    ax = ss.plot_official(counted)
    seen = texts(ax)
    assert {"n", "5,836", "1,200", "5,790"} <= set(seen)
    assert "Margin: percentage points above (+) or below (−) official. n: respondents." in " ".join(seen)
    refuse_overlaps(ax)
    alike = ss.plot_official(counted.assign(n=[np.nan, 400, 400, np.nan, 390])[:3])
    assert texts(alike).count("400") == 1  # sources of the same respondents share a column
    refuse_overlaps(alike)


def test_question_ids_name_the_rows_where_there_are_no_labels(comparison: pd.DataFrame) -> None:
    frame = ss.plot_official(comparison.rename(columns={"label": "question_id"}), sources=["survey", "official"], draw=False)
    assert frame.label.drop_duplicates().tolist() == ["voted in 2018", "owns the home, or lives with somebody who owns it"]
    assert frame.source.drop_duplicates().tolist() == ["survey", "official"]


def test_bad_comparisons_are_refused(comparison: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="comparison has no source 'offical'; did you mean 'official'"):
        ss.plot_official(comparison, reference="offical")
    with pytest.raises(TableError, match="comparison has no source 'simulation'; did you mean 'simulated'"):
        ss.plot_official(comparison, sources=["survey", "simulation"])
    with pytest.raises(TableError, match="comparison lacks column conf_low"):
        ss.plot_official(comparison.drop(columns="conf_low"))
    with pytest.raises(TableError, match="comparison lacks column question_id"):
        ss.plot_official(comparison.drop(columns="label"))
    with pytest.raises(TableError, match="comparison repeats voted in 2018 of one source; give each row a label of its own"):
        ss.plot_official(pd.concat([comparison, comparison.iloc[:1]]))
    with pytest.raises(TableError, match=r"shares must lie in 0-1; they do not in .*are they percentages"):
        ss.plot_official(comparison.assign(share=100 * comparison.share))
