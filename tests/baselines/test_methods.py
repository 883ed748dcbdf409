"""Classical estimates: equal to other libraries where these have them, invariant where they must be, better than the sample."""

from __future__ import annotations

import builtins
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.baselines import multilevel, regressions, variance_components
from surveysim.baselines.fitting import TrainingCells, training_cells
from surveysim.baselines.methods import BASELINES
from surveysim.codebook.backgrounds import background_id
from surveysim.errors import EstimationError, TableError
from surveysim.evaluation.metrics import METRICS
from surveysim.tables.schema import check_distributions
from tests.support.opinion_survey import TRAITS as ASKED
from tests.support.opinion_survey import opinion_codebook, opinion_survey

TRAITS = {"age": ["18-34", "35-54", "55+"], "gender": ["f", "m"], "region": ["e", "n", "s", "w"]}
OPTIONS = {"scale": 5, "agree": 4, "vote": 2, "kind": 3}
ORDINAL = ("scale", "agree")
QUICK = sorted(set(BASELINES) - {"boosting"})


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    rows = [dict(zip(TRAITS, levels, strict=True)) for levels in product(*TRAITS.values())]
    return pd.DataFrame(rows).assign(background_id=[background_id(row) for row in rows])


def population(seed: int = 0) -> dict[str, np.ndarray]:
    """True shares (backgrounds, options) of every question: main effects on the logits, an ordered shift for scales."""
    rng = np.random.default_rng(seed)
    levels = np.array(list(product(*(range(len(names)) for names in TRAITS.values()))))
    shares = {}
    for question, options in OPTIONS.items():
        effects = [rng.normal(0, 0.5, (len(names), options)) for names in TRAITS.values()]
        if question in ORDINAL:
            effects = [effect[:, :1] * np.linspace(-1.5, 1.5, options) for effect in effects]
        logits = rng.normal(0, 0.4, options) + sum(effect[levels[:, j]] for j, effect in enumerate(effects))
        shares[question] = regressions.softmax(logits, np.ones(options, bool))
    return shares


def draw(truth: dict[str, np.ndarray], grid: pd.DataFrame, sizes: np.ndarray | int, seed: int) -> pd.DataFrame:
    """A distributions table of `sizes` respondents in each background; cells of size 0 stay with missing shares."""
    rng = np.random.default_rng(seed)
    size = np.broadcast_to(sizes, len(grid))
    rows = []
    for question, shares in truth.items():
        for background, n, cell in zip(grid.background_id, size, shares, strict=True):
            counts = rng.multinomial(n, cell)
            for option, count in enumerate(counts):
                rows.append((question, background, option + 1, option, count / n if n else np.nan, n, float(n), "survey"))
    columns = ["question_id", "background_id", "option_code", "option_order", "share", "n", "n_eff", "source"]
    return check_distributions(pd.DataFrame(rows, columns=columns))


def error(table: pd.DataFrame, truth: dict[str, np.ndarray], question: str, backgrounds: pd.Series) -> float:
    """Mean total variation from the true shares over all backgrounds."""
    return float(METRICS["total_variation"](wide(table, question, "share", backgrounds), truth[question]).mean())


def wide(table: pd.DataFrame, question: str, column: str, backgrounds: pd.Series) -> np.ndarray:
    """One column of a table as an array (backgrounds, options)."""
    rows = table[table.question_id == question].pivot_table(index="background_id", columns="option_order", values=column)
    return rows.loc[list(backgrounds)].to_numpy()


@pytest.fixture(scope="module")
def sample(grid: pd.DataFrame) -> pd.DataFrame:
    """Six respondents a cell on average, some cells empty."""
    return draw(population(), grid, np.random.default_rng(5).poisson(6, len(grid)) * (np.arange(len(grid)) % 7 != 3), 1)


@pytest.mark.parametrize("method", BASELINES)
def test_every_background_asked_for_gets_shares_that_sum_to_one(method: str, sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    asked = grid.sample(frac=0.7, random_state=0)
    table = ss.estimate_baseline(sample, asked, method=method, ordinal=ORDINAL)
    check_distributions(table)
    assert table.source.unique().tolist() == [method]
    assert table.background_id.unique().tolist() == asked.background_id.tolist()
    assert (table.groupby(["question_id", "background_id"]).share.sum() - 1).abs().max() < 1e-9
    sizes = sample.drop_duplicates("background_id").set_index("background_id").n
    assert table.attrs["never_sampled"] == int((sizes[asked.background_id] == 0).sum()) > 0


@pytest.mark.parametrize("method", QUICK)
def test_the_order_of_rows_and_of_questions_does_not_matter(method: str, sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    keys = ["question_id", "background_id", "option_order"]
    first = ss.estimate_baseline(sample, grid, method=method, ordinal=ORDINAL).set_index(keys).share
    by_question = sample.sort_values(["question_id", "background_id", "option_order"], ascending=[False, True, True])
    order = grid.set_index("background_id").loc[sample.background_id.unique()].reset_index()
    second = ss.estimate_baseline(by_question, order, method=method, ordinal=ORDINAL).set_index(keys).share
    tolerance = 0.02 if method in ("ridge", "cumulative") else 2e-3  # their folds are dealt over cells in the table's order
    np.testing.assert_allclose(second.reindex(first.index), first, atol=tolerance)


@pytest.mark.parametrize("method", QUICK)
def test_asking_for_more_backgrounds_changes_no_other(method: str, sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    keys = ["question_id", "background_id", "option_order"]
    few = ss.estimate_baseline(sample, grid.iloc[:3], method=method, ordinal=ORDINAL).set_index(keys).share
    extra = pd.concat([grid, pd.DataFrame({"background_id": ["age=85+|gender=f|region=e"]})])
    many = ss.estimate_baseline(sample, extra, method=method, ordinal=ORDINAL).set_index(keys).share
    np.testing.assert_allclose(many.reindex(few.index), few, atol=1e-6)


@pytest.mark.parametrize("method", ["raw", "pooled", "shrunken", "cumulative", "mrp", "mean_tilt", "low_rank", "ridge"])
def test_a_scale_read_backwards_gives_the_mirrored_shares(method: str, sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    keys = ["question_id", "background_id", "option_code"]
    last = sample.groupby("question_id").option_order.transform("max")
    forward = ss.estimate_baseline(sample, grid, method=method, ordinal=ORDINAL).set_index(keys).share
    backward = ss.estimate_baseline(sample.assign(option_order=last - sample.option_order), grid, method=method, ordinal=ORDINAL)
    np.testing.assert_allclose(backward.set_index(keys).share.reindex(forward.index), forward, atol=1e-4)


def test_raw_keeps_the_sample_and_says_what_it_filled(sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    table = ss.estimate_baseline(sample, grid, method="raw")
    keys = ["question_id", "background_id", "option_order"]
    both = sample.set_index(keys).share.to_frame("sample").join(table.set_index(keys).share)
    answered = both["sample"].notna()
    np.testing.assert_allclose(both.share[answered], both["sample"][answered], atol=1e-12)
    assert table.attrs["filled_from_pooled"] == int((~answered).groupby(level=[0, 1]).first().sum()) > 0
    pooled = ss.estimate_baseline(sample, grid, method="pooled").set_index(keys).share
    np.testing.assert_allclose(both.share[~answered], pooled[both.index[~answered]], atol=1e-12)


def test_pooled_weights_cells_by_effective_size(sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    table = ss.estimate_baseline(sample, grid, method="pooled")
    answered = sample[sample.share.notna()]
    for (question, option), group in answered.groupby(["question_id", "option_order"]):
        found = table[(table.question_id == question) & (table.option_order == option)].share
        np.testing.assert_allclose(found, np.average(group.share, weights=group.n_eff))


def test_partial_pooling_beats_the_sample_and_the_pool(grid: pd.DataFrame) -> None:
    truth = population(3)
    errors: dict[str, list[float]] = {}
    for seed, method in product(range(3), ("raw", "pooled", "shrunken", "ridge", "mrp")):
        table = ss.estimate_baseline(draw(truth, grid, 6, seed), grid, method=method, ordinal=ORDINAL)
        errors.setdefault(method, []).extend(error(table, truth, question, grid.background_id) for question in truth)
    mean = {method: np.mean(values) for method, values in errors.items()}
    assert mean["mrp"] < mean["ridge"] < mean["shrunken"] < min(mean["pooled"], mean["raw"])
    assert mean["mrp"] < 0.5 * mean["raw"]


def test_unsampled_backgrounds_are_estimated_from_their_levels(grid: pd.DataFrame) -> None:
    truth = population(4)
    held = np.arange(len(grid)) % 5 == 2
    sample = draw(truth, grid, np.where(held, 0, 60), 0)
    part = {question: shares[held] for question, shares in truth.items()}
    names = grid.background_id[held]
    errors = {
        method: np.mean([error(ss.estimate_baseline(sample, grid[held], method=method, ordinal=ORDINAL), part, q, names) for q in truth])
        for method in ("pooled", "shrunken", "ridge", "cumulative", "mrp", "low_rank")
    }
    assert errors["shrunken"] == pytest.approx(errors["pooled"], abs=1e-3)
    for method in ("ridge", "cumulative", "mrp", "low_rank"):
        assert errors[method] < 0.4 * errors["pooled"]


def test_large_cells_speak_for_themselves(grid: pd.DataFrame) -> None:
    truth = population(6)
    for method in ("shrunken", "mrp", "low_rank"):
        table = ss.estimate_baseline(draw(truth, grid, 20_000, 0), grid, method=method, ordinal=ORDINAL)
        assert max(error(table, truth, question, grid.background_id) for question in truth) < 0.008


def test_the_tilt_keeps_the_pooled_shape(sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    table = ss.estimate_baseline(sample, grid, method="mean_tilt", ordinal=ORDINAL)
    cells = training_cells(sample, grid, ordinal=ORDINAL)
    row = cells.cells.questions.index("scale")
    logs = np.log(wide(table, "scale", "share", grid.background_id) / cells.pooled_positive[row])
    np.testing.assert_allclose(np.diff(logs, n=2, axis=1), 0, atol=1e-9)  # log ratio to the pooled shares: a straight line
    mrp = ss.estimate_baseline(sample, grid, method="mrp", ordinal=ORDINAL)
    keys = ["question_id", "background_id", "option_order"]
    short = [frame[frame.question_id == "vote"].set_index(keys).share for frame in (table, mrp)]
    np.testing.assert_allclose(short[0], short[1], atol=0.02)


def test_mrp_intervals_cover_the_truth(grid: pd.DataFrame) -> None:
    hits = []
    for seed in range(6):
        truth = population(10 + seed)
        table = ss.estimate_baseline(draw(truth, grid, 10, seed), grid, method="mrp", ordinal=ORDINAL)
        for question, shares in truth.items():
            low, high = (wide(table, question, column, grid.background_id) for column in ("conf_low", "conf_high"))
            hits.append(((low <= shares) & (shares <= high)).mean())
    assert 0.90 <= np.mean(hits) <= 0.99


def test_multinomial_ridge_without_penalty_equals_statsmodels() -> None:
    from statsmodels.api import MNLogit, add_constant

    rng = np.random.default_rng(0)
    columns = rng.integers(0, 2, (12, 2)).astype(float)
    counts = rng.integers(5, 30, (1, 12, 3)).astype(float)
    mask = np.ones((1, 3), bool)
    pooled = counts.sum(1) / counts.sum((1, 2))[:, None]
    shares = regressions.multinomial_ridge(counts, columns, np.array([1e-9]), mask, pooled)
    rows, options = np.nonzero(counts[0] >= 0)
    repeat = counts[0][rows, options].astype(int)
    model = MNLogit(np.repeat(options, repeat), add_constant(np.repeat(columns[rows], repeat, axis=0))).fit(disp=0)
    np.testing.assert_allclose(shares[0], model.predict(add_constant(columns, has_constant="add")), atol=2e-4)


def test_cumulative_ridge_without_penalty_equals_statsmodels() -> None:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    rng = np.random.default_rng(1)
    columns = rng.integers(0, 2, (12, 2)).astype(float)
    counts = rng.integers(5, 30, (1, 12, 4)).astype(float)
    pooled = counts.sum(1) / counts.sum((1, 2))[:, None]
    padded = np.concatenate([counts, np.zeros((1, 12, 2))], axis=-1)
    mask = np.arange(6)[None] < 4
    shares = regressions.cumulative_ridge(padded, columns, np.array([1e-9]), mask, np.pad(pooled, ((0, 0), (0, 2))))
    rows, options = np.nonzero(counts[0] >= 0)
    repeat = counts[0][rows, options].astype(int)
    model = OrderedModel(np.repeat(options, repeat), np.repeat(columns[rows], repeat, axis=0), distr="logit").fit(method="bfgs", disp=0)
    np.testing.assert_allclose(shares[0, :, :4], model.predict(columns), atol=5e-4)
    assert (shares[0, :, 4:] == 0).all()


def test_option_contrasts_are_orthonormal_under_the_pooled_shares() -> None:
    rng = np.random.default_rng(2)
    mask = np.arange(7) < np.array([7, 4, 2])[:, None]
    pooled = rng.dirichlet(np.ones(7), 3) * mask
    pooled /= pooled.sum(-1, keepdims=True)
    contrasts = multilevel.option_contrasts(pooled, mask)
    gram = np.einsum("qk,qkm,qkl->qml", pooled, contrasts, contrasts)
    for q, options in enumerate((7, 4, 2)):
        np.testing.assert_allclose(gram[q, : options - 1, : options - 1], np.eye(options - 1), atol=1e-9)
        np.testing.assert_allclose(pooled[q] @ contrasts[q], 0, atol=1e-9)
        assert (contrasts[q, :, options - 1 :] == 0).all()
        assert (np.diff(contrasts[q, :options, 0]) > 0).all()


def test_variances_are_recovered_and_shared_by_the_rows_of_a_question() -> None:
    rng = np.random.default_rng(4)
    levels = np.array(list(product(range(12), range(8))))
    kernels, _ = multilevel.trait_kernels(levels)
    true = np.array([0.2, 0.01])
    effects = [np.sqrt(v) * rng.normal(size=(40, size))[:, levels[:, j]] for j, (v, size) in enumerate(zip(true, (12, 8), strict=True))]
    sizes = np.full((40, 96), 20.0)
    scores = effects[0] + effects[1] + rng.normal(size=sizes.shape) / np.sqrt(sizes)
    found = variance_components.variance_components(kernels, scores, sizes, np.repeat(np.arange(20), 2), 1.0)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(np.exp(np.log(found[:, :2]).mean(0)), true, rtol=0.35)
    assert found[:, 2].max() < 0.005  # no interaction in the data


def test_the_posterior_mode_is_a_stationary_point(sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    cells = training_cells(sample, grid, ordinal=ORDINAL)
    kernels, _ = multilevel.trait_kernels(cells.levels)
    fit = multilevel.fit_multilevel(cells.cells, kernels, ordered=cells.ordered, pooled=cells.pooled_positive)
    contrasts = multilevel.option_contrasts(cells.pooled_positive, cells.cells.mask)
    score = np.einsum("qbk,qkm->qbm", cells.cells.counts - cells.cells.n_eff[..., None] * fit.shares, contrasts)
    logs = np.log(np.where(cells.cells.mask[:, None], fit.shares / np.where(cells.cells.mask, cells.pooled_positive, 1.0)[:, None], 1.0))
    modes = np.einsum("qbk,qk,qkm->qbm", logs, cells.pooled_positive, contrasts)  # orthonormal under the pooled shares
    components = _components(cells, kernels, contrasts)
    assert len(components) == (cells.cells.mask.sum(-1) - 1).sum()
    for (q, m), variances in components.items():
        prior = multilevel.INTERCEPT_VARIANCE + sum(v * kernel for v, kernel in zip(variances, kernels, strict=True))
        np.testing.assert_allclose(prior @ score[q, :, m], modes[q, :, m], atol=1e-3)


def _components(cells: TrainingCells, kernels: list[np.ndarray], contrasts: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Return the variance of every kernel by question and contrast: one prior for first contrasts of ordered questions, and so on."""
    modelled = np.arange(contrasts.shape[2]) < (cells.cells.mask.sum(-1) - 1)[:, None]
    first, ordered = np.arange(contrasts.shape[2]) == 0, cells.ordered[:, None]
    observed = np.einsum("qbk,qkm->qbm", cells.cells.shares, contrasts)
    found = {}
    for group in (modelled & ordered & first, modelled & ordered & ~first, modelled & ~ordered):
        q, m = np.nonzero(group)
        if len(q):
            own = variance_components.variance_components(
                kernels, observed[q, :, m], cells.cells.n_eff[q], q, multilevel.INTERCEPT_VARIANCE
            )
            found |= dict(zip(zip(q.tolist(), m.tolist(), strict=True), own, strict=True))
    return found


def test_a_kernel_that_knows_the_truth_is_found_and_used(grid: pd.DataFrame) -> None:
    """What a language model's geometry of backgrounds would have to be: the kernel form's door into the classical model."""
    rng = np.random.default_rng(7)
    hidden = rng.normal(size=len(grid))  # unrelated to the traits
    truth = {f"q{i}": regressions.softmax(0.6 * hidden[:, None] * np.linspace(-1, 1, 4), np.ones(4, bool)) for i in range(4)}
    held = np.arange(len(grid)) % 4 == 1
    cells = training_cells(draw(truth, grid, np.where(held, 0, 25), 0), grid, ordinal=list(truth))
    kernels, _ = multilevel.trait_kernels(cells.levels)
    knowing = np.outer(hidden, hidden)
    errors = []
    for own in (kernels, [*kernels, np.broadcast_to(knowing, (4, *knowing.shape))]):
        fit = multilevel.fit_multilevel(cells.cells, own, ordered=cells.ordered, pooled=cells.pooled_positive)
        actual = np.stack(list(truth.values()))
        errors.append(METRICS["total_variation"](fit.shares[:, held], actual[:, held]).mean())
    assert errors[1] < 0.5 * errors[0]
    found = _components(cells, own, multilevel.option_contrasts(cells.pooled_positive, cells.cells.mask))
    assert all(found[question, 0][-1] > found[question, 0][0] for question in range(4))


def test_shared_patterns_are_learned_from_many_questions(grid: pd.DataFrame) -> None:
    rng = np.random.default_rng(8)
    pattern = 0.5 * rng.normal(size=(len(grid), 1)) * np.linspace(-1, 1, 4)
    truth = {f"q{i}": regressions.softmax(rng.normal() * pattern, np.ones(4, bool)) for i in range(60)}
    sample = draw(truth, grid, 8, 0)
    errors = {}
    for method in ("mrp", "low_rank"):
        table = ss.estimate_baseline(sample, grid, method=method, ordinal=list(truth))
        errors[method] = np.mean([error(table, truth, question, grid.background_id) for question in truth])
    assert errors["low_rank"] < 0.85 * errors["mrp"]


def test_a_survey_without_traits_gives_the_pooled_shares() -> None:
    survey, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=300, seed=0)
    table = ss.response_distributions(survey, questions=["Q8_8", "Q23"])
    for method in QUICK:
        estimate = ss.estimate_baseline(table, pd.DataFrame({"background_id": ["all"]}), method=method, ordinal=["Q8_8"])
        np.testing.assert_allclose(estimate.share, table.share, atol=0.01)


def test_a_method_with_a_typo_gets_the_nearest_name(sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    with pytest.raises(EstimationError, match="no baseline 'ridgee'; did you mean 'ridge'"):
        ss.estimate_baseline(sample, grid, method="ridgee")


def test_unusable_training_tables_are_refused(sample: pd.DataFrame, grid: pd.DataFrame) -> None:
    silent = sample.assign(share=sample.share.mask(sample.question_id == "kind"))
    with pytest.raises(EstimationError, match="nobody in the sample answered question kind"):
        ss.estimate_baseline(silent, grid)
    few = sample[sample.background_id == grid.background_id[0]].assign(n=3, n_eff=3.0)
    with pytest.raises(EstimationError, match=r"scale \(3 respondents, 5 options\), agree \(3 respondents, 4 options\)"):
        ss.estimate_baseline(few, grid)
    with pytest.raises(TableError, match="training: the shares of a cell must sum to 1"):
        ss.estimate_baseline(sample.assign(share=sample.share / 2), grid)
    with pytest.raises(EstimationError, match=r"training and backgrounds: backgrounds gender=f.* have other traits than"):
        ss.estimate_baseline(sample, pd.DataFrame({"background_id": ["gender=f"]}))
    with pytest.raises(TableError, match="repeats background_id"):
        ss.estimate_baseline(sample, pd.concat([grid, grid.iloc[:1]]))
    with pytest.raises(TableError, match="backgrounds lacks column background_id"):
        ss.estimate_baseline(sample, grid.drop(columns="background_id"))


def test_boosting_without_scikit_learn_says_what_to_install(
    sample: pd.DataFrame, grid: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EstimationError, match="pip install scikit-learn"):
        ss.estimate_baseline(sample, grid, method="boosting")


def test_on_a_real_survey_the_ranking_is_that_of_the_literature() -> None:
    survey = ss.load_example("nonvoters2020")
    by, ordinal = ["gender", "age6", "education"], [q.question_id for q in survey.codebook.questions.values() if q.type == "ordinal"]
    grid = ss.background_grid(survey.codebook, by=by)
    train, truth = ss.hold_out_respondents(survey, n_train=400, seed=11)
    sample, reference = (ss.response_distributions(part, by=by) for part in (train, truth))
    methods = ["raw", "pooled", "shrunken", "ridge", "mrp", "low_rank"]
    tables = pd.concat([ss.estimate_baseline(sample, grid, method=method, ordinal=ordinal) for method in methods])
    scores = ss.evaluate(tables, reference, metrics="total_variation", by="source", on="shared")
    mean = ss.summarise_scores(scores, by="source").set_index("source").estimate
    assert mean["low_rank"] < mean["mrp"] < mean["ridge"] < mean["shrunken"] < mean["pooled"] < mean["raw"]
    assert mean["mrp"] < 0.55 * mean["raw"]


def test_more_respondents_than_there_are_people_are_refused() -> None:
    sample = ss.response_distributions(opinion_survey(200), by=ASKED, questions=["trust"])
    many = sample.assign(n_eff=sample["n_eff"].where(sample.index > 5, 1e16))
    with pytest.raises(EstimationError, match=r"n_eff: a cell of trust counts 1e\+16 respondents, and 1e\+10 are the most"):
        ss.estimate_baseline(many, ss.background_grid(opinion_codebook(), by=ASKED), method="mrp")
