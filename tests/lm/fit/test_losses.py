"""Losses of the two stages: gradients, zeros, weights, order, and agreement with the metric of the same name."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

import surveysim as ss
from surveysim.lm.fit.losses import LOSSES
from surveysim.lm.fit.targets import QuestionTargets, drawn_pairs

N_OPTIONS = 4
LEVELS = {f"age={age}|gender={gender}": {"age": age, "gender": gender} for age, gender in product(["young", "middle", "old"], ["f", "m"])}
N_EFF = (30.0, 12.5, 8.0, 41.0, 0.0, 3.0)


def _shares(seed: int, rows: int = len(LEVELS)) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(N_OPTIONS, 2.0), rows))


def _logits(seed: int = 5) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (len(LEVELS), N_OPTIONS)))


def _targets(*, ordered: bool = True) -> QuestionTargets:
    n_eff = torch.tensor(N_EFF, dtype=torch.float64)
    share = torch.where(n_eff[:, None] > 0, _shares(0), 0.0)
    population = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.05, 0.2], dtype=torch.float64)
    level = (n_eff[:, None] * share).sum(0) / n_eff.sum()
    pairs = drawn_pairs(tuple(LEVELS), max_pairs=1000, seed=0)
    worth = torch.tensor([90.0, 40.0, 35.0, 120.0, 20.0, 15.0], dtype=torch.float64)
    return QuestionTargets("q", ordered, share, n_eff, level, _shares(1), worth, _shares(3), _shares(4), population, pairs)


def _at_its_target(*, ordered: bool) -> QuestionTargets:
    """Targets that agree with each other: sample, pooled shifts and level are of the same shares."""
    shares = _shares(2)
    targets = replace(_targets(ordered=ordered), share=shares, smooth=shares, carried=shares, tilted=shares)
    return replace(targets, n_eff=torch.ones(len(shares), dtype=torch.float64), level=(targets.population[:, None] * shares).sum(0))


@pytest.mark.parametrize("ordered", [True, False], ids=["ordinal", "nominal"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_the_loss(name: str, ordered: bool) -> None:
    targets = _targets(ordered=ordered)
    logits = _logits().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda free: LOSSES[name](free.log_softmax(-1), targets), logits, eps=1e-6, atol=1e-7, rtol=1e-5)
    LOSSES[name](logits.log_softmax(-1), targets).backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) > 1e-4, "a loss without a gradient trains nothing"


@pytest.mark.parametrize("ordered", [True, False], ids=["ordinal", "nominal"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_zero_at_its_target_and_positive_elsewhere(name: str, ordered: bool) -> None:
    targets = _at_its_target(ordered=ordered)
    assert float(LOSSES[name](targets.share.log(), targets)) == pytest.approx(0, abs=1e-12)
    assert float(LOSSES[name](_logits().log_softmax(-1), targets)) > 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_a_background_of_weight_zero_changes_nothing(name: str) -> None:
    targets = _targets()
    log_shares = _logits().log_softmax(-1)
    one = torch.zeros(1, dtype=torch.float64)
    for seed in (7, 8):
        more = replace(
            targets,
            share=torch.cat([targets.share, torch.zeros(1, N_OPTIONS)]),
            smooth=torch.cat([targets.smooth, _shares(seed, 1)]),
            smooth_n_eff=torch.cat([targets.smooth_n_eff, one]),
            carried=torch.cat([targets.carried, _shares(seed + 20, 1)]),
            tilted=torch.cat([targets.tilted, _shares(seed + 30, 1)]),
            n_eff=torch.cat([targets.n_eff, one]),
            population=torch.cat([targets.population, one]),
        )
        added = torch.cat([log_shares, _shares(seed + 10, 1).log()])
        torch.testing.assert_close(LOSSES[name](added, more), LOSSES[name](log_shares, targets), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["option_kl", "pairwise_shift"])
def test_what_an_empty_cell_answers_is_free(name: str) -> None:
    """Nobody was asked in the fifth background: these two losses, which match the sample's cells, leave it alone."""
    targets, free = _targets(), _logits().requires_grad_(True)
    LOSSES[name](free.log_softmax(-1), targets).backward()
    assert free.grad is not None
    assert float(free.grad[N_EFF.index(0.0)].abs().max()) == 0
    assert (free.grad[0] != 0).all()


@pytest.mark.parametrize("ordered", [True, False], ids=["ordinal", "nominal"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_backgrounds_does_not_matter(name: str, ordered: bool) -> None:
    targets = _targets(ordered=ordered)
    log_shares = _logits().log_softmax(-1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    by_background = ("share", "smooth", "smooth_n_eff", "carried", "tilted", "n_eff", "population")
    moved = {field: getattr(targets, field)[order] for field in by_background}
    permuted = replace(targets, **moved, pairs=torch.argsort(order)[targets.pairs].flip(-1))
    torch.testing.assert_close(LOSSES[name](log_shares[order], permuted), LOSSES[name](log_shares, targets), rtol=1e-12, atol=0)


def test_option_kl_is_the_metric_of_that_name_weighted_by_effective_respondents() -> None:
    targets = _targets()
    estimated = _logits().softmax(-1)
    sampled = targets.n_eff > 0
    cells = ss.METRICS["kl"](estimated[sampled].numpy(), targets.share[sampled].numpy())
    expected = float(np.average(cells, weights=targets.n_eff[sampled].numpy()))
    assert float(LOSSES["option_kl"](estimated.log(), targets)) == pytest.approx(expected, rel=1e-4)  # the metric mixes in 1e-6 of uniform


@pytest.mark.parametrize("name", ["pooled_shift", "pairwise_shift", "precision_shift"])
def test_a_shift_loss_leaves_the_level_open(name: str) -> None:
    """The same change in every background moves no shift."""
    targets = _at_its_target(ordered=False)
    moved = targets.share + torch.tensor([0.02, -0.01, -0.03, 0.02]) * targets.share.min()
    assert float(LOSSES[name](moved.log(), targets)) == pytest.approx(0, abs=1e-12)
    assert float(LOSSES["level_kl"](moved.log(), targets)) > 0


def test_pooled_shift_by_its_formula() -> None:
    targets = _targets()
    shares = _logits().softmax(-1)
    gap = (shares - targets.smooth).cumsum(-1)[:, :-1].numpy()
    level = targets.level.cumsum(-1)[:-1].numpy()
    assert ((level * (1 - level)) > 0.02).all()
    terms = [((gap[second] - gap[first]) ** 2 / (level * (1 - level))).mean() for first, second in targets.pairs.tolist()]
    assert float(LOSSES["pooled_shift"](shares.log(), targets)) == pytest.approx(float(np.mean(terms)), rel=1e-12)


def test_pairwise_shift_counts_a_pair_by_the_harmonic_mean_of_its_cells() -> None:
    targets = replace(_targets(ordered=False), pairs=torch.tensor([[0, 1], [2, 3], [3, 4]]))
    shares = _logits().softmax(-1)
    gap, level = (shares - targets.share).numpy(), targets.level.numpy()
    terms = [((gap[second] - gap[first]) ** 2 / (level * (1 - level)).clip(0.02)).mean() for first, second in ((0, 1), (2, 3))]
    weights = [2 / (1 / N_EFF[first] + 1 / N_EFF[second]) for first, second in ((0, 1), (2, 3))]
    expected = float(np.average(terms, weights=weights))
    assert float(LOSSES["pairwise_shift"](shares.log(), targets)) == pytest.approx(expected, rel=1e-12)


def test_precision_shift_counts_a_pair_by_what_the_pooled_estimates_are_worth() -> None:
    targets = replace(_targets(), pairs=torch.tensor([[0, 1], [2, 3]]))
    log_shares = _logits().log_softmax(-1)
    alone = [float(LOSSES["pooled_shift"](log_shares, replace(targets, pairs=targets.pairs[[place]]))) for place in (0, 1)]
    weights = [2 / (1 / 90 + 1 / 40), 2 / (1 / 35 + 1 / 120)]
    assert float(LOSSES["precision_shift"](log_shares, targets)) == pytest.approx(np.average(alone, weights=weights), rel=1e-12)


def test_transport_counts_backgrounds_by_their_population_share() -> None:
    targets, shares = _targets(), _logits().softmax(-1)
    cells = ss.METRICS["kl"](shares.numpy(), targets.carried.numpy())
    expected = float(np.average(cells, weights=targets.population.numpy()))
    assert float(LOSSES["transport"](shares.log(), targets)) == pytest.approx(expected, rel=1e-4)
    assert float(LOSSES["tilted_transport"](shares.log(), targets)) != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("name", ["pooled_shift", "pairwise_shift", "precision_shift"])
def test_without_pairs_there_is_no_shift_to_lose(name: str) -> None:
    alone = replace(_targets(), pairs=torch.zeros(0, 2, dtype=torch.int64))
    assert float(LOSSES[name](_logits().log_softmax(-1), alone)) == 0


def test_pairs_differ_in_one_trait_each_once() -> None:
    pairs = drawn_pairs(tuple(LEVELS), max_pairs=1000, seed=0).tolist()
    names = list(LEVELS)
    expected = {
        frozenset((first, second))
        for first, second in product(names, names)
        if sum(LEVELS[first][trait] != LEVELS[second][trait] for trait in ("age", "gender")) == 1
    }
    assert len(pairs) == len(expected) == 9
    assert {frozenset((names[first], names[second])) for first, second in pairs} == expected
    few = [drawn_pairs(tuple(LEVELS), max_pairs=4, seed=seed) for seed in (1, 1, 2)]
    assert all(len(drawn) == 4 for drawn in few)
    assert few[0].tolist() == few[1].tolist() != few[2].tolist()
