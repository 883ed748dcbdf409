"""What goes to the hub: cells large enough, a card that says of whom, and an adapter that peft loads by its base's hub id."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import surveysim as ss
from surveysim.errors import ModelError
from surveysim.lm.base.model_files import hub_base
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_survey
from tests.support.tiny import save_tiny_model

QUESTIONS, HUB_ID = ["taxes", "vote"], "somebody/tiny-llama"
pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return opinion_survey()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the base model lies under its hub id."""
    folder = tmp_path_factory.mktemp("mirror")
    save_tiny_model(folder / HUB_ID)
    return folder


@pytest.fixture(scope="module")
def aligned(mirror: Path, survey: ss.Survey) -> ss.OptionModel:
    cells = ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS)
    stages = (ss.StageConfig("option_kl", learning_rate=1e-2, epochs=1),)
    return ss.align(load_tiny(mirror / HUB_ID), cells, opinion_codebook(), stages=stages, progress=False)


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the hub's client was asked for; the folder is copied to where it would lie on the hub."""
    asked: dict[str, Any] = {"folder": tmp_path / "hub"}

    def create_repo(_api: object, repo_id: str, **options: object) -> str:
        asked["made"] = (repo_id, options)
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(_api: object, *, repo_id: str, folder_path: Path, **_options: object) -> None:
        asked["to"] = repo_id
        shutil.copytree(folder_path, asked["folder"])

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", create_repo)
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", upload_folder)
    return asked


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT calls transformers' old name
def test_peft_loads_what_was_sent_by_the_hub_id_of_its_base(
    aligned: ss.OptionModel, survey: ss.Survey, mirror: Path, sent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import AutoPeftModelForCausalLM

    address = ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID, min_n=10)
    assert address == "https://huggingface.co/me/opinions"
    assert (sent["made"], sent["to"]) == (("me/opinions", {"private": True, "exist_ok": True}), "me/opinions")
    monkeypatch.chdir(mirror)  # where a hub id is found without the hub
    model = AutoPeftModelForCausalLM.from_pretrained(sent["folder"], dtype=torch.float32).eval()
    words = aligned.words(survey.codebook, ["age=old|gender=male"])
    (question,) = aligned.tokenise(survey.codebook, ["taxes"], words).values()
    ((_, states),) = aligned.states({"taxes": question})
    with torch.no_grad():
        ours = aligned.readout.log_shares(aligned.readout.features(states), question.trie).exp()[0]
        logits = model(torch.tensor([question.opening + question.suffixes[0]])).logits[0, -1]
    torch.testing.assert_close(logits[list(question.trie.edges)].softmax(-1), ours, rtol=0, atol=1e-4)


def test_the_folder_loads_here_too_and_names_no_folder_of_this_machine(
    aligned: ss.OptionModel, survey: ss.Survey, mirror: Path, sent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID)
    assert [path.name for path in sent["folder"].iterdir() if str(mirror).encode() in path.read_bytes()] == []
    monkeypatch.chdir(mirror)
    again = load_tiny(sent["folder"])
    ours, theirs = (ss.simulate(survey, TRAITS, model=each, questions=QUESTIONS, progress=False)["share"] for each in (aligned, again))
    assert theirs.tolist() == pytest.approx(ours.tolist(), abs=1e-6)


def test_the_card_has_the_scorecard_with_its_nulls(aligned: ss.OptionModel, survey: ss.Survey, sent: dict[str, Any]) -> None:
    truth = ss.response_distributions(opinion_survey(300, seed=9), by=TRAITS, questions=QUESTIONS)
    simulated = ss.simulate(survey, TRAITS, model=aligned, questions=QUESTIONS, progress=False)
    pooled = ss.simulate(survey, TRAITS, method="pooled", questions=QUESTIONS)
    judged = ss.scorecard(simulated, truth, against={"pooled": pooled}, codebook=survey, on="shared", draws=19)
    ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID, scorecard=judged)
    text = (sent["folder"] / "README.md").read_text(encoding="utf-8").split("## How good its answers are")[1]
    head, _, *rows = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|"))
    assert {"population marginal", "floor", "fresh sample", "pooled"} < set(head)
    distance = judged.table[(judged.table["measure"] == "distance") & (judged.table["metric"] == "wasserstein")].set_index("source")
    row = next(row for row in rows if row[:2] == ["mean error", "wasserstein"])
    for place, source in enumerate(head[2:], start=2):
        assert row[place].startswith(f"{distance.loc[source, 'estimate']:.3f}")
    assert any(row[0] == "mean error with backgrounds exchanged" for row in rows)
    assert "questions: 2" in text


def test_a_card_without_a_scorecard_says_so_and_another_thing_is_refused(
    aligned: ss.OptionModel, survey: ss.Survey, sent: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match=r"scorecard must be what scorecard\(\) returns; got DataFrame; .*ss.scorecard\(simulated, truth"):
        ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID, scorecard=survey.data)  # type: ignore[arg-type]
    assert "to" not in sent, "nothing is sent"
    ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID)
    assert "supports no claim of accuracy" in (sent["folder"] / "README.md").read_text(encoding="utf-8")


def test_the_card_says_of_whom_and_what_may_be_told(aligned: ss.OptionModel, survey: ss.Survey, sent: dict[str, Any]) -> None:
    ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID, licence="cc-by-4.0", min_n=12)
    _, head, text = (sent["folder"] / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "peft",
        "base_model": HUB_ID,
        "base_model_relation": "adapter",
        "license": "cc-by-4.0",
        "tags": ["surveysim", "survey", "distribution-shift-alignment"],
    }
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", text, flags=re.MULTILINE))
    smallest = int(ss.response_distributions(survey, by=TRAITS, questions=QUESTIONS)["n"].min())
    assert rows["survey"] == "A made-up survey (codebook `opinions`)"
    assert rows["weight"] == "w"
    assert rows["respondents"].startswith("300 (effective n ")
    assert (rows["questions"], rows["backgrounds"]) == ("2", "6, of age, gender")
    assert (rows["smallest cell learnt from"], rows["minimum asked for"]) == (f"{smallest} respondents", "12")
    assert rows["terms of the survey data"] == "not stated in the codebook"
    assert "No cell that it learnt from had fewer than 12 respondents." in text
    assert "took part" in text
    assert "{" not in text.replace("{repo_id}", "")


def test_small_cells_stay_here(aligned: ss.OptionModel, survey: ss.Survey, sent: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"may have learnt from fewer than min_n=1000 respondents"):
        ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID, min_n=1000)
    small = replace(aligned, recipe={**aligned.recipe, "smallest_cell": 9})
    with pytest.raises(ModelError, match=r"fewer than min_n=10 respondents"):
        ss.push_to_hub(small, "me/opinions", survey=survey, base_model=HUB_ID)
    assert "made" not in sent, "the hub is not even asked"
    ss.push_to_hub(small, "me/opinions", survey=survey, base_model=HUB_ID, min_n=0)
    card = (sent["folder"] / "README.md").read_text(encoding="utf-8")
    assert "| smallest cell learnt from | 9 respondents |" in card
    assert "No minimum of respondents was asked for." in card


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"repo_id": "opinions"}, "repo_id='opinions' is no hub id; give owner/name, such as 'me/nonvoters'"),
        ({"licence": "CC BY"}, "licence='CC BY' is no identifier of the hub; give one such as 'cc-by-4.0'"),
        ({"base_model": None}, "which nobody else has; give base_model='owner/name'"),
        ({"base_model": "llama"}, "base_model='llama' is no hub id"),
        ({"survey": "nonvoters2020"}, "survey has codebook 'nonvoters2020', but the model was aligned with 'opinions'"),
        ({"survey": opinion_codebook()}, "weight: a codebook does not say which weight"),
        ({"weight": "v"}, "weight='v' is not the survey's, 'w'; leave it out"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    given: dict[str, Any], said: str, aligned: ss.OptionModel, survey: ss.Survey, sent: dict[str, Any]
) -> None:
    whole = {"repo_id": "me/opinions", "survey": survey, "base_model": HUB_ID, **given}
    with pytest.raises(ModelError, match=re.escape(said)):
        ss.push_to_hub(aligned, **whole)
    assert "made" not in sent


def test_a_hub_that_refuses_is_an_error_with_a_remedy(aligned: ss.OptionModel, survey: ss.Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("401 Unauthorized")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(ModelError, match=r"'me/opinions' was not uploaded \(ConnectionError: 401 Unauthorized\); log in with"):
        ss.push_to_hub(aligned, "me/opinions", survey=survey, base_model=HUB_ID)


def test_the_base_is_a_hub_id_where_there_is_one(tmp_path: Path, own_cache: Path) -> None:
    commit = "0" * 40
    assert hub_base("smollm2-135m") == ("HuggingFaceTB/SmolLM2-135M-Instruct", None)
    assert hub_base("Qwen/Qwen3-4B") == ("Qwen/Qwen3-4B", None)
    assert hub_base(f"Qwen/Qwen3-4B@{commit}") == ("Qwen/Qwen3-4B", commit)
    kept = own_cache / "models" / "Qwen--Qwen3-4B"
    kept.mkdir(parents=True)
    (kept / "origin.json").write_text(f'{{"commit": "{commit}"}}')
    assert hub_base("Qwen/Qwen3-4B") == ("Qwen/Qwen3-4B", commit)
    assert hub_base(str(tmp_path)) is None
