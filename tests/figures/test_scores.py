"""The method table and the curves of data saved as figures."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EvaluationError, TableError
from surveysim.figures.rows import apart
from surveysim.figures.savings import interval_text, saving_text
from tests.support.figures import intervals, markers, ordered, refuse_overlaps, texts

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


@pytest.fixture
def scores() -> pd.DataFrame:
    names = ["raw sample", "pooled", "multinomial ridge", "DSA"]
    table = pd.DataFrame({"source": names, "metric": "wasserstein", "estimate": [0.093, 0.069, 0.048, 0.041]})
    table = table.assign(conf_low=table.estimate - 0.004, conf_high=table.estimate + 0.005, n_questions=45)
    return pd.concat([table, table.assign(metric="total_variation", estimate=2 * table.estimate, conf_high=1.0)], ignore_index=True)


@pytest.fixture
def curve() -> pd.DataFrame:
    errors = {"raw": [0.16, 0.11, 0.08, 0.055], "MRP": [0.088, 0.077, 0.068, 0.061], "DSA": [0.076, 0.066, 0.0625, 0.056]}
    rows = [(name, n, error) for name, row in errors.items() for n, error in zip((200, 400, 800, 1600), row, strict=True)]
    return pd.DataFrame(rows, columns=["source", "n", "estimate"])


def test_methods_stand_in_the_order_of_their_errors(scores: pd.DataFrame) -> None:
    frame = ss.plot_scores(scores, floor=0.025, draw=False)
    assert frame.source.tolist() == ["DSA", "multinomial ridge", "pooled", "raw sample"]
    assert frame.row.tolist() == [0, 1, 2, 3]
    assert frame.attrs["floor"][0] == 0.025
    ax = ss.plot_scores(scores, floor=0.025, highlight="DSA")
    np.testing.assert_allclose(ordered(markers(ax)), ordered(frame[["estimate", "row"]].to_numpy()))
    np.testing.assert_allclose(ordered(intervals(ax)), ordered(frame[["row", "conf_low", "conf_high"]].to_numpy()))
    assert any(list(line.get_xdata()) == [0.025, 0.025] for line in ax.lines)
    assert {"0.041", "0.093", "noise floor 0.025", "Wasserstein distance / (K − 1)"} <= set(texts(ax))
    assert "Mean over 45 questions; lines: 95% intervals over questions." in texts(ax)
    labels = {label.get_text(): label.get_fontweight() for label in ax.get_yticklabels()}
    assert labels == {"DSA": "bold", "multinomial ridge": "normal", "pooled": "normal", "raw sample": "normal"}
    refuse_overlaps(ax)


def test_the_metric_and_the_floor_come_from_their_tables(scores: pd.DataFrame) -> None:
    floor = pd.DataFrame({"metric": ["wasserstein", "total_variation"], "estimate": [0.02, 0.05], "conf_low": 0.01, "conf_high": 0.06})
    frame = ss.plot_scores(scores, metric="total_variation", floor=floor, draw=False)
    assert frame.estimate.tolist() == sorted(2 * scores.estimate[:4])
    assert frame.attrs["floor"] == (0.05, 0.01, 0.06)
    cells = pd.concat([floor.assign(question_id=name, background_id="all", estimate=value) for name, value in (("a", 0.01), ("b", 0.03))])
    averaged = ss.plot_scores(scores, floor=cells, draw=False).attrs["floor"]
    assert averaged[0] == pytest.approx(0.02)
    assert ss.plot_scores(scores, draw=False).attrs["floor"] is None


def test_a_single_question_has_no_interval(scores: pd.DataFrame) -> None:
    bare = scores.assign(conf_low=np.nan, conf_high=np.nan)
    ax = ss.plot_scores(bare)
    assert len(markers(ax)) == 4
    assert not len(intervals(ax))


def test_bad_tables_of_scores_are_refused(scores: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="metric: scores holds no 'waserstein'; did you mean 'wasserstein'"):
        ss.plot_scores(scores, metric="waserstein")
    with pytest.raises(TableError, match="scores lacks column conf_low"):
        ss.plot_scores(scores.drop(columns="conf_low"))
    with pytest.raises(TableError, match=r"scores repeats source raw sample of wasserstein; average first: summarise_scores"):
        ss.plot_scores(pd.concat([scores, scores.iloc[:1]]))
    with pytest.raises(TableError, match="highlight: scores has no source 'dsa'; did you mean 'DSA'"):
        ss.plot_scores(scores, highlight="dsa")
    with pytest.raises(TableError, match="floor has 2 rows of wasserstein; give one"):
        ss.plot_scores(scores, floor=pd.DataFrame({"metric": ["wasserstein"] * 2, "estimate": [0.1, 0.2]}))


def test_savings_are_those_of_data_saved(curve: pd.DataFrame) -> None:
    frame = ss.plot_data_saved(curve, method="DSA", reference="MRP", draw=False)
    saved = ss.data_saved(curve[curve.source == "MRP"], curve[curve.source == "DSA"])
    own = frame[frame.source == "DSA"]
    np.testing.assert_allclose(own.data_saved, saved.data_saved)
    assert own.bound.tolist() == ["exact", "exact", "exact", "at_least"]
    assert frame.attrs["read"] == 200
    assert frame[frame.source != "DSA"].data_saved.isna().all()
    ax = ss.plot_data_saved(curve.assign(source=curve["source"].astype("category")), method="DSA", reference="MRP")
    assert {"DSA", "MRP"} <= set(texts(ax))


def test_the_saving_is_drawn_from_the_method_to_the_reference(curve: pd.DataFrame) -> None:
    frame = ss.plot_data_saved(curve, method="DSA", reference="MRP", n=400, floor=0.02, draw=False)
    row = frame[(frame.source == "DSA") & (frame.n == 400)].iloc[0]
    ax = ss.plot_data_saved(curve, method="DSA", reference="MRP", n=400, floor=0.02)
    assert ax.get_xscale() == "log"
    for name, own in curve.groupby("source"):
        (line,) = [line for line in ax.lines if np.array_equal(line.get_ydata(), own["estimate"])]
        assert line.get_xdata() == pytest.approx(own["n"], rel=0 if name == "DSA" else 0.1), "beside n, the method at n itself"
    (arrow,) = [note for note in ax.texts if note.arrow_patch is not None and not note.get_text()]
    assert arrow.xy == pytest.approx((row.n_needed, row.estimate))
    assert arrow.get_position() == pytest.approx((400, row.estimate))
    words = f"DSA with 400 = MRP with {row.n_needed:,.0f}\n{100 * row.data_saved:.0f}% of the data saved"
    assert {words, "raw", "MRP", "DSA", "200", "1,600", "noise floor 0.020"} <= set(texts(ax))
    refuse_overlaps(ax)
    refuse_overlaps(ss.plot_data_saved(curve, method="DSA", reference="raw"))


def test_six_methods_stand_beside_each_other_and_each_name_has_its_line(compared: pd.DataFrame) -> None:
    more = {"ridge": "boosting", "mrp": "low_rank"}
    six = pd.concat([compared, *(compared[compared["method"] == own].replace({"method": {own: new}}) for own, new in more.items())])
    for given in (None, mpl.pyplot.subplots(figsize=(5, 3.6))[1]):
        ax = ss.plot_data_saved(six, method="dsa", reference="mrp", ax=given)
        refuse_overlaps(ax)
        curves = [line for line in ax.lines if len(line.get_xdata()) == 3]
        places = np.sort([ax.transData.transform(line.get_xydata())[:, 0] for line in curves], axis=0) * 72 / ax.figure.dpi
        assert len(curves) == 6
        assert np.diff(places, axis=0).min() > 2.5, "points from an interval to the next"
        assert places.min() > ax.bbox.x0 * 72 / ax.figure.dpi, "none is cut"
        ends = {tuple(np.round(note.xy, 6)) for note in ax.texts if note.get_text() in set(six["method"])}
        assert ends == {tuple(np.round(line.get_xydata()[-1], 6)) for line in curves}, "each name's leader ends at its own line"


def test_a_saving_is_drawn_with_its_interval(compared: pd.DataFrame) -> None:
    noise = np.random.default_rng(0).normal(1, 0.03, len(compared))
    noisy = compared.assign(estimate=compared["estimate"] * noise)
    frame = ss.plot_data_saved(noisy, method="dsa", reference="mrp", n=400, draw=False)
    row = frame[(frame["source"] == "dsa") & (frame["n"] == frame.attrs["read"])].iloc[0]
    assert row["saved_low"] <= row["data_saved"] <= row["saved_high"]
    ax = ss.plot_data_saved(noisy, method="dsa", reference="mrp", n=400)
    said = f"(95%: {100 * row['saved_low']:.0f}% to {100 * row['saved_high']:.0f}%)"
    assert any(said in text for text in texts(ax))
    (shade,) = [lines for lines in ax.collections if len(lines.get_segments()) == 1 and lines.get_linewidth()[0] == 5]
    assert shade.get_segments()[0][:, 0] == pytest.approx([row["n"] / (1 - row["saved_low"]), row["n"] / (1 - row["saved_high"])])
    refuse_overlaps(ax)


def test_repetitions_are_averaged_with_an_interval(curve: pd.DataFrame) -> None:
    repeated = pd.concat([curve.assign(estimate=curve.estimate + shift) for shift in (-0.002, 0.0, 0.002)])
    frame = ss.plot_data_saved(repeated, method="DSA", reference="MRP", draw=False)
    np.testing.assert_allclose(frame.estimate, curve.estimate)
    np.testing.assert_allclose(frame.conf_high - frame.estimate, 4.302653 * 0.002 / np.sqrt(3), rtol=1e-6)
    given = curve.assign(conf_low=curve.estimate - 0.01, conf_high=curve.estimate + 0.01)
    frame = ss.plot_data_saved(given, method="DSA", reference="MRP", draw=False)
    np.testing.assert_allclose(frame.conf_high, given.conf_high)
    assert "No intervals known." in " ".join(texts(ss.plot_data_saved(curve, method="DSA", reference="MRP")))


def test_bounds_are_worded_as_bounds() -> None:
    assert saving_text(400, 967.4, 0.586, "exact", "DSA", "MRP") == "DSA with 400 = MRP with 967\n59% of the data saved"
    assert saving_text(800, 1600, 0.5, "at_least", "DSA", "MRP") == "DSA with 800 = MRP with at least 1,600\nat least 50% of the data saved"
    assert saving_text(400, 200, -1.0, "at_most", "DSA", "MRP") == "DSA with 400 = MRP with at most 200\nno data saved"


def test_an_open_end_of_an_interval_is_worded_as_open() -> None:
    assert interval_text(0.1, 0.4) == " (95%: 10% to 40%)"
    assert interval_text(-0.1, 0.4) == " (95%: −10% to 40%)"
    assert interval_text(0.1, np.nan) == " (95%: from 10%)"
    assert interval_text(np.nan, 0.4) == " (95%: to 40%)"
    assert interval_text(np.nan, np.nan) == ""


def test_names_are_moved_apart_no_more_than_needed() -> None:
    np.testing.assert_allclose(apart(np.array([0.0, 1.0, 5.0]), 1.0), [0.0, 1.0, 5.0])
    np.testing.assert_allclose(apart(np.array([0.0, 0.0, 5.0]), 1.0), [-0.5, 0.5, 5.0])


def test_bad_curves_are_refused(curve: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="method: curve has no source 'dsa'; did you mean 'DSA'"):
        ss.plot_data_saved(curve, method="dsa", reference="MRP")
    with pytest.raises(TableError, match="reference: curve has no source 'MPR'; did you mean 'MRP'"):
        ss.plot_data_saved(curve, method="DSA", reference="MPR")
    with pytest.raises(TableError, match="n: the method has no error at n = 300; it has one at 200, 400, 800, 1600"):
        ss.plot_data_saved(curve, method="DSA", reference="MRP", n=300)
    with pytest.raises(TableError, match="curve lacks column n"):
        ss.plot_data_saved(curve.drop(columns="n"), method="DSA", reference="MRP")
    both = pd.concat([curve.assign(metric="wasserstein"), curve.assign(metric="kl")])
    with pytest.raises(TableError, match="curve holds several metrics, wasserstein, kl; choose one with metric="):
        ss.plot_data_saved(both, method="DSA", reference="MRP")
    assert len(ss.plot_data_saved(both, method="DSA", reference="MRP", metric="kl", draw=False)) == len(curve)
    with pytest.raises(EvaluationError, match="curve has 1 size of sample; a curve needs at least two"):
        ss.plot_data_saved(curve[(curve.source != "MRP") | (curve.n == 200)], method="DSA", reference="MRP")


def test_methods_without_an_interval_are_named_and_long_names_fit(scores: pd.DataFrame, curve: pd.DataFrame) -> None:
    long = "a multilevel regression with post-stratification to the census"
    some = scores.assign(conf_low=scores.conf_low.where(scores.source != "pooled")).replace({"source": {"raw sample": long}})
    ax = ss.plot_scores(some)
    assert "Mean over 45 questions; lines: 95% intervals over questions; none known for pooled." in texts(ax)
    refuse_overlaps(ax)
    refuse_overlaps(ss.plot_data_saved(curve.replace({"source": {"MRP": long}}), method="DSA", reference=long, floor=0.02))


def test_the_interval_of_the_floor_is_drawn_beside_curves(curve: pd.DataFrame) -> None:
    floor = pd.DataFrame({"metric": ["wasserstein"], "estimate": [0.02], "conf_low": [0.015], "conf_high": [0.026]})
    ax = ss.plot_data_saved(curve, method="DSA", reference="MRP", floor=floor)
    assert any(patch.get_extents().transformed(ax.transData.inverted()).y0 == pytest.approx(0.015) for patch in ax.patches)


def test_a_single_question_is_counted_as_one(scores: pd.DataFrame) -> None:
    alone = scores.assign(n_questions=1, conf_low=np.nan, conf_high=np.nan)
    assert "Mean over 1 question; no intervals known." in texts(ss.plot_scores(alone))


@pytest.fixture(scope="module")
def compared() -> pd.DataFrame:
    errors = {"raw": (0.9, 0.4, 0.1), "ridge": (0.02, 0.012, 0.009), "mrp": (0.021, 0.011, 0.008), "dsa": (0.019, 0.010, 0.007)}
    return pd.DataFrame(
        {"n": n, "method": name, "seed": seed, "question_id": q, "metric": "wasserstein", "estimate": error * (1 + seed / 50)}
        for name, curve in errors.items() for n, error in zip((200, 400, 800), curve, strict=True)
        for seed in (1, 2) for q in ("q1", "q2")
    )  # fmt: skip


def test_scores_of_a_comparison_are_drawn_as_they_are(compared: pd.DataFrame) -> None:
    frame = ss.plot_data_saved(compared, method="dsa", reference="best classical", draw=False)
    means = ss.summarise_comparison(compared).set_index(["method", "n"]).estimate
    best = frame[frame.source == "best classical"].set_index("n").estimate
    assert best.to_dict() == {200: means["ridge", 200], 400: means["mrp", 400], 800: means["mrp", 800]}
    saved = ss.savings(compared, reference="best classical")
    own = frame[frame.source == "dsa"]
    np.testing.assert_allclose(own.data_saved, saved[saved.method == "dsa"].data_saved)
    assert own.conf_low.lt(own.estimate).all()
    with pytest.raises(EvaluationError, match="none is of metric 'kl'"):
        ss.plot_data_saved(compared, method="dsa", reference="raw", metric="kl")
    both = pd.concat([compared, compared.assign(metric="kl", estimate=1.0)])
    by_default = ss.plot_data_saved(both, method="dsa", reference="raw", draw=False)
    pd.testing.assert_frame_equal(by_default, ss.plot_data_saved(compared, method="dsa", reference="raw", draw=False))
    neither = pd.concat([compared.assign(metric=name) for name in ("hellinger", "kl")])
    with pytest.raises(TableError, match="curve holds several metrics, hellinger, kl; choose one with metric="):
        ss.plot_data_saved(neither, method="dsa", reference="raw")


def test_no_distance_is_negative_and_wide_intervals_are_cut_and_named(curve: pd.DataFrame) -> None:
    wide = curve.assign(conf_low=curve.estimate - 0.1, conf_high=curve.estimate + 0.01, metric="wasserstein")
    wide.loc[wide.source == "MRP", "conf_high"] += 5.0
    assert ss.plot_data_saved(wide, method="DSA", reference="MRP", draw=False).conf_low.min() == 0
    differences = wide.assign(metric="debiased_squared_error")
    assert ss.plot_data_saved(differences, method="DSA", reference="MRP", draw=False).conf_low.min() < 0, "it is no distance"
    ax = ss.plot_data_saved(wide, method="DSA", reference="MRP")
    assert ax.get_ylim()[1] < 2 * curve.estimate.max()
    assert "Cut at the top, for they reach above 1.6 times the largest error: those of MRP." in " ".join(" ".join(texts(ax)).split())
    refuse_overlaps(ax)


def test_six_methods_are_named_apart_where_their_curves_end_together(compared: pd.DataFrame) -> None:
    near = pd.concat([compared, *(compared[compared.method == "mrp"].assign(method=name) for name in ("pooled", "low_rank"))])
    refuse_overlaps(ss.plot_data_saved(near, method="dsa", reference="mrp"))
    figure, ax = mpl.pyplot.subplots(figsize=(7, 4))
    assert ss.plot_data_saved(near, method="dsa", reference="mrp", ax=ax) is ax
    refuse_overlaps(figure.axes[0])


def test_the_words_on_a_saving_leave_low_curves_free(compared: pd.DataFrame) -> None:
    ax = ss.plot_data_saved(compared, method="dsa", reference="raw")
    refuse_overlaps(ax)
    (words,) = [note for note in ax.texts if "data saved" in note.get_text()]
    foot = ax.transData.inverted().transform(words.get_window_extent().get_points())[0]
    late = compared[compared.n >= foot[0]]
    assert foot[1] > late.estimate.max(), "the words stand above every curve"
