"""What is known besides the sample: order reaches every design, helps where it is right, and costs next to nothing where it is wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.baselines.fitting import training_cells
from surveysim.baselines.knowledge import Knowledge, known_order, random_walk
from surveysim.baselines.methods import BASELINES
from surveysim.baselines.regressions import softmax
from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.errors import EstimationError
from surveysim.tables.schema import check_distributions
from tests.support.opinion_survey import TRAITS, opinion_survey

AGES = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
KEYS = ["question_id", "background_id", "option_order"]
TOLD = {"age": AGES}
USING_ORDER = ["ridge", "cumulative", "mrp", "mean_tilt", "low_rank"]
FOLDING = {"ridge", "cumulative", "boosting"}  # their folds are dealt over cells in the table's order
OPTIONS = np.arange(5)


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    rows = [{"age": age, "gender": gender} for age, gender in product(sorted(AGES, reverse=True), ["f", "m"])]
    return pd.DataFrame(rows).assign(background_id=[background_id(row) for row in rows])


def truth(grid: pd.DataFrame) -> dict[str, np.ndarray]:
    """Shares of six scales that rise or fall evenly with age."""
    age = np.array([AGES.index(level) for level in grid.age]) - 2.5
    slopes = np.linspace(-0.25, 0.25, 6)
    return {f"q{number}": softmax(slope * age[:, None] * (OPTIONS - 2), np.ones(5, bool)) for number, slope in enumerate(slopes)}


def draw(grid: pd.DataFrame, size: int, seed: int, left_out: tuple[str, ...] = ()) -> pd.DataFrame:
    """A distributions table of `size` respondents in each background but those of the ages left out."""
    rng = np.random.default_rng(seed)
    rows = [
        (question, identifier, option + 1, option, count / size, size, float(size), "survey")
        for question, shares in truth(grid).items()
        for identifier, age, cell in zip(grid.background_id, grid.age, shares, strict=True)
        if age not in left_out
        for option, count in enumerate(rng.multinomial(size, cell))
    ]
    return check_distributions(pd.DataFrame(rows, columns=[*KEYS[:2], "option_code", "option_order", "share", "n", "n_eff", "source"]))


def estimate(sample: pd.DataFrame, grid: pd.DataFrame, method: str, **known: object) -> pd.Series:
    return ss.estimate_baseline(sample, grid, method=method, ordinal=[f"q{number}" for number in range(6)], **known).set_index(KEYS).share


def error(shares: pd.Series, grid: pd.DataFrame) -> float:
    """Mean difference of shares from the truth."""
    wide = shares.reset_index().pivot_table("share", KEYS[:2], KEYS[2])
    parts = [wide.loc[question].loc[list(grid.background_id)].to_numpy() - expected for question, expected in truth(grid).items()]
    return float(np.abs(parts).mean())


@pytest.mark.parametrize("method", USING_ORDER)
def test_order_lowers_the_error_where_answers_change_evenly(method: str, grid: pd.DataFrame) -> None:
    samples = [draw(grid, 8, seed) for seed in range(3)]
    without = np.mean([error(estimate(sample, grid, method), grid) for sample in samples])
    told = np.mean([error(estimate(sample, grid, method, levels=TOLD), grid) for sample in samples])
    assert told < 0.95 * without


@pytest.mark.parametrize("method", USING_ORDER)
def test_order_reaches_levels_that_nobody_in_the_sample_has(method: str, grid: pd.DataFrame) -> None:
    sample, oldest = draw(grid, 40, 1, left_out=("65+",)), grid[grid.age == "65+"]
    without, told = (error(estimate(sample, oldest, method, **known), oldest) for known in ({}, {"levels": TOLD}))
    assert told < 0.7 * without


@pytest.mark.parametrize("method", ["raw", "pooled", "shrunken"])
def test_methods_without_a_design_are_the_same_with_order(method: str, grid: pd.DataFrame) -> None:
    sample = draw(grid, 8, 0)
    pd.testing.assert_series_equal(estimate(sample, grid, method, levels=TOLD), estimate(sample, grid, method))


@pytest.mark.parametrize("method", sorted(set(BASELINES) - FOLDING))
def test_rows_in_another_order_change_nothing(method: str, grid: pd.DataFrame) -> None:
    sample = draw(grid, 8, 0)
    other = sample.sort_values(["question_id", "background_id", "option_order"], ascending=[True, False, True])
    first, second = (estimate(table, grid, method, levels=TOLD) for table in (sample, other))
    np.testing.assert_allclose(second.reindex(first.index), first, atol=1e-5)


def test_a_background_is_the_same_whichever_others_are_asked_for(grid: pd.DataFrame) -> None:
    sample = draw(grid, 8, 0, left_out=("65+", "18-24"))
    few = estimate(sample, grid[grid.age == "35-44"], "low_rank", levels=TOLD)
    many = estimate(sample, grid, "low_rank", levels=TOLD)
    np.testing.assert_allclose(many.reindex(few.index), few, atol=1e-6)


def test_levels_told_backwards_are_the_same_order(grid: pd.DataFrame) -> None:
    sample = draw(grid, 8, 0)
    forward, backward = (estimate(sample, grid, "low_rank", levels={"age": ages}) for ages in (AGES, AGES[::-1]))
    np.testing.assert_allclose(backward, forward, atol=1e-6)


def test_a_wrong_order_loses_half_a_percent_at_most() -> None:
    survey, by = ss.load_example("nonvoters2020"), ["gender", "age6", "education"]
    right = {trait: levels for trait, levels in known_order(survey.codebook).items() if trait in by}
    wrong = {
        "age6": tuple(right["age6"][place] for place in (3, 0, 5, 1, 4, 2)),
        "education": tuple(right["education"][place] for place in (1, 0, 2)),
    }
    grid, errors = ss.background_grid(survey.codebook, by=by), []
    ordinal = [name for name, question in survey.codebook.questions.items() if question.type == "ordinal"]
    for seed in (200, 201, 202):
        train, rest = ss.hold_out_respondents(survey, n_train=400, seed=seed)
        sample = ss.response_distributions(train, by=by, questions=ordinal, lonely_psu="adjust")
        left = ss.response_distributions(rest, by=by, questions=ordinal)
        tables = [ss.estimate_baseline(sample, grid, method="low_rank", ordinal=ordinal, levels=levels) for levels in ({}, wrong, right)]
        scores = [ss.evaluate(table, left, metrics=["wasserstein"], codebook=survey.codebook) for table in tables]
        errors.append([ss.summarise_scores(each).estimate.iloc[0] for each in scores])
    without, misled, told = np.mean(errors, axis=0)
    assert misled <= 1.005 * without
    assert told <= 0.95 * without


def test_a_codebook_says_both_orders() -> None:
    survey = opinion_survey()
    book = _ordered(survey).codebook
    sample, grid = ss.response_distributions(survey, by=TRAITS), ss.background_grid(book, by=TRAITS)
    ordinal = [name for name, question in book.questions.items() if question.type == "ordinal"]
    by_book = ss.estimate_baseline(sample, grid, codebook=book)
    by_hand = ss.estimate_baseline(sample, grid, ordinal=ordinal, levels={"age": ("young", "middle", "old")})
    pd.testing.assert_frame_equal(by_book, by_hand)
    pd.testing.assert_frame_equal(ss.simulate(_ordered(survey), TRAITS, method="mrp")[list(by_book)], by_book)


@pytest.mark.usefixtures("module_cache")
@pytest.mark.parametrize("method", ["ridge", "mrp", "low_rank", "mean_tilt", "dsa-kernel", "dsa"])
def test_the_codebooks_order_reaches_every_simulation(method: str, base: ss.OptionModel) -> None:
    model = base if method.startswith("dsa") else None
    options = {"model": model, "questions": ["taxes", "news"], "method": method, "progress": False}
    plain, told = (ss.simulate(survey, TRAITS, **options) for survey in (opinion_survey(), _ordered(opinion_survey())))
    assert (plain.share - told.share).abs().max() > 1e-5


def _ordered(survey: ss.Survey) -> ss.Survey:
    """The survey with its ages in order."""
    traits = {**survey.codebook.traits, "age": replace(survey.codebook.trait("age"), ordered=True)}
    return replace(survey, codebook=replace(survey.codebook, traits=traits))


def test_kernels_are_a_line_and_a_random_walk_of_mean_variance_one() -> None:
    known = Knowledge({"age": AGES, "gender": ("f", "m"), "income": ("low", "middle", "high")})
    line, walk = known.kernels([f"age={age}|gender=f" for age in AGES])
    assert np.trace(line) == pytest.approx(6)
    assert np.linalg.matrix_rank(line) == 1
    assert np.trace(walk) == pytest.approx(6)
    np.testing.assert_allclose(walk.sum(0), 0, atol=1e-12)
    steps = np.diag(walk)[:, None] + np.diag(walk) - 2 * walk  # variance of the difference between two levels: their distance
    places = np.arange(6)
    np.testing.assert_allclose(steps / steps[0, 1], np.abs(places[:, None] - places), atol=1e-12)
    np.testing.assert_allclose(walk, random_walk(6))


def test_indicators_end_with_a_column_for_each_ordered_trait(grid: pd.DataFrame) -> None:
    laid = training_cells(draw(grid, 8, 0), grid, knowledge=Knowledge(TOLD))
    places = [AGES.index(parse_background_id(identifier)["age"]) for identifier in laid.cells.backgrounds]
    assert laid.indicators().shape == (12, 6 + 2 + 1)
    np.testing.assert_allclose(np.corrcoef(laid.indicators()[:, -1], places)[0, 1], 1)
    assert len(laid.kernels()) == 3 + 2


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"agee": AGES}, "the backgrounds have no trait 'agee'; .*'age'"),
        ({"age": AGES[:5]}, "trait 'age' has no place for '65\\+' among 18-24"),
        ({"age": (*AGES, "18-24")}, "trait 'age' has level 18-24 twice"),
        ({"age": "18-24"}, "trait 'age' has the text '18-24'; give a list"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(levels: dict[str, tuple[str, ...]], message: str, grid: pd.DataFrame) -> None:
    with pytest.raises(EstimationError, match=message):
        estimate(draw(grid, 8, 0), grid, "mrp", levels=levels)


def test_party_settlement_age_and_education_are_ordered_where_they_have_levels_in_order() -> None:
    for name in ("anes2020", "gss2016"):
        assert {"party3", "settlement", "age3", "education3", "income"} <= known_order(ss.load_codebook(name)).keys()
    for name in ("ess11", "wvs7", "cgss2021"):
        told = known_order(ss.load_codebook(name))
        assert {"age3", "age6", "education3", "income3", "settlement"} <= told.keys()
        assert not {"gender", "country", "province", "hukou"} & told.keys()
