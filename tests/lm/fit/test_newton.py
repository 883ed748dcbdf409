"""Newton's method for heads: derivatives by finite differences, the optimum of L-BFGS, every question by itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import OptionTrie, option_trie
from surveysim.lm.fit import heads
from surveysim.lm.fit.curvatures import CURVATURES
from surveysim.lm.fit.heads import fit_head, fit_heads
from surveysim.lm.fit.losses import LOSSES, HeadFit
from surveysim.lm.fit.newton import HeadProblem, newton
from surveysim.lm.fit.readout import QuestionHead, Readout, question_key
from surveysim.lm.fit.targets import QuestionTargets, stacked
from tests.support.tiny import tiny_model

ONE_BRANCH, SEVERAL = option_trie([(10,), (11,), (12,), (13,)]), option_trie([(10,), (11, 20), (11, 21), (12,)])
BACKGROUNDS, OPTIONS = 6, 4


def _shares(seed: int) -> torch.Tensor:
    return torch.softmax(torch.randn(BACKGROUNDS, OPTIONS, generator=torch.Generator().manual_seed(seed)), -1)


def _targets(name: str, seed: int, *, ordered: bool = True) -> QuestionTargets:
    share, n_eff = _shares(seed), torch.tensor([30.0, 12, 0, 45, 7, 20])
    return QuestionTargets(
        name,
        ordered,
        share=share * (n_eff > 0)[:, None],
        n_eff=n_eff,
        level=share.mean(0),
        smooth=_shares(seed + 1),
        smooth_n_eff=n_eff + 10,
        carried=_shares(seed + 2),
        tilted=_shares(seed + 3),
        population=torch.full((BACKGROUNDS,), 1 / BACKGROUNDS),
        pairs=torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [0, 5]]),
    )


def _problem(trie: OptionTrie, fit: HeadFit, *, ordered: bool) -> tuple[HeadProblem, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    features = torch.randn(2, len(trie.branches), BACKGROUNDS, 4, generator=random, dtype=torch.float64)
    features[..., -1] = 1.0
    fixed = torch.randn(2, BACKGROUNDS, len(trie.edges), generator=random, dtype=torch.float64)
    targets = stacked([_targets("a", 1, ordered=ordered), _targets("b", 5, ordered=ordered)]).precise()
    return HeadProblem(fixed, features, targets, trie, fit), torch.randn(2, len(trie.edges), 4, generator=random, dtype=torch.float64) / 2


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("trie", [ONE_BRANCH, SEVERAL], ids=["letters", "text"])
@pytest.mark.parametrize("loss", CURVATURES)
def test_derivatives_are_those_of_the_loss(loss: str, trie: OptionTrie, ordered: bool) -> None:
    problem, at = _problem(trie, HeadFit(loss, 0.7, 0.3), ordered=ordered)
    slope, bend = problem.derivatives(at)
    for question in range(2):

        def value(unknowns: torch.Tensor, question: int = question) -> torch.Tensor:
            return problem.losses(torch.stack([unknowns if each == question else at[each] for each in range(2)]))[question]

        given = at[question].clone().requires_grad_(True)
        torch.testing.assert_close(slope[question], torch.autograd.grad(value(given), given)[0].flatten(), rtol=1e-8, atol=1e-12)
        expected: Any = torch.autograd.functional.hessian(value, at[question])
        torch.testing.assert_close(bend[question], expected.reshape(bend[question].shape), rtol=1e-7, atol=1e-10)


def test_every_loss_has_an_entry_among_the_curvatures() -> None:
    assert set(CURVATURES) == set(LOSSES)


def _readout(tries: Sequence[OptionTrie]) -> tuple[Readout, dict[str, torch.Tensor]]:
    readout = Readout(Backbone(tiny_model(), None, "llama", "digest"), [token for trie in tries for token in trie.edges])
    random = torch.Generator().manual_seed(1)
    features = {}
    for number, trie in enumerate(tries):
        features[f"q{number}"] = torch.randn(len(trie.branches), BACKGROUNDS, readout.rows.shape[1], generator=random)
        readout.questions[question_key(f"q{number}")] = QuestionHead(features[f"q{number}"], len(trie.edges))
    return readout, features


FITS = [HeadFit("option_kl", 0.0, 0.5), HeadFit("pooled_shift", 1.0, 0.001), HeadFit("precision_shift", 1.0, 0.01)]


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: fit.loss)
def test_the_optimum_is_the_one_of_lbfgs(fit: HeadFit) -> None:
    tries = [ONE_BRANCH, SEVERAL, ONE_BRANCH]
    readout, features = _readout(tries)
    by_name = dict(zip(features, tries, strict=True))
    targets = {name: _targets(name, 3 * number) for number, name in enumerate(features)}
    list(fit_heads(readout, features, by_name, targets, FITS[0]))  # stage 2 starts where stage 1 ends
    other = copy.deepcopy(readout)
    assert sorted(fit_heads(readout, features, by_name, targets, fit)) == sorted(targets)
    for name, target in targets.items():
        fit_head(other, features[name], by_name[name], target, fit)
        found, expected = (each.log_shares(features[name], by_name[name], name).exp() for each in (readout, other))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
        exact = target.precise()
        losses = [
            float(fit.loss_of(shares.double().log(), each.question_head(name).rows.double(), exact).detach())
            for shares, each in ((found, readout), (expected, other))
        ]
        assert losses[0] <= losses[1] + 1e-6


def test_a_question_is_fitted_as_if_it_were_alone() -> None:
    problem, start = _problem(ONE_BRANCH, HeadFit("pooled_shift", 1.0, 0.01), ordered=True)
    together = newton(problem, start)
    for question in range(2):
        alone = newton(problem.of(torch.tensor([question])), start[[question]])
        torch.testing.assert_close(together[[question]], alone, rtol=1e-8, atol=1e-9)


def test_a_model_that_is_certain_and_wrong_is_led_back() -> None:
    problem, start = _problem(ONE_BRANCH, HeadFit("option_kl", 0.0, 0.5), ordered=False)
    certain = replace(problem, fixed=problem.fixed + torch.tensor([80.0, 0, 0, 0], dtype=torch.float64))
    end = newton(certain, start * 0)
    assert (certain.losses(end) < 0.5).all()
    assert (certain.losses(start * 0) > 10).all()
    slope, _ = certain.derivatives(end)
    assert float(slope.abs().max()) < 1e-6


def test_many_unknowns_and_losses_without_second_derivatives_go_to_lbfgs(monkeypatch: pytest.MonkeyPatch) -> None:
    readout, features = _readout([ONE_BRANCH])
    tries, targets = {"q0": ONE_BRANCH}, {"q0": _targets("q0", 2)}
    called: list[str] = []
    monkeypatch.setattr(heads, "fit_head", lambda *given: called.append(given[-1].loss))
    monkeypatch.setitem(LOSSES, "own", LOSSES["option_kl"])
    assert list(fit_heads(readout, features, tries, targets, HeadFit("own", 0.0, 0.5))) == ["q0"]
    monkeypatch.setattr(heads, "MOST_UNKNOWNS", 5)
    assert list(fit_heads(readout, features, tries, targets, FITS[0])) == ["q0"]
    assert called == ["own", "option_kl"]
