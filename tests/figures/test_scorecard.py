"""The scorecard: measures against sums by hand, nulls and tests that know what they should, the page and the figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EvaluationError
from surveysim.evaluation.summaries import error_quantiles, tail_mean
from surveysim.figures.scorecard import Scorecard
from tests.support.figures import refuse_overlaps
from tests.support.opinion_survey import opinion_codebook, opinion_survey

mpl.use("Agg")
BOOK = opinion_codebook()
BY = ["age", "gender"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return ss.response_distributions(opinion_survey(4000, seed=201), by=BY)


@pytest.fixture(scope="module")
def mrp() -> pd.DataFrame:
    return ss.simulate(opinion_survey(500, seed=202), BY, method="mrp")


@pytest.fixture(scope="module")
def card(mrp: pd.DataFrame, truth: pd.DataFrame) -> Scorecard:
    others = {name: ss.simulate(opinion_survey(500, seed=202), BY, method=name) for name in ("pooled", "raw")}
    return ss.scorecard(mrp, truth, against=others, codebook=BOOK)


def value(card: Scorecard, measure: str, source: str, column: str = "estimate", metric: str = "total_variation") -> float:
    own = card.table[(card.table["measure"] == measure) & (card.table["source"] == source) & card.table["metric"].isin(["", metric])]
    assert len(own) == 1
    return float(own[column].iloc[0])


def test_distances_are_those_of_evaluate(card: Scorecard, mrp: pd.DataFrame, truth: pd.DataFrame) -> None:
    expected = ss.summarise_scores(ss.evaluate(mrp, truth, codebook=BOOK)).set_index("metric")
    for metric in ("wasserstein", "total_variation"):
        for column in ("estimate", "std_error", "conf_low", "conf_high"):
            assert value(card, "distance", "mrp", column, metric) == pytest.approx(expected.loc[metric, column])
    floor = ss.summarise_scores(ss.noise_floor(truth, n=float("inf"), codebook=BOOK, draws=199)).set_index("metric")
    assert value(card, "distance", "floor") == pytest.approx(floor.loc["total_variation", "estimate"])
    assert value(card, "distance", "floor") < value(card, "distance", "fresh sample") < value(card, "distance", "mrp")


def test_tails_count_backgrounds_by_their_weight() -> None:
    errors, weight = np.array([[0.5, 0.1, 0.3, 0.2]]), np.array([[0.04, 0.5, 0.16, 0.3]])
    assert tail_mean(errors, weight)[0] == pytest.approx((0.04 * 0.5 + 0.06 * 0.3) / 0.1)
    assert tail_mean(errors, weight, tail=1.0)[0] == pytest.approx((errors * weight).sum())
    assert [float(error_quantiles(errors, weight, level)[0]) for level in (0.5, 0.51, 0.81, 1.0)] == [0.1, 0.2, 0.3, 0.5]


def test_agreement_of_options_is_counted(card: Scorecard, mrp: pd.DataFrame, truth: pd.DataFrame) -> None:
    both = mrp.merge(truth, on=["question_id", "background_id", "option_code"], suffixes=("", "_true"))
    shares, ranks = [], []
    for (question, _), own in both.groupby(["question_id", "background_id"]):
        n = own["n_true"].iloc[0]
        shares.append((question, n, own["share"].argmax() == own["share_true"].argmax()))
        ranks.append((question, n, own["share"].corr(own["share_true"], method="spearman")))
    for measure, rows in (("top_answer", shares), ("option_rank", ranks)):
        by_question = (
            pd.DataFrame(rows, columns=["q", "n", "x"]).groupby("q")[["n", "x"]].apply(lambda own: np.average(own["x"], weights=own["n"]))
        )
        assert value(card, measure, "mrp") == pytest.approx(by_question.mean())
        assert value(card, measure, "mrp", "p_value") < 0.05


def test_who_knows_nothing_is_told_so(truth: pd.DataFrame, card: Scorecard) -> None:
    """Shares of random options and backgrounds: p values are no smaller than chance makes them."""
    found = []
    for seed in range(300, 308):
        rng = np.random.default_rng(seed)
        noise = rng.gamma(2.0, size=len(truth))
        share = noise / pd.Series(noise).groupby([truth["question_id"], truth["background_id"]]).transform("sum").to_numpy()
        blind = ss.scorecard(truth.assign(share=share, source="blind"), truth, codebook=BOOK, metrics="total_variation", draws=19)
        found.append([value(blind, measure, "blind", "p_value") for measure in ("distance_shuffled", "top_answer", "option_rank")])
    assert (np.array(found).mean(0) > 0.3).all()
    assert value(card, "distance_shuffled", "mrp", "p_value") == pytest.approx(1 / 200)
    assert value(card, "distance_shuffled", "pooled", "p_value") == 1
    assert value(card, "distance_shuffled", "mrp") > value(card, "distance_own_mean", "mrp") > value(card, "distance", "mrp")


def test_the_marginal_null_knows_the_whole_and_nobody_apart(card: Scorecard) -> None:
    null = "population marginal"
    assert value(card, "variance_ratio", null) == pytest.approx(0, abs=1e-9)
    assert value(card, "background_rank", null) == 0
    assert value(card, "distance", null) == pytest.approx(value(card, "distance_own_mean", null))
    assert null not in set(card.table.loc[card.table["measure"] == "coverage", "source"])


def test_a_table_equal_to_the_truth_is_without_error(truth: pd.DataFrame) -> None:
    card = ss.scorecard(truth.assign(source="perfect"), truth, codebook=BOOK)
    assert value(card, "distance", "perfect") == value(card, "worst_tenth", "perfect") == 0
    assert value(card, "top_answer", "perfect") == value(card, "coverage", "perfect") == 1
    assert value(card, "option_rank", "perfect") == pytest.approx(1)
    assert value(card, "variance_ratio", "perfect") > 1, "the truth's own noise is taken from one side alone"
    assert (card.subgroups.query("source == 'perfect'")["estimate"] == 0).all()


def test_coverage_allows_for_the_errors_of_both_sides(truth: pd.DataFrame) -> None:
    """A fresh sample's intervals hold the population in 95%, and with the truth's own error this truth too."""
    found = []
    for seed in range(210, 214):
        fresh, whole = (ss.response_distributions(opinion_survey(n, seed=draw), by=BY) for n, draw in ((1500, seed + 100), (4000, seed)))
        card = ss.scorecard(fresh.assign(source="fresh"), whole, codebook=BOOK, metrics="total_variation", draws=19)
        found.append(value(card, "coverage", "fresh"))
    assert np.mean(found) == pytest.approx(0.95, abs=0.03)
    fresh = fresh.assign(source="fresh")
    narrow = fresh.assign(conf_low=fresh.share, conf_high=fresh.share)
    assert value(ss.scorecard(narrow, truth, codebook=BOOK), "coverage", "fresh") < 0.85


def test_bias_of_a_level_has_the_sign_of_its_error(truth: pd.DataFrame) -> None:
    """Old men's answers moved by one option in ten: the old are too high, the young are right."""
    moved = truth.copy()
    for _, own in truth[truth["background_id"] == "age=old|gender=male"].groupby("question_id"):
        moved.loc[own.index[0], "share"] *= 0.5
        moved.loc[own.index[-1], "share"] += 0.5 * own["share"].iloc[0]
    found = ss.scorecard(moved.assign(source="moved"), truth, codebook=BOOK).subgroups.query("source == 'moved' and measure == 'bias'")
    bias = found.set_index("level")["estimate"]
    assert bias["young"] == pytest.approx(0, abs=1e-12)
    old = truth[
        truth["background_id"].isin(["age=old|gender=male", "age=old|gender=female"])
        & truth["question_id"].isin(["taxes", "trust", "news"])
    ]
    by_question = []
    for _, own in old.groupby("question_id"):
        male = own[own["background_id"] == "age=old|gender=male"]
        by_question.append(0.5 * male["share"].iloc[0] * male["n"].iloc[0] / own.drop_duplicates("background_id")["n"].sum())
    assert bias["old"] == pytest.approx(np.mean(by_question))


def test_pairs_are_paired_t_tests_with_holms_correction(card: Scorecard, mrp: pd.DataFrame, truth: pd.DataFrame) -> None:
    from scipy.stats import ttest_rel

    pairs = card.comparisons.query("metric == 'total_variation'").set_index(["source", "other"])
    assert len(pairs) == 6
    means = {}
    for name, table in (("mrp", mrp), ("raw", ss.simulate(opinion_survey(500, seed=202), BY, method="raw"))):
        scores = ss.evaluate(table, truth, codebook=BOOK, metrics="total_variation")
        means[name] = scores.groupby("question_id")[["estimate", "weight"]].apply(
            lambda own: np.average(own["estimate"], weights=own["weight"])
        )
    assert pairs.loc[("mrp", "raw"), "p_value"] == pytest.approx(ttest_rel(means["mrp"], means["raw"]).pvalue)
    ordered = pairs.sort_values("p_value")
    holm = np.minimum(np.maximum.accumulate(ordered["p_value"] * np.arange(6, 0, -1)), 1)
    np.testing.assert_allclose(ordered["p_adjusted"], holm)


def test_the_page_has_all_and_the_figure_no_overlap(card: Scorecard, tmp_path: Path) -> None:
    assert "mean error of the worst tenth of backgrounds" in repr(card)
    assert "<b>Scorecard</b>" in card._repr_html_()
    text = card.save(tmp_path / "card.html").read_text(encoding="utf-8")
    assert "data:image/png" in text
    assert "p_adjusted" in text
    refuse_overlaps(card.plot())


def test_one_question_and_one_background_have_what_can_be_said(truth: pd.DataFrame) -> None:
    whole = ss.response_distributions(opinion_survey(300, seed=204), questions="taxes")
    card = ss.scorecard(whole.assign(source="mine"), whole, codebook=BOOK)
    assert np.isnan(value(card, "distance", "mine", "conf_low"))
    assert not {"distance_shuffled", "variance_ratio"} & set(card.table["measure"])
    assert card.comparisons["p_value"].isna().all()
    assert card.subgroups.empty
    refuse_overlaps(card.plot())


def test_shared_cells_are_judged_and_the_others_counted(mrp: pd.DataFrame, truth: pd.DataFrame) -> None:
    part = mrp[mrp["background_id"] != "age=old|gender=male"]
    with pytest.raises(EvaluationError, match="the tables hold different cells"):
        ss.scorecard(part, truth, codebook=BOOK)
    card = ss.scorecard(part, truth, codebook=BOOK, on="shared", against={"all": mrp.assign(source="x")})
    assert card.facts["cells left out"] == "6"
    assert value(card, "distance", "mrp") == value(card, "distance", "all")


def test_a_truth_with_withheld_cells_says_that_the_scores_are_of_the_others(mrp: pd.DataFrame, truth: pd.DataFrame) -> None:
    hidden = truth["background_id"] == "age=old|gender=male"
    numbers = ["share", "std_error", "conf_low", "conf_high", "n", "n_eff"]
    shown = truth.assign(**{name: truth[name].mask(hidden) for name in numbers})
    said = "cells without a truth, not scored"
    cells = len(truth.drop_duplicates(["question_id", "background_id"]))
    assert ss.scorecard(mrp, shown, codebook=BOOK).facts[said] == f"6 of {cells}"
    withheld = shown.assign(suppressed=np.where(hidden, "fewer than 10 respondents", ""))
    for on in ("all", "shared"):
        facts = ss.scorecard(mrp, withheld, codebook=BOOK, on=on).facts
        assert facts[said] == f"6 of {cells}, 6 of them withheld: the scores are of the larger cells alone"
    assert said not in ss.scorecard(mrp, truth, codebook=BOOK).facts


def test_bad_input_is_refused(mrp: pd.DataFrame, truth: pd.DataFrame) -> None:
    with pytest.raises(EvaluationError, match=r"against must be a mapping of names to tables.*got DataFrame"):
        ss.scorecard(mrp, truth, against=mrp, codebook=BOOK)  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="against: 'mrp' is a source of simulated as well; give the opponent another name"):
        ss.scorecard(mrp, truth, against={"mrp": mrp}, codebook=BOOK)
    with pytest.raises(EvaluationError, match="'floor' is what the scorecard names a null or floor of its own"):
        ss.scorecard(mrp, truth, against={"floor": mrp}, codebook=BOOK)
    with pytest.raises(EvaluationError, match=r"against\['two'\] holds 2 sources \(mrp, other\)"):
        ss.scorecard(mrp, truth, against={"two": pd.concat([mrp, mrp.assign(source="other")])}, codebook=BOOK)
    with pytest.raises(EvaluationError, match="draws must be at least 19"):
        ss.scorecard(mrp, truth, codebook=BOOK, draws=1)
    with pytest.raises(EvaluationError, match="truth has neither n nor n_eff"):
        ss.scorecard(mrp, truth.drop(columns=["n", "n_eff"]), codebook=BOOK)
    with pytest.raises(EvaluationError, match="on must be 'all' or 'shared'; got 'some'"):
        ss.scorecard(mrp, truth, codebook=BOOK, on="some")
    with pytest.raises(EvaluationError, match=r"end its name in \.html"):
        ss.scorecard(mrp, truth, codebook=BOOK, draws=19).save("card.txt")
