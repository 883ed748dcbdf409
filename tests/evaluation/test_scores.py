"""Scores against a reference, their summary, the noise floor, respondents saved, and the diagnosis of backgrounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EvaluationError, TableError
from surveysim.tables.schema import SCORE_COLUMNS, check_distributions

ORDINAL = ("scale",)
CELL = ["question_id", "background_id"]


def make_table(shares: dict[tuple[str, str], list[float]], *, n: float = 100, source: str = "survey") -> pd.DataFrame:
    """A distributions table of the given (question, background) -> shares."""
    rows = [
        (question, background, option, option, share, n, n, source)
        for (question, background), cell in shares.items()
        for option, share in enumerate(cell)
    ]
    columns = ["question_id", "background_id", "option_code", "option_order", "share", "n", "n_eff", "source"]
    return check_distributions(pd.DataFrame(rows, columns=columns))


def draw_table(truth: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A human sample of n respondents in each cell of `truth`."""
    cells = [(key, rng.multinomial(n, group.share) / n) for key, group in truth.groupby(CELL, sort=False)]
    return make_table({key: list(shares) for key, shares in cells}, n=n)


def repeat(table: pd.DataFrame, times: int) -> pd.DataFrame:
    """Every background `times` over, told apart by a further trait, so that one call scores many draws."""
    copies = [table.assign(background_id=table.background_id + f"|draw={number}") for number in range(times)]
    return pd.concat(copies, ignore_index=True)


def over_draws(scores: pd.DataFrame) -> pd.api.typing.DataFrameGroupBy:
    """Scores of repeated backgrounds, grouped by metric, question and the background that was repeated."""
    return scores.assign(background_id=scores.background_id.str.split("|").str[0]).groupby(["metric", *CELL])


@pytest.fixture
def reference() -> pd.DataFrame:
    return make_table(
        {
            ("scale", "gender=f"): [0.1, 0.2, 0.3, 0.4],
            ("scale", "gender=m"): [0.4, 0.3, 0.2, 0.1],
            ("kind", "gender=f"): [0.5, 0.3, 0.2],
            ("kind", "gender=m"): [0.2, 0.3, 0.5],
        }
    )


@pytest.fixture
def estimate() -> pd.DataFrame:
    return make_table(
        {
            ("kind", "gender=m"): [0.2, 0.4, 0.4],
            ("kind", "gender=f"): [0.5, 0.3, 0.2],
            ("scale", "gender=m"): [0.4, 0.3, 0.2, 0.1],
            ("scale", "gender=f"): [0.4, 0.2, 0.3, 0.1],
        },
        source="model",
    )


def score_of(scores: pd.DataFrame, question: str, background: str, metric: str) -> float:
    row = scores[(scores.question_id == question) & (scores.background_id == background) & (scores.metric == metric)]
    assert len(row) == 1
    return float(row.estimate.iloc[0])


def test_the_metric_goes_by_the_type_of_question(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    scores = ss.evaluate(estimate, reference, metrics="wasserstein", ordinal=ORDINAL)
    assert set(scores.columns) == {*SCORE_COLUMNS, "weight", "gender"}
    assert dict(scores.groupby("question_id").metric.unique().map(list)) == {"kind": ["total_variation"], "scale": ["wasserstein"]}
    assert score_of(scores, "scale", "gender=f", "wasserstein") == pytest.approx(0.3)
    assert score_of(scores, "scale", "gender=m", "wasserstein") == pytest.approx(0, abs=1e-12)
    assert score_of(scores, "kind", "gender=m", "total_variation") == pytest.approx(0.1)


def test_asking_for_both_metrics_repeats_nothing(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    scores = ss.evaluate(estimate, reference, ordinal=ORDINAL)
    assert not scores.duplicated(["question_id", "background_id", "metric"]).any()
    assert len(scores) == 2 + 4


def test_types_come_from_the_codebook_and_must_be_known(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    with pytest.raises(EvaluationError, match="give codebook=, or ordinal="):
        ss.evaluate(estimate, reference)
    with pytest.raises(EvaluationError, match="ordinal must be a name or a list of names; got int 3"):
        ss.evaluate(estimate, reference, ordinal=3)
    assert len(ss.evaluate(estimate, reference, metrics="total_variation")) == 4
    codebook = ss.load_codebook("nonvoters2020")
    name, other = (next(q.question_id for q in codebook.questions.values() if q.type == kind) for kind in ("ordinal", "nominal"))
    renamed = [table.assign(question_id=table.question_id.replace({"scale": name})) for table in (estimate, reference)]
    for verb in (ss.evaluate, ss.diagnose):
        with pytest.raises(EvaluationError, match="codebook 'nonvoters2020' lacks question 'kind'"):
            verb(*renamed, codebook=codebook)
    with pytest.raises(EvaluationError, match="codebook 'nonvoters2020' lacks question 'kind'"):
        ss.noise_floor(renamed[1], codebook=codebook)
    renamed = [table.assign(question_id=table.question_id.replace({"kind": other})) for table in renamed]
    assert score_of(ss.evaluate(*renamed, codebook=codebook), name, "gender=f", "wasserstein") == pytest.approx(0.3)


def test_the_order_of_rows_does_not_matter(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    keys = ["question_id", "background_id", "metric"]
    tables = [ss.evaluate(table, reference, ordinal=ORDINAL) for table in (estimate, estimate.sample(frac=1, random_state=1))]
    pd.testing.assert_frame_equal(*[table.sort_values(keys).reset_index(drop=True) for table in tables])


def test_several_methods_are_scored_by_source(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    both = pd.concat([estimate, reference.assign(source="oracle")])
    scores = ss.evaluate(both, reference, ordinal=ORDINAL, by="source")
    summary = ss.summarise_scores(scores, by="source").set_index(["source", "metric"]).estimate
    assert summary["oracle", "wasserstein"] == pytest.approx(0, abs=1e-12)
    assert summary["model", "wasserstein"] == pytest.approx(0.15)
    with pytest.raises(EvaluationError, match=r"holds 2 sources \(model, oracle\)"):
        ss.evaluate(both, reference, ordinal=ORDINAL)


def test_cells_of_one_table_only_are_an_error_or_counted(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    short = estimate[~((estimate.question_id == "kind") & (estimate.background_id == "gender=m"))]
    with pytest.raises(EvaluationError, match="only reference has kind / gender=m"):
        ss.evaluate(short, reference, ordinal=ORDINAL)
    with pytest.raises(EvaluationError, match="only estimated has kind / gender=m"):
        ss.evaluate(reference, short, ordinal=ORDINAL)
    scores = ss.evaluate(short, reference, ordinal=ORDINAL, on="shared")
    assert len(scores[scores.metric == "total_variation"]) == 3
    assert {name: scores.attrs[name] for name in ("reference_empty", "only_estimated", "only_reference")} == {
        "reference_empty": 0,
        "only_estimated": 0,
        "only_reference": 1,
    }
    with pytest.raises(EvaluationError, match="on must be 'all' or 'shared'"):
        ss.evaluate(short, reference, ordinal=ORDINAL, on="share")


def test_a_reference_cell_without_respondents_is_no_truth(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    empty = (reference.question_id == "kind") & (reference.background_id == "gender=m")
    holed = reference.assign(share=reference.share.mask(empty), n=reference.n.mask(empty, 0), n_eff=reference.n_eff.mask(empty, 0))
    scores = ss.evaluate(estimate, holed, ordinal=ORDINAL)
    assert len(scores[scores.metric == "total_variation"]) == 3
    assert scores.attrs["reference_empty"] == 1
    with pytest.raises(EvaluationError, match="estimated has no shares in kind / gender=m"):
        ss.evaluate(holed, estimate, ordinal=ORDINAL)


def test_other_options_are_an_error(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    with pytest.raises(EvaluationError, match=r"options of scale \(estimated \[1, 2, 3, 4\], reference \[0, 1, 2, 3\]\).* differ"):
        ss.evaluate(estimate.assign(option_code=estimate.option_code + 1), reference, ordinal=ORDINAL)
    with pytest.raises(TableError, match="estimated: the shares of a cell must sum to 1"):
        ss.evaluate(estimate.assign(share=estimate.share * 0.5), reference, ordinal=ORDINAL)
    with pytest.raises(EvaluationError, match="no metric 'kll'; did you mean 'kl'"):
        ss.evaluate(estimate, reference, metrics=["kll"])


def test_cells_are_weighted_by_population_share(estimate: pd.DataFrame, reference: pd.DataFrame) -> None:
    weights = pd.DataFrame({"background_id": ["gender=f", "gender=m"], "population_share": [0.9, 0.1]})
    scores = ss.evaluate(estimate, reference, metrics="wasserstein", ordinal=ORDINAL, weights=weights)
    summary = ss.summarise_scores(scores).set_index("metric").estimate
    assert summary["wasserstein"] == pytest.approx(0.9 * 0.3)
    assert summary["total_variation"] == pytest.approx(0.1 * 0.1)
    with pytest.raises(EvaluationError, match="weights has no population_share of background gender=m"):
        ss.evaluate(estimate, reference, ordinal=ORDINAL, weights={"gender=f": 1.0})


def test_standard_errors_are_the_spread_over_references(reference: pd.DataFrame, estimate: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    metrics = ("wasserstein", "total_variation", "squared_error")
    drawn = draw_table(repeat(reference, 400), 400, rng)
    stacked = over_draws(ss.evaluate(repeat(estimate, 400), drawn, metrics=metrics, ordinal=ORDINAL))
    spread, stated = stacked.estimate.std(), stacked.std_error.mean()
    for metric, question, background in (
        ("wasserstein", "scale", "gender=f"),
        ("squared_error", "scale", "gender=f"),
        ("squared_error", "kind", "gender=m"),
    ):
        assert stated[metric, question, background] == pytest.approx(spread[metric, question, background], rel=0.15)


def test_the_debiased_squared_error_is_unbiased(reference: pd.DataFrame, estimate: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    metrics = ("squared_error", "debiased_squared_error")
    exact = ss.evaluate(estimate, reference, metrics="squared_error").set_index(CELL).estimate
    drawn = draw_table(repeat(reference, 400), 20, rng)
    mean = over_draws(ss.evaluate(repeat(estimate, 400), drawn, metrics=metrics)).estimate.agg(["mean", "sem"])
    for cell in exact.index:
        honest, naive = mean.loc[("debiased_squared_error", *cell)], mean.loc[("squared_error", *cell)]
        assert abs(honest["mean"] - exact[cell]) < 4 * honest["sem"]
        assert naive["mean"] - exact[cell] > 0.02


def test_the_noise_floor_is_what_fresh_samples_score(reference: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    fresh, truth = (draw_table(repeat(reference, 400), n, rng) for n in (25, 100))
    actual = over_draws(ss.evaluate(fresh, truth, metrics="total_variation")).estimate.mean()["total_variation"]
    floor = ss.noise_floor(reference, n=25, metrics="total_variation", draws=400, seed=3).set_index(CELL)
    np.testing.assert_allclose(floor.estimate.reindex(actual.index), actual, rtol=0.06)


def test_the_noise_floor_falls_with_the_sample(reference: pd.DataFrame) -> None:
    train = make_table({("scale", "gender=f"): [0.25] * 4, ("kind", "gender=f"): [0.5, 0.25, 0.25]}, n=10)
    floors = {
        name: ss.noise_floor(reference, n=n, metrics="total_variation", draws=100)
        for name, n in {"training": train, "truth": None, "perfect": np.inf}.items()
    }
    means = {name: ss.summarise_scores(floor).estimate.iloc[0] for name, floor in floors.items()}
    assert means["training"] > means["truth"] > means["perfect"] > 0
    assert floors["training"].attrs["never_sampled"] == 2
    assert set(floors["training"].background_id) == {"gender=f"}
    again = ss.noise_floor(reference, n=np.inf, metrics="total_variation", draws=100)
    pd.testing.assert_frame_equal(again, floors["perfect"])


def test_the_noise_floor_refuses_what_it_cannot_know(reference: pd.DataFrame) -> None:
    with pytest.raises(EvaluationError, match="n must be positive"):
        ss.noise_floor(reference, n=0, ordinal=ORDINAL)
    with pytest.raises(EvaluationError, match="draws must be at least 2"):
        ss.noise_floor(reference, ordinal=ORDINAL, draws=1)
    with pytest.raises(EvaluationError, match="neither n nor n_eff"):
        ss.noise_floor(reference.drop(columns=["n", "n_eff"]), ordinal=ORDINAL)


def test_the_summary_averages_questions_not_cells() -> None:
    scores = pd.DataFrame(
        {
            "question_id": ["a", "a", "a", "b", "c"],
            "background_id": ["x", "y", "z", "x", "x"],
            "metric": "kl",
            "estimate": [0.1, 0.1, 0.4, 0.5, 0.3],
            "weight": [1.0, 1.0, 2.0, 1.0, 7.0],
        }
    )
    row = ss.summarise_scores(scores).iloc[0]
    means = np.array([0.25, 0.5, 0.3])
    assert row.estimate == pytest.approx(means.mean())
    assert row.std_error == pytest.approx(means.std(ddof=1) / np.sqrt(3))
    assert row.conf_high - row.estimate == pytest.approx(4.302652729911275 * row.std_error)  # t, 2 degrees of freedom
    assert (row.n_questions, row.n_backgrounds) == (3, 3)
    bootstrap = ss.summarise_scores(scores, interval="bootstrap").iloc[0]
    assert means.min() <= bootstrap.conf_low < row.estimate < bootstrap.conf_high <= means.max()


def test_the_summary_can_keep_questions_apart() -> None:
    scores = pd.DataFrame({"question_id": ["a", "a", "b"], "background_id": ["x", "y", "x"], "metric": "kl", "estimate": [0.1, 0.3, 0.5]})
    apart = ss.summarise_scores(scores, by=["question_id"])
    assert apart.question_id.tolist() == ["a", "b"]
    assert apart.estimate.tolist() == pytest.approx([0.2, 0.5])
    assert apart.conf_low.isna().all()
    assert apart.n_questions.tolist() == [1, 1]


def test_the_summary_refuses_unusable_weights() -> None:
    scores = pd.DataFrame({"question_id": ["a"], "background_id": ["x"], "metric": ["kl"], "estimate": [0.1], "weight": [0.0]})
    with pytest.raises(EvaluationError, match="all backgrounds of question a have weight 0"):
        ss.summarise_scores(scores)
    with pytest.raises(EvaluationError, match="weight must be >= 0"):
        ss.summarise_scores(scores.assign(weight=-1.0))
    with pytest.raises(EvaluationError, match="interval must be 't' or 'bootstrap'"):
        ss.summarise_scores(scores, interval="z")


CURVE = pd.DataFrame({"n": [100, 100, 400, 1600], "estimate": [0.11, 0.13, 0.06, 0.03]})


@pytest.mark.parametrize(
    ("error", "n", "needed", "saved", "bound"),
    [
        (0.06, 100, 400, 0.75, "exact"),
        (0.09, 100, 200, 0.5, "exact"),  # half-way between 100 and 400 on the log scale
        (0.12, 100, 100, 0.0, "exact"),
        (0.06, 800, 400, -1.0, "exact"),
        (0.02, 100, 1600, 0.9375, "at_least"),
        (0.20, 100, 100, 0.0, "at_most"),
    ],
)
def test_respondents_saved_are_read_off_the_curve(error: float, n: int, needed: float, saved: float, bound: str) -> None:
    row = ss.data_saved(CURVE, pd.DataFrame({"n": [n], "estimate": [error], "method": ["dsa"]})).iloc[0]
    assert row.n_needed == pytest.approx(needed)
    assert row.data_saved == pytest.approx(saved)
    assert row.bound == bound
    assert row.method == "dsa"


def test_a_curve_that_rises_by_noise_is_levelled() -> None:
    curve = pd.DataFrame({"n": [100, 200, 400], "estimate": [0.10, 0.12, 0.05]})
    saved = ss.data_saved(curve, pd.DataFrame({"n": [50], "estimate": [0.11]})).iloc[0]
    assert saved.n_needed == pytest.approx(100)  # 0.10 and 0.12 pool to 0.11, first reached at 100
    assert saved.bound == "exact"


def test_a_curve_needs_two_sizes_and_sound_numbers() -> None:
    scores = pd.DataFrame({"n": [100], "estimate": [0.1]})
    with pytest.raises(EvaluationError, match="needs at least two"):
        ss.data_saved(CURVE.iloc[:2], scores)
    with pytest.raises(EvaluationError, match="every n must be positive"):
        ss.data_saved(CURVE, scores.assign(n=0))
    with pytest.raises(TableError, match="curve lacks column n"):
        ss.data_saved(CURVE.drop(columns="n"), scores)


def exaggerated(reference: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The reference with every background's distance from the mean multiplied."""
    mean = reference.groupby(["question_id", "option_code"]).share.transform("mean")
    return reference.assign(share=mean + factor * (reference.share - mean), source="model")


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.2])
def test_the_diagnosis_finds_exaggerated_backgrounds(reference: pd.DataFrame, factor: float) -> None:
    exact = reference.assign(n=1e9, n_eff=1e9)
    found = ss.diagnose(exaggerated(exact, factor), exact, ordinal=ORDINAL).set_index("question_id")
    np.testing.assert_allclose(found.variance_ratio, factor**2, rtol=1e-6)
    np.testing.assert_allclose(found.rank_agreement["scale"], 1)


def test_the_diagnosis_takes_sampling_noise_off_the_truth() -> None:
    rng = np.random.default_rng(4)
    levels = rng.uniform(0.3, 0.7, 40)
    truth = make_table({("scale", f"cell={i}"): [1 - p, p] for i, p in enumerate(levels)})
    ratios = [
        ss.diagnose(truth.assign(source="model"), draw_table(truth, 10, rng), ordinal=ORDINAL).variance_reference.iloc[0] for _ in range(60)
    ]
    assert np.mean(ratios) == pytest.approx(2 * levels.var(), rel=0.1)


def test_the_diagnosis_sees_reversed_and_flat_estimates(reference: pd.DataFrame) -> None:
    reverse = ss.diagnose(exaggerated(reference, -1), reference, ordinal=ORDINAL).set_index("question_id")
    assert reverse.rank_agreement["scale"] == pytest.approx(-1)
    flat = ss.diagnose(exaggerated(reference, 0), reference, ordinal=ORDINAL).set_index("question_id")
    assert flat.rank_agreement["scale"] == 0
    assert flat.variance_ratio["scale"] == 0
    assert reverse.worst_decile["scale"] > flat.worst_decile["scale"] > 0
