"""Products by oneDNN where MKL is slow: the same numbers to rounding, the same gradients, and nowhere else."""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

import surveysim as ss
from surveysim.lm.base import products
from surveysim.lm.base.products import fast_products, has_onednn, mkl_is_slow
from tests.support.opinion_survey import opinion_survey

onednn = pytest.mark.skipif(not has_onednn(), reason="this torch is built without oneDNN")


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """As on a processor where MKL is slow, for products of any size; the shapes of what oneDNN multiplies."""
    found: list[tuple[int, ...]] = []
    plain = products._product

    def counted(states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        found.append((*states.shape, len(weight)))
        return plain(states, weight)

    monkeypatch.setattr(products, "mkl_is_slow", lambda: True)
    monkeypatch.setattr(products, "LEAST", 0)
    monkeypatch.setattr(products, "_product", counted)
    return found


@onednn
@pytest.mark.parametrize("shape", [(40,), (1, 40), (3, 5, 7)])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_a_linear_layer(
    handed_over: list[tuple[int, ...]], shape: tuple[int, ...], *, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 10, bias=bias)
    states, towards = torch.randn(*shape, 24, requires_grad=True), torch.randn(*shape, 10)
    plain = layer(states)
    known = torch.autograd.grad(plain, [states, *layer.parameters()], towards)
    with fast_products(torch.float32):
        fast = layer(states)
    found = torch.autograd.grad(fast, [states, *layer.parameters()], towards)
    assert handed_over[0] == (*shape, 24, 10)
    assert len(handed_over) == 3, "forward, and both gradients"
    for one, other in zip((plain, *known), (fast, *found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@onednn
def test_a_gradient_that_nobody_wants_is_not_computed(handed_over: list[tuple[int, ...]]) -> None:
    layer = torch.nn.Linear(8, 4, bias=False)
    with fast_products(torch.float32):
        layer(torch.ones(6, 8)).sum().backward()
    assert handed_over == [(6, 8, 4), (4, 6, 8)]
    assert torch.equal(layer.weight.grad, torch.full((4, 8), 6.0))


@onednn
def test_the_same_bits_on_one_thread_and_on_several(several_threads: Callable[[int], None]) -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(515, 96), torch.randn(200, 96)
    found = []
    for threads in (1, 2, 3):
        several_threads(threads)
        found.append(products._product(states, weight))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@onednn
def test_other_threads_and_later_calls_multiply_as_before(handed_over: list[tuple[int, ...]]) -> None:
    layer, row = torch.nn.Linear(3, 2), torch.ones(4, 3)
    with fast_products(torch.float32), ThreadPoolExecutor(1) as pool:
        pool.submit(layer, row).result()
    layer(row)
    assert handed_over == []


@onednn
def test_small_products_and_other_number_types_stay(monkeypatch: pytest.MonkeyPatch, handed_over: list[tuple[int, ...]]) -> None:
    with fast_products(torch.float32):
        torch.nn.functional.linear(torch.ones(4, 3).double(), torch.ones(2, 3).double())
        torch.nn.functional.linear(torch.ones(3), torch.ones(2, 3))
    monkeypatch.setattr(products, "LEAST", 4 * 3 * 2 + 1)
    with fast_products(torch.float32):
        torch.nn.functional.linear(torch.ones(4, 3), torch.ones(2, 3))
    assert handed_over == []
    assert isinstance(fast_products(torch.bfloat16), nullcontext)


@onednn
@pytest.mark.usefixtures("handed_over")
def test_where_onednn_is_switched_off_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(fast_products(torch.float32), nullcontext)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert isinstance(fast_products(torch.float32), nullcontext)


@onednn
def test_a_slope_of_a_slope_is_refused_and_not_wrong(handed_over: list[tuple[int, ...]]) -> None:
    states = torch.ones(2, 3, requires_grad=True)
    with fast_products(torch.float32):
        value = torch.nn.functional.linear(states, torch.ones(2, 3, requires_grad=True)).pow(2).sum()
    (slope,) = torch.autograd.grad(value, states, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize(
    ("capability", "vendor", "slow"),
    [("AVX512", "AuthenticAMD", True), ("AVX512", "GenuineIntel", False), ("AVX2", "AuthenticAMD", False), ("DEFAULT", "", False)],
)
def test_who_multiplies_by_onednn(monkeypatch: pytest.MonkeyPatch, capability: str, vendor: str, *, slow: bool) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(products, "_vendor", lambda: vendor)
    monkeypatch.setattr(products, "has_onednn", lambda: True)
    assert mkl_is_slow.__wrapped__() is slow
    monkeypatch.setattr(products, "has_onednn", lambda: False)
    assert not mkl_is_slow.__wrapped__()


def test_the_maker_of_the_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    monkeypatch.setattr(products, "CPU_FACTS", facts)
    monkeypatch.setattr(platform, "processor", lambda: "AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD")
    assert products._vendor() == "AuthenticAMD", "as Windows says it"
    facts.write_text("processor\t: 0\nvendor_id\t: GenuineIntel\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n", encoding="utf-8")
    assert products._vendor() == "GenuineIntel"


@onednn
def test_an_alignment_ends_in_the_same_shares(base: ss.OptionModel, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    survey = opinion_survey(120)
    given = {"method": "dsa", "questions": ["taxes", "vote"], "model": base, "seed": 0, "progress": False}
    monkeypatch.setattr(products, "mkl_is_slow", lambda: False)
    plain = ss.simulate(survey, ["gender"], **given)
    monkeypatch.setattr(products, "mkl_is_slow", lambda: True)
    monkeypatch.setattr(products, "LEAST", 0)
    used: list[int] = []
    product = products._product
    monkeypatch.setattr(products, "_product", lambda states, weight: (used.append(1), product(states, weight))[1])
    fast = ss.simulate(survey, ["gender"], **given)
    assert len(used) > 100
    assert np.abs(plain["share"] - fast["share"]).max() < 1e-4
