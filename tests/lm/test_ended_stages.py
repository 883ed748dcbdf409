"""Stage 1 that was run before is taken from there, bit for bit, where nothing that it depends on has changed, and only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

import surveysim as ss
from surveysim.lm import alignment, ended_stages
from surveysim.lm.alignment import Alignment
from surveysim.lm.ended_stages import first_stages_kept
from surveysim.lm.fit.losses import LOSSES
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_survey

pytestmark = pytest.mark.usefixtures("module_cache")
FAST = tuple(replace(stage, learning_rate=1e-3) for stage in ss.DSA)


def _sample(n: int = 300) -> pd.DataFrame:
    return ss.response_distributions(opinion_survey(n), by=TRAITS, questions=("taxes", "vote"))


def _align(model: ss.OptionModel, stages: tuple[ss.StageConfig, ...] = FAST, n: int = 300, **options: Any) -> ss.OptionModel:
    return ss.align(model, _sample(n), opinion_codebook(), **{"stages": stages, "progress": False, "seed": 3, **options})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were run, by their labels."""
    labels: list[str] = []
    original: Callable[..., Any] = Alignment._run

    def counted(self: Alignment, *given: Any) -> Any:
        labels.append(given[2])
        return original(self, *given)

    monkeypatch.setattr(Alignment, "_run", counted)
    return labels


def test_both_stages_after_stage_1_are_both_stages(base: ss.OptionModel, run: list[str]) -> None:
    plain = _align(base)
    with first_stages_kept():
        first = _align(base, FAST[:1])
        both = _align(base)
        again = _align(base, FAST[:1])
    assert run == ["stage 1 (option_kl)", "stage 2 (pooled_shift)", "stage 1 (option_kl)", "stage 2 (pooled_shift)"]
    for found, expected in ((both, plain), (again, first)):
        assert found.recipe == expected.recipe
        known = expected.readout.state_dict()
        assert all(torch.equal(value, known[name]) for name, value in found.readout.state_dict().items())


CHANGES: dict[str, dict[str, Any]] = {
    "seed": {"seed": 4},
    "settings": {"stages": (replace(FAST[0], head_penalty=0.6),)},
    "respondents": {"n": 301},
    "validation": {"validation": _sample(50)},
    "backgrounds": {"backgrounds": ss.background_grid(opinion_codebook(), by=TRAITS)[::-1]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_first_stage_is_run(change: dict[str, Any], base: ss.OptionModel, run: list[str]) -> None:
    with first_stages_kept():
        _align(base, FAST[:1])
        _align(base, **{"stages": FAST[:1], **change})
    assert len(run) == 2


def test_another_function_under_the_name_of_a_loss_is_run(base: ss.OptionModel, run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with first_stages_kept():
        _align(base, FAST[:1])
        monkeypatch.setitem(LOSSES, "option_kl", lambda *given: alignment.LOSSES["level_kl"](*given))
        _align(base, FAST[:1])
    assert len(run) == 2


def test_nothing_is_kept_elsewhere_nor_what_is_large(base: ss.OptionModel, run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with first_stages_kept():
        _align(base, FAST[:1])
    _align(base, FAST[:1])
    monkeypatch.setattr(ended_stages, "LARGEST", 1)
    with first_stages_kept():
        _align(base, FAST[:1])
        _align(base, FAST[:1])
    assert len(run) == 4


def test_methods_that_are_compared_share_their_first_stage(base: ss.OptionModel, run: list[str]) -> None:
    given: dict[str, Any] = {"by": TRAITS, "train_n": 150, "seeds": 1, "questions": ["taxes", "vote"], "model": base, "progress": False}
    together = ss.compare_methods(opinion_survey(), methods=["stage1", "dsa"], **given)
    assert len(run) == 2
    alone = ss.compare_methods(opinion_survey(), methods=["dsa"], **given)
    assert len(run) == 4
    ours, theirs = (each[each.method == "dsa"].drop(columns="seconds").reset_index(drop=True) for each in (together, alone))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
