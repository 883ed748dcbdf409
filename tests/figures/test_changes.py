"""Wave against wave: observed changes with their errors, real change told apart, and the figure."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from surveysim.inference.spread import real_changes
from tests.support.figures import intervals, markers, ordered, refuse_overlaps, texts
from tests.support.opinion_survey import opinion_codebook, opinion_survey

mpl.use("Agg")
BOOK = opinion_codebook()
BY = ["age", "gender"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


@pytest.fixture(scope="module")
def waves() -> tuple[pd.DataFrame, pd.DataFrame]:
    now, before = (ss.response_distributions(opinion_survey(n, seed=seed), by=BY) for n, seed in ((1500, 230), (900, 231)))
    return now, before


def test_observed_changes_have_the_errors_of_both_waves(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    now, before = waves
    frame = ss.plot_change(now, before, question="vote", options=[1], codebook=BOOK, draw=False).set_index("background_id")
    rows = [wave.query("question_id == 'vote' and option_code == 1").set_index("background_id") for wave in waves]
    change = (rows[0]["share"] - rows[1]["share"]).reindex(frame.index)
    error = np.hypot(rows[0]["std_error"], rows[1]["std_error"]).reindex(frame.index)
    np.testing.assert_allclose(frame["change"], change)
    np.testing.assert_allclose(frame["std_error"], error)
    np.testing.assert_allclose(frame["conf_high"], change + 1.959964 * error, rtol=1e-6)
    assert frame["n_before"].sum() == 900
    assert frame["n"].sum() == 1500


def test_the_split_adds_up_and_changes_are_drawn_to_their_mean(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    frame = ss.plot_change(*waves, question="trust", codebook=BOOK, draw=False)
    split = frame.attrs["split"]
    assert split["variance_observed"] == pytest.approx(frame["change"].var())
    assert split["variance_sampling"] == pytest.approx((frame["std_error"] ** 2).mean())
    assert split["variance_real"] == pytest.approx(max(split["variance_observed"] - split["variance_sampling"], 0))
    weight = split["variance_real"] / (split["variance_real"] + frame["std_error"] ** 2)
    np.testing.assert_allclose(frame["real"], split["mean"] + weight * (frame["change"] - split["mean"]))


def test_shrunken_changes_are_nearer_the_truth_and_their_intervals_hold_it() -> None:
    rng = np.random.default_rng(240)
    gains, held, alike = [], [], []
    for _ in range(300):
        error = rng.uniform(0.02, 0.06, 12)
        real = rng.normal(0.01, 0.03, 12)
        found, spread, _ = real_changes(real + rng.normal(0, error), error)
        held.append(np.abs(found - real) < 1.96 * spread)
        gains.append((np.square(found - real).mean(), np.square(error).mean()))
        alike.append(real_changes(0.02 + rng.normal(0, error), error)[2]["p_alike"] < 0.05)
    better, raw = np.mean(gains, axis=0)
    assert better < 0.7 * raw
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
    assert np.mean(alike) == pytest.approx(0.05, abs=0.04)


def test_positions_run_from_the_first_to_the_last_option(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    frame = ss.plot_change(*waves, question="news", options="position", codebook=BOOK, draw=False).set_index("background_id")
    own = waves[0].query("question_id == 'news' and background_id == 'age=old|gender=male'").sort_values("option_order")
    place = np.linspace(0, 1, 5)
    assert frame.loc["age=old|gender=male", "now"] == pytest.approx(own["share"] @ place)
    survey = opinion_survey(1500, seed=230)
    mean = ss.survey_mean(survey, questions="news", by=BY).set_index("background_id")
    both = [
        ss.survey_mean(opinion_survey(n, seed=seed), questions="news", by=BY).set_index("background_id")
        for n, seed in ((1500, 230), (900, 231))
    ]
    exact = np.hypot(both[0]["std_error"], both[1]["std_error"]).reindex(frame.index) / 4
    np.testing.assert_allclose(frame["now"], (mean["estimate"].reindex(frame.index) - 1) / 4)
    np.testing.assert_allclose(frame["std_error"], exact, rtol=0.2)


def test_the_figure_draws_the_frame(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    frame = ss.plot_change(*waves, question="trust", codebook=BOOK, draw=False)
    ax = ss.plot_change(*waves, question="trust", codebook=BOOK)
    drawn = markers(ax)
    for column in ("change", "real"):
        assert set(np.round(100 * frame[column], 6)) <= set(np.round(drawn[:, 0], 6))
    assert len(intervals(ax)) == 2 * len(frame)
    assert "sampling error" in " ".join(texts(ax))
    refuse_overlaps(ax)
    assert len(ordered(drawn)) >= 2 * len(frame)


def test_two_backgrounds_cannot_be_split(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    two = ["age=old|gender=male", "age=old|gender=female"]
    frame = ss.plot_change(*waves, question="vote", backgrounds=two, codebook=BOOK, draw=False)
    assert frame["real"].isna().all()
    assert frame["change"].notna().all()
    ax = ss.plot_change(*waves, question="vote", backgrounds=two, codebook=BOOK)
    assert "Fewer than 3 backgrounds" in " ".join(texts(ax))


def test_bad_waves_are_refused(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    now, before = waves
    with pytest.raises(TableError, match="options must be codes, or 'position' for a question that is ordered; got 'position'"):
        ss.plot_change(now, before, question="party", options="position", codebook=BOOK)
    with pytest.raises(TableError, match=r"before holds 2 sources \(survey, other\); select one"):
        ss.plot_change(now, pd.concat([before, before.assign(source="other")]), question="vote", codebook=BOOK)
    with pytest.raises(TableError, match="now lacks column std_error"):
        ss.plot_change(now.drop(columns="std_error"), before, question="vote", codebook=BOOK)
    fewer = before[(before["question_id"] != "party") | (before["option_code"] != 4)]
    total = fewer.groupby(["question_id", "background_id"])["share"].transform("sum")
    with pytest.raises(TableError, match=r"question 'party' has options \[1, 2, 3, 4\] now and \[1, 2, 3\] before"):
        ss.plot_change(now, fewer.assign(share=fewer["share"] / total), question="party", codebook=BOOK)
    by_age = ss.response_distributions(opinion_survey(300, seed=232), by="age")
    with pytest.raises(TableError, match="no background in common"):
        ss.plot_change(now, by_age, question="vote", codebook=BOOK)
    with pytest.raises(TableError, match="before lacks column source"):
        ss.plot_change(now, before.drop(columns="source"), question="vote", codebook=BOOK)


def test_backgrounds_without_a_change_are_counted(waves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    now, before = waves
    hidden = now["background_id"] == "age=old|gender=male"
    numbers = ["share", "std_error", "conf_low", "conf_high", "n", "n_eff"]
    shown = now.assign(suppressed=np.where(hidden, "fewer than 10 respondents", ""), **{name: now[name].mask(hidden) for name in numbers})
    frame, ax = (ss.plot_change(shown, before, question="vote", codebook=BOOK, draw=draw) for draw in (False, True))
    count = now["background_id"].nunique()
    assert frame.attrs["left_out"] == ["age=old|gender=male"]
    assert f"Not drawn, without share and error in both waves: 1 of {count} backgrounds." in " ".join(texts(ax)).replace("\n", " ")
    assert "Not drawn" not in " ".join(texts(ss.plot_change(now, before, question="vote", codebook=BOOK)))
