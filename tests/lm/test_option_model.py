"""What a saved model's folder gives away: no respondent in any file, and no small cell where that is asked for."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm import adapters
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_frame
from tests.support.tiny import save_tiny_model

QUESTIONS = ["taxes", "vote", "party"]
STAGES = (
    ss.StageConfig("option_kl", learning_rate=1e-3, epochs=1),
    ss.StageConfig("pooled_shift", level_weight=1.0, epochs=0, pooling="pooled"),
)
N = 311  # a number that nothing else in the folder has as its length
pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    """Return respondents whose weights (some 400,000, each its own) are found wherever they are written."""
    frame = opinion_frame(N)
    return ss.as_survey(frame.assign(w=frame["w"] * 312_345.678 + 1000 * np.pi), opinion_codebook())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ss.OptionModel:
    return load_tiny(save_tiny_model(tmp_path_factory.mktemp("models") / "llama"))


@pytest.fixture(scope="module")
def aligned(base: ss.OptionModel, survey: ss.Survey) -> ss.OptionModel:
    cells = ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS)
    return ss.align(base, cells, opinion_codebook(), stages=STAGES, progress=False)


def lengths(value: object) -> Iterator[int]:
    """Lengths of all lists and mappings in a nest."""
    if isinstance(value, dict | list):
        yield len(value)
        for each in value.values() if isinstance(value, dict) else value:
            yield from lengths(each)


def test_no_file_holds_a_respondent(aligned: ss.OptionModel, survey: ss.Survey, tmp_path: Path) -> None:
    """Every file, byte by byte: no weight in any notation, nothing of as many entries as there are respondents."""
    folder = aligned.save(tmp_path / "saved", min_n=0)
    assert {path.name for path in folder.iterdir()} == adapters.OWN_FILES
    weights = survey.data["weight"].tolist()
    patterns = {
        written: weight
        for weight in weights
        for written in (repr(weight).encode()[:9], struct.pack("<d", weight), struct.pack("<f", weight))
    }
    for path in folder.iterdir():
        content = path.read_bytes()
        assert [weight for written, weight in patterns.items() if written in content] == [], path.name
        if path.suffix == ".json":
            assert N not in set(lengths(json.loads(content))), path.name
        else:
            with safe_open(path, "pt") as tensors:
                assert set(tensors.metadata() or {}) <= {"format"}
                assert N not in {size for name in tensors.keys() for size in tensors.get_slice(name).get_shape()}  # noqa: SIM118


def test_a_planted_respondent_would_be_found(aligned: ss.OptionModel, survey: ss.Survey, tmp_path: Path) -> None:
    """The inspection above can fail: a recipe with the weights in it does not pass."""
    spoilt = replace(aligned, recipe={**aligned.recipe, "weights": survey.data["weight"].tolist()})
    with pytest.raises(AssertionError, match=r"surveysim\.json"):
        test_no_file_holds_a_respondent(spoilt, survey, tmp_path)


def test_the_recipe_knows_its_smallest_cell(aligned: ss.OptionModel, survey: ss.Survey) -> None:
    cells = ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS)
    assert aligned.recipe["smallest_cell"] == cells["n"].min()


def test_a_model_of_small_cells_is_kept_in(aligned: ss.OptionModel, tmp_path: Path) -> None:
    smallest = aligned.recipe["smallest_cell"]
    says = rf"fewer than min_n=200 .*its smallest cell had {smallest} respondents\); .*protect\(distributions, min_n=200\)"
    with pytest.raises(ModelError, match=says):
        ss.export_model(aligned, tmp_path / "out", min_n=200)
    with pytest.raises(ModelError, match="the recipe does not say its smallest cell"):
        ss.export_model(replace(aligned, recipe={"stages": []}), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert aligned.save(tmp_path / "own", min_n=0).is_dir(), "for one's own use nothing is asked"
    assert ss.export_model(aligned, tmp_path / "out", min_n=smallest).is_dir()


def test_a_model_of_small_cells_is_not_saved_in_silence(aligned: ss.OptionModel, tmp_path: Path) -> None:
    small, large = (replace(aligned, recipe={**aligned.recipe, "smallest_cell": size}) for size in (9, 10))
    with pytest.warns(UserWarning, match=r"a cell of 9 respondents, fewer than the 10 .*min_n=0 .*export_model"):
        assert small.save(tmp_path / "small").is_dir(), "a warning, and the model is saved all the same"
    assert large.save(tmp_path / "large").is_dir()
    assert small.save(tmp_path / "asked", min_n=9).is_dir()
    assert load_tiny(tmp_path / "small").recipe == load_tiny(tmp_path / "asked").recipe


def test_withheld_before_learning_the_small_cells_are_not_in_the_model(base: ss.OptionModel, survey: ss.Survey, tmp_path: Path) -> None:
    cells = ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS)
    limit = int(cells["n"].min()) + 1
    other = cells.copy()  # other people in the small cells: their answers turned around
    small = other["n"] < limit
    other.loc[small, "share"] = (
        other.loc[small].groupby(["question_id", "background_id"])["share"].transform(lambda share: share[::-1].to_numpy())
    )
    models = [ss.align(base, ss.protect(each, min_n=limit), opinion_codebook(), stages=STAGES, progress=False) for each in (cells, other)]
    one, two = (ss.export_model(model, tmp_path / str(place), min_n=limit) for place, model in enumerate(models))
    for name in adapters.TENSOR_FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes(), "who was in them makes no difference to any weight"
    assert models[0].recipe["smallest_cell"] >= limit
