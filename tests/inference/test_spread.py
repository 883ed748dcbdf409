"""`restore_spread`: constrained Bayes estimates, against the normal model in which their variance is known, and Ghosh's formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import EstimationError, TableError
from surveysim.tables.draws import with_draws


def table_of(shares: np.ndarray, error: np.ndarray | float, draws: np.ndarray | None = None) -> pd.DataFrame:
    """A table of one question with two options: the first option's share of each background, and its standard error."""
    both = np.column_stack([shares, 1 - shares]).ravel()
    made = pd.DataFrame(
        {
            "question_id": "q",
            "background_id": np.repeat([f"place={place:03d}" for place in range(len(shares))], 2),
            "option_code": [1, 2] * len(shares),
            "option_order": [1, 2] * len(shares),
            "share": both,
            "std_error": np.repeat(np.broadcast_to(error, len(shares)), 2),
            "source": "made",
        }
    )
    if draws is not None:
        return with_draws(made, np.stack([draws.T, 1 - draws.T], 1).reshape(2 * len(shares), -1))
    return made


def first(table: pd.DataFrame, column: str = "share") -> np.ndarray:
    return table[table.option_code == 1][column].to_numpy(float)


def test_in_the_normal_model_the_variance_is_that_of_the_truth() -> None:
    """True shares N(.5, .04^2), seen with error .05: posterior means have .39 of the true variance, the restored shares all of it."""
    generator, ratios, shrunken = np.random.default_rng(0), [], []
    for _ in range(20):
        truth = 0.5 + 0.04 * generator.standard_normal(400)
        seen = truth + 0.05 * generator.standard_normal(400)
        weight = 0.04**2 / (0.04**2 + 0.05**2)
        best, error = 0.5 + weight * (seen - 0.5), np.sqrt(weight) * 0.05
        spread = ss.restore_spread(table_of(best, error))
        ratios.append(first(spread).var() / truth.var())
        shrunken.append(best.var() / truth.var())
    assert np.mean(shrunken) == pytest.approx(weight, abs=0.02)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)


def test_the_factor_is_ghosh_s_where_nothing_is_cut() -> None:
    """Ghosh (1992): ``a^2 = 1 + (1 - 1/m) sum V / sum (e - mean e)^2`` for m independent posterior variances V."""
    shares, error = np.array([0.4, 0.5, 0.55, 0.7]), np.array([0.05, 0.04, 0.03, 0.06])
    spread = ss.restore_spread(table_of(shares, error))
    factor = np.sqrt(1 + (1 - 1 / 4) * (error**2).sum() / ((shares - shares.mean()) ** 2).sum())
    assert first(spread, "spread_factor") == pytest.approx(np.full(4, factor), rel=1e-12)
    assert first(spread) == pytest.approx(shares.mean() + factor * (shares - shares.mean()), rel=1e-12)
    assert first(spread, "std_error") == pytest.approx(np.sqrt(error**2 + (first(spread) - shares) ** 2), rel=1e-12)


def test_draws_say_how_errors_go_together() -> None:
    """Errors common to all backgrounds leave their differences as they are; independent ones of the same size do not."""
    shares, generator = np.array([0.4, 0.5, 0.55, 0.7]), np.random.default_rng(1)
    common = shares + 0.05 * generator.standard_normal((100, 1))
    independent = shares + 0.05 * generator.standard_normal((100, 4))
    one, other = (ss.restore_spread(table_of(shares, 0.05, draws)) for draws in (common, independent))
    assert first(one, "spread_factor") == pytest.approx(np.ones(4), rel=1e-9)
    assert first(other, "spread_factor")[0] == pytest.approx(np.sqrt(1 + 0.75 * 0.05**2 / shares.var()), rel=0.05)
    assert not [name for name in other if name.startswith("draw_")]


def test_weights_keep_the_population_s_mean() -> None:
    shares, weights = np.array([0.4, 0.5, 0.55, 0.7]), np.array([0.1, 0.2, 0.3, 0.4])
    made = table_of(shares, 0.05)
    people = pd.DataFrame({"background_id": made.background_id.unique(), "population_share": 7 * weights})
    spread = ss.restore_spread(made, population=people)
    assert weights @ first(spread) == pytest.approx(weights @ shares, rel=1e-12)
    between = weights @ (first(spread) - weights @ shares) ** 2
    assert between == pytest.approx(weights @ (shares - weights @ shares) ** 2 + (weights * (1 - weights)).sum() * 0.05**2, rel=1e-9)


def test_shares_stay_shares() -> None:
    """Where a share would fall below 0 it is cut, and the variance still is the one expected."""
    shares, error = np.array([0.01, 0.02, 0.03, 0.3]), 0.1
    spread = ss.restore_spread(table_of(shares, error))
    assert spread.groupby("background_id").share.sum().to_numpy() == pytest.approx(np.ones(4), abs=1e-12)
    assert spread.share.between(0, 1).all()
    assert first(spread).var() == pytest.approx(shares.var() + 0.75 * error**2, rel=1e-9)


def test_rows_and_sources_stay_apart() -> None:
    shares = np.array([0.4, 0.5, 0.55, 0.7])
    both = pd.concat([table_of(shares, 0.01), table_of(shares, 0.1).assign(source="other")], ignore_index=True)
    mixed = both.sample(frac=1, random_state=0)
    spread = ss.restore_spread(mixed)
    assert spread.index.equals(mixed.index)
    alone = ss.restore_spread(both[both.source == "other"])
    again = spread[spread.source == "other"].sort_index()
    assert again.share.to_numpy() == pytest.approx(alone.share.to_numpy(), rel=1e-12)


def test_a_single_background_stays() -> None:
    one = ss.restore_spread(table_of(np.array([0.4]), 0.05))
    assert (first(one), first(one, "spread_factor"), first(one, "std_error")) == pytest.approx((0.4, 1.0, 0.05))


def test_chance_is_not_spread_out() -> None:
    """Where backgrounds hardly differ a question stays as it is, and is named; others do not."""
    level, other = table_of(np.full(4, 0.5), 0.1), table_of(np.array([0.4, 0.5, 0.55, 0.7]), 0.05).assign(question_id="other")
    spread = ss.restore_spread(pd.concat([level, other], ignore_index=True))
    kept = spread[spread.question_id == "q"]
    assert kept.share.to_numpy() == pytest.approx(level.share.to_numpy())
    assert (kept.spread_factor == 1).all()
    assert spread.attrs["spread_kept"] == ["q"]
    assert (spread[spread.question_id == "other"].spread_factor > 1).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda table: table.drop(columns="std_error"), TableError, "simulated lacks column std_error"),
        (lambda table: table.assign(std_error=np.nan), EstimationError, "needs a std_error in every row; it is missing in q / place=000"),
    ],
)
def test_bad_tables(change: object, error: type[Exception], words: str) -> None:
    assert callable(change)
    with pytest.raises(error) as caught:
        ss.restore_spread(change(table_of(np.array([0.4, 0.6]), 0.05)))
    assert words in str(caught.value)


def test_bad_populations() -> None:
    made = table_of(np.array([0.4, 0.6]), 0.05)
    people = pd.DataFrame({"background_id": ["place=000"], "population_share": [1.0]})
    with pytest.raises(TableError, match="population has no population_share of background place=001"):
        ss.restore_spread(made, population=people)
    with pytest.raises(TableError, match="must be 0 or more; it is not in place=000"):
        ss.restore_spread(made, population=people.assign(population_share=-1.0))
    both = pd.DataFrame({"background_id": made.background_id.unique(), "population_share": 0.0})
    with pytest.raises(TableError, match="all of them"):
        ss.restore_spread(made, population=both)
