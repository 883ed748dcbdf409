"""`simulate_to_parquet` and `read_table`: the table that `simulate` returns, in memory that does not grow with the cells."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Option
from surveysim.errors import BackgroundError, ReadError, SurveySimError, TableError
from surveysim.lm import answers as streaming
from surveysim.tables.storage import write_parts
from tests.support.opinion_survey import TRAITS, opinion_codebook, opinion_frame, opinion_survey

QUESTIONS = ["vote", "news"]
pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.fixture(scope="module")
def stage_1(base: ss.OptionModel) -> ss.OptionModel:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=QUESTIONS)
    return ss.align(base, sample, opinion_codebook(), stages=ss.DSA[:1], progress=False)


@pytest.fixture(scope="module")
def dsa(base: ss.OptionModel) -> ss.OptionModel:
    sample = ss.response_distributions(opinion_survey(), by=TRAITS, questions=QUESTIONS)
    return ss.align(base, sample, opinion_codebook(), progress=False)


def _written(path: Path, model: ss.OptionModel, backgrounds: object = None, df: object = None, **options: object) -> Path:
    chosen = {"model": model, "questions": QUESTIONS, "progress": False, **options}
    return ss.simulate_to_parquet(opinion_survey() if df is None else df, TRAITS if backgrounds is None else backgrounds, path, **chosen)


def _same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-6)
    assert found.attrs == {name: value for name, value in expected.attrs.items() if name != "beyond_training"}


@pytest.mark.parametrize("at_once", [4, 960])
@pytest.mark.parametrize("method", ["zero-shot", "stage1"])
def test_the_file_holds_the_table_that_simulate_returns(
    method: str, at_once: int, base: ss.OptionModel, stage_1: ss.OptionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surveysim.simulation.to_parquet.AT_ONCE", at_once)
    model = stage_1 if method == "stage1" else base
    path = _written(tmp_path / "cells.parquet", model, method=method)
    expected = ss.simulate(opinion_survey(), TRAITS, questions=QUESTIONS, model=model, method=method, progress=False)
    _same(ss.read_table(path), expected)
    assert pq.ParquetFile(path).num_row_groups == 2 * -(-6 // at_once)
    assert pd.read_parquet(path).attrs == ss.read_table(path).attrs, "a reader who has pandas alone is told too that this is simulated"


@pytest.mark.parametrize("method", ["dsa", "dsa-kernel"])
@pytest.mark.parametrize("backgrounds", [TRAITS, pd.DataFrame({"age": ["old", "young"], "gender": ["male", "female"]})], ids=["all", "two"])
def test_standard_errors_are_those_of_simulate(
    method: str, backgrounds: object, base: ss.OptionModel, dsa: ss.OptionModel, tmp_path: Path
) -> None:
    frame = opinion_frame()
    survey = ss.as_survey(frame[~((frame["age"] == 2) & (frame["gender"] == 1))], opinion_codebook())
    model = dsa if method == "dsa" else base
    found = ss.read_table(_written(tmp_path / "cells.parquet", model, backgrounds, survey, method=method))
    expected = ss.simulate(survey, backgrounds, questions=QUESTIONS, model=model, method=method, progress=False)
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-6)
    assert found["std_error"].gt(0).all()
    assert found["std_error"].nunique() > 4
    assert found.attrs == {name: value for name, value in expected.attrs.items() if name != "beyond_training"}


def test_too_many_backgrounds_for_the_closed_form(
    base: ss.OptionModel, dsa: ss.OptionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those sampled count: the closed form compares with them too."""
    monkeypatch.setattr("surveysim.simulation.to_parquet.AT_ONCE", 5)
    two = pd.DataFrame({"age": ["old", "young"], "gender": ["male", "female"]})
    found = ss.read_table(_written(tmp_path / "cells.parquet", dsa, two))
    assert found[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    assert found.attrs["no_std_error"] == "more than 5 backgrounds"
    assert "no standard errors: their closed form compares at most 5 backgrounds; got 2 backgrounds, and 6 sampled" in caplog.text
    expected = ss.simulate(opinion_survey(), two, questions=QUESTIONS, model=dsa, progress=False)
    assert found["share"].to_numpy() == pytest.approx(expected["share"].to_numpy(), abs=1e-6)
    with pytest.raises(SurveySimError, match=r"compares every background with every other, at most 5 to a file; got 2 backgrounds, and 6"):
        _written(tmp_path / "kernel.parquet", base, two, method="dsa-kernel")
    assert not (tmp_path / "kernel.parquet").exists()


def test_backgrounds_in_the_order_given_some_never_sampled(stage_1: ss.OptionModel, tmp_path: Path) -> None:
    frame = opinion_frame()
    survey = ss.as_survey(frame[~((frame["age"] == 2) & (frame["gender"] == 1))], opinion_codebook())
    asked = pd.DataFrame({"gender": ["male", "female", "male"], "age": ["old", "young", "middle"], "population_share": [0.2, 0.3, 0.5]})
    found = ss.read_table(_written(tmp_path / "cells.parquet", stage_1, asked, survey))
    _same(found, ss.simulate(survey, asked, questions=QUESTIONS, model=stage_1, progress=False))
    assert (found.loc[found["background_id"] == "age=old|gender=male", "n"] == 0).all()


def test_a_part_of_the_file_is_read_alone(base: ss.OptionModel, tmp_path: Path) -> None:
    path = _written(tmp_path / "cells.parquet", base, method="zero-shot")
    whole, one = ss.read_table(path), "age=old|gender=male"
    part = ss.read_table(path, questions=["news"], backgrounds=[one])
    expected = whole[(whole["question_id"] == "news") & (whole["background_id"] == one)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, expected)
    assert part.attrs == whole.attrs
    with pytest.raises(TableError, match=r"cells.parquet holds no row with question_id taxes; read it whole"):
        ss.read_table(path, questions=["taxes"])


def test_codes_of_several_types_come_back_as_they_were(base: ss.OptionModel, tmp_path: Path) -> None:
    book, frame = opinion_codebook(), opinion_frame()
    yes_no = replace(book.questions["vote"], options=(Option("Y", "Yes"), Option(2.5, "No")))
    book = replace(book, questions={**book.questions, "vote": yes_no})
    survey = ss.as_survey(frame.assign(vote=frame["vote"].map({1: "Y", 2: 2.5})), book)
    found = ss.read_table(_written(tmp_path / "cells.parquet", base, df=survey, method="zero-shot"))
    expected = ss.simulate(survey, TRAITS, questions=QUESTIONS, model=base, method="zero-shot", progress=False)
    _same(found, expected)
    assert [type(code) for code in found["option_code"]] == [type(code) for code in expected["option_code"]]


def test_a_plain_frame_and_the_bar(base: ss.OptionModel, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    quiet = ss.read_table(_written(tmp_path / "a.parquet", base, df=opinion_frame(), codebook=opinion_codebook(), method="zero-shot"))
    assert capsys.readouterr().err == ""
    shown = ss.read_table(_written(tmp_path / "b.parquet", base, method="zero-shot", progress=True))
    pd.testing.assert_frame_equal(quiet, shown)
    assert "simulating" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")])
def test_an_interruption_leaves_no_half_file(
    error: BaseException, base: ss.OptionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cells.parquet"
    before = _written(path, base, method="zero-shot").read_bytes()
    asked: list[str] = []
    original = streaming.put_to

    def breaks(question: object, *rest: object) -> object:
        asked.append("part")
        if len(asked) == 2:
            raise error
        return original(question, *rest)

    monkeypatch.setattr(streaming, "put_to", breaks)
    with pytest.raises(type(error)):
        _written(path, base, method="zero-shot")
    assert len(asked) == 2
    assert [item.name for item in tmp_path.iterdir()] == ["cells.parquet"]
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(ReadError, match=r"cells.parquet' cannot be written .*No space left on device.*; nothing of it is kept"):
        write_parts([pd.DataFrame({"share": [1.0]})], tmp_path / "cells.parquet", about={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": "cells.csv"}, ReadError, r"cells.csv: extension '.csv' cannot be written in parts; use .parquet"),
        ({"path": "nowhere/cells.parquet"}, ReadError, r"folder '.*nowhere' does not exist; make it first"),
        ({"method": "dsa"}, SurveySimError, r"method 'dsa' cannot be written part by part with a base model; align it first"),
        ({"method": "mrp"}, SurveySimError, r"method 'mrp' cannot be written part by part"),
        ({"model": None}, SurveySimError, r"model must come from load_model\(\) or align\(\); got NoneType None"),
        ({"questions": []}, SurveySimError, "questions is empty"),
        ({"backgrounds": []}, BackgroundError, "backgrounds is empty; give backgrounds= one name or several of age, gender"),
        ({"backgrounds": pd.DataFrame({"age": ["ancient"]})}, BackgroundError, "trait 'age' has no level 'ancient'"),
        ({"backgrounds": pd.DataFrame({"age": ["old", "old"]})}, BackgroundError, "backgrounds repeats age=old; keep one row each"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    options: dict, error: type, message: str, base: ss.OptionModel, tmp_path: Path
) -> None:
    chosen = {"path": "cells.parquet", "model": base, "method": "zero-shot", **options}
    with pytest.raises(error, match=message):
        _written(tmp_path / chosen.pop("path"), chosen.pop("model"), chosen.pop("backgrounds", None), **chosen)
    assert list(tmp_path.iterdir()) == []


def test_an_aligned_model_keeps_its_method_and_traits(stage_1: ss.OptionModel, tmp_path: Path) -> None:
    with pytest.raises(SurveySimError, match=r"method 'zero-shot' needs a base model, but this one is aligned already \('stage1'\)"):
        _written(tmp_path / "cells.parquet", stage_1, method="zero-shot")
    with pytest.raises(BackgroundError, match="backgrounds has traits age, but the model was aligned with age, gender"):
        _written(tmp_path / "cells.parquet", stage_1, ["age"])


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "cells.parquet").write_bytes(b"no table")
    for name in ("cells.parquet", "gone.parquet"):
        with pytest.raises(ReadError, match=rf"{name}' cannot be read as a table in Parquet \("):
            ss.read_table(tmp_path / name)
    with pytest.raises(TableError, match=r"nothing to write to none.parquet: no parts"):
        write_parts([], tmp_path / "none.parquet", about={})


GROWTH = """
import resource, sys
import numpy as np
import pandas as pd
from transformers import LlamaConfig, LlamaForCausalLM
import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight
from surveysim.lm.base.backbone import Backbone
from tests.support.tiny import tiny_tokenizer

folder = sys.argv[1]
options = (Option(1, "Yes"), Option(2, "No"))
traits = {t: Trait(t, t, tuple(Level(str(n), f"{t}{n}", (n,)) for n in range(10))) for t in "abcde"}
book = ss.Codebook("big", "Big", traits, {"q": Question("q", "Why?", options, "nominal")}, weights=(Weight("w"),))
people = pd.DataFrame({**{t: [n % 10 for n in range(40)] for t in "abcde"}, "q": [1, 2] * 20, "w": 1.0})
config = LlamaConfig(vocab_size=320, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2)
template = ss.PromptTemplate(opening="{question}", respondent="{background}:")
model = ss.OptionModel(Backbone(LlamaForCausalLM(config).eval(), tiny_tokenizer(), "tiny", "digest"), template)
digits = np.unravel_index(np.arange(100_000), [10] * 5)
everybody = pd.DataFrame({t: pd.Categorical.from_codes(part, list("0123456789")) for t, part in zip("abcde", digits)})
for n in map(int, sys.argv[2:]):
    path = ss.simulate_to_parquet(
        ss.as_survey(people, book), everybody[:n], f"{folder}/cells.parquet", model=model, method="zero-shot", progress=False
    )
    print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _peaks(folder: Path, *sizes: int) -> list[float]:
    """Peak memory of one process after simulating so many cells, one size after the other, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GROWTH), str(folder), *map(str, sizes)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [float(line.split()[1]) for line in done.stdout.splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="the peak memory of a process is asked for as Unix does")
def test_memory_does_not_grow_with_the_cells(tmp_path: Path) -> None:
    few, many = _peaks(tmp_path, 5_000, 25_000)
    assert len(ss.read_table(tmp_path / "cells.parquet")) == 2 * 25_000
    assert many - few < 16, f"{few:.0f} MiB after 5,000 cells, {many:.0f} MiB after 25,000"


def test_levels_that_nobody_has_do_not_fill_a_file_in_silence(
    base: ss.OptionModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    survey = opinion_survey()
    women = survey.take((survey.data["gender"] == "female").to_numpy())
    _written(tmp_path / "grid.parquet", base, ss.background_grid(opinion_codebook(), by=TRAITS), women, method="zero-shot")
    assert "3 of 6 backgrounds were never sampled: gender: male" in caplog.text
    caplog.clear()
    path = _written(tmp_path / "chosen.parquet", base, {"gender": ["male"], "age": ["old"]}, women, method="zero-shot")
    assert caplog.text == ""
    assert ss.read_table(path)["background_id"].unique().tolist() == ["age=old|gender=male"]


def test_a_prior_that_misleads_is_warned_of(base: ss.OptionModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One whose backgrounds have one another's shares."""
    prior = ss.response_distributions(opinion_survey(4000, 9), by=TRAITS, questions=["trust", "taxes"])
    names = sorted(prior["background_id"].unique())
    prior["background_id"] = prior["background_id"].map(dict(zip(names, np.random.default_rng(4).permutation(names), strict=True)))
    target = ss.simulate_to_parquet(
        opinion_survey(1500, 1),
        TRAITS,
        tmp_path / "shares.parquet",
        model=base,
        method="dsa-kernel",
        questions=["trust", "taxes"],
        prior=prior.drop(columns=["age", "gender"]),
        progress=False,
    )
    assert "misleads" in caplog.text
    assert "MISLEADS" in repr(ss.show(ss.read_table(target)))


def test_a_csv_hears_who_reads_it(tmp_path: Path) -> None:
    shares = ss.response_distributions(ss.load_example("nonvoters2020"), questions="Q8_8")
    path = ss.export_table(shares, path=tmp_path / "shares.csv", min_n=0)
    with pytest.raises(ReadError, match=r"path '.*shares\.csv' is a CSV, and read_table reads Parquet; pandas\.read_csv reads it"):
        ss.read_table(path)
